/* Apply the rules of tensor names to a weight file.
 * SPDX-License-Identifier: MIT */
#include "model/names.h"

#include <stdio.h>
#include <string.h>

#include "format/companion.h"

enum { NUMBERS_MAX = 2, INDEX_MAX = 1 << 20 };

static const struct {
    const char *from, *to;
} block_parts[] = {
    {"norm1.gamma", "residual.0.gamma"}, {"norm2.gamma", "residual.3.gamma"}, {"conv1.", "residual.2."},
    {"conv2.", "residual.6."},           {"conv_shortcut.", "shortcut."},
};

/* What a pattern matched. */
typedef struct match {
    int number[NUMBERS_MAX];
    const char *rest;
} match;

static bool matches(match *m, const char *pattern, const char *name)
{
    int n = 0;
    *m = (match){.rest = ""};
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            m->rest = name;
            return *name != 0;
        }
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return false;
            continue;
        }
        if (*name < '0' || *name > '9' || n == NUMBERS_MAX)
            return false;
        int v = 0;
        for (; *name >= '0' && *name <= '9'; name++)
            if ((v = v * 10 + (*name - '0')) > INDEX_MAX)
                return false;
        m->number[n++] = v;
    }
    return !*name;
}

/* The rest of a residual block's tensor under its official name: out = "HEAD" + what comes after it. */
static const char *block_part(const char *rest, const char **tail)
{
    for (size_t i = 0; i < sizeof block_parts / sizeof *block_parts; i++) {
        size_t n = strlen(block_parts[i].from);
        if (!strncmp(rest, block_parts[i].from, n)) {
            *tail = rest + n;
            return block_parts[i].to;
        }
    }
    *tail = rest;
    return "";
}

static bool expand(char *out, size_t cap, const zm_name_rule *r, const match *m, const zm_names *names)
{
    size_t n = 0;
    const char *tail = m->rest, *head = r->block ? block_part(m->rest, &tail) : "";
    for (const char *p = r->to; *p && n < cap; p++) {
        int k = 0, up = names->up;
        if (*p != '%') {
            out[n++] = *p;
            continue;
        }
        switch (*++p) {
        case '0':
            k = m->number[0];
            break;
        case '1':
            k = m->number[1];
            break;
        case 'd':
            k = names->down;
            break;
        case 'p':
            k = up;
            break;
        case 'r':
            k = m->number[0] * (up + 1) + m->number[1];
            break;
        case 'u':
            k = m->number[0] * (up + 1) + up;
            break;
        default:
            n += (size_t)snprintf(out + n, cap - n, "%s%s", head, tail);
            continue;
        }
        n += (size_t)snprintf(out + n, cap - n, "%d", k);
    }
    if (n < cap)
        out[n] = 0;
    return n < cap;
}

bool zm_names_official(char *out, size_t cap, const zm_name_rule **rule, const zm_names *names, const char *name)
{
    const zm_name_scheme *s = names->scheme;
    const char *add = s && s->add ? s->add : "";
    size_t n = strlen(add);
    if (rule)
        *rule = NULL;
    if (n >= cap)
        return false;
    memcpy(out, add, n);
    for (size_t i = 0; s && i < s->n_rules; i++) {
        match m;
        if (!matches(&m, s->rules[i].from, name))
            continue;
        if (rule)
            *rule = &s->rules[i];
        return s->rules[i].to && expand(out + n, cap - n, &s->rules[i], &m, names);
    }
    return (size_t)snprintf(out + n, cap - n, "%s", name) < cap - n;
}

static int count_blocks(const zm_weights *w, const char *prefix, const char *stage)
{
    char name[256];
    int n = 0;
    do
        snprintf(name, sizeof name, "%s%s.resnets.%d.conv1.weight", prefix, stage, n);
    while (zm_weights_has(w, name) && ++n < 64);
    return n;
}

/* `name` is PREFIX + marker at a component's start. */
static bool has_marker(char *prefix, size_t cap, const char *name, const char *marker)
{
    size_t n = strlen(name), m = strlen(marker);
    if (n < m || n - m >= cap || strcmp(name + n - m, marker) || (n > m && name[n - m - 1] != '.'))
        return false;
    memcpy(prefix, name, n - m);
    prefix[n - m] = 0;
    return true;
}

static bool find_prefix(zm_names *out, const zm_weights *w, const zm_name_scheme *s)
{
    char also[256];
    for (size_t i = 0; i < zm_weights_count(w); i++) {
        if (!has_marker(out->prefix, sizeof out->prefix, zm_weights_at(w, i)->name, s->marker))
            continue;
        snprintf(also, sizeof also, "%s%s", out->prefix, s->also);
        if (zm_weights_has(w, also))
            return true;
    }
    return false;
}

