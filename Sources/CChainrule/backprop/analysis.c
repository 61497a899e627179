/* Derivatives in prediction mode: a strip of rows goes forward once, and back once for each row of a Jacobian. */
#include "analysis.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- A strip ------------------------------------------------------------------------------------ */

static size_t strip_of(size_t rows) { return rows < CR_STRIP ? rows : CR_STRIP; }

/* Rows `start` to start + n − 1 of a batch. */
static cr_batch slice(const chainrule_network *network, const cr_batch *all, size_t start, size_t n)
{
  const chainrule_scalar scalar = network->scalar;
  return (cr_batch){
      .rows = n,
      .x = cr_at(scalar, all->x, start * network->inputs),
      .y = all->y ? cr_at(scalar, all->y, start * chainrule_network_outputs(network)) : NULL,
      .sample_weights = all->sample_weights ? cr_at(scalar, all->sample_weights, start) : NULL,
  };
}

/* ∂aᴸₖ/∂x of the rows of a strip, after backward; [inputs], `stride` apart. */
static chainrule_status read_input_gradients(const chainrule_network *network, const cr_workspace *work,
                                             const cr_batch *batch, void *gradients, size_t stride,
                                             chainrule_error *error)
{
  const chainrule_scalar scalar = network->scalar;
  chainrule_status status = cr_backward_input(network, work, batch, error);
  const void *delta = cr_at(scalar, work->buffers, work->places[0].delta * work->capacity);
  for (size_t r = 0; r < batch->rows; r++)
    memcpy(cr_at(scalar, gradients, r * stride), cr_at(scalar, delta, r * network->input_stride),
           network->inputs * cr_scalar_size(scalar));
  return status;
}

chainrule_status cr_parameter_jacobian(const chainrule_network *network, const cr_workspace *work,
                                       const cr_batch *batch, void *jacobian, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(network), width = network->parameter_count;
  chainrule_status status = cr_forward(network, work, batch, 0, network->layer_count, error);
  for (size_t k = 0; k < outputs && !status; k++) {
    cr_seed(network, work, batch, k);
    status = cr_backward(network, work, batch, network->layer_count - 1, 0, error);
    if (status) break;
    cr_row_gradients(network, work, batch, cr_at(network->scalar, jacobian, k * width), outputs * width);
  }
  return status;
}

static chainrule_status input_jacobian(const chainrule_network *network, const cr_workspace *work,
                                       const cr_batch *batch, void *jacobian, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(network), width = network->inputs;
  chainrule_status status = cr_forward(network, work, batch, 0, network->layer_count, error);
  for (size_t k = 0; k < outputs && !status; k++) {
    cr_seed(network, work, batch, k);
    status = cr_backward(network, work, batch, network->layer_count - 1, 0, error);
    if (status) break;
    status = read_input_gradients(network, work, batch, cr_at(network->scalar, jacobian, k * width),
                                  outputs * width, error);
  }
  return status;
}

/* `network` without a target scaling, and targets in its unit. */
static chainrule_status sample_gradients(const chainrule_network *network, const cr_workspace *work,
                                         const cr_batch *batch, chainrule_loss loss, void *gradients,
                                         chainrule_error *error)
{
  double losses[CR_STRIP];
  chainrule_status status = cr_forward(network, work, batch, 0, network->layer_count, error);
  if (status) return status;
  cr_loss(network, work, batch, loss, 1, true, losses);
  status = cr_backward(network, work, batch, network->layer_count - 1, 0, error);
  if (!status) cr_row_gradients(network, work, batch, gradients, network->parameter_count);
  return status;
}

/* ---- Calls --------------------------------------------------------------------------------------- */

typedef enum derivative { INPUT_JACOBIAN, PARAMETER_JACOBIAN, SAMPLE_GRADIENTS } derivative;

