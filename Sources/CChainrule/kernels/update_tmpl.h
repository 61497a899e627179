/* Optimizers: one update of n parameters p by their gradients g.
 *
 * The rules are PyTorch's.  λ, the weight decay, is added to the gradient as λ p; adamw shrinks p instead.
 * State arrays lie `stride` scalars apart and start at 0.  √ and ÷ are correctly rounded.
 */

/* v ← μ v + g;  p ← p − η v,  or with Nesterov's look ahead p ← p − η (g + μ v) */
static void CR(update_sgd)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  (void)stride;
  const V rate = CR(splat)((R)u->rate), decay = CR(splat)((R)u->weight_decay), momentum = CR(splat)((R)u->momentum);
  for (size_t i = 0; i < n; i += LANES) {
    const V w = CR(load)(&p[i]), gradient = CR(load)(&g[i]) + decay * w;
    V step = gradient;
    if (u->momentum != 0) {
      const V v = momentum * CR(load)(&state[i]) + gradient;
      CR(store)(&state[i], v);
      step = u->nesterov ? gradient + momentum * v : v;
    }
    CR(store)(&p[i], w - rate * step);
  }
}

/* s ← s + g²;  p ← p − η g / (√s + ε) (Duchi et al. 2011) */
static void CR(update_adagrad)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  (void)stride;
  const V rate = CR(splat)((R)u->rate), decay = CR(splat)((R)u->weight_decay), epsilon = CR(splat)((R)u->epsilon);
  for (size_t i = 0; i < n; i += LANES) {
    const V w = CR(load)(&p[i]), gradient = CR(load)(&g[i]) + decay * w;
    const V s = CR(load)(&state[i]) + gradient * gradient;
    CR(store)(&state[i], s);
    CR(store)(&p[i], w - rate * gradient / (CR(root)(s) + epsilon));
  }
}

/* s ← α s + (1 − α) g², d = √s + ε;  p ← p − η g / d,  or with momentum v ← μ v + g / d, p ← p − η v.
 * Centred (Graves 2013): m ← α m + (1 − α) g, d = √(s − m²) + ε; rounding may not make s − m² negative. */
static void CR(update_rmsprop)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  const V rate = CR(splat)((R)u->rate), decay = CR(splat)((R)u->weight_decay), epsilon = CR(splat)((R)u->epsilon);
  const V alpha = CR(splat)((R)u->alpha), rest = CR(splat)((R)(1 - u->alpha)), momentum = CR(splat)((R)u->momentum);
  R *square = state, *mean = state + stride, *velocity = u->centered ? mean + stride : mean;
  for (size_t i = 0; i < n; i += LANES) {
    const V w = CR(load)(&p[i]), gradient = CR(load)(&g[i]) + decay * w;
    V variance = alpha * CR(load)(&square[i]) + rest * gradient * gradient;
    CR(store)(&square[i], variance);
    if (u->centered) {
      const V m = alpha * CR(load)(&mean[i]) + rest * gradient;
      CR(store)(&mean[i], m);
      variance = CR(larger)(variance - m * m, (V){0});
    }
    V step = gradient / (CR(root)(variance) + epsilon);
    if (u->momentum != 0) {
      step += momentum * CR(load)(&velocity[i]);
      CR(store)(&velocity[i], step);
    }
    CR(store)(&p[i], w - rate * step);
  }
}

/* m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ);
 * p ← p − η m̂ / (√v̂ + ε) (Kingma & Ba 2015), where √v̂ = √v / √(1 − β₂ᵗ) */
static CR_INLINE void CR(adam_rule)(const cr_update *u, size_t n, R keep, R decay, R *p, const R *g, R *m, R *v)
{
  const V beta1 = CR(splat)((R)u->beta1), rest1 = CR(splat)((R)(1 - u->beta1));
  const V beta2 = CR(splat)((R)u->beta2), rest2 = CR(splat)((R)(1 - u->beta2));
  const V rate = CR(splat)((R)(u->rate / u->correction1)), epsilon = CR(splat)((R)u->epsilon);
  const V scale = CR(splat)((R)(1 / sqrt(u->correction2)));
  const V kept = CR(splat)(keep), decayed = CR(splat)(decay);
  for (size_t i = 0; i < n; i += LANES) {
    const V w = CR(load)(&p[i]), gradient = CR(load)(&g[i]) + decayed * w;
    const V mean = beta1 * CR(load)(&m[i]) + rest1 * gradient;
    const V square = beta2 * CR(load)(&v[i]) + rest2 * gradient * gradient;
    CR(store)(&m[i], mean);
    CR(store)(&v[i], square);
    CR(store)(&p[i], kept * w - rate * mean / (CR(root)(square) * scale + epsilon));
  }
}

static void CR(update_adam)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(adam_rule)(u, n, 1, (R)u->weight_decay, p, g, state, state + stride);
}

/* p ← p − η λ p, then as adam without λ (Loshchilov & Hutter 2019) */
static void CR(update_adamw)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(adam_rule)(u, n, (R)(1 - u->rate * u->weight_decay), 0, p, g, state, state + stride);
}
