/* Full-batch training of small networks, by methods that use the curvature of the loss and reach minima that
 * stochastic gradients don't reach.
 *
 * A run computes in float64 on a copy, in prediction mode: batchNorm uses its running statistics without
 * changing them, and dropout does nothing.  A float32 network gets the rounded parameters at the end.
 */
#ifndef CHAINRULE_FULLBATCH_H
#define CHAINRULE_FULLBATCH_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The methods.  Levenberg-Marquardt needs a loss that is a sum of squares: halfSquaredError or
 * meanSquaredError. */
/* clang-format off */
#define CHAINRULE_METHODS(X)                                                                              \
  X(LEVENBERG_MARQUARDT, levenbergMarquardt, 0,  "p += d, (J'J + mu D^2) d = -J'f, where L = 1/2 |f|^2")  \
  X(FLETCHER_REEVES,     fletcherReeves,     1,  "p += rate d, d = -g + b d, b = |g|^2 / |g before|^2 while g is at right angles to g before") \
  X(POLAK_RIBIERE,       polakRibiere,       2,  "p += rate d, d = -g + b d, b = max(0, g'(g - g before) / |g before|^2)") \
  X(BFGS,                bfgs,               3,  "p -= rate H g, H the inverse Hessian as all steps show it") \
  X(LBFGS,               lbfgs,              4,  "p -= rate H g, H the inverse Hessian as the last `history` steps show it")
/* clang-format on */

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_METHOD_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_method { CHAINRULE_METHODS(CHAINRULE_ROW_) } chainrule_method;
#undef CHAINRULE_ROW_

enum {
#define CHAINRULE_ROW_(...) +1
  CHAINRULE_METHOD_COUNT = CHAINRULE_METHODS(CHAINRULE_ROW_)
#undef CHAINRULE_ROW_
};

CHAINRULE_API const char *chainrule_method_name(chainrule_method method);
CHAINRULE_API const char *chainrule_method_formula(chainrule_method method);
CHAINRULE_API chainrule_status chainrule_method_named(const char *name, chainrule_method *method,
                                                      chainrule_error *error);

/* Why a run ended. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_ending {
  CHAINRULE_ENDED_BY_ITERATIONS CHAINRULE_SWIFT_NAME(iterations) = 0, /* the limit was reached */
  CHAINRULE_ENDED_BY_GRADIENT CHAINRULE_SWIFT_NAME(gradient) = 1, /* the gradient is within its tolerance */
  CHAINRULE_ENDED_BY_STEP CHAINRULE_SWIFT_NAME(step) = 2,         /* the step is within its tolerance */
  CHAINRULE_ENDED_BY_LOSS CHAINRULE_SWIFT_NAME(loss) = 3, /* the decrease of L is within its tolerance */
  CHAINRULE_ENDED_BY_NO_PROGRESS CHAINRULE_SWIFT_NAME(noProgress) = 4, /* no step decreased L */
  CHAINRULE_ENDED_BY_STOP CHAINRULE_SWIFT_NAME(stop) = 5               /* chainrule_minimizer_stop */
} chainrule_ending;

/* The best point found. */
typedef struct chainrule_minimizer_result {
  double loss;     /* L there */
  double gradient; /* the largest |∂L/∂p| after the last iteration */
  size_t iterations;
  size_t evaluations;      /* of L over all rows, with or without derivatives */
  chainrule_ending ending; /* in a progress call: not yet set */
} chainrule_minimizer_result;

/* Called after each iteration on the calling thread.  Returns 0.  Any other value ends the run with the best
 * parameters so far and CHAINRULE_CALLBACK_FAILED. */
typedef int chainrule_minimizer_progress(void *context, const chainrule_minimizer_result *so_far);

/* A method and its options.  Start from chainrule_minimizer_options_default.
 *
 * The tolerances, each at least 0, have no unit: a multiple of L gives the same steps and the same end.  For
 * levenbergMarquardt, with L = 1/2 |f|^2 and the scale D of each parameter (Moré 1978), they are MINPACK's
 * gtol, xtol and ftol. */
typedef struct chainrule_minimizer_options {
  size_t struct_size; /* sizeof(chainrule_minimizer_options) */
  chainrule_loss loss;
  chainrule_method method;
  size_t iterations; /* the largest number, at least 1 */
  double gradient_tolerance; /* levenbergMarquardt: ends if the cosine of f and ∂f/∂p is at most this for every p; others:
                              * if max |∂L/∂p| / √L is at most this times its initial value */
  double step_tolerance; /* levenbergMarquardt: ends if |D Δp| ≤ this × |D p|; others: if |Δp| ≤ this × |p| for every p */
  double loss_tolerance; /* ends if the decrease of L is at most this × L; levenbergMarquardt: the expected one too */
  size_t memory; /* bytes.  levenbergMarquardt needs 16 for each pair of parameters and 8 for each number of a block of 96 rows
                  * of J; a run that needs more is refused.  bfgs needs 16 p for each step and stores the steps that fit. */
  size_t history;                         /* lbfgs: the number of steps that it stores, at least 1 */
  chainrule_minimizer_progress *progress; /* may be NULL */
  void *context;                          /* of progress */
} chainrule_minimizer_options;

/* halfSquaredError, 1000 iterations, tolerances 1e-10, 1e-10 and 1e-12, 1 GiB, a history of 10, no progress. */
CHAINRULE_API void chainrule_minimizer_options_set_defaults(chainrule_minimizer_options *options,
                                                            size_t struct_size, chainrule_method method);
static inline chainrule_minimizer_options chainrule_minimizer_options_default(chainrule_method method)
{
  chainrule_minimizer_options options;
  chainrule_minimizer_options_set_defaults(&options, sizeof options, method);
  return options;
}

typedef struct chainrule_minimizer chainrule_minimizer;

/* Borrows `network`, which must outlive the minimizer.  Nothing else may use it during a run. */
CHAINRULE_API chainrule_status chainrule_minimizer_create(chainrule_network *network,
                                                          const chainrule_minimizer_options *minimization,
                                                          chainrule_minimizer **minimizer,
                                                          chainrule_error *error);
CHAINRULE_API void chainrule_minimizer_free(chainrule_minimizer *minimizer);

/* Runs from the network's current parameters on rows x [rows][inputs], y [rows][outputs].  sample_weights
 * [rows] and `minimum` may be NULL.  The network gets the parameters of the smallest finite L that was found,
 * also if the call returns CHAINRULE_STOPPED, or CHAINRULE_CALLBACK_FAILED because of the progress function.
 * Any other error, such as that of a custom layer, leaves the network and *minimum unchanged.  The call
 * allocates memory. */
CHAINRULE_API chainrule_status chainrule_minimizer_run_f32(chainrule_minimizer *minimizer, const float *x,
                                                           const float *y, const float *sample_weights,
                                                           size_t rows, chainrule_minimizer_result *minimum,
                                                           chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_minimizer_run_f64(chainrule_minimizer *minimizer, const double *x,
                                                           const double *y, const double *sample_weights,
                                                           size_t rows, chainrule_minimizer_result *minimum,
                                                           chainrule_error *error);

/* Can be called from any thread, from a progress function and from a signal handler.  The current run, or the
 * next one, ends after the current evaluation.  NULL does nothing. */
CHAINRULE_API void chainrule_minimizer_stop(chainrule_minimizer *minimizer);

#ifdef __cplusplus
}
#endif
#endif
