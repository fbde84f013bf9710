/* What a device gives so that graphs run on it; backend.h has the contract of each function.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_EXEC_H
#define ZM_BACKEND_EXEC_H

#include "backend/backend.h"

typedef struct zm_exec_fns {
    zm_status (*measure)(zm_exec_size *out, zm_graph *g, const zm_exec_options *opt, zm_error *err);
    zm_status (*create)(zm_exec **out, zm_graph *g, const zm_exec_options *opt, zm_error *err);
    void (*free)(zm_exec *x);
    zm_status (*run)(zm_exec *x, zm_error *err);
    void (*write)(zm_exec *x, zm_tensor *t, const void *host);
    void (*read)(zm_exec *x, const zm_tensor *t, void *host);
    size_t (*bytes)(const zm_exec *x);
    const char *(*kernel)(const zm_exec *x, int id);
    void (*profile)(zm_exec *x, double *seconds);
} zm_exec_fns;

struct zm_exec { /* the first member of every device's own */
    const zm_exec_fns *fns;
};

extern const zm_exec_fns zm_cpu_exec, zm_cuda_exec;

#endif
