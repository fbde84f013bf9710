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

#include "media/container.h"
#include "media/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
