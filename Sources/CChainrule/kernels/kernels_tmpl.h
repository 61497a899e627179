/* The table for one scalar type R.  See kernels.h. */

/* The coefficients of the elementary functions' polynomials, each in every lane of the widest vector. */
typedef R SHARED(coefficient)[CR_ALIGNMENT / sizeof(R)];
extern const SHARED(coefficient) SHARED(c_exp)[REAL_BITS == 32 ? 5 : 10], SHARED(c_log)[REAL_BITS == 32 ? 3 : 7],
    SHARED(c_mills)[REAL_BITS == 32 ? 11 : 23];

/* A layer of a narrow network for a single row, its units in lanes, padded to whole vectors.  `panel` is a power of two,
 * whichever set's; bias may be NULL; state, that of W, lies to that of b as W lies to b. */
typedef struct CR(row_layer) {
  _Alignas(CR_ALIGNMENT) R z[CR_NARROW], a[CR_NARROW], delta[CR_NARROW];
  size_t in, out, panel;
  R *weights, *bias, *state;
  chainrule_activation activation;
} CR(row_layer);

/* A step of a single row through a narrow network; the bits of rows. */
typedef struct CR(row_kernels) {
  /* z, a and δ of every layer; returns l.  The last δ is scale × ∂l/∂a ⊙ f′(z) or, `fused`, as a softmax has to
   * be, scale × ∂l/∂z. */
  R (*pass)(CR(row_layer) *layers, size_t count, const R *x, const R *y, chainrule_loss loss, bool fused, R scale);
  /* One update of every W and b by dW = δᵀ x, db = δ. */
  void (*descend[CHAINRULE_OPTIMIZER_COUNT])(const cr_update *u, const CR(row_layer) *layers, size_t count,
                                             const R *x, size_t stride);
} CR(row_kernels);

/* Those of the set whose vectors suit a narrow layer: on x86-64, avx2; the same bits on any. */
extern const CR(row_kernels) CR(rows);

