/* The UMT5 text encoder of the Wan family (Raffel et al. 2020, T5; Chung et al. 2023, UniMax), any size.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_TEXT_ENCODER_H
#define ZM_MODEL_TEXT_ENCODER_H

#include "format/json.h"
#include "model/params.h"
#include "model/rope_table.h"

/* Official constructor names. */
typedef struct zm_text_config {
    int vocab, dim, dim_attn, dim_ffn, num_heads, num_layers;
    int num_buckets;  /* 32 */
    int max_distance; /* 128; key "max_dist" */
    bool shared_pos;  /* one table of position biases for all blocks (T5) instead of one each (UMT5) */
    double eps;       /* 1e-6 */
} zm_text_config;

/* Read from the object at `key` ("" = the root).  ZM_E_MISSING, ZM_E_FORMAT and ZM_E_UNSUPPORTED name file, key and
 * value. */
ZM_MUST zm_status zm_text_config_read(zm_text_config *out, const zm_json *j, const char *key, zm_error *err);
/* Read the sizes from a checkpoint's tensors (PREFIX + official names).  ZM_E_UNSUPPORTED: not of this family. */
ZM_MUST zm_status zm_text_config_detect(zm_text_config *out, const zm_weights *w, const char *prefix, zm_error *err);
/* The JSON object that zm_text_config_read reads back; malloc'd, NULL when out of memory. */
char *zm_text_config_json(const zm_text_config *c);

typedef struct zm_text_encoder zm_text_encoder;

/* Declare every parameter (PREFIX + official name; NULL: none).  params is borrowed and must outlive the handle.
 * ZM_E_UNSUPPORTED: sizes that do not fit together; ZM_E_NOMEM. */
ZM_MUST zm_status zm_text_encoder_declare(zm_text_encoder **out, const zm_text_config *c, zm_params *params,
                                          const char *prefix, zm_error *err);
void zm_text_encoder_free(zm_text_encoder *m);
const zm_text_config *zm_text_encoder_config(const zm_text_encoder *m);

typedef struct zm_text_inputs {
    zm_tensor *ids;     /* [B,L] i32, padded at the right with any id */
    zm_tensor *len;     /* [B] i32: real tokens of each row, at least 1 */
    zm_tensor *buckets; /* [L,L] i32, zm_relative_buckets */
    /* NULL, or called with named intermediates in order ("token_embedding", "block0.attn", ...). */
    void (*mark)(void *user, const char *name, zm_tensor *t);
    void *user;
} zm_text_inputs;

/* Input leaves ids and len; the bucket table is computed here and lives in the graph's arena. */
zm_text_inputs zm_text_input_leaves(zm_build *b, const zm_text_encoder *m, int64_t batch, int64_t len);

/* [B,L,dim]; rows at and beyond len[b] are meaningless and never influence the others. */
zm_tensor *zm_text_encoder_build(zm_build *b, const zm_text_encoder *m, const zm_text_inputs *in);

#endif
