/* A dense layer for a single row, its units in lanes: z, a and δ lie as [units], padded to whole vectors.
 *
 * Made for networks so narrow that calls cost more than what is called: here one call does all that a layer does, and a
 * vector of sums goes through f, or f′, before it leaves its register.  The sums are those of gemm_tmpl.h, term by term and in the same order, and so are the bits.
 */

/* zⱼ = bⱼ + Σᵢ Wⱼᵢ xᵢ, of the LANES neurons whose weights and bias start at w and `bias` */
static CR_INLINE V CR(row_sums)(size_t in, const R *x, const R *w, const R *bias)
{
  V sum = bias ? CR(load)(bias) : (V){0};
  for (size_t i = 0; i < in; i++, w += 2 * LANES) sum = CR(fma)(CR(splat)(x[i]), CR(load)(w), sum);
  return sum;
}

/* ∂L/∂xᵢ = Σⱼ δⱼ Wⱼᵢ, of LANES inputs from i on: LANES of their weights at a time turn in registers. */
static CR_INLINE V CR(row_transposed)(size_t in, size_t i, size_t out, const R *delta, const R *weights)
{
  V sum = {0}, turned[VECTOR_BYTES / sizeof(R)];
  for (size_t j = 0; j < out; j += LANES) {
    CR(turn)(in - i, &weights[cr_weight_offset(2 * LANES, in, j, i)], 2 * LANES, turned);
    for (size_t k = 0; k < LANES && j + k < out; k++) sum = CR(fma)(CR(splat)(delta[j + k]), turned[k], sum);
  }
  return sum;
}

#define ROW(ID, name, from, ...)                                                                           \
  static void CR(row_forward_##name)(size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z, R *a) \
  {                                                                                                        \
    for (size_t j = 0; j < out; j += LANES) {                                                              \
      const V sum = CR(row_sums)(in, x, &weights[cr_weight_offset(2 * LANES, in, j, 0)], bias ? &bias[j] : NULL); \
      CR(store)(&z[j], sum);                                                                               \
      CR(store)(&a[j], CR(name)(sum));                                                                     \
    }                                                                                                      \
  }                                                                                                        \
  static void CR(row_backward_##name)(size_t in, size_t out, const R *delta, const R *weights, const R *z, const R *a, \
                                      R *dz)                                                               \
  {                                                                                                        \
    for (size_t i = 0; i < in; i += LANES) {                                                               \
      const V sum = CR(row_transposed)(in, i, out, delta, weights);                                        \
      CR(store)(&dz[i], sum * CR(name##_derivative)(CR(load)(ROW_FROM_##from(z, a) + i)));                 \
    }                                                                                                      \
  }
#define ROW_FROM_A(z, a) ((void)z, a)
#define ROW_FROM_Z(z, a) ((void)a, z)
CHAINRULE_ELEMENTWISE_ACTIVATIONS(ROW)
#undef ROW
#undef ROW_FROM_A
#undef ROW_FROM_Z

static void CR(row_forward_softmax)(size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z, R *a)
{
  CR(row_forward_identity)(in, out, x, weights, bias, z, a);
  CR(activate_softmax)(1, out, z, a, (out + LANES - 1) / LANES * LANES);
}

/* One update of p [in] to `out` neurons by g_ji = δⱼ xᵢ, each as soon as it is there. */
typedef V CR(rule)(const CR(numbers) *u, V p, V g, R *state, size_t stride);
static CR_INLINE void CR(row_rank_one)(CR(rule) rule, const CR(numbers) *u, size_t in, size_t out, const R *x,
                                       const R *delta, R *p, R *state, size_t stride)
{
  const size_t width = 2 * LANES;
  for (size_t j = 0; j < out; j += LANES) {
    const V d = CR(load)(&delta[j]);
    for (size_t i = 0, at = cr_weight_offset(width, in, j, 0); i < in; i++, at += width)
      CR(store)(&p[at], rule(u, CR(load)(&p[at]), CR(fma)(CR(splat)(x[i]), d, (V){0}), &state[at], stride));
  }
}

/* A bias is the weight of an input that is 1. */
#define DESCEND(ID, name, ...)                                                                             \
  static void CR(row_descend_##name)(const cr_update *update, size_t in, size_t out, const R *x, const R *delta, \
                                     R *weights, R *bias, R *state, size_t stride)                         \
  {                                                                                                        \
    static const R one = 1;                                                                                \
    const CR(numbers) u = CR(spread)(update);                                                              \
    CR(row_rank_one)(CR(rule_##name), &u, in, out, x, delta, weights, state, stride);                      \
    if (bias) CR(row_rank_one)(CR(rule_##name), &u, 1, out, &one, delta, bias, state + (bias - weights), stride); \
  }
CHAINRULE_OPTIMIZERS(DESCEND)
#undef DESCEND
