/* Forward and backward for float and for double, and the choice between the two. */
#include "internal.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Rows of that stride, in bytes, fall into so few sets of a first cache, of 64 sets of 8 lines, that they push each
 * other out. */
static bool crowded(size_t rows, size_t stride)
{
  size_t sets = 64;
  for (size_t lines = stride / 64; sets > 1 && lines % 2 == 0 && stride % 64 == 0; lines /= 2) sets /= 2;
  return rows > 4 * sets;
}

/* From so many rows on, the columns of a block are worth bringing together. */
enum { CR_PACKED_ROWS = 64 };

#include "kernels/real_f32.h"
#include "backprop_tmpl.h"
#include "kernels/real_f64.h"
#include "backprop_tmpl.h"

void cr_forward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  (network->scalar == CHAINRULE_FLOAT32 ? cr_forward_f32 : cr_forward_f64)(network, work, batch);
}

void cr_backward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                 chainrule_loss loss, double total, bool delta, double *losses)
{
  const bool narrow = network->scalar == CHAINRULE_FLOAT32;
  (narrow ? cr_loss_f32 : cr_loss_f64)(network, work, batch, loss, total, delta, losses);
  if (delta) (narrow ? cr_backward_f32 : cr_backward_f64)(network, work, batch);
}

void cr_descend(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                cr_block block, void *gradients, const cr_descent *descent)
{
  if (network->scalar == CHAINRULE_FLOAT32)
    cr_descend_f32(network, work, batch, block, gradients, descent);
  else
    cr_descend_f64(network, work, batch, block, gradients, descent);
}

size_t cr_narrow_size(const chainrule_network *network)
{
  size_t size = network->inputs, widest = network->inputs;
  for (size_t l = 0; l < network->layer_count; l++) {
    const size_t out = network->layers[l].out;
    widest = out > widest ? out : widest;
    size += 3 * out;
  }
  return widest <= CR_NARROW && network->kernels->vector ? size * network->kernels->vector : 0;
}

void cr_narrow(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss, double total,
               double *losses, void *gradients, void *buffers)
{
  memset(gradients, 0, network->arena_size * cr_scalar_size(network->scalar));
  if (network->scalar == CHAINRULE_FLOAT32)
    cr_narrow_f32(network, batch, loss, total, losses, gradients, buffers);
  else
    cr_narrow_f64(network, batch, loss, total, losses, gradients, buffers);
}

void cr_update_all(const chainrule_network *network, const cr_descent *descent, const void *gradients)
{
  if (network->scalar == CHAINRULE_FLOAT32)
    cr_update_f32(network, descent, 0, network->arena_size, gradients);
  else
    cr_update_f64(network, descent, 0, network->arena_size, gradients);
}

double cr_total_weight(const chainrule_network *network, const cr_batch *batch)
{
  if (!batch->sample_weights) return (double)batch->rows;
  double total = 0;
  for (size_t r = 0; r < batch->rows; r++) total += cr_value(network->scalar, batch->sample_weights, r);
  return total;
}
