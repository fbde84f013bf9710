/* Causal video autoencoders: one handle for the Wan 2.1, Wan 2.2 and light families.
 *
 * All of them are causal in time: 1 + T*n frames become 1 + n latent frames (T = temporal stride, 4), the first
 * frame alone, and no output depends on later input.  Video is channels-last [B,F,H,W,3] in [-1,1].
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_VAE_H
#define ZM_MODEL_VAE_H

#include "format/json.h"
#include "model/params.h"

enum { ZM_VAE_STAGES_MAX = 8, ZM_VAE_Z_MAX = 128, ZM_VAE_SLOTS_MAX = 640, ZM_VAE_TAPS_MAX = 64 };

typedef enum { ZM_VAE_WAN21, ZM_VAE_WAN22, ZM_VAE_LIGHT } zm_vae_kind;

/* Sizes of a network.  The Wan fields carry the names of the official constructor's arguments. */
typedef struct zm_vae_config {
    zm_vae_kind kind;
    int z_dim;
    /* Wan 2.1 and 2.2 */
    int dim, dec_dim; /* narrowest width of encoder and decoder */
    int n_stages, dim_mult[ZM_VAE_STAGES_MAX];
    int num_res_blocks;
    bool temporal_down[ZM_VAE_STAGES_MAX]; /* n_stages - 1 entries */
    int patch;                             /* pixels folded into channels first: 2 for Wan 2.2, else 1 */
    /* light */
    int fold;          /* pixels folded first, each side */
    int channels[2];   /* before and after the second fold (2x2) */
    int enc_blocks[4]; /* residual blocks at channels[0]; then at channels[1] with all, half, quarter of the frames */
    int dec_blocks[4]; /* the same places, in the same order */
    float mean[ZM_VAE_Z_MAX], std[ZM_VAE_Z_MAX]; /* of each latent channel; 0 and 1 unless known */
} zm_vae_config;

typedef struct zm_vae zm_vae;

/* Read the sizes from the object at `key` ("" = the root): "kind" is "wan21", "wan22" or "light" (absent: "dec_dim"
 * tells 2.2 from 2.1); "latents_mean" and "latents_std" from there or from the root.  ZM_E_FORMAT, ZM_E_MISSING,
 * ZM_E_UNSUPPORTED name the key and its value. */
ZM_MUST zm_status zm_vae_config_read(zm_vae_config *out, const zm_json *j, const char *key, zm_error *err);
/* Read the sizes of an official checkpoint without a config from its tensors' names and shapes; official latent
 * statistics when z_dim is 16 (2.1) or 48 (2.2).  ZM_E_UNSUPPORTED: none of the Wan families. */
ZM_MUST zm_status zm_vae_config_detect(zm_vae_config *out, const zm_weights *w, const char *prefix, zm_error *err);
/* The bundled model's autoencoder: 8x8 pixels and 4 frames to 16 channels. */
zm_vae_config zm_vae_config_light(void);
/* The JSON object that zm_vae_config_read reads back; malloc'd, NULL when out of memory. */
char *zm_vae_config_json(const zm_vae_config *c);

/* Declare every parameter (PREFIX + official name) and keep pointers to them.  params is borrowed and must outlive
 * the handle.  ZM_E_UNSUPPORTED: sizes out of range; ZM_E_NOMEM. */
ZM_MUST zm_status zm_vae_declare(zm_vae **out, const zm_vae_config *c, zm_params *params, const char *prefix,
                                 zm_error *err);
void zm_vae_free(zm_vae *v);

const zm_vae_config *zm_vae_config_of(const zm_vae *v);
int zm_vae_z_dim(const zm_vae *v);
int zm_vae_spatial_stride(const zm_vae *v);  /* pixels a latent cell spans, each side */
int zm_vae_temporal_stride(const zm_vae *v); /* frames a latent frame spans, but for the first */
/* Latent statistics measured after training; z_dim numbers each, std > 0. */
void zm_vae_set_stats(zm_vae *v, const float *mean, const float *std);

/* moments [B,F',H',W',2z]: mean, then log variance of the latent, not normalised.  F = 1 + 4n; H and W multiples of
 * the spatial stride.  Whole clip in one pass. */
