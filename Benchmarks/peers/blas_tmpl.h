/* Training and prediction with scalars R. W is [inputs][units], so that z = a W needs no transposition. */

typedef struct CR(layer) {
  size_t inputs, units, count; /* count: of parameters; b follows W */
  R *parameters, *gradients, *m, *v;
  R *W, *b, *a, *delta;
} CR(layer);

static CR(layer) CR(layers)[WORKLOAD_LAYERS];
static unsigned long CR(step_number);

static void CR(create)(void)
{
  srand(1);
  for (size_t l = 0; l < w.layer_count; l++) {
    CR(layer) *layer = &CR(layers)[l];
    size_t inputs = w.widths[l], units = w.widths[l + 1], count = (inputs + 1) * units;
    *layer = (CR(layer)){.inputs = inputs, .units = units, .count = count};
    layer->parameters = allocate(count * sizeof(R)), layer->gradients = allocate(count * sizeof(R));
    layer->m = allocate(count * sizeof(R)), layer->v = allocate(count * sizeof(R));
    layer->W = layer->parameters, layer->b = layer->parameters + inputs * units;
    layer->a = allocate(w.batch * units * sizeof(R)), layer->delta = allocate(w.batch * units * sizeof(R));
    for (size_t i = 0; i < inputs * units; i++)
      layer->W[i] = (R)(2.0 * rand() / RAND_MAX - 1) / M(sqrt)((R)inputs);
  }
}

/* C [m][n] = A B + beta C, with A [m][k] and B [k][n]; either can be transposed. */
static void CR(multiply)(enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb, size_t m, size_t n, size_t k, const R *A,
                         const R *B, R beta, R *C)
{
  GEMM(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, A, (int)(ta == CblasNoTrans ? k : m), B,
       (int)(tb == CblasNoTrans ? n : k), beta, C, (int)n);
}

static const R *CR(forward)(const R *x, size_t rows)
{
  for (size_t l = 0; l < w.layer_count; l++) {
    CR(layer) *layer = &CR(layers)[l];
    R *a = layer->a;
    size_t units = layer->units, count = rows * units;
    for (size_t r = 0; r < rows; r++) memcpy(a + r * units, layer->b, units * sizeof(R));
    CR(multiply)(CblasNoTrans, CblasNoTrans, rows, units, layer->inputs, x, layer->W, 1, a);
    switch (l + 1 < w.layer_count ? hidden : output) {
    case IDENTITY: break;
    case SIGMOID:
      for (size_t i = 0; i < count; i++) a[i] = 1 / (1 + M(exp)(-a[i]));
      break;
    case TANH:
      for (size_t i = 0; i < count; i++) a[i] = M(tanh)(a[i]);
      break;
    case RELU:
      for (size_t i = 0; i < count; i++) a[i] = a[i] > 0 ? a[i] : 0;
      break;
    case SOFTMAX:
      for (size_t r = 0; r < rows; r++) {
        R *z = a + r * units, greatest = z[0], sum = 0;
        for (size_t i = 1; i < units; i++) greatest = z[i] > greatest ? z[i] : greatest;
        for (size_t i = 0; i < units; i++) sum += z[i] = M(exp)(z[i] - greatest);
        for (size_t i = 0; i < units; i++) z[i] /= sum;
      }
    }
    x = a;
  }
  return x;
}

/* L, and δ of the last layer */
static void CR(compare)(const R *y, size_t rows)
{
  CR(layer) *last = &CR(layers)[w.layer_count - 1];
  size_t count = rows * last->units;
  const R *a = last->a;
  R *delta = last->delta, sum = 0;
  if (output == SOFTMAX) {
    for (size_t i = 0; i < count; i++) {
      if (y[i] > 0) sum -= M(log)(a[i] + (R)1e-30);
      delta[i] = (a[i] - y[i]) / (R)rows;
    }
    loss = (double)sum / (double)rows;
    return;
  }
  R scale = 2 / (R)count;
  for (size_t i = 0; i < count; i++) {
    R d = a[i] - y[i];
    sum += d * d;
    delta[i] = scale * d * (output == SIGMOID ? a[i] * (1 - a[i]) : 1);
  }
  loss = (double)sum / (double)count;
}

static void CR(backward)(const R *x, size_t rows)
{
  for (size_t l = w.layer_count; l-- > 0;) {
    CR(layer) *layer = &CR(layers)[l], *before = l ? layer - 1 : NULL;
    size_t inputs = layer->inputs, units = layer->units;
    R *bias_gradient = layer->gradients + inputs * units;
    CR(multiply)(CblasTrans, CblasNoTrans, inputs, units, rows, before ? before->a : x, layer->delta, 0,
                 layer->gradients);
    memset(bias_gradient, 0, units * sizeof(R));
    for (size_t r = 0; r < rows; r++)
      for (size_t i = 0; i < units; i++) bias_gradient[i] += layer->delta[r * units + i];
    if (!before) continue;

    R *restrict delta = before->delta;
    const R *restrict a = before->a;
    CR(multiply)(CblasNoTrans, CblasTrans, rows, inputs, units, layer->delta, layer->W, 0, delta);
    if (hidden == RELU)
      for (size_t i = 0; i < rows * inputs; i++) delta[i] = a[i] > 0 ? delta[i] : 0;
    else if (hidden == TANH)
      for (size_t i = 0; i < rows * inputs; i++) delta[i] *= 1 - a[i] * a[i];
    else
      for (size_t i = 0; i < rows * inputs; i++) delta[i] *= a[i] * (1 - a[i]);
  }
}

static void CR(update)(void)
{
  R t = (R)++CR(step_number), rate = (R)w.learning_rate, momentum = (R)w.momentum;
  R step = rate / (1 - M(pow)((R)0.9, t)), scale = 1 / M(sqrt)(1 - M(pow)((R)0.999, t));
  for (size_t l = 0; l < w.layer_count; l++) {
    const CR(layer) *layer = &CR(layers)[l];
    R *restrict p = layer->parameters, *restrict m = layer->m, *restrict v = layer->v;
    const R *restrict g = layer->gradients;
    if (adam)
      for (size_t i = 0; i < layer->count; i++) {
        m[i] = (R)0.9 * m[i] + (R)0.1 * g[i];
        v[i] = (R)0.999 * v[i] + (R)0.001 * g[i] * g[i];
        p[i] -= step * m[i] / (M(sqrt)(v[i]) * scale + (R)1e-8);
      }
    else if (momentum != 0)
      for (size_t i = 0; i < layer->count; i++) {
        m[i] = momentum * m[i] + g[i];
        p[i] -= rate * m[i];
      }
    else
      for (size_t i = 0; i < layer->count; i++) p[i] -= rate * g[i];
  }
}

static void CR(epoch)(void)
{
  for (size_t r = 0; r < w.samples; r += w.batch) {
    size_t rows = w.samples - r < w.batch ? w.samples - r : w.batch;
    const R *x = (const R *)data.x + r * workload_inputs(&w), *y = (const R *)data.y + r * workload_outputs(&w);
    CR(forward)(x, rows);
    CR(compare)(y, rows);
    CR(backward)(x, rows);
    CR(update)();
  }
}

static inline void CR(predict)(void) { CR(forward)(data.x, w.rows); }

#undef R
#undef CR
#undef M
#undef GEMM
