/* Levenberg-Marquardt on NIST's StRD problems of nonlinear regression, as far as their models are small
 * networks with custom activations.  From both starts, with the default tolerances, six digits of every
 * parameter are the certified ones. */
#include <chainrule.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { MOST = 8, ROWS = 200 };

/* ---- Functions --------------------------------------------------------------------------------- */

#define FUNCTION(name, f, derivative)                                                                        \
  static int name(void *c, size_t count, const void *z_, void *to)                                           \
  {                                                                                                          \
    (void)c;                                                                                                 \
    for (size_t i = 0; i < count; i++) {                                                                     \
      const double z = ((const double *)z_)[i];                                                              \
      ((double *)to)[i] = f;                                                                                 \
    }                                                                                                        \
    return 0;                                                                                                \
  }                                                                                                          \
  static int name##_slope(void *c, size_t count, const void *z_, void *to)                                   \
  {                                                                                                          \
    (void)c;                                                                                                 \
    for (size_t i = 0; i < count; i++) {                                                                     \
      const double z = ((const double *)z_)[i];                                                              \
      ((double *)to)[i] = derivative;                                                                        \
    }                                                                                                        \
    return 0;                                                                                                \
  }
FUNCTION(saturation, -expm1(-z), exp(-z))
FUNCTION(saturation_b, 1 - 1 / ((1 + z / 2) * (1 + z / 2)), 1 / ((1 + z / 2) * (1 + z / 2) * (1 + z / 2)))
FUNCTION(saturation_c, 1 - 1 / sqrt(1 + 2 * z), 1 / ((1 + 2 * z) * sqrt(1 + 2 * z)))
FUNCTION(saturation_d, z / (1 + z), 1 / ((1 + z) * (1 + z)))
FUNCTION(growth, exp(z), exp(z))
FUNCTION(decay, exp(-z), -exp(-z))
FUNCTION(negative_growth, -exp(z), -exp(z))
FUNCTION(inverse_growth, exp(1 / z), -exp(1 / z) / (z * z))
FUNCTION(logistic, 1 / (1 + exp(z)), -1 / ((1 + exp(z)) * (1 + exp(-z))))
FUNCTION(bell, exp(-z *z / 2), -z *exp(-z *z / 2))
FUNCTION(soft, log1p(exp(z)), 1 / (1 + exp(-z)))
FUNCTION(logarithm, log(z), 1 / z)

/* ---- Models: b, as NIST has the parameters, from and to p, as the network has them ------------- */

