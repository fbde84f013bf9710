/* Films: what is asked for, checked and settled; frames on their way out.
 * SPDX-License-Identifier: MIT */
#include "pipeline/film.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/film_parts.h"
#include "pipeline/past.h"

enum { STRETCH_FRAMES = 12 }; /* between marks, of films made block by block */

static zm_mode_kind mode_of(const zm_film_request *r)
{
    if (r->change)
        return r->mask.picture || r->mask.from ? ZM_MODE_INPAINT : ZM_MODE_EDIT;
    if (r->before || r->after)
        return !r->before ? ZM_MODE_BACKWARD : r->after ? ZM_MODE_JOIN : ZM_MODE_EXTEND;
    if (r->clip.loop)
        return ZM_MODE_LOOP;
    if (r->shot)
        return ZM_MODE_STORYBOARD;
    if (r->clip.last)
        return ZM_MODE_IMAGES;
    if (r->clip.first)
        return ZM_MODE_IMAGE;
    return r->clip.frames == 1 ? ZM_MODE_PICTURE : ZM_MODE_TEXT;
}

/* Options that do not go together. */
static zm_status check_combination(const zm_film_request *r, zm_error *err)
{
    bool given = r->before || r->after, pictures = r->clip.first || r->clip.last;
    const struct {
        bool wrong;
        const char *says;
    } rule[] = {
        {r->change && (given || pictures || r->clip.loop || r->shot),
         "a video that is changed goes with no other video, picture, loop or storyboard"},
        {given && (pictures || r->clip.loop), "a video that is extended or joined goes with no picture and no loop"},
        {given && r->shot && r->after, "a storyboard can go on from a video, not lead to one"},
        {r->clip.loop && (pictures || r->shot), "a loop is made from text alone: its first frame follows its last"},
        {r->shot && pictures, "pictures of a storyboard stand in its shots"},
        {(r->mask.picture || r->mask.from) && !r->change, "a mask needs the video that is changed"},
        {r->strength > 0 && !r->change, "a strength needs the video that is changed"},
    };
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
        if (rule[i].wrong)
            return zm_fail(err, ZM_E_USAGE, "%s", rule[i].says);
    if (r->strength < 0 || r->strength > 1)
        return zm_fail(err, ZM_E_USAGE, "strength is %g; above 0 and up to 1 is possible", r->strength);
    return ZM_OK;
}

/* Sizes and rate of the film, by the video it goes with. */
static zm_status look_at_videos(zm_film *f, zm_error *err)
{
    const zm_film_request *r = &f->r;
    const char *main = r->change ? r->change : r->before ? r->before : r->after, *other = r->before ? r->after : NULL;
    zm_source s;
    int64_t n = 0;
    if (!main)
        return ZM_OK;
    zm_status st = zm_source_open(&s, main, err);
    if (st)
        return st;
    f->about.exact = true;
    f->about.width = s.width;
    f->about.height = s.height;
    if (!f->r.clip.width && !f->r.clip.height)
        zm_source_fit(f->m, s.width, s.height, &f->r.clip.width, &f->r.clip.height);
    if (f->r.clip.fps <= 0)
        f->r.clip.fps = s.fps;
    zm_source_close(&s);
    st = zm_source_count(&n, main, r->change ? ZM_REEL_FRAMES_MAX + 1 : 512, err);
    f->main_frames = n;
    if (!st && other)
        st = zm_source_count(&n, other, 512, err);
    f->after_frames = other ? n : r->after ? f->main_frames : 0;
    return st;
}

/* Shots of the reel, from the storyboard or the one prompt. */
static zm_status lay_out_shots(zm_film *f, int frames, zm_error *err)
{
    const zm_film_request *r = &f->r;
    int n = r->shot ? r->n_shots : 1;
    if (!(f->shot = calloc((size_t)n, sizeof *f->shot)))
        return zm_fail(err, ZM_E_NOMEM, "no memory for %d shots", n);
    for (int i = 0; i < n; i++) {
        const zm_shot *s = r->shot ? &r->shot[i] : NULL;
        f->shot[i] =
            (zm_reel_shot){.frames = s ? s->frames : frames, .picture = (s ? s->picture : r->clip.first) != NULL};
        if (s && (i || r->before))
            f->shot[i].transition = s->transition;
        if (s && i && s->transition == ZM_DISSOLVE)
            f->shot[i].dissolve = s->dissolve;
    }
    f->reel.shot = f->shot;
    f->reel.n_shots = n;
    return ZM_OK;
}

