// haktrace_output.c: see haktrace_output.h.
#include "haktrace_output.h"

#include "haktrace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 1 << 16 };

int haktrace_output_open(struct haktrace_output *output, const char *path, bool force) {
    *output = (struct haktrace_output){.to_file = path != NULL};
    if (path && trace_file_create(&output->file, path, force, true, &output->error)) {
        haktrace_fail("%s", output->error.text);
        return -1;
    }
    return 0;
}

static void flush(struct haktrace_output *output) {
    bool broken = false;
    if (!output->failed && output->to_file)
        output->failed = trace_file_append(&output->file, output->buffer.data, output->buffer.size,
                                           &broken, &output->error) != 0;
    else if (!output->to_file)
        fwrite(output->buffer.data, 1, output->buffer.size, stdout);
    output->buffer.size = 0;
}

void haktrace_output_bytes(struct haktrace_output *output, const void *data, size_t size) {
    if (!trace_bytes_append(&output->buffer, data, size)) {
        output->failed = true;
        trace_report_file("output", &output->error, "out of memory");
    }
    if (output->buffer.size >= BUFFER_BYTES)
        flush(output);
}

void haktrace_output_text(struct haktrace_output *output, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        haktrace_output_bytes(output, text,
                              (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void haktrace_output_json(struct haktrace_output *output, const char *text) {
    json_t *string = json_string(text);
    if (!string) { // not UTF-8
        struct trace_bytes copy = {0};
        for (; *text && trace_bytes_reserve(&copy, 2); text++) {
            copy.data[copy.size++] = (uint8_t)*text < 0x80 ? (uint8_t)*text : '?';
            copy.data[copy.size] = '\0';
        }
        string = json_string(copy.data ? (const char *)copy.data : "");
        trace_bytes_free(&copy);
    }
    char *dumped = json_dumps(string, JSON_ENCODE_ANY);
    haktrace_output_bytes(output, dumped ? dumped : "\"\"", dumped ? strlen(dumped) : 2);
    free(dumped);
    json_decref(string);
}

int haktrace_output_finish(struct haktrace_output *output, int status, bool abandon) {
    flush(output);
    trace_bytes_free(&output->buffer);
    if (!output->to_file)
        return haktrace_finish_output(status);
    if (!abandon && !output->failed)
        output->failed = trace_file_publish(&output->file, &output->error) != 0;
    if (output->failed && !abandon)
        status = haktrace_fail("%s", output->error.text);
    trace_file_close(&output->file, NULL);
    return status;
}
