/* Training: one step on a batch, or a whole epoch in one call. */
#ifndef CHAINRULE_TRAINER_H
#define CHAINRULE_TRAINER_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer and its numbers; start from chainrule_optimizer_default, which has PyTorch's. */
typedef struct chainrule_optimizer {
  chainrule_optimizer_kind kind;
  double learning_rate; /* η ≥ 0 */
  double weight_decay;  /* λ ≥ 0: added to the gradient as λ p; decoupled in adamw */
  double momentum;      /* sgd, rmsprop: ≥ 0 */
  bool nesterov;        /* sgd: look ahead; needs momentum */
  double alpha;         /* rmsprop: decay of the mean square, 0 ≤ α < 1 */
  bool centered;        /* rmsprop: divide by the deviation, not by the mean square */
  double beta1, beta2;  /* adam, adamw: decay of the two moments, 0 ≤ β < 1 */
  double epsilon;       /* > 0, added to the root */
} chainrule_optimizer;

CHAINRULE_API chainrule_optimizer chainrule_optimizer_default(chainrule_optimizer_kind kind);

typedef struct chainrule_training {
  chainrule_loss loss;
  chainrule_optimizer optimizer;
  size_t batch_size; /* the most rows of a step; the last batch of an epoch may be shorter */
  uint64_t seed;     /* of the order in which epochs visit the rows */
  bool in_order;     /* epochs visit the rows as they stand, without shuffling */
  bool keep;         /* z, a, δ and the gradients stay readable after a step (view.h) */
  size_t threads;    /* that share a step, the caller's among them: at most 256, and never more than there are
                      * CPUs; 0: 1.  A step too small to gain takes fewer.  Any number gives the same bits. */
  bool flush_denormals; /* numbers below 2⁻¹²⁶ (float64: 2⁻¹⁰²²) count as 0: other bits, but no slow step */
} chainrule_training;

typedef struct chainrule_trainer chainrule_trainer;

/* Plans memory for training `network`, which the trainer borrows: it must outlive the trainer, and
 * nothing else may use it during a call to step or epoch. */
CHAINRULE_API chainrule_status chainrule_trainer_create(chainrule_network *network,
                                                        const chainrule_training *training,
                                                        chainrule_trainer **trainer, chainrule_error *error);
CHAINRULE_API void chainrule_trainer_free(chainrule_trainer *trainer);

/* Plans memory anew for batches of up to `batch_size` rows; the optimizer's state stays.  Refused in the
 * middle of a stopped epoch.  On an error the trainer is as it was. */
CHAINRULE_API chainrule_status chainrule_trainer_set_batch_size(chainrule_trainer *trainer, size_t batch_size,
                                                                chainrule_error *error);

/* One update on the batch x [rows][inputs], y [rows][outputs], 1 ≤ rows ≤ batch_size; sample_weights
 * [rows] may be NULL.  *loss (may be NULL) is L before the update.  Allocates nothing.  Data that are not
 * finite, or targets that the loss cannot have, are refused before anything changes. */
CHAINRULE_API chainrule_status chainrule_trainer_step_f32(chainrule_trainer *trainer, const float *x,
                                                          const float *y, const float *sample_weights,
                                                          size_t rows, double *loss, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_step_f64(chainrule_trainer *trainer, const double *x,
                                                          const double *y, const double *sample_weights,
                                                          size_t rows, double *loss, chainrule_error *error);

/* The first half of a step: L and its gradients, which view.h reads.  No parameter changes. */
CHAINRULE_API chainrule_status chainrule_trainer_gradients_f32(chainrule_trainer *trainer, const float *x,
                                                               const float *y, const float *sample_weights,
                                                               size_t rows, double *loss,
                                                               chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_gradients_f64(chainrule_trainer *trainer, const double *x,
                                                               const double *y, const double *sample_weights,
                                                               size_t rows, double *loss,
                                                               chainrule_error *error);

/* One pass over all rows in batches, in the order that the seed and the number of the epoch give.
 * *loss (may be NULL) is the mean of the batches' losses, each before its update, weighted by rows.
 * Allocates only when the number of rows has grown since the last epoch.
 *
 * chainrule_trainer_stop makes the call return CHAINRULE_STOPPED after the batch in hand; the next call
 * goes on behind that batch, and ends in the same bits as an epoch that was never stopped. */
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f32(chainrule_trainer *trainer, const float *x,
                                                           const float *y, const float *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f64(chainrule_trainer *trainer, const double *x,
                                                           const double *y, const double *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);

/* May be called from any thread and from a signal handler. */
CHAINRULE_API void chainrule_trainer_stop(chainrule_trainer *trainer);

/* Updates and whole epochs done so far. */
CHAINRULE_API uint64_t chainrule_trainer_steps(const chainrule_trainer *trainer);
CHAINRULE_API uint64_t chainrule_trainer_epochs(const chainrule_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
