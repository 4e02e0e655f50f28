// views.c: see views.h.
//
// A view is an array of numbers: clocks by fiber, then stores by location. Locations get their
// place in it when they are first touched and keep it over all runs of a world; what a location
// remembers belongs to one run and is begun anew when it is first touched in another. So a reset
// costs the fibers' views and nothing else. No view has anything but 0 for locations that have not
// been touched yet in any run, so that a view that was made earlier needs no care.
#include "views.h"
#include "world_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOG2_SLOTS = 12, // of the table of locations: four for each
    LOG2_PLACES = 14,
    PLACES_USED_MAX = (1 << LOG2_PLACES) / 4 * 3,
};
_Static_assert((1 << LOG2_SLOTS) >= 4 * WORLD_VIEW_LOCATIONS, "probes are short");

struct store {
    uint64_t value;
    uint32_t *message; // room for a view
    bool has_message;
};

struct location {
    uint64_t offset;
    uint64_t run;    // in which it was touched last
    uint32_t newest; // store
    struct store stores[WORLD_VIEW_STORES];
};

// What one fiber knows.
struct seen {
    uint32_t *now;
    uint32_t *to_acquire; // messages that it read relaxed: a fence takes them in
    uint32_t *released;   // its view at its last fence: what a relaxed store carries
    bool has_to_acquire, has_released;
};

// Of a plain place: who wrote it last, who has read it since.
struct place {
    uint64_t key; // offset + 1
    uint64_t run;
    const struct mf2_site *write_site;
    uint32_t writer, write_clock; // clock 0: nobody has written it in this run
    uint32_t *read_clocks;        // by fiber; NULL: nobody ever read it
    const struct mf2_site *read_site;
    bool was_read;
    uint32_t *given; // view that goes with the block here
    bool has_given;
};

struct world_views {
    uint64_t run;
    uint32_t fibers;   // clocks in a view
    uint32_t capacity; // numbers in a view
    uint32_t location_count;
    uint16_t slots[1 << LOG2_SLOTS]; // location + 1
    struct location locations[WORLD_VIEW_LOCATIONS];
    struct seen *seen; // by fiber
    uint32_t *fence;   // stores that the last seq_cst fence had seen
    struct place places[1 << LOG2_PLACES];
    uint32_t places_used; // in this run
};

// ---------------------------------------------------------------- views

static uint32_t view_length(const struct world_views *views) {
    return views->fibers + views->location_count;
}

static uint32_t *new_view(const struct world_views *views) {
    uint32_t *view = calloc(views->capacity, sizeof *view);
    if (!view) {
        mf2_fail("no memory for a view", views->capacity);
    }
    return view;
}

static void join(uint32_t *view, const uint32_t *other, uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; i++) {
        view[i] = view[i] > other[i] ? view[i] : other[i];
    }
}

static void join_all(const struct world_views *views, uint32_t *view, const uint32_t *other) {
    join(view, other, 0, view_length(views));
}

static void copy(const struct world_views *views, uint32_t *view, const uint32_t *other) {
    memcpy(view, other, view_length(views) * sizeof *view);
}

static bool acquires(const struct mf2_site *site) {
    return site->order == MF2_ACQUIRE || site->order == MF2_ACQ_REL || site->order == MF2_SEQ_CST;
}

static bool releases(const struct mf2_site *site) {
    return site->order == MF2_RELEASE || site->order == MF2_ACQ_REL || site->order == MF2_SEQ_CST;
}

static struct seen *seen_by_runner(struct world *world) {
    return &world->views->seen[world->running->number];
}

// What the fiber does from here on is not in the views that it has given away.
static void next_clock(struct world *world) {
    uint32_t fiber = world->running->number;
    world->views->seen[fiber].now[fiber]++;
}

// ---------------------------------------------------------------- making

