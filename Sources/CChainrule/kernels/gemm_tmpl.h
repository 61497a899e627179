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
  size_t depth;                      /* of the sum */
  const R *a; size_t a_row, a_step;  /* A[r][k] = a[r a_row + k a_step] */
  const R *b; size_t b_step;         /* B[k] = b[k b_step …] */
  const R *start;                    /* NULL: 0 */
  R *c; size_t c_row;
} CR(operands);

/* `rows` and `vectors` are constants where this is inlined: c lives in registers. */
static CR_INLINE void CR(product)(const size_t rows, const size_t vectors, const CR(operands) o)
{
  V c[TILE_ROWS][2];
  const R *a = o.a, *b = o.b;
  const V start0 = o.start ? CR(load)(o.start) : (V){0};
  const V start1 = o.start && vectors == 2 ? CR(load)(o.start + LANES) : (V){0};
  CR_UNROLL for (size_t r = 0; r < rows; r++) c[r][0] = start0, c[r][1] = start1;
  for (size_t k = 0; k < o.depth; k++, a += o.a_step, b += o.b_step) {
    const V b0 = CR(load)(b), b1 = vectors == 2 ? CR(load)(b + LANES) : b0;
    CR_UNROLL for (size_t r = 0; r < rows; r++) {
      const V factor = CR(splat)(a[r * o.a_row]);
      c[r][0] = CR(fma)(factor, b0, c[r][0]);
      if (vectors == 2) c[r][1] = CR(fma)(factor, b1, c[r][1]);
    }
  }
  CR_UNROLL for (size_t r = 0; r < rows; r++) {
    CR(store)(o.c + r * o.c_row, c[r][0]);
    if (vectors == 2) CR(store)(o.c + r * o.c_row + LANES, c[r][1]);
  }
}

static void CR(tile)(size_t rows, size_t vectors, const CR(operands) *o)
{
#define CASE(n) case n: vectors == 2 ? CR(product)(n, 2, *o) : CR(product)(n, 1, *o); return;
  switch (rows) {
    TILE_CASES
  }
#undef CASE
}

/* Rows of the tile at row r of n, so that tiles differ by one row at most: none is left with too few. */
static inline size_t CR(tile_rows)(size_t r, size_t n)
{
  const size_t left = n - r, tiles = (left + TILE_ROWS - 1) / TILE_ROWS;
  return (left + tiles - 1) / tiles;
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
      for (size_t v = 0; v < 2; v++) c[q][v] = bias ? CR(load)(bias + (p + q) * width + v * LANES) : (V){0};
    for (size_t i = 0; i < in; i++, w += width) {
      const V factor = CR(splat)(x[i]);
      CR_UNROLL for (size_t q = 0; q < 4; q++) {
        c[q][0] = CR(fma)(factor, CR(load)(w + q * in * width), c[q][0]);
        c[q][1] = CR(fma)(factor, CR(load)(w + q * in * width + LANES), c[q][1]);
      }
    }
    CR_UNROLL for (size_t q = 0; q < 4; q++)
      for (size_t v = 0; v < 2; v++) CR(store)(z + (p + q) * width + v * LANES, c[q][v]);
  }
  for (; p < panels; p++)
    CR(product)(1, 2, (CR(operands)){in, x, 0, 1, &weights[p * in * width], width, bias ? bias + p * width : NULL,
                                     z + p * width, 0});
}

/* z_rj = b_j + Σᵢ x_ri W_ji.  A panel of W at a time: it comes into the cache once, for all rows. */
static void CR(affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                       size_t panel, const R *bias, R *z, size_t z_stride)
{
  (void)panel;
  const size_t width = 2 * LANES, panels = (out + width - 1) / width;
  if (rows == 1) {
    CR(affine_row)(in, panels, x, weights, bias, z);
    return;
  }
  for (size_t p = 0; p < panels; p++) {
    const size_t vectors = out - p * width > LANES ? 2 : 1;
    CR(operands) o = {.depth = in, .a_row = x_stride, .a_step = 1, .b = &weights[p * in * width], .b_step = width,
                      .start = bias ? &bias[p * width] : NULL, .c_row = z_stride};
    for (size_t r = 0, n; r < rows; r += n) {
      n = CR(tile_rows)(r, rows);
      o.a = &x[r * x_stride];
      o.c = &z[r * z_stride + p * width];
      CR(tile)(n, vectors, &o);
    }
  }
}

