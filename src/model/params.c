/* Named parameters: declaring, drawing, binding to weight files, and their leaves and gradients in a graph.
 * SPDX-License-Identifier: MIT */
#include "model/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/companion.h"
#include "model/lora.h"
#include "ops/ops.h"

typedef struct entry {
    zm_param p; /* first, so that a zm_param is its entry */
    void *own;  /* heap memory behind p.data; NULL when mapped */
} entry;

struct zm_params {
    zm_arena *arena;
    entry **at;
    int n, cap;
    int *slot; /* hash table of index + 1; 0 is empty */
    size_t slots;
    entry spare; /* what a failed declaration returns */
    bool only_read;
    zm_error error;
};

zm_params *zm_params_new(void)
{
    zm_params *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->arena = zm_arena_new();
    if (!p->arena) {
        free(p);
        return NULL;
    }
    p->spare.p.name = "";
    p->spare.p.shape = ZM_SHAPE(1);
    return p;
}

void zm_params_free(zm_params *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n; i++) {
        free(p->at[i]->own);
        free(p->at[i]->p.factor);
    }
    free(p->at);
    free(p->slot);
    zm_arena_free(p->arena);
    free(p);
}

/* Where `name` is, or the empty slot where it belongs; the table is never full. */
static size_t find_slot(const zm_params *p, const char *name)
{
    size_t i = (size_t)zm_hash64(name, strlen(name), 0) & (p->slots - 1);
    while (p->slot[i] && strcmp(p->at[p->slot[i] - 1]->p.name, name) != 0)
        i = (i + 1) & (p->slots - 1);
    return i;
}

static bool grow(zm_params *p)
{
    int cap = p->cap ? p->cap * 2 : 64;
    entry **at = realloc(p->at, (size_t)cap * sizeof *at);
    if (!at)
        return false;
    p->at = at;
    int *slot = calloc((size_t)cap * 2, sizeof *slot);
    if (!slot)
        return false;
    free(p->slot);
    p->slot = slot;
    p->slots = (size_t)cap * 2;
    p->cap = cap;
    for (int i = 0; i < p->n; i++)
        p->slot[find_slot(p, p->at[i]->p.name)] = i + 1;
    return true;
}

zm_param *zm_params_add(zm_params *p, zm_shape shape, zm_init init, bool matrix, const char *name, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, name);
    int len = vsnprintf(text, sizeof text, name, ap);
    va_end(ap);
    if (p->error.code)
        return &p->spare.p;
    if (len < 0 || len >= (int)sizeof text) {
        zm_fail(&p->error, ZM_E_USAGE, "parameter name %.60s... is longer than %zu bytes", text, sizeof text - 1);
        return &p->spare.p;
    }
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] <= 0)
            zm_fail(&p->error, ZM_E_SHAPE, "%s: dimension %d is %lld", text, i, (long long)shape.dim[i]);
    entry *e = zm_arena_alloc(p->arena, sizeof *e);
    char *copy = zm_arena_strdup(p->arena, text);
    if (!e || !copy || (p->n == p->cap && !grow(p))) {
        zm_fail(&p->error, ZM_E_NOMEM, "out of memory declaring parameter %s", text);
        return &p->spare.p;
    }
    size_t slot = find_slot(p, copy);
    if (p->slot[slot]) {
        zm_fail(&p->error, ZM_E_USAGE, "parameter %s is declared twice", text);
        return &p->spare.p;
    }
    e->p = (zm_param){.name = copy, .shape = shape, .dtype = ZM_F32, .init = init, .scale = 1, .matrix = matrix};
    e->p.index = p->n;
    p->at[p->n++] = e;
    p->slot[slot] = p->n;
    return &e->p;
}

int zm_params_count(const zm_params *p)
{
    return p->n;
}

zm_param *zm_params_at(const zm_params *p, int i)
{
    ZM_ASSERT(i >= 0 && i < p->n);
    return &p->at[i]->p;
}

