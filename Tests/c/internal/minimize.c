/* Full-batch training: every method decreases L and returns the best finite point that it has evaluated, for
 * any data.  It refuses what it cannot minimise. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chainrule.h"

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
  static uint64_t state = 11;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-52 - 1;
}

enum { ROWS = 130, INPUTS = 2, OUTPUTS = 2 };
static double x[ROWS * INPUTS], y[ROWS * OUTPUTS], weights[ROWS];
static float x32[ROWS * INPUTS], y32[ROWS * OUTPUTS], weights32[ROWS];

static void fill(void)
{
  for (size_t r = 0; r < ROWS; r++) {
    for (size_t i = 0; i < INPUTS; i++)
      x32[r * INPUTS + i] = (float)(x[r * INPUTS + i] = (double)(float)next());
    const double u = x[r * INPUTS], v = x[r * INPUTS + 1];
    y32[r * OUTPUTS] = (float)(y[r * OUTPUTS] = (double)(float)(0.5 + 0.4 * sin(3 * u) * v));
    y32[r * OUTPUTS + 1] = (float)(y[r * OUTPUTS + 1] = 1 - y[r * OUTPUTS]);
    weights32[r] = (float)(weights[r] = (double)(r % 3));
  }
}

static chainrule_network *create(chainrule_scalar scalar, size_t count, const chainrule_layer *layers)
{
  chainrule_network *network = NULL;
  const chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar, INPUTS, count, layers, NULL};
  ACCEPTED(chainrule_network_create(&description, &network, NULL));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 3, NULL));
  return network;
}

static double loss_of(const chainrule_network *network, chainrule_loss loss, const double *sample_weights,
                      size_t rows)
{
  double value = NAN;
  const size_t size = chainrule_network_scratch_size(network, 8);
  void *scratch = malloc(size);
  ACCEPTED(
      chainrule_network_loss_f64(network, loss, x, y, sample_weights, rows, scratch, size, &value, NULL));
  free(scratch);
  return value;
}

static chainrule_status run(chainrule_network *network, const chainrule_minimizer_options *m,
                            const double *sample_weights, size_t rows, chainrule_minimizer_result *minimum,
                            chainrule_error *error)
{
  chainrule_minimizer *minimizer = NULL;
  chainrule_status status = chainrule_minimizer_create(network, m, &minimizer, error);
  if (!status) status = chainrule_minimizer_run_f64(minimizer, x, y, sample_weights, rows, minimum, error);
  chainrule_minimizer_free(minimizer);
  return status;
}

#define DENSE(n, f)                                                                                          \
  {                                                                                                          \
    .units = n, .activation = CHAINRULE_ACTIVATION_##f                                                       \
  }
static const chainrule_layer small[] = {DENSE(4, TANH), DENSE(OUTPUTS, IDENTITY)};

/* ---- Runs --------------------------------------------------------------------------------------- */

static size_t calls;
static double last;
static int count(void *context_, const chainrule_minimizer_result *so_far)
{
  (void)context_;
  calls++;
  expect(so_far->iterations == calls, "progress is told of each iteration");
  expect(so_far->loss <= last, "the best loss never grows");
  last = so_far->loss;
  return 0;
}

