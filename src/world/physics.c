/* Bodies in the plane of the toy-box world, stepped by Chipmunk.
 * SPDX-License-Identifier: MIT */
#include "world/physics.h"

#include <chipmunk/chipmunk.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "world/tables.h"

#define DT        (1.0 / ZM_PHYSICS_HZ)
#define PROP_MARK ((cpDataPointer)(intptr_t)-1)
#define SIDE_M    2.55f /* sustained scenes turn round here */

typedef struct {
    cpBody *body;
    cpShape *shape;
    const zm_group *group;
    const zm_body *start;
    zm_kind kind;
    unsigned touching, contacts; /* in the last step; since the last clear */
    float since_land, idle;      /* s on the ground; s of rest */
    float speed;                 /* target, signed: drivers of sustained scenes turn */
    bool upright, met;           /* met: has touched group 1 */
    float phase;                 /* of the waddle or sway */
} mover;

struct zm_physics {
    cpSpace *space;
    zm_scene scene;
    long step;
    mover m[ZM_WORLD_MAX_BODIES];
    cpShape *scenery[2];
};

static bool is_upright(zm_kind k)
{
    return k == KIND_ANIMAL || k == KIND_VEHICLE || k == KIND_BALLOON;
}

/* Balloons ignore weight: they approach their rising speed and sway a little. */
static void balloon_velocity(cpBody *b, cpVect gravity, cpFloat damping, cpFloat dt)
{
    mover *m = cpBodyGetUserData(b);
    cpVect v = cpBodyGetVelocity(b);
    (void)gravity;
    (void)damping;
    m->phase += (float)dt;
    v.y += (m->speed - v.y) * fmin(1, 4 * dt);
    v.x += (0.18 * cos(2.2 * m->phase + m->start->x) - v.x) * fmin(1, 4 * dt);
    cpBodySetVelocity(b, v);
}

static double restitution_of(const mover *m, const zm_scene *s)
{
    if (s->group[0].action == ZM_ACT_COLLIDE)
        return m->group == &s->group[1] ? 0.85 : m->kind == KIND_BALL ? 0.6 : 0.45; /* hit things fly apart */
    return m->group->action == ZM_ACT_BOUNCE ? 0.88 : m->kind == KIND_BALL ? 0.45 : 0.2;
}

static double friction_of(const mover *m, const zm_scene *s)
{
    if (m->group != &s->group[0] && s->group[0].action == ZM_ACT_COLLIDE)
        return 0.5;
    switch (m->group->action) {
    case ZM_ACT_DRIVE:
    case ZM_ACT_PUSH:
        return 0.0;
    case ZM_ACT_SLIDE:
        return 0.35;
    case ZM_ACT_COLLIDE:
    case ZM_ACT_TOPPLE:
    case ZM_ACT_BEHIND:
        return m->upright ? 0.0 : 0.6;
    default:
        return 0.7;
    }
}

static double density_of(const mover *m, const zm_scene *s)
{
    bool hit = s->group[0].action == ZM_ACT_COLLIDE || s->group[0].action == ZM_ACT_TOPPLE ||
               s->group[0].action == ZM_ACT_PUSH;
    if (!hit)
        return 1.0;
    if (s->group[0].action == ZM_ACT_COLLIDE)
        return m->group == &s->group[1] ? 0.6 : m->kind == KIND_BALL ? 0.7 : 1.0;
    return m->group == &s->group[0] ? 2.5 : 0.5;
}

