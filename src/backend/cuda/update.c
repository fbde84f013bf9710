/* Parameter updates on a CUDA device.
 * SPDX-License-Identifier: MIT */
#include "backend/update.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/address.h"
#include "backend/cuda/call.h"
#include "backend/cuda/device.h"
#include "backend/cuda/memory.h"

enum { STRETCH = 1 << 16, GROUPS_MAX = 64 };

typedef struct group {
    int64_t n, rows, columns;
    float *x, *next, *square, *mix; /* [n,rows,columns] twice, [n,rows,rows] twice */
} group;

struct zm_update {
    zm_exec *x;
    zm_gpu_call call;
    zm_error err;
    int slots;
    int64_t *stretches; /* of each slot */
    int64_t all_stretches;
    double *sums, *sums_home;
    float *matrix; /* room for one turned matrix */
    int64_t matrix_elems;
    group group[GROUPS_MAX];
    int groups;
    zm_gpu_copy **held;
    int n_held, held_cap;
};

static zm_status room(zm_update *u, void *out, size_t bytes, zm_error *err)
{
    void *at = NULL;
    zm_status s = u->call.gpu->fns->alloc(u->call.gpu, &at, bytes, err);
    memcpy(out, &at, sizeof at);
    return s;
}

zm_status zm_update_new(zm_update **out, zm_exec *x, int slots, const int64_t *elems, zm_error *err)
{
    *out = NULL;
    if (zm_backend_device() != ZM_DEVICE_CUDA)
        return ZM_OK;
    zm_update *u = calloc(1, sizeof *u);
    if (!u || !(u->stretches = calloc((size_t)slots + 1, sizeof *u->stretches))) {
        free(u);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    }
    u->x = x;
    u->slots = slots;
    u->call = (zm_gpu_call){.gpu = zm_cuda_device(), .compute = ZM_F32, .limit = zm_cuda_limit(), .err = &u->err};
    for (int i = 0; i < slots; i++)
        u->all_stretches += u->stretches[i] = (elems[i] + STRETCH - 1) / STRETCH;
    zm_status s = ZM_OK;
    if (!(u->sums_home = malloc(((size_t)u->all_stretches + 1) * sizeof *u->sums_home)))
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for the optimiser");
    if (!s)
        s = room(u, &u->sums, ((size_t)u->all_stretches + 1) * sizeof *u->sums, err);
    if (s)
        zm_update_free(u);
    else
        *out = u;
    return s;
}

void zm_update_free(zm_update *u)
{
    if (!u)
        return;
    zm_gpu *g = u->call.gpu;
    for (int i = 0; i < u->n_held; i++)
        zm_gpu_let_go(g, u->held[i]);
    for (int i = 0; i < u->groups; i++) {
        float *of[] = {u->group[i].x, u->group[i].next, u->group[i].square, u->group[i].mix};
        for (int k = 0; k < 4; k++)
            if (of[k])
                g->fns->release(g, of[k]);
    }
    if (u->matrix)
        g->fns->release(g, u->matrix);
    if (u->sums)
        g->fns->release(g, u->sums);
    free(u->sums_home);
    free(u->stretches);
    free(u->held);
    free(u);
}

zm_status zm_update_group(zm_update *u, int64_t n, int64_t rows, int64_t columns, zm_error *err)
{
    if (u->groups == GROUPS_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED, "more than %d sizes of matrices in the optimiser", GROUPS_MAX);
    group *g = &u->group[u->groups++];
    size_t wide = (size_t)(n * rows * columns) * 4, square = (size_t)(n * rows * rows) * 4;
    *g = (group){.n = n, .rows = rows, .columns = columns};
    zm_status s = room(u, &g->x, wide, err);
    s = s ? s : room(u, &g->next, wide, err);
    s = s ? s : room(u, &g->square, square, err);
    s = s ? s : room(u, &g->mix, square, err);
    if (!s && rows * columns > u->matrix_elems) {
        if (u->matrix)
            u->call.gpu->fns->release(u->call.gpu, u->matrix);
        u->matrix_elems = rows * columns;
        s = room(u, &u->matrix, (size_t)u->matrix_elems * 4, err);
    }
    return s;
}

