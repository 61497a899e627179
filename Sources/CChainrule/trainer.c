/* Training: a step is forward, loss, backward, update; an epoch is steps over all rows in random order. */
#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Optimizers -------------------------------------------------------------------------------- */

chainrule_optimizer chainrule_optimizer_default(chainrule_optimizer_kind kind)
{
  chainrule_optimizer o = {
      .kind = kind, .learning_rate = 0.001, .alpha = 0.99, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8,
      .momentum_decay = 0.004, .eta_minus = 0.5, .eta_plus = 1.2, .step_min = 1e-6, .step_max = 50};
  switch (kind) {
  case CHAINRULE_OPTIMIZER_SGD: break;
  case CHAINRULE_OPTIMIZER_ADAGRAD: o.learning_rate = 0.01, o.epsilon = 1e-10; break;
  case CHAINRULE_OPTIMIZER_RMSPROP: o.learning_rate = 0.01; break;
  case CHAINRULE_OPTIMIZER_ADAM: break;
  case CHAINRULE_OPTIMIZER_ADAMW: o.weight_decay = 0.01; break;
  case CHAINRULE_OPTIMIZER_ADADELTA: o.learning_rate = 1, o.alpha = 0.9, o.epsilon = 1e-6; break;
  case CHAINRULE_OPTIMIZER_ADAMAX:
  case CHAINRULE_OPTIMIZER_NADAM: o.learning_rate = 0.002; break;
  case CHAINRULE_OPTIMIZER_RPROP: o.learning_rate = 0.01; break;
  case CHAINRULE_OPTIMIZER_LION: o.learning_rate = 0.0001, o.beta2 = 0.99; break;
  }
  return o;
}

size_t cr_state_names(const chainrule_optimizer *o, const char *names[CR_STATES])
{
  size_t count = 0;
  switch (o->kind) {
  case CHAINRULE_OPTIMIZER_SGD:
    if (o->momentum != 0) names[count++] = "v";
    break;
  case CHAINRULE_OPTIMIZER_ADAGRAD: names[count++] = "s"; break;
  case CHAINRULE_OPTIMIZER_RMSPROP:
    names[count++] = "s";
    if (o->centered) names[count++] = "m";
    if (o->momentum != 0) names[count++] = "v";
    break;
  case CHAINRULE_OPTIMIZER_ADAM:
  case CHAINRULE_OPTIMIZER_ADAMW:
    names[count++] = "m", names[count++] = "v";
    if (o->amsgrad) names[count++] = "w";
    break;
  case CHAINRULE_OPTIMIZER_ADADELTA: names[count++] = "s", names[count++] = "w"; break;
  case CHAINRULE_OPTIMIZER_ADAMAX: names[count++] = "m", names[count++] = "s"; break;
  case CHAINRULE_OPTIMIZER_NADAM: names[count++] = "m", names[count++] = "v"; break;
  case CHAINRULE_OPTIMIZER_RPROP: names[count++] = "g", names[count++] = "step"; break;
  case CHAINRULE_OPTIMIZER_LION: names[count++] = "m"; break;
  }
  return count;
}

static size_t state_count(const chainrule_optimizer *o) { return cr_state_names(o, (const char *[CR_STATES]){0}); }

