/* Looking on changes nothing: maps of attention against plain sums, the same velocity and the same clip with and without
 * somebody who looks, tokens that are marked.
 * SPDX-License-Identifier: MIT */
#include "../model/net.h"

#include <string.h>

#include "pipeline/explain_tokens.h"

enum { FRAMES = 9, SIDE = 32, STEPS = 3, ROWS = 64 };

/* ---- maps of one velocity against the whole way ---- */

typedef struct seen {
    int blocks, rows, told;
    int64_t tokens;
    float *map; /* [blocks,tokens,ROWS] */
    double rms, flops;
} seen;

static void on_attention(void *user, int block, const float *map, int64_t tokens, int rows, int stride)
{
    seen *s = user;
    s->tokens = tokens;
    s->rows = rows;
    s->map = s->map ? s->map : calloc((size_t)(s->blocks * tokens * ROWS), sizeof *s->map);
    for (int64_t t = 0; t < tokens; t++)
        memcpy(s->map + (block * tokens + t) * ROWS, map + t * stride, (size_t)rows * sizeof *map);
    s->told++;
}

static void on_ran(void *user, const zm_network_cost *cost)
{
    seen *s = user;
    for (int i = 0; i < ZM_WORK_COUNT; i++)
        s->flops += cost->flops[i];
}

typedef struct asked {
    zm_latent_plan plan;
    zm_contexts contexts;
    float *x;
    double t;
    int len;
} asked;

static bool velocity(zm_model *m, const asked *a, const zm_network_look *look, bool one_by_one, float *v)
{
    zm_error err = {0};
    zm_network *n = NULL;
    zm_network_options o = {.branches = 2, .one_by_one = one_by_one, .look = look};
    zm_status s = zm_network_new(&n, m, &a->plan, &o, &err);
    if (!s)
        s = zm_network_begin(n, &a->contexts, &err);
    if (!s)
        s = zm_network_velocity(n, &a->plan, a->x, a->t, 3, v, &err);
    zm_network_free(n);
    return tap_ok(!s, "a velocity %s", err.text);
}

typedef struct marked {
    zm_graph *g;
    int n;
    zm_tensor *q[64];
} marked;

static void on_mark(void *user, const char *name, zm_tensor *t)
{
    marked *m = user;
    if (strstr(name, ".cross_attn.q_heads"))
        m->q[m->n++] = zm_output(m->g, t);
}

/* softmax(q k^T / sqrt(d)) of one patch, mean over heads, in double. */
static void attend(double *to, const float *q, const float *k, int rows, int heads, int d)
{
    for (int r = 0; r < rows; r++)
        to[r] = 0;
    for (int h = 0; h < heads; h++) {
        double score[ROWS], most = -1e300, sum = 0;
        for (int r = 0; r < rows; r++) {
            double dot = 0;
            for (int i = 0; i < d; i++)
                dot += (double)q[h * d + i] * (double)k[(r * heads + h) * d + i];
            score[r] = dot / sqrt(d);
            most = fmax(most, score[r]);
        }
        for (int r = 0; r < rows; r++)
            sum += exp(score[r] - most);
        for (int r = 0; r < rows; r++)
            to[r] += exp(score[r] - most) / sum / heads;
    }
}

static void compare_block(const seen *s, int block, const float *q, const float *k, const zm_dit_config *c)
{
    int d = c->dim / c->num_heads;
    double worst = 0, sum_off = 0, want[ROWS];
    for (int64_t t = 0; t < s->tokens; t++) {
        const float *got = s->map + (block * s->tokens + t) * ROWS;
        double sum = 0;
        attend(want, q + t * c->dim, k, c->text_len, c->num_heads, d);
        for (int r = s->rows; r < c->text_len; r++) /* empty rows are told as one */
            want[s->rows - 1] += want[r];
        for (int r = 0; r < s->rows; r++) {
            worst = fmax(worst, fabs((double)got[r] - want[r]));
            sum += (double)got[r];
        }
        sum_off = fmax(sum_off, fabs(sum - 1));
    }
    tap_ok(worst <= 1e-5, "block %d: %.2g from plain sums", block, worst);
    tap_ok(sum_off <= 1e-5, "block %d: columns sum to 1 within %.2g", block, sum_off);
}

