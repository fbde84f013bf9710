/* Encode or decode video of any length in bounded memory: chunk after chunk through the causal feature state.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_VAE_STREAM_H
#define ZM_PIPELINE_VAE_STREAM_H

#include "backend/backend.h"
#include "model/vae.h"

typedef enum { ZM_VAE_ENCODE, ZM_VAE_DECODE } zm_vae_direction;

typedef struct zm_vae_stream_options {
    bool raw_latent;  /* latents as the network has them; else normalised per channel, as the diffusion model has */
    bool unclamped;   /* decoded video as it comes; else clamped to [-1,1] */
    bool keep_taps;   /* keep every top-level module's output, for comparisons */
    bool keep_graphs; /* keep the first chunk's graph for the next clip where it is small; else it goes at the second */
    int64_t first_row, last_row; /* decoding: of latent cells, only whose pixels come out; both 0: all */
    zm_exec_options exec;
} zm_vae_stream_options; /* NULL or {0}: what a pipeline wants */

/* Ask for band k of n of a latent with so many rows; n 1: for all of it.  Bands are decoded one after the other, each
 * through the whole clip, so that only one band's states are held at a time. */
void zm_vae_stream_band(zm_vae_stream_options *o, int k, int n, int64_t rows);

typedef struct zm_vae_stream zm_vae_stream;

/* Height and width in pixels, multiples of the spatial stride.  v and params are borrowed.  ZM_E_SHAPE; ZM_E_NOMEM. */
ZM_MUST zm_status zm_vae_stream_open(zm_vae_stream **out, const zm_vae *v, const zm_params *params,
                                     zm_vae_direction direction, int64_t height_px, int64_t width_px,
                                     const zm_vae_stream_options *opt, zm_error *err);
/* Frames that the next push takes and gives: encoding 1 -> 1, then 4 -> 1; decoding 1 -> 1, then 1 -> 4. */
int zm_vae_stream_takes(const zm_vae_stream *s);
int zm_vae_stream_gives(const zm_vae_stream *s);
/* in [takes,H,W,C] -> out [gives,H',W',C'], H' of the wanted rows, channels last; C is 3 for video, z_dim for latents. */
ZM_MUST zm_status zm_vae_stream_push(zm_vae_stream *s, const float *in, float *out, zm_error *err);
/* Pixels that a latent cell spans each way. */
int zm_vae_stream_scale(const zm_vae_stream *s);
/* Forget everything: the next push is a new clip's first. */
void zm_vae_stream_restart(zm_vae_stream *s);
/* Numbers of the states between chunks, all together, whatever was pushed. */
size_t zm_vae_stream_state(const zm_vae_stream *s);
/* After a push: the states, [zm_vae_stream_state] numbers. */
void zm_vae_stream_save(const zm_vae_stream *s, float *out);
/* The next push goes on where a stream of the same autoencoder, size and rows was when its states were saved. */
void zm_vae_stream_resume(zm_vae_stream *s, const float *in);
/* What a stream takes when a clip is longer than its first chunk. */
typedef struct zm_vae_stream_size {
    size_t work;   /* of the larger graph, with weights that kernels keep, and the states between chunks */
    size_t state;  /* of `work`, the states */
    size_t mapped; /* weights that are read where they are */
    size_t window; /* zm_exec_size.window */
    double first_flops, next_flops; /* of the first chunk and of every later one */
} zm_vae_stream_size;
/* params need only be declared.  opt as of opening: its rows and precision count.  Errors as of opening. */
ZM_MUST zm_status zm_vae_stream_measure(zm_vae_stream_size *out, const zm_vae *v, const zm_params *params,
                                        zm_vae_direction direction, int64_t height_px, int64_t width_px,
                                        const zm_vae_stream_options *opt, zm_error *err);
/* Bytes of planned memory and state held now. */
size_t zm_vae_stream_bytes(const zm_vae_stream *s);
/* The graph that ran last, borrowed until the next push; NULL before the first. */
zm_exec *zm_vae_stream_ran(const zm_vae_stream *s, const zm_graph **g);
/* With keep_taps: the i-th module's output [1,F,H,W,C] of the last push; NULL when i is past the last one. */
const zm_vae_tap *zm_vae_stream_tap(const zm_vae_stream *s, int i);
/* Its values into malloc'd memory, NULL when out of memory. */
float *zm_vae_stream_tap_read(const zm_vae_stream *s, int i);
/* NULL is fine. */
void zm_vae_stream_close(zm_vae_stream *s);

/* A whole clip through a stream: video [frames,H,W,3] -> latent [1+(frames-1)/4,H',W',z] and back.  Frames beyond
 * 1 + 4n are dropped when encoding.  `frames` counts the input's. */
ZM_MUST zm_status zm_vae_encode_clip(zm_vae_stream *s, const float *video, int64_t frames, float *latent,
                                     zm_error *err);
ZM_MUST zm_status zm_vae_decode_clip(zm_vae_stream *s, const float *latent, int64_t frames, float *video,
                                     zm_error *err);

#endif
