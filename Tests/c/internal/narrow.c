/* The kernels of narrow networks give the same bits as those of wide networks.
 *
 * Random networks no wider than CR_NARROW are trained twice: as narrow networks, and with `keep`, which uses
 * the kernels of wide networks.  The second training adds rows of weight 0, so that no batch has a single
 * row.  Epochs of single rows also have the same bits as epochs with a progress function, whose steps run one
 * by one. */
#include <math.h>
#include <stdio.h>

#include "draw.h"
#include <stdlib.h>
#include <string.h>

#include "backprop/backprop.h"

enum { PROBLEMS = 1500, STEPS = 4, EPOCHS = 3, MOST_LAYERS = 3, MOST_ROWS = 40, SPARE_ROWS = 3 };

typedef struct problem {
  chainrule_scalar scalar;
  const char *set;
  size_t inputs, layer_count, rows;
  chainrule_layer layers[MOST_LAYERS];
  chainrule_trainer_options training;
  double x[(MOST_ROWS + SPARE_ROWS) * CR_NARROW], y[(MOST_ROWS + SPARE_ROWS) * CR_NARROW],
      weights[MOST_ROWS + SPARE_ROWS];
  bool weighted;
} problem;

/* An output layer that fits the loss. */
static chainrule_activation output(chainrule_loss loss)
{
  static const chainrule_activation positive[] = {CHAINRULE_ACTIVATION_SIGMOID,
                                                  CHAINRULE_ACTIVATION_SOFTPLUS};
  switch (loss) {
  case CHAINRULE_LOSS_BINARY_CROSS_ENTROPY: return CHAINRULE_ACTIVATION_SIGMOID;
  case CHAINRULE_LOSS_CROSS_ENTROPY: return CHAINRULE_ACTIVATION_SOFTMAX;
  case CHAINRULE_LOSS_POISSON: return positive[draw(2)];
  default: return (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX);
  }
}

static double target(chainrule_loss loss)
{
  switch (loss) {
  case CHAINRULE_LOSS_BINARY_CROSS_ENTROPY:
  case CHAINRULE_LOSS_CROSS_ENTROPY: return fabs(uniform());
  case CHAINRULE_LOSS_POISSON: return (double)draw(4);
  case CHAINRULE_LOSS_HINGE: return (double)draw(3) - 1;
  default: return uniform();
  }
}

static problem make(int number, const char *set)
{
  state = (uint64_t)number * 1000;
  problem p = {.scalar = number % 2 ? CHAINRULE_FLOAT32 : CHAINRULE_FLOAT64,
               .set = set,
               .inputs = 1 + draw(CR_NARROW),
               .layer_count = 1 + draw(MOST_LAYERS),
               .rows = draw(2) ? 1 : 1 + draw(MOST_ROWS),
               .weighted = draw(2)};
  const chainrule_loss loss = (chainrule_loss)(number % CHAINRULE_LOSS_COUNT);
  for (size_t l = 0; l < p.layer_count; l++)
    p.layers[l] = (chainrule_layer){
        .units = 1 + draw(CR_NARROW),
        .activation =
            l + 1 == p.layer_count ? output(loss) : (chainrule_activation)draw(CHAINRULE_ACTIVATION_SOFTMAX),
        .no_bias = draw(3) == 0};
  p.training = (chainrule_trainer_options){
      CHAINRULE_TRAINER_OPTIONS_SIZES,
      .loss = loss,
      .optimizer = chainrule_optimizer_default((chainrule_optimizer_kind)draw(CHAINRULE_OPTIMIZER_COUNT)),
      .batch_size = MOST_ROWS + SPARE_ROWS};
  p.training.optimizer.weight_decay = draw(2) ? 0.01 : 0;
  p.training.optimizer.momentum = draw(2) ? 0.9 : 0;
  p.training.optimizer.nesterov = p.training.optimizer.momentum > 0 && draw(2);
  p.training.optimizer.centered = draw(2);
  p.training.optimizer.amsgrad = draw(2);
  p.training.optimizer.l1 = draw(3) ? 0 : 0.001;
  for (size_t i = 0; i < CR_COUNT(p.x); i++) p.x[i] = uniform(), p.y[i] = target(loss);
  for (size_t r = 0; r < p.rows; r++) p.weights[r] = p.weighted ? (float)fabs(uniform()) : 1;
  return p;
}

