// entry_report.c: what a program or its user may ask of the allocator: mallinfo, malloc_info,
// malloc_stats, malloc_trim, mallopt, and MF2_STATS at the process's end.
//
// Every figure comes from one walk over the pages, without a lock: other threads go on meanwhile,
// so that a sum may be off by what they do during the walk. On routes with a graveyard, blocks
// freed into a full page are counted by nobody, and figure as in use. No figure is used for
// anything but telling.
//
// Words of glibc's reports, here: *arena* is the memory of pages with small blocks, empty pages
// included; *mmapped* is that of large blocks; *fordblks* is arena that no block occupies.
//
//   MF2_STATS=1         when the process ends, on the stderr it started with: a summary in words,
//                       "mf2: PID: ...", and its counters, "mf2: PID COUNTER VALUE", zero ones
//                       left out
//   MF2_STATS=json      the same as one JSON object in one line; mf2_stats_json gives it any time
//   MF2_STATS_FILE=F    appended to the file F instead
//   MF2_VERBOSE=1       mallopt tells of parameters that MF2 does not have
//
// entry_settings.c has the table of all such variables.
//
// A process that ends by _exit, quick_exit or a signal tells nothing.
#include "internal.h"
#include "mf2_stats.h"
#include "platform_process.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

// A field that its owner may be writing: whole, perhaps old.
#define GLANCE(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

// ---------------------------------------------------------------- one walk

struct class_summary {
    size_t live_blocks, free_blocks;
};

struct heap_summary {
    size_t page_bytes;
    size_t held_pages, large_pages, cached_pages;
    size_t large_blocks;
    size_t live_bytes; // of small blocks, as their class is large
    struct class_summary classes[MF2_CLASS_MAX];
};

static void summarise_page(struct mf2_state *state, struct MidPage *page,
                           struct heap_summary *summary) {
    size_t class_index = GLANCE(page->class_index);
    size_t used = GLANCE(page->used), capacity = GLANCE(page->capacity);
    if (class_index >= state->geometry->class_count || used > capacity)
        return; // in the middle of a change
    size_t remotes = mf2_protocol_remotes(state, page);
    size_t live = used > remotes ? used - remotes : 0;
    summary->classes[class_index].live_blocks += live;
    summary->classes[class_index].free_blocks += capacity - live;
    summary->live_bytes += live * state->geometry->block_bytes[class_index];
}

// Blocks in fronts and batches are in use for their pages only.
static void summarise_cached(struct mf2_state *state, struct heap_summary *summary) {
    uint32_t high = MF2_LOOK(&state->thread_high);
    for (uint32_t k = 0; k < state->geometry->class_count; k++) {
        size_t batch_blocks = mf2_front_capacity(state->geometry, &state->route, k) / 2;
        size_t cached = MF2_LOOK(&state->depot_count[k]) * batch_blocks;
        for (uint32_t slot = 1; slot <= high; slot++) {
            struct MF2_ThreadPages *thread = mf2_thread_of_slot(state, slot);
            void **bottom = GLANCE(thread->bins[k].bottom);
            void **top = GLANCE(thread->fronts[k + 1].top);
            cached += bottom && top > bottom ? (size_t)(top - bottom) : 0;
        }
        struct class_summary *of_class = &summary->classes[k];
        size_t moved = cached < of_class->live_blocks ? cached : of_class->live_blocks;
        of_class->live_blocks -= moved;
        of_class->free_blocks += moved;
        summary->live_bytes -= moved * state->geometry->block_bytes[k];
    }
}

static void summarise(struct mf2_state *state, struct heap_summary *summary) {
    *summary = (struct heap_summary){.page_bytes = (size_t)1 << state->page_shift};
    uint32_t end = GLANCE(state->fresh_page);
    uint32_t count;
    for (uint32_t number = state->first_page; number < end; number += count) {
        struct MidPage *page = &state->pages[number];
        count = GLANCE(page->run_pages);
        count = count && count <= end - number ? count : 1; // in the middle of a change
        switch (GLANCE(page->state)) {
        case MF2_PAGE_LARGE:
            summary->large_blocks++;
            summary->large_pages += count;
            break;
        case MF2_PAGE_DIRTY:
            summary->cached_pages += count;
            summary->held_pages += count;
            break;
        case MF2_PAGE_ACTIVE:
        case MF2_PAGE_PARTIAL:
        case MF2_PAGE_FULL:
        case MF2_PAGE_ORPHAN:
            summary->held_pages += count;
            summarise_page(state, page, summary);
            break;
        default:
            break;
        }
    }
    summary->held_pages += summary->large_pages;
    if (state->geometry) // else nothing was ever allocated
        summarise_cached(state, summary);
}

