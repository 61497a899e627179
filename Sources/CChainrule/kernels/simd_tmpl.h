/* Vectors of R, for one instruction set: V, of LANES lanes.
 *
 * + − × ÷ and comparisons are the compiler's, which knows vectors; products are fused only by CR(fma).  What
 * an instruction set adds stands in its simd_*.h, which also sets VECTOR_BYTES and the tile:
 *
 *     V fma(V a, V b, V c)     a b + c, rounded once
 *     V root(V x)              √x, correctly rounded
 *     V nearest(V x)           to the nearest integer, ties to even
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
/* x in every lane; x − 0 is x, for −0 and NaN too */
static inline V CR(splat)(R x) { return x - (V){0}; }
/* a where the mask's lane is −1, b where it is 0 */
static inline V CR(select)(IV mask, V a, V b) { return (V)((mask & (IV)a) | (~mask & (IV)b)); }
/* max(a, b), but b where either is NaN */
static inline V CR(larger)(V a, V b) { return CR(select)(a > b, a, b); }
static inline V CR(smaller)(V a, V b) { return CR(select)(a < b, a, b); }
