/* What the parts of the core share: the network as planned, and how to fail. */
#ifndef CR_INTERNAL_H
#define CR_INTERNAL_H

/* Products are rounded before they are added, except where a kernel says fma: the same bits on every CPU.  gcc, which does not
 * know the pragma, does so with -std=c11. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include "chainrule.h"
#include "float_mode.h"
#include "kernels/kernels.h"

#define CR_COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- status.c ------------------------------------------------------------------------------- */

/* Fills *error (unless NULL) and returns `status`, so that a check reads `return cr_fail(…)`.  The message is UTF-8 that
 * can be shown, whatever is quoted in it and wherever it is cut. */
#if defined __GNUC__
__attribute__((format(printf, 4, 5)))
#endif
chainrule_status
cr_fail(chainrule_error *error, chainrule_status status, size_t layer, const char *format, ...);
/* The same, behind what the message says already. */
#if defined __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
void cr_add_to_message(chainrule_error *error, const char *format, ...);
chainrule_status cr_null(chainrule_error *error, const char *argument);
/* A number for a message, in as few digits as tell it, or "NaN" or "infinity"; written to `text`, which is returned. */
enum { CR_NUMBER = 32 };
const char *cr_number(double value, char text[CR_NUMBER]);
chainrule_status cr_out_of_memory(chainrule_error *error, const char *what, size_t bytes);
/* Bytes of the UTF-8 character at `text`, of which `left` bytes are there; 0: it is none. */
size_t cr_utf8_length(const char *text, size_t left);

/* ---- network.c ------------------------------------------------------------------------------ */

/* One layer as planned.  Offsets count scalars from the start of the parameters, in which those that are learned come
 * first, and so of their gradients and of each array of optimizer state; statistics follow. */
typedef struct cr_layer {
  chainrule_layer_kind kind;
  size_t in, out;
  size_t panel;  /* neurons of a panel of weights */
  size_t padded; /* out, rounded up to whole panels */
  size_t stride; /* of a row of this layer's z, a and δ: at least padded */
  chainrule_activation activation; /* identity where the kind has none */
  size_t at[CHAINRULE_PARAMETER_COUNT]; /* offsets; all but weights are of `padded` values */
  size_t inverse; /* of batchNorm 1 / √(variance + ε), of scaling 1 / deviation */
  size_t rest;    /* of scaling: second factors, then zeros; where 1 / deviation has full precision, the first is 0 */
  size_t sums;    /* of batchNorm ∂L/∂γ, then ∂L/∂β, of a step's batch */
  bool has_bias;
  double rate, epsilon, momentum;
  size_t span;
  chainrule_elementwise_function *function, *derivative;
  void *context;
  chainrule_initializer draw_weights, draw_bias;
} cr_layer;

/* Where a layer's z, a and δ lie in a workspace, in scalars per row of its capacity: the buffer of a
 * workspace planned for n rows starts at n times the number. */
typedef struct cr_place {
  size_t z, a, delta;
  size_t inverse; /* layerNorm: 1 / √(variance + ε) of a row, in a cache line of its own */
} cr_place;

struct chainrule_network {
  chainrule_scalar scalar;
  const cr_kernel_set *kernels;
  size_t inputs, layer_count;
  size_t arena_size;      /* scalars in a parameter-shaped arena */
  size_t statistics_size; /* scalars behind the parameters */
  size_t parameter_count; /* without padding and statistics */
  size_t input_stride;    /* of x in whole vectors */
  bool pads_input;        /* x is brought into them first */
  bool calls_out;         /* a layer is a function of the program's own */
  size_t widest;          /* the largest stride of a layer */
  cr_layer *layers;
  cr_place *predicting;   /* of the input, then of the layers: z and a of neighbours alternate between two buffers */
  size_t standardized;    /* with target scaling, where a loss puts targets of a strip, [rows][outputs] */
  size_t predicting_size; /* scalars per row of those buffers */
  void *parameters;
  char **names[3]; /* by chainrule_names; NULL: none */
  char *metadata;  /* the caller's text; NULL: none */
};

/* Target scaling: the last layer, a scaling, only gives predictions the unit of the targets. */
static inline bool cr_scales_targets(const chainrule_network *network)
{
  return network->layer_count > 1 && network->layers[network->layer_count - 1].kind == CHAINRULE_LAYER_SCALING;
}

/* What a loss is computed of: the network without its target scaling.  It shares all memory of the network, but not the
 * statistics of the last layer; *view is its place. */
