/* Making a film: window after window through the one denoising loop, and every frame on its way out.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "pipeline/film_parts.h"

/* ---- stock of frames ---- */

zm_status zm_stock_init(zm_stock *s, int cap, int width, int height, zm_error *err)
{
    *s = (zm_stock){.at = calloc((size_t)(cap ? cap : 1), sizeof *s->at), .cap = cap};
    zm_status st = s->at ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "no memory for %d frames", cap);
    for (int i = 0; !st && i < cap; i++)
        st = zm_frame_init(&s->at[i], width, height, err);
    if (st)
        zm_stock_release(s);
    return st;
}

void zm_stock_release(zm_stock *s)
{
    for (int i = 0; s->at && i < s->cap; i++)
        zm_frame_release(&s->at[i]);
    free(s->at);
    *s = (zm_stock){0};
}

static zm_status copy_to_size(zm_frame *out, const zm_frame *in, zm_error *err)
{
    if (out->width != in->width || out->height != in->height)
        return zm_frame_fit(out, in, err);
    memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    return ZM_OK;
}

zm_status zm_stock_put(zm_stock *s, const zm_frame *f, zm_error *err)
{
    if (!s->cap)
        return ZM_OK;
    zm_status st = copy_to_size(&s->at[s->next], f, err);
    s->next = (s->next + 1) % s->cap;
    s->n += s->n < s->cap;
    return st;
}

zm_frame *zm_stock_at(const zm_stock *s, int i)
{
    ZM_ASSERT(i >= 0 && i < s->n);
    return &s->at[(s->next - s->n + i + s->cap) % s->cap];
}

static void stock_clear(zm_stock *s)
{
    s->n = s->next = 0;
}

/* ---- out ---- */

static zm_status put_out(zm_film *f, const zm_frame *frame, zm_error *err)
{
    zm_status s = copy_to_size(&f->sized, frame, err);
    if (!s)
        s = f->watch->watch.frame(f->watch->watch.user, &f->sized, err);
    f->put += !s;
    return s;
}

/* share / 255 of b, the rest of a: bytes of `a` stay where the share is 0. */
static void blend(zm_frame *a, const zm_frame *b, const uint8_t *share, int same)
{
    size_t n = (size_t)a->width * (size_t)a->height * 3;
    for (size_t i = 0; i < n; i++) {
        int k = share ? share[i / 3 * 3] : same;
        a->rgb[i] = (uint8_t)((a->rgb[i] * (255 - k) + b->rgb[i] * k + 127) / 255);
    }
}

static bool is_changed(const zm_film *f, int64_t frame)
{
    return !f->r.mask.from || (frame + 1 >= f->r.mask.from && frame + 1 <= f->r.mask.to);
}

/* A frame of a changed video: the model's where the mask says so, else the video's own. */
static zm_status compose(zm_film *f, const zm_frame *made, int64_t at, zm_error *err)
{
    zm_frame *own = zm_stock_at(&f->source, (int)(at - f->now.first));
    zm_frame sized = {0};
    zm_status s = ZM_OK;
    if (made && is_changed(f, at)) {
        s = zm_frame_init(&sized, own->width, own->height, err);
        if (!s)
            s = copy_to_size(&sized, made, err);
        if (!s)
            blend(own, &sized, f->alpha.rgb, 255);
        zm_frame_release(&sized);
    }
    if (!s)
        s = zm_stock_put(&f->carry, own, err);
    return s ? s : put_out(f, own, err);
}

/* A frame of a shot: held back where the next one will appear over it, mixed with what was held where it appears. */
static zm_status pass(zm_film *f, const zm_frame *made, int64_t at, zm_error *err)
{
    int64_t start = 0;
    for (int i = 0; i < f->now.shot; i++)
        start += f->shot[i].frames;
    int64_t in_shot = at - start;
    zm_status s = zm_stock_put(&f->carry, made, err);
    if (s)
        return s;
    if (in_shot == f->shot[f->now.shot].frames)
        stock_clear(&f->held);
    if (in_shot >= f->shot[f->now.shot].frames)
        return zm_stock_put(&f->held, made, err);
    int fade = f->shot[f->now.shot].dissolve;
    if (in_shot >= fade)
        return put_out(f, made, err);
    zm_frame mixed;
    s = zm_frame_copy(&mixed, zm_stock_at(&f->held, (int)in_shot), err);
    if (s)
        return s;
    blend(&mixed, made, NULL, (int)(255 * (in_shot + 1) / (fade + 1)));
    s = put_out(f, &mixed, err);
    zm_frame_release(&mixed);
    return s;
}

