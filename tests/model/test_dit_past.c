/* Films block by block: with the keys and values of finished blocks kept, a block answers what the whole clip under the
 * block-causal mask does; with a sink behind which the window has moved on, what a plain list of visible keys does.
 * SPDX-License-Identifier: MIT */
#include "net.h"

#include <string.h>

#include "model/dit.h"
#include "ops/ops.h"

enum { LAYERS = 3, Z = 4, TEXT_DIM = 12, TEXT_LEN = 6, BATCH = 2, HEAD = 12, HEADS = 2 };

/* A network and a film of it: every block has noisy latents to ask about, and clean ones that later blocks see. */
typedef struct film {
    zm_params *p;
    zm_dit *m;
    zm_dit_config c;
    int blocks, rows, columns; /* of the latent */
    int64_t frame, tokens;     /* numbers of a latent frame; tokens of a block */
    float *noisy, *clean;      /* [blocks * block frames, rows, columns, Z] */
    float *text;               /* [BATCH, TEXT_LEN, TEXT_DIM] */
    double *level;             /* [blocks] */
} film;

static film film_new(zm_rng *rng, zm_dit_causal causal, int blocks, int rows, int columns)
{
    zm_error err = {0};
    film f = {.p = zm_params_new(), .blocks = blocks, .rows = rows, .columns = columns};
    f.c = (zm_dit_config){.model_type = "ti2v",
                          .dim = HEADS * HEAD,
                          .ffn_dim = 40,
                          .num_heads = HEADS,
                          .num_layers = LAYERS,
                          .in_dim = Z,
                          .out_dim = Z,
                          .patch_size = {1, 2, 2},
                          .freq_dim = 16,
                          .text_dim = TEXT_DIM,
                          .text_len = TEXT_LEN,
                          .qk_norm = true,
                          .cross_attn_norm = true,
                          .eps = 1e-6,
                          .causal = causal};
    if (zm_dit_declare(&f.m, &f.c, f.p, "", &err) || zm_params_fill(f.p, zm_rng_u64(rng), &err))
        printf("# %s\n", err.text);
    net_randomise(f.p, rng, 0.2f);
    f.frame = (int64_t)rows * columns * Z;
    f.tokens = (int64_t)causal.block * rows * columns / 4;
    f.noisy = net_normals(rng, (size_t)(blocks * causal.block * f.frame));
    f.clean = net_normals(rng, (size_t)(blocks * causal.block * f.frame));
    f.text = net_normals(rng, BATCH * TEXT_LEN * TEXT_DIM);
    f.level = malloc((size_t)blocks * sizeof *f.level);
    for (int i = 0; i < blocks; i++)
        f.level[i] = 1000 * (double)zm_rng_uniform(rng);
    return f;
}

static void film_free(film *f)
{
    zm_dit_free(f->m);
    zm_params_free(f->p);
    free(f->noisy), free(f->clean), free(f->text), free(f->level);
}

/* Both samples of the batch are of the same latent and have texts of their own, as the branches of guidance. */
static void write_latent(zm_exec *e, const zm_dit_inputs *in, const float *x, const float *text)
{
    float *both = malloc(zm_tensor_bytes(in->x));
    size_t bytes = zm_tensor_bytes(in->x) / BATCH;
    for (int b = 0; b < BATCH; b++)
        memcpy((char *)both + (size_t)b * bytes, x, bytes);
    zm_exec_write(e, in->x, both);
    zm_exec_write(e, in->context, text);
    free(both);
}

static void write_times(zm_exec *e, const zm_dit_inputs *in, const double *t, int groups)
{
    double all[64];
    float *time = malloc(zm_tensor_bytes(in->time));
    for (int i = 0; i < BATCH * groups; i++)
        all[i] = t[i % groups];
    zm_time_sinusoid(time, all, BATCH * groups, (int)zm_dim(in->time, 1));
    zm_exec_write(e, in->time, time);
    free(time);
}

