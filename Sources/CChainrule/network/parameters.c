/* Parameters and statistics: their sizes, copies in and out of an arena, and their initial values. */
#include "network.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "../random.h"

static const char *const parameter_names[] = {
    [CHAINRULE_WEIGHTS] = "weights",    [CHAINRULE_BIAS] = "bias", [CHAINRULE_GAMMA] = "gamma",
    [CHAINRULE_BETA] = "beta",          [CHAINRULE_MEAN] = "mean", [CHAINRULE_VARIANCE] = "variance",
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

/* The offset in an arena of value k of a parameter, [out][in] or [out]. */
static size_t arena_offset(const cr_layer *layer, chainrule_parameter parameter, size_t k)
{
  if (parameter != CHAINRULE_WEIGHTS) return layer->at[parameter] + k;
  return layer->at[parameter] + cr_weight_offset(layer->panel, layer->in, k / layer->in, k % layer->in);
}

/* ---- Values in the network's arena --------------------------------------------------------------- */

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

/* Computes the arrays that depend on a layer's statistics. */
static void settle(chainrule_network *network, const cr_layer *layer)
{
  if (network->scalar == CHAINRULE_FLOAT32 && layer->kind->f32.settle)
    layer->kind->f32.settle(layer, network->parameters);
  if (network->scalar == CHAINRULE_FLOAT64 && layer->kind->f64.settle)
    layer->kind->f64.settle(layer, network->parameters);
}

/* ---- Copies out and in --------------------------------------------------------------------------- */

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

void cr_write(const chainrule_network *network, void *arena, size_t l, chainrule_parameter parameter,
              const void *values)
{
  const cr_layer *layer = &network->layers[l];
  const size_t size = cr_scalar_size(network->scalar), count = cr_parameter_size(layer, parameter);
  for (size_t k = 0; k < count; k++)
    memcpy((char *)arena + arena_offset(layer, parameter, k) * size, (const char *)values + k * size, size);
}

static void write_parameter(chainrule_network *network, size_t l, chainrule_parameter parameter,
                            const void *values)
{
  cr_write(network, network->parameters, l, parameter, values);
  if (parameter >= CHAINRULE_VARIANCE) settle(network, &network->layers[l]);
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
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu, %s: value %zu is %g; expected %s",
                     l + 1, parameter_names[parameter], k + 1, value, variance ? "0 or more" : "above 0");
  }
  write_parameter(network, l, parameter, values);
  return CHAINRULE_OK;
}

#define GET_PARAMETER(suffix, R, scalar)                                                                     \
  chainrule_status chainrule_network_get_parameter_##suffix(const chainrule_network *network, size_t layer,  \
                                                            chainrule_parameter parameter, R *values,        \
                                                            size_t count, chainrule_error *error)            \
  {                                                                                                          \
    return get(network, scalar, layer, parameter, values, count, error);                                     \
  }
CR_EACH_SCALAR(GET_PARAMETER)
#undef GET_PARAMETER

#define SET_PARAMETER(suffix, R, scalar)                                                                     \
  chainrule_status chainrule_network_set_parameter_##suffix(chainrule_network *network, size_t layer,        \
                                                            chainrule_parameter parameter, const R *values,  \
                                                            size_t count, chainrule_error *error)            \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, set(network, scalar, layer, parameter, values, count, error));                      \
  }
CR_EACH_SCALAR(SET_PARAMETER)
#undef SET_PARAMETER

/* ---- All parameters at once -------------------------------------------------------------------- */

static chainrule_status check_all(const chainrule_network *network, chainrule_scalar scalar,
                                  const void *values, size_t count, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!values && network->parameter_count > 0) return cr_null(error, "values");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (status || count == network->parameter_count) return status;
  return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "parameters: expected %zu values, got %zu",
                 network->parameter_count, count);
}

void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer,
                       chainrule_parameter *parameter, size_t *index)
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

#define GET_PARAMETERS(suffix, R, scalar)                                                                    \
  chainrule_status chainrule_network_get_parameters_##suffix(const chainrule_network *network, R *values,    \
                                                             size_t count, chainrule_error *error)           \
  {                                                                                                          \
    return get_all(network, scalar, values, count, error);                                                   \
  }
CR_EACH_SCALAR(GET_PARAMETERS)
#undef GET_PARAMETERS

#define SET_PARAMETERS(suffix, R, scalar)                                                                    \
  chainrule_status chainrule_network_set_parameters_##suffix(chainrule_network *network, const R *values,    \
                                                             size_t count, chainrule_error *error)           \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, set_all(network, scalar, values, count, error));                                    \
  }
CR_EACH_SCALAR(SET_PARAMETERS)
#undef SET_PARAMETERS

/* ---- Initial values ------------------------------------------------------------------------------ */

void cr_clear_statistics(chainrule_network *network)
{
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    fill(network, layer, CHAINRULE_DEVIATION, 1);
    settle(network, layer);
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
                  cr_draw(&random, parameter == CHAINRULE_WEIGHTS ? layer->spec.weights : layer->spec.bias,
                          layer->in, layer->out));
    }
    if (cr_scales(layer)) continue;
    fill(network, layer, CHAINRULE_GAMMA, 1);
    fill(network, layer, CHAINRULE_BETA, 0);
    fill(network, layer, CHAINRULE_MEAN, 0);
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    settle(network, layer);
  }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_initialize(chainrule_network *network, uint64_t seed, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, initialize(network, seed, error));
}

/* ---- Checks -------------------------------------------------------------------------------------- */

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
