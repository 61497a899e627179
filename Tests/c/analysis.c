/* Jacobians and sample gradients agree with central differences of predictions, for every kind of layer,
 * activation and kernel set.  In float32 they agree with those of float64, up to rounding. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

static size_t failures;
static char context[200];

static void expect(int holds, const char *what)
{
  if (holds) return;
  if (++failures <= 20) printf("FAILED  %s: %s\n", context, what);
}
#define ACCEPTED(call) expect((call) == CHAINRULE_OK, #call " succeeds")

/* The numbers of Knuth's MMIX generator, in −1 … 1. */
static double next(void)
{
  static uint64_t state = 7;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

/* `found` differs from `expected` by at most `tolerance` times the largest expected value, which is not 0. */
static void agree(const double *found, const double *expected, size_t count, double tolerance, const char *what)
{
  double scale = 0, worst = 0;
  for (size_t i = 0; i < count; i++) {
    const double off = fabs(found[i] - expected[i]);
    scale = fmax(scale, fabs(expected[i]));
    worst = off <= worst ? worst : off; /* NaN is the worst */
  }
  char text[160];
  snprintf(text, sizeof text, "%s: off by %g of %g", what, worst, scale);
  expect(worst <= tolerance * scale + 1e-9 && (count == 0 || scale > 1e-3), text);
}

/* ---- Networks --------------------------------------------------------------------------------- */

#define DENSE(n, f)                                                                                          \
  {                                                                                                          \
    .units = n, .activation = CHAINRULE_ACTIVATION_##f                                                       \
  }
#define KIND(k)                                                                                              \
  {                                                                                                          \
    .kind = CHAINRULE_LAYER_##k                                                                              \
  }
#define RESIDUAL(n)                                                                                          \
  {                                                                                                          \
    .kind = CHAINRULE_LAYER_RESIDUAL, .span = n                                                              \
  }
#define DROPOUT                                                                                              \
  {                                                                                                          \
    .kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5                                                             \
  }
#define ALONE(f)                                                                                             \
  {                                                                                                          \
    .kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_##f                               \
  }

enum { INPUTS = 3, MOST_LAYERS = 12, MOST = 20000 };
typedef struct architecture {
  const char *name;
  size_t count;
  chainrule_layer layers[MOST_LAYERS];
} architecture;

/* Every kind of layer, also as the first and as the last; a residual layer that adds x; nested residual
 * blocks. */
static const architecture architectures[] = {
    {"scaling first",
     9,
     {KIND(SCALING), DENSE(5, TANH), KIND(BATCH_NORM), KIND(LAYER_NORM), ALONE(SILU), DENSE(5, IDENTITY),
      RESIDUAL(3), DROPOUT, DENSE(2, IDENTITY)}},
    {"batchNorm first, activation last",
     5,
     {KIND(BATCH_NORM), DENSE(17, GELU), KIND(BATCH_NORM), DENSE(3, IDENTITY), ALONE(TANH)}},
    {"layerNorm first, softmax last",
     4,
     {KIND(LAYER_NORM), DENSE(21, TANH), KIND(LAYER_NORM), DENSE(4, SOFTMAX)}},
    {"dropout first, batchNorm last",
     6,
     {DROPOUT, DENSE(3, MISH), RESIDUAL(2), RESIDUAL(3), DENSE(3, TANH), KIND(BATCH_NORM)}},
    {"activation first, scaling last",
     9,
     {ALONE(SOFTPLUS), DENSE(9, TANH), KIND(BATCH_NORM), DENSE(4, SIGMOID), DENSE(9, IDENTITY), RESIDUAL(3),
      DENSE(9, TANH), RESIDUAL(5), KIND(SCALING)}},
    {"x added to a dense layer, layerNorm last", 3, {DENSE(3, SIGMOID), RESIDUAL(1), KIND(LAYER_NORM)}},
    {"dropout before softmax alone", 3, {DENSE(3, IDENTITY), DROPOUT, ALONE(SOFTMAX)}},
    {"residual last, without bias",
     3,
     {{.units = 4, .no_bias = true},
      {.units = 4, .no_bias = true, .activation = CHAINRULE_ACTIVATION_TANH},
      RESIDUAL(1)}},
    {"wide", 2, {DENSE(130, TANH), DENSE(2, SIGMOID)}},
    {"one layer", 1, {DENSE(2, SOFTPLUS)}},
};

static chainrule_network *create(chainrule_scalar scalar, const char *set, size_t count,
                                 const chainrule_layer *layers)
{
  chainrule_network *network = NULL;
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar, INPUTS, count, layers, set};
  ACCEPTED(chainrule_network_create(&description, &network, NULL));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 3, NULL));
  return network;
}