/* The parameters and losses after training, in one array; NULL after an error, which it prints. */
static char *train(const problem *p, bool narrow, size_t *bytes)
{
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_trainer_options training = p->training;
  training.keep = !narrow;
  const size_t rows = p->rows + (narrow ? 0 : SPARE_ROWS), size = cr_scalar_size(p->scalar);
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, p->scalar, p->inputs, p->layer_count, p->layers, p->set}, &network, &error);
  if (!status) status = chainrule_network_initialize(network, 3, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);
  char *bits = NULL;
  if (!status) {
    *bytes = chainrule_network_parameter_count(network) * size + STEPS * sizeof(double);
    bits = malloc(*bytes);
  }
  for (size_t step = 0; !status && step < STEPS; step++) {
    float x[CR_COUNT(p->x)], y[CR_COUNT(p->y)], weights[CR_COUNT(p->weights)];
    for (size_t i = 0; i < CR_COUNT(x); i++) x[i] = (float)p->x[i], y[i] = (float)p->y[i];
    for (size_t r = 0; r < CR_COUNT(weights); r++) weights[r] = (float)p->weights[r];
    const bool weighted = p->weighted || !narrow;
    double loss = 0;
    status = p->scalar == CHAINRULE_FLOAT32
                 ? chainrule_trainer_step_f32(trainer, x, y, weighted ? weights : NULL, rows, &loss, &error)
                 : chainrule_trainer_step_f64(trainer, p->x, p->y, weighted ? p->weights : NULL, rows, &loss,
                                              &error);
    memcpy(bits + step * sizeof loss, &loss, sizeof loss);
  }
  char *to = bits + STEPS * sizeof(double);
  for (size_t l = 0; !status && l < p->layer_count; l++) /* without padding */
    for (int parameter = 0; parameter < 2; parameter++) {
      cr_read(network, network->parameters, l, (chainrule_parameter)parameter, to);
      to += cr_parameter_size(&network->layers[l], (chainrule_parameter)parameter) * size;
    }
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  if (!status) return bits;
  printf("%s: %s\n", p->set, error.message);
  free(bits);
  return NULL;
}

static int look(void *context, const chainrule_trainer_step *step) { return *(uint64_t *)context += step->rows, 0; }

/* The same after EPOCHS of single rows, the last of which may fail; also its message. */
static char *train_singly(const problem *p, bool watched, size_t *bytes)
{
  chainrule_error error = {0};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_trainer_options training = p->training;
  uint64_t rows = 0;
  training.batch_size = 1;
  training.seed = 7;
  training.in_order = p->rows % 3 == 0;
  const size_t size = cr_scalar_size(p->scalar);
  chainrule_status status = chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, p->scalar, p->inputs, p->layer_count, p->layers, p->set}, &network, &error);
  if (!status) status = chainrule_network_initialize(network, 3, &error);
  if (!status) status = chainrule_trainer_create(network, &training, &trainer, &error);
  if (!status && watched) status = chainrule_trainer_on_step(trainer, look, &rows, &error);
  if (status) printf("%s: %s\n", p->set, error.message);
  const size_t parameters = network ? chainrule_network_parameter_count(network) * size : 0;
  *bytes = parameters + EPOCHS * sizeof(double) + sizeof error.message + sizeof(uint64_t);
  char *bits = calloc(*bytes, 1), *to = bits;
  for (size_t epoch = 0; !status && epoch < EPOCHS; epoch++, to += sizeof(double)) {
    float x[CR_COUNT(p->x)], y[CR_COUNT(p->y)];
    for (size_t i = 0; i < CR_COUNT(x); i++) x[i] = (float)p->x[i], y[i] = (float)p->y[i];
    double loss = 0;
    status = p->scalar == CHAINRULE_FLOAT32
                 ? chainrule_trainer_epoch_f32(trainer, x, y, NULL, MOST_ROWS, &loss, &error)
                 : chainrule_trainer_epoch_f64(trainer, p->x, p->y, NULL, MOST_ROWS, &loss, &error);
    memcpy(to, &loss, sizeof loss);
  }
  to = bits + EPOCHS * sizeof(double);
  if (network && size == sizeof(float)) chainrule_network_get_parameters_f32(network, (float *)to, parameters / size, NULL);
  else if (network) chainrule_network_get_parameters_f64(network, (double *)to, parameters / size, NULL);
  memcpy(to + parameters, error.message, sizeof error.message);
  const uint64_t steps = trainer ? chainrule_trainer_steps(trainer) : 0;
  memcpy(to + parameters + sizeof error.message, &steps, sizeof steps);
  const bool all = !watched || status || rows == EPOCHS * MOST_ROWS;
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  if (all) return bits;
  free(bits);
  return NULL;
}

int main(void)
{
  size_t compared = 0, failed = 0;
  for (size_t set = 0; chainrule_kernel_set_name(set); set++) {
    const char *name = chainrule_kernel_set_name(set);
    if (!strcmp(name, "gsl")) continue; /* it has no kernels for narrow networks */
    for (int number = 0; number < PROBLEMS; number++) {
      const problem p = make(number, name);
      size_t bytes = 0, wide_bytes = 0;
      char *narrow = train(&p, true, &bytes), *wide = train(&p, false, &wide_bytes);
      const bool same = narrow && wide && !memcmp(narrow, wide, bytes);
      if (!same && failed < 10) printf("%s, network %d, %zu rows: other bits\n", name, number, p.rows);
      compared++;
      failed += !same;
      free(narrow);
      free(wide);

      problem single = p;
      if (number % 10 == 0) single.training.optimizer.learning_rate = 1e30; /* it diverges */
      char *fast = train_singly(&single, false, &bytes), *watched = train_singly(&single, true, &bytes);
      const bool alike = fast && watched && !memcmp(fast, watched, bytes);
      if (!alike && failed < 10) printf("%s, network %d, row by row: other bits\n", name, number);
      compared++;
      failed += !alike;
      free(fast);
      free(watched);
    }
  }
  printf("%zu networks, %zu with other bits\n", compared, failed);
  return failed > 0;
}
