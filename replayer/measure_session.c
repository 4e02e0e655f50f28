// measure_session.c: repetitions. Each subject first plays once with all contents checked, untimed:
// what fails there is its failure, and the others go on. Then rounds: every subject once, each
// round beginning with another, until every wall-time interval is narrow enough or the budget is
// spent.
//
// A look at the clock takes as long as a call or two. So what a whole play takes and what single
// calls take come from different plays; those of the second kind, which also rest at their end and
// are looked at for the series, are made in the first rounds only. At the recorded pace one play
// does for both.
#include "measure.h"

#include "replayer_os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLED_ROUNDS    7 // an interval needs so many; more would cost their idle time
#define SAMPLE_EVERY      32
#define LOOK_NS_SERIES    2000000u
#define LOOK_NS_TIMED     50000000u
#define NOT_BEGUN         0
#define EXIT_BY_ALLOCATOR "ended the process with status %d"

enum kind_of_play {
    FOR_CONTENTS, // checked
    FOR_TIME,
    FOR_CALLS, // single ones timed; rests
    FOR_ALL,   // FOR_TIME and FOR_CALLS in one
};

static bool is_for_calls(enum kind_of_play kind) {
    return kind == FOR_CALLS || kind == FOR_ALL;
}

// ---------------------------------------------------------------- one repetition

static void fill_board(const struct measure_session *session, struct player_board *board,
                       const struct measure_subject *subject, enum kind_of_play kind) {
    const struct measure_settings *settings = session->settings;
    const struct measure_plan *plan = &session->plan;
    struct player_options *options = &board->options;
    *options = (struct player_options){
        .plan_bytes = plan->bytes,
        .block_bytes_max = plan->block_bytes_max,
        .shared_slots = plan->shared_slots,
        .block_size_max = settings->touch == PLAYER_TOUCH_NONE ? 0 : plan->block_size_max,
        .idle_ns = is_for_calls(kind) ? (uint64_t)(settings->idle_s * 1e9) : 0,
        .stream_count = plan->stream_count,
        .sample_every = is_for_calls(kind) ? SAMPLE_EVERY : 0,
        .touch = settings->touch,
        .plan_is_held = plan->bytes <= settings->held_bytes_max,
        .is_checked = kind == FOR_CONTENTS,
        .is_null = subject->is_null,
        .is_paced = settings->is_paced,
        .has_aligned = plan->has_aligned};
    for (int i = 0; i < 64; i++)
        options->touched_part[i] = (uint16_t)(settings->touched_part[i] * UINT16_MAX);
    snprintf(options->library, sizeof options->library, "%s", subject->library);
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        struct player_stream *stream = &board->streams[i];
        const struct measure_stream *planned = &plan->streams[i];
        stream->first_block = planned->first_block;
        stream->first_words = planned->first_words;
        stream->own_slots = planned->own_slots;
        stream->begins = planned->begins && planned->first_words > 0;
        stream->is_joined = planned->is_joined;
    }
}

// Changes whenever a call ends or a sleeping thread begins to play.
static uint64_t progress_of(const struct player_board *board) {
    uint64_t sum = atomic_load(&board->phase);
    for (uint32_t i = 0; i < board->options.stream_count; i++)
        sum = sum * 31 + player_place(&board->streams[i]);
    return sum;
}

// What a stall is blamed on: the first stream that is in a call, rather than waiting for another.
static uint32_t stalled_stream(const struct player_board *board) {
    for (uint32_t i = 0; i < board->options.stream_count; i++) {
        const struct player_stream *stream = &board->streams[i];
        if (player_place(stream) != NOT_BEGUN && atomic_load(&stream->state) == 0)
            return i;
    }
    return PLAYER_NO_STREAM;
}

struct watch {
    uint64_t began_ns, moved_ns, progress, look_ns, limit_ns;
    bool keeps_series;
};

static void keep_sample(const struct measure_session *session, struct measure_subject *subject,
                        const struct measure_process *process, struct watch *watch,
                        uint64_t now_ns) {
    if (subject->series_count == MEASURE_SERIES_MAX) {
        for (uint32_t i = 0; i < MEASURE_SERIES_MAX / 2; i++)
            subject->series[i] = subject->series[2 * i];
        subject->series_count = MEASURE_SERIES_MAX / 2;
        watch->look_ns *= 2;
    }
    subject->series[subject->series_count++] =
        (struct measure_sample){now_ns - watch->began_ns, measure_os_resident(process),
                                measure_plan_live_bytes(&session->plan, process->board)};
}

// Until the process ends; false: it stalled, or the user interrupted.
static bool wait_for_end(const struct measure_session *session, struct measure_subject *subject,
                         struct measure_process *process, struct watch *watch, int *status) {
    watch->began_ns = watch->moved_ns = replay_os_clock_ns();
    while (!measure_os_ended(process, watch->look_ns, status)) {
        uint64_t now_ns = replay_os_clock_ns(), progress = progress_of(process->board);
        uint32_t phase = atomic_load(&process->board->phase);
        if (progress != watch->progress || phase == PLAYER_RESTING)
            watch->moved_ns = now_ns;
        watch->progress = progress;
        if (watch->keeps_series && phase >= PLAYER_PLAYING)
            keep_sample(session, subject, process, watch, now_ns);
        if (now_ns - watch->moved_ns > watch->limit_ns || replay_os_interrupted)
            return false;
    }
    return true;
}

