/* Fixtures of schedules and solvers.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_SAMPLE_H
#define ZM_PIPELINE_PARITY_SAMPLE_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_sample;

#endif
