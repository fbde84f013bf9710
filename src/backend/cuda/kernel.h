/* How kernels are written, so that one text runs on the device and, in tests, as loops of the host.
 *
 * ZM_GPU_EACH(name): a function of (n, at), called for every at in 0 .. n->count - 1, in no order.
 * ZM_GPU_BLOCK(name, T): a function of (n, block), called for every block in 0 .. n->count - 1 by T threads together.
 *     Inside, code is a row of phases: ZM_GPU_THREADS(t) { .. } is run by every thread t, ZM_GPU_SYNC() ends a phase
 *     whose writes to ZM_GPU_SHARED memory others will read.  What a thread keeps over phases is ZM_GPU_KEPT and spelt
 *     ZM_GPU_OF(name, t)[i].  Loops around phases run the same number of times in all threads of a block.
 * The texts are C and C++ at once.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_KERNEL_H
#define ZM_BACKEND_CUDA_KERNEL_H

#include <math.h>
#include <string.h>

#include "backend/cuda/node.h"

#ifdef __CUDACC__

#define ZM_GPU_FN static __device__ __forceinline__
#define ZM_GPU_EACH(name)                                                                                              \
    static __device__ __forceinline__ void name##_item(const zm_gpu_node *n, int64_t at);                              \
    extern "C" __global__ void name(const __grid_constant__ zm_gpu_node node)                                          \
    {                                                                                                                  \
        for (int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; at < node.count;                             \
             at += (int64_t)gridDim.x * blockDim.x)                                                                    \
            name##_item(&node, at);                                                                                    \
    }                                                                                                                  \
    static __device__ __forceinline__ void name##_item(const zm_gpu_node *n, int64_t at)
#define ZM_GPU_BLOCK(name, T)                                                                                          \
    static __device__ __forceinline__ void name##_block(const zm_gpu_node *n, int64_t block);                          \
    extern "C" __global__ void __launch_bounds__(T) name(const __grid_constant__ zm_gpu_node node)                     \
    {                                                                                                                  \
        for (int64_t block = blockIdx.x; block < node.count; block += gridDim.x)                                       \
            name##_block(&node, block);                                                                                \
    }                                                                                                                  \
    static __device__ __forceinline__ void name##_block(const zm_gpu_node *n, int64_t block)
#define ZM_GPU_THREADS(t, T)          for (int t = (int)threadIdx.x, t##_once = 1; t##_once && t >= 0; t##_once = 0)
#define ZM_GPU_SYNC()                 __syncthreads()
#define ZM_GPU_SHARED(type, name, N)  __shared__ __align__(16) type name[N]
#define ZM_GPU_KEPT(type, name, T, N) type name[N]
#define ZM_GPU_OF(name, t)            ((void)(t), name)
#define ZM_GPU_ADD(at, v)             atomicAdd(at, v)

#else

#define ZM_GPU_FN static inline
#define ZM_GPU_EACH(name)                                                                                              \
    static void name##_item(const zm_gpu_node *n, int64_t at);                                                         \
    void name(const zm_gpu_node *n);                                                                                   \
    void name(const zm_gpu_node *n)                                                                                    \
    {                                                                                                                  \
        for (int64_t at = n->count - 1; at >= 0; at--) /* backwards: no kernel may lean on an order */                 \
            name##_item(n, at);                                                                                        \
    }                                                                                                                  \
    static void name##_item(const zm_gpu_node *n, int64_t at)
#define ZM_GPU_BLOCK(name, T)                                                                                          \
    static void name##_block(const zm_gpu_node *n, int64_t block);                                                     \
    void name(const zm_gpu_node *n);                                                                                   \
    void name(const zm_gpu_node *n)                                                                                    \
    {                                                                                                                  \
        for (int64_t block = n->count - 1; block >= 0; block--)                                                        \
            name##_block(n, block);                                                                                    \
    }                                                                                                                  \
    static void name##_block(const zm_gpu_node *n, int64_t block)
#define ZM_GPU_THREADS(t, T)          for (int t = 0; t < (T); t++)
#define ZM_GPU_SYNC()                 ((void)0)
#define ZM_GPU_SHARED(type, name, N)  static type name[N]
#define ZM_GPU_KEPT(type, name, T, N) static type name[T][N]
#define ZM_GPU_OF(name, t)            name[t]
#define ZM_GPU_ADD(at, v)             (*(at) += (v))

#endif

#ifdef __CUDACC__
#define ZM_GPU_UNROLL _Pragma("unroll")
/* 16 bytes from device memory to shared memory, while threads go on; commit closes a group of such copies, and
 * ZM_GPU_ARRIVED(k) waits until at most k groups are under way. */
#define ZM_GPU_FETCH16(to, from)                                                                                       \
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from))
#define ZM_GPU_COMMIT()   asm volatile("cp.async.commit_group;")
#define ZM_GPU_ARRIVED(k) asm volatile("cp.async.wait_group %0;" ::"n"(k))
/* x[i] becomes the largest, or the sum, over the four threads 4k .. 4k + 3. */
#define ZM_GPU_QUAD_MAX(x, i, T)                                                                                       \
    (x[i] = fmaxf(x[i], __shfl_xor_sync(0xffffffffu, x[i], 1)),                                                        \
     x[i] = fmaxf(x[i], __shfl_xor_sync(0xffffffffu, x[i], 2)))
