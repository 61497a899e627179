/* Model files.  docs/files.md has the format; in brief, a safetensors file:
 *
 *   8 bytes   N, little-endian
 *   N bytes   {"__metadata__": {"format": "chainrule", "chainrule": TEXT, "checksum": "fnv1a64:…"},
 *              "layers.0.weights": {"dtype": "F32", "shape": [out, in], "data_offsets": [begin, end]}, …}
 *   the rest  the tensors, little-endian, without holes
 *
 * TEXT is the architecture, as JSON in a string, since safetensors has only strings there.  A checkpoint has in
 * "training" such a text of its own, and arrays shaped as the parameters, whose tensors have the array's name before
 * "layers.": "optimizer.m.layers.0.weights".  "userMetadata" is the caller's text, which nothing here interprets.
 * The checksum covers the texts and every value; what it does not cover, the
 * tensors' names, types, shapes and places, follows from the texts and is compared with them.
 *
 * Saving and loading go through the same plan, cr_model: a description and the tensors it implies.  The
 * order of the checks bounds memory: a network is made only when the file has all of its parameters.
 */
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "writing.h"

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian: swap their bytes in hash_tensor, write_model and read_tensor"
#endif

enum {
  FORMAT_VERSION = 1,
  LENGTH_BYTES = 8,
  LARGEST_HEADER = CR_LARGEST_TEXT /* the safetensors library's limit */
};

static const char *const scalar_names[] = {[CHAINRULE_FLOAT32] = "float32", [CHAINRULE_FLOAT64] = "float64"};
static const char *const dtypes[] = {[CHAINRULE_FLOAT32] = "F32", [CHAINRULE_FLOAT64] = "F64"};
static const char *const names_keys[] = {[CHAINRULE_FEATURE_NAMES] = "features",
                                         [CHAINRULE_TARGET_NAMES] = "targets",
                                         [CHAINRULE_CLASS_LABELS] = "classes"};

typedef struct cr_tensor {
  const cr_array *array; /* NULL: the network itself */
  size_t layer;          /* from 0 */
  chainrule_parameter parameter;
  char name[80];  /* "layers.1.weights" */
  char place[80]; /* the same in a message: "layer 2, weights" */
  size_t rank, shape[2], count, bytes;
  uint64_t begin; /* in the data */
  size_t offset;  /* in the values of its array, bytes */
} cr_tensor;

typedef struct cr_model {
  chainrule_description description;
  chainrule_layer *layers;
  cr_state *state;    /* of a checkpoint; where its text is NULL, the file is a model */
  cr_tensor *tensors; /* the network's, then those of each array: layer by layer, weights before bias */
  size_t tensor_count, tensor_room;
  void *values;         /* room for the largest tensor */
  json_t *architecture; /* TEXT, parsed */
  json_t *header;
} cr_model;

static void free_model(cr_model *model)
{
  free(model->layers);
  free(model->tensors);
  free(model->values);
  json_decref(model->architecture);
  json_decref(model->header);
}

/* ---- Messages ---------------------------------------------------------------------------------- */

chainrule_status
cr_invalid(chainrule_error *error, size_t layer, const char *format, ...)
{
  char message[CHAINRULE_MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return cr_fail(error, CHAINRULE_INVALID_FILE, layer, "%s", message);
}

/* Memory ran out in jansson, which does not say at how many bytes. */
static chainrule_status no_memory(chainrule_error *error, const char *what)
{
  return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "no memory for %s", what);
}

/* A JSON value that is missing, or of another type than it has to be. */
chainrule_status cr_unexpected(chainrule_error *error, size_t layer, const char *where,
                                   const json_error_t *problem)
{
  if (json_error_code(problem) == json_error_out_of_memory) return no_memory(error, where);
  return cr_invalid(error, layer, "%s: %s", where, problem->text);
}

/* What the core refused is wrong in the file, unless it is a matter of this process: its memory, or its
 * CHAINRULE_ISA, which is no layer's. */
static chainrule_status contradicted(chainrule_error *error, const chainrule_error *inner)
{
  const bool isa = inner->status == CHAINRULE_INVALID_ARGUMENT && inner->layer == 0;
  if (inner->status == CHAINRULE_OUT_OF_MEMORY || isa)
    return cr_fail(error, inner->status, inner->layer, "%s", inner->message);
  return cr_invalid(error, inner->layer, "%s", inner->message);
}

/* ---- The plan ---------------------------------------------------------------------------------- */

/* An array, or the network, has those before this one. */
static int parameters_of(const cr_array *array)
{
  return !array || cr_has_statistics(array) ? CHAINRULE_PARAMETER_COUNT : CHAINRULE_BETA + 1;
}

