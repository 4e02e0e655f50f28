// waiting.c: who can run, who waits for what, and the clock that ends timed waits.
//
// Owns: the list of runnable fibers, the futex queues, deadlines. A futex queue is first come,
// first served; which woken fiber then runs first is the strategy's.
// Does not know: what is picked (machine.c).
#include "world_internal.h"

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

static void timed_add(struct world *world, struct fiber *fiber) {
    fiber->timed_previous = NULL;
    fiber->timed_next = world->timed;
    if (world->timed) {
        world->timed->timed_previous = fiber;
    }
    world->timed = fiber;
    if (fiber->deadline_ns < world->deadline_ns) {
        world->deadline_ns = fiber->deadline_ns;
    }
}

static void timed_remove(struct world *world, struct fiber *fiber) {
    if (fiber->timed_next) {
        fiber->timed_next->timed_previous = fiber->timed_previous;
    }
    if (fiber->timed_previous) {
        fiber->timed_previous->timed_next = fiber->timed_next;
    } else {
        world->timed = fiber->timed_next;
    }
    world->deadline_ns = WORLD_NO_DEADLINE;
    for (struct fiber *other = world->timed; other; other = other->timed_next) {
        if (other->deadline_ns < world->deadline_ns) {
            world->deadline_ns = other->deadline_ns;
        }
    }
}

void world_wait_on(struct world *world, struct fiber *fiber, const void *word,
                   uint64_t deadline_ns) {
    struct fiber_list *list = bucket_of(world, word);
    fiber->word = word;
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

// The expired waiter with the lowest number, so that the order of waking has one meaning.
static struct fiber *expired_waiter(const struct world *world) {
    struct fiber *first = NULL;
    for (struct fiber *fiber = world->timed; fiber; fiber = fiber->timed_next) {
        if (fiber->deadline_ns <= world->clock_ns && (!first || fiber->number < first->number)) {
            first = fiber;
        }
    }
    return first;
}

void world_clock_advance(struct world *world, uint64_t clock_ns) {
    if (clock_ns <= world->clock_ns) {
        return;
    }
    world->clock_ns = clock_ns;
    while (world->timed && world->deadline_ns <= clock_ns) {
        world_wake_waiter(world, expired_waiter(world));
    }
}

bool world_jump_clock(struct world *world) {
    if (world->deadline_ns == WORLD_NO_DEADLINE) {
        return false;
    }
    world_clock_advance(world, world->deadline_ns);
    return true;
}

// ---------------------------------------------------------------- parking

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
