/* The picture encoder of Wan 2.1 image to video: the vision transformer of CLIP (Radford et al. 2021, 2.4; Dosovitskiy
 * et al. 2021, ViT), any size.  At full size ViT-H/14: 224 x 224 pixels, 257 tokens of width 1280.
 *
 * Wan takes the output of the second-to-last block, so the last block, the final norm and the head are neither
 * declared nor loaded.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_CLIP_H
#define ZM_MODEL_CLIP_H

#include "format/json.h"
#include "model/params.h"

typedef enum { ZM_CLIP_GELU, ZM_CLIP_QUICK_GELU, ZM_CLIP_SWI_GLU } zm_clip_activation;

/* Official constructor names. */
typedef struct zm_clip_config {
    int image_size, patch_size; /* pixels; one side */
    int dim, num_heads, num_layers;
    double mlp_ratio; /* width of the feed-forward is the whole part of dim * mlp_ratio */
    bool class_token; /* pool_type "token" or "token_fc"; "attn_pool" has none */
    bool pre_norm;    /* a norm before the blocks, and then no bias in patch_embedding */
    bool post_norm;   /* blocks normalise what they add, not what they read */
    zm_clip_activation activation;
    double norm_eps; /* 1e-5 */
} zm_clip_config;

/* Read from the object at `key` ("" = the root).  ZM_E_MISSING, ZM_E_FORMAT and ZM_E_UNSUPPORTED (sizes that do not
 * divide, an unknown activation or pool_type) name file, key and value. */
ZM_MUST zm_status zm_clip_config_read(zm_clip_config *out, const zm_json *j, const char *key, zm_error *err);
/* Read the sizes from a checkpoint's tensors: PREFIX + official names, where PREFIX is "visual." in the published
 * files (NULL: none).  Heads cannot be told from shapes: 80 wide at width 1280 (ViT-H), 88 at 1408 (ViT-g), 104 at
 * 1664 (ViT-bigG), else 64.  Block norms before, exact GELU or the gated form (told by its names), eps 1e-5: as
 * published.  ZM_E_UNSUPPORTED: not of this family. */
ZM_MUST zm_status zm_clip_config_detect(zm_clip_config *out, const zm_weights *w, const char *prefix, zm_error *err);
/* The JSON object that zm_clip_config_read reads back; malloc'd, NULL when out of memory. */
char *zm_clip_config_json(const zm_clip_config *c);
/* Rows of the output: 1 + (image_size / patch_size)^2, without the 1 where there is no class token. */
int64_t zm_clip_tokens(const zm_clip_config *c);

typedef struct zm_clip zm_clip;

/* Declare what Wan uses: embeddings, the first norm and all blocks but the last (PREFIX + official name; "visual." in
 * the published files; NULL: none).  params is borrowed and must outlive the handle.  ZM_E_UNSUPPORTED: sizes that do
 * not fit together; ZM_E_NOMEM. */
ZM_MUST zm_status zm_clip_declare(zm_clip **out, const zm_clip_config *c, zm_params *params, const char *prefix,
                                  zm_error *err);
void zm_clip_free(zm_clip *m);
const zm_clip_config *zm_clip_config_of(const zm_clip *m);

/* pixels [B,S,S,3] f32 as zm_clip_preprocess makes them -> [B,zm_clip_tokens,dim], the output of the second-to-last
 * block: the `image` of zm_dit_inputs.  Sticky: ZM_E_SHAPE for pixels of another size. */
zm_tensor *zm_clip_build(zm_build *b, const zm_clip *m, zm_tensor *pixels);
/* The same; mark is NULL or called with "pre_norm", "block0", "block1", ... in order. */
zm_tensor *zm_clip_build_marked(zm_build *b, const zm_clip *m, zm_tensor *pixels,
                                void (*mark)(void *user, const char *name, zm_tensor *t), void *user);

/* image [height,width,3] f32 in [-1,1] -> out [size,size,3]: bicubic (Keys 1981, a = -0.75) at half-pixel centres with
 * edge pixels repeated, no smoothing before shrinking, aspect not kept; then to [0,1] without clamping; then CLIP's
 * mean and deviation.  All sizes at least 1; no overlap; allocates nothing. */
void zm_clip_preprocess(float *out, int size, const float *image, int height, int width);

#endif
