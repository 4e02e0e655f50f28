// machine.c: points. Where MF2's accesses enter the world, where the strategy is asked, where one
// fiber hands over to another, and where a run ends.
//
// Owns: the functions that alloc/platform_virtual.h declares, world_here, the order of things at a
// point:
//   1. the fiber arrives: the point is counted, the oracles look, the strategy picks;
//   2. the choice is written down, the clock goes on, the chosen fiber runs;
//   3. when this fiber has been chosen, it does the access, with the outcome chosen for it.
// Does not know: what waits for what (waiting.c), what memory is (memory.c).
//
// An arrival costs one comparison where nothing needs attention: `points_quiet` says up to which
// point that is so. An access itself is plain, as one OS thread runs all fibers; everything that
// a load may return goes through the functions here, so that a weaker memory can be put in.
#include "world_internal.h"
#include "world_os.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSES_ALONE_MAX = 1 << 20 };

_Thread_local struct world *world_here __attribute__((tls_model("initial-exec")));

const struct mf2_site world_site_begin = WORLD_SITE("world_spawn", "begin", MF2_POINT_OPERATION);

// ---------------------------------------------------------------- attention

void world_set_attention(struct world *world) {
    bool now = world->interleaves || world->stopping || world->watches;
    world->has_views = world->views && world->interleaves && !world->looking;
    world->points_quiet = world->looking       ? UINT64_MAX
                          : now                ? 0
                          : world->point_limit ? world->point_limit
                                               : UINT64_MAX;
}

uint64_t world_look_begin(struct world *world) {
    world_here = world;
    world->looking = true;
    world_set_attention(world);
    return world->points;
}

void world_look_end(struct world *world, uint64_t points) {
    world->looking = false;
    world->points = points;
    world_set_attention(world);
}

// ---------------------------------------------------------------- switching and ending

static bool inside_fiber(const struct world *world) {
    return world->running != &world->root;
}

static void run_fiber(struct world *world, struct fiber *to) {
    struct fiber *from = world->running;
    from->self = world->self;
    world->self = to->self;
    world->running = to;
    world->switches++;
    if (from->state == FIBER_ENDED) {
        fiber_leave(&from->context, &to->context);
    }
    fiber_switch(&from->context, &to->context);
}

void world_end_run(struct world *world, enum world_end end) {
    world->end = end;
    if (inside_fiber(world)) {
        run_fiber(world, &world->root);
        abort(); // a run that has ended is not resumed
    }
}

static void record_violation(struct world *world, enum world_oracle oracle, const char *format,
                             va_list arguments) {
    struct world_violation *violation = &world->violation;
    if (violation->oracle != WORLD_ORACLE_NONE) {
        return;
    }
    violation->oracle = oracle;
    violation->point = world->points;
    violation->operation = world->operations;
    violation->fiber = world_fiber(world);
    vsnprintf(violation->text, sizeof violation->text, format, arguments);
    snprintf(world->message, sizeof world->message, "%s: %s", world_oracle_name(oracle),
             violation->text);
    world->stopping = true;
    world_set_attention(world);
}

void world_violate(struct world *world, enum world_oracle oracle, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record_violation(world, oracle, format, arguments);
    va_end(arguments);
}

void world_diverge(struct world *world, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->message, sizeof world->message, format, arguments);
    va_end(arguments);
    world_end_run(world, WORLD_DIVERGED);
}

void world_stop(struct world *world) {
    world_diverge(world, "stopped by its strategy");
}

// Nothing that the world could do next leads on.
static void end_in_violation(struct world *world) {
    bool within_run = world->end == WORLD_RUNNING;
    enum world_oracle oracle = world->violation.oracle;
    world_end_run(world, oracle == WORLD_ORACLE_LOST_WAKE  ? WORLD_DEADLOCK
                         : oracle == WORLD_ORACLE_LIVELOCK ? WORLD_LIVELOCK
                                                           : WORLD_VIOLATION);
    if (within_run) {
        return; // on the stack of world_run, which looks at the end
    }
    fprintf(stderr, "hak: %s\n", world->message);
    abort(); // MF2 failed outside world_run and world_call: there is nowhere to go
}

