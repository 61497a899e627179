/* custom: a = f(x), ∂L/∂x = δ ⊙ f′(x), where f and f′ are user-supplied functions. */

static chainrule_status CR(custom_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  const cr_layer *layer = at->layer;
  return check_call(at->index, "function",
                    layer->spec.function(layer->spec.context, at->rows * layer->stride, at->x, at->a), error);
}

static chainrule_status CR(custom_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  const cr_layer *layer = at->layer;
  const size_t stride = layer->stride;
  R *slope = at->scratch;
  chainrule_status status = check_call(
      at->index, "derivative", layer->spec.derivative(layer->spec.context, at->rows * stride, at->x, slope), error);
  for (size_t r = 0; r < at->rows && !status; r++)
    for (size_t j = 0; j < stride; j++)
      at->dx[r * stride + j] = j < layer->out ? at->delta[r * stride + j] * slope[r * stride + j] : 0;
  return status;
}

#if REAL_BITS == 64

static bool custom_scratch(const cr_layer *layer, size_t rows, size_t members, size_t *scalars)
{
  return (void)members, cr_multiply(rows, layer->stride, scalars); /* f′(x) of all rows, in one thread */
}

static chainrule_status custom_check(const chainrule_network_description *description, size_t l, chainrule_error *error)
{
  if (description->layers[l].function && description->layers[l].derivative) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_NETWORK, l + 1, "layer %zu, custom: %s is NULL; expected a function", l + 1,
                 description->layers[l].function ? "derivative" : "function");
}

static const cr_kind kind_custom = {
    .calls_out = true,
    .check = custom_check,
    .scratch = custom_scratch,
    .f32 = {.forward = cr_custom_forward_f32, .backward = cr_custom_backward_f32},
    .f64 = {.forward = cr_custom_forward_f64, .backward = cr_custom_backward_f64},
};

#endif
