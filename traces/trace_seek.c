// trace_seek.c: to an event by its number or its time.
//
// Owns: bisection of the directory, and extending it where the file has no index.
#include "trace_reading.h"

// Reads the nodes and modules that stand before a chunk and have not been read.
static int read_tables(struct trace_reader *reader, size_t entry_end, struct trace_error *error) {
    for (; reader->tables_next < entry_end; reader->tables_next++) {
        const struct trace_index_entry *entry = &reader->directory[reader->tables_next];
        struct trace_place place = trace_reader_place(reader, entry->offset);
        bool unread = (entry->kind == TRACE_KIND_STACKS && entry->first > reader->node_count) ||
                      (entry->kind == TRACE_KIND_MODULES && entry->first > reader->modules.count) ||
                      (entry->kind == TRACE_KIND_INFO && reader->tables_next >= reader->infos_next);
        if (unread && (trace_walk_read_entry(reader, reader->tables_next, error) ||
                       trace_walk_take(reader, &place, error)))
            return -1;
    }
    return 0;
}

// Decodes the EVENTS chunk of a directory entry and goes on from there.
static int jump(struct trace_reader *reader, size_t entry, struct trace_error *error) {
    trace_walk_rewind(reader);
    if (read_tables(reader, entry, error) || trace_walk_read_entry(reader, entry, error))
        return -1;
    struct trace_place place = trace_reader_place(reader, reader->directory[entry].offset);
    if (reader->chunk.first > 0) { // what stood before is taken from the chunk; zeros are known
        reader->event_next = reader->chunk.first;
        reader->object_next = reader->chunk.object0;
        reader->time_ticks = reader->chunk.time0;
        memset(reader->side_next, 0xff, sizeof reader->side_next);
    }
    return trace_take_events(reader, &place, error);
}

// The last EVENTS entry for which first (or time0, if by_time) is at most `value`;
// directory_count if there is none. By bisection, since both ascend within the kind; entries of
// other kinds are stepped over.
static size_t find_entry(const struct trace_reader *reader, bool by_time, uint64_t value) {
    const struct trace_index_entry *directory = reader->directory;
    size_t low = 0, high = reader->directory_count; // the answer is in [low, high) or none
    size_t found = reader->directory_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t probe = middle;
        while (probe < high && directory[probe].kind != TRACE_KIND_EVENTS)
            probe++;
        if (probe == high) {
            high = middle;
        } else if ((by_time ? directory[probe].time0 : directory[probe].first) <= value) {
            found = probe;
            low = probe + 1;
        } else {
            high = middle;
        }
    }
    return found;
}

// Walks on, without an index, until the directory reaches event `number` or beyond `time_ticks`.
static int extend_directory(struct trace_reader *reader, uint64_t number, uint64_t time_ticks,
                            struct trace_error *error) {
    if (reader->directory_whole)
        return 0;
    trace_walk_rewind(reader);
    if (reader->events_seen > 0) {
        size_t last = find_entry(reader, false, UINT64_MAX);
        if (jump(reader, last, error))
            return -1;
    }
    while (reader->event_next <= number && reader->time_ticks < time_ticks) {
        int result = trace_walk(reader, error);
        if (result <= 0)
            return result;
    }
    return 0;
}

static int seek_number(struct trace_reader *reader, uint64_t number, struct trace_error *error) {
    if (number == 0) {
        trace_walk_rewind(reader);
        return 0;
    }
    if (extend_directory(reader, number, UINT64_MAX, error))
        return -1;
    size_t entry = find_entry(reader, false, number);
    if (entry < reader->directory_count && jump(reader, entry, error))
        return -1;
    if (number > reader->event_next)
        return trace_fail_file(reader->file.path, error,
                               "expected an event number up to %llu, found %llu",
                               (unsigned long long)reader->event_next, (unsigned long long)number);
    struct trace_event skipped[64];
    while (reader->cursor.number < number) {
        uint64_t left = number - reader->cursor.number;
        trace_rows_assemble(reader, skipped, left < 64 ? left : 64);
    }
    return 0;
}

static int seek_time(struct trace_reader *reader, uint64_t time_ticks, struct trace_error *error) {
    if (extend_directory(reader, UINT64_MAX, time_ticks, error))
        return -1;
    // The first event at or after a time is in the last chunk whose time0 is before it, or the
    // first event of the next.
    size_t entry = time_ticks ? find_entry(reader, true, time_ticks - 1) : reader->directory_count;
    if (entry == reader->directory_count) {
        trace_walk_rewind(reader);
        return 0;
    }
    if (jump(reader, entry, error))
        return -1;
    const uint64_t *times = reader->arrays.columns[TRACE_COLUMN_TIME];
    struct trace_event skipped;
    while (reader->cursor.row < reader->cursor.row_count && times[reader->cursor.row] < time_ticks)
        trace_rows_assemble(reader, &skipped, 1);
    return 0;
}

int trace_reader_seek(struct trace_reader *reader, uint64_t number, struct trace_error *error) {
    struct trace_error failure;
    return seek_number(reader, number, &failure)
               ? trace_reader_remember_failure(reader, &failure, error)
               : 0;
}

int trace_reader_seek_time(struct trace_reader *reader, uint64_t time_ticks,
                           struct trace_error *error) {
    struct trace_error failure;
    return seek_time(reader, time_ticks, &failure)
               ? trace_reader_remember_failure(reader, &failure, error)
               : 0;
}
