/* Target scaling: a network whose last layer is a scaling trains to the same bits as the network without that
 * layer on standardised targets, with any kernel set, precision, loss and code path of a step.  Its losses
 * and gradients are those of standardised targets.  Its predictions have the unit of the targets. */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chainrule.h>

#include "expect.h"

enum { INPUTS = 4, OUTPUTS = 2, ROWS = 45, EPOCHS = 3, MOST_PARAMETERS = 4000 };

/* ---- Data: targets in a unit of their own, and the same standardised ------------------------------- */

static const double mu[OUTPUTS] = {1700.5, -0.003}, sigma[OUTPUTS] = {37.25, 0.0007};
static double x64[ROWS][INPUTS], y64[ROWS][OUTPUTS], standardized64[ROWS][OUTPUTS], weights64[ROWS];
static float x32[ROWS][INPUTS], y32[ROWS][OUTPUTS], standardized32[ROWS][OUTPUTS], weights32[ROWS];
static double mean64[OUTPUTS], deviation64[OUTPUTS];
static float mean32[OUTPUTS], deviation32[OUTPUTS];

static void make_data(void)
{
  for (int j = 0; j < OUTPUTS; j++) {
    deviation32[j] = (float)(deviation64[j] = 1 / sigma[j]);
    mean32[j] = (float)(mean64[j] = -mu[j] / sigma[j]);
  }
  for (int r = 0; r < ROWS; r++) {
    for (int i = 0; i < INPUTS; i++) x32[r][i] = (float)(x64[r][i] = uniform());
    for (int j = 0; j < OUTPUTS; j++) {
      y32[r][j] = (float)(y64[r][j] = mu[j] + sigma[j] * (2 * uniform() + sin(3 * x64[r][j])));
      volatile double product = y64[r][j] * deviation64[j],
                      product32 = (double)y32[r][j] * (double)deviation32[j];
      standardized64[r][j] = product + mean64[j]; /* not fused */
      standardized32[r][j] = (float)(product32 + (double)mean32[j]);
    }
    weights32[r] = (float)(weights64[r] = 0.5 + fabs(uniform()));
  }
}

/* ---- A network with target scaling, and its equal without ------------------------------------------ */

static const char *kernel_set;
static chainrule_scalar scalar;

#define TYPED(function, ...)                                                                                 \
  (scalar == CHAINRULE_FLOAT32 ? function##_f32(__VA_ARGS__) : function##_f64(__VA_ARGS__))
#define EITHER(values) (scalar == CHAINRULE_FLOAT32 ? (const void *)values##32 : (const void *)values##64)

enum { MOST_LAYERS = 8 };
typedef struct shape {
  const char *name;
  size_t count; /* without the target scaling */
  chainrule_layer layers[MOST_LAYERS];
} shape;

static const shape shapes[] = {
    {"narrow", 2, {{.units = 5, .activation = CHAINRULE_ACTIVATION_TANH}, {.units = OUTPUTS}}},
    {"wide",
     2,
     {{.units = 90, .activation = CHAINRULE_ACTIVATION_RELU},
      {.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTPLUS}}},
    {"deep",
     8,
     {{.kind = CHAINRULE_LAYER_SCALING},
      {.units = 6},
      {.kind = CHAINRULE_LAYER_BATCH_NORM},
      {.kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_SILU},
      {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.2},
      {.units = 6, .activation = CHAINRULE_ACTIVATION_TANH},
      {.kind = CHAINRULE_LAYER_RESIDUAL, .span = 1},
      {.units = OUTPUTS, .no_bias = true}}},
    {"two scalings",
     2,
     {{.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_MISH}, {.kind = CHAINRULE_LAYER_SCALING}}},
};

static chainrule_network *make(const shape *s, bool scaled)
{
  chainrule_layer layers[MOST_LAYERS + 1];
  memcpy(layers, s->layers, sizeof s->layers);
  layers[s->count] = (chainrule_layer){.kind = CHAINRULE_LAYER_SCALING};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar, INPUTS, s->count + scaled,
                                       layers, kernel_set},
      &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 5, e));
  if (!scaled) return network;
  ACCEPTED(TYPED(chainrule_network_set_parameter, network, s->count, CHAINRULE_MEAN, EITHER(mean), OUTPUTS, e));
  ACCEPTED(TYPED(chainrule_network_set_parameter, network, s->count, CHAINRULE_DEVIATION, EITHER(deviation),
                 OUTPUTS, e));
  return network;
}

