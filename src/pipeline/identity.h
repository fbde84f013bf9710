/* What a run is, in words: every setting and file that its result depends on.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_IDENTITY_H
#define ZM_PIPELINE_IDENTITY_H

#include "pipeline/request.h"

enum { ZM_IDENTITY_MAX = 28 };

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
/* One setting more; when memory runs out zm_identity_check says so. */
void zm_identity_add(zm_identity *id, const char *key, const char *fmt, ...) ZM_PRINTF(3, 4);
/* ZM_E_NOMEM (*id released): a value could not be kept. */
ZM_MUST zm_status zm_identity_check(zm_identity *id, zm_error *err);
/* h and what the picture is; NULL changes nothing. */
uint64_t zm_identity_hash_image(const zm_image *i, uint64_t h);
void zm_identity_release(zm_identity *id);

#endif
