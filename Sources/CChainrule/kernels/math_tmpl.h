/* Elementary functions of a vector: the same operations in the same order on every instruction set, so the
 * same bits.
 *
 * Each reduces its argument to a short interval, takes a polynomial there, and puts the result together again,
 * as in Cody & Waite, "Software Manual for the Elementary Functions" (1980), and Muller, "Elementary Functions"
 * (3rd ed. 2016), chapters 3, 5 and 11.  The polynomials are in coefficients.c.  No branch: what is special
 * is selected at the end.  NaN gives NaN; denormal arguments and results are as good as others.  Bounds of the
 * error are in docs/numerics.md, measured by Tests/c/internal/ulp.c.
 *
 * u = 2^-24 (float) or 2^-53 is the unit of rounding.
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
#define FRACTION 23          /* bits of a fraction */
#define ROOT_HALF 0x3f3504f3 /* the bits of √½ */
#define SMALLEST 0x1p-126f   /* of normal numbers */
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f /* 15 bits, so that its product with an exponent is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOWEST -104         /* e^x is 0 from here, */
#define EXP_HIGHEST 89          /* ∞ from here, */
#define EXPM1_LOWEST -20        /* and less than u/2 from here */
#define GAUSS_END 15            /* e^(-x²/2) is 0 from here */
#define MILLS_CENTER 0x1.c4p+1f /* c₀ and c₁ lose little by rounding */
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
#define MILLS_CENTER 5
#endif

#undef B
#define B CR(bits)
typedef NATURAL B __attribute__((vector_size(VECTOR_BYTES)));

#ifndef SHIFTER
#define BIAS ((1 << (REAL_BITS - FRACTION - 2)) - 1)       /* of exponents: 127, 1023 */
#define FAR ((BIAS + 1) / 2)                               /* an exponent far from both ends: 64, 512 */
#define PLACED(exponent) ((NATURAL)(exponent) << FRACTION) /* where the exponent stands */
#define WHOLE ((R)PLACED(1))                               /* from here on a number has no fraction */
#define SHIFTER (WHOLE + WHOLE / 2 + (BIAS - 1)) /* x + SHIFTER ends in the bits of x + BIAS − 1, rounded */
#define TINY (1 / (8 * WHOLE))                   /* u/4 */
#define HORNER(x, c) CR(v_horner)(x, sizeof c / sizeof *c, c)
#endif

/* c₀ + c₁ x + c₂ x² + … of count coefficients, a constant: Horner's rule in x², of pairs c₂ᵢ + c₂ᵢ₊₁ x, which do not wait
 * for one another: half as long a chain. */
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

static CR_INLINE V CR(v_magnitude)(V x) { return (V)((B)x & (PLACED(2 * BIAS + 2) - 1)); }

/* ---- eˣ = 2ᵏ eʳ,  k = ⌊x log₂ e⌉, r = x − k log 2, |r| ≤ ½ log 2 ----
 *
 * Adding SHIFTER rounds x log₂ e to an integer and leaves k + BIAS − 1, where a shift makes 2ᵏ⁻¹ of it.  log 2 is
 * taken off in two parts, the first product exact.  eʳ = 1 + r + r² q(r).
 */
#define EXP_REDUCE(x)                                                                                        \
  const V shifted = CR(fma)(x, CR(splat)(LOG2_E), CR(splat)(SHIFTER)), k = shifted - SHIFTER,                \
          high = CR(fma)(k, CR(splat)(-LN2_HIGH), x)

/* eʳ 2ᵏ⁻¹ 2; for a small k 2ᵏ⁻¹⁺⁶⁴ and 2⁻⁶³ (float), so that only the last product, that with *last, may become denormal.
 * The first is one with r, as 2ᵏ⁻¹ (1 + r (…)) = 2ᵏ⁻¹ + 2ᵏ⁻¹ r (…), rounds nothing, and need not wait for the polynomial. */
static CR_INLINE V CR(v_exp_scaled)(V r, V shifted, V *last)
{
  const B far = (B)(shifted < SHIFTER - FAR) & PLACED(FAR);
  const V scale = (V)(((B)shifted << FRACTION) + far);
  const V rest = CR(fma)(HORNER(r, SHARED(c_exp)), r, CR(splat)(1));
  *last = (V)(PLACED(BIAS + 1) - far);
  return CR(fma)(rest, scale * r, scale);
}

/* eˣ before that product, x ≤ EXP_HIGHEST */
static CR_INLINE V CR(v_exp_part)(V x, V *last)
{
  x = CR(larger)(CR(splat)(EXP_LOWEST), x);
  EXP_REDUCE(x);
  return CR(v_exp_scaled)(CR(fma)(k, CR(splat)(-LN2_LOW), high), shifted, last);
}

static CR_INLINE V CR(v_exp)(V x)
{
  V last;
  const V part = CR(v_exp_part)(CR(smaller)(CR(splat)(EXP_HIGHEST), x), &last);
  return part * last;
}

