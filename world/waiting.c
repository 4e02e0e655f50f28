// waiting.c: who can run, who waits for what, and the clock that ends timed waits.
//
// Owns: the list of runnable fibers, the futex queues, deadlines. A futex queue is first come,
// first served; which woken fiber then runs first is the strategy's.
// Does not know: what is picked (machine.c).
#include "world_internal.h"

#include <stdlib.h>

#include <string.h>

// ---------------------------------------------------------------- runnable

static uint32_t runnable_place(const struct world *world, uint32_t number) {
    uint32_t low = 0, high = world->runnable_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (world->runnable[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void world_make_runnable(struct world *world, struct fiber *fiber) {
    uint32_t place = runnable_place(world, fiber->number);
    memmove(world->runnable + place + 1, world->runnable + place,
            (world->runnable_count - place) * sizeof *world->runnable);
    world->runnable[place] = fiber->number;
    world->runnable_count++;
    fiber->state = FIBER_RUNNABLE;
    if (world->strategy_begun && world->strategy && world->strategy->ready) {
        world->strategy->ready(world->strategy_self, world, fiber->number);
    }
}

void world_make_waiting(struct world *world, struct fiber *fiber, enum fiber_state state) {
    uint32_t place = runnable_place(world, fiber->number);
    world->runnable_count--;
    memmove(world->runnable + place, world->runnable + place + 1,
            (world->runnable_count - place) * sizeof *world->runnable);
    fiber->state = (uint8_t)state;
}

uint32_t world_runnable_count(const struct world *world) {
    return world->runnable_count;
}

uint32_t world_runnable(const struct world *world, uint32_t i) {
    return world->runnable[i];
}

const uint32_t *world_runnables(const struct world *world, uint32_t *count) {
    *count = world->runnable_count;
    return world->runnable;
}

bool world_is_runnable(const struct world *world, uint32_t fiber) {
    return fiber <= world->fiber_limit && world->fibers[fiber].state == FIBER_RUNNABLE;
}

// ---------------------------------------------------------------- futex queues

static struct fiber_list *bucket_of(struct world *world, const void *word) {
    uint64_t distance = (uint64_t)((const char *)word - world->arena);
    return &world->waiters[(distance / 4 * UINT64_C(0x9E3779B97F4A7C15)) >> 58];
}
_Static_assert(WORLD_WAIT_BUCKETS == 64, "the hash keeps 6 bits");

// Timed waiters: a binary heap, the earliest deadline on top.

static bool is_earlier(const struct fiber *a, const struct fiber *b) {
    if (a->deadline_ns != b->deadline_ns) {
        return a->deadline_ns < b->deadline_ns;
    }
    return a->number < b->number;
}

static void timed_put(struct world *world, uint32_t place, struct fiber *fiber) {
    world->timed[place] = fiber;
    fiber->timed_place = place + 1;
}

static void timed_rise(struct world *world, uint32_t place, struct fiber *fiber) {
    while (place > 0 && is_earlier(fiber, world->timed[(place - 1) / 2])) {
        timed_put(world, place, world->timed[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    timed_put(world, place, fiber);
}

static void timed_sink(struct world *world, uint32_t place, struct fiber *fiber) {
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child + 1 < world->timed_count &&
            is_earlier(world->timed[child + 1], world->timed[child])) {
            child++;
        }
        if (child >= world->timed_count || is_earlier(fiber, world->timed[child])) {
            break;
        }
        timed_put(world, place, world->timed[child]);
        place = child;
    }
    timed_put(world, place, fiber);
}

static void note_deadline(struct world *world) {
    world->deadline_ns = world->timed_count ? world->timed[0]->deadline_ns : WORLD_NO_DEADLINE;
}

static void timed_add(struct world *world, struct fiber *fiber) {
    timed_rise(world, world->timed_count++, fiber);
    note_deadline(world);
}

// Nothing, if it is not there.
static void timed_remove(struct world *world, struct fiber *fiber) {
    if (fiber->timed_place == 0) {
        return;
    }
    uint32_t place = fiber->timed_place - 1;
    struct fiber *last = world->timed[--world->timed_count];
    fiber->timed_place = 0;
    if (last != fiber && place > 0 && is_earlier(last, world->timed[(place - 1) / 2])) {
        timed_rise(world, place, last);
    } else if (last != fiber) {
        timed_sink(world, place, last);
    }
    note_deadline(world);
}

void world_wait_on(struct world *world, struct fiber *fiber, const mf2_atomic_u32 *word,
                   uint32_t expected, uint64_t deadline_ns) {
    struct fiber_list *list = bucket_of(world, word);
    fiber->word = word;
    fiber->expected = expected;
    fiber->deadline_ns = deadline_ns;
    fiber->wait_next = NULL;
    fiber->wait_previous = list->last;
    if (list->last) {
        list->last->wait_next = fiber;
    } else {
        list->first = fiber;
    }
    list->last = fiber;
    if (deadline_ns != WORLD_NO_DEADLINE) {
        timed_add(world, fiber);
    }
    world_make_waiting(world, fiber, FIBER_FUTEX);
}

void world_wake_waiter(struct world *world, struct fiber *fiber) {
    struct fiber_list *list = bucket_of(world, fiber->word);
    if (fiber->wait_previous) {
        fiber->wait_previous->wait_next = fiber->wait_next;
    } else {
        list->first = fiber->wait_next;
    }
    if (fiber->wait_next) {
        fiber->wait_next->wait_previous = fiber->wait_previous;
    } else {
        list->last = fiber->wait_previous;
    }
    if (fiber->deadline_ns != WORLD_NO_DEADLINE) {
        timed_remove(world, fiber);
    }
    world_make_runnable(world, fiber);
}

void world_wake_word(struct world *world, const void *word, uint32_t count) {
    struct fiber *next;
    for (struct fiber *fiber = bucket_of(world, word)->first; fiber && count; fiber = next) {
        next = fiber->wait_next;
        if (fiber->word == word) {
            world_wake_waiter(world, fiber);
            count--;
        }
    }
}

// ---------------------------------------------------------------- the clock

uint64_t world_clock_ns(const struct world *world) {
    return world->clock_ns;
}

bool world_clock_is_awaited(const struct world *world) {
    return world->timed_count > 0;
}

static int by_number(const void *a, const void *b) {
    const struct fiber *x = *(struct fiber *const *)a, *y = *(struct fiber *const *)b;
    return (x->number > y->number) - (x->number < y->number);
}

// Who has expired is woken in the order of numbers, so that the order has one meaning. They are
// gathered behind the heap, which shrinks by one for each of them.
void world_clock_advance(struct world *world, uint64_t clock_ns) {
    uint32_t end = world->timed_count;
    if (clock_ns <= world->clock_ns) {
        return;
    }
    world->clock_ns = clock_ns;
    while (world->deadline_ns <= clock_ns && world->timed_count > 0) {
        struct fiber *first = world->timed[0];
        timed_remove(world, first);
        world->timed[world->timed_count] = first;
    }
    uint32_t left = world->timed_count;
    if (end == left) {
        return;
    }
    qsort(&world->timed[left], end - left, sizeof(struct fiber *), by_number);
    for (uint32_t i = left; i < end; i++) {
        world_wake_waiter(world, world->timed[i]);
    }
}

bool world_jump_clock(struct world *world) {
    if (world->deadline_ns == WORLD_NO_DEADLINE) {
        return false;
    }
    // Who looks round every microsecond while another waits for a millisecond makes many points,
    // and no livelock.
    uint64_t more = world->points + world->point_limit;
    uint64_t most = world->point_limit * WORLD_LIMIT_TIMES;
    world->points_allowed = more < most ? more : most;
    world_clock_advance(world, world->deadline_ns);
    return true;
}

// ---------------------------------------------------------------- sleeping and parking

// Nobody wakes it but the clock, or an outcome chosen for it.
void world_sleep(struct world *world, uint64_t for_ns) {
    static const struct mf2_site site = WORLD_SITE("world_sleep", "sleep", MF2_POINT_FUTEX_WAIT);
    struct fiber *fiber = world->running;
    uint64_t deadline_ns = world->clock_ns + for_ns;
    if (world->acting != WORLD_NO_FIBER) { // who acts is no fiber: only time passes
        world_clock_advance(world, deadline_ns);
        return;
    }
    world_stand(world, fiber, &site);
    fiber->point.operand = for_ns;
    world_wait_on(world, fiber, NULL, 0, deadline_ns);
    world_block(world);
}

void world_park(struct world *world) {
    static const struct mf2_site site = WORLD_SITE("world_park", "park", MF2_POINT_OPERATION);
    struct fiber *fiber = world->running;
    if (!fiber->unpark_kept) {
        world_stand(world, fiber, &site);
        world_make_waiting(world, fiber, FIBER_PARKED);
        world_block(world);
    }
    fiber->unpark_kept = false;
}

void world_unpark(struct world *world, uint32_t number) {
    struct fiber *fiber = &world->fibers[number];
    fiber->unpark_kept = true;
    if (fiber->state == FIBER_PARKED) {
        world_make_runnable(world, fiber);
    }
}
