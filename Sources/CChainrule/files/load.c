/* Loads a network or a checkpoint.  The network is made only after the header has been checked: the file has
 * all of its tensors. */
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

/* Passes on an error of the core as an error of the file, except if the process is the cause: its memory, or
 * its CHAINRULE_ISA, an error without a layer. */
static chainrule_status as_invalid_file(chainrule_error *error, const chainrule_error *inner)
{
  const bool isa = inner->status == CHAINRULE_INVALID_ARGUMENT && inner->layer == 0;
  if (inner->status == CHAINRULE_OUT_OF_MEMORY || isa)
    return cr_fail(error, inner->status, inner->layer, "%s", inner->message);
  return cr_invalid(error, inner->layer, "%s", inner->message);
}

/* ---- The architecture ----------------------------------------------------------------------------- */

static chainrule_status read_size(json_int_t number, size_t layer, const char *what, size_t *size,
                                  chainrule_error *error)
{
  if (number < 1 || number > INT32_MAX)
    return cr_invalid(error, layer, "%s: %" JSON_INTEGER_FORMAT "; expected 1 to %d", what, number, INT32_MAX);
  *size = (size_t)number;
  return CHAINRULE_OK;
}

static chainrule_status read_initializer(json_t *json, size_t number, const char *where,
                                         chainrule_initializer *initializer, chainrule_error *error)
{
  const char *kind;
  json_error_t problem;
  chainrule_error unknown;
  if (!json) return CHAINRULE_OK;
  if (json_unpack_ex(json, &problem, 0, "{s:s, s:F}", "kind", &kind, "value", &initializer->value) != 0)
    return cr_unexpected(error, number, where, &problem);
  if (chainrule_initializer_named(kind, &initializer->kind, &unknown) != CHAINRULE_OK)
    return cr_invalid(error, number, "%s: %s", where, unknown.message);
  return CHAINRULE_OK;
}

static chainrule_status read_activation(const char *name, size_t number, const char *where,
                                        chainrule_activation *activation, chainrule_error *error)
{
  chainrule_error unknown;
  if (chainrule_activation_named(name, activation, &unknown) == CHAINRULE_OK) return CHAINRULE_OK;
  return cr_invalid(error, number, "%s: %s", where, unknown.message);
}

/* Reads a field of a layer into its member of the description. */
static chainrule_status read_field(json_t *json, const cr_field *field, size_t number, const char *where,
                                   chainrule_layer *layer, chainrule_error *error)
{
  void *member = (char *)layer + field->offset;
  json_error_t problem;
  json_int_t size;
  const char *name;
  int bias;
  int failed = 0;
  char what[80];
  snprintf(what, sizeof what, "%s, %s", where, field->name);
  switch (field->type) {
  case CR_FIELD_SIZE:
    failed = json_unpack_ex(json, &problem, 0, "{s:I}", field->name, &size);
    if (!failed) return read_size(size, number, what, member, error);
    break;
  case CR_FIELD_REAL: /* in a description 0 stands for the default, so a file must not have it */
    failed = json_unpack_ex(json, &problem, 0, "{s:F}", field->name, (double *)member);
    if (!failed && *(double *)member == 0 && field->usual != 0)
      return cr_invalid(error, number, "%s: 0; expected a number above 0", what);
    break;
  case CR_FIELD_ACTIVATION:
    failed = json_unpack_ex(json, &problem, 0, "{s:s}", field->name, &name);
    if (!failed) return read_activation(name, number, where, member, error);
    break;
  case CR_FIELD_BIAS:
    failed = json_unpack_ex(json, &problem, 0, "{s:b}", field->name, &bias);
    if (!failed) *(bool *)member = !bias;
    break;
  case CR_FIELD_INITIALIZER:
    return read_initializer(json_object_get(json, field->name), number, where, member, error);
  }
  return failed ? cr_unexpected(error, number, where, &problem) : CHAINRULE_OK;
}

