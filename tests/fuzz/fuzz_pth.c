/* Any bytes as a PyTorch file, and any bytes as the pickle in one.
 * SPDX-License-Identifier: MIT */
#include "../format/bytes.h"
#include "fuzz.h"
#include "weights_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use_weights(data, size);
    bytes p = {0};
    put(&p, data, size);
    bytes b = make_pth_of(p);
    use_weights(b.at, b.n);
    free(b.at);
    return 0;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    bytes b = {0};
    if (i == 0) {
        b = make_pth();
    } else if (i == 1) {
        put_str(&b, "\x80\x02}(");
        put_pickle_tensor(&b, "w", "FloatStorage", "0", 0, 2, 3);
        put_pickle_tensor(&b, "v", "HalfStorage", "0", 1, 1, 2);
        put_str(&b, "u.");
    } else if (i == 2) {
        put_str(&b, "ccollections\nOrderedDict\n)R(");
        put_pickle_text(&b, "state_dict");
        put_str(&b, "}q\1(");
        put_pickle_tensor(&b, "w", "BFloat16Storage", "0", 0, 2, 3);
        put_str(&b, "uX\4\0\0\0stepJ\1\0\0\0\x8a\5\1\1\1\1\1\x87\x85]h\1a.");
    } else {
        return NULL;
    }
    *size = b.n;
    return b.at;
}
