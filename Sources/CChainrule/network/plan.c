/* Checks a description and plans the network: sizes, offsets, and one arena for all parameters. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t most_units = CR_MOST_UNITS, most_layers = CR_MOST_LAYERS;

/* ---- The description --------------------------------------------------------------------------- */

static chainrule_status check_initializer(chainrule_initializer initializer, size_t number, const char *what,
                                          chainrule_error *error)
{
  if ((size_t)initializer.kind >= CHAINRULE_INITIALIZER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, %s: initializer %d is not in the catalogue", number, what,
                   (int)initializer.kind);
  bool spread =
      initializer.kind == CHAINRULE_INITIALIZER_UNIFORM || initializer.kind == CHAINRULE_INITIALIZER_NORMAL;
  if (!isfinite(initializer.value) || (spread && initializer.value < 0))
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, %s: the value of initializer %s must be %s; got %s", number, what,
                   chainrule_initializer_name(initializer.kind), spread ? "finite and not negative" : "finite",
                   cr_number(initializer.value, (char[CR_NUMBER]){0}));
  return CHAINRULE_OK;
}

/* Checks the range of one number of a layer. */
static chainrule_status check_field(const cr_field *field, const chainrule_layer *layer, size_t number,
                                    chainrule_error *error)
{
  const void *member = (const char *)layer + field->offset;
  if (field->type == CR_FIELD_INITIALIZER)
    return check_initializer(*(const chainrule_initializer *)member, number,
                             member == &layer->weights ? "weights" : "bias", error);
  if (field->type != CR_FIELD_REAL) return CHAINRULE_OK;
  const double value = *(const double *)member;
  if (value >= field->low && value <= field->high) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu, %s: %s must be %s; got %s", number,
                 chainrule_layer_name(layer->kind), field->name, field->expected,
                 cr_number(value, (char[CR_NUMBER]){0}));
}

static chainrule_status check_layer(const chainrule_network_description *description, size_t l,
                                    chainrule_error *error)
{
  const chainrule_layer *layer = &description->layers[l];
  const size_t number = l + 1;
  if ((size_t)layer->kind >= CHAINRULE_LAYER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu: kind %d is not in the catalogue",
                   number, (int)layer->kind);
  if ((size_t)layer->activation >= CHAINRULE_ACTIVATION_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu: activation %d is not in the catalogue", number, (int)layer->activation);
  if (layer->activation == CHAINRULE_ACTIVATION_SOFTMAX && number < description->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu is softmax, which only the last layer (%zu) may be", number,
                   description->layer_count);
  const cr_kind *kind = cr_kinds[layer->kind];
  const size_t units = cr_units_after(description, l);
  if (!kind->has_units && layer->units != 0 && layer->units != units)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, %s: %zu units; expected %zu, one for each of its inputs, or 0", number,
                   chainrule_layer_name(layer->kind), layer->units, units);
  chainrule_status status = kind->check ? kind->check(description, l, error) : CHAINRULE_OK;
  for (const cr_field *field = kind->fields; field && field->name && !status; field++)
    status = check_field(field, layer, number, error);
  return status;
}

static chainrule_status check_description(const chainrule_network_description *description,
                                          chainrule_error *error)
{
  if (description->scalar != CHAINRULE_FLOAT32 && description->scalar != CHAINRULE_FLOAT64)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "scalar %d is neither float32 nor float64",
                   (int)description->scalar);
  if (description->inputs == 0 || description->inputs > most_units)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, 0, "the network has %zu inputs; expected 1 to %zu",
                   description->inputs, most_units);
  if (description->layer_count == 0 || description->layer_count > most_layers)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, 0, "the network has %zu layers; expected 1 to %zu",
                   description->layer_count, most_layers);
  if (!description->layers) return cr_null(error, "layers");
  for (size_t l = 0; l < description->layer_count; l++) {
    chainrule_status status = check_layer(description, l, error);
    if (status) return status;
  }
  if (description->layer_count == 1 && cr_kinds[description->layers[0].kind]->arrays[CHAINRULE_DEVIATION])
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, 1,
                   "layer 1 is scaling and the only layer; a network needs at least one of another kind");
  return CHAINRULE_OK;
}

