/* The three matrix products of a dense layer, in the manner of BLIS.
 *
 * Every element is one chain of fused multiply-adds in increasing order of the summed index.  So its bits
 * depend neither on the width of a vector, nor on the tile that it is in, nor on the thread that computes it.
 *
 * A vector holds consecutive neurons j in the first two products.  In the third it holds consecutive rows r:
 * that product transposes δ and dX, which are small, instead of W, which is large.  All three use one
 * micro-kernel, for a tile of MR = TILE_ROWS rows and NR = two vectors of columns:
 *
 *     C[r][·] = start[r][·] + Σₖ A[r][k] B[k][·]        r < MR; one or two vectors of columns
 */

/* A CASE for each number of rows of a tile, so that the micro-kernel is compiled with that number as a
 * constant. */
#undef TILE_CASES
#define TILE_CASES_4(...) CASE(1, __VA_ARGS__) CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__) CASE(4, __VA_ARGS__)
#define TILE_CASES_6(...) TILE_CASES_4(__VA_ARGS__) CASE(5, __VA_ARGS__) CASE(6, __VA_ARGS__)
#define TILE_CASES_12(...)                                                                                 \
  TILE_CASES_6(__VA_ARGS__) CASE(7, __VA_ARGS__) CASE(8, __VA_ARGS__) CASE(9, __VA_ARGS__)                 \
  CASE(10, __VA_ARGS__) CASE(11, __VA_ARGS__) CASE(12, __VA_ARGS__)
#if TILE_ROWS == 4
#define TILE_CASES TILE_CASES_4
#elif TILE_ROWS == 6
#define TILE_CASES TILE_CASES_6
#elif TILE_ROWS == 12
#define TILE_CASES TILE_CASES_12
#else
#error "TILE_CASES has no list for this TILE_ROWS"
#endif

typedef struct CR(operands) {
  size_t depth;                              /* the number of k */
  size_t wanted;                             /* columns of C that are needed; the tile's others are padding */
  const R *a; size_t a_row, a_step, a_group; /* A[r][k]: see product */
  const R *b; size_t b_step;                 /* B[k] = b[k b_step …] */
  const R *start; size_t start_row;          /* start[r] = start[r start_row …]; NULL: 0 */
  R *c; size_t c_row;                        /* C[r] = c[r c_row …]; may be start */
} CR(operands);

/* c[r][·] += A[r][k] B[k][·] for one k, with A[r][k] = a[r a_row] */
static CR_INLINE void CR(outer)(const size_t rows, const size_t vectors, const R *a, size_t a_row, const R *b, V c[][2])
{
  const V b0 = CR(load)(b), b1 = vectors == 2 ? CR(load)(b + LANES) : b0;
  CR_UNROLL for (size_t r = 0; r < rows; r++) {
    const V factor = CR(splat)(a[r * a_row]);
    c[r][0] = CR(fma)(factor, b0, c[r][0]);
    if (vectors == 2) c[r][1] = CR(fma)(factor, b1, c[r][1]);
  }
}

/* The micro-kernel.  A[r][k] = a[r a_row + k a_step] for the k of a group; the next group begins a_group
 * scalars later.  With one vector, the second vector of C is written as 0.  `rows`, `vectors` and most
 * strides are constants after inlining, so that c is in registers.  A large tile is unrolled by TILE_TERMS
 * steps of k, which leaves few instructions but fma and loads.  (Hyper-threads share a core's instruction
 * slots, so every saved instruction counts.) */
static CR_INLINE void CR(product)(const size_t rows, const size_t vectors, const size_t a_row, const size_t a_step,
                                  const size_t b_step, const size_t group, const CR(operands) *o)
{
  const size_t terms = vectors * rows >= TILE_ROWS ? TILE_TERMS : 1;
  const size_t start_row = o->start_row, c_row = o->c_row, a_group = o->a_group;
  const R *b = o->b, *start = o->start, *from = o->a;
  R *to = o->c;
  V c[TILE_ROWS][2];
  CR_UNROLL for (size_t r = 0; r < rows; r++)
    CR_UNROLL for (size_t v = 0; v < vectors; v++)
      c[r][v] = start ? CR(load)(&start[r * start_row + v * LANES]) : (V){0};
  for (size_t left = o->depth, count; left > 0; left -= count, from += a_group) {
    const R *a = from;
    size_t k = count = left < group ? left : group;
    for (; terms > 1 && k >= terms; k -= terms, a += terms * a_step, b += terms * b_step)
      CR_UNROLL for (size_t t = 0; t < terms; t++) CR(outer)(rows, vectors, a + t * a_step, a_row, b + t * b_step, c);
    CR_ROLLED for (; k > 0; k--, a += a_step, b += b_step) CR(outer)(rows, vectors, a, a_row, b, c);
  }
  CR_UNROLL for (size_t r = 0; r < rows; r++)
    CR_UNROLL for (size_t v = 0; v < 2; v++) CR(store)(&to[r * c_row + v * LANES], v < vectors ? c[r][v] : (V){0});
}

