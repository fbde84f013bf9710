/* Chunked encoding and decoding: two graphs, and the state that passes between runs.
 * SPDX-License-Identifier: MIT */
#include "pipeline/vae_stream.h"

#include <stdlib.h>
#include <string.h>

#include "ops/flops.h"

/* A graph of more takes far longer to run than to make anew. */
static const size_t KEEP_BYTES_MOST = (size_t)32 << 20;

typedef struct phase {
    zm_graph *g;
    zm_exec *exec; /* NULL: not built */
    zm_tensor *in, *out;
    zm_vae_chunk chunk;
} phase;

struct zm_vae_stream {
    const zm_vae *vae;
    const zm_params *params;
    zm_vae_direction direction;
    zm_vae_stream_options opt;
    int64_t height, width; /* of the input: pixels or latent cells */
    bool started;          /* a first chunk has been pushed */
    phase first, next;
    const phase *ran; /* the one that ran last */
    float *state[ZM_VAE_SLOTS_MAX];
    size_t state_bytes[ZM_VAE_SLOTS_MAX];
    int n_states;
};

void zm_vae_stream_band(zm_vae_stream_options *o, int k, int n, int64_t rows)
{
    o->first_row = n == 1 ? 0 : rows * k / n;
    o->last_row = n == 1 ? 0 : rows * (k + 1) / n;
}

static void phase_close(phase *p)
{
    zm_exec_free(p->exec);
    zm_graph_free(p->g);
    *p = (phase){0};
}

static zm_tensor *build(zm_vae_stream *s, phase *p, zm_build *b)
{
    const zm_vae *v = s->vae;
    zm_tensor *x = p->in;
    if (s->direction == ZM_VAE_ENCODE) {
        x = zm_vae_build_mean(b, v, zm_vae_build_encode_chunk(b, v, x, &p->chunk));
        return s->opt.raw_latent ? x : zm_vae_build_normalise(b, v, x);
    }
    if (!s->opt.raw_latent)
        x = zm_vae_build_denormalise(b, v, x);
    x = zm_vae_build_decode_chunk(b, v, x, &p->chunk);
    return s->opt.unclamped ? x : zm_vae_build_clamp(b, x);
}

/* Point the graph at the states' memory, which the first graph to be built sizes. */
static zm_status bind_states(zm_vae_stream *s, phase *p, zm_error *err)
{
    for (; s->n_states < p->chunk.n_slots && p == &s->first; s->n_states++) {
        size_t elems = (size_t)zm_shape_elems(p->chunk.slot[s->n_states].shape), bytes;
        float *at = zm_size_mul(&bytes, elems, sizeof(float)) ? zm_aligned_alloc(bytes) : NULL;
        if (!at)
            return zm_fail(err, ZM_E_NOMEM, "autoencoder: no memory for a state of %zu numbers", elems);
        s->state[s->n_states] = at;
        s->state_bytes[s->n_states] = bytes;
    }
    if (p->chunk.n_slots != s->n_states)
        return zm_fail(err, ZM_E_SHAPE, "autoencoder: chunks disagree about their states");
    for (int i = 0; i < s->n_states; i++)
        if (p->chunk.slot[i].state)
            p->chunk.slot[i].state->data = s->state[i];
    return ZM_OK;
}

static zm_vae_chunk chunk_of(const zm_vae_stream *s, zm_vae_pass_mode mode)
{
    return (zm_vae_chunk){
        .mode = mode, .keep_taps = s->opt.keep_taps, .first_row = s->opt.first_row, .last_row = s->opt.last_row};
}

static zm_status phase_open(zm_vae_stream *s, phase *p, zm_vae_pass_mode mode, zm_error *err)
{
    *p = (phase){.g = zm_graph_new(), .chunk = chunk_of(s, mode)};
    if (!p->g)
        return zm_fail(err, ZM_E_NOMEM, "autoencoder: out of memory");
    bool video = s->direction == ZM_VAE_ENCODE;
    int64_t frames = video && mode == ZM_VAE_NEXT ? zm_vae_temporal_stride(s->vae) : 1;
    int64_t channels = video ? 3 : zm_vae_z_dim(s->vae);
    p->in = zm_input(p->g, ZM_F32, ZM_SHAPE(1, frames, s->height, s->width, channels), video ? "video" : "latent");
    zm_build b = zm_build_begin(p->g, s->params, false, false);
    p->out = zm_output(p->g, build(s, p, &b));
    zm_status st = zm_graph_finish(p->g, err);
    if (!st)
        st = bind_states(s, p, err);
    if (!st)
        st = zm_exec_new(&p->exec, p->g, &s->opt.exec, err);
    if (st)
        phase_close(p);
    return st;
}

