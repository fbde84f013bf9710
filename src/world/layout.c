/* Where the bodies of a scene start and how fast: one small function per action.
 * SPDX-License-Identifier: MIT */
#include "world/layout.h"

#include <math.h>

#include "world/physics.h"
#include "world/sprite.h"
#include "world/tables.h"

/* Every action tells its story in this time, s. */
#define STORY_S 2

static void size_of(const zm_group *g, float scale, zm_body *b)
{
    const zm_class_row *row = zm_class_at(g->cls);
    float half = 0.5f * row->size * scale;
    b->half_w = b->half_h = half;
    if (row->kind == KIND_CAN)
        b->half_w = 0.74f * half;
    if (zm_class_is_shape(g->cls))
        return;
    float w, h;
    zm_sprite_extent(g->cls - ZM_CLASS_SHAPES, &w, &h);
    b->half_w = half * w;
    b->half_h = half * h;
    if (zm_kind_is_round(row->kind))
        b->half_w = b->half_h = half * 0.5f * (w + h);
}

/* Append a body of group g standing on the ground at x. */
static zm_body *add(zm_scene *s, int g, float scale, float x)
{
    ZM_ASSERT(s->n_body < ZM_WORLD_MAX_BODIES);
    zm_body *b = &s->body[s->n_body++];
    *b = (zm_body){.group = g, .x = x};
    size_of(&s->group[g], scale, b);
    b->y = b->half_h;
    return b;
}

static float friction_decel(const zm_scene *s)
{
    return 0.35f * zm_ground_at(s->ground)->friction * ZM_WORLD_GRAVITY;
}

/* What a body of a group that acts on its own does at its place; d is the direction it may travel, `alone` whether
 * it has the stage to itself. */
static void start_action(const zm_scene *s, zm_body *b, zm_rng *r, bool alone, float phase)
{
    const zm_group *g = &s->group[b->group];
    float d = (float)g->direction;
    switch (g->action) {
    case ZM_ACT_FALL:
    case ZM_ACT_BOUNCE:
        b->y = fminf(b->half_h + zm_rng_range(r, 1.5f, 2.1f) + 0.25f * phase, 3.25f - b->half_h);
        b->vx = alone ? d * zm_rng_range(r, 0.3f, 0.6f) : 0;
        break;
    case ZM_ACT_HOP:
        b->jump = zm_rng_range(r, 2.9f, 3.6f);
        b->speed = d * (alone ? zm_rng_range(r, 1.2f, 1.8f) : 0.25f);
        b->delay_s = 0.18f * phase;
        break;
    case ZM_ACT_RISE:
        b->y = b->half_h + 0.05f + 0.2f * phase;
        b->speed = zm_rng_range(r, 0.75f, 1.05f);
        break;
    default:
        break;
    }
}

/* Groups side by side, each at its own action. */
static void place_row(zm_scene *s, zm_rng *r, float scale)
{
    static const float slot[4][4] = {{0}, {-1.15f, 1.15f}, {-1.85f, 0, 1.85f}, {-2.25f, -0.75f, 0.75f, 2.25f}};
    static const float play[4] = {0.9f, 0.3f, 0.12f, 0.05f};
    int n = 0, first = s->n_group > 1 ? (int)zm_rng_below(r, 2) : 0;
    for (int g = 0; g < s->n_group; g++)
        n += s->group[g].count;
    int at = 0;
    for (int k = 0; k < s->n_group; k++) {
        int g = s->n_group > 1 ? (first + k) % 2 : 0;
        for (int i = 0; i < s->group[g].count; i++, at++) {
            float x = slot[n - 1][at] + zm_rng_range(r, -play[n - 1], play[n - 1]);
            if (n == 1 && s->group[g].direction)
                x = (float)-s->group[g].direction * zm_rng_range(r, 0.6f, 1.6f);
            zm_body *b = add(s, g, scale, x);
            start_action(s, b, r, n == 1, (float)i);
        }
    }
}

/* Rolling, sliding, driving: one behind the other across the picture. */
static void place_travel(zm_scene *s, zm_rng *r, float scale)
{
    const zm_group *g = &s->group[0];
    float d = (float)g->direction, v = zm_rng_range(r, 1.7f, 2.5f), a = friction_decel(s);
    if (g->action == ZM_ACT_SLIDE)
        v = fmaxf(sqrtf(2 * a * zm_rng_range(r, 1.7f, 2.4f)), 1.6f);
    float head = g->count > 1 ? -0.75f : -2.1f + zm_rng_range(r, 0, 0.5f);
    for (int i = 0; i < g->count; i++) {
        zm_body *b = add(s, 0, scale, d * (head - 1.5f * (float)i));
        b->vx = d * v;
        b->speed = d * v;
    }
}

