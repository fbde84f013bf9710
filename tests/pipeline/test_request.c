/* Requests: what is filled in, the size of a clip that follows a picture, and what is refused; plans of frames.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>

#include "pipeline/latent_plan.h"

static zm_model_family family = {.name = "test"};

/* A model of which only the sizes are looked at. */
static zm_model model(int stride, bool frame_timesteps, int extra)
{
    family.frame_timesteps = frame_timesteps;
    return (zm_model){
        .config = {.family = &family,
                   .name = "test",
                   .dit = {.in_dim = 16 + extra, .out_dim = 16, .patch_size = {1, 2, 2}},
                   .sampling = {.steps = 9, .guidance = 4, .guidance_low = 3, .shift = 5, .solver = "unipc"},
                   .video = {832, 480, 81, 16}},
        .stride = stride,
        .time_stride = 4,
        .z_dim = 16};
}

static const float nothing[1];
static const zm_supplied texts = {.context = {nothing, nothing}};

/* Numbers of the official code's own formulas (best_output_size; image2video.py). */
static void test_sizes(void)
{
    static const struct {
        int width, height, near_w, near_h, down_w, down_h;
    } gold[] = {
        {1280, 704, 1280, 704, 848, 464}, {1000, 1000, 960, 928, 624, 624}, {1920, 1080, 1248, 704, 832, 464},
        {640, 480, 1088, 800, 720, 544},  {333, 777, 608, 1440, 400, 960},  {3000, 100, 5184, 160, 3456, 112},
    };
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        zm_image picture = {.width = gold[i].width, .height = gold[i].height};
        zm_error err = {0};
        zm_model m = model(16, true, 0);
        m.config.video.width = 1280;
        m.config.video.height = 704;
        zm_request r = {.first = &picture, .supplied = &texts};
        zm_status s = zm_request_resolve(&r, &m, &err);
        tap_ok(!s && r.width == gold[i].near_w && r.height == gold[i].near_h, "given frame of %dx%d: %dx%d %s",
               picture.width, picture.height, r.width, r.height, err.text);
        m = model(8, false, 20);
        r = (zm_request){.first = &picture, .supplied = &texts};
        s = zm_request_resolve(&r, &m, &err);
        tap_ok(!s && r.width == gold[i].down_w && r.height == gold[i].down_h, "given channels of %dx%d: %dx%d %s",
               picture.width, picture.height, r.width, r.height, err.text);
    }
}

static void test_defaults(void)
{
    zm_model m = model(8, false, 0);
    zm_error err = {0};
    zm_request r = {.supplied = &texts};
    tap_ok(!zm_request_resolve(&r, &m, &err) && r.width == 832 && r.frames == 81 && r.steps == 9 && r.guidance == 4 &&
               r.guidance_low == 3 && !strcmp(r.solver, "unipc") && !strcmp(r.negative, ""),
           "what is left open is the model's %s", err.text);
    r = (zm_request){.supplied = &texts, .guidance = 7};
    tap_ok(!zm_request_resolve(&r, &m, &err) && r.guidance_low == 7, "one guidance given is both experts'");
    zm_latent_size z = zm_latent_size_of(&r, &m);
    tap_ok(z.frames == 21 && z.height == 60 && z.width == 104 && z.each == (int64_t)21 * 60 * 104 * 16, "latent size");
    r.frames = 82;
    tap_equal_i64(zm_latent_size_of(&r, &m).frames, 22, "frames beyond 4n+1 take another latent frame");
}

static void test_fast(void)
{
    zm_model m = model(8, true, 0);
    zm_error err = {0};
    char name[] = "fast.gguf";
    zm_request r = {.supplied = &texts, .quality = "fast"};
    tap_ok(zm_request_resolve(&r, &m, &err) == ZM_E_USAGE && strstr(err.text, "no adapter for few steps"), "%s",
           err.text);
    m.config.fast = (zm_model_fast){.adapter = name, .steps = 4, .guidance = 1, .shift = 2, .solver = "euler"};
    zm_error_clear(&err);
    r = (zm_request){.supplied = &texts, .quality = "fast"};
    tap_ok(!zm_request_resolve(&r, &m, &err) && r.steps == 4 && r.guidance == 1 && r.guidance_low == 1 &&
               r.shift == 2 && !strcmp(r.solver, "euler"),
           "few steps are taken as they were taught %s", err.text);
    r = (zm_request){.supplied = &texts, .quality = "fast", .steps = 2, .guidance = 3};
    tap_ok(!zm_request_resolve(&r, &m, &err) && r.steps == 2 && r.guidance == 3 && r.guidance_low == 3,
           "what the request says comes first %s", err.text);
    r = (zm_request){.supplied = &texts};
    tap_ok(!zm_request_resolve(&r, &m, &err) && r.steps == 9 && r.guidance == 4, "other tiers are as they were");
}

