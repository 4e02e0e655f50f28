// haktrace_dump.c: `haktrace dump`: events as text, one a line.
//
// Owns: the text form, which haktrace(1) documents and scripts rely on: fields are added at the end
// of a line, never renamed.
//
//     NUMBER TIME THREAD OP [object=N] [size=N] [align=N] [value=N] [peer=N] [stack=N]
//     [address=0xN] [entry=NAME]
//
// The rows beside the events are haktrace_memory.c's.
#include "haktrace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_EVENTS = 1024 };

// Names and build ids of modules, parsed once each.
struct module_cache {
    json_t **modules; // by number
    uint32_t count;
};

static json_t *module_of(struct module_cache *cache, const struct trace_reader *reader,
                         uint32_t number) {
    if (number >= cache->count) {
        uint32_t count = number + 64;
        json_t **grown = realloc(cache->modules, count * sizeof *grown);
        if (!grown)
            return NULL;
        for (uint32_t i = cache->count; i < count; i++)
            grown[i] = NULL;
        cache->modules = grown;
        cache->count = count;
    }
    const char *text = trace_reader_module(reader, number);
    if (!cache->modules[number] && text)
        cache->modules[number] = json_loads(text, 0, NULL);
    return cache->modules[number];
}

static void free_modules(struct module_cache *cache) {
    for (uint32_t i = 0; i < cache->count; i++)
        json_decref(cache->modules[i]);
    free(cache->modules);
}

static const char *module_string(json_t *module, const char *key) {
    const char *text = json_string_value(json_object_get(module, key));
    return text ? text : "";
}

// ---------------------------------------------------------------- fields

// Both forms have the same fields in the same order. Written by hand: jansson's integers are
// signed, and a size may be all ones.
static void print_field(bool json, const char *name, uint64_t value) {
    printf(json ? ",\"%s\":%" PRIu64 : " %s=%" PRIu64, name, value);
}

static void print_event(const struct trace_event *event, bool json) {
    const struct trace_op_info *op = &trace_op_table[event->op];
    printf(json ? "{\"number\":%" PRIu64 ",\"time\":%" PRIu64 ",\"thread\":%" PRIu32
                  ",\"op\":\"%s\""
                : "%" PRIu64 " %" PRIu64 " %" PRIu32 " %s",
           event->number, event->time_ticks, event->thread, op->name);
    if (op->flags & (TRACE_OP_CREATES | TRACE_OP_REFERS))
        print_field(json, "object", event->object);
    if (op->flags & TRACE_OP_HAS_SIZE)
        print_field(json, "size", event->size);
    if (op->flags & TRACE_OP_HAS_ALIGN && event->align_log2)
        print_field(json, "align", UINT64_C(1) << event->align_log2);
    if (op->flags & TRACE_OP_HAS_VALUE)
        print_field(json, "value", event->value);
    if (op->flags & TRACE_OP_HAS_PEER)
        print_field(json, "peer", event->peer);
    if (event->stack)
        print_field(json, "stack", event->stack);
    if (event->address)
        printf(json ? ",\"address\":%" PRIu64 : " address=0x%" PRIx64, event->address);
    if (event->entry)
        printf(json ? ",\"entry\":\"%s\"" : " entry=%s", trace_entry_names[event->entry]);
}

static void print_frames(const struct trace_reader *reader, struct module_cache *cache,
                         uint32_t stack) {
    struct trace_node node;
    for (unsigned depth = 0; trace_reader_node(reader, stack, &node); stack = node.parent) {
        const char *name = module_string(module_of(cache, reader, node.module), "name");
        printf("    #%u ", depth++);
        haktrace_print_text(node.module ? name : "?");
        printf("+0x%" PRIx64 "\n", node.offset);
    }
}

static void print_frames_json(const struct trace_reader *reader, struct module_cache *cache,
                              uint32_t stack) {
    struct trace_node node;
    printf(",\"frames\":[");
    for (bool first = true; trace_reader_node(reader, stack, &node); stack = node.parent) {
        json_t *module = module_of(cache, reader, node.module);
        json_t *frame = json_pack("{s:s, s:s}", "module", module_string(module, "name"), "build_id",
                                  module_string(module, "build_id"));
        printf(first ? "{" : ",{");
        json_dumpf(frame, stdout, JSON_COMPACT | JSON_EMBED);
        printf(",\"offset\":%" PRIu64 "}", node.offset);
        json_decref(frame);
        first = false;
    }
    putchar(']');
}

// ---------------------------------------------------------------- the command

static void print_one(const struct haktrace_options *options, const struct trace_reader *reader,
                      struct module_cache *cache, const struct trace_event *event) {
    bool frames = options->stacks && event->stack;
    print_event(event, options->json);
    if (options->json && frames)
        print_frames_json(reader, cache, event->stack);
    puts(options->json ? "}" : "");
    if (!options->json && frames)
        print_frames(reader, cache, event->stack);
}

static int dump(const struct haktrace_options *options, struct trace_reader *reader,
                struct module_cache *cache, struct trace_error *error) {
    struct trace_event events[BATCH_EVENTS];
    if (trace_reader_seek(reader, options->from, error))
        return -1;
    for (uint64_t left = options->count; left > 0 && !haktrace_output_closed();) {
        ptrdiff_t count =
            trace_reader_next(reader, events, left < BATCH_EVENTS ? left : BATCH_EVENTS, error);
        if (count <= 0)
            return (int)count;
        for (ptrdiff_t i = 0; i < count; i++)
            print_one(options, reader, cache, &events[i]);
        left -= (uint64_t)count;
    }
    return 0;
}

int haktrace_dump(const struct haktrace_options *options) {
    if (options->memory)
        return haktrace_memory_dump(options);
    struct trace_error error;
    struct module_cache cache = {0};
    struct trace_reader *reader = trace_reader_open(options->path, &error);
    if (!reader)
        return haktrace_fail("%s", error.text);
    int status = HAKTRACE_OK;
    if (dump(options, reader, &cache, &error)) {
        fflush(stdout); // what could be read comes before the error
        status = haktrace_fail("%s", error.text);
    }
    free_modules(&cache);
    trace_reader_close(reader);
    return haktrace_finish_output(status);
}
