/* The optimizers: one update of n parameters p by their gradients g.
 *
 * The rules are those of PyTorch; lion is that of its authors.  The weight decay λ adds λ p to the gradient;
 * in adamw and lion it shrinks p instead.  L1 adds λ₁ sign p to the gradient, in all rules.  State arrays are
 * `stride` scalars apart, and 0 at the start.  √ and ÷ are correctly rounded.
 */

/* The numbers of cr_update, each in every lane. */
typedef struct CR(numbers) {
  V rate, decay, keep, l1;          /* η, λ, 1 − η λ, λ₁ */
  V momentum;                       /* μ */
  V alpha, rest;                    /* α, 1 − α; adadelta's ρ is α */
  V beta1, rest1, beta2, rest2;     /* β, 1 − β */
  V step, scale;                    /* η / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ) */
  V mean_step, gradient_step;       /* η times nadam's factors of m and g */
  V eta_minus, eta_plus, step_min, step_max;
  V epsilon;
  bool has_momentum, nesterov, centered, amsgrad, first;
} CR(numbers);

static CR_INLINE CR(numbers) CR(spread)(const cr_update *u)
{
  return (CR(numbers)){
      .rate = CR(splat)((R)u->rate),
      .decay = CR(splat)((R)u->weight_decay),
      .keep = CR(splat)((R)(1 - u->rate * u->weight_decay)),
      .l1 = CR(splat)((R)u->l1),
      .momentum = CR(splat)((R)u->momentum),
      .alpha = CR(splat)((R)u->alpha), .rest = CR(splat)((R)(1 - u->alpha)),
      .beta1 = CR(splat)((R)u->beta1), .rest1 = CR(splat)((R)(1 - u->beta1)),
      .beta2 = CR(splat)((R)u->beta2), .rest2 = CR(splat)((R)(1 - u->beta2)),
      .step = CR(splat)((R)u->step),
      .scale = CR(splat)((R)u->scale),
      .mean_step = CR(splat)((R)(u->rate * u->mean_share)),
      .gradient_step = CR(splat)((R)(u->rate * u->gradient_share)),
      .eta_minus = CR(splat)((R)u->eta_minus), .eta_plus = CR(splat)((R)u->eta_plus),
      .step_min = CR(splat)((R)u->step_min), .step_max = CR(splat)((R)u->step_max),
      .epsilon = CR(splat)((R)u->epsilon),
      .has_momentum = u->momentum != 0,
      .nesterov = u->nesterov, .centered = u->centered, .amsgrad = u->amsgrad, .first = u->first,
  };
}

/* Returns p after the update, and updates `state`. */
typedef V CR(rule)(const CR(numbers) *u, V p, V g, R *state, size_t stride);

/* −1, 0 or 1 */
static CR_INLINE V CR(v_sign)(V x)
{
  const V one = CR(splat)(1), zero = {0};
  return CR(select)(x > 0, one, CR(select)(x < 0, -one, zero));
}

/* g + λ₁ sign p */
static CR_INLINE V CR(sparse)(V l1, V p, V g) { return CR(fma)(l1, CR(v_sign)(p), g); }

/* g + λ p, also for λ = 0, because a branch would take longer */
static CR_INLINE V CR(decayed)(const CR(numbers) *u, V p, V g) { return CR(fma)(u->decay, p, g); }

/* s ← α s + (1 − α) g² */
static CR_INLINE V CR(mean_square)(const CR(numbers) *u, V g, R *state)
{
  const V s = CR(fma)(u->alpha, CR(load)(state), u->rest * g * g);
  CR(store)(state, s);
  return s;
}

/* m ← β₁ m + (1 − β₁) g */
static CR_INLINE V CR(first_moment)(const CR(numbers) *u, V g, R *state)
{
  const V m = CR(fma)(u->beta1, CR(load)(state), u->rest1 * g);
  CR(store)(state, m);
  return m;
}

