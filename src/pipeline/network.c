/* Velocity under guidance.
 * SPDX-License-Identifier: MIT */
#include "pipeline/network.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/fold.h"

/* One expert's graphs: what a clip needs once, and a step. */
typedef struct expert {
    zm_graph *once, *g;
    zm_exec *once_exec, *exec; /* exec NULL: not built */
    zm_tensor *context, *image;
    zm_dit_kept made, kept; /* keys and values: outputs of `once`, leaves of `g` */
    zm_dit_inputs in;
    zm_dit_past past; /* of a network that has one */
    int64_t placed;   /* blocks made when its places were told; -1: never */
    zm_tensor *velocity;
    zm_lookout lookout;
    int rows;   /* of the folded context */
    bool ready; /* this clip's keys and values are made */
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
    zm_past *past;    /* borrowed; NULL: none, or one without slots */
    float *fresh;     /* of one layer, [batch,tokens,dim], on its way into the past */
    zm_fold fold;
    float *text[2]; /* a branch's keys and values of the text, tensor after tensor; where branches take turns */
};

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
    n->past = opt->past && opt->past->ring.slots ? opt->past : NULL;
    ZM_ASSERT(!n->past || (n->past->batch == batch && n->past->branches == opt->branches));
    int64_t cells = n->size.each / n->size.z;
    n->joined = zm_aligned_alloc((size_t)(batch * cells * (n->size.z + n->channels)) * sizeof *n->joined);
    n->time = zm_aligned_alloc((size_t)(batch * n->groups * c->freq_dim) * sizeof *n->time);
    n->both = zm_aligned_alloc((size_t)(2 * n->size.each) * sizeof *n->both);
    if (n->image_tokens)
        n->features =
            zm_aligned_alloc((size_t)batch * (size_t)n->image_tokens * (size_t)c->img_dim * sizeof *n->features);
    if (n->past)
        n->fresh = zm_aligned_alloc((size_t)batch * n->past->block * sizeof *n->fresh);
    if (!n->joined || !n->time || !n->both || (n->past && !n->fresh) || (n->image_tokens && !n->features)) {
        zm_network_free(n);
        return zm_fail(err, ZM_E_NOMEM, "no memory for latents of %d x %d x %d", plan->size.frames, plan->size.height,
                       plan->size.width);
    }
    *out = n;
    return ZM_OK;
}

static void expert_close(expert *e)
{
    zm_exec_free(e->once_exec);
    zm_graph_free(e->once);
    zm_lookout_release(&e->lookout);
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
    zm_fold_release(&n->fold);
    free(n->joined);
    free(n->time);
    free(n->features);
    free(n->both);
    free(n->fresh);
    free(n->text[0]);
    free(n->text[1]);
    free(n);
}