/* e^(−x²/2).  x² has twice the digits of x, and an error in it is a relative error of the result: it is taken
 * as a sum of two numbers, the second of which joins r. */
static CR_INLINE V CR(v_gauss)(V x)
{
  x = CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x));
  const V square = x * x, rest = CR(fma)(x, x, -square);
  EXP_REDUCE((R)-0.5 * square);
  V last;
  const V part = CR(v_exp_scaled)(high + CR(fma)(k, CR(splat)(-LN2_LOW), (R)-0.5 * rest), shifted, &last);
  return part * last;
}

/* ½ (eˣ − 1) = (2ᵏ⁻¹ − ½) + 2ᵏ⁻¹ r + 2ᵏ⁻¹ (r² q(r) + c), for x ≥ EXPM1_LOWEST; c is what r lost to rounding, and
 * what the first sum loses joins the rest.  The half keeps 2ᵏ⁻¹ finite; it loses the last bit of denormals. */
static CR_INLINE V CR(v_half_expm1)(V x)
{
  EXP_REDUCE(x);
  const V r = CR(fma)(k, CR(splat)(-LN2_LOW), high), c = CR(fma)(k, CR(splat)(-LN2_LOW), high - r);
  const V scale = (V)((B)shifted << FRACTION), base = scale - (R)0.5;
  const V sum = CR(fma)(scale, r, base), lost = CR(fma)(scale, r, base - sum);
  return sum + CR(fma)(scale, CR(fma)(r * r, HORNER(r, SHARED(c_exp)), c), lost);
}

/* eˣ − 1, which is x where x² is nothing beside it */
static CR_INLINE V CR(v_expm1)(V x)
{
  const V clamped = CR(larger)(CR(splat)(EXPM1_LOWEST), CR(smaller)(CR(splat)(EXP_HIGHEST), x));
  return CR(select)(CR(v_magnitude)(x) < TINY, x, 2 * CR(v_half_expm1)(clamped));
}
#undef EXP_REDUCE

/* ---- log x = k log 2 + log m,  x = 2ᵏ m, √½ ≤ m < √2 ----
 *
 * With f = m − 1, s = f / (2 + f), z = s²:  log m = log((1 + s) / (1 − s)) = 2 s + s z p(z), and as 2 s = f − s f
 * and s f = ½ f² − ½ s f², also f − (½ f² − s (½ f² + z p(z))), whose first term is exact and by far the largest.
 * It is joined with k log 2 by a sum that keeps its rounding error (Dekker 1971; |k log 2| > |f| or k = 0).
 */

/* log x − shift log 2 + rest, x positive and normal */
static CR_INLINE V CR(v_log_sum)(V x, V shift, V rest)
{
  const B parts = (B)x + (PLACED(BIAS) - ROOT_HALF); /* exponent k + BIAS; fraction that of x from √½ on */
  const V k = (V)((parts >> FRACTION) | PLACED(BIAS + FRACTION)) - (shift + (WHOLE + BIAS));
  const V f = (V)((parts & (PLACED(1) - 1)) + ROOT_HALF) - 1;
  const V s = f / (f + 2), z = s * s, half = (R)0.5 * f * f;
  const V head = CR(fma)(k, CR(splat)(LN2_HIGH), f), lost = CR(fma)(k, CR(splat)(LN2_HIGH), -head) + f;
  const V tail = CR(fma)(s, CR(fma)(z, HORNER(z, SHARED(c_log)), half), CR(fma)(k, CR(splat)(LN2_LOW), rest));
  return head + (lost + (tail - half));
}

/* y = log x where x is positive and finite; log 0 = −∞, log ∞ = ∞, and NaN otherwise */
static CR_INLINE V CR(v_log_special)(V x, V y)
{
  const V infinity = CR(splat)((R)INFINITY), pole = CR(select)(x == 0, -infinity, CR(splat)((R)NAN));
  return CR(select)(x > 0, CR(select)(x < infinity, y, x), pole);
}

/* A denormal is made normal first. */
static CR_INLINE V CR(v_log)(V x)
{
  const IV denormal = x < SMALLEST;
  const V shift = CR(select)(denormal, CR(splat)(FRACTION + 1), CR(splat)(0));
  return CR(v_log_special)(x, CR(v_log_sum)(CR(select)(denormal, x * (2 * WHOLE), x), shift, CR(splat)(0)));
}

/* log(u + c) = log u + c / u, u + c = 1 + x without rounding (Knuth's sum) */
static CR_INLINE V CR(v_log1p)(V x)
{
  const V u = 1 + x, b = u - 1, c = (1 - (u - b)) + (x - b);
  const V y = CR(v_log_special)(u, CR(v_log_sum)(u, CR(splat)(0), c / u));
  return CR(select)(CR(v_magnitude)(x) < TINY, x, y);
}

/* ---- What is made of these: e^−|x| never overflows ---- */