static bool same_parameters(const chainrule_network *a, const chainrule_network *b)
{
  static double of_a[MOST_PARAMETERS], of_b[MOST_PARAMETERS];
  void *to_a = of_a, *to_b = of_b;
  const size_t count = chainrule_network_parameter_count(a);
  if (count > MOST_PARAMETERS || chainrule_network_parameter_count(b) != count) return false;
  if (TYPED(chainrule_network_get_parameters, a, to_a, count, e)) return false;
  if (TYPED(chainrule_network_get_parameters, b, to_b, count, e)) return false;
  const size_t size = scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
  return memcmp(of_a, of_b, count * size) == 0;
}

static void *scratch_for(const chainrule_network *network, size_t rows, size_t *size)
{
  *size = chainrule_network_scratch_size(network, rows);
  void *scratch = malloc(*size);
  if (!scratch) exit(1);
  return scratch;
}

static double loss_of(const chainrule_network *network, chainrule_loss loss, const void *y, size_t scratch_rows)
{
  size_t size;
  void *scratch = scratch_for(network, scratch_rows, &size);
  double value = NAN;
  ACCEPTED(TYPED(chainrule_network_loss, network, loss, EITHER(*x), y, EITHER(weights), ROWS, scratch, size,
                 &value, e));
  free(scratch);
  return value;
}

/* ---- Training --------------------------------------------------------------------------------------- */

/* A user-supplied loss: ½ Σ (a − y)⁴ / 2 of each row. */
static int fourth_power(void *unused, size_t rows, size_t outputs, const void *a, const void *y,
                        double *losses, void *gradient)
{
  (void)unused;
  for (size_t r = 0; r < rows; r++) {
    losses[r] = 0;
    for (size_t j = 0; j < outputs; j++) {
      const size_t i = r * outputs + j;
      const double d = scalar == CHAINRULE_FLOAT32
                           ? (double)((const float *)a)[i] - (double)((const float *)y)[i]
                           : ((const double *)a)[i] - ((const double *)y)[i];
      losses[r] += d * d * d * d / 4;
      if (scalar == CHAINRULE_FLOAT32)
        ((float *)gradient)[i] = (float)(d * d * d);
      else
        ((double *)gradient)[i] = d * d * d;
    }
  }
  return 0;
}

static const chainrule_loss losses[] = {CHAINRULE_LOSS_HALF_SQUARED_ERROR, CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
                                        CHAINRULE_LOSS_MEAN_ABSOLUTE_ERROR, CHAINRULE_LOSS_HUBER,
                                        CHAINRULE_LOSS_LOG_COSH};
enum { LOSSES = sizeof losses / sizeof *losses, WAYS = 8 };

/* One of the code paths of a step. */
static chainrule_trainer_options way_of(int way, chainrule_loss loss)
{
  chainrule_trainer_options t = {CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = loss,
                                 .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
                                 .batch_size = 8, .seed = 3};
  static const double rates[MOST_LAYERS + 1] = {1, 0.5, 1, 2, 1, 1, 1, 1, 1};
  t.optimizer.learning_rate = 0.01;
  switch (way) {
  case 0: break;
  case 1: t.batch_size = 1, t.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD); break;
  case 2: t.batch_size = 1, t.in_order = true; break;
  case 3: t.clip_norm = 0.1, t.in_order = true; break;
  case 4: t.accumulate = 3, t.clip_value = 0.01, t.keep = true; break;
  case 5: t.loss_function = fourth_power; break;
  case 6: t.rates = rates, t.input_noise = 0.05, t.max_norm = 1; break;
  case 7:
    t.threads = 2, t.batch_size = ROWS, t.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_RPROP);
    break;
  }
  return t;
}