/* What windows are given at most; less where they must end on `tail` frames too. */
static int head_of(const zm_model *m, int length, int tail)
{
    int given = m->config.video.given, head = given ? 1 + (given - 1) * m->time_stride : 0;
    while (head > m->time_stride && (2 * head > length + 1 || (tail && head + tail + m->time_stride > length)))
        head -= m->time_stride;
    return head < length ? head : 0;
}

/* Films block by block.  A given video shows the network its end: as much as it will look back on. */
static zm_status settle_blocks(zm_film *f, zm_error *err)
{
    const zm_model_config *c = &f->m->config;
    int t = f->m->time_stride, block = c->dit.causal.block;
    zm_past_ring ring = zm_past_ring_of(&c->dit.causal, 1 + (c->video.frames - 1 + t - 1) / t);
    int seen = (ring.slots ? ring.slots : 1) * block; /* latent frames */
    if (f->r.clip.span)
        return zm_fail(err, ZM_E_USAGE,
                       "%s makes films block by block, %d frames each; windows of %d are for other models", c->name,
                       block * t, f->r.clip.span);
    f->reel.block = block;
    f->reel.head = 1 + (seen - 1) * t;
    f->reel.length = f->r.before ? 1 + (seen + block - 1) * t : block * t;
    f->reel.before = f->r.before ? (int)fmin((double)f->main_frames, f->reel.head) : 0;
    return zm_reel_settle(&f->reel, err);
}

/* All of a video that is changed is there: its windows are whole.  A model trained both ways makes whole what is no
 * longer than its clips, and what leads to given frames. */
static bool goes_in_blocks(const zm_film *f, int frames)
{
    const zm_film_request *r = &f->r;
    const zm_model_config *c = &f->m->config;
    int64_t all = r->shot ? 0 : frames;
    for (int i = 0; r->shot && i < r->n_shots; i++)
        all += r->shot[i].frames;
    if (!c->dit.causal.block || r->change)
        return false;
    if (!c->dit.causal.both)
        return true;
    return !r->after && !r->clip.last && !r->clip.loop && !r->clip.span && (r->before || all > c->video.frames);
}

static zm_status settle_reel(zm_film *f, int frames, zm_error *err)
{
    const zm_film_request *r = &f->r;
    int t = f->m->time_stride, own = r->clip.span ? r->clip.span : f->m->config.video.frames;
    zm_status s = lay_out_shots(f, frames, err);
    if (s)
        return s;
    f->reel.stride = t;
    if (goes_in_blocks(f, frames))
        return settle_blocks(f, err);
    f->reel.length = 1 + (own - 1 + t - 1) / t * t;
    f->reel.head = head_of(f->m, f->reel.length, r->before && r->after ? t : 0);
    if (r->before)
        f->reel.before = (int)fmin((double)f->main_frames, f->reel.length);
    f->reel.backward = r->after && !r->before;
    if (r->after) {
        int most = (int)fmin((double)f->after_frames, f->reel.length) / t * t;
        int want = f->reel.head <= 1 || !f->reel.backward ? t : t + f->reel.head - 1;
        while (want > t && want + 1 + t > f->reel.length)
            want -= t;
        f->reel.tail = want < most ? want : most;
        if (!f->reel.tail)
            return zm_fail(err, ZM_E_USAGE, "%s has %lld frames; %d at least are needed to lead to them", r->after,
                           (long long)f->after_frames, t);
    }
    return zm_reel_settle(&f->reel, err);
}

static int default_frames(const zm_film *f)
{
    if (f->r.clip.frames)
        return f->r.clip.frames;
    if (f->r.change)
        return (int)f->main_frames;
    int own = f->r.clip.span ? f->r.clip.span : f->m->config.video.frames, t = f->m->time_stride;
    if (f->r.clip.loop)
        return own - 1;
    if (f->r.before && f->r.after) /* one window between the two */
        return own - head_of(f->m, own, t) - t;
    return own;
}

