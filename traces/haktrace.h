// haktrace.h: what the subcommands of haktrace share.
//
// One thread. Exit statuses: 0 fine, 1 a failed check, 2 usage or a bad file.
#ifndef HAK_HAKTRACE_H
#define HAK_HAKTRACE_H

#include "trace.h"

#include <jansson.h>

enum { HAKTRACE_OK = 0, HAKTRACE_FAILED_CHECK = 1, HAKTRACE_USAGE = 2 };

// The options of all subcommands; each names those that it takes by their letters.
struct haktrace_options {
    const char *path;    // the last operand: the trace, or for import the file to import
    const char *range;   // the operand before it, of commands that take two
    const char *output;  // o, NULL where not given
    const char *symbols; // y: folder below which files are, "" for this machine; NULL: no symbols
    const char *format;  // m, NULL where not given
    bool json;           // j
    bool quiet;          // q, of all subcommands
    bool stacks;         // s
    bool force;          // F
    bool core;           // C
    bool columns;        // k
    bool memory;         // M
    uint64_t from;       // f
    uint64_t count;      // c, UINT64_MAX where not given
};

struct haktrace_command {
    const char *name;
    const char *letters; // options taken, besides --quiet, --help and --version
    int operand_count;
    const char *usage; // its options and operands
    const char *summary;
    const char *example; // a line, without the tool's name
    int (*run)(const struct haktrace_options *options);
};

// "haktrace: TEXT" as one line on standard error; HAKTRACE_USAGE.
int haktrace_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define HAKTRACE_FORMS_MAX 8
// The place among `count` forms of the one that --format names (given; NULL: none). `name` is the
// first one's, the others' follow every `stride` bytes. count: none has that name, and an error
// that lists them as `expected` does is told.
unsigned haktrace_form(const char *given, const char *const *name, size_t stride, unsigned count,
                       const char *expected);
// Flushes standard output; the exit status, `status` unless writing failed. A reader that has
// closed its end of a pipe is not a failure.
int haktrace_finish_output(int status);
// One line on a trace made of another, unless quiet.
void haktrace_tell_written(const struct haktrace_options *options, const char *output);
// Whether the reader of standard output has gone, so that no more need be written.
bool haktrace_output_closed(void);
// Writes a text from a file with control characters as '?', since a terminal would obey them.
void haktrace_print_text(const char *text);

// What the rows beside the events add up to (haktrace_memory.c).
struct haktrace_memory {
    uint64_t samples;                    // RESIDENT rows
    uint64_t sampled_pages, found_pages; // and what they say
    uint64_t process_samples, rss_max, anonymous_max, minor_faults, major_faults;
    uint64_t maps, unmaps, mapped_bytes; // calls that succeeded; bytes by all of MAP
};

// A trace that has been read once from beginning to end.
struct haktrace_reading {
    struct trace_reader *reader;
    struct haktrace_memory memory;
    struct trace_check_result check;
    struct trace_summary summary;
    json_t *meta, *end; // `end` is NULL where END is missing
};
// HAKTRACE_OK, or HAKTRACE_USAGE after an error line; then there is nothing to close.
int haktrace_read_whole(const char *path, struct haktrace_reading *reading);
void haktrace_close(struct haktrace_reading *reading);
// What a trace lacks, in words; NULL if it is complete. `buffer` holds the text.
const char *haktrace_missing(const struct haktrace_reading *reading, char *buffer, size_t size);

// What the program called past the recorder, in words; NULL if nothing is known of it.
const char *haktrace_unseen(const struct haktrace_reading *reading, char *buffer, size_t size);

// Counts rows into the struct haktrace_memory at `self`.
int haktrace_memory_count(void *self, const struct trace_side *rows, size_t count,
                          struct trace_error *error);
// `haktrace dump --memory`.
int haktrace_memory_dump(const struct haktrace_options *options);

int haktrace_info(const struct haktrace_options *options);      // haktrace_info.c
int haktrace_verify(const struct haktrace_options *options);    // haktrace_verify.c
int haktrace_dump(const struct haktrace_options *options);      // haktrace_dump.c
int haktrace_window(const struct haktrace_options *options);    // haktrace_window.c
int haktrace_export(const struct haktrace_options *options);    // haktrace_export.c
int haktrace_import(const struct haktrace_options *options);    // haktrace_import.c
int haktrace_repack(const struct haktrace_options *options);    // haktrace_repack.c
int haktrace_top(const struct haktrace_options *options);       // haktrace_top.c
int haktrace_columns(const struct haktrace_options *options);   // haktrace_columns.c
int haktrace_anonymise(const struct haktrace_options *options); // haktrace_anonymise.c

#endif
