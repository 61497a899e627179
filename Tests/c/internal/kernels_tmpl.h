/* The tests of one scalar type R.  See kernels.c. */
#define T2(name, suffix) test_##name##_##suffix
#define T1(name, suffix) T2(name, suffix)
#define T(name) T1(name, SCALAR)

/* A matrix of random numbers in [-1, 1), with 0 in the columns from `columns` to `padded`, and NaN in the
 * gaps between rows, before the first and after the last. */
typedef struct T(matrix) {
  size_t rows, columns, padded, stride, size;
  R *memory, *values, *before;
} T(matrix);

static T(matrix) T(make)(size_t rows, size_t columns, size_t padded, size_t stride)
{
  const size_t guard = 16, size = rows * stride + 2 * guard;
  T(matrix) m = {rows, columns, padded, stride, size, malloc(size * sizeof(R)), NULL, malloc(size * sizeof(R))};
  m.values = m.memory + guard;
  for (size_t i = 0; i < size; i++) m.memory[i] = (R)NAN;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < padded; c++) m.values[r * stride + c] = c < columns ? (R)uniform() : 0;
  memcpy(m.before, m.memory, size * sizeof(R));
  return m;
}

static double T(at)(const T(matrix) *m, size_t r, size_t c) { return (double)m->values[r * m->stride + c]; }

/* Nothing outside the first `columns` of the rows has been written. */
static bool T(guarded)(const T(matrix) *m, size_t columns)
{
  const size_t start = (size_t)(m->values - m->memory);
  for (size_t i = 0; i < m->size; i++) {
    const bool inside = i >= start && i < start + m->rows * m->stride && (i - start) % m->stride < columns;
    if (!inside && memcmp(&m->memory[i], &m->before[i], sizeof(R)) != 0) return false;
  }
  return true;
}

static void T(release)(T(matrix) *m)
{
  free(m->memory);
  free(m->before);
}

static bool T(close)(double value, double expected, double scale, double ulps)
{
  return fabs(value - expected) <= ulps * (double)EPSILON * fmax(scale, fabs(expected));
}

static size_t T(panel)(const cr_kernel_set *set, size_t out)
{
  return set->vector ? 2 * set->vector / sizeof(R) : (out + 15) / 16 * 16;
}

/* Columns of x, packed for affine_gradient. */
static R *T(columns)(size_t rows, size_t columns, const R *x, size_t stride)
{
  R *to = calloc(rows * CR_CHUNK + 1, sizeof(R));
  for (size_t r = 0; r < rows; r++) memcpy(&to[r * CR_CHUNK], &x[r * stride], columns * sizeof(R));
  return to;
}

