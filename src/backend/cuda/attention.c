/* Attention on the device by products of whole heads, as many heads and queries at a time as scratch holds.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/call.h"

#include <math.h>

#include "ops/attention.h"

typedef struct sizes {
    int64_t B, H, Nq, Nk, d, dv;
    double scale;
    zm_block_causal mask;
    int64_t heads, rows; /* of a piece */
} sizes;

/* Memory of one node: packed operands in the compute type, packed results and scores in f32. */
typedef struct room {
    char *q, *k, *v, *gy;       /* [B,H,N,d], compute type */
    float *y, *dk, *dv;         /* [B,H,N,d]: y doubles as dq */
    float *p, *ds;              /* scores of a piece */
    char *p_narrow, *ds_narrow; /* the same in the compute type; where that is f32, p and ds themselves */
    size_t bytes;
} room;

static sizes sizes_of(const zm_gpu_call *c, const zm_tensor *t)
{
    const zm_tensor *q = t->in[0], *k = t->in[1], *v = t->in[2];
    sizes s = {.B = zm_dim(q, 0), .Nq = zm_dim(q, 1), .H = zm_dim(q, 2), .d = zm_dim(q, 3)};
    s.Nk = zm_dim(k, 1);
    s.dv = zm_dim(v, 3);
    s.scale = t->attr.f[0] != 0 ? t->attr.f[0] : 1 / sqrt((double)s.d);
    int64_t fit = (int64_t)(c->limit / (size_t)(4 * s.Nk)); /* rows of scores */
    fit = fit < 1 ? 1 : fit;
    s.mask = zm_block_causal_of(t);
    s.rows = s.Nq;
    if (s.mask.block && s.mask.block < s.Nq) { /* few blocks, so that most of what they do not see is left out */
        s.rows = (128 + s.mask.block - 1) / s.mask.block * s.mask.block;
        s.rows = s.rows < s.Nq ? s.rows : s.Nq;
    }
    s.rows = s.rows < fit ? s.rows : fit;
    s.heads = fit / s.rows < s.B * s.H ? fit / s.rows : s.B * s.H;
    return s;
}

static char *take(size_t *at, size_t bytes, char *base)
{
    char *here = base ? base + *at : NULL;
    *at += bytes;
    return here;
}

static room room_of(const zm_gpu_call *c, const sizes *s, bool grad, char *base)
{
    room r = {0};
    size_t at = 0;
    int64_t Z = s->B * s->H, scores = s->heads * s->rows * s->Nk;
    bool narrow = c->compute != ZM_F32;
    r.q = take(&at, zm_gpu_compute_bytes(c, Z * s->Nq * s->d), base);
    r.k = take(&at, zm_gpu_compute_bytes(c, Z * s->Nk * s->d), base);
    r.v = take(&at, zm_gpu_compute_bytes(c, Z * s->Nk * s->dv), base);
    r.y = (float *)(void *)take(&at, zm_gpu_f32_bytes(Z * s->Nq * (s->d > s->dv ? s->d : s->dv)), base);
    r.p = (float *)(void *)take(&at, zm_gpu_f32_bytes(scores), base);
    r.p_narrow = narrow ? take(&at, zm_gpu_compute_bytes(c, scores), base) : (char *)r.p;
    if (grad) {
        r.gy = take(&at, zm_gpu_compute_bytes(c, Z * s->Nq * s->dv), base);
        r.dk = (float *)(void *)take(&at, zm_gpu_f32_bytes(Z * s->Nk * s->d), base);
        r.dv = (float *)(void *)take(&at, zm_gpu_f32_bytes(Z * s->Nk * s->dv), base);
        r.ds = (float *)(void *)take(&at, zm_gpu_f32_bytes(scores), base);
        r.ds_narrow = narrow ? take(&at, zm_gpu_compute_bytes(c, scores), base) : (char *)r.ds;
    }
    r.bytes = at;
    return r;
}

static void pack(zm_gpu_call *c, const zm_gpu_view *x, void *to)
{
    zm_gpu_node n = {.in = {*x}, .out = zm_gpu_flat(to, c->compute, x->elems), .i = {c->compute == ZM_BF16}};
    zm_gpu_launch(c, ZM_K_zm_gpu_heads_in, &n, x->elems);
}

/* to: where in the node's result; like: whose dims it has. */
static void unpack(zm_gpu_call *c, const void *from, float *to, const zm_gpu_view *like)
{
    zm_gpu_node n = {.in = {zm_gpu_flat((void *)(uintptr_t)from, ZM_F32, like->elems)}, .out = *like};
    n.out.data = to;
    zm_gpu_launch(c, ZM_K_zm_gpu_heads_out, &n, like->elems);
}

