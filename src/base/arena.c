/* Bump allocation with one lifetime, and checked size arithmetic.
 * SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ALIGN = 64,
    BLOCK_BYTES = 64 * 1024,
    HUGE = 2 << 20,     /* a large page: fewer faults, fewer misses of addresses */
    HUGE_FROM = 8 << 20 /* bytes from which memory asks for them */
};

typedef struct block {
    struct block *next;
    size_t used, size; /* bytes of payload */
    size_t pad[5];     /* keeps the payload 64-byte aligned */
} block;

struct zm_arena {
    block *head;
    size_t bytes;
};

bool zm_size_mul(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool zm_size_add(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out);
}

void *zm_aligned_alloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX - HUGE)
        return NULL;
    size_t align = bytes < HUGE_FROM ? ALIGN : HUGE, rounded = (bytes + align - 1) & ~(align - 1);
    void *at = aligned_alloc(align, rounded ? rounded : ALIGN);
#ifdef MADV_HUGEPAGE
    if (at && align == HUGE)
        (void)madvise(at, bytes / HUGE * HUGE, MADV_HUGEPAGE); /* not its end, which would become larger than asked */
#endif
    return at;
}

zm_arena *zm_arena_new(void)
{
    return calloc(1, sizeof(zm_arena));
}

void zm_arena_free(zm_arena *a)
{
    if (!a)
        return;
    for (block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

void *zm_arena_alloc(zm_arena *a, size_t bytes)
{
    if (bytes > PTRDIFF_MAX / 2)
        return NULL;
    bytes = bytes ? (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    block *b = a->head;
    if (!b || b->size - b->used < bytes) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = zm_aligned_alloc(sizeof *b + size);
        if (!b)
            return NULL;
        *b = (block){.next = a->head, .size = size};
        a->head = b;
    }
    void *at = (char *)(b + 1) + b->used;
    b->used += bytes;
    a->bytes += bytes;
    return memset(at, 0, bytes);
}

void *zm_arena_array(zm_arena *a, size_t n, size_t each)
{
    size_t bytes;
    return zm_size_mul(&bytes, n, each) ? zm_arena_alloc(a, bytes) : NULL;
}

char *zm_arena_strdup(zm_arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *out = zm_arena_alloc(a, n);
    return out ? memcpy(out, s, n) : NULL;
}

char *zm_arena_printf(zm_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *out = n < 0 ? NULL : zm_arena_alloc(a, (size_t)n + 1);
    if (out)
        vsnprintf(out, (size_t)n + 1, fmt, again);
    va_end(again);
    return out;
}

size_t zm_arena_bytes(const zm_arena *a)
{
    return a->bytes;
}
