// stamp.h: the clock that orders events, read by libhakrec and by the drainer.
//
// Owns: one reading of it. Does not own: choosing the clock (drainer.c) or turning it into time.
//
// The order rule (see order.c) needs a reading that is not taken before earlier instructions are
// done. rdtscp waits for them, plain rdtsc does not: two threads that hand a block to each other
// see inverted stamps with it. HAKREC_STAMP_RDTSC exists for the test that shows this.
#ifndef HAK_STAMP_H
#define HAK_STAMP_H

#include <stdint.h>
#include <time.h>
#include <x86intrin.h>

#include "ring.h"

static inline uint64_t stamp_tsc(void) {
#ifdef HAKREC_STAMP_RDTSC
    return __rdtsc();
#else
    unsigned cpu;
    return __rdtscp(&cpu);
#endif
}

// In ticks of the clock: processor cycles or nanoseconds.
static inline uint64_t stamp_now(uint32_t clock) {
    if (__builtin_expect(clock == RING_CLOCK_TSC, 1))
        return stamp_tsc();
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