static void T(products)(const cr_kernel_set *set, const CR(kernels) *k, size_t rows, size_t in, size_t out)
{
  const size_t panel = T(panel)(set, out), padded = (out + panel - 1) / panel * panel;
  const size_t stride = padded + 16, x_stride = in + 3;
  T(matrix) x = T(make)(rows, in, in, x_stride), w = T(make)(out, in, in, in);
  T(matrix) panels = T(make)(padded / panel, in * panel, in * panel, in * panel);
  T(matrix) b = T(make)(1, out, padded, padded), d = T(make)(rows, out, padded, stride);
  T(matrix) z = T(make)(rows, out, padded, stride), dx = T(make)(rows, in, (in + 15) / 16 * 16, (in + 15) / 16 * 16 + 3);
  T(matrix) dw = T(make)(1, CR_CHUNK * panel, CR_CHUNK * panel, CR_CHUNK * panel), db = T(make)(1, out, padded, padded);
  R *scratch = malloc(((rows + panel) * (in + out) + 1) * sizeof(R));
  char detail[80];
  snprintf(detail, sizeof detail, "rows %zu, in %zu, out %zu, %s", rows, in, out, sizeof(R) == 4 ? "float" : "double");
  for (size_t j = 0; j < padded; j++)
    for (size_t i = 0; i < in; i++)
      panels.values[cr_weight_offset(panel, in, j, i)] = j < out ? w.values[j * in + i] : 0;

  for (int biased = 0; biased < 2; biased++) {
    bool good = true;
    k->affine(rows, in, out, x.values, x_stride, panels.values, panel, biased ? b.values : NULL, z.values, stride);
    for (size_t r = 0; r < rows; r++)
      for (size_t j = 0; j < out; j++) {
        double sum = biased ? T(at)(&b, 0, j) : 0;
        for (size_t i = 0; i < in; i++) sum += T(at)(&x, r, i) * T(at)(&w, j, i);
        good &= T(close)(T(at)(&z, r, j), sum, 1, 2 + (double)in);
      }
    expect(good && T(guarded)(&z, padded), set->name, biased ? "z = W a + b" : "z = W a", detail);
  }

  bool good = true, good_bias = true;
  for (size_t begin = 0; begin < in; begin += CR_CHUNK) {
    const size_t columns = in - begin < CR_CHUNK ? in - begin : CR_CHUNK;
    R *inputs = T(columns)(rows, columns, x.values + begin, x_stride);
    for (size_t first = 0; first < out; first += panel) {
      memcpy(dw.before, dw.memory, dw.size * sizeof(R));
      k->affine_gradient(rows, columns, inputs, out - first, d.values + first, stride, panel, dw.values);
      for (size_t i = 0; i < columns; i++)
        for (size_t j = first; j < first + panel; j++) {
          double sum = 0;
          for (size_t r = 0; r < rows && j < out; r++) sum += T(at)(&d, r, j) * T(at)(&x, r, begin + i);
          good &= T(close)((double)dw.values[i * panel + j - first], sum, 1, 2 + (double)rows);
        }
      good &= T(guarded)(&dw, columns * panel);
    }
    free(inputs);
  }
  k->bias_gradient(rows, padded, d.values, stride, db.values);
  for (size_t j = 0; j < padded; j++) {
    double bias = 0;
    for (size_t r = 0; r < rows; r++) bias += T(at)(&d, r, j);
    good_bias &= T(close)(T(at)(&db, 0, j), bias, 1, 2 + (double)rows);
  }
  expect(good, set->name, "dL/dW", detail);
  expect(good_bias && T(guarded)(&db, padded), set->name, "dL/db", detail);

  good = true;
  k->affine_transpose(rows, in, out, d.values, stride, panels.values, panel, dx.values, dx.stride, scratch);
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < in; i++) {
      double sum = 0;
      for (size_t j = 0; j < out; j++) sum += T(at)(&d, r, j) * T(at)(&w, j, i);
      good &= T(close)(T(at)(&dx, r, i), sum, 1, 2 + (double)out);
    }
  expect(good && T(guarded)(&dx, dx.padded), set->name, "dL/dx", detail);

  free(scratch);
  T(matrix) *all[] = {&x, &w, &panels, &b, &z, &d, &dx, &dw, &db};
  for (size_t i = 0; i < CR_COUNT(all); i++) T(release)(all[i]);
}

/* f against its formula, f′ against the central difference of that formula. */
static void T(activations)(const char *set, const CR(kernels) *k, size_t rows, size_t n)
{
  const size_t padded = (n + 15) / 16 * 16;
  for (int kind = 0; kind < CHAINRULE_ACTIVATION_SOFTMAX; kind++) {
    T(matrix) z = T(make)(rows, n, padded, padded), a = T(make)(rows, n, padded, padded), delta = T(make)(rows, n, padded, padded);
    bool good = true, good_derivative = true;
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < n; c++) z.values[r * z.stride + c] *= 5;
    k->activate[kind](rows, n, z.values, a.values, z.stride);
    k->derive[kind](rows, n, z.values, a.values, delta.values, z.stride);
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < n; c++) {
        const double at = T(at)(&z, r, c), h = 1e-6;
        const double slope = (activation(kind, at + h) - activation(kind, at - h)) / (2 * h);
        const double given = (double)delta.before[(size_t)(delta.values - delta.memory) + r * delta.stride + c];
        good &= T(close)(T(at)(&a, r, c), activation(kind, at), 1, 8);
        good_derivative &= fabs(T(at)(&delta, r, c) - given * slope) <= 32 * (double)EPSILON + 1e-8;
      }
    char detail[80];
    snprintf(detail, sizeof detail, "%s, rows %zu, n %zu", chainrule_activation_name(kind), rows, n);
    expect(good && T(guarded)(&a, padded), set, "a = f(z)", detail);
    expect(good_derivative && T(guarded)(&delta, padded), set, "delta = g f'(z)", detail);
    k->activate[kind](rows, n, z.values, z.values, z.stride); /* in place: the same bits */
    bool same = true;
    for (size_t r = 0; r < rows; r++) same &= !memcmp(&z.values[r * z.stride], &a.values[r * a.stride], n * sizeof(R));
    expect(same, set, "in place", detail);
    T(release)(&z), T(release)(&a), T(release)(&delta);
  }
}

