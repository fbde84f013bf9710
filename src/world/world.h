/* The toy-box world: scenes by grammar, physics, pictures, captions in two languages, and the truth about them.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_WORLD_H
#define ZM_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"
#include "draw/frame.h"

/* Units: metres and seconds, x to the right, y up, bodies move in the plane z = 0 parallel to the screen.  With the
 * camera at rest the picture is ZM_WORLD_WIDTH_M wide in that plane, so a body falls with
 * ZM_WORLD_GRAVITY * width / ZM_WORLD_WIDTH_M px/s^2 (157 at 96 px) and the fit of one gravity is exact. */
#define ZM_WORLD_GRAVITY    9.81f
#define ZM_WORLD_WIDTH_M    6.0f
#define ZM_WORLD_MAX_BODIES 8
#define ZM_WORLD_GROUPS     2

typedef enum { ZM_LANG_EN, ZM_LANG_ZH, ZM_LANG_COUNT } zm_lang;

/* Everything a prompt can name.  Values of an attribute are 0 .. zm_world_count(a)-1. */
typedef enum {
    ZM_ATTR_CLASS,    /* ball, cube, cylinder, panda, car, ... */
    ZM_ATTR_COLOUR,   /* of shapes; things have their own (ZM_WORLD_OWN_COLOUR) */
    ZM_ATTR_MATERIAL, /* of shapes: matte, shiny, metal */
    ZM_ATTR_ACTION,   /* bounce, roll, hop, collide, ... */
    ZM_ATTR_GROUND,   /* grass, wood, ... */
    ZM_ATTR_LIGHT,    /* day, sunset, night, overcast */
    ZM_ATTR_CAMERA,   /* static, pan left, pan right, zoom in, zoom out */
    ZM_ATTR_COUNT     /* number of attributes */
} zm_world_attr;

/* Rows of the tables that code refers to by name; all other rows are reached by number. */
enum { ZM_CLASS_BALL, ZM_CLASS_CUBE, ZM_CLASS_CYLINDER, ZM_CLASS_SHAPES /* classes from here on are things */ };
enum {
    ZM_ACT_REST,    /* stands still */
    ZM_ACT_FALL,    /* falls and stays where it lands */
    ZM_ACT_BOUNCE,  /* falls and bounces */
    ZM_ACT_ROLL,    /* rolls to one side */
    ZM_ACT_SLIDE,   /* slides to one side and slows down */
    ZM_ACT_DRIVE,   /* vehicles: drives to one side */
    ZM_ACT_HOP,     /* animals: hops, with squash and stretch */
    ZM_ACT_RISE,    /* balloons: float up */
    ZM_ACT_COLLIDE, /* runs into group 1 and knocks it apart */
    ZM_ACT_PUSH,    /* pushes group 1 along */
    ZM_ACT_TOPPLE,  /* topples the stack that group 1 forms */
    ZM_ACT_RAMP,    /* rolls or slides down a ramp */
    ZM_ACT_BEHIND,  /* passes behind a wall and comes out again */
    ZM_ACT_COUNT
};
enum { ZM_LIGHT_DAY, ZM_LIGHT_SUNSET, ZM_LIGHT_NIGHT, ZM_LIGHT_OVERCAST, ZM_LIGHT_COUNT };
enum { ZM_CAM_STATIC, ZM_CAM_PAN_LEFT, ZM_CAM_PAN_RIGHT, ZM_CAM_ZOOM_IN, ZM_CAM_ZOOM_OUT, ZM_CAM_COUNT };
enum { ZM_PROP_NONE, ZM_PROP_RAMP, ZM_PROP_WALL };
#define ZM_WORLD_ANY        (-1) /* in a spec: the sampler chooses */
#define ZM_WORLD_OWN_COLOUR (-2) /* colour of a thing: whatever its picture has; also material of a thing */