static size_t arena_bytes(const struct heap_summary *summary) {
    return (summary->held_pages - summary->large_pages) * summary->page_bytes;
}

static size_t large_bytes(const struct heap_summary *summary) {
    return summary->large_pages * summary->page_bytes;
}

// ---------------------------------------------------------------- glibc's reports

EXPORT struct mallinfo2 mallinfo2(void) {
    struct heap_summary summary;
    summarise(mf2_state(), &summary);
    struct mallinfo2 info = {
        .arena = arena_bytes(&summary),
        .hblks = summary.large_blocks,
        .hblkhd = large_bytes(&summary),
        .uordblks = summary.live_bytes,
        .keepcost = summary.cached_pages * summary.page_bytes,
    };
    for (size_t k = 0; k < MF2_CLASS_MAX; k++)
        info.ordblks += summary.classes[k].free_blocks;
    info.fordblks = info.arena - info.uordblks;
    return info;
}

// glibc's wraps; what does not fit reads as INT_MAX here.
static int clamped(size_t value) {
    return value > INT_MAX ? INT_MAX : (int)value;
}

EXPORT struct mallinfo mallinfo(void) {
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = clamped(info.arena),
        .ordblks = clamped(info.ordblks),
        .hblks = clamped(info.hblks),
        .hblkhd = clamped(info.hblkhd),
        .uordblks = clamped(info.uordblks),
        .fordblks = clamped(info.fordblks),
        .keepcost = clamped(info.keepcost),
    };
}

static void write_sizes(const struct mf2_state *state, const struct heap_summary *summary,
                        FILE *file) {
    size_t below = 0;
    for (size_t k = 0; k < state->geometry->class_count; k++) {
        size_t bytes = state->geometry->block_bytes[k];
        size_t count = summary->classes[k].free_blocks;
        if (count)
            fprintf(file, "  <size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
                    below + 1, bytes, count * bytes, count);
        below = bytes;
    }
}

static void write_totals(const struct mf2_state *state, const struct heap_summary *summary,
                         FILE *file) {
    size_t blocks = 0, bytes = 0;
    for (size_t k = 0; k < state->geometry->class_count; k++) {
        blocks += summary->classes[k].free_blocks;
        bytes += summary->classes[k].free_blocks * state->geometry->block_bytes[k];
    }
    fprintf(file,
            "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
            "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
            blocks, bytes);
}

static void write_system(size_t bytes, FILE *file) {
    fprintf(file,
            "<system type=\"current\" size=\"%zu\"/>\n"
            "<aspace type=\"total\" size=\"%zu\"/>\n"
            "<aspace type=\"mprotect\" size=\"%zu\"/>\n",
            bytes, bytes, bytes);
}

// glibc's form with one heap. A most-ever figure ("system max") is not kept, so it is not written.
EXPORT int malloc_info(int options, FILE *file) {
    if (options != 0)
        return EINVAL;
    const struct mf2_state *state = mf2_state_ensure();
    if (!state)
        return ENOMEM;
    struct heap_summary summary;
    summarise(mf2_state(), &summary); // before the first write: that may allocate
    fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n", file);
    write_sizes(state, &summary, file);
    fputs("</sizes>\n", file);
    write_totals(state, &summary, file);
    write_system(arena_bytes(&summary), file);
    fputs("</heap>\n", file);
    write_totals(state, &summary, file);
    fprintf(file, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", summary.large_blocks,
            large_bytes(&summary));
    write_system(arena_bytes(&summary) + large_bytes(&summary), file);
    fputs("</malloc>\n", file);
    return 0;
}

EXPORT void malloc_stats(void) {
    struct heap_summary summary;
    summarise(mf2_state(), &summary);
    char text[512];
    snprintf(
        text, sizeof text,
        "Arena 0:\n"
        "system bytes     = %10zu\n"
        "in use bytes     = %10zu\n"
        "Total (incl. mmap):\n"
        "system bytes     = %10zu\n"
        "in use bytes     = %10zu\n"
        "mmap regions     = %10zu\n"
        "mmap bytes       = %10zu\n",
        arena_bytes(&summary), summary.live_bytes, arena_bytes(&summary) + large_bytes(&summary),
        summary.live_bytes + large_bytes(&summary), summary.large_blocks, large_bytes(&summary));
    mf2_print_line(text);
}

// ---------------------------------------------------------------- tuning

// MF2 has none of glibc's parameters: 0, "failed", is the truth. Programs that set them for speed
// ignore the answer.
EXPORT int mallopt(int parameter, int value) {
    if (mf2_environment("MF2_VERBOSE")) {
        char line[96];
        snprintf(line, sizeof line, "mf2: mallopt(%d, %d): MF2 has no such parameter\n", parameter,
                 value);
        mf2_print_line(line);
    }
    return 0;
}

