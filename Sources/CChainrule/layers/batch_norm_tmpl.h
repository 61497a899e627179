/* batchNorm: z = (x − μ) / √(σ² + ε), a = γ z + β, column by column (Ioffe & Szegedy 2015).
 *
 * In training μ and σ² are the mean and variance of the batch, over all its n rows, and they update the
 * running statistics.  Prediction uses the running statistics, and so does the training of a frozen layer.  δ
 * is ∂L/∂a; Σ is over the rows:
 *
 *     ∂L/∂γ = Σ δ z        ∂L/∂β = Σ δ        ∂L/∂x = γ / √(σ² + ε) (δ − (∂L/∂β + z ∂L/∂γ) / n)
 */

/* A statistic of the layer: the batch's if this pass uses them, else the network's. */
static R *CR(statistic)(const CR(layer_rows) *at, size_t array)
{
  const size_t offset = at->layer->at[array];
  if (!cr_wants_moments(at->layer, at->index, at->pass)) return at->parameters + offset;
  return (R *)at->pass->moments + offset - at->arena_size;
}

static chainrule_status CR(batch_norm_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->normalize(at->rows, layer->padded, at->x, layer->stride, CR(statistic)(at, CHAINRULE_MEAN),
                         CR(statistic)(at, CR_INVERSE), CR(parameter)(layer, at->parameters, CHAINRULE_GAMMA),
                         CR(parameter)(layer, at->parameters, CHAINRULE_BETA), at->z, at->a);
  return CHAINRULE_OK;
}

static chainrule_status CR(batch_norm_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  const bool of_batch = cr_wants_moments(layer, at->index, at->pass);
  const R *sums = CR(statistic)(at, CR_SUMS);
  at->kernels->normalize_transpose(at->rows, layer->padded, of_batch ? at->pass->rows : 0, at->z, at->delta,
                                   layer->stride, CR(parameter)(layer, at->parameters, CHAINRULE_GAMMA),
                                   CR(statistic)(at, CR_INVERSE), of_batch ? sums : NULL, sums + layer->padded, at->dx);
  return CHAINRULE_OK;
}

/* Of the n columns from j, over all rows of the batch: μ, σ² and 1 / √(σ² + ε) or, for backward, ∂L/∂γ and
 * ∂L/∂β. */
static void CR(batch_norm_moments)(const CR(layer_rows) *at, bool backward, size_t j, size_t n)
{
  const cr_layer *layer = at->layer;
  R *sums = CR(statistic)(at, CR_SUMS) + j;
  if (backward)
    at->kernels->norm_gradient(at->rows, n, at->z + j, at->delta + j, layer->stride, sums, sums + layer->padded);
  else
    at->kernels->moments(at->rows, n, at->x + j, layer->stride, layer->spec.epsilon,
                         CR(statistic)(at, CHAINRULE_MEAN) + j, CR(statistic)(at, CHAINRULE_VARIANCE) + j,
                         CR(statistic)(at, CR_INVERSE) + j);
}

/* Updates γ and β and, with `follows`, the running statistics. */
static void CR(batch_norm_descend)(const CR(layer_rows) *at, cr_block block, R *gradients, const cr_descent *descent,
                                   bool follows)
{
  CR(norm_descend)(at, block, gradients, descent, follows);
  const cr_layer *layer = at->layer;
  if (!follows || !at->rows || !cr_wants_moments(layer, at->index, at->pass)) return;
  R *running = at->parameters;
  at->kernels->update_statistics(at->rows, layer->padded, layer->spec.momentum, layer->spec.epsilon,
                                 CR(statistic)(at, CHAINRULE_MEAN), CR(statistic)(at, CHAINRULE_VARIANCE),
                                 &running[layer->at[CHAINRULE_MEAN]], &running[layer->at[CHAINRULE_VARIANCE]],
                                 &running[layer->at[CR_INVERSE]]);
}

/* 1 / √(σ² + ε), each operation rounded as in the kernel `moments`. */
static void CR(batch_norm_settle)(const cr_layer *layer, R *parameters)
{
  const R *variance = parameters + layer->at[CHAINRULE_VARIANCE];
  R *inverse = parameters + layer->at[CR_INVERSE];
  for (size_t k = 0; k < layer->out; k++) {
    const R sum = variance[k] + (R)layer->spec.epsilon;
    inverse[k] = 1 / M(sqrt)(sum);
  }
}

#if REAL_BITS == 64

/* a = γ / √(σ² + ε) (x − μ) + β, with the running μ and σ². */
static void batch_norm_column(const chainrule_layer *layer, double *const *values, size_t k, double *s, double *mean,
                              double *t)
{
  *s = values[CHAINRULE_GAMMA][k] / sqrt(values[CHAINRULE_VARIANCE][k] + layer->epsilon);
  *mean = values[CHAINRULE_MEAN][k];
  *t = values[CHAINRULE_BETA][k];
}

static const cr_kind kind_batchNorm = {
    .fields = (const cr_field[]){REAL_FIELD("momentum", momentum, 0, 1, 0.1, "above 0, and at most 1"),
                                 EPSILON_FIELD, NO_FIELD},
    .arrays = {[CHAINRULE_GAMMA] = 1, [CHAINRULE_BETA] = 1, [CHAINRULE_MEAN] = 1, [CHAINRULE_VARIANCE] = 1,
               [CR_INVERSE] = 1, [CR_SUMS] = 2},
    .z = CR_Z_NORMALIZED,
    .has_moments = true,
    .column = batch_norm_column,
    .scratch = norm_scratch,
    .f32 = {.forward = cr_batch_norm_forward_f32, .backward = cr_batch_norm_backward_f32,
            .moments = cr_batch_norm_moments_f32, .descend = cr_batch_norm_descend_f32,
            .settle = cr_batch_norm_settle_f32},
    .f64 = {.forward = cr_batch_norm_forward_f64, .backward = cr_batch_norm_backward_f64,
            .moments = cr_batch_norm_moments_f64, .descend = cr_batch_norm_descend_f64,
            .settle = cr_batch_norm_settle_f64},
};

#endif
