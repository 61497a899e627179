/* The table for one scalar type R.  See kernels.h. */

typedef struct CR(kernels) {
  /* Z = X Wᵀ + 1 bᵀ       x [rows][in], b [out] or NULL, z [rows][out].
   * Each z is one chain of fused multiply-adds: starts at b, or 0, and takes i = 0 … in − 1 in order. */
  void (*affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                 size_t stride, const R *bias, R *z);

  /* dW = δᵀ X, db = δᵀ 1   delta [rows][out]; each element one chain over r = 0 … rows − 1.
   * Sets weights_gradient (in the layout of the weights) and, unless NULL, bias_gradient [out]. */
  void (*affine_gradient)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *delta,
                          size_t stride, R *weights_gradient, R *bias_gradient);

  /* dX = δ W               dx [rows][in]; each element one chain over j = 0 … out − 1.
   * scratch: rows × (in + out) scalars. */
  void (*affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t stride,
                           const R *weights, R *dx, size_t dx_stride, R *scratch);

  /* a = f(z)               z, a [rows][n]; may be the same buffer. */
  void (*activate[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, R *a, size_t stride);

  /* δ = g ⊙ f′(z)          delta [rows][n] comes in as g = ∂L/∂a; softmax: δ = g J, J its Jacobian.
   * z is read only by activations that the catalogue marks Z; else it may be the same buffer as a. */
  void (*derive[CHAINRULE_ACTIVATION_COUNT])(size_t rows, size_t n, const R *z, const R *a, R *delta,
                                             size_t stride);

  /* The loss l of one row of n outputs; with gradient, gradient = scale × ∂l/∂a, or, for the losses that
   * the catalogue fuses with their output layer, scale × ∂l/∂z.  z is read by the fused losses only. */
  R (*loss[CHAINRULE_LOSS_COUNT])(size_t n, const R *z, const R *a, const R *y, R scale, R *gradient);

  /* One update of n parameters p by gradients g.  state: the optimizer's arrays, `stride` scalars apart,
   * cr_state_count of them. */
  void (*update[CHAINRULE_OPTIMIZER_COUNT])(const cr_update *u, size_t n, R *p, const R *g, R *state,
                                            size_t stride);

  /* No value is NaN or infinite. */
  bool (*all_finite)(size_t n, const R *values);
} CR(kernels);
