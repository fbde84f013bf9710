/* The written record of a training run.
 * SPDX-License-Identifier: MIT */
#include "train/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "media/picture.h"
#include "media/writer.h"

static const char HEADER[] = "step,loss,norm,rate,gflops\n";

static zm_status keep_row(zm_train_log *l, const zm_train_row *row, zm_error *err)
{
    if (l->n == l->cap) {
        int64_t cap = l->cap ? 2 * l->cap : 1024;
        zm_train_row *grown = realloc(l->row, (size_t)cap * sizeof *grown);
        if (!grown)
            return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for %" PRId64 " rows", l->csv, cap);
        l->row = grown;
        l->cap = cap;
    }
    l->row[l->n++] = *row;
    return ZM_OK;
}

static zm_status read_rows(zm_train_log *l, int64_t first, zm_error *err)
{
    if (!first || !zm_path_is_file(l->csv))
        return ZM_OK;
    char *text;
    zm_status s = zm_file_read(&text, NULL, l->csv, (size_t)1 << 30, err);
    if (s)
        return s;
    for (char *line = strchr(text, '\n'); !s && line && line[1]; line = strchr(line + 1, '\n')) {
        zm_train_row r;
        if (sscanf(line + 1, "%" SCNd64 ",%lf,%lf,%lf,%lf", &r.step, &r.loss, &r.norm, &r.rate, &r.gflops) != 5)
            break; /* a row cut short by a kill */
        if (r.step <= first)
            s = keep_row(l, &r, err);
    }
    free(text);
    return s;
}

static void write_row(FILE *f, const zm_train_row *r)
{
    fprintf(f, "%" PRId64 ",%.9g,%.6g,%.6g,%.1f\n", r->step, r->loss, r->norm, r->rate, r->gflops);
}

zm_status zm_train_log_open(zm_train_log *l, const char *dir, const char *name, int64_t first, zm_error *err)
{
    *l = (zm_train_log){.csv = zm_path_join(dir, "log.csv"),
                        .png = zm_path_join(dir, "loss.png"),
                        .notes = zm_path_join(dir, "validation.txt"),
                        .name = strdup(name)};
    if (!l->csv || !l->png || !l->notes || !l->name)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for a log", dir);
    zm_save fresh;
    zm_status s = read_rows(l, first, err);
    if (!s)
        s = zm_save_open(&fresh, l->csv, err);
    if (s)
        return s;
    fputs(HEADER, fresh.file);
    for (int64_t i = 0; i < l->n; i++)
        write_row(fresh.file, &l->row[i]);
    s = zm_save_commit(&fresh, err);
    if (!s && !(l->file = fopen(l->csv, "a")))
        s = zm_fail(err, ZM_E_IO, "%s: cannot write: %s", l->csv, strerror(errno));
    return s;
}

zm_status zm_train_log_add(zm_train_log *l, const zm_train_row *row, zm_error *err)
{
    write_row(l->file, row);
    return keep_row(l, row, err);
}

zm_status zm_train_log_note(zm_train_log *l, int64_t step, const char *text, zm_error *err)
{
    FILE *f = fopen(l->notes, "a");
    if (!f)
        return zm_fail(err, ZM_E_IO, "%s: cannot write: %s", l->notes, strerror(errno));
    fprintf(f, "step %" PRId64 ": %s\n", step, text);
    return fclose(f) ? zm_fail(err, ZM_E_IO, "%s: write failed: %s", l->notes, strerror(errno)) : ZM_OK;
}

static zm_status draw(const zm_train_log *l, zm_error *err)
{
    double *x = calloc((size_t)l->n * 3 + 3, sizeof *x);
    if (!x)
        return zm_fail(err, ZM_E_NOMEM, "%s: out of memory for a picture", l->png);
    double *y = x + l->n + 1, *smooth = y + l->n + 1;
    for (int64_t i = 0; i < l->n; i++) {
        x[i] = (double)l->row[i].step;
        y[i] = l->row[i].loss;
        smooth[i] = i ? 0.98 * smooth[i - 1] + 0.02 * y[i] : y[i];
    }
    zm_series series[] = {{.name = "each step", .x = x, .y = y, .n = (size_t)l->n, .colour = 0xc8d4e8},
                          {.name = "smoothed", .x = x, .y = smooth, .n = (size_t)l->n, .colour = 0x1f4e9c}};
    zm_frame picture;
    zm_status s =
        zm_plot(&picture, &(zm_plot_options){.title = l->name, .x_label = "step", .y_label = "loss", .log_y = true},
                series, 2, err);
    if (!s) {
        s = zm_picture_write(l->png, &picture, err);
        zm_frame_release(&picture);
    }
    free(x);
    return s;
}

zm_status zm_train_log_flush(zm_train_log *l, zm_error *err)
{
    if (fflush(l->file))
        return zm_fail(err, ZM_E_IO, "%s: write failed: %s", l->csv, strerror(errno));
    return l->n ? draw(l, err) : ZM_OK;
}

void zm_train_log_close(zm_train_log *l)
{
    if (l->file)
        fclose(l->file);
    free(l->csv);
    free(l->png);
    free(l->notes);
    free(l->name);
    free(l->row);
    *l = (zm_train_log){0};
}