static void place_collide(zm_scene *s, zm_rng *r, float scale)
{
    const zm_group *g = &s->group[0], *o = &s->group[1];
    float d = (float)g->direction;
    /* The runner is the larger one: it meets the others above their middle, so they tumble. */
    scale = fmaxf(scale, 0.93f);
    zm_body *a = add(s, 0, scale * 1.06f, -2.25f * d);
    a->speed = a->vx = d * (zm_rng_range(r, 2.7f, 3.2f) + 0.65f * (float)o->count);
    if (zm_class_at(g->cls)->kind == KIND_BALL) /* a ball gives up more of its speed */
        a->speed = a->vx *= 1.15f;
    if (zm_class_at(g->cls)->kind != KIND_VEHICLE)
        a->vy = zm_rng_range(r, 1.9f, 2.4f); /* leaps at them */
    float gap = zm_rng_range(r, 0.2f, 0.32f);
    bool pyramid = o->count == 3 && zm_class_at(o->cls)->kind == KIND_CUBE && zm_rng_below(r, 2);
    float x = o->count == 3 && !pyramid ? -0.6f : zm_rng_range(r, 0.0f, 0.4f);
    for (int i = 0; i < o->count; i++) {
        zm_body *b = add(s, 1, scale * 0.86f, 0);
        b->x = d * x;
        if (pyramid && i == 2) {
            b->x = 0.5f * (s->body[1].x + s->body[2].x);
            b->y = 3 * b->half_h;
        }
        x += 2 * b->half_w + (pyramid ? 0.1f : gap);
    }
}

static void place_push(zm_scene *s, zm_rng *r, float scale)
{
    const zm_group *g = &s->group[0], *o = &s->group[1];
    float d = (float)g->direction;
    zm_body *a = add(s, 0, scale, -2.2f * d);
    a->speed = a->vx = d * zm_rng_range(r, 1.2f, 1.5f);
    float x = -2.2f + a->half_w + zm_rng_range(r, 0.35f, 0.6f);
    for (int i = 0; i < o->count; i++) {
        zm_body *b = add(s, 1, scale * 0.92f, 0);
        b->x = d * (x + b->half_w);
        x += 2 * b->half_w + 0.03f;
    }
}

static void place_stack(zm_scene *s, zm_rng *r, float scale)
{
    float d = (float)s->group[0].direction, x = d * zm_rng_range(r, 0.1f, 0.5f), y = 0;
    zm_body *a = add(s, 0, scale, -2.3f * d);
    a->speed = a->vx = d * zm_rng_range(r, 3.8f, 4.6f);
    if (s->group[1].count == 2) /* a low stack is hit at its top */
        a->vy = zm_rng_range(r, 3.6f, 4.2f);
    for (int i = 0; i < s->group[1].count; i++) {
        zm_body *b = add(s, 1, scale * 0.9f, x + zm_rng_range(r, -0.04f, 0.04f));
        b->y = y + b->half_h;
        y += 2 * b->half_h;
    }
}

static void place_ramp(zm_scene *s, zm_rng *r, float scale)
{
    float d = (float)s->group[0].direction;
    s->prop = ZM_PROP_RAMP;
    s->prop_side = s->group[0].direction;
    s->prop_w = zm_rng_range(r, 2.5f, 2.9f);
    s->prop_h = zm_rng_range(r, 1.2f, 1.5f);
    s->prop_x = -1.45f * d;
    zm_body *b = add(s, 0, scale, 0);
    float len = sqrtf(s->prop_w * s->prop_w + s->prop_h * s->prop_h), along = 0.17f;
    b->x = s->prop_x + d * ((along - 0.5f) * s->prop_w + b->half_w * s->prop_h / len);
    b->y = (1 - along) * s->prop_h + b->half_w * s->prop_w / len;
}

static void place_behind(zm_scene *s, zm_rng *r, float scale)
{
    float d = (float)s->group[0].direction;
    zm_body *b = add(s, 0, scale, -2.35f * d);
    b->speed = b->vx = d * zm_rng_range(r, 2.3f, 2.7f);
    s->prop = ZM_PROP_WALL;
    s->prop_x = zm_rng_range(r, -0.25f, 0.25f);
    s->prop_w = fmaxf(2.2f * b->half_w, 1.45f) + zm_rng_range(r, 0, 0.3f);
    s->prop_h = 2 * b->half_h + zm_rng_range(r, 0.15f, 0.45f);
}

