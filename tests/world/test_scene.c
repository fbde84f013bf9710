/* Scenes and captions of the toy-box world: repeatable, split, and true.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

#include "world/layout.h"
#include "world/phrases.h"
#include "world/tables.h"
#include "world/world.h"

static void test_tables(void)
{
    char name[64];
    int wrong = 0, names = 0;
    for (int a = 0; a < ZM_ATTR_COUNT; a++)
        for (int v = 0; v < zm_world_count((zm_world_attr)a); v++)
            for (int lang = 0; lang < ZM_LANG_COUNT; lang++) {
                int k = 0;
                for (; zm_world_name((zm_world_attr)a, v, (zm_lang)lang, k, name, sizeof name); k++, names++)
                    if (zm_world_find((zm_world_attr)a, name) != v) {
                        printf("# \"%s\" means two values\n", name);
                        wrong++;
                    }
                wrong += k == 0;
            }
    tap_ok(wrong == 0 && names > 150, "%d names, each means one value of its attribute", names);
    tap_equal_i64(zm_world_name(ZM_ATTR_CLASS, 0, ZM_LANG_EN, 0, name, 3), 0, "a buffer that is too small is refused");
    tap_equal_i64(zm_world_find(ZM_ATTR_COLOUR, "no such colour"), -1, "an unknown name is -1");
    for (int a = 0; a < ZM_ACT_COUNT; a++) {
        int able = 0;
        for (int c = 0; c < zm_world_core_classes(); c++)
            able += zm_world_can(c, a);
        if (!able)
            wrong++;
    }
    tap_ok(wrong == 0, "every action has a core class that can do it");
}

static void test_split(uint64_t base)
{
    zm_scene s, again;
    int held = 0, leaked = 0, missed = 0, differ = 0, n = 300;
    for (int i = 0; i < n; i++) {
        zm_world_options o = {.split = ZM_SPLIT_TRAIN, .level = i & 1};
        zm_scene_sample(&s, base + (uint64_t)i, &o);
        zm_scene_sample(&again, base + (uint64_t)i, &o);
        differ += memcmp(&s, &again, sizeof s) != 0;
        leaked += zm_scene_held_out(&s);
        o.split = ZM_SPLIT_HELDOUT;
        zm_scene_sample(&s, base + (uint64_t)i, &o);
        missed += !zm_scene_held_out(&s);
    }
    tap_equal_i64(differ, 0, "the same seed gives the same scene");
    tap_equal_i64(leaked, 0, "training samples hold no held-out combination");
    tap_equal_i64(missed, 0, "held-out samples are all held out");
    int all = 0;
    for (int c = 0; c < zm_world_count(ZM_ATTR_CLASS); c++)
        for (int a = 0; a < ZM_ACT_COUNT; a++)
            for (int g = 0; zm_world_can(c, a) && g < zm_world_count(ZM_ATTR_GROUND); g++)
                for (int l = 0; l < ZM_LIGHT_COUNT; l++, all++) {
                    s.group[0].cls = c;
                    s.group[0].action = a;
                    s.ground = g;
                    s.light = l;
                    held += zm_scene_held_out(&s);
                }
    tap_ok(held > all * 0.085 && held < all * 0.115, "%d of %d combinations are held out", held, all);
    held = 0;
    for (int g = 0; g < zm_world_count(ZM_ATTR_GROUND); g++) {
        s.group[0] = (zm_group){.cls = zm_world_find(ZM_ATTR_CLASS, "panda"), .action = ZM_ACT_COLLIDE};
        s.ground = g;
        s.light = ZM_LIGHT_NIGHT;
        held += zm_scene_held_out(&s);
    }
    s.group[0] = (zm_group){.cls = ZM_CLASS_BALL, .action = ZM_ACT_BOUNCE};
    s.ground = GROUND_GRASS;
    s.light = ZM_LIGHT_SUNSET;
    tap_equal_i64(held + zm_scene_held_out(&s), 0, "the README's own prompts are in the training split");
}

static void test_compose(uint64_t base)
{
    zm_error err = {0};
    zm_scene s;
    zm_scene_spec q = zm_scene_spec_any();
    q.cls = zm_world_find(ZM_ATTR_CLASS, "panda");
    q.action = ZM_ACT_COLLIDE;
    q.object_cls = ZM_CLASS_CUBE;
    q.object_colour = zm_world_find(ZM_ATTR_COLOUR, "blue");
    q.object_count = 3;
    q.light = ZM_LIGHT_NIGHT;
    int wrong = 0;
    for (int i = 0; i < 20; i++) {
        wrong += zm_scene_compose(&s, &q, base + (uint64_t)i, NULL, &err) != ZM_OK;
        wrong += s.group[0].cls != q.cls || s.group[1].cls != q.object_cls || s.group[1].count != 3 ||
                 s.group[1].colour != q.object_colour || s.light != q.light || s.n_body != 4;
    }
    tap_equal_i64(wrong, 0, "a composed scene has what its spec asks for");
    char text[ZM_CAPTION_BYTES];
    zm_scene_prompt(&s, ZM_LANG_ZH, text);
    tap_ok(strstr(text, "熊猫") && strstr(text, "三个蓝色的方块") && strstr(text, "夜里") && strstr(text, "撞开"), "%s",
           text);
    zm_scene_prompt(&s, ZM_LANG_EN, text);
    tap_ok(strstr(text, "a panda knocks three blue cubes apart") && strstr(text, "at night"), "%s", text);
    q.cls = zm_world_find(ZM_ATTR_CLASS, "car");
    q.action = ZM_ACT_HOP;
    tap_equal_i64(zm_scene_compose(&s, &q, base, NULL, &err), ZM_E_USAGE, "a car cannot hop");
    tap_ok(strstr(err.text, "class"), "\"%s\"", err.text);
    q = zm_scene_spec_any();
    q.ground = 99;
    zm_error_clear(&err);
    tap_equal_i64(zm_scene_compose(&s, &q, base, NULL, &err), ZM_E_USAGE, "ground 99 is refused");
    int holds = 0;
    for (int a = 0; a < ZM_ACT_COUNT; a++) {
        q = zm_scene_spec_any();
        q.action = a;
        for (int i = 0; i < 8; i++)
            holds += zm_scene_compose(&s, &q, base + (uint64_t)i, NULL, NULL) == ZM_OK && zm_layout_holds(&s);
    }
    tap_equal_i64(holds, 8 * ZM_ACT_COUNT, "every action really happens in its scenes");
}

static int utf8_valid(const char *t)
{
    const unsigned char *p = (const unsigned char *)t;
    while (*p) {
        int more = *p < 0x80                 ? 0
                   : *p >= 0xc2 && *p < 0xe0 ? 1
                   : *p >= 0xe0 && *p < 0xf0 ? 2
                   : *p >= 0xf0 && *p < 0xf5 ? 3
                                             : -1;
        if (more < 0)
            return 0;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return 0;
    }
    return 1;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Where `word` stands in `text` (for English as a whole word, perhaps with a plural ending), or NULL. */