zm_param *zm_params_find(const zm_params *p, const char *name)
{
    if (!p->n)
        return NULL;
    int i = p->slot[find_slot(p, name)];
    return i ? &p->at[i - 1]->p : NULL;
}

int64_t zm_params_elems(const zm_params *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->n; i++)
        n += zm_shape_elems(p->at[i]->p.shape);
    return n;
}

static void forget(entry *e)
{
    free(e->own);
    free(e->p.factor);
    e->own = e->p.data = NULL;
    e->p.factor = NULL;
    e->p.factors = 0;
    e->p.dtype = ZM_F32;
}

/* Heap f32 memory for e's elements. */
static zm_status own_f32(entry *e, zm_error *err)
{
    size_t n = 1, bytes;
    for (int i = 0; i < e->p.shape.rank; i++)
        if (!zm_size_mul(&n, n, (size_t)e->p.shape.dim[i]))
            return zm_fail(err, ZM_E_NOMEM, "parameter %s does not fit in memory", e->p.name);
    if (!zm_size_mul(&bytes, n, sizeof(float)))
        return zm_fail(err, ZM_E_NOMEM, "parameter %s does not fit in memory", e->p.name);
    void *m = zm_aligned_alloc(bytes);
    if (!m)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for %zu bytes of parameter %s", bytes, e->p.name);
    forget(e);
    e->own = e->p.data = m;
    return ZM_OK;
}

static void draw(const zm_param *p, uint64_t seed)
{
    float *v = p->data;
    size_t n = (size_t)zm_shape_elems(p->shape);
    double fan_out = p->shape.rank ? (double)p->shape.dim[0] : 1, fan_in = (double)n / fan_out;
    zm_rng rng = zm_rng_init(seed, zm_hash64(p->name, strlen(p->name), 0));
    double std = p->init == ZM_INIT_FAN_IN ? 1 / sqrt(fan_in) : 1, limit = sqrt(6 / (fan_in + fan_out));
    switch (p->init) {
    case ZM_INIT_ZEROS:
    case ZM_INIT_ONES:
        for (size_t i = 0; i < n; i++)
            v[i] = p->init == ZM_INIT_ONES ? 1 : 0;
        break;
    case ZM_INIT_XAVIER:
        for (size_t i = 0; i < n; i++)
            v[i] = p->scale * zm_rng_range(&rng, (float)-limit, (float)limit);
        break;
    case ZM_INIT_FAN_IN:
    case ZM_INIT_NORMAL:
        zm_rng_normals(&rng, v, n);
        for (size_t i = 0; i < n; i++)
            v[i] *= (float)(p->scale * std);
        break;
    }
}

zm_status zm_params_fill_used(zm_params *p, const zm_build *b, uint64_t seed, zm_error *err)
{
    if (p->error.code)
        return zm_fail(err, p->error.code, "%s", p->error.text);
    for (int i = 0; i < p->n; i++) {
        if (b && !b->leaf[i])
            continue;
        zm_status s = own_f32(p->at[i], err);
        if (s)
            return s;
        draw(&p->at[i]->p, seed);
    }
    return ZM_OK;
}

zm_status zm_params_fill(zm_params *p, uint64_t seed, zm_error *err)
{
    return zm_params_fill_used(p, NULL, seed, err);
}

static zm_shape weight_shape(const zm_weight *w)
{
    zm_shape s = {.rank = w->rank};
    for (int i = 0; i < w->rank && i < ZM_MAX_RANK; i++)
        s.dim[i] = w->dim[i];
    return s;
}

/* Equal but for dimensions of 1, which some converters drop. */
static bool same_but_ones(zm_shape a, zm_shape b)
{
    int i = 0, k = 0;
    for (;;) {
        while (i < a.rank && a.dim[i] == 1)
            i++;
        while (k < b.rank && b.dim[k] == 1)
            k++;
        if (i == a.rank || k == b.rank)
            return i == a.rank && k == b.rank;
        if (a.dim[i++] != b.dim[k++])
            return false;
    }
}

