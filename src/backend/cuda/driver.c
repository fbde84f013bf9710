/* The CUDA driver, opened when the program runs: memory, launches, recorded launches.
 *
 * Nothing of CUDA is linked: libcuda comes with the driver, and the kernels lie in this program as data.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/driver.h"

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define FILES(X)                                                                                                       \
    X(attention) X(conv) X(draw) X(elementwise) X(flash) X(fp8) X(layout) X(lookup) X(norm) X(optim) X(product)
#define FATBIN(name) extern const char zm_cuda_fatbin_##name[];
FILES(FATBIN)
#undef FATBIN

/* Every function of the driver that is used: its type's name here, the library's symbol. */
#define CALLS(X)                                                                                                       \
    X(cuInit, "cuInit")                                                                                                \
    X(cuDriverGetVersion, "cuDriverGetVersion")                                                                        \
    X(cuGetErrorString, "cuGetErrorString")                                                                            \
    X(cuDeviceGetCount, "cuDeviceGetCount")                                                                            \
    X(cuDeviceGet, "cuDeviceGet")                                                                                      \
    X(cuDeviceGetName, "cuDeviceGetName")                                                                              \
    X(cuDeviceGetAttribute, "cuDeviceGetAttribute")                                                                    \
    X(cuDeviceTotalMem, "cuDeviceTotalMem_v2")                                                                         \
    X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain")                                                            \
    X(cuCtxSetCurrent, "cuCtxSetCurrent")                                                                              \
    X(cuModuleLoadData, "cuModuleLoadData")                                                                            \
    X(cuModuleGetFunction, "cuModuleGetFunction")                                                                      \
    X(cuStreamCreate, "cuStreamCreate")                                                                                \
    X(cuStreamSynchronize, "cuStreamSynchronize")                                                                      \
    X(cuStreamWaitEvent, "cuStreamWaitEvent")                                                                          \
    X(cuEventCreate, "cuEventCreate")                                                                                  \
    X(cuEventRecord, "cuEventRecord")                                                                                  \
    X(cuEventDestroy, "cuEventDestroy_v2")                                                                             \
    X(cuLaunchHostFunc, "cuLaunchHostFunc")                                                                            \
    X(cuMemAlloc, "cuMemAlloc_v2")                                                                                     \
    X(cuMemFree, "cuMemFree_v2")                                                                                       \
    X(cuMemHostAlloc, "cuMemHostAlloc")                                                                                \
    X(cuMemFreeHost, "cuMemFreeHost")                                                                                  \
    X(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2")                                                                       \
    X(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2")                                                                       \
    X(cuMemGetInfo, "cuMemGetInfo_v2")                                                                                 \
    X(cuLaunchKernel, "cuLaunchKernel")                                                                                \
    X(cuStreamBeginCapture, "cuStreamBeginCapture_v2")                                                                 \
    X(cuStreamEndCapture, "cuStreamEndCapture")                                                                        \
    X(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags")                                                      \
    X(cuGraphLaunch, "cuGraphLaunch")                                                                                  \
    X(cuGraphDestroy, "cuGraphDestroy")                                                                                \
    X(cuGraphExecDestroy, "cuGraphExecDestroy")

typedef struct driver {
#define FIELD(name, symbol) __typeof__(&name) name##_;
    CALLS(FIELD)
#undef FIELD
} driver;

typedef struct device {
    zm_gpu gpu;
    driver call;
    CUcontext context;
    CUstream stream;                     /* ZM_GPU_MAIN */
    CUstream beside[ZM_GPU_STREAMS - 1]; /* the others, from 1 on */
    CUfunction kernel[ZM_GPU_KERNEL_COUNT];
    zm_blas *blas;
    zm_dnn *dnn;
} device;

enum { WORKSPACE_BYTES = 64 << 20, EACH_T = 256, BLOCKS_MOST = 1 << 30 };

static const int block_threads[] = {
#define THREADS(name, threads) threads,
    ZM_GPU_KERNEL_TABLE(THREADS)
#undef THREADS
};
static const char *const kernel_name[] = {
#define NAME(name, threads) #name,
    ZM_GPU_KERNEL_TABLE(NAME)
#undef NAME
};

static bool find_names(void *library, const char *const *name, void **to, int n)
{
    for (int i = 0; i < n; i++)
        if (!(to[i] = dlsym(library, name[i]))) {
            zm_log(ZM_LOG_DEBUG, "%s is missing", name[i]);
            return false;
        }
    return true;
}

