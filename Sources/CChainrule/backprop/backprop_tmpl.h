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
 * Other layers than the dense one have an f of x = aˡ⁻¹ and, some, parameters of their own, and pass ∂L/∂aˡ on to
 * ∂L/∂aˡ⁻¹ by their own chain rule (kernels/norm_tmpl.h); δˡ is then ∂L/∂aˡ.
 *
 * The kernels (kernels/kernels.h) do the arithmetic; here is the order in which they do it, and on what.
 */

/* The first row of the batch in the buffer that starts at `place` scalars per row of the workspace's capacity. */
static R *CR(buffer)(const cr_workspace *work, size_t place, size_t stride)
{
  return (R *)work->buffers + place * work->capacity + work->first * stride;
}

/* A parameter of a layer, or NULL where it has none. */
static R *CR(parameter)(const cr_layer *layer, const void *arena, chainrule_parameter parameter)
{
  return cr_parameter_size(layer, parameter) ? (R *)arena + layer->at[parameter] : NULL;
}
static R *CR(weights)(const cr_layer *layer, const void *arena) { return (R *)arena + layer->at[CHAINRULE_WEIGHTS]; }
static R *CR(bias)(const cr_layer *layer, const void *arena)
{
  return layer->has_bias ? (R *)arena + layer->at[CHAINRULE_BIAS] : NULL;
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

/* The mean and the like of a layer: of the batch where it takes them from there, else the network's. */
static R *CR(statistic)(const chainrule_network *network, const cr_pass *pass, size_t l, size_t at)
{
  return cr_wants_moments(network, pass, l) ? (R *)pass->moments + at - network->arena_size
                                            : (R *)network->parameters + at;
}

/* The second factors of a scaling layer's 1 / deviation, then zeros; NULL where there is one factor. */
static const R *CR(rest)(const chainrule_network *network, const cr_layer *layer)
{
  const R *rest = (const R *)network->parameters + layer->rest;
  return layer->kind == CHAINRULE_LAYER_SCALING && *rest != 0 ? rest : NULL;
}

/* aˡ = f(zˡ),  l = from + 1 … end */
static chainrule_status CR(forward)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                                    size_t from, size_t end, chainrule_error *error)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const void *parameters = network->parameters;
  const size_t rows = batch->rows;
  if (from == 0 && network->pads_input) CR(pad_input)(network, work, batch);
  for (size_t l = from; l < end; l++) {
    const cr_layer *layer = &network->layers[l];
    const cr_place *place = &work->places[l + 1];
    const size_t n = layer->padded, stride = layer->stride;
    R *z = CR(buffer)(work, place->z, stride), *a = CR(buffer)(work, place->a, stride);
    if (layer->kind == CHAINRULE_LAYER_DENSE) {
      size_t x_stride;
      const R *x = CR(input)(network, work, batch, l, &x_stride);
      kernels->affine(rows, layer->in, layer->out, x, x_stride, CR(weights)(layer, parameters), layer->panel,
                      CR(bias)(layer, parameters), z, stride);
      kernels->activate[layer->activation](rows, layer->out, z, a, stride);
      continue;
    }
    const R *x = CR(buffer)(work, work->places[l].a, stride);
    const R *gamma = CR(parameter)(layer, parameters, CHAINRULE_GAMMA);
    const R *beta = CR(parameter)(layer, parameters, CHAINRULE_BETA);
    switch (layer->kind) {
    case CHAINRULE_LAYER_DENSE: break;
    case CHAINRULE_LAYER_ACTIVATION: kernels->activate[layer->activation](rows, layer->out, x, a, stride); break;
    case CHAINRULE_LAYER_DROPOUT: /* in prediction a is x */
      if (work->pass)
        kernels->dropout(rows, n, x, stride, work->pass->key + l, work->first, layer->rate, a);
      break;
    case CHAINRULE_LAYER_BATCH_NORM:
    case CHAINRULE_LAYER_SCALING: {
      kernels->normalize(rows, n, x, stride, CR(statistic)(network, work->pass, l, layer->at[CHAINRULE_MEAN]),
                         CR(statistic)(network, work->pass, l, layer->inverse), gamma, beta, z, a);
      const R *rest = CR(rest)(network, layer);
      if (rest) kernels->normalize(rows, n, a, stride, rest + layer->padded, rest, NULL, NULL, z, a);
      break;
    }
    case CHAINRULE_LAYER_LAYER_NORM:
      kernels->normalize_rows(rows, layer->out, x, stride, layer->epsilon, gamma, beta, z, a,
                              CR(buffer)(work, place->inverse, CR_ALIGNMENT / sizeof(R)));
      break;
    case CHAINRULE_LAYER_CUSTOM: {
      const int refused = layer->function(layer->context, rows * stride, x, a);
      if (refused) return refuse(l, "function", refused, error);
      break;
    }
    case CHAINRULE_LAYER_RESIDUAL:
      kernels->add(rows * stride, x, CR(buffer)(work, work->places[cr_joined(layer, l) + 1].a, stride), a);
      break;
    }
  }
  return CHAINRULE_OK;
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
    kernels->derive[last->activation](batch->rows, last->out, z, a, d, stride);
}

