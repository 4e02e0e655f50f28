// trace_reader.c: opening and closing a trace, and what is known of it.
//
// Owns: the order in which a file is judged on opening. The rest of the reader: trace_frames.c,
// trace_tables.c, trace_rows.c, trace_walk.c, trace_seek.c (trace_reading.h maps them).
#include "trace_reading.h"

#include <stdlib.h>

// Takes the index as directory if it is there and valid. If not, nothing: the walk will say so.
static int open_index(struct trace_reader *reader, struct trace_error *error) {
    const uint8_t *footer, *frame;
    size_t got, count;
    struct trace_index_entry *entries;
    uint64_t file_size = reader->file.size_bytes;
    if (file_size < TRACE_IDENTITY_BYTES + 8)
        return 0;
    if (trace_reader_hold(reader, file_size - 8, 8, &footer, &got, error))
        return -1;
    uint64_t size = trace_index_size(footer);
    if (size < 8 || size > file_size - TRACE_IDENTITY_BYTES)
        return 0;
    struct trace_place place = trace_reader_place(reader, file_size - size);
    if (trace_reader_hold(reader, place.offset, size, &frame, &got, error))
        return -1;
    if (trace_index_parse(frame, got, &entries, &count, &place, NULL))
        return 0;
    reader->directory = entries;
    reader->directory_count = reader->directory_capacity = count;
    reader->directory_whole = true;
    return 0;
}

// With an index, END can be known from the start. Damage is left for the walk to find.
static void open_end(struct trace_reader *reader) {
    if (!reader->directory_whole)
        return;
    struct trace_place place = trace_reader_place(reader, 0);
    if (trace_walk_read_entry(reader, reader->directory_count - 1, NULL) == 0)
        trace_take_end(reader, &place, NULL);
}

static int open_identity(struct trace_reader *reader, struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, 0);
    const uint8_t *data;
    size_t got;
    if (trace_reader_hold(reader, 0, TRACE_IDENTITY_BYTES, &data, &got, error) ||
        trace_identity_parse(data, got, &place, error))
        return -1;
    trace_reader_hash_part(reader, 0, data, got);
    return 0;
}

static int open_meta(struct trace_reader *reader, struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, TRACE_IDENTITY_BYTES);
    struct frame frame;
    if (trace_frame_find(reader, place.offset, &frame, error))
        return -1;
    if (frame.type != FRAME_CHUNK)
        return trace_fail(&place, error, "expected the META chunk, found the end of the file");
    reader->entry_next = 0;
    if (trace_frame_read(reader, &frame, error) || trace_walk_note(reader, &frame, &place, error))
        return -1;
    if (reader->chunk.kind != TRACE_KIND_META)
        return trace_fail(&place, error, "expected the META chunk, found kind %u",
                          reader->chunk.kind);
    return trace_take_meta(reader, &place, error);
}

struct trace_reader *trace_reader_open(const char *path, struct trace_error *error) {
    struct trace_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        trace_report_file(path, error, "out of memory");
        return NULL;
    }
    if (trace_file_open(&reader->file, path, error)) {
        free(reader);
        return NULL;
    }
    reader->decompressor = ZSTD_createDCtx();
    reader->hash_state = XXH3_createState();
    if (!reader->decompressor || !reader->hash_state) {
        trace_report_file(path, error, "out of memory");
        trace_reader_close(reader);
        return NULL;
    }
    XXH3_64bits_reset(reader->hash_state);
    if (open_identity(reader, error) || open_index(reader, error)) {
        trace_reader_close(reader);
        return NULL;
    }
    open_end(reader);
    if (open_meta(reader, error)) {
        trace_reader_close(reader);
        return NULL;
    }
    trace_walk_rewind(reader);
    return reader;
}

// What the window holds stays true, since a trace is only appended to.
int trace_reader_grow(struct trace_reader *reader, struct trace_error *error) {
    if (trace_file_measure(&reader->file, error))
        return -1;
    if (!reader->directory_whole && !reader->end_walked)
        reader->at_end = false;
    return 0;
}

void trace_reader_close(struct trace_reader *reader) {
    if (!reader)
        return;
    trace_file_close(&reader->file, NULL);
    free(reader->window.data);
    trace_bytes_free(&reader->raw);
    ZSTD_freeDCtx(reader->decompressor);
    XXH3_freeState(reader->hash_state);
    free(reader->directory);
    trace_rows_free(&reader->arrays);
    trace_ranks_free(&reader->ranks);
    for (uint32_t i = 0; i < reader->node_block_count; i++)
        free(reader->node_blocks[i]);
    free(reader->node_blocks);
    trace_text_free(&reader->modules);
    trace_text_free(&reader->infos);
    free(reader->meta_json);
    free(reader->end_json);
    free(reader);
}

// ---------------------------------------------------------------- what is known

bool trace_reader_node(const struct trace_reader *reader, uint32_t number,
                       struct trace_node *node) {
    if (number == 0 || number > reader->node_count)
        return false;
    *node = *trace_node_slot(reader, number);
    return true;
}

const char *trace_reader_module(const struct trace_reader *reader, uint32_t number) {
    return trace_text_get(&reader->modules, number);
}

const char *trace_reader_info(const struct trace_reader *reader, uint32_t number) {
    return trace_text_get(&reader->infos, number);
}

void trace_reader_summary(const struct trace_reader *reader, struct trace_summary *summary) {
    *summary = (struct trace_summary){
        .meta_json = reader->meta_json,
        .end_json = reader->end_json,
        .tick_ns = reader->tick_ns,
        .stamp_ticks_max = reader->stamp_ticks_max,
        .events = reader->events_seen,
        .objects = reader->objects_seen,
        .threads = reader->threads_seen,
        .nodes = reader->node_count,
        .modules = reader->modules.count,
        .file_bytes = reader->file.size_bytes,
        .hash = reader->hash,
        .complete = reader->end_json && reader->directory_whole,
        .cut_bytes = reader->cut_bytes,
    };
    memcpy(summary->column_bytes, reader->column_bytes, sizeof summary->column_bytes);
}
