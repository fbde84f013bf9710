/* Clips of the toy-box drawn by a card.
 * SPDX-License-Identifier: MIT */
#include "app/world_card.h"

#include <stdlib.h>

#include "backend/draw.h"

/* Bytes of pictures and ids that are drawn at a time; one clip may be more. */
enum { BATCH_BYTES = 32 << 20 };

struct zm_world_card {
    zm_drawer *drawer;
    int width, height, frames;
    int64_t batch;  /* clips */
    int32_t *whole; /* [batch,F,ZM_DRAW_SOLIDS] */
};

zm_status zm_world_card_new(zm_world_card **out, const zm_world_options *w, int64_t at_once, zm_error *err)
{
    *out = NULL;
    zm_status s = zm_world_check(w, err);
    if (s)
        return s;
    zm_world_card *c = calloc(1, sizeof *c);
    if (!c)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for drawing on the card");
    *c = (zm_world_card){.width = w->width, .height = w->height, .frames = w->frames};
    int64_t clip = (int64_t)w->width * w->height * w->frames * 4;
    c->batch = at_once ? at_once : clip < BATCH_BYTES ? BATCH_BYTES / clip : 1;
    size_t frames = (size_t)c->batch * (size_t)w->frames;
    c->whole = calloc(frames * ZM_DRAW_SOLIDS, sizeof *c->whole);
    zm_draw_art art = zm_world_art();
    s = c->whole ? zm_drawer_new(&c->drawer, &art, w->width, w->height, (int)frames, err)
                 : zm_fail(err, ZM_E_NOMEM, "out of memory for drawing on the card");
    if (s || !c->drawer)
        zm_world_card_free(c);
    else
        *out = c;
    return s;
}

void zm_world_card_free(zm_world_card *c)
{
    if (!c)
        return;
    zm_drawer_free(c->drawer);
    free(c->whole);
    free(c);
}

/* Physics of n clips, side by side; truth NULL or of the first one. */
static zm_status describe(zm_world_card *c, const zm_world_options *w, uint64_t seed, int64_t n, zm_truth *truth,
                          zm_error *err)
{
    zm_still *room = zm_drawer_room(c->drawer);
    zm_error first = {0};
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < n; i++) {
        zm_error e = {0};
        zm_scene scene;
        zm_scene_sample(&scene, seed + (uint64_t)i, w);
        zm_status s = zm_world_describe(&scene, w, room + i * c->frames,
                                        truth ? truth + i * c->frames * ZM_WORLD_MAX_BODIES : NULL, &e);
        if (s) {
#pragma omp critical(zm_world_card_error)
            first = e;
        }
    }
    return first.code ? zm_fail(err, first.code, "%s", first.text) : ZM_OK;
}

/* What the frames of n drawn clips show of their bodies. */
static void see(const zm_world_card *c, int64_t n, const uint8_t *ids, zm_truth *truth)
{
    int64_t frames = n * c->frames, pixels = (int64_t)c->width * c->height;
#pragma omp parallel for
    for (int64_t f = 0; f < frames; f++)
        zm_truth_see(truth + f * ZM_WORLD_MAX_BODIES, ZM_WORLD_MAX_BODIES, c->width, c->height, ids + f * pixels,
                     c->whole + f * ZM_DRAW_SOLIDS);
}

zm_status zm_world_card_clips(zm_world_card *c, const zm_world_options *w, uint64_t seed, int64_t n, uint8_t *rgb,
                              uint8_t *ids, zm_truth *truth, zm_error *err)
{
    int64_t clip = (int64_t)c->width * c->height * c->frames, rows = (int64_t)c->frames * ZM_WORLD_MAX_BODIES;
    int64_t now = n < c->batch ? n : c->batch, next = 0;
    ZM_ASSERT(w->width == c->width && w->height == c->height && w->frames == c->frames);
    zm_status s = describe(c, w, seed, now, truth, err);
    for (int64_t at = 0; !s && at < n; at += now, now = next) {
        int64_t left = n - at - now;
        next = left < c->batch ? left : c->batch;
        s = zm_drawer_start(c->drawer, (int)now * c->frames, truth != NULL, err);
        if (s)
            break;
        if (next)
            s = describe(c, w, seed + (uint64_t)(at + now), next, truth ? truth + (at + now) * rows : NULL, err);
        zm_error unsaid = {0};
        zm_status drawn = zm_drawer_finish(c->drawer, rgb + at * clip * 3, ids + at * clip, truth ? c->whole : NULL,
                                           s ? &unsaid : err);
        s = s ? s : drawn;
        if (!s && truth)
            see(c, now, ids + at * clip, truth + at * rows);
    }
    return s;
}
