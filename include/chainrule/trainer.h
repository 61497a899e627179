/* Training: a step on a batch, or an epoch in one call. */
#ifndef CHAINRULE_TRAINER_H
#define CHAINRULE_TRAINER_H

#include "network.h"
#include "schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer and its hyper-parameters.  Start from chainrule_optimizer_default, which has PyTorch's
 * defaults, and those of Chen et al. (2023) for lion. */
typedef struct chainrule_optimizer {
  size_t struct_size; /* sizeof(chainrule_optimizer) */
  chainrule_optimizer_kind kind;
  double learning_rate; /* η ≥ 0; rprop: the first step */
  double weight_decay;  /* λ ≥ 0: added to the gradient as λ p; decoupled in adamw and lion */
  double l1;            /* λ₁ ≥ 0: added to the gradient as λ₁ sign p, where sign 0 = 0 */
  double momentum;      /* sgd, rmsprop: ≥ 0 */
  bool nesterov;        /* sgd: look ahead; needs momentum */
  double alpha;         /* rmsprop, adadelta (its ρ): decay of the mean squares, 0 ≤ α < 1 */
  bool centered;        /* rmsprop: divide by the standard deviation instead of the root mean square */
  double beta1,
      beta2; /* adam, adamw, adamax, nadam: decay of the moments, 0 ≤ β < 1; lion: for the sign, for m */
  bool amsgrad;               /* adam, adamw: divide by √ of the largest v so far */
  double momentum_decay;      /* nadam: ψ ≥ 0 in μ = β₁ (1 − ½ 0.96^(t ψ)) */
  double epsilon;             /* > 0, added to the root, in adadelta under both roots, in adamax to |g| */
  double eta_minus, eta_plus; /* rprop: factors of a step, 0 < η⁻ < 1 < η⁺ */
  double step_min, step_max;  /* rprop: bounds of a step, 0 ≤ step_min ≤ step_max */
} chainrule_optimizer;

/* Writes the defaults of `kind` to an optimizer of struct_size bytes. */
CHAINRULE_API void chainrule_optimizer_set_defaults(chainrule_optimizer *optimizer, size_t struct_size,
                                                    chainrule_optimizer_kind kind);
static inline chainrule_optimizer chainrule_optimizer_default(chainrule_optimizer_kind kind)
{
  chainrule_optimizer optimizer;
  chainrule_optimizer_set_defaults(&optimizer, sizeof optimizer, kind);
  return optimizer;
}

/* A user-supplied loss, called once for each batch on the thread that called step.  For outputs a and targets
 * y, both [rows][outputs] in the network's scalar type, it sets losses[r] = lᵣ and gradient [rows][outputs] =
 * ∂lᵣ/∂a, and returns 0.  If it returns another value or doesn't set a number, the step changes no parameter,
 * and the step or epoch ends with CHAINRULE_CALLBACK_FAILED.  The next call of the epoch resumes at the same
 * batch. */
typedef int chainrule_trainer_loss_function(void *context, size_t rows, size_t outputs, const void *a,
                                            const void *y, double *losses, void *gradient);

/* How to train; start from chainrule_trainer_options_default, or from CHAINRULE_TRAINER_OPTIONS_SIZES and zeros. */
typedef struct chainrule_trainer_options {
  size_t struct_size; /* sizeof(chainrule_trainer_options) */
  chainrule_loss loss;
  chainrule_optimizer optimizer;
  size_t batch_size; /* the largest number of rows of a step; the last batch of an epoch may have fewer */
  uint64_t seed;     /* seeds the order of the rows */
  bool in_order;     /* don't shuffle the rows */
  bool keep;         /* keep z, a, δ and the gradients readable after a step (view.h) */
  size_t threads; /* number of threads of a step, including the caller's: at most 256, limited to the number of
                      * CPUs; 0: 1.  A small step uses fewer.  Any number gives the same bits.
                      * The threads of a trainer block signals. */
  double label_smoothing; /* s, 0 ≤ s < 1: y becomes (1 − s) y + s / outputs for crossEntropy, (1 − s) y + s / 2 for
                           * binaryCrossEntropy */
  double input_noise; /* σ ≥ 0: x becomes x + σ n, n normal, drawn for every row of every step; after the scaling layers
                           * that a network begins with */
  double clip_value; /* c > 0: each ∂L/∂p becomes min(max(∂L/∂p, −c), c), before weight decay; 0: no limit */
  double clip_norm; /* c > 0: all gradients g are multiplied by min(1, c / (‖g‖₂ + 1e-6)), ‖g‖₂ over all of them;
                           * before clip_value */
  double max_norm; /* c > 0: after an update, weights Wⱼ of a neuron with ‖Wⱼ‖₂ > c become c Wⱼ / ‖Wⱼ‖₂ */
  size_t accumulate; /* k: an update for every k batches, with the gradient of the k as one batch; 0: 1.  The last
                           * update of an epoch may be of fewer. */
  const double *rates; /* [layers] ≥ 0, times the learning rate; 0: the layer is frozen, neither its parameters nor its
                           * statistics change, and a batchNorm works as in prediction; NULL: all 1.  Copied. */
  chainrule_trainer_loss_function *loss_function; /* NULL: `loss` */
  void *loss_context;
  bool flush_denormals; /* treat numbers below 2⁻¹²⁶ (float64: 2⁻¹⁰²²) as 0: other bits, no slow steps */
  chainrule_schedule schedule; /* of the learning rate; all zeros: constant */
} chainrule_trainer_options;

