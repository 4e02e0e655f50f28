// front.c: the fronts: what a thread keeps of each class before its pages, so that most calls of
// malloc and free are a pop and a push of its own memory. Owned by their thread alone, or by the
// helper while that thread sleeps (watch.c); nothing here is shared, but what comes in and goes out
// (pages, depot) is.
//
// A front begins small and doubles each time it runs empty or full, up to its class's capacity and
// as long as the thread's fronts together stay below the route's front_total, and all threads'
// below a part of the heap: a class that is used little keeps little, a small heap is not mostly
// fronts. From then on a full front gives its older half away, to the depot or to the pages, and an
// empty one gets half of what it holds.
#include "internal.h"

#include <string.h>

#define FRONT_BEGIN  4                      // blocks that a front holds at first
#define FRONT_BLOCKS (2 * MF2_BATCH_BLOCKS) // and at most: half of them are a batch
#define FRONTS_PART  8              // of the held pages, all threads' fronts together may hold 1/8,
#define FRONTS_LEAST (1u << 19)     // but those of a thread at least so many bytes
#define BORROW_LEAST MF2_LINK_BYTES // smaller blocks fill a page soon: not worth the slow path
#define MUCH_PART    64 // of front_total: what is worth a look in fronts of a thread that sleeps

// ---------------------------------------------------------------- layout

uint32_t mf2_front_capacity(const struct mf2_geometry *geometry, const struct mf2_route *route,
                            uint32_t class_index) {
    uint32_t capacity = route->front / geometry->block_bytes[class_index];
    if (capacity < 2)
        return 0;
    return capacity < FRONT_BLOCKS ? capacity : FRONT_BLOCKS;
}

static uint64_t fronts_bytes(const struct mf2_geometry *geometry) {
    return sizeof(struct MF2_ThreadPages) +
           (uint64_t)(geometry->class_count + 1) * sizeof(struct mf2_front);
}

uint64_t mf2_thread_bytes(const struct mf2_geometry *geometry, const struct mf2_route *route) {
    uint64_t bytes = fronts_bytes(geometry);
    for (uint32_t k = 0; k < geometry->class_count; k++)
        bytes += (1 + (uint64_t)mf2_front_capacity(geometry, route, k)) * sizeof(void *);
    return (bytes + MF2_LINE - 1) / MF2_LINE * MF2_LINE;
}

static void set_room(struct MF2_ThreadPages *self, uint32_t class_index, uint32_t blocks) {
    self->fronts[class_index + 1].end = self->bins[class_index].bottom + blocks;
}

void mf2_front_begin(struct mf2_state *state, struct MF2_ThreadPages *self) {
    const struct mf2_geometry *geometry = state->geometry;
    void **place = (void **)(void *)((char *)self + fronts_bytes(geometry));
    self->front_bytes = 0;
    self->filled_bytes = 0;
    self->fronts[0] = (struct mf2_front){place + 1, place + 1, 0, 0};
    for (uint32_t k = 0; k < geometry->class_count; k++) {
        uint32_t capacity = mf2_front_capacity(geometry, &state->route, k);
        uint64_t stride = geometry->block_bytes[k] + geometry->header_bytes;
        self->bins[k].bottom = place + 1; // place[0] stays NULL
        self->fronts[k + 1] =
            (struct mf2_front){place + 1, NULL, UINT64_MAX / stride + 1,
                               ((uint64_t)geometry->page_bytes << geometry->span_shift[k]) - 1};
        set_room(self, k, capacity < FRONT_BEGIN ? capacity : FRONT_BEGIN);
        place += 1 + capacity;
    }
}

// ---------------------------------------------------------------- growing

static uint32_t room_of(const struct MF2_ThreadPages *self, uint32_t class_index) {
    return (uint32_t)(self->fronts[class_index + 1].end - self->bins[class_index].bottom);
}

