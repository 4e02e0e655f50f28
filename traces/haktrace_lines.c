// haktrace_lines.c: see haktrace_lines.h.
#include "haktrace_lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { INPUT_BYTES = 1 << 17, TEXT_BYTES = 2 * HAKTRACE_LINE_BYTES_MAX, WINDOW_LOG_MAX = 27 };

static int fail_memory(struct haktrace_lines *lines, struct trace_error *error) {
    return trace_fail_file(lines->file.path ? lines->file.path : "import", error, "out of memory");
}

int haktrace_lines_open(struct haktrace_lines *lines, const char *path, struct trace_error *error) {
    uint8_t magic[4] = {0};
    size_t got;
    *lines = (struct haktrace_lines){0};
    if (trace_file_open(&lines->file, path, error))
        return -1;
    lines->text = malloc(TEXT_BYTES + 1);
    if (!lines->text)
        return fail_memory(lines, error);
    if (trace_file_read(&lines->file, 0, magic, sizeof magic, &got, error))
        return -1;
    if (got >= 2 && magic[0] == 0x1f && magic[1] == 0x8b)
        return trace_fail_file(path, error, "expected text or zstd, found gzip: use zcat first");
    if (got < 4 || trace_get32(magic) != TRACE_MAGIC_ZSTD)
        return 0;
    lines->decompressor = ZSTD_createDStream();
    lines->input = malloc(INPUT_BYTES);
    if (!lines->decompressor || !lines->input)
        return fail_memory(lines, error);
    ZSTD_DCtx_setParameter(lines->decompressor, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return 0;
}

void haktrace_lines_close(struct haktrace_lines *lines) {
    if (lines->file.path)
        trace_file_close(&lines->file, NULL);
    ZSTD_freeDStream(lines->decompressor);
    free(lines->input);
    free(lines->text);
    *lines = (struct haktrace_lines){0};
}

int haktrace_lines_fail(const struct haktrace_lines *lines, struct trace_error *error,
                        const char *format, ...) {
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct trace_place place = {lines->file.path, lines->text_offset};
    return trace_fail(&place, error, "line %llu: %s", (unsigned long long)lines->number, text);
}

static int read_plain(struct haktrace_lines *lines, struct trace_error *error) {
    size_t got;
    if (trace_file_read(&lines->file, lines->offset, lines->text + lines->size,
                        TEXT_BYTES - lines->size, &got, error))
        return -1;
    lines->offset += got;
    lines->size += got;
    lines->at_end = got == 0;
    return 0;
}

static int read_compressed(struct haktrace_lines *lines, struct trace_error *error) {
    ZSTD_outBuffer out = {lines->text, TEXT_BYTES, lines->size};
    while (out.pos == lines->size) {
        if (lines->input_at == lines->input_size) {
            if (trace_file_read(&lines->file, lines->offset, lines->input, INPUT_BYTES,
                                &lines->input_size, error))
                return -1;
            lines->offset += lines->input_size;
            lines->input_at = 0;
        }
        bool drained = lines->input_size == 0;
        ZSTD_inBuffer in = {lines->input, lines->input_size, lines->input_at};
        size_t result = ZSTD_decompressStream(lines->decompressor, &out, &in);
        lines->input_at = in.pos;
        if (ZSTD_isError(result)) {
            struct trace_place place = {lines->file.path,
                                        lines->offset - lines->input_size + lines->input_at};
            return trace_fail(&place, error, "expected a whole zstd frame, found damage (%s)",
                              ZSTD_getErrorName(result));
        }
        if (drained && out.pos == lines->size) {
            lines->at_end = true;
            return 0;
        }
    }
    lines->size = out.pos;
    return 0;
}

// Brings more text behind what is left of it.
static int read_more(struct haktrace_lines *lines, struct trace_error *error) {
    memmove(lines->text, lines->text + lines->at, lines->size - lines->at);
    lines->size -= lines->at;
    lines->at = 0;
    if (lines->size > HAKTRACE_LINE_BYTES_MAX)
        return haktrace_lines_fail(lines, error, "expected a line of at most %d bytes",
                                   HAKTRACE_LINE_BYTES_MAX);
    return lines->decompressor ? read_compressed(lines, error) : read_plain(lines, error);
}

char *haktrace_lines_next(struct haktrace_lines *lines, struct trace_error *error) {
    size_t searched = 0;
    error->text[0] = '\0';
    lines->number++;
    lines->text_offset = lines->next_offset;
    for (;;) {
        char *start = lines->text + lines->at;
        char *end = memchr(start + searched, '\n', lines->size - lines->at - searched);
        searched = lines->size - lines->at;
        if (!end && lines->at_end && searched > 0)
            end = start + searched;
        if (end) {
            *end = '\0';
            bool ended = end < lines->text + lines->size;
            lines->at = (size_t)(end - lines->text) + ended;
            lines->next_offset += (uint64_t)(end - start) + ended;
            return start;
        }
        if (lines->at_end || read_more(lines, error))
            return NULL;
    }
}