static char *find_word(char *text, const char *word, zm_lang lang)
{
    size_t n = strlen(word);
    for (char *p = text; (p = strstr(p, word)); p++) {
        if (lang == ZM_LANG_ZH)
            return p;
        const char *end = p + n;
        end += !strncmp(end, "es", 2) ? 2 : *end == 's' ? 1 : 0;
        if ((p == text || !is_letter(p[-1])) && !is_letter(*end))
            return p;
    }
    return NULL;
}

static void erase(char *text, const char *word, size_t n, zm_lang lang)
{
    char one[128];
    if (n == 0 || n >= sizeof one)
        return;
    memcpy(one, word, n);
    one[n] = 0;
    for (char *p; (p = find_word(text, one, lang));)
        memset(p, '#', n);
}

/* Erase the '|'-separated phrases of a list that are `want` bytes long. */
static void erase_of_length(char *text, const char *list, size_t want, zm_lang lang)
{
    for (const char *p = list; p;) {
        size_t n = strcspn(p, "|");
        if (n == want)
            erase(text, p, n, lang);
        p = p[n] ? p + n + 1 : NULL;
    }
}

/* Erase every phrase of a list, the longest first. */
static void erase_list(char *text, const char *list, zm_lang lang)
{
    for (size_t want = 64; want > 0; want--)
        erase_of_length(text, list, want, lang);
}

static const char *class_list(int cls, zm_lang lang)
{
    return lang == ZM_LANG_EN ? zm_class_at(cls)->en : zm_class_at(cls)->zh;
}

