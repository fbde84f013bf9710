/* What every fuzz_NAME.c gives: the entry point that libFuzzer and replay.c call, and seeds for both.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_FUZZ_H
#define ZM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Must neither crash, leak nor run away on any input; aborts when a property that it checks does not hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seed `i` as heap memory of *size bytes, NULL after the last.  Optional: without it only files named on the command
 * line and a few common ones are mutated. */
unsigned char *zm_fuzz_seed(unsigned i, size_t *size);

#endif
