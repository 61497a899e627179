/* Kernels of the other layers: normalisation, scaling, dropout, residual.  Kernels on gradients and weights:
 * clip, limit, axpy, squares, within.
 *
 *     z = (x − μ) / √(σ² + ε)        a = γ z + β
 *
 * In a batchNorm μ and σ² are those of a column, over the n rows of a batch (Ioffe & Szegedy 2015); in a
 * layerNorm those of a row, over its n columns (Ba, Kiros & Hinton 2016).  μ and σ² depend on every x, so
 * that in both, with g = γ ∂L/∂a,
 *
 *     ∂L/∂x = (g − Σ g / n − z Σ g z / n) / √(σ² + ε)
 *
 * If μ and σ² are given, as in prediction, the two sums are absent.  For sums over rows, a vector holds LANES
 * columns of one row; for sums along a row, it holds one column of LANES rows.  Each sum adds its terms in
 * order.  Rows are padded to whole vectors.
 */

/* μ, σ² and 1 / √(σ² + ε) of n columns, over all rows */
static void CR(moments)(size_t rows, size_t n, const R *x, size_t stride, double epsilon, R *mean, R *variance,
                        R *inverse)
{
  for (size_t j = 0; j < n; j += LANES) {
    V sum = {0}, squares = {0};
    for (size_t r = 0; r < rows; r++) sum += CR(load)(&x[r * stride + j]);
    const V mu = sum / (R)rows;
    for (size_t r = 0; r < rows; r++) {
      const V d = CR(load)(&x[r * stride + j]) - mu;
      squares = CR(fma)(d, d, squares);
    }
    CR(store)(&mean[j], mu);
    CR(store)(&variance[j], squares / (R)rows);
    CR(store)(&inverse[j], 1 / CR(root)(squares / (R)rows + (R)epsilon));
  }
}

/* Updates the running statistics with those of a batch of n rows: μ ← μ + m (μ_batch − μ), and σ² likewise
 * with the unbiased estimate n / (n − 1) σ²_batch; m is the momentum.  A single row has no variance, and
 * changes nothing. */
static void CR(update_statistics)(size_t rows, size_t n, double momentum, double epsilon, const R *batch_mean,
                                  const R *batch_variance, R *mean, R *variance, R *inverse)
{
  if (rows < 2) return;
  const V m = CR(splat)((R)momentum), unbiased = CR(splat)((R)rows / (R)(rows - 1));
  for (size_t j = 0; j < n; j += LANES) {
    const V mu = CR(load)(&mean[j]), s = CR(load)(&variance[j]);
    const V next = CR(fma)(m, unbiased * CR(load)(&batch_variance[j]) - s, s);
    CR(store)(&mean[j], CR(fma)(m, CR(load)(&batch_mean[j]) - mu, mu));
    CR(store)(&variance[j], next);
    CR(store)(&inverse[j], 1 / CR(root)(next + (R)epsilon));
  }
}

/* z = (x − μ) inverse, a = γ z + β, column by column; γ NULL: a = (x − μ) inverse, and z is not written */
static void CR(normalize)(size_t rows, size_t n, const R *x, size_t stride, const R *mean, const R *inverse,
                          const R *gamma, const R *beta, R *z, R *a)
{
  for (size_t r = 0; r < rows; r++, x += stride, z += stride, a += stride)
    for (size_t j = 0; j < n; j += LANES) {
      const V s = (CR(load)(&x[j]) - CR(load)(&mean[j])) * CR(load)(&inverse[j]);
      if (gamma) CR(store)(&z[j], s);
      CR(store)(&a[j], gamma ? CR(fma)(CR(load)(&gamma[j]), s, CR(load)(&beta[j])) : s);
    }
}

