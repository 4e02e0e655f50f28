// mf2_stats.h: what a program that runs on libmf2.so can ask it. Public; needs no other header.
//
// Link with -lmf2, or look the function up with dlsym(RTLD_DEFAULT, "mf2_stats_json") where the
// library is preloaded, perhaps.
#ifndef MF2_STATS_H
#define MF2_STATS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Writes what MF2_STATS=json prints at exit, as it is now: one JSON object and a line end, cut to
// size − 1 bytes and ended by 0. Returns the whole length; size 0 only asks for it. Any thread, at
// any time; allocates nothing. Counters of running threads are read without stopping these, so that
// sums may be a few steps old. Before the first allocation: an empty object.
size_t mf2_stats_json(char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
