/* Reading storyboards.
 * SPDX-License-Identifier: MIT */
#include "pipeline/storyboard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/config.h"
#include "media/reader.h"
#include "pipeline/source.h"

enum { SHOTS_MAX = 1000 };
static const double untold = -1e30, most_seconds = 86400;

typedef struct row {
    const char *prompt, *picture;
    double start, seconds, dissolve;
    int transition;
} row;

typedef struct board {
    zm_config_list shots;
} board;

static const zm_config_row shot_rows[] = {
    {.key = "prompt", .type = ZM_CONFIG_STR, .offset = offsetof(row, prompt), .help = "what it shows"},
    {.key = "start",
     .type = ZM_CONFIG_FLOAT,
     .offset = offsetof(row, start),
     .fallback = "-1e30",
     .help = "seconds from the film's beginning"},
    {.key = "seconds",
     .type = ZM_CONFIG_FLOAT,
     .offset = offsetof(row, seconds),
     .fallback = "-1e30",
     .help = "how long it lasts"},
    {.key = "transition",
     .type = ZM_CONFIG_ENUM,
     .offset = offsetof(row, transition),
     .fallback = "continue",
     .choices = ZM_TRANSITIONS,
     .help = "how it follows the shot before"},
    {.key = "dissolve",
     .type = ZM_CONFIG_FLOAT,
     .offset = offsetof(row, dissolve),
     .fallback = "0.5",
     .min = 0,
     .max = 60,
     .help = "seconds of a dissolve"},
    {.key = "picture",
     .type = ZM_CONFIG_STR,
     .offset = offsetof(row, picture),
     .fallback = "",
     .help = "file that it begins with"},
};
static const zm_config_table shot_table = {shot_rows, sizeof shot_rows / sizeof *shot_rows, sizeof(row)};
static const zm_config_row board_rows[] = {{.key = "shots",
                                            .type = ZM_CONFIG_LIST,
                                            .offset = offsetof(board, shots),
                                            .max_n = SHOTS_MAX,
                                            .item = &shot_table,
                                            .help = "the film's shots in order"}};
static const zm_config_table board_table = {board_rows, 1, sizeof(board)};

typedef struct picture {
    zm_image image; /* rgb owned here */
    float *own;
} picture;

struct zm_storyboard {
    zm_arena *arena;
    char name[256];
    row *row; /* start and seconds settled */
    int n;
    zm_shot *shot;
    picture *picture;
};

void zm_storyboard_free(zm_storyboard *b)
{
    if (!b)
        return;
    for (int i = 0; b->picture && i < b->n; i++)
        free(b->picture[i].own);
    free(b->picture);
    free(b->shot);
    zm_arena_free(b->arena);
    free(b);
}

static bool is_yaml(const char *told)
{
    told += strspn(told, " \t\r\n");
    return *told == '[' || *told == '{' || !strncmp(told, "shots:", 6);
}

static zm_status parse(zm_storyboard *b, const char *told, zm_error *err)
{
    board got;
    zm_status s;
    if (!is_yaml(told)) {
        snprintf(b->name, sizeof b->name, "%s", told);
        s = zm_config_load(&got, b->arena, told, &board_table, err);
    } else {
        bool list = told[strspn(told, " \t\r\n")] == '[';
        size_t n = strlen(told) + 8;
        char *text = malloc(n + 1);
        snprintf(b->name, sizeof b->name, "the storyboard");
        if (!text)
            return zm_fail(err, ZM_E_NOMEM, "out of memory for a storyboard");
        snprintf(text, n + 1, "%s%s", list ? "shots: " : "", told);
        s = zm_config_parse(&got, b->arena, text, strlen(text), b->name, &board_table, err);
        free(text);
    }
    if (s)
        return s;
    b->row = got.shots.at;
    b->n = (int)got.shots.n;
    return b->n ? ZM_OK : zm_fail(err, ZM_E_USAGE, "%s: there are no shots in it", b->name);
}

