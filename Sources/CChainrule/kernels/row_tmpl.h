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
  CR_ROLLED for (size_t i = 0; i < in; i++, w += panel) sum = CR(fma)(CR(splat)(x[i]), CR(load)(w), sum);
  return sum;
}

/* ∂L/∂xᵢ = Σⱼ δⱼ Wⱼᵢ, of LANES inputs from i on: LANES of their weights at a time turn in registers, but for the one
 * weight that each has where there is one output. */
static CR_INLINE V CR(row_transposed)(size_t in, size_t i, size_t out, const R *delta, const R *weights,
                                       size_t panel)
{
  V sum = {0}, turned[VECTOR_BYTES / sizeof(R)];
  weights += i * panel;
  if (out == 1) {
    V column = {0};
    for (size_t k = 0; k < LANES && i + k < in; k++) column[k] = weights[k * panel];
    return CR(fma)(CR(splat)(delta[0]), column, sum);
  }
  for (size_t j = 0;; weights += CR(row_next)(in, panel, j)) {
    CR(turn)(in - i, weights, panel, turned);
    for (size_t k = 0; k < LANES && j + k < out; k++) sum = CR(fma)(CR(splat)(delta[j + k]), turned[k], sum);
    if ((j += LANES) >= out) return sum;
  }
}

#define ROW(ID, name, from, ...)                                                                           \
  static void CR(row_forward_##name)(CR(row_layer) *layer, const R *x)                                     \
  {                                                                                                        \
    const R *weights = layer->weights, *bias = layer->bias;                                                \
    for (size_t j = 0;; weights += CR(row_next)(layer->in, layer->panel, j)) {                             \
      const V sum = CR(row_sums)(layer->in, x, weights, layer->panel, bias ? &bias[j] : NULL);             \
      CR(store)(&layer->z[j], sum);                                                                        \
      CR(store)(&layer->a[j], CR(name)(sum));                                                              \
      if ((j += LANES) >= layer->out) return;                                                              \
    }                                                                                                      \
  }                                                                                                        \
  static void CR(row_backward_##name)(const CR(row_layer) *layer, CR(row_layer) *before)                   \
  {                                                                                                        \
    for (size_t i = 0; i < before->out; i += LANES) {                                                      \
      const V sum = CR(row_transposed)(layer->in, i, layer->out, layer->delta, layer->weights, layer->panel); \
      CR(store)(&before->delta[i], sum * CR(name##_derivative)(CR(load)(ROW_FROM_##from(before) + i)));    \
    }                                                                                                      \
  }
#define ROW_FROM_A(layer) (layer)->a
#define ROW_FROM_Z(layer) (layer)->z
CHAINRULE_ELEMENTWISE_ACTIVATIONS(ROW)
#undef ROW
#undef ROW_FROM_A
#undef ROW_FROM_Z

static void CR(row_forward_softmax)(CR(row_layer) *layer, const R *x)
{
  CR(row_forward_identity)(layer, x);
  CR(activate_softmax)(1, layer->out, layer->z, layer->a, (layer->out + LANES - 1) / LANES * LANES);
}

#define LOSS(ID, name, ...)                                                                                \
  static R CR(row_loss_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *delta)            \
  { return CR(row_##name)(n, z, a, y, scale, delta); }
CHAINRULE_LOSSES(LOSS)
#undef LOSS

static R CR(row_pass)(CR(row_layer) *layers, size_t count, const R *x, const R *y, chainrule_loss loss, bool fused,
                      R scale)
{
#define FORWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(row_forward_##name),
#define BACKWARD(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(row_backward_##name),
#define DERIVE(ID, name, ...) [CHAINRULE_ACTIVATION_##ID] = CR(derive_##name),
#define LOSS(ID, name, ...) [CHAINRULE_LOSS_##ID] = CR(row_loss_##name),
  static void (*const forward[])(CR(row_layer) *, const R *) = {CHAINRULE_ACTIVATIONS(FORWARD)};
  static void (*const backward[])(const CR(row_layer) *, CR(row_layer) *) = {
      CHAINRULE_ELEMENTWISE_ACTIVATIONS(BACKWARD)};
  static void (*const derive[])(size_t, size_t, const R *, const R *, R *, size_t) = {CHAINRULE_ACTIVATIONS(DERIVE)};
  static R (*const lose[])(size_t, const R *, const R *, const R *, R, R *) = {CHAINRULE_LOSSES(LOSS)};
#undef FORWARD
#undef BACKWARD
#undef DERIVE
#undef LOSS
  CR(row_layer) *layer = layers, *last = layers + count - 1;
  for (;; layer++) {
    forward[layer->activation](layer, x);
    if (layer == last) break;
    x = layer->a;
  }
  const R l = lose[loss](last->out, last->z, last->a, y, scale, last->delta);
  if (!fused) derive[last->activation](1, last->out, last->z, last->a, last->delta, last->out);
  for (; layer > layers; layer--) backward[layer[-1].activation](layer, layer - 1);
  return l;
}

/* One update of W by δⱼ xᵢ and of b by δⱼ, each as soon as it is there, layer by layer. */
static CR_INLINE void CR(row_descend)(CR(rule) rule, const bool sparse, const cr_update *update,
                                      const CR(row_layer) *layers, size_t count, const R *x, size_t stride)
{
  const CR(numbers) u = CR(spread)(update);
  for (const CR(row_layer) *layer = layers; layer < layers + count; x = layer->a, layer++) {
    const size_t in = layer->in, panel = layer->panel;
    R *weights = layer->weights, *bias = layer->bias, *state = layer->state;
    for (size_t j = 0, block = 0;; block += CR(row_next)(in, panel, j)) {
      const V d = CR(load)(&layer->delta[j]);
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
      if ((j += LANES) >= layer->out) break;
    }
  }
}

#define DESCEND(ID, name, ...)                                                                             \
  static void CR(row_descend_##name)(const cr_update *update, const CR(row_layer) *layers, size_t count, const R *x, \
                                     size_t stride)                                                        \
  {                                                                                                        \
    const bool sgd = CHAINRULE_OPTIMIZER_##ID == CHAINRULE_OPTIMIZER_SGD, sparse = update->l1 != 0;         \
    if (sgd && !sparse && update->momentum == 0 && update->weight_decay == 0)                              \
      CR(row_descend)(CR(rule_plain), false, update, layers, count, x, stride);                            \
    else                                                                                                   \
      CR(row_descend)(CR(rule_##name), sparse, update, layers, count, x, stride);                          \
  }
CHAINRULE_OPTIMIZERS(DESCEND)
#undef DESCEND

#define DESCEND(ID, name, ...) [CHAINRULE_OPTIMIZER_##ID] = CR(row_descend_##name),
const CR(row_kernels) CR(rows) = {.pass = CR(row_pass), .descend = {CHAINRULE_OPTIMIZERS(DESCEND)}};
#undef DESCEND
