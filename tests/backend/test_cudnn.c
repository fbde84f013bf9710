/* What can be known of cuDNN without a card: its numbers, where its headers are, and whether it has engines for the
 * convolutions that are asked of it, where the library is.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/cudnn_api.h"
#include "backend/cuda/driver.h"
#include "tap.h"

#ifdef __has_include
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#define SAME(name, theirs, value) _Static_assert((int)(name) == (int)(theirs), #theirs);
ZM_DNN_NUMBERS(SAME)
#endif
#endif

/* As cuDNN itself describes an A100 and an H100. */
#define CARD(name, capability, processors, shared, l2)                                                                  \
    "{\"deviceName\":\"" name "\",\"deviceVer\":" capability ",\"multiProcessorCount\":" processors                     \
    ",\"maxSharedMemoryPerBlockOptin\":" shared ",\"l2CacheSize\":" l2                                                  \
    ",\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"warpSize\":32," \
    "\"maxSharedMemoryPerBlock\":49152,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"              \
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"                       \
    "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":84987740160,\"smClockRateKHz\":1410000,"              \
    "\"memClockRateKHz\":1512000,\"cudaDeviceId\":0,\"driverVer\":13000}"
static const char *const cards[][2] = {{"A100", CARD("A100", "800", "108", "166912", "41943040")},
                                       {"H100", CARD("H100", "900", "132", "232448", "52428800")}};

/* Of Wan 2.1's and 2.2's decoders: a middle layer, the largest pictures, a 2-D one, one of time alone, a 1x1, the last. */
static const zm_gpu_convolution layers[] = {
    {.batch = 1, .c = 384, .o = 384, .kernel = {3, 3, 3}, .out = {4, 60, 104}},
    {.batch = 1, .c = 96, .o = 96, .kernel = {3, 3, 3}, .out = {1, 480, 832}},
    {.batch = 1, .c = 192, .o = 96, .kernel = {1, 3, 3}, .out = {4, 240, 416}},
    {.batch = 1, .c = 384, .o = 768, .kernel = {3, 1, 1}, .out = {2, 60, 104}},
    {.batch = 2, .c = 16, .o = 384, .kernel = {1, 1, 1}, .out = {1, 60, 104}},
    {.batch = 1, .c = 96, .o = 3, .kernel = {3, 3, 3}, .out = {1, 480, 832}},
};

int main(void)
{
    zm_dnn *d;
    zm_error err = {0};
    char version[32];
    tap_ok(!zm_dnn_open(&d, NULL, (size_t)64 << 20, &err), "a library that is not there is no error %s", err.text);
    if (!d) {
        tap_skip("cuDNN plans", "the library is not here");
        return tap_done();
    }
    zm_dnn_version(d, version, sizeof version);
    printf("# %s\n", version);
    for (size_t k = 0; k < sizeof cards / sizeof *cards; k++) {
        zm_error_clear(&err);
        if (zm_dnn_pretend(d, cards[k][1], &err)) {
            tap_skip(cards[k][0], err.text);
            continue;
        }
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
            for (int bias = 0; bias < 2; bias++) {
                zm_gpu_convolution p = layers[i];
                for (int a = 0; a < 3; a++) {
                    p.stride[a] = 1;
                    p.in[a] = p.out[a] - 1 + p.kernel[a];
                }
                bool understood, found = zm_dnn_plans(d, &p, bias, &understood);
                tap_ok(understood, "cuDNN understands it");
                printf("# %s: %dx%dx%d taps, %d to %d channels%s: %s\n", cards[k][0], (int)p.kernel[0],
                       (int)p.kernel[1], (int)p.kernel[2], (int)p.c, (int)p.o, bias ? ", bias" : "",
                       found ? "a plan" : "no plan, which takes a driver");
            }
    }
    return tap_done();
}
