/* dropout: in training a = m ⊙ x / (1 − rate), where each element of the mask m is 0 with probability `rate`,
 * else 1.  ∂L/∂x = m ⊙ δ / (1 − rate).  In prediction a = x, in the same memory.  m depends only on the
 * step's key, the layer, the row and the column, so that backward computes it again. */

static chainrule_status CR(dropout_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  if (at->pass)
    at->kernels->dropout(at->rows, layer->padded, at->x, layer->stride, at->pass->key + at->index, at->first,
                         layer->spec.rate, at->a);
  return CHAINRULE_OK;
}

static chainrule_status CR(dropout_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  const cr_layer *layer = at->layer;
  if (!at->pass) return CR(copy_backward)(at, error);
  at->kernels->dropout(at->rows, layer->padded, at->delta, layer->stride, at->pass->key + at->index, at->first,
                       layer->spec.rate, at->dx);
  return CHAINRULE_OK;
}

#if REAL_BITS == 64

static const cr_kind kind_dropout = {
    .fields = (const cr_field[]){REAL_FIELD("rate", rate, 0, 1 - DBL_EPSILON / 2, 0, "0 or more, and less than 1"),
                                 NO_FIELD},
    .is_identity = true,
    .f32 = {.forward = cr_dropout_forward_f32, .backward = cr_dropout_backward_f32},
    .f64 = {.forward = cr_dropout_forward_f64, .backward = cr_dropout_backward_f64},
};

#endif
