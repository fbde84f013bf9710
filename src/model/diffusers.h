/* Model directories in the layout of the diffusers library: a folder and a config for each part.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_DIFFUSERS_H
#define ZM_MODEL_DIFFUSERS_H

#include "model/models.h"

bool zm_diffusers_is(const char *dir); /* has a model_index.json */

/* Fill in paths, sizes and the boundary of two experts from
 *   model_index.json, transformer/ and transformer_2/ (low noise), text_encoder/, tokenizer/, vae/, image_encoder/.
 * Sizes are read from each config.json; a part without one is left to its tensors (has_text and has_vae stay false).
 * *shift: of scheduler/scheduler_config.json, else as it was.  Errors name file and key; on failure `c` may only be
 * closed. */
ZM_MUST zm_status zm_diffusers_read(zm_model_config *c, const char *dir, double *shift, zm_error *err);

#endif
