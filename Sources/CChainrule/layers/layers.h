/* The kinds of layer: each is one struct, cr_kind, in one file of this folder.
 *
 * No other folder compares kinds.  The planner reads the properties at the top of the struct: which numbers
 * describe such a layer, which arrays it has, and where z lies.  Backpropagation calls the functions at its
 * end (layers_tmpl.h), which exist for both scalar types.  cr_layer is one layer of a network after planning.
 * This folder uses only the kernels.
 */
#ifndef CR_LAYERS_H
#define CR_LAYERS_H

#include <stddef.h>

#include "../base.h"
#include "../kernels/kernels.h"

enum {
  CR_MOST_UNITS = 2147483647, /* GSL calls CBLAS, whose sizes are int */
  CR_SLICE = 8,               /* a thread's slice of rows starts at a multiple of this */
};

/* Arrays that a layer has in addition to its parameters and statistics, [units], with the same padding. */
enum {
  CR_INVERSE = CHAINRULE_PARAMETER_COUNT, /* 1 / √(variance + ε), or 1 / deviation */
  CR_REST, /* scaling: the second factors of 1 / deviation, then zeros; see scaling_tmpl.h */
  CR_SUMS, /* batchNorm, within a step: ∂L/∂γ, then ∂L/∂β */
  CR_ARRAY_COUNT
};

/* What a layer's z is, and where it lies. */
typedef enum cr_z {
  CR_Z_NONE,       /* the layer has no z: it lies where a does */
  CR_Z_PRODUCT,    /* a = f(z), z = W x + b: lies where a does, unless f′ or a fused loss reads it */
  CR_Z_INPUT,      /* a = f(z), z = x: lies where x does */
  CR_Z_NORMALIZED, /* a = γ z + β: has its own place in training, because backward reads it */
} cr_z;

/* One number of a layer's description, a member of chainrule_layer. */
typedef struct cr_field {
  enum { CR_FIELD_SIZE, CR_FIELD_REAL, CR_FIELD_ACTIVATION, CR_FIELD_BIAS, CR_FIELD_INITIALIZER } type;
  const char *name;     /* in model files and in messages; NULL ends the list */
  size_t offset;        /* in chainrule_layer */
  const char *expected; /* REAL: the range, in words */
  double low, high;     /* REAL: the range */
  double usual;         /* REAL: the default, which a description writes as 0; 0: there is no default */
} cr_field;

typedef struct cr_layer cr_layer;

/* What a forward or backward pass needs in training only. */
typedef struct cr_pass {
  void *moments;       /* statistics of the batch, laid out as the network's statistics */
  const double *rates; /* the learning rate factor of each layer; 0: the layer is frozen; NULL: none is */
  size_t rows;         /* of the whole batch */
  uint64_t key;        /* of dropout; every step has its own */
} cr_pass;

/* A block of a layer's weights: up to CR_CHUNK inputs by CR_BLOCK_PANELS panels, beginning at this input and
 * this neuron.  The blocks of the first inputs include the bias.  A layer without weights that has other
 * parameters is one block. */
typedef struct cr_block {
  size_t layer, input, neuron;
} cr_block;
enum { CR_BLOCK_PANELS = 4 };

/* How a gradient updates its parameters: the optimizer's rule, its numbers, its state. */
typedef struct cr_descent {
  chainrule_optimizer_kind rule;
  const cr_update *update;
  void *state; /* `states` parameter-shaped arrays */
  size_t states;
  bool clips; /* gradients are first multiplied by `scale`, then kept within ±bound */
  double scale, bound;
} cr_descent;

#include "../kernels/real_f32.h"
#include "layers_tmpl.h"
#include "../kernels/real_f64.h"
#include "layers_tmpl.h"

