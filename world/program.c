// program.c: the runner: does operations on MF2, and feeds a world in strict order.
//
// Owns: what an operation means (realloc acts whole; calloc'd blocks must be zero; a stamp at both
// ends of a block, where asked, must still be there when the block is given up), and strict order.
// Does not know: which operation may run when, in other orders (program_dataflow.c).
//
// A stamp is the object's number, in the first and in the last 8 bytes asked for, as far as they
// fit: two live blocks that overlap destroy one of each other's stamps. The two ends differ, so
// that a block that is moved as a whole does not go unseen.
#include "program_internal.h"

#include "mf2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFETCH_AHEAD       8
#define STAMP_BYTES          8
#define ZERO_WHOLE_BYTES_MAX 1024 // calloc'd blocks up to this are looked at byte by byte
#define ZERO_SAMPLE_STRIDE   4096 // larger ones at both ends and once in so many bytes
#define PLACE_BYTES          16
#define CHECKED_BLOCKS_MAX   (UINT64_C(1) << 22)

const char *program_op_name(unsigned op) {
    static const char *const names[PROGRAM_OP_COUNT] = {"malloc",  "calloc", "aligned", "free",
                                                        "realloc", "usable", "create",  "start",
                                                        "exit",    "join",   "nothing", "sleep"};
    return op < PROGRAM_OP_COUNT ? names[op] : "?";
}

void program_run_fail(struct program_run *run, const char *what) {
    if (!run->failed && run->source->message[0] == '\0')
        snprintf(run->source->message, sizeof run->source->message, "%s", what);
    run->failed = true;
}

// ---------------------------------------------------------------- stamps and zeroes

static uint64_t head_stamp(uint64_t object) {
    return object ^ UINT64_C(0x48414B0000000000);
}

static uint64_t tail_stamp(uint64_t object) {
    return ~head_stamp(object);
}

static void stamp(char *block, uint64_t size, uint64_t object) {
    uint64_t head = head_stamp(object), tail = tail_stamp(object);
    memcpy(block, &head, size < STAMP_BYTES ? size : STAMP_BYTES);
    if (size >= 2 * STAMP_BYTES)
        memcpy(block + size - STAMP_BYTES, &tail, STAMP_BYTES);
}

// The program has got a block, writes to it, and may give it to anybody.
static void stamp_new(struct program_run *run, char *block, uint64_t size, uint64_t object) {
    world_touch(run->world, block, true);
    stamp(block, size, object);
    world_give(run->world, block);
}

static bool is_stamped(const char *block, uint64_t size, uint64_t object) {
    uint64_t head = head_stamp(object), tail = tail_stamp(object);
    if (memcmp(block, &head, size < STAMP_BYTES ? size : STAMP_BYTES) != 0)
        return false;
    return size < 2 * STAMP_BYTES || memcmp(block + size - STAMP_BYTES, &tail, STAMP_BYTES) == 0;
}

static void check_stamp(struct program_run *run, const char *when, const char *block, uint64_t size,
                        uint64_t object) {
    world_touch(run->world, block, false);
    if (!is_stamped(block, size, object))
        world_violate(run->world, WORLD_ORACLE_BLOCK_STAMP,
                      "object %llu of %llu bytes at offset %llu: its stamp has changed %s",
                      (unsigned long long)object, (unsigned long long)size,
                      (unsigned long long)(block - run->arena), when);
}

