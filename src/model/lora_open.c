/* Reading adapter files: which linears, which rank, which scale.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/lora.h"

/* How the writers of adapter files spell their tensors. */
static const struct spelling {
    const char *prefix, *down, *up;
} spellings[] = {
    {"diffusion_model.", ".lora_A.weight", ".lora_B.weight"},     {"", ".lora_A.weight", ".lora_B.weight"},
    {"diffusion_model.", ".lora_down.weight", ".lora_up.weight"}, {"", ".lora_down.weight", ".lora_up.weight"},
    {"transformer.", ".lora_A.weight", ".lora_B.weight"},
};

/* The base's weight called STEM.weight that the tensor called PREFIX + STEM + down adapts; NULL: another spelling. */
static const zm_param *base_of(const zm_params *base, const struct spelling *s, const char *name)
{
    size_t n = strlen(name), p = strlen(s->prefix), d = strlen(s->down);
    char weight[512];
    if (n <= p + d || n + 8 > sizeof weight || strncmp(name, s->prefix, p) != 0 || strcmp(name + n - d, s->down) != 0)
        return NULL;
    snprintf(weight, sizeof weight, "%.*s.weight", (int)(n - p - d), name + p);
    return zm_params_find(base, weight);
}

static const struct spelling *find_spelling(const zm_weights *w, const zm_params *base, int64_t *rank)
{
    for (size_t k = 0; k < sizeof spellings / sizeof *spellings; k++)
        for (size_t i = 0; i < zm_weights_count(w); i++) {
            const zm_weight *t = zm_weights_at(w, i);
            if (t->rank == 2 && base_of(base, &spellings[k], t->name)) {
                *rank = t->dim[0];
                return &spellings[k];
            }
        }
    return NULL;
}

static double find_alpha(const zm_weights *w, int64_t rank)
{
    double alpha = (double)rank;
    if (zm_weights_meta_f64(w, "alpha", &alpha))
        return alpha;
    for (size_t i = 0; i < zm_weights_count(w); i++) {
        const zm_weight *t = zm_weights_at(w, i);
        size_t n = strlen(t->name);
        bool scalar = zm_weight_elems(t) == 1 && (t->dtype == ZM_F32 || t->dtype == ZM_F16 || t->dtype == ZM_BF16);
        if (scalar && n > 6 && !strcmp(t->name + n - 6, ".alpha")) {
            float value;
            zm_dtype_to_f32(&value, t->data, t->dtype, 1);
            return (double)value;
        }
    }
    return alpha;
}

/* Stems of the linears in the file, as exact targets; *list is malloc'd (the array and its one text block). */
static zm_status collect(char ***list, int *n, const zm_weights *w, const zm_params *base, const struct spelling *s,
                         zm_error *err)
{
    size_t count = zm_weights_count(w);
    *n = 0;
    *list = calloc(count + 1, sizeof **list);
    if (!*list)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", zm_weights_path(w));
    size_t down = strlen(s->down), up = strlen(s->up);
    for (size_t i = 0; i < count; i++) {
        const zm_weight *t = zm_weights_at(w, i);
        size_t len = strlen(t->name);
        if (len > up && !strcmp(t->name + len - up, s->up))
            continue;
        if (len > 6 && !strcmp(t->name + len - 6, ".alpha"))
            continue;
        const zm_param *p = base_of(base, s, t->name);
        if (!p)
            return zm_fail(err, len > down && !strcmp(t->name + len - down, s->down) ? ZM_E_MISSING : ZM_E_UNSUPPORTED,
                           "%s: %s adapts no linear of this network", zm_weights_path(w), t->name);
        char *stem = malloc(strlen(p->name) + 1);
        if (!stem)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", zm_weights_path(w));
        strcpy(stem, p->name);
        stem[strlen(stem) - strlen(".weight")] = 0;
        (*list)[(*n)++] = stem;
    }
    return ZM_OK;
}

/* Load A and B under this file's spelling: the declared names use lora_A and lora_B. */
static zm_status load(zm_lora *l, const zm_weights *w, const zm_params *base, const struct spelling *s, zm_error *err)
{
    zm_status st = zm_params_fill(l->params, 0, err);
    for (int i = 0; i < l->n_base && !st; i++) {
        const zm_param *p = zm_params_at(base, i), *part[2] = {l->a[i], l->b[i]};
        for (int k = 0; k < 2 && part[k] && !st; k++) {
            char name[600];
            int stem = (int)(strlen(p->name) - strlen(".weight"));
            snprintf(name, sizeof name, "%s%.*s%s", s->prefix, stem, p->name, k ? s->up : s->down);
            const zm_weight *t;
            st = zm_weights_find(&t, w, name, err);
            if (st)
                break;
            bool fits = t->rank == 2 && t->dim[0] == part[k]->shape.dim[0] && t->dim[1] == part[k]->shape.dim[1];
            if (!fits)
                st = zm_fail(err, ZM_E_SHAPE, "%s: %s does not fit a linear of %lld x %lld at rank %d",
                             zm_weights_path(w), name, (long long)p->shape.dim[0], (long long)p->shape.dim[1],
                             l->config.rank);
            else if (t->dtype != ZM_F32 && t->dtype != ZM_F16 && t->dtype != ZM_BF16 && t->dtype != ZM_Q8_0)
                st = zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s holds %s, an adapter must be a float", zm_weights_path(w),
                             name, zm_dtype_name(t->dtype));
            else
                zm_dtype_to_f32(part[k]->data, t->data, t->dtype, zm_weight_elems(t));
        }
    }
    return st;
}

zm_status zm_lora_open(zm_lora **out, const zm_weights *w, const zm_params *base, zm_error *err)
{
    *out = NULL;
    int64_t rank = 0;
    const struct spelling *s = find_spelling(w, base, &rank);
    if (!s)
        return zm_fail(err, ZM_E_FORMAT, "%s: no adapter tensors for this network", zm_weights_path(w));
    char **targets = NULL;
    int n = 0;
    zm_lora *l = NULL;
    zm_status st = collect(&targets, &n, w, base, s, err);
    if (!st) {
        zm_lora_config c = {.rank = rank <= 1024 ? (int)rank : 0, .alpha = (float)find_alpha(w, rank)};
        c.prefix = s->prefix;
        c.targets = (const char *const *)targets;
        st = zm_lora_declare(&l, &c, base, err);
    }
    if (!st)
        st = load(l, w, base, s, err);
    for (int i = 0; i < n; i++)
        free(targets[i]);
    free(targets);
    if (st)
        zm_lora_free(l);
    else
        *out = l;
    return st;
}
