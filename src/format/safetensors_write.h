/* Write named tensors as one safetensors file.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_SAFETENSORS_WRITE_H
#define ZM_FORMAT_SAFETENSORS_WRITE_H

#include "format/weights.h"

/* Write `n` tensors in the given order and `n_meta` metadata strings to `path`, durably (beside, then renamed).
 * The header is padded so that data starts at a multiple of 8 bytes.  Tensors and data are borrowed until return.
 * ZM_E_USAGE: metadata that is no string, a duplicate or empty name, a quantised tensor (safetensors has no such dtype);
 * ZM_E_SHAPE: bytes do not match dims and dtype; ZM_E_IO; ZM_E_NOMEM.  On failure `path` is as it was. */
ZM_MUST zm_status zm_safetensors_write(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                                       size_t n_meta, zm_error *err);

#endif
