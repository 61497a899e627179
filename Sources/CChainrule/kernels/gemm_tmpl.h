/* The three matrix products of a dense layer.
 *
 * Every element is one chain of fused multiply-adds in increasing order of the summed index, held in one
 * register from the first to the last: its bits depend neither on the width of a vector nor on the tile that
 * it is in, nor on who computes its neighbours.
 *
 * Vectors run along what is contiguous: neurons j in the first two products, rows r in the third, which
 * transposes δ and dX (small) rather than W (large).  All three come down to one tile:
 *
 *     C[r][·] = start[·] + Σₖ A[r][k] B[k][·]        rows ≤ TILE_ROWS, one or two vectors wide
 */

/* A CASE for every number of rows that a tile may have: each is compiled with that number a constant. */
#undef TILE_CASES
#if TILE_ROWS == 4
#define TILE_CASES CASE(1) CASE(2) CASE(3) CASE(4)
#elif TILE_ROWS == 6
#define TILE_CASES CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#elif TILE_ROWS == 12
#define TILE_CASES                                                                                         \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#else
#error "TILE_CASES has no list for this TILE_ROWS"
#endif

typedef struct CR(operands) {
  size_t depth;                         /* of the sum */
  const R *a; size_t a_row, a_step;     /* A[r][k] = a[r a_row + k a_step] */
  const R *b; size_t b_step;            /* B[k] = b[k b_step …] */
  const R *start; size_t start_row;     /* start[r] = start[r start_row …]; NULL: 0 */
  R *c; size_t c_row;                   /* C[r] = c[r c_row …]; may be start */
} CR(operands);

/* `rows` and `vectors` are constants where this is inlined: c lives in registers. */
static CR_INLINE void CR(product)(const size_t rows, const size_t vectors, const CR(operands) *o)
{
  V c[TILE_ROWS][2];
  const R *a = o->a, *b = o->b;
  const size_t a_row = o->a_row, a_step = o->a_step, b_step = o->b_step;
  CR_UNROLL for (size_t r = 0; r < rows; r++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++)
      c[r][v] = o->start ? CR(load)(&o->start[r * o->start_row + v * LANES]) : (V){0};
  for (size_t k = 0; k < o->depth; k++, a += a_step, b += b_step) {
    const V b0 = CR(load)(b), b1 = vectors == 2 ? CR(load)(b + LANES) : b0;
    CR_UNROLL for (size_t r = 0; r < rows; r++) {
      const V factor = CR(splat)(a[r * a_row]);
      c[r][0] = CR(fma)(factor, b0, c[r][0]);
      if (vectors == 2) c[r][1] = CR(fma)(factor, b1, c[r][1]);
    }
  }
  CR_UNROLL for (size_t r = 0; r < rows; r++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++) CR(store)(&o->c[r * o->c_row + v * LANES], c[r][v]);
}

static void CR(tile)(size_t rows, size_t vectors, const CR(operands) *o)
{
#define CASE(n) case n: vectors == 2 ? CR(product)(n, 2, o) : CR(product)(n, 1, o); return;
  switch (rows) {
    TILE_CASES
  }
#undef CASE
}

/* What a tile would do if nothing had to be loaded. */
#undef PEAK
#define PEAK CR(peak)
static double CR(peak)(uint64_t rounds, R *sink)
{
  V c[TILE_ROWS][2], sum = {0};
  const V factor = CR(splat)((R)0.999999), term = CR(splat)((R)1e-7);
  CR_UNROLL for (size_t r = 0; r < TILE_ROWS; r++) c[r][0] = CR(splat)((R)r), c[r][1] = -1 - c[r][0]; /* no two alike */
  for (uint64_t k = 0; k < rounds; k++)
    CR_UNROLL for (size_t r = 0; r < TILE_ROWS; r++)
      CR_UNROLL for (size_t v = 0; v < 2; v++) c[r][v] = CR(fma)(c[r][v], factor, term);
  for (size_t r = 0; r < TILE_ROWS; r++) sum += c[r][0] + c[r][1];
  CR(store)(sink, sum);
  return 2.0 * (double)(LANES * 2 * TILE_ROWS) * (double)rounds;
}

/* Rows of the tile at row r of n, so that tiles differ by one row at most: none is left with too few. */
static inline size_t CR(tile_rows)(size_t r, size_t n)
{
  const size_t left = n - r, tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
  return (left + tiles - 1) / tiles;
}

/* C of any number of rows, tile by tile. */
static void CR(tiles)(size_t rows, size_t vectors, CR(operands) o)
{
  for (size_t r = 0, n; r < rows; r += n) {
    n = CR(tile_rows)(r, rows);
    CR(tile)(n, vectors, &o);
    o.a += n * o.a_row;
    o.c += n * o.c_row;
    if (o.start) o.start += n * o.start_row;
  }
}

