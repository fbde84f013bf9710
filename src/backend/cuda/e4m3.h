/* Floats as e4m3, for kernels: base/dtype.h has the type, widen.h the way back.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_E4M3_H
#define ZM_BACKEND_CUDA_E4M3_H

#include "backend/cuda/kernel.h"

/* Round to nearest even; beyond 448, infinities included: 448; not a number stays one. */
ZM_GPU_FN unsigned char zm_gpu_to_e4m3(float f)
{
    union {
        unsigned u;
        float f;
    } x;
    x.f = f;
    unsigned sign = x.u >> 24 & 0x80u, a = x.u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (unsigned char)(sign | 0x7fu);
    if (a >= 0x43e00000u) /* 448 */
        return (unsigned char)(sign | 0x7eu);
    if (a < 0x3c800000u) { /* below 2^-6 steps are 2^-9, the last bit of a float at 2^14 */
        x.u = a;
        x.f += 16384.0F;
        return (unsigned char)(sign | (x.u - 0x46800000u));
    }
    a += 0x7ffffu + (a >> 20 & 1u);
    return (unsigned char)(sign | (a - (120u << 23)) >> 20);
}

#endif