static void choose_default(chainrule_initializer *initializer, chainrule_initializer_kind kind)
{
  if (initializer->kind == CHAINRULE_INITIALIZER_DEFAULT) initializer->kind = kind;
}

/* The bytes of a field's value. */
static size_t field_size(const cr_field *field)
{
  switch (field->type) {
  case CR_FIELD_SIZE: return sizeof(size_t);
  case CR_FIELD_REAL: return sizeof(double);
  case CR_FIELD_ACTIVATION: return sizeof(chainrule_activation);
  case CR_FIELD_BIAS: return sizeof(bool);
  case CR_FIELD_INITIALIZER: return sizeof(chainrule_initializer);
  }
  return 0;
}

/* The description with the members that its kind has, and defaults filled in; all others are 0. */
static chainrule_layer complete(const chainrule_layer *given, size_t out)
{
  const cr_kind *kind = cr_kinds[given->kind];
  chainrule_layer spec = {.kind = given->kind};
  if (kind->calls_out)
    spec.function = given->function, spec.derivative = given->derivative, spec.context = given->context;
  for (const cr_field *field = kind->fields; field && field->name; field++) {
    void *member = (char *)&spec + field->offset;
    memcpy(member, (const char *)given + field->offset, field_size(field));
    if (field->type == CR_FIELD_REAL && *(double *)member == 0) *(double *)member = field->usual;
  }
  if (kind->arrays[CHAINRULE_WEIGHTS]) {
    choose_default(&spec.weights, cr_usual_initializer(spec.activation));
    choose_default(&spec.bias, CHAINRULE_INITIALIZER_ZEROS);
  }
  spec.units = out;
  return spec;
}

/* n rounded up to a multiple of `unit`. */
static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* Addresses that differ by a multiple of this fall into the same set of an L1 cache. */
enum { SAME_SET = 4096 };

/* Scalars from a row of z, a and δ to the next: an odd number of cache lines, so that the elements of a
 * column do not all fall into the same few sets of a cache. */
static size_t row_stride(const chainrule_network *network, size_t padded)
{
  const size_t line = CR_ALIGNMENT / cr_scalar_size(network->scalar);
  const size_t lines = round_up(padded, line) / line;
  return lines > 4 && lines % 2 == 0 ? (lines + 1) * line : lines * line;
}

/* Places `count` scalars at the end of the arena; false if an offset overflows. */
static bool place(size_t *size, size_t count, size_t *at)
{
  *at = *size;
  return cr_add(*size, count, size);
}

/* Plans the sizes and offsets of every layer's parameters; false if one overflows. */
static bool plan_layers(chainrule_network *network, const chainrule_network_description *description)
{
  const size_t lanes = network->kernels->vector / cr_scalar_size(network->scalar);
  const size_t line = CR_ALIGNMENT / cr_scalar_size(network->scalar);
  size_t in = network->inputs, bytes;
  network->input_stride = row_stride(network, round_up(network->inputs, lanes > 0 ? 2 * lanes : line));
  network->pads_input = network->inputs % (SAME_SET / cr_scalar_size(network->scalar)) == 0;
  for (size_t l = 0; l < network->layer_count; l++) {
    const chainrule_layer *given = &description->layers[l];
    cr_layer *layer = &network->layers[l];
    const size_t out = cr_described_units(given, in), panel = lanes > 0 ? 2 * lanes : round_up(out, line);
    *layer = (cr_layer){
        .kind = cr_kinds[given->kind],
        .spec = complete(given, out),
        .in = in,
        .out = out,
        .panel = panel,
        .padded = round_up(out, panel),
    };
    layer->stride = row_stride(network, layer->padded);
    network->calls_out |= layer->kind->calls_out;

    size_t weights;
    if (!cr_multiply(layer->in, layer->padded, &weights)) return false;
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      const size_t count = cr_parameter_size(layer, (chainrule_parameter)parameter);
      if (count == 0) continue;
      network->parameter_count += count;
      if (!place(&network->arena_size, parameter == CHAINRULE_WEIGHTS ? weights : layer->padded,
                 &layer->at[parameter]))
        return false;
    }
    if (layer->stride > network->widest) network->widest = layer->stride;
    const bool first = l == 0 && !layer->kind->any_stride;
    const bool joins = cr_joins(layer) && cr_joined(layer, l) == SIZE_MAX;
    network->pads_input |= first || joins;
    in = layer->out;
  }
  return cr_multiply(network->arena_size, cr_scalar_size(network->scalar), &bytes);
}

