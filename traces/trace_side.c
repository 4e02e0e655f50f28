// trace_side.c: rows beside the events: resident pages, samples of the process, mappings.
//
// Owns: the columns of these kinds of chunk (FORMAT.md §9), both ways. Every kind is a table whose
// first column names the event that a row precedes, and whose others have one value a row; so one
// writer and one reader serve all, by trace_side_columns.
//
// A chunk stands behind the events that its rows name: what they speak of has been read then.
#include "trace_reading.h"

#include <stdlib.h>

const struct trace_side_column trace_side_columns[TRACE_SIDE_END][TRACE_SIDE_VALUES] = {
    [TRACE_SIDE_RESIDENT] = {[TRACE_COLUMN_SIDE_EVENT] = {"event", TRACE_DELTA},
                             [TRACE_RESIDENT_OBJECT] = {"object", TRACE_DELTA},
                             [TRACE_RESIDENT_PAGES] = {"pages", TRACE_UVARINT},
                             [TRACE_RESIDENT_FOUND] = {"resident", TRACE_UVARINT}},
    [TRACE_SIDE_PROCESS] = {[TRACE_COLUMN_SIDE_EVENT] = {"event", TRACE_DELTA},
                            [TRACE_PROCESS_TIME] = {"time", TRACE_DELTA},
                            [TRACE_PROCESS_RSS] = {"rss", TRACE_DELTA},
                            [TRACE_PROCESS_ANONYMOUS] = {"anonymous", TRACE_DELTA},
                            [TRACE_PROCESS_MINOR_FAULTS] = {"minor_faults", TRACE_DELTA},
                            [TRACE_PROCESS_MAJOR_FAULTS] = {"major_faults", TRACE_DELTA}},
    [TRACE_SIDE_MAPS] = {[TRACE_COLUMN_SIDE_EVENT] = {"event", TRACE_DELTA},
                         [TRACE_MAPS_TIME] = {"time", TRACE_DELTA},
                         [TRACE_MAPS_THREAD] = {"thread", TRACE_UVARINT},
                         [TRACE_MAPS_OP] = {"op", TRACE_UVARINT},
                         [TRACE_MAPS_ADDRESS] = {"address", TRACE_DELTA},
                         [TRACE_MAPS_BYTES] = {"bytes", TRACE_UVARINT},
                         [TRACE_MAPS_PROTECTION] = {"protection", TRACE_UVARINT},
                         [TRACE_MAPS_FLAGS] = {"flags", TRACE_UVARINT},
                         [TRACE_MAPS_STACK] = {"stack", TRACE_UVARINT}},
};

const char *const trace_side_names[TRACE_SIDE_END] = {[TRACE_SIDE_RESIDENT] = "resident",
                                                      [TRACE_SIDE_PROCESS] = "process",
                                                      [TRACE_SIDE_MAPS] = "maps"};

const char *const trace_map_op_names[TRACE_MAP_OP_COUNT] = {[TRACE_MAP] = "map",
                                                            [TRACE_UNMAP] = "unmap",
                                                            [TRACE_MAP_MOVE_FROM] = "move-from",
                                                            [TRACE_MAP_MOVE_TO] = "move-to",
                                                            [TRACE_MAP_KEPT] = "kept"};

unsigned trace_side_column_count(unsigned kind) {
    unsigned count = 1;
    while (count < TRACE_SIDE_VALUES && trace_side_columns[kind][count].name)
        count++;
    return count - 1;
}

static const char *maps_problem(const struct trace_side *side, uint32_t nodes) {
    uint64_t op = side->values[TRACE_MAPS_OP];
    if (op == 0 || op >= TRACE_MAP_OP_COUNT)
        return "expected a known op";
    if (side->values[TRACE_MAPS_THREAD] >= TRACE_THREADS_MAX)
        return "expected a thread number below 2^24";
    if (side->values[TRACE_MAPS_STACK] > nodes)
        return "expected the number of a stack node that has been written";
    return NULL;
}

const char *trace_side_problem(const struct trace_side *side, uint64_t events, uint64_t objects,
                               uint32_t nodes) {
    if (side->kind < TRACE_KIND_SIDE || side->kind >= TRACE_SIDE_END)
        return "expected a known kind";
    if (side->event > events)
        return "expected an event that has been written, or the next";
    if (side->kind == TRACE_SIDE_MAPS)
        return maps_problem(side, nodes);
    if (side->kind != TRACE_SIDE_RESIDENT)
        return NULL;
    if (side->values[TRACE_RESIDENT_OBJECT] >= objects)
        return "expected an object that has been created";
    if (side->values[TRACE_RESIDENT_PAGES] == 0 ||
        side->values[TRACE_RESIDENT_FOUND] > side->values[TRACE_RESIDENT_PAGES])
        return "expected pages, and at most as many resident ones";
    return NULL;
}

// ---------------------------------------------------------------- writing

static uint64_t value_of(const struct trace_side *side, unsigned id) {
    return id == TRACE_COLUMN_SIDE_EVENT ? side->event : side->values[id];
}

