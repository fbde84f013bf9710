/* Flow matching with a noise level per latent frame.
 * SPDX-License-Identifier: MIT */
#include "train/dit_stage.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

enum { FRAMES_MAX = 64 }; /* latent frames of a training clip */

/* The inputs of one graph: training at the options' batch, or validation. */
typedef struct batch {
    int n;
    zm_dit_inputs in;
    zm_text_inputs text;
    zm_tensor *target, *weight; /* [B,F,H,W,z], [B,F,H,W,1] */
    zm_tensor *loss;
    zm_graph *g; /* validation's own; NULL in training */
    zm_exec *x;
} batch;

struct zm_dit_stage {
    const zm_dit *dit;
    const zm_text_encoder *text;
    const zm_params *p;
    const zm_latents *train, *held;
    zm_dit_stage_options o;
    int text_len;
    int32_t *ids[2];           /* [n*captions, text_len], padded with 0: training and held-out */
    int32_t *length[2];        /* [n*captions] */
    int32_t empty_id;          /* </s>: the whole of an empty prompt */
    zm_dit_stage_options back; /* as o, of clips that look back only in a network trained both ways */
    batch training, check;
};

/* How the noise levels of one clip's frames are chosen. */
typedef enum { LEVEL_COMMON, LEVEL_GIVEN, LEVEL_INDEPENDENT } level_kind;

static zm_status tokenize(zm_dit_stage *s, int which, const zm_latents *l, const zm_tokenizer *tokenizer, zm_error *err)
{
    int64_t n = l->n * l->captions;
    s->ids[which] = calloc((size_t)(n * s->text_len), sizeof **s->ids);
    s->length[which] = calloc((size_t)n, sizeof **s->length);
    if (!s->ids[which] || !s->length[which])
        return zm_fail(err, ZM_E_NOMEM, "out of memory for %" PRId64 " captions", n);
    zm_error first = {0};
#pragma omp parallel for schedule(dynamic, 256)
    for (int64_t i = 0; i < n; i++) {
        char line[ZM_CAPTION_MAX];
        size_t count = 0;
        zm_error e = {0};
        zm_latents_caption(l, i / l->captions, (int)(i % l->captions), line);
        if (zm_tokenizer_encode(tokenizer, line, s->ids[which] + i * s->text_len, (size_t)s->text_len, &count, NULL,
                                &e)) {
#pragma omp critical(zm_dit_tokens)
            first = e;
        }
        s->length[which][i] = (int32_t)count;
    }
    return first.code ? zm_fail(err, first.code, "%s", first.text) : ZM_OK;
}

static zm_tensor *build_batch(zm_dit_stage *s, zm_build *b, batch *t, int n)
{
    const zm_latents *l = s->train;
    t->n = n;
    t->text = zm_text_input_leaves(b, s->text, n, s->text_len);
    t->in = zm_dit_input_leaves(
        b, s->dit,
        &(zm_dit_sizes){
            .batch = n, .frames = s->o.frames, .height = l->height, .width = l->width, .text_len = s->text_len});
    t->in.context = zm_text_encoder_build(b, s->text, &t->text);
    t->in.context_mask = zm_input(b->g, ZM_F32, ZM_SHAPE(n, s->text_len, 1), "context_mask");
    t->target = zm_input(b->g, ZM_F32, ZM_SHAPE(n, s->o.frames, l->height, l->width, l->z), "target");
    t->weight = zm_input(b->g, ZM_F32, ZM_SHAPE(n, s->o.frames, l->height, l->width, 1), "weight");
    t->in.looking_back = t == &s->training ? (int)lrint(s->o.back * n) : 0;
    return t->loss = zm_flow_loss(b->g, zm_dit_build(b, s->dit, &t->in), t->target, t->weight);
}

int zm_dit_stage_levels(const zm_dit_stage_options *o, zm_rng *r, float *sigma, int frames)
{
    float u = zm_rng_uniform(r), level;
    int block = o->level_frames > 1 ? o->level_frames : 1, blocks = (frames + block - 1) / block, given = 0;
    zm_flow_sample(&o->times, r, &level, 1);
    if (u >= (float)o->common && u < (float)(o->common + o->given) && (!o->level_frames || blocks > 1))
        given = block * (1 + (int)zm_rng_below(r, o->level_frames ? (uint32_t)blocks - 1 : 2));
    bool independent = u >= (float)(o->common + o->given);
    if (given >= frames)
        given = 0;
    for (int f = 0; f < frames; f++) {
        if (independent && f % block == 0)
            zm_flow_sample(&o->times, r, &level, 1);
        sigma[f] = f < given ? 0 : level;
    }
    return given;
}

