/* Folding the zero rows of prompts' embeddings.
 * SPDX-License-Identifier: MIT */
#include "pipeline/fold.h"

#include <stdlib.h>
#include <string.h>

#include "model/dit.h"

enum { ROUND = 8 };

zm_status zm_contexts_init(zm_contexts *c, int n, int len, int dim, zm_error *err)
{
    *c = (zm_contexts){.n = n, .len = len, .dim = dim};
    c->at = calloc((size_t)n * (size_t)len, (size_t)dim * sizeof *c->at);
    return c->at ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for prompts of %d x %d numbers", len, dim);
}

void zm_contexts_release(zm_contexts *c)
{
    free(c->at);
    *c = (zm_contexts){0};
}

static int rows_used(const zm_contexts *c, int i)
{
    int used = c->len;
    for (; used > 0; used--) {
        const float *row = c->at + ((size_t)i * (size_t)c->len + (size_t)used - 1) * (size_t)c->dim;
        for (int k = 0; k < c->dim; k++)
            if (row[k] != 0)
                return used;
    }
    return 0;
}

zm_status zm_fold_init(zm_fold *f, const zm_contexts *of, zm_error *err)
{
    zm_fold_release(f);
    f->of = of;
    for (int i = 0; i < of->n; i++) {
        f->len[i] = rows_used(of, i);
        int rows = zm_dit_folded_rows(f->len[i], of->len);
        f->rows = rows > f->rows ? rows : f->rows;
    }
    f->rows = (f->rows + ROUND - 1) / ROUND * ROUND;
    f->rows = f->rows < of->len ? f->rows : of->len;
    size_t cells = 2 * (size_t)of->len; /* a graph that was built for a longer prompt is served too */
    f->context = calloc(cells, (size_t)of->dim * sizeof *f->context);
    f->bias = calloc(cells, sizeof *f->bias);
    f->visible = calloc(2, sizeof *f->visible);
    if (f->context && f->bias && f->visible)
        return ZM_OK;
    zm_fold_release(f);
    return zm_fail(err, ZM_E_NOMEM, "no memory for prompts of %d x %d numbers", of->len, of->dim);
}

void zm_fold_release(zm_fold *f)
{
    free(f->context);
    free(f->bias);
    free(f->visible);
    *f = (zm_fold){0};
}

void zm_fold_context(zm_fold *f, int first, int batch, int rows, int dim)
{
    for (int b = 0; b < batch; b++)
        memcpy(f->context + (size_t)b * (size_t)rows * (size_t)dim,
               f->of->at + (size_t)(first + b) * (size_t)f->of->len * (size_t)dim,
               (size_t)rows * (size_t)dim * sizeof *f->context);
}

void zm_fold_bias(zm_fold *f, int first, int batch, int rows)
{
    for (int b = 0; b < batch; b++)
        zm_dit_fold_padding(f->bias + (size_t)b * (size_t)rows, &f->visible[b], rows, f->len[first + b], f->of->len);
}
