// timeline.c: the last accesses of a run, one column a thread: what a person reads to understand
// a violation. A strategy around another one, which alone decides.
#include "replayer.h"

#include <stdio.h>
#include <string.h>

#define COLUMN_WIDTH  32
#define CIRCLE_POINTS 4

static void begin(void *self, struct world *world, uint64_t seed) {
    struct replay_timeline *timeline = self;
    timeline->count = 0;
    if (timeline->inner->begin != NULL)
        timeline->inner->begin(timeline->inner_self, world, seed);
}

// The same access as a few before, and nobody else has run since: a loop, shown once.
static bool goes_in_a_circle(const struct replay_timeline *timeline,
                             const struct replay_timeline_entry *entry) {
    for (uint64_t back = 1; back <= CIRCLE_POINTS && back <= timeline->count; back++) {
        const struct replay_timeline_entry *before =
            &timeline->entries[(timeline->count - back) % REPLAY_TIMELINE_POINTS];
        if (before->fiber != entry->fiber || before->has_operation)
            return false;
        if (before->site == entry->site && before->offset == entry->offset)
            return true;
    }
    return false;
}

// Where gdb stops.
__attribute__((noinline)) void replay_step_reached(uint64_t point) {
    __asm__ volatile("" : : "r"(point) : "memory");
}

// The fiber chosen does the access that it stands at.
static void pick(void *self, struct world *world, const struct world_point *point,
                 struct world_choice *choice) {
    struct replay_timeline *timeline = self;
    timeline->inner->pick(timeline->inner_self, world, point, choice);
    if (point->number == timeline->step)
        replay_step_reached(point->number);
    const struct world_point *access = world_point_of(world, choice->fiber);
    if (access == NULL)
        return;
    struct replay_timeline_entry entry = {.site = access->site,
                                          .number = point->number,
                                          .offset = access->offset,
                                          .fiber = choice->fiber};
    if (goes_in_a_circle(timeline, &entry))
        timeline->entries[(timeline->count - 1) % REPLAY_TIMELINE_POINTS].repeats++;
    else
        timeline->entries[timeline->count++ % REPLAY_TIMELINE_POINTS] = entry;
}

static void ready(void *self, struct world *world, uint32_t fiber) {
    struct replay_timeline *timeline = self;
    if (timeline->inner->ready != NULL)
        timeline->inner->ready(timeline->inner_self, world, fiber);
}

// Called by the fiber that has just left the point between two operations.
void replay_timeline_note(void *self, struct world *world,
                          const struct program_operation *operation) {
    struct replay_timeline *timeline = self;
    (void)world;
    if (timeline->count == 0)
        return;
    struct replay_timeline_entry *last =
        &timeline->entries[(timeline->count - 1) % REPLAY_TIMELINE_POINTS];
    last->operation = *operation;
    last->has_operation = true;
}

const struct world_strategy replay_timeline_strategy = {"timeline", begin, pick, ready};

// ---------------------------------------------------------------- printing

struct columns {
    uint32_t fibers[REPLAY_TIMELINE_POINTS];
    uint32_t count;
};

static uint32_t column_of(const struct columns *columns, uint32_t fiber) {
    uint32_t i = 0;
    while (i < columns->count && columns->fibers[i] < fiber)
        i++;
    return i;
}

// Ascending by number.
static void add_column(struct columns *columns, uint32_t fiber) {
    uint32_t place = column_of(columns, fiber);
    if (place < columns->count && columns->fibers[place] == fiber)
        return;
    memmove(&columns->fibers[place + 1], &columns->fibers[place],
            (columns->count - place) * sizeof columns->fibers[0]);
    columns->fibers[place] = fiber;
    columns->count++;
}

static const char *kind_name(uint8_t kind) {
    static const char *const names[MF2_POINT_KIND_COUNT] = {
        "load",  "store", "exchange", "add",   "sub",  "or",   "and",   "cas",    "fence", "read",
        "write", "clock", "commit",   "purge", "wait", "wake", "pause", "helper", "--",    "end"};
    return names[kind];
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool has_object(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED ||
           op == PROGRAM_FREE || op == PROGRAM_REALLOC || op == PROGRAM_USABLE;
}

static void describe_operation(const struct program_operation *operation, char *text, size_t size) {
    const char *name = program_op_name(operation->op);
    if (!has_object(operation->op))
        snprintf(text, size, "-- %s", name);
    else if (operation->size > 0)
        snprintf(text, size, "-- %s #%llu of %llu", name, (unsigned long long)operation->object,
                 (unsigned long long)operation->size);
    else
        snprintf(text, size, "-- %s #%llu", name, (unsigned long long)operation->object);
}

// Without the casts before it.
static const char *bare(const char *expression) {
    while (expression[0] == '(' && strchr(expression, '*') != NULL) {
        const char *end = strchr(expression, ')');
        if (end == NULL || end[-1] != '*')
            break;
        expression = end + 1;
    }
    return expression;
}

static void print_entry(const struct replay_timeline_entry *entry, uint32_t column,
                        uint32_t column_count) {
    char what[96], place[64] = "";
    if (entry->has_operation)
        describe_operation(&entry->operation, what, sizeof what);
    else
        snprintf(what, sizeof what, "%s %s", kind_name(entry->site->kind),
                 bare(entry->site->expression));
    if (entry->offset != WORLD_NO_OFFSET)
        snprintf(place, sizeof place, " @%llu", (unsigned long long)entry->offset);
    char repeats[48] = "";
    if (entry->repeats > 0)
        snprintf(repeats, sizeof repeats, "; %llu more as these",
                 (unsigned long long)entry->repeats);
    printf("%8llu  %*s%-*.*s%*s  %s:%u %s%s%s\n", (unsigned long long)entry->number,
           (int)(column * (COLUMN_WIDTH + 2)), "", COLUMN_WIDTH, COLUMN_WIDTH, what,
           (int)((column_count - 1 - column) * (COLUMN_WIDTH + 2)), "",
           base_name(entry->site->file), entry->site->line, entry->site->function, place, repeats);
}

static void print_head(const struct columns *columns, const struct world *world) {
    printf("%8s", "point");
    for (uint32_t i = 0; i < columns->count; i++) {
        char name[32];
        if (columns->fibers[i] == world_helper(world))
            snprintf(name, sizeof name, "helper");
        else
            snprintf(name, sizeof name, "fiber %u", columns->fibers[i]);
        printf("  %-*s", COLUMN_WIDTH, name);
    }
    printf("  where\n");
}

void replay_timeline_print(const struct replay_timeline *timeline, const struct world *world) {
    struct columns columns = {.count = 0};
    uint64_t kept =
        timeline->count < REPLAY_TIMELINE_POINTS ? timeline->count : REPLAY_TIMELINE_POINTS;
    uint64_t first = timeline->count - kept;
    for (uint64_t i = first; i < timeline->count; i++)
        add_column(&columns, timeline->entries[i % REPLAY_TIMELINE_POINTS].fiber);
    print_head(&columns, world);
    for (uint64_t i = first; i < timeline->count; i++) {
        const struct replay_timeline_entry *entry = &timeline->entries[i % REPLAY_TIMELINE_POINTS];
        print_entry(entry, column_of(&columns, entry->fiber), columns.count);
    }
}
