/* zouma bench quant: errors of a round trip beside those of ggml's published rules, bits, and speed of both ways.
 * SPDX-License-Identifier: MIT */
#include "app/bench_quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/widen.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "base/quant.h"
#include "base/rng.h"
#include "format/weights.h"

enum { NORMALS = 1 << 22, MOST = 1 << 24, PIECE = 1 << 14, RUNS_LEAST = 3 };

static const zm_dtype types[] = {ZM_F16,  ZM_BF16, ZM_F8_E4M3, ZM_F8_E5M2, ZM_Q8_0, ZM_Q6_K, ZM_Q5_1,
                                 ZM_Q5_0, ZM_Q5_K, ZM_Q4_1,    ZM_Q4_0,    ZM_Q4_K, ZM_Q3_K, ZM_Q2_K};

/* Values, and room for them in any type and back. */
typedef struct values {
    float *x, *y;
    char *stored;
    size_t n; /* a multiple of 256 */
    char what[96];
} values;

static void values_free(values *v)
{
    free(v->x);
    free(v->y);
    free(v->stored);
}

static zm_status values_new(values *v, size_t n, zm_error *err)
{
    v->n = n;
    v->x = calloc(n, sizeof *v->x);
    v->y = calloc(n, sizeof *v->y);
    v->stored = calloc(n, 2);
    if (v->x && v->y && v->stored)
        return ZM_OK;
    values_free(v);
    return zm_fail(err, ZM_E_NOMEM, "out of memory for %zu weights", n);
}

typedef enum { QUANTISE, DEQUANTISE, PUBLISHED } way;

static void pass(const values *v, zm_dtype t, way w)
{
    size_t elems = zm_dtype_block_elems(t), bytes = zm_dtype_block_bytes(t);
#pragma omp parallel for schedule(dynamic)
    for (size_t at = 0; at < v->n; at += PIECE) {
        size_t some = v->n - at < PIECE ? v->n - at : PIECE;
        char *stored = v->stored + at / elems * bytes;
        if (w == QUANTISE)
            zm_dtype_from_f32(stored, v->x + at, t, some);
        else if (w == DEQUANTISE)
            zm_widen()(v->y + at, stored, t, some);
        else
            zm_quant_published(v->y + at, v->x + at, t, some);
    }
}

/* Least seconds of a pass: other programs can only make it longer. */
static double seconds_of(const zm_bench *b, const values *v, zm_dtype t, way w)
{
    double best = INFINITY, start = zm_now();
    for (int i = 0; i < RUNS_LEAST || zm_now() - start < 0.1 * b->seconds; i++) {
        double at = zm_now();
        pass(v, t, w);
        best = fmin(best, zm_now() - at);
    }
    return best;
}

/* Root mean square of y - x; of x alone in *size. */
static double error_of(const values *v, double *size)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < v->n; i++) {
        double d = (double)v->y[i] - (double)v->x[i];
        sum += d * d;
        square += (double)v->x[i] * (double)v->x[i];
    }
    *size = sqrt(square / (double)v->n);
    return sqrt(sum / (double)v->n);
}

static void measure(zm_bench *b, const values *v, zm_dtype t)
{
    double size, quantise = seconds_of(b, v, t, QUANTISE), dequantise = seconds_of(b, v, t, DEQUANTISE);
    double f32 = 4e-9 * (double)v->n;
    zm_bench_keep(b, "quant", zm_dtype_name(t), dequantise, 0, v->what);
    zm_bench_errors e = {.bits = 8.0 * (double)zm_dtype_block_bytes(t) / (double)zm_dtype_block_elems(t),
                         .rmse = error_of(v, &size),
                         .published_rmse = NAN,
                         .quantise_gbs = f32 / quantise,
                         .dequantise_gbs = f32 / dequantise};
    if (zm_dtype_is_quantised(t)) {
        pass(v, t, PUBLISHED);
        e.published_rmse = error_of(v, &size);
    }
    e.relative = e.rmse / size;
    e.published_relative = e.published_rmse / size;
    if (b->n && !strcmp(b->row[b->n - 1].name, "quant"))
        b->row[b->n - 1].errors = e;
}

