/* The toy-box world as a source of training clips.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_WORLD_SOURCE_H
#define ZM_APP_WORLD_SOURCE_H

#include "app/world_card.h"
#include "train/data.h"

typedef struct zm_world_source {
    zm_world_options world;
    uint64_t seed; /* clip i is scene seed + i */
    int frames;    /* of the clips; fewer than the world's: a stretch from anywhere in each, its subject in view */
    zm_world_card *card; /* draws whole pools of whole clips; NULL: the CPU draws clip by clip */
} zm_world_source;

/* `s` with its card is borrowed by the source.  Even captions are English, odd ones Chinese. */
zm_clip_source zm_world_source_interface(zm_world_source *s);

#endif
