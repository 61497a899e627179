/* The functions computed by the C library in a wider type W, and the error of R compared with them.  X(exp)
 * is W's exp.  Arguments have the type R, so that W has extra digits.  See ulp.c. */

static W REF(exp)(W x) { return X(exp)(x); }
static W REF(expm1)(W x) { return X(expm1)(x); }
static W REF(log)(W x) { return X(log)(x); }
static W REF(log1p)(W x) { return X(log1p)(x); }
static W REF(tanh)(W x) { return X(tanh)(x); }
static W REF(sigmoid)(W x) { return 1 / (1 + X(exp)(-x)); }
static W REF(softplus)(W x) { return (x < 0 ? 0 : x) + X(log1p)(X(exp)(-X(fabs)(x))); }

/* If R has 53 bits, W cannot represent x²/2: the rest of the square becomes a second factor. */
static W REF(gauss)(W x)
{
  if (X(fabs)(x) > 100) return 0;
  const W square = x * x;
  return X(exp)(-square / 2) * (1 - X(fma)(x, x, -square) / 2);
}

/* ½ erfc y at the nearest y to −x/√2, and what y lacks times the derivative, −e^(−y²) / √π */
static W REF(normal_cdf)(W x)
{
  const W half_root = (W)0.707106781186547524400844362104849039L, rest = (W)(LOW_HALF_ROOT);
  if (X(fabs)(x) > 100) return x > 0;
  const W y = -x * half_root, lack = X(fma)(-x, half_root, -y) - x * rest;
  return X(erfc)(y) / 2 - X(exp)(-y * y) * lack * (W)0.564189583547756286948079451560772586L;
}

/* |x| + log((1 + e^(−2|x|)) / 2), and near 0, where that cancels, by E = e^|x| − 1: log(1 + E² / (2 (1 + E))) */
static W REF(log_cosh)(W x)
{
  x = X(fabs)(x);
  if (x > 8) return x + X(log1p)(X(exp)(-2 * x)) - (W)0.693147180559945309417232121458176568L;
  const W e = X(expm1)(x);
  return X(log1p)(e * (e / (2 + 2 * e)));
}

static W REF(tanh_softplus)(W x)
{
  const W t = X(exp)(-X(fabs)(x)), n = x < 0 ? t * t + 2 * t : 1 + 2 * t;
  return n / (n + (x < 0 ? 2 : 2 * t * t));
}

static W REF(tanh_softplus_derivative)(W x)
{
  const W t = X(exp)(-X(fabs)(x)), n = x < 0 ? t * t + 2 * t : 1 + 2 * t, d = n + (x < 0 ? 2 : 2 * t * t);
  return 4 * (x < 0 ? t : t * t) * (1 + t) / (d * d);
}

/* |value − right| in units of the last place of `right` in R; an overflow counts as the next power of 2 */
static double REF(error)(R value, W right)
{
  const R rounded = (R)right;
  if (isnan(value) || isnan(right)) return isnan(value) && isnan(right) ? 0 : INFINITY;
  if (!signbit(value) != !signbit(rounded)) return INFINITY;
  if (isinf(value) && isinf(rounded)) return 0;
  int exponent;
  (void)X(frexp)(isinf(rounded) ? MAX_R : right, &exponent);
  const int last = exponent > MIN_EXPONENT ? exponent - DIGITS : MIN_EXPONENT - DIGITS;
  const W wide = isinf(value) ? X(copysign)(X(ldexp)(1, MAX_EXPONENT), right) : value;
  return (double)X(ldexp)(X(fabs)(wide - right), -last);
}

/* The largest error of n; at: its argument */
static void REF(judge)(size_t index, const R *x, const R *y, size_t n, worst *found)
{
  static W (*const references[])(W) = {FUNCTIONS(REFERENCE)};
  for (size_t i = 0; i < n; i++) {
    const W right = references[index]((W)x[i]);
    const R rounded = (R)right;
    if (found->error >= 0.5 && !memcmp(&rounded, &y[i], sizeof rounded)) continue;
    const double error = REF(error)(y[i], right);
    if (error > found->error) *found = (worst){error, (double)x[i]};
  }
}
