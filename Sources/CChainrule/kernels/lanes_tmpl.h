/* A dense layer for LANES rows of a batch at once, a row a lane: x, z, a and δ lie as [units][LANES].
 *
 * Made for networks so narrow that their rows would not fill a vector.  The sums are those of gemm_tmpl.h, term by term
 * and in the same order, and so are the bits.
 */

/* The first LANES of `rows` rows of x [rows][n] into lanes; what is not there is 0. */
static void CR(lanes_load)(size_t rows, size_t n, const R *x, R *to)
{
  for (size_t j = 0; j < n; j += LANES) {
    V v[VECTOR_BYTES / sizeof(R)];
    CR(turn_tight)(rows, n, x, j, v);
    for (size_t i = 0; i < LANES && j + i < n; i++) CR(store)(&to[(j + i) * LANES], v[i]);
  }
}

/* Four sums, or one, at once, so that no multiplier waits: sum k is of terms t = 0 … n − 1 by the factors
 * w[t / group × group_step + t % group × step + k × next]. */
static CR_INLINE void CR(lanes_sums)(const size_t count, size_t n, const R *terms, const R *w, size_t group,
                                     size_t group_step, size_t step, size_t next, const R *start, R *to)
{
  V sum[4];
  CR_UNROLL for (size_t k = 0; k < count; k++) sum[k] = start ? CR(splat)(start[k]) : (V){0};
  for (size_t begin = 0; begin < n; begin += group, w += group_step) {
    const size_t end = n - begin < group ? n - begin : group;
    const R *factor = w;
    for (size_t t = 0; t < end; t++, factor += step, terms += LANES) {
      const V term = CR(load)(terms);
      CR_UNROLL for (size_t k = 0; k < count; k++) sum[k] = CR(fma)(CR(splat)(factor[k * next]), term, sum[k]);
    }
  }
  CR_UNROLL for (size_t k = 0; k < count; k++) CR(store)(&to[k * LANES], sum[k]);
}

/* zⱼ = bⱼ + Σᵢ Wⱼᵢ xᵢ */
static void CR(lanes_affine)(size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z)
{
  const size_t width = 2 * LANES; /* a multiple of 4 */
  size_t j = 0;
  for (; j + 4 <= out; j += 4)
    CR(lanes_sums)(4, in, x, &weights[cr_weight_offset(width, in, j, 0)], in, 0, width, 1, bias ? &bias[j] : NULL,
                   &z[j * LANES]);
  for (; j < out; j++)
    CR(lanes_sums)(1, in, x, &weights[cr_weight_offset(width, in, j, 0)], in, 0, width, 1, bias ? &bias[j] : NULL,
                   &z[j * LANES]);
}

/* ∂L/∂xᵢ = Σⱼ δⱼ Wⱼᵢ */
static void CR(lanes_transpose)(size_t in, size_t out, const R *delta, const R *weights, R *dx)
{
  const size_t width = 2 * LANES;
  size_t i = 0;
  for (; i + 4 <= in; i += 4)
    CR(lanes_sums)(4, out, delta, &weights[i * width], width, in * width, 1, width, NULL, &dx[i * LANES]);
  for (; i < in; i++)
    CR(lanes_sums)(1, out, delta, &weights[i * width], width, in * width, 1, width, NULL, &dx[i * LANES]);
}

/* ∂L/∂W += δᵀ x, ∂L/∂b += δᵀ 1, of the rows that are there, in their order; bias may be NULL. */
static void CR(lanes_gradient)(size_t rows, size_t in, size_t out, const R *x, const R *delta, R *weights, R *bias)
{
  const size_t width = 2 * LANES;
  if (rows > LANES) rows = LANES;
  for (size_t j = 0; j < out; j += LANES) {
    V d[VECTOR_BYTES / sizeof(R)]; /* row r of δ */
    CR_UNROLL for (size_t k = 0; k < LANES; k++) d[k] = j + k < out ? CR(load)(&delta[(j + k) * LANES]) : (V){0};
    CR(transpose)(d);
    R *to = &weights[cr_weight_offset(width, in, j, 0)];
    for (size_t i = 0; i < in; i++, to += width) {
      V sum = CR(load)(to);
      if (rows == LANES)
        CR_UNROLL for (size_t r = 0; r < LANES; r++) sum = CR(fma)(CR(splat)(x[i * LANES + r]), d[r], sum);
      else
        for (size_t r = 0; r < rows; r++) sum = CR(fma)(CR(splat)(x[i * LANES + r]), d[r], sum);
      CR(store)(to, sum);
    }
    if (!bias) continue;
    V sum = CR(load)(&bias[j]);
    for (size_t r = 0; r < rows; r++) sum += d[r];
    CR(store)(&bias[j], sum);
  }
}
