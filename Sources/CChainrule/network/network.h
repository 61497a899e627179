/* A network as planned: sizes, offsets, and one arena for all parameters. */
#ifndef CR_NETWORK_H
#define CR_NETWORK_H

#include "../base.h"
#include "../layers/layers.h"
#include "../team.h"

/* Where a layer's z, a and δ lie in a workspace, in scalars per row of its capacity: the buffer of a
 * workspace planned for n rows starts at n times the number. */
typedef struct cr_place {
  size_t z, a, delta;
  size_t inverse; /* layerNorm: 1 / √(variance + ε) of a row, in a cache line of its own */
} cr_place;

struct chainrule_network {
  chainrule_scalar scalar;
  const cr_kernel_set *kernels;
  size_t inputs, layer_count;
  size_t arena_size;      /* scalars in a parameter-shaped arena */
  size_t statistics_size; /* scalars behind the parameters */
  size_t parameter_count; /* without padding and statistics */
  size_t input_stride;    /* of x in whole vectors */
  bool pads_input;        /* x is brought into them first */
  bool calls_out;         /* a layer is a function of the program's own */
  size_t widest;          /* the largest stride of a layer */
  cr_layer *layers;
  cr_place *predicting; /* of the input, then of the layers: z and a of neighbours alternate between two buffers */
  size_t standardized;    /* with target scaling, where a loss puts targets of a strip, [rows][outputs] */
  size_t predicting_size; /* scalars per row of those buffers */
  void *parameters;
  char **names[3]; /* by chainrule_names; NULL: none */
  char *metadata;  /* the caller's text; NULL: none */
};

/* Target scaling: the last layer, a scaling, only gives predictions the unit of the targets. */
static inline bool cr_scales_targets(const chainrule_network *network)
{
  return network->layer_count > 1 && cr_scales(&network->layers[network->layer_count - 1]);
}

/* What a loss is computed of: the network without its target scaling.  It shares all memory of the network, but not the
 * statistics of the last layer; *view is its place. */
static inline const chainrule_network *cr_trained(const chainrule_network *network, chainrule_network *view)
{
  if (!cr_scales_targets(network)) return network;
  *view = *network;
  view->layer_count--;
  view->statistics_size = network->layers[view->layer_count].at[CHAINRULE_MEAN] - network->arena_size;
  return view;
}

/* Scalars of the parameters and the statistics behind them. */
static inline size_t cr_arena_end(const chainrule_network *network)
{
  return network->arena_size + network->statistics_size;
}

/* ---- plan.c ------------------------------------------------------------------------------------- */

enum { CR_MOST_LAYERS = 10000 }; /* planning looks from each layer at those before and behind it */

chainrule_status cr_check_scalar(const chainrule_network *network, chainrule_scalar scalar,
                                 chainrule_error *error);
/* There is a layer with that index. */
chainrule_status cr_check_index(const chainrule_network *network, size_t l, chainrule_error *error);

/* ---- places.c ----------------------------------------------------------------------------------- */

/* What a workspace is for.  Prediction; training, where z, a and δ share memory as a step lets them; training whose z, a and δ
 * are kept for view.c; analysis, which is prediction with a way back to the inputs. */
typedef enum cr_purpose { CR_PREDICTION, CR_SHARE, CR_KEEP, CR_ANALYSIS } cr_purpose;

/* Gives z, a and δ of the input and of every layer a place; returns the scalars per row of all places. */
size_t cr_plan_places(const chainrule_network *network, cr_purpose purpose, cr_place *places);

/* ---- parameters.c ------------------------------------------------------------------------------- */

/* Copies a parameter out of a parameter-shaped arena: [out][in] or [out], dense. */
void cr_read(const chainrule_network *network, const void *arena, size_t layer, chainrule_parameter parameter,
             void *values);
/* Copies one in. */
void cr_write(const chainrule_network *network, void *arena, size_t layer, chainrule_parameter parameter,
              const void *values);
/* All parameters in the order of chainrule_network_get_parameters, out of a parameter-shaped arena. */
void cr_read_all(const chainrule_network *network, const void *arena, void *values);
/* Whose the k-th of all parameters is, in that order. */
void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer,
                       chainrule_parameter *parameter, size_t *index);
/* Variances and deviations become 1. */
void cr_clear_statistics(chainrule_network *network);
/* The first layer with a parameter that is not finite: "layer 2, weights: NaN after step 137". */
chainrule_status cr_check_parameters(const chainrule_network *network, uint64_t step, chainrule_error *error);

/* ---- labels.c ----------------------------------------------------------------------------------- */

enum { CR_LARGEST_TEXT = 100000000 }; /* bytes of a safetensors header, and so of metadata in it */

/* Copies names and metadata to a network of the same inputs and outputs. */
chainrule_status cr_copy_labels(const chainrule_network *network, chainrule_network *to,
                                chainrule_error *error);
void cr_free_labels(chainrule_network *network);

/* ---- checks.c ----------------------------------------------------------------------------------- */

/* f′ of this activation is computed from z, which must then outlive a. */
bool cr_derives_from_z(chainrule_activation activation);
/* By which weights are drawn where no initialiser is named. */
chainrule_initializer_kind cr_usual_initializer(chainrule_activation activation);
/* The loss gives ∂L/∂z of its output layer rather than ∂L/∂a. */
bool cr_is_fused(chainrule_loss loss);
/* The loss goes with the output layer. */
chainrule_status cr_check_loss(const chainrule_network *network, chainrule_loss loss, chainrule_error *error);
/* A network with target scaling has an output that has a unit. */
chainrule_status cr_check_target_scaling(const chainrule_network *network, chainrule_error *error);
/* Target i of [rows][outputs] in the unit of the loss: as it is, or standardised, rounded to the scalar. */
double cr_target(const chainrule_network *network, const void *y, size_t i);
/* All targets of these rows in that unit; `to` may be y. */
void cr_standardize(const chainrule_network *network, const void *y, size_t rows, void *to);

bool cr_all_finite(const chainrule_network *network, const void *values, size_t count);
/* The index of the first value that is not finite, or `count`; "NaN", "infinity" or "-infinity". */
size_t cr_first_not_finite(chainrule_scalar scalar, const void *values, size_t count);
const char *cr_not_finite_name(double value);
/* x and y of so many rows can be in memory at all. */
chainrule_status cr_check_rows(const chainrule_network *network, size_t rows, chainrule_error *error);
/* No value is NaN or infinite; the error tells where `what` has one.  A team, unless it is NULL, shares what is large. */
chainrule_status cr_check_finite(const chainrule_network *network, cr_team *team, const char *what,
                                 const void *values, size_t rows, size_t columns, chainrule_error *error);
/* Data of a call: finite x and y, targets in the loss's domain, finite sample weights ≥ 0. */
chainrule_status cr_check_data(const chainrule_network *network, cr_team *team, chainrule_loss loss,
                               const void *x, const void *y, const void *sample_weights, size_t rows,
                               chainrule_error *error);

#endif
