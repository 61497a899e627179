/* Training: one step on a batch, or a whole epoch in one call. */
#ifndef CHAINRULE_TRAINER_H
#define CHAINRULE_TRAINER_H

#include "network.h"
#include "schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer and its numbers; start from chainrule_optimizer_default, which has PyTorch's, and lion's of Chen et
 * al. (2023). */
typedef struct chainrule_optimizer {
  size_t struct_size; /* sizeof(chainrule_optimizer) */
  chainrule_optimizer_kind kind;
  double learning_rate; /* η ≥ 0; rprop: the first step */
  double weight_decay;  /* λ ≥ 0: added to the gradient as λ p; decoupled in adamw and lion */
  double l1;            /* λ₁ ≥ 0: added to the gradient as λ₁ sign p, where sign 0 = 0 */
  double momentum;      /* sgd, rmsprop: ≥ 0 */
  bool nesterov;        /* sgd: look ahead; needs momentum */
  double alpha;         /* rmsprop, adadelta (its ρ): decay of the mean squares, 0 ≤ α < 1 */
  bool centered;        /* rmsprop: divide by the deviation, not by the mean square */
  double beta1, beta2;  /* adam, adamw, adamax, nadam: decay of the two moments, 0 ≤ β < 1; lion: of the sign's, m's */
  bool amsgrad;         /* adam, adamw: divide by the root of the largest v so far */
  double momentum_decay; /* nadam: ψ ≥ 0 in μ = β₁ (1 − ½ 0.96^(t ψ)) */
  double epsilon;       /* > 0, added to the root, in adadelta under both roots, in adamax to |g| */
  double eta_minus, eta_plus; /* rprop: factors of a step, 0 < η⁻ < 1 < η⁺ */
  double step_min, step_max;  /* rprop: bounds of a step, 0 ≤ least ≤ most */
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

/* A loss of the program's own, called once a batch, by the thread that called step: for outputs a and targets y, both
 * [rows][outputs] in the network's scalar type, losses[r] = lᵣ and gradient [rows][outputs] = ∂lᵣ/∂a.  Returns 0; where it
 * returns anything else, or leaves a number as it was, the step changes no parameter and ends with
 * CHAINRULE_CALLBACK_FAILED, and so does the epoch that it is of, which goes on with the same batch when it is called again. */
typedef int chainrule_trainer_loss_function(void *context, size_t rows, size_t outputs, const void *a, const void *y,
                                    double *losses, void *gradient);

/* How to train; start from chainrule_trainer_options_default, or from CHAINRULE_TRAINER_OPTIONS_SIZES and zeros. */
typedef struct chainrule_trainer_options {
  size_t struct_size; /* sizeof(chainrule_trainer_options) */
  chainrule_loss loss;
  chainrule_optimizer optimizer;
  size_t batch_size; /* the most rows of a step; the last batch of an epoch may be shorter */
  uint64_t seed;     /* of the order in which epochs visit the rows */
  bool in_order;     /* epochs visit the rows as they stand, without shuffling */
  bool keep;         /* z, a, δ and the gradients stay readable after a step (view.h) */
  size_t threads;    /* that share a step, the caller's among them: at most 256, and never more than there are
                      * CPUs; 0: 1.  A step too small to gain takes fewer.  Any number gives the same bits.
                      * Threads of a trainer take no signal that the program is sent. */
  double label_smoothing; /* s, 0 ≤ s < 1: y becomes (1 − s) y + s / outputs for crossEntropy, (1 − s) y + s / 2 for
                           * binaryCrossEntropy */
  double input_noise;     /* σ ≥ 0: x becomes x + σ n, n normal, drawn anew for every row of every step; of a network that
                           * begins with scaling layers, what these hand on */
  double clip_value;      /* c > 0: each ∂L/∂p becomes min(max(∂L/∂p, −c), c), before weight decay; 0: as it is */
  double clip_norm;       /* c > 0: all gradients g are multiplied by min(1, c / (‖g‖₂ + 1e-6)), ‖g‖₂ over all of them;
                           * before clip_value */
  double max_norm;        /* c > 0: after an update, weights Wⱼ of a neuron with ‖Wⱼ‖₂ > c become c Wⱼ / ‖Wⱼ‖₂ */
  size_t accumulate;      /* k: an update for every k batches, with the gradient of the k as one batch; 0: 1.  The last
                           * update of an epoch may be of fewer. */
  const double *rates;    /* [layers] ≥ 0, times the learning rate; 0: the layer is frozen, neither its parameters nor its
                           * statistics change, and a batchNorm works as in prediction; NULL: all 1.  Copied. */
  chainrule_trainer_loss_function *loss_function; /* NULL: `loss` */
  void *loss_context;
  bool flush_denormals; /* numbers below 2⁻¹²⁶ (float64: 2⁻¹⁰²²) count as 0: other bits, but no slow step */
  chainrule_schedule schedule; /* of the optimizer's learning rate */
} chainrule_trainer_options;

/* chainrule_trainer_options o = {CHAINRULE_TRAINER_OPTIONS_SIZES, .optimizer = chainrule_optimizer_default(…), …}; */
#define CHAINRULE_TRAINER_OPTIONS_SIZES                                                                      \
  .struct_size = sizeof(chainrule_trainer_options), .schedule.struct_size = sizeof(chainrule_schedule)

/* meanSquaredError, adam with its defaults, batches of 32 rows, the constant schedule; all else 0. */
CHAINRULE_API void chainrule_trainer_options_set_defaults(chainrule_trainer_options *options, size_t struct_size);
static inline chainrule_trainer_options chainrule_trainer_options_default(void)
{
  chainrule_trainer_options options;
  chainrule_trainer_options_set_defaults(&options, sizeof options);
  return options;
}

typedef struct chainrule_trainer chainrule_trainer;

/* Plans memory for training `network`, which the trainer borrows: it must outlive the trainer, and
 * nothing else may use it during a call to step or epoch. */
CHAINRULE_API chainrule_status chainrule_trainer_create(chainrule_network *network,
                                                        const chainrule_trainer_options *training,
                                                        chainrule_trainer **trainer, chainrule_error *error);
CHAINRULE_API void chainrule_trainer_free(chainrule_trainer *trainer);

/* Plans memory anew for batches of up to `batch_size` rows; the optimizer's state stays.  Refused in the
 * middle of a stopped epoch.  On an error the trainer is as it was. */
CHAINRULE_API chainrule_status chainrule_trainer_set_batch_size(chainrule_trainer *trainer, size_t batch_size,
                                                                chainrule_error *error);

/* One update on the batch x [rows][inputs], y [rows][outputs], 1 ≤ rows ≤ batch_size; sample_weights
 * [rows] may be NULL.  *loss (may be NULL) is L before the update.  Allocates nothing.  Data that are not
 * finite, or targets that the loss cannot have, are refused before anything changes.  Where the loss function, or a function of
 * a custom layer, fails, nothing has changed either. */
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

/* The update that is still due where gradients have been accumulated over fewer batches than an update takes; an epoch
 * ends with it. */
CHAINRULE_API chainrule_status chainrule_trainer_flush(chainrule_trainer *trainer, chainrule_error *error);

/* One pass over all rows in batches, in the order that the seed and the number of the epoch give.
 * *loss (may be NULL) is the mean of the batches' losses, each before its update, weighted by rows.
 * Allocates only when the number of rows has grown since the last epoch.
 *
 * Where the loss, a layer or a parameter becomes NaN or infinite, the call ends with CHAINRULE_NOT_FINITE, which names the
 * step, the layer, the quantity and the likely cause; the network has its parameters of the beginning of the epoch again,
 * and the optimizer begins anew.
 *
 * Where the loss function, or a function of a custom layer, fails, the next call goes on with the same batch.
 *
 * chainrule_trainer_stop makes the call return CHAINRULE_STOPPED after the batch in hand, or, where a batch is a single row,
 * within 64 of them; the next call goes on behind it, and ends in the same bits as an epoch that was never stopped.
 * chainrule_trainer_abandon_epoch gives it up instead. */
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f32(chainrule_trainer *trainer, const float *x,
                                                           const float *y, const float *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_epoch_f64(chainrule_trainer *trainer, const double *x,
                                                           const double *y, const double *sample_weights,
                                                           size_t rows, double *loss, chainrule_error *error);

/* An epoch in parts, for rows that do not fit in memory: begin_epoch, a step a batch, end_epoch.  The steps are those of
 * an epoch over the same rows in order, and come to its bits; whatever update is still due is done at the end, the epoch
 * counts, for schedules too, and *loss (may be NULL) is as chainrule_trainer_epoch's.
 *
 * A step that ends with CHAINRULE_NOT_FINITE ends the epoch as it would end chainrule_trainer_epoch: the network has its
 * parameters of the beginning again, and the optimizer begins anew.  begin_epoch and chainrule_trainer_epoch give up an epoch in
 * parts that was begun before: it does not count, its updates stay.  begin_epoch fails in the middle of a stopped epoch,
 * end_epoch where none has begun, or without a row. */
CHAINRULE_API chainrule_status chainrule_trainer_begin_epoch(chainrule_trainer *trainer, chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_trainer_end_epoch(chainrule_trainer *trainer, double *loss,
                                                           chainrule_error *error);

/* Gives up the epoch that is under way, stopped or in parts: it does not count, its updates stay, and the one still due is
 * done, as by chainrule_trainer_flush.  The next epoch begins anew, over any rows and in any batches. */
CHAINRULE_API chainrule_status chainrule_trainer_abandon_epoch(chainrule_trainer *trainer, chainrule_error *error);

/* The rate of the last update; before the first, and after chainrule_trainer_set_learning_rate, that of the next. */
CHAINRULE_API double chainrule_trainer_learning_rate(const chainrule_trainer *trainer);
/* η of the updates to come, which the schedule goes by: with the constant schedule, any schedule of the caller's own. */
CHAINRULE_API chainrule_status chainrule_trainer_set_learning_rate(chainrule_trainer *trainer, double learning_rate,
                                                                   chainrule_error *error);
/* Tells the schedule plateau how an epoch went, best by its validation loss; to others it is nothing. */
CHAINRULE_API chainrule_status chainrule_trainer_observe(chainrule_trainer *trainer, double loss,
                                                         chainrule_error *error);

/* What a batch of an epoch came to. */
typedef struct chainrule_trainer_step {
  uint64_t steps;       /* updates done so far */
  size_t rows;          /* of the batch */
  double loss;          /* L of the batch, before its update */
  double learning_rate; /* of the last update */
} chainrule_trainer_step;

/* Called after each batch of an epoch, also of one in parts, by the thread that called epoch or step.  It may call
 * chainrule_trainer_stop and chainrule_trainer_save, and nothing else of the trainer.  Returns 0; where it returns anything else,
 * the call ends with CHAINRULE_CALLBACK_FAILED.  The batch counts, and the next call goes on behind it, as after a stop. */
typedef int chainrule_trainer_step_function(void *context, const chainrule_trainer_step *step);

/* From now on; NULL: no function. */
CHAINRULE_API chainrule_status chainrule_trainer_on_step(chainrule_trainer *trainer,
                                                         chainrule_trainer_step_function *function, void *context,
                                                         chainrule_error *error);

/* May be called from any thread and from a signal handler; of NULL it does nothing. */
CHAINRULE_API void chainrule_trainer_stop(chainrule_trainer *trainer);

/* Updates and whole epochs done so far, and rows of the epoch that is under way: stopped, or in parts. */
CHAINRULE_API uint64_t chainrule_trainer_steps(const chainrule_trainer *trainer);
CHAINRULE_API uint64_t chainrule_trainer_epochs(const chainrule_trainer *trainer);
CHAINRULE_API uint64_t chainrule_trainer_rows(const chainrule_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
