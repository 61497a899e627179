/* A layer's parameters in an arena, and their update, for one scalar type R. */

/* A parameter of a layer; NULL if the layer does not have it. */
static inline R *CR(parameter)(const cr_layer *layer, const void *arena, chainrule_parameter parameter)
{
  return cr_parameter_size(layer, parameter) ? (R *)arena + layer->at[parameter] : NULL;
}
static inline R *CR(weights)(const cr_layer *layer, const void *arena)
{
  return (R *)arena + layer->at[CHAINRULE_WEIGHTS];
}
static inline R *CR(bias)(const cr_layer *layer, const void *arena)
{
  return layer->spec.no_bias ? NULL : (R *)arena + layer->at[CHAINRULE_BIAS];
}

/* Updates the n parameters at `offset` by their gradient.  `buffer`, for n clipped gradients, may be
 * `gradient` itself. */
static inline void CR(update)(const CR(kernels) *kernels, R *parameters, size_t arena_size, const cr_descent *descent,
                              size_t offset, size_t n, const R *gradient, R *buffer)
{
  R *state = descent->state ? (R *)descent->state + offset : NULL;
  if (descent->clips) {
    kernels->clip(n, gradient, descent->scale, descent->bound, buffer);
    gradient = buffer;
  }
  kernels->update[descent->rule](descent->update, n, parameters + offset, gradient, state, arena_size);
}
