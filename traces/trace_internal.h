// trace_internal.h: what the files of this folder share; a map, grouped by the .c that defines it.
//
// Not for other floors: they include trace.h.
#ifndef HAK_TRACE_INTERNAL_H
#define HAK_TRACE_INTERNAL_H

#include "trace.h"

#include <string.h>

// The limits of FORMAT.md §1, enforced by writer and reader alike.
#define TRACE_CHUNK_BYTES_MAX (64u << 20)
#define TRACE_TEXT_BYTES_MAX  (4u << 20)
#define TRACE_ROWS_MAX        1048576u
#define TRACE_COLUMNS_MAX     64u
#define TRACE_THREADS_MAX     (1u << 24)
#define TRACE_NODES_MAX       (1u << 26)
#define TRACE_MODULES_MAX     (1u << 20)
#define TRACE_ALIGN_LOG2_MAX  40u

#define TRACE_MAGIC_IDENTITY  0x184D2A50u
#define TRACE_MAGIC_INDEX     0x184D2A51u
#define TRACE_MAGIC_SKIPPABLE 0x184D2A50u // with the low four bits masked out
#define TRACE_MAGIC_ZSTD      0xFD2FB528u
#define TRACE_IDENTITY_BYTES  32u // with the 8 bytes of its skippable frame

enum trace_kind {
    TRACE_KIND_META = 1,
    TRACE_KIND_MODULES = 2,
    TRACE_KIND_STACKS = 3,
    TRACE_KIND_EVENTS = 4,
    TRACE_KIND_END = 5,
    TRACE_KIND_INFO = 6,
    TRACE_KIND_SIDE = 7, // the first of enum trace_side_kind
    TRACE_KIND_COUNT = TRACE_SIDE_END
};

enum trace_encoding {
    TRACE_BYTES = 0,
    TRACE_UVARINT = 1,
    TRACE_SVARINT = 2,
    TRACE_DELTA = 3,
    TRACE_RUNS = 4,
    TRACE_TEXT = 5
};

enum { TRACE_FLAG_REQUIRED = 1 }; // of chunks and of columns

enum trace_event_column {
    TRACE_COLUMN_OP = 1,
    TRACE_COLUMN_THREAD = 2,
    TRACE_COLUMN_TIME = 3,
    TRACE_COLUMN_OBJECT = 4,
    TRACE_COLUMN_SIZE = 5,
    TRACE_COLUMN_ALIGN = 6,
    TRACE_COLUMN_STACK = 7,
    TRACE_COLUMN_ADDRESS = 8,
    TRACE_COLUMN_VALUE = 9,
    TRACE_COLUMN_PEER = 10,
    TRACE_COLUMN_ENTRY = 11,
    TRACE_COLUMN_RANK = 12,        // in place of OBJECT
    TRACE_COLUMN_DISTANCE = 13,    // beside RANK
    TRACE_COLUMN_OTHER_ENTRY = 14, // in place of ENTRY
    TRACE_COLUMN_COUNT = 15
};
// What a column of EVENTS holds; the one table that writer, reader and haktrace share.
struct trace_column_info {
    const char *name;
    uint8_t encoding;      // enum trace_encoding
    uint8_t flags;         // TRACE_FLAG_REQUIRED or 0
    uint8_t row_bytes_max; // longest encoding of one event's value
    uint8_t op_flag;       // which events have a value, enum trace_op_flag; 0 = all of them
};
extern const struct trace_column_info trace_event_columns[TRACE_COLUMN_COUNT]; // trace_event.c
// The entry point of most calls of an op, of which OTHER_ENTRY holds the difference.
extern const uint8_t trace_usual_entries[TRACE_OP_COUNT]; // trace_event.c

enum trace_stack_column {
    TRACE_COLUMN_PARENT = 1,
    TRACE_COLUMN_MODULE = 2,
    TRACE_COLUMN_OFFSET = 3
};
enum { TRACE_STACK_COLUMN_COUNT = 4 };
enum { TRACE_COLUMN_TEXT = 1 };
enum { TRACE_COLUMN_SIDE_EVENT = 1 };

