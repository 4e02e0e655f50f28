// player.h: what `hakreplay measure` and the process that plays for it share: the plan (a trace
// made ready to be played) and the board (a shared mapping through which they talk).
//
// The player is a process of its own, linked to the C library and nothing else, so that the
// allocator preloaded into it serves the recorded program and what the C library itself asks for.
// What the player needs for itself is mapped, shared, and written before the play begins: it counts
// neither as the allocator's memory (which is anonymous) nor as its page faults.
//
// Words
//   plan     a file of 8-byte words: for each stream, the calls that it makes
//   stream   what one OS thread does: one recorded thread, or several folded on it in their order
//   slot     where a live block's address is kept. A stream's own slots are its alone; a shared one
//            hands a block from the stream that makes it to the one that gives it up
//   tag      which life of a shared slot is meant, from 1
//   segment  1 KiB of the plan
#ifndef HAK_PLAYER_H
#define HAK_PLAYER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// ---------------------------------------------------------------- the plan
//
// A word:   63        37 36            7 6    0
//           |    slot    |   argument   | kind |
//
// A stream's words lie in blocks of whole segments, chained by JUMP; the last word is END. A call's
// words are never split over two blocks. PLAYER_PADDING_BYTES follow the last block.
//
// Where four calls of the first three kinds follow one another in a block, the first one's kind
// names all four (PLAYER_GROUP + their kinds as digits to the base three, the first one the
// lowest): whoever plays for time branches once for them, others see four calls as before.
enum player_kind {
    PLAYER_MORE,    // belongs to the call before it
    PLAYER_MALLOC,  // slot ← argument bytes
    PLAYER_CALLOC,  // likewise, zero
    PLAYER_FREE,    // slot
    PLAYER_ALIGNED, // as malloc; MORE: argument = log2 of the alignment
    PLAYER_REALLOC, // slot, argument = new bytes; MORE: slot = the new one, argument = old bytes
    PLAYER_USABLE,  // slot, argument = at least that many bytes
    PLAYER_GIVE,   // own slot 0 → shared slot; argument = tag, then the stream that had it before
    PLAYER_TAKE,   // shared slot → own slot 0; argument = tag, then the stream that gives
    PLAYER_CREATE, // argument = the stream whose thread begins
    PLAYER_JOIN,   // argument = the stream whose thread has ended
    PLAYER_SIGNAL, // folded threads: this stream's milestones + 1
    PLAYER_AWAIT,  // slot = a stream, argument = how many milestones it must have reached
    PLAYER_WIDE,   // argument = what the next call's bytes have above their argument
    PLAYER_PACE,   // slot and argument: nanoseconds since the beginning, not before which to go on
    PLAYER_JUMP,   // argument = segment of the next block, slot = its words
    PLAYER_END,    // argument = 1: the thread exits; 0: it lives until the play is over
    PLAYER_KIND_COUNT,
    PLAYER_GROUP = 32, // the first of 3⁴
    PLAYER_GROUP_END = PLAYER_GROUP + 81,
};

#define PLAYER_KIND_BITS     7
#define PLAYER_SLOT_BITS     27
#define PLAYER_SLOT_MAX      ((UINT64_C(1) << PLAYER_SLOT_BITS) - 1)
#define PLAYER_ARGUMENT_BITS 30
#define PLAYER_ARGUMENT_MAX  ((UINT64_C(1) << PLAYER_ARGUMENT_BITS) - 1)
#define PLAYER_GROUP_CALLS   4
#define PLAYER_GROUP_KINDS   3
#define PLAYER_SEGMENT_BYTES 1024
#define PLAYER_PADDING_BYTES PLAYER_SEGMENT_BYTES
#define PLAYER_STREAMS_MAX   65535 // their numbers take 16 bits
#define PLAYER_TAG_MAX       16383 // with a stream's number it is an argument

