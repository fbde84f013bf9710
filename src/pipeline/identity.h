/* What a run is, in words: every setting and file that its result depends on.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_IDENTITY_H
#define ZM_PIPELINE_IDENTITY_H

#include "pipeline/request.h"

enum { ZM_IDENTITY_MAX = 24 };

/* Settings by name, as text.  Two runs with the same identity give the same latent. */
typedef struct zm_identity {
    int n;
    struct {
        const char *key; /* "seed"; static */
        char *value;     /* owned */
    } row[ZM_IDENTITY_MAX];
} zm_identity;

/* From a resolved request and the model's files (their headers and some of their pages are read, adapters whole).
 * Errors as opening the parts; ZM_E_NOMEM. */
ZM_MUST zm_status zm_identity_of(zm_identity *out, const zm_request *r, const zm_model *m, zm_error *err);
void zm_identity_release(zm_identity *id);

#endif
