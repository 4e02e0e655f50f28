// virtual_time.c: the strategy of the simulated world: at every point the earliest event happens.
//
// Owns: each fiber's own time, the cores, the queue of fibers that are ready for one. Does not
// know: what an access does (world.h), what a line costs (line_table.c).
//
// Order of events: by time, then actor (fibers before cores), then sequence. A point's event
// stands at the time at which its fiber *asks* for the access: there the access takes effect,
// and there its cost is found, which puts the fiber's next event later. So accesses to one
// line are served in the order in which they were asked for, and a clock read by a later event
// never shows less than one read before.
//
//        running fiber                     heap of events
//   pick ─ arrive ──────────── (own time + own work, fiber) ──▶ ┌────────┐
//            └ blocked, ended ─ (own time, core) ─────────────▶ │        │
//        admit: new, woken ─── (ready time, fiber) ───────────▶ │        │
//        earliest event ◀────────────────────────────────────── └────────┘
//            ├ core:  it takes the next of the ready queue, or is idle
//            ├ fiber without core: takes an idle core, or queues
//            ├ fiber whose slice is over while others queue: gives its core to the next of them
//            └ fiber on its core: chosen; its point is charged
//
// There is one queue, first come, first served; where fibers are pinned, one for each core, served
// as Linux does it since 6.6 ("earliest eligible virtual deadline first", EEVDF, all of one
// weight): a fiber's *share* is the processor time it has had; of those who have had no more than
// the mean of their core, the one goes first whose share would reach the end of a slice first. Who
// is woken keeps what it lacked of the mean when it fell asleep, at most a slice, and takes the
// core at once if it has had no more than the mean.
//
// A fiber is in one place at a time: on a core it has one event; waiting for a core it is in the
// queue; blocked it is nowhere, until the world says that it can run again.
#include "sim.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE          UINT32_MAX
#define OS_PAGE_BYTES 4096u

enum place {
    PLACE_NOWHERE, // not begun, or ended
    PLACE_BLOCKED,
    PLACE_COMING, // ready at the time of its event
    PLACE_QUEUED,
    PLACE_CORE
};

struct virtual_fiber {
    uint64_t time_ps;      // its own
    uint64_t spent_ps;     // own work not yet added to it
    uint64_t slice_end_ps; // on a core: when others may have it
    uint64_t core_since_ps;
    uint64_t queued_since_ps;
    uint64_t touch_offset; // the program's access since its last point; WORLD_NO_OFFSET: none
    // Pinned: processor time had, as its core counts it, when it got or left the core; when a slice
    // is used up; what it lacked of the mean when it fell asleep.
    int64_t share_ps, deadline_ps, lag_ps;
    uint32_t core;
    uint32_t last_core; // NONE: it has had none. Pinned: its core
    uint32_t next_queued;
    uint8_t place; // enum place
    bool woken;    // it comes from a wait, not from its creation
    bool begins;   // an operation: it has not met a point of MF2's yet
    bool owes;     // the point at which it stands is to be charged; not after a wait, which was
};

struct queue {
    uint32_t first, last, count;
};

struct sim_time {
    struct sim_machine machine;
    struct sim_lines *lines;
    struct sim_heap heap;
    struct virtual_fiber *fibers; // the program's, then MF2's helper
    uint32_t fiber_count;
    uint32_t sequence;
    uint64_t *idle_cores; // a bit each
    uint32_t core_count, smt;
    uint64_t *resident; // a bit for each 4 KiB of the arena that has been touched
    uint64_t resident_words;
    uint64_t memory_busy_ps; // until when somebody holds the kernel's lock of the address space
    struct queue *queues;    // one; pinned: for each core
    uint32_t queue_count;
    uint32_t *on_core;  // by core: its fiber; NONE: idle
    uint32_t *yield_to; // by core: who was woken and goes first; NONE: nobody
    uint32_t running;   // chosen last
    uint64_t now_ps, end_ps;
    struct sim_time_totals totals;
};

// ---------------------------------------------------------------- life

static uint32_t core_words(const struct sim_time *time) {
    return (time->core_count + 63) / 64;
}

