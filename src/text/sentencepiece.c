/* Read sentencepiece's .model file: a protobuf of pieces, training settings and the normaliser.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "text/tokenizer.h"

/* Fields read: ModelProto {1 pieces, 2 trainer_spec, 3 normalizer_spec}; SentencePiece {1 piece, 2 score, 3 type};
 * TrainerSpec {3 model_type}; NormalizerSpec {2 precompiled_charsmap, 3 add_dummy_prefix, 4
 * remove_extra_whitespaces}.  Everything else is skipped. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, UNIGRAM = 1 };

/* Bytes of one message; offsets in errors are those of the file. */
typedef struct reader {
    const unsigned char *file, *at, *end;
    const char *name;
} reader;

typedef struct field {
    uint32_t number;
    int wire;
    uint64_t value;             /* varint, 64- and 32-bit */
    const unsigned char *bytes; /* WIRE_BYTES */
    size_t size;
} field;

static zm_status damaged(const reader *r, const char *what, zm_error *err)
{
    return zm_fail(err, ZM_E_FORMAT, "%s: %s at byte %zu.", r->name, what, (size_t)(r->at - r->file));
}

static zm_status read_varint(reader *r, uint64_t *out, zm_error *err)
{
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            return damaged(r, "the file ends inside a number", err);
        unsigned char b = *r->at++;
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return ZM_OK;
    }
    return damaged(r, "a number runs past ten bytes", err);
}

static zm_status read_field(reader *r, field *f, zm_error *err)
{
    uint64_t tag;
    zm_status st = read_varint(r, &tag, err);
    if (st)
        return st;
    *f = (field){.number = (uint32_t)(tag >> 3 & 0x1fffffff), .wire = (int)(tag & 7)};
    size_t left = (size_t)(r->end - r->at), fixed = f->wire == WIRE_64 ? 8 : 4;
    switch (f->wire) {
    case WIRE_VARINT:
        return read_varint(r, &f->value, err);
    case WIRE_64:
    case WIRE_32:
        if (left < fixed)
            return damaged(r, "the file ends inside a field", err);
        f->value = fixed == 8 ? zm_load_u64le(r->at) : zm_load_u32le(r->at);
        r->at += fixed;
        return ZM_OK;
    case WIRE_BYTES:
        st = read_varint(r, &f->value, err);
        if (!st && f->value > (uint64_t)(r->end - r->at))
            st = damaged(r, "a field runs past the end", err);
        if (st)
            return st;
        f->bytes = r->at;
        f->size = (size_t)f->value;
        r->at += f->size;
        return ZM_OK;
    default:
        return damaged(r, "there is no protobuf field", err);
    }
}

static reader inside(const reader *r, const field *f)
{
    return (reader){r->file, f->bytes, f->bytes + f->size, r->name};
}

typedef struct model {
    char *pool;        /* spellings, NUL-terminated */
    size_t pool_bytes; /* used */
    const char **piece;
    float *score;
    uint8_t *type;
    size_t n;
    zm_tokenizer_rules rules;
} model;

static void model_release(model *m)
{
    free(m->pool);
    free(m->piece);
    free(m->score);
    free(m->type);
}

static zm_status read_piece(model *m, reader r, zm_error *err)
{
    uint32_t bits = 0;
    uint64_t type = ZM_PIECE_NORMAL;
    const unsigned char *at = NULL;
    size_t size = 0;
    while (r.at < r.end) {
        field f;
        zm_status st = read_field(&r, &f, err);
        if (st)
            return st;
        if (f.number == 1 && f.wire == WIRE_BYTES) {
            at = f.bytes;
            size = f.size;
        } else if (f.number == 2 && f.wire == WIRE_32) {
            bits = (uint32_t)f.value;
        } else if (f.number == 3 && f.wire == WIRE_VARINT) {
            type = f.value;
        }
    }
    if (size && memchr(at, 0, size))
        return damaged(&r, "a piece holds a NUL byte before", err);
    m->piece[m->n] = m->pool + m->pool_bytes;
    if (size)
        memcpy(m->pool + m->pool_bytes, at, size);
    m->pool_bytes += size;
    m->pool[m->pool_bytes++] = 0;
    memcpy(&m->score[m->n], &bits, sizeof bits);
    m->type[m->n++] = (uint8_t)(type < 256 ? type : 0);
    return ZM_OK;
}

