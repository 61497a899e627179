/* Derivatives of a network: Jacobians, the gradient of each sample, and a check of backpropagation.
 *
 * They are those of prediction: batchNorm uses its running statistics and dropout does nothing, so a row's
 * values don't depend on other rows.  The network is only read, so any number of threads can call at once.  A
 * call allocates and frees the memory that it needs.  `count` must be the exact number of values.  If a
 * custom layer's function or derivative fails, some values may have been written.
 *
 * Parameters have the order of chainrule_network_get_parameters_f32: layer by layer, weights row by row, then
 * bias; or gamma, then beta.
 */
#ifndef CHAINRULE_ANALYSIS_H
#define CHAINRULE_ANALYSIS_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* jacobian [rows][outputs][inputs]: ∂aᴸₖ/∂xᵢ for each of the rows x [rows][inputs]. */
CHAINRULE_API chainrule_status chainrule_network_input_jacobian_f32(const chainrule_network *network,
                                                                    const float *x, size_t rows,
                                                                    float *jacobian, size_t count,
                                                                    chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_input_jacobian_f64(const chainrule_network *network,
                                                                    const double *x, size_t rows,
                                                                    double *jacobian, size_t count,
                                                                    chainrule_error *error);

/* jacobian [rows][outputs][parameters]: ∂aᴸₖ/∂p. */
CHAINRULE_API chainrule_status chainrule_network_parameter_jacobian_f32(const chainrule_network *network,
                                                                        const float *x, size_t rows,
                                                                        float *jacobian, size_t count,
                                                                        chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_parameter_jacobian_f64(const chainrule_network *network,
                                                                        const double *x, size_t rows,
                                                                        double *jacobian, size_t count,
                                                                        chainrule_error *error);

/* gradients [rows][parameters]: ∂lᵣ/∂p, where lᵣ is the loss of row r.  The gradient of a batch is their
 * mean, or with sample weights Σ wᵣ ∂lᵣ/∂p / Σ wᵣ. */
CHAINRULE_API chainrule_status chainrule_network_sample_gradients_f32(const chainrule_network *network,
                                                                      chainrule_loss loss, const float *x,
                                                                      const float *y, size_t rows,
                                                                      float *gradients, size_t count,
                                                                      chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_sample_gradients_f64(const chainrule_network *network,
                                                                      chainrule_loss loss, const double *x,
                                                                      const double *y, size_t rows,
                                                                      double *gradients, size_t count,
                                                                      chainrule_error *error);

/* The largest difference between backpropagation and central differences. */
typedef struct chainrule_gradient_check {
  double loss; /* L of the batch */
  double error; /* |gradient − slope| / max(|gradient|, |slope|, s / 1000), s = max(|L|, the largest |gradient|) */
  size_t layer; /* counted from 0 */
  chainrule_parameter parameter;
  size_t index;    /* of the value in the parameter, in the order of chainrule_network_get_parameter_f64 */
  double gradient; /* by backpropagation */
  double slope;    /* (L(p + h) − L(p − h)) / 2h, h = ε^⅓ max(1, |p|) */
} chainrule_gradient_check;

/* Compares both for every parameter, in float64 whatever the type of the network.  It computes the loss of
 * all rows twice for each parameter, so use it for small networks or few rows.  Correct gradients have errors
 * of about 1e-7 or less.  A kink (of relu or of a loss) between p − h and p + h gives a larger error that is
 * no mistake.  sample_weights [rows] may be NULL.  A network without parameters is an invalid argument.  An
 * error leaves *check unchanged. */
CHAINRULE_API chainrule_status chainrule_network_check_gradient_f32(
    const chainrule_network *network, chainrule_loss loss, const float *x, const float *y,
    const float *sample_weights, size_t rows, chainrule_gradient_check *check, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_network_check_gradient_f64(
    const chainrule_network *network, chainrule_loss loss, const double *x, const double *y,
    const double *sample_weights, size_t rows, chainrule_gradient_check *check, chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
