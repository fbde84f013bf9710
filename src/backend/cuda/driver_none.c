/* No CUDA in this build.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/gpu.h"

zm_status zm_gpu_open(zm_gpu **out, zm_error *err)
{
    *out = NULL;
    return zm_fail(err, ZM_E_UNSUPPORTED,
                   "this build has no CUDA: it was made without nvcc; the CPU does the same work (--device cpu)");
}
