/* Unpickle a PyTorch checkpoint's data.pkl as data: nothing that it names is ever called.
 * SPDX-License-Identifier: MIT */
#include "format/pth_pickle.h"

#include <stdlib.h>
#include <string.h>

/* Values take up to about 100 bytes for a byte of hostile pickle; real ones have about 200 bytes a tensor. */
enum { PICKLE_BYTES_MAX = 8 << 20, GLOBAL_BYTES_MAX = 256 };

typedef zm_pth_value value;
typedef zm_pth_kind kind;

/* Unpickling machine.  Invariant: at <= end; n_stack <= stack_room. */
typedef struct machine {
    const zm_pth_archive *archive;
    zm_arena *arena; /* of the values */
    const unsigned char *start, *at, *end;
    value **stack, **memo;
    size_t n_stack, stack_room, n_memo, memo_room;
    zm_error *err;
} machine;

static const zm_pth_storage_type storage_types[] = {
    {"FloatStorage", "F32", ZM_F32, 4},
    {"HalfStorage", "F16", ZM_F16, 2},
    {"BFloat16Storage", "BF16", ZM_BF16, 2},
    {"DoubleStorage", "F64", ZM_F64, 8},
    {"LongStorage", "I64", ZM_I64, 8},
    {"IntStorage", "I32", ZM_I32, 4},
    {"ByteStorage", "U8", ZM_U8, 1},
    {"CharStorage", "I8", ZM_DTYPE_COUNT, 1},
    {"ShortStorage", "I16", ZM_DTYPE_COUNT, 2},
    {"BoolStorage", "BOOL", ZM_DTYPE_COUNT, 1},
};

static zm_status broken(const machine *m, const char *why)
{
    return zm_fail(m->err, ZM_E_FORMAT, "%s: data.pkl, byte %zu: %s", m->archive->file->name,
                   (size_t)(m->at - m->start), why);
}

static zm_status no_memory(const machine *m)
{
    return zm_fail(m->err, ZM_E_NOMEM, "%s: data.pkl: out of memory", m->archive->file->name);
}

static zm_status take(const unsigned char **out, machine *m, uint64_t bytes)
{
    *out = m->at;
    if (bytes > (uint64_t)(m->end - m->at))
        return broken(m, "cut off");
    m->at += bytes;
    return ZM_OK;
}

/* A little-endian unsigned number of 1, 2, 4 or 8 bytes. */
static zm_status take_uint(uint64_t *out, machine *m, size_t bytes)
{
    const unsigned char *p;
    zm_status s = take(&p, m, bytes);
    *out = 0;
    for (size_t i = 0; !s && i < bytes; i++)
        *out |= (uint64_t)p[i] << 8 * i;
    return s;
}

static bool grow(value ***array, size_t n, size_t *room)
{
    if (n < *room)
        return true;
    size_t want = *room ? 2 * *room : 64;
    value **p = realloc(*array, want * sizeof *p);
    if (!p)
        return false;
    *array = p;
    *room = want;
    return true;
}

static zm_status push(machine *m, value *v)
{
    if (!v || !grow(&m->stack, m->n_stack, &m->stack_room))
        return no_memory(m);
    m->stack[m->n_stack++] = v;
    return ZM_OK;
}

static value *new_value(machine *m, kind k)
{
    value *v = zm_arena_alloc(m->arena, sizeof *v);
    if (v)
        v->kind = k;
    return v;
}

static zm_status push_new(machine *m, kind k)
{
    return push(m, new_value(m, k));
}

static zm_status push_int(machine *m, int64_t i)
{
    value *v = new_value(m, ZM_PTH_INT);
    if (v)
        v->integer = i;
    return push(m, v);
}

static zm_status push_text(machine *m, size_t length_bytes, kind k)
{
    uint64_t n;
    const unsigned char *p;
    zm_status s = take_uint(&n, m, length_bytes);
    if (!s)
        s = take(&p, m, n);
    value *v = s ? NULL : new_value(m, k);
    if (s)
        return s;
    if (v) {
        v->text.at = (const char *)p;
        v->text.bytes = (size_t)n;
    }
    return push(m, v);
}

static value *top(const machine *m, size_t below)
{
    return below < m->n_stack ? m->stack[m->n_stack - 1 - below] : NULL;
}

