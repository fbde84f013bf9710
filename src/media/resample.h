/* The two ways in which published pipelines bring a picture to a model's size, equal to theirs number by number.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MEDIA_RESAMPLE_H
#define ZM_MEDIA_RESAMPLE_H

#include "media/frame.h"

/* Fill `out` (initialised, its size is the target) from all of `in` as Pillow does with its Lanczos filter: three
 * lobes, widened when shrinking; along rows, then along columns, bytes between; 22-bit integer weights.
 * ZM_E_NOMEM only.  out and in must not share memory. */
ZM_MUST zm_status zm_frame_lanczos(zm_frame *out, const zm_frame *in, zm_error *err);

/* in [in_height,in_width,3] -> out [height,width,3] as PyTorch's interpolate(mode="bicubic") does: four taps of the
 * cubic with a = -0.75 at half-pixel centres, edge pixels repeated, no smoothing before shrinking, no clamping
 * (Keys 1981).  The same size copies.  All sizes at least 1; no overlap.  ZM_E_NOMEM only. */
ZM_MUST zm_status zm_resample_cubic(float *out, int height, int width, const float *in, int in_height, int in_width,
                                    zm_error *err);

#endif