/* The prompt's branch alone, with every row of its context. */
static void compare(zm_model *m, const asked *a, const seen *s)
{
    const zm_dit_config *c = &m->config.dit;
    const zm_part *part = &m->part[ZM_PART_DIT];
    zm_graph *g = zm_graph_new();
    marked marks = {.g = g};
    zm_build b = zm_build_begin(g, part->params, false, false);
    zm_dit_inputs in = zm_dit_input_leaves(&b, part->dit,
                                           &(zm_dit_sizes){.batch = 1,
                                                           .frames = a->plan.size.frames,
                                                           .height = a->plan.size.height,
                                                           .width = a->plan.size.width,
                                                           .groups = 1});
    zm_dit_kept kept = zm_dit_build_kept(&b, part->dit, in.context, NULL);
    in.mark = on_mark;
    in.user = &marks;
    zm_output(g, zm_dit_build(&b, part->dit, &in));
    zm_exec *e = net_finish(g);
    float *time = malloc(zm_tensor_bytes(in.time));
    zm_time_sinusoid(time, &a->t, 1, c->freq_dim);
    if (e) {
        zm_exec_write(e, in.x, a->x);
        zm_exec_write(e, in.time, time);
        zm_exec_write(e, in.context, a->contexts.at);
    }
    tap_ok(e && net_run(e) && marks.n == c->num_layers, "the whole way runs");
    for (int i = 0; e && i < marks.n; i++) {
        float *q = net_read(e, marks.q[i]), *k = net_read(e, kept.at[2 * i]);
        compare_block(s, i, q, k, c);
        free(q);
        free(k);
    }
    free(time);
    zm_exec_free(e);
    zm_graph_free(g);
}

static void test_maps(zm_model *m, zm_rng *rng, int len)
{
    const zm_dit_config *c = &m->config.dit;
    zm_error err = {0};
    zm_request r = {.prompt = "a ball", .width = SIDE, .height = SIDE, .frames = FRAMES};
    asked a = {.t = 1000 * (double)zm_rng_uniform(rng), .len = len};
    zm_status s = zm_request_resolve(&r, m, &err);
    if (!s)
        s = zm_latent_plan_init(&a.plan, &r, m, &err);
    if (!s)
        s = zm_contexts_init(&a.contexts, 2, c->text_len, c->text_dim, &err);
    if (!tap_ok(!s, "a text of %d rows %s", len, err.text))
        return;
    a.x = net_normals(rng, (size_t)a.plan.size.each);
    zm_rng_normals(rng, a.contexts.at, (size_t)(len * c->text_dim));
    zm_rng_normals(rng, a.contexts.at + c->text_len * c->text_dim, (size_t)(2 * c->text_dim));
    size_t bytes = (size_t)a.plan.size.each * sizeof(float);
    float *plain = malloc(bytes), *looked = malloc(bytes), *turns = malloc(bytes), *turns_looked = malloc(bytes);
    seen both = {.blocks = c->num_layers}, one = both;
    zm_network_look look[2] = {{&both, on_attention, NULL, on_ran}, {&one, on_attention, NULL, on_ran}};
    if (velocity(m, &a, NULL, false, plain) && velocity(m, &a, &look[0], false, looked) &&
        velocity(m, &a, NULL, true, turns) && velocity(m, &a, &look[1], true, turns_looked)) {
        tap_ok(!memcmp(plain, looked, bytes), "the velocity is the same bits");
        tap_ok(!memcmp(turns, turns_looked, bytes), "and with the branches one after the other");
        tap_equal_i64(both.told, c->num_layers, "a map a block");
        tap_equal_i64(one.told, c->num_layers, "a map a block, of the prompt's branch alone");
        tap_equal_i64(both.rows, len < c->text_len ? len + 1 : len, "columns: the text, and the empty rows as one");
        tap_close_f32(one.map, both.map, (size_t)(both.blocks * both.tokens * ROWS), 1e-5, "the same maps both ways");
        tap_ok(both.flops > 0 && fabs(both.flops - one.flops) <= 1e-9 * both.flops, "the same work: %.0f FLOP",
               both.flops);
        compare(m, &a, &both);
    }
    free(plain);
    free(looked);
    free(turns);
    free(turns_looked);
    free(both.map);
    free(one.map);
    free(a.x);
    zm_contexts_release(&a.contexts);
    zm_latent_plan_release(&a.plan);
}

/* ---- whole clips ---- */

