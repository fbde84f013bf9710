/* How the container parsers fill a zm_weights: for safetensors.c, gguf.c, pth.c and weights*.c only.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_WEIGHTS_BUILD_H
#define ZM_FORMAT_WEIGHTS_BUILD_H

#include "base/arena.h"
#include "base/mapfile.h"
#include "format/weights.h"

/* A tensor whose rows lie in several tensors of the file, copied together when it is first found. */
typedef struct zm_weights_stack {
    size_t tensor; /* index in the table */
    int parts;
    const zm_weight *part; /* copies of the file's rows, in order; in the arena */
    void *own;             /* NULL until found */
} zm_weights_stack;

struct zm_weights {
    zm_arena *arena; /* names, metadata, copies of file names */
    const char *path;
    const char *container;
    zm_map *maps;
    size_t n_maps;
    zm_weight *tensors;
    size_t n, room;
    const zm_weight **by_name; /* sorted; NULL until zm_weights_index */
    zm_meta *meta;
    size_t n_meta, meta_room;
    zm_weights_stack *stacks;
    size_t n_stacks;
};

/* One file being parsed. */
typedef struct zm_weights_file {
    zm_weights *into;
    const char *name; /* lives as long as `into` */
    const unsigned char *at;
    size_t size;      /* bytes */
    bool keep_meta;   /* false for the second shard and later ones */
    bool may_overlap; /* PyTorch files share storages between tied tensors */
} zm_weights_file;

/* A zeroed tensor or metadata slot at the end of the table; NULL when out of memory.  The pointer is valid until
 * the next call. */
zm_weight *zm_weights_add(zm_weights *w);
zm_meta *zm_weights_add_meta(zm_weights *w);

/* A tensor, metadata or dtype name may reach a terminal and C strings: 1..65535 bytes, no control characters. */
bool zm_weights_name_ok(const char *s, size_t bytes);

/* Set t->bytes from dims and dtype blocks (`elems` per `bytes`); the innermost dim must be whole blocks.
 * ZM_E_FORMAT on a negative dim or overflow. */
ZM_MUST zm_status zm_weights_set_bytes(zm_weight *t, size_t block_elems, size_t block_bytes, zm_error *err);

/* Parse one file's tensors and metadata into f->into. */
ZM_MUST zm_status zm_safetensors_parse(const zm_weights_file *f, zm_error *err);
ZM_MUST zm_status zm_gguf_parse(const zm_weights_file *f, zm_error *err);
ZM_MUST zm_status zm_pth_parse(const zm_weights_file *f, zm_error *err);

/* Map `path`, tell the container by content, parse, check that ranges do not overlap. */
ZM_MUST zm_status zm_weights_add_file(zm_weights *w, const char *path, zm_error *err);
/* The shards that an index file names. */
ZM_MUST zm_status zm_weights_add_index(zm_weights *w, const char *index, zm_error *err);
/* All weight files of a directory. */
ZM_MUST zm_status zm_weights_add_dir(zm_weights *w, const char *dir, zm_error *err);
/* Fill by_name and refuse duplicate names and metadata keys; called once, after the last file. */
ZM_MUST zm_status zm_weights_index(zm_weights *w, zm_error *err);
/* Copy the bands of a stacked tensor together unless that is done; nothing for other tensors.  ZM_E_NOMEM. */
ZM_MUST zm_status zm_weights_gather(const zm_weights *w, const zm_weight *t, zm_error *err);

#endif
