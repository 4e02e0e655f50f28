// program_dataflow.c: a program as one stream of operations per thread, each run by a fiber; who
// runs when is the strategy's to say.
//
// What an operation waits for, and nothing else:
//   any operation on an object    the object has been made
//   free, realloc                 every recorded question for the object's usable size
//   a thread's first operation    the thread has been created, where that was recorded
//   join                          the operations of the thread that were recorded before it
// In order `window` also for every operation of any thread whose time is earlier by more than what
// times may deceive.
// Each is an earlier operation in recorded order. Recorded order is therefore one of the orders
// possible, and no order can come to a deadlock unless the allocator does.
//
// The whole program is held in memory, sorted by thread: 48 bytes an operation.
//
// A thread is numbered as recorded, a fiber by the world when it is made; neither depends on an
// address.
#include "program_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY         PROGRAM_NOBODY
#define PROGRESS_STEPS 4096

// Operations of one thread: [first, end) of the sorted ones.
struct stream {
    uint64_t first, end;
    bool is_created; // by an operation CREATE recorded before its first own
};

// In sorted operations, some fields have a second use:
//   peer of FREE, REALLOC    how many questions for the object's usable size come before it
//   new_object of JOIN       how many of the peer's operations come before it
struct program_streams {
    struct program_operation *operations;
    uint64_t *recorded; // each one's number in recorded order
    uint64_t *times_ns; // by recorded number: the greatest time up to there
    uint64_t count;
    struct stream *streams;
    uint32_t thread_count;
    uint64_t unresolved; // operations on objects that do not live, made NOTHING
};

// ---------------------------------------------------------------- reading the program

// A pass over the source. False: the run has failed.
static bool each_operation(struct program_run *run,
                           bool (*visit)(struct program_run *, void *,
                                         const struct program_operation *),
                           void *argument) {
    struct program_source *source = run->source;
    source->rewind(source->self);
    for (;;) {
        ptrdiff_t count = source->next(source->self, run->batch, PROGRAM_BATCH);
        if (count < 0)
            program_run_fail(run, "the source cannot be read");
        if (count <= 0)
            return count == 0;
        for (ptrdiff_t i = 0; i < count; i++)
            if (!visit(run, argument, &run->batch[i]))
                return false;
    }
}

static bool fail_for_memory(struct program_run *run) {
    program_run_fail(run, "out of memory for the program's operations, which order `dataflow` "
                          "holds whole");
    return false;
}

struct counting {
    struct program_streams *streams;
    uint64_t operations;
};

static bool count_operation(struct program_run *run, void *argument,
                            const struct program_operation *operation) {
    struct counting *counting = argument;
    struct stream *streams = counting->streams->streams;
    if (++counting->operations > PROGRAM_DATAFLOW_OPERATIONS_MAX) {
        char text[160];
        snprintf(text, sizeof text,
                 "more than %llu operations: order `dataflow` holds the whole program in memory",
                 (unsigned long long)PROGRAM_DATAFLOW_OPERATIONS_MAX);
        program_run_fail(run, text);
        return false;
    }
    streams[operation->thread].end++;
    if (operation->op == PROGRAM_CREATE && streams[operation->peer].end == 0)
        streams[operation->peer].is_created = true;
    return true;
}

// Turns counts into places; `end` then grows again as operations are put in.
static void lay_out(struct program_streams *streams) {
    uint64_t place = 0;
    for (uint32_t t = 0; t < streams->thread_count; t++) {
        uint64_t count = streams->streams[t].end;
        streams->streams[t].first = streams->streams[t].end = place;
        place += count;
    }
}

struct sorting {
    struct program_streams *streams;
    struct program_objects live; // size: questions for the usable size so far
    uint64_t number;
};

static bool is_creation(uint8_t op) {
    return op == PROGRAM_MALLOC || op == PROGRAM_CALLOC || op == PROGRAM_ALIGNED;
}

