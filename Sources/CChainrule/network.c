/* From a description to a validated plan: sizes, offsets, and one arena for all parameters. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* CBLAS, which GSL calls, counts in int. */
static const size_t most_units = 2147483647;
static const size_t most_layers = CR_MOST_LAYERS;

/* ---- Facts of the catalogue ------------------------------------------------------------------- */

enum { DERIVE_FROM_A, DERIVE_FROM_Z };
enum { RANGE_REAL, RANGE_POSITIVE };
enum { TARGET_ANY, TARGET_UNIT, TARGET_NOT_NEGATIVE, TARGET_SIGN };

/* What a loss needs of the output layer: an activation, or one of these. */
enum { OUTPUT_ANY = -1, OUTPUT_POSITIVE = -2 };
enum { OUTPUT_SIGMOID = CHAINRULE_ACTIVATION_SIGMOID, OUTPUT_SOFTMAX = CHAINRULE_ACTIVATION_SOFTMAX };

static const struct {
  int from, range;
  chainrule_initializer_kind initializer;
} activation_facts[] = {
#define FACTS(ID, name, from, range, initializer, formula)                                                   \
  {DERIVE_FROM_##from, RANGE_##range, CHAINRULE_INITIALIZER_##initializer},
    CHAINRULE_ACTIVATIONS(FACTS)
#undef FACTS
};

static const struct {
  int output, target;
} loss_facts[] = {
#define FACTS(ID, name, output, target, formula) {OUTPUT_##output, TARGET_##target},
    CHAINRULE_LOSSES(FACTS)
#undef FACTS
};

bool cr_derives_from_z(chainrule_activation activation)
{
  return activation_facts[activation].from == DERIVE_FROM_Z;
}

bool cr_is_fused(chainrule_loss loss) { return loss_facts[loss].output >= 0; }

/* ---- Memory ------------------------------------------------------------------------------------ */

bool cr_multiply(size_t a, size_t b, size_t *product)
{
  *product = a * b;
  return a == 0 || b <= SIZE_MAX / a;
}

bool cr_add(size_t a, size_t b, size_t *sum)
{
  *sum = a + b;
  return a <= SIZE_MAX - b;
}

void *cr_allocate(size_t count, size_t size)
{
  size_t bytes;
  if (!cr_multiply(count ? count : 1, size, &bytes) || bytes > PTRDIFF_MAX - CR_ALIGNMENT) return NULL;
  bytes = (bytes + CR_ALIGNMENT - 1) / CR_ALIGNMENT * CR_ALIGNMENT;
  void *memory = aligned_alloc(CR_ALIGNMENT, bytes);
  return memory ? memset(memory, 0, bytes) : NULL;
}

/* ---- The plan ---------------------------------------------------------------------------------- */

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
static size_t units_of(const chainrule_description *description, size_t l)
{
  while (l != SIZE_MAX && description->layers[l].kind != CHAINRULE_LAYER_DENSE) l--;
  return l == SIZE_MAX ? description->inputs : description->layers[l].units;
}

static chainrule_status check_layer(const chainrule_description *description, size_t l,
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

static chainrule_status check_description(const chainrule_description *description, chainrule_error *error)
{
  if (!description) return cr_null(error, "description");
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
static bool plan_layers(chainrule_network *network, const chainrule_description *description)
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
    choose_default(&layer->draw_weights, activation_facts[layer->activation].initializer);
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

static void put_value(chainrule_network *network, size_t at, double value)
{
  if (network->scalar == CHAINRULE_FLOAT32)
    ((float *)network->parameters)[at] = (float)value;
  else
    ((double *)network->parameters)[at] = value;
}

static void fill(chainrule_network *network, const cr_layer *layer, chainrule_parameter parameter, double value)
{
  for (size_t k = 0; k < cr_parameter_size(layer, parameter); k++)
    put_value(network, layer->at[parameter] + k, value);
}

static bool is_normal(chainrule_scalar scalar, double value)
{
  return scalar == CHAINRULE_FLOAT32 ? isnormal((float)value) : isnormal(value);
}

/* Where 1 / deviation overflows, or is too small for full precision, it is two factors: a power of 2, by which x − mean keeps
 * its bits, in `inverse`, and the rest.  All neurons of the layer then have two. */
static void split_inverse(chainrule_network *network, const cr_layer *layer)
{
  const size_t deviation = layer->at[CHAINRULE_DEVIATION];
  bool splits = false;
  for (size_t k = 0; k < layer->out; k++)
    splits |= !is_normal(network->scalar, cr_value(network->scalar, network->parameters, layer->inverse + k));
  for (size_t k = 0; k < layer->out; k++) {
    if (splits) {
      const int half = network->scalar == CHAINRULE_FLOAT32 ? FLT_MAX_EXP / 2 : DBL_MAX_EXP / 2;
      const double value = cr_value(network->scalar, network->parameters, deviation + k);
      const double power = ldexp(1, is_normal(network->scalar, 1 / value) ? 0 : value < 1 ? half : -half);
      put_value(network, layer->inverse + k, power);
      put_value(network, layer->rest + k, 1 / (value * power));
    } else {
      put_value(network, layer->rest + k, 0);
    }
  }
}

/* 1 / √(variance + ε) or 1 / deviation of a layer's statistics, as the kernels have it of a batch's: in the network's
 * own precision, each operation rounded. */
static void invert(chainrule_network *network, const cr_layer *layer)
{
  const bool batch = layer->kind == CHAINRULE_LAYER_BATCH_NORM;
  if (!batch && layer->kind != CHAINRULE_LAYER_SCALING) return;
  const size_t from = layer->at[batch ? CHAINRULE_VARIANCE : CHAINRULE_DEVIATION], to = layer->inverse;
  for (size_t k = 0; k < layer->out; k++) {
    if (network->scalar == CHAINRULE_FLOAT32) {
      float *values = network->parameters;
      const float sum = values[from + k] + (float)layer->epsilon;
      values[to + k] = 1 / (batch ? sqrtf(sum) : values[from + k]);
    } else {
      double *values = network->parameters;
      const double sum = values[from + k] + layer->epsilon;
      values[to + k] = 1 / (batch ? sqrt(sum) : values[from + k]);
    }
  }
  if (!batch) split_inverse(network, layer);
}

static chainrule_status create(const chainrule_description *description, const cr_kernel_set *kernels,
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
  for (size_t l = 0; l < count; l++) {
    const cr_layer *layer = &network->layers[l];
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    fill(network, layer, CHAINRULE_DEVIATION, 1);
    invert(network, layer);
  }
  *result = network;
  return CHAINRULE_OK;
}

static chainrule_status create_described(const chainrule_description *description,
                                         chainrule_network **network, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  *network = NULL;
  const cr_kernel_set *kernels;
  chainrule_status status = check_description(description, error);
  if (!status) status = cr_select_kernels(description->kernel_set, &kernels, error);
  return status ? status : create(description, kernels, network, error);
}

chainrule_status chainrule_network_create(const chainrule_description *description,
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
  for (size_t l = 0; l < network->layer_count; l++) chainrule_network_layer(network, l, &layers[l], NULL);

  chainrule_network *made = NULL;
  chainrule_status status =
      create(&(chainrule_description){network->scalar, network->inputs, network->layer_count, layers, NULL},
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

static void free_names(char **names, size_t count)
{
  for (size_t i = 0; names && i < count; i++) free(names[i]);
  free(names);
}

static size_t name_slots(const chainrule_network *network, chainrule_names which)
{
  return which == CHAINRULE_FEATURE_NAMES ? network->inputs : chainrule_network_outputs(network);
}

void chainrule_network_free(chainrule_network *network)
{
  if (!network) return;
  for (int which = 0; which < 3; which++)
    if (network->names[which]) free_names(network->names[which], name_slots(network, (chainrule_names)which));
  free(network->metadata);
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

static chainrule_status check_index(const chainrule_network *network, size_t l, chainrule_error *error)
{
  if (l < network->layer_count) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "no layer has index %zu; the network has layers 0 to %zu", l, network->layer_count - 1);
}

chainrule_status chainrule_network_layer(const chainrule_network *network, size_t index,
                                         chainrule_layer *layer, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!layer) return cr_null(error, "layer");
  chainrule_status status = check_index(network, index, error);
  if (status) return status;
  const cr_layer *made = &network->layers[index];
  *layer = (chainrule_layer){.units = made->out,
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

/* ---- Parameters -------------------------------------------------------------------------------- */

/* The number of values of a parameter of a layer of that kind. */
static size_t size_of(chainrule_layer_kind kind, size_t in, size_t out, bool has_bias, chainrule_parameter parameter)
{
  const bool batch = kind == CHAINRULE_LAYER_BATCH_NORM, norm = batch || kind == CHAINRULE_LAYER_LAYER_NORM;
  const bool scaling = kind == CHAINRULE_LAYER_SCALING;
  switch (parameter) {
  case CHAINRULE_WEIGHTS: return kind == CHAINRULE_LAYER_DENSE ? in * out : 0;
  case CHAINRULE_BIAS: return kind == CHAINRULE_LAYER_DENSE && has_bias ? out : 0;
  case CHAINRULE_GAMMA:
  case CHAINRULE_BETA: return norm ? out : 0;
  case CHAINRULE_MEAN: return batch || scaling ? out : 0;
  case CHAINRULE_VARIANCE: return batch ? out : 0;
  case CHAINRULE_DEVIATION: return scaling ? out : 0;
  }
  return 0;
}

size_t cr_parameter_size(const cr_layer *layer, chainrule_parameter parameter)
{
  return size_of(layer->kind, layer->in, layer->out, layer->has_bias, parameter);
}

size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter)
{
  const size_t out = layer->kind == CHAINRULE_LAYER_DENSE ? layer->units : inputs;
  return size_of(layer->kind, inputs, out, !layer->no_bias, parameter);
}

static const char *const parameter_names[] = {
    [CHAINRULE_WEIGHTS] = "weights", [CHAINRULE_BIAS] = "bias", [CHAINRULE_GAMMA] = "gamma",
    [CHAINRULE_BETA] = "beta",       [CHAINRULE_MEAN] = "mean", [CHAINRULE_VARIANCE] = "variance",
    [CHAINRULE_DEVIATION] = "deviation"};

const char *chainrule_parameter_name(chainrule_parameter parameter)
{
  return (size_t)parameter < CR_COUNT(parameter_names) ? parameter_names[parameter] : NULL;
}

size_t chainrule_network_parameter_size(const chainrule_network *network, size_t layer,
                                        chainrule_parameter parameter)
{
  return network && layer < network->layer_count ? cr_parameter_size(&network->layers[layer], parameter) : 0;
}

/* Where value k of a dense parameter, [out][in] or [out], lies in an arena. */
static size_t arena_offset(const cr_layer *layer, chainrule_parameter parameter, size_t k)
{
  if (parameter != CHAINRULE_WEIGHTS) return layer->at[parameter] + k;
  return layer->at[parameter] + cr_weight_offset(layer->panel, layer->in, k / layer->in, k % layer->in);
}

void cr_read(const chainrule_network *network, const void *arena, size_t l, chainrule_parameter parameter,
             void *values)
{
  const cr_layer *layer = &network->layers[l];
  const size_t size = cr_scalar_size(network->scalar), count = cr_parameter_size(layer, parameter);
  for (size_t k = 0; k < count; k++)
    memcpy((char *)values + k * size, (const char *)arena + arena_offset(layer, parameter, k) * size, size);
}

void cr_read_all(const chainrule_network *network, const void *arena, void *values)
{
  for (size_t l = 0, done = 0; l < network->layer_count; l++)
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      cr_read(network, arena, l, (chainrule_parameter)parameter, cr_at(network->scalar, values, done));
      done += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
    }
}

void cr_write(const chainrule_network *network, void *arena, size_t l, chainrule_parameter parameter, const void *values)
{
  const cr_layer *layer = &network->layers[l];
  const size_t size = cr_scalar_size(network->scalar), count = cr_parameter_size(layer, parameter);
  for (size_t k = 0; k < count; k++)
    memcpy((char *)arena + arena_offset(layer, parameter, k) * size, (const char *)values + k * size, size);
}

static void write_parameter(chainrule_network *network, size_t l, chainrule_parameter parameter, const void *values)
{
  cr_write(network, network->parameters, l, parameter, values);
  if (parameter >= CHAINRULE_VARIANCE) invert(network, &network->layers[l]);
}

static chainrule_status check_parameter(const chainrule_network *network, chainrule_scalar scalar, size_t l,
                                        chainrule_parameter parameter, const void *values, size_t count,
                                        chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!values) return cr_null(error, "values");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = check_index(network, l, error);
  if (status) return status;
  if ((size_t)parameter >= CHAINRULE_PARAMETER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "parameter %d is not in the catalogue",
                   (int)parameter);
  const size_t expected = cr_parameter_size(&network->layers[l], parameter);
  if (expected == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu has no %s", l + 1,
                   parameter_names[parameter]);
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1, "layer %zu, %s: expected %zu values, got %zu",
                   l + 1, parameter_names[parameter], expected, count);
  return CHAINRULE_OK;
}

static chainrule_status get(const chainrule_network *network, chainrule_scalar scalar, size_t l,
                            chainrule_parameter parameter, void *values, size_t count, chainrule_error *error)
{
  chainrule_status status = check_parameter(network, scalar, l, parameter, values, count, error);
  if (!status) cr_read(network, network->parameters, l, parameter, values);
  return status;
}

/* Every value is one from low to high, within what the scalar has of finite numbers. */
static bool all_within(const chainrule_network *network, const void *values, size_t count, double low, double high)
{
  if (network->scalar == CHAINRULE_FLOAT64) return network->kernels->f64->within(count, values, low, high);
  return network->kernels->f32->within(count, values, (float)fmax(low, -FLT_MAX), (float)fmin(high, FLT_MAX));
}

bool cr_all_finite(const chainrule_network *network, const void *values, size_t count)
{
  return all_within(network, values, count, -DBL_MAX, DBL_MAX);
}

/* Many values, which a team shares out: what takes them out of memory is more than one core. */
typedef struct scan {
  const chainrule_network *network;
  const void *values;
  size_t count, members;
  double low, high;
  atomic_bool failed;
} scan;

static void scan_job(void *context, size_t member)
{
  scan *s = context;
  const size_t first = s->count / s->members * member;
  const size_t end = member + 1 == s->members ? s->count : s->count / s->members * (member + 1);
  const void *values = cr_at(s->network->scalar, s->values, first);
  if (!all_within(s->network, values, end - first, s->low, s->high)) s->failed = true;
}

static bool scan_values(const chainrule_network *network, cr_team *team, const void *values, size_t count, double low,
                        double high)
{
  const size_t members = count * cr_scalar_size(network->scalar) > CR_KEPT ? cr_team_ready(team) : 1;
  scan s = {.network = network, .values = values, .count = count, .members = members, .low = low, .high = high};
  cr_team_run(team, members, scan_job, &s);
  return !s.failed;
}

static const char *word(double value) { return isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity"; }

/* The index of the first value that is not finite. */
static size_t first_not_finite(chainrule_scalar scalar, const void *values, size_t count)
{
  size_t i = 0;
  while (i < count && isfinite(cr_value(scalar, values, i))) i++;
  return i;
}

static chainrule_status set(chainrule_network *network, chainrule_scalar scalar, size_t l,
                            chainrule_parameter parameter, const void *values, size_t count,
                            chainrule_error *error)
{
  chainrule_status status = check_parameter(network, scalar, l, parameter, values, count, error);
  if (status) return status;
  if (!cr_all_finite(network, values, count)) {
    size_t k = first_not_finite(scalar, values, count);
    return cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: value %zu is %s", l + 1,
                   parameter_names[parameter], k + 1, word(cr_value(scalar, values, k)));
  }
  for (size_t k = 0; k < count && parameter >= CHAINRULE_VARIANCE; k++) {
    const double value = cr_value(scalar, values, k);
    const bool variance = parameter == CHAINRULE_VARIANCE;
    if (!(variance ? value >= 0 : value > 0))
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu, %s: value %zu is %g; expected %s", l + 1,
                     parameter_names[parameter], k + 1, value, variance ? "0 or more" : "above 0");
  }
  write_parameter(network, l, parameter, values);
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_get_f32(const chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, float *values, size_t count,
                                           chainrule_error *error)
{
  return get(network, CHAINRULE_FLOAT32, layer, parameter, values, count, error);
}

chainrule_status chainrule_network_get_f64(const chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, double *values, size_t count,
                                           chainrule_error *error)
{
  return get(network, CHAINRULE_FLOAT64, layer, parameter, values, count, error);
}

chainrule_status chainrule_network_set_f32(chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, const float *values, size_t count,
                                           chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set(network, CHAINRULE_FLOAT32, layer, parameter, values, count, error));
}

chainrule_status chainrule_network_set_f64(chainrule_network *network, size_t layer,
                                           chainrule_parameter parameter, const double *values, size_t count,
                                           chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set(network, CHAINRULE_FLOAT64, layer, parameter, values, count, error));
}

