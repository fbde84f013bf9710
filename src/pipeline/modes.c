/* The table of ways of making video.
 * SPDX-License-Identifier: MIT */
#include "pipeline/modes.h"

#include <stdio.h>
#include <string.h>

static bool has_frames(const zm_model *m)
{
    return zm_image_way_of(m) == ZM_IMAGE_FRAMES;
}

/* A frame may depend on a later one. */
static bool looks_ahead(const zm_model *m)
{
    return m->config.dit.causal.block == 0 || m->config.dit.causal.both;
}

static bool in_blocks(const zm_model *m)
{
    return m->config.dit.causal.block > 0;
}

static bool leads(const zm_model *m)
{
    return has_frames(m) && looks_ahead(m);
}

static bool circles(const zm_model *m)
{
    return zm_image_way_of(m) != ZM_IMAGE_CHANNELS && looks_ahead(m);
}

static bool is_pair(const zm_model *m)
{
    return !strcmp(m->config.dit.model_type, "flf2v");
}

static bool takes_text(const zm_model *m)
{
    return zm_image_way_of(m) != ZM_IMAGE_CHANNELS;
}

static bool takes_image(const zm_model *m)
{
    return zm_image_way_of(m) != ZM_IMAGE_NONE && !is_pair(m);
}

static bool takes_images(const zm_model *m)
{
    return leads(m) || (zm_image_way_of(m) == ZM_IMAGE_CHANNELS && (is_pair(m) || !m->config.dit.img_dim));
}

static bool goes_on(const zm_model *m)
{
    return takes_image(m) && (m->config.video.given > 0 || in_blocks(m));
}

/* Block by block a film has no end. */
static bool lasts(const zm_model *m)
{
    return goes_on(m) || in_blocks(m);
}

#define NEEDS_TEXT   "it always goes on from a picture"
#define NEEDS_FRAMES "it was not trained with a noise level per frame, or no frame of it sees a later one"
#define NEEDS_CIRCLE "it always goes on from a picture, or no frame of it sees a later one"
#define NEEDS_IMAGE  "it was trained on text alone"

const zm_mode zm_modes[ZM_MODE_COUNT] = {
    {ZM_MODE_TEXT, "text", "a clip from text", NEEDS_TEXT, takes_text},
    {ZM_MODE_PICTURE, "picture", "a picture from text", NEEDS_TEXT, takes_text},
    {ZM_MODE_IMAGE, "image", "a clip that begins with a picture", "it takes no single picture", takes_image},
    {ZM_MODE_IMAGES, "images", "a clip from one picture to another", "it takes no last picture", takes_images},
    {ZM_MODE_EXTEND, "extend", "go on from a video", "it never learnt to go on from frames", goes_on},
    {ZM_MODE_BACKWARD, "backward", "lead to a video", NEEDS_FRAMES, leads},
    {ZM_MODE_JOIN, "join", "lead from one video to another", NEEDS_FRAMES, leads},
    {ZM_MODE_LOOP, "loop", "a clip whose first frame follows its last", NEEDS_CIRCLE, circles},
    {ZM_MODE_EDIT, "edit", "change a video", NEEDS_TEXT, takes_text},
    {ZM_MODE_INPAINT, "inpaint", "change a part of a video", NEEDS_TEXT, takes_text},
    {ZM_MODE_LONG, "long", "longer than the model's clips", NEEDS_IMAGE, lasts},
    {ZM_MODE_STORYBOARD, "storyboard", "shots that make one video", NEEDS_TEXT, takes_text},
};

const char *zm_modes_text(const zm_model *m, char *buf, size_t cap)
{
    size_t n = 0;
    *buf = 0;
    for (int i = 0; i < ZM_MODE_COUNT && n < cap; i++)
        if (zm_modes[i].able(m))
            n += (size_t)snprintf(buf + n, cap - n, "%s%s", n ? ", " : "", zm_modes[i].name);
    return buf;
}

zm_status zm_mode_check(zm_mode_kind kind, const zm_model *m, zm_error *err)
{
    const zm_mode *mode = &zm_modes[kind];
    char can[256];
    if (mode->able(m))
        return ZM_OK;
    return zm_fail(err, ZM_E_USAGE, "%s cannot do \"%s\" (%s): %s; it can do: %s", m->config.name, mode->name,
                   mode->summary, mode->needs, zm_modes_text(m, can, sizeof can));
}
