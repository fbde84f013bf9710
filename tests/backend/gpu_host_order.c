/* The streams of the tests' device.
 *
 * Each stream counts what is put on it and knows, of every other one, the last number that surely is done before it (a
 * vector clock).  main does its work at once, so values alone show a copy that comes too late, and the clocks one that
 * may come too early.
 * SPDX-License-Identifier: MIT */
#include "gpu_host_order.h"

#include <stdlib.h>
#include <string.h>

#include "gpu_host.h"

enum { QUEUE_MAX = 1 << 16, COPIES_MAX = 4096 };

typedef struct counts {
    int64_t of[ZM_GPU_STREAMS];
} counts;

typedef struct mark {
    bool set;
    counts at;
} mark;

typedef struct item {
    bool is_wait;
    counts until;
    zm_gpu_host_work work;
} item;

/* Memory that a copy went to last: its number on copy's stream, and main's last that touched it since. */
typedef struct copied {
    const char *at;
    size_t bytes;
    int64_t by, touched;
} copied;

static struct {
    counts known[ZM_GPU_STREAMS];
    item *queue[ZM_GPU_STREAMS]; /* put on it and not done: [done, put) */
    int64_t done[ZM_GPU_STREAMS];
    bool eager[ZM_GPU_STREAMS];
    copied copied[COPIES_MAX];
    int n, marks;
} o;

static item *item_of(int s, int64_t number)
{
    if (!o.queue[s])
        o.queue[s] = calloc(QUEUE_MAX, sizeof **o.queue);
    ZM_ASSERT(o.queue[s]);
    return &o.queue[s][number % QUEUE_MAX];
}

static bool has_come(const counts *c)
{
    for (int s = ZM_GPU_STAGE; s < ZM_GPU_STREAMS; s++)
        if (o.done[s] < c->of[s])
            return false;
    return true;
}

static void run_until(const counts *c);

static void run_next(int s)
{
    item *i = item_of(s, o.done[s] + 1);
    if (i->is_wait)
        run_until(&i->until);
    else
        zm_gpu_host_do(&i->work);
    o.done[s]++;
}

static void run_until(const counts *c)
{
    for (int s = ZM_GPU_STAGE; s < ZM_GPU_STREAMS; s++)
        while (o.done[s] < c->of[s])
            run_next(s);
}

static void run_eager(void)
{
    for (bool more = true; more;) {
        more = false;
        for (int s = ZM_GPU_STAGE; s < ZM_GPU_STREAMS; s++)
            while (o.eager[s] && o.done[s] < o.known[s].of[s]) {
                const item *i = item_of(s, o.done[s] + 1);
                if (i->is_wait && !has_come(&i->until))
                    break;
                run_next(s);
                more = true;
            }
    }
}

static void put(int s, const item *i)
{
    int64_t number = ++o.known[s].of[s];
    ZM_ASSERT(number - o.done[s] < QUEUE_MAX);
    *item_of(s, number) = *i;
}

void zm_gpu_host_eager(bool stage, bool copy)
{
    o.eager[ZM_GPU_STAGE] = stage;
    o.eager[ZM_GPU_COPY] = copy;
}

void zm_gpu_host_main(void)
{
    o.known[ZM_GPU_MAIN].of[ZM_GPU_MAIN]++;
    run_eager();
}

static bool meet(const copied *c, const char *at, size_t bytes)
{
    return at < c->at + c->bytes && c->at < at + bytes;
}

void zm_gpu_host_touches(const void *at, size_t bytes)
{
    const counts *main = &o.known[ZM_GPU_MAIN];
    for (int i = 0; at && i < o.n; i++)
        if (meet(&o.copied[i], at, bytes)) {
            zm_gpu_host_demand(o.copied[i].by <= main->of[ZM_GPU_COPY], "a kernel does not wait for its weights");
            o.copied[i].touched = main->of[ZM_GPU_MAIN] + 1;
        }
}

