/* Times the epochs of a workload, or its predictions, and prints the result as one line of JSON. */
#ifndef MEASURE_H
#define MEASURE_H

#include "workload.h"

typedef struct measurement {
  const char *peer;
  const char *isa; /* NULL: unknown */
  size_t threads;
  double seconds;       /* to spend on repetitions */
  double (*peak)(void); /* GFLOP/s of the machine, now, with so many threads; NULL: unknown */
  size_t data_bytes;
  double (*loss)(void); /* of the last epoch; NULL: unknown */
} measurement;

/* Repeats `run`, an epoch or a prediction, at least three times after one to warm up, or once where it takes far
 * longer than the time given.  With one thread an epoch takes the smaller of wall and CPU time, so that other work
 * on the machine counts less; a prediction takes wall time, less what reading the clock takes. */
void measure(const workload *w, const measurement *m, void (*run)(void));

#endif