/* v ← β₂ v + (1 − β₂) g² */
static CR_INLINE V CR(second_moment)(const CR(numbers) *u, V g, R *state)
{
  const V v = CR(fma)(u->beta2, CR(load)(state), u->rest2 * g * g);
  CR(store)(state, v);
  return v;
}

/* v ← μ v + g;  p ← p − η v,  or, with Nesterov's momentum, p ← p − η (g + μ v) */
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

/* p ← p − η g: sgd without decay and momentum */
static CR_INLINE V CR(rule_plain)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  (void)state;
  (void)stride;
  return p - u->rate * g;
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
  const V s = CR(mean_square)(u, g, state);
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
 * p ← p − η m̂ / (√v̂ + ε) (Kingma & Ba 2015), where √v̂ = √v / √(1 − β₂ᵗ).
 * amsgrad: w ← max(w, v), and ŵ in place of v̂ (Reddi et al. 2018). */
static CR_INLINE V CR(adam_step)(const CR(numbers) *u, V g, R *state, size_t stride)
{
  const V m = CR(first_moment)(u, g, state);
  V v = CR(second_moment)(u, g, &state[stride]);
  if (u->amsgrad) {
    v = CR(larger)(CR(load)(&state[2 * stride]), v);
    CR(store)(&state[2 * stride], v);
  }
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

/* Both with amsgrad: adam with keep = 1, adamw with λ = 0 */
static CR_INLINE V CR(rule_amsgrad)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  return u->keep * p - CR(adam_step)(u, CR(decayed)(u, p, g), state, stride);
}

/* s ← ρ s + (1 − ρ) g²,  d = g √((w + ε) / (s + ε)),  w ← ρ w + (1 − ρ) d²;  p ← p − η d (Zeiler 2012) */
static CR_INLINE V CR(rule_adadelta)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  g = CR(decayed)(u, p, g);
  const V s = CR(mean_square)(u, g, state), w = CR(load)(&state[stride]);
  const V step = g * CR(root)((w + u->epsilon) / (s + u->epsilon));
  CR(mean_square)(u, step, &state[stride]);
  return p - u->rate * step;
}

/* m as in adam,  s ← max(β₂ s, |g| + ε);  p ← p − η m̂ / s (Kingma & Ba 2015) */
static CR_INLINE V CR(rule_adamax)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  g = CR(decayed)(u, p, g);
  const V m = CR(first_moment)(u, g, state);
  const V s = CR(larger)(u->beta2 * CR(load)(&state[stride]), CR(v_magnitude)(g) + u->epsilon);
  CR(store)(&state[stride], s);
  return p - u->step * m / s;
}

/* m and v as in adam,  μₜ = β₁ (1 − ½ 0.96^(t ψ));
 * p ← p − η (μₜ₊₁ m / (1 − μ₁…μₜ₊₁) + (1 − μₜ) g / (1 − μ₁…μₜ)) / (√v̂ + ε) (Dozat 2016) */
static CR_INLINE V CR(rule_nadam)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  g = CR(decayed)(u, p, g);
  const V m = CR(first_moment)(u, g, state), v = CR(second_moment)(u, g, &state[stride]);
  return p - CR(fma)(u->mean_step, m, u->gradient_step * g) / CR(fma)(CR(root)(v), u->scale, u->epsilon);
}

/* Each parameter has a step of its own, at first η.  The step is multiplied by η⁺ if g has the same sign as
 * before, and by η⁻ if the sign has changed; then g becomes 0, for this update and for the next comparison.
 * p ← p − step sign g (Riedmiller & Braun 1993) */
static CR_INLINE V CR(rule_rprop)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  g = CR(decayed)(u, p, g);
  const V one = CR(splat)(1), zero = {0};
  const V agreement = CR(v_sign)(g) * CR(v_sign)(CR(load)(state));
  const V factor = CR(select)(agreement > 0, u->eta_plus, CR(select)(agreement < 0, u->eta_minus, one));
  const V grown = factor * (u->first ? u->rate : CR(load)(&state[stride]));
  const V step = CR(larger)(u->step_min, CR(smaller)(u->step_max, grown));
  g = CR(select)(agreement < 0, zero, g);
  CR(store)(state, g);
  CR(store)(&state[stride], step);
  return p - step * CR(v_sign)(g);
}