static size_t count_tensors(const cr_model *model, const cr_array *array)
{
  const chainrule_description *description = &model->description;
  size_t inputs = description->inputs, count = 0;
  for (size_t l = 0; l < description->layer_count; l++) {
    const chainrule_layer *layer = &description->layers[l];
    for (int p = 0; p < parameters_of(array); p++) count += cr_described_size(layer, inputs, (chainrule_parameter)p) > 0;
    if (layer->kind == CHAINRULE_LAYER_DENSE) inputs = layer->units;
  }
  return count;
}

/* The tensors of the network, or of an array, behind those that are planned already, as far as there is room. */
static chainrule_status plan_array(cr_model *model, cr_array *array, size_t *position, chainrule_error *error)
{
  const chainrule_description *description = &model->description;
  const char *prefix = array ? array->name : "";
  const int end = parameters_of(array);
  size_t inputs = description->inputs, offset = 0;
  for (size_t l = 0; l < description->layer_count; l++) {
    const chainrule_layer *layer = &description->layers[l];
    const size_t units = layer->kind == CHAINRULE_LAYER_DENSE ? layer->units : inputs;
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
      snprintf(tensor->place, sizeof tensor->place, "%s%slayer %zu, %s", prefix, array ? ", " : "", l + 1, name);
      if (!cr_multiply(tensor->shape[0], tensor->shape[1], &tensor->count) ||
          !cr_multiply(tensor->count, cr_scalar_size(description->scalar), &tensor->bytes) ||
          !cr_add(*position, tensor->bytes, position))
        return cr_invalid(error, l + 1, "%s: shape [%zu, %zu] needs more bytes than a size can count",
                       tensor->place, units, inputs);
      offset += tensor->bytes;
    }
    inputs = units;
  }
  if (array) array->size = offset;
  return CHAINRULE_OK;
}

/* From the description: the tensors' shapes, and their places in the order in which they are written; of a file, at most
 * `most` of them. */
static chainrule_status plan_tensors(cr_model *model, size_t most, chainrule_error *error)
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

static chainrule_status allocate_values(cr_model *model, chainrule_error *error)
{
  size_t largest = 0;
  for (size_t t = 0; t < model->tensor_count; t++)
    if (model->tensors[t].bytes > largest) largest = model->tensors[t].bytes;
  model->values = malloc(largest + 1); /* + 1: malloc(0) may be NULL */
  return model->values ? CHAINRULE_OK : cr_out_of_memory(error, "a layer's parameters", largest);
}

static const uint64_t fnv1a64_start = 0xcbf29ce484222325;

/* FNV-1a: h = (h xor byte) p.  Both halves are bijections of h, so that one changed byte is always seen. */
static uint64_t fnv1a64(uint64_t hash, const void *bytes, size_t size)
{
  for (const unsigned char *byte = bytes, *end = byte + size; byte < end; byte++)
    hash = (hash ^ *byte) * 0x100000001b3;
  return hash;
}

/* Of TEXT, of a checkpoint's, and of the caller's; NULL: there is none. */
static uint64_t hash_texts(const char *text, size_t length, const cr_state *state, const char *metadata)
{
  uint64_t hash = fnv1a64(fnv1a64_start, text, length);
  if (state->text) hash = fnv1a64(hash, state->text, strlen(state->text));
  return metadata ? fnv1a64(hash, metadata, strlen(metadata)) : hash;
}

enum { CHECKSUM_SIZE = sizeof "fnv1a64:0123456789abcdef" };

static void print_checksum(uint64_t hash, char checksum[CHECKSUM_SIZE])
{
  snprintf(checksum, CHECKSUM_SIZE, "fnv1a64:%016" PRIx64, hash);
}

/* ---- Saving: the header ------------------------------------------------------------------------ */

static chainrule_status describe(const chainrule_network *network, cr_model *model, chainrule_error *error)
{
  size_t count = chainrule_network_layer_count(network);
  model->layers = calloc(count, sizeof *model->layers);
  if (!model->layers) return cr_out_of_memory(error, "the layers", count * sizeof *model->layers);
  model->description = (chainrule_description){.scalar = chainrule_network_scalar(network),
                                               .inputs = chainrule_network_inputs(network),
                                               .layer_count = count,
                                               .layers = model->layers};
  chainrule_status status = CHAINRULE_OK;
  for (size_t l = 0; l < count && !status; l++)
    status = chainrule_network_layer(network, l, &model->layers[l], error);
  for (size_t l = 0; l < count && !status; l++)
    if (model->layers[l].kind == CHAINRULE_LAYER_CUSTOM)
      status = cr_fail(error, CHAINRULE_INVALID_NETWORK, l + 1,
                       "layer %zu is a function of the program's own, which a file cannot hold", l + 1);
  return status;
}

