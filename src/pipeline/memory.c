/* Sizing the phases of a clip.
 * SPDX-License-Identifier: MIT */
#include "pipeline/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "ops/flops.h"
#include "pipeline/past.h"
#include "pipeline/vae_stream.h"
#include "sample/solver.h"

static const int64_t EXPAND_BYTES = (int64_t)1 << 30;  /* as src/pipeline/model.c opens its parts */
static const size_t PROGRAM_BYTES = (size_t)160 << 20; /* program, libraries, allocator, tokenizer */
static const size_t WRITER_BYTES_PER_PIXEL = 3 * 60;   /* an encoder looks some forty frames ahead */
static const size_t RESERVE_BYTES = (size_t)512 << 20;

const char *zm_phase_name(zm_phase p)
{
    static const char *const names[] = {"text encoding", "picture encoding",       "encoding of pictures to latents",
                                        "denoising",     "denoising at low noise", "decoding"};
    ZM_ASSERT(p < ZM_PHASE_COUNT);
    return names[p];
}

/* One network while it is being sized. */
typedef struct network {
    const zm_model_config *c;
    zm_weights *file;
    zm_params *params;
    zm_graph *g;
    zm_memory_phase *to;
} network;

static zm_status begin(network *n, const zm_model_config *c, zm_memory_phase *to, zm_error *err)
{
    *n = (network){.c = c, .to = to, .params = zm_params_new(), .g = zm_graph_new()};
    return n->params && n->g ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for a plan");
}

/* Once the parameters are declared: how they will be kept. */
static zm_status foresee(network *n, zm_model_part_kind part, zm_error *err)
{
    zm_status s = zm_model_part_path(n->c, part) ? zm_model_part_open(&n->file, n->c, part, err) : ZM_OK;
    n->to->params = zm_params_elems(n->params);
    if (!s)
        s = zm_params_foresee(n->params, n->file, "", n->to->params * 4 <= EXPAND_BYTES, &n->to->owned, &n->to->mapped,
                              err);
    n->to->present = true;
    return s;
}

/* Once the graph is built.  also: bytes of mapped weights that other graphs of this network read. */
static zm_status weigh(network *n, double runs, zm_precision precision, size_t also, zm_error *err)
{
    zm_exec_size size;
    zm_status s = zm_graph_finish(n->g, err);
    if (!s)
        s = zm_exec_measure(&size, n->g, &(zm_exec_options){.precision = precision}, err);
    if (s)
        return s;
    n->to->work += size.work;
    n->to->owned += size.kept;
    if (size.kept && size.mapped + also < n->to->mapped)
        n->to->mapped = size.mapped + also;
    n->to->window = size.window;
    n->to->flops += runs * zm_graph_flops(n->g);
    return ZM_OK;
}

static void end(network *n)
{
    zm_graph_free(n->g);
    zm_params_free(n->params);
    zm_weights_free(n->file);
}

static zm_status size_text(zm_memory *m, const zm_model_config *c, zm_error *err)
{
    network n;
    zm_text_encoder *t = NULL;
    zm_status s = begin(&n, c, &m->phase[ZM_PHASE_TEXT], err);
    if (!s)
        s = zm_text_encoder_declare(&t, &c->text, n.params, NULL, err);
    if (!s)
        s = foresee(&n, ZM_PART_TEXT, err);
    if (!s) {
        zm_build b = zm_build_begin(n.g, n.params, false, false);
        zm_text_inputs in = zm_text_input_leaves(&b, t, m->request.guided ? 2 : 1, c->dit.text_len);
        zm_output(n.g, zm_text_encoder_build(&b, t, &in));
        s = weigh(&n, 1, ZM_PRECISION_F32, 0, err);
    }
    zm_text_encoder_free(t);
    end(&n);
    return s;
}

