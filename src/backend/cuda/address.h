/* Where a tensor of a CUDA exec lies on the device.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_ADDRESS_H
#define ZM_BACKEND_CUDA_ADDRESS_H

#include "backend/backend.h"

/* After a run; of an output, valid until the next one. */
void *zm_cuda_address(const zm_exec *x, const zm_tensor *t);

#endif
