/* Video autoencoders behind one handle: checks, latent statistics, and the loss that trains them.
 * SPDX-License-Identifier: MIT */
#include "model/vae.h"

#include <string.h>

#include "model/vae_parts.h"

static const zm_vae_family *const families[] = {
    [ZM_VAE_WAN21] = &zm_vae_family_wan21,
    [ZM_VAE_WAN22] = &zm_vae_family_wan22,
    [ZM_VAE_LIGHT] = &zm_vae_family_light,
};

zm_status zm_vae_declare(zm_vae **out, const zm_vae_config *c, zm_params *params, const char *prefix, zm_error *err)
{
    *out = NULL;
    zm_status s = zm_vae_config_check(c, err);
    if (s)
        return s;
    zm_arena *arena = zm_arena_new();
    zm_vae *v = arena ? zm_arena_alloc(arena, sizeof *v) : NULL;
    if (!v) {
        zm_arena_free(arena);
        return zm_fail(err, ZM_E_NOMEM, "autoencoder: out of memory");
    }
    *v = (zm_vae){.config = *c, .family = families[c->kind], .arena = arena};
    zm_vae_set_stats(v, c->mean, c->std);
    zm_vae_scope scope = {params, prefix ? prefix : ""};
    v->net = v->family->declare(c, arena, &scope);
    if (!v->net) {
        zm_vae_free(v);
        return zm_fail(err, ZM_E_NOMEM, "autoencoder: out of memory");
    }
    *out = v;
    return ZM_OK;
}

void zm_vae_free(zm_vae *v)
{
    if (v)
        zm_arena_free(v->arena); /* v itself lives there */
}

const zm_vae_config *zm_vae_config_of(const zm_vae *v)
{
    return &v->config;
}

int zm_vae_z_dim(const zm_vae *v)
{
    return v->config.z_dim;
}

int zm_vae_spatial_stride(const zm_vae *v)
{
    const zm_vae_config *c = &v->config;
    return c->kind == ZM_VAE_LIGHT ? 2 * c->fold : c->patch << (c->n_stages - 1);
}

int zm_vae_temporal_stride(const zm_vae *v)
{
    const zm_vae_config *c = &v->config;
    int stride = 1;
    if (c->kind == ZM_VAE_LIGHT)
        return 4;
    for (int i = 0; i < c->n_stages - 1; i++)
        stride *= c->temporal_down[i] ? 2 : 1;
    return stride;
}

void zm_vae_set_stats(zm_vae *v, const float *mean, const float *std)
{
    for (int i = 0; i < v->config.z_dim; i++) {
        v->config.mean[i] = mean[i];
        v->config.std[i] = std[i];
        v->inv_std[i] = 1.0f / std[i]; /* the official order of operations: the reciprocal first, in f32 */
    }
}

static bool video_fits(zm_graph *g, const zm_vae *v, const zm_tensor *x, zm_vae_pass_mode mode)
{
    char text[128];
    int s = zm_vae_spatial_stride(v), t = zm_vae_temporal_stride(v);
    if (zm_graph_failed(g))
        return false;
    const int64_t *d = x->shape.dim;
    bool ok = x->shape.rank == 5 && d[4] == 3 && d[2] > 0 && d[3] > 0 && d[2] % s == 0 && d[3] % s == 0;
    if (ok && mode == ZM_VAE_WHOLE)
        ok = d[1] > 0 && (d[1] - 1) % t == 0;
    else if (ok)
        ok = d[1] == (mode == ZM_VAE_FIRST ? 1 : t);
    if (!ok)
        zm_graph_fail(g, ZM_E_SHAPE,
                      "autoencoder: video is %s, needed is [B,F,H,W,3] with H and W multiples of %d and F = 1 + %dn",
                      zm_shape_text(x->shape, text, sizeof text), s, t);
    return ok;
}

