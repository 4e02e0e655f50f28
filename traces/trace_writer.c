// trace_writer.c: events in, whole frames out.
//
// Owns: the chunks under construction, the numbering of events, objects, nodes and modules, and
// the index. Does not know where events come from. One writer belongs to one thread at a time.
//
// A call that fails has changed nothing: rows stay buffered, and the same call may be made again
// (when the disk has room again, say). Every column is given room for its longest possible chunk
// at the start (memory that is not touched costs nothing), so that adding an event cannot fail
// half way and needs no check of room.
#include "trace_ranks.h"

#include <jansson.h>
#include <stdlib.h>
#include <zstd.h>

enum {
    ROWS_DEFAULT = 65536,
    LEVEL_DEFAULT = 3,
    MODULES_TEXT_BYTES_MAX = 1 << 20, // pending modules that force a flush
    SIDE_ROWS_MAX = 4096,             // rows of a kind beside the events that are written, and
    SIDE_ROWS_KEPT = 256              // as many as wait for a flush to be worth a chunk
};

// The columns of the EVENTS chunk under construction.
struct event_rows {
    uint32_t count;
    uint64_t first, time0, object0;
    struct trace_bytes columns[TRACE_COLUMN_COUNT];
    uint32_t values[TRACE_COLUMN_COUNT];
    bool used[TRACE_COLUMN_COUNT];   // an optional column is left out while all its values are 0
    uint32_t run_thread, run_length; // the run of THREAD not yet in its column
    uint64_t address_before;
};

struct node_rows {
    uint32_t count, first;
    struct trace_bytes columns[TRACE_STACK_COLUMN_COUNT];
    uint64_t offset_before;
};

struct module_rows {
    uint32_t count, first;
    struct trace_bytes text; // "[{...},{...}" without the closing bracket
};

struct trace_writer {
    struct trace_file file;
    bool broken; // the file ends in part of a frame
    bool addresses, ranked;
    uint32_t rows_max;
    uint64_t event_count, object_count, chunk_count, time_ticks;
    uint32_t node_count, module_count, thread_count;
    struct event_rows events;
    struct trace_ranks ranks; // of the chunk under construction, if ranked
    struct node_rows nodes;
    struct module_rows modules;
    struct trace_side_rows sides[TRACE_SIDE_END];
    struct trace_index_entry *index;
    size_t index_capacity;
    ZSTD_CCtx *compressor;
    struct trace_bytes raw, frame; // scratch: a chunk, and the same compressed
};

// ---------------------------------------------------------------- frames

static int fail(const struct trace_writer *writer, struct trace_error *error, const char *what) {
    struct trace_place place = {writer->file.path, writer->file.size_bytes};
    return trace_fail(&place, error, "%s", what);
}

static int fail_memory(const struct trace_writer *writer, struct trace_error *error) {
    return fail(writer, error, "out of memory");
}

static int append_bytes(struct trace_writer *writer, const void *data, size_t size,
                        struct trace_error *error) {
    if (writer->broken)
        return fail(writer, error, "cannot write: an earlier write failed half way");
    return trace_file_append(&writer->file, data, size, &writer->broken, error);
}

static bool index_reserve(struct trace_writer *writer) {
    if (writer->chunk_count < writer->index_capacity)
        return true;
    size_t capacity = writer->index_capacity ? 2 * writer->index_capacity : 256;
    struct trace_index_entry *index = realloc(writer->index, capacity * sizeof *index);
    if (!index)
        return false;
    writer->index = index;
    writer->index_capacity = capacity;
    return true;
}

static int compress(struct trace_writer *writer, struct trace_error *error) {
    writer->frame.size = 0;
    size_t bound = ZSTD_compressBound(writer->raw.size);
    if (!trace_bytes_reserve(&writer->frame, bound))
        return fail_memory(writer, error);
    size_t size = ZSTD_compress2(writer->compressor, writer->frame.data, bound, writer->raw.data,
                                 writer->raw.size);
    if (ZSTD_isError(size))
        return fail(writer, error, ZSTD_getErrorName(size));
    writer->frame.size = size;
    return 0;
}

