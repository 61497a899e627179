/* A network for prediction alone: layers that are affine by columns go into the products next to them, identities go away.
 *
 * In prediction a batchNorm is a = s (x − m) + t, s = γ / √(σ² + ε), m = μ, t = β, by columns (its kind's `column`).  After a
 * product without activation, and before any, it is one with that product:
 *
 *     s (W x + b − m) + t = (s W) x + (s (b − m) + t)        W (s (x − m) + t) + b = (W s) x + (b + W (t − s m))
 */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A layer on its way: its description and, in float64, its parameters. */
typedef struct part {
  chainrule_layer layer;
  size_t in, out;
  double *values[CHAINRULE_PARAMETER_COUNT];
} part;

typedef struct parts {
  part *list;
  size_t count;
} parts;

static const cr_kind *kind_of(const part *p) { return cr_kinds[p->layer.kind]; }

/* A product of weights: dense. */
static bool is_product(const part *p) { return kind_of(p)->z == CR_Z_PRODUCT; }

static void free_part(part *p)
{
  for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) free(p->values[parameter]);
}

static void free_parts(parts *parts)
{
  for (size_t l = 0; l < parts->count; l++) free_part(&parts->list[l]);
  free(parts->list);
}

static chainrule_status take_apart(const chainrule_network *network, parts *parts, chainrule_error *error)
{
  parts->list = calloc(network->layer_count, sizeof *parts->list);
  if (!parts->list) return cr_out_of_memory(error, "the layers", network->layer_count * sizeof *parts->list);
  parts->count = network->layer_count;
  for (size_t l = 0; l < parts->count; l++) {
    part *p = &parts->list[l];
    chainrule_network_layer(network, l, &p->layer, sizeof(chainrule_layer), NULL);
    p->in = network->layers[l].in;
    p->out = network->layers[l].out;
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) {
      const size_t count = cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter);
      if (count == 0) continue;
      double *values = p->values[parameter] = malloc(count * sizeof *values);
      void *read = malloc(count * cr_scalar_size(network->scalar));
      if (!values || !read)
        return free(read), cr_out_of_memory(error, "a layer's parameters", count * sizeof *values);
      cr_read(network, network->parameters, l, (chainrule_parameter)parameter, read);
      for (size_t k = 0; k < count; k++) values[k] = cr_value(network->scalar, read, k);
      free(read);
    }
  }
  return CHAINRULE_OK;
}

/* A residual layer adds this layer's a. */
static bool is_joined(const parts *parts, size_t l)
{
  for (size_t r = l + 1; r < parts->count; r++)
    if (parts->list[r].layer.span > 0 && r - parts->list[r].layer.span - 1 == l) return true;
  return false;
}

/* It is all that a residual layer goes round. */
static bool is_alone(const parts *parts, size_t l)
{
  return l + 1 < parts->count && parts->list[l + 1].layer.span == 1;
}

/* What added its a adds that of the layer before; other spans get shorter where they reach across. */
static void take_out(parts *parts, size_t l)
{
  for (size_t r = l + 1; r < parts->count; r++) {
    chainrule_layer *layer = &parts->list[r].layer;
    if (layer->span > 0 && r - layer->span <= l) layer->span--;
  }
  free_part(&parts->list[l]);
  memmove(&parts->list[l], &parts->list[l + 1], (parts->count - l - 1) * sizeof *parts->list);
  parts->count--;
}

/* An identity without which a scaling would be the only layer, or the last, and so scale the targets. */
static bool guards_scaling(const parts *parts, size_t l)
{
  const size_t count = parts->count;
  if (l + 1 == count) return l > 0 && parts->list[l - 1].values[CHAINRULE_DEVIATION];
  return count == 2 && parts->list[1 - l].values[CHAINRULE_DEVIATION];
}

/* A layer into the product before it. */
static void fold_back(const part *norm, part *dense)
{
  for (size_t j = 0; j < dense->out; j++) {
    double s, m, t, *b = &dense->values[CHAINRULE_BIAS][j];
    kind_of(norm)->column(&norm->layer, norm->values, j, &s, &m, &t);
    for (size_t i = 0; i < dense->in; i++) dense->values[CHAINRULE_WEIGHTS][j * dense->in + i] *= s;
    *b = s * (*b - m) + t;
  }
}

