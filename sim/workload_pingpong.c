// workload_pingpong.c: pairs of threads that free each other's blocks, and hungry third parties.
//
// pingpong: every thread of a pair fills a batch and gives it to its partner, then frees the batch
// that its partner has given it, and so on. Of a batch, `handed` per cent is given away; the rest
// the thread frees itself, after the exchange. It is the seed document's A and B.
//
// adopters: the same, and threads that are idle most of the time. Every `idle` exchanges of one
// thread one of them, in turn, is woken, frees what it took the time before, allocates `hunger`
// blocks, and is idle again with these in its hands. It is the seed document's C.
//
// Idleness is in exchanges, not in time, so that the same operations come about on any machine.
#include "workload_queue.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH, EXCHANGES, HANDED, MIN, MAX, ADOPTERS, HUNGER, IDLE };

static const struct workload_parameter parameters[] = {
    [BATCH] = {"batch", 500, 1, 1u << 20, "blocks in a batch"},
    [EXCHANGES] = {"exchanges", 100, 1, 1u << 30, "batches that each thread fills"},
    [HANDED] = {"handed", 100, 0, 100, "per cent of a batch that the partner frees"},
    [MIN] = {"min", 2048, 1, 1u << 30, "least size, bytes"},
    [MAX] = {"max", 32768, 1, 1u << 30, "sizes stay below this, bytes"},
    [ADOPTERS] = {"adopters", 2, 1, 4096, "threads that are idle between their meals"},
    [HUNGER] = {"hunger", 100, 1, 1u << 20, "blocks that an adopter takes at a time"},
    [IDLE] = {"idle", 4, 1, 1u << 30, "exchanges of one thread between two wakings"},
};
#define PINGPONG_PARAMETERS ADOPTERS

// Behind them: every player's inbox, then one for each adopter.
enum { SEMAPHORE_START, SEMAPHORE_PLAYED, SEMAPHORE_FED, SEMAPHORE_INBOXES };

struct game;

// Only its own thread touches a player, except for its inbox.
struct player {
    struct game *game;
    struct player *partner;
    struct workload_queue inbox;
    struct workload_batch given, kept, taken;
    struct sim_lran2 random;
    uint64_t allocations, frees, local_frees, wakings;
    char apart[WORKLOAD_APART];
};

struct adopter {
    struct game *game;
    uint32_t semaphore;
    uint64_t meals_due;
    struct workload_batch held;
    struct sim_lran2 random;
    uint64_t allocations, frees, meals;
    char apart[WORKLOAD_APART];
};

struct game {
    struct workload_settings settings;
    struct workload_host host;
    struct player *players;
    struct adopter *adopters;
    uint32_t player_count, adopter_count;
    _Atomic uint32_t next_adopter; // whose turn it is to be woken
    bool incomplete;               // written before anybody starts: a thread is missing
    _Atomic bool failed;
};

static uint64_t value(const struct game *game, int parameter) {
    return game->settings.values[parameter];
}

static void wait(struct game *game, uint32_t semaphore) {
    game->host.wait(game->host.self, semaphore);
}

static void post(struct game *game, uint32_t semaphore) {
    game->host.post(game->host.self, semaphore);
}

// ---------------------------------------------------------------- settings

static const char *refuse(const struct workload_settings *settings) {
    return workload_refuse_sizes(settings->values[MIN], settings->values[MAX]);
}

static uint64_t threads(const struct workload_settings *settings) {
    return 1 + 2 * (uint64_t)settings->threads + settings->values[ADOPTERS];
}

static uint64_t semaphores(const struct workload_settings *settings) {
    return SEMAPHORE_INBOXES + WORKLOAD_QUEUE_SEMAPHORES * 2 * (uint64_t)settings->threads +
           settings->values[ADOPTERS];
}

// ---------------------------------------------------------------- blocks

static bool fill(struct game *game, struct sim_lran2 *random, struct workload_batch *batch) {
    bool filled = workload_fill(&game->host, random, value(game, MIN), value(game, MAX),
                                &batch->blocks[batch->count++]);
    if (!filled)
        game->failed = true;
    return filled;
}