/* Softmax against e^z / Σ e^z, and δ = g J with the Jacobian written out. */
static void T(softmax)(const char *set, const CR(kernels) *k, size_t rows, size_t n)
{
  const size_t padded = (n + 15) / 16 * 16;
  T(matrix) z = T(make)(rows, n, padded, padded), a = T(make)(rows, n, padded, padded), delta = T(make)(rows, n, padded, padded);
  const size_t start = (size_t)(delta.values - delta.memory);
  bool good = true;
  k->activate[CHAINRULE_ACTIVATION_SOFTMAX](rows, n, z.values, a.values, z.stride);
  k->derive[CHAINRULE_ACTIVATION_SOFTMAX](rows, n, z.values, a.values, delta.values, z.stride);
  for (size_t r = 0; r < rows; r++) {
    double total = 0;
    for (size_t c = 0; c < n; c++) total += exp(T(at)(&z, r, c));
    for (size_t j = 0; j < n; j++) {
      const double p = exp(T(at)(&z, r, j)) / total;
      double sum = 0;
      for (size_t i = 0; i < n; i++) {
        const double q = exp(T(at)(&z, r, i)) / total;
        sum += (double)delta.before[start + r * delta.stride + i] * q * ((i == j) - p);
      }
      good &= T(close)(T(at)(&a, r, j), p, 0, 16 + (double)n) && T(close)(T(at)(&delta, r, j), sum, 1, 16 + (double)n);
    }
  }
  expect(good && T(guarded)(&a, padded) && T(guarded)(&delta, padded), set, "softmax", "value or Jacobian");
  T(release)(&z), T(release)(&a), T(release)(&delta);
}

/* The products with one row in each lane have the same bits as those of rows. */
static void T(lanes)(const cr_kernel_set *set, const CR(kernels) *k, size_t rows, size_t in, size_t out)
{
  if (!k->lanes_load) return;
  const size_t lanes = set->vector / sizeof(R), panel = 2 * lanes, padded = (out + panel - 1) / panel * panel;
  const size_t in_padded = (in + 15) / 16 * 16 + 16;
  if (rows > CR_STRIP_VECTORS * lanes) rows = CR_STRIP_VECTORS * lanes;
  const size_t pitch = (rows + lanes - 1) / lanes * lanes;
  T(matrix) x = T(make)(rows, in, in, in), w = T(make)(padded / panel, in * panel, in * panel, in * panel);
  T(matrix) b = T(make)(1, out, padded, padded), d = T(make)(rows, out, padded, padded);
  T(matrix) z = T(make)(rows, out, padded, padded), dx = T(make)(rows, in, in_padded, in_padded);
  T(matrix) dw = T(make)(1, in * panel, in * panel, in * panel), db = T(make)(1, padded, padded, padded);
  T(matrix) x_t = T(make)(in, pitch, pitch, pitch), z_t = T(make)(out, pitch, pitch, pitch), d_t = T(make)(out + lanes, pitch, pitch, pitch);
  T(matrix) dx_t = T(make)(in, pitch, pitch, pitch), sums = T(make)(padded / panel, in * panel, in * panel, in * panel);
  T(matrix) bias_sums = T(make)(1, padded, padded, padded), bias_at_once = T(make)(1, padded, padded, padded);
  T(matrix) at_once = T(make)(padded / panel, in * panel, in * panel, in * panel);
  R *scratch = malloc(((rows + panel) * (in + out) + 1) * sizeof(R));
  for (size_t j = out; j < padded; j++) /* no neurons there */
    for (size_t i = 0; i < in; i++) w.values[cr_weight_offset(panel, in, j, i)] = 0;

  k->affine(rows, in, out, x.values, in, w.values, panel, b.values, z.values, padded);
  k->lanes_load(rows, in, x.values, pitch, x_t.values);
  k->lanes_affine(pitch, in, out, x_t.values, w.values, b.values, z_t.values);
  k->affine_transpose(rows, in, out, d.values, padded, w.values, panel, dx.values, in_padded, scratch);
  for (size_t r = 0; r < pitch; r++)
    for (size_t j = 0; j < out; j++) d_t.values[j * pitch + r] = r < rows ? d.values[r * padded + j] : 0;
  k->lanes_transpose(pitch, in, out, d_t.values, w.values, dx_t.values);
  bool good = true;
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < out; j++) good &= z.values[r * padded + j] == z_t.values[j * pitch + r];
    for (size_t i = 0; i < in; i++) good &= dx.values[r * in_padded + i] == dx_t.values[i * pitch + r];
  }
  memset(sums.values, 0, sums.rows * sums.stride * sizeof(R));
  memset(bias_sums.values, 0, padded * sizeof(R));
  for (size_t r = 0; r < rows; r += lanes) { /* row blocks of one vector; the first may also add to zeros */
    T(matrix) x_r = T(make)(in, lanes, lanes, lanes), d_r = T(make)(out + lanes, lanes, lanes, lanes);
    for (size_t i = 0; i < in; i++) memcpy(&x_r.values[i * lanes], &x_t.values[i * pitch + r], lanes * sizeof(R));
    for (size_t j = 0; j < out; j++) memcpy(&d_r.values[j * lanes], &d_t.values[j * pitch + r], lanes * sizeof(R));
    const size_t count = rows - r < lanes ? rows - r : lanes;
    k->lanes_gradient(count, lanes, in, out, x_r.values, d_r.values, r == 0 && in % 2, sums.values, bias_sums.values);
    T(release)(&x_r), T(release)(&d_r);
  }
  k->lanes_gradient(rows, pitch, in, out, x_t.values, d_t.values, true, at_once.values, bias_at_once.values);
  R *inputs = T(columns)(rows, in, x.values, in);
  for (size_t j = 0; j < padded; j += panel) {
    k->affine_gradient(rows, in, inputs, j < out ? out - j : 0, d.values + j, padded, panel, dw.values);
    for (size_t i = 0; i < in * panel; i++) good &= dw.values[i] == sums.values[cr_weight_offset(panel, in, j, 0) + i];
    for (size_t i = 0; i < in && j < out; i++) /* the vectors that have a neuron */
      good &= !memcmp(&dw.values[i * panel], &at_once.values[cr_weight_offset(panel, in, j, i)],
                      (out - j > lanes ? panel : lanes) * sizeof(R));
  }
  k->bias_gradient(rows, padded, d.values, padded, db.values);
  good &= !memcmp(db.values, bias_sums.values, padded * sizeof(R));
  good &= !memcmp(db.values, bias_at_once.values, (out + lanes - 1) / lanes * lanes * sizeof(R));
  char detail[80];
  snprintf(detail, sizeof detail, "rows %zu, in %zu, out %zu, %s", rows, in, out, sizeof(R) == 4 ? "float" : "double");
  expect(good && T(guarded)(&z_t, pitch) && T(guarded)(&dx_t, pitch) && T(guarded)(&x_t, pitch) &&
             T(guarded)(&sums, in * panel) && T(guarded)(&at_once, in * panel) && T(guarded)(&bias_sums, padded) &&
             T(guarded)(&bias_at_once, padded),
         set->name, "rows in lanes", detail);
  free(scratch);
  free(inputs);
  T(matrix) *all[] = {&x, &w, &b, &d, &z, &dx, &dw, &db, &x_t, &z_t, &d_t, &dx_t, &sums, &bias_sums,
                      &at_once, &bias_at_once};
  for (size_t i = 0; i < CR_COUNT(all); i++) T(release)(all[i]);
}

