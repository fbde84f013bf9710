/* Phrases of the caption grammar, in both languages.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_WORLD_PHRASES_H
#define ZM_WORLD_PHRASES_H

#include "world/world.h"

/* Patterns, separated by '|' outside of braces; the first is the canonical one.
 *   {a/b/c}  one body / several / participle ("bounces", "bounce", "bouncing")
 *   %o what the subject meets, %a "apart" or "away", %t "it" or "them", %D left or right
 *   %g ground as a place, %G ground as a goal (only in patterns that place themselves, marked with a leading '!') */
const char *zm_phrase_action(const zm_group *g, zm_lang lang);
/* "on the grass|..." */
const char *zm_phrase_place(int ground, zm_lang lang);
/* What a body falls onto. */
const char *zm_phrase_goal(int ground, zm_lang lang);
/* "at night|under the moon|..." */
const char *zm_phrase_light(int light, zm_lang lang);
/* "the camera pans left|..." */
const char *zm_phrase_camera(int camera, zm_lang lang);
/* What changes in a sustained scene whose light turns; NULL when it does not. */
const char *zm_phrase_turning(int to, zm_lang lang);

#endif
