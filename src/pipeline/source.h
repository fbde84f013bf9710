/* Given videos: what they are, and their frames at the size that is wanted.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_PIPELINE_SOURCE_H
#define ZM_PIPELINE_SOURCE_H

#include "media/reader.h"
#include "pipeline/request.h"

/* A video as the film takes it. */
typedef struct zm_source {
    const char *path; /* borrowed */
    zm_reader *reader;
    int width, height; /* pixels of its frames */
    double fps;        /* 0: the file does not say, or nonsense */
    int64_t at;        /* frames read so far */
} zm_source;

/* ZM_E_USAGE: a still picture where a video is needed; otherwise the reader's errors. */
ZM_MUST zm_status zm_source_open(zm_source *s, const char *path, zm_error *err);
void zm_source_close(zm_source *s); /* {0} is fine */
/* The next frame, borrowed until the next call, NULL after the last.  ZM_E_FORMAT. */
ZM_MUST zm_status zm_source_next(zm_source *s, const zm_frame **out, zm_error *err);
/* How many frames there are, at most `most`: the file is read once from its beginning and closed. */
ZM_MUST zm_status zm_source_count(int64_t *out, const char *path, int64_t most, zm_error *err);

/* The size at which a model makes frames that go with a video of width x height: the video's own where the model's grid
 * and about its area have it, else a whole fraction of it, else the grid's nearest shape. */
void zm_source_fit(const zm_model *m, int width, int height, int *out_width, int *out_height);

/* The first frame of a file as pictures are given to a model; *pixels is malloc'd, out->rgb points to it.  Errors as of
 * zm_picture_read; ZM_E_NOMEM. */
ZM_MUST zm_status zm_image_read(zm_image *out, float **pixels, const char *path, zm_error *err);
/* [height,width,3] floats in -1..1, as pictures are given to a model. */
void zm_frame_floats(float *out, const zm_frame *f);

#endif
