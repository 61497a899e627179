/* AVX-512: vectors of 64 bytes.  A tile is 12 rows by 2 vectors: 24 of the 32 registers; the others hold
 * factors. */
#ifndef VECTOR_BYTES
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#define TILE_TERMS 1
#define TILE_KINDS 4
#endif
#include "simd_tmpl.h"

#if REAL_BITS == 32
static inline V CR(fma)(V a, V b, V c) { return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline V CR(root)(V x) { return (V)_mm512_sqrt_ps((__m512)x); }
static inline V CR(nearest)(V x) { return (V)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT); }
static inline V CR(load_first)(size_t n, const R *p) { return (V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
#else
static inline V CR(fma)(V a, V b, V c) { return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
static inline V CR(root)(V x) { return (V)_mm512_sqrt_pd((__m512d)x); }
static inline V CR(nearest)(V x) { return (V)_mm512_roundscale_pd((__m512d)x, _MM_FROUND_TO_NEAREST_INT); }
static inline V CR(load_first)(size_t n, const R *p) { return (V)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
#endif