static void refused(zm_request r, const zm_model *m, zm_status want, const char *words)
{
    zm_error err = {0};
    zm_status s = zm_request_resolve(&r, m, &err);
    tap_ok(s == want && strstr(err.text, words), "%s", err.text);
}

static void test_refused(void)
{
    zm_model t2v = model(8, false, 0), i2v = model(8, false, 20), odd = model(8, false, 7);
    zm_image picture = {.width = 64, .height = 64};
    refused((zm_request){.supplied = &texts, .first = &picture}, &t2v, ZM_E_USAGE, "from text alone");
    refused((zm_request){.supplied = &texts}, &i2v, ZM_E_USAGE, "--image");
    refused((zm_request){.supplied = &texts, .first = &picture}, &odd, ZM_E_UNSUPPORTED, "7 further channels");
    refused((zm_request){.supplied = &texts, .width = 100, .height = 96}, &t2v, ZM_E_USAGE, "multiple of 16");
    refused((zm_request){.supplied = &texts, .frames = 5000}, &t2v, ZM_E_USAGE, "5000 frames");
    refused((zm_request){.supplied = &texts, .solver = "magic"}, &t2v, ZM_E_USAGE, "magic");
    refused((zm_request){.prompt = " \n"}, &t2v, ZM_E_USAGE, "prompt is empty");
    refused((zm_request){.prompt = "a ball"}, &t2v, ZM_E_MISSING, "no text encoder");
}

/* P1 and P2 of the plan. */
static void test_plan(void)
{
    zm_model m = model(8, true, 0);
    zm_error err = {0};
    zm_request r = {.width = 32, .height = 16, .frames = 9};
    zm_latent_plan p;
    if (!tap_ok(!zm_latent_plan_init(&p, &r, &m, &err), "a plan %s", err.text))
        return;
    tap_ok(zm_latent_plan_is_free(&p) && zm_latent_plan_level(&p) == 1 && p.channels == 0, "nothing is given at first");
    int64_t n = p.size.each, each = n / 3;
    float *x = malloc((size_t)n * sizeof *x), *noise = malloc((size_t)n * sizeof *noise);
    zm_rng g = zm_rng_init(1, 2);
    zm_rng_normals(&g, noise, (size_t)n);
    memcpy(x, noise, (size_t)n * sizeof *x);
    zm_latent_plan_start(&p, 0.9, x);
    tap_close_f32(x, noise, (size_t)n, 0, "a free clip starts as its noise");
    zm_rng_normals(&g, x, (size_t)each);
    zm_status s = zm_latent_plan_give(&p, 1, x, &err);
    tap_ok(!s && p.level[1] == 0 && p.level[0] == 1 && !zm_latent_plan_is_free(&p), "a frame is given");
    float *given = malloc((size_t)each * sizeof *given);
    memcpy(given, x, (size_t)each * sizeof *given);
    memcpy(x, noise, (size_t)n * sizeof *x);
    zm_latent_plan_start(&p, 0.9, x);
    tap_close_f32(x + each, given, (size_t)each, 0, "it is there from the start");
    tap_close_f32(x, noise, (size_t)each, 0, "the one before it is noise");
    for (int f = 0; f < 3; f++)
        p.level[f] = f == 1 ? 0 : 0.5F;
    memcpy(x, noise, (size_t)n * sizeof *x);
    zm_latent_plan_start(&p, 0.4, x);
    double worst = 0;
    for (int64_t i = 0; i < each; i++)
        worst = fmax(worst, fabs((double)x[2 * each + i] - 0.4 * (double)noise[2 * each + i]));
    tap_ok(worst < 1e-6, "a frame at a level between is mixed with the noise: %g", worst);
    memset(x, 0, (size_t)n * sizeof *x);
    zm_latent_plan_hold(&p, 0.2, x);
    tap_close_f32(x + each, given, (size_t)each, 0, "a given frame is put back");
    tap_ok(zm_latent_plan_level(&p) == 0.5, "the level of what is asked for");
    free(x);
    free(noise);
    free(given);
    zm_latent_plan_release(&p);
}

int main(void)
{
    test_sizes();
    test_defaults();
    test_fast();
    test_refused();
    test_plan();
    return tap_done();
}