zm_tensor *zm_vae_build_encode(zm_build *b, const zm_vae *v, zm_tensor *video);
/* Video from a latent that is not normalised; not clamped. */
zm_tensor *zm_vae_build_decode(zm_build *b, const zm_vae *v, zm_tensor *z);
/* Decoded video limited to [-1,1], as the official code returns it. */
zm_tensor *zm_vae_build_clamp(zm_build *b, zm_tensor *video);
/* The mean half of moments. */
zm_tensor *zm_vae_build_mean(zm_build *b, const zm_vae *v, zm_tensor *moments);
/* (z - mean) / std and back, per channel: what the diffusion model sees. */
zm_tensor *zm_vae_build_normalise(zm_build *b, const zm_vae *v, zm_tensor *z);
zm_tensor *zm_vae_build_denormalise(zm_build *b, const zm_vae *v, zm_tensor *z);
/* The same in place on n latent vectors of z_dim numbers in memory. */
void zm_vae_normalise(const zm_vae *v, float *z, size_t n);
void zm_vae_denormalise(const zm_vae *v, float *z, size_t n);

/* Weights of the training loss.  Zero terms are not built. */
typedef struct zm_vae_loss_options {
    double l1, l2; /* of the pixel error, weighted by pixel */
    double edge;   /* L1 of the error's differences along height and width */
    double kl;     /* mean over latent numbers of the divergence from N(0,1) */
} zm_vae_loss_options;

typedef struct zm_vae_loss { /* scalars [1] */
    zm_tensor *total, *l1, *kl;
    zm_tensor *video; /* the reconstruction */
} zm_vae_loss;

/* Reconstruction and KL (Kingma & Welling 2014, eq. 10).  weight [B,F,H,W,1] multiplies pixel errors (mean 1 keeps
 * the scale); eps [B,F',H',W',z] standard normals. */
zm_vae_loss zm_vae_build_loss_parts(zm_build *b, const zm_vae *v, zm_tensor *video, zm_tensor *weight, zm_tensor *eps,
                                    const zm_vae_loss_options *o);
/* The default mixture: L1 + 0.5 L2 + 0.5 edge + kl_weight KL. */
zm_tensor *zm_vae_build_loss(zm_build *b, const zm_vae *v, zm_tensor *video, zm_tensor *weight, zm_tensor *eps,
                             double kl_weight);

/* Chunks: a clip of any length through two graphs.  Every causal convolution keeps its last input frames as state.
 * The first chunk starts from nothing, later ones from what the chunk before left; a later chunk's graph is the same
 * for all of them.  A run overwrites the state's memory in place, so it is held once.  Encoding: 1 frame, then 4 at a time; decoding: one latent frame at a time. */
typedef enum { ZM_VAE_WHOLE, ZM_VAE_FIRST, ZM_VAE_NEXT } zm_vae_pass_mode;

typedef struct zm_vae_slot {
    zm_tensor
        *state;     /* external leaf; NEXT reads it, then both overwrite it.  NULL in FIRST where it starts as zeros */
    zm_shape shape; /* [B,1,H,W,C], the same in FIRST and NEXT, slot by slot */
} zm_vae_slot;

typedef struct zm_vae_tap {
    const char *name; /* official module name, "decoder.middle.1" */
    zm_tensor *at;
} zm_vae_tap;

typedef struct zm_vae_chunk {
    zm_vae_pass_mode mode;
    bool keep_taps; /* record the output of every top-level module, kept after a run */
    /* Decoding: rows of latent cells whose pixels are wanted, first to before last; both 0: all.  The whole latent goes
     * in; what these pixels do not depend on is not computed, so their values are the same and the states smaller. */
    int64_t first_row, last_row;
    int n_slots, n_taps;
    zm_vae_slot slot[ZM_VAE_SLOTS_MAX];
    zm_vae_tap tap[ZM_VAE_TAPS_MAX];
} zm_vae_chunk;

/* As the whole-clip builders; the caller sets mode and keep_taps, the rest is filled in.  FIRST takes one frame. */
zm_tensor *zm_vae_build_encode_chunk(zm_build *b, const zm_vae *v, zm_tensor *video, zm_vae_chunk *c);
zm_tensor *zm_vae_build_decode_chunk(zm_build *b, const zm_vae *v, zm_tensor *z, zm_vae_chunk *c);

#endif
