/* Training that starts from another model's values: a grown network, a changed tokenizer, files that do not fit.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/train_start.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "tap.h"

enum { ROWS = 12, DIM = 5 };

static char dir[64], part[96], json[96];
static float table[ROWS * DIM], bias[DIM];

/* A start directory: a part with a table and a bias under names of its own, and a tokenizer of these pieces. */
static void make_start(zm_rng *r)
{
    zm_error err = {0};
    zm_rng_normals(r, table, ROWS * DIM);
    zm_rng_normals(r, bias, DIM);
    zm_weight w[] = {
        {.name = "table", .dtype = ZM_F32, .rank = 2, .dim = {ROWS, DIM}, .data = table, .bytes = sizeof table},
        {.name = "old.bias", .dtype = ZM_F32, .rank = 1, .dim = {DIM}, .data = bias, .bytes = sizeof bias}};
    tap_ok(!zm_gguf_write(part, w, 2, NULL, 0, &err), "a part is written: %s", err.text);
}

static zm_tokenizer *tokenizer(const char *const *piece, size_t n)
{
    zm_tokenizer *t = NULL;
    zm_error err = {0};
    float score[ROWS + 1];
    for (size_t i = 0; i < n; i++)
        score[i] = i < 4 ? 0 : -1 - (float)strlen(piece[i]) / 100;
    tap_ok(!zm_tokenizer_new(&t, piece, score, NULL, n, &(zm_tokenizer_rules){0}, &err), "a tokenizer: %s", err.text);
    return t;
}

static float *copy_of(const zm_param *p)
{
    size_t n = (size_t)zm_shape_elems(p->shape) * sizeof(float);
    float *c = malloc(n);
    memcpy(c, p->data, n);
    return c;
}

static void grown(const zm_job *job)
{
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_param *t = zm_params_add(p, ZM_SHAPE(ROWS, DIM), ZM_INIT_NORMAL, true, "text.table"),
             *b = zm_params_add(p, ZM_SHAPE(DIM), ZM_INIT_NORMAL, false, "text.old.bias"),
             *more = zm_params_add(p, ZM_SHAPE(3, DIM), ZM_INIT_NORMAL, true, "text.new.weight"),
             *other = zm_params_add(p, ZM_SHAPE(ROWS, DIM), ZM_INIT_NORMAL, true, "table");
    t->scale = b->scale = more->scale = other->scale = 1;
    tap_ok(!zm_params_fill(p, 3, &err), "random values: %s", err.text);
    float *drawn = copy_of(more), *apart = copy_of(other);
    tap_ok(!zm_job_start_from(job, p, "part.gguf", "text.", NULL, &err), "a grown network starts from it: %s",
           err.text);
    tap_ok(!memcmp(t->data, table, sizeof table) && !memcmp(b->data, bias, sizeof bias), "what the file has is taken");
    tap_ok(!memcmp(more->data, drawn, 3 * DIM * sizeof *drawn), "what it lacks keeps its random start");
    tap_ok(!memcmp(other->data, apart, ROWS * DIM * sizeof *apart), "another part's parameters are left alone");
    free(drawn);
    free(apart);
    zm_params_free(p);
}

static void refused(const zm_job *job, const char *name, int64_t rows, const char *file, zm_status want,
                    const char *say)
{
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_params_add(p, ZM_SHAPE(rows, DIM), ZM_INIT_ZEROS, true, "%s", name);
    zm_status s = zm_params_fill(p, 3, &err);
    if (!s)
        s = zm_job_start_from(job, p, file, "", NULL, &err);
    tap_ok(s == want && strstr(err.text, say), "%s with %lld rows from %s is refused: %s", name, (long long)rows, file,
           err.text);
    zm_params_free(p);
}

static bool is_mean(const float *got, int a, int b)
{
    bool same = true;
    for (int d = 0; d < DIM; d++)
        same = same && fabsf(got[d] - 0.5F * (table[a * DIM + d] + table[b * DIM + d])) < 1e-6F;
    return same;
}

static void moved(const zm_job *job)
{
    static const char *const was[] = {"<pad>",
                                      "</s>",
                                      "<s>",
                                      "<unk>",
                                      "\xe2\x96\x81",
                                      "a",
                                      "b",
                                      "c",
                                      "\xe2\x96\x81"
                                      "ab"},
                             *const now[] = {"<pad>",
                                             "</s>",
                                             "<s>",
                                             "<unk>",
                                             "c",
                                             "bc",
                                             "\xe2\x96\x81",
                                             "a",
                                             "b",
                                             "\xe2\x96\x81"
                                             "abc"},
                             *const many[] = {"<pad>", "</s>", "<s>", "<unk>", "d", "e", "f",
                                              "g",     "h",    "i",   "j",     "k", "l"};
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_param *t = zm_params_add(p, ZM_SHAPE(ROWS, DIM), ZM_INIT_ZEROS, true, "table");
    tap_ok(!zm_params_fill(p, 3, &err), "a table: %s", err.text);
    float *row = t->data;
    memcpy(row, table, sizeof table);
    zm_tokenizer *old = tokenizer(was, sizeof was / sizeof *was), *new = tokenizer(now, sizeof now / sizeof *now),
                 *large = tokenizer(many, sizeof many / sizeof *many);
    tap_ok(!zm_job_start_tokens(job, t, new, &err) && !memcmp(row, table, sizeof table),
           "without a tokenizer of the start rows stay: %s", err.text);
    tap_ok(!zm_tokenizer_save(old, json, &err), "it has one: %s", err.text);
    tap_ok(!zm_job_start_tokens(job, t, old, &err) && !memcmp(row, table, sizeof table), "the same pieces: rows stay");
    tap_ok(!zm_job_start_tokens(job, t, new, &err), "other pieces: %s", err.text);
    tap_ok(!memcmp(row + 4 * DIM, table + 7 * DIM, DIM * sizeof *row) &&
               !memcmp(row + 8 * DIM, table + 6 * DIM, DIM * sizeof *row),
           "a piece takes its row along");
    tap_ok(is_mean(row + 9 * DIM, 8, 7), "a new piece begins as the mean of those it was cut into");
    zm_status s = zm_job_start_tokens(job, t, large, &err);
    tap_ok(s == ZM_E_SHAPE && strstr(err.text, "13 pieces"), "more pieces than rows are refused: %s", err.text);
    zm_tokenizer_free(old);
    zm_tokenizer_free(new);
    zm_tokenizer_free(large);
    zm_params_free(p);
}

int main(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    zm_rng r = zm_rng_init(seed, 0);
    printf("# seed %llu\n", (unsigned long long)seed);
    snprintf(dir, sizeof dir, "/tmp/zouma-start-XXXXXX");
    if (!mkdtemp(dir))
        return 1;
    snprintf(part, sizeof part, "%s/part.gguf", dir);
    snprintf(json, sizeof json, "%s/tokenizer.json", dir);
    zm_job job = {.c.start = dir};
    make_start(&r);
    grown(&job);
    refused(&job, "table", ROWS + 1, "part.gguf", ZM_E_SHAPE, "60 numbers");
    refused(&job, "strange", ROWS, "part.gguf", ZM_E_MISSING, "no tensor in it");
    refused(&job, "table", ROWS, "absent.gguf", ZM_E_MISSING, "absent.gguf");
    moved(&job);
    unlink(part);
    unlink(json);
    rmdir(dir);
    return tap_done();
}
