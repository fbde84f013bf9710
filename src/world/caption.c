/* Captions from a grammar: whole sentences, participles or bare tags, in English and in Chinese.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "world/phrases.h"
#include "world/tables.h"

/* A caption under construction.  r == NULL: always the canonical choice. */
typedef struct {
    const zm_scene *s;
    zm_lang lang;
    zm_rng *r;
    char *out;
    size_t n;
} writer;

enum { FORM_ONE, FORM_MANY, FORM_PARTICIPLE };

/* Whole pieces only, so that a caption that is too long still is valid UTF-8. */
static void put_n(writer *w, const char *text, size_t n)
{
    if (w->n + n >= ZM_CAPTION_BYTES)
        return;
    memcpy(w->out + w->n, text, n);
    w->n += n;
    w->out[w->n] = 0;
}

static void put(writer *w, const char *text)
{
    put_n(w, text, strlen(text));
}

static uint32_t below(writer *w, uint32_t n)
{
    return w->r ? zm_rng_below(w->r, n) : 0;
}

/* True with a probability of `percent`; never when canonical. */
static bool chance(writer *w, uint32_t percent)
{
    return w->r && zm_rng_below(w->r, 100) < percent;
}

/* One of the '|'-separated alternatives; half of the time the canonical first one. */
static const char *choose(writer *w, const char *list, size_t *n)
{
    uint32_t count = 1;
    for (const char *p = list; *p; p++)
        count += *p == '|';
    uint32_t k = chance(w, 60) ? below(w, count) : 0;
    while (k-- > 0)
        list = strchr(list, '|') + 1;
    *n = strcspn(list, "|");
    return list;
}

static bool names_side(const char *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (p[i] == '%' && p[i + 1] == 'D')
            return true;
    return false;
}

/* As choose, for what group g does.  In a sustained scene movers turn round, so no side may be told: the first
 * alternative without one stands in. */
static const char *choose_action(writer *w, const zm_group *g, size_t *n)
{
    const char *list = zm_phrase_action(g, w->lang), *p = choose(w, list, n);
    if (!w->s->sustained || !names_side(p, *n))
        return p;
    for (p = list; *p; p += *n + (p[*n] == '|')) {
        *n = strcspn(p, "|");
        if (!names_side(p, *n))
            break;
    }
    return p;
}

static void put_choice(writer *w, const char *list)
{
    size_t n;
    const char *p = choose(w, list, &n);
    put_n(w, p, n);
}

static void put_name(writer *w, zm_world_attr a, int value, int k)
{
    char text[64];
    if (zm_world_name(a, value, w->lang, k, text, sizeof text))
        put(w, text);
}

static int pick_name(writer *w, zm_world_attr a, int value)
{
    char text[64];
    int n = 0;
    while (zm_world_name(a, value, w->lang, n, text, sizeof text))
        n++;
    return chance(w, 55) ? (int)below(w, (uint32_t)n) : 0;
}

/* English plural of the last word. */
static void put_plural(writer *w, const char *noun)
{
    size_t n = strlen(noun);
    const char *end = n > 1 ? noun + n - 2 : noun;
    if (n >= 5 && !strcmp(noun + n - 5, "mouse")) {
        put_n(w, noun, n - 5);
        put(w, "mice");
    } else if (n >= 7 && !strcmp(noun + n - 7, "snowman")) {
        put_n(w, noun, n - 7);
        put(w, "snowmen");
    } else if (end[1] == 'y' && !strchr("aeiou", end[0])) {
        put_n(w, noun, n - 1);
        put(w, "ies");
    } else if (end[1] == 's' || end[1] == 'x' || (end[0] == 'c' && end[1] == 'h') || !strcmp(noun, "potato") ||
               !strcmp(noun, "tomato")) {
        put(w, noun);
        put(w, "es");
    } else {
        put(w, noun);
        put(w, "s");
    }
}

/* The group as a noun phrase.  bare: without article and number when it is one. */
static void put_group_en(writer *w, const zm_group *g, bool bare)
{
    static const char *const number[] = {"", "", "two ", "three "};
    char noun[64], material[64] = "", colour[64] = "";
    zm_world_name(ZM_ATTR_CLASS, g->cls, ZM_LANG_EN, pick_name(w, ZM_ATTR_CLASS, g->cls), noun, sizeof noun);
    bool shape = zm_class_is_shape(g->cls);
    if (shape && !chance(w, 6))
        zm_world_name(ZM_ATTR_COLOUR, g->colour, ZM_LANG_EN, 0, colour, sizeof colour);
    if (shape && g->material > 0 && !chance(w, 10))
        zm_world_name(ZM_ATTR_MATERIAL, g->material, ZM_LANG_EN, 0, material, sizeof material);
    const char *first = *material ? material : *colour ? colour : noun;
    if (g->count == 1)
        put(w, bare ? "" : strchr("aeiou", *first) ? "an " : "a ");
    else
        put(w, number[g->count & 3]);
    if (*material) {
        put(w, material);
        put(w, " ");
    }
    if (*colour) {
        put(w, colour);
        put(w, " ");
    }
    if (g->count == 1)
        put(w, noun);
    else
        put_plural(w, noun);
}

