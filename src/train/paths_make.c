/* Walking paths with a teacher's networks, a batch at a time.
 * SPDX-License-Identifier: MIT */
#include "train/paths_make.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "train/walk.h"

enum { BATCH = ZM_PATHS_BATCH, CAPTIONS = 8 };

/* A transformer's velocities for one batch; with guidance the captions' branch and the empty prompt's.  The paths that look
 * back only come first in both: a network trained both ways has its first clips under the mask. */
typedef struct answerer {
    int branches, back;
    zm_graph *g;
    zm_exec *x;
    zm_dit_inputs in;
    zm_tensor *velocity;
} answerer;

struct zm_paths_maker {
    const zm_teacher *t;
    const zm_paths_options *o;
    zm_schedule fine;
    const zm_schedule *student;
    zm_graph *text_g;
    zm_exec *text_x;
    zm_text_inputs text;
    zm_tensor *text_mask, *context; /* [BATCH+1,L,1], [BATCH+1,L,text_dim]: the last row is the empty prompt */
    answerer teacher, own;
    zm_walk walk;
    int64_t each; /* numbers in one latent */
    /* of the batch at hand */
    int given[BATCH];
    float *clean; /* [BATCH,F,H,W,z]: where the batch before it ended */
    char caption[BATCH][ZM_CAPTION_MAX];
    zm_paths_made *to;
    int64_t at, count; /* place in *to, and how many of the batch are wanted */
};

void zm_paths_made_release(zm_paths_made *m)
{
    free(m->start);
    free(m->velocity);
    free(m->context);
    free(m->given);
    *m = (zm_paths_made){0};
}

int zm_paths_back(const zm_teacher *t, const zm_paths_options *o)
{
    const zm_dit_causal *c = &zm_dit_config_of(t->dit)->causal;
    return c->both ? (int)lrint(o->back * BATCH) : c->block > 0 ? BATCH : 0;
}

/* Where a network's batch has path i in a branch. */
static int row(const answerer *a, int branch, int i)
{
    return i < a->back ? branch * a->back + i : a->branches * a->back + branch * (BATCH - a->back) + i - a->back;
}

