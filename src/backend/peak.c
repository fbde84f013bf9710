/* The yardstick of measurements, on a card: several products that share their left operand, so that rounding it counts
 * little beside them.
 * SPDX-License-Identifier: MIT */
#include "backend/peak.h"

#include <stdlib.h>

#include "backend/backend.h"
#include "backend/cpu/peak.h"
#include "base/clock.h"
#include "ops/flops.h"
#include "ops/ops.h"

enum { LARGE = 8192, SMALL = 256, PRODUCTS = 4 };

static const size_t LARGE_BYTES = (size_t)1 << 31; /* what operands and results of the large ones take */

static zm_graph *products(void *weights, float *left, int64_t side)
{
    zm_graph *g = zm_graph_new();
    if (!g)
        return NULL;
    zm_tensor *a = zm_external(g, ZM_F32, ZM_SHAPE(side, side), left, "a");
    zm_tensor *b = zm_external(g, ZM_BF16, ZM_SHAPE(side, side), weights, "b");
    for (int i = 0; i < PRODUCTS; i++)
        zm_output(g, zm_matmul(g, a, b, false, i % 2));
    return g;
}

double zm_measure_peak(double seconds)
{
    if (zm_backend_device() == ZM_DEVICE_CPU)
        return zm_measure_sgemm_peak(seconds);
    zm_error ignored = {0};
    zm_exec *x = NULL;
    int64_t side = zm_backend_room() < LARGE_BYTES ? SMALL : LARGE;
    size_t n = (size_t)(side * side);
    float *left = calloc(n, sizeof *left);
    uint16_t *weights = calloc(n, sizeof *weights);
    zm_graph *g = left && weights ? products(weights, left, side) : NULL;
    zm_status s = g ? zm_graph_finish(g, &ignored) : ZM_E_NOMEM;
    double best = 0;
    for (size_t i = 0; !s && i < n; i++) { /* zeros would let the card run cooler than work does */
        left[i] = (float)((double)(i * 2654435761u % 2001) * 1e-3 - 1);
        weights[i] = zm_f32_to_bf16(left[i]);
    }
    if (!s)
        s = zm_exec_new(&x, g, &(zm_exec_options){.outputs_stay = true}, &ignored);
    for (double start = zm_now(); !s && (best <= 0 || zm_now() - start < seconds);) {
        double at = zm_now();
        s = zm_exec_run(x, &ignored);
        double rate = zm_graph_flops(g) / (zm_now() - at) * 1e-9;
        best = !s && rate > best ? rate : best;
    }
    zm_exec_free(x);
    zm_graph_free(g);
    free(left);
    free(weights);
    return best;
}
