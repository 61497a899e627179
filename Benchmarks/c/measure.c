#define _POSIX_C_SOURCE 200809L

#include "measure.h"

#include <stdio.h>

#include "clock.h"

enum { REPETITIONS = 200000, LEAST = 3 };
static double times[REPETITIONS];

/* Shorter epochs are timed only by the wall clock, because reading the CPU clock is a system call. */
static const double briefest = 1e-3;

static size_t time_epochs(const measurement *m, void (*epoch)(void))
{
  double start = wall_seconds();
  epoch();
  double warm_up = wall_seconds() - start;
  if (warm_up > 2 * m->seconds) {
    times[0] = warm_up;
    return 1;
  }
  size_t count = 0;
  for (double end = wall_seconds() + m->seconds;
       count < REPETITIONS && (count < LEAST || wall_seconds() < end);) {
    double cpu = cpu_seconds(), wall = wall_seconds();
    epoch();
    wall = wall_seconds() - wall;
    cpu = cpu_seconds() - cpu;
    times[count++] = m->threads == 1 && cpu < wall && cpu > briefest ? cpu : wall;
  }
  return count;
}

/* The median time between two readings of the clock. */
static double clock_cost(void)
{
  enum { READINGS = 1001 };
  double readings[READINGS];
  for (size_t i = 0; i < READINGS; i++) {
    double start = wall_seconds();
    readings[i] = wall_seconds() - start;
  }
  sort_times(readings, READINGS);
  return readings[READINGS / 2];
}

static size_t time_predictions(const measurement *m, void (*predict)(void))
{
  double cost = clock_cost();
  for (double end = wall_seconds() + m->seconds / 10; wall_seconds() < end;) predict();
  size_t count = 0;
  for (double end = wall_seconds() + m->seconds;
       count < REPETITIONS && (count < LEAST || wall_seconds() < end);) {
    double start = wall_seconds();
    predict();
    times[count++] = wall_seconds() - start - cost;
  }
  return count;
}

void measure(const workload *w, const measurement *m, void (*run)(void))
{
  double before = m->peak ? m->peak() : 0;
  size_t count = (w->trains ? time_epochs : time_predictions)(m, run);
  double after = m->peak ? m->peak() : 0, peak = before > after ? before : after;
  sort_times(times, count);
  double best = times[0], median = times[count / 2];
  double time = w->trains ? best : median, gflops = workload_flops(w) / time / 1e9;

  printf("{\"peer\": \"%s\", \"workload\": \"%s\", \"threads\": %zu", m->peer, w->name, m->threads);
  if (m->isa) printf(", \"isa\": \"%s\"", m->isa);
  if (w->trains) {
    printf(", \"msPerEpoch\": %.6g, \"msPerEpochMedian\": %.6g, \"usPerUpdate\": %.6g, \"samplesPerSecond\": "
           "%.6g",
           1e3 * best, 1e3 * median, 1e6 * best / (double)workload_updates(w), (double)w->samples / best);
    if (m->loss) printf(", \"loss\": %.6g", m->loss());
  } else {
    printf(", \"usPerCallMedian\": %.6g, \"usPerCall\": %.6g, \"usPerCall99\": %.6g, \"samplesPerSecond\": %.6g",
           1e6 * median, 1e6 * best, 1e6 * times[count * 99 / 100], (double)w->rows / median);
  }
  printf(", \"gflops\": %.6g", gflops);
  if (peak > 0) printf(", \"peakGflops\": %.6g, \"percentOfPeak\": %.4g", peak, 100 * gflops / peak);
  printf(", \"repetitions\": %zu, \"peakMemoryMiB\": %.1f, \"dataMiB\": %.1f}\n", count, peak_memory(),
         (double)m->data_bytes / 1048576);
}
