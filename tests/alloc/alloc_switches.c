// Every switch of a route does what route.h says: for each, a play in the virtual world whose
// counters come out differently when only that switch differs. A switch that alloc/ ignored would
// fail here.
//
// The plays are in the scenario geometry: pages of 4 KiB, four blocks of 1,000 bytes each. Threads
// A, B, C act in turn, so that a play has one outcome; where a switch shows only between two
// accesses, fibers and a strategy made for that place are used instead.
#include "mf2.h"
#include "state.h"
#include "world_test.h"

#include "check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, D, THREADS };
enum { BLOCK = 1000, PER_PAGE = 4 };
#define MICROSECOND 1000ull

struct outcome {
    struct mf2_counters counters;
    struct mf2_census census;
};

static struct world *stage; // of the play that runs
static void play_body(void *play) {
    (*(void (**)(void))play)();
}

static struct outcome played(const char *route, void (*play)(void)) {
    struct world_options options = test_options(route, THREADS);
    stage = test_world(&options);
    enum world_end end = world_call(stage, play_body, &play);
    ck_assert_msg(end == WORLD_DONE, "%s: %s", route, world_message(stage));
    struct outcome outcome;
    world_counters(stage, &outcome.counters);
    world_census(stage, &outcome.census);
    world_destroy(stage);
    return outcome;
}

// The counter under route and under the same with one switch changed.
static void differ(const char *route, const char *changed, void (*play)(void), size_t counter,
                   uint64_t expected, uint64_t expected_changed) {
    struct outcome one = played(route, play), other = played(changed, play);
    const char *name = mf2_counter_table[counter].name;
    uint64_t found = ((uint64_t *)&one.counters)[counter];
    uint64_t found_changed = ((uint64_t *)&other.counters)[counter];
    ck_assert_msg(found == expected, "%s: %s is %llu, expected %llu", route, name,
                  (unsigned long long)found, (unsigned long long)expected);
    ck_assert_msg(found_changed == expected_changed, "%s: %s is %llu, expected %llu", changed, name,
                  (unsigned long long)found_changed, (unsigned long long)expected_changed);
}
#define DIFFER(route, changed, play, counter, expected, expected_changed)                          \
    differ(route, changed, play, offsetof(struct mf2_counters, counter) / sizeof(uint64_t),        \
           expected, expected_changed)

// ---------------------------------------------------------------- what plays are made of

static void act_as(uint32_t thread) {
    world_act_as(stage, thread);
}
static void pass(uint64_t ns) {
    world_clock_advance(stage, world_clock_ns(stage) + ns);
}
static void *one(void) {
    void *block = mf2_malloc(BLOCK);
    ck_assert_ptr_nonnull(block);
    return block;
}
static void some(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++)
        blocks[i] = one();
}
static void release(void **blocks, size_t count) {
    for (size_t i = 0; i < count; i++)
        mf2_free(blocks[i]);
}

// A has two pages: the first full and put away, the second active and full. B frees `count` blocks
// of the first.
static void b_frees_into_a_page_of_a(size_t count) {
    void *blocks[2 * PER_PAGE];
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    act_as(B);
    release(blocks, count);
}

// ---------------------------------------------------------------- who drains, and when

static void c_needs_a_page_after_four(void) {
    b_frees_into_a_page_of_a(4);
    act_as(C);
    one();
}
static void c_needs_a_page_after_one(void) {
    b_frees_into_a_page_of_a(1);
    act_as(C);
    one();
}
START_TEST(drain) {
    DIFFER("cda,must_reuse=on", "cda,must_reuse=on,drain=owner", c_needs_a_page_after_four,
           adoption_allowed, 1, 0);
    DIFFER("cda,must_reuse=on", "cda,must_reuse=on,drain=owner", c_needs_a_page_after_four,
           new_page_count, 2, 3);
    // Without a gate, `gated` adopts as well, but looks before it pops.
    DIFFER("p,rfr_ns=0,gate_idle=off,gate_pressure=0,gate_remotes=0", "s2,scan=mask",
           c_needs_a_page_after_four, adoption_allowed, 1, 0);
}
END_TEST
START_TEST(notify) {
    DIFFER("cda", "cda,notify=2", c_needs_a_page_after_one, pending_enqueued, 1, 0);
    DIFFER("cda", "cda,notify=2", c_needs_a_page_after_one, new_page_count, 2, 3);
    DIFFER("cda,notify=4", "cda,notify=5", c_needs_a_page_after_four, adoption_allowed, 1, 0);
}
END_TEST

