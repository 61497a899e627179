/* A dense network: its architecture, its parameters, and prediction. */
#ifndef CHAINRULE_NETWORK_H
#define CHAINRULE_NETWORK_H

#include <stdint.h>

#include "catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The type in which parameters and activations are held and computed. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_scalar {
  CHAINRULE_FLOAT32 CHAINRULE_SWIFT_NAME(float32) = 0,
  CHAINRULE_FLOAT64 CHAINRULE_SWIFT_NAME(float64) = 1
} chainrule_scalar;

/* How parameters get their first values; `value` is the scale of UNIFORM, NORMAL and CONSTANT. */
typedef struct chainrule_initializer {
  chainrule_initializer_kind kind;
  double value;
} chainrule_initializer;

/* A function of the program's own, element by element: result[i] = f(z[i]) for i = 0 … count − 1, in the network's scalar
 * type; elements of padding are among the others.  Returns 0; anything else ends the call of the library with
 * CHAINRULE_CALLBACK_FAILED and a message such as "layer 2, custom: the function failed: it returned 3".
 *
 * It is called by the thread that called the library, never by a trainer's own: in a step once for the whole batch, elsewhere once
 * for each strip of rows, in their order.  Calls that read one network at the same time, such as predictions, call it from as many
 * threads at the same time, with the same context.
 *
 * These return its failure: chainrule_network_predict_* and _loss_*, all of analysis.h, chainrule_trainer_step_*, _gradients_* and
 * _epoch_*, chainrule_minimizer_run_*.  No parameter, statistic or state of an optimizer changes by the step that fails; the
 * network, the trainer and the minimizer can be used as before. */
typedef int chainrule_elementwise_function(void *context, size_t count, const void *z, void *result);

/* A layer; which of the numbers count depends on its kind, and 0 is every number's default.  The array of a description has
 * the size of all its layers: layer_size. */
typedef struct chainrule_layer {
  size_t units;                    /* dense: 1 … 2³¹ − 1; of the others: 0, or as many as come in */
  chainrule_activation activation; /* dense, activation; softmax: the last layer only */
  bool no_bias;                    /* dense: z = W x, without b */
  chainrule_initializer weights, bias; /* dense */
  chainrule_layer_kind kind;
  double rate;     /* dropout: 0 ≤ rate < 1 */
  double epsilon;  /* batchNorm, layerNorm: > 0; 0: 1e-5 */
  double momentum; /* batchNorm: of a batch in the running statistics, 0 < momentum ≤ 1; 0: 0.1 */
  size_t span;     /* residual: the layers that it goes round, at least 1 */
  chainrule_elementwise_function *function, *derivative; /* custom: f and f′; such a network cannot be saved */
  void *context;
} chainrule_layer;

typedef struct chainrule_network_description {
  size_t struct_size; /* sizeof(chainrule_network_description) */
  size_t layer_size;  /* sizeof(chainrule_layer): bytes from one layer to the next */
  chainrule_scalar scalar;
  size_t inputs; /* 1 … 2³¹ − 1 */
  size_t layer_count; /* 1 … 10 000 */
  const chainrule_layer *layers;
  const char *kernel_set; /* "avx512", "avx2", "baseline", "gsl"; NULL: see below */
} chainrule_network_description;

/* chainrule_network_description d = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = 2, …}; */
#define CHAINRULE_NETWORK_DESCRIPTION_SIZES sizeof(chainrule_network_description), sizeof(chainrule_layer)

typedef struct chainrule_network chainrule_network;

/* The kernel sets that this CPU can run, best first; NULL behind the last. */
CHAINRULE_API const char *chainrule_kernel_set_name(size_t index);

/* Target scaling.  A scaling layer after the output layer gives predictions the unit of the targets: with standard
 * deviations s and means m of the targets, its `deviation` is 1 / s and its `mean` -m / s, so that a = s x + m.  Losses
 * are computed before it, of x and the standardised targets y / s - m / s = deviation y + mean, which are computed in
 * double and rounded once: by training, by chainrule_network_loss_f32 and _f64, full-batch training and the gradients of
 * analysis.h.  A training step gives the bits of one on standardised targets without that layer.  A sigmoid or softmax
 * output goes without: losses refuse it. */

/* A network with all parameters 0, variances and deviations 1.  Where the description names no kernel set, it is the one that the
 * environment variable CHAINRULE_ISA names, or else the best of this CPU. */
