/* Checkpoints: training that is stopped after any step, saved, and restored into another trainer ends in the
 * same bits as training without a stop, with any optimizer and settings.  A checkpoint that does not fit is
 * refused and changes nothing. */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chainrule.h>

#include "expect.h"

enum {
  INPUTS = 4,
  OUTPUTS = 2,
  ROWS = 37,
  BATCH = 8,
  EPOCHS = 4,
  STOPS = 5
}; /* of each of 8 settings of an optimizer */
enum { STEPS = EPOCHS * ((ROWS + BATCH - 1) / BATCH) };

static char path[] = "checkpoint-XXXXXX";

/* ---- A training ---------------------------------------------------------------------------------- */

static double x64[ROWS][INPUTS], y64[ROWS][OUTPUTS], weights64[ROWS];
static float x32[ROWS][INPUTS], y32[ROWS][OUTPUTS], weights32[ROWS];

static void make_data(void)
{
  for (int r = 0; r < ROWS; r++) {
    for (int i = 0; i < INPUTS; i++) x32[r][i] = (float)(x64[r][i] = uniform());
    y32[r][0] = (float)(y64[r][0] = x64[r][0] * x64[r][1] > 0);
    y32[r][1] = (float)(y64[r][1] = 1 - y64[r][0]);
    weights32[r] = (float)(weights64[r] = 1 + 0.5 * uniform());
  }
}

/* Stops the trainer in one of its steps: the call ends after that batch. */
typedef struct stopper {
  chainrule_trainer *trainer;
  size_t calls, stop_at, fail_at; /* fail_at: the loss is NaN */
} stopper;

/* The squared error, Σ (a − y)², and a count of its calls. */
static int squared_error(void *context_of_loss, size_t rows, size_t outputs, const void *a, const void *y,
                         double *losses, void *gradient)
{
  stopper *s = context_of_loss;
  if (++s->calls == s->stop_at) chainrule_trainer_stop(s->trainer);
  for (size_t r = 0; r < rows; r++) {
    losses[r] = 0;
    for (size_t k = r * outputs; k < (r + 1) * outputs; k++) {
      const float error = ((const float *)a)[k] - ((const float *)y)[k];
      losses[r] += (double)error * error;
      ((float *)gradient)[k] = 2 * error;
    }
    if (s->calls == s->fail_at) losses[r] = 0.0 / 0.0;
  }
  return 0;
}

/* The trainer's options, and how it gets its data. */
typedef struct setting {
  chainrule_network_description network;
  chainrule_trainer_options training;
  bool in_parts; /* streams steps, with a loss of the catalogue; else trains epochs, with the squared error above */
  bool weighted;
} setting;

typedef struct run {
  const setting *setting;
  chainrule_network *network;
  chainrule_trainer *trainer;
  stopper stopper;
  double losses[EPOCHS];
} run;

static void begin(run *r, const setting *s, uint64_t seed)
{
  r->setting = s;
  ACCEPTED(chainrule_network_create(&s->network, &r->network, e));
  ACCEPTED(chainrule_network_initialize(r->network, seed, e));
  chainrule_trainer_options training = s->training;
  training.loss_context = &r->stopper;
  ACCEPTED(chainrule_trainer_create(r->network, &training, &r->trainer, e));
  r->stopper.trainer = r->trainer;
}

static void end(run *r)
{
  chainrule_trainer_free(r->trainer);
  chainrule_network_free(r->network);
}

static chainrule_status step(run *r, size_t from)
{
  const size_t rows = ROWS - from < BATCH ? ROWS - from : BATCH;
  return r->setting->network.scalar == CHAINRULE_FLOAT32
             ? chainrule_trainer_step_f32(r->trainer, x32[from], y32[from],
                                          r->setting->weighted ? &weights32[from] : NULL, rows, NULL, e)
             : chainrule_trainer_step_f64(r->trainer, x64[from], y64[from],
                                          r->setting->weighted ? &weights64[from] : NULL, rows, NULL, e);
}

