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
// Kept in a hash table by line number, because the lines touched are few among those that exist.
// Nearly all lines are one core's alone: a slot says whose. The sets of cores that share a line
// stand beside the table, because their size is the number of cores', and are given back when
// somebody writes.
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 4096u
#define FIRST_SETS  256u
#define SHARED      UINT16_MAX // as a holder: the line has a set
#define NO_SET      UINT32_MAX

// A line that one core has: it may write without asking.
struct line {
    uint32_t number_plus_one; // offset / SIM_LINE_BYTES + 1; 0: an empty slot
    uint16_t holder;          // the core, or SHARED
    uint64_t value;           // when the last move is done, or, shared, the set's number
};
_Static_assert(sizeof(struct line) == 16 && SIM_CORE_LIMIT < SHARED, "a slot is small");

// The cores that have read a line, two or more. Nobody may write it without asking.
struct set {
    uint64_t busy_until_ps;
    uint32_t sharing;
    uint32_t next_free; // of those that are not in use
    uint64_t bits[];    // each core's
};

struct sim_lines {
    struct line *slots;
    size_t slot_count; // a power of two
    size_t used;
    char *sets;
    size_t set_bytes;
    uint32_t set_count, set_capacity, first_free;
    uint64_t moves;
    uint32_t cores;
    uint32_t smt, l3, socket; // group sizes, none of them 0
};

static struct set *set_of(const struct sim_lines *lines, const struct line *line) {
    return (struct set *)(void *)(lines->sets + line->value * lines->set_bytes);
}

_Noreturn static void out_of_memory(void) {
    // A run cannot go on without its cost model; nothing has been written yet.
    fputs("haksim: out of memory for the table of cache lines\n", stderr);
    abort();
}

struct sim_lines *sim_lines_new(const struct sim_topology *topology, uint32_t cores) {
    struct sim_lines *lines = malloc(sizeof *lines);
    if (!lines)
        return NULL;
    *lines = (struct sim_lines){
        .slots = calloc(FIRST_SLOTS, sizeof *lines->slots),
        .slot_count = FIRST_SLOTS,
        .set_bytes = sizeof(struct set) + (cores + 63) / 64 * sizeof(uint64_t),
        .first_free = NO_SET,
        .cores = cores,
        .smt = topology->smt ? topology->smt : 1,
        .l3 = topology->l3 ? topology->l3 : cores,
        .socket = topology->socket ? topology->socket : cores,
    };
    if (lines->slots)
        return lines;
    free(lines);
    return NULL;
}

void sim_lines_free(struct sim_lines *lines) {
    if (!lines)
        return;
    free(lines->slots);
    free(lines->sets);
    free(lines);
}

void sim_lines_clear(struct sim_lines *lines) {
    memset(lines->slots, 0, lines->slot_count * sizeof *lines->slots);
    lines->used = 0;
    lines->set_count = 0;
    lines->first_free = NO_SET;
    lines->moves = 0;
}

uint64_t sim_lines_moves(const struct sim_lines *lines) {
    return lines->moves;
}

// ---------------------------------------------------------------- slots

