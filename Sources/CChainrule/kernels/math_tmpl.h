/* Elementary functions of a vector.  Every instruction set does the same operations in the same order, so
 * that the bits are the same.
 *
 * Each function reduces its argument to a short interval, evaluates a polynomial there, and reconstructs the
 * result, as in Cody & Waite, "Software Manual for the Elementary Functions" (1980), and Muller, "Elementary
 * Functions" (3rd ed. 2016), chapters 3, 5 and 11.  coefficients.c has the polynomials.  There are no
 * branches: results for special arguments are selected at the end.  NaN gives NaN.  Denormal arguments and
 * results are as exact as others.  docs/numerics.md has bounds of the error, which Tests/c/internal/ulp.c
 * measures.
 *
 * u = 2^-24 (float) or 2^-53 (double) is the unit roundoff.
 *
 * scripts/c-functions translates these functions into scalar ones, for exported C.
 */

#undef NATURAL
#undef FRACTION
#undef ROOT_HALF
#undef SMALLEST
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef EXPM1_LOWEST
#undef GAUSS_END
#undef MILLS_CENTER
#if REAL_BITS == 32
#define NATURAL uint32_t
#define FRACTION 23          /* bits of the fraction */
#define ROOT_HALF 0x3f3504f3 /* the bits of √½ */
#define SMALLEST 0x1p-126f   /* the smallest normal number */
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits, so that its product with an exponent is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOWEST -104         /* e^x is 0 from here, */
#define EXP_HIGHEST 89          /* ∞ from here, */
#define EXPM1_LOWEST -20        /* and less than u/2 from here */
#define GAUSS_END 15            /* e^(-x²/2) is 0 from here */
#define MILLS_CENTER 3.375f     /* c, chosen so that c₀ has a small rounding error */
#else
#define NATURAL uint64_t
#define FRACTION 52
#define ROOT_HALF 0x3fe6a09e667f3bcd
#define SMALLEST 0x1p-1022
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42fefa38p-1 /* 42 bits */
#define LN2_LOW 0x1.ef35793c7673p-45
#define EXP_LOWEST -746
#define EXP_HIGHEST 710
#define EXPM1_LOWEST -40
#define GAUSS_END 39
#define MILLS_CENTER 5.375
#endif

/* Functions that the others call: inlined, except in a set where small code matters more than calls. */
#ifndef CR_ELEMENTARY
#define CR_ELEMENTARY CR_INLINE
#endif

#undef B
#define B CR(bits)
typedef NATURAL B __attribute__((vector_size(VECTOR_BYTES)));

/* A number as a sum of two: high is the number rounded, low the rounding error. */
typedef struct CR(pair) {
  V high, low;
} CR(pair);

#ifndef SHIFTER
#define BIAS ((1 << (REAL_BITS - FRACTION - 2)) - 1)       /* of exponents: 127, 1023 */
#define FAR ((BIAS + 1) / 2)                               /* an exponent far from both ends: 64, 512 */
#define PLACED(exponent) ((NATURAL)(exponent) << FRACTION) /* the exponent in its bits */
#define WHOLE ((R)PLACED(1))                               /* numbers from here on are integers */
#define SHIFTER (WHOLE + WHOLE / 2 + (BIAS - 1)) /* x + SHIFTER ends in the bits of x + BIAS − 1, rounded */
#define TINY (1 / (8 * WHOLE))                   /* u/4 */
#define HORNER(x, c) CR(v_horner)(x, sizeof c / sizeof *c, c)
#define WHERE(condition, bits) ((B)(condition) & (bits)) /* bits in lanes where it holds, else 0 */
#endif

/* c₀ + c₁ x + c₂ x² + … with `count` coefficients, a constant: Horner's rule in x², on pairs c₂ᵢ + c₂ᵢ₊₁ x.
 * The pairs are independent, which halves the length of the dependency chain. */
