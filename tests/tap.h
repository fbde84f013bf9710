/* A tiny TAP producer: checks print both values, the worst index and the tolerance.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TESTS_TAP_H
#define ZM_TESTS_TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 1 under the address sanitizer: what repeats a check of numbers alone may be done less often there. */
#ifdef __has_feature
#define TAP_SANITIZED __has_feature(address_sanitizer)
#elif defined __SANITIZE_ADDRESS__
#define TAP_SANITIZED 1
#else
#define TAP_SANITIZED 0
#endif

static int tap_count, tap_failed;

#define tap_ok(cond, ...) tap_ok_at((cond) ? 1 : 0, #cond, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((unused, format(printf, 5, 6))) static int tap_ok_at(int ok, const char *cond, const char *file, int line,
                                                                   const char *fmt, ...)
{
    va_list ap;
    printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    if (!ok) {
        tap_failed++;
        printf("# %s:%d: %s\n", file, line, cond);
    }
    fflush(stdout);
    return ok;
}

__attribute__((unused)) static int tap_equal_i64(long long got, long long want, const char *name)
{
    int ok = tap_ok_at(got == want, "got == want", name, 0, "%s", name);
    if (!ok)
        printf("# got %lld, want %lld\n", got, want);
    return ok;
}

__attribute__((unused)) static int tap_equal_str(const char *got, const char *want, const char *name)
{
    int ok = tap_ok_at(got && want && !strcmp(got, want), "got == want", name, 0, "%s", name ? name : "");
    if (!ok)
        printf("# got \"%s\", want \"%s\"\n", got ? got : "(null)", want ? want : "(null)");
    return ok;
}

/* max|got-want| <= tolerance; a NaN anywhere fails. */
__attribute__((unused)) static int tap_close_f32(const float *got, const float *want, size_t n, double tolerance,
                                                 const char *name)
{
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst)) {
            worst = d;
            at = i;
            if (isnan(d))
                break;
        }
    }
    int ok = tap_ok_at(worst <= tolerance, "max|got-want| <= tolerance", name, 0, "%s: max difference %.3g of %.3g",
                       name, worst, tolerance);
    if (!ok && n)
        printf("# worst at %zu of %zu: got %.9g, want %.9g\n", at, n, (double)got[at], (double)want[at]);
    return ok;
}

__attribute__((unused)) static void tap_skip(const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap_count, name, why);
}

__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif
