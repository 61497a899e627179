/* Chainrule: dense neural networks trained by backpropagation.
 *
 *   chainrule_network   parameters and architecture; predicts
 *   chainrule_trainer   trains one network: one step on a batch, or an epoch
 *   chainrule_minimizer trains on all rows at once: Levenberg-Marquardt, conjugate gradients, BFGS
 *   chainrule/analysis  derivatives of a network: Jacobians, gradients of samples, a check of backpropagation
 *
 * Every call that can fail returns a chainrule_status and, where the caller passes a chainrule_error,
 * fills it with a sentence that names the culprit.  Nothing prints, exits or aborts, and there is no
 * global state: distinct networks may be used from distinct threads without a lock.
 *
 * Every call computes in the same floating-point mode, whatever the calling thread is set to (rounding, traps, flushed
 * denormals: MXCSR, FPCR), and returns in the caller's: to nearest, without traps, denormals as chainrule_trainer_options says.
 * The program's own functions (losses, layers, on_step, progress) are called in the library's mode, and have to leave it
 * as it is.
 *
 * Notation, here and throughout: x inputs, z = W a + b, a = f(z), y target, L loss, δ = ∂L/∂z,
 * η learning rate.  W is [out][in]: row = neuron of the next layer.  Matrices are row-major.
 */
#ifndef CHAINRULE_H
#define CHAINRULE_H

#include "chainrule/status.h"
#include "chainrule/catalog.h"
#include "chainrule/network.h"
#include "chainrule/schedule.h"
#include "chainrule/trainer.h"
#include "chainrule/view.h"
#include "chainrule/analysis.h"
#include "chainrule/fullbatch.h"
#include "chainrule/file.h"
#include "chainrule/checkpoint.h"

#endif
