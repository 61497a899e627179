/* The same bits as before a change: random trainings with all kinds of layer, activations, losses,
 * optimizers, schedules and initialisers, in both precisions.  Each gives one hash of its losses, parameters,
 * statistics, gradients and predictions, which is compared with trainings.h, for every kernel set except gsl.
 *
 *   trainings        compares
 *   trainings N      prints the first N hashes: for trainings.h, and for diff(1) before and after a change */
#include <chainrule.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

static const uint64_t known[] = {
#include "trainings.h"
};

enum { MOST_LAYERS = 20, MOST_UNITS = 66, MOST_ROWS = 80, EPOCHS = 3 };

typedef struct problem {
  chainrule_scalar scalar;
  size_t inputs, outputs, layer_count, rows;
  chainrule_layer layers[MOST_LAYERS];
  double rates[MOST_LAYERS];
  chainrule_trainer_options training;
  bool weighted, in_parts;
  float x[MOST_ROWS * MOST_UNITS], y[MOST_ROWS * MOST_UNITS], weights[MOST_ROWS];
} problem;

/* 0 … below − 1 */
static size_t draw(size_t below) { return (size_t)((uniform() + 1) / 2 * (double)below) % below; }
static double between(double least, double most) { return least + (uniform() + 1) / 2 * (most - least); }
/* Once in n times. */
static bool chance(size_t n) { return draw(n) == 0; }

/* ---- A training, determined by its number ------------------------------------------------------- */

static size_t width(bool narrow)
{
  static const size_t edges[] = {1, 2, 4, 8, 12, 16, 24, 32, 48, 64};
  const size_t edge = edges[draw(narrow ? 4 : 10)];
  return edge + draw(3) - (edge > 1);
}

/* An output activation that fits the loss. */
static chainrule_activation output(chainrule_loss loss)
{
  switch (loss) {
  case CHAINRULE_LOSS_BINARY_CROSS_ENTROPY: return CHAINRULE_ACTIVATION_SIGMOID;
  case CHAINRULE_LOSS_CROSS_ENTROPY: return CHAINRULE_ACTIVATION_SOFTMAX;
  case CHAINRULE_LOSS_POISSON:
    return chance(2) ? CHAINRULE_ACTIVATION_SIGMOID : CHAINRULE_ACTIVATION_SOFTPLUS;
  default:
    return chance(2) ? CHAINRULE_ACTIVATION_IDENTITY : (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX);
  }
}

/* A target that fits the loss: column j of a row of class k. */
static double target(chainrule_loss loss, size_t j, size_t k)
{
  switch (loss) {
  case CHAINRULE_LOSS_BINARY_CROSS_ENTROPY: return (double)draw(2);
  case CHAINRULE_LOSS_CROSS_ENTROPY: return j == k;
  case CHAINRULE_LOSS_POISSON: return (double)draw(4);
  case CHAINRULE_LOSS_HINGE: return (double)draw(3) - 1;
  default: return uniform();
  }
}

static void add(problem *p, chainrule_layer layer) { p->layers[p->layer_count++] = layer; }

/* Adds layers that have `units` inputs and outputs. */
static void add_others(problem *p, size_t units)
{
  const chainrule_activation f = (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX);
  switch (draw(6)) {
  case 0: add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_DROPOUT, .rate = between(0, 0.6)}); break;
  case 1: add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_BATCH_NORM, .momentum = between(0.05, 1)}); break;
  case 2: add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_LAYER_NORM, .epsilon = 1e-3}); break;
  case 3: add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_ACTIVATION, .activation = f}); break;
  case 4:
    add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_LAYER_NORM});
    add(p, (chainrule_layer){.units = units, .activation = f});
    add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_RESIDUAL, .span = 1 + draw(2)});
    break;
  default: break;
  }
}