static int write_chunk(struct trace_writer *writer, const struct trace_chunk *chunk,
                       struct trace_error *error) {
    if (!index_reserve(writer) || !trace_chunk_build(chunk, &writer->raw))
        return fail_memory(writer, error);
    if (compress(writer, error))
        return -1;
    struct trace_index_entry entry = {
        .offset = writer->file.size_bytes,
        .bytes = (uint32_t)writer->frame.size,
        .kind = chunk->kind,
        .rows = chunk->row_count,
        .first = chunk->first,
        .time0 = chunk->time0,
    };
    if (append_bytes(writer, writer->frame.data, writer->frame.size, error))
        return -1;
    writer->index[writer->chunk_count++] = entry;
    return 0;
}

static int write_text(struct trace_writer *writer, enum trace_kind kind, uint32_t rows,
                      uint64_t first, const char *text, size_t size, struct trace_error *error) {
    if (size > TRACE_TEXT_BYTES_MAX)
        return fail(writer, error, "expected at most 4 MiB of text in a chunk");
    struct trace_chunk chunk = {
        .kind = (uint16_t)kind,
        .flags = kind == TRACE_KIND_INFO ? 0 : TRACE_FLAG_REQUIRED,
        .column_count = 1,
        .row_count = rows,
        .first = first,
    };
    chunk.columns[0] = (struct trace_column){
        .id = TRACE_COLUMN_TEXT,
        .encoding = TRACE_TEXT,
        .flags = TRACE_FLAG_REQUIRED,
        .values = (uint32_t)size,
        .bytes = (uint32_t)size,
        .data = (const uint8_t *)text,
    };
    return write_chunk(writer, &chunk, error);
}

static void add_column(struct trace_chunk *chunk, uint16_t id, uint8_t encoding, uint8_t flags,
                       uint32_t values, const struct trace_bytes *bytes) {
    chunk->columns[chunk->column_count++] = (struct trace_column){
        .id = id,
        .encoding = encoding,
        .flags = flags,
        .values = values,
        .bytes = (uint32_t)bytes->size,
        .data = bytes->data,
    };
}

// ---------------------------------------------------------------- flushing

static int flush_modules(struct trace_writer *writer, struct trace_error *error) {
    struct module_rows *rows = &writer->modules;
    if (rows->count == 0)
        return 0;
    size_t size = rows->text.size;
    if (!trace_bytes_append(&rows->text, "]", 1))
        return fail_memory(writer, error);
    rows->text.size = size; // the bracket is not part of what is pending
    if (write_text(writer, TRACE_KIND_MODULES, rows->count, rows->first,
                   (const char *)rows->text.data, size + 1, error))
        return -1;
    rows->first += rows->count;
    rows->count = 0;
    rows->text.size = 0;
    return 0;
}

static int flush_nodes(struct trace_writer *writer, struct trace_error *error) {
    struct node_rows *rows = &writer->nodes;
    if (flush_modules(writer, error))
        return -1;
    if (rows->count == 0)
        return 0;
    struct trace_chunk chunk = {
        .kind = TRACE_KIND_STACKS,
        .flags = TRACE_FLAG_REQUIRED,
        .row_count = rows->count,
        .first = rows->first,
    };
    for (uint16_t id = TRACE_COLUMN_PARENT; id <= TRACE_COLUMN_OFFSET; id++)
        add_column(&chunk, id, id == TRACE_COLUMN_OFFSET ? TRACE_DELTA : TRACE_UVARINT,
                   TRACE_FLAG_REQUIRED, rows->count, &rows->columns[id]);
    if (write_chunk(writer, &chunk, error))
        return -1;
    rows->first += rows->count;
    rows->count = 0;
    rows->offset_before = 0;
    for (uint16_t id = TRACE_COLUMN_PARENT; id <= TRACE_COLUMN_OFFSET; id++)
        rows->columns[id].size = 0;
    return 0;
}

static void end_thread_run(struct event_rows *rows) {
    if (rows->run_length == 0)
        return;
    trace_put_uvarint(&rows->columns[TRACE_COLUMN_THREAD], rows->run_thread);
    trace_put_uvarint(&rows->columns[TRACE_COLUMN_THREAD], rows->run_length);
    rows->run_length = 0;
}

static void begin_event_rows(struct trace_writer *writer) {
    struct event_rows *rows = &writer->events;
    rows->count = 0;
    rows->first = writer->event_count;
    rows->time0 = writer->time_ticks;
    rows->object0 = writer->object_count;
    rows->address_before = 0;
    for (unsigned id = 0; id < TRACE_COLUMN_COUNT; id++) {
        rows->columns[id].size = 0;
        rows->values[id] = 0;
        rows->used[id] = false;
    }
    if (writer->ranked)
        trace_ranks_begin(&writer->ranks, writer->rows_max); // it had its memory at the start
}