/* The device's side of `n` floats of the host, held until the end; `writes`: it will be newer. */
static float *side(zm_update *u, float *host, int64_t n, bool writes)
{
    zm_gpu_copy *c = zm_gpu_copy_of(u->call.gpu, host);
    bool mine = false;
    for (int i = 0; c && i < u->n_held && !mine; i++)
        mine = u->held[i] == c;
    if (!mine && !u->call.status) {
        if (u->n_held == u->held_cap) {
            int cap = 2 * u->held_cap + 64;
            zm_gpu_copy **more = realloc(u->held, (size_t)cap * sizeof *more);
            if (!more) {
                u->call.status = zm_fail(&u->err, ZM_E_NOMEM, "out of memory for the optimiser");
                return NULL;
            }
            u->held = more;
            u->held_cap = cap;
        }
        u->call.status = zm_gpu_hold(&c, u->call.gpu, host, (size_t)n * 4, &u->err);
        if (!u->call.status)
            u->held[u->n_held++] = c;
    }
    if (!u->call.status)
        u->call.status = zm_gpu_copy_in(u->call.gpu, c, &u->err);
    if (u->call.status)
        return NULL;
    c->device_newer = c->device_newer || writes;
    return c->device;
}

static zm_gpu_view flat(const void *at, int64_t n)
{
    return zm_gpu_flat((void *)(uintptr_t)at, ZM_F32, n);
}

zm_status zm_update_squares(zm_update *u, zm_tensor *const *grad, double *sum, zm_error *err)
{
    zm_gpu *g = u->call.gpu;
    int64_t at = 0;
    u->call.status = ZM_OK;
    zm_error_clear(&u->err);
    for (int i = 0; i < u->slots; at += u->stretches[i++]) {
        if (!grad[i])
            continue;
        zm_gpu_node n = {.in = {flat(zm_cuda_address(u->x, grad[i]), zm_shape_elems(grad[i]->shape))},
                         .out = flat(u->sums + at, u->stretches[i]),
                         .i = {STRETCH}};
        zm_gpu_launch(&u->call, ZM_K_zm_gpu_sum_squares, &n, u->stretches[i]);
    }
    zm_status s = zm_update_end(u, err);
    if (!s)
        s = g->fns->get(g, u->sums_home, u->sums, (size_t)u->all_stretches * sizeof *u->sums, err);
    at = 0;
    for (int i = 0; i < u->slots; at += u->stretches[i++]) {
        sum[i] = 0;
        for (int64_t k = 0; !s && grad[i] && k < u->stretches[i]; k++)
            sum[i] += u->sums_home[at + k];
    }
    return s;
}

static int64_t bits(double v)
{
    int64_t i;
    memcpy(&i, &v, sizeof i);
    return i;
}

void zm_update_adamw(zm_update *u, const zm_tensor *grad, float *const p_m_v[3], double clip, double lr,
                     const double beta[2], double eps, double wd, int64_t step)
{
    int64_t n = zm_shape_elems(grad->shape);
    double mean = 1 - pow(beta[0], (double)step), square = 1 - pow(beta[1], (double)step);
    zm_gpu_node a = {.in = {flat(zm_cuda_address(u->x, grad), n), flat(side(u, p_m_v[1], n, true), n),
                            flat(side(u, p_m_v[2], n, true), n)},
                     .out = flat(side(u, p_m_v[0], n, true), n),
                     .i = {bits(beta[0]), bits(beta[1]), bits(clip)},
                     .f = {lr * wd, lr / mean, 1 / sqrt(square), eps}};
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_adamw, &a, n);
}

/* y = a x + b y, addresses of the device. */
static void axpby(zm_update *u, float *y, const float *x, int64_t n, double a, double b)
{
    zm_gpu_node f = {.in = {flat(x, n)}, .out = flat(y, n), .f = {a, b}};
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_axpby, &f, n);
}

