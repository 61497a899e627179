/* The same work on several threads at once. */
#ifndef TEAM_H
#define TEAM_H

#include <stddef.h>

enum { TEAM_SIZE = 256 };

/* Runs work(argument, 0 … threads − 1), each on a thread of its own, and returns the seconds from the first start to
 * the last end; the threads wait for each other before they start. */
double team_run(size_t threads, void (*work)(void *argument, size_t thread), void *argument);

/* GFLOP/s of fused multiply-adds on registers alone, on so many threads at once: the best of several tries. */
double team_peak(const char *isa, int float64, size_t threads);

#endif