static int flush_events(struct trace_writer *writer, struct trace_error *error) {
    struct event_rows *rows = &writer->events;
    if (rows->count == 0)
        return 0;
    end_thread_run(rows);
    struct trace_chunk chunk = {
        .kind = TRACE_KIND_EVENTS,
        .flags = TRACE_FLAG_REQUIRED,
        .row_count = rows->count,
        .first = rows->first,
        .time0 = rows->time0,
        .object0 = rows->object0,
    };
    for (uint16_t id = 1; id < TRACE_COLUMN_COUNT; id++) {
        bool required = trace_event_columns[id].flags & TRACE_FLAG_REQUIRED;
        if (rows->values[id] > 0 && (required || rows->used[id]))
            add_column(&chunk, id, trace_event_columns[id].encoding, trace_event_columns[id].flags,
                       rows->values[id], &rows->columns[id]);
    }
    if (write_chunk(writer, &chunk, error))
        return -1;
    begin_event_rows(writer);
    return 0;
}

// Those kinds of which there are more than `kept` rows. After the events that they name.
static int flush_sides(struct trace_writer *writer, uint32_t kept, struct trace_error *error) {
    for (unsigned kind = TRACE_KIND_SIDE; kind < TRACE_SIDE_END; kind++) {
        struct trace_side_rows *rows = &writer->sides[kind];
        struct trace_chunk chunk;
        if (rows->count <= kept)
            continue;
        trace_side_chunk(rows, kind, &chunk);
        if (write_chunk(writer, &chunk, error))
            return -1;
        trace_side_written(rows);
    }
    return 0;
}

int trace_writer_flush(struct trace_writer *writer, struct trace_error *error) {
    return flush_nodes(writer, error) || flush_events(writer, error) ||
                   flush_sides(writer, SIDE_ROWS_KEPT, error)
               ? -1
               : 0;
}

int trace_writer_side(struct trace_writer *writer, const struct trace_side *side,
                      struct trace_error *error) {
    const char *problem =
        trace_side_problem(side, writer->event_count, writer->object_count, writer->node_count);
    if (!problem && side->event < writer->sides[side->kind].event_before)
        problem = "expected event numbers that ascend";
    if (problem)
        return trace_fail_file(writer->file.path, error, "row of kind %u beside the events: %s",
                               side->kind, problem);
    if (writer->sides[side->kind].count == SIDE_ROWS_MAX && trace_writer_flush(writer, error))
        return -1;
    return trace_side_put(&writer->sides[side->kind], side) ? 0 : fail_memory(writer, error);
}

// ---------------------------------------------------------------- events

static const char *event_problem(const struct trace_writer *writer,
                                 const struct trace_event *event) {
    if (event->op == 0 || event->op >= TRACE_OP_COUNT)
        return "expected a known op";
    unsigned flags = trace_op_table[event->op].flags;
    if (event->thread >= TRACE_THREADS_MAX ||
        (flags & TRACE_OP_HAS_PEER && event->peer >= TRACE_THREADS_MAX))
        return "expected a thread number below 2^24";
    if (flags & TRACE_OP_REFERS && event->object >= writer->object_count)
        return "expected a reference to an object that has been created";
    if (flags & TRACE_OP_HAS_STACK && event->stack > writer->node_count)
        return "expected the number of a stack node that has been written";
    if (flags & TRACE_OP_HAS_ALIGN && event->align_log2 > TRACE_ALIGN_LOG2_MAX)
        return "expected an alignment of at most 2^40";
    if (flags & TRACE_OP_HAS_ENTRY && event->entry >= TRACE_ENTRY_COUNT)
        return "expected a known entry point";
    return NULL;
}

static inline void put_value(struct event_rows *rows, unsigned id, uint64_t value) {
    trace_put_uvarint(&rows->columns[id], value);
    rows->used[id] |= value != 0;
    rows->values[id]++;
}

static inline void put_byte(struct event_rows *rows, unsigned id, uint8_t value) {
    struct trace_bytes *column = &rows->columns[id];
    column->data[column->size++] = value;
    rows->used[id] |= value != 0;
    rows->values[id]++;
}