/* The functions that end in _json return NULL where memory runs out, and jansson passes a NULL on. */
static json_t *initializer_json(chainrule_initializer initializer)
{
  return json_pack("{s:s, s:f}", "kind", chainrule_initializer_name(initializer.kind), "value",
                   initializer.value);
}

/* What a layer of its kind is made of: the inverse of read_layer. */
static json_t *layer_json(const chainrule_layer *layer)
{
  json_t *json = json_pack("{s:s}", "type", chainrule_layer_name(layer->kind));
  int failed = 0;
  switch (layer->kind) {
  case CHAINRULE_LAYER_DENSE:
    failed |= json_object_set_new(json, "units", json_integer((json_int_t)layer->units));
    failed |= json_object_set_new(json, "activation", json_string(chainrule_activation_name(layer->activation)));
    failed |= json_object_set_new(json, "bias", json_boolean(!layer->no_bias));
    failed |= json_object_set_new(json, "weightsInitializer", initializer_json(layer->weights));
    failed |= json_object_set_new(json, "biasInitializer", initializer_json(layer->bias));
    break;
  case CHAINRULE_LAYER_ACTIVATION:
    failed = json_object_set_new(json, "activation", json_string(chainrule_activation_name(layer->activation)));
    break;
  case CHAINRULE_LAYER_DROPOUT: failed = json_object_set_new(json, "rate", json_real(layer->rate)); break;
  case CHAINRULE_LAYER_BATCH_NORM:
    failed |= json_object_set_new(json, "momentum", json_real(layer->momentum));
    failed |= json_object_set_new(json, "epsilon", json_real(layer->epsilon));
    break;
  case CHAINRULE_LAYER_LAYER_NORM: failed = json_object_set_new(json, "epsilon", json_real(layer->epsilon)); break;
  case CHAINRULE_LAYER_SCALING:
  case CHAINRULE_LAYER_CUSTOM: break;
  case CHAINRULE_LAYER_RESIDUAL:
    failed = json_object_set_new(json, "span", json_integer((json_int_t)layer->span));
    break;
  }
  if (!failed) return json;
  json_decref(json);
  return NULL;
}

static json_t *architecture_json(const chainrule_description *description)
{
  json_t *json = json_pack("{s:i, s:s, s:s, s:I, s:[]}", "formatVersion", FORMAT_VERSION, "version",
                           chainrule_version(), "scalar", scalar_names[description->scalar], "inputs",
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
  const char *key = names_keys[which];
  size_t count = chainrule_network_name_count(network, which);
  json_t *names = json_array();
  for (size_t i = 0; i < count; i++) {
    json_error_t problem = {0}; /* jansson leaves its code as it is where memory runs out */
    json_t *name = json_pack_ex(&problem, 0, "s", chainrule_network_name(network, which, i));
    bool wrong = !name && json_error_code(&problem) == json_error_invalid_utf8;
    if (json_array_append_new(names, name) == 0) continue;
    json_decref(names);
    return wrong ? cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: name %zu is not UTF-8", key, i + 1)
                 : no_memory(error, key);
  }
  if (json_object_set_new(architecture, key, names) != 0) return no_memory(error, key);
  return CHAINRULE_OK;
}

/* json_dumps grows its memory, and drops characters without a word where that fails. */
char *cr_json_text(const json_t *json, size_t before, size_t *length)
{
  *length = json_dumpb(json, NULL, 0, JSON_COMPACT);
  char *bytes = *length ? calloc(before + *length + 8, 1) : NULL;
  if (!bytes || json_dumpb(json, bytes + before, *length, JSON_COMPACT) == *length) return bytes;
  free(bytes);
  return NULL;
}

static chainrule_status make_text(const chainrule_network *network, cr_model *model, char **text,
                                  size_t *length, chainrule_error *error)
{
  model->architecture = architecture_json(&model->description);
  if (!model->architecture) return no_memory(error, "the architecture");
  for (size_t which = 0; which < CR_COUNT(names_keys); which++) {
    if (chainrule_network_name_count(network, (chainrule_names)which) == 0) continue;
    chainrule_status status = add_names(model->architecture, network, (chainrule_names)which, error);
    if (status) return status;
  }
  *text = cr_json_text(model->architecture, 0, length);
  return *text ? CHAINRULE_OK : no_memory(error, "the architecture");
}

static void get_values(const chainrule_network *network, const cr_tensor *tensor, void *values)
{
  if (tensor->array)
    cr_read(tensor->array->network, tensor->array->arena, tensor->layer, tensor->parameter, values);
  else
    cr_read(network, network->parameters, tensor->layer, tensor->parameter, values);
}

/* Adds a tensor to the checksum, after a look at its values: all of this before anything is written. */
static chainrule_status hash_tensor(const chainrule_network *network, const cr_model *model,
                                    const cr_tensor *tensor, uint64_t *hash, chainrule_error *error)
{
  get_values(network, tensor, model->values);
  const bool learned = !tensor->array || cr_has_statistics(tensor->array);
  for (size_t i = 0; learned && i < tensor->count; i++) {
    double value = cr_value(model->description.scalar, model->values, i);
    if (!isfinite(value))
      return cr_fail(error, CHAINRULE_NOT_FINITE, tensor->layer + 1, "%s: value %zu is %s", tensor->place, i + 1,
                     isnan(value) ? "NaN" : "infinite");
  }
  *hash = fnv1a64(*hash, model->values, tensor->bytes);
  return CHAINRULE_OK;
}

static json_t *tensor_json(const cr_tensor *tensor, chainrule_scalar scalar)
{
  json_t *shape = json_pack("[I]", (json_int_t)tensor->shape[0]);
  if (tensor->rank == 2 && json_array_append_new(shape, json_integer((json_int_t)tensor->shape[1])) != 0) {
    json_decref(shape);
    return NULL;
  }
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[scalar], "shape", shape, "data_offsets",
                   (json_int_t)tensor->begin, (json_int_t)(tensor->begin + tensor->bytes));
}

