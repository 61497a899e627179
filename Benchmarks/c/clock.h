/* Clocks and statistics of repeated measurements. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline double seconds_of(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double wall_seconds(void) { return seconds_of(CLOCK_MONOTONIC); }
static inline double cpu_seconds(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

static inline int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts `times`: [0] is then the minimum, [count / 2] the median. */
static inline void sort_times(double *times, size_t count) { qsort(times, count, sizeof *times, ascending); }

/* The peak resident memory of the process so far, in MiB. */
static inline double peak_memory(void)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return (double)usage.ru_maxrss / 1048576;
#else
  return (double)usage.ru_maxrss / 1024;
#endif
}

#endif