/* Trains from step `from` to step `until`, or to the end of the last epoch; true in the second case. */
static bool train(run *r, size_t from, size_t until)
{
  const size_t batches = (ROWS + BATCH - 1) / BATCH;
  r->stopper.calls = from;
  r->stopper.stop_at = until;
  for (size_t done = from; chainrule_trainer_epochs(r->trainer) < EPOCHS;) {
    const uint64_t epoch = chainrule_trainer_epochs(r->trainer);
    if (r->setting->in_parts) {
      if (done % batches == 0) ACCEPTED(chainrule_trainer_begin_epoch(r->trainer, e));
      do {
        ACCEPTED(step(r, done % batches * BATCH));
        if (++done == until) return false;
      } while (done % batches);
      ACCEPTED(chainrule_trainer_end_epoch(r->trainer, &r->losses[epoch], e));
    } else {
      const chainrule_status status = chainrule_trainer_epoch_f32(
          r->trainer, *x32, *y32, r->setting->weighted ? weights32 : NULL, ROWS, &r->losses[epoch], e);
      if (status == CHAINRULE_STOPPED) return false;
      ACCEPTED(status);
      if (status) return true;
      /* the next epoch notices a stop in the last batch; this one does not */
      if (r->stopper.calls == until && until % batches == 0) return false;
    }
    ACCEPTED(chainrule_trainer_observe(r->trainer, r->losses[epoch], e));
  }
  return true;
}

static bool is_same_network(const chainrule_network *a, const chainrule_network *b)
{
  for (size_t l = 0; l < chainrule_network_layer_count(a); l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      const size_t count = chainrule_network_parameter_size(a, l, (chainrule_parameter)p);
      if (count == 0) continue;
      const bool narrow = chainrule_network_scalar(a) == CHAINRULE_FLOAT32;
      const size_t size = count * (narrow ? sizeof(float) : sizeof(double));
      void *values[2] = {malloc(size), malloc(size)};
      const chainrule_network *networks[2] = {a, b};
      for (int i = 0; i < 2; i++) {
        if (narrow)
          ACCEPTED(chainrule_network_get_parameter_f32(networks[i], l, (chainrule_parameter)p, values[i],
                                                       count, e));
        else
          ACCEPTED(chainrule_network_get_parameter_f64(networks[i], l, (chainrule_parameter)p, values[i],
                                                       count, e));
      }
      const bool same = memcmp(values[0], values[1], size) == 0;
      free(values[0]);
      free(values[1]);
      if (!same) return false;
    }
  return true;
}

/* Compares training that is stopped after `stop` steps and resumed in another trainer with training without a
 * stop. */
static void check_stop(const setting *s, const run *reference, size_t stop)
{
  run first = {0}, second = {0};
  begin(&first, s, 3);
  if (!train(&first, 0, stop)) {
    ACCEPTED(chainrule_trainer_save(first.trainer, NULL, NULL, path, e));
    begin(&second, s, 4);
    ACCEPTED(chainrule_trainer_restore(second.trainer, path, NULL, NULL, e));
    HOLDS(chainrule_trainer_steps(second.trainer) == chainrule_trainer_steps(first.trainer));
    HOLDS(chainrule_trainer_rows(second.trainer) == chainrule_trainer_rows(first.trainer));
    HOLDS(is_same_network(first.network, second.network));
    if (!s->in_parts && stop % ((ROWS + BATCH - 1) / BATCH) == 0)
      ACCEPTED(chainrule_trainer_observe(second.trainer,
                                         first.losses[chainrule_trainer_epochs(first.trainer) - 1], e));
    if (s->in_parts && stop % ((ROWS + BATCH - 1) / BATCH) == 0) {
      const uint64_t epoch = chainrule_trainer_epochs(second.trainer);
      ACCEPTED(chainrule_trainer_end_epoch(second.trainer, &second.losses[epoch], e));
      ACCEPTED(chainrule_trainer_observe(second.trainer, second.losses[epoch], e));
    }
    train(&second, stop, SIZE_MAX);
    HOLDS(is_same_network(second.network, reference->network));
    HOLDS(chainrule_trainer_steps(second.trainer) == chainrule_trainer_steps(reference->trainer));
    /* before its first update, a trainer returns the rate of that update */
    if (stop < STEPS)
      HOLDS(chainrule_trainer_learning_rate(second.trainer) ==
            chainrule_trainer_learning_rate(reference->trainer));
    for (uint64_t epoch = chainrule_trainer_epochs(first.trainer); epoch < EPOCHS; epoch++)
      if (epoch * ((ROWS + BATCH - 1) / BATCH) != stop || s->in_parts)
        HOLDS(second.losses[epoch] == reference->losses[epoch]);
    end(&second);
  } else {
    HOLDS(stop >= STEPS);
  }
  end(&first);
}