int zm_world_count(zm_world_attr a);
/* Copy name k of a value: k = 0 is canonical, 1, 2, ... its synonyms.  Returns its length in bytes; 0 past the last
 * name, for an unknown value, or when `cap` (bytes with the NUL; 64 is enough) is too small. */
int zm_world_name(zm_world_attr a, int value, zm_lang lang, int k, char *out, size_t cap);
/* The value whose canonical or other name (either language) is `name`, or -1. */
int zm_world_find(zm_world_attr a, const char *name);
/* Whether bodies of this class can be the subject of this action. */
bool zm_world_can(int cls, int action);
/* Reference sRGB of a colour (for detectors); {0,0,0} out of range. */
void zm_world_colour_rgb(int colour, uint8_t rgb[3]);

/* One to three equal bodies that do the same: the subject (group 0), or what it meets (group 1). */
typedef struct zm_group {
    int cls, colour, material, count, action;
    int direction; /* -1 left, +1 right, 0 none */
} zm_group;

typedef struct zm_body {
    int group;
    float x, y, vx, vy, angle;  /* at time 0, centre */
    float half_w, half_h;       /* half extents, m; a round body's radius is half_w */
    float delay_s, speed, jump; /* drivers: when it starts, target speed m/s (signed), hop speed m/s */
} zm_body;

/* A scene is plain data: copy it, hash it, edit it. */
typedef struct zm_scene {
    uint64_t seed;
    int ground, light, camera;
    int prop; /* ZM_PROP_* */
    float prop_x, prop_w, prop_h;
    int prop_side; /* ramp: -1 falls to the left, +1 to the right */
    int n_group, n_body;
    bool sustained; /* hoppers, drivers and droppers never stop; the light may change: `light_to` */
    int light_to;   /* light at the end of sustained scenes, else equal to light */
    float duration_s;
    float camera_amount;
    zm_group group[ZM_WORLD_GROUPS];
    zm_body body[ZM_WORLD_MAX_BODIES];
} zm_scene;

typedef enum { ZM_SPLIT_TRAIN, ZM_SPLIT_HELDOUT, ZM_SPLIT_ANY } zm_world_split;

/* {0} is valid and means the value in brackets. */
typedef struct zm_world_options {
    int width, height; /* pixels, 16 .. 4096 [96, 64] */
    int frames;        /* 1 .. 100000 [17] */
    float fps;         /* [8] */
    zm_world_split split;
    int level;          /* 0 core grammar, 1 everything (all materials, classes and grounds) */
    float camera_share; /* share of clips with a moving camera; 0 = [0.1], negative = none */
    float sustained;    /* share of scenes that still move after a minute */
    float things; /* share of subjects that are things where shapes can do the same; 0 = [0.55], negative = none */
    int first;    /* frames that go by before the first that is drawn, 0 .. 100000 */
} zm_world_options;

/* What is asked of a scene; ZM_WORLD_ANY leaves a field to the sampler.  All fields 0 is NOT "anything":
 * start from zm_scene_spec_any(). */
typedef struct zm_scene_spec {
    int cls, colour, material, count, action;    /* the subject */
    int object_cls, object_colour, object_count; /* group 1, where the action or chance brings one; count 0 = none */
    int ground, light, camera;
} zm_scene_spec;
zm_scene_spec zm_scene_spec_any(void);

/* The scene number `seed` of the split; the same on every call.  opt may be NULL. */
void zm_scene_sample(zm_scene *out, uint64_t seed, const zm_world_options *opt);
/* A scene with given attributes.  ZM_E_USAGE: a value out of range, or a class that cannot do the action; the split
 * is not looked at when class, action, ground and light are all given. */
ZM_MUST zm_status zm_scene_compose(zm_scene *out, const zm_scene_spec *spec, uint64_t seed, const zm_world_options *opt,
                                   zm_error *err);
/* True for the 10 % of (subject class, action, ground, light) combinations that training never sees. */
bool zm_scene_held_out(const zm_scene *s);