/* ---- All parameters at once -------------------------------------------------------------------- */

static chainrule_status check_all(const chainrule_network *network, chainrule_scalar scalar, const void *values,
                                  size_t count, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!values && network->parameter_count > 0) return cr_null(error, "values");
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (status || count == network->parameter_count) return status;
  return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "parameters: expected %zu values, got %zu",
                 network->parameter_count, count);
}

void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer, chainrule_parameter *parameter,
                       size_t *index)
{
  *index = k;
  for (*layer = 0; *layer < network->layer_count; ++*layer)
    for (int p = CHAINRULE_WEIGHTS; p <= CHAINRULE_BETA; p++) {
      const size_t count = cr_parameter_size(&network->layers[*layer], (chainrule_parameter)p);
      *parameter = (chainrule_parameter)p;
      if (*index < count) return;
      *index -= count;
    }
}

static chainrule_status get_all(const chainrule_network *network, chainrule_scalar scalar, void *values,
                                size_t count, chainrule_error *error)
{
  chainrule_status status = check_all(network, scalar, values, count, error);
  if (!status) cr_read_all(network, network->parameters, values);
  return status;
}

static chainrule_status set_all(chainrule_network *network, chainrule_scalar scalar, const void *values,
                                size_t count, chainrule_error *error)
{
  chainrule_status status = check_all(network, scalar, values, count, error);
  if (status) return status;
  const size_t bad = first_not_finite(scalar, values, count);
  if (bad < count) {
    size_t l, index;
    chainrule_parameter parameter;
    cr_name_parameter(network, bad, &l, &parameter, &index);
    return cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: value %zu is %s", l + 1,
                   parameter_names[parameter], index + 1, word(cr_value(scalar, values, bad)));
  }
  for (size_t l = 0, done = 0; l < network->layer_count; l++)
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BETA; parameter++) {
      write_parameter(network, l, (chainrule_parameter)parameter, cr_at(scalar, values, done));
      done += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
    }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_get_parameters_f32(const chainrule_network *network, float *values,
                                                      size_t count, chainrule_error *error)
{
  return get_all(network, CHAINRULE_FLOAT32, values, count, error);
}