// Fills in what the operation waits for. False: no memory.
static bool resolve(struct sorting *sorting, struct program_operation *operation) {
    struct program_object *entry;
    uint8_t op = operation->op;
    if (is_creation(op))
        return program_objects_add(&sorting->live, operation->object) != NULL;
    if (op == PROGRAM_JOIN) {
        const struct stream *peer = &sorting->streams->streams[operation->peer];
        operation->new_object = peer->end - peer->first;
        return true;
    }
    if (op != PROGRAM_FREE && op != PROGRAM_REALLOC && op != PROGRAM_USABLE)
        return true;
    entry = program_objects_find(&sorting->live, operation->object);
    if (entry == NULL) {
        sorting->streams->unresolved++;
        operation->op = op == PROGRAM_REALLOC ? PROGRAM_MALLOC : PROGRAM_NOTHING;
        operation->object = op == PROGRAM_REALLOC ? operation->new_object : operation->object;
        return op != PROGRAM_REALLOC ||
               program_objects_add(&sorting->live, operation->object) != NULL;
    }
    if (op == PROGRAM_USABLE) {
        entry->size++;
        return true;
    }
    operation->peer = entry->size < UINT32_MAX ? (uint32_t)entry->size : UINT32_MAX;
    program_objects_remove(&sorting->live, entry);
    return op == PROGRAM_FREE || program_objects_add(&sorting->live, operation->new_object) != NULL;
}

static bool sort_operation(struct program_run *run, void *argument,
                           const struct program_operation *operation) {
    struct sorting *sorting = argument;
    struct program_streams *streams = sorting->streams;
    struct program_operation sorted = *operation;
    if (!resolve(sorting, &sorted))
        return fail_for_memory(run);
    uint64_t earlier_ns = sorting->number > 0 ? streams->times_ns[sorting->number - 1] : 0;
    streams->times_ns[sorting->number] =
        operation->time_ns > earlier_ns ? operation->time_ns : earlier_ns;
    uint64_t place = streams->streams[operation->thread].end++;
    streams->operations[place] = sorted;
    streams->recorded[place] = sorting->number++;
    return true;
}

static bool count_all(struct program_run *run, struct program_streams *streams) {
    struct counting counting = {.streams = streams};
    streams->thread_count = run->source->threads;
    streams->streams = calloc(streams->thread_count + 1, sizeof *streams->streams);
    if (streams->streams == NULL)
        return fail_for_memory(run);
    if (!each_operation(run, count_operation, &counting))
        return false;
    lay_out(streams);
    streams->operations = malloc((counting.operations + 1) * sizeof *streams->operations);
    streams->recorded = malloc((counting.operations + 1) * sizeof *streams->recorded);
    streams->times_ns = malloc((counting.operations + 1) * sizeof *streams->times_ns);
    streams->count = counting.operations;
    bool made =
        streams->operations != NULL && streams->recorded != NULL && streams->times_ns != NULL;
    return made || fail_for_memory(run);
}

static bool sort_all(struct program_run *run, struct program_streams *streams) {
    struct sorting sorting = {.streams = streams};
    if (!program_objects_init(&sorting.live, run->source->operations))
        return fail_for_memory(run);
    bool sorted = each_operation(run, sort_operation, &sorting);
    program_objects_free(&sorting.live);
    return sorted;
}

void program_streams_free(struct program_streams *streams) {
    if (streams == NULL)
        return;
    free(streams->operations);
    free(streams->recorded);
    free(streams->times_ns);
    free(streams->streams);
    free(streams);
}

static bool prepare_streams(struct program_run *run) {
    if (run->source->streams != NULL)
        return true;
    struct program_streams *streams = calloc(1, sizeof *streams);
    if (streams == NULL)
        return fail_for_memory(run);
    if (!count_all(run, streams) || !sort_all(run, streams)) {
        program_streams_free(streams);
        return false;
    }
    run->source->streams = streams;
    return true;
}

// ---------------------------------------------------------------- the run

struct dataflow;