/* y = b1 f(b2 x) */
static void amplitude_to(const double *b, double *p) { p[0] = b[1], p[1] = b[0]; }
static void amplitude_from(const double *p, double *b) { b[1] = p[0], b[0] = p[1]; }
/* Lanczos: y = b1 e^(−b2 x) + b3 e^(−b4 x) + b5 e^(−b6 x) */
static void lanczos_to(const double *b, double *p)
{
  for (size_t k = 0; k < 3; k++) p[k] = b[2 * k + 1], p[3 + k] = b[2 * k];
}
static void lanczos_from(const double *p, double *b)
{
  for (size_t k = 0; k < 3; k++) b[2 * k + 1] = p[k], b[2 * k] = p[3 + k];
}
/* MGH10: y = b1 e^(b2 / (x + b3)) */
static void mgh10_to(const double *b, double *p) { p[0] = 1 / b[1], p[1] = b[2] / b[1], p[2] = b[0]; }
static void mgh10_from(const double *p, double *b) { b[1] = 1 / p[0], b[2] = p[1] / p[0], b[0] = p[2]; }
/* MGH17: y = b1 + b2 e^(−b4 x) + b3 e^(−b5 x) */
static void mgh17_to(const double *b, double *p)
{
  p[0] = b[3], p[1] = b[4], p[2] = b[1], p[3] = b[2], p[4] = b[0];
}
static void mgh17_from(const double *p, double *b)
{
  b[3] = p[0], b[4] = p[1], b[1] = p[2], b[2] = p[3], b[0] = p[4];
}
/* Rat42: y = b1 / (1 + e^(b2 − b3 x)) */
static void rat42_to(const double *b, double *p) { p[0] = -b[2], p[1] = b[1], p[2] = b[0]; }
static void rat42_from(const double *p, double *b) { b[2] = -p[0], b[1] = p[1], b[0] = p[2]; }
/* Rat43: y = b1 / (1 + e^(b2 − b3 x))^(1 / b4) = e^(log b1 − softplus(b2 − b3 x) / b4) */
static void rat43_to(const double *b, double *p)
{
  p[0] = -b[2], p[1] = b[1], p[2] = -1 / b[3], p[3] = log(b[0]);
}
static void rat43_from(const double *p, double *b)
{
  b[2] = -p[0], b[1] = p[1], b[3] = -1 / p[2], b[0] = exp(p[3]);
}
/* Eckerle4: y = b1 / b2 e^(−½ ((x − b3) / b2)²) */
static void eckerle4_to(const double *b, double *p)
{
  p[0] = 1 / b[1], p[1] = -b[2] / b[1], p[2] = b[0] / b[1];
}
static void eckerle4_from(const double *p, double *b)
{
  b[1] = 1 / p[0], b[2] = -p[1] / p[0], b[0] = p[2] / p[0];
}
/* Bennett5: y = b1 (b2 + x)^(−1 / b3) = −e^(−log(w x + c) / b3), w^(−1 / b3) = −b1, c = b2 w */
static void bennett5_to(const double *b, double *p)
{
  p[0] = pow(-b[0], -b[2]), p[1] = b[1] * p[0], p[2] = -1 / b[2];
}
static void bennett5_from(const double *p, double *b)
{
  b[2] = -1 / p[2], b[1] = p[1] / p[0], b[0] = -pow(p[0], p[2]);
}

#define DENSE(n, biased)                                                                                     \
  {                                                                                                          \
    .units = n, .no_bias = !(biased)                                                                         \
  }
#define CUSTOM(f)                                                                                            \
  {                                                                                                          \
    .kind = CHAINRULE_LAYER_CUSTOM, .function = f, .derivative = f##_slope                                   \
  }
#define MODEL(...) {__VA_ARGS__}, sizeof((chainrule_layer[]){__VA_ARGS__}) / sizeof(chainrule_layer)
#define AMPLITUDE(f) 2, false, amplitude_to, amplitude_from, MODEL(DENSE(1, 0), CUSTOM(f), DENSE(1, 0))
#define LANCZOS 6, false, lanczos_to, lanczos_from, MODEL(DENSE(3, 0), CUSTOM(decay), DENSE(1, 0))

static const struct {
  const char *name;
  size_t parameters;
  bool takes_log; /* of x */
  void (*to)(const double *b, double *p), (*from)(const double *p, double *b);
  chainrule_layer layers[4];
  size_t layer_count;
} problems[] = {
    {"Misra1a", AMPLITUDE(saturation)},
    {"Misra1b", AMPLITUDE(saturation_b)},
    {"Misra1c", AMPLITUDE(saturation_c)},
    {"Misra1d", AMPLITUDE(saturation_d)},
    {"BoxBOD", AMPLITUDE(saturation)},
    {"DanWood", 2, true, amplitude_to, amplitude_from, MODEL(DENSE(1, 0), CUSTOM(growth), DENSE(1, 0))},
    {"Lanczos1", LANCZOS},
    {"Lanczos2", LANCZOS},
    {"Lanczos3", LANCZOS},
    {"MGH10", 3, false, mgh10_to, mgh10_from, MODEL(DENSE(1, 1), CUSTOM(inverse_growth), DENSE(1, 0))},
    {"MGH17", 5, false, mgh17_to, mgh17_from, MODEL(DENSE(2, 0), CUSTOM(decay), DENSE(1, 1))},
    {"Rat42", 3, false, rat42_to, rat42_from, MODEL(DENSE(1, 1), CUSTOM(logistic), DENSE(1, 0))},
    {"Rat43", 4, false, rat43_to, rat43_from, MODEL(DENSE(1, 1), CUSTOM(soft), DENSE(1, 1), CUSTOM(growth))},
    {"Eckerle4", 3, false, eckerle4_to, eckerle4_from, MODEL(DENSE(1, 1), CUSTOM(bell), DENSE(1, 0))},
    {"Bennett5", 3, false, bennett5_to, bennett5_from,
     MODEL(DENSE(1, 1), CUSTOM(logarithm), DENSE(1, 0), CUSTOM(negative_growth))},
};