static void add_body(zm_physics *p, int i)
{
    mover *m = &p->m[i];
    const zm_scene *s = &p->scene;
    const zm_body *b = m->start = &s->body[i];
    m->group = &s->group[b->group];
    m->kind = zm_class_at(m->group->cls)->kind;
    m->upright = is_upright(m->kind);
    m->speed = b->speed;
    double mass, moment;
    if (zm_kind_is_round(m->kind)) {
        mass = density_of(m, s) * CP_PI * b->half_w * b->half_w;
        moment = cpMomentForCircle(mass, 0, b->half_w, cpvzero) * (m->kind == KIND_BALL ? 0.8 : 1.0);
    } else {
        mass = density_of(m, s) * 4 * b->half_w * b->half_h;
        moment = cpMomentForBox(mass, 2 * b->half_w, 2 * b->half_h);
    }
    m->body = cpSpaceAddBody(p->space, cpBodyNew(mass, m->upright ? INFINITY : moment));
    cpBodySetUserData(m->body, m);
    cpBodySetPosition(m->body, cpv(b->x, b->y));
    cpBodySetVelocity(m->body, cpv(b->vx, b->vy));
    if (!m->upright)
        cpBodySetAngle(m->body, b->angle);
    if (zm_kind_is_round(m->kind)) {
        if (m->group->action == ZM_ACT_ROLL || m->group->action == ZM_ACT_COLLIDE ||
            m->group->action == ZM_ACT_TOPPLE || m->group->action == ZM_ACT_BEHIND)
            cpBodySetAngularVelocity(m->body, -b->vx / b->half_w);
        m->shape = cpCircleShapeNew(m->body, b->half_w, cpvzero);
    } else if (m->kind == KIND_ANIMAL) {
        cpVect oval[16]; /* soft toys are round: they meet a box at their middle, not with a flat side */
        for (int k = 0; k < 16; k++)
            oval[k] =
                cpv(b->half_w * cos((k + 0.5) * CP_PI / 8), b->half_h * sin((k + 0.5) * CP_PI / 8) / cos(CP_PI / 16));
        m->shape = cpPolyShapeNew(m->body, 16, oval, cpTransformIdentity, 0);
    } else {
        double r = 0.02;
        m->shape = cpBoxShapeNew(m->body, 2 * (b->half_w - r), 2 * (b->half_h - r), r);
    }
    cpSpaceAddShape(p->space, m->shape);
    cpShapeSetUserData(m->shape, (cpDataPointer)(intptr_t)(i + 1));
    cpShapeSetElasticity(m->shape, restitution_of(m, s));
    cpShapeSetFriction(m->shape, friction_of(m, s));
    if (m->kind == KIND_BALLOON)
        cpBodySetVelocityUpdateFunc(m->body, balloon_velocity);
}

static void add_scenery(zm_physics *p)
{
    const zm_scene *s = &p->scene;
    const zm_ground_row *g = zm_ground_at(s->ground);
    cpBody *still = cpSpaceGetStaticBody(p->space);
    cpShape *floor = cpSegmentShapeNew(still, cpv(-400, -1), cpv(400, -1), 1);
    cpShapeSetElasticity(floor, g->restitution);
    cpShapeSetFriction(floor, g->friction);
    p->scenery[0] = cpSpaceAddShape(p->space, floor);
    if (s->prop != ZM_PROP_RAMP)
        return;
    float high = s->prop_x - 0.5f * s->prop_w * (float)s->prop_side,
          low = s->prop_x + 0.5f * s->prop_w * (float)s->prop_side;
    cpVect corner[3] = {{high, s->prop_h}, {high, 0}, {low, 0}};
    cpShape *ramp = cpPolyShapeNew(still, 3, corner, cpTransformIdentity, 0);
    cpShapeSetElasticity(ramp, 0.3);
    cpShapeSetFriction(ramp, 0.9);
    cpShapeSetUserData(ramp, PROP_MARK);
    p->scenery[1] = cpSpaceAddShape(p->space, ramp);
}

/* A Chipmunk built with its checks announces itself on stdout when the first space is made; a library must not
 * print (the symptom: two stray lines before a program's JSON), so that one call is made with stdout turned away. */
static void make_first_space(void)
{
    fflush(stdout);
    int keep = dup(STDOUT_FILENO), away = open("/dev/null", O_WRONLY);
    if (keep >= 0 && away >= 0)
        dup2(away, STDOUT_FILENO);
    cpSpace *first = cpSpaceNew();
    if (first)
        cpSpaceFree(first);
    fflush(stdout);
    if (keep >= 0 && away >= 0)
        dup2(keep, STDOUT_FILENO);
    if (keep >= 0)
        close(keep);
    if (away >= 0)
        close(away);
}