/* A layer into the product after it. */
static void fold_forth(const part *norm, part *dense)
{
  for (size_t i = 0; i < dense->in; i++) {
    double s, m, t;
    kind_of(norm)->column(&norm->layer, norm->values, i, &s, &m, &t);
    for (size_t j = 0; j < dense->out; j++) {
      double *w = &dense->values[CHAINRULE_WEIGHTS][j * dense->in + i];
      dense->values[CHAINRULE_BIAS][j] += *w * (t - s * m);
      *w *= s;
    }
  }
}

/* A bias to fold into, 0 where there was none. */
static chainrule_status need_bias(part *dense, chainrule_error *error)
{
  if (!dense->values[CHAINRULE_BIAS]) {
    dense->values[CHAINRULE_BIAS] = calloc(dense->out, sizeof(double));
    dense->layer.no_bias = false;
  }
  return dense->values[CHAINRULE_BIAS] ? CHAINRULE_OK
                                       : cr_out_of_memory(error, "a bias", dense->out * sizeof(double));
}

static chainrule_status fold(parts *parts, chainrule_error *error)
{
  chainrule_status status = CHAINRULE_OK;
  for (size_t l = 0; l < parts->count && !status;) {
    part *list = parts->list;
    const cr_kind *kind = kind_of(&list[l]);
    const bool behind = l > 0 && is_product(&list[l - 1]) &&
                        list[l - 1].layer.activation == CHAINRULE_ACTIVATION_IDENTITY &&
                        !is_joined(parts, l - 1);
    const bool before = l + 1 < parts->count && is_product(&list[l + 1]) && !is_joined(parts, l);
    const bool guards = kind->is_identity && guards_scaling(parts, l);
    if (parts->count == 1 || guards || is_alone(parts, l)) {
      l++;
    } else if (kind->is_identity) {
      take_out(parts, l);
    } else if (kind->column && (behind || before)) {
      part *dense = &list[behind ? l - 1 : l + 1];
      status = need_bias(dense, error);
      if (status) break;
      (behind ? fold_back : fold_forth)(&list[l], dense);
      take_out(parts, l);
    } else {
      l++;
    }
  }
  return status;
}

/* A parameter, rounded where the network is float32. */
static chainrule_status set_values(chainrule_network *network, size_t l, chainrule_parameter parameter,
                                   const double *values, chainrule_error *error)
{
  const size_t count = cr_parameter_size(&network->layers[l], parameter);
  if (count == 0) return CHAINRULE_OK;
  if (network->scalar == CHAINRULE_FLOAT64)
    return chainrule_network_set_parameter_f64(network, l, parameter, values, count, error);
  float *rounded = malloc(count * sizeof *rounded);
  if (!rounded) return cr_out_of_memory(error, "a layer's parameters", count * sizeof *rounded);
  for (size_t k = 0; k < count; k++) rounded[k] = (float)values[k];
  chainrule_status status = chainrule_network_set_parameter_f32(network, l, parameter, rounded, count, error);
  free(rounded);
  return status;
}

static chainrule_status put_together(const chainrule_network *network, const parts *parts,
                                     chainrule_network **folded, chainrule_error *error)
{
  chainrule_layer *layers = calloc(parts->count, sizeof *layers);
  if (!layers) return cr_out_of_memory(error, "the layers", parts->count * sizeof *layers);
  for (size_t l = 0; l < parts->count; l++) layers[l] = parts->list[l].layer;
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, network->scalar, network->inputs,
                                       parts->count, layers, network->kernels->name},
      folded, error);
  free(layers);
  for (size_t l = 0; l < parts->count && !status; l++)
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT && !status; parameter++)
      status = set_values(*folded, l, (chainrule_parameter)parameter, parts->list[l].values[parameter], error);
  return status ? status : cr_copy_labels(network, *folded, error);
}

static chainrule_status fold_network(const chainrule_network *network, chainrule_network **folded,
                                     chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!folded) return cr_null(error, "folded");
  *folded = NULL;
  parts parts = {0};
  chainrule_status status = take_apart(network, &parts, error);
  if (!status) status = fold(&parts, error);
  if (!status) status = put_together(network, &parts, folded, error);
  free_parts(&parts);
  if (status) {
    chainrule_network_free(*folded);
    *folded = NULL;
  }
  return status;
}

chainrule_status chainrule_network_fold(const chainrule_network *network, chainrule_network **folded,
                                        chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, fold_network(network, folded, error));
}