static chainrule_status read_layer(json_t *json, size_t number, chainrule_layer *layer, chainrule_error *error)
{
  char where[40];
  snprintf(where, sizeof where, "layer %zu", number);
  const char *type;
  json_error_t problem;
  chainrule_error unknown;
  if (json_unpack_ex(json, &problem, 0, "{s:s}", "type", &type) != 0)
    return cr_unexpected(error, number, where, &problem);
  if (chainrule_layer_named(type, &layer->kind, &unknown) != CHAINRULE_OK)
    return cr_invalid(error, number, "%s: %s", where, unknown.message);
  const cr_kind *kind = cr_kinds[layer->kind];
  if (kind->calls_out)
    return cr_invalid(error, number, "%s: %s, a user-supplied function, which a file cannot hold", where, type);
  chainrule_status status = CHAINRULE_OK;
  for (const cr_field *field = kind->fields; field && field->name && !status; field++)
    status = read_field(json, field, number, where, layer, error);
  return status;
}

static chainrule_status read_scalar(const char *name, chainrule_scalar *scalar, chainrule_error *error)
{
  for (size_t s = 0; s < CR_COUNT(cr_scalar_names); s++)
    if (strcmp(name, cr_scalar_names[s]) == 0) {
      *scalar = (chainrule_scalar)s;
      return CHAINRULE_OK;
    }
  return cr_invalid(error, 0, "no scalar is named \"%.40s\"; there are: float32, float64", name);
}

static chainrule_status read_architecture(const json_t *text, cr_model *model, chainrule_error *error)
{
  static const char where[] = "architecture";
  chainrule_status status =
      cr_parse(json_string_value(text), json_string_length(text), where, &model->architecture, error);
  if (status) return status;

  const char *scalar;
  json_int_t version, inputs;
  json_t *layers;
  json_error_t problem;
  if (json_unpack_ex(model->architecture, &problem, 0, "{s:I}", "formatVersion", &version) != 0)
    return cr_unexpected(error, 0, where, &problem);
  if (version != CR_FORMAT_VERSION)
    return cr_invalid(error, 0, "formatVersion: %" JSON_INTEGER_FORMAT "; Chainrule %s reads %d", version,
                      chainrule_version(), CR_FORMAT_VERSION);
  if (json_unpack_ex(model->architecture, &problem, 0, "{s:s, s:I, s:o}", "scalar", &scalar, "inputs",
                     &inputs, "layers", &layers) != 0)
    return cr_unexpected(error, 0, where, &problem);

  chainrule_network_description *description = &model->description;
  description->struct_size = sizeof *description;
  description->layer_size = sizeof *model->layers;
  status = read_scalar(scalar, &description->scalar, error);
  if (!status) status = read_size(inputs, 0, "inputs", &description->inputs, error);
  if (status) return status;
  size_t count = json_array_size(layers);
  if (count == 0) return cr_invalid(error, 0, "layers: not an array, or an empty one");
  if (count > CR_MOST_LAYERS) /* checked before memory is allocated for them */
    return cr_invalid(error, 0, "the network has %zu layers; expected 1 to %d", count, CR_MOST_LAYERS);
  description->layer_count = count;
  description->layers = model->layers = calloc(count, sizeof *model->layers);
  if (!model->layers) return cr_out_of_memory(error, "the layers", count * sizeof *model->layers);
  for (size_t l = 0; l < count && !status; l++)
    status = read_layer(json_array_get(layers, l), l + 1, &model->layers[l], error);
  return status;
}

