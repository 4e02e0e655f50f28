// coverage.c: what the schedules tried so far have shown (replayer.h says what is counted).
//
// Owns: the set of meetings and of classes, and, of the run under way, who accessed each place
// last. Nothing here decides anything: two explorations with and without it try the same.
//
// Looking costs about as much as running, so after the first schedules only one in some is looked
// at; the estimate needs no more.
#include "replayer.h"

#include "platform.h"

#include <stdlib.h>

enum { LOG2_AT_FIRST = 10, LOOK_AT_ALL = 4096, LOOK_EVERY = 16 };

// Numbers with how often they were added; open addressing, at most half full. 0 is no number.
struct number {
    uint64_t number;
    uint32_t last_schedule; // truncated: that added it last, so that one counts it once
    uint32_t times;         // up to 2
};
struct numbers {
    struct number *slots;
    uint64_t count, once;
    unsigned log2;
};

// One address in the run under way.
struct place {
    uint64_t key;                // offset + 1; valid where `schedule` is the present one
    uint64_t last_write;         // which access wrote last, as a hash
    uint64_t reads;              // sum of the hashes of those that have read it since
    const struct mf2_site *site; // of the last access
    uint32_t fiber;
    uint32_t schedule;
    bool wrote;
};
struct places {
    struct place *slots;
    uint64_t count;
    unsigned log2;
};

struct replay_coverage {
    struct numbers meetings, classes;
    struct places places;
    uint64_t *accesses; // by fiber, of this run
    uint32_t fibers;
    uint64_t class; // of the run under way
    uint64_t schedule, looked_at, last_new_meeting;
    uint32_t mark; // of this run in `places` and `numbers`
    bool looks, failed;
};

