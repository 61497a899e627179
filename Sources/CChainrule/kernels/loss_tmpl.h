/* Losses: l of each row, and ∂l/∂a, with d = a − y.
 *
 * A loss is a term for each output and its derivative; their sum, or mean, is taken in the order of the outputs.
 * Vectors run along rows, so that a row has a lane to itself and its sum waits for no other.  The two
 * cross-entropies are fused with the output layer that they need: l and ∂l/∂z are computed from z, so that z = ±1000
 * gives finite numbers where log a would not.
 */

typedef struct CR(term) {
  V value, derivative;
} CR(term);

/* What a loss is computed of, and where it goes: the first LANES of so many rows. */
typedef struct CR(outputs) {
  size_t rows, n;
  const R *z, *a, *y;
  size_t stride;      /* of z, a and delta, padded to whole vectors, or 0: [n][LANES]; y has n a row */
  R *delta;           /* NULL: not asked for */
} CR(outputs);

/* Adds the terms of `count` outputs to *sum; a becomes scale × ∂l/∂a. */
typedef void CR(terms)(size_t count, const V *z, V *a, const V *y, V scale, V *sum);
static CR_INLINE void CR(add_terms)(CR(term) term(V z, V a, V y), size_t count, const V *z, V *a, const V *y, V scale,
                                    V *sum)
{
  for (size_t i = 0; i < count; i++) {
    const CR(term) t = term(z[i], a[i], y[i]);
    *sum += t.value;
    a[i] = scale * t.derivative;
  }
}

/* scale × ∂l/∂a into delta; returns Σ of the terms. */
static CR_CALLED V CR(sum_terms)(CR(terms) *terms, bool of_z, const CR(outputs) *o, V scale)
{
  V sum = {0};
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j), at = CR(column)(o->stride, j);
    V z[VECTOR_BYTES / sizeof(R)], a[VECTOR_BYTES / sizeof(R)], y[VECTOR_BYTES / sizeof(R)];
    CR(columns)(o->rows, &o->a[at], o->stride, count, a);
    if (of_z) CR(columns)(o->rows, &o->z[at], o->stride, count, z);
    CR(turn_tight)(o->rows, o->n, o->y, j, y);
    terms(count, of_z ? z : a, a, y, scale, &sum);
    if (o->delta) CR(put_columns)(o->rows, a, &o->delta[at], o->stride, count);
  }
  return sum;
}

/* losses[r] = wᵣ lᵣ, and δ for L = Σ wᵣ lᵣ / total, with `loss` for LANES rows at a time */
static CR_CALLED void CR(lose)(V loss(const CR(outputs) *o, V scale), size_t rows, size_t n, const R *z, const R *a,
                               size_t stride, const R *y, const R *weights, double total, R *delta, double *losses)
{
  for (size_t r = 0; r < rows; r += LANES) {
    const CR(outputs) o = {.rows = rows - r, .n = n, .z = &z[r * stride], .a = &a[r * stride], .y = &y[r * n],
                           .stride = stride, .delta = delta ? &delta[r * stride] : NULL};
    V scale = CR(splat)(total > 0 ? (R)(1 / total) : 0);
    for (size_t i = 0; weights && i < LANES; i++)
      scale[i] = i < o.rows && total > 0 ? (R)((double)weights[r + i] / total) : 0;
    const V l = loss(&o, scale);
    for (size_t i = 0; i < LANES && i < o.rows; i++)
      losses[r + i] = weights ? (double)weights[r + i] * (double)l[i] : (double)l[i];
  }
}

/* One row, its outputs in lanes. */
static CR_INLINE R CR(row_terms)(CR(term) term(V z, V a, V y), size_t n, const R *z, const R *a, const R *y, R scale,
                                 R *delta)
{
  R sum = 0;
  for (size_t j = 0; j < n; j += LANES) {
    const size_t count = CR(least)(n - j);
    const CR(term) t = term(CR(load)(&z[j]), CR(load)(&a[j]), CR(load_first)(count, &y[j]));
    for (size_t i = 0; i < count; i++) sum += t.value[i];
    CR(store)(&delta[j], CR(first)(count, CR(splat)(scale) * t.derivative));
  }
  return sum;
}