static void check_setting(const setting *s)
{
  run reference = {0};
  begin(&reference, s, 3);
  train(&reference, 0, SIZE_MAX);
  for (int i = 0; i < STOPS; i++)
    check_stop(s, &reference, 1 + (size_t)((uniform() + 1) / 2 * STEPS) % STEPS);
  end(&reference);
}

/* ---- Every optimizer, every setting ---------------------------------------------------------------- */

static const chainrule_layer plain[] = {
    {.kind = CHAINRULE_LAYER_DENSE, .units = 3, .activation = CHAINRULE_ACTIVATION_TANH},
    {.kind = CHAINRULE_LAYER_DENSE, .units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SIGMOID},
};
static const chainrule_layer deep[] = {
    {.kind = CHAINRULE_LAYER_DENSE, .units = 19, .no_bias = true},
    {.kind = CHAINRULE_LAYER_BATCH_NORM, .momentum = 0.1, .epsilon = 1e-5},
    {.kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_RELU},
    {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.3},
    {.kind = CHAINRULE_LAYER_DENSE, .units = 19, .activation = CHAINRULE_ACTIVATION_TANH},
    {.kind = CHAINRULE_LAYER_RESIDUAL, .span = 1},
    {.kind = CHAINRULE_LAYER_LAYER_NORM, .epsilon = 1e-5},
    {.kind = CHAINRULE_LAYER_DENSE, .units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SIGMOID},
};

enum { PLAIN = sizeof plain / sizeof *plain, DEEP = sizeof deep / sizeof *deep };

/* Four cases: by epochs and streamed, with few settings and with all. */
static setting make_setting(chainrule_optimizer optimizer, int form)
{
  const bool rich = form & 1, in_parts = form & 2;
  setting s = {
      .network = {CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                  .scalar = in_parts && rich ? CHAINRULE_FLOAT64 : CHAINRULE_FLOAT32, .inputs = INPUTS,
                  .layer_count = rich ? DEEP : PLAIN, .layers = rich ? deep : plain},
      .training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_BINARY_CROSS_ENTROPY,
                   .optimizer = optimizer, .batch_size = BATCH, .seed = 7,
                   .loss_function = in_parts ? NULL : squared_error},
      .in_parts = in_parts,
      .weighted = rich,
  };
  if (!rich) return s;
  s.training.input_noise = 0.1;
  s.training.clip_value = 0.5;
  s.training.clip_norm = 0.8;
  s.training.max_norm = 1.5;
  s.training.accumulate = 3;
  s.training.label_smoothing = in_parts ? 0.1 : 0;
  s.training.schedule =
      chainrule_schedule_default(in_parts ? CHAINRULE_SCHEDULE_PLATEAU : CHAINRULE_SCHEDULE_COSINE);
  s.training.schedule.patience = 0;
  s.training.schedule.cooldown = 1;
  s.training.schedule.threshold = 0.2;
  s.training.schedule.length = STEPS / 3;
  s.training.schedule.unit = in_parts ? CHAINRULE_PER_EPOCH : CHAINRULE_PER_STEP;
  return s;
}

