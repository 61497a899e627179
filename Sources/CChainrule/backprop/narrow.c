/* Steps of narrow networks for float and for double, and the choice between the two. */
#include "backprop.h"

#include <math.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

#include "../kernels/real_f32.h"
#include "narrow_tmpl.h"
#include "../kernels/real_f64.h"
#include "narrow_tmpl.h"

size_t cr_narrow_size(const chainrule_network *network)
{
  size_t units = network->inputs + chainrule_network_outputs(network), widest = network->inputs;
  for (size_t l = 0; l < network->layer_count; l++) {
    const size_t out = network->layers[l].out;
    if (!cr_is_product(&network->layers[l])) return 0;
    widest = out > widest ? out : widest;
    units += 3 * out;
  }
  if (widest > CR_NARROW || !network->kernels->f32->lanes_load) return 0;
  /* padding after the last δ, which is read in whole vectors of neurons */
  return network->layer_count * sizeof(cr_row_layer_f64) +
         (units + CR_NARROW) * CR_STRIP_VECTORS * network->kernels->vector;
}

void cr_plan_narrow(const chainrule_network *network, const void *state, void *buffers)
{
  EITHER(plan_narrow, network, state, buffers);
}

void cr_narrow(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss, double total,
               double *losses, void *gradients, void *buffers)
{
  EITHER(narrow, network, batch, loss, total, losses, gradients, buffers);
}

void cr_narrow_descend(const chainrule_network *network, const cr_batch *batch, const cr_descent *descent,
                       const void *gradients, const void *buffers)
{
  EITHER(narrow_descend, network, batch, descent, gradients, buffers);
}

size_t cr_narrow_steps(const chainrule_network *network, const cr_batch *batch, const size_t *order,
                       chainrule_loss loss, const cr_descent *descent, cr_next *next, void *context,
                       double *sum, void *buffers)
{
  return EITHER(narrow_steps, network, batch, order, loss, descent, next, context, sum, buffers);
}