bool world_views_create(struct world *world) {
    struct world_views *views = calloc(1, sizeof *views);
    world->views = views;
    if (!views) {
        return false;
    }
    views->fibers = world->fiber_limit + 1;
    views->capacity = views->fibers + WORLD_VIEW_LOCATIONS;
    views->seen = calloc(views->fibers, sizeof *views->seen);
    views->fence = new_view(views);
    for (uint32_t i = 0; views->seen && i < views->fibers; i++) {
        views->seen[i].now = new_view(views);
        views->seen[i].to_acquire = new_view(views);
        views->seen[i].released = new_view(views);
    }
    return views->seen != NULL;
}

void world_views_destroy(struct world *world) {
    struct world_views *views = world->views;
    if (!views) {
        return;
    }
    for (uint32_t i = 0; views->seen && i < views->fibers; i++) {
        free(views->seen[i].now);
        free(views->seen[i].to_acquire);
        free(views->seen[i].released);
    }
    for (uint32_t i = 0; i < WORLD_VIEW_LOCATIONS; i++) {
        for (uint32_t k = 0; k < WORLD_VIEW_STORES; k++) {
            free(views->locations[i].stores[k].message);
        }
    }
    for (uint32_t i = 0; i < 1u << LOG2_PLACES; i++) {
        free(views->places[i].read_clocks);
        free(views->places[i].given);
    }
    free(views->seen);
    free(views->fence);
    free(views);
    world->views = NULL;
}

void world_views_reset(struct world *world) {
    struct world_views *views = world->views;
    size_t bytes = view_length(views) * sizeof(uint32_t);
    views->run++;
    views->places_used = 0;
    memset(views->fence, 0, bytes);
    for (uint32_t i = 0; i < views->fibers; i++) {
        struct seen *seen = &views->seen[i];
        memset(seen->now, 0, bytes);
        seen->now[i] = 1;
        seen->has_to_acquire = seen->has_released = false;
    }
}

// ---------------------------------------------------------------- locations

static struct location *add_location(struct world_views *views, uint16_t *slot, uint64_t offset) {
    if (views->location_count == WORLD_VIEW_LOCATIONS) {
        return NULL;
    }
    *slot = (uint16_t)++views->location_count;
    struct location *location = &views->locations[*slot - 1];
    location->offset = offset;
    return location;
}

// NULL: there are too many, or it is none of MF2's.
static struct location *find_location(struct world_views *views, uint64_t offset) {
    if (offset == WORLD_NO_OFFSET) {
        return NULL;
    }
    uint32_t mask = (1u << LOG2_SLOTS) - 1;
    uint32_t i = (uint32_t)(offset / 4 * UINT64_C(0x9E3779B97F4A7C15) >> (64 - LOG2_SLOTS));
    for (; views->slots[i]; i = (i + 1) & mask) {
        struct location *location = &views->locations[views->slots[i] - 1];
        if (location->offset == offset) {
            return location;
        }
    }
    return add_location(views, &views->slots[i], offset);
}

static uint64_t read_plainly(const void *address, unsigned bytes) {
    return bytes == 4 ? *(const uint32_t *)address : *(const uint64_t *)address;
}

static struct location *location_of(struct world *world, const void *address, unsigned bytes) {
    struct world_views *views = world->views;
    struct location *location = find_location(views, world_offset(world, address));
    if (location && location->run != views->run) {
        location->run = views->run;
        location->newest = 0;
        location->stores[0].value = read_plainly(address, bytes);
        location->stores[0].has_message = false;
    }
    return location;
}

static uint32_t place_in_view(const struct world_views *views, const struct location *location) {
    return views->fibers + (uint32_t)(location - views->locations);
}

static struct store *store_numbered(struct location *location, uint32_t number) {
    return &location->stores[number % WORLD_VIEW_STORES];
}

static uint32_t ages_of(const struct world_views *views, const struct location *location,
                        uint32_t fiber) {
    uint32_t oldest = views->seen[fiber].now[place_in_view(views, location)];
    uint32_t ages = location->newest - oldest;
    return ages < WORLD_VIEW_STORES ? ages : WORLD_VIEW_STORES - 1;
}

uint32_t world_views_ages(struct world *world, uint32_t fiber, uint64_t offset) {
    struct world_views *views = world->views;
    struct location *location = find_location(views, offset);
    return location && location->run == views->run ? ages_of(views, location, fiber) : 0;
}

