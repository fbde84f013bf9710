/* Rates over tokens, threads and frames.
 * SPDX-License-Identifier: MIT */
#include "app/bench_scaling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "app/bench_vae.h"
#include "backend/backend.h"
#include "backend/cpu/peak.h"
#include "base/clock.h"
#include "media/picture.h"
#include "media/writer.h"
#include "ops/flops.h"

enum { SIZES = 6, THREADS_MOST = 8, CLIPS = 5 };

static const int thousand_tokens[SIZES] = {1, 2, 4, 8, 16, 32};
static const int clip_frames[CLIPS] = {5, 9, 17, 33, 65};

typedef struct curves {
    int threads[THREADS_MOST], n;
    char name[THREADS_MOST][32];
    double tokens[SIZES], share[THREADS_MOST][SIZES];
    double frames[CLIPS], decode[CLIPS];
} curves;

static void use_threads(int n)
{
#ifdef _OPENMP
    omp_set_num_threads(n);
#else
    (void)n;
#endif
}

static int all_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/* One block of `frames` latent frames of 64 x 64: 1024 tokens a frame with 2 x 2 patches. */
static zm_status time_block(const zm_bench *b, int frames, double *seconds, double *flops, zm_error *err)
{
    zm_dit_config c = b->dit;
    zm_dit *m = NULL;
    zm_exec *x = NULL;
    zm_params *p = zm_params_new();
    zm_graph *g = zm_graph_new();
    c.num_layers = 1;
    zm_status s = p && g ? zm_dit_declare(&m, &c, p, NULL, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a block");
    if (!s)
        s = zm_params_fill(p, 1, err);
    if (!s) {
        zm_build build = zm_build_begin(g, p, false, false);
        zm_dit_inputs in = zm_dit_input_leaves(
            &build, m,
            &(zm_dit_sizes){
                .batch = 1, .frames = frames, .height = 32 * c.patch_size[1], .width = 32 * c.patch_size[2]});
        zm_output(g, zm_dit_build(&build, m, &in));
        s = zm_graph_finish(g, err);
    }
    if (!s)
        s = zm_exec_new(&x, g, NULL, err);
    for (int i = 0; !s && i < 3; i++) {
        double start = zm_now();
        s = zm_exec_run(x, err);
        double took = zm_now() - start;
        *seconds = i == 0 || took < *seconds ? took : *seconds;
        if (took > 5) /* long runs hardly vary */
            break;
    }
    *flops = s ? 0 : zm_graph_flops(g);
    zm_exec_free(x);
    zm_graph_free(g);
    zm_dit_free(m);
    zm_params_free(p);
    return s;
}

static zm_status measure_blocks(zm_bench *b, curves *c, zm_error *err)
{
    int all = all_threads();
    zm_status s = ZM_OK;
    for (int threads = 1; !s && c->n < THREADS_MOST; threads = threads * 2 < all ? threads * 2 : all) {
        use_threads(threads);
        double peak = zm_measure_sgemm_peak(b->seconds), *share = c->share[c->n];
        snprintf(c->name[c->n], sizeof c->name[0], "%d thread%s", threads, threads == 1 ? "" : "s");
        for (int i = 0; !s && i < SIZES; i++) {
            double seconds, flops;
            char shape[112];
            s = time_block(b, thousand_tokens[i] / b->dit.patch_size[0], &seconds, &flops, err);
            c->tokens[i] = 1024.0 * thousand_tokens[i];
            share[i] = s ? 0 : 100e-9 * flops / seconds / peak;
            snprintf(shape, sizeof shape, "block, width %d, %d tokens, %s: %.0f %% of their own peak", b->dit.dim,
                     1024 * thousand_tokens[i], c->name[c->n], share[i]);
            if (!s)
                zm_bench_keep(b, "scaling", "f32", seconds, flops, shape);
        }
        c->threads[c->n++] = threads;
        if (threads == all)
            break;
    }
    use_threads(all);
    return s;
}

static zm_status measure_decoder(zm_bench *b, curves *c, zm_error *err)
{
    double peak = zm_measure_sgemm_peak(b->seconds);
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < CLIPS; i++) {
        double seconds, flops;
        char shape[112];
        s = zm_bench_vae_time(b, ZM_PRECISION_F32, 1 + (clip_frames[i] - 1) / 4, 16, 16, 1, &seconds, &flops, err);
        c->frames[i] = clip_frames[i];
        c->decode[i] = s ? 0 : 100e-9 * flops / seconds / peak;
        snprintf(shape, sizeof shape, "decoder, %d frames of 16x16 latents: %.1f ms a frame", clip_frames[i],
                 1e3 * seconds / clip_frames[i]);
        if (!s)
            zm_bench_keep(b, "scaling", "f32", seconds, flops, shape);
    }
    return s;
}

static zm_status draw(const zm_bench *b, const curves *c, zm_error *err)
{
    zm_series line[THREADS_MOST];
    zm_frame top = {0}, bottom = {0}, both = {0};
    char title[64];
    snprintf(title, sizeof title, "A block of width %d: share of the sgemm peak", b->dit.dim);
    for (int i = 0; i < c->n; i++)
        line[i] = (zm_series){.name = c->name[i], .x = c->tokens, .y = c->share[i], .n = SIZES};
    zm_status s = zm_plot(
        &top,
        &(zm_plot_options){
            .title = title, .x_label = "tokens", .y_label = "% of peak", .width = 960, .height = 420, .log_x = true},
        line, (size_t)c->n, err);
    if (!s)
        s = zm_plot(&bottom,
                    &(zm_plot_options){.title = "Decoding, a latent frame at a time: share of the sgemm peak",
                                       .x_label = "frames",
                                       .y_label = "% of peak",
                                       .width = 960,
                                       .height = 420,
                                       .log_x = true},
                    &(zm_series){.x = c->frames, .y = c->decode, .n = CLIPS}, 1, err);
    if (!s)
        s = zm_frame_init(&both, 960, 840, err);
    if (!s) {
        zm_draw_frame(&both, 0, 0, &top);
        zm_draw_frame(&both, 0, 420, &bottom);
        s = zm_picture_write(b->picture, &both, err);
    }
    zm_frame_release(&top);
    zm_frame_release(&bottom);
    zm_frame_release(&both);
    return s;
}

zm_status zm_bench_scaling(zm_bench *b, zm_error *err)
{
    curves *c = calloc(1, sizeof *c);
    if (!c)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for curves");
    zm_status s = measure_blocks(b, c, err);
    if (!s)
        s = measure_decoder(b, c, err);
    if (!s && b->picture)
        s = draw(b, c, err);
    free(c);
    return s;
}
