// workload.h: made-up programs, and the little they ask of the place in which they run.
//
// Owns: the interface between a workload and its host, the table of workloads, their parameters.
// Does not know: worlds, virtual time, MF2. The same workload can run on real threads: that only
// takes another host.
//
// Words
//   host       what runs a workload: gives it memory, threads and semaphores
//   parameter  a number that shapes a workload: `name=value`
//   count      what a workload itself has counted, for checking it against its definition
//
// Only what goes through the host has a price in a simulated machine. So a workload's threads share
// no cache line of the workload's own that one of them writes often: what each of them counts
// stands WORKLOAD_APART bytes apart from what others use.
//
// Threads: all functions of a host are called from the workload's own threads. Workloads guard
// what they share with semaphores, also where a host would not need it. The first thread has
// number 0.
#ifndef SIM_WORKLOAD_H
#define SIM_WORKLOAD_H

#include "lran2.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_PARAMETER_MAX 8
#define WORKLOAD_COUNT_MAX     8
#define WORKLOAD_APART         128 // a line, and the one that is fetched with it

typedef void workload_body(void *argument);

// A block of the program's. All fields are the host's; the workload reads them.
struct workload_block {
    void *address;   // NULL: there is no block
    uint64_t object; // how many blocks had been given out before
    uint32_t bytes;
    uint32_t thread; // who allocated it
};

struct workload_host {
    void *self;
    // False, and no address: there is no memory.
    bool (*allocate)(void *self, size_t bytes, struct workload_block *block);
    // Leaves no address.
    void (*release)(void *self, struct workload_block *block);
    // The program writes to the block's first two bytes.
    void (*write)(void *self, struct workload_block *block);
    // A new thread; false: none can be had. A thread ends by returning.
    bool (*spawn)(void *self, workload_body *body, void *argument);
    // The calling thread's number, in the order of spawning.
    uint32_t (*thread)(void *self);
    // Semaphores, numbered from 0 and set before the first use: as many as the workload says. Of
    // those who wait the first is woken; another may take the unit before it.
    void (*set)(void *self, uint32_t semaphore, uint64_t units);
    void (*wait)(void *self, uint32_t semaphore);
    void (*post)(void *self, uint32_t semaphore);
    // The calling thread has drawn a number and done what it decides: all the work of its own that
    // a workload has.
    void (*think)(void *self);
    // The calling thread takes over so many bytes of the workload's own that the thread `from` has
    // written last. Where memory is real that has a price of its own.
    void (*receive)(void *self, uint32_t from, size_t bytes);
};

struct workload_parameter {
    const char *name;
    uint64_t value, least, most; // value: unless another is given
    const char *meaning;
};

struct workload_settings {
    uint32_t threads;
    uint64_t seed;
    uint64_t values[WORKLOAD_PARAMETER_MAX]; // in the order of the workload's parameters
};

struct workload_count {
    const char *name;
    uint64_t value;
};

struct workload {
    const char *name;
    const char *meaning;
    const struct workload_parameter *parameters;
    size_t parameter_count;
    // What is wrong with these settings together; NULL if nothing is.
    const char *(*refuse)(const struct workload_settings *settings);
    // Most threads that there ever are, the first one included.
    uint64_t (*threads)(const struct workload_settings *settings);
    // How many semaphores it uses.
    uint64_t (*semaphores)(const struct workload_settings *settings);
    // A run of it; NULL: no memory. The host must outlive it.
    void *(*begin)(const struct workload_settings *settings, const struct workload_host *host);
    workload_body *main; // body of thread 0; its argument is the run
    // Fills counts (WORKLOAD_COUNT_MAX) and returns how many; after the last thread's end.
    size_t (*counts)(const void *run, struct workload_count *counts);
    // Allocation failed, or a thread could not be had: the run is not what it should be.
    bool (*failed)(const void *run);
    void (*end)(void *run);
};

extern const struct workload workload_larson;
extern const struct workload workload_pingpong;
extern const struct workload workload_adopters;
extern const struct workload workload_mailbox;
extern const struct workload workload_stop;
extern const struct workload workload_reclaimer;

// Workload i of the table; NULL past the last one.
const struct workload *workload_at(size_t i);

// `text` is "name" or "name,key=value,...". Fills settings->values. NULL with one line in message.
const struct workload *workload_parse(const char *text, struct workload_settings *settings,
                                      char *message, size_t message_size);

// What workloads with sizes from `least` to most - 1 (`least`, where both are the same) share: what
// is wrong with the two, or NULL; and the next size, one number drawn unless both are the same.
const char *workload_refuse_sizes(uint64_t least, uint64_t most);
size_t workload_draw_size(struct sim_lran2 *random, uint64_t least, uint64_t most);
// A new block of such a size, written to. False, and no address: there is no memory.
bool workload_fill(const struct workload_host *host, struct sim_lran2 *random, uint64_t least,
                   uint64_t most, struct workload_block *block);

#endif
