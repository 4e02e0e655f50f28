// measure.c: what is measured on the way: the digest, H, F, B and C, classes, threads, timeline.
//
// Owns: struct program_result while it grows. Every figure is counted here, once, for streams of
// operations and for free-running workloads alike; doc/results.md says what each means.
// Does not know: where operations come from, JSON.
//
//   H  pages held, read from MF2 after each operation
//   F  fewest pages: per class ⌈live blocks ÷ capacity⌉, kept up to date by how full the class's
//      last page would be; large blocks count their own pages. By what was asked for, not by where
//      MF2 put it, so that F is the same under every route; one that borrows may hold fewer
//   B  bytes asked for and live, ÷ page size
//   C  classes that a living thread has ever allocated in, summed over threads
//
// The timeline keeps at most 4,096 rows. Where the number of operations is known beforehand, each
// row stands for an equal share; where not, the share doubles whenever the rows are full and every
// second one goes; likewise where there are so many pages that looking at them costs more than the
// run. All that depends on nothing but the program.
#include "program_internal.h"

#include "mf2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS_PER_STEP 32                  // what the timeline may cost,
#define LOOKS_FREE     (UINT64_C(1) << 27) // after so many looks at pages and blocks
#define ROWS_MIN       128

// ---------------------------------------------------------------- digest

// False: no memory.
static bool digest_begin(struct program_result *result) {
    result->hash = XXH3_createState();
    if (result->hash != NULL)
        XXH3_64bits_reset(result->hash);
    return result->hash != NULL;
}

static void digest_flush(struct program_result *result) {
    XXH3_64bits_update(result->hash, result->digest_records,
                       result->digest_pending * sizeof result->digest_records[0]);
    result->digest_pending = 0;
}

static bool digest_operation(struct program_result *result, const struct program_done *done) {
    result->digest_records[result->digest_pending++] =
        (struct program_digest_record){.step = done->step,
                                       .object = done->object,
                                       .size = done->size,
                                       .result = done->result,
                                       .thread = done->thread,
                                       .held = (uint32_t)result->held,
                                       .op_and_align = done->op | (uint64_t)done->align_log2 << 8};
    if (result->digest_pending < PROGRAM_DIGEST_BATCH)
        return true;
    if (result->hash == NULL && !digest_begin(result))
        return false;
    digest_flush(result);
    return true;
}

// Of a short run, whose records are all still here, when it is asked for: who explores asks of one
// run in very many.
uint64_t program_behaviour(const struct program_result *result) {
    char bytes[sizeof result->digest_records + sizeof result->counters];
    size_t size = result->digest_pending * sizeof result->digest_records[0];
    if (result->hash != NULL)
        return XXH3_64bits_digest(result->hash);
    memcpy(bytes, result->digest_records, size);
    memcpy(bytes + size, &result->counters, sizeof result->counters);
    return XXH3_64bits(bytes, size + sizeof result->counters);
}

// What a run is called: what it did, under which policy and page geometry. Two policies may do the
// same; `behaviour` is then equal, the digest is not. Made when it is asked for: who explores runs
// many programs whose names nobody asks for.
static uint64_t digest_of_run(const struct program_result *result) {
    char text[1024], value[64];
    const char *name;
    int length = snprintf(text, sizeof text, "%016llx %s",
                          (unsigned long long)program_behaviour(result), result->geometry->name);
    for (size_t i = 0; (name = mf2_route_switch(&result->route, i, value, sizeof value)) != NULL;
         i++)
        length += snprintf(text + length, sizeof text - (size_t)length, " %s=%s", name, value);
    return XXH3_64bits(text, (size_t)length);
}

// ---------------------------------------------------------------- bytes and fewest pages

static uint64_t pages_of(const struct program_result *result, uint64_t bytes) {
    uint64_t page_bytes = result->geometry->page_bytes;
    return bytes / page_bytes + (bytes % page_bytes != 0);
}

// class_count where no class serves: a large block.
static uint32_t class_of(const struct program_result *result, uint64_t size, uint8_t align_log2) {
    const struct mf2_geometry *geometry = result->geometry;
    uint32_t class_plus_one = mf2_class_of_bytes(result->state, size);
    if (class_plus_one == 0)
        return geometry->class_count;
    return mf2_geometry_class(geometry, class_plus_one - 1, size, (size_t)1 << align_log2);
}

