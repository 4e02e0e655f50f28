// trace_walk.c: from chunk to chunk in file order, and the directory that this makes.
//
// Owns: which chunk comes next and whether it may. Walking goes by the frames themselves and never
// by the index, which is only compared with them; seeking (trace_seek.c) goes by the directory.
#include "trace_reading.h"

#include <stdlib.h>

static bool directory_add(struct trace_reader *reader, const struct trace_index_entry *entry) {
    if (reader->directory_count == reader->directory_capacity) {
        size_t capacity = reader->directory_capacity ? 2 * reader->directory_capacity : 256;
        struct trace_index_entry *grown = realloc(reader->directory, capacity * sizeof *grown);
        if (!grown)
            return false;
        reader->directory = grown;
        reader->directory_capacity = capacity;
    }
    reader->directory[reader->directory_count++] = *entry;
    return true;
}

static bool same_entry(const struct trace_index_entry *a, const struct trace_index_entry *b) {
    return a->offset == b->offset && a->bytes == b->bytes && a->kind == b->kind &&
           a->rows == b->rows && a->first == b->first && a->time0 == b->time0;
}

// The walk has come to reader->chunk: it must be where the directory has it, or extends it.
int trace_walk_note(struct trace_reader *reader, const struct frame *frame,
                    const struct trace_place *place, struct trace_error *error) {
    const struct trace_chunk *chunk = &reader->chunk;
    struct trace_index_entry entry = {
        .offset = frame->offset,
        .bytes = (uint32_t)frame->size,
        .kind = chunk->kind,
        .rows = chunk->row_count,
        .first = chunk->first,
        .time0 = chunk->time0,
    };
    if (reader->entry_next == reader->directory_count) {
        if (reader->directory_whole)
            return trace_fail(place, error, "expected no chunk that the index does not name");
        if (!directory_add(reader, &entry))
            return trace_fail(place, error, "out of memory");
    } else if (!same_entry(&entry, &reader->directory[reader->entry_next])) {
        return trace_fail(place, error, "expected the chunk that the index names, found another");
    }
    reader->entry_next++;
    reader->offset_next = frame->offset + frame->size;
    return 0;
}

static int check_end(struct trace_reader *reader, const struct trace_place *place,
                     struct trace_error *error) {
    if (reader->end_events != reader->event_next)
        return trace_fail(place, error, "expected %llu events, as END says, found %llu",
                          (unsigned long long)reader->end_events,
                          (unsigned long long)reader->event_next);
    if (reader->end_objects != reader->object_next)
        return trace_fail(place, error, "expected %llu objects, as END says, found %llu",
                          (unsigned long long)reader->end_objects,
                          (unsigned long long)reader->object_next);
    reader->end_walked = true;
    return 0;
}

int trace_walk_take(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error) {
    switch (reader->chunk.kind) {
    case TRACE_KIND_MODULES:
        return trace_take_modules(reader, place, error);
    case TRACE_KIND_STACKS:
        return trace_take_stacks(reader, place, error);
    case TRACE_KIND_EVENTS:
        return trace_take_events(reader, place, error);
    case TRACE_KIND_INFO:
        return trace_take_info(reader, place, error);
    case TRACE_KIND_END:
        return trace_take_end(reader, place, error) || check_end(reader, place, error) ? -1 : 0;
    case TRACE_SIDE_RESIDENT:
    case TRACE_SIDE_PROCESS:
    case TRACE_SIDE_MAPS:
        return trace_take_side(reader, place, error);
    case TRACE_KIND_META:
        return trace_fail(place, error, "expected one META chunk, found a second");
    default:
        if (reader->chunk.flags & TRACE_FLAG_REQUIRED)
            return trace_fail(place, error,
                              "expected known kinds of chunk, found kind %u, which a reader must "
                              "know: use a newer hak",
                              reader->chunk.kind);
        return 0;
    }
}

