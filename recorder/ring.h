// ring.h: the memory that a recorded process shares with the drainer, and the hello between them.
//
// Owns: the layout of that mapping and the messages that establish it. Nothing here is stored in
// a trace. Both sides are built together; `RING_VERSION` only guards against a stale library.
//
// Words: a *session* is one process image being recorded (a fork child and an exec'd image are
// sessions of their own); a *ring* is one single-producer queue of records; a thread has one ring
// per *level*, level 0 for its ordinary calls and the next for calls made by a signal handler
// that interrupted the recorder, so that a ring never has two writers; a *stamp* is a reading of
// the session's clock (stamp.h); *raw* thread ids count from 0 per session as threads turn up.
//
//     +----------------+ 0
//     | ring_session   |
//     +----------------+ modules_offset      struct ring_module [modules_capacity]
//     | module log     |
//     +----------------+ place_index_offset  u32 [RING_PLACE_SLOTS]: number of a place, 0 = free
//     | place index    |
//     +----------------+ places_offset       struct ring_place [RING_PLACES_MAX]
//     | places         |
//     +----------------+ controls_offset     struct ring_control [ring_count]
//     | ring controls  |
//     +----------------+ records_offset      struct ring_record, ring after ring
//     | ring records   |                     the first RING_LARGE_COUNT rings have more
//     +----------------+ mapping_bytes       sparse: a page costs memory once it is touched
//
// Threads: each field names its writer. "program" is any thread of the recorded process, "owner"
// the one thread that a ring belongs to, "drainer" the one drainer thread of this session.
#ifndef HAK_RING_H
#define HAK_RING_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define RING_MAGIC   0x676e69526b6148ULL // "HakRing"
#define RING_VERSION 3u

#define RING_COUNT_MAX 4096u
#define RING_RECORDS   2048u // 64 KiB a ring; a power of two
#define RING_RECORDS_LARGE                                                                         \
    8192u // 256 KiB; of the first rings, which are all that most programs have
#define RING_LARGE_COUNT      32u
#define RING_LEVELS           4u
#define RING_MODULES_MAX      4096u
#define RING_PLACES_MAX       (1u << 17) // 3 MiB
#define RING_PLACE_SLOTS      (1u << 18) // 1 MiB
#define RING_NODE_SLOTS       (1u << 20) // 8 MiB
#define RING_STACK_FRAMES_MAX 192u
#define RING_STACK_CUT        1u // a return address, so that the place of the call is 0
#define RING_PLACE_CUT        1u // its place
#define RING_STACK_SPELLED    UINT32_MAX

#define RING_SOCKET_VARIABLE "HAKREC_SOCKET"

// What a record says beyond enum trace_op.
enum ring_op {
    RING_OP_MAP = 22, // the five are enum trace_map_op, from TRACE_MAP on
    RING_OP_UNMAP = 23,
    RING_OP_MAP_MOVE_FROM = 24,
    RING_OP_MAP_MOVE_TO = 25,
    RING_OP_MAP_KEPT = 26,
    RING_OP_RESIDENT = 27,      // of the block that the ring's next record gives up
    RING_OP_REALLOC_FREED = 28, // realloc(p, 0) returned NULL after a REALLOC_RELEASE: p is freed
    RING_OP_STACK = 29,         // frames of the stack of a later record of the ring
    RING_OP_STACK_SPELLED = 30, // likewise one, whose address has no place
};

