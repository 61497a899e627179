/* The activations: each f and its f′, on vectors.
 *
 * f′ is a function of a = f(z) if that is exact and cheaper, otherwise of z; the catalogue says which.
 * f(NaN) is NaN, so that a NaN reaches the loss, where it is found.  σ(z) = 1 / (1 + e⁻ᶻ).
 */

#define ONE CR(splat)(1)
#define ZERO CR(splat)(0)

/* clang-format off: a short function has one line */
static inline V CR(identity)(V z) { return z; }
static inline V CR(identity_derivative)(V a) { (void)a; return ONE; }

static inline V CR(sigmoid)(V z) { return CR(v_sigmoid)(z); }
static inline V CR(sigmoid_derivative)(V a) { return a * (1 - a); }

static inline V CR(tanh)(V z) { return CR(v_tanh)(z); }
static inline V CR(tanh_derivative)(V a) { return 1 - a * a; }

static inline V CR(relu)(V z) { return CR(larger)(ZERO, z); }
static inline V CR(relu_derivative)(V a) { return CR(select)(a > 0, ONE, ZERO); }

#define SLOPE ((R)0.01)
static inline V CR(leakyReLU)(V z) { return CR(larger)(SLOPE * z, z); }
static inline V CR(leakyReLU_derivative)(V a) { return CR(select)(a > 0, ONE, CR(splat)(SLOPE)); }
#undef SLOPE

/* f′ = eᶻ = a + 1 for z ≤ 0 (Clevert et al. 2016, α = 1) */
static inline V CR(elu)(V z) { return CR(select)(z > 0, z, CR(v_expm1)(z)); }
static inline V CR(elu_derivative)(V a) { return CR(select)(a > 0, ONE, a + 1); }

/* λ elu_α, with λ and α for which mean 0 and variance 1 are a fixed point; f′ = λ α eᶻ = a + λ α for z ≤ 0
 * (Klambauer et al.  2017) */
#define ALPHA ((R)1.6732632423543772848170429916717)
#define LAMBDA ((R)1.0507009873554804934193349852946)
static inline V CR(selu)(V z) { return LAMBDA * CR(select)(z > 0, z, ALPHA * CR(v_expm1)(z)); }
static inline V CR(selu_derivative)(V a) { return CR(select)(a > 0, CR(splat)(LAMBDA), a + LAMBDA * ALPHA); }
#undef ALPHA
#undef LAMBDA

/* z Φ(z), where Φ is the normal distribution;  f′ = Φ(z) + z φ(z), φ(z) = e^(−z²/2) / √(2π) (Hendrycks &
 * Gimpel 2016) */
static inline V CR(gelu)(V z) { return z * CR(v_normal_cdf)(z); }
static inline V CR(gelu_derivative)(V z)
{
  V gauss;
  const V cdf = CR(v_normal_cdf_and_gauss)(z, &gauss);
  return cdf + z * gauss * (R)0.39894228040143267794;
}

/* ½ z (1 + t), t = tanh u, u = √(2/π) (z + c z³);  f′ = ½ (1 + t) + ½ z (1 − t²) u′.
 * Beyond ±32, t is ±1 in both precisions; the clamp keeps z³ finite. */
#define ROOT ((R)0.79788456080286535588)
#define C ((R)0.044715)
static inline V CR(clamped)(V z) { return CR(larger)(CR(splat)(-32), CR(smaller)(CR(splat)(32), z)); }
static inline V CR(geluTanh)(V z)
{
  const V c = CR(clamped)(z);
  return (R)0.5 * z * (1 + CR(v_tanh)(ROOT * (c + C * c * c * c)));
}
static inline V CR(geluTanh_derivative)(V z)
{
  const V c = CR(clamped)(z), t = CR(v_tanh)(ROOT * (c + C * c * c * c));
  return (R)0.5 * (1 + t) + (R)0.5 * c * (1 - t * t) * ROOT * (1 + 3 * C * c * c);
}
#undef ROOT
#undef C

/* f = z σ(z), f′ = σ(z) (1 + z (1 − σ(z))) */
static inline V CR(silu)(V z) { return z * CR(v_sigmoid)(z); }
static inline V CR(silu_derivative)(V z)
{
  const V s = CR(v_sigmoid)(z);
  return s * (1 + z * (1 - s));
}

/* log(1 + eᶻ);  f′ = σ(z) = 1 − e⁻ᵃ */
static inline V CR(softplus)(V z) { return CR(v_softplus)(z); }
static inline V CR(softplus_derivative)(V a) { return -CR(v_expm1)(-a); }

/* f′ = 1 / (1 + |z|)² = (1 − |a|)² */
static inline V CR(softsign)(V z) { return z / (1 + CR(v_magnitude)(z)); }
static inline V CR(softsign_derivative)(V a)
{
  const V s = 1 - CR(v_magnitude)(a);
  return s * s;
}

