/* x86-64 with AVX2 and FMA (2013). */
#if defined __x86_64__
#include <immintrin.h>
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "kernels.h"

#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define SIMD "simd_avx2.h"
#define HAS_LANES 1
#define HAS_ROWS 1
#define NARROW_KERNEL(name) CR(name)
#define ROWS &CR(rows)
#include "all_tmpl.h"

#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

static bool supported(void) { return __builtin_cpu_supports("x86-64-v3"); }

const cr_kernel_set cr_isa_avx2 = {"avx2", supported, VECTOR_BYTES, &cr_table_f32, &cr_table_f64};
#else
typedef int cr_no_avx2; /* ISO C requires a declaration */
#endif