/* Element `elems` of an operand in the compute type. */
static const void *past(const zm_gpu_call *c, const void *at, int64_t elems)
{
    return (const char *)at + (size_t)elems * (c->compute == ZM_BF16 ? 2 : 4);
}

/* The piece of `heads` heads from z on, `rows` queries from i on and the keys from..to-1 that these see. */
typedef struct piece {
    int64_t z, heads, i, rows, from, to;
} piece;

static void fill_scores(const zm_gpu_call *c, zm_gpu_node *n, const sizes *s, const piece *w)
{
    (void)c;
    const zm_block_causal *m = &s->mask;
    int64_t i[13] = {w->z,    w->i,  s->H,     s->Nq,     s->Nk,   w->rows, w->heads,
                     w->from, w->to, m->block, m->window, m->sink, m->first};
    for (int k = 0; k < 13; k++)
        n->i[k] = i[k];
}

/* Probabilities of a piece into r->p and r->p_narrow. */
static void probabilities(zm_gpu_call *c, const zm_tensor *t, const zm_gpu_node *node, const sizes *s, const room *r,
                          const piece *w)
{
    zm_gpu_product p = {.a = past(c, r->q, (w->z * s->Nq + w->i) * s->d),
                        .b = past(c, r->k, (w->z * s->Nk + w->from) * s->d),
                        .c = r->p + w->from,
                        .type = c->compute,
                        .tb = true,
                        .m = w->rows,
                        .n = w->to - w->from,
                        .k = s->d,
                        .batch = w->heads,
                        .lda = s->d,
                        .ldb = s->d,
                        .ldc = s->Nk,
                        .step_a = s->Nq * s->d,
                        .step_b = s->Nk * s->d,
                        .step_c = w->rows * s->Nk,
                        .alpha = s->scale};
    zm_gpu_multiply(c, &p);
    zm_gpu_node n = {.out = zm_gpu_flat(r->p, ZM_F32, w->heads * w->rows * s->Nk)};
    n.in[0] = n.out;
    if (node->in[3].data)
        n.in[t->in[3]->shape.rank == 3 ? 1 : 2] = node->in[3];
    n.in[3] = node->in[4];
    if (c->compute != ZM_F32)
        n.in[4] = zm_gpu_flat(r->p_narrow, ZM_BF16, n.out.elems);
    fill_scores(c, &n, s, w);
    zm_gpu_launch(c, ZM_K_zm_gpu_scores, &n, w->heads * w->rows);
}

/* out[z] [m,width] = scores (turned: by queries) times b[z]; one of the sums a piece gives.  What has a row for each
 * key, b or (turned) to, comes with key 0 and is used from the piece's first key on. */
static void weigh(zm_gpu_call *c, const sizes *s, const piece *w, const char *scores, bool turned, const void *b,
                  float *to, int64_t width, int64_t step_b, int64_t step_c, double alpha, bool add)
{
    zm_gpu_product p = {.a = past(c, scores, w->from),
                        .b = turned ? b : past(c, b, w->from * width),
                        .c = turned ? to + w->from * width : to,
                        .type = c->compute,
                        .ta = turned,
                        .m = turned ? w->to - w->from : w->rows,
                        .n = width,
                        .k = turned ? w->rows : w->to - w->from,
                        .batch = w->heads,
                        .lda = s->Nk,
                        .ldb = width,
                        .ldc = width,
                        .step_a = w->rows * s->Nk,
                        .step_b = step_b,
                        .step_c = step_c,
                        .alpha = alpha,
                        .beta = add ? 1 : 0};
    zm_gpu_multiply(c, &p);
}

static bool next_piece(const sizes *s, piece *w)
{
    if (!w->heads || (w->i += w->rows) >= s->Nq) {
        w->z += w->heads;
        w->heads = s->B * s->H - w->z < s->heads ? s->B * s->H - w->z : s->heads;
        w->i = 0;
    }
    w->rows = s->Nq - w->i < s->rows ? s->Nq - w->i : s->rows;
    zm_key_spans seen = zm_block_causal_keys(&s->mask, w->i, w->i + w->rows - 1, s->Nk);
    w->from = seen.sink ? 0 : seen.from; /* one product: behind a sink the keys between are only masked */
    w->to = seen.to;
    return w->heads > 0;
}