// ---------------------------------------------------------------- little-endian (x86-64 only)

static inline uint16_t trace_get16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static inline uint32_t trace_get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static inline uint64_t trace_get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static inline void trace_put16(uint8_t *at, uint16_t value) {
    memcpy(at, &value, sizeof value);
}
static inline void trace_put32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
}
static inline void trace_put64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof value);
}

// ---------------------------------------------------------------- trace_columns.c

// A growing byte buffer. `data` is NULL while capacity is 0.
struct trace_bytes {
    uint8_t *data;
    size_t size, capacity;
};
// Makes room for `more` bytes after size; false when memory is out.
bool trace_bytes_reserve(struct trace_bytes *bytes, size_t more);
bool trace_bytes_append(struct trace_bytes *bytes, const void *data, size_t size);
void trace_bytes_free(struct trace_bytes *bytes);

#define TRACE_VARINT_BYTES_MAX 10

// Appends one value; the caller has reserved TRACE_VARINT_BYTES_MAX.
static inline void trace_put_uvarint(struct trace_bytes *bytes, uint64_t value) {
    uint8_t *at = bytes->data + bytes->size;
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    bytes->size = (size_t)(at - bytes->data);
}
static inline uint64_t trace_zigzag(uint64_t difference) {
    return (difference << 1) ^ (uint64_t)((int64_t)difference >> 63);
}
static inline uint64_t trace_unzigzag(uint64_t value) {
    return (value >> 1) ^ (0 - (value & 1));
}

// Decode exactly `count` values from exactly `size` bytes; false if they do not fit each other or
// a varint is malformed. May not read beyond data + size.
bool trace_decode_uvarint(const uint8_t *data, size_t size, uint64_t *values, size_t count);
bool trace_decode_delta(const uint8_t *data, size_t size, uint64_t *values, size_t count);
// Values above value_max are refused.
bool trace_decode_runs(const uint8_t *data, size_t size, uint32_t *values, size_t count,
                       uint32_t value_max);

// ---------------------------------------------------------------- trace_chunk.c

