/* AdamW and Muon over a parameter set.
 * SPDX-License-Identifier: MIT */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/cpu/optim.h"
#include "backend/update.h"
#include "train/orthogonal.h"

typedef struct slot {
    zm_param *param;
    int64_t n, rows, columns; /* matrix view; rows of the first axis */
    bool muon;
    int group; /* which orthogonalisation, and the place in it */
    int64_t place;
    float *m, *v, *ema; /* v NULL under Muon; ema NULL without averaging */
} slot;

typedef struct group {
    int64_t rows, columns, n; /* rows <= columns */
    zm_orthogonal *work;
} group;

struct zm_opt {
    zm_opt_options o;
    zm_params *params;
    slot *slot;
    int n_slot, n_params;
    int *of; /* parameter -> slot, -1 frozen */
    group *group;
    int n_group;
    float *memory;      /* m, v, ema of all slots */
    zm_update *update;  /* of a device that updates where gradients are; NULL: the host does */
    const float **here; /* by parameter */
    zm_tensor **at;     /* by slot: gradients there */
    double *square;     /* by slot */
};

/* Hidden matrices only: tables that are looked up and the modulation's row do not act as linear maps. */
static bool wants_muon(const zm_opt_options *o, const zm_param *p, int64_t rows, int64_t columns)
{
    return o->kind == ZM_OPT_MUON && p->shape.rank >= 2 && rows >= 8 && columns >= 8 &&
           !strstr(p->name, "embedding.weight") && !strstr(p->name, "modulation");
}

static int find_group(zm_opt *o, int64_t rows, int64_t columns)
{
    int64_t lo = rows < columns ? rows : columns, hi = rows < columns ? columns : rows;
    for (int i = 0; i < o->n_group; i++)
        if (o->group[i].rows == lo && o->group[i].columns == hi)
            return i;
    o->group[o->n_group] = (group){.rows = lo, .columns = hi};
    return o->n_group++;
}

static size_t lay_out(zm_opt *o)
{
    size_t floats = 0;
    for (int i = 0; i < o->n_params; i++) {
        zm_param *p = zm_params_at(o->params, i);
        o->of[i] = -1;
        if (p->frozen)
            continue;
        slot *s = &o->slot[o->n_slot];
        o->of[i] = o->n_slot++;
        s->param = p;
        s->n = zm_shape_elems(p->shape);
        s->rows = p->shape.rank ? p->shape.dim[0] : 1;
        s->columns = s->n / s->rows;
        s->muon = wants_muon(&o->o, p, s->rows, s->columns);
        if (s->muon) {
            s->group = find_group(o, s->rows, s->columns);
            s->place = o->group[s->group].n++;
        }
        floats += (size_t)s->n * (1 + !s->muon + (o->o.ema > 0));
    }
    return floats;
}

static void hand_out_memory(zm_opt *o)
{
    float *at = o->memory;
    for (int i = 0; i < o->n_slot; i++) {
        slot *s = &o->slot[i];
        s->m = at;
        at += s->n;
        if (!s->muon) {
            s->v = at;
            at += s->n;
        }
        if (o->o.ema > 0) {
            s->ema = at;
            memcpy(s->ema, s->param->data, (size_t)s->n * 4);
            at += s->n;
        }
    }
}

zm_status zm_opt_new(zm_opt **out, zm_params *p, const zm_opt_options *options, zm_error *err)
{
    *out = NULL;
    zm_opt *o = calloc(1, sizeof *o);
    if (!o)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    o->o = *options;
    o->params = p;
    o->n_params = zm_params_count(p);
    size_t n = (size_t)o->n_params + 1;
    o->slot = calloc(n, sizeof *o->slot);
    o->of = calloc(n, sizeof *o->of);
    o->group = calloc(n, sizeof *o->group);
    zm_status s = ZM_OK;
    if (!o->slot || !o->of || !o->group) {
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    } else {
        size_t floats = lay_out(o);
        o->memory = calloc(floats + 1, sizeof *o->memory);
        if (o->memory)
            hand_out_memory(o);
        else
            s = zm_fail(err, ZM_E_NOMEM, "out of memory for %zu bytes of optimiser state", floats * 4);
    }
    for (int i = 0; !s && i < o->n_group; i++)
        s = zm_orthogonal_new(&o->group[i].work, o->group[i].n, o->group[i].rows, o->group[i].columns, o->o.bf16, err);
    if (s)
        zm_opt_free(o);
    else
        *out = o;
    return s;
}

