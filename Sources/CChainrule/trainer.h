/* A trainer, as trainer.c plans it and checkpoint.c saves it. */
#ifndef CR_TRAINER_H
#define CR_TRAINER_H

#include <stdatomic.h>

#include "internal.h"

/* The blocks that a member takes first; when it is done it helps the others. */
typedef struct share {
  _Alignas(CR_ALIGNMENT) atomic_size_t next;
  size_t end;
} share;

struct chainrule_trainer {
  chainrule_network *whole;   /* as the caller has it */
  chainrule_network *network; /* what is trained: all of it, or `view`, which lacks the target scaling */
  chainrule_network view;
  chainrule_training training;

  cr_place *places;  /* of z, a and δ, by layer */
  size_t place_size; /* scalars per row of all places */
  cr_workspace work;
  cr_pass pass;
  cr_batch gathered; /* a batch of an epoch, in memory of ours */
  double *losses;    /* wᵣ lᵣ of a batch */
  void *gradients;   /* parameter-shaped, as is each array of state; NULL unless someone looks at all of them */
  void *state;
  double *rates;     /* of layers, times the learning rate; NULL: all 1 */

  void *sum;         /* of gradients of batches times their weights, parameter-shaped; NULL: each batch has its update */
  double sum_weight;
  size_t sum_batches;
  void *good; /* the parameters and statistics at the beginning of the epoch */
  void *outputs, *output_gradient; /* of a batch, for a loss of the program's own */

  void *narrow; /* buffers of a narrow network's step; NULL: it is not narrow, or z, a and δ are kept */
  void *narrow_gradients; /* parameter-shaped */

  cr_team *team;
  size_t members;         /* of the team */
  double threads_per_row; /* that a step is worth */
  cr_block *blocks; /* of all layers' weights, in their order */
  size_t block_count;
  share *shares; /* of the blocks, by member */
  size_t scratch_scalars;
  cr_update update;
  cr_descent descent; /* by it */
  double beta1_power, beta2_power; /* β₁ᵗ, β₂ᵗ */
  chainrule_plateau plateau;
  bool rate_is_due;             /* the next update has another than the last */
  _Atomic double learning_rate; /* update.rate, for other threads */
  bool fresh;                      /* no update yet */
  double mu_product;               /* nadam: μ₁…μₜ */
  double decay_power, decay_factor; /* nadam: 0.96^(t ψ), 0.96^ψ */

  size_t *order; /* in which the epoch visits its rows */
  size_t order_size;

  _Atomic uint64_t steps, epochs;  /* read by other threads, as a progress display's */
  size_t rows_in_view;             /* of the last step; 0: none yet */
  size_t position, epoch_rows;     /* of the epoch that is under way: rows done, of how many */
  double epoch_loss, epoch_weight; /* Σ over its batches */
  bool in_parts;                   /* between begin_epoch and end_epoch; position is then 0 */
  bool restored;                   /* from a checkpoint, and no epoch since: its order has not been drawn */
  atomic_bool stop;
  chainrule_step_function *on_step; /* NULL: none */
  void *step_context;
};

enum { CR_STATES = 3 }; /* the most of an optimizer */

/* The parameter-shaped arrays that the update rule keeps, by the letters of update_tmpl.h; returns how many. */
size_t cr_state_names(const chainrule_optimizer *optimizer, const char *names[CR_STATES]);
/* The rate of the step to come, which stays that of all steps of an epoch where the schedule is per epoch. */
void cr_update_rate(chainrule_trainer *trainer);

#endif
