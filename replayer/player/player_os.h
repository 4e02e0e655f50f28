// player_os.h: what the player asks of the operating system. None of it allocates by malloc, except
// that the C library does so when it makes a thread, as in any program.
//
// Threads: any, where nothing else is said.
#ifndef HAK_PLAYER_OS_H
#define HAK_PLAYER_OS_H

#include "player.h"

#include <stddef.h>

// Shared, zero, and present: no page of it faults later. NULL: no memory.
void *player_os_map(size_t bytes);
// Likewise, but it is the same `part` bytes again and again.
void *player_os_map_mirrored(size_t bytes, size_t part);
// A file whole. `bytes` may reach beyond its end by less than a page. Present where `held`.
void *player_os_map_file(int file, size_t bytes, bool writable, bool held);
// 0, or an errno.
int player_os_read(int file, void *buffer, size_t bytes, uint64_t offset);

// Sleeps while *word is `value`; may wake early.
void player_os_wait(_Atomic uint32_t *word, uint32_t value);
void player_os_wake(_Atomic uint32_t *word);
// Until this, player_os_barrier_everywhere is not to be called. False: the kernel has none.
bool player_os_barrier_prepare(void);
// Every running thread of the process passes a full memory barrier.
void player_os_barrier_everywhere(void);
unsigned player_os_cores(void); // that the process may use

// What every thread made from now on runs.
void player_os_threads_run(void (*body)(void *));
// A thread with a small stack that runs body(argument), signals on a stack of their own. 0, or an
// errno.
int player_os_thread(void *argument, bool joined, uint64_t *thread);
void player_os_join(uint64_t thread);
// The main thread's signal stack; and from here on a fatal signal calls `caught` (on any thread),
// which does not return.
bool player_os_catch_crashes(void (*caught)(int signal_number));

uint64_t player_os_clock_ns(void);
uint64_t player_os_processor_ns(void);
void player_os_sleep_until(uint64_t clock_ns);
void player_os_faults(uint64_t *minor, uint64_t *major);
// The peak begins anew with what is resident now.
void player_os_reset_peak(void);
struct player_memory player_os_memory(void);
_Noreturn void player_os_leave(int status);

// Whether `function` and malloc come from this file; NULL in *from: from where otherwise.
bool player_os_comes_from(void *function, const char *library, const char **from);
// By name from whatever the process has loaded; NULL: there is none.
void *player_os_symbol(const char *name);

#endif
