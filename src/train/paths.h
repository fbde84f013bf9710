/* Paths from noise to clips, walked once by a frozen teacher: what a student of few steps learns from.
 *
 * The student's schedule has `steps` steps; the teacher walks the same schedule cut `fine` times as finely, with guidance
 * (Ho & Salimans 2022, eq. 6), so that every fine-th of its points is one of the student's.  A step of a path is where
 * the student's step begins and the one velocity that leads in a straight line to where the teacher's fine steps end,
 *
 *     v = (x_end - x_start) / (sigma_end - sigma_start)
 *
 * (Salimans & Ho 2022, arXiv:2202.00512, 3; Meng et al. 2023, arXiv:2210.03142; Yan et al. 2024, PeRFlow,
 * arXiv:2405.07510, 3.1).  No clip is needed, captions are enough: paths begin at noise, where sampling begins.
 *
 * A network trained both ways (model/dit.h) walks a share of its paths as it makes films, under its mask of blocks.  Those
 * begin with none or any number of given blocks, all as often, which are where another path ended: the model's own history
 * (Huang et al. 2025, Self Forcing, arXiv:2506.08009, has the student's there).
 *
 * On the teacher's paths each step begins where the teacher's last one ended, and its solver knows the steps before.  On
 * the student's own paths the student walks, and the teacher says from each of the student's points how it would have
 * gone on: where the student errs it learns to come back.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_PATHS_H
#define ZM_TRAIN_PATHS_H

#include <signal.h>
#include <stdio.h>

#include "backend/backend.h"
#include "model/dit.h"
#include "model/lora.h"
#include "model/text_encoder.h"
#include "sample/solver.h"
#include "text/unigram.h"
#include "train/data.h"

enum { ZM_PATHS_PART = 128, ZM_PATHS_PARTS_MAX = 1024, ZM_PATHS_BATCH = 16 /* paths walked together */ };

/* The teacher, and the student that begins as it.  All borrowed. */
typedef struct zm_teacher {
    const zm_dit *dit;
    const zm_params *dit_params;
    const zm_text_encoder *text;
    const zm_params *text_params;
    const zm_tokenizer *tokenizer;
    const zm_lora *student; /* NULL: the teacher itself */
} zm_teacher;

typedef struct zm_paths_options {
    int64_t n;                 /* paths; rounded up to whole parts of ZM_PATHS_PART when there are more */
    int frames, height, width; /* of a latent */
    int steps, fine;           /* the student's, and the teacher's in each of them */
    double shift, guidance;    /* guidance 1: none */
    const zm_solver *solver;   /* the teacher's */
    double given;           /* share of paths whose first one or two latent frames are given: those of another path */
    double own;             /* share of paths that the student walks */
    double back;            /* share of paths that look back only, of a network trained both ways */
    uint64_t seed;          /* of noise */
    const char *key;        /* what made them; files with another key are made anew */
    FILE *report;           /* progress for people; NULL: silent */
    zm_precision precision; /* of the transformer's products */
    const volatile sig_atomic_t *stop; /* may be NULL; whole parts stay on disk */
} zm_paths_options;

/* One file of them, mapped. */
typedef struct zm_paths_part {
    zm_weights *file;
    int64_t n;
    const uint16_t *start, *velocity; /* f16 [n,steps,F,H,W,z] */
    const uint16_t *context;          /* f16 [n,L,text_dim], zero beyond the text */
    const int32_t *given;             /* [n] latent frames that are given */
} zm_paths_part;

typedef struct zm_paths {
    zm_schedule schedule; /* the student's */
    int64_t n;
    int frames, height, width, z, text_len, text_dim;
    int back; /* of each ZM_PATHS_BATCH paths the first so many look back only */
    int n_parts;
    zm_paths_part part[ZM_PATHS_PARTS_MAX];
} zm_paths;

/* The schedule a student of `steps` steps is sampled with: that of the Euler solver. */
ZM_MUST zm_status zm_paths_schedule(zm_schedule *out, int steps, double shift, zm_error *err);

/* Open the parts DIR/PREFIX-0.safetensors, ... and make those that are not there.  Captions come from `source`.
 * ZM_E_INTERRUPTED: stopped; ZM_E_USAGE: shares, steps or guidance that cannot be; ZM_E_SHAPE; ZM_E_IO; ZM_E_NOMEM. */
ZM_MUST zm_status zm_paths_open(zm_paths **out, const char *dir, const char *prefix, const zm_clip_source *source,
                                const zm_teacher *t, const zm_paths_options *o, zm_error *err);
void zm_paths_close(zm_paths *p);

/* How many look back only, and the k-th of those or (back false) of the others. */
int64_t zm_paths_back_count(const zm_paths *p);
int64_t zm_paths_pick(const zm_paths *p, bool back, int64_t k);

/* Step `step` of path i: start and velocity [F,H,W,z], context [L,text_dim]; the number of given frames is returned. */
int zm_paths_get(const zm_paths *p, int64_t i, int step, float *start, float *velocity, float *context);

#endif
