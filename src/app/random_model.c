/* zouma random: write a directory of a public model's sizes with random weights, to try time and memory with.
 * SPDX-License-Identifier: MIT */
#include "app/random_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "app/common.h"
#include "base/clock.h"
#include "base/mapfile.h"
#include "base/rng.h"
#include "format/gguf_write.h"
#include "media/progress.h"
#include "model/likes.h"
#include "pipeline/model.h"

/* Values come from a bank of random blocks, quantised once and read from places of their own: fourteen billion normals
 * would take longer than running them. */
enum { BANK = 1 << 20, STRIDE = 4096 };

typedef struct bank {
    float std;
    zm_dtype type;
    char *data;
} bank;

enum { BANKS_MAX = 64 };
typedef struct maker {
    const char *dir;
    zm_dtype type;
    bank bank[BANKS_MAX];
    int n;
    zm_rng rng;
    zm_progress progress;
    size_t done;
} maker;

static zm_status bank_for(maker *m, float std, zm_dtype type, const bank **out, zm_error *err)
{
    for (int i = 0; i < m->n; i++)
        if (m->bank[i].type == type && fabsf(m->bank[i].std - std) <= 0.05F * std) {
            *out = &m->bank[i];
            return ZM_OK;
        }
    size_t bytes;
    float *v = malloc(BANK * sizeof *v);
    bank *b = &m->bank[m->n < BANKS_MAX ? m->n : BANKS_MAX - 1];
    if (m->n == BANKS_MAX)
        free(b->data);
    else
        m->n++;
    *b = (bank){.std = std, .type = type};
    if (!v || !zm_dtype_bytes(&bytes, type, BANK) || !(b->data = malloc(bytes))) {
        free(v);
        return zm_fail(err, ZM_E_NOMEM, "out of memory for random numbers");
    }
    zm_rng_normals(&m->rng, v, BANK);
    for (int i = 0; i < BANK; i++)
        v[i] *= std;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < BANK; i += 1 << 14)
        zm_dtype_from_f32(b->data + (size_t)i / zm_dtype_block_elems(type) * zm_dtype_block_bytes(type), v + i, type,
                          1 << 14);
    free(v);
    *out = b;
    return ZM_OK;
}

/* Matrices as the type asks, unless their rows are not whole blocks of it; small tensors stay f32. */
static zm_dtype type_of(const maker *m, const zm_param *p)
{
    int64_t row = p->shape.dim[p->shape.rank - 1];
    if (!p->matrix || p->shape.rank < 2)
        return ZM_F32;
    return row % (int64_t)zm_dtype_block_elems(m->type) ? ZM_F16 : m->type;
}

static float std_of(const zm_param *p)
{
    double n = (double)zm_shape_elems(p->shape), in = p->shape.rank > 1 ? n / (double)p->shape.dim[0] : 1;
    switch (p->init) {
    case ZM_INIT_ZEROS:
        return p->shape.rank > 1 ? (float)(0.5 / sqrt(in)) : 0.01F; /* an untrained head would make no video at all */
    case ZM_INIT_NORMAL:
        return 0.02F;
    default:
        return (float)(1 / sqrt(in));
    }
}

static zm_status put_ones(zm_gguf_writer *w, int64_t n, zm_error *err)
{
    float one[256];
    zm_status s = ZM_OK;
    for (int i = 0; i < 256; i++)
        one[i] = 1;
    for (int64_t at = 0; !s && at < n; at += 256)
        s = zm_gguf_put(w, one, (size_t)(n - at < 256 ? n - at : 256) * sizeof *one, err);
    return s;
}

static zm_status put_param(maker *m, zm_gguf_writer *w, const zm_param *p, zm_dtype type, zm_error *err)
{
    int64_t n = zm_shape_elems(p->shape);
    const bank *b = NULL;
    if (p->init == ZM_INIT_ONES)
        return put_ones(w, n, err);
    zm_status s = bank_for(m, std_of(p), type, &b, err);
    size_t block = zm_dtype_block_elems(type), bytes = zm_dtype_block_bytes(type);
    while (!s && n > 0) {
        int64_t from = (int64_t)zm_rng_below(&m->rng, BANK / STRIDE / 2) * STRIDE,
                some = BANK - from < n ? BANK - from : n;
        s = zm_gguf_put(w, b->data + (size_t)from / block * bytes, (size_t)some / block * bytes, err);
        n -= some;
        if (zm_app_stop && !s)
            s = zm_fail(err, ZM_E_INTERRUPTED, "stopped in tensor %s; the file is not there", p->name);
    }
    return s;
}

