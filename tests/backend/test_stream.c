/* Streamed weights: the same numbers, and resident memory that keeps to the limit.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "ops/matmul.h"
#include "tap.h"

enum { LAYERS = 40, WIDTH = 1024, LEAF = WIDTH * WIDTH * 4, LIMIT = 4 * LEAF };

/* Kilobytes of file pages resident now; -1: the system does not tell. */
static long resident_file_kb(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];
    long kb = -1;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssFile: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static bool write_file(const char *path, zm_rng *rng)
{
    FILE *f = fopen(path, "wbe");
    float *v = malloc(LEAF);
    bool good = f && v;
    for (int i = 0; good && i < LAYERS; i++) {
        zm_rng_normals(rng, v, WIDTH * WIDTH);
        for (int k = 0; k < WIDTH * WIDTH; k++)
            v[k] /= 32;
        good = fwrite(v, LEAF, 1, f) == 1;
    }
    free(v);
    return f && !fclose(f) && good;
}

/* A chain of products; the numbers after two runs, malloc'd. */
static float *run(const zm_map *m, const float *x, size_t resident, long *most_kb)
{
    zm_graph *g = zm_graph_new();
    zm_exec *e = NULL;
    zm_error err = {0};
    zm_tensor *in = zm_input(g, ZM_F32, ZM_SHAPE(8, WIDTH), "x"), *t = in;
    for (int i = 0; i < LAYERS; i++) {
        union {
            const void *in;
            void *out;
        } at = {.in = m->at + (size_t)i * LEAF};
        t = zm_linear(g, t, zm_external(g, ZM_F32, ZM_SHAPE(WIDTH, WIDTH), at.out, "w"), NULL, ZM_TANH);
    }
    zm_output(g, t);
    float *out = malloc(8 * WIDTH * sizeof *out);
    if (zm_graph_finish(g, &err) || zm_exec_new(&e, g, &(zm_exec_options){.resident_bytes = resident}, &err))
        printf("# %s\n", err.text);
    for (int i = 0; e && i < 2; i++) {
        zm_exec_write(e, in, x);
        if (zm_exec_run(e, &err))
            printf("# %s\n", err.text);
        long kb = resident_file_kb();
        *most_kb = kb > *most_kb ? kb : *most_kb;
    }
    if (e)
        zm_exec_read(e, t, out);
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 8);
    char path[64];
    zm_map m = {0};
    zm_error err = {0};
    float x[8 * WIDTH];
    printf("# seed %llu\n", (unsigned long long)rng.seed);
    zm_rng_normals(&rng, x, 8 * WIDTH);
    snprintf(path, sizeof path, "/tmp/zouma-stream-%d", (int)getpid());
    if (!write_file(path, &rng) || zm_map_open(&m, path, &err)) {
        tap_ok(false, "a file of %d MB: %s", LAYERS * LEAF >> 20, err.text);
        return tap_done();
    }
    tap_ok(zm_map_holds(m.at, m.size) && zm_map_holds(m.at + 5, 7) && !zm_map_holds(m.at + 5, m.size) &&
               !zm_map_holds(x, 4),
           "a mapping knows its bytes");
    long before = resident_file_kb(), streamed_kb = 0, all_kb = 0;
    float *streamed = run(&m, x, LIMIT, &streamed_kb), *all = run(&m, x, 0, &all_kb);
    tap_ok(!memcmp(streamed, all, 8 * WIDTH * sizeof *all), "streamed and resident weights give the same bits");
    if (before < 0) {
        tap_skip("resident file pages", "this system does not tell resident file pages");
    } else {
        tap_ok(streamed_kb - before <= (LIMIT >> 10) + 4096, "%ld MB of %d stayed, %d were allowed",
               (streamed_kb - before) >> 10, LAYERS * LEAF >> 20, LIMIT >> 20);
        tap_ok(all_kb - before >= LAYERS * (LEAF >> 10) * 9 / 10, "without a limit all %ld MB stay",
               (all_kb - before) >> 10);
    }
    free(streamed);
    free(all);
    zm_map_close(&m);
    tap_ok(!zm_map_holds(m.at, 1), "and is forgotten when it is closed");
    remove(path);
    return tap_done();
}
