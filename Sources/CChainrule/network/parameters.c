/* Parameters and statistics: their sizes, where they lie, copies out and in, and their first values. */
#include "network.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "../random.h"

/* The number of values of a parameter of a layer of that kind. */
static size_t size_of(chainrule_layer_kind kind, size_t in, size_t out, bool has_bias, chainrule_parameter parameter)
{
  const bool batch = kind == CHAINRULE_LAYER_BATCH_NORM, norm = batch || kind == CHAINRULE_LAYER_LAYER_NORM;
  const bool scaling = kind == CHAINRULE_LAYER_SCALING;
  switch (parameter) {
  case CHAINRULE_WEIGHTS: return kind == CHAINRULE_LAYER_DENSE ? in * out : 0;
  case CHAINRULE_BIAS: return kind == CHAINRULE_LAYER_DENSE && has_bias ? out : 0;
  case CHAINRULE_GAMMA:
  case CHAINRULE_BETA: return norm ? out : 0;
  case CHAINRULE_MEAN: return batch || scaling ? out : 0;
  case CHAINRULE_VARIANCE: return batch ? out : 0;
  case CHAINRULE_DEVIATION: return scaling ? out : 0;
  }
  return 0;
}

size_t cr_parameter_size(const cr_layer *layer, chainrule_parameter parameter)
{
  return size_of(layer->kind, layer->in, layer->out, layer->has_bias, parameter);
}

size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter)
{
  const size_t out = layer->kind == CHAINRULE_LAYER_DENSE ? layer->units : inputs;
  return size_of(layer->kind, inputs, out, !layer->no_bias, parameter);
}

static const char *const parameter_names[] = {
    [CHAINRULE_WEIGHTS] = "weights", [CHAINRULE_BIAS] = "bias", [CHAINRULE_GAMMA] = "gamma",
    [CHAINRULE_BETA] = "beta",       [CHAINRULE_MEAN] = "mean", [CHAINRULE_VARIANCE] = "variance",
    [CHAINRULE_DEVIATION] = "deviation"};

const char *chainrule_parameter_name(chainrule_parameter parameter)
{
  return (size_t)parameter < CR_COUNT(parameter_names) ? parameter_names[parameter] : NULL;
}

size_t chainrule_network_parameter_size(const chainrule_network *network, size_t layer,
                                        chainrule_parameter parameter)
{
  return network && layer < network->layer_count ? cr_parameter_size(&network->layers[layer], parameter) : 0;
}

/* Where value k of a dense parameter, [out][in] or [out], lies in an arena. */
static size_t arena_offset(const cr_layer *layer, chainrule_parameter parameter, size_t k)
{
  if (parameter != CHAINRULE_WEIGHTS) return layer->at[parameter] + k;
  return layer->at[parameter] + cr_weight_offset(layer->panel, layer->in, k / layer->in, k % layer->in);
}

/* ---- Statistics --------------------------------------------------------------------------------- */

static void put_value(chainrule_network *network, size_t at, double value)
{
  if (network->scalar == CHAINRULE_FLOAT32)
    ((float *)network->parameters)[at] = (float)value;
  else
    ((double *)network->parameters)[at] = value;
}

static void fill(chainrule_network *network, const cr_layer *layer, chainrule_parameter parameter, double value)
{
  for (size_t k = 0; k < cr_parameter_size(layer, parameter); k++)
    put_value(network, layer->at[parameter] + k, value);
}

static bool is_normal(chainrule_scalar scalar, double value)
{
  return scalar == CHAINRULE_FLOAT32 ? isnormal((float)value) : isnormal(value);
}

/* Where 1 / deviation overflows, or is too small for full precision, it is two factors: a power of 2, by which x − mean keeps
 * its bits, in `inverse`, and the rest.  All neurons of the layer then have two. */
static void split_inverse(chainrule_network *network, const cr_layer *layer)
{
  const size_t deviation = layer->at[CHAINRULE_DEVIATION];
  bool splits = false;
  for (size_t k = 0; k < layer->out; k++)
    splits |= !is_normal(network->scalar, cr_value(network->scalar, network->parameters, layer->inverse + k));
  for (size_t k = 0; k < layer->out; k++) {
    if (splits) {
      const int half = network->scalar == CHAINRULE_FLOAT32 ? FLT_MAX_EXP / 2 : DBL_MAX_EXP / 2;
      const double value = cr_value(network->scalar, network->parameters, deviation + k);
      const double power = ldexp(1, is_normal(network->scalar, 1 / value) ? 0 : value < 1 ? half : -half);
      put_value(network, layer->inverse + k, power);
      put_value(network, layer->rest + k, 1 / (value * power));
    } else {
      put_value(network, layer->rest + k, 0);
    }
  }
}

/* 1 / √(variance + ε) or 1 / deviation of a layer's statistics, as the kernels have it of a batch's: in the network's
 * own precision, each operation rounded. */