/* e's factors from the scale of w: one, or one for each row.  No scale: none. */
static zm_status read_factors(entry *e, const zm_weight *w, const zm_weight *scale, zm_error *err)
{
    if (!scale)
        return ZM_OK;
    size_t n = zm_weight_elems(scale), rows = (size_t)e->p.shape.dim[0];
    char got[96];
    if (!zm_dtype_is_weight(scale->dtype) || zm_dtype_is_quantised(scale->dtype) ||
        (n != 1 && (n != rows || scale->dim[0] != (int64_t)rows)))
        return zm_fail(err, ZM_E_SHAPE,
                       "%s: the scale of %s is %s of %s, one number or one for each of %zu rows is needed",
                       w->file ? w->file : "weights", w->name, zm_shape_text(weight_shape(scale), got, sizeof got),
                       zm_dtype_name(scale->dtype), rows);
    e->p.factor = malloc(n * sizeof *e->p.factor);
    if (!e->p.factor)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the scale of %s", w->name);
    zm_dtype_to_f32(e->p.factor, scale->data, scale->dtype, n);
    e->p.factors = (int64_t)n;
    return ZM_OK;
}

static zm_status convert(entry *e, const zm_weight *w, const zm_weight *scale, zm_error *err)
{
    zm_status s = own_f32(e, err);
    if (!s)
        s = read_factors(e, w, scale, err);
    if (s)
        return s;
    size_t n = (size_t)zm_shape_elems(e->p.shape);
    float *v = e->p.data;
    zm_dtype_to_f32(v, w->data, w->dtype, n);
    if (!e->p.factor)
        return ZM_OK;
    size_t each = n / (size_t)e->p.factors;
    for (size_t i = 0; i < n; i++)
        v[i] *= e->p.factor[i / each];
    free(e->p.factor);
    e->p.factor = NULL;
    e->p.factors = 0;
    return ZM_OK;
}

/* Only loads of numbers of two or four bytes need their place: safetensors promises none. */
static size_t alignment_of(zm_dtype t)
{
    return zm_dtype_block_elems(t) == 1 ? zm_dtype_block_bytes(t) : 1;
}

/* Whether a parameter stays in its file, of this dtype. */
static bool stays_mapped(const zm_params *p, const entry *e, zm_dtype t, bool all_f32)
{
    if (p->only_read && t == ZM_F32)
        return true;
    int64_t row = e->p.shape.rank ? e->p.shape.dim[e->p.shape.rank - 1] : 1;
    return e->p.matrix && !all_f32 && t != ZM_F64 && row % (int64_t)zm_dtype_block_elems(t) == 0;
}

static zm_status load_one(const zm_params *p, entry *e, const zm_weight *w, const zm_weight *scale, bool all_f32,
                          zm_error *err)
{
    char got[96], want[96];
    const char *file = w->file ? w->file : "weights";
    if (!same_but_ones(e->p.shape, weight_shape(w)))
        return zm_fail(err, ZM_E_SHAPE, "%s: %s is %s, this network needs %s", file, w->name,
                       zm_shape_text(weight_shape(w), got, sizeof got), zm_shape_text(e->p.shape, want, sizeof want));
    if (!zm_dtype_is_weight(w->dtype) && w->dtype != ZM_F64)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s holds %s, a parameter must be floats or quantised", file, w->name,
                       zm_dtype_name(w->dtype));
    bool mapped = stays_mapped(p, e, w->dtype, all_f32);
    if (!mapped || (scale && e->p.shape.rank != 2))
        return convert(e, w, scale, err);
    forget(e);
    zm_status s = read_factors(e, w, scale, err);
    if (s)
        return s;
    if ((uintptr_t)w->data % alignment_of(w->dtype) != 0) {
        e->own = zm_aligned_alloc(w->bytes);
        if (!e->own)
            return zm_fail(err, ZM_E_NOMEM, "out of memory for %zu bytes of parameter %s", w->bytes, w->name);
        memcpy(e->own, w->data, w->bytes);
    }
    union { /* graphs take their leaves writable; nothing writes a mapped weight */
        const void *in;
        void *out;
    } data = {.in = w->data};
    e->p.data = e->own ? e->own : data.out;
    e->p.dtype = w->dtype;
    return ZM_OK;
}