typedef struct cr_kind {
  const cr_field *fields; /* NULL: there are none */
  /* The number of arrays [out] of each sort; weights are 1, for [out][in]. */
  unsigned char arrays[CR_ARRAY_COUNT];
  cr_z z;
  bool has_units;       /* the description has the number of units; other kinds have one unit an input */
  bool any_stride;      /* x may have any stride; other kinds read rows in whole vectors */
  bool is_identity;     /* in prediction, a = x */
  bool has_row_inverse; /* forward writes one number a row, which backward reads */
  bool has_moments;     /* in training it needs the mean and variance of all rows before its forward pass */
  bool calls_out;       /* it calls user-supplied functions, which no file can hold */
  /* Checks layer `l` of the description, beyond the ranges of its fields. */
  chainrule_status (*check)(const chainrule_network_description *description, size_t l, chainrule_error *error);
  /* In prediction the layer maps value k to s (x − mean) + t, with its parameters `values` in double; fold.c
   * uses this.  NULL: it does something else. */
  void (*column)(const chainrule_layer *layer, double *const *values, size_t k, double *s, double *mean,
                 double *t);
  /* The scalars of scratch that backward and descend need for this number of rows and of threads; false if
   * the number overflows.  NULL: none. */
  bool (*scratch)(const cr_layer *layer, size_t rows, size_t members, size_t *scalars);
  cr_layer_functions_f32 f32;
  cr_layer_functions_f64 f64;
} cr_kind;

/* All kinds, by chainrule_layer_kind. */
extern const cr_kind *const cr_kinds[CHAINRULE_LAYER_COUNT];

/* A planned layer.  Offsets count scalars from the start of the network's parameters.  Gradients and each
 * array of optimizer state have the same layout.  Statistics and other arrays follow after all parameters. */
struct cr_layer {
  const cr_kind *kind;
  chainrule_layer spec; /* its description: the numbers of its kind, with defaults filled in */
  size_t in, out;
  size_t panel;              /* NR: the neurons of a micropanel of weights */
  size_t padded;             /* out, rounded up to whole panels */
  size_t stride;             /* from a row of this layer's z, a and δ to the next: at least padded */
  size_t at[CR_ARRAY_COUNT]; /* offsets; all but weights are of `padded` values */
};

/* The number of values of a layer's parameter; 0 if the layer does not have it. */
static inline size_t cr_parameter_size(const cr_layer *layer, chainrule_parameter parameter)
{
  if (!layer->kind->arrays[parameter] || (parameter == CHAINRULE_BIAS && layer->spec.no_bias)) return 0;
  return parameter == CHAINRULE_WEIGHTS ? layer->in * layer->out : layer->out;
}
/* The same for a layer that is described, but not planned, with this number of inputs. */
size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter);
/* The units of a described layer with this number of inputs. */
size_t cr_described_units(const chainrule_layer *layer, size_t inputs);
/* The units of layer l of the description; for l = SIZE_MAX, the network's inputs. */
size_t cr_units_after(const chainrule_network_description *description, size_t l);

/* The layer has weights. */
static inline bool cr_has_weights(const cr_layer *layer) { return layer->kind->arrays[CHAINRULE_WEIGHTS]; }
/* The layer has parameters to train.  (Tests/c/internal/kinds.c checks that a kind with parameters has this
 * function.) */
static inline bool cr_learns(const cr_layer *layer) { return layer->kind->f32.descend; }
/* a = f(W x + b) */
static inline bool cr_is_product(const cr_layer *layer) { return layer->kind->z == CR_Z_PRODUCT; }
/* The layer has an activation f, so that δ = ∂L/∂z = ∂L/∂a ⊙ f′(z). */
static inline bool cr_has_activation(const cr_layer *layer)
{
  return layer->kind->z == CR_Z_PRODUCT || layer->kind->z == CR_Z_INPUT;
}
/* The layer scales by deviations that are given, not learned. */
static inline bool cr_scales(const cr_layer *layer) { return layer->kind->arrays[CHAINRULE_DEVIATION]; }
/* The layer adds the a of an earlier layer, cr_joined; SIZE_MAX stands for the network's inputs. */
static inline bool cr_joins(const cr_layer *layer) { return layer->spec.span > 0; }
static inline size_t cr_joined(const cr_layer *layer, size_t l) { return l - layer->spec.span - 1; }
/* In this pass the layer uses the mean and variance of the batch. */
static inline bool cr_wants_moments(const cr_layer *layer, size_t l, const cr_pass *pass)
{
  return layer->kind->has_moments && pass && !(pass->rates && pass->rates[l] == 0);
}

#endif
