/* A dense layer for a strip of a batch, a row a lane: x, z, a, y and δ lie as [units][pitch], where pitch is the strip's rows
 * rounded up to whole vectors, CR_STRIP_VECTORS at most.
 *
 * Made for networks so narrow that their rows would not fill a vector.  The sums are those of gemm_tmpl.h, term by term
 * and in the same order, and so are the bits.
 */

/* x [rows][n] into lanes; rows that are not there are 0. */
static void CR(lanes_load)(size_t rows, size_t n, const R *x, size_t pitch, R *to)
{
  size_t r = 0;
  const size_t whole = rows / LANES * LANES;
  for (; n == 1 && r < whole; r += LANES) CR(store)(&to[r], CR(load)(&x[r]));
  for (; n == 2 && r < whole; r += LANES) {
    V a, b;
    CR(unzip)(&x[2 * r], &a, &b);
    CR(store)(&to[r], a);
    CR(store)(&to[pitch + r], b);
  }
  for (; r < pitch; r += LANES)
    for (size_t j = 0; j < n; j += LANES) {
      V v[VECTOR_BYTES / sizeof(R)];
      CR(turn_tight)(rows - r, n, &x[r * n], j, v);
      CR_ROLLED for (size_t i = 0; i < CR(least)(n - j); i++) CR(store)(&to[(j + i) * pitch + r], v[i]);
    }
}

/* to[u][·] = startᵤ + Σₜ wᵤₜ terms[t][·], where wᵤₜ is w[u unit_step + t step]; with start NULL from 0, or, if it `continues`,
 * from what is there. */
typedef struct CR(lanes) {
  size_t units, pitch, n;
  const R *terms, *w;
  size_t unit_step, step;
  const R *start;
  R *to;
  bool continues;
} CR(lanes);

