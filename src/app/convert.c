/* zouma convert: weights of any file into one GGUF file, quantised tensor by tensor.
 * SPDX-License-Identifier: MIT */
#include "app/convert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "app/common.h"
#include "app/convert_plan.h"
#include "backend/cpu/widen.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "format/gguf_write.h"
#include "media/progress.h"

enum {
    CHUNK = 1 << 22, /* elements that are converted before they are written: at most 16 MB of them */
    PIECE = 1 << 14  /* of one thread at a time: whole blocks of every type */
};

/* One tensor on its way. */
typedef struct work {
    const zm_convert_job *job;
    float *scale; /* NULL, or n_scale factors, one for each `row` elements */
    size_t n_scale, row;
} work;

static zm_status read_scale(work *w, zm_error *err)
{
    const zm_weight *scale = w->job->scale;
    if (!scale)
        return ZM_OK;
    w->n_scale = zm_weight_elems(scale);
    w->row = zm_weight_elems(w->job->from) / w->n_scale;
    w->scale = malloc(w->n_scale * sizeof *w->scale);
    if (!w->scale)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for its scale", w->job->from->name);
    zm_dtype_to_f32(w->scale, scale->data, scale->dtype, w->n_scale);
    return ZM_OK;
}

/* Where element i, the first of a block, lies. */
static const char *place(const zm_weight *t, size_t i)
{
    return (const char *)t->data + i / zm_dtype_block_elems(t->dtype) * zm_dtype_block_bytes(t->dtype);
}

/* Elements first .. first+n-1 as f32. */
static void widen(float *out, const zm_weight *t, size_t first, size_t n)
{
    if (t->dtype == ZM_F64)
        zm_dtype_to_f32(out, place(t, first), t->dtype, n);
    else
        zm_widen()(out, place(t, first), t->dtype, n);
}

/* The same of what is to be written, at most PIECE of them. */
static void source(float *out, const work *w, size_t first, size_t n)
{
    float other[PIECE];
    widen(out, w->job->from, first, n);
    for (size_t i = 0; w->scale && i < n; i++)
        out[i] *= w->scale[(first + i) / w->row];
    if (!w->job->with)
        return;
    widen(other, w->job->with, first, n);
    for (size_t i = 0; i < n; i++)
        out[i] = 0.5F * out[i] + 0.5F * other[i];
}

/* Elements first .. first+n-1 into `out`, on all threads. */
static void convert_chunk(char *out, const work *w, size_t first, size_t n)
{
    zm_dtype to = w->job->to.dtype;
    size_t block = zm_dtype_block_elems(to), bytes = zm_dtype_block_bytes(to);
#pragma omp parallel for schedule(dynamic)
    for (size_t at = 0; at < n; at += PIECE) {
        float v[PIECE];
        size_t some = n - at < PIECE ? n - at : PIECE;
        source(v, w, first + at, some);
        zm_dtype_from_f32(out + at / block * bytes, v, to, some);
    }
}

/* What is read is let go again at once, so that memory does not grow with the file. */
static zm_status convert_one(zm_gguf_writer *to, const zm_convert_job *job, char *out, zm_error *err)
{
    const zm_weight *t = job->from;
    size_t n = zm_weight_elems(t), bytes = 0;
    bool same = job->to.dtype == t->dtype && !job->scale && !job->with;
    work w = {.job = job};
    zm_status s = read_scale(&w, err);
    for (size_t at = 0; at < n && !s && !zm_app_stop; at += CHUNK) {
        size_t some = n - at < CHUNK ? n - at : CHUNK;
        const char *from = place(t, at);
        ZM_ASSERT(zm_dtype_bytes(&bytes, job->to.dtype, some));
        if (!same)
            convert_chunk(out, &w, at, some);
        s = zm_gguf_put(to, same ? from : out, bytes, err);
        zm_map_drop(from, (size_t)(place(t, at + some) - from));
        if (job->with)
            zm_map_drop(place(job->with, at), (size_t)(place(job->with, at + some) - place(job->with, at)));
    }
    free(w.scale);
    return s;
}

static long mib(size_t bytes)
{
    return (long)(bytes >> 20);
}