static CR_INLINE V CR(v_horner)(V x, size_t count, const SHARED(coefficient) *c)
{
  const V square = x * x;
  size_t i = (count - 1) / 2 * 2;
  V sum = CR(load)(c[i]);
  if (count % 2 == 0) sum = CR(fma)(CR(load)(c[i + 1]), x, sum);
  CR_UNROLL for (; i > 0; i -= 2)
    sum = CR(fma)(sum, square, CR(fma)(CR(load)(c[i - 1]), x, CR(load)(c[i - 2])));
  return sum;
}

#define SIGN ((NATURAL)1 << (REAL_BITS - 1))
static CR_INLINE V CR(v_magnitude)(V x) { return (V)((B)x & (SIGN - 1)); }

/* ---- eˣ = 2ᵏ eʳ,  k = ⌊x log₂ e⌉, r = x − k log 2, |r| ≤ ½ log 2 ----
 *
 * Adding SHIFTER rounds x log₂ e to the integer k and leaves k + BIAS − 1 in the low bits, which a shift turns into 2ᵏ⁻¹.
 * k log 2 is subtracted in two parts, the first of which is exact.  eʳ = 1 + r + r² q(r).
 */
#define EXP_REDUCE(x)                                                                                        \
  const V shifted = CR(fma)(x, CR(splat)(LOG2_E), CR(splat)(SHIFTER)), k = shifted - SHIFTER,                \
          high = CR(fma)(k, CR(splat)(-LN2_HIGH), x)

/* Returns eʳ 2ᵏ⁻¹, which the caller multiplies by *last = 2.  For a small k the two factors are 2ᵏ⁻¹⁺⁶⁴ and
 * 2⁻⁶³ (float), so that only the product with *last can be denormal.  The first factor is applied as 2ᵏ⁻¹ +
 * 2ᵏ⁻¹ r (…), where 2ᵏ⁻¹ r is exact and does not wait for the polynomial.  The compiler drops the low part if
 * it is not used. */
static CR_INLINE CR(pair) CR(v_exp_scaled)(V r, V shifted, V *last)
{
  const B far = WHERE(shifted < SHIFTER - FAR, PLACED(FAR));
  const V scale = (V)(((B)shifted << FRACTION) + far), scaled = scale * r;
  const V rest = CR(fma)(HORNER(r, SHARED(c_exp)), r, CR(splat)(1));
  const V high = CR(fma)(rest, scaled, scale);
  *last = (V)(PLACED(BIAS + 1) - far);
  return (CR(pair)){high, CR(fma)(rest, scaled, scale - high)};
}

/* eˣ before the product with *last, for x ≤ EXP_HIGHEST */
static CR_ELEMENTARY CR(pair) CR(v_exp_part)(V x, V *last)
{
  x = CR(larger)(CR(splat)(EXP_LOWEST), x);
  EXP_REDUCE(x);
  return CR(v_exp_scaled)(CR(fma)(k, CR(splat)(-LN2_LOW), high), shifted, last);
}

static CR_INLINE V CR(v_exp)(V x)
{
  V last;
  const CR(pair) part = CR(v_exp_part)(CR(smaller)(CR(splat)(EXP_HIGHEST), x), &last);
  return part.high * last;
}

/* e^(−x²/2) before the product with *last, for 0 ≤ x ≤ GAUSS_END.  x² has twice the digits of x, and its
 * absolute error is a relative error of the result.  So x² is a pair, whose low part is added to r. */
static CR_INLINE CR(pair) CR(v_gauss_part)(V x, V *last)
{
  const V square = x * x, rest = CR(fma)(x, x, -square);
  EXP_REDUCE((R)-0.5 * square);
  return CR(v_exp_scaled)(high + CR(fma)(k, CR(splat)(-LN2_LOW), (R)-0.5 * rest), shifted, last);
}

static CR_INLINE V CR(v_gauss)(V x)
{
  V last;
  const CR(pair) part = CR(v_gauss_part)(CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x)), &last);
  return part.high * last;
}

