/* Sample clips of a training run.
 * SPDX-License-Identifier: MIT */
#include "app/samples.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "media/picture.h"
#include "media/writer.h"
#include "pipeline/generate.h"

enum { MAX_CLIPS = 8, SHOWN = 6 };

/* Frame f of a clip, borrowed: nothing that takes it writes to it. */
static zm_frame frame_of(const zm_sample_clip *clip, int f, int width, int height)
{
    return (zm_frame){
        .rgb = (uint8_t *)clip->rgb + (size_t)f * (size_t)width * (size_t)height * 3, .width = width, .height = height};
}

static zm_status write_sheet(const char *path, const zm_sample_clip *clip, int n, int width, int height, int frames,
                             zm_error *err)
{
    zm_frame cell[MAX_CLIPS][SHOWN], picture;
    zm_sheet_clip row[MAX_CLIPS];
    int shown = frames < SHOWN ? frames : SHOWN;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < shown; k++)
            cell[i][k] = frame_of(&clip[i], shown > 1 ? k * (frames - 1) / (shown - 1) : 0, width, height);
        row[i] = (zm_sheet_clip){.frames = cell[i], .n_frames = (size_t)shown, .caption = clip[i].caption};
    }
    zm_sheet_options o = {.frames = (size_t)shown, .columns = 1, .cell_width = 192};
    zm_status s = zm_contact_sheet(&picture, &o, row, (size_t)n, err);
    if (s)
        return s;
    s = zm_picture_write(path, &picture, err);
    zm_frame_release(&picture);
    return s;
}

static zm_status write_clip(const char *path, const zm_sample_clip *clip, int width, int height, int frames, int fps,
                            zm_error *err)
{
    zm_writer *w;
    zm_writer_options o = {
        .width = width, .height = height, .fps_num = fps, .fps_den = 1, .scale = zm_writer_watchable(width, height)};
    zm_status s = zm_writer_open(&w, path, &o, err);
    if (s)
        return s;
    for (int f = 0; !s && f < frames; f++) {
        zm_frame frame = frame_of(clip, f, width, height);
        s = zm_writer_put(w, &frame, err);
    }
    if (s)
        zm_writer_abandon(&w);
    return s ? s : zm_writer_close(&w, err);
}

zm_status zm_samples_write(const char *dir, int64_t step, const zm_sample_clip *clip, int n, int width, int height,
                           int frames, int fps, zm_error *err)
{
    n = n < MAX_CLIPS ? n : MAX_CLIPS;
    char *path = zm_path_join(dir, "samples-%06" PRId64 ".png", step);
    zm_status s =
        path ? write_sheet(path, clip, n, width, height, frames, err) : zm_fail(err, ZM_E_NOMEM, "out of memory");
    free(path);
    for (int i = 0; !s && i < n; i++) {
        path = zm_path_join(dir, "sample-%06" PRId64 "-%d.mp4", step, i + 1);
        s = path ? write_clip(path, &clip[i], width, height, frames, fps, err)
                 : zm_fail(err, ZM_E_NOMEM, "out of memory");
        free(path);
    }
    return s;
}

/* Frames of one generated clip as they come. */
typedef struct keeper {
    uint8_t *at;
} keeper;

static zm_status keep(void *user, const zm_frame *frame, zm_error *err)
{
    (void)err;
    keeper *k = user;
    size_t bytes = (size_t)frame->width * (size_t)frame->height * 3;
    memcpy(k->at, frame->rgb, bytes);
    k->at += bytes;
    return ZM_OK;
}

static zm_status generate_all(zm_model *m, const char *dir, int64_t step, const char *const *prompt, int n,
                              zm_error *err)
{
    zm_generator *g = NULL;
    zm_sample_clip clip[MAX_CLIPS];
    zm_request r = {.prompt = prompt[0]};
    zm_status s = zm_request_resolve(&r, m, err);
    if (!s)
        s = zm_generator_new(&g, m, &r, NULL, err);
    size_t bytes = (size_t)r.width * (size_t)r.height * (size_t)r.frames * 3;
    uint8_t *rgb = s ? NULL : malloc(bytes * (size_t)n);
    if (!s && !rgb)
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for sample clips");
    for (int i = 0; !s && i < n; i++) {
        keeper k = {.at = rgb + (size_t)i * bytes};
        r.prompt = prompt[i];
        r.seed = (uint64_t)i + 1;
        clip[i] = (zm_sample_clip){.rgb = k.at, .caption = prompt[i]};
        s = zm_generate(g, &r, &(zm_watch){.user = &k, .frame = keep}, err);
    }
    if (!s)
        s = zm_samples_write(dir, step, clip, n, r.width, r.height, r.frames, r.fps < 1 ? 1 : (int)(r.fps + 0.5), err);
    free(rgb);
    zm_generator_free(g);
    return s;
}

zm_status zm_samples_generate(const char *model, const char *dir, int64_t step, const char *const *prompt, int n,
                              zm_error *err)
{
    zm_model *m;
    n = n < MAX_CLIPS ? n : MAX_CLIPS;
    zm_status s = zm_model_open(&m, model, err);
    if (s)
        return s;
    s = generate_all(m, dir, step, prompt, n, err);
    zm_model_close(m);
    return s;
}
