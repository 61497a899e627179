/* Saves a network, or a checkpoint with its arrays, and replaces a file atomically. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "writing.h"

/* ---- The header ---------------------------------------------------------------------------------- */

static chainrule_status describe(const chainrule_network *network, cr_model *model, chainrule_error *error)
{
  size_t count = chainrule_network_layer_count(network);
  model->layers = calloc(count, sizeof *model->layers);
  if (!model->layers) return cr_out_of_memory(error, "the layers", count * sizeof *model->layers);
  model->description = (chainrule_network_description){
      CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = chainrule_network_scalar(network),
      .inputs = chainrule_network_inputs(network), .layer_count = count, .layers = model->layers};
  chainrule_status status = CHAINRULE_OK;
  for (size_t l = 0; l < count && !status; l++)
    status = chainrule_network_layer(network, l, &model->layers[l], sizeof(chainrule_layer), error);
  for (size_t l = 0; l < count && !status; l++)
    if (cr_kinds[model->layers[l].kind]->calls_out)
      status = cr_fail(error, CHAINRULE_INVALID_NETWORK, l + 1,
                       "layer %zu is a user-supplied function, which a file cannot hold", l + 1);
  return status;
}

/* The functions that end in _json return NULL if memory runs out.  jansson returns NULL for a NULL argument,
 * so one check is enough. */
static json_t *initializer_json(chainrule_initializer initializer)
{
  return json_pack("{s:s, s:f}", "kind", chainrule_initializer_name(initializer.kind), "value",
                   initializer.value);
}

/* A field of a layer; read_field in load.c is the inverse. */
static json_t *field_json(const cr_field *field, const chainrule_layer *layer)
{
  const void *member = (const char *)layer + field->offset;
  switch (field->type) {
  case CR_FIELD_SIZE: return json_integer((json_int_t) * (const size_t *)member);
  case CR_FIELD_REAL: return json_real(*(const double *)member);
  case CR_FIELD_ACTIVATION:
    return json_string(chainrule_activation_name(*(const chainrule_activation *)member));
  case CR_FIELD_BIAS: return json_boolean(!*(const bool *)member);
  case CR_FIELD_INITIALIZER: return initializer_json(*(const chainrule_initializer *)member);
  }
  return NULL;
}

/* The fields of a layer. */
static json_t *layer_json(const chainrule_layer *layer)
{
  json_t *json = json_pack("{s:s}", "type", chainrule_layer_name(layer->kind));
  int failed = 0;
  for (const cr_field *field = cr_kinds[layer->kind]->fields; field && field->name; field++)
    failed |= json_object_set_new(json, field->name, field_json(field, layer));
  if (!failed) return json;
  json_decref(json);
  return NULL;
}

static json_t *architecture_json(const chainrule_network_description *description)
{
  json_t *json = json_pack("{s:i, s:s, s:s, s:I, s:[]}", "formatVersion", CR_FORMAT_VERSION, "version",
                           chainrule_version(), "scalar", cr_scalar_names[description->scalar], "inputs",
                           (json_int_t)description->inputs, "layers");
  json_t *layers = json_object_get(json, "layers");
  for (size_t l = 0; l < description->layer_count; l++)
    if (json_array_append_new(layers, layer_json(&description->layers[l])) != 0) {
      json_decref(json);
      return NULL;
    }
  return json;
}

static chainrule_status add_names(json_t *architecture, const chainrule_network *network,
                                  chainrule_names which, chainrule_error *error)
{
  const char *key = cr_names_keys[which];
  size_t count = chainrule_network_name_count(network, which);
  json_t *names = json_array();
  for (size_t i = 0; i < count; i++) {
    json_error_t problem = {0}; /* jansson sets no code if memory runs out */
    json_t *name = json_pack_ex(&problem, 0, "s", chainrule_network_name(network, which, i));
    bool wrong = !name && json_error_code(&problem) == json_error_invalid_utf8;
    if (json_array_append_new(names, name) == 0) continue;
    json_decref(names);
    return wrong ? cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: name %zu is not UTF-8", key, i + 1)
                 : cr_no_memory(error, key);
  }
  if (json_object_set_new(architecture, key, names) != 0) return cr_no_memory(error, key);
  return CHAINRULE_OK;
}

static chainrule_status make_text(const chainrule_network *network, cr_model *model, char **text,
                                  size_t *length, chainrule_error *error)
{
  model->architecture = architecture_json(&model->description);
  if (!model->architecture) return cr_no_memory(error, "the architecture");
  for (size_t which = 0; which < CR_COUNT(cr_names_keys); which++) {
    if (chainrule_network_name_count(network, (chainrule_names)which) == 0) continue;
    chainrule_status status = add_names(model->architecture, network, (chainrule_names)which, error);
    if (status) return status;
  }
  *text = cr_json_text(model->architecture, 0, length);
  return *text ? CHAINRULE_OK : cr_no_memory(error, "the architecture");
}

static void get_values(const chainrule_network *network, const cr_tensor *tensor, void *values)
{
  if (tensor->array)
    cr_read(tensor->array->network, tensor->array->arena, tensor->layer, tensor->parameter, values);
  else
    cr_read(network, network->parameters, tensor->layer, tensor->parameter, values);
}

