// lran2.c: see lran2.h.
#include "lran2.h"

#define MULTIPLIER 1366u
#define INCREMENT  150889u

static uint32_t step(uint32_t x) {
    return (MULTIPLIER * x + INCREMENT) % SIM_LRAN2_MODULUS; // below 2^30: cannot overflow
}

void sim_lran2_begin(struct sim_lran2 *random, uint64_t seed) {
    // The original's |(increment − seed) % modulus| with signed numbers.
    uint64_t distance = seed > INCREMENT ? seed - INCREMENT : INCREMENT - seed;
    uint32_t x = (uint32_t)(distance % SIM_LRAN2_MODULUS);
    for (int i = 0; i < 97; i++) {
        x = step(x);
        random->table[i] = x;
    }
    random->x = step(x);
    random->y = random->x;
}

uint32_t sim_lran2_next(struct sim_lran2 *random) {
    uint32_t place = random->y % 97;
    random->y = random->table[place];
    random->x = step(random->x);
    random->table[place] = random->x;
    return random->y;
}
