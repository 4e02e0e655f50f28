// stamp_order.c: are stamps that a message orders ever inverted?
//
// One thread stores (release) one stamp after the other; the other loads (acquire) the latest and
// takes its own stamp, which must not be less. Nothing stands between load and stamp that would
// keep a processor from reading its counter before the load has arrived, as it may do in a free
// that directly follows the load of the pointer. Built twice, with the recorder's stamp and with
// plain rdtsc. Prints: inversions, worst (ticks), equal stamps, messages looked at.
//
// Threads: two, pinned to different processors where there are two.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stamp.h"

enum { LOOKS_MAX = 100000000, MESSAGES_ENOUGH = 50000 };

static _Alignas(64) _Atomic uint64_t message; // the sender's latest stamp
static _Alignas(64) _Atomic bool done;

static void pin(unsigned processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set); // a wish: one processor will do
}

static void *sender(void *unused) {
    (void)unused;
    pin(1);
    while (!atomic_load_explicit(&done, memory_order_relaxed))
        atomic_store_explicit(&message, stamp_now(RING_CLOCK_TSC), memory_order_release);
    return NULL;
}

int main(void) {
    unsigned long inversions = 0, worst = 0, equal = 0, messages = 0;
    uint64_t before = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, sender, NULL) != 0)
        return 1;
    pin(0);
    for (int i = 0; i < LOOKS_MAX && messages < MESSAGES_ENOUGH; i++) {
        uint64_t sent = atomic_load_explicit(&message, memory_order_acquire);
        uint64_t received = stamp_now(RING_CLOCK_TSC);
        messages += sent != before;
        before = sent;
        equal += received == sent;
        inversions += received < sent;
        if (received < sent && sent - received > worst)
            worst = sent - received;
    }
    atomic_store(&done, true);
    pthread_join(thread, NULL);
    printf("%lu inverted, worst %lu ticks, %lu equal, of %lu\n", inversions, worst, equal,
           messages);
    return 0;
}
