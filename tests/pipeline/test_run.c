/* Whole runs of a tiny model: the same clip in every way of running it, interrupted anywhere and resumed, two experts,
 * pictures, states that are refused, and steps that allocate nothing.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "count_allocations.h"
#include "format/safetensors_write.h"
#include "pipeline/generate.h"
#include "pipeline/state.h"

enum { WIDTH = 32, HEIGHT = 32, FRAMES = 9, LATENT_FRAMES = 3, Z = 4, TEXT = 24, STEPS = 5 };

static char dir[256];
static float context[2][7 * TEXT], image[40 * 50 * 3];

#define VAE                                                                                                               \
    "\"vae\": {\"kind\": \"light\", \"z_dim\": 4, \"fold\": 4, \"channels\": [8, 16], \"encoder_blocks\": [1, 0, 0, 1], " \
    "\"decoder_blocks\": [1, 0, 0, 1]}"

static char *in_dir(const char *name)
{
    return zm_path_join(dir, "%s", name);
}

static void put(const char *name, const char *text)
{
    char *path = in_dir(name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
    free(path);
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

enum { CLIP_DIM = 64, CLIP_TOKENS = 5 };

/* A picture encoder of two blocks (one of them is used) for 28 x 28 pixels. */
static void write_clip(void)
{
    zm_clip_config c = {.image_size = 28,
                        .patch_size = 14,
                        .dim = CLIP_DIM,
                        .num_heads = 1,
                        .num_layers = 2,
                        .mlp_ratio = 2,
                        .class_token = true,
                        .pre_norm = true,
                        .norm_eps = 1e-5};
    zm_error err = {0};
    zm_params *p = zm_params_new();
    zm_clip *m = NULL;
    if (zm_clip_declare(&m, &c, p, "visual.", &err))
        tap_ok(0, "picture encoder: %s", err.text);
    /* The last block is in published files and tells the number of blocks. */
    zm_params_add(p, ZM_SHAPE(CLIP_DIM), ZM_INIT_ONES, false, "visual.transformer.1.norm1.weight");
    write_params(p, "clip.safetensors", 5);
    zm_clip_free(m);
    zm_params_free(p);
}

static void put_config(const char *type, int extra)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"name\": \"tiny\", %s, \"video\": {\"width\": %d, \"height\": %d, \"frames\": %d, \"fps\": 8}, "
             "\"dit\": {\"model_type\": \"%s\", \"dim\": 48, \"ffn_dim\": 64, \"num_heads\": 2, \"num_layers\": 2, "
             "\"in_dim\": %d, \"out_dim\": %d, \"freq_dim\": 32, \"text_dim\": %d, \"text_len\": 16}}",
             VAE, WIDTH, HEIGHT, FRAMES, type, Z + extra, Z, TEXT);
    put("config.json", text);
}

static void open_config(zm_model_config *c)
{
    zm_error err = {0};
    if (zm_model_config_open(c, dir, &err)) {
        tap_ok(0, "config: %s", err.text);
        exit(tap_done());
    }
}

/* DIR/config.json and weights of a network with `extra` channels more than a latent has. */
static zm_model *make_model(const char *type, int extra, bool experts, bool pictures)
{
    zm_error err = {0};
    zm_model_config c;
    zm_model *m = NULL;
    put_config("ti2v", extra);
    open_config(&c);
    c.dit.img_dim = pictures ? CLIP_DIM : 0;
    for (int k = 0; k < 2; k++) {
        zm_params *p = zm_params_new();
        zm_dit *d = NULL;
        if (pictures)
            zm_params_add(p, ZM_SHAPE(1, 2 * CLIP_TOKENS, CLIP_DIM), ZM_INIT_ZEROS, false, "img_emb.emb_pos");
        if (!zm_dit_declare(&d, &c.dit, p, NULL, &err))
            write_params(p, k ? "low.safetensors" : "dit.safetensors", (uint64_t)(7 + k));
        zm_dit_free(d);
        zm_params_free(p);
    }
    zm_params *p = zm_params_new();
    zm_vae *v = NULL;
    if (!zm_vae_declare(&v, &c.vae, p, "", &err))
        write_params(p, "vae.safetensors", 3);
    zm_vae_free(v);
    zm_params_free(p);
    if (pictures)
        write_clip();
    zm_model_config_close(&c);
    put_config(type, extra);
    open_config(&c);
    if (experts) {
        c.dit_low_path = in_dir("low.safetensors");
        c.boundary = 0.8;
    }
    if (zm_model_open_config(&m, &c, &err)) {
        tap_ok(0, "model: %s", err.text);
        exit(tap_done());
    }
    return m;
}

