/* Decode a whole clip within a given memory: whole pictures, exact bands of rows, or one band of all frames after
 * another through a scratch file.
 *
 * Above the attention of its middle a decoder of this family only looks at neighbouring pixels, so a picture can be
 * decoded from the top down in bands: every convolution keeps the last rows of the band before, as it keeps the last
 * frames of the chunk before.  Nothing is computed twice and nothing is blended: all ways give the same numbers but
 * for the order of sums inside kernels.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_VAE_TILES_H
#define ZM_PIPELINE_VAE_TILES_H

#include <signal.h>

#include "backend/backend.h"
#include "model/vae.h"

typedef struct zm_vae_tiles {
    int bands;    /* 0, 1: whole pictures.  Else the picture is decoded in about so many bands of rows */
    bool by_band; /* all frames of a band before the next band: state and rows of one band only are held; what waits
                   * for the next one lies in a scratch file, and so do the finished rows (8 bits a colour) */
} zm_vae_tiles;

/* What a way of decoding takes. */
typedef struct zm_vae_tiles_size {
    size_t bytes;         /* memory at its peak, without the weights */
    size_t scratch_bytes; /* of the scratch file */
    double flops;         /* of the whole clip */
} zm_vae_tiles_size;

typedef struct zm_vae_tiles_options {
    zm_vae_tiles tiles;
    const char *scratch_dir; /* for by_band; NULL: $TMPDIR or /var/tmp */
    zm_exec_options exec;
    const volatile sig_atomic_t *stop; /* may be NULL */
} zm_vae_tiles_options;                /* NULL or {0}: whole pictures */

/* One finished frame [H,W,3], 8 bits a colour, sRGB; borrowed until return.  Frames come in order. */
typedef zm_status (*zm_vae_frame_sink)(void *user, const uint8_t *rgb, zm_error *err);

/* latent [frames,height_px/stride,width_px/stride,z], normalised -> 1 + (frames - 1) * 4 frames.  Stops early with
 * what the sink returns.  v and params borrowed.  ZM_E_SHAPE; ZM_E_NOMEM; ZM_E_IO: the scratch file;
 * ZM_E_INTERRUPTED. */
ZM_MUST zm_status zm_vae_tiles_decode(const zm_vae *v, const zm_params *params, const float *latent, int64_t frames,
                                      int64_t height_px, int64_t width_px, const zm_vae_tiles_options *opt,
                                      zm_vae_frame_sink sink, void *user, zm_error *err);
/* The same without running it; params need only be declared. */
ZM_MUST zm_status zm_vae_tiles_measure(zm_vae_tiles_size *out, const zm_vae *v, const zm_params *params, int64_t frames,
                                       int64_t height_px, int64_t width_px, zm_vae_tiles tiles, zm_error *err);

#endif
