// count_events.c: the trace library from outside the tree: counts the operations of a trace.
#include <trace.h>

#include <stdio.h>

int main(int argc, char **argv) {
    struct trace_error error;
    struct trace_reader *reader = argc == 2 ? trace_reader_open(argv[1], &error) : NULL;
    if (!reader) {
        fprintf(stderr, "count_events: %s\n", argc == 2 ? error.text : "usage: count_events FILE");
        return 2;
    }
    unsigned long long counts[TRACE_OP_COUNT] = {0};
    struct trace_event events[512];
    ptrdiff_t count;
    while ((count = trace_reader_next(reader, events, 512, &error)) > 0)
        for (ptrdiff_t i = 0; i < count; i++)
            counts[events[i].op]++;
    if (count < 0)
        fprintf(stderr, "count_events: %s\n", error.text);
    printf("malloc %llu, free %llu\n", counts[TRACE_MALLOC], counts[TRACE_FREE]);
    trace_reader_close(reader);
    return count < 0 ? 2 : 0;
}