// Bytes that the fronts of one thread may hold together.
static uint64_t fronts_at_most(struct mf2_state *state) {
    uint64_t held = mf2_load_relaxed(&state->held_pages);
    uint32_t threads = mf2_load_relaxed(&state->thread_high);
    uint64_t share = (held << state->page_shift) / FRONTS_PART / threads;
    uint64_t most = share > FRONTS_LEAST ? share : FRONTS_LEAST;
    return most < state->route.front_total ? most : state->route.front_total;
}

// Doubles a front, if its class and the thread may hold so much; returns whether it grew.
static bool grow(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
    uint32_t capacity = mf2_front_capacity(state->geometry, &state->route, class_index);
    uint32_t room = room_of(self, class_index);
    uint32_t more = room < capacity - room ? room : capacity - room;
    uint64_t bytes = (uint64_t)more * state->geometry->block_bytes[class_index];
    if (more == 0)
        return false;
    uint64_t most = fronts_at_most(state);
    if (self->front_bytes + bytes > most)
        return false;
    self->front_bytes += bytes;
    set_room(self, class_index, room + more);
    return true;
}

// ---------------------------------------------------------------- in

// The blocks of a batch are at most half of a front that has grown to its class's capacity; a
// front that is smaller grows with them.
static uint32_t take_batch(struct mf2_state *state, struct MF2_ThreadPages *self,
                           uint32_t class_index) {
    void **bottom = self->bins[class_index].bottom;
    uint32_t count = mf2_depot_take(state, class_index, bottom);
    if (count > room_of(self, class_index))
        set_room(self, class_index, count);
    if (count)
        self->counters.depot_taken++;
    return count;
}

static uint32_t take_from_pages(struct mf2_state *state, struct MF2_ThreadPages *self,
                                uint32_t class_index, enum mf2_source source) {
    void **bottom = self->bins[class_index].bottom;
    void *blocks[MF2_BATCH_BLOCKS];
    uint32_t half = room_of(self, class_index) / 2;
    uint32_t count =
        mf2_alloc_from_pages(state, self, class_index, blocks, half ? half : 1, source);
    for (uint32_t i = 0; i < count; i++)
        bottom[count - 1 - i] = blocks[i]; // the best on top
    return count;
}

// Fills an empty front with what there is already, without memory of another page.
static bool fill_again(struct mf2_state *state, struct MF2_ThreadPages *self,
                       uint32_t class_index) {
    uint32_t count = take_batch(state, self, class_index);
    if (count == 0)
        count = take_from_pages(state, self, class_index, MF2_SOURCE_USED);
    self->fronts[class_index + 1].top = self->bins[class_index].bottom + count;
    return count > 0;
}

// A block of a somewhat larger class that has one. While sizes come and go at random, each class
// would else keep pages for the most blocks it ever had; so free ones serve whoever is short.
static void *borrow(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index) {
    const struct mf2_geometry *geometry = state->geometry;
    uint32_t bytes = geometry->block_bytes[class_index];
    uint64_t most = bytes + (uint64_t)bytes * state->route.borrow / 100;
    if (bytes < BORROW_LEAST)
        return NULL;
    // A block above a page's size has OS pages enough of its own that nobody has touched: a fresh
    // one costs what is asked for, a larger one what its last user wrote.
    if (most > geometry->page_bytes)
        most = geometry->page_bytes;
    for (uint32_t k = class_index + 1;
         k < geometry->class_count && geometry->block_bytes[k] <= most; k++) {
        struct mf2_front *front = &self->fronts[k + 1];
        if (front->end == self->bins[k].bottom)
            break; // larger classes have no front either
        if (front->top != self->bins[k].bottom || fill_again(state, self, k)) {
            self->counters.front_borrowed++;
            return *--front->top;
        }
    }
    return NULL;
}

