#define _POSIX_C_SOURCE 200809L

#include "team.h"

#include <pthread.h>

#include <chainrule.h>

#include "clock.h"
#include "kernels/peak.h"
#include "workload.h"

typedef struct member {
  void (*work)(void *argument, size_t thread);
  void *argument;
  size_t index;
  pthread_barrier_t *barrier;
  double start, end;
} member;

static void *run(void *argument)
{
  member *m = argument;
  pthread_barrier_wait(m->barrier);
  m->start = wall_seconds();
  m->work(m->argument, m->index);
  m->end = wall_seconds();
  return NULL;
}

double team_run(size_t threads, void (*work)(void *argument, size_t thread), void *argument)
{
  static member members[TEAM_SIZE];
  static pthread_t handles[TEAM_SIZE];
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  for (size_t t = 0; t < threads; t++) {
    members[t] = (member){work, argument, t, &barrier, 0, 0};
    if (pthread_create(&handles[t], NULL, run, &members[t])) fail("cannot start a thread");
  }
  double start = 0, end = 0;
  for (size_t t = 0; t < threads; t++) {
    pthread_join(handles[t], NULL);
    if (t == 0 || members[t].start < start) start = members[t].start;
    if (t == 0 || members[t].end > end) end = members[t].end;
  }
  pthread_barrier_destroy(&barrier);
  return end - start;
}

typedef struct sprint {
  const char *isa;
  chainrule_scalar scalar;
  uint64_t rounds;
  double flops; /* of thread 0; the others do the same number */
} sprint;

static void multiply_add(void *argument, size_t thread)
{
  sprint *s = argument;
  double flops = cr_kernel_set_peak(s->isa, s->scalar, s->rounds);
  if (thread == 0) s->flops = flops;
}

double team_peak(const char *isa, int float64, size_t threads)
{
  sprint s = {isa, float64 ? CHAINRULE_FLOAT64 : CHAINRULE_FLOAT32, 1000, 0};
  const double duration = 0.01;
  while (team_run(1, multiply_add, &s) < duration && s.flops > 0) s.rounds *= 2;

  double peak = 0;
  for (int attempt = 0; attempt < 9; attempt++) {
    double gflops = 0;
    double seconds = team_run(threads, multiply_add, &s);
    gflops = s.flops * (double)threads / seconds / 1e9;
    if (gflops > peak) peak = gflops;
  }
  return peak;
}
