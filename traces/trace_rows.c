// trace_rows.c: a chunk of events, from columns to rows.
//
// Owns: decoding EVENTS and refusing what FORMAT.md forbids there. A chunk is decoded whole, column
// by column into arrays, and rows are assembled from these without branches: ops of real programs
// are hard to predict.
#include "trace_reading.h"

#include <stdlib.h>

void trace_rows_free(struct event_arrays *arrays) {
    for (unsigned id = 0; id < TRACE_COLUMN_COUNT; id++)
        free(arrays->storage[id]);
    free(arrays->zeros);
    free(arrays->object);
    *arrays = (struct event_arrays){0};
}

static bool arrays_reserve(struct event_arrays *arrays, uint32_t rows) {
    if (rows <= arrays->capacity)
        return true;
    trace_rows_free(arrays);
    size_t size = ((size_t)rows + 1) * sizeof(uint64_t);
    bool whole = true;
    for (unsigned id = 1; id < TRACE_COLUMN_COUNT; id++)
        if (trace_event_columns[id].encoding != TRACE_BYTES) {
            arrays->storage[id] = malloc(size);
            whole &= arrays->storage[id] != NULL;
        }
    arrays->zeros = calloc(1, size);
    arrays->object = malloc(size);
    whole &= arrays->zeros && arrays->object;
    if (whole)
        arrays->capacity = rows;
    return whole;
}

// Takes the OP column and counts for every column the values that its ops ask for.
static int take_ops(struct trace_reader *reader, uint32_t expected[TRACE_COLUMN_COUNT],
                    const struct trace_place *place, struct trace_error *error) {
    uint32_t rows = reader->chunk.row_count;
    const struct trace_column *column;
    if (rows == 0)
        return trace_fail(place, error, "expected events, found none in the chunk");
    if (trace_take_column(&reader->chunk, TRACE_COLUMN_OP, "op", TRACE_BYTES, rows, &column, place,
                          error))
        return -1;
    if (!column)
        return trace_fail(place, error, "expected column op with %u values", rows);

    // Four tables: consecutive equal ops would wait for each other's counter.
    uint32_t counts[4][256] = {{0}};
    uint32_t i = 0;
    for (; i + 4 <= rows; i += 4)
        for (unsigned lane = 0; lane < 4; lane++)
            counts[lane][column->data[i + lane]]++;
    for (; i < rows; i++)
        counts[0][column->data[i]]++;

    memset(expected, 0, TRACE_COLUMN_COUNT * sizeof *expected);
    for (unsigned op = 0; op < 256; op++) {
        uint32_t count = counts[0][op] + counts[1][op] + counts[2][op] + counts[3][op];
        if (count == 0)
            continue;
        if (op == 0 || op >= TRACE_OP_COUNT)
            return trace_fail(place, error, "expected known ops, found op %u", op);
        for (unsigned id = 1; id < TRACE_COLUMN_COUNT; id++) {
            unsigned flag = trace_event_columns[id].op_flag;
            if (flag == 0 || trace_op_table[op].flags & flag)
                expected[id] += count;
        }
    }
    return 0;
}

static bool decode_column(const struct trace_column *column, void *values) {
    switch (column->encoding) {
    case TRACE_RUNS:
        return trace_decode_runs(column->data, column->bytes, values, column->values,
                                 TRACE_THREADS_MAX - 1);
    case TRACE_DELTA:
        return trace_decode_delta(column->data, column->bytes, values, column->values);
    default:
        return trace_decode_uvarint(column->data, column->bytes, values, column->values);
    }
}

// Which of two columns stands in a chunk for the same values, OBJECT or RANK, say. Both: refused.
static int choose_column(const struct trace_chunk *chunk, uint16_t plain, uint16_t other,
                         uint32_t counts[TRACE_COLUMN_COUNT], bool *is_other,
                         const struct trace_place *place, struct trace_error *error) {
    *is_other = trace_chunk_column(chunk, other) != NULL;
    if (*is_other && trace_chunk_column(chunk, plain))
        return trace_fail(place, error, "expected column %s or %s, found both",
                          trace_event_columns[plain].name, trace_event_columns[other].name);
    counts[*is_other ? plain : other] = 0;
    return 0;
}

// OTHER_ENTRY is made ENTRY where it stands.
static void add_usual_entries(struct trace_reader *reader) {
    const uint8_t *ops = reader->arrays.columns[TRACE_COLUMN_OP];
    const uint8_t *other = reader->arrays.columns[TRACE_COLUMN_OTHER_ENTRY];
    uint8_t *entries = reader->raw.data + (other - reader->raw.data);
    for (uint32_t i = 0; i < reader->chunk.row_count; i++)
        if (trace_op_table[ops[i]].flags & TRACE_OP_HAS_ENTRY) {
            uint8_t entry = *entries ^ trace_usual_entries[ops[i]];
            *entries++ = entry < TRACE_ENTRY_COUNT ? entry : TRACE_ENTRY_UNKNOWN;
        }
    reader->arrays.columns[TRACE_COLUMN_ENTRY] = other;
}