/* Sums are taken in stretches of about DEPTH terms, so that B's two vectors a term stay in the first cache while the
 * tiles of a column pass over them; between stretches C rests in memory, which rounds nothing. */
#undef DEPTH
#define DEPTH ((size_t)16384 / (2 * VECTOR_BYTES))

/* Terms of the stretch at k of n, so that stretches differ by one at most. */
static inline size_t CR(stretch)(size_t k, size_t n)
{
  const size_t left = n - k, stretches = (left + DEPTH - 1) / DEPTH;
  return (left + stretches - 1) / stretches;
}

/* One row takes four panels at a time, or its few chains would wait for one another. */
static void CR(affine_row)(size_t in, size_t panels, const R *x, const R *weights, const R *bias, R *z)
{
  const size_t width = 2 * LANES;
  size_t p = 0;
  for (; p + 4 <= panels; p += 4) {
    V c[4][2];
    const R *w = &weights[p * in * width];
    CR_UNROLL for (size_t q = 0; q < 4; q++)
      CR_UNROLL for (size_t v = 0; v < 2; v++) c[q][v] = bias ? CR(load)(bias + (p + q) * width + v * LANES) : (V){0};
    for (size_t i = 0; i < in; i++, w += width) {
      const V factor = CR(splat)(x[i]);
      CR_UNROLL for (size_t q = 0; q < 4; q++) {
        c[q][0] = CR(fma)(factor, CR(load)(w + q * in * width), c[q][0]);
        c[q][1] = CR(fma)(factor, CR(load)(w + q * in * width + LANES), c[q][1]);
      }
    }
    CR_UNROLL for (size_t q = 0; q < 4; q++)
      CR_UNROLL for (size_t v = 0; v < 2; v++) CR(store)(z + (p + q) * width + v * LANES, c[q][v]);
  }
  for (; p < panels; p++)
    CR(product)(1, 2, &(CR(operands)){.depth = in, .a = x, .a_step = 1, .b = &weights[p * in * width],
                                      .b_step = width, .start = bias ? bias + p * width : NULL,
                                      .c = z + p * width});
}

/* z_rj = b_j + Σᵢ x_ri W_ji */
static void CR(affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                       size_t panel, const R *bias, R *z, size_t z_stride)
{
  (void)panel;
  const size_t width = 2 * LANES, panels = (out + width - 1) / width;
  if (rows == 1) {
    CR(affine_row)(in, panels, x, weights, bias, z);
    return;
  }
  for (size_t i = 0, depth; i < in; i += depth) {
    depth = CR(stretch)(i, in);
    for (size_t p = 0; p < panels; p++) {
      CR(operands) o = {.depth = depth, .a = &x[i], .a_row = x_stride, .a_step = 1,
                        .b = &weights[(p * in + i) * width], .b_step = width,
                        .start = bias ? &bias[p * width] : NULL, .c = &z[p * width], .c_row = z_stride};
      if (i > 0) o.start = o.c, o.start_row = z_stride;
      CR(tiles)(rows, out - p * width > LANES ? 2 : 1, o);
    }
  }
}

/* ∂L/∂W_ji = Σᵣ δ_rj x_ri, for the neurons of one panel and some of the inputs */
static void CR(affine_gradient)(size_t rows, size_t columns, const R *x, size_t x_stride, size_t out,
                                const R *delta, size_t delta_stride, size_t panel, R *gradient)
{
  (void)panel;
  const size_t width = 2 * LANES, vectors = out > LANES ? 2 : 1;
  for (size_t r = 0, depth; r < rows; r += depth) {
    depth = CR(stretch)(r, rows);
    CR(tiles)(columns, vectors, (CR(operands)){.depth = depth, .a = &x[r * x_stride], .a_row = 1, .a_step = x_stride,
              .b = &delta[r * delta_stride], .b_step = delta_stride, .start = r > 0 ? gradient : NULL, .start_row = width,
              .c = gradient, .c_row = width});
  }
  if (rows == 0 || vectors == 1)
    for (size_t i = 0; i < columns; i++)
      for (size_t v = rows == 0 ? 0 : 1; v < 2; v++) CR(store)(&gradient[i * width + v * LANES], (V){0});
}

/* ∂L/∂b_j = Σᵣ δ_rj */
static void CR(bias_gradient)(size_t rows, size_t out, const R *delta, size_t delta_stride, R *gradient)
{
  for (size_t j = 0; j < out; j += LANES) {
    V sum = {0};
    for (size_t r = 0; r < rows; r++) sum += CR(load)(&delta[r * delta_stride + j]);
    CR(store)(&gradient[j], sum);
  }
}

