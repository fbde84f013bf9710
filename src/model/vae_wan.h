/* What the Wan 2.1 and Wan 2.2 autoencoders share: blocks, attention, changes of rate, and the walk through them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_VAE_WAN_H
#define ZM_MODEL_VAE_WAN_H

#include "model/vae_parts.h"

enum { ZM_WAN_RES_MAX = 17 };

typedef struct zm_wan_res {
    const zm_param *norm[2];
    zm_vae_conv conv[2], shortcut; /* shortcut.weight NULL: identity */
} zm_wan_res;

typedef struct zm_wan_attention {
    const zm_param *norm;
    zm_vae_conv qkv, proj;
} zm_wan_attention;

typedef struct zm_wan_resample {
    bool present, up, temporal;
    zm_vae_conv space, time;
} zm_wan_resample;

/* Residual blocks, then possibly a change of rate; with `shortcut` around all of it in Wan 2.2. */
typedef struct zm_wan_stage {
    int in, out, n_res;
    zm_wan_res res[ZM_WAN_RES_MAX];
    zm_wan_resample resample;
    bool shortcut;
    int factor_t, factor_s;
} zm_wan_stage;

typedef struct zm_wan_side {
    zm_vae_conv in, out;
    zm_wan_res middle[2];
    zm_wan_attention attention;
    int n_stages;
    zm_wan_stage stage[ZM_VAE_STAGES_MAX];
    const zm_param *head;
} zm_wan_side;

typedef struct zm_wan_net {
    zm_wan_side enc, dec;
    zm_vae_conv moments, latent; /* conv1, conv2: 1x1x1 around the latent */
} zm_wan_net;

/* Both sides; nested: Wan 2.2's names and shortcuts (a module per stage), else Wan 2.1's flat list. */
zm_wan_net *zm_wan_declare(const zm_vae_config *c, zm_arena *arena, zm_vae_scope *s, bool nested);
zm_tensor *zm_wan_encode(zm_vae_pass *p, const zm_wan_net *n, zm_tensor *x, bool nested);
zm_tensor *zm_wan_decode(zm_vae_pass *p, const zm_wan_net *n, zm_tensor *z, bool nested);

zm_tensor *zm_wan_res_block(zm_vae_pass *p, zm_tensor *x, const zm_wan_res *r);
/* One head over the positions of each frame. */
zm_tensor *zm_wan_attend(zm_vae_pass *p, zm_tensor *x, const zm_wan_attention *a);
zm_tensor *zm_wan_change_rate(zm_vae_pass *p, zm_tensor *x, const zm_wan_resample *r);
/* Wan 2.2's shortcuts without parameters: means over groups of folded channels, and repeated channels unfolded. */
zm_tensor *zm_wan_average_down(zm_vae_pass *p, zm_tensor *x, int out, int factor_t, int factor_s);
zm_tensor *zm_wan_repeat_up(zm_vae_pass *p, zm_tensor *x, int out, int factor_t, int factor_s);

#endif
