/* Names of the precisions a graph can run in.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/backend.h"

static const char *const names[] = {[ZM_PRECISION_F32] = "f32", [ZM_PRECISION_INT8] = "int8"};

const char *zm_precision_name(zm_precision p)
{
    return names[p];
}

bool zm_precision_parse(zm_precision *out, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) {
            *out = (zm_precision)i;
            return true;
        }
    return false;
}
