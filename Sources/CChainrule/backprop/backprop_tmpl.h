/* Backpropagation, for one scalar type R.
 *
 * A network of L layers maps a batch of rows x to a^L:
 *
 *     a⁰ = x        zˡ = aˡ⁻¹ (Wˡ)ᵀ + 1 (bˡ)ᵀ        aˡ = f(zˡ)        l = 1 … L
 *
 * Rows are samples: x is [rows][inputs], zˡ, aˡ and δˡ are [rows][unitsₗ], Wˡ is [unitsₗ][unitsₗ₋₁].
 * The batch's loss is L = Σᵣ wᵣ l(aᵣ, yᵣ) / Σᵣ wᵣ, and δˡ = ∂L/∂zˡ.  By the chain rule, from the last
 * layer to the first:
 *
 *     δᴸ   = ∂L/∂aᴸ ⊙ f′(zᴸ)              (fused with the loss for the cross-entropies)
 *     δˡ⁻¹ = (δˡ Wˡ) ⊙ f′(zˡ⁻¹)
 *     ∂L/∂Wˡ = (δˡ)ᵀ aˡ⁻¹        ∂L/∂bˡ = (δˡ)ᵀ 1
 *
 * Other layers than the dense one have another function of aˡ⁻¹ and pass ∂L/∂aˡ on to ∂L/∂aˡ⁻¹ by its chain rule;
 * δˡ is then ∂L/∂aˡ.  Each kind of layer, its mathematics and its parameters have a file in layers/.
 *
 * The kernels (kernels/kernels.h) do the arithmetic; here is the order in which layers do theirs, and on what.
 */

#include "../layers/update_tmpl.h"

/* The first row of the batch in the buffer that starts at `place` scalars per row of the workspace's capacity. */
static R *CR(buffer)(const cr_workspace *work, size_t place, size_t stride)
{
  return (R *)work->buffers + place * work->capacity + work->first * stride;
}

/* A row of aˡ⁻¹, what layer l is given, in whole vectors. */
static size_t CR(given_stride)(const chainrule_network *network, size_t l)
{
  return l ? network->layers[l - 1].stride : network->input_stride;
}

/* aˡ⁻¹ as a dense layer takes it: the activations before it, or the batch, as it stands where it need not be padded. */
static const R *CR(input)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                          size_t l, size_t *stride)
{
  *stride = l || network->pads_input ? CR(given_stride)(network, l) : network->inputs;
  return l || network->pads_input ? CR(buffer)(work, work->places[l].a, *stride) : batch->x;
}

/* x in whole vectors. */
static void CR(pad_input)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  const size_t n = network->inputs, stride = network->input_stride;
  R *a = CR(buffer)(work, work->places[0].a, stride);
  for (size_t r = 0; r < batch->rows; r++) {
    memcpy(&a[r * stride], (const R *)batch->x + r * n, n * sizeof(R));
    memset(&a[r * stride + n], 0, (stride - n) * sizeof(R));
  }
}

/* Layer l's rows in a pass, but for δ and ∂L/∂x. */
static inline void CR(enter)(CR(layer_rows) *at, const chainrule_network *network, const cr_workspace *work,
                             const cr_batch *batch, size_t l)
{
  const cr_layer *layer = &network->layers[l];
  const cr_place *place = &work->places[l + 1];
  at->layer = layer;
  at->index = l;
  at->x = CR(input)(network, work, batch, l, &at->x_stride);
  at->z = CR(buffer)(work, place->z, layer->stride);
  at->a = CR(buffer)(work, place->a, layer->stride);
  if (layer->kind->has_row_inverse) at->inverse = CR(buffer)(work, place->inverse, CR_ALIGNMENT / sizeof(R));
  if (cr_joins(layer)) at->joined = CR(buffer)(work, work->places[cr_joined(layer, l) + 1].a, layer->stride);
}

/* The same, and δ. */
static inline void CR(enter_backward)(CR(layer_rows) *at, const chainrule_network *network, const cr_workspace *work,
                                      const cr_batch *batch, size_t l)
{
  CR(enter)(at, network, work, batch, l);
  at->delta = CR(buffer)(work, work->places[l + 1].delta, at->layer->stride);
}

/* What the layers of a pass have in common. */
static inline CR(layer_rows) CR(rows_of)(const chainrule_network *network, const cr_workspace *work, size_t rows)
{
  return (CR(layer_rows)){.kernels = network->kernels->SCALAR,
                          .parameters = network->parameters,
                          .arena_size = network->arena_size,
                          .pass = work->pass,
                          .rows = rows,
                          .first = work->first,
                          .scratch = work->scratch,
                          .capacity = work->capacity};
}

