/* Frames of the toy-box drawn by a CUDA device.
 * SPDX-License-Identifier: MIT */
#include "backend/draw.h"

#include <stdlib.h>

#include "backend/cuda/call.h"
#include "backend/cuda/device.h"

/* On the device. */
enum { FRAMES, PALETTE, SPRITES, RGB, IDS, WHOLE, PLACES };

struct zm_drawer {
    zm_gpu_call call;
    zm_error err;
    int width, height, frames;
    int under_way;     /* frames */
    zm_still *room[2]; /* pinned, by turns */
    int turn;
    void *at[PLACES];
    size_t bytes[PLACES];
};

static zm_status make_room(zm_drawer *d, const zm_draw_art *art, zm_error *err)
{
    zm_gpu *g = d->call.gpu;
    size_t n = (size_t)d->frames, pixels = n * (size_t)d->width * (size_t)d->height;
    const size_t bytes[PLACES] = {n * sizeof(zm_still),
                                  sizeof *art->palette,
                                  (size_t)art->sprites * sizeof *art->sprite,
                                  pixels * 3,
                                  pixels,
                                  n * ZM_DRAW_SOLIDS * sizeof(int32_t)};
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < PLACES; i++) {
        d->bytes[i] = bytes[i];
        s = g->fns->alloc(g, &d->at[i], bytes[i], err);
    }
    for (int i = 0; !s && i < 2; i++) {
        void *room;
        s = g->fns->host_alloc(g, &room, bytes[FRAMES], err);
        d->room[i] = s ? NULL : room;
    }
    if (!s)
        s = g->fns->put(g, d->at[PALETTE], art->palette, bytes[PALETTE], err);
    return s ? s : g->fns->put(g, d->at[SPRITES], art->sprite, bytes[SPRITES], err);
}

zm_status zm_drawer_new(zm_drawer **out, const zm_draw_art *art, int width, int height, int frames, zm_error *err)
{
    *out = NULL;
    if (zm_backend_device() != ZM_DEVICE_CUDA)
        return ZM_OK;
    zm_drawer *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for drawing on the card");
    d->call = (zm_gpu_call){.gpu = zm_cuda_device(), .compute = ZM_F32, .limit = zm_cuda_limit(), .err = &d->err};
    d->width = width;
    d->height = height;
    d->frames = frames;
    zm_status s = make_room(d, art, err);
    if (s)
        zm_drawer_free(d);
    else
        *out = d;
    return s;
}

void zm_drawer_free(zm_drawer *d)
{
    if (!d)
        return;
    zm_gpu *g = d->call.gpu;
    zm_error ignored = {0};
    if (d->under_way && g->fns->wait(g, &ignored)) /* it reads the rooms; a device that failed reads nothing any more */
        d->under_way = 0;
    for (int i = 0; i < PLACES; i++)
        if (d->at[i])
            g->fns->release(g, d->at[i]);
    for (int i = 0; i < 2; i++)
        if (d->room[i])
            g->fns->host_release(g, d->room[i]);
    free(d);
}

zm_still *zm_drawer_room(zm_drawer *d)
{
    return d->room[d->turn];
}

static zm_gpu_view place(const zm_drawer *d, int which)
{
    return zm_gpu_flat(d->at[which], ZM_U8, (int64_t)d->bytes[which]);
}

zm_status zm_drawer_start(zm_drawer *d, int n, bool whole, zm_error *err)
{
    ZM_ASSERT(n > 0 && n <= d->frames && !d->under_way);
    zm_error_clear(&d->err);
    d->call.status =
        d->call.gpu->fns->put(d->call.gpu, d->at[FRAMES], d->room[d->turn], (size_t)n * sizeof(zm_still), &d->err);
    d->turn = !d->turn;
    zm_gpu_node draw = {.in = {place(d, FRAMES), place(d, PALETTE), place(d, SPRITES), place(d, IDS)},
                        .out = place(d, RGB),
                        .i = {d->width, d->height}};
    zm_gpu_node count = {.in = {draw.in[0], draw.in[1], draw.in[2]}, .out = place(d, WHOLE)};
    zm_gpu_launch(&d->call, ZM_K_zm_gpu_draw, &draw, (int64_t)n * d->width * d->height);
    if (whole)
        zm_gpu_launch(&d->call, ZM_K_zm_gpu_footprint, &count, (int64_t)n * ZM_DRAW_SOLIDS);
    d->under_way = n;
    return d->call.status ? zm_fail(err, d->call.status, "%s", d->err.text) : ZM_OK;
}

zm_status zm_drawer_finish(zm_drawer *d, uint8_t *rgb, uint8_t *ids, int32_t *whole, zm_error *err)
{
    zm_gpu *g = d->call.gpu;
    size_t n = (size_t)d->under_way, pixels = n * (size_t)d->width * (size_t)d->height;
    ZM_ASSERT(n > 0);
    zm_status s = g->fns->get(g, rgb, d->at[RGB], pixels * 3, err);
    if (!s)
        s = g->fns->get(g, ids, d->at[IDS], pixels, err);
    if (!s && whole)
        s = g->fns->get(g, whole, d->at[WHOLE], n * ZM_DRAW_SOLIDS * sizeof *whole, err);
    d->under_way = 0;
    return s;
}