static chainrule_status check_optimizer(const chainrule_optimizer *o, chainrule_error *error)
{
  if ((size_t)o->kind >= CHAINRULE_OPTIMIZER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "optimizer %d is not in the catalogue",
                   (int)o->kind);
  const char *name = chainrule_optimizer_name(o->kind);
  const char *alpha = o->kind == CHAINRULE_OPTIMIZER_ADADELTA ? "rho" : "alpha";
  const struct {
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {"learning rate", "a finite number, 0 or more",
       o->learning_rate, o->learning_rate >= 0 && isfinite(o->learning_rate)},
      {"weight decay", "a finite number, 0 or more",
       o->weight_decay, o->weight_decay >= 0 && isfinite(o->weight_decay)},
      {"l1", "a finite number, 0 or more", o->l1, o->l1 >= 0 && isfinite(o->l1)},
      {"momentum", "a finite number, 0 or more", o->momentum, o->momentum >= 0 && isfinite(o->momentum)},
      {alpha, "0 or more, and less than 1", o->alpha, o->alpha >= 0 && o->alpha < 1},
      {"beta1", "0 or more, and less than 1", o->beta1, o->beta1 >= 0 && o->beta1 < 1},
      {"beta2", "0 or more, and less than 1", o->beta2, o->beta2 >= 0 && o->beta2 < 1},
      {"epsilon", "a finite number above 0", o->epsilon, o->epsilon > 0 && isfinite(o->epsilon)},
      {"momentum decay", "a finite number, 0 or more",
       o->momentum_decay, o->momentum_decay >= 0 && isfinite(o->momentum_decay)},
      {"eta minus", "above 0, and less than 1", o->eta_minus, o->eta_minus > 0 && o->eta_minus < 1},
      {"eta plus", "a finite number above 1", o->eta_plus, o->eta_plus > 1 && isfinite(o->eta_plus)},
      {"step min", "a finite number, 0 or more", o->step_min, o->step_min >= 0 && isfinite(o->step_min)},
      {"step max", "a finite number, step min or more",
       o->step_max, o->step_max >= o->step_min && isfinite(o->step_max)},
      {"momentum", "above 0, as Nesterov's look ahead needs it",
       o->momentum, !o->nesterov || o->momentum > 0},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: %s must be %s; got %s", name, checks[i].name,
                     checks[i].expected, cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  return CHAINRULE_OK;
}

void cr_update_rate(chainrule_trainer *t)
{
  const chainrule_schedule *schedule = &t->training.schedule;
  const bool per_step = schedule->unit == CHAINRULE_PER_STEP;
  t->update.rate = chainrule_schedule_rate(schedule, t->training.optimizer.learning_rate,
                                           per_step ? t->steps : t->epochs, &t->plateau);
  t->rate_is_due = per_step;
  atomic_store_explicit(&t->learning_rate, t->update.rate, memory_order_relaxed);
}

double chainrule_trainer_learning_rate(const chainrule_trainer *trainer)
{
  return atomic_load_explicit(&trainer->learning_rate, memory_order_relaxed);
}

static chainrule_status set_learning_rate(chainrule_trainer *trainer, double learning_rate,
                                          chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  if (!(learning_rate >= 0 && isfinite(learning_rate)))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "learning rate is %g; expected a finite number, 0 or more", learning_rate);
  trainer->training.optimizer.learning_rate = learning_rate;
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

/* 0.96^ψ = eˣ, x = ψ log 0.96 ≤ 0, by the series of eˣ, of an x halved until it is above −½, squared as often: the
 * same bits with any C library. */
static double momentum_factor(double decay)
{
  double x = decay * -0x1.4e69ed6d80eb3p-5, sum = 1; /* log 0.96 */
  int squarings = 0;
  for (; x < -0.5; squarings++) x /= 2;
  for (int k = 16; k > 0; k--) sum = 1 + x * sum / k;
  for (; squarings > 0; squarings--) sum *= sum;
  return sum;
}

/* nadam's shares of m and g in step t. */
static void next_momentum(chainrule_trainer *trainer)
{
  cr_update *u = &trainer->update;
  trainer->decay_power *= trainer->decay_factor;
  const double mu = u->beta1 * (1 - trainer->decay_power / 2);
  const double next = u->beta1 * (1 - trainer->decay_power * trainer->decay_factor / 2);
  trainer->mu_product *= mu;
  u->gradient_share = (1 - mu) / (1 - trainer->mu_product);
  u->mean_share = next / (1 - trainer->mu_product * next);
}

/* The optimizer begins, or begins anew. */
static void forget(chainrule_trainer *trainer)
{
  trainer->beta1_power = trainer->beta2_power = trainer->mu_product = trainer->decay_power = 1;
  trainer->fresh = true;
}

/* Step t of the rule: its rate and its bias corrections. */
static void next_update(chainrule_trainer *trainer)
{
  if (trainer->rate_is_due) cr_update_rate(trainer);
  cr_update *u = &trainer->update;
  u->first = trainer->fresh;
  trainer->fresh = false;
  switch (trainer->descent.rule) {
  case CHAINRULE_OPTIMIZER_NADAM: next_momentum(trainer); /* fall through */
  case CHAINRULE_OPTIMIZER_ADAM:
  case CHAINRULE_OPTIMIZER_ADAMW:
  case CHAINRULE_OPTIMIZER_ADAMAX:
    u->step = u->rate / (1 - (trainer->beta1_power *= u->beta1));
    u->scale = 1 / sqrt(1 - (trainer->beta2_power *= u->beta2));
    break;
  default: break; /* no bias to correct */
  }
}

/* ---- The plan ---------------------------------------------------------------------------------- */

/* Multiplications of a step that are worth a thread: some five microseconds. */
#ifndef CR_WORTH_A_THREAD
#define CR_WORTH_A_THREAD 250000
#endif


/* Cuts every layer's weights into blocks. */
static chainrule_status plan_blocks(chainrule_trainer *t, chainrule_error *error)
{
  const chainrule_network *network = t->network;
  for (int filled = 0; filled < 2; filled++) {
    size_t count = 0;
    for (size_t l = 0; l < network->layer_count; l++) {
      const cr_layer *layer = &network->layers[l];
      if (layer->kind != CHAINRULE_LAYER_DENSE) {
        if (cr_parameter_size(layer, CHAINRULE_GAMMA) == 0) continue;
        if (filled) t->blocks[count] = (cr_block){.layer = l};
        count++;
        continue;
      }
      for (size_t input = 0; input < layer->in; input += CR_CHUNK)
        for (size_t neuron = 0; neuron < layer->out; neuron += CR_BLOCK_PANELS * layer->panel, count++)
          if (filled) t->blocks[count] = (cr_block){l, input, neuron};
    }
    if (filled) break;
    t->block_count = count;
    t->blocks = calloc(count + 1, sizeof *t->blocks);
    if (!t->blocks) return cr_out_of_memory(error, "the plan", count * sizeof *t->blocks);
  }
  return CHAINRULE_OK;
}

/* Weights of a block: what its work is in proportion to. */
static size_t block_size(const chainrule_network *network, cr_block block)
{
  const cr_layer *layer = &network->layers[block.layer];
  const size_t columns = layer->in - block.input, neurons = layer->padded - block.neuron;
  const size_t most = CR_BLOCK_PANELS * layer->panel;
  return (columns < CR_CHUNK ? columns : CR_CHUNK) * (neurons < most ? neurons : most);
}

/* Shares the blocks out among so many members, in stretches of like work. */
static void share_blocks(chainrule_trainer *t, size_t members)
{
  if (members == 1) {
    atomic_store_explicit(&t->shares[0].next, 0, memory_order_relaxed);
    t->shares[0].end = t->block_count;
    return;
  }
  size_t done = 0, block = 0, all = 0;
  for (size_t i = 0; i < t->block_count; i++) all += block_size(t->network, t->blocks[i]);
  for (size_t member = 0; member < members; member++) {
    t->shares[member].next = block;
    const size_t until = (size_t)((double)all * (double)(member + 1) / (double)members);
    for (; block < t->block_count && (member + 1 == members || done < until); block++)
      done += block_size(t->network, t->blocks[block]);
    t->shares[member].end = block;
  }
}

static chainrule_status check_batch_size(size_t batch_size, chainrule_error *error)
{
  if (batch_size >= 1 && batch_size <= INT32_MAX)
    return CHAINRULE_OK; /* CBLAS, which GSL calls, counts in int */
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "batch size is %zu; expected 1 to %d", batch_size,
                 INT32_MAX);
}

static bool is_amount(double x) { return x >= 0 && isfinite(x); }

static chainrule_status check_training(const chainrule_network *network, const chainrule_training *training,
                                       chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!training) return cr_null(error, "training");
  if (training->threads > CR_THREADS)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "threads is %zu; expected at most %d",
                   training->threads, CR_THREADS);
  const struct {
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {"label smoothing", "0 or more, and less than 1",
       training->label_smoothing, training->label_smoothing >= 0 && training->label_smoothing < 1},
      {"input noise", "a finite number, 0 or more", training->input_noise, is_amount(training->input_noise)},
      {"clip value", "a finite number above 0, or 0 for none",
       training->clip_value, is_amount(training->clip_value)},
      {"clip norm", "a finite number above 0, or 0 for none",
       training->clip_norm, is_amount(training->clip_norm)},
      {"max norm", "a finite number above 0, or 0 for none",
       training->max_norm, is_amount(training->max_norm)},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s must be %s; got %s", checks[i].name, checks[i].expected,
                     cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  for (size_t l = 0; training->rates && l < network->layer_count; l++)
    if (!is_amount(training->rates[l]))
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu: rate must be a finite number, 0 or more; got %s",
                     l + 1, cr_number(training->rates[l], (char[CR_NUMBER]){0}));
  const bool entropy = training->loss == CHAINRULE_LOSS_CROSS_ENTROPY ||
                       training->loss == CHAINRULE_LOSS_BINARY_CROSS_ENTROPY;
  if (training->label_smoothing > 0 && (!entropy || training->loss_function))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "label smoothing needs crossEntropy or binaryCrossEntropy; the loss is %s",
                   training->loss_function ? "a function" : chainrule_loss_name(training->loss));
  chainrule_status status = check_batch_size(training->batch_size, error);
  if (!status) status = cr_check_target_scaling(network, error);
  if (!status && !training->loss_function) status = cr_check_loss(network, training->loss, error);
  if (!status) status = chainrule_schedule_check(&training->schedule, error);
  return status ? status : check_optimizer(&training->optimizer, error);
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

/* Gradients cannot go into the parameters one by one: something is made of all of them first. */
static bool needs_all_gradients(const chainrule_training *training)
{
  return training->clip_norm > 0 || training->accumulate > 1;
}

