/* Linear maps on 8-bit floats.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/fp8.h"

#include "backend/coarse.h"
#include "backend/cuda/operand.h"
#include "base/log.h"
#include "ops/matmul.h"

static size_t round256(size_t n)
{
    return (n + 255) & ~(size_t)255;
}

bool zm_fp8_takes(const zm_gpu_call *c, const zm_tensor *t)
{
    return c->fp8 && t->op == &zm_op_matmul && !zm_coarse_linear(t) && t->in[1]->shape.dim[1] % ZM_FP8_K_STEP == 0;
}

/* ---- weights ---- */

static size_t code_bytes(const zm_tensor *w)
{
    return round256((size_t)zm_shape_elems(w->shape));
}

size_t zm_fp8_bytes(const zm_tensor *w)
{
    return w->dtype == ZM_F8_E4M3 ? 0 : code_bytes(w) + zm_gpu_f32_bytes(w->shape.dim[0]);
}

static float *scales_of(const zm_gpu_copy *copy, const zm_tensor *w)
{
    void *at = (char *)copy->device + code_bytes(w);
    return at;
}

/* x [rows,k] -> codes and scales, from row `first` on. */
static void quantise(zm_gpu_call *c, const zm_gpu_view *x, void *codes, float *scales, int64_t k, int64_t first,
                     int64_t rows)
{
    bool vectors = x->dtype == ZM_F32 && (uintptr_t)x->data % 16 == 0;
    zm_gpu_node n = {.in = {*x, zm_gpu_flat(scales, ZM_F32, first + rows)},
                     .out = zm_gpu_flat(codes, ZM_F8_E4M3, (first + rows) * k),
                     .i = {k, first, vectors}};
    zm_gpu_launch(c, ZM_K_zm_gpu_quantise_rows, &n, rows);
}

zm_status zm_fp8_bring(zm_gpu *g, zm_gpu_copy *copy, const zm_tensor *w, void *scratch, size_t bytes, zm_error *err)
{
    if (!copy->host_newer)
        return ZM_OK;
    int64_t n = w->shape.dim[0], k = w->shape.dim[1];
    size_t row = zm_tensor_bytes(w) / (size_t)n;
    int64_t fit = (int64_t)(bytes / row);
    ZM_ASSERT(fit > 0);
    zm_gpu_copy *plain = zm_gpu_copy_of(g, w->data); /* what an optimiser made newer there comes home first */
    zm_gpu_call c = {.gpu = g, .err = err};
    c.status = plain ? zm_gpu_copy_out(g, plain, err) : ZM_OK;
    for (int64_t first = 0; !c.status && first < n; first += fit) {
        int64_t rows = n - first < fit ? n - first : fit;
        c.status = g->fns->put(g, scratch, (const char *)w->data + (size_t)first * row, (size_t)rows * row, err);
        zm_gpu_view x = zm_gpu_flat(scratch, w->dtype, rows * k);
        quantise(&c, &x, copy->device, scales_of(copy, w), k, first, rows);
    }
    copy->host_newer = c.status != ZM_OK;
    return c.status;
}

void zm_fp8_weights(zm_gpu_node *n, const zm_gpu_copy *copy, const zm_tensor *w)
{
    n->in[1].data = copy->device;
    n->in[1].dtype = ZM_F8_E4M3;
    n->in[3] = zm_gpu_flat(scales_of(copy, w), ZM_F32, w->shape.dim[0]);
}

/* ---- products ---- */

/* Scratch of a node: activations as codes with scales, and room to widen operands. */
typedef struct room {
    char *codes, *a, *b;
    float *scales;
    int64_t rows; /* that are widened at a time */
    size_t bytes;
} room;

static room room_of(const zm_gpu_call *c, const zm_tensor *t, char *at)
{
    int64_t k = t->in[1]->shape.dim[1], m = zm_shape_elems(t->in[0]->shape) / k;
    int64_t fit = (int64_t)(c->limit / 4) / (2 * k);
    room r = {.codes = at, .rows = fit < 1 ? 1 : fit < m ? fit : m};
    size_t scales = round256((size_t)(m * k)), b = scales + zm_gpu_f32_bytes(m);
    size_t a = b + round256((size_t)zm_shape_elems(t->in[1]->shape) * 2);
    r.bytes = a + round256((size_t)(r.rows * k) * 2);
    if (at) {
        void *of_scales = at + scales;
        r.scales = of_scales;
        r.b = at + b;
        r.a = at + a;
    }
    return r;
}

