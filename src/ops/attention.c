/* Scaled dot-product attention: shape rules, plain loops, gradients as graphs.
 * SPDX-License-Identifier: MIT */
#include "ops/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/layout.h"

typedef struct sizes {
    int64_t B, Nq, Nk, H, d, dv;
    double scale;
    const float *q, *k, *v, *bias, *key_bias;
    const int32_t *k_len;
    zm_block_causal mask;
} sizes;

static const zm_tensor *optional(const zm_tensor *node, int i)
{
    return i < node->n_in ? node->in[i] : NULL;
}

static bool has_full_bias(const zm_tensor *node)
{
    const zm_tensor *bias = optional(node, 3);
    return bias && bias->shape.rank == 3;
}

static sizes sizes_of(const zm_tensor *node)
{
    const zm_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
    const zm_tensor *bias = optional(node, 3), *k_len = optional(node, 4);
    sizes s = {.B = zm_dim(q, 0), .Nq = zm_dim(q, 1), .H = zm_dim(q, 2), .d = zm_dim(q, 3)};
    s.Nk = zm_dim(k, 1);
    s.dv = zm_dim(v, 3);
    s.scale = node->attr.f[0] != 0 ? node->attr.f[0] : 1 / sqrt((double)s.d);
    s.mask = zm_block_causal_of(node);
    s.q = q->data;
    s.k = k->data;
    s.v = v->data;
    s.bias = has_full_bias(node) ? bias->data : NULL;
    s.key_bias = bias && !s.bias ? bias->data : NULL;
    s.k_len = k_len ? k_len->data : NULL;
    return s;
}

static int64_t keys_of(const sizes *s, int64_t b)
{
    if (!s->k_len || s->k_len[b] > s->Nk)
        return s->Nk;
    return s->k_len[b] < 0 ? 0 : s->k_len[b];
}

/* The law of zm_block_causal, key by key. */
static bool visible(const zm_block_causal *m, int64_t query, int64_t key)
{
    if (!m->block)
        return true;
    int64_t i = query / m->block + m->first, j = key / m->block;
    return j <= i && (!m->window || j > i - m->window || j < m->sink);
}

static zm_status check_mask(const zm_tensor *node, zm_error *err)
{
    zm_block_causal m = zm_block_causal_of(node);
    const char *op = node->op->name;
    int64_t Nq = zm_dim(node->in[0], 1), Nk = zm_dim(node->in[1], 1);
    if (!m.block && !m.window && !m.sink && !m.first)
        return ZM_OK;
    if (m.block < 1 || m.window < 0 || m.sink < 0 || m.first < 0 || m.block > INT32_MAX || m.window > INT32_MAX ||
        m.sink > INT32_MAX || m.first > INT32_MAX)
        return zm_fail(err, ZM_E_SHAPE,
                       "%s: blocks of %lld tokens, a window of %lld, a sink of %lld and %lld before them "
                       "are no block-causal mask",
                       op, (long long)m.block, (long long)m.window, (long long)m.sink, (long long)m.first);
    if (m.first * m.block + Nq > Nk)
        return zm_fail(err, ZM_E_SHAPE, "%s: %lld queries from key %lld on end beyond the %lld keys", op, (long long)Nq,
                       (long long)(m.first * m.block), (long long)Nk);
    if (optional(node, 3))
        return zm_fail(err, ZM_E_SHAPE, "%s: a block-causal mask goes without bias", op);
    return ZM_OK;
}

