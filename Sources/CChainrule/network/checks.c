/* What a loss needs of the output layer and of the targets, and data that are not finite. */
#include "network.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>

/* ---- Facts of the catalogue ------------------------------------------------------------------- */

enum { DERIVE_FROM_A, DERIVE_FROM_Z };
enum { RANGE_REAL, RANGE_POSITIVE };
enum { TARGET_ANY, TARGET_UNIT, TARGET_NOT_NEGATIVE, TARGET_SIGN };

/* What a loss needs of the output layer: an activation, or one of these. */
enum { OUTPUT_ANY = -1, OUTPUT_POSITIVE = -2 };
enum { OUTPUT_SIGMOID = CHAINRULE_ACTIVATION_SIGMOID, OUTPUT_SOFTMAX = CHAINRULE_ACTIVATION_SOFTMAX };

static const struct {
  int from, range;
  chainrule_initializer_kind initializer;
} activation_facts[] = {
#define FACTS(ID, name, value, from, range, initializer, formula)                                            \
  [value] = {DERIVE_FROM_##from, RANGE_##range, CHAINRULE_INITIALIZER_##initializer},
    CHAINRULE_ACTIVATIONS(FACTS)
#undef FACTS
};

static const struct {
  int output, target;
} loss_facts[] = {
#define FACTS(ID, name, value, output, target, formula) [value] = {OUTPUT_##output, TARGET_##target},
    CHAINRULE_LOSSES(FACTS)
#undef FACTS
};

bool cr_derives_from_z(chainrule_activation activation)
{
  return activation_facts[activation].from == DERIVE_FROM_Z;
}

chainrule_initializer_kind cr_usual_initializer(chainrule_activation activation)
{
  return activation_facts[activation].initializer;
}

bool cr_is_fused(chainrule_loss loss) { return loss_facts[loss].output >= 0; }

/* ---- Values ------------------------------------------------------------------------------------- */

/* Every value is one from low to high, within what the scalar has of finite numbers. */
static bool all_within(const chainrule_network *network, const void *values, size_t count, double low,
                       double high)
{
  if (network->scalar == CHAINRULE_FLOAT64) return network->kernels->f64->within(count, values, low, high);
  return network->kernels->f32->within(count, values, (float)fmax(low, -FLT_MAX), (float)fmin(high, FLT_MAX));
}

bool cr_all_finite(const chainrule_network *network, const void *values, size_t count)
{
  return all_within(network, values, count, -DBL_MAX, DBL_MAX);
}

/* A scan of many values.  All threads take part, because one core cannot saturate memory bandwidth. */
typedef struct scan {
  const chainrule_network *network;
  const void *values;
  size_t count, members;
  double low, high;
  atomic_size_t first; /* index of the first value out of range that is known; `count`: none is */
} scan;

enum { SCANNED = 8192 }; /* values at once: of these one is looked for that is out of range */

static void scan_job(void *context, size_t member)
{
  scan *s = context;
  const chainrule_scalar scalar = s->network->scalar;
  const size_t share = s->count / s->members, end = member + 1 == s->members ? s->count : share * (member + 1);
  for (size_t i = share * member, n; i < end && i < s->first; i += n) {
    n = end - i < SCANNED ? end - i : SCANNED;
    if (all_within(s->network, cr_at(scalar, s->values, i), n, s->low, s->high)) continue;
    for (double value; value = cr_value(scalar, s->values, i), value >= s->low && value <= s->high;) i++;
    for (size_t first = s->first; i < first && !atomic_compare_exchange_weak(&s->first, &first, i);) continue;
    return;
  }
}

/* The index of the first value that is not from low to high, or `count`. */
static size_t first_outside(const chainrule_network *network, cr_team *team, const void *values, size_t count,
                            double low, double high)
{
  const size_t members = count * cr_scalar_size(network->scalar) > CR_KEPT ? cr_team_ready(team) : 1;
  scan s = {.network = network,
            .values = values,
            .count = count,
            .members = members,
            .low = low,
            .high = high,
            .first = count};
  cr_team_run(team, members, scan_job, &s);
  return s.first;
}

const char *cr_not_finite_name(double value)
{
  return isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
}

size_t cr_first_not_finite(chainrule_scalar scalar, const void *values, size_t count)
{
  size_t i = 0;
  while (i < count && isfinite(cr_value(scalar, values, i))) i++;
  return i;
}

/* ---- Losses and data ---------------------------------------------------------------------------- */

chainrule_status cr_check_target_scaling(const chainrule_network *network, chainrule_error *error)
{
  if (!cr_scales_targets(network)) return CHAINRULE_OK;
  const size_t number = network->layer_count;
  const chainrule_activation activation = network->layers[number - 2].spec.activation;
  if (activation != CHAINRULE_ACTIVATION_SIGMOID && activation != CHAINRULE_ACTIVATION_SOFTMAX)
    return CHAINRULE_OK;
  return cr_fail(
      error, CHAINRULE_INVALID_NETWORK, number,
      "layer %zu scales the targets, but the output layer %zu is %s: a probability has no unit; leave the "
      "scaling out, or take another output activation",
      number, number - 1, chainrule_activation_name(activation));
}

double cr_target(const chainrule_network *network, const void *y, size_t i)
{
  const double value = cr_value(network->scalar, y, i);
  if (!cr_scales_targets(network)) return value;
  const cr_layer *scaling = &network->layers[network->layer_count - 1];
  const size_t column = i % scaling->out;
  const double deviation =
      cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_DEVIATION] + column);
  const double mean = cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_MEAN] + column);
  const double standardized = value * deviation + mean;
  return network->scalar == CHAINRULE_FLOAT32 ? (double)(float)standardized : standardized;
}

