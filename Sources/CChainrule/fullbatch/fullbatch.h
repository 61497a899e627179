/* Full-batch training: minimises L over all rows as a function of the parameters.
 *
 * fullbatch.c has the public calls, evaluates L and decides when a run ends.  least_squares.c and descent.c
 * are the methods, which see only the functions below.  All computation is in double, also for a float32
 * network.  This folder uses backprop/. */
#ifndef CR_FULLBATCH_H
#define CR_FULLBATCH_H

#include <stdatomic.h>

#include "../backprop/analysis.h"

typedef struct cr_problem {
  cr_objective objective;
  const chainrule_minimizer_options *settings;
  size_t parameters;
  double *best; /* the parameters with the smallest finite L so far; at first those of the start */
  chainrule_minimizer_result so_far;
  atomic_bool *stop;       /* set by chainrule_minimizer_stop */
  bool stopped;            /* the run was stopped, or `status` is an error */
  bool refused;            /* the progress function has ended the run */
  chainrule_status status; /* the error of a custom layer's function, which stops the run */
  chainrule_error *error;
} cr_problem;

/* Computes L, and its gradient unless that is NULL; false if one is not finite, or the run has been
 * stopped. */
bool cr_problem_value(cr_problem *problem, const double *parameters, double *loss, double *gradient);
/* Computes the residuals f [rows][outputs], with L = ½ Σ f²; false as above. */
bool cr_problem_residuals(cr_problem *problem, const double *parameters, double *f, double *loss);
/* Sets the parameters at which cr_problem_jacobian is evaluated; false if one is not finite. */
bool cr_problem_move(cr_problem *problem, const double *parameters);
/* Computes ∂f/∂p of a row block, [rows][outputs][parameters]; false if a custom layer has failed. */
bool cr_problem_jacobian(cr_problem *problem, const cr_batch *batch, double *jacobian);
/* Whether the run has been stopped. */
bool cr_problem_stopped(cr_problem *problem);
/* Convergence measures, which do not depend on the scale of L or of the targets.  Each has a tolerance.
 * INFINITY: unknown. */
typedef struct cr_measure {
  double gradient; /* for sums of squares the largest cosine of f and a ∂f/∂p; else see descent.c */
  double step;     /* the length of the last step, divided by that of the parameters */
  double fall;     /* the decrease of L by the last step, divided by L */
} cr_measure;

/* Whether a measure is within its tolerance; records that as the reason for which the run ended. */
bool cr_problem_is_close(cr_problem *problem, cr_measure measure);
/* The same for the start, with its measure of the gradient. */
bool cr_problem_starts_at_minimum(cr_problem *problem, const double *gradient, double measure);
/* Counts an iteration, which led to this gradient, and calls the progress function; true if the run ends. */
bool cr_problem_ends(cr_problem *problem, const double *gradient, cr_measure measure);
/* Ends the run because no step decreases L. */
void cr_problem_gives_up(cr_problem *problem);

/* ---- least_squares.c, descent.c ---------------------------------------------------------------- */

/* Run a method until the problem ends: Levenberg-Marquardt; conjugate gradients, BFGS or L-BFGS. */
chainrule_status cr_minimize_squares(cr_problem *problem, chainrule_error *error);
chainrule_status cr_descend_lines(cr_problem *problem, chainrule_error *error);

#endif
