/* Attention over blocks of queries, for one instruction set.
 *
 * Everything is computed turned: scores stand as [keys, queries], a register holds neighbouring queries.  So a
 * softmax is a walk down registers without sums across them, and keys and values are read where they lie, one number
 * at a time; only queries and results, a block at a time, change their order.
 *  Forward: keys pass in tiles, with the largest score and the sum so far for each query (Dao et al. 2022,
 *  "FlashAttention", algorithm 1), so scratch does not grow with the number of keys.
 *  Backward: probabilities of one block of queries against all keys are computed again.
 * Scores are in units of log2, so that the exponential is a power of two.
 * Under a block-causal mask only keys that some query of a panel (forward) or block (backward) sees are touched.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "backend/cpu/simd.h"
#include "backend/cpu/simd_attention_tile.h"

static const float LOG2_E = 1.44269504F;
enum { TILE_FLOATS = 32768 }; /* keys of a tile times head sizes: k and v of a tile stay in the second cache */

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static int64_t keys_of(const zm_attention_job *j, int64_t b)
{
    if (!j->k_len || j->k_len[b] > j->Nk)
        return j->Nk;
    return j->k_len[b] < 0 ? 0 : j->k_len[b];
}

static int64_t tile_keys(const zm_attention_job *j)
{
    int64_t n = TILE_FLOATS / (j->d + j->dv) / TALL * TALL;
    n = n < 4 * TALL ? 4 * TALL : n > 240 ? 240 : n;
    return n < j->Nk ? n : j->Nk;
}

/* Add the bias, turned, to scores [keys, width] of queries i0.. and keys j0... */
static void add_bias(const zm_attention_job *j, float *s, int64_t ld, int64_t h, int64_t i0, int64_t queries,
                     int64_t j0, int64_t keys)
{
    const float *bias = j->bias + (h * j->Nq + i0) * j->Nk + j0;
    float part[4 * PANEL];
    for (int64_t at = 0; at < queries; at += PANEL) {
        int64_t n = queries - at < PANEL ? queries - at : PANEL;
        for (int64_t k = 0; k < keys; k += 4) {
            int64_t some = keys - k < 4 ? keys - k : 4;
            turn_scaled(part, PANEL, bias + at * j->Nk + k, j->Nk, n, round_up(n, VW), some, LOG2_E);
            for (int64_t c = 0; c < some; c++)
                for (int64_t i = 0; i < n; i += VW) {
                    float *to = s + (k + c) * ld + at + i;
                    vstore(to, vload(to) + vload(part + c * PANEL + i));
                }
        }
    }
}

/* The same for a bias of keys: a number for each row of scores. */
static void add_key_bias(const zm_attention_job *j, float *s, int64_t ld, int64_t b, int64_t j0, int64_t keys,
                         int64_t width)
{
    const float *bias = j->key_bias + b * j->Nk + j0;
    for (int64_t k = 0; k < keys; k++)
        for (int64_t i = 0; i < width; i += VW)
            vstore(s + k * ld + i, vload(s + k * ld + i) + bias[k] * LOG2_E);
}

/* The keys that queries i0..i0+n-1 of batch entry b see. */
static zm_key_spans spans_of(const zm_attention_job *j, int64_t b, int64_t i0, int64_t n)
{
    int64_t keys = keys_of(j, b);
    zm_key_spans s = zm_block_causal_keys(&j->mask, i0, i0 + n - 1, j->Nk);
    s.to = s.to < keys ? s.to : keys;
    s.from = s.from < s.to ? s.from : s.to;
    s.sink = s.sink < s.from ? s.sink : s.from;
    return s;
}

/* Scores [keys, width] of queries i0.. and keys j0..: no power of two comes from where a query may not look.  The
 * queries that see a key stand side by side. */
