/* Where training of a part starts: from another model's values, also where that model is smaller or reads other pieces.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_TRAIN_START_H
#define ZM_APP_TRAIN_START_H

#include "app/train_job.h"
#include "text/unigram.h"

/* Fill the parameters of p whose name begins with `with` (cut off in the file) and not with `without` (NULL: none) from
 * START/file; p is filled already (zm_params_fill).  A parameter that the file lacks keeps its random start, so that a
 * network may be grown by blocks whose last map starts as zero; how many is said in the report.
 * ZM_E_MISSING: no such file, or nothing in it that p needs; ZM_E_SHAPE: another shape, naming file and tensor. */
ZM_MUST zm_status zm_job_start_from(const zm_job *job, zm_params *p, const char *file, const char *with,
                                    const char *without, zm_error *err);

/* Rows of a token table [V,D] (f32, filled from START) put where `now` has their pieces; a piece that START's tokenizer
 * does not have begins as the mean of the pieces that its tokenizer cuts it into.  Nothing is done where START has no
 * tokenizer.json or the same pieces.  ZM_E_SHAPE: a tokenizer with more pieces than rows; ZM_E_NOMEM. */
ZM_MUST zm_status zm_job_start_tokens(const zm_job *job, zm_param *table, const zm_tokenizer *now, zm_error *err);

#endif
