/* zouma world: captioned clips of the toy-box world with their ground truth.
 * SPDX-License-Identifier: MIT */
#include "app/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/world_card.h"
#include "base/mapfile.h"
#include "media/picture.h"
#include "media/progress.h"
#include "media/writer.h"
#include "world/world.h"

typedef struct job {
    const char *dir, *split, *sheet, *device;
    int size[2];
    int64_t clips, seed, frames, level, scale;
    double fps;
    bool sustained, quiet;
    zm_world_options world;
    zm_world_card *card; /* NULL: the CPU draws */
} job;

/* CARD_BYTES: of pictures drawn at once where a card draws; one clip may be more. */
enum { SHEET_CLIPS = 24, SHEET_FRAMES = 6, CARD_BYTES = 64 << 20 };

/* Clips in memory, drawn and not yet written. */
typedef struct drawn {
    int64_t room;
    uint8_t *rgb, *ids; /* [room,F,H,W,3], [room,F,H,W]; ids where a card draws */
    zm_truth *truth;    /* [room,F,ZM_WORLD_MAX_BODIES] */
} drawn;

/* Clips kept for a contact sheet. */
typedef struct sheet {
    zm_sheet_clip clip[SHEET_CLIPS];
    zm_frame frame[SHEET_CLIPS][SHEET_FRAMES];
    char caption[SHEET_CLIPS][ZM_CAPTION_BYTES];
    size_t n;
} sheet;

static zm_status write_text(const char *dir, const char *name, const char *ending, const char *text, zm_error *err)
{
    char *path = zm_path_join(dir, "%s.%s", name, ending);
    zm_save save;
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    zm_status s = zm_save_open(&save, path, err);
    free(path);
    if (s)
        return s;
    s = zm_save_write(&save, text, strlen(text), err);
    if (s) {
        zm_save_abandon(&save);
        return s;
    }
    return zm_save_commit(&save, err);
}