chainrule_status chainrule_network_get_parameters_f64(const chainrule_network *network, double *values,
                                                      size_t count, chainrule_error *error)
{
  return get_all(network, CHAINRULE_FLOAT64, values, count, error);
}

chainrule_status chainrule_network_set_parameters_f32(chainrule_network *network, const float *values,
                                                      size_t count, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set_all(network, CHAINRULE_FLOAT32, values, count, error));
}

chainrule_status chainrule_network_set_parameters_f64(chainrule_network *network, const double *values,
                                                      size_t count, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set_all(network, CHAINRULE_FLOAT64, values, count, error));
}

static chainrule_status initialize(chainrule_network *network, uint64_t seed, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  cr_random random = cr_random_stream(seed, CR_STREAM_PARAMETERS);
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    for (int parameter = CHAINRULE_WEIGHTS; parameter <= CHAINRULE_BIAS; parameter++) {
      const size_t count = cr_parameter_size(layer, (chainrule_parameter)parameter);
      for (size_t k = 0; k < count; k++)
        put_value(network, arena_offset(layer, (chainrule_parameter)parameter, k),
                  cr_draw(&random, parameter == CHAINRULE_WEIGHTS ? layer->draw_weights : layer->draw_bias,
                          layer->in, layer->out));
    }
    if (layer->kind == CHAINRULE_LAYER_SCALING) continue;
    fill(network, layer, CHAINRULE_GAMMA, 1);
    fill(network, layer, CHAINRULE_BETA, 0);
    fill(network, layer, CHAINRULE_MEAN, 0);
    fill(network, layer, CHAINRULE_VARIANCE, 1);
    invert(network, layer);
  }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_initialize(chainrule_network *network, uint64_t seed,
                                              chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, initialize(network, seed, error));
}

