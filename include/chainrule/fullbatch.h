/* Training on all rows at once, by methods that know more of the loss than one gradient: for small networks, where they
 * reach minima that stochastic gradients do not.
 *
 * All of it is computed in float64, on a copy, and in prediction mode: batchNorm takes its running statistics, and does
 * not change them, dropout does nothing.  A float32 network gets the rounded parameters at the end.
 */
#ifndef CHAINRULE_FULLBATCH_H
#define CHAINRULE_FULLBATCH_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The methods.  Levenberg-Marquardt is for losses that are sums of squares: halfSquaredError and meanSquaredError. */
/* clang-format off */
#define CHAINRULE_METHODS(X)                                                                              \
  X(LEVENBERG_MARQUARDT, levenbergMarquardt, 0,  "p += d, (J'J + mu D^2) d = -J'f, where L = 1/2 |f|^2")  \
  X(FLETCHER_REEVES,     fletcherReeves,     1,  "p += rate d, d = -g + b d, b = |g|^2 / |g before|^2 while g is at right angles to g before") \
  X(POLAK_RIBIERE,       polakRibiere,       2,  "p += rate d, d = -g + b d, b = max(0, g'(g - g before) / |g before|^2)") \
  X(BFGS,                bfgs,               3,  "p -= rate H g, H the inverse Hessian as all steps show it") \
  X(LBFGS,               lbfgs,              4,  "p -= rate H g, H the inverse Hessian as the last `history` steps show it")
/* clang-format on */

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_METHOD_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_method {
  CHAINRULE_METHODS(CHAINRULE_ROW_)
} chainrule_method;
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

/* What ended a run. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_ending {
  CHAINRULE_ENDED_BY_ITERATIONS CHAINRULE_SWIFT_NAME(iterations) = 0,  /* there were as many as allowed */
  CHAINRULE_ENDED_BY_GRADIENT CHAINRULE_SWIFT_NAME(gradient) = 1,      /* the gradient is within its tolerance */
  CHAINRULE_ENDED_BY_STEP CHAINRULE_SWIFT_NAME(step) = 2,              /* the step is within its tolerance */
  CHAINRULE_ENDED_BY_LOSS CHAINRULE_SWIFT_NAME(loss) = 3,              /* L fell by no more than its tolerance */
  CHAINRULE_ENDED_BY_NO_PROGRESS CHAINRULE_SWIFT_NAME(noProgress) = 4, /* no step that the method tried made L smaller */
  CHAINRULE_ENDED_BY_STOP CHAINRULE_SWIFT_NAME(stop) = 5               /* chainrule_minimizer_stop */
} chainrule_ending;

/* The best point found. */
typedef struct chainrule_minimizer_result {
  double loss;        /* L there */
  double gradient;    /* the largest |∂L/∂p| after the last iteration */
  size_t iterations;
  size_t evaluations; /* of L, with or without its derivatives, over all rows */
  chainrule_ending ending; /* in a progress call: not yet set */
} chainrule_minimizer_result;

/* Called after each iteration, in the calling thread.  Returns 0; where it returns anything else, the run ends as by a stop,
 * with the best parameters so far, but with CHAINRULE_CALLBACK_FAILED. */
typedef int chainrule_minimizer_progress(void *context, const chainrule_minimizer_result *so_far);

/* A method and its numbers; start from chainrule_minimizer_options_default.
 *
 * The tolerances, each 0 or more, compare numbers without a unit, so that a run on a multiple of L takes the same steps and ends
 * after the same.  Of levenbergMarquardt, where L = 1/2 |f|^2 and D is the scale of each parameter (Moré 1978), they are
 * MINPACK's gtol, xtol and ftol. */
typedef struct chainrule_minimizer_options {
  size_t struct_size; /* sizeof(chainrule_minimizer_options) */
  chainrule_loss loss;
  chainrule_method method;
  size_t iterations;         /* at most, at least 1 */
  double gradient_tolerance; /* levenbergMarquardt: ends where the cosine of f and ∂f/∂p is within it for every p; else, where
                              * max |∂L/∂p| / √L is within it times its value at the start */
  double step_tolerance;     /* levenbergMarquardt: ends where |D Δp| ≤ it × |D p|; else, where |Δp| ≤ it × |p| for every p */
  double loss_tolerance;     /* ends where a step lowered L by no more than it × L; levenbergMarquardt: and was not expected to */
  size_t memory; /* bytes.  levenbergMarquardt takes 16 for each pair of parameters and 8 for each number of a strip of J, 96 rows,
                  * and is refused where that is more.  bfgs takes 16 p for each step, and remembers as many as fit. */
  size_t history; /* lbfgs: the steps that it remembers, at least 1 */
  chainrule_minimizer_progress *progress; /* may be NULL */
  void *context;                /* of progress */
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

/* Borrows `network`, which must outlive the minimizer; nothing else may use it during a call to run. */
CHAINRULE_API chainrule_status chainrule_minimizer_create(chainrule_network *network,
                                                          const chainrule_minimizer_options *minimization,
                                                          chainrule_minimizer **minimizer, chainrule_error *error);
CHAINRULE_API void chainrule_minimizer_free(chainrule_minimizer *minimizer);

/* Runs from the network's parameters as they are, on rows x [rows][inputs], y [rows][outputs]; sample_weights [rows] may be
 * NULL.  The network is left with the parameters of the smallest finite L that was met, also where the call returns
 * CHAINRULE_STOPPED or, for the progress function, CHAINRULE_CALLBACK_FAILED; on any other error, that of a custom layer's
 * function among them, it is as it was, and so is *minimum.  That may be NULL.  Memory is allocated for the call. */
CHAINRULE_API chainrule_status chainrule_minimizer_run_f32(chainrule_minimizer *minimizer, const float *x,
                                                           const float *y, const float *sample_weights, size_t rows,
                                                           chainrule_minimizer_result *minimum, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_minimizer_run_f64(chainrule_minimizer *minimizer, const double *x,
                                                           const double *y, const double *sample_weights,
                                                           size_t rows, chainrule_minimizer_result *minimum,
                                                           chainrule_error *error);

/* May be called from any thread, from a progress call and from a signal handler: the run under way, or the next, ends
 * after the evaluation in hand.  Of NULL it does nothing. */
CHAINRULE_API void chainrule_minimizer_stop(chainrule_minimizer *minimizer);

#ifdef __cplusplus
}
#endif
#endif