static void every_method_goes_down(void)
{
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++)
    for (int weighted = 0; weighted < 2; weighted++) {
      const chainrule_method method = (chainrule_method)i;
      snprintf(context, sizeof context, "%s%s", chainrule_method_name(method), weighted ? ", weighted" : "");
      chainrule_minimizer_options m = chainrule_minimizer_options_default(method);
      m.loss = weighted ? CHAINRULE_LOSS_MEAN_SQUARED_ERROR : CHAINRULE_LOSS_HALF_SQUARED_ERROR;
      m.iterations = 60;
      m.progress = count;
      calls = 0, last = INFINITY;
      chainrule_network *network = create(CHAINRULE_FLOAT64, 2, small);
      const double *w = weighted ? weights : NULL, before = loss_of(network, m.loss, w, ROWS);
      chainrule_minimizer_result minimum;
      ACCEPTED(run(network, &m, w, ROWS, &minimum, NULL));
      const double after = loss_of(network, m.loss, w, ROWS);
      expect(after < 0.1 * before, "the loss is a tenth of what it was");
      expect(fabs(minimum.loss - after) <= 1e-12 * before, "the network has the loss that is reported");
      expect(minimum.iterations == calls && calls > 0 && calls <= 60, "iterations are counted, and bound");
      expect(minimum.evaluations > minimum.iterations, "evaluations are counted");

      /* The same from the same start in float32, rounded. */
      chainrule_network *single = create(CHAINRULE_FLOAT32, 2, small);
      chainrule_minimizer *minimizer = NULL;
      chainrule_minimizer_result found;
      m.progress = NULL;
      ACCEPTED(chainrule_minimizer_create(single, &m, &minimizer, NULL));
      ACCEPTED(
          chainrule_minimizer_run_f32(minimizer, x32, y32, weighted ? weights32 : NULL, ROWS, &found, NULL));
      expect(found.loss < 0.1 * before, "float32 goes down as far");
      float p[22];
      double wide[22];
      ACCEPTED(chainrule_network_get_parameters_f32(single, p, 22, NULL));
      for (size_t k = 0; k < 22; k++) wide[k] = (double)p[k];
      ACCEPTED(chainrule_network_set_parameters_f64(network, wide, 22, NULL));
      const double rounded = loss_of(network, m.loss, w, ROWS);
      expect(fabs(rounded - found.loss) < 1e-4 * before,
             "float32 has the parameters of its minimum, rounded");
      chainrule_minimizer_free(minimizer);
      chainrule_network_free(single);
      chainrule_network_free(network);
    }
}

/* The best point is returned, even if the last point is worse. */
static void the_best_point_is_kept(void)
{
  const chainrule_layer layer = DENSE(OUTPUTS, IDENTITY);
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    snprintf(context, sizeof context, "to the end, %s", chainrule_method_name((chainrule_method)i));
    chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
    m.gradient_tolerance = m.step_tolerance = m.loss_tolerance = 0;
    m.iterations = 100000;
    m.progress = count;
    calls = 0, last = INFINITY;
    chainrule_network *network = create(CHAINRULE_FLOAT64, 1, &layer);
    chainrule_minimizer_result minimum;
    ACCEPTED(run(network, &m, NULL, ROWS, &minimum, NULL));
    expect(minimum.ending == CHAINRULE_ENDED_BY_NO_PROGRESS || minimum.ending == CHAINRULE_ENDED_BY_LOSS ||
               minimum.ending == CHAINRULE_ENDED_BY_STEP,
           "it ends by itself");
    expect(minimum.loss <= last, "with the best of all iterations");
    expect(fabs(loss_of(network, m.loss, NULL, ROWS) - minimum.loss) <= 1e-15 * minimum.loss,
           "which the network has");
    chainrule_network_free(network);
  }
}

/* A sample weight of 2 equals a row that occurs twice; a weight of 0 equals a row that is absent. */
static void weights_count_rows(void)
{
  static double more_x[2 * ROWS * INPUTS], more_y[2 * ROWS * OUTPUTS];
  size_t rows = 0;
  for (size_t r = 0; r < ROWS; r++)
    for (double w = 0; w < weights[r]; w++, rows++) {
      memcpy(&more_x[rows * INPUTS], &x[r * INPUTS], INPUTS * sizeof *x);
      memcpy(&more_y[rows * OUTPUTS], &y[r * OUTPUTS], OUTPUTS * sizeof *y);
    }
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    snprintf(context, sizeof context, "weights, %s", chainrule_method_name((chainrule_method)i));
    chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
    m.iterations = 8;
    chainrule_network *weighted = create(CHAINRULE_FLOAT64, 2, small),
                      *repeated = create(CHAINRULE_FLOAT64, 2, small);
    chainrule_minimizer_result one, other;
    ACCEPTED(run(weighted, &m, weights, ROWS, &one, NULL));
    chainrule_minimizer *minimizer = NULL;
    ACCEPTED(chainrule_minimizer_create(repeated, &m, &minimizer, NULL));
    ACCEPTED(chainrule_minimizer_run_f64(minimizer, more_x, more_y, NULL, rows, &other, NULL));
    expect(fabs(one.loss - other.loss) <= 1e-9 * other.loss, "weights are counts of rows");
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(weighted);
    chainrule_network_free(repeated);
  }
}