/* Position of the element above the last mark; 0 with no mark there. */
static size_t find_mark(const machine *m)
{
    size_t i = m->n_stack;
    while (i && m->stack[i - 1]->kind != ZM_PTH_MARK)
        i--;
    return i;
}

static bool append(machine *m, value *to, value **items, size_t n)
{
    if (to->n + n > to->room) {
        size_t want = 2 * to->room > to->n + n ? 2 * to->room : to->n + n;
        value **p = zm_arena_array(m->arena, want, sizeof *p);
        if (!p)
            return false;
        if (to->n)
            memcpy(p, to->items, to->n * sizeof *p);
        to->items = p;
        to->room = want;
    }
    if (n)
        memcpy(to->items + to->n, items, n * sizeof *items);
    to->n += n;
    return true;
}

/* Replace the top n elements, and the mark below them when `mark`, by one container. */
static zm_status collect(machine *m, kind k, size_t n, bool mark)
{
    if (n + mark > m->n_stack)
        return broken(m, "an operation on an empty stack");
    value *v = new_value(m, k);
    if (!v || !append(m, v, m->stack + m->n_stack - n, n))
        return no_memory(m);
    m->n_stack -= n + mark;
    return push(m, v);
}

static zm_status collect_marked(machine *m, kind k)
{
    size_t mark = find_mark(m);
    return mark ? collect(m, k, m->n_stack - mark, true) : broken(m, "no mark on the stack");
}

/* Move the top n elements, and the mark below them when `mark`, into the container below. */
static zm_status extend(machine *m, size_t n, bool mark)
{
    value *to = top(m, n + mark);
    if (!to || (to->kind == ZM_PTH_DICT && n % 2))
        return broken(m, "an operation on an empty stack");
    if ((to->kind == ZM_PTH_DICT || to->kind == ZM_PTH_LIST) && !append(m, to, m->stack + m->n_stack - n, n))
        return no_memory(m);
    m->n_stack -= n + mark;
    return ZM_OK;
}

static zm_status extend_marked(machine *m)
{
    size_t mark = find_mark(m);
    return mark ? extend(m, m->n_stack - mark, true) : broken(m, "no mark on the stack");
}

static zm_status memo_put(machine *m, uint64_t i)
{
    value *v = top(m, 0);
    if (!v || i >= (size_t)(m->end - m->start)) /* picklers count up from 0, one by one */
        return broken(m, "a memo index out of range");
    while (m->memo_room <= i)
        if (!grow(&m->memo, m->memo_room, &m->memo_room))
            return no_memory(m);
    while (m->n_memo <= i)
        m->memo[m->n_memo++] = NULL;
    m->memo[i] = v;
    return ZM_OK;
}

static zm_status memo_get(machine *m, uint64_t i)
{
    return i < m->n_memo && m->memo[i] ? push(m, m->memo[i]) : broken(m, "an unknown memo index");
}

static bool is_text(const value *v, kind k, const char *s)
{
    return v && v->kind == k && v->text.bytes == strlen(s) && !memcmp(v->text.at, s, v->text.bytes);
}

value *zm_pth_item(const value *v, size_t i)
{
    return v && (v->kind == ZM_PTH_TUPLE || v->kind == ZM_PTH_LIST) && i < v->n ? v->items[i] : NULL;
}

/* GLOBAL: "module\nname\n" kept as "module name". */
static zm_status push_global(machine *m)
{
    const char *text = (const char *)m->at, *end = (const char *)m->end;
    const char *a = memchr(text, '\n', (size_t)(end - text));
    const char *b = a ? memchr(a + 1, '\n', (size_t)(end - a - 1)) : NULL;
    value *v = new_value(m, ZM_PTH_GLOBAL);
    if (!b)
        return broken(m, "a global without name");
    char *copy = zm_arena_alloc(m->arena, (size_t)(b - text) + 1);
    if (!v || !copy)
        return no_memory(m);
    memcpy(copy, text, (size_t)(b - text));
    copy[a - text] = ' ';
    v->text.at = copy;
    v->text.bytes = (size_t)(b - text);
    m->at += b - text + 1;
    return push(m, v);
}

