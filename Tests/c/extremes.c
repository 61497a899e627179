/* Very large and very small numbers: columns whose 1 / deviation overflows, and messages that name a value
 * that is too large. */
#include <chainrule.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { COLUMNS = 3, ROWS = 60, PARAMETERS = 8 * (COLUMNS + 1) + 8 + 1 };

static chainrule_network *create(chainrule_scalar scalar, const char *kernel_set, size_t inputs, size_t count,
                                 const chainrule_layer *layers, const double *mean, const double *deviation)
{
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                     scalar, inputs, count, layers, kernel_set},
                                    &network, e));
  ACCEPTED(chainrule_network_initialize(network, 3, e));
  for (int parameter = CHAINRULE_MEAN; mean && parameter <= CHAINRULE_DEVIATION; parameter++) {
    const double *values = parameter == CHAINRULE_MEAN ? mean : deviation;
    float rounded[COLUMNS];
    if (parameter == CHAINRULE_VARIANCE) continue;
    for (size_t k = 0; k < inputs; k++) rounded[k] = (float)values[k];
    ACCEPTED(scalar == CHAINRULE_FLOAT32 ? chainrule_network_set_parameter_f32(
                                               network, 0, (chainrule_parameter)parameter, rounded, inputs, e)
                                         : chainrule_network_set_parameter_f64(
                                               network, 0, (chainrule_parameter)parameter, values, inputs, e));
  }
  return network;
}

/* Trains the same network for two epochs in float32 and float64.  Its first layer is a scaling by `s`.  The
 * first column has the size of s, the second of 1, the third of 1 / s, but not below what float32 represents
 * with some digits. */
static void a_column_of_deviation(double s)
{
  static const chainrule_layer layers[] = {
      {.kind = CHAINRULE_LAYER_SCALING}, {.units = 8, .activation = CHAINRULE_ACTIVATION_TANH}, {.units = 1}};
  const double third = fmin(fmax(1 / s, 1e-40), 1e37);
  const double mean[COLUMNS] = {0.5 * s, 0.5, 0.5 * third}, deviation[COLUMNS] = {s, 1, third};
  float x32[ROWS * COLUMNS], y32[ROWS], narrow[PARAMETERS];
  double x[ROWS * COLUMNS], y[ROWS], wide[PARAMETERS];
  for (size_t r = 0; r < ROWS; r++) {
    y[r] = 0;
    for (size_t k = 0; k < COLUMNS; k++) {
      const double z = uniform();
      x32[r * COLUMNS + k] = (float)(mean[k] + deviation[k] * z);
      x[r * COLUMNS + k] = (double)x32[r * COLUMNS + k];
      y[r] += sin(2 * z);
    }
    y[r] = y32[r] = (float)y[r];
  }
  snprintf(context, sizeof context, "deviation %g", s);
  for (int gsl = 0; gsl < 2; gsl++) {
    const char *set = gsl ? "gsl" : NULL;
    chainrule_network *small = create(CHAINRULE_FLOAT32, set, COLUMNS, 3, layers, mean, deviation);
    chainrule_network *large = create(CHAINRULE_FLOAT64, set, COLUMNS, 3, layers, mean, deviation);
    chainrule_network *copy = NULL;
    ACCEPTED(chainrule_network_copy(small, &copy, e));
    chainrule_network *const networks[] = {small, copy, large};
    for (size_t i = 0; i < 3; i++) {
      chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES,
                                            .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
                                            .batch_size = 10, .seed = 2};
      training.optimizer.learning_rate = 0.01;
      chainrule_trainer *trainer = NULL;
      ACCEPTED(chainrule_trainer_create(networks[i], &training, &trainer, e));
      for (int epoch = 0; epoch < 2; epoch++)
        ACCEPTED(i < 2 ? chainrule_trainer_epoch_f32(trainer, x32, y32, NULL, ROWS, NULL, e)
                       : chainrule_trainer_epoch_f64(trainer, x, y, NULL, ROWS, NULL, e));
      chainrule_trainer_free(trainer);
    }
    ACCEPTED(chainrule_network_get_parameters_f64(large, wide, PARAMETERS, e));
    for (size_t i = 0; i < 2; i++) {
      ACCEPTED(chainrule_network_get_parameters_f32(networks[i], narrow, PARAMETERS, e));
      double most = 0;
      for (size_t k = 0; k < PARAMETERS; k++) most = fmax(most, fabs((double)narrow[k] - wide[k]));
      HOLDS(most < 1e-3);
    }

    /* ∂a/∂x times s has the size of 1, if float32 can represent it. */
    double slopes[COLUMNS];
    float slopes32[COLUMNS];
    ACCEPTED(chainrule_network_input_jacobian_f64(large, x, 1, slopes, COLUMNS, e));
    ACCEPTED(chainrule_network_input_jacobian_f32(small, x32, 1, slopes32, COLUMNS, e));
    for (size_t k = 0; k < COLUMNS; k++) {
      const double expected = slopes[k] * deviation[k], found = (double)slopes32[k] * deviation[k];
      HOLDS(isfinite(expected) && (fabs(found - expected) < 1e-2 || (deviation[k] < 1e-38 && isinf(found))));
    }
    chainrule_network_free(small);
    chainrule_network_free(copy);
    chainrule_network_free(large);
  }
}

