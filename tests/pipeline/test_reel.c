/* Films as windows: every frame is shown once and in order, nothing is given that is not there, whatever the shots.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>

#include "base/rng.h"
#include "pipeline/reel.h"

enum { SHOTS = 5 };

static int pick(zm_rng *g, int from, int to)
{
    return from + (int)zm_rng_below(g, (uint32_t)(to - from + 1));
}

/* Walk a settled reel: NULL, or what is wrong with it. */
static const char *wrong(const zm_reel *r)
{
    static int64_t shown[SHOTS];
    zm_window w;
    int n = 0;
    int64_t start[SHOTS + 1] = {0}, next = zm_reel_frames(r);
    for (int i = 0; i < r->n_shots; i++) {
        start[i + 1] = start[i] + r->shot[i].frames;
        shown[i] = start[i];
    }
    for (; zm_reel_window(&w, r, n); n++) {
        int64_t there = w.first + (r->shot[w.shot].transition == ZM_CONTINUE ? r->before : -start[w.shot]);
        if (w.show < 1 || w.skip < 0 || w.skip + w.show > r->length)
            return "a window shows frames that it has not";
        if (r->backward) {
            next -= w.show;
            if (w.first != next || w.tail != r->tail || w.skip + w.show != r->length - r->tail)
                return "a window from the end is not where it should be";
            continue;
        }
        if (w.first != shown[w.shot])
            return "a frame is left out or shown twice";
        shown[w.shot] += w.show;
        if (w.picture ? w.head != 1 || w.skip : w.skip != w.head)
            return "given frames are shown";
        if (w.head && (w.head - 1) % r->stride)
            return "a head is not whole latent frames";
        if (!w.picture && w.head > there)
            return "frames are given that are not there";
        if (w.tail && (w.tail != r->tail || w.skip + w.show + w.tail != r->length))
            return "a tail is not at the end";
    }
    if (n != zm_reel_windows(r))
        return "the number of windows is another";
    if (r->backward)
        return next ? "the beginning is missing" : NULL;
    for (int i = 0; i < r->n_shots; i++)
        if (shown[i] != start[i + 1] + (i + 1 < r->n_shots ? r->shot[i + 1].dissolve : 0))
            return "a shot ends early or late";
    return NULL;
}

static void test_random(void)
{
    zm_rng g = zm_rng_init(5, 1);
    zm_error err = {0};
    int bad = 0, settled = 0, refused = 0;
    const char *why = NULL;
    for (int k = 0; k < 20000 && !bad; k++) {
        zm_reel_shot shot[SHOTS] = {0};
        zm_reel r = {.shot = shot, .stride = pick(&g, 1, 5)};
        r.length = 1 + r.stride * pick(&g, 2, 12);
        r.head = k % 7 ? 1 + r.stride * pick(&g, 0, (r.length - 1) / r.stride / 2) : 0;
        int kind = pick(&g, 0, 3);
        r.n_shots = kind == 0 ? pick(&g, 1, SHOTS) : 1;
        r.before = kind == 2 || (kind == 0 && pick(&g, 0, 1)) ? pick(&g, 1, r.length) : 0;
        r.tail = kind >= 2 ? r.stride * pick(&g, 1, 2) : 0;
        r.backward = kind == 3;
        for (int i = 0; i < r.n_shots; i++) {
            shot[i].frames = pick(&g, 1, k % 3 ? 40 : 300);
            shot[i].transition = i ? (zm_transition)pick(&g, 0, 2) : ZM_CONTINUE;
            shot[i].picture = kind < 2 && !r.before && pick(&g, 0, 5) == 0;
            if (shot[i].transition == ZM_DISSOLVE)
                shot[i].dissolve = pick(&g, 1, shot[i].frames);
        }
        if (zm_reel_settle(&r, &err)) {
            refused++;
            bad += !*err.text;
            zm_error_clear(&err);
            continue;
        }
        settled++;
        why = wrong(&r);
        bad += why != NULL;
        if (why)
            printf("# length %d stride %d head %d tail %d before %d backward %d shots %d frames %d\n", r.length,
                   r.stride, r.head, r.tail, r.before, r.backward, r.n_shots, shot[0].frames);
    }
    tap_ok(!bad && settled > 5000, "%d random reels are whole, %d refused %s", settled, refused, why ? why : "");
}

