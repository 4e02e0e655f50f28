// haktrace_import.c: `haktrace import`: a trace of what another tool has recorded.
//
// Owns: objects, threads and the order rules of FORMAT.md §3, whatever the source says: a block
// whose number is given out while it is live has been freed before (an implied free, counted); a
// free of what was never allocated is FREE_UNKNOWN. Does not know the forms.
#include "haktrace_import.h"

#include "hak_version.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int (*read)(struct haktrace_import *import);
} forms[] = {
    {"heaptrack", haktrace_import_heaptrack},
    {"android", haktrace_import_android},
    {"glibc", haktrace_import_glibc},
};
enum { FORM_COUNT = sizeof forms / sizeof *forms };
_Static_assert(FORM_COUNT <= HAKTRACE_FORMS_MAX, "haktrace_form lists them");

static int fail_memory(struct haktrace_import *import) {
    return trace_fail_file("import", &import->error, "out of memory");
}

// The source's path without folders: they are nobody's business.
static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int haktrace_import_begin(struct haktrace_import *import, const char *program, uint64_t tick_ns,
                          const char *clock, bool stacks) {
    struct trace_writer_options options = {
        .overwrite = import->options->force, .named_at_end = true, .trace_id = 1};
    json_t *meta = json_pack("{s:s, s:s, s:s, s:s*, s:n, s:I, s:s, s:s, s:b, s:s}", "format",
                             "hak-trace", "tool", "haktrace", "version", HAK_VERSION, "program",
                             base_name(program), "command", "tick_ns", (json_int_t)tick_ns, "clock",
                             clock, "stacks", stacks ? "full" : "none", "addresses", 0,
                             "imported_from", import->options->format);
    char *text = meta ? json_dumps(meta, JSON_COMPACT) : NULL;
    json_decref(meta);
    if (!text) // a name that is not UTF-8 has none
        return strcmp(program, "?") == 0
                   ? fail_memory(import)
                   : haktrace_import_begin(import, "?", tick_ns, clock, stacks);
    import->writer = trace_writer_create(import->output, text, &options, &import->error);
    free(text);
    return import->writer ? 0 : -1;
}

// ---------------------------------------------------------------- events

static int put(struct haktrace_import *import, struct trace_event *event) {
    event->time_ticks = import->time_ticks;
    return trace_writer_event(import->writer, event, &import->error);
}

int haktrace_import_thread(struct haktrace_import *import, uint64_t number, uint32_t *thread) {
    struct live_object *known = trace_live_find(&import->threads, number);
    if (known) {
        *thread = (uint32_t)known->address;
        return 0;
    }
    *thread = import->thread_count++;
    struct live_object added = {.key = number + 1, .address = *thread};
    if (!trace_live_add(&import->threads, &added))
        return fail_memory(import);
    struct trace_event start = {.op = TRACE_THREAD_START, .thread = *thread};
    return *thread == 0 ? 0 : put(import, &start);
}

// A thread of the same number that appears later is another one.
int haktrace_import_thread_exit(struct haktrace_import *import, uint64_t number) {
    uint32_t thread;
    if (haktrace_import_thread(import, number, &thread))
        return -1;
    struct trace_event event = {.op = TRACE_THREAD_EXIT, .thread = thread};
    trace_live_remove(&import->threads, trace_live_find(&import->threads, number));
    return put(import, &event);
}

static int put_free(struct haktrace_import *import, uint32_t thread, struct live_object *block,
                    uint8_t entry) {
    struct trace_event event = {
        .op = TRACE_FREE, .thread = thread, .object = block->address, .entry = entry};
    trace_live_remove(&import->blocks, block);
    return put(import, &event);
}

// Whatever has this number is gone.
static int make_way(struct haktrace_import *import, uint32_t thread, uint64_t number) {
    struct live_object *block = trace_live_find(&import->blocks, number);
    if (!block)
        return 0;
    import->implied_frees++;
    return put_free(import, thread, block, TRACE_ENTRY_UNKNOWN);
}

static int remember(struct haktrace_import *import, uint64_t number, uint64_t object) {
    struct live_object block = {.key = number + 1, .address = object};
    return trace_live_add(&import->blocks, &block) ? 0 : fail_memory(import);
}

static uint8_t log2_up(uint64_t value) {
    uint8_t log2 = 0;
    while (log2 < TRACE_ALIGN_LOG2_MAX && UINT64_C(1) << log2 < value)
        log2++;
    return log2;
}

