/* What pth.c (the zip archive), pth_pickle.c (the pickle in it) and pth_tensors.c (the tensors in that) share.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_PTH_PICKLE_H
#define ZM_FORMAT_PTH_PICKLE_H

#include "format/weights_build.h"

/* One stored (uncompressed) member; name is not NUL-terminated and, like the data, inside the mapped file. */
typedef struct zm_pth_entry {
    const char *name;
    size_t name_bytes;
    const unsigned char *at;
    size_t size; /* bytes */
} zm_pth_entry;

typedef struct zm_pth_archive {
    const zm_weights_file *file;
    const zm_pth_entry *entries; /* sorted by name */
    size_t n;
    const char *prefix; /* folder of data.pkl with its slash */
    size_t prefix_bytes;
} zm_pth_archive;

/* Member PREFIX + folder + name; NULL when absent. */
const zm_pth_entry *zm_pth_find(const zm_pth_archive *a, const char *folder, const char *name, size_t name_bytes);

typedef enum {
    ZM_PTH_OTHER, /* of no interest */
    ZM_PTH_MARK,
    ZM_PTH_INT,
    ZM_PTH_TEXT,
    ZM_PTH_TUPLE,
    ZM_PTH_LIST,
    ZM_PTH_DICT,
    ZM_PTH_GLOBAL,
    ZM_PTH_STORAGE,
    ZM_PTH_TENSOR
} zm_pth_kind;

typedef struct zm_pth_storage_type {
    const char *name; /* torch.NAME */
    const char *dtype_name;
    zm_dtype dtype; /* ZM_DTYPE_COUNT: known size, not computed with */
    size_t bytes;
} zm_pth_storage_type;

/* One unpickled value.  Values may be shared and may form cycles. */
typedef struct zm_pth_value zm_pth_value;
struct zm_pth_value {
    zm_pth_kind kind;
    union {
        int64_t integer;
        struct {
            const char *at; /* no NUL after it */
            size_t bytes;
        } text; /* TEXT; GLOBAL: "module name" */
        struct {
            zm_pth_value **items; /* TUPLE, LIST; DICT: key, value, key, value, ... */
            size_t n, room;
        };
        struct {
            const zm_pth_storage_type *type; /* NULL: unknown */
            const zm_pth_entry *entry;
        } storage;
        struct {
            const zm_pth_value *storage, *args; /* args of the rebuild function: storage, offset, size, stride, ... */
        } tensor;
    };
};

/* Element i of a tuple or list; NULL for anything else. */
zm_pth_value *zm_pth_item(const zm_pth_value *v, size_t i);

/* Unpickle a member; values live in `arena`, texts point into the file. */
ZM_MUST zm_status zm_pth_unpickle(const zm_pth_value **root, const zm_pth_archive *a, const zm_pth_entry *pickle,
                                  zm_arena *arena, zm_error *err);

/* Unpickle and add the tensors of its dict, and of dicts in it, to a->file->into. */
ZM_MUST zm_status zm_pth_tensors(const zm_pth_archive *a, const zm_pth_entry *pickle, zm_error *err);

#endif