// What to keep is glibc's idea of a top of the heap, which MF2 has not: all that can go, goes.
EXPORT int malloc_trim(size_t keep_bytes) {
    (void)keep_bytes;
    return mf2_trim();
}

// ---------------------------------------------------------------- MF2_STATS

// Lines are collected and written at once, so that those of several processes do not mix.
struct text {
    size_t length;
    char bytes[8192];
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof text->bytes - text->length;
    int length = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        text->length += (size_t)length;
}

static uint64_t counter_value(const struct mf2_counters *counters, size_t i) {
    return ((const uint64_t *)(const void *)counters)[i];
}

// What a person wants to know first.
static void add_summary(struct text *text, const struct mf2_state *state,
                        const struct mf2_counters *sum) {
    uint32_t process = mf2_process_id(), held = mf2_load_relaxed(&state->held_pages);
    unsigned long long new_pages = sum->new_page_count, reused = sum->page_reuses;
    add(text,
        "mf2: %u: holds %u pages of %zu KiB, %zu MiB; %llu for large blocks came from the OS\n",
        process, held, (size_t)state->geometry->page_bytes / 1024,
        (size_t)held * state->geometry->page_bytes >> 20, (unsigned long long)sum->large_new_pages);
    add(text,
        "mf2: %u: pages of small blocks: %llu new, %llu recycled, %llu reused, %llu given back\n",
        process, new_pages, (unsigned long long)sum->recycled_pages, reused,
        (unsigned long long)sum->pages_unmapped);
    if (new_pages + reused > 0)
        add(text, "mf2: %u: reuse rate %.1f %%; %llu owner changes; %llu remote frees\n", process,
            100.0 * (double)reused / (double)(new_pages + reused),
            (unsigned long long)sum->owner_changes, (unsigned long long)sum->remote_frees);
}

static void add_lines(struct text *text, const struct mf2_state *state,
                      const struct mf2_counters *sum) {
    uint32_t process = mf2_process_id();
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
        if (counter_value(sum, i))
            add(text, "mf2: %u %-26s %llu\n", process, mf2_counter_table[i].name,
                (unsigned long long)counter_value(sum, i));
    add(text, "mf2: %u %-26s %u\n", process, "pages_held", mf2_load_relaxed(&state->held_pages));
}

static void add_json(struct text *text, const struct mf2_state *state,
                     const struct mf2_counters *sum) {
    add(text, "{\"pid\":%u,\"geometry\":\"%s\",\"route\":{", mf2_process_id(),
        state->geometry->name);
    char value[32];
    const char *name;
    for (size_t i = 0; (name = mf2_route_switch(&state->route, i, value, sizeof value)); i++)
        add(text, "%s\"%s\":\"%s\"", i ? "," : "", name, value);
    add(text, "},\"pages_held\":%u,\"counters\":{", mf2_load_relaxed(&state->held_pages));
    for (size_t i = 0; i < MF2_COUNTER_COUNT; i++)
        add(text, "%s\"%s\":%llu", i ? "," : "", mf2_counter_table[i].name,
            (unsigned long long)counter_value(sum, i));
    add(text, "}}\n");
}

EXPORT size_t mf2_stats_json(char *buffer, size_t size) {
    struct mf2_state *state = mf2_state();
    struct text text = {.length = 0};
    struct mf2_counters sum;
    if (state->geometry) {
        mf2_counters_sum(state, &sum);
        add_json(&text, state, &sum);
    } else {
        add(&text, "{}\n");
    }
    size_t kept = size == 0 ? 0 : text.length < size ? text.length : size - 1;
    memcpy(buffer, text.bytes, kept);
    if (size > 0)
        buffer[kept] = 0;
    return text.length;
}

static const char *wanted_stats(void) {
    const char *wanted = mf2_environment("MF2_STATS");
    return wanted && strcmp(wanted, "0") != 0 ? wanted : NULL;
}

__attribute__((constructor)) static void prepare_stats(void) {
    if (wanted_stats() && !mf2_environment("MF2_STATS_FILE"))
        mf2_output_keep();
}

__attribute__((destructor)) static void write_stats(void) {
    const char *wanted = wanted_stats();
    struct mf2_state *state = mf2_state();
    if (!wanted || !state->geometry) // not asked for, or nothing was ever allocated
        return;
    struct mf2_counters sum;
    mf2_counters_sum(state, &sum);
    struct text text = {.length = 0};
    if (strcmp(wanted, "json") == 0) {
        add_json(&text, state, &sum);
    } else {
        add_summary(&text, state, &sum);
        add_lines(&text, state, &sum);
    }
    mf2_output_write(mf2_environment("MF2_STATS_FILE"), text.bytes, text.length);
}
