// haktrace_output.h: where an export goes: standard output, or a file that gets its name when
// whole.
//
// One thread. Errors are kept until haktrace_output_finish, so that writers need not ask.
#ifndef HAK_HAKTRACE_OUTPUT_H
#define HAK_HAKTRACE_OUTPUT_H

#include "trace_internal.h"

struct haktrace_output {
    bool to_file, failed;
    struct trace_file file;
    struct trace_bytes buffer;
    struct trace_error error;
};

// NULL path: standard output. 0, or -1 after an error line.
int haktrace_output_open(struct haktrace_output *output, const char *path, bool force);
void haktrace_output_bytes(struct haktrace_output *output, const void *data, size_t size);
void haktrace_output_text(struct haktrace_output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// A JSON string with its quotation marks; bytes that are not UTF-8 become '?'.
void haktrace_output_json(struct haktrace_output *output, const char *text);
// Names the file, unless `abandon`. The exit status: `status`, or HAKTRACE_USAGE after an error
// line.
int haktrace_output_finish(struct haktrace_output *output, int status, bool abandon);

#endif
