/* Broken and hostile weight files are refused with a sentence that names what is wrong.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rng.h"
#include "bytes.h"
#include "format/safetensors_write.h"
#include "format/weights.h"
#include "scratch.h"
#include "tap.h"

/* A copy of exactly the right size, so that a sanitizer sees one byte too far. */
static zm_status open_copy(zm_weights **w, const void *data, size_t n, zm_error *err)
{
    static void *copy;
    free(copy);
    copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, data, n);
    zm_status s = zm_weights_open_memory(w, copy, n, "x.bin", err);
    if (!n) {
        free(copy);
        copy = NULL;
    }
    return s;
}

/* Open and refuse: `want` must be in the sentence. */
static void refuse(bytes b, zm_status code, const char *want)
{
    zm_error err = {0};
    zm_weights *w;
    zm_status s = open_copy(&w, b.at, b.n, &err);
    tap_ok(s == code && !w && strstr(err.text, want) && !strncmp(err.text, "x.bin", 5) && !strchr(err.text, '\n'),
           "%s: \"%.200s\" has \"%s\"", zm_status_name(s), err.text, want);
    if (!s)
        zm_weights_free(w);
    free(b.at);
}

static void refuse_header(const char *header, size_t data, const char *want)
{
    refuse(make_safetensors(header, data), ZM_E_FORMAT, want);
}

static void safetensors_cases(void)
{
    bytes b = make_safetensors("{}", 0);
    b.at[7] = 0x10;
    refuse(b, ZM_E_FORMAT, "header of 1152921504606846978 bytes runs past the end at byte 10");
    refuse(make_safetensors("{", 0), ZM_E_FORMAT, "x.bin:1:1");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
                  ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
                  12, "tensor b at byte");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
                  "tensor a: data_offsets [0, 8] are not inside the 7 data bytes");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "data_offsets [8, 0]");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "data_offsets [-8, 0]");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
                  "hold 8 bytes, dims of F32 need 12");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "dim 0 is -2");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", 8, "dim 0 is not an integer");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,16],\"data_offsets\":[0,8]}}", 8,
                  "dims overflow at dim 1 = 16");
    refuse_header("{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 8,
                  "4611686018427387904 elements of F64 overflow");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8, "x.bin:1:");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "rank 9");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
                  16, "duplicate");
    refuse_header("{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "u0000");
    refuse_header("{\"a\\u001b[1m\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
                  "control characters");
    refuse_header("{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "name is empty");
    refuse_header("{\"a\":{\"dtype\":5,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"dtype\" is not a name");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "\"shape\" is not a list");
    refuse_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "\"data_offsets\"");
    refuse_header("{\"a\":[1,2]}", 8, "not an object");
    refuse_header("{\"__metadata__\":{\"a\":1}}", 8, "__metadata__");
    refuse_header("{} x", 8, "x.bin:1:");
}