// ---------------------------------------------------------------- the must-reuse gate

static void a_needs_a_block_after_one(void) {
    void *blocks[PER_PAGE];
    act_as(A);
    some(blocks, PER_PAGE);
    act_as(B);
    release(blocks, 1);
    act_as(A);
    one();
}
START_TEST(must_reuse) {
    // Four frees would be needed to queue the page: only the gate looks at the active page.
    DIFFER("cda,notify=4,must_reuse=on", "cda,notify=4", a_needs_a_block_after_one,
           active_drain_hit, 1, 0);
    DIFFER("cda,notify=4,must_reuse=on", "cda,notify=4", a_needs_a_block_after_one, new_page_count,
           1, 2);
    DIFFER("cda,must_reuse=on", "cda", a_needs_a_block_after_one, mustreuse_hit, 1, 0);
}
END_TEST

// C's pages stand on A's queue, before A's own: a page can change hands between the look at its
// home and the push. They fail, one for each unit of the budget.
static void a_finds_two_strange_pages_first(void) {
    void *strange[2 * PER_PAGE], *own[2 * PER_PAGE];
    act_as(A);
    some(own, 2 * PER_PAGE);
    act_as(C);
    some(strange, 1);
    act_as(D);
    some(strange + 1, 1);
    act_as(B);
    release(own, 1);
    struct mf2_state *state = world_mf2(stage);
    for (size_t i = 0; i < 2; i++) {
        uint64_t number = world_offset(stage, strange[i]) >> state->page_shift;
        struct MidPage *page = &state->pages[number];
        page->in_remote_pending.value = 1;
        struct MF2_ThreadPages *a = mf2_thread_of_slot(state, 1);
        page->pending_next.value = (uint32_t)a->pending[page->class_index].value;
        a->pending[page->class_index].value = number;
    }
    act_as(A);
    one();
}
START_TEST(budget) {
    DIFFER("s2,budget=3", "s2,budget=2", a_finds_two_strange_pages_first, mustreuse_hit, 1, 0);
    DIFFER("s2,budget=3", "s2,budget=2", a_finds_two_strange_pages_first, claim_failures, 2, 2);
}
END_TEST

// ---------------------------------------------------------------- own full pages, partial list

static void a_frees_into_its_full_page(void) {
    void *blocks[2 * PER_PAGE];
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    release(blocks, 1);
    one();
}
START_TEST(full_free) {
    DIFFER("s2", "s2,full_free=graveyard", a_frees_into_its_full_page, partial_hit, 1, 0);
    DIFFER("s2,full_free=pending", "s2,full_free=graveyard", a_frees_into_its_full_page,
           mustreuse_hit, 1, 0);
    DIFFER("s2", "s2,full_free=graveyard", a_frees_into_its_full_page, new_page_count, 2, 3);
    struct outcome graveyard = played("s1", a_frees_into_its_full_page);
    ck_assert_uint_eq(graveyard.census.stranded_full_forgotten, 1);
}
END_TEST
START_TEST(partial) {
    DIFFER("s2", "s2,partial=off,full_free=graveyard", a_frees_into_its_full_page, partial_hit, 1,
           0);
    DIFFER("s2", "s2,partial=off,full_free=graveyard", a_frees_into_its_full_page, page_reuses, 1,
           0);
}
END_TEST

// ---------------------------------------------------------------- exited owners

