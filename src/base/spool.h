/* A file without a name, for bytes that wait on disk instead of in memory.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BASE_SPOOL_H
#define ZM_BASE_SPOOL_H

#include <stdio.h>

#include "base/error.h"

/* Empty, to be read and written, gone when closed.  It lies beside `path` (which need not exist); NULL: where the system
 * puts temporaries, which may be memory.  ZM_E_NOMEM; ZM_E_IO: none can be written there. */
ZM_MUST zm_status zm_spool_open(FILE **out, const char *path, zm_error *err);

#endif