/* A linear network has one minimum, here with L = 0, which Levenberg-Marquardt and L-BFGS reach, also with
 * fewer residuals than parameters. */
static void a_linear_network_is_solved(void)
{
  const chainrule_layer layer = DENSE(OUTPUTS, IDENTITY);
  static double target[ROWS * OUTPUTS];
  for (size_t r = 0; r < ROWS; r++)
    for (size_t k = 0; k < OUTPUTS; k++)
      target[r * OUTPUTS + k] = 2 * x[r * INPUTS] - (double)k * x[r * INPUTS + 1] + 3;
  const chainrule_method methods[] = {CHAINRULE_METHOD_LEVENBERG_MARQUARDT, CHAINRULE_METHOD_LBFGS};
  for (size_t i = 0; i < 4; i++) {
    snprintf(context, sizeof context, "linear, %s, %d rows", chainrule_method_name(methods[i % 2]),
             i < 2 ? ROWS : 2);
    chainrule_minimizer_options m = chainrule_minimizer_options_default(methods[i % 2]);
    chainrule_network *network = create(CHAINRULE_FLOAT64, 1, &layer);
    chainrule_minimizer *minimizer = NULL;
    chainrule_minimizer_result minimum;
    ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, NULL));
    ACCEPTED(chainrule_minimizer_run_f64(minimizer, x, target, NULL, i < 2 ? ROWS : 2, &minimum, NULL));
    expect(minimum.loss < 1e-14, "the loss is 0");
    expect(minimum.iterations < 25, "within few iterations");
    double p[6];
    static const double solution[6] = {2, 0, 2, -1, 3, 3};
    ACCEPTED(chainrule_network_get_parameters_f64(network, p, 6, NULL));
    for (size_t k = 0; i < 2 && k < 6; k++)
      expect(fabs(p[k] - solution[k]) < 1e-6, "the parameters are the solution");
    ACCEPTED(chainrule_minimizer_run_f64(minimizer, x, target, NULL, i < 2 ? ROWS : 2, &minimum, NULL));
    expect(minimum.iterations <= 2 && minimum.ending != CHAINRULE_ENDED_BY_ITERATIONS,
           "at the minimum it ends");
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(network);
  }
}

/* y = s sin 3u, with the same start for every s: a small s alone does not end a run.  With a large s the
 * hidden layer saturates; with a small s the methods that use only the gradient need all iterations.  Hence
 * the bound. */
static void scale_does_not_matter(void)
{
  static const chainrule_layer layers[] = {DENSE(6, TANH), DENSE(1, IDENTITY)};
  static double u[ROWS], v[ROWS];
  const chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64, 1, 2, layers, NULL};
  for (int exponent = -20; exponent <= 20; exponent += 10)
    for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
      const double s = ldexp(1, exponent);
      double squares = 0;
      for (size_t r = 0; r < ROWS; r++) {
        u[r] = x[r * INPUTS], v[r] = s * sin(3 * u[r]);
        squares += v[r] * v[r];
      }
      chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
      chainrule_network *network = NULL;
      chainrule_minimizer *minimizer = NULL;
      chainrule_minimizer_result minimum = {.loss = NAN};
      ACCEPTED(chainrule_network_create(&description, &network, NULL));
      ACCEPTED(chainrule_network_initialize(network, 3, NULL));
      ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, NULL));
      ACCEPTED(chainrule_minimizer_run_f64(minimizer, u, v, NULL, ROWS, &minimum, NULL));
      const double unexplained = 2 * ROWS * minimum.loss / squares; /* 1 - R², about 0 */
      snprintf(context, sizeof context, "targets of size 2^%d, %s: 1 - R2 is %.3g after %zu iterations, ending %d", exponent,
               chainrule_method_name((chainrule_method)i), unexplained, minimum.iterations, (int)minimum.ending);
      expect(unexplained < 0.12, "the loss is small against the targets");
      chainrule_minimizer_free(minimizer);
      chainrule_network_free(network);
    }
}

