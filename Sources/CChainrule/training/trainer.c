/* What a trainer needs is planned here, once: memory for batches, the optimizer's state, blocks of weights for threads. */
#include "trainer.h"
#include "options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Multiplications of a step that are worth a thread: some five microseconds. */
#ifndef CR_WORTH_A_THREAD
#define CR_WORTH_A_THREAD 250000
#endif

/* ---- Checks ------------------------------------------------------------------------------------ */

static chainrule_status check_batch_size(size_t batch_size, chainrule_error *error)
{
  if (batch_size >= 1 && batch_size <= INT32_MAX)
    return CHAINRULE_OK; /* CBLAS, which GSL calls, counts in int */
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "batch size is %zu; expected 1 to %d", batch_size,
                 INT32_MAX);
}

static bool is_amount(double x) { return x >= 0 && isfinite(x); }

static chainrule_status check_training(const chainrule_network *network,
                                       const chainrule_trainer_options *training, chainrule_error *error)
{
  if (training->threads > CR_THREADS)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "threads is %zu; expected at most %d",
                   training->threads, CR_THREADS);
  const struct {
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {"label smoothing", "0 or more, and less than 1", training->label_smoothing,
       training->label_smoothing >= 0 && training->label_smoothing < 1},
      {"input noise", "a finite number, 0 or more", training->input_noise, is_amount(training->input_noise)},
      {"clip value", "a finite number above 0, or 0 for none", training->clip_value,
       is_amount(training->clip_value)},
      {"clip norm", "a finite number above 0, or 0 for none", training->clip_norm,
       is_amount(training->clip_norm)},
      {"max norm", "a finite number above 0, or 0 for none", training->max_norm, is_amount(training->max_norm)},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s must be %s; got %s", checks[i].name,
                     checks[i].expected, cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  for (size_t l = 0; training->rates && l < network->layer_count; l++)
    if (!is_amount(training->rates[l]))
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                     "layer %zu: rate must be a finite number, 0 or more; got %s", l + 1,
                     cr_number(training->rates[l], (char[CR_NUMBER]){0}));
  const bool entropy =
      training->loss == CHAINRULE_LOSS_CROSS_ENTROPY || training->loss == CHAINRULE_LOSS_BINARY_CROSS_ENTROPY;
  if (training->label_smoothing > 0 && (!entropy || training->loss_function))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "label smoothing needs crossEntropy or binaryCrossEntropy; the loss is %s",
                   training->loss_function ? "a function" : chainrule_loss_name(training->loss));
  chainrule_status status = check_batch_size(training->batch_size, error);
  if (!status) status = cr_check_target_scaling(network, error);
  if (!status && !training->loss_function) status = cr_check_loss(network, training->loss, error);
  if (!status) status = chainrule_schedule_check(&training->schedule, error);
  return status ? status : cr_optimizer_check(&training->optimizer, error);
}

/* ---- Memory ------------------------------------------------------------------------------------ */

/* Cuts every layer's weights into blocks. */
static chainrule_status plan_blocks(chainrule_trainer *t, chainrule_error *error)
{
  cr_block block = CR_BEFORE_FIRST;
  while (cr_next_block(t->network, &block)) t->block_count++;
  t->blocks = calloc(t->block_count + 1, sizeof *t->blocks);
  if (!t->blocks) return cr_out_of_memory(error, "the plan", t->block_count * sizeof *t->blocks);
  block = CR_BEFORE_FIRST;
  for (size_t i = 0; cr_next_block(t->network, &block); i++) t->blocks[i] = block;
  return CHAINRULE_OK;
}

/* count × rows scalars, unless *status is an error already; the error names `what`. */
static void *allocate(const chainrule_network *network, size_t count, size_t rows, const char *what,
                      chainrule_status *status, chainrule_error *error)
{
  size_t scalars, bytes;
  if (*status) return NULL;
  if (!cr_multiply(count, rows, &scalars) || !cr_multiply(scalars, cr_scalar_size(network->scalar), &bytes))
    bytes = SIZE_MAX;
  void *memory = bytes == SIZE_MAX ? NULL : cr_allocate(scalars, cr_scalar_size(network->scalar));
  if (!memory) *status = cr_out_of_memory(error, what, bytes);
  return memory;
}

/* A step may be that of cr_narrow.  (Softmax under another loss than its own has a Jacobian, for rows alone.) */
static bool is_narrow(const chainrule_trainer *t)
{
  const chainrule_network *network = t->network;
  const bool softmax =
      network->layers[network->layer_count - 1].spec.activation == CHAINRULE_ACTIVATION_SOFTMAX;
  const chainrule_trainer_options *g = &t->training;
  return !g->keep && !cr_needs_all_gradients(g) && g->clip_value == 0 && g->max_norm == 0 &&
         g->input_noise == 0 && !g->rates && !g->loss_function && cr_narrow_size(network) > 0 &&
         (!softmax || cr_is_fused(g->loss));
}