static void add_layers(problem *p, bool narrow)
{
  const size_t depth = 1 + draw(4);
  const chainrule_loss loss = p->training.loss;
  if (chance(4)) add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_SCALING});
  for (size_t d = 1; d <= depth; d++) {
    const size_t units = d == depth ? p->outputs : width(narrow);
    add(p,
        (chainrule_layer){
            .units = units,
            .activation = d == depth ? output(loss) : (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX),
            .no_bias = chance(4),
            .weights = {(chainrule_initializer_kind)draw(CHAINRULE_INITIALIZER_ZEROS), 0.3},
            .bias = {chance(2) ? CHAINRULE_INITIALIZER_NORMAL : CHAINRULE_INITIALIZER_DEFAULT, 0.1}});
    if (d < depth && (!narrow || chance(4))) add_others(p, units);
  }
  const bool scalable = p->layers[p->layer_count - 1].activation == CHAINRULE_ACTIVATION_IDENTITY &&
                        loss != CHAINRULE_LOSS_HINGE;
  if (scalable && chance(3)) add(p, (chainrule_layer){.kind = CHAINRULE_LAYER_SCALING});
}

static chainrule_optimizer optimizer(void)
{
  chainrule_optimizer o =
      chainrule_optimizer_default((chainrule_optimizer_kind)draw(CHAINRULE_OPTIMIZER_COUNT));
  o.learning_rate = o.kind == CHAINRULE_OPTIMIZER_ADADELTA ? 1 : 0.01;
  if (chance(2)) o.weight_decay = 0.01;
  if (chance(3)) o.l1 = 0.001;
  if (chance(2)) o.momentum = 0.9;
  o.nesterov = o.momentum > 0 && chance(2);
  o.centered = chance(2);
  o.amsgrad = chance(2);
  if (chance(3)) o.beta1 = 0.8, o.beta2 = 0.99, o.alpha = 0.95;
  if (chance(3)) o.epsilon = 1e-4;
  if (chance(20)) o.learning_rate = 1e25; /* it diverges, and returns to the parameters before the epoch */
  return o;
}

static chainrule_schedule schedule(void)
{
  chainrule_schedule s = chainrule_schedule_default((chainrule_schedule_kind)draw(CHAINRULE_SCHEDULE_COUNT));
  s.unit = s.kind != CHAINRULE_SCHEDULE_PLATEAU && chance(2) ? CHAINRULE_PER_STEP : CHAINRULE_PER_EPOCH;
  s.length = 2 + (int64_t)draw(5);
  if (s.kind == CHAINRULE_SCHEDULE_EXPONENTIAL) s.factor = 0.9;
  if (s.kind == CHAINRULE_SCHEDULE_PLATEAU) s.patience = 0;
  if (chance(3)) s.warm_up = 1, s.warm_up_factor = 0.5;
  return s;
}

static void make(problem *p, size_t number)
{
  memset(p, 0, sizeof *p);
  state = 0x9e3779b97f4a7c15u * (number + 1);
  const bool narrow = chance(3);
  p->scalar = chance(2) ? CHAINRULE_FLOAT64 : CHAINRULE_FLOAT32;
  p->inputs = width(narrow);
  p->outputs = width(narrow);
  p->rows = 2 + draw(MOST_ROWS - 1);
  p->weighted = chance(3);
  p->in_parts = chance(4);
  p->training.loss = (chainrule_loss)draw(CHAINRULE_LOSS_COUNT);
  add_layers(p, narrow);

  chainrule_trainer_options *const t = &p->training;
  t->struct_size = sizeof *t;
  t->schedule.struct_size = sizeof t->schedule;
  t->optimizer = optimizer();
  t->batch_size = chance(4) ? 1 : 2 + draw(40);
  t->seed = number;
  t->in_order = chance(3);
  t->keep = chance(4);
  t->threads = 1 + draw(3);
  if (t->loss == CHAINRULE_LOSS_CROSS_ENTROPY || t->loss == CHAINRULE_LOSS_BINARY_CROSS_ENTROPY)
    t->label_smoothing = chance(2) ? 0.1 : 0;
  if (chance(4)) t->input_noise = 0.05;
  if (chance(4)) t->clip_value = 0.1;
  if (chance(4)) t->clip_norm = 0.5;
  if (chance(4)) t->max_norm = 1;
  if (chance(4)) t->accumulate = 1 + draw(3);
  if (chance(2)) t->schedule = schedule();
  if (chance(4)) {
    for (size_t l = 0; l < p->layer_count; l++) p->rates[l] = (double)draw(3) / 2;
    t->rates = p->rates;
  }
  for (size_t i = 0; i < p->rows * p->inputs; i++) p->x[i] = (float)(2 * uniform());
  for (size_t r = 0; r < p->rows; r++) {
    const size_t k = draw(p->outputs);
    for (size_t j = 0; j < p->outputs; j++) p->y[r * p->outputs + j] = (float)target(t->loss, j, k);
    p->weights[r] = (float)between(0, 2);
  }
}

