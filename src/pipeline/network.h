/* The velocity of a sample under guidance: the transformer's graphs, one or two experts, both branches in one batch or
 * one after the other.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_NETWORK_H
#define ZM_PIPELINE_NETWORK_H

#include "backend/backend.h"
#include "pipeline/latent_plan.h"

/* Embeddings of the prompt and of what to steer away from, as the network takes them. */
typedef struct zm_contexts {
    int n;        /* 2, or 1: no guidance */
    int len, dim; /* text_len, text_dim */
    float *at;    /* [n,len,dim], zeros beyond each text; owned */
} zm_contexts;
/* ZM_E_NOMEM. */
ZM_MUST zm_status zm_contexts_init(zm_contexts *c, int n, int len, int dim, zm_error *err);
void zm_contexts_release(zm_contexts *c);

typedef struct zm_network_options {
    int branches;         /* of guidance: 2, or 1: none */
    bool one_by_one;      /* branches one after the other: half the memory */
    zm_exec_options high; /* of the network, and of the high-noise expert */
    zm_exec_options low;  /* of the low-noise expert */
} zm_network_options;

typedef struct zm_network zm_network;

/* Sizes are those of the plan: its latent, its further channels, its picture features.  Nothing is opened yet; the
 * model is borrowed.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_network_new(zm_network **out, zm_model *m, const zm_latent_plan *plan,
                                 const zm_network_options *opt, zm_error *err);
void zm_network_free(zm_network *n);

/* Whether the expert for high noise has this timestep (0 .. 1000); true where there is one network. */
bool zm_network_is_high(const zm_network *n, double timestep);

/* v [F,H,W,z] = uncond + guidance (cond - uncond)  of x [F,H,W,z] at a timestep (Ho & Salimans 2022, eq. 6).  Frames
 * that the plan gives are told as timestep 0.  Opens the expert it needs and, unless the model keeps its parts, drops
 * the other one. */
ZM_MUST zm_status zm_network_velocity(zm_network *n, const zm_latent_plan *plan, const zm_contexts *contexts,
                                      const float *x, double timestep, double guidance, float *v, zm_error *err);
/* Between clips: graphs go where the model does not keep its parts. */
void zm_network_rest(zm_network *n);

#endif
