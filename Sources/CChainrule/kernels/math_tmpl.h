/* Elementary functions of a vector: the same operations in the same order on every instruction set, so the
 * same bits.
 *
 * Each reduces its argument to a short interval, takes a polynomial there, and puts the result together again,
 * as in Cody & Waite, "Software Manual for the Elementary Functions" (1980), and Muller, "Elementary Functions"
 * (3rd ed. 2016), chapters 3, 5 and 11.  The polynomials are scripts/minimax.py's.  No branch: what is special
 * is selected at the end.  NaN gives NaN; denormal arguments and results are as good as others.  Bounds of the
 * error are in docs/numerics.md, measured by Tests/c/internal/ulp.c.
 *
 * u = 2^-24 (float) or 2^-53 is the unit of rounding.
 */

/* clang-format off: a table a line */
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
#undef EXP
#undef LOG
#undef NORMAL_NUMERATOR
#undef NORMAL_DENOMINATOR
#if REAL_BITS == 32
#define NATURAL uint32_t
#define FRACTION 23              /* bits of a fraction */
#define ROOT_HALF 0x3f3504f3     /* the bits of √½ */
#define SMALLEST 0x1p-126f       /* of normal numbers */
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e4p-1f    /* 15 bits, so that its product with an exponent is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_LOWEST -104          /* e^x is 0 from here, */
#define EXP_HIGHEST 89           /* ∞ from here, */
#define EXPM1_LOWEST -20         /* and less than u/2 from here */
#define GAUSS_END 15             /* e^(-x²/2) is 0 from here */
#define EXP 0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.5556c2p-5f, 0x1.12287ap-7f, 0x1.6bed32p-10f
#define LOG 0x1.55557ap-1f, 0x1.995edp-2f, 0x1.31e1ap-2f
#define NORMAL_NUMERATOR 0.5f, 0x1.c1d35cp-2f, 0x1.78c496p-3f, 0x1.4ee5a8p-5f, 0x1.102f4ep-8f
#define NORMAL_DENOMINATOR 1.0f, 0x1.ad2bdep+0f, 0x1.349eb2p+0f, 0x1.e2b8acp-2f, 0x1.a3c19cp-4f, 0x1.55212p-7f
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
#define EXP 0x1.0000000000005p-1, 0x1.555555555553ap-3, 0x1.555555555228p-5, 0x1.1111111118f39p-7, \
  0x1.6c16c17edb74dp-10, 0x1.a01a017521e9cp-13, 0x1.a019a76fd4bf7p-16, 0x1.71de87e793489p-19, \
  0x1.28a1df5cadae3p-22, 0x1.ae6bd9d920e0fp-26
#define LOG 0x1.5555555555592p-1, 0x1.999999997fe7dp-2, 0x1.24924941e8454p-2, 0x1.c71c520fbde5fp-3, \
  0x1.74663dc22e709p-3, 0x1.39a1d48a6a907p-3, 0x1.2f04839682504p-3
#define NORMAL_NUMERATOR 0x1p-1, 0x1.a7e7d83747951p-1, 0x1.5bf919cfd1871p-1, 0x1.6df139936caaep-2, \
  0x1.0e73b36589863p-3, 0x1.2438743f9e6c7p-5, 0x1.d2dd3a9b6e49p-8, 0x1.1098d7875c637p-10, \
  0x1.bf145dd832836p-14, 0x1.d43fb9dba5a28p-18, 0x1.e18cbd45e0408p-23
#define NORMAL_DENOMINATOR 0x1p+0, 0x1.3a1500eaf4a3dp+1, 0x1.6896761d5cc67p+1, 0x1.0031ec6889908p+1, \
  0x1.f5d775634ee79p-1, 0x1.64b47dbb8e4cp-2, 0x1.78c7032345bbbp-4, 0x1.28ec4371dac4bp-6, \
  0x1.57f1312354f89p-9, 0x1.18c14490070ep-12, 0x1.256e76e538516p-16, 0x1.2dc43d780e452p-21
#endif
#undef B
#define B CR(bits)
typedef NATURAL B __attribute__((vector_size(VECTOR_BYTES)));


#ifndef HORNER
#define BIAS ((1 << (REAL_BITS - FRACTION - 2)) - 1)        /* of exponents: 127, 1023 */
#define FAR ((BIAS + 1) / 2)                                /* an exponent far from both ends: 64, 512 */
#define PLACED(exponent) ((NATURAL)(exponent) << FRACTION)  /* where the exponent stands */
#define WHOLE ((R)PLACED(1))                                /* from here on a number has no fraction */
#define SHIFTER (WHOLE + WHOLE / 2 + (BIAS - 1))            /* x + SHIFTER ends in the bits of x + BIAS − 1, rounded */
#define TINY (1 / (8 * WHOLE))                              /* u/4 */

