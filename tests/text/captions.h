/* Bilingual captions from a small grammar, for tokenizer tests.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_CAPTIONS_H
#define ZM_TESTS_CAPTIONS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"

enum { CAPTION_BYTES = 256 };

__attribute__((unused)) static void caption(zm_rng *r, char *out)
{
    static const char *const thing[][2] = {{"panda", "熊猫"},        {"ball", "球"},        {"red apple", "红苹果"},
                                           {"blue car", "蓝色汽车"}, {"giraffe", "长颈鹿"}, {"rocket", "火箭"},
                                           {"cat", "小猫"},          {"tree", "大树"}};
    static const char *const act[][2] = {{"bounces over", "跳过"},
                                         {"rolls towards", "滚向"},
                                         {"falls on", "落在"},
                                         {"flies above", "飞过"},
                                         {"sits beside", "坐在旁边"}};
    static const char *const when[][2] = {
        {"at sunset", "在日落时"}, {"in the rain", "在雨中"}, {"at night", "在夜里"}, {"on a snowy hill", "在雪山上"}};
    static const char *const count[][2] = {{"a", "一个"}, {"two", "两个"}, {"three", "三个"}, {"the", "那个"}};
#define PICK(list) list[zm_rng_below(r, sizeof list / sizeof *list)]
    if (zm_rng_below(r, 2))
        snprintf(out, CAPTION_BYTES, "%s%s%s%s%s，%s。", PICK(when)[1], PICK(count)[1], PICK(thing)[1], PICK(act)[1],
                 PICK(thing)[1], PICK(when)[1]);
    else
        snprintf(out, CAPTION_BYTES, "%s %s %s %s %s %s.", PICK(count)[0], PICK(thing)[0], PICK(act)[0], PICK(count)[0],
                 PICK(thing)[0], PICK(when)[0]);
#undef PICK
}

/* n captions; free with free() (one block). */
__attribute__((unused)) static char **captions(zm_rng *r, size_t n)
{
    char **line = malloc(n * (sizeof *line + CAPTION_BYTES));
    for (size_t i = 0; line && i < n; i++) {
        line[i] = (char *)(line + n) + i * CAPTION_BYTES;
        caption(r, line[i]);
    }
    return line;
}

#endif