bool zm_names_find(zm_names *out, const zm_weights *w, zm_model_part_kind part)
{
    *out = (zm_names){0};
    if (part == ZM_PART_DIT_LOW)
        part = ZM_PART_DIT;
    for (size_t i = 0; i < zm_name_scheme_count; i++) {
        const zm_name_scheme *s = &zm_name_schemes[i];
        if (s->part != part || !find_prefix(out, w, s))
            continue;
        out->scheme = s;
        out->down = count_blocks(w, out->prefix, "encoder.down_blocks.0");
        out->up = count_blocks(w, out->prefix, "decoder.up_blocks.0");
        return true;
    }
    *out = (zm_names){0};
    return false;
}

typedef struct applying {
    const zm_weights *w;
    zm_names names;
    int64_t dim; /* width of the transformer; 0: not known */
} applying;

/* The shape that a GGUF converter noted before it flattened a tensor. */
static void original_shape(zm_weight_alias *a, const zm_weight *t, const zm_weights *w)
{
    char key[512];
    if ((size_t)snprintf(key, sizeof key, "comfy.gguf.orig_shape.%s", t->name) >= sizeof key)
        return;
    const zm_meta *m = zm_weights_meta(w, key);
    if (!m || m->type != ZM_META_I32S || m->n < 1 || m->n > ZM_WEIGHT_RANK_MAX)
        return;
    a->rank = (int)m->n;
    for (size_t i = 0; i < m->n; i++)
        a->dim[i] = m->i32s[i];
}

/* [dim, channels, 1, 2, 2], whatever is left of it: GGUF's own tools stop at four dims. */
static void patch_shape(zm_weight_alias *a, const zm_weight *t, int64_t dim)
{
    size_t n = zm_weight_elems(t);
    if (t->rank == 5 || dim <= 0 || n % ((size_t)dim * 4) || t->rank < 1)
        return;
    a->rank = 5;
    a->dim[0] = dim;
    a->dim[1] = (int64_t)(n / ((size_t)dim * 4));
    a->dim[2] = 1;
    a->dim[3] = a->dim[4] = 2;
}

static void with_ones(zm_weight_alias *a, const zm_weight *t, int ones)
{
    if (t->rank + ones > ZM_WEIGHT_RANK_MAX)
        return;
    a->rank = t->rank + ones;
    for (int i = 0; i < a->rank; i++)
        a->dim[i] = i < ones ? 1 : t->dim[i - ones];
}

static bool name_tensor(zm_weight_alias *a, const zm_weight *t, void *user)
{
    const applying *ap = user;
    char name[sizeof a->name];
    size_t n = strlen(ap->names.prefix);
    if (strncmp(t->name, ap->names.prefix, n) || strlen(t->name + n) + sizeof ".weight" > sizeof name)
        return false;
    strcpy(name, t->name + n);
    char scaled[sizeof name];
    zm_companion is = zm_companion_of(scaled, sizeof scaled, name);
    if (is == ZM_COMPANION_SCALE)
        strcpy(name, scaled);
    const zm_name_rule *rule;
    if (is == ZM_COMPANION_NOTE || !zm_names_official(a->name, sizeof a->name, &rule, &ap->names, name))
        return false;
    if (is == ZM_COMPANION_SCALE) {
        a->scale = true;
        return true;
    }
    original_shape(a, t, ap->w);
    if (ap->names.scheme->part == ZM_PART_DIT && a->rank < 0 && !strcmp(a->name, "patch_embedding.weight"))
        patch_shape(a, t, ap->dim);
    if (rule) {
        a->spare = rule->spare;
        if (rule->parts) {
            a->part = rule->part;
            a->parts = rule->parts;
        } else if (rule->ones && a->rank < 0) {
            with_ones(a, t, rule->ones);
        }
    }
    return true;
}

zm_status zm_names_apply(zm_weights *w, zm_model_part_kind part, zm_error *err)
{
    applying ap = {.w = w};
    if (!zm_names_find(&ap.names, w, part))
        return ZM_OK;
    char name[256];
    const zm_weight *t;
    snprintf(name, sizeof name, "%spatch_embedding.bias", ap.names.prefix);
    if (ap.names.scheme->part == ZM_PART_DIT && zm_weights_has(w, name) && !zm_weights_find(&t, w, name, NULL) &&
        t->rank >= 1)
        ap.dim = (int64_t)zm_weight_elems(t);
    return zm_weights_rename(w, name_tensor, &ap, err);
}
