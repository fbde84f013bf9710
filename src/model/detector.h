/* A small network that looks at a clip and says what is in it: bodies frame by frame, and facts of the whole clip.
 * Scores of generated clips are taken with it; its own error on real clips is always told beside them.
 *
 * Pixels are folded 4x4, one strided convolution leads to cells of 8x8 pixels, and residual blocks factorised into
 * space and time (Tran et al. 2018) follow.  Every cell says which class has its centre there, its colour and its box
 * (Zhou et al. 2019, "Objects as points"); pooled features answer the questions about the clip.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_DETECTOR_H
#define ZM_MODEL_DETECTOR_H

#include "model/params.h"

/* Questions about the whole clip. */
typedef enum {
    ZM_HEAD_GROUND,
    ZM_HEAD_LIGHT,
    ZM_HEAD_CAMERA,
    ZM_HEAD_ACTION, /* of the subject */
    ZM_HEAD_SECOND, /* of the others: 0 there are none, 1 + action */
    ZM_HEAD_SIDE,   /* 0 left, 1 none, 2 right: where the subject goes */
    ZM_HEAD_BODIES, /* how many there are */
    ZM_HEADS
} zm_detector_head;

enum { ZM_DETECTOR_CELL = 8, ZM_DETECTOR_BOX = 4 };

typedef struct zm_detector_config {
    int classes, colours; /* without the background, which is one class more */
    int head[ZM_HEADS];   /* answers to choose from */
    int stem, body, trunk, blocks;
    int width, height, frames; /* of the clips it was trained on */
} zm_detector_config;

typedef struct zm_detector zm_detector;

/* The sizes of the bundled detector for so many classes and answers; channels and blocks are filled in. */
void zm_detector_config_default(zm_detector_config *c);

/* Declare every parameter.  params is borrowed and must outlive the handle.  ZM_E_UNSUPPORTED: sizes out of range. */
ZM_MUST zm_status zm_detector_declare(zm_detector **out, const zm_detector_config *c, zm_params *params, zm_error *err);
void zm_detector_free(zm_detector *d);
/* After zm_params_fill, before training: most cells are background, and an untrained network should say so (Lin et al.
 * 2017, "Focal loss for dense object detection", section 3.3); it would spend its first hundred steps on that. */
void zm_detector_start(zm_detector *d);
const zm_detector_config *zm_detector_config_of(const zm_detector *d);

/* Columns of a cell: class logits (background last), colour logits, then dx, dy (centre minus the cell's middle, in
 * cells), log width, log height (in cells). */
int zm_detector_columns(const zm_detector_config *c);

typedef struct zm_detector_graph {
    zm_tensor *cells;            /* [B*F*(H/8)*(W/8), columns] */
    zm_tensor *answer[ZM_HEADS]; /* [B, head[i]] logits */
} zm_detector_graph;
/* video [B,F,H,W,3] in [-1,1]; F >= 1; H and W multiples of 8, H/8 and W/8 even. */
zm_detector_graph zm_detector_build(zm_build *b, const zm_detector *d, zm_tensor *video);

/* GGUF with the sizes as metadata, matrices in f16. */
ZM_MUST zm_status zm_detector_write(const zm_detector *d, const zm_params *p, const char *path, zm_error *err);
/* Open what zm_detector_write wrote: f32 copies in *params, owned by the caller as is *out.  ZM_E_MISSING,
 * ZM_E_FORMAT and ZM_E_UNSUPPORTED name the file; on failure both are NULL. */
ZM_MUST zm_status zm_detector_open(zm_detector **out, zm_params **params, const char *path, zm_error *err);

#endif
