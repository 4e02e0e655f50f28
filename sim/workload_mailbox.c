// workload_mailbox.c: N producers allocate, N consumers free: every block is freed by another
// thread than its owner's.
//
// A producer fills a batch of blocks and puts it into the mailbox, which holds `queue` batches;
// a consumer takes the oldest and frees its blocks. Producers wait while the mailbox is full,
// consumers while it is empty. When all producers are done, main puts in one empty batch for each
// consumer, which ends it.
//
// After xmalloc-test by Lever and Boreham, whose mailbox is a stack; first in, first out here, so
// that no block's life depends on how many waited.
#include "workload.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH, QUEUE, BATCHES, MIN, MAX };

static const struct workload_parameter parameters[] = {
    [BATCH] = {"batch", 4096, 1, 1u << 20, "blocks in a batch"},
    [QUEUE] = {"queue", 100, 1, 1u << 16, "batches that the mailbox holds"},
    [BATCHES] = {"batches", 20, 1, 1u << 30, "batches of each producer"},
    [MIN] = {"min", 16, 1, 1u << 30, "least size, bytes"},
    [MAX] = {"max", 1024, 1, 1u << 30, "sizes stay below this, bytes"},
};

enum { SEMAPHORE_ROOM, SEMAPHORE_FILLED, SEMAPHORE_LOCK, SEMAPHORE_PRODUCED, SEMAPHORE_CONSUMED };

struct mailbox;

// One producer and its consumer: only their threads touch these.
struct pair {
    struct mailbox *mailbox;
    struct sim_lran2 random;
    uint64_t allocations, frees, local_frees, batches;
};

struct mailbox {
    struct workload_settings settings;
    struct workload_host host;
    struct pair *pairs;
    struct workload_block **ring; // batches; NULL in it ends a consumer; guarded by SEMAPHORE_LOCK
    uint64_t put, taken;          // likewise
    _Atomic bool failed;
};

static uint64_t value(const struct mailbox *mailbox, int parameter) {
    return mailbox->settings.values[parameter];
}

static const char *refuse(const struct workload_settings *settings) {
    return workload_refuse_sizes(settings->values[MIN], settings->values[MAX]);
}

static uint64_t threads(const struct workload_settings *settings) {
    return 1 + 2 * (uint64_t)settings->threads;
}

static void wait(struct mailbox *mailbox, uint32_t semaphore) {
    mailbox->host.wait(mailbox->host.self, semaphore);
}

static void post(struct mailbox *mailbox, uint32_t semaphore) {
    mailbox->host.post(mailbox->host.self, semaphore);
}

static void put(struct mailbox *mailbox, struct workload_block *batch) {
    wait(mailbox, SEMAPHORE_ROOM);
    wait(mailbox, SEMAPHORE_LOCK);
    mailbox->ring[mailbox->put++ % value(mailbox, QUEUE)] = batch;
    post(mailbox, SEMAPHORE_LOCK);
    post(mailbox, SEMAPHORE_FILLED);
}

static struct workload_block *take(struct mailbox *mailbox) {
    wait(mailbox, SEMAPHORE_FILLED);
    wait(mailbox, SEMAPHORE_LOCK);
    struct workload_block *batch = mailbox->ring[mailbox->taken++ % value(mailbox, QUEUE)];
    post(mailbox, SEMAPHORE_LOCK);
    post(mailbox, SEMAPHORE_ROOM);
    return batch;
}

static void fill(struct pair *pair, struct workload_block *block) {
    const struct workload_host *host = &pair->mailbox->host;
    size_t bytes =
        workload_draw_size(&pair->random, value(pair->mailbox, MIN), value(pair->mailbox, MAX));
    if (!host->allocate(host->self, bytes, block)) {
        pair->mailbox->failed = true;
        return;
    }
    host->write(host->self, block);
    pair->allocations++;
}

static void produce(void *argument) {
    struct pair *pair = argument;
    struct mailbox *mailbox = pair->mailbox;
    for (uint64_t i = 0; i < value(mailbox, BATCHES) && !mailbox->failed; i++) {
        struct workload_block *batch = calloc(value(mailbox, BATCH), sizeof *batch);
        if (!batch) {
            mailbox->failed = true;
            break;
        }
        for (uint64_t place = 0; place < value(mailbox, BATCH); place++)
            fill(pair, &batch[place]);
        put(mailbox, batch);
        pair->batches++;
    }
    post(mailbox, SEMAPHORE_PRODUCED);
}

