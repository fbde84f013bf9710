/* Joining adapter files.
 * SPDX-License-Identifier: MIT */
#include "model/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/names.h"

enum { RANK_MOST = 4096 };

/* Low-rank update of one parameter: rows of A, columns of B with every scale folded in. */
typedef struct update {
    int64_t rank;
    float *a, *b; /* [rank,in], [rank,out]: B turned, so that another file's rows are appended */
} update;

struct zm_adapter {
    zm_params *base;
    update *of; /* by parameter */
    zm_lora lora;
};

typedef enum { DOWN, UP, ALPHA, DIFF, DIFF_BIAS, OTHER } role;

static const struct {
    const char *end;
    role is;
} ends[] = {
    {".lora_A.weight", DOWN},
    {".lora_B.weight", UP},
    {".lora_A.default.weight", DOWN},
    {".lora_B.default.weight", UP},
    {".lora_down.weight", DOWN},
    {".lora_up.weight", UP},
    {".lora.down.weight", DOWN},
    {".lora.up.weight", UP},
    {".alpha", ALPHA},
    {".diff", DIFF},
    {".diff_b", DIFF_BIAS},
};
static const char *const prefixes[] = {"base_model.model.",
                                       "model.diffusion_model.",
                                       "diffusion_model.",
                                       "transformer.",
                                       "unet.",
                                       "lora_unet_",
                                       "lora_transformer_",
                                       ""};

zm_status zm_adapter_new(zm_adapter **out, zm_params *base, zm_error *err)
{
    *out = calloc(1, sizeof **out);
    if (*out)
        (*out)->of = calloc((size_t)zm_params_count(base) + 1, sizeof *(*out)->of);
    if (!*out || !(*out)->of) {
        zm_adapter_free(*out);
        *out = NULL;
        return zm_fail(err, ZM_E_NOMEM, "out of memory for an adapter");
    }
    (*out)->base = base;
    return ZM_OK;
}

void zm_adapter_free(zm_adapter *a)
{
    if (!a)
        return;
    for (int i = 0; a->of && i < zm_params_count(a->base); i++) {
        free(a->of[i].a);
        free(a->of[i].b);
    }
    zm_params_free(a->lora.params);
    free(a->lora.a);
    free(a->lora.b);
    free(a->of);
    free(a);
}

/* ---- names ---- */

static role split(char *stem, size_t cap, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i].end);
        if (n > m && n - m < cap && !strcmp(name + n - m, ends[i].end)) {
            memcpy(stem, name, n - m);
            stem[n - m] = 0;
            return ends[i].is;
        }
    }
    return OTHER;
}

/* "blocks_0_self_attn_q" is "blocks.0.self_attn.q". */
static bool same_flat(const char *flat, const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (flat[i] != (name[i] == '.' ? '_' : name[i]))
            return false;
    return !flat[n];
}

static zm_param *by_flat_name(const zm_params *base, const char *flat, const char *ending)
{
    size_t e = strlen(ending);
    for (int i = 0; i < zm_params_count(base); i++) {
        zm_param *p = zm_params_at(base, i);
        size_t n = strlen(p->name);
        if (n > e && !strcmp(p->name + n - e, ending) && same_flat(flat, p->name, n - e))
            return p;
    }
    return NULL;
}

static const zm_name_scheme *diffusers(void)
{
    for (size_t i = 0; i < zm_name_scheme_count; i++)
        if (zm_name_schemes[i].part == ZM_PART_DIT && zm_name_schemes[i].n_rules)
            return &zm_name_schemes[i];
    return NULL;
}

/* The parameter STEM + ending (".weight", ".bias") under any of the spellings; a stem may be the whole name. */
static zm_param *find(const zm_params *base, const char *stem, const char *ending)
{
    zm_names names = {.scheme = diffusers()};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        char full[512], official[512];
        if (strncmp(stem, prefixes[i], n) != 0)
            continue;
        if ((size_t)snprintf(full, sizeof full, "%s%s", stem + n, ending) >= sizeof full)
            return NULL;
        zm_param *p = zm_params_find(base, full);
        if (!p && zm_names_official(official, sizeof official, NULL, &names, full))
            p = zm_params_find(base, official);
        if (!p && n && prefixes[i][n - 1] == '_')
            p = by_flat_name(base, stem + n, ending);
        if (!p)
            p = zm_params_find(base, stem + n); /* "blocks.0.modulation.diff" */
        if (p)
            return p;
    }
    return NULL;
}

/* ---- values ---- */