typedef struct film {
    uint8_t rgb[FRAMES * SIDE * SIDE * 3];
    int frames;
} film;

static zm_status on_frame(void *user, const zm_frame *f, zm_error *err)
{
    film *to = user;
    if (to->frames == FRAMES || f->width != SIDE || f->height != SIDE)
        return zm_fail(err, ZM_E_SHAPE, "frame %d of %dx%d", to->frames, f->width, f->height);
    memcpy(to->rgb + to->frames++ * SIDE * SIDE * 3, f->rgb, (size_t)SIDE * SIDE * 3);
    return ZM_OK;
}

static zm_request clip(const char *prompt, const char *solver, double guidance)
{
    return (zm_request){.prompt = prompt,
                        .width = SIDE,
                        .height = SIDE,
                        .frames = FRAMES,
                        .steps = STEPS,
                        .solver = solver,
                        .guidance = guidance,
                        .seed = 12};
}

static double sums_off(const float *rows, int64_t n, int columns)
{
    double worst = 0;
    for (int64_t i = 0; rows && i < n; i++) {
        double sum = 0;
        for (int c = 0; c < columns; c++)
            sum += (double)rows[i * columns + c];
        worst = fmax(worst, fabs(sum - 1));
    }
    return rows ? worst : 1;
}

static void test_numbers(const zm_explanation *x, bool guided)
{
    int64_t cells = x->grid[1] * x->grid[2];
    tap_ok(sums_off(x->map, x->grid[0] * cells, x->columns) <= 1e-5, "every patch's columns sum to 1");
    tap_ok(sums_off(x->block_map, x->blocks * cells, x->columns) <= 1e-5, "in each block too");
    tap_ok(sums_off(x->block_share, x->blocks, x->columns) <= 1e-5, "the blocks' shares sum to 1");
    tap_ok(sums_off(x->step_share, x->steps, x->columns) <= 1e-5, "the steps' shares sum to 1");
    bool falls = true, costs = true, cosine = true;
    for (int i = 0; i < x->steps; i++) {
        falls &= x->step[i].sigma > (i + 1 < x->steps ? x->step[i + 1].sigma : x->sigma_end);
        costs &=
            x->step[i].cost.flops[ZM_WORK_CROSS] > 0 && x->step[i].cost.flops[ZM_WORK_SELF] > 0 && x->step[i].with > 0;
        cosine &= guided ? fabs(x->step[i].cosine) <= 1 + 1e-12 && x->step[i].apart > 0 : isnan(x->step[i].cosine);
    }
    tap_ok(falls, "noise levels fall");
    tap_ok(costs, "steps have a cost");
    tap_ok(cosine, "what guidance does is %s", guided ? "told" : "absent");
    tap_ok(x->memory.phase[ZM_PHASE_TEXT].flops > 0 && x->memory.phase[ZM_PHASE_DECODE].flops > 0,
           "phases are measured");
    tap_equal_i64(x->views, STEPS, "a view a step");
    bool pictures = true;
    for (int i = 0; i < x->views; i++)
        for (int k = 0; k < ZM_EXPLAIN_VIEWS; k++)
            pictures &= x->view[i].picture[k].width == SIDE;
    for (int i = 0; i < x->keys; i++)
        pictures &= x->key[i].width == SIDE;
    tap_ok(pictures, "pictures of every step and of the clip");
}

/* The last prediction is the clip itself: at noise level 0 nothing is left to take away. */
static void test_last(const zm_explanation *x, const film *f)
{
    const uint8_t *rgb = x->view[x->views - 1].picture[0].rgb;
    int worst = 0;
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        worst = abs(rgb[i] - f->rgb[i]) > worst ? abs(rgb[i] - f->rgb[i]) : worst;
    tap_ok(worst <= 1, "the last prediction's first frame is the clip's, %d levels of 255 apart", worst);
}

