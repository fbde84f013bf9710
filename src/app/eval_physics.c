/* Physics of tracks: free falls, bounces, bodies that vanish in the open.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "app/eval_score.h"

enum { FRAMES_MAX = 512, FALL_LEAST = 4 };

double zm_eval_fit_gravity(const float *y, int n, double fps)
{
    /* With times centred, the parabola's term is orthogonal to the line's: p = t^2 - mean(t^2). */
    double mean2 = 0, top = 0, bottom = 0;
    for (int i = 0; i < n; i++) {
        double t = i - 0.5 * (n - 1);
        mean2 += t * t / n;
    }
    for (int i = 0; i < n; i++) {
        double t = i - 0.5 * (n - 1), p = t * t - mean2;
        top += p * (double)y[i];
        bottom += p * p;
    }
    return 2 * top / bottom * fps * fps;
}

/* Points from the first frame on while the body falls ever faster: before the first contact. */
static int falling(const zm_track *t, int frames, float *y)
{
    int n = 0;
    if (t->first > 1)
        return 0;
    for (int f = t->first; f < frames && n < FRAMES_MAX && t->at[f].score > 0; f++) {
        float here = t->at[f].y, step = n ? here - y[n - 1] : 0, before = n > 1 ? y[n - 1] - y[n - 2] : 0;
        if (n && (step < 0.2f || step < before))
            break;
        y[n++] = here;
    }
    return n;
}

/* Heights between sightings are drawn straight; returns how many frames from t->first on. */
static int heights(const zm_track *t, float *y)
{
    int n = 0, seen = t->first;
    for (int f = t->first; f <= t->last && f - t->first < FRAMES_MAX; f++) {
        if (t->at[f].score > 0) {
            for (int k = seen + 1; k < f; k++)
                y[k - t->first] = t->at[seen].y + (t->at[f].y - t->at[seen].y) * (float)(k - seen) / (float)(f - seen);
            y[f - t->first] = t->at[f].y;
            seen = f;
            n = f - t->first + 1;
        }
    }
    return n;
}

/* A bounce: down by 3 px or more to a lowest point, then up by 2 or more.  It gains energy when the next top is higher
 * than the one before by more than the detector's error. */
static void count_bounces(const float *y, int n, zm_eval_physics *p)
{
    int i = 0;
    while (i < n) {
        int top = i;
        while (top + 1 < n && y[top + 1] <= y[top])
            top++;
        int low = top;
        while (low + 1 < n && y[low + 1] >= y[low])
            low++;
        int next = low;
        while (next + 1 < n && y[next + 1] <= y[next])
            next++;
        if (low == top || next == low)
            return;
        float drop = y[low] - y[top], rise = y[low] - y[next];
        if (drop >= 3 && rise >= 2) {
            p->bounces++;
            p->gains += rise > drop + fmaxf(1.5f, 0.1f * drop);
        }
        i = next;
    }
}

static bool near_border(const zm_detection *d, const zm_eval_sight *v)
{
    float mx = 0.5f * d->width + 4, my = 0.5f * d->height + 4;
    return d->x < mx || d->x > (float)v->width - mx || d->y < my || d->y > (float)v->height - my;
}

/* Another body so close in that frame that one may hide the other. */
static bool near_other(const zm_eval_sight *v, int self, int f)
{
    const zm_detection *a = &v->tracks.track[self].at[f];
    for (int i = 0; i < v->tracks.n; i++)
        for (int k = f - 1; k <= f + 1; k++) {
            const zm_detection *b = i != self && k >= 0 && k < v->tracks.frames ? &v->tracks.track[i].at[k] : NULL;
            if (b && b->score > 0 && fabsf(a->x - b->x) < 0.7f * (a->width + b->width) &&
                fabsf(a->y - b->y) < 0.7f * (a->height + b->height))
                return true;
        }
    return false;
}

static bool in_the_open(const zm_eval_sight *v, int self, int f)
{
    return !near_border(&v->tracks.track[self].at[f], v) && !near_other(v, self, f);
}

void zm_eval_physics_add(zm_eval_physics *p, const zm_eval_facts *f, const zm_eval_sight *v)
{
    float y[FRAMES_MAX];
    bool falls = (f->action == ZM_ACT_FALL || f->action == ZM_ACT_BOUNCE) && f->camera <= ZM_CAM_STATIC;
    for (int i = 0; i < v->tracks.n; i++) {
        const zm_track *t = &v->tracks.track[i];
        if (!zm_eval_steady(t, v->tracks.frames))
            continue;
        if (f->action != ZM_ACT_BEHIND) {
            p->tracks++;
            p->broken += (t->first > 1 && in_the_open(v, i, t->first)) ||
                         (t->last < v->tracks.frames - 2 && in_the_open(v, i, t->last));
        }
        if (!falls || t->cls != f->cls[0])
            continue;
        int n = falling(t, v->tracks.frames, y);
        if (n >= FALL_LEAST && p->falls < ZM_EVAL_FALLS_MAX)
            p->gravity[p->falls++] = zm_eval_fit_gravity(y, n, v->fps);
        if (f->action == ZM_ACT_BOUNCE)
            count_bounces(y, heights(t, y), p);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool zm_eval_gravity(zm_eval_physics *p, double *median, double *spread)
{
    int n = p->falls;
    if (n == 0)
        return false;
    qsort(p->gravity, (size_t)n, sizeof *p->gravity, ascending);
    *median = 0.5 * (p->gravity[(n - 1) / 2] + p->gravity[n / 2]);
    *spread = 0.5 * (p->gravity[(3 * (n - 1)) / 4] - p->gravity[(n - 1) / 4]);
    return true;
}
