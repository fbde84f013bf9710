/* From a request to frames.
 * SPDX-License-Identifier: MIT */
#include "pipeline/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "pipeline/condition.h"
#include "pipeline/decode.h"
#include "pipeline/kept.h"
#include "pipeline/prompt.h"
#include "pipeline/saving.h"

struct zm_generator {
    zm_model *m;
    zm_generator_options opt;
    zm_latent_size size;
    int width, height; /* pixels */
    int branches;      /* of guidance */
    /* Kept between clips where the model keeps its parts; else NULL between their phases. */
    zm_prompts *prompts;
    zm_network *network;
    zm_latent_decoder *decoder;
    zm_denoise run;   /* of the last clip */
    int block;        /* latent frames of a block; 0: clips are made whole */
    zm_kept kept;     /* what the next block goes on from */
    zm_contexts told; /* of the last block, whose texts these were: owned, NULL: none */
    char *texts[2];
};

/* One clip on its way. */
typedef struct job {
    zm_generator *g;
    const zm_request *r;
    const zm_watch *w;
    zm_latent_plan plan;
    zm_contexts contexts;
    zm_saver saver;
    int wanted; /* frames */
    bool begun; /* the network knows the contexts */
} job;

/* The network's past, where clips are made block by block. */
static zm_status prepare_blocks(zm_generator *g, const zm_request *r, zm_error *err)
{
    const zm_model_config *c = &g->m->config;
    const int *p = c->dit.patch_size;
    int own = 1 + (c->video.frames - 1 + g->m->time_stride - 1) / g->m->time_stride;
    if (!(g->block = zm_request_block(r, g->m)))
        return ZM_OK;
    zm_past_ring ring = zm_past_ring_of(&c->dit.causal, own);
    if (c->boundary > 0 || zm_image_way_of(g->m) == ZM_IMAGE_CHANNELS)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s looks back only, which goes with one expert and without further channels", c->name);
    int64_t tokens = (int64_t)(g->block / p[0]) * (g->size.height / p[1]) * (g->size.width / p[2]);
    zm_status s = zm_past_new(&g->kept.past, &c->dit, &ring, tokens, g->branches,
                              g->branches == 2 && !g->opt.one_by_one ? 2 : 1, err);
    return s ? s : zm_contexts_init(&g->told, g->branches, c->dit.text_len, c->dit.text_dim, err);
}

zm_status zm_generator_new(zm_generator **out, zm_model *m, const zm_request *r, const zm_generator_options *opt,
                           zm_error *err)
{
    zm_generator_options none = {.one_by_one = !m->keep};
    *out = NULL;
    zm_generator *g = calloc(1, sizeof *g);
    if (!g)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a generator");
    *g = (zm_generator){.m = m,
                        .opt = opt ? *opt : none,
                        .size = zm_latent_size_of(r, m),
                        .width = r->width,
                        .height = r->height,
                        .branches = r->guidance == 1 && r->guidance_low == 1 ? 1 : 2};
    g->opt.one_by_one |= r->guidance_from > 0 || r->guidance_to < 1; /* so that a branch can be left out */
    g->opt.denoise.precision = g->opt.denoise_low.precision = g->opt.decode.precision = r->precision;
    zm_model_use_fast(m, zm_quality_find(r->quality)->adapter);
    zm_status s = zm_prompts_new(&g->prompts, m, &g->opt.text, err);
    if (!s)
        s = prepare_blocks(g, r, err);
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
    zm_prompts_free(g->prompts);
    zm_network_free(g->network);
    zm_latent_decoder_free(g->decoder);
    zm_denoise_release(&g->run);
    zm_kept_release(&g->kept);
    zm_contexts_release(&g->told);
    free(g->texts[0]);
    free(g->texts[1]);
    free(g);
}

int zm_generator_left_out(const zm_generator *g)
{
    return g->run.skip.left_out;
}

const float *zm_generator_latent(const zm_generator *g, zm_latent_size *size)
{
    *size = g->size;
    return g->run.slot[ZM_SLOT_X];
}