// Returns how many blocks were the calling thread's own.
static uint64_t empty(struct game *game, struct workload_batch *batch, uint64_t *frees) {
    uint32_t self = game->host.thread(game->host.self);
    uint64_t local = 0;
    for (uint64_t i = 0; i < batch->count; i++) {
        if (!batch->blocks[i].address)
            continue;
        local += batch->blocks[i].thread == self;
        game->host.release(game->host.self, &batch->blocks[i]);
        ++*frees;
    }
    batch->count = 0;
    return local;
}

// ---------------------------------------------------------------- players

// The blocks handed over are spread evenly over the batch.
static bool is_handed(const struct game *game, uint64_t place) {
    uint64_t percent = value(game, HANDED);
    return (place + 1) * percent / 100 > place * percent / 100;
}

static void fill_batch(struct player *player) {
    struct game *game = player->game;
    for (uint64_t i = 0; i < value(game, BATCH) && !game->failed; i++)
        player->allocations +=
            fill(game, &player->random, is_handed(game, i) ? &player->given : &player->kept);
}

static void wake_an_adopter(struct player *player, uint64_t exchange) {
    struct game *game = player->game;
    if (game->adopter_count == 0 || exchange % value(game, IDLE) != 0)
        return;
    uint32_t turn = atomic_fetch_add(&game->next_adopter, 1) % game->adopter_count;
    player->wakings++;
    post(game, game->adopters[turn].semaphore);
}

// Goes on after a failure: the partner waits for its batch. Nobody begins where one is missing.
static void play(void *argument) {
    struct player *player = argument;
    struct game *game = player->game;
    wait(game, SEMAPHORE_START);
    for (uint64_t i = 1; i <= value(game, EXCHANGES) && !game->incomplete; i++) {
        fill_batch(player);
        workload_queue_put(&player->partner->inbox, &player->given);
        workload_queue_take(&player->inbox, &player->taken);
        player->local_frees += empty(game, &player->taken, &player->frees);
        player->local_frees += empty(game, &player->kept, &player->frees);
        wake_an_adopter(player, i);
    }
    post(game, SEMAPHORE_PLAYED);
}

// ---------------------------------------------------------------- adopters

static void eat(struct adopter *adopter) {
    struct game *game = adopter->game;
    empty(game, &adopter->held, &adopter->frees);
    for (uint64_t i = 0; i < value(game, HUNGER) && !game->failed; i++)
        adopter->allocations += fill(game, &adopter->random, &adopter->held);
    adopter->meals++;
}

static void adopt(void *argument) {
    struct adopter *adopter = argument;
    struct game *game = adopter->game;
    wait(game, SEMAPHORE_START);
    for (uint64_t i = 0; i < adopter->meals_due && !game->incomplete; i++) {
        wait(game, adopter->semaphore);
        eat(adopter);
    }
    empty(game, &adopter->held, &adopter->frees);
    post(game, SEMAPHORE_FED);
}

// ---------------------------------------------------------------- main

static void start(struct game *game, workload_body *body, void *argument, uint32_t at_end) {
    if (game->host.spawn(game->host.self, body, argument))
        return;
    game->failed = game->incomplete = true;
    post(game, at_end);
}

static void main_body(void *argument) {
    struct game *game = argument;
    const struct workload_host *host = &game->host;
    host->set(host->self, SEMAPHORE_START, 0);
    host->set(host->self, SEMAPHORE_PLAYED, 0);
    host->set(host->self, SEMAPHORE_FED, 0);
    for (uint32_t i = 0; i < game->player_count; i++)
        workload_queue_open(&game->players[i].inbox);
    for (uint32_t i = 0; i < game->adopter_count; i++)
        host->set(host->self, game->adopters[i].semaphore, 0);
    for (uint32_t i = 0; i < game->player_count; i++)
        start(game, play, &game->players[i], SEMAPHORE_PLAYED);
    for (uint32_t i = 0; i < game->adopter_count; i++)
        start(game, adopt, &game->adopters[i], SEMAPHORE_FED);
    for (uint32_t i = 0; i < game->player_count + game->adopter_count; i++)
        post(game, SEMAPHORE_START);
    for (uint32_t i = 0; i < game->player_count; i++)
        wait(game, SEMAPHORE_PLAYED);
    for (uint32_t i = 0; i < game->adopter_count; i++)
        wait(game, SEMAPHORE_FED);
}

// ---------------------------------------------------------------- life