/* What a run came to, and where it is to be interrupted. */
typedef struct outcome {
    uint8_t rgb[FRAMES * WIDTH * HEIGHT * 3];
    int frames, stop_after; /* steps; 0: never */
    volatile sig_atomic_t stop;
    long allocations[STEPS + 1]; /* when so many steps were done */
    char note[512];
} outcome;

static zm_status on_frame(void *user, const zm_frame *f, zm_error *err)
{
    outcome *o = user;
    if (o->frames == FRAMES)
        return zm_fail(err, ZM_E_SHAPE, "too many frames");
    memcpy(o->rgb + (size_t)o->frames++ * WIDTH * HEIGHT * 3, f->rgb, (size_t)WIDTH * HEIGHT * 3);
    return ZM_OK;
}

static void on_step(void *user, int done, int total)
{
    outcome *o = user;
    (void)total;
    if (done <= STEPS)
        o->allocations[done] = allocations;
    o->stop = o->stop_after && done >= o->stop_after;
}

static void on_note(void *user, const char *sentence)
{
    outcome *o = user;
    snprintf(o->note, sizeof o->note, "%s", sentence);
}

static const zm_network_look *look; /* of the next runs */

static void on_attention(void *user, int block, const float *map, int64_t tokens, int rows, int stride)
{
    double sum = 0;
    for (int r = 0; r < rows; r++)
        sum += (double)map[(tokens - 1) * stride + r];
    *(int *)user += block >= 0 && fabs(sum - 1) < 1e-5;
}

static zm_status shoot(zm_model *m, zm_request r, const zm_saving *saving, int stop_after, bool one_by_one, outcome *o,
                       zm_error *err)
{
    static const zm_supplied given = {.context = {context[0], context[1]}, .rows = {5, 7}};
    zm_generator *g = NULL;
    zm_generator_options opt = {.one_by_one = one_by_one, .look = look};
    *o = (outcome){.stop_after = stop_after};
    zm_watch w = {.user = o, .step = on_step, .frame = on_frame, .note = on_note, .saving = saving, .stop = &o->stop};
    r.supplied = &given;
    zm_status s = zm_request_resolve(&r, m, err);
    if (!s)
        s = zm_generator_new(&g, m, &r, &opt, err);
    if (!s)
        s = zm_generate(g, &r, &w, err);
    zm_generator_free(g);
    return s;
}

static bool same(const outcome *a, const outcome *b)
{
    return a->frames == b->frames && !memcmp(a->rgb, b->rgb, sizeof a->rgb);
}

/* Largest difference of two clips in levels of 255. */
static int far_apart(const outcome *a, const outcome *b)
{
    int worst = a->frames == b->frames ? 0 : 255;
    for (size_t i = 0; i < sizeof a->rgb; i++)
        worst = abs(a->rgb[i] - b->rgb[i]) > worst ? abs(a->rgb[i] - b->rgb[i]) : worst;
    return worst;
}

static zm_request ask(const char *solver)
{
    return (zm_request){.prompt = "a ball", .steps = STEPS, .guidance = 3, .seed = 4, .solver = solver};
}