static inline const chainrule_network *cr_trained(const chainrule_network *network, chainrule_network *view)
{
  if (!cr_scales_targets(network)) return network;
  *view = *network;
  view->layer_count--;
  view->statistics_size = network->layers[view->layer_count].at[CHAINRULE_MEAN] - network->arena_size;
  return view;
}

/* Scalars of the parameters and the statistics behind them. */
static inline size_t cr_arena_end(const chainrule_network *network)
{
  return network->arena_size + network->statistics_size;
}

static inline size_t cr_scalar_size(chainrule_scalar scalar)
{
  return scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
}

static inline double cr_value(chainrule_scalar scalar, const void *values, size_t i)
{
  return scalar == CHAINRULE_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* values + index, in scalars */
static inline void *cr_at(chainrule_scalar scalar, const void *values, size_t index)
{
  return (char *)values + index * cr_scalar_size(scalar);
}

/* It has an f, whose f′ makes δ of ∂L/∂a. */
static inline bool cr_has_activation(const cr_layer *layer)
{
  return layer->kind == CHAINRULE_LAYER_DENSE || layer->kind == CHAINRULE_LAYER_ACTIVATION;
}
/* f′ of this activation is computed from z, which must then outlive a. */
bool cr_derives_from_z(chainrule_activation activation);
/* The loss gives ∂L/∂z of its output layer rather than ∂L/∂a. */
bool cr_is_fused(chainrule_loss loss);
bool cr_all_finite(const chainrule_network *network, const void *values, size_t count);
/* The first layer with a parameter that is not finite: "layer 2, weights: NaN after step 137". */
chainrule_status cr_check_parameters(const chainrule_network *network, uint64_t step, chainrule_error *error);
/* 64-byte aligned, zeroed; NULL also where count × size overflows.  Free with free(). */
void *cr_allocate(size_t count, size_t size);
bool cr_multiply(size_t a, size_t b, size_t *product);
bool cr_add(size_t a, size_t b, size_t *sum);

chainrule_status cr_check_scalar(const chainrule_network *network, chainrule_scalar scalar,
                                 chainrule_error *error);
/* The loss goes with the output layer. */
chainrule_status cr_check_loss(const chainrule_network *network, chainrule_loss loss, chainrule_error *error);
/* A network with target scaling has an output that has a unit. */
chainrule_status cr_check_target_scaling(const chainrule_network *network, chainrule_error *error);
/* Target i of [rows][outputs] in the unit of the loss: as it is, or standardised, rounded to the scalar. */
double cr_target(const chainrule_network *network, const void *y, size_t i);
/* All targets of these rows in that unit; `to` may be y. */
void cr_standardize(const chainrule_network *network, const void *y, size_t rows, void *to);
/* x and y of so many rows can be in memory at all. */
chainrule_status cr_check_rows(const chainrule_network *network, size_t rows, chainrule_error *error);
typedef struct cr_team cr_team; /* of threads; see below */
/* No value is NaN or infinite; the error tells where `what` has one.  A team, unless it is NULL, shares what is large. */
chainrule_status cr_check_finite(const chainrule_network *network, cr_team *team, const char *what,
                                 const void *values, size_t rows, size_t columns, chainrule_error *error);
/* Data of a call: finite x and y, targets in the loss's domain, finite sample weights ≥ 0. */
chainrule_status cr_check_data(const chainrule_network *network, cr_team *team, chainrule_loss loss, const void *x,
                               const void *y, const void *sample_weights, size_t rows,
                               chainrule_error *error);
/* Copies a parameter out of a parameter-shaped arena: [out][in] or [out], dense. */
void cr_read(const chainrule_network *network, const void *arena, size_t layer, chainrule_parameter parameter,
             void *values);
/* Copies one in. */
void cr_write(const chainrule_network *network, void *arena, size_t layer, chainrule_parameter parameter,
              const void *values);
/* The number of values of a layer's parameter, and of a layer of that description, given so many inputs. */
size_t cr_parameter_size(const cr_layer *layer, chainrule_parameter parameter);
size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter);
/* Copies names and metadata to a network of the same inputs and outputs. */
chainrule_status cr_copy_labels(const chainrule_network *network, chainrule_network *to, chainrule_error *error);
enum { CR_MOST_LAYERS = 10000 }; /* planning looks from each layer at those before and behind it */
enum { CR_LARGEST_TEXT = 100000000 }; /* bytes of a safetensors header, and so of metadata in it */
/* All parameters in the order of chainrule_network_get_parameters, out of a parameter-shaped arena. */
void cr_read_all(const chainrule_network *network, const void *arena, void *values);
/* Whose the k-th of all parameters is, in that order. */
void cr_name_parameter(const chainrule_network *network, size_t k, size_t *layer, chainrule_parameter *parameter,
                       size_t *index);
