/* zouma bench: timings as fractions of the machine's measured matrix product rate.
 * SPDX-License-Identifier: MIT */
#include "app/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "app/bench_quant.h"
#include "app/bench_rows.h"
#include "app/bench_scaling.h"
#include "app/common.h"
#include "backend/peak.h"
#include "base/mapfile.h"
#include "pipeline/memory.h"
#include "pipeline/model.h"

/* DIR/config.json of the bundled model, or the sizes it is to be trained with. */
static zm_status load_sizes(zm_bench *b, const char *given, zm_error *err)
{
    static const char *const place[] = {"config.json", "train/sizes.json"};
    if (given)
        return zm_json_load(&b->sizes, given, 1 << 20, err);
    for (size_t i = 0; b->model && i < sizeof place / sizeof *place; i++) {
        char *path = zm_path_join(b->model, "%s", place[i]);
        bool there = path && zm_path_is_file(path);
        zm_status s = there ? zm_json_load(&b->sizes, path, 1 << 20, err) : ZM_OK;
        free(path);
        if (there)
            return s;
    }
    return zm_json_load(&b->sizes, "models/toybox/train/sizes.json", 1 << 20, err);
}

static zm_status read_sizes(zm_bench *b, const char *given, zm_error *err)
{
    int64_t width = 96, height = 64, frames = 17;
    zm_status s = load_sizes(b, given, err);
    if (!s)
        s = zm_dit_config_read(&b->dit, &b->sizes, "dit", err);
    if (!s)
        s = zm_text_config_read(&b->text, &b->sizes, "text_encoder", err);
    if (!s)
        s = zm_vae_config_read(&b->vae, &b->sizes, "vae", err);
    if (!s)
        s = zm_json_int(&width, &b->sizes, "video.width", false, 16, 4096, err);
    if (!s)
        s = zm_json_int(&height, &b->sizes, "video.height", false, 16, 4096, err);
    if (!s)
        s = zm_json_int(&frames, &b->sizes, "video.frames", false, 1, 1025, err);
    if (s)
        return s;
    zm_params *p = zm_params_new(); /* an autoencoder knows its strides once it is declared */
    zm_vae *v = NULL;
    s = p ? zm_vae_declare(&v, &b->vae, p, "", err) : zm_fail(err, ZM_E_NOMEM, "out of memory for parameters");
    if (!s) {
        b->latent_frames = 1 + (int)(frames - 1) / zm_vae_temporal_stride(v);
        b->latent_height = (int)height / zm_vae_spatial_stride(v);
        b->latent_width = (int)width / zm_vae_spatial_stride(v);
    }
    zm_vae_free(v);
    zm_params_free(p);
    return s;
}

static const zm_bench_case *find_case(const char *name)
{
    for (const zm_bench_case *c = zm_bench_cases; c->name; c++)
        if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
            return c;
    return NULL;
}

static int threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static double gflops(const zm_bench_row *r)
{
    return r->gflop / (1e-3 * r->ms);
}

static void print_rows(const zm_bench *b)
{
    bool first = true;
    for (int i = 0; i < b->n; i++) {
        const zm_bench_row *r = &b->row[i];
        if (r->errors.bits > 0)
            continue; /* a table of their own */
        if (first)
            printf("%-12s %-7s %10s %8s %9s %7s  %s\n", "name", "dtype", "ms", "GFLOPS", "of peak", "RSS MB", "shape");
        first = false;
        printf("%-12s %-7s", r->name, r->dtype);
        if (strcmp(r->name, "peak") != 0)
            printf(" %10.2f", r->ms);
        else
            printf(" %10s", "-");
        if (r->gflop > 0)
            printf(" %8.1f %7.1f %%", gflops(r), 100 * gflops(r) / b->peak);
        else
            printf(" %8s %9s", "-", "-");
        printf(" %7.0f  %s\n", r->rss_mb, r->shape);
    }
    zm_bench_quant_print(b);
    fflush(stdout);
}

/* A rate that was not counted is null; the peak has no time of its own. */
static json_t *row_json(const zm_bench *b, const zm_bench_row *r)
{
    bool counted = r->gflop > 0, timed = strcmp(r->name, "peak") != 0;
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:f}", "name", r->name, "dtype", r->dtype, "shape", r->shape, "ms",
                  timed ? json_real(r->ms) : json_null(), "gflops", counted ? json_real(gflops(r)) : json_null(),
                  "peak_share", counted ? json_real(gflops(r) / b->peak) : json_null(), "rss_mb", r->rss_mb);
    if (j && r->errors.bits > 0)
        json_object_set_new(j, "quant", zm_bench_quant_json(r));
    return j;
}

static zm_status print_json(const zm_bench *b, zm_error *err)
{
    json_t *rows = json_array();
    for (int i = 0; i < b->n; i++)
        json_array_append_new(rows, row_json(b, &b->row[i]));
    json_t *j = json_pack("{s:f, s:i, s:o}", "peak_gflops", b->peak, "threads", threads(), "rows", rows);
    char *text = j ? json_dumps(j, JSON_REAL_PRECISION(6)) : NULL;
    zm_status s = text ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a report");
    if (text)
        puts(text);
    json_decref(j);
    free(text);
    return s;
}

/* The yardstick is the best rate seen over the whole run: other programs may have had the machine for a while. */
static void measure_peak(zm_bench *b, double seconds)
{
    double seen = zm_measure_peak(seconds);
    b->peak = seen > b->peak ? seen : b->peak;
}

