/* Where training of a part starts: from another model's values, also where that model is smaller or reads other pieces.
 * SPDX-License-Identifier: MIT */
#include "app/train_start.h"

#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"

enum { PIECES_OF_ONE = 64 }; /* of another tokenizer, in one piece */

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

static zm_status start_one(zm_param *p, const zm_weight *w, zm_error *err)
{
    size_t n = (size_t)zm_shape_elems(p->shape);
    if (zm_weight_elems(w) != n)
        return zm_fail(err, ZM_E_SHAPE, "%s: %s has %zu numbers, the configuration needs %zu", w->file, w->name,
                       zm_weight_elems(w), n);
    if (!zm_dtype_is_weight(w->dtype))
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: %s holds %s, training starts from floats or quantised weights",
                       w->file, w->name, zm_dtype_name(w->dtype));
    zm_dtype_to_f32(p->data, w->data, w->dtype, n);
    return ZM_OK;
}

zm_status zm_job_start_from(const zm_job *job, zm_params *p, const char *file, const char *with, const char *without,
                            zm_error *err)
{
    int found = 0, begun = 0;
    const char *first = NULL;
    zm_weights *w = NULL;
    char *path = zm_path_join(job->c.start, "%s", file);
    zm_status s = path ? zm_weights_open(&w, path, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    for (int i = 0; !s && i < zm_params_count(p); i++) {
        zm_param *at = zm_params_at(p, i);
        if (!begins(at->name, with) || (without && begins(at->name, without)))
            continue;
        const zm_weight *from;
        zm_error absent = {0};
        if (zm_weights_find(&from, w, at->name + strlen(with), &absent)) {
            first = begun++ ? first : at->name;
            continue;
        }
        s = start_one(at, from, err);
        found++;
    }
    if (!s && !found)
        s = zm_fail(err, ZM_E_MISSING, "%s: no tensor in it is one of this network", path);
    if (!s && begun && job->report)
        fprintf(job->report, "%s: %d parameters, %s first, are not in it and begin at random\n", path, begun, first);
    zm_weights_free(w);
    free(path);
    return s;
}

/* The mean of the rows that the pieces of a text have in the old table. */
static zm_status mean_row(float *out, int64_t dim, const float *old, const zm_tokenizer *was, const char *piece,
                          zm_error *err)
{
    int32_t id[PIECES_OF_ONE];
    size_t n = 0;
    char text[ZM_TEXT_MAX_PIECE_BYTES + 1];
    static const char space[] = "\xe2\x96\x81"; /* written so in pieces */
    size_t k = 0;
    for (const char *p = piece; *p && k < sizeof text - 1; k++) {
        bool blank = begins(p, space);
        text[k] = blank ? ' ' : *p;
        p += blank ? sizeof space - 1 : 1;
    }
    text[k] = 0;
    zm_status s = zm_tokenizer_encode(was, text, id, PIECES_OF_ONE, &n, NULL, err);
    if (s || n < 2) /* nothing but the end: the row stays as it is */
        return s;
    memset(out, 0, (size_t)dim * sizeof *out);
    for (size_t i = 0; i + 1 < n; i++)
        for (int64_t d = 0; d < dim; d++)
            out[d] += old[id[i] * dim + d] / (float)(n - 1);
    return ZM_OK;
}

static bool same_pieces(const zm_tokenizer *a, const zm_tokenizer *b)
{
    if (zm_tokenizer_count(a) != zm_tokenizer_count(b))
        return false;
    for (int32_t i = 0; i < (int32_t)zm_tokenizer_count(a); i++)
        if (strcmp(zm_tokenizer_piece(a, i), zm_tokenizer_piece(b, i)) != 0)
            return false;
    return true;
}

static zm_status move_rows(const zm_job *job, zm_param *table, const zm_tokenizer *was, const zm_tokenizer *now,
                           zm_error *err)
{
    int64_t rows = table->shape.dim[0], dim = table->shape.dim[1], n = (int64_t)zm_tokenizer_count(now), kept = 0;
    if (n > rows || (int64_t)zm_tokenizer_count(was) > rows)
        return zm_fail(err, ZM_E_SHAPE, "%s has %lld rows, the tokenizers have %zu and %lld pieces", table->name,
                       (long long)rows, zm_tokenizer_count(was), (long long)n);
    float *old = malloc((size_t)(rows * dim) * sizeof *old), *row = table->data;
    if (!old)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a table of %lld tokens", (long long)rows);
    memcpy(old, row, (size_t)(rows * dim) * sizeof *old);
    zm_status s = ZM_OK;
    for (int32_t i = 0; !s && i < n; i++) {
        const char *piece = zm_tokenizer_piece(now, i);
        int32_t at = zm_tokenizer_find(was, piece);
        kept += at >= 0;
        if (at >= 0)
            memcpy(row + i * dim, old + at * dim, (size_t)dim * sizeof *row);
        else
            s = mean_row(row + i * dim, dim, old, was, piece, err);
    }
    if (!s && job->report)
        fprintf(job->report, "tokenizer: %lld of %lld pieces keep the row they had in %s\n", (long long)kept,
                (long long)n, job->c.start);
    free(old);
    return s;
}

zm_status zm_job_start_tokens(const zm_job *job, zm_param *table, const zm_tokenizer *now, zm_error *err)
{
    zm_tokenizer *was = NULL;
    char *path = zm_path_join(job->c.start, "tokenizer.json");
    zm_status s = path ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    if (!s && zm_path_is_file(path))
        s = zm_tokenizer_load(&was, path, err);
    if (!s && was && !same_pieces(was, now))
        s = move_rows(job, table, was, now, err);
    zm_tokenizer_free(was);
    free(path);
    return s;
}
