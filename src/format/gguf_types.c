/* Numbers of the GGUF format: metadata value types and tensor dtypes.
 * SPDX-License-Identifier: MIT */
#include "format/gguf_types.h"

size_t zm_gguf_value_bytes(uint32_t type)
{
    static const unsigned char bytes[] = {
        [ZM_GGUF_U8] = 1,  [ZM_GGUF_I8] = 1,  [ZM_GGUF_U16] = 2, [ZM_GGUF_I16] = 2,
        [ZM_GGUF_U32] = 4, [ZM_GGUF_I32] = 4, [ZM_GGUF_F32] = 4, [ZM_GGUF_BOOL] = 1,
        [ZM_GGUF_U64] = 8, [ZM_GGUF_I64] = 8, [ZM_GGUF_F64] = 8,
    };
    return type < sizeof bytes ? bytes[type] : 0;
}

static const zm_gguf_dtype dtypes[] = {
    {0, "F32", ZM_F32, 1, 4},
    {1, "F16", ZM_F16, 1, 2},
    {2, "Q4_0", ZM_Q4_0, 32, 18},
    {3, "Q4_1", ZM_Q4_1, 32, 20},
    {6, "Q5_0", ZM_Q5_0, 32, 22},
    {7, "Q5_1", ZM_Q5_1, 32, 24},
    {8, "Q8_0", ZM_Q8_0, 32, 34},
    {10, "Q2_K", ZM_Q2_K, 256, 84},
    {11, "Q3_K", ZM_Q3_K, 256, 110},
    {12, "Q4_K", ZM_Q4_K, 256, 144},
    {13, "Q5_K", ZM_Q5_K, 256, 176},
    {14, "Q6_K", ZM_Q6_K, 256, 210},
    {15, "Q8_K", ZM_DTYPE_COUNT, 256, 292},
    {16, "IQ2_XXS", ZM_DTYPE_COUNT, 256, 66},
    {17, "IQ2_XS", ZM_DTYPE_COUNT, 256, 74},
    {18, "IQ3_XXS", ZM_DTYPE_COUNT, 256, 98},
    {19, "IQ1_S", ZM_DTYPE_COUNT, 256, 50},
    {20, "IQ4_NL", ZM_DTYPE_COUNT, 32, 18},
    {21, "IQ3_S", ZM_DTYPE_COUNT, 256, 110},
    {22, "IQ2_S", ZM_DTYPE_COUNT, 256, 82},
    {23, "IQ4_XS", ZM_DTYPE_COUNT, 256, 136},
    {24, "I8", ZM_DTYPE_COUNT, 1, 1},
    {25, "I16", ZM_DTYPE_COUNT, 1, 2},
    {26, "I32", ZM_I32, 1, 4},
    {27, "I64", ZM_I64, 1, 8},
    {28, "F64", ZM_F64, 1, 8},
    {29, "IQ1_M", ZM_DTYPE_COUNT, 256, 56},
    {30, "BF16", ZM_BF16, 1, 2},
    {34, "TQ1_0", ZM_DTYPE_COUNT, 256, 54},
    {35, "TQ2_0", ZM_DTYPE_COUNT, 256, 66},
    {39, "MXFP4", ZM_DTYPE_COUNT, 32, 17},
    {40, "NVFP4", ZM_DTYPE_COUNT, 64, 36},
    {41, "Q1_0", ZM_DTYPE_COUNT, 128, 18},
};

const zm_gguf_dtype *zm_gguf_dtype_find(uint32_t type)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (dtypes[i].type == type)
            return &dtypes[i];
    return NULL;
}

const zm_gguf_dtype *zm_gguf_dtype_of(zm_dtype dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (dtypes[i].dtype == dtype && dtype < ZM_DTYPE_COUNT)
            return &dtypes[i];
    return NULL;
}
