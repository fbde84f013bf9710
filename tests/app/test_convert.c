/* zouma convert on files put together here: scales folded in, shards, choice of types, metadata, refusals.
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "app/convert.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "format/safetensors_write.h"
#include "format/weights.h"
#include "tap.h"

static char dir[128], in[160], out[160];
static zm_rng rng;

/* What the command prints is not TAP. */
static int convert(const char *from, const char *type)
{
    char *argv[] = {(char[]){"convert"}, (char *)(uintptr_t)from, out,
                    (char[]){"--type"},  (char *)(uintptr_t)type, (char[]){"--quiet"}};
    fflush(stdout);
    int keep = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    int status = zm_cmd_convert(6, argv);
    fflush(stdout);
    dup2(keep, STDOUT_FILENO);
    close(nowhere);
    close(keep);
    return status;
}

static zm_weights *opened(const char *path)
{
    zm_weights *w = NULL;
    zm_error err = {0};
    if (zm_weights_open(&w, path, &err))
        printf("# %s\n", err.text);
    return w;
}

static zm_dtype type_of(const zm_weights *w, const char *name)
{
    const zm_weight *t;
    return w && !zm_weights_find(&t, w, name, NULL) ? t->dtype : ZM_DTYPE_COUNT;
}

enum { ROWS = 40, COLS = 512, N = ROWS * COLS };

static zm_weight tensor(const char *name, zm_dtype t, int rank, int64_t a, int64_t b, const void *data)
{
    zm_weight w = {.name = name, .dtype = t, .rank = rank, .dim = {a, b}, .data = data};
    if (!zm_dtype_bytes(&w.bytes, t, zm_weight_elems(&w)))
        abort();
    return w;
}

/* 8-bit floats with one scale, with a scale for each row, and without; what lies beside them is left out. */
static void test_scales(void)
{
    static unsigned char bits[N];
    static float want[3][N];
    float one = 0.03125F, each[ROWS];
    for (int i = 0; i < N; i++)
        bits[i] = (unsigned char)(zm_rng_below(&rng, 0x7f) | (zm_rng_below(&rng, 2) << 7));
    for (int i = 0; i < ROWS; i++)
        each[i] = zm_rng_range(&rng, 0.01F, 0.1F);
    for (int i = 0; i < N; i++) {
        want[0][i] = zm_f8_e4m3_to_f32(bits[i]) * one;
        want[1][i] = zm_f8_e4m3_to_f32(bits[i]) * each[i / COLS];
        want[2][i] = zm_f8_e4m3_to_f32(bits[i]);
    }
    const zm_weight w[] = {
        tensor("a.weight", ZM_F8_E4M3, 2, ROWS, COLS, bits), tensor("a.scale_weight", ZM_F32, 0, 0, 0, &one),
        tensor("a.scale_input", ZM_F32, 0, 0, 0, &one),      tensor("b.weight", ZM_F8_E4M3, 2, ROWS, COLS, bits),
        tensor("b.weight_scale", ZM_F32, 2, ROWS, 1, each),  tensor("c.weight", ZM_F8_E4M3, 2, ROWS, COLS, bits),
        tensor("scaled_fp8", ZM_F8_E4M3, 1, 2, 0, bits),     tensor("tokens", ZM_U8, 1, 9, 0, bits),
    };
    zm_error err = {0};
    tap_ok(!zm_safetensors_write(in, w, 8, NULL, 0, &err) && convert(in, "f32") == 0, "8-bit floats become f32 %s",
           err.text);
    zm_weights *got = opened(out);
    tap_equal_i64(got ? (long long)zm_weights_count(got) : -1, 3, "three tensors are left of eight");
    static const char *const names[] = {"a.weight", "b.weight", "c.weight"};
    const zm_weight *t;
    for (int i = 0; got && i < 3; i++)
        tap_ok(!zm_weights_find(&t, got, names[i], &err) && t->dtype == ZM_F32 &&
                   !memcmp(t->data, want[i], sizeof want[i]),
               "%s: values times their scale", names[i]);
    zm_weights_free(got);
    zm_weight bad[] = {w[0], tensor("a.weight_scale", ZM_F32, 1, 3, 0, each)};
    remove(out);
    tap_ok(!zm_safetensors_write(in, bad, 2, NULL, 0, &err) && convert(in, "q8_0") == 1 && access(out, F_OK),
           "a scale of three for %d rows is refused", ROWS);
}

