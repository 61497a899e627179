/* The table of kernels for one scalar type R.  kernels.h has the layout of matrices and weights. */

/* The coefficients of the polynomials of the elementary functions (coefficients.c). */
typedef R SHARED(coefficient)[CR_ALIGNMENT / sizeof(R)];
extern const SHARED(coefficient) SHARED(c_exp)[REAL_BITS == 32 ? 5 : 10], SHARED(c_log)[REAL_BITS == 32 ? 3 : 7],
    SHARED(c_mills)[REAL_BITS == 32 ? 11 : 23];

/* A layer of a narrow network with a single row, its units in lanes, padded to whole vectors.  `panel` is any
 * power of two.  bias may be NULL.  `state` is the optimizer state of W; that of b has the same offset from
 * it as b from W. */
typedef struct CR(row_layer) {
  _Alignas(CR_ALIGNMENT) R z[CR_NARROW], a[CR_NARROW], delta[CR_NARROW];
  size_t in, out, panel;
  R *weights, *bias, *state;
  chainrule_activation activation;
} CR(row_layer);

/* A training step of a single row in a narrow network, with the same bits as the kernels for rows. */
typedef struct CR(row_kernels) {
  /* Forward, loss and backward: z, a and δ of every layer.  Returns the row's loss l.  The last layer's δ is
   * scale × ∂l/∂a ⊙ f′(z), or scale × ∂l/∂z if the loss is `fused`, which a softmax requires. */
  R (*pass)(CR(row_layer) *layers, size_t count, const R *x, const R *y, chainrule_loss loss, bool fused, R scale);
  /* One update of every W and b, with ∂L/∂W = δᵀ x and ∂L/∂b = δ. */
  void (*descend[CHAINRULE_OPTIMIZER_COUNT])(const cr_update *u, const CR(row_layer) *layers, size_t count,
                                             const R *x, size_t stride);
} CR(row_kernels);

/* The kernels of the instruction set whose vectors suit a narrow layer: on x86-64, avx2. */
extern const CR(row_kernels) CR(rows);