static void put_group_zh(writer *w, const zm_group *g, bool bare)
{
    static const char *const number[] = {"", "一", "两", "三"};
    if (g->count > 1 || !bare) {
        put(w, number[g->count & 3]);
        put(w, zm_class_at(g->cls)->measure);
    }
    bool shape = zm_class_is_shape(g->cls);
    if (shape && g->material > 0 && !chance(w, 10)) {
        put_name(w, ZM_ATTR_MATERIAL, g->material, 0);
        put(w, "的");
    }
    if (shape && !chance(w, 6)) {
        bool brief = chance(w, 25);
        put_name(w, ZM_ATTR_COLOUR, g->colour, brief ? 1 : 0);
        put(w, brief ? "" : "的");
    }
    put_name(w, ZM_ATTR_CLASS, g->cls, pick_name(w, ZM_ATTR_CLASS, g->cls));
}

static void put_group(writer *w, const zm_group *g, bool bare)
{
    if (w->lang == ZM_LANG_EN)
        put_group_en(w, g, bare);
    else
        put_group_zh(w, g, bare);
}

static void put_word(writer *w, const zm_group *g, char what)
{
    const zm_group *o = &w->s->group[1];
    bool en = w->lang == ZM_LANG_EN;
    switch (what) {
    case 'o':
        put_group(w, o, false);
        break;
    case 'a':
        put(w, o->count > 1 ? "apart" : "away");
        break;
    case 't':
        put(w, o->count > 1 ? "them" : "it");
        break;
    case 'D':
        put(w, g->direction < 0 ? (en ? "left" : "左") : (en ? "right" : "右"));
        break;
    default:
        put_choice(w, zm_phrase_goal(w->s->ground, w->lang));
    }
}

/* {a/b/c} by form; returns the position after the closing brace. */
static const char *put_form(writer *w, const char *p, int form)
{
    for (p++; form > 0; form--)
        p = strpbrk(p, "/}") + 1;
    size_t n = strcspn(p, "/}");
    put_n(w, p, n);
    p = strchr(p, '}') + 1;
    return n == 0 && *p == ' ' ? p + 1 : p;
}

static void put_pattern(writer *w, const zm_group *g, const char *p, size_t n, int form)
{
    for (const char *end = p + n; p < end;) {
        if (*p == '{') {
            p = put_form(w, p, form);
        } else if (*p == '%') {
            put_word(w, g, p[1]);
            p += 2;
        } else {
            size_t k = 1;
            while (p + k < end && p[k] != '{' && p[k] != '%')
                k++;
            put_n(w, p, k);
            p += k;
        }
    }
}

/* What group g does, and where when `place` (a pattern may place itself). */
static void put_action_en(writer *w, const zm_group *g, bool participle, bool place)
{
    size_t n;
    const char *p = choose_action(w, g, &n);
    bool placed = *p == '!';
    if (placed && !place) { /* the ground is not to be told: another way to say it */
        static const char down[] = "{falls/fall/falling} down";
        p = down;
        n = sizeof down - 1;
        placed = false;
    }
    put_pattern(w, g, p + placed, n - placed, participle ? FORM_PARTICIPLE : g->count > 1 ? FORM_MANY : FORM_ONE);
    if (place && !placed) {
        put(w, " ");
        put_choice(w, zm_phrase_place(w->s->ground, ZM_LANG_EN));
    }
}

static void put_action_zh(writer *w, const zm_group *g, bool place)
{
    size_t n;
    const char *p = choose_action(w, g, &n);
    bool placed = *p == '!';
    if (placed && !place) {
        static const char down[] = "落下来";
        p = down;
        n = sizeof down - 1;
        placed = false;
    }
    if (place && !placed) {
        put(w, "在");
        put_choice(w, zm_phrase_place(w->s->ground, ZM_LANG_ZH));
    }
    put_pattern(w, g, p + placed, n - placed, FORM_ONE);
}