/* With four outputs, meanSquaredError is exactly half of halfSquaredError: the same steps, and the same
 * reason to end. */
static void a_multiple_of_the_loss_is_the_same_run(void)
{
  static const chainrule_layer layers[] = {DENSE(4, TANH), DENSE(4, IDENTITY)};
  static double four[ROWS * 4];
  for (size_t r = 0; r < ROWS * 4; r++) four[r] = y[r / 2] * (double)(1 + r % 4);
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    chainrule_minimizer_result found[2];
    for (int mean = 0; mean < 2; mean++) {
      snprintf(context, sizeof context, "half of L, %s", chainrule_method_name((chainrule_method)i));
      chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
      m.loss = mean ? CHAINRULE_LOSS_MEAN_SQUARED_ERROR : CHAINRULE_LOSS_HALF_SQUARED_ERROR;
      m.gradient_tolerance = 1e-3; /* which all methods reach */
      chainrule_network *network = create(CHAINRULE_FLOAT64, 2, layers);
      chainrule_minimizer *minimizer = NULL;
      ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, NULL));
      ACCEPTED(chainrule_minimizer_run_f64(minimizer, x, four, NULL, ROWS, &found[mean], NULL));
      chainrule_minimizer_free(minimizer);
      chainrule_network_free(network);
    }
    expect(found[0].ending == CHAINRULE_ENDED_BY_GRADIENT, "it ends by the gradient");
    expect(found[0].iterations == found[1].iterations && found[0].evaluations == found[1].evaluations &&
               found[0].ending == found[1].ending,
           "after the same steps");
    expect(fabs(found[1].loss / found[0].loss - 0.5) < 1e-9, "with half of the loss");
  }
}

/* Levenberg-Marquardt takes the same steps when targets and output layer, or an input and its weights, are
 * scaled. */
static void levenberg_marquardt_is_scale_free(void)
{
  static const chainrule_layer layers[] = {DENSE(5, TANH), DENSE(1, IDENTITY)};
  static double u[ROWS], v[ROWS];
  const chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64, 1, 2, layers, NULL};
  chainrule_minimizer_result first = {.loss = NAN};
  for (int exponent = 0; exponent <= 3; exponent++) {
    static const int of_y[] = {0, -140, 90, 0}, of_x[] = {0, 0, 0, -60};
    const double s = ldexp(1, of_y[exponent]), t = ldexp(1, of_x[exponent]);
    double p[16];
    snprintf(context, sizeof context, "the scale 2^%d of y, 2^%d of x", of_y[exponent], of_x[exponent]);
    for (size_t r = 0; r < ROWS; r++) u[r] = t * x[r * INPUTS], v[r] = s * y[r * OUTPUTS];
    chainrule_network *network = NULL;
    chainrule_minimizer *minimizer = NULL;
    chainrule_minimizer_result minimum = {.loss = NAN};
    const chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LEVENBERG_MARQUARDT);
    ACCEPTED(chainrule_network_create(&description, &network, NULL));
    ACCEPTED(chainrule_network_initialize(network, 3, NULL));
    ACCEPTED(chainrule_network_get_parameters_f64(network, p, 16, NULL));
    for (size_t k = 0; k < 16; k++) p[k] *= k < 5 ? 1 / t : k < 10 ? 1 : s;
    ACCEPTED(chainrule_network_set_parameters_f64(network, p, 16, NULL));
    ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, NULL));
    ACCEPTED(chainrule_minimizer_run_f64(minimizer, u, v, NULL, ROWS, &minimum, NULL));
    if (exponent == 0) first = minimum;
    expect(minimum.ending == first.ending && minimum.iterations == first.iterations &&
               minimum.evaluations == first.evaluations && minimum.loss == s * s * first.loss,
           "the run is the same");
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(network);
  }
}

