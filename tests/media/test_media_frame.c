/* Resizing, cropping, turning and float conversion of frames, against plain references.
 * SPDX-License-Identifier: MIT */
#include "clips.h"

static zm_frame noise(zm_rng *r, int w, int h)
{
    zm_frame f;
    if (zm_frame_init(&f, w, h, NULL))
        exit(1);
    for (int i = 0; i < w * h * 3; i++)
        f.rgb[i] = (uint8_t)zm_rng_below(r, 256);
    return f;
}

/* The mean of the input over the output pixel's area, in double precision. */
static double area_mean(const zm_frame *f, double x0, double x1, double y0, double y1, int c)
{
    double sum = 0;
    for (int y = (int)y0; y < f->height && y < y1; y++)
        for (int x = (int)x0; x < f->width && x < x1; x++) {
            double across = fmin(x1, x + 1) - fmax(x0, x), down = fmin(y1, y + 1) - fmax(y0, y);
            if (across > 0 && down > 0)
                sum += across * down * f->rgb[(y * f->width + x) * 3 + c];
        }
    return sum / ((x1 - x0) * (y1 - y0));
}

static void check_area(zm_rng *r)
{
    double worst = 0;
    for (int round = 0; round < 20; round++) {
        zm_frame in = noise(r, 5 + (int)zm_rng_below(r, 90), 5 + (int)zm_rng_below(r, 90)), out;
        int w = 1 + (int)zm_rng_below(r, (uint32_t)in.width), h = 1 + (int)zm_rng_below(r, (uint32_t)in.height);
        if (zm_frame_init(&out, w, h, NULL) || zm_frame_resize(&out, &in, NULL))
            exit(1);
        double rx = (double)in.width / w, ry = (double)in.height / h;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                for (int c = 0; c < 3; c++)
                    worst = fmax(worst, fabs(area_mean(&in, x * rx, (x + 1) * rx, y * ry, (y + 1) * ry, c) -
                                             out.rgb[(y * w + x) * 3 + c]));
        zm_frame_release(&in);
        zm_frame_release(&out);
    }
    tap_ok(worst < 0.6, "shrinking is the area average: worst difference %.3f levels", worst);
}

static void check_flat_and_copy(zm_rng *r)
{
    int flat = 1, same = 1;
    for (int round = 0; round < 30; round++) {
        zm_frame in = noise(r, 1 + (int)zm_rng_below(r, 60), 1 + (int)zm_rng_below(r, 60)), out, copy;
        if (zm_frame_init(&copy, in.width, in.height, NULL) || zm_frame_resize(&copy, &in, NULL))
            exit(1);
        same &= !memcmp(copy.rgb, in.rgb, (size_t)in.width * (size_t)in.height * 3);
        uint8_t level = (uint8_t)zm_rng_below(r, 256);
        memset(in.rgb, level, (size_t)in.width * (size_t)in.height * 3);
        if (zm_frame_init(&out, 1 + (int)zm_rng_below(r, 200), 1 + (int)zm_rng_below(r, 200), NULL) ||
            zm_frame_resize(&out, &in, NULL))
            exit(1);
        for (int i = 0; i < out.width * out.height * 3; i++)
            flat &= out.rgb[i] == level;
        zm_frame_release(&in);
        zm_frame_release(&out);
        zm_frame_release(&copy);
    }
    tap_ok(flat, "a flat picture stays flat at any size");
    tap_ok(same, "the same size is a copy");
}

/* Cubic convolution reproduces straight ramps exactly (Keys 1981), away from the edges. */
static void check_ramp(void)
{
    zm_frame in, out;
    if (zm_frame_init(&in, 40, 8, NULL) || zm_frame_init(&out, 200, 40, NULL))
        exit(1);
    for (int i = 0; i < 40 * 8; i++)
        for (int c = 0; c < 3; c++)
            in.rgb[i * 3 + c] = (uint8_t)(i % 40 * 6 + c);
    if (zm_frame_resize(&out, &in, NULL))
        exit(1);
    double worst = 0;
    for (int x = 15; x < 185; x++)
        worst = fmax(worst, fabs(((x + 0.5) / 5 - 0.5) * 6 - out.rgb[(20 * 200 + x) * 3]));
    tap_ok(worst < 0.6, "a ramp stays a ramp when enlarged five times: worst %.3f levels", worst);
    zm_frame_release(&in);
    zm_frame_release(&out);
}

