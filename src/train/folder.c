/* Clips from a folder or from JSON lines.
 * SPDX-License-Identifier: MIT */
#include "train/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mapfile.h"
#include "format/jsonl.h"
#include "media/reader.h"

typedef struct item {
    const char *video;
    const char **caption;
    int n_captions;
} item;

typedef struct part {
    zm_folder *folder;
    item *item;
    int64_t n;
} part;

struct zm_folder {
    zm_arena *arena;
    zm_folder_options o;
    item *item;
    int64_t n, cap;
    part train, held;
};

static zm_status add_item(zm_folder *f, const char *video, item **out, zm_error *err)
{
    if (f->n == f->cap) {
        int64_t cap = f->cap ? 2 * f->cap : 256;
        item *grown = realloc(f->item, (size_t)cap * sizeof *grown);
        if (!grown)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", video);
        f->item = grown;
        f->cap = cap;
    }
    *out = &f->item[f->n];
    **out = (item){.video = zm_arena_strdup(f->arena, video)};
    if (!(*out)->video)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", video);
    f->n++;
    return ZM_OK;
}

static zm_status set_captions(zm_folder *f, item *it, int n, const char *const *lines, zm_error *err)
{
    it->caption = zm_arena_array(f->arena, (size_t)n + 1, sizeof *it->caption);
    for (int i = 0; it->caption && i < n; i++)
        if (!(it->caption[i] = zm_arena_strdup(f->arena, lines[i])))
            it->caption = NULL;
    it->n_captions = n;
    return it->caption ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory for captions", it->video);
}

static bool is_video(const char *name)
{
    static const char *const ending[] = {".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ending / sizeof *ending; i++)
        if (!strcmp(dot, ending[i]))
            return true;
    return false;
}

/* NAME.txt beside NAME.mp4: one caption a line. */
static zm_status read_captions(zm_folder *f, item *it, zm_error *err)
{
    enum { MAX_LINES = 64 };
    char *path = strdup(it->video), *text = NULL, *rest = NULL;
    const char *line[MAX_LINES];
    int n = 0;
    if (!path)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", it->video);
    size_t stem = (size_t)(strrchr(path, '.') - path);
    char *txt = malloc(stem + 5);
    if (txt) {
        memcpy(txt, path, stem);
        memcpy(txt + stem, ".txt", 5);
    }
    zm_status s =
        txt ? zm_file_read(&text, NULL, txt, 1 << 20, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (s == ZM_E_MISSING)
        zm_error_prefix(err, "%s has no caption", it->video);
    for (char *at = s ? NULL : strtok_r(text, "\r\n", &rest); at && n < MAX_LINES; at = strtok_r(NULL, "\r\n", &rest))
        if (at[strspn(at, " \t")])
            line[n++] = at;
    if (!s && !n)
        s = zm_fail(err, ZM_E_MISSING, "%s: empty; a caption is needed", txt);
    if (!s)
        s = set_captions(f, it, n, line, err);
    free(text);
    free(txt);
    free(path);
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->video, ((const item *)b)->video);
}

static zm_status list_folder(zm_folder *f, const char *path, zm_error *err)
{
    DIR *d = opendir(path);
    if (!d)
        return zm_fail(err, errno == ENOENT ? ZM_E_MISSING : ZM_E_IO, "%s: cannot list: %s", path, strerror(errno));
    zm_status s = ZM_OK;
    for (struct dirent *e; !s && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !is_video(e->d_name))
            continue;
        char *video = zm_path_join(path, "%s", e->d_name);
        item *it = NULL;
        s = video ? add_item(f, video, &it, err) : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
        free(video);
        if (!s)
            s = read_captions(f, it, err);
    }
    closedir(d);
    if (f->n)
        qsort(f->item, (size_t)f->n, sizeof *f->item, by_name);
    return s;
}

static zm_status add_line(zm_folder *f, const char *dir, const zm_json *line, zm_error *err)
{
    enum { MAX_CAPTIONS = 64 };
    const char *video, *one = NULL, *many[MAX_CAPTIONS];
    int n = 0;
    zm_status s = zm_json_str(&video, line, "video_path", true, err);
    json_t *captions = s ? NULL : zm_json_at(line, "caption");
    if (!s && json_is_array(captions)) {
        for (size_t i = 0; i < json_array_size(captions) && n < MAX_CAPTIONS; i++)
            if (json_is_string(json_array_get(captions, i)))
                many[n++] = json_string_value(json_array_get(captions, i));
    } else if (!s && !(s = zm_json_str(&one, line, "caption", true, err))) {
        many[n++] = one;
    }
    if (!s && !n)
        s = zm_fail(err, ZM_E_FORMAT, "%s: caption is no text and no list of texts", line->file);
    char *full = !s && video[0] != '/' ? zm_path_join(dir, "%s", video) : NULL;
    item *it = NULL;
    if (!s)
        s = add_item(f, full ? full : video, &it, err);
    free(full);
    return s ? s : set_captions(f, it, n, many, err);
}

