/* What zouma convert makes of each tensor of a file, decided from names and shapes before a value is read.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_CONVERT_PLAN_H
#define ZM_APP_CONVERT_PLAN_H

#include "base/arena.h"
#include "format/weights.h"

/* Why a tensor has the type it gets. */
typedef enum {
    ZM_CONVERT_AS_ASKED,
    ZM_CONVERT_SMALL,     /* one dimension, or few elements: f32 */
    ZM_CONVERT_SENSITIVE, /* modulation, embeddings of time and patches, heads: 16 or 32 bits */
    ZM_CONVERT_ROWS,      /* rows are not whole blocks of the type: a type of smaller blocks, or f16 */
    ZM_CONVERT_NUMBERS,   /* integers: as they are */
    ZM_CONVERT_REASONS
} zm_convert_reason;

typedef struct zm_convert_job {
    const zm_weight *from;
    const zm_weight *scale; /* of 8-bit floats, or NULL; folded into the values */
    const zm_weight *with;  /* NULL, or the tensor of another file with which the mean is taken */
    zm_weight to;           /* name, shape, dtype and bytes; no data */
    zm_convert_reason why;
} zm_convert_job;

typedef struct zm_convert_plan {
    zm_convert_job *job; /* in file order */
    size_t n;
    size_t skipped;         /* scales that were folded in, markers, and types that GGUF cannot hold */
    const char *unwritable; /* the first tensor of a type that GGUF cannot hold, or NULL */
    zm_meta *meta;
    size_t n_meta;
    zm_arena *arena;
} zm_convert_plan;

/* `w`: as zm_weights_open gave it; `path`: what it was opened from, whose config.json is kept.  ZM_E_UNSUPPORTED: a
 * tensor of a type this build cannot read; ZM_E_SHAPE: a scale that does not fit; ZM_E_NOMEM. */
ZM_MUST zm_status zm_convert_plan_make(zm_convert_plan *out, const zm_weights *w, const char *path, zm_dtype type,
                                       zm_error *err);
/* Take the mean with the tensors of `other`, opened from `path`; it must outlive the plan.  ZM_E_SHAPE: a tensor of either
 * that the other lacks or has in another shape; ZM_E_UNSUPPORTED: 8-bit floats with scales. */
ZM_MUST zm_status zm_convert_plan_average(zm_convert_plan *p, const zm_weights *other, const char *path, zm_error *err);
void zm_convert_plan_free(zm_convert_plan *p);

#endif
