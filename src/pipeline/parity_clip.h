/* Fixtures of the CLIP picture encoder.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_CLIP_H
#define ZM_PIPELINE_PARITY_CLIP_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_clip;

#endif