bool zm_library_open(const char *const *file, int files, const char *const *name, void **to, int n)
{
    void *library = NULL;
    for (int i = 0; i < files && !library; i++)
        library = dlopen(file[i], RTLD_NOW | RTLD_LOCAL);
    return library && find_names(library, name, to, n);
}

static device *device_of(zm_gpu *g)
{
    device *d = (device *)g;
    d->call.cuCtxSetCurrent_(d->context); /* any thread of the program may come */
    return d;
}

static zm_status check(const device *d, CUresult r, const char *what, zm_error *err)
{
    if (r == CUDA_SUCCESS)
        return ZM_OK;
    const char *text = NULL;
    d->call.cuGetErrorString_(r, &text);
    return zm_fail(err, r == CUDA_ERROR_OUT_OF_MEMORY ? ZM_E_NOMEM : ZM_E_IO, "%s: %s: %s (%d)", d->gpu.name, what,
                   text ? text : "unknown error", (int)r);
}

static zm_status driver_alloc(zm_gpu *g, void **out, size_t bytes, zm_error *err)
{
    device *d = device_of(g);
    CUdeviceptr at = 0;
    size_t free_bytes = 0, total = 0;
    *out = NULL;
    CUresult r = d->call.cuMemAlloc_(&at, bytes);
    if (r == CUDA_ERROR_OUT_OF_MEMORY) {
        d->call.cuMemGetInfo_(&free_bytes, &total);
        return zm_fail(err, ZM_E_NOMEM,
                       "%s has no room for %.0f MB: %.0f of its %.0f MB are free; a smaller size, fewer frames or "
                       "--device cpu needs less of it",
                       g->name, 1e-6 * (double)bytes, 1e-6 * (double)free_bytes, 1e-6 * (double)total);
    }
    *out = (void *)(uintptr_t)at;
    return check(d, r, "memory", err);
}

static void driver_release(zm_gpu *g, void *at)
{
    device_of(g)->call.cuMemFree_((CUdeviceptr)(uintptr_t)at);
}

static zm_status driver_host_alloc(zm_gpu *g, void **out, size_t bytes, zm_error *err)
{
    device *d = device_of(g);
    *out = NULL;
    return check(d, d->call.cuMemHostAlloc_(out, bytes, CU_MEMHOSTALLOC_PORTABLE), "pinned memory", err);
}

static void driver_host_release(zm_gpu *g, void *at)
{
    device_of(g)->call.cuMemFreeHost_(at);
}

static zm_status driver_put(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuMemcpyHtoDAsync_((CUdeviceptr)(uintptr_t)to, from, bytes, d->stream), "copy", err);
}

static zm_status driver_wait(zm_gpu *g, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuStreamSynchronize_(d->stream), "work", err);
}

static zm_status driver_get(zm_gpu *g, void *to, const void *from, size_t bytes, zm_error *err)
{
    device *d = device_of(g);
    CUresult r = d->call.cuMemcpyDtoHAsync_(to, (CUdeviceptr)(uintptr_t)from, bytes, d->stream);
    return r ? check(d, r, "copy", err) : driver_wait(g, err);
}

static zm_status driver_launch(zm_gpu *g, zm_gpu_kernel k, const zm_gpu_node *n, zm_error *err)
{
    device *d = device_of(g);
    int threads = block_threads[k] ? block_threads[k] : EACH_T;
    int64_t blocks = block_threads[k] ? n->count : (n->count + EACH_T - 1) / EACH_T;
    zm_gpu_node copy = *n;
    void *argument[] = {&copy};
    blocks = blocks < BLOCKS_MOST ? blocks : BLOCKS_MOST;
    CUresult r = d->call.cuLaunchKernel_(d->kernel[k], (unsigned)blocks, 1, 1, (unsigned)threads, 1, 1, 0, d->stream,
                                         argument, NULL);
    return check(d, r, kernel_name[k], err);
}

static zm_status driver_product(zm_gpu *g, const zm_gpu_product *p, bool *finished, zm_error *err)
{
    device *d = device_of(g);
    *finished = false;
    if (!d->blas)
        return zm_fail(err, ZM_E_UNSUPPORTED, "cuBLASLt is not there");
    return zm_blas_product(d->blas, d->stream, p, finished, err);
}

