/* Adapter files of the world, for running: any number of them joined into one, applied with a strength each.
 *
 * Read are low-rank pairs (Hu et al. 2021) as kohya's trainers ("lora_unet_blocks_0_self_attn_q.lora_down.weight"),
 * diffusers and peft ("transformer.blocks.0.attn1.to_q.lora_A.weight", "...lora_A.default.weight") and others
 * ("diffusion_model.blocks.0.self_attn.q.lora_A.weight") name them, an alpha and a rank for each linear, and whole
 * differences of weights and biases (".diff", ".diff_b").
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_ADAPTER_H
#define ZM_MODEL_ADAPTER_H

#include "model/lora.h"

typedef struct zm_adapter zm_adapter;

/* For networks whose parameters are `base`, loaded; borrowed as long as the adapter lives.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_adapter_new(zm_adapter **out, zm_params *base, zm_error *err);
void zm_adapter_free(zm_adapter *a);
/* Add a file's tensors times strength.  Tensors of other networks (a text encoder's) are left out; *skipped counts
 * them.  ZM_E_FORMAT: nothing for this network, a pair without its other half; ZM_E_SHAPE; ZM_E_UNSUPPORTED: a tensor
 * of this network that is no adapter's, or a difference for a weight that stays in its file; ZM_E_NOMEM. */
ZM_MUST zm_status zm_adapter_add(zm_adapter *a, const zm_weights *w, float strength, int *skipped, zm_error *err);
/* After the last file: weights that are the base's own f32 copies are changed in place; for the others *attached is
 * set to what zm_lora_attach takes, borrowed, else to NULL.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_adapter_apply(zm_adapter *a, const zm_lora **attached, zm_error *err);

#endif
