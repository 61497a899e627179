/* A step of a narrow network, for one scalar type R: dense layers of CR_NARROW units at most, whose rows would not fill a
 * vector.  A batch is taken with a row in each lane, a single row with a unit in each lane.  Both give the bits of
 * backprop_tmpl.h: the same sums in the same order.
 */
#include "../layers/update_tmpl.h"

/* Forward, loss, backward and gradients, strip by strip of the batch.  `buffers`: x, y, and z, a and δ of layer after layer,
 * each [units][pitch], a row a lane. */
static void CR(narrow_rows)(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss,
                            double total, double *losses, R *gradients, R *buffers)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const void *parameters = network->parameters;
  const size_t lanes = network->kernels->vector / sizeof(R), most = CR_STRIP_VECTORS * lanes;
  const size_t inputs = network->inputs, outputs = chainrule_network_outputs(network);
  const cr_layer *const first = network->layers, *const last = &first[network->layer_count - 1];
  const R *weights = batch->sample_weights;

  for (size_t r = 0, rows; r < batch->rows; r += rows) {
    rows = smaller(batch->rows - r, most);
    const size_t pitch = (rows + lanes - 1) & -lanes; /* whole vectors */
    R *x = buffers, *y = x + inputs * pitch, *z = y + outputs * pitch, *a = x;
    kernels->lanes_load(rows, inputs, (const R *)batch->x + r * inputs, pitch, x);
    kernels->lanes_load(rows, outputs, (const R *)batch->y + r * outputs, pitch, y);
    for (const cr_layer *layer = first; layer <= last; layer++) {
      const size_t n = layer->out * pitch;
      kernels->lanes_affine(pitch, layer->in, layer->out, a, CR(weights)(layer, parameters), CR(bias)(layer, parameters), z);
      a = z + n;
      if (layer->spec.activation == CHAINRULE_ACTIVATION_SOFTMAX) kernels->lanes_softmax(rows, pitch, layer->out, z, a);
      else kernels->activate[layer->spec.activation](1, n, z, a, n);
      z += 3 * n;
    }

    R *delta = z - outputs * pitch;
    kernels->lanes_loss(loss, rows, pitch, outputs, a - outputs * pitch, a, y, weights ? &weights[r] : NULL, total,
                        delta, &losses[r]);
    for (const cr_layer *layer = last;; layer--) {
      const size_t n = layer->out * pitch, before = layer->in * pitch;
      z -= 3 * n;
      if (layer < last || !cr_is_fused(loss)) kernels->derive[layer->spec.activation](1, n, z, z + n, delta, n);
      kernels->lanes_gradient(rows, pitch, layer->in, layer->out, layer > first ? z - 2 * before : x, delta, r == 0,
                              CR(weights)(layer, gradients), CR(bias)(layer, gradients));
      if (layer == first) break;
      kernels->lanes_transpose(pitch, layer->in, layer->out, delta, CR(weights)(layer, parameters), z - before);
      delta = z - before;
    }
  }
}

/* A single row takes units in lanes instead, by layers that are planned once. */
static void CR(plan_narrow)(const chainrule_network *network, const R *state, CR(row_layer) *to)
{
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    to[l] = (CR(row_layer)){.in = layer->in,
                            .out = layer->out,
                            .panel = layer->panel,
                            .weights = CR(weights)(layer, network->parameters),
                            .bias = CR(bias)(layer, network->parameters),
                            .state = CR(weights)(layer, state),
                            .activation = layer->spec.activation};
  }
}

static void CR(narrow)(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss, double total,
                       double *losses, R *gradients, void *buffers)
{
  const CR(row_kernels) *row = network->kernels->SCALAR->row;
  CR(row_layer) *layers = buffers;
  const size_t count = network->layer_count;
  if (batch->rows > 1 || !row) {
    CR(narrow_rows)(network, batch, loss, total, losses, gradients, (R *)(layers + count));
    return;
  }
  const double weight = batch->sample_weights ? (double)*(const R *)batch->sample_weights : 1;
  const R scale = total > 0 ? (R)(weight / total) : 0;
  *losses = weight * (double)row->pass(layers, count, batch->x, batch->y, loss, cr_is_fused(loss), scale);
}

static void CR(narrow_descend)(const chainrule_network *network, const cr_batch *batch, const cr_descent *descent,
                               const R *gradients, const void *buffers)
{
  const CR(row_kernels) *row = network->kernels->SCALAR->row;
  if (batch->rows > 1 || !row)
    CR(update)(network->kernels->SCALAR, network->parameters, network->arena_size, descent, 0, network->arena_size,
               gradients, NULL);
  else
    row->descend[descent->rule](descent->update, buffers, network->layer_count, batch->x, network->arena_size);
}

static size_t CR(narrow_steps)(const chainrule_network *network, const cr_batch *batch, const size_t *order,
                               chainrule_loss loss, const cr_descent *descent, cr_next *next, void *context, double *sum,
                               void *buffers)
{
  const CR(row_kernels) *row = network->kernels->SCALAR->row;
  if (!row) return 0;
  const size_t count = network->layer_count, in = network->inputs, out = chainrule_network_outputs(network);
  const bool fused = cr_is_fused(loss);
  for (size_t k = 0; k < batch->rows; k++) {
    const size_t r = order ? order[k] : k;
    const R *x = (const R *)batch->x + r * in, *y = (const R *)batch->y + r * out;
    const double l = (double)row->pass(buffers, count, x, y, loss, fused, 1);
    if (!isfinite(l)) return k;
    if (next) next(context);
    row->descend[descent->rule](descent->update, buffers, count, x, network->arena_size);
    *sum += l;
  }
  return batch->rows;
}
