/* Blocked matrix products: splitting among threads, blocking for the caches.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/gemm.h"

#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum {
    AT_ONCE = 8,        /* of k of a plain B, packed for all panels together */
    SLABS_AT_ONCE = 16, /* of an A by columns in pairs, rounded together: whole lines of its columns, */
    ROWS_AT_ONCE = 128, /* which have so many rows at most */
    SMALL = 1 << 19,    /* multiply-adds below which one thread is enough */
    GATHERED = 8        /* rows of a column taken in one go: two registers of the oldest machine */
};

const float zm_gemm_zeros[ZM_GEMM_ZEROS];

int zm_gemm_threads(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

int zm_gemm_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

/* How a product is shared out: m, n and k are cut into so many parts, one thread each. */
typedef struct split {
    int m, n, k;
} split;

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t steps_of(const zm_gemm *g, int64_t k)
{
    return divide_up(k, g->isa->depth);
}

static int64_t slabs_of(const zm_gemm *g)
{
    int64_t groups = g->rows_of ? 1 : g->groups;
    return groups * divide_up(g->m / groups, g->isa->rows);
}

/* Numbers of k in a block. */
static int64_t block_length(const zm_gemm *g)
{
    const int64_t most = (int64_t)ZM_TILE_STEPS * g->isa->depth;
    if (g->rows_of && g->piece < g->k) { /* whole pieces, or an even part of one */
        if (g->piece >= most)
            return divide_up(g->piece, divide_up(g->piece, most));
        int64_t pieces = least(ZM_TILE_SEGMENTS, most / g->piece), all = g->k / g->piece;
        return g->piece * divide_up(all, divide_up(all, pieces));
    }
    int64_t even = divide_up(g->k, divide_up(g->k, most));
    int64_t whole = g->isa->depth == 1 ? 32 : 256; /* blocks of stored weights, which 256 steps of one hold whole */
    return least(g->k, divide_up(even, whole) * whole);
}

static int64_t blocks_of(const zm_gemm *g)
{
    int64_t length = block_length(g);
    if (g->rows_of && g->piece < g->k && length < g->piece)
        return g->k / g->piece * divide_up(g->piece, length);
    return divide_up(g->k, length);
}

/* Steps [*k0, *k1) of block i; a block never reaches from a part of one piece into the next. */
static void block_range(const zm_gemm *g, int64_t i, int64_t *k0, int64_t *k1)
{
    int64_t length = block_length(g), whole = g->k, base = 0;
    if (g->rows_of && g->piece < g->k && length < g->piece) {
        int64_t parts = divide_up(g->piece, length);
        base = i / parts * g->piece;
        i %= parts;
        whole = g->piece;
    }
    *k0 = base + i * length;
    *k1 = base + least(whole, (i + 1) * length);
}

/* Cycles of one thread, roughly: multiply-adds of the largest part, packing B, adding partial sums. */
static double cost_of(const zm_gemm *g, split s)
{
    double lanes = 2.0 * g->isa->lanes * g->isa->depth;
    double slabs = (double)divide_up(slabs_of(g), s.m), cols = (double)divide_up(divide_up(g->n, g->isa->lanes), s.n);
    double length = (double)divide_up(blocks_of(g), s.k) * (double)block_length(g);
    double cost = slabs * g->isa->rows * cols * g->isa->lanes * length / lanes + cols * g->isa->lanes * length * 0.5;
    if (s.k > 1)
        cost += 4000 + (double)g->m * (double)g->n * (s.k + 1) / (s.m * s.n * s.k) * 0.25;
    return cost;
}

static split split_of(const zm_gemm *g)
{
    int t = g->threads > 0 ? g->threads : zm_gemm_threads();
    split best = {1, 1, 1};
    if ((double)g->m * (double)g->n * (double)g->k < SMALL || t <= 1)
        return best;
    double least_cost = cost_of(g, best);
    for (int m = 1; m <= t; m++)
        for (int n = 1; m * n <= t; n++)
            for (int k = 1; m * n * k <= t; k++) {
                split s = {m, n, k};
                if (m > slabs_of(g) || n > divide_up(g->n, g->isa->lanes) || k > blocks_of(g))
                    continue;
                double cost = cost_of(g, s);
                if (cost < least_cost * 0.999)
                    best = s, least_cost = cost;
            }
    return best;
}

/* One thread's share. */
typedef struct share {
    int64_t slab0, slab1, n0, n1, block0, block1;
    float *c;
    int64_t c_step;
    float *panels;
    bool last; /* bias and activation follow the last block */
} share;

/* Panel p of those that cover `cols` columns: nearly equal widths, whole vectors. */
static int64_t panel_start(const zm_gemm *g, int64_t cols, int64_t p, int64_t *panels)
{
    int64_t vectors = divide_up(cols, g->isa->lanes);
    *panels = divide_up(vectors, g->isa->vectors);
    return vectors * p / *panels * g->isa->lanes;
}

static void pack_panels(const zm_gemm *g, int64_t k0, int64_t k1, int64_t n0, int64_t n1, float *out)
{
    int64_t panels, cols = n1 - n0, once = g->pack == zm_gemm_pack_matrix ? AT_ONCE : k1 - k0; /* of k for all panels */
    for (int64_t k = k0; k < k1; k += once)
        for (int64_t p = 0, at = panel_start(g, cols, 0, &panels); p < panels; p++) {
            int64_t next = panel_start(g, cols, p + 1, &panels), width = next - at;
            g->pack(g, k, (int)(least(k + once, k1) - k), n0 + at, (int)(least(next, cols) - at), (int)width,
                    out + at * steps_of(g, k1 - k0) + steps_of(g, k - k0) * width);
            at = next;
        }
}

/* Ask for row i of the next slab, before its turn comes; from memory it would arrive too late. */
static void fetch_rows(const float *const *next, int64_t from, int64_t to, int64_t length)
{
    for (int64_t i = from; i < to; i++)
        for (int64_t k = 0; next[i] && k < length; k += 16) /* rows past the last one have no memory */
            __builtin_prefetch(next[i] + k);
}

/* next: pointers of the next slab, or NULL */
static void run_slab(const zm_gemm *g, zm_tile *t, const share *w, int64_t row, int64_t n0, int64_t n1, int64_t count,
                     const float *const *next)
{
    int64_t panels, cols = n1 - n0;
    for (int64_t p = 0, at = panel_start(g, cols, 0, &panels); p < panels; p++) {
        int64_t end = panel_start(g, cols, p + 1, &panels);
        t->width = (int)(end - at);
        t->cols = (int)(least(end, cols) - at);
        t->b = w->panels + at * steps_of(g, count);
        t->c = w->c + row * w->c_step + n0 + at;
        if (next)
            fetch_rows(next, t->rows * p / panels, t->rows * (p + 1) / panels, count);
        g->isa->tile(t);
        at = end;
    }
}

static void finish_rows(const zm_gemm *g, const share *w, int64_t row, int rows, int64_t n0, int64_t n1)
{
    if (!w->last || (!g->bias && !g->act))
        return;
    for (int i = 0; i < rows; i++)
        g->isa->finish(w->c + (row + i) * w->c_step + n0, n1 - n0, g->bias ? g->bias + n0 : NULL, g->act);
}

/* Where one slab's rows of A lie for the steps of a block. */
typedef struct slab {
    const float *a[ZM_TILE_SEGMENTS * ZM_TILE_ROWS];
    int live[ZM_TILE_SEGMENTS];
    int segments, rows;
    int64_t row; /* first row of C */
} slab;

static void find_slab(const zm_gemm *g, slab *s, int64_t index, int64_t k0, int pieces, int length)
{
    int64_t slabs = divide_up(g->m, g->isa->rows), i0 = g->m * index / slabs;
    s->row = i0;
    s->rows = (int)(g->m * (index + 1) / slabs - i0);
    s->segments = g->rows_of(g->a_ctx, i0, s->rows, k0, pieces, length, s->a, s->live);
    if (s->segments)
        return;
    for (int i = 0; i < s->rows; i++) /* all zeros: one piece of zeros is multiplied, which writes the tile */
        s->a[i] = zm_gemm_zeros;
    s->segments = 1, s->live[0] = 0;
}

/* Rows of a slab as pairs of bf16. */
static void round_rows(const zm_gemm *g, const slab *s, int64_t count, float *out, const float **row)
{
    for (int i = 0; i < s->rows; i++) {
        g->isa->round(out + i * ZM_TILE_PITCH, s->a[i], count);
        row[i] = out + i * ZM_TILE_PITCH;
    }
}

static void run_rows(const zm_gemm *g, const share *w, zm_tile *t, int64_t block, int64_t k0, int64_t k1, int64_t n0,
                     int64_t n1)
{
    slab two[2];
    _Alignas(64) float packed[ZM_TILE_ROWS * ZM_TILE_PITCH];
    const float *row[ZM_TILE_ROWS];
    int pieces = g->piece < k1 - k0 ? (int)((k1 - k0) / g->piece) : 1, length = (int)(k1 - k0) / pieces;
    ZM_ASSERT(g->isa->depth == 1 || g->piece == g->k);
    t->length = (int)steps_of(g, length);
    if (w->slab0 < w->slab1)
        find_slab(g, &two[w->slab0 & 1], w->slab0, k0, pieces, length);
    for (int64_t s = w->slab0; s < w->slab1; s++) {
        slab *now = &two[s & 1], *next = s + 1 < w->slab1 ? &two[(s + 1) & 1] : NULL;
        if (next)
            find_slab(g, next, s + 1, k0, pieces, length);
        t->a = now->a, t->piece = now->live, t->segments = now->segments, t->rows = now->rows;
        if (g->isa->depth == 2) {
            round_rows(g, now, length, packed, row);
            t->a = row;
        }
        run_slab(g, t, w, now->row, n0, n1, k1 - k0, next && pieces == 1 ? next->a : NULL);
        if (block == w->block1 - 1)
            finish_rows(g, w, now->row, now->rows, n0, n1);
    }
}

/* Rows i0 .. i0+rows-1 of A by columns, each `all` rows long, as [step][row].  Where eight can be read they are written,
 * too: what is too much is overwritten by the next step, so `out` has room for GATHERED - 1 numbers more. */
static void gather(float *out, const float *const *column, int64_t i0, int rows, int count, int64_t all)
{
    if (i0 + GATHERED <= all && rows <= GATHERED)
        for (int k = 0; k < count; k++)
            memcpy(out + k * rows, column[k] + i0, GATHERED * sizeof(float));
    else
        for (int k = 0; k < count; k++)
            for (int i = 0; i < rows; i++)
                out[k * rows + i] = column[k][i0 + i];
}

/* Slabs of A by columns: which rows of their group, and where they are packed. */
typedef struct strips {
    int n, rows[SLABS_AT_ONCE];
    int64_t first[SLABS_AT_ONCE];
    float *packed[SLABS_AT_ONCE];
} strips;

static void gather_strips(const zm_gemm *g, const strips *s, const float *const *column, int count)
{
    if (g->isa->depth == 1) {
        gather(s->packed[0], column, s->first[0], s->rows[0], count, g->m / g->groups);
        return;
    }
    const int once = g->isa->once;
    for (int k = 0; k < count; k += once) /* a line of every column is used up while it is near */
        for (int i = 0; i < s->n; i++)
            g->isa->zip_columns(s->packed[i] + k / 2 * (g->isa->turns ? 1 : s->rows[i]), column + k, s->first[i],
                                s->rows[i], (int)least(once, count - k));
}

static void run_columns(const zm_gemm *g, const share *w, zm_tile *t, int64_t block, int64_t k0, int64_t k1, int64_t n0,
                        int64_t n1)
{
    const float *a[ZM_TILE_STEPS * ZM_TILE_DEPTH];
    _Alignas(64) float packed[ROWS_AT_ONCE * ZM_TILE_PITCH + GATHERED];
    int64_t rows = g->m / g->groups, slabs = divide_up(rows, g->isa->rows), filled = -1;
    int count = (int)(k1 - k0);
    int64_t together = g->isa->depth == 1 ? 1 : least(SLABS_AT_ONCE, ROWS_AT_ONCE / g->isa->rows);
    strips now;
    t->segments = 0, t->length = (int)steps_of(g, count);
    for (int64_t s = w->slab0; s < w->slab1; s += now.n) {
        int64_t group = s / slabs;
        now.n = (int)least(together, least(w->slab1, (group + 1) * slabs) - s);
        for (int i = 0; i < now.n; i++) {
            int64_t at = s % slabs + i;
            now.first[i] = rows * at / slabs;
            now.rows[i] = (int)(rows * (at + 1) / slabs - now.first[i]);
            now.packed[i] = packed + (int64_t)i * g->isa->rows * ZM_TILE_PITCH;
        }
        if (filled != group)
            g->columns_of(g->a_ctx, group, k0, count, a);
        filled = group;
        gather_strips(g, &now, a, count);
        for (int i = 0; i < now.n; i++) {
            t->packed = now.packed[i], t->rows = now.rows[i];
            run_slab(g, t, w, group * rows + now.first[i], n0, n1, count, NULL);
            if (block == w->block1 - 1)
                finish_rows(g, w, group * rows + now.first[i], t->rows, n0, n1);
        }
    }
}

static int64_t columns_at_once(const zm_gemm *g)
{
    int64_t wide = g->isa->panels / steps_of(g, block_length(g)), full = (int64_t)g->isa->lanes * g->isa->vectors;
    int64_t vectors = divide_up(g->n, g->isa->lanes);
    return wide < full ? full : least(wide / full * full, vectors * g->isa->lanes);
}

static void run_share(const zm_gemm *g, const share *w)
{
    int64_t wide = columns_at_once(g);
    for (int64_t n0 = w->n0; n0 < w->n1; n0 += wide)
        for (int64_t b = w->block0; b < w->block1; b++) {
            int64_t k0, k1, n1 = least(n0 + wide, w->n1);
            zm_tile t = {.c_step = w->c_step, .add = b > w->block0};
            block_range(g, b, &k0, &k1);
            pack_panels(g, k0, k1, n0, n1, w->panels);
            (g->rows_of ? run_rows : run_columns)(g, w, &t, b, k0, k1, n0, n1);
        }
    if (g->isa->end)
        g->isa->end();
}

static size_t panel_bytes(const zm_gemm *g)
{
    return ((size_t)(columns_at_once(g) * steps_of(g, block_length(g))) * sizeof(float) + 4095) & ~(size_t)4095;
}

size_t zm_gemm_scratch(const zm_gemm *g)
{
    split s = split_of(g);
    return panel_bytes(g) * (size_t)(s.m * s.n * s.k) + (size_t)(s.k - 1) * (size_t)(g->m * g->n) * sizeof(float);
}

static void share_of(const zm_gemm *g, split s, int t, char *scratch, share *w)
{
    int im = t % s.m, in = t / s.m % s.n, ik = t / (s.m * s.n);
    int64_t slabs = slabs_of(g), vectors = divide_up(g->n, g->isa->lanes), blocks = blocks_of(g);
    *w = (share){.slab0 = slabs * im / s.m, .slab1 = slabs * (im + 1) / s.m, .c = g->c, .c_step = g->c_step};
    w->n0 = vectors * in / s.n * g->isa->lanes;
    w->n1 = least(vectors * (in + 1) / s.n * g->isa->lanes, g->n);
    w->block0 = blocks * ik / s.k;
    w->block1 = blocks * (ik + 1) / s.k;
    w->panels = (float *)(scratch + panel_bytes(g) * (size_t)t);
    w->last = s.k == 1;
    if (ik > 0) {
        float *partial = (float *)(scratch + panel_bytes(g) * (size_t)(s.m * s.n * s.k));
        w->c = partial + (ik - 1) * g->m * g->n;
        w->c_step = g->n;
    }
}

/* Add the partial sums of rows r0..r1 to c and finish them. */
static void add_partials(const zm_gemm *g, int parts, const float *partial, int64_t r0, int64_t r1)
{
    for (int64_t r = r0; r < r1; r++) {
        float *c = g->c + r * g->c_step;
        for (int p = 0; p < parts; p++) {
            const float *from = partial + (p * g->m + r) * g->n;
            for (int64_t j = 0; j < g->n; j++)
                c[j] += from[j];
        }
        if (g->bias || g->act)
            g->isa->finish(c, g->n, g->bias, g->act);
    }
}

void zm_gemm_run(const zm_gemm *g, void *scratch)
{
    split s = split_of(g);
    int parts = s.m * s.n * s.k;
    share w;
    if (parts == 1) {
        share_of(g, s, 0, scratch, &w);
        run_share(g, &w);
        return;
    }
    const float *partial = (const float *)((char *)scratch + panel_bytes(g) * (size_t)parts);
#pragma omp parallel for schedule(static, 1) num_threads(parts) private(w)
    for (int t = 0; t < parts; t++) {
        share_of(g, s, t, scratch, &w);
        run_share(g, &w);
    }
    if (s.k > 1) {
#pragma omp parallel for schedule(static, 1) num_threads(parts)
        for (int t = 0; t < parts; t++)
            add_partials(g, s.k - 1, partial, g->m * t / parts, g->m * (t + 1) / parts);
    }
}

int zm_gemm_rows_of_matrix(const void *ctx, int64_t i0, int rows, int64_t k0, int pieces, int length, const float **row,
                           int *live)
{
    const zm_gemm_matrix *a = ctx;
    (void)pieces;
    (void)length;
    for (int i = 0; i < rows; i++)
        row[i] = a->at + (i0 + i) * a->step + k0;
    live[0] = 0;
    return 1;
}

void zm_gemm_columns_of_matrix(const void *ctx, int64_t group, int64_t k0, int count, const float **column)
{
    const zm_gemm_matrix *a = ctx;
    (void)group;
    for (int k = 0; k < count; k++)
        column[k] = a->at + (k0 + k) * a->step;
}

void zm_gemm_pack_matrix(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    const zm_gemm_matrix *b = g->b_ctx;
    const int depth = g->isa->depth;
    for (int k = 0; k < count; k += depth, out += width) {
        const float *row = b->at + (k0 + k) * b->step + n0;
        if (depth == 2)
            g->isa->zip(out, row, k + 1 < count ? row + b->step : NULL, cols);
        else
            memcpy(out, row, sizeof(float) * (size_t)cols);
        if (cols < width)
            memset(out + cols, 0, sizeof(float) * (size_t)(width - cols));
    }
}

void zm_gemm_pack_rows(const zm_gemm *g, const float **row, int count, int cols, int width, float *out)
{
    enum { PITCH = ZM_TILE_STEPS + 4 };
    _Alignas(64) float pairs[ZM_GEMM_PANEL][PITCH];
    ZM_ASSERT(cols <= ZM_GEMM_PANEL && count <= ZM_TILE_STEPS * g->isa->depth);
    for (int j = 0; g->isa->depth == 2 && j < cols; j++) {
        g->isa->round(pairs[j], row[j], count);
        row[j] = pairs[j];
    }
    g->isa->pack_turned(row, cols, steps_of(g, count), width, out);
}

void zm_gemm_pack_turned(const zm_gemm *g, int64_t k0, int count, int64_t n0, int cols, int width, float *out)
{
    const zm_gemm_matrix *b = g->b_ctx;
    const float *row[ZM_GEMM_PANEL];
    ZM_ASSERT(cols <= ZM_GEMM_PANEL);
    for (int j = 0; j < cols; j++)
        row[j] = b->at + (n0 + j) * b->step + k0;
    zm_gemm_pack_rows(g, row, count, cols, width, out);
}