static void free_batches(cr_workspace *work, cr_batch *gathered)
{
  free(work->buffers);
  free(work->scratch);
  free((void *)gathered->x);
  free((void *)gathered->y);
  free((void *)gathered->sample_weights);
}

/* All memory that grows with the rows of a batch; in place of what there was, once all is there. */
static chainrule_status plan_batches(chainrule_trainer *t, size_t rows, chainrule_error *error)
{
  const chainrule_network *network = t->network;
  chainrule_status status = CHAINRULE_OK;
  cr_workspace work = {.places = t->places, .capacity = rows, .pass = &t->pass};
  cr_batch gathered = {0};
  work.buffers = allocate(network, t->place_size, rows, "z, a and delta", &status, error);
  const size_t scratch = cr_scratch_size(network, rows, t->members);
  work.scratch = allocate(network, scratch, 1, "scratch", &status, error);
  gathered.x = allocate(network, network->inputs, rows, "a batch", &status, error);
  gathered.y = allocate(network, chainrule_network_outputs(network), rows, "a batch", &status, error);
  gathered.sample_weights = allocate(network, 1, rows, "a batch", &status, error);
  const size_t outputs = t->training.loss_function ? chainrule_network_outputs(network) : 0;
  void *a = allocate(network, outputs, rows, "the outputs", &status, error);
  void *gradient = allocate(network, outputs, rows, "the outputs' gradient", &status, error);
  double *losses = status ? NULL : cr_allocate(rows, sizeof *losses);
  if (!status && !losses) status = cr_out_of_memory(error, "the losses", rows * sizeof *losses);
  if (status) return free(a), free(gradient), free_batches(&work, &gathered), status;
  free_batches(&t->work, &t->gathered);
  free(t->losses);
  free(t->outputs);
  free(t->output_gradient);
  t->outputs = a;
  t->output_gradient = gradient;
  t->losses = losses;
  t->work = work;
  t->scratch_scalars = scratch;
  t->gathered = gathered;
  t->training.batch_size = rows;
  t->rows_in_view = 0;
  return CHAINRULE_OK;
}

static chainrule_status create(chainrule_network *network, const chainrule_trainer_options *given,
                               chainrule_trainer **result, chainrule_error *error)
{
  if (!result) return cr_null(error, "trainer");
  *result = NULL;
  if (!network) return cr_null(error, "network");
  chainrule_trainer_options options, *const training = &options;
  chainrule_status status = cr_read_options(given, training, error);
  if (!status) status = check_training(network, training, error);
  if (status) return status;

  chainrule_trainer *t = calloc(1, sizeof *t);
  if (t) t->places = calloc(network->layer_count + 1, sizeof *t->places);
  if (!t || !t->places) {
    chainrule_trainer_free(t);
    return cr_out_of_memory(error, "a trainer", sizeof *t + (network->layer_count + 1) * sizeof *t->places);
  }
  const chainrule_optimizer *o = &training->optimizer;
  t->whole = t->network = network;
  if (cr_trained(network, &t->view) != network) network = t->network = &t->view;
  t->training = *training;
  t->members = training->threads < cr_cpu_count() ? training->threads : cr_cpu_count();
  if (t->members == 0) t->members = 1;
  t->threads_per_row = 3 * (double)network->parameter_count / CR_WORTH_A_THREAD;
  t->place_size = cr_plan_places(network, training->keep ? CR_KEEP : CR_SHARE, t->places);
  t->optimizer = cr_optimizer_start(o);
  if (training->rates) {
    t->rates = calloc(network->layer_count, sizeof *t->rates);
    if (!t->rates)
      status = cr_out_of_memory(error, "the rates", network->layer_count * sizeof *t->rates);
    else
      memcpy(t->rates, training->rates, network->layer_count * sizeof *t->rates);
    t->training.rates = t->pass.rates = t->rates;
  }
  if (training->accumulate > 1)
    t->sum = allocate(network, network->arena_size, 1, "the gradients", &status, error);
  t->good = allocate(network, cr_arena_end(t->whole), 1, "the last good parameters", &status, error);
  cr_update_rate(t);
  if (training->keep || cr_needs_all_gradients(training))
    t->gradients = allocate(network, network->arena_size, 1, "the gradients", &status, error);
  const size_t states = cr_optimizer_states(o, (const char *[CR_STATES]){0});
  t->state = allocate(network, network->arena_size, states, "the optimizer's state", &status, error);
  t->pass.moments = allocate(network, network->statistics_size, 1, "the moments", &status, error);
  t->descent = (cr_descent){.rule = o->kind,
                            .update = &t->optimizer.update,
                            .state = t->state,
                            .states = states,
                            .bound = training->clip_value > 0 ? training->clip_value : INFINITY};
  if (is_narrow(t)) {
    const size_t bytes = cr_narrow_size(network);
    if (!status && !(t->narrow = cr_allocate(bytes, 1)))
      status = cr_out_of_memory(error, "z, a and delta", bytes);
    if (!status) cr_plan_narrow(network, t->state, t->narrow);
    t->narrow_gradients = allocate(network, network->arena_size, 1, "the gradients", &status, error);
  }
  if (!status) status = plan_batches(t, training->batch_size, error);
  if (!status) status = plan_blocks(t, error);
  if (!status && !(t->shares = cr_allocate(t->members, sizeof *t->shares)))
    status = cr_out_of_memory(error, "the plan", t->members * sizeof *t->shares);
  if (!status) status = cr_team_create(t->members, &t->team, error);
  if (status) return chainrule_trainer_free(t), status;
  *result = t;
  return CHAINRULE_OK;
}