/* Values of a row; SIZE_MAX where the number overflows. */
static size_t row_size(const chainrule_network *network, derivative which)
{
  const size_t outputs = chainrule_network_outputs(network);
  const size_t width = which == INPUT_JACOBIAN ? network->inputs : network->parameter_count;
  size_t size;
  return cr_multiply(which == SAMPLE_GRADIENTS ? 1 : outputs, width, &size) ? size : SIZE_MAX;
}

static chainrule_status check_count(const chainrule_network *network, derivative which, size_t rows,
                                    size_t count, chainrule_error *error)
{
  static const char *const names[] = {"the input Jacobian", "the parameter Jacobian", "the samples' gradients"};
  size_t expected;
  if (!cr_multiply(row_size(network, which), rows, &expected)) expected = SIZE_MAX;
  if (count == expected && count <= PTRDIFF_MAX / cr_scalar_size(network->scalar)) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "%s of %zu rows: expected %zu values, got %zu",
                 names[which], rows, expected, count);
}

static chainrule_status derive(const chainrule_network *network, chainrule_scalar scalar, derivative which,
                               chainrule_loss loss, cr_batch all, void *values, size_t count,
                               chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!all.x) return cr_null(error, "x");
  if (!values) return cr_null(error, which == SAMPLE_GRADIENTS ? "gradients" : "jacobian");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = cr_check_rows(network, all.rows, error);
  if (!status) status = check_count(network, which, all.rows, count, error);
  if (!status && which == SAMPLE_GRADIENTS) {
    status = cr_check_loss(network, loss, error);
    if (!status) status = cr_check_data(network, NULL, loss, all.x, all.y, NULL, all.rows, error);
  } else if (!status) {
    status = cr_check_finite(network, NULL, "inputs", all.x, all.rows, network->inputs, error);
  }
  if (status || all.rows == 0) return status;

  cr_workspace work;
  chainrule_network view;
  const chainrule_network *whole = network;
  void *standardized = NULL;
  if (which == SAMPLE_GRADIENTS && cr_scales_targets(whole)) {
    network = cr_trained(whole, &view);
    const size_t outputs = chainrule_network_outputs(whole);
    standardized = cr_allocate(strip_of(all.rows) * outputs, cr_scalar_size(scalar));
    if (!standardized)
      return cr_out_of_memory(error, "the standardised targets",
                              strip_of(all.rows) * outputs * cr_scalar_size(scalar));
  }
  status = cr_workspace_create(network, strip_of(all.rows), &work, error);
  if (status) return free(standardized), status;
  for (size_t start = 0, n; start < all.rows && !status; start += n) {
    n = strip_of(all.rows - start);
    cr_batch batch = slice(network, &all, start, n);
    if (standardized) {
      cr_standardize(whole, batch.y, n, standardized);
      batch.y = standardized;
    }
    void *to = cr_at(scalar, values, start * row_size(network, which));
    switch (which) {
    case INPUT_JACOBIAN: status = input_jacobian(network, &work, &batch, to, error); break;
    case PARAMETER_JACOBIAN: status = cr_parameter_jacobian(network, &work, &batch, to, error); break;
    case SAMPLE_GRADIENTS: status = sample_gradients(network, &work, &batch, loss, to, error); break;
    }
  }
  cr_workspace_free(&work);
  free(standardized);
  return status;
}

#define INPUT_JACOBIAN(suffix, R, scalar)                                                                    \
  chainrule_status chainrule_network_input_jacobian_##suffix(const chainrule_network *network, const R *x,   \
                                                             size_t rows, R *jacobian, size_t count,         \
                                                             chainrule_error *error)                         \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, derive(network, scalar, INPUT_JACOBIAN, 0, (cr_batch){.rows = rows, .x = x},        \
                                jacobian, count, error));                                                    \
  }
CR_EACH_SCALAR(INPUT_JACOBIAN)
#undef INPUT_JACOBIAN

