/* Running a finished graph on a device.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_BACKEND_H
#define ZM_BACKEND_BACKEND_H

#include "tensor/tensor.h"

typedef struct zm_exec zm_exec;

/* Of products with weights, where this is faster and loses little (coarse.h has the rule).  One row each: enum, name.
 *  - int8, on the CPU: linear maps and convolutions on bytes.  Their weights are quantised in zm_exec_new, once: they must
 *    be there then and not change afterwards.
 *  - bf16, on the CPU: operands of products are rounded to it on the way, sums and all that is kept are f32; weights may
 *    change and have gradients.  Narrow products (gemm_matmul.c), convolutions and attention stay f32.
 *  - fp8, on a card beside bf16: linear maps on 8-bit floats (cuda/fp8.h).  Weights are quantised in the first run, and
 *    after zm_backend_changed again. */
#define ZM_PRECISION_TABLE(X)                                                                                          \
    X(ZM_PRECISION_F32, "f32")                                                                                         \
    X(ZM_PRECISION_INT8, "int8")                                                                                       \
    X(ZM_PRECISION_FP8, "fp8")                                                                                         \
    X(ZM_PRECISION_BF16, "bf16")
typedef enum {
#define ZM_PRECISION_ENUM(code, name) code,
    ZM_PRECISION_TABLE(ZM_PRECISION_ENUM)
#undef ZM_PRECISION_ENUM
        ZM_PRECISION_COUNT
} zm_precision;
const char *zm_precision_name(zm_precision p);
bool zm_precision_parse(zm_precision *out, const char *name);
/* Whether the default device runs graphs in it.  ZM_E_UNSUPPORTED: one sentence says what would. */
ZM_MUST zm_status zm_precision_check(zm_precision p, zm_error *err);
bool zm_precision_runs(zm_precision p);
/* NULL; or a sentence, for people, of a precision that runs here with the same numbers but not faster than f32. */
const char *zm_precision_caution(zm_precision p);

/* Where a graph runs.  The default is the CPU until zm_backend_use says otherwise. */
typedef enum { ZM_DEVICE_DEFAULT, ZM_DEVICE_CPU, ZM_DEVICE_CUDA } zm_device;

/* One row for each name that people give a device and its arithmetic: name, device, whether operands of products are
 * rounded to bf16, precision, and what help says of it. */
#define ZM_DEVICE_TABLE(X)                                                                                             \
    X("cpu", ZM_DEVICE_CPU, false, ZM_PRECISION_F32, "")                                                               \
    X("cuda", ZM_DEVICE_CUDA, true, ZM_PRECISION_F32, ": products of bf16")                                            \
    X("cuda-f32", ZM_DEVICE_CUDA, false, ZM_PRECISION_F32, ": without bf16")                                           \
    X("cuda-fp8", ZM_DEVICE_CUDA, true, ZM_PRECISION_FP8, ": linear maps of clips on 8-bit floats")
typedef struct zm_device_row {
    const char *name;
    zm_device device;
    bool bf16;
    zm_precision precision; /* of clips; what else runs graphs has F32 only */
} zm_device_row;
/* NULL: no device has that name. */
const zm_device_row *zm_device_find(const char *name);

typedef struct zm_exec_options {
    zm_device device;
    /* Of inputs and outputs of a graph on another device than the CPU: ->data is memory of the host, brought over at the
     * beginning of a run and brought back at its end.  true: outputs stay until zm_exec_read asks for them. */
    bool outputs_stay;
    bool reference_only; /* plain loops of the op descriptors: what every kernel is held to */
    /* Bytes of external leaves in mapped files that may be resident at a time; 0 and SIZE_MAX: all of them.  As many
     * as fit stay; the others are read ahead of their use, run after run, and dropped after it.  On a card: of all
     * external leaves but states, on the card; 0 and SIZE_MAX: as many as it has room for (cuda/ring.h). */
    size_t resident_bytes;
    zm_precision precision;
} zm_exec_options;

/* What running a graph takes, known without allocating it. */
typedef struct zm_exec_size {
    size_t work;   /* planned memory and the kernels' scratch */
    size_t kept;   /* weights that kernels keep in a form of their own (int8, fp8); beside `work` */
    size_t mapped; /* external leaves that may stay in their files (those without data count as mapped) */
    size_t window; /* the least resident_bytes that works: the largest leaf with the one that follows it; on a card with
                    * the small ones that stay */
} zm_exec_size;
/* g: finished; its external leaves need no data yet.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_exec_measure(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err);

/* Plan memory for g (finished, borrowed until free), choose a kernel for every node and prepare it.
 * ZM_E_NOMEM: the plan does not fit in memory; ZM_E_MISSING: a weight that int8 wants now has no data;
 * ZM_E_UNSUPPORTED: the device does not run this precision (zm_precision_check).
 * opt NULL: defaults. */
ZM_MUST zm_status zm_exec_new(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err);
void zm_exec_free(zm_exec *x);
/* Run all nodes once.  Inputs were written before through zm_exec_write or ->data (one of them, for the life of x);
 * outputs are read after.  Allocates nothing.  One thread at a time per exec; work inside is spread over OpenMP threads. */
ZM_MUST zm_status zm_exec_run(zm_exec *x, zm_error *err);
/* Copy a whole tensor between the host and the device. */
void zm_exec_write(zm_exec *x, zm_tensor *t, const void *host);
void zm_exec_read(zm_exec *x, const zm_tensor *t, void *host);
/* Bytes of planned memory, scratch, and weights that kernels keep. */
size_t zm_exec_bytes(const zm_exec *x);
/* Name of the kernel chosen for node id ("reference", ...), for tests, bench and logs. */
const char *zm_exec_kernel(const zm_exec *x, int id);
/* Seconds spent in each node accumulate into seconds[id] during runs when set (NULL: off); for bench. */
void zm_exec_profile(zm_exec *x, double *seconds);

/* Device of every exec from now on that asks for the default; to be called before the first one.  bf16: operands of
 * products are rounded to it where the device is fast so (sums, norms, softmax and what is kept stay f32).
 * ZM_E_UNSUPPORTED: there is no such device here; the sentence says what is missing. */
ZM_MUST zm_status zm_backend_use(zm_device device, bool bf16, zm_error *err);
zm_device zm_backend_device(void);
/* A sentence part for reports: "cpu" or the name of the card. */
const char *zm_backend_name(void);
/* Libraries that it works with, for reports: "cuBLASLt, cuDNN 9.19.0", "no cuBLASLt, no cuDNN"; "" on the CPU. */
const char *zm_backend_libraries(void);
/* What its products of f32 are computed in: "f32" or "bf16". */
const char *zm_backend_arithmetic(void);
/* Bytes of the default device that are free; 0 on the CPU, which base/mapfile.h knows. */
size_t zm_backend_room(void);
/* External memory was written by the host: copies of it on devices are old.  Nothing to do on the CPU. */
void zm_backend_changed(const void *data);
/* External memory that a device updated is made as new on the host.  Nothing to do on the CPU. */
void zm_backend_fetch(const void *data);

#endif
