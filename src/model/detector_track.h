/* From the detector's numbers to bodies, and from bodies frame by frame to tracks.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_MODEL_DETECTOR_TRACK_H
#define ZM_MODEL_DETECTOR_TRACK_H

#include "model/detector.h"

/* A body in one frame; px; score 0: not seen in this frame. */
typedef struct zm_detection {
    int cls, colour;
    float score, x, y, width, height;
} zm_detection;

enum { ZM_DETECTIONS_MAX = 16, ZM_TRACKS_MAX = 48 };

/* Bodies of one frame from its cells [(height/8)*(width/8), columns], best first: cells whose probability of not being
 * background reaches `least`, weaker ones within half a body of a stronger one dropped.  Returns how many. */
int zm_detections_read(const zm_detector_config *c, const float *cells, int width, int height, float least,
                       zm_detection out[ZM_DETECTIONS_MAX]);

typedef struct zm_track {
    int cls, colour;  /* what most frames say, weighted by score */
    int first, last;  /* frames of its first and last sighting */
    int n;            /* sightings */
    zm_detection *at; /* [frames]; score 0 where it was not seen */
    double *vote;     /* while tracking: weight of each class, then of each colour */
} zm_track;

typedef struct zm_tracks {
    int n, frames;
    zm_track track[ZM_TRACKS_MAX];
} zm_tracks;

/* Greedy: in every frame the nearest pairs of expected place (constant velocity) and sighting are joined first, where
 * another class or colour counts as distance; what is left starts tracks, and a track that was not seen for `patience`
 * frames ends.  cells [frames, (height/8)*(width/8), columns].  ZM_E_NOMEM.  Release what came out. */
ZM_MUST zm_status zm_tracks_find(zm_tracks *out, const zm_detector_config *c, const float *cells, int frames, int width,
                                 int height, zm_error *err);
void zm_tracks_release(zm_tracks *t);

/* Index of the largest of n numbers. */
int zm_largest(const float *v, int n);

#endif