static void test_ways(const char *what, zm_model *m, zm_request r)
{
    static outcome one, two;
    zm_error err = {0};
    zm_status s = shoot(m, r, NULL, 0, false, &one, &err);
    tap_ok(!s && one.frames == FRAMES, "%s: a clip %s", what, err.text);
    s = shoot(m, r, NULL, 0, false, &two, &err);
    tap_ok(!s && same(&one, &two), "%s: the same again, parts kept %s", what, err.text);
    int maps = 0;
    const zm_network_look looks = {.user = &maps, .attention = on_attention};
    look = &looks;
    s = s ? s : shoot(m, r, NULL, 0, false, &two, &err);
    look = NULL;
    tap_ok(!s && same(&one, &two), "%s: the same while attention is looked at %s", what, err.text);
    tap_equal_i64(maps, STEPS * m->config.dit.num_layers, "maps whose columns sum to 1");
    zm_request other = r;
    other.seed++;
    s = s ? s : shoot(m, other, NULL, 0, false, &two, &err);
    tap_ok(!s && !same(&one, &two), "%s: another seed, another clip %s", what, err.text);
    s = shoot(m, r, NULL, 0, true, &two, &err);
    tap_ok(!s && far_apart(&one, &two) <= 1, "%s: branches one by one: %d levels of 255 apart %s", what,
           far_apart(&one, &two), err.text);
    m->keep = false;
    for (int k = 0; k < ZM_PART_COUNT; k++)
        zm_model_drop(m, (zm_model_part_kind)k);
    s = shoot(m, r, NULL, 0, false, &two, &err);
    tap_ok(!s && far_apart(&one, &two) <= 1, "%s: parts opened and dropped: %d levels apart %s", what,
           far_apart(&one, &two), err.text);
    bool open = false;
    for (int k = 0; k < ZM_PART_COUNT; k++)
        open |= m->part[k].open;
    tap_ok(!open, "%s: nothing stays open", what);
    m->keep = true;
}

/* The first step may make what the others share; no other allocates anything. */
static void test_allocations(const char *what, zm_model *m, zm_request r)
{
    static outcome o;
    zm_error err = {0};
    zm_status s = shoot(m, r, NULL, 0, false, &o, &err);
    tap_ok(!s, "%s: a clip %s", what, err.text);
    for (int done = 2; done <= STEPS; done++)
        tap_equal_i64(o.allocations[done] - o.allocations[done - 1], 0, "allocations of a later step");
}

static void test_resume(const char *what, zm_model *m, zm_request r, bool drop)
{
    static outcome whole, part, rest;
    char *path = in_dir("state.safetensors");
    zm_saving saving = {.path = path}, again = {.path = path, .resume = true};
    zm_error err = {0};
    m->keep = !drop;
    zm_status s = shoot(m, r, NULL, 0, false, &whole, &err);
    for (int after = 1; after <= STEPS; after++) {
        s = s ? s : shoot(m, r, &saving, after, false, &part, &err);
        bool told = s == ZM_E_INTERRUPTED && strstr(err.text, "--resume") && zm_path_is_file(path);
        if (!tap_ok(told, "%s: stopped after step %d: %s", what, after, err.text))
            break;
        zm_error_clear(&err);
        s = shoot(m, r, &again, 0, false, &rest, &err);
        if (!tap_ok(!s && same(&whole, &rest), "%s: resumed, the same frames %s", what, err.text))
            break;
        tap_ok(!zm_path_is_file(path), "%s: the state is gone", what);
    }
    m->keep = true;
    remove(path);
    free(path);
}

/* The picture counts, and so does the one that only its features tell apart. */
static void test_pictures(zm_model *m, zm_request r, const zm_image *other)
{
    static outcome one, two;
    zm_error err = {0};
    test_ways("picture features", m, r);
    zm_status s = shoot(m, r, NULL, 0, false, &one, &err);
    r.first = other;
    s = s ? s : shoot(m, r, NULL, 0, false, &two, &err);
    tap_ok(!s && !same(&one, &two), "another picture, another clip %s", err.text);
    r.last = other;
    s = shoot(m, r, NULL, 0, false, &two, &err);
    tap_ok(s == ZM_E_USAGE && strstr(err.text, "no last picture"), "%s", err.text);
}

