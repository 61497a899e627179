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

/* The buffer of a workspace that starts at `place` scalars per row of its capacity. */
static R *CR(buffer)(const cr_workspace *work, size_t place)
{
  return (R *)work->buffers + place * work->capacity;
}

/* W and b of a layer in a parameter-shaped arena; b is NULL where the layer has none. */
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
  return l ? CR(buffer)(work, work->places[l - 1].a) : batch->x;
}

/* zˡ = aˡ⁻¹ (Wˡ)ᵀ + 1 (bˡ)ᵀ,  aˡ = f(zˡ),  l = 1 … L */
static void CR(forward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_dense *layer = &network->layers[l];
    size_t stride;
    const R *input = CR(input)(network, work, batch, l, &stride);
    R *z = CR(buffer)(work, work->places[l].z), *a = CR(buffer)(work, work->places[l].a);

    kernels->affine(batch->rows, layer->in, layer->out, input, stride,
                    CR(weights)(layer, network->parameters), layer->stride,
                    CR(bias)(layer, network->parameters), z);
    kernels->activate[layer->activation](batch->rows, layer->out, z, a, layer->stride);
  }
}

/* sum + Σᵣ wᵣ l(aᵣ, yᵣ), row after row;  with `delta`, δᴸ for L = Σᵣ wᵣ lᵣ / total */
static double CR(loss)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                       chainrule_loss loss, double sum, double total, bool delta)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const size_t last = network->layer_count - 1, n = network->layers[last].out;
  const size_t stride = network->layers[last].stride;
  const R *z = CR(buffer)(work, work->places[last].z), *a = CR(buffer)(work, work->places[last].a);
  const R *y = batch->y, *w = batch->sample_weights;
  R *d = delta ? CR(buffer)(work, work->places[last].delta) : NULL;

  for (size_t r = 0; r < batch->rows; r++) {
    const double weight = w ? (double)w[r] : 1;
    const R scale = total > 0 ? (R)(weight / total) : 0;
    sum += weight * (double)kernels->loss[loss](n, &z[r * stride], &a[r * stride], &y[r * n], scale,
                                                d ? &d[r * stride] : NULL);
  }
  if (d && !cr_is_fused(loss))
    kernels->derive[network->layers[last].activation](batch->rows, n, z, a, d, stride);
  return sum;
}

/* ∂L/∂Wˡ = (δˡ)ᵀ aˡ⁻¹,  ∂L/∂bˡ = (δˡ)ᵀ 1,  δˡ⁻¹ = (δˡ Wˡ) ⊙ f′(zˡ⁻¹),  l = L … 1 */
static void CR(backward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                         void *gradients)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  for (size_t l = network->layer_count; l-- > 0;) {
    const cr_dense *layer = &network->layers[l];
    size_t stride;
    const R *input = CR(input)(network, work, batch, l, &stride);
    const R *delta = CR(buffer)(work, work->places[l].delta);

    kernels->affine_gradient(batch->rows, layer->in, layer->out, input, stride, delta, layer->stride,
                             CR(weights)(layer, gradients), CR(bias)(layer, gradients));
    if (l == 0) break;

    R *before = CR(buffer)(work, work->places[l - 1].delta);
    kernels->affine_transpose(batch->rows, layer->in, layer->out, delta, layer->stride,
                              CR(weights)(layer, network->parameters), before, stride, work->scratch);
    kernels->derive[network->layers[l - 1].activation](
        batch->rows, layer->in, CR(buffer)(work, work->places[l - 1].z), input, before, stride);
  }
}