/* The truth about one body in one frame. */
typedef struct zm_truth {
    int cls, colour, material, group;
    float box_px[4];                 /* x0, y0, x1, y1 of its visible pixels (x1, y1 exclusive); all 0 when hidden */
    float x_px, y_px;                /* centre in the picture, also outside of it */
    float visible;                   /* visible pixels / pixels it would have alone and unclipped, 0..1 */
    float x, y, vx, vy, angle, spin; /* m, m/s, rad, rad/s */
    float half_w, half_h;            /* m, at rest */
    unsigned contacts;               /* bit i: touches body i; ZM_TOUCH_*; since the frame before */
} zm_truth;
#define ZM_TOUCH_GROUND (1u << 30)
#define ZM_TOUCH_PROP   (1u << 29)

/* Whether clips of these options can be.  ZM_E_USAGE: size, length or frame rate out of range; ZM_E_UNSUPPORTED: a build
 * without physics. */
ZM_MUST zm_status zm_world_check(const zm_world_options *opt, zm_error *err);

/* A running world, for streams of any length.  One thread at a time; different worlds in different threads. */
typedef struct zm_world zm_world;
/* ZM_E_USAGE: an option or a field of the scene out of range; ZM_E_UNSUPPORTED: a build without physics; ZM_E_NOMEM.  On
 * failure *out is NULL. */
ZM_MUST zm_status zm_world_open(zm_world **out, const zm_scene *s, const zm_world_options *opt, zm_error *err);
void zm_world_close(zm_world **w);
/* Draw the next frame (the first call draws time 0).
 * rgb [H, W, 3] u8 sRGB; ids [H, W] u8 (0 scenery, 1+i body i, 255 prop in front), may be NULL;
 * truth [ZM_WORLD_MAX_BODIES], may be NULL; rows from s->n_body on are zero. */
void zm_world_frame(zm_world *w, uint8_t *rgb, uint8_t *ids, zm_truth *truth);

/* A whole clip: rgb [F, H, W, 3], ids [F, H, W] or NULL, truth [F, ZM_WORLD_MAX_BODIES] or NULL.  Errors as
 * zm_world_open. */
ZM_MUST zm_status zm_world_render(const zm_scene *s, const zm_world_options *opt, uint8_t *rgb, uint8_t *ids,
                                  zm_truth *truth, zm_error *err);

/* The same clip for another hand to draw (draw/pixel.h, zm_world_art): frame [F]; truth as above, but that box_px and
 * visible are zero until zm_truth_see.  Errors as zm_world_open. */
ZM_MUST zm_status zm_world_describe(const zm_scene *s, const zm_world_options *opt, zm_still *frame, zm_truth *truth,
                                    zm_error *err);
/* What a drawn frame shows of its bodies into truth [ZM_WORLD_MAX_BODIES]: ids [H, W]; whole [n_body], pixels that each
 * body covers alone, inside and outside of the picture. */
void zm_truth_see(zm_truth *truth, int n_body, int width, int height, const uint8_t *ids, const int32_t *whole);
/* Drawings and tables that all frames share; they stay. */
zm_draw_art zm_world_art(void);

/* A caption sampled from the grammar, terse to dense; says only what is so.  At most ZM_CAPTION_BYTES with its NUL.
 * r advances: call again for a paraphrase. */
#define ZM_CAPTION_BYTES 512
void zm_scene_caption(const zm_scene *s, zm_lang lang, zm_rng *r, char out[ZM_CAPTION_BYTES]);
/* The canonical full prompt: subjects, colours, counts, action, ground, light (and camera when it moves). */
void zm_scene_prompt(const zm_scene *s, zm_lang lang, char out[ZM_CAPTION_BYTES]);

/* One line of JSON without newline: facts, captions and per-frame truth ([frames, ZM_WORLD_MAX_BODIES], may be NULL
 * with frames = 0).  Heap memory, free with free(); NULL when out of memory. */
char *zm_scene_json(const zm_scene *s, const char *caption, zm_lang lang, const zm_truth *truth, int frames);

#endif