static void test_clip(zm_model *m, const char *solver, double guidance)
{
    static film plain, watched;
    zm_error err = {0};
    zm_explanation x;
    zm_request r = clip("a red zyzzyvaq ball", solver, guidance);
    zm_film *f = NULL;
    zm_generator_options how = {0};
    zm_film_watch w = {.watch = {.user = &plain, .frame = on_frame}};
    plain.frames = watched.frames = 0;
    zm_status s = zm_film_open(&f, m, &(zm_film_request){.clip = r}, &err);
    if (!s)
        s = zm_film_run(f, &how, &w, &err);
    zm_film_close(f);
    tap_ok(!s && plain.frames == FRAMES, "%s: a clip %s", solver, err.text);
    s = zm_explain(&x, m, &r, &(zm_explain_options){0}, &(zm_watch){.user = &watched, .frame = on_frame}, &err);
    if (tap_ok(!s, "%s: and an explanation %s", solver, err.text)) {
        tap_ok(watched.frames == FRAMES && !memcmp(watched.rgb, plain.rgb, sizeof watched.rgb), "%s: the same bytes",
               solver);
        test_numbers(&x, guidance > 1);
        test_last(&x, &plain);
        int strange = 0, known = 0;
        for (int i = 0; i < x.tokens; i++) {
            strange += x.token[i].unknown;
            known += !x.token[i].unknown;
        }
        tap_ok(strange > 0 && known >= 4 && !x.token[x.tokens - 1].unknown, "%d of %d tokens are marked", strange,
               x.tokens);
        tap_ok(x.unknown && strstr(x.unknown, "zyzzyvaq"), "the unknown word is named");
    }
    zm_explanation_release(&x);
}

static void test_refused(zm_model *m)
{
    static film f;
    zm_error err = {0};
    zm_explanation x;
    zm_request r = clip("a ball", "unipc", 3);
    r.frames = 10 * m->config.video.frames;
    zm_status s = zm_explain(&x, m, &r, &(zm_explain_options){0}, &(zm_watch){.user = &f, .frame = on_frame}, &err);
    tap_ok(s == ZM_E_USAGE && f.frames == 0, "%s", err.text);
    zm_explanation_release(&x);
}

/* A prompt that is cut in the middle of a word that nobody knows, and words inside others. */
static void test_tokens(zm_model *m)
{
    zm_error err = {0};
    char prompt[4096] = "";
    zm_explanation x = {.r = {.prompt = prompt}};
    int balls = m->config.dit.text_len - 4;
    for (int i = 0; i < balls; i++)
        strcat(prompt, "ball ");
    strcat(prompt, "zyzzyvaqwertyzyzzyva");
    zm_status s = zm_explain_tokenise(&x, m, &err);
    if (tap_ok(!s, "a long prompt %s", err.text)) {
        int strange = 0;
        for (int i = 0; i < x.tokens; i++)
            strange += x.token[i].unknown;
        tap_equal_i64(x.tokens, m->config.dit.text_len, "it is cut");
        tap_ok(x.whole > x.tokens, "of %d tokens", x.whole);
        tap_ok(strange >= 2 && strange <= 3 && x.token[x.tokens - 2].unknown,
               "what is left of the word is marked: %d tokens", strange);
    }
    zm_explanation_release(&x);
    strcpy(prompt, "a red ball");
    x = (zm_explanation){.r = {.prompt = prompt}};
    s = zm_explain_tokenise(&x, m, &err);
    int strange = 0;
    for (int i = 0; i < x.tokens; i++)
        strange += x.token[i].unknown;
    tap_ok(!s && !x.unknown && strange == 0 && x.tokens == 4, "words that are known are not marked %s", err.text);
    zm_explanation_release(&x);
    strcpy(prompt, "a \xff ball");
    x = (zm_explanation){.r = {.prompt = prompt}};
    s = zm_explain_tokenise(&x, m, &err);
    tap_ok(s == ZM_E_FORMAT, "%s", err.text);
    zm_explanation_release(&x);
}

int main(void)
{
    zm_rng rng = net_seed();
    zm_error err = {0};
    zm_model *m = NULL;
    if (zm_model_open(&m, "models/toybox", &err)) {
        tap_skip("the bundled model", err.text);
        return tap_done();
    }
    if (m->config.dit.text_len > ROWS || m->config.dit.num_layers > 64) {
        tap_skip("the bundled model", "it is larger than this test");
        return tap_done();
    }
    test_maps(m, &rng, 1 + (int)zm_rng_below(&rng, (uint32_t)m->config.dit.text_len - 1));
    test_maps(m, &rng, m->config.dit.text_len);
    test_clip(m, "unipc", 3);
    test_clip(m, "euler", 1);
    test_refused(m);
    test_tokens(m);
    zm_model_close(m);
    return tap_done();
}
