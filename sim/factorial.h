// factorial.h: what each of several things that are there or not does to a figure, and what they do
// together: a full 2^k factorial.
#ifndef SIM_FACTORIAL_H
#define SIM_FACTORIAL_H

#include <stddef.h>

// figures[m], m from 0 to 2^factors − 1: the figure where the factors in m's bits are present.
// effects[0] is the mean of all; effects[1 << i] the main effect of i: mean with it − mean without;
// effects[m] the interaction of m's factors: half of what adding one of them changes of the effect
// of the others. Yates' algorithm.
void sim_factorial_effects(const double *figures, unsigned factors, double *effects);

// The share of the sum of squares around the mean that effect m accounts for, 0 to 1; 0 where
// nothing varies.
double sim_factorial_share(const double *effects, unsigned factors, size_t m);

#endif
