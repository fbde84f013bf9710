/* The velocity of a sample under guidance: the transformer's graphs, one or two experts, both branches in one batch or
 * one after the other.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_NETWORK_H
#define ZM_PIPELINE_NETWORK_H

#include "backend/backend.h"
#include "pipeline/fold.h"
#include "pipeline/latent_plan.h"
#include "pipeline/network_look.h"
#include "pipeline/past.h"

typedef struct zm_network_options {
    int branches;                /* of guidance: 2, or 1: none */
    bool one_by_one;             /* branches one after the other: half the memory */
    zm_exec_options high;        /* of the network, and of the high-noise expert */
    zm_exec_options low;         /* of the low-noise expert */
    const zm_network_look *look; /* NULL: nobody looks; borrowed */
    /* Not NULL: plans are single blocks of a film, which see these keys and values beside their own (zm_dit_past); of as
     * many branches, and of one run, as this network's.  Borrowed: it outlives networks, and a film may be saved. */
    zm_past *past;
} zm_network_options;

typedef struct zm_network zm_network;

/* Sizes are those of the plan: its latent, its further channels, its picture features.  Nothing is opened yet; the
 * model is borrowed.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_network_new(zm_network **out, zm_model *m, const zm_latent_plan *plan,
                                 const zm_network_options *opt, zm_error *err);
void zm_network_free(zm_network *n);

/* Whether the expert for high noise has this timestep (0 .. 1000); true where there is one network. */
bool zm_network_is_high(const zm_network *n, double timestep);

/* A new clip: its contexts, borrowed until the next one's.  Keys and values of the prompt (and of the plan's picture)
 * are made once, at the first velocity of each expert.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_network_begin(zm_network *n, const zm_contexts *contexts, zm_error *err);

/* v [F,H,W,z] = uncond + guidance (cond - uncond)  of x [F,H,W,z] at a timestep (Ho & Salimans 2022, eq. 6); guidance 1: cond,
 * and where branches go one by one the other is not computed.  Frames
 * that the plan gives are told as timestep 0.  Opens the expert it needs and, unless the model keeps its parts, drops
 * the other one. */
ZM_MUST zm_status zm_network_velocity(zm_network *n, const zm_latent_plan *plan, const float *x, double timestep,
                                      double guidance, float *v, zm_error *err);
/* x [F,H,W,z] is a finished block: keep its keys and values in the past, as the network at timestep 0 has them, and move
 * on.  After zm_network_begin with the block's own prompt.  Errors as of zm_network_velocity. */
ZM_MUST zm_status zm_network_keep(zm_network *n, const zm_latent_plan *plan, const float *x, zm_error *err);
/* Between clips: graphs go where the model does not keep its parts. */
void zm_network_rest(zm_network *n);

#endif
