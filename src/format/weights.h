/* Weight files as one table of named tensors, whatever the container.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_WEIGHTS_H
#define ZM_FORMAT_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"

enum { ZM_WEIGHT_RANK_MAX = 8 };

/* One tensor of a file (reading) or to be put in a file (writing). */
typedef struct zm_weight {
    const char *name;
    zm_dtype dtype;                  /* ZM_DTYPE_COUNT: a type this build cannot compute with; see dtype_name */
    int rank;                        /* 0 (a scalar) .. ZM_WEIGHT_RANK_MAX */
    int64_t dim[ZM_WEIGHT_RANK_MAX]; /* row-major, outermost first: PyTorch's order in every container */
    const void *data;                /* little-endian; any alignment (safetensors promises none) */
    size_t bytes;
    const char *dtype_name; /* as the file spells it, "BF16", "q4_K"; ignored when writing, may be NULL there */
    const char *file;       /* file that holds it (a shard, for sharded models); ignored when writing */
    /* NULL, or a tensor of one element or one a row: the true values are data times it (8-bit floats, after
     * zm_weights_rename).  Ignored when writing. */
    const struct zm_weight *scale;
} zm_weight;

/* What a metadata value is.  Arrays have n elements. */
typedef enum {
    ZM_META_STR,   /* str, len bytes, NUL after them */
    ZM_META_U64,   /* u64: any unsigned integer type of GGUF; written as u32 when it fits */
    ZM_META_I64,   /* i64: any signed integer type; written as i32 when it fits */
    ZM_META_F64,   /* f64: f32 or f64 in the file; written as f32 when that is exact */
    ZM_META_BOOL,  /* u64 is 0 or 1 */
    ZM_META_STRS,  /* strs[i] has lens[i] bytes and a NUL after them */
    ZM_META_F32S,  /* f32s */
    ZM_META_I32S,  /* i32s */
    ZM_META_BYTES, /* str has n bytes, of an array of 8-bit integers; no NUL after them */
    ZM_META_OTHER  /* an array of another element type: known to be there, value not kept */
} zm_meta_type;

typedef struct zm_meta {
    const char *key;
    zm_meta_type type;
    size_t n; /* bytes of str, or elements of an array */
    union {
        const char *str;
        uint64_t u64;
        int64_t i64;
        double f64;
        const float *f32s;
        const int32_t *i32s;
        const char *const *strs;
    };
    const size_t *lens; /* ZM_META_STRS only; when writing, NULL means strlen */
} zm_meta;

typedef struct zm_weights zm_weights;

/* Open a safetensors, GGUF or PyTorch (.pth, .pt: zip) file - told by content, never by name - or a
 * `*.safetensors.index.json` with its shards, or a directory: its `*.safetensors.index.json`, else the one `*.safetensors`, else the one `*.gguf`, else the one
 * `*.pth`.  Files stay mapped until zm_weights_free.  Everything but tensor values is checked here: lengths,
 * counts, dims times dtype against byte ranges, ranges inside the file and not overlapping, names unique.  Memory
 * is bounded by a small multiple of the headers' bytes.  A tensor of an unsupported dtype does not fail the open.
 * ZM_E_MISSING: no such file or shard, or a directory without weights; ZM_E_FORMAT: broken file or ambiguous
 * directory; ZM_E_UNSUPPORTED: neither container, or a version this build does not read; ZM_E_IO; ZM_E_NOMEM. */
ZM_MUST zm_status zm_weights_open(zm_weights **out, const char *path, zm_error *err);
/* As above from memory that the caller keeps alive and unchanged until zm_weights_free; `name` is for errors. */
ZM_MUST zm_status zm_weights_open_memory(zm_weights **out, const void *data, size_t bytes, const char *name,
                                         zm_error *err);
/* NULL is fine. */
void zm_weights_free(zm_weights *w);

/* "safetensors", "gguf" or "pth". */
const char *zm_weights_container(const zm_weights *w);
const char *zm_weights_path(const zm_weights *w);

/* Tensors in file order, shard after shard.  `i` < count.  Borrowed until zm_weights_free. */
size_t zm_weights_count(const zm_weights *w);
const zm_weight *zm_weights_at(const zm_weights *w, size_t i);
bool zm_weights_has(const zm_weights *w, const char *name);
/* The tensor called `name`, ready to use.  ZM_E_MISSING: no such tensor (the sentence names the nearest one);
 * ZM_E_UNSUPPORTED: its dtype is none of zm_dtype.  *out is NULL on failure. */
ZM_MUST zm_status zm_weights_find(const zm_weight **out, const zm_weights *w, const char *name, zm_error *err);

/* Metadata in file order; a sharded model has that of its first shard. */
size_t zm_weights_meta_count(const zm_weights *w);
const zm_meta *zm_weights_meta_at(const zm_weights *w, size_t i);
/* NULL when absent. */
const zm_meta *zm_weights_meta(const zm_weights *w, const char *key);
/* NULL when absent or not a string. */
const char *zm_weights_meta_str(const zm_weights *w, const char *key);
/* false (and *out untouched) when absent, of another type, or not in range.  Numbers written as text - all that
 * safetensors metadata can hold - are read too. */
bool zm_weights_meta_u64(const zm_weights *w, const char *key, uint64_t *out);
bool zm_weights_meta_f64(const zm_weights *w, const char *key, double *out);

/* What a tensor of a file is called by the network that reads it. */
typedef struct zm_weight_alias {
    char name[256];
    /* 0 of 1: the tensor itself.  Else it is a band of rows of `name`, to be stacked with its sisters. */
    int part, parts;
    bool spare;                      /* a second copy: left out when another tensor has this name */
    bool scale;                      /* not the tensor `name` but what its values are multiplied by */
    int rank;                        /* -1: as in the file */
    int64_t dim[ZM_WEIGHT_RANK_MAX]; /* another view of the same elements */
} zm_weight_alias;
/* Fill *out, which arrives as {.parts = 1, .rank = -1} with the file's own name; false: leave the tensor out. */
typedef bool (*zm_weight_namer)(zm_weight_alias *out, const zm_weight *t, void *user);

/* Call every tensor what `namer` says; nothing is copied but stacked tensors, and those when they are first found
 * (their data is NULL in zm_weights_at until then).  Pointers to tensors that were handed out before are void.
 * ZM_E_FORMAT: two tensors of one name, a band or scale without its sisters, bands that do not fit each other, another
 * number of elements; ZM_E_NOMEM.  After a failure `w` may only be freed. */
ZM_MUST zm_status zm_weights_rename(zm_weights *w, zm_weight_namer namer, void *user, zm_error *err);

/* Elements of a tensor; 1 for a scalar. */
size_t zm_weight_elems(const zm_weight *t);

#endif