static void end(void *run) {
    struct game *game = run;
    if (!game)
        return;
    for (uint32_t i = 0; game->players && i < game->player_count; i++) {
        struct player *player = &game->players[i];
        workload_batch_free(&player->given);
        workload_batch_free(&player->kept);
        workload_batch_free(&player->taken);
        workload_queue_free(&player->inbox);
    }
    for (uint32_t i = 0; game->adopters && i < game->adopter_count; i++)
        workload_batch_free(&game->adopters[i].held);
    free(game->players);
    free(game->adopters);
    free(game);
}

static bool make_player(struct game *game, uint32_t i) {
    struct player *player = &game->players[i];
    uint64_t batch = value(game, BATCH);
    player->game = game;
    player->partner = &game->players[i ^ 1];
    sim_lran2_begin(&player->random, game->settings.seed + i);
    return workload_batch_make(&player->given, batch) &&
           workload_batch_make(&player->kept, batch) &&
           workload_batch_make(&player->taken, batch) &&
           workload_queue_make(&player->inbox, &game->host,
                               SEMAPHORE_INBOXES + WORKLOAD_QUEUE_SEMAPHORES * i, 1, batch);
}

static bool make_adopter(struct game *game, uint32_t i) {
    struct adopter *adopter = &game->adopters[i];
    adopter->game = game;
    adopter->semaphore = SEMAPHORE_INBOXES + WORKLOAD_QUEUE_SEMAPHORES * game->player_count + i;
    uint64_t wakings = game->player_count * (value(game, EXCHANGES) / value(game, IDLE));
    adopter->meals_due = (wakings + game->adopter_count - 1 - i) / game->adopter_count;
    sim_lran2_begin(&adopter->random, game->settings.seed + game->player_count + i);
    return workload_batch_make(&adopter->held, value(game, HUNGER));
}

static bool make_all(struct game *game) {
    game->players = calloc(game->player_count, sizeof *game->players);
    game->adopters = calloc(game->adopter_count + 1, sizeof *game->adopters);
    bool made = game->players && game->adopters;
    for (uint32_t i = 0; made && i < game->player_count; i++)
        made = make_player(game, i);
    for (uint32_t i = 0; made && i < game->adopter_count; i++)
        made = make_adopter(game, i);
    return made;
}

static void *begin(const struct workload_settings *settings, const struct workload_host *host) {
    struct game *game = calloc(1, sizeof *game);
    if (!game)
        return NULL;
    game->settings = *settings;
    game->host = *host;
    game->player_count = 2 * settings->threads;
    game->adopter_count = (uint32_t)settings->values[ADOPTERS];
    if (make_all(game))
        return game;
    end(game);
    return NULL;
}

static size_t counts(const void *run, struct workload_count *counts_out) {
    const struct game *game = run;
    struct workload_count sums[] = {{"allocations", 0}, {"frees", 0}, {"local_frees", 0},
                                    {"wakings", 0},     {"meals", 0}, {"adopter_allocations", 0}};
    for (uint32_t i = 0; i < game->player_count; i++) {
        sums[0].value += game->players[i].allocations;
        sums[1].value += game->players[i].frees;
        sums[2].value += game->players[i].local_frees;
        sums[3].value += game->players[i].wakings;
    }
    for (uint32_t i = 0; i < game->adopter_count; i++) {
        sums[1].value += game->adopters[i].frees;
        sums[2].value += game->adopters[i].frees; // an adopter frees nothing but its own
        sums[4].value += game->adopters[i].meals;
        sums[5].value += game->adopters[i].allocations;
    }
    memcpy(counts_out, sums, sizeof sums);
    return sizeof sums / sizeof sums[0];
}

static bool failed(const void *run) {
    return ((const struct game *)run)->failed;
}

const struct workload workload_pingpong = {
    .name = "pingpong",
    .meaning = "N pairs of threads that free each other's blocks",
    .parameters = parameters,
    .parameter_count = PINGPONG_PARAMETERS,
    .refuse = refuse,
    .threads = threads,
    .semaphores = semaphores,
    .begin = begin,
    .main = main_body,
    .counts = counts,
    .failed = failed,
    .end = end,
};

const struct workload workload_adopters = {
    .name = "adopters",
    .meaning = "pingpong, and idle threads that wake, allocate, and are idle again",
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
