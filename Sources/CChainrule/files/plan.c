/* The tensors that a description implies, and the checksum of a file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

const char *const cr_scalar_names[] = {[CHAINRULE_FLOAT32] = "float32", [CHAINRULE_FLOAT64] = "float64"};
const char *const cr_dtypes[] = {[CHAINRULE_FLOAT32] = "F32", [CHAINRULE_FLOAT64] = "F64"};
const char *const cr_names_keys[] = {
    [CHAINRULE_FEATURE_NAMES] = "features", [CHAINRULE_TARGET_NAMES] = "targets", [CHAINRULE_CLASS_LABELS] = "classes"};

void cr_model_free(cr_model *model)
{
  free(model->layers);
  free(model->tensors);
  free(model->values);
  json_decref(model->architecture);
  json_decref(model->header);
}

/* The end of the parameters that an array has; NULL: the network itself. */
static int parameters_of(const cr_array *array)
{
  return !array || cr_has_statistics(array) ? CHAINRULE_PARAMETER_COUNT : CHAINRULE_BETA + 1;
}

static size_t count_tensors(const cr_model *model, const cr_array *array)
{
  const chainrule_network_description *description = &model->description;
  size_t inputs = description->inputs, count = 0;
  for (size_t l = 0; l < description->layer_count; l++) {
    const chainrule_layer *layer = &description->layers[l];
    for (int p = 0; p < parameters_of(array); p++)
      count += cr_described_size(layer, inputs, (chainrule_parameter)p) > 0;
    inputs = cr_described_units(layer, inputs);
  }
  return count;
}

/* Plans the tensors of an array, or of the network if it is NULL, after those already planned, as far as
 * there is room. */
static chainrule_status plan_array(cr_model *model, cr_array *array, size_t *position, chainrule_error *error)
{
  const chainrule_network_description *description = &model->description;
  const char *prefix = array ? array->name : "";
  const int end = parameters_of(array);
  size_t inputs = description->inputs, offset = 0;
  for (size_t l = 0; l < description->layer_count; l++) {
    const chainrule_layer *layer = &description->layers[l];
    const size_t units = cr_described_units(layer, inputs);
    for (int p = 0; p < end; p++) {
      const chainrule_parameter parameter = (chainrule_parameter)p;
      if (cr_described_size(layer, inputs, parameter) == 0) continue;
      if (model->tensor_count == model->tensor_room) return CHAINRULE_OK;
      const bool matrix = parameter == CHAINRULE_WEIGHTS;
      const char *name = chainrule_parameter_name(parameter);
      cr_tensor *tensor = &model->tensors[model->tensor_count++];
      *tensor = (cr_tensor){.array = array,
                            .layer = l,
                            .parameter = parameter,
                            .rank = matrix ? 2 : 1,
                            .shape = {units, matrix ? inputs : 1},
                            .begin = *position,
                            .offset = offset};
      snprintf(tensor->name, sizeof tensor->name, "%s%slayers.%zu.%s", prefix, array ? "." : "", l, name);
      snprintf(tensor->place, sizeof tensor->place, "%s%slayer %zu, %s", prefix, array ? ", " : "", l + 1,
               name);
      if (!cr_multiply(tensor->shape[0], tensor->shape[1], &tensor->count) ||
          !cr_multiply(tensor->count, cr_scalar_size(description->scalar), &tensor->bytes) ||
          !cr_add(*position, tensor->bytes, position))
        return cr_invalid(error, l + 1, "%s: shape [%zu, %zu] needs more bytes than can be addressed",
                          tensor->place, units, inputs);
      offset += tensor->bytes;
    }
    inputs = units;
  }
  if (array) array->size = offset;
  return CHAINRULE_OK;
}

chainrule_status cr_plan_tensors(cr_model *model, size_t most, chainrule_error *error)
{
  size_t count = count_tensors(model, NULL), position = 0;
  for (size_t a = 0; a < model->state->count; a++) count += count_tensors(model, &model->state->arrays[a]);
  if (count > most) count = most;
  model->tensor_room = count;
  model->tensors = calloc(count + 1, sizeof *model->tensors); /* + 1: calloc(0) may be NULL */
  if (!model->tensors) return cr_out_of_memory(error, "the tensors", count * sizeof *model->tensors);
  chainrule_status status = plan_array(model, NULL, &position, error);
  for (size_t a = 0; a < model->state->count && !status; a++)
    status = plan_array(model, &model->state->arrays[a], &position, error);
  return status;
}

chainrule_status cr_allocate_values(cr_model *model, chainrule_error *error)
{
  size_t largest = 0;
  for (size_t t = 0; t < model->tensor_count; t++)
    if (model->tensors[t].bytes > largest) largest = model->tensors[t].bytes;
  model->values = malloc(largest + 1); /* + 1: malloc(0) may be NULL */
  return model->values ? CHAINRULE_OK : cr_out_of_memory(error, "a layer's parameters", largest);
}

/* FNV-1a: h ← (h xor byte) p.  Both operations are bijections of h, so that a single changed byte always
 * changes the hash. */
uint64_t cr_fnv1a64(uint64_t hash, const void *bytes, size_t size)
{
  for (const unsigned char *byte = bytes, *end = byte + size; byte < end; byte++)
    hash = (hash ^ *byte) * 0x100000001b3;
  return hash;
}

uint64_t cr_hash_texts(const char *text, size_t length, const cr_state *state, const char *metadata)
{
  uint64_t hash = cr_fnv1a64(CR_FNV1A64_START, text, length);
  if (state->text) hash = cr_fnv1a64(hash, state->text, strlen(state->text));
  return metadata ? cr_fnv1a64(hash, metadata, strlen(metadata)) : hash;
}

void cr_print_checksum(uint64_t hash, char checksum[CR_CHECKSUM_SIZE])
{
  snprintf(checksum, CR_CHECKSUM_SIZE, "fnv1a64:%016" PRIx64, hash);
}

bool cr_has_statistics(const cr_array *array)
{
  return strcmp(array->name, "epoch") == 0 || strcmp(array->name, "best") == 0;
}

void cr_state_free(cr_state *state)
{
  for (size_t a = 0; a < state->count; a++) free(state->arrays[a].values);
  json_decref(state->json);
  free(state->text);
}
