/* Matrix products by cuBLASLt, opened when the program runs.
 *
 * Products of e4m3 come without bias and act (fp8.c); their scales are the library's where it has a factor for each row
 * and column, and a kernel's of ours where not.  Its fast way of summing them, with fewer bits, stays off.
 *
 * The library counts in columns: a row-major c = a b is its c^T = b^T a^T, so that its first operand is our b, its rows
 * are our columns and its bias, one number a row, is ours, one a column.
 * SPDX-License-Identifier: MIT */
#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/driver.h"
#include "ops/unary.h"

#define CALLS(X)                                                                                                       \
    X(cublasLtCreate)                                                                                                  \
    X(cublasLtMatmul)                                                                                                  \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                                  \
    X(cublasLtMatmulDescCreate)                                                                                        \
    X(cublasLtMatmulDescDestroy)                                                                                       \
    X(cublasLtMatmulDescSetAttribute)                                                                                  \
    X(cublasLtMatrixLayoutCreate)                                                                                      \
    X(cublasLtMatrixLayoutDestroy)                                                                                     \
    X(cublasLtMatrixLayoutSetAttribute)                                                                                \
    X(cublasLtMatmulPreferenceCreate)                                                                                  \
    X(cublasLtMatmulPreferenceDestroy)                                                                                 \
    X(cublasLtMatmulPreferenceSetAttribute)

typedef struct library {
#define FIELD(name) __typeof__(&name) name##_;
    CALLS(FIELD)
#undef FIELD
} library;

/* What chooses an algorithm. */
typedef struct shape {
    int64_t m, n, k, batch, lda, ldb, ldc, step_a, step_b, step_c;
    uint32_t align_a, align_b, align_c, align_bias;
    int type, ta, tb, epilogue, scaled;
} shape;

typedef struct choice {
    shape key;
    bool known, works;
    cublasLtMatmulAlgo_t algo;
} choice;

enum { CHOICES = 1024 };

struct zm_blas {
    library call;
    cublasLtHandle_t handle;
    void *workspace;
    size_t workspace_bytes;
    choice choice[CHOICES];
};

/* The library's descriptions of one product. */
typedef struct terms {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
} terms;

zm_status zm_blas_open(zm_blas **out, void *workspace, size_t bytes, zm_error *err)
{
    static const char *const files[] = {"libcublasLt.so.13", "libcublasLt.so",
                                        "/usr/local/cuda/lib64/libcublasLt.so.13"},
                             *const names[] = {
#define NAME(name) #name,
                                 CALLS(NAME)
#undef NAME
                             };
    enum { N = sizeof names / sizeof *names };
    void *at[N];
    *out = NULL;
    if (!zm_library_open(files, sizeof files / sizeof *files, names, at, N))
        return ZM_OK;
    zm_blas *b = calloc(1, sizeof *b);
    if (!b)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for cuBLASLt");
    _Static_assert(sizeof b->call == sizeof at, "one pointer for each name");
    memcpy(&b->call, at, sizeof at);
    b->workspace = workspace;
    b->workspace_bytes = bytes;
    if (b->call.cublasLtCreate_(&b->handle)) {
        free(b);
        return ZM_OK;
    }
    *out = b;
    return ZM_OK;
}

/* Largest power of two up to 256 that divides an address. */
static uint32_t alignment(const void *at)
{
    uint32_t a = 256;
    while (a > 1 && (uintptr_t)at % a)
        a /= 2;
    return a;
}

static int epilogue_of(const zm_gpu_product *p)
{
    if (p->act == ZM_IDENTITY)
        return p->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    if (p->act == ZM_GELU_TANH && p->type == ZM_BF16) /* the library's has the rounding of bf16 work */
        return p->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU;
    return CUBLASLT_EPILOGUE_DEFAULT;
}

static shape shape_of(const zm_gpu_product *p, int epilogue, bool scaled)
{
    shape s;
    memset(&s, 0, sizeof s); /* it is compared and hashed byte by byte */
    s.m = p->m;
    s.n = p->n;
    s.k = p->k;
    s.batch = p->batch;
    s.lda = p->lda;
    s.ldb = p->ldb;
    s.ldc = p->ldc;
    s.step_a = p->step_a;
    s.step_b = p->step_b;
    s.step_c = p->step_c;
    s.align_a = alignment(p->a);
    s.align_b = alignment(p->b);
    s.align_c = alignment(p->c);
    s.align_bias = alignment(p->bias);
    s.type = p->type;
    s.ta = p->ta;
    s.tb = p->tb;
    s.epilogue = epilogue;
    s.scaled = scaled;
    return s;
}

static choice *choice_of(zm_blas *b, const shape *s)
{
    const unsigned char *p = (const unsigned char *)s;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *s; i++)
        h = (h ^ p[i]) * 1099511628211u;
    choice *c = &b->choice[h % CHOICES];
    if (!c->known || memcmp(&c->key, s, sizeof *s) != 0)
        *c = (choice){.key = *s};
    return c;
}

