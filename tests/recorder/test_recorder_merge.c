// test_recorder_merge.c: the drainer's merge and address map, fed by hand.
//
// Owns: two rings without a program, whose records have the stamps that real clocks only give once
// in a long while: equal, slightly inverted, late. Threads: one.
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drainer.h"
#include "stamp.h"

enum { RINGS = 2 };

static struct drain_clock tsc = {RING_CLOCK_TSC, 1.0, 0};
static struct drain_session *session;
static uint64_t base; // stamps are given relative to it; all of them lie in the past

void drainer_say(int control, const char *format, ...) {
    (void)control;
    ck_abort_msg("unexpected: %s", format);
}

void drain_session_fail(struct drain_session *failed, const char *text) {
    (void)failed;
    ck_abort_msg("unexpected: %s", text);
}

static struct ring_control *control_of(unsigned ring) {
    return (struct ring_control *)((char *)session->ring + session->ring->controls_offset) + ring;
}

static void setup(void) {
    struct trace_error error;
    struct trace_writer_options options = {.overwrite = true};
    uint64_t records = 4096 + RINGS * sizeof(struct ring_control);
    size_t bytes = records + ring_records_before(RINGS) * sizeof(struct ring_record);
    session = calloc(1, sizeof *session);
    session->ring = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    memset(session->ring, 0, bytes);
    session->ring->controls_offset = 4096;
    session->ring->records_offset = records;
    session->ring->ring_high = RINGS;
    session->clock = &tsc;
    session->ticks_per_stamp = 1ull << 48;
    session->control = -1;
    ck_assert(drain_spool_open(&session->spool, ".", 0));
    base = session->base_stamp = stamp_now(RING_CLOCK_TSC) - 1000000;
    ck_assert(address_map_open(&session->objects));
    session->writer = trace_writer_create("merge.zst", "{\"format\":\"hak-trace\",\"tick_ns\":1}",
                                          &options, &error);
    ck_assert_msg(session->writer != NULL, "%s", error.text);
    for (unsigned ring = 0; ring < RINGS; ring++) {
        control_of(ring)->thread = ring;
        control_of(ring)->state = RING_LIVE;
    }
}

static void teardown(void) {
    struct trace_error error;
    ck_assert_int_eq(trace_writer_close(session->writer, NULL, &error), 0);
    unlink("merge.zst");
    address_map_close(&session->objects);
    for (unsigned ring = 0; ring < RINGS; ring++)
        drain_spool_forget(&session->queues[ring]);
    drain_spool_close(&session->spool);
    free(session->threads);
    free(session->ring);
    free(session);
}

static void put(unsigned ring, uint64_t stamp, uint8_t op, uint64_t address) {
    struct ring_record *records =
        (struct ring_record *)((char *)session->ring + session->ring->records_offset) +
        ring_records_before(ring);
    uint64_t head = control_of(ring)->head;
    records[head % ring_records(ring)] =
        (struct ring_record){.stamp = base + stamp, .op = op, .address = address, .size = 8};
    control_of(ring)->head = head + 1;
}

static void expect(uint64_t ties, uint64_t skewed, uint64_t late) {
    ck_assert_uint_eq(session->counts.ties, ties);
    ck_assert_uint_eq(session->counts.skewed, skewed);
    ck_assert_uint_eq(session->counts.late, late);
    ck_assert_uint_eq(session->counts.unknown_frees, 0);
    ck_assert_uint_eq(session->counts.unseen_frees, 0);
    ck_assert_uint_eq(session->counts.lost, 0);
}