static bool allocate(struct sim_time *time) {
    time->fibers = calloc(time->fiber_count, sizeof *time->fibers);
    time->idle_cores = calloc(core_words(time), sizeof *time->idle_cores);
    time->queue_count = time->machine.pinned ? time->core_count : 1;
    time->queues = calloc(time->queue_count, sizeof *time->queues);
    time->on_core = calloc(time->core_count, sizeof *time->on_core);
    time->yield_to = calloc(time->core_count, sizeof *time->yield_to);
    time->lines = sim_lines_new(&time->machine.topology, time->core_count);
    // Every fiber and every core has at most one event.
    return time->fibers && time->idle_cores && time->lines && time->queues && time->on_core &&
           time->yield_to &&
           sim_heap_reserve(&time->heap, (size_t)time->fiber_count + time->core_count);
}

struct sim_time *sim_time_new(const struct sim_machine *machine, uint32_t cores,
                              uint32_t fiber_limit) {
    struct sim_time *time = calloc(1, sizeof *time);
    if (!time)
        return NULL;
    time->machine = *machine;
    time->core_count = cores ? cores : machine->cores;
    time->fiber_count = fiber_limit + 1;
    time->smt = machine->topology.smt ? machine->topology.smt : 1;
    if (allocate(time))
        return time;
    sim_time_free(time);
    return NULL;
}

void sim_time_free(struct sim_time *time) {
    if (!time)
        return;
    free(time->fibers);
    free(time->idle_cores);
    free(time->queues);
    free(time->on_core);
    free(time->yield_to);
    free(time->resident);
    sim_lines_free(time->lines);
    sim_heap_free(&time->heap);
    free(time);
}

// ---------------------------------------------------------------- events and cores

static void push(struct sim_time *time, uint64_t time_ps, uint32_t actor) {
    sim_heap_push(&time->heap, (struct sim_event){time_ps, actor, time->sequence++});
}

static bool is_idle(const struct sim_time *time, uint32_t core) {
    return time->idle_cores[core / 64] >> core % 64 & 1;
}

static bool has_idle_siblings(const struct sim_time *time, uint32_t core) {
    uint32_t first = core / time->smt * time->smt;
    for (uint32_t i = first; i < first + time->smt && i < time->core_count; i++)
        if (!is_idle(time, i))
            return false;
    return true;
}

// The lowest; where cores have siblings, the lowest whose siblings are idle as well, if there is
// one.
static uint32_t lowest_idle_core(const struct sim_time *time) {
    uint32_t lowest = NONE;
    for (uint32_t word = 0; word < core_words(time); word++)
        for (uint64_t bits = time->idle_cores[word]; bits; bits &= bits - 1) {
            uint32_t core = 64 * word + (uint32_t)__builtin_ctzll(bits);
            if (has_idle_siblings(time, core))
                return core;
            lowest = lowest == NONE ? core : lowest;
        }
    return lowest;
}

// A fiber comes back to the core that it had, where its lines are.
static uint32_t take_idle_core(struct sim_time *time, const struct virtual_fiber *fiber) {
    bool has_own = fiber->last_core != NONE && is_idle(time, fiber->last_core);
    uint32_t core = NONE;
    if (has_own)
        core = fiber->last_core;
    else if (!time->machine.pinned)
        core = lowest_idle_core(time);
    if (core != NONE)
        time->idle_cores[core / 64] &= ~(UINT64_C(1) << core % 64);
    return core;
}

static struct queue *queue_of(struct sim_time *time, uint32_t core) {
    return &time->queues[time->machine.pinned ? core : 0];
}

static void enqueue(struct sim_time *time, uint32_t number) {
    struct virtual_fiber *fiber = &time->fibers[number];
    struct queue *queue = queue_of(time, fiber->last_core);
    fiber->place = PLACE_QUEUED;
    fiber->queued_since_ps = time->now_ps;
    fiber->next_queued = NONE;
    if (queue->last == NONE)
        queue->first = number;
    else
        time->fibers[queue->last].next_queued = number;
    queue->last = number;
    queue->count++;
}

static void take_out(struct sim_time *time, struct queue *queue, uint32_t before, uint32_t number) {
    uint32_t next = time->fibers[number].next_queued;
    if (before == NONE)
        queue->first = next;
    else
        time->fibers[before].next_queued = next;
    if (queue->last == number)
        queue->last = before;
    queue->count--;
}

// ---------------------------------------------------------------- fair shares (pinned)

