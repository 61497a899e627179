/* Chainrule: dense neural networks trained by backpropagation.
 *
 *   chainrule_network   parameters and architecture; predicts
 *   chainrule_trainer   trains a network: one step on a batch, or an epoch
 *   chainrule_minimizer full-batch training: Levenberg-Marquardt, conjugate gradients, BFGS, L-BFGS
 *   chainrule/analysis  derivatives of a network: Jacobians, gradients of samples, a check of backpropagation
 *
 * Every call that can fail returns a chainrule_status.  If the caller passes a chainrule_error, it also gets a sentence that
 * names the cause.  The library never prints, exits or aborts.  It has no global state: different networks can be used from
 * different threads without a lock.
 *
 * Every call sets its own floating-point mode and restores the caller's (MXCSR, FPCR): round to nearest, no traps, denormals as
 * chainrule_trainer_options specifies.  User-supplied functions (losses, layers, on_step, progress) run in this mode and must not
 * change it.
 *
 * Notation: x inputs, z = W a + b, a = f(z), y target, L loss, δ = ∂L/∂z, η learning rate.  W is [out][in]: row j has the
 * weights of neuron j.  Matrices are row-major.
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
