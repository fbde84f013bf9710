/* Tensors that other programs keep beside 8-bit floats, told by their names.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_COMPANION_H
#define ZM_FORMAT_COMPANION_H

#include "format/weights.h"

typedef enum {
    ZM_COMPANION_NONE,  /* a tensor in its own right */
    ZM_COMPANION_SCALE, /* "STEM.scale_weight" or "STEM.weight_scale": what the values of "STEM.weight" are times */
    ZM_COMPANION_NOTE   /* scales of activations and marks of other programs: not for us */
} zm_companion;

/* What `name` is.  ZM_COMPANION_SCALE: out[cap] gets "STEM.weight"; a name too long for it counts as a note. */
zm_companion zm_companion_of(char *out, size_t cap, const char *name);
/* The scale of t: its own after zm_weights_rename, else the tensor that lies beside it in `w`, or NULL. */
const zm_weight *zm_companion_scale(const zm_weights *w, const zm_weight *t);

#endif
