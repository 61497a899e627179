/* TABLE: the table of one instantiation, made of the functions of the templates before it.  PRODUCT(name) is
 * a product or an update, NARROW_KERNEL(name) a kernel of narrow networks, ROWS the kernels for a single row
 * of one. */

#define ACTIVATE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(activate_##name),
#define DERIVE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(derive_##name),
#define UPDATE(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = PRODUCT(update_##name),

static const CR(kernels) TABLE = {
    .affine = PRODUCT(affine),
    .affine_gradient = PRODUCT(affine_gradient),
    .bias_gradient = PRODUCT(bias_gradient),
    .affine_transpose = PRODUCT(affine_transpose),
    .activate = {CHAINRULE_ACTIVATIONS(ACTIVATE)},
    .derive = {CHAINRULE_ACTIVATIONS(DERIVE)},
    .loss = CR(loss),
    .update = {CHAINRULE_OPTIMIZERS(UPDATE)},
    .moments = CR(moments),
    .update_statistics = CR(update_statistics),
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
    .lanes_softmax = NARROW_KERNEL(lanes_softmax),
    .lanes_loss = NARROW_KERNEL(lanes_loss),
    .row = ROWS,
    .peak = PEAK,
    .within = CR(within),
};

#undef ACTIVATE
#undef DERIVE
#undef UPDATE