void zm_opt_free(zm_opt *o)
{
    if (!o)
        return;
    for (int i = 0; o->group && i < o->n_group; i++)
        zm_orthogonal_free(o->group[i].work);
    zm_update_free(o->update);
    free(o->at);
    free(o->here);
    free(o->square);
    free(o->slot);
    free(o->of);
    free(o->group);
    free(o->memory);
    free(o);
}

static void transpose(float *out, const float *in, int64_t rows, int64_t columns)
{
    enum { TILE = 16 };
    for (int64_t r0 = 0; r0 < rows; r0 += TILE)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t r = r0; r < r0 + TILE && r < rows; r++)
                out[c * rows + r] = in[r * columns + c];
}

/* Momentum in, normalised Nesterov direction into the group's input. */
static void muon_direction(const zm_opt *o, slot *s, const float *g, float clip)
{
    float *in = zm_orthogonal_in(o->group[s->group].work, s->place), mu = (float)o->o.momentum;
    bool tall = s->rows > s->columns;
    double square = 0;
    for (int64_t i = 0; i < s->n; i++) {
        float gi = clip * g[i];
        s->m[i] = mu * s->m[i] + gi;
        float d = gi + mu * s->m[i];
        square += (double)d * (double)d;
    }
    float scale = (float)(1 / (sqrt(square) + 1e-12));
    if (!tall) {
        for (int64_t i = 0; i < s->n; i++)
            in[i] = scale * (clip * g[i] + mu * s->m[i]);
        return;
    }
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t c = 0; c < s->columns; c++)
            in[c * s->rows + r] = scale * (clip * g[r * s->columns + c] + mu * s->m[r * s->columns + c]);
}

static void muon_apply(const zm_opt *o, slot *s, double scale, float *room)
{
    const float *u = zm_orthogonal_out(o->group[s->group].work, s->place);
    float *p = s->param->data;
    double lr = o->o.lr * scale;
    float size = (float)(lr * 0.2 * sqrt((double)(s->rows > s->columns ? s->rows : s->columns)));
    float keep = (float)(1 - lr * o->o.weight_decay);
    if (s->rows > s->columns) {
        transpose(room, u, s->columns, s->rows);
        u = room;
    }
    for (int64_t i = 0; i < s->n; i++)
        p[i] = keep * p[i] - size * u[i];
}

static zm_status gradient_norm(zm_opt *o, const float *const *grad, double *norm, zm_error *err)
{
    double square = 0;
    for (int i = 0; i < o->n_params; i++) {
        if (o->of[i] < 0 || !grad[i])
            continue;
        double part = zm_sum_squares(grad[i], o->slot[o->of[i]].n);
        if (!isfinite(part))
            return zm_fail(err, ZM_E_FORMAT, "the gradient of %s is not finite", zm_params_at(o->params, i)->name);
        square += part;
    }
    *norm = sqrt(square);
    return ZM_OK;
}

static zm_status muon_step(zm_opt *o, const float *const *grad, double scale, float clip, zm_error *err)
{
    int64_t largest = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < o->n_params; i++)
        if (o->of[i] >= 0 && grad[i] && o->slot[o->of[i]].muon)
            muon_direction(o, &o->slot[o->of[i]], grad[i], clip);
    for (int i = 0; i < o->n_slot; i++)
        if (o->slot[i].muon && o->slot[i].n > largest)
            largest = o->slot[i].n;
    for (int i = 0; i < o->n_group; i++)
        zm_orthogonal_run(o->group[i].work);
    zm_status s = ZM_OK;
#pragma omp parallel
    {
        float *room = malloc((size_t)largest * sizeof *room + 1);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < o->n_params; i++)
            if (room && o->of[i] >= 0 && grad[i] && o->slot[o->of[i]].muon)
                muon_apply(o, &o->slot[o->of[i]], scale, room);
        if (!room) {
#pragma omp critical
            s = ZM_E_NOMEM;
        }
        free(room);
    }
    return s ? zm_fail(err, s, "out of memory in an optimiser step") : ZM_OK;
}