static void memory_is_bound(void)
{
  snprintf(context, sizeof context, "memory");
  chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LEVENBERG_MARQUARDT);
  chainrule_network *network = create(CHAINRULE_FLOAT64, 2, small);
  chainrule_error error;
  /* 22 parameters, 2 of 96 rows in a row block, 260 residuals: (2 * 22 + 192) * 22 + 10 * 22 + 192 + 2 * 260
   * numbers */
  m.iterations = 3, m.memory = 8 * 6124;
  ACCEPTED(run(network, &m, NULL, ROWS, NULL, NULL));
  m.memory--;
  expect(run(network, &m, NULL, ROWS, NULL, &error) == CHAINRULE_OUT_OF_MEMORY, "too little is refused");
  expect(strstr(error.message, "needs 48992 bytes for 260 residuals and 22 parameters; its memory limit is 48991") !=
             NULL,
         error.message);
  chainrule_network_free(network);
}

/* ---- Refusals, stops and failures --------------------------------------------------------------- */

typedef struct stopping {
  chainrule_minimizer *minimizer;
  size_t after, fails_after;
} stopping;

static int stop(void *context_, const chainrule_minimizer_result *so_far)
{
  const stopping *s = context_;
  if (so_far->iterations == s->after) chainrule_minimizer_stop(s->minimizer);
  return so_far->iterations == s->fails_after;
}

static void a_run_is_stopped(void)
{
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    snprintf(context, sizeof context, "stop, %s", chainrule_method_name((chainrule_method)i));
    chainrule_network *network = create(CHAINRULE_FLOAT64, 2, small);
    stopping s = {.after = 3};
    chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
    m.progress = stop, m.context = &s;
    chainrule_minimizer_result minimum;
    chainrule_error error;
    const double before = loss_of(network, m.loss, NULL, ROWS);
    ACCEPTED(chainrule_minimizer_create(network, &m, &s.minimizer, NULL));
    expect(chainrule_minimizer_run_f64(s.minimizer, x, y, NULL, ROWS, &minimum, &error) == CHAINRULE_STOPPED,
           "the call returns CHAINRULE_STOPPED");
    expect(strstr(error.message, "after 3 iterations") != NULL, error.message);
    expect(minimum.iterations == 3 && minimum.ending == CHAINRULE_ENDED_BY_STOP,
           "after the iteration in hand");
    expect(minimum.loss < before &&
               fabs(loss_of(network, m.loss, NULL, ROWS) - minimum.loss) < 1e-12 * before,
           "the network has the best point so far");
    chainrule_minimizer_stop(s.minimizer); /* before a run */
    expect(chainrule_minimizer_run_f64(s.minimizer, x, y, NULL, ROWS, &minimum, &error) ==
                   CHAINRULE_STOPPED &&
               minimum.iterations == 0,
           "a stop that comes early ends the next run");
    s.after = 0;
    s.fails_after = 2;
    chainrule_network *failed = create(CHAINRULE_FLOAT64, 2, small);
    chainrule_minimizer *failing = NULL;
    ACCEPTED(chainrule_minimizer_create(failed, &m, &failing, NULL));
    expect(chainrule_minimizer_run_f64(failing, x, y, NULL, ROWS, &minimum, &error) == CHAINRULE_CALLBACK_FAILED &&
               !strcmp(error.message, "the progress function failed after 2 iterations") && minimum.iterations == 2,
           error.message);
    chainrule_minimizer_free(failing);
    chainrule_network_free(failed);
    s.fails_after = 0;
    ACCEPTED(chainrule_minimizer_run_f64(s.minimizer, x, y, NULL, ROWS, &minimum, &error));
    chainrule_minimizer_free(s.minimizer);
    chainrule_network_free(network);
  }
}