static zm_status check_inputs(const zm_tensor *node, zm_error *err)
{
    const zm_tensor *q = node->in[0], *k = node->in[1], *v = node->in[2];
    const zm_tensor *bias = optional(node, 3), *k_len = optional(node, 4);
    const char *op = node->op->name;
    char tq[96], tk[96], tv[96];
    zm_shape_text(q->shape, tq, sizeof tq);
    zm_shape_text(k->shape, tk, sizeof tk);
    zm_shape_text(v->shape, tv, sizeof tv);
    if (q->shape.rank != 4 || k->shape.rank != 4 || v->shape.rank != 4)
        return zm_fail(err, ZM_E_SHAPE, "%s: q %s, k %s and v %s must have four dimensions [B,N,H,d]", op, tq, tk, tv);
    if (q->dtype != ZM_F32 || k->dtype != ZM_F32 || v->dtype != ZM_F32)
        return zm_fail(err, ZM_E_SHAPE, "%s: q, k and v are %s, %s and %s, not f32", op, zm_dtype_name(q->dtype),
                       zm_dtype_name(k->dtype), zm_dtype_name(v->dtype));
    if (zm_dim(q, 0) != zm_dim(k, 0) || zm_dim(q, 2) != zm_dim(k, 2) || zm_dim(q, 3) != zm_dim(k, 3))
        return zm_fail(err, ZM_E_SHAPE, "%s: q %s and k %s differ in batch, heads or head size", op, tq, tk);
    if (zm_dim(v, 0) != zm_dim(k, 0) || zm_dim(v, 1) != zm_dim(k, 1) || zm_dim(v, 2) != zm_dim(k, 2))
        return zm_fail(err, ZM_E_SHAPE, "%s: k %s and v %s differ in batch, tokens or heads", op, tk, tv);
    zm_shape want = ZM_SHAPE(zm_dim(q, 2), zm_dim(q, 1), zm_dim(k, 1)), keys = ZM_SHAPE(zm_dim(q, 0), zm_dim(k, 1));
    if (bias && (bias->dtype != ZM_F32 || !(zm_shape_equal(bias->shape, want) || zm_shape_equal(bias->shape, keys))))
        return zm_fail(err, ZM_E_SHAPE, "%s: bias %s of %s is neither f32 [heads,queries,keys] = %s nor [batch,keys]",
                       op, zm_shape_text(bias->shape, tq, sizeof tq), zm_dtype_name(bias->dtype),
                       zm_shape_text(want, tk, sizeof tk));
    if (k_len && (k_len->dtype != ZM_I32 || zm_shape_elems(k_len->shape) != zm_dim(q, 0)))
        return zm_fail(err, ZM_E_SHAPE, "%s: k_len %s of %s is not i32 [%lld], one length for each batch entry", op,
                       zm_shape_text(k_len->shape, tq, sizeof tq), zm_dtype_name(k_len->dtype),
                       (long long)zm_dim(q, 0));
    return check_mask(node, err);
}

static zm_shape output_shape(const zm_tensor *node)
{
    const zm_tensor *q = node->in[0];
    return ZM_SHAPE(zm_dim(q, 0), zm_dim(q, 1), zm_dim(q, 2), zm_dim(node->in[2], 3));
}

static zm_status attention_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    zm_status s = check_inputs(node, err);
    if (!s)
        *shape = output_shape(node);
    return s;
}

/* p[0..n) = softmax of the scaled scores of query i against the first n keys; all zeros when every score is
 * -infinity (or n is 0). */
static void probabilities(double *p, const sizes *s, int64_t b, int64_t h, int64_t i, int64_t n)
{
    const float *q = s->q + ((b * s->Nq + i) * s->H + h) * s->d;
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const float *k = s->k + ((b * s->Nk + j) * s->H + h) * s->d;
        double dot = 0;
        for (int64_t c = 0; c < s->d; c++)
            dot += (double)q[c] * k[c];
        p[j] = dot * s->scale + (s->bias ? s->bias[(h * s->Nq + i) * s->Nk + j] : 0) +
               (s->key_bias ? s->key_bias[b * s->Nk + j] : 0);
        if (!visible(&s->mask, i, j))
            p[j] = -INFINITY;
        top = p[j] > top ? p[j] : top;
    }
    for (int64_t j = 0; j < n; j++)
        sum += p[j] = top == -INFINITY ? 0 : exp(p[j] - top);
    for (int64_t j = 0; j < n; j++)
        p[j] = sum > 0 ? p[j] / sum : 0;
}