void zm_dit_stage_cut(const zm_dit_causal *c, zm_rng *r, int frames, int cached, int *from)
{
    int block = c && c->block > 0 ? c->block : frames, sink = c && c->block > 0 ? c->sink * block : frames, skip = 0;
    int steps = (cached - frames) / block;
    if (sink < frames && steps > 0)
        skip = block * (int)zm_rng_below(r, (uint32_t)steps + 1);
    for (int f = 0; f < frames; f++)
        from[f] = f < sink ? f : f + skip;
}

static void put_text(zm_dit_stage *s, batch *t, int which, int i, int64_t caption)
{
    int32_t *ids = (int32_t *)t->text.ids->data + (int64_t)i * s->text_len, n = 1;
    memset(ids, 0, (size_t)s->text_len * sizeof *ids);
    if (caption < 0) {
        ids[0] = s->empty_id;
    } else {
        n = s->length[which][caption];
        memcpy(ids, s->ids[which] + caption * s->text_len, (size_t)n * sizeof *ids);
    }
    ((int32_t *)t->text.len->data)[i] = n;
    float *mask = (float *)t->in.context_mask->data + (int64_t)i * s->text_len;
    for (int k = 0; k < s->text_len; k++)
        mask[k] = k < n;
}

/* Frames from[f] of clip `clip`, noised to sigma[f], into place i of a batch. */
static void put_clip(zm_dit_stage *s, batch *t, const zm_latents *l, int i, int64_t clip, const int *from,
                     const float *sigma, int given, zm_rng *r)
{
    int frames = s->o.frames;
    int64_t cells = (int64_t)l->height * l->width, each = cells * l->z, dim = zm_dim(t->in.time, 1);
    double timestep[FRAMES_MAX];
    float *noise = (float *)t->target->data + (int64_t)i * frames * each; /* the target's place holds the noise first */
    float *x = (float *)t->in.x->data + (int64_t)i * frames * each,
          *weight = (float *)t->weight->data + (int64_t)i * frames * cells;
    zm_rng_normals(r, noise, (size_t)(frames * each));
    for (int f = 0; f < frames; f++) {
        const uint16_t *latent = l->latent + (clip * l->frames + from[f]) * each;
        float a = 1 - sigma[f], b = sigma[f];
        for (int64_t k = 0; k < each; k++) {
            float x0 = zm_f16_to_f32(latent[k]), e = noise[f * each + k];
            x[f * each + k] = a * x0 + b * e;
            noise[f * each + k] = e - x0;
        }
        const uint8_t *mask = l->mask + (clip * l->frames + from[f]) * cells;
        for (int64_t k = 0; k < cells; k++)
            weight[f * cells + k] = f < given ? 0 : 1 + (float)(s->o.inside - 1) * (float)mask[k] / 255;
        timestep[f] = 1000.0 * (double)sigma[f];
    }
    zm_time_sinusoid((float *)t->in.time->data + (int64_t)i * frames * dim, timestep, frames, (int)dim);
}

/* Weights with mean one: the loss keeps its scale whatever the bodies' share. */
static void normalise_weights(batch *t)
{
    float *w = t->weight->data;
    int64_t n = zm_shape_elems(t->weight->shape);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)w[i];
    float scale = sum > 0 ? (float)((double)n / sum) : 1;
    for (int64_t i = 0; i < n; i++)
        w[i] *= scale;
}

static zm_status fill(void *user, int64_t step, zm_error *err)
{
    (void)err;
    zm_dit_stage *s = user;
    batch *t = &s->training;
    const zm_latents *l = s->train;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < t->n; i++) {
        zm_rng r = zm_rng_init(s->o.seed, 0x100000000u + (uint64_t)(step * t->n + i));
        float sigma[FRAMES_MAX];
        int64_t clip = zm_rng_below(&r, (uint32_t)l->n),
                caption = clip * l->captions + zm_rng_below(&r, (uint32_t)l->captions);
        bool drop = zm_rng_uniform(&r) < (float)s->o.prompt_dropout;
        const zm_dit_causal *c = &zm_dit_config_of(s->dit)->causal;
        bool back = c->both ? i < t->in.looking_back : c->block > 0;
        int from[FRAMES_MAX], given = zm_dit_stage_levels(c->both && back ? &s->back : &s->o, &r, sigma, s->o.frames);
        zm_dit_stage_cut(back ? c : NULL, &r, s->o.frames, l->frames, from);
        put_text(s, t, 0, i, drop ? -1 : caption);
        put_clip(s, t, l, i, clip, from, sigma, given, &r);
    }
    normalise_weights(t);
    return ZM_OK;
}

static zm_tensor *build(void *user, zm_build *b)
{
    zm_dit_stage *s = user;
    return build_batch(s, b, &s->training, s->o.batch);
}

/* Weighted loss of the held-out clips at one common noise level; with the prompts moved to another clip when
 * `shuffled`, which shows how much the text is used. */
