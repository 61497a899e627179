/* activation: a = f(x).  δ is ∂L/∂z, and z is x: ∂L/∂x = δ. */

static chainrule_status CR(activation_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  const cr_layer *layer = at->layer;
  at->kernels->activate[layer->spec.activation](at->rows, layer->out, at->x, at->a, layer->stride);
  return CHAINRULE_OK;
}

#if REAL_BITS == 64

static const cr_kind kind_activation = {
    .fields = (const cr_field[]){ACTIVATION_FIELD("activation", activation), NO_FIELD},
    .z = CR_Z_INPUT,
    .f32 = {.forward = cr_activation_forward_f32, .backward = cr_copy_backward_f32},
    .f64 = {.forward = cr_activation_forward_f64, .backward = cr_copy_backward_f64},
};

#endif
