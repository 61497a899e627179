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
 * The kernels (kernels/kernels.h) do the arithmetic; here is the order in which they do it, and on what.
 */

/* The first row of the batch in the buffer that starts at `place` scalars per row of the workspace's capacity. */
static R *CR(buffer)(const cr_workspace *work, size_t place, size_t stride)
{
  return (R *)work->buffers + place * work->capacity + work->first * stride;
}

/* W and b of a layer; b is NULL where the layer has none. */
static R *CR(weights)(const cr_dense *layer, const void *arena) { return (R *)arena + layer->weights; }
static R *CR(bias)(const cr_dense *layer, const void *arena)
{
  return layer->has_bias ? (R *)arena + layer->bias : NULL;
}

/* aˡ⁻¹, what layer l was given: the activations before it, or the batch. */
static const R *CR(input)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                          size_t l, size_t *stride)
{
  *stride = l ? network->layers[l - 1].stride : network->inputs;
  return l ? CR(buffer)(work, work->places[l - 1].a, *stride) : batch->x;
}

/* zˡ = aˡ⁻¹ (Wˡ)ᵀ + 1 (bˡ)ᵀ,  aˡ = f(zˡ),  l = 1 … L */
static void CR(forward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_dense *layer = &network->layers[l];
    size_t stride;
    const R *input = CR(input)(network, work, batch, l, &stride);
    R *z = CR(buffer)(work, work->places[l].z, layer->stride);
    R *a = CR(buffer)(work, work->places[l].a, layer->stride);

    kernels->affine(batch->rows, layer->in, layer->out, input, stride,
                    CR(weights)(layer, network->parameters), layer->panel,
                    CR(bias)(layer, network->parameters), z, layer->stride);
    kernels->activate[layer->activation](batch->rows, layer->out, z, a, layer->stride);
  }
}

/* losses[r] = wᵣ l(aᵣ, yᵣ);  with `delta`, δᴸ = ∂L/∂aᴸ ⊙ f′(zᴸ) for L = Σᵣ wᵣ lᵣ / total */
static void CR(loss)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                     chainrule_loss loss, double total, bool delta, double *losses)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const size_t last = network->layer_count - 1, n = network->layers[last].out;
  const size_t stride = network->layers[last].stride;
  const R *z = CR(buffer)(work, work->places[last].z, stride),
          *a = CR(buffer)(work, work->places[last].a, stride);
  R *d = delta ? CR(buffer)(work, work->places[last].delta, stride) : NULL;

  kernels->loss[loss](batch->rows, n, z, a, stride, batch->y, batch->sample_weights, total, d, losses);
  if (d && !cr_is_fused(loss))
    kernels->derive[network->layers[last].activation](batch->rows, n, z, a, d, stride);
}

/* δˡ⁻¹ = (δˡ Wˡ) ⊙ f′(zˡ⁻¹),  l = L … 2 */
static void CR(backward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  for (size_t l = network->layer_count - 1; l > 0; l--) {
    const cr_dense *layer = &network->layers[l], *before = &network->layers[l - 1];
    const cr_place *place = &work->places[l - 1];
    R *delta = CR(buffer)(work, place->delta, before->stride);

    kernels->affine_transpose(batch->rows, layer->in, layer->out,
                              CR(buffer)(work, work->places[l].delta, layer->stride), layer->stride,
                              CR(weights)(layer, network->parameters), layer->panel, delta, before->stride,
                              work->scratch);
    kernels->derive[before->activation](batch->rows, before->out, CR(buffer)(work, place->z, before->stride),
                                        CR(buffer)(work, place->a, before->stride), delta, before->stride);
  }
}

/* One update of the n parameters at `offset` in every arena. */
static void CR(update)(const chainrule_network *network, const cr_descent *descent, size_t offset, size_t n,
                       const R *gradient)
{
  R *state = descent->state ? (R *)descent->state + offset : NULL;
  network->kernels->SCALAR->update[descent->rule](descent->update, n, (R *)network->parameters + offset,
                                                  gradient, state, network->arena_size);
}

/* Asks for these parameters and their state, so that they have come from memory when they are updated. */
static void CR(fetch)(const chainrule_network *network, const cr_descent *descent, size_t offset, size_t n)
{
  for (size_t array = 0; array <= descent->states; array++) {
    const R *values = array == 0 ? (const R *)network->parameters
                                 : (const R *)descent->state + (array - 1) * network->arena_size;
    for (size_t i = 0; i < n; i += CR_ALIGNMENT / sizeof(R)) __builtin_prefetch(&values[offset + i], 1);
  }
}

/* ∂L/∂Wˡ = (δˡ)ᵀ aˡ⁻¹,  ∂L/∂bˡ = (δˡ)ᵀ 1: of a block, panel by panel.  What is not kept in `gradients` goes into the
 * parameters while it is still in the cache, and never reaches memory. */
