/* Looking on while a clip is made.
 * SPDX-License-Identifier: MIT */
#include "pipeline/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/decode.h"
#include "pipeline/explain_tokens.h"

enum { VIEWS = 24, VIEWS_LARGE = 5, PICTURE_PX = 192 };

/* One run that is looked on. */
typedef struct lookout {
    zm_explanation *x;
    zm_model *m;
    const zm_watch *w;
    int picture_px;
    bool started_once;
    int at;        /* the step that runs */
    int from;      /* latent frame that what runs begins with: of clips made block by block, the block's first */
    int64_t cells; /* numbers of a latent frame */
    float *sample; /* [F,H,W,z] before the step */
    struct squares {
        double with, without, dot, apart, n;
    } * squares;    /* [steps] sums over all blocks */
    double started; /* of the phase */
    double *phase;  /* its time goes here */
    double outside; /* seconds in the caller's frame callback */
    int frames;     /* that came */
} lookout;

/* ---- sizes ---- */

static void choose_views(zm_explanation *x, int wanted, bool keep)
{
    int n = wanted ? wanted : keep ? VIEWS : VIEWS_LARGE;
    x->views = n < x->steps ? n : x->steps;
    for (int i = 0; i < x->views; i++) /* the last step is always among them */
        x->view[i].step = x->views == 1 ? x->steps - 1 : (int)lrint((double)i * (x->steps - 1) / (x->views - 1));
}

static void choose_keys(zm_explanation *x)
{
    int n = x->size.frames;
    x->keys = n < ZM_EXPLAIN_KEYS_MAX ? n : ZM_EXPLAIN_KEYS_MAX;
    for (int i = 0; i < x->keys; i++)
        x->key_latent[i] = x->keys == 1 ? 0 : (int)lrint((double)i * (n - 1) / (x->keys - 1));
}

static float *numbers(int64_t a, int64_t b, int64_t c)
{
    size_t n;
    bool fits = zm_size_mul(&n, (size_t)a, (size_t)b) && zm_size_mul(&n, n, (size_t)c);
    return fits ? calloc(n ? n : 1, sizeof(float)) : NULL;
}

static zm_status allocate(lookout *l, int wanted, zm_error *err)
{
    zm_explanation *x = l->x;
    const zm_dit_config *c = &l->m->config.dit;
    int64_t cells = x->size.each / x->size.frames;
    for (int i = 0; i < 3; i++)
        x->grid[i] = (const int[]){x->size.frames, x->size.height, x->size.width}[i] / c->patch_size[i];
    x->blocks = c->num_layers;
    x->padded = x->tokens < c->text_len;
    x->columns = x->tokens + x->padded;
    x->step = calloc((size_t)x->steps, sizeof *x->step);
    x->view = calloc((size_t)x->steps, sizeof *x->view);
    x->map = numbers(x->grid[0], x->grid[1] * x->grid[2], x->columns);
    x->block_map = numbers(x->blocks, x->grid[1] * x->grid[2], x->columns);
    x->block_share = numbers(x->blocks, x->columns, 1);
    x->step_share = numbers(x->steps, x->columns, 1);
    l->sample = numbers(x->size.each, 1, 1);
    l->squares = calloc((size_t)x->steps, sizeof *l->squares);
    l->cells = cells;
    bool there =
        x->step && x->view && x->map && x->block_map && x->block_share && x->step_share && l->sample && l->squares;
    if (there)
        choose_views(x, wanted, l->m->keep);
    for (int i = 0; there && i < x->views; i++) {
        x->view[i].x0 = numbers(x->size.each, 1, 1);
        x->view[i].noisy = numbers(cells, 1, 1);
        there = x->view[i].x0 && x->view[i].noisy;
    }
    choose_keys(x);
    return there ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory to look at %d steps", x->steps);
}

void zm_explanation_release(zm_explanation *x)
{
    for (int i = 0; i < x->views; i++) {
        free(x->view[i].x0);
        free(x->view[i].noisy);
        for (int k = 0; k < ZM_EXPLAIN_VIEWS; k++)
            zm_frame_release(&x->view[i].picture[k]);
    }
    for (int i = 0; i < x->keys; i++)
        zm_frame_release(&x->key[i]);
    free(x->token);
    free(x->unknown);
    free(x->step);
    free(x->view);
    free(x->map);
    free(x->block_map);
    free(x->block_share);
    free(x->step_share);
    *x = (zm_explanation){0};
}