static cublasStatus_t layout(const library *l, cublasLtMatrixLayout_t *out, cudaDataType_t type, int64_t rows,
                             int64_t columns, int64_t ld, const zm_gpu_product *p, int64_t step)
{
    int32_t batch = (int32_t)p->batch;
    cublasStatus_t r = l->cublasLtMatrixLayoutCreate_(out, type, (uint64_t)rows, (uint64_t)columns, ld);
    if (!r && batch > 1)
        r = l->cublasLtMatrixLayoutSetAttribute_(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
    if (!r && batch > 1)
        r = l->cublasLtMatrixLayoutSetAttribute_(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step);
    return r;
}

/* A factor for each row of the library's result and each column, which are our columns and rows. */
static cublasStatus_t describe_scales(const library *l, const terms *t, const zm_gpu_product *p)
{
    int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    const struct {
        cublasLtMatmulDescAttributes_t key;
        const void *value;
        size_t bytes;
    } set[] = {{CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode},
               {CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode},
               {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &p->scale_b, sizeof p->scale_b},
               {CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &p->scale_a, sizeof p->scale_a}};
    cublasStatus_t r = CUBLAS_STATUS_SUCCESS;
    for (int i = 0; !r && i < 4; i++)
        r = l->cublasLtMatmulDescSetAttribute_(t->product, set[i].key, set[i].value, set[i].bytes);
    return r;
}

static cudaDataType_t type_of(const zm_gpu_product *p)
{
    return p->type == ZM_F8_E4M3 ? CUDA_R_8F_E4M3 : p->type == ZM_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasStatus_t describe(const library *l, terms *t, const zm_gpu_product *p, int epilogue, bool scaled)
{
    cudaDataType_t type = type_of(p);
    cublasOperation_t turn_a = p->tb ? CUBLAS_OP_T : CUBLAS_OP_N, turn_b = p->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t e = (cublasLtEpilogue_t)epilogue;
    cublasStatus_t r = l->cublasLtMatmulDescCreate_(&t->product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (!r)
        r = l->cublasLtMatmulDescSetAttribute_(t->product, CUBLASLT_MATMUL_DESC_TRANSA, &turn_a, sizeof turn_a);
    if (!r)
        r = l->cublasLtMatmulDescSetAttribute_(t->product, CUBLASLT_MATMUL_DESC_TRANSB, &turn_b, sizeof turn_b);
    if (!r)
        r = l->cublasLtMatmulDescSetAttribute_(t->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e);
    if (!r && (e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_BIAS))
        r = l->cublasLtMatmulDescSetAttribute_(t->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    if (!r && scaled)
        r = describe_scales(l, t, p);
    if (!r)
        r = layout(l, &t->a, type, p->tb ? p->k : p->n, p->tb ? p->n : p->k, p->ldb, p, p->step_b);
    if (!r)
        r = layout(l, &t->b, type, p->ta ? p->m : p->k, p->ta ? p->k : p->m, p->lda, p, p->step_a);
    if (!r)
        r = layout(l, &t->c, CUDA_R_32F, p->n, p->m, p->ldc, p, p->step_c);
    return r;
}

static void forget(const library *l, const terms *t)
{
    if (t->product)
        l->cublasLtMatmulDescDestroy_(t->product);
    const cublasLtMatrixLayout_t of[] = {t->a, t->b, t->c};
    for (int i = 0; i < 3; i++)
        if (of[i])
            l->cublasLtMatrixLayoutDestroy_(of[i]);
}

static void choose(zm_blas *b, choice *c, const terms *t)
{
    const library *l = &b->call;
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int n = 0;
    c->known = true;
    c->works = false;
    if (l->cublasLtMatmulPreferenceCreate_(&wish))
        return;
    const struct {
        cublasLtMatmulPreferenceAttributes_t key;
        uint32_t value;
    } align[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, c->key.align_b},
                 {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, c->key.align_a},
                 {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c->key.align_c},
                 {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c->key.align_c}};
    l->cublasLtMatmulPreferenceSetAttribute_(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &b->workspace_bytes,
                                             sizeof b->workspace_bytes);
    for (int i = 0; i < 4; i++)
        l->cublasLtMatmulPreferenceSetAttribute_(wish, align[i].key, &align[i].value, sizeof align[i].value);
    cublasStatus_t r =
        l->cublasLtMatmulAlgoGetHeuristic_(b->handle, t->product, t->a, t->b, t->c, t->c, wish, 1, &found, &n);
    l->cublasLtMatmulPreferenceDestroy_(wish);
    if (r || n < 1 || found.state)
        return;
    c->works = true;
    c->algo = found.algo;
}

/* false: the library has nothing for this product with this epilogue, or with scales. */
static bool attempt(zm_blas *b, void *stream, const zm_gpu_product *p, int epilogue, bool scaled)
{
    terms t = {0};
    shape s = shape_of(p, epilogue, scaled);
    choice *c = choice_of(b, &s);
    if (c->known && !c->works)
        return false;
    bool done = false;
    if (!describe(&b->call, &t, p, epilogue, scaled)) {
        float alpha = (float)p->alpha, beta = (float)p->beta;
        if (!c->known)
            choose(b, c, &t);
        done = c->works &&
               !b->call.cublasLtMatmul_(b->handle, t.product, &alpha, p->b, t.a, p->a, t.b, &beta, p->c, t.c, p->c, t.c,
                                        &c->algo, b->workspace, b->workspace_bytes, (cudaStream_t)stream);
        c->works = c->works && done;
    }
    forget(&b->call, &t);
    return done;
}

zm_status zm_blas_product(zm_blas *b, void *stream, const zm_gpu_product *p, bool *finished, zm_error *err)
{
    int epilogue = epilogue_of(p);
    *finished = false;
    if (p->batch > INT32_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED, "cuBLASLt takes no %lld products at once", (long long)p->batch);
    if (p->type == ZM_F8_E4M3)
        *finished = p->scale_b && attempt(b, stream, p, CUBLASLT_EPILOGUE_DEFAULT, true);
    else if (epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        *finished = attempt(b, stream, p, epilogue, false);
    if (*finished || attempt(b, stream, p, CUBLASLT_EPILOGUE_DEFAULT, false))
        return ZM_OK;
    return zm_fail(err, ZM_E_UNSUPPORTED, "cuBLASLt has no algorithm for [%lld,%lld] by [%lld,%lld]", (long long)p->m,
                   (long long)p->k, (long long)p->k, (long long)p->n);
}