#define KERNEL(name)                                                                                       \
  static void CR(loss_##name)(size_t rows, size_t n, const R *z, const R *a, size_t stride, const R *y,    \
                              const R *weights, double total, R *delta, double *losses)                    \
  { CR(lose)(CR(rows_##name), rows, n, z, a, stride, y, weights, total, delta, losses); }

#define TERMS(name)                                                                                        \
  static void CR(terms_##name)(size_t count, const V *z, V *a, const V *y, V scale, V *sum)                \
  { CR(add_terms)(CR(name), count, z, a, y, scale, sum); }

/* l = Σ, or 1/n Σ, of a term */
#define SUM(name, of_z)                                                                                    \
  TERMS(name)                                                                                              \
  static V CR(rows_##name)(const CR(outputs) *o, V scale)                                                  \
  { return CR(sum_terms)(CR(terms_##name), of_z, o, scale); }                                              \
  static CR_INLINE R CR(row_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *delta)            \
  { return CR(row_terms)(CR(name), n, z, a, y, scale, delta); }                                            \
  KERNEL(name)
#define MEAN(name, of_z)                                                                                   \
  TERMS(name)                                                                                              \
  static V CR(rows_##name)(const CR(outputs) *o, V scale)                                                  \
  { return CR(sum_terms)(CR(terms_##name), of_z, o, scale / (R)o->n) / (R)o->n; }                          \
  static CR_INLINE R CR(row_##name)(size_t n, const R *z, const R *a, const R *y, R scale, R *delta)            \
  { return CR(row_terms)(CR(name), n, z, a, y, scale / (R)n, delta) / (R)n; }                              \
  KERNEL(name)

/* ½ d²,  d */
static inline CR(term) CR(halfSquaredError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){(R)0.5 * d * d, d};
}
SUM(halfSquaredError, false)

/* d²,  2 d */
static inline CR(term) CR(meanSquaredError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){d * d, 2 * d};
}
MEAN(meanSquaredError, false)

/* |d|,  sign d, 0 at 0 */
static inline CR(term) CR(meanAbsoluteError)(V z, V a, V y)
{
  (void)z;
  const V d = a - y, one = CR(splat)(1), zero = CR(splat)(0);
  return (CR(term)){CR(v_magnitude)(d), CR(select)(d > 0, one, CR(select)(d < 0, -one, zero))};
}
MEAN(meanAbsoluteError, false)

/* ½ d² where |d| < 1, else |d| − ½;  d, limited to ±1 (Huber 1964) */
static inline CR(term) CR(huber)(V z, V a, V y)
{
  (void)z;
  const V d = a - y, size = CR(v_magnitude)(d), one = CR(splat)(1);
  return (CR(term)){CR(select)(size < 1, (R)0.5 * d * d, size - (R)0.5), CR(larger)(-one, CR(smaller)(one, d))};
}
MEAN(huber, false)

/* log cosh d,  tanh d */
static inline CR(term) CR(logCosh)(V z, V a, V y)
{
  (void)z;
  const V d = a - y;
  return (CR(term)){CR(v_log_cosh)(d), CR(v_tanh)(d)};
}
MEAN(logCosh, false)

/* a = σ(z):  log(1 + e^z) − y z,  and by z: a − y */
static inline CR(term) CR(binaryCrossEntropy)(V z, V a, V y)
{
  return (CR(term)){CR(v_softplus)(z) - y * z, a - y};
}
MEAN(binaryCrossEntropy, true)

/* a − y log a, with 0 log 0 = 0;  1 − y / a */
static inline CR(term) CR(poisson)(V z, V a, V y)
{
  (void)z;
  const V one = CR(splat)(1);
  return (CR(term)){CR(select)(y == 0, a, a - y * CR(v_log)(a)), CR(select)(y == 0, one, one - y / a)};
}
MEAN(poisson, false)

/* max(0, 1 − y a);  −y where 1 − y a > 0 */
static inline CR(term) CR(hinge)(V z, V a, V y)
{
  (void)z;
  const V margin = 1 - y * a, zero = CR(splat)(0);
  return (CR(term)){CR(larger)(zero, margin), CR(select)(margin > 0, -y, zero)};
}
MEAN(hinge, false)
#undef TERMS
#undef SUM
#undef MEAN

/* a = softmax(z):  l = Σ yⱼ (log Σₖ e^(zₖ − m) − (zⱼ − m)), m = maxₖ zₖ;  ∂l/∂zⱼ = aⱼ Σₖ yₖ − yⱼ.
 * The sum of the exponentials is 1 / maxₖ aₖ. */
static V CR(rows_crossEntropy)(const CR(outputs) *o, V scale)
{
  V z[VECTOR_BYTES / sizeof(R)], a[VECTOR_BYTES / sizeof(R)], y[VECTOR_BYTES / sizeof(R)];
  V most = CR(splat)(-REAL_MAX), largest = {0}, total = {0}, loss = {0};
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j), at = CR(column)(o->stride, j);
    CR(columns)(o->rows, &o->z[at], o->stride, count, z);
    CR(columns)(o->rows, &o->a[at], o->stride, count, a);
    CR(turn_tight)(o->rows, o->n, o->y, j, y);
    for (size_t i = 0; i < count; i++) {
      most = CR(larger)(z[i], most);
      largest = CR(larger)(largest, a[i]);
      total += y[i];
    }
  }
  const V log_sum = -CR(v_log)(largest);
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j), at = CR(column)(o->stride, j);
    if (o->n > LANES) {
      CR(columns)(o->rows, &o->z[at], o->stride, count, z);
      CR(columns)(o->rows, &o->a[at], o->stride, count, a);
      CR(turn_tight)(o->rows, o->n, o->y, j, y);
    }
    for (size_t i = 0; i < count; i++) {
      loss += y[i] * (log_sum - (z[i] - most));
      a[i] = scale * (a[i] * total - y[i]);
    }
    if (o->delta) CR(put_columns)(o->rows, a, &o->delta[at], o->stride, count);
  }
  return loss;
}
KERNEL(crossEntropy)
#undef KERNEL

static CR_INLINE R CR(row_crossEntropy)(size_t n, const R *z, const R *a, const R *y, R scale, R *delta)
{
  const CR(outputs) o = {.rows = 1, .n = n, .z = z, .a = a, .y = y, .stride = n, .delta = delta};
  return CR(rows_crossEntropy)(&o, CR(splat)(scale))[0];
}