/* ---- phases ---- */

static zm_status need_decoder(zm_generator *g, zm_error *err)
{
    return g->decoder
               ? ZM_OK
               : zm_latent_decoder_new(&g->decoder, g->m, g->width, g->height, g->opt.bands, &g->opt.decode, err);
}

static void drop_decoder(zm_generator *g)
{
    if (g->m->keep)
        return;
    zm_latent_decoder_free(g->decoder);
    g->decoder = NULL;
}

static void phase(const job *j, const char *what, int total, bool brief)
{
    if (j->w->phase && !(brief && j->g->m->keep))
        j->w->phase(j->w->user, what, total);
}

/* What stands before the first step: prompts and pictures. */
static zm_status set_out(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_condition_options o = {.encode = g->opt.encode, .picture = g->opt.picture, .stop = j->w->stop};
    phase(j, "prompt", 1, true);
    zm_status s = zm_prompts_encode(g->prompts, j->r, &j->contexts, err);
    if (!s && (j->r->first || j->r->known))
        phase(j, "picture", 1, true);
    if (!s)
        s = zm_condition(&j->plan, g->m, j->r, &o, err);
    if (!s)
        zm_denoise_begin(&g->run, j->r, &j->plan);
    return s;
}

/* How the middle frame would look if the prediction of this step were final. */
static zm_status show_preview(job *j, const float *x0, zm_error *err)
{
    zm_generator *g = j->g;
    const zm_frame *picture;
    if (!j->w->preview || !x0 || !g->m->keep)
        return ZM_OK;
    zm_status s = need_decoder(g, err);
    if (!s)
        s = zm_latent_sketch(g->decoder, x0 + g->size.frames / 2 * (g->size.each / g->size.frames), &picture, err);
    if (!s)
        j->w->preview(j->w->user, picture);
    return s;
}

static zm_status stepped(void *user, const zm_denoise *d, const float *x0, zm_error *err)
{
    job *j = user;
    zm_saver_step(&j->saver, d, &j->plan, &j->contexts);
    zm_status s = show_preview(j, x0, err);
    if (!s && j->w->step)
        j->w->step(j->w->user, d->next, d->schedule.steps);
    return s;
}

static zm_status need_network(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_network_options o = {.branches = g->branches,
                            .one_by_one = g->opt.one_by_one,
                            .high = g->opt.denoise,
                            .low = g->opt.denoise_low,
                            .look = g->opt.look,
                            .past = g->kept.past};
    return g->network ? ZM_OK : zm_network_new(&g->network, g->m, &j->plan, &o, err);
}

static void drop_network(zm_generator *g)
{
    if (g->m->keep)
        return;
    zm_network_rest(g->network);
    zm_network_free(g->network);
    g->network = NULL;
}

static zm_status denoise(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_denoise_hooks hooks = {.user = j, .probe = j->w->probe, .stepped = stepped, .stop = j->w->stop};
    phase(j, "denoise", g->run.schedule.steps, false);
    zm_status s = need_network(j, err);
    j->begun = !s;
    return s ? s : zm_denoise_run(&g->run, g->network, &j->plan, &j->contexts, &hooks, err);
}

static zm_status decode(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_decode_hooks hooks = {.user = j->w->user, .frame = j->w->frame, .probe = j->w->probe, .stop = j->w->stop};
    hooks.spool = j->w->saving ? j->w->saving->path : NULL;
    hooks.phase = j->w->phase;
    hooks.step = j->w->step;
    if (g->opt.bands <= 1) /* bands are phases of their own */
        phase(j, "decode", j->wanted, false);
    zm_status s = need_decoder(g, err);
    const float *x = g->run.slot[ZM_SLOT_X];
    if (!s && g->block)
        s = zm_latent_decode_on(g->decoder, &g->kept.decoded, x, g->size.frames, j->wanted, &hooks, err);
    else if (!s)
        s = zm_latent_decode(g->decoder, x, g->size.frames, j->r->loop, j->wanted, &hooks, err);
    drop_decoder(g);
    return s;
}

