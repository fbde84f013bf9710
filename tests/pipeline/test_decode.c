/* Decoding in bands: the pictures of a clip and of a loop are those of decoding whole, in order, whatever waits on disk;
 * and a decoder that is stopped or refused leaves nothing.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "pipeline/decode.h"
#include "tap.h"

static const char *const configs[] = {
    "{\"kind\":\"wan21\",\"dim\":32,\"z_dim\":4,\"dim_mult\":[1,1,2],\"num_res_blocks\":1,\"attn_scales\":[],"
    "\"temperal_downsample\":[true,true]}",
    "{\"kind\":\"light\",\"z_dim\":6,\"fold\":2,\"channels\":[5,9],\"encoder_blocks\":[1,1,2,1],"
    "\"decoder_blocks\":[2,1,1,1]}",
};

static zm_model make(const char *text, zm_rng *rng)
{
    zm_model m = {.keep = true};
    zm_part *part = &m.part[ZM_PART_VAE];
    zm_vae_config c;
    zm_json j = {0};
    zm_error err = {0};
    part->params = zm_params_new();
    part->open = true;
    zm_status s = zm_json_parse(&j, text, strlen(text), "test.json", &err);
    if (!s)
        s = zm_vae_config_read(&c, &j, "", &err);
    if (!s)
        s = zm_vae_declare(&part->vae, &c, part->params, "", &err);
    if (!s)
        s = zm_params_fill(part->params, zm_rng_below(rng, 1 << 30), &err);
    zm_json_close(&j);
    if (!tap_ok(!s, "an autoencoder of its own %s", err.text))
        exit(tap_done());
    for (int i = 0; i < zm_params_count(part->params); i++) { /* branches that begin as zeros would hide mistakes */
        zm_param *p = zm_params_at(part->params, i);
        int64_t n = zm_shape_elems(p->shape);
        for (int64_t k = 0; p->init == ZM_INIT_ZEROS && k < n; k++)
            ((float *)p->data)[k] = 0.1F * zm_rng_normal(rng);
    }
    m.stride = zm_vae_spatial_stride(part->vae);
    m.time_stride = zm_vae_temporal_stride(part->vae);
    m.z_dim = zm_vae_z_dim(part->vae);
    return m;
}

static void drop(zm_model *m)
{
    zm_vae_free(m->part[ZM_PART_VAE].vae);
    zm_params_free(m->part[ZM_PART_VAE].params);
}

typedef struct film {
    uint8_t *rgb;
    size_t bytes;
    int frames, most;
} film;

static zm_status keep(void *user, const zm_frame *frame, zm_error *err)
{
    film *f = user;
    if (f->frames == f->most)
        return zm_fail(err, ZM_E_USAGE, "frame %d is one too many", f->frames);
    memcpy(f->rgb + (size_t)f->frames++ * f->bytes, frame->rgb, f->bytes);
    return ZM_OK;
}

typedef struct task {
    zm_model *m;
    const float *latent;
    int rows, columns, latent_frames, frames;
    bool circle;
} task;

static zm_status shoot(const task *t, int bands, const zm_decode_hooks *hooks, zm_error *err)
{
    zm_latent_decoder *d = NULL;
    zm_status s = zm_latent_decoder_new(&d, t->m, t->columns * t->m->stride, t->rows * t->m->stride, bands,
                                        &(zm_exec_options){.device = ZM_DEVICE_CPU}, err);
    if (!s)
        s = zm_latent_decode(d, t->latent, t->latent_frames, t->circle, t->frames, hooks, err);
    zm_latent_decoder_free(d);
    return s;
}

static zm_status decode_parts(const task *t, int bands, const int *part, bool reopen, const zm_decode_hooks *hooks,
                              zm_error *err)
{
    zm_latent_decoder *d = NULL;
    zm_decode_state state = {0};
    zm_status s = ZM_OK;
    for (int i = 0, at = 0; !s && part[i]; at += part[i++]) {
        if (reopen || !d) { /* another decoder, as of a film that goes on after a stop */
            zm_latent_decoder_free(d);
            t->m->part[ZM_PART_VAE].open = true;
            s = zm_latent_decoder_new(&d, t->m, t->columns * t->m->stride, t->rows * t->m->stride, bands,
                                      &(zm_exec_options){.device = ZM_DEVICE_CPU}, err);
        }
        if (!s)
            s = zm_latent_decode_on(d, &state, t->latent + at * t->rows * t->columns * t->m->z_dim, part[i],
                                    at ? 4 * part[i] : 1 + 4 * (part[i] - 1), hooks, err);
    }
    zm_latent_decoder_free(d);
    zm_decode_state_release(&state);
    return s;
}

static film film_of(const task *t)
{
    film f = {.most = t->frames};
    f.bytes = (size_t)(t->rows * t->columns * t->m->stride * t->m->stride * 3);
    f.rgb = calloc((size_t)f.most, f.bytes);
    return f;
}