int haktrace_import_allocate(struct haktrace_import *import, uint32_t thread,
                             const struct haktrace_block *block) {
    struct trace_event event = {.op = block->number ? block->op : (uint8_t)TRACE_ALLOC_FAIL,
                                .thread = thread,
                                .size = block->size,
                                .entry = block->entry,
                                .stack = block->stack};
    if (block->op == TRACE_ALIGNED)
        event.align_log2 = log2_up(block->align);
    if (!block->number) {
        event.value = ENOMEM;
        return put(import, &event);
    }
    if (make_way(import, thread, block->number) || put(import, &event))
        return -1;
    return remember(import, block->number, event.object);
}

int haktrace_import_free(struct haktrace_import *import, uint32_t thread, uint64_t number,
                         uint8_t entry) {
    struct live_object *block = number ? trace_live_find(&import->blocks, number) : NULL;
    if (block)
        return put_free(import, thread, block, entry);
    struct trace_event event = {
        .op = number ? TRACE_FREE_UNKNOWN : TRACE_FREE_NULL, .thread = thread, .entry = entry};
    import->unknown_frees += number != 0;
    return put(import, &event);
}

// One block given up, which is no longer in the table, and another or the same received; or none,
// and the old one stays.
static int put_realloc(struct haktrace_import *import, uint32_t thread, uint64_t number_new,
                       const struct live_object *old, uint64_t size) {
    struct trace_event release = {
        .op = TRACE_REALLOC_RELEASE, .thread = thread, .object = old->address, .size = size};
    struct trace_event second = {.op = number_new ? TRACE_REALLOC_ACQUIRE : TRACE_REALLOC_FAIL,
                                 .thread = thread,
                                 .entry = number_new ? TRACE_ENTRY_REALLOC : TRACE_ENTRY_UNKNOWN};
    if (!number_new)
        return put(import, &release) || put(import, &second) ? -1 : 0;
    if (old->key != number_new + 1 && make_way(import, thread, number_new))
        return -1;
    return put(import, &release) || put(import, &second) ||
                   remember(import, number_new, second.object)
               ? -1
               : 0;
}

int haktrace_import_realloc(struct haktrace_import *import, uint32_t thread, uint64_t number_new,
                            uint64_t number_old, uint64_t size) {
    struct live_object *old = number_old ? trace_live_find(&import->blocks, number_old) : NULL;
    if (!old) {
        struct haktrace_block block = {
            .number = number_new, .size = size, .op = TRACE_MALLOC, .entry = TRACE_ENTRY_REALLOC};
        import->unknown_frees += number_old != 0;
        return haktrace_import_allocate(import, thread, &block);
    }
    if (!number_new && size == 0)
        return put_free(import, thread, old, TRACE_ENTRY_REALLOC);
    struct live_object given_up = *old;
    if (number_new)
        trace_live_remove(&import->blocks, old);
    return put_realloc(import, thread, number_new, &given_up, size);
}

// ---------------------------------------------------------------- the command

static void print_summary(const struct haktrace_import *import,
                          const struct trace_writer_totals *totals) {
    printf("%s: %" PRIu64 " events, %" PRIu64 " objects, %" PRIu64 " threads", import->output,
           totals->events, totals->objects, totals->threads);
    if (import->unknown_frees)
        printf("; %" PRIu64 " frees of blocks that were not seen to be allocated",
               import->unknown_frees);
    if (import->implied_frees)
        printf("; %" PRIu64 " frees that the source does not have, but must have been",
               import->implied_frees);
    putchar('\n');
}

static int finish(struct haktrace_import *import) {
    char end[160];
    snprintf(end, sizeof end,
             "{\"exit\":\"unknown\",\"lost\":0,\"late\":0,\"unknown_frees\":%" PRIu64 "}",
             import->unknown_frees);
    struct trace_writer_totals totals;
    trace_writer_totals(import->writer, &totals);
    if (trace_writer_close(import->writer, end, &import->error))
        return -1;
    if (!import->options->quiet)
        print_summary(import, &totals);
    return 0;
}

static int run(struct haktrace_import *import, unsigned form) {
    if (!trace_live_begin(&import->blocks) || !trace_live_begin(&import->threads))
        return fail_memory(import);
    if (forms[form].read(import) == 0)
        return finish(import);
    if (import->writer)
        trace_writer_close(import->writer, NULL, NULL);
    return -1;
}

int haktrace_import(const struct haktrace_options *options) {
    struct haktrace_import import = {.options = options,
                                     .output = options->output ? options->output : "trace.zst"};
    unsigned form = haktrace_form(options->format, &forms[0].name, sizeof *forms, FORM_COUNT,
                                  "heaptrack, android or glibc");
    if (form == FORM_COUNT)
        return HAKTRACE_USAGE;
    int status = run(&import, form) ? haktrace_fail("%s", import.error.text) : HAKTRACE_OK;
    trace_live_free(&import.blocks);
    trace_live_free(&import.threads);
    return haktrace_finish_output(status);
}