/* ---- the loop ---- */

static zm_explain_view *view_of(zm_explanation *x, int step)
{
    for (int i = 0; i < x->views; i++)
        if (x->view[i].step == step)
            return &x->view[i];
    return NULL;
}

static void on_input(void *user, const zm_denoise *d, float *sample)
{
    lookout *l = user;
    zm_explanation *x = l->x;
    int middle = x->size.frames / 2;
    if (d->next == d->first)
        l->from += l->started_once ? d->size.frames : 0;
    l->started_once = true;
    l->at = d->next;
    memcpy(l->sample + l->from * l->cells, sample, (size_t)d->size.each * sizeof *sample);
    x->step[l->at].sigma = d->schedule.sigma[l->at];
    x->step[l->at].timestep = d->schedule.timestep[l->at];
    x->sigma_end = d->schedule.sigma[d->schedule.steps];
    zm_explain_view *v = view_of(x, l->at);
    if (v && middle >= l->from && middle < l->from + d->size.frames)
        memcpy(v->noisy, sample + (middle - l->from) * l->cells, (size_t)l->cells * sizeof *sample);
}

/* x0 = x - sigma v (sample/schedule.h), whatever the solver then makes of it. */
static void on_velocity(void *user, const zm_denoise *d, const float *v)
{
    lookout *l = user;
    zm_explain_view *view = view_of(l->x, l->at);
    int64_t from = l->from * l->cells;
    for (int64_t i = 0; view && i < d->size.each; i++)
        view->x0[from + i] = (float)((double)l->sample[from + i] - d->schedule.sigma[l->at] * (double)v[i]);
}

static void on_branches(void *user, const float *cond, const float *uncond, int64_t n)
{
    lookout *l = user;
    zm_explain_step *s = &l->x->step[l->at];
    struct squares *q = &l->squares[l->at];
    for (int64_t i = 0; i < n; i++) {
        double c = (double)cond[i], u = uncond ? (double)uncond[i] : c;
        q->with += c * c;
        q->without += u * u;
        q->dot += c * u;
        q->apart += (c - u) * (c - u);
    }
    q->n += (double)n;
    s->with = sqrt(q->with / q->n);
    s->without = sqrt(q->without / q->n);
    s->apart = sqrt(q->apart / q->n);
    s->cosine = uncond ? q->dot / sqrt(q->with * q->without) : (double)NAN;
}

static void on_ran(void *user, const zm_network_cost *cost)
{
    lookout *l = user;
    zm_network_cost *to = &l->x->step[l->at].cost;
    for (int i = 0; i < ZM_WORK_COUNT; i++) {
        to->seconds[i] += cost->seconds[i];
        to->flops[i] += cost->flops[i];
    }
}

static void on_attention(void *user, int block, const float *map, int64_t tokens, int rows, int stride)
{
    lookout *l = user;
    zm_explanation *x = l->x;
    int64_t cells = x->grid[1] * x->grid[2], from = x->grid[0] / 2 * cells;
    int64_t before = l->from / l->m->config.dit.patch_size[0] * cells; /* patches of the clip */
    int columns = rows < x->columns ? rows : x->columns;
    float step = 1 / (float)x->steps, block_part = 1 / (float)x->blocks, patch = 1 / (float)(x->grid[0] * cells);
    float *middle = x->block_map + block * cells * x->columns;
    for (int64_t t = before; t < before + tokens; t++)
        for (int c = 0; c < columns; c++) {
            float w = map[(t - before) * stride + c];
            x->map[t * x->columns + c] += w * step * block_part;
            x->block_share[block * x->columns + c] += w * step * patch;
            x->step_share[l->at * x->columns + c] += w * block_part * patch;
            if (t >= from && t < from + cells)
                middle[(t - from) * x->columns + c] += w * step;
        }
}

/* ---- phases and frames ---- */

static void end_phase(lookout *l)
{
    if (l->phase)
        *l->phase += zm_now() - l->started - l->outside;
    l->phase = NULL;
    l->outside = 0;
    l->started = zm_now();
}

