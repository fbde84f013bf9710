/* Attention in one pass over the keys, scores never in memory (Dao 2023, FlashAttention-2, algorithm 1), on tensor cores.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"

/* [B,N,H,d] f32 -> bf16 [B H,rows,width], or turned [B H,width,rows], zeros where rows or width are more.  in[0] has
 * those dims; i[0] rows, i[1] width, i[2] turned.  count: elements of the result. */
ZM_GPU_EACH(zm_gpu_pack_heads)
{
    int64_t N = n->in[0].dim[1], H = n->in[0].dim[2], d = n->in[0].dim[3], rows = n->i[0], width = n->i[1];
    int64_t z = at / (rows * width), token = n->i[2] ? at % rows : at / width % rows;
    int64_t c = n->i[2] ? at / rows % width : at % width;
    float v = token < N && c < d ? ZM_GPU_IN(n, 0)[((z / H * N + token) * H + z % H) * d + c] : 0;
    ((unsigned short *)n->out.data)[at] = zm_gpu_to_bf16(v);
}

#define FLASH_D 64
#define FLASH   zm_gpu_flash_64
#include "backend/cuda/flash_body.h"
#undef FLASH_D
#undef FLASH

#define FLASH_D 128
#define FLASH   zm_gpu_flash_128
#include "backend/cuda/flash_body.h"
#undef FLASH_D
#undef FLASH
