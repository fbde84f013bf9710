/* From a limit of memory to the way a clip is made.
 * SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "pipeline/generate.h"
#include "pipeline/memory.h"

/* Bytes of a phase without its mapped weights, for so many branches of guidance at once. */
static size_t beside_weights(const zm_memory *m, const zm_memory_phase *p, size_t branches)
{
    return m->base + p->owned + branches * p->work;
}

/* Both branches in one run read the weights once.  That is worth more memory for activations where all weights still
 * fit, or where they are streamed anyway and the activations are the lesser part. */
static bool both_at_once(const zm_memory *m, const zm_memory_phase *p, size_t limit)
{
    size_t need = beside_weights(m, p, 2);
    if (!p->present)
        return true;
    bool streamed = beside_weights(m, p, 1) + p->mapped > limit;
    return streamed ? need + p->window <= limit && 2 * p->work <= limit / 2 : need + p->mapped <= limit;
}

static void widen(zm_exec_options *to, const zm_memory *m, const zm_memory_phase *p, size_t limit)
{
    size_t need = beside_weights(m, p, 2);
    to->resident_bytes = need + p->mapped <= limit ? SIZE_MAX : limit - need;
}

/* Whether all parts with all their graphs fit beside each other. */
static bool all_fit(const zm_memory *m, size_t limit)
{
    size_t all = m->base;
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        const zm_memory_phase *p = &m->phase[i];
        all += p->present ? p->owned + p->mapped + 2 * p->work : 0;
    }
    return all <= limit;
}

zm_status zm_generator_fit(zm_generator_options *out, zm_model *m, const zm_request *r, size_t limit, zm_error *err)
{
    zm_memory size;
    zm_memory_plan plan;
    *out = (zm_generator_options){0};
    if (m->keep && !limit)
        return ZM_OK;
    zm_memory_request q = {.width = r->width,
                           .height = r->height,
                           .frames = r->span > r->frames ? r->span : r->frames,
                           .guided = r->guidance != 1 || r->guidance_low != 1,
                           .whole = r->whole,
                           .given = r->first || r->last || r->known,
                           .precision = r->precision};
    zm_status s = zm_memory_measure(&size, &m->config, &q, err);
    if (!s)
        s = zm_memory_plan_make(&plan, &size, limit, err);
    if (s)
        return s;
    const struct {
        zm_exec_options *to;
        zm_phase of;
    } row[] = {{&out->text, ZM_PHASE_TEXT},       {&out->picture, ZM_PHASE_IMAGE},   {&out->encode, ZM_PHASE_ENCODE},
               {&out->denoise, ZM_PHASE_DENOISE}, {&out->denoise_low, ZM_PHASE_LOW}, {&out->decode, ZM_PHASE_DECODE}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        row[i].to->resident_bytes = plan.resident[row[i].of];
    out->bands = plan.bands;
    m->keep = m->keep && all_fit(&size, plan.limit);
    const zm_memory_phase *high = &size.phase[ZM_PHASE_DENOISE], *low = &size.phase[ZM_PHASE_LOW];
    out->one_by_one = !both_at_once(&size, high, plan.limit) || !both_at_once(&size, low, plan.limit);
    if (!out->one_by_one && q.guided) {
        widen(&out->denoise, &size, high, plan.limit);
        widen(&out->denoise_low, &size, low, plan.limit);
    }
    return ZM_OK;
}
