/* The attention kernel for heads of FLASH_D numbers, named FLASH; flash.cu includes it once for each.
 *
 * A block takes 64 queries of one head, a warp 16 of them: its queries, the running maximum and sum of each row and the
 * row's output stay in registers.  Keys pass by 64 at a time; while a tile of keys is multiplied, the same keys' values
 * arrive, and the next keys while the values are.  Scores are in units of log 2.
 *
 * in: q [Z,i[4],D], k [Z,i[5],D], v turned [Z,D,i[5]] (zm_gpu_pack_heads: rows to multiples of 64, zeros behind), then
 * bias of keys [B,Nk] and lengths [B] or nothing.  out [B,Nq,H,dv].  i: 0 Nq, 1 Nk, 2 H, 3 dv, 6..9 a zm_block_causal,
 * under which tiles of keys that no query of the block sees are passed over; f[0]: scale / ln 2.
 * count: Z * i[4] / 64.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_FLASH_BODY_H
#define ZM_BACKEND_CUDA_FLASH_BODY_H

#define FLASH_BLOCK(name, T) ZM_GPU_BLOCK(name, T) /* so that the name is expanded */

enum { FLASH_T = 128, FLASH_M = 64, FLASH_N = 64, FLASH_ROW_N = FLASH_N + 8 }; /* 8 more: no two lanes on one bank */

ZM_GPU_FN unsigned two_bf16(float low, float high)
{
    return (unsigned)zm_gpu_to_bf16(low) | (unsigned)zm_gpu_to_bf16(high) << 16;
}

/* `rows` rows of `width` bf16 into shared memory, rows `step` apart there and `from_step` here. */
ZM_GPU_FN void fetch(int t, unsigned short *to, int step, const unsigned short *from, int64_t from_step, int rows,
                     int width)
{
    for (int e = t; e < rows * width / 8; e += FLASH_T) {
        int row = e / (width / 8), c = e % (width / 8) * 8;
        ZM_GPU_FETCH16(to + row * step + c, from + row * from_step + c);
    }
}
/* Of thread t: its part of 16 queries of width d, `from` on, as the operand of ZM_GPU_MMA. */
ZM_GPU_FN void load_queries(unsigned *q, int t, const unsigned *from, int d)
{
    int g = t % 32 / 4, c = t % 4 * 2;
    ZM_GPU_UNROLL
    for (int k = 0; k < d / 4; k++)
        q[k] = from[((g + k % 2 * 8) * d + k / 4 * 16 + k % 4 / 2 * 8 + c) / 2];
}

/* Of thread t: the operand's two registers for the column tile m and depth k of a tile in shared memory. */
ZM_GPU_FN void load_tile(unsigned *b, int t, const unsigned short *tile, int step, int m, int k)
{
    const unsigned short *row = tile + (m * 8 + t % 32 / 4) * step + k * 16 + t % 4 * 2;
    b[0] = *(const unsigned *)row;
    b[1] = *(const unsigned *)(row + 8);
}

/* The first key, and the end of the keys, that query `row` sees beside the sink's. */
ZM_GPU_FN int64_t keys_from(const zm_gpu_node *n, int64_t row)
{
    int64_t of = n->i[6] ? row / n->i[6] + n->i[9] : 0;
    return n->i[6] && n->i[7] && of >= n->i[7] ? (of - n->i[7] + 1) * n->i[6] : 0;
}

ZM_GPU_FN int64_t keys_to(const zm_gpu_node *n, int64_t row, int64_t seen)
{
    int64_t to = n->i[6] ? (row / n->i[6] + n->i[9] + 1) * n->i[6] : seen;
    return to < seen ? to : seen;
}

/* Of thread t's two rows, 8 apart: nothing summed yet, and the keys they see. */
ZM_GPU_FN void begin_rows(float *top, float *sum, int64_t *from, int64_t *to, const zm_gpu_node *n, int64_t row,
                          int64_t seen)
{
    ZM_GPU_UNROLL
    for (int r = 0; r < 2; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
        from[r] = keys_from(n, row + r * 8);
        to[r] = keys_to(n, row + r * 8, seen);
    }
}

/* The first tile of keys from `at` on that holds keys of the sink or from `from` on. */
ZM_GPU_FN int64_t tile_from(int64_t at, int64_t from, int64_t sink)
{
    return at >= sink && at < from / FLASH_N * FLASH_N ? from / FLASH_N * FLASH_N : at;
}

