// trace_chunk.c: the layout of chunks, identity and index, shared by writer and reader.
//
// Owns: FORMAT.md §1, §2 and §7 as bytes, both ways. Does not touch files and does not know what
// the columns of a kind mean. Without state: any thread.
#include "trace_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
    CHUNK_HEADER_BYTES = 48,
    COLUMN_ENTRY_BYTES = 16,
    INDEX_ENTRY_BYTES = 40,
    INDEX_HEAD_BYTES = 8 + 16, // skippable frame's head, "HAKINDEX", count, reserved
    INDEX_TAIL_BYTES = 16      // hash, size, "HKIX"
};

// ---------------------------------------------------------------- errors

static void format_error(struct trace_error *error, const char *prefix, const char *format,
                         va_list arguments) {
    if (!error)
        return;
    int length = snprintf(error->text, sizeof error->text, "%s", prefix);
    if (length >= 0 && (size_t)length < sizeof error->text)
        vsnprintf(error->text + length, sizeof error->text - (size_t)length, format, arguments);
}

void trace_report(const struct trace_place *place, struct trace_error *error, const char *format,
                  ...) {
    char prefix[400];
    snprintf(prefix, sizeof prefix, "%.360s: offset %llu: ", place->path,
             (unsigned long long)place->offset);
    va_list arguments;
    va_start(arguments, format);
    format_error(error, prefix, format, arguments);
    va_end(arguments);
}

void trace_report_file(const char *path, struct trace_error *error, const char *format, ...) {
    char prefix[400];
    snprintf(prefix, sizeof prefix, "%.390s: ", path);
    va_list arguments;
    va_start(arguments, format);
    format_error(error, prefix, format, arguments);
    va_end(arguments);
}

// ---------------------------------------------------------------- chunk

bool trace_chunk_build(const struct trace_chunk *chunk, struct trace_bytes *out) {
    size_t payload = 0;
    for (uint32_t i = 0; i < chunk->column_count; i++)
        payload += chunk->columns[i].bytes;
    size_t head = CHUNK_HEADER_BYTES + (size_t)COLUMN_ENTRY_BYTES * chunk->column_count;
    out->size = 0;
    if (!trace_bytes_reserve(out, head + payload))
        return false;

    uint8_t *at = out->data;
    memset(at, 0, head);
    memcpy(at, "hkCH", 4);
    trace_put16(at + 4, chunk->kind);
    trace_put16(at + 6, chunk->flags);
    trace_put32(at + 8, chunk->column_count);
    trace_put32(at + 12, chunk->row_count);
    trace_put64(at + 16, chunk->first);
    trace_put64(at + 24, chunk->time0);
    trace_put64(at + 32, chunk->object0);
    trace_put32(at + 40, (uint32_t)payload);
    at += CHUNK_HEADER_BYTES;
    for (uint32_t i = 0; i < chunk->column_count; i++, at += COLUMN_ENTRY_BYTES) {
        const struct trace_column *column = &chunk->columns[i];
        trace_put16(at, column->id);
        at[2] = column->encoding;
        at[3] = column->flags;
        trace_put32(at + 4, column->values);
        trace_put32(at + 8, column->bytes);
    }
    for (uint32_t i = 0; i < chunk->column_count; i++) {
        const struct trace_column *column = &chunk->columns[i];
        if (column->bytes)
            memcpy(at, column->data, column->bytes);
        at += column->bytes;
    }
    out->size = head + payload;
    return true;
}

static int parse_header(const uint8_t *data, size_t size, struct trace_chunk *chunk,
                        const struct trace_place *place, struct trace_error *error) {
    if (size < CHUNK_HEADER_BYTES || memcmp(data, "hkCH", 4) != 0)
        return trace_fail(place, error, "expected a chunk (\"hkCH\"), found other content");
    chunk->kind = trace_get16(data + 4);
    chunk->flags = trace_get16(data + 6);
    chunk->column_count = trace_get32(data + 8);
    chunk->row_count = trace_get32(data + 12);
    chunk->first = trace_get64(data + 16);
    chunk->time0 = trace_get64(data + 24);
    chunk->object0 = trace_get64(data + 32);
    uint64_t payload = trace_get32(data + 40);
    if (chunk->flags & ~TRACE_FLAG_REQUIRED || trace_get32(data + 44) != 0)
        return trace_fail(place, error, "expected reserved bits of the chunk to be 0");
    if (chunk->column_count > TRACE_COLUMNS_MAX)
        return trace_fail(place, error, "expected at most %u columns, found %u", TRACE_COLUMNS_MAX,
                          chunk->column_count);
    if (chunk->row_count > TRACE_ROWS_MAX)
        return trace_fail(place, error, "expected at most %u rows, found %u", TRACE_ROWS_MAX,
                          chunk->row_count);
    if (chunk->first > UINT64_MAX - TRACE_ROWS_MAX || chunk->object0 > UINT64_MAX - TRACE_ROWS_MAX)
        return trace_fail(place, error, "expected row numbers that fit 64 bits");
    uint64_t expected =
        CHUNK_HEADER_BYTES + (uint64_t)COLUMN_ENTRY_BYTES * chunk->column_count + payload;
    if (size != expected)
        return trace_fail(place, error, "expected a chunk of %llu bytes, found %zu",
                          (unsigned long long)expected, size);
    return 0;
}

