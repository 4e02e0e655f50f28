// world_os.h: what world/ asks of the operating system, all of it, and the files that the tools on
// top of it write.
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

// A crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) that `belongs` says is the world's goes on in
// `land` on the stack whose end `belongs` returned; any other ends the process as usual. `land`
// must not return; address is what was touched, NULL where the signal has none. Once for every OS
// thread; the sanitizers keep these signals for their own reports, and then nothing is caught.
void world_os_catch_crashes(void *(*belongs)(void), void (*land)(int signal, const void *address));

// Writes a file. NULL, or why it could not be written: half a line that lasts until the next call.
// A regular file appears whole or not at all, keeping what it replaces until then; a link to one is
// followed. A pipe, a terminal or /dev/null is written as it is, and so is a file that standard
// output or error goes to (/dev/stdout). A directory or a block device is refused.
const char *world_os_write_file(const char *path, const char *text, size_t bytes);
// Why that would fail, as far as can be told beforehand; NULL where it cannot be told. Likewise.
const char *world_os_cannot_write(const char *path);

#endif