/* ∂L/∂x_ri = Σⱼ δ_rj W_ji, as dXᵀ = Wᵀ δᵀ: a tile is TILE_ROWS inputs by two vectors of rows.  δᵀ lies in panels of
 * rows, [rows / width][out][width], behind them dXᵀ, [in][padded rows]. */
typedef struct CR(transposed) {
  size_t in, neurons; /* neurons: of this stretch of the sum */
  bool resumes;       /* it goes on from what dXᵀ holds */
  const R *weights, *delta;
  R *dx;
  size_t dx_row;
} CR(transposed);

static CR_INLINE void CR(product_transposed)(const size_t tile, const size_t vectors, const CR(transposed) *o)
{
  const size_t width = 2 * LANES, in = o->in;
  const R *weights = o->weights, *delta = o->delta;
  V c[TILE_ROWS][2];
  CR_UNROLL for (size_t t = 0; t < tile; t++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++)
      c[t][v] = o->resumes ? CR(load)(&o->dx[t * o->dx_row + v * LANES]) : (V){0};
  for (size_t j = 0; j < o->neurons; j += width, weights += in * width) {
    const size_t end = o->neurons - j < width ? o->neurons - j : width;
    for (size_t k = 0; k < end; k++, delta += width) {
      const V b0 = CR(load)(delta), b1 = vectors == 2 ? CR(load)(delta + LANES) : b0;
      CR_UNROLL for (size_t t = 0; t < tile; t++) {
        const V factor = CR(splat)(weights[t * width + k]);
        c[t][0] = CR(fma)(factor, b0, c[t][0]);
        if (vectors == 2) c[t][1] = CR(fma)(factor, b1, c[t][1]);
      }
    }
  }
  CR_UNROLL for (size_t t = 0; t < tile; t++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++) CR(store)(&o->dx[t * o->dx_row + v * LANES], c[t][v]);
}

static void CR(tile_transposed)(size_t tile, size_t vectors, const CR(transposed) *o)
{
#define CASE(n)                                                                                            \
  case n: vectors == 2 ? CR(product_transposed)(n, 2, o) : CR(product_transposed)(n, 1, o); return;
  switch (tile) {
    TILE_CASES
  }
#undef CASE
}

/* to[j][i] = from[i][j] for a block of LANES × LANES, of which only the first `rows` rows of `from` are there, the
 * others being 0, and only the first `columns` are wanted. */
static CR_INLINE void CR(transpose_block)(size_t rows, const R *from, size_t from_row, size_t columns, R *to,
                                          size_t to_row)
{
  V v[VECTOR_BYTES / sizeof(R)];
  CR(columns)(rows, from, from_row, LANES, v);
  if (columns >= LANES)
    CR_UNROLL for (size_t j = 0; j < LANES; j++) CR(store)(&to[j * to_row], v[j]);
  else
    CR_UNROLL for (size_t j = 0; j < LANES; j++)
      if (j < columns) CR(store)(&to[j * to_row], v[j]);
}

static void CR(affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t delta_stride,
                                 const R *weights, size_t panel, R *dx, size_t dx_stride, R *scratch)
{
  (void)panel;
  const size_t width = 2 * LANES, padded = (rows + width - 1) / width * width;
  R *delta_t = scratch, *dx_t = scratch + out * padded;
  for (size_t r = 0; r < padded; r += LANES)
    for (size_t j = 0; j < out; j += LANES)
      CR(transpose_block)(rows > r ? rows - r : 0, &delta[r * delta_stride + j], delta_stride, out - j,
                          &delta_t[r / width * out * width + j * width + r % width], width);
  /* A stretch of a panel of δᵀ stays in the first cache while a block of W, which stays in the second, passes. */
  enum { BLOCK = 8 * TILE_ROWS };
  for (size_t j = 0, neurons; j < out; j += neurons) {
    neurons = out - j < DEPTH + width ? out - j : DEPTH;
    for (size_t block = 0, end; block < in; block = end) {
      end = in - block < BLOCK ? in : block + BLOCK;
      for (size_t r = 0; r < rows; r += width)
        for (size_t i = block, n; i < end; i += n) {
          n = CR(tile_rows)(i, end);
          CR(tile_transposed)(n, rows - r > LANES ? 2 : 1,
                              &(CR(transposed)){.in = in, .neurons = neurons, .resumes = j > 0,
                                                .weights = &weights[j * in + i * width],
                                                .delta = &delta_t[r * out + j * width],
                                                .dx = &dx_t[i * padded + r], .dx_row = padded});
        }
    }
  }
  for (size_t i = 0; i < in; i += LANES)
    for (size_t r = 0; r < rows; r += LANES)
      CR(transpose_block)(in - i, &dx_t[i * padded + r], padded, rows - r, &dx[r * dx_stride + i], dx_stride);
}
