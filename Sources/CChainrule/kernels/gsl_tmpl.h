/* The kernel set `gsl`: the products of a dense layer and the updates by gsl_blas and GSL's vectors.  All
 * other kernels are those of `baseline`.
 *
 * GSL_VECTOR, GSL_MATRIX and BLAS are GSL's names of a function in this precision.  Elementwise roots and
 * signs, for which GSL has no function, are loops.
 */

/* Z = X Wᵀ + 1 bᵀ */
void CR(gsl_affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                    size_t panel, const R *bias, R *z, size_t z_stride)
{
  if (rows == 0) return;
  GSL_MATRIX(const_view) X = GSL_MATRIX(const_view_array_with_tda)(x, rows, in, x_stride);
  GSL_MATRIX(const_view) W_t = GSL_MATRIX(const_view_array_with_tda)(weights, in, out, panel);
  GSL_MATRIX(view) Z = GSL_MATRIX(view_array_with_tda)(z, rows, out, z_stride);
  for (size_t r = 0; bias && r < rows; r++) {
    GSL_VECTOR(const_view) b = GSL_VECTOR(const_view_array)(bias, out);
    GSL_MATRIX(set_row)(&Z.matrix, r, &b.vector);
  }
  BLAS(gemm)(CblasNoTrans, CblasNoTrans, 1, &X.matrix, &W_t.matrix, bias ? 1 : 0, &Z.matrix);
}

/* dWᵀ = Xᵀ δ */
void CR(gsl_affine_gradient)(size_t rows, size_t columns, const R *x, size_t out, const R *delta,
                             size_t delta_stride, size_t panel, R *gradient)
{
  for (size_t k = 0; k < columns * panel; k++) gradient[k] = 0;
  if (rows == 0) return;
  GSL_MATRIX(view) dW_t = GSL_MATRIX(view_array_with_tda)(gradient, columns, out, panel);
  GSL_MATRIX(const_view) X = GSL_MATRIX(const_view_array_with_tda)(x, rows, columns, CR_CHUNK);
  GSL_MATRIX(const_view) D = GSL_MATRIX(const_view_array_with_tda)(delta, rows, out, delta_stride);
  BLAS(gemm)(CblasTrans, CblasNoTrans, 1, &X.matrix, &D.matrix, 0, &dW_t.matrix);
}

/* db = δᵀ 1 */
void CR(gsl_bias_gradient)(size_t rows, size_t out, const R *delta, size_t delta_stride, R *gradient)
{
  GSL_VECTOR(view) db = GSL_VECTOR(view_array)(gradient, out);
  GSL_VECTOR(set_zero)(&db.vector);
  for (size_t r = 0; r < rows; r++) {
    GSL_VECTOR(const_view) d = GSL_VECTOR(const_view_array)(delta + r * delta_stride, out);
    BLAS(axpy)(1, &d.vector, &db.vector);
  }
}

/* dX = δ W */
void CR(gsl_affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t delta_stride,
                              const R *weights, size_t panel, R *dx, size_t dx_stride, R *scratch)
{
  (void)scratch;
  if (rows == 0) return;
  GSL_MATRIX(const_view) D = GSL_MATRIX(const_view_array_with_tda)(delta, rows, out, delta_stride);
  GSL_MATRIX(const_view) W_t = GSL_MATRIX(const_view_array_with_tda)(weights, in, out, panel);
  GSL_MATRIX(view) dX = GSL_MATRIX(view_array_with_tda)(dx, rows, in, dx_stride);
  BLAS(gemm)(CblasNoTrans, CblasTrans, 1, &D.matrix, &W_t.matrix, 0, &dX.matrix);
}

/* An update handles this many parameters at a time, with temporaries on the stack. */
enum { CR(chunk) = 512 };

typedef struct CR(part) {
  size_t n;
  R gradient_values[CR(chunk)], step_values[CR(chunk)];
  GSL_VECTOR(view) p, g, step, state[3]; /* g = gradient + λ₁ sign p + λ p */
} CR(part);

static R CR(sign)(R x) { return (R)((x > 0) - (x < 0)); }

/* Begins the next part: views of p and the state, and g ← gradient + λ₁ sign p + λ p. */
static void CR(begin_part)(CR(part) *part, const cr_update *u, size_t start, size_t n, R decay, R *p, const R *g,
                           R *state, size_t stride, size_t state_count)
{
  const size_t left = n - start;
  part->n = left < CR(chunk) ? left : CR(chunk);
  part->p = GSL_VECTOR(view_array)(p + start, part->n);
  part->g = GSL_VECTOR(view_array)(part->gradient_values, part->n);
  part->step = GSL_VECTOR(view_array)(part->step_values, part->n);
  for (size_t s = 0; s < state_count; s++)
    part->state[s] = GSL_VECTOR(view_array)(state + s * stride + start, part->n);
  GSL_VECTOR(const_view) gradient = GSL_VECTOR(const_view_array)(g + start, part->n);
  GSL_VECTOR(memcpy)(&part->g.vector, &gradient.vector);
  for (size_t i = 0; u->l1 != 0 && i < part->n; i++) part->gradient_values[i] += (R)u->l1 * CR(sign)(p[start + i]);
  BLAS(axpy)(decay, &part->p.vector, &part->g.vector);
}