static void CR(descend)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                        cr_block block, R *gradients, const cr_descent *descent)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_dense *layer = &network->layers[block.layer];
  const size_t columns = smaller(layer->in - block.input, CR_CHUNK);
  const size_t end = smaller(layer->out, block.neuron + CR_BLOCK_PANELS * layer->panel);
  const R *delta = CR(buffer)(work, work->places[block.layer].delta, layer->stride);
  R *packed = work->scratch, *passing = packed + CR_CHUNK * work->capacity;
  size_t stride;
  const R *x = CR(input)(network, work, batch, block.layer, &stride) + block.input;

  if (batch->rows > CR_PACKED_ROWS || crowded(batch->rows, stride * sizeof(R))) {
    for (size_t r = 0; r < batch->rows; r++)
      memcpy(&packed[r * CR_CHUNK], &x[r * stride], columns * sizeof(R));
    x = packed;
    stride = CR_CHUNK;
  }
  for (size_t j = block.neuron; j < end; j += layer->panel) {
    const size_t offset = layer->weights + cr_weight_offset(layer->panel, layer->in, j, block.input);
    const size_t count = columns * layer->panel;
    R *gradient = gradients ? gradients + offset : passing;
    if (descent) CR(fetch)(network, descent, offset, count);
    kernels->affine_gradient(batch->rows, columns, x, stride, layer->out - j, delta + j, layer->stride,
                             layer->panel, gradient);
    if (descent) CR(update)(network, descent, offset, count, gradient);
  }
  if (block.input > 0 || !layer->has_bias) return;
  const size_t offset = layer->bias + block.neuron,
               count = smaller(layer->padded - block.neuron, CR_BLOCK_PANELS * layer->panel);
  R *gradient = gradients ? gradients + offset : passing;
  kernels->bias_gradient(batch->rows, count, delta + block.neuron, layer->stride, gradient);
  if (descent) CR(update)(network, descent, offset, count, gradient);
}

/* z of layer l in lanes; a and δ follow, each of as many. */
static R *CR(lanes)(const chainrule_network *network, R *buffers, size_t l, size_t lanes)
{
  return buffers + (network->inputs + 3 * network->layers[l].before) * lanes;
}

/* All of it but the update, for a network of narrow layers, whose rows would not fill a vector: LANES rows at a time, a row
 * a lane.  The same sums in the same order: the same bits.  `buffers`: x, and z, a and δ of every layer, [units][LANES];
 * gradients come in as 0. */
static void CR(narrow)(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss,
                       double total, double *losses, R *gradients, R *buffers)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const size_t lanes = network->kernels->vector / sizeof(R), last = network->layer_count - 1;
  const size_t outputs = network->layers[last].out;
  const R *weights = batch->sample_weights, *x = batch->x, *y = batch->y;

  for (size_t r = 0; r < batch->rows; r += lanes) {
    const size_t left = batch->rows - r, rows = smaller(left, lanes);
    const R *input = buffers;
    kernels->lanes_load(left, network->inputs, &x[r * network->inputs], buffers);
    for (size_t l = 0; l <= last; l++) {
      const cr_dense *layer = &network->layers[l];
      const size_t n = layer->out * lanes;
      R *z = CR(lanes)(network, buffers, l, lanes), *a = z + n;
      kernels->lanes_affine(layer->in, layer->out, input, CR(weights)(layer, network->parameters),
                            CR(bias)(layer, network->parameters), z);
      if (layer->activation == CHAINRULE_ACTIVATION_SOFTMAX)
        kernels->activate[layer->activation](rows, layer->out, z, a, 0);
      else
        kernels->activate[layer->activation](1, n, z, a, n);
      input = a;
    }

    const R *z = CR(lanes)(network, buffers, last, lanes);
    R *delta = CR(lanes)(network, buffers, last, lanes) + 2 * outputs * lanes;
    kernels->loss[loss](rows, outputs, z, input, 0, &y[r * outputs], weights ? &weights[r] : NULL, total,
                        delta, &losses[r]);
    for (size_t l = last + 1; l-- > 0;) {
      const cr_dense *layer = &network->layers[l];
      const size_t n = layer->out * lanes;
      z = CR(lanes)(network, buffers, l, lanes);
      if (l < last || !cr_is_fused(loss)) kernels->derive[layer->activation](1, n, z, z + n, delta, n);
      R *before = l ? CR(lanes)(network, buffers, l - 1, lanes) + layer->in * lanes : buffers; /* aˡ⁻¹ */
      kernels->lanes_gradient(rows, layer->in, layer->out, before, delta, CR(weights)(layer, gradients),
                              CR(bias)(layer, gradients));
      if (l == 0) break;
      const R *passed = delta;
      delta = before + layer->in * lanes;
      kernels->lanes_transpose(layer->in, layer->out, passed, CR(weights)(layer, network->parameters), delta);
    }
  }
}