static void attention_reference(const zm_tensor *node)
{
    sizes s = sizes_of(node);
    float *y = node->data;
    double *p = malloc((size_t)(s.Nk + s.dv) * sizeof *p), *sum = p + s.Nk;
    ZM_ASSERT(p);
    for (int64_t b = 0; b < s.B; b++)
        for (int64_t i = 0; i < s.Nq; i++)
            for (int64_t h = 0; h < s.H; h++) {
                int64_t n = keys_of(&s, b);
                probabilities(p, &s, b, h, i, n);
                memset(sum, 0, (size_t)s.dv * sizeof *sum);
                for (int64_t j = 0; j < n; j++)
                    for (int64_t c = 0; c < s.dv; c++)
                        sum[c] += p[j] * s.v[((b * s.Nk + j) * s.H + h) * s.dv + c];
                for (int64_t c = 0; c < s.dv; c++)
                    y[((b * s.Nq + i) * s.H + h) * s.dv + c] = (float)sum[c];
            }
    free(p);
}

static void attention_gradient(zm_graph *g, zm_tensor *node, zm_tensor *gy, zm_tensor **gin)
{
    zm_tensor *in[6] = {node->in[0], node->in[1], node->in[2], NULL, NULL, gy};
    for (int i = 3; i < node->n_in; i++)
        in[i] = node->in[i];
    zm_tensor *flat = zm_node(g, &zm_op_attention_grad, &node->attr, 6, in);
    int64_t at = 0;
    for (int i = 0; i < 4 && in[i]; i++) {
        if (in[i]->needs_grad)
            gin[i] = zm_view(g, flat, at, in[i]->shape);
        at += zm_shape_elems(in[i]->shape);
    }
}

static zm_status attention_grad_shape(const zm_tensor *node, zm_shape *shape, zm_dtype *dtype, zm_error *err)
{
    (void)dtype;
    char a[96], b[96];
    zm_status s = check_inputs(node, err);
    if (s)
        return s;
    const zm_tensor *gy = optional(node, 5);
    if (!gy || gy->dtype != ZM_F32 || !zm_shape_equal(gy->shape, output_shape(node)))
        return zm_fail(err, ZM_E_SHAPE, "attention_grad: gradient %s is not f32 %s",
                       gy ? zm_shape_text(gy->shape, a, sizeof a) : "(absent)",
                       zm_shape_text(output_shape(node), b, sizeof b));
    int64_t n = 0;
    for (int i = 0; i < 4; i++)
        n += node->in[i] ? zm_shape_elems(node->in[i]->shape) : 0;
    *shape = ZM_SHAPE(n);
    return ZM_OK;
}

/* One query's share of all gradients.  dp = gy v^T; ds = p (dp - sum p dp); dv += p gy; dq = scale ds k;
 * dk += scale ds q; dbias += ds. */
static void grad_of_query(const sizes *s, const float *gy, double *grad[4], double *work, int64_t b, int64_t h,
                          int64_t i)
{
    int64_t n = keys_of(s, b), row = (b * s->Nq + i) * s->H + h;
    double *p = work, *dp = work + s->Nk, sum = 0;
    const float *q = s->q + row * s->d, *g = gy + row * s->dv;
    probabilities(p, s, b, h, i, n);
    for (int64_t j = 0; j < n; j++) {
        int64_t key = (b * s->Nk + j) * s->H + h;
        dp[j] = 0;
        for (int64_t c = 0; c < s->dv; c++) {
            dp[j] += (double)g[c] * s->v[key * s->dv + c];
            grad[2][key * s->dv + c] += p[j] * g[c];
        }
        sum += p[j] * dp[j];
    }
    for (int64_t j = 0; j < n; j++) {
        int64_t key = (b * s->Nk + j) * s->H + h;
        double ds = p[j] * (dp[j] - sum);
        for (int64_t c = 0; c < s->d; c++) {
            grad[0][row * s->d + c] += s->scale * ds * s->k[key * s->d + c];
            grad[1][key * s->d + c] += s->scale * ds * q[c];
        }
        if (s->bias)
            grad[3][(h * s->Nq + i) * s->Nk + j] += ds;
        if (s->key_bias)
            grad[3][b * s->Nk + j] += ds;
    }
}

