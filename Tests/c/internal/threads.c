/* The same bits on any number of threads and with every kernel set except gsl: 1,000 steps of networks whose
 * sizes are close to the sizes of tiles, panels, chunks and slices.
 *
 * The trainer is compiled into this program, so that every step uses every thread, and any number of CPUs can
 * be pretended.  On a small machine the threads then sleep and wake a hundred thousand times. */
#include "backprop/backprop.h"

#define cr_cpu_count() ((size_t)CR_THREADS)
#define cr_team_ready(team) (t->members) /* never pauses */
#define CR_WORTH_A_THREAD 1
#include "../../../Sources/CChainrule/training/trainer.c"
#include "../../../Sources/CChainrule/training/step.c"

#include <math.h>
#include <stdio.h>

#include "draw.h"

enum { NETWORKS = 20, STEPS = 1000, MOST_LAYERS = 4 };
static const size_t thread_counts[] = {1, 2, 3, 7, 16};

/* A training, determined by its number. */
typedef struct problem {
  chainrule_layer layers[3 * MOST_LAYERS];
  size_t inputs, layer_count, rows;
  chainrule_trainer_options training;
} problem;

static size_t size(void)
{
  static const size_t edges[] = {1, 4, 6, 8, 12, 16, 24, 32, 48, 64};
  const size_t edge = edges[draw(CR_COUNT(edges))];
  return edge + draw(3) - (edge > 1);
}

/* After every dense layer except the last there is another kind of layer, and sometimes a residual layer over
 * these two. */
static void mix_in_others(problem *p)
{
  const problem plain = *p;
  p->layer_count = 0;
  for (size_t l = 0; l < plain.layer_count; l++) {
    p->layers[p->layer_count++] = plain.layers[l];
    if (l + 1 == plain.layer_count) break;
    const chainrule_layer_kind kind = (chainrule_layer_kind)(1 + draw(CHAINRULE_LAYER_RESIDUAL - 1));
    p->layers[p->layer_count++] =
        (chainrule_layer){.kind = kind, .activation = CHAINRULE_ACTIVATION_SILU, .rate = 0.25};
    if (draw(2)) p->layers[p->layer_count++] = (chainrule_layer){.kind = CHAINRULE_LAYER_RESIDUAL, .span = 1};
  }
}

static problem make(int number)
{
  state = (uint64_t)number * 1000;
  problem p = {.inputs = size(), .layer_count = 1 + draw(MOST_LAYERS), .rows = size()};
  for (size_t l = 0; l < p.layer_count; l++) {
    p.layers[l] = (chainrule_layer){.units = size(), .no_bias = draw(5) == 0};
    p.layers[l].activation = (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX);
    if (p.layers[l].activation == CHAINRULE_ACTIVATION_IDENTITY) p.layers[l].activation = CHAINRULE_ACTIVATION_TANH;
  }
  p.layers[p.layer_count - 1].activation = CHAINRULE_ACTIVATION_TANH;
  if (number % 2) mix_in_others(&p);
  p.training = (chainrule_trainer_options){
      CHAINRULE_TRAINER_OPTIONS_SIZES,
      .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
      .optimizer = chainrule_optimizer_default((chainrule_optimizer_kind)(number % CHAINRULE_OPTIMIZER_COUNT)),
      .batch_size = p.rows,
      .seed = 7,
  };
  return p;
}

/* The bits of every parameter after training; NULL after a message. */
static void *train(const problem *p, chainrule_scalar scalar, const char *set, size_t threads, size_t *bytes)
{
  const size_t rows = p->rows * 2 + 1, outputs = p->layers[p->layer_count - 1].units; /* the last batch has one row */
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_trainer_options training = p->training;
  training.threads = threads;
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar, p->inputs, p->layer_count, p->layers, set}, &network, &error);
  if (!status) status = chainrule_network_initialize(network, 3, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);

  float *x = malloc(rows * p->inputs * sizeof *x), *y = malloc(rows * outputs * sizeof *y);
  double *wide_x = malloc(rows * p->inputs * sizeof *wide_x), *wide_y = malloc(rows * outputs * sizeof *wide_y);
  state = 11;
  for (size_t i = 0; i < rows * p->inputs; i++) wide_x[i] = x[i] = (float)uniform();
  for (size_t i = 0; i < rows * outputs; i++) wide_y[i] = y[i] = (float)uniform();
  while (!status && chainrule_trainer_steps(trainer) < STEPS)
    status = scalar == CHAINRULE_FLOAT32
                 ? chainrule_trainer_epoch_f32(trainer, x, y, NULL, rows, NULL, &error)
                 : chainrule_trainer_epoch_f64(trainer, wide_x, wide_y, NULL, rows, NULL, &error);
  free(x), free(y), free(wide_x), free(wide_y);
  if (status) printf("%s, %zu threads: %s\n", set, threads, error.message);

  void *bits = NULL;
  if (!status) { /* without padding, because panels differ between the sets */
    *bytes = cr_arena_end(network) * cr_scalar_size(scalar);
    char *to = bits = calloc(1, *bytes);
    for (size_t l = 0; l < p->layer_count; l++)
      for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) {
        cr_read(network, network->parameters, l, (chainrule_parameter)parameter, to);
        to += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter) * cr_scalar_size(scalar);
      }
    *bytes = (size_t)(to - (char *)bits);
  }
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return bits;
}

/* Layers with long rows, and with more weights than an L2 cache holds: every element of ∂L/∂W = δᵀ a is the
 * chain over the rows of the δ and a in the trainer's view.  False after an error, which it prints. */
