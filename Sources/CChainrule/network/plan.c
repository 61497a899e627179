/* From a description to a validated plan: sizes, offsets, and one arena for all parameters. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* CBLAS, which GSL calls, counts in int. */
static const size_t most_units = 2147483647;
static const size_t most_layers = CR_MOST_LAYERS;

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

static chainrule_status check_dense(const chainrule_layer *layer, size_t number, chainrule_error *error)
{
  if (layer->units == 0 || layer->units > most_units)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu has %zu units; expected 1 to %zu",
                   number, layer->units, most_units);
  chainrule_status status = check_initializer(layer->weights, number, "weights", error);
  return status ? status : check_initializer(layer->bias, number, "bias", error);
}

static chainrule_status check_numbers(const chainrule_layer *layer, size_t number, chainrule_error *error)
{
  const chainrule_layer_kind kind = layer->kind;
  const bool batch = kind == CHAINRULE_LAYER_BATCH_NORM, norm = batch || kind == CHAINRULE_LAYER_LAYER_NORM;
  const struct {
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {"rate", "0 or more, and less than 1",
       layer->rate, kind != CHAINRULE_LAYER_DROPOUT || (layer->rate >= 0 && layer->rate < 1)},
      {"epsilon", "a finite number above 0",
       layer->epsilon, !norm || (layer->epsilon >= 0 && isfinite(layer->epsilon))},
      {"momentum", "above 0, and at most 1",
       layer->momentum, !batch || (layer->momentum >= 0 && layer->momentum <= 1)},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu, %s: %s must be %s; got %s", number,
                     chainrule_layer_name(kind), checks[i].name, checks[i].expected,
                     cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  return CHAINRULE_OK;
}

/* units of the layer's inputs; those of the network where l is SIZE_MAX */
static size_t units_of(const chainrule_network_description *description, size_t l)
{
  while (l != SIZE_MAX && description->layers[l].kind != CHAINRULE_LAYER_DENSE) l--;
  return l == SIZE_MAX ? description->inputs : description->layers[l].units;
}

static chainrule_status check_layer(const chainrule_network_description *description, size_t l,
                                    chainrule_error *error)
{
  const chainrule_layer *layer = &description->layers[l];
  const size_t number = l + 1, units = units_of(description, l);
  if ((size_t)layer->kind >= CHAINRULE_LAYER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu: kind %d is not in the catalogue", number,
                   (int)layer->kind);
  if ((size_t)layer->activation >= CHAINRULE_ACTIVATION_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu: activation %d is not in the catalogue", number, (int)layer->activation);
  if (layer->activation == CHAINRULE_ACTIVATION_SOFTMAX && number < description->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu is softmax, which only the last layer (%zu) may be", number,
                   description->layer_count);
  if (layer->kind == CHAINRULE_LAYER_DENSE) return check_dense(layer, number, error);
  if (layer->units != 0 && layer->units != units)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, %s: %zu units; it has as many as come in, %zu", number,
                   chainrule_layer_name(layer->kind), layer->units, units);
  if (layer->kind == CHAINRULE_LAYER_CUSTOM && !(layer->function && layer->derivative))
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "layer %zu, custom: function and derivative must be there",
                   number);
  if (layer->kind != CHAINRULE_LAYER_RESIDUAL) return check_numbers(layer, number, error);
  if (layer->span < 1 || layer->span > l)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, residual: span is %zu; expected 1 to %zu, the layers before it", number,
                   layer->span, l);
  const size_t joined = units_of(description, l - layer->span - 1);
  if (joined != units)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "layer %zu, residual: %zu values come out of its block of %zu layers, %zu go in; they have to be as "
                   "many",
                   number, units, layer->span, joined);
  return CHAINRULE_OK;
}

static chainrule_status check_description(const chainrule_network_description *description, chainrule_error *error)
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
  if (description->layer_count == 1 && description->layers[0].kind == CHAINRULE_LAYER_SCALING)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, 1,
                   "layer 1 is scaling and the only layer; a network needs at least one of another kind");
  return CHAINRULE_OK;
}

