// haktrace_import_glibc.c: the workload files of glibc's malloc trace (trace2wl, trace_run).
//
// Such a file is bytes: a code, then its numbers, seven bits a byte, the highest first, all but the
// last byte with bit 7 set. A first program allocates tables and names where each thread's program
// begins; these run side by side, ordered only where one waits (SYNC_R n) for another (SYNC_W n).
//
// Owns: one legal order: threads take turns, one call each, one that waits being passed over. The
// source has no times: a call is a tick, and the clock a counter.
#include "haktrace_import.h"

#include <stdlib.h>

enum code {
    CODE_NOP = 0,
    CODE_DONE = 1,
    CODE_MALLOC = 2,
    CODE_CALLOC = 3,
    CODE_REALLOC = 4,
    CODE_FREE = 5,
    CODE_SYNC_W = 6,
    CODE_SYNC_R = 7,
    CODE_ALLOC_PTRS = 8,
    CODE_ALLOC_SYNCS = 9,
    CODE_NTHREADS = 10,
    CODE_START_THREAD = 11,
    CODE_MEMALIGN = 12,
    CODE_VALLOC = 13,
    CODE_PVALLOC = 14,
    CODE_POSIX_MEMALIGN = 15,
    CODE_COUNT = 16
};
// How many numbers follow a code.
static const uint8_t number_counts[CODE_COUNT] = {
    [CODE_MALLOC] = 2,   [CODE_CALLOC] = 2,         [CODE_REALLOC] = 3,    [CODE_FREE] = 1,
    [CODE_SYNC_W] = 1,   [CODE_SYNC_R] = 1,         [CODE_ALLOC_PTRS] = 1, [CODE_ALLOC_SYNCS] = 1,
    [CODE_NTHREADS] = 1, [CODE_START_THREAD] = 1,   [CODE_MEMALIGN] = 3,   [CODE_VALLOC] = 2,
    [CODE_PVALLOC] = 2,  [CODE_POSIX_MEMALIGN] = 3,
};
enum { NUMBERS_MAX = 3, PAGE_BYTES = 4096 };

struct step {
    uint64_t at; // in the file
    unsigned code;
    uint64_t numbers[NUMBERS_MAX];
};

// A thread's part of the file.
struct program {
    uint64_t at; // where its next step begins
    size_t next; // that waits for the same sync, + 1
    bool done;
};

struct workload {
    struct haktrace_import *import;
    struct trace_file file;
    uint8_t *data;
    uint64_t size;
    struct program *programs;
    size_t program_count, program_capacity;
    size_t *ready, ready_count; // programs that take turns
    uint64_t steps;             // taken so far
    // By number: `size` is 1 when it has been written; before, `address` is the first program that
    // waits for it, + 1.
    struct live_table syncs;
};

static int fail(const struct workload *workload, uint64_t at, const char *expected) {
    struct trace_place place = {workload->import->options->path, at};
    return trace_fail(&place, &workload->import->error, "expected %s", expected);
}

static int load(struct workload *workload) {
    struct trace_error *error = &workload->import->error;
    size_t got;
    if (trace_file_open(&workload->file, workload->import->options->path, error))
        return -1;
    workload->size = workload->file.size_bytes;
    workload->data = malloc(workload->size + 1);
    if (!workload->data)
        return trace_fail_file(workload->import->options->path, error, "out of memory");
    if (trace_file_read(&workload->file, 0, workload->data, workload->size, &got, error))
        return -1;
    workload->size = got;
    return 0;
}

