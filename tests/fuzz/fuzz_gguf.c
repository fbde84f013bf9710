/* Any bytes as a GGUF file.
 * SPDX-License-Identifier: MIT */
#include "../format/bytes.h"
#include "fuzz.h"
#include "weights_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_weights(data, size);
    return 0;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    bytes b = {0};
    if (i == 0) {
        b = make_gguf();
    } else if (i == 1) {
        put_gguf_head(&b, 0, 0);
    } else if (i == 2) {
        put_gguf_head(&b, 1, 1);
        put_gguf_str(&b, "comfy.gguf.orig_shape.p");
        put_uint(&b, 9, 4);
        put_uint(&b, 5, 4);
        put_uint(&b, 5, 8);
        for (uint64_t k = 1; k <= 5; k++)
            put_uint(&b, k, 4);
        put_gguf_tensor(&b, "p", 20, 6, 0, 0);
        put_zeros(&b, (32 - b.n % 32) % 32 + 480);
    } else if (i == 3) { /* a block of every quantised type: number in the file, elements, bytes */
        static const uint32_t type[][3] = {{2, 32, 18},    {3, 32, 20},    {6, 32, 22},    {7, 32, 24},
                                           {8, 32, 34},    {10, 256, 84},  {11, 256, 110}, {12, 256, 144},
                                           {13, 256, 176}, {14, 256, 210}, {23, 256, 136}, {30, 16, 32}};
        enum { TYPES = sizeof type / sizeof *type };
        put_gguf_head(&b, TYPES, 0);
        for (uint32_t k = 0; k < TYPES; k++)
            put_gguf_tensor(&b, (const char[]){(char)('a' + k), 0}, type[k][1], 1, type[k][0], 256 * k);
        put_zeros(&b, (32 - b.n % 32) % 32);
        for (unsigned k = 0; k < 256 * TYPES; k++)
            put_uint(&b, k * 37, 1);
    } else if (i == 4) { /* rows of half a block, and more elements than 64 bits count */
        put_gguf_head(&b, 2, 0);
        put_gguf_tensor(&b, "half", 128, 2, 12, 0);
        put_gguf_tensor(&b, "many", UINT64_C(1) << 40, UINT64_C(1) << 40, 10, 0);
        put_zeros(&b, (32 - b.n % 32) % 32 + 288);
    } else {
        return NULL;
    }
    *size = b.n;
    return b.at;
}
