// platform_process.h: what the entry points need of the process beside memory: where MF2_STATS
// goes, the process's number, and the C++ library's own operators. Real world only; no function
// here allocates, but mf2_cxx_library_function may.
#ifndef MF2_PLATFORM_PROCESS_H
#define MF2_PLATFORM_PROCESS_H

#include <stddef.h>
#include <stdint.h>

uint32_t mf2_process_id(void);

// The environment's value; NULL if it is not set, or empty, or if the program runs with rights that
// its caller does not have.
const char *mf2_environment(const char *name);

// Remembers stderr as it is now, for a program may close it before it ends (GNU's do). One thread.
void mf2_output_keep(void);
// Writes the whole text at once: appended to the file `path`, or, where it is NULL, to the stderr
// that was kept. What cannot be written is not written.
void mf2_output_write(const char *path, const char *text, size_t bytes);

// The address of this function in the program's C++ library, which stands behind libmf2.so; NULL if
// there is none.
void *mf2_cxx_library_function(const char *name);

#endif
