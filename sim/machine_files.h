// machine_files.h: the machines that are built in: sim/machines/*.json, byte for byte, as the
// build has put them into machine_files.c. Private to machine_table.c.
#ifndef SIM_MACHINE_FILES_H
#define SIM_MACHINE_FILES_H

#include <stddef.h>

struct sim_machine_file {
    const char *name; // base name without .json
    const char *text;
    size_t size;
};
extern const struct sim_machine_file sim_machine_files[];
extern const size_t sim_machine_file_count;

#endif
