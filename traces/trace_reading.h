// trace_reading.h: what the files of the reader share; a map, grouped by the .c that defines it.
//
// Not for other floors: they include trace.h.
//
// Words: the *directory* lists the file's chunks, whole from the start when there is a valid
// index, else as far as has been walked; *tables* are the nodes, modules and INFO texts; a *row* is
// one event of the chunk in work.
//
// Nothing that a file says is believed: sizes are checked before memory is taken, numbers before
// they are used. One reader belongs to one thread at a time.
#ifndef HAK_TRACE_READING_H
#define HAK_TRACE_READING_H

#include "trace_ranks.h"

#include <xxhash.h>
#include <zstd.h>

// Numbered texts: modules and INFO documents.
struct text_list {
    char **texts;
    uint32_t count, capacity;
    size_t bytes;
};

// Part of the file, as read.
struct window {
    uint8_t *data;
    size_t capacity, size;
    uint64_t offset;
};

// A chunk of events as arrays: one entry per event that has the column, of uint8_t for the encoding
// `bytes`, uint32_t for threads, uint64_t otherwise. A missing column is all zeros. Every array may
// be read one entry beyond its last, which assembly without branches does.
struct event_arrays {
    uint32_t capacity; // rows
    void *storage[TRACE_COLUMN_COUNT];
    uint64_t *zeros;
    const void *columns[TRACE_COLUMN_COUNT]; // into storage, the raw chunk, or zeros
    uint64_t *object;                        // of every event, resolved; 0 where the op has none
};

// Which row of the current chunk comes next, and which value of each column it takes.
struct event_cursor {
    uint32_t row, row_count;
    uint64_t number; // of the next event
    size_t size, align, stack, address, value, peer, entry;
};

struct trace_reader {
    struct trace_file file;
    struct window window;
    struct trace_bytes raw; // the chunk in work; the byte columns of event_arrays point into it
    struct trace_chunk chunk;
    ZSTD_DCtx *decompressor;

    struct trace_index_entry *directory;
    size_t directory_count, directory_capacity;
    bool directory_whole; // from a valid index
    size_t entry_next;    // what the walk comes to next
    uint64_t offset_next;
    bool end_walked, at_end;
    bool failed;
    struct trace_error failure;

    struct event_arrays arrays;
    struct trace_ranks ranks; // of the chunk in work, if it has ranks
    struct event_cursor cursor;
    uint64_t event_next, object_next, time_ticks; // after the current chunk

    trace_side_visit side_visit;
    void *side_self;
    uint64_t side_next[TRACE_SIDE_END]; // row by kind; UINT64_MAX: not known after a jump

    struct trace_node **node_blocks;
    uint32_t node_count, node_block_count, node_block_capacity;
    struct text_list modules, infos;
    size_t tables_next; // directory entries before it have had their tables read by seeking
    size_t infos_next;  // directory entries before it have had their INFO read

    char *meta_json, *end_json;
    uint64_t tick_ns, stamp_ticks_max;
    uint64_t end_events, end_objects;
    uint64_t events_seen, objects_seen; // the most that was read
    uint32_t threads_seen;
    uint64_t cut_bytes;
    uint64_t column_bytes[16];

    XXH3_state_t *hash_state;
    uint64_t hashed_bytes, hash;
};

// ---------------------------------------------------------------- trace_frames.c
// The file as frames: parts of it, their hash, where a frame ends, what it decompresses to.

enum frame_type { FRAME_NONE, FRAME_CUT, FRAME_SKIPPABLE, FRAME_CHUNK };

struct frame {
    enum frame_type type;
    uint32_t magic;
    uint64_t offset, size; // size with all headers
};

static inline struct trace_place trace_reader_place(const struct trace_reader *reader,
                                                    uint64_t offset) {
    return (struct trace_place){reader->file.path, offset};
}

// Makes the window hold `size` bytes at `offset`, or fewer at the end of the file.
// *data is valid until the next call.
int trace_reader_hold(struct trace_reader *reader, uint64_t offset, uint64_t size,
                      const uint8_t **data, size_t *got, struct trace_error *error);
// Adds a part of the file to the hash if it is the next one in file order.
void trace_reader_hash_part(struct trace_reader *reader, uint64_t offset, const uint8_t *data,
                            size_t size);
int trace_reader_hash_rest(struct trace_reader *reader, struct trace_error *error);
int trace_frame_find(struct trace_reader *reader, uint64_t offset, struct frame *frame,
                     struct trace_error *error);
// Decompresses a frame into reader->raw and opens it as reader->chunk.
int trace_frame_read(struct trace_reader *reader, const struct frame *frame,
                     struct trace_error *error);

// ---------------------------------------------------------------- trace_tables.c
// META, END, INFO, MODULES and STACKS out of reader->chunk.

// Finds a known column and checks how it is written; *column is NULL where it is missing and may
// be.
int trace_take_column(const struct trace_chunk *chunk, uint16_t id, const char *name,
                      uint8_t encoding, uint32_t values, const struct trace_column **column,
                      const struct trace_place *place, struct trace_error *error);
// Columns that this reader does not know must be ones that it may skip.
int trace_refuse_unknown_columns(const struct trace_chunk *chunk, unsigned id_count,
                                 const struct trace_place *place, struct trace_error *error);
int trace_take_meta(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error);
int trace_take_end(struct trace_reader *reader, const struct trace_place *place,
                   struct trace_error *error);
int trace_take_info(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error);
int trace_take_modules(struct trace_reader *reader, const struct trace_place *place,
                       struct trace_error *error);
int trace_take_stacks(struct trace_reader *reader, const struct trace_place *place,
                      struct trace_error *error);
const char *trace_text_get(const struct text_list *list, uint32_t number);
void trace_text_free(struct text_list *list);
struct trace_node *trace_node_slot(const struct trace_reader *reader, uint32_t number);

// ---------------------------------------------------------------- trace_rows.c
// EVENTS out of reader->chunk, and rows out of its columns.

int trace_take_events(struct trace_reader *reader, const struct trace_place *place,
                      struct trace_error *error);
// Moves up to `capacity` rows of the current chunk into *events.
size_t trace_rows_assemble(struct trace_reader *reader, struct trace_event *events,
                           size_t capacity);
void trace_rows_free(struct event_arrays *arrays);

// ---------------------------------------------------------------- trace_side.c

// Takes a chunk of rows beside the events out of reader->chunk, and shows them to who wants them.
int trace_take_side(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error);

// ---------------------------------------------------------------- trace_walk.c
// From chunk to chunk, in file order.

// Reads the next chunk. 1: one was read; 0: the end of what is whole; -1: damage.
int trace_walk(struct trace_reader *reader, struct trace_error *error);
// reader->chunk has been come to: it must be where the directory has it, or extends it.
int trace_walk_note(struct trace_reader *reader, const struct frame *frame,
                    const struct trace_place *place, struct trace_error *error);
// Takes what reader->chunk holds, by its kind.
int trace_walk_take(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error);
// Back to the first chunk after META.
void trace_walk_rewind(struct trace_reader *reader);
// Reads the chunk of a directory entry, from where the walk then goes on.
int trace_walk_read_entry(struct trace_reader *reader, size_t entry, struct trace_error *error);
// A failure stays until the reader is positioned anew. Returns -1.
int trace_reader_remember_failure(struct trace_reader *reader, const struct trace_error *failure,
                                  struct trace_error *error);

#endif