static zm_status text_open(zm_paths_maker *m, zm_error *err)
{
    int64_t len = zm_dit_config_of(m->t->dit)->text_len;
    if (!(m->text_g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(m->text_g, m->t->text_params, false, false);
    m->text = zm_text_input_leaves(&b, m->t->text, BATCH + 1, len);
    m->text_mask = zm_input(m->text_g, ZM_F32, ZM_SHAPE(BATCH + 1, len, 1), "mask");
    m->context = zm_output(m->text_g, zm_mul(m->text_g, zm_text_encoder_build(&b, m->t->text, &m->text), m->text_mask));
    zm_status s = zm_graph_finish(m->text_g, err);
    return s ? s : zm_exec_new(&m->text_x, m->text_g, NULL, err);
}

static zm_status answerer_open(answerer *a, const zm_paths_maker *m, int branches, const zm_lora *adapter,
                               zm_error *err)
{
    const zm_paths_options *o = m->o;
    a->branches = branches;
    a->back = zm_paths_back(m->t, o);
    if (!(a->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(a->g, m->t->dit_params, false, false);
    if (adapter)
        zm_lora_attach(&b, adapter);
    a->in = zm_dit_input_leaves(
        &b, m->t->dit,
        &(zm_dit_sizes){
            .batch = (int64_t)branches * BATCH, .frames = o->frames, .height = o->height, .width = o->width});
    a->in.looking_back = branches * a->back;
    a->velocity = zm_output(a->g, zm_dit_build(&b, m->t->dit, &a->in));
    zm_status s = zm_graph_finish(a->g, err);
    return s ? s : zm_exec_new(&a->x, a->g, &(zm_exec_options){.precision = o->precision}, err);
}

static void answerer_close(answerer *a)
{
    zm_exec_free(a->x);
    zm_graph_free(a->g);
}

zm_status zm_paths_maker_new(zm_paths_maker **out, const zm_teacher *t, const zm_schedule *student,
                             const zm_paths_options *o, zm_error *err)
{
    *out = NULL;
    zm_paths_maker *m = calloc(1, sizeof *m);
    if (!m)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for paths");
    *m = (zm_paths_maker){.t = t, .o = o, .student = student};
    m->each = (int64_t)o->frames * o->height * o->width * zm_dit_config_of(t->dit)->in_dim;
    m->walk =
        (zm_walk){.student = student, .teacher = &m->fine, .fine = o->fine, .solver = o->solver, .n = BATCH * m->each};
    size_t bytes = (size_t)m->walk.n * sizeof(float);
    bool there = (m->clean = zm_aligned_alloc(bytes)) && (m->walk.start = zm_aligned_alloc(bytes));
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        if (o->solver->slots & 1u << i)
            there = there && (m->walk.slot[i] = zm_aligned_alloc(bytes));
    zm_status s = there ? zm_paths_schedule(&m->fine, student->steps * o->fine, o->shift, err)
                        : zm_fail(err, ZM_E_NOMEM, "out of memory for paths");
    if (!s && !zm_walk_schedules_fit(student, &m->fine, o->fine))
        s = zm_fail(err, ZM_E_SHAPE, "the schedule of %d steps has no points of that of %d", m->fine.steps,
                    student->steps);
    if (!s)
        s = text_open(m, err);
    if (!s)
        s = answerer_open(&m->teacher, m, o->guidance == 1 ? 1 : 2, NULL, err);
    if (!s && o->own > 0)
        s = answerer_open(&m->own, m, 1, t->student, err);
    if (s)
        zm_paths_maker_free(m);
    else
        *out = m;
    return s;
}

void zm_paths_maker_free(zm_paths_maker *m)
{
    if (!m)
        return;
    answerer_close(&m->teacher);
    answerer_close(&m->own);
    zm_exec_free(m->text_x);
    zm_graph_free(m->text_g);
    zm_schedule_release(&m->fine);
    for (int i = 0; i < ZM_SLOT_COUNT; i++)
        free(m->walk.slot[i]);
    free(m->walk.start);
    free(m->clean);
    free(m);
}

/* ---- the walk's callbacks ---- */

static zm_status answer(zm_paths_maker *m, answerer *a, const float *x, double timestep, float *v, zm_error *err)
{
    int64_t frames = m->o->frames, dim = zm_dim(a->in.time, 1);
    if (m->o->stop && *m->o->stop)
        return zm_fail(err, ZM_E_INTERRUPTED, "stopped while paths were walked; --resume continues");
    for (int branch = 0; branch < a->branches; branch++)
        for (int i = 0; i < BATCH; i++) {
            double t[ZM_PATHS_FRAMES_MAX];
            int to = row(a, branch, i);
            memcpy((float *)a->in.x->data + to * m->each, x + i * m->each, (size_t)m->each * sizeof *x);
            for (int f = 0; f < frames; f++)
                t[f] = f < m->given[i] ? 0 : timestep;
            zm_time_sinusoid((float *)a->in.time->data + to * frames * dim, t, frames, (int)dim);
        }
    zm_status s = zm_exec_run(a->x, err);
    float scale = (float)m->o->guidance;
    for (int i = 0; !s && i < BATCH; i++) {
        const float *cond = (const float *)a->velocity->data + row(a, 0, i) * m->each,
                    *uncond = a->branches == 1 ? cond : (const float *)a->velocity->data + row(a, 1, i) * m->each;
        for (int64_t k = 0; k < m->each; k++)
            v[i * m->each + k] = a->branches == 1 ? cond[k] : uncond[k] + scale * (cond[k] - uncond[k]);
    }
    return s;
}

static zm_status teacher_says(void *user, const float *x, double timestep, float *v, zm_error *err)
{
    zm_paths_maker *m = user;
    return answer(m, &m->teacher, x, timestep, v, err);
}

static zm_status student_says(void *user, const float *x, double timestep, float *v, zm_error *err)
{
    zm_paths_maker *m = user;
    return answer(m, &m->own, x, timestep, v, err);
}

static void hold(void *user, float *x)
{
    const zm_paths_maker *m = user;
    int64_t frame = m->each / m->o->frames;
    for (int i = 0; i < BATCH; i++)
        memcpy(x + i * m->each, m->clean + i * m->each, (size_t)(m->given[i] * frame) * sizeof *x);
}

static void record(void *user, int step, const float *start, const float *velocity)
{
    zm_paths_maker *m = user;
    for (int64_t i = 0; i < m->count; i++) {
        int64_t to = ((m->at + i) * m->student->steps + step) * m->each;
        zm_dtype_from_f32(m->to->start + to, start + i * m->each, ZM_F16, (size_t)m->each);
        zm_dtype_from_f32(m->to->velocity + to, velocity + i * m->each, ZM_F16, (size_t)m->each);
    }
}

/* ---- a batch ---- */

/* What is drawn for a path: whether frames are given (its prompt is then that of the path they come from), its caption,
 * its noise. */
static zm_status draw(zm_paths_maker *m, const zm_clip_source *source, int i, int64_t path, bool follows, zm_error *err)
{
    zm_rng r = zm_rng_init(m->o->seed, 0x200000000u + (uint64_t)path);
    int64_t clip = source->count ? path % source->count : path;
    int caption = (int)zm_rng_below(&r, CAPTIONS);
    bool given = zm_rng_uniform(&r) < (float)m->o->given;
    int block = i < m->teacher.back ? zm_dit_config_of(m->t->dit)->causal.block : 0;
    if (block)
        m->given[i] = block * (int)zm_rng_below(&r, (uint32_t)((m->o->frames + block - 1) / block));
    else
        m->given[i] = given ? 1 + (int)zm_rng_below(&r, 2) : 0;
    if (!follows || m->given[i] >= m->o->frames)
        m->given[i] = 0;
    zm_rng_normals(&r, m->walk.slot[ZM_SLOT_X] + i * m->each, (size_t)m->each);
    return m->given[i] ? ZM_OK : source->caption(source->user, clip, caption, m->caption[i], err);
}

/* Contexts of the batch's captions and of the empty prompt, to where the networks read them. */
static zm_status speak(zm_paths_maker *m, zm_error *err)
{
    int64_t len = zm_dim(m->context, 1), words = len * zm_dim(m->context, 2);
    int32_t *ids = m->text.ids->data, *lengths = m->text.len->data;
    float *mask = m->text_mask->data;
    memset(ids, 0, (size_t)((BATCH + 1) * len) * sizeof *ids);
    for (int i = 0; i <= BATCH; i++) {
        size_t n = 1;
        ids[i * len] = zm_tokenizer_special(m->t->tokenizer, ZM_TOKEN_EOS);
        zm_status s =
            i < BATCH ? zm_tokenizer_encode(m->t->tokenizer, m->caption[i], ids + i * len, (size_t)len, &n, NULL, err)
                      : ZM_OK;
        if (s)
            return s;
        lengths[i] = (int32_t)n;
        for (int64_t k = 0; k < len; k++)
            mask[i * len + k] = k < (int64_t)n;
    }
    zm_status s = zm_exec_run(m->text_x, err);
    if (s)
        return s;
    const float *context = m->context->data;
    size_t bytes = (size_t)words * sizeof *context;
    answerer *a[] = {&m->teacher, &m->own};
    for (int k = 0; k < 2; k++)
        for (int branch = 0; branch < a[k]->branches; branch++)
            for (int i = 0; i < BATCH; i++)
                memcpy((float *)a[k]->in.context->data + row(a[k], branch, i) * words,
                       context + (branch ? BATCH : i) * words, bytes);
    for (int64_t i = 0; i < m->count; i++)
        zm_dtype_from_f32(m->to->context + (m->at + i) * words, context + i * words, ZM_F16, (size_t)words);
    return ZM_OK;
}

static zm_status one_batch(zm_paths_maker *m, const zm_clip_source *source, int64_t path, bool follows, zm_error *err)
{
    zm_rng r = zm_rng_init(m->o->seed, 0x300000000u + (uint64_t)path);
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < BATCH; i++)
        s = draw(m, source, i, path + i, follows, err);
    if (!s)
        s = speak(m, err);
    for (int64_t i = 0; i < m->count; i++)
        m->to->given[m->at + i] = m->given[i];
    m->walk.user = m;
    m->walk.velocity = teacher_says;
    m->walk.own = zm_rng_uniform(&r) < (float)m->o->own ? student_says : NULL;
    m->walk.hold = hold;
    m->walk.record = record;
    if (!s)
        s = zm_walk_run(&m->walk, err);
    memcpy(m->clean, m->walk.slot[ZM_SLOT_X], (size_t)m->walk.n * sizeof(float));
    return s;
}

zm_status zm_paths_make(zm_paths_maker *m, zm_paths_made *out, const zm_clip_source *source, int64_t first, int64_t n,
                        zm_error *err)
{
    const zm_dit_config *c = zm_dit_config_of(m->t->dit);
    size_t states = (size_t)n * (size_t)m->student->steps * (size_t)m->each;
    *out = (zm_paths_made){.n = n,
                           .start = malloc(states * 2),
                           .velocity = malloc(states * 2),
                           .context = malloc((size_t)n * (size_t)c->text_len * (size_t)c->text_dim * 2),
                           .given = calloc((size_t)n, sizeof(int32_t))};
    if (!out->start || !out->velocity || !out->context || !out->given)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for %lld paths", (long long)n);
    m->to = out;
    zm_status s = ZM_OK;
    for (m->at = 0; !s && m->at < n; m->at += BATCH) {
        m->count = n - m->at < BATCH ? n - m->at : BATCH;
        s = one_batch(m, source, first + m->at, m->at > 0, err);
    }
    return s;
}
