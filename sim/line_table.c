// line_table.c: which core has which line of the arena, and what an access to it costs.
//
// A line is *owned* by the core that wrote it last, and *shared* by the cores that have read it
// since. Reading needs a share, writing needs to be the only one who has it. Whatever has to move
// between cores goes through the line one after the other: a line is one server, in the order of
// the requests (first come, first served), busy until the last request is done.
//
// What a move costs goes by the distance: reading takes the line from the nearest core that has it,
// writing waits for the farthest one that must give it up. Siblings share their caches.
//
// Kept in a hash table by line number, because the lines touched are few among those that exist. A
// slot has one bit for each core, so its size is the table's to know.
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_NONE   UINT64_MAX
#define OWNER_NONE  UINT32_MAX
#define FIRST_SLOTS 4096u

// Invariant: owner is OWNER_NONE or has its bit in sharers.
struct line {
    uint64_t number; // offset / SIM_LINE_BYTES; LINE_NONE: an empty slot
    uint64_t busy_until_ps;
    uint32_t owner;     // who may write without asking; OWNER_NONE once somebody else has read
    uint32_t sharing;   // bits in sharers
    uint64_t sharers[]; // a bit each core
};

struct sim_lines {
    char *slots;
    size_t slot_bytes;
    size_t slot_count; // a power of two
    size_t used;
    uint64_t moves;
    uint32_t cores;
    uint32_t smt, l3, socket; // group sizes, none of them 0
};

static struct line *slot(const struct sim_lines *lines, size_t i) {
    return (struct line *)(void *)(lines->slots + i * lines->slot_bytes);
}

static void empty_slots(struct sim_lines *lines) {
    memset(lines->slots, 0, lines->slot_count * lines->slot_bytes);
    for (size_t i = 0; i < lines->slot_count; i++) {
        slot(lines, i)->number = LINE_NONE;
        slot(lines, i)->owner = OWNER_NONE;
    }
}

static bool make_slots(struct sim_lines *lines, size_t count) {
    lines->slots = malloc(count * lines->slot_bytes);
    lines->slot_count = count;
    if (lines->slots)
        empty_slots(lines);
    return lines->slots != NULL;
}

struct sim_lines *sim_lines_new(const struct sim_topology *topology, uint32_t cores) {
    struct sim_lines *lines = malloc(sizeof *lines);
    if (!lines)
        return NULL;
    *lines = (struct sim_lines){
        .slot_bytes = sizeof(struct line) + (cores + 63) / 64 * sizeof(uint64_t),
        .cores = cores,
        .smt = topology->smt ? topology->smt : 1,
        .l3 = topology->l3 ? topology->l3 : cores,
        .socket = topology->socket ? topology->socket : cores,
    };
    if (make_slots(lines, FIRST_SLOTS))
        return lines;
    free(lines);
    return NULL;
}

void sim_lines_free(struct sim_lines *lines) {
    if (!lines)
        return;
    free(lines->slots);
    free(lines);
}

void sim_lines_clear(struct sim_lines *lines) {
    empty_slots(lines);
    lines->used = 0;
    lines->moves = 0;
}

uint64_t sim_lines_moves(const struct sim_lines *lines) {
    return lines->moves;
}

// Fibonacci hashing: neighbouring lines spread.
static size_t slot_of(const struct sim_lines *lines, uint64_t number) {
    return (size_t)((number * 0x9E3779B97F4A7C15u) >> 20) & (lines->slot_count - 1);
}

static struct line *probe(const struct sim_lines *lines, uint64_t number) {
    size_t i = slot_of(lines, number);
    while (slot(lines, i)->number != number && slot(lines, i)->number != LINE_NONE)
        i = (i + 1) & (lines->slot_count - 1);
    return slot(lines, i);
}

static void grow(struct sim_lines *lines) {
    struct sim_lines wider = *lines;
    if (!make_slots(&wider, 2 * lines->slot_count)) {
        // A run cannot go on without its cost model; nothing has been written yet.
        fputs("haksim: out of memory for the table of cache lines\n", stderr);
        abort();
    }
    for (size_t i = 0; i < lines->slot_count; i++)
        if (slot(lines, i)->number != LINE_NONE)
            memcpy(probe(&wider, slot(lines, i)->number), slot(lines, i), lines->slot_bytes);
    free(lines->slots);
    *lines = wider;
}

static struct line *find_or_add(struct sim_lines *lines, uint64_t number) {
    struct line *line = probe(lines, number);
    if (line->number == number)
        return line;
    if (4 * (lines->used + 1) > 3 * lines->slot_count) {
        grow(lines);
        line = probe(lines, number);
    }
    line->number = number;
    lines->used++;
    return line;
}

