/* Looking at clips with the detector, and making them with a model.
 * SPDX-License-Identifier: MIT */
#include "app/eval_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/detector_job.h"
#include "backend/backend.h"
#include "media/writer.h"

struct zm_eval_eye {
    zm_detector *d;
    zm_params *params;
    zm_graph *g;
    zm_exec *x;
    zm_tensor *video;
    zm_detector_graph out;
    float *cells, *in;
};

const zm_detector_config *zm_eval_eye_config(const zm_eval_eye *e)
{
    return zm_detector_config_of(e->d);
}

static zm_status check_world(const zm_detector_config *c, const char *path, zm_error *err)
{
    zm_detector_config want = zm_detector_world_config(1, c->width, c->height, c->frames);
    if (zm_detector_world_level(c) < 0)
        return zm_fail(
            err, ZM_E_UNSUPPORTED,
            "%s: this detector knows %d classes and %d colours, the toy-box world has %d and %d; train it again", path,
            c->classes, c->colours, want.classes, want.colours);
    return ZM_OK;
}

static zm_status make_graph(zm_eval_eye *e, zm_error *err)
{
    const zm_detector_config *c = zm_detector_config_of(e->d);
    if (!(e->g = zm_graph_new()))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a graph");
    zm_build b = zm_build_begin(e->g, e->params, false, false);
    e->video = zm_input(e->g, ZM_F32, ZM_SHAPE(1, c->frames, c->height, c->width, 3), "video");
    e->out = zm_detector_build(&b, e->d, e->video);
    zm_output(e->g, e->out.cells);
    for (int i = 0; i < ZM_HEADS; i++)
        zm_output(e->g, e->out.answer[i]);
    zm_status s = zm_graph_finish(e->g, err);
    if (!s)
        s = zm_exec_new(&e->x, e->g, NULL, err);
    if (s)
        return s;
    e->cells = malloc(zm_tensor_bytes(e->out.cells));
    e->in = malloc(zm_tensor_bytes(e->video));
    return e->cells && e->in ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a clip");
}

zm_status zm_eval_eye_open(zm_eval_eye **out, const char *path, zm_error *err)
{
    *out = NULL;
    zm_eval_eye *e = calloc(1, sizeof *e);
    if (!e)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a detector");
    zm_status s = zm_detector_open(&e->d, &e->params, path, err);
    if (!s)
        s = check_world(zm_detector_config_of(e->d), path, err);
    if (!s)
        s = make_graph(e, err);
    if (s)
        zm_eval_eye_close(e);
    else
        *out = e;
    return s;
}

void zm_eval_eye_close(zm_eval_eye *e)
{
    if (!e)
        return;
    zm_exec_free(e->x);
    zm_graph_free(e->g);
    zm_detector_free(e->d);
    zm_params_free(e->params);
    free(e->cells);
    free(e->in);
    free(e);
}

zm_status zm_eval_look(zm_eval_eye *e, const uint8_t *rgb, double fps, zm_eval_sight *out, zm_error *err)
{
    const zm_detector_config *c = zm_detector_config_of(e->d);
    *out = (zm_eval_sight){.width = c->width, .height = c->height, .fps = fps};
    size_t n = (size_t)zm_shape_elems(e->video->shape);
    for (size_t i = 0; i < n; i++)
        e->in[i] = (float)rgb[i] * (2.0f / 255) - 1;
    zm_exec_write(e->x, e->video, e->in);
    zm_status s = zm_exec_run(e->x, err);
    if (s)
        return s;
    for (int i = 0; i < ZM_HEADS; i++) {
        float logits[1000];
        zm_exec_read(e->x, e->out.answer[i], logits);
        out->answer[i] = zm_largest(logits, c->head[i]);
    }
    zm_exec_read(e->x, e->out.cells, e->cells);
    return zm_tracks_find(&out->tracks, c, e->cells, c->frames, c->width, c->height, err);
}