/* Checks that a tensor's values are finite, and adds them to the checksum, before anything is written. */
static chainrule_status hash_tensor(const chainrule_network *network, const cr_model *model,
                                    const cr_tensor *tensor, uint64_t *hash, chainrule_error *error)
{
  get_values(network, tensor, model->values);
  const bool learned = !tensor->array || cr_has_statistics(tensor->array);
  for (size_t i = 0; learned && i < tensor->count; i++) {
    double value = cr_value(model->description.scalar, model->values, i);
    if (!isfinite(value))
      return cr_fail(error, CHAINRULE_NOT_FINITE, tensor->layer + 1, "%s: value %zu is %s", tensor->place,
                     i + 1, isnan(value) ? "NaN" : "infinite");
  }
  *hash = cr_fnv1a64(*hash, model->values, tensor->bytes);
  return CHAINRULE_OK;
}

static json_t *tensor_json(const cr_tensor *tensor, chainrule_scalar scalar)
{
  json_t *shape = json_pack("[I]", (json_int_t)tensor->shape[0]);
  if (tensor->rank == 2 && json_array_append_new(shape, json_integer((json_int_t)tensor->shape[1])) != 0) {
    json_decref(shape);
    return NULL;
  }
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", cr_dtypes[scalar], "shape", shape, "data_offsets",
                   (json_int_t)tensor->begin, (json_int_t)tensor->begin + (json_int_t)tensor->bytes);
}

/* Adds a text, unless it is NULL, to an object; false if memory runs out. */
static bool add_text(json_t *object, const char *key, const char *text)
{
  return !text || json_object_set_new(object, key, json_string(text)) == 0;
}

static json_t *header_json(const cr_model *model, const char *text, const char *metadata, uint64_t hash)
{
  char checksum[CR_CHECKSUM_SIZE];
  cr_print_checksum(hash, checksum);
  json_t *header = json_pack("{s:{s:s, s:s, s:s}}", "__metadata__", "format", "chainrule", "chainrule", text,
                             "checksum", checksum);
  json_t *texts = json_object_get(header, "__metadata__");
  if (!add_text(texts, "training", model->state->text) || !add_text(texts, "userMetadata", metadata)) {
    json_decref(header);
    return NULL;
  }
  for (size_t t = 0; t < model->tensor_count; t++) {
    const cr_tensor *tensor = &model->tensors[t];
    if (json_object_set_new(header, tensor->name, tensor_json(tensor, model->description.scalar)) != 0) {
      json_decref(header);
      return NULL;
    }
  }
  return header;
}

/* The 8 bytes of the length and the JSON, which spaces extend to a multiple of 8 bytes, so that the tensors
 * are aligned. */
static chainrule_status make_header(cr_model *model, const char *text, const char *metadata, uint64_t hash,
                                    char **bytes, size_t *size, chainrule_error *error)
{
  size_t length;
  model->header = header_json(model, text, metadata, hash);
  *bytes = model->header ? cr_json_text(model->header, CR_LENGTH_BYTES, &length) : NULL;
  if (!*bytes) return cr_no_memory(error, "the header");
  size_t padded = (length + 7) / 8 * 8;
  if (padded > CR_LARGEST_HEADER)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "header: %zu bytes of layers, names and metadata; expected at most %d", padded,
                   CR_LARGEST_HEADER);
  for (int i = 0; i < CR_LENGTH_BYTES; i++) (*bytes)[i] = (char)((uint64_t)padded >> 8 * i & 0xff);
  memset(*bytes + CR_LENGTH_BYTES + length, ' ', padded - length);
  *size = CR_LENGTH_BYTES + padded;
  return CHAINRULE_OK;
}

/* ---- The file ------------------------------------------------------------------------------------- */

typedef struct cr_saving {
  const chainrule_network *network;
  const cr_model *model;
  const void *header;
  size_t header_size;
} cr_saving;

static chainrule_status write_model(int file, const void *what, chainrule_error *error)
{
  const cr_saving *saving = what;
  chainrule_status status = cr_write_all(file, saving->header, saving->header_size, error);
  for (size_t t = 0; t < saving->model->tensor_count && !status; t++) {
    const cr_tensor *tensor = &saving->model->tensors[t];
    get_values(saving->network, tensor, saving->model->values);
    status = cr_write_all(file, saving->model->values, tensor->bytes, error);
  }
  return status;
}

chainrule_status chainrule_network_save(const chainrule_network *network, const char *path,
                                        chainrule_error *error)
{
  return cr_save(network, &(cr_state){0}, path, error);
}

static chainrule_status save(const chainrule_network *network, cr_state *state, const char *path,
                             chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!path) return cr_null(error, "path");
  if (!*path) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "path is empty");

  cr_model model = {.state = state};
  char *text = NULL, *header = NULL;
  size_t length = 0, header_size = 0;
  chainrule_status status = describe(network, &model, error);
  if (!status) status = cr_plan_tensors(&model, SIZE_MAX, error);
  if (!status) status = make_text(network, &model, &text, &length, error);
  if (!status) status = cr_allocate_values(&model, error);
  uint64_t hash = text ? cr_hash_texts(text, length, state, network->metadata) : 0;
  for (size_t t = 0; t < model.tensor_count && !status; t++)
    status = hash_tensor(network, &model, &model.tensors[t], &hash, error);
  if (!status) status = make_header(&model, text, network->metadata, hash, &header, &header_size, error);
  if (!status)
    status = cr_replace_file(path, write_model, &(cr_saving){network, &model, header, header_size}, error);
  free(header);
  free(text);
  cr_model_free(&model);
  return status;
}

chainrule_status cr_save(const chainrule_network *network, cr_state *state, const char *path,
                         chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  const int rounding = cr_rounding_enter();
  const chainrule_status status = save(network, state, path, error);
  cr_rounding_leave(rounding);
  return cr_left(mode, status);
}