/* ∂L/∂aˡ⁻¹ from δ of layer l */
static chainrule_status CR(pass)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                                 size_t l, chainrule_error *error)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_layer *layer = &network->layers[l];
  const cr_place *place = &work->places[l + 1];
  const size_t rows = batch->rows, n = layer->padded, stride = layer->stride;
  const R *z = CR(buffer)(work, place->z, stride), *delta = CR(buffer)(work, place->delta, stride);
  const size_t given = CR(given_stride)(network, l);
  R *dx = CR(buffer)(work, work->places[l].delta, given);
  const R *gamma = CR(parameter)(layer, network->parameters, CHAINRULE_GAMMA);
  switch (layer->kind) {
  case CHAINRULE_LAYER_DENSE:
    kernels->affine_transpose(rows, layer->in, layer->out, delta, stride, CR(weights)(layer, network->parameters),
                              layer->panel, dx, given, work->scratch);
    break;
  case CHAINRULE_LAYER_DROPOUT:
    if (work->pass) {
      kernels->dropout(rows, n, delta, stride, work->pass->key + l, work->first, layer->rate, dx);
      break;
    }
    memcpy(dx, delta, rows * stride * sizeof(R));
    break;
  case CHAINRULE_LAYER_BATCH_NORM:
  case CHAINRULE_LAYER_SCALING: {
    const bool of_batch = cr_wants_moments(network, work->pass, l);
    const R *sums = CR(statistic)(network, work->pass, l, layer->sums);
    kernels->normalize_transpose(rows, n, of_batch ? work->pass->rows : 0, z, delta, stride, gamma,
                                 CR(statistic)(network, work->pass, l, layer->inverse), of_batch ? sums : NULL,
                                 sums + n, dx);
    const R *rest = CR(rest)(network, layer);
    if (rest) kernels->normalize_transpose(rows, n, 0, z, dx, stride, NULL, rest, NULL, NULL, dx);
    break;
  }
  case CHAINRULE_LAYER_LAYER_NORM:
    kernels->normalize_rows_transpose(rows, layer->out, z, delta, stride, gamma,
                                      CR(buffer)(work, place->inverse, CR_ALIGNMENT / sizeof(R)), dx);
    break;
  case CHAINRULE_LAYER_CUSTOM: {
    R *slope = work->scratch;
    const int refused =
        layer->derivative(layer->context, rows * stride, CR(buffer)(work, work->places[l].a, stride), slope);
    if (refused) return refuse(l, "derivative", refused, error);
    for (size_t r = 0; r < rows; r++)
      for (size_t j = 0; j < stride; j++)
        dx[r * stride + j] = j < layer->out ? delta[r * stride + j] * slope[r * stride + j] : 0;
    break;
  }
  case CHAINRULE_LAYER_ACTIVATION:
  case CHAINRULE_LAYER_RESIDUAL: memcpy(dx, delta, rows * stride * sizeof(R)); break;
  }
  return CHAINRULE_OK;
}

/* δˡ⁻¹ = (∂L/∂aˡ⁻¹) ⊙ f′(zˡ⁻¹), where ∂L/∂aˡ⁻¹ is what layer l passes on and, where a residual layer adds aˡ⁻¹, that
 * layer's δ;  l = from … end + 1 */
static chainrule_status CR(backward)(const chainrule_network *network, const cr_workspace *work,
                                     const cr_batch *batch, size_t from, size_t end, chainrule_error *error)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  for (size_t l = from; l > end; l--) {
    const cr_layer *before = &network->layers[l - 1];
    const cr_place *place = &work->places[l];
    const size_t stride = before->stride;
    R *delta = CR(buffer)(work, place->delta, stride);
    chainrule_status status = CR(pass)(network, work, batch, l, error);
    if (status) return status;
    for (size_t r = l + 1; r < network->layer_count; r++)
      if (network->layers[r].kind == CHAINRULE_LAYER_RESIDUAL && cr_joined(&network->layers[r], r) == l - 1)
        kernels->add(batch->rows * stride, delta, CR(buffer)(work, work->places[r + 1].delta, stride), delta);
    if (cr_has_activation(before))
      kernels->derive[before->activation](batch->rows, before->out, CR(buffer)(work, place->z, stride),
                                          CR(buffer)(work, place->a, stride), delta, stride);
  }
  return CHAINRULE_OK;
}