/* Plans statistics and other arrays, which follow after all parameters; false if an offset overflows. */
static bool plan_statistics(chainrule_network *network)
{
  size_t end = network->arena_size, bytes;
  for (size_t l = 0; l < network->layer_count; l++) {
    cr_layer *layer = &network->layers[l];
    for (int array = CHAINRULE_MEAN; array < CR_ARRAY_COUNT; array++)
      if (layer->kind->arrays[array] &&
          !place(&end, layer->kind->arrays[array] * layer->padded, &layer->at[array]))
        return false;
  }
  network->statistics_size = end - network->arena_size;
  return cr_multiply(end, cr_scalar_size(network->scalar), &bytes);
}

static chainrule_status create(const chainrule_network_description *description, const cr_kernel_set *kernels,
                               chainrule_network **result, chainrule_error *error)
{
  const size_t count = description->layer_count;
  chainrule_network *network = calloc(1, sizeof *network);
  if (!network) return cr_out_of_memory(error, "a network", sizeof *network);
  network->scalar = description->scalar;
  network->kernels = kernels;
  network->inputs = description->inputs;
  network->layer_count = count;
  network->layers = calloc(count, sizeof *network->layers);
  network->predicting = calloc(count + 1, sizeof *network->predicting);
  if (!network->layers || !network->predicting) {
    chainrule_network_free(network);
    return cr_out_of_memory(error, "the plan",
                            count * sizeof *network->layers + (count + 1) * sizeof *network->predicting);
  }
  if (!plan_layers(network, description) || !plan_statistics(network)) {
    chainrule_network_free(network);
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, 0,
                   "the network's parameters need more bytes than can be addressed; expected smaller layers");
  }
  network->predicting_size = cr_plan_places(network, CR_PREDICTION, network->predicting);
  network->standardized = network->predicting_size;
  if (cr_scales_targets(network)) network->predicting_size += network->layers[count - 1].out;
  network->parameters = cr_allocate(cr_arena_end(network), cr_scalar_size(network->scalar));
  if (!network->parameters) {
    size_t bytes = cr_arena_end(network) * cr_scalar_size(network->scalar);
    chainrule_network_free(network);
    return cr_out_of_memory(error, "the parameters", bytes);
  }
  cr_clear_statistics(network);
  *result = network;
  return CHAINRULE_OK;
}

enum { LEAST_LAYER = offsetof(chainrule_layer, rate) };

/* Reads a description.  Layers of an older header, which are shorter, are copied to *wide, which the caller
 * frees. */
static chainrule_status read_description(const chainrule_network_description *given,
                                         chainrule_network_description *description, chainrule_layer **wide,
                                         chainrule_error *error)
{
  *description = (chainrule_network_description){0};
  chainrule_status status = cr_read_sized("description", description, sizeof *description,
                                          offsetof(chainrule_network_description, kernel_set), given, error);
  const size_t size = description->layer_size, count = description->layer_count;
  if (!status)
    status = cr_check_size("description.layer_size", size, LEAST_LAYER, sizeof(chainrule_layer), error);
  if (status || size == sizeof(chainrule_layer) || !description->layers || count > most_layers) return status;
  chainrule_layer *layers = calloc(count, sizeof *layers);
  if (!layers) return cr_out_of_memory(error, "the layers", count * sizeof *layers);
  for (size_t l = 0; l < count; l++) memcpy(&layers[l], (const char *)description->layers + l * size, size);
  description->layers = *wide = layers;
  return CHAINRULE_OK;
}

