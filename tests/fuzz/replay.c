/* Run a fuzz target without libFuzzer: seeds, their truncations at every 1/64, and a fixed sequence of mutations.
 *   fuzz_NAME [--seconds S] [--write-seeds DIR] [FILE...]
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "fuzz.h"

unsigned char *zm_fuzz_seed(unsigned i, size_t *size) __attribute__((weak));

enum { SEEDS_MAX = 64, FILE_BYTES_MAX = 8 << 20, ROUNDS_MIN = 200 };

static struct {
    unsigned char *at;
    size_t n;
} seeds[SEEDS_MAX];
static unsigned n_seeds;
static unsigned long long n_runs;

/* Exactly `n` bytes on the heap, so that a sanitizer sees one byte too far. */
static void run(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    n_runs++;
}

static void add_seed(unsigned char *at, size_t n)
{
    if (n_seeds == SEEDS_MAX) {
        free(at);
        return;
    }
    seeds[n_seeds].at = at;
    seeds[n_seeds++].n = n;
}

static void add_copy(const void *data, size_t n)
{
    unsigned char *at = malloc(n + 1);
    if (!at)
        abort();
    memcpy(at, data, n);
    add_seed(at, n);
}

/* For targets without seeds of their own. */
static void add_common_seeds(void)
{
    static const unsigned char png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9c\x63\x60\x60\x60\x60"
        "\0\0\0\5\0\1\xa5\xf6\x45\x40\0\0\0\0IEND\xae\x42\x60\x82";
    static const char json[] = "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0.0], "
                               "[\"a\", -1.5], [\"\xe8\xb5\xb0\", -2.25]]}}";
    unsigned char count[256];
    for (int i = 0; i < 256; i++)
        count[i] = (unsigned char)i;
    add_copy("", 0);
    add_copy(png, sizeof png - 1);
    add_copy(json, sizeof json - 1);
    add_copy(count, sizeof count);
}

static void truncations(unsigned s)
{
    for (size_t k = 0; k <= 64; k++)
        run(seeds[s].at, seeds[s].n * k / 64);
}

static void overwrite(unsigned char *b, size_t n, zm_rng *r)
{
    static const unsigned char edges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '[', '{', '-', '0', ':', '\n'};
    for (uint32_t k = 1 + zm_rng_below(r, 4); k && n; k--) {
        size_t at = zm_rng_below(r, (uint32_t)n);
        switch (zm_rng_below(r, 4)) {
        case 0:
            b[at] = (unsigned char)zm_rng_u32(r);
            break;
        case 1:
            b[at] ^= (unsigned char)(1u << zm_rng_below(r, 8));
            break;
        case 2:
            b[at] = edges[zm_rng_below(r, sizeof edges)];
            break;
        default: /* a whole little-endian number */
            for (size_t i = at; i < at + 8 && i < n; i++)
                b[i] = zm_rng_below(r, 3) ? 0xff : 0;
        }
    }
}

/* A seed with bytes overwritten, a part doubled or removed, or the tail of another one. */
static void mutate(zm_rng *r)
{
    unsigned s = zm_rng_below(r, n_seeds), o = zm_rng_below(r, n_seeds);
    size_t n = seeds[s].n, m = seeds[o].n, used = n;
    unsigned char *b = malloc(2 * n + m + 1);
    if (!b)
        abort();
    memcpy(b, seeds[s].at, n);
    size_t from = n ? zm_rng_below(r, (uint32_t)n) : 0, len = n ? zm_rng_below(r, (uint32_t)(n - from) + 1) : 0;
    switch (zm_rng_below(r, 6)) {
    case 0:
        memmove(b + from + len, b + from, n - from);
        used = n + len;
        break;
    case 1:
        memmove(b + from, b + from + len, n - from - len);
        used = n - len;
        break;
    case 2:
        len = m ? zm_rng_below(r, (uint32_t)m) : 0;
        memcpy(b + from, seeds[o].at + len, m - len);
        used = from + m - len;
        break;
    default:
        break;
    }
    overwrite(b, used, r);
    run(b, used);
    free(b);
}

static int write_seeds(const char *dir)
{
    zm_error err = {0};
    zm_status s = zm_mkdirs(dir, &err);
    for (unsigned i = 0; i < n_seeds && !s; i++) {
        zm_save to;
        char *path = zm_path_join(dir, "seed-%u", i);
        s = path ? zm_save_open(&to, path, &err) : ZM_E_NOMEM;
        if (!s && !(s = zm_save_write(&to, seeds[i].at, seeds[i].n, &err)))
            s = zm_save_commit(&to, &err);
        free(path);
    }
    if (s)
        fprintf(stderr, "%s\n", err.text);
    return s != ZM_OK;
}

int main(int argc, char **argv)
{
    double seconds = 2;
    const char *out = NULL;
    for (int i = 1; i < argc; i++) {
        char *text;
        size_t n;
        zm_error err = {0};
        if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (!strcmp(argv[i], "--write-seeds") && i + 1 < argc)
            out = argv[++i];
        else if (!zm_file_read(&text, &n, argv[i], FILE_BYTES_MAX, &err))
            add_seed((unsigned char *)text, n);
        else
            fprintf(stderr, "%s\n", err.text);
    }
    size_t n;
    unsigned char *at;
    for (unsigned i = 0; zm_fuzz_seed && (at = zm_fuzz_seed(i, &n)); i++)
        add_seed(at, n);
    if (!n_seeds)
        add_common_seeds();
    if (out)
        return write_seeds(out);
    double start = zm_now();
    zm_rng r = zm_rng_init(1, 64);
    for (unsigned i = 0; i < n_seeds; i++)
        truncations(i);
    for (unsigned k = 0; k < ROUNDS_MIN || zm_now() - start < seconds; k++)
        mutate(&r);
    printf("1..1\nok 1 - %llu inputs from %u seeds in %.1f s, peak %zu MiB\n", n_runs, n_seeds, zm_now() - start,
           zm_peak_rss_bytes() >> 20);
    for (unsigned i = 0; i < n_seeds; i++)
        free(seeds[i].at);
    return 0;
}
