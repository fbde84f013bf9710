/* Convolutions by cuDNN's graph API, opened when the program runs.
 *
 * A plan is made for every size that comes, and kept: bf16 in, sums and results f32, the bias in the same pass where an
 * engine has that.  Engines that sum in fewer bits, by other transforms, or differently from run to run are passed over.
 * The legacy calls would do with less, but they give results in the operands' type only.
 *
 * Engines that take bf16 and give f32 are compiled by cuDNN when a plan is made, which takes seconds (seen without a card,
 * cuDNN 9.19), so small convolutions are left to products.  Where to draw that line has not been measured.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cudnn_api.h"
#include "backend/cuda/driver.h"
#include "base/log.h"

static const double FLOPS_LEAST = 1e10;
enum { PLANS = 1024, MADE_MAX = 96, CONFIGS = 32, ID_X = 1, ID_W, ID_Y, ID_BIAS, ID_SUM, ALIGNMENT = 16 };

/* What chooses a plan. */
typedef struct shape {
    int64_t batch, c, o, in[3], out[3], kernel[3], stride[3], bias;
} shape;

typedef struct plan {
    shape key;
    bool known, understood; /* understood: cuDNN took its description */
    void *made;             /* its descriptor; NULL: cuDNN has no engine for this */
    int64_t workspace;
} plan;

struct zm_dnn {
    zm_dnn_library call;
    void *handle; /* NULL until the first use */
    void *card;   /* descriptor of a card that need not be here, or NULL */
    bool failed;
    void *workspace;
    size_t workspace_bytes;
    plan plan[PLANS];
};

zm_status zm_dnn_open(zm_dnn **out, void *workspace, size_t bytes, zm_error *err)
{
    static const char *const files[] = {"libcudnn.so.9", "libcudnn.so", "/usr/local/cuda/lib64/libcudnn.so.9"},
                             *const names[] = {
#define NAME(name, result, arguments) #name,
                                 ZM_DNN_CALLS(NAME)
#undef NAME
                             };
    enum { N = sizeof names / sizeof *names };
    void *at[N];
    *out = NULL;
    if (!zm_library_open(files, sizeof files / sizeof *files, names, at, N))
        return ZM_OK;
    zm_dnn *d = calloc(1, sizeof *d);
    if (!d)
        return zm_fail(err, ZM_E_NOMEM, "out of memory for cuDNN");
    _Static_assert(sizeof d->call == sizeof at, "one pointer for each name");
    memcpy(&d->call, at, sizeof at);
    d->workspace = workspace;
    d->workspace_bytes = bytes;
    *out = d;
    return ZM_OK;
}

