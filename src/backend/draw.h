/* Frames of the toy-box drawn by the process's device, where that is a card: all pixels of a batch at once, to the bytes
 * that the CPU draws (draw/pixel.h).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_DRAW_H
#define ZM_BACKEND_DRAW_H

#include "base/error.h"
#include "draw/frame.h"

typedef struct zm_drawer zm_drawer;

/* Room for batches of at most `frames` frames of width x height; the art is copied to the card, once.
 * *out NULL and ZM_OK: this device does not draw (the CPU).  ZM_E_NOMEM: the host, or the card, has no room. */
ZM_MUST zm_status zm_drawer_new(zm_drawer **out, const zm_draw_art *art, int width, int height, int frames,
                                zm_error *err);
void zm_drawer_free(zm_drawer *d);
/* Where the next batch is described: [frames], which may be written while the card draws the batch before. */
zm_still *zm_drawer_room(zm_drawer *d);
/* Draw the first n of them and return at once; with `whole`, count what zm_truth_see asks for too.  One batch is under
 * way at a time: zm_drawer_finish first. */
ZM_MUST zm_status zm_drawer_start(zm_drawer *d, int n, bool whole, zm_error *err);
/* Wait for what was started: rgb [n,H,W,3], ids [n,H,W], whole [n,ZM_DRAW_SOLIDS] or NULL. */
ZM_MUST zm_status zm_drawer_finish(zm_drawer *d, uint8_t *rgb, uint8_t *ids, int32_t *whole, zm_error *err);

#endif