/* The same with the μ and σ² of each row, whose inverse it also computes; inverse [rows + a vector] */
static void CR(normalize_rows)(size_t rows, size_t n, const R *x, size_t stride, double epsilon, const R *gamma,
                               const R *beta, R *z, R *a, R *inverse)
{
  for (size_t r = 0; r < rows; r += LANES) {
    const size_t left = rows - r, at = r * stride;
    V v[VECTOR_BYTES / sizeof(R)], sum = {0}, squares = {0};
    for (size_t j = 0; j < n; j += LANES) {
      CR(turn)(left, &x[at + j], stride, v);
      for (size_t i = 0; i < CR(least)(n - j); i++) sum += v[i];
    }
    const V mu = sum / (R)n;
    for (size_t j = 0; j < n; j += LANES) {
      CR(turn)(left, &x[at + j], stride, v);
      for (size_t i = 0; i < CR(least)(n - j); i++) squares = CR(fma)(v[i] - mu, v[i] - mu, squares);
    }
    const V s = 1 / CR(root)(squares / (R)n + (R)epsilon);
    CR(store)(&inverse[r], s);
    for (size_t j = 0; j < n; j += LANES) {
      const size_t count = CR(least)(n - j);
      CR(turn)(left, &x[at + j], stride, v);
      for (size_t i = 0; i < count; i++) v[i] = (v[i] - mu) * s;
      CR(turn_back)(left, v, &z[at + j], stride, count);
    }
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < n; j += LANES)
      CR(store)(&a[r * stride + j],
                CR(fma)(CR(load)(&gamma[j]), CR(load)(&z[r * stride + j]), CR(load)(&beta[j])));
}

/* ∂L/∂γ = Σᵣ δ z, ∂L/∂β = Σᵣ δ, where δ = ∂L/∂a */
static void CR(norm_gradient)(size_t rows, size_t n, const R *z, const R *delta, size_t stride, R *gamma, R *beta)
{
  for (size_t j = 0; j < n; j += LANES) {
    V products = {0}, sum = {0};
    for (size_t r = 0; r < rows; r++) {
      const V d = CR(load)(&delta[r * stride + j]);
      products = CR(fma)(d, CR(load)(&z[r * stride + j]), products);
      sum += d;
    }
    CR(store)(&gamma[j], products);
    CR(store)(&beta[j], sum);
  }
}

/* ∂L/∂x = (γ δ − (∂L/∂β + z ∂L/∂γ) γ / n) inverse of some rows of a batch of n rows.  ∂L/∂γ NULL: μ and σ²
 * are given, so that ∂L/∂x = γ δ inverse.  γ NULL: it is 1. */
static void CR(normalize_transpose)(size_t rows, size_t n, size_t batch_rows, const R *z, const R *delta,
                                    size_t stride, const R *gamma, const R *inverse, const R *gamma_gradient,
                                    const R *beta_gradient, R *dx)
{
  for (size_t r = 0; r < rows; r++, z += stride, delta += stride, dx += stride)
    for (size_t j = 0; j < n; j += LANES) {
      V d = CR(load)(&delta[j]);
      if (gamma_gradient)
        d = d - (CR(load)(&beta_gradient[j]) + CR(load)(&z[j]) * CR(load)(&gamma_gradient[j])) / (R)batch_rows;
      if (gamma) d = d * CR(load)(&gamma[j]);
      CR(store)(&dx[j], d * CR(load)(&inverse[j]));
    }
}

/* ∂L/∂x = (g − mean(g) − z mean(g z)) inverse, with g = γ δ and means over the columns of a row */
static void CR(normalize_rows_transpose)(size_t rows, size_t n, const R *z, const R *delta, size_t stride,
                                         const R *gamma, const R *inverse, R *dx)
{
  for (size_t r = 0; r < rows; r += LANES) {
    const size_t left = rows - r, at = r * stride;
    V g[VECTOR_BYTES / sizeof(R)], v[VECTOR_BYTES / sizeof(R)], sum = {0}, products = {0};
    for (size_t j = 0; j < n; j += LANES) {
      CR(turn)(left, &delta[at + j], stride, g);
      CR(turn)(left, &z[at + j], stride, v);
      for (size_t i = 0; i < CR(least)(n - j); i++) {
        g[i] = g[i] * gamma[j + i];
        sum += g[i];
        products = CR(fma)(g[i], v[i], products);
      }
    }
    const V mean = sum / (R)n, slope = products / (R)n, s = CR(load)(&inverse[r]);
    for (size_t j = 0; j < n; j += LANES) {
      const size_t count = CR(least)(n - j);
      CR(turn)(left, &delta[at + j], stride, g);
      CR(turn)(left, &z[at + j], stride, v);
      for (size_t i = 0; i < count; i++) g[i] = (g[i] * gamma[j + i] - mean - v[i] * slope) * s;
      CR(turn_back)(left, g, &dx[at + j], stride, count);
    }
  }
}