void cr_standardize(const chainrule_network *network, const void *y, size_t rows, void *to)
{
  const size_t count = rows * chainrule_network_outputs(network);
  for (size_t i = 0; i < count; i++) {
    const double value = cr_target(network, y, i);
    if (network->scalar == CHAINRULE_FLOAT32)
      ((float *)to)[i] = (float)value;
    else
      ((double *)to)[i] = value;
  }
}

chainrule_status cr_check_loss(const chainrule_network *network, chainrule_loss loss, chainrule_error *error)
{
  if ((size_t)loss >= CHAINRULE_LOSS_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "loss %d is not in the catalogue", (int)loss);
  chainrule_status status = cr_check_target_scaling(network, error);
  if (status) return status;
  const size_t number = network->layer_count - cr_scales_targets(network);
  const chainrule_activation activation = network->layers[number - 1].spec.activation;
  const int output = loss_facts[loss].output;
  if (output == OUTPUT_POSITIVE && activation_facts[activation].range != RANGE_POSITIVE)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "%s needs outputs above 0 (softplus, sigmoid or softmax); layer %zu is %s",
                   chainrule_loss_name(loss), number, chainrule_activation_name(activation));
  if (output >= 0 && activation != (chainrule_activation)output)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "%s needs a %s output layer; layer %zu is %s",
                   chainrule_loss_name(loss), chainrule_activation_name((chainrule_activation)output), number,
                   chainrule_activation_name(activation));
  return CHAINRULE_OK;
}

chainrule_status cr_check_rows(const chainrule_network *network, size_t rows, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(network);
  const size_t width = network->inputs > outputs ? network->inputs : outputs;
  if (rows <= PTRDIFF_MAX / (width * cr_scalar_size(network->scalar))) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is %zu, more than memory holds", rows);
}

/* "inputs, row 3, column 2: NaN" */
static chainrule_status refuse_not_finite(chainrule_scalar scalar, const char *what, const void *values,
                                          size_t i, size_t columns, chainrule_error *error)
{
  return cr_fail(error, CHAINRULE_NOT_FINITE, 0, "%s, row %zu, column %zu: %s", what, i / columns + 1,
                 i % columns + 1, cr_not_finite_name(cr_value(scalar, values, i)));
}

chainrule_status cr_check_finite(const chainrule_network *network, cr_team *team, const char *what,
                                 const void *values, size_t rows, size_t columns, chainrule_error *error)
{
  const size_t i = first_outside(network, team, values, rows * columns, -DBL_MAX, DBL_MAX);
  return i == rows * columns ? CHAINRULE_OK
                             : refuse_not_finite(network->scalar, what, values, i, columns, error);
}

/* Targets are finite, and, in the unit of the loss, in its domain. */
static chainrule_status check_targets(const chainrule_network *network, cr_team *team, chainrule_loss loss,
                                      const void *y, size_t rows, chainrule_error *error)
{
  static const struct {
    double low, high;
    const char *expected;
  } domains[] = {[TARGET_ANY] = {-DBL_MAX, DBL_MAX, "finite"},
                 [TARGET_UNIT] = {0, 1, "from 0 to 1"},
                 [TARGET_NOT_NEGATIVE] = {0, DBL_MAX, "0 or more"},
                 [TARGET_SIGN] = {-1, 1, "-1, 0 or 1 (0 counts as -1)"}};
  const int domain = loss_facts[loss].target;
  const size_t outputs = chainrule_network_outputs(network), count = rows * outputs;
  const bool scaled = cr_scales_targets(network), signs = domain == TARGET_SIGN;
  const double low = domains[domain].low, high = domains[domain].high;
  size_t i = 0;
  if (scaled || signs) /* these are looked at one by one */
    for (double value; i < count; i++) {
      value = cr_target(network, y, i);
      if (!(value >= low && value <= high) || (signs && value != 0 && fabs(value) != 1)) break;
    }
  else
    i = first_outside(network, team, y, count, low, high);
  if (i == count) return CHAINRULE_OK;

  const double given = cr_value(network->scalar, y, i), value = cr_target(network, y, i);
  if (!isfinite(given)) return refuse_not_finite(network->scalar, "targets", y, i, outputs, error);
  if (scaled)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "targets, row %zu, column %zu: %g is %g in standardised units; %s needs targets %s",
                   i / outputs + 1, i % outputs + 1, given, value, chainrule_loss_name(loss),
                   domains[domain].expected);
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "targets, row %zu, column %zu: %s needs targets %s; got %s", i / outputs + 1, i % outputs + 1,
                 chainrule_loss_name(loss), domains[domain].expected, cr_number(value, (char[CR_NUMBER]){0}));
}

static chainrule_status check_weights(const chainrule_network *network, cr_team *team, const void *weights,
                                      size_t rows, chainrule_error *error)
{
  const size_t r = first_outside(network, team, weights, rows, 0, DBL_MAX);
  if (r == rows) return CHAINRULE_OK;
  if (!isfinite(cr_value(network->scalar, weights, r)))
    return refuse_not_finite(network->scalar, "sample weights", weights, r, 1, error);
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "sample weights, row %zu: negative", r + 1);
}

chainrule_status cr_check_data(const chainrule_network *network, cr_team *team, chainrule_loss loss,
                               const void *x, const void *y, const void *sample_weights, size_t rows,
                               chainrule_error *error)
{
  if (!x) return cr_null(error, "x");
  if (!y) return cr_null(error, "y");
  chainrule_status status = cr_check_rows(network, rows, error);
  if (!status) status = cr_check_finite(network, team, "inputs", x, rows, network->inputs, error);
  if (!status) status = check_targets(network, team, loss, y, rows, error);
  if (!status && sample_weights) status = check_weights(network, team, sample_weights, rows, error);
  return status;
}
