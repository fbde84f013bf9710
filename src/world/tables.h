/* Rows behind the public attribute tables: behaviour of classes, actions and grounds, for the rooms' own files.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_TABLES_H
#define ZM_WORLD_TABLES_H

#include "draw/frame.h"
#include "world/things.h"
#include "world/world.h"

typedef struct zm_class_row {
    const char *icon; /* NULL for shapes */
    zm_kind kind;
    float size;          /* larger side, m */
    const char *en, *zh; /* names, separated by '|' */
    const char *measure; /* Chinese measure word */
} zm_class_row;

typedef struct zm_ground_row {
    const char *en, *zh;
    float restitution, friction; /* factors on the body's own */
} zm_ground_row;

const zm_class_row *zm_class_at(int cls);
const zm_ground_row *zm_ground_at(int ground);
/* Classes and grounds that belong to level 0. */
int zm_world_core_classes(void);
int zm_world_core_grounds(void);
static inline bool zm_class_is_shape(int cls)
{
    return cls < ZM_CLASS_SHAPES;
}
static inline bool zm_kind_is_round(zm_kind k)
{
    return k == KIND_BALL || k == KIND_FRUIT;
}

#endif