/* Starts and lengths, each from what is told or from its neighbours. */
static zm_status settle_times(zm_storyboard *b, double default_seconds, zm_error *err)
{
    double end = 0;
    for (int i = 0; i < b->n; i++) {
        row *r = &b->row[i];
        bool starts = r->start > untold / 2, lasts = r->seconds > untold / 2;
        double next = i + 1 < b->n && b->row[i + 1].start > untold / 2 ? b->row[i + 1].start : untold;
        if (starts && r->start < 0)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d begins at %g s, before the film", b->name, i + 1, r->start);
        if (lasts && !(r->seconds > 0))
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d lasts %g s; a shot needs more than 0", b->name, i + 1,
                           r->seconds);
        if (starts && r->start < end - 1e-6)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d begins at %g s, before shot %d ends at %g s", b->name, i + 1,
                           r->start, i, end);
        if (starts && r->start > end + 1e-6)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d begins at %g s, but what comes before it ends at %g s",
                           b->name, i + 1, r->start, end);
        r->start = end;
        if (!lasts)
            r->seconds = next > end ? next - end : default_seconds;
        end += r->seconds;
        if (end > most_seconds)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d ends at %g s; %g at most are possible", b->name, i + 1, end,
                           most_seconds);
        if (!r->prompt[strspn(r->prompt, " \t\r\n")])
            return zm_fail(err, ZM_E_USAGE, "%s: the prompt of shot %d is empty", b->name, i + 1);
    }
    return ZM_OK;
}

static zm_status read_pictures(zm_storyboard *b, zm_error *err)
{
    b->picture = calloc((size_t)b->n, sizeof *b->picture);
    b->shot = calloc((size_t)b->n, sizeof *b->shot);
    zm_status s = b->picture && b->shot ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for %d shots", b->n);
    for (int i = 0; !s && i < b->n; i++) {
        const char *path = b->row[i].picture;
        if (path && *path)
            s = zm_image_read(&b->picture[i].image, &b->picture[i].own, path, err);
    }
    return s;
}

zm_status zm_storyboard_load(zm_storyboard **out, const char *told, double default_seconds, zm_error *err)
{
    *out = NULL;
    zm_storyboard *b = calloc(1, sizeof *b);
    if (!b)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a storyboard");
    zm_status s = (b->arena = zm_arena_new()) ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a storyboard");
    if (!s)
        s = parse(b, told, err);
    if (!s)
        s = settle_times(b, default_seconds, err);
    if (!s)
        s = read_pictures(b, err);
    if (s)
        zm_storyboard_free(b);
    else
        *out = b;
    return s;
}

zm_status zm_storyboard_shots(const zm_shot **out, int *n, zm_storyboard *b, double fps, zm_error *err)
{
    for (int i = 0; i < b->n; i++) {
        const row *r = &b->row[i];
        double from = rint(r->start * fps), to = rint((r->start + r->seconds) * fps);
        if (to > ZM_REEL_FRAMES_MAX)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d ends with frame %.0f; films of %d frames are possible",
                           b->name, i + 1, to, ZM_REEL_FRAMES_MAX);
        if (to - from < 1)
            return zm_fail(err, ZM_E_USAGE, "%s: shot %d lasts %g s, less than a frame", b->name, i + 1, r->seconds);
        bool given = b->picture[i].own != NULL;
        b->shot[i] = (zm_shot){.prompt = r->prompt,
                               .frames = (int)(to - from),
                               .transition = (zm_transition)r->transition,
                               .picture = given ? &b->picture[i].image : NULL};
        if (given && r->transition == ZM_CONTINUE)
            b->shot[i].transition = ZM_CUT;
        if (r->transition == ZM_DISSOLVE)
            b->shot[i].dissolve = (int)fmax(1, rint(r->dissolve * fps));
    }
    *out = b->shot;
    *n = b->n;
    return ZM_OK;
}