static void expect_ops(unsigned count, const uint8_t *ops) {
    struct trace_event events[16];
    struct trace_error error;
    ck_assert_int_eq(trace_writer_flush(session->writer, &error), 0);
    struct trace_reader *reader = trace_reader_open("merge.zst", &error);
    ck_assert_msg(reader != NULL, "%s", error.text);
    ck_assert_int_eq(trace_reader_next(reader, events, 16, &error), count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_uint_eq(events[i].op, ops[i]);
    trace_reader_close(reader);
}

// The ring of the freeing thread comes first, so that no order of rings can save the day.
START_TEST(free_stamped_before_its_allocation) {
    put(0, 100, TRACE_FREE, 0x1000);
    put(1, 110, TRACE_MALLOC, 0x1000);
    drain_merge_pass(session, false);
    expect(0, 1, 0);
}
END_TEST

START_TEST(free_stamped_with_its_allocation) {
    put(0, 100, TRACE_FREE, 0x1000);
    put(1, 100, TRACE_MALLOC, 0x1000);
    drain_merge_pass(session, false);
    expect(1, 0, 0);
}
END_TEST

START_TEST(reuse_stamped_before_the_free) {
    put(1, 50, TRACE_MALLOC, 0x1000);
    put(0, 100, TRACE_MALLOC, 0x1000);
    put(1, 110, TRACE_FREE, 0x1000);
    put(0, 200, TRACE_FREE, 0x1000);
    drain_merge_pass(session, false);
    expect(0, 1, 0);
}
END_TEST

START_TEST(late_record_comes_first_in_the_next_pass) {
    put(0, 100, TRACE_MALLOC, 0x1000);
    drain_merge_pass(session, false);
    put(1, 50, TRACE_MALLOC, 0x2000);
    put(0, 60, TRACE_FREE, 0x2000);
    drain_merge_pass(session, false);
    expect(0, 0, 2);
    ck_assert_uint_eq(session->time_stamp, base + 100);
}
END_TEST

START_TEST(record_after_the_seal_waits) {
    put(0, 1ull << 40, TRACE_MALLOC, 0x1000);
    ck_assert_uint_eq(drain_merge_pass(session, false), 0);
    ck_assert_uint_eq(drain_merge_pass(session, true), 1);
}
END_TEST

// Both rings full, and a spool of which most is kept for rings without anything in it.
START_TEST(a_full_spool_keeps_the_order_and_loses_nothing) {
    static struct trace_event events[RINGS * RING_RECORDS + 1];
    struct trace_error error;
    session->spool.segment_max = (uint32_t)_i;
    for (uint64_t i = 0; i < RING_RECORDS; i++) // one ring is far ahead of the other at times
        for (unsigned ring = 0; ring < RINGS; ring++)
            put(ring, ring == 0 ? 10 * i : i < 1000 ? i : 9000 + 6 * i, TRACE_FREE_NULL, 0);
    uint64_t taken = 0;
    for (unsigned passes = 0; passes == 0 || session->has_backlog; passes++) {
        ck_assert_uint_lt(passes, 10000);
        taken += drain_merge_pass(session, false);
    }
    ck_assert_uint_eq(taken, RINGS * RING_RECORDS);
    ck_assert_uint_gt(session->spool.full, 0);
    ck_assert_uint_le(session->spool.held_max, (uint64_t)_i * DRAIN_SEGMENT_RECORDS);
    ck_assert_uint_eq(session->spool.held, 0);
    expect(0, 0, 0);
    ck_assert_int_eq(trace_writer_flush(session->writer, &error), 0);
    struct trace_reader *reader = trace_reader_open("merge.zst", &error);
    ck_assert_int_eq(trace_reader_next(reader, events, RINGS * RING_RECORDS + 1, &error),
                     RINGS * RING_RECORDS);
    uint64_t before[RINGS] = {0};
    for (unsigned i = 0; i < RINGS * RING_RECORDS; i++) {
        ck_assert_uint_ge(events[i].time_ticks, before[events[i].thread]);
        before[events[i].thread] = events[i].time_ticks;
    }
    trace_reader_close(reader);
}
END_TEST

// What a thread left in the spool stays its own when its ring is another's.
START_TEST(a_ring_changes_hands_before_it_is_merged) {
    struct trace_event events[4];
    struct trace_error error;
    put(0, 1ull << 40, TRACE_FREE_NULL, 0); // after the seal
    ck_assert_uint_eq(drain_merge_pass(session, false), 0);
    control_of(0)->thread = 7;
    put(0, (1ull << 40) + 1, TRACE_FREE_NULL, 0);
    put(0, (1ull << 40) + 2, TRACE_FREE_NULL, 0);
    ck_assert_uint_eq(drain_merge_pass(session, true), 3);
    ck_assert_int_eq(trace_writer_flush(session->writer, &error), 0);
    struct trace_reader *reader = trace_reader_open("merge.zst", &error);
    ck_assert_int_eq(trace_reader_next(reader, events, 4, &error), 3);
    ck_assert_uint_ne(events[0].thread, events[1].thread);
    ck_assert_uint_eq(events[1].thread, events[2].thread);
    trace_reader_close(reader);
}
END_TEST

START_TEST(block_freed_unseen_is_freed_before_its_address_returns) {
    put(0, 100, TRACE_MALLOC, 0x1000);
    put(1, 200, TRACE_MALLOC, 0x1000);
    drain_merge_pass(session, false);
    ck_assert_uint_eq(session->counts.unseen_frees, 1);
    struct trace_writer_totals totals;
    trace_writer_totals(session->writer, &totals);
    ck_assert_uint_eq(totals.events, 3);
}
END_TEST

// A handler's calls in the middle of a realloc of the same thread follow its end.
START_TEST(calls_within_a_realloc_are_put_after_it) {
    put(0, 100, TRACE_MALLOC, 0x1000);
    put(0, 200, TRACE_REALLOC_RELEASE, 0x1000);
    put(0, 210, TRACE_MALLOC, 0x2000);
    put(0, 220, TRACE_REALLOC_ACQUIRE, 0x3000);
    put(0, 230, TRACE_FREE, 0x2000);
    put(0, 240, TRACE_FREE, 0x3000);
    drain_merge_pass(session, false);
    expect(0, 0, 0);
    ck_assert_uint_eq(session->counts.deferred, 1);
    ck_assert_uint_eq(session->objects.count, 0);
    static const uint8_t ops[] = {
        TRACE_MALLOC, TRACE_REALLOC_RELEASE, TRACE_REALLOC_ACQUIRE, TRACE_MALLOC, TRACE_FREE,
        TRACE_FREE};
    expect_ops(6, ops);
}
END_TEST

START_TEST(realloc_that_freed_is_a_free) {
    put(0, 100, TRACE_MALLOC, 0x1000);
    put(0, 200, TRACE_REALLOC_RELEASE, 0x1000);
    put(1, 210, TRACE_MALLOC, 0x1000); // somebody else has it by then
    put(0, 220, RING_OP_REALLOC_FREED, 0x1000);
    put(1, 230, TRACE_FREE, 0x1000);
    drain_merge_pass(session, false);
    expect(0, 0, 0);
    ck_assert_uint_eq(session->objects.count, 0);
    static const uint8_t ops[] = {TRACE_MALLOC, TRACE_REALLOC_RELEASE,
                                  TRACE_MALLOC, TRACE_REALLOC_FAIL,
                                  TRACE_FREE,   TRACE_FREE};
    expect_ops(6, ops);
}
END_TEST

// Against an array, with few addresses, so that runs of slots form and break.
START_TEST(address_map_agrees_with_an_array) {
    enum { ADDRESSES = 6000 };
    static uint64_t expected[ADDRESSES]; // object + 1, 0 = absent
    struct address_map map;
    uint64_t random = 88172645463325252u;
    ck_assert(address_map_open(&map));
    for (uint64_t step = 1; step < 400000; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t i = random % ADDRESSES, address = 0x1000 + 16 * i, object = 0;
        bool present = expected[i] != 0;
        ck_assert_int_eq(address_map_find(&map, address, &object), present);
        ck_assert(!present || object + 1 == expected[i]);
        if (present)
            ck_assert(address_map_remove(&map, address, &object) && object + 1 == expected[i]);
        else
            ck_assert(!address_map_remove(&map, address, &object) &&
                      address_map_add(&map, address, step));
        expected[i] = present ? 0 : step + 1;
    }
    address_map_close(&map);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("merge");
    TCase *cases = tcase_create("merge");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, free_stamped_before_its_allocation);
    tcase_add_test(cases, free_stamped_with_its_allocation);
    tcase_add_test(cases, reuse_stamped_before_the_free);
    tcase_add_test(cases, late_record_comes_first_in_the_next_pass);
    tcase_add_test(cases, record_after_the_seal_waits);
    tcase_add_loop_test(cases, a_full_spool_keeps_the_order_and_loses_nothing, 3, 9);
    tcase_add_test(cases, a_ring_changes_hands_before_it_is_merged);
    tcase_add_test(cases, block_freed_unseen_is_freed_before_its_address_returns);
    tcase_add_test(cases, calls_within_a_realloc_are_put_after_it);
    tcase_add_test(cases, realloc_that_freed_is_a_free);
    tcase_add_test(cases, address_map_agrees_with_an_array);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