static zm_status read_floats(float **out, const zm_weights *w, const zm_weight *t, zm_error *err)
{
    size_t n = zm_weight_elems(t);
    *out = NULL;
    if (t->dtype != ZM_F32 && t->dtype != ZM_F16 && t->dtype != ZM_BF16 && t->dtype != ZM_Q8_0)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s holds %s, an adapter must be floats of 16 or 32 bits, or q8_0",
                       zm_weights_path(w), t->name, t->dtype_name ? t->dtype_name : "another type");
    if (!(*out = malloc((n + 1) * sizeof **out)))
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", zm_weights_path(w), t->name);
    zm_dtype_to_f32(*out, t->data, t->dtype, n);
    return ZM_OK;
}

/* The tensor of the same stem in another role, or NULL. */
static const zm_weight *partner(const zm_weights *w, const char *stem, role is)
{
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[600];
        const zm_weight *t;
        if (ends[i].is == is && (size_t)snprintf(name, sizeof name, "%s%s", stem, ends[i].end) < sizeof name &&
            zm_weights_has(w, name) && !zm_weights_find(&t, w, name, NULL))
            return t;
    }
    return NULL;
}

static zm_status scale_of(float *out, const zm_weights *w, const char *stem, int64_t rank, float strength,
                          zm_error *err)
{
    const zm_weight *t = partner(w, stem, ALPHA);
    double alpha = (double)rank;
    float *value = NULL;
    if (t && zm_weight_elems(t) == 1) {
        zm_status s = read_floats(&value, w, t, err);
        if (s)
            return s;
        alpha = (double)*value;
        free(value);
    } else {
        zm_weights_meta_f64(w, "alpha", &alpha);
    }
    *out = (float)(strength * alpha / (double)rank);
    return ZM_OK;
}

static zm_status append(zm_adapter *ad, const zm_weights *w, const zm_param *p, const char *stem, const zm_weight *down,
                        const zm_weight *up, float strength, zm_error *err)
{
    update *u = &ad->of[p->index];
    int64_t rank = down->rank >= 1 ? down->dim[0] : 0, out = p->shape.dim[0],
            in = p->shape.rank > 1 ? zm_shape_elems(p->shape) / out : 0;
    bool fits = p->shape.rank >= 2 && rank >= 1 && rank <= RANK_MOST && u->rank + rank <= RANK_MOST && up->rank >= 2 &&
                zm_weight_elems(down) == (size_t)(rank * in) && up->dim[0] == out &&
                zm_weight_elems(up) == (size_t)(out * rank);
    if (!fits)
        return zm_fail(err, ZM_E_SHAPE, "%s: %s of rank %lld does not fit %s of %lld x %lld", zm_weights_path(w),
                       down->name, (long long)rank, p->name, (long long)out, (long long)in);
    float *a = NULL, *b = NULL, scale = 0;
    zm_status s = scale_of(&scale, w, stem, rank, strength, err);
    if (!s)
        s = read_floats(&a, w, down, err);
    if (!s)
        s = read_floats(&b, w, up, err);
    float *all_a = s ? NULL : realloc(u->a, (size_t)((u->rank + rank) * in) * sizeof *a);
    u->a = all_a ? all_a : u->a;
    float *all_b = s ? NULL : realloc(u->b, (size_t)((u->rank + rank) * out) * sizeof *b);
    u->b = all_b ? all_b : u->b;
    if (!s && (!all_a || !all_b))
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %s", zm_weights_path(w), down->name);
    if (!s) {
        memcpy(u->a + u->rank * in, a, (size_t)(rank * in) * sizeof *a);
        for (int64_t r = 0; r < rank; r++)
            for (int64_t o = 0; o < out; o++)
                u->b[(u->rank + r) * out + o] = scale * b[o * rank + r];
        u->rank += rank;
    }
    free(a);
    free(b);
    return s;
}

static zm_status add_difference(zm_adapter *ad, const zm_weights *w, zm_param *p, const zm_weight *t, float strength,
                                zm_error *err)
{
    size_t n = (size_t)zm_shape_elems(p->shape);
    float *d = NULL;
    if (zm_weight_elems(t) != n)
        return zm_fail(err, ZM_E_SHAPE, "%s: %s has %zu numbers, %s %zu", zm_weights_path(w), t->name,
                       zm_weight_elems(t), p->name, n);
    if (p->dtype != ZM_F32 || !zm_param_owned(ad->base, p->index))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s is a whole difference for %s, which stays %s in its file",
                       zm_weights_path(w), t->name, p->name, zm_dtype_name(p->dtype));
    zm_status s = read_floats(&d, w, t, err);
    for (size_t i = 0; !s && i < n; i++)
        ((float *)p->data)[i] += strength * d[i];
    free(d);
    return s;
}

