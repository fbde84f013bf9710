/* Hand-made weight files in memory, well formed or not, for tests and fuzz seeds.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_BYTES_H
#define ZM_TESTS_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A growing byte string; {0} is empty; free .at. */
typedef struct bytes {
    unsigned char *at;
    size_t n, room;
} bytes;

__attribute__((unused)) static void put(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room || !b->at) {
        b->room = 2 * (b->n + n) + 64;
        b->at = realloc(b->at, b->room);
        if (!b->at)
            abort();
    }
    if (n)
        memcpy(b->at + b->n, data, n);
    b->n += n;
}

/* Little-endian, `n` bytes. */
__attribute__((unused)) static void put_uint(bytes *b, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)(v >> 8 * i);
        put(b, &c, 1);
    }
}

__attribute__((unused)) static void put_str(bytes *b, const char *s)
{
    put(b, s, strlen(s));
}

__attribute__((unused)) static void put_zeros(bytes *b, size_t n)
{
    while (n--)
        put_uint(b, 0, 1);
}

/* A safetensors file with this header text and `data` bytes that count up. */
__attribute__((unused)) static bytes make_safetensors(const char *header, size_t data)
{
    bytes b = {0};
    put_uint(&b, strlen(header), 8);
    put_str(&b, header);
    for (size_t i = 0; i < data; i++)
        put_uint(&b, i & 0xff, 1);
    return b;
}

/* GGUF: a string with its length. */
__attribute__((unused)) static void put_gguf_str(bytes *b, const char *s)
{
    put_uint(b, strlen(s), 8);
    put_str(b, s);
}

__attribute__((unused)) static void put_gguf_head(bytes *b, uint64_t tensors, uint64_t metas)
{
    put_str(b, "GGUF");
    put_uint(b, 3, 4);
    put_uint(b, tensors, 8);
    put_uint(b, metas, 8);
}

__attribute__((unused)) static void put_gguf_tensor(bytes *b, const char *name, uint64_t inner, uint64_t outer,
                                                    uint32_t type, uint64_t offset)
{
    put_gguf_str(b, name);
    put_uint(b, 2, 4);
    put_uint(b, inner, 8);
    put_uint(b, outer, 8);
    put_uint(b, type, 4);
    put_uint(b, offset, 8);
}

/* One metadata value of every kind, an F32 tensor [2, 3] "a", a Q8_0 tensor [1, 32] "b", an IQ4_XS tensor "q". */
__attribute__((unused)) static bytes make_gguf(void)
{
    bytes b = {0};
    put_gguf_head(&b, 3, 6);
    put_gguf_str(&b, "general.architecture");
    put_uint(&b, 8, 4);
    put_gguf_str(&b, "wan");
    put_gguf_str(&b, "n");
    put_uint(&b, 3, 4);
    put_uint(&b, 0xfffe, 2); /* i16 -2 */
    put_gguf_str(&b, "eps");
    put_uint(&b, 6, 4);
    put_uint(&b, 0x3f000000, 4); /* 0.5 */
    put_gguf_str(&b, "flag");
    put_uint(&b, 7, 4);
    put_uint(&b, 1, 1);
    put_gguf_str(&b, "tokenizer.ggml.tokens");
    put_uint(&b, 9, 4);
    put_uint(&b, 8, 4);
    put_uint(&b, 3, 8);
    put_gguf_str(&b, "<s>");
    put_gguf_str(&b, "");
    put_gguf_str(&b, "\xe8\xb5\xb0");
    put_gguf_str(&b, "tokenizer.ggml.scores");
    put_uint(&b, 9, 4);
    put_uint(&b, 6, 4);
    put_uint(&b, 2, 8);
    put_uint(&b, 0x3f800000, 4);
    put_uint(&b, 0xc0000000, 4);
    put_gguf_tensor(&b, "a", 3, 2, 0, 0);
    put_gguf_tensor(&b, "b", 32, 1, 8, 32);
    put_gguf_tensor(&b, "q", 256, 1, 23, 96);
    put_zeros(&b, (32 - b.n % 32) % 32);
    for (int i = 0; i < 96 + 136; i++)
        put_uint(&b, (uint64_t)i, 1);
    return b;
}