static pthread_once_t first_space = PTHREAD_ONCE_INIT;

bool zm_physics_here(void)
{
    return true;
}

zm_physics *zm_physics_new(const zm_scene *s)
{
    pthread_once(&first_space, make_first_space);
    zm_physics *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->scene = *s;
    p->space = cpSpaceNew();
    if (!p->space) {
        free(p);
        return NULL;
    }
    cpSpaceSetGravity(p->space, cpv(0, -(double)ZM_WORLD_GRAVITY));
    cpSpaceSetIterations(p->space, 15);
    cpSpaceSetCollisionSlop(p->space, 0.005);
    cpSpaceSetCollisionBias(p->space, pow(1.0 - 0.25, 60.0));
    add_scenery(p);
    for (int i = 0; i < p->scene.n_body; i++)
        add_body(p, i);
    return p;
}

void zm_physics_free(zm_physics *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->scene.n_body; i++) {
        cpSpaceRemoveShape(p->space, p->m[i].shape);
        cpShapeFree(p->m[i].shape);
        cpSpaceRemoveBody(p->space, p->m[i].body);
        cpBodyFree(p->m[i].body);
    }
    for (int i = 0; i < 2; i++)
        if (p->scenery[i]) {
            cpSpaceRemoveShape(p->space, p->scenery[i]);
            cpShapeFree(p->scenery[i]);
        }
    cpSpaceFree(p->space);
    free(p);
}

static void note_contact(cpBody *body, cpArbiter *arb, void *user)
{
    mover *m = user;
    CP_ARBITER_GET_SHAPES(arb, mine, other);
    (void)body;
    (void)mine;
    cpDataPointer mark = cpShapeGetUserData(other);
    if (mark == PROP_MARK)
        m->touching |= ZM_TOUCH_PROP;
    else if (!mark)
        m->touching |= ZM_TOUCH_GROUND;
    else
        m->touching |= 1u << ((intptr_t)mark - 1);
}

static bool touches_group1(const zm_physics *p, const mover *m)
{
    for (int i = 0; i < p->scene.n_body; i++)
        if (p->scene.body[i].group == 1 && (m->touching >> i & 1))
            return true;
    return false;
}

/* Speed along the ground approaches the target by at most `accel` m/s each second. */
static void approach(mover *m, double target, double accel)
{
    cpVect v = cpBodyGetVelocity(m->body);
    double d = target - v.x, most = accel * DT;
    v.x += d > most ? most : d < -most ? -most : d;
    cpBodySetVelocity(m->body, v);
}

static void drive_hop(mover *m, float now)
{
    if (!m->touching) {
        m->since_land = 0;
        return;
    }
    m->since_land += (float)DT;
    cpVect v = cpBodyGetVelocity(m->body);
    if (m->since_land > 0.1f && now >= m->start->delay_s && v.y < 0.2) {
        cpBodySetVelocity(m->body, cpv(m->speed, m->start->jump));
        m->since_land = 0;
    } else {
        cpBodySetVelocity(m->body, cpv(v.x * 0.9, v.y));
    }
}

static void drive(zm_physics *p, mover *m, float now)
{
    bool on_ground = m->touching != 0;
    switch (m->group->action) {
    case ZM_ACT_HOP:
        drive_hop(m, now);
        return;
    case ZM_ACT_DRIVE:
    case ZM_ACT_PUSH:
        approach(m, m->speed, 12);
        return;
    case ZM_ACT_BEHIND:
        if (m->upright)
            approach(m, m->speed, 12);
        return;
    case ZM_ACT_COLLIDE:
    case ZM_ACT_TOPPLE:
        m->met = m->met || touches_group1(p, m);
        if (m->upright)
            approach(m, m->met ? 0 : m->speed, m->met ? 5 : 20);
        return;
    default:
        if (m->upright && on_ground && m->kind != KIND_BALLOON)
            approach(m, 0, 4);
    }
}