/* What comes after the last step, if all went well (s): frames, and the end of the clip when this is its last part; in any
 * case what becomes of the run's file. */
static zm_status end_run(job *j, bool last, zm_status s, zm_error *err)
{
    zm_generator *g = j->g;
    drop_network(g);
    if (!s)
        s = decode(j, err);
    if (!s && last && j->w->finish)
        s = j->w->finish(j->w->user, err);
    if (s)
        zm_saver_failed(&j->saver, &g->run, &j->plan, &j->contexts, err);
    else
        zm_saver_done(&j->saver);
    return s;
}

static zm_status run(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    bool resumed = false;
    zm_status s = zm_saver_resume(&j->saver, &g->run, &j->plan, &j->contexts, &resumed, err);
    if (!s && !resumed)
        s = set_out(j, err);
    if (!s && g->run.next < g->run.schedule.steps)
        s = denoise(j, err);
    return end_run(j, true, s, err);
}

static zm_status make_whole(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err)
{
    const zm_dit_config *c = &g->m->config.dit;
    job j = {.g = g, .r = r, .w = watch, .wanted = r->frames};
    zm_denoise_release(&g->run);
    zm_saver_begin(&j.saver, g->m, r, watch);
    zm_status s = zm_latent_plan_init(&j.plan, r, g->m, err);
    if (!s)
        s = zm_contexts_init(&j.contexts, g->branches, c->text_len, c->text_dim, err);
    if (!s)
        s = zm_denoise_open(&g->run, r, &g->size, err);
    if (!s)
        s = run(&j, err);
    zm_saver_end(&j.saver);
    zm_contexts_release(&j.contexts);
    zm_latent_plan_release(&j.plan);
    return s;
}

/* ---- block by block ---- */

/* Latents of the frames that a clip begins with. */
typedef struct given {
    zm_latent_plan plan; /* of these alone */
    int frames;
} given;

static zm_status encode_given(given *out, job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_request q = *j->r;
    zm_condition_options o = {.encode = g->opt.encode, .picture = g->opt.picture, .stop = j->w->stop};
    bool head = q.known && q.known->n_head;
    *out = (given){.frames = 0};
    if (q.at || (!q.first && !head))
        return ZM_OK;
    q.frames = q.span = head ? q.known->n_head : 1;
    q.whole = true;
    phase(j, "picture", 1, true);
    zm_status s = zm_latent_plan_init(&out->plan, &q, g->m, err);
    if (!s)
        s = zm_condition(&out->plan, g->m, &q, &o, err);
    if (!s)
        out->frames = out->plan.size.frames;
    return s;
}

/* The texts of blocks are mostly those of the block before. */
static zm_status tell(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    const char *text[2] = {j->r->prompt ? j->r->prompt : "", j->r->negative};
    bool same = !j->r->supplied;
    for (int i = 0; i < 2; i++)
        same = same && g->texts[i] && !strcmp(g->texts[i], text[i]);
    if (same)
        return ZM_OK;
    phase(j, "prompt", 1, true);
    zm_status s = zm_prompts_encode(g->prompts, j->r, &g->told, err);
    for (int i = 0; i < 2; i++) {
        free(g->texts[i]);
        g->texts[i] = s || j->r->supplied ? NULL : strdup(text[i]); /* none: they are encoded again */
    }
    return s;
}

static zm_status keep_block(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    const float *x = g->run.slot[ZM_SLOT_X];
    zm_status s = need_network(j, err);
    if (!s && !j->begun)
        s = zm_network_begin(g->network, &j->contexts, err);
    if (!s)
        s = zm_network_keep(g->network, &j->plan, x, err);
    g->kept.before = zm_hash64(x, (size_t)g->size.each * sizeof *x, g->kept.before + 1);
    return s;
}

