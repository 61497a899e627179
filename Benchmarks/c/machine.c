/* Prints the limits of the machine as one line of JSON: fused multiply-adds on registers (GFLOP/s), quotients by a square root,
 * of which Adam has one for each parameter (10⁹ per second), and memory bandwidth (GB/s) by the size of the working set.
 *
 *     machine [THREADS [BYTES …]]
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

#include "team.h"
#include "workload.h"

/* ---- Memory ----------------------------------------------------------------------------------- */

/* Three arrays of `count` numbers for each thread, processed `repetitions` times. */
typedef struct stream {
  void *arrays[TEAM_SIZE][3];
  size_t count, repetitions;
} stream;

/* a = b + s c (McCalpin's triad) */
static void run_triad(void *argument, size_t thread)
{
  const stream *s = argument;
  float *restrict a = s->arrays[thread][0];
  const float *restrict b = s->arrays[thread][1], *restrict c = s->arrays[thread][2];
  for (size_t k = 0; k < s->repetitions; k++) {
    for (size_t i = 0; i < s->count; i++) a[i] = b[i] + 0.5f * c[i];
    __asm__ volatile("" ::: "memory");
  }
}

static void run_read(void *argument, size_t thread)
{
  const stream *s = argument;
  const uint32_t *a = s->arrays[thread][0], *b = s->arrays[thread][1], *c = s->arrays[thread][2];
  for (size_t k = 0; k < s->repetitions; k++) {
    uint32_t bits = 0; /* a sum of floats would have a fixed order and not vectorise */
    for (size_t i = 0; i < s->count; i++) bits |= a[i] | b[i] | c[i];
    __asm__ volatile("" ::"r"(bits) : "memory");
  }
}

/* GB/s of reads and writes together, the best of several attempts. */
static double bandwidth(void work(void *, size_t), size_t bytes, size_t threads)
{
  static stream s;
  s.count = bytes / 3 / sizeof(float);
  s.repetitions = 200000000 / bytes + 1;
  for (size_t thread = 0; thread < threads; thread++)
    for (int array = 0; array < 3; array++) {
      const size_t size = (s.count * sizeof(float) + 63) / 64 * 64;
      void *values = aligned_alloc(64, size);
      if (!values) fail("machine: out of memory");
      s.arrays[thread][array] = memset(values, 0, size);
    }
  double best = 0;
  for (int attempt = 0; attempt < 5; attempt++) {
    const double moved = 3.0 * sizeof(float) * (double)s.count * (double)s.repetitions * (double)threads;
    const double rate = moved / team_run(threads, work, &s) / 1e9;
    if (rate > best) best = rate;
  }
  for (size_t thread = 0; thread < threads; thread++)
    for (int array = 0; array < 3; array++) free(s.arrays[thread][array]);
  return best;
}

/* ---- Square roots and quotients ---------------------------------------------------------------- */

enum { ROOTS = 1024, ROUNDS = 20000 };

#define RUN_ROOTS(R, root)                                                                                   \
  static void run_roots_##R(void *argument, size_t thread)                                                   \
  {                                                                                                          \
    (void)argument, (void)thread;                                                                            \
    R a[ROOTS], b[ROOTS];                                                                                    \
    for (size_t i = 0; i < ROOTS; i++) a[i] = b[i] = (R)(i + 1);                                             \
    for (size_t k = 0; k < ROUNDS; k++) {                                                                    \
      for (size_t i = 0; i < ROOTS; i++) a[i] = b[i] / (root(b[i]) + (R)1e-8);                               \
      __asm__ volatile("" ::"r"(a) : "memory");                                                              \
    }                                                                                                        \
  }
RUN_ROOTS(float, sqrtf)
RUN_ROOTS(double, sqrt)
#undef RUN_ROOTS

static double roots(void work(void *, size_t), size_t threads)
{
  double best = 0;
  for (int attempt = 0; attempt < 5; attempt++) {
    const double rate = (double)ROOTS * ROUNDS * (double)threads / team_run(threads, work, NULL) / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

static size_t count(const char *text)
{
  char *end;
  const unsigned long value = strtoul(text, &end, 10);
  if (end == text || *end || value == 0)
    fail("machine: '%s' is not a count; usage: machine [THREADS [BYTES …]]", text);
  return value;
}

int main(int argc, char **argv)
{
  const size_t threads = argc > 1 ? count(argv[1]) : 1;
  if (threads > TEAM_SIZE) fail("machine: expected at most %d threads, got %zu", TEAM_SIZE, threads);
  size_t sizes[64] = {24 << 10, 384 << 10, 6 << 20, 384 << 20}, size_count = 4; /* L1, L2, L3, memory */
  if (argc > 2) size_count = (size_t)argc - 2;
  if (size_count > sizeof sizes / sizeof *sizes)
    fail("machine: expected at most 64 sizes, got %zu", size_count);
  for (int i = 2; i < argc; i++) sizes[i - 2] = count(argv[i]);

  const char *isa = chainrule_kernel_set_name(0);
  printf("{\"threads\": %zu, \"isa\": \"%s\", \"float32\": %.4g, \"float64\": %.4g", threads, isa,
         team_peak(isa, 0, threads), team_peak(isa, 1, threads));
  printf(", \"roots32\": %.4g, \"roots64\": %.4g", roots(run_roots_float, threads),
         roots(run_roots_double, threads));
  for (size_t i = 0; i < size_count; i++)
    printf(", \"triad%zu\": %.4g, \"read%zu\": %.4g", sizes[i], bandwidth(run_triad, sizes[i], threads),
           sizes[i], bandwidth(run_read, sizes[i], threads));
  puts("}");
}