/* The micro-kernel for each product, by the layout of A: rows of x (row_tile); columns of packed inputs, k
 * being the row of the batch (column_tile); inputs of successive panels of W, k being the neuron
 * (panel_tile).  With the longest vectors there is also half_tile, for any of these and panels with at most
 * one vector of columns. */
#define TILE(name, ...)                                                                                    \
  static void CR(name)(size_t rows, const CR(operands) *o)                                                 \
  {                                                                                                        \
    if (TILE_KINDS == 4 && o->wanted <= LANES) {                                                           \
      CR(half_tile)(rows, o);                                                                              \
      return;                                                                                              \
    }                                                                                                      \
    switch (rows) { TILE_CASES(__VA_ARGS__) }                                                              \
  }
#define CASE(n, ...) case n: CR(product)(n, __VA_ARGS__, o); return;
static void CR(half_tile)(size_t rows, const CR(operands) *o)
{
  switch (rows) { TILE_CASES(1, o->a_row, o->a_step, o->b_step, o->a_group ? 2 * LANES : o->depth) }
}
#if TILE_KINDS > 1
TILE(row_tile, 2, o->a_row, 1, 2 * LANES, o->depth)
TILE(column_tile, 2, 1, CR_CHUNK, o->b_step, o->depth)
TILE(panel_tile, 2, 2 * LANES, 1, 2 * LANES, 2 * LANES)
#else /* one micro-kernel without constant strides: smaller code counts more here */
TILE(row_tile, 2, o->a_row, o->a_step, o->b_step, o->a_group ? 2 * LANES : o->depth)
static void CR(column_tile)(size_t rows, const CR(operands) *o) { CR(row_tile)(rows, o); }
static void CR(panel_tile)(size_t rows, const CR(operands) *o) { CR(row_tile)(rows, o); }
#endif
#undef TILE
#undef CASE

/* The fused multiply-adds of a tile without loads: an upper bound for the speed of a product. */
#undef PEAK
#define PEAK CR(peak)
static double CR(peak)(uint64_t rounds, R *sink)
{
  V c[TILE_ROWS][2], sum = {0};
  const V factor = CR(splat)((R)0.999999), term = CR(splat)((R)1e-7);
  CR_UNROLL for (size_t r = 0; r < TILE_ROWS; r++) c[r][0] = CR(splat)((R)r), c[r][1] = -1 - c[r][0]; /* all different */
  for (uint64_t k = 0; k < rounds; k++)
    CR_UNROLL for (size_t r = 0; r < TILE_ROWS; r++)
      CR_UNROLL for (size_t v = 0; v < 2; v++) c[r][v] = CR(fma)(c[r][v], factor, term);
  for (size_t r = 0; r < TILE_ROWS; r++) sum += c[r][0] + c[r][1];
  CR(store)(sink, sum);
  return 2.0 * (double)(LANES * 2 * TILE_ROWS) * (double)rounds;
}

/* A sum is divided into KC blocks of at most KC values of k, so that a KC block of B, two vectors for each k,
 * stays in the L1 cache while all tiles of a column use it.  Between KC blocks C is in memory, which rounds
 * nothing.  If A takes as much of the cache as B, blocks have KC / 2. */
#undef KC
#define KC ((size_t)24576 / (2 * VECTOR_BYTES))

/* z for a single row: four panels at a time, because the two chains of one panel would wait for the latency
 * of fma. */
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
    CR(row_tile)(1, &(CR(operands)){.depth = in, .wanted = width, .a = x, .a_step = 1, .b = &weights[p * in * width],
                                    .b_step = width, .start = bias ? bias + p * width : NULL, .c = z + p * width});
}

/* z_rj = b_j + Σᵢ x_ri W_ji.  If the weights do not fit into the L2 cache (`far`), each tile prefetches the z
 * of the next tile and a part of the KC block of the next panel. */
