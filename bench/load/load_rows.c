// load_rows.c: the table of rows. What a row shows and whom it favours: doc/bench.md.
//
// Memory mode's slots are chosen so that at least 100 MB of requested bytes are live at the peak.
#include "load.h"

#define KIB 1024u
#define MIB (1024u * KIB)

#define SIZES(least, most)   .least_bytes = (least), .most_bytes = (most)
#define SIZE(bytes)          SIZES(bytes, (bytes) + 1)
#define MIDDLE_SIZES         SIZES(4 * KIB, 64 * KIB), .touch = LOAD_TOUCH_WORD_PER_PAGE, .keeps = true
#define MIDDLE_SLOTS         3072 // 107 MB
#define SLOTS(speed, memory) .speed_slots = (speed), .memory_slots = (memory)

#define LARSON_SMALL(n)                                                                            \
    {                                                                                              \
        .name = "larson-small-" #n, .family = &load_larson, .threads = n, SIZES(8, 1000),          \
        SLOTS(5000 * n, 204800), .memory_rounds = 4, .speed_lifetime = 100, .memory_lifetime = 4,  \
        .touch = LOAD_TOUCH_TWO_BYTES, .meaning = "Larson, 8 to 999 bytes, 100 rounds a thread"    \
    }
#define LARSON_MIDDLE(n)                                                                           \
    {                                                                                              \
        .name = "larson-middle-" #n, .family = &load_larson, .threads = n, SIZES(2048, 32768),     \
        SLOTS(10000 * n, 6144), .memory_rounds = 20, .speed_lifetime = 1, .memory_lifetime = 1,    \
        .touch = LOAD_TOUCH_TWO_BYTES, .keeps = true,                                              \
        .meaning = "Larson, 2048 to 32767 bytes, 1 round a thread"                                 \
    }
#define PRODUCER_CONSUMER(n, rounds)                                                               \
    {                                                                                              \
        .name = "producer-consumer-" #n, .family = &load_queue, .threads = n, MIDDLE_SIZES,        \
        SLOTS(MIDDLE_SLOTS, MIDDLE_SLOTS), .memory_rounds = rounds, .batch = 64, .producers = 1,   \
        .consumers = 1, .meaning = "pairs of threads: one allocates 4 to 64 KiB, the other frees"  \
    }
#define MIX(n, percent, rounds)                                                                    \
    {                                                                                              \
        .name = "mix-" #n "-remote-" #percent, .family = &load_mix, .threads = n, MIDDLE_SIZES,    \
        SLOTS(2 * MIDDLE_SLOTS, MIDDLE_SLOTS), .memory_rounds = rounds, .batch = 16,               \
        .remote_percent = percent,                                                                 \
        .meaning = "4 to 64 KiB replaced at random, " #percent " % freed by another thread"        \
    }

