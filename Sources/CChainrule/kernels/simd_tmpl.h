/* V: a vector of LANES scalars R, for one instruction set.
 *
 * + − × ÷ and comparisons are the vector extensions of gcc and clang.  Only CR(fma) fuses products.  The
 * simd_*.h of an instruction set defines these functions, VECTOR_BYTES, and the size of the tile:
 *
 *     V fma(V a, V b, V c)     a b + c, rounded once
 *     V root(V x)              √x, correctly rounded
 *     V nearest(V x)           to the nearest integer, ties to even
 *     V load_first(n, p)       the first n ≤ LANES scalars, then 0; reads only these n
 */
#undef V
#undef IV
#undef LANES
#define V CR(vector)
#define IV CR(integers)
#define LANES ((size_t)(VECTOR_BYTES / sizeof(R)))

typedef R V __attribute__((vector_size(VECTOR_BYTES)));
typedef INTEGER IV __attribute__((vector_size(VECTOR_BYTES)));
typedef R CR(unaligned) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(R)), may_alias));

static inline V CR(load)(const R *p) { return *(const CR(unaligned) *)p; }
static inline void CR(store)(R *p, V x) { *(CR(unaligned) *)p = x; }
/* x in every lane.  x − 0 is x, also for −0 and NaN. */
static inline V CR(splat)(R x) { return x - (V){0}; }
/* a where the mask's lane is −1, b where it is 0 */
static inline V CR(select)(IV mask, V a, V b) { return (V)((mask & (IV)a) | (~mask & (IV)b)); }
/* max(a, b) and min(a, b); b if either is NaN */
static inline V CR(larger)(V a, V b) { return CR(select)(a > b, a, b); }
static inline V CR(smaller)(V a, V b) { return CR(select)(a < b, a, b); }

/* min(n, LANES) */
static CR_INLINE size_t CR(least)(size_t n) { return n < LANES ? n : LANES; }