static int64_t share_now(const struct sim_time *time, const struct virtual_fiber *fiber) {
    if (fiber->place != PLACE_CORE)
        return fiber->share_ps;
    return fiber->share_ps + (int64_t)(time->now_ps - fiber->core_since_ps);
}

// The mean share on a core, of who has it and who queues; false: there is nobody.
static bool mean_share(struct sim_time *time, uint32_t core, int64_t *mean_ps) {
    const struct queue *queue = queue_of(time, core);
    uint32_t holder = time->on_core[core];
    int64_t count = queue->count + (holder != NONE);
    uint32_t base = holder != NONE ? holder : queue->first;
    if (count == 0)
        return false;
    int64_t base_ps = share_now(time, &time->fibers[base]), sum_ps = 0; // of differences
    for (uint32_t i = queue->first; i != NONE; i = time->fibers[i].next_queued)
        sum_ps += time->fibers[i].share_ps - base_ps;
    *mean_ps = base_ps + sum_ps / count;
    return true;
}

// Who of the queue goes next, and whom it follows there.
static uint32_t fairest(struct sim_time *time, uint32_t core, int64_t mean_ps, uint32_t *before) {
    const struct queue *queue = queue_of(time, core);
    uint32_t best = NONE, previous = NONE;
    for (uint32_t i = queue->first; i != NONE; previous = i, i = time->fibers[i].next_queued) {
        const struct virtual_fiber *fiber = &time->fibers[i];
        if (fiber->share_ps > mean_ps ||
            (best != NONE && fiber->deadline_ps >= time->fibers[best].deadline_ps))
            continue;
        best = i;
        *before = previous;
    }
    return best;
}

// Who comes to a core anew is put where it stood to the mean of those who are there.
static void take_share(struct sim_time *time, struct virtual_fiber *fiber) {
    int64_t mean_ps, slice_ps = (int64_t)time->machine.costs.time_slice_ps;
    if (!mean_share(time, fiber->last_core, &mean_ps))
        mean_ps = fiber->share_ps;
    fiber->share_ps = mean_ps - fiber->lag_ps;
    fiber->deadline_ps = fiber->share_ps + slice_ps;
}

static void keep_lag(struct sim_time *time, struct virtual_fiber *fiber, uint32_t core) {
    int64_t mean_ps, slice_ps = (int64_t)time->machine.costs.time_slice_ps;
    int64_t lag_ps = mean_share(time, core, &mean_ps) ? mean_ps - share_now(time, fiber) : 0;
    fiber->lag_ps = lag_ps < 0 ? 0 : lag_ps > slice_ps ? slice_ps : lag_ps;
}

// Who has had no more than the mean takes the core when it is woken.
static bool goes_first(struct sim_time *time, const struct virtual_fiber *woken) {
    int64_t mean_ps;
    return mean_share(time, woken->last_core, &mean_ps) && woken->share_ps <= mean_ps;
}

// The next one for the core; NONE: nobody queues.
static uint32_t dequeue(struct sim_time *time, uint32_t core) {
    struct queue *queue = queue_of(time, core);
    uint32_t number = queue->first, before = NONE;
    int64_t mean_ps;
    if (time->yield_to[core] != NONE) {
        number = time->yield_to[core];
        for (uint32_t i = queue->first; i != number; i = time->fibers[i].next_queued)
            before = i;
    } else if (time->machine.pinned && mean_share(time, core, &mean_ps)) {
        uint32_t best = fairest(time, core, mean_ps, &before);
        number = best == NONE ? number : best;
        before = best == NONE ? NONE : before;
    }
    if (number != NONE)
        take_out(time, queue, before, number);
    return number;
}

// ---------------------------------------------------------------- cores

// The fiber gets the core now, and goes on after the switch.
static void give_core(struct sim_time *time, uint32_t number, uint32_t core) {
    struct virtual_fiber *fiber = &time->fibers[number];
    if (fiber->place == PLACE_QUEUED)
        time->totals.queued_ps += time->now_ps - fiber->queued_since_ps;
    fiber->place = PLACE_CORE;
    fiber->core = fiber->last_core = core;
    fiber->core_since_ps = time->now_ps;
    fiber->time_ps = time->now_ps + time->machine.costs.context_switch_ps;
    fiber->slice_end_ps = fiber->time_ps + time->machine.costs.time_slice_ps;
    time->on_core[core] = number;
    time->yield_to[core] = NONE;
    time->totals.switches++;
    push(time, fiber->time_ps, number);
}