/* Adds a text, unless it is NULL, to an object; false where memory runs out. */
static bool add_text(json_t *object, const char *key, const char *text)
{
  return !text || json_object_set_new(object, key, json_string(text)) == 0;
}

static json_t *header_json(const cr_model *model, const char *text, const char *metadata, uint64_t hash)
{
  char checksum[CHECKSUM_SIZE];
  print_checksum(hash, checksum);
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

/* The length's 8 bytes and the JSON, with spaces to a multiple of 8, where the tensors begin. */
static chainrule_status make_header(cr_model *model, const char *text, const char *metadata, uint64_t hash,
                                    char **bytes, size_t *size, chainrule_error *error)
{
  size_t length;
  model->header = header_json(model, text, metadata, hash);
  *bytes = model->header ? cr_json_text(model->header, LENGTH_BYTES, &length) : NULL;
  if (!*bytes) return no_memory(error, "the header");
  size_t padded = (length + 7) / 8 * 8;
  if (padded > LARGEST_HEADER)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "header: %zu bytes of layers, names and metadata; a safetensors file may have %d", padded,
                   LARGEST_HEADER);
  for (int i = 0; i < LENGTH_BYTES; i++) (*bytes)[i] = (char)((uint64_t)padded >> 8 * i & 0xff);
  memset(*bytes + LENGTH_BYTES + length, ' ', padded - length);
  *size = LENGTH_BYTES + padded;
  return CHAINRULE_OK;
}

/* ---- Saving: the file -------------------------------------------------------------------------- */

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
  if (!status) status = plan_tensors(&model, SIZE_MAX, error);
  if (!status) status = make_text(network, &model, &text, &length, error);
  if (!status) status = allocate_values(&model, error);
  uint64_t hash = text ? hash_texts(text, length, state, network->metadata) : 0;
  for (size_t t = 0; t < model.tensor_count && !status; t++)
    status = hash_tensor(network, &model, &model.tensors[t], &hash, error);
  if (!status) status = make_header(&model, text, network->metadata, hash, &header, &header_size, error);
  if (!status)
    status = cr_replace_file(path, write_model, &(cr_saving){network, &model, header, header_size}, error);
  free(header);
  free(text);
  free_model(&model);
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

/* ---- Loading: the header ----------------------------------------------------------------------- */

/* A regular file, so that no pipe can make the call wait. */
static chainrule_status open_model(const char *path, int *file, uint64_t *size, chainrule_error *error)
{
  struct stat info;
  do *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (*file < 0 && errno == EINTR);
  if (*file < 0 || fstat(*file, &info) != 0) return cr_refused(error, "cannot read", errno);
  if (S_ISDIR(info.st_mode)) return cr_refused(error, "cannot read", EISDIR);
  if (!S_ISREG(info.st_mode))
    return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot read: not a regular file");
  *size = (uint64_t)info.st_size;
  return CHAINRULE_OK;
}

static chainrule_status read_at(int file, void *bytes, size_t size, uint64_t offset, chainrule_error *error)
{
  for (char *next = bytes; size > 0;) {
    ssize_t count = pread(file, next, size < SSIZE_MAX ? size : SSIZE_MAX, (off_t)offset);
    if (count == 0) return cr_invalid(error, 0, "file: became shorter while it was read");
    if (count < 0 && errno != EINTR) return cr_refused(error, "cannot read", errno);
    if (count < 0) continue;
    next += count;
    size -= (size_t)count;
    offset += (uint64_t)count;
  }
  return CHAINRULE_OK;
}

/* Where memory runs out, jansson drops characters of a string without a word.  malloc leaves ENOMEM in
 * errno, but jansson clears errno before it converts a number: served byte by byte, no ENOMEM escapes. */