/* The truth: block i in the whole clip up to it, those before it clean and at timestep 0.  [BATCH, block, frame]. */
static float *whole(const film *f, int i)
{
    int n = f->c.causal.block, frames = (i + 1) * n;
    double t[32] = {0};
    size_t each = (size_t)(n * f->frame), before = (size_t)i * each;
    float *x = malloc((before + each) * sizeof *x), *out = malloc(BATCH * each * sizeof *out), *y = NULL;
    memcpy(x, f->clean, before * sizeof *x);
    memcpy(x + before, f->noisy + before, each * sizeof *x);
    for (int k = i * n; k < frames; k++)
        t[k] = f->level[i];
    zm_graph *g = zm_graph_new();
    zm_build b = zm_build_begin(g, f->p, false, false);
    zm_dit_inputs in = zm_dit_input_leaves(
        &b, f->m, &(zm_dit_sizes){.batch = BATCH, .frames = frames, .height = f->rows, .width = f->columns});
    zm_tensor *v = zm_output(g, zm_dit_build(&b, f->m, &in));
    zm_exec *e = net_finish(g);
    write_latent(e, &in, x, f->text);
    write_times(e, &in, t, frames);
    if (net_run(e))
        y = net_read(e, v);
    for (int k = 0; y && k < BATCH; k++)
        memcpy(out + (size_t)k * each, y + (size_t)k * (before + each) + before, each * sizeof *out);
    free(x), free(y);
    zm_exec_free(e);
    zm_graph_free(g);
    return out;
}

/* The graph of one block, its cache, and a plain list of which block stands where in it. */
typedef struct stream {
    const film *f;
    zm_graph *g;
    zm_exec *e;
    zm_dit_inputs in;
    zm_dit_past past;
    zm_tensor *v;
    int slots, kept[16]; /* blocks of the past, the oldest first */
    int n;
    float *k[16][LAYERS], *val[16][LAYERS]; /* of each of them [BATCH,tokens,HEADS,HEAD] */
} stream;

/* Named intermediates of the block's graph as they were in its last run. */
typedef struct marked {
    zm_tensor *q[LAYERS], *v[LAYERS], *k[LAYERS], *o[LAYERS];
    zm_graph *g;
} marked;

static void on_mark(void *user, const char *name, zm_tensor *t)
{
    marked *m = user;
    const struct {
        const char *name;
        zm_tensor **to;
    } part[] = {{"self_attn.q_normed", m->q}, {"self_attn.k_normed", m->k}, {"self_attn.v", m->v}, {"self_attn", m->o}};
    int layer, end = 0;
    if (sscanf(name, "block%d.%n", &layer, &end) != 1 || !end)
        return;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (!strcmp(name + end, part[i].name))
            part[i].to[layer] = zm_output(m->g, t);
}

/* m not NULL: its intermediates are outputs. */
static stream stream_new(const film *f, bool give, marked *m)
{
    const zm_dit_causal *c = &f->c.causal;
    stream s = {.f = f, .g = zm_graph_new(), .slots = c->sink + c->window - 1};
    zm_build b = zm_build_begin(s.g, f->p, false, false);
    zm_error err = {0};
    s.in = zm_dit_input_leaves(
        &b, f->m, &(zm_dit_sizes){.batch = BATCH, .frames = c->block, .height = f->rows, .width = f->columns});
    zm_dit_past_leaves(&s.past, &b, f->m, &s.in, s.slots * f->tokens, give);
    if (m) {
        *m = (marked){.g = s.g};
        s.in.mark = on_mark;
        s.in.user = m;
    }
    s.v = zm_output(s.g, zm_dit_build(&b, f->m, &s.in));
    tap_ok(!zm_graph_finish(s.g, &err), "a graph of one block %s", err.text);
    for (int i = 0; i < LAYERS; i++) {
        s.past.k[i]->data = calloc(1, zm_tensor_bytes(s.past.k[i]));
        s.past.v[i]->data = calloc(1, zm_tensor_bytes(s.past.v[i]));
    }
    if (zm_exec_new(&s.e, s.g, NULL, &err))
        printf("# %s\n", err.text);
    return s;
}

static void stream_free(stream *s)
{
    zm_exec_free(s->e);
    for (int i = 0; i < LAYERS; i++)
        free(s->past.k[i]->data), free(s->past.v[i]->data);
    zm_graph_free(s->g);
    for (int b = 0; b < 16; b++)
        for (int i = 0; i < LAYERS; i++)
            free(s->k[b][i]), free(s->val[b][i]);
}