static inline uint64_t player_word(unsigned kind, uint64_t slot, uint64_t argument) {
    return slot << (PLAYER_KIND_BITS + PLAYER_ARGUMENT_BITS) | argument << PLAYER_KIND_BITS |
           (uint64_t)kind;
}
// Its own, or that of a group.
static inline unsigned player_word_head(uint64_t word) {
    return (unsigned)word & ((1u << PLAYER_KIND_BITS) - 1);
}
static inline enum player_kind player_word_kind(uint64_t word) {
    unsigned head = player_word_head(word);
    return (enum player_kind)(
        head < PLAYER_GROUP ? head : PLAYER_MALLOC + (head - PLAYER_GROUP) % PLAYER_GROUP_KINDS);
}
static inline uint64_t player_word_slot(uint64_t word) {
    return word >> (PLAYER_KIND_BITS + PLAYER_ARGUMENT_BITS);
}
static inline uint64_t player_word_argument(uint64_t word) {
    return word >> PLAYER_KIND_BITS & PLAYER_ARGUMENT_MAX;
}
static inline uint64_t player_word_time_ns(uint64_t word) {
    return word >> PLAYER_KIND_BITS;
}

// ---------------------------------------------------------------- latencies
//
// Ticks of the processor's counter in buckets: below 32 one each, above that 32 for every doubling,
// so that a bucket is at most 3 % wide.
#define PLAYER_BUCKET_BITS 5
#define PLAYER_TICK_BITS   36 // longer ones count as the longest
#define PLAYER_BUCKETS     ((PLAYER_TICK_BITS - PLAYER_BUCKET_BITS + 1) << PLAYER_BUCKET_BITS)

enum player_call { PLAYER_CALL_MALLOC, PLAYER_CALL_REALLOC, PLAYER_CALL_FREE, PLAYER_CALL_COUNT };

//
// Streams whose numbers are equal modulo PLAYER_LATENCY_SETS_MAX share a set, and add atomically: a
// set for each would take more memory than the plan of a program with many short threads.
#define PLAYER_LATENCY_SETS_MAX 64

struct player_latency {
    _Atomic uint64_t ticks_sum, ticks_max;
    _Atomic uint32_t buckets[PLAYER_BUCKETS]; // how many calls
};
struct player_latency_set {
    struct player_latency calls[PLAYER_CALL_COUNT];
};

static inline unsigned player_bucket(uint64_t ticks) {
    if (ticks >> PLAYER_TICK_BITS != 0)
        return PLAYER_BUCKETS - 1;
    if (ticks >> PLAYER_BUCKET_BITS == 0)
        return (unsigned)ticks;
    unsigned shift = (unsigned)(63 - __builtin_clzll(ticks)) - PLAYER_BUCKET_BITS;
    return ((shift + 1) << PLAYER_BUCKET_BITS) + (unsigned)(ticks >> shift) -
           (1u << PLAYER_BUCKET_BITS);
}

// ---------------------------------------------------------------- the board

enum player_touch {
    PLAYER_TOUCH_NONE,    // nothing is written
    PLAYER_TOUCH_ALL,     // every byte asked for is written
    PLAYER_TOUCH_SAMPLED, // the first part of each block, one word every 4 KiB
};

enum player_phase {
    PLAYER_STARTING, // the player's own code has not run yet
    PLAYER_READY,    // mapped, about to play
    PLAYER_PLAYING,
    PLAYER_RESTING, // played; idle
    PLAYER_DONE,
};

enum player_failure {
    PLAYER_FAILURE_NONE,
    PLAYER_FAILURE_SIGNAL,  // value: its number
    PLAYER_FAILURE_MEMORY,  // an allocation returned NULL; value: bytes
    PLAYER_FAILURE_BLOCK,   // a block was not as the allocator owes it (text)
    PLAYER_FAILURE_LIBRARY, // the library preloaded is no allocator (text)
    PLAYER_FAILURE_HARNESS, // the player itself could not go on (text)
};

#define PLAYER_TEXT_MAX 256
#define PLAYER_WAITING  UINT64_C(1) // in player_stream.state
#define PLAYER_SLEEPING UINT64_C(2)

