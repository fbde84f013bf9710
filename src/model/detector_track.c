/* Bodies and tracks from the detector's numbers.
 * SPDX-License-Identifier: MIT */
#include "model/detector_track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float least_probability = 0.4f;
static const float reach_px = 11, other_class_px = 9, other_colour_px = 5;
enum { PATIENCE = 6 };

int zm_largest(const float *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

/* Probability that logits [n] do not mean the last of them. */
static float not_last(const float *v, int n)
{
    double top = (double)v[zm_largest(v, n)], sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)v[i] - top);
    return (float)(1 - exp((double)v[n - 1] - top) / sum);
}

static float bounded(float v, float lo, float hi)
{
    return v > lo ? v < hi ? v : hi : lo; /* not a number becomes lo */
}

static zm_detection read_cell(const zm_detector_config *c, const float *v, int col, int row)
{
    const float *box = v + c->classes + 1 + c->colours;
    zm_detection d = {.cls = zm_largest(v, c->classes),
                      .colour = zm_largest(v + c->classes + 1, c->colours),
                      .score = not_last(v, c->classes + 1)};
    d.x = ((float)col + 0.5f + bounded(box[0], -1.5f, 1.5f)) * ZM_DETECTOR_CELL;
    d.y = ((float)row + 0.5f + bounded(box[1], -1.5f, 1.5f)) * ZM_DETECTOR_CELL;
    d.width = expf(bounded(box[2], -3, 4)) * ZM_DETECTOR_CELL;
    d.height = expf(bounded(box[3], -3, 4)) * ZM_DETECTOR_CELL;
    return d;
}

/* Keep `out` sorted by falling score. */
static int insert(zm_detection *out, int n, const zm_detection *d)
{
    int at = n;
    while (at > 0 && out[at - 1].score < d->score)
        at--;
    if (at == ZM_DETECTIONS_MAX)
        return n;
    int moved = n < ZM_DETECTIONS_MAX ? n : ZM_DETECTIONS_MAX - 1;
    memmove(out + at + 1, out + at, (size_t)(moved - at) * sizeof *out);
    out[at] = *d;
    return moved + 1;
}

int zm_detections_read(const zm_detector_config *c, const float *cells, int width, int height, float least,
                       zm_detection out[ZM_DETECTIONS_MAX])
{
    int w = width / ZM_DETECTOR_CELL, h = height / ZM_DETECTOR_CELL, n = 0, kept = 0;
    zm_detection all[ZM_DETECTIONS_MAX];
    for (int i = 0; i < w * h; i++) {
        zm_detection d = read_cell(c, cells + (size_t)i * (size_t)zm_detector_columns(c), i % w, i / w);
        if (d.score >= least)
            n = insert(all, n, &d);
    }
    for (int i = 0; i < n; i++) {
        bool again = false;
        for (int k = 0; k < kept && !again; k++) {
            float size = 0.25f * (out[k].width + out[k].height);
            again = hypotf(all[i].x - out[k].x, all[i].y - out[k].y) < fmaxf(size, 0.8f * ZM_DETECTOR_CELL);
        }
        if (!again)
            out[kept++] = all[i];
    }
    return kept;
}

/* Where a track is expected in frame f. */
static void expect(const zm_track *t, int f, float *x, float *y)
{
    const zm_detection *a = &t->at[t->last];
    *x = a->x;
    *y = a->y;
    for (int k = t->last - 1; k >= t->first && k >= t->last - 2; k--)
        if (t->at[k].score > 0) {
            float steps = (float)(f - t->last) / (float)(t->last - k);
            /* over a longer gap the speed is not trusted all the way */
            steps = fminf(steps, 2);
            *x += (a->x - t->at[k].x) * steps;
            *y += (a->y - t->at[k].y) * steps;
            return;
        }
}

static float cost(const zm_track *t, int f, const zm_detection *d)
{
    float x, y;
    expect(t, f, &x, &y);
    const zm_detection *a = &t->at[t->last];
    float expected = hypotf(d->x - x, d->y - y), stayed = hypotf(d->x - a->x, d->y - a->y);
    return fminf(expected, stayed + 2) + (t->cls != d->cls ? other_class_px : 0) +
           (t->colour != d->colour ? other_colour_px : 0);
}

static void see(zm_track *t, const zm_detector_config *c, int f, const zm_detection *d)
{
    t->at[f] = *d;
    t->last = f;
    t->n++;
    t->vote[d->cls] += (double)d->score;
    t->vote[c->classes + d->colour] += (double)d->score;
    for (int i = 0; i < c->classes; i++)
        if (t->vote[i] > t->vote[t->cls])
            t->cls = i;
    for (int i = 0; i < c->colours; i++)
        if (t->vote[c->classes + i] > t->vote[c->classes + t->colour])
            t->colour = i;
}

static zm_status start(zm_tracks *all, const zm_detector_config *c, int f, const zm_detection *d, zm_error *err)
{
    if (all->n == ZM_TRACKS_MAX)
        return ZM_OK;
    zm_track *t = &all->track[all->n];
    *t = (zm_track){.cls = d->cls, .colour = d->colour, .first = f, .last = f};
    t->at = calloc((size_t)all->frames, sizeof *t->at);
    t->vote = calloc((size_t)(c->classes + c->colours), sizeof *t->vote);
    all->n++;
    if (!t->at || !t->vote)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a track");
    see(t, c, f, d);
    return ZM_OK;
}

static zm_status follow(zm_tracks *all, const zm_detector_config *c, int f, const zm_detection *seen, int n,
                        zm_error *err)
{
    bool used[ZM_DETECTIONS_MAX] = {false};
    for (;;) {
        int best_t = -1, best_d = -1;
        float best = 1e9f;
        for (int i = 0; i < all->n; i++) {
            zm_track *t = &all->track[i];
            if (t->last >= f || f - t->last > PATIENCE)
                continue;
            float gate = reach_px + 4 * (float)(f - t->last - 1);
            for (int k = 0; k < n; k++) {
                float v = used[k] ? 1e9f : cost(t, f, &seen[k]);
                if (v < best && v < gate + other_class_px) {
                    best = v;
                    best_t = i;
                    best_d = k;
                }
            }
        }
        if (best_t < 0)
            break;
        used[best_d] = true;
        see(&all->track[best_t], c, f, &seen[best_d]);
    }
    zm_status s = ZM_OK;
    for (int k = 0; !s && k < n; k++)
        if (!used[k])
            s = start(all, c, f, &seen[k], err);
    return s;
}

zm_status zm_tracks_find(zm_tracks *out, const zm_detector_config *c, const float *cells, int frames, int width,
                         int height, zm_error *err)
{
    *out = (zm_tracks){.frames = frames};
    size_t each =
        (size_t)(width / ZM_DETECTOR_CELL) * (size_t)(height / ZM_DETECTOR_CELL) * (size_t)zm_detector_columns(c);
    zm_status s = ZM_OK;
    for (int f = 0; !s && f < frames; f++) {
        zm_detection seen[ZM_DETECTIONS_MAX];
        int n = zm_detections_read(c, cells + (size_t)f * each, width, height, least_probability, seen);
        s = follow(out, c, f, seen, n, err);
    }
    if (s)
        zm_tracks_release(out);
    return s;
}

void zm_tracks_release(zm_tracks *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->track[i].at);
        free(t->track[i].vote);
    }
    *t = (zm_tracks){0};
}
