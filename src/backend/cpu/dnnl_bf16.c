/* Matrix products in bf16 through oneDNN, for processors whose tiles of bf16 (AMX) only it uses.
 *
 * With AVX512_BF16 alone our own product rounds operands while it packs them and is ahead: on one core of Zen 4 (rates of
 * two operands of f32, both rounded in the measured time) [8640,256] by [256,1024] takes 194-208 GFLOPS against 197-200,
 * gradients of weights, sums of 8640 steps into [1024,256], 168-184 against 153, into [256,256], 150 against 113; only
 * where both sides are long is oneDNN ahead, [1280,1536] by [1536,8960] 203 against 187-200.
 * On a processor with AMX this has not been measured, nor run; the same calls give right numbers on AVX512_BF16.
 * SPDX-License-Identifier: MIT */
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#include "backend/cpu/dnnl_kernels.h"
#include "backend/cpu/gemm_kernels.h"
#include "ops/matmul.h"

enum { A, B, C, OPERANDS };

typedef struct job {
    int64_t m, n;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t round[C], product;
    dnnl_memory_t given[OPERANDS], rounded[C]; /* C is given only */
    size_t second;                             /* where b stands in scratch */
} job;

static const char *decline(const zm_tensor *node)
{
    const zm_tensor *b = node->in[1];
    if ((dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) != dnnl_cpu_isa_avx512_core_amx)
        return "no tiles of bf16 (AMX)";
    if (b->dtype != ZM_F32 && b->dtype != ZM_BF16)
        return "weights are stored in another type than f32 and bf16";
    if (b->shape.rank > 2 && zm_shape_elems(node->shape) > zm_dim(node, -1) * zm_dim(node, -2))
        return "a batch of products";
    return zm_bf16_decline(node);
}

static void release(void *state)
{
    job *j = state;
    for (int i = 0; j && i < OPERANDS; i++) {
        if (j->given[i])
            dnnl_memory_destroy(j->given[i]);
        if (i < C && j->rounded[i])
            dnnl_memory_destroy(j->rounded[i]);
        if (i < C && j->round[i])
            dnnl_primitive_destroy(j->round[i]);
    }
    if (j && j->product)
        dnnl_primitive_destroy(j->product);
    if (j && j->stream)
        dnnl_stream_destroy(j->stream);
    if (j && j->engine)
        dnnl_engine_destroy(j->engine);
    free(j);
}

