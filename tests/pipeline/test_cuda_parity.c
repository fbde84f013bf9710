/* What the official code made, recomputed through the CUDA backend's host side, its kernels run as loops of the host:
 * networks, streamed autoencoders, whole pipelines, losses and training steps.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "gpu_host.h"
#include "pipeline/parity.h"
#include "tap.h"

static void line(void *user, const char *text)
{
    (void)user;
    printf("# %s\n", text);
}

int main(int argc, char **argv)
{
    static const char *const golden[] = {"tests/golden/umt5-encoder-tiny", "tests/golden/wan22-ti2v-5b-tiny",
                                         "tests/golden/wan22-vae-tiny", "tests/golden/wan22-pipeline-ti2v-tiny"};
    zm_gpu_host_install(0);
    int n = argc > 1 ? argc - 1 : 4;
    for (int i = 0; i < n; i++) {
        const char *dir = argc > 1 ? argv[i + 1] : golden[i];
        zm_parity_report r = {.line = line};
        zm_error err = {0};
        zm_status s = zm_parity_run(dir, &r, &err);
        tap_ok(!s && r.passed > 0 && !r.failed, "%s: %d passed, %d failed %s", dir, r.passed, r.failed, err.text);
    }
    zm_gpu_host_counts c = zm_gpu_host_count();
    tap_ok(c.launches > 0 && c.replays > 0, "%d launches, %d products, %d recorded runs", c.launches, c.products,
           c.replays);
    return tap_done();
}
