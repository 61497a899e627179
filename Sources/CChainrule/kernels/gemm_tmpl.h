/* The three matrix products of a dense layer.
 *
 * Every element is one chain of fused multiply-adds in increasing order of the summed index, so that its
 * bits depend neither on the width of a vector nor on the rows around it.  Vectors run along what is
 * contiguous: neurons j in the first two products, rows r in the third, which transposes δ and dX (small)
 * rather than W (large).
 */

/* y[0 … n) += s x[0 … n) */
static inline void CR(axpy)(size_t n, R s, const R *restrict x, R *restrict y)
{
  for (size_t i = 0; i < n; i++) y[i] = M(fma)(s, x[i], y[i]);
}

/* z_rj = b_j + Σᵢ x_ri W_ji */
static void CR(affine)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride, const R *weights,
                       size_t stride, const R *bias, R *z)
{
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < out; j++) z[r * stride + j] = bias ? bias[j] : 0;
    for (size_t i = 0; i < in; i++)
      CR(axpy)(out, x[r * x_stride + i], &weights[cr_weight_offset(stride, 0, i)], &z[r * stride]);
  }
}

/* ∂L/∂W_ji = Σᵣ δ_rj x_ri,  ∂L/∂b_j = Σᵣ δ_rj */
static void CR(affine_gradient)(size_t rows, size_t in, size_t out, const R *x, size_t x_stride,
                                const R *delta, size_t stride, R *weights_gradient, R *bias_gradient)
{
  for (size_t i = 0; i < in; i++) {
    R *row = &weights_gradient[cr_weight_offset(stride, 0, i)];
    for (size_t j = 0; j < out; j++) row[j] = 0;
    for (size_t r = 0; r < rows; r++) CR(axpy)(out, x[r * x_stride + i], &delta[r * stride], row);
  }
  if (!bias_gradient) return;
  for (size_t j = 0; j < out; j++) bias_gradient[j] = 0;
  for (size_t r = 0; r < rows; r++) CR(axpy)(out, 1, &delta[r * stride], bias_gradient);
}

/* ∂L/∂x_ri = Σⱼ δ_rj W_ji, computed as dXᵀ = Wᵀ δᵀ */
static void CR(affine_transpose)(size_t rows, size_t in, size_t out, const R *delta, size_t stride,
                                 const R *weights, R *dx, size_t dx_stride, R *scratch)
{
  R *restrict delta_t = scratch;           /* [out][rows] */
  R *restrict dx_t = scratch + out * rows; /* [in][rows] */
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < out; j++) delta_t[j * rows + r] = delta[r * stride + j];
  for (size_t i = 0; i < in; i++) {
    for (size_t r = 0; r < rows; r++) dx_t[i * rows + r] = 0;
    for (size_t j = 0; j < out; j++)
      CR(axpy)(rows, weights[cr_weight_offset(stride, j, i)], &delta_t[j * rows], &dx_t[i * rows]);
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < in; i++) dx[r * dx_stride + i] = dx_t[i * rows + r];
}