/* A group 1 that acts beside the subject and is not named by the subject's action. */
static const zm_group *companion(const zm_scene *s)
{
    int a = s->group[0].action;
    bool met = a == ZM_ACT_COLLIDE || a == ZM_ACT_PUSH || a == ZM_ACT_TOPPLE;
    return s->n_group > 1 && !met ? &s->group[1] : NULL;
}

static void put_companion(writer *w, bool participle)
{
    const zm_group *c = companion(w->s);
    if (!c)
        return;
    if (w->lang == ZM_LANG_ZH) {
        put(w, chance(w, 30) ? "，旁边" : "，");
        put_group(w, c, false);
        put_action_zh(w, c, false);
        return;
    }
    put(w, participle || !chance(w, 40) ? " and " : " while ");
    put_group(w, c, false);
    put(w, " ");
    put_action_en(w, c, participle, false);
}

static bool tells_camera(writer *w)
{
    if (!w->r)
        return w->s->camera != ZM_CAM_STATIC;
    return chance(w, w->s->camera != ZM_CAM_STATIC ? 85 : 6);
}

static void put_tags(writer *w, bool ground, bool light)
{
    const char *comma = w->lang == ZM_LANG_EN ? ", " : "，";
    put_group(w, &w->s->group[0], true);
    put(w, comma);
    if (w->lang == ZM_LANG_EN)
        put_action_en(w, &w->s->group[0], true, false);
    else
        put_action_zh(w, &w->s->group[0], false);
    put_companion(w, true);
    if (ground) {
        put(w, comma);
        put_name(w, ZM_ATTR_GROUND, w->s->ground, pick_name(w, ZM_ATTR_GROUND, w->s->ground));
    }
    if (light) {
        put(w, comma);
        put_name(w, ZM_ATTR_LIGHT, w->s->light, pick_name(w, ZM_ATTR_LIGHT, w->s->light));
    }
}

static void put_sentence_en(writer *w, bool ground, bool light)
{
    const zm_group *g = &w->s->group[0];
    bool participle = chance(w, 30), light_first = light && chance(w, 28);
    if (light_first) {
        put_choice(w, zm_phrase_light(w->s->light, ZM_LANG_EN));
        put(w, ", ");
    } else if (chance(w, 8)) {
        static const char opening[] = "a video of |a short clip of |a scene with ";
        put_choice(w, opening);
        participle = true;
    }
    put_group(w, g, false);
    put(w, " ");
    put_action_en(w, g, participle, ground);
    put_companion(w, participle);
    if (light && !light_first) {
        put(w, chance(w, 12) ? ", " : " ");
        put_choice(w, zm_phrase_light(w->s->light, ZM_LANG_EN));
    }
}

static void put_sentence_zh(writer *w, bool ground, bool light)
{
    const zm_group *g = &w->s->group[0];
    bool ground_first = ground && chance(w, 25);
    if (light) {
        put_choice(w, zm_phrase_light(w->s->light, ZM_LANG_ZH));
        put(w, chance(w, 35) ? "" : "，");
    }
    if (ground_first) {
        put_choice(w, zm_phrase_place(w->s->ground, ZM_LANG_ZH));
        put(w, "，");
    }
    put_group(w, g, chance(w, 12));
    put_action_zh(w, g, ground && !ground_first);
    put_companion(w, false);
}

static void finish(writer *w)
{
    bool en = w->lang == ZM_LANG_EN;
    if (tells_camera(w)) {
        put(w, en ? ", " : "，");
        put_choice(w, zm_phrase_camera(w->s->camera, w->lang));
    }
    if (w->s->light_to != w->s->light) {
        put(w, en ? " " : "，");
        put(w, zm_phrase_turning(w->s->light_to, w->lang));
    }
    if (!chance(w, 35))
        return;
    put(w, en ? "." : "。");
    if (en && w->out[0] >= 'a' && w->out[0] <= 'z')
        w->out[0] = (char)(w->out[0] - 'a' + 'A');
}

void zm_scene_caption(const zm_scene *s, zm_lang lang, zm_rng *r, char out[ZM_CAPTION_BYTES])
{
    writer w = {s, lang, r, out, 0};
    out[0] = 0;
    bool light = !chance(&w, 14) || s->light_to != s->light, ground = !chance(&w, 14);
    if (chance(&w, 12))
        put_tags(&w, ground, light);
    else if (lang == ZM_LANG_EN)
        put_sentence_en(&w, ground, light);
    else
        put_sentence_zh(&w, ground, light);
    finish(&w);
}

void zm_scene_prompt(const zm_scene *s, zm_lang lang, char out[ZM_CAPTION_BYTES])
{
    zm_scene_caption(s, lang, NULL, out);
}
