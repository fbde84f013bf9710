/* The table of quantised types.
 * SPDX-License-Identifier: MIT */
#include "base/quant.h"

static const zm_quant *const quants[] = {
    &zm_quant_q8_0, &zm_quant_q4_0, &zm_quant_q4_1, &zm_quant_q5_0, &zm_quant_q5_1,
    &zm_quant_q2_k, &zm_quant_q3_k, &zm_quant_q4_k, &zm_quant_q5_k, &zm_quant_q6_k,
};

const zm_quant *zm_quant_find(zm_dtype t)
{
    for (size_t i = 0; i < sizeof quants / sizeof *quants; i++)
        if (quants[i]->dtype == t)
            return quants[i];
    return NULL;
}