/* ∂L/∂x = what layer 1 passes on, and δ of every residual layer that adds x */
static chainrule_status CR(backward_input)(const chainrule_network *network, const cr_workspace *work,
                                           const cr_batch *batch, chainrule_error *error)
{
  const size_t stride = network->input_stride;
  R *delta = CR(buffer)(work, work->places[0].delta, stride);
  chainrule_status status = CR(pass)(network, work, batch, 0, error);
  for (size_t r = 0; r < network->layer_count; r++)
    if (network->layers[r].kind == CHAINRULE_LAYER_RESIDUAL && cr_joined(&network->layers[r], r) == SIZE_MAX)
      network->kernels->SCALAR->add(batch->rows * stride, delta, CR(buffer)(work, work->places[r + 1].delta, stride),
                                    delta);
  return status;
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
    network->kernels->SCALAR->derive[last->activation](batch->rows, last->out, CR(buffer)(work, place->z, stride),
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
      if (layer->has_bias || cr_parameter_size(layer, CHAINRULE_BETA)) {
        memcpy(to, delta, out * sizeof(R));
        to += out;
      }
    }
  }
}

/* The moments of a batchNorm's inputs, or ∂L/∂γ and ∂L/∂β: of a member's columns, in whole vectors, of the whole batch. */
static void CR(moments)(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t l,
                        bool backward, size_t member, size_t members)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_layer *layer = &network->layers[l];
  const size_t panels = layer->padded / layer->panel, stride = layer->stride;
  const size_t j = panels * member / members * layer->panel;
  const size_t n = panels * (member + 1) / members * layer->panel - j;
  const R *x = CR(buffer)(work, work->places[l].a, stride) + j;
  const R *z = CR(buffer)(work, work->places[l + 1].z, stride) + j;
  const R *delta = CR(buffer)(work, work->places[l + 1].delta, stride) + j;
  R *sums = CR(statistic)(network, work->pass, l, layer->sums);
  if (backward)
    kernels->norm_gradient(batch->rows, n, z, delta, stride, &sums[j], &sums[layer->padded + j]);
  else
    kernels->moments(batch->rows, n, x, stride, layer->epsilon,
                     CR(statistic)(network, work->pass, l, layer->at[CHAINRULE_MEAN]) + j,
                     CR(statistic)(network, work->pass, l, layer->at[CHAINRULE_VARIANCE]) + j,
                     CR(statistic)(network, work->pass, l, layer->inverse) + j);
}

/* One update of the n parameters at `offset` in every arena; `passing` may be where the gradient is. */
static void CR(update)(const chainrule_network *network, const cr_descent *descent, size_t offset, size_t n,
                       const R *gradient, R *passing)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  R *state = descent->state ? (R *)descent->state + offset : NULL;
  if (descent->clips) {
    kernels->clip(n, gradient, descent->scale, descent->bound, passing);
    gradient = passing;
  }
  kernels->update[descent->rule](descent->update, n, (R *)network->parameters + offset, gradient, state,
                                 network->arena_size);
}

/* Asks for these parameters and their state, so that they have come from memory when they are updated. */
static void CR(fetch)(const chainrule_network *network, const cr_descent *descent, size_t offset, size_t n)
{
  if ((descent->states + 1) * network->arena_size * sizeof(R) <= CR_KEPT) return;
  for (size_t array = 0; array <= descent->states; array++) {
    const R *values = array == 0 ? (const R *)network->parameters
                                 : (const R *)descent->state + (array - 1) * network->arena_size;
    cr_ask(&values[offset], CR_ALIGNMENT, n * sizeof(R) / CR_ALIGNMENT);
  }
}

/* ∂L/∂γˡ and ∂L/∂βˡ, which are neighbours; the running statistics take their share of the batch's. */
static void CR(descend_norm)(const chainrule_network *network, cr_workspace *work, const cr_batch *batch,
                             size_t l, R *gradients, const cr_descent *descent, bool follows)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_layer *layer = &network->layers[l];
  const size_t n = layer->padded, stride = layer->stride, offset = layer->at[CHAINRULE_GAMMA];
  R *passing = work->scratch, *gradient = gradients ? gradients + offset : passing;
  work->packed = NULL;
  if (batch)
    kernels->norm_gradient(batch->rows, n, CR(buffer)(work, work->places[l + 1].z, stride),
                           CR(buffer)(work, work->places[l + 1].delta, stride), stride, gradient, gradient + n);
  if (descent) CR(update)(network, descent, offset, 2 * n, gradient, passing);
  if (!follows || !batch || !cr_wants_moments(network, work->pass, l)) return;
  const size_t mean = layer->at[CHAINRULE_MEAN], variance = layer->at[CHAINRULE_VARIANCE];
  R *parameters = network->parameters;
  kernels->follow(batch->rows, n, layer->momentum, layer->epsilon, CR(statistic)(network, work->pass, l, mean),
                  CR(statistic)(network, work->pass, l, variance), &parameters[mean], &parameters[variance],
                  &parameters[layer->inverse]);
}

