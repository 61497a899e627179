/* A step: gather, forward, loss, backward, gradients and update. */
#include "trainer.h"

#include <math.h>
#include <string.h>

#include "../random.h"

void cr_gather(chainrule_scalar scalar, const void *to, const void *from, const size_t *order, size_t count,
               size_t width)
{
  const size_t bytes = width * cr_scalar_size(scalar);
  if (!order) memcpy((void *)to, from, count * bytes);
  for (size_t k = 0; order && k < count; k++)
    memcpy((char *)to + k * bytes, (const char *)from + order[k] * bytes, bytes);
}

/* A step under way. */
typedef struct step {
  chainrule_trainer *trainer;
  cr_batch batch;         /* as the network takes it */
  cr_gathering gathering; /* where the rows of batch.x come from; x NULL: they are there */
  double total;           /* Σ wᵣ */
  size_t members;         /* threads that it is worth */
  bool narrow;            /* one pass of narrow.c does it all */
  bool updates;           /* or the gradients alone */
  void *gradients;        /* parameter-shaped; NULL: nobody looks at them */
  chainrule_error *error;
} step;

/* xᵢ + σ dᵢ n, row `row` of the batch, dᵢ the product of the deviations of the scaling layers that come first, behind which
 * it is σ n. */
static void add_noise(const chainrule_trainer *t, size_t row, void *x)
{
  const chainrule_network *network = t->network;
  cr_random random = cr_random_stream(t->training.seed, CR_STREAM_NOISE | cr_mix(t->pass.key + row));
  for (size_t i = 0; i < network->inputs; i++) {
    double sigma = t->training.input_noise;
    for (size_t l = 0; l < network->layer_count && cr_scales(&network->layers[l]); l++)
      sigma *= cr_value(network->scalar, network->parameters, network->layers[l].at[CHAINRULE_DEVIATION] + i);
    const double noise = cr_noise(&random, sigma);
    if (network->scalar == CHAINRULE_FLOAT32)
      ((float *)x)[i] += (float)noise;
    else
      ((double *)x)[i] += noise;
  }
}

/* ---- The passes over the rows -------------------------------------------------------------------- */

/* What the team does with the rows of a batch, slice by slice, since rows have nothing to do with one another. */
typedef chainrule_status slice_function(const step *s, const cr_workspace *work, const cr_batch *slice,
                                        size_t from, size_t end);
typedef struct pass {
  const step *step;
  slice_function *function;
  size_t from, end; /* its layers */
  size_t members;
  bool backward;
  chainrule_status status; /* of a function of the caller's; such a network has one member, which calls it */
} pass;

static void gather(const step *s, const cr_batch *slice, size_t first)
{
  const chainrule_trainer *t = s->trainer;
  const chainrule_scalar scalar = t->network->scalar;
  const size_t in = t->network->inputs, *order = s->gathering.order;
  if (!s->gathering.x) return;
  const void *x = order ? s->gathering.x : cr_at(scalar, s->gathering.x, first * in);
  cr_gather(scalar, slice->x, x, order ? order + first : NULL, slice->rows, in);
  for (size_t r = 0; t->training.input_noise > 0 && r < slice->rows; r++)
    add_noise(t, first + r, cr_at(scalar, slice->x, r * in));
}

/* z and a of layers `from` to `end` − 1. */
static chainrule_status forward(const step *s, const cr_workspace *work, const cr_batch *slice, size_t from,
                                size_t end)
{
  if (from == 0) gather(s, slice, work->first);
  return cr_forward(s->trainer->network, work, slice, from, end, s->error);
}

/* δ of layers `from` − 1 to `end`, from that of layer `from`. */
static chainrule_status backward(const step *s, const cr_workspace *work, const cr_batch *slice, size_t from,
                                 size_t end)
{
  return cr_backward(s->trainer->network, work, slice, from, end, s->error);
}

/* Forward from layer `from` to the last, the loss, and backward to layer `end`. */
static chainrule_status turn(const step *s, const cr_workspace *work, const cr_batch *slice, size_t from,
                             size_t end)
{
  chainrule_trainer *t = s->trainer;
  const size_t count = t->network->layer_count;
  chainrule_status status = forward(s, work, slice, from, count);
  if (status) return status;
  cr_loss(t->network, work, slice, t->training.loss, s->total, true, &t->losses[work->first]);
  return backward(s, work, slice, count - 1, end);
}

/* Scratch of a member's own. */
static void *member_scratch(const chainrule_trainer *t, size_t member, size_t members)
{
  const size_t line = CR_ALIGNMENT / cr_scalar_size(t->network->scalar);
  return cr_at(t->network->scalar, t->work.scratch, t->scratch_scalars / members / line * line * member);
}