// A thread of the program while it runs.
struct runner {
    struct dataflow *dataflow;
    uint64_t next; // its next operation
    uint32_t thread;
    uint32_t fiber;        // WORLD_NO_FIBER before it is made
    uint32_t wait_next;    // next thread that waits for the same
    uint32_t first_joiner; // first thread that waits for operations of this one
    bool has_ended;
};

struct dataflow {
    struct program_run *run;
    const struct program_streams *streams;
    struct runner *runners;         // by thread
    struct program_objects usables; // answered: size = questions so far; place = who waits to free
    uint64_t untold_steps;          // since on_progress was told
    // Order `window` only.
    uint8_t *done;         // by recorded number; NULL: another order
    uint64_t first_undone; // recorded number
    uint32_t too_early;    // first thread that waits for earlier operations
};

static struct runner *runner_of(struct dataflow *dataflow, uint32_t thread) {
    return &dataflow->runners[thread];
}

// The caller asked for an early end, or the run cannot go on: nobody waits any longer.
static bool is_over(const struct dataflow *dataflow) {
    return dataflow->run->failed || dataflow->run->result->interrupted;
}

// Wakes a list of waiting threads; each looks again at what it waits for.
static void wake_all(struct dataflow *dataflow, uint32_t first) {
    while (first != NOBODY) {
        struct runner *waiter = runner_of(dataflow, first);
        first = waiter->wait_next;
        world_unpark(dataflow->run->world, waiter->fiber);
    }
}

static void wait_on(struct runner *runner, uint32_t *first_waiter) {
    runner->wait_next = *first_waiter;
    *first_waiter = runner->thread;
    world_park(runner->dataflow->run->world);
}

static void no_memory(struct dataflow *dataflow) {
    program_run_fail(dataflow->run, "out of memory for the table of live objects");
}

// ---------------------------------------------------------------- waiting for an object

static bool exists(const struct dataflow *dataflow, uint64_t object) {
    const struct program_object *entry = program_objects_find(&dataflow->run->objects, object);
    return entry != NULL && entry->state != PROGRAM_OBJECT_AWAITED;
}

static void wait_for_object(struct runner *runner, uint64_t object) {
    struct dataflow *dataflow = runner->dataflow;
    while (!exists(dataflow, object) && !is_over(dataflow)) {
        struct program_objects *objects = &dataflow->run->objects;
        struct program_object *entry = program_objects_find(objects, object);
        if (entry == NULL && (entry = program_objects_add(objects, object)) != NULL) {
            entry->state = PROGRAM_OBJECT_AWAITED;
            entry->place = NOBODY;
        }
        if (entry == NULL)
            no_memory(dataflow);
        else
            wait_on(runner, &entry->place);
    }
}

// ---------------------------------------------------------------- waiting for questions

static struct program_object *usable_entry(struct dataflow *dataflow, uint64_t object) {
    struct program_object *entry = program_objects_find(&dataflow->usables, object);
    if (entry != NULL)
        return entry;
    bool made = dataflow->usables.slots != NULL || program_objects_init(&dataflow->usables, 0);
    entry = made ? program_objects_add(&dataflow->usables, object) : NULL;
    if (entry == NULL)
        no_memory(dataflow);
    else
        entry->place = NOBODY;
    return entry;
}

static void note_question_answered(struct dataflow *dataflow, uint64_t object) {
    struct program_object *entry = usable_entry(dataflow, object);
    if (entry == NULL)
        return;
    uint32_t waiter = entry->place;
    entry->size++;
    entry->place = NOBODY;
    wake_all(dataflow, waiter);
}

static void wait_for_questions(struct runner *runner, uint64_t object, uint64_t questions) {
    struct dataflow *dataflow = runner->dataflow;
    struct program_object *entry;
    while ((entry = usable_entry(dataflow, object)) != NULL && entry->size < questions &&
           !is_over(dataflow))
        wait_on(runner, &entry->place);
    if (entry != NULL)
        program_objects_remove(&dataflow->usables, entry);
}

