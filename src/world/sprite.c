/* What all frames share: drawings of the named things, unpacked once from the atlas that is linked into the program, and
 * tables of sRGB.
 * SPDX-License-Identifier: MIT */
#include "world/sprite.h"

#include <pthread.h>

#include "world/atlas_path.h"
#include "world/light.h"
#include "world/tables.h"

enum { CELL = ZM_SPRITE_CELL, LEVELS = ZM_SPRITE_LEVELS };

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

static zm_sprite sprites[THINGS];
static zm_palette palette;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void unpack(zm_sprite *s, const unsigned char *raw)
{
    int x0 = CELL, x1 = 0, y0 = CELL, y1 = 0;
    for (int i = 0; i < CELL * CELL; i++) {
        float a = (float)raw[i * 4 + 3] / 255.0f;
        for (int c = 0; c < 3; c++)
            s->texel[i][c] = palette.linear[raw[i * 4 + c]] * a;
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
    ZM_ASSERT((uintptr_t)zm_world_atlas_end - (uintptr_t)zm_world_atlas == (uintptr_t)THINGS * CELL * CELL * 4);
    for (unsigned i = 0; i < 256; i++)
        palette.linear[i] = zm_srgb(i).z;
    for (int i = 0; i <= 4096; i++) {
        float v = (float)i / 4096;
        v = v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
        palette.srgb[i] = (uint8_t)(v * 255 + 0.5f);
    }
    for (int i = 0; i < THINGS; i++)
        unpack(&sprites[i], zm_world_atlas + (size_t)i * CELL * CELL * 4);
}

zm_draw_art zm_world_art(void)
{
    pthread_once(&once, unpack_all);
    return (zm_draw_art){.palette = &palette, .sprite = sprites, .sprites = THINGS};
}

void zm_sprite_extent(int thing, float *half_w, float *half_h)
{
    zm_draw_art art = zm_world_art();
    ZM_ASSERT(thing >= 0 && thing < THINGS);
    *half_w = art.sprite[thing].half_w;
    *half_h = art.sprite[thing].half_h;
}
