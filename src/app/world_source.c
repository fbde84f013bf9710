/* The toy-box world as a source of training clips.
 * SPDX-License-Identifier: MIT */
#include "app/world_source.h"

#include <stdlib.h>
#include <string.h>

/* Of frames drawn with ids, where a body is. */
static void keep_bodies(const zm_world_options *w, int64_t frames, uint8_t *mask)
{
    int64_t pixels = (int64_t)w->width * w->height;
#pragma omp parallel for if (frames > w->frames)
    for (int64_t f = 0; f < frames; f++)
        for (int64_t i = f * pixels; i < (f + 1) * pixels; i++)
            mask[i] = mask[i] != 0 && mask[i] != ZM_DRAW_SCENERY;
}

static zm_status clip(void *user, int64_t index, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const zm_world_source *s = user;
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, &s->world);
    zm_status st = zm_world_render(&scene, &s->world, rgb, mask, NULL, err);
    keep_bodies(&s->world, s->world.frames, mask);
    return st;
}

static zm_status clips(void *user, int64_t first, int64_t n, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const zm_world_source *s = user;
    zm_status st = zm_world_card_clips(s->card, &s->world, s->seed + (uint64_t)first, n, rgb, mask, NULL, err);
    keep_bodies(&s->world, n * s->world.frames, mask);
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
                            .frames = s->world.frames,
                            .clip = clip,
                            .clips = s->card ? clips : NULL,
                            .caption = caption};
}