// ---------------------------------------------------------------- failures

// " at operation N of the trace (thread T: malloc of S bytes)"
static void say_place(struct measure_session *session, uint64_t offset, char *text, size_t size) {
    struct measure_place place;
    text[0] = '\0';
    if (offset == 0)
        return;
    measure_plan_find(session->source, session->settings, offset, &place);
    if (place.found)
        snprintf(text, size,
                 " at operation %llu of the trace (thread %u: %s, object %llu, %llu bytes)",
                 (unsigned long long)place.number, place.operation.thread,
                 program_op_name(place.operation.op), (unsigned long long)place.operation.object,
                 (unsigned long long)place.operation.size);
}

static void note_failure(struct measure_session *session, struct measure_subject *subject,
                         const struct measure_process *process, bool stalled, int status) {
    const struct player_board *board = process->board;
    char place[200] = "", line[200], what[300];
    uint64_t offset = board->failed_place;
    measure_os_last_line(process, line, sizeof line);
    uint32_t failure = atomic_load(&board->failure);
    if (failure == PLAYER_FAILURE_SIGNAL) {
        snprintf(what, sizeof what, "crashed: %s", strsignal((int)board->failed_value));
    } else if (failure != PLAYER_FAILURE_NONE) {
        snprintf(what, sizeof what, "%s", board->failure_text);
    } else if (stalled) {
        uint32_t stream = stalled_stream(board);
        offset = stream == PLAYER_NO_STREAM ? 0 : player_place(&board->streams[stream]);
        snprintf(what, sizeof what, "hangs: nothing done for %.0f s%s", session->settings->stall_s,
                 atomic_load(&board->phase) < PLAYER_PLAYING ? " before the first operation" : "");
    } else if ((status & 0x7f) != 0) {
        snprintf(what, sizeof what, "killed: %s", strsignal(status & 0x7f));
    } else {
        snprintf(what, sizeof what, EXIT_BY_ALLOCATOR, status >> 8);
    }
    say_place(session, offset, place, sizeof place);
    bool adds = line[0] != '\0' && strstr(what, line) == NULL;
    snprintf(subject->failure, sizeof subject->failure, "%.250s%.180s%s%.70s", what, place,
             adds ? ": " : "", adds ? line : "");
    subject->is_refused = failure == PLAYER_FAILURE_LIBRARY;
    if (failure == PLAYER_FAILURE_HARNESS || subject->is_null)
        snprintf(session->trouble, sizeof session->trouble,
                 "%s: the player could not go on: %.300s", subject->name, subject->failure);
}

// ---------------------------------------------------------------- keeping

static void keep_time(struct measure_subject *subject, const struct player_board *board) {
    const struct player_results *results = &board->results;
    // The rest of what is resident was there before and only grows with the library's own pages.
    uint64_t others = results->played.file + results->played.shared;
    uint64_t peak = results->played.peak > others ? results->played.peak - others : 0;
    if (peak < results->played.anonymous)
        peak = results->played.anonymous;
    subject->repetitions[subject->count++] =
        (struct measure_repetition){.results = *results, .peak_anonymous = peak};
    snprintf(subject->version, sizeof subject->version, "%s", board->version);
}

// Of the repetition kept last.
static void keep_calls(struct measure_subject *subject, const struct player_board *board) {
    struct measure_repetition *repetition = &subject->repetitions[subject->count - 1];
    const struct player_results *results = &board->results;
    double ns_per_tick =
        results->ticks == 0 ? 0 : (double)results->wall_ns / (double)results->ticks;
    for (int call = 0; call < PLAYER_CALL_COUNT; call++)
        measure_latencies(board, (enum player_call)call, ns_per_tick, repetition->latency_ns[call]);
    repetition->call_ns_mean = measure_latency_mean(board, ns_per_tick);
    repetition->idle_bytes = results->rested.anonymous;
    repetition->is_sampled = true;
}

static void keep(struct measure_subject *subject, const struct player_board *board,
                 enum kind_of_play kind) {
    if (kind == FOR_TIME || kind == FOR_ALL)
        keep_time(subject, board);
    if (is_for_calls(kind))
        keep_calls(subject, board);
}

// False: the measurement ends (trouble, or interrupted).
// How many plays there will be; 0 where the intervals decide, within the budget.
static double plays_in_all(const struct measure_session *session) {
    const struct measure_settings *settings = session->settings;
    uint32_t sampled = settings->reps < SAMPLED_ROUNDS ? settings->reps : SAMPLED_ROUNDS;
    double subjects = (double)session->subjects.count;
    return settings->reps == 0
               ? 0
               : subjects - 1 + subjects * (settings->reps + (settings->is_paced ? 0 : sampled));
}