/* A row in a narrower type than the peak is measured in. */
static bool own_peak(const zm_bench_row *r)
{
    return !strcmp(r->dtype, "int8") || (!strcmp(r->dtype, "bf16") && zm_backend_device() == ZM_DEVICE_CPU);
}

static void settle_peak(zm_bench *b)
{
    double best = 0;
    for (int i = 0; i < b->n; i++) {
        zm_bench_row *r = &b->row[i];
        if (!strcmp(r->name, "peak"))
            r->gflop = 1e-3 * r->ms * b->peak;
        else if (strcmp(r->name, "vae-decode") != 0 && !own_peak(r) && gflops(r) > best)
            best = gflops(r); /* decoding needs fewer products than are counted */
    }
    if (best > b->peak)
        fprintf(
            stderr,
            "zouma bench: a row ran at %.0f GFLOPS, above the measured peak of %.0f: the machine was busy, measure again\n",
            best, b->peak);
}

/* All cases, or the named ones; of all, one that needs a trained model is left out without one. */
static zm_status run(zm_bench *b, const char *const *names, int n, bool json, zm_error *err)
{
    measure_peak(b, b->seconds);
    zm_status s = ZM_OK;
    for (const zm_bench_case *c = zm_bench_cases; !s && c->name && !zm_app_stop; c++) {
        bool wanted = n == 0 && c->run != zm_bench_scaling;
        for (int i = 0; i < n; i++)
            wanted = wanted || find_case(names[i]) == c;
        if (!wanted)
            continue;
        s = c->run(b, err);
        if (s == ZM_E_MISSING && n == 0) {
            fprintf(stderr, "zouma bench: %s left out: %s\n", c->name, err->text);
            zm_error_clear(err);
            s = ZM_OK;
        }
        measure_peak(b, 0.2 * b->seconds);
    }
    if (s)
        return s;
    settle_peak(b);
    if (json)
        return print_json(b, err);
    print_rows(b);
    return ZM_OK;
}

int zm_cmd_bench(int argc, char **argv)
{
    enum { NAMES_MAX = 16 };
    static const char usage
        [] = "[NAME...] [--json]",
   help[] =
        "Time parts of the program on this machine, as fractions of the sgemm rate measured in the same run.\n"
        "names: peak gemm attention dit-block vae-decode text-encode train-step (or train) generate quant quality scaling; none: all but scaling.";
    const char *words[NAMES_MAX], *sizes = NULL, *device = NULL, *resident = NULL, *precision = NULL;
    bool json = false;
    zm_bench *b = calloc(1, sizeof *b);
    if (!b)
        return 1;
    b->seconds = 1;
    b->batch = 48;
    b->bands = 1;
    const zm_arg args[] = {
        {"--json", 0, ZM_ARG_FLAG, &json, 0, 0, NULL, "one JSON object"},
        {"--sizes", 0, ZM_ARG_STR, &sizes, 0, 0, "FILE", "config.json with other sizes than the bundled model's"},
        {"--batch", 0, ZM_ARG_INT, &b->batch, 1, 4096, "N", "clips of a training step [48]"},
        {"--seconds", 0, ZM_ARG_FLOAT, &b->seconds, 0.01, 600, "S",
         "measure each row for so long, at least three runs [1]"},
        {"--bands", 0, ZM_ARG_INT, &b->bands, 1, 64, "N", "decode the picture in so many bands: less memory [1]"},
        {"--picture", 0, ZM_ARG_STR, &b->picture, 0, 0, "FILE", "draw the curves of scaling (.png)"},
        {"--precision", 0, ZM_ARG_STR, &precision, 0, 0, "NAME",
         "int8, bf16 or fp8: rows of this one and of f32 alone [all that are faster here than f32]"},
        ZM_ARG_DEVICE(&device),
        {"--resident", 0, ZM_ARG_STR, &resident, 0, 0, "SIZE",
         "of weights on a card at a time, 800M ...: the others pass through it, and must give the same numbers [all]"},
        {"--nodes", 0, ZM_ARG_FLAG, &b->nodes, 0, 0, NULL, "print where each graph's time goes, kernel by kernel"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, NAMES_MAX, usage, help),
        status = n == -2 ? 0 : 2;
    for (int i = 0; i < n; i++)
        if (!find_case(words[i])) {
            fprintf(stderr, "zouma bench: there is no \"%s\" to time; zouma bench --help lists what there is\n",
                    words[i]);
            n = -1;
        }
    if (n >= 0 && resident && !zm_memory_parse(&b->resident, resident)) {
        fprintf(stderr, "zouma bench: --resident %s is not a size; 8G and 512M are\n", resident);
        n = -1;
    }
    if (n >= 0 && ((status = zm_app_device("bench", device, ZM_APP_CLIPS)) ||
                   (status = zm_app_precision("bench", precision, device, &b->only))))
        n = -1;
    if (n >= 0) {
        b->beside = precision && b->only != ZM_PRECISION_F32;
        zm_error err = {0};
        char *model = zm_model_bundled();
        b->model = model;
        zm_app_catch_signals();
        zm_status s = read_sizes(b, sizes, &err);
        if (!s)
            s = run(b, words, n, json, &err);
        status = s ? zm_app_report("bench", &err) : 0;
        zm_json_close(&b->sizes);
        free(model);
    }
    free(b);
    return status;
}
