/* What diffusers, transformers and llama.cpp call the parameters of Wan's networks.
 * SPDX-License-Identifier: MIT */
#include "model/names.h"

/* WanTransformer3DModel.  Its norm2 is the official norm3, the one with weights. */
static const zm_name_rule dit_diffusers[] = {
    {.from = "condition_embedder.time_embedder.linear_1.*", .to = "time_embedding.0.%*"},
    {.from = "condition_embedder.time_embedder.linear_2.*", .to = "time_embedding.2.%*"},
    {.from = "condition_embedder.text_embedder.linear_1.*", .to = "text_embedding.0.%*"},
    {.from = "condition_embedder.text_embedder.linear_2.*", .to = "text_embedding.2.%*"},
    {.from = "condition_embedder.time_proj.*", .to = "time_projection.1.%*"},
    {.from = "condition_embedder.image_embedder.norm1.*", .to = "img_emb.proj.0.%*"},
    {.from = "condition_embedder.image_embedder.ff.net.0.proj.*", .to = "img_emb.proj.1.%*"},
    {.from = "condition_embedder.image_embedder.ff.net.2.*", .to = "img_emb.proj.3.%*"},
    {.from = "condition_embedder.image_embedder.norm2.*", .to = "img_emb.proj.4.%*"},
    {.from = "condition_embedder.image_embedder.pos_embed", .to = "img_emb.emb_pos"},
    {.from = "scale_shift_table", .to = "head.modulation"},
    {.from = "proj_out.*", .to = "head.head.%*"},
    {.from = "blocks.#.scale_shift_table", .to = "blocks.%0.modulation"},
    {.from = "blocks.#.norm2.*", .to = "blocks.%0.norm3.%*"},
    {.from = "blocks.#.attn1.to_q.*", .to = "blocks.%0.self_attn.q.%*"},
    {.from = "blocks.#.attn1.to_k.*", .to = "blocks.%0.self_attn.k.%*"},
    {.from = "blocks.#.attn1.to_v.*", .to = "blocks.%0.self_attn.v.%*"},
    {.from = "blocks.#.attn1.to_out.0.*", .to = "blocks.%0.self_attn.o.%*"},
    {.from = "blocks.#.attn1.*", .to = "blocks.%0.self_attn.%*"},
    {.from = "blocks.#.attn2.to_q.*", .to = "blocks.%0.cross_attn.q.%*"},
    {.from = "blocks.#.attn2.to_k.*", .to = "blocks.%0.cross_attn.k.%*"},
    {.from = "blocks.#.attn2.to_v.*", .to = "blocks.%0.cross_attn.v.%*"},
    {.from = "blocks.#.attn2.to_out.0.*", .to = "blocks.%0.cross_attn.o.%*"},
    {.from = "blocks.#.attn2.add_k_proj.*", .to = "blocks.%0.cross_attn.k_img.%*"},
    {.from = "blocks.#.attn2.add_v_proj.*", .to = "blocks.%0.cross_attn.v_img.%*"},
    {.from = "blocks.#.attn2.norm_added_k.*", .to = "blocks.%0.cross_attn.norm_k_img.%*"},
    {.from = "blocks.#.attn2.*", .to = "blocks.%0.cross_attn.%*"},
    {.from = "blocks.#.ffn.net.0.proj.*", .to = "blocks.%0.ffn.0.%*"},
    {.from = "blocks.#.ffn.net.2.*", .to = "blocks.%0.ffn.2.%*"},
};

/* UMT5EncoderModel: wi_0 goes through the activation. */
static const zm_name_rule text_transformers[] = {
    {.from = "shared.*", .to = "token_embedding.%*"},
    {.from = "encoder.embed_tokens.*", .to = "token_embedding.%*", .spare = true},
    {.from = "encoder.block.#.layer.0.SelfAttention.relative_attention_bias.*",
     .to = "blocks.%0.pos_embedding.embedding.%*"},
    {.from = "encoder.block.#.layer.0.SelfAttention.*", .to = "blocks.%0.attn.%*"},
    {.from = "encoder.block.#.layer.0.layer_norm.*", .to = "blocks.%0.norm1.%*"},
    {.from = "encoder.block.#.layer.1.DenseReluDense.wi_0.*", .to = "blocks.%0.ffn.gate.0.%*"},
    {.from = "encoder.block.#.layer.1.DenseReluDense.wi_1.*", .to = "blocks.%0.ffn.fc1.%*"},
    {.from = "encoder.block.#.layer.1.DenseReluDense.wo.*", .to = "blocks.%0.ffn.fc2.%*"},
    {.from = "encoder.block.#.layer.1.layer_norm.*", .to = "blocks.%0.norm2.%*"},
    {.from = "encoder.final_layer_norm.*", .to = "norm.%*"},
};