static void every_optimizer(void)
{
  for (int kind = 0; kind < CHAINRULE_OPTIMIZER_COUNT; kind++)
    for (int options = 0; options < 2; options++)
      for (int form = 0; form < 4; form++) {
        chainrule_optimizer optimizer = chainrule_optimizer_default((chainrule_optimizer_kind)kind);
        optimizer.learning_rate = kind == CHAINRULE_OPTIMIZER_ADADELTA ? 1 : 0.02;
        if (options) {
          optimizer.weight_decay = 0.01;
          optimizer.l1 = 0.001;
          optimizer.momentum = 0.9;
          optimizer.centered = optimizer.amsgrad = true;
          optimizer.nesterov = kind == CHAINRULE_OPTIMIZER_SGD;
        }
        snprintf(context, sizeof context, "%s, options %d, form %d",
                 chainrule_optimizer_name((chainrule_optimizer_kind)kind), options, form);
        const setting s = make_setting(optimizer, form);
        check_setting(&s);
      }
}

/* ---- The note, the best network, metadata ----------------------------------------------------------- */

static void a_loop_keeps_its_own(void)
{
  snprintf(context, sizeof context, "best and note");
  const setting s = make_setting(chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), 1);
  run r = {0}, other = {0};
  begin(&r, &s, 3);
  begin(&other, &s, 9);
  train(&r, 0, 7);
  train(&other, 0, SIZE_MAX);
  static const char note[] = "{\"patience\": 3, \"name\": \"\xc3\xa4\"}";
  ACCEPTED(chainrule_trainer_set_learning_rate(r.trainer, 0.125, e));
  const double rate = chainrule_trainer_learning_rate(r.trainer);
  ACCEPTED(chainrule_trainer_save(r.trainer, other.network, note, path, e));

  run restored = {0};
  begin(&restored, &s, 5);
  chainrule_network *best = NULL, *loaded = NULL;
  char *text = NULL;
  ACCEPTED(chainrule_trainer_restore(restored.trainer, path, &best, &text, e));
  HOLDS(best && is_same_network(best, other.network));
  HOLDS(text && strcmp(text, note) == 0);
  HOLDS(is_same_network(restored.network, r.network));
  HOLDS(chainrule_trainer_learning_rate(restored.trainer) == rate);
  chainrule_network_free(best);
  free(text);

  /* A checkpoint is a model. */
  ACCEPTED(chainrule_network_load(path, &loaded, e));
  HOLDS(loaded && is_same_network(loaded, r.network));
  chainrule_network_free(loaded);

  /* Without a note and a best network, and without pointers for them. */
  ACCEPTED(chainrule_trainer_restore(restored.trainer, path, NULL, NULL, e));
  ACCEPTED(chainrule_trainer_save(r.trainer, NULL, NULL, path, e));
  ACCEPTED(chainrule_trainer_restore(restored.trainer, path, &best, &text, e));
  HOLDS(!best && !text);

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "note: not UTF-8",
          chainrule_trainer_save(r.trainer, NULL, "\xff", path, e));
  const setting small = make_setting(s.training.optimizer, 0);
  run another = {0};
  begin(&another, &small, 1);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "best has 2 layers; expected 8, as the trainer's network",
          chainrule_trainer_save(r.trainer, another.network, NULL, path, e));
  end(&another);
  end(&restored);
  end(&other);
  end(&r);
}

/* The file has the network's metadata; the trainer's network keeps its own. */
static void the_networks_metadata_goes_with_it(void)
{
  snprintf(context, sizeof context, "metadata");
  const setting s = make_setting(chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), 1);
  run r = {0}, other = {0};
  begin(&r, &s, 3);
  begin(&other, &s, 9);
  static const char text[] = "{\"columns\": [\"\xc3\xa4\"]}", own[] = "own";
  ACCEPTED(chainrule_network_set_metadata(r.network, text, sizeof text - 1, e));
  ACCEPTED(chainrule_network_set_metadata(other.network, own, sizeof own - 1, e));
  train(&r, 0, 7);
  ACCEPTED(chainrule_trainer_save(r.trainer, other.network, "note", path, e));
  chainrule_network *best = NULL, *loaded = NULL;
  ACCEPTED(chainrule_trainer_restore(other.trainer, path, &best, NULL, e));
  HOLDS(is_same_network(other.network, r.network));
  HOLDS(strcmp(chainrule_network_metadata(other.network), own) == 0);
  HOLDS(best && strcmp(chainrule_network_metadata(best), text) == 0);
  chainrule_network_free(best);
  ACCEPTED(chainrule_network_load(path, &loaded, e));
  HOLDS(loaded && strcmp(chainrule_network_metadata(loaded), text) == 0);
  chainrule_network_free(loaded);
  end(&other);
  end(&r);
}