// ---------------------------------------------------------------- waiting for a thread

static uint64_t operations_done(const struct dataflow *dataflow, uint32_t thread) {
    return dataflow->runners[thread].next - dataflow->streams->streams[thread].first;
}

static void wait_for_thread(struct runner *runner, uint32_t peer, uint64_t operations) {
    const struct runner *other = runner_of(runner->dataflow, peer);
    while (operations_done(runner->dataflow, peer) < operations && !is_over(runner->dataflow))
        wait_on(runner, &runner_of(runner->dataflow, peer)->first_joiner);
    if (other->fiber != WORLD_NO_FIBER)
        world_await(runner->dataflow->run->world, other->fiber);
}

// ---------------------------------------------------------------- waiting for one's time

// Whether an operation that was certainly stamped before this one has not been done.
static bool is_too_early(const struct dataflow *dataflow, uint64_t recorded) {
    const uint64_t *times_ns = dataflow->streams->times_ns;
    uint64_t first = dataflow->first_undone;
    return first < recorded &&
           times_ns[recorded] - times_ns[first] > dataflow->run->source->window_ns;
}

static void wait_for_time(struct runner *runner) {
    struct dataflow *dataflow = runner->dataflow;
    uint64_t recorded = dataflow->streams->recorded[runner->next];
    while (dataflow->done != NULL && is_too_early(dataflow, recorded) && !is_over(dataflow))
        wait_on(runner, &dataflow->too_early);
}

static void note_done(struct dataflow *dataflow, uint64_t recorded) {
    uint64_t before = dataflow->first_undone;
    if (dataflow->done == NULL)
        return;
    dataflow->done[recorded] = 1;
    while (dataflow->first_undone < dataflow->streams->count &&
           dataflow->done[dataflow->first_undone])
        dataflow->first_undone++;
    if (dataflow->first_undone == before)
        return;
    uint32_t waiters = dataflow->too_early;
    dataflow->too_early = NOBODY;
    wake_all(dataflow, waiters);
}

static void wait_for_turn(struct runner *runner, const struct program_operation *operation) {
    wait_for_time(runner);
    switch (operation->op) {
    case PROGRAM_FREE:
    case PROGRAM_REALLOC:
        wait_for_object(runner, operation->object);
        if (operation->peer > 0)
            wait_for_questions(runner, operation->object, operation->peer);
        break;
    case PROGRAM_USABLE:
        wait_for_object(runner, operation->object);
        break;
    case PROGRAM_JOIN:
        wait_for_thread(runner, operation->peer, operation->new_object);
        break;
    default:
        break;
    }
}

// ---------------------------------------------------------------- a thread's fiber

static void start_thread(struct dataflow *dataflow, uint32_t thread);

// What others may have waited for has happened.
static void tell_others(struct runner *runner, const struct program_operation *operation,
                        uint32_t object_waiters) {
    struct dataflow *dataflow = runner->dataflow;
    uint32_t joiners = runner->first_joiner;
    wake_all(dataflow, object_waiters);
    if (operation->op == PROGRAM_USABLE)
        note_question_answered(dataflow, operation->object);
    if (operation->op == PROGRAM_CREATE)
        start_thread(dataflow, operation->peer);
    runner->first_joiner = NOBODY;
    wake_all(dataflow, joiners);
}

static void tell_progress(struct dataflow *dataflow) {
    const struct program_options *options = dataflow->run->options;
    if (options->on_progress == NULL || ++dataflow->untold_steps < PROGRESS_STEPS)
        return;
    dataflow->untold_steps = 0;
    options->on_progress(options->on_progress_self, dataflow->run->result->steps);
}

static void note_next(struct runner *runner) {
    uint64_t *next = runner->dataflow->run->options->next_operations;
    if (next != NULL)
        next[runner->fiber] = runner->dataflow->streams->recorded[runner->next];
}

