/* The one denoising loop.
 * SPDX-License-Identifier: MIT */
#include "pipeline/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "ops/ops.h"
#include "pipeline/vae_stream.h"
#include "sample/solver.h"

struct zm_generator {
    const zm_model *m;
    int branches; /* 2: with and without prompt, in one batch */
    int frames, height, width, z, text_len;
    int64_t each; /* numbers of a latent */
    int px_width, px_height;
    zm_graph *text_graph, *graph;
    zm_exec *text_exec, *exec;
    zm_text_inputs text;
    zm_dit_inputs in;
    zm_tensor *context, *velocity;
    float *slot[ZM_SLOT_COUNT];
    zm_vae_stream *decoder, *sketch; /* sketch: single frames for previews */
    float *pixels;                   /* as many frames as a decoder push gives */
    zm_frame picture;
};

/* ---- the request ---- */

static zm_status check_text(const char *what, const char *text, zm_error *err)
{
    if (!text || !text[strspn(text, " \t\r\n")])
        return zm_fail(
            err, ZM_E_USAGE,
            "the %s is empty; say what the video should show, for example \"a red ball bounces on the grass\"", what);
    return ZM_OK;
}

static zm_status check_size(const zm_request *r, const zm_model *m, zm_error *err)
{
    const int *patch = m->config.dit.patch_size;
    int stride = zm_vae_spatial_stride(m->vae), gx = stride * patch[2], gy = stride * patch[1];
    if (r->width % gx || r->height % gy || r->width < gx || r->height < gy || r->width > 8192 || r->height > 8192) {
        int w = (r->width + gx / 2) / gx * gx, h = (r->height + gy / 2) / gy * gy;
        return zm_fail(
            err, ZM_E_USAGE,
            "size %dx%d does not fit this model: width must be a multiple of %d and height of %d; %dx%d would do",
            r->width, r->height, gx, gy,
            w < gx     ? gx
            : w > 8192 ? 8192 / gx * gx
                       : w,
            h < gy     ? gy
            : h > 8192 ? 8192 / gy * gy
                       : h);
    }
    return ZM_OK;
}

zm_status zm_request_resolve(zm_request *r, const zm_model *m, zm_error *err)
{
    const zm_model_config *c = &m->config;
    zm_status s = check_text("prompt", r->prompt, err);
    if (s)
        return s;
    r->negative = r->negative ? r->negative : c->sampling.negative ? c->sampling.negative : "";
    r->width = r->width ? r->width : c->video.width;
    r->height = r->height ? r->height : c->video.height;
    r->frames = r->frames ? r->frames : c->video.frames;
    r->fps = r->fps > 0 ? r->fps : c->video.fps;
    r->steps = r->steps ? r->steps : c->sampling.steps;
    r->guidance = r->guidance > 0 ? r->guidance : c->sampling.guidance;
    r->shift = r->shift > 0 ? r->shift : c->sampling.shift;
    r->solver = r->solver ? r->solver : c->sampling.solver;
    if (!zm_solver_find(r->solver))
        return zm_fail(err, ZM_E_USAGE, "there is no solver \"%s\"; unipc, dpmpp and euler can be chosen", r->solver);
    if (r->frames < 1 || r->frames > 4097)
        return zm_fail(err, ZM_E_USAGE, "%d frames; 1 to 4097 are possible", r->frames);
    if (r->steps < 1 || r->steps > ZM_SCHEDULE_MAX_STEPS)
        return zm_fail(err, ZM_E_USAGE, "%d steps; 1 to %d are possible", r->steps, ZM_SCHEDULE_MAX_STEPS);
    return check_size(r, m, err);
}

zm_status zm_request_unknown(const zm_request *r, const zm_model *m, char **out, zm_error *err)
{
    return zm_tokenizer_unknown(m->tokenizer, r->prompt, out, err);
}

/* ---- graphs ---- */