static void choose_default(chainrule_initializer *initializer, chainrule_initializer_kind kind)
{
  if (initializer->kind == CHAINRULE_INITIALIZER_DEFAULT) initializer->kind = kind;
}

/* n, rounded up to a multiple of `unit`. */
static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* Bytes after which a first cache has its next line for the same set. */
enum { SAME_SET = 4096 };

/* Scalars from a row of z, a and δ to the next: an odd number of cache lines, so that the rows of a column do
 * not fall into the same few sets of a cache. */
static size_t row_stride(const chainrule_network *network, size_t padded)
{
  const size_t line = CR_ALIGNMENT / cr_scalar_size(network->scalar);
  const size_t lines = round_up(padded, line) / line;
  return lines > 4 && lines % 2 == 0 ? (lines + 1) * line : lines * line;
}

/* Gives a layer's parameter a place of `count` scalars; false where an offset overflows. */
static bool place(size_t *size, size_t count, size_t *at)
{
  *at = *size;
  return cr_add(*size, count, size);
}

/* Sizes and offsets of every layer's parameters; false where one overflows. */
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
    const size_t out = given->kind == CHAINRULE_LAYER_DENSE ? given->units : in;
    const size_t panel = lanes > 0 ? 2 * lanes : round_up(out, line);
    *layer = (cr_layer){
        .kind = given->kind,
        .in = in,
        .out = out,
        .panel = panel,
        .padded = round_up(out, panel),
        .has_bias = given->kind == CHAINRULE_LAYER_DENSE && !given->no_bias,
        .rate = given->rate,
        .epsilon = given->epsilon > 0 ? given->epsilon : 1e-5,
        .momentum = given->momentum > 0 ? given->momentum : 0.1,
        .span = given->span,
        .function = given->function,
        .derivative = given->derivative,
        .context = given->context,
        .draw_weights = given->weights,
        .draw_bias = given->bias,
    };
    if (cr_has_activation(layer)) layer->activation = given->activation;
    network->calls_out |= layer->kind == CHAINRULE_LAYER_CUSTOM;
    layer->stride = row_stride(network, layer->padded);
    choose_default(&layer->draw_weights, cr_usual_initializer(layer->activation));
    choose_default(&layer->draw_bias, CHAINRULE_INITIALIZER_ZEROS);

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
    const bool first = l == 0 && layer->kind != CHAINRULE_LAYER_DENSE;
    const bool joins = layer->kind == CHAINRULE_LAYER_RESIDUAL && cr_joined(layer, l) == SIZE_MAX;
    network->pads_input |= first || joins;
    in = layer->out;
  }
  return cr_multiply(network->arena_size, cr_scalar_size(network->scalar), &bytes);
}

/* Statistics lie behind the parameters. */
static bool plan_statistics(chainrule_network *network)
{
  size_t end = network->arena_size, bytes;
  for (size_t l = 0; l < network->layer_count; l++) {
    cr_layer *layer = &network->layers[l];
    const bool batch = layer->kind == CHAINRULE_LAYER_BATCH_NORM;
    for (int parameter = CHAINRULE_MEAN; parameter < CHAINRULE_PARAMETER_COUNT; parameter++)
      if (cr_parameter_size(layer, (chainrule_parameter)parameter) &&
          !place(&end, layer->padded, &layer->at[parameter]))
        return false;
    const bool scaling = layer->kind == CHAINRULE_LAYER_SCALING;
    if ((batch || scaling) && !place(&end, layer->padded, &layer->inverse)) return false;
    if (scaling && !place(&end, 2 * layer->padded, &layer->rest)) return false;
    if (batch && !place(&end, 2 * layer->padded, &layer->sums)) return false;
  }
  network->statistics_size = end - network->arena_size;
  return cr_multiply(end, cr_scalar_size(network->scalar), &bytes);
}

