/* Timing the autoencoder's decoder.
 * SPDX-License-Identifier: MIT */
#include "app/bench_vae.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rng.h"
#include "ops/flops.h"
#include "pipeline/vae_stream.h"

static zm_status count(double *flops, const zm_vae *v, zm_params *p, int z, int frames, int height, int width,
                       zm_error *err)
{
    zm_graph *g = zm_graph_new();
    if (!g)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build build = zm_build_begin(g, p, false, false);
    zm_tensor *latent = zm_input(g, ZM_F32, ZM_SHAPE(1, frames, height, width, z), "latent");
    zm_output(g, zm_vae_build_decode(&build, v, latent));
    zm_status s = zm_graph_finish(g, err);
    *flops = s ? 0 : zm_graph_flops(g);
    zm_graph_free(g);
    return s;
}

static zm_status decode(zm_vae_stream *stream, const float *latent, int frames, int64_t each, float *out, zm_error *err)
{
    zm_vae_stream_restart(stream);
    for (int f = 0; f < frames; f++) {
        zm_status s = zm_vae_stream_push(stream, latent + f * each, out, err);
        if (s)
            return s;
    }
    return ZM_OK;
}

static zm_status time_decoder(const zm_vae *v, zm_params *p, zm_precision precision, int frames, int height, int width,
                              int runs, double *seconds, zm_error *err)
{
    zm_vae_stream *stream = NULL;
    int z = zm_vae_z_dim(v), stride = zm_vae_spatial_stride(v);
    int64_t each = (int64_t)height * width * z, pixels = (int64_t)height * width * stride * stride * 3;
    float *latent = malloc((size_t)(frames * each) * sizeof *latent),
          *out = malloc((size_t)(zm_vae_temporal_stride(v) * pixels) * sizeof *out);
    zm_status s = latent && out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for %d latent frames", frames);
    if (!s)
        s = zm_vae_stream_open(&stream, v, p, ZM_VAE_DECODE, (int64_t)height * stride, (int64_t)width * stride,
                               &(zm_vae_stream_options){.keep_graphs = runs > 1, .exec = {.precision = precision}},
                               err);
    if (!s) {
        zm_rng rng = zm_rng_init(7, 7);
        zm_rng_normals(&rng, latent, (size_t)(frames * each));
    }
    for (int i = 0; !s && i < runs; i++) {
        double start = zm_now();
        s = decode(stream, latent, frames, each, out, err);
        double took = zm_now() - start;
        *seconds = i == 0 || took < *seconds ? took : *seconds;
    }
    zm_vae_stream_close(stream);
    free(latent);
    free(out);
    return s;
}

zm_status zm_bench_vae_time(const zm_bench *b, zm_precision precision, int frames, int height, int width, int runs,
                            double *seconds, double *flops, zm_error *err)
{
    zm_vae *v = NULL;
    zm_params *p = zm_params_new();
    zm_status s =
        p ? zm_vae_declare(&v, &b->vae, p, "", err) : zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    if (!s)
        s = zm_params_fill(p, 1, err);
    if (!s)
        s = count(flops, v, p, zm_vae_z_dim(v), frames, height, width, err);
    if (!s)
        s = time_decoder(v, p, precision, frames, height, width, runs, seconds, err);
    zm_vae_free(v);
    zm_params_free(p);
    return s;
}

zm_status zm_bench_vae_decode(zm_bench *b, zm_error *err)
{
    double seconds, flops;
    char shape[112];
    zm_status s = ZM_OK;
    snprintf(shape, sizeof shape, "[1,%d,%d,%d,%d] to a clip, a latent frame at a time", b->latent_frames,
             b->latent_height, b->latent_width, b->vae.z_dim);
    for (zm_precision p = ZM_PRECISION_F32; !s && p <= ZM_PRECISION_INT8; p++) {
        s = zm_bench_vae_time(b, p, b->latent_frames, b->latent_height, b->latent_width, 3, &seconds, &flops, err);
        if (!s)
            zm_bench_keep(b, "vae-decode", zm_precision_name(p), seconds, flops, shape);
    }
    return s;
}
