/* The error of the elementary functions, in units of the last place, and whether every kernel set has the
 * same bits.
 *
 *     ulp                      a sample, in seconds: the test
 *     ulp --full [FUNCTION …]  all floats and 10⁸ doubles of each function: half an hour
 *     ulp --time [FUNCTION …]  their time, with the fastest set
 *
 * Float is compared with the C library's double, double with its long double if that is wider.  With --full,
 * kernel sets that call fma() compute only every 16th block.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"
#if defined __x86_64__
#include <immintrin.h>
#endif
#if !defined __clang__
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors wider than the target's are passed in memory */
#else
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF
#endif

/* name, and the bound of its error in ULP */
#define FUNCTIONS(F)                                                                                         \
  F(exp, 1)                                                                                                  \
  F(log, 1)                                                                                                  \
  F(expm1, 2)                                                                                                \
  F(log1p, 2)                                                                                                \
  F(tanh, 2)                                                                                                 \
  F(sigmoid, 2)                                                                                              \
  F(softplus, 2)                                                                                             \
  F(gauss, 2)                                                                                                \
  F(normal_cdf, 2)                                                                                           \
  F(log_cosh, 2)                                                                                             \
  F(tanh_softplus, 2)                                                                                        \
  F(tanh_softplus_derivative, 2)

#define NAME(name, ...) #name,
#define BOUND(name, bound) bound,
static const char *const names[] = {FUNCTIONS(NAME)};
static const double bounds[] = {FUNCTIONS(BOUND)};
enum { COUNT = sizeof names / sizeof *names, BLOCK = 4096 };

/* ---- The kernel sets ---- */

typedef void (*function)(const void *from, void *to, size_t n);
#define PASTE(a, b, c) PASTE_EXPANDED(a, b, c)
#define PASTE_EXPANDED(a, b, c) a##_##b##_##c

#define ISA baseline
#define SIMD "kernels/simd_baseline.h"
#define VECTOR_BYTES 16
#include "ulp_tmpl.h"

/* The template at a width that this CPU may not have */
#define ISA wide
#define SIMD "kernels/simd_baseline.h"
#define VECTOR_BYTES 64
#include "ulp_tmpl.h"

#if defined __x86_64__
#if defined __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ISA avx2
#define SIMD "kernels/simd_avx2.h"
#define VECTOR_BYTES 32
#include "ulp_tmpl.h"
#if defined __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))),         \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#endif
#define ISA avx512
#define SIMD "kernels/simd_avx512.h"
#define VECTOR_BYTES 64
#include "ulp_tmpl.h"
#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

static bool always(void) { return true; }
#if defined __x86_64__
static bool has_avx2(void) { return __builtin_cpu_supports("x86-64-v3"); }
static bool has_avx512(void) { return __builtin_cpu_supports("x86-64-v4"); }
#endif

static const struct {
  const char *name;
  bool (*supported)(void);
  bool quick;
  const function *tables[2]; /* float, double */
} sets[] = {
#if defined __x86_64__
    {"avx512", has_avx512, true, {avx512_table_f32, avx512_table_f64}},
    {"avx2", has_avx2, true, {avx2_table_f32, avx2_table_f64}},
#endif
    {"baseline", always, false, {baseline_table_f32, baseline_table_f64}},
    {"wide", always, false, {wide_table_f32, wide_table_f64}},
};
enum { SETS = sizeof sets / sizeof *sets };

/* ---- The references ---- */

typedef struct worst {
  double error, at;
} worst;
#define REFERENCE(name, ...) REF(name),

#include "kernels/real_f32.h"
#define W double
#define X(function) function
#define REF(name) reference_##name##_f32
#define LOW_HALF_ROOT -4.8336466567264565186e-17
#define DIGITS FLT_MANT_DIG
#define MIN_EXPONENT FLT_MIN_EXP
#define MAX_EXPONENT FLT_MAX_EXP
#define MAX_R FLT_MAX
#include "ulp_reference_tmpl.h"
#undef W
#undef X
#undef REF
#undef LOW_HALF_ROOT
#undef DIGITS
#undef MIN_EXPONENT
#undef MAX_EXPONENT
#undef MAX_R

#include "kernels/real_f64.h"
#define W long double
#define X(function) function##l
#define REF(name) reference_##name##_f64
#define LOW_HALF_ROOT (LDBL_MANT_DIG == 64 ? 1.8950325588932570797e-20L : 0)
#define DIGITS DBL_MANT_DIG
#define MIN_EXPONENT DBL_MIN_EXP
#define MAX_EXPONENT DBL_MAX_EXP
#define MAX_R DBL_MAX
#include "ulp_reference_tmpl.h"

/* ---- The arguments ---- */

