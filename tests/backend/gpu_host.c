/* A device for tests: memory that only kernels may touch, and kernels that are loops of the host.
 * SPDX-License-Identifier: MIT */
#include "gpu_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/backend.h"
#include "ops/unary.h"

enum { HELD_MAX = 4096, LINES_MAX = 100000 };

typedef struct line { /* of a record */
    enum { KERNEL, PRODUCT, CONVOLUTION } kind;
    zm_gpu_kernel kernel;
    zm_gpu_node node;
    zm_gpu_product product;
    zm_gpu_convolution convolution;
} line;

typedef struct record {
    int n;
    line *line;
} record;

static struct {
    zm_gpu gpu;
    struct {
        char *at;
        size_t bytes;
    } held[HELD_MAX];
    int n;
    size_t bytes, most;
    zm_gpu_host_e4m3_kind e4m3;
    float e4m3_value[256]; /* of every code */
    zm_gpu_host_conv_kind conv;
    bool convolved;    /* since the kind was set */
    bool pieces, open; /* open: the host may touch the device's memory, which is quicker */
    record *recording;
    zm_gpu_host_counts count;
    int fail, missed; /* missed: -1: end where something does not hold */
} dev = {.e4m3 = ZM_GPU_HOST_E4M3_SCALED, .missed = -1};

void zm_gpu_host_demand(bool holds, const char *what)
{
    if (holds)
        return;
    if (dev.missed < 0) {
        printf("not ok - %s\n", what);
        exit(1);
    }
    dev.missed++;
}

void zm_gpu_host_count_missed(void)
{
    dev.missed = 0;
}

int zm_gpu_host_missed(void)
{
    int n = dev.missed;
    dev.missed = -1;
    return n;
}

void zm_gpu_host_fail(int n)
{
    dev.fail = n;
}

bool zm_gpu_host_fails(void)
{
    return dev.fail && !--dev.fail;
}

static void protect(bool open)
{
    for (int i = 0; i < dev.n && !dev.open; i++)
        ZM_ASSERT(!mprotect(dev.held[i].at, dev.held[i].bytes, open ? PROT_READ | PROT_WRITE : PROT_NONE));
}

/* Whether [at, at + bytes) lies in one allocation. */
static bool holds(const void *at, size_t bytes)
{
    for (int i = 0; i < dev.n; i++)
        if ((const char *)at >= dev.held[i].at && (const char *)at + bytes <= dev.held[i].at + dev.held[i].bytes)
            return true;
    return false;
}

static zm_status host_alloc(zm_gpu *g, void **out, size_t bytes, zm_error *err)
{
    (void)g;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page) / page * page;
    if (zm_gpu_host_fails() || (dev.most && dev.bytes + whole > dev.most))
        return zm_fail(err, ZM_E_NOMEM, "the device has no room for %zu bytes", bytes);
    ZM_ASSERT(dev.n < HELD_MAX);
    char *at = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ZM_ASSERT(at != MAP_FAILED);
    memset(at, 0x7f, whole); /* garbage: kernels must write what others read */
    ZM_ASSERT(dev.open || !mprotect(at, whole, PROT_NONE));
    dev.held[dev.n].at = at;
    dev.held[dev.n++].bytes = whole;
    dev.bytes += whole;
    dev.count.allocations++;
    *out = at;
    return ZM_OK;
}

static void host_release(zm_gpu *g, void *at)
{
    (void)g;
    for (int i = 0; i < dev.n; i++)
        if (dev.held[i].at == at) {
            zm_gpu_host_forget(at, dev.held[i].bytes);
            munmap(at, dev.held[i].bytes);
            dev.bytes -= dev.held[i].bytes;
            dev.held[i] = dev.held[--dev.n];
            return;
        }
    ZM_ASSERT(!"released twice");
}

static zm_status pinned_alloc(zm_gpu *g, void **out, size_t bytes, zm_error *err)
{
    (void)g;
    *out = zm_gpu_host_fails() ? NULL : malloc(bytes);
    return *out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory");
}