static void deep_nesting(void)
{
    bytes json = {0};
    put_str(&json, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        put_str(&json, "[");
    put_uint(&json, 0, 1);
    refuse(make_safetensors((char *)json.at, 8), ZM_E_FORMAT, "nested deeper than 64");
    free(json.at);
}

static void gguf_one(uint64_t inner, uint64_t outer, uint32_t type, uint64_t offset, zm_status code, const char *want)
{
    bytes b = {0};
    put_gguf_head(&b, 1, 0);
    put_gguf_tensor(&b, "t", inner, outer, type, offset);
    put_zeros(&b, 256);
    refuse(b, code, want);
}

static void gguf_meta(uint32_t type, uint32_t element, uint64_t n, zm_status code, const char *want)
{
    bytes b = {0};
    put_gguf_head(&b, 0, 1);
    put_gguf_str(&b, "key");
    put_uint(&b, type, 4);
    put_uint(&b, element, 4);
    put_uint(&b, n, 8);
    put_zeros(&b, 40);
    refuse(b, code, want);
}

static void gguf_cases(void)
{
    bytes b = {0};
    put_gguf_head(&b, 1ull << 60, 0);
    refuse(b, ZM_E_FORMAT, "1152921504606846976 tensors");
    b = (bytes){0};
    put_gguf_head(&b, 0, 1ull << 60);
    refuse(b, ZM_E_FORMAT, "1152921504606846976 metadata values");
    b = (bytes){0};
    put_gguf_head(&b, 0, 0);
    b.at[4] = 1;
    refuse(b, ZM_E_UNSUPPORTED, "GGUF version 1");
    b = (bytes){0};
    put_gguf_head(&b, 0, 0);
    memcpy(b.at + 4, "\0\0\0\3", 4);
    refuse(b, ZM_E_UNSUPPORTED, "big-endian");
    gguf_one(4, 4, 0, 1 << 20, ZM_E_FORMAT, "64 bytes at offset 1048576 run past");
    gguf_one(4, 4, 0, UINT64_MAX - 8, ZM_E_FORMAT, "run past");
    gguf_one(1ull << 33, 1ull << 33, 0, 0, ZM_E_FORMAT, "overflow");
    gguf_one(1ull << 63, 1, 0, 0, ZM_E_FORMAT, "dim 0 is 9223372036854775808");
    gguf_one(33, 1, 8, 0, ZM_E_FORMAT, "innermost dim 33 is not a multiple of 32");
    gguf_meta(9, 8, 1ull << 60, ZM_E_FORMAT, "array of 1152921504606846976 strings");
    gguf_meta(9, 6, 1ull << 62, ZM_E_FORMAT, "4611686018427387904 values run past");
    gguf_meta(9, 9, 1, ZM_E_UNSUPPORTED, "array of type 9");
    gguf_meta(9, 77, 1, ZM_E_FORMAT, "array of type 77");
    gguf_meta(13, 0, 1, ZM_E_FORMAT, "has type 13");
    b = (bytes){0};
    put_gguf_head(&b, 2, 0);
    put_gguf_tensor(&b, "t", 4, 1, 0, 0);
    put_gguf_tensor(&b, "u", 4, 1, 0, 12);
    put_zeros(&b, 256);
    refuse(b, ZM_E_FORMAT, "overlaps tensor t");
    b = (bytes){0};
    put_gguf_head(&b, 2, 0);
    put_gguf_tensor(&b, "t", 4, 1, 0, 0);
    put_gguf_tensor(&b, "t", 4, 1, 0, 32);
    put_zeros(&b, 256);
    refuse(b, ZM_E_FORMAT, "tensor t appears twice");
    b = (bytes){0};
    put_gguf_head(&b, 1, 0);
    put_uint(&b, 3, 8);
    put(&b, "a\0b", 3);
    put_zeros(&b, 256);
    refuse(b, ZM_E_FORMAT, "control characters");
    b = (bytes){0};
    put_gguf_head(&b, 0, 1);
    put_gguf_str(&b, "general.alignment");
    put_uint(&b, 4, 4);
    put_uint(&b, 24, 4);
    refuse(b, ZM_E_FORMAT, "general.alignment is 24");
    b = (bytes){0};
    put_gguf_head(&b, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_gguf_str(&b, "k");
        put_uint(&b, 0, 4);
        put_uint(&b, 24, 1);
    }
    refuse(b, ZM_E_FORMAT, "metadata key k appears twice");
}

static void pickle_case(const char *ops, size_t n, zm_status code, const char *want)
{
    bytes p = {0};
    put(&p, ops, n);
    refuse(make_pth_of(p), code, want);
}

#define PICKLE(ops) ops, sizeof ops - 1

static void pth_cases(void)
{
    pickle_case(PICKLE(""), ZM_E_FORMAT, "cut off");
    pickle_case(PICKLE("}"), ZM_E_FORMAT, "cut off");
    pickle_case(PICKLE("."), ZM_E_FORMAT, "empty stack");
    pickle_case(PICKLE("]."), ZM_E_UNSUPPORTED, "not a dict");
    pickle_case(PICKLE("u."), ZM_E_FORMAT, "no mark");
    pickle_case(PICKLE("}h\x09."), ZM_E_FORMAT, "unknown memo index");
    pickle_case(PICKLE("}r\xff\xff\xff\xff."), ZM_E_FORMAT, "memo index out of range");
    pickle_case(PICKLE("cos\nsystem\nX\x02\0\0\0id\x85i."), ZM_E_UNSUPPORTED, "operation 0x69");
    pickle_case(PICKLE("X\xff\xff\xff\x7f"), ZM_E_FORMAT, "cut off");
    /* A dict that holds itself ends at the depth limit, and doubling dicts end at the budget. */
    bytes p = {0};
    put_str(&p, "}q");
    put_uint(&p, 0, 1);
    for (int i = 0; i < 200; i++) {
        put_pickle_text(&p, "k");
        put_str(&p, "h");
        put_uint(&p, 0, 1);
        put_str(&p, "s");
    }
    put_str(&p, ".");
    refuse(make_pth_of(p), ZM_E_FORMAT, "repeats its dicts without bound");
    p = (bytes){0};
    put_str(&p, "}(");
    put_pickle_tensor(&p, "w", "FloatStorage", "0", 1, 2, 3);
    put_str(&p, "u.");
    refuse(make_pth_of(p), ZM_E_FORMAT, "tensor w: 24 bytes from element 1 of a storage of 24 bytes");
    p = (bytes){0};
    put_str(&p, "}(");
    put_pickle_tensor(&p, "w", "FloatStorage", "7", 1, 2, 3);
    put_str(&p, "u.");
    refuse(make_pth_of(p), ZM_E_FORMAT, "its storage is not in the archive");
    p = (bytes){0};
    put_str(&p, "}(");
    put_pickle_tensor(&p, "w", "FloatStorage", "0", 0, 0xffffffff, 3);
    put_str(&p, "u.");
    refuse(make_pth_of(p), ZM_E_FORMAT, "dim 0 is not a number of 0 or more");
}

/* Every prefix of a good file must be refused, or be a file whose tensors all lie inside it; then random flips. */
static void mutations(bytes good, const char *name, zm_rng *r)
{
    size_t opened = 0, flips = 3000;
    for (size_t n = 0; n < good.n + flips; n++) {
        zm_error err = {0};
        zm_weights *w;
        size_t bytes_used = n < good.n ? n : good.n;
        unsigned char *copy = malloc(good.n);
        memcpy(copy, good.at, good.n);
        if (n >= good.n)
            for (uint32_t k = 1 + zm_rng_below(r, 3); k; k--)
                copy[zm_rng_below(r, (uint32_t)good.n)] = (unsigned char)zm_rng_u32(r);
        if (!open_copy(&w, copy, bytes_used, &err)) {
            unsigned sum = 0;
            for (size_t i = 0; i < zm_weights_count(w); i++) {
                const zm_weight *t = zm_weights_at(w, i);
                for (size_t k = 0; k < t->bytes; k++)
                    sum += ((const unsigned char *)t->data)[k]; /* the sanitizer watches */
            }
            opened += sum != 1u << 31;
            zm_weights_free(w);
        } else if (!*err.text) {
            tap_ok(0, "%s: a refusal without a sentence at %zu", name, n);
        }
        free(copy);
    }
    tap_ok(opened < good.n + flips, "%s: %zu of %zu mutants open", name, opened, good.n + flips);
    free(good.at);
}

static void shard_index(const char *dir, const char *text)
{
    char name[256];
    snprintf(name, sizeof name, "%s/model.safetensors.index.json", dir);
    scratch_write(name, text, strlen(text));
}

static void refuse_dir(const char *dir, zm_status code, const char *want)
{
    zm_error err = {0};
    zm_weights *w;
    zm_status s = zm_weights_open(&w, scratch(dir), &err);
    tap_ok(s == code && strstr(err.text, want), "%s: %s", zm_status_name(s), err.text);
    if (!s)
        zm_weights_free(w);
}

static void directories(void)
{
    static const float x[2] = {1, 2};
    zm_error err = {0};
    zm_weights *w;
    zm_weight t = {.name = "a", .dtype = ZM_F32, .rank = 1, .dim = {2}, .data = x, .bytes = 8};
    mkdir(scratch("d"), 0777);
    refuse_dir("d", ZM_E_MISSING, "no weight file");
    tap_ok(!zm_safetensors_write(scratch("d/m-1.safetensors"), &t, 1, NULL, 0, &err), "shard 1 %s", err.text);
    tap_ok(!zm_weights_open(&w, scratch("d"), &err) && zm_weights_count(w) == 1, "one file alone %s", err.text);
    zm_weights_free(w);
    shard_index("d", "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}");
    refuse_dir("d", ZM_E_MISSING, "shard 2 of 2, m-2.safetensors, is missing");
    tap_ok(!zm_safetensors_write(scratch("d/m-2.safetensors"), &t, 1, NULL, 0, &err), "shard 2 %s", err.text);
    refuse_dir("d", ZM_E_FORMAT, "tensor a appears twice");
    t.name = "c";
    tap_ok(!zm_safetensors_write(scratch("d/m-2.safetensors"), &t, 1, NULL, 0, &err), "shard 2 %s", err.text);
    refuse_dir("d", ZM_E_MISSING, "tensor b is not in shard m-2.safetensors");
    t.name = "b";
    tap_ok(!zm_safetensors_write(scratch("d/m-2.safetensors"), &t, 1, NULL, 0, &err), "shard 2 %s", err.text);
    tap_ok(!zm_weights_open(&w, scratch("d"), &err) && zm_weights_count(w) == 2, "two shards %s", err.text);
    zm_weights_free(w);
    shard_index("d", "{\"weight_map\":{\"a\":\"../d/m-1.safetensors\"}}");
    refuse_dir("d", ZM_E_FORMAT, "does not name a file of the same directory");
    shard_index("d", "{\"weight_map\":{}}");
    refuse_dir("d", ZM_E_FORMAT, "0 shards");
    shard_index("d", "[]");
    refuse_dir("d", ZM_E_FORMAT, "no object \"weight_map\"");
    unlink(scratch("d/model.safetensors.index.json"));
    refuse_dir("d", ZM_E_FORMAT, "2 files end with .safetensors");
}

int main(void)
{
    zm_rng r = zm_rng_init(scratch_seed(), 2);
    safetensors_cases();
    deep_nesting();
    gguf_cases();
    pth_cases();
    bytes b = {0};
    put_str(&b, "hello, this is no weight file");
    refuse(b, ZM_E_UNSUPPORTED, "begins with bytes 68 65 6c 6c");
    b = (bytes){0};
    put_str(&b, "version https://git-lfs.github.com/spec/v1\n");
    refuse(b, ZM_E_UNSUPPORTED, "Git LFS pointer");
    mutations(make_safetensors("{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],"
                               "\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],"
                               "\"data_offsets\":[8,11]}}",
                               11),
              "safetensors", &r);
    mutations(make_gguf(), "GGUF", &r);
    mutations(make_pth(), "pth", &r);
    directories();
    zm_error err = {0};
    zm_weights *w;
    (void)open_copy(&w, "", 0, &err);
    return tap_done();
}
