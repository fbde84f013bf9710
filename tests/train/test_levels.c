/* Noise levels of training clips: which frames share one, which are clean, and how often.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "train/dit_stage.h"

enum { FRAMES = 11, CLIPS = 3000 };

typedef struct count {
    int common, given, own, broken, blocks[FRAMES + 1];
} count;

static count draw(const zm_dit_stage_options *o, zm_rng *r)
{
    count n = {0};
    int block = o->level_frames > 1 ? o->level_frames : 1;
    for (int k = 0; k < CLIPS; k++) {
        float sigma[FRAMES];
        int given = zm_dit_stage_levels(o, r, sigma, FRAMES), changes = 0;
        for (int f = 0; f < FRAMES; f++) {
            bool same = f == 0 || sigma[f] == sigma[f - 1];
            n.broken += sigma[f] < 0 || sigma[f] > 1 || (f < given) != (sigma[f] == 0) || (f % block && !same);
            changes += f > given && !same;
        }
        n.broken += given % block || given >= FRAMES;
        n.blocks[given / block]++;
        if (given)
            n.given++, n.broken += changes > 0;
        else if (changes)
            n.own++, n.broken += changes != (FRAMES - 1) / block;
        else
            n.common++;
    }
    return n;
}

/* Within five standard deviations of a share of CLIPS. */
static bool about(int n, double share)
{
    return fabs(n - share * CLIPS) <= 5 * sqrt(share * (1 - share) * CLIPS);
}

/* What a training clip takes of a longer one: in order, the sink from the beginning, the rest in a row at a block's
 * beginning, every place that there is. */
static void test_cut(zm_rng *r)
{
    for (int k = 0; k < 200; k++) {
        zm_dit_causal c = {.block = 1 + (int)zm_rng_below(r, 4), .window = 3, .sink = (int)zm_rng_below(r, 3)};
        int frames = c.block * (1 + (int)zm_rng_below(r, 5)), cached = frames + (int)zm_rng_below(r, 20), from[64];
        int sink = c.sink * c.block < frames ? c.sink * c.block : frames, seen = 0, broken = 0;
        for (int i = 0; i < 400; i++) {
            zm_dit_stage_cut(&c, r, frames, cached, from);
            int skip = from[frames - 1] - (frames - 1);
            for (int f = 0; f < frames; f++)
                broken += from[f] != (f < sink ? f : f + skip);
            broken += skip % c.block != 0 || skip < 0 || from[frames - 1] >= cached;
            seen |= 1 << skip / c.block;
        }
        int places = sink < frames ? (cached - frames) / c.block + 1 : 1;
        if (broken || seen != (1 << places) - 1)
            tap_ok(0, "blocks of %d, sink of %d, %d of %d frames: %d broken, places %x", c.block, c.sink, frames,
                   cached, broken, (unsigned)seen);
        zm_dit_stage_cut(NULL, r, frames, cached, from);
        for (int f = 0; f < frames; f++)
            broken += from[f] != f;
        if (broken)
            tap_ok(0, "a clip that looks both ways is the beginning");
    }
    tap_ok(1, "clips cut for films");
}

int main(void)
{
    zm_rng r = zm_rng_init((uint64_t)time(NULL) * 1000003u ^ (uint64_t)getpid(), 3);
    printf("# seed %" PRIu64 "\n", r.seed);
    zm_dit_stage_options o = {.common = 0.3, .given = 0.3, .times = {.shift = 1.5}};
    static const int blocks[] = {0, 1, 3, 4, 11, 20};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        o.level_frames = blocks[i];
        count n = draw(&o, &r);
        bool one = blocks[i] >= FRAMES; /* of one block nothing else can be given or differ */
        tap_ok(!n.broken, "blocks of %d: %d clips break the law", blocks[i], n.broken);
        tap_ok(one ? n.common == CLIPS : about(n.common, 0.3) && about(n.given, 0.3) && about(n.own, 0.4),
               "blocks of %d: %d with one level, %d given, %d with levels of their own", blocks[i], n.common, n.given,
               n.own);
        int most = blocks[i] ? (FRAMES - 1) / blocks[i] : 2;
        for (int k = 1; !one && k <= most; k++)
            tap_ok(about(n.blocks[k], 0.3 / most), "blocks of %d: %d clips have %d clean", blocks[i], n.blocks[k], k);
    }
    test_cut(&r);
    return tap_done();
}