/* Of thread t: scores scaled, biased and masked; best: the largest of its two rows so far.  A row sees the keys before
 * `sink` and from[] .. to[] - 1. */
ZM_GPU_FN void mask_scores(float *s, float *best, const float *top, int t, float scale, const float *bias, int64_t at,
                           const int64_t *from, const int64_t *to, int64_t sink)
{
    best[0] = top[0];
    best[1] = top[1];
    ZM_GPU_UNROLL
    for (int e = 0; e < FLASH_N / 2; e++) {
        int64_t key = at + e / 4 * 8 + t % 4 * 2 + e % 2;
        int seen = key < to[e % 4 / 2] && (key >= from[e % 4 / 2] || key < sink);
        float v = s[e] * scale + (bias && seen ? bias[key] * 1.44269504F : 0);
        s[e] = seen ? v : -INFINITY;
        best[e % 4 / 2] = fmaxf(best[e % 4 / 2], s[e]);
    }
}

/* Scores become weights against the new maximum, and what was summed so far shrinks to it. */
ZM_GPU_FN void weigh_scores(float *s, float *o, float *top, float *sum, const float *best, int d)
{
    float base[2], keep[2];
    ZM_GPU_UNROLL
    for (int r = 0; r < 2; r++) {
        base[r] = best[r] == -INFINITY ? 0 : best[r];
        keep[r] = exp2f(top[r] - base[r]);
        top[r] = best[r];
        sum[r] *= keep[r];
    }
    ZM_GPU_UNROLL
    for (int e = 0; e < d / 2; e++)
        o[e] *= keep[e % 4 / 2];
    ZM_GPU_UNROLL
    for (int e = 0; e < FLASH_N / 2; e++) {
        s[e] = exp2f(s[e] - base[e % 4 / 2]);
        sum[e % 4 / 2] += s[e];
    }
}

/* Two tiles of scores are the operand of 16 keys. */
ZM_GPU_FN void pack_scores(unsigned *p, const float *s, int k)
{
    ZM_GPU_UNROLL
    for (int e = 0; e < 4; e++)
        p[e] = two_bf16(s[(2 * k + e / 2) * 4 + e % 2 * 2], s[(2 * k + e / 2) * 4 + e % 2 * 2 + 1]);
}
#endif