// Fibonacci hashing: neighbouring lines spread.
static size_t slot_of(const struct sim_lines *lines, uint32_t number) {
    return (size_t)((number * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (lines->slot_count - 1);
}

static struct line *probe(const struct sim_lines *lines, uint32_t number) {
    size_t i = slot_of(lines, number);
    while (lines->slots[i].number_plus_one != number + 1 && lines->slots[i].number_plus_one != 0)
        i = (i + 1) & (lines->slot_count - 1);
    return &lines->slots[i];
}

static void place(struct sim_lines *lines, struct line line) {
    *probe(lines, line.number_plus_one - 1) = line;
}

// The lines before the first empty slot may belong behind the table's end: they come out first.
static struct line *take_front(struct sim_lines *lines, size_t *count) {
    *count = 0;
    while (lines->slots[*count].number_plus_one != 0)
        ++*count;
    struct line *front = malloc((*count + 1) * sizeof *front);
    if (!front)
        out_of_memory();
    memcpy(front, lines->slots, *count * sizeof *front);
    memset(lines->slots, 0, *count * sizeof *front);
    return front;
}

// Doubles the table where it stands: two tables at once would be the most that a large run needs. A
// line's new home is its old one or lies in the new half. Taken out in the order of the slots, each
// finds a place at or before the one it had, or among those that have moved: whatever it passes
// there stays, so that it is found again.
static void grow(struct sim_lines *lines) {
    size_t old_count = lines->slot_count, front_count;
    struct line *larger = realloc(lines->slots, 2 * old_count * sizeof *larger);
    if (!larger)
        out_of_memory();
    lines->slots = larger;
    memset(larger + old_count, 0, old_count * sizeof *larger);
    struct line *front = take_front(lines, &front_count);
    lines->slot_count = 2 * old_count;
    for (size_t i = front_count; i < old_count; i++) {
        struct line line = lines->slots[i];
        lines->slots[i].number_plus_one = 0;
        if (line.number_plus_one != 0)
            place(lines, line);
    }
    for (size_t i = 0; i < front_count; i++)
        place(lines, front[i]);
    free(front);
}

// A slot for a line that nobody has had: `holder` is to be set.
static struct line *add(struct sim_lines *lines, struct line *slot, uint32_t number) {
    if (8 * (lines->used + 1) > 7 * lines->slot_count) {
        grow(lines);
        slot = probe(lines, number);
    }
    slot->number_plus_one = number + 1;
    lines->used++;
    return slot;
}

// ---------------------------------------------------------------- sets

static void reach_sets(struct sim_lines *lines) {
    if (lines->set_count < lines->set_capacity)
        return;
    uint32_t wanted = lines->set_capacity ? 2 * lines->set_capacity : FIRST_SETS;
    char *larger = realloc(lines->sets, wanted * lines->set_bytes);
    if (!larger)
        out_of_memory();
    lines->sets = larger;
    lines->set_capacity = wanted;
}

// The line gets an empty set.
static struct set *begin_set(struct sim_lines *lines, struct line *line) {
    uint32_t number = lines->first_free;
    line->holder = SHARED;
    if (number == NO_SET) {
        reach_sets(lines);
        line->value = lines->set_count++;
    } else {
        line->value = number;
        lines->first_free = set_of(lines, line)->next_free;
    }
    struct set *set = set_of(lines, line);
    memset(set, 0, lines->set_bytes);
    return set;
}

static void end_set(struct sim_lines *lines, struct line *line) {
    set_of(lines, line)->next_free = lines->first_free;
    lines->first_free = (uint32_t)line->value;
}

static void join(struct set *set, uint32_t core) {
    set->bits[core / 64] |= UINT64_C(1) << core % 64;
    set->sharing++;
}

// ---------------------------------------------------------------- distances

static bool has(const struct sim_lines *lines, const struct line *line, uint32_t core) {
    if (line->holder != SHARED)
        return line->holder == core;
    return set_of(lines, line)->bits[core / 64] >> core % 64 & 1;
}

static uint32_t sharing_all(const struct sim_lines *lines, const struct line *line) {
    return line->holder == SHARED ? set_of(lines, line)->sharing : 1;
}

// How many of the cores from..to − 1 have the line.
static uint32_t sharing(const struct sim_lines *lines, const struct line *line, uint32_t from,
                        uint32_t to) {
    uint32_t count = 0;
    if (line->holder != SHARED)
        return line->holder >= from && line->holder < to;
    while (from < to) {
        uint32_t bits = 64 - from % 64 < to - from ? 64 - from % 64 : to - from;
        uint64_t word = set_of(lines, line)->bits[from / 64] >> from % 64;
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
    return sharing(lines, line, from, from + size < lines->cores ? from + size : lines->cores);
}

// From the nearest core that has it.
static uint64_t fetch_cost(const struct sim_lines *lines, const struct sim_costs *costs,
                           const struct line *line, uint32_t core) {
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
    uint32_t all = sharing_all(lines, line);
    if (sharing_group(lines, line, core, lines->socket) < all)
        return costs->line_other_socket_ps;
    if (sharing_group(lines, line, core, lines->l3) < all)
        return costs->line_other_l3_ps;
    if (sharing_group(lines, line, core, lines->smt) < all)
        return costs->line_other_core_ps;
    return costs->line_same_core_ps;
}

// ---------------------------------------------------------------- accesses

// A line that moves serves one request after the other.
static uint64_t served(const struct sim_lines *lines, const struct line *line, uint64_t begin_ps,
                       uint64_t cost_ps) {
    uint64_t busy_ps = line->holder == SHARED ? set_of(lines, line)->busy_until_ps : line->value;
    return (begin_ps > busy_ps ? begin_ps : busy_ps) + cost_ps;
}

static uint64_t read_line(struct sim_lines *lines, struct line *line, const struct sim_costs *costs,
                          uint32_t core, uint64_t begin_ps) {
    uint64_t end_ps = served(lines, line, begin_ps, fetch_cost(lines, costs, line, core));
    uint32_t holder = line->holder;
    struct set *set = holder == SHARED ? set_of(lines, line) : begin_set(lines, line);
    if (holder != SHARED)
        join(set, holder);
    join(set, core);
    set->busy_until_ps = end_ps;
    return end_ps;
}

static uint64_t take_line(struct sim_lines *lines, struct line *line, const struct sim_costs *costs,
                          uint32_t core, uint64_t begin_ps, uint64_t extra_ps) {
    uint64_t end_ps = served(lines, line, begin_ps, take_cost(lines, costs, line, core) + extra_ps);
    if (line->holder == SHARED)
        end_set(lines, line);
    line->holder = (uint16_t)core;
    line->value = end_ps;
    return end_ps;
}

uint64_t sim_lines_access(struct sim_lines *lines, const struct sim_costs *costs, uint64_t offset,
                          uint32_t core, enum sim_access access, uint64_t begin_ps) {
    uint64_t extra_ps = access == SIM_READ_MODIFY_WRITE ? costs->read_modify_write_ps : 0;
    uint32_t number = (uint32_t)(offset / SIM_LINE_BYTES);
    struct line *line = probe(lines, number);
    if (line->number_plus_one == 0) { // whoever reads first may write without asking
        line = add(lines, line, number);
        line->holder = (uint16_t)core;
        line->value = begin_ps + costs->line_memory_ps + extra_ps;
        lines->moves++;
        return line->value;
    }
    bool at_hand = access == SIM_READ ? has(lines, line, core) : line->holder == core;
    if (at_hand)
        return begin_ps + costs->line_same_core_ps + extra_ps;
    lines->moves++;
    if (access == SIM_READ)
        return read_line(lines, line, costs, core, begin_ps);
    return take_line(lines, line, costs, core, begin_ps, extra_ps);
}