/* A single row through two layers, and its update, have the same bits as the kernels for rows. */
static void T(row)(const cr_kernel_set *set, const CR(kernels) *k, size_t in, size_t out)
{
  const CR(row_kernels) *row_kernels = k->row;
  if (!row_kernels) return;
  const size_t panel = T(panel)(set, out), padded = (out + panel - 1) / panel * panel, all = in * padded;
  const size_t last_all = out * panel; /* of the second layer, of one neuron */
  R *scratch = malloc(((1 + panel) * (in + out) + 1) * sizeof(R));
  char detail[80];
  snprintf(detail, sizeof detail, "in %zu, out %zu, %s", in, out, sizeof(R) == 4 ? "float" : "double");

  for (int kind = 0; kind < CHAINRULE_ACTIVATION_COUNT; kind++) {
    if (kind == CHAINRULE_ACTIVATION_SOFTMAX) continue; /* only as the last layer */
    T(matrix) x = T(make)(1, in, in, in), w = T(make)(1, all, all, all), b = T(make)(1, out, padded, padded);
    T(matrix) z = T(make)(1, out, padded, padded), a = T(make)(1, out, padded, padded), d = T(make)(1, out, padded, padded);
    T(matrix) last_w = T(make)(1, last_all, last_all, last_all), last_z = T(make)(1, 1, panel, panel);
    T(matrix) last_d = T(make)(1, 1, panel, panel), y = T(make)(1, 1, 1, 1);
    for (size_t j = out; j < padded; j++) /* no neurons there */
      for (size_t i = 0; i < in; i++) w.values[cr_weight_offset(panel, in, j, i)] = 0;
    for (size_t j = 1; j < panel; j++)
      for (size_t i = 0; i < out; i++) last_w.values[cr_weight_offset(panel, out, j, i)] = 0;

    R *bias = kind % 2 ? b.values : NULL;
    CR(row_layer) layers[] = {
        {.in = in, .out = out, .panel = panel, .weights = w.values, .bias = bias, .activation = (chainrule_activation)kind},
        {.in = out, .out = 1, .panel = panel, .weights = last_w.values, .activation = CHAINRULE_ACTIVATION_SIGMOID}};
    const double l = (double)row_kernels->pass(layers, 2, x.values, y.values, CHAINRULE_LOSS_HALF_SQUARED_ERROR, false, (R)0.5);
    k->affine(1, in, out, x.values, in, w.values, panel, bias, z.values, padded);
    k->activate[kind](1, out, z.values, a.values, padded);
    k->affine(1, out, 1, a.values, padded, last_w.values, panel, NULL, last_z.values, panel);
    k->activate[CHAINRULE_ACTIVATION_SIGMOID](1, 1, last_z.values, last_z.values, panel);
    double loss;
    k->loss(CHAINRULE_LOSS_HALF_SQUARED_ERROR, 1, 1, last_z.values, last_z.values, panel, y.values, NULL, 2,
            last_d.values, &loss);
    k->derive[CHAINRULE_ACTIVATION_SIGMOID](1, 1, last_z.values, last_z.values, last_d.values, panel);
    k->affine_transpose(1, out, 1, last_d.values, panel, last_w.values, panel, d.values, padded, scratch);
    k->derive[kind](1, out, z.values, a.values, d.values, padded);
    expect(l == loss && !memcmp(z.values, layers[0].z, out * sizeof(R)) && !memcmp(a.values, layers[0].a, out * sizeof(R)) &&
               layers[1].a[0] == last_z.values[0] && layers[1].delta[0] == last_d.values[0] &&
               !memcmp(d.values, layers[0].delta, out * sizeof(R)),
           set->name, "a row's pass", detail);
    T(matrix) *matrices[] = {&x, &w, &b, &z, &a, &d, &last_w, &last_z, &last_d, &y};
    for (size_t i = 0; i < CR_COUNT(matrices); i++) T(release)(matrices[i]);
  }

  for (int kind = 0; kind < CHAINRULE_OPTIMIZER_COUNT; kind++)
    for (int plain = 0; plain < 2; plain++) {
      const cr_update u = {.rate = 0.1, .weight_decay = plain ? 0 : 0.01, .momentum = plain ? 0 : 0.9, .alpha = 0.99,
                           .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .step = 1, .scale = 30,
                           .nesterov = !plain, .centered = !plain, .l1 = plain ? 0 : 0.001, .amsgrad = !plain};
      T(matrix) x = T(make)(1, in, in, in), d = T(make)(1, out, padded, padded);
      T(matrix) p = T(make)(1, all + padded, all + padded, all + padded), g = T(make)(1, all + padded, all + padded, all + padded);
      T(matrix) row = T(make)(1, all + padded, all + padded, all + padded);
      R *state = calloc(3 * (all + padded), sizeof(R)), *row_state = calloc(3 * (all + padded), sizeof(R));
      for (size_t j = out; j < padded; j++) {
        for (size_t i = 0; i < in; i++) p.values[cr_weight_offset(panel, in, j, i)] = 0;
        p.values[all + j] = 0;
      }
      memcpy(row.values, p.values, (all + padded) * sizeof(R));
      for (int step = 0; step < 2; step++) {
        for (size_t j = 0; j < padded; j += panel)
          k->affine_gradient(1, in, x.values, out - j, d.values + j, padded, panel, &g.values[j * in]);
        k->bias_gradient(1, padded, d.values, padded, &g.values[all]);
        k->update[kind](&u, all + padded, p.values, g.values, state, all + padded);
        CR(row_layer) layer = {.in = in, .out = out, .panel = panel, .weights = row.values, .bias = &row.values[all],
                               .state = row_state};
        memcpy(layer.delta, d.values, out * sizeof(R));
        row_kernels->descend[kind](&u, &layer, 1, x.values, all + padded);
      }
      for (size_t array = 0; array < 3; array++) /* the state of the padding is never read */
        for (size_t j = out; j < padded; j++)
          for (size_t i = 0; i <= in; i++) {
            const size_t at = array * (all + padded) + (i < in ? cr_weight_offset(panel, in, j, i) : all + j);
            state[at] = row_state[at] = 0;
          }
      expect(!memcmp(p.values, row.values, (all + padded) * sizeof(R)) &&
                 !memcmp(state, row_state, 3 * (all + padded) * sizeof(R)) && T(guarded)(&row, all + padded),
             set->name, "a row's update", chainrule_optimizer_name(kind));
      T(matrix) *matrices[] = {&x, &d, &p, &g, &row};
      for (size_t i = 0; i < CR_COUNT(matrices); i++) T(release)(matrices[i]);
      free(state), free(row_state);
    }
  free(scratch);
}