static void hide(const zm_attention_job *j, float *s, int64_t ld, int64_t i0, int64_t j0, int64_t keys, int64_t width)
{
    const zm_block_causal *m = &j->mask;
    for (int64_t k = 0, end; k < keys && m->block; k = end) { /* a block of keys at a time: most are seen by all */
        int64_t of = (j0 + k) / m->block, from = (of - m->first) * m->block - i0, to = width;
        end = (of + 1) * m->block - j0 < keys ? (of + 1) * m->block - j0 : keys;
        if (m->window && of >= m->sink)
            to = from + m->window * m->block;
        for (int64_t r = k; r < end && (from > 0 || to < width); r++) {
            for (int64_t i = 0; i < width && i < from; i++)
                s[r * ld + i] = -INFINITY;
            for (int64_t i = to > 0 ? to : 0; i < width; i++)
                s[r * ld + i] = -INFINITY;
        }
    }
}

/* Forward state of a block of queries, panel by panel. */
typedef struct block {
    float *q, *o, *s, *top, *sum, *alpha; /* q [panels,d,PANEL], o [panels,dv,PANEL], s [tile,PANEL] */
} block;

static int64_t forward_scratch(const zm_attention_job *j)
{
    int64_t panels = (j->block + PANEL - 1) / PANEL;
    return panels * PANEL * (j->d + j->dv + 2) + tile_keys(j) * PANEL + PANEL;
}

/* Scores of one tile become powers of two; top, sum and alpha (the factor for what was summed before) follow. */
static void soften(const block *x, int64_t p, int64_t keys, int vecs)
{
    for (int v = 0; v < vecs; v++) {
        float *s = x->s + v * VW, *top = x->top + p * PANEL + v * VW, *sum = x->sum + p * PANEL + v * VW;
        vf before = vload(top), m0 = before, m1 = before;
        int64_t k = 0;
        for (; k + 2 <= keys; k += 2) {
            m0 = vmax(m0, vload(s + k * PANEL));
            m1 = vmax(m1, vload(s + (k + 1) * PANEL));
        }
        if (k < keys)
            m0 = vmax(m0, vload(s + k * PANEL));
        vf m = vmax(vmax(m0, m1), vset(-1e30F)), total = vset(0), other = vset(0); /* -inf - -inf is no number */
        for (k = 0; k + 2 <= keys; k += 2) {
            vf e = vexp2_negative(vload(s + k * PANEL) - m), f = vexp2_negative(vload(s + (k + 1) * PANEL) - m);
            vstore(s + k * PANEL, e);
            vstore(s + (k + 1) * PANEL, f);
            total += e;
            other += f;
        }
        if (k < keys) {
            vf e = vexp2_negative(vload(s + k * PANEL) - m);
            vstore(s + k * PANEL, e);
            total += e;
        }
        vf alpha = vexp2_negative(before - m);
        vstore(x->alpha + v * VW, alpha);
        vstore(top, m);
        vstore(sum, vload(sum) * alpha + total + other);
    }
}

/* o / sum, back to [queries, dv] rows of the result; a query that saw no key gives zeros. */
static void finish_panel(const zm_attention_job *j, const block *x, int64_t p, int64_t n, float *y)
{
    float *o = x->o + p * j->dv * PANEL, *sum = x->sum + p * PANEL;
    for (int i = 0; i < PANEL; i++)
        x->alpha[i] = sum[i] > 0 ? 1.0F / sum[i] : 0;
    for (int v = 0; v < PANEL && v < n; v += VW) {
        vf by = vload(x->alpha + v);
        for (int64_t c = 0; c < j->dv; c++)
            vstore(o + c * PANEL + v, vload(o + c * PANEL + v) * by);
    }
    turn_back(y, j->H * j->dv, o, PANEL, n, j->dv);
}

static void fetch_ahead(const float *x, int64_t stride, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < n; c += 16)
            __builtin_prefetch(x + r * stride + c, 0, 2);
}