void zm_params_only_read(zm_params *p)
{
    p->only_read = true;
}

zm_status zm_params_load(zm_params *p, const zm_weights *w, const char *prefix, bool all_f32, zm_error *err)
{
    if (p->error.code)
        return zm_fail(err, p->error.code, "%s", p->error.text);
    for (int i = 0; i < p->n; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", prefix ? prefix : "", p->at[i]->p.name);
        const zm_weight *t;
        zm_status s = zm_weights_find(&t, w, name, err);
        if (!s)
            s = load_one(p, p->at[i], t, zm_companion_scale(w, t), all_f32, err);
        if (s)
            return s;
    }
    return ZM_OK;
}

zm_status zm_params_foresee(zm_params *p, const zm_weights *w, const char *prefix, bool all_f32, size_t *owned,
                            size_t *mapped, zm_error *err)
{
    *owned = *mapped = 0;
    if (p->error.code)
        return zm_fail(err, p->error.code, "%s", p->error.text);
    for (int i = 0; i < p->n; i++) {
        entry *e = p->at[i];
        char name[512];
        const zm_weight *t = NULL;
        size_t bytes = 0, n = (size_t)zm_shape_elems(e->p.shape);
        snprintf(name, sizeof name, "%s%s", prefix ? prefix : "", e->p.name);
        zm_status s = w ? zm_weights_find(&t, w, name, err) : ZM_OK;
        if (s)
            return s;
        zm_dtype type = t ? t->dtype : ZM_BF16;
        bool stays = stays_mapped(p, e, type, all_f32);
        e->p.dtype = stays ? type : ZM_F32;
        if (!zm_dtype_bytes(&bytes, e->p.dtype, n) ||
            !zm_size_add(stays ? mapped : owned, stays ? *mapped : *owned, bytes))
            return zm_fail(err, ZM_E_SHAPE, "parameter %s does not fit in memory", e->p.name);
    }
    return ZM_OK;
}

zm_weight zm_param_weight(const zm_param *p)
{
    zm_weight w = {.name = p->name, .dtype = p->dtype, .rank = p->shape.rank, .data = p->data};
    for (int i = 0; i < p->shape.rank; i++)
        w.dim[i] = p->shape.dim[i];
    if (!zm_dtype_bytes(&w.bytes, p->dtype, (size_t)zm_shape_elems(p->shape)))
        w.bytes = 0;
    return w;
}

bool zm_param_owned(const zm_params *p, int i)
{
    ZM_ASSERT(i >= 0 && i < p->n);
    return p->at[i]->own != NULL;
}

zm_build zm_build_begin(zm_graph *g, const zm_params *p, bool train, bool checkpoint)
{
    zm_build b = {.g = g, .params = p, .train = train, .checkpoint = checkpoint};
    b.leaf = zm_arena_array(zm_graph_arena(g), (size_t)zm_params_count(p) + 1, sizeof(zm_tensor *));
    if (!b.leaf)
        zm_graph_fail(g, ZM_E_NOMEM, "out of memory for the leaves of %d parameters", zm_params_count(p));
    return b;
}

/* What is in the file, factors or not. */
static zm_tensor *stored(zm_build *b, const zm_param *p)
{
    if (!p)
        return NULL;
    if (!b->leaf)
        return zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for the leaves of parameters");
    ZM_ASSERT(p->index < zm_params_count(b->params));
    zm_tensor **leaf = &b->leaf[p->index];
    if (!*leaf) {
        *leaf = zm_external(b->g, p->dtype, p->shape, p->data, p->name);
        if (b->train && !p->frozen && p->dtype == ZM_F32 && !zm_graph_failed(b->g))
            zm_want_grad(*leaf);
    }
    return *leaf;
}