static const zm_name_rule text_llama[] = {
    {.from = "token_embd.*", .to = "token_embedding.%*"},
    {.from = "enc.blk.#.attn_rel_b.*", .to = "blocks.%0.pos_embedding.embedding.%*"},
    {.from = "enc.blk.#.attn_norm.*", .to = "blocks.%0.norm1.%*"},
    {.from = "enc.blk.#.attn_q.*", .to = "blocks.%0.attn.q.%*"},
    {.from = "enc.blk.#.attn_k.*", .to = "blocks.%0.attn.k.%*"},
    {.from = "enc.blk.#.attn_v.*", .to = "blocks.%0.attn.v.%*"},
    {.from = "enc.blk.#.attn_o.*", .to = "blocks.%0.attn.o.%*"},
    {.from = "enc.blk.#.ffn_norm.*", .to = "blocks.%0.norm2.%*"},
    {.from = "enc.blk.#.ffn_gate.*", .to = "blocks.%0.ffn.gate.0.%*"},
    {.from = "enc.blk.#.ffn_up.*", .to = "blocks.%0.ffn.fc1.%*"},
    {.from = "enc.blk.#.ffn_down.*", .to = "blocks.%0.ffn.fc2.%*"},
    {.from = "enc.output_norm.*", .to = "norm.%*"},
};

#define VAE_COMMON                                                                                                     \
    {.from = "quant_conv.*", .to = "conv1.%*"}, {.from = "post_quant_conv.*", .to = "conv2.%*"},                       \
        {.from = "encoder.conv_in.*", .to = "encoder.conv1.%*"},                                                       \
        {.from = "decoder.conv_in.*", .to = "decoder.conv1.%*"},                                                       \
        {.from = "encoder.mid_block.resnets.0.*", .to = "encoder.middle.0.%*", .block = true},                         \
        {.from = "encoder.mid_block.resnets.1.*", .to = "encoder.middle.2.%*", .block = true},                         \
        {.from = "encoder.mid_block.attentions.0.*", .to = "encoder.middle.1.%*"},                                     \
        {.from = "decoder.mid_block.resnets.0.*", .to = "decoder.middle.0.%*", .block = true},                         \
        {.from = "decoder.mid_block.resnets.1.*", .to = "decoder.middle.2.%*", .block = true},                         \
        {.from = "decoder.mid_block.attentions.0.*", .to = "decoder.middle.1.%*"},                                     \
        {.from = "encoder.norm_out.*", .to = "encoder.head.0.%*"},                                                     \
        {.from = "encoder.conv_out.*", .to = "encoder.head.2.%*"},                                                     \
        {.from = "decoder.norm_out.*", .to = "decoder.head.0.%*"},                                                     \
    {                                                                                                                  \
        .from = "decoder.conv_out.*", .to = "decoder.head.2.%*"                                                        \
    }

/* AutoencoderKLWan for Wan 2.1: the encoder's modules are one list in both; the decoder's only officially. */
static const zm_name_rule vae21_diffusers[] = {
    VAE_COMMON,
    {.from = "encoder.down_blocks.#.*", .to = "encoder.downsamples.%0.%*", .block = true},
    {.from = "decoder.up_blocks.#.resnets.#.*", .to = "decoder.upsamples.%r.%*", .block = true},
    {.from = "decoder.up_blocks.#.upsamplers.0.*", .to = "decoder.upsamples.%u.%*"},
};

