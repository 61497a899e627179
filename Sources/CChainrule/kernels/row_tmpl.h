/* A dense layer for a single row, its units in lanes: z, a and δ lie as [units], padded to whole vectors.
 *
 * Made for networks so narrow that calls, and the way through memory from one to the next, cost more than what is called:
 * here one call does all layers, and a vector of sums goes through f, the loss and f′ before it leaves its register.  The
 * sums are those of gemm_tmpl.h, term by term and in the same order, and so are the bits.
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

/* f, f′ and ∂l/∂a of a vector that is in a register: by the usual functions it stays in one, by the others, whose
 * coefficients would all be loaded beforehand, it takes a call and goes through memory. */
static const CR(kernels) TABLE;

static CR_INLINE V CR(row_f)(chainrule_activation f, V z)
{
  switch (f) {
  case CHAINRULE_ACTIVATION_IDENTITY:
  case CHAINRULE_ACTIVATION_SOFTMAX: return z; /* of a row as a whole */
  case CHAINRULE_ACTIVATION_SIGMOID: return CR(sigmoid)(z);
  case CHAINRULE_ACTIVATION_TANH: return CR(tanh)(z);
  case CHAINRULE_ACTIVATION_RELU: return CR(relu)(z);
  default: break;
  }
  V a = z;
  TABLE.activate[f](1, LANES, (R *)&a, (R *)&a, LANES);
  return a;
}

static CR_INLINE V CR(row_slope)(chainrule_activation f, V z, V a)
{
  switch (f) {
  case CHAINRULE_ACTIVATION_IDENTITY: return CR(splat)(1);
  case CHAINRULE_ACTIVATION_SIGMOID: return CR(sigmoid_derivative)(a);
  case CHAINRULE_ACTIVATION_TANH: return CR(tanh_derivative)(a);
  case CHAINRULE_ACTIVATION_RELU: return CR(relu_derivative)(a);
  default: break;
  }
  V of[] = {z, a, CR(splat)(1)};
  TABLE.derive[f](1, LANES, (R *)&of[0], (R *)&of[1], (R *)&of[2], LANES);
  return of[2];
}

static CR_INLINE V CR(row_term)(chainrule_loss loss, V z, V a, V y, V *l)
{
  switch (loss) {
  case CHAINRULE_LOSS_HALF_SQUARED_ERROR: return CR(halfSquaredError)(z, a, y, l);
  case CHAINRULE_LOSS_MEAN_SQUARED_ERROR: return CR(meanSquaredError)(z, a, y, l);
  default: break;
  }
  V of[] = {z, a, y, CR(splat)(1), (V){0}};
  CR(terms_of)[loss].add(1, LANES, (R *)&of[0], (R *)&of[1], (R *)&of[2], &of[3], &of[4], (R *)&of[1]);
  *l = of[4];
  return of[1];
}

/* What the last layer is held against. */
typedef struct CR(row_target) {
  chainrule_loss loss;
  bool fused;
  R scale; /* of ∂l/∂a, or of ∂l/∂z where the loss is `fused` with its layer */
  const R *y;
} CR(row_target);

/* δ of LANES outputs, from j on; l and their shares in it. */
static CR_INLINE R CR(row_outputs)(CR(row_layer) *o, size_t j, const CR(row_target) *t, V z, V a, R l)
{
  const size_t count = CR(least)(o->out - j);
  V shares, d = CR(splat)(t->scale) * CR(row_term)(t->loss, z, a, CR(load_first)(count, &t->y[j]), &shares);
  if (!t->fused) d *= CR(row_slope)(o->activation, z, a);
  CR(store)(&o->delta[j], (V)((IV)d & CR(first)(count)));
  for (size_t i = 0; i < count; i++) l += shares[i];
  return l;
}

/* The same of a whole row, whose softmax and cross-entropy are one. */
static CR_INLINE R CR(row_softmax)(CR(row_layer) *o, const CR(row_target) *t)
{
  const size_t n = o->out;
  CR(activate_softmax)(1, n, o->z, o->a, (n + LANES - 1) / LANES * LANES);
  const CR(outputs) row = {.rows = 1, .n = n, .z = o->z, .a = o->a, .y = t->y, .stride = n, .step = 1, .delta = o->delta};
  return CR(crossEntropy)(&row, CR(splat)(t->scale))[0];
}

/* z and a of a layer, a vector of neurons after the other; of the last layer, which has a target, δ too, before a vector leaves
 * its register, and l. */
static CR_INLINE R CR(row_forward)(CR(row_layer) *layer, const R *x, const CR(row_target) *target)
{
  const size_t in = layer->in, panel = layer->panel;
  const R *weights = layer->weights, *bias = layer->bias;
  const bool softmax = layer->activation == CHAINRULE_ACTIVATION_SOFTMAX;
  R l = 0;
  for (size_t j = 0;; weights += CR(row_next)(in, panel, j)) {
    const V z = CR(row_sums)(in, x, weights, panel, bias ? &bias[j] : NULL), a = CR(row_f)(layer->activation, z);
    CR(store)(&layer->z[j], z);
    CR(store)(&layer->a[j], a);
    if (target && !softmax) l = CR(row_outputs)(layer, j, target, z, a, l);
    if ((j += LANES) >= layer->out) break;
  }
  return softmax ? CR(row_softmax)(layer, target) : l;
}

/* δ of the layer before */
static CR_INLINE void CR(row_backward)(const CR(row_layer) *layer, CR(row_layer) *before)
{
  for (size_t i = 0; i < before->out; i += LANES) {
    const V slope = CR(row_slope)(before->activation, CR(load)(&before->z[i]), CR(load)(&before->a[i]));
    const V sum = CR(row_transposed)(layer->in, i, layer->out, layer->delta, layer->weights, layer->panel);
    CR(store)(&before->delta[i], sum * slope);
  }
}

static R CR(row_pass)(CR(row_layer) *layers, size_t count, const R *x, const R *y, chainrule_loss loss, bool fused,
                      R scale)
{
  CR(row_layer) *layer = layers, *last = layers + count - 1;
  const R parts = CR(terms_of)[loss].mean ? (R)last->out : 1;
  const CR(row_target) target = {loss, fused, scale / parts, y};
  R l;
  for (;; x = layer->a, layer++) {
    l = CR(row_forward)(layer, x, layer == last ? &target : NULL);
    if (layer == last) break;
  }
  for (; layer > layers; layer--) CR(row_backward)(layer, layer - 1);
  return l / parts;
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
