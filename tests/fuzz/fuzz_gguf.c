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
    } else {
        return NULL;
    }
    *size = b.n;
    return b.at;
}