static void trains_as_on_standardized_targets(const shape *s, int way, chainrule_loss loss)
{
  snprintf(context, sizeof context, "%s, float%d, %s, %s, way %d", kernel_set,
           scalar == CHAINRULE_FLOAT32 ? 32 : 64, s->name, chainrule_loss_name(loss), way);
  const chainrule_trainer_options training = way_of(way, loss);
  chainrule_network *scaled = make(s, true), *plain = make(s, false);
  chainrule_trainer *of_scaled = NULL, *of_plain = NULL;
  ACCEPTED(chainrule_trainer_create(scaled, &training, &of_scaled, e));
  ACCEPTED(chainrule_trainer_create(plain, &training, &of_plain, e));
  const void *w = way % 2 ? NULL : EITHER(weights);
  for (int epoch = 0; epoch < EPOCHS && of_scaled && of_plain; epoch++) {
    double a = -1, b = -2;
    ACCEPTED(TYPED(chainrule_trainer_epoch, of_scaled, EITHER(*x), EITHER(*y), w, ROWS, &a, e));
    ACCEPTED(TYPED(chainrule_trainer_epoch, of_plain, EITHER(*x), EITHER(*standardized), w, ROWS, &b, e));
    HOLDS(a == b);
    ACCEPTED(TYPED(chainrule_trainer_step, of_scaled, EITHER(*x), EITHER(*y), w, training.batch_size, &a, e));
    ACCEPTED(TYPED(chainrule_trainer_step, of_plain, EITHER(*x), EITHER(*standardized), w,
                   training.batch_size, &b, e));
    HOLDS(a == b);
    HOLDS(same_parameters(scaled, plain));
  }
  HOLDS(loss_of(scaled, loss, EITHER(*y), 1) == loss_of(plain, loss, EITHER(*standardized), ROWS));
  HOLDS(loss_of(scaled, loss, EITHER(*y), 7) == loss_of(plain, loss, EITHER(*standardized), ROWS));
  chainrule_trainer_free(of_scaled);
  chainrule_trainer_free(of_plain);
  chainrule_network_free(scaled);
  chainrule_network_free(plain);
}

/* a = σ x + μ */
static void predicts_in_the_unit_of_the_targets(const shape *s)
{
  snprintf(context, sizeof context, "%s, float%d, %s, predictions", kernel_set,
           scalar == CHAINRULE_FLOAT32 ? 32 : 64, s->name);
  chainrule_network *scaled = make(s, true), *plain = make(s, false);
  double a[ROWS * OUTPUTS], b[ROWS * OUTPUTS];
  void *to_a = a, *to_b = b;
  size_t size;
  void *scratch = scratch_for(scaled, ROWS, &size);
  ACCEPTED(TYPED(chainrule_network_predict, scaled, EITHER(*x), ROWS, to_a, scratch, size, e));
  free(scratch);
  scratch = scratch_for(plain, ROWS, &size);
  ACCEPTED(TYPED(chainrule_network_predict, plain, EITHER(*x), ROWS, to_b, scratch, size, e));
  free(scratch);
  for (size_t i = 0; i < ROWS * OUTPUTS; i++) {
    const bool narrow = scalar == CHAINRULE_FLOAT32;
    const double raw = narrow ? (double)((float *)to_a)[i] : a[i],
                 x = narrow ? (double)((float *)to_b)[i] : b[i];
    const double expected = sigma[i % OUTPUTS] * x + mu[i % OUTPUTS];
    const double scale = fabs(mu[i % OUTPUTS]) + sigma[i % OUTPUTS] * fabs(x);
    HOLDS(fabs(raw - expected) <= (narrow ? 1e-6 : 1e-14) * scale);
  }
  chainrule_network_free(scaled);
  chainrule_network_free(plain);
}

/* ---- Analysis and full-batch training ----------------------------------------------------------------- */