static void check_fit(void)
{
    zm_frame in, out;
    if (zm_frame_init(&in, 90, 30, NULL) || zm_frame_init(&out, 30, 30, NULL))
        exit(1);
    for (int i = 0; i < 90 * 30; i++)
        in.rgb[i * 3 + i % 90 / 30] = 200; /* thirds: red, green, blue */
    int centre = !zm_frame_fit(&out, &in, NULL);
    for (int i = 0; i < 900; i++)
        centre &= out.rgb[i * 3] == 0 && out.rgb[i * 3 + 1] == 200 && out.rgb[i * 3 + 2] == 0;
    tap_ok(centre, "fit keeps the centre and stretches nothing");
    zm_frame_release(&in);
    zm_frame_release(&out);
}

static void check_turns(zm_rng *r)
{
    static const int inverse[] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
    zm_frame a = noise(r, 7, 4), b;
    int back = 1;
    for (int o = 1; o <= 8; o++) {
        if (zm_frame_copy(&b, &a, NULL) || zm_frame_orient(&b, o, NULL))
            exit(1);
        back &= b.width == (o >= 5 ? 4 : 7);
        if (o == 6) /* stored row 0 is the right side: the stored top left corner goes to the top right */
            back &= !memcmp(b.rgb + (size_t)(b.width - 1) * 3, a.rgb, 3);
        if (zm_frame_orient(&b, inverse[o], NULL))
            exit(1);
        back &= !memcmp(a.rgb, b.rgb, 7 * 4 * 3);
        zm_frame_release(&b);
    }
    tap_ok(back, "each orientation is undone by its inverse");
    zm_frame_release(&a);
}

static void check_floats(zm_rng *r)
{
    zm_frame a = noise(r, 33, 9), b;
    float planes[3 * 400];
    if (zm_frame_init(&b, 33, 9, NULL))
        exit(1);
    zm_frame_to_f32(planes, 400, &a);
    zm_frame_from_f32(&b, planes, 400);
    tap_ok(!memcmp(a.rgb, b.rgb, 33 * 9 * 3), "bytes survive the way through -1..1 floats");
    planes[0] = NAN, planes[1] = INFINITY, planes[2] = -INFINITY, planes[3] = 7;
    zm_frame_from_f32(&b, planes, 400);
    tap_ok(b.rgb[0] == 0 && b.rgb[3] == 255 && b.rgb[6] == 0 && b.rgb[9] == 255, "NaN and out-of-range are clamped");
    zm_frame_release(&a);
    zm_frame_release(&b);
}

static void check_sizes(void)
{
    static const int bad[][2] = {{0, 5}, {5, -1}, {16385, 1}, {16384, 16384}};
    for (int i = 0; i < 4; i++) {
        zm_frame f;
        zm_error err = {0};
        zm_status s = zm_frame_init(&f, bad[i][0], bad[i][1], &err);
        tap_ok(s == ZM_E_USAGE && !f.rgb && good_sentence(&err, s), "refused: %s", err.text);
    }
    zm_frame in, out; /* the longest filters there are */
    if (zm_frame_init(&in, 16384, 3, NULL) || zm_frame_init(&out, 1, 1, NULL))
        exit(1);
    memset(in.rgb, 77, 16384 * 9);
    zm_status s = zm_frame_resize(&out, &in, NULL);
    tap_ok(!s && out.rgb[0] == 77, "16384 pixels to one: %d", out.rgb[0]);
    zm_frame_release(&in);
    zm_frame_release(&out);
}

int main(void)
{
    zm_rng r = fresh_rng();
    check_area(&r);
    check_flat_and_copy(&r);
    check_ramp();
    check_fit();
    check_turns(&r);
    check_floats(&r);
    check_sizes();
    return tap_done();
}
