/* What a clip is asked to be, with everything left open filled in from the model.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_REQUEST_H
#define ZM_PIPELINE_REQUEST_H

#include "backend/backend.h"
#include "pipeline/model.h"

/* A picture [height,width,3] in -1..1; borrowed wherever it is passed. */
typedef struct zm_image {
    const float *rgb;
    int width, height; /* pixels; any size */
} zm_image;

/* What is computed otherwise, given by the caller: comparisons with other programs.  All borrowed. */
typedef struct zm_supplied {
    const float *context[2]; /* [rows,text_dim] of the prompt and of the negative prompt; NULL: encode the texts */
    int rows[2];             /* at most the network's text_len */
    const float *noise;      /* [F,H,W,z] of the latent; NULL: drawn from the seed */
    const float *features;   /* [feature_rows,img_dim] of the first picture; NULL: from the picture encoder */
    int feature_rows;
} zm_supplied;

/* Frames that are there before the clip is made: [n,height,width,3] of the request's size in -1..1; all borrowed.  T is
 * the model's time_stride. */
typedef struct zm_known {
    const float *head; /* the clip begins with these n_head = 1 + T k frames; NULL: free */
    int n_head;
    const float *tail; /* it ends with these n_tail = T k frames */
    int n_tail;
    const float
        *all;        /* every frame of a clip that is changed: 1 + T (F-1) of them; its first n_head stay (head NULL) */
    double strength; /* how far `all` is noised first, in (0,1] */
    const uint8_t *repaint; /* [F,H,W] of the latent: 1: made anew, 0: stays what `all` has; NULL: everything anew */
} zm_known;

/* Zeros and NULLs mean the model's own defaults. */
typedef struct zm_request {
    const char *prompt;   /* UTF-8, not empty (unless its embedding is supplied) */
    const char *negative; /* what to steer away from; NULL: the model's */
    int width, height;    /* pixels; multiples of the model's grid; 0: the model's, in the shape of `first` */
    int frames;           /* 4n+1 (loops 4n); others are rounded up and the surplus is cut off */
    int span; /* frames that are made together, the surplus is cut off; 0: `frames`, or the model's own length
                             for a picture by a model that learnt no pictures */
    double fps;
    int steps;
    double guidance;     /* classifier-free guidance scale (Ho & Salimans 2022, eq. 6); 1: none; 0: the model's */
    double guidance_low; /* of the low-noise expert; 0: guidance where that is given, else the model's */
    /* Noise levels, 0 to 1, between which guidance works (Kynkaanniemi et al. 2024, arXiv:2404.07724); beyond them only
     * the prompt's branch is computed.  Both 0: everywhere. */
    double guidance_from, guidance_to;
    double shift;
    const char *solver;
    const char *quality;    /* of sample/skip.h's table: how evaluations are saved; NULL: "best", none are */
    zm_precision precision; /* of the transformer's steps and of decoding */
    uint64_t seed;
    const zm_image *first, *last; /* pictures that the clip begins and ends with; NULL: free */
    const zm_known *known;        /* frames of a larger video; instead of `first` and `last`; NULL: none */
    bool loop; /* the frames stand on a circle: the first follows the last (P4 of pipeline/latent_plan.h) */
    const zm_supplied *supplied; /* NULL: nothing */
    /* Of models that look back only, which make a clip block by block. */
    bool whole;      /* all latent frames at once instead, as other models do; implied where a later frame is given, and
                        for models trained both ways unless `blocks` */
    bool blocks;     /* block by block, also of models trained both ways */
    bool onward;     /* another clip will go on after this one's last block */
    int64_t at;      /* latent frames that it goes on after, whole blocks; 0: it begins */
    uint64_t before; /* set by the generator: which ones they were */
} zm_request;

/* Fill in what the request left to the model and check it.  ZM_E_USAGE names the value and what would do: sizes off
 * the grid, an unknown solver, few steps of a model that was not taught them, a picture for a model that takes none, none for a model that needs one. */
ZM_MUST zm_status zm_request_resolve(zm_request *r, const zm_model *m, zm_error *err);

/* The words of the prompt that the model never learnt, "word, word"; *out NULL when it knows them all or when its
 * vocabulary is that of a language; malloc'd. */
ZM_MUST zm_status zm_request_unknown(const zm_request *r, const zm_model *m, char **out, zm_error *err);

/* How pictures enter a model, told by its sizes. */
typedef enum {
    ZM_IMAGE_NONE,     /* text alone */
    ZM_IMAGE_FRAMES,   /* latent frames given outright, told to the network by a timestep of 0 */
    ZM_IMAGE_CHANNELS, /* a mask and an encoded clip as further channels: needs a picture */
} zm_image_way;
zm_image_way zm_image_way_of(const zm_model *m);

/* Pixels that width and height must be multiples of. */
void zm_request_grid(const zm_model *m, int *x, int *y);
/* The size on the model's grid that is nearest to width x height in shape, at about the model's own area. */
void zm_request_size_like(const zm_model *m, int width, int height, int *out_width, int *out_height);

/* Latent frames that are made together, one such block after the other; 0: all of the clip's. */
int zm_request_block(const zm_request *r, const zm_model *m);

/* Frames, rows and columns of the latent of a resolved request: of all that is made together. */
typedef struct zm_latent_size {
    int frames, height, width, z;
    int64_t each; /* numbers in all */
} zm_latent_size;
zm_latent_size zm_latent_size_of(const zm_request *r, const zm_model *m);

#endif