static void slice_job(void *context, size_t member)
{
  pass *pass = context;
  const step *s = pass->step;
  const chainrule_trainer *t = s->trainer;
  const chainrule_scalar scalar = t->network->scalar;
  const size_t rows = s->batch.rows, members = pass->members;
  const size_t first = rows * member / members / CR_SLICE * CR_SLICE;
  const size_t end = member + 1 == members ? rows : rows * (member + 1) / members / CR_SLICE * CR_SLICE;
  if (first == end) return;
  cr_workspace work = t->work;
  work.first = first;
  work.scratch = member_scratch(t, member, members);
  const cr_batch slice = {
      .rows = end - first,
      .x = cr_at(scalar, s->batch.x, first * t->network->inputs),
      .y = cr_at(scalar, s->batch.y, first * chainrule_network_outputs(t->network)),
      .sample_weights = s->batch.sample_weights ? cr_at(scalar, s->batch.sample_weights, first) : NULL,
  };
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  const chainrule_status status = pass->function(s, &work, &slice, pass->from, pass->end);
  cr_float_mode_leave(mode);
  if (status) pass->status = status;
}

static chainrule_status pass_slices(const step *s, slice_function *function, size_t from, size_t end)
{
  const size_t members =
      s->trainer->network->calls_out ? 1 : s->members; /* a function of the caller's is called once */
  pass pass = {.step = s, .function = function, .from = from, .end = end, .members = members};
  cr_team_run(s->trainer->team, members, slice_job, &pass);
  return pass.status;
}

/* What layer `from` needs of all rows, in columns. */
static void columns_job(void *context, size_t member)
{
  const pass *pass = context;
  const chainrule_trainer *t = pass->step->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_moments(t->network, &t->work, &pass->step->batch, pass->from, pass->backward, member, pass->members);
  cr_float_mode_leave(mode);
}

static void pass_columns(const step *s, size_t l, bool backward)
{
  pass pass = {.step = s, .from = l, .members = s->members, .backward = backward};
  cr_team_run(s->trainer->team, s->members, columns_job, &pass);
}

/* Layer l's forward and backward need something of all rows first. */
static bool is_stop(const chainrule_trainer *t, size_t l)
{
  return cr_wants_moments(&t->network->layers[l], l, &t->pass);
}

/* The last stop before `l`, or 0. */
static size_t stop_before(const chainrule_trainer *t, size_t l)
{
  while (l > 0 && !is_stop(t, --l)) continue;
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
  const int refused = t->training.loss_function(t->training.loss_context, batch->rows, outputs, t->outputs,
                                                batch->y, t->losses, t->output_gradient);
  if (refused)
    return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the loss function failed: it returned %d", refused);
  for (size_t r = 0; r < batch->rows; r++)
    if (is_untouched(CHAINRULE_FLOAT64, t->losses, r))
      return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0,
                     "the loss function left the loss of row %zu as it was", r + 1);
  for (size_t i = 0; i < count; i++)
    if (is_untouched(scalar, t->output_gradient, i))
      return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0,
                     "the loss function left the gradient of row %zu as it was", i / outputs + 1);
  return CHAINRULE_OK;
}

/* The loss, and δ of the last layer, by the function of the program's. */
static chainrule_status turn_by_function(const step *s)
{
  chainrule_trainer *t = s->trainer;
  const cr_batch *batch = &s->batch;
  cr_outputs(t->network, &t->work, batch->rows, t->outputs);
  chainrule_status status = call_loss(t, batch, s->error);
  if (status) return status;
  for (size_t r = 0; batch->sample_weights && r < batch->rows; r++)
    t->losses[r] *= cr_value(t->network->scalar, batch->sample_weights, r);
  cr_set_gradient(t->network, &t->work, batch, s->total, t->output_gradient);
  return CHAINRULE_OK;
}

/* z, a, δ and l of all rows, from stop to stop. */
static chainrule_status pass_rows(const step *s)
{
  chainrule_trainer *t = s->trainer;
  const size_t count = t->network->layer_count;
  chainrule_status status = CHAINRULE_OK;
  size_t from = 0, end;
  t->pass.rows = s->batch.rows;
  t->pass.key = cr_mix(cr_mix(t->training.seed) + t->steps) + ((uint64_t)t->sum_batches << 48);
  for (size_t l = 0; l < count && !status; l++)
    if (is_stop(t, l)) {
      status = pass_slices(s, forward, from, l);
      if (!status) pass_columns(s, from = l, false);
    }
  end = stop_before(t, count);
  if (!status && !t->training.loss_function) status = pass_slices(s, turn, from, end);
  if (!status && t->training.loss_function) {
    status = pass_slices(s, forward, from, count);
    if (!status) status = turn_by_function(s);
    if (!status) status = pass_slices(s, backward, count - 1, end);
  }
  while (end > 0 && !status) {
    pass_columns(s, from = end, true);
    status = pass_slices(s, backward, from, end = stop_before(t, from));
  }
  return status;
}

