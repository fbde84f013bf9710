/* The page of zouma explain: what is written, and the sections it is made of.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EXPLAIN_PAGE_H
#define ZM_APP_EXPLAIN_PAGE_H

#include "app/html.h"
#include "pipeline/explain.h"

/* Everything borrowed. */
typedef struct zm_explain_page {
    const zm_explanation *x;
    const zm_model *m;
    char *clip; /* the clip as a file in memory; NULL: this build writes none */
    size_t clip_bytes;
    const char *clip_type; /* "image/apng", "video/mp4" */
    double encode_s;       /* what writing it took */
    int argc;              /* of the command that makes the clip again: words to be quoted, after the command's name */
    const char *argv[64];
    const char *out; /* the page's own name */
    int pictures;    /* --pictures; 0: not told */
} zm_explain_page;

/* The whole document.  Errors are the helper's: h->status. */
void zm_explain_write(zm_html *h, const zm_explain_page *p);

/* Its sections. */
void zm_explain_steps(zm_html *h, const zm_explain_page *p);     /* noise levels; the picture at each step */
void zm_explain_guidance(zm_html *h, const zm_explain_page *p);  /* the velocity with and without the prompt */
void zm_explain_attention(zm_html *h, const zm_explain_page *p); /* which patch attends to which word */
void zm_explain_cost(zm_html *h, const zm_explain_page *p);      /* time, arithmetic, memory */

/* What a column of the maps stands for: a token's spelling without the mark of its space, or the empty rows. */
void zm_explain_column(zm_html *h, const zm_explain_page *p, int column);

#endif
