/* Forward and backward, for the network's scalar type, and where z, a and δ lie. */
#ifndef CR_BACKPROP_H
#define CR_BACKPROP_H

#include "../network/network.h"

/* Calls function_f32 or function_f64, whichever the network's scalar type is. */
#define EITHER(function, ...)                                                                                \
  (network->scalar == CHAINRULE_FLOAT32 ? cr_##function##_f32(__VA_ARGS__) : cr_##function##_f64(__VA_ARGS__))

typedef struct cr_batch {
  size_t rows;
  const void *x, *y, *sample_weights; /* [rows][inputs], [rows][outputs], [rows] or NULL; y NULL: no loss */
} cr_batch;

/* A workspace planned for `capacity` rows, of which the batch at hand starts at row `first`. */
typedef struct cr_workspace {
  const cr_place *places; /* of the input, then of the layers */
  size_t capacity, first;
  void *buffers;
  void *scratch;       /* backward and descend; see cr_scratch_size */
  const cr_pass *pass; /* NULL: prediction */
  const void *packed;  /* whose inputs descend has packed into the scratch last; NULL: no one's */
} cr_workspace;

enum { CR_STRIP = 96 }; /* the most rows at once of what is done strip by strip */

/* Fills z and a of layers `from` to `end` − 1.  A custom layer whose function fails ends it, as its derivative ends a way
 * back, with CHAINRULE_CALLBACK_FAILED; nothing else does. */
chainrule_status cr_forward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                            size_t from, size_t end, chainrule_error *error);
/* After forward, losses[r] = wᵣ lᵣ.  With `delta`, also the last layer's δ = ∂L/∂z for L = Σ wᵣ lᵣ / total. */
void cr_loss(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
             chainrule_loss loss, double total, bool delta, double *losses);
/* From δ of layer `from` that of every layer down to `end`. */
chainrule_status cr_backward(const chainrule_network *network, const cr_workspace *work,
                             const cr_batch *batch, size_t from, size_t end, chainrule_error *error);
/* From δ of layer 0, and of the layers that add x, ∂L/∂x: the δ of the input. */
chainrule_status cr_backward_input(const chainrule_network *network, const cr_workspace *work,
                                   const cr_batch *batch, chainrule_error *error);
/* After forward, the last layer's δ for L = the output `output` of each row. */
void cr_seed(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t output);
/* From δ and a of every layer, each row's own gradient of all parameters, in their one order, `stride` apart. */
void cr_row_gradients(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                      void *gradients, size_t stride);
/* What layer l, which wants moments, needs of a whole batch before its forward and before its backward: of the columns that
 * are this member's. */
void cr_moments(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t l,
                bool backward, size_t member, size_t members);
/* Moves to the next block of the layers that learn, in their order; false after the last.  Start at CR_BEFORE_FIRST. */
#define CR_BEFORE_FIRST ((cr_block){.layer = SIZE_MAX})
bool cr_next_block(const chainrule_network *network, cr_block *block);
/* From δ and a of every layer: the gradients of a block's parameters.  With `gradients`, into that arena; with `descent`, each into
 * the parameters as soon as it is there.  batch NULL: the gradients are there already.  Blocks of the same inputs are best taken in a row, and a workspace for one
 * batch only, since they are packed once.  With `follows`, running statistics follow the batch. */
void cr_descend(const chainrule_network *network, cr_workspace *work, const cr_batch *batch, cr_block block,
                void *gradients, const cr_descent *descent, bool follows);
/* Σ g² of the gradients of the layers that learn.  The order of the sums does not depend on the panels. */
double cr_square_norm(const chainrule_network *network, const double *rates, const void *gradients,
                      void *scratch);
/* Weights of the neurons of a block, whose input is 0, with a norm above `most` are scaled down to it. */
void cr_limit(const chainrule_network *network, cr_block block, double most);
/* sum ← sum + weight × gradients, of all parameters */
void cr_accumulate(const chainrule_network *network, const void *gradients, double weight, void *sum);
/* The last layer's a, [rows][outputs]; and its δ from ∂lᵣ/∂a, [rows][outputs], as after cr_loss. */
void cr_outputs(const chainrule_network *network, const cr_workspace *work, size_t rows, void *outputs);
void cr_set_gradient(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                     double total, const void *gradient);
/* Σ wᵣ; the number of rows if sample_weights is NULL. */
static inline double cr_total_weight(const chainrule_network *network, const cr_batch *batch)
{
  if (!batch->sample_weights) return (double)batch->rows;
  double total = 0;
  for (size_t r = 0; r < batch->rows; r++) total += cr_value(network->scalar, batch->sample_weights, r);
  return total;
}

/* ---- narrow.c ------------------------------------------------------------------------------------ */

/* Bytes of buffers that cr_narrow wants; 0: this network is not narrow. */
size_t cr_narrow_size(const chainrule_network *network);
/* Before it is used: where the optimizer's state is, which may be NULL where there is none. */
void cr_plan_narrow(const chainrule_network *network, const void *state, void *buffers);
/* Forward, loss and backward of a narrow network, at once: the losses, and the gradients into an arena, unless it is a
 * single row, whose gradients cr_narrow_descend makes. */
void cr_narrow(const chainrule_network *network, const cr_batch *batch, chainrule_loss loss, double total,
               double *losses, void *gradients, void *buffers);
/* After it, one update of all parameters. */
void cr_narrow_descend(const chainrule_network *network, const cr_batch *batch, const cr_descent *descent,
                       const void *gradients, const void *buffers);
/* Steps of single rows, in this order: as many as there are, or until a loss is not finite; returns how many.  `next`, where
 * there is one, prepares each update.  The losses are added to *sum. */
typedef void cr_next(void *context);
size_t cr_narrow_steps(const chainrule_network *network, const cr_batch *batch, const size_t *order,
                       chainrule_loss loss, const cr_descent *descent, cr_next *next, void *context,
                       double *sum, void *buffers);

/* ---- workspace.c --------------------------------------------------------------------------------- */

/* Scalars of scratch for a batch of `rows`, for all members, however few of them take part; SIZE_MAX where the number
 * overflows. */
size_t cr_scratch_size(const chainrule_network *network, size_t rows, size_t members);
/* A workspace of its own for analysis, of up to `rows` rows. */
chainrule_status cr_workspace_create(const chainrule_network *network, size_t rows, cr_workspace *work,
                                     chainrule_error *error);
void cr_workspace_free(cr_workspace *work);

#endif
