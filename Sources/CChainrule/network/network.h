/* A network: its planned layers, one arena for all parameters, and what a file keeps with it.
 *
 * plan.c checks a description and plans sizes and offsets; places.c plans where z, a and δ lie in a
 * workspace; parameters.c copies parameters in and out; checks.c checks data and losses; fold.c makes a
 * network for prediction.  Nothing here computes a pass: backprop/ does.  This folder uses layers/ and the
 * team. */
#ifndef CR_NETWORK_H
#define CR_NETWORK_H

#include "../base.h"
#include "../layers/layers.h"
#include "../team.h"

/* Where a layer's z, a and δ lie in a workspace, in scalars per row: in a workspace for n rows, the buffer
 * starts at n times the number. */
typedef struct cr_place {
  size_t z, a, delta;
  size_t inverse; /* layerNorm: 1 / √(variance + ε) of each row, one cache line a row */
} cr_place;

struct chainrule_network {
  chainrule_scalar scalar;
  const cr_kernel_set *kernels;
  size_t inputs, layer_count;
  size_t arena_size;      /* scalars in a parameter-shaped arena */
  size_t statistics_size; /* scalars of the statistics, which follow the parameters */
  size_t parameter_count; /* without padding and statistics */
  size_t input_stride;    /* from a row of x to the next, once it is padded to whole vectors */
  bool pads_input;        /* x is copied into padded rows first */
  bool calls_out;         /* a layer calls user-supplied functions */
  size_t widest;          /* the largest stride of a layer */
  cr_layer *layers;
  cr_place *predicting;   /* places in prediction: of the input, then of each layer */
  size_t standardized;    /* with target scaling: the place of a row block's standardised targets */
  size_t predicting_size; /* scalars per row of all these places */
  void *parameters;
  char **names[3]; /* by chainrule_names; NULL: none */
  char *metadata;  /* the caller's text; NULL: none */
};

/* Target scaling: the last layer is a scaling, which gives predictions the unit of the targets. */
static inline bool cr_scales_targets(const chainrule_network *network)
{
  return network->layer_count > 1 && cr_scales(&network->layers[network->layer_count - 1]);
}

/* The network that a loss is computed of: without its target scaling.  It is a view in *view, which shares
 * the network's memory; its statistics end before those of the last layer. */
static inline const chainrule_network *cr_trained(const chainrule_network *network, chainrule_network *view)
{
  if (!cr_scales_targets(network)) return network;
  *view = *network;
  view->layer_count--;
  view->statistics_size = network->layers[view->layer_count].at[CHAINRULE_MEAN] - network->arena_size;
  return view;
}

/* The scalars of parameters and statistics. */
static inline size_t cr_arena_end(const chainrule_network *network)
{
  return network->arena_size + network->statistics_size;
}

/* ---- plan.c ------------------------------------------------------------------------------------- */

enum { CR_MOST_LAYERS = 10000 }; /* planning takes time proportional to the square of this */

/* Refuses a scalar type other than the network's. */
chainrule_status cr_check_scalar(const chainrule_network *network, chainrule_scalar scalar,
                                 chainrule_error *error);
/* Refuses an index that no layer has. */
chainrule_status cr_check_index(const chainrule_network *network, size_t l, chainrule_error *error);

/* ---- places.c ----------------------------------------------------------------------------------- */

/* What a workspace is for. */
typedef enum cr_purpose {
  CR_PREDICTION,
  CR_SHARE,   /* training: z and a share memory if no later computation reads z */
  CR_KEEP,    /* training: all z, a and δ are kept for view.c */
  CR_ANALYSIS /* a forward pass as in prediction, and a backward pass to the inputs */
} cr_purpose;

/* Plans the places of the input, then of every layer; returns the scalars per row of all places. */
size_t cr_plan_places(const chainrule_network *network, cr_purpose purpose, cr_place *places);

/* ---- parameters.c ------------------------------------------------------------------------------- */

/* Copies a parameter out of a parameter-shaped arena, without padding: [out][in] or [out]. */
void cr_read(const chainrule_network *network, const void *arena, size_t layer, chainrule_parameter parameter,
             void *values);
/* Copies a parameter into such an arena. */
void cr_write(const chainrule_network *network, void *arena, size_t layer, chainrule_parameter parameter,
              const void *values);
/* Copies all parameters out of such an arena, in the order of chainrule_network_get_parameters. */
void cr_read_all(const chainrule_network *network, const void *arena, void *values);
/* The layer, the parameter and the index in it of value k in that order. */
void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer,
                       chainrule_parameter *parameter, size_t *index);
/* Sets variances and deviations to 1. */
void cr_clear_statistics(chainrule_network *network);
/* Refuses a parameter that is not finite: "layer 2, weights: NaN after step 137". */
chainrule_status cr_check_parameters(const chainrule_network *network, uint64_t step, chainrule_error *error);

/* ---- labels.c ----------------------------------------------------------------------------------- */

enum { CR_LARGEST_TEXT = 100000000 }; /* bytes of a safetensors header, and so of metadata in it */

/* Copies names and metadata to a network with the same number of inputs and outputs. */
chainrule_status cr_copy_labels(const chainrule_network *network, chainrule_network *to,
                                chainrule_error *error);
void cr_free_labels(chainrule_network *network);

/* ---- checks.c ----------------------------------------------------------------------------------- */

/* f′ of this activation is computed from z, not from a. */
bool cr_derives_from_z(chainrule_activation activation);
/* The default initialiser of a layer with this activation. */
chainrule_initializer_kind cr_usual_initializer(chainrule_activation activation);
/* The loss is fused with its output layer: its kernel computes ∂L/∂z instead of ∂L/∂a. */
bool cr_is_fused(chainrule_loss loss);
/* Refuses a loss that does not fit the output layer. */
chainrule_status cr_check_loss(const chainrule_network *network, chainrule_loss loss, chainrule_error *error);
/* Refuses target scaling after an output layer whose values have no unit, such as probabilities. */
chainrule_status cr_check_target_scaling(const chainrule_network *network, chainrule_error *error);
/* Target i of [rows][outputs] as the loss reads it: standardised, with target scaling, and rounded to the
 * scalar. */
double cr_target(const chainrule_network *network, const void *y, size_t i);
/* The same for all targets of `rows` rows; `to` may be y. */
void cr_standardize(const chainrule_network *network, const void *y, size_t rows, void *to);

bool cr_all_finite(const chainrule_network *network, const void *values, size_t count);
/* The index of the first value that is not finite, or `count`; "NaN", "infinity" or "-infinity". */
size_t cr_first_not_finite(chainrule_scalar scalar, const void *values, size_t count);
const char *cr_not_finite_name(double value);
/* Refuses a number of rows whose x or y would be larger than the address space. */
chainrule_status cr_check_rows(const chainrule_network *network, size_t rows, chainrule_error *error);
/* Refuses a NaN or an infinity in [rows][columns]; the error says at which row and column `what` has it.  A
 * team, unless NULL, scans large arrays. */
chainrule_status cr_check_finite(const chainrule_network *network, cr_team *team, const char *what,
                                 const void *values, size_t rows, size_t columns, chainrule_error *error);
/* Checks the data of a call: finite x and y, targets in the loss's domain, finite sample weights ≥ 0. */
chainrule_status cr_check_data(const chainrule_network *network, cr_team *team, chainrule_loss loss,
                               const void *x, const void *y, const void *sample_weights, size_t rows,
                               chainrule_error *error);

#endif