/* The mask of the first n lanes, n ≤ LANES. */
static inline IV CR(first)(size_t n)
{
  static const INTEGER window[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  return (IV)CR(load)((const R *)&window[16 - n]);
}

/* ---- Transposing a block of LANES vectors ------------------------------------------------------
 * Stage s = 1, 2, 4 … exchanges lanes between vectors i and i + s: those of vector i whose index has bit s set, and
 * those of vector i + s whose index has not (Eklundh 1972). */

#if VECTOR_BYTES * 8 == 2 * REAL_BITS
#define CR_EVEN CR_LOW_2_1
#define CR_ODD CR_HIGH_2_1
#define CR_ZIP_LOW CR_LOW_2_1
#define CR_ZIP_HIGH CR_HIGH_2_1
#define CR_LOW(s) CR_LOW_2_##s
#define CR_HIGH(s) CR_HIGH_2_##s
#elif VECTOR_BYTES * 8 == 4 * REAL_BITS
#define CR_EVEN CR_EVEN_4
#define CR_ODD CR_ODD_4
#define CR_ZIP_LOW CR_ZIP_LOW_4
#define CR_ZIP_HIGH CR_ZIP_HIGH_4
#define CR_LOW(s) CR_LOW_4_##s
#define CR_HIGH(s) CR_HIGH_4_##s
#elif VECTOR_BYTES * 8 == 8 * REAL_BITS
#define CR_EVEN CR_EVEN_8
#define CR_ODD CR_ODD_8
#define CR_ZIP_LOW CR_ZIP_LOW_8
#define CR_ZIP_HIGH CR_ZIP_HIGH_8
#define CR_LOW(s) CR_LOW_8_##s
#define CR_HIGH(s) CR_HIGH_8_##s
#else
#define CR_EVEN CR_EVEN_16
#define CR_ODD CR_ODD_16
#define CR_ZIP_LOW CR_ZIP_LOW_16
#define CR_ZIP_HIGH CR_ZIP_HIGH_16
#define CR_LOW(s) CR_LOW_16_##s
#define CR_HIGH(s) CR_HIGH_16_##s
#endif
#define CR_STAGE(s)                                                                                        \
  CR_UNROLL for (size_t i = 0; i < LANES; i++)                                                             \
    if (!(i & s)) {                                                                                        \
      const V low = v[i], high = v[i + s];                                                                 \
      v[i] = __builtin_shufflevector(low, high, CR_LOW(s));                                                \
      v[i + s] = __builtin_shufflevector(low, high, CR_HIGH(s));                                           \
    }

static CR_INLINE void CR(transpose)(V *v)
{
  CR_STAGE(1)
#if VECTOR_BYTES * 8 >= 4 * REAL_BITS
  CR_STAGE(2)
#endif
#if VECTOR_BYTES * 8 >= 8 * REAL_BITS
  CR_STAGE(4)
#endif
#if VECTOR_BYTES * 8 >= 16 * REAL_BITS
  CR_STAGE(8)
#endif
}

/* Loads and transposes a block of LANES × LANES: v[i] is column i, with one row in each lane.  If there are
 * fewer than LANES rows, the other lanes are 0.  (Not inlined: it has about a hundred shuffles, and many
 * callers.) */
static CR_CALLED void CR(turn)(size_t rows, const R *from, size_t stride, V *v)
{
  if (rows >= LANES)
    CR_UNROLL for (size_t r = 0; r < LANES; r++) v[r] = CR(load)(&from[r * stride]);
  else
    CR_UNROLL for (size_t r = 0; r < LANES; r++) v[r] = r < rows ? CR(load)(&from[r * stride]) : (V){0};
  CR(transpose)(v);
}

/* The inverse: transposes and stores.  Columns from `count` on are written as 0. */
static CR_CALLED void CR(turn_back)(size_t rows, V *v, R *to, size_t stride, size_t count)
{
  for (size_t i = count; i < LANES; i++) v[i] = (V){0};
  CR(transpose)(v);
  if (rows >= LANES)
    CR_UNROLL for (size_t r = 0; r < LANES; r++) CR(store)(&to[r * stride], v[r]);
  else
    CR_UNROLL for (size_t r = 0; r < LANES; r++)
      if (r < rows) CR(store)(&to[r * stride], v[r]);
}

/* As turn, from column j, for rows without padding, [rows][n].  Reads nothing beyond the last element. */
static CR_CALLED void CR(turn_tight)(size_t rows, size_t n, const R *from, size_t j, V *v)
{
  if (n == 1 && rows >= LANES) {
    v[0] = CR(load)(from);
  } else if (rows >= LANES && (LANES - 1) * n + j + LANES <= rows * n) {
    CR(turn)(rows, &from[j], n, v);
  } else {
    R copy[VECTOR_BYTES / sizeof(R) * VECTOR_BYTES / sizeof(R)] = {0};
    const size_t there = CR(least)(rows);
    if (n <= LANES) __builtin_memcpy(copy, from, there * n * sizeof(R));
    for (size_t r = 0; n > LANES && r < there; r++)
      __builtin_memcpy(&copy[r * LANES], &from[r * n + j], CR(least)(n - j) * sizeof(R));
    CR(turn)(rows, copy, CR(least)(n), v);
  }
}

/* zip: to[i][0] = a[i], to[i][1] = b[i] for all lanes i.  unzip is the inverse. */
static CR_INLINE void CR(zip)(V a, V b, R *to)
{
  CR(store)(to, __builtin_shufflevector(a, b, CR_ZIP_LOW));
  CR(store)(to + LANES, __builtin_shufflevector(a, b, CR_ZIP_HIGH));
}
static CR_INLINE void CR(unzip)(const R *from, V *a, V *b)
{
  const V low = CR(load)(from), high = CR(load)(from + LANES);
  *a = __builtin_shufflevector(low, high, CR_EVEN);
  *b = __builtin_shufflevector(low, high, CR_ODD);
}

#undef CR_EVEN
#undef CR_ODD
#undef CR_ZIP_LOW
#undef CR_ZIP_HIGH
#undef CR_LOW
#undef CR_HIGH
#undef CR_STAGE

/* Load and store `count` ≤ LANES columns, each in a vector.  Element j of row r is at r stride + j step: a
 * matrix [rows][stride] has step 1, a matrix [columns][step] has stride 1. */
static CR_INLINE void CR(columns)(size_t rows, const R *from, size_t stride, size_t step, size_t count, V *v)
{
  if (step == 1) CR(turn)(rows, from, stride, v);
  else
    for (size_t i = 0; i < count; i++) v[i] = CR(load)(&from[i * step]);
}
static CR_INLINE void CR(put_columns)(size_t rows, V *v, R *to, size_t stride, size_t step, size_t count)
{
  if (step == 1) CR(turn_back)(rows, v, to, stride, count);
  else
    for (size_t i = 0; i < count; i++) CR(store)(&to[i * step], v[i]);
}

