/* Memory for the passes of a batch: where z, a and δ lie, and the room that the kernels want beside them. */
#include "backprop.h"

#include <stdlib.h>

/* Gives z, a and δ of the input and of every layer a place; returns the scalars per row of all places.
 * Kept, each has its own.  Shared, z lies with a unless someone reads it after a is written (f′ of some
 * activations; the losses fused with the last layer; a normalisation's own backward).  Analysis is prediction with a
 * way back, as far as the inputs: x has a δ, and a dropout hands on what it is given. */
size_t cr_plan_places(const chainrule_network *network, cr_purpose purpose, cr_place *places)
{
  size_t size = 0;
  places[0] = (cr_place){.a = size, .z = size};
  size += network->pads_input ? network->input_stride : 0;
  places[0].delta = size;
  size += purpose == CR_ANALYSIS ? network->input_stride : 0;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    cr_place *place = &places[l + 1];
    const bool norm = layer->kind == CHAINRULE_LAYER_BATCH_NORM || layer->kind == CHAINRULE_LAYER_LAYER_NORM;
    const bool dense = layer->kind == CHAINRULE_LAYER_DENSE;
    const bool own_z = norm || (dense && (purpose == CR_KEEP || cr_derives_from_z(layer->activation) ||
                                          l + 1 == network->layer_count));
    const bool hands_on = layer->kind == CHAINRULE_LAYER_DROPOUT && purpose == CR_ANALYSIS;
    place->a = hands_on ? place[-1].a : size;
    size += hands_on ? 0 : layer->stride;
    place->z = own_z ? size : layer->kind == CHAINRULE_LAYER_ACTIVATION ? place[-1].a : place->a;
    size += own_z ? layer->stride : 0;
    place->delta = size;
    size += layer->stride;
    place->inverse = size;
    if (layer->kind == CHAINRULE_LAYER_LAYER_NORM) size += CR_ALIGNMENT / cr_scalar_size(network->scalar);
  }
  return size;
}

/* Scalars of scratch for a batch of `rows`, for all members, however few of them take part: backward transposes δ and
 * dX, in panels of rows; descend packs the inputs of a block, and has its gradients pass through.  SIZE_MAX where the
 * number overflows. */
size_t cr_scratch_size(const chainrule_network *network, size_t rows, size_t members)
{
  size_t most = 0;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    size_t transposed, packed, per_member = rows + layer->panel;
    if (!cr_multiply(layer->in + layer->out, rows + members * (CR_SLICE + layer->panel), &transposed))
      return SIZE_MAX;
    if (!cr_multiply(CR_CHUNK * members, per_member, &packed)) return SIZE_MAX;
    if (layer->kind != CHAINRULE_LAYER_DENSE)
      packed = 2 * members * layer->padded; /* dγ and dβ pass through */
    if (layer->kind == CHAINRULE_LAYER_CUSTOM && !cr_multiply(rows, layer->stride, &packed)) return SIZE_MAX; /* f′ */
    most = transposed > most ? transposed : most;
    most = packed > most ? packed : most;
  }
  return cr_add(most, members * CR_ALIGNMENT, &most) ? most : SIZE_MAX;
}

chainrule_status cr_workspace_create(const chainrule_network *network, size_t rows, cr_workspace *work,
                                     chainrule_error *error)
{
  cr_place *places = calloc(network->layer_count + 1, sizeof *places);
  if (!places) return cr_out_of_memory(error, "the plan", (network->layer_count + 1) * sizeof *places);
  const size_t size = cr_scalar_size(network->scalar), scratch = cr_scratch_size(network, rows, 1);
  size_t scalars, all, bytes;
  const bool counts = cr_multiply(cr_plan_places(network, CR_ANALYSIS, places), rows, &scalars) &&
                      cr_add(scalars, scratch, &all) && cr_multiply(all, size, &bytes);
  *work = (cr_workspace){.places = places, .capacity = rows};
  if (counts) work->buffers = cr_allocate(scalars, size), work->scratch = cr_allocate(scratch, size);
  if (work->buffers && work->scratch) return CHAINRULE_OK;
  cr_workspace_free(work);
  return cr_out_of_memory(error, "z, a and delta", counts ? bytes : SIZE_MAX);
}

void cr_workspace_free(cr_workspace *work)
{
  free((void *)work->places);
  free(work->buffers);
  free(work->scratch);
  *work = (cr_workspace){0};
}

void cr_ask(const void *memory, size_t step, size_t lines)
{
  for (size_t i = 0; i < lines; i++) __builtin_prefetch((const char *)memory + i * step);
}