/* Inputs so large that a step that is too long overflows. */
static void what_is_not_finite_is_kept_out(void)
{
  const chainrule_layer deep[] = {DENSE(3, IDENTITY), DENSE(3, IDENTITY), DENSE(3, SOFTPLUS),
                                  DENSE(OUTPUTS, IDENTITY)};
  for (size_t r = 0; r < ROWS * INPUTS; r++) x[r] *= 1e70;
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++)
    for (int even = 0; even < 2; even++) {
      snprintf(context, sizeof context, "not finite, %s", chainrule_method_name((chainrule_method)i));
      chainrule_network *network = create(CHAINRULE_FLOAT64, 4, deep);
      if (even) { /* all gradients but those of the last bias are 0 */
        double p[64] = {0};
        ACCEPTED(chainrule_network_set_parameters_f64(network, p, chainrule_network_parameter_count(network),
                                                      NULL));
      }
      chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)i);
      m.iterations = 50;
      const double before = loss_of(network, m.loss, NULL, ROWS);
      chainrule_minimizer_result minimum;
      ACCEPTED(run(network, &m, NULL, ROWS, &minimum, NULL));
      expect(isfinite(minimum.loss) && minimum.loss <= before, "the loss is finite, and no larger");
      expect(loss_of(network, m.loss, NULL, ROWS) <= before * (1 + 1e-12), "the network is as good");
      chainrule_network_free(network);
    }
  for (size_t r = 0; r < ROWS * INPUTS; r++) x[r] *= 1e-70;

  snprintf(context, sizeof context, "not finite at the start");
  const chainrule_layer layer = DENSE(OUTPUTS, IDENTITY);
  chainrule_network *network = create(CHAINRULE_FLOAT64, 1, &layer);
  const double huge[6] = {1e300, 1e300, 1e300, 1e300, 0, 0};
  double p[6];
  ACCEPTED(chainrule_network_set_parameters_f64(network, huge, 6, NULL));
  const chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LBFGS);
  chainrule_error error;
  expect(run(network, &m, NULL, ROWS, NULL, &error) == CHAINRULE_NOT_FINITE, "it is refused");
  expect(strstr(error.message, "the loss is infinity at the start") != NULL, error.message);
  ACCEPTED(chainrule_network_get_parameters_f64(network, p, 6, NULL));
  expect(memcmp(p, huge, sizeof p) == 0, "the network is as it was");
  chainrule_network_free(network);
}

static void statistics_stay(void)
{
  snprintf(context, sizeof context, "batchNorm and dropout");
  const chainrule_layer layers[] = {{.kind = CHAINRULE_LAYER_BATCH_NORM},
                                    DENSE(4, TANH),
                                    {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5},
                                    DENSE(OUTPUTS, IDENTITY)};
  chainrule_network *network = create(CHAINRULE_FLOAT64, 4, layers);
  const double mean[2] = {0.25, -0.5};
  double found[2];
  ACCEPTED(chainrule_network_set_parameter_f64(network, 0, CHAINRULE_MEAN, mean, 2, NULL));
  chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LEVENBERG_MARQUARDT);
  m.iterations = 30;
  chainrule_minimizer_result minimum;
  const double before = loss_of(network, m.loss, NULL, ROWS);
  ACCEPTED(run(network, &m, NULL, ROWS, &minimum, NULL));
  const double after = loss_of(network, m.loss, NULL, ROWS);
  expect(after < 0.1 * before && fabs(after - minimum.loss) < 1e-12, "L is that of prediction");
  ACCEPTED(chainrule_network_get_parameter_f64(network, 0, CHAINRULE_MEAN, found, 2, NULL));
  expect(memcmp(mean, found, sizeof mean) == 0, "running statistics stay");
  chainrule_network_free(network);
}

static void refused(chainrule_network *network, chainrule_minimizer_options m, chainrule_status wanted,
                    const char *culprit)
{
  chainrule_error error = {.message = ""};
  chainrule_minimizer *minimizer = NULL;
  const chainrule_status status = chainrule_minimizer_create(network, &m, &minimizer, &error);
  expect(status == wanted && error.status == wanted && !minimizer, culprit);
  expect(strstr(error.message, culprit) != NULL, error.message);
  expect(chainrule_minimizer_create(network, &m, &minimizer, NULL) == wanted, "without an error to fill");
}

