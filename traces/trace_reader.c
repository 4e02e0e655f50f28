// trace_reader.c: from a file's frames back to events, stacks and modules.
//
// Owns: walking and seeking frames, decoding chunks, refusing what FORMAT.md forbids. Nothing that
// a file says is believed: sizes are checked before memory is taken, numbers before they are used.
// One reader belongs to one thread at a time.
//
// Words: the *directory* lists the file's chunks, whole from the start when there is a valid
// index, else as far as has been walked; *tables* are the nodes, modules and INFO texts.
//
// Walking goes by the frames themselves and never by the index, which is only compared with them;
// seeking goes by the directory. A chunk of events is decoded whole, column by column into arrays,
// and rows are assembled from these without branches: ops of real programs are hard to predict.
#include "trace_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    WINDOW_BYTES = 1 << 18,  // how much of the file is read at a time
    FRAME_HEADER_BYTES = 18, // of zstd, at most
    NODES_PER_BLOCK = 1 << 16,
    DECODE_PADDING = 16
};
#define TABLE_TEXT_BYTES_MAX (64u << 20) // all modules, and all INFO texts kept

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
    struct event_cursor cursor;
    uint64_t event_next, object_next, time_ticks; // after the current chunk

    struct trace_node **node_blocks;
    uint32_t node_count, node_block_count, node_block_capacity;
    struct text_list modules, infos;
    size_t tables_next; // directory entries before it have had their tables read by seeking
    size_t infos_next;  // directory entries before it have had their INFO read

    char *meta_json, *end_json;
    uint64_t tick_ns;
    uint64_t end_events, end_objects;
    uint64_t events_seen, objects_seen; // the most that was read
    uint32_t threads_seen;
    uint64_t cut_bytes;
    uint64_t column_bytes[16];

    XXH3_state_t *hash_state;
    uint64_t hashed_bytes, hash;
};

static struct trace_place place_at(const struct trace_reader *reader, uint64_t offset) {
    return (struct trace_place){reader->file.path, offset};
}

static int fail_memory(const struct trace_reader *reader, uint64_t offset,
                       struct trace_error *error) {
    struct trace_place place = place_at(reader, offset);
    return trace_fail(&place, error, "out of memory");
}

// ---------------------------------------------------------------- the file

// Makes the window hold `size` bytes at `offset`, or fewer at the end of the file.
// *data is valid until the next call.
static int hold(struct trace_reader *reader, uint64_t offset, uint64_t size, const uint8_t **data,
                size_t *got, struct trace_error *error) {
    struct window *window = &reader->window;
    uint64_t left = reader->file.size_bytes - offset;
    if (size > left)
        size = left;
    if (offset < window->offset || offset + size > window->offset + window->size) {
        size_t wanted = size > WINDOW_BYTES ? size : left < WINDOW_BYTES ? left : WINDOW_BYTES;
        if (wanted > window->capacity) {
            uint8_t *grown = realloc(window->data, wanted);
            if (!grown)
                return fail_memory(reader, offset, error);
            window->data = grown;
            window->capacity = wanted;
        }
        window->offset = offset;
        window->size = 0;
        if (trace_file_read(&reader->file, offset, window->data, wanted, &window->size, error))
            return -1;
        if (window->size < size) {
            struct trace_place place = place_at(reader, offset + window->size);
            return trace_fail(&place, error, "expected %llu bytes more, found that the file shrank",
                              (unsigned long long)(size - window->size));
        }
    }
    *data = window->data + (offset - window->offset);
    *got = (size_t)size;
    return 0;
}

// Adds a part of the file to the hash if it is the next one in file order.
static void hash_part(struct trace_reader *reader, uint64_t offset, const uint8_t *data,
                      size_t size) {
    if (offset != reader->hashed_bytes)
        return;
    XXH3_64bits_update(reader->hash_state, data, size);
    reader->hashed_bytes += size;
}

