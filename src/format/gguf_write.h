/* Write named tensors as one GGUF file (version 3, alignment 32).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_GGUF_WRITE_H
#define ZM_FORMAT_GGUF_WRITE_H

#include "format/weights.h"

/* Write `n` tensors in the given order and `n_meta` metadata values to `path`, durably (beside, then renamed).
 * F32 F16 BF16 Q8_0 F64 I32 I64 can be written; a Q8_0 tensor's last dim must be a multiple of 32.  More than 4 dims
 * are written as they are: ggml itself refuses them, loaders of video models accept them.  A scalar is written as
 * one dim of 1.  "general.architecture", which ggml's own loaders expect, is the caller's to give.
 * ZM_E_USAGE: duplicate or empty name or key, name over 63 bytes, ZM_META_OTHER; ZM_E_SHAPE: bytes do not match dims
 * and dtype; ZM_E_UNSUPPORTED: dtype; ZM_E_IO; ZM_E_NOMEM.  On failure `path` is as it was. */
ZM_MUST zm_status zm_gguf_write(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                                size_t n_meta, zm_error *err);

#endif
