/* residual: a = x + x₀, where x₀ is the input of the block: the `span` layers before this one.  ∂L/∂x = δ.
 * The backward pass in backprop_tmpl.h also adds δ to ∂L/∂x₀. */

static chainrule_status CR(residual_forward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  at->kernels->add(at->rows * at->layer->stride, at->x, at->joined, at->a);
  return CHAINRULE_OK;
}

#if REAL_BITS == 64

static chainrule_status residual_check(const chainrule_network_description *description, size_t l, chainrule_error *error)
{
  const size_t span = description->layers[l].span, number = l + 1;
  if (span < 1 || span > l)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, residual: span is %zu; expected 1 to %zu, the layers before it", number, span, l);
  const size_t units = cr_units_after(description, l), joined = cr_units_after(description, l - span - 1);
  if (joined == units) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                 "layer %zu, residual: its block of %zu layers has %zu inputs and %zu outputs; expected the same number",
                 number, span, joined, units);
}

static const cr_kind kind_residual = {
    .fields = (const cr_field[]){SIZE_FIELD("span", span), NO_FIELD},
    .check = residual_check,
    .f32 = {.forward = cr_residual_forward_f32, .backward = cr_copy_backward_f32},
    .f64 = {.forward = cr_residual_forward_f64, .backward = cr_copy_backward_f64},
};

#endif
