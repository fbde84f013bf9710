/* Lanczos against bytes that Pillow 9.4 made, bicubic against its formula and its invariants.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>

#include "base/rng.h"
#include "media/resample.h"

static void test_lanczos(void)
{
    static const struct {
        int width, height, to_width, to_height;
        uint64_t hash; /* h = h 1099511628211 + byte + 1 over the bytes of Image.resize(.., LANCZOS) */
    } gold[] = {
        {23, 17, 40, 9, 0x7d99d9c20e8b89ceu}, {23, 17, 11, 30, 0x641376d190fffe42u},
        {23, 17, 23, 9, 0x9ef54cee85f77fcau}, {23, 17, 46, 17, 0x7fb22a61c72a0868u},
        {64, 48, 7, 5, 0x99dc319142e0f7f0u},  {5, 4, 33, 29, 0x9202d5ecbfb16015u},
        {1, 1, 3, 2, 0xbae573d38240bc58u},
    };
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        zm_frame in, out;
        zm_error err = {0};
        uint64_t h = 0;
        if (zm_frame_init(&in, gold[i].width, gold[i].height, &err) ||
            zm_frame_init(&out, gold[i].to_width, gold[i].to_height, &err)) {
            tap_ok(0, "%s", err.text);
            return;
        }
        for (int y = 0; y < in.height; y++)
            for (int x = 0; x < in.width; x++)
                for (int c = 0; c < 3; c++)
                    in.rgb[(y * in.width + x) * 3 + c] = (uint8_t)(x * 37 + y * 61 + c * 101 + x * y * 7);
        zm_status s = zm_frame_lanczos(&out, &in, &err);
        for (int k = 0; k < out.width * out.height * 3; k++)
            h = h * 1099511628211u + out.rgb[k] + 1;
        tap_ok(!s && h == gold[i].hash, "lanczos %dx%d to %dx%d: the same bytes", in.width, in.height, out.width,
               out.height);
        zm_frame_release(&in);
        zm_frame_release(&out);
    }
}

static double weight(double x)
{
    const double a = -0.75;
    x = fabs(x);
    if (x < 1)
        return (a + 2) * x * x * x - (a + 3) * x * x + 1;
    return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

/* Every input pixel has its say; those beyond the edge are the edge's. */
static float direct(const float *in, int h, int w, int to_h, int to_w, int y, int x, int c)
{
    double sy = (y + 0.5) * h / to_h - 0.5, sx = (x + 0.5) * w / to_w - 0.5, sum = 0;
    for (int j = -3; j < h + 3; j++)
        for (int i = -3; i < w + 3; i++) {
            int at = (j < 0 ? 0 : j < h ? j : h - 1) * w + (i < 0 ? 0 : i < w ? i : w - 1);
            sum += weight(sy - j) * weight(sx - i) * (double)in[at * 3 + c];
        }
    return (float)sum;
}

static void test_cubic(void)
{
    static const int size[][4] = {{9, 13, 20, 7}, {5, 6, 5, 6}, {1, 1, 4, 3}, {16, 12, 8, 24}};
    float in[16 * 13 * 3], out[24 * 24 * 3], want[24 * 24 * 3];
    zm_rng r = zm_rng_init(4, 1);
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        int h = size[k][0], w = size[k][1], H = size[k][2], W = size[k][3];
        zm_error err = {0};
        zm_rng_normals(&r, in, (size_t)(h * w * 3));
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    want[(y * W + x) * 3 + c] = direct(in, h, w, H, W, y, x, c);
        char name[64];
        snprintf(name, sizeof name, "cubic %dx%d to %dx%d", w, h, W, H);
        if (tap_ok(!zm_resample_cubic(out, H, W, in, h, w, &err), "%s %s", name, err.text))
            tap_close_f32(out, want, (size_t)(H * W * 3), 1e-5, name);
    }
}

int main(void)
{
    test_lanczos();
    test_cubic();
    return tap_done();
}
