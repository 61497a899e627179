/* Optimizers: one update of n parameters p by their gradients g.
 *
 * The rules are PyTorch's.  λ, the weight decay, is added to the gradient as λ p; adamw shrinks p instead.
 * State arrays lie `stride` scalars apart and start at 0.  √ and ÷ are correctly rounded.
 */

/* The numbers of an update, in every lane. */
typedef struct CR(numbers) {
  V rate, decay, keep;              /* η, λ, 1 − η λ */
  V momentum;                       /* μ */
  V alpha, rest;                    /* α, 1 − α */
  V beta1, rest1, beta2, rest2;     /* β, 1 − β */
  V step, scale;                    /* η / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ) */
  V epsilon;
  bool decays, has_momentum, nesterov, centered;
} CR(numbers);

static CR(numbers) CR(spread)(const cr_update *u)
{
  return (CR(numbers)){
      .rate = CR(splat)((R)u->rate),
      .decay = CR(splat)((R)u->weight_decay),
      .keep = CR(splat)((R)(1 - u->rate * u->weight_decay)),
      .momentum = CR(splat)((R)u->momentum),
      .alpha = CR(splat)((R)u->alpha), .rest = CR(splat)((R)(1 - u->alpha)),
      .beta1 = CR(splat)((R)u->beta1), .rest1 = CR(splat)((R)(1 - u->beta1)),
      .beta2 = CR(splat)((R)u->beta2), .rest2 = CR(splat)((R)(1 - u->beta2)),
      .step = CR(splat)((R)(u->rate / u->correction1)),
      .scale = CR(splat)((R)(1 / sqrt(u->correction2))),
      .epsilon = CR(splat)((R)u->epsilon),
      .decays = u->weight_decay != 0, .has_momentum = u->momentum != 0,
      .nesterov = u->nesterov, .centered = u->centered,
  };
}

/* g + λ p */
static CR_INLINE V CR(decayed)(const CR(numbers) *u, V p, V g) { return u->decays ? CR(fma)(u->decay, p, g) : g; }

/* v ← μ v + g;  p ← p − η v,  or with Nesterov's look ahead p ← p − η (g + μ v) */
static CR_INLINE V CR(rule_sgd)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  (void)stride;
  V step = CR(decayed)(u, p, g);
  if (u->has_momentum) {
    const V v = CR(fma)(u->momentum, CR(load)(state), step);
    CR(store)(state, v);
    step = u->nesterov ? CR(fma)(u->momentum, v, step) : v;
  }
  return p - u->rate * step;
}

/* s ← s + g²;  p ← p − η g / (√s + ε) (Duchi et al. 2011) */
static CR_INLINE V CR(rule_adagrad)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  (void)stride;
  g = CR(decayed)(u, p, g);
  const V s = CR(fma)(g, g, CR(load)(state));
  CR(store)(state, s);
  return p - u->rate * g / (CR(root)(s) + u->epsilon);
}

/* s ← α s + (1 − α) g², d = √s + ε;  p ← p − η g / d,  or with momentum v ← μ v + g / d, p ← p − η v.
 * Centred (Graves 2013): m ← α m + (1 − α) g, d = √(s − m²) + ε; rounding may not make s − m² negative. */
static CR_INLINE V CR(rule_rmsprop)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  g = CR(decayed)(u, p, g);
  const V s = CR(fma)(u->alpha, CR(load)(state), u->rest * g * g);
  CR(store)(state, s);
  V variance = s;
  if (u->centered) {
    const V m = CR(fma)(u->alpha, CR(load)(&state[stride]), u->rest * g);
    CR(store)(&state[stride], m);
    variance = CR(larger)(s - m * m, (V){0});
  }
  V step = g / (CR(root)(variance) + u->epsilon);
  if (u->has_momentum) {
    R *velocity = &state[u->centered ? 2 * stride : stride];
    step = CR(fma)(u->momentum, CR(load)(velocity), step);
    CR(store)(velocity, step);
  }
  return p - u->rate * step;
}

/* m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ);
 * p ← p − η m̂ / (√v̂ + ε) (Kingma & Ba 2015), where √v̂ = √v / √(1 − β₂ᵗ) */
static CR_INLINE V CR(adam_step)(const CR(numbers) *u, V g, R *state, size_t stride)
{
  const V m = CR(fma)(u->beta1, CR(load)(state), u->rest1 * g);
  const V v = CR(fma)(u->beta2, CR(load)(&state[stride]), u->rest2 * g * g);
  CR(store)(state, m);
  CR(store)(&state[stride], v);
  return u->step * m / CR(fma)(CR(root)(v), u->scale, u->epsilon);
}

static CR_INLINE V CR(rule_adam)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  return p - CR(adam_step)(u, CR(decayed)(u, p, g), state, stride);
}

/* p ← p − η λ p, then as adam without λ (Loshchilov & Hutter 2019) */
static CR_INLINE V CR(rule_adamw)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  return u->keep * p - CR(adam_step)(u, g, state, stride);
}

#define UPDATE(ID, name, ...)                                                                              \
  static void CR(update_##name)(const cr_update *update, size_t n, R *p, const R *g, R *state, size_t stride) \
  {                                                                                                        \
    const CR(numbers) u = CR(spread)(update);                                                              \
    for (size_t i = 0; i < n; i += LANES)                                                                  \
      CR(store)(&p[i], CR(rule_##name)(&u, CR(load)(&p[i]), CR(load)(&g[i]), &state[i], stride));          \
  }
CHAINRULE_OPTIMIZERS(UPDATE)
#undef UPDATE
