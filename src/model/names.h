/* Names of tensors: what other programs' files call the parameters of our networks, as rules into official names.
 *
 * Official names are those of the published Wan checkpoints.  Others that people have: the diffusers and transformers
 * layouts, repackaged files with a prefix before official or transformers names, and llama.cpp's encoder files.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_NAMES_H
#define ZM_MODEL_NAMES_H

#include "format/weights.h"

/* The networks of a model. */
typedef enum {
    ZM_PART_DIT,     /* the transformer; of two experts the high-noise one */
    ZM_PART_DIT_LOW, /* the low-noise expert */
    ZM_PART_TEXT,
    ZM_PART_VAE,
    ZM_PART_CLIP,
    ZM_PART_COUNT
} zm_model_part_kind;

/* One rule: names that look like `from` become `to`.
 * from: '#' is a decimal number, '*' at the end is any rest.
 * to: "%0" "%1" are the numbers, "%*" is the rest; counting residual blocks a stage (n), "%d" is n of the encoder,
 * "%p" n of the decoder, "%r" = %0 * (n + 1) + %1 and "%u" = %0 * (n + 1) + n of the decoder.  NULL: left out. */
typedef struct zm_name_rule {
    const char *from, *to;
    int part, parts; /* rows of `to` that this tensor is, 0 of 0: all */
    int ones;        /* dims of 1 put in front of the shape */
    bool spare;      /* a second copy of a tensor that another rule gives */
    bool block;      /* the rest names a part of a residual block */
} zm_name_rule;

typedef struct zm_name_scheme {
    const char *name; /* "official", "diffusers", "transformers", "llama.cpp" */
    zm_model_part_kind part;
    const char *marker, *also; /* two tensors that such a file has, behind one prefix */
    const char *add;           /* put before official names; NULL: nothing */
    const zm_name_rule *rules; /* NULL: the names are official */
    size_t n_rules;
} zm_name_scheme;

extern const zm_name_scheme zm_name_schemes[];
extern const size_t zm_name_scheme_count;

/* How a file names a network. */
typedef struct zm_names {
    const zm_name_scheme *scheme; /* NULL: the file has no such network, or names nobody else uses */
    char prefix[128];             /* before the scheme's names, "model.diffusion_model." */
    int down, up;                 /* residual blocks in a stage of the encoder and of the decoder */
} zm_names;

/* Whether `w`, as its file names it, holds network `part` (ZM_PART_DIT_LOW: as ZM_PART_DIT), and how. */
bool zm_names_find(zm_names *out, const zm_weights *w, zm_model_part_kind part);
/* The official name of the scheme's tensor `name` (without the file's prefix) into out[cap]; `rule` (may be NULL) gets
 * the rule.  False: left out of the network, or too long.  Names that no rule knows stay as they are. */
bool zm_names_official(char *out, size_t cap, const zm_name_rule **rule, const zm_names *names, const char *name);
/* Call the tensors of the network `part` by their official names and leave those of other networks out: diffusers'
 * q, k and v of CLIP are stacked, 8-bit scales go to the tensor that they scale, and shapes that a GGUF converter
 * flattened are restored.  A file whose names nobody else uses stays as it is.  Errors as of zm_weights_rename. */
ZM_MUST zm_status zm_names_apply(zm_weights *w, zm_model_part_kind part, zm_error *err);

#endif
