// test_virtual_time.c: programs of a few accesses whose times can be worked out by hand: what each
// point costs, which event comes first, cores that are shared, waits.
#include "program.h"
#include "sim.h"
#include "state.h"

#include "check_main.h"

#include <check.h>

// Costs that cannot be mistaken for each other, in nanoseconds.
enum {
    SAME = 1,
    OTHER = 20,
    MEMORY = 100,
    MODIFY = 5,
    FENCE = 8,
    PAUSE = 14,
    CLOCK = 22,
    COMMIT = 400,
    PURGE = 300,
    PURGE_PAGE = 70,
    FAULT = 500,
    FUTEX_WAIT = 600,
    FUTEX_WAKE = 900,
    WAKE = 2000,
    CREATE = 12000,
    SWITCH = 1500,
    SLICE = 100000
};

#define NS(ns) ((uint64_t)(ns)*SIM_PS_PER_NS)

static const struct sim_machine machine = {
    .name = "test",
    .cores = 2,
    .costs = {.line_same_core_ps = NS(SAME),
              .line_other_core_ps = NS(OTHER),
              .line_memory_ps = NS(MEMORY),
              .read_modify_write_ps = NS(MODIFY),
              .fence_ps = NS(FENCE),
              .pause_ps = NS(PAUSE),
              .clock_read_ps = NS(CLOCK),
              .commit_call_ps = NS(COMMIT),
              .futex_wait_ps = NS(FUTEX_WAIT),
              .futex_wake_ps = NS(FUTEX_WAKE),
              .wake_latency_ps = NS(WAKE),
              .wake_busy_latency_ps = NS(WAKE),
              .thread_create_ps = NS(CREATE),
              .context_switch_ps = NS(SWITCH),
              .time_slice_ps = NS(SLICE)},
};

static struct world *world;
static struct sim_time *virtual_time;

static void open_machine(const struct sim_machine *on, uint32_t cores) {
    char message[256];
    virtual_time = sim_time_new(on, cores, 16);
    ck_assert_ptr_nonnull(virtual_time);
    struct world_options options = {.mf2 = {.geometry = mf2_geometry_find("scenario"),
                                            .arena_bytes = 1 << 20,
                                            .thread_limit = 16},
                                    .fiber_limit = 16,
                                    .strategy = &sim_strategy,
                                    .strategy_self = virtual_time};
    ck_assert(mf2_route_parse("best", &options.mf2.route, message, sizeof message));
    world = world_create(&options, message, sizeof message);
    ck_assert_msg(world != NULL, "%s", message);
}

static void open_with(uint32_t cores) {
    open_machine(&machine, cores);
}

static void close_all(void) {
    world_destroy(world);
    sim_time_free(virtual_time);
}

static void run(void) {
    ck_assert_int_eq(world_run(world), WORLD_DONE);
}

static uint64_t end_ns(void) {
    ck_assert_uint_eq(sim_time_end_ps(virtual_time) % SIM_PS_PER_NS, 0);
    return sim_time_end_ps(virtual_time) / SIM_PS_PER_NS;
}

// Words in lines of their own that MF2 does not use: the last pages of the arena are never given
// out here.
static mf2_atomic_u32 *word(uint32_t i) {
    struct mf2_state *state = world_mf2(world);
    return &state->pages[state->page_count - 1 - i].remote_count;
}

static void spend_ns(uint64_t ns) {
    sim_time_spend(virtual_time, world_fiber(world), NS(ns));
}

// ---------------------------------------------------------------- costs

static uint64_t clock_seen_ns;

static void one_of_each(void *unused) {
    (void)unused;
    (void)mf2_load_relaxed(word(0));          // from memory
    (void)mf2_load_acquire(word(0));          // own
    (void)mf2_fetch_add_relaxed(word(0), 1u); // own
    mf2_store_release(word(1), 1u);           // from memory
    mf2_fence_seq_cst();
    clock_seen_ns = mf2_clock_ns();
    spend_ns(1000);
    mf2_pause();
}

START_TEST(each_point_costs_what_the_table_says) {
    open_with(2);
    world_spawn(world, one_of_each, NULL);
    run();
    uint64_t before_clock = SWITCH + MEMORY + SAME + (SAME + MODIFY) + MEMORY + FENCE;
    ck_assert_uint_eq(clock_seen_ns, before_clock);
    ck_assert_uint_eq(end_ns(), before_clock + CLOCK + 1000 + PAUSE);
    close_all();
}
END_TEST