/* Windows that are made from the end: their frames wait in a file without a name. */
static zm_status spool(zm_film *f, const zm_frame *made, int64_t at, zm_error *err)
{
    size_t bytes = (size_t)made->width * (size_t)made->height * 3;
    if (fseeko(f->spool, (off_t)((uint64_t)at * bytes), SEEK_SET) || fwrite(made->rgb, 1, bytes, f->spool) != bytes)
        return zm_fail(err, ZM_E_IO, "no room for the frames of a film that is made from its end");
    int64_t i = at - f->now.first; /* the window before this one will lead to its first frames */
    return i < f->reel.tail ? zm_stock_put(&f->carry, made, err) : ZM_OK;
}

/* Summed squares of what changes from one frame to another. */
static double step_between(const zm_frame *a, const zm_frame *b)
{
    double sum = 0;
    for (size_t i = 0, n = (size_t)a->width * (size_t)a->height * 3; i < n; i++) {
        int d = a->rgb[i] - b->rgb[i];
        sum += d * d;
    }
    return sum;
}

/* Any frame of a circle may be the first: the one before which least changes is. */
static zm_status put_circle(zm_film *f, zm_error *err)
{
    int n = f->carry.n, first = 0;
    double least = 0;
    for (int i = 0; i < n; i++) {
        double step = step_between(zm_stock_at(&f->carry, (i + n - 1) % n), zm_stock_at(&f->carry, i));
        if (!i || step < least)
            least = step, first = i;
    }
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < n; i++)
        s = put_out(f, zm_stock_at(&f->carry, (first + i) % n), err);
    return s;
}

static zm_status on_frame(void *user, const zm_frame *frame, zm_error *err)
{
    zm_film *f = user;
    int i = f->seen++;
    const zm_window *w = &f->now;
    if (i < w->skip || i >= w->skip + w->show)
        return ZM_OK;
    int64_t at = w->first + i - w->skip;
    if (f->r.change)
        return compose(f, frame, at, err);
    if (f->r.clip.loop)
        return zm_stock_put(&f->carry, frame, err);
    return f->reel.backward ? spool(f, frame, at, err) : pass(f, frame, at, err);
}

/* Every frame of a given video, as it is. */
static zm_status copy_video(zm_film *f, const char *path, zm_stock *keep, zm_error *err)
{
    zm_source src;
    const zm_frame *frame;
    const volatile sig_atomic_t *stop = f->watch->watch.stop;
    zm_status s = zm_source_open(&src, path, err);
    if (s)
        return s;
    while (!(s = zm_source_next(&src, &frame, err)) && frame) {
        if (stop && *stop)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped while %s was copied", path);
        if (!s && keep)
            s = zm_stock_put(keep, frame, err);
        if (!s)
            s = put_out(f, frame, err);
        if (s)
            break;
    }
    zm_source_close(&src);
    return s;
}

static zm_status read_tail(zm_film *f, zm_error *err)
{
    zm_source src;
    const zm_frame *frame;
    zm_status s = zm_source_open(&src, f->r.after, err);
    for (int i = 0; !s && i < f->reel.tail; i++) {
        s = zm_source_next(&src, &frame, err);
        if (!s && !frame)
            s = zm_fail(err, ZM_E_FORMAT, "%s: breaks off after %d frames", f->r.after, i);
        if (!s)
            s = zm_stock_put(&f->tail, frame, err);
    }
    zm_source_close(&src);
    return s;
}

static zm_status empty_spool(zm_film *f, zm_error *err)
{
    zm_frame frame;
    zm_status s = zm_frame_init(&frame, f->about.clip.width, f->about.clip.height, err);
    size_t bytes = s ? 0 : (size_t)frame.width * (size_t)frame.height * 3;
    if (!s && fseeko(f->spool, 0, SEEK_SET))
        s = zm_fail(err, ZM_E_IO, "the frames of a film that is made from its end could not be read back");
    for (int64_t i = 0; !s && i < f->about.made; i++) {
        if (fread(frame.rgb, 1, bytes, f->spool) != bytes)
            s = zm_fail(err, ZM_E_IO, "the frames of a film that is made from its end could not be read back");
        if (!s)
            s = put_out(f, &frame, err);
    }
    zm_frame_release(&frame);
    return s;
}

/* ---- windows ---- */

static void floats_of(float *to, const zm_stock *s, int from, int n, size_t frame)
{
    for (int i = 0; i < n; i++)
        zm_frame_floats(to + (size_t)i * frame, zm_stock_at(s, from + i));
}

