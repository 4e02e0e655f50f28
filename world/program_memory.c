// program_memory.c: a program held in memory, as a source.
#include "program_internal.h"

#include <stdlib.h>
#include <string.h>

struct memory {
    struct program_source source; // first: the source is freed as this
    size_t count, next;
    struct program_operation operations[];
};

static ptrdiff_t memory_next(void *self, struct program_operation *operations, size_t capacity) {
    struct memory *memory = self;
    size_t left = memory->count - memory->next;
    size_t taken = left < capacity ? left : capacity;
    memcpy(operations, memory->operations + memory->next, taken * sizeof *operations);
    memory->next += taken;
    return (ptrdiff_t)taken;
}

static void memory_rewind(void *self) {
    ((struct memory *)self)->next = 0;
}

static void memory_close(void *self) {
    free(self);
}

struct program_source *program_open_memory(const struct program_operation *operations, size_t count,
                                           uint32_t threads, uint64_t objects) {
    struct memory *memory = calloc(1, sizeof *memory + count * sizeof *operations);
    if (memory == NULL)
        return NULL;
    memory->count = count;
    if (count > 0)
        memcpy(memory->operations, operations, count * sizeof *operations);
    memory->source = (struct program_source){.self = memory,
                                             .next = memory_next,
                                             .rewind = memory_rewind,
                                             .close = memory_close,
                                             .threads = threads,
                                             .objects = objects,
                                             .operations = count,
                                             .window_ns = UINT64_MAX,
                                             .trace.complete = true};
    return &memory->source;
}

void program_close(struct program_source *source) {
    if (source == NULL)
        return;
    program_streams_free(source->streams);
    source->close(source->self);
}
