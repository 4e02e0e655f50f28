// scaled_source.c: see scaled_source.h. Every operation comes once for each copy, one copy after
// the other, so that the order of the whole is recorded order as well.
#include "scaled_source.h"

#include <stdlib.h>

#define BATCH 256

struct scaled {
    struct program_source source;
    struct program_source *one;
    uint32_t copies;
    struct program_operation batch[BATCH]; // of the one
    ptrdiff_t batch_count;                 // 0: to be read
    ptrdiff_t at;
    uint32_t copy; // the next operation is batch[at] for this copy
};

static bool has_peer(const struct program_operation *operation) {
    return operation->op == PROGRAM_CREATE || operation->op == PROGRAM_JOIN;
}

static struct program_operation copy_of(const struct scaled *scaled) {
    struct program_operation operation = scaled->batch[scaled->at];
    operation.thread += scaled->copy * scaled->one->threads;
    if (has_peer(&operation))
        operation.peer += scaled->copy * scaled->one->threads;
    operation.object += scaled->copy * scaled->one->objects;
    operation.new_object += scaled->copy * scaled->one->objects;
    return operation;
}

static ptrdiff_t next(void *self, struct program_operation *operations, size_t capacity) {
    struct scaled *scaled = self;
    size_t count = 0;
    while (count < capacity) {
        if (scaled->at == scaled->batch_count) {
            scaled->at = 0;
            scaled->batch_count = scaled->one->next(scaled->one->self, scaled->batch, BATCH);
            if (scaled->batch_count <= 0) {
                ptrdiff_t end = scaled->batch_count;
                scaled->batch_count = 0;
                return count ? (ptrdiff_t)count : end;
            }
        }
        operations[count++] = copy_of(scaled);
        scaled->copy = (scaled->copy + 1) % scaled->copies;
        scaled->at += scaled->copy == 0;
    }
    return (ptrdiff_t)count;
}

static void rewind_all(void *self) {
    struct scaled *scaled = self;
    scaled->at = scaled->batch_count = 0;
    scaled->copy = 0;
    scaled->one->rewind(scaled->one->self);
}

static void close_all(void *self) {
    struct scaled *scaled = self;
    program_close(scaled->one);
    free(scaled);
}

struct program_source *sim_scaled_source(struct program_source *source, uint32_t copies) {
    struct scaled *scaled = calloc(1, sizeof *scaled);
    if (!scaled || (uint64_t)source->threads * copies > UINT32_MAX) {
        free(scaled);
        return NULL;
    }
    scaled->source = *source; // what the result says of it
    scaled->source.self = scaled;
    scaled->source.next = next;
    scaled->source.rewind = rewind_all;
    scaled->source.close = close_all;
    scaled->source.streams = NULL;
    scaled->source.threads *= copies;
    scaled->source.objects *= copies;
    scaled->source.operations *= copies;
    scaled->source.live_bytes_max *= copies;
    scaled->one = source;
    scaled->copies = copies;
    return &scaled->source;
}
