/* AVX2 and FMA: vectors of 32 bytes.  A tile is 6 rows by 2 vectors: 12 of the 16 registers; the others hold
 * factors. */
#ifndef VECTOR_BYTES
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#define TILE_TERMS 4
#define TILE_KINDS 3
#endif
#include "simd_tmpl.h"

#if REAL_BITS == 32
static inline V CR(fma)(V a, V b, V c) { return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline V CR(root)(V x) { return (V)_mm256_sqrt_ps((__m256)x); }
static inline V CR(nearest)(V x) { return (V)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline V CR(load_first)(size_t n, const R *p) { return (V)_mm256_maskload_ps(p, (__m256i)CR(first)(n)); }
#else
static inline V CR(fma)(V a, V b, V c) { return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
static inline V CR(root)(V x) { return (V)_mm256_sqrt_pd((__m256d)x); }
static inline V CR(nearest)(V x) { return (V)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline V CR(load_first)(size_t n, const R *p) { return (V)_mm256_maskload_pd(p, (__m256i)CR(first)(n)); }
#endif