static bool latent_fits(zm_graph *g, const zm_vae *v, const zm_tensor *z, zm_vae_pass_mode mode)
{
    char text[128];
    if (zm_graph_failed(g))
        return false;
    bool ok = z->shape.rank == 5 && z->shape.dim[4] == v->config.z_dim && z->shape.dim[1] > 0;
    if (ok && mode != ZM_VAE_WHOLE)
        ok = z->shape.dim[1] == 1;
    if (!ok)
        zm_graph_fail(g, ZM_E_SHAPE, "autoencoder: latent is %s, needed is [B,F,H,W,%d]",
                      zm_shape_text(z->shape, text, sizeof text), v->config.z_dim);
    return ok;
}

zm_tensor *zm_vae_build_encode_chunk(zm_build *b, const zm_vae *v, zm_tensor *video, zm_vae_chunk *c)
{
    c->n_slots = c->n_taps = 0;
    zm_vae_pass p = {.b = b, .g = b->g, .chunk = c};
    return video_fits(b->g, v, video, c->mode) ? v->family->encode(&p, v, video) : video;
}

zm_tensor *zm_vae_build_decode_chunk(zm_build *b, const zm_vae *v, zm_tensor *z, zm_vae_chunk *c)
{
    c->n_slots = c->n_taps = 0;
    zm_vae_pass p = {.b = b, .g = b->g, .chunk = c};
    if (!latent_fits(b->g, v, z, c->mode))
        return z;
    int64_t first = c->first_row, last = c->last_row ? c->last_row : z->shape.dim[2], stride = zm_vae_spatial_stride(v);
    if (first < 0 || first >= last || last > z->shape.dim[2])
        return zm_graph_fail(b->g, ZM_E_SHAPE, "autoencoder: rows %lld to %lld of %lld", (long long)first,
                             (long long)last, (long long)z->shape.dim[2]);
    zm_tensor *x = v->family->decode(&p, v, z);
    if (zm_graph_failed(b->g) || x->shape.dim[2] == (last - first) * stride)
        return x;
    return zm_slice(b->g, x, 2, first * stride, (last - first) * stride); /* a family that knows no rows */
}

/* Whole clips keep no state: a chunk record in the graph's arena serves the common code. */
static zm_vae_chunk *whole(zm_graph *g)
{
    zm_vae_chunk *c = zm_arena_alloc(zm_graph_arena(g), sizeof *c);
    if (!c)
        zm_graph_fail(g, ZM_E_NOMEM, "autoencoder: out of memory");
    return c;
}

zm_tensor *zm_vae_build_encode(zm_build *b, const zm_vae *v, zm_tensor *video)
{
    zm_vae_chunk *c = whole(b->g);
    return c ? zm_vae_build_encode_chunk(b, v, video, c) : video;
}

zm_tensor *zm_vae_build_decode(zm_build *b, const zm_vae *v, zm_tensor *z)
{
    zm_vae_chunk *c = whole(b->g);
    return c ? zm_vae_build_decode_chunk(b, v, z, c) : z;
}

zm_tensor *zm_vae_build_clamp(zm_build *b, zm_tensor *video)
{
    return zm_unary(b->g, ZM_CLAMP1, video);
}

zm_tensor *zm_vae_build_mean(zm_build *b, const zm_vae *v, zm_tensor *moments)
{
    return zm_slice(b->g, moments, 4, 0, v->config.z_dim);
}

static zm_tensor *constant(zm_build *b, const float *at, int n, const char *name)
{
    return zm_external(b->g, ZM_F32, ZM_SHAPE(n), (void *)at, name); /* only read */
}

zm_tensor *zm_vae_build_normalise(zm_build *b, const zm_vae *v, zm_tensor *z)
{
    int n = v->config.z_dim;
    z = zm_sub(b->g, z, constant(b, v->config.mean, n, "latents_mean"));
    return zm_mul(b->g, z, constant(b, v->inv_std, n, "latents_inv_std"));
}

