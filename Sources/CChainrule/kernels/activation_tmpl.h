/* Activations: f and f′ side by side.
 *
 * f′ is written in terms of a = f(z) where that is exact and cheaper, otherwise of z; the catalogue says which.
 * NaN goes through every f as NaN, so that it is seen in the loss.  σ(z) = 1 / (1 + e⁻ᶻ).
 */

/* clang-format off: a short function stands in its line */
static inline R CR(identity)(R z) { return z; }
static inline R CR(identity_derivative)(R a)
{
  (void)a;
  return 1;
}

/* e⁻ᶻ = ∞ for very negative z gives 0, as it should */
static inline R CR(sigmoid)(R z) { return 1 / (1 + M(exp)(-z)); }
static inline R CR(sigmoid_derivative)(R a) { return a * (1 - a); }

static inline R CR(tanh)(R z) { return M(tanh)(z); }
static inline R CR(tanh_derivative)(R a) { return 1 - a * a; }

static inline R CR(relu)(R z) { return z < 0 ? 0 : z; }
static inline R CR(relu_derivative)(R a) { return a > 0; }

#define SLOPE ((R)0.01)
static inline R CR(leakyReLU)(R z) { return z < 0 ? SLOPE * z : z; }
static inline R CR(leakyReLU_derivative)(R a) { return a > 0 ? 1 : SLOPE; }
#undef SLOPE

/* f′ = e^z = a + 1 for z ≤ 0 (Clevert et al. 2016, α = 1) */
static inline R CR(elu)(R z) { return z > 0 ? z : M(expm1)(z); }
static inline R CR(elu_derivative)(R a) { return a > 0 ? 1 : a + 1; }

/* λ elu_α with the fixed point mean 0, variance 1; f′ = λ α e^z = a + λ α for z ≤ 0 (Klambauer et al. 2017) */
#define ALPHA ((R)1.6732632423543772848170429916717)
#define LAMBDA ((R)1.0507009873554804934193349852946)
static inline R CR(selu)(R z) { return LAMBDA * (z > 0 ? z : ALPHA * M(expm1)(z)); }
static inline R CR(selu_derivative)(R a) { return a > 0 ? LAMBDA : a + LAMBDA * ALPHA; }
#undef ALPHA
#undef LAMBDA

/* z Φ(z), Φ the normal distribution, as ½ erfc(−z/√2), which keeps its digits for negative z;
 * f′ = Φ(z) + z φ(z), φ(z) = e^(−z²/2) / √(2π) (Hendrycks & Gimpel 2016) */
static inline R CR(normal_cdf)(R z) { return (R)0.5 * M(erfc)(z * (R)-0.70710678118654752440); }
static inline R CR(gelu)(R z) { return z * CR(normal_cdf)(z); }
static inline R CR(gelu_derivative)(R z)
{
  return CR(normal_cdf)(z) + z * M(exp)((R)-0.5 * z * z) * (R)0.39894228040143267794;
}

/* ½ z (1 + t), t = tanh u, u = √(2/π) (z + c z³);  f′ = ½ (1 + t) + ½ z (1 − t²) u′.
 * Beyond ±32 t is ±1 in either precision; the clamp keeps z³ finite. */
#define ROOT ((R)0.79788456080286535588)
#define C ((R)0.044715)
static inline R CR(gelu_t)(R z)
{
  z = z > 32 ? 32 : z < -32 ? -32 : z;
  return M(tanh)(ROOT * (z + C * z * z * z));
}
static inline R CR(geluTanh)(R z) { return (R)0.5 * z * (1 + CR(gelu_t)(z)); }
static inline R CR(geluTanh_derivative)(R z)
{
  R t = CR(gelu_t)(z), clamped = z > 32 ? 32 : z < -32 ? -32 : z;
  return (R)0.5 * (1 + t) + (R)0.5 * clamped * (1 - t * t) * ROOT * (1 + 3 * C * clamped * clamped);
}
#undef ROOT
#undef C

/* f = z σ(z), f′ = σ(z) (1 + z (1 − σ(z))) */
static inline R CR(silu)(R z) { return z * CR(sigmoid)(z); }
static inline R CR(silu_derivative)(R z)
{
  R s = CR(sigmoid)(z);
  return s * (1 + z * (1 - s));
}

/* log(1 + e^z) = max(z, 0) + log(1 + e^−|z|);  f′ = σ(z) = 1 − e⁻ᵃ */
static inline R CR(softplus)(R z) { return (z < 0 ? 0 : z) + M(log1p)(M(exp)(-M(fabs)(z))); }
static inline R CR(softplus_derivative)(R a) { return -M(expm1)(-a); }

/* f′ = 1 / (1 + |z|)² = (1 − |a|)² */
static inline R CR(softsign)(R z) { return z / (1 + M(fabs)(z)); }
static inline R CR(softsign_derivative)(R a)
{
  R s = 1 - M(fabs)(a);
  return s * s;
}

/* f = z t, t = tanh(softplus z);  f′ = t + z σ(z) (1 − t²) (Misra 2019) */
static inline R CR(mish)(R z) { return z * M(tanh)(CR(softplus)(z)); }
static inline R CR(mish_derivative)(R z)
{
  R t = M(tanh)(CR(softplus)(z));
  return t + z * CR(sigmoid)(z) * (1 - t * t);
}

static inline R CR(hardSigmoid)(R z) { return z < -3 ? 0 : z > 3 ? 1 : z / 6 + (R)0.5; }
static inline R CR(hardSigmoid_derivative)(R a) { return a > 0 && a < 1 ? (R)1 / 6 : 0; }

static inline R CR(hardTanh)(R z) { return z < -1 ? -1 : z > 1 ? 1 : z; }
static inline R CR(hardTanh_derivative)(R a) { return a > -1 && a < 1; }

/* A kernel of each f and of each f′. */
static inline void CR(activate_all)(R f(R), size_t n, const R *z, R *a)
{
  for (size_t j = 0; j < n; j++) a[j] = f(z[j]);
}

static inline void CR(derive_all)(R derivative(R), size_t n, const R *of, R *delta)
{
  for (size_t j = 0; j < n; j++) delta[j] *= derivative(of[j]);
}

#define ACTIVATE(ID, name, ...)                                                                            \
  static void CR(activate_##name)(size_t rows, size_t n, const R *z, R *a, size_t stride)                  \
  { (void)n; CR(activate_all)(CR(name), rows * stride, z, a); }
#define DERIVE(ID, name, from, ...)                                                                        \
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

/* aⱼ = e^(zⱼ − m) / Σₖ e^(zₖ − m), m = maxₖ zₖ: no exponent is positive */
static void CR(activate_softmax)(size_t rows, size_t n, const R *z, R *a, size_t stride)
{
  for (size_t r = 0; r < rows; r++, z += stride, a += stride) {
    R max = z[0], sum = 0;
    for (size_t j = 1; j < n; j++) max = z[j] > max ? z[j] : max;
    for (size_t j = 0; j < n; j++) sum += a[j] = M(exp)(z[j] - max);
    for (size_t j = 0; j < n; j++) a[j] /= sum;
  }
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
