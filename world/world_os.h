// world_os.h: what world/ asks of the operating system, all of it.
//
// Sizes and addresses are multiples of 4 KiB unless a line says otherwise.
#ifndef HAK_WORLD_OS_H
#define HAK_WORLD_OS_H

#include <stdbool.h>
#include <stddef.h>

// Address space that costs memory only where it is touched, readable and writable (or, `closed`,
// neither), at a multiple of `alignment`. NULL if there is none.
void *world_os_reserve(size_t bytes, size_t alignment, bool closed);
void world_os_release(void *address, size_t bytes);
// Makes a part of a closed reservation readable and writable.
bool world_os_open(void *address, size_t bytes);
// The memory behind it goes back; it reads as zero afterwards.
void world_os_discard(void *address, size_t bytes);

// Writes a file whole or not at all: under another name first. 0, or -1 with errno.
int world_os_write_file(const char *path, const char *text, size_t bytes);

#endif
