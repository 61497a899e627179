/* Losses: l of each row, and ∂l/∂a, with d = a − y.
 *
 * A loss is a term for each output and its derivative; their sum, or mean, is taken in the order of the outputs.
 * Vectors run along rows, so that a row has a lane to itself and its sum waits for no other.  The two
 * cross-entropies are fused with the output layer that they need: l and ∂l/∂z are computed from z, so that z = ±1000
 * gives finite numbers where log a would not.
 */

/* ∂l/∂a of an output, and its share of l. */
typedef V CR(term)(V z, V a, V y, V *l);

/* Adds the terms of n outputs of `pitch` rows to *sum; delta = scale × ∂l/∂a.  All in lanes, [n][pitch], and a vector of scale
 * and of sum for LANES rows; delta may be a. */
typedef void CR(terms)(size_t n, size_t pitch, const R *z, const R *a, const R *y, const V *scale, V *sum, R *delta);
static CR_INLINE void CR(add_terms)(CR(term) term, size_t n, size_t pitch, const R *z, const R *a,
                                    const R *y, const V *scale, V *sum, R *delta)
{
  for (size_t r = 0; r < pitch; r += LANES, scale++, sum++)
    for (size_t at = r; at < n * pitch; at += pitch) {
      V l;
      const V derivative = term(CR(load)(&z[at]), CR(load)(&a[at]), CR(load)(&y[at]), &l);
      *sum += l;
      CR(store)(&delta[at], *scale * derivative);
    }
}

#define TERMS(name)                                                                                        \
  static void CR(terms_##name)(size_t n, size_t pitch, const R *z, const R *a, const R *y, const V *scale, V *sum, \
                               R *delta)                                                                   \
  { CR(add_terms)(CR(name), n, pitch, z, a, y, scale, sum, delta); }

/* ½ d²,  d */
static inline V CR(halfSquaredError)(V z, V a, V y, V *l)
{
  (void)z;
  const V d = a - y;
  *l = (R)0.5 * d * d;
  return d;
}
TERMS(halfSquaredError)

/* d²,  2 d */
static inline V CR(meanSquaredError)(V z, V a, V y, V *l)
{
  (void)z;
  const V d = a - y;
  *l = d * d;
  return 2 * d;
}
TERMS(meanSquaredError)

/* |d|,  sign d, 0 at 0 */
static inline V CR(meanAbsoluteError)(V z, V a, V y, V *l)
{
  (void)z;
  const V d = a - y, one = CR(splat)(1), zero = CR(splat)(0);
  *l = CR(v_magnitude)(d);
  return CR(select)(d > 0, one, CR(select)(d < 0, -one, zero));
}
TERMS(meanAbsoluteError)

/* ½ d² where |d| < 1, else |d| − ½;  d, limited to ±1 (Huber 1964) */
static inline V CR(huber)(V z, V a, V y, V *l)
{
  (void)z;
  const V d = a - y, size = CR(v_magnitude)(d), one = CR(splat)(1);
  *l = CR(select)(size < 1, (R)0.5 * d * d, size - (R)0.5);
  return CR(larger)(-one, CR(smaller)(one, d));
}
TERMS(huber)

/* log cosh d,  tanh d */
static inline V CR(logCosh)(V z, V a, V y, V *l)
{
  (void)z;
  const V d = a - y;
  *l = CR(v_log_cosh)(d);
  return CR(v_tanh)(d);
}
TERMS(logCosh)

/* a = σ(z):  log(1 + e^z) − y z,  and by z: a − y */
static inline V CR(binaryCrossEntropy)(V z, V a, V y, V *l)
{
  *l = CR(v_softplus)(z) - y * z;
  return a - y;
}
TERMS(binaryCrossEntropy)

/* a − y log a, with 0 log 0 = 0;  1 − y / a */
static inline V CR(poisson)(V z, V a, V y, V *l)
{
  (void)z;
  const V one = CR(splat)(1);
  *l = CR(select)(y == 0, a, a - y * CR(v_log)(a));
  return CR(select)(y == 0, one, one - y / a);
}
TERMS(poisson)

/* max(0, 1 − s a), s = −1 where y = 0, else y;  −s where 1 − s a > 0 */
static inline V CR(hinge)(V z, V a, V y, V *l)
{
  (void)z;
  const V zero = CR(splat)(0), s = CR(select)(y == 0, CR(splat)(-1), y), margin = 1 - s * a;
  *l = CR(larger)(zero, margin);
  return CR(select)(margin > 0, -s, zero);
}
TERMS(hinge)
#undef TERMS

/* What a loss is computed of, and where it goes: the first LANES of so many rows.  Of z, a and delta, element j of row r is at
 * r stride + j step: rows, padded to whole vectors, or, step apart, lanes; y has n a row, or lies as they do. */
typedef struct CR(outputs) {
  size_t rows, n;
  const R *z, *a, *y;
  size_t stride, step;
  R *delta; /* NULL: not asked for */
} CR(outputs);

static CR_INLINE void CR(targets)(const CR(outputs) *o, size_t j, size_t count, V *y)
{
  if (o->step == 1) CR(turn_tight)(o->rows, o->n, o->y, j, y);
  else CR(columns)(o->rows, &o->y[j * o->step], o->stride, o->step, count, y);
}

/* a = softmax(z):  l = Σ yⱼ (log Σₖ e^(zₖ − m) − (zⱼ − m)), m = maxₖ zₖ;  ∂l/∂zⱼ = aⱼ Σₖ yₖ − yⱼ.
 * The sum of the exponentials is 1 / maxₖ aₖ. */
