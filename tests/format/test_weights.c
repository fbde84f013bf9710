/* Weight files written and read back: every dtype, container and metadata kind, and the exact bytes of GGUF.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "bytes.h"
#include "format/gguf_write.h"
#include "format/safetensors_write.h"
#include "format/weights.h"
#include "scratch.h"
#include "tap.h"

enum { TENSORS = 40 };

static zm_arena *arena;

/* Random dims of rank 0 to 5, some of them 0, with random bytes. */
static void random_tensor(zm_weight *t, zm_rng *r, int i, zm_dtype dtype)
{
    *t = (zm_weight){.name = zm_arena_printf(arena, "blocks.%d.%s", i, i % 3 ? "weight" : "\xe8\xb5\xb0.\"q\"\\"),
                     .dtype = dtype,
                     .rank = (int)zm_rng_below(r, 6)};
    int64_t block = (int64_t)zm_dtype_block_elems(dtype);
    if (block > 1 && !t->rank)
        t->rank = 1;
    size_t n = 1;
    for (int k = 0; k < t->rank; k++) {
        t->dim[k] = zm_rng_below(r, 8) ? 1 + zm_rng_below(r, 7) : 0;
        if (k == t->rank - 1)
            t->dim[k] *= block;
        n *= (size_t)t->dim[k];
    }
    if (!zm_dtype_bytes(&t->bytes, dtype, n))
        abort();
    unsigned char *data = zm_arena_alloc(arena, t->bytes + 1);
    for (size_t k = 0; k < t->bytes; k++)
        data[k] = (unsigned char)zm_rng_u32(r);
    t->data = data;
}

static int same(const zm_weight *a, const zm_weight *b)
{
    if (strcmp(a->name, b->name) || a->dtype != b->dtype || a->bytes != b->bytes)
        return 0;
    int rank = b->rank;
    if (a->rank != rank && !(rank == 0 && a->rank == 1 && a->dim[0] == 1)) /* GGUF has no scalars */
        return 0;
    for (int i = 0; i < rank; i++)
        if (a->dim[i] != b->dim[i])
            return 0;
    return !memcmp(a->data, b->data, a->bytes);
}

static void check_all(const char *path, const zm_weight *t, const char *container, size_t metas)
{
    zm_error err = {0};
    zm_weights *w;
    if (!tap_ok(zm_weights_open(&w, path, &err) == ZM_OK, "%s opens: %s", container, err.text))
        return;
    tap_equal_str(zm_weights_container(w), container, "container");
    tap_equal_i64((long long)zm_weights_count(w), TENSORS, "count");
    tap_equal_i64((long long)zm_weights_meta_count(w), (long long)metas, "metadata count");
    int wrong = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        const zm_weight *got;
        wrong += !same(zm_weights_at(w, i), &t[i]);
        wrong += zm_weights_find(&got, w, t[i].name, &err) || got != zm_weights_at(w, i);
        if (!strcmp(container, "gguf"))
            wrong += ((uintptr_t)got->data & 31) != 0;
    }
    tap_equal_i64(wrong, 0, "tensors come back as they were");
    const zm_weight *none;
    tap_equal_i64(zm_weights_find(&none, w, "blocks.1.weigh", &err), ZM_E_MISSING, "absent tensor");
    tap_ok(strstr(err.text, "blocks.1.weigh among") && strstr(err.text, "nearest"), "%s", err.text);
    zm_weights_free(w);
}