static void gradients_are_of_standardized_targets(const shape *s)
{
  snprintf(context, sizeof context, "%s, float%d, %s, gradients", kernel_set,
           scalar == CHAINRULE_FLOAT32 ? 32 : 64, s->name);
  const chainrule_loss loss = CHAINRULE_LOSS_HUBER;
  chainrule_network *scaled = make(s, true), *plain = make(s, false);
  const size_t count = chainrule_network_parameter_count(plain) * ROWS;
  const size_t bytes = count * (scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double));
  void *a = malloc(bytes), *b = malloc(bytes);
  if (!a || !b) exit(1);
  ACCEPTED(TYPED(chainrule_network_sample_gradients, scaled, loss, EITHER(*x), EITHER(*y), ROWS, a, count, e));
  ACCEPTED(TYPED(chainrule_network_sample_gradients, plain, loss, EITHER(*x), EITHER(*standardized), ROWS, b,
                 count, e));
  HOLDS(memcmp(a, b, bytes) == 0);
  free(a);
  free(b);
  chainrule_gradient_check of_scaled = {0}, of_plain = {0};
  ACCEPTED(TYPED(chainrule_network_check_gradient, scaled, loss, EITHER(*x), EITHER(*y), EITHER(weights),
                 ROWS, &of_scaled, e));
  ACCEPTED(TYPED(chainrule_network_check_gradient, plain, loss, EITHER(*x), EITHER(*standardized),
                 EITHER(weights), ROWS, &of_plain, e));
  HOLDS(of_scaled.error < 1e-6);
  HOLDS(fabs(of_scaled.loss - of_plain.loss) <= (scalar == CHAINRULE_FLOAT32 ? 1e-5 : 0) * of_plain.loss);
  chainrule_network_free(scaled);
  chainrule_network_free(plain);
}

static void minimizes_on_standardized_targets(const shape *s)
{
  for (int method = 0; method < CHAINRULE_METHOD_COUNT; method++) {
    snprintf(context, sizeof context, "%s, %s, %s", kernel_set, s->name,
             chainrule_method_name((chainrule_method)method));
    chainrule_network *networks[2] = {make(s, true), make(s, false)};
    chainrule_minimizer_result found[2];
    memset(found, 0, sizeof found);
    for (int i = 0; i < 2; i++) {
      chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)method);
      m.iterations = 12;
      chainrule_minimizer *minimizer = NULL;
      ACCEPTED(chainrule_minimizer_create(networks[i], &m, &minimizer, e));
      ACCEPTED(TYPED(chainrule_minimizer_run, minimizer, EITHER(*x), i ? EITHER(*standardized) : EITHER(*y),
                     EITHER(weights), ROWS, &found[i], e));
      chainrule_minimizer_free(minimizer);
    }
    HOLDS(found[0].loss == found[1].loss && found[0].iterations == found[1].iterations);
    HOLDS(same_parameters(networks[0], networks[1]));
    chainrule_network_free(networks[0]);
    chainrule_network_free(networks[1]);
  }
}

/* ---- Checkpoints --------------------------------------------------------------------------------------- */

static char path[] = "targets-XXXXXX";

/* Stops after some batches of a streamed epoch; the trainer that restores the checkpoint ends in the same
 * bits. */
