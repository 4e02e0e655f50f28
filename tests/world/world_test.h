// world_test.h: what the tests of world/ share: small worlds, the two simplest strategies, and a
// scenario in which threads free each other's blocks.
#ifndef HAK_WORLD_TEST_H
#define HAK_WORLD_TEST_H

#include "world.h"

// A scenario world of `fibers` program fibers; options->strategy and so on may be changed before.
// Ends the test program if it cannot be made.
struct world_options test_options(const char *route, uint32_t fibers);
struct world *test_world(const struct world_options *options);

// Stays with who runs; at the end of one, the lowest.
extern const struct world_strategy test_recorded;
// Any runnable fiber at every point; now and then the clock goes on or a
// wait ends spuriously. self is a struct test_random.
struct test_random {
    uint64_t state;
};
extern const struct world_strategy test_random;
// The same, and now and then a fiber sleeps for up to a thousand points: what is rare at random,
// that the others do much between two accesses of one.
enum { TEST_THREADS_MAX = 16 };
struct test_delaying {
    struct test_random random;
    bool sleeps;
    uint64_t asleep_until[TEST_THREADS_MAX]; // points
};
extern const struct world_strategy test_delaying;
// The next of any one sequence; splitmix64.
uint64_t test_random_next(uint64_t *state);

// ---------------------------------------------------------------- the exchange scenario
//
// Every thread allocates blocks, passes some to the others by mailboxes, and frees what it finds
// in its own, in an order fixed by `seed`. The last one frees what is left in any. Blocks carry a
// stamp.
enum { TEST_MAIL_MAX = 64 };
struct test_exchange;
struct test_exchange_thread {
    struct test_exchange *exchange;
    uint32_t number;
};
struct test_exchange {
    struct world *world;
    uint32_t threads, rounds;
    uint64_t seed;
    bool threads_exit;
    // -- state of the run
    uint64_t allocated, freed;
    uint32_t finished;
    uint32_t sent[TEST_THREADS_MAX][TEST_THREADS_MAX]; // from, to: blocks in the mailbox
    void *mail[TEST_THREADS_MAX][TEST_THREADS_MAX][TEST_MAIL_MAX];
    struct test_exchange_thread thread[TEST_THREADS_MAX];
};
// Spawns the threads; then world_run. May be called again after a reset.
void test_exchange_spawn(struct test_exchange *exchange);

#endif