/* In float64 the quotient is exact if all numbers are powers of 2. */
static void the_quotient_is_exact(int exponent)
{
  static const chainrule_layer layers[] = {{.kind = CHAINRULE_LAYER_SCALING}, {.units = 1, .no_bias = true}};
  const double deviation = ldexp(1, exponent), mean = 0, x[3] = {deviation, -3 * deviation, 0}, one = 1;
  double a[3];
  char scratch[1 << 14];
  snprintf(context, sizeof context, "deviation 2^%d", exponent);
  chainrule_network *network = create(CHAINRULE_FLOAT64, NULL, 1, 2, layers, &mean, &deviation);
  ACCEPTED(chainrule_network_set_parameter_f64(network, 1, CHAINRULE_WEIGHTS, &one, 1, e));
  ACCEPTED(chainrule_network_predict_f64(network, x, 3, a, scratch, sizeof scratch, e));
  HOLDS(a[0] == 1 && a[1] == -3 && a[2] == 0);
  chainrule_network_free(network);
}

/* The message of a run that diverges ends with its cause. */
static void a_message_names(const char *cause, double x_size, double y_size, double weight, double rate,
                            bool steps)
{
  static const chainrule_layer layers[] = {{.units = 1}};
  double x[ROWS], y[ROWS];
  chainrule_network *network = create(CHAINRULE_FLOAT64, NULL, 1, 1, layers, NULL, NULL);
  chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES,
                                        .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD),
                                        .batch_size = 10, .seed = 2};
  chainrule_trainer *trainer = NULL;
  training.optimizer.learning_rate = rate;
  for (size_t r = 0; r < ROWS; r++) x[r] = r % 2 ? x_size : -x_size, y[r] = y_size;
  snprintf(context, sizeof context, "x %g, y %g, weights %g, rate %g", x_size, y_size, weight, rate);
  ACCEPTED(chainrule_network_set_parameter_f64(network, 0, CHAINRULE_WEIGHTS, &weight, 1, e));
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  chainrule_status status = CHAINRULE_OK;
  for (int i = 0; i < 200 && !status; i++)
    status = steps ? chainrule_trainer_step_f64(trainer, x, y, NULL, 10, NULL, e)
                   : chainrule_trainer_epoch_f64(trainer, x, y, NULL, ROWS, NULL, e);
  const char *after = strchr(e->message, ';');
  HOLDS(status == CHAINRULE_NOT_FINITE && after && !strncmp(after, cause, strlen(cause)));
  if (!after || strncmp(after, cause, strlen(cause)) != 0) printf("%s\n", e->message);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

int main(void)
{
  static const double deviations[] = {1, 1e-30, 1e-37, 1e-38, 1e-39, 1e-40, 1e-41, 1e37, 8e37};
  for (size_t i = 0; i < sizeof deviations / sizeof *deviations; i++) a_column_of_deviation(deviations[i]);
  static const int exponents[] = {0, -1022, -1023, -1024, -1040, -1060, 1000, 1020};
  for (size_t i = 0; i < sizeof exponents / sizeof *exponents; i++) the_quotient_is_exact(exponents[i]);
  for (int steps = 0; steps < 2; steps++) {
    a_message_names("; inputs as large as 1e+200 need scaling", 1e200, 1, 1, 0.1, steps);
    a_message_names("; targets as large as 1e+200 need scaling", 1, 1e200, 1, 0.1, steps);
    a_message_names("; targets as large as 1e+06 need scaling", 1, 1e6, 1, 1e30, steps);
    a_message_names("; inputs as large as 1e+160 need scaling; targets as large as 1e+170 need scaling",
                    1e160, 1e170, 1, 0.1, steps);
    a_message_names("; this is before the first update, so that the initial parameters are too large", 1, 1,
                    1e200, 0.1, steps);
    a_message_names("; the learning rate, 1e+30, is probably too large, or gradients need clipping", 1, 1, 1,
                    1e30, steps);
  }
  return summary();
}
