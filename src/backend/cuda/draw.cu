/* Frames of the toy-box on the device (draw/pixel.h).  Compiled without contraction (tools/gpu/kernel.sh), so that a card
 * draws the CPU's bytes.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/kernel.h"
#include "draw/pixel.h"

ZM_GPU_FN zm_draw_set stage_of(const zm_gpu_node *n, int64_t frame)
{
    zm_draw_set st;
    st.frame = (const zm_still *)n->in[0].data + frame;
    st.palette = (const zm_palette *)n->in[1].data;
    st.sprite = (const zm_sprite *)n->in[2].data;
    return st;
}

/* in: zm_still [F], zm_palette, zm_sprite [..], ids u8 [F,H,W], which is written; out: rgb u8 [F,H,W,3].  i[0], i[1]:
 * width, height; count: pixels of all frames. */
ZM_GPU_EACH(zm_gpu_draw)
{
    int64_t pixels = n->i[0] * n->i[1], p = at % pixels;
    zm_draw_set st = stage_of(n, at / pixels);
    ((uint8_t *)n->in[3].data)[at] =
        (uint8_t)zm_pixel_draw(&st, (int)(p % n->i[0]), (int)(p / n->i[0]), (uint8_t *)n->out.data + 3 * at);
}

enum { FOOTPRINT_T = 256 };

/* Pixels that a solid would cover alone, inside and outside of the picture: in as above, without ids; out: int
 * [F,ZM_DRAW_SOLIDS].  count: frames * ZM_DRAW_SOLIDS. */
ZM_GPU_BLOCK(zm_gpu_footprint, FOOTPRINT_T)
{
    ZM_GPU_SHARED(int, part, FOOTPRINT_T);
    int self = (int)(block % ZM_DRAW_SOLIDS);
    zm_draw_set st = stage_of(n, block / ZM_DRAW_SOLIDS);
    zm_draw_box b = st.frame->body[self];
    int wide = b.x1 - b.x0, pixels = self < st.frame->n && wide > 0 && b.y1 > b.y0 ? wide * (b.y1 - b.y0) : 0;
    ZM_GPU_THREADS(t, FOOTPRINT_T)
    {
        int sum = 0;
        for (int i = t; i < pixels; i += FOOTPRINT_T)
            sum += zm_pixel_solid(&st, self, (float)(b.x0 + i % wide), (float)(b.y0 + i / wide), 1).alpha > 0.5f;
        part[t] = sum;
    }
    ZM_GPU_TREE(part, FOOTPRINT_T);
    ZM_GPU_THREADS(t, FOOTPRINT_T)
    if (t == 0)
        ((int *)n->out.data)[block] = part[0];
    ZM_GPU_SYNC();
}
