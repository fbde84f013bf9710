/* The Wan family of video diffusion transformers, any size: Wan 2.1 text and image to video, Wan 2.2 TI2V and A14B, and
 * the bundled model.  One network; sizes come from a config with the official keys.
 *
 * Tokens of a clip are its patches in f,h,w order.  Every token belongs to one of G timestep groups of its sample
 * (group = token / (N/G)): G = 1 is one timestep a sample (Wan 2.1), G = F' one per latent frame (given frames have
 * timestep 0), G = N one per token (Wan 2.2's own form).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_DIT_H
#define ZM_MODEL_DIT_H

#include "format/json.h"
#include "model/params.h"
#include "model/rope_table.h"
#include "ops/attention.h"

/* Self-attention that looks back only: the clip's latent frames come in blocks, and a block sees itself and those before
 * it (zm_block_causal).  Key "causal" of a config: {"block": frames, "window": blocks, "sink": blocks, "both": bool}. */
typedef struct zm_dit_causal {
    int block;  /* latent frames of a block; 0: every frame sees every other */
    int window; /* blocks that are seen, the own one the last of them; 0: all before it */
    int sink;   /* first blocks that stay seen */
    bool both;  /* trained both ways: a clip that is made whole has no mask, its frames see each other */
} zm_dit_causal;

/* Official constructor names; `causal` is ours. */
typedef struct zm_dit_config {
    char model_type[8]; /* "t2v", "i2v", "ti2v", ... */
    int dim, ffn_dim, num_heads, num_layers;
    int in_dim, out_dim;
    int patch_size[3]; /* frames, height, width; 1,2,2 unless told */
    int freq_dim;      /* 256 */
    int text_dim;      /* 4096: width of the text encoder */
    int text_len;      /* 512: rows the context is padded to with zeros */
    int img_dim;       /* width of picture features (Wan 2.1 i2v: 1280); 0: none */
    bool qk_norm, cross_attn_norm;
    double eps;
    zm_dit_causal causal;
} zm_dit_config;

/* Read from the object at `key` ("" = the root).  ZM_E_MISSING, ZM_E_FORMAT and ZM_E_UNSUPPORTED (sizes that do not
 * divide) name file, key and value. */
ZM_MUST zm_status zm_dit_config_read(zm_dit_config *out, const zm_json *j, const char *key, zm_error *err);
/* Read the sizes from a checkpoint's tensors (PREFIX + official names): for files without a config, and for img_dim,
 * which official configs leave out.  Heads are assumed to be 128 wide, unless metadata "zouma.config", as zouma convert
 * writes it, says more.  ZM_E_UNSUPPORTED: not of this family. */
ZM_MUST zm_status zm_dit_config_detect(zm_dit_config *out, const zm_weights *w, const char *prefix, zm_error *err);
/* The JSON object that zm_dit_config_read reads back; malloc'd, NULL when out of memory. */
char *zm_dit_config_json(const zm_dit_config *c);
/* "looks back only: blocks of 2 latent frames, a window of 4 blocks, a sink of 1", of networks trained both ways with ";
 * or both ways, in clips" behind it; "" for networks that always look both ways.  Returns buf. */
const char *zm_dit_causal_text(const zm_dit_causal *c, char *buf, size_t cap);
/* The mask of self-attention over frames of `frame_tokens` tokens, of a network with patches of patch_frames latent
 * frames. */
zm_block_causal zm_dit_causal_mask(const zm_dit_causal *c, int64_t frame_tokens, int patch_frames);

typedef struct zm_dit zm_dit;

/* Declare every parameter (PREFIX + official name; NULL: none).  params is borrowed and must outlive the handle.
 * ZM_E_UNSUPPORTED: sizes that do not fit together; ZM_E_NOMEM. */
ZM_MUST zm_status zm_dit_declare(zm_dit **out, const zm_dit_config *c, zm_params *params, const char *prefix,
                                 zm_error *err);
void zm_dit_free(zm_dit *m);
const zm_dit_config *zm_dit_config_of(const zm_dit *m);

/* Sizes of one run. */
typedef struct zm_dit_sizes {
    int64_t batch, frames, height, width; /* of the latent */
    int64_t groups;                       /* timestep groups per sample; 0 means frames / patch (one per frame) */
    int64_t text_len;                     /* rows of the context; 0 means the config's */
    int64_t image_tokens;                 /* rows of picture features; 0: none */
    double frame_offset, frame_scale;     /* see zm_rope_grid */
} zm_dit_sizes;