/* A step may be that of cr_narrow.  (Softmax under another loss than its own has a Jacobian, for rows alone.) */
static bool is_narrow(const chainrule_trainer *t)
{
  const chainrule_network *network = t->network;
  const bool softmax = network->layers[network->layer_count - 1].activation == CHAINRULE_ACTIVATION_SOFTMAX;
  const chainrule_training *g = &t->training;
  return !g->keep && !needs_all_gradients(g) && g->clip_value == 0 && g->max_norm == 0 && g->input_noise == 0 &&
         !g->rates && !g->loss_function && cr_narrow_size(network) > 0 && (!softmax || cr_is_fused(g->loss));
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

static chainrule_status create(chainrule_network *network, const chainrule_training *training,
                               chainrule_trainer **result, chainrule_error *error)
{
  if (!result) return cr_null(error, "trainer");
  *result = NULL;
  chainrule_status status = check_training(network, training, error);
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
  forget(t);
  t->decay_factor = momentum_factor(o->momentum_decay);
  t->update = (cr_update){.weight_decay = o->weight_decay,
                          .l1 = o->l1,
                          .momentum = o->momentum,
                          .alpha = o->alpha,
                          .beta1 = o->beta1,
                          .beta2 = o->beta2,
                          .epsilon = o->epsilon,
                          .eta_minus = o->eta_minus,
                          .eta_plus = o->eta_plus,
                          .step_min = o->step_min,
                          .step_max = o->step_max,
                          .nesterov = o->nesterov,
                          .centered = o->centered,
                          .amsgrad = o->amsgrad};
  if (training->rates) {
    t->rates = calloc(network->layer_count, sizeof *t->rates);
    if (!t->rates) status = cr_out_of_memory(error, "the rates", network->layer_count * sizeof *t->rates);
    else memcpy(t->rates, training->rates, network->layer_count * sizeof *t->rates);
    t->training.rates = t->pass.rates = t->rates;
  }
  if (training->accumulate > 1)
    t->sum = allocate(network, network->arena_size, 1, "the gradients", &status, error);
  t->good = allocate(network, cr_arena_end(t->whole), 1, "the last good parameters", &status, error);
  cr_update_rate(t);
  if (training->keep || needs_all_gradients(training))
    t->gradients = allocate(network, network->arena_size, 1, "the gradients", &status, error);
  t->state = allocate(network, network->arena_size, state_count(o), "the optimizer's state", &status, error);
  t->pass.moments = allocate(network, network->statistics_size, 1, "the moments", &status, error);
  t->descent = (cr_descent){.rule = o->kind,
                            .update = &t->update,
                            .state = t->state,
                            .states = state_count(o),
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

chainrule_status chainrule_trainer_create(chainrule_network *network, const chainrule_training *training,
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

chainrule_status chainrule_trainer_on_step(chainrule_trainer *trainer, chainrule_step_function *function,
                                           void *context, chainrule_error *error)
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

/* ---- A step ------------------------------------------------------------------------------------ */

/* The largest |x|, and |y| in the unit of the loss, of rows as a call brings them.  A first layer that scales has scaled x. */
static void largest_values(const chainrule_network *network, const cr_batch *batch, double *x, double *y)
{
  const size_t inputs = network->inputs, outputs = chainrule_network_outputs(network);
  const cr_layer *first = &network->layers[0];
  for (size_t i = 0; i < batch->rows * inputs; i++) {
    double value = cr_value(network->scalar, batch->x, i);
    if (first->kind == CHAINRULE_LAYER_SCALING) {
      value -= cr_value(network->scalar, network->parameters, first->at[CHAINRULE_MEAN] + i % inputs);
      value /= cr_value(network->scalar, network->parameters, first->at[CHAINRULE_DEVIATION] + i % inputs);
    }
    *x = fmax(*x, fabs(value));
  }
  for (size_t i = 0; i < batch->rows * outputs; i++) *y = fmax(*y, fabs(cr_target(network, batch->y, i)));
}

/* Adds what mostly is the cause of a number that is not finite.  The rows may be NULL; `network` has the target scaling where
 * their targets are not yet standardised. */
static void add_cause(const chainrule_trainer *trainer, const chainrule_network *network, const cr_batch *batch,
                      chainrule_error *error)
{
  static const double large = 1e5;
  if (!error) return;
  double x = 0, y = 0;
  if (batch) largest_values(network, batch, &x, &y);
  if (x > large) cr_add_to_message(error, "; inputs as large as %g need scaling", x);
  if (y > large) cr_add_to_message(error, "; targets as large as %g need scaling", y);
  if (x > large || y > large) return;
  if (trainer->steps > 0)
    cr_add_to_message(error, "; the learning rate, %g, is probably too large, or gradients need clipping",
                      chainrule_trainer_learning_rate(trainer));
  else
    cr_add_to_message(error, "; this is before the first update, so that the initial parameters are too large");
}

/* After updates by these rows, which may be NULL. */
static chainrule_status check_parameters(const chainrule_trainer *trainer, const cr_batch *batch, chainrule_error *error)
{
  chainrule_status status = cr_check_parameters(trainer->network, trainer->steps, error);
  if (status) add_cause(trainer, trainer->whole, batch, error);
  return status;
}

/* L was not finite: a parameter became so at the step before, or a layer's sum overflowed in this one. */
static chainrule_status diagnose(const chainrule_trainer *trainer, const cr_batch *batch, double loss,
                                 chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  chainrule_status status = cr_check_parameters(network, trainer->steps, error);
  if (status) return add_cause(trainer, network, batch, error), status;
  size_t layer = 0;
  for (size_t l = 0; l < network->layer_count && !layer; l++) {
    const cr_layer *dense = &network->layers[l];
    const void *z =
        cr_at(network->scalar, trainer->work.buffers, trainer->places[l + 1].z * trainer->work.capacity);
    for (size_t r = 0; r < batch->rows && !layer; r++)
      if (!cr_all_finite(network, cr_at(network->scalar, z, r * dense->stride), dense->out)) layer = l + 1;
  }
  if (layer)
    cr_fail(error, CHAINRULE_NOT_FINITE, layer,
            "layer %zu, z: not finite at step %llu", layer,
            (unsigned long long)trainer->steps + 1);
  else
    cr_fail(error, CHAINRULE_NOT_FINITE, 0, "the loss: %s at step %llu", isnan(loss) ? "NaN" : "infinity",
            (unsigned long long)trainer->steps + 1);
  add_cause(trainer, network, batch, error);
  if (error) error->step = trainer->steps;
  return CHAINRULE_NOT_FINITE;
}

/* Where the rows of a batch are, before they are brought together in batch.x. */
typedef struct gathering {
  const void *x;
  const size_t *order;
} gathering;

/* to[k] = from[order[k]], or from[k] where order is NULL, rows of `width` scalars */
static void gather(chainrule_scalar scalar, const void *to, const void *from, const size_t *order,
                   size_t count, size_t width)
{
  const size_t bytes = width * cr_scalar_size(scalar);
  if (!order) memcpy((void *)to, from, count * bytes);
  for (size_t k = 0; order && k < count; k++)
    memcpy((char *)to + k * bytes, (const char *)from + order[k] * bytes, bytes);
}

/* What a team does in a step: a pass over rows, forward and backward, then, once all δ are there, blocks. */
typedef struct task {
  chainrule_trainer *trainer;
  const cr_batch *batch;
  const gathering *gathering;
  double total;
  const cr_descent *descent;
  size_t members;
  void *gradients; /* NULL: no one looks at them */
  bool descends;   /* now, or once all gradients are there */
  bool applies;    /* the gradients, which are there */
  bool backward;
  size_t from, end; /* layers: forward of from to end − 1, backward from `from` down to end */
  size_t until;     /* behind the last layer's forward: backward down to this */
  chainrule_status status; /* of a custom layer's function that failed; such a network has one member pass its rows */
  chainrule_error *error;
} task;

static void *member_scratch(const task *task, size_t member)
{
  const chainrule_trainer *t = task->trainer;
  const size_t line = CR_ALIGNMENT / cr_scalar_size(t->network->scalar);
  return cr_at(t->network->scalar, t->work.scratch,
               t->scratch_scalars / task->members / line * line * member);
}

/* xᵢ + σ dᵢ n, row `row` of the batch, dᵢ the product of the deviations of the scaling layers that come first, behind which
 * it is σ n. */
static void add_noise(const chainrule_trainer *t, size_t row, void *x)
{
  const chainrule_network *network = t->network;
  cr_random random = cr_random_stream(t->training.seed, CR_STREAM_NOISE | cr_mix(t->pass.key + row));
  for (size_t i = 0; i < network->inputs; i++) {
    double sigma = t->training.input_noise;
    for (size_t l = 0; l < network->layer_count && network->layers[l].kind == CHAINRULE_LAYER_SCALING; l++)
      sigma *= cr_value(network->scalar, network->parameters, network->layers[l].at[CHAINRULE_DEVIATION] + i);
    const double noise = cr_noise(&random, sigma);
    if (network->scalar == CHAINRULE_FLOAT32)
      ((float *)x)[i] += (float)noise;
    else
      ((double *)x)[i] += noise;
  }
}

/* Some layers, forward or backward, of a slice of the rows: they have nothing to do with one another. */
static void rows_job(void *context, size_t member)
{
  task *task = context;
  chainrule_trainer *t = task->trainer;
  const chainrule_network *network = t->network;
  const chainrule_scalar scalar = network->scalar;
  const size_t rows = task->batch->rows, in = network->inputs, out = chainrule_network_outputs(network);
  const size_t first = rows * member / task->members / CR_SLICE * CR_SLICE;
  const size_t end = member + 1 == task->members ? rows : rows * (member + 1) / task->members / CR_SLICE * CR_SLICE;
  if (first == end) return;

  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_workspace work = t->work;
  work.first = first;
  work.scratch = member_scratch(task, member);
  const cr_batch *all = task->batch;
  const cr_batch slice = {
      .rows = end - first,
      .x = cr_at(scalar, all->x, first * in),
      .y = cr_at(scalar, all->y, first * out),
      .sample_weights = all->sample_weights ? cr_at(scalar, all->sample_weights, first) : NULL,
  };
  chainrule_status status;
  if (task->backward) {
    status = cr_backward(network, &work, &slice, task->from, task->end, task->error);
  } else {
    if (task->gathering && task->from == 0) {
      const size_t *order = task->gathering->order;
      const void *x = order ? task->gathering->x : cr_at(scalar, task->gathering->x, first * in);
      gather(scalar, slice.x, x, order ? order + first : NULL, slice.rows, in);
      for (size_t r = 0; t->training.input_noise > 0 && r < slice.rows; r++)
        add_noise(t, first + r, cr_at(scalar, slice.x, r * in));
    }
    status = cr_forward(network, &work, &slice, task->from, task->end, task->error);
    if (!status && task->end == network->layer_count && !t->training.loss_function) {
      cr_loss(network, &work, &slice, t->training.loss, task->total, true, &t->losses[first]);
      status = cr_backward(network, &work, &slice, task->end - 1, task->until, task->error);
    }
  }
  if (status) task->status = status;
  cr_float_mode_leave(mode);
}

/* What batchNorm `from` needs of all rows, in columns. */
static void moments_job(void *context, size_t member)
{
  const task *task = context;
  chainrule_trainer *t = task->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_moments(t->network, &t->work, task->batch, task->from, task->backward, member, task->members);
  cr_float_mode_leave(mode);
}

/* The last layer before `l` whose forward or backward needs all rows; 0: none. */
static size_t stop_before(const chainrule_trainer *t, size_t l)
{
  while (l > 0 && !cr_wants_moments(t->network, &t->pass, --l)) continue;
  return l;
}

/* Whether nobody has written to a number since all its bits were set, which no computation comes to. */
static bool is_untouched(chainrule_scalar scalar, const void *values, size_t i)
{
  unsigned char bits[sizeof(double)];
  memset(bits, 0xff, sizeof bits);
  return !memcmp(cr_at(scalar, values, i), bits, cr_scalar_size(scalar));
}

/* Losses and ∂l/∂a by the function of the program's.  They are all NaN beforehand, so that it cannot pass those of the batch
 * before for this one's. */
static chainrule_status call_loss(chainrule_trainer *t, const cr_batch *batch, chainrule_error *error)
{
  const chainrule_scalar scalar = t->network->scalar;
  const size_t outputs = chainrule_network_outputs(t->network), count = batch->rows * outputs;
  memset(t->losses, 0xff, batch->rows * sizeof *t->losses);
  memset(t->output_gradient, 0xff, count * cr_scalar_size(scalar));
  const int refused = t->training.loss_function(t->training.loss_context, batch->rows, outputs, t->outputs, batch->y,
                                                t->losses, t->output_gradient);
  if (refused) return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the loss function failed: it returned %d", refused);
  for (size_t r = 0; r < batch->rows; r++)
    if (is_untouched(CHAINRULE_FLOAT64, t->losses, r))
      return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the loss function left the loss of row %zu as it was", r + 1);
  for (size_t i = 0; i < count; i++)
    if (is_untouched(scalar, t->output_gradient, i))
      return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the loss function left the gradient of row %zu as it was",
                     i / outputs + 1);
  return CHAINRULE_OK;
}

/* The team's pass over the rows, as far as the task says. */
static chainrule_status run_rows_job(task *task)
{
  cr_team_run(task->trainer->team, task->members, rows_job, task);
  return task->status;
}

/* z, a, δ and losses of all rows: in one go, but for a batchNorm, before which all have to be there, either way. */
static chainrule_status pass_rows(task *task)
{
  chainrule_trainer *t = task->trainer;
  const size_t count = t->network->layer_count;
  chainrule_status status;
  task->from = 0;
  for (task->end = 0; task->end < count; task->end++) {
    if (!cr_wants_moments(t->network, &t->pass, task->end)) continue;
    if ((status = run_rows_job(task))) return status;
    task->from = task->end;
    cr_team_run(t->team, task->members, moments_job, task);
  }
  task->until = stop_before(t, count);
  if ((status = run_rows_job(task))) return status;
  task->backward = true;
  if (t->training.loss_function) {
    const cr_batch *batch = task->batch;
    cr_outputs(t->network, &t->work, batch->rows, t->outputs);
    if ((status = call_loss(t, batch, task->error))) return status;
    for (size_t r = 0; batch->sample_weights && r < batch->rows; r++)
      t->losses[r] *= cr_value(t->network->scalar, batch->sample_weights, r);
    cr_set_gradient(t->network, &t->work, batch, task->total, t->output_gradient);
    task->from = count - 1;
    task->end = task->until;
    if ((status = run_rows_job(task))) return status;
  }
  for (task->from = task->until; task->from > 0; task->from = task->end) {
    cr_team_run(t->team, task->members, moments_job, task);
    task->end = stop_before(t, task->from);
    if ((status = run_rows_job(task))) return status;
  }
  return CHAINRULE_OK;
}

/* A block, at the rate of its layer. */
static void descend(const task *task, cr_workspace *work, cr_block block)
{
  chainrule_trainer *t = task->trainer;
  const double rate = t->rates ? t->rates[block.layer] : 1;
  const bool learns = task->descent && rate > 0;
  if (!learns && !task->gradients) return; /* frozen, and no one looks */
  cr_update update;
  cr_descent descent;
  if (learns && t->rates) {
    update = *task->descent->update;
    descent = *task->descent;
    update.rate *= rate;
    update.step *= rate;
    descent.update = &update;
  }
  cr_descend(t->network, work, task->applies ? NULL : task->batch, block, task->gradients,
             !learns ? NULL : t->rates ? &descent : task->descent, task->descends && rate > 0);
}

/* Gradients and update of blocks: of one's own, then of those that others have not come to. */
static void blocks_job(void *context, size_t member)
{
  const task *task = context;
  chainrule_trainer *t = task->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_workspace work = t->work;
  work.scratch = member_scratch(task, member);
  for (size_t i = 0; i < task->members; i++) {
    share *share = &t->shares[(member + i) % task->members];
    for (size_t block; (block = atomic_fetch_add(&share->next, 1)) < share->end;)
      descend(task, &work, t->blocks[block]);
  }
  cr_float_mode_leave(mode);
}

static size_t members_for(const chainrule_trainer *t, size_t rows)
{
  const double worth = (double)rows * t->threads_per_row;
  if (worth < 2) return 1;
  const size_t ready = cr_team_ready(t->team);
  return worth < (double)ready ? (size_t)worth : ready;
}

/* The targets of a batch as the loss is to have them, smoothed or standardised, in memory of ours. */
static void *prepare_targets(chainrule_trainer *trainer, const cr_batch *batch)
{
  const size_t outputs = chainrule_network_outputs(trainer->network), count = batch->rows * outputs;
  const bool binary = trainer->training.loss == CHAINRULE_LOSS_BINARY_CROSS_ENTROPY;
  const double s = trainer->training.label_smoothing, keep = 1 - s, add = s / (binary ? 2 : (double)outputs);
  void *y = (void *)trainer->gathered.y;
  if (trainer->network != trainer->whole) return cr_standardize(trainer->whole, batch->y, batch->rows, y), y;
  for (size_t i = 0; i < count; i++) {
    const double smoothed = keep * cr_value(trainer->network->scalar, batch->y, i) + add;
    if (trainer->network->scalar == CHAINRULE_FLOAT32)
      ((float *)y)[i] = (float)smoothed;
    else
      ((double *)y)[i] = smoothed;
  }
  return y;
}

/* Neurons' weights of blocks with a norm above the limit. */
static void limit_job(void *context, size_t member)
{
  const task *task = context;
  const chainrule_trainer *t = task->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  for (size_t i = member; i < t->block_count; i += task->members) {
    const cr_block block = t->blocks[i];
    const bool dense = t->network->layers[block.layer].kind == CHAINRULE_LAYER_DENSE;
    const bool frozen = t->rates && t->rates[block.layer] == 0;
    if (dense && !frozen && block.input == 0) cr_limit(t->network, block, t->training.max_norm);
  }
  cr_float_mode_leave(mode);
}

/* An update by gradients times `scale`. */
static void begin_update(task *task, double scale)
{
  chainrule_trainer *t = task->trainer;
  next_update(t);
  t->descent.scale = scale;
  t->descent.clips = scale != 1 || t->training.clip_value > 0;
  task->descent = &t->descent;
}

static void count_update(chainrule_trainer *t) /* no other thread writes it */
{
  atomic_store_explicit(&t->steps, atomic_load_explicit(&t->steps, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void end_update(task *task)
{
  chainrule_trainer *t = task->trainer;
  if (t->training.max_norm > 0) cr_team_run(t->team, task->members, limit_job, task);
  count_update(t);
}

/* The update by all gradients, of one batch or the weighted sum of several, at once. */
static void apply(task *task, void *gradients, double weight)
{
  chainrule_trainer *t = task->trainer;
  double scale = weight > 0 ? 1 / weight : 0;
  if (t->training.clip_norm > 0) {
    const double norm = scale * sqrt(cr_square_norm(t->network, t->rates, gradients, t->work.scratch));
    const double most = t->training.clip_norm / (norm + 1e-6);
    if (most < 1) scale *= most;
  }
  task->applies = true;
  task->gradients = gradients;
  begin_update(task, scale);
  share_blocks(t, task->members);
  cr_team_run(t->team, task->members, blocks_job, task);
  end_update(task);
}

/* The update by the gradients that have been summed up. */
static void flush_sum(task *task)
{
  chainrule_trainer *t = task->trainer;
  if (t->sum_batches == 0) return;
  apply(task, t->sum, t->sum_weight);
  memset(t->sum, 0, t->network->arena_size * cr_scalar_size(t->network->scalar));
  t->sum_weight = 0;
  t->sum_batches = 0;
}

/* What follows once all gradients of a batch are there. */
static void collect(task *task)
{
  chainrule_trainer *t = task->trainer;
  if (!t->sum) {
    apply(task, t->gradients, 1);
    return;
  }
  cr_accumulate(t->network, t->gradients, task->total, t->sum);
  t->sum_weight += task->total;
  if (++t->sum_batches >= t->training.accumulate) flush_sum(task);
}

/* Σᵣ wᵣ lᵣ / Σᵣ wᵣ of the batch that has been through forward. */
static double mean_loss(const chainrule_trainer *t, size_t rows, double total)
{
  double sum = 0;
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) /* four a round, in their order */
    CR_UNROLL for (size_t k = 0; k < 4; k++) sum += t->losses[r + k];
  for (; r < rows; r++) sum += t->losses[r];
  return total > 0 ? sum / total : 0;
}

/* A step of a narrow network, which is worth no second thread. */
static chainrule_status run_narrow(chainrule_trainer *t, const cr_batch *batch, const gathering *gathering,
                                   bool descends, double *loss, double total, chainrule_error *error)
{
  const chainrule_network *network = t->network;
  if (gathering) gather(network->scalar, batch->x, gathering->x, gathering->order, batch->rows, network->inputs);
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_narrow(network, batch, t->training.loss, total, t->losses, t->narrow_gradients, t->narrow);
  *loss = mean_loss(t, batch->rows, total);
  const bool finite = isfinite(*loss);
  if (finite && descends) {
    next_update(t);
    cr_narrow_descend(network, batch, &t->descent, t->narrow_gradients, t->narrow);
    count_update(t);
  }
  cr_float_mode_leave(mode);
  if (finite) {
    t->rows_in_view = batch->rows;
    return CHAINRULE_OK;
  }
  cr_forward(network, &t->work, batch, 0, network->layer_count, NULL); /* for diagnose; dense layers cannot fail */
  return diagnose(t, batch, *loss, error);
}

/* A step of any network, by as many threads as it is worth. */
static chainrule_status run_rows(chainrule_trainer *trainer, const cr_batch *batch, const gathering *gathering,
                                 size_t members, bool descends, double *loss, double total, chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  struct gathering copied = {batch->x, NULL};
  cr_batch noisy = *batch;
  if (trainer->training.input_noise > 0 && !gathering) noisy.x = trainer->gathered.x, gathering = &copied;
  batch = &noisy;

  task task = {.trainer = trainer,
               .batch = batch,
               .gathering = gathering,
               .total = total,
               .members = network->calls_out ? 1 : members, /* a function of the program's is called once */
               .error = error};
  trainer->pass.rows = batch->rows;
  trainer->pass.key = cr_mix(cr_mix(trainer->training.seed) + trainer->steps) + ((uint64_t)trainer->sum_batches << 48);
  chainrule_status status = pass_rows(&task);
  if (status) return trainer->rows_in_view = 0, status; /* z, a and δ are no longer those of one step */
  task.members = members;
  *loss = mean_loss(trainer, batch->rows, total);
  if (!isfinite(*loss)) return diagnose(trainer, batch, *loss, error);

  task.gradients = trainer->gradients;
  task.descends = descends;
  trainer->rows_in_view = batch->rows;
  if (needs_all_gradients(&trainer->training)) {
    share_blocks(trainer, members);
    cr_team_run(trainer->team, members, blocks_job, &task);
    if (descends) collect(&task);
    return CHAINRULE_OK;
  }
  if (!descends && !trainer->gradients) return CHAINRULE_OK;
  if (descends) begin_update(&task, 1);
  share_blocks(trainer, members);
  cr_team_run(trainer->team, members, blocks_job, &task);
  if (descends) end_update(&task);
  return CHAINRULE_OK;
}

/* L, δ of every layer, and, where they are kept, the gradients; with `descends`, the update too.  The data have
 * been checked.  *total is Σ wᵣ. */
static chainrule_status run(chainrule_trainer *trainer, const cr_batch *batch, const gathering *gathering,
                            bool descends, double *loss, double *total, chainrule_error *error)
{
  const size_t members = members_for(trainer, batch->rows);
  *total = cr_total_weight(trainer->network, batch);
  cr_batch prepared;
  if (trainer->training.label_smoothing > 0 || trainer->network != trainer->whole) {
    prepared = *batch;
    prepared.y = prepare_targets(trainer, batch);
    batch = &prepared;
  }
  return trainer->narrow && members == 1
             ? run_narrow(trainer, batch, gathering, descends, loss, *total, error)
             : run_rows(trainer, batch, gathering, members, descends, loss, *total, error);
}

static chainrule_status check_call(const chainrule_trainer *trainer, chainrule_scalar scalar,
                                   chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  return cr_check_scalar(trainer->network, scalar, error);
}

static chainrule_status check_rows(const chainrule_trainer *trainer, size_t rows, chainrule_error *error)
{
  if (rows >= 1 && rows <= trainer->training.batch_size) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0,
                 "the batch has %zu rows; the trainer was planned for 1 to %zu", rows,
                 trainer->training.batch_size);
}

/* Bytes of the parameters and statistics. */
static size_t arena_bytes(const chainrule_trainer *trainer)
{
  return cr_arena_end(trainer->whole) * cr_scalar_size(trainer->whole->scalar);
}

/* Back to the parameters at the beginning of the epoch, with an optimizer that knows of nothing. */
static void recover(chainrule_trainer *t)
{
  const size_t bytes = t->network->arena_size * cr_scalar_size(t->network->scalar);
  memcpy(t->network->parameters, t->good, arena_bytes(t));
  memset(t->state, 0, bytes * state_count(&t->training.optimizer));
  if (t->sum) memset(t->sum, 0, bytes);
  t->sum_weight = 0;
  t->sum_batches = 0;
  t->position = 0;
  t->in_parts = false;
  forget(t);
}

/* A batch of an epoch has been done. */
static chainrule_status count_batch(chainrule_trainer *t, size_t rows, double loss, double weight,
                                    chainrule_error *error)
{
  t->epoch_loss += loss * weight;
  t->epoch_weight += weight;
  if (!t->on_step) return CHAINRULE_OK;
  const chainrule_step step = {t->steps, rows, loss, t->update.rate};
  const int refused = t->on_step(t->step_context, &step);
  if (!refused) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the step function failed after step %llu: it returned %d",
                 (unsigned long long)t->steps, refused);
}

static chainrule_status step_call(chainrule_trainer *trainer, chainrule_scalar scalar, cr_batch batch,
                                  bool descends, double *loss, chainrule_error *error)
{
  double value, total;
  chainrule_status status = check_call(trainer, scalar, error);
  if (!status) status = check_rows(trainer, batch.rows, error);
  if (!status)
    status = cr_check_data(trainer->whole, trainer->team, trainer->training.loss, batch.x, batch.y,
                           batch.sample_weights, batch.rows, error);
  if (status) return status;
  status = run(trainer, &batch, NULL, descends, &value, &total, error);
  if (!status && loss) *loss = value;
  if (!descends) return status;
  if (!status) status = check_parameters(trainer, &batch, error);
  if (!trainer->in_parts) return status;
  if (status == CHAINRULE_NOT_FINITE) recover(trainer);
  if (status) return status;
  trainer->epoch_rows += batch.rows;
  return count_batch(trainer, batch.rows, value, total, error);
}

/* ---- An epoch ---------------------------------------------------------------------------------- */

/* The order of this epoch: a function of the seed and the number of the epoch alone. */
static chainrule_status draw_order(chainrule_trainer *trainer, size_t rows, chainrule_error *error)
{
  if (trainer->training.in_order) return CHAINRULE_OK;
  if (rows > trainer->order_size) {
    size_t bytes;
    void *order = cr_multiply(rows, sizeof *trainer->order, &bytes) ? realloc(trainer->order, bytes) : NULL;
    if (!order) return cr_out_of_memory(error, "the order of the rows", rows * sizeof *trainer->order);
    trainer->order = order;
    trainer->order_size = rows;
  }
  cr_random random = cr_random_stream(trainer->training.seed, CR_STREAM_ORDER + trainer->epochs);
  cr_shuffle(&random, trainer->order, rows);
  return CHAINRULE_OK;
}

static void begin_epoch(chainrule_trainer *trainer, size_t rows)
{
  trainer->epoch_rows = rows;
  trainer->epoch_loss = trainer->epoch_weight = 0;
  trainer->in_parts = false;
  memcpy(trainer->good, trainer->network->parameters, arena_bytes(trainer));
}

/* The next rows of the epoch, at most batch_size of them; x is gathered by those who work on it. */
static cr_batch next_batch(chainrule_trainer *trainer, const cr_batch *all, gathering *gathering)
{
  const chainrule_network *network = trainer->network;
  const chainrule_scalar scalar = network->scalar;
  const size_t in = network->inputs, out = chainrule_network_outputs(network), start = trainer->position;
  const size_t left = all->rows - start, most = trainer->training.batch_size;
  cr_batch batch = {.rows = left < most ? left : most};
  if (trainer->training.in_order) {
    batch.x = cr_at(scalar, all->x, start * in);
    batch.y = cr_at(scalar, all->y, start * out);
    batch.sample_weights = all->sample_weights ? cr_at(scalar, all->sample_weights, start) : NULL;
    return batch;
  }
  *gathering = (struct gathering){all->x, trainer->order + start};
  batch.x = trainer->gathered.x;
  batch.y = trainer->gathered.y;
  gather(scalar, batch.y, all->y, gathering->order, batch.rows, out);
  if (!all->sample_weights) return batch;
  batch.sample_weights = trainer->gathered.sample_weights;
  gather(scalar, batch.sample_weights, all->sample_weights, gathering->order, batch.rows, 1);
  return batch;
}

static void prepare_update(void *trainer) { next_update(trainer); }

/* The next few steps of an epoch, of single rows of a narrow network, if there is nothing to do between them: the same as
 * by `run`.  Returns how many were done; that whose loss is not finite is not. */
static size_t run_singly(chainrule_trainer *t, const cr_batch *all)
{
  enum { MOST = 64 }; /* before anyone hears of it */
  const chainrule_training *g = &t->training;
  if (!t->narrow || g->batch_size > 1 || all->sample_weights || g->label_smoothing > 0 || t->on_step ||
      t->network != t->whole || g->schedule.unit == CHAINRULE_PER_STEP)
    return 0;
  const chainrule_network *network = t->network;
  const size_t start = t->position, left = all->rows - start, from = g->in_order ? start : 0;
  const cr_batch batch = {.rows = left < MOST ? left : MOST,
                          .x = cr_at(network->scalar, all->x, from * network->inputs),
                          .y = cr_at(network->scalar, all->y, from * chainrule_network_outputs(network))};
  const cr_float_mode mode = cr_float_mode_enter(g->flush_denormals);
  const bool alike = t->descent.rule == CHAINRULE_OPTIMIZER_SGD; /* the updates of an epoch */
  if (alike) next_update(t);
  const size_t done = cr_narrow_steps(network, &batch, g->in_order ? NULL : t->order + start, g->loss, &t->descent,
                                      alike ? NULL : prepare_update, t, &t->epoch_loss, t->narrow);
  cr_float_mode_leave(mode);
  atomic_store_explicit(&t->steps, t->steps + done, memory_order_relaxed);
  t->position += done;
  t->epoch_weight += (double)done;
  t->rows_in_view = 1;
  return done;
}

static chainrule_status check_epoch(const chainrule_trainer *trainer, const cr_batch *all,
                                    chainrule_error *error)
{
  if (all->rows == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; an epoch needs at least 1");
  if (trainer->position > 0 && all->rows != trainer->epoch_rows)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0,
                   "epoch %llu was stopped within %zu rows; it goes on with as many, not %zu, or abandon it",
                   (unsigned long long)trainer->epochs + 1, trainer->epoch_rows, all->rows);
  return cr_check_data(trainer->whole, trainer->team, trainer->training.loss, all->x, all->y, all->sample_weights,
                       all->rows, error);
}

/* The epoch has ended.  *loss is the mean of its batches', weighted by rows. */
static void count_epoch(chainrule_trainer *trainer, double *loss)
{
  trainer->position = 0;
  trainer->in_parts = false;
  trainer->epochs++;
  trainer->rate_is_due = true;
  if (loss) *loss = trainer->epoch_weight > 0 ? trainer->epoch_loss / trainer->epoch_weight : 0;
}

static chainrule_status epoch(chainrule_trainer *trainer, chainrule_scalar scalar, cr_batch all, double *loss,
                              chainrule_error *error)
{
  chainrule_status status = check_call(trainer, scalar, error);
  if (!status) status = check_epoch(trainer, &all, error);
  if (!status && (trainer->position == 0 || trainer->restored)) status = draw_order(trainer, all.rows, error);
  if (!status && trainer->position == 0) begin_epoch(trainer, all.rows);
  if (!status) trainer->restored = false;
  bool trained = false;
  while (!status && trainer->position < all.rows) {
    if (atomic_load_explicit(&trainer->stop, memory_order_relaxed) && atomic_exchange(&trainer->stop, false))
      return cr_fail(error, CHAINRULE_STOPPED, 0, "stopped in epoch %llu after step %llu",
                     (unsigned long long)trainer->epochs + 1, (unsigned long long)trainer->steps);
    trained = true;
    if (run_singly(trainer, &all) > 0) continue;
    gathering gathering = {0};
    const cr_batch batch = next_batch(trainer, &all, &gathering);
    double batch_loss, weight;
    status = run(trainer, &batch, gathering.order ? &gathering : NULL, true, &batch_loss, &weight, error);
    if (status) break;
    if (trainer->position + batch.rows == all.rows)
      flush_sum(&(task){.trainer = trainer, .members = members_for(trainer, batch.rows), .descends = true});
    trainer->position += batch.rows;
    status = count_batch(trainer, batch.rows, batch_loss, weight, error);
  }
  if (!status) status = check_parameters(trainer, &all, error);
  if (status == CHAINRULE_NOT_FINITE && trained) recover(trainer);
  if (!status) count_epoch(trainer, loss);
  return status;
}

chainrule_status chainrule_trainer_begin_epoch(chainrule_trainer *trainer, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  if (trainer->position > 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "epoch %llu was stopped after %zu rows; finish or abandon it before one in parts begins",
                   (unsigned long long)trainer->epochs + 1, trainer->position);
  begin_epoch(trainer, 0);
  trainer->in_parts = true;
  return CHAINRULE_OK;
}

static chainrule_status flush(chainrule_trainer *trainer, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  flush_sum(&(task){.trainer = trainer, .members = members_for(trainer, 1), .descends = true});
  return check_parameters(trainer, NULL, error);
}

chainrule_status chainrule_trainer_flush(chainrule_trainer *trainer, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, flush(trainer, error));
}

static chainrule_status end_epoch(chainrule_trainer *trainer, double *loss, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  if (!trainer->in_parts)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "no epoch in parts has begun that could end");
  if (trainer->epoch_rows == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; an epoch needs at least 1");
  chainrule_status status = flush(trainer, error);
  if (status == CHAINRULE_NOT_FINITE) recover(trainer);
  if (!status) count_epoch(trainer, loss);
  return status;
}

static chainrule_status abandon_epoch(chainrule_trainer *trainer, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  trainer->position = 0;
  trainer->in_parts = trainer->restored = false;
  return flush(trainer, error);
}

chainrule_status chainrule_trainer_abandon_epoch(chainrule_trainer *trainer, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, abandon_epoch(trainer, error));
}

chainrule_status chainrule_trainer_end_epoch(chainrule_trainer *trainer, double *loss, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, end_epoch(trainer, loss, error));
}

