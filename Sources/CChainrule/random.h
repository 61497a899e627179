/* Random numbers: initial weights, the order of rows, input noise.
 *
 * A seed and the number of a stream give the same numbers on every machine.  Each use has streams of its own,
 * so that one use never changes the numbers of another. */
#ifndef CR_RANDOM_H
#define CR_RANDOM_H

#include "base.h"

/* The state of one of the 2⁶⁴ streams of a seed. */
typedef struct cr_random {
  uint64_t state[4];
} cr_random;

enum { CR_STREAM_PARAMETERS = 0, CR_STREAM_ORDER = 1 }; /* order: plus the number of the epoch */
#define CR_STREAM_NOISE ((uint64_t)1 << 63)             /* noise: this bit and a number of step and row */

cr_random cr_random_stream(uint64_t seed, uint64_t stream);
/* A normal deviate with mean 0 and standard deviation σ. */
double cr_noise(cr_random *random, double sigma);
/* One value of an initialiser other than DEFAULT, for a layer of fan_in inputs and fan_out units. */
double cr_draw(cr_random *random, chainrule_initializer initializer, size_t fan_in, size_t fan_out);
/* Fills `order` with 0 … count − 1 in random order. */
void cr_shuffle(cr_random *random, size_t *order, size_t count);

#endif
