// trace_budget.c: where a file's bytes go.
//
// Owns: the attribution. A chunk is one frame; the shares of its columns are not in the file. They
// are found by compressing each column alone, at the level given, and giving each its proportion of
// the frame: together they are exactly the frames' bytes.
#include "trace_reading.h"

#include <stdlib.h>

struct budgeting {
    struct trace_budget *budget;
    ZSTD_CCtx *compressor;
    struct trace_bytes scratch;
    double shares[TRACE_BUDGET_COLUMNS];
};

static size_t compressed_alone(struct budgeting *budgeting, const struct trace_column *column) {
    size_t bound = ZSTD_compressBound(column->bytes);
    budgeting->scratch.size = 0;
    if (!trace_bytes_reserve(&budgeting->scratch, bound))
        return 0;
    size_t size = ZSTD_compress2(budgeting->compressor, budgeting->scratch.data, bound,
                                 column->data, column->bytes);
    return ZSTD_isError(size) ? 0 : size;
}

static void add_events(struct budgeting *budgeting, const struct trace_chunk *chunk,
                       uint64_t frame_bytes) {
    size_t alone[TRACE_COLUMNS_MAX], total = 0;
    for (uint32_t i = 0; i < chunk->column_count; i++)
        total += alone[i] = compressed_alone(budgeting, &chunk->columns[i]);
    for (uint32_t i = 0; i < chunk->column_count && total > 0; i++) {
        uint16_t id = chunk->columns[i].id;
        unsigned column = id < TRACE_COLUMN_COUNT ? id : 0;
        budgeting->budget->raw[column] += chunk->columns[i].bytes;
        budgeting->shares[column] += (double)frame_bytes * (double)alone[i] / (double)total;
    }
}

static int walk(struct budgeting *budgeting, struct trace_reader *reader,
                struct trace_error *error) {
    struct trace_budget *budget = budgeting->budget;
    int result;
    while ((result = trace_walk(reader, error)) > 0) {
        uint64_t bytes = reader->directory[reader->entry_next - 1].bytes;
        unsigned kind = reader->chunk.kind < TRACE_BUDGET_KINDS ? reader->chunk.kind : 0;
        budget->kinds[kind] += bytes;
        if (reader->chunk.kind == TRACE_KIND_EVENTS)
            add_events(budgeting, &reader->chunk, bytes);
    }
    budget->kinds[TRACE_KIND_META] += reader->directory[0].bytes;
    budget->events = reader->event_next;
    budget->file_bytes = reader->file.size_bytes;
    uint64_t frames = 0;
    for (unsigned kind = 0; kind < TRACE_BUDGET_KINDS; kind++)
        frames += budget->kinds[kind];
    budget->other_bytes = budget->file_bytes - frames;
    for (unsigned column = 0; column < TRACE_BUDGET_COLUMNS; column++)
        budget->bytes[column] = budgeting->shares[column];
    return result;
}

const char *trace_budget_column(unsigned column) {
    return column > 0 && column < TRACE_COLUMN_COUNT ? trace_event_columns[column].name : "others";
}

int trace_budget(const char *path, int level, struct trace_budget *budget,
                 struct trace_error *error) {
    *budget = (struct trace_budget){0};
    struct budgeting budgeting = {.budget = budget, .compressor = ZSTD_createCCtx()};
    struct trace_reader *reader = trace_reader_open(path, error);
    int status = -1;
    if (reader && budgeting.compressor) {
        ZSTD_CCtx_setParameter(budgeting.compressor, ZSTD_c_compressionLevel, level);
        status = walk(&budgeting, reader, error);
    } else if (reader) {
        trace_report_file(path, error, "out of memory");
    }
    trace_reader_close(reader);
    ZSTD_freeCCtx(budgeting.compressor);
    trace_bytes_free(&budgeting.scratch);
    return status;
}