static zm_status driver_convolve(zm_gpu *g, const zm_gpu_convolution *p, bool *finished, zm_error *err)
{
    device *d = device_of(g);
    *finished = false;
    if (!d->dnn)
        return zm_fail(err, ZM_E_UNSUPPORTED, "cuDNN is not there");
    return zm_dnn_convolve(d->dnn, d->stream, p, finished, err);
}

static zm_status driver_record_begin(zm_gpu *g, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuStreamBeginCapture_(d->stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "recording", err);
}

static zm_status driver_record_end(zm_gpu *g, void **record, zm_error *err)
{
    device *d = device_of(g);
    CUgraph graph = NULL;
    CUgraphExec ready = NULL;
    *record = NULL;
    CUresult r = d->call.cuStreamEndCapture_(d->stream, &graph);
    if (!r)
        r = d->call.cuGraphInstantiateWithFlags_(&ready, graph, 0);
    if (graph)
        d->call.cuGraphDestroy_(graph);
    *record = ready;
    return check(d, r, "recording", err);
}

static zm_status driver_replay(zm_gpu *g, void *record, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuGraphLaunch_((CUgraphExec)record, d->stream), "a recorded run", err);
}

static void driver_record_free(zm_gpu *g, void *record)
{
    device_of(g)->call.cuGraphExecDestroy_((CUgraphExec)record);
}

static size_t driver_room(zm_gpu *g)
{
    size_t bytes = 0, total;
    device_of(g)->call.cuMemGetInfo_(&bytes, &total);
    return bytes;
}

static CUstream stream_of(const device *d, zm_gpu_stream on)
{
    return on == ZM_GPU_MAIN ? d->stream : d->beside[on - 1];
}

static zm_status driver_mark_new(zm_gpu *g, void **mark, zm_error *err)
{
    device *d = device_of(g);
    CUevent event = NULL;
    CUresult r = d->call.cuEventCreate_(&event, CU_EVENT_DISABLE_TIMING);
    *mark = event;
    return check(d, r, "a mark", err);
}

static void driver_mark_free(zm_gpu *g, void *mark)
{
    device_of(g)->call.cuEventDestroy_((CUevent)mark);
}

static zm_status driver_mark(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuEventRecord_((CUevent)mark, stream_of(d, on)), "a mark", err);
}

static zm_status driver_await(zm_gpu *g, zm_gpu_stream on, void *mark, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuStreamWaitEvent_(stream_of(d, on), (CUevent)mark, 0), "a mark", err);
}

static zm_status driver_call(zm_gpu *g, zm_gpu_stream on, void (*fn)(void *user), void *user, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuLaunchHostFunc_(stream_of(d, on), fn, user), "work of the host", err);
}

static zm_status driver_put_on(zm_gpu *g, zm_gpu_stream on, void *to, const void *pinned, size_t bytes, zm_error *err)
{
    device *d = device_of(g);
    return check(d, d->call.cuMemcpyHtoDAsync_((CUdeviceptr)(uintptr_t)to, pinned, bytes, stream_of(d, on)), "copy",
                 err);
}

static const zm_gpu_fns fns = {
    .alloc = driver_alloc,
    .release = driver_release,
    .host_alloc = driver_host_alloc,
    .host_release = driver_host_release,
    .put = driver_put,
    .get = driver_get,
    .launch = driver_launch,
    .product = driver_product,
    .convolve = driver_convolve,
    .wait = driver_wait,
    .record_begin = driver_record_begin,
    .record_end = driver_record_end,
    .replay = driver_replay,
    .record_free = driver_record_free,
    .room = driver_room,
    .mark_new = driver_mark_new,
    .mark_free = driver_mark_free,
    .mark = driver_mark,
    .await = driver_await,
    .call = driver_call,
    .put_on = driver_put_on,
};

static zm_status load_driver(driver *out, zm_error *err)
{
    static const char *const names[] = {
#define SYMBOL(name, symbol) symbol,
        CALLS(SYMBOL)
#undef SYMBOL
    };
    enum { N = sizeof names / sizeof *names };
    void *at[N], *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "this machine has no NVIDIA driver (libcuda.so.1 is not found), so --device cuda cannot work; "
                       "the CPU does the same work (--device cpu)");
    if (!find_names(library, names, at, N))
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "the NVIDIA driver is too old for this build, which was made with CUDA %d.%d",
                       CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
    _Static_assert(sizeof *out == sizeof at, "one pointer for each name");
    memcpy(out, at, sizeof at);
    return ZM_OK;
}

