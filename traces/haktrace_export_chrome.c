// haktrace_export_chrome.c: the Trace Event Format that Perfetto and chrome://tracing open.
//
// Owns: what of a trace is shown there: the life of each thread as a slice of its row; and three
// counters of the process: bytes and objects alive, and bytes allocated by each thread; and what it
// had resident, and its faults, where that was sampled. A counter of the first three
// is written at most STEPS_MAX times: of each step its greatest value, so that peaks are kept.
// Events one by one are not exported: viewers do not bear millions of them.
#include "haktrace_export.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_EVENTS = 1024, STEPS_MAX = 4000 };

struct chrome {
    struct haktrace_export *export;
    bool first; // no event has been written
    uint64_t step_ticks, step;
    uint64_t bytes, objects, bytes_max, objects_max, begun_bytes;
    uint64_t *thread_begin; // tick of the thread's first event + 1
    uint64_t *thread_end;   // of its last event, or its exit
    bool *thread_named;
};

static double microseconds(const struct chrome *chrome, uint64_t ticks) {
    return (double)ticks * (double)chrome->export->reading.summary.tick_ns / 1e3;
}

static void begin_event(struct chrome *chrome) {
    haktrace_output_text(&chrome->export->output, chrome->first ? "\n" : ",\n");
    chrome->first = false;
}

// ---------------------------------------------------------------- counters

static void write_step(struct chrome *chrome) {
    struct haktrace_output *output = &chrome->export->output;
    double time = microseconds(chrome, chrome->step * chrome->step_ticks);
    begin_event(chrome);
    haktrace_output_text(output,
                         "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"name\":\"live\",\"args\":{"
                         "\"bytes\":%" PRIu64 "}},\n"
                         "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"name\":\"live objects\",\"args\":{"
                         "\"objects\":%" PRIu64 "}},\n"
                         "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"name\":\"allocated\",\"args\":{"
                         "\"bytes\":%" PRIu64 "}}",
                         time, chrome->bytes_max, time, chrome->objects_max, time,
                         chrome->begun_bytes);
    chrome->bytes_max = chrome->bytes;
    chrome->objects_max = chrome->objects;
}

static int count_life(void *self, const struct haktrace_life *life) {
    struct chrome *chrome = self;
    uint64_t step = life->time_ticks / chrome->step_ticks;
    if (step != chrome->step)
        write_step(chrome);
    chrome->step = step;
    if (life->ends) {
        chrome->bytes -= life->size;
        chrome->objects--;
    } else {
        chrome->bytes += life->size;
        chrome->begun_bytes += life->size;
        chrome->objects++;
    }
    chrome->bytes_max = chrome->bytes > chrome->bytes_max ? chrome->bytes : chrome->bytes_max;
    chrome->objects_max =
        chrome->objects > chrome->objects_max ? chrome->objects : chrome->objects_max;
    return 0;
}

// ---------------------------------------------------------------- threads