/* Prediction needs two buffers in turn, and one for each a that a residual layer adds later; the last layer keeps z
 * beside a, for the losses fused with it.  A dropout hands on what it is given. */
static void plan_predicting(chainrule_network *network)
{
  const size_t last = network->layer_count - 1;
  size_t size = 2 * network->widest;
  network->predicting[0] = (cr_place){.a = size};
  size += network->pads_input ? network->input_stride : 0;
  for (size_t l = 0; l <= last; l++) {
    const cr_layer *layer = &network->layers[l];
    cr_place *place = &network->predicting[l + 1];
    size_t end = l; /* the last of the dropouts behind it, which all hand on this a */
    while (end < last && network->layers[end + 1].kind == CHAINRULE_LAYER_DROPOUT) end++;
    bool joined = false;
    for (size_t r = l + 1; r <= last; r++) {
      if (network->layers[r].kind != CHAINRULE_LAYER_RESIDUAL) continue;
      const size_t at = cr_joined(&network->layers[r], r); /* SIZE_MAX: the input, which has its own place */
      joined |= l <= at && at <= end;
    }
    *place = (cr_place){.a = joined ? size : place[-1].a == 0 ? network->widest : 0};
    if (layer->kind == CHAINRULE_LAYER_DROPOUT) place->a = place[-1].a;
    else if (joined) size += layer->stride;
    place->z = layer->kind == CHAINRULE_LAYER_ACTIVATION ? place[-1].a : place->a;
    if (l == last && layer->kind == CHAINRULE_LAYER_DENSE) place->z = size, size += layer->stride;
    if (layer->kind == CHAINRULE_LAYER_LAYER_NORM)
      place->inverse = size, size += CR_ALIGNMENT / cr_scalar_size(network->scalar);
  }
  network->standardized = size;
  if (cr_scales_targets(network)) size += network->layers[last].out;
  network->predicting_size = size;
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
                   "the network's parameters need more bytes than a size can count");
  }
  plan_predicting(network);
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

/* The description with layers of this library's size: an older header's are copied to *wide, which the caller frees. */
static chainrule_status read_description(const chainrule_network_description *given,
                                         chainrule_network_description *description, chainrule_layer **wide,
                                         chainrule_error *error)
{
  *description = (chainrule_network_description){0};
  chainrule_status status =
      cr_read_sized("description", description, sizeof *description,
                    offsetof(chainrule_network_description, kernel_set), given, error);
  const size_t size = description->layer_size, count = description->layer_count;
  if (!status) status = cr_check_size("description.layer_size", size, LEAST_LAYER, sizeof(chainrule_layer), error);
  if (status || size == sizeof(chainrule_layer) || !description->layers || count > most_layers) return status;
  chainrule_layer *layers = calloc(count, sizeof *layers);
  if (!layers) return cr_out_of_memory(error, "the layers", count * sizeof *layers);
  for (size_t l = 0; l < count; l++) memcpy(&layers[l], (const char *)description->layers + l * size, size);
  description->layers = *wide = layers;
  return CHAINRULE_OK;
}

static chainrule_status create_described(const chainrule_network_description *given, chainrule_network **network,
                                         chainrule_error *error)
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
      create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, network->scalar, network->inputs,
                                              network->layer_count, layers, NULL},
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

/* ---- What it is -------------------------------------------------------------------------------- */

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
  const cr_layer *made = &network->layers[index];
  const chainrule_layer found = {.units = made->out,
                             .activation = made->activation,
                             .no_bias = made->kind == CHAINRULE_LAYER_DENSE && !made->has_bias,
                             .weights = made->draw_weights,
                             .bias = made->draw_bias,
                             .kind = made->kind,
                             .rate = made->rate,
                             .epsilon = made->epsilon,
                             .momentum = made->momentum,
                             .span = made->span,
                             .function = made->function,
                             .derivative = made->derivative,
                             .context = made->context};
  memcpy(layer, &found, layer_size);
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