typedef struct cr_source {
  const char *next;
  size_t left;
  bool starved;
} cr_source;

static size_t next_byte(void *buffer, size_t size, void *data)
{
  cr_source *source = data;
  if (errno == ENOMEM) source->starved = true;
  if (size == 0 || source->left == 0 || source->starved) return 0;
  *(char *)buffer = *source->next++;
  source->left--;
  return 1;
}

static chainrule_status parse(const char *bytes, size_t size, const char *where, json_t **object,
                              chainrule_error *error)
{
  json_error_t problem;
  cr_source source = {bytes, size, false};
  errno = 0;
  *object = json_load_callback(next_byte, &source, JSON_REJECT_DUPLICATES, &problem);
  if (source.starved || errno == ENOMEM) return no_memory(error, where);
  if (!*object)
    return cr_invalid(error, 0, "%s: %s (line %d, column %d)", where, problem.text, problem.line,
                   problem.column);
  if (!json_is_object(*object)) return cr_invalid(error, 0, "%s: not a JSON object", where);
  return CHAINRULE_OK;
}

static chainrule_status read_header(int file, uint64_t file_size, cr_model *model, uint64_t *data,
                                    chainrule_error *error)
{
  unsigned char length_bytes[LENGTH_BYTES];
  if (file_size < LENGTH_BYTES)
    return cr_invalid(error, 0, "file: %" PRIu64 " bytes are too few for a model", file_size);
  chainrule_status status = read_at(file, length_bytes, LENGTH_BYTES, 0, error);
  if (status) return status;
  uint64_t length = 0;
  for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)length_bytes[i] << 8 * i;
  if (length > file_size - LENGTH_BYTES)
    return cr_invalid(error, 0,
                   "header: %" PRIu64 " bytes, of which the file has %" PRIu64
                   "; it is cut short, or no safetensors file",
                   length, file_size - LENGTH_BYTES);
  if (length > LARGEST_HEADER)
    return cr_invalid(error, 0, "header: %" PRIu64 " bytes; a safetensors file may have %d", length,
                   LARGEST_HEADER);
  *data = LENGTH_BYTES + length;

  char *bytes = malloc((size_t)length + 1); /* + 1: malloc(0) may be NULL */
  if (!bytes) return cr_out_of_memory(error, "the header", (size_t)length + 1);
  status = read_at(file, bytes, (size_t)length, LENGTH_BYTES, error);
  if (!status) status = parse(bytes, (size_t)length, "header", &model->header, error);
  free(bytes);
  return status;
}

/* ---- Loading: the architecture ----------------------------------------------------------------- */