static void pinned_release(zm_gpu *g, void *at)
{
    (void)g;
    free(at);
}

static zm_status put(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err)
{
    (void)g;
    (void)err;
    ZM_ASSERT(holds(to, bytes) && !dev.recording);
    zm_gpu_host_touches(to, bytes);
    dev.count.puts++;
    dev.count.put_bytes += bytes;
    protect(true);
    memcpy(to, from, bytes);
    protect(false);
    zm_gpu_host_main();
    return ZM_OK;
}

static zm_status get(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err)
{
    (void)g;
    (void)err;
    ZM_ASSERT(holds(from, bytes) && !dev.recording);
    zm_gpu_host_touches(from, bytes);
    dev.count.gets++;
    dev.count.get_bytes += bytes;
    protect(true);
    memcpy(to, from, bytes);
    protect(false);
    zm_gpu_host_main();
    return ZM_OK;
}

static void keep(const line *l)
{
    record *r = dev.recording;
    ZM_ASSERT(r->n < LINES_MAX);
    r->line = realloc(r->line, (size_t)(r->n + 1) * sizeof *r->line);
    ZM_ASSERT(r->line);
    r->line[r->n++] = *l;
}

static void touch(const zm_gpu_view *v)
{
    size_t bytes = 0;
    if (v->data && zm_dtype_bytes(&bytes, (zm_dtype)v->dtype, (size_t)v->elems))
        zm_gpu_host_touches(v->data, bytes ? bytes : 1);
}

static zm_status launch(zm_gpu *g, zm_gpu_kernel k, const zm_gpu_node *n, zm_error *err)
{
    (void)g;
    (void)err;
    for (int i = 0; i < 8; i++)
        ZM_ASSERT(!n->in[i].data || holds(n->in[i].data, 1));
    ZM_ASSERT(holds(n->out.data, 1) && (!n->scratch || holds(n->scratch, 1)) && n->count > 0);
    dev.count.launches++;
    if (dev.recording) {
        keep(&(line){.kernel = k, .node = *n});
        return ZM_OK;
    }
    for (int i = 0; i < 8; i++)
        touch(&n->in[i]);
    touch(&n->out);
    protect(true);
    zm_gpu_host_kernel(k)(n);
    protect(false);
    zm_gpu_host_main();
    return ZM_OK;
}