static zm_status make_text(zm_generator *g, zm_error *err)
{
    if (!(g->text_graph = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(g->text_graph, g->m->text_part.params, false, false);
    g->text = zm_text_input_leaves(&b, g->m->text, g->branches, g->text_len);
    g->context = zm_output(g->text_graph, zm_text_encoder_build(&b, g->m->text, &g->text));
    zm_status s = zm_graph_finish(g->text_graph, err);
    return s ? s : zm_exec_new(&g->text_exec, g->text_graph, NULL, err);
}

static zm_status make_network(zm_generator *g, zm_error *err)
{
    if (!(g->graph = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(g->graph, g->m->dit_part.params, false, false);
    g->in = zm_dit_input_leaves(&b, g->m->dit,
                                &(zm_dit_sizes){.batch = g->branches,
                                                .frames = g->frames,
                                                .height = g->height,
                                                .width = g->width,
                                                .text_len = g->text_len});
    g->velocity = zm_output(g->graph, zm_dit_build(&b, g->m->dit, &g->in));
    zm_status s = zm_graph_finish(g->graph, err);
    return s ? s : zm_exec_new(&g->exec, g->graph, NULL, err);
}

static zm_status make_memory(zm_generator *g, zm_error *err)
{
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (!(g->slot[i] = zm_aligned_alloc((size_t)g->each * sizeof(float))))
            return zm_fail(err, ZM_E_NOMEM, "out of memory for latents of %d x %d x %d", g->frames, g->height,
                           g->width);
    int most = zm_vae_temporal_stride(g->m->vae);
    g->pixels = zm_aligned_alloc((size_t)most * (size_t)g->px_width * (size_t)g->px_height * 3 * sizeof(float));
    if (!g->pixels)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for frames of %d x %d pixels", g->px_width, g->px_height);
    zm_status s = zm_frame_init(&g->picture, g->px_width, g->px_height, err);
    if (!s)
        s = zm_vae_stream_open(&g->decoder, g->m->vae, g->m->vae_part.params, ZM_VAE_DECODE, g->px_height, g->px_width,
                               NULL, err);
    return s;
}

zm_status zm_generator_new(zm_generator **out, const zm_model *m, const zm_request *r, zm_error *err)
{
    *out = NULL;
    zm_generator *g = calloc(1, sizeof *g);
    if (!g)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a generator");
    int stride = zm_vae_spatial_stride(m->vae), time = zm_vae_temporal_stride(m->vae);
    *g = (zm_generator){.m = m,
                        .branches = r->guidance == 1 ? 1 : 2,
                        .px_width = r->width,
                        .px_height = r->height,
                        .width = r->width / stride,
                        .height = r->height / stride,
                        .frames = (r->frames - 1 + time - 1) / time + 1,
                        .z = zm_vae_z_dim(m->vae),
                        .text_len = m->config.dit.text_len};
    g->each = (int64_t)g->frames * g->height * g->width * g->z;
    zm_status s = make_text(g, err);
    if (!s)
        s = make_network(g, err);
    if (!s)
        s = make_memory(g, err);
    if (s)
        zm_generator_free(g);
    else
        *out = g;
    return s;
}

void zm_generator_free(zm_generator *g)
{
    if (!g)
        return;
    zm_exec_free(g->text_exec);
    zm_exec_free(g->exec);
    zm_graph_free(g->text_graph);
    zm_graph_free(g->graph);
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        free(g->slot[i]);
    zm_vae_stream_close(g->decoder);
    zm_vae_stream_close(g->sketch);
    free(g->pixels);
    zm_frame_release(&g->picture);
    free(g);
}

const float *zm_generator_latent(const zm_generator *g, int *frames, int *height, int *width, int *z)
{
    *frames = g->frames;
    *height = g->height;
    *width = g->width;
    *z = g->z;
    return g->slot[ZM_SLOT_X];
}

size_t zm_generator_bytes(const zm_generator *g)
{
    return zm_exec_bytes(g->exec) + zm_exec_bytes(g->text_exec) + zm_vae_stream_bytes(g->decoder) +
           ZM_SLOT_COUNT * (size_t)g->each * sizeof(float);
}

/* ---- a clip ---- */

/* The context of both branches, rows beyond the text set to zero as the network was trained. */
static zm_status encode_text(zm_generator *g, const zm_request *r, zm_error *err)
{
    const char *text[] = {r->prompt, r->negative};
    int32_t *ids = g->text.ids->data, *len = g->text.len->data;
    int64_t dim = zm_dim(g->context, 2);
    memset(ids, 0, zm_tensor_bytes(g->text.ids));
    for (int b = 0; b < g->branches; b++) {
        size_t n, whole;
        zm_status s =
            zm_tokenizer_encode(g->m->tokenizer, text[b], ids + b * g->text_len, (size_t)g->text_len, &n, &whole, err);
        if (s)
            return s;
        len[b] = (int32_t)n;
    }
    zm_status s = zm_exec_run(g->text_exec, err);
    if (s)
        return s;
    float *context = g->in.context->data;
    zm_exec_read(g->text_exec, g->context, context);
    for (int b = 0; b < g->branches; b++)
        memset(context + (b * g->text_len + len[b]) * dim, 0,
               (size_t)(g->text_len - len[b]) * (size_t)dim * sizeof *context);
    return ZM_OK;
}

/* Velocity of the sample at this timestep, guidance applied: uncond + s (cond - uncond). */
static zm_status evaluate(zm_generator *g, double timestep, double guidance, zm_error *err)
{
    float *x = g->in.x->data, *time = g->in.time->data, *v = g->slot[ZM_SLOT_V];
    int64_t groups = zm_dim(g->in.time, 0) / g->branches, dim = zm_dim(g->in.time, 1);
    for (int b = 0; b < g->branches; b++)
        memcpy(x + b * g->each, g->slot[ZM_SLOT_X], (size_t)g->each * sizeof *x);
    for (int64_t k = 0; k < groups * g->branches; k++)
        zm_time_sinusoid(time + k * dim, &timestep, 1, (int)dim);
    zm_status s = zm_exec_run(g->exec, err);
    if (s)
        return s;
    const float *cond = g->velocity->data, *uncond = cond + g->each;
    if (g->branches == 1) {
        memcpy(v, cond, (size_t)g->each * sizeof *v);
        return ZM_OK;
    }
    float scale = (float)guidance;
    for (int64_t i = 0; i < g->each; i++)
        v[i] = uncond[i] + scale * (cond[i] - uncond[i]);
    return ZM_OK;
}

static void combine(zm_generator *g, const zm_combination *c)
{
    float *out = g->slot[c->out];
    const float *in[ZM_SOLVER_MAX_TERMS];
    for (int k = 0; k < c->n; k++)
        in[k] = g->slot[c->term[k].slot];
    for (int64_t i = 0; i < g->each; i++) {
        double sum = 0;
        for (int k = 0; k < c->n; k++)
            sum += c->term[k].coefficient * (double)in[k][i];
        out[i] = (float)sum;
    }
}

static void to_picture(zm_generator *g, const float *hwc)
{
    for (int64_t i = 0, n = (int64_t)g->px_width * g->px_height * 3; i < n; i++) {
        float x = (hwc[i] + 1) * 127.5F;
        g->picture.rgb[i] = (uint8_t)(x > 0 ? x < 255 ? lrintf(x) : 255 : 0);
    }
}

/* How the middle frame would look if the prediction of this step were final. */
static zm_status show_preview(zm_generator *g, const zm_step *step, const zm_watch *w, zm_error *err)
{
    if (!w->preview || step->x0_set < 0)
        return ZM_OK;
    if (!g->sketch) {
        zm_status s = zm_vae_stream_open(&g->sketch, g->m->vae, g->m->vae_part.params, ZM_VAE_DECODE, g->px_height,
                                         g->px_width, &(zm_vae_stream_options){.keep_graphs = true}, err);
        if (s)
            return s;
    }
    const float *x0 = g->slot[step->set[step->x0_set].out] + (int64_t)(g->frames / 2) * (g->each / g->frames);
    zm_vae_stream_restart(g->sketch);
    zm_status s = zm_vae_stream_push(g->sketch, x0, g->pixels, err);
    if (!s) {
        to_picture(g, g->pixels);
        w->preview(w->user, &g->picture);
    }
    return s;
}

static bool stopped(const zm_watch *w)
{
    return w->stop && *w->stop;
}

static zm_status denoise(zm_generator *g, const zm_request *r, const zm_watch *w, zm_error *err)
{
    const zm_solver *solver = zm_solver_find(r->solver);
    zm_schedule schedule;
    zm_status s = zm_schedule_build(&schedule, zm_schedule_find(solver->schedule), r->steps, r->shift, err);
    if (s)
        return s;
    for (int f = 0; f < g->frames; f++) { /* a stream per latent frame: a longer clip begins with the same noise */
        zm_rng rng = zm_rng_init(r->seed, (uint64_t)f);
        zm_rng_normals(&rng, g->slot[ZM_SLOT_X] + f * (g->each / g->frames), (size_t)(g->each / g->frames));
    }
    for (int i = 0; !s && i < schedule.steps; i++) {
        if (stopped(w))
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped at step %d of %d", i, schedule.steps);
        if (!s)
            s = evaluate(g, schedule.timestep[i], r->guidance, err);
        if (s)
            break;
        zm_step step = zm_solver_step(solver, &schedule, i, 0);
        for (int k = 0; k < step.n; k++)
            combine(g, &step.set[k]);
        s = show_preview(g, &step, w, err);
        if (w->step)
            w->step(w->user, i + 1, schedule.steps);
    }
    zm_schedule_release(&schedule);
    return s;
}

static zm_status decode(zm_generator *g, const zm_request *r, const zm_watch *w, zm_error *err)
{
    int64_t latent = g->each / g->frames, pixels = (int64_t)g->px_width * g->px_height * 3;
    int done = 0;
    zm_vae_stream_restart(g->decoder);
    for (int f = 0; f < g->frames; f++) {
        if (stopped(w))
            return zm_fail(err, ZM_E_INTERRUPTED, "stopped at frame %d", done);
        int n = zm_vae_stream_gives(g->decoder);
        zm_status s = zm_vae_stream_push(g->decoder, g->slot[ZM_SLOT_X] + f * latent, g->pixels, err);
        for (int k = 0; !s && k < n && done < r->frames; k++, done++) {
            to_picture(g, g->pixels + k * pixels);
            s = w->frame(w->user, &g->picture, err);
        }
        if (s)
            return s;
    }
    return ZM_OK;
}

zm_status zm_generate(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err)
{
    zm_status s = encode_text(g, r, err);
    if (!s)
        s = denoise(g, r, watch, err);
    return s ? s : decode(g, r, watch, err);
}
