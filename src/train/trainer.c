/* The training loop.
 * SPDX-License-Identifier: MIT */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/peak.h"
#include "base/clock.h"
#include "ops/flops.h"
#include "ops/ops.h"
#include "train/checkpoint.h"
#include "train/log.h"

typedef struct trainer {
    zm_params *p;
    const zm_stage *stage;
    const zm_trainer_options *o;
    zm_graph *g;
    zm_exec *x;
    zm_opt *opt;
    zm_tensor *loss;
    zm_tensor **grad; /* by parameter */
    zm_train_log log;
    double flops, peak, smooth;
    char *checkpoint;
} trainer;

static zm_status build(trainer *t, zm_error *err)
{
    int n = zm_params_count(t->p);
    t->grad = calloc((size_t)n + 1, sizeof *t->grad);
    if (!t->grad || !(t->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the training graph");
    const zm_params *base = t->stage->base ? t->stage->base : t->p;
    zm_build b = zm_build_begin(t->g, base, true, t->o->checkpointing);
    t->loss = zm_output(t->g, t->stage->build(t->stage->user, &b));
    zm_build_grads got = zm_build_gradients(&b, t->loss);
    zm_status s = zm_graph_finish(t->g, err);
    if (!s)
        s = zm_exec_new(&t->x, t->g,
                        &(zm_exec_options){.outputs_stay = zm_opt_outputs_stay(), .precision = t->o->precision}, err);
    for (int i = 0; !s && i < got.n; i++)
        t->grad[got.param[i]->index] = got.grad[i];
    if (!s)
        t->flops = zm_graph_flops(t->g);
    return s;
}

/* Warm-up, a plateau, and a linear fall at the end. */
static double rate(const zm_trainer_options *o, int64_t step)
{
    if (step < o->warmup)
        return (double)(step + 1) / (double)o->warmup;
    int64_t left = o->steps - step;
    return left < o->cooldown ? 0.05 + 0.95 * (double)left / (double)o->cooldown : 1;
}

static zm_status one_step(trainer *t, int64_t step, zm_train_row *row, zm_error *err)
{
    zm_status s = t->stage->fill(t->stage->user, step, err);
    if (!s)
        s = zm_exec_run(t->x, err);
    if (s)
        return s;
    float loss;
    zm_exec_read(t->x, t->loss, &loss);
    if (!isfinite(loss))
        return zm_fail(err, ZM_E_FORMAT, "the loss is not finite at step %" PRId64 ": lower the learning rate", step);
    *row = (zm_train_row){.step = step + 1, .loss = (double)loss, .rate = rate(t->o, step)};
    return zm_opt_step_there(t->opt, t->x, t->grad, step + 1, row->rate, &row->norm, err);
}

static zm_status validate(trainer *t, int64_t step, zm_error *err)
{
    char text[256] = "";
    zm_opt_swap_average(t->opt);
    zm_status s = t->stage->validate(t->stage->user, step, text, sizeof text, err);
    if (!s && t->o->sample)
        s = t->o->sample(t->o->sample_user, step, err);
    zm_opt_swap_average(t->opt);
    if (!s && t->o->report && text[0]) {
        fprintf(t->o->report, "  held out after %" PRId64 " steps: %s\n", step, text);
        fflush(t->o->report);
    }
    return s ? s : zm_train_log_note(&t->log, step, text, err);
}

static zm_status save(trainer *t, int64_t step, zm_error *err)
{
    zm_status s = zm_train_log_flush(&t->log, err);
    return s ? s : zm_checkpoint_save(t->checkpoint, t->opt, step, t->o->fingerprint, err);
}

static zm_status loop(trainer *t, int64_t first, zm_trainer_result *result, zm_error *err)
{
    const zm_trainer_options *o = t->o;
    double started = zm_now(), saved = started, shown = started, busy = 0;
    int64_t step = first, since = 0, shown_step = first;
    zm_status s = ZM_OK;
    while (!s && step < o->steps && !(o->stop && *o->stop)) {
        zm_train_row row;
        double at = zm_now();
        s = one_step(t, step, &row, err);
        if (s)
            break;
        busy += zm_now() - at;
        step++;
        since++;
        t->smooth = t->smooth > 0 ? 0.98 * t->smooth + 0.02 * row.loss : row.loss;
        row.gflops = t->flops * (double)since / busy * 1e-9;
        s = zm_train_log_add(&t->log, &row, err);
        double now = zm_now();
        if (!s && o->report && o->log_every && (step % o->log_every == 0 || step == o->steps)) {
            double each = (now - shown) / (double)(step - shown_step);
            fprintf(o->report,
                    "%s step %" PRId64 "/%" PRId64
                    "  loss %.4f  norm %.2f  %.0f %s/s  %.0f GFLOPS, %.0f %% of the measured peak  %.0f s left\n",
                    t->stage->name, step, o->steps, t->smooth, row.norm, t->stage->tokens_per_step / each,
                    t->stage->tokens_name, t->flops / each * 1e-9, 100e-9 * t->flops / each / t->peak,
                    each * (double)(o->steps - step));
            fflush(o->report);
            shown = now;
            shown_step = step;
        }
        if (!s && o->validate_every && t->stage->validate && (step % o->validate_every == 0 || step == o->steps))
            s = validate(t, step, err);
        if (!s && (step == o->steps || zm_now() - saved > o->checkpoint_seconds)) {
            s = save(t, step, err);
            saved = zm_now();
        }
    }
    if (!s && step < o->steps) {
        s = save(t, step, err);
        if (!s)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped after %" PRId64 " of %" PRId64 " steps; --resume continues",
                        step, o->steps);
    }
    *result = (zm_trainer_result){.step = step,
                                  .loss = t->smooth,
                                  .gflops = busy > 0 ? t->flops * (double)since / busy * 1e-9 : 0,
                                  .peak = t->peak};
    return s;
}

zm_status zm_train(zm_params *p, const zm_stage *stage, const zm_trainer_options *o, zm_trainer_result *result,
                   zm_error *err)
{
    trainer t = {.p = p, .stage = stage, .o = o};
    int64_t first = 0;
    *result = (zm_trainer_result){0};
    t.checkpoint = zm_path_join(o->dir, "checkpoint.safetensors");
    zm_status s =
        t.checkpoint ? zm_opt_new(&t.opt, p, &o->opt, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    if (!s && o->resume && zm_path_is_file(t.checkpoint))
        s = zm_checkpoint_load(t.checkpoint, t.opt, &first, o->fingerprint, err);
    if (!s)
        s = zm_train_log_open(&t.log, o->dir, stage->name, first, err);
    if (!s)
        s = build(&t, err);
    if (!s) {
        t.peak = zm_measure_peak(0.5);
        if (o->report)
            fprintf(o->report,
                    "%s: %" PRId64 " parameters, %.1f GFLOP and %.0f MB a step, measured peak %.0f GFLOPS%s\n",
                    stage->name, zm_params_elems(p), t.flops * 1e-9, 1e-6 * (double)zm_exec_bytes(t.x), t.peak,
                    first ? ", resumed" : "");
        s = loop(&t, first, result, err);
    }
    if (!s)
        zm_opt_swap_average(t.opt);
    zm_train_log_close(&t.log);
    zm_opt_free(t.opt);
    zm_exec_free(t.x);
    zm_graph_free(t.g);
    free(t.grad);
    free(t.checkpoint);
    return s;
}