static chainrule_status create_described(const chainrule_network_description *given,
                                         chainrule_network **network, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  *network = NULL;
  chainrule_network_description description;
  chainrule_layer *wide = NULL;
  const cr_kernel_set *kernels;
  chainrule_status status = read_description(given, &description, &wide, error);
  if (!status) status = check_description(&description, error);
  if (!status) status = cr_select_kernels(description.kernel_set, &kernels, error);
  if (!status) status = create(&description, kernels, network, error);
  free(wide);
  return status;
}

chainrule_status chainrule_network_create(const chainrule_network_description *description,
                                          chainrule_network **network, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, create_described(description, network, error));
}

static chainrule_status copy_network(const chainrule_network *network, chainrule_network **copy,
                                     chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!copy) return cr_null(error, "copy");
  *copy = NULL;
  chainrule_layer *layers = calloc(network->layer_count, sizeof *layers);
  if (!layers) return cr_out_of_memory(error, "a copy", network->layer_count * sizeof *layers);
  for (size_t l = 0; l < network->layer_count; l++)
    chainrule_network_layer(network, l, &layers[l], sizeof *layers, NULL);

  chainrule_network *made = NULL;
  chainrule_status status =
      create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, network->scalar,
                                              network->inputs, network->layer_count, layers, NULL},
             network->kernels, &made, error);
  free(layers);
  if (status) return status;
  memcpy(made->parameters, network->parameters, cr_arena_end(network) * cr_scalar_size(network->scalar));
  status = cr_copy_labels(network, made, error);
  if (status) return chainrule_network_free(made), status;
  *copy = made;
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_copy(const chainrule_network *network, chainrule_network **copy,
                                        chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, copy_network(network, copy, error));
}

void chainrule_network_free(chainrule_network *network)
{
  if (!network) return;
  cr_free_labels(network);
  free(network->parameters);
  free(network->predicting);
  free(network->layers);
  free(network);
}

/* ---- Properties ---------------------------------------------------------------------------------- */

chainrule_scalar chainrule_network_scalar(const chainrule_network *network) { return network->scalar; }
size_t chainrule_network_inputs(const chainrule_network *network) { return network->inputs; }
size_t chainrule_network_layer_count(const chainrule_network *network) { return network->layer_count; }
size_t chainrule_network_parameter_count(const chainrule_network *network)
{
  return network->parameter_count;
}
const char *chainrule_network_kernel_set(const chainrule_network *network) { return network->kernels->name; }

size_t chainrule_network_outputs(const chainrule_network *network)
{
  return network->layers[network->layer_count - 1].out;
}

chainrule_status cr_check_index(const chainrule_network *network, size_t l, chainrule_error *error)
{
  if (l < network->layer_count) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "no layer has index %zu; the network has layers 0 to %zu", l, network->layer_count - 1);
}

chainrule_status chainrule_network_layer(const chainrule_network *network, size_t index,
                                         chainrule_layer *layer, size_t layer_size, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!layer) return cr_null(error, "layer");
  chainrule_status status = cr_check_size("layer_size", layer_size, LEAST_LAYER, sizeof *layer, error);
  if (!status) status = cr_check_index(network, index, error);
  if (status) return status;
  memcpy(layer, &network->layers[index].spec, layer_size);
  return CHAINRULE_OK;
}

chainrule_status cr_check_scalar(const chainrule_network *network, chainrule_scalar scalar,
                                 chainrule_error *error)
{
  if (network->scalar == scalar) return CHAINRULE_OK;
  bool wide = network->scalar == CHAINRULE_FLOAT64;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "the network is float%s; call the function that ends in _%s", wide ? "64" : "32",
                 wide ? "f64" : "f32");
}
