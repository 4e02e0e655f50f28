// trace_sample: writes the sample trace to a file, for the scripts of this folder.
//
//     trace_sample FILE [ROWS_PER_CHUNK [unfinished|control|ranked|sides]]
//
// sides: with rows beside the events. ranked: in the small form. unfinished: without END and index.
// control: another one, whose program's name would colour a terminal.
//
// golden/every_op.zst (1.0), every_op_1_1.zst and every_op_1_2.zst were made by `trace_sample FILE
// 8`, every_op_1_3.zst by `trace_sample FILE 8 ranked`, every_op_1_4.zst by `... sides`. Each stays
// as it is as long as readers of its version are to be read, and a new version adds its own beside
// it.
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_control(const char *path, struct trace_error *error) {
    const char *meta = "{\"format\":\"hak-trace\",\"tick_ns\":1,\"program\":\"evil\\u001b[31m\"}";
    struct trace_writer *writer = trace_writer_create(path, meta, NULL, error);
    return writer ? trace_writer_close(writer, "{}", error) : -1;
}

int main(int argc, char **argv) {
    struct trace_error error;
    if (argc < 2)
        return 2;
    uint32_t rows = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 8;
    bool control = argc > 3 && strcmp(argv[3], "control") == 0;
    bool ranked = argc > 3 && strcmp(argv[3], "ranked") == 0;
    bool sides = argc > 3 && strcmp(argv[3], "sides") == 0;
    int status = sides     ? sample_write_sides(argv[1], rows, &error)
                 : control ? write_control(argv[1], &error)
                 : ranked  ? sample_write_ranked(argv[1], rows, &error)
                           : sample_write(argv[1], rows, argc < 4, &error);
    if (status == 0)
        return 0;
    fprintf(stderr, "trace_sample: %s\n", error.text);
    return 2;
}