static uint64_t pages_of_class(const struct program_result *result,
                               const struct program_class_row *row) {
    return UINT64_C(1) << result->geometry->span_shift[row - result->classes];
}

static void class_block_made(struct program_result *result, struct program_class_row *row) {
    row->allocations++;
    if (row->last_page_fill == 0)
        result->fewest += pages_of_class(result, row);
    if (++row->last_page_fill == row->capacity)
        row->last_page_fill = 0;
    if (++row->live_blocks > row->peak_live_blocks)
        row->peak_live_blocks = row->live_blocks;
}

static void class_block_released(struct program_result *result, struct program_class_row *row) {
    if (row->last_page_fill == 0)
        row->last_page_fill = row->capacity;
    if (--row->last_page_fill == 0)
        result->fewest -= pages_of_class(result, row);
    row->live_blocks--;
}

static uint64_t large_pages_fewest(const struct program_result *result, uint64_t size) {
    return pages_of(result, size > 0 ? size : 1);
}

static void note_class_used(struct program_result *result, struct program_thread_row *thread,
                            uint32_t class_index) {
    uint64_t bit = UINT64_C(1) << class_index % 64;
    if (thread->classes_used[class_index / 64] & bit)
        return;
    thread->classes_used[class_index / 64] |= bit;
    result->constant_pages++;
    if (result->constant_pages > result->constant_pages_max)
        result->constant_pages_max = result->constant_pages;
}

static void note_slot(struct program_result *result, struct program_thread_row *thread);

static void block_made(struct program_result *result, struct program_thread_row *thread,
                       const struct program_done *done) {
    uint32_t class_index = class_of(result, done->size, done->align_log2);
    result->allocations++;
    thread->allocations++;
    result->live_bytes += done->size;
    if (class_index == result->geometry->class_count) {
        result->fewest += large_pages_fewest(result, done->size);
    } else {
        class_block_made(result, &result->classes[class_index]);
        note_class_used(result, thread, class_index);
    }
    if (thread->slot == 0)
        note_slot(result, thread);
}

static void block_released(struct program_result *result, struct program_thread_row *thread,
                           const struct program_done *done) {
    uint32_t class_index = class_of(result, done->released_size, done->released_align_log2);
    thread->frees++;
    result->live_bytes -= done->released_size;
    if (class_index == result->geometry->class_count)
        result->fewest -= large_pages_fewest(result, done->released_size);
    else
        class_block_released(result, &result->classes[class_index]);
}

// ---------------------------------------------------------------- threads

// Doubles an array of rows of row_bytes until `index` is in it; new rows are zero.
static bool reach(void **rows, uint32_t *count, size_t row_bytes, uint32_t index) {
    if (index < *count)
        return true;
    uint64_t wanted = *count == 0 ? 16 : *count;
    while (wanted <= index)
        wanted *= 2;
    char *larger = wanted > UINT32_MAX ? NULL : realloc(*rows, wanted * row_bytes);
    if (larger == NULL)
        return false;
    memset(larger + *count * row_bytes, 0, (wanted - *count) * row_bytes);
    *rows = larger;
    *count = (uint32_t)wanted;
    return true;
}

static struct program_thread_row *thread_row(struct program_result *result, uint32_t thread) {
    void *rows = result->threads;
    bool reached = reach(&rows, &result->thread_count, sizeof *result->threads, thread);
    result->threads = rows;
    return reached ? &result->threads[thread] : NULL;
}

static struct program_slot_counts counts_of_slot(struct program_result *result, uint32_t slot) {
    const struct MF2_ThreadPages *pages = mf2_thread_of_slot(result->state, slot);
    const struct mf2_counters *counters = &pages->counters;
    return (struct program_slot_counts){
        .remote_frees = counters->remote_frees,
        .new_pages = counters->new_page_count,
        .recycled_pages = counters->recycled_pages,
        .page_reuses = counters->page_reuses,
        .adopted_from = pages->adopted_from.value,
        .adopted =
            counters->adoption_allowed + counters->orphans_adopted + counters->orphans_reclaimed,
    };
}

static void note_slot(struct program_result *result, struct program_thread_row *thread) {
    uint32_t slot = mf2_own()->slot;
    if (slot == MF2_SLOT_NONE)
        return;
    uint32_t number = (uint32_t)(thread - result->threads);
    if (program_migrations_slot(result, slot, number))
        thread->slot = slot;
}

