// program_object.h: the table of live objects: object number → what is known of it. Whoever feeds a
// program to an allocator needs one: the runs of program.h, and the compiler of the replayer's
// plans.
//
// Threads: a table belongs to one thread.
#ifndef HAK_PROGRAM_OBJECT_H
#define HAK_PROGRAM_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

// In a run.
enum program_object_state {
    PROGRAM_OBJECT_LIVE,
    PROGRAM_OBJECT_FAILED, // lives in the recorded program; here the allocation found no memory
    PROGRAM_OBJECT_AWAITED // dataflow: not made yet, a thread waits for it
};

// A live object, found by its number; what place and state say beyond a run is its owner's. 24
// bytes, and only while it lives: a program of 10^9 operations needs as many as it holds at one
// time.
struct program_object {
    uint64_t key;   // the object's number + 1; 0 = nothing here
    uint64_t size;  // bytes asked for
    uint32_t place; // offset in the arena / 16; AWAITED: the first waiting thread
    uint8_t state;  // enum program_object_state
    uint8_t align_log2;
};

// Open addressing, linear probing, at most three quarters full. A pointer to an entry holds until
// the next add or remove.
struct program_objects {
    struct program_object *slots;
    uint64_t count;
    unsigned shift; // 64 − log2(number of slots)
};

// `expected`: objects at one time, at most, as far as is known; false: no memory.
bool program_objects_init(struct program_objects *objects, uint64_t expected);
// A table that is all zero holds nothing and may be searched.
void program_objects_free(struct program_objects *objects);
// NULL if it is not there.
struct program_object *program_objects_find(const struct program_objects *objects, uint64_t object);
// The entry of that number, new and zero if there was none; NULL: no memory.
struct program_object *program_objects_add(struct program_objects *objects, uint64_t object);
void program_objects_remove(struct program_objects *objects, struct program_object *entry);
// Fetches the entry's cache line ahead of a find or add.
void program_objects_prefetch(const struct program_objects *objects, uint64_t object);

#endif