#define PARAMETER_JACOBIAN(suffix, R, scalar)                                                                \
  chainrule_status chainrule_network_parameter_jacobian_##suffix(const chainrule_network *network,           \
                                                                 const R *x, size_t rows, R *jacobian,       \
                                                                 size_t count, chainrule_error *error)       \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, derive(network, scalar, PARAMETER_JACOBIAN, 0, (cr_batch){.rows = rows, .x = x},    \
                                jacobian, count, error));                                                    \
  }
CR_EACH_SCALAR(PARAMETER_JACOBIAN)
#undef PARAMETER_JACOBIAN

#define SAMPLE_GRADIENTS(suffix, R, scalar)                                                                  \
  chainrule_status chainrule_network_sample_gradients_##suffix(                                              \
      const chainrule_network *network, chainrule_loss loss, const R *x, const R *y, size_t rows,            \
      R *gradients, size_t count, chainrule_error *error)                                                    \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, derive(network, scalar, SAMPLE_GRADIENTS, loss,                                     \
                                (cr_batch){.rows = rows, .x = x, .y = y}, gradients, count, error));         \
  }
CR_EACH_SCALAR(SAMPLE_GRADIENTS)
#undef SAMPLE_GRADIENTS

/* ---- The loss as a function of the parameters --------------------------------------------------- */

/* `count` values as doubles of their own; NULL where there are none. */
static chainrule_status widen(chainrule_scalar scalar, const void *values, size_t count, double **wide,
                              chainrule_error *error)
{
  *wide = NULL;
  if (!values) return CHAINRULE_OK;
  *wide = cr_allocate(count, sizeof **wide);
  if (!*wide) return cr_out_of_memory(error, "the data in float64", count * sizeof **wide);
  for (size_t i = 0; i < count; i++) (*wide)[i] = cr_value(scalar, values, i);
  return CHAINRULE_OK;
}

/* The network in float64, its parameters and statistics widened. */
static chainrule_status copy_f64(const chainrule_network *network, chainrule_network **copy,
                                 chainrule_error *error)
{
  if (network->scalar == CHAINRULE_FLOAT64) return chainrule_network_copy(network, copy, error);
  const size_t count = network->layer_count;
  chainrule_layer *layers = calloc(count, sizeof *layers);
  if (!layers) return cr_out_of_memory(error, "a copy", count * sizeof *layers);
  for (size_t l = 0; l < count; l++)
    chainrule_network_layer(network, l, &layers[l], sizeof(chainrule_layer), NULL);
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64,
                                       network->inputs, count, layers, network->kernels->name},
      copy, error);
  free(layers);
  for (size_t l = 0; l < count && !status; l++)
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT && !status; parameter++) {
      const size_t size = cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
      if (size == 0) continue;
      float *values = cr_allocate(size, sizeof *values);
      double *wide = NULL;
      if (!values) status = cr_out_of_memory(error, "a copy", size * sizeof *values);
      if (values) cr_read(network, network->parameters, l, (chainrule_parameter)parameter, values);
      if (!status) status = widen(CHAINRULE_FLOAT32, values, size, &wide, error);
      if (!status)
        status =
            chainrule_network_set_parameter_f64(*copy, l, (chainrule_parameter)parameter, wide, size, error);
      free(values);
      free(wide);
    }
  if (status) chainrule_network_free(*copy), *copy = NULL;
  return status;
}

/* Targets in float64 in the unit of the loss. */
static void standardize(const chainrule_network *network, size_t rows, double *y)
{
  if (!cr_scales_targets(network)) return;
  const cr_layer *scaling = &network->layers[network->layer_count - 1];
  for (size_t i = 0; i < rows * scaling->out; i++) {
    const size_t column = i % scaling->out;
    const double deviation =
        cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_DEVIATION] + column);
    const double mean = cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_MEAN] + column);
    y[i] = y[i] * deviation + mean;
  }
}

