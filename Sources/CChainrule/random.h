/* Random numbers: the same ones for the same seed, on every machine. */
#ifndef CR_RANDOM_H
#define CR_RANDOM_H

#include "base.h"

/* One of 2⁶⁴ streams of random numbers of a seed. */
typedef struct cr_random {
  uint64_t state[4];
} cr_random;

enum { CR_STREAM_PARAMETERS = 0, CR_STREAM_ORDER = 1 }; /* order: 1 + the number of the epoch */
#define CR_STREAM_NOISE ((uint64_t)1 << 63)             /* | a number of the step and the row */

cr_random cr_random_stream(uint64_t seed, uint64_t stream);
/* σ n, n normal. */
double cr_noise(cr_random *random, double sigma);
/* One draw of an initialiser other than DEFAULT. */
double cr_draw(cr_random *random, chainrule_initializer initializer, size_t fan_in, size_t fan_out);
/* 0 … count − 1 in random order. */
void cr_shuffle(cr_random *random, size_t *order, size_t count);

#endif