/* ½ (eˣ − 1) = (2ᵏ⁻¹ − ½) + 2ᵏ⁻¹ r + 2ᵏ⁻¹ (r² q(r) + c), for x ≥ EXPM1_LOWEST.  c is the rounding error of r;
 * the rounding error of the first sum is added to the rest.  The factor ½ keeps 2ᵏ⁻¹ finite, but loses the
 * last bit of denormals. */
static CR_ELEMENTARY CR(pair) CR(v_half_expm1)(V x)
{
  EXP_REDUCE(x);
  const V r = CR(fma)(k, CR(splat)(-LN2_LOW), high), c = CR(fma)(k, CR(splat)(-LN2_LOW), high - r);
  const V scale = (V)((B)shifted << FRACTION), base = scale - (R)0.5;
  const V sum = CR(fma)(scale, r, base), lost = CR(fma)(scale, r, base - sum);
  const V rest = CR(fma)(scale, CR(fma)(r * r, HORNER(r, SHARED(c_exp)), c), lost), y = sum + rest;
  return (CR(pair)){y, rest - (y - sum)};
}

/* eˣ − 1; for |x| < u/4 it is x, because x²/2 is below the rounding error */
static CR_INLINE V CR(v_expm1)(V x)
{
  const V clamped = CR(larger)(CR(splat)(EXPM1_LOWEST), CR(smaller)(CR(splat)(EXP_HIGHEST), x));
  return CR(select)(CR(v_magnitude)(x) < TINY, x, 2 * CR(v_half_expm1)(clamped).high);
}
#undef EXP_REDUCE

/* ---- log x = k log 2 + log m,  x = 2ᵏ m, √½ ≤ m < √2 ----
 *
 * With f = m − 1, s = f / (2 + f), z = s²:  log m = log((1 + s) / (1 − s)) = 2 s + s z p(z).  Because 2 s = f − s f and
 * s f = ½ f² − ½ s f², this is f − (½ f² − s (½ f² + z p(z))), whose first term is exact and by far the largest.  The sum of
 * this term and k log 2 keeps its rounding error (Dekker 1971; |k log 2| > |f| or k = 0).
 */

/* log x − shift log 2 + rest, for x positive and normal */
static CR_ELEMENTARY V CR(v_log_sum)(V x, V shift, V rest)
{
  const B parts = (B)x + (PLACED(BIAS) - ROOT_HALF); /* exponent k + BIAS; the fraction counts from √½ */
  const V k = (V)((parts >> FRACTION) | PLACED(BIAS + FRACTION)) - (shift + (WHOLE + BIAS));
  const V f = (V)((parts & (PLACED(1) - 1)) + ROOT_HALF) - 1;
  const V s = f / (f + 2), z = s * s, half = (R)0.5 * f * f;
  const V head = CR(fma)(k, CR(splat)(LN2_HIGH), f), lost = CR(fma)(k, CR(splat)(LN2_HIGH), -head) + f;
  const V tail = CR(fma)(s, CR(fma)(z, HORNER(z, SHARED(c_log)), half), CR(fma)(k, CR(splat)(LN2_LOW), rest));
  return head + (lost + (tail - half));
}

/* Selects y = log x for positive finite x, log 0 = −∞, log ∞ = ∞, and otherwise NaN */
static CR_INLINE V CR(v_log_special)(V x, V y)
{
  const V infinity = CR(splat)((R)INFINITY), pole = CR(select)(x == 0, -infinity, CR(splat)((R)NAN));
  return CR(select)(x > 0, CR(select)(x < infinity, y, x), pole);
}

/* A denormal is scaled to a normal number first. */
static CR_INLINE V CR(v_log)(V x)
{
  const IV denormal = x < SMALLEST;
  const V shift = CR(select)(denormal, CR(splat)(FRACTION + 1), CR(splat)(0));
  return CR(v_log_special)(x, CR(v_log_sum)(CR(select)(denormal, x * (2 * WHOLE), x), shift, CR(splat)(0)));
}