static chainrule_status read_size(json_int_t number, size_t layer, const char *what, size_t *size,
                                  chainrule_error *error)
{
  if (number < 1 || number > INT32_MAX)
    return cr_invalid(error, layer, "%s: %" JSON_INTEGER_FORMAT " is not in 1 to %d", what, number, INT32_MAX);
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

static chainrule_status read_dense(json_t *json, size_t number, const char *where, chainrule_layer *layer,
                                   chainrule_error *error)
{
  const char *activation;
  json_int_t units;
  int bias;
  json_t *draw_weights = NULL, *draw_bias = NULL;
  json_error_t problem;
  if (json_unpack_ex(json, &problem, 0, "{s:I, s:s, s:b, s?o, s?o}", "units", &units, "activation",
                     &activation, "bias", &bias, "weightsInitializer", &draw_weights, "biasInitializer",
                     &draw_bias) != 0)
    return cr_unexpected(error, number, where, &problem);
  layer->no_bias = !bias;
  chainrule_status status = read_activation(activation, number, where, &layer->activation, error);
  if (!status) status = read_initializer(draw_weights, number, where, &layer->weights, error);
  if (!status) status = read_initializer(draw_bias, number, where, &layer->bias, error);
  char what[40];
  snprintf(what, sizeof what, "layer %zu, units", number);
  return status ? status : read_size(units, number, what, &layer->units, error);
}

static chainrule_status read_layer(json_t *json, size_t number, chainrule_layer *layer,
                                   chainrule_error *error)
{
  char where[40];
  snprintf(where, sizeof where, "layer %zu", number);
  const char *type, *activation;
  json_int_t span;
  json_error_t problem;
  chainrule_error unknown;
  if (json_unpack_ex(json, &problem, 0, "{s:s}", "type", &type) != 0)
    return cr_unexpected(error, number, where, &problem);
  if (chainrule_layer_named(type, &layer->kind, &unknown) != CHAINRULE_OK)
    return cr_invalid(error, number, "%s: %s", where, unknown.message);
  int failed = 0;
  switch (layer->kind) {
  case CHAINRULE_LAYER_DENSE: return read_dense(json, number, where, layer, error);
  case CHAINRULE_LAYER_ACTIVATION:
    if (json_unpack_ex(json, &problem, 0, "{s:s}", "activation", &activation) != 0)
      return cr_unexpected(error, number, where, &problem);
    return read_activation(activation, number, where, &layer->activation, error);
  case CHAINRULE_LAYER_DROPOUT: failed = json_unpack_ex(json, &problem, 0, "{s:F}", "rate", &layer->rate); break;
  case CHAINRULE_LAYER_BATCH_NORM:
    failed = json_unpack_ex(json, &problem, 0, "{s:F, s:F}", "momentum", &layer->momentum, "epsilon",
                            &layer->epsilon);
    break;
  case CHAINRULE_LAYER_LAYER_NORM:
    failed = json_unpack_ex(json, &problem, 0, "{s:F}", "epsilon", &layer->epsilon);
    break;
  case CHAINRULE_LAYER_SCALING: break;
  case CHAINRULE_LAYER_CUSTOM:
    return cr_invalid(error, number, "%s: custom, a function of the program's own, which a file cannot hold", where);
  case CHAINRULE_LAYER_RESIDUAL:
    if (json_unpack_ex(json, &problem, 0, "{s:I}", "span", &span) != 0)
      return cr_unexpected(error, number, where, &problem);
    snprintf(where, sizeof where, "layer %zu, span", number);
    return read_size(span, number, where, &layer->span, error);
  }
  if (failed) return cr_unexpected(error, number, where, &problem);
  /* A description takes 0 for the default. */
  const bool batch = layer->kind == CHAINRULE_LAYER_BATCH_NORM, norm = batch || layer->kind == CHAINRULE_LAYER_LAYER_NORM;
  if (batch && layer->momentum == 0) return cr_invalid(error, number, "%s, momentum: 0 is not above 0", where);
  if (norm && layer->epsilon == 0) return cr_invalid(error, number, "%s, epsilon: 0 is not above 0", where);
  return CHAINRULE_OK;
}

static chainrule_status read_scalar(const char *name, chainrule_scalar *scalar, chainrule_error *error)
{
  for (size_t s = 0; s < CR_COUNT(scalar_names); s++)
    if (strcmp(name, scalar_names[s]) == 0) {
      *scalar = (chainrule_scalar)s;
      return CHAINRULE_OK;
    }
  return cr_invalid(error, 0, "no scalar is named \"%.40s\"; there are: float32, float64", name);
}

static chainrule_status read_architecture(const json_t *text, cr_model *model, chainrule_error *error)
{
  static const char where[] = "architecture";
  chainrule_status status =
      parse(json_string_value(text), json_string_length(text), where, &model->architecture, error);
  if (status) return status;

  const char *scalar;
  json_int_t version, inputs;
  json_t *layers;
  json_error_t problem;
  if (json_unpack_ex(model->architecture, &problem, 0, "{s:I}", "formatVersion", &version) != 0)
    return cr_unexpected(error, 0, where, &problem);
  if (version != FORMAT_VERSION)
    return cr_invalid(error, 0, "formatVersion: %" JSON_INTEGER_FORMAT "; Chainrule %s reads %d", version,
                   chainrule_version(), FORMAT_VERSION);
  if (json_unpack_ex(model->architecture, &problem, 0, "{s:s, s:I, s:o}", "scalar", &scalar, "inputs",
                     &inputs, "layers", &layers) != 0)
    return cr_unexpected(error, 0, where, &problem);

  chainrule_description *description = &model->description;
  status = read_scalar(scalar, &description->scalar, error);
  if (!status) status = read_size(inputs, 0, "inputs", &description->inputs, error);
  if (status) return status;
  size_t count = json_array_size(layers);
  if (count == 0) return cr_invalid(error, 0, "layers: not an array, or an empty one");
  if (count > CR_MOST_LAYERS) /* before memory is taken for each */
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
  const char *key = names_keys[which];
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
    status = contradicted(error, &inner);
  free(names);
  return status;
}

/* The caller's text, where the file has one. */
static chainrule_status read_metadata(const json_t *metadata, chainrule_network *network, chainrule_error *error)
{
  const json_t *text = json_object_get(metadata, "userMetadata");
  if (!text) return CHAINRULE_OK;
  if (!json_is_string(text)) return cr_invalid(error, 0, "userMetadata: not a string");
  chainrule_error inner;
  if (chainrule_network_set_metadata(network, json_string_value(text), json_string_length(text), &inner) == CHAINRULE_OK)
    return CHAINRULE_OK;
  return contradicted(error, &inner);
}

/* The text of a checkpoint, and the names of its arrays; of a model nothing. */
static chainrule_status read_state(const json_t *metadata, cr_state *state, chainrule_error *error)
{
  const json_t *text = json_object_get(metadata, "training");
  if (!text) return CHAINRULE_OK;
  if (!json_is_string(text)) return cr_invalid(error, 0, "training: not a string");
  const size_t length = json_string_length(text);
  if (strlen(json_string_value(text)) != length) return cr_invalid(error, 0, "training: has a null character");
  state->text = malloc(length + 1);
  if (!state->text) return cr_out_of_memory(error, "the training", length + 1);
  memcpy(state->text, json_string_value(text), length + 1);
  chainrule_status status = parse(state->text, length, "training", &state->json, error);
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
      return cr_invalid(error, 0, "training, arrays: name %zu is not one of 1 to %zu letters and dots", state->count + 1,
                     sizeof array->name - 1);
    for (size_t a = 0; a < state->count; a++)
      if (strcmp(name, state->arrays[a].name) == 0)
        return cr_invalid(error, 0, "training, arrays: %s is there twice", name);
    snprintf(array->name, sizeof array->name, "%s", name);
  }
  return CHAINRULE_OK;
}