static bool is_matrix(const zm_weight *t)
{
    return t->rank == 2 && zm_dtype_is_weight(t->dtype) && t->dim[1] % 256 == 0 && zm_weight_elems(t) <= MOST;
}

/* The matrices of MODEL/dit.gguf, one after the other; v->n is 0 when there are none. */
static zm_status read_matrices(values *v, const char *model, zm_error *err)
{
    char *path = zm_path_join(model, "dit.gguf");
    zm_weights *w = NULL;
    zm_status s = ZM_OK;
    size_t n = 0, count = 0;
    *v = (values){0};
    if (path && zm_path_is_file(path))
        s = zm_weights_open(&w, path, err);
    for (size_t i = 0; w && i < zm_weights_count(w); i++)
        if (is_matrix(zm_weights_at(w, i)) && n + zm_weight_elems(zm_weights_at(w, i)) <= MOST) {
            n += zm_weight_elems(zm_weights_at(w, i));
            count++;
        }
    if (!s && n)
        s = values_new(v, n, err);
    for (size_t i = 0, at = 0; !s && at < n; i++) {
        const zm_weight *t = zm_weights_at(w, i);
        if (!is_matrix(t) || at + zm_weight_elems(t) > MOST)
            continue;
        zm_dtype_to_f32(v->x + at, t->data, t->dtype, zm_weight_elems(t));
        at += zm_weight_elems(t);
    }
    snprintf(v->what, sizeof v->what, "%zu matrices of the bundled transformer, %zu weights", count, n);
    zm_weights_free(w);
    free(path);
    return s;
}

zm_status zm_bench_quant(zm_bench *b, zm_error *err)
{
    values v = {0};
    zm_status s = values_new(&v, NORMALS, err);
    if (s)
        return s;
    zm_rng r = zm_rng_init(17, 17);
    zm_rng_normals(&r, v.x, v.n);
    snprintf(v.what, sizeof v.what, "normal, %d weights", NORMALS);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        measure(b, &v, types[i]);
    values_free(&v);
    if (!b->model)
        return ZM_OK;
    s = read_matrices(&v, b->model, err);
    for (size_t i = 0; !s && v.n && i < sizeof types / sizeof *types; i++)
        measure(b, &v, types[i]);
    values_free(&v);
    return s;
}

void zm_bench_quant_print(const zm_bench *b)
{
    const char *what = "";
    for (int i = 0; i < b->n; i++) {
        const zm_bench_row *r = &b->row[i];
        const zm_bench_errors *e = &r->errors;
        if (!(e->bits > 0))
            continue;
        if (strcmp(what, r->shape) != 0) {
            what = r->shape;
            printf("%s\n%-8s %6s %10s %10s %14s %9s %15s %17s\n", what, "dtype", "bits", "RMSE", "relative",
                   "published rule", "of it", "quantise GB/s", "dequantise GB/s");
        }
        printf("%-8s %6.3f %10.3g %10.3g", r->dtype, e->bits, e->rmse, e->relative);
        if (!(e->published_rmse > 0))
            printf(" %14s %9s", "-", "-");
        else
            printf(" %14.3g %9.3f", e->published_relative, e->rmse / e->published_rmse);
        printf(" %15.2f %17.1f\n", e->quantise_gbs, e->dequantise_gbs);
    }
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *zm_bench_quant_json(const zm_bench_row *r)
{
    const zm_bench_errors *e = &r->errors;
    return json_pack("{s:f, s:f, s:o, s:o, s:o, s:f, s:f}", "bits_per_weight", e->bits, "rmse", e->rmse,
                     "relative_error", number(e->relative), "published_rmse", number(e->published_rmse),
                     "published_relative_error", number(e->published_relative), "quantise_gbps", e->quantise_gbs,
                     "dequantise_gbps", e->dequantise_gbs);
}
