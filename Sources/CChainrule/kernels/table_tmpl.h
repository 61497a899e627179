/* The table of one instantiation, from the templates included before it. */

static bool CR(all_finite)(size_t n, const R *values)
{
  const R infinity = (R)INFINITY;
  int bad = 0;
  for (size_t i = 0; i < n; i++) bad |= !(M(fabs)(values[i]) < infinity);
  return !bad;
}

#define ACTIVATE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(activate_##name),
#define DERIVE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(derive_##name),
#define LOSS(ID, name, ...) [CHAINRULE_LOSS_##ID] = CR(loss_##name),
#define UPDATE(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = CR(update_##name),

static const CR(kernels) CR(table) = {
    .affine = CR(affine),
    .affine_gradient = CR(affine_gradient),
    .affine_transpose = CR(affine_transpose),
    .activate = {CHAINRULE_ACTIVATIONS(ACTIVATE)},
    .derive = {CHAINRULE_ACTIVATIONS(DERIVE)},
    .loss = {CHAINRULE_LOSSES(LOSS)},
    .update = {CHAINRULE_OPTIMIZERS(UPDATE)},
    .all_finite = CR(all_finite),
};

#undef ACTIVATE
#undef DERIVE
#undef LOSS
#undef UPDATE