static zm_status size_picture(zm_memory *m, const zm_model_config *c, zm_error *err)
{
    network n;
    zm_clip *clip = NULL;
    zm_clip_config config = c->clip;
    zm_status s = begin(&n, c, &m->phase[ZM_PHASE_IMAGE], err);
    if (!s && c->clip_path) {
        zm_weights *w;
        s = zm_model_part_open(&w, c, ZM_PART_CLIP, err);
        if (!s) {
            s = zm_clip_config_detect(&config, w, "visual.", err);
            zm_weights_free(w);
        }
    }
    if (!s)
        s = zm_clip_declare(&clip, &config, n.params, "visual.", err);
    if (!s)
        s = foresee(&n, ZM_PART_CLIP, err);
    if (!s) {
        zm_build b = zm_build_begin(n.g, n.params, false, false);
        zm_tensor *x = zm_input(n.g, ZM_F32, ZM_SHAPE(1, config.image_size, config.image_size, 3), "pixels");
        zm_output(n.g, zm_clip_build(&b, clip, x));
        s = weigh(&n, 1, ZM_PRECISION_F32, 0, err);
    }
    zm_clip_free(clip);
    end(&n);
    return s;
}

/* A block's graph sees the past, whose memory is held all the time. */
static void add_past(zm_memory *m, const zm_model_config *c, zm_build *b, const zm_dit *d, zm_dit_inputs *in,
                     zm_dit_past *past)
{
    static char elsewhere; /* no weights: what has an address lies in no file */
    const int *p = c->dit.patch_size;
    zm_past_ring ring = zm_past_ring_of(&c->dit.causal, 1 + (c->video.frames - 1 + m->time - 1) / m->time);
    int64_t tokens = c->dit.causal.block / p[0] * (m->latent_height / p[1]) * (m->latent_width / p[2]);
    m->past = (m->request.guided ? 2 : 1) * zm_past_bytes(&c->dit, &ring, tokens);
    if (!ring.slots)
        return;
    zm_dit_past_leaves(past, b, d, in, ring.slots * tokens, true);
    for (int i = 0; !zm_graph_failed(b->g) && i < past->n; i++)
        past->k[i]->data = past->v[i]->data = &elsewhere;
}

/* A step of one expert, a branch at a time, and the keys and values that a clip keeps. */
static zm_status size_step(zm_memory *m, const zm_model_config *c, zm_phase phase, zm_model_part_kind part,
                           zm_error *err)
{
    network n;
    zm_dit *d = NULL;
    zm_graph *once = zm_graph_new();
    zm_exec_size first = {0};
    zm_status s = begin(&n, c, &m->phase[phase], err);
    if (!s && !once)
        s = zm_fail(err, ZM_E_NOMEM, "out of memory for a plan");
    if (!s)
        s = zm_dit_declare(&d, &c->dit, n.params, NULL, err);
    if (!s)
        s = foresee(&n, part, err);
    if (!s) {
        int64_t tokens = c->dit.img_dim ? 257 : 0;
        zm_build b1 = zm_build_begin(once, n.params, false, false), b2 = zm_build_begin(n.g, n.params, false, false);
        zm_tensor *text = zm_input(once, ZM_F32, ZM_SHAPE(1, c->dit.text_len, c->dit.text_dim), "context");
        zm_tensor *image = tokens ? zm_input(once, ZM_F32, ZM_SHAPE(1, tokens, c->dit.img_dim), "image") : NULL;
        zm_dit_kept made = zm_dit_build_kept(&b1, d, text, image);
        zm_dit_inputs in =
            zm_dit_input_leaves(&b2, d,
                                &(zm_dit_sizes){.batch = 1,
                                                .frames = m->blocks ? c->dit.causal.block : m->latent_frames,
                                                .height = m->latent_height,
                                                .width = m->latent_width,
                                                .groups = c->family->frame_timesteps ? 0 : 1});
        zm_dit_past past;
        if (m->blocks)
            add_past(m, c, &b2, d, &in, &past);
        zm_dit_kept kept = zm_dit_kept_leaves(&b2, &made);
        in.kept = &kept;
        in.key_bias = zm_input(n.g, ZM_F32, ZM_SHAPE(1, c->dit.text_len), "key bias");
        in.key_len = zm_input(n.g, ZM_I32, ZM_SHAPE(1), "keys");
        zm_output(n.g, zm_dit_build(&b2, d, &in));
        s = zm_graph_finish(once, err);
        if (!s)
            s = zm_exec_measure(&first, once, NULL, err);
        if (!s)
            s = weigh(&n, (m->request.guided ? 2 : 1) * (m->blocks ? m->blocks : 1), m->request.precision, first.mapped,
                      err);
        n.to->work += first.work; /* both graphs are there when the first step begins */
        n.to->window = first.window > n.to->window ? first.window : n.to->window;
    }
    zm_dit_free(d);
    zm_graph_free(once);
    end(&n);
    return s;
}