// One stream. The first line is the playing thread's, written at every call; the second is for
// others that wait for it.
struct player_stream {
    _Alignas(64) _Atomic uint64_t word; // address of that of the call it is in; 0: not begun
    _Atomic uint64_t word_bias;         // + address = byte offset in the plan
    _Atomic uint64_t state;             // 0, PLAYER_WAITING or PLAYER_SLEEPING
    _Atomic uint64_t sought; // bit n: somebody waits for slot or milestone n modulo 64 from here
    _Atomic uint64_t milestones;
    _Alignas(64) _Atomic uint32_t bell; // futex: rung after something sought has happened
    _Atomic uint32_t life;              // futex: 1 once its thread exists
    uint64_t thread;                    // pthread_t, once life is 1
    // What the plan says of it.
    uint64_t first_block, own_slots; // byte offset; how many, slot 0 included
    uint64_t own_first;              // of its slots in the player's table
    uint32_t first_words;            // of the first block; 0: it does nothing
    bool begins, is_joined;          // before the play; somebody waits for its end
};

struct player_options {
    uint64_t plan_bytes, block_bytes_max; // of the file; of its longest block
    uint64_t shared_slots, block_size_max;
    uint64_t idle_ns;
    uint32_t stream_count, main_stream;
    uint32_t sample_every; // one call in so many is timed, at the whole's cost; 0: none
    uint32_t touch;        // enum player_touch
    bool plan_is_held;     // the whole plan is in memory before the play; else block by block
    bool is_checked;       // contents of all blocks are checked
    bool is_null;          // no allocator at all: the player's own cost
    bool is_paced;         // begin no call before its recorded time
    bool has_aligned;
    uint16_t touched_part[64];     // by log2 of the size, in 1/65535; for PLAYER_TOUCH_SAMPLED
    char library[PLAYER_TEXT_MAX]; // the file that must serve malloc; empty: the C library
};

struct player_memory {
    uint64_t anonymous, file, shared, peak; // bytes; peak: of the three together
};

struct player_results {
    uint64_t wall_ns, processor_ns, ticks;
    uint64_t minor_faults, major_faults;
    uint64_t clock_ticks; // what timing a call costs, at least; it is within the latencies
    struct player_memory ready, played, rested;
};

struct player_board {
    struct player_options options; // written by the measurer before the start
    _Atomic uint32_t phase;        // enum player_phase
    _Atomic uint32_t unfinished;   // futex: streams that have not ended
    _Atomic uint32_t gate;         // futex: 1 = play; 2 = over, every thread may go
    _Atomic uint32_t failure;      // enum player_failure; the first one counts
    uint32_t failed_stream;        // or PLAYER_NO_STREAM
    uint64_t failed_place, failed_value;
    char failure_text[PLAYER_TEXT_MAX];
    char version[PLAYER_TEXT_MAX]; // what the allocator says of itself
    struct player_results results;
    struct player_stream streams[]; // then the sets of latencies
};

// Byte offset in the plan of the call that a stream is in; 0: it has not begun. Nonsense where it
// is just turning to another block of the plan.
static inline uint64_t player_place(const struct player_stream *stream) {
    uint64_t word = atomic_load_explicit(&stream->word, memory_order_relaxed);
    uint64_t bias = atomic_load_explicit(&stream->word_bias, memory_order_relaxed);
    return word == 0 ? 0 : word + bias;
}
static inline uint32_t player_latency_sets(uint32_t streams) {
    return streams < PLAYER_LATENCY_SETS_MAX ? streams : PLAYER_LATENCY_SETS_MAX;
}
static inline uint64_t player_board_bytes(uint32_t streams) {
    return sizeof(struct player_board) + streams * sizeof(struct player_stream) +
           player_latency_sets(streams) * sizeof(struct player_latency_set);
}
static inline struct player_latency_set *player_latency_set(const struct player_board *board,
                                                            uint32_t stream) {
    return (struct player_latency_set *)(uintptr_t)&board->streams[board->options.stream_count] +
           stream % PLAYER_LATENCY_SETS_MAX;
}

// The player's command line: hakplayer PLAN BOARD, both numbers of open files.
#define PLAYER_NO_STREAM   UINT32_MAX
#define PLAYER_EXIT_FAILED 1

#endif
