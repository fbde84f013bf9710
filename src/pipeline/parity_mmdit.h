/* Fixtures of the multimodal diffusion transformer.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_MMDIT_H
#define ZM_PIPELINE_PARITY_MMDIT_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_mmdit;

#endif