chainrule_status cr_objective_create(const chainrule_network *network, chainrule_loss loss, cr_batch all,
                                     cr_objective *o, chainrule_error *error)
{
  *o = (cr_objective){.loss = loss, .batch = {.rows = all.rows}};
  const chainrule_scalar scalar = network->scalar;
  double *x = NULL, *y = NULL, *sample_weights = NULL;
  chainrule_network view;
  chainrule_status status = copy_f64(cr_trained(network, &view), &o->network, error);
  if (!status) status = widen(scalar, all.x, all.rows * network->inputs, &x, error);
  if (!status) status = widen(scalar, all.y, all.rows * chainrule_network_outputs(network), &y, error);
  if (!status) status = widen(scalar, all.sample_weights, all.rows, &sample_weights, error);
  if (!status) standardize(network, all.rows, y);
  o->batch.x = x, o->batch.y = y, o->batch.sample_weights = sample_weights;
  if (!status) status = cr_workspace_create(o->network, strip_of(all.rows), &o->work, error);
  if (!status) {
    const size_t size = o->network->arena_size;
    o->total = cr_total_weight(o->network, &o->batch);
    o->strip = cr_allocate(size, sizeof(double));
    o->sum = cr_allocate(size, sizeof(double));
    if (!o->strip || !o->sum) status = cr_out_of_memory(error, "the gradients", 2 * size * sizeof(double));
  }
  if (status) cr_objective_free(o);
  return status;
}

void cr_objective_free(cr_objective *o)
{
  chainrule_network_free(o->network);
  free((void *)o->batch.x);
  free((void *)o->batch.y);
  free((void *)o->batch.sample_weights);
  cr_workspace_free(&o->work);
  free(o->strip);
  free(o->sum);
  *o = (cr_objective){0};
}

bool cr_objective_next(const cr_objective *o, size_t *start, cr_batch *batch)
{
  *start += batch->rows;
  if (*start >= o->batch.rows) return false;
  *batch = slice(o->network, &o->batch, *start, strip_of(o->batch.rows - *start));
  return true;
}

/* Σᵣ of a strip's gradients, into its arena. */
static void descend(const cr_objective *o, const cr_batch *batch)
{
  cr_workspace work = o->work;
  cr_block block = CR_BEFORE_FIRST;
  while (cr_next_block(o->network, &block))
    cr_descend(o->network, &work, batch, block, o->strip, NULL, false);
}

chainrule_status cr_objective_value(const cr_objective *o, double *gradient, double *value,
                                    chainrule_error *error)
{
  const chainrule_network *network = o->network;
  chainrule_status status = CHAINRULE_OK;
  double losses[CR_STRIP], sum = 0;
  size_t start = 0;
  cr_batch batch = {0};
  if (gradient) memset(o->sum, 0, network->arena_size * sizeof(double));
  while (cr_objective_next(o, &start, &batch)) {
    status = cr_forward(network, &o->work, &batch, 0, network->layer_count, error);
    if (status) return status;
    cr_loss(network, &o->work, &batch, o->loss, o->total, gradient != NULL, losses);
    for (size_t r = 0; r < batch.rows; r++) sum += losses[r];
    if (!gradient) continue;
    status = cr_backward(network, &o->work, &batch, network->layer_count - 1, 0, error);
    if (status) return status;
    descend(o, &batch);
    for (size_t i = 0; i < network->arena_size; i++) o->sum[i] += o->strip[i];
  }
  if (gradient) cr_read_all(network, o->sum, gradient);
  *value = o->total > 0 ? sum / o->total : 0;
  return CHAINRULE_OK;
}

/* ---- The check of backpropagation ---------------------------------------------------------------- */

/* L with the value `p` in place of the k-th of all parameters */
static chainrule_status value_with(const cr_objective *o, double *parameters, size_t k, double p,
                                   double *value, chainrule_error *error)
{
  const double before = parameters[k];
  parameters[k] = p;
  chainrule_status status =
      chainrule_network_set_parameters_f64(o->network, parameters, o->network->parameter_count, error);
  parameters[k] = before;
  return status ? status : cr_objective_value(o, NULL, value, error);
}