static void write_table(stream *s, zm_tensor *cos, zm_tensor *sin, const int *place, int n)
{
    const film *f = s->f;
    size_t each = (size_t)(f->tokens * HEAD / 2);
    float *c = calloc(1, zm_tensor_bytes(cos)), *si = calloc(1, zm_tensor_bytes(sin));
    for (int i = 0; i < n; i++)
        zm_rope_table(c + (size_t)i * each, si + (size_t)i * each, HEAD,
                      &(zm_rope_grid){f->c.causal.block, f->rows / 2, f->columns / 2,
                                      .frame_offset = place[i] * f->c.causal.block});
    zm_exec_write(s->e, cos, c);
    zm_exec_write(s->e, sin, si);
    free(c), free(si);
}

/* The past into the leaves, its blocks in any order. */
static void show_past(stream *s, zm_rng *rng)
{
    int order[16], place[16];
    for (int i = 0; i < s->n; i++)
        order[i] = i;
    for (int i = s->n - 1; i > 0; i--) {
        int j = (int)zm_rng_below(rng, (uint32_t)i + 1), t = order[i];
        order[i] = order[j], order[j] = t;
    }
    size_t each = (size_t)(s->f->tokens * HEADS * HEAD), all = each * (size_t)s->slots;
    for (int slot = 0; slot < s->n; slot++) {
        place[slot] = order[slot];
        for (int i = 0; i < LAYERS; i++)
            for (int b = 0; b < BATCH; b++) {
                size_t to = (size_t)b * all + (size_t)slot * each, from = (size_t)b * each;
                memcpy((float *)s->past.k[i]->data + to, s->k[order[slot]][i] + from, each * sizeof(float));
                memcpy((float *)s->past.v[i]->data + to, s->val[order[slot]][i] + from, each * sizeof(float));
            }
    }
    for (int i = 0; i < LAYERS; i++)
        zm_backend_changed(s->past.k[i]->data), zm_backend_changed(s->past.v[i]->data);
    int32_t keys[BATCH];
    for (int b = 0; b < BATCH; b++)
        keys[b] = (int32_t)(s->f->tokens * (1 + s->n));
    zm_exec_write(s->e, s->past.keys, keys);
    write_table(s, s->past.rope_cos, s->past.rope_sin, place, s->n);
    write_table(s, s->in.rope_cos, s->in.rope_sin, &s->n, 1);
}

static float *ask(stream *s, const float *x, double t)
{
    double all[8];
    for (int i = 0; i < s->f->c.causal.block; i++)
        all[i] = t;
    write_latent(s->e, &s->in, x, s->f->text);
    write_times(s->e, &s->in, all, s->f->c.causal.block);
    return net_run(s->e) ? net_read(s->e, s->v) : NULL;
}

/* What later blocks see of block i: the sink stays, the oldest behind it goes. */
static void keep(stream *s, int sink)
{
    if (s->n == s->slots && s->slots == sink)
        return; /* nothing but the sink is kept */
    if (s->n == s->slots) {
        for (int i = 0; i < LAYERS; i++)
            free(s->k[sink][i]), free(s->val[sink][i]);
        memmove(s->k + sink, s->k + sink + 1, (size_t)(s->n - sink - 1) * sizeof *s->k);
        memmove(s->val + sink, s->val + sink + 1, (size_t)(s->n - sink - 1) * sizeof *s->val);
        s->n--;
    }
    for (int i = 0; i < LAYERS; i++) {
        s->k[s->n][i] = net_read(s->e, s->past.new_k[i]);
        s->val[s->n][i] = net_read(s->e, s->past.new_v[i]);
    }
    s->n++;
}

