/* Losses: l of one row, and ∂l/∂a, with d = a − y.
 *
 * A loss is a term for each output and its derivative, on vectors; their sum, or mean, is taken in the order of
 * the outputs.  The two cross-entropies are fused with the output layer that they need: l and ∂l/∂z are computed
 * from z, so that z = ±1000 gives finite numbers where log a would not.
 */

typedef struct CR(term) {
  V value, derivative;
} CR(term);

/* Outputs j … of a row of n, of which z and a are padded to whole vectors, and y is not. */
static inline V CR(load_some)(size_t n, const R *p)
{
  if (n >= LANES) return CR(load)(p);
  V x = {0};
  for (size_t i = 0; i < n; i++) x[i] = p[i];
  return x;
}

/* scale × ∂l/∂a into gradient, unless that is NULL; returns Σ of the terms. */
static CR_INLINE R CR(add_terms)(CR(term) term(V z, V a, V y), size_t n, const R *z, const R *a, const R *y, R scale,
                                 R *gradient)
{
  R sum = 0;
  for (size_t j = 0; j < n; j += LANES) {
    const size_t count = n - j < LANES ? n - j : LANES;
    const CR(term) t = term(CR(load)(&z[j]), CR(load)(&a[j]), CR(load_some)(count, &y[j]));
    for (size_t i = 0; i < count; i++) sum += t.value[i];
    if (!gradient) continue;
    const V g = scale * t.derivative;
    if (count == LANES) CR(store)(&gradient[j], g);
    else
      for (size_t i = 0; i < count; i++) gradient[j + i] = g[i];
  }
  return sum;
}

/* l = Σ, or 1/n Σ, of a term */
#define SUM(name)                                                                                          \
  static R CR(loss_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)             \
  { return CR(add_terms)(CR(name), n, z, a, y, scale, gradient); }
#define MEAN(name)                                                                                         \
  static R CR(loss_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)             \
  { return CR(add_terms)(CR(name), n, z, a, y, scale / (R)n, gradient) / (R)n; }

/* ½ d²,  d */
static inline CR(term) CR(halfSquaredError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){(R)0.5 * d * d, d};
}
SUM(halfSquaredError)

/* d²,  2 d */
static inline CR(term) CR(meanSquaredError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){d * d, 2 * d};
}
MEAN(meanSquaredError)

/* |d|,  sign d, 0 at 0 */
static inline CR(term) CR(meanAbsoluteError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y, one = CR(splat)(1), zero = CR(splat)(0);
  return (CR(term)){CR(v_magnitude)(d), CR(select)(d > 0, one, CR(select)(d < 0, -one, zero))};
}
MEAN(meanAbsoluteError)

/* ½ d² where |d| < 1, else |d| − ½;  d, limited to ±1 (Huber 1964) */
static inline CR(term) CR(huber)(V z, V a, V y)
{
  (void)z;
  const V d = a - y, size = CR(v_magnitude)(d), one = CR(splat)(1);
  return (CR(term)){CR(select)(size < 1, (R)0.5 * d * d, size - (R)0.5), CR(larger)(-one, CR(smaller)(one, d))};
}
MEAN(huber)

/* log cosh d,  tanh d */
static inline CR(term) CR(logCosh)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){CR(v_log_cosh)(d), CR(v_tanh)(d)};
}
MEAN(logCosh)

/* a = σ(z):  log(1 + e^z) − y z,  and by z: a − y */
static inline CR(term) CR(binaryCrossEntropy)(V z, V a, V y)
{
  return (CR(term)){CR(v_softplus)(z) - y * z, a - y};
}
MEAN(binaryCrossEntropy)

/* a − y log a, with 0 log 0 = 0;  1 − y / a */
static inline CR(term) CR(poisson)(V z, V a, V y)
{
  (void)z;
  const V one = CR(splat)(1);
  return (CR(term)){CR(select)(y == 0, a, a - y * CR(v_log)(a)), CR(select)(y == 0, one, one - y / a)};
}
MEAN(poisson)

/* max(0, 1 − y a);  −y where 1 − y a > 0 */
static inline CR(term) CR(hinge)(V z, V a, V y)
{
  (void)z;
  const V margin = 1 - y * a, zero = CR(splat)(0);
  return (CR(term)){CR(larger)(zero, margin), CR(select)(margin > 0, -y, zero)};
}
MEAN(hinge)
#undef SUM
#undef MEAN

/* a = softmax(z):  l = Σ yⱼ (log Σₖ e^(zₖ − m) − (zⱼ − m)), m = maxₖ zₖ;  ∂l/∂zⱼ = aⱼ Σₖ yₖ − yⱼ */
static R CR(loss_crossEntropy)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  const R max = CR(maximum)(n, z);
  R sum = 0, total = 0, loss = 0;
  for (size_t j = 0; j < n; j += LANES) {
    const V e = CR(v_exp)(CR(load)(&z[j]) - max);
    for (size_t i = 0; i < LANES && j + i < n; i++) sum += e[i];
  }
  const R log_sum = CR(v_log)(CR(splat)(sum))[0];
  for (size_t j = 0; j < n; j++) {
    loss += y[j] * (log_sum - (z[j] - max));
    total += y[j];
  }
  for (size_t j = 0; gradient && j < n; j++) gradient[j] = scale * (a[j] * total - y[j]);
  return loss;
}
