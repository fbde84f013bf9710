/* Autoencoders: chunks equal the whole pass, causality, sizes from JSON and checkpoints, official fixtures.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/backend.h"
#include "model/vae.h"
#include "ops/ops.h"
#include "pipeline/vae_stream.h"
#include "tap.h"

static const char tiny[4][400] = {
    "{\"kind\":\"wan21\",\"dim\":5,\"z_dim\":4,\"dim_mult\":[1,2,4],\"num_res_blocks\":1,\"attn_scales\":[],"
    "\"temperal_downsample\":[true,true]}",
    "{\"dim\":4,\"dec_dim\":6,\"z_dim\":7,\"dim_mult\":[1,2,4,4],\"num_res_blocks\":1,"
    "\"temperal_downsample\":[false,true,true],\"latents_mean\":[0.5,-1,0,0,2,0,1],\"latents_std\":[1,2,3,0.25,1,1,1]}",
    "{\"kind\":\"light\",\"z_dim\":6,\"fold\":2,\"channels\":[5,9],\"encoder_blocks\":[1,1,2,1],"
    "\"decoder_blocks\":[2,1,1,1]}",
    /* channels enough for Winograd's convolutions, which read states and small pictures as they are */
    "{\"kind\":\"wan21\",\"dim\":32,\"z_dim\":4,\"dim_mult\":[1,1,1,1],\"num_res_blocks\":1,"
    "\"attn_scales\":[],\"temperal_downsample\":[false,true,true]}",
};
static const char *const kind[4] = {"wan21", "wan22", "light", "wide"};

typedef struct model {
    zm_vae_config config;
    zm_params *params;
    zm_vae *vae;
} model;

static zm_status parse(zm_vae_config *out, const char *text, zm_error *err)
{
    zm_json j = {0};
    zm_status s = zm_json_parse(&j, text, strlen(text), "test.json", err);
    if (!s)
        s = zm_vae_config_read(out, &j, "", err);
    zm_json_close(&j);
    return s;
}

/* Every parameter is drawn anew: the light family's start has branches that are zero and would hide mistakes. */
static void shake(zm_params *p, uint64_t seed)
{
    zm_rng r = zm_rng_init(seed, 5);
    for (int i = 0; i < zm_params_count(p); i++) {
        zm_param *one = zm_params_at(p, i);
        size_t n = (size_t)zm_shape_elems(one->shape);
        float *v = one->data, gain = 1.0f / sqrtf((float)n / (float)one->shape.dim[0]);
        for (size_t k = 0; k < n; k++)
            v[k] = one->init == ZM_INIT_ONES ? zm_rng_range(&r, 0.5f, 1.5f) : gain * zm_rng_normal(&r);
    }
}

static model make(const char *text, uint64_t seed)
{
    model m = {.params = zm_params_new()};
    zm_error err = {0};
    zm_status s = parse(&m.config, text, &err);
    if (!s)
        s = zm_vae_declare(&m.vae, &m.config, m.params, "", &err);
    if (!s)
        s = zm_params_fill(m.params, seed, &err);
    if (s) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    shake(m.params, seed);
    return m;
}

static void drop(model *m)
{
    zm_vae_free(m->vae);
    zm_params_free(m->params);
}

static float *noise(uint64_t seed, size_t n)
{
    zm_rng r = zm_rng_init(seed, 9);
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = zm_rng_range(&r, -1, 1);
    return x;
}

/* Whole pass: video -> normalised mean, or normalised latent -> clamped video. */
static void whole(const model *m, bool encode, const float *in, zm_shape shape, float *out)
{
    zm_error err = {0};
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, m->params, false, false);
    zm_tensor *x = zm_input(g, ZM_F32, shape, "x"), *y;
    if (encode)
        y = zm_vae_build_normalise(&b, m->vae, zm_vae_build_mean(&b, m->vae, zm_vae_build_encode(&b, m->vae, x)));
    else
        y = zm_unary(g, ZM_CLAMP1, zm_vae_build_decode(&b, m->vae, zm_vae_build_denormalise(&b, m->vae, x)));
    zm_output(g, y);
    zm_exec *exec = NULL;
    zm_status s = zm_graph_finish(g, &err);
    if (!s)
        s = zm_exec_new(&exec, g, NULL, &err);
    if (!s) {
        zm_exec_write(exec, x, in);
        s = zm_exec_run(exec, &err);
    }
    if (!s)
        zm_exec_read(exec, y, out);
    tap_ok(s == ZM_OK, "%s runs whole: %s", encode ? "encode" : "decode", err.text);
    zm_exec_free(exec);
    zm_graph_free(g);
}