/* Two shards and an index; then the second is gone. */
static void test_shards(void)
{
    static float v[2][N];
    char path[2][200], index[200];
    zm_error err = {0};
    zm_rng_normals(&rng, v[0], 2 * N);
    snprintf(index, sizeof index, "%s/m.safetensors.index.json", dir);
    int ok = 1;
    for (int i = 0; i < 2; i++) {
        zm_weight w = tensor(i ? "two.weight" : "one.weight", ZM_F32, 2, ROWS, COLS, v[i]);
        snprintf(path[i], sizeof path[i], "%s/m-%05d-of-00002.safetensors", dir, i + 1);
        ok &= !zm_safetensors_write(path[i], &w, 1, NULL, 0, &err);
    }
    FILE *f = fopen(index, "w");
    ok &= f && fprintf(f, "{\"weight_map\": {\"one.weight\": \"m-00001-of-00002.safetensors\", "
                          "\"two.weight\": \"m-00002-of-00002.safetensors\"}}") > 0;
    ok &= f && !fclose(f);
    remove(in);
    remove(out);
    tap_ok(ok && convert(dir, "q4_k") == 0, "shards are converted %s", err.text);
    zm_weights *got = opened(out);
    tap_ok(got && zm_weights_count(got) == 2 && type_of(got, "two.weight") == ZM_Q4_K,
           "one file has the tensors of both");
    const zm_weight *t;
    static float back[N];
    if (got && !zm_weights_find(&t, got, "two.weight", &err)) {
        zm_dtype_to_f32(back, t->data, t->dtype, N);
        tap_close_f32(back, v[1], N, 0.5, "its values");
    }
    zm_weights_free(got);
    remove(out);
    remove(path[1]);
    tap_ok(convert(dir, "q4_k") == 1 && access(out, F_OK), "a shard that is missing is an error, and no file is made");
    remove(path[0]);
    remove(index);
}

static void test_choice(void)
{
    static float v[256 * 8 * 8];
    static const int32_t ids[4] = {1, 2, 3, 4};
    zm_rng_normals(&rng, v, 256 * 64);
    zm_weight w[] = {
        tensor("blocks.0.attn.weight", ZM_F32, 2, 64, 256, v), tensor("blocks.0.attn.bias", ZM_F32, 1, 256, 0, v),
        tensor("blocks.0.odd.weight", ZM_F32, 2, 64, 96, v),   tensor("blocks.0.uneven.weight", ZM_F32, 2, 64, 100, v),
        tensor("blocks.0.modulation", ZM_F32, 2, 6, 256, v),   tensor("time_embedding.0.weight", ZM_F32, 2, 64, 256, v),
        tensor("head.head.weight", ZM_F32, 2, 64, 256, v),     tensor("overhead.weight", ZM_F32, 2, 64, 256, v),
        tensor("norm.weight", ZM_F32, 2, 2, 256, v),           tensor("ids", ZM_I32, 1, 4, 0, ids),
        tensor("decoder.conv.weight", ZM_F32, 2, 16, 1, v),
    };
    w[10].rank = 5;
    w[10].dim[1] = 16, w[10].dim[2] = w[10].dim[3] = w[10].dim[4] = 3;
    w[10].bytes = 4 * 16 * 16 * 27;
    const zm_meta meta[] = {{.key = "general.architecture", .type = ZM_META_STR, .str = "wan", .n = 3},
                            {.key = "general.file_type", .type = ZM_META_U64, .u64 = 99},
                            {.key = "note", .type = ZM_META_STR, .str = "kept", .n = 4}};
    zm_error err = {0};
    tap_ok(!zm_gguf_write(in, w, 11, meta, 3, &err) && convert(in, "q4_k") == 0, "GGUF to GGUF %s", err.text);
    zm_weights *got = opened(out);
    static const struct {
        const char *name;
        zm_dtype type;
        const char *why;
    } want[] = {{"blocks.0.attn.weight", ZM_Q4_K, "a matrix"},
                {"blocks.0.attn.bias", ZM_F32, "a bias"},
                {"blocks.0.odd.weight", ZM_Q5_0, "rows of blocks of 32"},
                {"blocks.0.uneven.weight", ZM_F16, "rows of no blocks"},
                {"blocks.0.modulation", ZM_F32, "modulation"},
                {"time_embedding.0.weight", ZM_F16, "an embedding of time"},
                {"head.head.weight", ZM_F16, "a head"},
                {"overhead.weight", ZM_Q4_K, "a name that only ends like a head"},
                {"norm.weight", ZM_F32, "few elements"},
                {"decoder.conv.weight", ZM_F16, "a convolution"},
                {"ids", ZM_I32, "integers"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        tap_equal_str(zm_dtype_name(type_of(got, want[i].name)), zm_dtype_name(want[i].type), want[i].why);
    uint64_t file_type = 0, version = 0;
    const char *note = got ? zm_weights_meta_str(got, "note") : NULL;
    tap_ok(got && zm_weights_meta_u64(got, "general.file_type", &file_type) && file_type == 14 &&
               zm_weights_meta_u64(got, "general.quantization_version", &version) && version == 2 && note &&
               !strcmp(note, "kept") && !strcmp(zm_weights_meta_str(got, "general.architecture"), "wan"),
           "metadata is kept, what it says of the type is new");
    zm_weights_free(got);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED"), *tmp = getenv("TMPDIR");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    rng = zm_rng_init(seed, 13);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    snprintf(dir, sizeof dir, "%s/zouma-convert-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        tap_ok(0, "a directory of its own");
        return tap_done();
    }
    snprintf(in, sizeof in, "%s/in", dir);
    snprintf(out, sizeof out, "%s.gguf", dir);
    test_scales();
    test_choice();
    test_shards();
    remove(in);
    remove(out);
    rmdir(dir);
    return tap_done();
}
