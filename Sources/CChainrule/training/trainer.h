/* A trainer, as trainer.c plans it, step.c and epoch.c use it, and checkpoint.c saves it. */
#ifndef CR_TRAINER_H
#define CR_TRAINER_H

#include <stdatomic.h>

#include "../backprop/backprop.h"
#include "optimizer.h"

/* The blocks that a member takes first; when it is done it helps the others. */
typedef struct cr_share {
  _Alignas(CR_ALIGNMENT) atomic_size_t next;
  size_t end;
} cr_share;

struct chainrule_trainer {
  chainrule_network *whole;   /* as the caller has it */
  chainrule_network *network; /* what is trained: all of it, or `view`, which lacks the target scaling */
  chainrule_network view;
  chainrule_trainer_options training;

  cr_place *places;  /* of z, a and δ, by layer */
  size_t place_size; /* scalars per row of all places */
  cr_workspace work;
  cr_pass pass;
  cr_batch gathered; /* a batch of an epoch, in memory of ours */
  double *losses;    /* wᵣ lᵣ of a batch */
  void *gradients; /* parameter-shaped, as is each array of state; NULL unless someone looks at all of them */
  void *state;
  double *rates; /* of layers, times the learning rate; NULL: all 1 */

  void *sum; /* of gradients of batches times their weights, parameter-shaped; NULL: each batch has its update */
  double sum_weight;
  size_t sum_batches;
  void *good;                      /* the parameters and statistics at the beginning of the epoch */
  void *outputs, *output_gradient; /* of a batch, for a user-supplied loss */

  void *narrow; /* buffers of a narrow network's step; NULL: it is not narrow, or z, a and δ are kept */
  void *narrow_gradients; /* parameter-shaped */

  cr_team *team;
  size_t members;         /* of the team */
  double threads_per_row; /* that a step is worth */
  cr_block *blocks;       /* of all layers' weights, in their order */
  size_t block_count;
  cr_share *shares; /* of the blocks, by member */
  size_t scratch_scalars;
  cr_optimizer optimizer;
  cr_descent descent; /* by it */
  chainrule_plateau plateau;
  bool rate_is_due;             /* the next update has another than the last */
  _Atomic double learning_rate; /* that of the optimizer, for other threads */

  size_t *order; /* in which the epoch visits its rows */
  size_t order_size;

  _Atomic uint64_t steps, epochs;  /* read by other threads, as a progress display's */
  size_t rows_in_view;             /* of the last step; 0: none yet */
  size_t position, epoch_rows;     /* of the epoch that is under way: rows done, of how many */
  double epoch_loss, epoch_weight; /* Σ over its batches */
  bool in_parts;                   /* between begin_epoch and end_epoch; position is then 0 */
  bool restored;                   /* from a checkpoint, and no epoch since: its order has not been drawn */
  atomic_bool stop;
  chainrule_trainer_step_function *on_step; /* NULL: none */
  void *step_context;
};

/* The rate of the step to come, which stays that of all steps of an epoch where the schedule is per epoch. */
void cr_update_rate(chainrule_trainer *trainer);

/* Gradients cannot go into the parameters one by one: something is made of all of them first. */
static inline bool cr_needs_all_gradients(const chainrule_trainer_options *training)
{
  return training->clip_norm > 0 || training->accumulate > 1;
}

/* ---- step.c -------------------------------------------------------------------------------------- */

/* Where the rows of a batch are, before they are brought together in batch.x. */
typedef struct cr_gathering {
  const void *x;
  const size_t *order; /* NULL: as they stand */
} cr_gathering;

/* to[k] = from[order[k]], or from[k] where order is NULL, rows of `width` scalars */
void cr_gather(chainrule_scalar scalar, const void *to, const void *from, const size_t *order, size_t count,
               size_t width);
/* L, δ of every layer, and, where they are kept, the gradients; with `updates`, the update too.  The data have
 * been checked.  *total is Σ wᵣ. */
chainrule_status cr_step(chainrule_trainer *trainer, const cr_batch *batch, const cr_gathering *gathering,
                         bool updates, double *loss, double *total, chainrule_error *error);
/* The next few steps of an epoch, of single rows of a narrow network, if there is nothing to do between them: the same as
 * by cr_step.  Returns how many were done; that whose loss is not finite is not. */
size_t cr_step_singly(chainrule_trainer *trainer, const cr_batch *all);
/* The update by the gradients that have been summed up, of batches of up to so many rows. */
void cr_step_flush(chainrule_trainer *trainer, size_t rows);

/* ---- diagnosis.c --------------------------------------------------------------------------------- */

/* After updates by these rows, which may be NULL: every parameter is finite. */
chainrule_status cr_step_check(const chainrule_trainer *trainer, const cr_batch *batch, chainrule_error *error);
/* Why the loss of a step was not finite: a parameter became so at the step before, or a layer's z overflowed in this one. */
chainrule_status cr_step_diagnose(const chainrule_trainer *trainer, const cr_batch *batch, double loss,
                                  chainrule_error *error);

#endif