/* Sums in another order may round a picture's byte to its neighbour, seldom. */
static void bands_equal_whole(const task *t, int bands, const char *beside)
{
    zm_error err = {0};
    film whole = film_of(t), cut = film_of(t);
    zm_status s = shoot(t, 1, &(zm_decode_hooks){.user = &whole, .frame = keep}, &err);
    if (!s)
        s = shoot(t, bands, &(zm_decode_hooks){.user = &cut, .frame = keep, .spool = beside}, &err);
    int64_t all = (int64_t)whole.bytes * t->frames, off = 0, worst = 0, varies = 0;
    for (int64_t i = 0; i < all; i++) {
        int64_t gap = abs(whole.rgb[i] - cut.rgb[i]);
        off += gap > 0, worst = gap > worst ? gap : worst;
        varies += whole.rgb[i] != whole.rgb[0];
    }
    tap_ok(
        !s && cut.frames == t->frames && whole.frames == t->frames && worst <= 1 && off <= all / 500 &&
            varies > all / 2,
        "%d frames of %dx%d cells%s in %d bands%s are those of the whole: %lld of %lld bytes off, by %lld at most %s",
        t->frames, t->columns, t->rows, t->circle ? ", a loop," : "", bands, beside ? " through a given place" : "",
        (long long)off, (long long)all, (long long)worst, err.text);
    free(whole.rgb);
    free(cut.rgb);
}

/* Latent frames that come a few at a time: the bytes of all at once. */
static void parts_equal_whole(const task *t, int bands, const int *part, bool reopen)
{
    zm_error err = {0};
    film whole = film_of(t), cut = film_of(t);
    zm_status s = shoot(t, bands, &(zm_decode_hooks){.user = &whole, .frame = keep}, &err);
    if (!s)
        s = decode_parts(t, bands, part, reopen, &(zm_decode_hooks){.user = &cut, .frame = keep}, &err);
    tap_ok(!s && cut.frames == t->frames && !memcmp(whole.rgb, cut.rgb, whole.bytes * (size_t)t->frames),
           "%d latent frames from %d on in %d bands%s: the same bytes %s", t->latent_frames, part[0], bands,
           reopen ? ", the decoder opened anew" : "", err.text);
    free(whole.rgb);
    free(cut.rgb);
}

static void refusals(const task *t, const char *dir)
{
    zm_error err = {0};
    film f = film_of(t);
    char path[512];
    volatile sig_atomic_t stop = 1;
    snprintf(path, sizeof path, "%s/none/clip.mp4", dir);
    tap_ok(shoot(t, 2, &(zm_decode_hooks){.user = &f, .frame = keep, .spool = path}, &err) == ZM_E_IO && err.text[0],
           "no place to wait: %s", err.text);
    err = (zm_error){0};
    tap_ok(shoot(t, 2, &(zm_decode_hooks){.user = &f, .frame = keep, .stop = &stop}, &err) == ZM_E_INTERRUPTED,
           "stopped: %s", err.text);
    f.most = 1;
    err = (zm_error){0};
    tap_ok(shoot(t, 2, &(zm_decode_hooks){.user = &f, .frame = keep}, &err) == ZM_E_USAGE, "who takes the frames: %s",
           err.text);
    free(f.rgb);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 42);
    char dir[] = "/tmp/zouma-decode-XXXXXX", path[64];
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    if (!tap_ok(mkdtemp(dir) != NULL, "a directory of its own"))
        return tap_done();
    snprintf(path, sizeof path, "%s/clip.mp4", dir);
    for (size_t k = 0; k < sizeof configs / sizeof *configs; k++) {
        zm_model m = make(configs[k], &rng);
        enum { ROWS = 22, COLUMNS = 3, LATENTS = 4 };
        static float latent[LATENTS * ROWS * COLUMNS * 8];
        zm_rng_normals(&rng, latent, sizeof latent / sizeof *latent);
        task clip = {&m, latent, ROWS, COLUMNS, LATENTS, 1 + 4 * (LATENTS - 1), false}, loop = clip;
        loop.circle = true, loop.frames = 4 * (LATENTS - 1);
        bands_equal_whole(&clip, 2, NULL);
        bands_equal_whole(&clip, 3, path);
        bands_equal_whole(&loop, 2, path);
        bands_equal_whole(&loop, 4, NULL);
        for (int bands = 1; bands <= 3; bands += 2)
            for (int reopen = 0; reopen < 2; reopen++) {
                parts_equal_whole(&clip, bands, (const int[]){1, 2, 1, 0}, reopen);
                parts_equal_whole(&clip, bands, (const int[]){2, 2, 0}, reopen);
            }
        zm_decode_state odd = {0};
        zm_error err = {0};
        zm_latent_decoder *d = NULL;
        film none = film_of(&clip);
        zm_status s = zm_decode_state_add(&odd, 3, &err);
        s = s ? s
              : zm_latent_decoder_new(&d, &m, COLUMNS * m.stride, ROWS * m.stride, 1,
                                      &(zm_exec_options){.device = ZM_DEVICE_CPU}, &err);
        s = s ? s : zm_latent_decode_on(d, &odd, latent, 1, 1, &(zm_decode_hooks){.user = &none, .frame = keep}, &err);
        tap_ok(s == ZM_E_FORMAT, "states of another decoder are refused: %s", err.text);
        zm_latent_decoder_free(d);
        zm_decode_state_release(&odd);
        free(none.rgb);
        clip.frames = 6; /* not the whole of the last latent frame */
        bands_equal_whole(&clip, 2, NULL);
        if (k)
            refusals(&clip, dir);
        drop(&m);
    }
    tap_ok(!rmdir(dir), "nothing is left where pictures waited");
    return tap_done();
}