// ---------------------------------------------------------------- distances

static bool has(const struct line *line, uint32_t core) {
    return line->sharers[core / 64] >> core % 64 & 1;
}

// How many of the cores from..to − 1 have the line.
static uint32_t sharing(const struct line *line, uint32_t from, uint32_t to) {
    uint32_t count = 0;
    while (from < to) {
        uint32_t bits = 64 - from % 64 < to - from ? 64 - from % 64 : to - from;
        uint64_t word = line->sharers[from / 64] >> from % 64;
        count +=
            (uint32_t)__builtin_popcountll(bits < 64 ? word & ((UINT64_C(1) << bits) - 1) : word);
        from += bits;
    }
    return count;
}

// How many of the core's group of this size have the line.
static uint32_t sharing_group(const struct sim_lines *lines, const struct line *line, uint32_t core,
                              uint32_t size) {
    uint32_t from = core / size * size;
    return sharing(line, from, from + size < lines->cores ? from + size : lines->cores);
}

// From the nearest core that has it.
static uint64_t fetch_cost(const struct sim_lines *lines, const struct sim_costs *costs,
                           const struct line *line, uint32_t core) {
    if (line->sharing == 0)
        return costs->line_memory_ps;
    if (lines->smt > 1 && sharing_group(lines, line, core, lines->smt))
        return costs->line_same_core_ps;
    if (sharing_group(lines, line, core, lines->l3))
        return costs->line_other_core_ps;
    return sharing_group(lines, line, core, lines->socket) ? costs->line_other_l3_ps
                                                           : costs->line_other_socket_ps;
}

// Until the farthest of the others has given it up.
static uint64_t take_cost(const struct sim_lines *lines, const struct sim_costs *costs,
                          const struct line *line, uint32_t core) {
    if (line->sharing == 0)
        return costs->line_memory_ps;
    if (sharing_group(lines, line, core, lines->socket) < line->sharing)
        return costs->line_other_socket_ps;
    if (sharing_group(lines, line, core, lines->l3) < line->sharing)
        return costs->line_other_l3_ps;
    if (sharing_group(lines, line, core, lines->smt) < line->sharing)
        return costs->line_other_core_ps;
    return costs->line_same_core_ps;
}

// ---------------------------------------------------------------- accesses

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

// The line serves one request that has to move something, after those before it.
static uint64_t serve(struct sim_lines *lines, struct line *line, uint64_t begin_ps,
                      uint64_t cost_ps) {
    lines->moves++;
    line->busy_until_ps = max_u64(begin_ps, line->busy_until_ps) + cost_ps;
    return line->busy_until_ps;
}

static uint64_t read_line(struct sim_lines *lines, struct line *line, const struct sim_costs *costs,
                          uint32_t core, uint64_t begin_ps) {
    if (has(line, core))
        return begin_ps + costs->line_same_core_ps;
    uint64_t end_ps = serve(lines, line, begin_ps, fetch_cost(lines, costs, line, core));
    // Whoever reads a line that nobody has may write it without asking; a second reader ends that.
    line->owner = line->sharing ? OWNER_NONE : core;
    line->sharers[core / 64] |= UINT64_C(1) << core % 64;
    line->sharing++;
    return end_ps;
}

static uint64_t write_line(struct sim_lines *lines, struct line *line,
                           const struct sim_costs *costs, uint32_t core, uint64_t begin_ps,
                           uint64_t extra_ps) {
    if (line->owner == core)
        return begin_ps + costs->line_same_core_ps + extra_ps;
    uint64_t end_ps = serve(lines, line, begin_ps, take_cost(lines, costs, line, core) + extra_ps);
    memset(line->sharers, 0, lines->slot_bytes - sizeof *line);
    line->sharers[core / 64] = UINT64_C(1) << core % 64;
    line->owner = core;
    line->sharing = 1;
    return end_ps;
}

uint64_t sim_lines_access(struct sim_lines *lines, const struct sim_costs *costs, uint64_t offset,
                          uint32_t core, enum sim_access access, uint64_t begin_ps) {
    struct line *line = find_or_add(lines, offset / SIM_LINE_BYTES);
    switch (access) {
    case SIM_READ:
        return read_line(lines, line, costs, core, begin_ps);
    case SIM_WRITE:
        return write_line(lines, line, costs, core, begin_ps, 0);
    case SIM_READ_MODIFY_WRITE:
        break;
    }
    return write_line(lines, line, costs, core, begin_ps, costs->read_modify_write_ps);
}
