/* Sizes of video autoencoders from JSON, and back.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/vae_parts.h"

static const char *const kinds[] = {[ZM_VAE_WAN21] = "wan21", [ZM_VAE_WAN22] = "wan22", [ZM_VAE_LIGHT] = "light"};

/* Per-channel statistics published with the official weights. */
static const float wan21_mean[16] = {-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,  -0.1517f, 1.5508f,
                                     0.4134f,  -0.0715f, 0.5517f,  -0.3632f, -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
static const float wan21_std[16] = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                                    3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};
static const float wan22_mean[48] = {-0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,
                                     -0.1382f, 0.0542f,  0.2813f,  0.0891f,  0.1570f,  -0.0098f, 0.0375f,  -0.1825f,
                                     -0.2246f, -0.1207f, -0.0698f, 0.5109f,  0.2665f,  -0.2108f, -0.2158f, 0.2502f,
                                     -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,  -0.2799f, -0.1230f,
                                     -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.0520f, 0.3748f,
                                     0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f};
static const float wan22_std[48] = {
    0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f,
    0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f, 1.4146f, 0.8986f, 0.5659f,
    0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f, 0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f,
    0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f};

void zm_vae_config_official_stats(zm_vae_config *c)
{
    const float *mean = NULL, *std = NULL;
    if (c->kind == ZM_VAE_WAN21 && c->z_dim == 16) {
        mean = wan21_mean;
        std = wan21_std;
    } else if (c->kind == ZM_VAE_WAN22 && c->z_dim == 48) {
        mean = wan22_mean;
        std = wan22_std;
    }
    for (int i = 0; i < ZM_VAE_Z_MAX; i++) {
        c->mean[i] = mean && i < c->z_dim ? mean[i] : 0;
        c->std[i] = std && i < c->z_dim ? std[i] : 1;
    }
}

zm_vae_config zm_vae_config_light(void)
{
    zm_vae_config c = {.kind = ZM_VAE_LIGHT,
                       .z_dim = 16,
                       .patch = 1,
                       .fold = 4,
                       .channels = {64, 128},
                       .enc_blocks = {1, 0, 1, 1},
                       .dec_blocks = {2, 0, 1, 2}};
    zm_vae_config_official_stats(&c);
    return c;
}

static zm_status check_wan(const zm_vae_config *c, zm_error *err)
{
    if (c->dim < 1 || c->dim > 4096 || c->dec_dim < 1 || c->dec_dim > 4096)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: widths %d and %d are outside 1..4096", c->dim, c->dec_dim);
    if (c->n_stages < 1 || c->n_stages > ZM_VAE_STAGES_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: %d stages, 1..%d are possible", c->n_stages,
                       ZM_VAE_STAGES_MAX);
    for (int i = 0; i < c->n_stages; i++)
        if (c->dim_mult[i] < 1 || c->dim_mult[i] > 64)
            return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: dim_mult[%d] is %d, outside 1..64", i, c->dim_mult[i]);
    if (c->num_res_blocks < 1 || c->num_res_blocks > 16)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: num_res_blocks is %d, outside 1..16", c->num_res_blocks);
    if (c->patch < 1 || c->patch > 16)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: patch size is %d, outside 1..16", c->patch);
    return ZM_OK;
}

zm_status zm_vae_config_check(const zm_vae_config *c, zm_error *err)
{
    if (c->z_dim < 1 || c->z_dim > ZM_VAE_Z_MAX)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: z_dim is %d, outside 1..%d", c->z_dim, ZM_VAE_Z_MAX);
    for (int i = 0; i < c->z_dim; i++)
        if (!(c->std[i] > 0))
            return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: latents_std[%d] is %g, not above 0", i,
                           (double)c->std[i]);
    if (c->kind != ZM_VAE_LIGHT)
        return check_wan(c, err);
    if (c->fold < 1 || c->fold > 16)
        return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: fold is %d, outside 1..16", c->fold);
    for (int i = 0; i < 2; i++)
        if (c->channels[i] < 1 || c->channels[i] > 4096)
            return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: channels[%d] is %d, outside 1..4096", i,
                           c->channels[i]);
    for (int i = 0; i < 4; i++)
        if (c->enc_blocks[i] < 0 || c->enc_blocks[i] > 16 || c->dec_blocks[i] < 0 || c->dec_blocks[i] > 16)
            return zm_fail(err, ZM_E_UNSUPPORTED, "autoencoder: %d and %d residual blocks at place %d, 0..16 possible",
                           c->enc_blocks[i], c->dec_blocks[i], i);
    return ZM_OK;
}

