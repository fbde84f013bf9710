/* Teaching few steps.
 * SPDX-License-Identifier: MIT */
#include "train/distill_stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

/* The inputs of one graph: training at the options' batch, or validation. */
typedef struct batch {
    int n;
    zm_dit_inputs in;
    zm_tensor *target, *weight; /* [B,F,H,W,z], [B,F,1,1,1]: 0 for given frames */
    zm_tensor *velocity, *loss;
    zm_graph *g; /* validation's own; NULL in training */
    zm_exec *x;
} batch;

struct zm_distill_stage {
    const zm_dit *dit;
    const zm_params *base;
    const zm_lora *adapter;
    const zm_paths *train, *held;
    zm_distill_options o;
    int64_t frame, each, words; /* numbers of a latent frame, of a latent, of a context */
    batch training, check;
};

static zm_tensor *build_batch(zm_distill_stage *s, zm_build *b, batch *t, int n)
{
    const zm_paths *p = s->train;
    t->n = n;
    zm_lora_attach(b, s->adapter);
    t->in = zm_dit_input_leaves(
        b, s->dit, &(zm_dit_sizes){.batch = n, .frames = p->frames, .height = p->height, .width = p->width});
    t->target = zm_input(b->g, ZM_F32, ZM_SHAPE(n, p->frames, p->height, p->width, p->z), "target");
    t->weight = zm_input(b->g, ZM_F32, ZM_SHAPE(n, p->frames, 1, 1, 1), "weight");
    int64_t back = zm_paths_back_count(p);
    if (t == &s->training)
        t->in.looking_back = (int)lrint((double)n * (double)back / (double)p->n);
    else /* batches of validation begin where those of paths do */
        t->in.looking_back = p->back < n ? p->back : n;
    t->velocity = zm_dit_build(b, s->dit, &t->in);
    return t->loss = zm_flow_loss(b->g, t->velocity, t->target, t->weight);
}

/* Timesteps and weights of place i for a step of the student's; given frames have neither. */
static void put_step(batch *t, const zm_paths *p, int i, int step, int given)
{
    double timestep[64];
    int64_t dim = zm_dim(t->in.time, 1);
    float *weight = (float *)t->weight->data + (int64_t)i * p->frames;
    for (int f = 0; f < p->frames; f++) {
        timestep[f] = f < given ? 0 : p->schedule.timestep[step];
        weight[f] = f < given ? 0 : (float)p->frames / (float)(p->frames - given);
    }
    zm_time_sinusoid((float *)t->in.time->data + (int64_t)i * p->frames * dim, timestep, p->frames, (int)dim);
}

static int put(zm_distill_stage *s, batch *t, const zm_paths *p, int i, int64_t path, int step)
{
    int given = zm_paths_get(p, path, step, (float *)t->in.x->data + i * s->each,
                             (float *)t->target->data + i * s->each, (float *)t->in.context->data + i * s->words);
    put_step(t, p, i, step, given);
    return given;
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    (void)err;
    zm_distill_stage *s = user;
    batch *t = &s->training;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < t->n; i++) {
        zm_rng r = zm_rng_init(s->o.seed, 0x100000000u + (uint64_t)(step * t->n + i));
        bool back = i < t->in.looking_back;
        int64_t all = zm_paths_back_count(s->train), n = back ? all : s->train->n - all;
        int64_t path = zm_paths_pick(s->train, back, zm_rng_below(&r, (uint32_t)n));
        put(s, t, s->train, i, path, (int)zm_rng_below(&r, (uint32_t)s->train->schedule.steps));
    }
    return ZM_OK;
}

static zm_tensor *build(void *user, zm_build *b)
{
    zm_distill_stage *s = user;
    return build_batch(s, b, &s->training, s->o.batch);
}

/* The student's step from where the batch's x is: x moves along the velocity, but for given frames. */
static void move(zm_distill_stage *s, batch *t, int step, const int *given)
{
    const zm_schedule *sch = &s->held->schedule;
    float span = (float)(sch->sigma[step + 1] - sch->sigma[step]), *x = t->in.x->data;
    const float *v = t->velocity->data;
    for (int i = 0; i < t->n; i++)
        for (int64_t k = given[i] * s->frame; k < s->each; k++)
            x[i * s->each + k] += span * v[i * s->each + k];
}