/* ---- Loading: the tensors ---------------------------------------------------------------------- */

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
  chainrule_status status = cr_invalid(error, tensor->layer + 1, "%s: shape %.60s, but the architecture says %s",
                                    tensor->place, found ? found : "", expected);
  free(found);
  return status;
}

/* Compares a tensor with its entry in the header, whose offsets it takes over.  The entry is removed: what
 * is left in the end, the architecture does not have. */
static chainrule_status take_tensor(const cr_model *model, cr_tensor *tensor, uint64_t data_size,
                                    chainrule_error *error)
{
  size_t layer = tensor->layer + 1;
  json_t *entry = json_object_get(model->header, tensor->name), *shape;
  if (!entry) return cr_invalid(error, layer, "%s: missing, there is no tensor %s", tensor->place, tensor->name);
  const char *dtype, *expected = dtypes[model->description.scalar];
  json_int_t begin, end;
  json_error_t problem;
  if (json_unpack_ex(entry, &problem, 0, "{s:s, s:o, s:[II!]}", "dtype", &dtype, "shape", &shape,
                     "data_offsets", &begin, &end) != 0)
    return cr_unexpected(error, layer, tensor->place, &problem);
  if (strcmp(dtype, expected) != 0)
    return cr_invalid(error, layer, "%s: dtype %.40s, but the architecture says %s", tensor->place, dtype,
                   expected);
  chainrule_status status = check_shape(tensor, shape, error);
  if (status) return status;
  if (begin < 0 || end < begin || (uint64_t)(end - begin) != tensor->bytes || (uint64_t)end > data_size)
    return cr_invalid(error, layer,
                   "%s: data_offsets [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                   "], but the tensor has %zu bytes, and the data %" PRIu64,
                   tensor->place, begin, end, tensor->bytes, data_size);
  tensor->begin = (uint64_t)begin;
  json_object_del(model->header, tensor->name);
  return CHAINRULE_OK;
}

static int by_begin(const void *a, const void *b)
{
  uint64_t first = ((const cr_tensor *)a)->begin, second = ((const cr_tensor *)b)->begin;
  return (first > second) - (first < second);
}

/* In whatever order, the tensors fill the data: no holes, no overlaps, nothing behind them. */
static chainrule_status check_layout(const cr_model *model, uint64_t data_size, chainrule_error *error)
{
  size_t size = model->tensor_count * sizeof *model->tensors;
  cr_tensor *sorted = malloc(size + 1);
  if (!sorted) return cr_out_of_memory(error, "the tensors", size);
  memcpy(sorted, model->tensors, size);
  qsort(sorted, model->tensor_count, sizeof *sorted, by_begin);
  chainrule_status status = CHAINRULE_OK;
  uint64_t position = 0;
  for (size_t t = 0; t < model->tensor_count && !status; t++) {
    const cr_tensor *tensor = &sorted[t];
    if (tensor->begin != position)
      status = cr_invalid(error, tensor->layer + 1, "%s: begins at %" PRIu64 ", %s %" PRIu64, tensor->place,
                       tensor->begin, tensor->begin > position ? "after a hole from" : "but others end at",
                       position);
    position = tensor->begin + tensor->bytes;
  }
  free(sorted);
  if (!status && position != data_size)
    status = cr_invalid(error, 0, "data: %" PRIu64 " bytes after the last tensor", data_size - position);
  return status;
}

