// trace_tables.c: what a trace says of itself: META, END, INFO, modules, stack nodes.
//
// Owns: taking these out of the chunk in work, and the rules that FORMAT.md has for them; also the
// two checks of columns that every kind of chunk shares.
#include "trace_reading.h"

#include <jansson.h>
#include <stdlib.h>

enum { NODES_PER_BLOCK = 1 << 16 };
#define TABLE_TEXT_BYTES_MAX (64u << 20) // all modules, and all INFO texts kept

// ---------------------------------------------------------------- columns

// Finds a known column and checks how it is written; *column is NULL where it is missing and may
// be.
int trace_take_column(const struct trace_chunk *chunk, uint16_t id, const char *name,
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
int trace_refuse_unknown_columns(const struct trace_chunk *chunk, unsigned id_count,
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
    if (trace_take_column(chunk, TRACE_COLUMN_TEXT, "text", TRACE_TEXT, column->values, &column,
                          place, error) ||
        trace_refuse_unknown_columns(chunk, TRACE_COLUMN_TEXT + 1, place, error))
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

int trace_take_meta(struct trace_reader *reader, const struct trace_place *place,
                    struct trace_error *error) {
    json_t *json;
    char *text;
    if (parse_json(&reader->chunk, &json, &text, place, error))
        return -1;
    const char *format = json_string_value(json_object_get(json, "format"));
    json_int_t tick_ns = json_integer_value(json_object_get(json, "tick_ns"));
    bool right = format && strcmp(format, "hak-trace") == 0 && tick_ns >= 1;
    json_t *stamps = json_object_get(json, "stamp_ticks_max");
    json_int_t stamp_ticks_max = json_integer_value(stamps);
    bool stamps_right = !stamps || stamp_ticks_max >= 1;
    json_decref(json);
    reader->meta_json = text;
    reader->tick_ns = (uint64_t)tick_ns;
    reader->stamp_ticks_max = (uint64_t)stamp_ticks_max;
    if (!right)
        return trace_fail(place, error,
                          "expected META with format \"hak-trace\" and tick_ns of 1 or more");
    if (!stamps_right)
        return trace_fail(place, error, "expected META with stamp_ticks_max of 1 or more, or none");
    return 0;
}

int trace_take_end(struct trace_reader *reader, const struct trace_place *place,
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

const char *trace_text_get(const struct text_list *list, uint32_t number) {
    return number >= 1 && number <= list->count ? list->texts[number - 1] : NULL;
}

void trace_text_free(struct text_list *list) {
    for (uint32_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
}

int trace_take_info(struct trace_reader *reader, const struct trace_place *place,
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

int trace_take_modules(struct trace_reader *reader, const struct trace_place *place,
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

struct trace_node *trace_node_slot(const struct trace_reader *reader, uint32_t number) {
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
    if (trace_take_column(&reader->chunk, id, name, encoding, rows, &column, place, error))
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
        *trace_node_slot(reader, number) = (struct trace_node){
            .parent = number - (uint32_t)parents[i],
            .module = (uint32_t)modules[i],
            .offset = offsets[i],
        };
    }
    reader->node_count += rows;
    return 0;
}

int trace_take_stacks(struct trace_reader *reader, const struct trace_place *place,
                      struct trace_error *error) {
    uint32_t rows = reader->chunk.row_count;
    int position = table_position(reader, reader->node_count, place, error);
    if (position <= 0)
        return position;
    if (trace_refuse_unknown_columns(&reader->chunk, TRACE_STACK_COLUMN_COUNT, place, error))
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