/* Pickle operations. */
__attribute__((unused)) static void put_pickle_text(bytes *b, const char *s)
{
    put_str(b, "X");
    put_uint(b, strlen(s), 4);
    put_str(b, s);
}

/* name: torch storage `type` of member `key`, dims [rows, cols]; the two integers go as BININT. */
__attribute__((unused)) static void put_pickle_tensor(bytes *b, const char *name, const char *type, const char *key,
                                                      uint32_t offset, uint32_t rows, uint32_t cols)
{
    put_pickle_text(b, name);
    put_str(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_pickle_text(b, "storage");
    put_str(b, "ctorch\n");
    put_str(b, type);
    put_str(b, "\n");
    put_pickle_text(b, key);
    put_pickle_text(b, "cpu");
    put_str(b, "K\x06tQJ");
    put_uint(b, offset, 4);
    put_str(b, "J");
    put_uint(b, rows, 4);
    put_str(b, "J");
    put_uint(b, cols, 4);
    put_str(b, "\x86J");
    put_uint(b, cols, 4);
    put_str(b, "K\x01\x86\x89}tR");
}

typedef struct member {
    const char *name;
    bytes data;
} member;

/* A zip archive of uncompressed members. */
__attribute__((unused)) static bytes make_zip(const member *m, size_t n)
{
    bytes b = {0}, dir = {0};
    for (size_t i = 0; i < n; i++) {
        size_t at = b.n, name = strlen(m[i].name);
        put(&b, "PK\3\4\x14\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
        put_uint(&b, m[i].data.n, 4);
        put_uint(&b, m[i].data.n, 4);
        put_uint(&b, name, 2);
        put_uint(&b, 0, 2);
        put_str(&b, m[i].name);
        put(&b, m[i].data.at, m[i].data.n);
        put(&dir, "PK\1\2\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        put_uint(&dir, m[i].data.n, 4);
        put_uint(&dir, m[i].data.n, 4);
        put_uint(&dir, name, 2);
        put_zeros(&dir, 12);
        put_uint(&dir, at, 4);
        put_str(&dir, m[i].name);
    }
    size_t at = b.n;
    put(&b, dir.at, dir.n);
    put(&b, "PK\5\6\0\0\0\0", 8);
    put_uint(&b, n, 2);
    put_uint(&b, n, 2);
    put_uint(&b, dir.n, 4);
    put_uint(&b, at, 4);
    put_uint(&b, 0, 2);
    free(dir.at);
    return b;
}

/* A PyTorch checkpoint around `pickle` (taken over), with a storage "0" of 24 bytes that count up. */
__attribute__((unused)) static bytes make_pth_of(bytes pickle)
{
    member m[3] = {{"a/data.pkl", pickle}, {"a/byteorder", {0}}, {"a/data/0", {0}}};
    put_str(&m[1].data, "little");
    for (unsigned i = 0; i < 24; i++)
        put_uint(&m[2].data, i, 1);
    bytes b = make_zip(m, 3);
    for (int i = 0; i < 3; i++)
        free(m[i].data.at);
    return b;
}

/* {"w": f32 [2, 3], "tail": f32 [1, 2] from element 4, "h": i8 [2, 2]} */
__attribute__((unused)) static bytes make_pth(void)
{
    bytes p = {0};
    put_str(&p, "\x80\x02}q");
    put_uint(&p, 0, 1);
    put_str(&p, "(");
    put_pickle_tensor(&p, "w", "FloatStorage", "0", 0, 2, 3);
    put_pickle_tensor(&p, "tail", "FloatStorage", "0", 4, 1, 2);
    put_pickle_tensor(&p, "h", "CharStorage", "0", 3, 2, 2);
    put_str(&p, "u.");
    return make_pth_of(p);
}

#endif