static uint32_t leave_core(struct sim_time *time, struct virtual_fiber *fiber) {
    uint32_t core = fiber->core;
    uint64_t had_ps = fiber->time_ps - fiber->core_since_ps;
    int64_t slice_ps = (int64_t)time->machine.costs.time_slice_ps;
    time->totals.busy_ps += had_ps;
    fiber->share_ps += (int64_t)had_ps;
    while (fiber->deadline_ps <= fiber->share_ps)
        fiber->deadline_ps += slice_ps;
    fiber->core = NONE;
    time->on_core[core] = NONE;
    return core;
}

static void on_core_free(struct sim_time *time, uint32_t core) {
    uint32_t fiber = dequeue(time, core);
    if (fiber == NONE)
        time->idle_cores[core / 64] |= UINT64_C(1) << (core % 64);
    else
        give_core(time, fiber, core);
}

static void on_ready(struct sim_time *time, uint32_t fiber) {
    if (time->machine.pinned)
        take_share(time, &time->fibers[fiber]);
    uint32_t core = take_idle_core(time, &time->fibers[fiber]);
    if (core != NONE) {
        give_core(time, fiber, core);
        return;
    }
    enqueue(time, fiber);
    core = time->fibers[fiber].last_core;
    bool has_holder = time->machine.pinned && time->on_core[core] != NONE;
    if (has_holder && time->fibers[fiber].woken && goes_first(time, &time->fibers[fiber]))
        time->yield_to[core] = fiber;
}

static bool must_give_way(struct sim_time *time, const struct virtual_fiber *fiber) {
    return queue_of(time, fiber->core)->first != NONE &&
           (time->yield_to[fiber->core] != NONE || fiber->time_ps >= fiber->slice_end_ps);
}

static void preempt(struct sim_time *time, uint32_t number) {
    uint32_t core = leave_core(time, &time->fibers[number]);
    time->totals.preemptions++;
    if (time->machine.pinned) { // it may be the fairest itself
        enqueue(time, number);
        give_core(time, dequeue(time, core), core);
        return;
    }
    give_core(time, dequeue(time, core), core);
    enqueue(time, number);
}

// Lets events happen until one is a fiber's point. NONE: there are no events.
static uint32_t next_fiber(struct sim_time *time) {
    while (time->heap.count > 0) {
        struct sim_event event = sim_heap_pop(&time->heap);
        time->totals.events++;
        time->now_ps = event.time_ps;
        if (event.actor >= time->fiber_count)
            on_core_free(time, event.actor - time->fiber_count);
        else if (time->fibers[event.actor].place == PLACE_COMING)
            on_ready(time, event.actor);
        else if (must_give_way(time, &time->fibers[event.actor]))
            preempt(time, event.actor);
        else
            return event.actor;
    }
    return NONE;
}

// ---------------------------------------------------------------- costs

static void reach_resident(struct sim_time *time, uint64_t word) {
    if (word < time->resident_words)
        return;
    uint64_t wanted = time->resident_words ? time->resident_words : 1024;
    while (wanted <= word)
        wanted *= 2;
    uint64_t *larger = realloc(time->resident, wanted * sizeof *larger);
    if (!larger) {
        // As for the table of lines.
        fputs("haksim: out of memory for the table of touched pages\n", stderr);
        abort();
    }
    memset(larger + time->resident_words, 0, (wanted - time->resident_words) * sizeof *larger);
    time->resident = larger;
    time->resident_words = wanted;
}

// What the first touch of 4 KiB costs, beside the access.
static uint64_t fault(struct sim_time *time, uint64_t offset) {
    uint64_t page = offset / OS_PAGE_BYTES;
    reach_resident(time, page / 64);
    uint64_t bit = UINT64_C(1) << page % 64;
    if (time->resident[page / 64] & bit)
        return 0;
    time->resident[page / 64] |= bit;
    return time->machine.costs.page_fault_ps;
}

static uint64_t access(struct sim_time *time, const struct virtual_fiber *fiber, uint64_t offset,
                       enum sim_access kind) {
    const struct sim_costs *costs = &time->machine.costs;
    if (offset == WORLD_NO_OFFSET) // constants, which every core has
        return fiber->time_ps + costs->line_same_core_ps;
    uint64_t begin_ps = fiber->time_ps;
    uint64_t fault_ps = fault(time, offset);
    return fault_ps + sim_lines_access(time->lines, costs, offset, fiber->core, kind, begin_ps);
}

