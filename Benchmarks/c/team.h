/* Runs the same work on several threads. */
#ifndef TEAM_H
#define TEAM_H

#include <stddef.h>

enum { TEAM_SIZE = 256 };

/* Runs work(argument, 0 … threads − 1), each on its own thread, and returns the seconds from the first start to the last end.
 * The threads start together. */
double team_run(size_t threads, void (*work)(void *argument, size_t thread), void *argument);

/* GFLOP/s of fused multiply-adds on registers, on `threads` threads at once: the best of several attempts. */
double team_peak(const char *isa, int float64, size_t threads);

#endif