/* Leaves of one forward pass.  Any of them may be a computed tensor instead (a text encoder's output as context). */
typedef struct zm_dit_inputs {
    zm_tensor *x;                   /* [B,F,H,W,in_dim] latent, conditioning channels after it */
    zm_tensor *time;                /* [B*G,freq_dim] zm_time_sinusoid of timesteps 0..1000 */
    zm_tensor *context;             /* [B,L,text_dim]; rows beyond the text are zero, and attended as such */
    zm_tensor *context_mask;        /* NULL, or [B,L,1]: 1 for rows of text, 0 for rows to be zeroed here */
    zm_tensor *image;               /* NULL, or [B,Li,img_dim] picture features */
    const struct zm_dit_kept *kept; /* not NULL: context and image are not looked at, these keys and values are */
    zm_tensor *key_bias, *key_len;  /* NULL, or [B,L] f32 and [B] i32 of the context's rows; see zm_dit_fold_padding */
    const struct zm_dit_past *past; /* not NULL: x is one block, which sees these keys and values beside its own */
    int looking_back; /* of a network trained both ways: so many first clips of the batch under the mask */
    zm_tensor *rope_cos, *rope_sin; /* [N,head_dim/2] */
    /* NULL, or called with named intermediates in order ("patch_embedding", "block0.self_attn", "head", ...). */
    void (*mark)(void *user, const char *name, zm_tensor *t);
    void *user;
} zm_dit_inputs;

/* Input leaves x, time, context (and image) of these sizes; the rotary tables are computed here and live in the
 * graph's arena.  context_mask and mark stay NULL. */
zm_dit_inputs zm_dit_input_leaves(zm_build *b, const zm_dit *m, const zm_dit_sizes *s);

/* What a film's block sees of those before it: keys and values of self-attention, layer by layer.  Keys are kept after
 * their norm and before rotation, so that each block can be shown them at positions the network was trained with,
 * however long the film is: the price is one rotation of P keys a layer and run.  The order of the past's tokens does
 * not matter, their rotary tables say where they stand; those that are there come first. */
typedef struct zm_dit_past {
    int n;                          /* layers */
    zm_tensor **k, **v;             /* [n] external leaves [B,P,heads,head_dim], ->data the caller's */
    zm_tensor *rope_cos, *rope_sin; /* input leaves [P,head_dim/2] */
    zm_tensor *keys;                /* input leaf [B] i32: the block's tokens and those of the past that are there */
    zm_tensor **new_k, **new_v; /* NULL, or [n]: of the block itself, outputs [B,N,heads,head_dim] once it is built */
} zm_dit_past;

/* Leaves of a past of `tokens` > 0 tokens for a graph whose other leaves `in` holds: in->past is set, and in->rope_cos
 * and in->rope_sin become input leaves, since a block's place is another in each run.  give: zm_dit_build also makes
 * new_k and new_v outputs.  Everything of the graph's arena but *p, which the caller keeps until the graph is built. */
void zm_dit_past_leaves(zm_dit_past *p, zm_build *b, const zm_dit *m, zm_dit_inputs *in, int64_t tokens, bool give);

/* Velocity [B,F,H,W,out_dim] (Wan team 2025, arXiv:2503.20314, 4.2; Peebles & Xie 2023, DiT). */
zm_tensor *zm_dit_build(zm_build *b, const zm_dit *m, const zm_dit_inputs *in);

/* What cross-attention needs of the prompt and the picture: keys and values of every block, text first.  They are the
 * same at every step, so a clip computes them once, in a graph of its own. */
typedef struct zm_dit_kept {
    int n; /* blocks x (2, or 4 with a picture) */
    zm_tensor *
        *at; /* k, v [B,L,heads,head_dim], then k_img, v_img [B,Li,..] of block 0, of block 1, ..; of the graph */
} zm_dit_kept;

/* Keys and values as outputs of this graph.  context [B,L,text_dim]; image NULL or [B,Li,img_dim]. */
zm_dit_kept zm_dit_build_kept(zm_build *b, const zm_dit *m, zm_tensor *context, zm_tensor *image);
/* Input leaves of the same shapes in another graph, to be filled with those outputs' values. */
zm_dit_kept zm_dit_kept_leaves(zm_build *b, const zm_dit_kept *of);

/* Rows of a context beyond its text are all zero, so their keys and values are all alike: one such row is enough when
 * its score is raised by the logarithm of their number, for exp(s + log n) = n exp(s).  Rows that stand for the context
 * of a text of `len` tokens in a network of text_len rows: */
int zm_dit_folded_rows(int len, int text_len);
/* bias[0..rows) and the number of visible keys of one sample; rows >= zm_dit_folded_rows of every sample of the batch. */
void zm_dit_fold_padding(float *bias, int32_t *key_len, int rows, int len, int text_len);

/* mean((velocity - target)^2 * weight) -> [1]; weight NULL or broadcastable to target ([B,F,1,1,1]: 0 for given
 * frames), normalised by the caller. */
zm_tensor *zm_flow_loss(zm_graph *g, zm_tensor *velocity, zm_tensor *target, zm_tensor *weight);

#endif
