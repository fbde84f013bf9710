/* "Did you mean": the closest of a few names.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_NEAREST_H
#define ZM_FORMAT_NEAREST_H

#include <stddef.h>

/* Edits (insert, delete, replace one byte) that turn `a` into `b`; names over 95 bytes count as 1000 apart. */
size_t zm_edit_distance(const char *a, const char *b);

#endif
