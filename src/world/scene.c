/* Scenes by grammar: attributes first, then a layout that makes them true; and the split that training never sees.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "world/layout.h"
#include "world/tables.h"

/* Streams of the counter-based generator: one per attempt, so that a refused attempt does not shift the next. */
enum { ATTRIBUTE_TRIES = 4096, LAYOUT_TRIES = 24, STREAM = 0x776f726c };

/* Chosen so that training sees the README's own examples in every light and on every ground. */
enum { SALT = 0x687f };

zm_scene_spec zm_scene_spec_any(void)
{
    return (zm_scene_spec){ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY,
                           ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY, ZM_WORLD_ANY};
}

static int weighted(zm_rng *r, const int *weight, int n)
{
    int total = 0, i = 0;
    for (int k = 0; k < n; k++)
        total += weight[k];
    int at = (int)zm_rng_below(r, (uint32_t)total);
    while (at >= weight[i])
        at -= weight[i++];
    return i;
}

static bool is_meeting(int action)
{
    return action == ZM_ACT_COLLIDE || action == ZM_ACT_PUSH || action == ZM_ACT_TOPPLE;
}

/* Actions that stay at their place, so that other bodies can act beside them. */
static bool is_local(int action)
{
    return action == ZM_ACT_REST || action == ZM_ACT_FALL || action == ZM_ACT_BOUNCE || action == ZM_ACT_HOP ||
           action == ZM_ACT_RISE;
}

static bool has_direction(int action)
{
    return !is_local(action) || action == ZM_ACT_HOP;
}

static int pick_action(zm_rng *r, int cls, bool local_only, bool sustained)
{
    static const int weight[ZM_ACT_COUNT] = {
        [ZM_ACT_REST] = 6,    [ZM_ACT_FALL] = 8, [ZM_ACT_BOUNCE] = 14, [ZM_ACT_ROLL] = 10,    [ZM_ACT_SLIDE] = 8,
        [ZM_ACT_DRIVE] = 7,   [ZM_ACT_HOP] = 11, [ZM_ACT_RISE] = 5,    [ZM_ACT_COLLIDE] = 16, [ZM_ACT_PUSH] = 8,
        [ZM_ACT_TOPPLE] = 10, [ZM_ACT_RAMP] = 8, [ZM_ACT_BEHIND] = 9,
    };
    int w[ZM_ACT_COUNT];
    for (int a = 0; a < ZM_ACT_COUNT; a++)
        w[a] = (cls < 0 || zm_world_can(cls, a)) && (!local_only || is_local(a)) ? weight[a] : 0;
    if (sustained) /* a minute of stillness is no film; hoppers and walkers carry it */
        w[ZM_ACT_REST] = 0;
    return weighted(r, w, ZM_ACT_COUNT);
}

/* Shapes carry colours and shadows, so they get half of the places they can take, unless asked otherwise. */
static int pick_class(zm_rng *r, int action, const zm_world_options *opt)
{
    int fit[128] = {0}, shapes = 0, n = 0;
    int things = opt->things == 0 ? 55 : opt->things > 0 ? (int)lrintf(100 * opt->things) : 0;
    int classes = opt->level > 0 ? zm_world_count(ZM_ATTR_CLASS) : zm_world_core_classes();
    for (int c = 0; c < classes && n < 128; c++)
        if (zm_world_can(c, action)) {
            fit[n++] = c;
            shapes += zm_class_is_shape(c);
        }
    if (shapes && (shapes == n || (int)zm_rng_below(r, 100) < 100 - things))
        return fit[zm_rng_below(r, (uint32_t)shapes)];
    return fit[shapes + (int)zm_rng_below(r, (uint32_t)(n - shapes))];
}

static int pick_object(zm_rng *r, int action, const zm_world_options *opt)
{
    uint32_t u = zm_rng_below(r, 100);
    if (action == ZM_ACT_TOPPLE)
        return ZM_CLASS_CUBE;
    if (u < 58)
        return ZM_CLASS_CUBE;
    if (u < 74)
        return action == ZM_ACT_COLLIDE ? ZM_CLASS_BALL : ZM_CLASS_CUBE;
    if (u < 88)
        return ZM_CLASS_CYLINDER;
    int c = pick_class(r, ZM_ACT_SLIDE, opt);
    return zm_class_is_shape(c) ? zm_world_find(ZM_ATTR_CLASS, "gift") : c;
}