static void a_exits_with_free_blocks(void) {
    act_as(A);
    one();
    mf2_thread_exit();
    act_as(C);
    one();
}
static void b_frees_after_a_has_exited(void) {
    void *blocks[PER_PAGE];
    act_as(B);
    void *own = one(); // B has pages, so that it can take more
    act_as(A);
    some(blocks, PER_PAGE);
    mf2_thread_exit();
    act_as(B);
    release(blocks, 1);
    mf2_free(own);
}
START_TEST(orphans) {
    DIFFER("s2,orphans=adopt", "s2", a_exits_with_free_blocks, orphans_adopted, 1, 0);
    DIFFER("s2,orphans=adopt", "s2", a_exits_with_free_blocks, new_page_count, 1, 2);
    DIFFER("s2,orphans=reclaim", "s2,orphans=adopt", b_frees_after_a_has_exited, orphans_reclaimed,
           1, 0);
    struct outcome strand = played("s2", a_exits_with_free_blocks);
    ck_assert_uint_eq(strand.census.stranded_owner_exited, 1);
}
END_TEST

// ---------------------------------------------------------------- empty pages

static void a_page_empties(void) {
    void *blocks[2 * PER_PAGE];
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    release(blocks, PER_PAGE); // the first page: partial, then empty
    act_as(B);
    ck_assert_ptr_nonnull(mf2_malloc(2000)); // another class, another thread
}
START_TEST(empty) {
    DIFFER("s2,empty=recycle", "s2", a_page_empties, recycled_pages, 1, 0);
    DIFFER("s2,empty=unmap", "s2", a_page_empties, pages_unmapped, 1, 0);
    DIFFER("s2,empty=recycle", "s2", a_page_empties, new_page_count, 2, 3);
    ck_assert_uint_eq(played("s2", a_page_empties).census.held, 3);
    ck_assert_uint_eq(played("s2,empty=unmap", a_page_empties).census.held, 2);
}
END_TEST

// ---------------------------------------------------------------- Route P's gates, one by one

// Four pages of A are pending with four remote frees each; A has been idle for 160 us since, and
// has no partial page.
static void c_wants_to_adopt(void) {
    void *blocks[5 * PER_PAGE];
    act_as(A);
    some(blocks, 5 * PER_PAGE);
    act_as(B);
    release(blocks, 4 * PER_PAGE);
    pass(160 * MICROSECOND);
    act_as(C);
    one();
}
static void c_wants_to_adopt_while_a_has_a_partial_page(void) {
    void *blocks[3 * PER_PAGE];
    act_as(A);
    some(blocks, 3 * PER_PAGE);
    mf2_free(blocks[PER_PAGE]); // of A's second page
    act_as(B);
    release(blocks, PER_PAGE);
    pass(160 * MICROSECOND);
    act_as(C);
    one();
}
#define NO_GATES "p,rfr_ns=0,gate_idle=off,gate_partial=off,gate_pressure=0,gate_remotes=0"
START_TEST(gates) {
    DIFFER(NO_GATES, NO_GATES ",rfr_ns=200000", c_wants_to_adopt, adoption_blocked_rfr, 0, 1);
    DIFFER(NO_GATES ",rfr_ns=159000", NO_GATES ",rfr_ns=161000", c_wants_to_adopt, adoption_allowed,
           1, 0);
    DIFFER(NO_GATES ",gate_idle=on", NO_GATES ",gate_idle=on,idle_ns=200000", c_wants_to_adopt,
           adoption_blocked_idle, 0, 1);
    DIFFER(NO_GATES ",idle_ns=200000", NO_GATES ",gate_idle=on,idle_ns=200000", c_wants_to_adopt,
           adoption_allowed, 1, 0);
    DIFFER(NO_GATES, NO_GATES ",gate_partial=on", c_wants_to_adopt_while_a_has_a_partial_page,
           adoption_blocked_partial, 0, 1);
    DIFFER(NO_GATES ",gate_pressure=3", NO_GATES ",gate_pressure=4", c_wants_to_adopt,
           adoption_blocked_pressure, 0, 1);
    DIFFER(NO_GATES ",gate_remotes=4", NO_GATES ",gate_remotes=5", c_wants_to_adopt,
           adoption_blocked_remotes, 0, 1);
    DIFFER(NO_GATES, "p", c_wants_to_adopt, adoption_allowed, 1, 0);
}
END_TEST