static zm_status open_once(zm_network *n, expert *e, const zm_part *part, const zm_exec_options *opt, zm_error *err)
{
    const zm_dit_config *c = &n->m->config.dit;
    if (!(e->once = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(e->once, part->params, false, false);
    if (part->attached)
        zm_lora_attach(&b, part->attached);
    e->context = zm_input(e->once, ZM_F32, ZM_SHAPE(n->batch, e->rows, c->text_dim), "context");
    if (n->image_tokens)
        e->image = zm_input(e->once, ZM_F32, ZM_SHAPE(n->batch, n->image_tokens, c->img_dim), "image");
    e->made = zm_dit_build_kept(&b, part->dit, e->context, e->image);
    zm_exec_options once = *opt;
    once.precision = ZM_PRECISION_F32; /* run once a clip, and what every step sees */
    zm_status s = zm_graph_finish(e->once, err);
    return s ? s : zm_exec_new(&e->once_exec, e->once, &once, err);
}

/* Leaves of the past; keys that are kept stay with the graph until they are asked for. */
static void add_past(zm_network *n, expert *e, zm_build *b, const zm_part *part, zm_exec_options *opt)
{
    int64_t tokens = (int64_t)(n->past->block / (size_t)n->m->config.dit.dim);
    zm_dit_past_leaves(&e->past, b, part->dit, &e->in, n->past->ring.slots * tokens, true);
    e->placed = -1;
    opt->outputs_stay = true;
}

/* The keys and values of the branches first.. . */
static void bind_past(zm_network *n, expert *e, int first)
{
    for (int i = 0; n->past && i < e->past.n; i++) {
        e->past.k[i]->data = zm_past_layer(n->past, first, i, 0);
        e->past.v[i]->data = zm_past_layer(n->past, first, i, 1);
    }
}

static zm_status open_step(zm_network *n, expert *e, const zm_part *part, const zm_exec_options *opt, zm_error *err)
{
    if (!(e->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(e->g, part->params, false, false);
    if (part->attached)
        zm_lora_attach(&b, part->attached);
    e->in = zm_dit_input_leaves(&b, part->dit,
                                &(zm_dit_sizes){.batch = n->batch,
                                                .frames = n->size.frames,
                                                .height = n->size.height,
                                                .width = n->size.width,
                                                .groups = n->groups});
    zm_exec_options how = *opt;
    if (n->past)
        add_past(n, e, &b, part, &how);
    e->kept = zm_dit_kept_leaves(&b, &e->made);
    e->in.kept = &e->kept;
    e->in.key_bias = zm_input(e->g, ZM_F32, ZM_SHAPE(n->batch, e->rows), "key bias");
    e->in.key_len = zm_input(e->g, ZM_I32, ZM_SHAPE(n->batch), "keys");
    zm_lookout_begin(&e->lookout, n->opt.look, e->g, &e->in, n->m->config.dit.num_layers);
    e->velocity = zm_output(e->g, zm_dit_build(&b, part->dit, &e->in));
    zm_status s = zm_graph_finish(e->g, err);
    if (!s)
        bind_past(n, e, 0);
    if (!s)
        s = zm_exec_new(&e->exec, e->g, &how, err);
    return s ? s : zm_lookout_ready(&e->lookout, e->exec, err);
}

static zm_status expert_open(zm_network *n, expert *e, zm_model_part_kind kind, zm_error *err)
{
    zm_status s = zm_model_need(n->m, kind, err);
    if (s)
        return s;
    const zm_part *part = &n->m->part[kind];
    const zm_exec_options *opt = kind == ZM_PART_DIT ? &n->opt.high : &n->opt.low;
    e->rows = n->fold.rows;
    s = open_once(n, e, part, opt, err);
    if (!s)
        s = open_step(n, e, part, opt, err);
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
    bool fits = n->expert[i].exec && n->expert[i].rows >= n->fold.rows;
    if (fits && (n->expert[i].ready || n->expert[i].once_exec))
        return ZM_OK;
    expert_close(&n->expert[i]);
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

/* A kept tensor is the picture's (else the text's) when its place in its block is past the first two. */
static bool is_of_picture(const zm_network *n, int i)
{
    return n->image_tokens > 0 && i % 4 >= 2;
}

/* Keys and values of the branches first.. of the folded context; those of the text go to `store` when branches take
 * turns, else with the picture's straight to the step's leaves. */
static zm_status run_once(zm_network *n, expert *e, const zm_latent_plan *plan, int first, float *store, zm_error *err)
{
    const zm_dit_config *c = &n->m->config.dit;
    zm_fold_context(&n->fold, first, n->batch, e->rows, c->text_dim);
    zm_exec_write(e->once_exec, e->context, n->fold.context);
    if (e->image) {
        size_t each = (size_t)n->image_tokens * (size_t)c->img_dim;
        for (int b = 0; b < n->batch; b++)
            memcpy(n->features + (size_t)b * each, plan->image, each * sizeof *n->features);
        zm_exec_write(e->once_exec, e->image, n->features);
    }
    zm_status s = zm_exec_run(e->once_exec, err);
    for (int i = 0; !s && i < e->made.n; i++) {
        size_t bytes = zm_tensor_bytes(e->made.at[i]);
        if (store && !is_of_picture(n, i)) {
            zm_exec_read(e->once_exec, e->made.at[i], store);
            store += bytes / sizeof *store;
            continue;
        }
        float *host = first && store ? NULL : malloc(bytes); /* the picture's are the same for both branches */
        if (!host && !(first && store))
            return zm_fail(err, ZM_E_NOMEM, "no memory for %zu bytes of keys", bytes);
        if (host) {
            zm_exec_read(e->once_exec, e->made.at[i], host);
            zm_exec_write(e->exec, e->kept.at[i], host);
        }
        free(host);
    }
    return s;
}

/* What a clip needs once of this expert. */
static zm_status prepare(zm_network *n, expert *e, const zm_latent_plan *plan, zm_error *err)
{
    bool turns = n->opt.branches > n->batch;
    size_t floats = 0;
    for (int i = 0; i < e->made.n; i++)
        floats += is_of_picture(n, i) ? 0 : zm_tensor_bytes(e->made.at[i]) / sizeof(float);
    zm_status s = ZM_OK;
    for (int first = 0; !s && first < n->opt.branches; first += n->batch) {
        if (turns) {
            free(n->text[first]);
            if (!(n->text[first] = malloc(floats * sizeof(float))))
                return zm_fail(err, ZM_E_NOMEM, "no memory for %zu numbers of keys", floats);
        }
        s = run_once(n, e, plan, first, turns ? n->text[first] : NULL, err);
    }
    if (!n->m->keep) {
        zm_exec_free(e->once_exec);
        e->once_exec = NULL;
    }
    e->ready = !s;
    return s;
}

/* Rotary tables of a block at a place (B2 of past.h). */
static void write_places(zm_network *n, expert *e, zm_tensor *cos, zm_tensor *sin, const int *place, int blocks,
                         float *table)
{
    const zm_dit_config *c = &n->m->config.dit;
    const int *p = c->patch_size;
    size_t all = zm_tensor_bytes(cos) / sizeof *table, pairs = (size_t)(c->dim / c->num_heads / 2),
           each = n->past->block / (size_t)c->dim * pairs;
    for (int i = 0; i < blocks; i++)
        zm_rope_table(table + (size_t)i * each, table + all + (size_t)i * each, (int)pairs * 2,
                      &(zm_rope_grid){n->size.frames / p[0], n->size.height / p[1], n->size.width / p[2],
                                      .frame_offset = (double)place[i] * n->size.frames / p[0]});
    zm_exec_write(e->exec, cos, table);
    zm_exec_write(e->exec, sin, table + all);
}

/* Where the next block and what it sees stand, once a block. */
static zm_status tell_places(zm_network *n, expert *e, zm_error *err)
{
    if (!n->past || e->placed == n->past->ring.made)
        return ZM_OK;
    const zm_past_ring *r = &n->past->ring;
    int filled = zm_past_filled(r);
    int *place = malloc((size_t)(r->slots + 1) * sizeof *place);
    float *table = calloc(2, zm_tensor_bytes(e->past.rope_cos) + zm_tensor_bytes(e->in.rope_cos));
    if (place && table) {
        for (int i = 0; i < filled; i++)
            place[i] = zm_past_place(r, i);
        write_places(n, e, e->past.rope_cos, e->past.rope_sin, place, filled, table);
        write_places(n, e, e->in.rope_cos, e->in.rope_sin, &filled, 1, table);
        int32_t keys = (int32_t)((size_t)(filled + 1) * (n->past->block / (size_t)n->m->config.dit.dim));
        zm_exec_write(e->exec, e->past.keys, (int32_t[]){keys, keys});
        e->placed = r->made;
    }
    bool there = place && table;
    free(place);
    free(table);
    return there ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for the places of a film's blocks");
}

/* The leaves that differ from branch to branch. */
static void write_branch(zm_network *n, expert *e, int first)
{
    bind_past(n, e, first);
    zm_fold_bias(&n->fold, first, n->batch, e->rows);
    zm_exec_write(e->exec, e->in.key_bias, n->fold.bias);
    zm_exec_write(e->exec, e->in.key_len, n->fold.visible);
    const float *from = n->text[first];
    for (int i = 0; n->opt.branches > n->batch && i < e->kept.n; i++) {
        if (is_of_picture(n, i))
            continue;
        zm_exec_write(e->exec, e->kept.at[i], from);
        from += zm_tensor_bytes(e->kept.at[i]) / sizeof *from;
    }
}

zm_status zm_network_begin(zm_network *n, const zm_contexts *contexts, zm_error *err)
{
    ZM_ASSERT(contexts->n == n->opt.branches);
    n->expert[0].ready = n->expert[1].ready = false;
    return zm_fold_init(&n->fold, contexts, err);
}

/* x at a timestep through the runs of so many branches; after each, its velocities lie in n->both and `after` is called. */
static zm_status run_branches(zm_network *n, const zm_latent_plan *plan, const float *x, double timestep, int branches,
                              void (*after)(zm_network *n, expert *e, int first), zm_error *err)
{
    expert *e;
    zm_status s = choose(n, timestep, &e, err);
    if (!s && !e->ready)
        s = prepare(n, e, plan, err);
    if (!s)
        s = tell_places(n, e, err);
    if (s)
        return s;
    join(n, plan, x);
    tell_time(n, plan, timestep);
    zm_exec_write(e->exec, e->in.x, n->joined);
    zm_exec_write(e->exec, e->in.time, n->time);
    for (int first = 0; first < branches; first += n->batch) {
        write_branch(n, e, first);
        s = zm_exec_run(e->exec, err);
        if (s)
            return s;
        after(n, e, first);
    }
    return ZM_OK;
}

static void read_velocity(zm_network *n, expert *e, int first)
{
    zm_exec_read(e->exec, e->velocity, n->both + first * n->size.each);
    zm_lookout_tell(&e->lookout, e->exec, !first, n->fold.visible[0]);
}

static void read_keys(zm_network *n, expert *e, int first)
{
    for (int i = 0; i < 2 * e->past.n; i++) {
        zm_exec_read(e->exec, i % 2 ? e->past.new_v[i / 2] : e->past.new_k[i / 2], n->fresh);
        zm_past_put(n->past, first, i / 2, i % 2, n->fresh);
    }
    zm_lookout_pass(&e->lookout);
}

zm_status zm_network_keep(zm_network *n, const zm_latent_plan *plan, const float *x, zm_error *err)
{
    bool seen = n->past && zm_past_slot(&n->past->ring) >= 0;
    zm_status s = seen ? run_branches(n, plan, x, 0, n->opt.branches, read_keys, err) : ZM_OK;
    if (!s && n->opt.past)
        zm_past_made(n->opt.past);
    return s;
}

zm_status zm_network_velocity(zm_network *n, const zm_latent_plan *plan, const float *x, double timestep,
                              double guidance, float *v, zm_error *err)
{
    int branches = guidance == 1 && n->batch == 1 ? 1 : n->opt.branches;
    zm_status s = run_branches(n, plan, x, timestep, branches, read_velocity, err);
    if (s)
        return s;
    const float *cond = n->both, *uncond = cond + n->size.each;
    if (n->opt.look && n->opt.look->branches)
        n->opt.look->branches(n->opt.look->user, cond, branches == 1 ? NULL : uncond, n->size.each);
    float scale = (float)guidance;
    for (int64_t i = 0; i < n->size.each; i++)
        v[i] = guidance == 1 || branches == 1 ? cond[i] : uncond[i] + scale * (cond[i] - uncond[i]);
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