static void fill_repaint(zm_film *f)
{
    zm_latent_size z = zm_latent_size_of(&f->about.clip, f->m);
    int t = f->m->time_stride, W = f->about.width, H = f->about.height;
    for (int k = 0; k < z.frames; k++) {
        int64_t a = k ? (int64_t)t * (k - 1) + 1 : 0, b = (int64_t)t * k; /* frames of the window */
        bool any = false;
        for (int64_t i = a; i <= b; i++)
            any |= is_changed(f, f->now.first - f->now.skip + i);
        for (int y = 0; y < z.height; y++)
            for (int x = 0; x < z.width; x++) {
                bool in = !f->alpha.rgb;
                int x0 = x * W / z.width, x1 = (x + 1) * W / z.width, y0 = y * H / z.height,
                    y1 = (y + 1) * H / z.height;
                for (int v = y0; !in && v < y1; v++)
                    for (int u = x0; !in && u < x1; u++)
                        in = f->alpha.rgb[3 * ((size_t)v * (size_t)W + (size_t)u)] > 0;
                f->repaint[((size_t)k * (size_t)z.height + (size_t)y) * (size_t)z.width + (size_t)x] = any && in;
            }
    }
}

/* The next frames of the video that is changed; what a short one lacks of a window is its last frame again. */
static zm_status read_source(zm_film *f, zm_error *err)
{
    const zm_frame *frame;
    stock_clear(&f->source);
    for (int i = 0; i < f->now.show; i++) {
        zm_status s = zm_source_next(&f->changing, &frame, err);
        if (!s && !frame)
            s = zm_fail(err, ZM_E_FORMAT, "%s: breaks off after %lld frames", f->r.change, (long long)f->changing.at);
        if (!s)
            s = zm_stock_put(&f->source, frame, err);
        if (s)
            return s;
    }
    return ZM_OK;
}

static zm_status fill_change(zm_film *f, size_t frame, zm_error *err)
{
    const zm_window *w = &f->now;
    zm_frame sized;
    zm_status s = zm_frame_init(&sized, f->about.clip.width, f->about.clip.height, err);
    if (s)
        return s;
    floats_of(f->known[2], &f->carry, f->carry.n - w->head, w->head, frame);
    for (int i = w->head; !s && i < f->reel.length; i++) {
        int k = i - w->head < f->source.n ? i - w->head : f->source.n - 1;
        s = copy_to_size(&sized, zm_stock_at(&f->source, k), err);
        if (!s)
            zm_frame_floats(f->known[2] + (size_t)i * frame, &sized);
    }
    zm_frame_release(&sized);
    fill_repaint(f);
    bool part = f->r.mask.picture || f->r.mask.from;
    f->given = (zm_known){
        .all = f->known[2], .n_head = w->head, .strength = f->r.strength, .repaint = part ? f->repaint : NULL};
    return s;
}

/* What this window is given. */
static zm_status fill_known(zm_film *f, zm_request *r, zm_error *err)
{
    const zm_window *w = &f->now;
    size_t frame = (size_t)r->width * (size_t)r->height * 3;
    const zm_shot *shot = f->r.shot ? &f->r.shot[w->shot] : NULL;
    r->first = w->picture ? (shot ? shot->picture : f->r.clip.first) : NULL;
    r->known = NULL;
    if (f->r.change) {
        zm_status s = fill_change(f, frame, err);
        r->known = &f->given;
        return s;
    }
    if (w->picture || (!w->head && !w->tail))
        return ZM_OK;
    f->given = (zm_known){.n_head = w->head, .n_tail = w->tail};
    const zm_stock *to = f->reel.backward && f->carry.n ? &f->carry : &f->tail;
    if (w->head) {
        floats_of(f->known[0], &f->carry, f->carry.n - w->head, w->head, frame);
        f->given.head = f->known[0];
    }
    if (w->tail) {
        floats_of(f->known[1], to, 0, w->tail, frame);
        f->given.tail = f->known[1];
    }
    if (f->reel.backward)
        stock_clear(&f->carry);
    r->known = &f->given;
    return ZM_OK;
}

/* A window whose frames all stay as they are. */
static bool is_idle(const zm_film *f)
{
    for (int i = 0; f->r.mask.from && i < f->now.show; i++)
        if (is_changed(f, f->now.first + i))
            return false;
    return f->r.change && f->r.mask.from;
}

