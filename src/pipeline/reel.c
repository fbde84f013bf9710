/* Films as windows: plain arithmetic.
 * SPDX-License-Identifier: MIT */
#include "pipeline/reel.h"

static int min_int(int64_t a, int64_t b)
{
    return (int)(a < b ? a : b);
}

/* The largest 1 + T k up to n; 0 for none. */
static int head_within(const zm_reel *r, int n)
{
    return n < 1 ? 0 : 1 + (n - 1) / r->stride * r->stride;
}

static int64_t shot_start(const zm_reel *r, int shot)
{
    int64_t at = 0;
    for (int i = 0; i < shot; i++)
        at += r->shot[i].frames;
    return at;
}

/* Frames that windows of a shot show: its own, and those over which the next one appears. */
static int shot_shows(const zm_reel *r, int shot)
{
    return r->shot[shot].frames + (shot + 1 < r->n_shots ? r->shot[shot + 1].dissolve : 0);
}

static bool continues(const zm_reel *r, int shot)
{
    return r->shot[shot].transition == ZM_CONTINUE && (shot || r->before) && !r->shot[shot].picture;
}

/* What the first window of a shot is given. */
static int first_head(const zm_reel *r, int shot)
{
    if (r->shot[shot].picture)
        return 1;
    int64_t before = shot ? shot_start(r, shot) : r->before;
    return continues(r, shot) ? head_within(r, min_int(before, r->head)) : 0;
}

static bool leads(const zm_reel *r, int shot)
{
    return r->tail && !r->backward && shot == r->n_shots - 1;
}

/* ---- blocks ---- */

/* The first shot of the take that a shot belongs to. */
static int take_of(const zm_reel *r, int shot)
{
    while (shot && continues(r, shot))
        shot--;
    return shot;
}

/* Frames of a take's first window: whole blocks up to the first one that is not all given. */
static int opening(const zm_reel *r, int take)
{
    int head = first_head(r, take), given = head ? 1 + (head - 1) / r->stride : 0;
    return 1 + r->stride * ((given / r->block + 1) * r->block - 1);
}

/* What is shown of a take by its first n > 0 windows. */
static int64_t shown_by(const zm_reel *r, int take, int64_t n)
{
    int given = r->shot[take].picture ? 0 : first_head(r, take);
    return opening(r, take) - given + (n - 1) * r->stride * r->block;
}

/* Windows of a take until `frames` of it are shown. */
static int64_t windows_until(const zm_reel *r, int take, int64_t frames)
{
    int64_t left = frames - shown_by(r, take, 1), each = (int64_t)r->stride * r->block;
    return left > 0 ? 1 + (left + each - 1) / each : 1;
}

/* Windows of a take before a shot of it begins, and when it ends. */
static int64_t windows_to(const zm_reel *r, int take, int shot, bool end)
{
    int64_t frames = shot_start(r, shot) - shot_start(r, take) + (end ? shot_shows(r, shot) : 0);
    return frames ? windows_until(r, take, frames) : 0;
}

static bool block_window(zm_window *w, const zm_reel *r, int shot, int done)
{
    int take = take_of(r, shot);
    int64_t k = windows_to(r, take, shot, false) + done, before = k ? shown_by(r, take, k) : 0;
    int64_t end = shot_start(r, shot) - shot_start(r, take) + shot_shows(r, shot), left = end - before;
    bool more = shot + 1 < r->n_shots && continues(r, shot + 1);
    *w = (zm_window){.shot = shot, .first = shot_start(r, take) + before};
    if (!k) {
        w->picture = r->shot[take].picture;
        w->head = first_head(r, take);
        w->skip = w->picture ? 0 : w->head;
    } else {
        w->at = ((int64_t)opening(r, take) - 1) / r->stride + 1 + (k - 1) * r->block;
    }
    w->show = min_int(shown_by(r, take, k + 1) - before, min_int(left, INT32_MAX));
    w->onward = more || left > w->show;
    return left > 0;
}

/* R5: a shot that continues begins with a block, the first one that begins no earlier than it was asked to. */
static zm_status move_to_blocks(zm_reel *r, zm_error *err)
{
    for (int i = 1; i < r->n_shots; i++) {
        if (!continues(r, i))
            continue;
        int take = take_of(r, i);
        int64_t start = shot_start(r, take), asked = shot_start(r, i) - start;
        int64_t moved = shown_by(r, take, windows_until(r, take, asked));
        int by = (int)(moved - asked);
        r->shot[i - 1].frames += by;
        r->shot[i].frames -= by;
        if (r->shot[i].frames < 1)
            return zm_fail(
                err, ZM_E_USAGE,
                "shot %d is too short to continue the one before: this model makes %d frames together, under "
                "one prompt",
                i + 1, r->stride * r->block);
    }
    return ZM_OK;
}

/* ---- windows that overlap ---- */

/* Window number k of a shot; false: it has fewer. */
static bool shot_window(zm_window *w, const zm_reel *r, int shot, int k)
{
    int head = first_head(r, shot), shown = 0, left = shot_shows(r, shot);
    *w = (zm_window){.shot = shot, .head = head, .picture = r->shot[shot].picture};
    w->skip = w->picture ? 0 : head;
    for (int i = 0;; i++) {
        int room = r->length - w->skip, show = min_int(room, left);
        if (leads(r, shot)) {
            int bridge = r->length - (r->head > 1 ? r->head : 1) - r->tail; /* what the last window makes at most */
            bool last = left <= bridge && left <= room - r->tail;
            int rest = left - bridge > r->stride ? left - bridge : r->stride;
            show = last ? left : min_int(room, rest);
            w->tail = last ? r->tail : 0;
            if (last) /* it begins as early as it can end on the tail */
                w->head = w->skip = r->length - r->tail - left;
        }
        w->show = show;
        w->first = shot_start(r, shot) + shown;
        if (i == k)
            return true;
        shown += show;
        left -= show;
        if (left <= 0)
            return false;
        w->picture = false;
        w->head = w->skip =
            head_within(r, min_int(r->head, shown + (continues(r, shot) ? shot_start(r, shot) + r->before : 0)));
    }
}