/* Sustained scenes never come to rest: movers turn at the borders, what rests gets a new push. */
static void sustain(zm_physics *p, mover *m)
{
    cpVect at = cpBodyGetPosition(m->body), v = cpBodyGetVelocity(m->body);
    float side = at.x > SIDE_M ? 1.0f : at.x < -SIDE_M ? -1.0f : 0.0f;
    if (m->kind == KIND_BALLOON) {
        if ((at.y > 2.5 && m->speed > 0) || (at.y < m->start->half_h + 0.2 && m->speed < 0))
            m->speed = -m->speed;
        return;
    }
    if (side != 0 && v.x * side > 0) {
        m->speed = -m->speed;
        cpBodySetVelocity(m->body, cpv(-v.x, v.y));
        if (zm_kind_is_round(m->kind))
            cpBodySetAngularVelocity(m->body, -cpBodyGetAngularVelocity(m->body));
    }
    m->idle = m->touching && cpvlength(v) < 0.35 ? m->idle + (float)DT : 0;
    if (m->idle < 0.8f + 0.3f * m->start->delay_s)
        return;
    m->idle = 0;
    double to_middle = at.x > 0 ? -1 : 1;
    switch (m->group->action) {
    case ZM_ACT_FALL:
    case ZM_ACT_BOUNCE:
        cpBodySetVelocity(m->body, cpv(0.4 * to_middle, 5.6));
        break;
    case ZM_ACT_REST:
    case ZM_ACT_HOP:
        break;
    default:
        if (m->group == &p->scene.group[0])
            cpBodySetVelocity(m->body, cpv(2.4 * to_middle, v.y));
    }
}

void zm_physics_advance(zm_physics *p, long step)
{
    for (; p->step < step; p->step++) {
        float now = (float)p->step / ZM_PHYSICS_HZ;
        for (int i = 0; i < p->scene.n_body; i++) {
            drive(p, &p->m[i], now);
            if (p->scene.sustained)
                sustain(p, &p->m[i]);
        }
        cpSpaceStep(p->space, DT);
        for (int i = 0; i < p->scene.n_body; i++) {
            mover *m = &p->m[i];
            m->touching = 0;
            cpBodyEachArbiter(m->body, note_contact, m);
            m->contacts |= m->touching;
            if (m->kind != KIND_BALLOON)
                m->phase += (float)(fabs(cpBodyGetVelocity(m->body).x) * DT);
        }
    }
}

/* Soft toys stretch in flight, flatten where they land, and waddle when they walk. */
static void soften(const mover *m, zm_body_state *out)
{
    if (m->kind != KIND_ANIMAL)
        return;
    bool jumps = m->group->action == ZM_ACT_HOP || m->group->action == ZM_ACT_BOUNCE || m->group->action == ZM_ACT_FALL;
    if (jumps && !m->touching)
        out->stretch = 1 + 0.035f * fminf(fabsf(out->vy), 4);
    else if (jumps && m->group->action == ZM_ACT_HOP)
        out->stretch = 1 - 0.2f * sinf(3.14159f * fminf(m->since_land / 0.1f, 1));
    else if (jumps && m->touching)
        out->stretch = 1 - 0.04f * fminf(fabsf(out->vy), 4);
    if (m->touching && !jumps && fabsf(out->vx) > 0.3f)
        out->angle = 0.13f * sinf(m->phase * 7.0f);
}

void zm_physics_get(const zm_physics *p, int i, zm_body_state *out)
{
    const mover *m = &p->m[i];
    cpVect at = cpBodyGetPosition(m->body), v = cpBodyGetVelocity(m->body);
    *out = (zm_body_state){.x = (float)at.x,
                           .y = (float)at.y,
                           .vx = (float)v.x,
                           .vy = (float)v.y,
                           .angle = (float)cpBodyGetAngle(m->body),
                           .spin = (float)cpBodyGetAngularVelocity(m->body),
                           .stretch = 1,
                           .contacts = m->contacts};
    soften(m, out);
    if (m->kind == KIND_BALLOON)
        out->angle = -0.6f * out->vx;
}

void zm_physics_clear_contacts(zm_physics *p)
{
    for (int i = 0; i < p->scene.n_body; i++)
        p->m[i].contacts = 0;
}