// Makes the touched ones of the OS's pages there untouched; their number.
static uint64_t forget_pages(struct sim_time *time, uint64_t offset, uint64_t bytes) {
    uint64_t first = offset / OS_PAGE_BYTES, touched = 0;
    uint64_t end = first + bytes / OS_PAGE_BYTES;
    reach_resident(time, end / 64);
    for (uint64_t page = first; page < end; page++) {
        uint64_t bit = UINT64_C(1) << page % 64;
        touched += (time->resident[page / 64] & bit) != 0;
        time->resident[page / 64] &= ~bit;
    }
    return touched;
}

// Changing a mapping is for one at a time.
static uint64_t change_mapping(struct sim_time *time, uint64_t begin_ps) {
    if (begin_ps < time->memory_busy_ps)
        begin_ps = time->memory_busy_ps;
    time->memory_busy_ps = begin_ps + time->machine.costs.commit_call_ps;
    return time->memory_busy_ps;
}

// Giving memory back waits for that, and holds up nobody.
static uint64_t purge(struct sim_time *time, uint64_t begin_ps, const struct world_point *point) {
    const struct sim_costs *costs = &time->machine.costs;
    uint64_t touched = forget_pages(time, point->offset, point->operand);
    if (begin_ps < time->memory_busy_ps)
        begin_ps = time->memory_busy_ps;
    return begin_ps + costs->purge_call_ps + costs->purge_page_ps * touched;
}

// When the fiber has done what it stands before.
static uint64_t charge(struct sim_time *time, const struct virtual_fiber *fiber,
                       const struct world_point *point) {
    const struct sim_costs *costs = &time->machine.costs;
    switch ((enum mf2_point_kind)point->site->kind) {
    case MF2_POINT_LOAD:
    case MF2_POINT_PLAIN_READ:
        return access(time, fiber, point->offset, SIM_READ);
    case MF2_POINT_STORE:
    case MF2_POINT_PLAIN_WRITE:
        return access(time, fiber, point->offset, SIM_WRITE);
    case MF2_POINT_EXCHANGE:
    case MF2_POINT_ADD:
    case MF2_POINT_SUB:
    case MF2_POINT_OR:
    case MF2_POINT_AND:
    case MF2_POINT_CAS:
        return access(time, fiber, point->offset, SIM_READ_MODIFY_WRITE);
    case MF2_POINT_FENCE:
        return fiber->time_ps + costs->fence_ps;
    case MF2_POINT_CLOCK:
        return fiber->time_ps + costs->clock_read_ps;
    case MF2_POINT_COMMIT:
        return change_mapping(time, fiber->time_ps);
    case MF2_POINT_PURGE:
        return purge(time, fiber->time_ps, point);
    case MF2_POINT_FUTEX_WAIT:
        return fiber->time_ps + costs->futex_wait_ps;
    case MF2_POINT_FUTEX_WAKE:
        return fiber->time_ps + costs->futex_wake_ps;
    case MF2_POINT_PAUSE:
        return fiber->time_ps + costs->pause_ps;
    case MF2_POINT_OPERATION:
        if (fiber->touch_offset != WORLD_NO_OFFSET)
            return access(time, fiber, fiber->touch_offset, SIM_WRITE);
        return fiber->time_ps;
    case MF2_POINT_HELPER_START: // the new thread pays, see ready
    case MF2_POINT_THREAD_END:
    case MF2_POINT_KIND_COUNT:
        break;
    }
    return fiber->time_ps;
}

static void note_end(struct sim_time *time, uint64_t time_ps) {
    if (time_ps > time->end_ps)
        time->end_ps = time_ps;
}

static void run_point(struct sim_time *time, const struct world *world, uint32_t number) {
    struct virtual_fiber *fiber = &time->fibers[number];
    if (!fiber->owes)
        return;
    const struct world_point *point = world_point_of(world, number);
    bool begins = point->site->kind == MF2_POINT_OPERATION;
    if (fiber->begins && !begins) // on the fast path no point stands
        fiber->time_ps += time->machine.costs.slow_operation_ps;
    fiber->time_ps = charge(time, fiber, point);
    fiber->begins = begins;
    fiber->owes = false;
    if (begins)
        fiber->touch_offset = WORLD_NO_OFFSET;
    note_end(time, fiber->time_ps);
}

