/* A step: gather, forward, loss, backward, gradients and update. */
#include "trainer.h"

#include <math.h>
#include <string.h>

#include "../random.h"

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

chainrule_status cr_step_check(const chainrule_trainer *trainer, const cr_batch *batch, chainrule_error *error)
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

void cr_gather(chainrule_scalar scalar, const void *to, const void *from, const size_t *order, size_t count,
               size_t width)
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
  const cr_gathering *gathering;
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
      cr_gather(scalar, slice.x, x, order ? order + first : NULL, slice.rows, in);
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

/* Gradients and update of blocks: of one's own, then of those that others have not come to. */
static void blocks_job(void *context, size_t member)
{
  const task *task = context;
  chainrule_trainer *t = task->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_workspace work = t->work;
  work.scratch = member_scratch(task, member);
  for (size_t i = 0; i < task->members; i++) {
    cr_share *share = &t->shares[(member + i) % task->members];
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

/* Step t of the optimizer. */
static void next_update(chainrule_trainer *t)
{
  if (t->rate_is_due) cr_update_rate(t);
  cr_optimizer_advance(&t->optimizer);
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
static chainrule_status run_narrow(chainrule_trainer *t, const cr_batch *batch, const cr_gathering *gathering,
                                   bool descends, double *loss, double total, chainrule_error *error)
{
  const chainrule_network *network = t->network;
  if (gathering) cr_gather(network->scalar, batch->x, gathering->x, gathering->order, batch->rows, network->inputs);
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
static chainrule_status run_rows(chainrule_trainer *trainer, const cr_batch *batch, const cr_gathering *gathering,
                                 size_t members, bool descends, double *loss, double total, chainrule_error *error)
{
  const chainrule_network *network = trainer->network;
  cr_gathering copied = {batch->x, NULL};
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
  if (cr_needs_all_gradients(&trainer->training)) {
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

chainrule_status cr_step(chainrule_trainer *trainer, const cr_batch *batch, const cr_gathering *gathering, bool descends,
                         double *loss, double *total, chainrule_error *error)
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

static void prepare_update(void *trainer) { next_update(trainer); }

size_t cr_step_singly(chainrule_trainer *t, const cr_batch *all)
{
  enum { MOST = 64 }; /* before anyone hears of it */
  const chainrule_trainer_options *g = &t->training;
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

void cr_step_flush(chainrule_trainer *t, size_t rows)
{
  flush_sum(&(task){.trainer = t, .members = members_for(t, rows), .descends = true});
}