/* A band in the middle of the picture, of the most rows that n bands have. */
static zm_status size_bands(zm_memory *m, const zm_vae *v, const zm_params *params, zm_error *err)
{
    zm_status s = ZM_OK;
    for (int i = 1; !s && i < ZM_BANDINGS; i++) {
        int64_t n = 1 << i, rows = (m->latent_height + n - 1) / n, first = n > 2 ? (m->latent_height - rows) / 2 : 0;
        zm_vae_stream_options o = {
            .first_row = first, .last_row = first + rows, .exec = {.precision = m->request.precision}};
        zm_vae_stream_size size;
        m->band_work[i] = SIZE_MAX;
        if (n > m->latent_height)
            continue;
        s = zm_vae_stream_measure(&size, v, params, ZM_VAE_DECODE, m->request.height, m->request.width, &o, err);
        m->band_work[i] = size.work;
        m->band_flops[i] = (double)n * (size.first_flops + size.next_flops * (double)(m->latent_frames - 1));
    }
    return s;
}

static zm_status size_autoencoder(zm_memory *m, const zm_model_config *c, zm_phase phase, zm_error *err)
{
    network n;
    zm_vae *v = NULL;
    zm_vae_stream_size size = {0};
    bool encode = phase == ZM_PHASE_ENCODE;
    zm_vae_stream_options o = {.exec = {.precision = encode ? ZM_PRECISION_F32 : m->request.precision}};
    zm_status s = begin(&n, c, &m->phase[phase], err);
    if (!s) {
        zm_params_only_read(n.params);
        s = zm_vae_declare(&v, &c->vae, n.params, "", err);
    }
    if (!s) {
        int stride = zm_vae_spatial_stride(v), time = zm_vae_temporal_stride(v);
        m->latent_frames = (m->request.frames - 1 + time - 1) / time + 1;
        m->latent_height = m->request.height / stride;
        m->latent_width = m->request.width / stride;
        m->latent_channels = zm_vae_z_dim(v);
        m->time = time;
        int block = m->request.whole ? 0 : c->dit.causal.block;
        m->blocks = block ? (int)((m->latent_frames + block - 1) / block) : 0;
        s = foresee(&n, ZM_PART_VAE, err);
    }
    if (!s)
        s = zm_vae_stream_measure(&size, v, n.params, encode ? ZM_VAE_ENCODE : ZM_VAE_DECODE, m->request.height,
                                  m->request.width, &o, err);
    if (!s && !encode)
        s = size_bands(m, v, n.params, err);
    size_t pixels = (size_t)m->request.width * (size_t)m->request.height;
    size_t beside = 4 * 3 * sizeof(float) * pixels + (encode ? 0 : WRITER_BYTES_PER_PIXEL * pixels);
    n.to->work = size.work + beside;
    m->states = m->blocks && !encode ? size.state : m->states; /* of all bands together about as much */
    n.to->flops = size.first_flops + size.next_flops * (double)(m->latent_frames - 1);
    n.to->mapped = size.mapped < n.to->mapped ? size.mapped : n.to->mapped; /* the other half is not touched */
    n.to->window = n.to->mapped ? size.window : 0;
    if (!encode) {
        m->band_work[0] = n.to->work, m->band_flops[0] = n.to->flops;
        for (int i = 1; i < ZM_BANDINGS; i++)
            m->band_work[i] += m->band_work[i] == SIZE_MAX ? 0 : beside;
    }
    zm_vae_free(v);
    end(&n);
    return s;
}

