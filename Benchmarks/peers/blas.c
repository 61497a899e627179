/* A trainer written by hand with CBLAS: cblas_?gemm, and plain loops for the rest.
 * Built twice, with OpenBLAS and with GSL's gslcblas.
 *
 *     openblas WORKLOAD [THREADS] [SECONDS]
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#if defined OPENBLAS
#include <cblas.h>
#define PEER "openblas"
#else
#include <gsl/gsl_cblas.h>
#define PEER "gsl"
#endif

#include "../c/measure.h"

static workload w;
static workload_data data;
static double loss;

static enum activation { IDENTITY, SIGMOID, TANH, RELU, SOFTMAX } hidden, output;
static bool adam;

static enum activation activation_named(const char *name)
{
  static const char *const names[] = {"identity", "sigmoid", "tanh", "relu", "softmax"};
  for (int i = IDENTITY; i <= SOFTMAX; i++)
    if (strcmp(name, names[i]) == 0) return (enum activation)i;
  fail(PEER " has no activation %s", name);
}

static void *allocate(size_t size)
{
  void *block = aligned_alloc(64, (size + 63) / 64 * 64);
  if (!block) fail(PEER ": out of memory");
  return memset(block, 0, size);
}

#define R float
#define CR(name) name##_f32
#define M(name) name##f
#define GEMM cblas_sgemm
#include "blas_tmpl.h"
#define R double
#define CR(name) name##_f64
#define M(name) name
#define GEMM cblas_dgemm
#include "blas_tmpl.h"

static double last_loss(void) { return loss; }

#if defined OPENBLAS
/* Pins each thread of the process to its own CPU. OpenBLAS' workers spin with sched_yield, and one could share its caller's
 * CPU for the whole run. */
static void spread_threads(void)
{
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  DIR *tasks = opendir("/proc/self/task");
  int cpu = -1;
  for (struct dirent *task; tasks && (task = readdir(tasks));) {
    if (task->d_name[0] == '.') continue;
    do cpu = (cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(cpu, &allowed));
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    sched_setaffinity(atoi(task->d_name), sizeof own, &own);
  }
  if (tasks) closedir(tasks);
}
#endif

int main(int argc, char **argv)
{
  if (argc < 2) fail("usage: " PEER " WORKLOAD [THREADS] [SECONDS]");
  size_t threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
  w = workload_read(WORKLOADS, argv[1]);
  if (!w.trains) w.batch = w.rows;
  hidden = activation_named(w.hidden), output = activation_named(w.output);
  adam = strcmp(w.optimizer, "adam") == 0;
#if defined OPENBLAS
  openblas_set_num_threads((int)threads);
  if (threads > 1) spread_threads();
#else
  if (threads > 1) fail(PEER " has one thread");
#endif
  data = workload_make_data(&w);
  measurement m = {.peer = PEER,
                   .threads = threads,
                   .seconds = argc > 3 ? atof(argv[3]) : 2,
                   .data_bytes = data.bytes,
                   .loss = w.trains ? last_loss : NULL};
  if (w.float64) {
    create_f64();
    measure(&w, &m, epoch_f64);
  } else {
    create_f32();
    measure(&w, &m, w.trains ? epoch_f32 : predict_f32);
  }
}