// Entry points that this reader does not know read as unknown.
static void clear_unknown_entries(struct trace_reader *reader, const struct trace_column *column) {
    uint8_t *entries = reader->raw.data + (column->data - reader->raw.data);
    for (uint32_t i = 0; i < column->bytes; i++)
        entries[i] = entries[i] < TRACE_ENTRY_COUNT ? entries[i] : TRACE_ENTRY_UNKNOWN;
}

static int take_event_column(struct trace_reader *reader, unsigned id, uint32_t values,
                             const struct trace_place *place, struct trace_error *error) {
    const struct trace_column_info *info = &trace_event_columns[id];
    struct event_arrays *arrays = &reader->arrays;
    const struct trace_column *column;
    if (trace_take_column(&reader->chunk, (uint16_t)id, info->name, info->encoding, values, &column,
                          place, error))
        return -1;
    if (!column) {
        arrays->columns[id] = arrays->zeros;
        if (values > 0 && info->flags & TRACE_FLAG_REQUIRED)
            return trace_fail(place, error, "expected column %s with %u values", info->name,
                              values);
    } else if (info->encoding == TRACE_BYTES) {
        arrays->columns[id] = column->data;
        if (id == TRACE_COLUMN_ENTRY)
            clear_unknown_entries(reader, column);
    } else {
        arrays->columns[id] = arrays->storage[id];
        if (!decode_column(column, arrays->storage[id]))
            return trace_fail(place, error, "expected %u values in column %s, found other content",
                              values, info->name);
    }
    return 0;
}

// Time differences to times; refused where time overflows.
static int resolve_times(struct trace_reader *reader, const struct trace_place *place,
                         struct trace_error *error) {
    uint64_t *times = reader->arrays.storage[TRACE_COLUMN_TIME];
    uint64_t time = reader->chunk.time0;
    bool overflow = false;
    for (uint32_t i = 0; i < reader->chunk.row_count; i++) {
        uint64_t difference = times[i];
        times[i] = time += difference;
        overflow |= time < difference;
    }
    reader->time_ticks = time;
    return overflow ? trace_fail(place, error, "expected times that fit 64 bits") : 0;
}

// Object numbers from the op (creating) and the OBJECT column (referring).
static int resolve_objects(struct trace_reader *reader, const struct trace_place *place,
                           struct trace_error *error) {
    const uint8_t *ops = reader->arrays.columns[TRACE_COLUMN_OP];
    const uint64_t *distances = reader->arrays.columns[TRACE_COLUMN_OBJECT];
    uint64_t *objects = reader->arrays.object;
    uint64_t count = reader->chunk.object0;
    uint64_t dangling = 0;
    for (uint32_t i = 0; i < reader->chunk.row_count; i++) {
        unsigned flags = trace_op_table[ops[i]].flags;
        uint64_t creates = flags & TRACE_OP_CREATES ? 1 : 0;
        uint64_t refers = flags & TRACE_OP_REFERS ? 1 : 0;
        dangling |= refers & (*distances >= count);
        objects[i] = (count & (0 - creates)) | ((count - 1 - *distances) & (0 - refers));
        count += creates;
        distances += refers;
    }
    reader->object_next = count;
    return dangling ? trace_fail(place, error, "expected references to objects created before") : 0;
}

// Object numbers from RANK and DISTANCE. A reference to what the chunk has not created, or has
// ended, can only be a distance.
static int resolve_ranks(struct trace_reader *reader, const struct trace_place *place,
                         struct trace_error *error) {
    const uint8_t *ops = reader->arrays.columns[TRACE_COLUMN_OP];
    const uint8_t *codes = reader->arrays.columns[TRACE_COLUMN_RANK];
    const uint32_t *threads = reader->arrays.columns[TRACE_COLUMN_THREAD];
    const uint64_t *distances = reader->arrays.columns[TRACE_COLUMN_DISTANCE];
    uint64_t *objects = reader->arrays.object;
    uint64_t object0 = reader->chunk.object0, count = object0;
    struct trace_ranks *ranks = &reader->ranks;
    if (!trace_ranks_begin(ranks, reader->chunk.row_count))
        return trace_fail(place, error, "out of memory");
    for (uint32_t i = 0; i < reader->chunk.row_count; i++) {
        unsigned flags = trace_op_table[ops[i]].flags;
        objects[i] = 0;
        if (flags & TRACE_OP_REFERS) {
            uint8_t code = *codes++;
            int64_t local = trace_ranks_object(ranks, threads[i], code);
            if (code == 0)
                local = (int64_t)((uint64_t)trace_ranks_finger(ranks, threads[i]) +
                                  trace_unzigzag(*distances++));
            else if (local == 0)
                return trace_fail(place, error,
                                  "expected ranks among the live objects, found rank %u of event "
                                  "%llu",
                                  code, (unsigned long long)(reader->chunk.first + i));
            objects[i] = object0 + (uint64_t)local - 1;
            if (objects[i] >= count)
                return trace_fail(place, error, "expected references to objects created before");
            if (ops[i] != TRACE_USABLE)
                trace_ranks_end(ranks, threads[i], local);
        }
        if (flags & TRACE_OP_CREATES) {
            objects[i] = count++;
            trace_ranks_create(ranks);
        }
    }
    reader->object_next = count;
    return 0;
}