/* ---- Names ------------------------------------------------------------------------------------- */

chainrule_status chainrule_network_set_names(chainrule_network *network, chainrule_names which,
                                             const char *const *names, size_t count, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if ((size_t)which > CHAINRULE_CLASS_LABELS)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "names %d are neither of features, targets nor classes", (int)which);
  const size_t slots = name_slots(network, which);
  if (count != 0 && count != slots)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "names of %s: expected %zu, got %zu",
                   which == CHAINRULE_FEATURE_NAMES  ? "features"
                   : which == CHAINRULE_TARGET_NAMES ? "targets"
                                                     : "classes",
                   slots, count);
  if (count != 0 && !names) return cr_null(error, "names");

  char **copies = NULL;
  if (count != 0) {
    copies = calloc(count, sizeof *copies);
    if (!copies) return cr_out_of_memory(error, "names", count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
      if (names[i] && (copies[i] = strdup(names[i]))) continue;
      free_names(copies, count);
      return names[i] ? cr_out_of_memory(error, "a name", strlen(names[i]) + 1) : cr_null(error, "a name");
    }
  }
  free_names(network->names[which], slots);
  network->names[which] = copies;
  return CHAINRULE_OK;
}

size_t chainrule_network_name_count(const chainrule_network *network, chainrule_names which)
{
  return (size_t)which <= CHAINRULE_CLASS_LABELS && network->names[which] ? name_slots(network, which) : 0;
}