static int hash_rest(struct trace_reader *reader, struct trace_error *error) {
    while (reader->hashed_bytes < reader->file.size_bytes) {
        const uint8_t *data;
        size_t size;
        if (hold(reader, reader->hashed_bytes, WINDOW_BYTES, &data, &size, error))
            return -1;
        hash_part(reader, reader->hashed_bytes, data, size);
    }
    reader->hash = XXH3_64bits_digest(reader->hash_state);
    return 0;
}

// ---------------------------------------------------------------- frames

enum frame_type { FRAME_NONE, FRAME_CUT, FRAME_SKIPPABLE, FRAME_CHUNK };

struct frame {
    enum frame_type type;
    uint32_t magic;
    uint64_t offset, size; // size with all headers
};

// Finds where a zstd frame ends, holding as much of it as that takes.
static int measure_zstd(struct trace_reader *reader, struct frame *frame,
                        struct trace_error *error) {
    const uint64_t size_max = ZSTD_compressBound(TRACE_CHUNK_BYTES_MAX) + FRAME_HEADER_BYTES;
    struct trace_place place = place_at(reader, frame->offset);
    uint64_t left = reader->file.size_bytes - frame->offset;
    for (uint64_t wanted = FRAME_HEADER_BYTES;;) {
        const uint8_t *data;
        size_t got;
        if (hold(reader, frame->offset, wanted, &data, &got, error))
            return -1;
        // The window mostly holds more than was asked for.
        size_t held = reader->window.size - (size_t)(frame->offset - reader->window.offset);
        size_t size = ZSTD_findFrameCompressedSize(data, held);
        if (!ZSTD_isError(size)) {
            frame->type = FRAME_CHUNK;
            frame->size = size;
            return 0;
        }
        if (ZSTD_getErrorCode(size) != ZSTD_error_srcSize_wrong || held > size_max)
            return trace_fail(&place, error, "expected a zstd frame, found a damaged one (%s)",
                              ZSTD_getErrorName(size));
        if (held == left) {
            frame->type = FRAME_CUT;
            return 0;
        }
        wanted = 2 * (uint64_t)held;
    }
}

static int find_frame(struct trace_reader *reader, uint64_t offset, struct frame *frame,
                      struct trace_error *error) {
    const uint8_t *data;
    size_t got;
    *frame = (struct frame){.offset = offset};
    if (hold(reader, offset, 8, &data, &got, error))
        return -1;
    if (got == 0) {
        frame->type = FRAME_NONE;
        return 0;
    }
    if (got < 4) {
        frame->type = FRAME_CUT;
        return 0;
    }
    frame->magic = trace_get32(data);
    if (frame->magic == TRACE_MAGIC_ZSTD)
        return measure_zstd(reader, frame, error);
    if ((frame->magic & ~15u) != TRACE_MAGIC_SKIPPABLE) {
        struct trace_place place = place_at(reader, offset);
        return trace_fail(&place, error, "expected a frame, found bytes %02x %02x %02x %02x",
                          data[0], data[1], data[2], data[3]);
    }
    frame->type = FRAME_CUT;
    if (got == 8 && 8 + (uint64_t)trace_get32(data + 4) <= reader->file.size_bytes - offset) {
        frame->type = FRAME_SKIPPABLE;
        frame->size = 8 + (uint64_t)trace_get32(data + 4);
    }
    return 0;
}

// Decompresses a frame into reader->raw and opens it as reader->chunk.
static int read_chunk(struct trace_reader *reader, const struct frame *frame,
                      struct trace_error *error) {
    struct trace_place place = place_at(reader, frame->offset);
    const uint8_t *data;
    size_t got;
    if (hold(reader, frame->offset, frame->size, &data, &got, error))
        return -1;
    hash_part(reader, frame->offset, data, got);
    unsigned long long content = ZSTD_getFrameContentSize(data, got);
    if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR)
        return trace_fail(&place, error, "expected a frame that states its content size");
    if (content > TRACE_CHUNK_BYTES_MAX)
        return trace_fail(&place, error, "expected a chunk of at most %u bytes, found %llu",
                          TRACE_CHUNK_BYTES_MAX, content);
    reader->raw.size = 0;
    if (!trace_bytes_reserve(&reader->raw, (size_t)content + DECODE_PADDING))
        return fail_memory(reader, frame->offset, error);
    size_t size =
        ZSTD_decompressDCtx(reader->decompressor, reader->raw.data, (size_t)content, data, got);
    if (ZSTD_isError(size))
        return trace_fail(&place, error, "expected a whole zstd frame, found damage (%s)",
                          ZSTD_getErrorName(size));
    if (size != content)
        return trace_fail(&place, error, "expected %llu bytes of content, found %zu", content,
                          size);
    reader->raw.size = size;
    return trace_chunk_parse(reader->raw.data, size, &reader->chunk, &place, error);
}