static void tell_turn(struct runner *runner, const struct program_operation *operation) {
    const struct program_options *options = runner->dataflow->run->options;
    if (options->on_turn != NULL)
        options->on_turn(options->on_turn_self, runner->dataflow->run->world, operation);
}

static void do_operation(struct runner *runner, const struct program_operation *operation) {
    struct program_run *run = runner->dataflow->run;
    program_execute(run, operation);
    uint32_t waiters = run->waiters;
    run->waiters = NOBODY;
    runner->next++;
    tell_others(runner, operation, waiters);
    note_done(runner->dataflow, runner->dataflow->streams->recorded[runner->next - 1]);
    tell_progress(runner->dataflow);
}

// Those who wait would wait for ever.
static void wake_everybody(struct dataflow *dataflow) {
    for (uint32_t t = 0; t < dataflow->streams->thread_count; t++)
        if (dataflow->runners[t].fiber != WORLD_NO_FIBER && !dataflow->runners[t].has_ended)
            world_unpark(dataflow->run->world, dataflow->runners[t].fiber);
}

static void thread_body(void *argument) {
    struct runner *runner = argument;
    struct dataflow *dataflow = runner->dataflow;
    uint64_t end = dataflow->streams->streams[runner->thread].end;
    while (runner->next < end && !is_over(dataflow)) {
        const struct program_operation *operation = &dataflow->streams->operations[runner->next];
        note_next(runner);
        wait_for_turn(runner, operation);
        tell_turn(runner, operation);
        world_operation_point(dataflow->run->world);
        if (is_over(dataflow))
            break;
        do_operation(runner, operation);
        if (program_run_is_stopped(dataflow->run) || dataflow->run->failed)
            wake_everybody(dataflow);
    }
    runner->has_ended = true;
}

static void start_thread(struct dataflow *dataflow, uint32_t thread) {
    const struct stream *stream = &dataflow->streams->streams[thread];
    struct runner *runner = runner_of(dataflow, thread);
    if (runner->fiber != WORLD_NO_FIBER || stream->first == stream->end)
        return;
    runner->fiber = world_spawn(dataflow->run->world, thread_body, runner);
    if (runner->fiber == WORLD_NO_FIBER)
        program_run_fail(dataflow->run, "more threads than the world has fibers for");
    else
        note_next(runner);
}

static bool prepare_runners(struct dataflow *dataflow) {
    const struct program_streams *streams = dataflow->streams;
    dataflow->runners = calloc(streams->thread_count + 1, sizeof *dataflow->runners);
    if (dataflow->runners == NULL)
        return false;
    for (uint32_t t = 0; t < streams->thread_count; t++)
        dataflow->runners[t] = (struct runner){.dataflow = dataflow,
                                               .next = streams->streams[t].first,
                                               .thread = t,
                                               .fiber = WORLD_NO_FIBER,
                                               .wait_next = NOBODY,
                                               .first_joiner = NOBODY};
    if (dataflow->run->options->order == PROGRAM_WINDOW) {
        dataflow->too_early = NOBODY;
        dataflow->done = calloc(streams->count + 1, 1);
        if (dataflow->done == NULL)
            return false;
    }
    return true;
}

static enum world_end run_threads(struct dataflow *dataflow) {
    for (uint32_t t = 0; t < dataflow->streams->thread_count; t++)
        if (!dataflow->streams->streams[t].is_created)
            start_thread(dataflow, t);
    return dataflow->run->failed ? WORLD_DONE : world_run(dataflow->run->world);
}

enum world_end program_run_dataflow(struct program_run *run) {
    struct dataflow dataflow = {.run = run};
    enum world_end end = WORLD_DONE;
    if (!prepare_streams(run))
        return end;
    dataflow.streams = run->source->streams;
    run->result->unresolved += dataflow.streams->unresolved;
    if (prepare_runners(&dataflow))
        end = run_threads(&dataflow);
    else
        no_memory(&dataflow);
    free(dataflow.runners);
    free(dataflow.done);
    program_objects_free(&dataflow.usables);
    return end;
}