/* Keys k0..k1-1 of a tile against panel p of the queries first..first+n-1. */
static void forward_tile(const zm_attention_job *j, const block *x, int64_t b, int64_t h, int64_t first, int64_t n,
                         int64_t p, int64_t k0, int64_t k1)
{
    int64_t d = j->d, dv = j->dv, left = n - p * PANEL, width = left > VW ? PANEL : VW, at = first + p * PANEL;
    zm_key_spans seen = spans_of(j, b, at, left < PANEL ? left : PANEL);
    if (k0 >= seen.sink && k0 < seen.from)
        k0 = seen.from;
    k1 = k0 < seen.sink && k1 <= seen.from ? seen.sink : k1 < seen.to ? k1 : seen.to;
    if (k0 >= k1)
        return;
    int64_t some = k1 - k0, token = ((b * j->Nk + k0) * j->H + h);
    product score = {.c = x->s,
                     .ldc = PANEL,
                     .a = j->k + token * d,
                     .lda = j->H * d,
                     .b = x->q + p * PANEL * d,
                     .ldb = PANEL,
                     .K = d};
    multiply(true, score, some, width);
    if (j->bias)
        add_bias(j, x->s, PANEL, h, at, left < PANEL ? left : PANEL, k0, some);
    if (j->key_bias)
        add_key_bias(j, x->s, PANEL, b, k0, some, width);
    hide(j, x->s, PANEL, at, k0, some, width);
    soften(x, p, some, (int)(width / VW));
    product mix = {.c = x->o + p * PANEL * dv,
                   .ldc = PANEL,
                   .a = j->v + token * dv,
                   .lda = j->H * dv,
                   .b = x->s,
                   .ldb = PANEL,
                   .K = some,
                   .alpha = k0 > (seen.sink ? 0 : seen.from) ? x->alpha : NULL};
    multiply(false, mix, dv, width);
}

static void forward(const zm_attention_job *j, int64_t b, int64_t h, int64_t first, float *scratch)
{
    int64_t d = j->d, dv = j->dv, n = j->Nq - first < j->block ? j->Nq - first : j->block;
    int64_t panels = (n + PANEL - 1) / PANEL, tile_size = tile_keys(j);
    zm_key_spans seen = spans_of(j, b, first, n);
    block x = {.q = scratch};
    x.o = x.q + panels * PANEL * d;
    x.s = x.o + panels * PANEL * dv;
    x.top = x.s + tile_size * PANEL;
    x.sum = x.top + panels * PANEL;
    x.alpha = x.sum + panels * PANEL;
    memset(x.sum, 0, (size_t)(panels * PANEL) * sizeof *x.sum);
    for (int64_t p = 0; p < panels; p++) {
        int64_t at = first + p * PANEL, some = first + n - at < PANEL ? first + n - at : PANEL;
        zm_key_spans own = spans_of(j, b, at, some);
        if (!own.sink && own.from == own.to)
            memset(x.o + p * PANEL * dv, 0, (size_t)(PANEL * dv) * sizeof *x.o);
        turn_scaled(x.q + p * PANEL * d, PANEL, j->q + ((b * j->Nq + at) * j->H + h) * d, j->H * d, some,
                    round_up(some, VW), d, j->scale * LOG2_E);
        for (int i = 0; i < PANEL; i++)
            x.top[p * PANEL + i] = -INFINITY;
    }
    for (int64_t k0 = seen.sink ? 0 : seen.from, k1; k0 < seen.to; k0 = k1 == seen.sink ? seen.from : k1) {
        int64_t end = k0 < seen.sink ? seen.sink : seen.to, token = ((b * j->Nk + k0) * j->H + h);
        k1 = end - k0 < tile_size ? end : k0 + tile_size;
        fetch_ahead(j->k + token * d, j->H * d, k1 - k0, d);
        fetch_ahead(j->v + token * dv, j->H * dv, k1 - k0, dv);
        for (int64_t p = 0; p < panels; p++)
            forward_tile(j, &x, b, h, first, n, p, k0, k1);
    }
    products_end();
    for (int64_t p = 0; p < panels; p++)
        finish_panel(j, &x, p, n - p * PANEL < PANEL ? n - p * PANEL : PANEL,
                     j->y + ((b * j->Nq + first + p * PANEL) * j->H + h) * dv);
}

typedef struct range {
    int64_t from, to;
} range;