static zm_status stack_global(machine *m)
{
    const value *module = top(m, 1), *name = top(m, 0);
    if (!module || module->kind != ZM_PTH_TEXT || name->kind != ZM_PTH_TEXT)
        return broken(m, "a global without name");
    size_t n = module->text.bytes, k = name->text.bytes;
    if (n + k > GLOBAL_BYTES_MAX) /* both may be memoized, so copies of long ones would be without bound */
        return broken(m, "a global with a long name");
    value *v = new_value(m, ZM_PTH_GLOBAL);
    char *copy = zm_arena_alloc(m->arena, n + k + 2);
    if (!v || !copy)
        return no_memory(m);
    memcpy(copy, module->text.at, n);
    copy[n] = ' ';
    memcpy(copy + n + 1, name->text.at, k);
    v->text.at = copy;
    v->text.bytes = n + k + 1;
    m->n_stack -= 2;
    return push(m, v);
}

/* ("storage", torch.FloatStorage, key, location, elements) -> the archive's member. */
static zm_status persistent(machine *m)
{
    const value *id = top(m, 0), *type = zm_pth_item(id, 1), *key = zm_pth_item(id, 2);
    if (!is_text(zm_pth_item(id, 0), ZM_PTH_TEXT, "storage") || !type || type->kind != ZM_PTH_GLOBAL || !key ||
        key->kind != ZM_PTH_TEXT)
        return broken(m, "a persistent id that is no storage");
    value *v = new_value(m, ZM_PTH_STORAGE);
    if (!v)
        return no_memory(m);
    v->storage.entry = zm_pth_find(m->archive, "data/", key->text.at, key->text.bytes);
    if (!v->storage.entry)
        return zm_fail(m->err, ZM_E_FORMAT, "%s: data.pkl, byte %zu: its storage is not in the archive",
                       m->archive->file->name, (size_t)(m->at - m->start));
    for (size_t i = 0; i < sizeof storage_types / sizeof *storage_types; i++) {
        char name[64];
        snprintf(name, sizeof name, "torch %s", storage_types[i].name);
        if (is_text(type, ZM_PTH_GLOBAL, name))
            v->storage.type = &storage_types[i];
    }
    m->n_stack--;
    return push(m, v);
}

/* function, arguments -> result.  Functions that are not known give a value of no interest. */
static zm_status reduce(machine *m)
{
    const value *args = top(m, 0), *f = top(m, 1);
    if (!f)
        return broken(m, "an operation on an empty stack");
    m->n_stack -= 2;
    if (is_text(f, ZM_PTH_GLOBAL, "collections OrderedDict"))
        return push_new(m, ZM_PTH_DICT);
    if (is_text(f, ZM_PTH_GLOBAL, "torch._utils _rebuild_parameter") && zm_pth_item(args, 0))
        return push(m, zm_pth_item(args, 0));
    value *v = new_value(m, ZM_PTH_OTHER);
    const value *storage = zm_pth_item(args, 0);
    if (v && storage && storage->kind == ZM_PTH_STORAGE &&
        (is_text(f, ZM_PTH_GLOBAL, "torch._utils _rebuild_tensor_v2") ||
         is_text(f, ZM_PTH_GLOBAL, "torch._utils _rebuild_tensor"))) {
        v->kind = ZM_PTH_TENSOR;
        v->tensor.storage = storage;
        v->tensor.args = args;
    }
    return push(m, v);
}

static zm_status push_long(machine *m)
{
    uint64_t n, bits;
    zm_status s = take_uint(&n, m, 1);
    if (s)
        return s;
    if (n > 8)
        return broken(m, "an integer of more than 8 bytes");
    s = take_uint(&bits, m, (size_t)n);
    if (s || !n)
        return s ? s : push_int(m, 0);
    return push_int(m, (int64_t)(bits << (64 - 8 * n)) >> (64 - 8 * n));
}

static zm_status push_sized(machine *m, size_t bytes)
{
    uint64_t v;
    zm_status s = take_uint(&v, m, bytes);
    return s ? s : push_int(m, bytes == 4 ? (int64_t)(int32_t)(uint32_t)v : (int64_t)v);
}

static zm_status memo_op(machine *m, size_t bytes, zm_status (*op)(machine *, uint64_t))
{
    uint64_t i;
    zm_status s = take_uint(&i, m, bytes);
    return s ? s : op(m, i);
}

static zm_status skip_and_push(machine *m, size_t bytes)
{
    const unsigned char *p;
    zm_status s = take(&p, m, bytes);
    return s ? s : push_new(m, ZM_PTH_OTHER);
}