/* ---- one pass over the keys (flash.cu) ---- */

/* The kernel for these heads, or 0: none, and scores are made by products. */
static int64_t flash_width(const zm_gpu_call *c, const zm_tensor *t)
{
    int64_t d = zm_dim(t->in[0], 3), dv = zm_dim(t->in[2], 3), wide = d > dv ? d : dv;
    bool full_bias = t->n_in > 3 && t->in[3] && t->in[3]->shape.rank == 3;
    return c->compute != ZM_BF16 || full_bias || wide > 128 ? 0 : wide > 64 ? 128 : 64;
}

static int64_t padded(int64_t rows)
{
    return (rows + 63) / 64 * 64;
}

static size_t flash_bytes(const zm_gpu_call *c, const zm_tensor *t, int64_t rows)
{
    return zm_gpu_compute_bytes(c, zm_dim(t->in[0], 0) * zm_dim(t->in[0], 2) * padded(rows) * flash_width(c, t));
}

static zm_gpu_view pack_flash(zm_gpu_call *c, const zm_gpu_view *x, void *to, int64_t width, bool turned)
{
    int64_t rows = padded(x->dim[1]), elems = x->dim[0] * x->dim[2] * rows * width;
    zm_gpu_node n = {.in = {*x}, .out = zm_gpu_flat(to, ZM_BF16, elems), .i = {rows, width, turned}};
    zm_gpu_launch(c, ZM_K_zm_gpu_pack_heads, &n, elems);
    return n.out;
}

static void run_flash(zm_gpu_call *c, const zm_tensor *t, const zm_gpu_node *n, int64_t width)
{
    int64_t Nq = n->in[0].dim[1], Nk = n->in[1].dim[1], H = n->in[0].dim[2], d = n->in[0].dim[3];
    double scale = t->attr.f[0] != 0 ? t->attr.f[0] : 1 / sqrt((double)d);
    zm_block_causal m = zm_block_causal_of(t);
    char *q = n->scratch, *k = q + flash_bytes(c, t, Nq), *v = k + flash_bytes(c, t, Nk);
    zm_gpu_node f = {.in = {pack_flash(c, &n->in[0], q, width, false), pack_flash(c, &n->in[1], k, width, false),
                            pack_flash(c, &n->in[2], v, width, true), n->in[3], n->in[4]},
                     .out = n->out,
                     .i = {Nq, Nk, H, n->in[2].dim[3], padded(Nq), padded(Nk), m.block, m.window, m.sink, m.first},
                     .f = {scale * 1.4426950408889634}};
    zm_gpu_launch(c, width == 64 ? ZM_K_zm_gpu_flash_64 : ZM_K_zm_gpu_flash_128, &f,
                  n->in[0].dim[0] * H * (padded(Nq) / 64));
}

static size_t attention_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    if (flash_width(c, t))
        return flash_bytes(c, t, zm_dim(t->in[0], 1)) + 2 * flash_bytes(c, t, zm_dim(t->in[1], 1));
    sizes s = sizes_of(c, t);
    return room_of(c, &s, false, NULL).bytes;
}

static void run_attention(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    if (flash_width(c, t)) {
        run_flash(c, t, n, flash_width(c, t));
        return;
    }
    sizes s = sizes_of(c, t);
    room r = room_of(c, &s, false, n->scratch);
    pack(c, &n->in[0], r.q);
    pack(c, &n->in[1], r.k);
    pack(c, &n->in[2], r.v);
    for (piece w = {0}; next_piece(&s, &w);) {
        probabilities(c, t, n, &s, &r, &w);
        weigh(c, &s, &w, r.p_narrow, false, past(c, r.v, w.z * s.Nk * s.dv), r.y + (w.z * s.Nq + w.i) * s.dv, s.dv,
              s.Nk * s.dv, s.Nq * s.dv, 1, false);
    }
    unpack(c, r.y, n->out.data, &n->out);
}

static size_t attention_grad_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    sizes s = sizes_of(c, t);
    return room_of(c, &s, true, NULL).bytes;
}

static void zero(zm_gpu_call *c, float *at, int64_t elems)
{
    zm_gpu_node n = {.in = {zm_gpu_flat(at, ZM_F32, elems)}, .out = zm_gpu_flat(at, ZM_F32, elems), .f = {0, 0}};
    zm_gpu_launch(c, ZM_K_zm_gpu_zero, &n, elems);
}

