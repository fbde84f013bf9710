/* Inside of the video autoencoders: the handle, and the causal pieces that all families are made of.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_VAE_PARTS_H
#define ZM_MODEL_VAE_PARTS_H

#include "model/vae.h"
#include "ops/ops.h"

/* A convolution: kernel [O,C,kf,kh,kw], or [O,C,kh,kw] as some checkpoints keep 2-D ones. */
typedef struct zm_vae_conv {
    zm_param *weight, *bias;
    int kernel[3];
} zm_vae_conv;

/* What building one direction needs. */
typedef struct zm_vae_pass {
    zm_build *b;
    zm_graph *g;
    zm_vae_chunk *chunk; /* never NULL */
    bool open[2];        /* the picture goes on beyond the tensor's first, last row: no zeros stand there */
    int slot;            /* the next state's number in the chunk */
    bool in_pieces;      /* the chunk's frames go through piece by piece, as many in all as states divide */
    int passed;          /* frames of earlier pieces */
} zm_vae_pass;

/* Where parameters go while a network is declared. */
typedef struct zm_vae_scope {
    zm_params *params;
    const char *prefix;
} zm_vae_scope;

typedef struct zm_vae_family {
    const char *name;
    /* Declare into v->net (allocated in v->arena); NULL when out of memory. */
    void *(*declare)(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s);
    zm_tensor *(*encode)(zm_vae_pass *p, const zm_vae *v, zm_tensor *x);
    zm_tensor *(*decode)(zm_vae_pass *p, const zm_vae *v, zm_tensor *z);
} zm_vae_family;

struct zm_vae {
    zm_vae_config config;
    const zm_vae_family *family;
    zm_arena *arena;
    void *net;
    float inv_std[ZM_VAE_Z_MAX];
};

/* mean and std of the released weights where sizes match them, else 0 and 1. */
void zm_vae_config_official_stats(zm_vae_config *c);
/* Sizes within bounds, so that no product of them overflows. */
ZM_MUST zm_status zm_vae_config_check(const zm_vae_config *c, zm_error *err);

extern const zm_vae_family zm_vae_family_wan21, zm_vae_family_wan22, zm_vae_family_light;

/* Declare NAME.weight and NAME.bias.  flat: the kernel has no frame axis in the file. */
zm_vae_conv zm_vae_conv_declare(zm_vae_scope *s, int in, int out, int kf, int kh, int kw, bool flat, const char *name);
/* Declare a norm's scale of `channels` ones, shape [C, 1 x extra]. */
const zm_param *zm_vae_gamma_declare(zm_vae_scope *s, int channels, int extra, const char *name);

/* Causal in time (state of kf-1 frames), zero-padded to the same size in space but at open edges, stride 1. */
zm_tensor *zm_vae_causal_conv(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c);
/* Without n rows at each open edge: what convolutions leave of x that see n rows beyond. */
zm_tensor *zm_vae_crop(zm_vae_pass *p, zm_tensor *x, int64_t n);
/* Frame by frame with given stride and padding (top and left, bottom and right). */
zm_tensor *zm_vae_flat_conv(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c, int stride, int before, int after);
/* [x0, convolution with stride 2 over all of x]: 1 + 2n frames -> 1 + n. */
zm_tensor *zm_vae_halve_frames(zm_vae_pass *p, zm_tensor *x, const zm_vae_conv *c);
/* x / max(||x||, 1e-12) * sqrt(C) * gamma over the channels. */
zm_tensor *zm_vae_norm(zm_vae_pass *p, zm_tensor *x, const zm_param *gamma);
zm_tensor *zm_vae_norm_silu(zm_vae_pass *p, zm_tensor *x, const zm_param *gamma);

/* Frames between chunks, for a causal operation on x. */
enum { ZM_VAE_PAST_MAX = 3 };
typedef struct zm_vae_past {
    int n;                             /* 0: nothing is kept here */
    zm_tensor *frame[ZM_VAE_PAST_MAX]; /* a state each, oldest first; NULL: zeros */
    zm_tensor *seen;                   /* what the operation works on: x with its past in front (NEXT), or x (else) */
    zm_tensor *x;
} zm_vae_past;

/* States of n frames, the chunk's next ones.  zero_first: after the first chunk they are zeros, whatever that chunk was. */
zm_vae_past zm_vae_past_of(zm_vae_pass *p, zm_tensor *x, int n, bool zero_first);
/* After the operation, which may read the states themselves: they become the last frames of what it worked on. */
void zm_vae_past_keep(zm_vae_pass *p, const zm_vae_past *past);

/* [B,F,H,W,C] -> [B,F,H/f,W/f,f*f*C], channel order (row, column, c); and back. */
zm_tensor *zm_vae_fold(zm_vae_pass *p, zm_tensor *x, int f);
zm_tensor *zm_vae_unfold(zm_vae_pass *p, zm_tensor *x, int f);

/* Record a module's output under its official name. */
zm_tensor *zm_vae_record(zm_vae_pass *p, zm_tensor *t, const char *fmt, ...) ZM_PRINTF(3, 4);

void zm_vae_block_begin(zm_vae_pass *p);
void zm_vae_block_end(zm_vae_pass *p);

#endif