static void attention_grad_reference(const zm_tensor *node)
{
    sizes s = sizes_of(node);
    int64_t total = zm_shape_elems(node->shape);
    float *y = node->data;
    double *grad[4], *all = calloc((size_t)(total + 2 * s.Nk), sizeof *all), *work = all + total;
    ZM_ASSERT(all);
    grad[0] = all;
    grad[1] = grad[0] + s.B * s.Nq * s.H * s.d;
    grad[2] = grad[1] + s.B * s.Nk * s.H * s.d;
    grad[3] = grad[2] + s.B * s.Nk * s.H * s.dv;
    for (int64_t b = 0; b < s.B; b++)
        for (int64_t h = 0; h < s.H; h++)
            for (int64_t i = 0; i < s.Nq; i++)
                grad_of_query(&s, node->in[5]->data, grad, work, b, h, i);
    for (int64_t i = 0; i < total; i++)
        y[i] = (float)all[i];
    free(all);
}

#define D4(a, b, c, d)                                                                                                 \
    {                                                                                                                  \
        4,                                                                                                             \
        {                                                                                                              \
            a, b, c, d                                                                                                 \
        }                                                                                                              \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .rank = -1                                                                                                     \
    }
/* queries [B,Nq,H,d] against Nk keys */
#define QKV(B, Nq, Nk, H, d, dv) D4(B, Nq, H, d), D4(B, Nk, H, d), D4(B, Nk, H, dv)
#define BIAS(Nq, Nk, H)                                                                                                \
    {                                                                                                                  \
        3,                                                                                                             \
        {                                                                                                              \
            H, Nq, Nk                                                                                                  \
        }                                                                                                              \
    }
#define KEYS(B, Nk)                                                                                                    \
    {                                                                                                                  \
        2,                                                                                                             \
        {                                                                                                              \
            B, Nk                                                                                                      \
        }                                                                                                              \
    }
#define CASE(text, B, Nq, Nk, H, d, dv)                                                                                \
    {                                                                                                                  \
        .name = text, .n_in = 3, .shape = { QKV(B, Nq, Nk, H, d, dv) }                                                 \
    }
#define GRAD(text, B, Nq, Nk, H, d, dv)                                                                                \
    {                                                                                                                  \
        .name = text, .n_in = 6, .shape = { QKV(B, Nq, Nk, H, d, dv), NONE, NONE, D4(B, Nq, H, dv) }                   \
    }
/* more keys than queries: the queries are the last of them */
#define CAUSAL(text, B, Nq, Nk, H, d, dv, ...)                                                                         \
    {                                                                                                                  \
        .name = text, .n_in = 3, .shape = {QKV(B, Nq, Nk, H, d, dv)}, .attr.i = { __VA_ARGS__ }                        \
    }
