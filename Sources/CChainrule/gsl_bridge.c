/* The GNU Scientific Library: every random draw, and the kernel set `gsl`.
 *
 * GSL's error handler belongs to the host and by default aborts.  Nothing here lets GSL fail: sizes are
 * at least 1, views fit their arrays, and nothing is allocated.
 */
#include "internal.h"

#include <math.h>

#include <gsl/gsl_blas.h>
#include <gsl/gsl_matrix.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_vector.h>

/* ---- Random numbers ----------------------------------------------------------------------------
 * GSL draws from a generator of ours, because its own take 32 bits of seed: xoshiro256++ (Blackman &
 * Vigna 2021), its state filled by SplitMix64 (Steele et al. 2014). */

static uint64_t split_mix(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static unsigned long next(void *state)
{
  uint64_t *s = state, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

/* [0, 1), multiples of 2⁻⁵³ */
static double next_double(void *state) { return (double)(next(state) >> 11) * 0x1p-53; }

static void reseed(void *state, unsigned long seed) { *(cr_random *)state = cr_random_stream(seed, 0); }

_Static_assert(sizeof(unsigned long) == 8, "GSL returns random numbers as unsigned long");
static const gsl_rng_type xoshiro = {"xoshiro256++", ~0ul, 0, sizeof(cr_random), reseed, next, next_double};

/* A GSL generator over our state, without gsl_rng_alloc. */
static gsl_rng generator(cr_random *random) { return (gsl_rng){&xoshiro, random->state}; }

cr_random cr_random_stream(uint64_t seed, uint64_t stream)
{
  uint64_t state = seed;
  state = split_mix(&state) ^ stream;
  cr_random random;
  for (int i = 0; i < 4; i++) random.state[i] = split_mix(&state);
  return random;
}

/* Normal deviates by the ratio of uniforms (Leva 1992), whose values are exact quotients: the same bits
 * whatever the C library's log and exp. */
double cr_draw(cr_random *random, chainrule_initializer initializer, size_t fan_in, size_t fan_out)
{
  gsl_rng rng = generator(random);
  const double in = (double)fan_in, both = in + (double)fan_out, value = initializer.value;
  switch (initializer.kind) {
  case CHAINRULE_INITIALIZER_GLOROT_UNIFORM: return gsl_ran_flat(&rng, -sqrt(6 / both), sqrt(6 / both));
  case CHAINRULE_INITIALIZER_GLOROT_NORMAL: return gsl_ran_gaussian_ratio_method(&rng, sqrt(2 / both));
  case CHAINRULE_INITIALIZER_HE_UNIFORM: return gsl_ran_flat(&rng, -sqrt(6 / in), sqrt(6 / in));
  case CHAINRULE_INITIALIZER_HE_NORMAL: return gsl_ran_gaussian_ratio_method(&rng, sqrt(2 / in));
  case CHAINRULE_INITIALIZER_LECUN_NORMAL: return gsl_ran_gaussian_ratio_method(&rng, sqrt(1 / in));
  case CHAINRULE_INITIALIZER_UNIFORM: return gsl_ran_flat(&rng, -value, value);
  case CHAINRULE_INITIALIZER_NORMAL: return gsl_ran_gaussian_ratio_method(&rng, value);
  case CHAINRULE_INITIALIZER_CONSTANT: return value;
  case CHAINRULE_INITIALIZER_DEFAULT: /* the plan has put another in its place */
  case CHAINRULE_INITIALIZER_ZEROS: break;
  }
  return 0;
}

double cr_noise(cr_random *random, double sigma)
{
  gsl_rng rng = generator(random);
  return gsl_ran_gaussian_ratio_method(&rng, sigma);
}

void cr_shuffle(cr_random *random, size_t *order, size_t count)
{
  gsl_rng rng = generator(random);
  for (size_t i = 0; i < count; i++) order[i] = i;
  gsl_ran_shuffle(&rng, order, count, sizeof *order);
}

/* ---- The kernel set gsl ------------------------------------------------------------------------ */

#define GSL_VECTOR(name) gsl_vector_float_##name
#define GSL_MATRIX(name) gsl_matrix_float_##name
#define BLAS(name) gsl_blas_s##name
#include "kernels/real_f32.h"
#include "gsl_tmpl.h"

#undef GSL_VECTOR
#undef GSL_MATRIX
#undef BLAS
#define GSL_VECTOR(name) gsl_vector_##name
#define GSL_MATRIX(name) gsl_matrix_##name
#define BLAS(name) gsl_blas_d##name
#include "kernels/real_f64.h"
#include "gsl_tmpl.h"