static zm_status chunked(const model *m, bool encode, const float *in, int64_t frames, int64_t h, int64_t w, float *out,
                         size_t *bytes, zm_error *err)
{
    zm_vae_stream *s;
    zm_status st = zm_vae_stream_open(&s, m->vae, m->params, encode ? ZM_VAE_ENCODE : ZM_VAE_DECODE, h, w, NULL, err);
    for (int again = 0; !st && again < 2; again++) /* twice: a restarted stream remembers nothing */
        st = encode ? zm_vae_encode_clip(s, in, frames, out, err) : zm_vae_decode_clip(s, in, frames, out, err);
    if (!st && bytes)
        *bytes = zm_vae_stream_bytes(s);
    zm_vae_stream_close(s);
    return st;
}

static void chunks_equal_whole(int k, int64_t n, int64_t rows)
{
    model m = make(tiny[k], 40 + (uint64_t)k);
    zm_error err = {0};
    int64_t s = zm_vae_spatial_stride(m.vae), z = m.config.z_dim, h = rows * s, w = 3 * s, frames = 1 + 4 * n;
    char name[64];
    size_t pixels = (size_t)(frames * h * w * 3), cells = (size_t)((n + 1) * rows * 3 * z);
    float *video = noise(1, pixels), *latent = noise(2, cells), *a = malloc((pixels + cells) * sizeof *a);
    float *b = malloc((pixels + cells) * sizeof *b);
    whole(&m, true, video, ZM_SHAPE(1, frames, h, w, 3), a);
    tap_ok(chunked(&m, true, video, frames, h, w, b, NULL, &err) == ZM_OK, "%s encodes in chunks: %s", kind[k],
           err.text);
    snprintf(name, sizeof name, "%s, %d frames: chunks encode as the whole", kind[k], (int)frames);
    tap_close_f32(b, a, cells, 1e-5, name);
    whole(&m, false, latent, ZM_SHAPE(1, n + 1, rows, 3, z), a);
    tap_ok(chunked(&m, false, latent, n + 1, h, w, b, NULL, &err) == ZM_OK, "%s decodes in chunks: %s", kind[k],
           err.text);
    snprintf(name, sizeof name, "%s, %d frames: chunks decode as the whole", kind[k], (int)frames);
    tap_close_f32(b, a, pixels, 1e-5, name);
    free(video);
    free(latent);
    free(a);
    free(b);
    drop(&m);
}

/* Bands through the stream, put together, equal the whole picture; small pictures have bands at both edges and none. */
static void bands_equal_whole(int k, int rows, int bands)
{
    model m = make(tiny[k], 70 + (uint64_t)k);
    zm_error err = {0};
    int64_t s = zm_vae_spatial_stride(m.vae), z = m.config.z_dim, h = rows * s, w = 2 * s, frames = 9;
    size_t pixels = (size_t)(frames * h * w * 3);
    float *latent = noise(3, (size_t)(3 * rows * 2 * z)), *a = malloc(pixels * sizeof *a),
          *b = malloc(pixels * sizeof *b);
    float *part = malloc(pixels * sizeof *part);
    char name[64];
    zm_status st = chunked(&m, false, latent, 3, h, w, a, NULL, &err);
    for (int i = 0; !st && i < bands; i++) {
        zm_vae_stream_options o = {0};
        zm_vae_stream *stream = NULL;
        zm_vae_stream_band(&o, i, bands, rows);
        st = zm_vae_stream_open(&stream, m.vae, m.params, ZM_VAE_DECODE, h, w, &o, &err);
        if (!st)
            st = zm_vae_decode_clip(stream, latent, 3, part, &err);
        zm_vae_stream_close(stream);
        size_t line = (size_t)(w * 3), each = (size_t)((o.last_row - o.first_row) * s) * line;
        for (int64_t f = 0; !st && f < frames; f++)
            memcpy(b + (size_t)(f * h + o.first_row * s) * line, part + (size_t)f * each, each * sizeof *b);
    }
    tap_ok(st == ZM_OK, "%s decodes in %d bands: %s", kind[k], bands, err.text);
    snprintf(name, sizeof name, "%s, %d rows: %d bands decode as the whole", kind[k], rows, bands);
    tap_close_f32(b, a, st ? 0 : pixels, 1e-5, name);
    free(latent);
    free(a);
    free(b);
    free(part);
    drop(&m);
}

