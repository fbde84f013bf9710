/* The cache of prompts' embeddings: what was put is got, what is broken or another's is not.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "pipeline/text_cache.h"

enum { N = 7, DIM = 33 };

static char dir[] = "/tmp/zouma-cache-XXXXXX";

/* Overwrite a byte of every file there; returns how many files. */
static int each_file(const char *command)
{
    char line[256];
    snprintf(line, sizeof line,
             "cd '%s/deep/er' && n=0; for f in *; do [ -f \"$f\" ] || continue; %s; n=$((n+1)); done; exit $n", dir,
             command);
    int status = system(line);
    return status < 0 ? -1 : status >> 8;
}

int main(void)
{
    zm_rng rng = zm_rng_init((uint64_t)time(NULL), 2);
    float put[N * DIM], got[N * DIM];
    int32_t ids[N];
    char path[64];
    for (int i = 0; i < N; i++)
        ids[i] = (int32_t)zm_rng_below(&rng, 1000);
    zm_rng_normals(&rng, put, N * DIM);
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/deep/er", dir);
    setenv("ZOUMA_CACHE", path, 1);
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM), "nothing is there before it is put");
    zm_text_cache_put(put, 5, ids, N, DIM);
    tap_ok(zm_text_cache_get(got, 5, ids, N, DIM) && !memcmp(put, got, sizeof got), "what was put is got, bit for bit");
    tap_ok(!zm_text_cache_get(got, 6, ids, N, DIM), "other weights, other embedding");
    ids[3]++;
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM), "another prompt, another embedding");
    ids[3]--;
    tap_ok(!zm_text_cache_get(got, 5, ids, N - 1, DIM), "a shorter prompt is another one");
    tap_ok(each_file("truncate -s 100 \"$f\"") == 1, "one file was written");
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM), "a truncated file is not there");
    zm_text_cache_put(put, 5, ids, N, DIM);
    tap_ok(zm_text_cache_get(got, 5, ids, N, DIM), "and is written again");
    each_file(
        "printf '\\377\\377\\377\\377' | dd of=\"$f\" bs=1 seek=$(($(stat -c %s \"$f\") - 60)) conv=notrunc 2>/dev/null");
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM) && got[0] == 0, "what is not a number is not used");
    setenv("ZOUMA_CACHE", "/proc/nowhere", 1);
    zm_text_cache_put(put, 5, ids, N, DIM);
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM), "a directory that cannot be made is no error");
    setenv("ZOUMA_CACHE", "", 1);
    zm_text_cache_put(put, 5, ids, N, DIM);
    tap_ok(!zm_text_cache_get(got, 5, ids, N, DIM), "an empty $ZOUMA_CACHE switches it off");
    each_file("rm -f \"$f\"");
    rmdir(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
    tap_ok(!rmdir(dir), "nothing else was left behind");
    return tap_done();
}
