/* A run on disk: enough to go on from its last finished step with the same result, and nothing of another run.
 *
 * One safetensors file.  Tensors: "latent" and the solver's other tensors [F,H,W,z], the prompts' embeddings and what
 * was made of the pictures, so that neither is computed again; a finished run has "latent" alone.  Metadata: the step,
 * and every setting that the result depends on, in words.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_STATE_H
#define ZM_PIPELINE_STATE_H

#include "pipeline/denoise.h"
#include "pipeline/identity.h"

/* Write the run's state to `path`, durably (beside, then renamed).  plan and contexts are left out once d is
 * finished.  ZM_E_IO, ZM_E_NOMEM; the file that was there stays then. */
ZM_MUST zm_status zm_state_save(const char *path, const zm_identity *id, const zm_denoise *d,
                                const zm_latent_plan *plan, const zm_contexts *contexts, zm_error *err);
/* Read it back into d, plan and contexts, which are of the request's sizes; those of a finished run stay as they are.
 * ZM_E_USAGE: the state of another run (names the setting that differs, and both values); ZM_E_MISSING, ZM_E_FORMAT,
 * ZM_E_IO, ZM_E_NOMEM.  On failure d->next is as it was. */
ZM_MUST zm_status zm_state_load(const char *path, const zm_identity *id, zm_denoise *d, zm_latent_plan *plan,
                                zm_contexts *contexts, zm_error *err);
/* The seed of the run or film whose state is in `path`; false: no such file, or none of ours. */
bool zm_state_seed(const char *path, uint64_t *seed);

#endif
