/* Whole pipelines of the official code recomputed, when the fixtures are there, and directories that are not what they
 * say.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "pipeline/parity.h"

static void print_line(void *user, const char *text)
{
    (void)user;
    printf("# %s\n", text);
}

static void test_dir(const char *root, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    zm_parity_report r = {.line = print_line};
    zm_error err = {0};
    zm_status s = zm_parity_run(path, &r, &err);
    if (!tap_ok(!s, "%s can be computed", name))
        printf("# %s\n", err.text);
    tap_ok(r.passed >= 8 && r.failed == 0, "%s: %d groups agree, %d do not", name, r.passed, r.failed);
}

/* A directory beside the fixtures' with their numbers and another config.json. */
static void test_broken(const char *root)
{
    static const struct {
        const char *from, *to, *says;
    } change[] = {
        {"\"width\": 48", "\"width\": 40", "40x32"},
        {"\"width\": 48", "\"width\": 64", "noise"},
        {"\"steps\": 6", "\"steps\": 5", "model_inputs"},
        {"\"wan21-vae-tiny\"", "\"../wan21-vae-tiny\"", "../wan21-vae-tiny"},
        {"\"wan21-vae-tiny\"", "\"wan99-vae-tiny\"", "wan99-vae-tiny"},
        {"\"wan21-vae-tiny\"", "\"wan22-vae-tiny\"", "latent channels"},
        {"\"unipc\",\n   \"noise_seed", "\"magic\",\n   \"noise_seed", "magic"},
        {"\"guide\": 5.0", "\"guide\": \"much\"", "guide"},
        {"\"shift\": 5.0", "\"shift\": -1", "shift"},
    };
    char base[1024], template[] = "/tmp/zouma-parity-XXXXXX", path[1200], io[1300], real[4096];
    char *text = NULL;
    size_t size;
    zm_error err = {0};
    snprintf(base, sizeof base, "%s/wan21-pipeline-t2v-tiny/config.json", root);
    if (!mkdtemp(template) || zm_file_read(&text, &size, base, 1 << 20, &err) || !realpath(root, real)) {
        tap_ok(0, "a place for changed fixtures %s", err.text);
        return;
    }
    /* The siblings that a config names are looked for beside the directory. */
    static const char *const sibling[] = {"wan21-dit-t2v-tiny", "wan21-vae-tiny", "wan22-vae-tiny"};
    for (size_t i = 0; i < 3; i++) {
        char to[8192], at[256];
        snprintf(to, sizeof to, "%s/%s", real, sibling[i]);
        snprintf(at, sizeof at, "%s/%s", template, sibling[i]);
        tap_ok(!symlink(to, at), "%s beside", sibling[i]);
    }
    snprintf(path, sizeof path, "%s/run", template);
    zm_status s = zm_mkdirs(path, &err);
    char to[8192];
    snprintf(io, sizeof io, "%s/io.safetensors", path);
    snprintf(to, sizeof to, "%s/wan21-pipeline-t2v-tiny/io.safetensors", real);
    tap_ok(!s && !symlink(to, io), "its numbers");
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        const char *at = strstr(text, change[i].from);
        char config[1300];
        snprintf(config, sizeof config, "%s/config.json", path);
        FILE *f = at ? fopen(config, "wb") : NULL;
        if (!f) {
            tap_ok(0, "%s is in config.json", change[i].from);
            continue;
        }
        fprintf(f, "%.*s%s%s", (int)(at - text), text, change[i].to, at + strlen(change[i].from));
        fclose(f);
        zm_parity_report r = {0};
        zm_error_clear(&err);
        s = zm_parity_run(path, &r, &err);
        tap_ok(s && strstr(err.text, change[i].says), "%s", err.text);
        remove(config);
    }
    remove(io);
    rmdir(path);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", template, sibling[i]);
        remove(path);
    }
    rmdir(template);
    free(text);
}

int main(void)
{
    static const char *const dirs[] = {"wan21-pipeline-t2v-tiny", "wan22-pipeline-ti2v-tiny",
                                       "wan22-pipeline-i2v-a14b-tiny"};
    const char *root = getenv("ZM_FIXTURES");
    root = root ? root : "../shared/fixtures";
    if (!zm_path_is_dir(root)) {
        tap_skip("whole pipelines", "no fixtures here; set ZM_FIXTURES");
        return tap_done();
    }
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        test_dir(root, dirs[i]);
    test_broken(root);
    return tap_done();
}
