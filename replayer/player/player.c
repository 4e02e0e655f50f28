// player.c: hakplayer, the process in which an allocator is measured. Started by `hakreplay
// measure` once for every repetition, with the allocator preloaded.
//
// Owns: the start, the threads' lives, the end, the figures. Everything is mapped and written
// before the gate opens; the allocator's start-up has then happened too, as it has in a program's
// main.
#include "player_internal.h"

#include "player_os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPINS       200
#define CLOCK_TRIES 1000

struct player player;
_Thread_local struct player_stream *player_self;

// ---------------------------------------------------------------- failures

static bool is_first_failure(enum player_failure failure) {
    uint32_t none = PLAYER_FAILURE_NONE;
    return atomic_compare_exchange_strong(&player.board->failure, &none, failure);
}

static void say_where(uint64_t value) {
    struct player_board *board = player.board;
    board->failed_stream =
        player_self == NULL ? PLAYER_NO_STREAM : (uint32_t)(player_self - board->streams);
    board->failed_place = player_self == NULL ? 0 : player_place(player_self);
    board->failed_value = value;
}

void player_fail(enum player_failure failure, uint64_t value, const char *format, ...) {
    if (is_first_failure(failure)) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(player.board->failure_text, sizeof player.board->failure_text, format, arguments);
        va_end(arguments);
        say_where(value);
    }
    player_os_leave(PLAYER_EXIT_FAILED);
}

// In a signal handler: no formatting.
static void note_crash(int signal_number) {
    if (is_first_failure(PLAYER_FAILURE_SIGNAL))
        say_where((uint64_t)signal_number);
    player_os_leave(PLAYER_EXIT_FAILED);
}

// ---------------------------------------------------------------- threads

static void wait_for(_Atomic uint32_t *word, uint32_t least) {
    uint32_t value;
    while ((value = atomic_load_explicit(word, memory_order_acquire)) < least)
        player_os_wait(word, value);
}

static bool play_stream(struct player_stream *stream) {
    player_self = stream;
    bool exits = player_play(stream);
    atomic_store_explicit(&stream->state, PLAYER_WAITING, memory_order_relaxed); // for the end
    if (atomic_fetch_sub(&player.board->unfinished, 1) == 1)
        player_os_wake(&player.board->unfinished);
    return exits;
}

static void live(void *stream) {
    wait_for(&player.board->gate, 1);
    if (!play_stream(stream))
        wait_for(&player.board->gate, 2);
}

void player_begin_stream(struct player_stream *stream) {
    int error = player_os_thread(stream, stream->is_joined, &stream->thread);
    if (error != 0)
        player_fail(PLAYER_FAILURE_HARNESS, (uint64_t)error, "cannot make a thread: %s",
                    strerror(error));
    // Pairs with player_join: the thread's name is there before its life is told.
    atomic_store_explicit(&stream->life, 1, memory_order_release);
    player_os_wake(&stream->life);
}

// ---------------------------------------------------------------- the start

static _Noreturn void give_up(const char *what) {
    fprintf(stderr, "hakplayer: %s\n", what);
    exit(2);
}

static void *map_or_fail(uint64_t bytes, const char *what) {
    void *memory = player_os_map(bytes);
    if (memory == NULL)
        player_fail(PLAYER_FAILURE_HARNESS, bytes, "cannot map %llu bytes for %s",
                    (unsigned long long)bytes, what);
    return memory;
}

static void map_board(int file) {
    struct player_board *head = player_os_map_file(file, sizeof *head, true, true);
    if (head == NULL)
        give_up("cannot map the board");
    size_t bytes = player_board_bytes(head->options.stream_count);
    player.board = player_os_map_file(file, bytes, true, true);
    if (player.board == NULL)
        give_up("cannot map the board");
    player.options = &player.board->options;
}

static void map_plan(int file) {
    const struct player_options *options = player.options;
    player.plan_file = file;
    if (options->plan_is_held) {
        player.plan = player_os_map_file(file, options->plan_bytes, false, true);
        if (player.plan == NULL)
            player_fail(PLAYER_FAILURE_HARNESS, options->plan_bytes, "cannot map the plan");
        return;
    }
    player.window_bytes = options->block_bytes_max + PLAYER_PADDING_BYTES;
}

