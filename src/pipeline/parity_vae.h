/* Fixtures of the Wan autoencoders.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_PARITY_VAE_H
#define ZM_PIPELINE_PARITY_VAE_H

#include "pipeline/parity.h"

extern const zm_parity_kind zm_parity_vae;

#endif
