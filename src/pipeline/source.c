/* Reading given videos.
 * SPDX-License-Identifier: MIT */
#include "pipeline/source.h"

#include <math.h>
#include <stdlib.h>

zm_status zm_source_open(zm_source *s, const char *path, zm_error *err)
{
    *s = (zm_source){.path = path};
    zm_status st = zm_reader_open(&s->reader, path, NULL, err);
    if (st)
        return st;
    const zm_reader_info *i = zm_reader_about(s->reader);
    s->width = i->width;
    s->height = i->height;
    double fps = i->fps_den > 0 ? (double)i->fps_num / i->fps_den : 0;
    s->fps = fps >= 0.1 && fps <= 240 ? fps : 0;
    if (!i->still)
        return ZM_OK;
    zm_source_close(s);
    return zm_fail(err, ZM_E_USAGE, "%s: a picture, where a video is needed; --image FILE begins with a picture", path);
}

void zm_source_close(zm_source *s)
{
    zm_reader_close(&s->reader);
    *s = (zm_source){0};
}

zm_status zm_source_next(zm_source *s, const zm_frame **out, zm_error *err)
{
    zm_status st = zm_reader_next(s->reader, out, err);
    if (!st && *out)
        s->at++;
    return st;
}

zm_status zm_source_count(int64_t *out, const char *path, int64_t most, zm_error *err)
{
    zm_source s;
    const zm_frame *f;
    zm_status st = zm_source_open(&s, path, err);
    *out = 0;
    if (st)
        return st;
    do
        st = zm_source_next(&s, &f, err);
    while (!st && f && s.at < most);
    *out = s.at;
    zm_source_close(&s);
    if (!st && !*out)
        st = zm_fail(err, ZM_E_FORMAT, "%s: there is no frame in it", path);
    return st;
}

void zm_source_fit(const zm_model *m, int width, int height, int *out_width, int *out_height)
{
    enum { MOST = 64 };
    int gx, gy;
    zm_request_grid(m, &gx, &gy);
    double own = (double)m->config.video.width * m->config.video.height, best = 2;
    int found = 0;
    for (int k = 1; k <= MOST; k++) {
        if (width % (k * gx) || height % (k * gy))
            continue;
        double off = fabs(log2((double)(width / k) * (height / k) / own));
        if (off < best)
            best = off, found = k;
    }
    if (found) {
        *out_width = width / found;
        *out_height = height / found;
    } else {
        zm_request_size_like(m, width, height, out_width, out_height);
    }
}

void zm_frame_floats(float *out, const zm_frame *f)
{
    size_t n = (size_t)f->width * (size_t)f->height * 3;
    for (size_t i = 0; i < n; i++) /* in the official code's order of operations */
        out[i] = ((float)f->rgb[i] / 255 - 0.5F) / 0.5F;
}

zm_status zm_image_read(zm_image *out, float **pixels, const char *path, zm_error *err)
{
    zm_frame f;
    zm_status s = zm_picture_read(&f, path, err);
    if (s)
        return s;
    if (!(*pixels = malloc((size_t)f.width * (size_t)f.height * 3 * sizeof **pixels)))
        s = zm_fail(err, ZM_E_NOMEM, "%s: no memory for a picture of %dx%d", path, f.width, f.height);
    else
        zm_frame_floats(*pixels, &f);
    *out = (zm_image){.rgb = *pixels, .width = f.width, .height = f.height};
    zm_frame_release(&f);
    return s;
}
