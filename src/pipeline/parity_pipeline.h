/* Whole pipelines of the official code: from noise and embeddings to a video.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_PIPELINE_H
#define ZM_PIPELINE_PARITY_PIPELINE_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_pipeline;

#endif
