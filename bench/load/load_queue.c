// load_queue.c: producers allocate batches of blocks, consumers free them: mailbox, producer →
// consumer, reclaimer. No block is freed by the thread that allocated it.
//
// A group has its own producers, consumers and batches. A producer takes an empty batch, fills it
// and passes it on; a consumer frees what is in it and gives it back. So the number of batches
// bounds what is in flight. In memory mode consumers first wait until every batch of every group is
// full, so that the greatest number of live bytes does not depend on who is faster.
#include "block.h"
#include "channel.h"

struct batch {
    bool is_last; // not filled again: its blocks are retired
    struct load_block blocks[];
};

struct group {
    struct channel empty, filled;
    uint32_t batches;
    _Atomic uint32_t producing;  // producers that have not ended
    _Atomic uint64_t to_produce; // memory mode: batches that all producers still have to fill
};

struct queues {
    struct group *groups;
    pthread_barrier_t all_full; // memory mode: the consumers meet here before they begin
};

static uint32_t members(const struct load_row *row) {
    return row->producers + row->consumers;
}

static struct group *group_of(const struct load_thread *thread) {
    struct queues *queues = thread->run->work;
    return &queues->groups[thread->number / members(thread->run->row)];
}

static struct batch *map_batch(const struct load_row *row) {
    return load_map(sizeof(struct batch) + row->batch * sizeof(struct load_block));
}

static void begin_group(struct load_run *run, struct group *group, uint32_t batches) {
    const struct load_row *row = run->row;
    uint32_t limit = batches + row->consumers;
    channel_begin(&group->empty, load_map(limit * sizeof(void *)), limit);
    channel_begin(&group->filled, load_map(limit * sizeof(void *)), limit);
    group->batches = batches;
    atomic_init(&group->producing, row->producers);
    atomic_init(&group->to_produce, run->rounds * row->producers);
    for (uint32_t i = 0; i < batches; i++)
        channel_put(&group->empty, map_batch(row));
}

static void queue_set_up(struct load_run *run) {
    const struct load_row *row = run->row;
    uint32_t groups = row->threads / members(row);
    struct queues *queues = run->work = load_map(sizeof *queues);
    queues->groups = load_map(groups * sizeof *queues->groups);
    for (uint32_t i = 0; i < groups; i++)
        begin_group(run, &queues->groups[i], run->slots / groups / row->batch);
    pthread_barrier_init(&queues->all_full, NULL, groups * row->consumers);
}

static void produce(struct load_thread *thread, struct group *group) {
    const struct load_row *row = thread->run->row;
    while (load_more(thread)) {
        struct batch *batch = channel_take(&group->empty);
        for (uint32_t i = 0; i < row->batch; i++)
            batch->blocks[i] = block_new(thread, block_random_size(thread), row->touch);
        if (thread->memory)
            batch->is_last = atomic_fetch_sub(&group->to_produce, 1) <= group->batches;
        channel_put(&group->filled, batch);
    }
    if (atomic_fetch_sub(&group->producing, 1) == 1)
        for (uint32_t i = 0; i < row->consumers; i++)
            channel_put(&group->filled, NULL);
}

static void consume_batch(struct load_thread *thread, struct batch *batch) {
    const struct load_row *row = thread->run->row;
    for (uint32_t i = 0; i < row->batch; i++) {
        if (batch->is_last)
            block_retire(thread, &batch->blocks[i], i);
        else
            block_free(thread, &batch->blocks[i], row->touch);
    }
}

// Each group's first consumer sees to its own group.
static void await_full(struct load_thread *thread, struct group *group) {
    const struct load_row *row = thread->run->row;
    struct queues *queues = thread->run->work;
    if (thread->number % members(row) == row->producers)
        channel_await(&group->filled, group->batches);
    pthread_barrier_wait(&queues->all_full);
}

static void consume(struct load_thread *thread, struct group *group) {
    if (thread->memory)
        await_full(thread, group);
    for (;;) {
        struct batch *batch = channel_take(&group->filled);
        if (!batch)
            return;
        consume_batch(thread, batch);
        channel_put(&group->empty, batch);
    }
}

static void queue_body(struct load_thread *thread) {
    const struct load_row *row = thread->run->row;
    struct group *group = group_of(thread);
    if (thread->number % members(row) < row->producers)
        produce(thread, group);
    else
        consume(thread, group);
}

const struct load_family load_queue = {queue_set_up, NULL, NULL, queue_body, NULL};
