/* Names of the precisions a graph can run in, and of the devices that it can run on.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/backend.h"

static const char *const names[] = {
#define NAME(code, name) [code] = name,
    ZM_PRECISION_TABLE(NAME)
#undef NAME
};
static const zm_device_row devices[] = {
#define ROW(name, device, bf16, precision, what) {name, device, bf16, precision},
    ZM_DEVICE_TABLE(ROW)
#undef ROW
};

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

const zm_device_row *zm_device_find(const char *name)
{
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (!strcmp(devices[i].name, name))
            return &devices[i];
    return NULL;
}
