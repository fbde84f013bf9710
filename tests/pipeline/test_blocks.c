/* Clips made block by block: the frames are those of the slow way, which puts every earlier block through the whole-clip
 * graph again as given; stopped between any two blocks and taken up by another generator they are the same bytes; given
 * frames count; memory does not grow.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "format/safetensors_write.h"
#include "pipeline/condition.h"
#include "pipeline/decode.h"
#include "pipeline/generate.h"
#ifdef ZM_TEST_GPU
#include "gpu_host.h"
#endif

enum {
    WIDTH = 48,
    HEIGHT = 32,
    Z = 4,
    TEXT = 24,
    ROWS = 7,
    LEN = 16,
    STEPS = 3,
    LATENTS = 8,
    MOST = 1 + 4 * (LATENTS - 1)
};
enum { FRAME = WIDTH * HEIGHT * 3 };

static char dir[256];
static float context[2][ROWS * TEXT], picture[FRAME], video[MOST * FRAME];

static char *in_dir(const char *name)
{
    return zm_path_join(dir, "%s", name);
}

static void write_params(zm_params *p, const char *name, uint64_t seed)
{
    zm_error err = {0};
    int n = zm_params_count(p);
    zm_weight *row = calloc((size_t)n, sizeof *row);
    char *path = in_dir(name);
    zm_status s = zm_params_fill(p, seed, &err);
    zm_rng g = zm_rng_init(seed, 1);
    for (int i = 0; i < n; i++) {
        zm_param *at = zm_params_at(p, i);
        for (int64_t k = 0; !s && at->init == ZM_INIT_ZEROS && k < zm_shape_elems(at->shape); k++)
            ((float *)at->data)[k] = 0.1F * zm_rng_normal(&g); /* or the last layer of the network would say 0 */
        row[i] = zm_param_weight(at);
    }
    if (!s)
        s = zm_safetensors_write(path, row, (size_t)n, NULL, 0, &err);
    if (s)
        tap_ok(0, "%s: %s", name, err.text);
    free(path);
    free(row);
}

static zm_model *make_model(zm_dit_causal c, uint64_t seed)
{
    zm_error err = {0};
    zm_model_config config;
    zm_model *m = NULL;
    char *path = in_dir("config.json");
    FILE *f = fopen(path, "wb");
    if (f) {
        fprintf(
            f,
            "{\"name\": \"tiny\", \"vae\": {\"kind\": \"light\", \"z_dim\": 4, \"fold\": 4, \"channels\": [8, 16], "
            "\"encoder_blocks\": [1, 0, 0, 1], \"decoder_blocks\": [1, 0, 0, 1]}, \"video\": {\"width\": %d, "
            "\"height\": %d, \"frames\": 9, \"fps\": 8}, \"dit\": {\"model_type\": \"ti2v\", \"dim\": 48, "
            "\"ffn_dim\": 64, \"num_heads\": 2, \"num_layers\": 2, \"in_dim\": 4, \"out_dim\": 4, \"freq_dim\": 32, "
            "\"text_dim\": %d, \"text_len\": %d, \"causal\": {\"block\": %d, \"window\": %d, \"sink\": %d}}}",
            WIDTH, HEIGHT, TEXT, LEN, c.block, c.window, c.sink);
        fclose(f);
    }
    free(path);
    zm_params *p = zm_params_new(), *q = zm_params_new();
    zm_dit *d = NULL;
    zm_vae *v = NULL;
    zm_status s = zm_model_config_open(&config, dir, &err);
    if (!s)
        s = zm_dit_declare(&d, &config.dit, p, NULL, &err);
    if (!s)
        s = zm_vae_declare(&v, &config.vae, q, "", &err);
    if (!s) {
        write_params(p, "dit.safetensors", seed);
        write_params(q, "vae.safetensors", seed + 1);
        zm_model_config_close(&config);
        s = zm_model_config_open(&config, dir, &err);
    }
    if (!s)
        s = zm_model_open_config(&m, &config, &err);
    if (s) {
        tap_ok(0, "a model: %s", err.text);
        exit(tap_done());
    }
    zm_dit_free(d);
    zm_vae_free(v);
    zm_params_free(p);
    zm_params_free(q);
    return m;
}

typedef struct film {
    uint8_t *rgb;
    int frames;
} film;

