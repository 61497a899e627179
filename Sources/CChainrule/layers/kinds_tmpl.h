/* Every kind of layer, for one scalar type R. */
#include "update_tmpl.h"

/* ∂L/∂x = δ, for a layer whose δ already is ∂L/∂x. */
static chainrule_status CR(copy_backward)(const CR(layer_rows) *at, chainrule_error *error)
{
  (void)error;
  memcpy(at->dx, at->delta, at->rows * at->layer->stride * sizeof(R));
  return CHAINRULE_OK;
}

/* A normalisation: ∂L/∂γ = Σ δ z and ∂L/∂β = Σ δ, over the rows.  γ and β are adjacent, so that one update
 * does both. */
static void CR(norm_descend)(const CR(layer_rows) *at, cr_block block, R *gradients, const cr_descent *descent,
                             bool follows)
{
  (void)block, (void)follows;
  const cr_layer *layer = at->layer;
  const size_t n = layer->padded, offset = layer->at[CHAINRULE_GAMMA];
  R *buffer = at->scratch, *gradient = gradients ? gradients + offset : buffer;
  *at->packed = NULL;
  if (at->rows)
    at->kernels->norm_gradient(at->rows, n, at->z, at->delta, layer->stride, gradient, gradient + n);
  if (descent)
    CR(update)(at->kernels, at->parameters, at->arena_size, descent, offset, 2 * n, gradient, buffer);
}

#include "dense_tmpl.h"
#include "activation_tmpl.h"
#include "dropout_tmpl.h"
#include "batch_norm_tmpl.h"
#include "layer_norm_tmpl.h"
#include "scaling_tmpl.h"
#include "residual_tmpl.h"
#include "custom_tmpl.h"
