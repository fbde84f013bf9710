/* JSON documents, their getters and JSON lines: values, refusals, sentences.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "format/jsonl.h"
#include "scratch.h"
#include "tap.h"

static void parse_fails(const char *text, const char *want)
{
    zm_error err = {0};
    zm_json j;
    zm_status s = zm_json_parse(&j, text, strlen(text), "c.json", &err);
    tap_ok(s == ZM_E_FORMAT && !j.root && strstr(err.text, want), "%s", err.text);
    zm_json_close(&j);
}

static const char text[] =
    "{\"model\": {\"dim\": \"x\", \"heads\": 12, \"eps\": 1e-6, \"bias\": true, \"none\": null,\n"
    "  \"size\": [1, 2, 3], \"name\": \"wan\", \"stages\": [{\"n\": 4}, {\"n\": 5}]}}";

static void getters(void)
{
    zm_error err = {0};
    zm_json j;
    int64_t i = 0, list[4] = {0};
    double f = 0, fs[4] = {0};
    bool b = false;
    const char *s = NULL;
    size_t n = 0;
    if (!tap_ok(!zm_json_parse(&j, text, strlen(text), "c.json", &err), "parses: %s", err.text))
        return;
    tap_ok(!zm_json_int(&i, &j, "model.heads", true, 1, 64, &err) && i == 12, "integer");
    tap_ok(!zm_json_f64(&f, &j, "model.eps", true, 0, 1, &err) && f == 1e-6, "number");
    tap_ok(!zm_json_f64(&f, &j, "model.heads", true, 0, 99, &err) && f == 12, "an integer is a number");
    tap_ok(!zm_json_bool(&b, &j, "model.bias", true, &err) && b, "boolean");
    tap_ok(!zm_json_str(&s, &j, "model.name", true, &err) && !strcmp(s, "wan"), "string");
    tap_ok(!zm_json_int(&i, &j, "model.stages[1].n", true, 0, 9, &err) && i == 5, "element of a list");
    tap_ok(!zm_json_ints(list, &n, &j, "model.size", true, 3, 4, 1, 9, &err) && n == 3 && list[2] == 3, "integers");
    tap_ok(!zm_json_f64s(fs, &n, &j, "model.size", true, 1, 4, 1, 9, &err) && n == 3 && fs[1] == 2, "numbers");
    i = 77;
    tap_ok(!zm_json_int(&i, &j, "model.absent", false, 0, 9, &err) && i == 77, "an absent key keeps the default");
    tap_ok(!zm_json_int(&i, &j, "model.none", false, 0, 9, &err) && i == 77, "so does null");
    tap_equal_i64(zm_json_int(&i, &j, "model.none", true, 0, 9, &err), ZM_E_MISSING, "required");
    tap_equal_str(err.text, "c.json: model.none is missing", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_json_int(&i, &j, "model.dim", true, 1, 1048576, &err), ZM_E_FORMAT, "wrong type");
    tap_equal_str(err.text, "c.json: model.dim is \"x\", an integer between 1 and 1048576 is needed", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_json_int(&i, &j, "model.heads", true, 1, 8, &err), ZM_E_FORMAT, "out of range");
    tap_equal_str(err.text, "c.json: model.heads is 12, an integer between 1 and 8 is needed", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_json_ints(list, &n, &j, "model.size", true, 3, 3, 2, 9, &err), ZM_E_FORMAT, "element range");
    tap_equal_str(err.text, "c.json: model.size[0] is 1, an integer between 2 and 9 is needed", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_json_ints(list, &n, &j, "model.size", true, 1, 2, 0, 9, &err), ZM_E_FORMAT, "list length");
    tap_equal_str(err.text, "c.json: model.size is a list of 3, a list of 1 to 2 numbers is needed", "sentence");
    zm_error_clear(&err);
    tap_equal_i64(zm_json_bool(&b, &j, "model", true, &err), ZM_E_FORMAT, "object for boolean");
    zm_json_close(&j);
}

static void lines(void)
{
    static const char data[] = "{\"video_path\": \"a.mp4\", \"caption\": \"one\"}\n\n  \r\n"
                               "{\"video_path\": \"b.mp4\"}\n[1]\n{\"caption\": 1,}\n{\"last\": true}";
    zm_error err = {0};
    zm_jsonl *r;
    zm_json j;
    const char *s;
    if (!tap_ok(!zm_jsonl_open(&r, scratch_write("d.jsonl", data, sizeof data - 1), &err), "opens %s", err.text))
        return;
    tap_ok(!zm_jsonl_next(&j, r, &err) && !zm_json_str(&s, &j, "caption", true, &err) && !strcmp(s, "one"), "line 1");
    tap_ok(!zm_jsonl_next(&j, r, &err) && zm_jsonl_line(r) == 4, "blank lines are counted and passed over");
    tap_equal_i64(zm_json_str(&s, &j, "caption", true, &err), ZM_E_MISSING, "no caption");
    tap_ok(strstr(err.text, "d.jsonl:4: caption is missing") != NULL, "%s", err.text);
    zm_error_clear(&err);
    tap_equal_i64(zm_jsonl_next(&j, r, &err), ZM_E_FORMAT, "no object");
    tap_ok(strstr(err.text, "d.jsonl:5: not an object") != NULL, "%s", err.text);
    zm_error_clear(&err);
    tap_equal_i64(zm_jsonl_next(&j, r, &err), ZM_E_FORMAT, "broken line");
    tap_ok(strstr(err.text, "d.jsonl:6:15: ") != NULL, "%s", err.text);
    zm_error_clear(&err);
    tap_ok(!zm_jsonl_next(&j, r, &err) && json_is_true(zm_json_at(&j, "last")), "last line without newline");
    tap_ok(!zm_jsonl_next(&j, r, &err) && !j.root && !zm_jsonl_next(&j, r, &err) && !j.root, "the end, twice");
    zm_jsonl_close(r);
    zm_jsonl_close(NULL);
    char *big = malloc(ZM_JSONL_LINE_MAX + 10);
    memset(big, 'x', ZM_JSONL_LINE_MAX + 10);
    tap_ok(!zm_jsonl_open(&r, scratch_write("big.jsonl", big, ZM_JSONL_LINE_MAX + 10), &err), "opens");
    tap_equal_i64(zm_jsonl_next(&j, r, &err), ZM_E_FORMAT, "a line of a megabyte");
    zm_jsonl_close(r);
    free(big);
    zm_error_clear(&err);
    tap_equal_i64(zm_jsonl_open(&r, scratch("absent.jsonl"), &err), ZM_E_MISSING, "absent file");
}

int main(void)
{
    char deep[1000] = "[[";
    parse_fails("{\"a\": 1,\n  \"a\": 2}", "c.json:2:5: duplicate object key");
    parse_fails("{\"a\": 1", "c.json:1:7:");
    parse_fails("{\"a\": 123456789012345678901234567890}", "too big");
    parse_fails("{\"a\": 1e999}", "real number overflow");
    parse_fails("{\"a\": \"\\u0000\"}", "NUL");
    parse_fails("{\"a\": \"\xff\"}", "unable to decode byte 0xff");
    parse_fails("{\"a\": nan}", "c.json:1:");
    memset(deep, '[', sizeof deep - 1);
    parse_fails(deep, "c.json:1:65: nested deeper than 64");
    getters();
    zm_error err = {0};
    zm_json j;
    const char *path = scratch_write("big.json", text, strlen(text));
    tap_equal_i64(zm_json_load(&j, path, 10, &err), ZM_E_FORMAT, "over the limit");
    zm_error_clear(&err);
    tap_ok(!zm_json_load(&j, path, 1000, &err) && j.root, "loads %s", err.text);
    zm_json_close(&j);
    lines();
    return tap_done();
}