static zm_status write_all(const zm_convert_plan *p, const char *path, bool quiet, zm_error *err)
{
    zm_weight *head = calloc(p->n + 1, sizeof *head);
    char *out = malloc((size_t)CHUNK * sizeof(float));
    zm_gguf_writer *to = NULL;
    zm_status s = head && out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for %zu tensors", p->n);
    size_t all = 0, done = 0;
    for (size_t i = 0; i < p->n && !s; i++) {
        head[i] = p->job[i].to;
        all += p->job[i].from->bytes;
    }
    if (!s)
        s = zm_gguf_begin(&to, path, head, p->n, p->meta, p->n_meta, err);
    zm_progress progress;
    zm_progress_start(&progress, quiet ? NULL : stderr, "convert, MiB", mib(all), false);
    for (size_t i = 0; i < p->n && !s; i++) {
        s = convert_one(to, &p->job[i], out, err);
        if (!s && zm_app_stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped at tensor %s; nothing is left behind", p->job[i].from->name);
        done += p->job[i].from->bytes;
        zm_progress_step(&progress, mib(done));
    }
    zm_progress_end(&progress, mib(done));
    if (!s)
        s = zm_gguf_commit(&to, err);
    zm_gguf_abandon(&to);
    free(out);
    free(head);
    return s;
}

static void print_size(size_t bytes)
{
    if (bytes >> 30)
        printf("%.2f GiB", (double)bytes / (1 << 30));
    else if (bytes >> 20)
        printf("%.1f MiB", (double)bytes / (1 << 20));
    else
        printf("%.1f KiB", (double)bytes / (1 << 10));
}

/* One line: sizes, tensors and bytes of each type, and why some are not of the type that was asked for. */
static void print_summary(const zm_convert_plan *p, const char *path, double seconds)
{
    static const char *const why[ZM_CONVERT_REASONS] = {[ZM_CONVERT_SMALL] = "small",
                                                        [ZM_CONVERT_SENSITIVE] = "sensitive",
                                                        [ZM_CONVERT_ROWS] = "rows not whole blocks",
                                                        [ZM_CONVERT_NUMBERS] = "integers"};
    size_t from = 0, to = 0;
    for (size_t i = 0; i < p->n; i++) {
        from += p->job[i].from->bytes;
        to += p->job[i].to.bytes;
    }
    printf("%s: ", path);
    print_size(from);
    printf(" became ");
    print_size(to);
    printf(" in %.1f s", seconds);
    for (int t = 0; t < ZM_DTYPE_COUNT; t++) {
        size_t n = 0, bytes = 0, because[ZM_CONVERT_REASONS] = {0};
        for (size_t i = 0; i < p->n; i++)
            if (p->job[i].to.dtype == (zm_dtype)t) {
                n++;
                bytes += p->job[i].to.bytes;
                because[p->job[i].why]++;
            }
        if (!n)
            continue;
        printf("; %zu %s of ", n, zm_dtype_name((zm_dtype)t));
        print_size(bytes);
        const char *open = " (";
        for (int k = 1; k < ZM_CONVERT_REASONS; k++)
            if (because[k]) {
                printf("%s%s: %zu", open, why[k], because[k]);
                open = ", ";
            }
        if (open[0] == ',')
            printf(")");
    }
    if (p->skipped)
        printf("; %zu scales, marks and notes left out", p->skipped);
    if (p->unwritable)
        printf(" (%s: no type for it in GGUF)", p->unwritable);
    printf("\n");
}

/* average: a file with which the mean is taken, or NULL. */
static zm_status convert(const char *in, const char *average, const char *out, zm_dtype type, bool quiet, zm_error *err)
{
    zm_weights *w, *other = NULL;
    zm_convert_plan p;
    double start = zm_now();
    zm_status s = zm_weights_open(&w, in, err);
    if (s)
        return s;
    s = zm_convert_plan_make(&p, w, in, type, err);
    if (!s) {
        s = average ? zm_weights_open(&other, average, err) : ZM_OK;
        if (!s && average)
            s = zm_convert_plan_average(&p, other, average, err);
        if (!s)
            s = write_all(&p, out, quiet, err);
        if (!s)
            print_summary(&p, out, zm_now() - start);
        zm_convert_plan_free(&p);
    }
    zm_weights_free(other);
    zm_weights_free(w);
    return s;
}

static bool writable(zm_dtype t)
{
    return t == ZM_F32 || t == ZM_F16 || t == ZM_BF16 || zm_dtype_is_quantised(t);
}

int zm_cmd_convert(int argc, char **argv)
{
    static const char usage[] = "IN OUT.gguf --type TYPE",
                      help[] =
                          "Write the weights of a file or directory as one GGUF file, in another type.\n"
                          "Matrices get the type; norms, biases and modulation stay f32, embeddings and heads 16 "
                          "bits, and rows that are not\nwhole blocks take a type of smaller blocks.  The sizes that "
                          "config.json gives are kept in the file.";
    const char *words[2], *type = NULL, *average = NULL;
    int64_t threads = 0;
    bool quiet = false;
    char types[160] = "";
    for (int t = 0; t < ZM_DTYPE_COUNT; t++)
        if (writable((zm_dtype)t))
            snprintf(types + strlen(types), sizeof types - strlen(types), "%s%s", *types ? " " : "",
                     zm_dtype_name((zm_dtype)t));
    const zm_arg args[] = {
        {"--type", 0, ZM_ARG_STR, &type, 0, 0, "TYPE", types},
        {"--average", 0, ZM_ARG_STR, &average, 0, 0, "FILE",
         "the mean of IN and this one, which has the same tensors: two stages of one training are often better so"},
        {"--threads", 0, ZM_ARG_INT, &threads, 1, 1024, "N", "processors to use"},
        {"--quiet", 0, ZM_ARG_FLAG, &quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 2, usage, help);
    if (n < 0)
        return n == -2 ? 0 : 2;
    zm_dtype t;
    if (n < 2 || !type) {
        fprintf(stderr, "zouma convert: %s is needed: zouma convert %s\n",
                !type ? "--type"
                : n   ? "the name of the file to write"
                      : "a file to read",
                usage);
        return 2;
    }
    if (!zm_dtype_parse(&t, type) || !writable(t)) {
        fprintf(stderr, "zouma convert: --type %s is none of: %s\n", type, types);
        return 2;
    }
#ifdef _OPENMP
    if (threads)
        omp_set_num_threads((int)threads);
#endif
    zm_app_catch_signals();
    zm_error err = {0};
    return convert(words[0], average, words[1], t, quiet, &err) ? zm_app_report("convert", &err) : 0;
}