/* Columns of x in strips of TILE_ROWS, a strip's rows one after the other: [strip][rows][TILE_ROWS] */
static void CR(pack)(size_t rows, size_t columns, const R *x, size_t x_stride, R *packed)
{
  for (size_t i = 0; i < columns; i += TILE_ROWS) {
    const size_t width = columns - i < TILE_ROWS ? columns - i : TILE_ROWS;
    if (width == TILE_ROWS)
      for (size_t r = 0; r < rows; r++, packed += TILE_ROWS)
        CR_UNROLL for (size_t t = 0; t < TILE_ROWS; t++) packed[t] = x[r * x_stride + i + t];
    else
      for (size_t r = 0; r < rows; r++, packed += TILE_ROWS)
        for (size_t t = 0; t < width; t++) packed[t] = x[r * x_stride + i + t];
  }
}

/* ∂L/∂W_ji = Σᵣ δ_rj x_ri, for the neurons of one panel and some of the inputs */
static void CR(affine_gradient)(size_t rows, size_t columns, const R *x, size_t x_stride, size_t out,
                                const R *delta, size_t delta_stride, size_t panel, R *gradient)
{
  (void)panel;
  const size_t width = 2 * LANES, vectors = out > LANES ? 2 : 1, next_column = x_stride ? 1 : rows;
  CR(operands) o = {.depth = rows, .a_row = 1, .a_step = x_stride ? x_stride : TILE_ROWS,
                    .b = delta, .b_step = delta_stride, .c_row = width};
  for (size_t i = 0; i < columns; i += TILE_ROWS) {
    o.a = &x[i * next_column];
    o.c = &gradient[i * width];
    CR(tile)(columns - i < TILE_ROWS ? columns - i : TILE_ROWS, vectors, &o);
  }
  if (vectors == 1)
    for (size_t i = 0; i < columns; i++) CR(store)(&gradient[i * width + LANES], (V){0});
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
static CR_INLINE void CR(product_transposed)(const size_t tile, const size_t vectors, size_t in, size_t out,
                                             const R *weights, const R *delta_t, R *dx_t, size_t dx_row)
{
  const size_t width = 2 * LANES;
  V c[TILE_ROWS][2];
  CR_UNROLL for (size_t t = 0; t < tile; t++) c[t][0] = c[t][1] = (V){0};
  for (size_t j = 0; j < out; j += width, weights += in * width) {
    const size_t end = out - j < width ? out - j : width;
    for (size_t k = 0; k < end; k++, delta_t += width) {
      const V b0 = CR(load)(delta_t), b1 = vectors == 2 ? CR(load)(delta_t + LANES) : b0;
      CR_UNROLL for (size_t t = 0; t < tile; t++) {
        const V factor = CR(splat)(weights[t * width + k]);
        c[t][0] = CR(fma)(factor, b0, c[t][0]);
        if (vectors == 2) c[t][1] = CR(fma)(factor, b1, c[t][1]);
      }
    }
  }
  CR_UNROLL for (size_t t = 0; t < tile; t++) {
    CR(store)(&dx_t[t * dx_row], c[t][0]);
    if (vectors == 2) CR(store)(&dx_t[t * dx_row + LANES], c[t][1]);
  }
}

static void CR(tile_transposed)(size_t tile, size_t vectors, size_t in, size_t out, const R *weights,
                                const R *delta_t, R *dx_t, size_t dx_row)
{
#define CASE(n)                                                                                            \
  case n:                                                                                                  \
    vectors == 2 ? CR(product_transposed)(n, 2, in, out, weights, delta_t, dx_t, dx_row)                   \
                 : CR(product_transposed)(n, 1, in, out, weights, delta_t, dx_t, dx_row);                  \
    return;
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
  if (rows >= LANES)
    CR_UNROLL for (size_t i = 0; i < LANES; i++) v[i] = CR(load)(&from[i * from_row]);
  else
    CR_UNROLL for (size_t i = 0; i < LANES; i++) v[i] = i < rows ? CR(load)(&from[i * from_row]) : (V){0};
  CR(transpose)(v);
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
  for (size_t i = 0, n; i < in; i += n) {
    n = CR(tile_rows)(i, in);
    for (size_t r = 0; r < rows; r += width)
      CR(tile_transposed)(n, rows - r > LANES ? 2 : 1, in, out, &weights[i * width], &delta_t[r * out],
                          &dx_t[i * padded + r], padded);
  }
  for (size_t i = 0; i < in; i += LANES)
    for (size_t r = 0; r < rows; r += LANES)
      CR(transpose_block)(in - i, &dx_t[i * padded + r], padded, rows - r, &dx[r * dx_stride + i], dx_stride);
}
