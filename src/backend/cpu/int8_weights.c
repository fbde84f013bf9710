/* Quantising weights to signed bytes and packing them into panels.
 * SPDX-License-Identifier: MIT */
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "backend/cpu/int8.h"

static int64_t vectors_of(const zm_int8_isa *isa, int64_t n)
{
    return (n + isa->lanes - 1) / isa->lanes;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Bytes of the panels, and of each array with a number a column. */
static size_t panel_bytes(const zm_int8_isa *isa, int64_t n, int64_t k)
{
    return rounded((size_t)(vectors_of(isa, n) * isa->lanes * k));
}

static size_t column_bytes(const zm_int8_isa *isa, int64_t n)
{
    return rounded((size_t)(vectors_of(isa, n) * isa->lanes) * sizeof(float));
}

size_t zm_int8_weights_bytes(const zm_int8_isa *isa, int64_t n, int64_t k)
{
    return panel_bytes(isa, n, k) + 2 * column_bytes(isa, n);
}

void zm_int8_weights_init(zm_int8_weights *w, const zm_int8_isa *isa, int64_t n, int64_t k, void *memory)
{
    ZM_ASSERT(k % ZM_INT8_STEP == 0 && k <= ZM_INT8_K_MAX);
    char *at = memory;
    *w = (zm_int8_weights){.isa = isa, .n = n, .k = k, .panels = memory};
    w->scale = (float *)(at + panel_bytes(isa, n, k));
    w->sum = (int32_t *)(at + panel_bytes(isa, n, k) + column_bytes(isa, n));
}

int64_t zm_int8_panel_start(const zm_int8_weights *w, int64_t p, int64_t *panels)
{
    int64_t vectors = vectors_of(w->isa, w->n);
    *panels = (vectors + w->isa->vectors - 1) / w->isa->vectors;
    return vectors * p / *panels * w->isa->lanes;
}

/* The panel of column j: its first byte and its width. */
static int8_t *panel_of(const zm_int8_weights *w, int64_t j, int64_t *first, int64_t *width)
{
    int64_t panels, p;
    zm_int8_panel_start(w, 0, &panels);
    p = j / w->isa->lanes * panels / vectors_of(w->isa, w->n);
    while (zm_int8_panel_start(w, p + 1, &panels) <= j)
        p++;
    *first = zm_int8_panel_start(w, p, &panels);
    *width = zm_int8_panel_start(w, p + 1, &panels) - *first;
    return w->panels + *first * w->k;
}

typedef float four __attribute__((vector_size(16)));
typedef int32_t int_four __attribute__((vector_size(16)));
typedef float loose_four __attribute__((vector_size(16), aligned(4), may_alias));

/* The largest sum of weights of one sign that meet in a 16-bit sum (I1). */
static float fullest_lane(const float *x, int64_t k, float inverse)
{
    float most = 0;
    for (int64_t at = 0; at < k; at += ZM_INT8_STEP) {
        four all = {0}, sizes = {0}; /* of the step's four quarters: sums, and sums without signs */
        for (int i = 0; i < ZM_INT8_STEP; i += 4) {
            four q = *(const loose_four *)(x + at + i) * inverse + 12582912.0F - 12582912.0F; /* to nearest even */
            all += q;
            sizes += (four)((int_four)q & INT32_MAX);
        }
        for (int lane = 0; lane < 4; lane += 2) {
            float signless = sizes[lane] + sizes[lane + 1], sum = fabsf(all[lane] + all[lane + 1]);
            most = signless + sum > most ? signless + sum : most;
        }
    }
    return most / 2;
}

/* NaN becomes 0. */
static int8_t quantised(float v)
{
    if (!(fabsf(v) <= 127))
        v = v > 0 ? 127 : v < 0 ? -127 : 0;
    return (int8_t)(v + 12582912.0F - 12582912.0F);
}

void zm_int8_weights_set(zm_int8_weights *w, int64_t j, const float *column)
{
    float most = 0, lane;
    for (int64_t k = 0; k < w->k; k++)
        most = fabsf(column[k]) > most ? fabsf(column[k]) : most;
    bool numbers = most > 1e-30F && most <= FLT_MAX; /* else all become 0; infinities make what follows NaN */
    float scale = numbers || most > 1 ? most / 127 : 1;
    while (numbers && (lane = fullest_lane(column, w->k, 1 / scale)) > ZM_INT8_LANE)
        scale *= lane > ZM_INT8_LANE + 1 ? (lane - 0.5F) / ZM_INT8_LANE : 1.002F;
    float inverse = numbers ? 1 / scale : 0;
    int64_t first, width;
    int8_t *to = panel_of(w, j, &first, &width) + (j - first) * 4;
    int32_t sum = 0;
    for (int64_t k = 0; k < w->k; k += 4, to += 4 * width)
        for (int i = 0; i < 4; i++)
            sum += to[i] = quantised(column[k + i] * inverse);
    w->scale[j] = scale;
    w->sum[j] = sum;
}

int8_t zm_int8_weights_at(const zm_int8_weights *w, int64_t j, int64_t k)
{
    int64_t first, width;
    const int8_t *from = panel_of(w, j, &first, &width);
    return from[(k / 4 * width + j - first) * 4 + k % 4];
}