/* ---- The hash of a training: FNV-1a ---------------------------------------------------------------- */

static uint64_t hash;

static void mix(const void *bytes, size_t count)
{
  for (size_t i = 0; i < count; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}
static void mix_number(double number) { mix(&number, sizeof number); }
static void mix_status(chainrule_status status) { mix_number((double)status); }

/* An array in either precision. */
typedef union numbers {
  float f32[MOST_ROWS * MOST_UNITS];
  double f64[MOST_ROWS * MOST_UNITS];
} numbers;
static numbers x, y, weights, values;

static void widen(const problem *p, numbers *to, const float *from, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (p->scalar == CHAINRULE_FLOAT32)
      to->f32[i] = from[i];
    else
      to->f64[i] = (double)from[i];
}
static void mix_values(const problem *p, size_t count)
{
  mix(&values, count * (p->scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double)));
}

static chainrule_status epoch(const problem *p, chainrule_trainer *trainer, double *loss)
{
  const bool is_f32 = p->scalar == CHAINRULE_FLOAT32;
  if (!p->in_parts || !p->training.in_order)
    return is_f32 ? chainrule_trainer_epoch_f32(trainer, x.f32, y.f32, p->weighted ? weights.f32 : NULL,
                                                p->rows, loss, e)
                  : chainrule_trainer_epoch_f64(trainer, x.f64, y.f64, p->weighted ? weights.f64 : NULL,
                                                p->rows, loss, e);
  chainrule_status status = chainrule_trainer_begin_epoch(trainer, e);
  for (size_t r = 0; r < p->rows && !status; r += p->training.batch_size) {
    const size_t left = p->rows - r, rows = left < p->training.batch_size ? left : p->training.batch_size;
    const size_t from = r * p->inputs, to = r * p->outputs;
    status = is_f32 ? chainrule_trainer_step_f32(trainer, x.f32 + from, y.f32 + to,
                                                 p->weighted ? weights.f32 + r : NULL, rows, NULL, e)
                    : chainrule_trainer_step_f64(trainer, x.f64 + from, y.f64 + to,
                                                 p->weighted ? weights.f64 + r : NULL, rows, NULL, e);
  }
  return status ? status : chainrule_trainer_end_epoch(trainer, loss, e);
}

/* Parameters and statistics of every layer. */
static void mix_network(const problem *p, const chainrule_network *network)
{
  for (size_t l = 0; l < p->layer_count; l++)
    for (int k = 0; k < CHAINRULE_PARAMETER_COUNT; k++) {
      const chainrule_parameter parameter = (chainrule_parameter)k;
      const size_t count = chainrule_network_parameter_size(network, l, parameter);
      if (count == 0) continue;
      mix_status(p->scalar == CHAINRULE_FLOAT32
                     ? chainrule_network_get_parameter_f32(network, l, parameter, values.f32, count, e)
                     : chainrule_network_get_parameter_f64(network, l, parameter, values.f64, count, e));
      mix_values(p, count);
    }
}

/* z, a, δ and the gradients of a trainer that keeps them. */
static void mix_views(const problem *p, const chainrule_network *network, chainrule_trainer *trainer)
{
  static const chainrule_parameter of[] = {CHAINRULE_WEIGHTS, CHAINRULE_BIAS, CHAINRULE_GAMMA, CHAINRULE_BETA};
  const size_t rows = p->rows < p->training.batch_size ? p->rows : p->training.batch_size;
  double loss = 0;
  mix_status(p->scalar == CHAINRULE_FLOAT32
                 ? chainrule_trainer_gradients_f32(trainer, x.f32, y.f32, NULL, rows, &loss, e)
                 : chainrule_trainer_gradients_f64(trainer, x.f64, y.f64, NULL, rows, &loss, e));
  mix_number(loss);
  for (size_t l = 0; l < p->layer_count; l++)
    for (int k = CHAINRULE_VIEW_Z; k <= CHAINRULE_VIEW_BETA_GRADIENT; k++) {
      const chainrule_view view = (chainrule_view)k;
      const size_t count =
          view <= CHAINRULE_VIEW_DELTA
              ? rows * p->layers[l].units
              : chainrule_network_parameter_size(network, l, of[view - CHAINRULE_VIEW_WEIGHTS_GRADIENT]);
      if (count == 0) continue;
      mix_status(p->scalar == CHAINRULE_FLOAT32
                     ? chainrule_trainer_view_f32(trainer, l, view, values.f32, count, e)
                     : chainrule_trainer_view_f64(trainer, l, view, values.f64, count, e));
      mix_values(p, count);
    }
}

