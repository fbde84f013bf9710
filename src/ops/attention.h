/* Scaled dot-product attention that never holds the N x N scores of a whole head.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_OPS_ATTENTION_H
#define ZM_OPS_ATTENTION_H

#include "tensor/op.h"

/* Which keys a query may see when tokens come in blocks: a query of block i sees the keys of block j when j <= i and
 * (j > i - window or j < sink).  A film made block by block so attends to what is made, never to what is to come (Yin
 * et al. 2024, CausVid, arXiv:2412.07772, 4.1); first blocks that stay, the sink, steady a rolling window (Xiao et al.
 * 2023, StreamingLLM, arXiv:2309.17453). */
typedef struct zm_block_causal {
    int64_t block;  /* tokens of a block; 0: every query sees every key, and nothing else here counts */
    int64_t window; /* blocks a query sees, its own the last of them; 0: all before it */
    int64_t sink;   /* first blocks that are seen from behind the window too */
    int64_t first;  /* block of query 0; key 0 is of block 0, so this many blocks of keys stand before the queries */
} zm_block_causal;

/* Keys [0,sink) and [from,to), sink <= from <= to. */
typedef struct zm_key_spans {
    int64_t sink, from, to;
} zm_key_spans;

/* The keys that at least one of the queries i0..i1 sees, of Nk. */
static inline zm_key_spans zm_block_causal_keys(const zm_block_causal *m, int64_t i0, int64_t i1, int64_t Nk)
{
    if (!m->block)
        return (zm_key_spans){.to = Nk};
    int64_t b0 = i0 / m->block + m->first, to = (i1 / m->block + m->first + 1) * m->block;
    int64_t from = m->window && b0 >= m->window ? (b0 - m->window + 1) * m->block : 0, sink = m->sink * m->block;
    to = to < Nk ? to : Nk;
    from = from < to ? from : to;
    return sink < from ? (zm_key_spans){sink, from, to} : (zm_key_spans){.to = to};
}

/* The mask in a node's attributes. */
static inline zm_block_causal zm_block_causal_of(const zm_tensor *node)
{
    const int64_t *i = node->attr.i;
    return (zm_block_causal){i[0], i[1], i[2], i[3]};
}

/* in: q [B,Nq,H,d], k [B,Nk,H,d], v [B,Nk,H,dv], optional bias [H,Nq,Nk] (added to the scaled scores, shared by the
 * batch) or
 * [B,Nk] (one for each key: the logarithm of how often the key stands there),
 * optional k_len [B] i32 (keys at and beyond it are masked).  attr f[0] scale; i[0..3] a zm_block_causal, which goes
 * without bias.  out [B,Nq,H,dv]. */
extern const zm_op zm_op_attention;
/* in: q, k, v, bias or NULL, k_len or NULL, gy -> flat [dq | dk | dv | dbias if bias]. */
extern const zm_op zm_op_attention_grad;

/* softmax(scale q k^T + bias) v per head (Vaswani et al. 2017, eq. 1); scale 0 means 1/sqrt(d). */
zm_tensor *zm_attention(zm_graph *g, zm_tensor *q, zm_tensor *k, zm_tensor *v, zm_tensor *bias, zm_tensor *k_len,
                        double scale);
/* The same under a block-causal mask (NULL: none), without bias. */
zm_tensor *zm_attention_causal(zm_graph *g, zm_tensor *q, zm_tensor *k, zm_tensor *v, const zm_block_causal *mask,
                               double scale);

#endif