static inline void put_thread(struct event_rows *rows, uint32_t thread) {
    if (thread != rows->run_thread)
        end_thread_run(rows);
    rows->run_thread = thread;
    rows->run_length++;
    rows->values[TRACE_COLUMN_THREAD]++;
}

static inline void put_address(struct event_rows *rows, uint64_t address) {
    put_value(rows, TRACE_COLUMN_ADDRESS, trace_zigzag(address - rows->address_before));
    rows->address_before = address;
}

// An object by its rank, or by its distance where it has none.
static void put_rank(struct trace_writer *writer, const struct trace_event *event) {
    struct event_rows *rows = &writer->events;
    int64_t local = (int64_t)(event->object - rows->object0 + 1);
    uint64_t finger = (uint64_t)trace_ranks_finger(&writer->ranks, event->thread);
    uint8_t code = trace_ranks_code(&writer->ranks, event->thread, local);
    put_byte(rows, TRACE_COLUMN_RANK, code);
    if (code == 0)
        put_value(rows, TRACE_COLUMN_DISTANCE, trace_zigzag((uint64_t)local - finger));
    if (event->op != TRACE_USABLE)
        trace_ranks_end(&writer->ranks, event->thread, local);
}

static void count_thread(struct trace_writer *writer, uint32_t thread) {
    if (thread >= writer->thread_count)
        writer->thread_count = thread + 1;
}

static void put_event(struct trace_writer *writer, struct trace_event *event) {
    struct event_rows *rows = &writer->events;
    unsigned flags = trace_op_table[event->op].flags;
    uint64_t time = event->time_ticks > writer->time_ticks ? event->time_ticks : writer->time_ticks;
    put_byte(rows, TRACE_COLUMN_OP, event->op);
    put_thread(rows, event->thread);
    put_value(rows, TRACE_COLUMN_TIME, time - writer->time_ticks);
    if (flags & TRACE_OP_REFERS && writer->ranked)
        put_rank(writer, event);
    else if (flags & TRACE_OP_REFERS)
        put_value(rows, TRACE_COLUMN_OBJECT, writer->object_count - 1 - event->object);
    if (flags & TRACE_OP_HAS_SIZE)
        put_value(rows, TRACE_COLUMN_SIZE, event->size);
    if (flags & TRACE_OP_HAS_ALIGN)
        put_byte(rows, TRACE_COLUMN_ALIGN, event->align_log2);
    if (flags & TRACE_OP_HAS_STACK)
        put_value(rows, TRACE_COLUMN_STACK, event->stack);
    if (flags & TRACE_OP_HAS_VALUE)
        put_value(rows, TRACE_COLUMN_VALUE, event->value);
    if (flags & TRACE_OP_HAS_PEER) {
        put_value(rows, TRACE_COLUMN_PEER, event->peer);
        count_thread(writer, event->peer);
    }
    if (flags & TRACE_OP_HAS_ENTRY && writer->ranked)
        put_byte(rows, TRACE_COLUMN_OTHER_ENTRY, event->entry ^ trace_usual_entries[event->op]);
    else if (flags & TRACE_OP_HAS_ENTRY)
        put_byte(rows, TRACE_COLUMN_ENTRY, event->entry);
    if (flags & TRACE_OP_CREATES) {
        if (writer->addresses)
            put_address(rows, event->address);
        event->object = writer->object_count++;
        if (writer->ranked)
            trace_ranks_create(&writer->ranks);
    }
    count_thread(writer, event->thread);
    rows->count++;
    event->number = writer->event_count++;
    writer->time_ticks = time;
}

int trace_writer_event(struct trace_writer *writer, struct trace_event *event,
                       struct trace_error *error) {
    const char *problem = event_problem(writer, event);
    if (problem)
        return trace_fail_file(writer->file.path, error, "event %llu (op %u): %s",
                               (unsigned long long)writer->event_count, event->op, problem);
    if (writer->events.count == writer->rows_max && trace_writer_flush(writer, error))
        return -1;
    put_event(writer, event);
    return 0;
}

// ---------------------------------------------------------------- nodes, modules, info