zm_request zm_eval_request(const zm_eval_how *how, const zm_detector_config *c)
{
    return (zm_request){.width = c->width,
                        .height = c->height,
                        .steps = how->steps,
                        .guidance = how->guidance,
                        .quality = how->quality,
                        .solver = how->solver,
                        .precision = how->precision};
}

zm_status zm_eval_maker_open(zm_eval_maker *m, const char *path, const zm_detector_config *c, const zm_eval_how *how,
                             zm_error *err)
{
    *m = (zm_eval_maker){0};
    zm_status s =
        how->untrained ? zm_model_open_untrained(&m->model, path, 1, err) : zm_model_open(&m->model, path, err);
    m->request = zm_eval_request(how, c);
    m->request.prompt = "a ball";
    m->request.frames = c->frames;
    if (!s)
        s = zm_request_resolve(&m->request, m->model, err);
    if (!s)
        s = zm_generator_new(&m->generator, m->model, &m->request, NULL, err);
    if (s)
        zm_eval_maker_close(m);
    return s;
}

void zm_eval_maker_close(zm_eval_maker *m)
{
    zm_generator_free(m->generator);
    zm_model_close(m->model);
    *m = (zm_eval_maker){0};
}

typedef struct target {
    uint8_t *at;
    int left;
} target;

static zm_status keep_frame(void *user, const zm_frame *f, zm_error *err)
{
    target *t = user;
    size_t bytes = (size_t)f->width * (size_t)f->height * 3;
    if (t->left-- <= 0)
        return zm_fail(err, ZM_E_SHAPE, "the model gave more frames than were asked for");
    memcpy(t->at, f->rgb, bytes);
    t->at += bytes;
    return ZM_OK;
}

zm_status zm_eval_make(zm_eval_maker *m, const char *prompt, uint64_t seed, uint8_t *rgb, zm_error *err)
{
    target t = {rgb, m->request.frames};
    zm_watch watch = {.user = &t, .frame = keep_frame, .stop = &zm_app_stop};
    zm_request r = m->request;
    r.prompt = prompt;
    r.seed = seed;
    return zm_generate(m->generator, &r, &watch, err);
}

zm_status zm_eval_sheet_add(zm_eval_sheet *s, const uint8_t *rgb, const zm_detector_config *c, const char *caption,
                            zm_error *err)
{
    if (!s || s->n == ZM_EVAL_SHEET_CLIPS)
        return ZM_OK;
    size_t bytes = (size_t)c->width * (size_t)c->height * 3;
    for (int k = 0; k < ZM_EVAL_SHEET_FRAMES; k++) {
        zm_frame *f = &s->frame[s->n][k];
        zm_status st = zm_frame_init(f, c->width, c->height, err);
        if (st)
            return st;
        memcpy(f->rgb, rgb + (size_t)(k * (c->frames - 1) / (ZM_EVAL_SHEET_FRAMES - 1)) * bytes, bytes);
    }
    snprintf(s->caption[s->n++], ZM_CAPTION_BYTES, "%s", caption);
    return ZM_OK;
}

zm_status zm_eval_sheet_write(const zm_eval_sheet *s, const char *path, zm_error *err)
{
    zm_sheet_clip clip[ZM_EVAL_SHEET_CLIPS];
    for (size_t i = 0; i < s->n; i++)
        clip[i] = (zm_sheet_clip){.frames = s->frame[i], .n_frames = ZM_EVAL_SHEET_FRAMES, .caption = s->caption[i]};
    zm_frame picture;
    zm_status st =
        zm_contact_sheet(&picture, &(zm_sheet_options){.frames = ZM_EVAL_SHEET_FRAMES, .columns = 2, .cell_width = 144},
                         clip, s->n, err);
    if (st)
        return st;
    st = zm_picture_write(path, &picture, err);
    zm_frame_release(&picture);
    return st;
}

void zm_eval_sheet_release(zm_eval_sheet *s)
{
    for (size_t i = 0; i < ZM_EVAL_SHEET_CLIPS; i++)
        for (int k = 0; k < ZM_EVAL_SHEET_FRAMES; k++)
            zm_frame_release(&s->frame[i][k]);
}