CHAINRULE_API chainrule_status chainrule_network_create(const chainrule_network_description *description,
                                                        chainrule_network **network, chainrule_error *error);
/* The same architecture, parameters, names and metadata, in a network of its own. */
CHAINRULE_API chainrule_status chainrule_network_copy(const chainrule_network *network, chainrule_network **copy,
                                                      chainrule_error *error);
/* The same predictions, to rounding, from fewer layers: every batchNorm that stands behind a dense layer without
 * activation, or in front of any, goes into that layer; every dropout goes away. */
CHAINRULE_API chainrule_status chainrule_network_fold(const chainrule_network *network, chainrule_network **folded,
                                                      chainrule_error *error);
CHAINRULE_API void chainrule_network_free(chainrule_network *network);

/* Draws every parameter by its layer's initialiser, W row by row, then b, layer by layer; gamma becomes 1, beta 0, a
 * running mean 0, a running variance 1, and a scaling stays as it is.  A float32
 * network gets the rounded values of the float64 network of the same seed. */
CHAINRULE_API chainrule_status chainrule_network_initialize(chainrule_network *network, uint64_t seed,
                                                            chainrule_error *error);

/* The architecture; `layers` counts from 0. */
CHAINRULE_API chainrule_scalar chainrule_network_scalar(const chainrule_network *network);
CHAINRULE_API size_t chainrule_network_inputs(const chainrule_network *network);
CHAINRULE_API size_t chainrule_network_outputs(const chainrule_network *network);
CHAINRULE_API size_t chainrule_network_layer_count(const chainrule_network *network);
/* Fills `layer`, of layer_size = sizeof(chainrule_layer) bytes. */
CHAINRULE_API chainrule_status chainrule_network_layer(const chainrule_network *network, size_t index,
                                                       chainrule_layer *layer, size_t layer_size,
                                                       chainrule_error *error);
/* The parameters of all layers, without statistics. */
CHAINRULE_API size_t chainrule_network_parameter_count(const chainrule_network *network);
/* The kernel set in use. */
CHAINRULE_API const char *chainrule_network_kernel_set(const chainrule_network *network);

/* Parameters, which training learns, and statistics, MEAN and on, which it does not. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_parameter {
  CHAINRULE_WEIGHTS CHAINRULE_SWIFT_NAME(weights) = 0,    /* dense: [units][inputs of the layer] */
  CHAINRULE_BIAS CHAINRULE_SWIFT_NAME(bias) = 1,          /* dense: [units], as are all that follow */
  CHAINRULE_GAMMA CHAINRULE_SWIFT_NAME(gamma) = 2,        /* batchNorm, layerNorm */
  CHAINRULE_BETA CHAINRULE_SWIFT_NAME(beta) = 3,          /* batchNorm, layerNorm */
  CHAINRULE_MEAN CHAINRULE_SWIFT_NAME(mean) = 4,          /* batchNorm: running; scaling: given */
  CHAINRULE_VARIANCE CHAINRULE_SWIFT_NAME(variance) = 5,  /* batchNorm: running, ≥ 0 */
  CHAINRULE_DEVIATION CHAINRULE_SWIFT_NAME(deviation) = 6 /* scaling: given, > 0 */
} chainrule_parameter;
enum { CHAINRULE_PARAMETER_COUNT = CHAINRULE_DEVIATION + 1 };

/* How many values a layer has of it; 0: none. */
CHAINRULE_API size_t chainrule_network_parameter_size(const chainrule_network *network, size_t layer,
                                                      chainrule_parameter parameter);
/* "weights", "bias", "gamma" …; NULL where there is no such parameter. */
CHAINRULE_API const char *chainrule_parameter_name(chainrule_parameter parameter);

/* Copies a layer's parameters out or in; `count` is the number of values and must be exact.  Setting
 * refuses NaN, infinity, and a statistic out of its range, and leaves the network as it was. */