static void on_phase(void *user, const char *what, int total)
{
    lookout *l = user;
    end_phase(l);
    l->phase = !strcmp(what, "denoise") ? &l->x->denoise_s : !strcmp(what, "decode") ? &l->x->decode_s : &l->x->text_s;
    if (l->w->phase)
        l->w->phase(l->w->user, what, total);
}

static void on_step(void *user, int done, int total)
{
    lookout *l = user;
    if (l->w->step)
        l->w->step(l->w->user, done, total);
}

/* A picture no wider than is shown. */
static zm_status keep_small(zm_frame *out, const zm_frame *in, int most, zm_error *err)
{
    int w = in->width < most ? in->width : most;
    int h = (int)lrint((double)in->height * w / in->width);
    zm_status s = zm_frame_init(out, w, h > 0 ? h : 1, err);
    return s ? s : zm_frame_resize(out, in, err);
}

/* The frame in the middle of those that a latent frame stands for; the first one stands for one. */
static int frame_of_latent(const lookout *l, int latent)
{
    int t = l->m->time_stride, frame = latent ? 1 + (latent - 1) * t + t / 2 : 0;
    return frame < l->x->r.frames ? frame : l->x->r.frames - 1;
}

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    lookout *l = user;
    zm_explanation *x = l->x;
    zm_status s = ZM_OK;
    double start = zm_now();
    for (int i = 0; !s && i < x->keys; i++)
        if (frame_of_latent(l, x->key_latent[i]) == l->frames)
            s = keep_small(&x->key[i], frame, l->picture_px, err);
    l->frames++;
    if (!s && l->w->frame)
        s = l->w->frame(l->w->user, frame, err);
    l->outside += zm_now() - start;
    return s;
}

static zm_status on_finish(void *user, zm_error *err)
{
    lookout *l = user;
    end_phase(l);
    return l->w->finish ? l->w->finish(l->w->user, err) : ZM_OK;
}

static void on_note(void *user, const char *sentence)
{
    lookout *l = user;
    if (l->w->note)
        l->w->note(l->w->user, sentence);
}

static zm_status make_clip(lookout *l, zm_film *film, zm_generator_options *how, zm_error *err)
{
    zm_probe probe = {.user = l, .input = on_input, .velocity = on_velocity};
    zm_network_look look = {.user = l, .attention = on_attention, .branches = on_branches, .ran = on_ran};
    zm_film_watch w = {.watch = {.user = l,
                                 .phase = on_phase,
                                 .step = on_step,
                                 .frame = on_frame,
                                 .finish = on_finish,
                                 .note = on_note,
                                 .stop = l->w->stop,
                                 .probe = &probe}};
    how->look = &look;
    l->started = zm_now();
    l->phase = &l->x->text_s; /* a model that keeps its parts does not tell of its first phase */
    zm_status s = zm_film_run(film, how, &w, err);
    how->look = NULL;
    return s;
}

/* ---- what the steps predicted ---- */

typedef struct strip {
    zm_explain_view *to;
    int at, frames, picture_px;
} strip;

static zm_status on_predicted(void *user, const zm_frame *frame, zm_error *err)
{
    strip *p = user;
    int place[ZM_EXPLAIN_VIEWS] = {0, p->frames / 2, p->frames - 1};
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < ZM_EXPLAIN_VIEWS; i++)
        if (place[i] == p->at)
            s = keep_small(&p->to->picture[i], frame, p->picture_px, err);
    p->at++;
    return s;
}

static zm_status decode_views(lookout *l, const zm_generator_options *how, zm_error *err)
{
    zm_explanation *x = l->x;
    zm_latent_decoder *d = NULL;
    if (l->w->phase)
        l->w->phase(l->w->user, "look", x->views);
    zm_status s = zm_latent_decoder_new(&d, l->m, x->r.width, x->r.height, how->bands, &how->decode, err);
    for (int i = 0; !s && i < x->views; i++) {
        strip p = {.to = &x->view[i], .frames = x->r.frames, .picture_px = l->picture_px};
        zm_decode_hooks hooks = {.user = &p, .frame = on_predicted, .stop = l->w->stop};
        s = zm_latent_decode(d, x->view[i].x0, x->size.frames, false, x->r.frames, &hooks, err);
        if (!s && l->w->step)
            l->w->step(l->w->user, i + 1, x->views);
    }
    zm_latent_decoder_free(d);
    return s;
}

/* ---- all of it ---- */