void mf2_fail(const char *text, uint64_t value) {
    struct world *world = world_here;
    if (world) {
        world_violate(world, WORLD_ORACLE_ABORT, "mf2: %s (%llu)", text, (unsigned long long)value);
        end_in_violation(world);
    }
    fprintf(stderr, "hak: mf2: %s (%llu)\n", text, (unsigned long long)value);
    abort();
}

// ---------------------------------------------------------------- crashes

// Where code that crashed under a run goes on; NULL if none of a run has.
static void *crash_stack_end(void) {
    const struct world *world = world_here;
    if (!world || !inside_fiber(world) || world->end != WORLD_RUNNING) {
        return NULL;
    }
    return (char *)world->crash_stack + WORLD_CRASH_STACK_BYTES;
}

static const char *crash_name(int number) {
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

// An address outside the arena is not told: it differs from run to run.
static void land_after_crash(int number, const void *address) {
    struct world *world = world_here;
    const struct mf2_site *site = world->running->point.site;
    const char *file = site ? site->file : "program";
    uint64_t offset = address ? world_offset(world, address) : WORLD_NO_OFFSET;
    unsigned line = site ? site->line : 0;
    if (offset == WORLD_NO_OFFSET) {
        world_violate(world, WORLD_ORACLE_ABORT, "%s after the access at %s:%u", crash_name(number),
                      file, line);
    } else {
        world_violate(world, WORLD_ORACLE_ABORT, "%s at offset %llu, after the access at %s:%u",
                      crash_name(number), (unsigned long long)offset, file, line);
    }
    end_in_violation(world);
    abort(); // a run was under way: it has ended
}

// ---------------------------------------------------------------- pick next

static void deadlock(struct world *world) {
    uint32_t waiting = 0;
    const struct fiber *first = NULL;
    for (uint32_t i = 0; i < world->spawned; i++) {
        const struct fiber *fiber = &world->fibers[i];
        if (fiber->state == FIBER_PARKED || fiber->state == FIBER_FUTEX) {
            waiting++;
            first = first ? first : fiber;
        }
    }
    if (first) {
        world_violate(world, WORLD_ORACLE_LOST_WAKE,
                      "nobody can run: %u fibers wait, the first is %u at %s:%u %s", waiting,
                      first->number, first->point.site->file, first->point.site->line,
                      first->point.site->expression);
    } else {
        world_violate(world, WORLD_ORACLE_LOST_WAKE, "the acting thread waits for nobody");
    }
    end_in_violation(world);
}

static uint32_t next_in_turn(const struct world *world, uint32_t number) {
    for (uint32_t i = 0; i < world->runnable_count; i++) {
        if (world->runnable[i] > number) {
            return world->runnable[i];
        }
    }
    return world->runnable[0];
}

static uint32_t default_fiber(const struct world *world, const struct fiber *fiber) {
    if (fiber->state != FIBER_RUNNABLE) {
        return world->runnable[0];
    }
    return fiber->point.site->kind == MF2_POINT_PAUSE ? next_in_turn(world, fiber->number)
                                                      : fiber->number;
}

// A fiber that waits on a futex may be chosen with an outcome that ends its wait.
static void end_wait_by_outcome(struct world *world, const struct world_choice *choice) {
    struct fiber *fiber = &world->fibers[choice->fiber];
    if (fiber->state != FIBER_FUTEX) {
        return;
    }
    if (choice->outcome == WORLD_OUTCOME_SPURIOUS) {
        world_wake_waiter(world, fiber);
    } else if (choice->outcome == WORLD_OUTCOME_TIMEOUT) {
        world_clock_advance(world, fiber->deadline_ns);
    }
}

// Which outcomes the access has at which the fiber stands.
static bool has_outcome(const struct fiber *fiber, uint32_t outcome) {
    uint8_t kind = fiber->point.site ? fiber->point.site->kind : MF2_POINT_KIND_COUNT;
    switch (outcome) {
    case WORLD_OUTCOME_NORMAL:
        return true;
    case WORLD_OUTCOME_FAIL:
        return kind == MF2_POINT_COMMIT || kind == MF2_POINT_CAS || kind == MF2_POINT_HELPER_START;
    case WORLD_OUTCOME_SPURIOUS:
        return kind == MF2_POINT_FUTEX_WAIT;
    case WORLD_OUTCOME_TIMEOUT:
        return kind == MF2_POINT_FUTEX_WAIT && fiber->point.operand != MF2_WAIT_FOREVER;
    default:
        return false;
    }
}

uint32_t world_store_ages(struct world *world, uint32_t number) {
    if (!world->has_views || number > world->fiber_limit) {
        return 0;
    }
    const struct world_point *point = &world->fibers[number].point;
    uint8_t kind = point->site ? point->site->kind : MF2_POINT_KIND_COUNT;
    bool loads = kind == MF2_POINT_LOAD || kind == MF2_POINT_CAS;
    return loads && point->offset != WORLD_NO_OFFSET
               ? world_views_ages(world, number, point->offset)
               : 0;
}

static struct fiber *chosen_fiber(struct world *world, const struct world_choice *choice) {
    if (choice->store_age && choice->store_age > world_store_ages(world, choice->fiber)) {
        world_diverge(world,
                      "point %llu: fiber %u is to read a store of age %u, which memory does not "
                      "show it",
                      (unsigned long long)world->points, choice->fiber, choice->store_age);
        return NULL;
    }
    if (choice->fiber > world->fiber_limit ||
        !has_outcome(&world->fibers[choice->fiber], choice->outcome) ||
        choice->clock_ns < world->clock_ns) {
        world_diverge(world, "point %llu: fiber %u, outcome %u, clock %llu cannot be chosen",
                      (unsigned long long)world->points, choice->fiber, choice->outcome,
                      (unsigned long long)choice->clock_ns);
        return NULL;
    }
    world_clock_advance(world, choice->clock_ns);
    end_wait_by_outcome(world, choice);
    struct fiber *fiber = &world->fibers[choice->fiber];
    if (fiber->state != FIBER_RUNNABLE) {
        world_diverge(world, "point %llu: fiber %u is chosen but cannot run",
                      (unsigned long long)world->points, choice->fiber);
        return NULL;
    }
    return fiber;
}

// Nearly every choice is a fiber that can run and nothing else. NULL: this one is not.
static inline struct fiber *plainly_chosen(struct world *world, const struct world_choice *choice) {
    bool plain = choice->outcome == WORLD_OUTCOME_NORMAL && choice->store_age == 0 &&
                 choice->clock_ns == world->clock_ns && choice->fiber <= world->fiber_limit;
    struct fiber *fiber = &world->fibers[plain ? choice->fiber : 0];
    return plain && fiber->state == FIBER_RUNNABLE ? fiber : NULL;
}

// Who runs next, decided at the point of `fiber`; NULL if the run has ended.
static struct fiber *pick(struct world *world, struct fiber *fiber) {
    if (!world->runnable_count && !world_jump_clock(world)) {
        deadlock(world);
        return NULL;
    }
    struct world_choice choice = {default_fiber(world, fiber), WORLD_OUTCOME_NORMAL,
                                  world->clock_ns, 0};
    if (!world->interleaves) {
        return &world->fibers[choice.fiber];
    }
    uint64_t clock_before_ns = world->clock_ns;
    world->strategy->pick(world->strategy_self, world, &fiber->point, &choice);
    if (world->end != WORLD_RUNNING) {
        return NULL; // the strategy has ended it: a schedule that does not fit
    }
    struct fiber *chosen = plainly_chosen(world, &choice);
    if (MF2_UNLIKELY(!chosen)) {
        chosen = chosen_fiber(world, &choice);
        if (!chosen) {
            return NULL;
        }
    }
    chosen->outcome = (uint8_t)choice.outcome;
    chosen->store_age = (uint8_t)choice.store_age;
    if (world->recording) {
        world_schedule_append(world->recording, &choice, choice.clock_ns - clock_before_ns);
    }
    return chosen;
}

static inline uint64_t mixed(uint64_t trail, uint64_t value) {
    trail = (trail ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return trail ^ trail >> 32;
}

static inline void follow_trail(struct world *world, const struct world_point *point) {
    uint64_t place =
        (uint64_t)point->fiber << 32 | (uint64_t)point->site->kind << 24 | point->site->line;
    uint64_t access = (point->offset ^ point->operand << 20) * UINT64_C(0xD1B54A32D192ED03);
    world->trail = mixed(world->trail, place ^ access ^ access >> 29);
}

static void too_many_points(struct world *world) {
    world_violate(world, WORLD_ORACLE_LIVELOCK, "%llu points are passed and the run goes on",
                  (unsigned long long)world->points_allowed);
    end_in_violation(world);
}

// The fiber stands at its point; returns when it may do the access.
static void decide(struct world *world, struct fiber *fiber) {
    if (world->end != WORLD_RUNNING) {
        return; // code outside a run: what it violates is its caller's to see
    }
    if (world->stopping) {
        end_in_violation(world);
    }
    if (world->point_limit && world->points > world->points_allowed) {
        too_many_points(world);
    }
    if (!world->interleaves) {
        return;
    }
    follow_trail(world, &fiber->point);
    struct fiber *next = pick(world, fiber);
    if (next != fiber) {
        run_fiber(world, next);
    }
}

void world_stand(struct world *world, struct fiber *fiber, const struct mf2_site *site) {
    fiber->point = (struct world_point){site, world->points, WORLD_NO_OFFSET, 0, fiber->number, 0};
}

static MF2_NOINLINE void attend(struct world *world, const void *address, unsigned bytes,
                                uint64_t operand, const struct mf2_site *site) {
    struct fiber *fiber = world->running;
    uint64_t offset = address ? world_offset(world, address) : WORLD_NO_OFFSET;
    fiber->point =
        (struct world_point){site, world->points - 1, offset, operand, fiber->number, bytes};
    if (world->watches) {
        world_oracle_arrival(world, &fiber->point);
    }
    decide(world, fiber);
    if (world->watches) {
        world_oracle_access(world, &fiber->point);
    }
}

static inline void arrive(struct world *world, const void *address, unsigned bytes,
                          uint64_t operand, const struct mf2_site *site) {
    if (MF2_UNLIKELY(++world->points > world->points_quiet)) {
        attend(world, address, bytes, operand, site);
    }
}

// ---------------------------------------------------------------- memory accesses

static inline uint64_t read_memory(const void *address, unsigned bytes) {
    switch (bytes) {
    case 1:
        return *(const uint8_t *)address;
    case 2:
        return *(const uint16_t *)address;
    case 4:
        return *(const uint32_t *)address;
    default:
        return *(const uint64_t *)address;
    }
}

static inline void write_memory(void *address, unsigned bytes, uint64_t value) {
    switch (bytes) {
    case 1:
        *(uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)address = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)address = (uint32_t)value;
        break;
    default:
        *(uint64_t *)address = value;
    }
}

uint64_t mf2_virtual_load(const void *address, unsigned bytes, const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, address, bytes, 0, site);
    if (MF2_UNLIKELY(world->has_views)) {
        if (site->kind == MF2_POINT_LOAD) {
            return world_views_load(world, address, bytes, world->running->store_age, site);
        }
        world_views_plain(world, address, false, site);
    }
    return read_memory(address, bytes);
}

