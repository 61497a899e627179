/* A custom layer whose function or derivative fails, at any of its calls, in every public call that computes
 * the network: the call fails, nothing has changed, and the same call afterwards gives the same bits as
 * without the failure. */
#include <chainrule.h>

#include <stdlib.h>

#include "expect.h"

enum { INPUTS = 3, OUTPUTS = 2, ROWS = 250, BATCH = 100, FEW = 120, LAYERS = 6, MOST = 8000, RETURNED = -7 };

/* ---- Functions that may fail ------------------------------------------------------------------- */

typedef enum which { FUNCTION, DERIVATIVE } which;
static const char *const names[] = {"function", "derivative"};

/* The context that all custom layers of a network share. */
typedef struct program {
  bool is_f32;
  which which;         /* that fails */
  size_t calls[2], at; /* calls of each so far; the call that fails, from 1; 0: none */
  size_t failed_layer;
  const int *caller; /* of its thread */
} program;

typedef struct place {
  program *program;
  size_t layer;
} place;

static _Thread_local int here; /* its address identifies the thread */

static double value(const void *values, bool is_f32, size_t i)
{
  return is_f32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

static int compute(const place *place, which which, size_t count, const void *z, void *result)
{
  program *p = place->program;
  if (p->caller != &here) HOLDS(!"called by another thread");
  if (++p->calls[which] == p->at && which == p->which) return p->failed_layer = place->layer, RETURNED;
  for (size_t i = 0; i < count; i++) {
    const double square = 1 + value(z, p->is_f32, i) * value(z, p->is_f32, i);
    const double f = which == FUNCTION ? 1 - 1 / square : 2 * value(z, p->is_f32, i) / square / square;
    if (p->is_f32)
      ((float *)result)[i] = (float)f;
    else
      ((double *)result)[i] = f;
  }
  return 0;
}

static int function(void *place, size_t count, const void *z, void *result)
{
  return compute(place, FUNCTION, count, z, result);
}

static int derivative(void *place, size_t count, const void *z, void *result)
{
  return compute(place, DERIVATIVE, count, z, result);
}

static int squared_error(void *is_f32_, size_t rows, size_t outputs, const void *a, const void *y,
                         double *losses, void *gradient)
{
  const bool is_f32 = *(const bool *)is_f32_;
  for (size_t r = 0; r < rows; r++) {
    losses[r] = 0;
    for (size_t i = r * outputs; i < (r + 1) * outputs; i++) {
      const double d = value(a, is_f32, i) - value(y, is_f32, i);
      losses[r] += d * d;
      if (is_f32)
        ((float *)gradient)[i] = (float)(2 * d);
      else
        ((double *)gradient)[i] = 2 * d;
    }
  }
  return 0;
}

/* ---- A network, and the calls that compute it --------------------------------------------------- */

static double x_f64[ROWS * INPUTS], y_f64[ROWS * OUTPUTS];
static float x_f32[ROWS * INPUTS], y_f32[ROWS * OUTPUTS];

typedef struct door door;

typedef struct run {
  program program;
  place places[LAYERS];
  chainrule_network *network;
  chainrule_trainer *trainer;
  chainrule_minimizer *minimizer;
  const door *door;
  double results[MOST]; /* of a call, as bytes; untouched bytes are 0x55 */
  double parameters[MOST], before[MOST];
} run;

#define EITHER(name, handle, ...)                                                                            \
  (r->program.is_f32 ? chainrule_##name##_f32(handle, __VA_ARGS__)                                           \
                     : chainrule_##name##_f64(handle, __VA_ARGS__))

static const void *x_of(const run *r) { return r->program.is_f32 ? (const void *)x_f32 : x_f64; }
static const void *y_of(const run *r) { return r->program.is_f32 ? (const void *)y_f32 : y_f64; }

static chainrule_status predict(run *r)
{
  static char scratch[1 << 20];
  return EITHER(network_predict, r->network, x_of(r), ROWS, (void *)r->results, scratch, sizeof scratch, e);
}

static chainrule_status loss(run *r)
{
  static char scratch[1 << 20];
  return EITHER(network_loss, r->network, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, x_of(r), y_of(r), NULL, ROWS,
                scratch, sizeof scratch, r->results, e);
}

static chainrule_status input_jacobian(run *r)
{
  const size_t count = ROWS * INPUTS * OUTPUTS;
  return EITHER(network_input_jacobian, r->network, x_of(r), ROWS, (void *)r->results, count, e);
}

static chainrule_status parameter_jacobian(run *r)
{
  const size_t count = 110 * OUTPUTS * chainrule_network_parameter_count(r->network);
  return EITHER(network_parameter_jacobian, r->network, x_of(r), 110, (void *)r->results, count, e);
}

static chainrule_status sample_gradients(run *r)
{
  const size_t count = 100 * chainrule_network_parameter_count(r->network);
  return EITHER(network_sample_gradients, r->network, CHAINRULE_LOSS_LOG_COSH, x_of(r), y_of(r), 100,
                (void *)r->results, count, e);
}

static chainrule_status check_gradient(run *r)
{
  return EITHER(network_check_gradient, r->network, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, x_of(r), y_of(r), NULL,
                FEW, (chainrule_gradient_check *)r->results, e);
}

static chainrule_status minimize(run *r)
{
  return EITHER(minimizer_run, r->minimizer, x_of(r), y_of(r), NULL, FEW,
                (chainrule_minimizer_result *)r->results, e);
}

static chainrule_status gradients(run *r)
{
  return EITHER(trainer_gradients, r->trainer, x_of(r), y_of(r), NULL, BATCH, r->results, e);
}

static chainrule_status step(run *r)
{
  return EITHER(trainer_step, r->trainer, x_of(r), y_of(r), NULL, BATCH, r->results, e);
}

static chainrule_status epoch(run *r)
{
  return EITHER(trainer_epoch, r->trainer, x_of(r), y_of(r), NULL, ROWS, r->results, e);
}

struct door {
  const char *name;
  chainrule_status (*call)(run *r);
  enum { NETWORK, TRAINER, MINIMIZER } owner;
  bool derives; /* the call also needs the derivative */
  size_t units;
  chainrule_method method;
  bool in_parts, own_loss;
  size_t accumulate;
};

#define DOOR(name_, call_, derives_, units_)                                                                 \
  {                                                                                                          \
    .name = name_, .call = call_, .owner = NETWORK, .derives = derives_, .units = units_                     \
  }
#define METHOD(name_, id)                                                                                    \
  {                                                                                                          \
    .name = name_, .call = minimize, .owner = MINIMIZER, .derives = true, .units = 2,                        \
    .method = CHAINRULE_METHOD_##id                                                                          \
  }
#define TRAINING(name_, ...) /* wide enough for a team */                                                    \
  {                                                                                                          \
    .name = name_, .owner = TRAINER, .derives = true, .units = 400, .call = __VA_ARGS__                      \
  }
static const door doors[] = {
    DOOR("predict", predict, false, 5),
    DOOR("loss", loss, false, 5),
    DOOR("input Jacobian", input_jacobian, true, 5),
    DOOR("parameter Jacobian", parameter_jacobian, true, 3),
    DOOR("samples' gradients", sample_gradients, true, 3),
    DOOR("check of the gradient", check_gradient, true, 2),
    METHOD("levenbergMarquardt", LEVENBERG_MARQUARDT),
    METHOD("fletcherReeves", FLETCHER_REEVES),
    METHOD("polakRibiere", POLAK_RIBIERE),
    METHOD("bfgs", BFGS),
    METHOD("lbfgs", LBFGS),
    TRAINING("gradients", gradients),
    TRAINING("step", step),
    TRAINING("step of an epoch in parts", step, .in_parts = true),
    TRAINING("step with a loss function", step, .own_loss = true),
    TRAINING("epoch", epoch),
    TRAINING("epoch with accumulated gradients", epoch, .accumulate = 2),
};

/* All parameters and statistics of the network. */
static void read_all(const run *r, double *values)
{
  memset(values, 0, MOST * sizeof *values);
  for (size_t l = 0, k = 0; l < LAYERS; l++)
    for (int parameter = 0; parameter < CHAINRULE_PARAMETER_COUNT; parameter++) {
      const chainrule_parameter which = (chainrule_parameter)parameter;
      const size_t count = chainrule_network_parameter_size(r->network, l, which);
      if (count) EITHER(network_get_parameter, r->network, l, which, (void *)&values[k], count, NULL);
      k += count;
    }
}

static run *begin(const door *door, bool is_f32, size_t threads)
{
  run *r = calloc(1, sizeof *r);
  r->program.is_f32 = is_f32;
  r->program.caller = &here;
  r->door = door;
  chainrule_layer layers[LAYERS];
  for (size_t l = 0; l < LAYERS; l++) {
    r->places[l] = (place){&r->program, l + 1};
    layers[l] = (chainrule_layer){.kind = CHAINRULE_LAYER_CUSTOM, /* 1, 3 and 6 */
                                  .function = function,
                                  .derivative = derivative,
                                  .context = &r->places[l]};
  }
  layers[1] = (chainrule_layer){.units = door->units};
  layers[3] = (chainrule_layer){.kind = CHAINRULE_LAYER_BATCH_NORM};
  layers[4] = (chainrule_layer){.units = OUTPUTS};
  const chainrule_scalar scalar = is_f32 ? CHAINRULE_FLOAT32 : CHAINRULE_FLOAT64;
  ACCEPTED(chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                     scalar, INPUTS, LAYERS, layers, NULL},
                                    &r->network, e));
  ACCEPTED(chainrule_network_initialize(r->network, 1, e));
  const chainrule_trainer_options training = {
      CHAINRULE_TRAINER_OPTIONS_SIZES,
      .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
      .batch_size = BATCH,
      .seed = 2,
      .threads = threads,
      .accumulate = door->accumulate,
      .loss_function = door->own_loss ? squared_error : NULL,
      .loss_context = &r->program.is_f32};
  if (door->owner == TRAINER) ACCEPTED(chainrule_trainer_create(r->network, &training, &r->trainer, e));
  if (door->in_parts) ACCEPTED(chainrule_trainer_begin_epoch(r->trainer, e));
  chainrule_minimizer_options minimization = chainrule_minimizer_options_default(door->method);
  minimization.iterations = 3;
  if (door->owner == MINIMIZER)
    ACCEPTED(chainrule_minimizer_create(r->network, &minimization, &r->minimizer, e));
  memset(r->results, 0x55, sizeof r->results);
  read_all(r, r->before);
  return r;
}