static void CR(affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                       size_t panel, const R *bias, R *z, size_t z_stride)
{
  (void)panel;
  const size_t width = 2 * LANES, panels = (out + width - 1) / width;
  if (rows == 1) {
    CR(affine_row)(in, panels, x, weights, bias, z);
    return;
  }
  const cr_parts blocks = cr_split(in, KC), tiles = cr_split(rows, TILE_ROWS);
  const bool far = TILE_KINDS > 1 && tiles.count > 1 && in * out * sizeof(R) > CR_KEPT;
  for (size_t block = 0, i = 0; block < blocks.count; i += cr_part(blocks, block++))
    for (size_t p = 0; p < panels; p++) {
      CR(operands) o = {.depth = cr_part(blocks, block), .wanted = out - p * width, .a = &x[i], .a_row = x_stride,
                        .a_step = 1, .b = &weights[(p * in + i) * width], .b_step = width,
                        .start = bias ? &bias[p * width] : NULL, .c = &z[p * width], .c_row = z_stride};
      const size_t share = far ? o.depth / tiles.count * width : 0;
      const R *next = o.b + in * width;
      if (i > 0) o.start = o.c, o.start_row = z_stride;
      for (size_t t = 0; t < tiles.count; t++) {
        const size_t n = cr_part(tiles, t);
        if (far && p + 1 < panels) cr_ask(next + t * share, CR_ALIGNMENT, share * sizeof(R) / CR_ALIGNMENT);
        if (far && t + 1 < tiles.count) cr_ask(o.c + n * z_stride, z_stride * sizeof(R), cr_part(tiles, t + 1));
        CR(row_tile)(n, &o);
        o.a += n * x_stride;
        o.c += n * z_stride;
        if (o.start) o.start += n * o.start_row;
      }
    }
}

/* ∂L/∂W_ji = Σᵣ δ_rj x_ri, for the neurons j of one panel and some inputs i */
static void CR(affine_gradient)(size_t rows, size_t columns, const R *x, size_t out, const R *delta, size_t delta_stride,
                                size_t panel, R *gradient)
{
  (void)panel;
  const size_t width = 2 * LANES;
  const cr_parts blocks = cr_split(rows, KC / 2), tiles = cr_split(columns, TILE_ROWS);
  for (size_t block = 0, r = 0; block < blocks.count; r += cr_part(blocks, block++)) {
    CR(operands) o = {.depth = cr_part(blocks, block), .wanted = out, .a = &x[r * CR_CHUNK], .a_row = 1,
                      .a_step = CR_CHUNK, .b = &delta[r * delta_stride], .b_step = delta_stride, .start_row = width,
                      .c = gradient, .c_row = width};
    for (size_t t = 0; t < tiles.count; t++) {
      const size_t n = cr_part(tiles, t);
      o.start = r > 0 ? o.c : NULL;
      CR(column_tile)(n, &o);
      o.a += n;
      o.c += n * width;
    }
  }
  for (size_t i = 0; rows == 0 && i < columns * width; i += LANES) CR(store)(&gradient[i], (V){0});
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

/* to[j][i] = from[i][j] for a block of LANES × LANES.  Only the first `rows` rows of `from` exist; the others
 * count as 0.  Only its first `columns` columns are stored. */
static CR_INLINE void CR(transpose_block)(size_t rows, const R *from, size_t from_row, size_t columns, R *to,
                                          size_t to_row)
{
  V v[VECTOR_BYTES / sizeof(R)];
  CR(turn)(rows, from, from_row, v);
  if (columns >= LANES)
    CR_UNROLL for (size_t j = 0; j < LANES; j++) CR(store)(&to[j * to_row], v[j]);
  else
    CR_UNROLL for (size_t j = 0; j < LANES; j++)
      if (j < columns) CR(store)(&to[j * to_row], v[j]);
}

/* ∂L/∂x_ri = Σⱼ δ_rj W_ji, computed as dXᵀ = Wᵀ δᵀ: a tile is TILE_ROWS inputs by two vectors of rows.
 * scratch holds δᵀ in panels of rows, [rows / width][out][width], then dXᵀ, [in][padded rows]. */
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
  /* A KC block of a panel of δᵀ stays in the L1 cache while a block of W is read, which stays in the L2
   * cache. */
  enum { BLOCK = 8 * TILE_ROWS };
  for (size_t j = 0, neurons; j < out; j += neurons) {
    neurons = out - j < KC / 2 + width ? out - j : KC / 2;
    for (size_t block = 0, end; block < in; block = end) {
      end = in - block < BLOCK ? in : block + BLOCK;
      const cr_parts tiles = cr_split(end - block, TILE_ROWS);
      for (size_t r = 0; r < rows; r += width) {
        CR(operands) o = {.depth = neurons, .wanted = rows - r, .a = &weights[j * in + block * width], .a_row = width,
                          .a_step = 1, .a_group = in * width, .b = &delta_t[r * out + j * width], .b_step = width,
                          .start_row = padded, .c = &dx_t[block * padded + r], .c_row = padded};
        for (size_t t = 0; t < tiles.count; t++) {
          const size_t n = cr_part(tiles, t);
          o.start = j > 0 ? o.c : NULL;
          CR(panel_tile)(n, &o);
          o.a += n * width;
          o.c += n * padded;
        }
      }
    }
  }
  for (size_t i = 0; i < in; i += LANES)
    for (size_t r = 0; r < rows; r += LANES)
      CR(transpose_block)(in - i, &dx_t[i * padded + r], padded, rows - r, &dx[r * dx_stride + i], dx_stride);
}
