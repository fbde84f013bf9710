/* Copies on the device of memory that somebody else owns on the host.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/memory.h"

#include <stdlib.h>

enum { SHELVES = 1024 };

/* Made with the first copy, freed with the last one. */
struct zm_gpu_copies {
    zm_gpu_copy *shelf[SHELVES];
    size_t n;
};

static void free_if_empty(zm_gpu *g)
{
    if (g->copies->n)
        return;
    free(g->copies);
    g->copies = NULL;
}

static size_t shelf_of(const void *host)
{
    uintptr_t v = (uintptr_t)host >> 6;
    return (size_t)((v ^ v >> 10 ^ v >> 20) % SHELVES);
}

zm_gpu_copy *zm_gpu_copy_of(const zm_gpu *g, const void *host)
{
    zm_gpu_copy *c = g->copies ? g->copies->shelf[shelf_of(host)] : NULL;
    while (c && (c->host != host || c->form != ZM_GPU_AS_IS))
        c = c->next;
    return c;
}

void zm_gpu_copies_changed(zm_gpu *g, const void *host)
{
    for (zm_gpu_copy *c = g->copies ? g->copies->shelf[shelf_of(host)] : NULL; c; c = c->next)
        if (c->host == host)
            c->host_newer = true, c->device_newer = false;
}

zm_status zm_gpu_hold(zm_gpu_copy **out, zm_gpu *g, void *host, size_t bytes, zm_error *err)
{
    return zm_gpu_hold_as(out, g, host, bytes, ZM_GPU_AS_IS, bytes, err);
}

zm_status zm_gpu_hold_as(zm_gpu_copy **out, zm_gpu *g, void *host, size_t bytes, zm_gpu_form form, size_t device_bytes,
                         zm_error *err)
{
    *out = NULL;
    if (!g->copies && !(g->copies = calloc(1, sizeof *g->copies)))
        return zm_fail(err, ZM_E_NOMEM, "out of memory for a table of weights");
    zm_gpu_copy **shelf = &g->copies->shelf[shelf_of(host)];
    for (zm_gpu_copy *c = *shelf; c; c = c->next)
        if (c->host == host && c->bytes == bytes && c->form == form) {
            c->held++;
            *out = c;
            return ZM_OK;
        }
    zm_gpu_copy *c = calloc(1, sizeof *c);
    zm_status s = c ? g->fns->alloc(g, &c->device, device_bytes, err)
                    : zm_fail(err, ZM_E_NOMEM, "out of memory for a table of weights");
    if (s) {
        free(c);
        free_if_empty(g);
        return s;
    }
    g->copies->n++;
    c->host = host;
    c->bytes = bytes;
    c->form = form;
    c->held = 1;
    c->host_newer = true;
    c->next = *shelf;
    *shelf = *out = c;
    return ZM_OK;
}

void zm_gpu_let_go(zm_gpu *g, zm_gpu_copy *c)
{
    if (!c || --c->held > 0)
        return;
    zm_error ignored = {0};
    if (c->device_newer && zm_gpu_copy_out(g, c, &ignored))
        c->device_newer = false; /* the device is lost, and with it what it had newer */
    for (zm_gpu_copy **at = &g->copies->shelf[shelf_of(c->host)]; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            g->copies->n--;
            break;
        }
    g->fns->release(g, c->device);
    free(c);
    free_if_empty(g);
}

zm_status zm_gpu_copy_in(zm_gpu *g, zm_gpu_copy *c, zm_error *err)
{
    if (!c->host_newer)
        return ZM_OK;
    zm_status s = g->fns->put(g, c->device, c->host, c->bytes, err);
    c->host_newer = s != ZM_OK;
    return s;
}

zm_status zm_gpu_copy_out(zm_gpu *g, zm_gpu_copy *c, zm_error *err)
{
    if (!c->device_newer)
        return ZM_OK;
    zm_status s = g->fns->get(g, c->host, c->device, c->bytes, err);
    c->device_newer = s != ZM_OK;
    return s;
}

void zm_gpu_copies_free(zm_gpu *g)
{
    for (int i = 0; g->copies && i < SHELVES; i++)
        while (g->copies->shelf[i]) {
            zm_gpu_copy *c = g->copies->shelf[i];
            c->held = 1;
            zm_gpu_let_go(g, c);
        }
    free(g->copies);
    g->copies = NULL;
}