/* "KEY.NAME", or NAME when key is the root. */
static const char *path(char *buf, size_t cap, const char *key, const char *name)
{
    snprintf(buf, cap, "%s%s%s", key, *key ? "." : "", name);
    return buf;
}

static zm_status get_int(int *out, const zm_json *j, const char *key, const char *name, bool required, int lo, int hi,
                         zm_error *err)
{
    char at[256];
    int64_t value = *out;
    zm_status s = zm_json_int(&value, j, path(at, sizeof at, key, name), required, lo, hi, err);
    *out = (int)value;
    return s;
}

static zm_status get_ints(int *out, int n, const zm_json *j, const char *key, const char *name, int lo, int hi,
                          zm_error *err)
{
    char at[256];
    int64_t value[ZM_VAE_STAGES_MAX];
    size_t got = 0;
    zm_status s =
        zm_json_ints(value, &got, j, path(at, sizeof at, key, name), false, (size_t)n, (size_t)n, lo, hi, err);
    for (size_t i = 0; !s && i < got; i++)
        out[i] = (int)value[i];
    return s;
}

static zm_status read_light(zm_vae_config *c, const zm_json *j, const char *key, zm_error *err)
{
    zm_status s = get_int(&c->z_dim, j, key, "z_dim", false, 1, ZM_VAE_Z_MAX, err);
    if (!s)
        s = get_int(&c->fold, j, key, "fold", false, 1, 16, err);
    if (!s)
        s = get_ints(c->channels, 2, j, key, "channels", 1, 4096, err);
    if (!s)
        s = get_ints(c->enc_blocks, 4, j, key, "encoder_blocks", 0, 16, err);
    if (!s)
        s = get_ints(c->dec_blocks, 4, j, key, "decoder_blocks", 0, 16, err);
    return s;
}

/* An array of booleans; the official constructors spell it "temperal_downsample". */
static zm_status read_temporal(zm_vae_config *c, const zm_json *j, const char *key, zm_error *err)
{
    char at[256];
    json_t *list = zm_json_at(j, path(at, sizeof at, key, "temperal_downsample"));
    if (!json_is_array(list) || json_array_size(list) + 1 != (size_t)c->n_stages)
        return zm_fail(err, ZM_E_FORMAT, "%s: %s must be a list of %d booleans", j->file, at, c->n_stages - 1);
    for (int i = 0; i < c->n_stages - 1; i++) {
        json_t *one = json_array_get(list, (size_t)i);
        if (!json_is_boolean(one))
            return zm_fail(err, ZM_E_FORMAT, "%s: %s[%d] is no boolean", j->file, at, i);
        c->temporal_down[i] = json_is_true(one);
    }
    return ZM_OK;
}

static zm_status read_wan(zm_vae_config *c, const zm_json *j, const char *key, zm_error *err)
{
    char at[256];
    int64_t mult[ZM_VAE_STAGES_MAX];
    size_t n = 0;
    zm_status s = get_int(&c->dim, j, key, "dim", true, 1, 4096, err);
    c->dec_dim = c->dim;
    c->num_res_blocks = 2;
    c->patch = c->kind == ZM_VAE_WAN22 ? 2 : 1;
    if (!s)
        s = get_int(&c->dec_dim, j, key, "dec_dim", false, 1, 4096, err);
    if (!s)
        s = get_int(&c->z_dim, j, key, "z_dim", true, 1, ZM_VAE_Z_MAX, err);
    if (!s)
        s = get_int(&c->num_res_blocks, j, key, "num_res_blocks", false, 1, 16, err);
    if (!s)
        s = get_int(&c->patch, j, key, "patchify", false, 1, 16, err);
    if (!s)
        s = zm_json_ints(mult, &n, j, path(at, sizeof at, key, "dim_mult"), true, 1, ZM_VAE_STAGES_MAX, 1, 64, err);
    if (s)
        return s;
    c->n_stages = (int)n;
    for (size_t i = 0; i < n; i++)
        c->dim_mult[i] = (int)mult[i];
    json_t *attention = zm_json_at(j, path(at, sizeof at, key, "attn_scales"));
    if (attention && json_array_size(attention) > 0)
        return zm_fail(err, ZM_E_UNSUPPORTED,
                       "%s: %s asks for attention outside the middle, which no released model has", j->file, at);
    return read_temporal(c, j, key, err);
}