static void commit_three(void *unused) {
    (void)unused;
    struct mf2_state *state = world_mf2(world);
    ck_assert(mf2_commit(state, state->page_count - 3, 3));
}

START_TEST(mappings_change_one_at_a_time) {
    open_with(4);
    for (int i = 0; i < 3; i++)
        world_spawn(world, commit_three, NULL);
    run();
    ck_assert_uint_eq(end_ns(), SWITCH + 3 * COMMIT);
    close_all();
}
END_TEST

// Three pages, two of them touched; then all given back and one touched again.
static void touch_and_purge(void *unused) {
    (void)unused;
    struct mf2_state *state = world_mf2(world);
    uint32_t first = state->page_count - 3;
    uint64_t offset = (uint64_t)first << state->page_shift;
    ck_assert(mf2_commit(state, first, 3));
    for (int i = 0; i < 4; i++) {
        sim_time_touch(virtual_time, world_fiber(world), offset + (uint64_t)(i % 2) * 4096);
        world_operation_point(world);
    }
    mf2_purge(state, (uint64_t)first << state->page_shift, 3ull << state->page_shift);
    sim_time_touch(virtual_time, world_fiber(world), offset);
    world_operation_point(world);
    world_operation_point(world);
}

START_TEST(a_page_faults_when_it_is_touched_first) {
    struct sim_machine faulting = machine;
    faulting.costs.page_fault_ps = NS(FAULT);
    faulting.costs.purge_call_ps = NS(PURGE);
    faulting.costs.purge_page_ps = NS(PURGE_PAGE);
    open_machine(&faulting, 2);
    ck_assert_uint_eq(world_mf2(world)->page_shift, 12); // one of MF2's pages is one of the OS's
    world_spawn(world, touch_and_purge, NULL);
    run();
    // The lines of the two pages stay where they are: what is given back is memory.
    ck_assert_uint_eq(end_ns(), SWITCH + COMMIT + 2 * (FAULT + MEMORY) + 2 * SAME + PURGE +
                                    2 * PURGE_PAGE + FAULT + SAME);
    close_all();
}
END_TEST

static void work_alone(void *unused) {
    (void)unused;
    spend_ns(10000);
    world_operation_point(world);
}

START_TEST(siblings_slow_each_other) {
    struct sim_machine smt = machine;
    smt.topology = (struct sim_topology){.smt = 2, .smt_slowdown_permille = 1500};
    // Four cores are two pairs: two fibers get a pair each, the third one joins the first.
    open_machine(&smt, 4);
    for (int i = 0; i < 2; i++)
        world_spawn(world, work_alone, NULL);
    run();
    ck_assert_uint_eq(end_ns(), SWITCH + 10000);
    close_all();
    open_machine(&smt, 4);
    for (int i = 0; i < 3; i++)
        world_spawn(world, work_alone, NULL);
    run();
    ck_assert_uint_eq(end_ns(), SWITCH + 15000);
    close_all();
}
END_TEST

static void touch_and_go(void *unused) {
    (void)unused;
    sim_time_touch(virtual_time, world_fiber(world), world_offset(world, word(0)));
    world_operation_point(world);
    world_operation_point(world); // charged once
}

START_TEST(the_programs_own_access_is_charged_once) {
    open_with(2);
    world_spawn(world, touch_and_go, NULL);
    run();
    ck_assert_uint_eq(end_ns(), SWITCH + MEMORY);
    close_all();
}
END_TEST

// ---------------------------------------------------------------- order

static uint32_t log_fibers[64];
static uint64_t log_clocks_ns[64];
static uint32_t log_count;

static void add_one(void *unused) {
    (void)unused;
    uint32_t before = mf2_fetch_add_relaxed(word(0), 1u);
    log_fibers[before] = world_fiber(world);
}

START_TEST(equal_times_go_by_thread_and_the_line_serves_in_turn) {
    open_with(4);
    log_count = 0;
    for (int i = 0; i < 4; i++)
        world_spawn(world, add_one, NULL);
    run();
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(log_fibers[i], i);
    ck_assert_uint_eq(end_ns(), SWITCH + (MEMORY + MODIFY) + 3 * (OTHER + MODIFY));
    close_all();
}
END_TEST

