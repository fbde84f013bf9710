/* Choosing a clip's colours from a histogram, and ordered dither to them.
 * SPDX-License-Identifier: MIT */
#include "media/palette.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The histogram has 2^5 cells a side; a cell keeps the sums of its colours, so that its mean is exact. */
enum { CELL_BITS = 5, CELLS = 1 << (3 * CELL_BITS), NEAR_BITS = 6, NEARS = 1 << (3 * NEAR_BITS), LLOYD_ROUNDS = 4 };

typedef struct {
    uint64_t n, sum[3];
} cell;

/* A run of `order` with its error. */
typedef struct {
    int first, count, axis; /* axis: the one with the largest error */
    double error;           /* n * variance along that axis */
} box;

struct zm_palette {
    cell cells[CELLS];
    int order[CELLS], used; /* cells that hold pixels */
    int colours, spread;    /* spread: amplitude of the dither in levels */
    uint8_t colour[256][3];
    int16_t nearest[NEARS]; /* cache by the top 6 bits of each channel; -1 = not asked yet */
};

zm_palette *zm_palette_new(void)
{
    return calloc(1, sizeof(zm_palette));
}

void zm_palette_free(zm_palette *p)
{
    free(p);
}

void zm_palette_count(zm_palette *p, const zm_frame *f)
{
    size_t n = (size_t)f->width * (size_t)f->height;
    enum { DROP = 8 - CELL_BITS };
    for (const uint8_t *c = f->rgb, *end = c + n * 3; c < end; c += 3) {
        cell *at = &p->cells[(c[0] >> DROP) << (2 * CELL_BITS) | (c[1] >> DROP) << CELL_BITS | c[2] >> DROP];
        at->n++;
        at->sum[0] += c[0];
        at->sum[1] += c[1];
        at->sum[2] += c[2];
    }
}

static double mean(const cell *c, int axis)
{
    return (double)c->sum[axis] / (double)c->n;
}

static void measure(const zm_palette *p, box *b)
{
    b->error = -1;
    for (int axis = 0; axis < 3; axis++) {
        double n = 0, s = 0, ss = 0;
        for (int i = 0; i < b->count; i++) {
            const cell *c = &p->cells[p->order[b->first + i]];
            double m = mean(c, axis);
            n += (double)c->n;
            s += m * (double)c->n;
            ss += m * m * (double)c->n;
        }
        double error = ss - s * s / n;
        if (error > b->error) {
            b->error = error;
            b->axis = axis;
        }
    }
    if (b->count < 2)
        b->error = -1;
}

/* Order a box along its axis.  Insertion into buckets: an axis has only 2^5 distinct cell positions. */
static void sort_box(zm_palette *p, const box *b, int *scratch)
{
    int start[(1 << CELL_BITS) + 1] = {0}, shift = (2 - b->axis) * CELL_BITS, mask = (1 << CELL_BITS) - 1;
    int *run = p->order + b->first;
    for (int i = 0; i < b->count; i++)
        start[(run[i] >> shift & mask) + 1]++;
    for (int i = 0; i < 1 << CELL_BITS; i++)
        start[i + 1] += start[i];
    for (int i = 0; i < b->count; i++)
        scratch[start[run[i] >> shift & mask]++] = run[i];
    memcpy(run, scratch, (size_t)b->count * sizeof *run);
}

/* Cut where the two halves' means explain most of the error. */
static int best_cut(const zm_palette *p, const box *b)
{
    double n = 0, s = 0, left_n = 0, left_s = 0, best = -1;
    int cut = 1;
    for (int i = 0; i < b->count; i++) {
        const cell *c = &p->cells[p->order[b->first + i]];
        n += (double)c->n;
        s += (double)c->sum[b->axis];
    }
    for (int i = 0; i + 1 < b->count; i++) {
        const cell *c = &p->cells[p->order[b->first + i]];
        left_n += (double)c->n;
        left_s += (double)c->sum[b->axis];
        double right_n = n - left_n, right_s = s - left_s;
        double gain = left_s * left_s / left_n + right_s * right_s / right_n;
        if (gain > best) {
            best = gain;
            cut = i + 1;
        }
    }
    return cut;
}

static void box_mean(zm_palette *p, const box *b, int i)
{
    uint64_t n = 0, sum[3] = {0};
    for (int k = 0; k < b->count; k++) {
        const cell *c = &p->cells[p->order[b->first + k]];
        n += c->n;
        for (int axis = 0; axis < 3; axis++)
            sum[axis] += c->sum[axis];
    }
    for (int axis = 0; n && axis < 3; axis++) /* no box is empty */
        p->colour[i][axis] = (uint8_t)((sum[axis] + n / 2) / n);
}

static int distance(const uint8_t *a, int r, int g, int b)
{
    int dr = a[0] - r, dg = a[1] - g, db = a[2] - b;
    return 2 * dr * dr + 4 * dg * dg + 3 * db * db; /* about how much each channel is seen */
}

static int find_nearest(const zm_palette *p, int r, int g, int b)
{
    int best = 0, least = distance(p->colour[0], r, g, b);
    for (int i = 1; i < p->colours; i++) {
        int d = distance(p->colour[i], r, g, b);
        if (d < least) {
            least = d;
            best = i;
        }
    }
    return best;
}

