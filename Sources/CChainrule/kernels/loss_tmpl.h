/* Losses: l of one row, and ∂l/∂a, with d = a − y.
 *
 * The two cross-entropies are fused with the output layer that they need: l and ∂l/∂z are computed from z,
 * so that z = ±1000 gives finite numbers where log a would not.
 */

/* l = ½ Σ d²,  ∂l/∂a = d */
static R CR(loss_halfSquaredError)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  for (size_t j = 0; j < n; j++) {
    R d = a[j] - y[j];
    sum += d * d;
    if (gradient) gradient[j] = scale * d;
  }
  return sum / 2;
}

/* l = 1/n Σ d²,  ∂l/∂a = 2 d / n */
static R CR(loss_meanSquaredError)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  return 2 * CR(loss_halfSquaredError)(n, z, a, y, 2 * scale / (R)n, gradient) / (R)n;
}

/* l = 1/n Σ |d|,  ∂l/∂a = sign(d) / n, 0 at 0 */
static R CR(loss_meanAbsoluteError)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    R d = a[j] - y[j];
    sum += M(fabs)(d);
    if (gradient) gradient[j] = d > 0 ? scale : d < 0 ? -scale : 0;
  }
  return sum / (R)n;
}

/* l = 1/n Σ { ½ d² where |d| < 1, else |d| − ½ },  ∂l/∂a = d clamped to ±1, over n (Huber 1964) */
static R CR(loss_huber)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    R d = a[j] - y[j], size = M(fabs)(d);
    sum += size < 1 ? d * d / 2 : size - (R)0.5;
    if (gradient) gradient[j] = scale * (d > 1 ? 1 : d < -1 ? -1 : d);
  }
  return sum / (R)n;
}

/* l = 1/n Σ log cosh d,  log cosh d = |d| + log(1 + e^(−2|d|)) − log 2;  ∂l/∂a = tanh(d) / n */
static R CR(loss_logCosh)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    R d = a[j] - y[j], size = M(fabs)(d);
    sum += size + M(log1p)(M(exp)(-2 * size)) - (R)0.69314718055994530942;
    if (gradient) gradient[j] = scale * M(tanh)(d);
  }
  return sum / (R)n;
}

/* a = σ(z):  l = 1/n Σ log(1 + e^z) − y z,  ∂l/∂z = (a − y) / n */
static R CR(loss_binaryCrossEntropy)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    sum += CR(softplus)(z[j]) - y[j] * z[j];
    if (gradient) gradient[j] = scale * (a[j] - y[j]);
  }
  return sum / (R)n;
}

/* a = softmax(z):  l = Σ yⱼ (log Σₖ e^zₖ − zⱼ),  ∂l/∂zⱼ = aⱼ Σₖ yₖ − yⱼ */
static R CR(loss_crossEntropy)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  R max = z[0], sum = 0, total = 0, loss = 0;
  for (size_t j = 1; j < n; j++) max = z[j] > max ? z[j] : max;
  for (size_t j = 0; j < n; j++) sum += M(exp)(z[j] - max);
  R log_sum = M(log)(sum); /* of e^(z − max) */
  for (size_t j = 0; j < n; j++) {
    loss += y[j] * (log_sum - (z[j] - max));
    total += y[j];
  }
  for (size_t j = 0; gradient && j < n; j++) gradient[j] = scale * (a[j] * total - y[j]);
  return loss;
}

/* l = 1/n Σ a − y log a, with 0 log 0 = 0;  ∂l/∂a = (1 − y / a) / n */
static R CR(loss_poisson)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    sum += y[j] == 0 ? a[j] : a[j] - y[j] * M(log)(a[j]);
    if (gradient) gradient[j] = y[j] == 0 ? scale : scale * (1 - y[j] / a[j]);
  }
  return sum / (R)n;
}

/* l = 1/n Σ max(0, 1 − y a),  ∂l/∂a = −y / n where 1 − y a > 0 */
static R CR(loss_hinge)(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient)
{
  (void)z;
  R sum = 0;
  scale /= (R)n;
  for (size_t j = 0; j < n; j++) {
    R margin = 1 - y[j] * a[j];
    sum += margin < 0 ? 0 : margin;
    if (gradient) gradient[j] = margin > 0 ? -scale * y[j] : 0;
  }
  return sum / (R)n;
}