static void invert(chainrule_network *network, const cr_layer *layer)
{
  const bool batch = layer->kind == CHAINRULE_LAYER_BATCH_NORM;
  if (!batch && layer->kind != CHAINRULE_LAYER_SCALING) return;
  const size_t from = layer->at[batch ? CHAINRULE_VARIANCE : CHAINRULE_DEVIATION], to = layer->inverse;
  for (size_t k = 0; k < layer->out; k++) {
    if (network->scalar == CHAINRULE_FLOAT32) {
      float *values = network->parameters;
      const float sum = values[from + k] + (float)layer->epsilon;
      values[to + k] = 1 / (batch ? sqrtf(sum) : values[from + k]);
    } else {
      double *values = network->parameters;
      const double sum = values[from + k] + layer->epsilon;
      values[to + k] = 1 / (batch ? sqrt(sum) : values[from + k]);
    }
  }
  if (!batch) split_inverse(network, layer);
}

/* ---- Out and in --------------------------------------------------------------------------------- */

void cr_read(const chainrule_network *network, const void *arena, size_t l, chainrule_parameter parameter,
             void *values)
{
  const cr_layer *layer = &network->layers[l];
  const size_t size = cr_scalar_size(network->scalar), count = cr_parameter_size(layer, parameter);
  for (size_t k = 0; k < count; k++)
    memcpy((char *)values + k * size, (const char *)arena + arena_offset(layer, parameter, k) * size, size);
}

void cr_read_all(const chainrule_network *network, const void *arena, void *values)
{
  for (size_t l = 0, done = 0; l < network->layer_count; l++)
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      cr_read(network, arena, l, (chainrule_parameter)parameter, cr_at(network->scalar, values, done));
      done += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
    }
}

void cr_write(const chainrule_network *network, void *arena, size_t l, chainrule_parameter parameter, const void *values)
{
  const cr_layer *layer = &network->layers[l];
  const size_t size = cr_scalar_size(network->scalar), count = cr_parameter_size(layer, parameter);
  for (size_t k = 0; k < count; k++)
    memcpy((char *)arena + arena_offset(layer, parameter, k) * size, (const char *)values + k * size, size);
}

static void write_parameter(chainrule_network *network, size_t l, chainrule_parameter parameter, const void *values)
{
  cr_write(network, network->parameters, l, parameter, values);
  if (parameter >= CHAINRULE_VARIANCE) invert(network, &network->layers[l]);
}

static chainrule_status check_parameter(const chainrule_network *network, chainrule_scalar scalar, size_t l,
                                        chainrule_parameter parameter, const void *values, size_t count,
                                        chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!values) return cr_null(error, "values");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = cr_check_index(network, l, error);
  if (status) return status;
  if ((size_t)parameter >= CHAINRULE_PARAMETER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "parameter %d is not in the catalogue",
                   (int)parameter);
  const size_t expected = cr_parameter_size(&network->layers[l], parameter);
  if (expected == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu has no %s", l + 1,
                   parameter_names[parameter]);
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1, "layer %zu, %s: expected %zu values, got %zu",
                   l + 1, parameter_names[parameter], expected, count);
  return CHAINRULE_OK;
}

static chainrule_status get(const chainrule_network *network, chainrule_scalar scalar, size_t l,
                            chainrule_parameter parameter, void *values, size_t count, chainrule_error *error)
{
  chainrule_status status = check_parameter(network, scalar, l, parameter, values, count, error);
  if (!status) cr_read(network, network->parameters, l, parameter, values);
  return status;
}

static chainrule_status set(chainrule_network *network, chainrule_scalar scalar, size_t l,
                            chainrule_parameter parameter, const void *values, size_t count,
                            chainrule_error *error)
{
  chainrule_status status = check_parameter(network, scalar, l, parameter, values, count, error);
  if (status) return status;
  if (!cr_all_finite(network, values, count)) {
    size_t k = cr_first_not_finite(scalar, values, count);
    return cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: value %zu is %s", l + 1,
                   parameter_names[parameter], k + 1, cr_not_finite_name(cr_value(scalar, values, k)));
  }
  for (size_t k = 0; k < count && parameter >= CHAINRULE_VARIANCE; k++) {
    const double value = cr_value(scalar, values, k);
    const bool variance = parameter == CHAINRULE_VARIANCE;
    if (!(variance ? value >= 0 : value > 0))
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu, %s: value %zu is %g; expected %s", l + 1,
                     parameter_names[parameter], k + 1, value, variance ? "0 or more" : "above 0");
  }
  write_parameter(network, l, parameter, values);
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_get_parameter_f32(const chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, float *values, size_t count,
                                           chainrule_error *error)
{
  return get(network, CHAINRULE_FLOAT32, layer, parameter, values, count, error);
}

chainrule_status chainrule_network_get_parameter_f64(const chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, double *values, size_t count,
                                           chainrule_error *error)
{
  return get(network, CHAINRULE_FLOAT64, layer, parameter, values, count, error);
}

chainrule_status chainrule_network_set_parameter_f32(chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, const float *values, size_t count,
                                           chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set(network, CHAINRULE_FLOAT32, layer, parameter, values, count, error));
}

