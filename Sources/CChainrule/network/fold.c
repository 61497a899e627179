/* Folding: makes a network for prediction only.  Layers that are affine in each column are folded into an
 * adjacent dense layer, and identities are removed.
 *
 * In prediction a batchNorm is a = s (x − m) + t in each column, with s = γ / √(σ² + ε), m = μ, t = β
 * (`column` of its kind).  It is folded into a dense layer without activation before it (left), or into any
 * dense layer after it (right):
 *
 *     s (W x + b − m) + t = (s W) x + (s (b − m) + t)        W (s (x − m) + t) + b = (W s) x + (b + W (t − s m))
 */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A layer while it is folded: its description and its parameters in double. */
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

/* The layer is dense. */
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

/* Copies the description and the parameters of every layer. */
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

/* A residual layer adds the a of layer l. */
static bool is_joined(const parts *parts, size_t l)
{
  for (size_t r = l + 1; r < parts->count; r++)
    if (parts->list[r].layer.span > 0 && r - parts->list[r].layer.span - 1 == l) return true;
  return false;
}

/* Layer l is a residual block by itself. */
static bool is_alone(const parts *parts, size_t l)
{
  return l + 1 < parts->count && parts->list[l + 1].layer.span == 1;
}

/* Removes layer l.  Residual blocks that contain it become shorter.  A block that begins right after it, and
 * so adds its a, then adds that of the layer before. */
static void remove_layer(parts *parts, size_t l)
{
  for (size_t r = l + 1; r < parts->count; r++) {
    chainrule_layer *layer = &parts->list[r].layer;
    if (layer->span > 0 && r - layer->span <= l) layer->span--;
  }
  free_part(&parts->list[l]);
  memmove(&parts->list[l], &parts->list[l + 1], (parts->count - l - 1) * sizeof *parts->list);
  parts->count--;
}

/* Identity l must stay: without it a scaling would be the only layer, or the last one, and so a target
 * scaling. */
static bool guards_scaling(const parts *parts, size_t l)
{
  const size_t count = parts->count;
  if (l + 1 == count) return l > 0 && parts->list[l - 1].values[CHAINRULE_DEVIATION];
  return count == 2 && parts->list[1 - l].values[CHAINRULE_DEVIATION];
}

/* W ← s W, b ← s (b − m) + t: folds a layer into the dense layer before it. */
static void fold_back(const part *norm, part *dense)
{
  for (size_t j = 0; j < dense->out; j++) {
    double s, m, t, *b = &dense->values[CHAINRULE_BIAS][j];
    kind_of(norm)->column(&norm->layer, norm->values, j, &s, &m, &t);
    for (size_t i = 0; i < dense->in; i++) dense->values[CHAINRULE_WEIGHTS][j * dense->in + i] *= s;
    *b = s * (*b - m) + t;
  }
}

/* b ← b + W (t − s m), W ← W s: folds a layer into the dense layer after it. */
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

/* Gives a dense layer without bias the bias 0. */
static chainrule_status ensure_bias(part *dense, chainrule_error *error)
{
  if (!dense->values[CHAINRULE_BIAS]) {
    dense->values[CHAINRULE_BIAS] = calloc(dense->out, sizeof(double));
    dense->layer.no_bias = false;
  }
  return dense->values[CHAINRULE_BIAS] ? CHAINRULE_OK
                                       : cr_out_of_memory(error, "a bias", dense->out * sizeof(double));
}

/* Folds or removes every layer that allows it. */
static chainrule_status fold(parts *parts, chainrule_error *error)
{
  chainrule_status status = CHAINRULE_OK;
  for (size_t l = 0; l < parts->count && !status;) {
    part *list = parts->list;
    const cr_kind *kind = kind_of(&list[l]);
    const bool after = l > 0 && is_product(&list[l - 1]) &&
                       list[l - 1].layer.activation == CHAINRULE_ACTIVATION_IDENTITY &&
                       !is_joined(parts, l - 1);
    const bool before = l + 1 < parts->count && is_product(&list[l + 1]) && !is_joined(parts, l);
    const bool guards = kind->is_identity && guards_scaling(parts, l);
    if (parts->count == 1 || guards || is_alone(parts, l)) {
      l++;
    } else if (kind->is_identity) {
      remove_layer(parts, l);
    } else if (kind->column && (after || before)) {
      part *dense = &list[after ? l - 1 : l + 1];
      status = ensure_bias(dense, error);
      if (status) break;
      (after ? fold_back : fold_forth)(&list[l], dense);
      remove_layer(parts, l);
    } else {
      l++;
    }
  }
  return status;
}

/* Sets a parameter, rounded if the network is float32. */
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

/* Makes the network of the layers that are left. */
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
