/* Every picture of docs/, made with the program itself: build/pictures MODEL OUTDIR [LOG.csv]
 *
 * MODEL is a model directory of the bundled model's kind; LOG.csv its training log (MODEL/train/first/log.csv and
 * MODEL/train-dit/log.csv are looked for otherwise; without one the loss curve is left alone).  The pieces of a
 * Chinese prompt go to stdout as text, since the canvas draws ASCII only.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/rng.h"
#include "media/picture.h"
#include "media/writer.h"
#include "pipeline/generate.h"
#include "pipeline/vae_stream.h"
#include "sample/flow.h"
#include "world/world.h"

enum { PAPER = 0xFFFFFF, INK = 0x202020, FAINT = 0x707070, GIVEN = 0x2E9E5B, CELL_W = 144, GAP = 6 };
enum { FRAMES_MAX = 65, SHOWN_MAX = 5 /* latent frames side by side */, MARGIN = 14, LINE = 24, STEPS_MAX = 1000 };

typedef struct album {
    zm_model *m;
    const char *out, *log;
    zm_generator *g; /* of the model's own size */
    zm_request r;
    int frames, cell_h;        /* of the model's clips; pixels of a cell, of their shape */
    zm_frame clip[FRAMES_MAX]; /* the last clip made */
    int n;
    zm_frame forming[8]; /* previews asked for */
    int wanted[8], n_wanted, step;
} album;

/* ---- canvas ---- */