uint64_t world_views_value(struct world *world, const void *address, uint32_t age) {
    struct location *location = find_location(world->views, world_offset(world, address));
    return location ? store_numbered(location, location->newest - age)->value : 0;
}

// ---------------------------------------------------------------- accesses

static void take_message(struct world_views *views, struct seen *seen, const struct store *store,
                         bool acquires_it) {
    if (!store->has_message) {
        return;
    }
    if (acquires_it) {
        join_all(views, seen->now, store->message);
        return;
    }
    if (!seen->has_to_acquire) {
        memset(seen->to_acquire, 0, view_length(views) * sizeof(uint32_t));
        seen->has_to_acquire = true;
    }
    join_all(views, seen->to_acquire, store->message);
}

uint64_t world_views_load(struct world *world, const void *address, unsigned bytes, uint32_t age,
                          const struct mf2_site *site) {
    struct world_views *views = world->views;
    struct seen *seen = seen_by_runner(world);
    struct location *location = location_of(world, address, bytes);
    if (!location) {
        return read_plainly(address, bytes);
    }
    uint32_t number = location->newest - age;
    uint32_t *oldest = &seen->now[place_in_view(views, location)];
    if (number > *oldest) {
        *oldest = number;
    }
    const struct store *store = store_numbered(location, number);
    take_message(views, seen, store, acquires(site));
    return store->value;
}

// The newest store becomes one of this value. `kept`: the message of the store that it replaces
// goes on in it.
static void add_store(struct world *world, struct location *location, uint64_t value, bool kept,
                      const struct mf2_site *site) {
    struct world_views *views = world->views;
    struct seen *seen = seen_by_runner(world);
    const struct store *before = store_numbered(location, location->newest);
    struct store *store = store_numbered(location, ++location->newest);
    const uint32_t *carries = releases(site)       ? seen->now
                              : seen->has_released ? seen->released
                                                   : NULL;
    kept = kept && before->has_message;
    seen->now[place_in_view(views, location)] = location->newest;
    store->value = value;
    store->has_message = carries || kept;
    if (!store->has_message) {
        return;
    }
    if (!store->message) {
        store->message = new_view(views);
    }
    copy(views, store->message, kept ? before->message : carries);
    if (kept && carries) {
        join_all(views, store->message, carries);
    }
    store->message[place_in_view(views, location)] = location->newest;
    if (releases(site)) {
        next_clock(world);
    }
}

void world_views_store(struct world *world, void *address, unsigned bytes, uint64_t value,
                       const struct mf2_site *site) {
    struct location *location = location_of(world, address, bytes);
    if (location) {
        add_store(world, location, value, false, site);
    }
}

void world_views_rmw(struct world *world, void *address, unsigned bytes, uint64_t after,
                     const struct mf2_site *site) {
    struct location *location = location_of(world, address, bytes);
    if (!location) {
        return;
    }
    take_message(world->views, seen_by_runner(world), store_numbered(location, location->newest),
                 acquires(site));
    add_store(world, location, after, true, site);
}

// Stores that an earlier fence has seen are seen by a later one; that alone orders no plain access.
static void fence_of(struct world *world, uint32_t fiber, const struct mf2_site *site) {
    struct world_views *views = world->views;
    struct seen *seen = &views->seen[fiber];
    if (acquires(site) && seen->has_to_acquire) {
        join_all(views, seen->now, seen->to_acquire);
        seen->has_to_acquire = false;
    }
    if (site->order == MF2_SEQ_CST) {
        join(views->fence, seen->now, views->fibers, view_length(views));
        join(seen->now, views->fence, views->fibers, view_length(views));
    }
    if (releases(site)) {
        copy(views, seen->released, seen->now);
        seen->has_released = true;
        seen->now[fiber]++;
    }
}

void world_views_fence(struct world *world, const struct mf2_site *site) {
    fence_of(world, world->running->number, site);
}