static void map_slots(void) {
    const struct player_options *options = player.options;
    uint64_t own = 0;
    for (uint32_t i = 0; i < options->stream_count; i++) {
        player.board->streams[i].own_first = own;
        own += player.board->streams[i].own_slots;
    }
    player.own_slots = map_or_fail(own * sizeof *player.own_slots, "the streams' blocks");
    player.shared_slots =
        map_or_fail(options->shared_slots * sizeof *player.shared_slots, "blocks handed over");
    if (!options->is_checked)
        return;
    player.own_contents = map_or_fail(own * sizeof *player.own_contents, "the blocks' contents");
    player.shared_contents = map_or_fail(options->shared_slots * sizeof *player.shared_contents,
                                         "the contents of blocks handed over");
}

static void load_allocator(void) {
    if (player.options->is_null) {
        if (!player_serve_nothing(player.options->block_size_max, &player.calls))
            player_fail(PLAYER_FAILURE_HARNESS, player.options->block_size_max,
                        "cannot map the one block");
    } else if (!player_serve_allocator(player.board, &player.calls)) {
        atomic_store(&player.board->failure, PLAYER_FAILURE_LIBRARY);
        player_os_leave(PLAYER_EXIT_FAILED);
    }
}

static void begin_streams(void) {
    struct player_board *board = player.board;
    uint32_t unfinished = 0;
    for (uint32_t i = 0; i < player.options->stream_count; i++)
        unfinished += board->streams[i].first_words > 0;
    atomic_store(&board->unfinished, unfinished);
    for (uint32_t i = 0; i < player.options->stream_count; i++)
        if (board->streams[i].begins && i != player.options->main_stream)
            player_begin_stream(&board->streams[i]);
}

// ---------------------------------------------------------------- the play and its figures

// What two looks at the counter take with nothing between them, at least.
static uint64_t clock_ticks(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        uint64_t began = player_ticks();
        uint64_t ticks = player_ticks() - began;
        least = ticks < least ? ticks : least;
    }
    return least;
}

static void wait_for_streams(void) {
    uint32_t unfinished;
    while ((unfinished = atomic_load_explicit(&player.board->unfinished, memory_order_acquire)) > 0)
        player_os_wait(&player.board->unfinished, unfinished);
}

static void play(void) {
    struct player_results *results = &player.board->results;
    struct player_stream *main_stream = &player.board->streams[player.options->main_stream];
    uint64_t minor, major;
    player_os_reset_peak();
    results->ready = player_os_memory();
    player_os_faults(&minor, &major);
    atomic_store(&player.board->phase, PLAYER_PLAYING);
    uint64_t processor_ns = player_os_processor_ns(), ticks = player_ticks();
    player.began_ns = player_os_clock_ns();
    atomic_store_explicit(&player.board->gate, 1, memory_order_release);
    player_os_wake(&player.board->gate);
    if (main_stream->first_words > 0)
        play_stream(main_stream);
    wait_for_streams();
    results->wall_ns = player_os_clock_ns() - player.began_ns;
    results->ticks = player_ticks() - ticks;
    results->processor_ns = player_os_processor_ns() - processor_ns;
    player_os_faults(&results->minor_faults, &results->major_faults);
    results->minor_faults -= minor;
    results->major_faults -= major;
    results->played = player_os_memory();
}

static void rest(void) {
    atomic_store(&player.board->phase, PLAYER_RESTING);
    if (player.options->idle_ns > 0)
        player_os_sleep_until(player_os_clock_ns() + player.options->idle_ns);
    player.board->results.rested = player_os_memory();
}

int main(int argc, char **argv) {
    if (argc != 3)
        give_up("is started by hakreplay measure, with its plan and its board");
    map_board(atoi(argv[2]));
    player_os_threads_run(live);
    if (!player_os_catch_crashes(note_crash) || !player_os_barrier_prepare())
        player_fail(PLAYER_FAILURE_HARNESS, 0,
                    "expected a kernel with membarrier, and memory for a signal stack");
    load_allocator();
    map_plan(atoi(argv[1]));
    map_slots();
    player.spins = player_os_cores() > 1 ? SPINS : 0;
    player.board->results.clock_ticks = clock_ticks();
    begin_streams();
    atomic_store(&player.board->phase, PLAYER_READY);
    play();
    rest();
    atomic_store(&player.board->phase, PLAYER_DONE);
    player_os_leave(0);
}