/* chainrule_trainer_options o = {CHAINRULE_TRAINER_OPTIONS_SIZES, .optimizer = chainrule_optimizer_default(…), …}; */
#define CHAINRULE_TRAINER_OPTIONS_SIZES                                                                      \
  .struct_size = sizeof(chainrule_trainer_options), .schedule.struct_size = sizeof(chainrule_schedule)

/* meanSquaredError, adam with its defaults, batches of 32 rows, the constant schedule; all else 0. */
CHAINRULE_API void chainrule_trainer_options_set_defaults(chainrule_trainer_options *options,
                                                          size_t struct_size);
static inline chainrule_trainer_options chainrule_trainer_options_default(void)
{
  chainrule_trainer_options options;
  chainrule_trainer_options_set_defaults(&options, sizeof options);
  return options;
}

typedef struct chainrule_trainer chainrule_trainer;

/* Creates a trainer and allocates its memory.  It borrows `network`, which must outlive the trainer.  Nothing
 * else may use the network during a step or an epoch. */
CHAINRULE_API chainrule_status chainrule_trainer_create(chainrule_network *network,
                                                        const chainrule_trainer_options *training,
                                                        chainrule_trainer **trainer, chainrule_error *error);
CHAINRULE_API void chainrule_trainer_free(chainrule_trainer *trainer);

/* Allocates memory for batches of up to `batch_size` rows; the optimizer's state is kept.  Refused during an
 * interrupted epoch.  An error leaves the trainer unchanged. */
CHAINRULE_API chainrule_status chainrule_trainer_set_batch_size(chainrule_trainer *trainer, size_t batch_size,
                                                                chainrule_error *error);

/* One update on the batch x [rows][inputs], y [rows][outputs], 1 ≤ rows ≤ batch_size.  sample_weights [rows]
 * and `loss` may be NULL; *loss is L before the update.  Allocates nothing.  Data that are not finite, and
 * targets out of the loss's range, are refused before anything changes.  A failing loss function or custom
 * layer changes nothing either. */