static zm_status end_film(zm_film *f, zm_error *err)
{
    zm_status s = f->reel.backward ? empty_spool(f, err) : ZM_OK;
    if (!s && f->r.clip.loop)
        s = put_circle(f, err);
    if (!s && f->r.after)
        s = copy_video(f, f->r.after, NULL, err);
    if (!s && f->watch->watch.finish)
        s = f->watch->watch.finish(f->watch->watch.user, err);
    return s;
}

/* The window's frames are all out: the film ends, or its place is kept. */
static zm_status on_finish(void *user, zm_error *err)
{
    zm_film *f = user;
    zm_film_mark mark;
    f->done++;
    if (f->done >= f->about.windows)
        return end_film(f, err);
    if (!f->watch->path || !f->watch->mark || f->reel.backward || f->done % f->about.stretch)
        return ZM_OK;
    zm_status s = f->watch->mark(f->watch->watch.user, &mark, err);
    return s ? s : zm_film_save(f, &mark, err);
}

static void on_phase(void *user, const char *what, int total)
{
    const zm_watch *w = &((zm_film *)user)->watch->watch;
    if (w->phase)
        w->phase(w->user, what, total);
}

static void on_step(void *user, int done, int total)
{
    const zm_watch *w = &((zm_film *)user)->watch->watch;
    if (w->step)
        w->step(w->user, done, total);
}

static void on_preview(void *user, const zm_frame *picture)
{
    const zm_watch *w = &((zm_film *)user)->watch->watch;
    w->preview(w->user, picture);
}

static void on_note(void *user, const char *sentence)
{
    const zm_watch *w = &((zm_film *)user)->watch->watch;
    if (w->note)
        w->note(w->user, sentence);
}

/* Steps of a window are worth a file where the film could go on with it: behind a mark. */
static bool is_behind_mark(const zm_film *f)
{
    return !f->done || !f->reel.block || (f->watch->path && f->watch->mark && f->done % f->about.stretch == 0);
}

/* What is asked of the generator; what is given comes later. */
static zm_request ask(const zm_film *f)
{
    zm_request r = f->about.clip;
    const zm_window *w = &f->now;
    if (f->r.shot)
        r.prompt = f->r.shot[w->shot].prompt;
    if (f->reel.block) {
        r.frames = r.span = w->skip + w->show;
        r.at = w->at;
        r.onward = w->onward;
    } else if (f->done && w->skip) { /* a window that goes on has noise of its own; shots begin alike */
        uint64_t key[2] = {r.seed, (uint64_t)f->done};
        r.seed = zm_hash64(key, sizeof key, 0) >> 1;
    }
    return r;
}

static zm_status window(zm_film *f, bool resume, zm_error *err)
{
    zm_request r = ask(f);
    const zm_watch *outer = &f->watch->watch;
    bool several = f->about.windows > 1;
    zm_saving saving = outer->saving ? *outer->saving : (zm_saving){0};
    saving.resume = saving.resume && resume;
    saving.keep = saving.keep && !several;
    saving.stale_is_none = several;
    zm_watch w = {.user = f,
                  .phase = on_phase,
                  .step = on_step,
                  .preview = outer->preview ? on_preview : NULL,
                  .frame = on_frame,
                  .finish = on_finish,
                  .note = on_note,
                  .stop = outer->stop,
                  .saving = outer->saving && is_behind_mark(f) ? &saving : NULL,
                  .probe = outer->probe};
    zm_status s = f->r.change ? read_source(f, err) : ZM_OK;
    f->seen = 0;
    if (!s && is_idle(f)) {
        for (int i = 0; !s && i < f->now.show; i++)
            s = compose(f, NULL, f->now.first + i, err);
        return s ? s : on_finish(f, err);
    }
    if (!s)
        s = fill_known(f, &r, err);
    return s ? s : zm_generate(f->g, &r, &w, err);
}

/* ---- the film ---- */