static zm_status run_block(job *j, bool all_given, bool last, zm_error *err)
{
    zm_generator *g = j->g;
    bool resumed = false;
    zm_status s = tell(j, err);
    j->contexts = g->told;
    if (!s)
        s = zm_saver_resume(&j->saver, &g->run, &j->plan, &j->contexts, &resumed, err);
    if (!s && !resumed)
        zm_denoise_begin(&g->run, j->r, &j->plan);
    if (!s && !all_given && g->run.next < g->run.schedule.steps)
        s = denoise(j, err);
    if (!s && j->r->onward)
        s = keep_block(j, err);
    return end_run(j, last, s, err);
}

/* Block k of the clip; r is the block's own. */
static zm_status make_block(job *j, const given *head, int k, bool last, bool saved, zm_error *err)
{
    zm_generator *g = j->g;
    zm_watch w = *j->w;
    int64_t cells = g->size.each / g->size.frames;
    int there = 0;
    w.saving = saved ? w.saving : NULL;
    job b = {.g = g, .r = j->r, .w = &w, .wanted = j->wanted};
    zm_denoise_release(&g->run);
    zm_status s = zm_latent_plan_init(&b.plan, b.r, g->m, err);
    for (int f = 0; !s && f < g->block && k * g->block + f < head->frames; f++, there++)
        s = zm_latent_plan_give(&b.plan, f, head->plan.latent + (k * g->block + f) * cells, err);
    if (there == g->block)
        w.saving = NULL;
    zm_saver_begin(&b.saver, g->m, b.r, &w);
    if (!s)
        s = zm_denoise_open(&g->run, b.r, &g->size, err);
    if (!s)
        s = run_block(&b, there == g->block, last, err);
    zm_saver_end(&b.saver);
    zm_latent_plan_release(&b.plan);
    return s;
}

static zm_status begin_blocks(zm_generator *g, const zm_request *r, zm_error *err)
{
    int64_t made = g->kept.past->ring.made * g->block;
    if (!r->at)
        zm_kept_clear(&g->kept);
    else if (r->at != made)
        return zm_fail(err, ZM_E_USAGE, "the clip goes on after %lld latent frames, and %lld are made",
                       (long long)r->at, (long long)made);
    return ZM_OK;
}

static zm_status make_blocks(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err)
{
    int t = g->m->time_stride, first = r->at ? 0 : 1, done = 0;
    int latents = first + (r->frames - first + t - 1) / t, blocks = (latents + g->block - 1) / g->block;
    given head = {.frames = 0};
    job j = {.g = g, .r = r, .w = watch};
    zm_status s = begin_blocks(g, r, err);
    if (!s)
        s = encode_given(&head, &j, err);
    bool saved = blocks - head.frames / g->block <= 1;
    for (int k = 0; !s && k < blocks; k++, done += j.wanted) {
        zm_supplied own = r->supplied ? *r->supplied : (zm_supplied){0};
        zm_request q = *r;
        bool last = k == blocks - 1;
        q.at += (int64_t)k * g->block;
        q.before = g->kept.before;
        q.onward = q.onward || !last;
        q.supplied = r->supplied ? &own : NULL;
        if (own.noise) /* of latent frames that the clip has; a block may have more */
            own.noise = (k + 1) * g->block <= latents ? own.noise + k * g->size.each : NULL;
        int most = first + (latents - first) * t, gives = (k + 1) * g->block;
        most = first && gives < latents ? 1 + (gives - 1) * t : !first && gives < latents ? gives * t : most;
        j.r = &q;
        j.wanted = (most < r->frames ? most : r->frames) - done;
        s = make_block(&j, &head, k, last, saved, err);
    }
    zm_latent_plan_release(&head.plan);
    return s;
}

zm_status zm_generate(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err)
{
    return g->block ? make_blocks(g, r, watch, err) : make_whole(g, r, watch, err);
}

zm_status zm_generator_past(zm_generator *g, const zm_weight **row, size_t *n, zm_error *err)
{
    return zm_kept_list(&g->kept, row, n, err);
}

zm_status zm_generator_restore(zm_generator *g, const zm_weights *w, zm_error *err)
{
    zm_status s = zm_kept_load(&g->kept, w, err);
    if (!s && g->kept.decoded.bands) /* whatever memory there is now */
        g->opt.bands = g->kept.decoded.bands;
    return s;
}
