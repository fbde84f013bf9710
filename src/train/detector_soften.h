/* Clips made a little worse, as a detector of generated clips should have seen them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_DETECTOR_SOFTEN_H
#define ZM_TRAIN_DETECTOR_SOFTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

/* rgb [F,H,W,3] to video [F,H,W,3] in [-1,1]: mirrored when asked, then by chance blurred in space and in time, with
 * blotches of 4x4 pixels (what a lossy latent leaves), noise, and other brightness, contrast and tint. */
void zm_detector_soften(const uint8_t *rgb, int frames, int height, int width, bool mirror, zm_rng *r, float *video);
/* n bytes as they are. */
void zm_detector_plain(const uint8_t *rgb, size_t n, float *video);

#endif