zm_tensor *zm_use(zm_build *b, const zm_param *p)
{
    if (p && p->factor)
        return zm_graph_fail(b->g, ZM_E_UNSUPPORTED, "%s is stored with a scale, which is not applied where it is used",
                             p->name);
    return stored(b, p);
}

zm_tensor *zm_use_linear(zm_build *b, zm_tensor *x, const zm_param *w, const zm_param *bias, zm_unary_kind act)
{
    zm_graph *g = b->g;
    zm_tensor *leaf = stored(b, w);
    if (!w->factor)
        return zm_linear(g, x, leaf, zm_use(b, bias), act);
    if (w->factors == 1) /* on x, so that bias and activation stay inside the product */
        return zm_linear(g, zm_affine(g, x, (double)w->factor[0], 0), leaf, zm_use(b, bias), act);
    zm_tensor *y = zm_linear(g, x, leaf, NULL, ZM_IDENTITY);
    y = zm_mul(g, y, zm_external(g, ZM_F32, ZM_SHAPE(w->factors), w->factor, "scale"));
    if (bias)
        y = zm_add(g, y, zm_use(b, bias));
    return act == ZM_IDENTITY ? y : zm_unary(g, act, y);
}

zm_tensor *zm_use_rows(zm_build *b, const zm_param *table, zm_tensor *ids)
{
    zm_graph *g = b->g;
    zm_tensor *y = zm_embedding(g, stored(b, table), ids);
    if (!table->factor)
        return y;
    if (table->factors == 1)
        return zm_affine(g, y, (double)table->factor[0], 0);
    zm_tensor *scales = zm_external(g, ZM_F32, ZM_SHAPE(table->factors, 1), table->factor, "scale");
    return zm_mul(g, y, zm_embedding(g, scales, ids));
}

/* Parameters of one set that have a leaf wanting a gradient, appended to the lists. */
static int gather(const zm_params *p, zm_tensor *const *leaf, zm_param **param, zm_tensor **wrt, int n)
{
    for (int i = 0; leaf && i < zm_params_count(p); i++)
        if (leaf[i] && leaf[i]->needs_grad) {
            param[n] = zm_params_at(p, i);
            wrt[n++] = leaf[i];
        }
    return n;
}

zm_build_grads zm_build_gradients(zm_build *b, zm_tensor *loss)
{
    zm_build_grads out = {0};
    if (zm_graph_failed(b->g))
        return out;
    zm_arena *arena = zm_graph_arena(b->g);
    size_t most = (size_t)zm_params_count(b->params) + (b->lora ? (size_t)zm_params_count(b->lora->params) : 0) + 1;
    zm_tensor **wrt = zm_arena_array(arena, most, sizeof *wrt);
    float *one = zm_arena_alloc(arena, sizeof *one);
    out.param = zm_arena_array(arena, most, sizeof *out.param);
    out.grad = zm_arena_array(arena, most, sizeof *out.grad);
    if (!wrt || !one || !out.param || !out.grad) {
        zm_graph_fail(b->g, ZM_E_NOMEM, "out of memory for the gradients of %zu parameters", most);
        return out;
    }
    *one = 1;
    int n = gather(b->params, b->leaf, out.param, wrt, 0);
    if (b->lora)
        n = gather(b->lora->params, b->lora_leaf, out.param, wrt, n);
    zm_tensor *seed = zm_external(b->g, ZM_F32, loss->shape, one, "loss gradient");
    if (zm_shape_elems(loss->shape) != 1)
        zm_graph_fail(b->g, ZM_E_SHAPE, "a loss to differentiate has one element, this one %lld",
                      (long long)zm_shape_elems(loss->shape));
    zm_gradient(b->g, &zm_default_grad_ops, loss, seed, n, wrt, out.grad);
    for (int i = 0; i < n && !zm_graph_failed(b->g); i++)
        if (out.grad[i]) {
            out.param[out.n] = out.param[i];
            out.grad[out.n++] = zm_output(b->g, out.grad[i]);
        }
    return out;
}