static film film_new(void)
{
    return (film){.rgb = calloc(MOST, FRAME)};
}

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    film *f = user;
    if (f->frames == MOST)
        return zm_fail(err, ZM_E_SHAPE, "too many frames");
    memcpy(f->rgb + (size_t)f->frames++ * FRAME, frame->rgb, FRAME);
    return ZM_OK;
}

/* Levels of 255 that the worst number is off by. */
static int apart(const film *a, const film *b, int frames)
{
    int worst = a->frames == frames && b->frames == frames ? 0 : 255;
    for (int i = 0; i < frames * FRAME; i++)
        worst = abs(a->rgb[i] - b->rgb[i]) > worst ? abs(a->rgb[i] - b->rgb[i]) : worst;
    return worst;
}

static const zm_supplied supplied = {.context = {context[0], context[1]}, .rows = {5, ROWS}};

static zm_request ask(int frames, uint64_t seed)
{
    return (zm_request){.prompt = "a ball",
                        .width = WIDTH,
                        .height = HEIGHT,
                        .frames = frames,
                        .steps = STEPS,
                        .guidance = 2,
                        .seed = seed,
                        .supplied = &supplied};
}

/* The slow way: block k is the end of a clip whose other frames are given.  latent [LATENTS,H,W,z]. */
static zm_status slow_block(zm_model *m, const zm_request *r, const zm_latent_plan *head, int k, float *latent,
                            zm_error *err)
{
    int block = m->config.dit.causal.block, frames = (k + 1) * block, given = k * block;
    zm_request q = *r;
    zm_latent_plan plan = {0};
    zm_contexts contexts = {0};
    zm_denoise d = {0};
    zm_network *n = NULL;
    zm_network_options o = {.branches = 2};
    q.frames = q.span = 1 + 4 * (frames - 1);
    q.whole = true;
    zm_latent_size z = zm_latent_size_of(&q, m);
    int64_t each = z.each / z.frames;
    int there = head->latent ? head->size.frames : 0;
    zm_status s = zm_latent_plan_init(&plan, &q, m, err);
    for (int f = 0; !s && f < (there > given ? there : given) && f < frames; f++)
        s = zm_latent_plan_give(&plan, f, f < there ? head->latent + f * each : latent + f * each, err);
    if (!s)
        s = zm_contexts_init(&contexts, 2, LEN, TEXT, err);
    for (int b = 0; !s && b < 2; b++)
        memcpy(contexts.at + b * LEN * TEXT, context[b], (size_t)(supplied.rows[b] * TEXT) * sizeof(float));
    if (!s)
        s = zm_denoise_open(&d, &q, &z, err);
    if (!s)
        s = zm_network_new(&n, m, &plan, &o, err);
    if (!s) {
        zm_denoise_begin(&d, &q, &plan);
        if (there < frames)
            s = zm_denoise_run(&d, n, &plan, &contexts, &(zm_denoise_hooks){0}, err);
    }
    if (!s)
        memcpy(latent + given * each, d.slot[ZM_SLOT_X] + given * each, (size_t)(block * each) * sizeof *latent);
    zm_network_free(n);
    zm_denoise_release(&d);
    zm_contexts_release(&contexts);
    zm_latent_plan_release(&plan);
    return s;
}

static zm_status slowly(zm_model *m, const zm_request *r, float *latent, film *out, zm_error *err)
{
    int latents = 1 + (r->frames - 1 + 3) / 4, block = m->config.dit.causal.block;
    zm_latent_plan head = {0};
    zm_latent_decoder *d = NULL;
    zm_status s = ZM_OK;
    if (r->first || r->known) {
        zm_request q = *r;
        q.frames = q.span = r->known ? r->known->n_head : 1;
        q.whole = true;
        s = zm_latent_plan_init(&head, &q, m, err);
        if (!s)
            s = zm_condition(&head, m, &q, &(zm_condition_options){0}, err);
    }
    for (int k = 0; !s && k * block < latents; k++)
        s = slow_block(m, r, &head, k, latent, err);
    if (!s)
        s = zm_latent_decoder_new(&d, m, WIDTH, HEIGHT, 1, &(zm_exec_options){0}, err);
    if (!s)
        s = zm_latent_decode(d, latent, latents, false, r->frames, &(zm_decode_hooks){.user = out, .frame = on_frame},
                             err);
    zm_latent_decoder_free(d);
    zm_latent_plan_release(&head);
    return s;
}

