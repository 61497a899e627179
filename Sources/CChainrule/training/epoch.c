/* The calls that train: a step, an epoch of steps over all rows in random order, an epoch in parts. */
#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"

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
  memset(t->state, 0, bytes * t->descent.states);
  if (t->sum) memset(t->sum, 0, bytes);
  t->sum_weight = 0;
  t->sum_batches = 0;
  t->position = 0;
  t->in_parts = false;
  cr_optimizer_restart(&t->optimizer);
}

/* A batch of an epoch has been done. */
static chainrule_status count_batch(chainrule_trainer *t, size_t rows, double loss, double weight,
                                    chainrule_error *error)
{
  t->epoch_loss += loss * weight;
  t->epoch_weight += weight;
  if (!t->on_step) return CHAINRULE_OK;
  const chainrule_trainer_step step = {t->steps, rows, loss, t->optimizer.update.rate};
  const int refused = t->on_step(t->step_context, &step);
  if (!refused) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0,
                 "the step function failed after step %llu: it returned %d", (unsigned long long)t->steps,
                 refused);
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
  status = cr_step(trainer, &batch, NULL, descends, &value, &total, error);
  if (!status && loss) *loss = value;
  if (!descends) return status;
  if (!status) status = cr_step_check(trainer, &batch, error);
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
static cr_batch next_batch(chainrule_trainer *trainer, const cr_batch *all, cr_gathering *gathering)
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
  *gathering = (cr_gathering){all->x, trainer->order + start};
  batch.x = trainer->gathered.x;
  batch.y = trainer->gathered.y;
  cr_gather(scalar, batch.y, all->y, gathering->order, batch.rows, out);
  if (!all->sample_weights) return batch;
  batch.sample_weights = trainer->gathered.sample_weights;
  cr_gather(scalar, batch.sample_weights, all->sample_weights, gathering->order, batch.rows, 1);
  return batch;
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
  return cr_check_data(trainer->whole, trainer->team, trainer->training.loss, all->x, all->y,
                       all->sample_weights, all->rows, error);
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
    if (cr_step_singly(trainer, &all) > 0) continue;
    cr_gathering gathering = {0};
    const cr_batch batch = next_batch(trainer, &all, &gathering);
    double batch_loss, weight;
    status = cr_step(trainer, &batch, gathering.order ? &gathering : NULL, true, &batch_loss, &weight, error);
    if (status) break;
    if (trainer->position + batch.rows == all.rows) cr_step_flush(trainer, batch.rows);
    trainer->position += batch.rows;
    status = count_batch(trainer, batch.rows, batch_loss, weight, error);
  }
  if (!status) status = cr_step_check(trainer, &all, error);
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
  cr_step_flush(trainer, 1);
  return cr_step_check(trainer, NULL, error);
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

/* ---- Either precision -------------------------------------------------------------------------- */

#define STEP(suffix, R, scalar)                                                                              \
  chainrule_status chainrule_trainer_step_##suffix(chainrule_trainer *trainer, const R *x, const R *y,       \
                                                   const R *sample_weights, size_t rows, double *loss,       \
                                                   chainrule_error *error)                                   \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode,                                                                                     \
                   step_call(trainer, scalar, (cr_batch){rows, x, y, sample_weights}, true, loss, error));   \
  }
CR_EACH_SCALAR(STEP)
#undef STEP

#define GRADIENTS(suffix, R, scalar)                                                                         \
  chainrule_status chainrule_trainer_gradients_##suffix(chainrule_trainer *trainer, const R *x, const R *y,  \
                                                        const R *sample_weights, size_t rows, double *loss,  \
                                                        chainrule_error *error)                              \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode,                                                                                     \
                   step_call(trainer, scalar, (cr_batch){rows, x, y, sample_weights}, false, loss, error));  \
  }
CR_EACH_SCALAR(GRADIENTS)
#undef GRADIENTS

#define EPOCH(suffix, R, scalar)                                                                             \
  chainrule_status chainrule_trainer_epoch_##suffix(chainrule_trainer *trainer, const R *x, const R *y,      \
                                                    const R *sample_weights, size_t rows, double *loss,      \
                                                    chainrule_error *error)                                  \
  {                                                                                                          \
    const cr_float_mode mode = cr_float_mode_enter(false);                                                   \
    return cr_left(mode, epoch(trainer, scalar, (cr_batch){rows, x, y, sample_weights}, loss, error));       \
  }
CR_EACH_SCALAR(EPOCH)
#undef EPOCH