// Where an error is: every message begins with it.
struct trace_place {
    const char *path;
    uint64_t offset;
};
// Writes "PATH: offset N: " and the formatted text into *error, which may be NULL.
void trace_report(const struct trace_place *place, struct trace_error *error, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
// The same without an offset.
void trace_report_file(const char *path, struct trace_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// As expressions of value -1: macros, so that the compiler sees the value.
#define trace_fail(...)      (trace_report(__VA_ARGS__), -1)
#define trace_fail_file(...) (trace_report_file(__VA_ARGS__), -1)

struct trace_column {
    uint16_t id;
    uint8_t encoding; // enum trace_encoding
    uint8_t flags;
    uint32_t values; // how many
    uint32_t bytes;
    const uint8_t *data;
};

// A chunk laid open: the columns point into the decompressed bytes.
struct trace_chunk {
    uint16_t kind, flags;
    uint32_t column_count, row_count;
    uint64_t first, time0, object0;
    struct trace_column columns[TRACE_COLUMNS_MAX];
};

// Replaces *out by the bytes of the chunk; false when memory is out.
bool trace_chunk_build(const struct trace_chunk *chunk, struct trace_bytes *out);
// Opens `size` decompressed bytes; 0 or -1. Columns are checked for place, not for content.
int trace_chunk_parse(const uint8_t *data, size_t size, struct trace_chunk *chunk,
                      const struct trace_place *place, struct trace_error *error);
// NULL if the chunk has no such column.
const struct trace_column *trace_chunk_column(const struct trace_chunk *chunk, uint16_t id);

// One chunk as the index names it.
struct trace_index_entry {
    uint64_t offset; // of the frame in the file
    uint32_t bytes;  // of the frame
    uint16_t kind;
    uint32_t rows;
    uint64_t first, time0;
};

// Replaces *out by the whole index frame; false when memory is out.
bool trace_index_build(const struct trace_index_entry *entries, size_t count,
                       struct trace_bytes *out);
// Size of the index frame that the file's last 8 bytes name, or 0 if they do not.
uint32_t trace_index_size(const uint8_t footer[8]);
// Opens a whole index frame that stands at place->offset. On success *entries (malloc) and *count
// are set and have been checked: frames in order, not overlapping, all before the index; META
// first, END last; first and time0 ascending without gap.
int trace_index_parse(const uint8_t *frame, size_t size, struct trace_index_entry **entries,
                      size_t *count, const struct trace_place *place, struct trace_error *error);

void trace_identity_build(uint8_t frame[TRACE_IDENTITY_BYTES], uint64_t trace_id);
// `size` is what the file has of the frame.
int trace_identity_parse(const uint8_t *frame, size_t size, const struct trace_place *place,
                         struct trace_error *error);

// ---------------------------------------------------------------- trace_side.c

// The number of columns of a kind, which have the ids from 1.
unsigned trace_side_column_count(unsigned kind);
// What is wrong with a row beside `events` events, `objects` objects and `nodes` nodes; NULL: it is
// fine.
const char *trace_side_problem(const struct trace_side *side, uint64_t events, uint64_t objects,
                               uint32_t nodes);

// The rows of one kind under construction.
struct trace_side_rows {
    uint32_t count;
    uint64_t first;
    uint64_t event_before; // of the last row, in whatever chunk
    struct trace_bytes columns[TRACE_SIDE_VALUES];
    uint64_t before[TRACE_SIDE_VALUES];
};
// False: out of memory, and nothing has changed.
bool trace_side_put(struct trace_side_rows *rows, const struct trace_side *side);
// The rows as a chunk, whose columns point into them.
void trace_side_chunk(const struct trace_side_rows *rows, unsigned kind, struct trace_chunk *chunk);
// They have been written: begins anew.
void trace_side_written(struct trace_side_rows *rows);
void trace_side_free(struct trace_side_rows *rows);

// ---------------------------------------------------------------- trace_file.c

// The folder's only door to the operating system. Functions return 0 or -1 with *error set.

struct trace_file {
    int descriptor;
    uint64_t size_bytes;  // reading: at the time of opening; writing: whole frames written
    char *path;           // as given, for messages
    char *path_temporary; // writing: the file's name until trace_file_publish, or NULL
    char *path_final;     // writing: what path_temporary becomes, symbolic links followed
    bool created;         // writing: removed again if it is abandoned before it is published
    bool replaces;        // writing: path_final is the name of an older file
};

int trace_file_open(struct trace_file *file, const char *path, struct trace_error *error);
// Tells the tool from now on what is read, of whatever file: a large part, [offset, end), beyond
// the file's end at its last one. For the whole process, before other threads read.
void trace_file_watch(void (*watcher)(const struct trace_file *file, uint64_t offset,
                                      uint64_t end));
// Sets size_bytes anew, of a file that another process is writing.
int trace_file_measure(struct trace_file *file, struct trace_error *error);
// Reads up to `size` bytes at `offset`; *got is less only at the end of the file.
int trace_file_read(struct trace_file *file, uint64_t offset, void *data, size_t size, size_t *got,
                    struct trace_error *error);
// Refuses an existing file unless `overwrite`; an existing device or pipe is written as it is.
// hidden: a new file, too, has no name before trace_file_publish.
int trace_file_create(struct trace_file *file, const char *path, bool overwrite, bool hidden,
                      struct trace_error *error);
// Appends all of it or nothing: a part that was written is cut off again. When even that fails,
// *broken is set: the file ends in part of a frame and must not be appended to.
int trace_file_append(struct trace_file *file, const void *data, size_t size, bool *broken,
                      struct trace_error *error);
// Gives the file its name, replacing the old one.
int trace_file_publish(struct trace_file *file, struct trace_error *error);
// Closes; a created file that has not been published is removed.
int trace_file_close(struct trace_file *file, struct trace_error *error);
uint64_t trace_file_random(void);
// Monotonic, for progress.
uint64_t trace_file_clock_ns(void);
// For tools: from now on, writing to a pipe that nobody reads is an error and not a signal.
void trace_file_ignore_closed_pipes(void);

#endif