/* Devices that keep copies of the parameters hear of it. */
static void params_changed(const zm_opt *o)
{
    for (int i = 0; i < o->n_slot; i++)
        zm_backend_changed(o->slot[i].param->data);
}

zm_status zm_opt_step(zm_opt *o, const float *const *grad, int64_t step, double scale, double *norm, zm_error *err)
{
    zm_status s = gradient_norm(o, grad, norm, err);
    if (s)
        return s;
    float clip = o->o.clip > 0 && *norm > o->o.clip ? (float)(o->o.clip / *norm) : 1;
    if (o->n_group)
        s = muon_step(o, grad, scale, clip, err);
    double adam_lr = (o->o.kind == ZM_OPT_MUON ? o->o.adam_lr : o->o.lr) * scale;
    for (int i = 0; !s && i < o->n_params; i++) {
        slot *t = o->of[i] < 0 ? NULL : &o->slot[o->of[i]];
        if (!t || !grad[i] || t->muon)
            continue;
        if (clip != 1)
            zm_axpby((float *)grad[i], grad[i], t->n, 0, (double)clip);
        double decay = t->param->shape.rank >= 2 ? o->o.weight_decay : 0;
        zm_adamw_update(t->param->data, grad[i], t->m, t->v, t->n, adam_lr, o->o.beta1, o->o.beta2, o->o.eps, decay,
                        step);
    }
    params_changed(o);
    double decay = fmin(o->o.ema, (1.0 + (double)step) / (10.0 + (double)step));
    for (int i = 0; !s && o->o.ema > 0 && i < o->n_slot; i++)
        zm_ema_update(o->slot[i].ema, o->slot[i].param->data, o->slot[i].n, decay);
    return s;
}

/* ---- where gradients stay on a device ---- */

bool zm_opt_outputs_stay(void)
{
    return zm_backend_device() == ZM_DEVICE_CUDA;
}

static zm_status updates_of(zm_opt *o, zm_exec *x, zm_error *err)
{
    size_t n = (size_t)o->n_slot + 1;
    int64_t *elems = malloc(n * sizeof *elems);
    o->at = calloc(n, sizeof *o->at);
    o->square = calloc(n, sizeof *o->square);
    zm_status s = elems && o->at && o->square ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    for (int i = 0; !s && i < o->n_slot; i++)
        elems[i] = o->slot[i].n;
    if (!s)
        s = zm_update_new(&o->update, x, o->n_slot, elems, err);
    for (int i = 0; !s && o->update && i < o->n_group; i++)
        s = zm_update_group(o->update, o->group[i].n, o->group[i].rows, o->group[i].columns, err);
    free(elems);
    return s;
}

static zm_update_matrix matrix_of(const slot *s)
{
    return (zm_update_matrix){.group = s->group, .place = s->place, .rows = s->rows, .columns = s->columns};
}

static void update_slot(zm_opt *o, slot *s, const zm_tensor *grad, double clip, double scale, int64_t step)
{
    double lr = (o->o.kind == ZM_OPT_MUON ? o->o.adam_lr : o->o.lr) * scale;
    if (s->muon) {
        zm_update_matrix a = matrix_of(s);
        double size = o->o.lr * scale * 0.2 * sqrt((double)(s->rows > s->columns ? s->rows : s->columns));
        zm_update_apply(o->update, &a, s->param->data, size, 1 - o->o.lr * scale * o->o.weight_decay);
    } else {
        float *of[] = {s->param->data, s->m, s->v};
        zm_update_adamw(o->update, grad, of, clip, lr, (double[]){o->o.beta1, o->o.beta2}, o->o.eps,
                        s->param->shape.rank >= 2 ? o->o.weight_decay : 0, step);
    }
}

