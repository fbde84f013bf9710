/* What a prompt asks for against what the detector sees, and whether what moves obeys one gravity.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EVAL_SCORE_H
#define ZM_APP_EVAL_SCORE_H

#include "model/detector_track.h"
#include "world/world.h"

/* One row per attribute: code, name printed for people and in JSON. */
#define ZM_EVAL_TABLE(X)                                                                                               \
    X(ZM_EVAL_OBJECT, "object")  /* every class asked for is seen */                                                   \
    X(ZM_EVAL_THING, "thing")    /* of things that are no shapes: every one asked for is seen */                       \
    X(ZM_EVAL_COLOUR, "colour")  /* of shapes: a shape of every colour asked for is seen */                            \
    X(ZM_EVAL_COUNT, "count")    /* as many bodies as asked for */                                                     \
    X(ZM_EVAL_ACTION, "action")  /* of the subject */                                                                  \
    X(ZM_EVAL_SIDE, "direction") /* where the prompt says one */                                                       \
    X(ZM_EVAL_GROUND, "ground")                                                                                        \
    X(ZM_EVAL_LIGHT, "light")                                                                                          \
    X(ZM_EVAL_CAMERA, "camera") /* where the prompt says how it moves */

typedef enum {
#define ZM_EVAL_ENUM(code, name) code,
    ZM_EVAL_TABLE(ZM_EVAL_ENUM)
#undef ZM_EVAL_ENUM
        ZM_EVAL_ATTRS
} zm_eval_attr;
const char *zm_eval_name(zm_eval_attr a);

/* What a prompt says; -1: nothing. */
typedef struct zm_eval_facts {
    int n_group;
    int cls[ZM_WORLD_GROUPS], colour[ZM_WORLD_GROUPS];
    int bodies, action, side, ground, light, camera; /* side: -1 nothing, 0 left, 2 right, as ZM_HEAD_SIDE */
} zm_eval_facts;
zm_eval_facts zm_eval_facts_none(void);
/* What zm_scene_prompt says of a scene. */
zm_eval_facts zm_eval_facts_of(const zm_scene *s);

/* What the detector sees in a clip. */
typedef struct zm_eval_sight {
    int answer[ZM_HEADS];
    zm_tracks tracks;
    int width, height; /* pixels */
    double fps;
} zm_eval_sight;
/* How many bodies are to be seen at once, in at least a fifth of the frames. */
int zm_eval_bodies(const zm_eval_sight *v);
/* A track seen long enough to count as a body. */
bool zm_eval_steady(const zm_track *t, int frames);
/* How many of the bodies of `then`, counted into *bodies, are also there `now`.  Bodies alike, in class and where the class
 * is a shape in colour, are as many as are to be seen at once: a track that breaks and goes on is one body still. */
int zm_eval_kept(const zm_tracks *then, const zm_tracks *now, int *bodies);

typedef struct zm_eval_tally {
    int asked[ZM_EVAL_ATTRS], right[ZM_EVAL_ATTRS];
} zm_eval_tally;
/* 1 right, 0 wrong, -1 not asked. */
int zm_eval_check(const zm_eval_facts *f, const zm_eval_sight *v, zm_eval_attr a);
void zm_eval_add(zm_eval_tally *t, const zm_eval_facts *f, const zm_eval_sight *v);
/* Share that is right; NaN when nothing was asked. */
double zm_eval_share(const zm_eval_tally *t, zm_eval_attr a);

enum { ZM_EVAL_FALLS_MAX = 512 };
typedef struct zm_eval_physics {
    int falls;
    double gravity[ZM_EVAL_FALLS_MAX]; /* px/s^2, one for each free fall seen */
    int bounces, gains;                /* bounces seen, and those that rise above where they came from */
    int tracks, broken;                /* steady tracks, and those that begin or end in the open */
} zm_eval_physics;
/* Falls and bounces where the prompt asks for them and the camera rests; tracks wherever no wall is asked for. */
void zm_eval_physics_add(zm_eval_physics *p, const zm_eval_facts *f, const zm_eval_sight *v);
/* Sorts; the median and half the distance between the quartiles, px/s^2; false when there is no fall. */
bool zm_eval_gravity(zm_eval_physics *p, double *median, double *spread);

/* Gravity of heights (downwards, px) at equal times 1/fps apart: y = a + b t + g t^2/2 by least squares; n >= 3. */
double zm_eval_fit_gravity(const float *y, int n, double fps);

#endif