/* Backward state of one head: width queries of a block (padded), all keys. */
typedef struct heads {
    range seen[2];                    /* keys that the block sees; the second may be empty */
    int64_t keys, width, ld, dp, dvp; /* ld: row of p and ds; dp, dvp: head sizes padded to registers */
    float *qt, *gt;                   /* [d, width], [dv, width]: scaled queries and gradients, turned */
    float *q, *g;                     /* [block, dp], [block, dvp]: as they lie */
    float *p, *ds;                    /* [Nk, ld] */
    float *dk, *dv, *dq;              /* [Nk, dp], [Nk, dvp], [d, width] */
    float *a, *c, *ones;              /* [width] each */
} heads;

static heads lay_out(const zm_attention_job *j, float *at, int64_t *total)
{
    heads x = {.width = round_up(j->block, VW), .dp = round_up(j->d, VW), .dvp = round_up(j->dv, VW)};
    x.ld = x.width + VW; /* not a power of two: rows of one column fall into different cache sets */
    int64_t used = 0;
#define TAKE(field, n)                                                                                                 \
    do {                                                                                                               \
        x.field = at ? at + used : NULL;                                                                               \
        used += round_up(n, 16);                                                                                       \
    } while (0)
    TAKE(qt, j->d * x.width);
    TAKE(gt, j->dv * x.width);
    TAKE(q, j->block * x.dp);
    TAKE(g, j->block * x.dvp);
    TAKE(p, j->Nk * x.ld);
    TAKE(ds, j->Nk * x.ld);
    TAKE(dk, j->Nk * x.dp);
    TAKE(dv, j->Nk * x.dvp);
    TAKE(dq, j->d * x.width);
    TAKE(a, x.width);
    TAKE(c, x.width);
    TAKE(ones, x.width + x.dp + x.dvp);
#undef TAKE
    *total = used;
    return x;
}

static int64_t backward_scratch(const zm_attention_job *j)
{
    int64_t total;
    lay_out(j, NULL, &total);
    return total;
}

/* Rows of d floats, `stride` apart, to rows of `padded` with zeros after them, times factor. */
static void gather(float *y, int64_t padded, const float *x, int64_t stride, int64_t rows, int64_t d, float factor)
{
    for (int64_t r = 0; r < rows; r++, y += padded, x += stride) {
        for (int64_t c = 0; c < d; c++)
            y[c] = x[c] * factor;
        for (int64_t c = d; c < padded; c++)
            y[c] = 0;
    }
}

/* p: scores [keys, width] -> probabilities before division by their sum; columns i.. of `vecs` registers. */
INLINE void soften_columns(const heads *x, int64_t i, const int vecs)
{
    float *p = x->p + i;
    vf m[2] = {vset(-1e30F), vset(-1e30F)}, sum[2] = {vset(0), vset(0)};
    for (const range *r = x->seen; r < x->seen + 2; r++)
        for (int64_t k = r->from; k < r->to; k++)
            for (int v = 0; v < vecs; v++)
                m[v] = vmax(m[v], vload(p + k * x->ld + v * VW));
    for (const range *r = x->seen; r < x->seen + 2; r++)
        for (int64_t k = r->from; k < r->to; k++)
            for (int v = 0; v < vecs; v++) {
                vf e = vexp2_negative(vload(p + k * x->ld + v * VW) - m[v]);
                vstore(p + k * x->ld + v * VW, e);
                sum[v] += e;
            }
    for (int v = 0; v < vecs; v++)
        vstore(x->a + i + v * VW, sum[v]);
    for (int64_t c = i; c < i + vecs * VW; c++)
        x->a[c] = x->a[c] > 0 ? 1.0F / x->a[c] : 0;
}

/* ds = p (dp - sum over keys of p dp), dp coming in ds; p gets its division by the sum on the way. */
INLINE void slope_columns(const heads *x, int64_t i, const int vecs)
{
    vf by[2], dot[2] = {vset(0), vset(0)};
    for (int v = 0; v < vecs; v++)
        by[v] = vload(x->a + i + v * VW);
    for (const range *r = x->seen; r < x->seen + 2; r++)
        for (int64_t k = r->from; k < r->to; k++)
            for (int v = 0; v < vecs; v++) {
                float *to = x->p + k * x->ld + i + v * VW;
                vf p = vload(to) * by[v];
                vstore(to, p);
                dot[v] += p * vload(x->ds + k * x->ld + i + v * VW);
            }
    for (const range *r = x->seen; r < x->seen + 2; r++)
        for (int64_t k = r->from; k < r->to; k++)
            for (int v = 0; v < vecs; v++) {
                float *ds = x->ds + k * x->ld + i + v * VW;
                vstore(ds, vload(x->p + k * x->ld + i + v * VW) * (vload(ds) - dot[v]));
            }
}