static void read_clock_often(void *argument) {
    uint64_t step_ns = *(const uint64_t *)argument;
    for (int i = 0; i < 8; i++) {
        spend_ns(step_ns);
        uint64_t now_ns = mf2_clock_ns();
        log_fibers[log_count] = world_fiber(world);
        log_clocks_ns[log_count++] = now_ns;
    }
}

START_TEST(the_earliest_event_is_next) {
    static const uint64_t steps_ns[] = {700, 300, 1100, 300};
    open_with(4);
    log_count = 0;
    for (int i = 0; i < 4; i++)
        world_spawn(world, read_clock_often, (void *)(uintptr_t)&steps_ns[i]);
    run();
    ck_assert_uint_eq(log_count, 32);
    uint64_t next_ns[4];
    for (int i = 0; i < 4; i++)
        next_ns[i] = SWITCH + steps_ns[i];
    for (uint32_t i = 0; i < log_count; i++) {
        uint32_t fiber = log_fibers[i];
        ck_assert_uint_eq(log_clocks_ns[i], next_ns[fiber]);
        if (i > 0) {
            ck_assert_uint_ge(log_clocks_ns[i], log_clocks_ns[i - 1]);
            if (log_clocks_ns[i] == log_clocks_ns[i - 1])
                ck_assert_uint_gt(fiber, log_fibers[i - 1]);
        }
        next_ns[fiber] += CLOCK + steps_ns[fiber];
    }
    close_all();
}
END_TEST

// ---------------------------------------------------------------- cores

enum { WORK_POINTS = 100, WORK_STEP = 10000 };

static void work(void *unused) {
    (void)unused;
    for (int i = 0; i < WORK_POINTS; i++) {
        spend_ns(WORK_STEP);
        world_operation_point(world);
    }
}

static void run_workers(uint32_t cores, uint32_t workers, struct sim_time_totals *totals) {
    open_with(cores);
    for (uint32_t i = 0; i < workers; i++)
        world_spawn(world, work, NULL);
    run();
    sim_time_totals(virtual_time, totals);
}

START_TEST(enough_cores_and_nobody_waits) {
    struct sim_time_totals totals;
    run_workers(5, 5, &totals);
    ck_assert_uint_eq(end_ns(), SWITCH + WORK_POINTS * WORK_STEP);
    ck_assert_uint_eq(totals.preemptions, 0);
    ck_assert_uint_eq(totals.switches, 5);
    close_all();
}
END_TEST

START_TEST(more_threads_than_cores_take_turns) {
    struct sim_time_totals totals;
    run_workers(2, 5, &totals);
    uint64_t work_ns = (uint64_t)5 * WORK_POINTS * WORK_STEP;
    ck_assert_uint_ge(end_ns(), work_ns / 2);
    // Slices of 100 µs: every thread is preempted while others wait, and comes again.
    ck_assert_uint_ge(totals.preemptions, 5 * 5);
    ck_assert_uint_eq(totals.switches, totals.preemptions + 5);
    // Nothing but work and switches: a core is never idle while somebody waits for one.
    ck_assert_uint_eq(totals.busy_ps, NS(work_ns + totals.switches * SWITCH));
    ck_assert_uint_le(end_ns(), work_ns / 2 + totals.switches * SWITCH + WORK_POINTS * WORK_STEP);
    close_all();
}
END_TEST

START_TEST(one_core_does_one_thing_at_a_time) {
    struct sim_time_totals totals;
    run_workers(1, 3, &totals);
    ck_assert_uint_eq(end_ns(), (uint64_t)3 * WORK_POINTS * WORK_STEP + totals.switches * SWITCH);
    close_all();
}
END_TEST

// ---------------------------------------------------------------- pinned

static void open_pinned(uint32_t cores) {
    struct sim_machine pinned = machine;
    pinned.pinned = true;
    open_machine(&pinned, cores);
}

START_TEST(pinned_threads_stay_where_they_are) {
    struct sim_time_totals totals;
    open_pinned(2);
    for (int i = 0; i < 3; i++)
        world_spawn(world, work, NULL); // two of them on core 0, which takes twice as long
    run();
    sim_time_totals(virtual_time, &totals);
    ck_assert_uint_ge(totals.preemptions, 10);
    ck_assert_uint_eq(end_ns(),
                      (uint64_t)2 * WORK_POINTS * WORK_STEP + (totals.switches - 1) * SWITCH);
    close_all();
}
END_TEST