uint32_t trace_writer_node(struct trace_writer *writer, const struct trace_node *node,
                           struct trace_error *error) {
    struct node_rows *rows = &writer->nodes;
    if (node->parent > writer->node_count || node->module > writer->module_count) {
        trace_report_file(writer->file.path, error,
                          "node %u: expected a parent and a module that have been written",
                          writer->node_count + 1);
        return 0;
    }
    if (writer->node_count + 1 >= TRACE_NODES_MAX) {
        trace_report_file(writer->file.path, error, "expected fewer than %u stack nodes",
                          TRACE_NODES_MAX);
        return 0;
    }
    if (rows->count == writer->rows_max && flush_nodes(writer, error))
        return 0;
    for (uint16_t id = TRACE_COLUMN_PARENT; id <= TRACE_COLUMN_OFFSET; id++)
        if (!trace_bytes_reserve(&rows->columns[id], TRACE_VARINT_BYTES_MAX)) {
            fail_memory(writer, error);
            return 0;
        }
    uint32_t number = ++writer->node_count;
    trace_put_uvarint(&rows->columns[TRACE_COLUMN_PARENT], number - node->parent);
    trace_put_uvarint(&rows->columns[TRACE_COLUMN_MODULE], node->module);
    trace_put_uvarint(&rows->columns[TRACE_COLUMN_OFFSET],
                      trace_zigzag(node->offset - rows->offset_before));
    rows->offset_before = node->offset;
    rows->count++;
    return number;
}

// Whether the text is one JSON object and nothing else.
static bool is_json_object(const char *text) {
    json_t *json = json_loads(text, 0, NULL);
    bool result = json_is_object(json);
    json_decref(json);
    return result;
}

uint32_t trace_writer_module(struct trace_writer *writer, const char *module_json,
                             struct trace_error *error) {
    struct module_rows *rows = &writer->modules;
    size_t size = strlen(module_json);
    if (size > MODULES_TEXT_BYTES_MAX || !is_json_object(module_json)) {
        trace_report_file(writer->file.path, error, "module %u: expected a JSON object below 1 MiB",
                          writer->module_count + 1);
        return 0;
    }
    if (writer->module_count + 1 >= TRACE_MODULES_MAX) {
        trace_report_file(writer->file.path, error, "expected fewer than %u modules",
                          TRACE_MODULES_MAX);
        return 0;
    }
    if (rows->text.size + size > MODULES_TEXT_BYTES_MAX && flush_modules(writer, error))
        return 0;
    if (!trace_bytes_reserve(&rows->text, size + 1)) {
        fail_memory(writer, error);
        return 0;
    }
    trace_bytes_append(&rows->text, rows->count ? "," : "[", 1);
    trace_bytes_append(&rows->text, module_json, size);
    rows->count++;
    return ++writer->module_count;
}

int trace_writer_info(struct trace_writer *writer, const char *info_json,
                      struct trace_error *error) {
    if (!is_json_object(info_json))
        return trace_fail_file(writer->file.path, error, "INFO: expected a JSON object");
    return write_text(writer, TRACE_KIND_INFO, 0, 0, info_json, strlen(info_json), error);
}

// ---------------------------------------------------------------- life

void trace_writer_totals(const struct trace_writer *writer, struct trace_writer_totals *totals) {
    *totals = (struct trace_writer_totals){
        .events = writer->event_count,
        .objects = writer->object_count,
        .file_bytes = writer->file.size_bytes,
        .nodes = writer->node_count,
        .modules = writer->module_count,
        .chunks = writer->chunk_count,
        .threads = writer->thread_count,
    };
}

// Closes the file and frees everything; the result of closing.
static int release(struct trace_writer *writer, struct trace_error *error) {
    int result = trace_file_close(&writer->file, error);
    for (unsigned id = 0; id < TRACE_COLUMN_COUNT; id++)
        trace_bytes_free(&writer->events.columns[id]);
    for (unsigned id = 0; id < TRACE_STACK_COLUMN_COUNT; id++)
        trace_bytes_free(&writer->nodes.columns[id]);
    for (unsigned kind = TRACE_KIND_SIDE; kind < TRACE_SIDE_END; kind++)
        trace_side_free(&writer->sides[kind]);
    trace_ranks_free(&writer->ranks);
    trace_bytes_free(&writer->modules.text);
    trace_bytes_free(&writer->raw);
    trace_bytes_free(&writer->frame);
    ZSTD_freeCCtx(writer->compressor);
    free(writer->index);
    free(writer);
    return result;
}