zm_status zm_memory_measure(zm_memory *out, const zm_model_config *c, const zm_memory_request *r, zm_error *err)
{
    *out = (zm_memory){.request = *r};
    bool takes_channels = c->dit.in_dim > c->dit.out_dim;
    zm_status s = size_autoencoder(out, c, ZM_PHASE_DECODE, err);
    if (!s && (r->given || takes_channels))
        s = size_autoencoder(out, c, ZM_PHASE_ENCODE, err);
    if (!s && c->has_text)
        s = size_text(out, c, err);
    if (!s && c->dit.img_dim && (c->clip_path || c->has_clip))
        s = size_picture(out, c, err);
    if (!s)
        s = size_step(out, c, ZM_PHASE_DENOISE, ZM_PART_DIT, err);
    if (!s && c->boundary > 0)
        s = size_step(out, c, ZM_PHASE_LOW, ZM_PART_DIT_LOW, err);
    const int *p = c->dit.patch_size;
    out->tokens = out->latent_frames / p[0] * (out->latent_height / p[1]) * (out->latent_width / p[2]);
    int64_t block = out->blocks ? c->dit.causal.block : out->latent_frames;
    int64_t latents = block * out->latent_height * out->latent_width * c->dit.in_dim;
    out->base = PROGRAM_BYTES + (size_t)latents * sizeof(float) * (ZM_SLOT_COUNT + 6) + out->past + out->states;
    return s;
}

/* Memory of a phase with this much of its mapped weights resident. */
static size_t phase_bytes(const zm_memory *m, const zm_memory_phase *p, size_t resident)
{
    return m->base + p->owned + p->work + (resident < p->mapped ? resident : p->mapped);
}

/* Phase i, decoding in 1 << banding bands. */
static zm_memory_phase phase_in_bands(const zm_memory *m, int i, int banding)
{
    zm_memory_phase p = m->phase[i];
    if (i == ZM_PHASE_DECODE && p.present)
        p.work = m->band_work[banding], p.flops = m->band_flops[banding];
    return p;
}

/* The fewest bands with which decoding stays under the limit; those that take least when none does. */
static int banding_of(const zm_memory *m, size_t limit)
{
    int best = 0;
    if (!m->phase[ZM_PHASE_DECODE].present)
        return 0;
    for (int i = 0; i < ZM_BANDINGS; i++) {
        zm_memory_phase p = phase_in_bands(m, ZM_PHASE_DECODE, i);
        if (p.work == SIZE_MAX)
            continue;
        best = p.work < m->band_work[best] ? i : best;
        if (phase_bytes(m, &p, p.window) <= limit)
            return i;
    }
    return best;
}