/* f = z t, t = tanh(softplus z);  f′ = t + z σ(z) (1 − t²) (Misra 2019) */
static inline V CR(mish)(V z) { return z * CR(v_tanh_softplus)(z); }
static inline V CR(mish_derivative)(V z)
{
  return CR(v_tanh_softplus)(z) + z * CR(v_tanh_softplus_derivative)(z);
}

static inline V CR(hardSigmoid)(V z) { return CR(larger)(ZERO, CR(smaller)(ONE, z / 6 + (R)0.5)); }
static inline V CR(hardSigmoid_derivative)(V a)
{
  return CR(select)((a > 0) & (a < 1), CR(splat)((R)1 / 6), ZERO);
}

static inline V CR(hardTanh)(V z) { return CR(larger)(-ONE, CR(smaller)(ONE, z)); }
static inline V CR(hardTanh_derivative)(V a) { return CR(select)((a > -1) & (a < 1), ONE, ZERO); }

/* The kernels of each f and each f′, on n scalars, a multiple of LANES.  `of` is z or a. */
static CR_INLINE void CR(activate_all)(V f(V), size_t n, const R *z, R *a)
{
  for (size_t j = 0; j < n; j += LANES) CR(store)(&a[j], f(CR(load)(&z[j])));
}

static CR_INLINE void CR(derive_all)(V derivative(V), size_t n, const R *of, R *delta)
{
  for (size_t j = 0; j < n; j += LANES)
    CR(store)(&delta[j], CR(load)(&delta[j]) * derivative(CR(load)(&of[j])));
}

#define ACTIVATE(ID, name, ...)                                                                            \
  static void CR(activate_##name)(size_t rows, size_t n, const R *z, R *a, size_t stride)                  \
  { (void)n; CR(activate_all)(CR(name), rows * stride, z, a); }
#define DERIVE(ID, name, value, from, ...)                                                                 \
  static void CR(derive_##name)(size_t rows, size_t n, const R *z, const R *a, R *delta, size_t stride)    \
  { (void)n; CR(derive_all)(CR(name##_derivative), rows * stride, DERIVE_FROM_##from(z, a), delta); }
#define DERIVE_FROM_A(z, a) ((void)z, a)
#define DERIVE_FROM_Z(z, a) ((void)a, z)
CHAINRULE_ELEMENTWISE_ACTIVATIONS(ACTIVATE)
CHAINRULE_ELEMENTWISE_ACTIVATIONS(DERIVE)
#undef ACTIVATE
#undef DERIVE
#undef DERIVE_FROM_A
#undef DERIVE_FROM_Z
#undef ONE
#undef ZERO

/* aⱼ = e^(zⱼ − m) / Σₖ e^(zₖ − m), m = maxₖ zₖ, so that no exponent is positive.  Each lane computes one row,
 * so that a sum adds its terms in order, and LANES sums are independent.  stride, step: as in CR(columns). */
static CR_CALLED void CR(softmax)(size_t rows, size_t n, const R *z, R *a, size_t stride, size_t step)
{
  for (size_t r = 0; r < rows; r += LANES, z += LANES * stride, a += LANES * stride) {
    V v[VECTOR_BYTES / sizeof(R)], most = CR(splat)(-REAL_MAX), total = {0};
    const size_t left = rows - r;
    for (size_t j = 0; j < n; j += LANES) {
      const size_t count = CR(least)(n - j);
      CR(columns)(left, &z[j * step], stride, step, count, v);
      CR_ROLLED for (size_t i = 0; i < count; i++) most = CR(larger)(v[i], most);
    }
    for (size_t j = 0; j < n; j += LANES) {
      const size_t count = CR(least)(n - j);
      if (n > LANES) CR(columns)(left, &z[j * step], stride, step, count, v);
      CR_ROLLED for (size_t i = 0; i < count; i++) {
        v[i] = CR(v_exp)(v[i] - most);
        total += v[i];
      }
      if (n > LANES) CR(put_columns)(left, v, &a[j * step], stride, step, count);
    }
    for (size_t j = 0; j < n; j += LANES) {
      const size_t count = CR(least)(n - j);
      if (n > LANES) CR(columns)(left, &a[j * step], stride, step, count, v);
      CR_ROLLED for (size_t i = 0; i < count; i++) v[i] = v[i] / total;
      CR(put_columns)(left, v, &a[j * step], stride, step, count);
    }
  }
}
static void CR(activate_softmax)(size_t rows, size_t n, const R *z, R *a, size_t stride)
{
  CR(softmax)(rows, n, z, a, stride, 1);
}

/* ∂aₖ/∂zⱼ = aₖ ([j = k] − aⱼ), so δⱼ = aⱼ (gⱼ − Σₖ gₖ aₖ) */
static void CR(derive_softmax)(size_t rows, size_t n, const R *z, const R *a, R *delta, size_t stride)
{
  (void)z;
  for (size_t r = 0; r < rows; r++, a += stride, delta += stride) {
    R dot = 0;
    for (size_t j = 0; j < n; j++) dot = M(fma)(delta[j], a[j], dot);
    for (size_t j = 0; j < n; j++) delta[j] = a[j] * (delta[j] - dot);
  }
}