static void set_statistic(chainrule_network *network, size_t l, chainrule_parameter parameter, int positive)
{
  double values[256];
  const size_t count = chainrule_network_parameter_size(network, l, parameter);
  for (size_t i = 0; i < count; i++) values[i] = positive ? 1 + 0.5 * next() : 0.4 * next();
  if (count) ACCEPTED(chainrule_network_set_parameter_f64(network, l, parameter, values, count, NULL));
}

/* Changes every parameter from its initial value, and statistics from 0 and 1. */
static void disturb(chainrule_network *network)
{
  static double values[MOST];
  const size_t count = chainrule_network_parameter_count(network);
  ACCEPTED(chainrule_network_get_parameters_f64(network, values, count, NULL));
  for (size_t i = 0; i < count; i++) values[i] += 0.3 * next();
  ACCEPTED(chainrule_network_set_parameters_f64(network, values, count, NULL));
  for (size_t l = 0; l < chainrule_network_layer_count(network); l++) {
    set_statistic(network, l, CHAINRULE_MEAN, 0);
    set_statistic(network, l, CHAINRULE_VARIANCE, 1);
    set_statistic(network, l, CHAINRULE_DEVIATION, 1);
  }
}

/* The same network in float32, with every number rounded. */
static chainrule_network *rounded(const chainrule_network *network, size_t count, const chainrule_layer *layers)
{
  chainrule_network *copy = create(CHAINRULE_FLOAT32, chainrule_network_kernel_set(network), count, layers);
  for (size_t l = 0; l < count; l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      static double values[MOST];
      static float narrow[MOST];
      const size_t size = chainrule_network_parameter_size(network, l, (chainrule_parameter)p);
      if (!size) continue;
      ACCEPTED(chainrule_network_get_parameter_f64(network, l, (chainrule_parameter)p, values, size, NULL));
      for (size_t i = 0; i < size; i++) narrow[i] = (float)values[i];
      ACCEPTED(chainrule_network_set_parameter_f32(copy, l, (chainrule_parameter)p, narrow, size, NULL));
    }
  return copy;
}

/* ---- Central differences ------------------------------------------------------------------------ */

static const double h = 1e-6;

static void predict(const chainrule_network *network, const double *x, size_t rows, double *outputs)
{
  const size_t size = chainrule_network_scratch_size(network, rows);
  void *scratch = malloc(size);
  ACCEPTED(chainrule_network_predict_f64(network, x, rows, outputs, scratch, size, NULL));
  free(scratch);
}

/* lᵣ of one row */
static double loss_of(const chainrule_network *network, chainrule_loss loss, const double *x, const double *y)
{
  double value = NAN;
  const size_t size = chainrule_network_scratch_size(network, 1);
  void *scratch = malloc(size);
  ACCEPTED(chainrule_network_loss_f64(network, loss, x, y, NULL, 1, scratch, size, &value, NULL));
  free(scratch);
  return value;
}

enum { ROWS = 11 };
static double found[ROWS * MOST], slopes[ROWS * MOST], above[ROWS * 16], below[ROWS * 16], parameters[MOST];
static float found32[ROWS * MOST];

/* The calls in float32 give the results in `found`. */
static void agrees_in_float32(size_t count, const char *what)
{
  static double wide[ROWS * MOST];
  for (size_t i = 0; i < count; i++) wide[i] = (double)found32[i];
  agree(wide, found, count, 5e-5, what);
}