static void test_refused(zm_model *m)
{
    static outcome o;
    char *path = in_dir("state.safetensors");
    zm_saving saving = {.path = path}, again = {.path = path, .resume = true};
    zm_request r = ask("unipc");
    zm_error err = {0};
    (void)shoot(m, r, &saving, 2, false, &o, &err);
    zm_error_clear(&err);
    uint64_t seed = 0;
    tap_ok(zm_state_seed(path, &seed) && seed == 4, "the state tells its seed");
    r.seed = 5;
    zm_status s = shoot(m, r, &again, 0, false, &o, &err);
    tap_ok(s == ZM_E_USAGE && strstr(err.text, "seed") && strstr(err.text, "\"4\""), "%s", err.text);
    zm_error_clear(&err);
    r = ask("unipc");
    r.prompt = "two balls";
    s = shoot(m, r, &again, 0, false, &o, &err);
    tap_ok(s == ZM_E_USAGE && strstr(err.text, "prompt"), "%s", err.text);
    zm_error_clear(&err);
    r = ask("euler");
    s = shoot(m, r, &again, 0, false, &o, &err);
    tap_ok(s == ZM_E_USAGE && strstr(err.text, "solver"), "%s", err.text);
    zm_error_clear(&err);
    /* Every byte of the header that is changed gives a sentence or the same run, never a crash. */
    char *bytes;
    size_t size, broken = 0;
    if (!zm_file_read(&bytes, &size, path, 1 << 20, &err)) {
        zm_rng g = zm_rng_init(11, 2);
        for (int k = 0; k < 60; k++) {
            size_t at = zm_rng_below(&g, 1400), cut = k % 3 ? size : zm_rng_below(&g, (uint32_t)size);
            char old = bytes[at];
            bytes[at] = (char)zm_rng_u32(&g);
            zm_save f;
            if (zm_save_open(&f, path, &err) || zm_save_write(&f, bytes, cut, &err) || zm_save_commit(&f, &err))
                break;
            s = shoot(m, ask("unipc"), &again, 1, false, &o, &err);
            broken += s && s != ZM_E_INTERRUPTED && !*err.text;
            zm_error_clear(&err);
            bytes[at] = old;
        }
        free(bytes);
    }
    tap_ok(!broken, "damaged states are refused with a sentence");
    remove(path);
    s = shoot(m, ask("unipc"), &again, 0, false, &o, &err);
    tap_ok(!s && strstr(o.note, "from the beginning"), "nothing to resume: %s", o.note);
    zm_saving nowhere = {.path = "/nonexistent/state"};
    s = shoot(m, ask("unipc"), &nowhere, 0, false, &o, &err);
    tap_ok(!s && o.frames == FRAMES && strstr(o.note, "/nonexistent/state"), "a run goes on unsaved: %s", o.note);
    zm_saving patient = {.path = path, .seconds = 100};
    s = shoot(m, ask("unipc"), &patient, 3, false, &o, &err);
    tap_ok(s == ZM_E_INTERRUPTED && !zm_path_is_file(path), "a young run leaves no file");
    zm_error_clear(&err);
    patient.keep = true;
    s = shoot(m, ask("unipc"), &patient, 0, false, &o, &err);
    zm_weights *w = NULL;
    const zm_weight *t = NULL;
    tap_ok(!s && !zm_weights_open(&w, path, &err) && !zm_weights_find(&t, w, "latent", &err) && t->rank == 4 &&
               t->dim[0] == LATENT_FRAMES && t->dim[3] == Z && zm_weights_count(w) == 1,
           "the finished latent is kept when asked for %s", err.text);
    zm_weights_free(w);
    remove(path);
    free(path);
}

static void fill_inputs(void)
{
    zm_rng g = zm_rng_init(77, 0);
    zm_rng_normals(&g, context[0], sizeof context[0] / sizeof(float));
    zm_rng_normals(&g, context[1], sizeof context[1] / sizeof(float));
    for (size_t i = 0; i < sizeof image / sizeof *image; i++)
        image[i] = zm_rng_range(&g, -1, 1);
}

