/* What the last step computed: copies of z, a, δ and the gradients. */
#include "trainer.h"

#include <string.h>

static chainrule_status view_rows(const chainrule_trainer *trainer, size_t l, size_t place, void *values,
                                  size_t count, chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  const cr_layer *layer = &network->layers[l];
  const size_t expected = trainer->rows_in_view * layer->out;
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1,
                   "layer %zu: expected %zu rows of %zu, %zu values, got %zu", l + 1, trainer->rows_in_view,
                   layer->out, expected, count);
  const void *buffer = cr_at(network->scalar, trainer->work.buffers, place * trainer->work.capacity);
  for (size_t r = 0; r < trainer->rows_in_view; r++)
    memcpy(cr_at(network->scalar, values, r * layer->out), cr_at(network->scalar, buffer, r * layer->stride),
           layer->out * cr_scalar_size(network->scalar));
  return CHAINRULE_OK;
}

static chainrule_status view_gradient(const chainrule_trainer *trainer, size_t l, chainrule_parameter parameter,
                                      void *values, size_t count, chainrule_error *error)
{
  const cr_layer *layer = &trainer->network->layers[l];
  const size_t expected = cr_parameter_size(layer, parameter);
  if (expected == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu has no %s", l + 1,
                   chainrule_parameter_name(parameter));
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1,
                   "layer %zu, gradient: expected %zu values, got %zu", l + 1, expected, count);
  cr_read(trainer->network, trainer->gradients, l, parameter, values);
  return CHAINRULE_OK;
}

static chainrule_status view(const chainrule_trainer *trainer, chainrule_scalar scalar, size_t l,
                             chainrule_view which, void *values, size_t count, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  chainrule_status status = cr_check_scalar(trainer->network, scalar, error);
  if (status) return status;
  if (!values) return cr_null(error, "values");
  if (l >= trainer->whole->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "no layer has index %zu; the network has layers 0 to %zu", l,
                   trainer->whole->layer_count - 1);
  if (l >= trainer->network->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                   "layer %zu scales the targets and takes no part in a step, so that it has no view", l + 1);
  if (!trainer->training.keep)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "the trainer was made without keep, so that no view is left");
  if (trainer->rows_in_view == 0)
    return cr_fail(
        error, CHAINRULE_INVALID_ARGUMENT, 0,
        "there is nothing to view: no step has been done, or a function that the last one called failed");
  switch (which) {
  case CHAINRULE_VIEW_Z: return view_rows(trainer, l, trainer->places[l + 1].z, values, count, error);
  case CHAINRULE_VIEW_A: return view_rows(trainer, l, trainer->places[l + 1].a, values, count, error);
  case CHAINRULE_VIEW_DELTA: return view_rows(trainer, l, trainer->places[l + 1].delta, values, count, error);
  case CHAINRULE_VIEW_WEIGHTS_GRADIENT:
    return view_gradient(trainer, l, CHAINRULE_WEIGHTS, values, count, error);
  case CHAINRULE_VIEW_BIAS_GRADIENT: return view_gradient(trainer, l, CHAINRULE_BIAS, values, count, error);
  case CHAINRULE_VIEW_GAMMA_GRADIENT: return view_gradient(trainer, l, CHAINRULE_GAMMA, values, count, error);
  case CHAINRULE_VIEW_BETA_GRADIENT: return view_gradient(trainer, l, CHAINRULE_BETA, values, count, error);
  }
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "view %d does not exist", (int)which);
}

#define VIEW(suffix, R, scalar)                                                                              \
  chainrule_status chainrule_trainer_view_##suffix(const chainrule_trainer *trainer, size_t layer,           \
                                                   chainrule_view which, R *values, size_t count,            \
                                                   chainrule_error *error)                                   \
  {                                                                                                          \
    return view(trainer, scalar, layer, which, values, count, error);                                        \
  }
CR_EACH_SCALAR(VIEW)
#undef VIEW