/* Move each colour to the mean of the cells nearest to it. */
static void lloyd(zm_palette *p)
{
    cell got[256];
    for (int round = 0; round < LLOYD_ROUNDS; round++) {
        memset(got, 0, sizeof got);
        for (int i = 0; i < p->used; i++) {
            const cell *c = &p->cells[p->order[i]];
            cell *to = &got[find_nearest(p, (int)(mean(c, 0) + 0.5), (int)(mean(c, 1) + 0.5), (int)(mean(c, 2) + 0.5))];
            to->n += c->n;
            for (int axis = 0; axis < 3; axis++)
                to->sum[axis] += c->sum[axis];
        }
        for (int i = 0; i < p->colours; i++)
            for (int axis = 0; got[i].n && axis < 3; axis++)
                p->colour[i][axis] = (uint8_t)((got[i].sum[axis] + got[i].n / 2) / got[i].n);
    }
}

/* Half the mean step of one channel from a colour to its nearest neighbour: enough to mix the two, not to be noise. */
static int dither_spread(const zm_palette *p)
{
    double sum = 0;
    for (int i = 0; i < p->colours; i++) {
        int least = 3 * 255;
        for (int k = 0; k < p->colours; k++) {
            int d = 0;
            for (int axis = 0; axis < 3; axis++)
                d += abs(p->colour[i][axis] - p->colour[k][axis]);
            if (k != i && d < least)
                least = d;
        }
        sum += least;
    }
    int spread = (int)(sum / p->colours / 6 + 0.5);
    return spread > 24 ? 24 : spread;
}

int zm_palette_choose(zm_palette *p, int colours)
{
    static const uint8_t black[2][3] = {{0, 0, 0}, {255, 255, 255}};
    box boxes[256];
    int *scratch = malloc(sizeof p->order), n = 1;
    p->used = 0;
    for (int i = 0; i < CELLS; i++)
        if (p->cells[i].n)
            p->order[p->used++] = i;
    memset(p->nearest, -1, sizeof p->nearest);
    boxes[0] = (box){.first = 0, .count = p->used};
    if (!p->used || !scratch) { /* nothing counted, or no memory for better */
        memcpy(p->colour, black, sizeof black);
        free(scratch);
        p->spread = 0;
        return p->colours = 2;
    }
    measure(p, &boxes[0]);
    for (; n < colours; n++) {
        int worst = 0;
        for (int i = 1; i < n; i++)
            if (boxes[i].error > boxes[worst].error)
                worst = i;
        if (boxes[worst].error <= 0)
            break;
        sort_box(p, &boxes[worst], scratch);
        int cut = best_cut(p, &boxes[worst]);
        boxes[n] = (box){.first = boxes[worst].first + cut, .count = boxes[worst].count - cut};
        boxes[worst].count = cut;
        measure(p, &boxes[worst]);
        measure(p, &boxes[n]);
    }
    free(scratch);
    p->colours = n;
    for (int i = 0; i < n; i++)
        box_mean(p, &boxes[i], i);
    bool exact = n == p->used && n < colours; /* few flat colours: nothing to refine, and dither would be noise */
    if (!exact)
        lloyd(p);
    p->spread = exact ? 0 : dither_spread(p);
    return n;
}

uint32_t zm_palette_colour(const zm_palette *p, int i)
{
    return (uint32_t)p->colour[i][0] << 16 | (uint32_t)p->colour[i][1] << 8 | p->colour[i][2];
}

/* Bayer 1973: threshold of (x, y) in 0..63, by interleaving the bits of x^y and y. */
static int bayer(int x, int y)
{
    int v = 0;
    for (int bit = 0; bit < 3; bit++)
        v |= ((x ^ y) >> bit & 1) << (5 - 2 * bit) | (y >> bit & 1) << (4 - 2 * bit);
    return v;
}

static int clamp255(int v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

void zm_palette_map(zm_palette *p, uint8_t *out, int stride, const zm_frame *f)
{
    enum { DROP = 8 - NEAR_BITS };
    const uint8_t *c = f->rgb;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++, c += 3) {
            int shift = ((2 * bayer(x, y) - 63) * p->spread) / 64;
            int r = clamp255(c[0] + shift), g = clamp255(c[1] + shift), b = clamp255(c[2] + shift);
            int16_t *at = &p->nearest[(r >> DROP) << (2 * NEAR_BITS) | (g >> DROP) << NEAR_BITS | b >> DROP];
            if (*at < 0) { /* asked with the middle of the cell, so that the answer does not depend on the order */
                enum { MIDDLE = 1 << (DROP - 1) };
                *at = (int16_t)find_nearest(p, (r & ~(2 * MIDDLE - 1)) + MIDDLE, (g & ~(2 * MIDDLE - 1)) + MIDDLE,
                                            (b & ~(2 * MIDDLE - 1)) + MIDDLE);
            }
            out[(size_t)y * (size_t)stride + (size_t)x] = (uint8_t)*at;
        }
}
