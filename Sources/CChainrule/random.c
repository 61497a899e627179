/* Random numbers from our own generator, which GSL's functions use, too.
 *
 * GSL's error handler belongs to the host, and aborts by default.  No GSL call here can fail, because none
 * allocates.
 */
#include "random.h"

#include <math.h>

#include <gsl/gsl_randist.h> /* gsl_ran_shuffle, all integers */
#include <gsl/gsl_rng.h>

/* ---- Random numbers ----------------------------------------------------------------------------
 * The generator is xoshiro256++ (Blackman & Vigna 2021), with its state filled by SplitMix64 (Steele et al. 2014),
 * because GSL's generators take only 32 bits of seed.  The shuffle is GSL's, which uses integers only.  The
 * distributions are our own: GSL's would not give the same bits everywhere, because a GSL compiled for a CPU with fma
 * fuses products and sums. */

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

/* A GSL generator over our state; gsl_rng_alloc would allocate. */
static gsl_rng generator(cr_random *random) { return (gsl_rng){&xoshiro, random->state}; }

cr_random cr_random_stream(uint64_t seed, uint64_t stream)
{
  uint64_t state = seed;
  state = split_mix(&state) ^ stream;
  cr_random random;
  for (int i = 0; i < 4; i++) random.state[i] = split_mix(&state);
  return random;
}

/* Uniform in [−bound, bound). */
static double uniform(cr_random *random, double bound)
{
  const double u = next_double(random);
  return -bound * (1 - u) + bound * u;
}

/* log u for a normal number u > 0, to a few ULP: 2 artanh((m − 1) / (m + 1)) + k log 2, where u = 2ᵏ m, √½ ≤
 * m < √2.  The C library's log does not have the same bits on every system. */
static double logarithm(double u)
{
  int k;
  double m = frexp(u, &k);
  if (m < 0x1.6a09e667f3bcdp-1) m *= 2, k--;
  const double f = (m - 1) / (m + 1), square = f * f;
  double sum = 0;
  for (int i = 23; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
  return 2 * f * sum + k * 0x1.62e42fefa39efp-1;
}

/* A normal deviate by the ratio of uniforms (Kinderman & Monahan 1977): v / u, for a point (u, v) that is
 * uniform in 0 < u ≤ 1, |v| ≤ √(2/e) and accepted if v² ≤ −4 u² log u.  Two ellipses decide most points
 * without a logarithm (Leva 1992). */
static double normal(cr_random *random, double sigma)
{
  for (;;) {
    const double u = 1 - next_double(random), v = (next_double(random) - 0.5) * 1.7156;
    const double x = u - 0.449871, y = fabs(v) + 0.386595;
    const double q = x * x + y * (0.19600 * y - 0.25472 * x);
    if (q < 0.27597 || (q <= 0.27846 && v * v <= -4 * u * u * logarithm(u))) return sigma * (v / u);
  }
}

double cr_draw(cr_random *random, chainrule_initializer initializer, size_t fan_in, size_t fan_out)
{
  const double in = (double)fan_in, both = in + (double)fan_out, value = initializer.value;
  switch (initializer.kind) {
  case CHAINRULE_INITIALIZER_GLOROT_UNIFORM: return uniform(random, sqrt(6 / both));
  case CHAINRULE_INITIALIZER_GLOROT_NORMAL: return normal(random, sqrt(2 / both));
  case CHAINRULE_INITIALIZER_HE_UNIFORM: return uniform(random, sqrt(6 / in));
  case CHAINRULE_INITIALIZER_HE_NORMAL: return normal(random, sqrt(2 / in));
  case CHAINRULE_INITIALIZER_LECUN_NORMAL: return normal(random, sqrt(1 / in));
  case CHAINRULE_INITIALIZER_UNIFORM: return uniform(random, value);
  case CHAINRULE_INITIALIZER_NORMAL: return normal(random, value);
  case CHAINRULE_INITIALIZER_CONSTANT: return value;
  case CHAINRULE_INITIALIZER_DEFAULT: /* plan.c has replaced it */
  case CHAINRULE_INITIALIZER_ZEROS: break;
  }
  return 0;
}

double cr_noise(cr_random *random, double sigma) { return normal(random, sigma); }

void cr_shuffle(cr_random *random, size_t *order, size_t count)
{
  gsl_rng rng = generator(random);
  for (size_t i = 0; i < count; i++) order[i] = i;
  gsl_ran_shuffle(&rng, order, count, sizeof *order);
}