zm_tensor *zm_vae_build_denormalise(zm_build *b, const zm_vae *v, zm_tensor *z)
{
    int n = v->config.z_dim;
    z = zm_div(b->g, z, constant(b, v->inv_std, n, "latents_inv_std"));
    return zm_add(b->g, z, constant(b, v->config.mean, n, "latents_mean"));
}

void zm_vae_normalise(const zm_vae *v, float *z, size_t n)
{
    size_t c = (size_t)v->config.z_dim;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            z[i * c + k] = (z[i * c + k] - v->config.mean[k]) * v->inv_std[k];
}

void zm_vae_denormalise(const zm_vae *v, float *z, size_t n)
{
    size_t c = (size_t)v->config.z_dim;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c; k++)
            z[i * c + k] = z[i * c + k] / v->inv_std[k] + v->config.mean[k];
}

/* Mean of |difference of neighbours along an axis|, weighted like the pixel that comes first. */
static zm_tensor *edge_term(zm_graph *g, zm_tensor *error, zm_tensor *weight, int axis)
{
    if (zm_graph_failed(g))
        return error;
    int64_t n = error->shape.dim[axis] - 1;
    zm_tensor *d = zm_sub(g, zm_slice(g, error, axis, 1, n), zm_slice(g, error, axis, 0, n));
    d = zm_unary(g, ZM_ABS, d);
    return zm_mean(g, zm_mul(g, d, zm_slice(g, weight, axis, 0, n)));
}

static zm_tensor *plus(zm_graph *g, zm_tensor *sum, double factor, zm_tensor *term)
{
    term = zm_affine(g, term, factor, 0);
    return sum ? zm_add(g, sum, term) : term;
}

zm_vae_loss zm_vae_build_loss_parts(zm_build *b, const zm_vae *v, zm_tensor *video, zm_tensor *weight, zm_tensor *eps,
                                    const zm_vae_loss_options *o)
{
    zm_graph *g = b->g;
    int z = v->config.z_dim;
    zm_tensor *moments = zm_vae_build_encode(b, v, video);
    zm_tensor *mean = zm_slice(g, moments, 4, 0, z), *var = zm_slice(g, moments, 4, z, z);
    zm_tensor *std = zm_unary(g, ZM_EXP, zm_affine(g, var, 0.5, 0));
    zm_vae_loss out = {0};
    out.video = zm_vae_build_decode(b, v, zm_add(g, mean, zm_mul(g, std, eps)));
    zm_tensor *error = zm_sub(g, out.video, video);
    out.l1 = zm_mean(g, zm_mul(g, zm_unary(g, ZM_ABS, error), weight));
    /* KL = (mean^2 + var - 1 - log var) / 2 per latent number */
    zm_tensor *kl = zm_add(g, zm_unary(g, ZM_SQUARE, mean), zm_unary(g, ZM_SQUARE, std));
    out.kl = zm_mean(g, zm_affine(g, zm_sub(g, kl, var), 0.5, -0.5));
    out.total = plus(g, NULL, o->l1, out.l1);
    if (o->l2 != 0)
        out.total = plus(g, out.total, o->l2, zm_mean(g, zm_mul(g, zm_unary(g, ZM_SQUARE, error), weight)));
    if (o->edge != 0) {
        out.total = plus(g, out.total, o->edge, edge_term(g, error, weight, 2));
        out.total = plus(g, out.total, o->edge, edge_term(g, error, weight, 3));
    }
    out.total = plus(g, out.total, o->kl, out.kl);
    return out;
}

zm_tensor *zm_vae_build_loss(zm_build *b, const zm_vae *v, zm_tensor *video, zm_tensor *weight, zm_tensor *eps,
                             double kl_weight)
{
    zm_vae_loss_options o = {.l1 = 1, .l2 = 0.5, .edge = 0.5, .kl = kl_weight};
    return zm_vae_build_loss_parts(b, v, video, weight, eps, &o).total;
}
