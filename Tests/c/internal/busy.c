/* Threads on a busy machine: training has the same bits with one to four threads.  Two threads on one CPU,
 * which they share with another process, need little more CPU time than one thread.
 *
 * The trainer is compiled into this program, so that every step uses every thread, and any number of CPUs can
 * be pretended.  Then all threads are put on one CPU. */
#if defined __linux__ && !defined _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity */
#endif
#include "backprop/backprop.h"

#define cr_cpu_count() ((size_t)CR_THREADS)
#define CR_WORTH_A_THREAD 1
#include "../../../Sources/CChainrule/training/trainer.c"
#include "../../../Sources/CChainrule/training/step.c"

#ifdef __linux__

#include <stdio.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "draw.h"

enum { INPUTS = 24, OUTPUTS = 3, ROWS = 320, BATCH = 32, EPOCHS = 200, MOST_THREADS = 4, ATTEMPTS = 5 };
static const double most_cpu = 1.5; /* times that of one thread, in the best of the attempts */

static float x[ROWS * INPUTS], y[ROWS * OUTPUTS];
static cpu_set_t one;

static double cpu_seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All threads of this process, also those of a team. */
static bool put_on_one_cpu(void)
{
  DIR *tasks = opendir("/proc/self/task");
  bool done = tasks != NULL;
  for (struct dirent *task; tasks && (task = readdir(tasks));)
    if (task->d_name[0] != '.') done &= !sched_setaffinity((pid_t)atol(task->d_name), sizeof one, &one);
  if (tasks) closedir(tasks);
  return done;
}

/* Keeps the CPU busy until it is killed or the parent has ended. */
static pid_t compete(void)
{
  const pid_t parent = getpid(), child = fork();
  if (child != 0) return child;
  sched_setaffinity(0, sizeof one, &one);
  for (volatile unsigned n = 0; n++ % (1 << 24) || getppid() == parent;) continue;
  _exit(0);
}

typedef struct result {
  float parameters[8192];
  double cpu;
} result;

static bool train(size_t threads, result *result)
{
  const chainrule_layer layers[] = {{.units = 64, .activation = CHAINRULE_ACTIVATION_TANH},
                                    {.units = 64, .activation = CHAINRULE_ACTIVATION_RELU},
                                    {.units = OUTPUTS}};
  const chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
                                       .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
                                       .batch_size = BATCH,
                                       .threads = threads};
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT32, INPUTS, CR_COUNT(layers), layers, NULL}, &network, &error);
  if (!status) status = chainrule_network_initialize(network, 3, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);
  bool good = !status && put_on_one_cpu() && network->arena_size <= CR_COUNT(result->parameters);
  result->cpu = cpu_seconds();
  while (good && !status && chainrule_trainer_epochs(trainer) < EPOCHS)
    status = chainrule_trainer_epoch_f32(trainer, x, y, NULL, ROWS, NULL, &error);
  result->cpu = cpu_seconds() - result->cpu;
  if (good) memcpy(result->parameters, network->parameters, network->arena_size * sizeof(float));
  if (!good || status) printf("%zu threads: %s\n", threads, error.message);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return good && !status;
}

int main(void)
{
  static result alone, together;
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all) || CPU_COUNT(&all) < 2) return 77; /* no thread would spin */
  int cpu = 0;
  while (!CPU_ISSET(cpu, &all)) cpu++;
  CPU_SET(cpu, &one);
  for (size_t i = 0; i < CR_COUNT(x); i++) x[i] = (float)uniform();
  for (size_t i = 0; i < CR_COUNT(y); i++) y[i] = (float)uniform();

  const pid_t competitor = compete();
  bool good = competitor > 0;
  double ratio = INFINITY;
  for (int attempt = 0; good && attempt < ATTEMPTS && (attempt == 0 || ratio > most_cpu); attempt++) {
    good = train(1, &alone);
    for (size_t threads = 2; good && threads <= MOST_THREADS; threads++) {
      sched_setaffinity(0, sizeof all, &all); /* so that the team finds all CPUs */
      good = train(threads, &together);
      if (good && memcmp(alone.parameters, together.parameters, sizeof alone.parameters) != 0) {
        printf("%zu threads have other bits\n", threads);
        good = false;
      }
      if (threads == 2) ratio = fmin(ratio, together.cpu / alone.cpu);
    }
  }
  if (competitor > 0) kill(competitor, SIGKILL), waitpid(competitor, NULL, 0);
  printf("two threads take %.2f times the CPU time of one; at most %.1f\n", ratio, most_cpu);
  return !(good && ratio <= most_cpu);
}

#else
int main(void) { return 77; }
#endif