void zm_update_average(zm_update *u, float *average, float *p, int64_t n, double decay)
{
    float *to = side(u, average, n, true);
    const float *from = side(u, p, n, false);
    if (!u->call.status)
        axpby(u, to, from, n, 1 - decay, decay);
}

/* [rows,columns] -> [columns,rows] */
static void turn(zm_update *u, float *to, const float *from, int64_t rows, int64_t columns)
{
    zm_gpu_node n = {.in = {flat(from, rows * columns)}, .out = flat(to, rows * columns), .i = {1, 0}};
    n.in[0].rank = n.out.rank = 2;
    n.in[0].dim[0] = n.out.dim[1] = rows;
    n.in[0].dim[1] = n.out.dim[0] = columns;
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_permute, &n, rows * columns);
}

static float *matrix_of(const zm_update *u, const zm_update_matrix *a)
{
    return u->group[a->group].x + a->place * a->rows * a->columns;
}

void zm_update_direction(zm_update *u, const zm_update_matrix *a, const zm_tensor *grad, float *m, double clip,
                         double mu)
{
    int64_t n = a->rows * a->columns;
    bool tall = a->rows > a->columns;
    float *to = tall ? u->matrix : matrix_of(u, a);
    zm_gpu_node f = {.in = {flat(zm_cuda_address(u->x, grad), n), flat(side(u, m, n, true), n)},
                     .out = flat(to, n),
                     .f = {clip, mu}};
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_momentum, &f, n);
    int64_t stretches = (n + STRETCH - 1) / STRETCH;
    zm_gpu_node s = {.in = {flat(to, n)}, .out = flat(u->sums, stretches), .i = {STRETCH}};
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_sum_squares, &s, stretches);
    zm_gpu_node d = {.in = {flat(u->sums, stretches)}, .out = flat(to, n)};
    zm_gpu_launch(&u->call, ZM_K_zm_gpu_unit, &d, n);
    if (tall)
        turn(u, matrix_of(u, a), to, a->rows, a->columns);
}

/* c [n,m,columns] = a [n,m,k] b, b turned: [n,columns,k], else [n,k,columns]. */
static void multiply(zm_update *u, float *c, const float *a, const float *b, int64_t batch, int64_t m, int64_t columns,
                     int64_t k, bool turned)
{
    zm_gpu_product p = {.a = a,
                        .b = b,
                        .c = c,
                        .type = ZM_F32,
                        .tb = turned,
                        .m = m,
                        .n = columns,
                        .k = k,
                        .batch = batch,
                        .lda = k,
                        .ldb = turned ? k : columns,
                        .ldc = columns,
                        .step_a = m * k,
                        .step_b = k * columns,
                        .step_c = m * columns,
                        .alpha = 1};
    zm_gpu_multiply(&u->call, &p);
}

void zm_update_orthogonal(zm_update *u, int which, int steps)
{
    static const double a = 3.4445, b = -4.7750, c = 2.0315; /* as zm_newton_schulz */
    group *g = &u->group[which];
    int64_t r = g->rows, n = g->columns;
    for (int i = 0; i < steps; i++) {
        multiply(u, g->square, g->x, g->x, g->n, r, r, n, true);
        multiply(u, g->mix, g->square, g->square, g->n, r, r, r, false);
        axpby(u, g->mix, g->square, g->n * r * r, b, c);
        multiply(u, g->next, g->mix, g->x, g->n, r, n, r, false);
        axpby(u, g->x, g->next, g->n * r * n, 1, a);
    }
}

void zm_update_apply(zm_update *u, const zm_update_matrix *a, float *p, double size, double keep)
{
    float *to = side(u, p, a->rows * a->columns, true), *x = matrix_of(u, a);
    if (u->call.status)
        return;
    if (a->rows > a->columns) {
        turn(u, u->matrix, x, a->columns, a->rows);
        x = u->matrix;
    }
    axpby(u, to, x, a->rows * a->columns, -size, keep);
}

zm_status zm_update_end(zm_update *u, zm_error *err)
{
    return u->call.status ? zm_fail(err, u->call.status, "%s", u->err.text) : u->call.gpu->fns->wait(u->call.gpu, err);
}