static zm_status quickly(zm_model *m, const zm_request *r, const zm_generator_options *o, float *last, film *out,
                         zm_error *err)
{
    zm_generator *g = NULL;
    zm_latent_size z;
    zm_watch w = {.user = out, .frame = on_frame};
    zm_status s = zm_generator_new(&g, m, r, o, err);
    if (!s)
        s = zm_generate(g, r, &w, err);
    const float *x = s ? NULL : zm_generator_latent(g, &z);
    if (x)
        memcpy(last, x, (size_t)z.each * sizeof *x);
    zm_generator_free(g);
    return s;
}

/* Clips of so many blocks in both ways. */
static void equals_slow(const char *what, zm_model *m, zm_request r, int blocks)
{
    static float slow[LATENTS * 8 * 12 * Z], last[LATENTS * 8 * 12 * Z];
    const zm_dit_causal *c = &m->config.dit.causal;
    film a = film_new(), b = film_new(), one = film_new(), drop = film_new();
    zm_error err = {0};
    char name[700];
    r.frames = 1 + 4 * (blocks * c->block - 1) - (blocks % 2); /* and not the whole of the last latent frame */
    zm_status s = zm_request_resolve(&r, m, &err);
    zm_latent_size z = zm_latent_size_of(&r, m);
    s = s ? s : slowly(m, &r, slow, &a, &err);
    s = s ? s : quickly(m, &r, NULL, last, &b, &err);
    snprintf(name, sizeof name, "%s, blocks of %d, window %d, sink %d: the last of %d blocks as the slow way has it %s",
             what, c->block, c->window, c->sink, blocks, err.text);
    tap_close_f32(last, slow + (blocks - 1) * z.each, s ? 0 : (size_t)z.each, 2e-4, name);
    tap_ok(!s && apart(&a, &b, r.frames) <= 1, "its %d frames: %d levels of 255 apart", r.frames,
           apart(&a, &b, r.frames));
    s = s ? s : quickly(m, &r, &(zm_generator_options){.one_by_one = true}, last, &one, &err);
    tap_ok(!s && apart(&b, &one, r.frames) <= 1, "branches one by one: %d levels apart %s", apart(&b, &one, r.frames),
           err.text);
    m->keep = false;
    for (int k = 0; k < ZM_PART_COUNT; k++)
        zm_model_drop(m, (zm_model_part_kind)k);
    s = s ? s : quickly(m, &r, NULL, last, &drop, &err);
    tap_ok(!s && !apart(&drop, &one, r.frames), "parts opened and dropped around every block: the same bytes %s",
           err.text);
    m->keep = true;
    free(a.rgb), free(b.rgb), free(one.rgb), free(drop.rgb);
}

/* One block a call, and a generator that knows nothing but the file of the one before. */
static zm_status in_pieces(zm_model *m, const zm_request *r, film *out, bool anew, const zm_generator_options *o,
                           zm_error *err)
{
    int block = m->config.dit.causal.block, latents = 1 + (r->frames - 1 + 3) / 4;
    zm_generator *g = NULL;
    zm_watch w = {.user = out, .frame = on_frame};
    char *path = in_dir("past.safetensors");
    zm_status s = zm_generator_new(&g, m, r, o, err);
    for (int k = 0, frames = 0; !s && k * block < latents; k++) {
        zm_request q = *r;
        const zm_weight *row;
        size_t n;
        zm_weights *file = NULL;
        q.at = k * block;
        q.onward = true;
        q.frames = k ? 4 * block : 1 + 4 * (block - 1);
        q.frames = q.frames < r->frames - frames ? q.frames : r->frames - frames;
        frames += q.frames;
        s = zm_generate(g, &q, &w, err);
        if (s || !anew)
            continue;
        s = zm_generator_past(g, &row, &n, err);
        if (!s)
            s = zm_safetensors_write(path, row, n, NULL, 0, err);
        zm_generator_free(g);
        g = NULL;
        if (!s)
            s = zm_generator_new(&g, m, r, o, err);
        if (!s)
            s = zm_weights_open(&file, path, err);
        if (!s)
            s = zm_generator_restore(g, file, err);
        zm_weights_free(file);
    }
    zm_generator_free(g);
    remove(path);
    free(path);
    return s;
}

