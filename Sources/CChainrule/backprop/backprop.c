/* Forward and backward for float and for double, and the choice between the two. */
#include "backprop.h"

#include <math.h>
#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

#include "../kernels/real_f32.h"
#include "backprop_tmpl.h"
#include "../kernels/real_f64.h"
#include "backprop_tmpl.h"

bool cr_next_block(const chainrule_network *network, cr_block *block)
{
  const cr_layer *layer = block->layer == SIZE_MAX ? NULL : &network->layers[block->layer];
  if (layer && cr_has_weights(layer)) {
    if ((block->neuron += CR_BLOCK_PANELS * layer->panel) < layer->out) return true;
    block->neuron = 0;
    if ((block->input += CR_CHUNK) < layer->in) return true;
  }
  *block = (cr_block){.layer = block->layer + 1};
  while (block->layer < network->layer_count && !cr_learns(&network->layers[block->layer])) block->layer++;
  return block->layer < network->layer_count;
}

chainrule_status cr_forward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                            size_t from, size_t end, chainrule_error *error)
{
  return EITHER(forward, network, work, batch, from, end, error);
}

void cr_loss(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
             chainrule_loss loss, double total, bool delta, double *losses)
{
  EITHER(loss, network, work, batch, loss, total, delta, losses);
}

chainrule_status cr_backward(const chainrule_network *network, const cr_workspace *work,
                             const cr_batch *batch, size_t from, size_t end, chainrule_error *error)
{
  return EITHER(backward, network, work, batch, from, end, error);
}

chainrule_status cr_backward_input(const chainrule_network *network, const cr_workspace *work,
                                   const cr_batch *batch, chainrule_error *error)
{
  return EITHER(backward_input, network, work, batch, error);
}

void cr_seed(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t output)
{
  EITHER(seed, network, work, batch, output);
}

void cr_row_gradients(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                      void *gradients, size_t stride)
{
  EITHER(row_gradients, network, work, batch, gradients, stride);
}

void cr_moments(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t l,
                bool backward, size_t member, size_t members)
{
  EITHER(moments, network, work, batch, l, backward, member, members);
}

void cr_descend(const chainrule_network *network, cr_workspace *work, const cr_batch *batch, cr_block block,
                void *gradients, const cr_descent *descent, bool follows)
{
  EITHER(descend, network, work, batch, block, gradients, descent, follows);
}

double cr_square_norm(const chainrule_network *network, const double *rates, const void *gradients,
                      void *scratch)
{
  return EITHER(square_norm, network, rates, gradients, scratch);
}

void cr_limit(const chainrule_network *network, cr_block block, double most)
{
  EITHER(limit, network, block, most);
}

void cr_accumulate(const chainrule_network *network, const void *gradients, double weight, void *sum)
{
  if (network->scalar == CHAINRULE_FLOAT32)
    network->kernels->f32->axpy(network->arena_size, gradients, weight, sum);
  else
    network->kernels->f64->axpy(network->arena_size, gradients, weight, sum);
}

void cr_outputs(const chainrule_network *network, const cr_workspace *work, size_t rows, void *outputs)
{
  EITHER(outputs, network, work, rows, outputs);
}

void cr_set_gradient(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                     double total, const void *gradient)
{
  EITHER(set_gradient, network, work, batch, total, gradient);
}
