// sample.h: small traces of known content, for the tests of this folder.
//
// Owns: one trace that has every op, column and limit and no anomaly, and a generator of random
// traces. Single-threaded.
#ifndef HAK_TESTS_TRACES_SAMPLE_H
#define HAK_TESTS_TRACES_SAMPLE_H

#include "trace.h"

#define SAMPLE_META                                                                                \
    "{\"format\":\"hak-trace\",\"tool\":\"sample\",\"program\":\"sample\",\"command\":["           \
    "\"sample\","                                                                                  \
    "\"--all\"],\"tick_ns\":100,\"stamp_ticks_max\":3,\"stacks\":\"full\",\"addresses\":true}"
#define SAMPLE_END  "{\"lost\":2,\"late\":0,\"unknown_frees\":1,\"exit\":\"exited\",\"status\":0}"
#define SAMPLE_INFO "{\"threads\":[{\"thread\":1,\"name\":\"worker\"}]}"

enum { SAMPLE_EVENTS = 24, SAMPLE_NODES = 4, SAMPLE_MODULES = 2 };
extern const struct trace_event sample_events[SAMPLE_EVENTS]; // number and object filled in
extern const struct trace_node sample_nodes[SAMPLE_NODES];    // of number 1 and up
extern const char *const sample_modules[SAMPLE_MODULES];      // of number 1 and up

// Writes the sample in chunks of `rows_per_chunk` events; without END and index if not complete.
// 0, or -1 with the writer's error.
int sample_write(const char *path, uint32_t rows_per_chunk, bool complete,
                 struct trace_error *error);
// The same, complete, in the small form.
int sample_write_ranked(const char *path, uint32_t rows_per_chunk, struct trace_error *error);

// The sample, complete, with rows beside the events.
int sample_write_sides(const char *path, uint32_t rows_per_chunk, struct trace_error *error);
enum { SAMPLE_SIDES = 9 };
extern const struct trace_side sample_sides[SAMPLE_SIDES]; // in the order of the file

// A random history without anomalies: `count` events of all kinds by up to 40 threads, each field
// as it must come back. free() the result.
struct trace_event *sample_random(uint64_t seed, size_t count);
// Writes events as they are, with stack nodes as far as they are named.
int sample_write_events(const char *path, const struct trace_event *events, size_t count,
                        const struct trace_writer_options *options, struct trace_error *error);

bool sample_equal(const struct trace_event *a, const struct trace_event *b);

#endif
