/* Options of every command that makes one clip of a model (generate, explain): one row, one meaning.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_CLIP_OPTIONS_H
#define ZM_APP_CLIP_OPTIONS_H

#include "app/common.h"
#include "pipeline/generate.h"

typedef struct zm_clip_options {
    const char *model, *image, *negative, *solver, *precision, *memory, *device;
    int size[2];
    int64_t steps, seed, threads;
    double fps, guidance, shift;
    zm_model_files files;
    zm_arg_list loras;
    zm_precision in; /* precision, once zm_clip_options_check has read it */
    size_t limit;    /* bytes of memory, likewise; 0: what the system can spare */
} zm_clip_options;

/* Rows of a command's table: where the model is and what it begins with; what the clip is; how it runs. */
/* clang-format off */
#define ZM_CLIP_MODEL_ARGS(c)                                                                                          \
    {"--model", 'm', ZM_ARG_STR, &(c)->model, 0, 0, "MODEL",                                                           \
     "model directory, or one file of a transformer with the other parts around it [the bundled one]"},                \
    {"--text-encoder", 0, ZM_ARG_STR, &(c)->files.text_encoder, 0, 0, "FILE", "this one instead of the model's"},      \
    {"--vae", 0, ZM_ARG_STR, &(c)->files.vae, 0, 0, "FILE", "video autoencoder"},                                      \
    {"--image-encoder", 0, ZM_ARG_STR, &(c)->files.image_encoder, 0, 0, "FILE",                                        \
     "CLIP, for models that look at --image"},                                                                         \
    {"--low-noise", 0, ZM_ARG_STR, &(c)->files.low_noise, 0, 0, "FILE", "second expert of a Wan 2.2 A14B model"},      \
    {"--tokenizer", 0, ZM_ARG_STR, &(c)->files.tokenizer, 0, 0, "FILE", "tokenizer.json or spiece.model"},             \
    {"--lora", 0, ZM_ARG_LIST, &(c)->loras, 0, 0, "FILE[:STRENGTH]",                                                   \
     "adapter to apply; may be given again [strength 1]"},                                                             \
    {"--image", 0, ZM_ARG_STR, &(c)->image, 0, 0, "FILE", "picture that the clip begins with"}

#define ZM_CLIP_ARGS(c)                                                                                                \
    {"--size", 0, ZM_ARG_SIZE, (c)->size, 0, 0, "WxH",                                                                 \
     "pixels of the picture the model makes [its own, in the shape of --image]"},                                      \
    {"--fps", 0, ZM_ARG_FLOAT, &(c)->fps, 0.1, 240, "N", "frames per second of the clip"},                             \
    {"--steps", 0, ZM_ARG_INT, &(c)->steps, 1, 1000, "N", "denoising steps: more is finer and slower"},                \
    {"--guidance", 0, ZM_ARG_FLOAT, &(c)->guidance, 0.01, 100, "G",                                                    \
     "how strictly to follow the prompt; 1 switches guidance off"},                                                    \
    {"--negative", 0, ZM_ARG_STR, &(c)->negative, 0, 0, "TEXT", "what to steer away from"},                            \
    {"--seed", 0, ZM_ARG_INT, &(c)->seed, 0, 9e15, "N", "same seed, same clip [a new one each time]"},                 \
    {"--solver", 0, ZM_ARG_STR, &(c)->solver, 0, 0, "NAME", "unipc, dpmpp or euler"},                                  \
    {"--shift", 0, ZM_ARG_FLOAT, &(c)->shift, 0.01, 1000, "S", "of the noise schedule"},                               \
    {"--precision", 0, ZM_ARG_STR, &(c)->precision, 0, 0, "NAME",                                                      \
     "f32 or, faster for a little of the picture, bf16: operands of products rounded to it; int8: linear maps and "    \
     "convolutions on bytes; fp8: see --device [f32]"}

#define ZM_CLIP_RUN_ARGS(c)                                                                                            \
    {"--memory", 0, ZM_ARG_STR, &(c)->memory, 0, 0, "SIZE",                                                            \
     "stay under 8G, 512M ...: weights that do not fit are read when needed [what is free]"},                          \
    {"--threads", 0, ZM_ARG_INT, &(c)->threads, 1, 1024, "N", "processor threads [all]"},                              \
    ZM_ARG_DEVICE(&(c)->device)
/* clang-format on */

/* Read what the words above left as text, choose device and threads.  0, or the command's exit status, with one sentence
 * on stderr. */
int zm_clip_options_check(const char *command, zm_clip_options *c);
/* The model's directory, malloc'd: --model's or the bundled one.  NULL, with a sentence on stderr, where there is none. */
char *zm_clip_options_model(const char *command, const zm_clip_options *c);
/* Open the model and apply the adapters.  Errors as zm_model_open_with and zm_model_add_lora; *out is the caller's to
 * close either way. */
ZM_MUST zm_status zm_clip_options_open(zm_model **out, const zm_clip_options *c, const char *model, zm_error *err);
/* A request with these options; what they do not say is left to the model. */
zm_request zm_clip_options_request(const zm_clip_options *c);
/* Whether there is anything to be read in a prompt; if not, a sentence on stderr. */
bool zm_clip_options_prompt(const char *command, const char *prompt);

#endif