void mf2_virtual_store(void *address, unsigned bytes, uint64_t value, const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, address, bytes, value, site);
    if (MF2_UNLIKELY(world->has_views)) {
        if (site->kind == MF2_POINT_STORE) {
            world_views_store(world, address, bytes, value, site);
        } else {
            world_views_plain(world, address, true, site);
        }
    }
    write_memory(address, bytes, value);
}

static uint64_t combined(uint64_t before, uint64_t operand, uint8_t kind) {
    switch (kind) {
    case MF2_POINT_ADD:
        return before + operand;
    case MF2_POINT_SUB:
        return before - operand;
    case MF2_POINT_OR:
        return before | operand;
    case MF2_POINT_AND:
        return before & operand;
    default:
        return operand;
    }
}

uint64_t mf2_virtual_rmw(void *address, unsigned bytes, uint64_t operand,
                         const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, address, bytes, operand, site);
    uint64_t before = read_memory(address, bytes);
    uint64_t after = combined(before, operand, site->kind);
    if (MF2_UNLIKELY(world->has_views)) {
        world_views_rmw(world, address, bytes, after, site);
    }
    write_memory(address, bytes, after);
    return before;
}

// Whether it swaps; what it found instead. A failure is a load, with the orders that the real
// platform gives it: acquire where the swap has acquire. An older store of the value that is wanted
// cannot be what it fails on.
static bool cas_by_views(struct world *world, void *address, unsigned bytes, uint64_t wanted,
                         uint64_t value, bool swaps, uint64_t *found, const struct mf2_site *site) {
    uint32_t age = world->running->store_age;
    if (age && world_views_value(world, address, age) == wanted) {
        age = 0;
    }
    if (swaps && !age) {
        world_views_rmw(world, address, bytes, value, site);
        return true;
    }
    *found = world_views_load(world, address, bytes, age, site);
    return false;
}