FLASH_BLOCK(FLASH, FLASH_T)
{
    enum { D = FLASH_D, ROW = D + 8, DEPTH = D / 16, OUT = D / 8, KEYS = FLASH_N / 8 };
    ZM_GPU_SHARED(unsigned short, keys, FLASH_N *ROW);
    ZM_GPU_SHARED(unsigned short, values, D *FLASH_ROW_N);
    ZM_GPU_KEPT(unsigned, q, FLASH_T, DEPTH * 4);
    ZM_GPU_KEPT(unsigned, p, FLASH_T, 4);
    ZM_GPU_KEPT(unsigned, b, FLASH_T, 2);
    ZM_GPU_KEPT(float, o, FLASH_T, OUT * 4);
    ZM_GPU_KEPT(float, s, FLASH_T, KEYS * 4);
    ZM_GPU_KEPT(float, top, FLASH_T, 2);
    ZM_GPU_KEPT(float, sum, FLASH_T, 2);
    ZM_GPU_KEPT(float, best, FLASH_T, 2);
    ZM_GPU_KEPT(int64_t, from, FLASH_T, 2);
    ZM_GPU_KEPT(int64_t, to, FLASH_T, 2);
    int64_t Nq = n->i[0], Nk = n->i[1], H = n->i[2], dv = n->i[3], q_rows = n->i[4], k_rows = n->i[5];
    int64_t z = block / (q_rows / FLASH_M), first = block % (q_rows / FLASH_M) * FLASH_M, clip = z / H;
    const unsigned short *k_head = (const unsigned short *)n->in[1].data + z * k_rows * D;
    const unsigned short *v_head = (const unsigned short *)n->in[2].data + z * D * k_rows;
    const float *bias = n->in[3].data ? ZM_GPU_IN(n, 3) + clip * Nk : 0;
    int64_t seen = n->in[4].data ? ((const int *)n->in[4].data)[clip] : Nk;
    int64_t last = first + FLASH_M < Nq ? first + FLASH_M : Nq, sink = n->i[8] * n->i[6];
    seen = keys_to(n, last - 1, seen > Nk ? Nk : seen);
    int64_t begin = tile_from(0, keys_from(n, first), sink);

    ZM_GPU_THREADS(t, FLASH_T)
    {
        load_queries(ZM_GPU_OF(q, t), t, (const unsigned *)n->in[0].data + (z * q_rows + first + t / 32 * 16) * (D / 2),
                     D);
        ZM_GPU_UNROLL
        for (int e = 0; e < OUT * 4; e++)
            ZM_GPU_OF(o, t)[e] = 0;
        begin_rows(ZM_GPU_OF(top, t), ZM_GPU_OF(sum, t), ZM_GPU_OF(from, t), ZM_GPU_OF(to, t), n,
                   first + t / 32 * 16 + t % 32 / 4, seen);
        if (begin < seen)
            fetch(t, keys, ROW, k_head + begin * D, D, FLASH_N, D);
        ZM_GPU_COMMIT();
    }
    for (int64_t at = begin, next; at < seen; at = next) {
        next = tile_from(at + FLASH_N, keys_from(n, first), sink);
        ZM_GPU_THREADS(t, FLASH_T)
        {
            fetch(t, values, FLASH_ROW_N, v_head + at, k_rows, D, FLASH_N);
            ZM_GPU_COMMIT();
            ZM_GPU_UNROLL
            for (int e = 0; e < KEYS * 4; e++)
                ZM_GPU_OF(s, t)[e] = 0;
        }
        ZM_GPU_ARRIVED(1);
        ZM_GPU_SYNC();
        ZM_GPU_UNROLL
        for (int k = 0; k < DEPTH; k++) {
            ZM_GPU_UNROLL
            for (int m = 0; m < KEYS; m++) {
                ZM_GPU_THREADS(t, FLASH_T)
                load_tile(ZM_GPU_OF(b, t), t, keys, ROW, m, k);
                ZM_GPU_MMA(s, m * 4, q, k * 4, b, FLASH_T);
            }
        }
        ZM_GPU_SYNC();
        ZM_GPU_THREADS(t, FLASH_T)
        {
            if (next < seen)
                fetch(t, keys, ROW, k_head + next * D, D, FLASH_N, D);
            ZM_GPU_COMMIT();
            mask_scores(ZM_GPU_OF(s, t), ZM_GPU_OF(best, t), ZM_GPU_OF(top, t), t, (float)n->f[0], bias, at,
                        ZM_GPU_OF(from, t), ZM_GPU_OF(to, t), sink);
        }
        ZM_GPU_QUAD_MAX(best, 0, FLASH_T);
        ZM_GPU_QUAD_MAX(best, 1, FLASH_T);
        ZM_GPU_THREADS(t, FLASH_T)
        weigh_scores(ZM_GPU_OF(s, t), ZM_GPU_OF(o, t), ZM_GPU_OF(top, t), ZM_GPU_OF(sum, t), ZM_GPU_OF(best, t), D);
        ZM_GPU_ARRIVED(1);
        ZM_GPU_SYNC();
        ZM_GPU_UNROLL
        for (int k = 0; k < FLASH_N / 16; k++) {
            ZM_GPU_THREADS(t, FLASH_T)
            pack_scores(ZM_GPU_OF(p, t), ZM_GPU_OF(s, t), k);
            ZM_GPU_UNROLL
            for (int m = 0; m < OUT; m++) {
                ZM_GPU_THREADS(t, FLASH_T)
                load_tile(ZM_GPU_OF(b, t), t, values, FLASH_ROW_N, m, k);
                ZM_GPU_MMA(o, m * 4, p, 0, b, FLASH_T);
            }
        }
        ZM_GPU_SYNC();
    }
    ZM_GPU_QUAD_SUM(sum, 0, FLASH_T);
    ZM_GPU_QUAD_SUM(sum, 1, FLASH_T);
    ZM_GPU_THREADS(t, FLASH_T)
    ZM_GPU_UNROLL
    for (int e = 0; e < OUT * 4; e++) {
        int64_t row = first + t / 32 * 16 + t % 32 / 4 + e % 4 / 2 * 8, c = e / 4 * 8 + t % 4 * 2 + e % 2;
        float all = ZM_GPU_OF(sum, t)[e % 4 / 2];
        if (row < Nq && c < dv)
            ZM_GPU_OUT(n)[((clip * Nq + row) * H + z % H) * dv + c] = all > 0 ? ZM_GPU_OF(o, t)[e] / all : 0;
    }
    ZM_GPU_ARRIVED(0);
    ZM_GPU_SYNC();
}