static zm_status save(const album *a, const char *name, zm_frame *f, zm_error *err)
{
    char *path = zm_path_join(a->out, "%s", name);
    zm_status s = path ? zm_picture_write(path, f, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    if (!s)
        fprintf(stderr, "%s: %dx%d\n", path, f->width, f->height);
    free(path);
    zm_frame_release(f);
    return s;
}

static zm_status blank(zm_frame *f, int width, int height, zm_error *err)
{
    zm_status s = zm_frame_init(f, width, height, err);
    if (!s)
        zm_draw_rect(f, 0, 0, width, height, PAPER);
    return s;
}

/* `picture` in a cell; with `hard` edges every pixel becomes a block, else it is resized smoothly. */
static zm_status put(const album *a, zm_frame *canvas, int x, int y, const zm_frame *picture, bool hard, zm_error *err)
{
    zm_frame cell;
    zm_status s = zm_frame_init(&cell, CELL_W, a->cell_h, err);
    if (s)
        return s;
    if (hard && CELL_W % picture->width == 0 && a->cell_h == picture->height * (CELL_W / picture->width))
        zm_frame_repeat(&cell, picture, CELL_W / picture->width);
    else
        s = zm_frame_resize(&cell, picture, err);
    if (!s)
        zm_draw_frame(canvas, x, y, &cell);
    zm_frame_release(&cell);
    return s;
}

static int column(int i)
{
    return MARGIN + i * (CELL_W + GAP);
}

static void label(zm_frame *f, int x, int y, const char *text)
{
    zm_draw_text(f, x, y, 2, INK, text);
}

/* [H,W,3] in -1..1 */
static zm_status from_pixels(zm_frame *f, const float *hwc, int width, int height, zm_error *err)
{
    zm_status s = zm_frame_init(f, width, height, err);
    for (int i = 0; !s && i < width * height * 3; i++) {
        float x = (hwc[i] + 1) * 127.5F;
        f->rgb[i] = (uint8_t)(x > 0 ? x < 255 ? lrintf(x) : 255 : 0);
    }
    return s;
}

/* Three channels of a latent frame [H,W,z] as red, green and blue; about +-2.5 standard deviations are shown. */
static zm_status from_latent(zm_frame *f, const float *hwz, int width, int height, int z, zm_error *err)
{
    zm_status s = zm_frame_init(f, width, height, err);
    for (int i = 0; !s && i < width * height * 3; i++) {
        float x = hwz[i / 3 * z + i % 3] * 50 + 128;
        f->rgb[i] = (uint8_t)(x > 0 ? x < 255 ? lrintf(x) : 255 : 0);
    }
    return s;
}

/* ---- tokens ---- */

static void piece_text(const zm_tokenizer *t, int32_t id, char out[64])
{
    const char *p = zm_tokenizer_piece(t, id);
    size_t n = 0;
    for (; *p && n < 60; p++)
        if (!strncmp(p, "\xE2\x96\x81", 3)) { /* U+2581, a space */
            out[n++] = '_';
            p += 2;
        } else {
            out[n++] = *p;
        }
    out[n] = 0;
}

static zm_status tokens(const album *a, zm_error *err)
{
    static const char prompt[] = "a red ball bounces on the grass at sunset",
                      chinese[] = "夜里，一只熊猫撞开三个蓝色的盒子";
    int32_t ids[64];
    size_t n;
    char text[64], number[16];
    const zm_tokenizer *t = a->m->tokenizer;
    zm_status s = zm_tokenizer_encode(t, chinese, ids, 64, &n, NULL, err);
    for (size_t i = 0; !s && i < n; i++) {
        piece_text(t, ids[i], text);
        printf("%s`%s` %d", i ? " · " : "", text, ids[i]);
    }
    putchar('\n');
    zm_frame f;
    if (!s)
        s = zm_tokenizer_encode(t, prompt, ids, 64, &n, NULL, err);
    if (!s)
        s = blank(&f, 760, 136, err);
    if (s)
        return s;
    label(&f, MARGIN, MARGIN, prompt);
    int x = MARGIN, y = 60;
    for (size_t i = 0; i < n; i++) {
        piece_text(t, ids[i], text);
        snprintf(number, sizeof number, "%d", ids[i]);
        int wide = zm_text_width(text, 2), w = (wide > zm_text_width(number, 2) ? wide : zm_text_width(number, 2)) + 12;
        if (x + w > f.width - MARGIN) {
            x = MARGIN;
            y += 62;
        }
        zm_draw_rect(&f, x, y, w, 28, i + 1 < n ? 0xDCEBFA : 0xE8E8E8);
        label(&f, x + (w - wide) / 2, y + 5, text);
        zm_draw_text(&f, x + (w - zm_text_width(number, 2)) / 2, y + 33, 2, FAINT, number);
        x += w + GAP;
    }
    return save(a, "tokens.png", &f, err);
}

/* ---- autoencoder and noise ---- */

typedef struct sample {
    int width, height, lw, lh, lf, z;
    float *video, *latent, *back, *mixed, *noise;
} sample;

static void sample_release(sample *p)
{
    free(p->video);
    free(p->latent);
    free(p->back);
    free(p->mixed);
    free(p->noise);
}

/* A clip of the world, its latent, and what the decoder makes of it. */
static zm_status sample_make(sample *p, const album *a, zm_vae_stream *encoder, zm_vae_stream *decoder, zm_error *err)
{
    int stride = a->m->stride;
    *p = (sample){.width = a->r.width,
                  .height = a->r.height,
                  .lw = a->r.width / stride,
                  .lh = a->r.height / stride,
                  .lf = 1 + (a->frames - 1) / a->m->time_stride,
                  .z = a->m->z_dim};
    size_t pixels = (size_t)(a->frames * p->width * p->height * 3), cells = (size_t)(p->lf * p->lh * p->lw * p->z);
    p->video = malloc(pixels * sizeof(float));
    p->back = malloc(pixels * sizeof(float));
    p->latent = malloc(cells * sizeof(float));
    p->mixed = malloc(cells * sizeof(float));
    p->noise = malloc(cells * sizeof(float));
    uint8_t *rgb = malloc(pixels);
    zm_world_options o = {.width = p->width, .height = p->height, .frames = a->frames, .camera_share = -1};
    zm_scene_spec q = zm_scene_spec_any();
    q.cls = zm_world_find(ZM_ATTR_CLASS, "panda");
    q.action = ZM_ACT_HOP;
    q.count = 1;
    q.object_count = 1;
    q.object_cls = ZM_CLASS_BALL;
    q.object_colour = zm_world_find(ZM_ATTR_COLOUR, "red");
    q.ground = zm_world_find(ZM_ATTR_GROUND, "grass");
    q.light = ZM_LIGHT_DAY;
    q.camera = ZM_CAM_STATIC;
    zm_scene scene;
    zm_status s = p->video && p->back && p->latent && p->mixed && p->noise && rgb
                      ? zm_scene_compose(&scene, &q, 7, &o, err)
                      : zm_fail(err, ZM_E_NOMEM, "out of memory for a clip");
    if (!s)
        s = zm_world_render(&scene, &o, rgb, NULL, NULL, err);
    for (size_t i = 0; !s && i < pixels; i++)
        p->video[i] = (float)rgb[i] / 127.5F - 1;
    free(rgb);
    if (!s)
        s = zm_vae_encode_clip(encoder, p->video, a->frames, p->latent, err);
    return s ? s : zm_vae_decode_clip(decoder, p->latent, p->lf, p->back, err);
}

static zm_status put_video(const album *a, zm_frame *f, int x, int y, const sample *p, const float *video, int frame,
                           zm_error *err)
{
    zm_frame c = {0};
    zm_status s = from_pixels(&c, video + (size_t)frame * (size_t)(p->width * p->height * 3), p->width, p->height, err);
    if (!s)
        s = put(a, f, x, y, &c, false, err);
    zm_frame_release(&c);
    return s;
}

static zm_status put_latent(const album *a, zm_frame *f, int x, int y, const sample *p, const float *latent, int frame,
                            zm_error *err)
{
    zm_frame c = {0};
    zm_status s = from_latent(&c, latent + (size_t)frame * (size_t)(p->lw * p->lh * p->z), p->lw, p->lh, p->z, err);
    if (!s)
        s = put(a, f, x, y, &c, true, err);
    zm_frame_release(&c);
    return s;
}

static zm_status autoencoder(const album *a, const sample *p, zm_error *err)
{
    zm_frame f;
    int each = (p->lf - 1 + SHOWN_MAX - 2) / (SHOWN_MAX - 1), shown = each ? (p->lf - 1) / each + 1 : 1, n = 0, y[3];
    zm_status s = blank(&f, column(shown) + MARGIN - GAP, MARGIN + 3 * (LINE + a->cell_h + GAP) + GAP, err);
    if (s)
        return s;
    for (int k = 0; k < 3; k++)
        y[k] = MARGIN + LINE + k * (LINE + a->cell_h + GAP);
    char text[96];
    n = snprintf(text, sizeof text, "the clip: frames 1");
    for (int i = 1; i < shown; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %d", 1 + a->m->time_stride * each * i);
    label(&f, MARGIN, y[0] - LINE + 2, text);
    snprintf(text, sizeof text, "its latent: %d of %d frames of %dx%d cells", shown, p->lf, p->lw, p->lh);
    label(&f, MARGIN, y[1] - LINE + 2, text);
    label(&f, MARGIN, y[2] - LINE + 2, "what the decoder makes of it");
    for (int i = 0; !s && i < shown; i++) {
        s = put_video(a, &f, column(i), y[0], p, p->video, a->m->time_stride * each * i, err);
        if (!s)
            s = put_latent(a, &f, column(i), y[1], p, p->latent, each * i, err);
        if (!s)
            s = put_video(a, &f, column(i), y[2], p, p->back, a->m->time_stride * each * i, err);
    }
    if (s)
        zm_frame_release(&f);
    return s ? s : save(a, "autoencoder.png", &f, err);
}

static zm_status noise(const album *a, const sample *p, zm_vae_stream *decoder, zm_error *err)
{
    zm_frame f;
    size_t cells = (size_t)(p->lf * p->lh * p->lw * p->z);
    zm_rng rng = zm_rng_init(1, 0);
    zm_rng_normals(&rng, p->noise, cells);
    zm_status s = blank(&f, column(5) + MARGIN - GAP, MARGIN + LINE + 2 * (a->cell_h + GAP) + GAP, err);
    if (s)
        return s;
    for (int i = 0; !s && i < 5; i++) {
        float sigma = 0.25F * (float)i;
        char text[32];
        snprintf(text, sizeof text, "sigma %.2f", (double)sigma);
        label(&f, column(i), MARGIN, text);
        zm_flow_mix(p->mixed, NULL, p->latent, p->noise, sigma, cells);
        s = zm_vae_decode_clip(decoder, p->mixed, p->lf, p->back, err);
        if (!s)
            s = put_video(a, &f, column(i), MARGIN + LINE, p, p->back, a->frames / 2, err);
        if (!s)
            s = put_latent(a, &f, column(i), MARGIN + LINE + a->cell_h + GAP, p, p->mixed, p->lf / 2, err);
    }
    if (s)
        zm_frame_release(&f);
    return s ? s : save(a, "noise.png", &f, err);
}

static zm_status both_latent_pictures(const album *a, zm_error *err)
{
    zm_vae_stream *encoder = NULL, *decoder = NULL;
    const zm_vae_stream_options keep = {.keep_graphs = true};
    sample p = {0};
    const zm_part *part = &a->m->part[ZM_PART_VAE];
    zm_status s = zm_model_need(a->m, ZM_PART_VAE, err);
    if (!s)
        s = zm_vae_stream_open(&encoder, part->vae, part->params, ZM_VAE_ENCODE, a->r.height, a->r.width, &keep, err);
    if (!s)
        s = zm_vae_stream_open(&decoder, part->vae, part->params, ZM_VAE_DECODE, a->r.height, a->r.width, &keep, err);
    if (!s)
        s = sample_make(&p, a, encoder, decoder, err);
    if (!s)
        s = autoencoder(a, &p, err);
    if (!s)
        s = noise(a, &p, decoder, err);
    sample_release(&p);
    zm_vae_stream_close(encoder);
    zm_vae_stream_close(decoder);
    return s;
}

/* ---- clips of the model ---- */

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    album *a = user;
    if (a->n == a->frames)
        return ZM_OK;
    zm_frame_release(&a->clip[a->n]);
    return zm_frame_copy(&a->clip[a->n++], frame, err);
}

static void on_step(void *user, int done, int total)
{
    (void)total;
    ((album *)user)->step = done;
}

/* Called before on_step: the step that is being finished is step + 1. */
static void on_preview(void *user, const zm_frame *picture)
{
    album *a = user;
    zm_error ignored = {0};
    for (int i = 0; i < a->n_wanted; i++)
        if (a->wanted[i] == a->step + 1 && !a->forming[i].rgb && zm_frame_copy(&a->forming[i], picture, &ignored))
            fprintf(stderr, "step %d: %s\n", a->step + 1, ignored.text);
}

static zm_status make(album *a, const char *prompt, uint64_t seed, zm_error *err)
{
    a->r.prompt = prompt;
    a->r.seed = seed;
    a->n = a->step = 0;
    zm_watch w = {.user = a, .step = on_step, .preview = a->n_wanted ? on_preview : NULL, .frame = on_frame};
    return zm_generate(a->g, &a->r, &w, err);
}

static zm_status forming(album *a, zm_error *err)
{
    static const struct {
        const char *prompt;
        uint64_t seed;
    } row[] = {{"a red ball bounces on the grass at sunset", 1}, {"a panda hops in the snow, by day", 2}};
    enum { ROWS = 2, SHOWN = 6 };
    int step_height = LINE + a->cell_h + GAP, steps = a->r.steps, at[SHOWN] = {1, 3, 6, 10, 15, steps};
    zm_frame f;
    zm_status s = blank(&f, column(SHOWN) + MARGIN - GAP, MARGIN + LINE + ROWS * step_height + GAP, err);
    if (s)
        return s;
    for (int i = 0; i < SHOWN; i++) {
        char text[32];
        a->wanted[i] = at[i] < steps ? at[i] : steps;
        snprintf(text, sizeof text, "step %d", a->wanted[i]);
        label(&f, column(i), MARGIN, text);
    }
    a->n_wanted = SHOWN;
    for (int k = 0; !s && k < ROWS; k++) {
        int y = MARGIN + LINE + k * step_height;
        s = make(a, row[k].prompt, row[k].seed, err);
        for (int i = 0; i < SHOWN; i++) {
            if (!s && a->forming[i].rgb)
                s = put(a, &f, column(i), y, &a->forming[i], false, err);
            zm_frame_release(&a->forming[i]);
        }
        label(&f, MARGIN, y + a->cell_h + 5, row[k].prompt);
    }
    a->n_wanted = 0;
    if (s)
        zm_frame_release(&f);
    return s ? s : save(a, "forming.png", &f, err);
}

typedef struct asked {
    const char *prompt, *caption;
    uint64_t seed;
} asked;

/* Clips as rows of frames; the canvas draws ASCII, so a Chinese prompt needs a caption. */
static zm_status sheet(album *a, const char *name, const asked *ask, size_t n, const zm_sheet_options *o, zm_error *err)
{
    enum { MOST = 8 };
    static zm_frame kept[MOST][FRAMES_MAX];
    zm_sheet_clip clip[MOST];
    zm_frame f = {0};
    zm_status s = ZM_OK;
    for (size_t i = 0; !s && i < n && i < MOST; i++) {
        s = make(a, ask[i].prompt, ask[i].seed, err);
        clip[i] = (zm_sheet_clip){.frames = kept[i], .n_frames = (size_t)a->n, .caption = ask[i].caption};
        for (int k = 0; !s && k < a->n; k++)
            s = zm_frame_copy(&kept[i][k], &a->clip[k], err);
    }
    if (!s)
        s = zm_contact_sheet(&f, o, clip, n, err);
    for (size_t i = 0; i < MOST; i++)
        for (int k = 0; k < FRAMES_MAX; k++)
            zm_frame_release(&kept[i][k]);
    return s ? s : save(a, name, &f, err);
}

static zm_status seeds(album *a, zm_error *err)
{
    static const asked ask[] = {
        {"a blue ball rolls on the wooden floor", "\"a blue ball rolls on the wooden floor\", seed 1", 1},
        {"a blue ball rolls on the wooden floor", "the same prompt, seed 2", 2},
        {"a frog hops on the grass by day", "\"a frog hops on the grass by day\", seed 3", 3},
        {"a frog hops in the snow at night", "\"a frog hops in the snow at night\", seed 3", 3},
    };
    return sheet(a, "seeds.png", ask, sizeof ask / sizeof *ask, &(zm_sheet_options){.frames = 5, .cell_width = 128},
                 err);
}

static zm_status outputs(album *a, zm_error *err)
{
    static const asked ask[] = {
        {"a red ball bounces on the grass at sunset", "a red ball bounces on the grass at sunset", 1},
        {"夜里，一只熊猫撞开三个蓝色的盒子", "[asked in Chinese] at night, a panda knocks three blue boxes apart", 2},
        {"a yellow bus drives to the right on the sand", "a yellow bus drives to the right on the sand", 3},
        {"阴天，一只兔子在雪地上跳", "[asked in Chinese] overcast, a rabbit hops on the snow", 4},
        {"two green cubes fall onto the tiles", "two green cubes fall onto the tiles", 5},
        {"a balloon rises over the grass by day", "a balloon rises over the grass by day", 6},
    };
    return sheet(a, "outputs.png", ask, sizeof ask / sizeof *ask,
                 &(zm_sheet_options){.frames = 4, .columns = 2, .cell_width = 120}, err);
}

/* ---- the loss curve ---- */

static zm_status read_log(const char *path, double **step, double **loss, size_t *n, zm_error *err)
{
    FILE *in = fopen(path, "r");
    char line[512];
    size_t cap = 0;
    *step = *loss = NULL;
    *n = 0;
    if (!in)
        return zm_fail(err, ZM_E_MISSING, "%s: cannot be read", path);
    zm_status s = ZM_OK;
    while (!s && fgets(line, sizeof line, in)) {
        double at, value;
        if (sscanf(line, "%lf,%lf", &at, &value) != 2) /* the heading */
            continue;
        if (*n == cap) {
            cap = cap ? 2 * cap : 1024;
            double *more = realloc(*step, cap * sizeof *more), *also = realloc(*loss, cap * sizeof *also);
            *step = more ? more : *step;
            *loss = also ? also : *loss;
            if (!more || !also) {
                s = zm_fail(err, ZM_E_NOMEM, "out of memory for %s", path);
                break;
            }
        }
        (*step)[*n] = at;
        (*loss)[(*n)++] = value;
    }
    fclose(in);
    return s;
}

static zm_status loss_curve(const album *a, zm_error *err)
{
    double *step, *loss, *mean;
    size_t n;
    zm_status s = read_log(a->log, &step, &loss, &n, err);
    mean = s ? NULL : malloc((n + 1) * sizeof *mean);
    for (size_t i = 0; mean && i < n; i++) { /* about the step itself, so that the curve does not lag */
        size_t from = i < 25 ? 0 : i - 25, to = i + 26 < n ? i + 26 : n;
        mean[i] = 0;
        for (size_t k = from; k < to; k++)
            mean[i] += loss[k] / (double)(to - from);
    }
    zm_series series[] = {{.name = "one step", .x = step, .y = loss, .n = n, .colour = 0xB8CCDC},
                          {.name = "running mean", .x = step, .y = mean, .n = n, .colour = 0x0B4F8A}};
    zm_plot_options o = {.x_label = "steps", .y_label = "error", .width = 800, .height = 400};
    zm_frame f;
    if (!s)
        s = mean ? zm_plot(&f, &o, series, 2, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a curve");
    if (!s)
        s = save(a, "loss.png", &f, err);
    free(step);
    free(loss);
    free(mean);
    return s;
}

/* ---- which frames are given ---- */

/* A latent frame: given (green), wanted (noise) or in between. */
static void draw_cell(zm_frame *f, int x, int y, int size, double level, zm_rng *r)
{
    zm_draw_rect(f, x, y, size, size, GIVEN);
    for (int i = 0; i < size / 4 * (size / 4); i++)
        if (zm_rng_uniform(r) < (float)level) {
            uint32_t grey = 90 + zm_rng_below(r, 140);
            zm_draw_rect(f, x + i % (size / 4) * 4, y + i / (size / 4) * 4, 4, 4, grey << 16 | grey << 8 | grey);
        }
}

static zm_status frames(const album *a, zm_error *err)
{
    /* g given, . wanted, e partly noised */
    static const char *const task[][2] = {
        {"text to video", "....."},    {"image to video", "g...."},       {"go on from a clip", "gg..."},
        {"in between, loop", "g...g"}, {"change what is there", "eeeee"}, {"endless: the window moves on", " gg..."},
    };
    enum { ROWS = 6, SIZE = 40, LEFT = 360 };
    zm_frame f;
    zm_status s = blank(&f, LEFT + 6 * (SIZE + GAP) + MARGIN, 2 * MARGIN + LINE + ROWS * (SIZE + GAP), err);
    if (s)
        return s;
    zm_rng r = zm_rng_init(3, 0);
    for (int k = 0; k < ROWS; k++) {
        int y = MARGIN + k * (SIZE + GAP);
        label(&f, MARGIN, y + SIZE / 2 - 8, task[k][0]);
        for (int i = 0; task[k][1][i]; i++)
            if (task[k][1][i] != ' ')
                draw_cell(&f, LEFT + i * (SIZE + GAP), y, SIZE,
                          task[k][1][i] == 'g'   ? 0
                          : task[k][1][i] == 'e' ? 0.6
                                                 : 1,
                          &r);
    }
    zm_draw_text(&f, MARGIN, f.height - MARGIN - 14, 2, FAINT, "green: given    noise: wanted    mixed: partly noised");
    return save(a, "frames.png", &f, err);
}

/* ---- all of them ---- */

static zm_status everything(album *a, const char *model, zm_error *err)
{
    zm_status s = zm_model_open(&a->m, model, err);
    a->r = (zm_request){.prompt = "a ball"};
    if (!s)
        s = zm_request_resolve(&a->r, a->m, err);
    a->frames = a->r.frames < FRAMES_MAX ? a->r.frames : FRAMES_MAX;
    a->cell_h = s ? 0 : CELL_W * a->r.height / a->r.width;
    if (!s)
        s = zm_generator_new(&a->g, a->m, &a->r, NULL, err);
    if (!s)
        s = tokens(a, err);
    if (!s)
        s = both_latent_pictures(a, err);
    if (!s)
        s = forming(a, err);
    if (!s)
        s = seeds(a, err);
    if (!s)
        s = outputs(a, err);
    if (!s)
        s = frames(a, err);
    if (!s && a->log)
        s = loss_curve(a, err);
    for (int i = 0; i < FRAMES_MAX; i++)
        zm_frame_release(&a->clip[i]);
    zm_generator_free(a->g);
    zm_model_close(a->m);
    return s;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s MODEL OUTDIR [LOG.csv]\n", argv[0]);
        return 2;
    }
    char *log[] = {zm_path_join(argv[1], "train/first/log.csv"), zm_path_join(argv[1], "train-dit/log.csv")};
    album a = {.out = argv[2], .log = argc == 4 ? argv[3] : NULL};
    for (int i = 0; i < 2 && !a.log; i++)
        if (log[i] && zm_path_is_file(log[i]))
            a.log = log[i];
    if (!a.log)
        fprintf(stderr, "no training log: loss.png is not drawn\n");
    zm_error err = {0};
    zm_status s = zm_mkdirs(a.out, &err);
    if (!s)
        s = everything(&a, argv[1], &err);
    free(log[0]);
    free(log[1]);
    if (s)
        fprintf(stderr, "pictures: %s\n", err.text);
    return s ? 1 : 0;
}
