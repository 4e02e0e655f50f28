// scaled_source.h: a recorded program several times side by side in one process: each copy has its
// own threads and objects, all begin at the same time, and only the allocator is common to them.
#ifndef SIM_SCALED_SOURCE_H
#define SIM_SCALED_SOURCE_H

#include "program.h"

// Takes the source over (closing this one closes that one). NULL: no memory, or more than
// UINT32_MAX threads; the source is then the caller's still.
struct program_source *sim_scaled_source(struct program_source *source, uint32_t copies);

#endif