static void resumes_in_the_same_bits(const shape *s)
{
  snprintf(context, sizeof context, "%s, float%d, %s, checkpoint", kernel_set,
           scalar == CHAINRULE_FLOAT32 ? 32 : 64, s->name);
  const chainrule_trainer_options training = way_of(0, CHAINRULE_LOSS_MEAN_SQUARED_ERROR);
  chainrule_network *first = make(s, true), *second = make(s, true);
  chainrule_trainer *of_first = NULL, *of_second = NULL;
  ACCEPTED(chainrule_trainer_create(first, &training, &of_first, e));
  ACCEPTED(chainrule_trainer_create(second, &training, &of_second, e));
  static const double other64[OUTPUTS] = {1, 2};
  static const float other32[OUTPUTS] = {1, 2};
  ACCEPTED(TYPED(chainrule_network_set_parameter, second, s->count, CHAINRULE_DEVIATION, EITHER(other),
                 OUTPUTS, e));
  ACCEPTED(TYPED(chainrule_trainer_epoch, of_first, EITHER(*x), EITHER(*y), NULL, ROWS, NULL, e));
  ACCEPTED(chainrule_trainer_begin_epoch(of_first, e));
  ACCEPTED(TYPED(chainrule_trainer_step, of_first, EITHER(*x), EITHER(*y), NULL, 8, NULL, e));
  ACCEPTED(chainrule_trainer_save(of_first, first, NULL, path, e));
  chainrule_network *best = NULL;
  ACCEPTED(chainrule_trainer_restore(of_second, path, &best, NULL, e));
  HOLDS(same_parameters(first, second));
  HOLDS(best && same_parameters(best, first));
  if (best)
    HOLDS(loss_of(best, training.loss, EITHER(*y), 3) == loss_of(first, training.loss, EITHER(*y), 3));
  chainrule_network_free(best);
  for (int i = 0; i < 2; i++) {
    chainrule_trainer *trainer = i ? of_second : of_first;
    ACCEPTED(TYPED(chainrule_trainer_step, trainer, EITHER(*x), EITHER(*y), NULL, 5, NULL, e));
    ACCEPTED(chainrule_trainer_end_epoch(trainer, NULL, e));
    ACCEPTED(TYPED(chainrule_trainer_epoch, trainer, EITHER(*x), EITHER(*y), NULL, ROWS, NULL, e));
  }
  HOLDS(same_parameters(first, second));
  chainrule_trainer_free(of_first);
  chainrule_trainer_free(of_second);
  chainrule_network_free(first);
  chainrule_network_free(second);
}

/* ---- What is refused ------------------------------------------------------------------------------------ */