// ---------------------------------------------------------------- columns

// Finds a known column and checks how it is written; *column is NULL where it is missing and may
// be.
static int take_column(const struct trace_chunk *chunk, uint16_t id, const char *name,
                       uint8_t encoding, uint32_t values, const struct trace_column **column,
                       const struct trace_place *place, struct trace_error *error) {
    *column = trace_chunk_column(chunk, id);
    if (!*column)
        return 0;
    if ((*column)->encoding != encoding)
        return trace_fail(place, error, "expected column %s in encoding %u, found %u", name,
                          encoding, (*column)->encoding);
    if ((*column)->values != values)
        return trace_fail(place, error, "expected %u values in column %s, found %u", values, name,
                          (*column)->values);
    if ((encoding == TRACE_BYTES || encoding == TRACE_TEXT) && (*column)->bytes != values)
        return trace_fail(place, error, "expected %u bytes in column %s, found %u", values, name,
                          (*column)->bytes);
    return 0;
}

// Columns that this reader does not know must be ones that it may skip.
static int refuse_unknown_columns(const struct trace_chunk *chunk, unsigned id_count,
                                  const struct trace_place *place, struct trace_error *error) {
    for (uint32_t i = 0; i < chunk->column_count; i++) {
        const struct trace_column *column = &chunk->columns[i];
        bool known = column->id > 0 && column->id < id_count;
        if (!known && column->flags & TRACE_FLAG_REQUIRED)
            return trace_fail(place, error,
                              "expected known columns, found column %u, which a reader must know: "
                              "use a newer hak",
                              column->id);
    }
    return 0;
}

static int take_text(const struct trace_chunk *chunk, const char **text, size_t *size,
                     const struct trace_place *place, struct trace_error *error) {
    const struct trace_column *column = trace_chunk_column(chunk, TRACE_COLUMN_TEXT);
    if (!column)
        return trace_fail(place, error, "expected a column of text");
    if (take_column(chunk, TRACE_COLUMN_TEXT, "text", TRACE_TEXT, column->values, &column, place,
                    error) ||
        refuse_unknown_columns(chunk, TRACE_COLUMN_TEXT + 1, place, error))
        return -1;
    if (column->bytes > TRACE_TEXT_BYTES_MAX)
        return trace_fail(place, error, "expected at most %u bytes of text, found %u",
                          TRACE_TEXT_BYTES_MAX, column->bytes);
    *text = (const char *)column->data;
    *size = column->bytes;
    return 0;
}

// ---------------------------------------------------------------- META, END, INFO, MODULES

static int parse_json(const struct trace_chunk *chunk, json_t **json, char **copy,
                      const struct trace_place *place, struct trace_error *error) {
    const char *text;
    size_t size;
    if (take_text(chunk, &text, &size, place, error))
        return -1;
    json_error_t problem;
    *json = json_loadb(text, size, 0, &problem);
    if (!*json)
        return trace_fail(place, error, "expected JSON, found at byte %d of the text: %s",
                          problem.position, problem.text);
    if (!copy)
        return 0;
    *copy = strndup(text, size);
    if (*copy)
        return 0;
    json_decref(*json);
    return trace_fail(place, error, "out of memory");
}

