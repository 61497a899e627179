/* Optimizers: one update of n parameters p by their gradients g.
 *
 * The rules are PyTorch's.  λ, the weight decay, is added to the gradient as λ p; adamw shrinks p instead.
 * State arrays lie `stride` scalars apart and start at 0.
 */

/* v ← μ v + g;  p ← p − η v,  or with Nesterov's look ahead p ← p − η (g + μ v) */
static void CR(update_sgd)(const cr_update *u, size_t n, R *restrict p, const R *restrict g,
                           R *restrict state, size_t stride)
{
  (void)stride;
  const R rate = (R)u->rate, decay = (R)u->weight_decay, momentum = (R)u->momentum;
  if (momentum == 0) {
    for (size_t i = 0; i < n; i++) p[i] -= rate * (g[i] + decay * p[i]);
    return;
  }
  R *restrict v = state;
  for (size_t i = 0; i < n; i++) {
    R gradient = g[i] + decay * p[i];
    v[i] = momentum * v[i] + gradient;
    p[i] -= rate * (u->nesterov ? gradient + momentum * v[i] : v[i]);
  }
}

/* s ← s + g²;  p ← p − η g / (√s + ε) (Duchi et al. 2011) */
static void CR(update_adagrad)(const cr_update *u, size_t n, R *restrict p, const R *restrict g,
                               R *restrict state, size_t stride)
{
  (void)stride;
  const R rate = (R)u->rate, decay = (R)u->weight_decay, epsilon = (R)u->epsilon;
  R *restrict s = state;
  for (size_t i = 0; i < n; i++) {
    R gradient = g[i] + decay * p[i];
    s[i] += gradient * gradient;
    p[i] -= rate * gradient / (M(sqrt)(s[i]) + epsilon);
  }
}

/* s ← α s + (1 − α) g², d = √s + ε;  p ← p − η g / d,  or with momentum v ← μ v + g / d, p ← p − η v.
 * Centred (Graves 2013): m ← α m + (1 − α) g, d = √(s − m²) + ε; rounding may not make s − m² negative. */
static void CR(update_rmsprop)(const cr_update *u, size_t n, R *restrict p, const R *restrict g,
                               R *restrict state, size_t stride)
{
  const R rate = (R)u->rate, decay = (R)u->weight_decay, epsilon = (R)u->epsilon;
  const R alpha = (R)u->alpha, rest = (R)(1 - u->alpha), momentum = (R)u->momentum;
  R *restrict s = state, *restrict m = state + stride, *restrict v = u->centered ? m + stride : m;
  for (size_t i = 0; i < n; i++) {
    R gradient = g[i] + decay * p[i], variance = s[i] = alpha * s[i] + rest * gradient * gradient;
    if (u->centered) {
      m[i] = alpha * m[i] + rest * gradient;
      variance -= m[i] * m[i];
      variance = variance < 0 ? 0 : variance;
    }
    R step = gradient / (M(sqrt)(variance) + epsilon);
    if (momentum != 0) step = v[i] = momentum * v[i] + step;
    p[i] -= rate * step;
  }
}

/* m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ);
 * p ← p − η m̂ / (√v̂ + ε) (Kingma & Ba 2015) */
static inline void CR(adam_rule)(const cr_update *u, size_t n, R keep, R decay, R *restrict p,
                                 const R *restrict g, R *restrict m, R *restrict v)
{
  const R beta1 = (R)u->beta1, rest1 = (R)(1 - u->beta1), beta2 = (R)u->beta2, rest2 = (R)(1 - u->beta2);
  const R rate = (R)(u->rate / u->correction1), epsilon = (R)u->epsilon;
  const R root = (R)sqrt(u->correction2);
  for (size_t i = 0; i < n; i++) {
    R gradient = g[i] + decay * p[i];
    m[i] = beta1 * m[i] + rest1 * gradient;
    v[i] = beta2 * v[i] + rest2 * gradient * gradient;
    p[i] = keep * p[i] - rate * m[i] / (M(sqrt)(v[i]) / root + epsilon);
  }
}

static void CR(update_adam)(const cr_update *u, size_t n, R *restrict p, const R *restrict g,
                            R *restrict state, size_t stride)
{
  CR(adam_rule)(u, n, 1, (R)u->weight_decay, p, g, state, state + stride);
}

/* p ← p − η λ p, then as adam without λ (Loshchilov & Hutter 2019) */
static void CR(update_adamw)(const cr_update *u, size_t n, R *restrict p, const R *restrict g,
                             R *restrict state, size_t stride)
{
  CR(adam_rule)(u, n, (R)(1 - u->rate * u->weight_decay), 0, p, g, state, state + stride);
}