/* Two registers at a time: whole cache lines, and one chain of sums hides the other. */
static void soften_block(const heads *x, int64_t width)
{
    for (int64_t i = 0; i < width; i += PANEL) {
        if (width - i >= PANEL)
            soften_columns(x, i, 2);
        else
            soften_columns(x, i, 1);
    }
}

static void slope_block(const heads *x, int64_t width)
{
    for (int64_t i = 0; i < width; i += PANEL) {
        if (width - i >= PANEL)
            slope_columns(x, i, 2);
        else
            slope_columns(x, i, 1);
    }
}

/* dbias of queries i0..: turned back from ds, set or added. */
static void put_bias(const zm_attention_job *j, const heads *x, int64_t h, int64_t i0, int64_t n, bool add)
{
    for (int64_t i = 0; i < n; i++) {
        float *to = j->dbias + (h * j->Nq + i0 + i) * j->Nk;
        for (int64_t k = 0; k < x->keys; k++)
            to[k] = (add ? to[k] : 0) + x->ds[k * x->ld + i];
        for (int64_t k = x->keys; k < j->Nk && !add; k++)
            to[k] = 0;
    }
}

/* Gradients of scores of queries i0.., width of them with padding, and keys r: first half of a block's work. */
static void scores_of_range(const zm_attention_job *j, const heads *x, int64_t b, int64_t h, int64_t i0, int64_t n,
                            range r)
{
    int64_t d = j->d, dv = j->dv, width = round_up(n, VW), key = (b * j->Nk + r.from) * j->H + h, at = r.from * x->ld;
    if (r.from >= r.to)
        return;
    product score = {
        .c = x->p + at, .ldc = x->ld, .a = j->k + key * d, .lda = j->H * d, .b = x->qt, .ldb = x->width, .K = d};
    multiply(true, score, r.to - r.from, width);
    if (j->bias)
        add_bias(j, x->p + at, x->ld, h, i0, n, r.from, r.to - r.from);
    hide(j, x->p + at, x->ld, i0, r.from, r.to - r.from, width);
    product dp = {
        .c = x->ds + at, .ldc = x->ld, .a = j->v + key * dv, .lda = j->H * dv, .b = x->gt, .ldb = x->width, .K = dv};
    multiply(true, dp, r.to - r.from, width);
}

/* What keys r give and get: sums of dk and dv go on from `factor` (NULL: start), those of dq from `more`. */
static void sums_of_range(const zm_attention_job *j, const heads *x, int64_t b, int64_t h, int64_t n, range r,
                          const float *factor, const float *more)
{
    int64_t d = j->d, key = (b * j->Nk + r.from) * j->H + h, keys = r.to - r.from, at = r.from * x->ld;
    if (keys <= 0)
        return;
    product to_v = {.c = x->dv + r.from * x->dvp,
                    .ldc = x->dvp,
                    .a = x->p + at,
                    .lda = x->ld,
                    .b = x->g,
                    .ldb = x->dvp,
                    .K = n,
                    .alpha = factor};
    multiply(true, to_v, keys, x->dvp);
    product to_k = {.c = x->dk + r.from * x->dp,
                    .ldc = x->dp,
                    .a = x->ds + at,
                    .lda = x->ld,
                    .b = x->q,
                    .ldb = x->dp,
                    .K = n,
                    .alpha = factor};
    multiply(true, to_k, keys, x->dp);
    product to_q = {.c = x->dq,
                    .ldc = x->width,
                    .a = j->k + key * d,
                    .lda = j->H * d,
                    .b = x->ds + at,
                    .ldb = x->ld,
                    .K = keys,
                    .alpha = more};
    multiply(false, to_q, d, round_up(n, VW));
}

