/* Leaving out evaluations of the network.
 * SPDX-License-Identifier: MIT */
#include "sample/skip.h"

#include <string.h>

const zm_quality zm_qualities[] = {
    {"best", 0, 0, false, "every step is computed"},
    {"good", 0.1, 5, false, "steps are left out where hardly anything changes"},
    {"draft", 0.12, 4, false, "as many steps as possible are left out"},
    {"fast", 0, 0, true, "few steps without guidance, with the adapter that the model has for them"},
};
const size_t zm_quality_count = sizeof zm_qualities / sizeof *zm_qualities;

const zm_quality *zm_quality_find(const char *name)
{
    for (size_t i = 0; i < zm_quality_count; i++)
        if (!strcmp(zm_qualities[i].name, name))
            return &zm_qualities[i];
    return NULL;
}

void zm_skip_begin(zm_skip *s, const zm_quality *q)
{
    *s = (zm_skip){.quality = q};
}

bool zm_skip_step(zm_skip *s, int i, int n, double moved, double size)
{
    if (s->quality->threshold <= 0 || s->seen < 2 || i < s->quality->warm || i >= n - 1)
        return false;
    s->drift += size > 0 ? s->rate * moved / size : 1;
    if (!(s->drift < s->quality->threshold)) /* not a number counts as far */
        return false;
    s->left_out++;
    return true;
}

double zm_skip_slope(const zm_skip *s, double timestep)
{
    double apart = s->timestep[0] - s->timestep[1];
    return s->seen < 2 || apart == 0 ? 0 : (timestep - s->timestep[0]) / apart;
}

void zm_skip_saw(zm_skip *s, double timestep, double dv, double dx)
{
    if (s->seen)
        s->rate = dx > 0 ? dv / dx : 1;
    s->seen += s->seen < 2;
    s->drift = 0;
    s->timestep[1] = s->timestep[0];
    s->timestep[0] = timestep;
}
