/* Fixtures of the Wan transformers.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_DIT_H
#define ZM_PIPELINE_PARITY_DIT_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_dit;

#endif
