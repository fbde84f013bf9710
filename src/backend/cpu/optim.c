/* Parameter updates, spread over threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/optim.h"

#include <math.h>
#include <stddef.h>

#include "backend/cpu/simd.h"

typedef struct update {
    float *p, *m, *v;
    const float *g;
    float beta1, beta2, c[4];
} update;

static void adamw_range(void *ctx, int64_t begin, int64_t end)
{
    update *u = ctx;
    zm_optim_loops()->adamw(u->p + begin, u->g + begin, u->m + begin, u->v + begin, end - begin, u->beta1, u->beta2,
                            u->c);
}

void zm_adamw_update(float *p, const float *g, float *m, float *v, int64_t n, double lr, double beta1, double beta2,
                     double eps, double wd, int64_t step)
{
    double mean = 1 - pow(beta1, (double)step), square = 1 - pow(beta2, (double)step);
    update u = {.p = p,
                .m = m,
                .v = v,
                .g = g,
                .beta1 = (float)beta1,
                .beta2 = (float)beta2,
                .c = {(float)(lr * wd), (float)(lr / mean), (float)(1 / sqrt(square)), (float)eps}};
    zm_parallel_ranges(n, ZM_GRAIN, adamw_range, &u);
}

static void axpby_range(void *ctx, int64_t begin, int64_t end)
{
    update *u = ctx;
    zm_optim_loops()->axpby(u->p + begin, u->g + begin, end - begin, u->c[0], u->c[1]);
}

void zm_axpby(float *y, const float *x, int64_t n, double a, double b)
{
    update u = {.p = y, .g = x, .c = {(float)a, (float)b}};
    zm_parallel_ranges(n, ZM_GRAIN, axpby_range, &u);
}

void zm_ema_update(float *ema, const float *p, int64_t n, double decay)
{
    zm_axpby(ema, p, n, 1 - decay, decay);
}

/* Ranges of ZM_GRAIN are summed side by side, 64 at a time, and then added up in order. */
typedef struct squares {
    const float *x;
    double part[64];
} squares;

static void squares_range(void *ctx, int64_t begin, int64_t end)
{
    squares *s = ctx;
    s->part[begin / ZM_GRAIN] = zm_optim_loops()->sum_squares(s->x + begin, end - begin);
}

double zm_sum_squares(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t at = 0; at < n;) {
        int64_t some = n - at < 64 * ZM_GRAIN ? n - at : 64 * ZM_GRAIN;
        squares s = {.x = x + at};
        zm_parallel_ranges(some, ZM_GRAIN, squares_range, &s);
        for (int64_t i = 0; i * ZM_GRAIN < some; i++)
            sum += s.part[i];
        at += some;
    }
    return sum;
}