static uint64_t mixed(uint64_t a, uint64_t b) {
    uint64_t z = (a ^ b * UINT64_C(0xBF58476D1CE4E5B9)) + UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

// ---------------------------------------------------------------- sets of numbers

static struct number *number_slot(const struct numbers *set, uint64_t number) {
    uint64_t mask = (UINT64_C(1) << set->log2) - 1, i = number & mask;
    while (set->slots[i].number != 0 && set->slots[i].number != number)
        i = (i + 1) & mask;
    return &set->slots[i];
}

static bool numbers_init(struct numbers *set, unsigned log2) {
    set->log2 = log2;
    set->slots = calloc(UINT64_C(1) << log2, sizeof *set->slots);
    return set->slots != NULL;
}

static bool numbers_grow(struct numbers *set) {
    struct numbers larger = *set;
    if (!numbers_init(&larger, set->log2 + 1))
        return false;
    for (uint64_t i = 0; i < UINT64_C(1) << set->log2; i++)
        if (set->slots[i].number != 0)
            *number_slot(&larger, set->slots[i].number) = set->slots[i];
    free(set->slots);
    *set = larger;
    return true;
}

// Adds it once for each schedule; true if it is new.
static bool numbers_add(struct replay_coverage *coverage, struct numbers *set, uint64_t number) {
    if ((set->count + 1) * 2 > UINT64_C(1) << set->log2 && !numbers_grow(set)) {
        coverage->failed = true;
        return false;
    }
    struct number *slot = number_slot(set, number | 1);
    bool is_new = slot->number == 0;
    if (!is_new && slot->last_schedule == coverage->mark)
        return false;
    *slot = (struct number){number | 1, coverage->mark, is_new ? 1 : 2};
    set->count += is_new;
    set->once += is_new;
    return is_new;
}

// A number that was there once and now twice is no longer one of those seen once.
static bool numbers_note(struct replay_coverage *coverage, struct numbers *set, uint64_t number) {
    const struct number *slot = number_slot(set, number | 1);
    bool second = slot->number != 0 && slot->times == 1 && slot->last_schedule != coverage->mark;
    set->once -= second;
    return numbers_add(coverage, set, number);
}

// ---------------------------------------------------------------- places of a run

static struct place *place_slot(const struct places *places, uint64_t key, uint32_t schedule) {
    uint64_t mask = (UINT64_C(1) << places->log2) - 1, i = mixed(key, 0) & mask;
    while (places->slots[i].schedule == schedule && places->slots[i].key != key)
        i = (i + 1) & mask;
    return &places->slots[i];
}

static bool places_init(struct places *places, unsigned log2) {
    places->log2 = log2;
    places->slots = calloc(UINT64_C(1) << log2, sizeof *places->slots);
    return places->slots != NULL;
}

static bool places_grow(struct places *places, uint32_t schedule) {
    struct places larger = *places;
    if (!places_init(&larger, places->log2 + 1))
        return false;
    for (uint64_t i = 0; i < UINT64_C(1) << places->log2; i++)
        if (places->slots[i].schedule == schedule)
            *place_slot(&larger, places->slots[i].key, schedule) = places->slots[i];
    free(places->slots);
    *places = larger;
    return true;
}

static struct place *place_of(struct replay_coverage *coverage, uint64_t offset) {
    struct places *places = &coverage->places;
    if ((places->count + 1) * 2 > UINT64_C(1) << places->log2 &&
        !places_grow(places, coverage->mark)) {
        coverage->failed = true;
        return NULL;
    }
    struct place *place = place_slot(places, offset + 1, coverage->mark);
    if (place->schedule != coverage->mark) {
        *place = (struct place){.key = offset + 1, .schedule = coverage->mark};
        places->count++;
    }
    return place;
}

// ---------------------------------------------------------------- accesses

static bool writes(const struct mf2_site *site) {
    return site->kind != MF2_POINT_LOAD && site->kind != MF2_POINT_PLAIN_READ;
}

// Which access it is, whatever the others do meanwhile: the fiber's so-and-so-manieth.
static uint64_t name_of(struct replay_coverage *coverage, uint32_t fiber,
                        const struct world_choice *choice) {
    if (fiber >= coverage->fibers) {
        uint32_t fibers = fiber + 16;
        uint64_t *accesses = realloc(coverage->accesses, fibers * sizeof *accesses);
        if (accesses == NULL) {
            coverage->failed = true;
            return 0;
        }
        for (uint32_t i = coverage->fibers; i < fibers; i++)
            accesses[i] = 0;
        coverage->accesses = accesses;
        coverage->fibers = fibers;
    }
    uint64_t environment = (uint64_t)choice->outcome << 32 | choice->store_age;
    return mixed(mixed(fiber, ++coverage->accesses[fiber]), environment);
}

static void note_meeting(struct replay_coverage *coverage, const struct place *place,
                         const struct world_point *access, uint32_t fiber) {
    bool meet =
        place->site != NULL && place->fiber != fiber && (place->wrote || writes(access->site));
    if (meet && numbers_note(coverage, &coverage->meetings,
                             mixed((uintptr_t)place->site, (uintptr_t)access->site)))
        coverage->last_new_meeting = coverage->schedule;
}

bool replay_coverage_looks(const struct replay_coverage *coverage) {
    return coverage->looks;
}

void replay_coverage_note(struct replay_coverage *coverage, const struct world_point *access,
                          uint32_t fiber, const struct world_choice *choice) {
    // How often a thread stands between two operations depends on whether it had to wait there.
    if (!coverage->looks || access == NULL || access->site->kind == MF2_POINT_OPERATION)
        return;
    uint64_t name = name_of(coverage, fiber, choice);
    if (access->offset == WORLD_NO_OFFSET) {
        coverage->class += mixed(name, access->site->kind);
        return;
    }
    struct place *place = place_of(coverage, access->offset);
    if (place == NULL)
        return;
    note_meeting(coverage, place, access, fiber);
    bool wrote = writes(access->site);
    coverage->class += mixed(mixed(name, place->last_write), wrote ? place->reads : 0);
    place->reads = wrote ? 0 : place->reads + name;
    place->last_write = wrote ? name : place->last_write;
    place->site = access->site;
    place->fiber = fiber;
    place->wrote = wrote;
}

// ---------------------------------------------------------------- runs

struct replay_coverage *replay_coverage_new(void) {
    struct replay_coverage *coverage = calloc(1, sizeof *coverage);
    if (coverage == NULL)
        return NULL;
    if (numbers_init(&coverage->meetings, LOG2_AT_FIRST) &&
        numbers_init(&coverage->classes, LOG2_AT_FIRST) &&
        places_init(&coverage->places, LOG2_AT_FIRST))
        return coverage;
    replay_coverage_free(coverage);
    return NULL;
}

void replay_coverage_free(struct replay_coverage *coverage) {
    if (coverage == NULL)
        return;
    free(coverage->meetings.slots);
    free(coverage->classes.slots);
    free(coverage->places.slots);
    free(coverage->accesses);
    free(coverage);
}

bool replay_coverage_begin(struct replay_coverage *coverage, uint64_t schedule) {
    coverage->schedule = schedule;
    coverage->looks = schedule < LOOK_AT_ALL || schedule % LOOK_EVERY == 0;
    coverage->class = 0;
    coverage->places.count = 0;
    coverage->mark += coverage->looks;
    for (uint32_t i = 0; i < coverage->fibers; i++)
        coverage->accesses[i] = 0;
    return !coverage->failed;
}

void replay_coverage_drop(struct replay_coverage *coverage) {
    coverage->looks = false;
}

bool replay_coverage_end(struct replay_coverage *coverage) {
    if (coverage->looks) {
        coverage->looked_at++;
        numbers_note(coverage, &coverage->classes, coverage->class);
    }
    coverage->looks = false;
    return !coverage->failed;
}

void replay_coverage_figures(const struct replay_coverage *coverage,
                             struct replay_coverage_figures *figures) {
    *figures = (struct replay_coverage_figures){
        .schedules = coverage->looked_at,
        .every = coverage->schedule < LOOK_AT_ALL ? 1 : LOOK_EVERY,
        .meetings = coverage->meetings.count,
        .meetings_once = coverage->meetings.once,
        .meetings_last = coverage->last_new_meeting,
        .classes = coverage->classes.count,
        .classes_once = coverage->classes.once,
    };
}