/* c = β₁ m + (1 − β₁) g,  m ← β₂ m + (1 − β₂) g;  p ← p − η (sign c + λ p) (Chen et al. 2023) */
static CR_INLINE V CR(rule_lion)(const CR(numbers) *u, V p, V g, R *state, size_t stride)
{
  (void)stride;
  const V m = CR(load)(state), c = CR(fma)(u->beta1, m, u->rest1 * g);
  CR(store)(state, CR(fma)(u->beta2, m, u->rest2 * g));
  return u->keep * p - u->rate * CR(v_sign)(c);
}

/* Applies a rule to n parameters. */
static CR_INLINE void CR(all)(CR(rule) rule, const CR(numbers) *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  for (size_t i = 0; i < n; i += LANES)
    CR(store)(&p[i], rule(u, CR(load)(&p[i]), CR(load)(&g[i]), &state[i], stride));
}

/* An update with L1, which is rare: computes g + λ₁ sign p first, for up to BLOCK parameters at a time, then
 * updates these. */
static CR_CALLED void CR(update_sparse)(void update(const cr_update *, size_t, R *, const R *, R *, size_t),
                                        const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  enum { BLOCK = 256 };
  R sum[BLOCK];
  cr_update rest = *u;
  rest.l1 = 0;
  for (size_t start = 0, count; start < n; start += count) {
    count = n - start < BLOCK ? n - start : BLOCK;
    for (size_t i = start; i < start + count; i += LANES)
      CR(store)(&sum[i - start], CR(sparse)(CR(splat)((R)u->l1), CR(load)(&p[i]), CR(load)(&g[i])));
    update(&rest, count, &p[start], sum, &state[start], stride);
  }
}

/* adam or, `decoupled`, adamw, with amsgrad.  It is a function of its own so that the flag is a constant in
 * every loop. */
static CR_CALLED void CR(update_amsgrad)(const cr_update *update, bool decoupled, size_t n, R *p, const R *g, R *state,
                                         size_t stride)
{
  CR(numbers) u = CR(spread)(update);
  u.amsgrad = true;
  if (decoupled) u.decay = (V){0};
  else u.keep = CR(splat)(1);
  CR(all)(CR(rule_amsgrad), &u, n, p, g, state, stride);
}

#define UPDATE(ID, name, ...)                                                                              \
  static void CR(update_##name)(const cr_update *update, size_t n, R *p, const R *g, R *state, size_t stride) \
  {                                                                                                        \
    const bool adam = CHAINRULE_OPTIMIZER_##ID == CHAINRULE_OPTIMIZER_ADAM;                                \
    const bool adamw = CHAINRULE_OPTIMIZER_##ID == CHAINRULE_OPTIMIZER_ADAMW;                              \
    const bool sgd = CHAINRULE_OPTIMIZER_##ID == CHAINRULE_OPTIMIZER_SGD;                                  \
    if (update->l1 != 0) {                                                                                 \
      CR(update_sparse)(CR(update_##name), update, n, p, g, state, stride);                                \
    } else if ((adam || adamw) && update->amsgrad) {                                                       \
      CR(update_amsgrad)(update, adamw, n, p, g, state, stride);                                           \
    } else if (sgd && update->weight_decay == 0 && update->momentum == 0) {                                \
      const CR(numbers) u = CR(spread)(update);                                                            \
      CR(all)(CR(rule_plain), &u, n, p, g, state, stride);                                                 \
    } else {                                                                                               \
      CR(numbers) u = CR(spread)(update);                                                                  \
      u.amsgrad = false;                                                                                   \
      CR(all)(CR(rule_##name), &u, n, p, g, state, stride);                                                \
    }                                                                                                      \
  }
CHAINRULE_OPTIMIZERS(UPDATE)
#undef UPDATE