/* l of weighted rows against its formula, its gradient against the central difference of that formula.  One
 * row in each lane gives the same bits. */
static void T(losses)(const cr_kernel_set *set, const CR(kernels) *k, size_t rows, size_t n)
{
  const size_t padded = (n + 15) / 16 * 16, lanes = set->vector / sizeof(R);
  for (int kind = 0; kind < CHAINRULE_LOSS_COUNT; kind++) {
    T(matrix) z = T(make)(rows, n, padded, padded), a = T(make)(rows, n, padded, padded), y = T(make)(rows, n, n, n);
    T(matrix) g = T(make)(rows, n, padded, padded), w = T(make)(1, rows, rows, rows);
    double losses[64], without[64], in_lanes[64], at[65], target[65];
    bool good = true;
    for (size_t r = 0; r < rows; r++) {
      double total = 0;
      R *zs = &z.values[r * padded], *ys = &y.values[r * n];
      w.values[r] = (R)fabs(w.values[r]);
      for (size_t c = 0; c < n; c++) {
        if (kind == CHAINRULE_LOSS_POISSON) zs[c] = (R)fabs(zs[c]) + (R)0.5, ys[c] = (R)(c % 4);
        if (kind == CHAINRULE_LOSS_HINGE) ys[c] = (R)((int)(c % 3) - 1);
        if (cr_is_fused(kind)) ys[c] = (R)fabs(ys[c]);
        const bool at_kink = fabs((double)(zs[c] - ys[c])) < 1e-4 || fabs(1 - (double)(zs[c] * ys[c])) < 1e-4;
        if (at_kink) zs[c] += (R)0.01; /* where a difference is no derivative */
        total += exp((double)zs[c]);
      }
      for (size_t c = 0; c < n; c++)
        a.values[r * padded + c] = kind == CHAINRULE_LOSS_CROSS_ENTROPY          ? (R)(exp((double)zs[c]) / total)
                                   : kind == CHAINRULE_LOSS_BINARY_CROSS_ENTROPY ? (R)logistic((double)zs[c])
                                                                                 : zs[c];
    }
    k->loss((chainrule_loss)kind, rows, n, z.values, a.values, padded, y.values, w.values, 2, g.values, losses);
    k->loss((chainrule_loss)kind, rows, n, z.values, a.values, padded, y.values, NULL, 0, NULL, without);
    for (size_t r = 0; r < rows; r++) {
      double mass = 1; /* the terms of a cross-entropy have the size of the sum of its targets */
      const double weight = (double)w.values[r];
      for (size_t c = 0; c < n; c++) {
        at[c] = T(at)(&z, r, c);
        target[c] = T(at)(&y, r, c);
        mass += fabs(target[c]);
      }
      const double expected = loss(kind, n, at, target);
      good &= T(close)(losses[r], weight * expected, mass, 8 + (double)n);
      good &= T(close)(without[r], expected, mass, 8 + (double)n);
      for (size_t c = 0; c < n; c++) {
        const double h = 1e-6, old = at[c];
        at[c] = old + h;
        const double above = loss(kind, n, at, target);
        at[c] = old - h;
        const double below = loss(kind, n, at, target);
        at[c] = old;
        good &= fabs(T(at)(&g, r, c) - 0.5 * weight * (above - below) / (2 * h)) <= 16 * mass * (double)EPSILON + 1e-7 * mass;
      }
      for (size_t c = n; c < padded; c++) good &= g.values[r * padded + c] == 0 || lanes == 0 || c >= (n + lanes - 1) / lanes * lanes;
    }
    expect(good && T(guarded)(&g, padded), set->name, "loss", chainrule_loss_name(kind));

    bool same = true;
    for (size_t first = 0, count; k->lanes_load && first < rows; first += count) {
      count = rows - first < CR_STRIP_VECTORS * lanes ? rows - first : CR_STRIP_VECTORS * lanes;
      const size_t pitch = (count + lanes - 1) / lanes * lanes;
      T(matrix) z_t = T(make)(n, pitch, pitch, pitch), a_t = T(make)(n, pitch, pitch, pitch), g_t = T(make)(n, pitch, pitch, pitch);
      T(matrix) y_t = T(make)(n, pitch, pitch, pitch);
      for (size_t r = 0; r < count; r++)
        for (size_t c = 0; c < n; c++) {
          z_t.values[c * pitch + r] = z.values[(first + r) * padded + c];
          a_t.values[c * pitch + r] = a.values[(first + r) * padded + c];
          y_t.values[c * pitch + r] = y.values[(first + r) * n + c];
        }
      k->lanes_loss((chainrule_loss)kind, count, pitch, n, z_t.values, a_t.values, y_t.values, &w.values[first], 2,
                    g_t.values, in_lanes);
      for (size_t r = 0; r < count; r++) {
        same &= in_lanes[r] == losses[first + r];
        for (size_t c = 0; c < n; c++) same &= g_t.values[c * pitch + r] == g.values[(first + r) * padded + c];
      }
      k->lanes_loss((chainrule_loss)kind, count, pitch, n, z_t.values, a_t.values, y_t.values, NULL, 0, g_t.values, in_lanes);
      same &= !memcmp(in_lanes, &without[first], count * sizeof *in_lanes);
      same &= T(guarded)(&g_t, pitch);
      T(release)(&z_t), T(release)(&a_t), T(release)(&g_t), T(release)(&y_t);
    }
    expect(same, set->name, "loss in lanes", chainrule_loss_name(kind));

    same = true;
    for (size_t r = 0; k->row && n <= CR_NARROW && r < rows; r++) {
      /* a layer with the weights z of one input, 1 */
      T(matrix) g_r = T(make)(1, n, padded, padded), one = T(make)(1, 1, 1, 1);
      CR(row_layer) layer = {.in = 1, .out = n, .panel = padded, .weights = &z.values[r * padded]};
      if (cr_is_fused(kind))
        layer.activation = kind == CHAINRULE_LOSS_CROSS_ENTROPY ? CHAINRULE_ACTIVATION_SOFTMAX : CHAINRULE_ACTIVATION_SIGMOID;
      one.values[0] = 1;
      const double weight = (double)w.values[r];
      const R l = k->row->pass(&layer, 1, one.values, &y.values[r * n], (chainrule_loss)kind, cr_is_fused(kind),
                                 (R)(weight / 2));
      memcpy(g_r.before, g_r.memory, g_r.size * sizeof(R));
      k->loss((chainrule_loss)kind, 1, n, layer.z, layer.a, padded, &y.values[r * n], &w.values[r], 2, g_r.values, without);
      same &= weight * (double)l == without[0] && !memcmp(g_r.values, layer.delta, n * sizeof(R));
      for (size_t c = n; c < CR_NARROW; c++) same &= layer.delta[c] == 0;
      same &= T(guarded)(&g_r, padded);
      T(release)(&g_r), T(release)(&one);
    }
    expect(same, set->name, "loss of a row", chainrule_loss_name(kind));
    T(release)(&z), T(release)(&a), T(release)(&y), T(release)(&g), T(release)(&w);
  }
}

