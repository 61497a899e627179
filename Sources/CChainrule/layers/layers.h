/* A layer as planned, and what a kind of layer says of itself.
 *
 * A kind is one struct, cr_kind, in one file of this folder; no other folder compares kinds.  The planner reads the facts
 * at its top: which numbers describe such a layer, which arrays it has, where z may lie.  Backpropagation calls the
 * functions at its end (layers_tmpl.h), once for each scalar type.
 */
#ifndef CR_LAYERS_H
#define CR_LAYERS_H

#include <stddef.h>

#include "../base.h"
#include "../kernels/kernels.h"

enum {
  CR_MOST_UNITS = 2147483647, /* CBLAS, which GSL calls, counts in int */
  CR_SLICE = 8,               /* rows of a member's slice start at multiples of this */
};

/* Arrays that a layer has besides its parameters and statistics, [units] and padded like these. */
enum {
  CR_INVERSE = CHAINRULE_PARAMETER_COUNT, /* 1 / √(variance + ε), or 1 / deviation */
  CR_REST, /* of a scaling: second factors of 1 / deviation, then zeros; see scaling_tmpl.h */
  CR_SUMS, /* of a batchNorm in a step: ∂L/∂γ, then ∂L/∂β */
  CR_ARRAY_COUNT
};

/* Where a layer's z lies. */
typedef enum cr_z {
  CR_Z_NONE,       /* nobody reads z: it is a */
  CR_Z_PRODUCT,    /* a = f(z), z = W x + b: with a, unless f′ or a fused loss reads it */
  CR_Z_INPUT,      /* a = f(x): z is x */
  CR_Z_NORMALIZED, /* the layer's own backward reads it */
} cr_z;

/* One number of a layer's description, a member of chainrule_layer. */
typedef struct cr_field {
  enum { CR_FIELD_SIZE, CR_FIELD_REAL, CR_FIELD_ACTIVATION, CR_FIELD_BIAS, CR_FIELD_INITIALIZER } type;
  const char *name;     /* in model files and in messages; NULL: behind the last */
  size_t offset;        /* in chainrule_layer */
  const char *expected; /* REAL: low to high, in words */
  double low, high;
  double usual; /* REAL: what 0 stands for; 0: for itself */
} cr_field;

typedef struct cr_layer cr_layer;

/* What a pass has in training besides what it has in prediction. */
typedef struct cr_pass {
  void *moments;       /* of the batch, in the place of the network's statistics */
  const double *rates; /* of layers, as in the trainer: a layer of rate 0 is frozen; NULL: none is */
  size_t rows;         /* of the whole batch */
  uint64_t key;        /* of dropout, another for each step */
} cr_pass;

/* A block of a layer's weights: CR_CHUNK inputs by CR_BLOCK_PANELS panels, from this input and this neuron on.  The bias goes
 * with the first inputs.  A layer that learns but has no weights is one block. */
typedef struct cr_block {
  size_t layer, input, neuron;
} cr_block;
enum { CR_BLOCK_PANELS = 4 };

/* How gradients become parameters: the optimizer's rule, its numbers, its state. */
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
  /* How many arrays of `out` values it has of each sort; weights count in rows, of `in` values. */
  unsigned char arrays[CR_ARRAY_COUNT];
  cr_z z;
  bool has_units;       /* the description says how many units; the others have as many as inputs */
  bool any_stride;      /* x may have any stride; the others read rows in whole vectors */
  bool is_identity;     /* in prediction, a = x */
  bool has_row_inverse; /* forward leaves a number for each row, which backward reads */
  bool has_moments;     /* in training it first needs a mean and a variance of all rows */
  bool calls_out;       /* it is a function of the caller's, which no file can hold */
  /* What the fields' ranges don't say; layer `l` of the description. */
  chainrule_status (*check)(const chainrule_network_description *description, size_t l, chainrule_error *error);
  /* Its effect in prediction on value k, s (x − mean) + t, given its parameters in double; NULL: another.  fold.c uses it. */
  void (*column)(const chainrule_layer *layer, double *const *values, size_t k, double *s, double *mean,
                 double *t);
  /* Scalars of scratch that backward and descend need for so many rows, shared by so many members; false where the number
   * overflows.  NULL: none. */
  bool (*scratch)(const cr_layer *layer, size_t rows, size_t members, size_t *scalars);
  cr_layer_functions_f32 f32;
  cr_layer_functions_f64 f64;
} cr_kind;

/* Of every kind in the catalogue. */
extern const cr_kind *const cr_kinds[CHAINRULE_LAYER_COUNT];

/* A layer as planned.  Offsets count scalars from the start of the parameters, in which those that are learned come first,
 * and so of their gradients and of each array of optimizer state; statistics and other arrays follow. */
struct cr_layer {
  const cr_kind *kind;
  chainrule_layer spec; /* its description: the numbers of its kind, each with its default filled in */
  size_t in, out;
  size_t panel;              /* neurons of a panel of weights */
  size_t padded;             /* out, rounded up to whole panels */
  size_t stride;             /* of a row of this layer's z, a and δ: at least padded */
  size_t at[CR_ARRAY_COUNT]; /* offsets; all but weights are of `padded` values */
};

/* The number of values of a layer's parameter, and of a layer of that description, given so many inputs. */
static inline size_t cr_parameter_size(const cr_layer *layer, chainrule_parameter parameter)
{
  if (!layer->kind->arrays[parameter] || (parameter == CHAINRULE_BIAS && layer->spec.no_bias)) return 0;
  return parameter == CHAINRULE_WEIGHTS ? layer->in * layer->out : layer->out;
}
size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter);
/* The units of a layer of that description, given so many inputs. */
size_t cr_described_units(const chainrule_layer *layer, size_t inputs);
/* The units that come out of layer l of the description; SIZE_MAX: of its input. */
size_t cr_units_after(const chainrule_network_description *description, size_t l);

/* It has weights, and so blocks of them. */
static inline bool cr_has_weights(const cr_layer *layer) { return layer->kind->arrays[CHAINRULE_WEIGHTS]; }
/* It has parameters that are learned.  (Tests/c/internal/kinds.c: a kind with such parameters has this function.) */
static inline bool cr_learns(const cr_layer *layer) { return layer->kind->f32.descend; }
/* a = f(W x + b) */
static inline bool cr_is_product(const cr_layer *layer) { return layer->kind->z == CR_Z_PRODUCT; }
/* It has an f, whose f′ makes δ of ∂L/∂a. */
static inline bool cr_has_activation(const cr_layer *layer)
{
  return layer->kind->z == CR_Z_PRODUCT || layer->kind->z == CR_Z_INPUT;
}
/* It scales by deviations that are given, not learned. */
static inline bool cr_scales(const cr_layer *layer) { return layer->kind->arrays[CHAINRULE_DEVIATION]; }
/* It adds the a of an earlier layer, cr_joined; SIZE_MAX: the network's inputs. */
static inline bool cr_joins(const cr_layer *layer) { return layer->spec.span > 0; }
static inline size_t cr_joined(const cr_layer *layer, size_t l) { return l - layer->spec.span - 1; }
/* In this pass the layer takes its mean and variance from the batch. */
static inline bool cr_wants_moments(const cr_layer *layer, size_t l, const cr_pass *pass)
{
  return layer->kind->has_moments && pass && !(pass->rates && pass->rates[l] == 0);
}

#endif