static zm_status find_device(device *d, CUdevice *out, zm_error *err)
{
    int version = 0, count = 0, major = 0, minor = 0, khz = 0;
    CUresult r = d->call.cuInit_(0);
    if (!r)
        r = d->call.cuDeviceGetCount_(&count);
    if (r || !count)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "the NVIDIA driver finds no device here, so --device cuda cannot work; the CPU does the same "
                       "work (--device cpu)");
    d->call.cuDriverGetVersion_(&version);
    if (version / 1000 < CUDA_VERSION / 1000)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "the NVIDIA driver knows CUDA %d.%d and this build needs %d.0: update the driver, or use "
                       "--device cpu",
                       version / 1000, version % 1000 / 10, CUDA_VERSION / 1000);
    r = d->call.cuDeviceGet_(out, 0);
    if (!r)
        r = d->call.cuDeviceGetName_(d->gpu.name, (int)sizeof d->gpu.name, *out);
    if (!r)
        r = d->call.cuDeviceTotalMem_(&d->gpu.total_bytes, *out);
    if (!r)
        r = d->call.cuDeviceGetAttribute_(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, *out);
    if (!r)
        r = d->call.cuDeviceGetAttribute_(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, *out);
    if (!r && !d->call.cuDeviceGetAttribute_(&khz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, *out))
        d->gpu.clock_ghz = 1e-6 * khz;
    if (!r && major < 8)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s has compute capability %d.%d and this build needs 8.0 (Ampere) or newer; use --device cpu",
                       d->gpu.name, major, minor);
    return check(d, r, "device", err);
}

static zm_status load_kernels(device *d, zm_error *err)
{
    static const char *const image[] = {
#define IMAGE(name) zm_cuda_fatbin_##name,
        FILES(IMAGE)
#undef IMAGE
    };
    enum { N = sizeof image / sizeof *image };
    CUmodule module[N];
    for (int i = 0; i < N; i++) {
        zm_status s = check(d, d->call.cuModuleLoadData_(&module[i], image[i]), "kernels", err);
        if (s)
            return s;
    }
    for (int k = 0; k < ZM_GPU_KERNEL_COUNT; k++) {
        CUresult r = CUDA_ERROR_NOT_FOUND;
        for (int i = 0; i < N && r; i++)
            r = d->call.cuModuleGetFunction_(&d->kernel[k], module[i], kernel_name[k]);
        zm_status s = check(d, r, kernel_name[k], err);
        if (s)
            return s;
    }
    return ZM_OK;
}

/* Libraries share one workspace: their work is in order. */
static zm_status open_libraries(device *d, zm_error *err)
{
    void *workspace = NULL;
    char dnn[32] = "no cuDNN";
    zm_status s = driver_alloc(&d->gpu, &workspace, WORKSPACE_BYTES, err);
    if (!s)
        s = zm_blas_open(&d->blas, workspace, WORKSPACE_BYTES, err);
    if (!s)
        s = zm_dnn_open(&d->dnn, workspace, WORKSPACE_BYTES, err);
    if (!s && d->dnn)
        zm_dnn_version(d->dnn, dnn, sizeof dnn);
    snprintf(d->gpu.libraries, sizeof d->gpu.libraries, "%s, %s", d->blas ? "cuBLASLt" : "no cuBLASLt", dnn);
    if (!s && !d->blas)
        zm_log(ZM_LOG_WARN, "cuBLASLt is not found: products are made by plain kernels, many times slower");
    return s;
}

zm_status zm_gpu_open(zm_gpu **out, zm_error *err)
{
    *out = NULL;
    CUdevice which = 0;
    device *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a device");
    d->gpu.fns = &fns;
    zm_status s = load_driver(&d->call, err);
    if (!s)
        s = find_device(d, &which, err);
    if (!s)
        s = check(d, d->call.cuDevicePrimaryCtxRetain_(&d->context, which), "context", err);
    if (!s)
        s = check(d, d->call.cuCtxSetCurrent_(d->context), "context", err);
    if (!s)
        s = check(d, d->call.cuStreamCreate_(&d->stream, CU_STREAM_NON_BLOCKING), "stream", err);
    for (int i = 0; !s && i < ZM_GPU_STREAMS - 1; i++)
        s = check(d, d->call.cuStreamCreate_(&d->beside[i], CU_STREAM_NON_BLOCKING), "stream", err);
    if (!s)
        s = load_kernels(d, err);
    if (!s)
        s = open_libraries(d, err);
    if (s) {
        free(d);
        return s;
    }
    *out = &d->gpu;
    return ZM_OK;
}
