/* Compares full-batch methods with Adam on a small regression: 500 rows of Friedman's first function (1991), without noise,
 *
 *     y = (10 sin(π x₁ x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ − 14.4) / 5        xᵢ uniform in 0 … 1
 *
 * network 5 – 10 tanh – 1, meanSquaredError, float64, the same three starts for all.  Usage: fit */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <chainrule.h>

#include "clock.h"

enum { ROWS = 500, INPUTS = 5, STARTS = 3 };
static double x[ROWS * INPUTS], y[ROWS];

/* Knuth's MMIX generator, in 0 … 1. */
static double next(void)
{
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-53;
}

static void check(chainrule_status status, const chainrule_error *error)
{
  if (status == CHAINRULE_OK) return;
  fprintf(stderr, "%s\n", error->message);
  exit(1);
}

static chainrule_network *create(uint64_t seed)
{
  const chainrule_layer layers[] = {{.units = 10, .activation = CHAINRULE_ACTIVATION_TANH}, {.units = 1}};
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64, INPUTS, 2, layers, NULL};
  chainrule_network *network;
  chainrule_error error;
  check(chainrule_network_create(&description, &network, &error), &error);
  check(chainrule_network_initialize(network, seed, &error), &error);
  return network;
}

static double loss_of(const chainrule_network *network)
{
  const size_t size = chainrule_network_scratch_size(network, 64);
  void *scratch = malloc(size);
  double value;
  chainrule_error error;
  check(chainrule_network_loss_f64(network, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, x, y, NULL, ROWS, scratch,
                                   size, &value, &error),
        &error);
  free(scratch);
  return value;
}

static void report(const char *name, const double *losses, double seconds, const char *effort)
{
  printf("| %-34s | %8.2e | %8.2e | %8.2e | %7.2f | %-18s |\n", name, losses[0], losses[1], losses[2],
         seconds / STARTS, effort);
  fflush(stdout);
}

static void adam(double rate, size_t batch_size, int epochs)
{
  double losses[STARTS], seconds = 0;
  chainrule_error error;
  for (uint64_t seed = 0; seed < STARTS; seed++) {
    chainrule_network *network = create(seed + 1);
    chainrule_trainer_options training = {
        CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
        .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), .batch_size = batch_size};
    training.optimizer.learning_rate = rate;
    chainrule_trainer *trainer;
    check(chainrule_trainer_create(network, &training, &trainer, &error), &error);
    const double start = cpu_seconds();
    for (int epoch = 0; epoch < epochs; epoch++)
      check(chainrule_trainer_epoch_f64(trainer, x, y, NULL, ROWS, NULL, &error), &error);
    seconds += cpu_seconds() - start;
    losses[seed] = loss_of(network);
    chainrule_trainer_free(trainer);
    chainrule_network_free(network);
  }
  char name[64], effort[64];
  snprintf(name, sizeof name, "adam %g, batches of %zu", rate, batch_size);
  snprintf(effort, sizeof effort, "%d epochs", epochs);
  report(name, losses, seconds, effort);
}

static void minimize(chainrule_method method, size_t iterations)
{
  double losses[STARTS], seconds = 0;
  size_t most = 0;
  chainrule_error error;
  for (uint64_t seed = 0; seed < STARTS; seed++) {
    chainrule_network *network = create(seed + 1);
    chainrule_minimizer_options m = chainrule_minimizer_options_default(method);
    m.loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR;
    m.iterations = iterations;
    chainrule_minimizer *minimizer;
    chainrule_minimizer_result minimum;
    check(chainrule_minimizer_create(network, &m, &minimizer, &error), &error);
    const double start = cpu_seconds();
    check(chainrule_minimizer_run_f64(minimizer, x, y, NULL, ROWS, &minimum, &error), &error);
    seconds += cpu_seconds() - start;
    losses[seed] = loss_of(network);
    most = minimum.iterations > most ? minimum.iterations : most;
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(network);
  }
  char effort[64];
  snprintf(effort, sizeof effort, "%zu iterations", most);
  report(chainrule_method_name(method), losses, seconds, effort);
}

int main(void)
{
  for (size_t r = 0; r < ROWS; r++) {
    double *u = &x[r * INPUTS];
    for (size_t i = 0; i < INPUTS; i++) u[i] = next();
    y[r] =
        (10 * sin(acos(-1) * u[0] * u[1]) + 20 * (u[2] - 0.5) * (u[2] - 0.5) + 10 * u[3] + 5 * u[4] - 14.4) / 5;
  }
  printf("| method | loss, start 1 | 2 | 3 | CPU seconds | effort |\n|---|---|---|---|---|---|\n");
  minimize(CHAINRULE_METHOD_LEVENBERG_MARQUARDT, 100);
  minimize(CHAINRULE_METHOD_LEVENBERG_MARQUARDT, 1000);
  for (int i = 1; i < CHAINRULE_METHOD_COUNT; i++) minimize((chainrule_method)i, 2000);
  static const double rates[] = {0.001, 0.003, 0.01, 0.03};
  for (size_t i = 0; i < 4; i++) adam(rates[i], 32, 2000);
  adam(0.01, ROWS, 2000);
  adam(0.01, 32, 8000);   /* the time of 100 iterations of Levenberg-Marquardt */
  adam(0.003, 32, 80000); /* the time of 1000 */
}
