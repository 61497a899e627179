/* Measures the time from the start of a process to the end of its first training step, with the network of W3 and the shared
 * library.  The program starts itself TIMES times (default: 50) and prints one line of JSON.
 *
 *     start [TIMES]
 */
#define _POSIX_C_SOURCE 200809L

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chainrule.h>

#include "clock.h"

extern char **environ;

enum { INPUTS = 64, CLASSES = 10, ROWS = 32 };

static int first_step(void)
{
  static float x[ROWS][INPUTS], y[ROWS][CLASSES];
  for (int r = 0; r < ROWS; r++) {
    for (int i = 0; i < INPUTS; i++) x[r][i] = (float)((r * 31 + i * 17) % 23) / 23;
    y[r][r % CLASSES] = 1;
  }
  const chainrule_layer layers[] = {{.units = 128, .activation = CHAINRULE_ACTIVATION_RELU},
                                    {.units = 64, .activation = CHAINRULE_ACTIVATION_RELU},
                                    {.units = CLASSES, .activation = CHAINRULE_ACTIVATION_SOFTMAX}};
  const chainrule_trainer_options training = {
      CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_CROSS_ENTROPY,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), .batch_size = ROWS};
  chainrule_network *network;
  chainrule_trainer *trainer;
  chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = INPUTS,
                                               .layer_count = 3, .layers = layers};
  return chainrule_network_create(&description, &network, NULL) ||
         chainrule_network_initialize(network, 1, NULL) ||
         chainrule_trainer_create(network, &training, &trainer, NULL) ||
         chainrule_trainer_step_f32(trainer, *x, *y, NULL, ROWS, NULL, NULL);
}

/* Starts this program as `start --step PIPE` and waits for the byte that it writes after its first step. */
static double time_start(const char *program)
{
  int ends[2];
  char number[16], byte;
  if (pipe(ends)) exit(1);
  snprintf(number, sizeof number, "%d", ends[1]);
  char *arguments[] = {(char *)program, "--step", number, NULL};
  pid_t child;
  double start = wall_seconds();
  if (posix_spawn(&child, program, NULL, NULL, arguments, environ)) exit(1);
  close(ends[1]);
  int stepped = read(ends[0], &byte, 1) == 1;
  double end = wall_seconds();
  close(ends[0]);
  waitpid(child, NULL, 0);
  if (!stepped) {
    fputs("start: the step failed\n", stderr);
    exit(1);
  }
  return end - start;
}

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--step") == 0) return first_step() || write(atoi(argv[2]), "", 1) != 1;

  enum { MOST = 1000 };
  static double times[MOST];
  size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 50;
  if (count < 1 || count > MOST) {
    fputs("usage: start [TIMES]\n", stderr);
    return 64;
  }
  for (size_t i = 0; i < count; i++) times[i] = time_start(argv[0]);
  sort_times(times, count);
  printf("{\"msBest\": %.3f, \"msMedian\": %.3f, \"times\": %zu}\n", 1e3 * times[0], 1e3 * times[count / 2],
         count);
}