/* The layer whose a a residual layer adds; SIZE_MAX: the network's inputs. */
static inline size_t cr_joined(const cr_layer *layer, size_t l) { return l - layer->span - 1; }

/* ---- backprop.c: forward and backward, for the network's scalar type -------------------------- */

typedef struct cr_batch {
  size_t rows;
  const void *x, *y, *sample_weights; /* [rows][inputs], [rows][outputs], [rows] or NULL; y NULL: no loss */
} cr_batch;

/* What a pass has in training besides what it has in prediction. */
typedef struct cr_pass {
  void *moments;       /* of the batch, in the place of the network's statistics */
  const double *rates; /* of layers, as in the trainer: 0 stands still; NULL: none does */
  size_t rows;         /* of the whole batch */
  uint64_t key;        /* of dropout, another for each step */
} cr_pass;

/* A workspace planned for `capacity` rows, of which the batch at hand starts at row `first`. */
typedef struct cr_workspace {
  const cr_place *places; /* of the input, then of the layers */
  size_t capacity, first;
  void *buffers;
  void *scratch; /* backward and descend; see cr_scratch_size */
  const cr_pass *pass; /* NULL: prediction */
  const void *packed;  /* whose inputs descend has packed into the scratch last; NULL: no one's */
} cr_workspace;

/* The weights of a layer from these inputs to these neurons, and on, as far as a block reaches. */
typedef struct cr_block {
  size_t layer, input, neuron;
} cr_block;
enum { CR_BLOCK_PANELS = 4 };

/* How gradients become parameters: the optimizer's rule, its numbers, its state. */
typedef struct cr_descent {
  chainrule_optimizer_kind rule;
  const cr_update *update;
  void *state; /* `states` parameter-shaped arrays */
  size_t states;
  bool clips; /* gradients are first multiplied by `scale`, then kept within ±bound */
  double scale, bound;
} cr_descent;

enum { CR_STRIP = 96 }; /* the most rows at once of what is done strip by strip */

/* Fills z and a of layers `from` to `end` − 1.  A custom layer whose function fails ends it, as its derivative ends a way
 * back, with CHAINRULE_CALLBACK_FAILED; nothing else does. */
chainrule_status cr_forward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                            size_t from, size_t end, chainrule_error *error);
/* After forward, losses[r] = wᵣ lᵣ.  With `delta`, also the last layer's δ = ∂L/∂z for L = Σ wᵣ lᵣ / total. */
void cr_loss(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
             chainrule_loss loss, double total, bool delta, double *losses);
/* From δ of layer `from` that of every layer down to `end`. */
chainrule_status cr_backward(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                             size_t from, size_t end, chainrule_error *error);
/* From δ of layer 0, and of the layers that add x, ∂L/∂x: the δ of the input. */
chainrule_status cr_backward_input(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                                   chainrule_error *error);
/* After forward, the last layer's δ for L = the output `output` of each row. */
void cr_seed(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t output);
/* From δ and a of every layer, each row's own gradient of all parameters, in their one order, `stride` apart. */
void cr_row_gradients(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch,
                      void *gradients, size_t stride);
/* What a batchNorm of the layers needs of a whole batch, before its forward (its mean and variance) and before its
 * backward (∂L/∂γ and ∂L/∂β): of the columns that are this member's. */
bool cr_wants_moments(const chainrule_network *network, const cr_pass *pass, size_t l);
void cr_moments(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, size_t l,
                bool backward, size_t member, size_t members);
/* From δ and a of every layer: the gradients of its parameters.  With `gradients`, into that arena; with `descent`, each into the
 * parameters as soon as it is there.  The work is that of a block of a layer's weights, CR_CHUNK inputs by
 * CR_BLOCK_PANELS panels; the bias goes with the first inputs.  Of a layer without weights it is the whole.
 * batch NULL: the gradients are there already.  Blocks of the same inputs are best taken in a row, and a workspace for one
 * batch only, since they are packed once.  With `follows`, running statistics follow the batch. */
void cr_descend(const chainrule_network *network, cr_workspace *work, const cr_batch *batch,
                cr_block block, void *gradients, const cr_descent *descent, bool follows);
