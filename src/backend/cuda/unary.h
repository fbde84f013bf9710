/* The functions of ops/unary.h and their slopes, in floats, for kernels.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_UNARY_H
#define ZM_BACKEND_CUDA_UNARY_H

#include "backend/cuda/kernel.h"

/* In the order of ZM_UNARY_TABLE, which a test of the device's cases holds them to. */
enum {
    ZM_GPU_IDENTITY,
    ZM_GPU_SILU,
    ZM_GPU_GELU_TANH,
    ZM_GPU_GELU_ERF,
    ZM_GPU_RELU,
    ZM_GPU_SIGMOID,
    ZM_GPU_TANH,
    ZM_GPU_EXP,
    ZM_GPU_LOG,
    ZM_GPU_SQRT,
    ZM_GPU_SQUARE,
    ZM_GPU_ABS,
    ZM_GPU_SOFTPLUS,
    ZM_GPU_CLAMP1
};

#define ZM_GPU_GELU_A 0.7978845608F /* sqrt(2 / pi) */
#define ZM_GPU_GELU_B 0.044715F

ZM_GPU_FN float zm_gpu_value(int kind, float x)
{
    switch (kind) {
    case ZM_GPU_SILU:
        return x / (1 + expf(-x));
    case ZM_GPU_GELU_TANH:
        return 0.5F * x * (1 + tanhf(ZM_GPU_GELU_A * (x + ZM_GPU_GELU_B * x * x * x)));
    case ZM_GPU_GELU_ERF:
        return 0.5F * x * (1 + erff(x * 0.70710678F));
    case ZM_GPU_RELU:
        return x > 0 ? x : 0;
    case ZM_GPU_SIGMOID:
        return 1 / (1 + expf(-x));
    case ZM_GPU_TANH:
        return tanhf(x);
    case ZM_GPU_EXP:
        return expf(x);
    case ZM_GPU_LOG:
        return logf(x);
    case ZM_GPU_SQRT:
        return sqrtf(x);
    case ZM_GPU_SQUARE:
        return x * x;
    case ZM_GPU_ABS:
        return fabsf(x);
    case ZM_GPU_SOFTPLUS:
        return x > 30 ? x : log1pf(expf(x));
    case ZM_GPU_CLAMP1:
        return fminf(1, fmaxf(-1, x));
    default:
        return x;
    }
}

ZM_GPU_FN float zm_gpu_slope(int kind, float x)
{
    float s, t;
    switch (kind) {
    case ZM_GPU_SILU:
        s = 1 / (1 + expf(-x));
        return s * (1 + x * (1 - s));
    case ZM_GPU_GELU_TANH:
        t = tanhf(ZM_GPU_GELU_A * (x + ZM_GPU_GELU_B * x * x * x));
        return 0.5F * (1 + t) + 0.5F * x * (1 - t * t) * ZM_GPU_GELU_A * (1 + 3 * ZM_GPU_GELU_B * x * x);
    case ZM_GPU_GELU_ERF:
        return 0.5F * (1 + erff(x * 0.70710678F)) + x * 0.39894228F * expf(-0.5F * x * x);
    case ZM_GPU_RELU:
        return x > 0 ? 1 : 0;
    case ZM_GPU_SIGMOID:
        s = 1 / (1 + expf(-x));
        return s * (1 - s);
    case ZM_GPU_TANH:
        t = tanhf(x);
        return 1 - t * t;
    case ZM_GPU_EXP:
        return expf(x);
    case ZM_GPU_LOG:
        return 1 / x;
    case ZM_GPU_SQRT:
        return 0.5F / sqrtf(x);
    case ZM_GPU_SQUARE:
        return 2 * x;
    case ZM_GPU_ABS:
        return (float)((x > 0) - (x < 0));
    case ZM_GPU_SOFTPLUS:
        return 1 / (1 + expf(-x));
    case ZM_GPU_CLAMP1:
        return x > -1 && x < 1 ? 1 : 0;
    default:
        return 1;
    }
}

#endif