/* Everything the caption may say about place and light is taken out; what is left must name only bodies that exist. */
static int says_only_truth(const zm_scene *s, const char *caption, zm_lang lang)
{
    char t[ZM_CAPTION_BYTES + 1], name[64];
    snprintf(t, sizeof t, "%s", caption);
    if (t[0] >= 'A' && t[0] <= 'Z')
        t[0] = (char)(t[0] - 'A' + 'a');
    erase_list(t, zm_phrase_camera(s->camera, lang), lang);
    erase_list(t, zm_phrase_light(s->light, lang), lang);
    if (s->light_to != s->light)
        erase_list(t, zm_phrase_turning(s->light_to, lang), lang);
    erase_list(t, zm_phrase_place(s->ground, lang), lang);
    erase_list(t, zm_phrase_goal(s->ground, lang), lang);
    for (size_t want = 64; want > 0; want--) /* 红气球 before 球 */
        for (int g = 0; g < s->n_group; g++)
            erase_of_length(t, class_list(s->group[g].cls, lang), want, lang);
    for (int g = 0; g < s->n_group; g++) /* longest first: 粉红色 before 粉 */
        for (size_t want = 12; want > 0; want--)
            for (int k = 0; zm_world_name(ZM_ATTR_COLOUR, s->group[g].colour, lang, k, name, sizeof name); k++)
                if (strlen(name) == want)
                    erase(t, name, want, lang);
    for (int k = 0; k < 8; k++) {
        if (zm_world_name(ZM_ATTR_LIGHT, s->light, lang, k, name, sizeof name))
            erase(t, name, strlen(name), lang);
        if (zm_world_name(ZM_ATTR_GROUND, s->ground, lang, k, name, sizeof name))
            erase(t, name, strlen(name), lang);
    }
    for (int a = 0; a < ZM_ATTR_COUNT; a++) {
        if (a == ZM_ATTR_ACTION || a == ZM_ATTR_MATERIAL)
            continue;
        for (int v = 0; v < zm_world_count((zm_world_attr)a); v++) {
            for (int k = 0; zm_world_name((zm_world_attr)a, v, lang, k, name, sizeof name); k++)
                if (find_word(t, name, lang)) {
                    printf("# \"%s\" is not so in \"%s\"\n", name, caption);
                    return 0;
                }
        }
    }
    const char *two = lang == ZM_LANG_EN ? "two" : "两", *three = lang == ZM_LANG_EN ? "three" : "三";
    int counts = 0, way = 0;
    for (int g = 0; g < s->n_group; g++) {
        counts |= 1 << s->group[g].count;
        way |= s->sustained ? 0 : s->group[g].direction < 0 ? 1 : s->group[g].direction > 0 ? 2 : 0;
    }
    return (!find_word(t, two, lang) || counts & 4) && (!find_word(t, three, lang) || counts & 8) &&
           (!find_word(t, lang == ZM_LANG_EN ? "left" : "左", lang) || way & 1) &&
           (!find_word(t, lang == ZM_LANG_EN ? "right" : "右", lang) || way & 2);
}

static void test_captions(uint64_t base)
{
    int invalid = 0, untrue = 0, leftover = 0, longest = 0, empty = 0, same = 0, n = 400;
    for (int i = 0; i < n; i++) {
        zm_world_options o = {.level = i & 1, .camera_share = 0.3f, .sustained = i % 5 == 0};
        zm_scene s;
        zm_scene_sample(&s, base + (uint64_t)i, &o);
        zm_rng r = zm_rng_init(base, (uint64_t)i);
        char first[ZM_CAPTION_BYTES] = "", text[ZM_CAPTION_BYTES];
        int variants = 0;
        for (int k = 0; k < 12; k++) {
            zm_lang lang = (zm_lang)(k & 1);
            zm_scene_caption(&s, lang, &r, text);
            invalid += !utf8_valid(text);
            empty += strlen(text) < 6;
            leftover +=
                strpbrk(text, "{}|%!/#") != NULL || strstr(text, "  ") || strstr(text, " ,") || strstr(text, " .");
            if (strpbrk(text, "{}|%!/#") || strstr(text, "  "))
                printf("# \"%s\"\n", text);
            untrue += !says_only_truth(&s, text, lang);
            longest = (int)strlen(text) > longest ? (int)strlen(text) : longest;
            if (k == 0)
                strcpy(first, text);
            variants += strcmp(first, text) != 0;
        }
        same += variants < 6;
    }
    tap_equal_i64(invalid, 0, "captions are valid UTF-8");
    tap_equal_i64(empty, 0, "no caption is empty");
    tap_equal_i64(leftover, 0, "no mark of the grammar is left in a caption");
    tap_equal_i64(untrue, 0, "captions name only what is so");
    tap_equal_i64(same, 0, "captions are paraphrased");
    tap_ok(longest < ZM_CAPTION_BYTES - 64, "the longest caption has %d of %d bytes", longest, ZM_CAPTION_BYTES);
}

int main(void)
{
    uint64_t base = (uint64_t)time(NULL) * 1000003u;
    printf("# base seed %llu\n", (unsigned long long)base);
    test_tables();
    test_split(base);
    test_compose(base);
    test_captions(base);
    return tap_done();
}
