/* Elementwise functions and arithmetic with broadcasting, sums back to a shape, on the device.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"
#include "backend/cuda/unary.h"

/* count: elements. */
ZM_GPU_EACH(zm_gpu_unary)
{
    ZM_GPU_OUT(n)[at] = zm_gpu_value((int)n->i[0], ZM_GPU_IN(n, 0)[at]);
}

ZM_GPU_EACH(zm_gpu_unary_grad)
{
    ZM_GPU_OUT(n)[at] = ZM_GPU_IN(n, 1)[at] * zm_gpu_slope((int)n->i[0], ZM_GPU_IN(n, 0)[at]);
}

ZM_GPU_EACH(zm_gpu_affine)
{
    ZM_GPU_OUT(n)[at] = (float)n->f[0] * ZM_GPU_IN(n, 0)[at] + (float)n->f[1];
}

ZM_GPU_FN float combine(int kind, float a, float b)
{
    return kind == 0 ? a + b : kind == 1 ? a - b : kind == 2 ? a * b : a / b;
}

/* Element of v that stands at element `at` of a tensor with o's dims, when v is repeated over it. */
ZM_GPU_FN int64_t seen_at(const zm_gpu_view *v, const zm_gpu_view *o, int64_t at)
{
    int64_t place = 0, step = 1;
    for (int k = o->rank - 1, j = v->rank - 1; j >= 0; k--, j--) {
        int64_t here = at % o->dim[k];
        at /= o->dim[k];
        if (v->dim[j] != 1)
            place += here * step;
        step *= v->dim[j];
    }
    return place;
}

ZM_GPU_EACH(zm_gpu_binary)
{
    ZM_GPU_OUT(n)
    [at] = combine((int)n->i[0], ZM_GPU_IN(n, 0)[seen_at(&n->in[0], &n->out, at)],
                   ZM_GPU_IN(n, 1)[seen_at(&n->in[1], &n->out, at)]);
}

/* Both of one shape, or the second a tail of the first's dims: element at % elems of it. */
ZM_GPU_EACH(zm_gpu_binary_rows)
{
    ZM_GPU_OUT(n)[at] = combine((int)n->i[0], ZM_GPU_IN(n, 0)[at], ZM_GPU_IN(n, 1)[at % n->in[1].elems]);
}

ZM_GPU_EACH(zm_gpu_broadcast)
{
    ZM_GPU_OUT(n)[at] = ZM_GPU_IN(n, 0)[seen_at(&n->in[0], &n->out, at)];
}

enum { SUM_T = 256 };

/* count: elements of the result; a block sums what falls on one of them. */
ZM_GPU_BLOCK(zm_gpu_sum_to, SUM_T)
{
    ZM_GPU_SHARED(double, part, SUM_T);
    const zm_gpu_view *x = &n->in[0], *y = &n->out;
    int lead = x->rank - y->rank;
    int64_t many = x->elems / y->elems;
    ZM_GPU_THREADS(t, SUM_T)
    {
        double sum = 0;
        for (int64_t k = t; k < many; k += SUM_T) {
            int64_t rest = k, place = block, from = 0, step = 1;
            for (int d = x->rank - 1; d >= 0; d--) {
                int64_t kept = d >= lead ? y->dim[d - lead] : 1, here;
                if (kept == x->dim[d]) {
                    here = place % kept;
                    place /= kept;
                } else {
                    here = rest % x->dim[d];
                    rest /= x->dim[d];
                }
                from += here * step;
                step *= x->dim[d];
            }
            sum += (double)ZM_GPU_IN(n, 0)[from];
        }
        part[t] = sum;
    }
    ZM_GPU_TREE(part, SUM_T);
    ZM_GPU_THREADS(t, SUM_T)
    if (t == 0)
        ZM_GPU_OUT(n)[block] = (float)part[0];
    ZM_GPU_SYNC();
}

enum { ROWS_X = 32, ROWS_Y = 8 };

/* Sums over rows: in[0] as [R,D], a block adds 32 columns of rows i[1] apart.  count: i[1] * ceil(D / 32); each block
 * writes row block / ceil(D / 32) of [i[1],D] at scratch (i[1] > 1) or the result itself.  i[0]: D. */
ZM_GPU_BLOCK(zm_gpu_sum_rows, ROWS_X *ROWS_Y)
{
    ZM_GPU_SHARED(float, part, ROWS_X *ROWS_Y);
    int64_t D = n->i[0], R = n->in[0].elems / D, wide = (D + ROWS_X - 1) / ROWS_X, split = n->i[1];
    int64_t share = block / wide, column = block % wide * ROWS_X;
    float *to = split > 1 ? (float *)n->scratch + share * D : ZM_GPU_OUT(n);
    ZM_GPU_THREADS(t, ROWS_X * ROWS_Y)
    {
        int64_t c = column + t % ROWS_X;
        float sum = 0, lost = 0; /* Kahan's correction: many rows, one float */
        for (int64_t r = share * ROWS_Y + t / ROWS_X; c < D && r < R; r += split * ROWS_Y) {
            float y = ZM_GPU_IN(n, 0)[r * D + c] - lost, next = sum + y;
            lost = (next - sum) - y;
            sum = next;
        }
        part[t] = sum;
    }
    ZM_GPU_SYNC();
    ZM_GPU_THREADS(t, ROWS_X * ROWS_Y)
    if (t < ROWS_X && column + t < D) {
        float sum = 0;
        for (int k = 0; k < ROWS_Y; k++)
            sum += part[k * ROWS_X + t];
        to[column + t] = sum;
    }
    ZM_GPU_SYNC();
}
