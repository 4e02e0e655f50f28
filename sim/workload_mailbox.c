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
#include "workload_queue.h"

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

enum { SEMAPHORE_PRODUCED, SEMAPHORE_CONSUMED, SEMAPHORE_QUEUE };

struct mailbox;

// One producer and its consumer: only their threads touch these.
struct pair {
    struct mailbox *mailbox;
    struct sim_lran2 random;
    struct workload_batch produced;
    uint64_t allocations, batches;
    char apart[WORKLOAD_APART];
    struct workload_batch consumed;
    uint64_t frees, local_frees;
    char apart_from_next[WORKLOAD_APART];
};

struct mailbox {
    struct workload_settings settings;
    struct workload_host host;
    struct pair *pairs;
    struct workload_queue queue; // an empty batch in it ends a consumer
    struct workload_batch nothing;
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

static uint64_t semaphores(const struct workload_settings *settings) {
    (void)settings;
    return SEMAPHORE_QUEUE + WORKLOAD_QUEUE_SEMAPHORES;
}

static void wait(struct mailbox *mailbox, uint32_t semaphore) {
    mailbox->host.wait(mailbox->host.self, semaphore);
}

static void post(struct mailbox *mailbox, uint32_t semaphore) {
    mailbox->host.post(mailbox->host.self, semaphore);
}

static void fill(struct pair *pair) {
    const struct workload_host *host = &pair->mailbox->host;
    struct workload_block *block = &pair->produced.blocks[pair->produced.count++];
    if (workload_fill(host, &pair->random, value(pair->mailbox, MIN), value(pair->mailbox, MAX),
                      block))
        pair->allocations++;
    else
        pair->mailbox->failed = true;
}

static void produce(void *argument) {
    struct pair *pair = argument;
    struct mailbox *mailbox = pair->mailbox;
    for (uint64_t i = 0; i < value(mailbox, BATCHES) && !mailbox->failed; i++) {
        while (pair->produced.count < value(mailbox, BATCH))
            fill(pair);
        workload_queue_put(&mailbox->queue, &pair->produced);
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
    struct workload_batch *batch = &pair->consumed;
    for (;;) {
        workload_queue_take(&pair->mailbox->queue, batch);
        if (batch->count == 0)
            break;
        for (uint64_t place = 0; place < batch->count; place++)
            empty(pair, &batch->blocks[place]);
        batch->count = 0;
    }
    post(pair->mailbox, SEMAPHORE_CONSUMED);
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
    workload_queue_open(&mailbox->queue);
    host->set(host->self, SEMAPHORE_PRODUCED, 0);
    host->set(host->self, SEMAPHORE_CONSUMED, 0);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++) {
        start(mailbox, consume, i, SEMAPHORE_CONSUMED);
        start(mailbox, produce, i, SEMAPHORE_PRODUCED);
    }
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        wait(mailbox, SEMAPHORE_PRODUCED);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        workload_queue_put(&mailbox->queue, &mailbox->nothing);
    for (uint32_t i = 0; i < mailbox->settings.threads; i++)
        wait(mailbox, SEMAPHORE_CONSUMED);
}

static void end(void *run) {
    struct mailbox *mailbox = run;
    if (!mailbox)
        return;
    for (uint32_t i = 0; mailbox->pairs && i < mailbox->settings.threads; i++) {
        workload_batch_free(&mailbox->pairs[i].produced);
        workload_batch_free(&mailbox->pairs[i].consumed);
    }
    workload_batch_free(&mailbox->nothing);
    workload_queue_free(&mailbox->queue);
    free(mailbox->pairs);
    free(mailbox);
}

static bool make_pairs(struct mailbox *mailbox) {
    bool made = mailbox->pairs != NULL;
    for (uint32_t i = 0; made && i < mailbox->settings.threads; i++) {
        struct pair *pair = &mailbox->pairs[i];
        pair->mailbox = mailbox;
        sim_lran2_begin(&pair->random, mailbox->settings.seed + i);
        made = workload_batch_make(&pair->produced, value(mailbox, BATCH)) &&
               workload_batch_make(&pair->consumed, value(mailbox, BATCH));
    }
    return made;
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        return NULL;
    mailbox->settings = *settings;
    mailbox->host = *host;
    mailbox->pairs = calloc(settings->threads, sizeof *mailbox->pairs);
    if (make_pairs(mailbox) && workload_batch_make(&mailbox->nothing, value(mailbox, BATCH)) &&
        workload_queue_make(&mailbox->queue, &mailbox->host, SEMAPHORE_QUEUE, value(mailbox, QUEUE),
                            value(mailbox, BATCH)))
        return mailbox;
    end(mailbox);
    return NULL;
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
    .meaning = "N producers allocate batches of blocks, N consumers free them",
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof parameters[0],
    .refuse = refuse,
    .threads = threads,
    .semaphores = semaphores,
    .begin = begin,
    .main = main_body,
    .counts = counts,
    .failed = failed,
    .end = end,
};
