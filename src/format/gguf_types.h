/* Numbers of the GGUF format: metadata value types and tensor dtypes, for the reader and the writer.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_GGUF_TYPES_H
#define ZM_FORMAT_GGUF_TYPES_H

#include "base/dtype.h"

enum {
    ZM_GGUF_U8,
    ZM_GGUF_I8,
    ZM_GGUF_U16,
    ZM_GGUF_I16,
    ZM_GGUF_U32,
    ZM_GGUF_I32,
    ZM_GGUF_F32,
    ZM_GGUF_BOOL,
    ZM_GGUF_STRING,
    ZM_GGUF_ARRAY,
    ZM_GGUF_U64,
    ZM_GGUF_I64,
    ZM_GGUF_F64
};

typedef struct zm_gguf_dtype {
    uint32_t type; /* number in the file */
    const char *name;
    zm_dtype dtype; /* ZM_DTYPE_COUNT: known size, not computed with */
    size_t block_elems, block_bytes;
} zm_gguf_dtype;

/* Bytes of a scalar of this value type; 0 for strings, arrays and unknown types. */
size_t zm_gguf_value_bytes(uint32_t type);
/* NULL when unknown. */
const zm_gguf_dtype *zm_gguf_dtype_find(uint32_t type);
const zm_gguf_dtype *zm_gguf_dtype_of(zm_dtype dtype);

#endif
