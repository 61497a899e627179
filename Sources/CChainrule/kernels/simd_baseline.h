/* Any CPU: vectors of 16 bytes, compiled to whatever instructions there are.  fma is the C library's, lane by
 * lane; it is not inlined, because it has very many callers and is slow anyway. */
#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#define TILE_TERMS 1
#define TILE_KINDS 1
#endif
#include "simd_tmpl.h"

static CR_CALLED V CR(fma)(V a, V b, V c)
{
  V result = {0};
  for (size_t i = 0; i < LANES; i++) result[i] = M(fma)(a[i], b[i], c[i]);
  return result;
}

static inline V CR(root)(V x)
{
  V result = {0};
  for (size_t i = 0; i < LANES; i++) result[i] = M(sqrt)(x[i]);
  return result;
}

static inline V CR(nearest)(V x)
{
  V result = {0};
  for (size_t i = 0; i < LANES; i++) result[i] = M(nearbyint)(x[i]);
  return result;
}

static inline V CR(load_first)(size_t n, const R *p)
{
  V x = {0};
  for (size_t i = 0; i < n; i++) x[i] = p[i];
  return x;
}