/* One head's softmax over a plain list of keys, in doubles; rows as [tokens,HEADS,HEAD] of one sample. */
static void plain_attention(float *y, const float *q, const float *const *k, const float *const *v, int lists,
                            int64_t tokens)
{
    double *p = malloc((size_t)(lists * tokens) * sizeof *p);
    for (int64_t i = 0; i < tokens; i++)
        for (int h = 0; h < HEADS; h++) {
            double top = -INFINITY, sum = 0;
            for (int64_t j = 0; j < lists * tokens; j++) {
                const float *a = q + (i * HEADS + h) * HEAD, *b = k[j / tokens] + (j % tokens * HEADS + h) * HEAD;
                p[j] = 0;
                for (int c = 0; c < HEAD; c++)
                    p[j] += (double)a[c] * (double)b[c] / sqrt(HEAD);
                top = fmax(top, p[j]);
            }
            for (int64_t j = 0; j < lists * tokens; j++)
                sum += p[j] = exp(p[j] - top);
            for (int c = 0; c < HEAD; c++) {
                double o = 0;
                for (int64_t j = 0; j < lists * tokens; j++)
                    o += p[j] / sum * (double)v[j / tokens][(j % tokens * HEADS + h) * HEAD + c];
                y[(i * HEADS + h) * HEAD + c] = (float)o;
            }
        }
    free(p);
}

/* x [tokens,HEADS,HEAD] turned to a block's place. */
static float *turned(const film *f, const float *x, int place)
{
    int64_t pairs = HEAD / 2;
    float *c = malloc((size_t)(f->tokens * pairs) * sizeof *c), *s = malloc((size_t)(f->tokens * pairs) * sizeof *s),
          *y = malloc((size_t)(f->tokens * HEADS * HEAD) * sizeof *y);
    zm_rope_table(c, s, HEAD,
                  &(zm_rope_grid){.frames = f->c.causal.block,
                                  .height = f->rows / 2,
                                  .width = f->columns / 2,
                                  .frame_offset = place * f->c.causal.block});
    for (int64_t r = 0; r < f->tokens * HEADS; r++)
        for (int64_t i = 0; i < pairs; i++) {
            int64_t n = r / HEADS * pairs + i;
            double a = (double)x[(r * pairs + i) * 2], b = (double)x[(r * pairs + i) * 2 + 1];
            y[(r * pairs + i) * 2] = (float)(a * (double)c[n] - b * (double)s[n]);
            y[(r * pairs + i) * 2 + 1] = (float)(a * (double)s[n] + b * (double)c[n]);
        }
    free(c), free(s);
    return y;
}

/* x [tokens,dim] through the output projection. */
static float *projected(const film *f, const float *x, int layer)
{
    char name[64];
    snprintf(name, sizeof name, "blocks.%d.self_attn.o.weight", layer);
    const float *w = zm_params_find(f->p, name)->data;
    snprintf(name, sizeof name, "blocks.%d.self_attn.o.bias", layer);
    const float *bias = zm_params_find(f->p, name)->data;
    int dim = f->c.dim;
    float *y = malloc((size_t)(f->tokens * dim) * sizeof *y);
    for (int64_t t = 0; t < f->tokens; t++)
        for (int o = 0; o < dim; o++) {
            double sum = (double)bias[o];
            for (int i = 0; i < dim; i++)
                sum += (double)w[o * dim + i] * (double)x[t * dim + i];
            y[t * dim + o] = (float)sum;
        }
    return y;
}

/* Self-attention of every layer of the last run against the list: own tokens at place n, the past at 0, 1, .. */
static double plain_differs(stream *s, const marked *m)
{
    const film *f = s->f;
    size_t each = (size_t)(f->tokens * f->c.dim);
    double worst = 0;
    for (int layer = 0; layer < LAYERS; layer++) {
        float *q = net_read(s->e, m->q[layer]), *k = net_read(s->e, m->k[layer]), *v = net_read(s->e, m->v[layer]),
              *got = net_read(s->e, m->o[layer]), *y = malloc(each * sizeof *y);
        for (int b = 0; b < BATCH; b++) {
            float *keys[17], *at = turned(f, q + (size_t)b * each, s->n);
            const float *values[17];
            for (int i = 0; i < s->n; i++) {
                keys[i] = turned(f, s->k[i][layer] + (size_t)b * each, i);
                values[i] = s->val[i][layer] + (size_t)b * each;
            }
            keys[s->n] = turned(f, k + (size_t)b * each, s->n);
            values[s->n] = v + (size_t)b * each;
            plain_attention(y, at, (const float *const *)keys, values, s->n + 1, f->tokens);
            float *out = projected(f, y, layer);
            for (size_t i = 0; i < each; i++)
                worst = fmax(worst, fabs((double)out[i] - (double)got[(size_t)b * each + i]));
            for (int i = 0; i <= s->n; i++)
                free(keys[i]);
            free(out), free(at);
        }
        free(q), free(k), free(v), free(got), free(y);
    }
    return worst;
}