static void refuses_what_has_no_unit(void)
{
  snprintf(context, sizeof context, "refusals");
  scalar = CHAINRULE_FLOAT32;
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  const chainrule_layer lone = {.kind = CHAINRULE_LAYER_SCALING};
  REFUSED(CHAINRULE_INVALID_NETWORK, "layer 1 is scaling and the only layer; a network needs",
          chainrule_network_create(
              &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar, 2, 1, &lone, NULL},
              &network, e));
  const chainrule_layer probability[] = {{.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SIGMOID},
                                         {.kind = CHAINRULE_LAYER_SCALING}};
  ACCEPTED(chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                     scalar, INPUTS, 2, probability, NULL},
                                    &network, e));
  static const char message[] =
      "layer 2 scales the targets, but the output layer 1 is sigmoid: a probability has no unit";
  for (int function = 0; function < 2; function++) {
    chainrule_trainer_options training = way_of(function ? 5 : 0, CHAINRULE_LOSS_MEAN_SQUARED_ERROR);
    REFUSED(CHAINRULE_INVALID_NETWORK, message, chainrule_trainer_create(network, &training, &trainer, e));
    HOLDS(e->layer == 2);
  }
  chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LBFGS);
  chainrule_minimizer *minimizer = NULL;
  REFUSED(CHAINRULE_INVALID_NETWORK, message, chainrule_minimizer_create(network, &m, &minimizer, e));
  double value;
  char scratch[4096];
  REFUSED(CHAINRULE_INVALID_NETWORK, message,
          chainrule_network_loss_f32(network, CHAINRULE_LOSS_BINARY_CROSS_ENTROPY, *x32, *y32, NULL, 1,
                                     scratch, sizeof scratch, &value, e));
  chainrule_network_free(network);
  const chainrule_layer classes[] = {{.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTMAX},
                                     {.kind = CHAINRULE_LAYER_SCALING}};
  REFUSED(CHAINRULE_INVALID_NETWORK, "layer 1 is softmax, which only the last layer (2) may be",
          chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                    scalar, INPUTS, 2, classes, NULL},
                                   &network, e));

  network = make(&shapes[0], true);
  chainrule_trainer_options training = way_of(4, CHAINRULE_LOSS_MEAN_SQUARED_ERROR);
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  ACCEPTED(chainrule_trainer_step_f32(trainer, *x32, *y32, NULL, 8, &value, e));
  float values[8 * OUTPUTS];
  ACCEPTED(chainrule_trainer_view_f32(trainer, 1, CHAINRULE_VIEW_DELTA, values, 8 * OUTPUTS, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer 3 scales the targets and takes no part in a step",
          chainrule_trainer_view_f32(trainer, 2, CHAINRULE_VIEW_A, values, 8 * OUTPUTS, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "no layer has index 3; the network has layers 0 to 2",
          chainrule_trainer_view_f32(trainer, 3, CHAINRULE_VIEW_A, values, 8 * OUTPUTS, e));
  float far[2][OUTPUTS] = {{0, 0}, {0, 3e38f}}, nan[1][OUTPUTS] = {{0, NAN}};
  REFUSED(CHAINRULE_INVALID_ARGUMENT,
          "targets, row 2, column 2: 3e+38 is inf in standardised units; meanSquaredError",
          chainrule_trainer_step_f32(trainer, *x32, *far, NULL, 2, &value, e));
  REFUSED(CHAINRULE_NOT_FINITE, "targets, row 1, column 2: NaN",
          chainrule_trainer_step_f32(trainer, *x32, *nan, NULL, 1, &value, e));
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  network = make(&shapes[1], true); /* softplus: poisson needs standardised targets of at least 0 */
  training = way_of(0, CHAINRULE_LOSS_POISSON);
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  float below[1][OUTPUTS] = {{1600, -0.002f}};
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "targets, row 1, column 1: 1600 is -2.",
          chainrule_trainer_step_f32(trainer, *x32, *below, NULL, 1, &value, e));
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

/* Folding keeps the scaling as the last layer when it removes other layers. */
static void folds_around_the_scaling(void)
{
  snprintf(context, sizeof context, "folding");
  static const struct {
    size_t count, left;
    chainrule_layer layers[3];
  } cases[] = {
      {2, 2, {{.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5}, {.kind = CHAINRULE_LAYER_SCALING}}},
      {2, 2, {{.kind = CHAINRULE_LAYER_SCALING}, {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5}}},
      {3,
       3,
       {{.units = OUTPUTS}, {.kind = CHAINRULE_LAYER_SCALING}, {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5}}},
      {3,
       2,
       {{.units = OUTPUTS}, {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5}, {.kind = CHAINRULE_LAYER_SCALING}}},
      {3, 2, {{.units = OUTPUTS}, {.kind = CHAINRULE_LAYER_BATCH_NORM}, {.kind = CHAINRULE_LAYER_SCALING}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    chainrule_network *network = NULL, *folded = NULL;
    ACCEPTED(chainrule_network_create(
        &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT32, OUTPUTS,
                                         cases[i].count, cases[i].layers, NULL},
        &network, e));
    ACCEPTED(chainrule_network_fold(network, &folded, e));
    HOLDS(folded && chainrule_network_layer_count(folded) == cases[i].left);
    chainrule_network_free(folded);
    chainrule_network_free(network);
  }
}

int main(void)
{
  const int file = mkstemp(path);
  if (file < 0) {
    perror("FAILED  mkstemp");
    return 1;
  }
  close(file);
  make_data();
  for (size_t set = 0; (kernel_set = chainrule_kernel_set_name(set)); set++)
    for (scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar = (chainrule_scalar)(scalar + 1))
      for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (int way = 0; way < WAYS; way++)
          for (int l = 0; l < LOSSES; l++) trains_as_on_standardized_targets(&shapes[i], way, losses[l]);
        predicts_in_the_unit_of_the_targets(&shapes[i]);
        gradients_are_of_standardized_targets(&shapes[i]);
        resumes_in_the_same_bits(&shapes[i]);
        if (scalar == CHAINRULE_FLOAT64 && set == 0) minimizes_on_standardized_targets(&shapes[i]);
      }
  kernel_set = NULL;
  refuses_what_has_no_unit();
  folds_around_the_scaling();
  unlink(path);
  return summary();
}
