/* Named parameters of a network: declared from a config, then filled with random values or bound to a weight file.
 * After binding nothing is looked up by name: networks keep zm_param pointers.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_PARAMS_H
#define ZM_MODEL_PARAMS_H

#include "base/rng.h"
#include "format/weights.h"
#include "ops/unary.h"
#include "tensor/tensor.h"

typedef enum {
    ZM_INIT_ZEROS,
    ZM_INIT_ONES,
    ZM_INIT_FAN_IN, /* normal, std 1/sqrt(product of all dims but the first) */
    ZM_INIT_XAVIER, /* uniform, limit sqrt(6 / (fan_in + fan_out)) */
    ZM_INIT_NORMAL, /* normal, std `scale` */
} zm_init;

typedef struct zm_param {
    const char *name; /* official tensor name */
    zm_shape shape;   /* as in the file, row-major */
    zm_dtype dtype;   /* f32, or the file's own type for matrices (zm_dtype_is_weight) */
    void *data;       /* NULL until filled; owned by the set, or mapped from the weight file */
    float *factor;    /* NULL, or what the values in data are to be multiplied by; owned by the set */
    int64_t factors;  /* 1, or one a row */
    zm_init init;
    float scale;
    bool matrix; /* may stay in the file's dtype: only used by ops that read every weight dtype */
    bool frozen; /* not trained (LoRA's base) */
    int index;   /* place in the set */
} zm_param;

typedef struct zm_params zm_params;

zm_params *zm_params_new(void); /* NULL when out of memory */
void zm_params_free(zm_params *p);
/* Declare; name is copied.  Sticky: errors (duplicates, memory) are reported by fill/load.  Never NULL. */
zm_param *zm_params_add(zm_params *p, zm_shape shape, zm_init init, bool matrix, const char *name, ...) ZM_PRINTF(5, 6);
int zm_params_count(const zm_params *p);
zm_param *zm_params_at(const zm_params *p, int i);
zm_param *zm_params_find(const zm_params *p, const char *name);
int64_t zm_params_elems(const zm_params *p);

/* Allocate f32 values and draw them (deterministic in seed and name, independent of declaration order). */
ZM_MUST zm_status zm_params_fill(zm_params *p, uint64_t seed, zm_error *err);
struct zm_build;
/* The same for those parameters alone that a graph under construction uses. */
ZM_MUST zm_status zm_params_fill_used(zm_params *p, const struct zm_build *b, uint64_t seed, zm_error *err);
/* Nobody will write the values: f32 tensors stay in their file even where f32 copies of all others are asked for. */
void zm_params_only_read(zm_params *p);
/* Bind every declared parameter to PREFIX+name in `w` (kept open by the caller as long as p lives).  Matrices stay
 * in their dtype, mapped, when their rows are whole blocks of it; everything else becomes f32.  all_f32: own f32 copies
 * (training), but for f32 tensors that may stay (zm_params_only_read).  Scales of 8-bit floats (format/companion.h) become factors of matrices that stay, and are multiplied into
 * what becomes f32.  ZM_E_MISSING / ZM_E_SHAPE / ZM_E_UNSUPPORTED name file and tensor. */
ZM_MUST zm_status zm_params_load(zm_params *p, const zm_weights *w, const char *prefix, bool all_f32, zm_error *err);
/* What zm_params_load would do, from the headers alone: sets every parameter's dtype and leaves its data NULL.  *owned:
 * bytes of f32 copies it would make; *mapped: bytes that would stay in the file.  w NULL: as if matrices were bf16.
 * Errors as above but for values. */
ZM_MUST zm_status zm_params_foresee(zm_params *p, const zm_weights *w, const char *prefix, bool all_f32, size_t *owned,
                                    size_t *mapped, zm_error *err);
/* A parameter as a row to be written; name and data are borrowed from it. */
zm_weight zm_param_weight(const zm_param *p);
/* Whether parameter i's data is the set's own copy, and may be changed. */
bool zm_param_owned(const zm_params *p, int i);

struct zm_lora;

/* One graph under construction and the leaves of the parameters it uses. */
typedef struct zm_build {
    zm_graph *g;
    const zm_params *params;
    bool train;                 /* leaves want gradients (unless frozen); checkpoint blocks */
    bool checkpoint;            /* put each block into a segment (recompute instead of keep) */
    zm_tensor **leaf;           /* by param index; NULL until used */
    const struct zm_lora *lora; /* NULL, or the adapter that zm_lora_attach set (lora.h) */
    zm_tensor **lora_leaf;      /* by index in the adapter's own set */
} zm_build;
/* g borrowed.  leaf[] lives in g's arena. */
zm_build zm_build_begin(zm_graph *g, const zm_params *p, bool train, bool checkpoint);
/* The leaf of a parameter in this graph, made on first use.  NULL for NULL (an absent bias).  A matrix that may have
 * factors is used through the functions below: here one with factors is an error of the graph. */
zm_tensor *zm_use(zm_build *b, const zm_param *p);
/* act(x w^T + bias), factors of w included; bias may be NULL.  Networks call zm_lora_linear, which adds adapters. */
zm_tensor *zm_use_linear(zm_build *b, zm_tensor *x, const zm_param *w, const zm_param *bias, zm_unary_kind act);
/* Rows of a table [V,D] by ids [..] i32 -> [..,D], its factors included. */
zm_tensor *zm_use_rows(zm_build *b, const zm_param *table, zm_tensor *ids);

/* What a training graph yields: gradient i belongs to parameter i.  Arrays live in the graph's arena. */
typedef struct zm_build_grads {
    int n;
    zm_param **param;
    zm_tensor **grad; /* marked as outputs, shaped like their parameter */
} zm_build_grads;
/* Differentiate a scalar loss [1] by every used parameter that is not frozen, the adapter's included; parameters the
 * loss does not depend on are left out.  Sticky: after an error n is 0. */
zm_build_grads zm_build_gradients(zm_build *b, zm_tensor *loss);

#endif
