// haktrace_export_pprof.c: a profile as pprof reads it: the protocol buffer `Profile` of
// profile.proto, without compression, which pprof accepts as well.
//
// Owns: the message. Four values a stack, as Go's heap profiles have them: objects and bytes
// allocated over the whole trace, objects and bytes alive at its end. A function is a place in a
// module, called NAME+0xOFFSET.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

// Field numbers of profile.proto.
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_DURATION_NANOS = 10,
    PROFILE_DEFAULT_SAMPLE_TYPE = 14
};
enum { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2 };
enum {
    MAPPING_ID = 1,
    MAPPING_START = 2,
    MAPPING_LIMIT = 3,
    MAPPING_FILENAME = 5,
    MAPPING_BUILD_ID = 6,
    MAPPING_HAS_FUNCTIONS = 7
};
enum { LOCATION_ID = 1, LOCATION_MAPPING_ID = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum { LINE_FUNCTION_ID = 1 };
enum { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3, FUNCTION_FILENAME = 4 };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

#define MODULE_STRIDE (UINT64_C(1) << 40) // modules are laid out far from each other

struct pprof {
    struct haktrace_export *export;
    struct trace_bytes message, inner, packed; // scratch
    uint64_t strings;                          // written
    bool out_of_memory;
};

static void put_varint(struct pprof *pprof, struct trace_bytes *to, uint64_t value) {
    if (trace_bytes_reserve(to, TRACE_VARINT_BYTES_MAX))
        trace_put_uvarint(to, value);
    else
        pprof->out_of_memory = true;
}

static void put_number(struct pprof *pprof, struct trace_bytes *to, unsigned field,
                       uint64_t value) {
    put_varint(pprof, to, field << 3 | WIRE_VARINT);
    put_varint(pprof, to, value);
}

static void put_bytes(struct pprof *pprof, struct trace_bytes *to, unsigned field, const void *data,
                      size_t size) {
    put_varint(pprof, to, field << 3 | WIRE_BYTES);
    put_varint(pprof, to, size);
    pprof->out_of_memory |= !trace_bytes_append(to, data, size);
}

// Writes pprof->message as a field of Profile, and empties it.
static void write_message(struct pprof *pprof, unsigned field) {
    pprof->inner.size = 0;
    put_bytes(pprof, &pprof->inner, field, pprof->message.data, pprof->message.size);
    haktrace_output_bytes(&pprof->export->output, pprof->inner.data, pprof->inner.size);
    pprof->message.size = 0;
}

// Strings are numbered in the order of writing; the first is the empty one.
static uint64_t write_string(struct pprof *pprof, const char *text) {
    pprof->inner.size = 0;
    put_bytes(pprof, &pprof->inner, PROFILE_STRING, text, strlen(text));
    haktrace_output_bytes(&pprof->export->output, pprof->inner.data, pprof->inner.size);
    return pprof->strings++;
}

static uint64_t write_value_type(struct pprof *pprof, const char *type, const char *unit) {
    uint64_t type_string = write_string(pprof, type), unit_string = write_string(pprof, unit);
    put_number(pprof, &pprof->message, VALUE_TYPE_TYPE, type_string);
    put_number(pprof, &pprof->message, VALUE_TYPE_UNIT, unit_string);
    write_message(pprof, PROFILE_SAMPLE_TYPE);
    return type_string;
}

static void write_mapping(struct pprof *pprof, uint32_t module) {
    struct haktrace_frames *frames = &pprof->export->frames;
    uint64_t name = write_string(pprof, haktrace_module_text(frames, module, "name"));
    uint64_t build_id = write_string(pprof, haktrace_module_text(frames, module, "build_id"));
    put_number(pprof, &pprof->message, MAPPING_ID, module);
    put_number(pprof, &pprof->message, MAPPING_START, module * MODULE_STRIDE);
    put_number(pprof, &pprof->message, MAPPING_LIMIT, (module + 1) * MODULE_STRIDE);
    put_number(pprof, &pprof->message, MAPPING_FILENAME, name);
    put_number(pprof, &pprof->message, MAPPING_BUILD_ID, build_id);
    put_number(pprof, &pprof->message, MAPPING_HAS_FUNCTIONS, 1);
    write_message(pprof, PROFILE_MAPPING);
}

// The program's own module, 0 if no stack went through it.
static uint32_t main_module(struct haktrace_export *export) {
    const char *program = json_string_value(json_object_get(export->reading.meta, "program"));
    for (uint32_t i = 1; program && i <= export->reading.summary.modules; i++)
        if (strcmp(haktrace_module_text(&export->frames, i, "name"), program) == 0)
            return i;
    return 0;
}

// The program comes first: that one pprof names in its headings.
static void write_mappings(struct pprof *pprof) {
    uint32_t first = main_module(pprof->export);
    if (first)
        write_mapping(pprof, first);
    for (uint32_t i = 1; i <= pprof->export->reading.summary.modules; i++)
        if (i != first)
            write_mapping(pprof, i);
}

static void write_place(struct pprof *pprof, uint32_t place) {
    char name[256];
    const struct haktrace_place *at = &pprof->export->frames.places[place];
    haktrace_place_name(&pprof->export->frames, place, name, sizeof name);
    uint64_t string = write_string(pprof, name);
    put_number(pprof, &pprof->message, FUNCTION_ID, place);
    put_number(pprof, &pprof->message, FUNCTION_NAME, string);
    put_number(pprof, &pprof->message, FUNCTION_SYSTEM_NAME, string);
    write_message(pprof, PROFILE_FUNCTION);

    pprof->packed.size = 0;
    put_number(pprof, &pprof->packed, LINE_FUNCTION_ID, place);
    put_number(pprof, &pprof->message, LOCATION_ID, place);
    if (at->module)
        put_number(pprof, &pprof->message, LOCATION_MAPPING_ID, at->module);
    put_number(pprof, &pprof->message, LOCATION_ADDRESS, at->module * MODULE_STRIDE + at->offset);
    put_bytes(pprof, &pprof->message, LOCATION_LINE, pprof->packed.data, pprof->packed.size);
    write_message(pprof, PROFILE_LOCATION);
}

static int write_places(struct pprof *pprof) {
    uint32_t written = 0;
    for (uint32_t node = 1; node <= pprof->export->reading.summary.nodes; node++) {
        uint32_t place = haktrace_place_of(&pprof->export->frames, node);
        if (!place)
            return trace_fail_file("export", &pprof->export->error, "out of memory");
        if (place > written)
            write_place(pprof, written = place);
    }
    return 0;
}

// Innermost place first.
static void write_sample(struct pprof *pprof, uint32_t node, const struct haktrace_site *sums) {
    struct trace_node content;
    unsigned depth = 0;
    pprof->packed.size = 0;
    for (; depth < HAKTRACE_DEPTH_MAX &&
           trace_reader_node(pprof->export->reading.reader, node, &content);
         node = content.parent, depth++)
        put_varint(pprof, &pprof->packed, haktrace_place_of(&pprof->export->frames, node));
    put_bytes(pprof, &pprof->message, SAMPLE_LOCATION_ID, pprof->packed.data, pprof->packed.size);
    pprof->packed.size = 0;
    put_varint(pprof, &pprof->packed, sums->begun);
    put_varint(pprof, &pprof->packed, sums->begun_bytes);
    put_varint(pprof, &pprof->packed, sums->live);
    put_varint(pprof, &pprof->packed, sums->live_bytes);
    put_bytes(pprof, &pprof->message, SAMPLE_VALUE, pprof->packed.data, pprof->packed.size);
    write_message(pprof, PROFILE_SAMPLE);
}

static void write_tail(struct pprof *pprof, uint64_t default_type) {
    const struct haktrace_reading *reading = &pprof->export->reading;
    double nanoseconds = (double)reading->check.duration_ticks * (double)reading->summary.tick_ns;
    put_number(pprof, &pprof->message, PROFILE_DURATION_NANOS, (uint64_t)nanoseconds);
    put_number(pprof, &pprof->message, PROFILE_DEFAULT_SAMPLE_TYPE, default_type);
    haktrace_output_bytes(&pprof->export->output, pprof->message.data, pprof->message.size);
}

int haktrace_export_pprof(struct haktrace_export *export) {
    struct pprof pprof = {.export = export};
    struct haktrace_site *sums = haktrace_sum_nodes(export);
    if (!sums)
        return -1;
    write_string(&pprof, "");
    write_value_type(&pprof, "alloc_objects", "count");
    uint64_t default_type = write_value_type(&pprof, "alloc_space", "bytes");
    write_value_type(&pprof, "inuse_objects", "count");
    write_value_type(&pprof, "inuse_space", "bytes");
    write_mappings(&pprof);
    int status = write_places(&pprof);
    for (uint32_t node = 0; !status && node <= export->reading.summary.nodes; node++)
        if (sums[node].begun > 0)
            write_sample(&pprof, node, &sums[node]);
    write_tail(&pprof, default_type);
    if (pprof.out_of_memory && !status)
        status = trace_fail_file("export", &export->error, "out of memory");
    trace_bytes_free(&pprof.message);
    trace_bytes_free(&pprof.inner);
    trace_bytes_free(&pprof.packed);
    free(sums);
    return status;
}