/* An update of n parameters equals n / 16 updates of 16, and moves every parameter against its gradient.
 * (Other tests compare the rules with those of PyTorch.) */
static void T(updates)(const char *set, const CR(kernels) *k, size_t n)
{
  const size_t step = 32;
  n = (n + step - 1) / step * step;
  for (int c = 0; c < 2 * CHAINRULE_OPTIMIZER_COUNT; c++) {
    const int kind = c / 2;
    const bool seldom = c % 2; /* with L1 and amsgrad, which have their own loops */
    const cr_update u = {.rate = 0.1, .weight_decay = 0.01, .momentum = 0.9, .alpha = 0.99, .beta1 = 0.9, .beta2 = 0.999,
                         .epsilon = 1e-8, .step = 1, .scale = 30, .mean_share = 0.5, .gradient_share = 0.9,
                         .eta_minus = 0.5, .eta_plus = 1.2, .step_min = 1e-6, .step_max = 50, .l1 = seldom ? 0.001 : 0,
                         .nesterov = true, .centered = true, .amsgrad = seldom, .first = true};
    T(matrix) p = T(make)(1, n, n, n), parts = T(make)(1, n, n, n), g = T(make)(1, n, n, n);
    R *state = calloc(3 * n + 1, sizeof(R)), *part_state = calloc(3 * n + 1, sizeof(R));
    bool same = true, descends = true;
    memcpy(parts.values, p.values, n * sizeof(R));
    k->update[kind](&u, n, p.values, g.values, state, n);
    for (size_t i = 0; i < n; i++) {
      if (i % step == 0) k->update[kind](&u, step, &parts.values[i], &g.values[i], &part_state[i], n);
      const R before = p.before[(size_t)(p.values - p.memory) + i];
      descends &= fabs((double)g.values[i]) < 0.02 || (p.values[i] < before) == (g.values[i] > 0);
    }
    same = !memcmp(p.values, parts.values, n * sizeof(R)) && !memcmp(state, part_state, 3 * n * sizeof(R));
    expect(same && descends && T(guarded)(&p, n), set, "update", chainrule_optimizer_name(kind));
    T(release)(&p), T(release)(&parts), T(release)(&g);
    free(state), free(part_state);
  }
}