// Gives a slot's counts since its last taking to the thread that has it, and starts anew.
static bool settle_slot(struct program_result *result, struct program_thread_row *thread) {
    uint32_t slot = thread->slot;
    void *bases = result->slot_bases;
    bool reached = reach(&bases, &result->slot_count, sizeof *result->slot_bases, slot);
    result->slot_bases = bases;
    if (!reached)
        return false;
    struct program_slot_counts now = counts_of_slot(result, slot);
    struct program_slot_counts *base = &result->slot_bases[slot];
    uint64_t *to = (uint64_t *)&thread->counts;
    const uint64_t *from = (const uint64_t *)&now, *since = (const uint64_t *)base;
    for (size_t i = 0; i < sizeof now / sizeof *to; i++)
        to[i] += from[i] - since[i];
    *base = now;
    return true;
}

bool program_meter_exit(struct program_result *result, uint32_t thread) {
    struct program_thread_row *row = thread_row(result, thread);
    if (row == NULL)
        return false;
    for (size_t i = 0; i < sizeof row->classes_used / sizeof row->classes_used[0]; i++) {
        result->constant_pages -= (uint64_t)__builtin_popcountll(row->classes_used[i]);
        row->classes_used[i] = 0;
    }
    if (row->slot != 0 && !settle_slot(result, row))
        return false;
    row->slot = 0;
    return true;
}

// ---------------------------------------------------------------- timeline

static uint64_t stranded_pages(const struct mf2_census *census) {
    return (uint64_t)census->stranded_owner_exited + census->stranded_owner_idle +
           census->stranded_full_forgotten + census->stranded_below_threshold +
           census->stranded_pending_undrained;
}

static void note_stranded(struct program_result *result, const struct mf2_census *census) {
    uint64_t total = stranded_pages(census);
    if (total > result->stranded_total) {
        result->stranded = *census;
        result->stranded_total = total;
        result->stranded_step = result->steps_done;
    }
}

static bool is_class_page(const struct MidPage *page) {
    return page->state >= MF2_PAGE_ACTIVE && page->state <= MF2_PAGE_ORPHAN;
}

// Pages of each class right now; peak_pages is the greatest seen at a row.
static void note_class_pages(struct program_result *result) {
    uint64_t pages[MF2_CLASS_MAX] = {0};
    const struct mf2_state *state = result->state;
    for (uint32_t i = state->first_page; i < state->fresh_page; i = mf2_page_after(state, i))
        if (is_class_page(&state->pages[i]))
            pages[state->pages[i].class_index] += state->pages[i].run_pages;
    for (uint32_t k = 0; k < result->geometry->class_count; k++)
        if (pages[k] > result->classes[k].peak_pages)
            result->classes[k].peak_pages = pages[k];
}

static uint64_t pages_ever_used(const struct program_result *result) {
    return result->state->fresh_page - result->state->first_page;
}

static struct program_row row_now(struct program_result *result) {
    struct mf2_census census;
    struct mf2_counters counters;
    uint64_t time_ns = world_clock_ns(result->world);
    world_census(result->world, &census);
    world_counters(result->world, &counters);
    note_stranded(result, &census);
    note_class_pages(result);
    program_sites_look(result, stranded_pages(&census), census.stranded_in_use);
    result->looks_of_row = pages_ever_used(result) + census.remote_blocks;
    return (struct program_row){
        .step = result->steps_done,
        .time_ns = time_ns,
        .held = census.held,
        .held_max = result->share_held_max > census.held ? result->share_held_max : census.held,
        .fewest = result->fewest,
        .live_bytes = result->live_bytes,
        .new_pages = counters.new_page_count,
        .recycled_pages = counters.recycled_pages,
        .page_reuses = counters.page_reuses,
        .active = census.active,
        .partial = census.partial,
        .full = census.full,
        .pending = census.pending,
        .orphan = census.orphan,
        .empty = census.empty,
        .large = census.large,
        .stranded_owner_exited = census.stranded_owner_exited,
        .stranded_owner_idle = census.stranded_owner_idle,
        .stranded_full_forgotten = census.stranded_full_forgotten,
        .stranded_below_threshold = census.stranded_below_threshold,
        .stranded_pending_undrained = census.stranded_pending_undrained,
        .stranded_in_use = census.stranded_in_use,
    };
}

