/* One frame on the CPU: each step of draw/pixel.h over the pixels that it concerns.
 * SPDX-License-Identifier: MIT */
#include "world/draw.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "draw/pixel.h"

bool zm_canvas_init(zm_canvas *c, int width, int height)
{
    *c = (zm_canvas){.width = width, .height = height};
    size_t n = (size_t)width * (size_t)height;
    c->colour = zm_aligned_alloc(n * sizeof *c->colour);
    c->open = zm_aligned_alloc(n * sizeof *c->open);
    c->near = zm_aligned_alloc(n * sizeof *c->near);
    c->backdrop = zm_aligned_alloc(n * sizeof *c->backdrop);
    c->ids = zm_aligned_alloc(n);
    if (!c->colour || !c->open || !c->near || !c->backdrop || !c->ids) {
        zm_canvas_release(c);
        return false;
    }
    return true;
}

void zm_canvas_release(zm_canvas *c)
{
    free(c->colour);
    free(c->open);
    free(c->near);
    free(c->backdrop);
    free(c->ids);
    *c = (zm_canvas){0};
}

void zm_canvas_backdrop(zm_canvas *c, const zm_draw_set *st)
{
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++)
            c->backdrop[(size_t)y * (size_t)c->width + (size_t)x] = zm_backdrop_at(st, x, y);
}

static void draw_ground(zm_canvas *c, const zm_still *f)
{
    size_t n = (size_t)c->width * (size_t)c->height;
    for (size_t i = 0; i < n; i++)
        c->open[i] = c->near[i] = 1;
    for (int k = 0; k < f->n; k++) {
        zm_draw_box b = f->shadow[k];
        for (int y = b.y0; y < b.y1; y++)
            for (int x = b.x0; x < b.x1; x++) {
                size_t i = (size_t)y * (size_t)c->width + (size_t)x;
                zm_pixel_shadow(f, k, x, y, &c->open[i], &c->near[i]);
            }
    }
    for (size_t i = 0; i < n; i++)
        c->colour[i] = zm_pixel_ground(&c->backdrop[i], c->open[i], c->near[i]);
}

static void draw_reflection(zm_canvas *c, const zm_draw_set *st, int self)
{
    zm_draw_box b = st->frame->mirror[self];
    for (int y = b.y0; y < b.y1; y++)
        for (int x = b.x0; x < b.x1; x++) {
            size_t i = (size_t)y * (size_t)c->width + (size_t)x;
            if (c->backdrop[i].mirror > 0)
                c->colour[i] = zm_pixel_mirror(st, self, x, y, c->colour[i], c->backdrop[i].mirror);
        }
}

static int32_t draw_solid(zm_canvas *c, const zm_draw_set *st, int self)
{
    zm_draw_box b = st->frame->body[self];
    int32_t whole = 0;
    for (int y = b.y0; y < b.y1; y++)
        for (int x = b.x0; x < b.x1; x++) {
            zm_sample p = zm_pixel_solid(st, self, (float)x, (float)y, 1);
            whole += p.alpha > 0.5f;
            if (p.alpha <= 0 || x < 0 || y < 0 || x >= c->width || y >= c->height)
                continue;
            size_t i = (size_t)y * (size_t)c->width + (size_t)x;
            c->colour[i] = zm_pixel_over(&p, c->colour[i]);
            if (p.alpha > 0.5f)
                c->ids[i] = (uint8_t)st->frame->solid[self].id;
        }
    return whole;
}

void zm_canvas_draw(zm_canvas *c, const zm_draw_set *st, int32_t *whole)
{
    const zm_still *f = st->frame;
    ZM_ASSERT(f->n >= 0 && f->n <= ZM_DRAW_SOLIDS && f->view.width == c->width && f->view.height == c->height);
    memset(c->ids, 0, (size_t)c->width * (size_t)c->height);
    draw_ground(c, f);
    for (int i = 0; i < f->n; i++)
        draw_reflection(c, st, f->order[i]);
    for (int i = 0; i < f->n; i++)
        whole[f->order[i]] = draw_solid(c, st, f->order[i]);
}

void zm_canvas_encode(const zm_canvas *c, const zm_palette *palette, uint8_t *rgb)
{
    size_t n = (size_t)c->width * (size_t)c->height;
    for (size_t i = 0; i < n; i++) {
        rgb[3 * i] = zm_pixel_byte(palette, c->colour[i].x);
        rgb[3 * i + 1] = zm_pixel_byte(palette, c->colour[i].y);
        rgb[3 * i + 2] = zm_pixel_byte(palette, c->colour[i].z);
    }
}