static zm_status drop(machine *m, size_t n)
{
    if (n >= m->n_stack)
        return broken(m, "an operation on an empty stack");
    m->n_stack -= n;
    return ZM_OK;
}

static zm_status unknown_op(machine *m, unsigned char op)
{
    return zm_fail(m->err, ZM_E_UNSUPPORTED, "%s: data.pkl, byte %zu: pickle operation 0x%02x is not read here",
                   m->archive->file->name, (size_t)(m->at - m->start) - 1, op);
}

/* One operation of pickle protocols 2 to 4, as far as checkpoints use them. */
static zm_status step(machine *m, unsigned char op)
{
    const unsigned char *p;
    switch (op) {
    case 0x80: /* PROTO */
        return take(&p, m, 1);
    case 0x95: /* FRAME */
        return take(&p, m, 8);
    case '(':
        return push_new(m, ZM_PTH_MARK);
    case '}':
        return push_new(m, ZM_PTH_DICT);
    case ']':
        return push_new(m, ZM_PTH_LIST);
    case ')':
        return push_new(m, ZM_PTH_TUPLE);
    case 'N':
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        return push_new(m, ZM_PTH_OTHER);
    case 'G':
        return skip_and_push(m, 8);
    case 'X':
        return push_text(m, 4, ZM_PTH_TEXT);
    case 0x8c: /* SHORT_BINUNICODE */
        return push_text(m, 1, ZM_PTH_TEXT);
    case 0x8d: /* BINUNICODE8 */
        return push_text(m, 8, ZM_PTH_TEXT);
    case 'U':
    case 'C':
        return push_text(m, 1, ZM_PTH_OTHER);
    case 'B':
    case 'T':
        return push_text(m, 4, ZM_PTH_OTHER);
    case 'K':
        return push_sized(m, 1);
    case 'M':
        return push_sized(m, 2);
    case 'J':
        return push_sized(m, 4);
    case 0x8a: /* LONG1 */
        return push_long(m);
    case 'q':
        return memo_op(m, 1, memo_put);
    case 'r':
        return memo_op(m, 4, memo_put);
    case 0x94: /* MEMOIZE */
        return memo_put(m, m->n_memo);
    case 'h':
        return memo_op(m, 1, memo_get);
    case 'j':
        return memo_op(m, 4, memo_get);
    case 't':
        return collect_marked(m, ZM_PTH_TUPLE);
    case 0x85: /* TUPLE1, 2, 3 */
    case 0x86:
    case 0x87:
        return collect(m, ZM_PTH_TUPLE, op - 0x84u, false);
    case 'l':
        return collect_marked(m, ZM_PTH_LIST);
    case 'a':
        return extend(m, 1, false);
    case 's':
        return extend(m, 2, false);
    case 'e':
    case 'u':
        return extend_marked(m);
    case 'c':
        return push_global(m);
    case 0x93: /* STACK_GLOBAL */
        return stack_global(m);
    case 'Q':
        return persistent(m);
    case 'R':
    case 0x81: /* NEWOBJ */
        return reduce(m);
    case 'b': /* BUILD: attributes of an object, none of interest */
    case '0': /* POP */
        return drop(m, 1);
    default:
        return unknown_op(m, op);
    }
}

static zm_status execute(const zm_pth_value **root, machine *m)
{
    while (m->at < m->end) {
        unsigned char op = *m->at++;
        if (op == '.') {
            *root = top(m, 0);
            return *root ? ZM_OK : broken(m, "stops with an empty stack");
        }
        zm_status s = step(m, op);
        if (s)
            return s;
    }
    return broken(m, "cut off");
}

zm_status zm_pth_unpickle(const zm_pth_value **root, const zm_pth_archive *a, const zm_pth_entry *pickle,
                          zm_arena *arena, zm_error *err)
{
    *root = NULL;
    if (pickle->size > PICKLE_BYTES_MAX)
        return zm_fail(err, ZM_E_FORMAT, "%s: data.pkl has %zu bytes, at most %d are possible", a->file->name,
                       pickle->size, PICKLE_BYTES_MAX);
    machine m = {.archive = a,
                 .arena = arena,
                 .start = pickle->at,
                 .at = pickle->at,
                 .end = pickle->at + pickle->size,
                 .err = err};
    zm_status s = execute(root, &m);
    free(m.stack);
    free(m.memo);
    return s;
}