static void end(run *r)
{
  chainrule_trainer_free(r->trainer);
  chainrule_minimizer_free(r->minimizer);
  chainrule_network_free(r->network);
  free(r);
}

static bool is_untouched(const double *results, size_t from)
{
  for (size_t i = from; i < MOST * sizeof *results; i++)
    if (((const char *)results)[i] != 0x55) return false;
  return true;
}

/* The row blocks of 96 rows before the one that failed have been predicted; `good` has all predictions. */
static void a_prediction_is_partial(const run *r, const run *good)
{
  const size_t strip = 96 * OUTPUTS * (r->program.is_f32 ? sizeof(float) : sizeof(double));
  const size_t done = (r->program.at - 1) / 3 * strip; /* three custom layers */
  HOLDS(!memcmp(r->results, good->results, done) && is_untouched(r->results, done));
}

static void a_call_fails(const run *good, which which, size_t at, size_t threads)
{
  const door *door = good->door;
  run *r = begin(door, good->program.is_f32, threads);
  r->program.which = which;
  r->program.at = at;
  *e = (chainrule_error){0};
  HOLDS(door->call(r) == CHAINRULE_CALLBACK_FAILED);
  char message[80];
  const size_t layer = r->program.failed_layer;
  snprintf(message, sizeof message, "layer %zu, custom: the %s failed: it returned %d", layer, names[which],
           RETURNED);
  HOLDS(e->status == CHAINRULE_CALLBACK_FAILED && e->layer == layer && !strcmp(e->message, message));
  if (door->call == predict)
    a_prediction_is_partial(r, good);
  else if (door->owner != NETWORK || door->call == loss || door->call == check_gradient)
    HOLDS(is_untouched(r->results, 0));

  read_all(r, r->parameters);
  const uint64_t batches = door->owner == TRAINER ? chainrule_trainer_rows(r->trainer) / BATCH : 0;
  HOLDS(batches || !memcmp(r->parameters, r->before, sizeof r->before));
  if (door->owner == TRAINER) {
    HOLDS(chainrule_trainer_steps(r->trainer) == (door->accumulate ? batches / door->accumulate : batches));
    HOLDS(chainrule_trainer_epochs(r->trainer) == 0 && (door->call == epoch || batches == 0));
  }

  ACCEPTED(door->call(r));
  read_all(r, r->parameters);
  HOLDS(!memcmp(r->parameters, good->parameters, sizeof r->parameters));
  HOLDS(!memcmp(r->results, good->results, sizeof r->results));
  end(r);
}