/* SplitMix64 (Steele et al. 2014) */
static uint64_t seed = 1;
static uint64_t random_bits(void)
{
  uint64_t z = seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double uniform(void) { return ldexp((double)(int64_t)random_bits(), -63); } /* [-1, 1] */

/* Alternates: any bits; uniform in ±40; any exponent from 2⁻⁶⁰ to 2¹⁰; as close to ±1 */
static double random_double(size_t i)
{
  double x;
  const uint64_t bits = random_bits();
  switch (i % 4) {
  case 0: memcpy(&x, &bits, sizeof x); return x;
  case 1: return 40 * uniform();
  case 2: return ldexp(uniform(), (int)(bits % 71) - 60);
  default: return (bits & 64 ? 1 : -1) * (1 + ldexp(uniform(), -(int)(bits % 53)));
  }
}

static const double special[] = {0.0,       -0.0,       INFINITY, -INFINITY, NAN,       1,          -1,
                                 0x1p-1074, -0x1p-1074, 0x1p-149, -0x1p-149, 0x1p-1022, -0x1p-1022, 0x1p-126,
                                 -0x1p-126, DBL_MAX,    -DBL_MAX, FLT_MAX,   -FLT_MAX};

static bool failed;

/* Whether all sets agree on a block of n ≤ BLOCK; `values` get the first set's. */
static void evaluate(size_t index, bool is_double, bool all, const void *arguments, void *values, size_t n)
{
  static double other[BLOCK];
  const size_t size = is_double ? sizeof(double) : sizeof(float);
  bool first = true;
  for (size_t s = 0; s < SETS; s++) {
    if (!sets[s].supported() || !(first || all || sets[s].quick)) continue;
    sets[s].tables[is_double][index](arguments, first ? values : other, n);
    for (size_t i = 0; !first && i < n; i++) {
      if (!memcmp((char *)values + i * size, (char *)other + i * size, size)) continue;
      const double a = is_double ? ((double *)values)[i] : (double)((float *)values)[i];
      const double b = is_double ? other[i] : (double)((float *)other)[i];
      if (isnan(a) && isnan(b)) continue; /* the bits of a NaN may differ */
      const double x = is_double ? ((const double *)arguments)[i] : (double)((const float *)arguments)[i];
      printf("%s(%a): %s has other bits, %a for %a\n", names[index], x, sets[s].name, b, a);
      failed = true;
      return;
    }
    first = false;
  }
}

static void report(size_t index, const char *type, worst found)
{
  const bool good = found.error <= bounds[index];
  printf("%-26s %-6s %8.4f ULP at %-24a%s\n", names[index], type, found.error, found.at,
         good ? "" : " beyond its bound");
  fflush(stdout);
  failed |= !good;
}

static void test_float(size_t index, uint64_t stride, bool full)
{
  static float x[BLOCK], y[BLOCK];
  worst found = {0};
  size_t blocks = 0;
  for (uint64_t bits = 0; bits >> 32 == 0; blocks++) {
    for (size_t i = 0; i < BLOCK; i++, bits += stride) {
      const uint32_t pattern = (uint32_t)bits;
      memcpy(&x[i], &pattern, sizeof pattern);
    }
    evaluate(index, false, !full || blocks % 16 == 0, x, y, BLOCK);
    reference_judge_f32(index, x, y, BLOCK, &found);
  }
  for (size_t i = 0; i < BLOCK; i++) x[i] = (float)special[i % (sizeof special / sizeof *special)];
  evaluate(index, false, true, x, y, BLOCK);
  reference_judge_f32(index, x, y, BLOCK, &found);
  report(index, "float", found);
}

static void test_double(size_t index, uint64_t count, bool full)
{
  static double x[BLOCK], y[BLOCK];
  worst found = {0};
  for (uint64_t done = 0; done < count; done += BLOCK) {
    for (size_t i = 0; i < BLOCK; i++)
      x[i] = done ? random_double(i) : special[i % (sizeof special / sizeof *special)];
    evaluate(index, true, !full || done / BLOCK % 16 == 0, x, y, BLOCK);
    if (LDBL_MANT_DIG > DBL_MANT_DIG) reference_judge_f64(index, x, y, BLOCK, &found);
  }
  report(index, "double", found);
}

/* The shortest of 500 runs with 20 blocks of numbers in ±4, in ns a number */
static double time_of(function f, const void *x, void *y)
{
  double least = INFINITY;
  for (int run = 0; run < 500; run++) {
    struct timespec start, end;
    timespec_get(&start, TIME_UTC);
    for (int i = 0; i < 20; i++) f(x, y, BLOCK);
    timespec_get(&end, TIME_UTC);
    least = fmin(least, 1e9 * (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec));
  }
  return least / (20 * BLOCK);
}

static void report_time(size_t index)
{
  static float x[BLOCK], y[BLOCK];
  static double wide_x[BLOCK], wide_y[BLOCK];
  size_t s = 0;
  while (!sets[s].supported()) s++;
  for (size_t i = 0; i < BLOCK; i++) wide_x[i] = 4 * uniform(), x[i] = (float)wide_x[i];
  printf("%-26s %-8s float %6.3f ns, double %6.3f ns\n", names[index], sets[s].name,
         time_of(sets[s].tables[0][index], x, y), time_of(sets[s].tables[1][index], wide_x, wide_y));
}

int main(int argc, char **argv)
{
  const bool full = argc > 1 && !strcmp(argv[1], "--full"), timed = argc > 1 && !strcmp(argv[1], "--time");
  for (size_t index = 0; index < COUNT; index++) {
    bool chosen = argc < 3;
    for (int i = 2; i < argc; i++) chosen |= !strcmp(argv[i], names[index]);
    if (!chosen) continue;
    if (timed) {
      report_time(index);
      continue;
    }
    test_float(index, full ? 1 : 4099, full);
    test_double(index, full ? 100000000 : 500000, full);
  }
  return failed;
}