static void later_frames_change_nothing_earlier(int k)
{
    model m = make(tiny[k], 50 + (uint64_t)k);
    int64_t s = zm_vae_spatial_stride(m.vae), z = m.config.z_dim;
    size_t frame = (size_t)(s * s * 3), cells = (size_t)(3 * z);
    float *video = noise(3, 9 * frame), *a = malloc(9 * frame * sizeof *a), *b = malloc(9 * frame * sizeof *b);
    whole(&m, true, video, ZM_SHAPE(1, 9, s, s, 3), a);
    for (size_t i = 5 * frame; i < 9 * frame; i++)
        video[i] = -video[i];
    whole(&m, true, video, ZM_SHAPE(1, 9, s, s, 3), b);
    tap_close_f32(b, a, (size_t)(2 * z), 1e-6, "earlier latent frames do not see later video");
    tap_ok(memcmp(a + 2 * z, b + 2 * z, (size_t)z * sizeof *a) != 0, "the last latent frame does");
    float *latent = noise(4, cells);
    whole(&m, false, latent, ZM_SHAPE(1, 3, 1, 1, z), a);
    for (size_t i = (size_t)(2 * z); i < cells; i++)
        latent[i] += 1;
    whole(&m, false, latent, ZM_SHAPE(1, 3, 1, 1, z), b);
    tap_close_f32(b, a, 5 * frame, 1e-6, "earlier video does not see later latent frames");
    free(video);
    free(latent);
    free(a);
    free(b);
    drop(&m);
}

static void memory_is_bounded(int k)
{
    model m = make(tiny[k], 60);
    zm_error err = {0};
    int64_t s = zm_vae_spatial_stride(m.vae), z = m.config.z_dim;
    size_t few = 0, many = 0, frame = (size_t)(s * s * 3);
    float *latent = noise(5, (size_t)(21 * z)), *video = malloc(81 * frame * sizeof *video);
    zm_status st = chunked(&m, false, latent, 3, s, s, video, &few, &err);
    if (!st)
        st = chunked(&m, false, latent, 21, s, s, video, &many, &err);
    tap_ok(st == ZM_OK, "%s decodes 9 and 81 frames: %s", kind[k], err.text);
    tap_equal_i64((long long)many, (long long)few, "81 frames take the memory of 9");
    free(latent);
    free(video);
    drop(&m);
}