// ---------------------------------------------------------------- the strategy

// A fiber that could not run before can now, and comes for a core at that time.
static void come(struct sim_time *time, uint32_t number, uint64_t time_ps) {
    time->fibers[number].place = PLACE_COMING;
    time->fibers[number].owes = false;
    push(time, time_ps, number);
}

static void begin(void *self, struct world *world, uint64_t seed) {
    struct sim_time *time = self;
    (void)seed; // nothing is left to chance
    for (uint32_t i = 0; i < time->fiber_count; i++)
        time->fibers[i] =
            (struct virtual_fiber){.touch_offset = WORLD_NO_OFFSET,
                                   .core = NONE,
                                   .last_core = time->machine.pinned ? i % time->core_count : NONE};
    if (time->resident)
        memset(time->resident, 0, time->resident_words * sizeof *time->resident);
    time->memory_busy_ps = 0;
    for (uint32_t i = 0; i < time->core_count; i++) {
        time->idle_cores[i / 64] |= UINT64_C(1) << (i % 64);
        time->on_core[i] = NONE;
        time->yield_to[i] = NONE;
    }
    for (uint32_t i = 0; i < time->queue_count; i++)
        time->queues[i] = (struct queue){NONE, NONE, 0};
    sim_lines_clear(time->lines);
    time->heap.count = 0;
    time->sequence = 0;
    time->running = NONE;
    time->now_ps = time->end_ps = 0;
    time->totals = (struct sim_time_totals){0};
    for (uint32_t i = 0; i < world_runnable_count(world); i++)
        come(time, world_runnable(world, i), world_clock_ns(world) * SIM_PS_PER_NS);
}

// A sibling works at the same time: both are slower.
static uint64_t slowed(const struct sim_time *time, const struct virtual_fiber *fiber) {
    if (time->smt == 1 || fiber->core == NONE)
        return fiber->spent_ps;
    uint32_t first = fiber->core / time->smt * time->smt;
    for (uint32_t i = first; i < first + time->smt && i < time->core_count; i++)
        if (i != fiber->core && !is_idle(time, i))
            return fiber->spent_ps * time->machine.topology.smt_slowdown_permille / 1000;
    return fiber->spent_ps;
}

// Own work since the last point, up to now.
static void settle(struct sim_time *time, struct virtual_fiber *fiber) {
    fiber->time_ps += slowed(time, fiber);
    fiber->spent_ps = 0;
    note_end(time, fiber->time_ps);
}

// The fiber that ran stands at its next point, or cannot go on.
static void arrive(struct sim_time *time, const struct world *world,
                   const struct world_point *point) {
    struct virtual_fiber *fiber = &time->fibers[time->running];
    settle(time, fiber);
    if (fiber->place == PLACE_CORE && world_is_runnable(world, time->running)) {
        fiber->owes = true;
        push(time, fiber->time_ps, time->running);
        return;
    }
    if (time->machine.pinned)
        keep_lag(time, fiber, fiber->core);
    push(time, fiber->time_ps, time->fiber_count + leave_core(time, fiber));
    if (fiber->place == PLACE_CORE) // else its wait is over before it began
        fiber->place = point->site->kind == MF2_POINT_THREAD_END ? PLACE_NOWHERE : PLACE_BLOCKED;
}

// ---------------------------------------------------------------- waking

enum way { WAY_IDLE, WAY_BUSY, WAY_OWN };

// How a fiber that wakes now comes to a core: one is idle for it, none is, or it is to have the
// caller's.
static enum way way_of(const struct sim_time *time, const struct virtual_fiber *fiber) {
    bool has_own = fiber->last_core != NONE;
    if (has_own && is_idle(time, fiber->last_core))
        return WAY_IDLE;
    if (time->machine.pinned) {
        bool is_callers = time->running != NONE && time->on_core[fiber->last_core] == time->running;
        return is_callers ? WAY_OWN : WAY_BUSY;
    }
    return lowest_idle_core(time) == NONE ? WAY_BUSY : WAY_IDLE;
}

