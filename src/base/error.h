/* Status codes and the one-sentence error every fallible function fills in.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_ERROR_H
#define ZM_BASE_ERROR_H

#include <stddef.h>

/* One row per status: code, name printed for people and tests. */
#define ZM_STATUS_TABLE(X)                                                                                             \
    X(ZM_OK, "ok")                                                                                                     \
    X(ZM_E_USAGE, "usage")             /* the caller asked for something that makes no sense (exit status 2) */        \
    X(ZM_E_IO, "io")                   /* the system refused: open, read, write, rename, disk full */                  \
    X(ZM_E_FORMAT, "format")           /* bytes of a file are not what the format says */                              \
    X(ZM_E_UNSUPPORTED, "unsupported") /* well formed, but not something this build can do */                          \
    X(ZM_E_NOMEM, "memory")            /* no memory, or a budget would be broken */                                    \
    X(ZM_E_SHAPE, "shape")             /* tensor shapes or dtypes do not fit together */                               \
    X(ZM_E_MISSING, "missing")         /* a file, tensor or key that is needed is not there */                         \
    X(ZM_E_INTERRUPTED, "interrupted") /* the user asked to stop */

typedef enum {
#define ZM_STATUS_ENUM(code, name) code,
    ZM_STATUS_TABLE(ZM_STATUS_ENUM)
#undef ZM_STATUS_ENUM
} zm_status;

/* A caller's error slot.  `{0}` is a valid empty one.  text is one complete sentence (UTF-8, no newline). */
typedef struct zm_error {
    zm_status code;
    char text[512];
} zm_error;

#if defined(__GNUC__)
#define ZM_MUST              __attribute__((warn_unused_result))
#define ZM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ZM_NORETURN          __attribute__((noreturn))
#else
#define ZM_MUST
#define ZM_PRINTF(fmt, args)
#define ZM_NORETURN
#endif

/* Write the sentence into *err (err may be NULL) and return `code`.  Keeps the first error: if *err already
 * holds one, the text stays and the stored code is returned. */
zm_status zm_fail(zm_error *err, zm_status code, const char *fmt, ...) ZM_PRINTF(3, 4);

/* Put "PREFIX: " in front of a sentence already in *err; no effect on an empty one. */
void zm_error_prefix(zm_error *err, const char *fmt, ...) ZM_PRINTF(2, 3);

/* Forget a stored error so that the slot can be used again. */
void zm_error_clear(zm_error *err);

const char *zm_status_name(zm_status code);

/* For our own bugs, never for input. */
#define ZM_ASSERT(cond) ((cond) ? (void)0 : zm_assert_failed(#cond, __FILE__, __LINE__))
ZM_NORETURN void zm_assert_failed(const char *cond, const char *file, int line);

#endif
