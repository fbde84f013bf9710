/* Products on bytes: splitting among threads, blocking for the caches.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/int8.h"

#include "backend/cpu/simd.h"

enum {
    BLOCK_BYTES = 256 << 10, /* of A, that stay in the second-level cache of a core while panels pass */
    BLOCK_ROWS = 256,
    POINTERS = 16384, /* of a block's rows */
    SMALL = 1 << 21   /* multiply-adds below which one thread is enough */
};

zm_int8_grid zm_int8_grid_of(float low, float high)
{
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
    float range = high - low;
    if (!(range > 0))
        return (zm_int8_grid){.scale = 1, .inverse = 1};
    zm_int8_grid g = {.scale = range / ZM_INT8_TOP, .inverse = ZM_INT8_TOP / range};
    float zero = -low * g.inverse + 0.5F;
    g.zero = zero < ZM_INT8_TOP ? (int32_t)zero : ZM_INT8_TOP; /* also where the range is not finite */
    return g;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t segments_of(const zm_int8_product *p)
{
    return p->w->k / p->piece;
}

/* Slabs (rows of tiles) of a block. */
static int64_t block_slabs(const zm_int8_product *p)
{
    int64_t rows = least(BLOCK_BYTES / p->w->k, BLOCK_ROWS), slabs = rows / p->w->isa->rows;
    slabs = least(slabs, POINTERS / (segments_of(p) * ZM_INT8_ROWS));
    return slabs > 1 ? slabs : 1;
}

/* Parts of the rows and of the panels, a thread each: the fewest tiles for the busiest thread, then the fewest parts of
 * the columns, because each of these reads all of A. */
typedef struct split {
    int m, n;
} split;

static split split_of(const zm_int8_product *p, int64_t slabs, int64_t panels)
{
    int t = p->threads > 0 ? p->threads : zm_thread_count();
    split best = {1, 1};
    if (t <= 1 || p->m * p->w->n * p->w->k < SMALL)
        return best;
    int64_t least_tiles = slabs * panels;
    for (int n = 1; n <= t && n <= panels; n++) {
        int m = (int)least(t / n, slabs);
        int64_t tiles = divide_up(slabs, m) * divide_up(panels, n);
        if (tiles < least_tiles)
            best = (split){m, n}, least_tiles = tiles;
    }
    return best;
}

static int64_t slabs_of(const zm_int8_product *p)
{
    return divide_up(p->m, p->w->isa->rows);
}

static size_t pointer_bytes(const zm_int8_product *p)
{
    return (size_t)(block_slabs(p) * segments_of(p) * ZM_INT8_ROWS) * sizeof(uint8_t *);
}

static split chosen(const zm_int8_product *p)
{
    int64_t panels;
    zm_int8_panel_start(p->w, 0, &panels);
    return split_of(p, slabs_of(p), panels);
}

size_t zm_int8_scratch(const zm_int8_product *p)
{
    return pointer_bytes(p) * (size_t)(p->threads > 0 ? p->threads : zm_thread_count());
}

static int64_t slab_start(const zm_int8_product *p, int64_t slab)
{
    return p->m * slab / slabs_of(p);
}

/* Slabs slab0 .. slab1-1 by panels panel0 .. panel1-1. */
static void run_block(const zm_int8_product *p, int64_t slab0, int64_t slab1, int64_t panel0, int64_t panel1,
                      const uint8_t **rows)
{
    const zm_int8_weights *w = p->w;
    int64_t panels, each = segments_of(p) * ZM_INT8_ROWS;
    float scale[ZM_INT8_ROWS];
    int32_t zero[ZM_INT8_ROWS];
    for (int64_t s = slab0; s < slab1; s++)
        p->rows_of(p->ctx, slab_start(p, s), (int)(slab_start(p, s + 1) - slab_start(p, s)), rows + (s - slab0) * each);
    for (int i = 0; p->shared && i < ZM_INT8_ROWS; i++)
        scale[i] = *p->scale, zero[i] = *p->zero;
    for (int64_t q = panel0; q < panel1; q++) {
        int64_t n0 = zm_int8_panel_start(w, q, &panels), n1 = zm_int8_panel_start(w, q + 1, &panels);
        zm_int8_tile t = {.cols = (int)(least(n1, w->n) - n0),
                          .width = (int)(n1 - n0),
                          .segments = (int)segments_of(p),
                          .length = p->piece,
                          .b = w->panels + n0 * w->k,
                          .scale_b = w->scale + n0,
                          .sum_b = w->sum + n0,
                          .c_step = w->n,
                          .bias = p->bias ? p->bias + n0 : NULL,
                          .act = p->act};
        for (int64_t s = slab0; s < slab1; s++) {
            int64_t i0 = slab_start(p, s);
            t.rows = (int)(slab_start(p, s + 1) - i0);
            t.a = rows + (s - slab0) * each;
            t.c = p->c + i0 * w->n + n0;
            t.scale_a = p->shared ? scale : p->scale + i0;
            t.zero = p->shared ? zero : p->zero + i0;
            w->isa->tile(&t);
        }
    }
}

void zm_int8_run(const zm_int8_product *p, void *scratch)
{
    int64_t panels, slabs = slabs_of(p), block = block_slabs(p);
    split s = chosen(p);
    int parts = s.m * s.n;
    zm_int8_panel_start(p->w, 0, &panels);
#pragma omp parallel for schedule(static, 1) num_threads(parts) if (parts > 1)
    for (int t = 0; t < parts; t++) {
        int64_t im = t % s.m, in = t / s.m, last = slabs * (im + 1) / s.m;
        const uint8_t **rows = (const uint8_t **)((char *)scratch + pointer_bytes(p) * (size_t)t);
        for (int64_t slab = slabs * im / s.m; slab < last; slab += block)
            run_block(p, slab, least(slab + block, last), panels * in / s.n, panels * (in + 1) / s.n, rows);
    }
}