/* x's first columns, CR_CHUNK at most, as affine_gradient takes them. */
static void CR(pack)(size_t rows, size_t columns, const R *restrict x, size_t stride, R *restrict packed)
{
  for (size_t r = 0; r < rows; r++, x += stride, packed += CR_CHUNK)
    if (columns == CR_CHUNK)
      for (size_t i = 0; i < CR_CHUNK; i++) packed[i] = x[i];
    else
      memcpy(packed, x, columns * sizeof(R));
}

/* ∂L/∂Wˡ = (δˡ)ᵀ aˡ⁻¹,  ∂L/∂bˡ = (δˡ)ᵀ 1: of a block, panel by panel.  What is not kept in `gradients` goes into the
 * parameters while it is still in the cache, and never reaches memory. */
static void CR(descend)(const chainrule_network *network, cr_workspace *work, const cr_batch *batch,
                        cr_block block, R *gradients, const cr_descent *descent, bool follows)
{
  const CR(kernels) *kernels = network->kernels->SCALAR;
  const cr_layer *layer = &network->layers[block.layer];
  if (layer->kind != CHAINRULE_LAYER_DENSE) {
    CR(descend_norm)(network, work, batch, block.layer, gradients, descent, follows);
    return;
  }
  const size_t columns = smaller(layer->in - block.input, CR_CHUNK);
  const size_t end = smaller(layer->out, block.neuron + CR_BLOCK_PANELS * layer->panel);
  const R *delta = CR(buffer)(work, work->places[block.layer + 1].delta, layer->stride);
  R *packed = work->scratch, *passing = packed + CR_CHUNK * work->capacity;
  if (batch) {
    size_t stride;
    const R *x = CR(input)(network, work, batch, block.layer, &stride) + block.input;
    if (x != work->packed) CR(pack)(batch->rows, columns, x, stride, packed);
    work->packed = x;
  }
  for (size_t j = block.neuron; j < end; j += layer->panel) {
    const size_t offset = layer->at[CHAINRULE_WEIGHTS] + cr_weight_offset(layer->panel, layer->in, j, block.input);
    const size_t count = columns * layer->panel;
    R *gradient = gradients ? gradients + offset : passing;
    if (descent) CR(fetch)(network, descent, offset, count);
    if (batch)
      kernels->affine_gradient(batch->rows, columns, packed, layer->out - j, delta + j, layer->stride, layer->panel,
                               gradient);
    if (descent) CR(update)(network, descent, offset, count, gradient, passing);
  }
  if (block.input > 0 || !layer->has_bias) return;
  const size_t offset = layer->at[CHAINRULE_BIAS] + block.neuron,
               count = smaller(layer->padded - block.neuron, CR_BLOCK_PANELS * layer->panel);
  R *gradient = gradients ? gradients + offset : passing;
  if (batch) kernels->bias_gradient(batch->rows, count, delta + block.neuron, layer->stride, gradient);
  if (descent) CR(update)(network, descent, offset, count, gradient, passing);
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
    network->kernels->SCALAR->derive[last->activation](batch->rows, n, CR(buffer)(work, place->z, stride),
                                                       CR(buffer)(work, place->a, stride), delta, stride);
}

/* All of it but the update, for a network of narrow layers, whose rows would not fill a vector: strip by strip of the batch,
 * a row a lane.  The same sums in the same order: the same bits.  `buffers`: x, y, and z, a and δ of layer after layer, each
 * [units][pitch]. */
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
      if (layer->activation == CHAINRULE_ACTIVATION_SOFTMAX) kernels->lanes_softmax(rows, pitch, layer->out, z, a);
      else kernels->activate[layer->activation](1, n, z, a, n);
      z += 3 * n;
    }

    R *delta = z - outputs * pitch;
    kernels->lanes_loss(loss, rows, pitch, outputs, a - outputs * pitch, a, y, weights ? &weights[r] : NULL, total,
                        delta, &losses[r]);
    for (const cr_layer *layer = last;; layer--) {
      const size_t n = layer->out * pitch, before = layer->in * pitch;
      z -= 3 * n;
      if (layer < last || !cr_is_fused(loss)) kernels->derive[layer->activation](1, n, z, z + n, delta, n);
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
                            .activation = layer->activation};
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
    CR(update)(network, descent, 0, network->arena_size, gradients, NULL);
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
