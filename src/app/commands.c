/* The command table.
 * SPDX-License-Identifier: MIT */
#include "app/commands.h"

#include <stddef.h>

#include "app/bench.h"
#include "app/convert.h"
#include "app/eval.h"
#include "app/explain.h"
#include "app/generate.h"
#include "app/info.h"
#include "app/parity.h"
#include "app/plan.h"
#include "app/random_model.h"
#include "app/train.h"
#include "app/world.h"

const zm_command zm_commands[] = {
    {"generate", "\"PROMPT\" [-o FILE] [options]", "make a video from a sentence", zm_cmd_generate},
    {"explain", "\"PROMPT\" [-o page.html] [options]", "write a page that shows how a clip comes to be",
     zm_cmd_explain},
    {"world", "OUT/ --clips N [--seed S]", "write captioned clips of the toy-box world with ground truth",
     zm_cmd_world},
    {"train", "CONFIG.yaml [--resume] [--set KEY=VALUE]",
     "train a video autoencoder, a text-to-video model or a detector", zm_cmd_train},
    {"eval", "[MODEL] [--prompts FILE] [options]", "prompt adherence and physics scores, beside their ceiling",
     zm_cmd_eval},
    {"parity", "DIR...", "recompute directories of reference tensors and compare", zm_cmd_parity},
    {"bench", "[NAME...] [--json]", "timings as a fraction of the measured machine peak", zm_cmd_bench},
    {"info", "FILE|DIR [--tensors] [--json]", "what a weight file or model is", zm_cmd_info},
    {"plan", "[-m MODEL | --like NAME] [options]", "memory, time and disk of a clip before anything runs", zm_cmd_plan},
    {"convert", "IN OUT.gguf --type TYPE", "weights of any file as one GGUF file, quantised or not", zm_cmd_convert},
    {"random", "NAME DIR [--type TYPE]", "a public model's directory with random weights, to measure with",
     zm_cmd_random},
    {NULL, NULL, NULL, NULL},
};
