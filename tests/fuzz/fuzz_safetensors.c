/* Any bytes as a safetensors file, and any text as its header.
 * SPDX-License-Identifier: MIT */
#include "../format/bytes.h"
#include "fuzz.h"
#include "weights_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_weights(data, size);
    /* With a length in front that is right, mutations of the text alone go deep. */
    bytes b = {0};
    put_uint(&b, size, 8);
    put(&b, data, size);
    put_zeros(&b, 64);
    use_weights(b.at, b.n);
    free(b.at);
    return 0;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    static const char *const headers[] = {
        "{}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
        "{\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},\"a\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[0,2]},"
        "\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[2,5]},"
        "\"c\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[5,5]}}",
    };
    static const size_t data[] = {0, 24, 5};
    if (i >= 6)
        return NULL;
    bytes b = {0};
    if (i < 3)
        b = make_safetensors(headers[i], data[i]);
    else
        put_str(&b, headers[i - 3]);
    *size = b.n;
    return b.at;
}
