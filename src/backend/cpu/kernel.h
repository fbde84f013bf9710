/* The contract of a CPU kernel: best first, a kernel that declines says why and the next one is asked.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CPU_KERNEL_H
#define ZM_BACKEND_CPU_KERNEL_H

#include "tensor/op.h"

typedef struct zm_kernel {
    const zm_op *op;
    const char *name;
    /* NULL: takes this node; otherwise the reason why not (logged at debug level). */
    const char *(*decline)(const zm_tensor *node);
    /* Optional: a node before this one that need not be computed, since the kernel reads that node's inputs instead.
     * It is chosen only where nothing else reads that node and no input of it is overwritten in between. */
    const zm_tensor *(*skips)(const zm_tensor *node);
    /* Optional: make what runs of this node share (primitives, packed shapes).  *scratch: bytes wanted in run,
     * from memory all nodes share.  node->data pointers are not valid yet. */
    zm_status (*prepare)(const zm_tensor *node, void **state, size_t *scratch, zm_error *err);
    void (*run)(const zm_tensor *node, void *state, void *scratch);
    void (*release)(void *state); /* optional */
    /* Optional, for kernels with weights in a form of their own: the bytes this will take, and making it, once, when
     * external leaves have their data.  run does not read in[1] then. */
    size_t (*keeps)(const void *state);
    zm_status (*load)(const zm_tensor *node, void *state, zm_error *err);
} zm_kernel;

extern const zm_kernel *const zm_cpu_kernels[];      /* NULL-terminated, best first for each op */
extern const zm_kernel *const zm_cpu_int8_kernels[]; /* asked before those where int8 is wanted */
extern const zm_kernel *const zm_cpu_bf16_kernels[]; /* and where bf16 is */

#endif