/* aˡ from aˡ⁻¹,  l = from + 1 … end */
static chainrule_status CR(forward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                                    size_t from, size_t end, chainrule_error *error)
{
  CR(layer_rows) at = CR(rows_of)(network, work, batch->rows);
  chainrule_status status = CHAINRULE_OK;
  if (from == 0 && network->pads_input) CR(pad_input)(network, work, batch);
  for (size_t l = from; l < end && !status; l++) {
    CR(enter)(&at, network, work, batch, l);
    status = at.layer->kind->SCALAR.forward(&at, error);
  }
  return status;
}

/* losses[r] = wᵣ l(aᵣ, yᵣ);  with `delta`, δᴸ = ∂L/∂aᴸ ⊙ f′(zᴸ) for L = Σᵣ wᵣ lᵣ / total */
static void CR(loss)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                     chainrule_loss loss, double total, bool delta, double *losses)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_layer *last = &network->layers[network->layer_count - 1];
  const cr_place *place = &work->places[network->layer_count];
  const size_t stride = last->stride;
  const R *z = CR(buffer)(work, place->z, stride), *a = CR(buffer)(work, place->a, stride);
  R *d = delta ? CR(buffer)(work, place->delta, stride) : NULL;

  kernels->loss(loss, batch->rows, last->out, z, a, stride, batch->y, batch->sample_weights, total, d, losses);
  if (d && !cr_is_fused(loss) && cr_has_activation(last))
    kernels->derive[last->spec.activation](batch->rows, last->out, z, a, d, stride);
}

/* ∂L/∂aˡ⁻¹: what layer l passes on and, where a residual layer adds aˡ⁻¹, that layer's δ */
static chainrule_status CR(pass)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                                 size_t l, chainrule_error *error)
{
  CR(layer_rows) at = CR(rows_of)(network, work, batch->rows);
  CR(enter_backward)(&at, network, work, batch, l);
  at.dx_stride = CR(given_stride)(network, l);
  at.dx = CR(buffer)(work, work->places[l].delta, at.dx_stride);
  chainrule_status status = at.layer->kind->SCALAR.backward(&at, error);
  for (size_t r = l + 1; r < network->layer_count; r++)
    if (cr_joins(&network->layers[r]) && cr_joined(&network->layers[r], r) == l - 1)
      at.kernels->add(batch->rows * at.dx_stride, at.dx, CR(buffer)(work, work->places[r + 1].delta, at.dx_stride), at.dx);
  return status;
}

/* δˡ⁻¹ = (∂L/∂aˡ⁻¹) ⊙ f′(zˡ⁻¹),  l = from … end + 1 */
static chainrule_status CR(backward)(const chainrule_network *network, const cr_workspace *work,
                                     const cr_batch *batch, size_t from, size_t end, chainrule_error *error)
{
  for (size_t l = from; l > end; l--) {
    const cr_layer *before = &network->layers[l - 1];
    const cr_place *place = &work->places[l];
    chainrule_status status = CR(pass)(network, work, batch, l, error);
    if (status) return status;
    if (cr_has_activation(before))
      network->kernels->SCALAR->derive[before->spec.activation](
          batch->rows, before->out, CR(buffer)(work, place->z, before->stride),
          CR(buffer)(work, place->a, before->stride), CR(buffer)(work, place->delta, before->stride), before->stride);
  }
  return CHAINRULE_OK;
}

/* ∂L/∂x */
static chainrule_status CR(backward_input)(const chainrule_network *network, const cr_workspace *work,
                                           const cr_batch *batch, chainrule_error *error)
{
  return CR(pass)(network, work, batch, 0, error);
}

/* δᴸ = ∂aₖ/∂zᴸ of output k of each row: the unit vector eₖ ⊙ f′(zᴸ), of softmax the row of its Jacobian */
static void CR(seed)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t k)
{
  const cr_layer *last = &network->layers[network->layer_count - 1];
  const cr_place *place = &work->places[network->layer_count];
  const size_t stride = last->stride;
  R *delta = CR(buffer)(work, place->delta, stride);
  memset(delta, 0, batch->rows * stride * sizeof(R));
  for (size_t r = 0; r < batch->rows; r++) delta[r * stride + k] = 1;
  if (cr_has_activation(last))
    network->kernels->SCALAR->derive[last->spec.activation](batch->rows, last->out, CR(buffer)(work, place->z, stride),
                                                       CR(buffer)(work, place->a, stride), delta, stride);
}