/* ---- Views ------------------------------------------------------------------------------------- */

static chainrule_status view_rows(const chainrule_trainer *trainer, size_t l, size_t place, void *values,
                                  size_t count, chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  const cr_layer *layer = &network->layers[l];
  const size_t expected = trainer->rows_in_view * layer->out;
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1,
                   "layer %zu: expected %zu rows of %zu, %zu values, got %zu", l + 1, trainer->rows_in_view,
                   layer->out, expected, count);
  const void *buffer = cr_at(network->scalar, trainer->work.buffers, place * trainer->work.capacity);
  for (size_t r = 0; r < trainer->rows_in_view; r++)
    memcpy(cr_at(network->scalar, values, r * layer->out), cr_at(network->scalar, buffer, r * layer->stride),
           layer->out * cr_scalar_size(network->scalar));
  return CHAINRULE_OK;
}

static chainrule_status view_gradient(const chainrule_trainer *trainer, size_t l,
                                      chainrule_parameter parameter, void *values, size_t count,
                                      chainrule_error *error)
{
  const cr_layer *layer = &trainer->network->layers[l];
  const size_t expected = cr_parameter_size(layer, parameter);
  if (expected == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1, "layer %zu has no %s", l + 1,
                   chainrule_parameter_name(parameter));
  if (count != expected)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, l + 1,
                   "layer %zu, gradient: expected %zu values, got %zu", l + 1, expected, count);
  cr_read(trainer->network, trainer->gradients, l, parameter, values);
  return CHAINRULE_OK;
}