// What the values of the narrow columns may be.
static int check_ranges(struct trace_reader *reader, const uint32_t counts[TRACE_COLUMN_COUNT],
                        const struct trace_place *place, struct trace_error *error) {
    const uint64_t *stacks = reader->arrays.columns[TRACE_COLUMN_STACK];
    const uint64_t *peers = reader->arrays.columns[TRACE_COLUMN_PEER];
    const uint8_t *aligns = reader->arrays.columns[TRACE_COLUMN_ALIGN];
    const uint32_t *threads = reader->arrays.columns[TRACE_COLUMN_THREAD];
    uint64_t stack_max = 0, peer_max = 0;
    uint32_t thread_max = 0;
    uint8_t align_max = 0;
    for (uint32_t i = 0; i < counts[TRACE_COLUMN_STACK]; i++)
        stack_max = stacks[i] > stack_max ? stacks[i] : stack_max;
    for (uint32_t i = 0; i < counts[TRACE_COLUMN_PEER]; i++)
        peer_max = peers[i] > peer_max ? peers[i] : peer_max;
    for (uint32_t i = 0; i < counts[TRACE_COLUMN_ALIGN]; i++)
        align_max = aligns[i] > align_max ? aligns[i] : align_max;
    for (uint32_t i = 0; i < counts[TRACE_COLUMN_THREAD]; i++)
        thread_max = threads[i] > thread_max ? threads[i] : thread_max;
    if (stack_max > reader->node_count)
        return trace_fail(place, error, "expected stack node %llu before the events that use it",
                          (unsigned long long)stack_max);
    if (peer_max >= TRACE_THREADS_MAX)
        return trace_fail(place, error, "expected thread numbers below 2^24, found %llu",
                          (unsigned long long)peer_max);
    if (align_max > TRACE_ALIGN_LOG2_MAX)
        return trace_fail(place, error, "expected alignments of at most 2^40, found 2^%u",
                          align_max);
    if (peer_max > thread_max)
        thread_max = (uint32_t)peer_max;
    if (thread_max >= reader->threads_seen)
        reader->threads_seen = thread_max + 1;
    return 0;
}

static int check_position(const struct trace_reader *reader, const struct trace_place *place,
                          struct trace_error *error) {
    const struct trace_chunk *chunk = &reader->chunk;
    if (chunk->first != reader->event_next)
        return trace_fail(place, error, "expected event %llu next, found %llu",
                          (unsigned long long)reader->event_next, (unsigned long long)chunk->first);
    if (chunk->object0 != reader->object_next)
        return trace_fail(place, error, "expected object %llu next, found %llu",
                          (unsigned long long)reader->object_next,
                          (unsigned long long)chunk->object0);
    if (chunk->time0 != reader->time_ticks)
        return trace_fail(place, error, "expected events after tick %llu, found tick %llu",
                          (unsigned long long)reader->time_ticks, (unsigned long long)chunk->time0);
    return 0;
}

static void count_events(struct trace_reader *reader) {
    if (reader->event_next <= reader->events_seen)
        return;
    reader->events_seen = reader->event_next;
    reader->objects_seen = reader->object_next;
    for (uint32_t i = 0; i < reader->chunk.column_count; i++)
        if (reader->chunk.columns[i].id < 16)
            reader->column_bytes[reader->chunk.columns[i].id] += reader->chunk.columns[i].bytes;
}

static uint32_t count_zeros(const uint8_t *bytes, uint32_t count) {
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < count; i++)
        zeros += bytes[i] == 0;
    return zeros;
}

