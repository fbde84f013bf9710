/* The parts of a diffusion transformer, for the files that declare, build and prepare it.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_DIT_PARTS_H
#define ZM_MODEL_DIT_PARTS_H

#include "model/dit.h"

typedef struct zm_dit_linear {
    zm_param *w, *b;
} zm_dit_linear;

typedef struct zm_dit_attention {
    zm_dit_linear q, k, v, o;
    zm_param *norm_q, *norm_k;
    zm_dit_linear k_img, v_img; /* Wan 2.1 image to video, cross attention only */
    zm_param *norm_k_img;
} zm_dit_attention;

typedef struct zm_dit_block {
    zm_param *modulation; /* [1,6,dim] */
    zm_dit_attention self, cross;
    zm_param *norm3_w, *norm3_b;
    zm_dit_linear ffn0, ffn2;
} zm_dit_block;

struct zm_dit {
    zm_dit_config c;
    zm_dit_linear patch, text0, text2, time0, time2, time_projection, head;
    zm_param *img_norm0_w, *img_norm0_b, *img_norm4_w, *img_norm4_b;
    zm_dit_linear img1, img3;
    zm_param *head_modulation; /* [1,2,dim] */
    zm_dit_block *blocks;
};

#endif
