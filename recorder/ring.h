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
//     +----------------+ stack_index_offset  u32 [stack_slots]: arena word of an entry, 0 = free
//     | stack index    |
//     +----------------+ stack_arena_offset  u64 [stack_arena_words]: struct ring_stack entries
//     | stack arena    |
//     +----------------+ controls_offset     struct ring_control [ring_count]
//     | ring controls  |
//     +----------------+ records_offset      struct ring_record [ring_count][ring_records]
//     | ring records   |
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
#define RING_VERSION 1u

#define RING_COUNT_MAX         4096u
#define RING_RECORDS           8192u // 256 KiB a ring; a power of two
#define RING_LEVELS            4u
#define RING_MODULES_MAX       4096u
#define RING_STACK_SLOTS       (1u << 20)
#define RING_STACK_ARENA_WORDS (1u << 23) // 64 MiB
#define RING_STACK_FRAMES_MAX  192u
#define RING_STACK_CUT         1u // a return address, so that the place of the call is 0

#define RING_SOCKET_VARIABLE "HAKREC_SOCKET"

// What a record says beyond enum trace_op: events whose final op only the drainer can know.
enum ring_op {
    RING_OP_REALLOC_FREED = 64, // realloc(p, 0) returned NULL after a REALLOC_RELEASE: p is freed
};

// One event as the program's thread saw it; fields by op:
//   creating ops          address = block, size = bytes asked for, stack, align_log2
//   FREE                  address = block
//   REALLOC_RELEASE       address = old block, size = bytes asked for, stack
//   REALLOC_ACQUIRE       address = new block, size and stack as in its release
//   REALLOC_FAIL, _FREED  address = old block, size = errno
//   ALLOC_FAIL            address = errno, size = bytes asked for, stack, align_log2
//   USABLE                address = block, size = the answer
//   THREAD_CREATE, _JOIN  address = raw id of the other thread
//   FORK, LOST            size = VALUE
struct ring_record {
    uint64_t stamp;
    uint64_t address;
    uint64_t size;
    uint32_t stack; // arena word of its struct ring_stack, 0 = none
    uint8_t op;     // enum trace_op or enum ring_op
    uint8_t entry;  // enum trace_entry
    uint8_t align_log2;
    uint8_t reserved;
};
static_assert(sizeof(struct ring_record) == 32, "two records a cache line");

enum ring_state {
    RING_FREE = 0,    // anyone may claim it
    RING_CLAIMED = 1, // being set up by its claimer
    RING_LIVE = 2,
    RING_EXITING = 3, // its thread has said THREAD_EXIT; late records may still come
};

// Invariant: tail ≤ head ≤ tail + RING_RECORDS. Record n lives in slot n mod RING_RECORDS.
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

// A stack: its return addresses, innermost first, RING_STACK_CUT behind them if it was cut. Written
// whole before its index slot or any record names it, and constant from then on.
struct ring_stack {
    uint64_t hash;
    uint32_t epoch;   // part of the key: another set of modules, another stack
    uint16_t modules; // how much of the module log was known then
    uint16_t count;   // frames
    uint64_t frames[];
};
static_assert(sizeof(struct ring_stack) == 16, "two words before the frames");

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
    uint64_t modules_offset, stack_index_offset, stack_arena_offset;
    uint64_t controls_offset, records_offset, mapping_bytes;

    // A robust mutex that the session's drainer thread holds while it lives. The kernel marks it
    // when that thread dies, however it dies and whatever descriptors the program has closed.
    pthread_mutex_t drainer_alive;

    // by the program
    _Alignas(64) _Atomic uint32_t doorbell; // futex word: a ring is filling up
    _Atomic uint32_t ring_high;             // rings [0, ring_high) have been claimed at some time
    _Atomic uint32_t thread_next;           // next raw thread id
    _Atomic uint32_t module_count;
    _Atomic uint32_t module_overflow;   // modules that did not fit the log
    _Atomic uint64_t stack_arena_used;  // words; may run past the end when the arena is full
    _Atomic uint64_t stack_overflow;    // stacks recorded as "none" because the table was full
    _Atomic uint64_t guarded;           // calls by the allocator or the unwinder themselves
    _Atomic uint64_t lost_without_ring; // events that found no ring to be written to
    _Atomic uint32_t stacks_in_use;     // enum ring_stacks: what the process really records
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