// One event as the program's thread saw it; fields by op:
//   creating ops          address = block, size = bytes asked for, stack, align_log2
//   FREE                  address = block
//   REALLOC_RELEASE       address = old block, size = bytes asked for, stack
//   REALLOC_ACQUIRE       address = new block, size as in its release
//   REALLOC_FAIL, _FREED  address = old block, size = errno
//   ALLOC_FAIL            address = errno, size = bytes asked for, stack, align_log2
//   USABLE                address = block, size = the answer
//   THREAD_CREATE, _JOIN  address = raw id of the other thread
//   FORK, LOST            size = VALUE
//   RESIDENT              address = block, size = pages looked at, stack = those resident
//   MAP and its kin       address = start, size = bytes, stack = protection | flags << 32;
//                         who called is the ring's stack
//   STACK                 address, size, stack: up to two, three, three places; align_log2 = how
//   many STACK_SPELLED         address = return address, size = modules known, stack without places
//
// Stacks. Each ring has a stack, at first empty. A record with a stack keeps as many of its frames,
// counted from the outermost, as ring_stack_kept says (RING_KEPT_ALL: all), drops the others, and
// adds its own places, outer ones first. The ring's stack is then the record's.
struct ring_record {
    uint64_t stamp;
    uint64_t address : 48;
    uint64_t op : 5;    // enum trace_op or enum ring_op
    uint64_t entry : 5; // enum trace_entry
    uint64_t align_log2 : 6;
    uint64_t size;
    uint64_t stack; // ring_stack()
};
static_assert(sizeof(struct ring_record) == 32, "two records a cache line");

enum { RING_KEPT_ALL = 255, RING_INLINE_PLACES = 3, RING_STACK_PLACES = 8 };

//     bit 0         8       10         27         44         61
//     +-------------+-------+----------+----------+----------+
//     | kept        | count | place    | place    | place    |
//     +-------------+-------+----------+----------+----------+
static inline uint64_t ring_stack(uint32_t kept, uint32_t count, const uint32_t *places) {
    uint64_t stack = kept | count << 8;
    for (uint32_t i = 0; i < count; i++)
        stack |= (uint64_t)places[i] << (10 + 17 * i);
    return stack;
}
static inline uint32_t ring_stack_kept(uint64_t stack) {
    return stack & 255;
}
static inline uint32_t ring_stack_count(uint64_t stack) {
    return stack >> 8 & 3;
}
static inline uint32_t ring_stack_place(uint64_t stack, uint32_t i) {
    return stack >> (10 + 17 * i) & (RING_PLACES_MAX - 1);
}
static_assert(RING_PLACES_MAX == 1 << 17, "a place's number has 17 bits");

enum ring_state {
    RING_FREE = 0,    // anyone may claim it
    RING_CLAIMED = 1, // being set up by its claimer
    RING_LIVE = 2,
    RING_EXITING = 3, // its thread has said THREAD_EXIT; late records may still come
};

// How many records a ring has room for, and how many all rings before it have.
static inline uint64_t ring_records(uint32_t ring) {
    return ring < RING_LARGE_COUNT ? RING_RECORDS_LARGE : RING_RECORDS;
}
static inline uint64_t ring_records_before(uint32_t ring) {
    uint32_t large = ring < RING_LARGE_COUNT ? ring : RING_LARGE_COUNT;
    return (uint64_t)large * RING_RECORDS_LARGE + (uint64_t)(ring - large) * RING_RECORDS;
}

// Invariant: tail ≤ head ≤ tail + ring_records. Record n lives in slot n mod ring_records.
// head and tail go on counting when a ring changes owner.
struct ring_control {
    // by the owner (claim) and the drainer (back to RING_FREE once the thread is gone)
    _Alignas(64) _Atomic uint32_t state;
    uint32_t thread; // raw id; valid unless state is FREE or CLAIMED
    uint32_t tid;    // kernel's
    uint32_t level;
    // by the owner: published with release, after the record is whole
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t stalled_ns; // time its owners waited for room
    // by the drainer: released after the records were copied out
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint32_t waiting; // set by an owner about to sleep, cleared by the drainer
    _Atomic uint32_t wake;    // futex word, bumped by the drainer
};
static_assert(sizeof(struct ring_control) == 192, "one cache line per writer");

// How the frame outside of a place is found (preload_rule.c); nothing to the drainer.
struct ring_rule {
    int32_t cfa_offset;
    int16_t bp_offset;
    uint8_t cfa;        // enum rec_cfa
    uint8_t bp : 7;     // enum rec_bp
    uint8_t is_own : 1; // of libhakrec.so: passed over in stacks
};
static_assert(sizeof(struct ring_rule) == 8, "");