/* Beyond its interval guidance is off, and its branch is left out. */
static void test_interval(zm_model *m)
{
    static outcome whole, part;
    zm_error err = {0};
    zm_request r = ask("unipc");
    zm_status s = shoot(m, r, NULL, 0, true, &whole, &err);
    r.guidance_to = 1;
    s = s ? s : shoot(m, r, NULL, 0, true, &part, &err);
    tap_ok(!s && same(&whole, &part), "guidance from 0 to 1 is guidance %s", err.text);
    r.guidance_from = 0.9; /* the last three of five steps are below */
    s = s ? s : shoot(m, r, NULL, 0, true, &part, &err);
    tap_ok(!s && !same(&whole, &part), "guidance above a noise level of 0.9 is something else %s", err.text);
    r.guidance_from = 0.0001, r.guidance_to = 0.0002; /* no step is there */
    s = s ? s : shoot(m, r, NULL, 0, false, &part, &err);
    r.guidance = 1, r.guidance_from = r.guidance_to = 0;
    s = s ? s : shoot(m, r, NULL, 0, false, &whole, &err);
    tap_ok(!s && same(&whole, &part), "guidance nowhere is none %s", err.text);
    r.guidance_from = 0.6, r.guidance_to = 0.4;
    tap_ok(shoot(m, r, NULL, 0, false, &part, &err) == ZM_E_USAGE, "an interval that ends before it begins: %s",
           err.text);
}

int main(void)
{
    char template[] = "/tmp/zouma-run-XXXXXX";
    if (!mkdtemp(template))
        return 1;
    snprintf(dir, sizeof dir, "%s", template);
    fill_inputs();
    zm_image picture = {.rgb = image, .width = 40, .height = 50}, wide = {.rgb = image, .width = 50, .height = 40};
    zm_request with = ask("unipc"), both = ask("dpmpp");
    with.first = both.first = &picture;
    with.width = both.width = WIDTH;
    with.height = both.height = HEIGHT;
    both.last = &wide;

    zm_model *m = make_model("ti2v", 0, false, false);
    test_ways("text", m, ask("unipc"));
    test_ways("given frame", m, with);
    test_allocations("text", m, ask("unipc"));
    test_allocations("given frame", m, with);
    test_resume("unipc", m, ask("unipc"), false);
    test_resume("dpmpp", m, ask("dpmpp"), true);
    test_resume("euler", m, ask("euler"), false);
    test_resume("given frame", m, with, true);
    zm_request draft = with;
    draft.quality = "draft";
    test_resume("draft", m, draft, false);
    test_refused(m);
    test_interval(m);
    draft.guidance_from = 0.3, draft.guidance_to = 0.9;
    test_resume("draft, guidance in the middle", m, draft, true);
    zm_model_close(m);

    m = make_model("i2v", 4 + Z, true, false);
    test_ways("experts and channels", m, with);
    test_ways("first and last picture", m, both);
    test_resume("experts and channels", m, with, true);
    test_resume("first and last picture", m, both, false);
    zm_model_close(m);

    m = make_model("i2v", 4 + Z, false, true);
    tap_equal_str(m->config.family->name, "wan21-i2v", "a family with picture features");
    test_pictures(m, with, &wide);
    test_resume("picture features", m, with, true);
    zm_model_close(m);
    m = make_model("flf2v", 4 + Z, false, true);
    tap_equal_str(m->config.family->name, "wan21-flf2v", "a family with two pictures");
    both.solver = "unipc";
    test_ways("two pictures with features", m, both);
    test_resume("two pictures with features", m, both, true);
    zm_model_close(m);

    static const char *const files[] = {"config.json", "dit.safetensors", "low.safetensors", "vae.safetensors",
                                        "clip.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = in_dir(files[i]);
        remove(path);
        free(path);
    }
    rmdir(dir);
    return tap_done();
}