/* ---- NIST's files ------------------------------------------------------------------------------ */

typedef struct certified {
  double starts[2][MOST], b[MOST], x[ROWS], y[ROWS], squares;
  size_t rows;
} certified;

/* Starts and certified values begin in line 41, y and x in line 61. */
static certified read_problem(const char *name)
{
  certified c = {0};
  char path[400], line[200];
  snprintf(path, sizeof path, "%s/%s.dat", NIST_FOLDER, name);
  FILE *file = fopen(path, "r");
  if (!file) printf("cannot open %s\n", path), exit(1);
  for (size_t number = 1, k; fgets(line, sizeof line, file); number++) {
    double start1, start2, value;
    if (number > 40 && number < 61 && sscanf(line, " b%zu = %lf %lf %lf", &k, &start1, &start2, &value) == 4)
      c.starts[0][k - 1] = start1, c.starts[1][k - 1] = start2, c.b[k - 1] = value;
    if (number < 61) sscanf(line, "Residual Sum of Squares: %lf", &c.squares);
    if (number > 60 && c.rows < ROWS && sscanf(line, "%lf %lf", &c.y[c.rows], &c.x[c.rows]) == 2) c.rows++;
  }
  fclose(file);
  return c;
}

int main(void)
{
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    certified c = read_problem(problems[i].name);
    if (problems[i].takes_log)
      for (size_t r = 0; r < c.rows; r++) c.x[r] = log(c.x[r]);
    chainrule_network *network;
    ACCEPTED(chainrule_network_create(
        &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64, 1,
                                         problems[i].layer_count, problems[i].layers, NULL},
        &network, e));
    for (size_t start = 0; start < 2; start++) {
      double p[MOST], b[MOST], digits = 16;
      const size_t count = problems[i].parameters;
      problems[i].to(c.starts[start], p);
      chainrule_minimizer_options m = chainrule_minimizer_options_default(CHAINRULE_METHOD_LEVENBERG_MARQUARDT);
      m.iterations = 5000;
      chainrule_minimizer *minimizer;
      chainrule_minimizer_result minimum;
      ACCEPTED(chainrule_network_set_parameters_f64(network, p, count, e));
      ACCEPTED(chainrule_minimizer_create(network, &m, &minimizer, e));
      ACCEPTED(chainrule_minimizer_run_f64(minimizer, c.x, c.y, NULL, c.rows, &minimum, e));
      chainrule_minimizer_free(minimizer);
      ACCEPTED(chainrule_network_get_parameters_f64(network, p, count, e));
      problems[i].from(p, b);
      for (size_t k = 0; k < count; k++) digits = fmin(digits, -log10(fabs(b[k] / c.b[k] - 1)));
      snprintf(context, sizeof context,
               "%s, start %zu: %.1f digits, the squares %.9g of the certified, %zu iterations, ending %d",
               problems[i].name, start + 1, digits, 2 * (double)c.rows * minimum.loss / c.squares,
               minimum.iterations, (int)minimum.ending);
      puts(context);
      HOLDS(digits >= 6);
      HOLDS(minimum.ending == CHAINRULE_ENDED_BY_GRADIENT || minimum.ending == CHAINRULE_ENDED_BY_LOSS ||
            minimum.ending == CHAINRULE_ENDED_BY_STEP);
    }
    chainrule_network_free(network);
  }
  return summary();
}