// A return address while one set of modules is loaded. Written whole before its index slot
// or any record names it, and constant from then on. Number 0 is none.
struct ring_place {
    uint64_t address;
    uint32_t epoch;   // part of the key: after an unloading the same address is another place
    uint16_t modules; // how much of the module log was known then
    uint16_t reserved;
    struct ring_rule rule;
};
static_assert(sizeof(struct ring_place) == 24, "");

// One loaded file. The log only grows; a later entry overrules an earlier one that it overlaps.
struct ring_module {
    uint64_t start, end; // address range of its segments
    uint8_t build_id_bytes;
    uint8_t build_id[39];
    char path[456];
};
static_assert(sizeof(struct ring_module) == 512, "");

enum ring_clock { RING_CLOCK_TSC = 0, RING_CLOCK_MONOTONIC = 1 };
// What a module defines that the program calls past us.
enum ring_own { RING_OWN_NOTHING = 0, RING_OWN_MALLOC = 1, RING_OWN_OPERATOR_NEW = 2 };
enum ring_stacks { RING_STACKS_NONE = 0, RING_STACKS_CALLER = 1, RING_STACKS_FULL = 2 };

struct ring_session {
    // by the drainer, before the mapping is handed over; constant from then on
    uint64_t magic;
    uint32_t version;
    uint32_t clock;  // enum ring_clock
    uint32_t stacks; // enum ring_stacks: what was asked for
    uint32_t ring_count;
    uint32_t stack_check_interval; // every how many-th stack is taken twice; 0 = none
    uint32_t places_max;           // of RING_PLACES_MAX
    uint32_t resident_every;       // one free in so many has its block's pages looked at; 0 = none
    uint32_t maps;                 // 1: memory that the program maps itself is recorded
    uint64_t modules_offset, place_index_offset, places_offset;
    uint64_t controls_offset, records_offset, mapping_bytes;

    // by the drainer, at any time: allocator calls are not recorded now
    _Atomic uint32_t paused;

    // A robust mutex that the session's drainer thread holds while it lives. The kernel marks it
    // when that thread dies, however it dies and whatever descriptors the program has closed.
    pthread_mutex_t drainer_alive;

    // by the program
    _Alignas(64) _Atomic uint32_t doorbell; // futex word: a ring is filling up
    _Atomic uint32_t ring_high;             // rings [0, ring_high) have been claimed at some time
    _Atomic uint32_t thread_next;           // next raw thread id
    _Atomic uint32_t module_count;
    _Atomic uint32_t module_overflow;   // modules that did not fit the log
    _Atomic uint32_t place_count;       // may run past the end when the table is full
    _Atomic uint64_t frames_spelled;    // frames that had no place
    _Atomic uint64_t stacks_unwound;    // stacks that only the full unwinder could take
    _Atomic uint64_t stacks_checked;    // stacks taken by both ways
    _Atomic uint64_t stacks_shorter;    // of these: one way ended before the other
    _Atomic uint64_t stacks_wrong;      // of these: the two ways differ
    _Atomic uint64_t resident_calls;    // system calls made to look at pages
    _Atomic uint64_t resident_ns;       // and what they took
    _Atomic uint64_t guarded;           // calls by the allocator or the unwinder themselves
    _Atomic uint64_t lost_without_ring; // events that found no ring to be written to
    _Atomic uint32_t has_exit_status;   // exit status is valid
    _Atomic uint32_t exit_status;
    _Atomic uint32_t own_allocator; // enum ring_own: calls that go unseen
    char own_allocator_module[128]; // written before own_allocator is released
};

// ---------------------------------------------------------------- the hello (SOCK_SEQPACKET)

enum ring_hello_kind { RING_HELLO_IMAGE = 1, RING_HELLO_FORK = 2 };

// Program to drainer. The answer is one byte with the mapping's memfd (SCM_RIGHTS), or a closed
// connection: do not record.
struct ring_hello {
    uint64_t magic;
    uint32_t version;
    uint32_t kind; // enum ring_hello_kind
    int32_t pid;   // in the program's own pid namespace
    int32_t parent_pid;
};

#endif