static int take_meta(struct trace_reader *reader, const struct trace_place *place,
                     struct trace_error *error) {
    json_t *json;
    char *text;
    if (parse_json(&reader->chunk, &json, &text, place, error))
        return -1;
    const char *format = json_string_value(json_object_get(json, "format"));
    json_int_t tick_ns = json_integer_value(json_object_get(json, "tick_ns"));
    bool right = format && strcmp(format, "hak-trace") == 0 && tick_ns >= 1;
    json_decref(json);
    reader->meta_json = text;
    reader->tick_ns = (uint64_t)tick_ns;
    if (right)
        return 0;
    return trace_fail(place, error,
                      "expected META with format \"hak-trace\" and tick_ns of 1 or more");
}

static int take_end(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error) {
    json_t *json;
    char *text;
    if (parse_json(&reader->chunk, &json, &text, place, error))
        return -1;
    json_t *events = json_object_get(json, "events");
    json_t *objects = json_object_get(json, "objects");
    bool right = json_is_integer(events) && json_is_integer(objects);
    uint64_t event_count = (uint64_t)json_integer_value(events);
    uint64_t object_count = (uint64_t)json_integer_value(objects);
    json_decref(json);
    if (!right) {
        free(text);
        return trace_fail(place, error, "expected END with the integers events and objects");
    }
    if (reader->end_json) // opened by the index before: the same chunk, and its text is lent out
        free(text);
    else
        reader->end_json = text;
    reader->end_events = event_count;
    reader->end_objects = object_count;
    return 0;
}

// Takes over `text`, also on failure.
static bool text_list_add(struct text_list *list, char *text) {
    if (!text)
        return false;
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? 2 * list->capacity : 64;
        char **texts = realloc(list->texts, capacity * sizeof *texts);
        if (!texts) {
            free(text);
            return false;
        }
        list->texts = texts;
        list->capacity = capacity;
    }
    list->texts[list->count++] = text;
    list->bytes += strlen(text) + sizeof text;
    return true;
}

static const char *text_list_get(const struct text_list *list, uint32_t number) {
    return number >= 1 && number <= list->count ? list->texts[number - 1] : NULL;
}

