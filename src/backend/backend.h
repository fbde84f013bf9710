/* Running a finished graph on a device.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_BACKEND_H
#define ZM_BACKEND_BACKEND_H

#include "tensor/tensor.h"

typedef struct zm_exec zm_exec;

/* Of linear maps and convolutions: int8 runs them on bytes where this is faster and loses little (cpu/int8_node.h has
 * the rule).  Their weights are quantised in zm_exec_new, once: they must be there then and not change afterwards. */
typedef enum { ZM_PRECISION_F32, ZM_PRECISION_INT8 } zm_precision;

typedef struct zm_exec_options {
    bool reference_only; /* plain loops of the op descriptors: what every kernel is held to */
    /* Bytes of external leaves in mapped files that may be resident at a time; 0 and SIZE_MAX: all of them.  As many
     * as fit stay; the others are read ahead of their use, run after run, and dropped after it. */
    size_t resident_bytes;
    zm_precision precision;
} zm_exec_options;

/* What running a graph takes, known without allocating it. */
typedef struct zm_exec_size {
    size_t work;   /* planned memory and the kernels' scratch: what zm_exec_bytes will say */
    size_t mapped; /* external leaves that may stay in their files (those without data count as mapped) */
    size_t window; /* the least resident_bytes that works: the largest leaf with the one that follows it */
} zm_exec_size;
/* g: finished; its external leaves need no data yet.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_exec_measure(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err);

/* Plan memory for g (finished, borrowed until free), choose a kernel for every node and prepare it.
 * ZM_E_NOMEM: the plan does not fit in memory.  opt NULL: defaults. */
ZM_MUST zm_status zm_exec_new(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err);
void zm_exec_free(zm_exec *x);
/* Run all nodes once.  Inputs were written before through zm_exec_write (or ->data on the CPU); outputs are read
 * after.  Allocates nothing.  One thread at a time per exec; work inside is spread over OpenMP threads. */
ZM_MUST zm_status zm_exec_run(zm_exec *x, zm_error *err);
/* Copy a whole tensor between the host and the device. */
void zm_exec_write(zm_exec *x, zm_tensor *t, const void *host);
void zm_exec_read(zm_exec *x, const zm_tensor *t, void *host);
/* Bytes of planned memory. */
size_t zm_exec_bytes(const zm_exec *x);
/* Name of the kernel chosen for node id ("reference", ...), for tests, bench and logs. */
const char *zm_exec_kernel(const zm_exec *x, int id);
/* Seconds spent in each node accumulate into seconds[id] during runs when set (NULL: off); for bench. */
void zm_exec_profile(zm_exec *x, double *seconds);

#endif