// The walk has come to the index: it must be the last frame, and agree with the chunks.
static int walk_index(struct trace_reader *reader, const struct frame *frame,
                      struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, frame->offset);
    if (frame->offset + frame->size != reader->file.size_bytes)
        return trace_fail(&place, error, "expected the index at the end of the file");
    if (!reader->end_walked)
        return trace_fail(&place, error, "expected END before the index");
    const uint8_t *data;
    size_t got, count;
    struct trace_index_entry *entries;
    if (trace_reader_hold(reader, frame->offset, frame->size, &data, &got, error) ||
        trace_index_parse(data, got, &entries, &count, &place, error))
        return -1;
    bool same = count == reader->entry_next;
    for (size_t i = 0; same && i < count; i++)
        same = same_entry(&entries[i], &reader->directory[i]);
    free(entries);
    return same ? 0
                : trace_fail(&place, error, "expected the index to name the chunks of the file");
}

static int finish_walk(struct trace_reader *reader, const struct frame *frame,
                       struct trace_error *error) {
    struct trace_place place = trace_reader_place(reader, frame->offset);
    if (frame->type == FRAME_CUT && reader->directory_whole)
        return trace_fail(&place, error, "expected a whole frame before the index");
    reader->cut_bytes = reader->file.size_bytes - frame->offset;
    reader->at_end = true;
    return trace_reader_hash_rest(reader, error);
}

// Reads the next chunk. 1: one was read; 0: the end of what is whole; -1: damage.
int trace_walk(struct trace_reader *reader, struct trace_error *error) {
    while (!reader->at_end) {
        struct frame frame;
        if (trace_frame_find(reader, reader->offset_next, &frame, error))
            return -1;
        struct trace_place place = trace_reader_place(reader, frame.offset);
        switch (frame.type) {
        case FRAME_NONE:
        case FRAME_CUT:
            return finish_walk(reader, &frame, error);
        case FRAME_SKIPPABLE:
            if (frame.magic == TRACE_MAGIC_INDEX && walk_index(reader, &frame, error))
                return -1;
            reader->offset_next += frame.size;
            break;
        case FRAME_CHUNK:
            if (reader->end_walked)
                return trace_fail(&place, error, "expected nothing but an index after END");
            if (trace_frame_read(reader, &frame, error) ||
                trace_walk_note(reader, &frame, &place, error) ||
                trace_walk_take(reader, &place, error))
                return -1;
            return 1;
        }
    }
    return 0;
}

// A failure stays until the reader is positioned anew.
int trace_reader_remember_failure(struct trace_reader *reader, const struct trace_error *failure,
                                  struct trace_error *error) {
    reader->failed = true;
    reader->failure = *failure;
    if (error)
        *error = *failure;
    return -1;
}

ptrdiff_t trace_reader_next(struct trace_reader *reader, struct trace_event *events,
                            size_t capacity, struct trace_error *error) {
    struct trace_error failure;
    if (reader->failed) {
        failure = reader->failure;
        return trace_reader_remember_failure(reader, &failure, error);
    }
    while (reader->cursor.row == reader->cursor.row_count) {
        int result = trace_walk(reader, &failure);
        if (result == 0)
            return 0;
        if (result < 0)
            return trace_reader_remember_failure(reader, &failure, error);
    }
    return (ptrdiff_t)trace_rows_assemble(reader, events, capacity);
}

// Back to the first chunk after META.
void trace_walk_rewind(struct trace_reader *reader) {
    reader->cursor = (struct event_cursor){0};
    reader->event_next = reader->object_next = reader->time_ticks = 0;
    reader->entry_next = 1;
    reader->offset_next = reader->directory[0].offset + reader->directory[0].bytes;
    reader->end_walked = reader->at_end = reader->failed = false;
    memset(reader->side_next, 0, sizeof reader->side_next);
}

int trace_walk_read_entry(struct trace_reader *reader, size_t entry, struct trace_error *error) {
    const struct trace_index_entry *known = &reader->directory[entry];
    struct frame frame;
    struct trace_place place = trace_reader_place(reader, known->offset);
    if (trace_frame_find(reader, known->offset, &frame, error))
        return -1;
    if (frame.type != FRAME_CHUNK)
        return trace_fail(&place, error, "expected the chunk that the index names");
    reader->entry_next = entry;
    return trace_frame_read(reader, &frame, error) || trace_walk_note(reader, &frame, &place, error)
               ? -1
               : 0;
}