/* Poison shows whoever still reads what the copy goes over. */
static void note_copy(char *to, size_t bytes)
{
    int n = 0;
    for (int i = 0; i < o.n; i++) {
        const copied *c = &o.copied[i];
        bool meets = meet(c, to, bytes);
        if (meets)
            zm_gpu_host_demand(c->touched <= o.known[ZM_GPU_COPY].of[ZM_GPU_MAIN],
                               "a copy does not wait for who reads what lies there");
        if (!meets || to > c->at || to + bytes < c->at + c->bytes)
            o.copied[n++] = *c; /* what it does not cover */
    }
    o.n = n;
    ZM_ASSERT(o.n < COPIES_MAX);
    o.copied[o.n++] = (copied){.at = to, .bytes = bytes, .by = o.known[ZM_GPU_COPY].of[ZM_GPU_COPY] + 1};
    zm_gpu_host_poison(to, bytes);
}

zm_status zm_gpu_host_put_on(zm_gpu *g, zm_gpu_stream on, void *to, const void *pinned, size_t bytes, zm_error *err)
{
    (void)g;
    (void)err;
    ZM_ASSERT(on == ZM_GPU_COPY);
    zm_gpu_host_copies(to, bytes);
    note_copy(to, bytes);
    put(on, &(item){.work = {.to = to, .from = pinned, .bytes = bytes}});
    run_eager();
    return ZM_OK;
}

zm_status zm_gpu_host_call(zm_gpu *g, zm_gpu_stream on, void (*fn)(void *user), void *user, zm_error *err)
{
    (void)g;
    ZM_ASSERT(on != ZM_GPU_MAIN);
    if (zm_gpu_host_fails())
        return zm_fail(err, ZM_E_NOMEM, "the device has no room for an order");
    put(on, &(item){.work = {.fn = fn, .user = user}});
    run_eager();
    return ZM_OK;
}

zm_status zm_gpu_host_mark_new(zm_gpu *g, void **out, zm_error *err)
{
    (void)g;
    *out = zm_gpu_host_fails() ? NULL : calloc(1, sizeof(mark));
    o.marks += *out != NULL;
    return *out ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "the device has no room for a mark");
}

void zm_gpu_host_mark_free(zm_gpu *g, void *m)
{
    (void)g;
    o.marks--;
    free(m);
}

zm_status zm_gpu_host_mark(zm_gpu *g, zm_gpu_stream on, void *m, zm_error *err)
{
    (void)g;
    if (zm_gpu_host_fails())
        return zm_fail(err, ZM_E_NOMEM, "the device has no room for an order");
    *(mark *)m = (mark){.set = true, .at = o.known[on]};
    return ZM_OK;
}

zm_status zm_gpu_host_await(zm_gpu *g, zm_gpu_stream on, void *m, zm_error *err)
{
    (void)g;
    (void)err;
    const mark *of = m;
    zm_gpu_host_demand(of->set, "a stream waits for a mark that nobody set");
    for (int s = 0; s < ZM_GPU_STREAMS; s++)
        if (o.known[on].of[s] < of->at.of[s])
            o.known[on].of[s] = of->at.of[s];
    if (on == ZM_GPU_MAIN)
        run_until(&of->at);
    else
        put(on, &(item){.is_wait = true, .until = of->at});
    run_eager();
    return ZM_OK;
}

bool zm_gpu_host_idle(void)
{
    bool idle = !o.marks;
    for (int s = ZM_GPU_STAGE; s < ZM_GPU_STREAMS; s++)
        idle = idle && o.done[s] == o.known[s].of[s];
    for (int s = ZM_GPU_STAGE; idle && s < ZM_GPU_STREAMS; s++) {
        free(o.queue[s]);
        o.queue[s] = NULL;
    }
    return idle;
}

void zm_gpu_host_forget(const void *at, size_t bytes)
{
    int n = 0;
    for (int i = 0; i < o.n; i++)
        if (meet(&o.copied[i], at, bytes)) {
            zm_gpu_host_demand(o.done[ZM_GPU_COPY] >= o.copied[i].by, "memory goes while a copy to it is under way");
            run_until(&(counts){.of = {[ZM_GPU_COPY] = o.copied[i].by}}); /* to go on counting */
        } else {
            o.copied[n++] = o.copied[i];
        }
    o.n = n;
}