typedef struct CR(kernels) {
  /* Z = X Wᵀ + 1 bᵀ       x [rows][in], b [out] padded or NULL, z [rows][out].
   * Each z is one chain of fused multiply-adds: it starts at b, or 0, and adds the terms i = 0 … in − 1 in
   * order.  The padding of the last panel is written, too. */
  void (*affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                 size_t panel, const R *bias, R *z, size_t z_stride);

  /* dW = δᵀ X             for `columns` columns of x, packed as [rows][CR_CHUNK], and one panel of `out`
   * neurons, with the δ of its first neuron at `delta`.  gradient: [columns][panel], 0 in the padding.  Each
   * element is one chain over r = 0 … rows − 1. */
  void (*affine_gradient)(size_t rows, size_t columns, const R *x, size_t out, const R *delta, size_t delta_stride,
                          size_t panel, R *gradient);

  /* db = δᵀ 1             gradient [out], padded; each element is a sum over r = 0 … rows − 1, in order. */
  void (*bias_gradient)(size_t rows, size_t out, const R *delta, size_t delta_stride, R *gradient);

  /* dX = δ W              dx [rows][in], padded with 0; each element is one chain over j = 0 … out − 1.
   * scratch: (in + out) × rows scalars, with rows rounded up to a multiple of the panel. */
  void (*affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t delta_stride,
                           const R *weights, size_t panel, R *dx, size_t dx_stride, R *scratch);

  /* The same products, with the same bits, for a row block of a narrow network's batch, one row in each lane.
   * Matrices are [units][pitch]; pitch is a multiple of a vector, up to CR_STRIP_VECTORS vectors.  lanes_load
   * transposes [rows][n] into this layout.  lanes_gradient adds to the gradients, or overwrites them for the
   * `first` row block; it may read one vector of units beyond the end of δ.  All NULL: the set does not have
   * these kernels. */
  void (*lanes_load)(size_t rows, size_t n, const R *x, size_t pitch, R *to);
  void (*lanes_affine)(size_t pitch, size_t in, size_t out, const R *x, const R *weights, const R *bias, R *z);
  void (*lanes_transpose)(size_t pitch, size_t in, size_t out, const R *delta, const R *weights, R *dx);
  void (*lanes_gradient)(size_t rows, size_t pitch, size_t in, size_t out, const R *x, const R *delta, bool first,
                         R *weights, R *bias);
  void (*lanes_softmax)(size_t rows, size_t pitch, size_t n, const R *z, R *a);
  void (*lanes_loss)(chainrule_loss loss, size_t rows, size_t pitch, size_t n, const R *z, const R *a, const R *y,
                     const R *weights, double total, R *delta, double *losses);

  /* The kernels for a single row of a narrow network, for the weight layout of any set.  NULL: there are
   * none. */
  const CR(row_kernels) *row;

  /* a = f(z)               z, a [rows][n], with their padding; may be the same buffer. */
  void (*activate[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, R *a, size_t stride);

  /* δ = g ⊙ f′(z)          delta [rows][n], with its padding, is g = ∂L/∂a before the call and δ after it.
   * softmax: δ = g J, J being its Jacobian.  Only activations that the catalogue marks Z read z; for others z
   * may be the same buffer as a. */
  void (*derive[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, const R *a, R *delta,
                                             size_t stride);

  /* losses[r] = wᵣ lᵣ: the loss of each row of n outputs, times its weight, which is 1 if weights is NULL.
   * Unless delta is NULL, delta = wᵣ / total × ∂lᵣ/∂a, or wᵣ / total × ∂lᵣ/∂z for the losses that are fused
   * with their output layer; 0 if total is 0.  Only the fused losses read z.  y is [rows][n]. */
  void (*loss)(chainrule_loss loss, size_t rows, size_t n, const R *z, const R *a, size_t stride, const R *y,
               const R *weights, double total, R *delta, double *losses);

  /* The other layers (norm_tmpl.h).  Matrices are [rows][n], padded to whole vectors, and all have the same
   * stride.  Arrays with one number a column, [n], are padded, too.
   *
   *   moments               mean, variance and inverse = 1 / √(variance + ε) of each column
   *   update_statistics     running mean, variance and inverse, from the mean and variance of a batch
   *   normalize             z = (x − mean) inverse, a = γ z + β; γ NULL: a = (x − mean) inverse
   *   normalize_transpose   dx of some rows, with dγ and dβ of all batch_rows rows; dγ NULL: mean and inverse
   *                         do not depend on x; γ may be NULL
   *   normalize_rows, normalize_rows_transpose
   *                         the same with the mean and variance of each row; inverse [rows + a vector]
   *   norm_gradient         dγ and dβ
   *   dropout               the mask depends on the key, the row, counted from `first`, and the column
   *   add                   to = x + y */
  void (*moments)(size_t rows, size_t n, const R *x, size_t stride, double epsilon, R *mean, R *variance,
                  R *inverse);
  void (*update_statistics)(size_t rows, size_t n, double momentum, double epsilon, const R *batch_mean,
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

  /* Gradients and weights.
   *
   *   squares   sums[j] = Σᵣ xᵣⱼ²
   *   limit     scales each column whose norm is above `most` down to that norm
   *   clip      to = g × scale, limited to ±bound
   *   axpy      sum ← sum + weight × g */
  void (*squares)(size_t rows, size_t n, const R *x, size_t stride, R *sums);
  void (*limit)(size_t rows, size_t n, R *x, size_t stride, double most);
  void (*clip)(size_t n, const R *g, double scale, double bound, R *to);
  void (*axpy)(size_t n, const R *g, double weight, R *sum);

  /* One update of n parameters p by their gradients g; n is a multiple of the panel.  state: the optimizer's
   * arrays, `stride` scalars apart; cr_optimizer_states has their number. */
  void (*update[CHAINRULE_OPTIMIZER_COUNT])(const cr_update *u, size_t n, R *p, const R *g, R *state,
                                            size_t stride);

  /* Fused multiply-adds on registers only, `rounds` on each element of a tile; returns twice their number.
   * Their sum is written to sink, one vector, so that the compiler keeps them.  NULL: there is no such
   * kernel. */
  double (*peak)(uint64_t rounds, R *sink);

  /* Whether low ≤ value ≤ high for all n values; false if one is NaN. */
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