static chainrule_status view(const chainrule_trainer *trainer, chainrule_scalar scalar, size_t l,
                             chainrule_view which, void *values, size_t count, chainrule_error *error)
{
  chainrule_status status = check_call(trainer, scalar, error);
  if (status) return status;
  if (!values) return cr_null(error, "values");
  if (l >= trainer->whole->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "no layer has index %zu; the network has layers 0 to %zu", l,
                   trainer->whole->layer_count - 1);
  if (l >= trainer->network->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                   "layer %zu scales the targets and takes no part in a step, so that it has no view", l + 1);
  if (!trainer->training.keep)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "the trainer was made without keep, so that no view is left");
  if (trainer->rows_in_view == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "there is nothing to view: no step has been done, or a function that the last one called failed");
  switch (which) {
  case CHAINRULE_VIEW_Z: return view_rows(trainer, l, trainer->places[l + 1].z, values, count, error);
  case CHAINRULE_VIEW_A: return view_rows(trainer, l, trainer->places[l + 1].a, values, count, error);
  case CHAINRULE_VIEW_DELTA: return view_rows(trainer, l, trainer->places[l + 1].delta, values, count, error);
  case CHAINRULE_VIEW_WEIGHTS_GRADIENT:
    return view_gradient(trainer, l, CHAINRULE_WEIGHTS, values, count, error);
  case CHAINRULE_VIEW_BIAS_GRADIENT: return view_gradient(trainer, l, CHAINRULE_BIAS, values, count, error);
  case CHAINRULE_VIEW_GAMMA_GRADIENT: return view_gradient(trainer, l, CHAINRULE_GAMMA, values, count, error);
  case CHAINRULE_VIEW_BETA_GRADIENT: return view_gradient(trainer, l, CHAINRULE_BETA, values, count, error);
  }
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "view %d does not exist", (int)which);
}

