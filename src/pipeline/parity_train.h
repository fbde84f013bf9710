/* Fixtures of training: gradients, adapters, optimiser traces.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_TRAIN_H
#define ZM_PIPELINE_PARITY_TRAIN_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_train;

#endif