static zm_status read_stats(float *out, int n, const zm_json *j, const char *key, const char *name, zm_error *err)
{
    char at[256];
    double value[ZM_VAE_Z_MAX];
    size_t got = 0, want = (size_t)n;
    if (!zm_json_at(j, path(at, sizeof at, key, name)))
        snprintf(at, sizeof at, "%s", name);
    zm_status s = zm_json_f64s(value, &got, j, at, false, want, want, -1e6, 1e6, err);
    for (size_t i = 0; !s && i < got; i++)
        out[i] = (float)value[i];
    return s;
}

zm_status zm_vae_config_read(zm_vae_config *out, const zm_json *j, const char *key, zm_error *err)
{
    char at[256];
    const char *kind = NULL;
    zm_vae_config c = zm_vae_config_light();
    zm_status s = zm_json_str(&kind, j, path(at, sizeof at, key, "kind"), false, err);
    if (s)
        return s;
    if (!kind)
        kind = kinds[zm_json_at(j, path(at, sizeof at, key, "dec_dim")) ? ZM_VAE_WAN22 : ZM_VAE_WAN21];
    int k = 0;
    while (k <= ZM_VAE_LIGHT && strcmp(kind, kinds[k]) != 0)
        k++;
    if (k > ZM_VAE_LIGHT)
        return zm_fail(err, ZM_E_UNSUPPORTED, "%s: autoencoder kind \"%s\" is none of wan21, wan22, light", j->file,
                       kind);
    c.kind = (zm_vae_kind)k;
    s = c.kind == ZM_VAE_LIGHT ? read_light(&c, j, key, err) : read_wan(&c, j, key, err);
    if (s)
        return s;
    zm_vae_config_official_stats(&c);
    s = read_stats(c.mean, c.z_dim, j, key, "latents_mean", err);
    if (!s)
        s = read_stats(c.std, c.z_dim, j, key, "latents_std", err);
    if (!s)
        s = zm_vae_config_check(&c, err);
    if (!s)
        *out = c;
    return s;
}

static json_t *ints(const int *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* The shortest decimal that reads back as the same float. */
static json_t *floats(const float *v, int n)
{
    json_t *list = json_array();
    char text[32];
    for (int i = 0; i < n; i++) {
        for (int digits = 6; digits <= 9; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, (double)v[i]);
            if (strtof(text, NULL) == v[i])
                break;
        }
        json_array_append_new(list, json_real(strtod(text, NULL)));
    }
    return list;
}

char *zm_vae_config_json(const zm_vae_config *c)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kinds[c->kind]));
    json_object_set_new(o, "z_dim", json_integer(c->z_dim));
    if (c->kind == ZM_VAE_LIGHT) {
        json_object_set_new(o, "fold", json_integer(c->fold));
        json_object_set_new(o, "channels", ints(c->channels, 2));
        json_object_set_new(o, "encoder_blocks", ints(c->enc_blocks, 4));
        json_object_set_new(o, "decoder_blocks", ints(c->dec_blocks, 4));
    } else {
        json_t *down = json_array();
        for (int i = 0; i < c->n_stages - 1; i++)
            json_array_append_new(down, json_boolean(c->temporal_down[i]));
        json_object_set_new(o, "dim", json_integer(c->dim));
        json_object_set_new(o, "dec_dim", json_integer(c->dec_dim));
        json_object_set_new(o, "dim_mult", ints(c->dim_mult, c->n_stages));
        json_object_set_new(o, "num_res_blocks", json_integer(c->num_res_blocks));
        json_object_set_new(o, "temperal_downsample", down);
        json_object_set_new(o, "patchify", json_integer(c->patch));
    }
    json_object_set_new(o, "latents_mean", floats(c->mean, c->z_dim));
    json_object_set_new(o, "latents_std", floats(c->std, c->z_dim));
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    return text;
}