static void mix_predictions(const problem *p, const chainrule_network *network)
{
  const size_t size = chainrule_network_scratch_size(network, 16);
  void *scratch = malloc(size);
  double loss = 0;
  mix_status(p->scalar == CHAINRULE_FLOAT32
                 ? chainrule_network_predict_f32(network, x.f32, p->rows, values.f32, scratch, size, e)
                 : chainrule_network_predict_f64(network, x.f64, p->rows, values.f64, scratch, size, e));
  mix_values(p, p->rows * p->outputs);
  mix_status(p->scalar == CHAINRULE_FLOAT32
                 ? chainrule_network_loss_f32(network, p->training.loss, x.f32, y.f32, NULL, p->rows, scratch,
                                              size, &loss, e)
                 : chainrule_network_loss_f64(network, p->training.loss, x.f64, y.f64, NULL, p->rows, scratch,
                                              size, &loss, e));
  mix_number(loss);
  free(scratch);
}

static void set(chainrule_network *network, const problem *p, size_t l, chainrule_parameter parameter,
                double least, double most)
{
  const size_t count = chainrule_network_parameter_size(network, l, parameter);
  for (size_t i = 0; i < count; i++) {
    const float value = (float)between(least, most);
    if (p->scalar == CHAINRULE_FLOAT32)
      values.f32[i] = value;
    else
      values.f64[i] = (double)value;
  }
  ACCEPTED(p->scalar == CHAINRULE_FLOAT32
               ? chainrule_network_set_parameter_f32(network, l, parameter, values.f32, count, e)
               : chainrule_network_set_parameter_f64(network, l, parameter, values.f64, count, e));
}

static uint64_t train(const problem *p, const char *kernels, size_t threads)
{
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_trainer_options training = p->training;
  training.threads = threads;
  hash = 0xcbf29ce484222325;
  ACCEPTED(chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, p->scalar, p->inputs,
                                       p->layer_count, p->layers, kernels},
      &network, e));
  ACCEPTED(chainrule_network_initialize(network, p->training.seed, e));
  for (size_t l = 0; l < p->layer_count; l++)
    if (p->layers[l].kind == CHAINRULE_LAYER_SCALING) {
      set(network, p, l, CHAINRULE_MEAN, -0.5, 0.5);
      set(network, p, l, CHAINRULE_DEVIATION, 0.5, 2);
    }
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  widen(p, &x, p->x, p->rows * p->inputs);
  widen(p, &y, p->y, p->rows * p->outputs);
  widen(p, &weights, p->weights, p->rows);
  for (int n = 0; n < EPOCHS && trainer; n++) {
    double loss = 0;
    mix_status(epoch(p, trainer, &loss));
    mix_number(loss);
    mix_status(chainrule_trainer_observe(trainer, loss, e));
    mix_number(chainrule_trainer_learning_rate(trainer));
  }
  if (trainer && p->training.keep) mix_views(p, network, trainer);
  if (trainer) mix_network(p, network), mix_predictions(p, network);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return hash;
}

int main(int argc, char **argv)
{
  static problem p;
  const size_t count = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : sizeof known / sizeof *known;
  for (size_t number = 0; number < count; number++) {
    if (argc > 1) {
      snprintf(context, sizeof context, "training %zu", number);
      make(&p, number);
      printf("0x%016" PRIx64 ",\n", train(&p, NULL, p.training.threads));
      continue;
    }
    const char *kernels;
    for (size_t set = 0; (kernels = chainrule_kernel_set_name(set)); set++) {
      if (!strcmp(kernels, "gsl")) continue; /* its bits depend on the BLAS */
      make(&p, number);
      snprintf(context, sizeof context, "training %zu with %s", number, kernels);
      HOLDS(train(&p, kernels, p.training.threads) == known[number]);
    }
  }
  return argc > 1 ? failed != 0 : summary();
}