/* ---- Gradients and update ------------------------------------------------------------------------ */

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

/* What is done with each block. */
typedef void block_function(const step *s, cr_workspace *work, cr_block block);
typedef struct walk {
  const step *step;
  block_function *function;
} walk;

/* Of one's own blocks, then of those that others have not come to. */
static void blocks_job(void *context, size_t member)
{
  const walk *walk = context;
  const step *s = walk->step;
  chainrule_trainer *t = s->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_workspace work = t->work;
  work.scratch = member_scratch(t, member, s->members);
  for (size_t i = 0; i < s->members; i++) {
    cr_share *share = &t->shares[(member + i) % s->members];
    for (size_t block; (block = atomic_fetch_add(&share->next, 1)) < share->end;)
      walk->function(s, &work, t->blocks[block]);
  }
  cr_float_mode_leave(mode);
}

static void walk_blocks(const step *s, block_function *function)
{
  walk walk = {.step = s, .function = function};
  share_blocks(s->trainer, s->members);
  cr_team_run(s->trainer->team, s->members, blocks_job, &walk);
}

static double rate_of(const chainrule_trainer *t, size_t layer) { return t->rates ? t->rates[layer] : 1; }

/* The gradients of a block into the arena. */
static void find_gradients(const step *s, cr_workspace *work, cr_block block)
{
  const bool follows = s->updates && rate_of(s->trainer, block.layer) > 0;
  cr_descend(s->trainer->network, work, &s->batch, block, s->gradients, NULL, follows);
}

/* A block's update, at the rate of its layer, by its gradients of the batch or, where that is NULL, of the arena. */
static void descend(const step *s, cr_workspace *work, const cr_batch *batch, cr_block block)
{
  const chainrule_trainer *t = s->trainer;
  const double rate = rate_of(t, block.layer);
  if (rate == 1) {
    cr_descend(t->network, work, batch, block, s->gradients, &t->descent, true);
  } else if (rate > 0) {
    cr_update update = t->optimizer.update;
    cr_descent descent = t->descent;
    update.rate *= rate;
    update.step *= rate;
    descent.update = &update;
    cr_descend(t->network, work, batch, block, s->gradients, &descent, true);
  } else if (batch && s->gradients) { /* frozen, but someone looks */
    cr_descend(t->network, work, batch, block, s->gradients, NULL, false);
  }
}
static void descend_at_once(const step *s, cr_workspace *work, cr_block block)
{
  descend(s, work, &s->batch, block);
}
static void descend_by_arena(const step *s, cr_workspace *work, cr_block block)
{
  descend(s, work, NULL, block);
}

/* Neurons' weights of blocks with a norm above the limit. */
static void limit_job(void *context, size_t member)
{
  const step *s = context;
  const chainrule_trainer *t = s->trainer;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  for (size_t i = member; i < t->block_count; i += s->members) {
    const cr_block block = t->blocks[i];
    if (cr_has_weights(&t->network->layers[block.layer]) && rate_of(t, block.layer) > 0 && block.input == 0)
      cr_limit(t->network, block, t->training.max_norm);
  }
  cr_float_mode_leave(mode);
}

/* Step t of the optimizer. */
static void next_update(chainrule_trainer *t)
{
  if (t->rate_is_due) cr_update_rate(t);
  cr_optimizer_advance(&t->optimizer);
}

static void count_update(chainrule_trainer *t) /* no other thread writes it */
{
  atomic_store_explicit(&t->steps, atomic_load_explicit(&t->steps, memory_order_relaxed) + 1,
                        memory_order_relaxed);
}

/* The update by gradients times `scale`. */
static void update(step *s, block_function *function, double scale)
{
  chainrule_trainer *t = s->trainer;
  next_update(t);
  t->descent.scale = scale;
  t->descent.clips = scale != 1 || t->training.clip_value > 0;
  walk_blocks(s, function);
  if (t->training.max_norm > 0) cr_team_run(t->team, s->members, limit_job, s);
  count_update(t);
}

/* The update by all gradients, of one batch or the weighted sum of several, at once. */
static void update_by(step *s, void *gradients, double weight)
{
  const chainrule_trainer *t = s->trainer;
  double scale = weight > 0 ? 1 / weight : 0;
  if (t->training.clip_norm > 0) {
    const double norm = scale * sqrt(cr_square_norm(t->network, t->rates, gradients, t->work.scratch));
    const double most = t->training.clip_norm / (norm + 1e-6);
    if (most < 1) scale *= most;
  }
  s->gradients = gradients;
  update(s, descend_by_arena, scale);
}