static zm_status write_file(maker *m, const char *name, const zm_params *p, zm_error *err)
{
    int n = zm_params_count(p);
    zm_weight *row = calloc((size_t)n + 1, sizeof *row);
    char *path = zm_path_join(m->dir, "%s", name);
    zm_gguf_writer *w = NULL;
    zm_meta meta = {.key = "general.architecture", .type = ZM_META_STR, .n = 3, .str = "wan"};
    zm_status s = row && path ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory for %d tensors", n);
    for (int i = 0; !s && i < n; i++) {
        row[i] = zm_param_weight(zm_params_at(p, i));
        row[i].dtype = type_of(m, zm_params_at(p, i));
        if (!zm_dtype_bytes(&row[i].bytes, row[i].dtype, (size_t)zm_shape_elems(zm_params_at(p, i)->shape)))
            s = zm_fail(err, ZM_E_SHAPE, "%s is too large", row[i].name);
    }
    if (!s)
        s = zm_gguf_begin(&w, path, row, (size_t)n, &meta, 1, err);
    for (int i = 0; !s && i < n; i++) {
        s = put_param(m, w, zm_params_at(p, i), row[i].dtype, err);
        m->done += row[i].bytes;
        zm_progress_step(&m->progress, (long)(m->done >> 20));
    }
    if (!s)
        s = zm_gguf_commit(&w, err);
    zm_gguf_abandon(&w);
    free(path);
    free(row);
    return s;
}

/* Parameters of every network of the model; the experts share theirs. */
typedef struct networks {
    zm_params *dit, *text, *vae, *clip;
} networks;

static void networks_free(networks *n)
{
    zm_params_free(n->dit);
    zm_params_free(n->text);
    zm_params_free(n->vae);
    zm_params_free(n->clip);
}

static zm_status networks_declare(networks *n, const zm_like *like, zm_error *err)
{
    zm_dit *dit = NULL;
    zm_text_encoder *text = NULL;
    zm_vae *vae = NULL;
    zm_clip *clip = NULL;
    zm_text_config t = zm_like_text();
    zm_vae_config v = zm_like_vae(like->vae);
    zm_clip_config c = zm_like_clip();
    *n = (networks){zm_params_new(), zm_params_new(), zm_params_new(), zm_params_new()};
    zm_status s = n->dit && n->text && n->vae && n->clip ? ZM_OK : zm_fail(err, ZM_E_NOMEM, "out of memory");
    if (!s)
        s = zm_dit_declare(&dit, &like->dit, n->dit, "", err);
    if (!s)
        s = zm_text_encoder_declare(&text, &t, n->text, NULL, err);
    if (!s)
        s = zm_vae_declare(&vae, &v, n->vae, "", err);
    if (!s && like->clip)
        s = zm_clip_declare(&clip, &c, n->clip, "visual.", err);
    zm_dit_free(dit);
    zm_text_encoder_free(text);
    zm_vae_free(vae);
    zm_clip_free(clip);
    return s;
}

static size_t bytes_of(const maker *m, const zm_params *p)
{
    size_t all = 0, bytes;
    for (int i = 0; i < zm_params_count(p); i++)
        if (zm_dtype_bytes(&bytes, type_of(m, zm_params_at(p, i)), (size_t)zm_shape_elems(zm_params_at(p, i)->shape)))
            all += bytes;
    return all;
}

static zm_status check_disk(const char *dir, size_t needed, zm_error *err)
{
    struct statvfs v;
    if (statvfs(dir, &v))
        return ZM_OK;
    double room = (double)v.f_bavail * (double)v.f_frsize;
    return room > (double)needed * 1.02
               ? ZM_OK
               : zm_fail(err, ZM_E_IO, "%s: the model takes %.1f GB and the disk has %.1f GB left", dir,
                         1e-9 * (double)needed, 1e-9 * room);
}

static zm_status write_text(const char *dir, const char *name, const char *text, zm_error *err)
{
    char *path = zm_path_join(dir, "%s", name);
    zm_save f;
    zm_status s = path ? zm_save_open(&f, path, err) : zm_fail(err, ZM_E_NOMEM, "out of memory");
    if (!s) {
        s = zm_save_write(&f, text, strlen(text), err);
        if (s)
            zm_save_abandon(&f);
        else
            s = zm_save_commit(&f, err);
    }
    free(path);
    return s;
}

/* A config.json of the official keys, beside the weights they are of. */
static zm_status write_config(const char *dir, const zm_like *like, zm_error *err)
{
    char *text = zm_dit_config_json(&like->dit);
    zm_status s = text ? write_text(dir, "config.json", text, err) : zm_fail(err, ZM_E_NOMEM, "out of memory");
    free(text);
    return s;
}

