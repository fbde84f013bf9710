/* Transforms of Winograd's minimal filtering F(4x4,3x3), for one instruction set.
 *
 * Lavin & Gray 2016, "Fast algorithms for convolutional neural networks".  The points are 0, +-2/3, +-3/2 and infinity:
 * with their product 1 they lose far less than the usual 0, +-1, +-2 (see tests/backend/test_winograd.c).
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/simd.h"

#include "backend/cpu/simd_vec.h"

#define P  (2.0F / 3.0F)
#define Q  (3.0F / 2.0F)
#define P2 (4.0F / 9.0F)
#define Q2 (9.0F / 4.0F)
#define P3 (8.0F / 27.0F)
#define Q3 (27.0F / 8.0F)
#define PQ (97.0F / 36.0F) /* P2 + Q2 */

/* y[k * step], k < 6, from x[k * from]: a row of B^T for each point. */
INLINE void turn_input(vf *y, int step, const vf *x, int from)
{
    vf a = x[0], b = x[from], c = x[2 * from], d = x[3 * from], e = x[4 * from], f = x[5 * from];
    vf even = e - Q2 * c, odd = P * d - Q * b, even2 = e - P2 * c, odd2 = Q * d - P * b;
    y[0] = a - PQ * c + e;
    y[step] = even + odd;
    y[2 * step] = even - odd;
    y[3 * step] = even2 + odd2;
    y[4 * step] = even2 - odd2;
    y[5 * step] = b - PQ * d + f;
}

static void input(float *v, int64_t v_step, const float *const place[36], int64_t n)
{
    for (int64_t c = 0; c < n; c += VW) {
        vf x[36], t[36];
        for (int i = 0; i < 36; i++)
            x[i] = vload(place[i] + c);
        for (int j = 0; j < 6; j++)
            turn_input(t + j, 6, x + j, 6);
        for (int i = 0; i < 6; i++) {
            turn_input(x, 1, t + 6 * i, 1);
            for (int j = 0; j < 6; j++)
                vstore(v + (6 * i + j) * v_step + c, x[j]);
        }
    }
}

INLINE void turn_weights(vf *y, int step, vf a, vf b, vf c)
{
    const float near = -324.0F / 520.0F, far = 8.0F / 65.0F; /* 1 / (2 P2 (P2 - Q2)), 1 / (2 Q2 (Q2 - P2)) */
    vf even = near * (a + P2 * c), odd = near * P * b, even2 = far * (a + Q2 * c), odd2 = far * Q * b;
    y[0] = a;
    y[step] = even + odd;
    y[2 * step] = even - odd;
    y[3 * step] = even2 + odd2;
    y[4 * step] = even2 - odd2;
    y[5 * step] = c;
}

static void weights(float *u, int64_t u_step, const float *taps, int64_t n)
{
    for (int64_t c = 0; c < n; c += VW) {
        vf t[18], y[6];
        for (int j = 0; j < 3; j++)
            turn_weights(t + j, 3, vload(taps + j * n + c), vload(taps + (3 + j) * n + c),
                         vload(taps + (6 + j) * n + c));
        for (int i = 0; i < 6; i++) {
            turn_weights(y, 1, t[3 * i], t[3 * i + 1], t[3 * i + 2]);
            for (int j = 0; j < 6; j++)
                vstore(u + (6 * i + j) * u_step + c, y[j]);
        }
    }
}

INLINE void turn_output(vf *y, int step, const vf *x)
{
    vf sum = x[1] + x[2], diff = x[1] - x[2], sum2 = x[3] + x[4], diff2 = x[3] - x[4];
    y[0] = x[0] + sum + sum2;
    y[step] = P * diff + Q * diff2;
    y[2 * step] = P2 * sum + Q2 * sum2;
    y[3 * step] = P3 * diff + Q3 * diff2 + x[5];
}

static void output(float *const place[16], const float *m, int64_t m_step, const float *bias, int64_t n)
{
    for (int64_t c = 0; c < n; c += VW) {
        vf x[6], t[24], y[16], b = bias ? vload(bias + c) : vset(0);
        for (int j = 0; j < 6; j++) {
            for (int i = 0; i < 6; i++)
                x[i] = vload(m + (6 * i + j) * m_step + c);
            turn_output(t + j, 6, x);
        }
        for (int i = 0; i < 4; i++)
            turn_output(y + 4 * i, 1, t + 6 * i);
        for (int i = 0; i < 16; i++)
            if (place[i])
                vstore(place[i] + c, y[i] + b);
    }
}

const zm_winograd_fns ZM_SIMD_NAME(zm_winograd) = {.input = input, .weights = weights, .output = output};