/* (L(p + h) − L(p − h)) / 2h by the k-th value of all parameters */
static chainrule_status slope(const cr_objective *o, double *parameters, size_t k, double *value,
                              chainrule_error *error)
{
  const double p = parameters[k], h = cbrt(DBL_EPSILON) * fmax(1, fabs(p));
  const double above = p + h, below = p - h;
  double L = 0, L_below = 0;
  chainrule_status status = value_with(o, parameters, k, above, &L, error);
  if (!status) status = value_with(o, parameters, k, below, &L_below, error);
  *value = (L - L_below) / (above - below);
  return status;
}

static chainrule_status compare(const cr_objective *o, double *parameters, double *gradient,
                                chainrule_gradient_check *result, chainrule_error *error)
{
  const size_t count = o->network->parameter_count;
  chainrule_gradient_check found = {.error = -1}, *const check = &found;
  chainrule_status status = chainrule_network_get_parameters_f64(o->network, parameters, count, error);
  if (!status) status = cr_objective_value(o, gradient, &check->loss, error);
  if (status) return status;
  double scale = fabs(check->loss);
  for (size_t k = 0; k < count; k++) scale = fmax(scale, fabs(gradient[k]));
  for (size_t k = 0; k < count; k++) {
    double s;
    status = slope(o, parameters, k, &s, error);
    if (status) return status;
    const double difference = fabs(gradient[k] - s);
    const double relative =
        difference == 0 ? 0 : difference / fmax(fmax(fabs(gradient[k]), fabs(s)), scale / 1000);
    if (!isfinite(relative) || !isfinite(check->loss))
      return cr_fail(error, CHAINRULE_NOT_FINITE, 0, "the loss or its gradient is not finite");
    if (relative <= check->error) continue;
    check->error = relative;
    check->gradient = gradient[k];
    check->slope = s;
    cr_name_parameter(o->network, k, &check->layer, &check->parameter, &check->index);
  }
  *result = found;
  return CHAINRULE_OK;
}

static chainrule_status check_gradient(const chainrule_network *network, chainrule_scalar scalar,
                                       chainrule_loss loss, cr_batch all, chainrule_gradient_check *check,
                                       chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!check) return cr_null(error, "check");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (status) return status;
  if (all.rows == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; a loss needs at least 1");
  if (network->parameter_count == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "the network has no parameters, and so no gradient");
  status = cr_check_loss(network, loss, error);
  if (!status) status = cr_check_data(network, NULL, loss, all.x, all.y, all.sample_weights, all.rows, error);
  if (status) return status;

  cr_objective o;
  status = cr_objective_create(network, loss, all, &o, error);
  if (status) return status;
  const size_t count = network->parameter_count;
  double *parameters = cr_allocate(count, sizeof *parameters), *gradient = cr_allocate(count, sizeof *gradient);
  if (!parameters || !gradient)
    status = cr_out_of_memory(error, "the gradients", 2 * count * sizeof *gradient);
  else
    status = compare(&o, parameters, gradient, check, error);
  free(parameters);
  free(gradient);
  cr_objective_free(&o);
  return status;
}

#define CHECK_GRADIENT(suffix, R, scalar)                                                                    \
  chainrule_status chainrule_network_check_gradient_##suffix(                                                \
      const chainrule_network *network, chainrule_loss loss, const R *x, const R *y,                         \
      const R *sample_weights, size_t rows, chainrule_gradient_check *check, chainrule_error *error)         \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(                                                                                          \
        mode, check_gradient(network, scalar, loss, (cr_batch){rows, x, y, sample_weights}, check, error));  \
  }
CR_EACH_SCALAR(CHECK_GRADIENT)
#undef CHECK_GRADIENT
