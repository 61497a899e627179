/* Why numbers are not finite, and what to do about it. */
#include "trainer.h"

#include <math.h>

/* The largest |x|, and |y| in the unit of the loss, of rows as a call brings them.  A first layer that scales has scaled x. */
static void largest_values(const chainrule_network *network, const cr_batch *batch, double *x, double *y)
{
  const size_t inputs = network->inputs, outputs = chainrule_network_outputs(network);
  const cr_layer *first = &network->layers[0];
  for (size_t i = 0; i < batch->rows * inputs; i++) {
    double value = cr_value(network->scalar, batch->x, i);
    if (cr_scales(first)) {
      value -= cr_value(network->scalar, network->parameters, first->at[CHAINRULE_MEAN] + i % inputs);
      value /= cr_value(network->scalar, network->parameters, first->at[CHAINRULE_DEVIATION] + i % inputs);
    }
    *x = fmax(*x, fabs(value));
  }
  for (size_t i = 0; i < batch->rows * outputs; i++) *y = fmax(*y, fabs(cr_target(network, batch->y, i)));
}

/* Adds what mostly is the cause of a number that is not finite.  The rows may be NULL; `network` has the target scaling where
 * their targets are not yet standardised. */
static void add_cause(const chainrule_trainer *trainer, const chainrule_network *network,
                      const cr_batch *batch, chainrule_error *error)
{
  static const double large = 1e5;
  if (!error) return;
  double x = 0, y = 0;
  if (batch) largest_values(network, batch, &x, &y);
  if (x > large) cr_add_to_message(error, "; inputs as large as %g need scaling", x);
  if (y > large) cr_add_to_message(error, "; targets as large as %g need scaling", y);
  if (x > large || y > large) return;
  if (trainer->steps > 0)
    cr_add_to_message(error, "; the learning rate, %g, is probably too large, or gradients need clipping",
                      chainrule_trainer_learning_rate(trainer));
  else
    cr_add_to_message(error, "; this is before the first update, so that the initial parameters are too large");
}

chainrule_status cr_step_check(const chainrule_trainer *trainer, const cr_batch *batch, chainrule_error *error)
{
  chainrule_status status = cr_check_parameters(trainer->network, trainer->steps, error);
  if (status) add_cause(trainer, trainer->whole, batch, error);
  return status;
}

chainrule_status cr_step_diagnose(const chainrule_trainer *trainer, const cr_batch *batch, double loss,
                                  chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  chainrule_status status = cr_check_parameters(network, trainer->steps, error);
  if (status) return add_cause(trainer, network, batch, error), status;
  size_t layer = 0;
  for (size_t l = 0; l < network->layer_count && !layer; l++) {
    const cr_layer *dense = &network->layers[l];
    const void *z =
        cr_at(network->scalar, trainer->work.buffers, trainer->places[l + 1].z * trainer->work.capacity);
    for (size_t r = 0; r < batch->rows && !layer; r++)
      if (!cr_all_finite(network, cr_at(network->scalar, z, r * dense->stride), dense->out)) layer = l + 1;
  }
  if (layer)
    cr_fail(error, CHAINRULE_NOT_FINITE, layer, "layer %zu, z: not finite at step %llu", layer,
            (unsigned long long)trainer->steps + 1);
  else
    cr_fail(error, CHAINRULE_NOT_FINITE, 0, "the loss: %s at step %llu", isnan(loss) ? "NaN" : "infinity",
            (unsigned long long)trainer->steps + 1);
  add_cause(trainer, network, batch, error);
  if (error) error->step = trainer->steps;
  return CHAINRULE_NOT_FINITE;
}