static chainrule_status read_tensor(int file, uint64_t data, const cr_model *model, const cr_tensor *tensor,
                                    chainrule_network *network, uint64_t *hash, chainrule_error *error)
{
  chainrule_status status = read_at(file, model->values, tensor->bytes, data + tensor->begin, error);
  if (status) return status;
  *hash = fnv1a64(*hash, model->values, tensor->bytes);
  if (tensor->array) {
    if (tensor->array->values)
      memcpy((char *)tensor->array->values + tensor->offset, model->values, tensor->bytes);
    return CHAINRULE_OK;
  }
  size_t layer = tensor->layer, count = tensor->count;
  chainrule_error inner;
  status = model->description.scalar == CHAINRULE_FLOAT32
               ? chainrule_network_set_f32(network, layer, tensor->parameter, model->values, count, &inner)
               : chainrule_network_set_f64(network, layer, tensor->parameter, model->values, count, &inner);
  return status ? contradicted(error, &inner) : CHAINRULE_OK;
}

static chainrule_status read_tensors(int file, uint64_t data, const cr_model *model, const json_t *text,
                                     const char *checksum, chainrule_network *network, chainrule_error *error)
{
  uint64_t hash = hash_texts(json_string_value(text), json_string_length(text), model->state, network->metadata);
  for (size_t t = 0; t < model->tensor_count; t++) {
    chainrule_status status = read_tensor(file, data, model, &model->tensors[t], network, &hash, error);
    if (status) return status;
  }
  char found[CHECKSUM_SIZE];
  print_checksum(hash, found);
  if (strcmp(checksum, found) != 0)
    return cr_invalid(error, 0, "checksum: the contents give %s, the header says %.40s", found, checksum);
  return CHAINRULE_OK;
}

/* *network exists from the moment when the header has passed; where this fails, the caller frees it. */
static chainrule_status read_model(int file, uint64_t file_size, cr_model *model, bool with_arrays,
                                   chainrule_network **network, chainrule_error *error)
{
  uint64_t data = 0;
  chainrule_status status = read_header(file, file_size, model, &data, error);
  if (status) return status;
  const json_t *metadata = json_object_get(model->header, "__metadata__");
  const json_t *text = json_object_get(metadata, "chainrule");
  const char *checksum = json_string_value(json_object_get(metadata, "checksum"));
  if (!json_is_string(text))
    return cr_invalid(error, 0, "no __metadata__.chainrule: a safetensors file, but not a Chainrule model");
  if (!checksum) return cr_invalid(error, 0, "no __metadata__.checksum");

  status = read_architecture(text, model, error);
  if (!status) status = read_state(metadata, model->state, error);
  /* The header has its metadata and one entry for each tensor.  Where it has fewer, one of as many is missing already, and
   * no memory is taken for the others. */
  if (!status) status = plan_tensors(model, json_object_size(model->header), error);
  for (size_t t = 0; t < model->tensor_count && !status; t++)
    status = take_tensor(model, &model->tensors[t], file_size - data, error);
  if (status) return status;
  for (void *left = json_object_iter(model->header); left; left = json_object_iter_next(model->header, left))
    if (strcmp(json_object_iter_key(left), "__metadata__") != 0)
      return cr_invalid(error, 0, "header: the architecture has no tensor \"%.100s\"",
                     json_object_iter_key(left));
  status = check_layout(model, file_size - data, error);
  if (!status) status = allocate_values(model, error);
  for (size_t a = 0; with_arrays && a < model->state->count && !status; a++) {
    cr_array *array = &model->state->arrays[a];
    array->values = malloc(array->size + 1);
    if (!array->values) status = cr_out_of_memory(error, array->name, array->size);
  }
  if (status) return status;

  chainrule_error inner;
  if (chainrule_network_create(&model->description, network, &inner) != CHAINRULE_OK)
    return contradicted(error, &inner);
  for (size_t which = 0; which < CR_COUNT(names_keys) && !status; which++)
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
  chainrule_status status = open_model(path, &file, &size, error);
  if (!status) status = read_model(file, size, &model, result != NULL, network, error);
  if (status) {
    chainrule_network_free(*network);
    *network = NULL;
  }
  if (file >= 0) close(file);
  free_model(&model);
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

/* ---- Files of others --------------------------------------------------------------------------- */

chainrule_status cr_safetensors_open(const char *path, cr_safetensors *source, chainrule_error *error)
{
  *source = (cr_safetensors){.file = -1};
  uint64_t size = 0;
  cr_model model = {0};
  chainrule_status status = open_model(path, &source->file, &size, error);
  if (!status) status = read_header(source->file, size, &model, &source->data, error);
  source->data_size = size - source->data;
  source->header = model.header;
  return status;
}

void cr_safetensors_close(cr_safetensors *source)
{
  json_decref(source->header);
  if (source->file >= 0) close(source->file);
}

chainrule_status cr_safetensors_read(const cr_safetensors *source, void *bytes, size_t size, uint64_t begin,
                                     chainrule_error *error)
{
  return read_at(source->file, bytes, size, source->data + begin, error);
}
