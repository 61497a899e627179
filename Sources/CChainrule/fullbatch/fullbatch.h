/* The objective as least_squares.c and descent.c see it. */
#ifndef CR_FULLBATCH_H
#define CR_FULLBATCH_H

#include <stdatomic.h>

#include "../backprop/analysis.h"

typedef struct cr_problem {
  cr_objective objective;
  const chainrule_minimizer_options *settings;
  size_t parameters;
  double *best; /* the parameters of the smallest finite L so far; at first, of the start */
  chainrule_minimizer_result so_far;
  atomic_bool *stop;
  bool stopped, refused;   /* by a stop, or since `status` is not 0; by the progress function */
  chainrule_status status; /* of a custom layer's function that failed, which stops the run */
  chainrule_error *error;
} cr_problem;

/* L, and its gradient unless that is NULL; false where one is not finite, or where the run has been stopped. */
bool cr_problem_value(cr_problem *problem, const double *parameters, double *loss, double *gradient);
/* f [rows][outputs] with L = ½ Σ f²; false as above. */
bool cr_problem_residuals(cr_problem *problem, const double *parameters, double *f, double *loss);
/* Takes the parameters; false where one is not finite.  Then ∂f/∂p of a strip, [rows][outputs][parameters]; false where the
 * run has been stopped by it. */
bool cr_problem_move(cr_problem *problem, const double *parameters);
bool cr_problem_jacobian(cr_problem *problem, const cr_batch *batch, double *jacobian);
bool cr_problem_stopped(cr_problem *problem);
/* How far from a minimum, in numbers that the scale of L and of the targets does not change; each has a tolerance.
 * INFINITY: not known. */
typedef struct cr_measure {
  double gradient; /* of sums of squares the largest cosine of f and ∂f/∂p; else see descent.c */
  double step;     /* the length of the last step against that of the parameters */
  double fall;     /* of L by the last step, in parts of L */
} cr_measure;

/* One of the measures is within its tolerance, which then is the run's ending. */
bool cr_problem_is_close(cr_problem *problem, cr_measure measure);
/* The start is within the gradient's tolerance. */
bool cr_problem_starts_at_minimum(cr_problem *problem, const double *gradient, double measure);
/* Counts an iteration, which led to this gradient; whether it is the last. */
bool cr_problem_ends(cr_problem *problem, const double *gradient, cr_measure measure);
/* No step was found. */
void cr_problem_gives_up(cr_problem *problem);

/* ---- least_squares.c, descent.c ---------------------------------------------------------------- */

/* Run the problem's method until the problem ends: Levenberg-Marquardt; one that searches along lines. */
chainrule_status cr_minimize_squares(cr_problem *problem, chainrule_error *error);
chainrule_status cr_descend_lines(cr_problem *problem, chainrule_error *error);

#endif