static chainrule_status read_names(const cr_model *model, chainrule_names which, chainrule_network *network,
                                   chainrule_error *error)
{
  const char *key = cr_names_keys[which];
  const json_t *array = json_object_get(model->architecture, key);
  if (!array) return CHAINRULE_OK;
  size_t count = json_array_size(array);
  if (count == 0) return cr_invalid(error, 0, "%s: not an array, or an empty one", key);
  const char **names = calloc(count, sizeof *names);
  if (!names) return cr_out_of_memory(error, key, count * sizeof *names);
  chainrule_status status = CHAINRULE_OK;
  for (size_t i = 0; i < count && !status; i++) {
    names[i] = json_string_value(json_array_get(array, i));
    if (!names[i]) status = cr_invalid(error, 0, "%s: name %zu is not a string", key, i + 1);
  }
  chainrule_error inner;
  if (!status && chainrule_network_set_names(network, which, names, count, &inner) != CHAINRULE_OK)
    status = as_invalid_file(error, &inner);
  free(names);
  return status;
}

/* Reads the caller's text, if the file has one. */
static chainrule_status read_metadata(const json_t *metadata, chainrule_network *network, chainrule_error *error)
{
  const json_t *text = json_object_get(metadata, "userMetadata");
  if (!text) return CHAINRULE_OK;
  if (!json_is_string(text)) return cr_invalid(error, 0, "userMetadata: not a string");
  chainrule_error inner;
  if (chainrule_network_set_metadata(network, json_string_value(text), json_string_length(text), &inner) ==
      CHAINRULE_OK)
    return CHAINRULE_OK;
  return as_invalid_file(error, &inner);
}