/* AutoencoderKLWan with is_residual, Wan 2.2: stages in both, with the resampling last officially. */
static const zm_name_rule vae22_diffusers[] = {
    VAE_COMMON,
    {.from = "encoder.down_blocks.#.resnets.#.*", .to = "encoder.downsamples.%0.downsamples.%1.%*", .block = true},
    {.from = "encoder.down_blocks.#.downsampler.*", .to = "encoder.downsamples.%0.downsamples.%d.%*"},
    {.from = "decoder.up_blocks.#.resnets.#.*", .to = "decoder.upsamples.%0.upsamples.%1.%*", .block = true},
    {.from = "decoder.up_blocks.#.upsampler.*", .to = "decoder.upsamples.%0.upsamples.%p.%*"},
};

/* CLIPVisionModel; its projection is not used by Wan. */
static const zm_name_rule clip_transformers[] = {
    {.from = "vision_model.embeddings.class_embedding", .to = "cls_embedding", .ones = 2},
    {.from = "vision_model.embeddings.patch_embedding.*", .to = "patch_embedding.%*"},
    {.from = "vision_model.embeddings.position_embedding.weight", .to = "pos_embedding", .ones = 1},
    {.from = "vision_model.embeddings.position_ids", .to = NULL},
    {.from = "visual_projection.*", .to = NULL},
    {.from = "vision_model.pre_layrnorm.*", .to = "pre_norm.%*"},
    {.from = "vision_model.post_layernorm.*", .to = "post_norm.%*"},
    {.from = "vision_model.encoder.layers.#.layer_norm1.*", .to = "transformer.%0.norm1.%*"},
    {.from = "vision_model.encoder.layers.#.layer_norm2.*", .to = "transformer.%0.norm2.%*"},
    {.from = "vision_model.encoder.layers.#.self_attn.q_proj.*", .to = "transformer.%0.attn.to_qkv.%*", 0, 3},
    {.from = "vision_model.encoder.layers.#.self_attn.k_proj.*", .to = "transformer.%0.attn.to_qkv.%*", 1, 3},
    {.from = "vision_model.encoder.layers.#.self_attn.v_proj.*", .to = "transformer.%0.attn.to_qkv.%*", 2, 3},
    {.from = "vision_model.encoder.layers.#.self_attn.out_proj.*", .to = "transformer.%0.attn.proj.%*"},
    {.from = "vision_model.encoder.layers.#.mlp.fc1.*", .to = "transformer.%0.mlp.0.%*"},
    {.from = "vision_model.encoder.layers.#.mlp.fc2.*", .to = "transformer.%0.mlp.2.%*"},
};

#define RULES(table) .rules = (table), .n_rules = sizeof(table) / sizeof *(table)

const zm_name_scheme zm_name_schemes[] = {
    {"official", ZM_PART_DIT, "blocks.0.self_attn.q.weight", "patch_embedding.weight", NULL, NULL, 0},
    {"diffusers", ZM_PART_DIT, "blocks.0.attn1.to_q.weight", "patch_embedding.weight", NULL, RULES(dit_diffusers)},
    {"official", ZM_PART_TEXT, "blocks.0.attn.q.weight", "token_embedding.weight", NULL, NULL, 0},
    {"transformers", ZM_PART_TEXT, "encoder.block.0.layer.0.SelfAttention.q.weight", "encoder.final_layer_norm.weight",
     NULL, RULES(text_transformers)},
    {"llama.cpp", ZM_PART_TEXT, "enc.blk.0.attn_q.weight", "token_embd.weight", NULL, RULES(text_llama)},
    {"official", ZM_PART_VAE, "encoder.conv1.weight", "decoder.head.2.weight", NULL, NULL, 0},
    {"diffusers", ZM_PART_VAE, "encoder.down_blocks.0.conv1.weight", "post_quant_conv.weight", NULL,
     RULES(vae21_diffusers)},
    {"diffusers", ZM_PART_VAE, "encoder.down_blocks.0.resnets.0.conv1.weight", "post_quant_conv.weight", NULL,
     RULES(vae22_diffusers)},
    {"official", ZM_PART_CLIP, "transformer.0.attn.to_qkv.weight", "patch_embedding.weight", "visual.", NULL, 0},
    {"transformers", ZM_PART_CLIP, "vision_model.encoder.layers.0.self_attn.q_proj.weight",
     "vision_model.embeddings.patch_embedding.weight", "visual.", RULES(clip_transformers)},
};
const size_t zm_name_scheme_count = sizeof zm_name_schemes / sizeof *zm_name_schemes;
