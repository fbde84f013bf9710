/* Where training clips come from, and a pool of them in memory.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_DATA_H
#define ZM_TRAIN_DATA_H

#include <stdint.h>

#include "base/error.h"

enum { ZM_CAPTION_MAX = 512 };

/* Clips by number; the same number gives the same clip.  Calls come from several threads at once. */
typedef struct zm_clip_source {
    void *user;
    int64_t count;             /* clips there are; 0: without end */
    int width, height, frames; /* pixels; frames is 4n+1 */
    /* rgb [F,H,W,3]; mask [F,H,W], 1 where a body is (what the losses weigh up), zeros when not known. */
    zm_status (*clip)(void *user, int64_t index, uint8_t *rgb, uint8_t *mask, zm_error *err);
    /* Clips first .. first+n-1 at once, [n] of the above, by who is better at many; NULL: `clip` one by one. */
    zm_status (*clips)(void *user, int64_t first, int64_t n, uint8_t *rgb, uint8_t *mask, zm_error *err);
    /* Caption number k (0, 1, ...) of a clip, NUL-terminated UTF-8. */
    zm_status (*caption)(void *user, int64_t index, int k, char out[ZM_CAPTION_MAX], zm_error *err);
} zm_clip_source;

/* Clips first .. first+n-1 decoded or rendered once, in parallel. */
typedef struct zm_pool {
    int64_t n;
    int width, height, frames;
    uint8_t *rgb;  /* [n,F,H,W,3] */
    uint8_t *mask; /* [n,F,H,W] */
} zm_pool;

ZM_MUST zm_status zm_pool_fill(zm_pool *out, const zm_clip_source *source, int64_t first, int64_t n, zm_error *err);
void zm_pool_release(zm_pool *p);

/* Frames start .. start+frames-1 of a clip of the pool as network input: video [frames,H,W,3] in [-1,1]; weight
 * [frames,H,W] = 1 + (inside - 1) * mask (may be NULL). */
void zm_pool_window(const zm_pool *p, int64_t clip, int start, int frames, float inside, float *video, float *weight);

#endif
