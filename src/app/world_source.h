/* The toy-box world as a source of training clips.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_WORLD_SOURCE_H
#define ZM_APP_WORLD_SOURCE_H

#include "train/data.h"
#include "world/world.h"

typedef struct zm_world_source {
    zm_world_options world;
    uint64_t seed; /* clip i is scene seed + i */
} zm_world_source;

/* `s` is borrowed by the source.  Even captions are English, odd ones Chinese. */
zm_clip_source zm_world_source_interface(zm_world_source *s);

#endif