static void empty(struct pair *pair, struct workload_block *block) {
    const struct workload_host *host = &pair->mailbox->host;
    if (!block->address)
        return;
    if (block->thread == host->thread(host->self))
        pair->local_frees++;
    host->release(host->self, block);
    pair->frees++;
}

static void consume(void *argument) {
    struct pair *pair = argument;
    struct mailbox *mailbox = pair->mailbox;
    for (struct workload_block *batch = take(mailbox); batch; batch = take(mailbox)) {
        for (uint64_t place = 0; place < value(mailbox, BATCH); place++)
            empty(pair, &batch[place]);
        free(batch);
    }
    post(mailbox, SEMAPHORE_CONSUMED);
}

static void start(struct mailbox *mailbox, workload_body *body, uint32_t i, uint32_t at_end) {
    if (mailbox->host.spawn(mailbox->host.self, body, &mailbox->pairs[i]))
        return;
    mailbox->failed = true;
    post(mailbox, at_end);
}

static void main_body(void *argument) {
    struct mailbox *mailbox = argument;
    const struct workload_host *host = &mailbox->host;
    host->set(host->self, SEMAPHORE_ROOM, value(mailbox, QUEUE));
    host->set(host->self, SEMAPHORE_FILLED, 0);
    host->set(host->self, SEMAPHORE_LOCK, 1);
    host->set(host->self, SEMAPHORE_PRODUCED, 0);
    host->set(host->self, SEMAPHORE_CONSUMED, 0);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++) {
        start(mailbox, consume, i, SEMAPHORE_CONSUMED);
        start(mailbox, produce, i, SEMAPHORE_PRODUCED);
    }
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        wait(mailbox, SEMAPHORE_PRODUCED);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        put(mailbox, NULL);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        wait(mailbox, SEMAPHORE_CONSUMED);
}

// What a run that was stopped early has left in the mailbox.
static void drop_batches(struct mailbox *mailbox) {
    for (; mailbox->taken < mailbox->put; mailbox->taken++)
        free(mailbox->ring[mailbox->taken % value(mailbox, QUEUE)]);
}

static void end(void *run) {
    struct mailbox *mailbox = run;
    if (!mailbox)
        return;
    if (mailbox->ring)
        drop_batches(mailbox);
    free(mailbox->ring);
    free(mailbox->pairs);
    free(mailbox);
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        return NULL;
    mailbox->settings = *settings;
    mailbox->host = *host;
    mailbox->ring = calloc(value(mailbox, QUEUE), sizeof *mailbox->ring);
    mailbox->pairs = calloc(settings->threads, sizeof *mailbox->pairs);
    if (!mailbox->ring || !mailbox->pairs) {
        end(mailbox);
        return NULL;
    }
    for (uint32_t i = 0; i < settings->threads; i++) {
        mailbox->pairs[i].mailbox = mailbox;
        sim_lran2_begin(&mailbox->pairs[i].random, settings->seed + i);
    }
    return mailbox;
}

static size_t counts(const void *run, struct workload_count *counts_out) {
    const struct mailbox *mailbox = run;
    struct workload_count sums[] = {
        {"allocations", 0}, {"frees", 0}, {"local_frees", 0}, {"batches", 0}};
    for (uint32_t i = 0; i < mailbox->settings.threads; i++) {
        sums[0].value += mailbox->pairs[i].allocations;
        sums[1].value += mailbox->pairs[i].frees;
        sums[2].value += mailbox->pairs[i].local_frees;
        sums[3].value += mailbox->pairs[i].batches;
    }
    memcpy(counts_out, sums, sizeof sums);
    return sizeof sums / sizeof sums[0];
}

static bool failed(const void *run) {
    return ((const struct mailbox *)run)->failed;
}

const struct workload workload_mailbox = {
    .name = "mailbox",
    .meaning = "producers allocate batches of blocks, consumers free them",
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof parameters[0],
    .refuse = refuse,
    .threads = threads,
    .begin = begin,
    .main = main_body,
    .counts = counts,
    .failed = failed,
    .end = end,
};