/* Each value is 0 or x / (1 − rate), and a slice of the rows gets the values that it gets among all rows. */
static void T(dropout)(const char *set, const CR(kernels) *k, size_t rows, size_t n)
{
  const size_t padded = (n + 15) / 16 * 16;
  const uint64_t key = 0x243f6a8885a308d3u;
  const double rate = 0.25;
  T(matrix) x = T(make)(rows, n, padded, padded), a = T(make)(rows, n, padded, padded), slice = T(make)(rows, n, padded, padded);
  bool good = true;
  k->dropout(rows, padded, x.values, padded, key, 0, rate, a.values);
  for (size_t r = 0; r < rows; r++) {
    k->dropout(1, padded, &x.values[r * padded], padded, key, r, rate, &slice.values[r * padded]);
    for (size_t j = 0; j < n; j++)
      good &= T(at)(&a, r, j) == 0 || T(close)(T(at)(&a, r, j), T(at)(&x, r, j) / (1 - rate), 0, 2);
  }
  const bool same = !memcmp(a.values, slice.values, rows * padded * sizeof(R));
  expect(good && T(guarded)(&a, padded), set, "dropout", "a value");
  expect(same, set, "dropout", "rows in slices");
  T(release)(&x), T(release)(&a), T(release)(&slice);
}