bool mf2_virtual_cas(void *address, unsigned bytes, void *expected, uint64_t value,
                     const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, address, bytes, value, site);
    uint64_t found = read_memory(address, bytes);
    uint64_t wanted = read_memory(expected, bytes);
    bool swaps = found == wanted && world->running->outcome != WORLD_OUTCOME_FAIL;
    world->cas_failed |= found == wanted && !swaps;
    if (MF2_UNLIKELY(world->has_views)) {
        swaps = cas_by_views(world, address, bytes, wanted, value, swaps, &found, site);
    }
    if (swaps) {
        write_memory(address, bytes, value);
        return true;
    }
    write_memory(expected, bytes, found);
    return false;
}

void mf2_virtual_fence(const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, NULL, 0, 0, site);
    if (MF2_UNLIKELY(world->has_views)) {
        world_views_fence(world, site);
    }
}

// Every other fiber makes a fence now, wherever it stands: what it has done is ordered before what
// the caller does next, and the other way round.
bool mf2_virtual_fence_all(const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, NULL, 0, 0, site);
    if (MF2_UNLIKELY(world->has_views)) {
        world_views_fence_all(world, site);
    }
    return true;
}

void mf2_virtual_works_on(const void *place, const struct mf2_site *site) {
    struct world *world = world_here;
    if (MF2_UNLIKELY(world->has_views)) {
        world_views_plain(world, place, true, site);
    }
}