static zm_status list_lines(zm_folder *f, const char *path, zm_error *err)
{
    zm_jsonl *r;
    zm_status s = zm_jsonl_open(&r, path, err);
    if (s)
        return s;
    char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash)
        *slash = 0;
    if (!dir)
        s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    while (!s) {
        zm_json line;
        s = zm_jsonl_next(&line, r, err);
        if (s || !line.root)
            break;
        s = add_line(f, slash ? dir : ".", &line, err);
    }
    free(dir);
    zm_jsonl_close(r);
    return s;
}

/* Every so-many-th clip moves to the end, to be held out. */
static zm_status split(zm_folder *f, zm_error *err)
{
    int64_t held = f->n >= 20 ? f->n / 10 : 0;
    held = held < f->o.held_out ? held : f->o.held_out;
    item *order = zm_arena_array(f->arena, (size_t)f->n, sizeof *order);
    if (!order)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for %lld clips", (long long)f->n);
    int64_t stride = held ? f->n / held : f->n + 1, front = 0, back = f->n;
    for (int64_t i = 0; i < f->n; i++)
        if (held && i % stride == stride - 1 && back > f->n - held)
            order[--back] = f->item[i];
        else
            order[front++] = f->item[i];
    f->train = (part){.folder = f, .item = order, .n = front};
    f->held = held ? (part){.folder = f, .item = order + front, .n = f->n - front} : f->train;
    return ZM_OK;
}

zm_status zm_folder_open(zm_folder **out, const char *path, const zm_folder_options *o, zm_error *err)
{
    *out = NULL;
    zm_folder *f = calloc(1, sizeof *f);
    if (!f)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    f->o = *o;
    f->arena = zm_arena_new();
    zm_status s = f->arena ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "%s: out of memory", path);
    if (!s)
        s = zm_path_is_dir(path) ? list_folder(f, path, err) : list_lines(f, path, err);
    if (!s && !f->n)
        s = zm_fail(
            err, ZM_E_MISSING,
            "%s: no clips; name.mp4 with name.txt beside it, or JSON lines with video_path and caption, are needed",
            path);
    if (!s)
        s = split(f, err);
    if (s)
        zm_folder_close(f);
    else
        *out = f;
    return s;
}

void zm_folder_close(zm_folder *f)
{
    if (!f)
        return;
    zm_arena_free(f->arena);
    free(f->item);
    free(f);
}

static zm_status clip(void *user, int64_t index, uint8_t *rgb, uint8_t *mask, zm_error *err)
{
    const part *p = user;
    const zm_folder_options *o = &p->folder->o;
    size_t frame = (size_t)o->width * (size_t)o->height;
    int got = 0;
    const char *video = p->item[index % p->n].video;
    zm_reader_options opt = {.width = o->width, .height = o->height, .fps_num = o->fps, .fps_den = 1};
    zm_status s = zm_clip_read(rgb, o->frames, &got, video, &opt, err);
    if (!s && !got)
        s = zm_fail(err, ZM_E_FORMAT, "%s: no frames", video);
    for (int f = got; !s && f < o->frames; f++)
        memcpy(rgb + (size_t)f * frame * 3, rgb + (size_t)(f - 1) * frame * 3, frame * 3);
    memset(mask, 0, frame * (size_t)o->frames);
    return s;
}

static zm_status caption(void *user, int64_t index, int k, char out[ZM_CAPTION_MAX], zm_error *err)
{
    (void)err;
    const part *p = user;
    const item *it = &p->item[index % p->n];
    const char *text = it->caption[k % it->n_captions];
    size_t n = strlen(text);
    if (n >= ZM_CAPTION_MAX)
        for (n = ZM_CAPTION_MAX - 1; n && ((unsigned char)text[n] & 0xC0) == 0x80; n--) /* cut between characters */
            ;
    memcpy(out, text, n);
    out[n] = 0;
    return ZM_OK;
}

static zm_clip_source source(part *p)
{
    const zm_folder_options *o = &p->folder->o;
    return (zm_clip_source){.user = p,
                            .count = p->n,
                            .width = o->width,
                            .height = o->height,
                            .frames = o->frames,
                            .clip = clip,
                            .caption = caption};
}

zm_clip_source zm_folder_train(zm_folder *f)
{
    return source(&f->train);
}

zm_clip_source zm_folder_held(zm_folder *f)
{
    return source(&f->held);
}
