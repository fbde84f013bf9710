/* Low-rank adapters: declaring, applying in a graph, merging into the base.
 * SPDX-License-Identifier: MIT */
#include "model/lora.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

static const char *const attention_linears[] = {"self_attn.q",  "self_attn.k",  "self_attn.v",
                                                "self_attn.o",  "cross_attn.q", "cross_attn.k",
                                                "cross_attn.v", "cross_attn.o", NULL};

/* name is "STEM.weight" and STEM ends in `target` at a component's start. */
static bool is_target(const char *name, const char *target)
{
    size_t n = strlen(name), t = strlen(target), w = strlen(".weight");
    if (n < t + w || strcmp(name + n - w, ".weight") != 0)
        return false;
    size_t at = n - w - t;
    return !memcmp(name + at, target, t) && (at == 0 || name[at - 1] == '.');
}

static bool wanted(const char *const *targets, const zm_param *p)
{
    if (p->shape.rank != 2)
        return false;
    for (; *targets; targets++)
        if (is_target(p->name, *targets))
            return true;
    return false;
}

void zm_lora_free(zm_lora *l)
{
    if (!l)
        return;
    zm_params_free(l->params);
    free(l->a);
    free(l->b);
    free(l);
}

zm_status zm_lora_declare(zm_lora **out, const zm_lora_config *c, const zm_params *base, zm_error *err)
{
    *out = NULL;
    if (c->rank < 1 || c->rank > 1024 || !(c->alpha > 0))
        return zm_fail(err, ZM_E_USAGE, "an adapter of rank %d and alpha %g is not possible", c->rank,
                       (double)c->alpha);
    zm_lora *l = calloc(1, sizeof *l);
    if (l) {
        l->config = *c;
        l->n_base = zm_params_count(base);
        l->params = zm_params_new();
        l->a = calloc((size_t)l->n_base + 1, sizeof *l->a);
        l->b = calloc((size_t)l->n_base + 1, sizeof *l->b);
    }
    if (!l || !l->params || !l->a || !l->b) {
        zm_lora_free(l);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for an adapter");
    }
    const char *const *targets = c->targets ? c->targets : attention_linears;
    const char *prefix = c->prefix ? c->prefix : "diffusion_model.";
    l->config.targets = NULL; /* borrowed only here */
    l->config.prefix = NULL;
    for (int i = 0; i < l->n_base; i++) {
        const zm_param *p = zm_params_at(base, i);
        if (!wanted(targets, p))
            continue;
        int stem = (int)(strlen(p->name) - strlen(".weight"));
        l->a[i] = zm_params_add(l->params, ZM_SHAPE(c->rank, p->shape.dim[1]), ZM_INIT_FAN_IN, false,
                                "%s%.*s.lora_A.weight", prefix, stem, p->name);
        l->b[i] = zm_params_add(l->params, ZM_SHAPE(p->shape.dim[0], c->rank), ZM_INIT_ZEROS, false,
                                "%s%.*s.lora_B.weight", prefix, stem, p->name);
        l->adapted++;
    }
    if (!l->adapted) {
        zm_lora_free(l);
        return zm_fail(err, ZM_E_MISSING, "no linear of this network is a target of the adapter");
    }
    *out = l;
    return ZM_OK;
}

void zm_lora_freeze(zm_params *base, bool frozen)
{
    for (int i = 0; i < zm_params_count(base); i++)
        zm_params_at(base, i)->frozen = frozen;
}

void zm_lora_attach(zm_build *b, const zm_lora *l)
{
    ZM_ASSERT(l->n_base == zm_params_count(b->params));
    b->lora = l;
    b->lora_leaf = zm_arena_array(zm_graph_arena(b->g), (size_t)zm_params_count(l->params) + 1, sizeof *b->lora_leaf);
    if (!b->lora_leaf)
        zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for the leaves of an adapter");
}

static zm_tensor *adapter_leaf(zm_build *b, const zm_param *p)
{
    zm_build own = {.g = b->g, .params = b->lora->params, .train = b->train, .checkpoint = false, .leaf = b->lora_leaf};
    return zm_use(&own, p);
}

zm_tensor *zm_lora_linear(zm_build *b, zm_tensor *x, const zm_param *w, const zm_param *bias, zm_unary_kind act)
{
    const zm_lora *l = b->lora;
    if (!l || !l->a[w->index])
        return zm_use_linear(b, x, w, bias, act);
    zm_tensor *y = zm_use_linear(b, x, w, bias, ZM_IDENTITY);
    zm_tensor *down = zm_linear(b->g, x, adapter_leaf(b, l->a[w->index]), NULL, ZM_IDENTITY);
    down = zm_affine(b->g, down, (double)l->config.alpha / l->config.rank, 0);
    zm_tensor *up = zm_linear(b->g, down, adapter_leaf(b, l->b[w->index]), NULL, ZM_IDENTITY);
    y = zm_add(b->g, y, up);
    return act == ZM_IDENTITY ? y : zm_unary(b->g, act, y);
}

/* w[o][i] += scale * sum_r b[o][r] a[r][i], sums in double. */
static void merge_one(const zm_param *w, const zm_param *a, const zm_param *b, double scale)
{
    int64_t out = w->shape.dim[0], in = w->shape.dim[1], rank = a->shape.dim[0];
    const float *pa = a->data, *pb = b->data;
    float *pw = w->data;
#pragma omp parallel for
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0;
            for (int64_t r = 0; r < rank; r++)
                sum += (double)pb[o * rank + r] * (double)pa[r * in + i];
            pw[o * in + i] += (float)(scale * sum);
        }
}

zm_status zm_lora_merge(zm_params *base, const zm_lora *l, float strength, zm_error *err)
{
    ZM_ASSERT(l->n_base == zm_params_count(base));
    for (int pass = 0; pass < 2; pass++) /* check all, then change all */
        for (int i = 0; i < l->n_base; i++) {
            const zm_param *w = zm_params_at(base, i);
            if (!l->a[i])
                continue;
            if (pass == 1)
                merge_one(w, l->a[i], l->b[i], (double)strength * (double)l->config.alpha / l->config.rank);
            else if (!zm_param_owned(base, i) || w->dtype != ZM_F32)
                return zm_fail(err, ZM_E_UNSUPPORTED,
                               "%s stays %s in its file: an adapter is merged into f32 copies only", w->name,
                               zm_dtype_name(w->dtype));
        }
    return ZM_OK;
}
