/* Adherence: facts of a prompt against what is seen.
 * SPDX-License-Identifier: MIT */
#include "app/eval_score.h"

#include <math.h>
#include <string.h>

#include "world/tables.h"

const char *zm_eval_name(zm_eval_attr a)
{
    static const char *const name[] = {
#define NAME_ONE(code, text) text,
        ZM_EVAL_TABLE(NAME_ONE)};
    return (unsigned)a < ZM_EVAL_ATTRS ? name[a] : "";
}

zm_eval_facts zm_eval_facts_none(void)
{
    return (zm_eval_facts){.cls = {-1, -1},
                           .colour = {-1, -1},
                           .bodies = -1,
                           .action = -1,
                           .side = -1,
                           .ground = -1,
                           .light = -1,
                           .camera = -1};
}

/* Whether the canonical prompt tells where the subject goes. */
static int told_side(const zm_scene *s)
{
    if (s->group[0].direction == 0)
        return -1;
    zm_scene still = *s; /* the camera's own left and right must not be read */
    still.camera = ZM_CAM_STATIC;
    char text[ZM_CAPTION_BYTES];
    zm_scene_prompt(&still, ZM_LANG_EN, text);
    return strstr(text, "to the left") || strstr(text, "to the right") ? 1 + s->group[0].direction : -1;
}

zm_eval_facts zm_eval_facts_of(const zm_scene *s)
{
    zm_eval_facts f = zm_eval_facts_none();
    f.n_group = s->n_group;
    f.bodies = s->n_body;
    for (int g = 0; g < s->n_group; g++) {
        f.cls[g] = s->group[g].cls;
        f.colour[g] = s->group[g].colour >= 0 ? s->group[g].colour : -1;
    }
    f.action = s->group[0].action;
    f.side = told_side(s);
    f.ground = s->ground;
    f.light = s->light;
    f.camera = s->camera != ZM_CAM_STATIC ? s->camera : -1;
    return f;
}

bool zm_eval_steady(const zm_track *t, int frames)
{
    return t->n >= 3 && 5 * t->n >= frames;
}

static bool alike(const zm_track *a, const zm_track *b)
{
    return a->cls == b->cls && (a->colour == b->colour || !zm_class_is_shape(a->cls));
}

/* How many steady tracks, of those like `one` (NULL: of all), are there at once in at least a fifth of the frames. */
static int together(const zm_tracks *v, const zm_track *one)
{
    int often[ZM_TRACKS_MAX + 2] = {0};
    for (int f = 0; f < v->frames; f++) {
        int n = 0;
        for (int i = 0; i < v->n; i++) {
            const zm_track *t = &v->track[i];
            /* between two sightings a body is behind something, not gone */
            n += zm_eval_steady(t, v->frames) && f >= t->first && f <= t->last && (!one || alike(one, t));
        }
        for (int k = 1; k <= n; k++)
            often[k]++;
    }
    int n = 0;
    while (5 * often[n + 1] >= v->frames && often[n + 1] > 0)
        n++;
    return n;
}

int zm_eval_kept(const zm_tracks *then, const zm_tracks *now, int *bodies)
{
    int kept = 0;
    *bodies = 0;
    for (int i = 0; i < then->n; i++) {
        bool counted = false;
        for (int k = 0; k < i && !counted; k++)
            counted = zm_eval_steady(&then->track[k], then->frames) && alike(&then->track[k], &then->track[i]);
        if (counted || !zm_eval_steady(&then->track[i], then->frames))
            continue;
        int were = together(then, &then->track[i]), are = together(now, &then->track[i]);
        *bodies += were;
        kept += are < were ? are : were;
    }
    return kept;
}

int zm_eval_bodies(const zm_eval_sight *v)
{
    return together(&v->tracks, NULL);
}

static bool sees(const zm_eval_sight *v, int cls, int colour)
{
    for (int i = 0; i < v->tracks.n; i++) {
        const zm_track *t = &v->tracks.track[i];
        bool is = cls >= 0 ? t->cls == cls : t->cls < ZM_CLASS_SHAPES;
        if (is && (colour < 0 || t->colour == colour) && zm_eval_steady(t, v->tracks.frames))
            return true;
    }
    return false;
}

/* Whether all is seen that `want` [n_group] asks for with numbers from `from` on: colours of shapes, or classes. */
static int check_bodies(const zm_eval_facts *f, const zm_eval_sight *v, const int *want, int from)
{
    int asked = 0, right = 1;
    for (int g = 0; g < f->n_group; g++) {
        if (want[g] < from)
            continue;
        asked++;
        right = right && (want == f->colour ? sees(v, -1, want[g]) : sees(v, want[g], -1));
    }
    return asked ? right : -1;
}

static int equal(int want, int got)
{
    return want < 0 ? -1 : want == got;
}

int zm_eval_check(const zm_eval_facts *f, const zm_eval_sight *v, zm_eval_attr a)
{
    switch (a) {
    case ZM_EVAL_OBJECT:
        return check_bodies(f, v, f->cls, 0);
    case ZM_EVAL_THING:
        return check_bodies(f, v, f->cls, ZM_CLASS_SHAPES);
    case ZM_EVAL_COLOUR:
        return check_bodies(f, v, f->colour, 0);
    case ZM_EVAL_COUNT:
        return f->bodies < 0 ? -1 : zm_eval_bodies(v) == f->bodies;
    case ZM_EVAL_ACTION:
        return equal(f->action, v->answer[ZM_HEAD_ACTION]);
    case ZM_EVAL_SIDE:
        return equal(f->side, v->answer[ZM_HEAD_SIDE]);
    case ZM_EVAL_GROUND:
        return equal(f->ground, v->answer[ZM_HEAD_GROUND]);
    case ZM_EVAL_LIGHT:
        return equal(f->light, v->answer[ZM_HEAD_LIGHT]);
    case ZM_EVAL_CAMERA:
        return equal(f->camera, v->answer[ZM_HEAD_CAMERA]);
    default:
        return -1;
    }
}

void zm_eval_add(zm_eval_tally *t, const zm_eval_facts *f, const zm_eval_sight *v)
{
    for (int a = 0; a < ZM_EVAL_ATTRS; a++) {
        int right = zm_eval_check(f, v, (zm_eval_attr)a);
        t->asked[a] += right >= 0;
        t->right[a] += right > 0;
    }
}

double zm_eval_share(const zm_eval_tally *t, zm_eval_attr a)
{
    return t->asked[a] ? (double)t->right[a] / t->asked[a] : (double)NAN;
}