/* Gradients on the host, as the graph left them. */
static zm_status step_here(zm_opt *o, zm_tensor *const *grad, int64_t step, double scale, double *norm, zm_error *err)
{
    if (!o->here && !(o->here = calloc((size_t)o->n_params + 1, sizeof *o->here)))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    for (int i = 0; i < o->n_params; i++)
        o->here[i] = grad[i] ? grad[i]->data : NULL;
    return zm_opt_step(o, o->here, step, scale, norm, err);
}

/* Every matrix of a group takes part in its product; one without a gradient has last step's there, and is not applied. */
zm_status zm_opt_step_there(zm_opt *o, zm_exec *x, zm_tensor *const *grad, int64_t step, double scale, double *norm,
                            zm_error *err)
{
    if (zm_backend_device() == ZM_DEVICE_CPU)
        return step_here(o, grad, step, scale, norm, err);
    zm_status s = o->update ? ZM_OK : updates_of(o, x, err);
    if (s)
        return s;
    for (int i = 0; i < o->n_params; i++)
        if (o->of[i] >= 0)
            o->at[o->of[i]] = grad[i];
    s = zm_update_squares(o->update, o->at, o->square, err);
    double square = 0;
    for (int i = 0; !s && i < o->n_slot; i++) {
        if (!isfinite(o->square[i]))
            s = zm_fail(err, ZM_E_FORMAT, "the gradient of %s is not finite", o->slot[i].param->name);
        square += o->square[i];
    }
    if (s)
        return s;
    *norm = sqrt(square);
    double clip = o->o.clip > 0 && *norm > o->o.clip ? o->o.clip / *norm : 1;
    for (int i = 0; i < o->n_slot; i++)
        if (o->slot[i].muon && o->at[i]) {
            zm_update_matrix a = matrix_of(&o->slot[i]);
            zm_update_direction(o->update, &a, o->at[i], o->slot[i].m, clip, o->o.momentum);
        }
    for (int i = 0; i < o->n_group; i++)
        zm_update_orthogonal(o->update, i, ZM_ORTHOGONAL_STEPS);
    for (int i = 0; i < o->n_slot; i++)
        if (o->at[i])
            update_slot(o, &o->slot[i], o->at[i], clip, scale, step);
    double decay = fmin(o->o.ema, (1.0 + (double)step) / (10.0 + (double)step));
    for (int i = 0; o->o.ema > 0 && i < o->n_slot; i++)
        zm_update_average(o->update, o->slot[i].ema, o->slot[i].param->data, o->slot[i].n, decay);
    return zm_update_end(o->update, err);
}

const float *zm_opt_average(const zm_opt *o, int i)
{
    const slot *s = o->of[i] < 0 ? NULL : &o->slot[o->of[i]];
    zm_backend_fetch(s && s->ema ? s->ema : zm_params_at(o->params, i)->data);
    return s && s->ema ? s->ema : zm_params_at(o->params, i)->data;
}

void zm_opt_swap_average(zm_opt *o)
{
    for (int i = 0; i < o->n_slot; i++) {
        float *a = o->slot[i].param->data, *b = o->slot[i].ema;
        zm_backend_fetch(a);
        zm_backend_fetch(b);
        for (int64_t k = 0; b && k < o->slot[i].n; k++) {
            float keep = a[k];
            a[k] = b[k];
            b[k] = keep;
        }
        zm_backend_changed(b);
    }
    params_changed(o);
}

int zm_opt_state_count(const zm_opt *o)
{
    return 4 * o->n_slot;
}

void zm_opt_state_at(zm_opt *o, int i, char *buf, size_t cap, float **data, const zm_shape **shape)
{
    static const char *const kind[] = {"param", "ema", "m", "v"};
    slot *s = &o->slot[i / 4];
    float *of[] = {s->param->data, s->ema, s->m, s->v};
    zm_backend_fetch(of[i % 4]);
    *data = of[i % 4]; /* NULL: this parameter has no such state */
    *shape = &s->param->shape;
    size_t at = 0;
    while (kind[i % 4][at] && at + 1 < cap) {
        buf[at] = kind[i % 4][at];
        at++;
    }
    if (at + 1 < cap)
        buf[at++] = '.';
    for (const char *c = s->param->name; *c && at + 1 < cap; c++)
        buf[at++] = *c;
    buf[at] = 0;
}