/* c₀ + c₁ x + c₂ x² + …, by Horner's rule: HORNER(x, c₀, c₁, …), of up to 12 coefficients */
#define HORNER(x, ...) HORNER_OF(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, )(x, __VA_ARGS__)
#define HORNER_OF(a, b, c, d, e, f, g, h, i, j, k, l, n, ...) HORNER_##n
#define HORNER_1(x, c) CR(splat)(c)
#define HORNER_2(x, c, ...) CR(fma)(HORNER_1(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_3(x, c, ...) CR(fma)(HORNER_2(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_4(x, c, ...) CR(fma)(HORNER_3(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_5(x, c, ...) CR(fma)(HORNER_4(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_6(x, c, ...) CR(fma)(HORNER_5(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_7(x, c, ...) CR(fma)(HORNER_6(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_8(x, c, ...) CR(fma)(HORNER_7(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_9(x, c, ...) CR(fma)(HORNER_8(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_10(x, c, ...) CR(fma)(HORNER_9(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_11(x, c, ...) CR(fma)(HORNER_10(x, __VA_ARGS__), x, CR(splat)(c))
#define HORNER_12(x, c, ...) CR(fma)(HORNER_11(x, __VA_ARGS__), x, CR(splat)(c))
#endif
/* clang-format on */

static inline V CR(v_magnitude)(V x) { return (V)((B)x & (PLACED(2 * BIAS + 2) - 1)); }

/* ---- eˣ = 2ᵏ eʳ,  k = ⌊x log₂ e⌉, r = x − k log 2, |r| ≤ ½ log 2 ----
 *
 * Adding SHIFTER rounds x log₂ e to an integer and leaves k + BIAS − 1, where a shift makes 2ᵏ⁻¹ of it.  log 2 is
 * taken off in two parts, the first product exact.  eʳ = 1 + r + r² q(r).
 */
#define EXP_REDUCE(x)                                                                                        \
  const V shifted = CR(fma)(x, CR(splat)(LOG2_E), CR(splat)(SHIFTER)), k = shifted - SHIFTER,                \
          high = CR(fma)(k, CR(splat)(-LN2_HIGH), x)

/* eʳ 2ᵏ⁻¹ 2; for a small k 2ᵏ⁻¹⁺⁶⁴ and 2⁻⁶³ (float), so that only the last product may become denormal */
static inline V CR(v_exp_scaled)(V r, V shifted)
{
  const B far = (B)(shifted < SHIFTER - FAR) & PLACED(FAR);
  const V p = CR(fma)(CR(fma)(HORNER(r, EXP), r, CR(splat)(1)), r, CR(splat)(1));
  return p * (V)(((B)shifted << FRACTION) + far) * (V)(PLACED(BIAS + 1) - far);
}

static inline V CR(v_exp)(V x)
{
  x = CR(larger)(CR(splat)(EXP_LOWEST), CR(smaller)(CR(splat)(EXP_HIGHEST), x));
  EXP_REDUCE(x);
  return CR(v_exp_scaled)(CR(fma)(k, CR(splat)(-LN2_LOW), high), shifted);
}

/* e^(−x²/2).  x² has twice the digits of x, and an error in it is a relative error of the result: it is taken
 * as a sum of two numbers, the second of which joins r. */
static inline V CR(v_gauss)(V x)
{
  x = CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x));
  const V square = x * x, rest = CR(fma)(x, x, -square);
  EXP_REDUCE((R)-0.5 * square);
  return CR(v_exp_scaled)(high + CR(fma)(k, CR(splat)(-LN2_LOW), (R)-0.5 * rest), shifted);
}

/* ½ (eˣ − 1) = 2ᵏ⁻¹ r + (2ᵏ⁻¹ − ½) + 2ᵏ⁻¹ (r² q(r) + c), for x ≥ EXPM1_LOWEST; c is what r lost to rounding.
 * The half keeps 2ᵏ⁻¹ finite; it loses the last bit of denormals. */
static inline V CR(v_half_expm1)(V x)
{
  EXP_REDUCE(x);
  const V r = CR(fma)(k, CR(splat)(-LN2_LOW), high), c = CR(fma)(k, CR(splat)(-LN2_LOW), high - r);
  const V scale = (V)((B)shifted << FRACTION);
  return CR(fma)(scale, CR(fma)(r * r, HORNER(r, EXP), c), CR(fma)(scale, r, scale - (R)0.5));
}

/* eˣ − 1, which is x where x² is nothing beside it */
static inline V CR(v_expm1)(V x)
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
static inline V CR(v_log_sum)(V x, V shift, V rest)
{
  const B parts = (B)x + (PLACED(BIAS) - ROOT_HALF); /* exponent k + BIAS; fraction that of x from √½ on */
  const V k = (V)((parts >> FRACTION) | PLACED(BIAS + FRACTION)) - (shift + (WHOLE + BIAS));
  const V f = (V)((parts & (PLACED(1) - 1)) + ROOT_HALF) - 1;
  const V s = f / (f + 2), z = s * s, half = (R)0.5 * f * f;
  const V head = CR(fma)(k, CR(splat)(LN2_HIGH), f), lost = CR(fma)(k, CR(splat)(LN2_HIGH), -head) + f;
  const V tail = CR(fma)(s, CR(fma)(z, HORNER(z, LOG), half), CR(fma)(k, CR(splat)(LN2_LOW), rest));
  return head + (lost + (tail - half));
}

