/* Forward and backward for float and for double, and the choice between the two. */
#include "internal.h"

#include "kernels/real_f32.h"
#include "backprop_tmpl.h"
#include "kernels/real_f64.h"
#include "backprop_tmpl.h"

void cr_forward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  (network->scalar == CHAINRULE_FLOAT32 ? cr_forward_f32 : cr_forward_f64)(network, work, batch);
}

double cr_loss(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
               chainrule_loss loss, double sum, double total, bool delta)
{
  return (network->scalar == CHAINRULE_FLOAT32 ? cr_loss_f32 : cr_loss_f64)(network, work, batch, loss, sum,
                                                                            total, delta);
}

void cr_backward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                 void *gradients)
{
  (network->scalar == CHAINRULE_FLOAT32 ? cr_backward_f32 : cr_backward_f64)(network, work, batch, gradients);
}

double cr_total_weight(const chainrule_network *network, const cr_batch *batch)
{
  if (!batch->sample_weights) return (double)batch->rows;
  double total = 0;
  for (size_t r = 0; r < batch->rows; r++) total += cr_value(network->scalar, batch->sample_weights, r);
  return total;
}