// The caller waits until every other one has made its fence: what it did before is ordered before
// what the caller does next.
void world_views_fence_all(struct world *world, const struct mf2_site *site) {
    struct world_views *views = world->views;
    uint32_t caller = world->running->number;
    for (uint32_t i = 0; i < views->fibers; i++) {
        if (i != caller) {
            world_views_order(world, caller, i);
            fence_of(world, i, site);
            world_views_order(world, i, caller);
        }
    }
    fence_of(world, caller, site);
}

// ---------------------------------------------------------------- plain places

// NULL: too many places in one run, or none of MF2's.
static struct place *place_of(struct world *world, const void *address) {
    struct world_views *views = world->views;
    uint64_t key = world_offset(world, address) + 1;
    if (key == 0) {
        return NULL;
    }
    uint32_t mask = (1u << LOG2_PLACES) - 1;
    uint32_t i = (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - LOG2_PLACES));
    while (views->places[i].run == views->run && views->places[i].key != key) {
        i = (i + 1) & mask;
    }
    struct place *place = &views->places[i];
    if (place->run != views->run) {
        if (views->places_used == PLACES_USED_MAX) {
            return NULL;
        }
        views->places_used++;
        place->run = views->run;
        place->key = key;
        place->write_clock = 0;
        place->was_read = place->has_given = false;
    }
    return place;
}

static void race(struct world *world, const char *what, const struct mf2_site *site,
                 const char *earlier_what, const struct mf2_site *earlier, uint32_t fiber) {
    world_violate(world, WORLD_ORACLE_RACE,
                  "%s at %s:%u %s (fiber %u) and %s at %s:%u %s (fiber %u) are not ordered", what,
                  site->file, site->line, site->expression, world->running->number, earlier_what,
                  earlier->file, earlier->line, earlier->expression, fiber);
}

static void look_for_readers(struct world *world, const struct place *place,
                             const struct mf2_site *site) {
    const uint32_t *now = seen_by_runner(world)->now;
    for (uint32_t fiber = 0; fiber < world->views->fibers; fiber++) {
        if (place->read_clocks[fiber] > now[fiber]) {
            race(world, "the write", site, "the read", place->read_site, fiber);
            return;
        }
    }
}

static void note_read(struct world *world, struct place *place, const struct mf2_site *site) {
    struct world_views *views = world->views;
    uint32_t fiber = world->running->number;
    if (!place->read_clocks) {
        place->read_clocks = new_view(views);
    }
    if (!place->was_read) {
        memset(place->read_clocks, 0, views->fibers * sizeof(uint32_t));
        place->was_read = true;
    }
    place->read_clocks[fiber] = views->seen[fiber].now[fiber];
    place->read_site = site;
}

void world_views_plain(struct world *world, const void *address, bool writes,
                       const struct mf2_site *site) {
    struct place *place = place_of(world, address);
    uint32_t fiber = world->running->number;
    const uint32_t *now = seen_by_runner(world)->now;
    if (!place) {
        return;
    }
    if (place->write_clock > now[place->writer]) {
        race(world, writes ? "the write" : "the read", site, "the write", place->write_site,
             place->writer);
    }
    if (!writes) {
        note_read(world, place, site);
        return;
    }
    if (place->was_read) {
        look_for_readers(world, place, site);
        place->was_read = false;
    }
    place->writer = fiber;
    place->write_clock = now[fiber];
    place->write_site = site;
}

// ---------------------------------------------------------------- what the program orders

void world_views_order(struct world *world, uint32_t from, uint32_t to) {
    struct world_views *views = world->views;
    join_all(views, views->seen[to].now, views->seen[from].now);
    views->seen[from].now[from]++;
}

void world_views_give(struct world *world, const void *block) {
    struct place *place = place_of(world, block);
    if (!place) {
        return;
    }
    if (!place->given) {
        place->given = new_view(world->views);
    }
    copy(world->views, place->given, seen_by_runner(world)->now);
    place->has_given = true;
    next_clock(world);
}

void world_views_get(struct world *world, const void *block) {
    const struct place *place = place_of(world, block);
    if (place && place->has_given) {
        join_all(world->views, seen_by_runner(world)->now, place->given);
    }
}