static bool prepare(struct trace_writer *writer, const struct trace_writer_options *options) {
    writer->addresses = options->addresses;
    writer->ranked = options->ranked;
    writer->rows_max = options->rows_per_chunk ? options->rows_per_chunk : ROWS_DEFAULT;
    if (writer->rows_max > TRACE_ROWS_MAX)
        writer->rows_max = TRACE_ROWS_MAX;
    writer->nodes.first = writer->modules.first = 1;
    for (unsigned id = 1; id < TRACE_COLUMN_COUNT; id++)
        if (!trace_bytes_reserve(&writer->events.columns[id],
                                 (size_t)writer->rows_max * trace_event_columns[id].row_bytes_max))
            return false;
    if (writer->ranked && !trace_ranks_begin(&writer->ranks, writer->rows_max))
        return false;
    writer->compressor = ZSTD_createCCtx();
    if (!writer->compressor)
        return false;
    int level = options->compression_level ? options->compression_level : LEVEL_DEFAULT;
    ZSTD_CCtx_setParameter(writer->compressor, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(writer->compressor, ZSTD_c_checksumFlag, 1);
    return true;
}

static int check_meta(const char *path, const char *meta_json, struct trace_error *error) {
    json_t *meta = json_loads(meta_json, 0, NULL);
    const char *format = json_string_value(json_object_get(meta, "format"));
    json_int_t tick_ns = json_integer_value(json_object_get(meta, "tick_ns"));
    bool right = format && strcmp(format, "hak-trace") == 0 && tick_ns >= 1;
    json_decref(meta);
    if (right)
        return 0;
    return trace_fail_file(
        path, error,
        "META: expected a JSON object with format \"hak-trace\" and tick_ns of 1 "
        "or more");
}

struct trace_writer *trace_writer_create(const char *path, const char *meta_json,
                                         const struct trace_writer_options *options,
                                         struct trace_error *error) {
    const struct trace_writer_options defaults = {0};
    if (!options)
        options = &defaults;
    if (check_meta(path, meta_json, error))
        return NULL;
    struct trace_writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        trace_report_file(path, error, "out of memory");
        return NULL;
    }
    if (trace_file_create(&writer->file, path, options->overwrite, options->named_at_end, error)) {
        free(writer);
        return NULL;
    }
    uint8_t identity[TRACE_IDENTITY_BYTES];
    trace_identity_build(identity, options->trace_id ? options->trace_id : trace_file_random());
    if (!prepare(writer, options)) {
        fail_memory(writer, error);
    } else if (!append_bytes(writer, identity, sizeof identity, error) &&
               !write_text(writer, TRACE_KIND_META, 0, 0, meta_json, strlen(meta_json), error) &&
               (options->named_at_end || !trace_file_publish(&writer->file, error))) {
        return writer;
    }
    release(writer, NULL);
    return NULL;
}

// END as given, with the totals that only the writer knows for certain.
static char *complete_end(const struct trace_writer *writer, const char *end_json,
                          struct trace_error *error) {
    json_t *end = json_loads(end_json, 0, NULL);
    char *text = NULL;
    if (!json_is_object(end)) {
        trace_report_file(writer->file.path, error, "END: expected a JSON object");
    } else if (json_object_set_new(end, "events", json_integer((json_int_t)writer->event_count)) ||
               json_object_set_new(end, "objects",
                                   json_integer((json_int_t)writer->object_count)) ||
               json_object_set_new(end, "threads", json_integer(writer->thread_count)) ||
               !(text = json_dumps(end, JSON_COMPACT))) {
        fail_memory(writer, error);
    }
    json_decref(end);
    return text;
}

static int write_index(struct trace_writer *writer, struct trace_error *error) {
    if (!trace_index_build(writer->index, writer->chunk_count, &writer->frame))
        return fail_memory(writer, error);
    return append_bytes(writer, writer->frame.data, writer->frame.size, error);
}

static int finish(struct trace_writer *writer, const char *end_json, struct trace_error *error) {
    if (trace_writer_flush(writer, error) || flush_sides(writer, 0, error))
        return -1;
    if (!end_json)
        return 0;
    char *text = complete_end(writer, end_json, error);
    int result = text ? write_text(writer, TRACE_KIND_END, 0, 0, text, strlen(text), error) : -1;
    free(text);
    return result || write_index(writer, error) || trace_file_publish(&writer->file, error) ? -1
                                                                                            : 0;
}

int trace_writer_close(struct trace_writer *writer, const char *end_json,
                       struct trace_error *error) {
    int result = finish(writer, end_json, error);
    int closed = release(writer, result ? NULL : error);
    return result ? result : closed;
}