static void text_list_free(struct text_list *list) {
    for (uint32_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
}

static int take_info(struct trace_reader *reader, const struct trace_place *place,
                     struct trace_error *error) {
    json_t *json;
    char *text;
    size_t entry = reader->entry_next - 1;
    if (entry < reader->infos_next) // read before
        return 0;
    reader->infos_next = entry + 1;
    if (parse_json(&reader->chunk, &json, &text, place, error))
        return -1;
    json_decref(json);
    if (reader->infos.bytes > TABLE_TEXT_BYTES_MAX) { // readers may ignore INFO
        free(text);
        return 0;
    }
    return text_list_add(&reader->infos, text) ? 0 : trace_fail(place, error, "out of memory");
}

// Whether a table's chunk is new (1), was read before (0), or leaves a gap (-1).
static int table_position(const struct trace_reader *reader, uint32_t rows_before,
                          const struct trace_place *place, struct trace_error *error) {
    const struct trace_chunk *chunk = &reader->chunk;
    if (chunk->row_count == 0)
        return trace_fail(place, error, "expected a table of at least one row");
    if (chunk->first == (uint64_t)rows_before + 1)
        return 1;
    if (chunk->first >= 1 && chunk->first + chunk->row_count - 1 <= rows_before)
        return 0;
    return trace_fail(place, error, "expected a table that continues at row %u, found row %llu",
                      rows_before + 1, (unsigned long long)chunk->first);
}

static int take_modules(struct trace_reader *reader, const struct trace_place *place,
                        struct trace_error *error) {
    struct text_list *modules = &reader->modules;
    int position = table_position(reader, modules->count, place, error);
    if (position <= 0)
        return position;
    json_t *json;
    if (parse_json(&reader->chunk, &json, NULL, place, error))
        return -1;
    int result = 0;
    if (!json_is_array(json) || json_array_size(json) != reader->chunk.row_count)
        result = trace_fail(place, error, "expected a JSON array of %u modules",
                            reader->chunk.row_count);
    for (size_t i = 0; !result && i < json_array_size(json); i++) {
        if (modules->count + 1 >= TRACE_MODULES_MAX || modules->bytes > TABLE_TEXT_BYTES_MAX)
            result = trace_fail(place, error, "expected fewer modules than %u", modules->count + 1);
        else if (!json_is_object(json_array_get(json, i)))
            result =
                trace_fail(place, error, "expected a JSON object as module %u", modules->count + 1);
        else if (!text_list_add(modules, json_dumps(json_array_get(json, i), JSON_COMPACT)))
            result = trace_fail(place, error, "out of memory");
    }
    json_decref(json);
    return result;
}

// ---------------------------------------------------------------- STACKS

static struct trace_node *node_slot(const struct trace_reader *reader, uint32_t number) {
    return &reader->node_blocks[number / NODES_PER_BLOCK][number % NODES_PER_BLOCK];
}

static bool node_room(struct trace_reader *reader, uint32_t number_last) {
    uint32_t blocks = number_last / NODES_PER_BLOCK + 1;
    if (blocks > reader->node_block_capacity) {
        uint32_t capacity = blocks + blocks / 2 + 16;
        struct trace_node **list = realloc(reader->node_blocks, capacity * sizeof *list);
        if (!list)
            return false;
        reader->node_blocks = list;
        reader->node_block_capacity = capacity;
    }
    for (; reader->node_block_count < blocks; reader->node_block_count++) {
        struct trace_node *block = malloc(NODES_PER_BLOCK * sizeof *block);
        if (!block)
            return false;
        reader->node_blocks[reader->node_block_count] = block;
    }
    return true;
}

static int decode_stack_column(struct trace_reader *reader, uint16_t id, const char *name,
                               uint8_t encoding, uint64_t *values, const struct trace_place *place,
                               struct trace_error *error) {
    const struct trace_column *column;
    uint32_t rows = reader->chunk.row_count;
    if (take_column(&reader->chunk, id, name, encoding, rows, &column, place, error))
        return -1;
    if (!column)
        return trace_fail(place, error, "expected column %s", name);
    bool right = encoding == TRACE_DELTA
                     ? trace_decode_delta(column->data, column->bytes, values, rows)
                     : trace_decode_uvarint(column->data, column->bytes, values, rows);
    return right ? 0 : trace_fail(place, error, "expected %u values in column %s", rows, name);
}

static int add_nodes(struct trace_reader *reader, const uint64_t *parents, const uint64_t *modules,
                     const uint64_t *offsets, const struct trace_place *place,
                     struct trace_error *error) {
    uint32_t rows = reader->chunk.row_count;
    if (rows >= TRACE_NODES_MAX - reader->node_count)
        return trace_fail(place, error, "expected fewer than %u stack nodes", TRACE_NODES_MAX);
    if (!node_room(reader, reader->node_count + rows))
        return trace_fail(place, error, "out of memory");
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t number = reader->node_count + 1 + i;
        if (parents[i] < 1 || parents[i] > number)
            return trace_fail(place, error, "expected the parent of node %u before it", number);
        if (modules[i] > reader->modules.count)
            return trace_fail(place, error, "expected module %llu of node %u before it",
                              (unsigned long long)modules[i], number);
        *node_slot(reader, number) = (struct trace_node){
            .parent = number - (uint32_t)parents[i],
            .module = (uint32_t)modules[i],
            .offset = offsets[i],
        };
    }
    reader->node_count += rows;
    return 0;
}

