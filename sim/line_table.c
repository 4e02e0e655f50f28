// line_table.c: which core has which line of the arena, and what an access to it costs.
//
// A line is *owned* by the core that wrote it last, and *shared* by the cores that have read it
// since. Reading needs a share, writing needs to be the only one who has it. Whatever has to move
// between cores goes through the line one after the other: a line is one server, in the order of
// the requests (first come, first served), busy until the last request is done.
//
// Kept in a hash table by line number, because the lines touched are few among those that exist.
//
// Sharers are one bit a core up to 64 cores; above, cores that are equal modulo 64 stand for each
// other, so that some reads that would miss are taken for hits.
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_NONE   UINT64_MAX
#define OWNER_NONE  UINT32_MAX
#define FIRST_SLOTS 4096u

// Invariant: owner is OWNER_NONE or has its bit in sharers.
struct line {
    uint64_t number; // offset / SIM_LINE_BYTES; LINE_NONE: an empty slot
    uint64_t busy_until_ps;
    uint64_t sharers;
    uint32_t owner; // who may write without asking; OWNER_NONE once somebody else has read
};

struct sim_lines {
    struct line *slots;
    size_t slot_count; // a power of two
    size_t used;
    uint64_t moves;
};

static struct line *slots_new(size_t count) {
    struct line *slots = malloc(count * sizeof *slots);
    if (slots)
        for (size_t i = 0; i < count; i++)
            slots[i] = (struct line){.number = LINE_NONE, .owner = OWNER_NONE};
    return slots;
}

struct sim_lines *sim_lines_new(void) {
    struct sim_lines *lines = malloc(sizeof *lines);
    if (!lines)
        return NULL;
    *lines = (struct sim_lines){.slots = slots_new(FIRST_SLOTS), .slot_count = FIRST_SLOTS};
    if (lines->slots)
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
    for (size_t i = 0; i < lines->slot_count; i++)
        lines->slots[i] = (struct line){.number = LINE_NONE, .owner = OWNER_NONE};
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

static struct line *probe(struct sim_lines *lines, uint64_t number) {
    size_t slot = slot_of(lines, number);
    while (lines->slots[slot].number != number && lines->slots[slot].number != LINE_NONE)
        slot = (slot + 1) & (lines->slot_count - 1);
    return &lines->slots[slot];
}

static void grow(struct sim_lines *lines) {
    struct sim_lines wider = {.slots = slots_new(2 * lines->slot_count),
                              .slot_count = 2 * lines->slot_count,
                              .used = lines->used,
                              .moves = lines->moves};
    if (!wider.slots) {
        // A run cannot go on without its cost model; nothing has been written yet.
        fputs("haksim: out of memory for the table of cache lines\n", stderr);
        abort();
    }
    for (size_t i = 0; i < lines->slot_count; i++)
        if (lines->slots[i].number != LINE_NONE)
            *probe(&wider, lines->slots[i].number) = lines->slots[i];
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

static uint64_t core_bit(uint32_t core) {
    return UINT64_C(1) << (core % 64);
}

static uint64_t move_cost(const struct sim_costs *costs, const struct line *line) {
    return line->sharers ? costs->line_other_core_ps : costs->line_memory_ps;
}

static uint64_t read_line(struct sim_lines *lines, struct line *line, const struct sim_costs *costs,
                          uint32_t core, uint64_t begin_ps) {
    if (line->sharers & core_bit(core))
        return begin_ps + costs->line_same_core_ps;
    uint64_t end_ps = serve(lines, line, begin_ps, move_cost(costs, line));
    // Whoever reads a line that nobody has may write it without asking; a second reader ends that.
    line->owner = line->sharers ? OWNER_NONE : core;
    line->sharers |= core_bit(core);
    return end_ps;
}

static uint64_t write_line(struct sim_lines *lines, struct line *line,
                           const struct sim_costs *costs, uint32_t core, uint64_t begin_ps,
                           uint64_t extra_ps) {
    if (line->owner == core)
        return begin_ps + costs->line_same_core_ps + extra_ps;
    uint64_t end_ps = serve(lines, line, begin_ps, move_cost(costs, line) + extra_ps);
    line->owner = core;
    line->sharers = core_bit(core);
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
