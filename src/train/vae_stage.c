/* Training the video autoencoder.
 * SPDX-License-Identifier: MIT */
#include "train/vae_stage.h"

#include <math.h>
#include <stdlib.h>

#include "ops/ops.h"

struct zm_vae_stage {
    zm_vae *v;
    const zm_params *p;
    zm_vae_stage_options o;
    zm_pool pool, held;
    zm_tensor *video, *weight, *eps; /* inputs of the training graph */
    zm_graph *g;                     /* reconstruction of one whole clip, for scores */
    zm_exec *x;
    zm_tensor *whole, *back;
};

static zm_status make_score_graph(zm_vae_stage *s, zm_error *err)
{
    if (!(s->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(s->g, s->p, false, false);
    s->whole = zm_input(s->g, ZM_F32, ZM_SHAPE(1, s->held.frames, s->held.height, s->held.width, 3), "video");
    zm_tensor *mean = zm_vae_build_mean(&b, s->v, zm_vae_build_encode(&b, s->v, s->whole));
    s->back = zm_output(s->g, zm_unary(s->g, ZM_CLAMP1, zm_vae_build_decode(&b, s->v, mean)));
    zm_status st = zm_graph_finish(s->g, err);
    return st ? st : zm_exec_new(&s->x, s->g, NULL, err);
}

zm_status zm_vae_stage_new(zm_vae_stage **out, zm_vae *v, const zm_params *p, const zm_clip_source *train,
                           const zm_clip_source *held, const zm_vae_stage_options *o, zm_error *err)
{
    *out = NULL;
    zm_vae_stage *s = calloc(1, sizeof *s);
    if (!s)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a training stage");
    s->v = v;
    s->p = p;
    s->o = *o;
    int64_t n = train->count && train->count < o->pool ? train->count : o->pool;
    zm_status st = ZM_OK;
    if (o->frames > train->frames || (o->frames - 1) % zm_vae_temporal_stride(v))
        st = zm_fail(err, ZM_E_USAGE, "vae.frames is %d; 4n+1 and at most the clips' %d are needed", o->frames,
                     train->frames);
    if (!st)
        st = zm_pool_fill(&s->pool, train, 0, n, err);
    if (!st)
        st = zm_pool_fill(&s->held, held, 0, o->held_out, err);
    if (!st)
        st = make_score_graph(s, err);
    if (st)
        zm_vae_stage_free(s);
    else
        *out = s;
    return st;
}

void zm_vae_stage_free(zm_vae_stage *s)
{
    if (!s)
        return;
    zm_exec_free(s->x);
    zm_graph_free(s->g);
    zm_pool_release(&s->pool);
    zm_pool_release(&s->held);
    free(s);
}

static zm_tensor *build(void *user, zm_build *b)
{
    zm_vae_stage *s = user;
    int64_t n = s->o.batch, f = s->o.frames, stride = zm_vae_spatial_stride(s->v);
    s->video = zm_input(b->g, ZM_F32, ZM_SHAPE(n, f, s->pool.height, s->pool.width, 3), "video");
    s->weight = zm_input(b->g, ZM_F32, ZM_SHAPE(n, f, s->pool.height, s->pool.width, 1), "weight");
    s->eps = zm_input(b->g, ZM_F32,
                      ZM_SHAPE(n, (f - 1) / zm_vae_temporal_stride(s->v) + 1, s->pool.height / stride,
                               s->pool.width / stride, zm_vae_z_dim(s->v)),
                      "eps");
    return zm_vae_build_loss(b, s->v, s->video, s->weight, s->eps, s->o.kl);
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    (void)err;
    zm_vae_stage *s = user;
    int64_t pixels = (int64_t)s->o.frames * s->pool.height * s->pool.width,
            latents = zm_shape_elems(s->eps->shape) / s->o.batch;
    int windows = (s->pool.frames - s->o.frames) / 4 + 1;
#pragma omp parallel for
    for (int i = 0; i < s->o.batch; i++) {
        zm_rng r = zm_rng_init(s->o.seed, (uint64_t)(step * s->o.batch + i));
        int64_t clip = zm_rng_below(&r, (uint32_t)s->pool.n);
        int start = 4 * (int)zm_rng_below(&r, (uint32_t)windows);
        zm_pool_window(&s->pool, clip, start, s->o.frames, (float)s->o.inside, (float *)s->video->data + i * pixels * 3,
                       (float *)s->weight->data + i * pixels);
        zm_rng_normals(&r, (float *)s->eps->data + i * latents, (size_t)latents);
    }
    return ZM_OK;
}

static zm_status reconstruct(zm_vae_stage *s, int64_t clip, zm_error *err)
{
    zm_pool_window(&s->held, clip, 0, s->held.frames, 1, s->whole->data, NULL);
    return zm_exec_run(s->x, err);
}

zm_status zm_vae_stage_pair(zm_vae_stage *s, int64_t i, uint8_t *original, uint8_t *reconstruction, zm_error *err)
{
    zm_status st = reconstruct(s, i, err);
    const float *want = s->whole->data, *got = s->back->data;
    for (int64_t k = 0, n = zm_shape_elems(s->whole->shape); !st && k < n; k++) {
        original[k] = (uint8_t)lrintf((want[k] + 1) * 127.5F);
        reconstruction[k] = (uint8_t)lrintf((got[k] + 1) * 127.5F); /* clamped by the graph */
    }
    return st;
}

static double psnr(double square, double n)
{
    return n > 0 ? 10 * log10(4 * n / (square + 1e-30)) : 0;
}

zm_status zm_vae_stage_score(zm_vae_stage *s, zm_vae_score *out, zm_error *err)
{
    int64_t frame = (int64_t)s->held.height * s->held.width;
    double all = 0, inside = 0, n_inside = 0, *place = calloc((size_t)s->held.frames, sizeof *place);
    if (!place)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for scores");
    for (int64_t c = 0; c < s->held.n; c++) {
        zm_status st = reconstruct(s, c, err);
        if (st) {
            free(place);
            return st;
        }
        const float *got = s->back->data, *want = s->whole->data;
        const uint8_t *mask = s->held.mask + c * frame * s->held.frames;
        for (int64_t i = 0; i < frame * s->held.frames; i++) {
            double e = 0;
            for (int k = 0; k < 3; k++)
                e += ((double)got[3 * i + k] - (double)want[3 * i + k]) *
                     ((double)got[3 * i + k] - (double)want[3 * i + k]);
            all += e;
            place[i / frame] += e;
            inside += mask[i] ? e : 0;
            n_inside += mask[i] ? 3 : 0;
        }
    }
    double worst = 0;
    for (int f = 0; f < s->held.frames; f++)
        worst = fmax(worst, place[f]);
    double n = 3.0 * (double)(frame * s->held.n);
    *out = (zm_vae_score){.psnr = psnr(all, n * s->held.frames),
                          .psnr_inside = psnr(inside, n_inside),
                          .psnr_worst_frame = psnr(worst, n)};
    free(place);
    return ZM_OK;
}

static zm_status validate(void *user, int64_t step, char *text, size_t cap, zm_error *err)
{
    (void)step;
    zm_vae_score score;
    zm_status s = zm_vae_stage_score(user, &score, err);
    if (!s)
        snprintf(text, cap, "PSNR %.2f dB, inside bodies %.2f dB, worst frame %.2f dB", score.psnr, score.psnr_inside,
                 score.psnr_worst_frame);
    return s;
}

zm_stage zm_vae_stage_interface(zm_vae_stage *s)
{
    return (zm_stage){.name = "vae",
                      .user = s,
                      .tokens_per_step = s->o.batch,
                      .tokens_name = "clips",
                      .build = build,
                      .fill = fill,
                      .validate = validate};
}
