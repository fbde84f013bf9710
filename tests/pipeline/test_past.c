/* The ring of a film's blocks: for every sink and window it keeps what the block-causal mask shows, in places without a
 * gap; what is put into it is found there again.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "pipeline/past.h"

enum { FILM = 40 };

/* What zm_block_causal says of block i. */
static bool seen(int j, int i, int window, int sink)
{
    return j < i && (j > i - window || j < sink);
}

/* Walk a film with a plain list of what lies where: NULL, or what is wrong. */
static const char *wrong(zm_past_ring r, int window, int sink)
{
    int held[FILM + 1];
    for (int i = 0; i < FILM; i++, r.made++) {
        int filled = zm_past_filled(&r), visible = 0, last = -1;
        if (filled > r.slots)
            return "more is kept than there are slots";
        for (int j = 0; j < i; j++)
            visible += seen(j, i, window, sink);
        if (visible != filled)
            return "another number of blocks is seen";
        for (int place = 0; place < filled; place++) {
            int at = -1;
            for (int slot = 0; slot < filled; slot++)
                at = zm_past_place(&r, slot) == place ? slot : at;
            if (at < 0)
                return "a place is empty";
            if (!seen(held[at], i, window, sink))
                return "a block is kept that is not seen";
            if (held[at] <= last)
                return "blocks stand in another order than they were made in";
            last = held[at];
        }
        int slot = zm_past_slot(&r);
        if (slot >= r.slots)
            return "a slot that is not there";
        if (slot >= 0)
            held[slot] = i;
    }
    return NULL;
}

static void test_ring(void)
{
    int bad = 0;
    for (int window = 1; window < 7; window++)
        for (int sink = 0; sink < 5; sink++) {
            zm_past_ring r = zm_past_ring_of(&(zm_dit_causal){.block = 3, .window = window, .sink = sink}, 99);
            const char *why = wrong(r, window, sink);
            if (why)
                tap_ok(0, "window %d, sink %d: %s", window, sink, why);
            bad += why != NULL;
        }
    tap_ok(!bad, "rings of every kind keep what the mask shows");
    zm_past_ring r = zm_past_ring_of(&(zm_dit_causal){.block = 2}, 5);
    tap_equal_i64(r.slots, 2, "a window without an end is as long as the network's own clips");
}

static void test_values(zm_rng *rng)
{
    enum { TOKENS = 5, WIDTH = 6, LAYERS = 2, EACH = TOKENS * WIDTH };
    zm_dit_config c = {.num_layers = LAYERS, .dim = WIDTH};
    zm_past_ring ring = zm_past_ring_of(&(zm_dit_causal){.block = 1, .window = 3, .sink = 1}, 1);
    zm_error err = {0};
    for (int batch = 1; batch <= 2; batch++) {
        zm_past *p;
        float truth[FILM][2][LAYERS][2][EACH], put[2 * EACH];
        int worst = 0;
        if (!tap_ok(!zm_past_new(&p, &c, &ring, TOKENS, 2, batch, &err), "a past of two branches %s", err.text))
            return;
        tap_equal_i64((int64_t)zm_past_bytes(&c, &ring, TOKENS), ring.slots * EACH * LAYERS * 2 * 4,
                      "bytes of a branch");
        for (int i = 0; i < FILM; i++) {
            zm_rng_normals(rng, &truth[i][0][0][0][0], sizeof truth[i] / sizeof(float));
            for (int first = 0; first < 2; first += batch)
                for (int l = 0; l < LAYERS; l++)
                    for (int v = 0; v < 2; v++) {
                        for (int b = 0; b < batch; b++)
                            memcpy(put + b * EACH, truth[i][first + b][l][v], sizeof truth[i][first + b][l][v]);
                        zm_past_put(p, first, l, v, put);
                    }
            zm_past_made(p);
            for (int slot = 0; slot < zm_past_filled(&p->ring); slot++) {
                int place = zm_past_place(&p->ring, slot), behind = zm_past_filled(&p->ring) - place;
                int block = place < ring.sink ? place : i + 1 - behind;
                for (int branch = 0; branch < 2; branch++)
                    for (int k = 0; k < LAYERS * 2; k++) {
                        const float *all = zm_past_layer(p, branch / batch * batch, k / 2, k % 2);
                        worst += memcmp(all + (branch % batch * ring.slots + slot) * EACH,
                                        truth[block][branch][k / 2][k % 2], EACH * sizeof(float)) != 0;
                    }
            }
        }
        tap_ok(!worst, "%d branch%s a run: keys and values are where they were put", batch, batch == 1 ? "" : "es");
        zm_past_clear(p);
        tap_equal_i64(zm_past_filled(&p->ring), 0, "nothing is seen after a cut");
        zm_past_free(p);
    }
    ring = zm_past_ring_of(&(zm_dit_causal){.block = 1, .window = 1}, 1);
    zm_past *none;
    tap_ok(!zm_past_new(&none, &c, &ring, TOKENS, 1, 1, &err) && zm_past_slot(&none->ring) < 0,
           "a block that sees itself alone needs none %s", err.text);
    zm_past_free(none);
}

int main(void)
{
    const char *given = getenv("ZM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    zm_rng rng = zm_rng_init(seed, 43);
    printf("# ZM_TEST_SEED=%llu\n", (unsigned long long)seed);
    test_ring();
    test_values(&rng);
    return tap_done();
}
