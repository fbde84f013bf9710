/* Timing the autoencoder's decoder.
 * SPDX-License-Identifier: MIT */
#include "app/bench_vae.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/bench_profile.h"
#include "base/clock.h"
#include "base/rng.h"
#include "ops/flops.h"
#include "pipeline/vae_stream.h"

/* The whole clip's arithmetic; draws the weights that decoding uses, and no others. */
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
    if (!s)
        s = zm_params_fill_used(p, &build, 1, err);
    *flops = s ? 0 : zm_graph_flops(g);
    zm_graph_free(g);
    return s;
}

typedef struct clip {
    const zm_vae *v;
    const zm_params *params;
    zm_precision precision;
    int frames, height, width, bands;
    int64_t each; /* numbers of a latent frame */
    float *latent, *out;
} clip;

/* Where the time of a later latent frame goes. */
static zm_status profile(zm_vae_stream *stream, zm_error *err)
{
    const zm_graph *g;
    zm_exec *x = zm_vae_stream_ran(stream, &g);
    return zm_bench_profile(x, g, "vae-decode, the last latent frame", err);
}

/* Opened and closed each time, as generation does for large models. */
static zm_status decode(const clip *c, bool nodes, zm_error *err)
{
    int stride = zm_vae_spatial_stride(c->v);
    zm_status s = ZM_OK;
    for (int k = 0; !s && k < c->bands; k++) {
        zm_vae_stream *stream = NULL;
        zm_vae_stream_options o = {.exec = {.precision = c->precision}};
        zm_vae_stream_band(&o, k, c->bands, c->height);
        s = zm_vae_stream_open(&stream, c->v, c->params, ZM_VAE_DECODE, (int64_t)c->height * stride,
                               (int64_t)c->width * stride, &o, err);
        for (int f = 0; !s && f < c->frames; f++)
            s = zm_vae_stream_push(stream, c->latent + f * c->each, c->out, err);
        if (!s && nodes && k == c->bands - 1)
            s = profile(stream, err);
        zm_vae_stream_close(stream);
    }
    return s;
}

static zm_status time_decoder(clip *c, int runs, bool nodes, double *seconds, zm_error *err)
{
    int stride = zm_vae_spatial_stride(c->v);
    int64_t pixels = (int64_t)c->height * c->width * stride * stride * 3;
    c->each = (int64_t)c->height * c->width * zm_vae_z_dim(c->v);
    c->latent = malloc((size_t)(c->frames * c->each) * sizeof *c->latent);
    c->out = malloc((size_t)(zm_vae_temporal_stride(c->v) * pixels) * sizeof *c->out);
    zm_status s = c->latent && c->out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for %d latent frames", c->frames);
    if (!s) {
        zm_rng rng = zm_rng_init(7, 7);
        zm_rng_normals(&rng, c->latent, (size_t)(c->frames * c->each));
    }
    double begun = zm_now();
    for (int i = 0; !s && i < runs && (i == 0 || zm_now() - begun < 10); i++) {
        double start = zm_now();
        s = decode(c, false, err);
        double took = zm_now() - start;
        *seconds = i == 0 || took < *seconds ? took : *seconds;
    }
    if (!s && nodes)
        s = decode(c, true, err);
    free(c->latent);
    free(c->out);
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
        s = count(flops, v, p, zm_vae_z_dim(v), frames, height, width, err);
    if (!s)
        s = time_decoder(&(clip){.v = v,
                                 .params = p,
                                 .frames = frames,
                                 .height = height,
                                 .width = width,
                                 .bands = (int)b->bands,
                                 .precision = precision},
                         runs, b->nodes, seconds, err);
    zm_vae_free(v);
    zm_params_free(p);
    return s;
}

zm_status zm_bench_vae_decode(zm_bench *b, zm_error *err)
{
    double seconds, flops;
    char shape[112];
    zm_status s = ZM_OK;
    snprintf(shape, sizeof shape, "[1,%d,%d,%d,%d] to a clip, a latent frame at a time, %d band%s", b->latent_frames,
             b->latent_height, b->latent_width, b->vae.z_dim, (int)b->bands, b->bands > 1 ? "s" : "");
    for (zm_precision p = ZM_PRECISION_F32; !s && p <= ZM_PRECISION_INT8 && zm_precision_runs(p); p++) {
        zm_peak_rss_restart();
        s = zm_bench_vae_time(b, p, b->latent_frames, b->latent_height, b->latent_width, 3, &seconds, &flops, err);
        if (s)
            break;
        zm_bench_keep(b, "vae-decode", zm_precision_name(p), seconds, flops, shape);
        b->row[b->n - 1].rss_mb = 1e-6 * (double)zm_peak_rss_bytes();
    }
    return s;
}