// clang-format off
static const struct load_row rows[] = {
    LARSON_SMALL(1), LARSON_SMALL(2), LARSON_SMALL(4),
    LARSON_MIDDLE(1), LARSON_MIDDLE(2), LARSON_MIDDLE(4),
    {.name = "mailbox-64", .family = &load_queue, .threads = 4, SIZE(64), SLOTS(409600, 1638400),
     .memory_rounds = 600, .touch = LOAD_TOUCH_128_BYTES, .batch = 4096, .producers = 2, .consumers = 2,
     .meaning = "two allocate 64 bytes, two free, in batches of 4096"},
    {.name = "mailbox-16k", .family = &load_queue, .threads = 4, SIZE(16 * KIB), SLOTS(6400, 6400),
     .memory_rounds = 800, .touch = LOAD_TOUCH_128_BYTES, .batch = 64, .producers = 2, .consumers = 2,
     .keeps = true, .meaning = "two allocate 16 KiB, two free, in batches of 64"},
    PRODUCER_CONSUMER(2, 960), PRODUCER_CONSUMER(4, 480), PRODUCER_CONSUMER(8, 240),
    MIX(2, 0, 120), MIX(2, 50, 120), MIX(2, 90, 120),
    MIX(4, 0, 60), MIX(4, 50, 60), MIX(4, 90, 60),
    MIX(8, 0, 30), MIX(8, 50, 30), MIX(8, 90, 30),
    {.name = "phase", .family = &load_phase, .threads = 4, MIDDLE_SIZES, SLOTS(MIDDLE_SLOTS, MIDDLE_SLOTS),
     .memory_rounds = 12, .meaning = "all fill, hand over to the neighbour, free; 4 to 64 KiB"},
    {.name = "churn", .family = &load_churn, .threads = 4, MIDDLE_SIZES, SLOTS(MIDDLE_SLOTS, MIDDLE_SLOTS),
     .memory_rounds = 12, .meaning = "threads replace what the dead left, and die; 4 to 64 KiB"},
    {.name = "strand", .family = &load_strand, .threads = 8, MIDDLE_SIZES, SLOTS(MIDDLE_SLOTS, MIDDLE_SLOTS),
     .memory_rounds = 3, .meaning = "one set goes round threads that sleep otherwise; 4 to 64 KiB"},
    {.name = "reclaimer", .family = &load_queue, .threads = 4, MIDDLE_SIZES, SLOTS(MIDDLE_SLOTS, MIDDLE_SLOTS),
     .memory_rounds = 320, .batch = 64, .producers = 3, .consumers = 1,
     .meaning = "three allocate 4 to 64 KiB, one only frees"},
    {.name = "reclaimer-592", .family = &load_queue, .threads = 4, SIZE(592), SLOTS(65536, 196608),
     .memory_rounds = 5120, .touch = LOAD_TOUCH_WORD_PER_PAGE, .batch = 64, .producers = 3, .consumers = 1,
     .meaning = "three allocate 592 bytes, one only frees; 65,536 in flight"},
    {.name = "pairs", .family = &load_single, .single = single_stack, .threads = 1, SIZES(16, 256), SLOTS(1, 1),
     .touch = LOAD_TOUCH_TWO_BYTES, .meaning = "16 to 255 bytes allocated and freed at once"},
    {.name = "stack", .family = &load_single, .single = single_stack, .threads = 1, SIZES(16, 256),
     SLOTS(1024, 819200), .memory_rounds = 3, .touch = LOAD_TOUCH_TWO_BYTES,
     .meaning = "objects of 16 to 255 bytes, last in first out"},
    {.name = "tree", .family = &load_single, .single = single_tree, .threads = 1, SIZE(32),
     SLOTS(1u << 16, 1u << 22), .memory_rounds = 2, .touch = LOAD_TOUCH_TWO_BYTES,
     .meaning = "complete binary trees of 32-byte nodes, built and freed"},
    {.name = "objects", .family = &load_single, .single = single_objects, .threads = 1, SIZES(16, 1024),
     SLOTS(16384, 327680), .memory_rounds = 2000, .touch = LOAD_TOUCH_TWO_BYTES,
     .meaning = "16 to 1023 bytes, most of them small, replaced at random"},
    {.name = "realloc", .family = &load_single, .single = single_realloc, .threads = 1, SIZES(32, MIB),
     SLOTS(64, 1024), .memory_rounds = 50, .touch = LOAD_TOUCH_WORD_PER_PAGE, .keeps = true,
     .meaning = "buffers grow by half from 32 bytes to 1 MiB"},
    {.name = "calloc", .family = &load_single, .single = single_calloc, .threads = 1, SIZES(64, 32 * KIB),
     SLOTS(512, 8192), .memory_rounds = 100, .touch = LOAD_TOUCH_WORD_PER_PAGE, .keeps = true,
     .meaning = "calloc of 64 bytes to 32 KiB, replaced at random"},
    {.name = "aligned", .family = &load_single, .single = single_aligned, .threads = 1, SIZES(16, 8 * KIB),
     SLOTS(4096, 32768), .memory_rounds = 200, .touch = LOAD_TOUCH_WORD_PER_PAGE, .keeps = true,
     .meaning = "posix_memalign of 16 bytes to 8 KiB, alignment 16 to 4096"},
    {.name = "large", .family = &load_single, .single = single_large, .threads = 1, SIZES(64 * KIB, 64 * MIB),
     SLOTS(16, 16), .memory_rounds = 200, .touch = LOAD_TOUCH_WORD_PER_PAGE,
     .meaning = "64 KiB to 64 MiB, sixteen at a time"},
};
// clang-format on

const struct load_row *load_row_at(size_t i) {
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}