static double value(const void *at, zm_dtype t, int64_t i)
{
    if (t == ZM_F8_E4M3)
        return (double)dev.e4m3_value[((const uint8_t *)at)[i]];
    return t == ZM_BF16 ? zm_bf16_to_f32(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

static void multiply(const zm_gpu_product *p)
{
    for (int64_t z = 0; z < p->batch; z++)
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) {
                double sum = 0;
                for (int64_t k = 0; k < p->k; k++)
                    sum += value(p->a, p->type, z * p->step_a + (p->ta ? k * p->lda + i : i * p->lda + k)) *
                           value(p->b, p->type, z * p->step_b + (p->tb ? j * p->ldb + k : k * p->ldb + j));
                float *c = p->c + z * p->step_c + i * p->ldc + j;
                if (p->scale_a)
                    sum *= p->scale_a[i];
                if (p->scale_b)
                    sum *= p->scale_b[j];
                *c = (float)(p->alpha * sum + (p->beta != 0 ? p->beta * *c : 0));
            }
}

static void touch_operand(const void *at, zm_dtype t, int64_t rows, int64_t row, int64_t batch, int64_t step)
{
    zm_gpu_host_touches(at, (size_t)((batch - 1) * step + rows * row) * (t == ZM_F8_E4M3 ? 1 : t == ZM_BF16 ? 2 : 4));
}

/* Bias and activation are left to their kernel. */
static zm_status product(zm_gpu *g, const zm_gpu_product *p, bool *finished, zm_error *err)
{
    (void)g;
    *finished = false;
    if (dev.pieces)
        return zm_fail(err, ZM_E_UNSUPPORTED, "no library");
    ZM_ASSERT(holds(p->a, 1) && holds(p->b, 1) && holds(p->c, 1) && (!p->bias || holds(p->bias, 1)));
    zm_gpu_product q = *p;
    if (p->type == ZM_F8_E4M3) {
        ZM_ASSERT(p->tb && !p->ta && p->batch == 1 && p->k % 16 == 0 && !p->bias && !p->act && holds(p->scale_a, 1));
        if (dev.e4m3 == ZM_GPU_HOST_E4M3_NONE)
            return zm_fail(err, ZM_E_UNSUPPORTED, "no products of e4m3");
        *finished = dev.e4m3 == ZM_GPU_HOST_E4M3_SCALED && p->scale_b;
        dev.count.e4m3_products++;
        if (!*finished)
            q.scale_a = q.scale_b = NULL;
    }
    dev.count.products++;
    if (dev.recording) {
        keep(&(line){.kind = PRODUCT, .product = q});
        return ZM_OK;
    }
    touch_operand(p->a, p->type, p->ta ? p->k : p->m, p->lda, p->batch, p->step_a);
    touch_operand(p->b, p->type, p->tb ? p->n : p->k, p->ldb, p->batch, p->step_b);
    protect(true);
    multiply(&q);
    protect(false);
    zm_gpu_host_main();
    return ZM_OK;
}

static double window_sum(const zm_gpu_convolution *p, int64_t b, const int64_t *at, int64_t o)
{
    double sum = 0;
    for (int64_t f = 0; f < p->kernel[0]; f++)
        for (int64_t h = 0; h < p->kernel[1]; h++)
            for (int64_t w = 0; w < p->kernel[2]; w++) {
                int64_t x = (b * p->in[0] + at[0] * p->stride[0] + f) * p->in[1] + at[1] * p->stride[1] + h;
                int64_t tap = ((o * p->kernel[0] + f) * p->kernel[1] + h) * p->kernel[2] + w;
                x = x * p->in[2] + at[2] * p->stride[2] + w;
                for (int64_t c = 0; c < p->c; c++)
                    sum += value(p->x, ZM_BF16, x * p->c + c) * value(p->w, ZM_BF16, tap * p->c + c);
            }
    return sum;
}

static void convolve_(const zm_gpu_convolution *p)
{
    int64_t places = p->out[0] * p->out[1] * p->out[2];
    for (int64_t i = 0; i < p->batch * places; i++) {
        const int64_t at[3] = {i % places / (p->out[1] * p->out[2]), i / p->out[2] % p->out[1], i % p->out[2]};
        for (int64_t o = 0; o < p->o; o++)
            p->y[i * p->o + o] = (float)(window_sum(p, i / places, at, o) + (p->bias ? (double)p->bias[o] : 0));
    }
}

static zm_status convolve(zm_gpu *g, const zm_gpu_convolution *p, bool *finished, zm_error *err)
{
    (void)g;
    zm_gpu_convolution q = *p;
    *finished = dev.conv != ZM_GPU_HOST_CONV_SUMS;
    for (int i = 0; i < 3; i++)
        ZM_ASSERT(p->in[i] == (p->out[i] - 1) * p->stride[i] + p->kernel[i]);
    if (dev.conv == ZM_GPU_HOST_CONV_NONE || (dev.conv == ZM_GPU_HOST_CONV_ONCE && dev.convolved))
        return zm_fail(err, ZM_E_UNSUPPORTED, "no convolutions");
    if (!p->x)
        return ZM_OK;
    dev.convolved = true;
    ZM_ASSERT(holds(p->x, 1) && holds(p->w, 1) && holds(p->y, 1) && (!p->bias || holds(p->bias, 1)));
    dev.count.convolutions++;
    if (!*finished)
        q.bias = NULL;
    if (dev.recording) {
        keep(&(line){.kind = CONVOLUTION, .convolution = q});
        return ZM_OK;
    }
    zm_gpu_host_touches(p->w, (size_t)(p->o * p->c * p->kernel[0] * p->kernel[1] * p->kernel[2]) * 2);
    protect(true);
    convolve_(&q);
    protect(false);
    zm_gpu_host_main();
    return ZM_OK;
}

static zm_status wait_(zm_gpu *g, zm_error *err)
{
    (void)g;
    (void)err;
    return ZM_OK;
}

static zm_status record_begin(zm_gpu *g, zm_error *err)
{
    (void)g;
    (void)err;
    dev.recording = calloc(1, sizeof *dev.recording);
    ZM_ASSERT(dev.recording);
    return ZM_OK;
}

static zm_status record_end(zm_gpu *g, void **out, zm_error *err)
{
    (void)g;
    (void)err;
    *out = dev.recording;
    dev.recording = NULL;
    return ZM_OK;
}

static zm_status replay(zm_gpu *g, void *r, zm_error *err)
{
    (void)g;
    (void)err;
    const record *of = r;
    dev.count.replays++;
    protect(true);
    for (int i = 0; i < of->n; i++)
        if (of->line[i].kind == PRODUCT)
            multiply(&of->line[i].product);
        else if (of->line[i].kind == CONVOLUTION)
            convolve_(&of->line[i].convolution);
        else
            zm_gpu_host_kernel(of->line[i].kernel)(&of->line[i].node);
    protect(false);
    return ZM_OK;
}

static void record_free(zm_gpu *g, void *r)
{
    (void)g;
    record *of = r;
    free(of->line);
    free(of);
}

static size_t room(zm_gpu *g)
{
    (void)g;
    return dev.most ? dev.most - dev.bytes : (size_t)1 << 30;
}

void zm_gpu_host_do(const zm_gpu_host_work *w)
{
    if (w->fn) { /* on the host: the device's memory stays closed */
        w->fn(w->user);
        return;
    }
    protect(true);
    memcpy(w->to, w->from, w->bytes);
    protect(false);
}

void zm_gpu_host_poison(void *at, size_t bytes)
{
    protect(true);
    memset(at, 0x7f, bytes);
    protect(false);
}

void zm_gpu_host_copies(const void *to, size_t bytes)
{
    ZM_ASSERT(holds(to, bytes));
    dev.count.copies++;
    dev.count.copy_bytes += bytes;
}

static const zm_gpu_fns fns = {
    .alloc = host_alloc,
    .release = host_release,
    .host_alloc = pinned_alloc,
    .host_release = pinned_release,
    .put = put,
    .get = get,
    .launch = launch,
    .product = product,
    .convolve = convolve,
    .wait = wait_,
    .record_begin = record_begin,
    .record_end = record_end,
    .replay = replay,
    .record_free = record_free,
    .room = room,
    .mark_new = zm_gpu_host_mark_new,
    .mark_free = zm_gpu_host_mark_free,
    .mark = zm_gpu_host_mark,
    .await = zm_gpu_host_await,
    .call = zm_gpu_host_call,
    .put_on = zm_gpu_host_put_on,
};

void zm_gpu_host_install(int pieces)
{
    zm_error err = {0};
    for (int c = 0; c < 256; c++)
        dev.e4m3_value[c] = zm_f8_e4m3_to_f32((uint8_t)c);
    dev.pieces = pieces == 1;
    dev.open = pieces == 2;
    dev.gpu = (zm_gpu){.fns = &fns, .name = "the host", .total_bytes = (size_t)1 << 34};
    zm_cuda_install(&dev.gpu, false, pieces == 1 ? 4096 : 0);
    ZM_ASSERT(!zm_backend_use(ZM_DEVICE_CUDA, false, &err));
}

void zm_gpu_host_e4m3(zm_gpu_host_e4m3_kind kind)
{
    dev.e4m3 = kind;
}

void zm_gpu_host_convolves(zm_gpu_host_conv_kind kind)
{
    dev.conv = kind;
    dev.convolved = false;
}

zm_gpu_host_counts zm_gpu_host_count(void)
{
    dev.count.bytes = dev.bytes;
    return dev.count;
}

void zm_gpu_host_memory(size_t bytes)
{
    dev.most = bytes;
}