/* Positions are relative, so that without a sink the whole clip is the truth for ever. */
static void test_film(zm_rng *rng, zm_dit_causal c, int blocks, int rows, int columns)
{
    film f = film_new(rng, c, blocks, rows, columns);
    stream s = stream_new(&f, true, NULL), quiet = stream_new(&f, false, NULL);
    size_t each = (size_t)(c.block * f.frame);
    for (int i = 0; i < blocks; i++) {
        show_past(&s, rng);
        float *y = ask(&s, f.noisy + (size_t)i * each, f.level[i]);
        if (i <= s.slots || !c.sink) {
            float *want = whole(&f, i);
            char name[96];
            snprintf(name, sizeof name, "block %d of %d frames, window %d, sink %d: as the whole clip", i, c.block,
                     c.window, c.sink);
            tap_close_f32(y, want, BATCH * each, 2e-5, name);
            free(want);
        }
        if (i == s.slots) { /* the form without new keys */
            memcpy(quiet.k, s.k, sizeof s.k);
            memcpy(quiet.val, s.val, sizeof s.val);
            quiet.n = s.n;
            show_past(&quiet, rng);
            float *same = ask(&quiet, f.noisy + (size_t)i * each, f.level[i]);
            tap_close_f32(same, y, BATCH * each, 1e-5, "a graph that gives no keys answers the same");
            memset(quiet.k, 0, sizeof s.k);
            memset(quiet.val, 0, sizeof s.val);
            free(same);
        }
        free(y);
        free(ask(&s, f.clean + (size_t)i * each, 0));
        keep(&s, c.sink);
    }
    stream_free(&s);
    stream_free(&quiet);
    film_free(&f);
}

static void test_plain(zm_rng *rng, zm_dit_causal c, int blocks, int rows, int columns)
{
    film f = film_new(rng, c, blocks, rows, columns);
    marked m;
    stream s = stream_new(&f, true, &m);
    size_t each = (size_t)(c.block * f.frame);
    double worst = 0;
    for (int i = 0; i < blocks; i++) {
        show_past(&s, rng);
        free(ask(&s, f.noisy + (size_t)i * each, f.level[i]));
        worst = fmax(worst, plain_differs(&s, &m));
        free(ask(&s, f.clean + (size_t)i * each, 0));
        worst = fmax(worst, plain_differs(&s, &m));
        keep(&s, c.sink);
    }
    tap_ok(worst < 2e-5, "%d blocks of %d frames, window %d, sink %d: a plain list of keys: %.3g", blocks, c.block,
           c.window, c.sink, worst);
    stream_free(&s);
    film_free(&f);
}

int main(void)
{
    zm_rng rng = net_seed();
    test_film(&rng, (zm_dit_causal){.block = 1, .window = 4, .sink = 0}, 8, 4, 6);
    test_film(&rng, (zm_dit_causal){.block = 1, .window = 4, .sink = 1}, 7, 6, 10);
    test_film(&rng, (zm_dit_causal){.block = 3, .window = 2, .sink = 0}, 5, 2, 6);
    test_film(&rng, (zm_dit_causal){.block = 2, .window = 3, .sink = 2}, 6, 6, 2);
    test_plain(&rng, (zm_dit_causal){.block = 1, .window = 3, .sink = 1}, 7, 6, 10);
    test_plain(&rng, (zm_dit_causal){.block = 2, .window = 2, .sink = 2}, 7, 2, 6);
    test_plain(&rng, (zm_dit_causal){.block = 3, .window = 1, .sink = 1}, 4, 4, 2);
    return tap_done();
}
