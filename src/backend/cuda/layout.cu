/* Moving elements on the device: permutation, slices, padding, joining, kept frames.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"

/* i[k]: source axis of result axis k.  count: elements. */
ZM_GPU_EACH(zm_gpu_permute)
{
    int64_t index[8], rest = at, from = 0;
    for (int k = n->out.rank - 1; k >= 0; k--) {
        index[n->i[k]] = rest % n->out.dim[k];
        rest /= n->out.dim[k];
    }
    for (int k = 0; k < n->in[0].rank; k++)
        from = from * n->in[0].dim[k] + index[k];
    ((unsigned *)n->out.data)[at] = ((const unsigned *)n->in[0].data)[from];
}

/* Rows copied between buffers of different row lengths, in units of 4 bytes.  i[0]: elements of a run, i[1], i[2]: row
 * length and first element of the result, i[3], i[4]: of the source; count: runs * i[0].  in[0] -> out. */
ZM_GPU_EACH(zm_gpu_copy_rows)
{
    int64_t row = at / n->i[0], c = at % n->i[0];
    ((unsigned *)n->out.data)[row * n->i[1] + n->i[2] + c] =
        ((const unsigned *)n->in[0].data)[row * n->i[3] + n->i[4] + c];
}

/* i[0] axis, i[1] zeros before; i[3]: elements after that axis.  count: elements of the result. */
ZM_GPU_EACH(zm_gpu_pad)
{
    int64_t inner = n->i[3], wide = n->out.dim[n->i[0]], have = n->in[0].dim[n->i[0]];
    int64_t c = at % inner, k = at / inner % wide - n->i[1], row = at / inner / wide;
    ZM_GPU_OUT(n)[at] = k >= 0 && k < have ? ZM_GPU_IN(n, 0)[(row * have + k) * inner + c] : 0;
}

/* in: x [B,F,..], to [B,keep,..], which is overwritten with x's last frames, zeros in front when there are fewer; out
 * [1] becomes 0.  i[0]: elements of a frame; count: elements of `to`. */
ZM_GPU_EACH(zm_gpu_keep_frames)
{
    int64_t frame = n->i[0], keep = n->in[1].dim[1], have = n->in[0].dim[1];
    int64_t c = at % frame, k = at / frame % keep - keep + have, b = at / frame / keep;
    ((float *)n->in[1].data)[at] = k >= 0 ? ZM_GPU_IN(n, 0)[(b * have + k) * frame + c] : 0;
    if (at == 0)
        ZM_GPU_OUT(n)[0] = 0;
}

/* Zeros; count: elements of 4 bytes. */
ZM_GPU_EACH(zm_gpu_zero)
{
    ((unsigned *)n->out.data)[at] = 0;
}