int trace_take_events(struct trace_reader *reader, const struct trace_place *place,
                      struct trace_error *error) {
    uint32_t counts[TRACE_COLUMN_COUNT];
    reader->cursor = (struct event_cursor){0};
    if (check_position(reader, place, error) || take_ops(reader, counts, place, error) ||
        trace_refuse_unknown_columns(&reader->chunk, TRACE_COLUMN_COUNT, place, error))
        return -1;
    if (!arrays_reserve(&reader->arrays, reader->chunk.row_count))
        return trace_fail(place, error, "out of memory");
    bool ranked, other_entries;
    if (choose_column(&reader->chunk, TRACE_COLUMN_OBJECT, TRACE_COLUMN_RANK, counts, &ranked,
                      place, error) ||
        choose_column(&reader->chunk, TRACE_COLUMN_ENTRY, TRACE_COLUMN_OTHER_ENTRY, counts,
                      &other_entries, place, error))
        return -1;
    for (unsigned id = 1; id < TRACE_COLUMN_COUNT; id++) {
        if (id == TRACE_COLUMN_DISTANCE) // RANK stands before it, and its zeros are counted
            counts[id] = ranked ? count_zeros(reader->arrays.columns[TRACE_COLUMN_RANK],
                                              counts[TRACE_COLUMN_RANK])
                                : 0;
        if (take_event_column(reader, id, counts[id], place, error))
            return -1;
    }
    if (other_entries)
        add_usual_entries(reader);
    if (resolve_times(reader, place, error) || check_ranges(reader, counts, place, error) ||
        (ranked ? resolve_ranks(reader, place, error) : resolve_objects(reader, place, error)))
        return -1;
    reader->event_next = reader->chunk.first + reader->chunk.row_count;
    reader->cursor.row_count = reader->chunk.row_count;
    reader->cursor.number = reader->chunk.first;
    count_events(reader);
    return 0;
}

enum { RARE_FLAGS = TRACE_OP_HAS_VALUE | TRACE_OP_HAS_PEER | TRACE_OP_HAS_ALIGN };

// The fields that few events have.
static void assemble_rare(const struct event_arrays *arrays, struct event_cursor *at,
                          unsigned flags, struct trace_event *event) {
    const uint64_t *values = arrays->columns[TRACE_COLUMN_VALUE];
    const uint64_t *peers = arrays->columns[TRACE_COLUMN_PEER];
    const uint8_t *aligns = arrays->columns[TRACE_COLUMN_ALIGN];
    if (flags & TRACE_OP_HAS_VALUE)
        event->value = values[at->value++];
    if (flags & TRACE_OP_HAS_PEER)
        event->peer = (uint32_t)peers[at->peer++];
    if (flags & TRACE_OP_HAS_ALIGN)
        event->align_log2 = aligns[at->align++];
}

// Moves up to `capacity` rows of the current chunk into *events. The common fields are taken or
// masked out, and their cursors moved by 0 or 1, without a branch.
size_t trace_rows_assemble(struct trace_reader *reader, struct trace_event *events,
                           size_t capacity) {
    const struct event_arrays *arrays = &reader->arrays;
    const uint8_t *ops = arrays->columns[TRACE_COLUMN_OP];
    const uint32_t *threads = arrays->columns[TRACE_COLUMN_THREAD];
    const uint64_t *times = arrays->columns[TRACE_COLUMN_TIME];
    const uint64_t *sizes = arrays->columns[TRACE_COLUMN_SIZE];
    const uint64_t *stacks = arrays->columns[TRACE_COLUMN_STACK];
    const uint64_t *addresses = arrays->columns[TRACE_COLUMN_ADDRESS];
    const uint8_t *entries = arrays->columns[TRACE_COLUMN_ENTRY];
    const uint64_t *objects = arrays->object;
    struct event_cursor at = reader->cursor;
    size_t count = at.row_count - at.row;
    if (count > capacity)
        count = capacity;
    for (size_t i = 0; i < count; i++, at.row++) {
        struct trace_event *event = &events[i];
        uint8_t op = ops[at.row];
        unsigned flags = trace_op_table[op].flags;
        uint64_t has_size = flags & TRACE_OP_HAS_SIZE ? 1 : 0;
        uint64_t has_stack = flags & TRACE_OP_HAS_STACK ? 1 : 0;
        uint64_t creates = flags & TRACE_OP_CREATES ? 1 : 0;
        uint64_t has_entry = flags & TRACE_OP_HAS_ENTRY ? 1 : 0;
        *event = (struct trace_event){
            .number = at.number++,
            .time_ticks = times[at.row],
            .object = objects[at.row],
            .size = sizes[at.size] & (0 - has_size),
            .address = addresses[at.address] & (0 - creates),
            .thread = threads[at.row],
            .stack = (uint32_t)(stacks[at.stack] & (0 - has_stack)),
            .op = op,
            .entry = (uint8_t)(entries[at.entry] & (0 - has_entry)),
        };
        at.size += has_size;
        at.stack += has_stack;
        at.address += creates;
        at.entry += has_entry;
        if (__builtin_expect(flags & RARE_FLAGS, 0))
            assemble_rare(arrays, &at, flags, event);
    }
    reader->cursor = at;
    return count;
}
