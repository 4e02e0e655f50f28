// measure.h: what the files of `hakreplay measure` share: real allocators on real threads, from a
// trace.
//
//   measure_command.c     the command line, what is measured, the order of things
//   measure_plan.c        a trace made ready to be played (player/player.h)
//   measure_touch.c       how much of the blocks is touched
//   measure_subject.c     allocators by name
//   measure_session.c     repetitions in rotating order, until the intervals are narrow enough
//   measure_statistics.c  medians, intervals, latencies
//   measure_result.c      the table, the verdict, JSON
//   measure_os.c          processes, files, the environment
//
// Words
//   subject      one allocator with one environment; also none at all, which shows what the player
//                itself takes
//   repetition   one play of the whole plan by one subject, in a process of its own: for time, and
//                in the first rounds another one in which single calls are timed
//   interval     of a median, 95 % however long it was measured: between two order statistics,
//   whatever the distribution
//
// Threads: one.
#ifndef HAK_MEASURE_H
#define HAK_MEASURE_H

#include "player/player.h"
#include "program.h"
#include "progress.h"
#include "replayer.h"

#include <jansson.h>

#define MEASURE_TEXT_MAX     512
#define MEASURE_SUBJECTS_MAX 32
#define MEASURE_REPS_MAX     201
#define MEASURE_SERIES_MAX   256

struct measure_settings {
    const char *input, *output;
    const char *allocators;  // NULL: those that are installed
    const char *sweep;       // VAR=a,b,c, or NULL
    uint32_t threads;        // to fold on; 0: as recorded
    uint32_t reps;           // exactly; 0: as the intervals ask
    uint32_t touch;          // enum player_touch
    bool touch_trace;        // the parts are the trace's own samples
    const char *touch_file;  // where the parts are from; NULL: one part for all of a page or more
    double touched_part[64]; // by log2 of the size, for PLAYER_TOUCH_SAMPLED
    double budget_s, idle_s, stall_s;
    uint64_t held_bytes_max; // plan in memory
    bool is_paced, allow_anomalies, json, quiet;
};

// ---------------------------------------------------------------- measure_touch.c

// What --touch= says. False: it has told what is wrong.
bool measure_touch_parse(const char *text, struct measure_settings *settings);
// Reads what the input must tell for it. False: it has told what is wrong.
bool measure_touch_prepare(struct measure_settings *settings);
// In words.
const char *measure_touch_text(const struct measure_settings *settings);

// ---------------------------------------------------------------- measure_plan.c

struct measure_stream {
    uint64_t first_block, own_slots;
    uint32_t first_words;
    bool begins, is_joined;
    int64_t live_bytes_last; // made here less given up here, at its end
};

struct measure_plan {
    int file;
    uint64_t bytes, block_bytes_max;
    struct measure_stream *streams;
    uint32_t stream_count, main_stream;
    uint64_t shared_slots;
    uint64_t calls, handed_over, left_out; // of the allocator; blocks; operations not played
    uint64_t block_size_max, duration_ns, gap_ns_max;
    bool has_aligned;
    int64_t *live_by_segment; // of its stream, before the segment's first call
    uint64_t segment_capacity;
};

// A place in the plan, as the trace has it.
struct measure_place {
    uint64_t number; // of the operation in recorded order, from 0
    struct program_operation operation;
    bool found;
};

// Reads the source twice. False: message says why.
bool measure_plan_make(struct measure_plan *plan, struct program_source *source,
                       const struct measure_settings *settings, char *message, size_t size);
// What stands at that byte offset. Reads the source twice again.
void measure_plan_find(struct program_source *source, const struct measure_settings *settings,
                       uint64_t offset, struct measure_place *place);
// Requested live bytes with every stream where the board says it is.
uint64_t measure_plan_live_bytes(const struct measure_plan *plan, const struct player_board *board);
void measure_plan_free(struct measure_plan *plan);

// ---------------------------------------------------------------- measure_subject.c

struct measure_sample {
    uint64_t time_ns, resident_bytes, live_bytes;
};

struct measure_repetition {
    struct player_results results;
    uint64_t peak_anonymous;
    // From the play in which single calls are timed; where there was one:
    bool is_sampled;
    uint64_t idle_bytes;
    double latency_ns[PLAYER_CALL_COUNT][5]; // mean, p50, p99, p99.9, max
    double call_ns_mean;
};

