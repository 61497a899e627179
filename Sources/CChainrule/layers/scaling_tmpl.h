/* scaling: a = (x − mean) / deviation, column by column.  Mean and deviation are given, not learned.  ∂L/∂x =
 * δ / deviation.
 *
 * If 1 / deviation overflows or is denormal in any column, all columns of the layer have two factors: a power
 * of 2 in CR_INVERSE, which leaves the bits of x − mean as they are, and the rest of 1 / deviation in
 * CR_REST. */

/* The second factors [padded], followed by zeros [padded], which serve as their mean; NULL if one factor is
 * enough. */
static const R *CR(scaling_rest)(const CR(layer_rows) *at)
{
  const R *rest = at->parameters + at->layer->at[CR_REST];
  return *rest != 0 ? rest : NULL;
}

static chainrule_status CR(scaling_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  const size_t n = layer->padded;
  const R *rest = CR(scaling_rest)(at), *parameters = at->parameters;
  at->kernels->normalize(at->rows, n, at->x, layer->stride, parameters + layer->at[CHAINRULE_MEAN],
                         parameters + layer->at[CR_INVERSE], NULL, NULL, at->z, at->a);
  if (rest) at->kernels->normalize(at->rows, n, at->a, layer->stride, rest + n, rest, NULL, NULL, at->z, at->a);
  return CHAINRULE_OK;
}

static chainrule_status CR(scaling_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  const size_t n = layer->padded, stride = layer->stride;
  const R *rest = CR(scaling_rest)(at), *inverse = at->parameters + layer->at[CR_INVERSE];
  at->kernels->normalize_transpose(at->rows, n, 0, at->z, at->delta, stride, NULL, inverse, NULL, NULL, at->dx);
  if (rest) at->kernels->normalize_transpose(at->rows, n, 0, at->z, at->dx, stride, NULL, rest, NULL, NULL, at->dx);
  return CHAINRULE_OK;
}

/* 1 / deviation, as one factor or two. */
static void CR(scaling_settle)(const cr_layer *layer, R *parameters)
{
  const R *deviation = parameters + layer->at[CHAINRULE_DEVIATION];
  R *inverse = parameters + layer->at[CR_INVERSE], *rest = parameters + layer->at[CR_REST];
  bool splits = false;
  for (size_t k = 0; k < layer->out; k++) {
    inverse[k] = 1 / deviation[k];
    splits |= !isnormal(inverse[k]);
  }
  for (size_t k = 0; k < layer->out; k++) {
    rest[k] = 0;
    if (!splits) continue;
    const int half = (REAL_BITS == 32 ? FLT_MAX_EXP : DBL_MAX_EXP) / 2;
    const double value = (double)deviation[k];
    const double power = ldexp(1, isnormal((R)(1 / value)) ? 0 : value < 1 ? half : -half);
    inverse[k] = (R)power;
    rest[k] = (R)(1 / (value * power));
  }
}

#if REAL_BITS == 64

static const cr_kind kind_scaling = {
    .arrays = {[CHAINRULE_MEAN] = 1, [CHAINRULE_DEVIATION] = 1, [CR_INVERSE] = 1, [CR_REST] = 2},
    .f32 = {.forward = cr_scaling_forward_f32, .backward = cr_scaling_backward_f32, .settle = cr_scaling_settle_f32},
    .f64 = {.forward = cr_scaling_forward_f64, .backward = cr_scaling_backward_f64, .settle = cr_scaling_settle_f64},
};

#endif