static zm_status measure(zm_explanation *x, const zm_model *m, zm_error *err)
{
    const zm_request *r = &x->r;
    return zm_memory_measure(&x->memory, &m->config,
                             &(zm_memory_request){.width = r->width,
                                                  .height = r->height,
                                                  .frames = r->span > r->frames ? r->span : r->frames,
                                                  .guided = r->guidance != 1 || r->guidance_low != 1,
                                                  .whole = r->whole,
                                                  .precision = r->precision},
                             err);
}

/* Weights that stay are read before the first phase, so that its time is not theirs. */
static zm_status open_parts(lookout *l, zm_error *err)
{
    static const zm_model_part_kind parts[] = {ZM_PART_TEXT, ZM_PART_DIT, ZM_PART_VAE};
    double start = zm_now();
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && l->m->keep && i < sizeof parts / sizeof *parts; i++)
        s = zm_model_need(l->m, parts[i], err);
    l->x->open_s = zm_now() - start;
    return s;
}

/* What looking takes beside the network: every head's weights of one block, every block's mean, and what is recorded. */
static size_t look_bytes(const zm_explanation *x, const zm_model *m, int wanted)
{
    const zm_dit_config *c = &m->config.dit;
    double patches = (double)x->size.frames * x->size.height * x->size.width /
                     (c->patch_size[0] * c->patch_size[1] * c->patch_size[2]);
    double rows = x->tokens + 9, views = wanted ? wanted : m->keep ? VIEWS : VIEWS_LARGE; /* rows: rounded up to 8 */
    double branches = x->r.guidance == 1 && x->r.guidance_low == 1 ? 1 : 2;
    double maps = branches * patches * rows * (2 * c->num_heads + c->num_layers);
    return (size_t)(sizeof(float) * (maps + 2 * patches * rows + (views + 1) * (double)x->size.each));
}

/* The limit without that; 0 where there is none. */
static size_t limit_of(const zm_explanation *x, const zm_model *m, const zm_explain_options *opt)
{
    size_t limit = opt->memory, look = look_bytes(x, m, opt->views);
    if (!limit && !m->keep && zm_backend_device() == ZM_DEVICE_CPU)
        limit = zm_memory_available();
    return !limit || limit == SIZE_MAX ? 0 : limit > look ? limit - look : 1;
}

static zm_status look_on(lookout *l, zm_film *film, const zm_explain_options *opt, zm_error *err)
{
    zm_explanation *x = l->x;
    const zm_film_about *a = zm_film_about_of(film);
    zm_generator_options how;
    int own = l->m->config.video.frames, block = zm_request_block(&a->clip, l->m);
    if (block ? a->made > own : a->windows > 1)
        return zm_fail(err, ZM_E_USAGE, "a film of %lld frames is too long to explain; %d are possible",
                       (long long)a->made, own);
    x->r = a->clip;
    x->width = a->width;
    x->height = a->height;
    x->size = zm_latent_size_of(&x->r, l->m);
    if (block) { /* windows are blocks; all of them are one clip here */
        x->r.frames = x->r.span = (int)a->made;
        x->size.frames *= a->windows;
        x->size.each *= a->windows;
    }
    x->steps = x->r.steps;
    zm_status s = zm_explain_tokenise(x, l->m, err);
    if (!s)
        s = zm_generator_fit(&how, l->m, &x->r, limit_of(x, l->m, opt), err);
    if (!s)
        s = allocate(l, opt->views, err);
    if (!s)
        s = measure(x, l->m, err);
    if (!s)
        s = open_parts(l, err);
    if (!s)
        s = make_clip(l, film, &how, err);
    return s ? s : decode_views(l, &how, err);
}

zm_status zm_explain(zm_explanation *out, zm_model *m, const zm_request *r, const zm_explain_options *opt,
                     const zm_watch *w, zm_error *err)
{
    *out = (zm_explanation){0};
    lookout l = {.x = out, .m = m, .w = w, .picture_px = opt->picture_px ? opt->picture_px : PICTURE_PX};
    zm_film_request q = {.clip = *r};
    zm_film *film = NULL;
    zm_status s = zm_film_open(&film, m, &q, err);
    if (!s)
        s = look_on(&l, film, opt, err);
    zm_film_close(film);
    free(l.sample);
    free(l.squares);
    return s;
}
