/* From a request to frames.
 * SPDX-License-Identifier: MIT */
#include "pipeline/generate.h"

#include <stdlib.h>

#include "pipeline/condition.h"
#include "pipeline/decode.h"
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
    zm_denoise run; /* of the last clip */
};

/* One clip on its way. */
typedef struct job {
    zm_generator *g;
    const zm_request *r;
    const zm_watch *w;
    zm_latent_plan plan;
    zm_contexts contexts;
    zm_saver saver;
} job;

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

static zm_status denoise(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_network_options o = {.branches = g->branches,
                            .one_by_one = g->opt.one_by_one,
                            .high = g->opt.denoise,
                            .low = g->opt.denoise_low,
                            .look = g->opt.look};
    zm_denoise_hooks hooks = {.user = j, .probe = j->w->probe, .stepped = stepped, .stop = j->w->stop};
    phase(j, "denoise", g->run.schedule.steps, false);
    zm_status s = g->network ? ZM_OK : zm_network_new(&g->network, g->m, &j->plan, &o, err);
    if (!s)
        s = zm_denoise_run(&g->run, g->network, &j->plan, &j->contexts, &hooks, err);
    if (!g->m->keep) {
        zm_network_rest(g->network);
        zm_network_free(g->network);
        g->network = NULL;
    }
    return s;
}

static zm_status decode(job *j, zm_error *err)
{
    zm_generator *g = j->g;
    zm_decode_hooks hooks = {.user = j->w->user, .frame = j->w->frame, .probe = j->w->probe, .stop = j->w->stop};
    hooks.spool = j->w->saving ? j->w->saving->path : NULL;
    phase(j, "decode", j->r->frames, false);
    zm_status s = need_decoder(g, err);
    if (!s)
        s = zm_latent_decode(g->decoder, g->run.slot[ZM_SLOT_X], g->size.frames, j->r->loop, j->r->frames, &hooks, err);
    drop_decoder(g);
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
    if (!s)
        s = decode(j, err);
    if (!s && j->w->finish)
        s = j->w->finish(j->w->user, err);
    if (s)
        zm_saver_failed(&j->saver, &g->run, &j->plan, &j->contexts, err);
    else
        zm_saver_done(&j->saver);
    return s;
}

zm_status zm_generate(zm_generator *g, const zm_request *r, const zm_watch *watch, zm_error *err)
{
    const zm_dit_config *c = &g->m->config.dit;
    job j = {.g = g, .r = r, .w = watch};
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
