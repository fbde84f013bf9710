/* A scene, its caption and its truth as one line of JSON.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world/tables.h"

typedef struct {
    char *at;
    size_t size, cap;
    bool failed;
} text;

ZM_PRINTF(2, 3) static void add(text *t, const char *fmt, ...)
{
    va_list ap;
    if (t->failed)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(t->at + t->size, t->cap - t->size, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < t->cap - t->size) {
        t->size += (size_t)n;
        return;
    }
    size_t cap = t->cap * 2 + (size_t)(n > 0 ? n : 0) + 1024;
    char *grown = n < 0 ? NULL : realloc(t->at, cap);
    if (!grown) {
        t->failed = true;
        return;
    }
    t->at = grown;
    t->cap = cap;
    va_start(ap, fmt);
    t->size += (size_t)vsnprintf(t->at + t->size, t->cap - t->size, fmt, ap);
    va_end(ap);
}

/* A JSON string; bytes from 0x80 on pass as the UTF-8 they are. */
static void add_string(text *t, const char *s)
{
    add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            add(t, "\\%c", c);
        else if (c < 0x20)
            add(t, "\\u%04x", c);
        else
            add(t, "%c", c);
    }
    add(t, "\"");
}

static void add_name(text *t, const char *key, zm_world_attr a, int value)
{
    char name[64];
    add(t, "\"%s\":", key);
    if (zm_world_name(a, value, ZM_LANG_EN, 0, name, sizeof name))
        add_string(t, name);
    else
        add(t, "null");
}

static void add_group(text *t, const zm_group *g)
{
    add(t, "{");
    add_name(t, "class", ZM_ATTR_CLASS, g->cls);
    add(t, ",");
    add_name(t, "colour", ZM_ATTR_COLOUR, g->colour);
    add(t, ",");
    add_name(t, "material", ZM_ATTR_MATERIAL, g->material);
    add(t, ",\"count\":%d,", g->count);
    add_name(t, "action", ZM_ATTR_ACTION, g->action);
    add(t, ",\"direction\":%d}", g->direction);
}

static void add_body(text *t, const zm_truth *b, int id)
{
    add(t, "{\"id\":%d,", id);
    add_name(t, "class", ZM_ATTR_CLASS, b->cls);
    add(t, ",\"group\":%d,\"box_px\":[%g,%g,%g,%g],\"centre_px\":[%.2f,%.2f],\"visible\":%.3f", b->group,
        (double)b->box_px[0], (double)b->box_px[1], (double)b->box_px[2], (double)b->box_px[3], (double)b->x_px,
        (double)b->y_px, (double)b->visible);
    add(t,
        ",\"at_m\":[%.4f,%.4f],\"velocity_m_s\":[%.4f,%.4f],\"angle_rad\":%.4f,\"spin_rad_s\":%.4f,\"half_m\":[%.3f,%.3f]",
        (double)b->x, (double)b->y, (double)b->vx, (double)b->vy, (double)b->angle, (double)b->spin, (double)b->half_w,
        (double)b->half_h);
    add(t, ",\"touches\":[");
    const char *comma = "";
    for (int i = 0; i < ZM_WORLD_MAX_BODIES; i++)
        if (b->contacts >> i & 1) {
            add(t, "%s%d", comma, i);
            comma = ",";
        }
    if (b->contacts & ZM_TOUCH_GROUND) {
        add(t, "%s\"ground\"", comma);
        comma = ",";
    }
    if (b->contacts & ZM_TOUCH_PROP)
        add(t, "%s\"prop\"", comma);
    add(t, "]}");
}

char *zm_scene_json(const zm_scene *s, const char *caption, zm_lang lang, const zm_truth *truth, int frames)
{
    static const char *const prop[] = {"none", "ramp", "wall"};
    text t = {malloc(4096), 0, 4096, false};
    if (!t.at)
        return NULL;
    add(&t, "{\"seed\":%llu,\"caption\":", (unsigned long long)s->seed);
    add_string(&t, caption ? caption : "");
    add(&t, ",\"language\":\"%s\",\"held_out\":%s,", lang == ZM_LANG_ZH ? "zh" : "en",
        zm_scene_held_out(s) ? "true" : "false");
    add_name(&t, "ground", ZM_ATTR_GROUND, s->ground);
    add(&t, ",");
    add_name(&t, "light", ZM_ATTR_LIGHT, s->light);
    add(&t, ",");
    add_name(&t, "light_to", ZM_ATTR_LIGHT, s->light_to);
    add(&t, ",");
    add_name(&t, "camera", ZM_ATTR_CAMERA, s->camera);
    add(&t, ",\"prop\":\"%s\",\"sustained\":%s,\"gravity_m_s2\":%.2f,\"picture_width_m\":%.1f,\"groups\":[",
        s->prop >= 0 && s->prop < 3 ? prop[s->prop] : "none", s->sustained ? "true" : "false", (double)ZM_WORLD_GRAVITY,
        (double)ZM_WORLD_WIDTH_M);
    for (int g = 0; g < s->n_group; g++) {
        if (g)
            add(&t, ",");
        add_group(&t, &s->group[g]);
    }
    add(&t, "],\"frames\":[");
    for (int f = 0; f < frames && truth; f++) {
        add(&t, "%s", f ? ",[" : "[");
        for (int i = 0; i < s->n_body; i++) {
            if (i)
                add(&t, ",");
            add_body(&t, &truth[f * ZM_WORLD_MAX_BODIES + i], i);
        }
        add(&t, "]");
    }
    add(&t, "]}");
    if (t.failed) {
        free(t.at);
        return NULL;
    }
    return t.at;
}
