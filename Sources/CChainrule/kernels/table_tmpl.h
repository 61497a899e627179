/* The table of one instantiation, from the templates included before it. */

static bool CR(all_finite)(size_t n, const R *values)
{
  const V largest = CR(splat)(REAL_MAX);
  IV good = (IV){0} == (IV){0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const V x = CR(load)(&values[i]);
    good &= (x <= largest) & (x >= -largest);
  }
  bool all = true;
  for (size_t lane = 0; lane < LANES; lane++) all &= good[lane] != 0;
  for (; i < n; i++) all &= values[i] <= REAL_MAX && values[i] >= -REAL_MAX;
  return all;
}

#define ACTIVATE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(activate_##name),
#define DERIVE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(derive_##name),
#define LOSS(ID, name, ...) [CHAINRULE_LOSS_##ID] = CR(loss_##name),
#define UPDATE(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = CR(update_##name),
#define FORWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = NARROW_KERNEL(row_forward_##name),
#define BACKWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = NARROW_KERNEL(row_backward_##name),
#define ROW_LOSS(ID, name, ...) [CHAINRULE_LOSS_##ID] = CR(row_loss_##name),
#define DESCEND(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = NARROW_KERNEL(row_descend_##name),

static const CR(kernels) CR(table) = {
    .affine = CR(affine),
    .affine_gradient = CR(affine_gradient),
    .bias_gradient = CR(bias_gradient),
    .affine_transpose = CR(affine_transpose),
    .activate = {CHAINRULE_ACTIVATIONS(ACTIVATE)},
    .derive = {CHAINRULE_ACTIVATIONS(DERIVE)},
    .loss = {CHAINRULE_LOSSES(LOSS)},
    .update = {CHAINRULE_OPTIMIZERS(UPDATE)},
    .moments = CR(moments),
    .follow = CR(follow),
    .normalize = CR(normalize),
    .normalize_transpose = CR(normalize_transpose),
    .normalize_rows = CR(normalize_rows),
    .normalize_rows_transpose = CR(normalize_rows_transpose),
    .norm_gradient = CR(norm_gradient),
    .dropout = CR(dropout),
    .add = CR(add),
    .squares = CR(squares),
    .limit = CR(limit),
    .clip = CR(clip),
    .axpy = CR(axpy),
    .lanes_load = NARROW_KERNEL(lanes_load),
    .lanes_affine = NARROW_KERNEL(lanes_affine),
    .lanes_transpose = NARROW_KERNEL(lanes_transpose),
    .lanes_gradient = NARROW_KERNEL(lanes_gradient),
    .row_forward = {CHAINRULE_ACTIVATIONS(FORWARD)},
    .row_backward = {CHAINRULE_ELEMENTWISE_ACTIVATIONS(BACKWARD)},
    .row_loss = {CHAINRULE_LOSSES(ROW_LOSS)},
    .row_descend = {CHAINRULE_OPTIMIZERS(DESCEND)},
    .peak = PEAK,
    .all_finite = CR(all_finite),
};

#undef ACTIVATE
#undef DERIVE
#undef LOSS
#undef UPDATE
#undef FORWARD
#undef BACKWARD
#undef ROW_LOSS
#undef DESCEND