zm_status zm_memory_plan_make(zm_memory_plan *out, const zm_memory *m, size_t limit, zm_error *err)
{
    char need[32], have[32];
    size_t card = zm_backend_room(); /* of a card, its own memory is what counts */
    bool asked = limit && (!card || limit <= card);
    *out = (zm_memory_plan){.limit = asked ? limit : card ? card : zm_memory_available()};
    int banding = banding_of(m, out->limit);
    out->bands = 1 << banding;
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        zm_memory_phase in_bands = phase_in_bands(m, i, banding), *p = &in_bands;
        out->resident[i] = SIZE_MAX;
        if (!p->present)
            continue;
        size_t least = phase_bytes(m, p, p->window);
        if (least > out->limit)
            return zm_fail(err, ZM_E_NOMEM, "%s of %s%s%s is not enough: %s needs %s at least%s",
                           asked ? "--memory" : "the free memory", zm_memory_text(out->limit, have, sizeof have),
                           card ? " on " : "", card ? zm_backend_name() : "", zm_phase_name((zm_phase)i),
                           zm_memory_text(least, need, sizeof need),
                           i == ZM_PHASE_DECODE || i >= ZM_PHASE_DENOISE ? "; a smaller --size takes less" : "");
        size_t room = out->limit - phase_bytes(m, p, 0);
        if (room < p->mapped)
            out->resident[i] = room > p->window ? room : p->window;
        out->peak[i] = phase_bytes(m, p, out->resident[i]);
    }
    return ZM_OK;
}

size_t zm_memory_peak(const zm_memory_plan *p)
{
    size_t most = 0;
    for (int i = 0; i < ZM_PHASE_COUNT; i++)
        most = p->peak[i] > most ? p->peak[i] : most;
    return most;
}

static size_t extreme(const zm_memory *m, bool all)
{
    size_t most = 0;
    for (int i = 0; i < ZM_PHASE_COUNT; i++) {
        zm_memory_phase in_bands = phase_in_bands(m, i, all ? 0 : banding_of(m, 0)), *p = &in_bands;
        size_t bytes = p->present ? phase_bytes(m, p, all ? SIZE_MAX : p->window) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

size_t zm_memory_least(const zm_memory *m)
{
    return extreme(m, false);
}

size_t zm_memory_most(const zm_memory *m)
{
    return extreme(m, true);
}

/* A number from a small file of the system; SIZE_MAX when it is not there or says "max". */
static size_t read_number(const char *path, const char *key, double unit)
{
    FILE *f = fopen(path, "re");
    char line[256];
    double value = -1;
    while (f && value < 0 && fgets(line, sizeof line, f))
        if (!key)
            value = sscanf(line, "%lf", &value) == 1 ? value : -1;
        else if (!strncmp(line, key, strlen(key)))
            value = sscanf(line + strlen(key), "%lf", &value) == 1 ? value : -1;
    if (f)
        fclose(f);
    return value < 0 || value * unit > 1e18 ? SIZE_MAX : (size_t)(value * unit);
}

size_t zm_memory_available(void)
{
    size_t system = read_number("/proc/meminfo", "MemAvailable:", 1024),
           limit = read_number("/sys/fs/cgroup/memory.max", NULL, 1),
           used = read_number("/sys/fs/cgroup/memory.current", NULL, 1);
    if (limit != SIZE_MAX && used != SIZE_MAX) {
        size_t left = limit > used ? limit - used : 0;
        system = left < system ? left : system;
    }
    if (system == SIZE_MAX)
        return SIZE_MAX;
    return system > 2 * RESERVE_BYTES ? system - RESERVE_BYTES : system / 2;
}

const char *zm_memory_text(size_t bytes, char *buf, size_t cap)
{
    const double g = 1 << 30, m = 1 << 20;
    if ((double)bytes >= g)
        snprintf(buf, cap, "%.1fG", ceil(10 * (double)bytes / g) / 10);
    else
        snprintf(buf, cap, "%.0fM", ceil((double)bytes / m));
    return buf;
}

bool zm_memory_parse(size_t *out, const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    double v = strtod(text, &end);
    if (end == text || !(v > 0))
        return false;
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 32 : *end) : NULL;
    if (*end && (!unit || (end[1] && strcmp(end + 1, "B") != 0 && strcmp(end + 1, "iB") != 0)))
        return false;
    v *= unit ? pow(1024, (double)(unit - units + 1)) : 1;
    if (!(v >= 1 && v < 1e18))
        return false;
    *out = (size_t)v;
    return true;
}