// The step at *at, which is moved behind it.
static int take_step(const struct workload *workload, uint64_t *at, struct step *step) {
    *step = (struct step){.at = *at};
    if (*at >= workload->size)
        return fail(workload, *at, "a code, found the end of the file");
    step->code = workload->data[(*at)++];
    if (step->code >= CODE_COUNT)
        return fail(workload, step->at, "a code below 16");
    for (unsigned i = 0; i < number_counts[step->code]; i++) {
        uint64_t value = 0;
        for (bool more = true; more;) {
            if (*at >= workload->size)
                return fail(workload, *at, "the rest of a number, found the end of the file");
            if (value >> 57)
                return fail(workload, *at, "numbers of 64 bits at most");
            more = workload->data[*at] & 0x80;
            value = value << 7 | (workload->data[(*at)++] & 0x7f);
        }
        step->numbers[i] = value;
        if (value == UINT64_MAX)
            return fail(workload, step->at, "numbers below 2^64 - 1");
    }
    return 0;
}

static bool add_program(struct workload *workload, uint64_t at) {
    if (workload->program_count == workload->program_capacity) {
        size_t capacity = workload->program_capacity ? 2 * workload->program_capacity : 64;
        struct program *grown = realloc(workload->programs, capacity * sizeof *grown);
        if (!grown)
            return false;
        workload->programs = grown;
        workload->program_capacity = capacity;
    }
    workload->programs[workload->program_count++] = (struct program){.at = at};
    return true;
}

static int read_head(struct workload *workload) {
    uint64_t at = 0;
    struct step step;
    do {
        if (take_step(workload, &at, &step))
            return -1;
        switch (step.code) {
        case CODE_START_THREAD:
            if (step.numbers[0] >= workload->size)
                return fail(workload, step.at, "a thread that begins within the file");
            if (!add_program(workload, step.numbers[0]))
                return fail(workload, step.at, "memory for another thread, found none");
            break;
        case CODE_NOP:
        case CODE_DONE:
        case CODE_ALLOC_PTRS:
        case CODE_ALLOC_SYNCS:
        case CODE_NTHREADS:
            break;
        default:
            return fail(workload, step.at, "a workload that begins with tables and threads");
        }
    } while (step.code != CODE_DONE);
    return 0;
}

static int perform(struct workload *workload, uint32_t thread, const struct step *step) {
    struct haktrace_import *import = workload->import;
    const uint64_t *numbers = step->numbers;
    struct haktrace_block block = {.number = numbers[0], .size = numbers[1], .op = TRACE_MALLOC};
    switch (step->code) {
    case CODE_MALLOC:
        block.entry = TRACE_ENTRY_MALLOC;
        break;
    case CODE_CALLOC:
        block.op = TRACE_CALLOC;
        block.entry = TRACE_ENTRY_CALLOC;
        break;
    case CODE_MEMALIGN:
    case CODE_POSIX_MEMALIGN:
        block.op = TRACE_ALIGNED;
        block.align = numbers[1];
        block.size = numbers[2];
        block.entry =
            step->code == CODE_MEMALIGN ? TRACE_ENTRY_MEMALIGN : TRACE_ENTRY_POSIX_MEMALIGN;
        break;
    case CODE_VALLOC:
    case CODE_PVALLOC:
        block.op = TRACE_ALIGNED;
        block.align = PAGE_BYTES;
        block.entry = step->code == CODE_VALLOC ? TRACE_ENTRY_VALLOC : TRACE_ENTRY_PVALLOC;
        break;
    case CODE_REALLOC:
        return haktrace_import_realloc(import, thread, numbers[0], numbers[1], numbers[2]);
    case CODE_FREE:
        return haktrace_import_free(import, thread, numbers[0], TRACE_ENTRY_FREE);
    default:
        return 0;
    }
    return haktrace_import_allocate(import, thread, &block);
}

static struct live_object *sync_of(struct workload *workload, uint64_t number) {
    struct live_object *sync = trace_live_find(&workload->syncs, number);
    if (sync)
        return sync;
    struct live_object added = {.key = number + 1};
    return trace_live_add(&workload->syncs, &added) ? trace_live_find(&workload->syncs, number)
                                                    : NULL;
}

enum turn { TURN_READY, TURN_WAITS, TURN_DONE, TURN_FAILED };