static void bad_settings_are_refused(void)
{
  snprintf(context, sizeof context, "settings");
  chainrule_network *network = create(CHAINRULE_FLOAT64, 2, small);
  chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LEVENBERG_MARQUARDT), other = m;
  static volatile int nobody = 99;
  other.loss = CHAINRULE_LOSS_HUBER;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "halfSquaredError or meanSquaredError; got huber");
  other = m, other.loss = CHAINRULE_LOSS_CROSS_ENTROPY;
  refused(network, other, CHAINRULE_INVALID_NETWORK, "crossEntropy needs a softmax output");
  other = m, other.method = (chainrule_method)nobody;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "method 99");
  other = m, other.iterations = 0;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "iterations must be at least 1");
  other = m, other.gradient_tolerance = NAN;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "gradient tolerance");
  other = m, other.step_tolerance = -1;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "step tolerance");
  other = m, other.loss_tolerance = INFINITY;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "loss tolerance");
  other = chainrule_minimizer_options_default(CHAINRULE_METHOD_LBFGS), other.history = 0;
  refused(network, other, CHAINRULE_INVALID_ARGUMENT, "history");
  refused(NULL, m, CHAINRULE_INVALID_ARGUMENT, "network");

  const chainrule_layer bare = {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.5};
  chainrule_network *empty = create(CHAINRULE_FLOAT64, 1, &bare);
  refused(empty, m, CHAINRULE_INVALID_ARGUMENT, "no parameters");
  chainrule_network_free(empty);

  chainrule_minimizer *minimizer = NULL;
  chainrule_error error;
  const double zeros[ROWS] = {0};
  double nan[ROWS * INPUTS] = {0, 0, NAN};
  ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, NULL));
  const struct {
    chainrule_status found, wanted;
    const char *culprit;
  } runs[] = {
#define RUN(wanted, culprit, ...) {chainrule_minimizer_run_##__VA_ARGS__, CHAINRULE_##wanted, culprit}
      RUN(INVALID_ARGUMENT, "minimizer", f64(NULL, x, y, NULL, ROWS, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "float64", f32(minimizer, x32, y32, NULL, ROWS, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "rows", f64(minimizer, x, y, NULL, 0, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "x", f64(minimizer, NULL, y, NULL, ROWS, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "y", f64(minimizer, x, NULL, NULL, ROWS, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "weights", f64(minimizer, x, y, zeros, ROWS, NULL, NULL)),
      RUN(NOT_FINITE, "NaN", f64(minimizer, nan, y, NULL, ROWS, NULL, NULL)),
      RUN(INVALID_ARGUMENT, "weights", f64(minimizer, x, y, zeros, ROWS, NULL, &error)),
  };
  for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
    expect(runs[i].found == runs[i].wanted, runs[i].culprit);
  expect(strstr(error.message, "every sample weight is 0") != NULL, error.message);
  chainrule_minimizer_free(minimizer);
  expect(chainrule_minimizer_create(network, NULL, &minimizer, NULL) == CHAINRULE_INVALID_ARGUMENT,
         "no settings");
  expect(chainrule_minimizer_create(network, &m, NULL, NULL) == CHAINRULE_INVALID_ARGUMENT,
         "no place for it");
  chainrule_minimizer_free(NULL);
  chainrule_network_free(network);

  chainrule_method method;
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    ACCEPTED(chainrule_method_named(chainrule_method_name((chainrule_method)i), &method, NULL));
    expect((int)method == i && chainrule_method_formula(method), "a method has a name and a formula");
  }
  expect(chainrule_method_named("newton", &method, &error) == CHAINRULE_INVALID_ARGUMENT &&
             strstr(error.message, "lbfgs"),
         "the names there are");
}

int main(void)
{
  fill();
  every_method_goes_down();
  the_best_point_is_kept();
  weights_count_rows();
  a_linear_network_is_solved();
  scale_does_not_matter();
  a_multiple_of_the_loss_is_the_same_run();
  levenberg_marquardt_is_scale_free();
  memory_is_bound();
  a_run_is_stopped();
  what_is_not_finite_is_kept_out();
  statistics_stay();
  bad_settings_are_refused();
  printf(failures ? "%zu checks failed\n" : "all hold\n", failures);
  return failures != 0;
}