/* Of each row alone, ∂L/∂Wˡ = δˡ ⊗ aˡ⁻¹ and ∂L/∂bˡ = δˡ, or ∂L/∂γˡ = δˡ ⊙ zˡ and ∂L/∂βˡ = δˡ, layer after layer. */
static void CR(row_gradients)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                              R *gradients, size_t gradients_stride)
{
  for (size_t r = 0; r < batch->rows; r++) {
    R *to = &gradients[r * gradients_stride];
    for (size_t l = 0; l < network->layer_count; l++) {
      const cr_layer *layer = &network->layers[l];
      const size_t in = layer->in, out = layer->out;
      const R *delta = CR(buffer)(work, work->places[l + 1].delta, layer->stride) + r * layer->stride;
      if (cr_parameter_size(layer, CHAINRULE_WEIGHTS)) {
        size_t stride;
        const R *x = CR(input)(network, work, batch, l, &stride) + r * stride;
        for (size_t j = 0; j < out; j++, to += in)
          for (size_t i = 0; i < in; i++) to[i] = delta[j] * x[i];
      }
      if (cr_parameter_size(layer, CHAINRULE_GAMMA)) {
        const R *z = CR(buffer)(work, work->places[l + 1].z, layer->stride) + r * layer->stride;
        for (size_t j = 0; j < out; j++) *to++ = delta[j] * z[j];
      }
      if (cr_parameter_size(layer, CHAINRULE_BIAS) || cr_parameter_size(layer, CHAINRULE_BETA)) {
        memcpy(to, delta, out * sizeof(R));
        to += out;
      }
    }
  }
}

/* What a layer needs of all rows: of a member's columns, in whole panels. */
static void CR(moments)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t l,
                        bool backward, size_t member, size_t members)
{
  CR(layer_rows) at = CR(rows_of)(network, work, batch->rows);
  CR(enter_backward)(&at, network, work, batch, l);
  const size_t panels = at.layer->padded / at.layer->panel;
  const size_t first = panels * member / members, end = panels * (member + 1) / members;
  at.layer->kind->SCALAR.moments(&at, backward, first * at.layer->panel, (end - first) * at.layer->panel);
}

/* ∂L/∂Wˡ and ∂L/∂bˡ, or the like of a layer without them, of a block. */
static void CR(descend)(const chainrule_network *network, cr_workspace *work, const cr_batch *batch,
                        cr_block block, R *gradients, const cr_descent *descent, bool follows)
{
  CR(layer_rows) at = CR(rows_of)(network, work, batch ? batch->rows : 0);
  at.packed = &work->packed;
  at.layer = &network->layers[block.layer];
  if (batch) CR(enter_backward)(&at, network, work, batch, block.layer);
  at.layer->kind->SCALAR.descend(&at, block, gradients, descent, follows);
}

static double CR(square_norm)(const chainrule_network *network, const double *rates, const R *gradients, R *sums)
{
  double total = 0;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    if (rates && rates[l] == 0) continue;
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      if (cr_parameter_size(layer, (chainrule_parameter)parameter) == 0) continue;
      const size_t rows = parameter == CHAINRULE_WEIGHTS ? layer->in : 1, panel = layer->panel;
      for (size_t j = 0; j < layer->out; j += panel) {
        network->kernels->SCALAR->squares(rows, panel, &gradients[layer->at[parameter] + j * rows], panel, sums);
        for (size_t k = 0; k < smaller(panel, layer->out - j); k++) total += (double)sums[k];
      }
    }
  }
  return total;
}

static void CR(limit)(const chainrule_network *network, cr_block block, double most)
{
  const cr_layer *layer = &network->layers[block.layer];
  const size_t end = smaller(layer->out, block.neuron + CR_BLOCK_PANELS * layer->panel);
  for (size_t j = block.neuron; j < end; j += layer->panel)
    network->kernels->SCALAR->limit(layer->in, layer->panel, CR(weights)(layer, network->parameters) + j * layer->in,
                                    layer->panel, most);
}

static void CR(outputs)(const chainrule_network *network, const cr_workspace *work, size_t rows, R *outputs)
{
  const cr_layer *last = &network->layers[network->layer_count - 1];
  const R *a = CR(buffer)(work, work->places[network->layer_count].a, last->stride);
  for (size_t r = 0; r < rows; r++) memcpy(&outputs[r * last->out], &a[r * last->stride], last->out * sizeof(R));
}

/* δᴸ = wᵣ / total × ∂lᵣ/∂aᴸ ⊙ f′(zᴸ) */
static void CR(set_gradient)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                             double total, const R *gradient)
{
  const cr_layer *last = &network->layers[network->layer_count - 1];
  const cr_place *place = &work->places[network->layer_count];
  const size_t n = last->out, stride = last->stride;
  R *delta = CR(buffer)(work, place->delta, stride);
  const R *weights = batch->sample_weights;
  for (size_t r = 0; r < batch->rows; r++) {
    const R scale = total > 0 ? (R)((weights ? (double)weights[r] : 1) / total) : 0;
    for (size_t j = 0; j < n; j++) delta[r * stride + j] = scale * gradient[r * n + j];
    for (size_t j = n; j < stride; j++) delta[r * stride + j] = 0;
  }
  if (cr_has_activation(last))
    network->kernels->SCALAR->derive[last->spec.activation](batch->rows, n, CR(buffer)(work, place->z, stride),
                                                       CR(buffer)(work, place->a, stride), delta, stride);
}
