/* Whether the bodies of a film stay who they are: films much longer than a clip, looked at clip after clip.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_EVAL_FILM_H
#define ZM_APP_EVAL_FILM_H

#include "app/eval_run.h"
#include "app/eval_vae.h"

typedef struct zm_eval_film_options {
    int films;
    double seconds; /* of each */
    uint64_t seed;  /* of the first scene */
    bool json, quiet;
    zm_eval_vae *vae; /* borrowed; not NULL: films are the world's, passed through this autoencoder */
    zm_eval_how how;
} zm_eval_film_options;

/* Films of sustained scenes (held-in, the light does not turn), by the model and as the world draws them, which is the
 * ceiling; each cut into clips of the detector's length.  Bodies of the first clip are looked for in every later one,
 * ground and light too.  Prints a table, or one line of JSON, to stdout.  model NULL: the ceiling alone.
 * ZM_E_USAGE: shorter than two clips; errors of zm_film_open and zm_film_run; ZM_E_NOMEM. */
ZM_MUST zm_status zm_eval_films(zm_eval_eye *eye, const char *model, const zm_eval_film_options *o, zm_error *err);

#endif