/* As many as there are, without walking where the walk is regular. */
static int shot_windows(const zm_reel *r, int shot)
{
    zm_window w;
    int n = 1;
    if (r->block) {
        int take = take_of(r, shot);
        return (int)(windows_to(r, take, shot, true) - windows_to(r, take, shot, false));
    }
    if (leads(r, shot)) {
        while (shot_window(&w, r, shot, n))
            n++;
        return n;
    }
    if (!shot_window(&w, r, shot, 0) || w.show >= shot_shows(r, shot))
        return 1;
    int left = shot_shows(r, shot) - w.show, each = r->length - r->head;
    return 1 + (left + each - 1) / each;
}

static bool backward_window(zm_window *w, const zm_reel *r, int done)
{
    int64_t each = r->length - r->tail, left = r->shot[0].frames - done * each;
    if (left <= 0)
        return false;
    int show = min_int(each, left);
    *w = (zm_window){.tail = r->tail, .skip = (int)each - show, .show = show, .first = left - show};
    return true;
}

int64_t zm_reel_frames(const zm_reel *r)
{
    return shot_start(r, r->n_shots);
}

int zm_reel_windows(const zm_reel *r)
{
    int n = 0, each = r->length - r->tail;
    if (r->backward)
        return (r->shot[0].frames + each - 1) / each;
    for (int i = 0; i < r->n_shots; i++)
        n += shot_windows(r, i);
    return n;
}

bool zm_reel_window(zm_window *out, const zm_reel *r, int done)
{
    if (r->backward)
        return backward_window(out, r, done);
    for (int i = 0, n; i < r->n_shots; i++, done -= n)
        if (done < (n = shot_windows(r, i))) {
            if (r->block)
                return block_window(out, r, i, done);
            if (leads(r, i) || done < 2)
                return shot_window(out, r, i, done);
            /* From its second window on a shot goes on evenly. */
            shot_window(out, r, i, 1);
            int each = r->length - r->head, after = shot_shows(r, i) - (int)(out->first - shot_start(r, i));
            out->first += (int64_t)(done - 1) * each;
            out->show = min_int(each, after - (int64_t)(done - 1) * each);
            return true;
        }
    return false;
}

/* ---- settling ---- */

static zm_status check(const zm_reel *r, zm_error *err)
{
    int64_t all = 0;
    for (int i = 0; i < r->n_shots; i++) {
        const zm_reel_shot *s = &r->shot[i];
        if (s->frames < 1)
            return zm_fail(err, ZM_E_USAGE, "shot %d has no frames", i + 1);
        all += s->frames;
        if (s->dissolve < 0 || s->dissolve > s->frames || (i && s->dissolve && s->dissolve > r->shot[i - 1].frames))
            return zm_fail(err, ZM_E_USAGE, "shot %d dissolves over %d frames, more than it or the one before it has",
                           i + 1, s->dissolve);
        if (continues(r, i) && !r->head && !r->block)
            return zm_fail(err, ZM_E_USAGE, "shot %d continues the one before, which this model never learnt", i + 1);
    }
    if (all > ZM_REEL_FRAMES_MAX)
        return zm_fail(err, ZM_E_USAGE, "%lld frames are too many; %d, an hour at 60 a second, are possible",
                       (long long)all, ZM_REEL_FRAMES_MAX);
    return ZM_OK;
}

zm_status zm_reel_settle(zm_reel *r, zm_error *err)
{
    zm_status s = check(r, err);
    if (s)
        return s;
    if (r->block) {
        ZM_ASSERT(r->n_shots > 0 && r->stride > 0 && r->block > 0 && !r->tail && !r->backward);
        s = move_to_blocks(r, err);
        return s ? s : check(r, err);
    }
    ZM_ASSERT(r->n_shots > 0 && r->stride > 0 && r->length % r->stride == 1 % r->stride && r->head < r->length);
    if (r->tail && r->tail + (r->backward || r->head < 1 ? 1 : r->head) + (r->backward ? 0 : r->stride) > r->length)
        return zm_fail(err, ZM_E_USAGE, "windows of %d frames are too short to lead from %d frames to %d", r->length,
                       r->head, r->tail);
    if (leads(r, r->n_shots - 1)) {
        int *last = &r->shot[r->n_shots - 1].frames;
        *last = (*last + r->stride - 1) / r->stride * r->stride;
        int head = head_within(r, r->before);
        if (r->before + *last + r->tail < r->length) { /* not longer than what stands before it allows */
            r->length = head + *last + r->tail;
            r->head = head < r->head ? head : r->head;
        }
    }
    if (zm_reel_windows(r) == 1 && r->n_shots == 1 && !r->tail && !r->before) {
        int need = r->shot[0].frames;
        r->length = 1 + (need - 1 + r->stride - 1) / r->stride * r->stride;
    }
    if (!r->head && zm_reel_windows(r) > r->n_shots)
        return zm_fail(err, ZM_E_USAGE,
                       "this model makes clips of %d frames at most: it never learnt to go on from given ones",
                       r->length);
    return ZM_OK;
}
