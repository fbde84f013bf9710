/* The scores as a table for people and as JSON.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "app/eval_run.h"

static double gravity_px(const zm_eval_report *r)
{
    return (double)ZM_WORLD_GRAVITY * r->width / (double)ZM_WORLD_WIDTH_M;
}

static void cell(FILE *out, int width, double share)
{
    if (isnan(share))
        fprintf(out, "%*s", width, "-");
    else
        fprintf(out, "%*.1f", width, 100 * share);
}

static void print_attributes(FILE *out, const zm_eval_report *r)
{
    fprintf(out, "%-10s %11s %9s %17s %10s %21s %17s\n", "attribute", r->run[ZM_RUN_MODEL].name, "ceiling",
            "share of ceiling", "untrained", r->run[ZM_RUN_HELD_OUT].name, "held-out ceiling");
    for (int a = 0; a < ZM_EVAL_ATTRS; a++) {
        double v[ZM_EVAL_RUNS];
        for (int k = 0; k < ZM_EVAL_RUNS; k++)
            v[k] = zm_eval_share(&r->run[k].tally, (zm_eval_attr)a);
        fprintf(out, "%-10s", zm_eval_name((zm_eval_attr)a));
        cell(out, 12, v[ZM_RUN_MODEL]);
        cell(out, 10, v[ZM_RUN_CEILING]);
        cell(out, 18, v[ZM_RUN_CEILING] > 0 ? v[ZM_RUN_MODEL] / v[ZM_RUN_CEILING] : (double)NAN);
        cell(out, 11, v[ZM_RUN_UNTRAINED]);
        cell(out, 22, v[ZM_RUN_HELD_OUT]);
        cell(out, 18, v[ZM_RUN_HELD_CEILING]);
        fprintf(out, "   of %d\n", r->run[ZM_RUN_CEILING].tally.asked[a]);
    }
}

static void print_physics(FILE *out, zm_eval_run *run)
{
    zm_eval_physics *p = &run->physics;
    double median, spread;
    if (!run->clips)
        return;
    fprintf(out, "%-21s", run->name);
    if (zm_eval_gravity(p, &median, &spread))
        fprintf(out, "%6.0f +- %-4.0f px/s^2 in %3d falls", median, spread, p->falls);
    else
        fprintf(out, "%-34s", "     no fall seen");
    if (p->bounces)
        fprintf(out, ", %3.0f %% of %3d bounces gain", 100.0 * p->gains / p->bounces, p->bounces);
    else
        fprintf(out, ", %-25s", "no bounce seen");
    if (p->tracks)
        fprintf(out, ", %3.0f %% of %3d tracks begin or end in the open", 100.0 * p->broken / p->tracks, p->tracks);
    fprintf(out, "\n");
}

void zm_eval_print(FILE *out, zm_eval_report *r)
{
    fprintf(out, "%s: %d held-in and %d held-out scenes", r->model ? r->model : "real renders",
            r->run[ZM_RUN_CEILING].clips, r->run[ZM_RUN_HELD_CEILING].clips);
    if (r->model && r->run[ZM_RUN_MODEL].coded)
        fprintf(out, ", the autoencoder alone");
    else if (r->model)
        fprintf(out, ", %d steps of %s, guidance %g, quality %s, %d clips of untrained weights", r->steps, r->solver,
                r->guidance, r->quality, r->run[ZM_RUN_UNTRAINED].clips);
    fprintf(out, ", %.0f s\nadherence, %% of the clips whose prompt says it\n", r->seconds);
    print_attributes(out, r);
    fprintf(out, "physics (the world falls with %.0f px/s^2; ceilings are real renders)\n", gravity_px(r));
    for (int k = 0; k < ZM_EVAL_RUNS; k++)
        print_physics(out, &r->run[k]);
}

/* NaN becomes null. */
static json_t *number(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *share_of(int part, int all)
{
    return all ? json_real((double)part / all) : json_null();
}

static json_t *attribute_json(const zm_eval_report *r, zm_eval_attr a)
{
    static const char *const key[ZM_EVAL_RUNS] = {"model", "ceiling", "untrained", "held_out_model",
                                                  "held_out_ceiling"};
    json_t *j = json_pack("{s:s, s:i}", "name", zm_eval_name(a), "asked", r->run[ZM_RUN_CEILING].tally.asked[a]);
    for (int k = 0; j && k < ZM_EVAL_RUNS; k++)
        json_object_set_new(j, key[k], number(zm_eval_share(&r->run[k].tally, a)));
    double model = zm_eval_share(&r->run[ZM_RUN_MODEL].tally, a),
           ceiling = zm_eval_share(&r->run[ZM_RUN_CEILING].tally, a);
    if (j)
        json_object_set_new(j, "share_of_ceiling", number(ceiling > 0 ? model / ceiling : (double)NAN));
    return j;
}

static json_t *physics_json(zm_eval_run *run)
{
    zm_eval_physics *p = &run->physics;
    double median = (double)NAN, spread = (double)NAN;
    if (!zm_eval_gravity(p, &median, &spread))
        median = spread = (double)NAN;
    return json_pack("{s:s, s:i, s:o, s:o, s:i, s:o, s:i, s:o, s:i}", "name", run->name, "clips", run->clips,
                     "gravity_px_s2", number(median), "spread_px_s2", number(spread), "falls", p->falls,
                     "bounces_that_gain", share_of(p->gains, p->bounces), "bounces", p->bounces,
                     "tracks_broken_in_the_open", share_of(p->broken, p->tracks), "tracks", p->tracks);
}

zm_status zm_eval_print_json(FILE *out, zm_eval_report *r, zm_error *err)
{
    json_t *attributes = json_array(), *physics = json_array();
    for (int a = 0; a < ZM_EVAL_ATTRS; a++)
        json_array_append_new(attributes, attribute_json(r, (zm_eval_attr)a));
    for (int k = 0; k < ZM_EVAL_RUNS; k++)
        if (r->run[k].clips)
            json_array_append_new(physics, physics_json(&r->run[k]));
    json_t *j =
        json_pack("{s:s?, s:b, s:i, s:i, s:i, s:f, s:s, s:s, s:I, s:f, s:f, s:o, s:o}", "model", r->model,
                  "autoencoder", r->run[ZM_RUN_MODEL].coded, "clips", r->run[ZM_RUN_CEILING].clips, "held_out_clips",
                  r->run[ZM_RUN_HELD_CEILING].clips, "steps", r->steps, "guidance", r->guidance, "solver", r->solver,
                  "quality", r->quality, "seed", (json_int_t)r->seed, "seconds", r->seconds, "world_gravity_px_s2",
                  gravity_px(r), "attributes", attributes, "physics", physics);
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(5)) : NULL;
    if (text)
        fprintf(out, "%s\n", text);
    zm_status s = text ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
    json_decref(j);
    free(text);
    return s;
}
