// haktrace_export_heaptrack.c: what heaptrack_interpret writes and heaptrack_print and the GUI
// read: version 3 of that text, uncompressed. All numbers are hexadecimal.
//
//     v VERSION 3           s LENGTH TEXT                   strings, numbered from 1
//     X COMMAND             i ADDRESS MODULE [FUNCTION FILE LINE]   places, from 1
//     I PAGESIZE PAGES      t PLACE PARENT                  stacks, from 1; 0 is none
//     c MILLISECONDS        a SIZE STACK                    kinds of allocation, from 0
//     R PAGES               + KIND    - KIND                resident then; begin and end of a block
//
// Nodes of the trace's stack tree are heaptrack's stacks, one to one.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdlib.h>

// heaptrack knows a place by its address: modules are laid out far from each other.
#define MODULE_STRIDE (UINT64_C(1) << 40)

// A kind of allocation: a size at a stack.
struct kind {
    uint64_t size;
    uint32_t stack;
};

struct heaptrack {
    struct haktrace_export *export;
    uint32_t strings;         // written
    uint32_t *module_strings; // by module, 0 = not yet written
    struct kind *kinds;       // by number
    uint32_t kind_count, kind_capacity;
    uint32_t *slots; // hash table of kind numbers + 1
    uint32_t slot_count;
    uint64_t milliseconds, page_size;
};

static int fail_memory(struct heaptrack *heaptrack) {
    return trace_fail_file("export", &heaptrack->export->error, "out of memory");
}

// ---------------------------------------------------------------- kinds

static uint32_t *find_slot(const struct heaptrack *heaptrack, const struct kind *kind) {
    uint64_t hash = (kind->size ^ (uint64_t)kind->stack << 32) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(hash >> 32) & (heaptrack->slot_count - 1);
    for (;; slot = (slot + 1) & (heaptrack->slot_count - 1)) {
        uint32_t *number = &heaptrack->slots[slot];
        if (!*number || (heaptrack->kinds[*number - 1].size == kind->size &&
                         heaptrack->kinds[*number - 1].stack == kind->stack))
            return number;
    }
}

static bool grow_kinds(struct heaptrack *heaptrack) {
    uint32_t capacity = heaptrack->kind_capacity ? 2 * heaptrack->kind_capacity : 1024;
    struct kind *kinds = realloc(heaptrack->kinds, capacity * sizeof *kinds);
    if (!kinds)
        return false;
    heaptrack->kinds = kinds;
    heaptrack->kind_capacity = capacity;
    free(heaptrack->slots);
    heaptrack->slot_count = 2 * capacity;
    heaptrack->slots = calloc(heaptrack->slot_count, sizeof *heaptrack->slots);
    for (uint32_t i = 0; heaptrack->slots && i < heaptrack->kind_count; i++)
        *find_slot(heaptrack, &kinds[i]) = i + 1;
    return heaptrack->slots != NULL;
}

// The number of a kind, written when it is new; -1 when memory is out.
static int64_t kind_of(struct heaptrack *heaptrack, uint64_t size, uint32_t stack) {
    if (heaptrack->kind_count == heaptrack->kind_capacity && !grow_kinds(heaptrack))
        return -1;
    struct kind kind = {size, stack};
    uint32_t *slot = find_slot(heaptrack, &kind);
    if (!*slot) {
        heaptrack->kinds[heaptrack->kind_count++] = kind;
        *slot = heaptrack->kind_count;
        haktrace_output_text(&heaptrack->export->output, "a %" PRIx64 " %" PRIx32 "\n", size,
                             stack);
    }
    return *slot - 1;
}

// ---------------------------------------------------------------- strings, places, stacks

static uint32_t write_string(struct heaptrack *heaptrack, const char *text) {
    struct haktrace_output *output = &heaptrack->export->output;
    haktrace_output_text(output, "s %zx ", strlen(text));
    for (; *text; text++)
        haktrace_output_bytes(output, *text == '\n' ? "?" : text, 1);
    haktrace_output_bytes(output, "\n", 1);
    return ++heaptrack->strings;
}

static uint32_t module_string(struct heaptrack *heaptrack, uint32_t module) {
    if (module == 0)
        return 0;
    uint32_t *string = &heaptrack->module_strings[module];
    if (!*string) {
        const char *name = haktrace_module_text(&heaptrack->export->frames, module, "name");
        *string = write_string(heaptrack, *name ? name : "?");
    }
    return *string;
}

