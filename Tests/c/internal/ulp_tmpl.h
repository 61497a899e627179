/* The functions of math_tmpl.h on arrays, for one kernel set ISA, with the operations of SIMD on vectors of
 * VECTOR_BYTES.  See ulp.c. */
#define OVER_ARRAY(name, ...)                                                                                \
  __attribute__((flatten)) static void CR(name)(const void *from, void *to, size_t n)                        \
  {                                                                                                          \
    const R *x = from;                                                                                       \
    R *y = to;                                                                                               \
    for (size_t i = 0; i < n; i += LANES) CR(store)(y + i, CR(v_##name)(CR(load)(x + i)));                   \
  }
#define ENTRY(name, ...) CR(name),

#include "kernels/real_f32.h"
#undef CR
#define CR(name) PASTE(ISA, name, SCALAR)
#include SIMD
#include "kernels/math_tmpl.h"
FUNCTIONS(OVER_ARRAY)
static const function CR(table)[] = {FUNCTIONS(ENTRY)};

#include "kernels/real_f64.h"
#undef CR
#define CR(name) PASTE(ISA, name, SCALAR)
#include SIMD
#include "kernels/math_tmpl.h"
FUNCTIONS(OVER_ARRAY)
static const function CR(table)[] = {FUNCTIONS(ENTRY)};

#undef OVER_ARRAY
#undef ENTRY
#undef ISA
#undef SIMD
#undef VECTOR_BYTES