chainrule_status chainrule_trainer_create(chainrule_network *network, const chainrule_trainer_options *training,
                                          chainrule_trainer **result, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, create(network, training, result, error));
}

chainrule_status chainrule_trainer_set_batch_size(chainrule_trainer *trainer, size_t batch_size,
                                                  chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  chainrule_status status = check_batch_size(batch_size, error);
  if (status || batch_size == trainer->training.batch_size) return status;
  if (trainer->position > 0 && !trainer->restored)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "epoch %llu was stopped after %zu rows; finish or abandon it before the batch size changes",
                   (unsigned long long)trainer->epochs + 1, trainer->position);
  return plan_batches(trainer, batch_size, error);
}

void chainrule_trainer_free(chainrule_trainer *t)
{
  if (!t) return;
  cr_team_free(t->team);
  free(t->shares);
  free(t->blocks);
  free(t->narrow);
  free(t->narrow_gradients);
  free(t->pass.moments);
  free(t->rates);
  free(t->sum);
  free(t->good);
  free(t->outputs);
  free(t->output_gradient);
  free_batches(&t->work, &t->gathered);
  free(t->losses);
  free(t->order);
  free(t->state);
  free(t->gradients);
  free(t->places);
  free(t);
}

chainrule_status chainrule_trainer_on_step(chainrule_trainer *trainer,
                                           chainrule_trainer_step_function *function, void *context,
                                           chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  trainer->on_step = function;
  trainer->step_context = context;
  return CHAINRULE_OK;
}

uint64_t chainrule_trainer_steps(const chainrule_trainer *trainer) { return trainer->steps; }
uint64_t chainrule_trainer_epochs(const chainrule_trainer *trainer) { return trainer->epochs; }
uint64_t chainrule_trainer_rows(const chainrule_trainer *trainer)
{
  return trainer->in_parts ? trainer->epoch_rows : trainer->position;
}
void chainrule_trainer_stop(chainrule_trainer *trainer)
{
  if (trainer) atomic_store(&trainer->stop, true);
}

/* ---- The learning rate ------------------------------------------------------------------------- */

void cr_update_rate(chainrule_trainer *t)
{
  const chainrule_schedule *schedule = &t->training.schedule;
  const bool per_step = schedule->unit == CHAINRULE_PER_STEP;
  t->optimizer.update.rate = chainrule_schedule_rate(schedule, t->training.optimizer.learning_rate,
                                                     per_step ? t->steps : t->epochs, &t->plateau);
  t->rate_is_due = per_step;
  atomic_store_explicit(&t->learning_rate, t->optimizer.update.rate, memory_order_relaxed);
}

double chainrule_trainer_learning_rate(const chainrule_trainer *trainer)
{
  return atomic_load_explicit(&trainer->learning_rate, memory_order_relaxed);
}

static chainrule_status set_learning_rate(chainrule_trainer *trainer, double learning_rate,
                                          chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  chainrule_optimizer changed = trainer->training.optimizer;
  changed.learning_rate = learning_rate;
  const chainrule_status status = cr_optimizer_check(&changed, error);
  if (status) return status;
  trainer->training.optimizer = changed;
  cr_update_rate(trainer);
  return CHAINRULE_OK;
}

chainrule_status chainrule_trainer_set_learning_rate(chainrule_trainer *trainer, double learning_rate,
                                                     chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, set_learning_rate(trainer, learning_rate, error));
}

static chainrule_status observe(chainrule_trainer *trainer, double loss, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  const chainrule_schedule *schedule = &trainer->training.schedule;
  trainer->rate_is_due = true;
  return chainrule_schedule_observe(schedule,
                                    schedule->unit == CHAINRULE_PER_STEP ? trainer->steps : trainer->epochs,
                                    loss, &trainer->plateau, error);
}

chainrule_status chainrule_trainer_observe(chainrule_trainer *trainer, double loss, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, observe(trainer, loss, error));
}