static void write_place(struct heaptrack *heaptrack, uint32_t place) {
    const struct haktrace_place *at = &heaptrack->export->frames.places[place];
    uint32_t string = module_string(heaptrack, at->module);
    const char *function = haktrace_place_function(&heaptrack->export->frames, place);
    uint32_t name = function ? write_string(heaptrack, function) : 0;
    haktrace_output_text(&heaptrack->export->output, "i %" PRIx64 " %" PRIx32,
                         at->module * MODULE_STRIDE + at->offset, string);
    if (function)
        haktrace_output_text(&heaptrack->export->output, " %" PRIx32 " 0 0", name);
    haktrace_output_bytes(&heaptrack->export->output, "\n", 1);
}

static int write_stacks(struct heaptrack *heaptrack) {
    struct haktrace_export *export = heaptrack->export;
    struct trace_node node;
    uint32_t places = 0;
    for (uint32_t i = 1; trace_reader_node(export->reading.reader, i, &node); i++) {
        uint32_t place = haktrace_place_of(&export->frames, i);
        if (!place)
            return fail_memory(heaptrack);
        if (place > places) {
            write_place(heaptrack, place);
            places = place;
        }
        haktrace_output_text(&export->output, "t %" PRIx32 " %" PRIx32 "\n", place, node.parent);
    }
    return 0;
}

static void write_head(struct heaptrack *heaptrack) {
    struct haktrace_export *export = heaptrack->export;
    struct haktrace_output *output = &export->output;
    json_t *meta = export->reading.meta;
    json_t *command = json_object_get(meta, "command"), *argument;
    const char *program = json_string_value(json_object_get(meta, "program"));
    size_t i;
    haktrace_output_text(output, "v 10400 3\nX");
    if (!json_is_array(command))
        haktrace_output_text(output, " %.400s", program ? program : "?");
    json_array_foreach(command, i, argument) {
        const char *text = json_is_string(argument) ? json_string_value(argument) : "?";
        haktrace_output_bytes(output, " ", 1);
        for (; *text; text++)
            haktrace_output_bytes(output, (unsigned char)*text < ' ' ? "?" : text, 1);
    }
    haktrace_output_text(output, "\nI %" PRIx64 " 0\n", heaptrack->page_size);
}

// ---------------------------------------------------------------- blocks

static void write_time(struct heaptrack *heaptrack, uint64_t ticks) {
    struct haktrace_export *export = heaptrack->export;
    uint64_t milliseconds =
        (uint64_t)((double)ticks * (double)export->reading.summary.tick_ns / 1e6);
    if (milliseconds != heaptrack->milliseconds)
        haktrace_output_text(&export->output, "c %" PRIx64 "\n", milliseconds);
    heaptrack->milliseconds = milliseconds;
}

static int write_life(void *self, const struct haktrace_life *life) {
    struct heaptrack *heaptrack = self;
    struct haktrace_export *export = heaptrack->export;
    write_time(heaptrack, life->time_ticks);
    if (!life->ends) {
        int64_t kind = kind_of(heaptrack, life->size, life->stack);
        if (kind < 0)
            return fail_memory(heaptrack);
        *life->note = (uint64_t)kind;
    }
    haktrace_output_text(&export->output, "%c %" PRIx64 "\n", life->ends ? '-' : '+', *life->note);
    return 0;
}

// It counts at the time written last: within a millisecond or so of its own.
static int write_process(void *self, const struct trace_side *rows, size_t count,
                         struct trace_error *error) {
    struct heaptrack *heaptrack = self;
    (void)error;
    for (size_t i = 0; i < count; i++)
        if (rows[i].kind == TRACE_SIDE_PROCESS)
            haktrace_output_text(&heaptrack->export->output, "R %" PRIx64 "\n",
                                 rows[i].values[TRACE_PROCESS_RSS] / heaptrack->page_size);
    return 0;
}

int haktrace_export_heaptrack(struct haktrace_export *export) {
    json_int_t page_size = json_integer_value(json_object_get(export->reading.meta, "page_size"));
    struct heaptrack heaptrack = {.export = export,
                                  .page_size = page_size > 0 ? (uint64_t)page_size : 4096};
    heaptrack.module_strings =
        calloc((size_t) export->reading.summary.modules + 1, sizeof *heaptrack.module_strings);
    int status = -1;
    if (!heaptrack.module_strings) {
        fail_memory(&heaptrack);
    } else {
        write_head(&heaptrack);
        trace_reader_visit_sides(export->reading.reader, write_process, &heaptrack);
        status =
            write_stacks(&heaptrack) || haktrace_follow_lives(export->reading.reader, write_life,
                                                              &heaptrack, &export->error)
                ? -1
                : 0;
        trace_reader_visit_sides(export->reading.reader, NULL, NULL);
    }
    free(heaptrack.module_strings);
    free(heaptrack.kinds);
    free(heaptrack.slots);
    return status;
}