static bool wide_sums(const char *set, size_t threads)
{
  enum { ROWS = 37, LAYERS = 3, INPUTS = 200, WIDEST = 600 };
  const chainrule_layer layers[LAYERS] = {{.units = 520, .activation = CHAINRULE_ACTIVATION_RELU},
                                          {.units = WIDEST, .activation = CHAINRULE_ACTIVATION_TANH},
                                          {.units = 3}};
  static float x[ROWS * INPUTS], y[ROWS * 3], a[ROWS * WIDEST], delta[ROWS * WIDEST], gradient[WIDEST * WIDEST];
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  const chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
                                       .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD),
                                       .batch_size = ROWS,
                                       .threads = threads,
                                       .keep = true};
  state = 5;
  for (size_t i = 0; i < CR_COUNT(x); i++) x[i] = (float)uniform();
  for (size_t i = 0; i < CR_COUNT(y); i++) y[i] = (float)uniform();
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT32, INPUTS, LAYERS, layers, set}, &network, &error);
  if (!status) status = chainrule_network_initialize(network, 3, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);
  if (!status) status = chainrule_trainer_gradients_f32(trainer, x, y, NULL, ROWS, NULL, &error);

  size_t others = 0, in = INPUTS;
  memcpy(a, x, sizeof x);
  for (size_t l = 0; l < LAYERS && !status; in = layers[l++].units) {
    const size_t out = layers[l].units;
    status = chainrule_trainer_view_f32(trainer, l, CHAINRULE_VIEW_DELTA, delta, ROWS * out, &error);
    if (!status)
      status = chainrule_trainer_view_f32(trainer, l, CHAINRULE_VIEW_WEIGHTS_GRADIENT, gradient, out * in, &error);
    for (size_t j = 0; j < out && !status; j++)
      for (size_t i = 0; i < in; i++) {
        float sum = 0;
        for (size_t r = 0; r < ROWS; r++) sum = fmaf(a[r * in + i], delta[r * out + j], sum);
        others += sum != gradient[j * in + i];
      }
    if (!status) status = chainrule_trainer_view_f32(trainer, l, CHAINRULE_VIEW_A, a, ROWS * out, &error);
  }
  if (status) printf("%s, %zu threads: %s\n", set, threads, error.message);
  if (others > 0) printf("%s, %zu threads: %zu elements of dW are other sums\n", set, threads, others);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return !status && others == 0;
}

/* Data that several threads scan: a NaN is found in the part of any thread, and named. */
static bool finds_nan(size_t threads)
{
  enum { ROWS = 300001, BATCH = 5000 }; /* larger than an L2 cache; a batch of all rows would need 1 GB of scratch */
  static float x[ROWS], y[ROWS];
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  const chainrule_layer layer = {.units = 1};
  const chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
                                       .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD),
                                       .batch_size = BATCH,
                                       .threads = threads};
  chainrule_status status =
      chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT32, 1, 1, &layer, NULL}, &network, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);
  if (!status) status = chainrule_trainer_epoch_f32(trainer, x, y, NULL, ROWS, NULL, &error);
  bool good = !status;
  static const size_t places[] = {0, ROWS / 3 - 1, ROWS / 3, ROWS / 2, ROWS - 2, ROWS - 1};
  for (size_t i = 0; good && i < 2 * CR_COUNT(places); i++) {
    float *values = i % 2 ? y : x, *place = &values[places[i / 2]];
    char expected[80];
    snprintf(expected, sizeof expected, "%s, row %zu, column 1: NaN", i % 2 ? "targets" : "inputs", places[i / 2] + 1);
    *place = NAN;
    status = chainrule_trainer_epoch_f32(trainer, x, y, NULL, ROWS, NULL, &error);
    *place = 0;
    good = status == CHAINRULE_NOT_FINITE && !strcmp(error.message, expected);
    if (!good) printf("%zu threads: expected \"%s\", got \"%s\"\n", threads, expected, status ? error.message : "");
  }
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return good;
}

int main(void)
{
  size_t compared = 0, failed = 0;
  for (size_t set = 0; chainrule_kernel_set_name(set); set++)
    for (size_t threads = 1; threads <= 3 && strcmp(chainrule_kernel_set_name(set), "gsl") != 0; threads += 2, compared++)
      failed += !wide_sums(chainrule_kernel_set_name(set), threads);
  for (size_t i = 0; i < CR_COUNT(thread_counts); i++, compared++) failed += !finds_nan(thread_counts[i]);
  for (int number = 0; number < NETWORKS; number++) {
    const problem p = make(number);
    const chainrule_scalar scalar = number % 3 ? CHAINRULE_FLOAT32 : CHAINRULE_FLOAT64;
    size_t bytes;
    void *expected = NULL;
    for (size_t set = 0; chainrule_kernel_set_name(set); set++) {
      const char *name = chainrule_kernel_set_name(set);
      if (!strcmp(name, "gsl")) continue; /* its bits depend on the BLAS */
      /* baseline calls the slow fma(), so it is tested with one number of threads */
      const size_t first = strcmp(name, "baseline") ? 0 : 2, end = first ? first + 1 : CR_COUNT(thread_counts);
      for (size_t i = first; i < end; i++) {
        void *bits = train(&p, scalar, name, thread_counts[i], &bytes);
        const bool same = bits && (!expected || !memcmp(bits, expected, bytes));
        if (!same) printf("network %d: %s with %zu threads has other bits\n", number, name, thread_counts[i]);
        failed += !same;
        compared++;
        if (expected) free(bits);
        else expected = bits;
      }
    }
    free(expected);
  }
  printf("%zu runs, %zu failed\n", compared, failed);
  return failed > 0;
}