/* y = log x where x is positive and finite; log 0 = −∞, log ∞ = ∞, and NaN otherwise */
static inline V CR(v_log_special)(V x, V y)
{
  const V infinity = CR(splat)((R)INFINITY), pole = CR(select)(x == 0, -infinity, CR(splat)((R)NAN));
  return CR(select)(x > 0, CR(select)(x < infinity, y, x), pole);
}

/* A denormal is made normal first. */
static inline V CR(v_log)(V x)
{
  const IV denormal = x < SMALLEST;
  const V shift = CR(select)(denormal, CR(splat)(FRACTION + 1), CR(splat)(0));
  return CR(v_log_special)(x, CR(v_log_sum)(CR(select)(denormal, x * (2 * WHOLE), x), shift, CR(splat)(0)));
}

/* log(u + c) = log u + c / u, u + c = 1 + x without rounding (Knuth's sum) */
static inline V CR(v_log1p)(V x)
{
  const V u = 1 + x, b = u - 1, c = (1 - (u - b)) + (x - b);
  const V y = CR(v_log_special)(u, CR(v_log_sum)(u, CR(splat)(0), c / u));
  return CR(select)(CR(v_magnitude)(x) < TINY, x, y);
}

/* ---- What is made of these: e^−|x| never overflows ---- */

/* 1 / (1 + e⁻ˣ) = n − n q, q = t / (1 + t), t = e^−|x|; n = t where x < 0, 1 elsewhere.  The rounding of q counts
 * little where it is small, which t / (1 + t) alone would not have. */
static inline V CR(v_sigmoid)(V x)
{
  const V t = CR(v_exp)(-CR(v_magnitude)(x)), n = CR(select)(x < 0, t, CR(splat)(1));
  return CR(fma)(-n, t / (1 + t), n);
}

/* log(1 + eˣ) = max(x, 0) + log(1 + t), t = e^−|x| */
static inline V CR(v_softplus)(V x)
{
  const V t = CR(v_exp)(-CR(v_magnitude)(x)), u = 1 + t;
  return CR(larger)(CR(splat)(0), x) + CR(v_log_sum)(u, CR(splat)(0), (t - (u - 1)) / u);
}

/* tanh |x| = h / (1 + h), h = ½ (e^(2|x|) − 1): an error of h is lessened, by 1 + h */
static inline V CR(v_tanh)(V x)
{
  const V size = CR(v_magnitude)(x);
  const V h = CR(v_half_expm1)(CR(smaller)(CR(splat)(-EXPM1_LOWEST), 2 * size)), y = h / (1 + h);
  return CR(select)(size < TINY, x, CR(select)(x < 0, -y, y));
}

/* tanh(softplus x) = n − n q, q = e / d, t = e^−|x|: where x < 0, n = e = t + ½ t², d = 1 + e; elsewhere n = 1,
 * e = t², d = ½ + t + e */
static inline V CR(v_tanh_softplus)(V x)
{
  const V t = CR(v_exp)(-CR(v_magnitude)(x)), one = CR(splat)(1);
  const V e = CR(select)(x < 0, CR(fma)((R)0.5 * t, t, t), t * t), d = CR(select)(x < 0, one, (R)0.5 + t) + e;
  const V n = CR(select)(x < 0, e, one);
  return CR(fma)(-n, e / d, n);
}

/* and its derivative σ(x) (1 − tanh²(softplus x)) = (t or t²) (1 + t) / d² */
static inline V CR(v_tanh_softplus_derivative)(V x)
{
  const V t = CR(v_exp)(-CR(v_magnitude)(x)), one = CR(splat)(1);
  const V e = CR(select)(x < 0, CR(fma)((R)0.5 * t, t, t), t * t), d = CR(select)(x < 0, one, (R)0.5 + t) + e;
  return CR(select)(x < 0, t, t * t) * ((1 + t) / (d * d));
}

/* log cosh x = log(1 + E² / (2 (1 + E))), E = e^|x| − 1, without cancellation at 0; far from 0, |x| − log 2 */
static inline V CR(v_log_cosh)(V x)
{
  const V size = CR(v_magnitude)(x), near = CR(smaller)(CR(splat)(-EXPM1_LOWEST), size);
  const V e = CR(v_expm1)(near);
  return CR(v_log1p)(e * (e / (2 + 2 * e))) + (size - near);
}

/* Φ(x) = ½ erfc(−x/√2):  Φ(−y) = e^(−y²/2) P(y) / Q(y) for y ≥ 0, whose quotient falls from ½ like 1 / y (Mills'
 * ratio over √(2π)); all coefficients are positive, so that no digit cancels.  Φ(y) = 1 − Φ(−y). */
static inline V CR(v_normal_cdf)(V x)
{
  const V y = CR(smaller)(CR(splat)(GAUSS_END), CR(v_magnitude)(x));
  const V tail = CR(v_gauss)(y) * (HORNER(y, NORMAL_NUMERATOR) / HORNER(y, NORMAL_DENOMINATOR));
  return CR(select)(x < 0, tail, 1 - tail);
}