/* log(1 + x) = log(u + c) = log u + c / u, where u + c = 1 + x exactly (Knuth's sum) */
static CR_INLINE V CR(v_log1p)(V x)
{
  const V u = 1 + x, b = u - 1, c = (1 - (u - b)) + (x - b);
  const V y = CR(v_log_special)(u, CR(v_log_sum)(u, CR(splat)(0), c / u));
  return CR(select)(CR(v_magnitude)(x) < TINY, x, y);
}

/* ---- Functions of e^−|x|, which never overflows ---- */

/* t = e^−|x|, and *one_more = 1 + t by one fma, which does not wait for t.  If t is rounded, it is negligible
 * compared to 1. */
static CR_INLINE CR(pair) CR(v_exp_falling)(V x, V *one_more)
{
  V last;
  const CR(pair) part = CR(v_exp_part)(-CR(v_magnitude)(x), &last);
  *one_more = CR(fma)(part.high, last, CR(splat)(1));
  return (CR(pair)){part.high * last, part.low * last};
}

/* 1 / (1 + e⁻ˣ) = n − n q, with t = e^−|x|, q = t / (1 + t), and n = t for x < 0, else 1.  If q is small, its
 * rounding error is negligible in n (1 − q), while t / (1 + t) alone would have all of it. */
static CR_INLINE V CR(v_sigmoid)(V x)
{
  V u;
  const V t = CR(v_exp_falling)(x, &u).high, n = CR(select)(x < 0, t, CR(splat)(1));
  return CR(fma)(-n, t / u, n);
}

/* log(1 + eˣ) = max(x, 0) + log(1 + t), t = e^−|x| */
static CR_INLINE V CR(v_softplus)(V x)
{
  V u;
  const V t = CR(v_exp_falling)(x, &u).high;
  return CR(larger)(CR(splat)(0), x) + CR(v_log_sum)(u, CR(splat)(0), (t - (u - 1)) / u);
}

/* tanh |x| = h / (1 + h), h = ½ (e^(2|x|) − 1), where 1 / (1 + h) reduces the error of h.  The result has the
 * sign of x, also for x = ±0. */
static CR_INLINE V CR(v_tanh)(V x)
{
  const V size = CR(v_magnitude)(x);
  const V h = CR(v_half_expm1)(CR(smaller)(CR(splat)(-EXPM1_LOWEST), 2 * size)).high,
          n = CR(smaller)(h, CR(splat)(1));
  return (V)((B)CR(fma)(-n, n / (1 + h), n) | ((B)x & SIGN));
}

/* tanh(softplus x) = n − n q, with t = e^−|x| and q = e / d.  For x < 0: n = e = t + ½ t², d = 1 + e; else
 * n = 1, e = t², d = ½ + t + e. */
static CR_INLINE V CR(v_tanh_softplus)(V x)
{
  V u; /* 1 + t */
  const V one = CR(splat)(1);
  const CR(pair) t = CR(v_exp_falling)(x, &u);
  const V e = CR(select)(x < 0, t.high + CR(fma)((R)0.5 * t.high, t.high, t.low), t.high * t.high);
  const V d = CR(select)(x < 0, one, (R)0.5 + t.high) + e, n = CR(select)(x < 0, e, one);
  return CR(fma)(-n, e / d, n);
}

/* Its derivative σ(x) (1 − tanh²(softplus x)) = v n, with v = (1 + t) t / d², d as above, and n = 1 for x <
 * 0, else t.  All intermediate results are pairs, because a square doubles the relative error.  The last
 * product is scaled, because low parts would underflow. */