/* Walk a settled reel of blocks beside a plain count of latent frames: NULL, or what is wrong with it. */
static const char *wrong_blocks(const zm_reel *r)
{
    zm_window w;
    int64_t latent = 0, shown[SHOTS], start[SHOTS + 1] = {0};
    int n = 0;
    bool onward = false;
    for (int i = 0; i < r->n_shots; i++) {
        start[i + 1] = start[i] + r->shot[i].frames;
        shown[i] = start[i];
    }
    for (; zm_reel_window(&w, r, n); n++) {
        const zm_reel_shot *s = &r->shot[w.shot];
        bool alone = shown[w.shot] == start[w.shot] && !s->picture && s->transition == ZM_CONTINUE && w.shot > 0;
        int64_t before = shown[w.shot];
        if (alone) /* a shot that continues begins where the one before it ended */
            before = start[w.shot];
        if (w.first != before || w.show < 1)
            return "a frame is left out or shown twice";
        if ((w.at > 0) != onward)
            return "a window goes on after one that said it was the last, or does not after one that said more would come";
        if (w.at        ? w.at != latent || w.head || w.skip || w.picture
            : w.picture ? w.head != 1 || w.skip
                        : w.skip != w.head)
            return "a window goes on after other latent frames than there are";
        if (!w.at)
            latent = 0;
        int given = w.head ? 1 + (w.head - 1) / r->stride : 0;
        int64_t to = w.at ? latent + r->block : (given / r->block + 1) * r->block;
        int64_t gives = w.at ? r->block * r->stride : 1 + (to - 1) * r->stride;
        if (w.skip + w.show > gives || gives > r->length)
            return "a window shows frames that it has not";
        latent = to;
        shown[w.shot] = w.first + w.show;
        onward = w.onward;
        int64_t end = start[w.shot + 1] + (w.shot + 1 < r->n_shots ? r->shot[w.shot + 1].dissolve : 0);
        if (w.skip + w.show < gives && (onward || shown[w.shot] < end))
            return "a block that another one follows is not shown whole";
        if (w.shot + 1 < r->n_shots && r->shot[w.shot + 1].transition == ZM_CONTINUE && !r->shot[w.shot + 1].picture &&
            !onward)
            return "a shot that is continued is told to be the last";
    }
    if (n != zm_reel_windows(r))
        return "the number of windows is another";
    for (int i = 0; i < r->n_shots; i++)
        if (shown[i] != start[i + 1] + (i + 1 < r->n_shots ? r->shot[i + 1].dissolve : 0))
            return "a shot ends early or late";
    return onward ? "more is to come after the last window" : NULL;
}

static void test_blocks(void)
{
    zm_rng g = zm_rng_init(6, 1);
    zm_error err = {0};
    int bad = 0, settled = 0, refused = 0;
    const char *why = NULL;
    for (int k = 0; k < 20000 && !bad; k++) {
        zm_reel_shot shot[SHOTS] = {0};
        zm_reel r = {.shot = shot, .stride = pick(&g, 1, 5), .block = pick(&g, 1, 4), .n_shots = pick(&g, 1, SHOTS)};
        int seen = r.block * pick(&g, 1, 5);
        r.head = 1 + r.stride * (seen - 1);
        r.length = 1 + (seen + r.block - 1) * r.stride;
        r.before = pick(&g, 0, 1) ? pick(&g, 1, r.head) : 0;
        int64_t asked = 0;
        for (int i = 0; i < r.n_shots; i++) {
            shot[i].frames = pick(&g, 1, k % 3 ? 60 : 300);
            shot[i].transition = i ? (zm_transition)pick(&g, 0, 2) : ZM_CONTINUE;
            shot[i].picture = (i || !r.before) && pick(&g, 0, 5) == 0;
            asked += shot[i].frames;
            if (shot[i].transition == ZM_DISSOLVE)
                shot[i].dissolve = pick(&g, 1, shot[i].frames);
        }
        if (zm_reel_settle(&r, &err)) {
            refused++;
            bad += !*err.text;
            zm_error_clear(&err);
            continue;
        }
        settled++;
        why = zm_reel_frames(&r) == asked ? wrong_blocks(&r) : "the film has another length";
        bad += why != NULL;
        if (why)
            printf("# stride %d block %d head %d before %d shots %d frames %d\n", r.stride, r.block, r.head, r.before,
                   r.n_shots, shot[0].frames);
    }
    tap_ok(!bad && settled > 5000, "%d random reels of blocks are whole, %d refused %s", settled, refused,
           why ? why : "");
    zm_reel_shot two[2] = {{.frames = 30}, {.frames = 1}};
    zm_reel r = {.shot = two, .n_shots = 2, .stride = 4, .block = 2, .head = 9, .length = 13};
    tap_ok(zm_reel_settle(&r, &err) == ZM_E_USAGE && strstr(err.text, "too short"), "%s", err.text);
    two[1].frames = 100;
    zm_window w;
    tap_ok(!zm_reel_settle(&r, &err) && two[0].frames == 37 && zm_reel_window(&w, &r, 5) && w.shot == 1 && w.at == 10,
           "a prompt changes with a block: after %d frames", two[0].frames);
}

static void test_one(void)
{
    zm_error err = {0};
    zm_window w;
    zm_reel_shot shot = {.frames = 17};
    zm_reel r = {.shot = &shot, .n_shots = 1, .stride = 4, .length = 17, .head = 5};
    tap_ok(!zm_reel_settle(&r, &err) && zm_reel_windows(&r) == 1 && r.length == 17, "a clip is one window");
    shot.frames = 480;
    tap_ok(!zm_reel_settle(&r, &err) && zm_reel_windows(&r) == 40, "a minute at 8 a second is 40 windows");
    tap_ok(zm_reel_window(&w, &r, 39) && w.first == 473 && w.show == 7 && w.head == 5, "the last one shows the rest");
    shot.frames = ZM_REEL_FRAMES_MAX + 1;
    tap_ok(zm_reel_settle(&r, &err) == ZM_E_USAGE && strstr(err.text, "216001"), "%s", err.text);
    zm_error_clear(&err);
    shot.frames = 33;
    r.head = 0;
    tap_ok(zm_reel_settle(&r, &err) == ZM_E_USAGE && strstr(err.text, "never learnt"), "%s", err.text);
}

int main(void)
{
    test_one();
    test_random();
    test_blocks();
    return tap_done();
}
