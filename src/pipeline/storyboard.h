/* Storyboards: a film told as shots, in YAML from a file or from the command line.
 *
 *   shots:
 *     - prompt: a red ball bounces on the grass
 *       seconds: 3
 *     - {prompt: a blue cube slides on ice, start: 3, seconds: 2, transition: dissolve, dissolve: 0.5, picture: cube.png}
 *
 * A shot begins where the one before ends (or at `start`, which must be there or later: then the one before, if it tells
 * no length, lasts until then) and lasts `seconds`.  transition: continue (the same scene goes on), cut, dissolve.
 * picture: what the shot begins with; it cuts.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_STORYBOARD_H
#define ZM_PIPELINE_STORYBOARD_H

#include "pipeline/film.h"

typedef struct zm_storyboard zm_storyboard;

/* told: the path of a file, or YAML itself when it begins with "[", "{" or "shots:" (a list alone is the shots').
 * default_seconds: of a shot that tells no length.  ZM_E_USAGE: shots that overlap, begin before 0, leave a gap or have no
 * length; the config's and the pictures' errors.  On failure *out is NULL. */
ZM_MUST zm_status zm_storyboard_load(zm_storyboard **out, const char *told, double default_seconds, zm_error *err);
void zm_storyboard_free(zm_storyboard *b); /* NULL is fine */
/* The shots at a frame rate; borrowed, *n of them.  ZM_E_USAGE: a shot shorter than a frame, or a film too long. */
ZM_MUST zm_status zm_storyboard_shots(const zm_shot **out, int *n, zm_storyboard *b, double fps, zm_error *err);

#endif