/* The update by the gradients that have been summed up. */
static void flush_sum(step *s)
{
  chainrule_trainer *t = s->trainer;
  if (t->sum_batches == 0) return;
  update_by(s, t->sum, t->sum_weight);
  memset(t->sum, 0, t->network->arena_size * cr_scalar_size(t->network->scalar));
  t->sum_weight = 0;
  t->sum_batches = 0;
}

/* The gradients of a batch join the sum, which has its update when it is complete. */
static void accumulate(step *s)
{
  chainrule_trainer *t = s->trainer;
  cr_accumulate(t->network, t->gradients, s->total, t->sum);
  t->sum_weight += s->total;
  if (++t->sum_batches >= t->training.accumulate) flush_sum(s);
}

/* Gradients of all blocks, and the update, if the step has one. */
static void descend_all(step *s)
{
  chainrule_trainer *t = s->trainer;
  if (cr_needs_all_gradients(&t->training)) {
    walk_blocks(s, find_gradients);
    if (s->updates && t->sum)
      accumulate(s);
    else if (s->updates)
      update_by(s, t->gradients, 1);
  } else if (s->updates) {
    update(s, descend_at_once, 1);
  } else if (s->gradients) {
    walk_blocks(s, find_gradients);
  }
}

/* ---- A narrow network, which is worth no second thread ------------------------------------------- */

/* Losses and gradients of all rows, from forward to gradients in one go. */
static chainrule_status pass_narrow(const step *s)
{
  chainrule_trainer *t = s->trainer;
  const cr_batch *batch = &s->batch;
  if (s->gathering.x)
    cr_gather(t->network->scalar, batch->x, s->gathering.x, s->gathering.order, batch->rows,
              t->network->inputs);
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  cr_narrow(t->network, batch, t->training.loss, s->total, t->losses, t->narrow_gradients, t->narrow);
  cr_float_mode_leave(mode);
  return CHAINRULE_OK;
}

static void descend_narrow(const step *s)
{
  chainrule_trainer *t = s->trainer;
  if (!s->updates) return;
  const cr_float_mode mode = cr_float_mode_enter(t->training.flush_denormals);
  next_update(t);
  cr_narrow_descend(t->network, &s->batch, &t->descent, t->narrow_gradients, t->narrow);
  count_update(t);
  cr_float_mode_leave(mode);
}

/* ---- A step -------------------------------------------------------------------------------------- */

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

/* The batch as the network takes it: its targets prepared, and noise added where it is gathered. */
static void prepare(step *s, const cr_gathering *gathering)
{
  chainrule_trainer *t = s->trainer;
  const cr_batch given = s->batch;
  s->gathering = gathering ? *gathering : (cr_gathering){0};
  if (t->training.label_smoothing > 0 || t->network != t->whole) s->batch.y = prepare_targets(t, &given);
  if (t->training.input_noise > 0 && !gathering) s->gathering.x = given.x, s->batch.x = t->gathered.x;
  s->total = cr_total_weight(t->network, &given);
  s->members = members_for(t, given.rows);
  s->narrow = t->narrow && s->members == 1;
}

/* L was not finite: a parameter became so at the step before, or a layer's sum overflowed in this one. */
static chainrule_status diagnose(const step *s, double loss)
{
  const chainrule_trainer *t = s->trainer;
  if (s->narrow) cr_forward(t->network, &t->work, &s->batch, 0, t->network->layer_count, NULL); /* for z */
  return cr_step_diagnose(t, &s->batch, loss, s->error);
}

chainrule_status cr_step(chainrule_trainer *trainer, const cr_batch *batch, const cr_gathering *gathering,
                         bool updates, double *loss, double *total, chainrule_error *error)
{
  step s = {
      .trainer = trainer, .batch = *batch, .updates = updates, .gradients = trainer->gradients, .error = error};
  prepare(&s, gathering);
  const chainrule_status status = s.narrow ? pass_narrow(&s) : pass_rows(&s);
  if (status) return trainer->rows_in_view = 0, status; /* z, a and δ are no longer those of one step */
  *total = s.total;
  *loss = mean_loss(trainer, batch->rows, s.total);
  if (!isfinite(*loss)) return diagnose(&s, *loss);
  trainer->rows_in_view = batch->rows;
  if (s.narrow)
    descend_narrow(&s);
  else
    descend_all(&s);
  return CHAINRULE_OK;
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
  const size_t done = cr_narrow_steps(network, &batch, g->in_order ? NULL : t->order + start, g->loss,
                                      &t->descent, alike ? NULL : prepare_update, t, &t->epoch_loss, t->narrow);
  cr_float_mode_leave(mode);
  atomic_store_explicit(&t->steps, t->steps + done, memory_order_relaxed);
  t->position += done;
  t->epoch_weight += (double)done;
  t->rows_in_view = 1;
  return done;
}

void cr_step_flush(chainrule_trainer *t, size_t rows)
{
  flush_sum(&(step){.trainer = t, .members = members_for(t, rows), .updates = true});
}
