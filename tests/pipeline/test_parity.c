/* Reference fixtures, the small ones of the tree and the full ones where they are: every number that the official code
 * computes, recomputed.
 * SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdlib.h>

#include "base/mapfile.h"
#include "pipeline/parity.h"

static void print_line(void *user, const char *text)
{
    (void)user;
    printf("# %s\n", text);
}

static void test_dir(const char *root, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (!zm_path_is_dir(path)) {
        tap_skip(name, "no fixtures here; set ZM_FIXTURES");
        return;
    }
    zm_parity_report r = {.line = print_line};
    zm_error err = {0};
    zm_status s = zm_parity_run(path, &r, &err);
    if (!tap_ok(!s, "%s can be computed", name))
        printf("# %s\n", err.text);
    tap_ok(r.passed > 0 && r.failed == 0, "%s: %d groups agree, %d do not", name, r.passed, r.failed);
}

/* Comparison itself: a difference, a NaN and an empty group must all be misses. */
static void test_judgement(void)
{
    zm_parity_dir d = {.path = "nowhere", .name = "nowhere"};
    zm_parity_report r = {0};
    float want[3] = {1, -2, 4}, near[3] = {1, -2.00001f, 4}, far[3] = {1, -2, 4.1f}, nan3[3] = {1, NAN, 4};
    zm_parity_compare(&r, &d, "near", near, want, 3, 2e-5);
    tap_ok(r.passed == 1 && r.failed == 0, "a difference within the tolerance passes");
    zm_parity_compare(&r, &d, "far", far, want, 3, 1e-5);
    tap_ok(r.passed == 1 && r.failed == 1, "a difference beyond the tolerance is a miss");
    zm_parity_compare(&r, &d, "nan", nan3, want, 3, 1e9);
    tap_ok(r.failed == 2, "a NaN is a miss at any tolerance");
    zm_parity_group empty = {.name = "empty", .tolerance = 1};
    zm_parity_line(&r, &d, &empty);
    tap_ok(r.failed == 3, "nothing compared is a miss");
    zm_parity_group rel = {.name = "rel", .metric = ZM_PARITY_REL_L2, .tolerance = 1e-3};
    zm_parity_add(&rel, "far", far, want, 3);
    tap_ok(fabs(rel.worst - 0.1 / sqrt(21)) < 1e-6, "relative L2 norm: %.6g", rel.worst);
    zm_parity_group exact = {.name = "exact", .metric = ZM_PARITY_EXACT};
    zm_parity_add(&exact, "near", near, want, 3);
    tap_ok(exact.misses == 1 && exact.worst == 1, "one unequal element is counted");
}

static void test_unknown(void)
{
    zm_parity_report r = {0};
    zm_error err = {0};
    tap_ok(zm_parity_run("tests", &r, &err) == ZM_E_MISSING && err.text[0], "a directory without config.json: %s",
           err.text);
}

int main(void)
{
    static const char *const golden[] = {"schedulers",         "tokenizer",      "umt5-encoder-tiny",
                                         "wan22-ti2v-5b-tiny", "wan22-vae-tiny", "wan22-pipeline-ti2v-tiny"};
    static const char *const dirs[] = {"schedulers",
                                       "tokenizer",
                                       "sd35-mmdit-tiny",
                                       "umt5-encoder-tiny",
                                       "wan21-clip-vision-tiny",
                                       "wan21-dit-i2v-tiny",
                                       "wan21-dit-t2v-tiny",
                                       "wan21-pipeline-t2v-tiny",
                                       "wan21-train-tiny",
                                       "wan21-vae-tiny",
                                       "wan22-i2v-a14b-tiny",
                                       "wan22-pipeline-i2v-a14b-tiny",
                                       "wan22-pipeline-ti2v-tiny",
                                       "wan22-ti2v-5b-tiny",
                                       "wan22-vae-tiny"};
    const char *root = getenv("ZM_FIXTURES");
    test_judgement();
    test_unknown();
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        tap_ok(zm_path_is_dir("tests/golden"), "the small fixtures are in the tree");
        test_dir("tests/golden", golden[i]);
    }
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        test_dir(root ? root : "../shared/fixtures", dirs[i]);
    return tap_done();
}