static int take_stacks(struct trace_reader *reader, const struct trace_place *place,
                       struct trace_error *error) {
    uint32_t rows = reader->chunk.row_count;
    int position = table_position(reader, reader->node_count, place, error);
    if (position <= 0)
        return position;
    if (refuse_unknown_columns(&reader->chunk, TRACE_STACK_COLUMN_COUNT, place, error))
        return -1;
    uint64_t *values = malloc(3 * (size_t)rows * sizeof *values);
    if (!values)
        return trace_fail(place, error, "out of memory");
    uint64_t *parents = values, *modules = values + rows, *offsets = modules + rows;
    int result = -1;
    if (!decode_stack_column(reader, TRACE_COLUMN_PARENT, "parent", TRACE_UVARINT, parents, place,
                             error) &&
        !decode_stack_column(reader, TRACE_COLUMN_MODULE, "module", TRACE_UVARINT, modules, place,
                             error) &&
        !decode_stack_column(reader, TRACE_COLUMN_OFFSET, "offset", TRACE_DELTA, offsets, place,
                             error))
        result = add_nodes(reader, parents, modules, offsets, place, error);
    free(values);
    return result;
}

// ---------------------------------------------------------------- EVENTS

static void arrays_free(struct event_arrays *arrays) {
    for (unsigned id = 0; id < TRACE_COLUMN_COUNT; id++)
        free(arrays->storage[id]);
    free(arrays->zeros);
    free(arrays->object);
    *arrays = (struct event_arrays){0};
}