/* If training diverges after a checkpoint within an epoch, it returns to the parameters at the beginning of
 * that epoch. */
static void goes_back_to_the_beginning_of_the_epoch(void)
{
  snprintf(context, sizeof context, "divergence");
  const setting s = make_setting(chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), 1);
  run r = {0}, start = {0}, restored = {0};
  begin(&r, &s, 3);
  begin(&start, &s, 3);
  begin(&restored, &s, 4);
  train(&r, 0, 7);
  train(&start, 0, 5);
  ACCEPTED(chainrule_trainer_save(r.trainer, NULL, NULL, path, e));
  ACCEPTED(chainrule_trainer_restore(restored.trainer, path, NULL, NULL, e));
  restored.stopper.calls = 7;
  restored.stopper.fail_at = 9;
  REFUSED(CHAINRULE_NOT_FINITE, "the loss: NaN",
          chainrule_trainer_epoch_f32(restored.trainer, *x32, *y32, weights32, ROWS, NULL, e));
  HOLDS(is_same_network(restored.network, start.network));
  end(&restored);
  end(&start);
  end(&r);
}

/* Restoring discards the gradients that the trainer had accumulated. */
static void takes_the_place_of_what_there_was(void)
{
  snprintf(context, sizeof context, "accumulated before");
  setting s = make_setting(chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), 2);
  s.training.accumulate = 3;
  run r = {0}, used = {0};
  begin(&r, &s, 3);
  begin(&used, &s, 4);
  train(&r, 0, 3);
  train(&used, 0, 4);
  ACCEPTED(chainrule_trainer_save(r.trainer, NULL, NULL, path, e));
  ACCEPTED(chainrule_trainer_restore(used.trainer, path, NULL, NULL, e));
  train(&r, 3, SIZE_MAX);
  train(&used, 3, SIZE_MAX);
  HOLDS(is_same_network(r.network, used.network));
  end(&used);
  end(&r);
}

/* ---- Checkpoints that do not fit --------------------------------------------------------------------- */

/* A trainer with these settings refuses the checkpoint and stays unchanged. */
static void does_not_fit(const setting *s, chainrule_status wanted, const char *beginning, int line)
{
  run r = {0}, twin = {0};
  begin(&r, s, 6);
  begin(&twin, s, 6);
  train(&r, 0, 3);
  train(&twin, 0, 3);
  const chainrule_status status = chainrule_trainer_restore(r.trainer, path, NULL, NULL, e);
  expect(status == wanted && strncmp(e->message, beginning, strlen(beginning)) == 0, line,
         status ? e->message : "was accepted");
  train(&r, 3, SIZE_MAX);
  train(&twin, 3, SIZE_MAX);
  expect(is_same_network(r.network, twin.network), line, "a refusal changes nothing");
  end(&r);
  end(&twin);
}

#define DOES_NOT_FIT(s, beginning) does_not_fit(s, CHAINRULE_INVALID_ARGUMENT, beginning, __LINE__)