static zm_status read_trainer(reader r, zm_error *err)
{
    while (r.at < r.end) {
        field f;
        zm_status st = read_field(&r, &f, err);
        if (st)
            return st;
        if (f.number == 3 && f.wire == WIRE_VARINT && f.value != UNIGRAM)
            return zm_fail(err, ZM_E_UNSUPPORTED, "%s: the sentencepiece model type is %llu, only unigram (1) is read.",
                           r.name, (unsigned long long)f.value);
    }
    return ZM_OK;
}

static zm_status read_normaliser(model *m, reader r, zm_error *err)
{
    while (r.at < r.end) {
        field f;
        zm_status st = read_field(&r, &f, err);
        if (st)
            return st;
        if (f.number == 2 && f.wire == WIRE_BYTES && f.size) {
            m->rules.charsmap = f.bytes;
            m->rules.charsmap_bytes = f.size;
        } else if (f.number == 3 && f.wire == WIRE_VARINT) {
            m->rules.no_dummy_prefix = !f.value;
        } else if (f.number == 4 && f.wire == WIRE_VARINT) {
            m->rules.keep_spaces = !f.value;
        }
    }
    return ZM_OK;
}

/* First pass: how many pieces there are. */
static zm_status count_pieces(reader r, size_t *n, zm_error *err)
{
    *n = 0;
    while (r.at < r.end) {
        field f;
        zm_status st = read_field(&r, &f, err);
        if (st)
            return st;
        *n += f.number == 1 && f.wire == WIRE_BYTES;
    }
    if (!*n || *n > ZM_TEXT_MAX_PIECES)
        return zm_fail(err, ZM_E_FORMAT, "%s: this is no sentencepiece model: %zu pieces.", r.name, *n);
    return ZM_OK;
}

static zm_status read_model(model *m, reader r, zm_error *err)
{
    zm_status st = ZM_OK;
    while (r.at < r.end && !st) {
        field f;
        st = read_field(&r, &f, err);
        if (st || f.wire != WIRE_BYTES)
            continue;
        if (f.number == 1)
            st = read_piece(m, inside(&r, &f), err);
        else if (f.number == 2)
            st = read_trainer(inside(&r, &f), err);
        else if (f.number == 3)
            st = read_normaliser(m, inside(&r, &f), err);
    }
    return st;
}

zm_status zm_tokenizer_from_sentencepiece(zm_tokenizer **out, const void *data, size_t bytes, const char *name,
                                          zm_error *err)
{
    reader r = {data, data, (const unsigned char *)data + bytes, name};
    model m = {.rules.raw = true}; /* without a map characters stay as they are */
    size_t n;
    *out = NULL;
    zm_status st = count_pieces(r, &n, err);
    if (st)
        return st;
    m.pool = malloc(bytes + n); /* a piece takes more than its spelling in the file, the NUL apart */
    m.piece = calloc(n, sizeof *m.piece);
    m.score = calloc(n, sizeof *m.score);
    m.type = calloc(n, 1);
    if (!m.pool || !m.piece || !m.score || !m.type)
        st = zm_fail(err, ZM_E_NOMEM, "%s: there is no memory for %zu pieces.", name, n);
    else
        st = read_model(&m, r, err);
    if (!st && (st = zm_tokenizer_new(out, m.piece, m.score, m.type, m.n, &m.rules, err)))
        zm_error_prefix(err, "%s", name);
    model_release(&m);
    return st;
}