static bool is_zero(const char *bytes, uint64_t count) {
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static bool is_zero_block(const char *block, uint64_t size) {
    if (size <= ZERO_WHOLE_BYTES_MAX)
        return is_zero(block, size);
    for (uint64_t i = 0; i < size; i += ZERO_SAMPLE_STRIDE)
        if (!is_zero(block + i, size - i < 64 ? size - i : 64))
            return false;
    return is_zero(block + size - 64, 64);
}

static void check_zero(struct program_run *run, const char *block, uint64_t size, uint64_t object) {
    if (!is_zero_block(block, size))
        world_violate(run->world, WORLD_ORACLE_BLOCK_STAMP,
                      "object %llu of %llu bytes at offset %llu: calloc gave a block that is not "
                      "zero",
                      (unsigned long long)object, (unsigned long long)size,
                      (unsigned long long)(block - run->arena));
}

// ---------------------------------------------------------------- one operation

static char *block_of(const struct program_run *run, const struct program_object *entry) {
    return run->arena + (uint64_t)entry->place * PLACE_BYTES;
}

static void *call_allocator(const struct program_operation *operation) {
    switch (operation->op) {
    case PROGRAM_CALLOC:
        return mf2_calloc(1, operation->size);
    case PROGRAM_ALIGNED:
        return mf2_aligned_alloc((size_t)1 << operation->align_log2, operation->size);
    default:
        return mf2_malloc(operation->size);
    }
}

// MF2 gave a place that is none of its own: it must not be written to.
static bool is_outside(struct program_run *run, const char *block, uint64_t size) {
    uint64_t bytes = run->result->state->arena_bytes;
    uint64_t offset = (uint64_t)((uintptr_t)block - (uintptr_t)run->arena);
    bool outside = block != NULL && (offset >= bytes || size > bytes - offset);
    if (outside)
        world_violate(run->world, WORLD_ORACLE_BLOCK_STAMP,
                      "a block of %llu bytes was given out that is not in the arena",
                      (unsigned long long)size);
    return outside;
}

// Enters an object that the recorded program now has; block NULL: here it found no memory.
static bool enter_object(struct program_run *run, uint64_t object, uint64_t size,
                         uint8_t align_log2, const char *block) {
    struct program_object *entry = program_objects_add(&run->objects, object);
    if (entry == NULL) {
        program_run_fail(run, "out of memory for the table of live objects");
        return false;
    }
    if (entry->state == PROGRAM_OBJECT_AWAITED)
        run->waiters = entry->place;
    entry->size = size;
    entry->align_log2 = align_log2;
    entry->state = block == NULL ? PROGRAM_OBJECT_FAILED : PROGRAM_OBJECT_LIVE;
    entry->place = block == NULL ? 0 : (uint32_t)((uint64_t)(block - run->arena) / PLACE_BYTES);
    return true;
}

static void note_made(struct program_run *run, struct program_done *done, const char *block) {
    done->made = block != NULL;
    done->result = block == NULL ? WORLD_NO_OFFSET : (uint64_t)(block - run->arena);
}

static void do_allocate(struct program_run *run, const struct program_operation *operation,
                        struct program_done *done) {
    char *block = call_allocator(operation);
    if (is_outside(run, block, operation->size))
        block = NULL;
    if (block != NULL && operation->op == PROGRAM_CALLOC)
        check_zero(run, block, operation->size, operation->object);
    if (block != NULL && run->options->stamps)
        stamp_new(run, block, operation->size, operation->object);
    uint8_t align_log2 = operation->op == PROGRAM_ALIGNED ? operation->align_log2 : 0;
    done->align_log2 = align_log2;
    note_made(run, done, block);
    enter_object(run, operation->object, operation->size, align_log2, block);
}

// Takes an object out of the table before MF2 is called, so that nothing of the table is held
// across a point. False: the program has no such object.
static bool leave_object(struct program_run *run, uint64_t object, struct program_object *copy) {
    struct program_object *entry = program_objects_find(&run->objects, object);
    if (entry == NULL || entry->state == PROGRAM_OBJECT_AWAITED)
        return false;
    *copy = *entry;
    program_objects_remove(&run->objects, entry);
    return true;
}

static void note_released(struct program_done *done, const struct program_object *entry) {
    done->released = true;
    done->released_size = entry->size;
    done->released_align_log2 = entry->align_log2;
}

static void do_free(struct program_run *run, const struct program_operation *operation,
                    struct program_done *done) {
    struct program_object entry;
    done->result = WORLD_NO_OFFSET;
    if (!leave_object(run, operation->object, &entry)) {
        program_meter_unresolved(run->result);
        return;
    }
    if (entry.state == PROGRAM_OBJECT_FAILED)
        return;
    char *block = block_of(run, &entry);
    world_take(run->world, block);
    if (run->options->stamps)
        check_stamp(run, "before its free", block, entry.size, operation->object);
    note_released(done, &entry);
    done->result = (uint64_t)(block - run->arena);
    mf2_free(block);
}

// What of the old stamp realloc must have kept.
static void check_moved_stamp(struct program_run *run, const char *block, uint64_t size,
                              const struct program_object *old, uint64_t object) {
    if (size >= old->size) {
        check_stamp(run, "by its realloc", block, old->size, object);
        return;
    }
    uint64_t head = head_stamp(object);
    if (memcmp(block, &head, size < STAMP_BYTES ? size : STAMP_BYTES) != 0)
        world_violate(run->world, WORLD_ORACLE_BLOCK_STAMP,
                      "object %llu: its first bytes have changed by its realloc to %llu bytes",
                      (unsigned long long)object, (unsigned long long)size);
}

// Without memory for the new size the program keeps the old block under the new number, so that it
// is freed when the recorded one was.
static void do_realloc_block(struct program_run *run, const struct program_operation *operation,
                             const struct program_object *old, struct program_done *done) {
    char *block = block_of(run, old);
    world_take(run->world, block);
    if (run->options->stamps)
        check_stamp(run, "before its realloc", block, old->size, operation->object);
    uint64_t size = operation->size > 0 ? operation->size : 1;
    char *moved = mf2_realloc(block, size);
    if (is_outside(run, moved, size))
        moved = NULL;
    note_made(run, done, moved);
    if (moved == NULL) {
        enter_object(run, operation->new_object, old->size, old->align_log2, block);
        if (run->options->stamps)
            stamp_new(run, block, old->size, operation->new_object);
        return;
    }
    note_released(done, old);
    if (run->options->stamps) {
        check_moved_stamp(run, moved, size, old, operation->object);
        stamp_new(run, moved, size, operation->new_object);
    }
    done->size = size;
    enter_object(run, operation->new_object, size, 0, moved);
}

static void do_realloc(struct program_run *run, const struct program_operation *operation,
                       struct program_done *done) {
    struct program_object old;
    if (!leave_object(run, operation->object, &old)) {
        program_meter_unresolved(run->result);
        old.state = PROGRAM_OBJECT_FAILED;
    }
    if (old.state == PROGRAM_OBJECT_LIVE) {
        do_realloc_block(run, operation, &old, done);
        return;
    }
    struct program_operation fresh = *operation;
    fresh.op = PROGRAM_MALLOC;
    fresh.object = operation->new_object;
    do_allocate(run, &fresh, done);
}

static void do_usable(struct program_run *run, const struct program_operation *operation,
                      struct program_done *done) {
    const struct program_object *entry = program_objects_find(&run->objects, operation->object);
    done->result = WORLD_NO_OFFSET;
    if (entry == NULL || entry->state == PROGRAM_OBJECT_AWAITED)
        program_meter_unresolved(run->result);
    else if (entry->state == PROGRAM_OBJECT_LIVE) {
        world_take(run->world, block_of(run, entry));
        done->result = mf2_usable_size(block_of(run, entry));
    }
}

static void do_exit(struct program_run *run, uint32_t thread) {
    if (!program_meter_exit(run->result, thread))
        program_run_fail(run, "out of memory for the table of threads");
    mf2_thread_exit();
}

static void call(struct program_run *run, const struct program_operation *operation,
                 struct program_done *done) {
    switch (operation->op) {
    case PROGRAM_MALLOC:
    case PROGRAM_CALLOC:
    case PROGRAM_ALIGNED:
        do_allocate(run, operation, done);
        break;
    case PROGRAM_FREE:
        do_free(run, operation, done);
        break;
    case PROGRAM_REALLOC:
        do_realloc(run, operation, done);
        break;
    case PROGRAM_USABLE:
        do_usable(run, operation, done);
        break;
    case PROGRAM_EXIT:
        do_exit(run, operation->thread);
        break;
    case PROGRAM_SLEEP:
        world_sleep(run->world, operation->size);
        break;
    default: // CREATE, START, JOIN, NOTHING: no work of the allocator
        break;
    }
}

void program_execute(struct program_run *run, const struct program_operation *operation) {
    const struct program_options *options = run->options;
    bool on_thread = operation->op == PROGRAM_CREATE || operation->op == PROGRAM_JOIN;
    struct program_done done = {.step = program_meter_step(run->result),
                                .object = on_thread ? operation->peer : operation->object,
                                .size = operation->size,
                                .thread = operation->thread,
                                .op = operation->op};
    if (options->clock_follows_trace)
        world_clock_advance(run->world, operation->time_ns);
    if (options->on_operation != NULL)
        options->on_operation(options->on_operation_self, run->world, operation);
    call(run, operation, &done);
    if (!program_meter_operation(run->result, &done))
        program_run_fail(run, "out of memory for the table of threads");
}

// ---------------------------------------------------------------- strict order

static void prefetch_object(const struct program_run *run, const struct program_operation *ahead) {
    program_objects_prefetch(&run->objects, ahead->object);
}

// False: the run is over.
static bool run_batch(struct program_run *run, const struct program_operation *operations,
                      size_t count) {
    uint32_t acting = WORLD_NO_FIBER;
    for (size_t i = 0; i < count; i++) {
        if (i + PREFETCH_AHEAD < count)
            prefetch_object(run, &operations[i + PREFETCH_AHEAD]);
        if (operations[i].thread != acting) {
            acting = operations[i].thread;
            world_act_as(run->world, acting);
        }
        program_execute(run, &operations[i]);
        world_step_helper(run->world);
        if (run->failed || world_violation(run->world) != NULL)
            return false;
    }
    return true;
}

bool program_run_is_stopped(struct program_run *run) {
    if (run->options->stop == NULL || *run->options->stop == 0)
        return false;
    run->result->interrupted = true;
    return true;
}

static void strict_body(void *argument) {
    struct program_run *run = argument;
    const struct program_options *options = run->options;
    bool goes_on = true;
    while (goes_on) {
        ptrdiff_t count = run->source->next(run->source->self, run->batch, PROGRAM_BATCH);
        if (count < 0)
            program_run_fail(run, "the source cannot be read");
        if (count <= 0)
            return;
        goes_on = run_batch(run, run->batch, (size_t)count) && !program_run_is_stopped(run);
        if (options->on_progress != NULL)
            options->on_progress(options->on_progress_self, run->result->steps);
    }
}

// Under world_call, which MF2's own failure leaves without returning here: whatever the body needs
// afterwards belongs to the run.
static enum world_end run_strict(struct program_run *run) {
    run->source->rewind(run->source->self);
    return world_call(run->world, strict_body, run);
}

static enum world_end run_order(struct program_run *run) {
    switch (run->options->order) {
    case PROGRAM_STRICT:
        return run_strict(run);
    case PROGRAM_WINDOW:
        if (run->source->window_ns == UINT64_MAX) {
            program_run_fail(run, "order `window` needs to know how far times of two threads may "
                                  "deceive, which this program does not say");
            return WORLD_DONE;
        }
        return program_run_dataflow(run);
    default:
        return program_run_dataflow(run);
    }
}

// At the end: MF2 counts exactly the blocks that the program still holds as given out.
static enum world_end check_live_blocks(struct program_run *run, enum world_end end) {
    const struct program_objects *objects = &run->objects;
    if (end != WORLD_DONE || run->failed || objects->count > CHECKED_BLOCKS_MAX)
        return end;
    void **blocks = malloc((objects->count + 1) * sizeof *blocks);
    if (blocks == NULL)
        return end;
    size_t count = 0;
    for (uint64_t i = 0; i < UINT64_C(1) << (64 - objects->shift); i++)
        if (objects->slots[i].key != 0 && objects->slots[i].state == PROGRAM_OBJECT_LIVE)
            blocks[count++] = block_of(run, &objects->slots[i]);
    bool fine = run->result->at_rest = world_check_blocks(run->world, blocks, count);
    if (fine && run->options->rests) {
        end = world_rest(run->world);
        fine = end == WORLD_DONE && world_check_blocks(run->world, blocks, count);
    }
    free(blocks);
    return fine ? end : end == WORLD_DONE ? WORLD_VIOLATION : end;
}

enum world_end program_run(struct world *world, struct program_source *source,
                           const struct program_options *options, struct program_result **result) {
    struct program_operation batch[PROGRAM_BATCH]; // not in the run, which begins as zero
    struct program_run run = {.world = world,
                              .source = source,
                              .options = options,
                              .waiters = PROGRAM_NOBODY,
                              .arena = (char *)world_mf2(world),
                              .batch = batch};
    source->message[0] = '\0';
    enum world_end end = WORLD_DONE;
    run.result = program_meter_begin(world, options, source->operations);
    if (run.result == NULL || !program_objects_init(&run.objects, source->operations))
        program_run_fail(&run, "out of memory for the run");
    else {
        run.result->objects = &run.objects;
        end = check_live_blocks(&run, run_order(&run));
    }
    if (run.result != NULL)
        end = program_meter_end(run.result, end);
    program_objects_free(&run.objects);
    if (run.failed) {
        program_result_free(run.result);
        run.result = NULL;
    }
    *result = run.result;
    return end;
}