// ---------------------------------------------------------------- what the program orders

void world_await(struct world *world, uint32_t fiber) {
    if (world->has_views) {
        world_views_order(world, fiber, world->running->number);
    }
}

void world_give(struct world *world, const void *block) {
    if (world->has_views) {
        world_views_give(world, block);
    }
}

void world_take(struct world *world, const void *block) {
    if (world->has_views) {
        world_views_get(world, block);
    }
}

void world_touch(struct world *world, const void *place, bool writes) {
    static const struct mf2_site reads_it =
        WORLD_SITE("world_touch", "the program reads", MF2_POINT_PLAIN_READ);
    static const struct mf2_site writes_it =
        WORLD_SITE("world_touch", "the program writes", MF2_POINT_PLAIN_WRITE);
    if (world->has_views) {
        world_views_plain(world, place, writes, writes ? &writes_it : &reads_it);
    }
}

// ---------------------------------------------------------------- identity

struct mf2_state *mf2_state(void) {
    return world_here->mf2;
}
struct MF2_ThreadPages *mf2_own(void) {
    return world_here->self;
}
struct MF2_ThreadPages *mf2_self(void) {
    struct MF2_ThreadPages *own = world_here->self;
    return own->hidden ? (struct MF2_ThreadPages *)(uintptr_t)&mf2_watched_thread : own;
}
void mf2_self_set(struct MF2_ThreadPages *thread) {
    world_here->self = thread;
    if (thread->slot != MF2_SLOT_NONE) {
        thread->busy = true; // a thread gets its pages in the middle of a call
    }
}

// Nobody hides a thread again before it has restored itself, nor the other way round. Its own looks
// at `hidden` race with the helper by design: watch.c.
void mf2_virtual_self_restore(struct MF2_ThreadPages *own, const struct mf2_site *site) {
    if (world_here->has_views) {
        world_views_plain(world_here, &own->hidden, true, site);
    }
    own->hidden = false;
}

