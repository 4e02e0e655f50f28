// measure_sites.c: which objects of the program hold the stranded pages: the result's
// `stranded_objects`, from which a report finds the code that allocated them.
//
// Looked at while the stranding grows, not at the end, when nobody knows any more what was where.
// Every look costs a walk over all pages and all live objects; one is taken where the stranding is
// a twentieth greater than at the last (counted in pages with a block in use: the others have no
// object to blame), and where all looks together have not cost more than a few
// steps of the run each. So the last look is near the worst moment, and says at which step it was.
#include "program_internal.h"

#include "mf2.h"

#include <stdlib.h>

#define GROWTH_SHARE   20                  // a look is taken at growth of 1 / this
#define LOOKS_FREE     (UINT64_C(1) << 24) // what looks may cost at all,
#define LOOKS_PER_STEP 8                   // and per step of the run
#define PLACE_BYTES    16                  // unit of program_object's place

// What is known of a page number: the page it belongs to.
struct page_part {
    uint32_t head; // page number; 0 = not of a stranded page
    uint32_t cause;
    uint32_t objects; // of a head
};

static bool is_worth_it(const struct program_result *result, uint64_t in_use) {
    const struct program_sites *sites = &result->sites;
    uint64_t pages = result->state->fresh_page - result->state->first_page;
    uint64_t cost = pages + (result->objects != NULL ? result->objects->count : 0);
    return result->objects != NULL && in_use > sites->in_use + sites->in_use / GROWTH_SHARE &&
           sites->looked_at + cost <= LOOKS_FREE + LOOKS_PER_STEP * result->steps_done;
}

static void mark_stranded(struct program_result *result, struct page_part *parts) {
    struct mf2_state *state = result->state;
    uint64_t now_ns = world_clock_ns(result->world);
    for (uint32_t i = state->first_page; i < state->fresh_page; i = mf2_page_after(state, i)) {
        enum mf2_stranding cause = mf2_page_stranding(state, &state->pages[i], now_ns);
        for (uint32_t k = 0; cause != MF2_STRANDED_NOT && k < state->pages[i].run_pages; k++)
            parts[i + k] = (struct page_part){.head = i, .cause = cause};
    }
}

// The head's part of the page in which the slot's object lives; NULL: no stranded page.
static struct page_part *part_of(const struct program_result *result, struct page_part *parts,
                                 const struct program_object *object) {
    if (object->key == 0 || object->state != PROGRAM_OBJECT_LIVE)
        return NULL;
    struct page_part *part =
        &parts[(uint64_t)object->place * PLACE_BYTES >> result->state->page_shift];
    return part->head == 0 ? NULL : &parts[part->head];
}

static uint64_t slot_count(const struct program_result *result) {
    return UINT64_C(1) << (64 - result->objects->shift);
}

static uint64_t count_objects(const struct program_result *result, struct page_part *parts) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < slot_count(result); i++) {
        struct page_part *part = part_of(result, parts, &result->objects->slots[i]);
        if (part != NULL) {
            part->objects++;
            count++;
        }
    }
    return count;
}

static uint64_t count_empty(const struct program_result *result, const struct page_part *parts) {
    uint64_t empty = 0;
    for (uint32_t i = result->state->first_page; i < result->state->fresh_page; i++)
        if (parts[i].head == i && parts[i].objects == 0)
            empty += result->state->pages[i].run_pages;
    return empty;
}

static void take_objects(struct program_result *result, struct page_part *parts) {
    struct program_sites *sites = &result->sites;
    uint64_t place = 0;
    sites->count = 0;
    for (uint64_t i = 0; i < slot_count(result); i++) {
        const struct program_object *object = &result->objects->slots[i];
        const struct page_part *part = part_of(result, parts, object);
        if (part == NULL || place++ % sites->stride != 0)
            continue;
        uint64_t millionths = result->state->pages[part->head].run_pages * UINT64_C(1000000);
        sites->list[sites->count++] =
            (struct program_site_object){.object = object->key - 1,
                                         .page_millionths = (uint32_t)(millionths / part->objects),
                                         .cause = part->cause};
    }
}

// Without memory the last look stays.
void program_sites_look(struct program_result *result, uint64_t total, uint64_t in_use) {
    struct program_sites *sites = &result->sites;
    if (!is_worth_it(result, in_use))
        return;
    if (sites->list == NULL)
        sites->list = calloc(PROGRAM_SITE_OBJECTS_MAX, sizeof *sites->list);
    struct page_part *parts = calloc(result->state->fresh_page, sizeof *parts);
    if (sites->list != NULL && parts != NULL) {
        mark_stranded(result, parts);
        sites->objects = count_objects(result, parts);
        sites->stride = sites->objects / PROGRAM_SITE_OBJECTS_MAX + 1;
        sites->empty = count_empty(result, parts);
        sites->step = result->steps_done;
        sites->total = total;
        sites->in_use = in_use;
        take_objects(result, parts);
        sites->looked_at += result->state->fresh_page + result->objects->count;
    }
    free(parts);
}
