/* A dense network: its architecture, its parameters, and prediction. */
#ifndef CHAINRULE_NETWORK_H
#define CHAINRULE_NETWORK_H

#include <stdint.h>

#include "catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The type of parameters and activations. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_scalar {
  CHAINRULE_FLOAT32 CHAINRULE_SWIFT_NAME(float32) = 0,
  CHAINRULE_FLOAT64 CHAINRULE_SWIFT_NAME(float64) = 1
} chainrule_scalar;

/* How parameters are initialised.  `value` is the scale of UNIFORM, NORMAL and CONSTANT. */
typedef struct chainrule_initializer {
  chainrule_initializer_kind kind;
  double value;
} chainrule_initializer;

/* A user-supplied elementwise function: result[i] = f(z[i]) for i = 0 … count − 1, in the network's scalar
 * type, including padding.  Returns 0.  Any other value ends the library call with CHAINRULE_CALLBACK_FAILED
 * and a message such as "layer 2, custom: the function failed: it returned 3".
 *
 * It runs on the thread that called the library, never on a trainer's own threads: once for the whole batch
 * of a step, otherwise once for each row block, in order.  Concurrent calls that read one network, such as
 * predictions, call it concurrently with the same context.
 *
 * These calls report its failure: chainrule_network_predict_* and _loss_*, all of analysis.h,
 * chainrule_trainer_step_*, _gradients_* and _epoch_*, chainrule_minimizer_run_*.  A failed step changes no
 * parameter, statistic or optimizer state; the network, the trainer and the minimizer remain usable. */
typedef int chainrule_elementwise_function(void *context, size_t count, const void *z, void *result);

/* A layer.  Each kind uses only the fields that name it.  0 is the default of every field.  The description says how large
 * each layer of its array is: layer_size. */
typedef struct chainrule_layer {
  size_t units;                        /* dense: 1 … 2³¹ − 1; others: 0, or the number of inputs */
  chainrule_activation activation;     /* dense, activation; softmax: the last layer only */
  bool no_bias;                        /* dense: z = W x, without b */
  chainrule_initializer weights, bias; /* dense */
  chainrule_layer_kind kind;
  double rate;     /* dropout: 0 ≤ rate < 1 */
  double epsilon;  /* batchNorm, layerNorm: > 0; 0: 1e-5 */
  double momentum; /* batchNorm: weight of a batch in the running statistics, 0 < momentum ≤ 1; 0: 0.1 */
  size_t span;     /* residual: the number of layers that it bridges, at least 1 */
  chainrule_elementwise_function *function, *derivative; /* custom: f and f′; the network can't be saved */
  void *context;
} chainrule_layer;

typedef struct chainrule_network_description {
  size_t struct_size; /* sizeof(chainrule_network_description) */
  size_t layer_size;  /* sizeof(chainrule_layer): bytes from one layer to the next */
  chainrule_scalar scalar;
  size_t inputs;      /* 1 … 2³¹ − 1 */
  size_t layer_count; /* 1 … 10 000 */
  const chainrule_layer *layers;
  const char *kernel_set; /* "avx512", "avx2", "baseline", "gsl"; NULL: see below */
} chainrule_network_description;

/* chainrule_network_description d = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = 2, …}; */
#define CHAINRULE_NETWORK_DESCRIPTION_SIZES sizeof(chainrule_network_description), sizeof(chainrule_layer)

typedef struct chainrule_network chainrule_network;

/* The kernel sets that this CPU supports, fastest first; NULL after the last. */
CHAINRULE_API const char *chainrule_kernel_set_name(size_t index);

/* Target scaling.  A scaling layer after the output layer gives predictions the unit of the targets: for
 * targets with standard deviations s and means m, its `deviation` is 1 / s and its `mean` -m / s, so that a =
 * s x + m.  Training, chainrule_network_loss_f32 and _f64, full-batch training and the gradients of
 * analysis.h compute the loss before this layer, of x and the standardised targets y / s - m / s = deviation
 * y + mean, computed in double and rounded once.  A training step gives the same bits as one without this
 * layer on standardised targets.  Losses refuse a target scaling after sigmoid or softmax. */

/* Creates a network with all parameters 0, and variances and deviations 1.  If the description names no
 * kernel set, the environment variable CHAINRULE_ISA does; otherwise the fastest set of this CPU is used. */
CHAINRULE_API chainrule_status chainrule_network_create(const chainrule_network_description *description,
                                                        chainrule_network **network, chainrule_error *error);
/* Copies the architecture, parameters, names and metadata into a new network. */
CHAINRULE_API chainrule_status chainrule_network_copy(const chainrule_network *network,
                                                      chainrule_network **copy, chainrule_error *error);
/* Creates a network with the same predictions, up to rounding, and fewer layers: every batchNorm directly
 * after a dense layer without activation, or directly before any dense layer, is merged into it; dropouts are
 * removed. */
CHAINRULE_API chainrule_status chainrule_network_fold(const chainrule_network *network,
                                                      chainrule_network **folded, chainrule_error *error);
CHAINRULE_API void chainrule_network_free(chainrule_network *network);

/* Initialises every parameter by its layer's initialiser, layer by layer: W row by row, then b.  gamma
 * becomes 1, beta 0, a running mean 0, a running variance 1; scaling layers don't change.  A float32 network
 * gets the rounded values of the float64 network with the same seed. */
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

/* Parameters, which are trained, and statistics (MEAN and following), which are not. */
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

