/* Options of every command that makes one clip of a model (generate, explain): one row, one meaning.
 * SPDX-License-Identifier: MIT */
#include "app/clip_options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "pipeline/memory.h"

bool zm_clip_options_prompt(const char *command, const char *prompt)
{
    if (prompt[strspn(prompt, " \t\r\n")])
        return true;
    fprintf(stderr,
            "zouma %s: the prompt is empty; say what the video should show, for example \"a red ball bounces on the "
            "grass\"\n",
            command);
    return false;
}

int zm_clip_options_check(const char *command, zm_clip_options *c)
{
    if (c->memory && !zm_memory_parse(&c->limit, c->memory)) {
        fprintf(stderr, "zouma %s: --memory %s is not a size; 8G and 512M are\n", command, c->memory);
        return 2;
    }
    int wrong = zm_app_device(command, c->device, ZM_APP_CLIPS);
    if (!wrong)
        wrong = zm_app_precision(command, c->precision, c->device, &c->in);
#ifdef _OPENMP
    if (!wrong && c->threads)
        omp_set_num_threads((int)c->threads);
#endif
    return wrong;
}

char *zm_clip_options_model(const char *command, const zm_clip_options *c)
{
    char *model = c->model ? strdup(c->model) : zm_model_bundled();
    if (!model)
        fprintf(stderr,
                "zouma %s: the bundled model is not beside the program; give one with -m DIR or set ZOUMA_MODEL\n",
                command);
    return model;
}

/* FILE or FILE:STRENGTH. */
static zm_status add_lora(zm_model *m, const char *told, zm_error *err)
{
    char path[4096], *end;
    snprintf(path, sizeof path, "%s", told);
    char *colon = strrchr(path, ':');
    double x = colon && colon[1] ? strtod(colon + 1, &end) : (double)NAN, strength = 1;
    if (isfinite(x) && !*end) {
        strength = x;
        *colon = 0;
    }
    return zm_model_add_lora(m, path, (float)strength, err);
}

zm_status zm_clip_options_open(zm_model **out, const zm_clip_options *c, const char *model, zm_error *err)
{
    zm_status s = zm_model_open_with(out, model, &c->files, err);
    for (int i = 0; !s && i < c->loras.n; i++)
        s = add_lora(*out, c->loras.at[i], err);
    return s;
}

zm_request zm_clip_options_request(const zm_clip_options *c)
{
    return (zm_request){.negative = c->negative,
                        .width = c->size[0],
                        .height = c->size[1],
                        .fps = c->fps,
                        .steps = (int)c->steps,
                        .guidance = c->guidance,
                        .shift = c->shift,
                        .solver = c->solver,
                        .precision = c->in,
                        .seed = (uint64_t)c->seed};
}
