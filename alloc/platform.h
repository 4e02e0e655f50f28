// platform.h: the only door of alloc/ to atomics, shared plain fields, clock, memory, futex and
// thread identity.
//
// The files of alloc/ are compiled twice. For the *real* world the names below are C11 atomics,
// mmap and futex (platform_real.h). For the *virtual* worlds (MF2_VIRTUAL defined) every one of
// them is a *point*, at which world/ may run another fiber, and a call into the functions that
// platform_virtual.h declares and world/ defines.
//
// Rules that make one source serve both:
//   - A point is a full statement: never two in one expression, never one in a condition together
//     with another. Compilers order arguments differently.
//   - The memory order is part of the name. Beside each use stands what it pairs with.
//   - A field that more than one thread touches is an mf2_atomic_*, or a plain field read and
//     written through mf2_plain_read and mf2_plain_write, which say: ordered by something else.
//   - No address decides anything: logic works on page numbers, units and thread numbers.
//
// Atomics (p points to an mf2_atomic_u32 or mf2_atomic_u64; all return the value before):
//   mf2_load_relaxed(p)  mf2_load_acquire(p)
//   mf2_store_relaxed(p, v)  mf2_store_release(p, v)
//   mf2_exchange_acq_rel(p, v)
//   mf2_fetch_add_relaxed(p, v)  mf2_fetch_add_acq_rel(p, v)  mf2_fetch_sub_relaxed(p, v)
//   mf2_fetch_or_acq_rel(p, v)  mf2_fetch_and_acq_rel(p, v)
//   mf2_cas_acq_rel(p, &expected, v)   strong: true on success, else *expected is what was found
//   mf2_fence_seq_cst()
// Shared plain fields: mf2_plain_read(p)  mf2_plain_write(p, v)
// mf2_works_on(p): from here on the caller reads and writes plain fields of *p, which are its own
// until it gives them up by an atomic. Costs nothing; says to world/ what to look for races in.
//
// MF2_PAGE_SHIFT(state): log2 of a page's bytes. MF2_SHOWN(state, place): a place in an error line.
//
// Services (declared in the platform's own header):
//   mf2_state()              the instance that the calling thread belongs to; before the first
//                            allocation of the real world a constant one without an arena
//   mf2_state_ensure()       the same, made if it does not exist yet; NULL: no memory for it
//   mf2_self()               the calling thread's MF2_ThreadPages, mf2_no_thread if it has none
//   mf2_self_set(t)          makes t the calling thread's
//   mf2_own()                what the calling thread has last set, also while mf2_self() is hidden
//   mf2_self_restore(t)      t, which is the calling thread's own, is mf2_self() again
//   mf2_busy_begin(), mf2_busy_end()  around what the calling thread does with its fronts; the fast
//                            path has names of its own, as it has no points
//   mf2_seat_is_there(t)     false: t's thread has ended without a word
//   mf2_seat_watch(t)        hides mf2_self() of t's thread behind mf2_watched_thread
//   mf2_seat_busy(t)         whether t's thread is between begin and end. Acquires what it did
//   before
//                            an end
//   mf2_fence_all()          every thread of the process makes a full fence; false: the OS has none
//   mf2_clock_ns()           monotonic nanoseconds
//   mf2_commit(s, page, n)   pages become usable memory; false: the OS has none
//   mf2_back(s, offset, n)   the same for n bytes of metadata, whole pages of them
//   mf2_purge(s, offset, n)  n bytes of the arena, whole pages of the OS: their memory goes back to
//                            the OS; it reads as zero afterwards
//   mf2_futex_wait(p, expected, timeout_ns)  returns after a wake, a time-out or spuriously
//   mf2_futex_wake(p, count)
//   mf2_pause()              the calling thread waits for another one's progress
//   mf2_helper_start(s)      starts the one helper thread, which runs mf2_helper_main. It takes no
//                            lock and no memory, so that anyone may call it
//   mf2_fail(text, value)    one line on stderr, then abort; allocates nothing
#ifndef MF2_PLATFORM_H
#define MF2_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF2_NORETURN     __attribute__((noreturn))
#define MF2_NOINLINE     __attribute__((noinline))
#define MF2_LIKELY(x)    __builtin_expect(!!(x), 1)
#define MF2_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define MF2_WAIT_FOREVER UINT64_MAX

struct mf2_state;
struct MF2_ThreadPages;

#ifdef MF2_VIRTUAL
#include "platform_virtual.h"
#else
#include "platform_real.h"
#endif

#endif