static void analyse(const architecture *a, const char *set, chainrule_loss loss)
{
  chainrule_network *network = create(CHAINRULE_FLOAT64, set, a->count, a->layers);
  disturb(network);
  chainrule_network *single = rounded(network, a->count, a->layers);
  const size_t outputs = chainrule_network_outputs(network), count = chainrule_network_parameter_count(network);
  double x[ROWS * INPUTS], y[ROWS * 16];
  float x32[ROWS * INPUTS], y32[ROWS * 16];
  for (size_t i = 0; i < ROWS * INPUTS; i++) x32[i] = (float)(x[i] = (double)(float)next());
  for (size_t i = 0; i < ROWS * outputs; i++) y32[i] = (float)(y[i] = (double)(float)(0.5 + 0.5 * next()));

  for (size_t i = 0; i < INPUTS; i++) {
    double moved[ROWS * INPUTS];
    for (int sign = -1; sign <= 1; sign += 2) {
      memcpy(moved, x, sizeof x);
      for (size_t r = 0; r < ROWS; r++) moved[r * INPUTS + i] += sign * h;
      predict(network, moved, ROWS, sign < 0 ? below : above);
    }
    for (size_t k = 0; k < ROWS * outputs; k++) slopes[k * INPUTS + i] = (above[k] - below[k]) / (2 * h);
  }
  const size_t inputs_count = ROWS * outputs * INPUTS;
  ACCEPTED(chainrule_network_input_jacobian_f64(network, x, ROWS, found, inputs_count, NULL));
  agree(found, slopes, inputs_count, 1e-7, "the input Jacobian");
  ACCEPTED(chainrule_network_input_jacobian_f32(single, x32, ROWS, found32, inputs_count, NULL));
  agrees_in_float32(inputs_count, "the input Jacobian in float32");

  static double losses[ROWS * MOST];
  ACCEPTED(chainrule_network_get_parameters_f64(network, parameters, count, NULL));
  for (size_t p = 0; p < count; p++) {
    const double before = parameters[p];
    for (int sign = -1; sign <= 1; sign += 2) {
      parameters[p] = before + sign * h;
      ACCEPTED(chainrule_network_set_parameters_f64(network, parameters, count, NULL));
      predict(network, x, ROWS, sign < 0 ? below : above);
      for (size_t r = 0; r < ROWS; r++) {
        const double l = loss_of(network, loss, &x[r * INPUTS], &y[r * outputs]);
        losses[r * count + p] = sign < 0 ? l : (l - losses[r * count + p]) / (2 * h);
      }
    }
    parameters[p] = before;
    for (size_t k = 0; k < ROWS * outputs; k++) slopes[k * count + p] = (above[k] - below[k]) / (2 * h);
  }
  ACCEPTED(chainrule_network_set_parameters_f64(network, parameters, count, NULL));
  const size_t jacobian_count = ROWS * outputs * count;
  ACCEPTED(chainrule_network_parameter_jacobian_f64(network, x, ROWS, found, jacobian_count, NULL));
  agree(found, slopes, jacobian_count, 1e-7, "the parameter Jacobian");
  ACCEPTED(chainrule_network_parameter_jacobian_f32(single, x32, ROWS, found32, jacobian_count, NULL));
  agrees_in_float32(jacobian_count, "the parameter Jacobian in float32");

  ACCEPTED(chainrule_network_sample_gradients_f64(network, loss, x, y, ROWS, found, ROWS * count, NULL));
  agree(found, losses, ROWS * count, 1e-7, "the samples' gradients");
  ACCEPTED(chainrule_network_sample_gradients_f32(single, loss, x32, y32, ROWS, found32, ROWS * count, NULL));
  agrees_in_float32(ROWS * count, "the samples' gradients in float32");

  chainrule_gradient_check check;
  const double weights[ROWS] = {1, 2, 0.5, 3, 1, 0, 1, 2, 1, 1, 4};
  float weights32[ROWS];
  for (size_t r = 0; r < ROWS; r++) weights32[r] = (float)weights[r];
  ACCEPTED(chainrule_network_check_gradient_f64(network, loss, x, y, weights, ROWS, &check, NULL));
  expect(check.error < 1e-6, "the gradient is checked in float64");
  ACCEPTED(chainrule_network_check_gradient_f32(single, loss, x32, y32, weights32, ROWS, &check, NULL));
  expect(check.error < 1e-6, "the gradient is checked in float32");
  expect(chainrule_network_parameter_size(network, check.layer, check.parameter) > check.index,
         "the check names a parameter");
  chainrule_network_free(single);
  chainrule_network_free(network);
}

static void every_kind_of_layer(void)
{
  for (size_t s = 0; chainrule_kernel_set_name(s); s++)
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
      snprintf(context, sizeof context, "%s, %s", architectures[i].name, chainrule_kernel_set_name(s));
      analyse(&architectures[i], chainrule_kernel_set_name(s), CHAINRULE_LOSS_MEAN_SQUARED_ERROR);
    }
}