/* Σ g² of the gradients of the layers that learn.  The order of the sums does not depend on the panels. */
double cr_square_norm(const chainrule_network *network, const double *rates, const void *gradients, void *scratch);
/* Weights of the neurons of a block, whose input is 0, with a norm above `most` are scaled down to it. */
void cr_limit(const chainrule_network *network, cr_block block, double most);
/* sum ← sum + weight × gradients, of all parameters */
void cr_accumulate(const chainrule_network *network, const void *gradients, double weight, void *sum);
/* The last layer's a, [rows][outputs]; and its δ from ∂lᵣ/∂a, [rows][outputs], as after cr_loss. */
void cr_outputs(const chainrule_network *network, const cr_workspace *work, size_t rows, void *outputs);
void cr_set_gradient(const chainrule_network *network, const cr_workspace *work, const cr_batch *batch, double total,
                     const void *gradient);
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
size_t cr_narrow_steps(const chainrule_network *network, const cr_batch *batch, const size_t *order, chainrule_loss loss,
                       const cr_descent *descent, cr_next *next, void *context, double *sum, void *buffers);
/* Σ wᵣ, or rows where there are no sample weights. */
static inline double cr_total_weight(const chainrule_network *network, const cr_batch *batch)
{
  if (!batch->sample_weights) return (double)batch->rows;
  double total = 0;
  for (size_t r = 0; r < batch->rows; r++) total += cr_value(network->scalar, batch->sample_weights, r);
  return total;
}

/* ---- workspace.c ------------------------------------------------------------------------------ */

/* z, a and δ share memory as a step lets them; each is kept for the views; prediction, and back to the inputs. */
typedef enum cr_purpose { CR_SHARE, CR_KEEP, CR_ANALYSIS } cr_purpose;
enum { CR_SLICE = 8 }; /* rows of a member's slice start at multiples of this */

size_t cr_plan_places(const chainrule_network *network, cr_purpose purpose, cr_place *places);
size_t cr_scratch_size(const chainrule_network *network, size_t rows, size_t members);
/* A workspace of its own for analysis, of up to `rows` rows. */
chainrule_status cr_workspace_create(const chainrule_network *network, size_t rows, cr_workspace *work,
                                     chainrule_error *error);
void cr_workspace_free(cr_workspace *work);

/* ---- analysis.c ------------------------------------------------------------------------------- */

/* [rows][outputs][parameters] of a strip. */
chainrule_status cr_parameter_jacobian(const chainrule_network *network, const cr_workspace *work,
                                       const cr_batch *batch, void *jacobian, chainrule_error *error);

/* L of all rows as a function of the parameters, in prediction mode: all in float64, on copies, the network without a
 * target scaling and the targets in its unit. */
typedef struct cr_objective {
  chainrule_network *network;
  chainrule_loss loss;
  cr_batch batch;
  double total; /* Σ wᵣ */
  cr_workspace work;
  double *strip, *sum; /* gradients, parameter-shaped */
} cr_objective;

/* The data have been checked. */
chainrule_status cr_objective_create(const chainrule_network *network, chainrule_loss loss, cr_batch all,
                                     cr_objective *objective, chainrule_error *error);
void cr_objective_free(cr_objective *objective);
/* The strip behind `batch`, which starts at row *start; false behind the last.  Begin with 0 and no rows. */
bool cr_objective_next(const cr_objective *objective, size_t *start, cr_batch *batch);
/* L and, unless `gradient` is NULL, ∂L/∂p, in the one order of all parameters. */
chainrule_status cr_objective_value(const cr_objective *objective, double *gradient, double *value,
                                    chainrule_error *error);

/* ---- fullbatch.c: the objective as least_squares.c and descent.c see it ------------------------ */

typedef struct cr_problem {
  cr_objective objective;
  const chainrule_minimization *settings;
  size_t parameters;
  double *best; /* the parameters of the smallest finite L so far; at first, of the start */
  chainrule_minimum so_far;
  atomic_bool *stop;
  bool stopped, refused;   /* by a stop, or since `status` is not 0; by the progress function */
  chainrule_status status; /* of a custom layer's function that failed, which stops the run */
  chainrule_error *error;
} cr_problem;