void zm_layout_scene(zm_scene *s, zm_rng *r)
{
    static const float by_count[5] = {1, 1.08f, 0.98f, 0.88f, 0.84f};
    int n = s->group[0].count + (s->n_group > 1 ? s->group[1].count : 0);
    float scale = by_count[n < 4 ? n : 4] * zm_rng_range(r, 0.95f, 1.05f);
    s->n_body = 0;
    s->prop = ZM_PROP_NONE;
    switch (s->group[0].action) {
    case ZM_ACT_ROLL:
    case ZM_ACT_SLIDE:
    case ZM_ACT_DRIVE:
        place_travel(s, r, scale);
        break;
    case ZM_ACT_COLLIDE:
        place_collide(s, r, scale);
        break;
    case ZM_ACT_PUSH:
        place_push(s, r, scale);
        break;
    case ZM_ACT_TOPPLE:
        place_stack(s, r, scale);
        break;
    case ZM_ACT_RAMP:
        place_ramp(s, r, scale);
        break;
    case ZM_ACT_BEHIND:
        place_behind(s, r, scale);
        break;
    default:
        place_row(s, r, scale);
    }
}

typedef struct {
    bool hit;     /* the subject has touched one of them */
    float least;  /* smallest move or turn of one, m + rad */
    float drop;   /* largest fall of one, m */
    float spread; /* growth of their extent along x, m */
    int left;     /* how many are still in the picture */
} disturbance;

/* What has become of group 1 since time 0. */
static disturbance disturbed(const zm_scene *s, const zm_physics *p)
{
    disturbance d = {false, 1e9f, 0, 0, 0};
    float lo0 = 1e9f, hi0 = -1e9f, lo = 1e9f, hi = -1e9f;
    for (int i = 0; i < s->n_body; i++) {
        const zm_body *from = &s->body[i];
        if (from->group != 1)
            continue;
        zm_body_state b;
        zm_physics_get(p, i, &b);
        d.hit = d.hit || (b.contacts & 1u);
        d.least = fminf(d.least, hypotf(b.x - from->x, b.y - from->y) + fabsf(b.angle));
        d.drop = fmaxf(d.drop, from->y - b.y);
        d.left += fabsf(b.x) < 2.8f;
        lo0 = fminf(lo0, from->x);
        hi0 = fmaxf(hi0, from->x);
        lo = fminf(lo, b.x);
        hi = fmaxf(hi, b.x);
    }
    d.spread = (hi - lo) - (hi0 - lo0);
    return d;
}

bool zm_layout_holds(const zm_scene *s)
{
    int action = s->group[0].action;
    if (action != ZM_ACT_COLLIDE && action != ZM_ACT_PUSH && action != ZM_ACT_TOPPLE && action != ZM_ACT_BEHIND &&
        action != ZM_ACT_RAMP)
        return true;
    zm_physics *p = zm_physics_new(s);
    if (!p)
        return true;
    zm_physics_advance(p, (long)(STORY_S * ZM_PHYSICS_HZ)); /* however long or short the clip */
    zm_body_state subject;
    zm_physics_get(p, 0, &subject);
    float d = (float)s->group[0].direction;
    disturbance o = disturbed(s, p);
    bool holds = true;
    if (action == ZM_ACT_COLLIDE)
        holds = o.hit && o.least > (s->group[1].count == 1 ? 0.6f : 0.3f) &&
                (s->group[1].count == 1 || o.spread > 0.2f) && 2 * o.left >= s->group[1].count &&
                fabsf(subject.x) < 2.9f;
    else if (action == ZM_ACT_PUSH)
        holds = o.hit && o.least > 0.6f && o.left > 0;
    else if (action == ZM_ACT_TOPPLE)
        holds = o.hit && o.drop > 0.9f * s->body[s->n_body - 1].half_h && o.left > 0;
    else if (action == ZM_ACT_BEHIND)
        holds = d * (subject.x - s->prop_x) > 0.5f * s->prop_w + 0.6f * s->body[0].half_w;
    else
        holds = d * (subject.x - s->prop_x) > 0.5f * s->prop_w;
    zm_physics_free(p);
    return holds;
}
