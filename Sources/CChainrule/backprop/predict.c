/* Prediction, and the loss of a prediction: forward, a strip of rows at a time. */
#include "backprop.h"

#include <string.h>

size_t chainrule_network_scratch_size(const chainrule_network *network, size_t rows)
{
  size_t bytes;
  if (!cr_multiply(rows ? rows : 1, network->predicting_size * cr_scalar_size(network->scalar), &bytes) ||
      !cr_add(bytes, CR_ALIGNMENT - 1, &bytes))
    return SIZE_MAX;
  return bytes;
}

/* A workspace in the caller's scratch, for as many rows at once as fit. */
static chainrule_status plan_scratch(const chainrule_network *network, void *scratch, size_t size,
                                     cr_workspace *work, chainrule_error *error)
{
  if (!scratch) return cr_null(error, "scratch");
  const size_t least = chainrule_network_scratch_size(network, 1);
  if (size < least)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "scratch: expected at least %zu bytes, got %zu", least,
                   size);
  const size_t offset = (CR_ALIGNMENT - (uintptr_t)scratch % CR_ALIGNMENT) % CR_ALIGNMENT;
  *work = (cr_workspace){
      .places = network->predicting,
      .capacity = (size - offset) / (network->predicting_size * cr_scalar_size(network->scalar)),
      .buffers = (char *)scratch + offset,
  };
  if (work->capacity > CR_STRIP) work->capacity = CR_STRIP;
  return CHAINRULE_OK;
}

static chainrule_status predict(const chainrule_network *network, chainrule_scalar scalar, const void *x,
                                size_t rows, void *outputs, void *scratch, size_t scratch_size,
                                chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!x) return cr_null(error, "x");
  if (!outputs) return cr_null(error, "outputs");
  cr_workspace work;
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = plan_scratch(network, scratch, scratch_size, &work, error);
  if (!status) status = cr_check_rows(network, rows, error);
  if (!status) status = cr_check_finite(network, NULL, "inputs", x, rows, network->inputs, error);
  if (status) return status;

  const cr_layer *last = &network->layers[network->layer_count - 1];
  const void *a = cr_at(scalar, work.buffers, work.places[network->layer_count].a * work.capacity);
  for (size_t start = 0, n; start < rows; start += n) {
    n = rows - start < work.capacity ? rows - start : work.capacity;
    const cr_batch batch = {.rows = n, .x = cr_at(scalar, x, start * network->inputs)};
    status = cr_forward(network, &work, &batch, 0, network->layer_count, error);
    if (status) return status;
    for (size_t r = 0; r < n; r++)
      memcpy(cr_at(scalar, outputs, (start + r) * last->out), cr_at(scalar, a, r * last->stride),
             last->out * cr_scalar_size(scalar));
  }
  return CHAINRULE_OK;
}

#define PREDICT(suffix, R, scalar)                                                                           \
  chainrule_status chainrule_network_predict_##suffix(const chainrule_network *network, const R *x,          \
                                                      size_t rows, R *outputs, void *scratch,                \
                                                      size_t scratch_size, chainrule_error *error)           \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, predict(network, scalar, x, rows, outputs, scratch, scratch_size, error));          \
  }
CR_EACH_SCALAR(PREDICT)
#undef PREDICT

static chainrule_status mean_loss(const chainrule_network *network, chainrule_scalar scalar,
                                  chainrule_loss loss, const void *x, const void *y,
                                  const void *sample_weights, size_t rows, void *scratch, size_t scratch_size,
                                  double *value, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!value) return cr_null(error, "value");
  if (rows == 0) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; a loss needs at least 1");
  cr_workspace work;
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = cr_check_loss(network, loss, error);
  if (!status) status = plan_scratch(network, scratch, scratch_size, &work, error);
  if (!status) status = cr_check_data(network, NULL, loss, x, y, sample_weights, rows, error);
  if (status) return status;

  const double total = cr_total_weight(network, &(cr_batch){.rows = rows, .sample_weights = sample_weights});
  chainrule_network view;
  const chainrule_network *trained = cr_trained(network, &view);
  void *standardized =
      trained == network ? NULL : cr_at(scalar, work.buffers, network->standardized * work.capacity);
  double sum = 0;
  for (size_t start = 0, n; start < rows; start += n) {
    n = rows - start < work.capacity ? rows - start : work.capacity;
    cr_batch batch = {
        .rows = n,
        .x = cr_at(scalar, x, start * network->inputs),
        .y = cr_at(scalar, y, start * chainrule_network_outputs(network)),
        .sample_weights = sample_weights ? cr_at(scalar, sample_weights, start) : NULL,
    };
    if (standardized) {
      cr_standardize(network, batch.y, n, standardized);
      batch.y = standardized;
    }
    status = cr_forward(trained, &work, &batch, 0, trained->layer_count, error);
    if (status) return status;
    double losses[CR_STRIP];
    cr_loss(trained, &work, &batch, loss, 0, false, losses);
    for (size_t r = 0; r < n; r++) sum += losses[r];
  }
  *value = total > 0 ? sum / total : 0;
  return CHAINRULE_OK;
}

#define LOSS(suffix, R, scalar)                                                                               \
  chainrule_status chainrule_network_loss_##suffix(                                                           \
      const chainrule_network *network, chainrule_loss loss, const R *x, const R *y, const R *sample_weights, \
      size_t rows, void *scratch, size_t scratch_size, double *value, chainrule_error *error)                 \
  {                                                                                                           \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                    \
    return cr_left(mode, mean_loss(network, scalar, loss, x, y, sample_weights, rows, scratch, scratch_size,  \
                                   value, error));                                                            \
  }
CR_EACH_SCALAR(LOSS)
#undef LOSS
