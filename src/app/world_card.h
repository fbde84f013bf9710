/* Clips of the toy-box drawn by a card, while threads of the host move the bodies of the next ones.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_APP_WORLD_CARD_H
#define ZM_APP_WORLD_CARD_H

#include "world/world.h"

typedef struct zm_world_card zm_world_card;

/* For clips of w's size, at_once of them at a time (0: as many as 32 MB of pictures are, at least one).  *out NULL and ZM_OK: the process's device is no card.  Errors as zm_world_check; ZM_E_NOMEM. */
ZM_MUST zm_status zm_world_card_new(zm_world_card **out, const zm_world_options *w, int64_t at_once, zm_error *err);
void zm_world_card_free(zm_world_card *c);
/* Scenes seed .. seed+n-1 of w (its size as above), as zm_world_render makes each: rgb [n,F,H,W,3], ids [n,F,H,W], truth
 * [n,F,ZM_WORLD_MAX_BODIES] or NULL.  One thread at a time. */
ZM_MUST zm_status zm_world_card_clips(zm_world_card *c, const zm_world_options *w, uint64_t seed, int64_t n,
                                      uint8_t *rgb, uint8_t *ids, zm_truth *truth, zm_error *err);

#endif