/* Queries i0..i0+n-1 of a head, which see at least one key; sums of dk and dv go on from `factor` (NULL: start). */
static void backward_block(const zm_attention_job *j, const heads *x, int64_t b, int64_t h, int64_t i0, int64_t n,
                           const float *factor)
{
    int64_t d = j->d, dv = j->dv, width = round_up(n, VW), row = (b * j->Nq + i0) * j->H + h;
    int64_t sq = j->H * d, sv = j->H * dv;
    bool both = x->seen[0].from < x->seen[0].to;
    turn_scaled(x->qt, x->width, j->q + row * d, sq, n, width, d, j->scale * LOG2_E);
    turn_scaled(x->gt, x->width, j->gy + row * dv, sv, n, width, dv, 1);
    gather(x->q, x->dp, j->q + row * d, sq, n, d, j->scale);
    gather(x->g, x->dvp, j->gy + row * dv, sv, n, dv, 1);
    for (int r = 0; r < 2; r++)
        scores_of_range(j, x, b, h, i0, n, x->seen[r]);
    soften_block(x, width);
    slope_block(x, width);
    for (int r = 0; r < 2; r++)
        sums_of_range(j, x, b, h, n, x->seen[r], factor, r && both ? x->ones : NULL);
    for (int64_t c = 0; c < d; c++)
        for (int64_t i = 0; i < width; i += VW)
            vstore(x->dq + c * x->width + i, vload(x->dq + c * x->width + i) * j->scale);
    turn_back(j->dq + row * d, sq, x->dq, x->width, n, d);
}

/* Rows of keys 0..keys-1 of dk or dv to their place, zeros for keys nobody saw. */
static void scatter(float *y, int64_t stride, const float *x, int64_t padded, int64_t keys, int64_t all, int64_t d)
{
    for (int64_t k = 0; k < all; k++) {
        if (k < keys)
            memcpy(y + k * stride, x + k * padded, (size_t)d * sizeof *y);
        else
            memset(y + k * stride, 0, (size_t)d * sizeof *y);
    }
}

static void backward(const zm_attention_job *j, int64_t b, int64_t h, bool add, float *scratch)
{
    int64_t total, key = b * j->Nk * j->H + h;
    heads x = lay_out(j, scratch, &total);
    x.keys = keys_of(j, b);
    for (int64_t i = 0; i < x.width + x.dp + x.dvp; i++)
        x.ones[i] = 1;
    if (j->mask.block) { /* not every block of queries sees a key */
        memset(x.dk, 0, (size_t)(x.keys * x.dp) * sizeof *x.dk);
        memset(x.dv, 0, (size_t)(x.keys * x.dvp) * sizeof *x.dv);
    }
    for (int64_t i = 0; i < j->Nq; i += j->block) {
        int64_t n = j->Nq - i < j->block ? j->Nq - i : j->block;
        zm_key_spans s = spans_of(j, b, i, n);
        x.seen[0] = (range){0, s.sink};
        x.seen[1] = (range){s.from, s.to};
        if (s.sink || s.from < s.to)
            backward_block(j, &x, b, h, i, n, i || j->mask.block ? x.ones : NULL);
        for (int64_t r = 0; r < n && !s.sink && s.from >= s.to; r++)
            memset(j->dq + ((b * j->Nq + i + r) * j->H + h) * j->d, 0, (size_t)j->d * sizeof(float));
        if (j->dbias)
            put_bias(j, &x, h, i, n, add);
    }
    products_end();
    scatter(j->dk + key * j->d, j->H * j->d, x.dk, x.dp, x.keys, j->Nk, j->d);
    scatter(j->dv_out + key * j->dv, j->H * j->dv, x.dv, x.dvp, x.keys, j->Nk, j->dv);
}

const zm_attention_fns ZM_SIMD_NAME(zm_attention) = {
    .lanes = VW,
    .forward_scratch = forward_scratch,
    .backward_scratch = backward_scratch,
    .forward = forward,
    .backward = backward,
};
