/* The multimodal diffusion transformer of Stable Diffusion 3 and 3.5 (Esser et al. 2024, arXiv:2403.03206), for
 * pictures: text and picture tokens attend jointly, each with weights of its own (MMDiT-X: some blocks have a second
 * attention among the picture's tokens).  Names are the published checkpoints'; those put "model.diffusion_model." before.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_MMDIT_H
#define ZM_MODEL_MMDIT_H

#include "format/json.h"
#include "model/params.h"

enum { ZM_MMDIT_BLOCKS_MAX = 128 };

/* Official constructor names where they have one; width is 64 * depth, heads are depth. */
typedef struct zm_mmdit_config {
    int depth, patch_size, in_channels, out_channels;
    int adm_in_channels;    /* width of the pooled text; 0: none */
    int context_dim;        /* width of the text's tokens; 0: as wide as the network, no embedding */
    int pos_embed_max_size; /* side of the table of positions, in patches */
    double mlp_ratio;
    bool qk_norm, qkv_bias;
    bool dual[ZM_MMDIT_BLOCKS_MAX]; /* blocks with a second attention (x_block_self_attn_layers) */
} zm_mmdit_config;

/* Read constructor arguments from the object at `key`.  ZM_E_MISSING, ZM_E_FORMAT, ZM_E_UNSUPPORTED name key and value. */
ZM_MUST zm_status zm_mmdit_config_read(zm_mmdit_config *out, const zm_json *j, const char *key, zm_error *err);
/* Read the sizes from a checkpoint's tensors (PREFIX + official names).  ZM_E_UNSUPPORTED: not of this family. */
ZM_MUST zm_status zm_mmdit_config_detect(zm_mmdit_config *out, const zm_weights *w, const char *prefix, zm_error *err);

typedef struct zm_mmdit zm_mmdit;

/* Declare every parameter.  ZM_E_UNSUPPORTED: sizes that are not possible; ZM_E_NOMEM. */
ZM_MUST zm_status zm_mmdit_declare(zm_mmdit **out, const zm_mmdit_config *c, zm_params *params, const char *prefix,
                                   zm_error *err);
void zm_mmdit_free(zm_mmdit *m);
const zm_mmdit_config *zm_mmdit_config_of(const zm_mmdit *m);

/* out [n,256]: cosines, then sines of timesteps 0..1000 times 128 falling frequencies, in f32 as published (Wan
 * computes the same in f64). */
void zm_mmdit_time(float *out, const float *t, int64_t n);

typedef struct zm_mmdit_inputs {
    zm_tensor *x;                                             /* [B,H,W,in_channels] latent */
    zm_tensor *time;                                          /* [B,256] zm_time_sinusoid of timesteps 0..1000 */
    zm_tensor *y;                                             /* [B,adm_in_channels] pooled text; NULL: none */
    zm_tensor *context;                                       /* [B,L,context_dim] */
    void (*mark)(void *user, const char *name, zm_tensor *t); /* NULL, or called with named intermediates */
    void *user;
} zm_mmdit_inputs;

/* Velocity [B,H,W,out_channels].  H and W in patches are at most pos_embed_max_size: ZM_E_SHAPE in the graph. */
zm_tensor *zm_mmdit_build(zm_build *b, const zm_mmdit *m, const zm_mmdit_inputs *in);

#endif
