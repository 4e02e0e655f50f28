// sim_os.h: the simulator's door to the OS: whole files, wall-clock time, interrupts.
#ifndef SIM_OS_H
#define SIM_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A regular file whole, with a zero byte behind it; free() it. NULL with one line in message.
char *sim_os_read_file(const char *path, size_t *size, char *message, size_t message_size);

// Wall-clock nanoseconds, for what results call unreliable.
uint64_t sim_os_clock_ns(void);

// Set to 1 by the first interrupt (Ctrl-C, or a request to terminate); the second one kills.
extern volatile sig_atomic_t sim_os_interrupted;
void sim_os_catch_interrupts(void);

// Cores that this process may use.
unsigned sim_os_cores(void);
#define SIM_OS_THREADS_MAX 256u

// Calls body(argument) in `threads` OS threads, the calling one included, and waits for all of
// them. Where the OS gives fewer threads, fewer do.
void sim_os_run_all(unsigned threads, void (*body)(void *argument), void *argument);
// One lock for the whole process, for these threads.
void sim_os_lock(void);
void sim_os_unlock(void);

// Is standard error a terminal, for progress.
bool sim_os_has_terminal(void);

#endif