// Two shares become one: the later row stays, with the greater maximum.
static void halve_rows(struct program_result *result) {
    uint32_t kept = result->row_count / 2;
    for (uint32_t i = 0; i < kept; i++) {
        uint64_t earlier_max = result->rows[2 * i].held_max;
        result->rows[i] = result->rows[2 * i + 1];
        if (earlier_max > result->rows[i].held_max)
            result->rows[i].held_max = earlier_max;
    }
    result->row_count = kept;
    result->steps_per_row *= 2;
}

static bool row_space(struct program_result *result) {
    if (result->row_count < result->row_capacity)
        return true;
    uint32_t capacity = result->row_capacity == 0 ? 64 : result->row_capacity * 2;
    void *larger = realloc(result->rows, capacity * sizeof *result->rows);
    if (larger == NULL)
        return false;
    result->rows = larger;
    result->row_capacity = capacity;
    return true;
}

// A row looks at every page that was ever used and, under protocol `counted`, at every block on its
// remote stack. Once that has been many, and where it is more than LOOKS_PER_STEP for each step of
// a row's share, rows get fewer, while there are ROWS_MIN.
static bool rows_are_dear(const struct program_result *result) {
    return result->looks > LOOKS_FREE && result->row_count >= ROWS_MIN &&
           result->row_count % 2 == 0 &&
           result->looks_of_row > LOOKS_PER_STEP * result->steps_per_row;
}

static void set_next_row(struct program_result *result) {
    result->next_row_step =
        (result->steps_done / result->steps_per_row + 1) * result->steps_per_row;
}

static bool add_row(struct program_result *result) {
    if (!row_space(result))
        return false;
    result->rows[result->row_count++] = row_now(result);
    result->looks += result->looks_of_row;
    result->share_held_max = 0;
    return true;
}

// A share has ended, unless shares have just grown past it.
static bool take_row(struct program_result *result) {
    while (result->row_count == PROGRAM_ROWS_MAX || rows_are_dear(result))
        halve_rows(result);
    bool taken = result->steps_done % result->steps_per_row != 0 || add_row(result);
    set_next_row(result);
    return taken;
}

// The last share may be a short one.
static void take_last_row(struct program_result *result) {
    if (result->row_count > 0 && result->rows[result->row_count - 1].step == result->steps_done)
        return;
    if (result->row_count == PROGRAM_ROWS_MAX)
        halve_rows(result);
    add_row(result);
}

// ---------------------------------------------------------------- the meter

static void prepare_classes(struct program_result *result) {
    const struct mf2_geometry *geometry = result->geometry;
    for (uint32_t k = 0; k < geometry->class_count; k++)
        result->classes[k] =
            (struct program_class_row){.capacity = mf2_geometry_capacity(geometry, k)};
}

struct program_result *program_meter_begin(struct world *world,
                                           const struct program_options *options,
                                           uint64_t operations) {
    struct program_result *result = malloc(sizeof *result);
    if (result == NULL)
        return NULL;
    memset(result, 0, offsetof(struct program_result, classes));
    result->world = world;
    result->state = world_mf2(world);
    result->geometry = result->state->geometry;
    result->route = result->state->route;
    result->brief = options->brief;
    result->on_done = options->on_done;
    result->on_done_self = options->on_done_self;
    result->steps_per_row = (operations + PROGRAM_ROWS_MAX - 1) / PROGRAM_ROWS_MAX;
    if (result->steps_per_row == 0)
        result->steps_per_row = 1;
    result->next_row_step = options->brief ? UINT64_MAX : result->steps_per_row;
    prepare_classes(result);
    return result;
}

uint64_t program_meter_step(struct program_result *result) {
    return result->steps++;
}

void program_meter_unresolved(struct program_result *result) {
    result->unresolved++;
}

void program_meter_interrupted(struct program_result *result) {
    result->interrupted = true;
}

static bool asks_for_a_block(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED ||
           op == PROGRAM_REALLOC;
}

static void add_up_pages(struct program_result *result) {
    uint64_t held = result->state->held_pages.value;
    result->held = held;
    result->held_sum += held;
    result->fewest_sum += result->fewest;
    if (held > result->share_held_max)
        result->share_held_max = held;
    if (held > result->held_max)
        result->held_max = held;
    if (result->fewest > result->fewest_max)
        result->fewest_max = result->fewest;
    if (result->live_bytes > result->live_bytes_max)
        result->live_bytes_max = result->live_bytes;
}

