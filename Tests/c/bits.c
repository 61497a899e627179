/* The same bits on every CPU: compares hashes with those of x86-64, for initial weights, for parameters after
 * a few steps of each optimizer, and after a few iterations of each full-batch method.
 *
 * With an argument it prints the table of hashes, for bits.h. */
#include <chainrule.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

typedef struct known {
  const char *what;
  uint64_t hash;
} known;
static const known table[] = {
#include "bits.h"
};

enum { INPUTS = 6, OUTPUTS = 3, ROWS = 90, BATCH = 8 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS];
static float x32[ROWS * INPUTS], y32[ROWS * OUTPUTS];
static bool prints;

/* FNV-1a of the parameters' bits, least byte first. */
static void compare(const char *what, const char *name, const chainrule_network *network)
{
  const size_t count = chainrule_network_parameter_count(network);
  double *p = malloc(count * sizeof *p);
  uint64_t hash = 0xcbf29ce484222325;
  const bool is_float = chainrule_network_scalar(network) == CHAINRULE_FLOAT32;
  if (is_float) {
    float *narrow = malloc(count * sizeof *narrow);
    ACCEPTED(chainrule_network_get_parameters_f32(network, narrow, count, e));
    for (size_t i = 0; i < count; i++) p[i] = (double)narrow[i];
    free(narrow);
  } else {
    ACCEPTED(chainrule_network_get_parameters_f64(network, p, count, e));
  }
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, &p[i], sizeof bits);
    for (int byte = 0; byte < 8; byte++) hash = (hash ^ (bits >> 8 * byte & 0xff)) * 0x100000001b3;
  }
  free(p);
  snprintf(context, sizeof context, "%s, %s, %s", what, name, is_float ? "float32" : "float64");
  if (prints) {
    printf("{\"%s\", 0x%016" PRIx64 "},\n", context, hash);
    return;
  }
  size_t i = 0;
  while (i < sizeof table / sizeof *table && strcmp(table[i].what, context) != 0) i++;
  HOLDS(i < sizeof table / sizeof *table);
  HOLDS(i < sizeof table / sizeof *table && table[i].hash == hash);
}

static chainrule_network *create(chainrule_scalar scalar, size_t inputs, size_t count,
                                 const chainrule_layer *layers)
{
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                     scalar, inputs, count, layers, NULL},
                                    &network, e));
  ACCEPTED(chainrule_network_initialize(network, 7, e));
  return network;
}

static void initial_weights(void)
{
  for (int kind = 0; kind < CHAINRULE_INITIALIZER_COUNT; kind++) {
    const chainrule_initializer draw = {(chainrule_initializer_kind)kind, 0.3};
    const chainrule_layer layers[] = {{.units = 200, .activation = CHAINRULE_ACTIVATION_RELU, .weights = draw},
                                      {.units = 10, .weights = draw}};
    chainrule_network *network = create(CHAINRULE_FLOAT64, 64, 2, layers);
    compare("64-200-10", chainrule_initializer_name(draw.kind), network);
    chainrule_network_free(network);
  }
}

static void steps(chainrule_scalar scalar)
{
  const chainrule_layer layers[] = {{.units = 20, .activation = CHAINRULE_ACTIVATION_TANH},
                                    {.kind = CHAINRULE_LAYER_BATCH_NORM},
                                    {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.2},
                                    {.units = 12, .activation = CHAINRULE_ACTIVATION_GELU},
                                    {.kind = CHAINRULE_LAYER_LAYER_NORM},
                                    {.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTMAX}};
  for (int kind = 0; kind < CHAINRULE_OPTIMIZER_COUNT; kind++) {
    chainrule_trainer_options training = {
        CHAINRULE_TRAINER_OPTIONS_SIZES,
        .loss = CHAINRULE_LOSS_CROSS_ENTROPY,
        .optimizer = chainrule_optimizer_default((chainrule_optimizer_kind)kind),
        .batch_size = BATCH,
        .seed = 7,
        .clip_norm = kind % 2 ? 1 : 0,
        .input_noise = kind % 3 ? 0 : 0.1,
        .label_smoothing = 0.1};
    chainrule_network *network = create(scalar, INPUTS, 6, layers);
    chainrule_trainer *trainer = NULL;
    ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
    for (int epoch = 0; epoch < 2; epoch++)
      ACCEPTED(scalar == CHAINRULE_FLOAT32 ? chainrule_trainer_epoch_f32(trainer, x32, y32, NULL, ROWS, NULL, e)
                                           : chainrule_trainer_epoch_f64(trainer, x, y, NULL, ROWS, NULL, e));
    compare("two epochs", chainrule_optimizer_name(training.optimizer.kind), network);
    chainrule_trainer_free(trainer);
    chainrule_network_free(network);
  }
}

static void full_batch(chainrule_scalar scalar)
{
  const chainrule_layer layers[] = {{.units = 7, .activation = CHAINRULE_ACTIVATION_TANH}, {.units = OUTPUTS}};
  for (int method = 0; method < CHAINRULE_METHOD_COUNT; method++) {
    chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)method);
    m.iterations = 30;
    chainrule_network *network = create(scalar, INPUTS, 2, layers);
    chainrule_minimizer *minimizer = NULL;
    ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, e));
    ACCEPTED(scalar == CHAINRULE_FLOAT32 ? chainrule_minimizer_run_f32(minimizer, x32, y32, NULL, ROWS, NULL, e)
                                         : chainrule_minimizer_run_f64(minimizer, x, y, NULL, ROWS, NULL, e));
    compare("30 iterations", chainrule_method_name(m.method), network);
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(network);
  }
}

int main(int argc, char **argv)
{
  (void)argv;
  prints = argc > 1;
  for (size_t i = 0; i < ROWS * INPUTS; i++) x[i] = x32[i] = (float)uniform();
  for (size_t r = 0; r < ROWS; r++) {
    const size_t k = x[r * INPUTS] > 0.3 ? 0 : x[r * INPUTS + 1] > 0 ? 1 : 2;
    y[r * OUTPUTS + k] = y32[r * OUTPUTS + k] = 1;
  }
  initial_weights();
  steps(CHAINRULE_FLOAT32);
  steps(CHAINRULE_FLOAT64);
  full_batch(CHAINRULE_FLOAT32);
  full_batch(CHAINRULE_FLOAT64);
  return prints ? failed != 0 : summary();
}
