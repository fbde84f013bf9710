/* Low-rank adapters on chosen linears: y = W x + bias + (alpha / rank) B (A x)   (Hu et al. 2021, LoRA, eq. 3).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_LORA_H
#define ZM_MODEL_LORA_H

#include "model/params.h"
#include "ops/unary.h"

typedef struct zm_lora_config {
    int rank;           /* 1 .. 1024 */
    float alpha;        /* > 0; scale is alpha / rank */
    const char *prefix; /* before the base's names; NULL: "diffusion_model." */
    /* Endings of the linears' names to adapt, without ".weight", NULL-terminated: "self_attn.q", "ffn.0", ...;
     * NULL: q, k, v and o of every self_attn and cross_attn. */
    const char *const *targets;
} zm_lora_config;

/* An adapter of one base.  Its parameters PREFIX + NAME + ".lora_A.weight" [rank, in] and ".lora_B.weight" [out, rank]
 * are a set of their own: zm_params_fill (A normal, B zeros: starts as the base), zm_params_load, and saving work on
 * it as on any set. */
typedef struct zm_lora {
    zm_params *params;
    zm_lora_config config;
    zm_param **a, **b; /* by index of the base's weight; NULL where not adapted */
    int n_base;
    int adapted; /* linears */
} zm_lora;

/* Declare an adapter for the base's matrices that match a target.  ZM_E_USAGE: rank or alpha; ZM_E_MISSING: nothing
 * matches; ZM_E_NOMEM.  The base is borrowed only during the call; indices tie the adapter to it. */
ZM_MUST zm_status zm_lora_declare(zm_lora **out, const zm_lora_config *c, const zm_params *base, zm_error *err);
void zm_lora_free(zm_lora *l);
/* Declare and load an adapter file: rank from the tensors, alpha from metadata "alpha" or ".alpha" tensors, else rank;
 * targets are the names found.  Prefixes "diffusion_model." and none, and lora_down/lora_up, are understood.
 * ZM_E_FORMAT: no adapter tensors or ranks that differ; ZM_E_SHAPE; ZM_E_MISSING: a linear the base lacks. */
ZM_MUST zm_status zm_lora_open(zm_lora **out, const zm_weights *w, const zm_params *base, zm_error *err);
/* Freeze every parameter of the base, so that only the adapter trains; false thaws. */
void zm_lora_freeze(zm_params *base, bool frozen);
/* Builders of this graph apply the adapter from now on.  l is borrowed until the graph is freed. */
void zm_lora_attach(zm_build *b, const zm_lora *l);
/* Add strength (alpha / rank) B A to the base's weights.  Adapted weights must be f32 of the base's own
 * (zm_params_load with all_f32): ZM_E_UNSUPPORTED otherwise. */
ZM_MUST zm_status zm_lora_merge(zm_params *base, const zm_lora *l, float strength, zm_error *err);

/* act(x w^T + bias [+ adapter]): what every network's linears are built with.  bias may be NULL. */
zm_tensor *zm_lora_linear(zm_build *b, zm_tensor *x, const zm_param *w, const zm_param *bias, zm_unary_kind act);

#endif
