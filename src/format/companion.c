/* Tensors that other programs keep beside 8-bit floats, told by their names.
 * SPDX-License-Identifier: MIT */
#include "format/companion.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *end;
    zm_companion is;
} ends[] = {
    {".scale_weight", ZM_COMPANION_SCALE}, {".weight_scale", ZM_COMPANION_SCALE}, {".scale_input", ZM_COMPANION_NOTE},
    {".input_scale", ZM_COMPANION_NOTE},   {".comfy_quant", ZM_COMPANION_NOTE},   {".scaled_fp8", ZM_COMPANION_NOTE},
};

zm_companion zm_companion_of(char *out, size_t cap, const char *name)
{
    size_t n = strlen(name);
    if (!strcmp(name, "scaled_fp8"))
        return ZM_COMPANION_NOTE;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i].end);
        if (n <= m || strcmp(name + n - m, ends[i].end) != 0)
            continue;
        if (ends[i].is == ZM_COMPANION_SCALE && (size_t)snprintf(out, cap, "%.*s.weight", (int)(n - m), name) >= cap)
            return ZM_COMPANION_NOTE;
        return ends[i].is;
    }
    return ZM_COMPANION_NONE;
}

const zm_weight *zm_companion_scale(const zm_weights *w, const zm_weight *t)
{
    char name[512];
    size_t n = strlen(t->name), m = strlen(".weight");
    const zm_weight *scale;
    if (t->scale)
        return t->scale;
    if (n <= m || strcmp(t->name + n - m, ".weight") != 0)
        return NULL;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i].is == ZM_COMPANION_SCALE &&
            (size_t)snprintf(name, sizeof name, "%.*s%s", (int)(n - m), t->name, ends[i].end) < sizeof name &&
            zm_weights_has(w, name) && !zm_weights_find(&scale, w, name, NULL))
            return scale;
    return NULL;
}
