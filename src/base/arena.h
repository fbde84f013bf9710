/* Bump allocation with one lifetime, and checked size arithmetic.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_ARENA_H
#define ZM_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* *out = a*b or a+b; false (and *out untouched) when it does not fit in size_t. */
bool zm_size_mul(size_t *out, size_t a, size_t b);
bool zm_size_add(size_t *out, size_t a, size_t b);

typedef struct zm_arena zm_arena;

/* NULL when out of memory. */
zm_arena *zm_arena_new(void);
/* Frees everything allocated from it; NULL is fine. */
void zm_arena_free(zm_arena *a);
/* Zeroed, 64-byte aligned; NULL when out of memory. */
void *zm_arena_alloc(zm_arena *a, size_t bytes);
/* n * each with overflow checked; NULL on overflow or out of memory. */
void *zm_arena_array(zm_arena *a, size_t n, size_t each);
char *zm_arena_strdup(zm_arena *a, const char *s);
char *zm_arena_printf(zm_arena *a, const char *fmt, ...) ZM_PRINTF(2, 3);
size_t zm_arena_bytes(const zm_arena *a);

/* 64-byte aligned heap memory (not zeroed), in large pages where it is large and the system has them; free with free().  NULL when out of memory or bytes > PTRDIFF_MAX. */
void *zm_aligned_alloc(size_t bytes);

#endif
