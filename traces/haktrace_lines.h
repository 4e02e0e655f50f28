// haktrace_lines.h: a text file, or the same compressed with zstd, line by line.
//
// One thread. Memory: one window of the file, one line of at most LINE_BYTES_MAX, and what zstd
// needs for a window of at most 2^27 bytes, whatever the file says.
#ifndef HAK_HAKTRACE_LINES_H
#define HAK_HAKTRACE_LINES_H

#include "trace_internal.h"

enum { HAKTRACE_LINE_BYTES_MAX = 1 << 20 };

struct haktrace_lines {
    struct trace_file file;
    uint64_t offset;      // of the file, read
    uint64_t text_offset; // where the current line begins in the text
    uint64_t next_offset; // and the next one
    uint64_t number;      // of the current line, from 1
    void *decompressor;   // ZSTD_DStream, NULL for plain text
    uint8_t *input;       // compressed bytes: [input_at, input_size)
    size_t input_at, input_size;
    char *text; // the text: [at, size)
    size_t at, size;
    bool at_end;
};

int haktrace_lines_open(struct haktrace_lines *lines, const char *path, struct trace_error *error);
// The next line without its end, zero-terminated, valid until the next call, or NULL at the end of
// the file and on failure; then error->text is empty, or not.
char *haktrace_lines_next(struct haktrace_lines *lines, struct trace_error *error);
// Reports what was expected in the current line, with its number and offset. -1.
int haktrace_lines_fail(const struct haktrace_lines *lines, struct trace_error *error,
                        const char *format, ...) __attribute__((format(printf, 3, 4)));
void haktrace_lines_close(struct haktrace_lines *lines);

#endif