static void every_activation_and_loss(void)
{
  for (int f = 0; f < CHAINRULE_ACTIVATION_COUNT; f++) {
    const chainrule_activation activation = (chainrule_activation)f;
    const chainrule_activation hidden =
        f == CHAINRULE_ACTIVATION_SOFTMAX ? CHAINRULE_ACTIVATION_TANH : activation;
    const architecture a = {
        "", 2, {{.units = 4, .activation = hidden}, {.units = 3, .activation = activation}}};
    snprintf(context, sizeof context, "%s", chainrule_activation_name(activation));
    analyse(&a, NULL, CHAINRULE_LOSS_HALF_SQUARED_ERROR);
  }
  static const struct {
    chainrule_loss loss;
    chainrule_activation output;
  } pairs[] = {
      {CHAINRULE_LOSS_CROSS_ENTROPY, CHAINRULE_ACTIVATION_SOFTMAX},
      {CHAINRULE_LOSS_BINARY_CROSS_ENTROPY, CHAINRULE_ACTIVATION_SIGMOID},
      {CHAINRULE_LOSS_POISSON, CHAINRULE_ACTIVATION_SOFTPLUS},
      {CHAINRULE_LOSS_LOG_COSH, CHAINRULE_ACTIVATION_IDENTITY},
      {CHAINRULE_LOSS_HUBER, CHAINRULE_ACTIVATION_IDENTITY},
      {CHAINRULE_LOSS_MEAN_ABSOLUTE_ERROR, CHAINRULE_ACTIVATION_SOFTMAX},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    const architecture a = {"", 3, {DENSE(4, TANH), DROPOUT, {.units = 3, .activation = pairs[i].output}}};
    snprintf(context, sizeof context, "%s", chainrule_loss_name(pairs[i].loss));
    analyse(&a, NULL, pairs[i].loss);
  }
}

/* The mean of sample gradients is the gradient of a trainer, for any number of rows, in one row block or
 * several. */
static void samples_sum_to_the_batch(void)
{
  snprintf(context, sizeof context, "a batch");
  enum { MANY = 250 };
  const chainrule_layer layers[] = {DENSE(7, TANH), KIND(LAYER_NORM), DENSE(2, IDENTITY)};
  chainrule_network *network = create(CHAINRULE_FLOAT64, NULL, 3, layers);
  disturb(network);
  const size_t count = chainrule_network_parameter_count(network);
  static double x[MANY * INPUTS], y[MANY * 2], weights[MANY], gradients[MANY * 200], sum[200], batch[200];
  double total = 0;
  for (size_t i = 0; i < MANY * INPUTS; i++) x[i] = next();
  for (size_t i = 0; i < MANY * 2; i++) y[i] = next();
  for (size_t r = 0; r < MANY; r++) total += weights[r] = 1 + next();
  ACCEPTED(chainrule_network_sample_gradients_f64(network, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, x, y, MANY,
                                                  gradients, MANY * count, NULL));
  for (size_t r = 0; r < MANY; r++)
    for (size_t p = 0; p < count; p++) sum[p] += weights[r] / total * gradients[r * count + p];

  const chainrule_trainer_options training = {
      CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD), .batch_size = MANY, .keep = true};
  chainrule_trainer *trainer = NULL;
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, NULL));
  ACCEPTED(chainrule_trainer_gradients_f64(trainer, x, y, weights, MANY, NULL, NULL));
  size_t done = 0;
  for (size_t l = 0; l < 3; l++)
    for (int p = CHAINRULE_WEIGHTS; p <= CHAINRULE_BETA; p++) {
      static const chainrule_view views[] = {CHAINRULE_VIEW_WEIGHTS_GRADIENT, CHAINRULE_VIEW_BIAS_GRADIENT,
                                             CHAINRULE_VIEW_GAMMA_GRADIENT, CHAINRULE_VIEW_BETA_GRADIENT};
      const size_t size = chainrule_network_parameter_size(network, l, (chainrule_parameter)p);
      if (size) ACCEPTED(chainrule_trainer_view_f64(trainer, l, views[p], &batch[done], size, NULL));
      done += size;
    }
  expect(done == count, "the order of all parameters has each once");
  agree(sum, batch, count, 1e-13, "the samples' gradients sum to the batch's");
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

/* ---- What is refused ---------------------------------------------------------------------------- */

