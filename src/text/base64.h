/* Base64 (RFC 4648), for blobs inside JSON.
 * SPDX-License-Identifier: MIT */
#ifndef ZM_TEXT_BASE64_H
#define ZM_TEXT_BASE64_H

#include <stddef.h>

/* Malloc'd; NULL when out of memory. */
char *zm_base64_encode(const void *data, size_t bytes);
/* Malloc'd *bytes bytes; NULL when out of memory or not base64. */
unsigned char *zm_base64_decode(const char *text, size_t *bytes);

#endif
