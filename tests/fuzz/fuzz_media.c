/* Any bytes as a video or picture: frames or a sentence, within bounded memory.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "fuzz.h"
#include "media/container.h"
#include "media/png_store.h"
#include "media/reader.h"
#include "media/writer.h"

enum { MOST_FRAMES = 8 };

static void read_all(const char *path, const zm_reader_options *opt)
{
    zm_reader *r;
    zm_error err = {0};
    const zm_frame *f = NULL;
    zm_status s = zm_reader_open(&r, path, opt, &err);
    for (int i = 0; !s && i < MOST_FRAMES; i++) {
        s = zm_reader_next(r, &f, &err);
        if (!s && !f)
            break;
    }
    if (s != err.code || (s && !err.text[0]))
        abort(); /* an error without its sentence */
    zm_reader_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    zm_container what;
    if (zm_container_find(&what, data, size, "input", NULL))
        return 0; /* what the walk refuses never reaches a decoder */
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        read_all(path, NULL);
        read_all(path, &(zm_reader_options){.width = 33, .height = 20, .fps_num = 7, .fps_den = 1});
    }
    close(fd);
    return 0;
}

/* A tiny clip by our own writer, in a scratch directory that is gone afterwards. */
static unsigned char *written_clip(const char *extension, size_t *size)
{
    char dir[] = "/tmp/zouma-fuzz-XXXXXX", path[64], *bytes = NULL;
    zm_frame f = {0};
    zm_writer *w = NULL;
    if (!mkdtemp(dir))
        return NULL;
    snprintf(path, sizeof path, "%s/seed%s", dir, extension);
    zm_status s = zm_frame_init(&f, 24, 16, NULL);
    s = s ? s : zm_writer_open(&w, path, &(zm_writer_options){.width = 24, .height = 16}, NULL);
    for (int i = 0; !s && i < 4; i++) {
        for (int k = 0; k < 24 * 16 * 3; k++)
            f.rgb[k] = (uint8_t)(k * (i + 2));
        s = zm_writer_put(w, &f, NULL);
    }
    if (w && !s)
        s = zm_writer_close(&w, NULL);
    zm_writer_abandon(&w);
    if (!s && zm_file_read(&bytes, size, path, 1 << 20, NULL))
        bytes = NULL;
    unlink(path);
    rmdir(dir);
    zm_frame_release(&f);
    return (unsigned char *)bytes;
}

unsigned char *zm_fuzz_seed(unsigned i, size_t *size)
{
    static const char *const extensions[] = {".mp4", ".webm", ".gif", ".apng"};
    unsigned char *bytes = NULL;
    zm_frame f = {0};
    if (i < 4 && (bytes = written_clip(extensions[i], size)))
        return bytes;
    if (i > 4 || zm_frame_init(&f, 24, 16, NULL)) /* without FFmpeg, all five are this picture */
        return NULL;
    if (zm_png_store(&bytes, size, &f, NULL))
        bytes = NULL;
    zm_frame_release(&f);
    return bytes;
}
