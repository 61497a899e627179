/* A dense layer for a single row, its units in lanes: z, a and δ lie as [units], padded to whole vectors.
 *
 * Made for networks so narrow that calls cost more than what is called: here one call does all that a layer does, and a
 * vector of sums goes through f, or f′, before it leaves its register.  The sums are those of gemm_tmpl.h, term by term and in the same order, and so are the bits.
 */

/* From the weights of the LANES neurons before neuron j to its own: the next lanes, or the next panel. */
static CR_INLINE size_t CR(row_next)(size_t in, size_t panel, size_t j)
{
  return j & (panel - 1) ? LANES : panel * (in - 1) + LANES;
}

/* zⱼ = bⱼ + Σᵢ Wⱼᵢ xᵢ, of the LANES neurons whose weights and bias start at w and `bias` */
static CR_INLINE V CR(row_sums)(size_t in, const R *x, const R *w, size_t panel, const R *bias)
{
  V sum = bias ? CR(load)(bias) : (V){0};
  for (size_t i = 0; i < in; i++, w += panel) sum = CR(fma)(CR(splat)(x[i]), CR(load)(w), sum);
  return sum;
}

/* ∂L/∂xᵢ = Σⱼ δⱼ Wⱼᵢ, of LANES inputs from i on: LANES of their weights at a time turn in registers. */
static CR_INLINE V CR(row_transposed)(size_t in, size_t i, size_t out, const R *delta, const R *weights,
                                       size_t panel)
{
  V sum = {0}, turned[VECTOR_BYTES / sizeof(R)];
  weights += i * panel;
  for (size_t j = 0;; weights += CR(row_next)(in, panel, j)) {
    CR(turn)(in - i, weights, panel, turned);
    for (size_t k = 0; k < LANES && j + k < out; k++) sum = CR(fma)(CR(splat)(delta[j + k]), turned[k], sum);
    if ((j += LANES) >= out) return sum;
  }
}

#define ROW(ID, name, from, ...)                                                                           \
  static void CR(row_forward_##name)(size_t in, size_t out, const R *x, const R *weights, size_t panel,     \
                                     const R *bias, R *z, R *a)                                            \
  {                                                                                                        \
    for (size_t j = 0;; weights += CR(row_next)(in, panel, j)) {                                           \
      const V sum = CR(row_sums)(in, x, weights, panel, bias ? &bias[j] : NULL);                           \
      CR(store)(&z[j], sum);                                                                               \
      CR(store)(&a[j], CR(name)(sum));                                                                     \
      if ((j += LANES) >= out) return;                                                                     \
    }                                                                                                      \
  }                                                                                                        \
  static void CR(row_backward_##name)(size_t in, size_t out, const R *delta, const R *weights, size_t panel,  \
                                      const R *z, const R *a, R *dz)                                       \
  {                                                                                                        \
    for (size_t i = 0; i < in; i += LANES) {                                                               \
      const V sum = CR(row_transposed)(in, i, out, delta, weights, panel);                                 \
      CR(store)(&dz[i], sum * CR(name##_derivative)(CR(load)(ROW_FROM_##from(z, a) + i)));                 \
    }                                                                                                      \
  }
#define ROW_FROM_A(z, a) ((void)z, a)
#define ROW_FROM_Z(z, a) ((void)a, z)
CHAINRULE_ELEMENTWISE_ACTIVATIONS(ROW)
#undef ROW
#undef ROW_FROM_A
#undef ROW_FROM_Z

static void CR(row_forward_softmax)(size_t in, size_t out, const R *x, const R *weights, size_t panel, const R *bias,
                                    R *z, R *a)
{
  CR(row_forward_identity)(in, out, x, weights, panel, bias, z, a);
  CR(activate_softmax)(1, out, z, a, (out + LANES - 1) / LANES * LANES);
}

/* One update of W by δⱼ xᵢ and of b by δⱼ, each as soon as it is there. */
static CR_INLINE void CR(row_descend)(CR(rule) rule, const cr_update *update, size_t in, size_t out, const R *x,
                                      const R *delta, R *weights, size_t panel, R *bias, R *state, size_t stride)
{
  const CR(numbers) u = CR(spread)(update);
  const bool sparse = update->l1 != 0;
  for (size_t j = 0, block = 0;; block += CR(row_next)(in, panel, j)) {
    const V d = CR(load)(&delta[j]);
    for (size_t i = 0, at = block; i < in; i++, at += panel) {
      const V w = CR(load)(&weights[at]);
      V g = CR(fma)(CR(splat)(x[i]), d, (V){0});
      if (sparse) g = CR(sparse)(u.l1, w, g);
      CR(store)(&weights[at], rule(&u, w, g, &state[at], stride));
    }
    if (bias) {
      const V b = CR(load)(&bias[j]);
      V g = d + (V){0};
      if (sparse) g = CR(sparse)(u.l1, b, g);
      CR(store)(&bias[j], rule(&u, b, g, &state[bias - weights + (ptrdiff_t)j], stride));
    }
    if ((j += LANES) >= out) return;
  }
}

#define DESCEND(ID, name, ...)                                                                             \
  static void CR(row_descend_##name)(const cr_update *update, size_t in, size_t out, const R *x, const R *delta, \
                                     R *weights, size_t panel, R *bias, R *state, size_t stride)           \
  { CR(row_descend)(CR(rule_##name), update, in, out, x, delta, weights, panel, bias, state, stride); }
CHAINRULE_OPTIMIZERS(DESCEND)
#undef DESCEND

#define LOSS(ID, name, ...)                                                                                \
  static R CR(row_loss_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *delta)            \
  { return CR(row_##name)(n, z, a, y, scale, delta); }
CHAINRULE_LOSSES(LOSS)
#undef LOSS

#define FORWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(row_forward_##name),
#define BACKWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(row_backward_##name),
#define DESCEND(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = CR(row_descend_##name),
#define LOSS(ID, name, ...) [CHAINRULE_LOSS_##ID] = CR(row_loss_##name),
#define DERIVE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(derive_##name),
const CR(row_kernels) CR(rows) = {
    .forward = {CHAINRULE_ACTIVATIONS(FORWARD)},
    .backward = {CHAINRULE_ELEMENTWISE_ACTIVATIONS(BACKWARD)},
    .descend = {CHAINRULE_OPTIMIZERS(DESCEND)},
    .loss = {CHAINRULE_LOSSES(LOSS)},
    .derive = {CHAINRULE_ACTIVATIONS(DERIVE)},
};
#undef FORWARD
#undef BACKWARD
#undef DESCEND
#undef LOSS
#undef DERIVE