/* a = 0 with probability p = rate, else x / (1 − p) (Srivastava et al. 2014).  The choice is a hash of the
 * key, the row and the column (after Wellons' lowbias32).  So it is the same in every thread, and the
 * backward pass repeats it. */
typedef uint32_t CR(words) __attribute__((vector_size(VECTOR_BYTES / sizeof(R) * sizeof(uint32_t))));

static void CR(dropout)(size_t rows, size_t n, const R *x, size_t stride, uint64_t key, size_t first, double rate,
                        R *a)
{
  const V scale = CR(splat)((R)(1 / (1 - rate)));
  const uint32_t threshold = (uint32_t)(rate * 4294967296.0);
  CR(words) lane;
  for (size_t i = 0; i < LANES; i++) lane[i] = (uint32_t)i;
  for (size_t r = 0; r < rows; r++, x += stride, a += stride) {
    const uint64_t row = cr_mix(key + (first + r) * 0x9e3779b97f4a7c15u);
    for (size_t j = 0; j < n; j += LANES) {
      CR(words) word = (lane + (uint32_t)j) * 0x9e3779b9u + (uint32_t)row;
      word = (word ^ word >> 16) * 0x7feb352du;
      word = ((word ^ word >> 15) + (uint32_t)(row >> 32)) * 0x846ca68bu;
      word ^= word >> 16;
      const IV kept = __builtin_convertvector(word >= threshold, IV);
      CR(store)(&a[j], CR(select)(kept, CR(load)(&x[j]) * scale, (V){0}));
    }
  }
}

/* to = x + y, n of them, whole vectors; to may be either */
static void CR(add)(size_t n, const R *x, const R *y, R *to)
{
  for (size_t j = 0; j < n; j += LANES) CR(store)(&to[j], CR(load)(&x[j]) + CR(load)(&y[j]));
}

/* Σᵣ xᵣⱼ² of n columns, in the order of the rows */
static void CR(squares)(size_t rows, size_t n, const R *x, size_t stride, R *sums)
{
  for (size_t j = 0; j < n; j += LANES) {
    V sum = {0};
    for (size_t r = 0; r < rows; r++) {
      const V v = CR(load)(&x[r * stride + j]);
      sum = CR(fma)(v, v, sum);
    }
    CR(store)(&sums[j], sum);
  }
}

/* Scales each column whose norm √Σᵣ x² is above `most` down to that norm. */
static void CR(limit)(size_t rows, size_t n, R *x, size_t stride, double most)
{
  for (size_t j = 0; j < n; j += LANES) {
    V sum = {0};
    for (size_t r = 0; r < rows; r++) {
      const V v = CR(load)(&x[r * stride + j]);
      sum = CR(fma)(v, v, sum);
    }
    const V norm = CR(root)(sum), factor = CR(select)(norm > (R)most, (R)most / norm, CR(splat)(1));
    for (size_t r = 0; r < rows; r++) CR(store)(&x[r * stride + j], CR(load)(&x[r * stride + j]) * factor);
  }
}

/* to = g × scale, limited to ±bound */
static void CR(clip)(size_t n, const R *g, double scale, double bound, R *to)
{
  const V least = CR(splat)((R)-bound), most = CR(splat)((R)bound);
  for (size_t i = 0; i < n; i += LANES) {
    const V v = CR(load)(&g[i]) * (R)scale;
    CR(store)(&to[i], CR(select)(v > most, most, CR(select)(v < least, least, v)));
  }
}

/* sum ← sum + weight × g */
static void CR(axpy)(size_t n, const R *g, double weight, R *sum)
{
  const V w = CR(splat)((R)weight);
  for (size_t i = 0; i < n; i += LANES) CR(store)(&sum[i], CR(fma)(w, CR(load)(&g[i]), CR(load)(&sum[i])));
}

/* Whether low ≤ x ≤ high for all values; false if one is NaN */
static bool CR(within)(size_t n, const R *values, R low, R high)
{
  IV good = (IV){0} == (IV){0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    const V x = CR(load)(&values[i]);
    good &= (x >= low) & (x <= high);
  }
  bool all = true;
  for (size_t lane = 0; lane < LANES; lane++) all &= good[lane] != 0;
  for (; i < n; i++) all &= values[i] >= low && values[i] <= high;
  return all;
}