const char *chainrule_network_name(const chainrule_network *network, chainrule_names which, size_t index)
{
  return index < chainrule_network_name_count(network, which) ? network->names[which][index] : NULL;
}

/* ---- Metadata ---------------------------------------------------------------------------------- */

chainrule_status chainrule_network_set_metadata(chainrule_network *network, const char *text, size_t length,
                                                chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!text) length = 0;
  if (length > CR_LARGEST_TEXT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "metadata: %zu bytes; expected at most %d", length,
                   CR_LARGEST_TEXT);
  for (size_t i = 0, bytes; i < length; i += bytes) {
    bytes = cr_utf8_length(text + i, length - i);
    if (bytes == 0)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "metadata: byte %zu, 0x%02x, is not UTF-8",
                     i + 1, (unsigned char)text[i]);
    if (text[i] == 0)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                     "metadata: byte %zu is a null character, which a text may not contain", i + 1);
  }
  char *copy = NULL;
  if (length > 0) {
    copy = malloc(length + 1);
    if (!copy) return cr_out_of_memory(error, "the metadata", length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
  }
  free(network->metadata);
  network->metadata = copy;
  return CHAINRULE_OK;
}

const char *chainrule_network_metadata(const chainrule_network *network) { return network->metadata; }

chainrule_status cr_copy_labels(const chainrule_network *network, chainrule_network *to, chainrule_error *error)
{
  chainrule_status status = CHAINRULE_OK;
  for (int which = 0; which < 3 && !status; which++)
    status = chainrule_network_set_names(to, (chainrule_names)which, (const char *const *)network->names[which],
                                         chainrule_network_name_count(network, (chainrule_names)which), error);
  const char *text = network->metadata;
  return status ? status : chainrule_network_set_metadata(to, text, text ? strlen(text) : 0, error);
}