CHAINRULE_API chainrule_status chainrule_network_get_parameter_f32(const chainrule_network *network, size_t layer,
                                                         chainrule_parameter parameter, float *values,
                                                         size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_get_parameter_f64(const chainrule_network *network, size_t layer,
                                                         chainrule_parameter parameter, double *values,
                                                         size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameter_f32(chainrule_network *network, size_t layer,
                                                         chainrule_parameter parameter, const float *values,
                                                         size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameter_f64(chainrule_network *network, size_t layer,
                                                         chainrule_parameter parameter, const double *values,
                                                         size_t count, chainrule_error *error);

/* The same of all layers at once, without statistics: layer by layer, weights row by row, then bias, or gamma, then beta.
 * `count` is chainrule_network_parameter_count and must be exact. */
CHAINRULE_API chainrule_status chainrule_network_get_parameters_f32(const chainrule_network *network, float *values,
                                                                    size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_get_parameters_f64(const chainrule_network *network, double *values,
                                                                    size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameters_f32(chainrule_network *network, const float *values,
                                                                    size_t count, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameters_f64(chainrule_network *network, const double *values,
                                                                    size_t count, chainrule_error *error);

/* Names that travel with a network into its file: of the input columns, of the output columns, and, for
 * a classifier, of its classes.  None, or as many as there are inputs or outputs. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_names {
  CHAINRULE_FEATURE_NAMES CHAINRULE_SWIFT_NAME(features) = 0,
  CHAINRULE_TARGET_NAMES CHAINRULE_SWIFT_NAME(targets) = 1,
  CHAINRULE_CLASS_LABELS CHAINRULE_SWIFT_NAME(classes) = 2
} chainrule_names;

CHAINRULE_API chainrule_status chainrule_network_set_names(chainrule_network *network, chainrule_names which,
                                                           const char *const *names, size_t count,
                                                           chainrule_error *error);
/* How many there are: 0, or as many as inputs or outputs. */
CHAINRULE_API size_t chainrule_network_name_count(const chainrule_network *network, chainrule_names which);
/* The network's own string, valid until the names are set anew; NULL where there is none. */
CHAINRULE_API const char *chainrule_network_name(const chainrule_network *network, chainrule_names which,
                                                 size_t index);

/* A text of the caller's that travels with a network: chainrule_network_copy and chainrule_network_fold copy it, model
 * files and checkpoints contain it.  The library never reads its content.  `length` bytes of UTF-8 without null
 * characters, at most 100,000,000.  NULL or length 0 removes it.  CHAINRULE_INVALID_ARGUMENT names what is wrong with a
 * text; the network then keeps the one it had. */
CHAINRULE_API chainrule_status chainrule_network_set_metadata(chainrule_network *network, const char *text,
                                                              size_t length, chainrule_error *error);
/* The network's own string, terminated by a null character, valid until the text is replaced; NULL where there is none. */
CHAINRULE_API const char *chainrule_network_metadata(const chainrule_network *network);

/* Bytes of scratch with which predict works in strips of `rows` rows; any larger number of rows can
 * be predicted with it.  SIZE_MAX where the number would overflow. */
CHAINRULE_API size_t chainrule_network_scratch_size(const chainrule_network *network, size_t rows);

/* outputs [rows][outputs] = the last layer's a for x [rows][inputs].  Reads the network only and writes
 * the caller's scratch only, so that any number of threads may predict at once; allocates nothing.  A
 * row's outputs do not depend on the rows around it.  Where a custom layer's function fails, the rows before the strip
 * in which it did have their outputs, and the others are as they were. */
CHAINRULE_API chainrule_status chainrule_network_predict_f32(const chainrule_network *network, const float *x,
                                                             size_t rows, float *outputs, void *scratch,
                                                             size_t scratch_size, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_predict_f64(const chainrule_network *network, const double *x,
                                                             size_t rows, double *outputs, void *scratch,
                                                             size_t scratch_size, chainrule_error *error);

/* L, the mean of `loss` over rows x [rows][inputs] with targets y [rows][outputs]; sample_weights [rows]
 * may be NULL, else L = Σ wᵢ lᵢ / Σ wᵢ.  With target scaling L is that of the standardised targets.  On an error *value is
 * as it was.  Otherwise as predict. */
CHAINRULE_API chainrule_status chainrule_network_loss_f32(const chainrule_network *network, chainrule_loss loss,
                                                          const float *x, const float *y,
                                                          const float *sample_weights, size_t rows,
                                                          void *scratch, size_t scratch_size, double *value,
                                                          chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_loss_f64(const chainrule_network *network, chainrule_loss loss,
                                                          const double *x, const double *y,
                                                          const double *sample_weights, size_t rows,
                                                          void *scratch, size_t scratch_size, double *value,
                                                          chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
