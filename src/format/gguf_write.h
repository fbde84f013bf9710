/* Write named tensors as one GGUF file (version 3, alignment 32).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_FORMAT_GGUF_WRITE_H
#define ZM_FORMAT_GGUF_WRITE_H

#include "format/weights.h"

/* Write `n` tensors in the given order and `n_meta` metadata values to `path`, durably (beside, then renamed).
 * Floats of 16 bits and more, quantised types, I32 and I64 can be written; a quantised tensor's last dim must be whole
 * blocks.  More than 4 dims are written as they are: ggml itself refuses them, loaders of video models accept them, as
 * they do names of 64 to 127 bytes.  A scalar is written as one dim of 1.  "general.architecture", which ggml's own
 * loaders expect, is the caller's to give.
 * ZM_E_USAGE: duplicate or empty name or key, name over 127 bytes, ZM_META_OTHER; ZM_E_SHAPE: bytes do not match dims
 * and dtype; ZM_E_UNSUPPORTED: dtype; ZM_E_IO; ZM_E_NOMEM.  On failure `path` is as it was. */
ZM_MUST zm_status zm_gguf_write(const char *path, const zm_weight *tensors, size_t n, const zm_meta *meta,
                                size_t n_meta, zm_error *err);

/* The same for values that are made one after the other: only names, shapes, dtypes and bytes of `tensors` are used, and
 * only during the call.  Errors as above. */
typedef struct zm_gguf_writer zm_gguf_writer;
ZM_MUST zm_status zm_gguf_begin(zm_gguf_writer **out, const char *path, const zm_weight *tensors, size_t n,
                                const zm_meta *meta, size_t n_meta, zm_error *err);
/* The next bytes of the tensors, in their order, in pieces of any size; more than all of them is a bug (asserted). */
ZM_MUST zm_status zm_gguf_put(zm_gguf_writer *w, const void *data, size_t bytes, zm_error *err);
/* After the last byte: makes the file appear under its name.  Always frees; sets *w to NULL.  ZM_E_IO. */
ZM_MUST zm_status zm_gguf_commit(zm_gguf_writer **w, zm_error *err);
/* Frees and leaves no file behind; NULL is fine. */
void zm_gguf_abandon(zm_gguf_writer **w);

#endif
