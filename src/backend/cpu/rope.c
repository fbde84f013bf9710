/* Rotary embedding: tokens spread over threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"
#include "backend/cpu/simd_kernels.h"
#include "ops/rope.h"

enum { WIDEST = 512 };

static void rope_range(void *ctx, int64_t begin, int64_t end)
{
    const zm_tensor *t = ctx;
    const float *x = t->in[0]->data, *cos = t->in[1]->data, *sin = t->in[2]->data;
    float *y = t->data, work[2 * WIDEST], sign = t->attr.i[0] ? -1.0F : 1.0F;
    int64_t N = zm_dim(t, 1), H = zm_dim(t, 2), d = zm_dim(t, 3);
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i % N * (d / 2);
        zm_elementwise()->rope(y + i * H * d, x + i * H * d, cos + at, sin + at, sign, H, d, work);
    }
}

static void run(const zm_tensor *node, void *state, void *scratch)
{
    (void)state, (void)scratch;
    int64_t each = zm_dim(node, 2) * zm_dim(node, 3);
    zm_parallel_ranges(zm_dim(node, 0) * zm_dim(node, 1), ZM_GRAIN / each > 1 ? ZM_GRAIN / each : 1, rope_range,
                       (void *)node);
}

static const char *decline(const zm_tensor *node)
{
    return zm_dim(node, 3) > WIDEST ? "heads are wider than 512" : NULL;
}

const zm_kernel zm_cpu_rope = {.op = &zm_op_rope, .name = "simd", .decline = decline, .run = run};