/* x + y, also where the sum replaces x or y. */
static void T(add)(const char *set, const CR(kernels) *k, size_t n)
{
  const size_t padded = (n + 15) / 16 * 16;
  T(matrix) x = T(make)(1, n, padded, padded), y = T(make)(1, n, padded, padded), sum = T(make)(1, n, padded, padded);
  bool good = true;
  k->add(padded, x.values, y.values, sum.values);
  for (size_t j = 0; j < n; j++) good &= sum.values[j] == x.values[j] + y.values[j];
  k->add(padded, x.values, y.values, y.values);
  good &= !memcmp(sum.values, y.values, padded * sizeof(R));
  expect(good && T(guarded)(&sum, padded), set, "x + y", "a value");
  T(release)(&x), T(release)(&y), T(release)(&sum);
}

static void T(within)(const char *set, const CR(kernels) *k, size_t n)
{
  static const double bad[] = {NAN, INFINITY, -INFINITY, 1.5, -1.5};
  T(matrix) x = T(make)(1, n, n, n);
  for (size_t i = 0; i < n; i += 3) x.values[i] = i % 2 ? 1 : -1;
  expect(k->within(n, x.values, -1, 1), set, "within", "of numbers that are");
  for (size_t i = 0; i < n; i++) {
    const R old = x.values[i];
    x.values[i] = (R)bad[i % CR_COUNT(bad)];
    expect(!k->within(n, x.values, -1, 1), set, "within", "of one that is not");
    expect(k->within(n, x.values, -2, 2) == (fabs(bad[i % CR_COUNT(bad)]) < 2), set, "within", "of a wider interval");
    x.values[i] = old;
  }
  T(release)(&x);
}

static void T(set)(const cr_kernel_set *set, const CR(kernels) *k)
{
  T(products)(set, k, 0, 3, 5);
  T(activations)(set->name, k, 0, 3);
  T(products)(set, k, 1200, 7, 20); /* sums in several KC blocks */
  T(products)(set, k, 7, 1200, 20);
  T(products)(set, k, 20, 55, 1200);
  T(updates)(set->name, k, 0);
  T(within)(set->name, k, 0);
  for (size_t i = 0; i < CR_COUNT(sizes); i++) {
    for (size_t j = 0; j < CR_COUNT(sizes); j++)
      for (size_t r = 0; r < CR_COUNT(sizes); r += 1 + (i + j) % 3) T(products)(set, k, sizes[r], sizes[i], sizes[j]);
    T(activations)(set->name, k, 3, sizes[i]);
    T(softmax)(set->name, k, 3, sizes[i]);
    T(losses)(set, k, 1 + i % 19, sizes[i]);
    for (size_t j = 0; j < CR_COUNT(sizes) && sizes[i] <= CR_CHUNK; j++) {
      if (sizes[i] <= CR_NARROW && sizes[j] <= CR_NARROW) T(row)(set, k, sizes[i], sizes[j]);
      T(lanes)(set, k, sizes[(i + j) % CR_COUNT(sizes)], sizes[i], sizes[j]);
    }
    T(updates)(set->name, k, sizes[i]);
    T(dropout)(set->name, k, 5, sizes[i]);
    T(add)(set->name, k, sizes[i]);
    T(within)(set->name, k, sizes[i]);
  }
}
#undef T
#undef T1
#undef T2
