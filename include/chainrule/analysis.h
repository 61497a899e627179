/* Derivatives of a network as it stands: Jacobians, the gradient of each sample, and a check of backpropagation.
 *
 * All of it is of prediction: batchNorm takes its running statistics, dropout does nothing, and so a row's values
 * do not depend on the rows around it.  The network is only read, so that any number of threads may call at once; a
 * call allocates what it needs and frees it.  `count` is the number of values asked for and must be exact.  Where a custom
 * layer's function or derivative fails, some of the values may have been written.
 *
 * Parameters stand in the order of chainrule_network_get_parameters_f32: layer by layer, weights row by row, then
 * bias, or gamma, then beta.
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

/* gradients [rows][parameters]: ∂lᵣ/∂p, where lᵣ is the loss of row r alone.  The gradient of a batch is their mean,
 * or, with sample weights, Σ wᵣ ∂lᵣ/∂p / Σ wᵣ. */
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

/* Where backpropagation and central differences are furthest apart. */
typedef struct chainrule_gradient_check {
  double loss; /* L of the batch */
  double
      error; /* |gradient − slope| / max(|gradient|, |slope|, s / 1000), s = max(|L|, the largest |gradient|) */
  size_t layer; /* counted from 0 */
  chainrule_parameter parameter;
  size_t index;    /* of the value in the parameter, as chainrule_network_get_parameter_f64 has it */
  double gradient; /* by backpropagation */
  double slope;    /* (L(p + h) − L(p − h)) / 2h, h = ε^⅓ max(1, |p|) */
} chainrule_gradient_check;

/* Compares the two for every parameter, all in float64, whatever the network's own type: the parameters and the data are
 * widened.  Two losses of all rows for each parameter: meant for a small network or few rows.  What is right has errors
 * of some 1e-7 or less; a kink (of relu, or of a loss) between p − h and p + h looks like a mistake and is none.
 * sample_weights [rows] may be NULL.  A network without parameters is an invalid argument.  On an error *check is as it was. */
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