static void paint(zm_group *g, int colour, int material, int ground, int not_colour, int level, zm_rng *r)
{
    g->colour = g->material = ZM_WORLD_OWN_COLOUR;
    if (!zm_class_is_shape(g->cls))
        return;
    int n = zm_world_count(ZM_ATTR_COLOUR);
    g->material = material >= 0 ? material
                  : level > 0   ? (int)zm_rng_below(r, (uint32_t)zm_world_count(ZM_ATTR_MATERIAL))
                                : 0;
    do
        g->colour = colour >= 0 ? colour : (int)zm_rng_below(r, (uint32_t)n);
    while (colour < 0 && (g->colour == not_colour || (ground == GROUND_SNOW && g->colour == n - 1)));
}

static int pick_count(int asked, int most, zm_rng *r)
{
    static const int weight[3] = {60, 24, 16};
    if (asked > 0)
        return asked < most ? asked : most;
    return 1 + weighted(r, weight, most);
}

static int most_of(int action)
{
    switch (action) {
    case ZM_ACT_ROLL:
    case ZM_ACT_SLIDE:
    case ZM_ACT_DRIVE:
        return 2;
    default:
        return is_local(action) ? 3 : 1;
    }
}

/* Group 1: what the subject meets, or a companion that acts beside it. */
static void pick_second(zm_scene *s, const zm_scene_spec *q, const zm_world_options *opt, zm_rng *r)
{
    static const int target_weight[3] = {34, 30, 36};
    const zm_group *a = &s->group[0];
    zm_group *g = &s->group[1];
    if (is_meeting(a->action)) {
        g->cls = q->object_cls >= 0 ? q->object_cls : pick_object(r, a->action, opt);
        g->action = ZM_ACT_REST;
        int most = a->action == ZM_ACT_PUSH ? 2 : 3;
        g->count = q->object_count > 0 ? q->object_count : 1 + weighted(r, target_weight, most);
        if (a->action == ZM_ACT_TOPPLE && g->count < 3 && q->object_count < 0)
            g->count = zm_class_at(a->cls)->kind == KIND_VEHICLE || g->count == 1 ? 3 : 2;
        if (a->action == ZM_ACT_TOPPLE && g->count < 2)
            g->count = 2;
        if (g->count > most)
            g->count = most;
    } else {
        bool wanted = q->object_cls >= 0 || q->object_count > 0;
        bool chance = zm_rng_below(r, 100) < 35;
        if (!is_local(a->action) || q->object_count == 0 || a->count > 2 || (!wanted && !chance))
            return;
        int action = pick_action(r, q->object_cls, true, false);
        g->cls = q->object_cls >= 0 ? q->object_cls : pick_class(r, action, opt);
        g->action = action;
        g->count = pick_count(q->object_count, 4 - a->count > 2 ? 2 : 4 - a->count, r);
        if (g->cls == a->cls && !zm_class_is_shape(g->cls))
            return;
    }
    paint(g, q->object_colour, 0, s->ground, a->colour, opt->level, r);
    g->direction = 0;
    s->n_group = 2;
}

static int pick_ground(zm_rng *r, int level)
{
    return (int)zm_rng_below(r, (uint32_t)(level > 0 ? zm_world_count(ZM_ATTR_GROUND) : zm_world_core_grounds()));
}

static void pick_scenery(zm_scene *s, const zm_scene_spec *q, const zm_world_options *opt, zm_rng *r)
{
    s->ground = q->ground >= 0 ? q->ground : pick_ground(r, opt->level);
    s->light = q->light >= 0 ? q->light : (int)zm_rng_below(r, ZM_LIGHT_COUNT);
    s->light_to = s->light;
    float share = opt->camera_share == 0 ? 0.1f : opt->camera_share;
    bool moves = zm_rng_uniform(r) < share;
    int camera = 1 + (int)zm_rng_below(r, ZM_CAM_COUNT - 1);
    s->camera = q->camera >= 0 ? q->camera : moves ? camera : ZM_CAM_STATIC;
    s->camera_amount = zm_rng_range(r, 0.8f, 1.1f);
    s->sustained = opt->sustained >= 1 || (opt->sustained > 0 && zm_rng_uniform(r) < opt->sustained);
    if (s->sustained && q->light < 0 && zm_rng_below(r, 2))
        s->light_to = (s->light + 1) % ZM_LIGHT_COUNT;
    s->duration_s = (float)(opt->frames > 1 ? opt->frames - 1 : 16) / (opt->fps > 0 ? opt->fps : 8);
}