/* t = e^−|x|, and 1 + t, which does not wait for it: where their product rounds, it is nothing beside 1. */
static CR_INLINE V CR(v_exp_falling)(V x, V *one_more)
{
  V last;
  const V part = CR(v_exp_part)(-CR(v_magnitude)(x), &last);
  *one_more = CR(fma)(part, last, CR(splat)(1));
  return part * last;
}

/* 1 / (1 + e⁻ˣ) = n − n q, q = t / (1 + t), t = e^−|x|; n = t where x < 0, 1 elsewhere.  The rounding of q counts
 * little where it is small, which t / (1 + t) alone would not have. */
static CR_INLINE V CR(v_sigmoid)(V x)
{
  V u;
  const V t = CR(v_exp_falling)(x, &u), n = CR(select)(x < 0, t, CR(splat)(1));
  return CR(fma)(-n, t / u, n);
}

/* log(1 + eˣ) = max(x, 0) + log(1 + t), t = e^−|x| */
static CR_INLINE V CR(v_softplus)(V x)
{
  V u;
  const V t = CR(v_exp_falling)(x, &u);
  return CR(larger)(CR(splat)(0), x) + CR(v_log_sum)(u, CR(splat)(0), (t - (u - 1)) / u);
}

/* tanh |x| = h / (1 + h), h = ½ (e^(2|x|) − 1): an error of h is lessened, by 1 + h */
static CR_INLINE V CR(v_tanh)(V x)
{
  const V size = CR(v_magnitude)(x);
  const V h = CR(v_half_expm1)(CR(smaller)(CR(splat)(-EXPM1_LOWEST), 2 * size)),
          n = CR(smaller)(h, CR(splat)(1));
  const V y = CR(fma)(-n, n / (1 + h), n);
  return CR(select)(size < TINY, x, CR(select)(x < 0, -y, y));
}

/* tanh(softplus x) = n − n q, q = e / d, t = e^−|x|: where x < 0, n = e = t + ½ t², d = 1 + e; elsewhere n = 1,
 * e = t², d = ½ + t + e */
#define RATIO(x)                                                                                             \
  V u; /* 1 + t */                                                                                           \
  const V one = CR(splat)(1), t = CR(v_exp_falling)(x, &u),                                                  \
          e = CR(select)(x < 0, CR(fma)((R)0.5 * t, t, t), t * t),                                           \
          d = CR(select)(x < 0, one, (R)0.5 + t) + e

static CR_INLINE V CR(v_tanh_softplus)(V x)
{
  RATIO(x);
  const V n = CR(select)(x < 0, e, one);
  return CR(fma)(-n, e / d, n);
}

/* and its derivative σ(x) (1 − tanh²(softplus x)) = (1 + t) t / d² where x < 0, (1 + t) t² / d² elsewhere */
static CR_INLINE V CR(v_tanh_softplus_derivative)(V x)
{
  RATIO(x);
  return CR(select)(x < 0, t, t * t) * (u / (d * d));
}
#undef RATIO

/* log cosh x = log(1 + E² / (2 (1 + E))), E = e^|x| − 1, without cancellation at 0; far from 0, |x| − log 2 */
static CR_INLINE V CR(v_log_cosh)(V x)
{
  const V size = CR(v_magnitude)(x), near = CR(smaller)(CR(splat)(-EXPM1_LOWEST), size);
  const V e = CR(v_expm1)(near);
  return CR(v_log1p)(e * (e / (2 + 2 * e))) + (size - near);
}

/* Φ(x) = ½ erfc(−x/√2):  Φ(−y) = e^(−y²/2) h(w) / (y + c), w = (y − c) / (y + c), for y ≥ 0; Φ(y) = 1 − Φ(−y).
 * e^(y²/2) Φ(−y), Mills' ratio over √(2π), falls from ½ like 1 / y; times y + c it varies so little over all y that one
 * polynomial does, in −1 ≤ w < 1 (the variable of Schonfelder 1978).  1 / (y + c) is corrected by a step of Newton's, and
 * the last sum of h keeps its rounding error. */
static CR_INLINE V CR(v_normal_cdf)(V x)
{
  const V y = CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x));
  const V guess = 1 / (y + (R)MILLS_CENTER);
  const V error = CR(fma)(-guess, y, CR(fma)(-guess, CR(splat)(MILLS_CENTER), CR(splat)(1)));
  const V q = CR(fma)(guess, error, guess);
  const V w = CR(fma)(y + y, q, CR(splat)(-1)), first = CR(load)(SHARED(c_mills)[0]);
  const V p = CR(v_horner)(w, sizeof SHARED(c_mills) / sizeof *SHARED(c_mills) - 1, SHARED(c_mills) + 1); /* h = c₀ + w p(w) */
  const V h = CR(fma)(p, w, first), lost = first - CR(fma)(-p, w, h);
  const V tail = CR(v_gauss)(y) * CR(fma)(h, q, lost * q);
  return CR(select)(x < 0, tail, 1 - tail);
}
