/* The named character references of HTML 5.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_CLEAN_ENTITIES_H
#define ZM_TEXT_CLEAN_ENTITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct zm_entity {
    uint32_t c[2];
    size_t n; /* 1 or 2 characters */
} zm_entity;

/* The character(s) of "&NAME;" (case matters); false when there is no such name.  old: only names that may stand
 * without a semicolon, as "&amp" in HTML 4.  No byte of name may be NUL. */
bool zm_entity_find(zm_entity *out, const char *name, size_t bytes, bool old);
/* Bytes of the longest beginning of name, two at least, that may stand without a semicolon; 0 when there is none. */
size_t zm_entity_prefix(zm_entity *out, const char *name, size_t bytes);

#endif
