/* Cross-attention as maps: softmax(q k^T) is what attention answers when the values are one-hot rows, so the maps come
 * from the kernel that the network itself runs.
 * SPDX-License-Identifier: MIT */
#include "pipeline/network_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/flops.h"
#include "ops/ops.h"

enum { OWN = 3 }; /* nodes made for a map */

static zm_tensor *constant(zm_graph *g, zm_shape shape, float **data, const char *name)
{
    *data = zm_arena_array(zm_graph_arena(g), (size_t)zm_shape_elems(shape), sizeof **data);
    if (!*data)
        return zm_graph_fail(g, ZM_E_NOMEM, "out of memory to look at attention");
    return zm_external(g, ZM_F32, shape, *data, name);
}

/* Made with the first map, when the sizes are known: k [B,rows,H,head_dim]. */
static void make_constants(zm_lookout *l, const zm_tensor *k)
{
    int64_t batch = zm_dim(k, 0), rows = zm_dim(k, 1), heads = zm_dim(k, 2);
    float *eye, *mean;
    l->eye = constant(l->g, ZM_SHAPE(batch, rows, heads, rows), &eye, "one-hot rows");
    l->mean = constant(l->g, ZM_SHAPE(rows, heads * rows), &mean, "mean over heads");
    if (!eye || !mean)
        return;
    for (int64_t i = 0; i < batch * rows * heads; i++)
        eye[i * rows + i / heads % rows] = 1;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t h = 0; h < heads; h++)
            mean[r * heads * rows + h * rows + r] = 1 / (float)heads;
}

static void on_mark(void *user, const char *name, zm_tensor *q)
{
    zm_lookout *l = user;
    int block, end = 0;
    if (sscanf(name, "block%d.cross_attn.q_heads%n", &block, &end) != 1 || !end || name[end] || l->n == l->blocks)
        return;
    const zm_tensor *k = l->in->kept->at[block * l->per_block];
    if (!l->eye)
        make_constants(l, k);
    int64_t rows = zm_dim(k, 1), heads = zm_dim(k, 2);
    zm_tensor **own = l->own + OWN * l->n;
    own[0] = zm_attention(l->g, q, l->in->kept->at[block * l->per_block], l->eye, l->in->key_bias, l->in->key_len, 0);
    own[1] = zm_reshape(l->g, own[0], ZM_SHAPE(zm_dim(q, 0), zm_dim(q, 1), heads * rows));
    own[2] = zm_linear(l->g, own[1], l->mean, NULL, ZM_IDENTITY);
    l->map[l->n++] = zm_output(l->g, own[2]);
}

void zm_lookout_begin(zm_lookout *l, const zm_network_look *look, zm_graph *g, zm_dit_inputs *in, int blocks)
{
    *l = (zm_lookout){.look = look, .g = g, .in = in, .blocks = blocks, .per_block = in->kept->n / blocks};
    if (!look)
        return;
    l->map = zm_arena_array(zm_graph_arena(g), (size_t)blocks, sizeof(zm_tensor *));
    l->own = zm_arena_array(zm_graph_arena(g), (size_t)blocks * OWN, sizeof(zm_tensor *));
    if (!l->map || !l->own) {
        zm_graph_fail(g, ZM_E_NOMEM, "out of memory to look at attention");
        return;
    }
    in->mark = on_mark;
    in->user = l;
}

zm_status zm_lookout_ready(zm_lookout *l, zm_exec *x, zm_error *err)
{
    if (!l->look)
        return ZM_OK;
    l->seconds = calloc((size_t)zm_graph_size(l->g), sizeof *l->seconds);
    l->host = malloc(l->n ? zm_tensor_bytes(l->map[0]) : 1);
    if (!l->seconds || !l->host)
        return zm_fail(err, ZM_E_NOMEM, "no memory for maps of attention");
    zm_exec_profile(x, l->seconds);
    return ZM_OK;
}

static zm_work work_of(const zm_tensor *t)
{
    if (t->op == &zm_op_matmul)
        return ZM_WORK_LINEAR;
    if (t->op == &zm_op_attention) /* of the two only the text's keys are counted, with a bias */
        return t->n_in > 3 && t->in[3] ? ZM_WORK_CROSS : ZM_WORK_SELF;
    return ZM_WORK_OTHER;
}

static zm_network_cost cost_of(const zm_lookout *l)
{
    zm_network_cost c = {0};
    for (int i = 0; i < OWN * l->n; i++) /* a map's nodes are not the network's */
        l->seconds[l->own[i]->id] = -1;
    for (int i = 0; i < zm_graph_size(l->g); i++) {
        const zm_tensor *t = zm_graph_at(l->g, i);
        if (t->leaf != ZM_COMPUTED || l->seconds[i] < 0)
            continue;
        c.seconds[work_of(t)] += l->seconds[i];
        c.flops[work_of(t)] += zm_node_flops(t);
    }
    return c;
}

void zm_lookout_tell(zm_lookout *l, zm_exec *x, bool prompt, int visible)
{
    if (!l->look)
        return;
    if (l->look->ran) {
        zm_network_cost c = cost_of(l);
        l->look->ran(l->look->user, &c);
    }
    zm_lookout_pass(l);
    for (int i = 0; prompt && l->look->attention && i < l->n; i++) {
        zm_exec_read(x, l->map[i], l->host);
        l->look->attention(l->look->user, i, l->host, zm_dim(l->map[i], 1), visible, (int)zm_dim(l->map[i], 2));
    }
}

void zm_lookout_pass(zm_lookout *l)
{
    if (l->look)
        memset(l->seconds, 0, (size_t)zm_graph_size(l->g) * sizeof *l->seconds);
}

void zm_lookout_release(zm_lookout *l)
{
    free(l->seconds);
    free(l->host);
    *l = (zm_lookout){0};
}