static void a_door_fails(const door *door, bool is_f32)
{
  run *good = begin(door, is_f32, 1);
  ACCEPTED(door->call(good));
  read_all(good, good->parameters);
  for (which which = FUNCTION; which <= DERIVATIVE; which++) {
    const size_t calls = good->program.calls[which];
    snprintf(context, sizeof context, "%s, %s", door->name, is_f32 ? "float32" : "float64");
    HOLDS((calls > 0) == (which == FUNCTION || door->derives));
    for (size_t threads = 1; threads <= 3; threads += door->owner == TRAINER ? 2 : 3)
      for (size_t at = 1; at <= calls; at += 1 + calls / 40) { /* only some, if there are many */
        snprintf(context, sizeof context, "%s, %s, call %zu of %zu of the %s, %zu threads", door->name,
                 is_f32 ? "float32" : "float64", at, calls, names[which], threads);
        a_call_fails(good, which, at, threads);
      }
  }
  end(good);
}

/* After a failed step there is no view, because z and a are those of this step, but δ those of the step
 * before. */
static void a_view_is_gone(void)
{
  run *r = begin(&doors[0], false, 1);
  const chainrule_trainer_options training = {
      CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD), .batch_size = BATCH, .keep = true};
  snprintf(context, sizeof context, "a view");
  ACCEPTED(chainrule_trainer_create(r->network, &training, &r->trainer, e));
  ACCEPTED(gradients(r));
  ACCEPTED(chainrule_trainer_view_f64(r->trainer, 5, CHAINRULE_VIEW_A, r->results, BATCH * OUTPUTS, e));
  r->program.at = 2 + r->program.calls[FUNCTION];
  REFUSED(CHAINRULE_CALLBACK_FAILED, "layer 3, custom: the function failed", gradients(r));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "there is nothing to view: no step has been done, or a function",
          chainrule_trainer_view_f64(r->trainer, 5, CHAINRULE_VIEW_A, r->results, BATCH * OUTPUTS, e));
  ACCEPTED(gradients(r));
  ACCEPTED(chainrule_trainer_view_f64(r->trainer, 5, CHAINRULE_VIEW_A, r->results, BATCH * OUTPUTS, e));
  end(r);
}

int main(void)
{
  for (size_t i = 0; i < ROWS * INPUTS; i++) x_f32[i] = (float)(x_f64[i] = uniform());
  for (size_t i = 0; i < ROWS * OUTPUTS; i++) y_f32[i] = (float)(y_f64[i] = (1 + uniform()) / 2);
  for (size_t d = 0; d < sizeof doors / sizeof *doors; d++) {
    a_door_fails(&doors[d], true);
    a_door_fails(&doors[d], false);
  }
  a_view_is_gone();
  return summary();
}
