/* What zouma bench measures: one function a name.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_BENCH_ROWS_H
#define ZM_APP_BENCH_ROWS_H

#include "backend/backend.h"
#include "format/json.h"
#include "model/dit.h"
#include "model/text_encoder.h"
#include "model/vae.h"

/* What a stored type loses there and back, and gigabytes of f32 a second; bits 0: the row has none. */
typedef struct zm_bench_errors {
    double bits, rmse, relative;               /* bits of a weight; root mean square, and as a share of the values' */
    double published_rmse, published_relative; /* of ggml's published rule; NaN: there is none */
    double quantise_gbs, dequantise_gbs;
} zm_bench_errors;

typedef struct zm_bench_row {
    const char *name, *dtype; /* dtype: of the weights */
    char shape[192];
    double ms, gflop;       /* median of several runs; arithmetic of one run, 10^9 operations */
    double rss_mb;          /* resident after the row's runs; of vae-decode the most while it ran */
    zm_bench_errors errors; /* of zouma bench quant */
} zm_bench_row;

enum { ZM_BENCH_ROWS_MAX = 96 };
typedef struct zm_bench {
    double peak;         /* GFLOPS of sgemm, measured in this run */
    double seconds;      /* of measuring, for each row */
    int64_t batch;       /* of the training step */
    int64_t bands;       /* of decoding */
    const char *picture; /* of bench scaling; NULL: none */
    zm_precision only; /* rows of this one where a name has several; ZM_PRECISION_F32: of every one that runs here, and
                          * faster than f32 */
    bool beside;       /* and of f32 */
    size_t resident;   /* bytes of a graph's weights on a card at a time; 0: all */
    bool nodes;        /* print where each graph's time goes */
    const char *model; /* directory whose clip is made, or NULL */
    zm_json sizes;
    zm_dit_config dit;
    zm_text_config text;
    zm_vae_config vae;
    int latent_frames, latent_height, latent_width;
    zm_bench_row row[ZM_BENCH_ROWS_MAX];
    int n;
} zm_bench;

/* Add a row; flops of one run, 0 where nothing is counted.  dtype and name are borrowed for good. */
void zm_bench_keep(zm_bench *b, const char *name, const char *dtype, double seconds, double flops, const char *shape);

/* Whether rows of this precision are asked for, and run on this device. */
bool zm_bench_wants(const zm_bench *b, zm_precision p);

typedef struct zm_bench_case {
    const char *name, *alias; /* alias may be NULL */
    const char *what;
    zm_status (*run)(zm_bench *b, zm_error *err);
} zm_bench_case;
extern const zm_bench_case zm_bench_cases[]; /* ends with a NULL name */

#endif