/* The number of values that a layer has of a parameter; 0: none. */
CHAINRULE_API size_t chainrule_network_parameter_size(const chainrule_network *network, size_t layer,
                                                      chainrule_parameter parameter);
/* "weights", "bias", "gamma" …; NULL for an unknown parameter. */
CHAINRULE_API const char *chainrule_parameter_name(chainrule_parameter parameter);

/* Copies a layer's parameters out or in.  `count` must be the exact number of values.  Setting refuses NaN,
 * infinity and statistics out of range, and then leaves the network unchanged. */
CHAINRULE_API chainrule_status chainrule_network_get_parameter_f32(const chainrule_network *network,
                                                                   size_t layer, chainrule_parameter parameter,
                                                                   float *values, size_t count,
                                                                   chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_get_parameter_f64(const chainrule_network *network,
                                                                   size_t layer, chainrule_parameter parameter,
                                                                   double *values, size_t count,
                                                                   chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameter_f32(chainrule_network *network, size_t layer,
                                                                   chainrule_parameter parameter,
                                                                   const float *values, size_t count,
                                                                   chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameter_f64(chainrule_network *network, size_t layer,
                                                                   chainrule_parameter parameter,
                                                                   const double *values, size_t count,
                                                                   chainrule_error *error);

/* The same for all layers at once, without statistics: layer by layer, weights row by row, then bias; or
 * gamma, then beta.  `count` must be chainrule_network_parameter_count. */
CHAINRULE_API chainrule_status chainrule_network_get_parameters_f32(const chainrule_network *network,
                                                                    float *values, size_t count,
                                                                    chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_get_parameters_f64(const chainrule_network *network,
                                                                    double *values, size_t count,
                                                                    chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameters_f32(chainrule_network *network,
                                                                    const float *values, size_t count,
                                                                    chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_set_parameters_f64(chainrule_network *network,
                                                                    const double *values, size_t count,
                                                                    chainrule_error *error);

/* Names that are saved with a network: of the input columns, of the output columns, and of a classifier's
 * classes.  Either none, or one for each input or output.  Names can repeat: files of earlier builds have
 * repeated names, and the library finds nothing by name. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_names {
  CHAINRULE_FEATURE_NAMES CHAINRULE_SWIFT_NAME(features) = 0,
  CHAINRULE_TARGET_NAMES CHAINRULE_SWIFT_NAME(targets) = 1,
  CHAINRULE_CLASS_LABELS CHAINRULE_SWIFT_NAME(classes) = 2
} chainrule_names;

CHAINRULE_API chainrule_status chainrule_network_set_names(chainrule_network *network, chainrule_names which,
                                                           const char *const *names, size_t count,
                                                           chainrule_error *error);
/* The number of names: 0, or the number of inputs or outputs. */
CHAINRULE_API size_t chainrule_network_name_count(const chainrule_network *network, chainrule_names which);
/* The network's own string, valid until the names are set again; NULL if there is none. */
CHAINRULE_API const char *chainrule_network_name(const chainrule_network *network, chainrule_names which,
                                                 size_t index);

/* A text of the caller that is saved with a network.  chainrule_network_copy and chainrule_network_fold copy
 * it; model files and checkpoints contain it.  The library never interprets it.  `length` bytes of UTF-8
 * without null characters, at most 100,000,000.  NULL or length 0 removes it.  An invalid text gives
 * CHAINRULE_INVALID_ARGUMENT, and the network keeps its previous one. */
CHAINRULE_API chainrule_status chainrule_network_set_metadata(chainrule_network *network, const char *text,
                                                              size_t length, chainrule_error *error);
/* The network's own string, null-terminated, valid until the text is replaced; NULL if there is none. */
CHAINRULE_API const char *chainrule_network_metadata(const chainrule_network *network);

/* The bytes of scratch memory that predict needs for row blocks of `rows` rows.  More rows can be predicted
 * with it too.  SIZE_MAX on overflow. */
CHAINRULE_API size_t chainrule_network_scratch_size(const chainrule_network *network, size_t rows);

/* outputs [rows][outputs] = the last layer's a for x [rows][inputs].  Only reads the network and uses only
 * the caller's scratch memory, so any number of threads can predict at once.  Allocates nothing.  A row's
 * outputs don't depend on other rows.  If a custom layer's function fails, only the row blocks before the
 * failure are written. */
CHAINRULE_API chainrule_status chainrule_network_predict_f32(const chainrule_network *network, const float *x,
                                                             size_t rows, float *outputs, void *scratch,
                                                             size_t scratch_size, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_predict_f64(const chainrule_network *network, const double *x,
                                                             size_t rows, double *outputs, void *scratch,
                                                             size_t scratch_size, chainrule_error *error);

/* L, the mean of `loss` over rows x [rows][inputs] with targets y [rows][outputs]; with sample_weights
 * [rows], which may be NULL, L = Σ wᵢ lᵢ / Σ wᵢ.  With target scaling, L is that of the standardised targets.
 * An error leaves *value unchanged.  See predict. */
CHAINRULE_API chainrule_status chainrule_network_loss_f32(const chainrule_network *network,
                                                          chainrule_loss loss, const float *x, const float *y,
                                                          const float *sample_weights, size_t rows,
                                                          void *scratch, size_t scratch_size, double *value,
                                                          chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_loss_f64(const chainrule_network *network,
                                                          chainrule_loss loss, const double *x,
                                                          const double *y, const double *sample_weights,
                                                          size_t rows, void *scratch, size_t scratch_size,
                                                          double *value, chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