static void refuses_what_does_not_fit(void)
{
  snprintf(context, sizeof context, "what does not fit");
  chainrule_optimizer adam = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM);
  const setting s = make_setting(adam, 0);
  run r = {0};
  begin(&r, &s, 3);
  HOLDS(!train(&r, 0, 7));
  ACCEPTED(chainrule_trainer_save(r.trainer, NULL, NULL, path, e));

  setting t = s;
  t.training.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD);
  DOES_NOT_FIT(&t, "the checkpoint's optimizer is adam; expected sgd, the trainer's");
  t = s;
  t.training.optimizer.amsgrad = true;
  DOES_NOT_FIT(&t, "the checkpoint has no w of adam: it was saved with other options of the optimizer");
  t = s;
  t.training.seed = 8;
  DOES_NOT_FIT(
      &t, "the checkpoint is in the middle of an epoch with the row order of seed 7; the trainer's seed is 8");
  t = s;
  t.training.in_order = true;
  DOES_NOT_FIT(
      &t,
      "the checkpoint is in the middle of an epoch with rows in random order; the trainer takes rows in order");
  chainrule_layer layers[PLAIN];
  memcpy(layers, plain, sizeof layers);
  layers[0].units = 5;
  t = s;
  t.network.layers = layers;
  DOES_NOT_FIT(&t, "layer 1: the checkpoint has 3 units; expected 5, as the trainer's network");
  layers[0].units = 3;
  layers[0].activation = CHAINRULE_ACTIVATION_RELU;
  DOES_NOT_FIT(
      &t, "layer 1: the checkpoint has a dense with other options; expected those of the trainer's network");
  setting deeper = make_setting(adam, 1);
  DOES_NOT_FIT(&deeper, "the checkpoint has 2 layers; expected 8, as the trainer's network");
  deeper = make_setting(adam, 2);
  deeper.network.scalar = CHAINRULE_FLOAT64;
  DOES_NOT_FIT(&deeper, "the checkpoint is float32; expected float64, as the trainer's network");

  t = s;
  t.training.optimizer.amsgrad = true;
  run with = {0};
  begin(&with, &t, 3);
  HOLDS(!train(&with, 0, 7));
  ACCEPTED(chainrule_trainer_save(with.trainer, NULL, NULL, path, e));
  DOES_NOT_FIT(&s, "the checkpoint has arrays that adam does not have");
  end(&with);

  t = s;
  t.training.accumulate = 4;
  begin(&with, &t, 3);
  HOLDS(!train(&with, 0, 3));
  ACCEPTED(chainrule_trainer_save(with.trainer, NULL, NULL, path, e));
  DOES_NOT_FIT(
      &s, "the checkpoint has accumulated 3 batches and needs more for an update; the trainer accumulates 1");
  end(&with);

  ACCEPTED(chainrule_network_save(r.network, path, e));
  does_not_fit(&s, CHAINRULE_INVALID_FILE, "no __metadata__.training: a model, but not a checkpoint", __LINE__);
  end(&r);
}

/* A checkpoint with one flipped bit, in any byte, or truncated anywhere, gives an error or the same
 * training. */
static void notices_damage(void)
{
  snprintf(context, sizeof context, "damage");
  const setting s = make_setting(chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM), 0);
  run r = {0}, other = {0};
  begin(&r, &s, 3);
  begin(&other, &s, 4);
  train(&r, 0, 7);
  ACCEPTED(chainrule_network_set_metadata(r.network, "text", 4, e));
  ACCEPTED(chainrule_trainer_save(r.trainer, r.network, "note", path, e));
  static unsigned char bytes[8192];
  FILE *file = fopen(path, "rb");
  const size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  if (file) fclose(file);
  HOLDS(size > 1000 && size < sizeof bytes);
  size_t refusals = 0;
  for (size_t i = 0; i < 2 * size; i++) {
    const bool flip = i < size;
    const unsigned char bit = (unsigned char)(flip ? 1 << i % 7 : 0);
    bytes[i % size] ^= bit;
    file = fopen(path, "wb");
    if (!file) break;
    fwrite(bytes, 1, flip ? size : i - size, file);
    fclose(file);
    bytes[i % size] ^= bit;
    const chainrule_status status = chainrule_trainer_restore(other.trainer, path, NULL, NULL, e);
    if (status == CHAINRULE_OK)
      HOLDS(is_same_network(r.network, other.network));
    else
      HOLDS(status == CHAINRULE_INVALID_FILE);
    refusals += status != CHAINRULE_OK;
  }
  HOLDS(refusals > size + size / 2);
  end(&r);
  end(&other);
}

int main(void)
{
  const int file = mkstemp(path);
  if (file < 0) {
    perror("FAILED  mkstemp");
    return 1;
  }
  close(file);
  make_data();
  every_optimizer();
  a_loop_keeps_its_own();
  the_networks_metadata_goes_with_it();
  goes_back_to_the_beginning_of_the_epoch();
  takes_the_place_of_what_there_was();
  refuses_what_does_not_fit();
  notices_damage();
  unlink(path);
  return summary();
}