static void attempt(zm_scene *s, const zm_scene_spec *q, const zm_world_options *opt, zm_rng *r)
{
    zm_group *g = &s->group[0];
    *s = (zm_scene){.n_group = 1};
    pick_scenery(s, q, opt, r);
    g->action = q->action >= 0 ? q->action : pick_action(r, q->cls, false, s->sustained);
    g->cls = q->cls >= 0 ? q->cls : pick_class(r, g->action, opt);
    int most = q->object_count > 0 && most_of(g->action) == 3 ? 2 : most_of(g->action);
    g->count = pick_count(q->count, most, r);
    paint(g, q->colour, q->material, s->ground, -1, opt->level, r);
    g->direction = has_direction(g->action) ? (zm_rng_below(r, 2) ? 1 : -1) : 0;
    if (g->action == ZM_ACT_HOP && zm_rng_below(r, 3) == 0)
        g->direction = 0;
    pick_second(s, q, opt, r);
    if (s->n_group > 1 && g->action == ZM_ACT_HOP)
        g->direction = 0;
    if (g->action == ZM_ACT_HOP && g->count > 1)
        g->direction = 0;
}

bool zm_scene_held_out(const zm_scene *s)
{
    unsigned char key[4] = {(unsigned char)s->group[0].cls, (unsigned char)s->group[0].action, (unsigned char)s->ground,
                            (unsigned char)s->light};
    uint64_t h = zm_hash64(key, sizeof key, SALT);
    h ^= h >> 29;
    h *= 0x9E3779B97F4A7C15u;
    return (h >> 33) % 10 == 0;
}

static bool in_split(const zm_scene *s, zm_world_split split)
{
    return split == ZM_SPLIT_ANY || zm_scene_held_out(s) == (split == ZM_SPLIT_HELDOUT);
}

static void compose(zm_scene *out, const zm_scene_spec *q, uint64_t seed, const zm_world_options *opt)
{
    static const zm_world_options none;
    zm_world_options o = opt ? *opt : none;
    if (q->cls >= 0 && q->action >= 0 && q->ground >= 0 && q->light >= 0)
        o.split = ZM_SPLIT_ANY;
    bool holds = false;
    for (uint64_t k = 0; k < ATTRIBUTE_TRIES && !holds; k++) {
        zm_rng r = zm_rng_init(seed, (uint64_t)STREAM << 16 | k);
        attempt(out, q, &o, &r);
        if (!in_split(out, o.split))
            continue;
        for (int t = 0; t < LAYOUT_TRIES && !holds; t++) {
            zm_layout_scene(out, &r);
            holds = zm_layout_holds(out);
        }
        if (k > 64) /* a combination that physics refuses: the closest is what there is */
            break;
    }
    out->seed = seed;
}

void zm_scene_sample(zm_scene *out, uint64_t seed, const zm_world_options *opt)
{
    zm_scene_spec q = zm_scene_spec_any();
    compose(out, &q, seed, opt);
}

zm_status zm_scene_compose(zm_scene *out, const zm_scene_spec *q, uint64_t seed, const zm_world_options *opt,
                           zm_error *err)
{
    const struct {
        zm_world_attr attr;
        int value;
        const char *name;
    } row[] = {{ZM_ATTR_CLASS, q->cls, "class"},
               {ZM_ATTR_COLOUR, q->colour, "colour"},
               {ZM_ATTR_MATERIAL, q->material, "material"},
               {ZM_ATTR_ACTION, q->action, "action"},
               {ZM_ATTR_CLASS, q->object_cls, "object class"},
               {ZM_ATTR_COLOUR, q->object_colour, "object colour"},
               {ZM_ATTR_GROUND, q->ground, "ground"},
               {ZM_ATTR_LIGHT, q->light, "light"},
               {ZM_ATTR_CAMERA, q->camera, "camera"}};
    *out = (zm_scene){0};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (row[i].value >= zm_world_count(row[i].attr))
            return zm_fail(err, ZM_E_USAGE, "scene: %s %d is out of range 0..%d", row[i].name, row[i].value,
                           zm_world_count(row[i].attr) - 1);
    if (q->cls >= 0 && q->action >= 0 && !zm_world_can(q->cls, q->action))
        return zm_fail(err, ZM_E_USAGE, "scene: class %d cannot do action %d", q->cls, q->action);
    if (q->count > 3 || q->object_count > 3)
        return zm_fail(err, ZM_E_USAGE, "scene: at most 3 bodies a group, asked for %d and %d", q->count,
                       q->object_count);
    compose(out, q, seed, opt);
    return ZM_OK;
}