/* Walk the held-out paths of one batch; sums of squares of what is off and of the teacher's end. */
static zm_status walk(zm_distill_stage *s, int64_t first, double *off, double *size, zm_error *err)
{
    batch *t = &s->check;
    const zm_paths *p = s->held;
    int steps = p->schedule.steps, given[16];
    zm_status st = ZM_OK;
    for (int i = 0; i < t->n; i++)
        given[i] = put(s, t, p, i, first + i, 0);
    for (int k = 0; !st && k < steps; k++) {
        for (int i = 0; i < t->n; i++)
            put_step(t, p, i, k, given[i]);
        st = zm_exec_run(t->x, err);
        move(s, t, k, given);
    }
    float *start = malloc((size_t)(2 * s->each) * sizeof *start), *v = start ? start + s->each : NULL;
    if (!st && !start)
        st = zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    float span = (float)(p->schedule.sigma[steps] - p->schedule.sigma[steps - 1]);
    for (int i = 0; !st && i < t->n; i++) {
        const float *x = (const float *)t->in.x->data + i * s->each;
        zm_paths_get(p, first + i, steps - 1, start, v, (float *)t->in.context->data);
        for (int64_t k = given[i] * s->frame; k < s->each; k++) {
            double end = (double)start[k] + (double)span * (double)v[k], d = (double)x[k] - end;
            *off += d * d;
            *size += end * end;
        }
    }
    free(start);
    return st;
}

zm_status zm_distill_measure(zm_distill_stage *s, double *distance, double *loss, zm_error *err)
{
    batch *t = &s->check;
    int64_t rounds = s->held->n / t->n;
    double off = 0, size = 0;
    for (int k = 0; loss && k < s->held->schedule.steps; k++)
        loss[k] = 0;
    for (int64_t r = 0; r < rounds; r++) {
        for (int k = 0; loss && k < s->held->schedule.steps; k++) {
            for (int i = 0; i < t->n; i++)
                put(s, t, s->held, i, r * t->n + i, k);
            zm_status st = zm_exec_run(t->x, err);
            if (st)
                return st;
            loss[k] += (double)*(const float *)t->loss->data / (double)rounds;
        }
        zm_status st = walk(s, r * t->n, &off, &size, err);
        if (st)
            return st;
    }
    *distance = sqrt(off / fmax(size, 1e-30));
    return ZM_OK;
}

static zm_status validate(void *user, int64_t step, char *text, size_t cap, zm_error *err)
{
    (void)step;
    zm_distill_stage *s = user;
    double loss[ZM_SCHEDULE_MAX_STEPS], distance;
    zm_status st = zm_distill_measure(s, &distance, loss, err);
    if (st)
        return st;
    size_t used = (size_t)snprintf(text, cap, "off the teacher's end by %.4f; loss by step", distance);
    for (int k = 0; k < s->held->schedule.steps && used + 8 < cap; k++)
        used += (size_t)snprintf(text + used, cap - used, " %.4f", loss[k]);
    return ZM_OK;
}

static zm_status make_check_graph(zm_distill_stage *s, zm_error *err)
{
    batch *t = &s->check;
    int n = s->held->n < 16 ? (int)s->held->n : 16;
    if (!(t->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(t->g, s->base, false, false);
    zm_output(t->g, build_batch(s, &b, t, n));
    zm_output(t->g, t->velocity);
    zm_status st = zm_graph_finish(t->g, err);
    return st ? st : zm_exec_new(&t->x, t->g, NULL, err);
}

zm_status zm_distill_stage_new(zm_distill_stage **out, const zm_dit *dit, const zm_params *base, const zm_lora *adapter,
                               const zm_paths *train, const zm_paths *held, const zm_distill_options *o, zm_error *err)
{
    *out = NULL;
    zm_distill_stage *s = calloc(1, sizeof *s);
    if (!s)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a training stage");
    *s = (zm_distill_stage){.dit = dit,
                            .base = base,
                            .adapter = adapter,
                            .train = train,
                            .held = held,
                            .o = *o,
                            .frame = (int64_t)train->height * train->width * train->z,
                            .words = (int64_t)train->text_len * train->text_dim};
    s->each = s->frame * train->frames;
    zm_status st = make_check_graph(s, err);
    if (st)
        zm_distill_stage_free(s);
    else
        *out = s;
    return st;
}

void zm_distill_stage_free(zm_distill_stage *s)
{
    if (!s)
        return;
    zm_exec_free(s->check.x);
    zm_graph_free(s->check.g);
    free(s);
}

zm_stage zm_distill_stage_interface(zm_distill_stage *s)
{
    const zm_paths *p = s->train;
    const int *patch = zm_dit_config_of(s->dit)->patch_size;
    double tokens = (double)p->frames * (p->height / patch[1]) * (p->width / patch[2]);
    return (zm_stage){.name = "distill",
                      .user = s,
                      .tokens_per_step = tokens * s->o.batch,
                      .tokens_name = "tokens",
                      .base = s->base,
                      .build = build,
                      .fill = fill,
                      .validate = validate};
}