/* L, and its gradient unless that is NULL; false where one is not finite, or where the run has been stopped. */
bool cr_problem_value(cr_problem *problem, const double *parameters, double *loss, double *gradient);
/* f [rows][outputs] with L = ½ Σ f²; false as above. */
bool cr_problem_residuals(cr_problem *problem, const double *parameters, double *f, double *loss);
/* Takes the parameters; false where one is not finite.  Then ∂f/∂p of a strip, [rows][outputs][parameters]; false where the
 * run has been stopped by it. */
bool cr_problem_move(cr_problem *problem, const double *parameters);
bool cr_problem_jacobian(cr_problem *problem, const cr_batch *batch, double *jacobian);
bool cr_problem_stopped(cr_problem *problem);
/* How far from a minimum, in numbers that the scale of L and of the targets does not change; each has a tolerance.
 * INFINITY: not known. */
typedef struct cr_measure {
  double gradient; /* of sums of squares the largest cosine of f and ∂f/∂p; else see descent.c */
  double step;     /* the length of the last step against that of the parameters */
  double fall;     /* of L by the last step, in parts of L */
} cr_measure;

/* One of the measures is within its tolerance, which then is the run's ending. */
bool cr_problem_is_close(cr_problem *problem, cr_measure measure);
/* The start is within the gradient's tolerance. */
bool cr_problem_starts_at_minimum(cr_problem *problem, const double *gradient, double measure);
/* Counts an iteration, which led to this gradient; whether it is the last. */
bool cr_problem_ends(cr_problem *problem, const double *gradient, cr_measure measure);
/* No step was found. */
void cr_problem_gives_up(cr_problem *problem);

/* ---- least_squares.c, descent.c ---------------------------------------------------------------- */

/* Run the problem's method until the problem ends: Levenberg-Marquardt; one that searches along lines. */
chainrule_status cr_minimize_squares(cr_problem *problem, chainrule_error *error);
chainrule_status cr_descend_lines(cr_problem *problem, chainrule_error *error);

/* ---- team.c: threads that share a step --------------------------------------------------------- */

typedef void cr_job(void *context, size_t part);

/* CPUs that this process may use. */
size_t cr_cpu_count(void);
/* The caller and size − 1 threads; NULL where size is 1. */
chainrule_status cr_team_create(size_t size, cr_team **team, chainrule_error *error);
/* Does each of the job's parts once, as many as the team's size at most; returns when all are done.  Any thread may do any
 * part; the caller is alone where the process has forked since. */
void cr_team_run(cr_team *team, size_t parts, cr_job *job, void *context);
/* Its size, or 1 for as long as its threads would hold the caller up, since others want the CPUs. */
size_t cr_team_ready(cr_team *team);
void cr_team_free(cr_team *team);

/* ---- replace.c ------------------------------------------------------------------------------- */

/* "cannot write: No space left on device": what was refused, and the system's reason, an errno. */
chainrule_status cr_refused(chainrule_error *error, const char *what, int code);
/* All of the bytes, however often the system takes a part. */
chainrule_status cr_write_all(int file, const void *bytes, size_t size, chainrule_error *error);

/* Writes the contents `what` to a new file. */
typedef chainrule_status cr_writer(int file, const void *what, chainrule_error *error);
/* Replaces the file at `path` by what `write` writes; replace.h says how. */
chainrule_status cr_replace_file(const char *path, cr_writer *write, const void *what,
                                 chainrule_error *error);

/* ---- dispatch.c ------------------------------------------------------------------------------ */

/* The kernel set of that name; NULL: of CHAINRULE_ISA, or the best of this CPU. */
chainrule_status cr_select_kernels(const char *name, const cr_kernel_set **kernels, chainrule_error *error);

/* ---- gsl_bridge.c ---------------------------------------------------------------------------- */

/* One of 2⁶⁴ streams of random numbers of a seed. */
typedef struct cr_random {
  uint64_t state[4];
} cr_random;

enum { CR_THREADS = 256 }; /* the most of a trainer */

enum { CR_STREAM_PARAMETERS = 0, CR_STREAM_ORDER = 1 }; /* order: 1 + the number of the epoch */
#define CR_STREAM_NOISE ((uint64_t)1 << 63) /* | a number of the step and the row */

cr_random cr_random_stream(uint64_t seed, uint64_t stream);
/* σ n, n normal. */
double cr_noise(cr_random *random, double sigma);
/* One draw of an initialiser other than DEFAULT. */
double cr_draw(cr_random *random, chainrule_initializer initializer, size_t fan_in, size_t fan_out);
/* 0 … count − 1 in random order. */
void cr_shuffle(cr_random *random, size_t *order, size_t count);

#endif