struct measure_subject {
    char name[128];
    char library[PLAYER_TEXT_MAX]; // resolved; empty: the C library's
    char variable[256];            // NAME=VALUE, or empty
    char version[PLAYER_TEXT_MAX];
    bool is_null;
    char failure[MEASURE_TEXT_MAX]; // empty: none
    bool is_refused;                // no allocator: the command line's fault
    struct measure_repetition *repetitions;
    uint32_t count;
    struct measure_sample series[MEASURE_SERIES_MAX]; // of the first repetition
    uint32_t series_count;
};

struct measure_subjects {
    struct measure_subject *list; // [0] is no allocator at all
    size_t count;
};

bool measure_subjects_find(struct measure_subjects *subjects,
                           const struct measure_settings *settings);
void measure_subjects_free(struct measure_subjects *subjects);

// ---------------------------------------------------------------- measure_os.c

int measure_os_temporary(char *message, size_t size); // an unlinked file; -1
bool measure_os_write(int file, const void *data, size_t bytes, uint64_t offset);
void measure_os_close(int file);
// Path of a file that exists and can be read, resolved; false: there is none.
bool measure_os_resolve(const char *path, char *resolved, size_t size);
// In a folder relative to that of this program.
bool measure_os_beside(const char *relative, char *path, size_t size);
uint64_t measure_os_memory_available(void);

struct measure_process {
    struct player_board *board;
    size_t board_bytes;
    int board_file, errors_file, process, watch; // watch: pidfd
    int statm;
};
bool measure_os_board(struct measure_process *process, uint32_t streams);
bool measure_os_start(struct measure_process *process, const struct measure_subject *subject,
                      const char *player, int plan_file);
// Waits so long for its end; true: it has ended, *status as waitpid has it.
bool measure_os_ended(struct measure_process *process, uint64_t wait_ns, int *status);
void measure_os_kill(struct measure_process *process);
uint64_t measure_os_resident(const struct measure_process *process); // anonymous bytes
// The last line that it has written on its standard error.
void measure_os_last_line(const struct measure_process *process, char *text, size_t size);
void measure_os_end(struct measure_process *process);
json_t *measure_os_environment(void);

// ---------------------------------------------------------------- measure_statistics.c

struct measure_interval {
    double median, low, high;
    uint32_t count;
    bool is_interval; // else too few repetitions: low and high are the least and greatest
};
struct measure_interval measure_interval_of(double *values, uint32_t count); // sorts them
double measure_half_width(const struct measure_interval *interval);          // of the median
// After so many rounds, where nothing else ends them.
bool measure_goes_on(uint32_t rounds, const struct measure_interval *widest);
bool measure_separate(const struct measure_interval *a, const struct measure_interval *b);
// mean, p50, p99, p99.9, max in ns.
void measure_latencies(const struct player_board *board, enum player_call call, double ns_per_tick,
                       double *out);
// Of all calls but those of nearly a millisecond: another process has interrupted them, most
// likely.
double measure_latency_mean(const struct player_board *board, double ns_per_tick);

enum measure_metric {
    MEASURE_WALL, // ns
    MEASURE_PROCESSOR,
    MEASURE_NET_WALL, // less that of no allocator in the same round
    MEASURE_NET_PROCESSOR,
    MEASURE_PEAK, // bytes beyond the player's own
    MEASURE_IDLE,
    MEASURE_FAULTS,
    MEASURE_MALLOC_P50,
    MEASURE_MALLOC_P99,
    MEASURE_MALLOC_P999,
    MEASURE_FREE_P50,
    MEASURE_FREE_P99,
    MEASURE_FREE_P999,
    MEASURE_MALLOC_MEAN,
    MEASURE_FREE_MEAN,
    MEASURE_CALL_MEAN, // of all of them, uninterrupted
    MEASURE_METRIC_COUNT
};
extern const char *const measure_metric_names[MEASURE_METRIC_COUNT];
// Of all repetitions; `none` is the subject without allocator, whose memory is taken off.
struct measure_interval measure_metric(const struct measure_subject *subject,
                                       const struct measure_subject *none,
                                       enum measure_metric metric);

// ---------------------------------------------------------------- measure_session.c

struct measure_session {
    const struct measure_settings *settings;
    struct program_source *source;
    struct measure_plan plan;
    struct measure_subjects subjects;
    char player[MEASURE_TEXT_MAX];
    struct trace_progress progress;
    uint32_t round, plays; // the round that runs, plays begun
    bool interrupted;
    char trouble[MEASURE_TEXT_MAX]; // the measurement itself cannot go on
};
// False: trouble says why.
bool measure_session_run(struct measure_session *session);

// ---------------------------------------------------------------- measure_result.c

char *measure_result_json(const struct measure_session *session); // free() it
void measure_result_print(const struct measure_session *session);

int measure_command(int argc, char **argv);

#endif