static CR_CALLED V CR(crossEntropy)(const CR(outputs) *o, V scale)
{
  V z[VECTOR_BYTES / sizeof(R)], a[VECTOR_BYTES / sizeof(R)], y[VECTOR_BYTES / sizeof(R)];
  V most = CR(splat)(-REAL_MAX), largest = {0}, total = {0}, loss = {0};
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j), at = j * o->step;
    CR(columns)(o->rows, &o->z[at], o->stride, o->step, count, z);
    CR(columns)(o->rows, &o->a[at], o->stride, o->step, count, a);
    CR(targets)(o, j, count, y);
    CR_ROLLED for (size_t i = 0; i < count; i++) {
      most = CR(larger)(z[i], most);
      largest = CR(larger)(largest, a[i]);
      total += y[i];
    }
  }
  const V log_sum = -CR(v_log)(largest);
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j), at = j * o->step;
    if (o->n > LANES) {
      CR(columns)(o->rows, &o->z[at], o->stride, o->step, count, z);
      CR(columns)(o->rows, &o->a[at], o->stride, o->step, count, a);
      CR(targets)(o, j, count, y);
    }
    CR_ROLLED for (size_t i = 0; i < count; i++) {
      loss += y[i] * (log_sum - (z[i] - most));
      a[i] = scale * (a[i] * total - y[i]);
    }
    if (o->delta) CR(put_columns)(o->rows, a, &o->delta[at], o->stride, o->step, count);
  }
  return loss;
}

/*                                    what adds the terms,           of z,  their mean */
#define SUM_HALF_SQUARED_ERROR       {CR(terms_halfSquaredError),   false, false}
#define SUM_MEAN_SQUARED_ERROR       {CR(terms_meanSquaredError),   false, true}
#define SUM_MEAN_ABSOLUTE_ERROR      {CR(terms_meanAbsoluteError),  false, true}
#define SUM_HUBER                    {CR(terms_huber),              false, true}
#define SUM_LOG_COSH                 {CR(terms_logCosh),            false, true}
#define SUM_BINARY_CROSS_ENTROPY     {CR(terms_binaryCrossEntropy), true,  true}
#define SUM_CROSS_ENTROPY            {NULL,                         true,  false} /* by crossEntropy */
#define SUM_POISSON                  {CR(terms_poisson),            false, true}
#define SUM_HINGE                    {CR(terms_hinge),              false, true}

/* One of each row of the catalogue: a loss without a sum does not compile. */
static const struct {
  CR(terms) *add;
  bool of_z, mean;
} CR(terms_of)[] = {
#define ROW(ID, ...) [CHAINRULE_LOSS_##ID] = SUM_##ID,
    CHAINRULE_LOSSES(ROW)
#undef ROW
};

/* Rows are turned, LANES by LANES, for the terms of their outputs. */
static CR_CALLED V CR(sum_terms)(CR(terms) *add, bool of_z, const CR(outputs) *o, V scale)
{
  V sum = {0};
  for (size_t j = 0; j < o->n; j += LANES) {
    const size_t count = CR(least)(o->n - j);
    V z[VECTOR_BYTES / sizeof(R)], a[VECTOR_BYTES / sizeof(R)], y[VECTOR_BYTES / sizeof(R)];
    CR(turn)(o->rows, &o->a[j], o->stride, a);
    if (of_z) CR(turn)(o->rows, &o->z[j], o->stride, z);
    CR(turn_tight)(o->rows, o->n, o->y, j, y);
    add(count, LANES, (R *)(of_z ? z : a), (R *)a, (R *)y, &scale, &sum, (R *)a);
    if (o->delta) CR(turn_back)(o->rows, a, &o->delta[j], o->stride, count);
  }
  return sum;
}

/* wᵣ / total, of the first LANES of so many rows */
static CR_CALLED V CR(shares)(size_t rows, const R *weights, double total)
{
  if (!weights) return CR(splat)(total > 0 ? (R)(1 / total) : 0);
  V share = {0};
  for (size_t i = 0; i < LANES && i < rows; i++) share[i] = total > 0 ? (R)((double)weights[i] / total) : 0;
  return share;
}

/* wᵣ lᵣ / parts of them */
static CR_CALLED void CR(put_losses)(size_t rows, const R *weights, const V *l, V parts, double *losses)
{
  typedef double doubles __attribute__((vector_size(VECTOR_BYTES / sizeof(R) * sizeof(double))));
  for (size_t r = 0; r < rows; r += LANES) {
    const V mean = l[r / LANES] / parts;
    if (!weights && rows - r >= LANES) {
      const doubles wide = __builtin_convertvector(mean, doubles);
      __builtin_memcpy(&losses[r], &wide, sizeof wide);
      continue;
    }
    for (size_t i = 0; i < LANES && r + i < rows; i++)
      losses[r + i] = weights ? (double)weights[r + i] * (double)mean[i] : (double)mean[i];
  }
}

static void CR(loss)(chainrule_loss loss, size_t rows, size_t n, const R *z, const R *a, size_t stride, const R *y,
                     const R *weights, double total, R *delta, double *losses)
{
  CR(terms) *const add = CR(terms_of)[loss].add;
  const V parts = CR(splat)(CR(terms_of)[loss].mean ? (R)n : 1);
  for (size_t r = 0; r < rows; r += LANES) {
    const CR(outputs) o = {.rows = rows - r, .n = n, .z = &z[r * stride], .a = &a[r * stride], .y = &y[r * n],
                           .stride = stride, .step = 1, .delta = delta ? &delta[r * stride] : NULL};
    const V scale = CR(shares)(rows - r, weights ? &weights[r] : NULL, total) / parts;
    const V l = add ? CR(sum_terms)(add, CR(terms_of)[loss].of_z, &o, scale) : CR(crossEntropy)(&o, scale);
    CR(put_losses)(CR(least)(rows - r), weights ? &weights[r] : NULL, &l, parts, &losses[r]);
  }
}