static zm_status check_modes(const zm_film *f, zm_error *err)
{
    zm_status s = zm_mode_check(f->about.mode->kind, f->m, err);
    if (!s && zm_reel_windows(&f->reel) > f->reel.n_shots && !f->reel.backward && !f->r.change && !f->r.clip.loop)
        s = zm_mode_check(ZM_MODE_LONG, f->m, err);
    if (!s && f->r.change && zm_image_way_of(f->m) != ZM_IMAGE_FRAMES && zm_reel_windows(&f->reel) > 1)
        s = zm_fail(err, ZM_E_USAGE, "%s changes videos of %d frames at most", f->m->config.name, f->reel.length);
    int loop = (f->reel.length - 1) / f->m->time_stride * f->m->time_stride;
    if (!s && f->r.clip.loop && zm_reel_frames(&f->reel) > loop)
        s = zm_fail(err, ZM_E_USAGE, "a loop of this model has %d frames at most, not %lld", loop,
                    (long long)zm_reel_frames(&f->reel));
    if (!s && f->r.clip.last && zm_reel_windows(&f->reel) > 1)
        s = zm_fail(err, ZM_E_USAGE, "a last picture can be %d frames away at most, not %lld", f->reel.length,
                    (long long)zm_reel_frames(&f->reel));
    if (!s && f->r.mask.from && (f->r.mask.to < f->r.mask.from || f->r.mask.to > f->main_frames))
        s = zm_fail(err, ZM_E_USAGE, "the frames %lld-%lld are to be changed; %s has the frames 1-%lld",
                    (long long)f->r.mask.from, (long long)f->r.mask.to, f->r.change, (long long)f->main_frames);
    return s;
}

/* The request of one window: what every window's size and settings are. */
static zm_status settle_clip(zm_film *f, zm_error *err)
{
    static const zm_known some = {.n_head = 0};
    zm_request *c = &f->about.clip;
    bool blocks = f->reel.block > 0;
    bool given = f->r.before || f->r.after || f->r.change || (!blocks && zm_reel_windows(&f->reel) > 1);
    for (int i = 0; blocks && f->r.shot && i < f->r.n_shots; i++)
        given |= f->r.shot[i].picture != NULL;
    *c = f->r.clip;
    c->whole = !blocks;
    c->blocks = blocks;
    c->prompt = f->r.shot ? f->r.shot[0].prompt : c->prompt;
    c->frames = zm_reel_windows(&f->reel) == 1 && !given ? (int)zm_reel_frames(&f->reel) : f->reel.length;
    c->span = zm_reel_windows(&f->reel) == 1 && !given ? f->r.clip.span : f->reel.length;
    if (blocks)
        c->frames = c->span = 1 + (f->reel.block - 1) * f->m->time_stride;
    const zm_image *first = f->r.shot ? f->r.shot[0].picture : c->first;
    c->first = first;
    if (given && !first)
        c->known = &some;
    zm_status s = zm_request_resolve(c, f->m, err);
    for (int i = 1; !s && f->r.shot && i < f->r.n_shots; i++) {
        zm_request other = *c;
        other.prompt = f->r.shot[i].prompt;
        s = zm_request_resolve(&other, f->m, err);
    }
    return s;
}

zm_status zm_film_open(zm_film **out, zm_model *m, const zm_film_request *r, zm_error *err)
{
    *out = NULL;
    zm_status s = check_combination(r, err);
    if (s)
        return s;
    zm_film *f = calloc(1, sizeof *f);
    if (!f)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a film");
    f->m = m;
    f->r = *r;
    f->about.mode = &zm_modes[mode_of(r)];
    if (f->r.strength <= 0)
        f->r.strength = r->mask.picture || r->mask.from ? 1 : 0.6;
    s = zm_mode_check(f->about.mode->kind, m, err);
    if (!s)
        s = look_at_videos(f, err);
    if (!s)
        s = settle_reel(f, default_frames(f), err);
    if (!s)
        s = check_modes(f, err);
    if (!s)
        s = settle_clip(f, err);
    if (s) {
        zm_film_close(f);
        return s;
    }
    if (!f->about.exact) {
        f->about.width = f->about.clip.width;
        f->about.height = f->about.clip.height;
    }
    f->about.fps = f->about.clip.fps;
    f->about.made = f->r.clip.loop ? f->about.clip.frames : zm_reel_frames(&f->reel);
    f->shot[0].frames += f->r.clip.loop ? (int)(f->about.made - zm_reel_frames(&f->reel)) : 0;
    f->about.windows = zm_reel_windows(&f->reel);
    int each = f->reel.block * f->m->time_stride;
    f->about.stretch = each ? (STRETCH_FRAMES + each - 1) / each : 1;
    *out = f;
    return ZM_OK;
}

const zm_film_about *zm_film_about_of(const zm_film *f)
{
    return &f->about;
}

double zm_film_strength(const zm_film *f)
{
    return f->r.strength;
}

void zm_film_close(zm_film *f)
{
    if (!f)
        return;
    zm_film_run_release(f);
    free(f->shot);
    free(f);
}
