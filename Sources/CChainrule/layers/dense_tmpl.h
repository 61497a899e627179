/* dense: z = x Wᵀ + 1 bᵀ, a = f(z).
 *
 * x is [rows][in]; z, a and δ = ∂L/∂z are [rows][out]; W is [out][in].
 *
 *     ∂L/∂x = δ W        ∂L/∂W = δᵀ x        ∂L/∂b = δᵀ 1
 */

static chainrule_status CR(dense_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->affine(at->rows, layer->in, layer->out, at->x, at->x_stride, CR(weights)(layer, at->parameters),
                      layer->panel, CR(bias)(layer, at->parameters), at->z, layer->stride);
  at->kernels->activate[layer->spec.activation](at->rows, layer->out, at->z, at->a, layer->stride);
  return CHAINRULE_OK;
}

static chainrule_status CR(dense_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->affine_transpose(at->rows, layer->in, layer->out, at->delta, layer->stride,
                                CR(weights)(layer, at->parameters), layer->panel, at->dx, at->dx_stride, at->scratch);
  return CHAINRULE_OK;
}

/* Prefetches n parameters and their optimizer state, unless all of them fit into the L2 cache. */
static void CR(prefetch)(const CR(layer_rows) *at, const cr_descent *descent, size_t offset, size_t n)
{
  if ((descent->states + 1) * at->arena_size * sizeof(R) <= CR_KEPT) return;
  for (size_t array = 0; array <= descent->states; array++) {
    const R *values = array == 0 ? at->parameters : (const R *)descent->state + (array - 1) * at->arena_size;
    cr_ask(&values[offset], CR_ALIGNMENT, n * sizeof(R) / CR_ALIGNMENT);
  }
}

/* Packs the first columns of x, at most CR_CHUNK, into rows of CR_CHUNK: the layout that affine_gradient
 * reads. */
static void CR(pack)(size_t rows, size_t columns, const R *restrict x, size_t stride, R *restrict packed)
{
  for (size_t r = 0; r < rows; r++, x += stride, packed += CR_CHUNK)
    memcpy(packed, x, columns * sizeof(R));
}

/* Gradient and update, micropanel by micropanel.  Without an arena, the gradient of a micropanel is used for
 * the update while it is in the cache, and never reaches memory. */
static void CR(dense_descend)(const CR(layer_rows) *at, cr_block block, R *gradients, const cr_descent *descent,
                              bool follows)
{
  (void)follows;
  const CR(kernels) *kernels = at->kernels;
  const cr_layer *layer = at->layer;
  const size_t columns = smaller(layer->in - block.input, CR_CHUNK), count = columns * layer->panel;
  const size_t end = smaller(layer->out, block.neuron + CR_BLOCK_PANELS * layer->panel);
  R *packed = at->scratch, *buffer = packed + CR_CHUNK * at->capacity;
  if (at->rows) {
    const R *x = at->x + block.input;
    if (x != *at->packed) CR(pack)(at->rows, columns, x, at->x_stride, packed);
    *at->packed = x;
  }
  for (size_t j = block.neuron; j < end; j += layer->panel) {
    const size_t offset = layer->at[CHAINRULE_WEIGHTS] + cr_weight_offset(layer->panel, layer->in, j, block.input);
    R *gradient = gradients ? gradients + offset : buffer;
    if (descent) CR(prefetch)(at, descent, offset, count);
    if (at->rows)
      kernels->affine_gradient(at->rows, columns, packed, layer->out - j, at->delta + j, layer->stride, layer->panel,
                               gradient);
    if (descent)
      CR(update)(kernels, at->parameters, at->arena_size, descent, offset, count, gradient, buffer);
  }
  if (block.input > 0 || layer->spec.no_bias) return;
  const size_t offset = layer->at[CHAINRULE_BIAS] + block.neuron;
  const size_t n = smaller(layer->padded - block.neuron, CR_BLOCK_PANELS * layer->panel);
  R *gradient = gradients ? gradients + offset : buffer;
  if (at->rows) kernels->bias_gradient(at->rows, n, at->delta + block.neuron, layer->stride, gradient);
  if (descent) CR(update)(kernels, at->parameters, at->arena_size, descent, offset, n, gradient, buffer);
}

#if REAL_BITS == 64 /* once, after the functions of both scalar types */

/* backward needs δᵀ and ∂L/∂xᵀ, whose rows are padded to micropanels; descend needs, for each thread, the
 * packed inputs of a block and the gradient of a micropanel. */
static bool dense_scratch(const cr_layer *layer, size_t rows, size_t members, size_t *scalars)
{
  size_t packed;
  if (!cr_multiply(layer->in + layer->out, rows + members * (CR_SLICE + layer->panel), scalars)) return false;
  if (!cr_multiply(CR_CHUNK * members, rows + layer->panel, &packed)) return false;
  if (packed > *scalars) *scalars = packed;
  return true;
}

static chainrule_status dense_check(const chainrule_network_description *description, size_t l, chainrule_error *error)
{
  const size_t units = description->layers[l].units;
  if (units > 0 && units <= CR_MOST_UNITS) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_NETWORK, l + 1, "layer %zu has %zu units; expected 1 to %zu", l + 1, units,
                 (size_t)CR_MOST_UNITS);
}

static const cr_kind kind_dense = {
    .fields = (const cr_field[]){SIZE_FIELD("units", units), ACTIVATION_FIELD("activation", activation),
                                 BIAS_FIELD("bias", no_bias), INITIALIZER_FIELD("weightsInitializer", weights),
                                 INITIALIZER_FIELD("biasInitializer", bias), NO_FIELD},
    .arrays = {[CHAINRULE_WEIGHTS] = 1, [CHAINRULE_BIAS] = 1},
    .z = CR_Z_PRODUCT,
    .has_units = true,
    .any_stride = true,
    .check = dense_check,
    .scratch = dense_scratch,
    .f32 = {.forward = cr_dense_forward_f32, .backward = cr_dense_backward_f32, .descend = cr_dense_descend_f32},
    .f64 = {.forward = cr_dense_forward_f64, .backward = cr_dense_backward_f64, .descend = cr_dense_descend_f64},
};

#endif