static void safetensors_round(zm_rng *r)
{
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F64, ZM_I32, ZM_I64, ZM_U8, ZM_F8_E4M3, ZM_F8_E5M2};
    zm_weight t[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        random_tensor(&t[i], r, i, types[i % (int)(sizeof types / sizeof *types)]);
    const zm_meta meta[] = {{.key = "format", .type = ZM_META_STR, .str = "pt", .n = 2},
                            {.key = "rank", .type = ZM_META_STR, .str = "16", .n = 2}};
    const char *path = scratch("round.safetensors");
    zm_error err = {0};
    tap_ok(!zm_safetensors_write(path, t, TENSORS, meta, 2, &err), "safetensors written: %s", err.text);
    check_all(path, t, "safetensors", 2);
    zm_weights *w;
    uint64_t rank = 0;
    if (zm_weights_open(&w, path, &err))
        return;
    tap_equal_str(zm_weights_meta_str(w, "format"), "pt", "metadata string");
    tap_ok(zm_weights_meta_u64(w, "rank", &rank) && rank == 16, "a number in a string: %d", (int)rank);
    tap_ok(!zm_weights_meta_u64(w, "format", &rank) && !zm_weights_meta(w, "absent"), "no number, no key");
    zm_weights_free(w);
}

static void check_meta(const char *path)
{
    zm_error err = {0};
    zm_weights *w;
    uint64_t u = 0;
    double f = 0;
    if (!tap_ok(!zm_weights_open(&w, path, &err), "opens: %s", err.text))
        return;
    tap_equal_str(zm_weights_meta_str(w, "general.architecture"), "wan", "string");
    tap_ok(zm_weights_meta_u64(w, "small", &u) && u == 7, "u32 %llu", (unsigned long long)u);
    tap_ok(zm_weights_meta_u64(w, "large", &u) && u == 1ull << 40, "u64 %llu", (unsigned long long)u);
    tap_ok(!zm_weights_meta_u64(w, "negative", &u), "a negative number is no u64");
    tap_ok(zm_weights_meta_f64(w, "negative", &f) && f == -5, "i32 %g", f);
    tap_ok(zm_weights_meta_f64(w, "half", &f) && f == 0.5, "f32 %g", f);
    tap_ok(zm_weights_meta_f64(w, "tenth", &f) && f == 0.1, "f64 %.17g", f);
    tap_ok(zm_weights_meta_u64(w, "flag", &u) && u == 1 && zm_weights_meta(w, "flag")->type == ZM_META_BOOL, "bool");
    const zm_meta *m = zm_weights_meta(w, "tokens");
    tap_ok(m && m->type == ZM_META_STRS && m->n == 3 && !strcmp(m->strs[2], "c") && m->lens[1] == 2 &&
               !memcmp(m->strs[1], "\0b", 3),
           "strings, one with a NUL in it");
    m = zm_weights_meta(w, "scores");
    tap_ok(m && m->type == ZM_META_F32S && m->n == 2 && m->f32s[1] == -2.5f, "f32 array");
    m = zm_weights_meta(w, "kinds");
    tap_ok(m && m->type == ZM_META_I32S && m->n == 3 && m->i32s[2] == -9, "i32 array");
    zm_weights_free(w);
}

