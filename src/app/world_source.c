/* The toy-box world as a source of training clips.
 * SPDX-License-Identifier: MIT */
#include "app/world_source.h"

#include <stdlib.h>
#include <string.h>

static zm_status clip(void *user, int64_t index, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const zm_world_source *s = user;
    zm_scene scene;
    zm_scene_sample(&scene, s->seed + (uint64_t)index, &s->world);
    zm_status st = zm_world_render(&scene, &s->world, rgb, mask, NULL, err);
    size_t n = (size_t)s->world.width * (size_t)s->world.height * (size_t)s->world.frames;
    for (size_t i = 0; i < n; i++)
        mask[i] = mask[i] != 0 && mask[i] != 255;
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
                            .caption = caption};
}