void *mf2_front_refill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                       bool exact) {
    struct mf2_front *front = &self->fronts[class_index + 1];
    self->counters.front_refills++;
    grow(state, self, class_index);
    bool filled = fill_again(state, self, class_index);
    if (!filled && !exact) {
        void *block = borrow(state, self, class_index);
        if (block)
            return block;
    }
    if (!filled) {
        uint32_t count = take_from_pages(state, self, class_index, MF2_SOURCE_ANY);
        if (count == 0)
            return NULL;
        front->top += count;
    }
    return *--front->top;
}

// ---------------------------------------------------------------- out

static void give_away(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                      void **blocks, uint32_t count) {
    bool kept = mf2_depot_put(state, class_index, blocks, count);
    if (kept)
        self->counters.depot_put++;
    else
        mf2_free_to_pages(state, self, class_index, blocks, count);
}

// A front is full. Once much has gone into the fronts of its thread in all, looks begin.
static void note_filled(struct mf2_state *state, struct MF2_ThreadPages *self,
                        uint32_t class_index) {
    uint64_t much = state->route.front_total / MUCH_PART;
    if (self->filled_bytes > much)
        return;
    self->filled_bytes +=
        (uint64_t)room_of(self, class_index) * state->geometry->block_bytes[class_index];
    if (self->filled_bytes > much)
        mf2_watch_laden(state, self);
}

void mf2_front_spill(struct mf2_state *state, struct MF2_ThreadPages *self, uint32_t class_index,
                     void *block) {
    struct mf2_front *front = &self->fronts[class_index + 1];
    note_filled(state, self, class_index);
    bool grown = grow(state, self, class_index);
    if (!grown) {
        void **bottom = self->bins[class_index].bottom;
        uint32_t room = room_of(self, class_index);
        uint32_t older = (room + 1) / 2;
        self->counters.front_spills++;
        give_away(state, self, class_index, bottom, older);
        memmove(bottom, bottom + older, (room - older) * sizeof *bottom);
        front->top -= older;
    }
    *front->top++ = block;
}

void mf2_front_end(struct mf2_state *state, struct MF2_ThreadPages *self) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        struct mf2_front *front = &self->fronts[k + 1];
        void **bottom = self->bins[k].bottom;
        while (front->top != bottom) {
            uint32_t count = (uint32_t)(front->top - bottom);
            uint32_t some = count < MF2_BATCH_BLOCKS ? count : MF2_BATCH_BLOCKS;
            front->top -= some;
            give_away(state, self, k, front->top, some);
        }
        front->end = front->top; // nothing comes in any more
    }
}

void mf2_front_empty(struct mf2_state *state, struct MF2_ThreadPages *thread) {
    mf2_works_on(thread->fronts);
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        struct mf2_front *front = &thread->fronts[k + 1];
        uint32_t count = (uint32_t)(front->top - thread->bins[k].bottom);
        front->top = thread->bins[k].bottom;
        if (count)
            mf2_free_to_pages(state, thread, k, front->top, count);
    }
    mf2_front_begin(state, thread);
}

// ---------------------------------------------------------------- looking in

static void visit_fronts(struct mf2_state *state, struct MF2_ThreadPages *thread,
                         void (*visit)(void *argument, void *block), void *argument) {
    for (uint32_t k = 0; k < state->geometry->class_count; k++)
        for (void **at = thread->bins[k].bottom; at < thread->fronts[k + 1].top; at++)
            visit(argument, *at);
}

void mf2_front_each(struct mf2_state *state, void (*visit)(void *argument, void *block),
                    void *argument) {
    for (uint32_t slot = 1; slot <= MF2_LOOK(&state->thread_high); slot++)
        visit_fronts(state, mf2_thread_of_slot(state, slot), visit, argument);
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        uint32_t number = (uint32_t)MF2_LOOK(&state->depot[k]);
        while (number) {
            struct mf2_batch *batch = mf2_batch_of(state, number);
            for (uint32_t i = 0; i < batch->count; i++)
                visit(argument, batch->blocks[i]);
            number = MF2_LOOK(&batch->next);
        }
    }
}