uint64_t sim_time_wake_ps(const struct sim_time *time, uint32_t fiber) {
    const struct sim_costs *costs = &time->machine.costs;
    switch (way_of(time, &time->fibers[fiber])) {
    case WAY_BUSY:
        return costs->wake_busy_ps;
    case WAY_OWN:
        return costs->wake_own_ps;
    case WAY_IDLE:
        break;
    }
    return costs->futex_wake_ps;
}

static uint64_t wake_latency_ps(const struct sim_time *time, const struct virtual_fiber *fiber) {
    switch (way_of(time, fiber)) {
    case WAY_BUSY:
        return time->machine.costs.wake_busy_latency_ps;
    case WAY_OWN:
        return 0;
    case WAY_IDLE:
        break;
    }
    return time->machine.costs.wake_latency_ps;
}

static uint64_t ready_latency_ps(const struct sim_time *time, const struct virtual_fiber *fiber) {
    const struct sim_costs *costs = &time->machine.costs;
    if (fiber->place != PLACE_NOWHERE)
        return wake_latency_ps(time, fiber);
    // On its maker's core a new thread is ready when the call is done.
    return way_of(time, fiber) == WAY_OWN ? costs->thread_create_call_ps : costs->thread_create_ps;
}

static void ready(void *self, struct world *world, uint32_t number) {
    struct sim_time *time = self;
    struct virtual_fiber *fiber = &time->fibers[number];
    uint64_t since_ps = world_clock_ns(world) * SIM_PS_PER_NS;
    if (time->running != NONE) {
        struct virtual_fiber *caller = &time->fibers[time->running];
        settle(time, caller);
        if (caller->time_ps > since_ps)
            since_ps = caller->time_ps;
        bool is_helper = number + 1 == time->fiber_count; // it has the affinity of who starts it
        if (time->machine.pinned && is_helper && fiber->place == PLACE_NOWHERE)
            fiber->last_core = caller->last_core;
    }
    fiber->woken = fiber->place != PLACE_NOWHERE;
    come(time, number, since_ps + ready_latency_ps(time, fiber));
}

// ---------------------------------------------------------------- the strategy's choice

static void pick(void *self, struct world *world, const struct world_point *point,
                 struct world_choice *choice) {
    struct sim_time *time = self;
    if (time->running != NONE)
        arrive(time, world, point);
    time->running = next_fiber(time);
    if (time->running == NONE)
        return; // the world has found nobody who can run, and says so
    choice->fiber = time->running;
    uint64_t clock_ns = time->now_ps / SIM_PS_PER_NS;
    if (clock_ns > choice->clock_ns)
        choice->clock_ns = clock_ns;
    run_point(time, world, time->running);
}

const struct world_strategy sim_strategy = {
    .name = SIM_STRATEGY_NAME,
    .begin = begin,
    .pick = pick,
    .ready = ready,
};

// ---------------------------------------------------------------- the program's side

void sim_time_spend(struct sim_time *time, uint32_t fiber, uint64_t spent_ps) {
    time->fibers[fiber].spent_ps += spent_ps;
}

void sim_time_touch(struct sim_time *time, uint32_t fiber, uint64_t offset) {
    time->fibers[fiber].touch_offset = offset;
}

bool sim_time_is_elsewhere(const struct sim_time *time, uint32_t fiber) {
    return time->fibers[fiber].last_core != time->fibers[time->running].core;
}

bool sim_time_is_descheduled(const struct sim_time *time, uint32_t fiber) {
    return time->fibers[fiber].place == PLACE_QUEUED;
}

// A world ends with its last fiber, which then still has its core.
uint64_t sim_time_end_ps(const struct sim_time *time) {
    if (time->running == NONE)
        return time->end_ps;
    const struct virtual_fiber *last = &time->fibers[time->running];
    uint64_t last_ps = last->time_ps + last->spent_ps;
    return last_ps > time->end_ps ? last_ps : time->end_ps;
}

void sim_time_totals(const struct sim_time *time, struct sim_time_totals *totals) {
    *totals = time->totals;
    totals->line_moves = sim_lines_moves(time->lines);
    for (uint32_t i = 0; i < time->fiber_count; i++)
        if (time->fibers[i].place == PLACE_CORE)
            totals->busy_ps +=
                time->fibers[i].time_ps + time->fibers[i].spent_ps - time->fibers[i].core_since_ps;
}