/* Operand i as it is given, and how it is rounded into the layout that the product wants. */
static dnnl_status_t make_rounding(job *j, int i, const dnnl_memory_desc_t *given, const_dnnl_primitive_desc_t product,
                                   size_t *bytes)
{
    const dnnl_memory_desc_t *wanted =
        dnnl_primitive_desc_query_md(product, i == A ? dnnl_query_src_md : dnnl_query_weights_md, 0);
    dnnl_primitive_desc_t desc = NULL;
    *bytes = (dnnl_memory_desc_get_size(wanted) + 63) & ~(size_t)63;
    dnnl_status_t s = dnnl_memory_create(&j->given[i], given, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_memory_create(&j->rounded[i], wanted, j->engine, DNNL_MEMORY_NONE);
    s = s ? s : dnnl_reorder_primitive_desc_create(&desc, given, j->engine, wanted, j->engine, NULL);
    s = s ? s : dnnl_primitive_create(&j->round[i], desc);
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    return s;
}

static dnnl_status_t make(job *j, const zm_tensor *node, int64_t k, size_t *scratch)
{
    const dnnl_dims_t side[OPERANDS] = {{j->m, k}, {k, j->n}, {j->m, j->n}};
    const bool turned[C] = {node->attr.i[0] != 0, node->attr.i[1] != 0};
    const dnnl_data_type_t type[C] = {dnnl_f32, node->in[1]->dtype == ZM_BF16 ? dnnl_bf16 : dnnl_f32};
    dnnl_memory_desc_t given[OPERANDS], rounded[C];
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t made = NULL;
    size_t bytes[C] = {0};
    dnnl_status_t s = dnnl_engine_create(&j->engine, dnnl_cpu, 0);
    s = s ? s : dnnl_stream_create(&j->stream, j->engine, dnnl_stream_default_flags);
    for (int i = 0; !s && i < C; i++) {
        s = dnnl_memory_desc_init_by_tag(&given[i], 2, side[i], type[i], turned[i] ? dnnl_ba : dnnl_ab);
        s = s ? s : dnnl_memory_desc_init_by_tag(&rounded[i], 2, side[i], dnnl_bf16, dnnl_format_tag_any);
    }
    s = s ? s : dnnl_memory_desc_init_by_tag(&given[C], 2, side[C], dnnl_f32, dnnl_ab);
    s = s ? s : dnnl_matmul_desc_init(&desc, &rounded[A], &rounded[B], NULL, &given[C]);
    s = s ? s : dnnl_primitive_desc_create(&made, &desc, NULL, j->engine, NULL);
    s = s ? s : dnnl_primitive_create(&j->product, made);
    for (int i = 0; !s && i < C; i++)
        s = make_rounding(j, i, &given[i], made, &bytes[i]);
    s = s ? s : dnnl_memory_create(&j->given[C], &given[C], j->engine, DNNL_MEMORY_NONE);
    if (made)
        dnnl_primitive_desc_destroy(made);
    j->second = bytes[A];
    *scratch = bytes[A] + bytes[B];
    return s;
}

static zm_status prepare(const zm_tensor *node, void **state, size_t *scratch, zm_error *err)
{
    const zm_tensor *a = node->in[0], *b = node->in[1];
    job *j = calloc(1, sizeof *j);
    if (!j)
        return zm_fail(err, ZM_E_NOMEM, "matmul: out of memory");
    j->n = zm_dim(node, -1);
    j->m = b->shape.rank == 2 ? zm_shape_elems(node->shape) / j->n : zm_dim(node, -2);
    dnnl_status_t s = make(j, node, zm_dim(a, node->attr.i[0] ? -2 : -1), scratch);
    if (s) {
        release(j);
        return zm_fail(err, s == dnnl_out_of_memory ? ZM_E_NOMEM : ZM_E_UNSUPPORTED,
                       "matmul in bf16: oneDNN answers with status %d", (int)s);
    }
    *state = j;
    return ZM_OK;
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    const job *j = state;
    void *at[OPERANDS] = {node->in[0]->data, node->in[1]->data, node->data};
    dnnl_status_t s = dnnl_success;
    for (int i = 0; i < OPERANDS; i++)
        s = s ? s : dnnl_memory_set_data_handle(j->given[i], at[i]);
    for (int i = 0; i < C; i++) {
        s = s ? s : dnnl_memory_set_data_handle(j->rounded[i], (char *)scratch + (i == A ? 0 : j->second));
        dnnl_exec_arg_t move[] = {{DNNL_ARG_FROM, j->given[i]}, {DNNL_ARG_TO, j->rounded[i]}};
        s = s ? s : dnnl_primitive_execute(j->round[i], j->stream, 2, move);
    }
    dnnl_exec_arg_t all[] = {
        {DNNL_ARG_SRC, j->rounded[A]}, {DNNL_ARG_WEIGHTS, j->rounded[B]}, {DNNL_ARG_DST, j->given[C]}};
    s = s ? s : dnnl_primitive_execute(j->product, j->stream, 3, all);
    s = s ? s : dnnl_stream_wait(j->stream);
    ZM_ASSERT(s == dnnl_success);
    zm_dnnl_finish(node->data, j->m, j->n, node->n_in > 2 && node->in[2] ? node->in[2]->data : NULL,
                   (zm_unary_kind)node->attr.i[2]);
}

const zm_kernel zm_dnnl_gemm_bf16 = {
    .op = &zm_op_matmul,
    .name = "dnnl_gemm_bf16",
    .decline = decline,
    .prepare = prepare,
    .run = run,
    .release = release,
};
