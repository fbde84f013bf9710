/* Text encoding.
 * SPDX-License-Identifier: MIT */
#include "pipeline/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/text_cache.h"
#include "text/clean.h"

struct zm_prompts {
    zm_model *m;
    zm_exec_options opt;
    zm_graph *g;
    zm_exec *exec; /* NULL: not built */
    zm_text_inputs in;
    zm_tensor *out;
    int batch, len; /* of the graph */
};

/* The ids of one text and where its embedding goes. */
typedef struct job {
    int32_t *ids; /* [text_len] */
    int n;
    float *to; /* [text_len,text_dim] of zeros */
} job;

zm_status zm_prompts_new(zm_prompts **out, zm_model *m, const zm_exec_options *opt, zm_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a text encoder");
    (*out)->m = m;
    (*out)->opt = *opt;
    return ZM_OK;
}

static void graph_close(zm_prompts *p)
{
    zm_exec_free(p->exec);
    zm_graph_free(p->g);
    p->exec = NULL;
    p->g = NULL;
}

void zm_prompts_free(zm_prompts *p)
{
    if (!p)
        return;
    graph_close(p);
    free(p);
}

static zm_status graph_open(zm_prompts *p, int batch, int len, zm_error *err)
{
    if (p->exec && p->batch == batch && p->len == len)
        return ZM_OK;
    graph_close(p);
    zm_status s = zm_model_need(p->m, ZM_PART_TEXT, err);
    if (s)
        return s;
    const zm_part *part = &p->m->part[ZM_PART_TEXT];
    if (!(p->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(p->g, part->params, false, false);
    p->in = zm_text_input_leaves(&b, part->text, batch, len);
    p->out = zm_output(p->g, zm_text_encoder_build(&b, part->text, &p->in));
    s = zm_graph_finish(p->g, err);
    if (!s)
        s = zm_exec_new(&p->exec, p->g, &p->opt, err);
    if (s)
        graph_close(p);
    p->batch = batch;
    p->len = len;
    return s;
}

/* All jobs in one run: the weights pass through memory once. */
static zm_status run(zm_prompts *p, const job *j, int n, int len, int dim, zm_error *err)
{
    zm_status s = graph_open(p, n, len, err);
    if (s)
        return s;
    int32_t *ids = calloc((size_t)n * (size_t)len, sizeof *ids), rows[2];
    float *out = malloc((size_t)n * (size_t)len * (size_t)dim * sizeof *out);
    if (!ids || !out)
        s = zm_fail(err, ZM_E_NOMEM, "no memory for prompts of %d tokens", len);
    for (int i = 0; !s && i < n; i++) {
        memcpy(ids + (size_t)i * (size_t)len, j[i].ids, (size_t)j[i].n * sizeof *ids);
        rows[i] = j[i].n;
    }
    if (!s) {
        zm_exec_write(p->exec, p->in.ids, ids);
        zm_exec_write(p->exec, p->in.len, rows);
        s = zm_exec_run(p->exec, err);
    }
    if (!s)
        zm_exec_read(p->exec, p->out, out);
    for (int i = 0; !s && i < n; i++) /* rows beyond the text stay zero, as the network was trained */
        memcpy(j[i].to, out + (size_t)i * (size_t)len * (size_t)dim, (size_t)rows[i] * (size_t)dim * sizeof *out);
    free(ids);
    free(out);
    return s;
}

/* Prompts of the official models are cleaned first; a tokenizer of our own has its rules in its file. */
zm_status zm_prompt_tokens(const zm_model *m, const char *text, int32_t *ids, size_t cap, size_t *n, size_t *whole,
                           zm_error *err)
{
    char *clean = NULL;
    zm_status s = ZM_OK;
    if (zm_tokenizer_get_rules(m->tokenizer)->charsmap)
        s = zm_text_clean(&clean, text, err);
    if (!s)
        s = zm_tokenizer_encode(m->tokenizer, clean ? clean : text, ids, cap, n, whole, err);
    free(clean);
    return s;
}

/* Embeddings that lie on disk from an earlier run; *all: every one did. */
static zm_status recall(zm_prompts *p, const job *j, int n, int dim, uint64_t *weights, bool *all, zm_error *err)
{
    *all = false;
    zm_status s = zm_model_part_key(weights, p->m, ZM_PART_TEXT, err);
    for (int i = 0; !s && i < n; i++)
        if (!zm_text_cache_get(j[i].to, *weights, j[i].ids, j[i].n, dim))
            return ZM_OK;
    *all = !s;
    return s;
}

static zm_status encode(zm_prompts *p, const zm_request *r, zm_contexts *c, zm_error *err)
{
    const char *text[2] = {r->prompt, r->negative};
    job j[2];
    int longest = 0;
    int32_t *ids = calloc((size_t)c->n * (size_t)c->len, sizeof *ids);
    zm_status s = ids ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a prompt");
    for (int i = 0; !s && i < c->n; i++) {
        j[i] = (job){.ids = ids + i * c->len, .to = c->at + (int64_t)i * c->len * c->dim};
        size_t n = 0;
        s = zm_prompt_tokens(p->m, text[i], j[i].ids, (size_t)c->len, &n, NULL, err);
        j[i].n = (int)n;
        longest = j[i].n > longest ? j[i].n : longest;
    }
    /* An encoder of gigabytes is not run twice for a prompt. */
    bool known = false, remember = !p->m->keep;
    uint64_t weights = 0;
    if (!s && remember)
        s = recall(p, j, c->n, c->dim, &weights, &known, err);
    /* A graph that is kept fits every prompt; one that is not need not be longer than this one. */
    if (!s && !known)
        s = run(p, j, c->n, p->m->keep ? c->len : longest, c->dim, err);
    for (int i = 0; !s && !known && remember && i < c->n; i++)
        zm_text_cache_put(j[i].to, weights, j[i].ids, j[i].n, c->dim);
    free(ids);
    if (!p->m->keep)
        graph_close(p);
    zm_model_drop(p->m, ZM_PART_TEXT);
    return s;
}

static zm_status supply(const zm_supplied *given, zm_contexts *c, zm_error *err)
{
    memset(c->at, 0, (size_t)c->n * (size_t)c->len * (size_t)c->dim * sizeof *c->at);
    for (int i = 0; i < c->n; i++) {
        if (given->rows[i] < 0 || given->rows[i] > c->len || !given->context[i])
            return zm_fail(err, ZM_E_USAGE, "an embedding of %d rows; the transformer takes at most %d", given->rows[i],
                           c->len);
        memcpy(c->at + (int64_t)i * c->len * c->dim, given->context[i],
               (size_t)given->rows[i] * (size_t)c->dim * sizeof *c->at);
    }
    return ZM_OK;
}

zm_status zm_prompts_encode(zm_prompts *p, const zm_request *r, zm_contexts *c, zm_error *err)
{
    if (r->supplied && r->supplied->context[0])
        return supply(r->supplied, c, err);
    memset(c->at, 0, (size_t)c->n * (size_t)c->len * (size_t)c->dim * sizeof *c->at);
    return encode(p, r, c, err);
}
