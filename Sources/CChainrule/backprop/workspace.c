/* Memory for the passes of a batch: where z, a and δ lie, and the room that the kernels want beside them. */
#include "backprop.h"

#include <stdlib.h>

size_t cr_scratch_size(const chainrule_network *network, size_t rows, size_t members)
{
  size_t most = 0, scalars;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    if (!layer->kind->scratch) continue;
    if (!layer->kind->scratch(layer, rows, members, &scalars)) return SIZE_MAX;
    most = scalars > most ? scalars : most;
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