/* Reads the text of a checkpoint and the names of its arrays; a model has neither. */
static chainrule_status read_state(const json_t *metadata, cr_state *state, chainrule_error *error)
{
  const json_t *text = json_object_get(metadata, "training");
  if (!text) return CHAINRULE_OK;
  if (!json_is_string(text)) return cr_invalid(error, 0, "training: not a string");
  const size_t length = json_string_length(text);
  if (strlen(json_string_value(text)) != length)
    return cr_invalid(error, 0, "training: has a null character; expected a JSON text without one");
  state->text = malloc(length + 1);
  if (!state->text) return cr_out_of_memory(error, "the training", length + 1);
  memcpy(state->text, json_string_value(text), length + 1);
  chainrule_status status = cr_parse(state->text, length, "training", &state->json, error);
  if (status) return status;

  const json_t *names = json_object_get(state->json, "arrays");
  const size_t count = json_array_size(names);
  if (!json_is_array(names) || count > CR_ARRAYS)
    return cr_invalid(error, 0, "training, arrays: expected an array of at most %d names", CR_ARRAYS);
  for (; state->count < count; state->count++) {
    const char *name = json_string_value(json_array_get(names, state->count));
    cr_array *array = &state->arrays[state->count];
    if (!name || !*name || strlen(name) >= sizeof array->name ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz.") != strlen(name))
      return cr_invalid(
          error, 0, "training, arrays: name %zu is not valid; expected 1 to %zu lower-case letters and dots",
          state->count + 1, sizeof array->name - 1);
    for (size_t a = 0; a < state->count; a++)
      if (strcmp(name, state->arrays[a].name) == 0)
        return cr_invalid(error, 0, "training, arrays: %s occurs twice; expected different names", name);
    snprintf(array->name, sizeof array->name, "%s", name);
  }
  return CHAINRULE_OK;
}

/* ---- The tensors ---------------------------------------------------------------------------------- */

static chainrule_status check_shape(const cr_tensor *tensor, const json_t *shape, chainrule_error *error)
{
  bool same = json_array_size(shape) == tensor->rank;
  for (size_t i = 0; same && i < tensor->rank; i++) {
    const json_t *extent = json_array_get(shape, i);
    same = json_is_integer(extent) && json_integer_value(extent) == (json_int_t)tensor->shape[i];
  }
  if (same) return CHAINRULE_OK;
  char expected[48];
  snprintf(expected, sizeof expected, tensor->rank == 2 ? "[%zu, %zu]" : "[%zu]", tensor->shape[0],
           tensor->shape[1]);
  char *found = json_dumps(shape, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
  chainrule_status status =
      cr_invalid(error, tensor->layer + 1, "%s: shape %.60s, but the architecture says %s", tensor->place,
                 found ? found : "", expected);
  free(found);
  return status;
}

/* Compares a planned tensor with its entry in the header, takes its offset from there, and removes the entry.
 * Entries that are left in the end are not part of the architecture. */
static chainrule_status take_tensor(const cr_model *model, cr_tensor *tensor, uint64_t data_size,
                                    chainrule_error *error)
{
  size_t layer = tensor->layer + 1;
  json_t *entry = json_object_get(model->header, tensor->name), *shape;
  if (!entry)
    return cr_invalid(error, layer, "%s: missing; expected a tensor %s", tensor->place, tensor->name);
  const char *dtype, *expected = cr_dtypes[model->description.scalar];
  cr_extent extent = {.layer = layer};
  chainrule_status status = cr_read_entry(entry, tensor->place, data_size, &dtype, &shape, &extent, error);
  if (status) return status;
  if (strcmp(dtype, expected) != 0)
    return cr_invalid(error, layer, "%s: dtype %.40s, but the architecture says %s", tensor->place, dtype,
                      expected);
  status = check_shape(tensor, shape, error);
  if (status) return status;
  if (extent.end - extent.begin != tensor->bytes)
    return cr_invalid(error, layer, "%s: data_offsets [%" PRIu64 ", %" PRIu64 "], but the tensor has %zu bytes",
                      tensor->place, extent.begin, extent.end, tensor->bytes);
  tensor->begin = extent.begin;
  json_object_del(model->header, tensor->name);
  return CHAINRULE_OK;
}

/* Checks that the tensors, in any order, fill the data. */
static chainrule_status check_layout(const cr_model *model, uint64_t data_size, chainrule_error *error)
{
  cr_extent *extents = calloc(model->tensor_count + 1, sizeof *extents);
  if (!extents) return cr_out_of_memory(error, "the tensors", model->tensor_count * sizeof *extents);
  for (size_t t = 0; t < model->tensor_count; t++) {
    const cr_tensor *tensor = &model->tensors[t];
    extents[t] = (cr_extent){.begin = tensor->begin,
                             .end = tensor->begin + tensor->bytes,
                             .sort = "",
                             .name = tensor->place,
                             .layer = tensor->layer + 1};
  }
  chainrule_status status = cr_check_layout(extents, model->tensor_count, data_size, error);
  free(extents);
  return status;
}

static chainrule_status read_tensor(int file, uint64_t data, const cr_model *model, const cr_tensor *tensor,
                                    chainrule_network *network, uint64_t *hash, chainrule_error *error)
{
  chainrule_status status = cr_read_at(file, model->values, tensor->bytes, data + tensor->begin, error);
  if (status) return status;
  *hash = cr_fnv1a64(*hash, model->values, tensor->bytes);
  if (tensor->array) {
    if (tensor->array->values)
      memcpy((char *)tensor->array->values + tensor->offset, model->values, tensor->bytes);
    return CHAINRULE_OK;
  }
  size_t layer = tensor->layer, count = tensor->count;
  chainrule_error inner;
  status = model->description.scalar == CHAINRULE_FLOAT32
               ? chainrule_network_set_parameter_f32(network, layer, tensor->parameter, model->values, count,
                                                     &inner)
               : chainrule_network_set_parameter_f64(network, layer, tensor->parameter, model->values, count,
                                                     &inner);
  return status ? as_invalid_file(error, &inner) : CHAINRULE_OK;
}

static chainrule_status read_tensors(int file, uint64_t data, const cr_model *model, const json_t *text,
                                     const char *checksum, chainrule_network *network, chainrule_error *error)
{
  uint64_t hash =
      cr_hash_texts(json_string_value(text), json_string_length(text), model->state, network->metadata);
  for (size_t t = 0; t < model->tensor_count; t++) {
    chainrule_status status = read_tensor(file, data, model, &model->tensors[t], network, &hash, error);
    if (status) return status;
  }
  char found[CR_CHECKSUM_SIZE];
  cr_print_checksum(hash, found);
  if (strcmp(checksum, found) != 0)
    return cr_invalid(error, 0,
                      "checksum: the contents have %s, but the header says %.40s: the file is damaged", found,
                      checksum);
  return CHAINRULE_OK;
}

/* Reads a file into *network and model->state.  After an error the caller frees *network, which may have been
 * made already. */
static chainrule_status read_model(int file, uint64_t file_size, cr_model *model, bool with_arrays,
                                   chainrule_network **network, chainrule_error *error)
{
  uint64_t data = 0;
  chainrule_status status = cr_read_header(file, file_size, &model->header, &data, error);
  if (status) return status;
  const json_t *metadata = json_object_get(model->header, "__metadata__");
  const json_t *text = json_object_get(metadata, "chainrule");
  const char *checksum = json_string_value(json_object_get(metadata, "checksum"));
  if (!json_is_string(text))
    return cr_invalid(error, 0, "no __metadata__.chainrule: a safetensors file, but not a Chainrule model");
  if (!checksum) return cr_invalid(error, 0, "no __metadata__.checksum");

  status = read_architecture(text, model, error);
  if (!status) status = read_state(metadata, model->state, error);
  /* The header has its metadata and one entry for each tensor.  If it has too few entries, the plan is
   * limited to their number, which already has a missing tensor.  So an architecture cannot allocate more
   * than the header's size. */
  if (!status) status = cr_plan_tensors(model, json_object_size(model->header), error);
  for (size_t t = 0; t < model->tensor_count && !status; t++)
    status = take_tensor(model, &model->tensors[t], file_size - data, error);
  if (status) return status;
  for (void *left = json_object_iter(model->header); left; left = json_object_iter_next(model->header, left))
    if (strcmp(json_object_iter_key(left), "__metadata__") != 0)
      return cr_invalid(error, 0, "header: the architecture has no tensor \"%.100s\"",
                        json_object_iter_key(left));
  status = check_layout(model, file_size - data, error);
  if (!status) status = cr_allocate_values(model, error);
  for (size_t a = 0; with_arrays && a < model->state->count && !status; a++) {
    cr_array *array = &model->state->arrays[a];
    array->values = malloc(array->size + 1);
    if (!array->values) status = cr_out_of_memory(error, array->name, array->size);
  }
  if (status) return status;

  chainrule_error inner;
  if (chainrule_network_create(&model->description, network, &inner) != CHAINRULE_OK)
    return as_invalid_file(error, &inner);
  for (size_t which = 0; which < CR_COUNT(cr_names_keys) && !status; which++)
    status = read_names(model, (chainrule_names)which, *network, error);
  if (!status) status = read_metadata(metadata, *network, error);
  return status ? status : read_tensors(file, data, model, text, checksum, *network, error);
}

chainrule_status chainrule_network_load(const char *path, chainrule_network **network, chainrule_error *error)
{
  return cr_load(path, NULL, network, NULL, error);
}

static chainrule_status load(const char *path, const char *kernel_set, chainrule_network **network,
                             cr_state *result, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  *network = NULL;
  if (!path) return cr_null(error, "path");
  if (!*path) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "path is empty");

  int file = -1;
  uint64_t size = 0;
  cr_state state = {0};
  cr_model model = {.description.kernel_set = kernel_set, .state = &state};
  chainrule_status status = cr_open_file(path, &file, &size, error);
  if (!status) status = read_model(file, size, &model, result != NULL, network, error);
  if (status) {
    chainrule_network_free(*network);
    *network = NULL;
  }
  if (file >= 0) close(file);
  cr_model_free(&model);
  if (result && !status)
    *result = state;
  else
    cr_state_free(&state);
  return status;
}

chainrule_status cr_load(const char *path, const char *kernel_set, chainrule_network **network,
                         cr_state *result, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  const int rounding = cr_rounding_enter();
  const chainrule_status status = load(path, kernel_set, network, result, error);
  cr_rounding_leave(rounding);
  return cr_left(mode, status);
}