#define ZM_GPU_QUAD_SUM(x, i, T)                                                                                       \
    (x[i] += __shfl_xor_sync(0xffffffffu, x[i], 1), x[i] += __shfl_xor_sync(0xffffffffu, x[i], 2))
/* A warp's c [16,8] += a [16,16] b [16,8], bf16 in, f32 out: PTX's mma.m16n8k16, whose layout says which thread holds
 * what.  With g = lane / 4 and p = lane % 4: a's registers hold columns 2p, 2p+1 of rows g and g+8, then columns 2p+8,
 * 2p+9 of these; b's, rows 2p, 2p+1, then 2p+8, 2p+9, of column g; c's floats, columns 2p, 2p+1 of row g, then g+8. */
#define ZM_GPU_MMA(c, ci, a, ai, b, T)                                                                                 \
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"            \
                 "{%0,%1,%2,%3};"                                                                                      \
                 : "+f"((c)[(ci)]), "+f"((c)[(ci) + 1]), "+f"((c)[(ci) + 2]), "+f"((c)[(ci) + 3])                      \
                 : "r"((a)[(ai)]), "r"((a)[(ai) + 1]), "r"((a)[(ai) + 2]), "r"((a)[(ai) + 3]), "r"((b)[0]),            \
                   "r"((b)[1]))
#else
#define ZM_GPU_UNROLL
#define ZM_GPU_FETCH16(to, from) memcpy(to, from, 16)
#define ZM_GPU_COMMIT()          ((void)0)
#define ZM_GPU_ARRIVED(k)        ((void)0)
#define ZM_GPU_QUAD_MAX(x, i, T)                                                                                       \
    for (int quad_ = 0; quad_ < (T); quad_ += 4)                                                                       \
    x[quad_][i] = x[quad_ + 1][i] = x[quad_ + 2][i] = x[quad_ + 3][i] =                                                \
        fmaxf(fmaxf(x[quad_][i], x[quad_ + 1][i]), fmaxf(x[quad_ + 2][i], x[quad_ + 3][i]))
#define ZM_GPU_QUAD_SUM(x, i, T)                                                                                       \
    for (int quad_ = 0; quad_ < (T); quad_ += 4)                                                                       \
    x[quad_][i] = x[quad_ + 1][i] = x[quad_ + 2][i] = x[quad_ + 3][i] =                                                \
        x[quad_][i] + x[quad_ + 1][i] + x[quad_ + 2][i] + x[quad_ + 3][i]
#define ZM_GPU_MMA(c, ci, a, ai, b, T)                                                                                 \
    for (int warp_ = 0; warp_ < (T); warp_ += 32)                                                                      \
        for (int lane_ = 0; lane_ < 32; lane_++)                                                                       \
            for (int e_ = 0; e_ < 4; e_++)                                                                             \
                for (int k_ = 0; k_ < 16; k_++)                                                                        \
    (c)[warp_ + lane_][(ci) + e_] +=                                                                                   \
        zm_gpu_half_of((a)[warp_ + lane_ / 4 * 4 + k_ % 8 / 2][(ai) + k_ / 8 * 2 + e_ / 2], k_ % 2) *                  \
        zm_gpu_half_of((b)[warp_ + (lane_ % 4 * 2 + e_ % 2) * 4 + k_ % 8 / 2][k_ / 8], k_ % 2)
#endif

/* Input i, and the output, as f32. */
#define ZM_GPU_IN(n, i) ((const float *)(n)->in[i].data)
#define ZM_GPU_OUT(n)   ((float *)(n)->out.data)

/* Sum of part[0..T) (T a power of two, written before) into part[0], for all threads; ends synchronised. */
#define ZM_GPU_TREE(part, T)                                                                                           \
    do {                                                                                                               \
        ZM_GPU_SYNC();                                                                                                 \
        for (int half = (T) / 2; half > 0; half /= 2) {                                                                \
            ZM_GPU_THREADS(lane, T)                                                                                    \
            if (lane < half)                                                                                           \
                (part)[lane] += (part)[lane + half];                                                                   \
            ZM_GPU_SYNC();                                                                                             \
        }                                                                                                              \
    } while (0)

ZM_GPU_FN float zm_gpu_bf16(unsigned short v)
{
    union {
        unsigned u;
        float f;
    } x;
    x.u = (unsigned)v << 16;
    return x.f;
}

/* The lower or upper of two bf16 values in a register. */
ZM_GPU_FN float zm_gpu_half_of(unsigned two, int upper)
{
    return zm_gpu_bf16((unsigned short)(upper ? two >> 16 : two & 0xffffu));
}

/* Round to nearest even; not a number stays one. */
ZM_GPU_FN unsigned short zm_gpu_to_bf16(float f)
{
    union {
        unsigned u;
        float f;
    } x;
    x.f = f;
    if ((x.u & 0x7fffffffu) > 0x7f800000u)
        return (unsigned short)(x.u >> 16 | 64);
    return (unsigned short)((x.u + 0x7fff + (x.u >> 16 & 1)) >> 16);
}

#endif
