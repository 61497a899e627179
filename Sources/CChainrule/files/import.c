/* Imports a network from a safetensors file without an architecture.  The names and shapes of the tensors
 * determine the layers:
 *
 *     P.weight [units, inputs]                                      dense
 *     P.bias   [units]
 *
 *     P.weight [units]                                              layerNorm, and with running_mean batchNorm
 *     P.bias, P.running_mean, P.running_var [units]
 *     P.num_batches_tracked                                         ignored
 *
 * A weight of one dimension without other tensors is refused, because it can be an RMSNorm, a PReLU or a
 * LayerNorm without bias.
 *
 * P is a layer's prefix, "0" or "net.fc1".  The caller lists the prefixes in the order of the layers.
 * Without a list, prefixes may differ only in numbers, which then give the order.  (The order in the file
 * means nothing: the safetensors library sorts by name.)
 */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian: swap their bytes in read_values"
#endif

typedef enum role { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, BATCHES, ROLES } role;
static const char *const role_names[ROLES] = {"weight", "bias", "running_mean", "running_var",
                                              "num_batches_tracked"};

typedef enum dtype { F32, F64, F16, BF16, DTYPES } dtype;
static const char *const dtype_names[DTYPES] = {"F32", "F64", "F16", "BF16"};
static const size_t dtype_sizes[DTYPES] = {4, 8, 2, 2};

typedef struct tensor {
  const char *name; /* "net.0.weight" */
  size_t prefix;    /* the length of "net.0" */
  size_t place;     /* of its layer in the caller's list, from 1; 0: it is not listed */
  role role;
  dtype type;
  size_t rank, shape[2], count;
  cr_extent extent;
} tensor;

typedef struct module {
  const tensor *tensors[ROLES]; /* NULL: there is none */
  size_t in, out;
  size_t layer; /* of the network, from 0 */
} module;

typedef struct importing {
  cr_safetensors source;
  const char *const *prefixes; /* the caller's list; NULL: there is none */
  size_t prefix_count;
  tensor *tensors; /* in the order of the modules */
  size_t tensor_count;
  module *modules;
  size_t module_count;
  chainrule_layer *layers;
  void *bytes, *values; /* of one tensor: as in the file, and as the network's scalars */
} importing;

/* ---- The tensors of the header ----------------------------------------------------------------- */

static chainrule_status read_role(tensor *tensor, chainrule_error *error)
{
  const char *dot = strrchr(tensor->name, '.'), *last = dot ? dot + 1 : tensor->name;
  tensor->prefix = dot ? (size_t)(dot - tensor->name) : 0;
  for (int r = 0; r < ROLES; r++)
    if (strcmp(last, role_names[r]) == 0) {
      tensor->role = (role)r;
      return CHAINRULE_OK;
    }
  return cr_invalid(error, 0,
                    "tensor %.80s: expected a name that ends in weight, bias, running_mean, running_var or "
                    "num_batches_tracked",
                    tensor->name);
}

static chainrule_status read_dtype(tensor *tensor, const char *name, chainrule_error *error)
{
  for (int d = 0; d < DTYPES; d++)
    if (strcmp(name, dtype_names[d]) == 0) {
      tensor->type = (dtype)d;
      return CHAINRULE_OK;
    }
  return cr_invalid(error, 0, "tensor %.80s: dtype %.20s; expected F64, F32, F16 or BF16", tensor->name, name);
}

