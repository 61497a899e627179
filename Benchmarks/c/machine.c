/* The limits of the machine: fused multiply-adds on registers alone, and memory bandwidth by the size of what is
 * worked on, as one line of JSON.
 *
 *     machine [THREADS]
 */
#include <stdio.h>
#include <stdlib.h>

#include <chainrule.h>

#include "team.h"
#include "workload.h"

/* a = b + s c over three arrays of `count` floats a thread, again and again (McCalpin's triad). */
typedef struct triad {
  float *arrays[TEAM_SIZE][3];
  size_t count, repetitions;
} triad;

static void run_triad(void *argument, size_t thread)
{
  const triad *t = argument;
  float *restrict a = t->arrays[thread][0];
  const float *restrict b = t->arrays[thread][1], *restrict c = t->arrays[thread][2];
  for (size_t k = 0; k < t->repetitions; k++) {
    for (size_t i = 0; i < t->count; i++) a[i] = b[i] + 0.5f * c[i];
    __asm__ volatile("" ::: "memory");
  }
}

/* GB/s, reads and writes together; the best of several tries. */
static double bandwidth(size_t bytes, size_t threads)
{
  static triad t;
  t.count = bytes / 3 / sizeof(float);
  t.repetitions = 200000000 / bytes + 1;
  for (size_t thread = 0; thread < threads; thread++)
    for (int array = 0; array < 3; array++) {
      float *values = aligned_alloc(64, (t.count * sizeof(float) + 63) / 64 * 64);
      if (!values) fail("machine: out of memory");
      for (size_t i = 0; i < t.count; i++) values[i] = 1;
      t.arrays[thread][array] = values;
    }
  double best = 0;
  for (int attempt = 0; attempt < 5; attempt++) {
    double moved = 3.0 * sizeof(float) * (double)t.count * (double)t.repetitions * (double)threads;
    double rate = moved / team_run(threads, run_triad, &t) / 1e9;
    if (rate > best) best = rate;
  }
  for (size_t thread = 0; thread < threads; thread++)
    for (int array = 0; array < 3; array++) free(t.arrays[thread][array]);
  return best;
}

int main(int argc, char **argv)
{
  size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
  if (threads < 1 || threads > TEAM_SIZE) fail("usage: machine [THREADS]");

  const char *isa = chainrule_kernel_set_name(0);
  printf("{\"threads\": %zu, \"isa\": \"%s\", \"float32\": %.4g, \"float64\": %.4g", threads, isa,
         team_peak(isa, 0, threads), team_peak(isa, 1, threads));
  const struct {
    const char *name;
    size_t bytes;
  } sizes[] = {{"24KiB", 24 << 10}, {"384KiB", 384 << 10}, {"6MiB", 6 << 20}, {"384MiB", 384 << 20}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    printf(", \"triad%s\": %.4g", sizes[s].name, bandwidth(sizes[s].bytes, threads));
  puts("}");
}