/* ---- Checks of data and losses ------------------------------------------------------------------ */

chainrule_status cr_check_target_scaling(const chainrule_network *network, chainrule_error *error)
{
  if (!cr_scales_targets(network)) return CHAINRULE_OK;
  const size_t number = network->layer_count;
  const chainrule_activation activation = network->layers[number - 2].activation;
  if (activation != CHAINRULE_ACTIVATION_SIGMOID && activation != CHAINRULE_ACTIVATION_SOFTMAX) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                 "layer %zu scales the targets, but the output layer %zu is %s: a probability has no unit; leave the "
                 "scaling out, or take another output activation",
                 number, number - 1, chainrule_activation_name(activation));
}

double cr_target(const chainrule_network *network, const void *y, size_t i)
{
  const double value = cr_value(network->scalar, y, i);
  if (!cr_scales_targets(network)) return value;
  const cr_layer *scaling = &network->layers[network->layer_count - 1];
  const size_t column = i % scaling->out;
  const double deviation = cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_DEVIATION] + column);
  const double mean = cr_value(network->scalar, network->parameters, scaling->at[CHAINRULE_MEAN] + column);
  const double standardized = value * deviation + mean;
  return network->scalar == CHAINRULE_FLOAT32 ? (double)(float)standardized : standardized;
}

void cr_standardize(const chainrule_network *network, const void *y, size_t rows, void *to)
{
  const size_t count = rows * chainrule_network_outputs(network);
  for (size_t i = 0; i < count; i++) {
    const double value = cr_target(network, y, i);
    if (network->scalar == CHAINRULE_FLOAT32)
      ((float *)to)[i] = (float)value;
    else
      ((double *)to)[i] = value;
  }
}

chainrule_status cr_check_loss(const chainrule_network *network, chainrule_loss loss, chainrule_error *error)
{
  if ((size_t)loss >= CHAINRULE_LOSS_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "loss %d is not in the catalogue", (int)loss);
  chainrule_status status = cr_check_target_scaling(network, error);
  if (status) return status;
  const size_t number = network->layer_count - cr_scales_targets(network);
  const chainrule_activation activation = network->layers[number - 1].activation;
  const int output = loss_facts[loss].output;
  if (output == OUTPUT_POSITIVE && activation_facts[activation].range != RANGE_POSITIVE)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number,
                   "%s needs outputs above 0 (softplus, sigmoid or softmax); layer %zu is %s",
                   chainrule_loss_name(loss), number, chainrule_activation_name(activation));
  if (output >= 0 && activation != (chainrule_activation)output)
    return cr_fail(error, CHAINRULE_INVALID_NETWORK, number, "%s needs a %s output layer; layer %zu is %s",
                   chainrule_loss_name(loss), chainrule_activation_name((chainrule_activation)output), number,
                   chainrule_activation_name(activation));
  return CHAINRULE_OK;
}

chainrule_status cr_check_rows(const chainrule_network *network, size_t rows, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(network);
  const size_t width = network->inputs > outputs ? network->inputs : outputs;
  if (rows <= PTRDIFF_MAX / (width * cr_scalar_size(network->scalar))) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is %zu, more than memory holds", rows);
}

chainrule_status cr_check_finite(const chainrule_network *network, cr_team *team, const char *what,
                                 const void *values, size_t rows, size_t columns, chainrule_error *error)
{
  if (scan_values(network, team, values, rows * columns, -DBL_MAX, DBL_MAX)) return CHAINRULE_OK;
  size_t i = first_not_finite(network->scalar, values, rows * columns);
  return cr_fail(error, CHAINRULE_NOT_FINITE, 0, "%s, row %zu, column %zu: %s", what, i / columns + 1,
                 i % columns + 1, word(cr_value(network->scalar, values, i)));
}

