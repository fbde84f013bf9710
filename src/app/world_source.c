/* The toy-box world as a source of training clips.
 * SPDX-License-Identifier: MIT */
#include "app/world_source.h"

#include <stdlib.h>
#include <string.h>

/* Of frames drawn with ids, where a body is. */
static void keep_bodies(const zm_world_source *s, int64_t frames, uint8_t *mask)
{
    int64_t pixels = (int64_t)s->world.width * s->world.height;
#pragma omp parallel for if (frames > s->frames)
    for (int64_t f = 0; f < frames; f++)
        for (int64_t i = f * pixels; i < (f + 1) * pixels; i++)
            mask[i] = mask[i] != 0 && mask[i] != ZM_DRAW_SCENERY;
}

static bool in_view(const zm_world_options *w, const zm_scene *scene, const zm_truth *truth)
{
    for (int i = 0; i < scene->n_body; i++)
        if (truth[i].group == 0 && truth[i].x_px >= 0 && truth[i].x_px < (float)w->width && truth[i].y_px >= 0 &&
            truth[i].y_px < (float)w->height)
            return true;
    return false;
}

/* Where the stretch of a scene begins: anywhere with a body of its subject in view at both ends, where tries find it. */
static zm_status pick_first(int *first, const zm_world_source *s, const zm_scene *scene, zm_error *err)
{
    enum { TRIES = 16 };
    const zm_world_options *w = &s->world;
    zm_rng r = zm_rng_init(scene->seed, 0x5712e7c4);
    zm_still *still = malloc((size_t)w->frames * sizeof *still);
    zm_truth *truth = malloc((size_t)w->frames * ZM_WORLD_MAX_BODIES * sizeof *truth);
    zm_status st = still && truth ? zm_world_describe(scene, w, still, truth, err)
                                  : zm_fail(err, ZM_E_NOMEM, "out of memory for a scene of %d frames", w->frames);
    bool found = st != ZM_OK;
    for (int k = 0; k < TRIES && !found; k++) {
        *first = (int)zm_rng_below(&r, (uint32_t)(w->frames - s->frames + 1));
        const zm_truth *at = truth + (size_t)*first * ZM_WORLD_MAX_BODIES;
        found = in_view(w, scene, at) && in_view(w, scene, at + (size_t)(s->frames - 1) * ZM_WORLD_MAX_BODIES);
    }
    free(still);
    free(truth);
    return st;
}

static zm_status clip(void *user, int64_t index, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const zm_world_source *s = user;
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, &s->world);
    zm_world_options drawn = s->world;
    drawn.frames = s->frames;
    zm_status st = s->frames < s->world.frames ? pick_first(&drawn.first, s, &scene, err) : ZM_OK;
    if (!st)
        st = zm_world_render(&scene, &drawn, rgb, mask, NULL, err);
    if (!st)
        keep_bodies(s, s->frames, mask);
    return st;
}

static zm_status clips(void *user, int64_t first, int64_t n, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const zm_world_source *s = user;
    zm_status st = zm_world_card_clips(s->card, &s->world, s->seed + (uint64_t)first, n, rgb, mask, NULL, err);
    if (!st)
        keep_bodies(s, n * s->frames, mask);
    return st;
}

static zm_status caption(void *user, int64_t index, int k, char out[ZM_CAPTION_MAX], zm_error *err)
{
    (void)err;
    const zm_world_source *s = user;
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, &s->world);
    zm_rng r = zm_rng_init(s->seed + (uint64_t)index, 0xca97 + (uint64_t)k);
    char text[ZM_CAPTION_BYTES];
    zm_scene_caption(&scene, k & 1 ? ZM_LANG_ZH : ZM_LANG_EN, &r, text);
    memcpy(out, text, sizeof text < ZM_CAPTION_MAX ? sizeof text : ZM_CAPTION_MAX);
    out[ZM_CAPTION_MAX - 1] = 0;
    return ZM_OK;
}

zm_clip_source zm_world_source_interface(zm_world_source *s)
{
    return (zm_clip_source){.user = s,
                            .width = s->world.width,
                            .height = s->world.height,
                            .frames = s->frames,
                            .clip = clip,
                            .clips = s->card && s->frames == s->world.frames ? clips : NULL,
                            .caption = caption};
}
