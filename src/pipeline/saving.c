/* Writing runs at the right moments.
 * SPDX-License-Identifier: MIT */
#include "pipeline/saving.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mapfile.h"

void zm_saver_begin(zm_saver *s, zm_model *m, const zm_request *r, const zm_watch *watch)
{
    double now = zm_now();
    *s = (zm_saver){.opt = watch->saving, .watch = watch, .m = m, .r = r, .started = now, .last = now};
}

void zm_saver_end(zm_saver *s)
{
    zm_identity_release(&s->id);
}

static zm_status know(zm_saver *s, zm_error *err)
{
    return s->id.n ? ZM_OK : zm_identity_of(&s->id, s->r, s->m, err);
}

static void note(const zm_saver *s, const char *text)
{
    if (s->watch->note)
        s->watch->note(s->watch->user, text);
}

static bool save(zm_saver *s, const zm_denoise *d, const zm_latent_plan *plan, const zm_contexts *c, bool silent)
{
    zm_error err = {0};
    zm_status st = know(s, &err);
    if (!st)
        st = zm_state_save(s->opt->path, &s->id, d, plan, c, &err);
    s->last = zm_now();
    if (!st)
        s->wrote = true;
    if (st && !s->warned && !silent) {
        char text[700];
        snprintf(text, sizeof text, "the run goes on, but could not be saved: %s", err.text);
        note(s, text);
        s->warned = true;
    }
    return !st;
}

zm_status zm_saver_resume(zm_saver *s, zm_denoise *d, zm_latent_plan *plan, zm_contexts *c, bool *resumed,
                          zm_error *err)
{
    char text[64];
    *resumed = false;
    if (!s->opt || !s->opt->resume)
        return ZM_OK;
    zm_sweep_parts(s->opt->path);
    if (!zm_path_is_file(s->opt->path)) {
        if (!s->opt->stale_is_none)
            note(s, "there is no earlier run to go on with; starting from the beginning");
        return ZM_OK;
    }
    zm_status st = know(s, err);
    if (!st)
        st = zm_state_load(s->opt->path, &s->id, d, plan, c, err);
    if (st == ZM_E_USAGE && s->opt->stale_is_none) {
        zm_error_clear(err);
        return ZM_OK;
    }
    if (st)
        return st;
    *resumed = s->wrote = true;
    if (d->next < d->schedule.steps)
        snprintf(text, sizeof text, "going on after step %d of %d", d->next, d->schedule.steps);
    else
        snprintf(text, sizeof text, "all steps are done; decoding");
    note(s, text);
    return ZM_OK;
}

void zm_saver_step(zm_saver *s, const zm_denoise *d, const zm_latent_plan *plan, const zm_contexts *c)
{
    bool finished = d->next >= d->schedule.steps;
    if (!s->opt)
        return;
    /* The latent of a long run is written whenever its last writing was: what comes next may take memory or time. */
    double since = finished ? s->started : s->last;
    if (zm_now() - since >= s->opt->seconds || (finished && (s->opt->keep || s->wrote)))
        (void)save(s, d, plan, c, false);
}

void zm_saver_failed(zm_saver *s, const zm_denoise *d, const zm_latent_plan *plan, const zm_contexts *c, zm_error *err)
{
    if (!s->opt || d->next <= d->first)
        return;
    /* After a step of its own a run was saved then or is young; a stop saves what came since. */
    if (zm_now() - s->started >= s->opt->seconds && d->next < d->schedule.steps)
        (void)save(s, d, plan, c, true);
    if (!s->wrote || !err)
        return;
    size_t n = 0;
    while (n < sizeof err->text && err->text[n])
        n++;
    snprintf(err->text + n, sizeof err->text - n, "; the same command with --resume goes on after step %d of %d",
             d->next, d->schedule.steps);
}

void zm_saver_done(zm_saver *s)
{
    if (s->opt && s->wrote && !s->opt->keep)
        (void)unlink(s->opt->path);
}

void zm_sweep_parts(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    DIR *d = dir ? opendir(dir) : NULL;
    size_t n = strlen(name);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        char *end;
        if (strncmp(e->d_name, name, n) != 0 || strncmp(e->d_name + n, ".part-", 6) != 0)
            continue;
        long pid = strtol(e->d_name + n + 6, &end, 10);
        char *full = zm_path_join(dir, "%s", e->d_name);
        if (!*end && pid > 0 && full && kill((pid_t)pid, 0) && errno == ESRCH)
            (void)unlink(full);
        free(full);
    }
    if (d)
        closedir(d);
    free(dir);
}