int trace_chunk_parse(const uint8_t *data, size_t size, struct trace_chunk *chunk,
                      const struct trace_place *place, struct trace_error *error) {
    if (parse_header(data, size, chunk, place, error))
        return -1;
    const uint8_t *entry = data + CHUNK_HEADER_BYTES;
    const uint8_t *content = entry + (size_t)COLUMN_ENTRY_BYTES * chunk->column_count;
    const uint8_t *end = data + size;
    int32_t id_before = -1;
    for (uint32_t i = 0; i < chunk->column_count; i++, entry += COLUMN_ENTRY_BYTES) {
        struct trace_column *column = &chunk->columns[i];
        column->id = trace_get16(entry);
        column->encoding = entry[2];
        column->flags = entry[3];
        column->values = trace_get32(entry + 4);
        column->bytes = trace_get32(entry + 8);
        column->data = content;
        if (column->flags & ~TRACE_FLAG_REQUIRED || trace_get32(entry + 12) != 0)
            return trace_fail(place, error, "expected reserved bits of column %u to be 0",
                              column->id);
        if (column->id <= id_before)
            return trace_fail(place, error,
                              "expected columns in ascending order, found %u after %d", column->id,
                              id_before);
        if (column->bytes > (size_t)(end - content))
            return trace_fail(place, error,
                              "expected columns within the chunk, found column %u of %u bytes with "
                              "%zu left",
                              column->id, column->bytes, (size_t)(end - content));
        id_before = column->id;
        content += column->bytes;
    }
    if (content != end)
        return trace_fail(place, error,
                          "expected the columns to fill the chunk, found %zu bytes more",
                          (size_t)(end - content));
    return 0;
}

const struct trace_column *trace_chunk_column(const struct trace_chunk *chunk, uint16_t id) {
    for (uint32_t i = 0; i < chunk->column_count; i++)
        if (chunk->columns[i].id == id)
            return &chunk->columns[i];
    return NULL;
}

// ---------------------------------------------------------------- index

static size_t index_bytes(size_t count) {
    return INDEX_HEAD_BYTES + INDEX_ENTRY_BYTES * count + INDEX_TAIL_BYTES;
}

bool trace_index_build(const struct trace_index_entry *entries, size_t count,
                       struct trace_bytes *out) {
    size_t size = index_bytes(count);
    out->size = 0;
    if (!trace_bytes_reserve(out, size))
        return false;
    uint8_t *at = out->data;
    memset(at, 0, size);
    trace_put32(at, TRACE_MAGIC_INDEX);
    trace_put32(at + 4, (uint32_t)(size - 8));
    memcpy(at + 8, "HAKINDEX", 8);
    trace_put32(at + 16, (uint32_t)count);
    at += INDEX_HEAD_BYTES;
    for (size_t i = 0; i < count; i++, at += INDEX_ENTRY_BYTES) {
        trace_put64(at, entries[i].offset);
        trace_put32(at + 8, entries[i].bytes);
        trace_put16(at + 12, entries[i].kind);
        trace_put64(at + 16, entries[i].first);
        trace_put64(at + 24, entries[i].time0);
        trace_put32(at + 32, entries[i].rows);
    }
    trace_put64(at, XXH64(out->data + 8, (size_t)(at - (out->data + 8)), 0));
    trace_put32(at + 8, (uint32_t)size);
    memcpy(at + 12, "HKIX", 4);
    out->size = size;
    return true;
}

uint32_t trace_index_size(const uint8_t footer[8]) {
    return memcmp(footer + 4, "HKIX", 4) == 0 ? trace_get32(footer) : 0;
}

static int check_index_frame(const uint8_t *frame, size_t size, const struct trace_place *place,
                             struct trace_error *error) {
    if (size < index_bytes(0) || trace_get32(frame) != TRACE_MAGIC_INDEX ||
        memcmp(frame + 8, "HAKINDEX", 8) != 0)
        return trace_fail(place, error, "expected an index (\"HAKINDEX\"), found other content");
    uint64_t count = trace_get32(frame + 16);
    if (trace_get32(frame + 4) != size - 8 || size != index_bytes(count) ||
        trace_index_size(frame + size - 8) != size)
        return trace_fail(place, error, "expected an index of %llu entries to fill its %zu bytes",
                          (unsigned long long)count, size);
    const uint8_t *hash = frame + size - INDEX_TAIL_BYTES;
    if (XXH64(frame + 8, (size_t)(hash - (frame + 8)), 0) != trace_get64(hash))
        return trace_fail(place, error, "expected the index to match its checksum");
    if (trace_get32(frame + 20) != 0)
        return trace_fail(place, error, "expected reserved bits of the index to be 0");
    return 0;
}