CHAINRULE_API chainrule_status chainrule_trainer_step_f32(chainrule_trainer *trainer, const float *x,
                                                          const float *y, const float *sample_weights,
                                                          size_t rows, double *loss, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_step_f64(chainrule_trainer *trainer, const double *x,
                                                          const double *y, const double *sample_weights,
                                                          size_t rows, double *loss, chainrule_error *error);

/* The first half of a step: computes L and its gradients, which view.h reads.  No parameter changes. */
CHAINRULE_API chainrule_status chainrule_trainer_gradients_f32(chainrule_trainer *trainer, const float *x,
                                                               const float *y, const float *sample_weights,
                                                               size_t rows, double *loss,
                                                               chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_gradients_f64(chainrule_trainer *trainer, const double *x,
                                                               const double *y, const double *sample_weights,
                                                               size_t rows, double *loss,
                                                               chainrule_error *error);

/* Applies gradients that were accumulated over fewer batches than an update takes.  An epoch does this at its
 * end. */
CHAINRULE_API chainrule_status chainrule_trainer_flush(chainrule_trainer *trainer, chainrule_error *error);

/* One pass over all rows in batches, in an order that depends on the seed and the number of the epoch.  *loss
 * (may be NULL) is the mean of the batches' losses before their updates, weighted by rows.  Allocates only if
 * the number of rows is larger than in earlier epochs.
 *
 * If the loss, a layer or a parameter becomes NaN or infinite, the call returns CHAINRULE_NOT_FINITE.  The
 * message names the step, the layer, the quantity and the likely cause.  The network gets back its parameters
 * of the beginning of the epoch, and the optimizer is reset.
 *
 * If the loss function or a custom layer fails, the next call resumes at the same batch.
 *
 * chainrule_trainer_stop makes the call return CHAINRULE_STOPPED after the current batch, or within 64
 * batches of a single row.  The next call resumes after it and gives the same bits as an uninterrupted epoch.
 * chainrule_trainer_abandon_epoch ends the epoch instead. */
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f32(chainrule_trainer *trainer, const float *x,
                                                           const float *y, const float *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f64(chainrule_trainer *trainer, const double *x,
                                                           const double *y, const double *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);

/* A streamed epoch, for rows that don't fit in memory: begin_epoch, a step for each batch, end_epoch.  It
 * gives the same bits as an epoch over the same rows in order.  end_epoch applies accumulated gradients and
 * counts the epoch, also for schedules; *loss (may be NULL) is that of chainrule_trainer_epoch.
 *
 * A step that returns CHAINRULE_NOT_FINITE ends the epoch like chainrule_trainer_epoch: the network gets back
 * its parameters of the beginning, and the optimizer is reset.  begin_epoch and chainrule_trainer_epoch
 * abandon an earlier streamed epoch: it doesn't count, and its updates stay.  begin_epoch fails during an
 * interrupted epoch, end_epoch if no epoch has begun or it has no row. */
CHAINRULE_API chainrule_status chainrule_trainer_begin_epoch(chainrule_trainer *trainer,
                                                             chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_end_epoch(chainrule_trainer *trainer, double *loss,
                                                           chainrule_error *error);

/* Ends an interrupted or streamed epoch: it doesn't count, its updates stay, and accumulated gradients are
 * applied, as by chainrule_trainer_flush.  The next epoch can have any rows and batches. */
CHAINRULE_API chainrule_status chainrule_trainer_abandon_epoch(chainrule_trainer *trainer,
                                                               chainrule_error *error);

/* The learning rate of the last update; before the first one, and after chainrule_trainer_set_learning_rate,
 * that of the next. */
CHAINRULE_API double chainrule_trainer_learning_rate(const chainrule_trainer *trainer);
/* Sets the base learning rate for later updates; the schedule scales it.  With the constant schedule the
 * caller can implement any schedule. */
CHAINRULE_API chainrule_status chainrule_trainer_set_learning_rate(chainrule_trainer *trainer,
                                                                   double learning_rate,
                                                                   chainrule_error *error);
/* Reports the loss of an epoch, ideally its validation loss, to the plateau schedule.  Other schedules ignore
 * it. */
CHAINRULE_API chainrule_status chainrule_trainer_observe(chainrule_trainer *trainer, double loss,
                                                         chainrule_error *error);

/* The result of a batch of an epoch. */
typedef struct chainrule_trainer_step {
  uint64_t steps;       /* updates done so far */
  size_t rows;          /* of the batch */
  double loss;          /* L of the batch, before its update */
  double learning_rate; /* of the last update */
} chainrule_trainer_step;

/* Called after each batch of an epoch, also of a streamed one, on the thread that called epoch or step.  Of
 * the trainer's functions it may call only chainrule_trainer_stop and chainrule_trainer_save.  Returns 0.
 * Any other value ends the call with CHAINRULE_CALLBACK_FAILED; the batch counts, and the next call resumes
 * after it, as after a stop. */
typedef int chainrule_trainer_step_function(void *context, const chainrule_trainer_step *step);

/* Sets the function for later batches; NULL: none. */
CHAINRULE_API chainrule_status chainrule_trainer_on_step(chainrule_trainer *trainer,
                                                         chainrule_trainer_step_function *function,
                                                         void *context, chainrule_error *error);

/* Can be called from any thread and from a signal handler.  NULL does nothing. */
CHAINRULE_API void chainrule_trainer_stop(chainrule_trainer *trainer);

/* The numbers of completed updates and epochs, and of rows done in an interrupted or streamed epoch. */
CHAINRULE_API uint64_t chainrule_trainer_steps(const chainrule_trainer *trainer);
CHAINRULE_API uint64_t chainrule_trainer_epochs(const chainrule_trainer *trainer);
CHAINRULE_API uint64_t chainrule_trainer_rows(const chainrule_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