static CR_INLINE V CR(v_tanh_softplus_derivative)(V x)
{
  V u;
  const IV negative = x < 0;
  const CR(pair) t = CR(v_exp_falling)(x, &u);
  const V u_low = t.high - (u - 1);
  const V m = u * t.high, m_low = CR(fma)(u, t.high, -m) + CR(fma)(u, t.low, u_low * t.high);
  const V half = CR(select)(negative, (R)0.5 * t.high, t.high), base = CR(select)(negative, u, u - (R)0.5);
  const V d = CR(fma)(half, t.high, base), d_low = CR(fma)(half, t.high, base - d) + CR(fma)(2 * half, t.low, u_low);
  const V square = d * d, square_low = CR(fma)(d, d, -square) + 2 * d * d_low;
  const V inverse = 1 / square, v = m * inverse;
  const V v_low = inverse * (CR(fma)(-v, square, m) + CR(fma)(-v, square_low, m_low));
  const V n = CR(select)(negative, CR(splat)(1), t.high), n_low = CR(select)(negative, CR(splat)(0), t.low);
  return CR(fma)(WHOLE * v, n, CR(fma)(WHOLE * v, n_low, WHOLE * v_low * n)) * (1 / WHOLE);
}

/* log cosh x = log(1 + q), with q = h w, w = 2 h / (1 + 2 h), h = ½ (e^|x| − 1): no cancellation at 0.  h and
 * w are pairs, because the error of h counts twice.  Far from 0 the result is |x| − log 2. */
static CR_INLINE V CR(v_log_cosh)(V x)
{
  const V size = CR(v_magnitude)(x), near = CR(smaller)(CR(splat)(-EXPM1_LOWEST), size);
  const CR(pair) h = CR(v_half_expm1)(near);
  const V e = 2 * h.high, e_low = 2 * h.low, d = 1 + e, d_low = (e - (d - 1)) + e_low;
  const V inverse = 1 / d, w = e * inverse, w_low = inverse * (CR(fma)(-w, d, e) + CR(fma)(-w, d_low, e_low));
  const V q = h.high * w, q_low = CR(fma)(h.high, w, -q) + CR(fma)(h.high, w_low, h.low * w);
  const V u = 1 + q, y = CR(v_log_sum)(u, CR(splat)(0), ((q - (u - 1)) + q_low) / u);
  return CR(select)(q < TINY, q + q_low, y) + (size - near);
}

/* Φ(x) = ½ erfc(−x/√2):  Φ(−y) = e^(−y²/2) h(w) / (y + 1), w = (y − c) / (y + c), for y ≥ 0; Φ(y) = 1 −
 * Φ(−y).  e^(y²/2) Φ(−y), Mills' ratio over √(2π), falls from ½ like 1 / y.  Times y + 1 it is h, between 0.4
 * and 0.53.  h is a polynomial in w (the variable of Schonfelder 1978), whose other terms, and their errors,
 * are small compared to c₀.  e^(−y²/2), h and 1 / (y + 1) are pairs, so that their rounding errors do not add
 * up.  *gauss is e^(−x²/2). */
static CR_ELEMENTARY V CR(v_normal_cdf_and_gauss)(V x, V *gauss)
{
  const V y = CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x));
  const V w = CR(fma)(y + y, 1 / (y + (R)MILLS_CENTER), CR(splat)(-1));
  const V sum = y + 1, sum_low = y - (sum - 1), guess = 1 / sum;
  const V error = CR(fma)(-guess, sum_low, CR(fma)(-guess, sum, CR(splat)(1)));
  const V q = CR(fma)(guess, error, guess), q_low = CR(fma)(guess, error, guess - q);
  const V p = CR(v_horner)(w, sizeof SHARED(c_mills) / sizeof *SHARED(c_mills) - 1, SHARED(c_mills) + 1); /* h = c₀ + w p(w) */
  const V first = CR(load)(SHARED(c_mills)[0]), h = CR(fma)(p, w, first), h_low = CR(fma)(p, w, first - h);
  const V ratio = h * q, ratio_low = CR(fma)(h, q, -ratio) + CR(fma)(h_low, q, h * q_low);
  V last;
  const CR(pair) g = CR(v_gauss_part)(y, &last);
  const V tail = CR(fma)(g.high, ratio, CR(fma)(g.high, ratio_low, g.low * ratio)) * last;
  *gauss = g.high * last;
  return CR(select)(x < 0, tail, 1 - tail);
}

static CR_INLINE V CR(v_normal_cdf)(V x)
{
  V gauss;
  return CR(v_normal_cdf_and_gauss)(x, &gauss);
}