/* Targets are finite, and, in the unit of the loss, in its domain. */
static chainrule_status check_targets(const chainrule_network *network, cr_team *team, chainrule_loss loss,
                                      const void *y, size_t rows, chainrule_error *error)
{
  static const struct {
    double low, high;
    const char *expected;
  } domains[] = {[TARGET_ANY] = {-DBL_MAX, DBL_MAX, "finite"},
                 [TARGET_UNIT] = {0, 1, "from 0 to 1"},
                 [TARGET_NOT_NEGATIVE] = {0, DBL_MAX, "0 or more"},
                 [TARGET_SIGN] = {-1, 1, "-1, 0 or 1 (0 counts as -1)"}};
  const int domain = loss_facts[loss].target;
  const size_t outputs = chainrule_network_outputs(network);
  const bool scaled = cr_scales_targets(network);
  const double low = domains[domain].low, high = domains[domain].high;
  const bool within = !scaled && scan_values(network, team, y, rows * outputs, low, high);
  if (within && domain != TARGET_SIGN) return CHAINRULE_OK;
  chainrule_status status = within ? CHAINRULE_OK : cr_check_finite(network, team, "targets", y, rows, outputs, error);
  for (size_t i = 0; i < rows * outputs && !status; i++) {
    const double value = cr_target(network, y, i);
    const bool good = value >= low && value <= high;
    if (good && (domain != TARGET_SIGN || value == 0 || fabs(value) == 1)) continue;
    if (scaled)
      status = cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                       "targets, row %zu, column %zu: %g is %g in standardised units; %s needs targets %s",
                       i / outputs + 1, i % outputs + 1, cr_value(network->scalar, y, i), value,
                       chainrule_loss_name(loss), domains[domain].expected);
    else
      status = cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "targets, row %zu, column %zu: %s needs targets %s; got %s",
                       i / outputs + 1, i % outputs + 1, chainrule_loss_name(loss), domains[domain].expected,
                       cr_number(value, (char[CR_NUMBER]){0}));
  }
  return status;
}

chainrule_status cr_check_data(const chainrule_network *network, cr_team *team, chainrule_loss loss, const void *x,
                               const void *y, const void *sample_weights, size_t rows, chainrule_error *error)
{
  if (!x) return cr_null(error, "x");
  if (!y) return cr_null(error, "y");
  chainrule_status status = cr_check_rows(network, rows, error);
  if (!status) status = cr_check_finite(network, team, "inputs", x, rows, network->inputs, error);
  if (!status) status = check_targets(network, team, loss, y, rows, error);
  if (status || !sample_weights) return status;
  status = cr_check_finite(network, team, "sample weights", sample_weights, rows, 1, error);
  for (size_t r = 0; r < rows && !status; r++)
    if (cr_value(network->scalar, sample_weights, r) < 0)
      status = cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "sample weights, row %zu: negative", r + 1);
  return status;
}

chainrule_status cr_check_parameters(const chainrule_network *network, uint64_t step, chainrule_error *error)
{
  if (cr_all_finite(network, network->parameters, cr_arena_end(network))) return CHAINRULE_OK;
  for (size_t l = 0; l < network->layer_count; l++) {
    const cr_layer *layer = &network->layers[l];
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) {
      const size_t count = cr_parameter_size(layer, (chainrule_parameter)parameter);
      for (size_t k = 0; k < count; k++) {
        double value = cr_value(network->scalar, network->parameters,
                                arena_offset(layer, (chainrule_parameter)parameter, k));
        if (isfinite(value)) continue;
        cr_fail(error, CHAINRULE_NOT_FINITE, l + 1, "layer %zu, %s: %s after step %llu", l + 1,
                parameter_names[parameter], word(value), (unsigned long long)step);
        if (error) error->step = step;
        return CHAINRULE_NOT_FINITE;
      }
    }
  }
  return CHAINRULE_OK;
}

/* ---- Prediction -------------------------------------------------------------------------------- */

size_t chainrule_network_scratch_size(const chainrule_network *network, size_t rows)
{
  size_t bytes;
  if (!cr_multiply(rows ? rows : 1, network->predicting_size * cr_scalar_size(network->scalar), &bytes) ||
      !cr_add(bytes, CR_ALIGNMENT - 1, &bytes))
    return SIZE_MAX;
  return bytes;
}

/* A workspace in the caller's scratch, for as many rows at once as fit. */
static chainrule_status plan_scratch(const chainrule_network *network, void *scratch, size_t size,
                                     cr_workspace *work, chainrule_error *error)
{
  if (!scratch) return cr_null(error, "scratch");
  const size_t least = chainrule_network_scratch_size(network, 1);
  if (size < least)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "scratch: expected at least %zu bytes, got %zu", least,
                   size);
  const size_t offset = (CR_ALIGNMENT - (uintptr_t)scratch % CR_ALIGNMENT) % CR_ALIGNMENT;
  *work = (cr_workspace){
      .places = network->predicting,
      .capacity = (size - offset) / (network->predicting_size * cr_scalar_size(network->scalar)),
      .buffers = (char *)scratch + offset,
  };
  if (work->capacity > CR_STRIP) work->capacity = CR_STRIP;
  return CHAINRULE_OK;
}