#define CAUSAL_GRAD(text, B, Nq, Nk, H, d, dv, ...)                                                                    \
    {                                                                                                                  \
        .name = text, .n_in = 6, .shape = {QKV(B, Nq, Nk, H, d, dv), NONE, NONE, D4(B, Nq, H, dv)}, .attr.i = {        \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
static const zm_op_case attention_cases[] = {
    CASE("one token", 1, 1, 1, 1, 4, 4),
    CASE("self, head 20", 2, 7, 7, 3, 20, 20),
    CASE("cross, head 28", 1, 9, 5, 2, 28, 28),
    CASE("head 32", 1, 19, 33, 1, 32, 32),
    CASE("head 40", 1, 6, 17, 2, 40, 40),
    CASE("head 64", 1, 13, 24, 2, 64, 64),
    CASE("head 128", 1, 5, 37, 1, 128, 128),
    CASE("values wider than keys", 1, 6, 8, 2, 12, 21),
    CASE("values narrower than keys", 1, 6, 8, 2, 21, 5),
    CASE("one query, many keys", 1, 1, 700, 1, 20, 20),
    CASE("self, 120 tokens", 1, 120, 120, 2, 16, 16),
    CASE("more keys than a tile", 1, 35, 1111, 1, 8, 8),
    {.name = "own scale", .n_in = 3, .shape = {QKV(1, 5, 6, 2, 8, 8)}, .attr.f = {0.9}},
    {.name = "large scores",
     .n_in = 3,
     .shape = {QKV(1, 5, 40, 2, 8, 8)},
     .attr.f = {1},
     .lo = -4,
     .hi = 4,
     .tolerance = 5e-5},
    {.name = "bias", .n_in = 4, .shape = {QKV(2, 5, 7, 3, 20, 20), BIAS(5, 7, 3)}},
    {.name = "bias, long", .n_in = 4, .shape = {QKV(1, 21, 601, 2, 12, 12), BIAS(21, 601, 2)}},
    {.name = "bias of keys", .n_in = 4, .shape = {QKV(3, 37, 300, 2, 20, 20), KEYS(3, 300)}},
    {.name = "bias of keys and lengths",
     .n_in = 5,
     .shape = {QKV(4, 6, 9, 2, 40, 40), KEYS(4, 9), {1, {4}}},
     .dtype = {[4] = ZM_I32},
     .below = 11},
    {.name = "lengths",
     .n_in = 5,
     .shape = {QKV(5, 3, 6, 2, 28, 28), NONE, {1, {5}}},
     .dtype = {[4] = ZM_I32},
     .below = 7},
    {.name = "no key visible",
     .n_in = 5,
     .shape = {QKV(2, 3, 6, 2, 8, 8), NONE, {1, {2}}},
     .dtype = {[4] = ZM_I32},
     .below = 1},
    {.name = "bias and lengths",
     .n_in = 5,
     .shape = {QKV(4, 6, 9, 2, 40, 40), BIAS(6, 9, 2), {1, {4}}},
     .dtype = {[4] = ZM_I32},
     .below = 11},
    CAUSAL("causal, one token a block", 2, 37, 37, 2, 20, 20, 1),
    CAUSAL("causal, blocks of 7", 1, 45, 45, 2, 12, 21, 7),
    CAUSAL("causal, one block", 1, 9, 9, 1, 8, 8, 12),
    CAUSAL("causal, window", 1, 131, 131, 1, 16, 16, 5, 3),
    CAUSAL("causal, window and sink", 2, 150, 150, 1, 20, 20, 11, 2, 1),
    CAUSAL("causal, sink into the window", 1, 40, 40, 2, 8, 8, 5, 2, 3),
    CAUSAL("causal, keys before", 1, 14, 777, 2, 40, 40, 7, 0, 0, 109),
    CAUSAL("causal, window and sink, keys before", 1, 260, 800, 1, 64, 64, 20, 4, 1, 27),
    CAUSAL("causal, keys to come", 1, 6, 24, 1, 8, 8, 3, 2, 0, 1),
    {.name = "causal and lengths",
     .n_in = 5,
     .shape = {QKV(6, 15, 15, 2, 8, 8), NONE, {1, {6}}},
     .dtype = {[4] = ZM_I32},
     .below = 17,
     .attr.i = {4, 2, 0, 0}},
};
static const zm_op_case attention_grad_cases[] = {
    GRAD("one token", 1, 1, 1, 1, 4, 4),
    GRAD("self, head 20", 2, 7, 7, 3, 20, 20),
    GRAD("cross, head 28", 1, 9, 5, 2, 28, 28),
    GRAD("head 40", 1, 6, 17, 2, 40, 40),
    GRAD("head 64", 2, 120, 24, 2, 64, 64),
    GRAD("head 128", 1, 37, 35, 1, 128, 128),
    GRAD("values wider than keys", 1, 6, 8, 2, 12, 21),
    GRAD("many tokens", 1, 135, 777, 1, 16, 16),
    {.name = "bias", .n_in = 6, .shape = {QKV(3, 5, 7, 2, 20, 20), BIAS(5, 7, 2), NONE, D4(3, 5, 2, 20)}},
    {.name = "bias of keys", .n_in = 6, .shape = {QKV(3, 35, 70, 2, 20, 20), KEYS(3, 70), NONE, D4(3, 35, 2, 20)}},
    {.name = "lengths",
     .n_in = 6,
     .shape = {QKV(5, 3, 6, 2, 28, 28), NONE, {1, {5}}, D4(5, 3, 2, 28)},
     .dtype = {[4] = ZM_I32},
     .below = 7},
    {.name = "bias and lengths",
     .n_in = 6,
     .shape = {QKV(4, 6, 9, 2, 32, 32), BIAS(6, 9, 2), {1, {4}}, D4(4, 6, 2, 32)},
     .dtype = {[4] = ZM_I32},
     .below = 11},
    CAUSAL_GRAD("causal, blocks of 7", 1, 45, 45, 2, 12, 21, 7),
    CAUSAL_GRAD("causal, window", 2, 131, 131, 1, 16, 16, 5, 3),
    CAUSAL_GRAD("causal, window and sink, keys before", 1, 130, 270, 2, 20, 20, 20, 3, 1, 7),
    {.name = "causal and lengths",
     .n_in = 6,
     .shape = {QKV(6, 15, 15, 2, 8, 8), NONE, {1, {6}}, D4(6, 15, 2, 8)},
     .dtype = {[4] = ZM_I32},
     .below = 17,
     .attr.i = {4, 2, 0, 0}},
};

const zm_op zm_op_attention = {
    .name = "attention",
    .min_in = 3,
    .max_in = 5,
    .shape = attention_shape,
    .reference = attention_reference,
    .gradient = attention_gradient,
    .tolerance = 1e-5,
    ZM_CASES(attention_cases),
};
const zm_op zm_op_attention_grad = {
    .name = "attention_grad",
    .min_in = 3,
    .max_in = 6,
    .shape = attention_grad_shape,
    .reference = attention_grad_reference,
    .tolerance = 2e-5,
    ZM_CASES(attention_grad_cases),
};

zm_tensor *zm_attention(zm_graph *g, zm_tensor *q, zm_tensor *k, zm_tensor *v, zm_tensor *bias, zm_tensor *k_len,
                        double scale)
{
    zm_attr attr = {.f = {scale != 0 ? scale : 1 / sqrt((double)zm_dim(q, -1))}};
    int n_in = k_len ? 5 : bias ? 4 : 3;
    return zm_node(g, &zm_op_attention, &attr, n_in, (zm_tensor *[]){q, k, v, bias, k_len});
}

zm_tensor *zm_attention_causal(zm_graph *g, zm_tensor *q, zm_tensor *k, zm_tensor *v, const zm_block_causal *mask,
                               double scale)
{
    zm_attr attr = {.f = {scale != 0 ? scale : 1 / sqrt((double)zm_dim(q, -1))}};
    if (mask) {
        attr.i[0] = mask->block;
        attr.i[1] = mask->window;
        attr.i[2] = mask->sink;
        attr.i[3] = mask->first;
    }
    return zm_node(g, &zm_op_attention, &attr, 3, (zm_tensor *[]){q, k, v});
}