static bool arrays_reserve(struct event_arrays *arrays, uint32_t rows) {
    if (rows <= arrays->capacity)
        return true;
    arrays_free(arrays);
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
    if (take_column(&reader->chunk, TRACE_COLUMN_OP, "op", TRACE_BYTES, rows, &column, place,
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
    if (take_column(&reader->chunk, (uint16_t)id, info->name, info->encoding, values, &column,
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

static int take_events(struct trace_reader *reader, const struct trace_place *place,
                       struct trace_error *error) {
    uint32_t counts[TRACE_COLUMN_COUNT];
    reader->cursor = (struct event_cursor){0};
    if (check_position(reader, place, error) || take_ops(reader, counts, place, error) ||
        refuse_unknown_columns(&reader->chunk, TRACE_COLUMN_COUNT, place, error))
        return -1;
    if (!arrays_reserve(&reader->arrays, reader->chunk.row_count))
        return trace_fail(place, error, "out of memory");
    for (unsigned id = 1; id < TRACE_COLUMN_COUNT; id++)
        if (take_event_column(reader, id, counts[id], place, error))
            return -1;
    if (resolve_times(reader, place, error) || resolve_objects(reader, place, error) ||
        check_ranges(reader, counts, place, error))
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
static size_t assemble(struct trace_reader *reader, struct trace_event *events, size_t capacity) {
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

// ---------------------------------------------------------------- walking

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
static int note_chunk(struct trace_reader *reader, const struct frame *frame,
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

static int take_chunk(struct trace_reader *reader, const struct trace_place *place,
                      struct trace_error *error) {
    switch (reader->chunk.kind) {
    case TRACE_KIND_MODULES:
        return take_modules(reader, place, error);
    case TRACE_KIND_STACKS:
        return take_stacks(reader, place, error);
    case TRACE_KIND_EVENTS:
        return take_events(reader, place, error);
    case TRACE_KIND_INFO:
        return take_info(reader, place, error);
    case TRACE_KIND_END:
        return take_end(reader, place, error) || check_end(reader, place, error) ? -1 : 0;
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
    struct trace_place place = place_at(reader, frame->offset);
    if (frame->offset + frame->size != reader->file.size_bytes)
        return trace_fail(&place, error, "expected the index at the end of the file");
    if (!reader->end_walked)
        return trace_fail(&place, error, "expected END before the index");
    const uint8_t *data;
    size_t got, count;
    struct trace_index_entry *entries;
    if (hold(reader, frame->offset, frame->size, &data, &got, error) ||
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
    struct trace_place place = place_at(reader, frame->offset);
    if (frame->type == FRAME_CUT && reader->directory_whole)
        return trace_fail(&place, error, "expected a whole frame before the index");
    reader->cut_bytes = reader->file.size_bytes - frame->offset;
    reader->at_end = true;
    return hash_rest(reader, error);
}

// Reads the next chunk. 1: one was read; 0: the end of what is whole; -1: damage.
static int walk(struct trace_reader *reader, struct trace_error *error) {
    while (!reader->at_end) {
        struct frame frame;
        if (find_frame(reader, reader->offset_next, &frame, error))
            return -1;
        struct trace_place place = place_at(reader, frame.offset);
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
            if (read_chunk(reader, &frame, error) || note_chunk(reader, &frame, &place, error) ||
                take_chunk(reader, &place, error))
                return -1;
            return 1;
        }
    }
    return 0;
}

// A failure stays until the reader is positioned anew.
static int remember_failure(struct trace_reader *reader, const struct trace_error *failure,
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
        return remember_failure(reader, &failure, error);
    }
    while (reader->cursor.row == reader->cursor.row_count) {
        int result = walk(reader, &failure);
        if (result == 0)
            return 0;
        if (result < 0)
            return remember_failure(reader, &failure, error);
    }
    return (ptrdiff_t)assemble(reader, events, capacity);
}

// ---------------------------------------------------------------- seeking

// Back to the first chunk after META.
static void rewind_walk(struct trace_reader *reader) {
    reader->cursor = (struct event_cursor){0};
    reader->event_next = reader->object_next = reader->time_ticks = 0;
    reader->entry_next = 1;
    reader->offset_next = reader->directory[0].offset + reader->directory[0].bytes;
    reader->end_walked = reader->at_end = reader->failed = false;
}

static int read_entry(struct trace_reader *reader, size_t entry, struct trace_error *error) {
    const struct trace_index_entry *known = &reader->directory[entry];
    struct frame frame;
    struct trace_place place = place_at(reader, known->offset);
    if (find_frame(reader, known->offset, &frame, error))
        return -1;
    if (frame.type != FRAME_CHUNK)
        return trace_fail(&place, error, "expected the chunk that the index names");
    reader->entry_next = entry;
    return read_chunk(reader, &frame, error) || note_chunk(reader, &frame, &place, error) ? -1 : 0;
}

// Reads the nodes and modules that stand before a chunk and have not been read.
static int read_tables(struct trace_reader *reader, size_t entry_end, struct trace_error *error) {
    for (; reader->tables_next < entry_end; reader->tables_next++) {
        const struct trace_index_entry *entry = &reader->directory[reader->tables_next];
        struct trace_place place = place_at(reader, entry->offset);
        bool unread = (entry->kind == TRACE_KIND_STACKS && entry->first > reader->node_count) ||
                      (entry->kind == TRACE_KIND_MODULES && entry->first > reader->modules.count) ||
                      (entry->kind == TRACE_KIND_INFO && reader->tables_next >= reader->infos_next);
        if (unread &&
            (read_entry(reader, reader->tables_next, error) || take_chunk(reader, &place, error)))
            return -1;
    }
    return 0;
}

// Decodes the EVENTS chunk of a directory entry and goes on from there.
static int jump(struct trace_reader *reader, size_t entry, struct trace_error *error) {
    rewind_walk(reader);
    if (read_tables(reader, entry, error) || read_entry(reader, entry, error))
        return -1;
    struct trace_place place = place_at(reader, reader->directory[entry].offset);
    if (reader->chunk.first > 0) { // what stood before is taken from the chunk; zeros are known
        reader->event_next = reader->chunk.first;
        reader->object_next = reader->chunk.object0;
        reader->time_ticks = reader->chunk.time0;
    }
    return take_events(reader, &place, error);
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
    rewind_walk(reader);
    if (reader->events_seen > 0) {
        size_t last = find_entry(reader, false, UINT64_MAX);
        if (jump(reader, last, error))
            return -1;
    }
    while (reader->event_next <= number && reader->time_ticks < time_ticks) {
        int result = walk(reader, error);
        if (result <= 0)
            return result;
    }
    return 0;
}

static int seek_number(struct trace_reader *reader, uint64_t number, struct trace_error *error) {
    if (number == 0) {
        rewind_walk(reader);
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
        assemble(reader, skipped, left < 64 ? left : 64);
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
        rewind_walk(reader);
        return 0;
    }
    if (jump(reader, entry, error))
        return -1;
    const uint64_t *times = reader->arrays.columns[TRACE_COLUMN_TIME];
    struct trace_event skipped;
    while (reader->cursor.row < reader->cursor.row_count && times[reader->cursor.row] < time_ticks)
        assemble(reader, &skipped, 1);
    return 0;
}

int trace_reader_seek(struct trace_reader *reader, uint64_t number, struct trace_error *error) {
    struct trace_error failure;
    return seek_number(reader, number, &failure) ? remember_failure(reader, &failure, error) : 0;
}

int trace_reader_seek_time(struct trace_reader *reader, uint64_t time_ticks,
                           struct trace_error *error) {
    struct trace_error failure;
    return seek_time(reader, time_ticks, &failure) ? remember_failure(reader, &failure, error) : 0;
}

// ---------------------------------------------------------------- opening

// Takes the index as directory if it is there and valid. If not, nothing: the walk will say so.
static int open_index(struct trace_reader *reader, struct trace_error *error) {
    const uint8_t *footer, *frame;
    size_t got, count;
    struct trace_index_entry *entries;
    uint64_t file_size = reader->file.size_bytes;
    if (file_size < TRACE_IDENTITY_BYTES + 8)
        return 0;
    if (hold(reader, file_size - 8, 8, &footer, &got, error))
        return -1;
    uint64_t size = trace_index_size(footer);
    if (size < 8 || size > file_size - TRACE_IDENTITY_BYTES)
        return 0;
    struct trace_place place = place_at(reader, file_size - size);
    if (hold(reader, place.offset, size, &frame, &got, error))
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
    struct trace_place place = place_at(reader, 0);
    if (read_entry(reader, reader->directory_count - 1, NULL) == 0)
        take_end(reader, &place, NULL);
}

static int open_identity(struct trace_reader *reader, struct trace_error *error) {
    struct trace_place place = place_at(reader, 0);
    const uint8_t *data;
    size_t got;
    if (hold(reader, 0, TRACE_IDENTITY_BYTES, &data, &got, error) ||
        trace_identity_parse(data, got, &place, error))
        return -1;
    hash_part(reader, 0, data, got);
    return 0;
}

static int open_meta(struct trace_reader *reader, struct trace_error *error) {
    struct trace_place place = place_at(reader, TRACE_IDENTITY_BYTES);
    struct frame frame;
    if (find_frame(reader, place.offset, &frame, error))
        return -1;
    if (frame.type != FRAME_CHUNK)
        return trace_fail(&place, error, "expected the META chunk, found the end of the file");
    reader->entry_next = 0;
    if (read_chunk(reader, &frame, error) || note_chunk(reader, &frame, &place, error))
        return -1;
    if (reader->chunk.kind != TRACE_KIND_META)
        return trace_fail(&place, error, "expected the META chunk, found kind %u",
                          reader->chunk.kind);
    return take_meta(reader, &place, error);
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
    rewind_walk(reader);
    return reader;
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
    arrays_free(&reader->arrays);
    for (uint32_t i = 0; i < reader->node_block_count; i++)
        free(reader->node_blocks[i]);
    free(reader->node_blocks);
    text_list_free(&reader->modules);
    text_list_free(&reader->infos);
    free(reader->meta_json);
    free(reader->end_json);
    free(reader);
}

// ---------------------------------------------------------------- what is known

bool trace_reader_node(const struct trace_reader *reader, uint32_t number,
                       struct trace_node *node) {
    if (number == 0 || number > reader->node_count)
        return false;
    *node = *node_slot(reader, number);
    return true;
}

const char *trace_reader_module(const struct trace_reader *reader, uint32_t number) {
    return text_list_get(&reader->modules, number);
}

const char *trace_reader_info(const struct trace_reader *reader, uint32_t number) {
    return text_list_get(&reader->infos, number);
}

void trace_reader_summary(const struct trace_reader *reader, struct trace_summary *summary) {
    *summary = (struct trace_summary){
        .meta_json = reader->meta_json,
        .end_json = reader->end_json,
        .tick_ns = reader->tick_ns,
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