static void tell_progress(struct measure_session *session, const struct measure_subject *subject) {
    char round[64];
    uint64_t now_ns = replay_os_clock_ns();
    session->plays++;
    if (!trace_progress_is_due(&session->progress, now_ns))
        return;
    double spent_s = (double)(now_ns - session->progress.began_ns) / 1e9;
    double budget_left_s = session->settings->budget_s - spent_s;
    snprintf(round, sizeof round, "round %u", session->round + 1);
    struct trace_progress_state state = {.what = subject->name,
                                         .unit = "plays",
                                         .done = session->plays - 1,
                                         .total = plays_in_all(session),
                                         .left_s = session->settings->reps > 0 ? -1
                                                   : budget_left_s > 0         ? budget_left_s
                                                                               : 0,
                                         .more = round};
    trace_progress_tell(&session->progress, now_ns, &state);
}

static bool repeat(struct measure_session *session, struct measure_subject *subject,
                   enum kind_of_play kind) {
    struct measure_process process;
    const struct measure_settings *settings = session->settings;
    bool keeps_series = is_for_calls(kind) && subject->series_count == 0;
    struct watch watch = {.look_ns = keeps_series ? LOOK_NS_SERIES : LOOK_NS_TIMED,
                          .limit_ns = (uint64_t)(settings->stall_s * 1e9) +
                                      (settings->is_paced ? session->plan.gap_ns_max : 0),
                          .keeps_series = keeps_series};
    bool ended = false;
    int status = 0;
    tell_progress(session, subject);
    if (!measure_os_board(&process, session->plan.stream_count)) {
        snprintf(session->trouble, sizeof session->trouble, "no memory for the board");
    } else {
        fill_board(session, process.board, subject, kind);
        if (!measure_os_start(&process, subject, session->player, session->plan.file))
            snprintf(session->trouble, sizeof session->trouble, "%.300s: %s", session->player,
                     strerror(errno));
        else
            ended = wait_for_end(session, subject, &process, &watch, &status);
    }
    session->interrupted = replay_os_interrupted != 0;
    if (session->trouble[0] == '\0' && !session->interrupted) {
        if (!ended || atomic_load(&process.board->phase) != PLAYER_DONE)
            note_failure(session, subject, &process, !ended, status);
        else
            keep(subject, process.board, kind);
    }
    measure_os_end(&process);
    return session->trouble[0] == '\0' && !session->interrupted;
}

// ---------------------------------------------------------------- rounds

// The widest, by its half.
static struct measure_interval widest(const struct measure_session *session, bool *is_any) {
    struct measure_interval widest = {0};
    *is_any = false;
    for (size_t i = 0; i < session->subjects.count; i++) {
        const struct measure_subject *subject = &session->subjects.list[i];
        if (subject->failure[0] != '\0')
            continue;
        struct measure_interval wall = measure_metric(subject, subject, MEASURE_WALL);
        if (!*is_any || measure_half_width(&wall) > measure_half_width(&widest))
            widest = wall;
        *is_any = true;
    }
    return widest;
}

static bool goes_on(const struct measure_session *session, uint32_t round, uint64_t began_ns) {
    const struct measure_settings *settings = session->settings;
    bool is_any;
    if (settings->reps > 0)
        return round < settings->reps;
    double spent_s = (double)(replay_os_clock_ns() - began_ns) / 1e9;
    if (round > 0 && spent_s > settings->budget_s)
        return false;
    struct measure_interval interval = widest(session, &is_any);
    return is_any && measure_goes_on(round, &interval);
}

static bool play_turn(struct measure_session *session, enum kind_of_play kind, uint32_t round) {
    size_t count = session->subjects.count;
    for (size_t i = 0; i < count; i++) {
        // Every other round runs backwards, so that nobody always follows the same one.
        size_t turn = round % 2 == 0 ? i : count - 1 - i;
        struct measure_subject *subject = &session->subjects.list[(turn + round) % count];
        if (subject->failure[0] == '\0' && !repeat(session, subject, kind))
            return false;
    }
    return true;
}

static bool play_round(struct measure_session *session, uint32_t round) {
    if (session->settings->is_paced)
        return play_turn(session, FOR_ALL, round);
    return play_turn(session, FOR_TIME, round) &&
           (round >= SAMPLED_ROUNDS || play_turn(session, FOR_CALLS, round));
}

bool measure_session_run(struct measure_session *session) {
    uint64_t began_ns = replay_os_clock_ns();
    session->progress = trace_progress_begin("hakreplay", !session->settings->quiet &&
                                                              replay_os_stderr_is_terminal());
    for (size_t i = 1; i < session->subjects.count; i++)
        if (!repeat(session, &session->subjects.list[i], FOR_CONTENTS)) {
            trace_progress_clear(&session->progress);
            return session->trouble[0] == '\0';
        }
    for (session->round = 0; goes_on(session, session->round, began_ns); session->round++)
        if (!play_round(session, session->round))
            break;
    trace_progress_clear(&session->progress);
    return session->trouble[0] == '\0';
}
