/* Derivatives without training: Jacobians, and L of all rows as a function of the parameters. */
#ifndef CR_ANALYSIS_H
#define CR_ANALYSIS_H

#include "backprop.h"

/* [rows][outputs][parameters] of a strip. */
chainrule_status cr_parameter_jacobian(const chainrule_network *network, const cr_workspace *work,
                                       const cr_batch *batch, void *jacobian, chainrule_error *error);

/* L of all rows as a function of the parameters, in prediction mode: all in float64, on copies, the network without a
 * target scaling and the targets in its unit. */
typedef struct cr_objective {
  chainrule_network *network;
  chainrule_loss loss;
  cr_batch batch;
  double total; /* Σ wᵣ */
  cr_workspace work;
  double *strip, *sum; /* gradients, parameter-shaped */
} cr_objective;

/* The data have been checked. */
chainrule_status cr_objective_create(const chainrule_network *network, chainrule_loss loss, cr_batch all,
                                     cr_objective *objective, chainrule_error *error);
void cr_objective_free(cr_objective *objective);
/* The strip behind `batch`, which starts at row *start; false behind the last.  Begin with 0 and no rows. */
bool cr_objective_next(const cr_objective *objective, size_t *start, cr_batch *batch);
/* L and, unless `gradient` is NULL, ∂L/∂p, in the one order of all parameters. */
chainrule_status cr_objective_value(const cr_objective *objective, double *gradient, double *value,
                                    chainrule_error *error);

#endif