zm_status zm_vae_stream_open(zm_vae_stream **out, const zm_vae *v, const zm_params *params, zm_vae_direction direction,
                             int64_t height_px, int64_t width_px, const zm_vae_stream_options *opt, zm_error *err)
{
    *out = NULL;
    int stride = zm_vae_spatial_stride(v);
    if (height_px < stride || width_px < stride || height_px % stride || width_px % stride)
        return zm_fail(err, ZM_E_SHAPE, "autoencoder: %lldx%lld pixels are no multiple of %d", (long long)width_px,
                       (long long)height_px, stride);
    zm_vae_stream *s = calloc(1, sizeof *s);
    if (!s)
        return zm_fail(err, ZM_E_NOMEM, "autoencoder: out of memory");
    s->vae = v;
    s->params = params;
    s->direction = direction;
    if (opt)
        s->opt = *opt;
    s->height = direction == ZM_VAE_ENCODE ? height_px : height_px / stride;
    s->width = direction == ZM_VAE_ENCODE ? width_px : width_px / stride;
    zm_status st = phase_open(s, &s->first, ZM_VAE_FIRST, err);
    if (st)
        zm_vae_stream_close(s);
    else
        *out = s;
    return st;
}

/* A phase's graph without memory of its own. */
static zm_status measure(zm_vae_stream *s, zm_vae_pass_mode mode, zm_exec_size *size, size_t *state, double *flops,
                         zm_error *err)
{
    static char elsewhere; /* states are no weights: what has an address lies in no file */
    phase p = {.g = zm_graph_new(), .chunk = chunk_of(s, mode)};
    if (!p.g)
        return zm_fail(err, ZM_E_NOMEM, "autoencoder: out of memory");
    bool video = s->direction == ZM_VAE_ENCODE;
    int64_t frames = video && mode == ZM_VAE_NEXT ? zm_vae_temporal_stride(s->vae) : 1;
    p.in = zm_input(p.g, ZM_F32, ZM_SHAPE(1, frames, s->height, s->width, video ? 3 : zm_vae_z_dim(s->vae)), "in");
    zm_build b = zm_build_begin(p.g, s->params, false, false);
    zm_output(p.g, build(s, &p, &b));
    zm_status st = zm_graph_finish(p.g, err);
    *state = 0;
    for (int i = 0; !st && i < p.chunk.n_slots; i++) {
        *state += (size_t)zm_shape_elems(p.chunk.slot[i].shape) * sizeof(float);
        if (p.chunk.slot[i].state)
            p.chunk.slot[i].state->data = &elsewhere;
    }
    if (!st)
        st = zm_exec_measure(size, p.g, &s->opt.exec, err);
    *flops = st ? 0 : zm_graph_flops(p.g);
    zm_graph_free(p.g);
    return st;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

zm_status zm_vae_stream_measure(zm_vae_stream_size *out, const zm_vae *v, const zm_params *params,
                                zm_vae_direction direction, int64_t height_px, int64_t width_px,
                                const zm_vae_stream_options *opt, zm_error *err)
{
    int stride = zm_vae_spatial_stride(v);
    zm_vae_stream s = {.vae = v, .params = params, .direction = direction};
    if (opt)
        s.opt = *opt;
    s.height = direction == ZM_VAE_ENCODE ? height_px : height_px / stride;
    s.width = direction == ZM_VAE_ENCODE ? width_px : width_px / stride;
    zm_exec_size first, next;
    size_t state;
    *out = (zm_vae_stream_size){0};
    zm_status st = measure(&s, ZM_VAE_FIRST, &first, &state, &out->first_flops, err);
    if (!st)
        st = measure(&s, ZM_VAE_NEXT, &next, &state, &out->next_flops, err);
    if (st)
        return st;
    out->work = larger(first.work + first.kept, next.work + next.kept) + state;
    out->state = state;
    out->mapped = larger(first.mapped, next.mapped);
    out->window = larger(first.window, next.window);
    return ZM_OK;
}

int zm_vae_stream_takes(const zm_vae_stream *s)
{
    return s->direction == ZM_VAE_ENCODE && s->started ? zm_vae_temporal_stride(s->vae) : 1;
}

int zm_vae_stream_gives(const zm_vae_stream *s)
{
    return s->direction == ZM_VAE_DECODE && s->started ? zm_vae_temporal_stride(s->vae) : 1;
}

int zm_vae_stream_scale(const zm_vae_stream *s)
{
    return zm_vae_spatial_stride(s->vae);
}

static phase *current(zm_vae_stream *s)
{
    return s->started ? &s->next : &s->first;
}

static zm_status ready(zm_vae_stream *s, zm_error *err)
{
    if (current(s)->exec)
        return ZM_OK;
    if (!s->started)
        return phase_open(s, &s->first, ZM_VAE_FIRST, err);
    if (!s->opt.keep_graphs || zm_exec_bytes(s->first.exec) > KEEP_BYTES_MOST)
        phase_close(&s->first); /* its memory is better spent on the larger graph */
    return phase_open(s, &s->next, ZM_VAE_NEXT, err);
}

zm_status zm_vae_stream_push(zm_vae_stream *s, const float *in, float *out, zm_error *err)
{
    zm_status st = ready(s, err);
    if (st)
        return st;
    phase *p = current(s);
    zm_exec_write(p->exec, p->in, in);
    for (int i = 0; i < s->n_states; i++) {
        zm_tensor *state = p->chunk.slot[i].state;
        if (!state) {
            memset(s->state[i], 0, s->state_bytes[i]);
            zm_backend_changed(s->state[i]);
        }
    }
    st = zm_exec_run(p->exec, err);
    if (st)
        return st;
    zm_exec_read(p->exec, p->out, out);
    s->started = true;
    s->ran = p;
    return ZM_OK;
}

void zm_vae_stream_restart(zm_vae_stream *s)
{
    s->started = false;
}

size_t zm_vae_stream_state(const zm_vae_stream *s)
{
    size_t n = 0;
    for (int i = 0; i < s->n_states; i++)
        n += s->state_bytes[i] / sizeof(float);
    return n;
}

void zm_vae_stream_save(const zm_vae_stream *s, float *out)
{
    for (int i = 0; i < s->n_states; i++) {
        zm_backend_fetch(s->state[i]);
        memcpy(out, s->state[i], s->state_bytes[i]);
        out += s->state_bytes[i] / sizeof *out;
    }
}

void zm_vae_stream_resume(zm_vae_stream *s, const float *in)
{
    for (int i = 0; i < s->n_states; i++) {
        memcpy(s->state[i], in, s->state_bytes[i]);
        zm_backend_changed(s->state[i]);
        in += s->state_bytes[i] / sizeof *in;
    }
    s->started = true;
}

size_t zm_vae_stream_bytes(const zm_vae_stream *s)
{
    size_t n = (s->first.exec ? zm_exec_bytes(s->first.exec) : 0) + (s->next.exec ? zm_exec_bytes(s->next.exec) : 0);
    for (int i = 0; i < s->n_states; i++)
        n += s->state_bytes[i];
    return n;
}

zm_exec *zm_vae_stream_ran(const zm_vae_stream *s, const zm_graph **g)
{
    *g = s->ran ? s->ran->g : NULL;
    return s->ran ? s->ran->exec : NULL;
}

const zm_vae_tap *zm_vae_stream_tap(const zm_vae_stream *s, int i)
{
    const phase *p = s->ran;
    return p && i >= 0 && i < p->chunk.n_taps ? &p->chunk.tap[i] : NULL;
}

float *zm_vae_stream_tap_read(const zm_vae_stream *s, int i)
{
    const zm_vae_tap *tap = zm_vae_stream_tap(s, i);
    float *to = tap ? malloc(zm_tensor_bytes(tap->at)) : NULL;
    if (to)
        zm_exec_read(s->ran->exec, tap->at, to);
    return to;
}

void zm_vae_stream_close(zm_vae_stream *s)
{
    if (!s)
        return;
    phase_close(&s->first);
    phase_close(&s->next);
    for (int i = 0; i < s->n_states; i++)
        free(s->state[i]);
    free(s);
}

static zm_status clip(zm_vae_stream *s, const float *in, int64_t frames, float *out, zm_error *err)
{
    size_t cell = (size_t)(s->height * s->width), stride = (size_t)zm_vae_spatial_stride(s->vae);
    size_t z = (size_t)zm_vae_z_dim(s->vae);
    bool encode = s->direction == ZM_VAE_ENCODE;
    size_t in_frame = cell * (encode ? 3 : z);
    size_t rows = s->opt.last_row ? (size_t)(s->opt.last_row - s->opt.first_row) : (size_t)s->height;
    size_t out_frame = encode ? cell / (stride * stride) * z : rows * (size_t)s->width * stride * stride * 3;
    zm_vae_stream_restart(s);
    for (int64_t f = 0; f + zm_vae_stream_takes(s) <= frames;) {
        int takes = zm_vae_stream_takes(s), gives = zm_vae_stream_gives(s);
        zm_status st = zm_vae_stream_push(s, in, out, err);
        if (st)
            return st;
        f += takes;
        in += (size_t)takes * in_frame;
        out += (size_t)gives * out_frame;
    }
    return ZM_OK;
}

zm_status zm_vae_encode_clip(zm_vae_stream *s, const float *video, int64_t frames, float *latent, zm_error *err)
{
    ZM_ASSERT(s->direction == ZM_VAE_ENCODE);
    return clip(s, video, frames, latent, err);
}

zm_status zm_vae_decode_clip(zm_vae_stream *s, const float *latent, int64_t frames, float *video, zm_error *err)
{
    ZM_ASSERT(s->direction == ZM_VAE_DECODE);
    return clip(s, latent, frames, video, err);
}