static chainrule_status predict(const chainrule_network *network, chainrule_scalar scalar, const void *x,
                                size_t rows, void *outputs, void *scratch, size_t scratch_size,
                                chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!x) return cr_null(error, "x");
  if (!outputs) return cr_null(error, "outputs");
  cr_workspace work;
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = plan_scratch(network, scratch, scratch_size, &work, error);
  if (!status) status = cr_check_rows(network, rows, error);
  if (!status) status = cr_check_finite(network, NULL, "inputs", x, rows, network->inputs, error);
  if (status) return status;

  const cr_layer *last = &network->layers[network->layer_count - 1];
  const void *a = cr_at(scalar, work.buffers, work.places[network->layer_count].a * work.capacity);
  for (size_t start = 0, n; start < rows; start += n) {
    n = rows - start < work.capacity ? rows - start : work.capacity;
    const cr_batch batch = {.rows = n, .x = cr_at(scalar, x, start * network->inputs)};
    status = cr_forward(network, &work, &batch, 0, network->layer_count, error);
    if (status) return status;
    for (size_t r = 0; r < n; r++)
      memcpy(cr_at(scalar, outputs, (start + r) * last->out), cr_at(scalar, a, r * last->stride),
             last->out * cr_scalar_size(scalar));
  }
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_predict_f32(const chainrule_network *network, const float *x, size_t rows,
                                               float *outputs, void *scratch, size_t scratch_size,
                                               chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, predict(network, CHAINRULE_FLOAT32, x, rows, outputs, scratch, scratch_size, error));
}

chainrule_status chainrule_network_predict_f64(const chainrule_network *network, const double *x, size_t rows,
                                               double *outputs, void *scratch, size_t scratch_size,
                                               chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, predict(network, CHAINRULE_FLOAT64, x, rows, outputs, scratch, scratch_size, error));
}

static chainrule_status mean_loss(const chainrule_network *network, chainrule_scalar scalar,
                                  chainrule_loss loss, const void *x, const void *y,
                                  const void *sample_weights, size_t rows, void *scratch, size_t scratch_size,
                                  double *value, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!value) return cr_null(error, "value");
  if (rows == 0) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; a loss needs at least 1");
  cr_workspace work;
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (!status) status = cr_check_loss(network, loss, error);
  if (!status) status = plan_scratch(network, scratch, scratch_size, &work, error);
  if (!status) status = cr_check_data(network, NULL, loss, x, y, sample_weights, rows, error);
  if (status) return status;

  const double total = cr_total_weight(network, &(cr_batch){.rows = rows, .sample_weights = sample_weights});
  chainrule_network view;
  const chainrule_network *trained = cr_trained(network, &view);
  void *standardized = trained == network ? NULL : cr_at(scalar, work.buffers, network->standardized * work.capacity);
  double sum = 0;
  for (size_t start = 0, n; start < rows; start += n) {
    n = rows - start < work.capacity ? rows - start : work.capacity;
    cr_batch batch = {
        .rows = n,
        .x = cr_at(scalar, x, start * network->inputs),
        .y = cr_at(scalar, y, start * chainrule_network_outputs(network)),
        .sample_weights = sample_weights ? cr_at(scalar, sample_weights, start) : NULL,
    };
    if (standardized) {
      cr_standardize(network, batch.y, n, standardized);
      batch.y = standardized;
    }
    status = cr_forward(trained, &work, &batch, 0, trained->layer_count, error);
    if (status) return status;
    double losses[CR_STRIP];
    cr_loss(trained, &work, &batch, loss, 0, false, losses);
    for (size_t r = 0; r < n; r++) sum += losses[r];
  }
  *value = total > 0 ? sum / total : 0;
  return CHAINRULE_OK;
}

chainrule_status chainrule_network_loss_f32(const chainrule_network *network, chainrule_loss loss,
                                            const float *x, const float *y, const float *sample_weights,
                                            size_t rows, void *scratch, size_t scratch_size, double *value,
                                            chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, mean_loss(network, CHAINRULE_FLOAT32, loss, x, y, sample_weights, rows, scratch,
                                 scratch_size, value, error));
}

chainrule_status chainrule_network_loss_f64(const chainrule_network *network, chainrule_loss loss,
                                            const double *x, const double *y, const double *sample_weights,
                                            size_t rows, void *scratch, size_t scratch_size, double *value,
                                            chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, mean_loss(network, CHAINRULE_FLOAT64, loss, x, y, sample_weights, rows, scratch,
                                 scratch_size, value, error));
}