void zm_dnn_version(const zm_dnn *d, char *text, size_t size)
{
    size_t v = d->call.cudnnGetVersion_();
    snprintf(text, size, "cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
}

/* ---- descriptors, sticky: after the first error nothing is made any more ---- */

typedef struct maker {
    zm_dnn *d;
    int status;
    const char *what; /* that failed */
    void *made[MADE_MAX];
    int n;
} maker;

static void note(maker *m, int status, const char *what)
{
    if (!m->status && status)
        m->status = status, m->what = what;
}

static void *make(maker *m, int kind)
{
    void *at = NULL;
    if (m->status || m->n == MADE_MAX)
        return NULL;
    note(m, m->d->call.cudnnBackendCreateDescriptor_(kind, &at), "a descriptor");
    if (at)
        m->made[m->n++] = at;
    return at;
}

static void set(maker *m, void *at, int name, int type, int64_t n, const void *values, const char *what)
{
    if (!m->status)
        note(m, m->d->call.cudnnBackendSetAttribute_(at, name, type, n, values), what);
}

static void set_type(maker *m, void *at, int name, int type)
{
    set(m, at, name, DNN_DATA_TYPE, 1, &type, "a type");
}

static void set_descriptor(maker *m, void *at, int name, void *to)
{
    set(m, at, name, DNN_DESCRIPTOR, 1, &to, "a descriptor's part");
}

static void finalize(maker *m, void *at, const char *what)
{
    if (!m->status)
        note(m, m->d->call.cudnnBackendFinalize_(at), what);
}

/* All but `stays`. */
static void drop(maker *m, const void *stays)
{
    for (int i = m->n - 1; i >= 0; i--)
        if (m->made[i] != stays)
            m->d->call.cudnnBackendDestroyDescriptor_(m->made[i]);
    m->n = 0;
}

/* ---- the graph of one convolution ---- */

/* [n,c,frames,height,width] that lies with the channel fastest.  id ID_SUM: between two nodes, never in memory. */
static void *tensor(maker *m, int64_t id, int type, int64_t n, int64_t c, const int64_t *size)
{
    void *t = make(m, DNN_TENSOR);
    int64_t sizes[5] = {n, c, size[0], size[1], size[2]}, align = ALIGNMENT;
    int64_t steps[5] = {c * size[0] * size[1] * size[2], 1, c * size[1] * size[2], c * size[2], c};
    bool between = id == ID_SUM;
    set_type(m, t, DNN_TENSOR_TYPE, type);
    set(m, t, DNN_TENSOR_SIZES, DNN_INT64, 5, sizes, "sizes");
    set(m, t, DNN_TENSOR_STEPS, DNN_INT64, 5, steps, "steps");
    set(m, t, DNN_TENSOR_ID, DNN_INT64, 1, &id, "a tensor's number");
    set(m, t, DNN_TENSOR_ALIGNMENT, DNN_INT64, 1, &align, "alignment");
    set(m, t, DNN_TENSOR_VIRTUAL, DNN_BOOLEAN, 1, &between, "what lies in memory");
    finalize(m, t, "a tensor");
    return t;
}

static void *convolution(maker *m, const shape *s, void *y)
{
    static const int64_t none[3] = {0, 0, 0}, ones[3] = {1, 1, 1};
    void *by = make(m, DNN_CONVOLUTION), *node;
    int64_t axes = 3;
    int mode = DNN_CROSS_CORRELATION;
    float alpha = 1, beta = 0;
    set(m, by, DNN_CONVOLUTION_AXES, DNN_INT64, 1, &axes, "axes");
    set_type(m, by, DNN_CONVOLUTION_TYPE, DNN_FLOAT);
    set(m, by, DNN_CONVOLUTION_MODE, DNN_CONV_MODE, 1, &mode, "the kind of convolution");
    set(m, by, DNN_CONVOLUTION_BEFORE, DNN_INT64, 3, none, "padding");
    set(m, by, DNN_CONVOLUTION_AFTER, DNN_INT64, 3, none, "padding");
    set(m, by, DNN_CONVOLUTION_DILATIONS, DNN_INT64, 3, ones, "dilation");
    set(m, by, DNN_CONVOLUTION_STRIDES, DNN_INT64, 3, s->stride, "stride");
    finalize(m, by, "a convolution");
    node = make(m, DNN_CONVOLVE);
    set_descriptor(m, node, DNN_CONVOLVE_X, tensor(m, ID_X, DNN_BFLOAT16, s->batch, s->c, s->in));
    set_descriptor(m, node, DNN_CONVOLVE_W, tensor(m, ID_W, DNN_BFLOAT16, s->o, s->c, s->kernel));
    set_descriptor(m, node, DNN_CONVOLVE_Y, y);
    set_descriptor(m, node, DNN_CONVOLVE_BY, by);
    set(m, node, DNN_CONVOLVE_ALPHA, DNN_FLOATS, 1, &alpha, "alpha");
    set(m, node, DNN_CONVOLVE_BETA, DNN_FLOATS, 1, &beta, "beta");
    finalize(m, node, "a convolution's node");
    return node;
}

static void *add_bias(maker *m, const shape *s, void *sum, void *y)
{
    static const int64_t ones[3] = {1, 1, 1};
    void *by = make(m, DNN_POINTWISE), *node;
    int mode = DNN_ADD;
    set(m, by, DNN_POINTWISE_IS, DNN_POINTWISE_MODE, 1, &mode, "an addition");
    set_type(m, by, DNN_POINTWISE_TYPE, DNN_FLOAT);
    finalize(m, by, "an addition");
    node = make(m, DNN_MAP);
    set_descriptor(m, node, DNN_MAP_BY, by);
    set_descriptor(m, node, DNN_MAP_X, sum);
    set_descriptor(m, node, DNN_MAP_B, tensor(m, ID_BIAS, DNN_FLOAT, 1, s->o, ones));
    set_descriptor(m, node, DNN_MAP_Y, y);
    finalize(m, node, "an addition's node");
    return node;
}

static void *graph_of(maker *m, const shape *s)
{
    void *node[2], *graph, *y = tensor(m, ID_Y, DNN_FLOAT, s->batch, s->o, s->out);
    void *sum = s->bias ? tensor(m, ID_SUM, DNN_FLOAT, s->batch, s->o, s->out) : y;
    node[0] = convolution(m, s, sum);
    if (s->bias)
        node[1] = add_bias(m, s, sum, y);
    graph = make(m, DNN_GRAPH);
    set(m, graph, DNN_GRAPH_NODES, DNN_DESCRIPTOR, s->bias ? 2 : 1, node, "nodes");
    if (m->d->handle)
        set(m, graph, DNN_GRAPH_HANDLE, DNN_HANDLE, 1, &m->d->handle, "the handle");
    finalize(m, graph, "a graph");
    return graph;
}

/* ---- choosing an engine ---- */

/* Plain sums in f32, the same ones every time. */
static bool is_plain(maker *m, void *config)
{
    int notes[16];
    int64_t n = 0;
    void *engine = make(m, DNN_ENGINE);
    const zm_dnn_library *l = &m->d->call;
    if (!engine || l->cudnnBackendGetAttribute_(config, DNN_CONFIG_ENGINE, DNN_DESCRIPTOR, 1, &n, &engine) ||
        l->cudnnBackendGetAttribute_(engine, DNN_ENGINE_NOTES, DNN_NOTE, 16, &n, notes))
        return false;
    for (int64_t i = 0; i < n && i < 16; i++)
        if (notes[i] != DNN_NOTE_TENSOR_CORE && notes[i] != DNN_NOTE_STRICT_NAN)
            return false;
    return true;
}

/* The plan of a configuration, or NULL: it cannot be made, or wants more room. */
static void *plan_of(maker *m, void *config, int64_t *workspace)
{
    zm_dnn *d = m->d;
    const zm_dnn_library *l = &d->call;
    void *at = NULL;
    int64_t n = 0;
    if (l->cudnnBackendCreateDescriptor_(DNN_PLAN, &at))
        return NULL;
    bool ok = d->card ? !l->cudnnBackendSetAttribute_(at, DNN_PLAN_CARD, DNN_DESCRIPTOR, 1, &d->card)
                      : !l->cudnnBackendSetAttribute_(at, DNN_PLAN_HANDLE, DNN_HANDLE, 1, &d->handle);
    ok = ok && !l->cudnnBackendSetAttribute_(at, DNN_PLAN_CONFIG, DNN_DESCRIPTOR, 1, &config) &&
         !l->cudnnBackendFinalize_(at) &&
         !l->cudnnBackendGetAttribute_(at, DNN_PLAN_WORKSPACE, DNN_INT64, 1, &n, workspace) &&
         *workspace <= (int64_t)d->workspace_bytes;
    if (ok)
        return at;
    l->cudnnBackendDestroyDescriptor_(at);
    return NULL;
}

/* The first that works of what cuDNN thinks fast, then of what it thinks always works. */
static void choose(zm_dnn *d, plan *p)
{
    static const int modes[] = {DNN_MODE_A, DNN_MODE_FALLBACK};
    for (int k = 0; k < 2 && !p->made; k++) {
        maker m = {.d = d};
        void *graph = graph_of(&m, &p->key), *heuristics = make(&m, DNN_HEURISTICS), *config[CONFIGS];
        int64_t n = 0;
        set_descriptor(&m, heuristics, DNN_HEURISTICS_GRAPH, graph);
        set(&m, heuristics, DNN_HEURISTICS_MODE, DNN_HEUR_MODE, 1, &modes[k], "a way to choose");
        if (d->card)
            set_descriptor(&m, heuristics, DNN_HEURISTICS_CARD, d->card);
        finalize(&m, heuristics, "a choice");
        p->understood = !m.status;
        for (int i = 0; i < CONFIGS; i++)
            config[i] = make(&m, DNN_CONFIG);
        if (!m.status)
            note(&m,
                 d->call.cudnnBackendGetAttribute_(heuristics, DNN_HEURISTICS_FOUND, DNN_DESCRIPTOR, CONFIGS, &n,
                                                   config),
                 "engines");
        for (int64_t i = 0; !m.status && i < n && i < CONFIGS && !p->made; i++)
            if (is_plain(&m, config[i]))
                p->made = plan_of(&m, config[i], &p->workspace);
        if (m.status)
            zm_log(ZM_LOG_DEBUG, "cuDNN: %s: %s", m.what, d->call.cudnnGetErrorString_(m.status));
        drop(&m, NULL);
    }
}

static shape shape_of(const zm_gpu_convolution *p, bool bias)
{
    shape s = {.batch = p->batch, .c = p->c, .o = p->o, .bias = bias};
    for (int i = 0; i < 3; i++) { /* no gaps: it is compared and hashed byte by byte */
        s.in[i] = p->in[i];
        s.out[i] = p->out[i];
        s.kernel[i] = p->kernel[i];
        s.stride[i] = p->stride[i];
    }
    return s;
}

/* NULL: no place is left.  Plans are never given up: recorded launches hold their kernels. */
static const plan *find(zm_dnn *d, const shape *s)
{
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *s; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    for (size_t i = 0; i < PLANS; i++) {
        plan *p = &d->plan[(h + i) % PLANS];
        if (p->known && memcmp(&p->key, s, sizeof *s) != 0)
            continue;
        if (!p->known) {
            p->known = true;
            p->key = *s;
            choose(d, p);
        }
        return p;
    }
    return NULL;
}

/* With a descriptor, or NULL. */
static const plan *find_made(zm_dnn *d, const shape *s)
{
    const plan *p = find(d, s);
    return p && p->made ? p : NULL;
}

/* ---- running it ---- */

static bool begin(zm_dnn *d, void *stream)
{
    if (d->failed)
        return false;
    int status = d->handle ? 0 : d->call.cudnnCreate_(&d->handle);
    if (!status)
        status = d->call.cudnnSetStream_(d->handle, stream);
    if (status) {
        zm_log(ZM_LOG_WARN, "cuDNN does not start: %s; convolutions are made without it",
               d->call.cudnnGetErrorString_(status));
        d->failed = true;
    }
    return !d->failed;
}

static bool execute(zm_dnn *d, const plan *made, const zm_gpu_convolution *p)
{
    maker m = {.d = d};
    const int64_t id[] = {ID_X, ID_W, ID_Y, ID_BIAS}, n = made->key.bias ? 4 : 3;
    const void *at[] = {p->x, p->w, p->y, p->bias};
    void *pack = make(&m, DNN_PACK);
    set(&m, pack, DNN_PACK_IDS, DNN_INT64, n, id, "numbers");
    set(&m, pack, DNN_PACK_POINTERS, DNN_POINTER, n, at, "addresses");
    set(&m, pack, DNN_PACK_WORKSPACE, DNN_POINTER, 1, &d->workspace, "workspace");
    finalize(&m, pack, "addresses");
    if (!m.status)
        note(&m, d->call.cudnnBackendExecute_(d->handle, made->made, pack), "a convolution");
    if (m.status)
        zm_log(ZM_LOG_DEBUG, "cuDNN: %s: %s", m.what, d->call.cudnnGetErrorString_(m.status));
    drop(&m, NULL);
    return !m.status;
}

static bool is_worth_it(const zm_gpu_convolution *p)
{
    double sums = (double)p->batch * (double)p->o * (double)p->c;
    for (int i = 0; i < 3; i++)
        sums *= (double)p->out[i] * (double)p->kernel[i];
    return 2 * sums >= FLOPS_LEAST;
}

static bool is_aligned(const zm_gpu_convolution *p)
{
    return (uintptr_t)p->y % ALIGNMENT == 0 && (uintptr_t)p->bias % ALIGNMENT == 0;
}

zm_status zm_dnn_convolve(zm_dnn *d, void *stream, const zm_gpu_convolution *p, bool *finished, zm_error *err)
{
    *finished = false;
    const plan *made = NULL;
    if (is_worth_it(p) && is_aligned(p) && begin(d, stream)) {
        shape with = shape_of(p, true), without = shape_of(p, false);
        made = p->bias ? find_made(d, &with) : NULL;
        *finished = made || !p->bias;
        made = made ? made : find_made(d, &without);
        if (made && (!p->x || execute(d, made, p)))
            return ZM_OK;
    }
    *finished = false;
    return zm_fail(err, ZM_E_UNSUPPORTED,
                   "cuDNN has no engine, or too little to do, for %lldx%lldx%lld taps, %lld to %lld channels",
                   (long long)p->kernel[0], (long long)p->kernel[1], (long long)p->kernel[2], (long long)p->c,
                   (long long)p->o);
}

zm_status zm_dnn_pretend(zm_dnn *d, const char *card, zm_error *err)
{
    maker m = {.d = d};
    void *at = make(&m, DNN_CARD);
    set(&m, at, DNN_CARD_TEXT, DNN_CHAR, (int64_t)strlen(card), card, "a card's description");
    finalize(&m, at, "a card");
    if (!m.status) {
        if (d->card)
            d->call.cudnnBackendDestroyDescriptor_(d->card);
        d->card = at;
        memset(d->plan, 0, sizeof d->plan);
        return ZM_OK;
    }
    drop(&m, NULL);
    return zm_fail(err, ZM_E_UNSUPPORTED, "cuDNN: %s: %s", m.what, d->call.cudnnGetErrorString_(m.status));
}

bool zm_dnn_plans(zm_dnn *d, const zm_gpu_convolution *p, bool bias, bool *understood)
{
    shape s = shape_of(p, bias);
    const plan *found = find(d, &s);
    *understood = found && found->understood;
    return found && found->made;
}