// A thread without pages of its own has no seat, and needs none.
void mf2_virtual_busy_begin(const struct mf2_site *site) {
    struct world *world = world_here;
    struct MF2_ThreadPages *own = world->self;
    if (own->slot == MF2_SLOT_NONE) {
        return;
    }
    if (world->interleaves && world->mf2->watching && world->options.mf2.route.purge_ns) {
        arrive(world, &own->busy, sizeof own->busy, true, site);
    }
    own->busy = true;
}
void mf2_busy_end(void) {
    struct MF2_ThreadPages *own = world_here->self;
    if (own->slot != MF2_SLOT_NONE) {
        own->busy = false;
    }
}

// A seat is its thread's own memory and goes when mf2_thread_exit has returned.
static bool has_seat(const struct world *world, const struct MF2_ThreadPages *thread) {
    bool found = world->self == thread; // who looks where there is no helper
    for (uint32_t i = 0; i < world->spawned && !found; i++) {
        found = world->fibers[i].self == thread;
    }
    return found;
}

static void check_seat(struct world *world, const struct MF2_ThreadPages *thread) {
    if (world->interleaves && !has_seat(world, thread)) {
        world_violate(world, WORLD_ORACLE_ONE_OWNER,
                      "what thread %u had of its own is looked at or written, and it has ended",
                      mf2_slot_of_thread(world->mf2, thread));
    }
}

void mf2_virtual_seat_watch(struct MF2_ThreadPages *thread, const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, &thread->hidden, sizeof thread->hidden, true, site);
    check_seat(world, thread);
    if (world->has_views) {
        world_views_plain(world, &thread->hidden, true, site);
    }
    thread->hidden = true;
}

// The end of a call is a release, and this acquires it. Which fiber has these pages does not
// matter: mf2_fence_all has ordered what all have done, and nobody has run since.
bool mf2_seat_busy(struct MF2_ThreadPages *thread) {
    check_seat(world_here, thread);
    return thread->busy;
}

// ---------------------------------------------------------------- services

uint64_t mf2_virtual_clock_ns(const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, NULL, 0, world->clock_ns, site);
    return world->clock_ns;
}

bool mf2_virtual_commit(struct mf2_state *state, uint32_t page, uint32_t count,
                        const struct mf2_site *site) {
    arrive(world_here, mf2_page_base(state, page), 0, count, site);
    return world_here->running->outcome != WORLD_OUTCOME_FAIL; // the arena is memory already
}

void mf2_virtual_purge(struct mf2_state *state, uint64_t offset, uint64_t bytes,
                       const struct mf2_site *site) {
    arrive(world_here, (char *)state + offset, 0, bytes, site);
    world_memory_purge(world_here, offset, bytes);
}

static uint64_t deadline_after(const struct world *world, uint64_t timeout_ns) {
    return timeout_ns >= WORLD_NO_DEADLINE - world->clock_ns ? WORLD_NO_DEADLINE
                                                             : world->clock_ns + timeout_ns;
}

void mf2_virtual_futex_wait(mf2_atomic_u32 *word, uint32_t expected, uint64_t timeout_ns,
                            const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, word, sizeof word->value, timeout_ns, site);
    struct fiber *fiber = world->running;
    uint64_t deadline_ns = deadline_after(world, timeout_ns);
    if (fiber->outcome == WORLD_OUTCOME_SPURIOUS) {
        return;
    }
    if (fiber->outcome == WORLD_OUTCOME_TIMEOUT) {
        world_clock_advance(world, deadline_ns);
        return;
    }
    if (word->value != expected) {
        return;
    }
    if (fiber->state != FIBER_RUNNABLE) { // who acts is no fiber: only time can pass
        if (deadline_ns == WORLD_NO_DEADLINE) {
            deadlock(world);
        }
        world_clock_advance(world, deadline_ns);
        return;
    }
    world_wait_on(world, fiber, word, expected, deadline_ns);
    world_block(world);
}

void mf2_virtual_futex_wake(mf2_atomic_u32 *word, uint32_t count, const struct mf2_site *site) {
    arrive(world_here, word, sizeof word->value, count, site);
    world_wake_word(world_here, word, count);
}