static int check_index_entries(const struct trace_index_entry *entries, size_t count,
                               const struct trace_place *place, struct trace_error *error) {
    uint64_t end = TRACE_IDENTITY_BYTES;
    uint64_t time0 = 0;
    uint64_t first[TRACE_KIND_COUNT] = {[TRACE_KIND_MODULES] = 1, [TRACE_KIND_STACKS] = 1};
    if (count < 2 || entries[0].kind != TRACE_KIND_META ||
        entries[count - 1].kind != TRACE_KIND_END)
        return trace_fail(place, error, "expected an index from META to END");
    for (size_t i = 0; i < count; i++) {
        const struct trace_index_entry *entry = &entries[i];
        if (entry->offset < end || entry->offset > place->offset ||
            entry->bytes > place->offset - entry->offset)
            return trace_fail(place, error, "expected index entry %zu to follow the one before", i);
        end = entry->offset + entry->bytes;
        if (entry->rows > TRACE_ROWS_MAX)
            return trace_fail(place, error, "expected at most %u rows in index entry %zu, found %u",
                              TRACE_ROWS_MAX, i, entry->rows);
        if (entry->kind < TRACE_KIND_COUNT) {
            if (entry->first != first[entry->kind])
                return trace_fail(place, error, "expected index entry %zu to begin at row %llu", i,
                                  (unsigned long long)first[entry->kind]);
            first[entry->kind] += entry->rows;
        }
        if (entry->kind == TRACE_KIND_EVENTS) {
            if (entry->time0 < time0)
                return trace_fail(place, error, "expected index entry %zu not to go back in time",
                                  i);
            time0 = entry->time0;
        }
    }
    return 0;
}

int trace_index_parse(const uint8_t *frame, size_t size, struct trace_index_entry **entries,
                      size_t *count, const struct trace_place *place, struct trace_error *error) {
    if (check_index_frame(frame, size, place, error))
        return -1;
    size_t found = trace_get32(frame + 16);
    struct trace_index_entry *list = calloc(found ? found : 1, sizeof *list);
    if (!list)
        return trace_fail(place, error, "out of memory for an index of %zu entries", found);
    const uint8_t *at = frame + INDEX_HEAD_BYTES;
    bool reserved_clear = true;
    for (size_t i = 0; i < found; i++, at += INDEX_ENTRY_BYTES) {
        list[i] = (struct trace_index_entry){
            .offset = trace_get64(at),
            .bytes = trace_get32(at + 8),
            .kind = trace_get16(at + 12),
            .first = trace_get64(at + 16),
            .time0 = trace_get64(at + 24),
            .rows = trace_get32(at + 32),
        };
        reserved_clear &= trace_get16(at + 14) == 0 && trace_get32(at + 36) == 0;
    }
    int result = 0;
    if (!reserved_clear)
        result = trace_fail(place, error, "expected reserved bits of the index to be 0");
    else
        result = check_index_entries(list, found, place, error);
    if (result) {
        free(list);
        return -1;
    }
    *entries = list;
    *count = found;
    return 0;
}

// ---------------------------------------------------------------- identity

void trace_identity_build(uint8_t frame[TRACE_IDENTITY_BYTES], uint64_t trace_id) {
    memset(frame, 0, TRACE_IDENTITY_BYTES);
    trace_put32(frame, TRACE_MAGIC_IDENTITY);
    trace_put32(frame + 4, TRACE_IDENTITY_BYTES - 8);
    memcpy(frame + 8, "HAKTRACE", 8);
    trace_put16(frame + 16, TRACE_VERSION_MAJOR);
    trace_put16(frame + 18, TRACE_VERSION_MINOR);
    trace_put64(frame + 24, trace_id);
}

int trace_identity_parse(const uint8_t *frame, size_t size, const struct trace_place *place,
                         struct trace_error *error) {
    if (size == 0)
        return trace_fail(place, error, "expected a hak trace, found an empty file");
    uint8_t expected[TRACE_IDENTITY_BYTES];
    trace_identity_build(expected, 0);
    size_t compared = size < 16 ? size : 16;
    if (memcmp(frame, expected, compared) != 0)
        return trace_fail(place, error,
                          "expected a hak trace (\"HAKTRACE\"), found another format");
    if (size < TRACE_IDENTITY_BYTES)
        return trace_fail(place, error, "expected %u bytes of identity, found a file cut after %zu",
                          TRACE_IDENTITY_BYTES, size);
    unsigned major = trace_get16(frame + 16), minor = trace_get16(frame + 18);
    if (major > TRACE_VERSION_MAJOR)
        return trace_fail(place, error,
                          "expected trace format %d.x, found the newer %u.%u: use a newer hak",
                          TRACE_VERSION_MAJOR, major, minor);
    if (major == 0)
        return trace_fail(place, error, "expected trace format %d.x, found %u.%u",
                          TRACE_VERSION_MAJOR, major, minor);
    if (trace_get32(frame + 20) != 0)
        return trace_fail(place, error, "expected reserved bits of the identity to be 0");
    return 0;
}
