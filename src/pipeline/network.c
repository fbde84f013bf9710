/* Velocity under guidance.
 * SPDX-License-Identifier: MIT */
#include "pipeline/network.h"

#include <stdlib.h>
#include <string.h>

/* One expert's graph. */
typedef struct expert {
    zm_graph *g;
    zm_exec *exec; /* NULL: not built */
    zm_dit_inputs in;
    zm_tensor *velocity;
} expert;

struct zm_network {
    zm_model *m;
    zm_network_options opt;
    zm_latent_size size;
    int channels, image_tokens;
    int batch;        /* branches of one run */
    bool per_frame;   /* given frames are told by their timestep */
    int64_t groups;   /* timesteps of one sample */
    expert expert[2]; /* high noise (or the only one), low noise */
    float *joined;    /* [batch,F,H,W,z+channels] */
    float *time;      /* [batch*groups,freq_dim] */
    float *features;  /* [batch,image_tokens,img_dim]; NULL: none */
    float *both;      /* [2,F,H,W,z] velocities */
};

zm_status zm_contexts_init(zm_contexts *c, int n, int len, int dim, zm_error *err)
{
    *c = (zm_contexts){.n = n, .len = len, .dim = dim};
    c->at = calloc((size_t)n * (size_t)len, (size_t)dim * sizeof *c->at);
    return c->at ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for prompts of %d x %d numbers", len, dim);
}

void zm_contexts_release(zm_contexts *c)
{
    free(c->at);
    *c = (zm_contexts){0};
}

zm_status zm_network_new(zm_network **out, zm_model *m, const zm_latent_plan *plan, const zm_network_options *opt,
                         zm_error *err)
{
    *out = NULL;
    zm_network *n = calloc(1, sizeof *n);
    if (!n)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a network");
    const zm_dit_config *c = &m->config.dit;
    int batch = opt->branches == 2 && !opt->one_by_one ? 2 : 1;
    *n = (zm_network){.m = m,
                      .opt = *opt,
                      .size = plan->size,
                      .channels = plan->channels,
                      .image_tokens = plan->image ? plan->image_tokens : 0,
                      .batch = batch,
                      .per_frame = m->config.family->frame_timesteps,
                      .groups = m->config.family->frame_timesteps ? plan->size.frames / c->patch_size[0] : 1};
    int64_t cells = n->size.each / n->size.z;
    n->joined = zm_aligned_alloc((size_t)(batch * cells * (n->size.z + n->channels)) * sizeof *n->joined);
    n->time = zm_aligned_alloc((size_t)(batch * n->groups * c->freq_dim) * sizeof *n->time);
    n->both = zm_aligned_alloc((size_t)(2 * n->size.each) * sizeof *n->both);
    if (n->image_tokens)
        n->features =
            zm_aligned_alloc((size_t)batch * (size_t)n->image_tokens * (size_t)c->img_dim * sizeof *n->features);
    if (!n->joined || !n->time || !n->both || (n->image_tokens && !n->features)) {
        zm_network_free(n);
        return zm_fail(err, ZM_E_NOMEM, "no memory for latents of %d x %d x %d", plan->size.frames, plan->size.height,
                       plan->size.width);
    }
    *out = n;
    return ZM_OK;
}

static void expert_close(expert *e)
{
    zm_exec_free(e->exec);
    zm_graph_free(e->g);
    *e = (expert){0};
}

void zm_network_free(zm_network *n)
{
    if (!n)
        return;
    expert_close(&n->expert[0]);
    expert_close(&n->expert[1]);
    free(n->joined);
    free(n->time);
    free(n->features);
    free(n->both);
    free(n);
}