static zm_status write_video(const job *j, const char *name, uint8_t *rgb, zm_error *err)
{
    const zm_world_options *w = &j->world;
    char *path = zm_path_join(j->dir, "%s.mp4", name);
    zm_writer_options o = {.width = w->width,
                           .height = w->height,
                           .fps_num = (int)(w->fps * 1000 + 0.5F),
                           .fps_den = 1000,
                           .crf = 10,
                           .scale = (int)j->scale};
    zm_writer *writer = NULL;
    zm_status s = path ? zm_writer_open(&writer, path, &o, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a path");
    for (int f = 0; !s && f < w->frames; f++)
        s = zm_writer_put(writer,
                          &(zm_frame){.rgb = rgb + (size_t)f * (size_t)(w->width * w->height) * 3,
                                      .width = w->width,
                                      .height = w->height},
                          err);
    if (s)
        zm_writer_abandon(&writer);
    else
        s = zm_writer_close(&writer, err);
    free(path);
    return s;
}

static zm_status keep_for_sheet(const job *j, sheet *sh, const uint8_t *rgb, const char *caption, zm_error *err)
{
    const zm_world_options *w = &j->world;
    if (sh->n == SHEET_CLIPS)
        return ZM_OK;
    for (int k = 0; k < SHEET_FRAMES; k++) {
        int f = k * (w->frames - 1) / (SHEET_FRAMES - 1);
        zm_status s = zm_frame_init(&sh->frame[sh->n][k], w->width, w->height, err);
        if (s)
            return s;
        memcpy(sh->frame[sh->n][k].rgb, rgb + (size_t)f * (size_t)(w->width * w->height) * 3,
               (size_t)(w->width * w->height) * 3);
    }
    snprintf(sh->caption[sh->n], ZM_CAPTION_BYTES, "%s", caption);
    sh->clip[sh->n] =
        (zm_sheet_clip){.frames = sh->frame[sh->n], .n_frames = SHEET_FRAMES, .caption = sh->caption[sh->n]};
    sh->n++;
    return ZM_OK;
}

static zm_status drawn_new(drawn *d, const job *j, zm_error *err)
{
    const zm_world_options *w = &j->world;
    size_t clip = (size_t)w->width * (size_t)w->height * (size_t)w->frames;
    int64_t most = j->card && clip * 3 < CARD_BYTES ? CARD_BYTES / ((int64_t)clip * 3) : 1;
    *d = (drawn){.room = most < j->clips ? most : j->clips};
    d->rgb = malloc((size_t)d->room * clip * 3);
    d->ids = j->card ? malloc((size_t)d->room * clip) : NULL;
    d->truth = calloc((size_t)d->room * (size_t)w->frames * ZM_WORLD_MAX_BODIES, sizeof *d->truth);
    if (d->rgb && d->truth && (d->ids || !j->card))
        return ZM_OK;
    return zm_fail(err, ZM_E_NOMEM, "no memory for %d frames of %dx%d pixels", w->frames, w->width, w->height);
}

static void drawn_free(drawn *d)
{
    free(d->rgb);
    free(d->ids);
    free(d->truth);
}

/* Clips first .. first+n-1, n <= d->room. */
static zm_status draw(drawn *d, const job *j, int64_t first, int64_t n, zm_error *err)
{
    uint64_t seed = (uint64_t)(j->seed + first);
    zm_scene scene;
    if (j->card)
        return zm_world_card_clips(j->card, &j->world, seed, n, d->rgb, d->ids, d->truth, err);
    zm_scene_sample(&scene, seed, &j->world);
    return zm_world_render(&scene, &j->world, d->rgb, NULL, d->truth, err);
}

static zm_status write_clip(const job *j, uint64_t seed, uint8_t *rgb, const zm_truth *truth, sheet *sh, zm_error *err)
{
    const zm_world_options *w = &j->world;
    zm_scene scene;
    zm_scene_sample(&scene, seed, w);
    char name[32], english[ZM_CAPTION_BYTES], chinese[ZM_CAPTION_BYTES], both[2 * ZM_CAPTION_BYTES + 2];
    zm_rng r = zm_rng_init(seed, 0xca97);
    zm_scene_caption(&scene, ZM_LANG_EN, &r, english);
    zm_scene_caption(&scene, ZM_LANG_ZH, &r, chinese);
    snprintf(name, sizeof name, "%08" PRIu64, seed);
    snprintf(both, sizeof both, "%s\n%s\n", english, chinese);
    char *facts = zm_scene_json(&scene, english, ZM_LANG_EN, truth, w->frames);
    if (!facts)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for ground truth");
    zm_status s = write_video(j, name, rgb, err);
    if (!s)
        s = write_text(j->dir, name, "txt", both, err);
    if (!s)
        s = write_text(j->dir, name, "json", facts, err);
    free(facts);
    return s || !j->sheet ? s : keep_for_sheet(j, sh, rgb, english, err);
}

static zm_status write_sheet(const job *j, sheet *sh, zm_error *err)
{
    zm_frame picture;
    zm_status s = zm_contact_sheet(
        &picture, &(zm_sheet_options){.frames = SHEET_FRAMES, .columns = 2, .cell_width = 144}, sh->clip, sh->n, err);
    if (s)
        return s;
    s = zm_picture_write(j->sheet, &picture, err);
    zm_frame_release(&picture);
    return s;
}

static zm_status run(job *j, zm_error *err)
{
    zm_world_options *w = &j->world;
    *w = (zm_world_options){.width = j->size[0],
                            .height = j->size[1],
                            .frames = (int)j->frames,
                            .fps = (float)j->fps,
                            .level = (int)j->level,
                            .sustained = j->sustained};
    w->split = !strcmp(j->split, "train")      ? ZM_SPLIT_TRAIN
               : !strcmp(j->split, "held-out") ? ZM_SPLIT_HELDOUT
                                               : ZM_SPLIT_ANY;
    if (w->split == ZM_SPLIT_ANY && strcmp(j->split, "any") != 0)
        return zm_fail(err, ZM_E_USAGE, "--split is \"%s\"; train, held-out or any is needed", j->split);
    zm_status s = zm_mkdirs(j->dir, err);
    if (s)
        return s;
    drawn d = {0};
    sheet *sh = calloc(1, sizeof *sh);
    s = sh ? zm_world_card_new(&j->card, w, 0, err) : zm_fail(err, ZM_E_NOMEM, "out of memory for a contact sheet");
    if (!s)
        s = drawn_new(&d, j, err);
    zm_progress progress;
    zm_progress_start(&progress, j->quiet ? NULL : stderr, "clips", (long)j->clips, false);
    for (int64_t i = 0; !s && i < j->clips; i++) {
        int64_t frames = i % d.room * w->frames, left = j->clips - i;
        if (zm_app_stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped after %" PRId64 " clips", i);
        else if (!frames)
            s = draw(&d, j, i, left < d.room ? left : d.room, err);
        if (!s)
            s = write_clip(j, (uint64_t)(j->seed + i), d.rgb + frames * w->width * w->height * 3,
                           d.truth + frames * ZM_WORLD_MAX_BODIES, sh, err);
        zm_progress_step(&progress, (long)i + 1);
    }
    zm_progress_end(&progress, (long)j->clips);
    if (!s && j->sheet)
        s = write_sheet(j, sh, err);
    for (size_t i = 0; sh && i < sh->n; i++)
        for (int k = 0; k < SHEET_FRAMES; k++)
            zm_frame_release(&sh->frame[i][k]);
    drawn_free(&d);
    zm_world_card_free(j->card);
    free(sh);
    return s;
}

int zm_cmd_world(int argc, char **argv)
{
    static const char usage
        [] = "OUT/ --clips N [--seed S] [options]",
   help[] =
        "Write clips of the toy-box world: NAME.mp4, NAME.txt with an English and a Chinese caption, NAME.json with the truth.";
    job j = {.split = "any", .size = {96, 64}, .clips = 8, .seed = 1, .frames = 17, .level = 1, .scale = 1, .fps = 8};
    const char *words[1];
    const zm_arg args[] = {
        {"--clips", 0, ZM_ARG_INT, &j.clips, 1, 1e9, "N", "how many [8]"},
        {"--seed", 0, ZM_ARG_INT, &j.seed, 0, 9e15, "S", "number of the first scene [1]"},
        {"--size", 0, ZM_ARG_SIZE, j.size, 0, 0, "WxH", "pixels [96x64]"},
        {"--frames", 0, ZM_ARG_INT, &j.frames, 1, 100000, "N", "length [17]"},
        {"--fps", 0, ZM_ARG_FLOAT, &j.fps, 1, 120, "N", "frames per second [8]"},
        {"--split", 0, ZM_ARG_STR, &j.split, 0, 0, "NAME", "train, held-out or any [any]"},
        {"--level", 0, ZM_ARG_INT, &j.level, 0, 1, "N", "0 the core grammar, 1 everything [1]"},
        {"--scale", 0, ZM_ARG_INT, &j.scale, 1, 16, "N", "enlarge the written video [1]"},
        {"--sustained", 0, ZM_ARG_FLAG, &j.sustained, 0, 0, NULL, "scenes that still move after a minute"},
        {"--sheet", 0, ZM_ARG_STR, &j.sheet, 0, 0, "FILE.png", "also a contact sheet of the first clips"},
        ZM_ARG_DEVICE(&j.device),
        {"--quiet", 0, ZM_ARG_FLAG, &j.quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 1, usage, help);
    if (n < 0)
        return n == -1 ? 2 : 0;
    if (n == 0) {
        fprintf(stderr, "zouma world: where to?  usage: zouma world %s\n", usage);
        return 2;
    }
    int status = zm_app_device("world", j.device, ZM_APP_CLIPS);
    if (status)
        return status;
    j.dir = words[0];
    zm_app_catch_signals();
    zm_error err = {0};
    return run(&j, &err) ? zm_app_report("world", &err) : 0;
}
