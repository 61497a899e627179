/* Times the epochs or predictions of a workload, and prints the result as one line of JSON. */
#ifndef MEASURE_H
#define MEASURE_H

#include "workload.h"

typedef struct measurement {
  const char *peer;
  const char *isa; /* NULL: unknown */
  size_t threads;
  double seconds;       /* for all repetitions */
  double (*peak)(void); /* current GFLOP/s of the machine with these threads; NULL: unknown */
  size_t data_bytes;
  double (*loss)(void); /* of the last epoch; NULL: unknown */
} measurement;

/* Repeats `run`, an epoch or a prediction, at least three times after a warm-up; only once if the warm-up takes far longer than
 * the given time.  An epoch with one thread counts the smaller of wall and CPU time, so that other work on the machine counts
 * less.  A prediction counts wall time minus the time to read the clock. */
void measure(const workload *w, const measurement *m, void (*run)(void));

#endif