static void gguf_round(zm_rng *r)
{
    static const zm_dtype types[] = {ZM_F32,  ZM_F16,  ZM_BF16, ZM_Q8_0, ZM_F64,  ZM_I32,  ZM_I64,  ZM_Q4_0,
                                     ZM_Q4_1, ZM_Q5_0, ZM_Q5_1, ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
    zm_weight t[TENSORS];
    for (int i = 0; i < TENSORS; i++)
        random_tensor(&t[i], r, i, types[i % (int)(sizeof types / sizeof *types)]);
    const char *const tokens[] = {"a", "\0b", "c"};
    const size_t lens[] = {1, 2, 1};
    const float scores[] = {1, -2.5f};
    const int32_t kinds[] = {1, 2, -9};
    const zm_meta meta[] = {
        {.key = "general.architecture", .type = ZM_META_STR, .str = "wan", .n = 3},
        {.key = "small", .type = ZM_META_U64, .u64 = 7},
        {.key = "large", .type = ZM_META_U64, .u64 = 1ull << 40},
        {.key = "negative", .type = ZM_META_I64, .i64 = -5},
        {.key = "half", .type = ZM_META_F64, .f64 = 0.5},
        {.key = "tenth", .type = ZM_META_F64, .f64 = 0.1},
        {.key = "flag", .type = ZM_META_BOOL, .u64 = 1},
        {.key = "tokens", .type = ZM_META_STRS, .n = 3, .strs = tokens, .lens = lens},
        {.key = "scores", .type = ZM_META_F32S, .n = 2, .f32s = scores},
        {.key = "kinds", .type = ZM_META_I32S, .n = 3, .i32s = kinds},
    };
    const char *path = scratch("round.bin"); /* told by content, not by name */
    zm_error err = {0};
    tap_ok(!zm_gguf_write(path, t, TENSORS, meta, 10, &err), "GGUF written: %s", err.text);
    check_all(path, t, "gguf", 10);
    check_meta(path);
}

/* The layout itself, byte by byte, against a file put together here from the format's description. */
static void gguf_bytes(void)
{
    static const float a[6] = {0, 1, 2, 3, 4, 5};
    unsigned char q[34];
    for (int i = 0; i < 34; i++)
        q[i] = (unsigned char)(i * 7);
    const zm_weight t[] = {
        {.name = "a", .dtype = ZM_F32, .rank = 2, .dim = {2, 3}, .data = a, .bytes = 24},
        {.name = "b", .dtype = ZM_Q8_0, .rank = 2, .dim = {1, 32}, .data = q, .bytes = 34},
    };
    const zm_meta meta[] = {{.key = "general.architecture", .type = ZM_META_STR, .str = "wan", .n = 3},
                            {.key = "n", .type = ZM_META_U64, .u64 = 3}};
    bytes want = {0};
    put_gguf_head(&want, 2, 2);
    put_gguf_str(&want, "general.architecture");
    put_uint(&want, 8, 4);
    put_gguf_str(&want, "wan");
    put_gguf_str(&want, "n");
    put_uint(&want, 4, 4);
    put_uint(&want, 3, 4);
    put_gguf_tensor(&want, "a", 3, 2, 0, 0);
    put_gguf_tensor(&want, "b", 32, 1, 8, 32);
    put_zeros(&want, (32 - want.n % 32) % 32);
    put(&want, a, 24);
    put_zeros(&want, 8);
    put(&want, q, 34);
    put_zeros(&want, 30);
    zm_error err = {0};
    char *got = NULL;
    size_t n = 0;
    const char *path = scratch("bytes.gguf");
    int s = zm_gguf_write(path, t, 2, meta, 2, &err) || zm_file_read(&got, &n, path, 1 << 20, &err);
    tap_ok(!s, "written %s", err.text);
    tap_equal_i64((long long)n, (long long)want.n, "GGUF size");
    tap_ok(got && n == want.n && !memcmp(got, want.at, n), "GGUF bytes");
    free(got);
    free(want.at);
}

static void writer_refusals(void)
{
    static const float x[4];
    zm_error err = {0};
    const char *path = scratch("refused");
    zm_weight t[2] = {{.name = "a", .dtype = ZM_F32, .rank = 1, .dim = {4}, .data = x, .bytes = 16},
                      {.name = "a", .dtype = ZM_F32, .rank = 1, .dim = {4}, .data = x, .bytes = 16}};
    tap_equal_i64(zm_safetensors_write(path, t, 2, NULL, 0, &err), ZM_E_USAGE, "duplicate name");
    zm_error_clear(&err);
    t[1].name = "b";
    t[1].bytes = 12;
    tap_equal_i64(zm_gguf_write(path, t, 2, NULL, 0, &err), ZM_E_SHAPE, "bytes against dims");
    tap_ok(strstr(err.text, "tensor b is given 12 bytes, dims of f32 need 16") != NULL, "%s", err.text);
    zm_error_clear(&err);
    t[1] = (zm_weight){.name = "u", .dtype = ZM_U8, .rank = 1, .dim = {4}, .data = x, .bytes = 4};
    tap_equal_i64(zm_gguf_write(path, t, 2, NULL, 0, &err), ZM_E_UNSUPPORTED, "U8 in GGUF");
    zm_error_clear(&err);
    t[1] = (zm_weight){.name = "line\nbreak", .dtype = ZM_F32, .rank = 0, .data = x, .bytes = 4};
    tap_equal_i64(zm_safetensors_write(path, t, 2, NULL, 0, &err), ZM_E_USAGE, "control character in a name");
    zm_error_clear(&err);
    const zm_meta meta = {.key = "n", .type = ZM_META_U64, .u64 = 1};
    tap_equal_i64(zm_safetensors_write(path, t, 1, &meta, 1, &err), ZM_E_USAGE, "a number in safetensors metadata");
    tap_ok(!zm_path_is_file(path), "nothing is left behind");
    zm_error_clear(&err);
    tap_equal_i64(zm_safetensors_write(scratch("absent/x"), t, 1, NULL, 0, &err), ZM_E_IO, "no such directory");
}

static void pth_read(void)
{
    bytes b = make_pth();
    zm_error err = {0};
    zm_weights *w;
    const zm_weight *t;
    if (tap_ok(!zm_weights_open_memory(&w, b.at, b.n, "x.pth", &err), "PyTorch file opens: %s", err.text)) {
        tap_equal_str(zm_weights_container(w), "pth", "container");
        tap_equal_i64((long long)zm_weights_count(w), 3, "tensors");
        tap_ok(!zm_weights_find(&t, w, "w", &err) && t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3 &&
                   t->dtype == ZM_F32 && ((const unsigned char *)t->data)[23] == 23,
               "w is [2, 3]: %s", err.text);
        tap_ok(!zm_weights_find(&t, w, "tail", &err) && *(const unsigned char *)t->data == 16, "offset of a view");
        tap_equal_i64(zm_weights_find(&t, w, "h", &err), ZM_E_UNSUPPORTED, "an I8 tensor opens but is not given");
        zm_weights_free(w);
    }
    free(b.at);
}

static void gguf_extras(void)
{
    bytes b = make_gguf();
    zm_error err = {0};
    zm_weights *w;
    const zm_weight *t;
    if (tap_ok(!zm_weights_open_memory(&w, b.at, b.n, "x.gguf", &err), "GGUF of many kinds opens: %s", err.text)) {
        double n = 0;
        tap_ok(zm_weights_meta_f64(w, "n", &n) && n == -2, "i16 %g", n);
        tap_equal_i64(zm_weights_find(&t, w, "q", &err), ZM_E_UNSUPPORTED, "IQ4_XS opens but is not given");
        tap_equal_str(err.text, "x.gguf: tensor q has dtype IQ4_XS, which this build cannot compute with", "sentence");
        zm_weights_free(w);
    }
    free(b.at);
    b = (bytes){0};
    put_gguf_head(&b, 1, 1);
    put_gguf_str(&b, "comfy.gguf.orig_shape.p");
    put_uint(&b, 9, 4);
    put_uint(&b, 5, 4);
    put_uint(&b, 5, 8);
    for (uint64_t i = 1; i <= 5; i++)
        put_uint(&b, i, 4);
    put_gguf_tensor(&b, "p", 20, 6, 0, 0);
    put_zeros(&b, (32 - b.n % 32) % 32 + 480);
    zm_error_clear(&err);
    if (tap_ok(!zm_weights_open_memory(&w, b.at, b.n, "x.gguf", &err), "flattened tensor opens: %s", err.text)) {
        t = zm_weights_at(w, 0);
        tap_ok(t->rank == 5 && t->dim[0] == 1 && t->dim[4] == 5, "its five dims are restored");
        zm_weights_free(w);
    }
    free(b.at);
}

int main(void)
{
    zm_rng r = zm_rng_init(scratch_seed(), 1);
    arena = zm_arena_new();
    for (int i = 0; i < 5; i++) {
        safetensors_round(&r);
        gguf_round(&r);
    }
    gguf_bytes();
    gguf_extras();
    pth_read();
    writer_refusals();
    zm_arena_free(arena);
    return tap_done();
}