// A step that orders threads; TURN_READY if the program goes on.
static enum turn synchronise(struct workload *workload, size_t index, const struct step *step) {
    struct live_object *sync = sync_of(workload, step->numbers[0]);
    if (!sync) {
        fail(workload, step->at, "memory for another sync, found none");
        return TURN_FAILED;
    }
    if (step->code == CODE_SYNC_R && !sync->size) {
        workload->programs[index].next = sync->address;
        sync->address = index + 1;
        return TURN_WAITS;
    }
    if (step->code == CODE_SYNC_W && !sync->size) {
        for (size_t i = sync->address; i; i = workload->programs[i - 1].next)
            workload->ready[workload->ready_count++] = i - 1;
        sync->size = 1;
    }
    return TURN_READY;
}

// Runs a program's next call, and what orders it before that.
static enum turn run_turn(struct workload *workload, size_t index) {
    struct step step;
    for (;;) {
        struct program *program = &workload->programs[index];
        uint64_t next = program->at;
        if (take_step(workload, &next, &step))
            return TURN_FAILED;
        if (++workload->steps > 2 * workload->size) { // each waits once at most
            fail(workload, step.at, "threads' programs that do not overlap");
            return TURN_FAILED;
        }
        if (step.code == CODE_DONE) {
            program->done = true;
            return TURN_DONE;
        }
        if (step.code == CODE_SYNC_W || step.code == CODE_SYNC_R) {
            enum turn turn = synchronise(workload, index, &step);
            if (turn != TURN_READY)
                return turn;
        }
        program->at = next;
        if (step.code >= CODE_MALLOC && step.code != CODE_SYNC_W && step.code != CODE_SYNC_R)
            break;
    }
    uint32_t thread;
    if (haktrace_import_thread(workload->import, index, &thread) ||
        perform(workload, thread, &step))
        return TURN_FAILED;
    workload->import->time_ticks++;
    return TURN_READY;
}

// One turn of every program that was ready when the round began.
static int run_round(struct workload *workload) {
    size_t count = workload->ready_count, kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t index = workload->ready[i];
        enum turn turn = run_turn(workload, index);
        if (turn == TURN_FAILED)
            return -1;
        if (turn == TURN_READY)
            workload->ready[kept++] = index;
    }
    // What has been woken stands behind.
    memmove(workload->ready + kept, workload->ready + count,
            (workload->ready_count - count) * sizeof *workload->ready);
    workload->ready_count -= count - kept;
    return 0;
}

static int run_programs(struct workload *workload) {
    // A program stands in `ready` once, but a woken one may do so before its round is compacted.
    workload->ready = malloc((2 * workload->program_count + 1) * sizeof *workload->ready);
    if (!workload->ready)
        return fail(workload, 0, "memory for its threads, found none");
    for (size_t i = 0; i < workload->program_count; i++)
        workload->ready[workload->ready_count++] = i;
    while (workload->ready_count > 0)
        if (run_round(workload))
            return -1;
    for (size_t i = 0; i < workload->program_count; i++)
        if (!workload->programs[i].done)
            return fail(workload, workload->programs[i].at,
                        "a thread that writes what this one waits for, found none");
    return 0;
}

int haktrace_import_glibc(struct haktrace_import *import) {
    struct workload workload = {.import = import, .file = {.descriptor = -1}};
    int status = -1;
    if (!trace_live_begin(&workload.syncs))
        trace_report_file(import->options->path, &import->error, "out of memory");
    else if (!load(&workload) && !read_head(&workload) &&
             !haktrace_import_begin(import, import->options->path, 1000, "counter", false))
        status = run_programs(&workload);
    trace_live_free(&workload.syncs);
    free(workload.programs);
    free(workload.ready);
    free(workload.data);
    if (workload.file.path)
        trace_file_close(&workload.file, NULL);
    return status;
}