/* average ← decay average + weight x */
static void CR(accumulate)(GSL_VECTOR(view) *average, R decay, R weight, const GSL_VECTOR(view) *x)
{
  BLAS(scal)(decay, &average->vector);
  BLAS(axpy)(weight, &x->vector, &average->vector);
}

/* x ← scale √x + ε */
static void CR(denominator)(GSL_VECTOR(view) *x, R scale, R epsilon)
{
  for (size_t i = 0; i < x->vector.size; i++) x->vector.data[i] = scale * M(sqrt)(x->vector.data[i]);
  GSL_VECTOR(add_constant)(&x->vector, epsilon);
}

/* to ← x ⊙ x */
static void CR(square)(GSL_VECTOR(view) *to, const GSL_VECTOR(view) *x)
{
  GSL_VECTOR(memcpy)(&to->vector, &x->vector);
  GSL_VECTOR(mul)(&to->vector, &x->vector);
}

void CR(gsl_update_sgd)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  const bool momentum = u->momentum != 0;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, momentum);
    GSL_VECTOR(view) *v = momentum ? &part.state[0] : &part.g;
    if (momentum) CR(accumulate)(v, (R)u->momentum, 1, &part.g);
    if (u->nesterov) BLAS(axpy)((R)u->momentum, &v->vector, &part.g.vector);
    BLAS(axpy)((R)-u->rate, u->nesterov ? &part.g.vector : &v->vector, &part.p.vector);
  }
}

void CR(gsl_update_adagrad)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 1);
    CR(square)(&part.step, &part.g);
    CR(accumulate)(&part.state[0], 1, 1, &part.step);
    GSL_VECTOR(memcpy)(&part.step.vector, &part.state[0].vector);
    CR(denominator)(&part.step, 1, (R)u->epsilon);
    GSL_VECTOR(div)(&part.g.vector, &part.step.vector);
    BLAS(axpy)((R)-u->rate, &part.g.vector, &part.p.vector);
  }
}

void CR(gsl_update_rmsprop)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  const bool momentum = u->momentum != 0;
  const R alpha = (R)u->alpha, rest = (R)(1 - u->alpha);
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 1 + u->centered + momentum);
    GSL_VECTOR(view) *s = &part.state[0], *m = &part.state[1], *v = &part.state[1 + u->centered];
    CR(square)(&part.step, &part.g);
    CR(accumulate)(s, alpha, rest, &part.step);
    if (u->centered) { /* step = max(0, s − m²) */
      CR(accumulate)(m, alpha, rest, &part.g);
      CR(square)(&part.step, m);
      BLAS(scal)(-1, &part.step.vector);
      GSL_VECTOR(add)(&part.step.vector, &s->vector);
      for (size_t k = 0; k < part.n; k++) part.step_values[k] = part.step_values[k] < 0 ? 0 : part.step_values[k];
    } else {
      GSL_VECTOR(memcpy)(&part.step.vector, &s->vector);
    }
    CR(denominator)(&part.step, 1, (R)u->epsilon);
    GSL_VECTOR(div)(&part.g.vector, &part.step.vector);
    if (momentum) CR(accumulate)(v, (R)u->momentum, 1, &part.g);
    BLAS(axpy)((R)-u->rate, momentum ? &v->vector : &part.g.vector, &part.p.vector);
  }
}

/* m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g² */
static void CR(adam_moments)(CR(part) *part, const cr_update *u)
{
  CR(accumulate)(&part->state[0], (R)u->beta1, (R)(1 - u->beta1), &part->g);
  CR(square)(&part->step, &part->g);
  CR(accumulate)(&part->state[1], (R)u->beta2, (R)(1 - u->beta2), &part->step);
}

static void CR(adam)(const cr_update *u, size_t n, R keep, R decay, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, decay, p, g, state, stride, 2 + u->amsgrad);
    GSL_VECTOR(view) *m = &part.state[0], *v = &part.state[1];
    CR(adam_moments)(&part, u);
    if (u->amsgrad) {
      GSL_VECTOR(view) *largest = &part.state[2];
      for (size_t k = 0; k < part.n; k++)
        largest->vector.data[k] = M(fmax)(largest->vector.data[k], v->vector.data[k]);
      v = largest;
    }
    GSL_VECTOR(memcpy)(&part.step.vector, &v->vector);
    CR(denominator)(&part.step, (R)u->scale, (R)u->epsilon);
    GSL_VECTOR(memcpy)(&part.g.vector, &m->vector);
    GSL_VECTOR(div)(&part.g.vector, &part.step.vector);
    CR(accumulate)(&part.p, keep, (R)-u->step, &part.g);
  }
}

