// event_heap.c: the events that have not happened yet, earliest first.
//
// A 4-ary heap: half the levels of a binary one, and the four children of 16 bytes share a cache
// line. The key holds the actor and the sequence as well, so that the order is total and never
// depends on the order of insertion.
#include "sim.h"

#include <stdlib.h>

static bool earlier(const struct sim_event *a, const struct sim_event *b) {
    if (a->time_ps != b->time_ps)
        return a->time_ps < b->time_ps;
    if (a->actor != b->actor)
        return a->actor < b->actor;
    return a->sequence < b->sequence;
}

bool sim_heap_reserve(struct sim_heap *heap, size_t capacity) {
    if (capacity <= heap->capacity)
        return true;
    struct sim_event *events = realloc(heap->events, capacity * sizeof *events);
    if (!events)
        return false;
    heap->events = events;
    heap->capacity = capacity;
    return true;
}

void sim_heap_free(struct sim_heap *heap) {
    free(heap->events);
    *heap = (struct sim_heap){0};
}

void sim_heap_push(struct sim_heap *heap, struct sim_event event) {
    size_t place = heap->count++;
    while (place > 0) {
        size_t parent = (place - 1) / 4;
        if (!earlier(&event, &heap->events[parent]))
            break;
        heap->events[place] = heap->events[parent];
        place = parent;
    }
    heap->events[place] = event;
}

static size_t earliest_child(const struct sim_heap *heap, size_t place) {
    size_t first = 4 * place + 1;
    size_t end = first + 4 < heap->count ? first + 4 : heap->count;
    size_t best = first;
    for (size_t child = first + 1; child < end; child++)
        if (earlier(&heap->events[child], &heap->events[best]))
            best = child;
    return best;
}

struct sim_event sim_heap_pop(struct sim_heap *heap) {
    struct sim_event top = heap->events[0];
    struct sim_event last = heap->events[--heap->count];
    size_t place = 0;
    while (4 * place + 1 < heap->count) {
        size_t child = earliest_child(heap, place);
        if (!earlier(&heap->events[child], &last))
            break;
        heap->events[place] = heap->events[child];
        place = child;
    }
    heap->events[place] = last;
    return top;
}