static zm_status held_out_loss(zm_dit_stage *s, float level, bool shuffled, double *out, zm_error *err)
{
    batch *t = &s->check;
    const zm_latents *l = s->held;
    double sum = 0;
    int64_t rounds = l->n / t->n;
    for (int64_t k = 0; k < rounds; k++) {
        for (int i = 0; i < t->n; i++) {
            int64_t clip = k * t->n + i, spoken = shuffled ? (clip + l->n / 2) % l->n : clip;
            zm_rng r = zm_rng_init(7, (uint64_t)clip);
            float sigma[FRAMES_MAX];
            int from[FRAMES_MAX];
            for (int f = 0; f < s->o.frames; f++)
                sigma[f] = level;
            zm_dit_stage_cut(NULL, &r, s->o.frames, l->frames, from);
            put_text(s, t, 1, i, spoken * l->captions + clip % l->captions);
            put_clip(s, t, l, i, clip, from, sigma, 0, &r);
        }
        normalise_weights(t);
        zm_status st = zm_exec_run(t->x, err);
        if (st)
            return st;
        sum += (double)*(const float *)t->loss->data;
    }
    *out = sum / (double)rounds;
    return ZM_OK;
}

static zm_status validate(void *user, int64_t step, char *text, size_t cap, zm_error *err)
{
    (void)step;
    zm_dit_stage *s = user;
    static const float level[] = {0.1F, 0.3F, 0.5F, 0.7F, 0.9F};
    double loss[5], shuffled = 0;
    for (int i = 0; i < 5; i++) {
        zm_status st = held_out_loss(s, level[i], false, &loss[i], err);
        if (st)
            return st;
    }
    zm_status st = held_out_loss(s, 0.9F, true, &shuffled, err);
    snprintf(text, cap, "loss at sigma .1 .3 .5 .7 .9: %.3f %.3f %.3f %.3f %.3f; at .9 with prompts exchanged %.3f",
             loss[0], loss[1], loss[2], loss[3], loss[4], shuffled);
    return st;
}

static zm_status make_check_graph(zm_dit_stage *s, zm_error *err)
{
    batch *t = &s->check;
    int n = s->held->n < 16 ? (int)s->held->n : 16;
    if (!(t->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(t->g, s->p, false, false);
    zm_output(t->g, build_batch(s, &b, t, n));
    zm_status st = zm_graph_finish(t->g, err);
    if (!st)
        st = zm_exec_new(&t->x, t->g, NULL, err);
    return st;
}

zm_status zm_dit_stage_new(zm_dit_stage **out, const zm_dit *dit, const zm_text_encoder *text, const zm_params *p,
                           const zm_tokenizer *tokenizer, const zm_latents *train, const zm_latents *held,
                           const zm_dit_stage_options *o, zm_error *err)
{
    *out = NULL;
    const zm_dit_config *c = zm_dit_config_of(dit);
    int frames = o->frames ? o->frames : train->frames;
    if (c->in_dim != train->z || frames > FRAMES_MAX || frames > train->frames)
        return zm_fail(
            err, ZM_E_SHAPE,
            "latents have %d channels and %d frames, a training clip %d frames; the network takes %d channels "
            "and at most %d frames",
            train->z, train->frames, frames, c->in_dim, FRAMES_MAX);
    zm_dit_stage *s = calloc(1, sizeof *s);
    if (!s)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a training stage");
    *s = (zm_dit_stage){.dit = dit,
                        .text = text,
                        .p = p,
                        .train = train,
                        .held = held,
                        .o = *o,
                        .text_len = c->text_len,
                        .empty_id = zm_tokenizer_special(tokenizer, ZM_TOKEN_EOS)};
    s->o.frames = frames;
    if (!s->o.level_frames)
        s->o.level_frames = c->causal.block;
    if (c->causal.both) {
        s->back = s->o;
        s->back.common = o->back_common;
        s->back.given = o->back_given;
        s->o.level_frames = 0;
    }
    zm_status st = tokenize(s, 0, train, tokenizer, err);
    if (!st)
        st = tokenize(s, 1, held, tokenizer, err);
    if (!st)
        st = make_check_graph(s, err);
    if (st)
        zm_dit_stage_free(s);
    else
        *out = s;
    return st;
}

void zm_dit_stage_free(zm_dit_stage *s)
{
    if (!s)
        return;
    zm_exec_free(s->check.x);
    zm_graph_free(s->check.g);
    for (int i = 0; i < 2; i++) {
        free(s->ids[i]);
        free(s->length[i]);
    }
    free(s);
}

zm_stage zm_dit_stage_interface(zm_dit_stage *s)
{
    const zm_latents *l = s->train;
    const int *patch = zm_dit_config_of(s->dit)->patch_size;
    double tokens = (double)(s->o.frames / patch[0]) * (l->height / patch[1]) * (l->width / patch[2]);
    return (zm_stage){.name = "dit",
                      .user = s,
                      .tokens_per_step = tokens * s->o.batch,
                      .tokens_name = "tokens",
                      .build = build,
                      .fill = fill,
                      .validate = validate};
}