static void pause_alone(struct world *world) {
    if (++world->pauses_alone == PAUSES_ALONE_MAX) {
        world_violate(world, WORLD_ORACLE_LIVELOCK, "%d pauses while nobody else could run",
                      PAUSES_ALONE_MAX);
        end_in_violation(world);
    }
}

// The wait can only be over when somebody else has run. Where a strategy picks, it has done so.
void mf2_virtual_pause(const struct mf2_site *site) {
    struct world *world = world_here;
    arrive(world, NULL, 0, 0, site);
    struct fiber *fiber = world->running;
    bool in_turn = fiber->state == FIBER_RUNNABLE && !world->helper_stepping;
    if (!in_turn || world->runnable_count == 1) {
        pause_alone(world);
        return;
    }
    world->pauses_alone = 0;
    if (!world->interleaves) {
        run_fiber(world, &world->fibers[next_in_turn(world, fiber->number)]);
    }
}

// ---------------------------------------------------------------- fibers

static bool program_is_over(const struct world *world) {
    const struct fiber *helper = &world->fibers[world->fiber_limit];
    return world->alive == 0 && helper->state != FIBER_RUNNABLE;
}

// The fiber that runs cannot go on, or need not: its point says why.
void world_block(struct world *world) {
    struct fiber *fiber = world->running;
    if (world->helper_stepping) {
        world->helper_stepping = false;
        run_fiber(world, world->helper_caller);
        return;
    }
    if (program_is_over(world)) {
        world->end = world->stopping ? WORLD_VIOLATION : WORLD_DONE;
        run_fiber(world, &world->root);
        return; // the helper's wait is over, after the run (rest.c)
    }
    if (world->stopping) {
        end_in_violation(world);
    }
    world->points++;
    if (world->interleaves) {
        follow_trail(world, &fiber->point);
    }
    struct fiber *next = pick(world, fiber);
    if (next != fiber) {
        run_fiber(world, next);
    }
}

static void fiber_body(void *argument) {
    static const struct mf2_site site = WORLD_SITE("world_spawn", "end", MF2_POINT_THREAD_END);
    struct fiber *fiber = argument;
    struct world *world = world_here;
    fiber->body(fiber->argument);
    world_stand(world, fiber, &site);
    world_make_waiting(world, fiber, FIBER_ENDED);
    fiber_stack_give(&world->stacks, fiber->context.stack);
    world->alive -= fiber->number != world->fiber_limit;
    world_block(world);
    abort(); // an ended fiber is not chosen
}

static bool start_fiber(struct world *world, struct fiber *fiber, world_body *body,
                        void *argument) {
    void *stack = fiber_stack_take(&world->stacks);
    if (!stack) {
        return false;
    }
    fiber_forget(&fiber->context);
    fiber_prepare(&fiber->context, stack, world->stacks.stack_bytes, fiber_body, fiber);
    fiber->body = body;
    fiber->argument = argument;
    fiber->outcome = WORLD_OUTCOME_NORMAL;
    fiber->store_age = 0;
    fiber->unpark_kept = false;
    if (world->has_views && inside_fiber(world)) {
        world_views_order(world, world->running->number, fiber->number);
    }
    world_stand(world, fiber, &world_site_begin);
    world_make_runnable(world, fiber);
    return true;
}

uint32_t world_spawn(struct world *world, world_body *body, void *argument) {
    if (world->spawned == world->fiber_limit ||
        !start_fiber(world, &world->fibers[world->spawned], body, argument)) {
        return WORLD_NO_FIBER;
    }
    world->alive++;
    return world->spawned++;
}

static void helper_body(void *argument) {
    mf2_helper_main(argument);
}

bool world_start_helper(struct world *world) {
    struct fiber *helper = &world->fibers[world->fiber_limit];
    return helper->state == FIBER_UNUSED && start_fiber(world, helper, helper_body, world->mf2);
}

bool mf2_virtual_helper_start(struct mf2_state *state, const struct mf2_site *site) {
    (void)state;
    arrive(world_here, NULL, 0, 0, site);
    return world_here->running->outcome != WORLD_OUTCOME_FAIL && world_start_helper(world_here);
}