static zm_status make_room(zm_film *f, zm_error *err)
{
    const zm_request *c = &f->about.clip;
    size_t frame = (size_t)c->width * (size_t)c->height * 3, n = (size_t)f->reel.length * frame * sizeof(float);
    int w = f->about.width, h = f->about.height, fade = 0;
    for (int i = 0; i < f->reel.n_shots; i++)
        fade = f->shot[i].dissolve > fade ? f->shot[i].dissolve : fade;
    bool alone = (f->about.windows == 1 || f->reel.block) && !f->about.exact;
    int carried = f->r.clip.loop ? (int)f->about.made : alone ? 0 : f->reel.length;
    zm_status s = zm_frame_init(&f->sized, w, h, err);
    if (!s)
        s = zm_stock_init(&f->carry, carried, c->width, c->height, err);
    if (!s)
        s = zm_stock_init(&f->tail, f->reel.tail, c->width, c->height, err);
    if (!s)
        s = zm_stock_init(&f->source, f->r.change ? f->reel.length : 0, w, h, err);
    if (!s)
        s = zm_stock_init(&f->held, fade, w, h, err);
    for (int i = 0; !s && !alone && i < 3; i++)
        if (!(f->known[i] = zm_aligned_alloc(n)))
            s = zm_fail(err, ZM_E_NOMEM, "no memory for %d given frames", f->reel.length);
    zm_latent_size z = zm_latent_size_of(c, f->m);
    if (!s && f->r.change && !(f->repaint = calloc((size_t)(z.each / z.z), 1)))
        s = zm_fail(err, ZM_E_NOMEM, "no memory for a mask");
    if (!s && f->r.mask.picture)
        s = zm_frame_init(&f->alpha, w, h, err);
    if (!s && f->r.mask.picture)
        s = copy_to_size(&f->alpha, f->r.mask.picture, err);
    if (!s && f->reel.backward && !(f->spool = tmpfile()))
        s = zm_fail(err, ZM_E_IO, "no temporary file can be made for a film that is made from its end");
    return s;
}

/* Frames of the changed video that an earlier run has dealt with. */
static zm_status skip_source(zm_film *f, zm_error *err)
{
    zm_window w;
    const zm_frame *frame = NULL;
    zm_status s = zm_source_open(&f->changing, f->r.change, err);
    int64_t from = zm_reel_window(&w, &f->reel, f->done) ? w.first : 0;
    while (!s && f->changing.at < from) {
        s = zm_source_next(&f->changing, &frame, err);
        if (!s && !frame)
            s = zm_fail(err, ZM_E_FORMAT, "%s: breaks off after %lld frames", f->r.change, (long long)f->changing.at);
    }
    return s;
}

/* Back to an earlier run's place, or to the beginning. */
static zm_status set_out(zm_film *f, zm_error *err)
{
    const zm_film_watch *w = f->watch;
    zm_film_mark mark = {0};
    bool found = false;
    zm_status s = ZM_OK;
    if (w->path && w->mark && w->back && w->watch.saving && w->watch.saving->resume)
        s = zm_film_load(f, &mark, &found, err);
    if (!s && found) {
        f->put = mark.frames;
        s = w->back(w->watch.user, &mark, err);
    }
    if (!s && !found && f->r.before)
        s = copy_video(f, f->r.before, &f->carry, err);
    if (!s && f->r.after)
        s = read_tail(f, err);
    return !s && f->r.change ? skip_source(f, err) : s;
}

zm_status zm_film_run(zm_film *f, const zm_generator_options *how, const zm_film_watch *w, zm_error *err)
{
    zm_film_run_release(f);
    f->watch = w;
    zm_status s = make_room(f, err);
    if (!s)
        s = zm_generator_new(&f->g, f->m, &f->about.clip, how, err);
    if (!s)
        s = set_out(f, err);
    for (bool resume = true; !s && zm_reel_window(&f->now, &f->reel, f->done); resume = false) {
        if (w->window)
            w->window(w->watch.user, f->done, f->about.windows);
        s = window(f, resume, err);
    }
    if (s && err && f->done && f->done < f->about.windows && w->path && zm_path_is_file(w->path) &&
        !strstr(err->text, "--resume")) {
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, "; the same command with --resume goes on after window %d of %d",
                 f->done / f->about.stretch * f->about.stretch, f->about.windows);
    }
    if (!s && w->path)
        (void)unlink(w->path);
    return s;
}

void zm_film_run_release(zm_film *f)
{
    zm_generator_free(f->g);
    zm_stock_release(&f->carry);
    zm_stock_release(&f->tail);
    zm_stock_release(&f->source);
    zm_stock_release(&f->held);
    zm_source_close(&f->changing);
    zm_frame_release(&f->sized);
    zm_frame_release(&f->alpha);
    if (f->spool)
        fclose(f->spool);
    for (int i = 0; i < 3; i++)
        free(f->known[i]);
    free(f->repaint);
    zm_identity_release(&f->id);
    f->g = NULL;
    f->spool = NULL;
    f->known[0] = f->known[1] = f->known[2] = NULL;
    f->repaint = NULL;
    f->done = 0;
    f->put = 0;
}
