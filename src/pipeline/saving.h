/* When a run is written to disk, and when its file goes.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_SAVING_H
#define ZM_PIPELINE_SAVING_H

#include "pipeline/generate.h"
#include "pipeline/state.h"

/* One run's book-keeping. */
typedef struct zm_saver {
    const zm_saving *opt; /* NULL: nothing is ever written */
    const zm_watch *watch;
    const zm_model *m;
    const zm_request *r;
    zm_identity id; /* empty until it is needed: files are looked into for it */
    double started, last;
    bool wrote, warned; /* a file of this run is there; a failure was told once */
} zm_saver;

/* Everything borrowed until zm_saver_end. */
void zm_saver_begin(zm_saver *s, zm_model *m, const zm_request *r, const zm_watch *watch);
/* Take up the run on disk when that is asked for and there is one; *resumed says so.  Errors as of zm_state_load. */
ZM_MUST zm_status zm_saver_resume(zm_saver *s, zm_denoise *d, zm_latent_plan *plan, zm_contexts *c, bool *resumed,
                                  zm_error *err);
/* After a step, or when the loop is done: write if it is time.  A failure is told once and does not stop the run. */
void zm_saver_step(zm_saver *s, const zm_denoise *d, const zm_latent_plan *plan, const zm_contexts *c);
/* The run failed or was stopped at this point: write what is worth it; *err may get a hint how to go on. */
void zm_saver_failed(zm_saver *s, const zm_denoise *d, const zm_latent_plan *plan, const zm_contexts *c, zm_error *err);
/* The clip is finished: the file goes, or keeps the latent. */
void zm_saver_done(zm_saver *s);
void zm_saver_end(zm_saver *s);

/* Remove what processes that are gone left beside `path` while they wrote it (PATH.part-PID). */
void zm_sweep_parts(const char *path);

#endif