bool trace_side_put(struct trace_side_rows *rows, const struct trace_side *side) {
    unsigned columns = trace_side_column_count(side->kind);
    for (unsigned id = 1; id <= columns; id++)
        if (!trace_bytes_reserve(&rows->columns[id], TRACE_VARINT_BYTES_MAX))
            return false;
    for (unsigned id = 1; id <= columns; id++) {
        uint64_t value = value_of(side, id);
        bool is_delta = trace_side_columns[side->kind][id].encoding == TRACE_DELTA;
        trace_put_uvarint(&rows->columns[id],
                          is_delta ? trace_zigzag(value - rows->before[id]) : value);
        rows->before[id] = value;
    }
    rows->event_before = side->event;
    rows->count++;
    return true;
}

void trace_side_chunk(const struct trace_side_rows *rows, unsigned kind,
                      struct trace_chunk *chunk) {
    *chunk = (struct trace_chunk){
        .kind = (uint16_t)kind, .row_count = rows->count, .first = rows->first};
    for (unsigned id = 1; id <= trace_side_column_count(kind); id++)
        chunk->columns[chunk->column_count++] = (struct trace_column){
            .id = (uint16_t)id,
            .encoding = trace_side_columns[kind][id].encoding,
            .flags = TRACE_FLAG_REQUIRED,
            .values = rows->count,
            .bytes = (uint32_t)rows->columns[id].size,
            .data = rows->columns[id].data,
        };
}

void trace_side_written(struct trace_side_rows *rows) {
    rows->first += rows->count;
    rows->count = 0;
    memset(rows->before, 0, sizeof rows->before);
    for (unsigned id = 0; id < TRACE_SIDE_VALUES; id++)
        rows->columns[id].size = 0;
}

void trace_side_free(struct trace_side_rows *rows) {
    for (unsigned id = 0; id < TRACE_SIDE_VALUES; id++)
        trace_bytes_free(&rows->columns[id]);
}

// ---------------------------------------------------------------- reading

static int check_position(struct trace_reader *reader, const struct trace_place *place,
                          struct trace_error *error) {
    const struct trace_chunk *chunk = &reader->chunk;
    uint64_t *next = &reader->side_next[chunk->kind];
    if (chunk->row_count == 0)
        return trace_fail(place, error, "expected a table of at least one row");
    if (*next != UINT64_MAX && chunk->first != *next)
        return trace_fail(place, error,
                          "expected a table that continues at row %llu, found row "
                          "%llu",
                          (unsigned long long)*next, (unsigned long long)chunk->first);
    *next = chunk->first + chunk->row_count;
    return 0;
}

// Values of column `id` go to values[id × rows].
static int decode(struct trace_reader *reader, unsigned id, uint64_t *values,
                  const struct trace_place *place, struct trace_error *error) {
    const struct trace_side_column *info = &trace_side_columns[reader->chunk.kind][id];
    uint32_t rows = reader->chunk.row_count;
    const struct trace_column *column;
    if (trace_take_column(&reader->chunk, (uint16_t)id, info->name, info->encoding, rows, &column,
                          place, error))
        return -1;
    if (!column)
        return trace_fail(place, error, "expected column %s", info->name);
    values += (size_t)id * rows;
    bool right = info->encoding == TRACE_DELTA
                     ? trace_decode_delta(column->data, column->bytes, values, rows)
                     : trace_decode_uvarint(column->data, column->bytes, values, rows);
    return right ? 0
                 : trace_fail(place, error, "expected %u values in column %s", rows, info->name);
}

static int check_rows(const struct trace_reader *reader, const struct trace_side *sides,
                      const struct trace_place *place, struct trace_error *error) {
    uint64_t before = 0;
    for (uint32_t i = 0; i < reader->chunk.row_count; i++) {
        const char *problem = trace_side_problem(&sides[i], reader->event_next, reader->object_next,
                                                 reader->node_count);
        if (!problem && sides[i].event < before)
            problem = "expected event numbers that ascend";
        if (problem)
            return trace_fail(place, error, "row %u: %s", i, problem);
        before = sides[i].event;
    }
    return 0;
}

int trace_take_side(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error) {
    unsigned kind = reader->chunk.kind, columns = trace_side_column_count(kind);
    uint32_t rows = reader->chunk.row_count;
    if (check_position(reader, place, error) ||
        trace_refuse_unknown_columns(&reader->chunk, columns + 1, place, error))
        return -1;
    uint64_t *values = malloc((size_t)(columns + 1) * rows * sizeof *values);
    struct trace_side *sides = calloc(rows, sizeof *sides);
    int status = values && sides ? 0 : trace_fail(place, error, "out of memory");
    for (unsigned id = 1; !status && id <= columns; id++)
        status = decode(reader, id, values, place, error);
    for (uint32_t i = 0; !status && i < rows; i++) {
        sides[i].kind = (uint16_t)kind;
        sides[i].event = values[(size_t)TRACE_COLUMN_SIDE_EVENT * rows + i];
        for (unsigned id = 2; id <= columns; id++)
            sides[i].values[id] = values[(size_t)id * rows + i];
    }
    status = status || check_rows(reader, sides, place, error) ? -1 : 0;
    if (!status && reader->side_visit)
        status = reader->side_visit(reader->side_self, sides, rows, error);
    free(values);
    free(sides);
    return status;
}

void trace_reader_visit_sides(struct trace_reader *reader, trace_side_visit visit, void *self) {
    reader->side_visit = visit;
    reader->side_self = self;
}