struct world *world_current(void) {
    return world_here;
}

uint32_t world_fiber(const struct world *world) {
    uint32_t number = world->running->number;
    return number == WORLD_NO_FIBER ? world->acting : number;
}

const struct world_point *world_point_of(const struct world *world, uint32_t number) {
    if (number > world->fiber_limit) {
        return NULL;
    }
    const struct fiber *fiber = &world->fibers[number];
    return fiber->state == FIBER_UNUSED || fiber->state == FIBER_ENDED ? NULL : &fiber->point;
}

uint32_t world_helper(const struct world *world) {
    return world->fiber_limit;
}

void world_operation_point(struct world *world) {
    static const struct mf2_site site =
        WORLD_SITE("world_operation_point", "operation", MF2_POINT_OPERATION);
    world->operations++;
    arrive(world, NULL, 0, world->operations, &site);
}

// ---------------------------------------------------------------- runs

static void begin_run(struct world *world) {
    world_os_catch_crashes(crash_stack_end, land_after_crash);
    world_here = world;
    world->end = WORLD_RUNNING;
    world->message[0] = 0;
}

static enum world_end finish_run(struct world *world) {
    world->interleaves = false; // and with it the views
    world->helper_stepping = false;
    world_set_attention(world);
    return world->end;
}

static void begin_strategy(struct world *world) {
    if (!world->strategy_begun) {
        world->strategy_begun = true;
        if (world->strategy && world->strategy->begin) {
            world->strategy->begin(world->strategy_self, world, world->options.seed);
        }
    }
}

enum world_end world_run(struct world *world) {
    begin_run(world);
    if (program_is_over(world)) {
        world->end = WORLD_DONE;
        return finish_run(world);
    }
    world_stop_acting(world);
    begin_strategy(world);
    world->interleaves = world->strategy != NULL;
    world_set_attention(world);
    struct fiber *first = NULL;
    if (world->runnable_count || world_jump_clock(world)) {
        world->points++;
        first = pick(world, &world->fibers[world->runnable[0]]);
    } else {
        deadlock(world);
    }
    if (first) {
        run_fiber(world, first);
    }
    return finish_run(world);
}

struct call {
    struct world *world;
    world_body *body;
    void *argument;
};

static void driver_body(void *argument) {
    struct call *call = argument;
    struct world *world = call->world;
    call->body(call->argument);
    world_end_run(world, world->stopping ? WORLD_VIOLATION : WORLD_DONE);
}

enum world_end world_call(struct world *world, world_body *body, void *argument) {
    struct call call = {world, body, argument};
    begin_run(world);
    fiber_forget(&world->driver.context);
    fiber_prepare(&world->driver.context, world->driver_stack, WORLD_DRIVER_STACK_BYTES,
                  driver_body, &call);
    world->driver.self = world->self;
    run_fiber(world, &world->driver);
    world->self = world->driver.self; // who acted goes on acting
    world->root.self = world->self;
    return finish_run(world);
}

void world_stop_acting(struct world *world) {
    if (world->acting != WORLD_NO_FIBER) {
        world->fibers[world->acting].self = world->self;
        world->acting = WORLD_NO_FIBER;
        world->self = WORLD_NO_THREAD;
    }
}

void world_act_as(struct world *world, uint32_t number) {
    world_here = world;
    if (number == world->acting) {
        return;
    }
    world_stop_acting(world);
    world->self = world->fibers[number].self;
    world->acting = number;
    if (number >= world->acted_high) {
        world->acted_high = number + 1;
    }
}

void world_step_helper(struct world *world) {
    struct fiber *helper = &world->fibers[world->fiber_limit];
    if (helper->state != FIBER_RUNNABLE) {
        return;
    }
    world->helper_stepping = true;
    world->helper_caller = world->running;
    run_fiber(world, helper);
}

const char *world_end_name(enum world_end end) {
    switch (end) {
    case WORLD_DONE:
        return "done";
    case WORLD_DEADLOCK:
        return "deadlock";
    case WORLD_LIVELOCK:
        return "livelock";
    case WORLD_VIOLATION:
        return "violation";
    case WORLD_DIVERGED:
        return "diverged";
    }
    return "running";
}
