/* Files: mapped, read, written beside and renamed, on a disk that fills up, and killed halfway.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "tap.h"

static char dir[] = "/tmp/zouma-save-XXXXXX";
static char path[sizeof dir + 32];

static int files_in_dir(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return;
    fputs(text, f);
    fclose(f);
}

static int holds(const char *want)
{
    char *text = NULL;
    size_t n = 0;
    zm_error err = {0};
    int same = !zm_file_read(&text, &n, path, 1 << 20, &err) && n == strlen(want) && !strcmp(text, want);
    free(text);
    return same;
}

static void test_read(void)
{
    zm_error err = {0};
    zm_map m;
    char *text;
    size_t n;
    tap_ok(zm_map_open(&m, path, &err) == ZM_E_MISSING && !m.at, "no such file");
    tap_ok(strstr(err.text, path) != NULL, "the error names it: %s", err.text);
    zm_error_clear(&err);
    tap_ok(zm_map_open(&m, dir, &err) == ZM_E_IO, "a folder is no file: %s", err.text);
    zm_error_clear(&err);
    write_file("");
    tap_ok(!zm_map_open(&m, path, &err) && m.size == 0, "an empty file");
    zm_map_close(&m);
    tap_ok(!zm_file_read(&text, &n, path, 0, &err) && n == 0 && text[0] == 0, "an empty file is read");
    free(text);
    write_file("twelve bytes");
    tap_ok(!zm_map_open(&m, path, &err) && m.size == 12 && !memcmp(m.at, "twelve bytes", 12), "a file is mapped");
    zm_map_close(&m);
    tap_ok(zm_file_read(&text, &n, path, 11, &err) == ZM_E_FORMAT && !text, "larger than the limit: %s", err.text);
    zm_error_clear(&err);
    tap_ok(holds("twelve bytes"), "as large as the limit");
}

static void test_save(void)
{
    zm_error err = {0};
    zm_save s;
    write_file("old");
    tap_ok(!zm_save_open(&s, path, &err) && !zm_save_write(&s, "new", 3, &err), "bytes go beside");
    tap_ok(holds("old"), "the old file stands until commit");
    tap_ok(!zm_save_commit(&s, &err) && holds("new") && files_in_dir() == 1, "commit puts the new one in its place");
    zm_save_abandon(&s);
    tap_ok(!zm_save_open(&s, path, &err) && !zm_save_write(&s, "third", 5, &err), "another one");
    zm_save_abandon(&s);
    tap_ok(holds("new") && files_in_dir() == 1, "abandoned, it leaves nothing");

    char inside[sizeof path + 16];
    snprintf(inside, sizeof inside, "%s/none/file", dir);
    tap_ok(zm_save_open(&s, inside, &err) == ZM_E_IO && !s.file, "a folder that is not there: %s", err.text);
    zm_error_clear(&err);
    tap_ok(zm_save_open(&s, "", &err) == ZM_OK || err.code == ZM_E_IO, "an empty name does not crash");
    zm_save_abandon(&s);
    zm_error_clear(&err);

    char folder[sizeof path + 16];
    snprintf(folder, sizeof folder, "%s/a/b/c", dir);
    tap_ok(!zm_mkdirs(folder, &err) && zm_path_is_dir(folder) && !zm_path_is_file(folder), "folders in folders");
    tap_ok(!zm_mkdirs(folder, &err), "twice");
    tap_ok(!zm_save_open(&s, folder, &err) && zm_save_commit(&s, &err) == ZM_E_IO,
           "a folder stands where the file should: %s", err.text);
    zm_error_clear(&err);
    snprintf(inside, sizeof inside, "%s/d", path);
    tap_ok(zm_mkdirs(inside, &err) == ZM_E_IO, "a file stands in the way: %s", err.text);
    zm_error_clear(&err);
    for (int up = 0; up < 3; up++) {
        rmdir(folder);
        *strrchr(folder, '/') = 0;
    }
    tap_equal_i64(files_in_dir(), 1, "no temporary is left");
}

/* Files may not grow past `bytes`: what a full disk looks like to write(). */
static void limit_files(size_t bytes)
{
    struct rlimit r;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &r);
    r.rlim_cur = bytes ? (rlim_t)bytes : r.rlim_max;
    setrlimit(RLIMIT_FSIZE, &r);
}

static void test_full_disk(size_t bytes)
{
    zm_error err = {0};
    zm_save s;
    char *data = calloc(1, bytes);
    write_file("old");
    limit_files(8192);
    zm_status st = zm_save_open(&s, path, &err);
    if (!st)
        st = zm_save_write(&s, data, bytes, &err);
    if (!st)
        st = zm_save_commit(&s, &err);
    else
        zm_save_abandon(&s);
    limit_files(0);
    tap_ok(st == ZM_E_IO && strstr(err.text, path), "%zu bytes on a full disk: %s", bytes, err.text);
    tap_ok(holds("old") && files_in_dir() == 1, "the old file stays and nothing else");
    free(data);
}

/* A child saves generation after generation until it is killed: the file is always one of them, whole. */
static void test_kill(void)
{
    enum { SIZE = 40000, ROUNDS = 6 };
    int whole = 1, generations = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        if (child == 0) {
            char *data = malloc(SIZE);
            if (!data)
                _exit(1);
            for (int generation = 0;; generation++) {
                zm_error err = {0};
                zm_save s;
                memset(data, 'a' + generation % 26, SIZE);
                if (zm_save_open(&s, path, &err) || zm_save_write(&s, data, SIZE, &err) || zm_save_commit(&s, &err))
                    _exit(1);
            }
            _exit(1);
        }
        usleep((useconds_t)(20000 + round * 7919));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        char *text = NULL, beside[sizeof path + 32];
        size_t n = 0;
        zm_error err = {0};
        if (!zm_file_read(&text, &n, path, 1 << 20, &err) && n == SIZE) {
            generations++;
            for (size_t i = 1; i < n; i++)
                whole &= text[i] == text[0];
        } else {
            whole &= text && !strcmp(text, "old");
        }
        free(text);
        snprintf(beside, sizeof beside, "%s.part-%ld", path, (long)child);
        unlink(beside);
    }
    tap_ok(whole, "killed %d times, the file was always whole (%d times a new one)", ROUNDS, generations);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/file", dir);
    test_read();
    test_save();
    test_full_disk(100000); /* fails while writing */
    test_full_disk(8193);   /* fails at the flush */
    test_kill();
    char *joined = zm_path_join("a", "%s-%d", "b", 7);
    tap_equal_str(joined, "a/b-7", "joined paths");
    free(joined);
    unlink(path);
    tap_ok(rmdir(dir) == 0, "the folder is empty at the end");
    return tap_done();
}