// ---------------------------------------------------------------- the helper

static void a_is_idle_and_b_frees_all(void) {
    void *blocks[2 * PER_PAGE];
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    pass(200 * MICROSECOND);
    act_as(B);
    release(blocks, PER_PAGE);
    (void)mf2_malloc(1); // starts the helper, which a free may not
    world_step_helper(stage);
}
START_TEST(helper) {
    DIFFER("s3", "s3,helper=off", a_is_idle_and_b_frees_all, helper_drains, 1, 0);
    DIFFER("s3", "s3,helper=off", a_is_idle_and_b_frees_all, helper_wakes, 1, 0);
    DIFFER("s3", "s3,idle_ns=300000", a_is_idle_and_b_frees_all, helper_wakes, 1, 0);
}
END_TEST

// ---------------------------------------------------------------- fronts

// Of a page of two blocks of 2,048 bytes one is free when a block of 1,000 is wanted first.
static void *a_has_a_larger_block(void) {
    act_as(A);
    void *kept = mf2_malloc(2000), *freed = mf2_malloc(2000);
    ck_assert_ptr_nonnull(kept);
    mf2_free(freed);
    return freed;
}
static void a_wants_a_smaller_one(void) {
    a_has_a_larger_block();
    one();
}
static void a_wants_a_smaller_one_aligned(void) {
    a_has_a_larger_block();
    ck_assert_ptr_nonnull(mf2_aligned_alloc(1024, BLOCK));
}
static void a_wants_it_back_as_what_it_was(void) {
    void *larger = a_has_a_larger_block();
    void *borrowed = mf2_malloc(BLOCK);
    ck_assert_ptr_eq(borrowed, larger);
    ck_assert_uint_eq(mf2_usable_size(borrowed), 2048);
    mf2_free(borrowed);
    ck_assert_ptr_eq(mf2_malloc(2000), larger);
}
#define FRONTS "best,front=4096,front_total=16384,depot=0"
START_TEST(borrow) {
    DIFFER(FRONTS ",borrow=100", FRONTS ",borrow=0", a_wants_a_smaller_one, front_borrowed, 1, 0);
    DIFFER(FRONTS ",borrow=100", FRONTS ",borrow=99", a_wants_a_smaller_one, new_page_count, 1, 2);
    // A larger block need not stand where a smaller one would.
    DIFFER(FRONTS ",borrow=100", FRONTS ",borrow=0", a_wants_a_smaller_one_aligned, new_page_count,
           2, 2);
    played(FRONTS ",borrow=100", a_wants_it_back_as_what_it_was);
}
END_TEST

// ---------------------------------------------------------------- switches between two accesses
//
// A log of the points of fiber `watched`, in order, and a strategy that lets others run when a
// given access of it has been done.

struct watch {
    uint32_t watched;
    const char *stop_at; // expression of the access after which fiber `then` runs to its end
    uint32_t then;
    bool stopped, done;
    char log[8192];
};

static void watch_pick(void *self, struct world *world, const struct world_point *point,
                       struct world_choice *choice) {
    struct watch *watch = self;
    if (point->fiber == watch->watched) {
        size_t length = strlen(watch->log);
        snprintf(watch->log + length, sizeof watch->log - length, "%u %s;", point->site->kind,
                 point->site->expression);
        if (watch->stopped && !watch->done && world_is_runnable(world, watch->then)) {
            watch->done = true;
            choice->fiber = watch->then;
        }
        if (watch->stop_at && strcmp(point->site->expression, watch->stop_at) == 0 &&
            point->site->kind == MF2_POINT_EXCHANGE)
            watch->stopped = true; // done when its next point comes
    }
}
static const struct world_strategy watching = {.name = "watch", .pick = watch_pick};