/* ---- Either precision -------------------------------------------------------------------------- */

chainrule_status chainrule_trainer_step_f32(chainrule_trainer *trainer, const float *x, const float *y,
                                            const float *sample_weights, size_t rows, double *loss,
                                            chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(
      mode, step_call(trainer, CHAINRULE_FLOAT32, (cr_batch){rows, x, y, sample_weights}, true, loss, error));
}

chainrule_status chainrule_trainer_gradients_f32(chainrule_trainer *trainer, const float *x, const float *y,
                                                 const float *sample_weights, size_t rows, double *loss,
                                                 chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, step_call(trainer, CHAINRULE_FLOAT32, (cr_batch){rows, x, y, sample_weights}, false,
                                 loss, error));
}

chainrule_status chainrule_trainer_epoch_f32(chainrule_trainer *trainer, const float *x, const float *y,
                                             const float *sample_weights, size_t rows, double *loss,
                                             chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode,
                 epoch(trainer, CHAINRULE_FLOAT32, (cr_batch){rows, x, y, sample_weights}, loss, error));
}

chainrule_status chainrule_trainer_view_f32(const chainrule_trainer *trainer, size_t layer,
                                            chainrule_view which, float *values, size_t count,
                                            chainrule_error *error)
{
  return view(trainer, CHAINRULE_FLOAT32, layer, which, values, count, error);
}

