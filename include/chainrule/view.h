/* The intermediate values of the last step or gradients call of a trainer with `keep`.  `keep` takes memory
 * and doesn't change the result.  After a failed user-supplied function there is nothing to view. */
#ifndef CHAINRULE_VIEW_H
#define CHAINRULE_VIEW_H

#include "trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum CHAINRULE_CLOSED_ENUM chainrule_view {
  CHAINRULE_VIEW_Z CHAINRULE_SWIFT_NAME(z) = 0, /* [rows][units]; for a normalisation (x - mean) / deviation */
  CHAINRULE_VIEW_A CHAINRULE_SWIFT_NAME(a) = 1, /* [rows][units] */
  CHAINRULE_VIEW_DELTA CHAINRULE_SWIFT_NAME(delta) =
      2, /* ∂L/∂z for a layer with an activation, else ∂L/∂a; [rows][units] */
  CHAINRULE_VIEW_WEIGHTS_GRADIENT CHAINRULE_SWIFT_NAME(weightsGradient) = 3, /* ∂L/∂W, [units][inputs] */
  CHAINRULE_VIEW_BIAS_GRADIENT CHAINRULE_SWIFT_NAME(biasGradient) = 4,       /* ∂L/∂b, [units] */
  CHAINRULE_VIEW_GAMMA_GRADIENT CHAINRULE_SWIFT_NAME(gammaGradient) = 5,     /* ∂L/∂γ, [units] */
  CHAINRULE_VIEW_BETA_GRADIENT CHAINRULE_SWIFT_NAME(betaGradient) = 6        /* ∂L/∂β, [units] */
} chainrule_view;

/* Copies a layer's values, row-major.  `count` must be exact: rows of the last batch × units, units × inputs,
 * or units. */
CHAINRULE_API chainrule_status chainrule_trainer_view_f32(const chainrule_trainer *trainer, size_t layer,
                                                          chainrule_view view, float *values, size_t count,
                                                          chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_view_f64(const chainrule_trainer *trainer, size_t layer,
                                                          chainrule_view view, double *values, size_t count,
                                                          chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