/* `count` units, from u on, of so many vectors of rows, from r on: as many chains as keep the multipliers busy. */
#define TILE(count, vectors)                                                                               \
  static CR_CALLED void CR(lanes_tile_##count##_##vectors)(const CR(lanes) *o, size_t u, size_t r)         \
  { CR(lanes_tile)(count, vectors, o, u, r); }
static CR_INLINE void CR(lanes_tile)(const size_t count, const size_t vectors, const CR(lanes) *o, size_t u, size_t r)
{
  const size_t pitch = o->pitch, unit_step = o->unit_step, step = o->step;
  const R *terms = o->terms + r, *w = o->w + u * unit_step, *start = o->start;
  R *to = o->to + u * pitch + r;
  V sum[4][CR_STRIP_VECTORS];
  CR_UNROLL for (size_t k = 0; k < count; k++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++)
      sum[k][v] = o->continues ? CR(load)(&to[k * pitch + v * LANES]) : start ? CR(splat)(start[u + k]) : (V){0};
  CR_ROLLED for (size_t t = o->n; t > 0; t--, w += step, terms += pitch) {
    V term[CR_STRIP_VECTORS];
    CR_UNROLL for (size_t v = 0; v < vectors; v++) term[v] = CR(load)(terms + v * LANES);
    CR_UNROLL for (size_t k = 0; k < count; k++)
      CR_UNROLL for (size_t v = 0; v < vectors; v++)
        sum[k][v] = CR(fma)(CR(splat)(w[k * unit_step]), term[v], sum[k][v]);
  }
  CR_UNROLL for (size_t k = 0; k < count; k++, to += pitch)
    CR_UNROLL for (size_t v = 0; v < vectors; v++) CR(store)(&to[v * LANES], sum[k][v]);
}
TILE(1, 1) TILE(4, 1) TILE(1, 2) TILE(2, 2) TILE(4, 2) TILE(1, 4) TILE(2, 4)
#undef TILE

static CR_CALLED void CR(lanes_sums)(const CR(lanes) *o)
{
  typedef void tile(const CR(lanes) *o, size_t u, size_t r);
  static tile *const tiles[3][3] = {{CR(lanes_tile_1_1), NULL, CR(lanes_tile_4_1)},
                                    {CR(lanes_tile_1_2), CR(lanes_tile_2_2), CR(lanes_tile_4_2)},
                                    {CR(lanes_tile_1_4), CR(lanes_tile_2_4), NULL}};
  for (size_t r = 0, kind; r < o->pitch; r += LANES << kind) {
    const size_t vectors = (o->pitch - r) / LANES;
    kind = vectors >= 4 ? 2 : vectors >= 2 ? 1 : 0;
    tile *const *const some = tiles[kind];
    size_t u = 0;
    for (; some[2] && o->units - u >= 4; u += 4) some[2](o, u, r);
    for (; some[1] && o->units - u >= 2; u += 2) some[1](o, u, r);
    for (; u < o->units; u++) some[0](o, u, r);
  }
}

/* zⱼ = bⱼ + Σᵢ Wⱼᵢ xᵢ, panel by panel */
static void CR(lanes_affine)(size_t pitch, size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z)
{
  const size_t width = 2 * LANES;
  for (size_t j = 0; j < out; j += width)
    CR(lanes_sums)(&(CR(lanes)){.units = out - j < width ? out - j : width, .pitch = pitch, .n = in, .terms = x,
                                .w = &weights[j * in], .unit_step = 1, .step = width,
                                .start = bias ? &bias[j] : NULL, .to = &z[j * pitch]});
}

/* ∂L/∂xᵢ = Σⱼ δⱼ Wⱼᵢ, panel by panel */
static void CR(lanes_transpose)(size_t pitch, size_t in, size_t out, const R *delta, const R *weights, R *dx)
{
  const size_t width = 2 * LANES;
  for (size_t j = 0; j < out; j += width)
    CR(lanes_sums)(&(CR(lanes)){.units = in, .pitch = pitch, .n = out - j < width ? out - j : width,
                                .terms = &delta[j * pitch], .w = &weights[j * in], .unit_step = width, .step = 1,
                                .to = dx, .continues = j > 0});
}

/* gradient[i][·] = Σᵣ xᵢᵣ d[r], of 8, 4, 2 inputs or 1, and, where it is asked for, bias[·] = Σᵣ d[r]; added to what is there
 * where the strip is not the first.  Row r of δ is at d + r step; the lanes that have something else, behind it, are not
 * `wanted`. */
typedef struct CR(lanes_rows) {
  size_t rows, pitch, step;
  const R *d;
  IV wanted;
  bool first;
} CR(lanes_rows);
#define TILE(count)                                                                                        \
  static CR_CALLED void CR(lanes_outer_##count)(const CR(lanes_rows) *o, const R *x, R *gradient, R *bias) \
  { CR(lanes_outer)(count, false, o, x, gradient, bias); }                                                 \
  static CR_CALLED void CR(lanes_outer_bias_##count)(const CR(lanes_rows) *o, const R *x, R *gradient, R *bias) \
  { CR(lanes_outer)(count, true, o, x, gradient, bias); }
static CR_INLINE void CR(lanes_outer)(const size_t count, const bool biased, const CR(lanes_rows) *o, const R *x,
                                      R *gradient, R *bias)
{
  const size_t width = 2 * LANES, pitch = o->pitch, step = o->step;
  const R *d = o->d;
  V sum[8], all = {0};
  CR_UNROLL for (size_t i = 0; i < count; i++) sum[i] = o->first ? (V){0} : CR(load)(&gradient[i * width]);
  if (biased && !o->first) all = CR(load)(bias);
  const size_t some = count > 2 ? 2 : 4; /* rows in a round of the loop */
  size_t left = o->rows;
  for (; left >= some; left -= some, x += some)
    CR_UNROLL for (size_t r = 0; r < some; r++, d += step) {
      const V row = CR(load)(d);
      if (biased) all += row;
      CR_UNROLL for (size_t i = 0; i < count; i++) sum[i] = CR(fma)(CR(splat)(x[i * pitch + r]), row, sum[i]);
    }
  CR_ROLLED for (; left > 0; left--, x++, d += step) {
    const V row = CR(load)(d);
    if (biased) all += row;
    CR_UNROLL for (size_t i = 0; i < count; i++) sum[i] = CR(fma)(CR(splat)(x[i * pitch]), row, sum[i]);
  }
  CR_UNROLL for (size_t i = 0; i < count; i++) CR(store)(&gradient[i * width], (V)((IV)sum[i] & o->wanted));
  if (biased) CR(store)(bias, (V)((IV)all & o->wanted));
}
TILE(1) TILE(2) TILE(4) TILE(8)
#undef TILE

/* ∂L/∂W = δᵀ x, ∂L/∂b = δᵀ 1, of the rows that are there, in their order; added to what is there where the strip is not the
 * first.  bias may be NULL. */
static void CR(lanes_gradient)(size_t rows, size_t pitch, size_t in, size_t out, const R *x, const R *delta, bool first,
                               R *weights, R *bias)
{
  typedef void tile(const CR(lanes_rows) *o, const R *x, R *gradient, R *bias);
  static tile *const tiles[2][4] = {
      {CR(lanes_outer_1), CR(lanes_outer_2), CR(lanes_outer_4), CR(lanes_outer_8)},
      {CR(lanes_outer_bias_1), CR(lanes_outer_bias_2), CR(lanes_outer_bias_4), CR(lanes_outer_bias_8)}};
  const size_t width = 2 * LANES;
  V turned[CR_STRIP_VECTORS * VECTOR_BYTES / sizeof(R)]; /* rows of δ */
  for (size_t j = 0; j < out; j += LANES) {
    CR(lanes_rows) o = {.rows = rows, .pitch = pitch, .step = 1, .d = delta, .first = first,
                        .wanted = CR(first)(CR(least)(out - j))};
    if (out == 2) {
      CR_ROLLED for (size_t r = 0; r < pitch; r += LANES)
        CR(zip)(CR(load)(&delta[r]), CR(load)(&delta[pitch + r]), (R *)turned + 2 * r);
    } else if (out > 2) {
      CR_ROLLED for (size_t r = 0; r < pitch; r += LANES) CR(turn)(LANES, &delta[j * pitch + r], pitch, &turned[r]);
    }
    if (out > 1) { /* of one neuron δ lies as it should */
      o.d = (const R *)turned;
      o.step = out == 2 ? 2 : LANES;
    }
    R *to = &weights[cr_weight_offset(width, in, j, 0)];
    bool biased = bias; /* with the first inputs */
    for (size_t i = 0, kind; i < in; i += (size_t)1 << kind, biased = false) {
      kind = in - i >= 8 ? 3 : in - i >= 4 ? 2 : in - i >= 2 ? 1 : 0;
      tiles[biased][kind](&o, &x[i * pitch], &to[i * width], biased ? &bias[j] : NULL);
    }
  }
}

static void CR(lanes_softmax)(size_t rows, size_t pitch, size_t n, const R *z, R *a)
{
  CR(softmax)(rows, n, z, a, 1, pitch);
}

static void CR(lanes_loss)(chainrule_loss loss, size_t rows, size_t pitch, size_t n, const R *z, const R *a, const R *y,
                           const R *weights, double total, R *delta, double *losses)
{
  CR(terms) *const add = CR(terms_of)[loss].add;
  const V parts = CR(splat)(CR(terms_of)[loss].mean ? (R)n : 1);
  V scale[CR_STRIP_VECTORS], sum[CR_STRIP_VECTORS], share = {0};
  for (size_t v = 0, r = 0; v < CR_STRIP_VECTORS; v++, r += LANES) {
    if (r == 0 || (weights && r < pitch)) share = CR(shares)(rows - r, weights ? &weights[r] : NULL, total) / parts;
    scale[v] = share;
    sum[v] = (V){0};
  }
  if (add) add(n, pitch, z, a, y, scale, sum, delta);
  for (size_t r = 0; !add && r < pitch; r += LANES)
    sum[r / LANES] = CR(crossEntropy)(
        &(CR(outputs)){.rows = rows - r, .n = n, .z = &z[r], .a = &a[r], .y = &y[r], .stride = 1, .step = pitch,
                       .delta = &delta[r]}, scale[r / LANES]);
  CR(put_losses)(rows, weights, sum, parts, losses);
}