chainrule_status chainrule_network_set_parameter_f64(chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, const double *values, size_t count,
                                           chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set(network, CHAINRULE_FLOAT64, layer, parameter, values, count, error));
}

/* ---- All parameters at once -------------------------------------------------------------------- */

static chainrule_status check_all(const chainrule_network *network, chainrule_scalar scalar, const void *values,
                                  size_t count, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!values && network->parameter_count > 0) return cr_null(error, "values");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (status || count == network->parameter_count) return status;
  return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "parameters: expected %zu values, got %zu",
                 network->parameter_count, count);
}

void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer, chainrule_parameter *parameter,
                       size_t *index)
{
  *index = k;
  for (*layer = 0; *layer < network->layer_count; ++*layer)
    for (int p = CHAINRULE_WEIGHTS; p <= CHAINRULE_BETA; p++) {
      const size_t count = cr_parameter_size(&network->layers[*layer], (chainrule_parameter)p);
      *parameter = (chainrule_parameter)p;
      if (*index < count) return;
      *index -= count;
    }
}

static chainrule_status get_all(const chainrule_network *network, chainrule_scalar scalar, void *values,
                                size_t count, chainrule_error *error)
{
  chainrule_status status = check_all(network, scalar, values, count, error);
  if (!status) cr_read_all(network, network->parameters, values);
  return status;
}

static chainrule_status set_all(chainrule_network *network, chainrule_scalar scalar, const void *values,
                                size_t count, chainrule_error *error)
{
  chainrule_status status = check_all(network, scalar, values, count, error);
  if (status) return status;
  const size_t bad = cr_first_not_finite(scalar, values, count);
  if (bad < count) {
    size_t l, index;
    chainrule_parameter parameter;
    cr_name_parameter(network, bad, &l, &parameter, &index);
    return cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: value %zu is %s", l + 1,
                   parameter_names[parameter], index + 1, cr_not_finite_name(cr_value(scalar, values, bad)));
  }
  for (size_t l = 0, done = 0; l < network->layer_count; l++)
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      write_parameter(network, l, (chainrule_parameter)parameter, cr_at(scalar, values, done));
      done += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
    }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_get_parameters_f32(const chainrule_network *network, float *values,
                                                      size_t count, chainrule_error *error)
{
  return get_all(network, CHAINRULE_FLOAT32, values, count, error);
}

chainrule_status chainrule_network_get_parameters_f64(const chainrule_network *network, double *values,
                                                      size_t count, chainrule_error *error)
{
  return get_all(network, CHAINRULE_FLOAT64, values, count, error);
}

chainrule_status chainrule_network_set_parameters_f32(chainrule_network *network, const float *values,
                                                      size_t count, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set_all(network, CHAINRULE_FLOAT32, values, count, error));
}

chainrule_status chainrule_network_set_parameters_f64(chainrule_network *network, const double *values,
                                                      size_t count, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set_all(network, CHAINRULE_FLOAT64, values, count, error));
}

void cr_clear_statistics(chainrule_network *network)
{
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    fill(network, layer, CHAINRULE_DEVIATION, 1);
    invert(network, layer);
  }
}

static chainrule_status initialize(chainrule_network *network, uint64_t seed, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  cr_random random = cr_random_stream(seed, CR_STREAM_PARAMETERS);
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BIAS; parameter++) {
      const size_t count = cr_parameter_size(layer, (chainrule_parameter)parameter);
      for (size_t k = 0; k < count; k++)
        put_value(network, arena_offset(layer, (chainrule_parameter)parameter, k),
                  cr_draw(&random, parameter == CHAINRULE_WEIGHTS ? layer->draw_weights : layer->draw_bias,
                          layer->in, layer->out));
    }
    if (layer->kind == CHAINRULE_LAYER_SCALING) continue;
    fill(network, layer, CHAINRULE_GAMMA, 1);
    fill(network, layer, CHAINRULE_BETA, 0);
    fill(network, layer, CHAINRULE_MEAN, 0);
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    invert(network, layer);
  }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_initialize(chainrule_network *network, uint64_t seed,
                                              chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, initialize(network, seed, error));
}

chainrule_status cr_check_parameters(const chainrule_network *network, uint64_t step, chainrule_error *error)
{
  if (cr_all_finite(network, network->parameters, cr_arena_end(network))) return CHAINRULE_OK;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) {
      const size_t count = cr_parameter_size(layer, (chainrule_parameter)parameter);
      for (size_t k = 0; k < count; k++) {
        double value = cr_value(network->scalar, network->parameters,
                                arena_offset(layer, (chainrule_parameter)parameter, k));
        if (isfinite(value)) continue;
        cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: %s after step %llu", l + 1,
                parameter_names[parameter], cr_not_finite_name(value), (unsigned long long)step);
        if (error) error->step = step;
        return CHAINRULE_NOT_FINITE;
      }
    }
  }
  return CHAINRULE_OK;
}
