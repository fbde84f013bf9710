/* Messages for people on stderr; the library itself stays silent unless a sink is set.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_LOG_H
#define ZM_BASE_LOG_H

#include "base/error.h"

typedef enum { ZM_LOG_DEBUG, ZM_LOG_INFO, ZM_LOG_WARN } zm_log_level;
typedef void (*zm_log_sink)(zm_log_level level, const char *text, void *user);

/* NULL silences.  Set once at start, before threads exist. */
void zm_log_set(zm_log_sink sink, zm_log_level lowest, void *user);
void zm_log(zm_log_level level, const char *fmt, ...) ZM_PRINTF(2, 3);

#endif
