/* What both weight writers check before a byte is written.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_WRITE_CHECK_H
#define ZM_FORMAT_WRITE_CHECK_H

#include "format/weights.h"

/* Names and keys clean (no control characters), non-empty, at most `name_max` bytes, unique; dims >= 0 and their
 * dtype's bytes equal to t->bytes; data is there where bytes are, unless it comes `later`.  ZM_E_USAGE, ZM_E_SHAPE, ZM_E_NOMEM; the sentence begins with `path`. */
ZM_MUST zm_status zm_write_check(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                                 size_t n_meta, size_t name_max, bool later, zm_error *err);

#endif