void CR(gsl_update_adam)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(adam)(u, n, 1, (R)u->weight_decay, p, g, state, stride);
}

void CR(gsl_update_adamw)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(adam)(u, n, (R)(1 - u->rate * u->weight_decay), 0, p, g, state, stride);
}

void CR(gsl_update_adadelta)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  const R rho = (R)u->alpha, rest = (R)(1 - u->alpha);
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 2);
    GSL_VECTOR(view) *s = &part.state[0], *w = &part.state[1];
    CR(square)(&part.step, &part.g);
    CR(accumulate)(s, rho, rest, &part.step);
    GSL_VECTOR(memcpy)(&part.step.vector, &w->vector); /* g ← g √((w + ε) / (s + ε)) */
    GSL_VECTOR(add_constant)(&part.step.vector, (R)u->epsilon);
    for (size_t k = 0; k < part.n; k++)
      part.gradient_values[k] *= M(sqrt)(part.step_values[k] / (s->vector.data[k] + (R)u->epsilon));
    CR(square)(&part.step, &part.g);
    CR(accumulate)(w, rho, rest, &part.step);
    BLAS(axpy)((R)-u->rate, &part.g.vector, &part.p.vector);
  }
}

void CR(gsl_update_adamax)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 2);
    GSL_VECTOR(view) *m = &part.state[0], *s = &part.state[1];
    CR(accumulate)(m, (R)u->beta1, (R)(1 - u->beta1), &part.g);
    BLAS(scal)((R)u->beta2, &s->vector);
    for (size_t k = 0; k < part.n; k++)
      s->vector.data[k] = M(fmax)(s->vector.data[k], M(fabs)(part.gradient_values[k]) + (R)u->epsilon);
    GSL_VECTOR(memcpy)(&part.step.vector, &m->vector);
    GSL_VECTOR(div)(&part.step.vector, &s->vector);
    BLAS(axpy)((R)-u->step, &part.step.vector, &part.p.vector);
  }
}

void CR(gsl_update_nadam)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 2);
    CR(adam_moments)(&part, u);
    CR(accumulate)(&part.g, (R)u->gradient_share, (R)u->mean_share, &part.state[0]);
    GSL_VECTOR(memcpy)(&part.step.vector, &part.state[1].vector);
    CR(denominator)(&part.step, (R)u->scale, (R)u->epsilon);
    GSL_VECTOR(div)(&part.g.vector, &part.step.vector);
    BLAS(axpy)((R)-u->rate, &part.g.vector, &part.p.vector);
  }
}

void CR(gsl_update_rprop)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, (R)u->weight_decay, p, g, state, stride, 2);
    GSL_VECTOR(view) *before = &part.state[0], *step = &part.state[1];
    if (u->first) GSL_VECTOR(set_all)(&step->vector, (R)u->rate);
    for (size_t k = 0; k < part.n; k++) {
      R *size = &step->vector.data[k], *gradient = &part.gradient_values[k];
      const R agreement = CR(sign)(*gradient) * CR(sign)(before->vector.data[k]);
      *size *= agreement > 0 ? (R)u->eta_plus : agreement < 0 ? (R)u->eta_minus : 1;
      *size = *size < (R)u->step_min ? (R)u->step_min : *size > (R)u->step_max ? (R)u->step_max : *size;
      if (agreement < 0) *gradient = 0;
      part.step_values[k] = *size * CR(sign)(*gradient);
    }
    GSL_VECTOR(memcpy)(&before->vector, &part.g.vector);
    GSL_VECTOR(sub)(&part.p.vector, &part.step.vector);
  }
}

void CR(gsl_update_lion)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride)
{
  CR(part) part;
  for (size_t i = 0; i < n; i += part.n) {
    CR(begin_part)(&part, u, i, n, 0, p, g, state, stride, 1);
    GSL_VECTOR(view) *m = &part.state[0];
    GSL_VECTOR(memcpy)(&part.step.vector, &m->vector);
    CR(accumulate)(&part.step, (R)u->beta1, (R)(1 - u->beta1), &part.g);
    for (size_t k = 0; k < part.n; k++) part.step_values[k] = CR(sign)(part.step_values[k]);
    CR(accumulate)(m, (R)u->beta2, (R)(1 - u->beta2), &part.g);
    CR(accumulate)(&part.p, (R)(1 - u->rate * u->weight_decay), (R)-u->rate, &part.step);
  }
}
