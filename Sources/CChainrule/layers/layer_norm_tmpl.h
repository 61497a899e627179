/* layerNorm: z = (x − μ) / √(σ² + ε), a = γ z + β, where μ and σ² are the mean and variance of a row (Ba,
 * Kiros & Hinton 2016).
 *
 * δ is ∂L/∂a, and g = γ δ.  Σ is over the rows; mean(·) is over the columns of a row:
 *
 *     ∂L/∂γ = Σ δ z        ∂L/∂β = Σ δ        ∂L/∂x = (g − mean(g) − z mean(g z)) / √(σ² + ε)
 */

static chainrule_status CR(layer_norm_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->normalize_rows(at->rows, layer->out, at->x, layer->stride, layer->spec.epsilon,
                              CR(parameter)(layer, at->parameters, CHAINRULE_GAMMA),
                              CR(parameter)(layer, at->parameters, CHAINRULE_BETA), at->z, at->a, at->inverse);
  return CHAINRULE_OK;
}

static chainrule_status CR(layer_norm_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->normalize_rows_transpose(at->rows, layer->out, at->z, at->delta, layer->stride,
                                        CR(parameter)(layer, at->parameters, CHAINRULE_GAMMA), at->inverse, at->dx);
  return CHAINRULE_OK;
}

#if REAL_BITS == 64

static const cr_kind kind_layerNorm = {
    .fields = (const cr_field[]){EPSILON_FIELD, NO_FIELD},
    .arrays = {[CHAINRULE_GAMMA] = 1, [CHAINRULE_BETA] = 1},
    .z = CR_Z_NORMALIZED,
    .has_row_inverse = true,
    .scratch = norm_scratch,
    .f32 = {.forward = cr_layer_norm_forward_f32, .backward = cr_layer_norm_backward_f32,
            .descend = cr_norm_descend_f32},
    .f64 = {.forward = cr_layer_norm_forward_f64, .backward = cr_layer_norm_backward_f64,
            .descend = cr_norm_descend_f64},
};

#endif