typedef struct CR(kernels) {
  /* Z = X Wᵀ + 1 bᵀ       x [rows][in], b [out] padded or NULL, z [rows][out].
   * Each z is one chain of fused multiply-adds: starts at b, or 0, and takes i = 0 … in − 1 in order.
   * Writes z up to the end of the last panel. */
  void (*affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                 size_t panel, const R *bias, R *z, size_t z_stride);

  /* dW = δᵀ X             of some columns of x, [rows][CR_CHUNK], and of one panel, whose first neuron's δ is at
   * `delta` and which has `out` neurons.  gradient: [columns][panel], 0 where there is no neuron.  Each element is one
   * chain over r = 0 … rows − 1. */
  void (*affine_gradient)(size_t rows, size_t columns, const R *x, size_t out, const R *delta, size_t delta_stride,
                          size_t panel, R *gradient);

  /* db = δᵀ 1             gradient [out] padded; each a sum over r = 0 … rows − 1. */
  void (*bias_gradient)(size_t rows, size_t out, const R *delta, size_t delta_stride, R *gradient);

  /* dX = δ W              dx [rows][in], padded with 0; each element one chain over j = 0 … out − 1.
   * scratch: (in + out) × rows, rounded up to a panel, scalars. */
  void (*affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t delta_stride,
                           const R *weights, size_t panel, R *dx, size_t dx_stride, R *scratch);

  /* The same for a strip of a narrow network's batch, a row a lane: [units][pitch], pitch being whole
   * vectors, CR_STRIP_VECTORS at most; the same bits.  lanes_load brings rows of [rows][n] there; lanes_gradient goes on
   * with what is in the panels unless this strip is the first, and may read a vector's units behind δ.  All NULL: there
   * are none. */
  void (*lanes_load)(size_t rows, size_t n, const R *x, size_t pitch, R *to);
  void (*lanes_affine)(size_t pitch, size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z);
  void (*lanes_transpose)(size_t pitch, size_t in, size_t out, const R *delta, const R *weights, R *dx);
  void (*lanes_gradient)(size_t rows, size_t pitch, size_t in, size_t out, const R *x, const R *delta, bool first,
                         R *weights, R *bias);
  void (*lanes_softmax)(size_t rows, size_t pitch, size_t n, const R *z, R *a);
  void (*lanes_loss)(chainrule_loss loss, size_t rows, size_t pitch, size_t n, const R *z, const R *a, const R *y,
                     const R *weights, double total, R *delta, double *losses);

  /* What a single row of a narrow network takes, with any set's weights; NULL: there is nothing. */
  const CR(row_kernels) *row;

  /* a = f(z)               z, a [rows][n] and the padding behind; may be the same buffer. */
  void (*activate[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, R *a, size_t stride);

  /* δ = g ⊙ f′(z)          delta [rows][n], and its padding, comes in as g = ∂L/∂a; softmax: δ = g J, J its
   * Jacobian.  z is read only by activations that the catalogue marks Z; else it may be the same buffer as a. */
  void (*derive[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, const R *a, R *delta,
                                             size_t stride);

  /* losses[r] = wᵣ lᵣ, the loss of rows of n outputs times their weights, 1 where they are NULL; with delta, unless that
   * is NULL, delta = wᵣ / total × ∂lᵣ/∂a, or, for the losses that the catalogue fuses with their output layer,
   * × ∂lᵣ/∂z; 0 where total is.  z is read by the fused losses only; y [rows][n]. */
  void (*loss)(chainrule_loss loss, size_t rows, size_t n, const R *z, const R *a, size_t stride, const R *y,
               const R *weights, double total, R *delta, double *losses);

  /* The layers beside the dense one (norm_tmpl.h).  n columns of rows padded to whole vectors, `stride` apart in every
   * matrix of a call; what belongs to a column, [n], is padded too.
   *
   * moments: mean, variance and 1 / √(variance + ε) of the columns.  follow: running statistics take their share.
   * normalize: z = (x − mean) inverse, a = γ z + β.  normalize_transpose: dx of some of a batch's rows, with dγ and dβ
   * of all; NULL: mean and inverse are given.  γ may be NULL in both.  The same by rows: inverse [rows + a vector].
   * norm_gradient: dγ and dβ.  dropout: by key, row, counted from `first`, and column.  add: to = x + y. */
  void (*moments)(size_t rows, size_t n, const R *x, size_t stride, double epsilon, R *mean, R *variance,
                  R *inverse);
  void (*follow)(size_t rows, size_t n, double momentum, double epsilon, const R *batch_mean,
                 const R *batch_variance, R *mean, R *variance, R *inverse);
  void (*normalize)(size_t rows, size_t n, const R *x, size_t stride, const R *mean, const R *inverse,
                    const R *gamma, const R *beta, R *z, R *a);
  void (*normalize_transpose)(size_t rows, size_t n, size_t batch_rows, const R *z, const R *delta, size_t stride,
                              const R *gamma, const R *inverse, const R *gamma_gradient, const R *beta_gradient,
                              R *dx);
  void (*normalize_rows)(size_t rows, size_t n, const R *x, size_t stride, double epsilon, const R *gamma,
                         const R *beta, R *z, R *a, R *inverse);
  void (*normalize_rows_transpose)(size_t rows, size_t n, const R *z, const R *delta, size_t stride, const R *gamma,
                                   const R *inverse, R *dx);
  void (*norm_gradient)(size_t rows, size_t n, const R *z, const R *delta, size_t stride, R *gamma, R *beta);
  void (*dropout)(size_t rows, size_t n, const R *x, size_t stride, uint64_t key, size_t first, double rate, R *a);
  void (*add)(size_t n, const R *x, const R *y, R *to);

  /* Gradients and weights as a whole.  squares: Σᵣ xᵣⱼ² of the columns.  limit: columns of a norm above `most` come down
   * to it.  clip: to = g × scale within ±bound.  axpy: sum ← sum + weight × g. */
  void (*squares)(size_t rows, size_t n, const R *x, size_t stride, R *sums);
  void (*limit)(size_t rows, size_t n, R *x, size_t stride, double most);
  void (*clip)(size_t n, const R *g, double scale, double bound, R *to);
  void (*axpy)(size_t n, const R *g, double weight, R *sum);

  /* One update of n parameters p by gradients g; n is a multiple of the panel.  state: the optimizer's arrays,
   * `stride` scalars apart, as many as cr_optimizer_states says. */
  void (*update[CHAINRULE_OPTIMIZER_COUNT])(const cr_update *u, size_t n, R *p, const R *g, R *state,
                                            size_t stride);

  /* rounds × as many fused multiply-adds as a tile holds, on registers; returns 2 × their number.  sink: one
   * vector, so that the sum has somewhere to go.  NULL: no such measure. */
  double (*peak)(uint64_t rounds, R *sink);

  /* Every value is one from low to high. */
  bool (*within)(size_t n, const R *values, R low, R high);
} CR(kernels);

/* The products and updates of the set gsl (gsl_tmpl.h). */
void CR(gsl_affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights, size_t panel,
                    const R *bias, R *z, size_t z_stride);
void CR(gsl_affine_gradient)(size_t rows, size_t columns, const R *x, size_t out, const R *delta, size_t delta_stride,
                             size_t panel, R *gradient);
void CR(gsl_bias_gradient)(size_t rows, size_t out, const R *delta, size_t delta_stride, R *gradient);
void CR(gsl_affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t delta_stride,
                              const R *weights, size_t panel, R *dx, size_t dx_stride, R *scratch);
#define UPDATE(ID, name, ...)                                                                              \
  void CR(gsl_update_##name)(const cr_update *u, size_t n, R *p, const R *g, R *state, size_t stride);
CHAINRULE_OPTIMIZERS(UPDATE)
#undef UPDATE