static int find_spans(struct chrome *chrome) {
    struct trace_event events[BATCH_EVENTS];
    struct trace_reader *reader = chrome->export->reading.reader;
    ptrdiff_t count;
    if (trace_reader_seek(reader, 0, &chrome->export->error))
        return -1;
    while ((count = trace_reader_next(reader, events, BATCH_EVENTS, &chrome->export->error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++) {
            uint32_t thread = events[i].thread;
            if (!chrome->thread_begin[thread])
                chrome->thread_begin[thread] = events[i].time_ticks + 1;
            chrome->thread_end[thread] = events[i].time_ticks;
        }
    return count < 0 ? -1 : 0;
}

static void write_thread_name(struct chrome *chrome, json_int_t thread, const char *name) {
    struct haktrace_output *output = &chrome->export->output;
    begin_event(chrome);
    haktrace_output_text(output,
                         "{\"ph\":\"M\",\"pid\":1,\"tid\":%" JSON_INTEGER_FORMAT
                         ",\"name\":\"thread_name\",\"args\":{\"name\":",
                         thread);
    haktrace_output_json(output, name);
    haktrace_output_text(output, "}}");
}

static void write_names(struct chrome *chrome) {
    struct haktrace_output *output = &chrome->export->output;
    json_t *program = json_object_get(chrome->export->reading.meta, "program");
    begin_event(chrome);
    haktrace_output_text(output, "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{"
                                 "\"name\":");
    haktrace_output_json(output, json_is_string(program) ? json_string_value(program) : "?");
    haktrace_output_text(output, "}}");
    const char *text;
    for (uint32_t i = 1; (text = trace_reader_info(chrome->export->reading.reader, i)); i++) {
        json_t *info = json_loads(text, 0, NULL), *row;
        size_t k;
        json_array_foreach(json_object_get(info, "threads"), k, row) {
            const char *name = json_string_value(json_object_get(row, "name"));
            json_t *thread = json_object_get(row, "thread");
            json_int_t number = json_integer_value(thread);
            if (!name || !json_is_integer(thread) || number < 0 ||
                number >= chrome->export->reading.summary.threads || chrome->thread_named[number])
                continue;
            write_thread_name(chrome, number, name);
            chrome->thread_named[number] = true;
        }
        json_decref(info);
    }
}

// A row without a name would be called by its bare number, or not at all.
static void write_spans(struct chrome *chrome) {
    for (uint32_t i = 0; i < chrome->export->reading.summary.threads; i++) {
        if (!chrome->thread_begin[i])
            continue;
        char number[32];
        snprintf(number, sizeof number, "thread %u", i);
        if (!chrome->thread_named[i])
            write_thread_name(chrome, i, number);
        double begin = microseconds(chrome, chrome->thread_begin[i] - 1);
        double end = microseconds(chrome, chrome->thread_end[i]);
        begin_event(chrome);
        haktrace_output_text(&chrome->export->output,
                             "{\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,"
                             "\"name\":\"thread %u\"}",
                             i, begin, end - begin, i);
    }
}

static int write_process(void *self, const struct trace_side *rows, size_t count,
                         struct trace_error *error) {
    struct chrome *chrome = self;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *values = rows[i].values;
        double time = microseconds(chrome, values[TRACE_PROCESS_TIME]);
        if (rows[i].kind != TRACE_SIDE_PROCESS)
            continue;
        begin_event(chrome);
        haktrace_output_text(&chrome->export->output,
                             "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"name\":\"resident\",\"args\":{"
                             "\"anonymous\":%" PRIu64 ",\"other\":%" PRIu64 "}},\n"
                             "{\"ph\":\"C\",\"pid\":1,\"ts\":%.3f,\"name\":\"faults\",\"args\":{"
                             "\"minor\":%" PRIu64 ",\"major\":%" PRIu64 "}}",
                             time, values[TRACE_PROCESS_ANONYMOUS],
                             values[TRACE_PROCESS_RSS] - values[TRACE_PROCESS_ANONYMOUS], time,
                             values[TRACE_PROCESS_MINOR_FAULTS],
                             values[TRACE_PROCESS_MAJOR_FAULTS]);
    }
    return 0;
}

int haktrace_export_chrome(struct haktrace_export *export) {
    size_t threads = (size_t) export->reading.summary.threads + 1;
    struct chrome chrome = {
        .export = export,
        .first = true,
        .step_ticks = export->reading.check.duration_ticks / STEPS_MAX + 1,
        .thread_begin = calloc(threads, sizeof *chrome.thread_begin),
        .thread_end = calloc(threads, sizeof *chrome.thread_end),
        .thread_named = calloc(threads, sizeof *chrome.thread_named),
    };
    int status = -1;
    if (!chrome.thread_begin || !chrome.thread_end || !chrome.thread_named) {
        trace_report_file("export", &export->error, "out of memory");
    } else if (find_spans(&chrome) == 0) {
        haktrace_output_text(&export->output, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
        write_names(&chrome);
        write_spans(&chrome);
        trace_reader_visit_sides(export->reading.reader, write_process, &chrome);
        status = haktrace_follow_lives(export->reading.reader, count_life, &chrome, &export->error);
        trace_reader_visit_sides(export->reading.reader, NULL, NULL);
        write_step(&chrome);
        haktrace_output_text(&export->output, "\n]}\n");
    }
    free(chrome.thread_begin);
    free(chrome.thread_end);
    free(chrome.thread_named);
    return status;
}
