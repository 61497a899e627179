/* Plans where z, a and δ of the input and of every layer lie in a workspace. */
#include "network.h"

/* A later residual layer adds the a of layer l, or of an identity after it, which in prediction has the same
 * a. */
static bool is_joined(const chainrule_network *network, size_t l)
{
  const size_t last = network->layer_count - 1;
  size_t end = l;
  while (end < last && network->layers[end + 1].kind->is_identity) end++;
  for (size_t r = l + 1; r <= last; r++) {
    if (!cr_joins(&network->layers[r])) continue;
    const size_t joined = cr_joined(&network->layers[r], r); /* SIZE_MAX: the input, which has its own place */
    if (l <= joined && joined <= end) return true;
  }
  return false;
}

/* z has its own place if it is read after a is written: by f′ of some activations, by the losses that are
 * fused with the last layer, and by the backward pass of a normalisation. */
static bool has_own_z(const chainrule_network *network, cr_purpose purpose, size_t l)
{
  const cr_layer *layer = &network->layers[l];
  const bool last = l + 1 == network->layer_count;
  switch (layer->kind->z) {
  case CR_Z_PRODUCT:
    if (last || purpose == CR_KEEP) return true;
    return purpose != CR_PREDICTION && cr_derives_from_z(layer->spec.activation);
  case CR_Z_NORMALIZED: return purpose != CR_PREDICTION;
  case CR_Z_INPUT:
  case CR_Z_NONE: break;
  }
  return false;
}

size_t cr_plan_places(const chainrule_network *network, cr_purpose purpose, cr_place *places)
{
  const bool predicts = purpose == CR_PREDICTION, trains = purpose == CR_SHARE || purpose == CR_KEEP;
  /* Prediction alternates between two buffers.  Each a that a residual layer adds later has a buffer of its
   * own. */
  size_t size = predicts ? 2 * network->widest : 0;
  places[0] = (cr_place){.z = size, .a = size};
  size += network->pads_input ? network->input_stride : 0;
  places[0].delta = size;
  size += purpose == CR_ANALYSIS ? network->input_stride : 0;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    cr_place *place = &places[l + 1];
    if (!trains && layer->kind->is_identity) {
      place->a = place[-1].a;
    } else if (predicts && !is_joined(network, l)) {
      place->a = place[-1].a == 0 ? network->widest : 0;
    } else {
      place->a = size;
      size += layer->stride;
    }
    place->z = layer->kind->z == CR_Z_INPUT ? place[-1].a : place->a;
    if (has_own_z(network, purpose, l)) place->z = size, size += layer->stride;
    if (!predicts) place->delta = size, size += layer->stride;
    if (layer->kind->has_row_inverse)
      place->inverse = size, size += CR_ALIGNMENT / cr_scalar_size(network->scalar);
  }
  return size;
}
