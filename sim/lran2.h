// lran2.h: the random numbers of Larson's benchmark and its relatives: a linear congruential
// generator behind a shuffle table of 97 numbers, after lran2.h by Wolfram Gloger (1996).
//
// A workload that is to be the same as a published one must draw the same numbers: this generator
// is poor, and is kept exactly for that reason.
#ifndef SIM_LRAN2_H
#define SIM_LRAN2_H

#include <stdint.h>

#define SIM_LRAN2_MODULUS 714025u

struct sim_lran2 {
    uint32_t x, y;
    uint32_t table[97];
};

void sim_lran2_begin(struct sim_lran2 *random, uint64_t seed);
// The next number, below SIM_LRAN2_MODULUS.
uint32_t sim_lran2_next(struct sim_lran2 *random);

#endif