static void sleep_then_read_clock(void *unused) {
    (void)unused;
    mf2_futex_wait(word(0), 0u, MF2_WAIT_FOREVER);
    clock_seen_ns = mf2_clock_ns();
}

static uint64_t woken_from_ns;

static void wake_and_work_on(void *unused) {
    (void)unused;
    spend_ns(50000);
    woken_from_ns = mf2_clock_ns();
    mf2_futex_wake(word(0), 1);
    work(NULL);
}

START_TEST(who_is_woken_on_its_core_takes_it) {
    open_pinned(1);
    world_spawn(world, sleep_then_read_clock, NULL);
    world_spawn(world, wake_and_work_on, NULL);
    run();
    // At the waker's first point after the wake, which stands behind 10 µs of work.
    ck_assert_uint_eq(clock_seen_ns, woken_from_ns + CLOCK + FUTEX_WAKE + WORK_STEP + SWITCH);
    close_all();
}
END_TEST

// ---------------------------------------------------------------- waiting

static void wait_for_word(void *unused) {
    (void)unused;
    mf2_futex_wait(word(0), 0u, MF2_WAIT_FOREVER);
    clock_seen_ns = mf2_clock_ns();
}

static void wake_after_work(void *unused) {
    (void)unused;
    spend_ns(50000);
    mf2_store_release(word(0), 1u);
    mf2_futex_wake(word(0), 1u);
}

START_TEST(a_woken_thread_runs_after_the_wake) {
    open_with(2);
    world_spawn(world, wait_for_word, NULL);
    world_spawn(world, wake_after_work, NULL);
    run();
    ck_assert_uint_eq(clock_seen_ns, SWITCH + 50000 + MEMORY + FUTEX_WAKE + WAKE + SWITCH);
    close_all();
}
END_TEST

START_TEST(a_blocked_thread_leaves_its_core) {
    open_with(1);
    world_spawn(world, wait_for_word, NULL);
    world_spawn(world, wake_after_work, NULL);
    run();
    uint64_t second_begins = SWITCH + FUTEX_WAIT + SWITCH;
    uint64_t second_ends = second_begins + 50000 + MEMORY + FUTEX_WAKE;
    ck_assert_uint_eq(clock_seen_ns, second_ends + WAKE + SWITCH);
    close_all();
}
END_TEST

static void make_another(void *unused) {
    (void)unused;
    spend_ns(700);
    world_spawn(world, one_of_each, NULL);
    world_operation_point(world);
}

START_TEST(a_new_thread_begins_after_its_creation) {
    open_with(2);
    world_spawn(world, make_another, NULL);
    run();
    ck_assert_uint_eq(clock_seen_ns, SWITCH + 700 + CREATE + SWITCH + MEMORY + SAME +
                                         (SAME + MODIFY) + MEMORY + FENCE);
    close_all();
}
END_TEST

static void wait_for_ever(void *unused) {
    (void)unused;
    mf2_futex_wait(word(0), 0u, MF2_WAIT_FOREVER);
}

START_TEST(nobody_left_to_wake_is_a_deadlock) {
    open_with(2);
    world_spawn(world, wait_for_ever, NULL);
    ck_assert_int_eq(world_run(world), WORLD_DEADLOCK);
    close_all();
}
END_TEST

CHECK_MAIN("virtual_time", each_point_costs_what_the_table_says, mappings_change_one_at_a_time,
           a_page_faults_when_it_is_touched_first, siblings_slow_each_other,
           the_programs_own_access_is_charged_once,
           equal_times_go_by_thread_and_the_line_serves_in_turn, the_earliest_event_is_next,
           enough_cores_and_nobody_waits, more_threads_than_cores_take_turns,
           one_core_does_one_thing_at_a_time, pinned_threads_stay_where_they_are,
           who_is_woken_on_its_core_takes_it, a_woken_thread_runs_after_the_wake,
           a_blocked_thread_leaves_its_core, a_new_thread_begins_after_its_creation,
           nobody_left_to_wake_is_a_deadlock)
