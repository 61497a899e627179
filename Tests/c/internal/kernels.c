/* Every kernel of every kernel set against a naive double-precision computation of the same formula.
 *
 * Sizes are 0, 1 and around every vector width (lanes ± 1).  The gaps between rows are NaN, and are compared
 * afterwards, so that a kernel that reads or writes them fails.  The test links the static library, because
 * it uses private names.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backprop/backprop.h"

/* The templates with vectors of 64 bytes and the tiles of AVX-512, compiled for any CPU. */
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#define TILE_TERMS 1
#define TILE_KINDS 4
#define SIMD "simd_baseline.h"
#define HAS_LANES 1
#define HAS_ROWS 0
#define NARROW_KERNEL(name) CR(name)
#define ROWS &CR(rows) /* of a narrower set, as in avx512 */
#include "kernels/all_tmpl.h"

static bool everywhere(void) { return true; }
static const cr_kernel_set wide = {"wide", everywhere, VECTOR_BYTES, &cr_table_f32, &cr_table_f64};

static int passed, failed;

static void expect(bool holds, const char *set, const char *what, const char *detail)
{
  holds ? passed++ : failed++;
  if (!holds && failed <= 20) printf("%s: %s: %s\n", set, what, detail);
}

static uint64_t seed = 1;
static double uniform(void) /* [-1, 1) */
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)(seed >> 11 << 11) / 9223372036854775808.0;
}

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 25, 31, 32, 33, 65};

/* ---- The formulas, in their simplest form ---- */

static double logistic(double z) { return 1 / (1 + exp(-z)); }

static double activation(chainrule_activation kind, double z)
{
  switch (kind) {
  case CHAINRULE_ACTIVATION_IDENTITY: return z;
  case CHAINRULE_ACTIVATION_SIGMOID: return logistic(z);
  case CHAINRULE_ACTIVATION_TANH: return (exp(z) - exp(-z)) / (exp(z) + exp(-z));
  case CHAINRULE_ACTIVATION_RELU: return fmax(z, 0);
  case CHAINRULE_ACTIVATION_LEAKY_RELU: return fmax(z, 0.01 * z);
  case CHAINRULE_ACTIVATION_ELU: return z > 0 ? z : exp(z) - 1;
  case CHAINRULE_ACTIVATION_SELU: return 1.0507009873554805 * (z > 0 ? z : 1.6732632423543772 * (exp(z) - 1));
  case CHAINRULE_ACTIVATION_GELU: return z * 0.5 * (1 + erf(z / sqrt(2)));
  case CHAINRULE_ACTIVATION_GELU_TANH:
    return z * 0.5 * (1 + tanh(sqrt(2 / acos(-1)) * (z + 0.044715 * pow(z, 3))));
  case CHAINRULE_ACTIVATION_SILU: return z * logistic(z);
  case CHAINRULE_ACTIVATION_SOFTPLUS: return log(1 + exp(z));
  case CHAINRULE_ACTIVATION_SOFTSIGN: return z / (1 + fabs(z));
  case CHAINRULE_ACTIVATION_MISH: return z * tanh(log(1 + exp(z)));
  case CHAINRULE_ACTIVATION_HARD_SIGMOID: return fmin(fmax(z / 6 + 0.5, 0), 1);
  case CHAINRULE_ACTIVATION_HARD_TANH: return fmin(fmax(z, -1), 1);
  case CHAINRULE_ACTIVATION_SOFTMAX: break;
  }
  return NAN;
}

static double loss(chainrule_loss kind, size_t n, const double *z, const double *y)
{
  /* The two cross-entropies read z; for the others z is a. */
  double sum = 0, total = 0;
  for (size_t k = 0; k < n; k++) total += exp(z[k]);
  for (size_t k = 0; k < n; k++) {
    const double d = z[k] - y[k], p = logistic(z[k]);
    switch (kind) {
    case CHAINRULE_LOSS_HALF_SQUARED_ERROR: sum += d * d / 2 * (double)n; break;
    case CHAINRULE_LOSS_MEAN_SQUARED_ERROR: sum += d * d; break;
    case CHAINRULE_LOSS_MEAN_ABSOLUTE_ERROR: sum += fabs(d); break;
    case CHAINRULE_LOSS_HUBER: sum += fabs(d) < 1 ? d * d / 2 : fabs(d) - 0.5; break;
    case CHAINRULE_LOSS_LOG_COSH: sum += log(cosh(d)); break;
    case CHAINRULE_LOSS_BINARY_CROSS_ENTROPY: sum -= y[k] * log(p) + (1 - y[k]) * log(1 - p); break;
    case CHAINRULE_LOSS_CROSS_ENTROPY: sum -= y[k] * log(exp(z[k]) / total) * (double)n; break;
    case CHAINRULE_LOSS_POISSON: sum += z[k] - y[k] * log(z[k]); break;
    case CHAINRULE_LOSS_HINGE: sum += fmax(0, 1 - (y[k] > 0 ? z[k] : -z[k])); break;
    }
  }
  return sum / (double)n;
}

#define EPSILON FLT_EPSILON
#include "kernels/real_f32.h"
#include "kernels_tmpl.h"
#undef EPSILON
#define EPSILON DBL_EPSILON
#include "kernels/real_f64.h"
#include "kernels_tmpl.h"

int main(void)
{
  static const cr_kernel_set *const sets[] = {
      &cr_isa_baseline, &cr_isa_gsl, &wide,
#if defined __x86_64__
      &cr_isa_avx2, &cr_isa_avx512,
#endif
  };
  for (size_t i = 0; i < CR_COUNT(sets); i++) {
    if (!sets[i]->supported()) {
      printf("%s: not on this CPU\n", sets[i]->name);
      continue;
    }
    test_set_f32(sets[i], sets[i]->f32);
    test_set_f64(sets[i], sets[i]->f64);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0;
}
