/* Weights that the card does not hold all at once: the first ones stay on it, the others pass through a ring of its
 * memory at every run, copied beside the computing.
 *
 * Terms: a *station* is a node that reads leaves which pass; its *load* is those leaves, one stretch of the ring.  Loads
 * follow one another around the ring, in order of their stations.  A load is copied in *pieces*: a function of the host
 * fills a pinned slot from wherever the weights lie (stream stage), and the slot is copied to the card (stream copy)
 * while nodes compute (stream main).
 *
 *  R1 stage and copy begin a run after all that main was given before it: slots and ring are nobody's then.
 *  R2 A load is copied after the last station before it whose stretch of the ring it overlaps.
 *  R3 A station is launched after main waits for its load.
 *  R4 A slot is filled after the copy that read it before, and copied after it was filled.
 *  R5 Loads are given in order, each as soon as the station it waits for is launched: nothing waits for what is not given
 *     yet, and before a station its load always is.
 *  R6 When a run ends, well or not, main waits for both other streams: its end is theirs.
 *  R7 A leaf that has a copy (memory.h) does not pass: the copy may be newer than the host.
 *
 * What is recorded cannot change, and launching takes nothing beside copying: runs with a ring are not recorded.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_RING_H
#define ZM_BACKEND_CUDA_RING_H

#include "backend/cuda/gpu.h"
#include "tensor/tensor.h"

/* Leaves of fewer bytes stay, and so do those that a node overwrites, that ask for a gradient or that are outputs. */
enum { ZM_GPU_RING_LEAST = 1 << 18 };

typedef struct zm_gpu_ring zm_gpu_ring;

/* *mapped: bytes of g's external leaves that lie in files (those without data count); *window: the least of them that
 * must be on the card at a time: what stays, and the most that two stations in succession read.  absent: by id, leaves
 * that no node reads as they are.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_gpu_ring_measure(size_t *mapped, size_t *window, const zm_graph *g, const bool *absent,
                                      zm_error *err);

/* Decide which leaves of g (borrowed until free, their data set; absent: as above) pass, by what the card has free now, the plan's memory
 * being taken already.  *out NULL and ZM_OK: all stay.  piece: bytes of a slot.  resident_bytes: as of zm_exec_options,
 * of leaves that no node overwrites; less than the least is taken as the least.
 * ZM_E_NOMEM: the card has not even room for the least: the sentence names both figures; or out of memory. */
ZM_MUST zm_status zm_gpu_ring_new(zm_gpu_ring **out, const zm_graph *g, zm_gpu *gpu, const bool *absent, size_t piece,
                                  size_t resident_bytes, zm_error *err);
/* After a run's end has been waited for.  NULL is fine, here and in all that follows. */
void zm_gpu_ring_free(zm_gpu_ring *r);
/* Whether the external leaf t passes in the run that is about to begin; its ->data is read until that run's end. */
bool zm_gpu_ring_takes(zm_gpu_ring *r, const zm_tensor *t);
/* Before the first node, before and after each, and after the last one or the one that failed. */
ZM_MUST zm_status zm_gpu_ring_begin(zm_gpu_ring *r, zm_error *err);
ZM_MUST zm_status zm_gpu_ring_before(zm_gpu_ring *r, int id, zm_error *err);
ZM_MUST zm_status zm_gpu_ring_after(zm_gpu_ring *r, int id, zm_error *err);
ZM_MUST zm_status zm_gpu_ring_end(zm_gpu_ring *r, zm_error *err);
/* Where the leaf t lies for the station that zm_gpu_ring_before was told last; NULL: it does not pass. */
char *zm_gpu_ring_address(const zm_gpu_ring *r, const zm_tensor *t);

#endif