static void sizes_survive_json(void)
{
    for (int k = 0; k < 3; k++) {
        zm_vae_config a, b;
        zm_error err = {0};
        zm_status s = parse(&a, tiny[k], &err);
        char *text = s ? NULL : zm_vae_config_json(&a);
        s = text ? parse(&b, text, &err) : s;
        tap_ok(!s && text, "%s: sizes are written and read: %s", kind[k], err.text);
        tap_equal_i64(a.kind, k, "kind");
        char *again = s ? NULL : zm_vae_config_json(&b);
        tap_equal_str(again, text, "the same JSON twice");
        free(text);
        free(again);
    }
    static const struct {
        const char *text;
        zm_status want;
    } bad[] = {
        {"{\"kind\":\"dense\"}", ZM_E_UNSUPPORTED},
        {"{\"kind\":\"light\",\"fold\":0}", ZM_E_FORMAT},
        {"{\"kind\":\"light\",\"channels\":[64]}", ZM_E_FORMAT},
        {"{\"dim\":8}", ZM_E_MISSING},
        {"{\"dim\":8,\"z_dim\":4,\"dim_mult\":[1,2],\"temperal_downsample\":[true,true]}", ZM_E_FORMAT},
        {"{\"dim\":8,\"z_dim\":4,\"dim_mult\":[1,2],\"temperal_downsample\":[1]}", ZM_E_FORMAT},
        {"{\"dim\":8,\"z_dim\":4,\"dim_mult\":[1,2],\"temperal_downsample\":[true],\"attn_scales\":[1]}",
         ZM_E_UNSUPPORTED},
        {"{\"kind\":\"light\",\"z_dim\":2,\"latents_std\":[1,0]}", ZM_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zm_vae_config c;
        zm_error err = {0};
        tap_ok(parse(&c, bad[i].text, &err) == bad[i].want && err.text[0], "refused: %s", err.text);
    }
}

static void odd_sizes_are_refused(void)
{
    model m = make(tiny[2], 70);
    zm_shape shapes[] = {ZM_SHAPE(1, 8, 8, 8, 3), ZM_SHAPE(1, 9, 8, 9, 3), ZM_SHAPE(1, 9, 8, 8, 4)};
    for (size_t i = 0; i < 3; i++) {
        zm_error err = {0};
        zm_graph *g = zm_graph_new();
        zm_build b = zm_build_begin(g, m.params, false, false);
        zm_output(g, zm_vae_build_encode(&b, m.vae, zm_input(g, ZM_F32, shapes[i], "x")));
        tap_ok(zm_graph_finish(g, &err) == ZM_E_SHAPE, "refused: %s", err.text);
        zm_graph_free(g);
    }
    zm_vae_stream *s;
    zm_error err = {0};
    tap_ok(zm_vae_stream_open(&s, m.vae, m.params, ZM_VAE_DECODE, 12, 13, NULL, &err) == ZM_E_SHAPE, "refused: %s",
           err.text);
    drop(&m);
}

/* Official numbers, when the fixtures are at hand: sizes detected from the weights alone. */
static void fixture(const char *dir, const char *name)
{
    char path[512];
    zm_error err = {0};
    zm_weights *w = NULL, *io = NULL;
    model m = {.params = zm_params_new()};
    const zm_weight *in, *want;
    snprintf(path, sizeof path, "%s/%s/io.safetensors", dir, name);
    if (zm_weights_open(&io, path, &err)) {
        tap_skip(name, "fixtures are not here");
        zm_params_free(m.params);
        return;
    }
    snprintf(path, sizeof path, "%s/%s/weights.safetensors", dir, name);
    zm_status s = zm_weights_open(&w, path, &err);
    if (!s)
        s = zm_vae_config_detect(&m.config, w, "", &err);
    if (!s)
        s = zm_vae_declare(&m.vae, &m.config, m.params, "", &err);
    if (!s)
        s = zm_params_load(m.params, w, "", false, &err);
    if (!s)
        s = zm_weights_find(&in, io, "case0.z", &err);
    if (!s)
        s = zm_weights_find(&want, io, "case0.decoded", &err);
    tap_ok(s == ZM_OK, "%s: sizes found and bound: %s", name, err.text);
    if (!s) {
        int64_t z = in->dim[0], cells = in->dim[1] * in->dim[2] * in->dim[3];
        int64_t pixels = want->dim[1] * want->dim[2] * want->dim[3];
        float *latent = malloc((size_t)(z * cells) * 4), *got = malloc((size_t)pixels * 12);
        float *raw = malloc((size_t)(z * cells) * 4), *last = malloc((size_t)pixels * 12);
        zm_dtype_to_f32(raw, in->data, in->dtype, (size_t)(z * cells));
        for (int64_t i = 0; i < z * cells; i++)
            latent[i % cells * z + i / cells] = raw[i];
        s = chunked(&m, false, latent, in->dim[1], want->dim[2], want->dim[3], got, NULL, &err);
        zm_dtype_to_f32(last, want->data, want->dtype, (size_t)pixels * 3);
        float *right = malloc((size_t)pixels * 12);
        for (int64_t i = 0; i < 3 * pixels; i++)
            right[i % pixels * 3 + i / pixels] = last[i];
        tap_ok(s == ZM_OK, "%s decodes: %s", name, err.text);
        tap_close_f32(got, right, (size_t)pixels * 3, 2e-5, name);
        free(latent);
        free(got);
        free(raw);
        free(last);
        free(right);
    }
    drop(&m);
    zm_weights_free(w);
    zm_weights_free(io);
}

int main(void)
{
    const char *dir = getenv("ZM_FIXTURES");
    for (int k = 0; k < 3; k++) {
        chunks_equal_whole(k, 3, 2);
        chunks_equal_whole(k, 0, 2);
        later_frames_change_nothing_earlier(k);
        memory_is_bounded(k);
        bands_equal_whole(k, 3, 2);
        bands_equal_whole(k, 40, 2);
        bands_equal_whole(k, 41, 4);
    }
    chunks_equal_whole(3, 2, 4);
    sizes_survive_json();
    odd_sizes_are_refused();
    fixture(dir ? dir : "../shared/fixtures", "wan21-vae-tiny");
    fixture(dir ? dir : "../shared/fixtures", "wan22-vae-tiny");
    return tap_done();
}
