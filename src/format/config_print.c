/* Print a configuration table as documentation, and a filled struct as YAML.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "format/config_value.h"

static void print_rows_help(FILE *to, const zm_config_table *table, const char *prefix)
{
    for (size_t i = 0; i < table->n; i++) {
        const zm_config_row *row = &table->rows[i];
        bool list = zm_config_element(row->type) != row->type;
        char needed[160];
        zm_config_needed(needed, sizeof needed, row, zm_config_element(row->type));
        for (char *c = needed; *c; c++) /* a bar would end the table's cell */
            if (*c == '|')
                *c = '/';
        fprintf(to, "| `%s%s` | %s%s%s | ", prefix, row->key, list ? "list of " : "", needed,
                row->type == ZM_CONFIG_LIST ? " of mappings" : "");
        if (row->fallback)
            fprintf(to, *row->fallback ? "`%s`" : "none", row->fallback);
        else
            fputs("required", to);
        fprintf(to, " | %s |\n", row->help ? row->help : "");
        if (row->type == ZM_CONFIG_LIST) {
            char inner[256];
            snprintf(inner, sizeof inner, "%s%s[].", prefix, row->key);
            print_rows_help(to, row->item, inner);
        }
    }
}

void zm_config_print_help(FILE *to, const zm_config_table *table)
{
    fputs("| key | value | default | meaning |\n|---|---|---|---|\n", to);
    print_rows_help(to, table, "");
}

/* Characters that YAML takes for line breaks or refuses unless they are escaped.  All have 3 bytes. */
static bool special(const char *s, const char **escape)
{
    static const struct {
        const char *bytes, *escape;
    } table[] = {
        {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}, {"\xef\xbb\xbf", "\\ufeff"},
        {"\xef\xbf\xbe", "\\ufffe"}, {"\xef\xbf\xbf", "\\uffff"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strncmp(s, table[i].bytes, 3)) {
            *escape = table[i].escape;
            return true;
        }
    return false;
}

static void print_string(FILE *to, const char *s)
{
    const char *escape;
    putc('"', to);
    for (; *s; s++) {
        const unsigned char *u = (const unsigned char *)s;
        if (special(s, &escape)) {
            fputs(escape, to);
            s += 2;
        } else if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0) { /* U+0080 to U+009F */
            fprintf(to, "\\x%02x", u[1]);
            s++;
        } else if (*s == '"' || *s == '\\')
            fprintf(to, "\\%c", *s);
        else if ((unsigned char)*s < 0x20 || *s == 0x7f)
            fprintf(to, "\\x%02x", (unsigned char)*s);
        else
            putc(*s, to);
    }
    putc('"', to);
}

static void print_choice(FILE *to, const char *choices, int i)
{
    while (i-- > 0)
        choices += strcspn(choices, "|") + 1;
    fprintf(to, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void print_scalar(FILE *to, const void *field, const zm_config_row *row, zm_config_type type)
{
    switch (type) {
    case ZM_CONFIG_INT:
        fprintf(to, "%" PRId64, *(const int64_t *)field);
        return;
    case ZM_CONFIG_FLOAT:
        fprintf(to, "%.17g", *(const double *)field);
        return;
    case ZM_CONFIG_BOOL:
        fputs(*(const bool *)field ? "true" : "false", to);
        return;
    case ZM_CONFIG_ENUM:
        print_choice(to, row->choices, *(const int *)field);
        return;
    default:
        print_string(to, *(const char *const *)field);
    }
}

static void print_struct(FILE *to, const void *in, const zm_config_table *table, const char *prefix, int indent);

static void print_row(FILE *to, const void *in, const zm_config_row *row, int indent)
{
    const char *last = strrchr(row->key, '.');
    const void *field = (const char *)in + row->offset;
    zm_config_type element = zm_config_element(row->type);
    fprintf(to, "%*s%s:", indent, "", last ? last + 1 : row->key);
    if (row->type == ZM_CONFIG_STR && !*(const char *const *)field) {
        putc('\n', to); /* null: the default, which is no text */
        return;
    }
    if (row->type != ZM_CONFIG_LIST && element == row->type) {
        putc(' ', to);
        print_scalar(to, field, row, row->type);
        putc('\n', to);
        return;
    }
    zm_config_list list; /* one layout for the four list structs */
    memcpy(&list, field, sizeof list);
    if (row->type == ZM_CONFIG_LIST && list.n) {
        putc('\n', to);
        for (size_t i = 0; i < list.n; i++) {
            fprintf(to, "%*s-\n", indent + 2, "");
            print_struct(to, (const char *)list.at + i * row->item->size, row->item, "", indent + 4);
        }
        return;
    }
    fputs(" [", to);
    for (size_t i = 0; i < list.n; i++) {
        fputs(i ? ", " : "", to);
        print_scalar(to, (const char *)list.at + i * zm_config_type_bytes(element), row, element);
    }
    fputs("]\n", to);
}

static void print_struct(FILE *to, const void *in, const zm_config_table *table, const char *prefix, int indent)
{
    size_t skip = strlen(prefix);
    for (size_t i = 0; i < table->n; i++) {
        const char *key = table->rows[i].key;
        if (strncmp(key, prefix, skip))
            continue;
        const char *dot = strchr(key + skip, '.');
        if (!dot) {
            print_row(to, in, &table->rows[i], indent);
            continue;
        }
        char group[160];
        snprintf(group, sizeof group, "%.*s", (int)(dot - key + 1), key);
        bool first = true; /* a group is printed whole where its first row stands */
        for (size_t k = 0; k < i && first; k++)
            first = strncmp(table->rows[k].key, group, strlen(group)) != 0;
        if (!first)
            continue;
        fprintf(to, "%*s%.*s:\n", indent, "", (int)(dot - key - (long)skip), key + skip);
        print_struct(to, in, table, group, indent + 2);
    }
}

void zm_config_print(FILE *to, const void *in, const zm_config_table *table)
{
    print_struct(to, in, table, "", 0);
}
