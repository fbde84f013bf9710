/* Fixtures of the UMT5 encoder.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_TEXT_H
#define ZM_PIPELINE_PARITY_TEXT_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_text;

#endif
