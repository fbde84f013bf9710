/* Find the weight files of a directory: an index with shards, or the only file of a kind.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "format/weights_build.h"

enum { INDEX_BYTES_MAX = 32 << 20, SHARDS_MAX = 4096 };

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

/* Count files in `dir` that end with `end`; *one is the name of the last seen, from the arena. */
static zm_status scan(size_t *count, const char **one, zm_weights *w, const char *dir, const char *end, zm_error *err)
{
    *count = 0;
    *one = NULL;
    DIR *d = opendir(dir);
    if (!d)
        return zm_fail(err, errno == ENOMEM ? ZM_E_NOMEM : ZM_E_IO, "%s: cannot read directory: %s", dir,
                       strerror(errno));
    zm_status s = ZM_OK;
    for (struct dirent *e; !s && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !ends_with(e->d_name, end))
            continue;
        if (!++*count || !(*one = zm_arena_strdup(w->arena, e->d_name)))
            s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
    }
    closedir(d);
    return s;
}

static int order_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool plain_file_name(const char *s)
{
    return zm_weights_name_ok(s, strlen(s)) && !strchr(s, '/') && s[0] != '.';
}

/* Distinct shard names of a weight_map, sorted, in an array of the arena. */
static zm_status collect_shards(const char ***out, size_t *n, json_t *map, const char *index, zm_arena *arena,
                                zm_error *err)
{
    size_t have = 0, entries = json_object_size(map);
    const char **names = zm_arena_array(arena, entries ? entries : 1, sizeof *names);
    if (!names)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %zu entries", index, entries);
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        const char *file = json_string_value(value);
        if (!file || !plain_file_name(file))
            return zm_fail(err, ZM_E_FORMAT, "%s: weight_map entry %zu does not name a file of the same directory",
                           index, have);
        names[have++] = file;
    }
    qsort(names, have, sizeof *names, order_strings);
    *n = 0;
    for (size_t i = 0; i < have; i++)
        if (!*n || strcmp(names[*n - 1], names[i]))
            names[(*n)++] = names[i];
    *out = names;
    if (!*n || *n > SHARDS_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s: weight_map names %zu shards, 1 to %d are possible", index, *n,
                       SHARDS_MAX);
    return ZM_OK;
}

static int order_weights(const void *a, const void *b)
{
    return strcmp((*(const zm_weight *const *)a)->name, (*(const zm_weight *const *)b)->name);
}

/* Every tensor that the index promises must be in the shard that it names.  Needs w->by_name. */
static zm_status check_promises(const zm_weights *w, json_t *map, const char *index, zm_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(map, key, value)
    {
        const zm_weight want = {.name = key}, *p = &want;
        const zm_weight **hit = bsearch(&p, w->by_name, w->n, sizeof *w->by_name, order_weights);
        if (!hit || !ends_with((*hit)->file, json_string_value(value)))
            return zm_fail(err, ZM_E_MISSING, "%s: tensor %.200s is not in shard %s", index, key,
                           json_string_value(value));
    }
    return ZM_OK;
}

zm_status zm_weights_add_index(zm_weights *w, const char *index, zm_error *err)
{
    const char *slash = strrchr(index, '/');
    int dir = slash ? (int)(slash - index) + 1 : 0; /* bytes of the directory, the slash included */
    zm_json doc;
    const char **shards = NULL;
    size_t n = 0;
    zm_status s = zm_json_load(&doc, index, INDEX_BYTES_MAX, err);
    if (s)
        return s;
    json_t *map = json_object_get(doc.root, "weight_map");
    if (!json_is_object(map))
        s = zm_fail(err, ZM_E_FORMAT, "%s: no object \"weight_map\"", index);
    else
        s = collect_shards(&shards, &n, map, index, w->arena, err);
    for (size_t i = 0; !s && i < n; i++) {
        const char *path = zm_arena_printf(w->arena, "%.*s%s", dir, index, shards[i]);
        if (!path)
            s = zm_fail(err, ZM_E_NOMEM, "%s: out of memory", index);
        else if (!zm_path_is_file(path))
            s = zm_fail(err, ZM_E_MISSING, "%s: shard %zu of %zu, %s, is missing", index, i + 1, n, shards[i]);
        else
            s = zm_weights_add_file(w, path, err);
    }
    if (!s)
        s = zm_weights_index(w, err);
    if (!s)
        s = check_promises(w, map, index, err);
    zm_json_close(&doc);
    return s;
}

zm_status zm_weights_add_dir(zm_weights *w, const char *dir, zm_error *err)
{
    static const char *const ends[] = {".safetensors.index.json", ".safetensors", ".gguf", ".pth"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n;
        const char *one, *path;
        zm_status s = scan(&n, &one, w, dir, ends[i], err);
        if (s)
            return s;
        if (n > 1)
            return zm_fail(err, ZM_E_FORMAT, "%s: %zu files end with %s, so one of them must be named", dir, n,
                           ends[i]);
        if (!n)
            continue;
        if (!(path = zm_arena_printf(w->arena, "%s/%s", dir, one)))
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory", dir);
        return i ? zm_weights_add_file(w, path, err) : zm_weights_add_index(w, path, err);
    }
    return zm_fail(err, ZM_E_MISSING, "%s: no weight file (.safetensors, .gguf or .pth) in this directory", dir);
}
