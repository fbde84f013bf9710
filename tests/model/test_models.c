/* Model directories: ours, official ones, and what is refused.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "model/models.h"

static char dir[256];

static void put(const char *name, const char *text)
{
    char *path = zm_path_join(dir, "%s", name);
    FILE *f = fopen(path, "wb");
    if (f) {
        fputs(text, f);
        fclose(f);
    }
    free(path);
}

static void drop(const char *name)
{
    char *path = zm_path_join(dir, "%s", name);
    remove(path);
    free(path);
}

#define DIT                                                                                                            \
    "\"model_type\": \"ti2v\", \"dim\": 32, \"ffn_dim\": 64, \"num_heads\": 2, \"num_layers\": 3, "                    \
    "\"in_dim\": 16, \"out_dim\": 16, \"text_dim\": 8"

static void test_ours(void)
{
    zm_model_config c;
    zm_error err = {0};
    put("config.json", "{\"family\": \"wan22-ti2v\", \"name\": \"toybox\", \"dit\": {" DIT "}, \"text_encoder\": "
                       "{\"vocab\": 100, \"dim\": 8, \"dim_attn\": 8, \"dim_ffn\": 16, \"num_heads\": 2, "
                       "\"num_layers\": 1}, \"vae\": {\"kind\": \"light\"}, \"files\": {\"text_encoder\": \"t.gguf\"}, "
                       "\"sampling\": {\"steps\": 9, \"guidance\": 2.5, \"negative\": \"blurry\"}, "
                       "\"video\": {\"width\": 96, \"fps\": 12}}");
    put("dit.gguf", "");
    put("t.gguf", "");
    zm_status s = zm_model_config_open(&c, dir, &err);
    tap_ok(!s, "our own form %s", err.text);
    if (!s) {
        tap_equal_str(c.family->name, "wan22-ti2v", "family");
        tap_equal_str(c.name, "toybox", "name");
        tap_ok(c.dit.dim == 32 && c.dit.text_len == 512 && c.has_text && c.text.vocab == 100 && c.has_vae, "sizes");
        tap_ok(c.sampling.steps == 9 && c.sampling.guidance == 2.5 && c.sampling.shift == 5 &&
                   !strcmp(c.sampling.solver, "unipc") && !strcmp(c.sampling.negative, "blurry"),
               "sampling: what is given, over the family's defaults");
        tap_ok(c.video.width == 96 && c.video.height == 704 && c.video.fps == 12, "video likewise");
        tap_ok(c.dit_path && strstr(c.dit_path, "/dit.gguf") && c.text_path && strstr(c.text_path, "/t.gguf") &&
                   !c.vae_path,
               "parts by name or by usual name");
        zm_model_config_close(&c);
    }
}

static void test_official(void)
{
    zm_model_config c;
    zm_error err = {0};
    put("config.json", "{\"_class_name\": \"WanModel\", \"_diffusers_version\": \"0.33.0\", " DIT "}");
    zm_status s = zm_model_config_open(&c, dir, &err);
    tap_ok(!s && c.family->frame_timesteps && !c.has_text && !c.has_vae && c.boundary == 0 &&
               c.sampling.guidance_low == 5 && c.sampling.negative && strstr(c.sampling.negative, "倒着走"),
           "an official directory %s", err.text);
    zm_model_config_close(&c);
    put("Wan2.2_VAE.pth", "");
    tap_ok(zm_model_config_open(&c, dir, &err) == ZM_E_FORMAT && strstr(err.text, "Wan2.2_VAE.pth"), "%s", err.text);
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "{\"family\": \"nosuch\", \"dit\": {" DIT "}}",
        "{\"dit\": {" DIT "}, \"files\": {\"dit\": \"../dit.gguf\"}}",
        "{\"dit\": {" DIT "}, \"files\": {\"dit\": \"nosuch.gguf\"}}",
        "{\"dit\": {" DIT "}, \"sampling\": {\"steps\": 0}}",
        "{\"dit\": {\"dim\": 32}}",
        "{\"dit\": {" DIT "}, \"text_encoder\": {\"vocab\": 1e9}}",
        "[]",
        "{",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        zm_model_config c;
        zm_error err = {0};
        put("config.json", bad[i]);
        tap_ok(zm_model_config_open(&c, dir, &err) != ZM_OK && !c.family && !c.json.root, "refused: %s", err.text);
    }
    drop("config.json");
    zm_model_config c;
    zm_error err = {0};
    tap_ok(zm_model_config_open(&c, dir, &err) == ZM_E_MISSING, "refused: %s", err.text);
}

static void test_table(void)
{
    for (size_t i = 0; i < zm_model_family_count; i++) {
        const zm_model_family *f = &zm_model_families[i];
        tap_ok(zm_model_family_find(f->name) == f && f->summary && f->sampling.steps > 0 && f->video.fps > 0,
               "%s: a full row", f->name);
    }
    tap_ok(!zm_model_family_find("nosuch"), "an unknown family");
    zm_dit_config i2v = {.model_type = "i2v", .img_dim = 1280};
    tap_equal_str(zm_model_family_detect(&i2v, false)->name, "wan21-i2v", "picture features tell 2.1 from 2.2");
}

int main(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/zouma-models-%ld", tmp ? tmp : "/tmp", (long)getpid());
    zm_error err = {0};
    if (!tap_ok(!zm_mkdirs(dir, &err), "a directory %s", err.text))
        return tap_done();
    test_table();
    test_ours();
    test_official();
    test_refused();
    static const char *const left[] = {"config.json", "dit.gguf", "t.gguf", "Wan2.2_VAE.pth"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        drop(left[i]);
    rmdir(dir);
    return tap_done();
}