static void refused(chainrule_status wanted, const char *culprit, chainrule_status status,
                    const chainrule_error *error)
{
  char text[320];
  snprintf(text, sizeof text, "status %d, \"%s\"; expected %d and \"%s\"", status, error->message, wanted,
           culprit);
  expect(status == wanted && error->status == wanted && strstr(error->message, culprit), text);
}
#define REFUSED(wanted, culprit, call)                                                                       \
  do {                                                                                                       \
    chainrule_error error = {.message = ""}, *e = &error;                                                    \
    chainrule_status status = (call);                                                                        \
    refused(wanted, culprit, status, e);                                                                     \
    e = NULL;                                                                                                \
    expect((call) == wanted, #call " without an error to fill");                                             \
  } while (0)

static void bad_calls_are_refused(void)
{
  snprintf(context, sizeof context, "bad calls");
  const chainrule_layer layers[] = {DENSE(4, TANH), DENSE(2, IDENTITY)}, bare[] = {ALONE(TANH)};
  chainrule_network *network = create(CHAINRULE_FLOAT64, NULL, 2, layers);
  chainrule_network *single = create(CHAINRULE_FLOAT32, NULL, 2, layers);
  chainrule_network *empty = create(CHAINRULE_FLOAT64, NULL, 1, bare);
  double x[2 * INPUTS] = {0}, y[4] = {0}, j[64] = {0}, p[26], nan[2 * INPUTS] = {0, 1, 2, 3, NAN, 5};
  float x32[INPUTS] = {0}, j32[64];
  chainrule_gradient_check check;
  const chainrule_loss loss = CHAINRULE_LOSS_HALF_SQUARED_ERROR;

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_input_jacobian_f64(NULL, x, 2, j, 12, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "x is", chainrule_network_input_jacobian_f64(network, NULL, 2, j, 12, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "jacobian",
          chainrule_network_input_jacobian_f64(network, x, 2, NULL, 12, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
          chainrule_network_input_jacobian_f32(network, x32, 1, j32, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32", chainrule_network_input_jacobian_f64(single, x, 1, j, 6, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "expected 12 values, got 11",
          chainrule_network_input_jacobian_f64(network, x, 2, j, 11, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "expected 52 values, got 26",
          chainrule_network_parameter_jacobian_f64(network, x, 1, j, 26, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "expected 26 values, got 52",
          chainrule_network_sample_gradients_f64(network, loss, x, y, 1, j, 52, e));
  REFUSED(CHAINRULE_NOT_FINITE, "row 2, column 2",
          chainrule_network_input_jacobian_f64(network, nan, 2, j, 12, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows",
          chainrule_network_input_jacobian_f64(network, x, SIZE_MAX / 2, j, 12, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "gradients is NULL",
          chainrule_network_sample_gradients_f64(network, loss, x, y, 1, NULL, 26, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "y is",
          chainrule_network_sample_gradients_f64(network, loss, x, NULL, 1, j, 26, e));
  REFUSED(CHAINRULE_INVALID_NETWORK, "crossEntropy",
          chainrule_network_sample_gradients_f64(network, CHAINRULE_LOSS_CROSS_ENTROPY, x, y, 1, j, 26, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "hinge",
          chainrule_network_sample_gradients_f64(network, CHAINRULE_LOSS_HINGE, x, (const double[]){-1, 0.5},
                                                 1, j, 26, e));

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_check_gradient_f64(NULL, loss, x, y, NULL, 1, &check, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "check",
          chainrule_network_check_gradient_f64(network, loss, x, y, NULL, 1, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows is 0",
          chainrule_network_check_gradient_f64(network, loss, x, y, NULL, 0, &check, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "no parameters",
          chainrule_network_check_gradient_f64(empty, loss, x, y, NULL, 1, &check, e));
  REFUSED(CHAINRULE_NOT_FINITE, "inputs, row 2, column 2",
          chainrule_network_check_gradient_f64(network, loss, nan, y, NULL, 2, &check, e));

  ACCEPTED(chainrule_network_get_parameters_f64(network, p, 26, NULL));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "expected 26 values, got 25",
          chainrule_network_get_parameters_f64(network, p, 25, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "values", chainrule_network_set_parameters_f64(network, NULL, 26, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_set_parameters_f64(NULL, p, 26, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64", chainrule_network_set_parameters_f32(network, j32, 26, e));
  const double before = p[0];
  p[0] = 9, p[17] = INFINITY; /* 12 weights, 4 biases, then W[0][1] */
  REFUSED(CHAINRULE_NOT_FINITE, "layer 2, weights: value 2 is infinity",
          chainrule_network_set_parameters_f64(network, p, 26, e));
  ACCEPTED(chainrule_network_get_parameters_f64(network, p, 26, NULL));
  expect(p[0] == before, "a refused vector changes nothing");

  ACCEPTED(chainrule_network_input_jacobian_f64(network, x, 0, j, 0, NULL));
  ACCEPTED(chainrule_network_parameter_jacobian_f64(empty, x, 2, j, 0, NULL));
  ACCEPTED(chainrule_network_get_parameters_f64(empty, NULL, 0, NULL));
  chainrule_network_free(empty);
  chainrule_network_free(single);
  chainrule_network_free(network);
}

int main(void)
{
  every_kind_of_layer();
  every_activation_and_loss();
  samples_sum_to_the_batch();
  bad_calls_are_refused();
  printf(failures ? "%zu checks failed\n" : "all hold\n", failures);
  return failures != 0;
}
