/* Drawings of the named things, unpacked once from the atlas that is linked into the program.
 * SPDX-License-Identifier: MIT */
#include "world/sprite.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>

#include "world/atlas_path.h"
#include "world/tables.h"

enum { CELL = 64, LEVELS = 5, TEXELS = 64 * 64 + 32 * 32 + 16 * 16 + 8 * 8 + 4 * 4 };

#define COUNT_ONE(icon, kind, size, en, zh, measure) +1
enum { THINGS = 0 ZM_THING_TABLE(COUNT_ONE) };

/* The bytes of assets/world/things.rgba. */
__asm__(".section .rodata\n"
        ".balign 16\n"
        "zm_world_atlas:\n"
        ".incbin \"" ZM_ATLAS_PATH "\"\n"
        "zm_world_atlas_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const unsigned char zm_world_atlas[], zm_world_atlas_end[];

typedef struct {
    float half_w, half_h;
    float texel[TEXELS][4];
} sprite;

static sprite sprites[THINGS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void unpack(sprite *s, const unsigned char *raw, const float linear[256])
{
    int x0 = CELL, x1 = 0, y0 = CELL, y1 = 0;
    for (int i = 0; i < CELL * CELL; i++) {
        float a = (float)raw[i * 4 + 3] / 255.0f;
        for (int c = 0; c < 3; c++)
            s->texel[i][c] = linear[raw[i * 4 + c]] * a;
        s->texel[i][3] = a;
        if (raw[i * 4 + 3] > 100) {
            int x = i % CELL, y = i / CELL;
            x0 = x < x0 ? x : x0;
            x1 = x > x1 ? x : x1;
            y0 = y < y0 ? y : y0;
            y1 = y > y1 ? y : y1;
        }
    }
    s->half_w = fminf((float)(x1 - x0 + 1) / (2 * ZM_SPRITE_HALF), 1);
    s->half_h = fminf((float)(y1 - y0 + 1) / (2 * ZM_SPRITE_HALF), 1);
    float(*from)[4] = s->texel;
    for (int n = CELL / 2; n >= CELL >> (LEVELS - 1); n /= 2) {
        float(*to)[4] = from + 4 * n * n;
        for (int y = 0; y < n; y++)
            for (int x = 0; x < n; x++)
                for (int c = 0; c < 4; c++) {
                    const float(*f)[4] = (const float(*)[4])from + 4 * y * n + 2 * x;
                    to[y * n + x][c] = 0.25f * (f[0][c] + f[1][c] + f[2 * n][c] + f[2 * n + 1][c]);
                }
        from = to;
    }
}

static void unpack_all(void)
{
    float linear[256];
    ZM_ASSERT((uintptr_t)zm_world_atlas_end - (uintptr_t)zm_world_atlas == (uintptr_t)THINGS * CELL * CELL * 4);
    for (int i = 0; i < 256; i++) {
        float v = (float)i / 255.0f;
        linear[i] = v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
    }
    for (int i = 0; i < THINGS; i++)
        unpack(&sprites[i], zm_world_atlas + (size_t)i * CELL * CELL * 4, linear);
}

static const sprite *get(int thing)
{
    pthread_once(&once, unpack_all);
    ZM_ASSERT(thing >= 0 && thing < THINGS);
    return &sprites[thing];
}

void zm_sprite_extent(int thing, float *half_w, float *half_h)
{
    const sprite *s = get(thing);
    *half_w = s->half_w;
    *half_h = s->half_h;
}

static void bilinear(const float (*level)[4], int n, float x, float y, float weight, float rgba[4])
{
    x -= 0.5f;
    y -= 0.5f;
    float fx = floorf(x), fy = floorf(y), ax = x - fx, ay = y - fy;
    int ix = (int)fx, iy = (int)fy;
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int px = ix + i, py = iy + j;
            if (px < 0 || py < 0 || px >= n || py >= n)
                continue;
            float w = weight * (i ? ax : 1 - ax) * (j ? ay : 1 - ay);
            for (int c = 0; c < 4; c++)
                rgba[c] += w * level[py * n + px][c];
        }
}

void zm_sprite_sample(int thing, float u, float v, float texels_per_pixel, float rgba[4])
{
    const sprite *s = get(thing);
    for (int c = 0; c < 4; c++)
        rgba[c] = 0;
    float x = 0.5f * CELL + u * ZM_SPRITE_HALF, y = 0.5f * CELL - v * ZM_SPRITE_HALF;
    if (!(x > -8 && y > -8 && x < CELL + 8 && y < CELL + 8))
        return;
    float lod = fminf(fmaxf(log2f(fmaxf(texels_per_pixel, 1e-3f)), 0), LEVELS - 1.001f);
    int l = (int)lod;
    const float(*level)[4] = (const float(*)[4])s->texel;
    for (int i = 0; i < l; i++)
        level += (CELL >> i) * (CELL >> i);
    int n = CELL >> l;
    float k = 1.0f / (float)(1 << l);
    bilinear(level, n, x * k, y * k, 1 - (lod - (float)l), rgba);
    if (lod > (float)l)
        bilinear(level + n * n, n / 2, x * k * 0.5f, y * k * 0.5f, lod - (float)l, rgba);
}
