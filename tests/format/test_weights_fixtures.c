/* Public-layout checkpoints of the fixtures open, with finite values.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "format/weights.h"
#include "tap.h"

static int files, sharded;

static size_t count_bad(const zm_weights *w)
{
    size_t bad = 0;
    for (size_t i = 0; i < zm_weights_count(w); i++) {
        const zm_weight *t;
        zm_error err = {0};
        if (zm_weights_find(&t, w, zm_weights_at(w, i)->name, &err)) {
            printf("# %s\n", err.text);
            bad++;
            continue;
        }
        if (t->dtype != ZM_F32 && t->dtype != ZM_F16 && t->dtype != ZM_BF16)
            continue;
        size_t n = zm_weight_elems(t);
        float *v = malloc(n * sizeof *v + 1);
        zm_dtype_to_f32(v, t->data, t->dtype, n);
        for (size_t k = 0; k < n; k++)
            bad += isnan(v[k]) != 0;
        free(v);
    }
    return bad;
}

static void open_one(const char *path)
{
    zm_error err = {0};
    zm_weights *w;
    if (!tap_ok(!zm_weights_open(&w, path, &err), "%s opens %s", path, err.text))
        return;
    tap_ok(zm_weights_count(w) > 0, "%zu tensors", zm_weights_count(w));
    tap_equal_i64((long long)count_bad(w), 0, "every tensor found, no NaN");
    zm_weights_free(w);
}

static void walk(const char *dir, int depth)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *path = zm_path_join(dir, "%s", e->d_name);
        size_t n = strlen(e->d_name);
        if (e->d_name[0] == '.')
            ;
        else if (zm_path_is_dir(path) && depth < 4)
            walk(path, depth + 1);
        else if (n > 12 && !strcmp(e->d_name + n - 12, ".safetensors")) {
            open_one(path);
            files++;
        } else if (strstr(e->d_name, ".safetensors.index.json")) {
            open_one(dir);
            sharded++;
        }
        free(path);
    }
    if (d)
        closedir(d);
}

int main(void)
{
    const char *dir = getenv("ZM_FIXTURES");
    if (!dir)
        dir = "../shared/fixtures";
    if (!zm_path_is_dir(dir)) {
        tap_skip("fixtures", "no directory of fixtures (set ZM_FIXTURES)");
        return tap_done();
    }
    walk(dir, 0);
    tap_ok(files > 0 && sharded > 0, "%d files, %d sharded directories", files, sharded);
    return tap_done();
}
