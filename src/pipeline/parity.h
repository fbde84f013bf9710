/* Recompute reference fixtures - directories of weights, inputs and outputs of the official code - and compare.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_H
#define ZM_PIPELINE_PARITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/models.h"
#include "model/params.h"

/* Where lines go and what has been counted; {0} with a sink is a valid start. */
typedef struct zm_parity_report {
    void (*line)(void *user, const char *text); /* one finished line without newline; NULL: silent */
    void *user;
    int passed, failed; /* lines */
} zm_parity_report;

/* A fixture directory, opened: config.json, and io.safetensors when there is one. */
typedef struct zm_parity_dir {
    const char *path;
    char name[64];  /* last component of the path, for lines */
    zm_json config; /* whole config.json */
    zm_weights *io; /* NULL when absent */
} zm_parity_dir;

/* One row of the table of kinds.  detect looks at the opened directory; run adds lines to the report.  A wrong
 * number is a counted miss and ZM_OK; an error is a directory that cannot be computed. */
typedef struct zm_parity_kind {
    const char *name;
    const char *summary;
    bool (*detect)(const zm_parity_dir *d);
    zm_status (*run)(const zm_parity_dir *d, zm_parity_report *r, zm_error *err);
} zm_parity_kind;

extern const zm_parity_kind *const zm_parity_kinds[]; /* NULL-terminated; the first that detects is run */

/* Recompute one directory.  Every tensor of its io.safetensors must have been read by the kind, as an input or as what
 * is wanted: one that nobody read is a miss with a line of its own.  ZM_E_UNSUPPORTED: not a kind of fixture this build knows; otherwise as its parts. */
ZM_MUST zm_status zm_parity_run(const char *path, zm_parity_report *r, zm_error *err);

typedef enum {
    ZM_PARITY_MAX_DIFF, /* max|got - want| */
    ZM_PARITY_REL_L2,   /* ||got - want||_2 / ||want||_2 */
    ZM_PARITY_REL,      /* max |got - want| / |want|, for losses */
    ZM_PARITY_EXACT,    /* number of unequal elements */
} zm_parity_metric;

/* Several tensors judged together and reported as one line: the worst of them. */
typedef struct zm_parity_group {
    const char *name; /* "case0.mid" */
    zm_parity_metric metric;
    double tolerance;
    int n, misses;
    double worst;
    char worst_name[96];
} zm_parity_group;

/* Add one tensor's difference; NaN in `got` counts as infinite. */
void zm_parity_add(zm_parity_group *g, const char *tensor, const float *got, const float *want, size_t n);
void zm_parity_add_i32(zm_parity_group *g, const char *tensor, const int32_t *got, const int32_t *want, size_t n);
/* Write the group's line ("ok   DIR case0.out  max|diff| 3.1e-06 <= 1e-05") and count it. */
void zm_parity_line(zm_parity_report *r, const zm_parity_dir *d, const zm_parity_group *g);
/* A group of one tensor. */
void zm_parity_compare(zm_parity_report *r, const zm_parity_dir *d, const char *tensor, const float *got,
                       const float *want, size_t n, double tolerance);

/* Tensor PRINTF-NAME of a fixture file as f32 (any dtype, integers too) in malloc'd memory; *n elements, dims (rank
 * in shape->rank) when shape is not NULL.  ZM_E_MISSING, ZM_E_UNSUPPORTED, ZM_E_NOMEM. */
ZM_MUST zm_status zm_parity_read(float **out, zm_shape *shape, const zm_weights *w, zm_error *err, const char *name,
                                 ...) ZM_PRINTF(5, 6);
/* One more than the largest N of tensors called "caseN.*"; 0: none.  Cases may be left out: see zm_parity_has. */
int64_t zm_parity_cases(const zm_parity_dir *d);
/* Whether any tensor's name begins so. */
bool zm_parity_has(const zm_parity_dir *d, const char *prefix, ...) ZM_PRINTF(2, 3);
/* Open FILE (relative to the directory) as weights. */
ZM_MUST zm_status zm_parity_open(zm_weights **out, const zm_parity_dir *d, const char *file, zm_error *err);

/* [C,F,H,W] of the fixtures to and from [F,H,W,C] of this program; out and in must not overlap. */
void zm_parity_to_last(float *out, const float *in, int64_t channels, int64_t rest);
void zm_parity_to_first(float *out, const float *in, int64_t channels, int64_t rest);

#endif