chainrule_status chainrule_trainer_step_f64(chainrule_trainer *trainer, const double *x, const double *y,
                                            const double *sample_weights, size_t rows, double *loss,
                                            chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(
      mode, step_call(trainer, CHAINRULE_FLOAT64, (cr_batch){rows, x, y, sample_weights}, true, loss, error));
}

chainrule_status chainrule_trainer_gradients_f64(chainrule_trainer *trainer, const double *x, const double *y,
                                                 const double *sample_weights, size_t rows, double *loss,
                                                 chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, step_call(trainer, CHAINRULE_FLOAT64, (cr_batch){rows, x, y, sample_weights}, false,
                                 loss, error));
}

chainrule_status chainrule_trainer_epoch_f64(chainrule_trainer *trainer, const double *x, const double *y,
                                             const double *sample_weights, size_t rows, double *loss,
                                             chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode,
                 epoch(trainer, CHAINRULE_FLOAT64, (cr_batch){rows, x, y, sample_weights}, loss, error));
}

chainrule_status chainrule_trainer_view_f64(const chainrule_trainer *trainer, size_t layer,
                                            chainrule_view which, double *values, size_t count,
                                            chainrule_error *error)
{
  return view(trainer, CHAINRULE_FLOAT64, layer, which, values, count, error);
}
