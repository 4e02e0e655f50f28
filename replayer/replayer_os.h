// replayer_os.h: hakreplay's door to the OS: whole files, wall-clock time, Ctrl-C, whether a person
// looks. Nothing that a run computes depends on them.
#ifndef HAK_REPLAYER_OS_H
#define HAK_REPLAYER_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A file whole, with a zero byte behind it; free() it. NULL with one line in message.
char *replay_os_read_file(const char *path, size_t *size, char *message, size_t message_size);

// This process becomes gdb, which runs hakreplay with these words (NULL-ended) and stops in that
// function. Returns why it could not.
const char *replay_os_debug(const char *function, const char *const *words);

// Wall-clock nanoseconds, and those that this process has had a processor for.
uint64_t replay_os_clock_ns(void);
uint64_t replay_os_processor_ns(void);
bool replay_os_stderr_is_terminal(void);

// Non-zero once SIGINT or SIGTERM has come; a second one ends the process as usual.
extern volatile sig_atomic_t replay_os_interrupted;
void replay_os_catch_interrupts(void);

#endif