static zm_status expert_open(zm_network *n, expert *e, zm_model_part_kind kind, zm_error *err)
{
    zm_status s = zm_model_need(n->m, kind, err);
    if (s)
        return s;
    const zm_part *part = &n->m->part[kind];
    if (!(e->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(e->g, part->params, false, false);
    e->in = zm_dit_input_leaves(&b, part->dit,
                                &(zm_dit_sizes){.batch = n->batch,
                                                .frames = n->size.frames,
                                                .height = n->size.height,
                                                .width = n->size.width,
                                                .groups = n->groups,
                                                .image_tokens = n->image_tokens});
    e->velocity = zm_output(e->g, zm_dit_build(&b, part->dit, &e->in));
    s = zm_graph_finish(e->g, err);
    if (!s)
        s = zm_exec_new(&e->exec, e->g, kind == ZM_PART_DIT ? &n->opt.high : &n->opt.low, err);
    if (s)
        expert_close(e);
    return s;
}

bool zm_network_is_high(const zm_network *n, double timestep)
{
    return n->m->config.boundary <= 0 || timestep >= n->m->config.boundary * 1000;
}

/* The expert of this timestep, opened; the other one leaves first unless both may stay. */
static zm_status choose(zm_network *n, double timestep, expert **out, zm_error *err)
{
    static const zm_model_part_kind kind[2] = {ZM_PART_DIT, ZM_PART_DIT_LOW};
    int i = zm_network_is_high(n, timestep) ? 0 : 1;
    *out = &n->expert[i];
    if (n->expert[i].exec)
        return ZM_OK;
    if (!n->m->keep) {
        expert_close(&n->expert[1 - i]);
        zm_model_drop(n->m, kind[1 - i]);
    }
    return expert_open(n, &n->expert[i], kind[i], err);
}

/* Latent and further channels of each cell side by side, once per branch of a run. */
static void join(zm_network *n, const zm_latent_plan *plan, const float *x)
{
    int64_t cells = n->size.each / n->size.z;
    int z = n->size.z, all = z + n->channels;
    for (int64_t i = 0; i < cells; i++) {
        memcpy(n->joined + i * all, x + i * z, (size_t)z * sizeof *x);
        if (n->channels)
            memcpy(n->joined + i * all + z, plan->extra + i * n->channels, (size_t)n->channels * sizeof *x);
    }
    if (n->batch == 2)
        memcpy(n->joined + cells * all, n->joined, (size_t)(cells * all) * sizeof *x);
}

/* A group's timestep is 0 when all its frames are given. */
static void tell_time(zm_network *n, const zm_latent_plan *plan, double timestep)
{
    int dim = n->m->config.dit.freq_dim;
    int64_t span = n->size.frames / n->groups;
    for (int64_t k = 0; k < n->batch * n->groups; k++) {
        bool given = n->per_frame;
        for (int64_t f = k % n->groups * span; f < (k % n->groups + 1) * span; f++)
            given &= plan->level[f] <= 0;
        double t = given ? 0 : timestep;
        zm_time_sinusoid(n->time + k * dim, &t, 1, dim);
    }
}

static void write_inputs(zm_network *n, expert *e, const zm_latent_plan *plan)
{
    zm_exec_write(e->exec, e->in.x, n->joined);
    zm_exec_write(e->exec, e->in.time, n->time);
    if (!e->in.image)
        return;
    size_t each = (size_t)n->image_tokens * (size_t)n->m->config.dit.img_dim;
    for (int b = 0; b < n->batch; b++)
        memcpy(n->features + (size_t)b * each, plan->image, each * sizeof *n->features);
    zm_exec_write(e->exec, e->in.image, n->features);
}

zm_status zm_network_velocity(zm_network *n, const zm_latent_plan *plan, const zm_contexts *contexts, const float *x,
                              double timestep, double guidance, float *v, zm_error *err)
{
    expert *e;
    ZM_ASSERT(contexts->n == n->opt.branches);
    zm_status s = choose(n, timestep, &e, err);
    if (s)
        return s;
    join(n, plan, x);
    tell_time(n, plan, timestep);
    write_inputs(n, e, plan);
    for (int first = 0; first < contexts->n; first += n->batch) {
        zm_exec_write(e->exec, e->in.context,
                      contexts->at + (size_t)first * (size_t)contexts->len * (size_t)contexts->dim);
        s = zm_exec_run(e->exec, err);
        if (s)
            return s;
        zm_exec_read(e->exec, e->velocity, n->both + first * n->size.each);
    }
    const float *cond = n->both, *uncond = cond + n->size.each;
    float scale = (float)guidance;
    for (int64_t i = 0; i < n->size.each; i++)
        v[i] = contexts->n == 1 ? cond[i] : uncond[i] + scale * (cond[i] - uncond[i]);
    return ZM_OK;
}

void zm_network_rest(zm_network *n)
{
    if (!n || n->m->keep)
        return;
    expert_close(&n->expert[0]);
    expert_close(&n->expert[1]);
    zm_model_drop(n->m, ZM_PART_DIT);
    zm_model_drop(n->m, ZM_PART_DIT_LOW);
}
