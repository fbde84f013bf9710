/* Training state on disk: written beside and renamed, so that a kill at any instant leaves the old or the new.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TRAIN_CHECKPOINT_H
#define ZM_TRAIN_CHECKPOINT_H

#include "train/optimizer.h"

/* Save all state of `o` and the number of finished steps.  ZM_E_IO, ZM_E_NOMEM. */
ZM_MUST zm_status zm_checkpoint_save(const char *path, zm_opt *o, int64_t step, const char *fingerprint, zm_error *err);
/* Load it back; *step receives the finished steps.  ZM_E_MISSING: no such file; ZM_E_FORMAT: made by another
 * configuration (fingerprint), or a tensor is missing or has another shape. */
ZM_MUST zm_status zm_checkpoint_load(const char *path, zm_opt *o, int64_t *step, const char *fingerprint,
                                     zm_error *err);

#endif