/* dp = gy v^T, ds = p (dp - sum p dp), and what ds gives to the bias. */
static void score_gradients(zm_gpu_call *c, const zm_tensor *t, const sizes *s, const room *r, const piece *w,
                            float *dbias)
{
    zm_gpu_product p = {.a = past(c, r->gy, (w->z * s->Nq + w->i) * s->dv),
                        .b = past(c, r->v, (w->z * s->Nk + w->from) * s->dv),
                        .c = r->ds + w->from,
                        .type = c->compute,
                        .tb = true,
                        .m = w->rows,
                        .n = w->to - w->from,
                        .k = s->dv,
                        .batch = w->heads,
                        .lda = s->dv,
                        .ldb = s->dv,
                        .ldc = s->Nk,
                        .step_a = s->Nq * s->dv,
                        .step_b = s->Nk * s->dv,
                        .step_c = w->rows * s->Nk,
                        .alpha = 1};
    zm_gpu_multiply(c, &p);
    bool full = dbias && t->in[3]->shape.rank == 3;
    int64_t scores = w->heads * w->rows * s->Nk;
    zm_gpu_node n = {.in = {zm_gpu_flat(r->p, ZM_F32, scores), zm_gpu_flat(r->ds, ZM_F32, scores)},
                     .out = zm_gpu_flat(r->ds, ZM_F32, scores)};
    if (c->compute != ZM_F32)
        n.in[2] = zm_gpu_flat(r->ds_narrow, ZM_BF16, scores);
    if (full)
        n.in[3] = zm_gpu_flat(dbias, ZM_F32, 0);
    fill_scores(c, &n, s, w);
    zm_gpu_launch(c, ZM_K_zm_gpu_scores_grad, &n, w->heads * w->rows);
    if (!dbias || full)
        return;
    int64_t clips = (w->z + w->heads - 1) / s->H - w->z / s->H + 1;
    n.in[0] = n.out;
    n.out = zm_gpu_flat(dbias, ZM_F32, s->B * s->Nk);
    zm_gpu_launch(c, ZM_K_zm_gpu_key_bias_grad, &n, clips * s->Nk);
}

static void run_attention_grad(zm_gpu_call *c, const zm_tensor *t, zm_gpu_node *n)
{
    sizes s = sizes_of(c, t);
    room r = room_of(c, &s, true, n->scratch);
    float *out = n->out.data;
    int64_t nq = n->in[0].elems, nk = n->in[1].elems, nv = n->in[2].elems;
    float *dbias = n->in[3].data ? out + nq + nk + nv : NULL;
    pack(c, &n->in[0], r.q);
    pack(c, &n->in[1], r.k);
    pack(c, &n->in[2], r.v);
    pack(c, &n->in[5], r.gy);
    if (dbias)
        zero(c, dbias, n->in[3].elems);
    bool masked = s.mask.block > 0; /* then a piece's keys are not those of the piece before */
    if (masked) {
        zero(c, r.dk, s.B * s.H * s.Nk * s.d);
        zero(c, r.dv, s.B * s.H * s.Nk * s.dv);
    }
    for (piece w = {0}; next_piece(&s, &w);) {
        int64_t q = w.z * s.Nq + w.i, k = w.z * s.Nk;
        probabilities(c, t, n, &s, &r, &w);
        score_gradients(c, t, &s, &r, &w, dbias);
        weigh(c, &s, &w, r.p_narrow, true, past(c, r.gy, q * s.dv), r.dv + k * s.dv, s.dv, s.Nq * s.dv, s.Nk * s.dv, 1,
              masked || w.i > 0);
        weigh(c, &s, &w, r.ds_narrow, false, past(c, r.k, k * s.d), r.y + q * s.d, s.d, s.Nk * s.d, s.Nq * s.d, s.scale,
              false);
        weigh(c, &s, &w, r.ds_narrow, true, past(c, r.q, q * s.d), r.dk + k * s.d, s.d, s.Nq * s.d, s.Nk * s.d, s.scale,
              masked || w.i > 0);
    }
    unpack(c, r.y, out, &n->in[0]);
    unpack(c, r.dk, out + nq, &n->in[1]);
    unpack(c, r.dv, out + nq + nk, &n->in[2]);
}

const zm_gpu_op zm_gpu_op_attention = {
    .op = "attention", .name = "cuda_attention", .scratch = attention_scratch, .run = run_attention};
const zm_gpu_op zm_gpu_op_attention_grad = {.op = "attention_grad",
                                            .name = "cuda_attention_grad",
                                            .scratch = attention_grad_scratch,
                                            .run = run_attention_grad};