// A and B act before; then, as fibers, C allocates, watched, and D frees one block more.
static void *left_for_d;
static void c_allocates(void *unused) {
    (void)unused;
    one();
    mf2_thread_exit();
}
static void does_nothing(void *unused) {
    (void)unused;
}
static void d_frees(void *unused) {
    (void)unused;
    mf2_free(left_for_d);
}
static void before_the_watch(void *unused) {
    (void)unused;
    void *blocks[2 * PER_PAGE];
    act_as(A);
    some(blocks, 2 * PER_PAGE);
    act_as(B);
    release(blocks, 2);
    left_for_d = blocks[2];
}
static struct mf2_counters watched(const char *route, struct watch *watch) {
    struct world_options options = test_options(route, 8);
    options.strategy = &watching;
    options.strategy_self = watch;
    stage = test_world(&options);
    ck_assert_int_eq(world_call(stage, before_the_watch, NULL), WORLD_DONE);
    world_snapshot(stage);
    world_reset(stage, 1);
    // Fibers are numbered as threads that act: A and B keep their pages and do nothing.
    ck_assert_uint_eq(world_spawn(stage, does_nothing, NULL), A);
    ck_assert_uint_eq(world_spawn(stage, does_nothing, NULL), B);
    ck_assert_uint_eq(world_spawn(stage, c_allocates, NULL), C);
    ck_assert_uint_eq(world_spawn(stage, d_frees, NULL), D);
    watch->watched = C;
    watch->then = D;
    enum world_end end = world_run(stage);
    ck_assert_msg(end == WORLD_DONE, "%s: %s", route, world_message(stage));
    struct mf2_counters counters;
    world_counters(stage, &counters);
    world_destroy(stage);
    return counters;
}
static size_t place(const struct watch *watch, uint8_t kind, const char *expression) {
    char entry[64];
    snprintf(entry, sizeof entry, "%u %s;", kind, expression);
    const char *found = strstr(watch->log, entry);
    return found ? (size_t)(found - watch->log) : SIZE_MAX;
}
START_TEST(claim) {
    struct watch claimed = {0}, unclaimed = {0};
    watched("cda-claim", &claimed);
    watched("cda", &unclaimed);
    ck_assert_uint_lt(place(&claimed, MF2_POINT_CAS, "&page->holder"),
                      place(&claimed, MF2_POINT_EXCHANGE, "&page->remote_head"));
    ck_assert_uint_lt(place(&unclaimed, MF2_POINT_EXCHANGE, "&page->remote_head"),
                      place(&unclaimed, MF2_POINT_CAS, "&page->holder"));
}
END_TEST
START_TEST(protocol) {
    struct watch counted = {0}, word = {0};
    watched("cda-claim", &counted);
    watched("cda-claim,protocol=word", &word);
    ck_assert_uint_ne(place(&counted, MF2_POINT_EXCHANGE, "&page->remote_head"), SIZE_MAX);
    ck_assert_uint_eq(place(&counted, MF2_POINT_CAS, "&page->word"), SIZE_MAX);
    ck_assert_uint_ne(place(&word, MF2_POINT_CAS, "&page->word"), SIZE_MAX);
    ck_assert_uint_eq(place(&word, MF2_POINT_EXCHANGE, "&page->remote_head"), SIZE_MAX);
}
END_TEST
START_TEST(scan) {
    struct watch all = {0}, mask = {0};
    watched("cda", &all);
    watched("cda,scan=mask", &mask);
    ck_assert_uint_eq(place(&all, MF2_POINT_LOAD, "&mask[word]"), SIZE_MAX);
    ck_assert_uint_ne(place(&mask, MF2_POINT_LOAD, "&mask[word]"), SIZE_MAX);
}
END_TEST
// D frees into the page that C has just emptied of its remote frees: one free, below the threshold
// of two, so that only the re-enqueueing after the drain tells anybody of it.
START_TEST(reenqueue) {
    struct watch off = {.stop_at = "&page->remote_head"}, on = off;
    ck_assert_uint_eq(watched("cda-t2", &off).reenqueued, 0);
    ck_assert_uint_eq(watched("cda-t2,reenqueue=on", &on).reenqueued, 1);
    ck_assert(off.done && on.done);
}
END_TEST

CHECK_MAIN("alloc_switches", drain, notify, must_reuse, budget, full_free, partial, orphans, empty,
           gates, helper, borrow, claim, protocol, scan, reenqueue)