static void goes_on(zm_model *m, zm_request r, int frames)
{
    const zm_dit_causal *c = &m->config.dit.causal;
    zm_error err = {0};
    static float last[LATENTS * 8 * 12 * Z];
    for (int one = 0; one < 2; one++) {
        film whole = film_new(), pieces = film_new(), again = film_new();
        zm_generator_options o = {.one_by_one = one, .bands = one ? 2 : 1};
        r.frames = frames;
        zm_status s = zm_request_resolve(&r, m, &err);
        s = s ? s : quickly(m, &r, &o, last, &whole, &err);
        s = s ? s : in_pieces(m, &r, &pieces, false, &o, &err);
        tap_ok(!s && !apart(&whole, &pieces, frames),
               "blocks of %d, window %d, sink %d: a block a call, the same bytes %s", c->block, c->window, c->sink,
               err.text);
        s = s ? s : in_pieces(m, &r, &again, true, &o, &err);
        tap_ok(!s && !apart(&whole, &again, frames), "stopped and taken up after every block: the same bytes %s",
               err.text);
        free(whole.rgb), free(pieces.rgb), free(again.rgb);
    }
}

/* Another past, another block: or all of this would hold for a network that looks at nothing. */
static void past_matters(zm_model *m, zm_request r, const zm_known *head)
{
    static float a[LATENTS * 8 * 12 * Z], b[LATENTS * 8 * 12 * Z];
    zm_error err = {0};
    film f = film_new(), h = film_new();
    r.frames = 5;
    zm_status s = zm_request_resolve(&r, m, &err);
    zm_request on = r;
    on.frames = r.frames = 13;
    on.known = head;
    s = s ? s : quickly(m, &r, NULL, a, &f, &err);
    s = s ? s : quickly(m, &on, NULL, b, &h, &err);
    double most = 0;
    for (int64_t i = 0; !s && i < zm_latent_size_of(&r, m).each; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    tap_ok(!s && most > 1e-3, "another past, another block: %.3g %s", most, err.text);
    free(f.rgb), free(h.rgb);
}

static void refused(zm_model *m, zm_request r)
{
    zm_error err = {0};
    zm_generator *g = NULL;
    film f = film_new();
    zm_watch w = {.user = &f, .frame = on_frame};
    r.frames = 5;
    zm_status s = zm_request_resolve(&r, m, &err);
    s = s ? s : zm_generator_new(&g, m, &r, NULL, &err);
    r.at = 2;
    s = s ? s : zm_generate(g, &r, &w, &err);
    tap_ok(s == ZM_E_USAGE && strstr(err.text, "goes on after 2"), "frames that were never made: %s", err.text);
    err = (zm_error){0};
    char *path = in_dir("dit.safetensors");
    zm_weights *file = NULL;
    s = zm_weights_open(&file, path, &err);
    s = s ? s : zm_generator_restore(g, file, &err);
    tap_ok(s == ZM_E_MISSING && err.text[0], "a file of something else: %s", err.text);
    zm_weights_free(file);
    free(path);
    zm_generator_free(g);
    m->config.boundary = 0.5;
    r.at = 0;
    err = (zm_error){0};
    tap_ok(zm_generator_new(&g, m, &r, NULL, &err) == ZM_E_UNSUPPORTED && err.text[0], "two experts: %s", err.text);
    m->config.boundary = 0;
    free(f.rgb);
}

/* A film's place whose header is damaged gives a sentence or a block, never a crash. */
static void damaged(zm_model *m, zm_request r, zm_rng *rng)
{
    zm_error err = {0};
    zm_generator *g = NULL;
    film f = film_new();
    zm_watch w = {.user = &f, .frame = on_frame};
    const zm_weight *row;
    char *path = in_dir("past.safetensors"), *bytes = NULL;
    size_t n, size = 0, header = 8;
    int silent = 0, refused_ones = 0;
    r.frames = 5;
    zm_status s = zm_request_resolve(&r, m, &err);
    r.onward = true;
    s = s ? s : zm_generator_new(&g, m, &r, NULL, &err);
    s = s ? s : zm_generate(g, &r, &w, &err);
    s = s ? s : zm_generator_past(g, &row, &n, &err);
    s = s ? s : zm_safetensors_write(path, row, n, NULL, 0, &err);
    s = s ? s : zm_file_read(&bytes, &size, path, 1 << 24, &err);
    if (!tap_ok(!s, "a film's place %s", err.text))
        return;
    for (int i = 0; i < 4; i++)
        header += (size_t)(uint8_t)bytes[i] << 8 * i;
    r.at = 2 * m->config.dit.causal.block;
    r.frames = 4;
    for (int k = 0; k < 300; k++) {
        size_t at = zm_rng_below(rng, (uint32_t)header), cut = k % 7 != 6 ? size : zm_rng_below(rng, (uint32_t)size);
        char old = bytes[at];
        zm_save file;
        zm_weights *in = NULL;
        if (k) /* the first one is as it was */
            bytes[at] = k % 3 ? (char)('0' + zm_rng_below(rng, 10)) : (char)zm_rng_u32(rng);
        err = (zm_error){0};
        f.frames = 0;
        s = zm_save_open(&file, path, &err);
        s = s ? s : zm_save_write(&file, bytes, cut, &err);
        s = s ? s : zm_save_commit(&file, &err);
        s = s ? s : zm_weights_open(&in, path, &err);
        s = s ? s : zm_generator_restore(g, in, &err);
        s = s ? s : zm_generate(g, &r, &w, &err);
        silent += s && !err.text[0];
        refused_ones += s != ZM_OK;
        if (!k)
            tap_ok(!s && f.frames == 4, "whole, it is gone on from %s", err.text);
        zm_weights_free(in);
        bytes[at] = old;
    }
    tap_ok(!silent && refused_ones > 30, "%d of 300 damaged places are refused, each with a sentence", refused_ones);
    remove(path);
    free(path), free(bytes), free(f.rgb);
    zm_generator_free(g);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
#ifdef ZM_TEST_GPU
    zm_gpu_host_install(ZM_TEST_GPU);
#endif
    char template[] = "/tmp/zouma-blocks-XXXXXX";
    if (!mkdtemp(template))
        return 1;
    snprintf(dir, sizeof dir, "%s", template);
    zm_rng g = zm_rng_init(seed, 5);
    zm_rng_normals(&g, context[0], sizeof context[0] / sizeof(float));
    zm_rng_normals(&g, context[1], sizeof context[1] / sizeof(float));
    for (size_t i = 0; i < sizeof picture / sizeof *picture; i++)
        picture[i] = zm_rng_range(&g, -1, 1);
    for (size_t i = 0; i < sizeof video / sizeof *video; i++)
        video[i] = zm_rng_range(&g, -1, 1);
    zm_image image = {.rgb = picture, .width = WIDTH, .height = HEIGHT};
    zm_known head = {.head = video, .n_head = 9};
    static const struct {
        zm_dit_causal c;
        int blocks;
    } row[] = {{{.block = 1, .window = 3}, 7}, /* positions are relative: without a sink the window may roll */
               {{.block = 1, .window = 4, .sink = 1}, 5},
               {{.block = 2, .window = 2, .sink = 1}, 3},
               {{.block = 3, .window = 0}, 1},
               {{.block = 2, .window = 1}, 3}};
#ifdef ZM_TEST_GPU
    enum { FIRST = 1, LAST = 2 }; /* a device of loops takes its time */
#else
    enum { FIRST = 0, LAST = sizeof row / sizeof *row - 1 };
#endif
    for (size_t i = FIRST; i <= LAST; i++) {
        zm_model *m = make_model(row[i].c, zm_rng_u64(&g) >> 2);
        zm_request r = ask(MOST, zm_rng_u64(&g) >> 2), from = r, on = r;
        from.first = &image;
        on.known = &head;
        equals_slow("text", m, r, row[i].blocks);
        equals_slow("a picture", m, from, row[i].blocks);
        if (row[i].blocks * row[i].c.block > 3)
            equals_slow("given frames", m, on, row[i].blocks);
        goes_on(m, r, row[i].c.sink ? MOST : MOST - 6);
        if (!i) {
            refused(m, r);
            damaged(m, r, &g);
        }
        if (row[i].c.block == 1)
            past_matters(m, r, &head);
        zm_model_close(m);
    }
    static const char *const files[] = {"config.json", "dit.safetensors", "vae.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = in_dir(files[i]);
        remove(path);
        free(path);
    }
    tap_ok(!rmdir(dir), "nothing is left");
    return tap_done();
}