bool program_meter_operation(struct program_result *result, const struct program_done *done) {
    struct program_thread_row *thread = thread_row(result, done->thread);
    if (thread == NULL)
        return false;
    thread->seen = true;
    thread->operations++;
    if (done->released)
        block_released(result, thread, done);
    if (done->made)
        block_made(result, thread, done);
    else if (asks_for_a_block(done->op))
        result->failed_allocations++;
    if (thread->slot != 0 && !program_migrations_look(result, thread->slot))
        return false;
    result->steps_done++;
    add_up_pages(result);
    if (!digest_operation(result, done))
        return false;
    if (result->on_done)
        result->on_done(result->on_done_self, result->world, done);
    return result->steps_done < result->next_row_step || take_row(result);
}

// ---------------------------------------------------------------- the end

static void sum_class_counters(struct program_result *result) {
    uint32_t high = result->state->thread_high.value;
    for (uint32_t slot = 1; slot <= high; slot++) {
        const struct MF2_ThreadPages *pages = mf2_thread_of_slot(result->state, slot);
        for (uint32_t k = 0; k < result->geometry->class_count; k++) {
            result->classes[k].new_pages += pages->classes[k].new_pages;
            result->classes[k].recycled_pages += pages->classes[k].recycled_pages;
            result->classes[k].page_reuses += pages->classes[k].page_reuses;
        }
    }
}

static void settle_threads(struct program_result *result) {
    for (uint32_t i = 0; i < result->thread_count; i++)
        if (result->threads[i].slot != 0)
            settle_slot(result, &result->threads[i]);
}

static void note_violation(struct program_result *result) {
    const struct world_violation *violation = world_violation(result->world);
    result->violated = violation != NULL;
    if (violation != NULL)
        result->violation = *violation;
}

static enum world_end check_at_rest(struct program_result *result, enum world_end end) {
    if (end == WORLD_DONE && !result->at_rest && !world_check_quiescent(result->world))
        return WORLD_VIOLATION;
    return end;
}

enum world_end program_meter_end(struct program_result *result, enum world_end end) {
    if (!result->brief && result->steps_done > 0)
        take_last_row(result);
    result->end = check_at_rest(result, end);
    note_violation(result);
    result->points = world_points(result->world);
    result->time_ns = world_clock_ns(result->world);
    world_counters(result->world, &result->counters);
    sum_class_counters(result);
    settle_threads(result);
    if (result->hash != NULL) {
        digest_flush(result);
        XXH3_64bits_update(result->hash, &result->counters, sizeof result->counters);
    }
    result->world = NULL;
    result->state = NULL;
    result->objects = NULL;
    return result->end;
}

void program_result_free(struct program_result *result) {
    if (result == NULL)
        return;
    XXH3_freeState(result->hash);
    free(result->threads);
    free(result->slot_bases);
    free(result->rows);
    free(result->sites.list);
    program_migrations_free(&result->migrations);
    free(result);
}

uint64_t program_result_digest(const struct program_result *result) {
    return digest_of_run(result);
}

uint64_t program_result_steps(const struct program_result *result) {
    return result->steps;
}

void program_result_measures(const struct program_result *result, struct program_measures *out) {
    double steps = result->steps_done > 0 ? (double)result->steps_done : 1;
    *out = (struct program_measures){
        .held_max = result->held_max,
        .fewest_max = result->fewest_max,
        .constant_pages = result->constant_pages_max,
        .live_bytes_max = result->live_bytes_max,
        .live_pages_max = pages_of(result, result->live_bytes_max),
        .held_mean = (double)result->held_sum / steps,
        .fewest_mean = (double)result->fewest_sum / steps,
        .new_pages = result->counters.new_page_count,
        .recycled_pages = result->counters.recycled_pages,
        .page_reuses = result->counters.page_reuses,
        .owner_changes = result->counters.owner_changes,
        .allocations = result->allocations,
        .remote_frees = result->counters.remote_frees,
        .stranded_max = result->stranded_total,
        .failed_allocations = result->failed_allocations,
        .unresolved = result->unresolved,
        .interrupted = result->interrupted,
        .violations = result->violated,
    };
}