static chainrule_status read_shape(tensor *tensor, const json_t *shape, chainrule_error *error)
{
  const size_t most = tensor->role == WEIGHT ? 2 : 1;
  tensor->rank = json_array_size(shape);
  bool fits = tensor->rank >= 1 && tensor->rank <= most;
  for (size_t i = 0; fits && i < tensor->rank; i++) {
    const json_int_t extent = json_integer_value(json_array_get(shape, i)); /* 0 if it is not an integer */
    fits = extent >= 1;
    tensor->shape[i] = (size_t)extent;
  }
  if (fits) return CHAINRULE_OK;
  char *found = json_dumps(shape, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
  chainrule_status status =
      cr_invalid(error, 0, "tensor %.80s: shape %.60s; expected %s", tensor->name, found ? found : "",
                 most == 2 ? "[units, inputs] or [units]" : "[units]");
  free(found);
  return status;
}

static chainrule_status read_entry(const char *name, json_t *entry, uint64_t data_size, tensor *tensor,
                                   chainrule_error *error)
{
  tensor->name = name;
  chainrule_status status = read_role(tensor, error);
  if (status) return status;
  char where[100];
  snprintf(where, sizeof where, "tensor %.80s", name);
  const char *type;
  json_t *shape;
  tensor->extent = (cr_extent){.sort = "tensor ", .name = name};
  status = cr_read_entry(entry, where, data_size, &type, &shape, &tensor->extent, error);
  if (status) return status;
  if (tensor->role == BATCHES) return CHAINRULE_OK;

  status = read_dtype(tensor, type, error);
  if (!status) status = read_shape(tensor, shape, error);
  if (status) return status;
  size_t bytes;
  if (!cr_multiply(tensor->shape[0], tensor->rank == 2 ? tensor->shape[1] : 1, &tensor->count) ||
      !cr_multiply(tensor->count, dtype_sizes[tensor->type], &bytes))
    return cr_invalid(error, 0, "%s: shape [%zu, %zu] needs more bytes than can be addressed", where,
                      tensor->shape[0], tensor->shape[1]);
  if (bytes != tensor->extent.end - tensor->extent.begin)
    return cr_invalid(
        error, 0, "%s: data_offsets [%" PRIu64 ", %" PRIu64 "], but its %zu values of %s have %zu bytes",
        where, tensor->extent.begin, tensor->extent.end, tensor->count, dtype_names[tensor->type], bytes);
  return CHAINRULE_OK;
}

/* Checks that the tensors fill the data, and sorts them by their offsets. */
static chainrule_status check_layout(importing *import, chainrule_error *error)
{
  const size_t count = import->tensor_count;
  cr_extent *extents = calloc(count, sizeof *extents);
  tensor *sorted = calloc(count, sizeof *sorted);
  chainrule_status status =
      extents && sorted ? CHAINRULE_OK : cr_out_of_memory(error, "the tensors", count * sizeof *sorted);
  for (size_t t = 0; t < count && !status; t++) {
    extents[t] = import->tensors[t].extent;
    extents[t].index = t;
  }
  if (!status) status = cr_check_layout(extents, count, import->source.data_size, error);
  for (size_t t = 0; t < count && !status; t++) sorted[t] = import->tensors[extents[t].index];
  free(extents);
  free(import->tensors);
  import->tensors = sorted;
  return status;
}

static chainrule_status read_tensors(importing *import, chainrule_error *error)
{
  json_t *header = import->source.header;
  if (json_object_get(json_object_get(header, "__metadata__"), "chainrule"))
    return cr_invalid(error, 0, "__metadata__.chainrule: this is a Chainrule model already; load it instead");
  json_object_del(header, "__metadata__");
  const size_t count = json_object_size(header);
  if (count == 0) return cr_invalid(error, 0, "header: no tensors");
  import->tensors = calloc(count, sizeof *import->tensors);
  if (!import->tensors) return cr_out_of_memory(error, "the tensors", count * sizeof *import->tensors);
  const char *name;
  json_t *entry;
  json_object_foreach(header, name, entry)
  {
    chainrule_status status =
        read_entry(name, entry, import->source.data_size, &import->tensors[import->tensor_count++], error);
    if (status) return status;
  }
  return check_layout(import, error);
}

/* ---- The layers --------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The digits at *text without leading zeros, and their number; moves *text past them. */
static size_t take_number(const char **text, const char *end, const char **digits)
{
  while (*text < end && **text == '0') ++*text;
  *digits = *text;
  while (*text < end && is_digit(**text)) ++*text;
  return (size_t)(*text - *digits);
}

/* Compares two prefixes: numbers by value, other text byte by byte.  *alike: they differ only in numbers. */
static int compare_prefixes(const tensor *first, const tensor *second, bool *alike)
{
  const char *a = first->name, *a_end = a + first->prefix, *b = second->name, *b_end = b + second->prefix;
  int order = 0;
  while (a < a_end && b < b_end) {
    if (is_digit(*a) && is_digit(*b)) {
      const char *m, *n;
      const size_t m_size = take_number(&a, a_end, &m), n_size = take_number(&b, b_end, &n);
      if (order == 0) order = m_size != n_size ? (m_size > n_size) - (m_size < n_size) : memcmp(m, n, m_size);
    } else if (*a != *b) {
      break;
    } else {
      a++, b++;
    }
  }
  *alike = a == a_end && b == b_end;
  if (order || *alike) return order;
  return a == a_end ? -1 : b == b_end ? 1 : (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int by_prefix(const void *a, const void *b)
{
  bool alike;
  const int order = compare_prefixes(a, b, &alike);
  return order ? order : strcmp(((const tensor *)a)->name, ((const tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
  const tensor *first = a, *second = b;
  if (first->place != second->place) return first->place < second->place ? -1 : 1;
  return strcmp(first->name, second->name);
}

/* Sorts the tensors in the order of the caller's list, which must have the prefix of every tensor, each
 * once. */
static chainrule_status order_as_listed(importing *import, chainrule_error *error)
{
  for (size_t p = 0; p < import->prefix_count; p++) {
    const char *prefix = import->prefixes[p];
    if (!prefix) return cr_null(error, "layers");
    for (size_t q = 0; q < p; q++)
      if (strcmp(prefix, import->prefixes[q]) == 0)
        return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                       "layer \"%.60s\" is listed twice; expected each layer once", prefix);
    bool found = false;
    for (size_t t = 0; t < import->tensor_count; t++) {
      tensor *tensor = &import->tensors[t];
      if (tensor->prefix != strlen(prefix) || memcmp(tensor->name, prefix, tensor->prefix) != 0) continue;
      tensor->place = p + 1;
      found = true;
    }
    if (!found)
      return cr_fail(
          error, CHAINRULE_INVALID_ARGUMENT, 0,
          "layer \"%.60s\" has no tensor in the file; expected one such as %.60s.weight; the file's first "
          "is %.80s",
          prefix, prefix, import->tensors[0].name);
  }
  for (size_t t = 0; t < import->tensor_count; t++) {
    const tensor *tensor = &import->tensors[t];
    if (tensor->place == 0)
      return cr_fail(
          error, CHAINRULE_INVALID_ARGUMENT, 0,
          "tensor %.80s belongs to layer \"%.*s\", which is not listed; expected every layer of the file",
          tensor->name, (int)(tensor->prefix < 60 ? tensor->prefix : 60), tensor->name);
  }
  qsort(import->tensors, import->tensor_count, sizeof *import->tensors, by_place);
  return CHAINRULE_OK;
}

static bool is_of(const tensor *tensor, const struct tensor *other)
{
  return tensor->prefix == other->prefix && memcmp(tensor->name, other->name, tensor->prefix) == 0;
}

static chainrule_status find_modules(importing *import, chainrule_error *error)
{
  import->modules = calloc(import->tensor_count, sizeof *import->modules);
  if (!import->modules)
    return cr_out_of_memory(error, "the layers", import->tensor_count * sizeof *import->modules);
  if (import->prefixes) {
    chainrule_status status = order_as_listed(import, error);
    if (status) return status;
  } else {
    qsort(import->tensors, import->tensor_count, sizeof *import->tensors, by_prefix);
  }
  for (size_t t = 0; t < import->tensor_count; t++) {
    const tensor *tensor = &import->tensors[t], *last = t ? tensor - 1 : NULL;
    if (last && !is_of(tensor, last) && !import->prefixes) {
      bool alike;
      if (compare_prefixes(last, tensor, &alike) == 0 || !alike)
        return cr_invalid(
            error, 0,
            "layers \"%.*s\" and \"%.*s\": their order is not known; expected names that differ only in a "
            "number, as 0.weight and 2.weight, or a list of the layers in order (--layers)",
            (int)(last->prefix < 60 ? last->prefix : 60), last->name,
            (int)(tensor->prefix < 60 ? tensor->prefix : 60), tensor->name);
    }
    if (!last || !is_of(tensor, last)) import->module_count++;
    import->modules[import->module_count - 1].tensors[tensor->role] = tensor;
  }
  return CHAINRULE_OK;
}

static chainrule_status missing(const tensor *tensor, const char *what, chainrule_error *error)
{
  return cr_invalid(error, 0, "tensor %.80s: its layer has no %s; expected one", tensor->name, what);
}

static chainrule_status check_module(module *module, const struct module *before, chainrule_error *error)
{
  const tensor *const *tensors = module->tensors, *weight = tensors[WEIGHT];
  for (int r = BIAS; r < ROLES; r++) {
    const tensor *tensor = tensors[r];
    if (!tensor) continue;
    if (!weight) return missing(tensor, role_names[WEIGHT], error);
    if (r == BATCHES) {
      if (!tensors[RUNNING_MEAN]) return missing(tensor, role_names[RUNNING_MEAN], error);
    } else if (r != BIAS && weight->rank == 2) {
      return cr_invalid(
          error, 0,
          "tensor %.80s: %.80s has two dimensions, as in a dense layer; expected one, as in a batchNorm",
          tensor->name, weight->name);
    } else if (tensor->shape[0] != weight->shape[0]) {
      return cr_invalid(error, 0, "tensor %.80s: shape [%zu]; expected [%zu], the units of %.80s",
                        tensor->name, tensor->shape[0], weight->shape[0], weight->name);
    }
  }
  if (!tensors[RUNNING_MEAN] != !tensors[RUNNING_VAR])
    return missing(tensors[RUNNING_MEAN] ? tensors[RUNNING_MEAN] : tensors[RUNNING_VAR],
                   role_names[tensors[RUNNING_MEAN] ? RUNNING_VAR : RUNNING_MEAN], error);
  if (weight->rank == 1 && !tensors[BIAS] && !tensors[RUNNING_MEAN])
    return cr_invalid(error, 0,
                      "tensor %.80s: one dimension and no bias, as in an RMSNorm, a PReLU and a LayerNorm without "
                      "bias; expected a bias, which identifies a LayerNorm",
                      weight->name);
  module->out = weight->shape[0];
  module->in = weight->rank == 2 ? weight->shape[1] : module->out;
  if (before && module->in != before->out)
    return cr_invalid(error, 0, "tensor %.80s: %zu inputs; expected %zu, the units of %.80s before it",
                      weight->name, module->in, before->out, before->tensors[WEIGHT]->name);
  return CHAINRULE_OK;
}

/* Describes the network.  An activation after a normalisation becomes a layer of its own. */
static chainrule_status describe(importing *import, const chainrule_activation *activations,
                                 chainrule_network_description *description, chainrule_error *error)
{
  const size_t size = 2 * sizeof *import->layers;
  import->layers = calloc(import->module_count, size);
  if (!import->layers) return cr_out_of_memory(error, "the layers", import->module_count * size);
  size_t count = 0;
  for (size_t m = 0; m < import->module_count; m++) {
    module *module = &import->modules[m];
    module->layer = count;
    chainrule_layer *layer = &import->layers[count++];
    if (module->tensors[WEIGHT]->rank == 2) {
      *layer = (chainrule_layer){
          .units = module->out, .activation = activations[m], .no_bias = !module->tensors[BIAS]};
    } else {
      layer->kind = module->tensors[RUNNING_MEAN] ? CHAINRULE_LAYER_BATCH_NORM : CHAINRULE_LAYER_LAYER_NORM;
      if (activations[m] != CHAINRULE_ACTIVATION_IDENTITY)
        import->layers[count++] =
            (chainrule_layer){.kind = CHAINRULE_LAYER_ACTIVATION, .activation = activations[m]};
    }
  }
  *description =
      (chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = import->modules[0].in,
                                      .layer_count = count, .layers = import->layers};
  for (size_t t = 0; t < import->tensor_count; t++)
    if (import->tensors[t].role != BATCHES && import->tensors[t].type == F64)
      description->scalar = CHAINRULE_FLOAT64;
  return CHAINRULE_OK;
}

/* ---- The values --------------------------------------------------------------------------------- */

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
static double half(uint16_t bits)
{
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                      : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                     : ldexp(fraction, -24);
  return bits >> 15 ? -size : size;
}

static double value_of(const tensor *tensor, const void *bytes, size_t k)
{
  switch (tensor->type) {
  case F64: return ((const double *)bytes)[k];
  case F16: return half(((const uint16_t *)bytes)[k]);
  case BF16: { /* the upper half of a float */
    const uint32_t bits = (uint32_t)((const uint16_t *)bytes)[k] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  case F32:
  case DTYPES: break; /* their number: no tensor has it */
  }
  return ((const float *)bytes)[k];
}

static chainrule_status allocate_values(importing *import, chainrule_scalar scalar, chainrule_error *error)
{
  size_t bytes = 1, count = 1;
  for (size_t t = 0; t < import->tensor_count; t++) {
    const tensor *tensor = &import->tensors[t];
    if (tensor->role == BATCHES) continue;
    if (tensor->extent.end - tensor->extent.begin > bytes)
      bytes = (size_t)(tensor->extent.end - tensor->extent.begin);
    if (tensor->count > count) count = tensor->count;
  }
  import->bytes = malloc(bytes);
  import->values = calloc(count, cr_scalar_size(scalar));
  return import->bytes && import->values
             ? CHAINRULE_OK
             : cr_out_of_memory(error, "a tensor", bytes + count * cr_scalar_size(scalar));
}

/* Reads a tensor's values as the network's scalar type, without rounding. */
static chainrule_status read_values(importing *import, const tensor *tensor, chainrule_scalar scalar,
                                    chainrule_error *error)
{
  chainrule_status status =
      cr_safetensors_read(&import->source, import->bytes, (size_t)(tensor->extent.end - tensor->extent.begin),
                          tensor->extent.begin, error);
  if (status) return status;
  for (size_t k = 0; k < tensor->count; k++) {
    const double value = value_of(tensor, import->bytes, k);
    if (!isfinite(value) || (tensor->role == RUNNING_VAR && value < 0))
      return cr_invalid(error, 0, "tensor %.80s: value %zu is %g; expected a finite number%s", tensor->name,
                        k + 1, value, tensor->role == RUNNING_VAR ? " of at least 0" : "");
    if (scalar == CHAINRULE_FLOAT64)
      ((double *)import->values)[k] = value;
    else
      ((float *)import->values)[k] = (float)value;
  }
  return CHAINRULE_OK;
}

static chainrule_status set_values(importing *import, chainrule_network *network, chainrule_error *error)
{
  static const chainrule_parameter
      of_dense[] = {[WEIGHT] = CHAINRULE_WEIGHTS, [BIAS] = CHAINRULE_BIAS},
      of_norm[] = {
          [WEIGHT] = CHAINRULE_GAMMA, [BIAS] = CHAINRULE_BETA, [RUNNING_MEAN] = CHAINRULE_MEAN, [RUNNING_VAR] = CHAINRULE_VARIANCE};
  const chainrule_scalar scalar = chainrule_network_scalar(network);
  chainrule_status status = allocate_values(import, scalar, error);
  for (size_t m = 0; m < import->module_count; m++) {
    const module *module = &import->modules[m];
    const chainrule_parameter *parameters = module->tensors[WEIGHT]->rank == 2 ? of_dense : of_norm;
    for (int r = 0; r < BATCHES && !status; r++) {
      const tensor *tensor = module->tensors[r];
      if (!tensor) continue;
      status = read_values(import, tensor, scalar, error);
      if (status) break;
      status = scalar == CHAINRULE_FLOAT32
                   ? chainrule_network_set_parameter_f32(network, module->layer, parameters[r],
                                                         import->values, tensor->count, error)
                   : chainrule_network_set_parameter_f64(network, module->layer, parameters[r],
                                                         import->values, tensor->count, error);
    }
  }
  return status;
}

/* ---- The import --------------------------------------------------------------------------------- */

/* Imports an open file.  After an error the caller frees *network, which may have been made already. */
static chainrule_status import_network(importing *import, const chainrule_activation *activations,
                                       size_t count, chainrule_network **network, chainrule_error *error)
{
  chainrule_status status = read_tensors(import, error);
  if (!status) status = find_modules(import, error);
  for (size_t m = 0; m < import->module_count && !status; m++)
    status = check_module(&import->modules[m], m ? &import->modules[m - 1] : NULL, error);
  if (status) return status;
  if (count != import->module_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "%zu activations; expected %zu, one for each layer with weights in the file", count,
                   import->module_count);
  chainrule_network_description description;
  status = describe(import, activations, &description, error);
  if (!status) status = chainrule_network_create(&description, network, error);
  return status ? status : set_values(import, *network, error);
}

static chainrule_status import_file(const char *path, const char *const *layers,
                                    const chainrule_activation *activations, size_t count,
                                    chainrule_network **network, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  *network = NULL;
  if (!path) return cr_null(error, "path");
  if (!*path) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "path is empty");
  if (count != 0 && !activations) return cr_null(error, "activations");

  importing import = {.prefixes = layers, .prefix_count = count};
  chainrule_status status = cr_safetensors_open(path, &import.source, error);
  if (!status) status = import_network(&import, activations, count, network, error);
  if (status) {
    chainrule_network_free(*network);
    *network = NULL;
  }
  cr_safetensors_close(&import.source);
  free(import.tensors);
  free(import.modules);
  free(import.layers);
  free(import.bytes);
  free(import.values);
  return status;
}

chainrule_status chainrule_network_import_safetensors(const char *path, const char *const *layers,
                                                      const chainrule_activation *activations, size_t count,
                                                      chainrule_network **network, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, import_file(path, layers, activations, count, network, error));
}