size_t zm_fp8_scratch(const zm_gpu_call *c, const zm_tensor *t)
{
    return room_of(c, t, NULL).bytes;
}

static const void *widened(zm_gpu_call *c, const void *codes, int64_t elems, void *to)
{
    zm_gpu_node n = {.in = {zm_gpu_flat((void *)(uintptr_t)codes, ZM_F8_E4M3, elems)},
                     .out = zm_gpu_flat(to, ZM_BF16, elems),
                     .i = {1}};
    zm_gpu_launch(c, ZM_K_zm_gpu_widen, &n, elems);
    return to;
}

/* The sums, from operands in bf16. */
static void sums_of_bf16(zm_gpu_call *c, const zm_gpu_product *p, const room *r)
{
    zm_gpu_product q = *p;
    q.type = ZM_BF16;
    q.scale_a = q.scale_b = NULL;
    q.b = widened(c, p->b, p->n * p->k, r->b);
    for (int64_t first = 0; first < p->m; first += r->rows) {
        q.m = p->m - first < r->rows ? p->m - first : r->rows;
        q.a = widened(c, (const char *)p->a + first * p->k, q.m * p->k, r->a);
        q.c = p->c + first * p->n;
        zm_gpu_multiply(c, &q);
    }
}

static void finish(zm_gpu_call *c, const zm_gpu_product *p, const zm_gpu_view *bias, int act, bool scaled)
{
    zm_gpu_node n = {.out = zm_gpu_flat(p->c, ZM_F32, p->m * p->n), .i = {p->n, act}};
    if (scaled) {
        n.in[0] = *bias;
        if (bias->data || act)
            zm_gpu_launch(c, ZM_K_zm_gpu_bias_act, &n, n.out.elems);
        return;
    }
    n.in[0] = zm_gpu_flat((void *)(uintptr_t)p->scale_a, ZM_F32, p->m);
    n.in[1] = zm_gpu_flat((void *)(uintptr_t)p->scale_b, ZM_F32, p->n);
    n.in[2] = *bias;
    zm_gpu_launch(c, ZM_K_zm_gpu_scale_act, &n, n.out.elems);
}

void zm_fp8_matmul(zm_gpu_call *c, const zm_tensor *t, const zm_gpu_node *n, const zm_gpu_product *sizes)
{
    room r = room_of(c, t, n->scratch);
    zm_gpu_product p = *sizes;
    p.type = ZM_F8_E4M3;
    p.act = 0; /* what follows the scales is f32 of ours: libraries take a bias of 16 bits here */
    p.a = r.codes;
    p.b = n->in[1].data;
    p.c = n->out.data;
    p.scale_a = r.scales;
    p.scale_b = n->in[3].data;
    if (c->cast != t->in[0] || c->cast_as != ZM_F8_E4M3) /* queries, keys and values read the same tokens */
        quantise(c, &n->in[0], r.codes, r.scales, p.k, 0, p.m);
    c->cast = t->in[0];
    c->cast_as = ZM_F8_E4M3;
    if (c->status)
        return;
    bool scaled = false;
    zm_error why = {0};
    zm_status s = c->gpu->fns->product(c->gpu, &p, &scaled, &why);
    if (s == ZM_E_UNSUPPORTED) {
        if (!c->gpu->told_no_e4m3)
            zm_log(ZM_LOG_WARN,
                   "%s: no product of 8-bit floats here (%s): made from bf16, no faster than --device cuda",
                   c->gpu->name, why.text);
        c->gpu->told_no_e4m3 = true;
        scaled = false;
        sums_of_bf16(c, &p, &r);
    } else if (s) {
        c->status = zm_fail(c->err, s, "%s", why.text);
    }
    finish(c, &p, &n->in[2], (int)t->attr.i[2], scaled);
}