/* The bundled model's tokenizer: its ids are below the encoder's vocabulary. */
static zm_status copy_tokenizer(const char *dir, zm_error *err)
{
    char *model = zm_model_bundled(), *from = model ? zm_path_join(model, "tokenizer.json") : NULL, *text = NULL;
    size_t size;
    zm_status s = from ? zm_file_read(&text, &size, from, 64 << 20, err)
                       : zm_fail(err, ZM_E_MISSING, "the bundled model, whose tokenizer is borrowed, is not there");
    if (!s)
        s = write_text(dir, "tokenizer.json", text, err);
    free(text);
    free(from);
    free(model);
    return s;
}

static zm_status write_experts(maker *m, const zm_like *like, const networks *n, zm_error *err)
{
    static const char *const name[] = {"high_noise_model", "low_noise_model"};
    zm_status s = ZM_OK;
    for (int i = 0; !s && i < 2; i++) {
        char *dir = zm_path_join(m->dir, "%s", name[i]), file[64];
        snprintf(file, sizeof file, "%s/diffusion_pytorch_model.gguf", name[i]);
        s = dir ? zm_mkdirs(dir, err) : zm_fail(err, ZM_E_NOMEM, "out of memory");
        if (!s)
            s = write_config(dir, like, err);
        if (!s)
            s = write_file(m, file, n->dit, err);
        free(dir);
    }
    return s;
}

static zm_status make(maker *m, const zm_like *like, bool quiet, zm_error *err)
{
    networks n;
    zm_status s = networks_declare(&n, like, err);
    size_t all = s ? 0
                   : bytes_of(m, n.dit) * (like->experts ? 2 : 1) + bytes_of(m, n.text) + bytes_of(m, n.vae) +
                         bytes_of(m, n.clip);
    if (!s)
        s = zm_mkdirs(m->dir, err);
    if (!s)
        s = check_disk(m->dir, all, err);
    zm_progress_start(&m->progress, quiet ? NULL : stderr, "write, MiB", (long)(all >> 20), false);
    if (!s && like->experts)
        s = write_experts(m, like, &n, err);
    else if (!s)
        s = write_file(m, "dit.gguf", n.dit, err);
    if (!s)
        s = write_file(m, "text.gguf", n.text, err);
    if (!s)
        s = write_file(m, "vae.gguf", n.vae, err);
    if (!s && like->clip)
        s = write_file(m, "clip.gguf", n.clip, err);
    if (!s)
        s = copy_tokenizer(m->dir, err);
    if (!s && !like->experts)
        s = write_config(m->dir, like, err);
    zm_progress_end(&m->progress, (long)(m->done >> 20));
    networks_free(&n);
    return s;
}

int zm_cmd_random(int argc, char **argv)
{
    static const char usage[] = "NAME DIR [--type TYPE]";
    char help[640] = "Write a directory of a public model's sizes with random weights: for measuring time and memory "
                     "without its files.\nIts clips are noise.  NAME is one of:";
    const char *words[2], *type = "bf16";
    bool quiet = false;
    for (size_t i = 0; i < zm_like_count; i++)
        snprintf(help + strlen(help), sizeof help - strlen(help), "\n  %-18s %s", zm_likes[i].name,
                 zm_likes[i].summary);
    const zm_arg args[] = {
        {"--type", 0, ZM_ARG_STR, &type, 0, 0, "TYPE", "of the matrices: bf16, f16, q8_0, q4_k ... [bf16]"},
        {"--quiet", 0, ZM_ARG_FLAG, &quiet, 0, 0, NULL, "no progress"},
    };
    int n = zm_args_parse(argc, argv, args, sizeof args / sizeof *args, words, 2, usage, help);
    if (n < 0)
        return n == -2 ? 0 : 2;
    const zm_like *like = n ? zm_like_find(words[0]) : NULL;
    zm_dtype t;
    if (n < 2 || !like) {
        fprintf(stderr, "zouma random: %s%s; zouma random --help lists the models\n",
                n < 1   ? "which model, and where?"
                : !like ? "there is no model "
                        : "where should it go?  usage: zouma random NAME DIR",
                n && !like ? words[0] : "");
        return 2;
    }
    if (!zm_dtype_parse(&t, type) || !(t == ZM_F32 || t == ZM_F16 || t == ZM_BF16 || zm_dtype_is_quantised(t))) {
        fprintf(stderr, "zouma random: --type %s is not a type of weights\n", type);
        return 2;
    }
    zm_app_catch_signals();
    maker *m = calloc(1, sizeof *m);
    zm_error err = {0};
    zm_status s = m ? ZM_OK : zm_fail(&err, ZM_E_NOMEM, "out of memory");
    if (!s) {
        m->dir = words[1];
        m->type = t;
        m->rng = zm_rng_init(1, 1);
        s = make(m, like, quiet, &err);
        for (int i = 0; i < m->n; i++)
            free(m->bank[i].data);
    }
    free(m);
    return s ? zm_app_report("random", &err) : 0;
}