zm_status zm_adapter_add(zm_adapter *a, const zm_weights *w, float strength, int *skipped, zm_error *err)
{
    zm_status s = ZM_OK;
    int used = 0;
    *skipped = 0;
    for (size_t i = 0; !s && i < zm_weights_count(w); i++) {
        const zm_weight *t = zm_weights_at(w, i);
        char stem[512];
        role is = split(stem, sizeof stem, t->name);
        zm_param *p = is == OTHER ? NULL : find(a->base, stem, is == DIFF_BIAS ? ".bias" : ".weight");
        if (!p) {
            ++*skipped;
            continue;
        }
        used++;
        if (is == DOWN) {
            const zm_weight *up = partner(w, stem, UP);
            s = up ? append(a, w, p, stem, t, up, strength, err)
                   : zm_fail(err, ZM_E_FORMAT, "%s: %s has no other half", zm_weights_path(w), t->name);
        } else if (is == UP && !partner(w, stem, DOWN)) {
            s = zm_fail(err, ZM_E_FORMAT, "%s: %s has no other half", zm_weights_path(w), t->name);
        } else if (is == DIFF || is == DIFF_BIAS) {
            s = add_difference(a, w, p, t, strength, err);
        }
    }
    if (!s && !used)
        s = zm_fail(err, ZM_E_FORMAT, "%s: no adapter tensors for this network", zm_weights_path(w));
    return s;
}

/* w[o][i] += sum_r b[r][o] a[r][i], sums in double. */
static void merge(const zm_param *p, const update *u)
{
    int64_t out = p->shape.dim[0], in = zm_shape_elems(p->shape) / out;
    float *w = p->data;
#pragma omp parallel for
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t r = 0; r < u->rank; r++)
                sum += (double)u->b[r * out + o] * (double)u->a[r * in + i];
            w[o * in + i] += (float)sum;
        }
}

/* A and B of a parameter that stays mapped, as the adapter's own parameters. */
static zm_status attach(zm_adapter *ad, const zm_param *p, const update *u, zm_error *err)
{
    int64_t out = p->shape.dim[0], in = p->shape.dim[1];
    zm_param *a = zm_params_add(ad->lora.params, ZM_SHAPE(u->rank, in), ZM_INIT_ZEROS, false, "%s.a", p->name);
    zm_param *b = zm_params_add(ad->lora.params, ZM_SHAPE(out, u->rank), ZM_INIT_ZEROS, false, "%s.b", p->name);
    ad->lora.a[p->index] = a;
    ad->lora.b[p->index] = b;
    ad->lora.adapted++;
    return p->shape.rank == 2
               ? ZM_OK
               : zm_fail(err, ZM_E_UNSUPPORTED, "%s is no matrix: an adapter of it needs an f32 copy", p->name);
}

zm_status zm_adapter_apply(zm_adapter *a, const zm_lora **attached, zm_error *err)
{
    int n = zm_params_count(a->base);
    zm_lora *l = &a->lora;
    zm_status s = ZM_OK;
    *attached = NULL;
    l->params = zm_params_new();
    l->a = calloc((size_t)n + 1, sizeof *l->a);
    l->b = calloc((size_t)n + 1, sizeof *l->b);
    l->n_base = n;
    l->config = (zm_lora_config){.rank = 1, .alpha = 1}; /* scales are folded into B */
    if (!l->params || !l->a || !l->b)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for an adapter");
    for (int i = 0; !s && i < n; i++) {
        const zm_param *p = zm_params_at(a->base, i);
        if (!a->of[i].rank)
            continue;
        if (p->dtype == ZM_F32 && zm_param_owned(a->base, i))
            merge(p, &a->of[i]);
        else
            s = attach(a, p, &a->of[i], err);
    }
    if (!s && l->adapted)
        s = zm_params_fill(l->params, 0, err);
    for (int i = 0; !s && l->adapted && i < n; i++) {
        const update *u = &a->of[i];
        if (!l->a[i])
            continue;
        int64_t out = l->b[i]->shape.dim[0], in = l->a[i]->shape.dim[1];
        memcpy(l->a[i]->data, u->a, (size_t)(u->rank * in) * sizeof(float));
        for (int64_t o = 0; o < out; o++)
            for (int64_t r = 0; r < u->rank; r++)
                ((float *)l->b[i]->data)[o * u->rank + r] = u->b[r * out + o];
    }
    *attached = !s && l->adapted ? l : NULL;
    return s;
}
