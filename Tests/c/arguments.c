/* Bad input gives a status and a message that names the culprit.  Nothing changes, and nothing aborts.
 * Every call is made twice: with an error to fill, and with NULL instead. */
#define _POSIX_C_SOURCE 200809L

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

static size_t checks, failures;

static void expect(bool holds, int line, const char *what, const chainrule_error *error)
{
  ++checks;
  if (holds) return;
  ++failures;
  printf("FAILED  line %d: %s; got status %d, layer %zu, \"%s\"\n", line, what, (int)error->status,
         error->layer, error->message);
}

static bool ends_with_full_stop(const char *message)
{
  size_t length = strlen(message);
  return length > 0 && message[length - 1] == '.';
}

/* The call, written with `e` for its error, returns `wanted` with a message that contains `culprit`. */
#define REFUSED_AT(wanted, at, culprit, call)                                                                \
  do {                                                                                                       \
    chainrule_error error, *e = NULL;                                                                        \
    memset(&error, 0x5a, sizeof error);                                                                      \
    expect((call) == (wanted), __LINE__, "without an error to fill: " #call " is " #wanted, &blank);         \
    e = &error;                                                                                              \
    chainrule_status status = (call);                                                                        \
    if (!memchr(error.message, 0, sizeof error.message)) error = blank;                                      \
    expect(status == (wanted), __LINE__, #call " is " #wanted, &error);                                      \
    expect(error.status == status, __LINE__, #call " fills the status", &error);                             \
    expect(error.layer == (at), __LINE__, #call " tells the layer, " #at, &error);                           \
    expect(strstr(error.message, culprit) != NULL, __LINE__, #call " names " #culprit, &error);              \
    expect(!ends_with_full_stop(error.message), __LINE__, #call " writes no full stop", &error);             \
  } while (0)
#define REFUSED(wanted, culprit, call) REFUSED_AT(wanted, 0, culprit, call)
#define ACCEPTED(call)                                                                                       \
  do {                                                                                                       \
    chainrule_error error = blank, *e = &error;                                                              \
    expect((call) == CHAINRULE_OK, __LINE__, #call " succeeds", &error);                                     \
  } while (0)
#define HOLDS(condition) expect(condition, __LINE__, #condition, &blank)

static const chainrule_error blank = {.message = "(no message)"};

/* ---- A small network -------------------------------------------------------------------------- */

enum { ROWS = 4 };
static const float x32[ROWS][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const double x64[ROWS][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const float y32[ROWS][1] = {{0}, {1}, {1}, {0}};
static const double y64[ROWS][1] = {{0}, {1}, {1}, {0}};

static chainrule_status create(chainrule_scalar scalar, size_t inputs, size_t count,
                               const chainrule_layer *layers, chainrule_network **network,
                               chainrule_error *error)
{
  chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = scalar,
                                               .inputs = inputs, .layer_count = count, .layers = layers};
  return chainrule_network_create(&description, network, error);
}

/* 2 inputs, 3 hidden neurons, 1 output of the given activation. */
static chainrule_network *small(chainrule_scalar scalar, chainrule_activation output)
{
  const chainrule_layer layers[] = {
      {.units = 3, .activation = CHAINRULE_ACTIVATION_TANH},
      {.units = 1, .activation = output},
  };
  chainrule_network *network = NULL;
  ACCEPTED(create(scalar, 2, 2, layers, &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 1, e));
  return network;
}

static chainrule_trainer_options plan(chainrule_loss loss)
{
  return (chainrule_trainer_options){CHAINRULE_TRAINER_OPTIONS_SIZES, .loss = loss,
                                     .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD),
                                     .batch_size = ROWS};
}

/* A number that no catalogue has; in a variable, because compilers warn about a literal out of an enum's
 * range. */
static volatile int nobody = 99;

/* ---- Descriptions ----------------------------------------------------------------------------- */

static void descriptions_are_checked(void)
{
  chainrule_network *network = NULL;
  const chainrule_layer good = {.units = 3};
  const chainrule_scalar f32 = CHAINRULE_FLOAT32;
  chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = f32,
                                               .inputs = 2, .layer_count = 1, .layers = &good};

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "description", chainrule_network_create(NULL, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_create(&description, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layers", create(f32, 2, 1, NULL, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "scalar", create((chainrule_scalar)nobody, 2, 1, &good, &network, e));

  REFUSED(CHAINRULE_INVALID_NETWORK, "layer", create(f32, 2, 0, &good, &network, e));
  REFUSED(CHAINRULE_INVALID_NETWORK, "layer", create(f32, 2, SIZE_MAX, &good, &network, e));

  const size_t impossible[] = {0, (size_t)1 << 31, SIZE_MAX};
  for (size_t i = 0; i < 3; i++) {
    REFUSED(CHAINRULE_INVALID_NETWORK, "input", create(f32, impossible[i], 1, &good, &network, e));
    const chainrule_layer layers[] = {{.units = 3}, {.units = impossible[i]}};
    REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, "unit", create(f32, 2, 2, layers, &network, e));
  }

  /* Each size is possible, their product is not: 2^31 − 1 inputs to each of 2^31 − 1 units. */
  const chainrule_layer vast[] = {{.units = INT32_MAX}, {.units = INT32_MAX}, {.units = INT32_MAX}};
  chainrule_error error = blank;
  chainrule_status status = create(CHAINRULE_FLOAT64, INT32_MAX, 3, vast, &network, &error);
  expect(status == CHAINRULE_OUT_OF_MEMORY || status == CHAINRULE_INVALID_NETWORK, __LINE__,
         "a network larger than memory is refused", &error);

  const chainrule_layer hidden_softmax[] = {
      {.units = 3}, {.units = 3, .activation = CHAINRULE_ACTIVATION_SOFTMAX}, {.units = 2}};
  REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, "softmax", create(f32, 2, 3, hidden_softmax, &network, e));

  const chainrule_layer unknown_activation[] = {{.units = 3, .activation = (chainrule_activation)nobody}};
  REFUSED_AT(CHAINRULE_INVALID_NETWORK, 1, "activation", create(f32, 2, 1, unknown_activation, &network, e));

  const chainrule_initializer drawn[] = {{(chainrule_initializer_kind)nobody, 0},
                                         {CHAINRULE_INITIALIZER_NORMAL, NAN},
                                         {CHAINRULE_INITIALIZER_CONSTANT, INFINITY},
                                         {CHAINRULE_INITIALIZER_UNIFORM, -1},
                                         {CHAINRULE_INITIALIZER_NORMAL, -1}};
  for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
    const chainrule_layer weights[] = {{.units = 3}, {.units = 3, .weights = drawn[i]}};
    const chainrule_layer bias[] = {{.units = 3}, {.units = 3, .bias = drawn[i]}};
    REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, "weights", create(f32, 2, 2, weights, &network, e));
    REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, "bias", create(f32, 2, 2, bias, &network, e));
  }

  /* The kernel set from the description, or from the environment. */
  description.kernel_set = "avx1024";
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "kernel set avx1024",
          chainrule_network_create(&description, &network, e));
  setenv("CHAINRULE_ISA", "avx1024", 1);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "CHAINRULE_ISA=avx1024", create(f32, 2, 1, &good, &network, e));
  setenv("CHAINRULE_ISA", "baseline", 1);
  ACCEPTED(create(f32, 2, 1, &good, &network, e));
  HOLDS(network && strcmp(chainrule_network_kernel_set(network), "baseline") == 0);
  chainrule_network_free(network);
  description.kernel_set = "gsl";
  ACCEPTED(chainrule_network_create(&description, &network, e));
  HOLDS(network && strcmp(chainrule_network_kernel_set(network), "gsl") == 0);
  unsetenv("CHAINRULE_ISA");
  chainrule_network_free(network);
}

/* ---- The catalogue ---------------------------------------------------------------------------- */

static void the_catalogue_knows_its_names(void)
{
  HOLDS(chainrule_activation_name((chainrule_activation)nobody) == NULL);
  HOLDS(chainrule_loss_name((chainrule_loss)nobody) == NULL);
  HOLDS(chainrule_optimizer_name((chainrule_optimizer_kind)nobody) == NULL);
  HOLDS(chainrule_schedule_name((chainrule_schedule_kind)nobody) == NULL);
  HOLDS(chainrule_schedule_formula((chainrule_schedule_kind)nobody) == NULL);
  HOLDS(chainrule_initializer_name((chainrule_initializer_kind)nobody) == NULL);

  chainrule_activation activation;
  chainrule_loss loss;
  chainrule_optimizer_kind optimizer;
  chainrule_schedule_kind schedule;
  chainrule_initializer_kind initializer;
  for (int i = 0; i < CHAINRULE_ACTIVATION_COUNT; i++) {
    ACCEPTED(chainrule_activation_named(chainrule_activation_name((chainrule_activation)i), &activation, e));
    HOLDS((int)activation == i && strlen(chainrule_activation_formula(activation)) > 0);
  }
  for (int i = 0; i < CHAINRULE_LOSS_COUNT; i++) {
    ACCEPTED(chainrule_loss_named(chainrule_loss_name((chainrule_loss)i), &loss, e));
    HOLDS((int)loss == i && strlen(chainrule_loss_formula(loss)) > 0);
  }
  for (int i = 0; i < CHAINRULE_OPTIMIZER_COUNT; i++) {
    ACCEPTED(chainrule_optimizer_named(chainrule_optimizer_name((chainrule_optimizer_kind)i), &optimizer, e));
    HOLDS((int)optimizer == i && strlen(chainrule_optimizer_formula(optimizer)) > 0);
  }
  for (int i = 0; i < CHAINRULE_SCHEDULE_COUNT; i++) {
    ACCEPTED(chainrule_schedule_named(chainrule_schedule_name((chainrule_schedule_kind)i), &schedule, e));
    HOLDS((int)schedule == i && strlen(chainrule_schedule_formula(schedule)) > 0);
  }
  for (int i = 0; i < CHAINRULE_INITIALIZER_COUNT; i++) {
    ACCEPTED(chainrule_initializer_named(chainrule_initializer_name((chainrule_initializer_kind)i),
                                         &initializer, e));
    HOLDS((int)initializer == i && strlen(chainrule_initializer_formula(initializer)) > 0);
  }

  /* The message for an unknown name has that name and all known names. */
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "ReLU", chainrule_activation_named("ReLU", &activation, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "softsign", chainrule_activation_named("ReLU", &activation, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "l2", chainrule_loss_named("l2", &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "halfSquaredError", chainrule_loss_named("l2", &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "shampoo", chainrule_optimizer_named("shampoo", &optimizer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "adamw", chainrule_optimizer_named("shampoo", &optimizer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "linear", chainrule_schedule_named("linear", &schedule, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "cosineRestarts", chainrule_schedule_named("linear", &schedule, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "xavier", chainrule_initializer_named("xavier", &initializer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "glorotUniform", chainrule_initializer_named("xavier", &initializer, e));

  /* A name longer than a message does not overrun it. */
  char long_name[2 * CHAINRULE_MESSAGE_SIZE];
  memset(long_name, 'a', sizeof long_name);
  long_name[sizeof long_name - 1] = 0;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "aaaa", chainrule_activation_named(long_name, &activation, e));

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "name", chainrule_activation_named(NULL, &activation, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value", chainrule_activation_named("relu", NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value", chainrule_loss_named("huber", NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value", chainrule_optimizer_named("sgd", NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value", chainrule_schedule_named("cosine", NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value", chainrule_initializer_named("zeros", NULL, e));
}

/* ---- Schedules -------------------------------------------------------------------------------- */

static void schedules_are_checked(void)
{
  chainrule_plateau plateau = {0};
  const chainrule_schedule zero = {.struct_size = sizeof zero};
  ACCEPTED(chainrule_schedule_check(&zero, e));
  HOLDS(chainrule_schedule_rate(&zero, 0.5, 7, NULL) == 0.5);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "schedule is NULL", chainrule_schedule_check(NULL, e));
  HOLDS(isnan(chainrule_schedule_rate(NULL, 0.5, 0, NULL)));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "schedule is NULL", chainrule_schedule_observe(NULL, 1, 1, &plateau, e));
  const chainrule_schedule unknown = chainrule_schedule_default((chainrule_schedule_kind)nobody);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "schedule 99", chainrule_schedule_check(&unknown, e));
  HOLDS(isnan(chainrule_schedule_rate(&unknown, 0.5, 0, NULL)));
  const chainrule_schedule timeless = {.struct_size = sizeof timeless, .unit = (chainrule_schedule_unit)nobody};
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "unit 99", chainrule_schedule_check(&timeless, e));

  /* The defaults lack only the length and, for exponential, the factor. */
  for (int i = 0; i < CHAINRULE_SCHEDULE_COUNT; i++) {
    chainrule_schedule schedule = chainrule_schedule_default((chainrule_schedule_kind)i);
    schedule.length = 2;
    if (i == CHAINRULE_SCHEDULE_EXPONENTIAL) schedule.factor = 1;
    ACCEPTED(chainrule_schedule_check(&schedule, e));
    HOLDS(chainrule_schedule_rate(&schedule, 0.5, UINT64_MAX, NULL) <= 0.5);
  }

  /* Each number out of its range, with a schedule that uses it. */
#define NUMBER(kind_, field, value, culprit)                                                                 \
  do {                                                                                                       \
    chainrule_schedule wrong = chainrule_schedule_default(CHAINRULE_SCHEDULE_##kind_);                       \
    wrong.length = 2;                                                                                        \
    wrong.field = (value);                                                                                   \
    REFUSED(CHAINRULE_INVALID_ARGUMENT, culprit, chainrule_schedule_check(&wrong, e));                       \
    REFUSED(CHAINRULE_INVALID_ARGUMENT, culprit, chainrule_schedule_observe(&wrong, 1, 1, &plateau, e));     \
    HOLDS(isnan(chainrule_schedule_rate(&wrong, 0.5, 1, NULL)));                                             \
  } while (0)
  NUMBER(CONSTANT, warm_up, -1, "constant: warm-up must be 0 or more");
  NUMBER(STEP, length, 0, "step: length must be at least 1");
  NUMBER(STEP, length, INT64_MIN, "step: length");
  NUMBER(STEP, factor, 0, "step: factor");
  NUMBER(STEP, factor, -0.5, "step: factor");
  NUMBER(EXPONENTIAL, factor, 0, "exponential: factor");
  NUMBER(EXPONENTIAL, factor, NAN, "exponential: factor");
  NUMBER(EXPONENTIAL, factor, INFINITY, "exponential: factor");
  NUMBER(COSINE, length, 0, "cosine: length must be at least 1");
  NUMBER(COSINE, minimum, -1e-9, "cosine: minimum");
  NUMBER(COSINE, minimum, NAN, "cosine: minimum");
  NUMBER(COSINE_RESTARTS, length, 0, "cosineRestarts: length");
  NUMBER(COSINE_RESTARTS, growth, 0, "cosineRestarts: growth");
  NUMBER(COSINE_RESTARTS, minimum, INFINITY, "cosineRestarts: minimum");
  NUMBER(ONE_CYCLE, length, 1, "oneCycle: length must be at least 2");
  NUMBER(ONE_CYCLE, rise, -0.1, "oneCycle: rise");
  NUMBER(ONE_CYCLE, rise, 1.1, "oneCycle: rise");
  NUMBER(ONE_CYCLE, rise, NAN, "oneCycle: rise");
  NUMBER(ONE_CYCLE, divisor, 0, "oneCycle: divisor");
  NUMBER(ONE_CYCLE, divisor, NAN, "oneCycle: divisor");
  NUMBER(ONE_CYCLE, final_divisor, -1, "oneCycle: final divisor");
  NUMBER(PLATEAU, factor, 0, "plateau: factor");
  NUMBER(PLATEAU, factor, 1, "plateau: factor");
  NUMBER(PLATEAU, minimum, -1, "plateau: minimum");
  NUMBER(PLATEAU, patience, -1, "plateau: patience");
  NUMBER(PLATEAU, cooldown, -1, "plateau: cooldown");
  NUMBER(PLATEAU, threshold, -1e-4, "plateau: threshold");
  NUMBER(PLATEAU, threshold, 1, "plateau: threshold");
  NUMBER(PLATEAU, threshold, NAN, "plateau: threshold");
#undef NUMBER
  chainrule_schedule rising = {.struct_size = sizeof rising, .warm_up = 1};
  const double factors[] = {0, -1, 1.1, NAN, INFINITY};
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
    rising.warm_up_factor = factors[i];
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "constant: warm-up factor", chainrule_schedule_check(&rising, e));
  }

  /* A bad loss or a NULL plateau is refused, and leaves the plateau unchanged. */
  const chainrule_schedule good = chainrule_schedule_default(CHAINRULE_SCHEDULE_PLATEAU);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "plateau is NULL", chainrule_schedule_observe(&good, 1, 1, NULL, e));
  REFUSED(CHAINRULE_NOT_FINITE, "the loss observed: NaN",
          chainrule_schedule_observe(&good, 1, NAN, &plateau, e));
  REFUSED(CHAINRULE_NOT_FINITE, "the loss observed: infinity",
          chainrule_schedule_observe(&good, 1, INFINITY, &plateau, e));
  HOLDS(!plateau.observed && plateau.stale == 0 && plateau.reductions == 0);
  ACCEPTED(chainrule_schedule_observe(&good, 1, 2, &plateau, e));
  HOLDS(plateau.observed && plateau.best == 2);
}

/* ---- Networks --------------------------------------------------------------------------------- */

static void null_networks_are_refused_or_empty(void)
{
  chainrule_network *copy = NULL;
  chainrule_layer layer;
  float value = 0;
  double wide = 0;
  const char *name = "a";
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_copy(NULL, &copy, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_initialize(NULL, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_layer(NULL, 0, &layer, sizeof(chainrule_layer), e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_get_parameter_f32(NULL, 0, CHAINRULE_BIAS, &value, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_get_parameter_f64(NULL, 0, CHAINRULE_BIAS, &wide, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_set_parameter_f32(NULL, 0, CHAINRULE_BIAS, &value, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_set_parameter_f64(NULL, 0, CHAINRULE_BIAS, &wide, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_set_names(NULL, CHAINRULE_FEATURE_NAMES, &name, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_predict_f32(NULL, *x32, 1, &value, &wide, 8, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_predict_f64(NULL, *x64, 1, &wide, &wide, 8, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_loss_f32(NULL, CHAINRULE_LOSS_HUBER, *x32, *y32, NULL, 1, &wide, 8, &wide, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network",
          chainrule_network_loss_f64(NULL, CHAINRULE_LOSS_HUBER, *x64, *y64, NULL, 1, &wide, 8, &wide, e));
  chainrule_network_free(NULL);
}

static void parameters_are_checked(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32, CHAINRULE_ACTIVATION_SIGMOID);
  chainrule_network *wide = small(CHAINRULE_FLOAT64, CHAINRULE_ACTIVATION_SIGMOID);
  chainrule_layer layer;
  float w[6], before[6];
  double w64[6] = {1, 2, 3, 4, 5, 6};

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "copy", chainrule_network_copy(network, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer",
          chainrule_network_layer(network, 0, NULL, sizeof(chainrule_layer), e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "2",
          chainrule_network_layer(network, 2, &layer, sizeof(chainrule_layer), e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer",
          chainrule_network_layer(network, SIZE_MAX, &layer, sizeof(chainrule_layer), e));

  ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, before, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "values",
          chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, NULL, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "values",
          chainrule_network_set_parameter_f32(network, 0, CHAINRULE_WEIGHTS, NULL, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer",
          chainrule_network_get_parameter_f32(network, 2, CHAINRULE_WEIGHTS, w, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer",
          chainrule_network_set_parameter_f32(network, 2, CHAINRULE_WEIGHTS, before, 6, e));
  REFUSED_AT(CHAINRULE_INVALID_ARGUMENT, 1, "parameter",
             chainrule_network_get_parameter_f32(network, 0, (chainrule_parameter)nobody, w, 6, e));
  REFUSED_AT(CHAINRULE_INVALID_ARGUMENT, 1, "parameter",
             chainrule_network_set_parameter_f32(network, 0, (chainrule_parameter)nobody, before, 6, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 1, "6",
             chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, w, 5, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 1, "6",
             chainrule_network_set_parameter_f32(network, 0, CHAINRULE_WEIGHTS, before, 7, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 1, "bias",
             chainrule_network_get_parameter_f32(network, 0, CHAINRULE_BIAS, w, 6, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 2, "bias",
             chainrule_network_set_parameter_f32(network, 1, CHAINRULE_BIAS, before, 0, e));

  /* A call in the other precision. */
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
          chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, w64, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
          chainrule_network_set_parameter_f64(network, 0, CHAINRULE_WEIGHTS, w64, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
          chainrule_network_get_parameter_f32(wide, 0, CHAINRULE_WEIGHTS, w, 6, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
          chainrule_network_set_parameter_f32(wide, 0, CHAINRULE_WEIGHTS, before, 6, e));

  /* NaN and infinity are refused, and no value before them is written. */
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    float values[6] = {9, 9, 9, 9, 9, bad[i]};
    REFUSED_AT(CHAINRULE_NOT_FINITE, 1, "weights",
               chainrule_network_set_parameter_f32(network, 0, CHAINRULE_WEIGHTS, values, 6, e));
    w64[3] = (double)bad[i];
    REFUSED_AT(CHAINRULE_NOT_FINITE, 1, "weights",
               chainrule_network_set_parameter_f64(wide, 0, CHAINRULE_WEIGHTS, w64, 6, e));
    REFUSED_AT(CHAINRULE_NOT_FINITE, 2, "bias",
               chainrule_network_set_parameter_f32(network, 1, CHAINRULE_BIAS, &bad[i], 1, e));
  }
  ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, w, 6, e));
  HOLDS(memcmp(w, before, sizeof w) == 0);

  /* A layer without bias has no bias to get. */
  const chainrule_layer unbiased = {.units = 1, .no_bias = true};
  chainrule_network *bare = NULL;
  ACCEPTED(create(CHAINRULE_FLOAT32, 2, 1, &unbiased, &bare, e));
  REFUSED_AT(CHAINRULE_INVALID_ARGUMENT, 1, "bias",
             chainrule_network_get_parameter_f32(bare, 0, CHAINRULE_BIAS, w, 1, e));
  HOLDS(chainrule_network_parameter_count(bare) == 2);

  chainrule_network_free(bare);
  chainrule_network_free(wide);
  chainrule_network_free(network);
}

static void names_are_checked(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32, CHAINRULE_ACTIVATION_SIGMOID);
  const char *const names[] = {"width", "height"}, *const hole[] = {"width", NULL};
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "names",
          chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, NULL, 2, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "name",
          chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, hole, 2, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "names",
          chainrule_network_set_names(network, (chainrule_names)nobody, names, 2, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "2",
          chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, names, 1, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "1",
          chainrule_network_set_names(network, CHAINRULE_TARGET_NAMES, names, 2, e));
  HOLDS(chainrule_network_name_count(network, CHAINRULE_FEATURE_NAMES) == 0);
  HOLDS(chainrule_network_name(network, CHAINRULE_FEATURE_NAMES, 0) == NULL);

  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, names, 2, e));
  HOLDS(strcmp(chainrule_network_name(network, CHAINRULE_FEATURE_NAMES, 1), "height") == 0);
  HOLDS(chainrule_network_name(network, CHAINRULE_FEATURE_NAMES, 2) == NULL);
  HOLDS(chainrule_network_name(network, (chainrule_names)nobody, 0) == NULL);
  HOLDS(chainrule_network_name_count(network, (chainrule_names)nobody) == 0);
  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, NULL, 0, e));
  HOLDS(chainrule_network_name_count(network, CHAINRULE_FEATURE_NAMES) == 0);
  chainrule_network_free(network);
}

/* ---- Prediction and loss ---------------------------------------------------------------------- */

static void predictions_are_checked(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32, CHAINRULE_ACTIVATION_SIGMOID);
  chainrule_network *wide = small(CHAINRULE_FLOAT64, CHAINRULE_ACTIVATION_SIGMOID);
  const size_t size = chainrule_network_scratch_size(wide, ROWS);
  void *scratch = malloc(size);
  float a[ROWS];
  double a64[ROWS], value = -1;
  const chainrule_loss bce = CHAINRULE_LOSS_BINARY_CROSS_ENTROPY;

  HOLDS(size > 0 && chainrule_network_scratch_size(network, ROWS) <= size);
  HOLDS(chainrule_network_scratch_size(network, SIZE_MAX) == SIZE_MAX);

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "x",
          chainrule_network_predict_f32(network, NULL, ROWS, a, scratch, size, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "outputs",
          chainrule_network_predict_f32(network, *x32, ROWS, NULL, scratch, size, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "scratch",
          chainrule_network_predict_f32(network, *x32, ROWS, a, NULL, size, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "scratch",
          chainrule_network_predict_f32(network, *x32, ROWS, a, scratch, 0, e));
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "scratch",
          chainrule_network_predict_f32(network, *x32, ROWS, a, scratch,
                                        chainrule_network_scratch_size(network, 1) - 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows",
          chainrule_network_predict_f32(network, *x32, SIZE_MAX, a, scratch, size, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
          chainrule_network_predict_f32(wide, *x32, ROWS, a, scratch, size, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
          chainrule_network_predict_f64(network, *x64, ROWS, a64, scratch, size, e));

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "y",
          chainrule_network_loss_f32(network, bce, *x32, NULL, NULL, ROWS, scratch, size, &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "value",
          chainrule_network_loss_f32(network, bce, *x32, *y32, NULL, ROWS, scratch, size, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows",
          chainrule_network_loss_f32(network, bce, *x32, *y32, NULL, 0, scratch, size, &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "loss",
          chainrule_network_loss_f32(network, (chainrule_loss)nobody, *x32, *y32, NULL, ROWS, scratch, size,
                                     &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
          chainrule_network_loss_f32(wide, bce, *x32, *y32, NULL, ROWS, scratch, size, &value, e));
  REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, "crossEntropy",
             chainrule_network_loss_f32(network, CHAINRULE_LOSS_CROSS_ENTROPY, *x32, *y32, NULL, ROWS,
                                        scratch, size, &value, e));

  /* Data: not finite, or not in the loss's domain.  The message names the array. */
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    float broken[ROWS][2] = {{0, 0}, {0, 1}, {1, 0}, {bad[i], 1}}, y[ROWS] = {0, 1, bad[i], 0};
    float weights[ROWS] = {1, 1, 1, bad[i]};
    REFUSED(CHAINRULE_NOT_FINITE, "inputs, row 4, column 1",
            chainrule_network_predict_f32(network, *broken, ROWS, a, scratch, size, e));
    REFUSED(CHAINRULE_NOT_FINITE, "inputs, row 4, column 1",
            chainrule_network_loss_f32(network, bce, *broken, *y32, NULL, ROWS, scratch, size, &value, e));
    REFUSED(CHAINRULE_NOT_FINITE, "targets, row 3, column 1",
            chainrule_network_loss_f32(network, bce, *x32, y, NULL, ROWS, scratch, size, &value, e));
    REFUSED(CHAINRULE_NOT_FINITE, "sample weights, row 4",
            chainrule_network_loss_f32(network, bce, *x32, *y32, weights, ROWS, scratch, size, &value, e));
  }
  const float beyond[ROWS] = {0, 1, 1.5f, 0}, negative[ROWS] = {1, 1, 1, -1}, half[ROWS] = {0, 1, -1, 0.5f};
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "targets, row 3",
          chainrule_network_loss_f32(network, bce, *x32, beyond, NULL, ROWS, scratch, size, &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "targets, row 4",
          chainrule_network_loss_f32(network, CHAINRULE_LOSS_POISSON, *x32, negative, NULL, ROWS, scratch,
                                     size, &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT,
          "targets, row 4, column 1: hinge needs targets -1, 0 or 1 (0 counts as -1)",
          chainrule_network_loss_f32(network, CHAINRULE_LOSS_HINGE, *x32, half, NULL, ROWS, scratch, size,
                                     &value, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "sample weights, row 4",
          chainrule_network_loss_f32(network, bce, *x32, *y32, negative, ROWS, scratch, size, &value, e));
  HOLDS(value == -1);

  ACCEPTED(chainrule_network_loss_f64(wide, bce, *x64, *y64, NULL, ROWS, scratch, size, &value, e));
  HOLDS(value > 0);
  free(scratch);
  chainrule_network_free(wide);
  chainrule_network_free(network);
}

/* ---- Trainers --------------------------------------------------------------------------------- */

static void losses_must_fit_the_output(void)
{
  const struct {
    chainrule_activation output;
    chainrule_loss loss;
    const char *culprit;
  } misfits[] = {
      {CHAINRULE_ACTIVATION_IDENTITY, CHAINRULE_LOSS_CROSS_ENTROPY, "softmax"},
      {CHAINRULE_ACTIVATION_SIGMOID, CHAINRULE_LOSS_CROSS_ENTROPY, "softmax"},
      {CHAINRULE_ACTIVATION_SOFTMAX, CHAINRULE_LOSS_BINARY_CROSS_ENTROPY, "sigmoid"},
      {CHAINRULE_ACTIVATION_IDENTITY, CHAINRULE_LOSS_BINARY_CROSS_ENTROPY, "sigmoid"},
      {CHAINRULE_ACTIVATION_IDENTITY, CHAINRULE_LOSS_POISSON, "poisson"},
      {CHAINRULE_ACTIVATION_RELU, CHAINRULE_LOSS_POISSON, "poisson"},
  };
  for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
    chainrule_network *network = small(CHAINRULE_FLOAT64, misfits[i].output);
    const chainrule_trainer_options training = plan(misfits[i].loss);
    chainrule_trainer *trainer = NULL;
    REFUSED_AT(CHAINRULE_INVALID_NETWORK, 2, misfits[i].culprit,
               chainrule_trainer_create(network, &training, &trainer, e));
    chainrule_network_free(network);
  }
}

static void plans_are_checked(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32, CHAINRULE_ACTIVATION_SIGMOID);
  chainrule_trainer *trainer = NULL;
  const chainrule_trainer_options good = plan(CHAINRULE_LOSS_BINARY_CROSS_ENTROPY);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_trainer_create(NULL, &good, &trainer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "training", chainrule_trainer_create(network, NULL, &trainer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_create(network, &good, NULL, e));

  chainrule_trainer_options training = good;
  training.loss = (chainrule_loss)nobody;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "loss", chainrule_trainer_create(network, &training, &trainer, e));
  training = good;
  training.optimizer.kind = (chainrule_optimizer_kind)nobody;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "optimizer", chainrule_trainer_create(network, &training, &trainer, e));
  training = good;
  training.batch_size = 0;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "batch size", chainrule_trainer_create(network, &training, &trainer, e));
  training.batch_size = SIZE_MAX;
  chainrule_error error = blank;
  chainrule_status status = chainrule_trainer_create(network, &training, &trainer, &error);
  expect(status == CHAINRULE_OUT_OF_MEMORY || status == CHAINRULE_INVALID_ARGUMENT, __LINE__,
         "a batch larger than memory is refused", &error);

  /* Each number out of its range, with an optimizer that uses it. */
#define NUMBER(kind_, field, value, culprit)                                                                 \
  do {                                                                                                       \
    chainrule_trainer_options wrong = good;                                                                  \
    wrong.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_##kind_);                              \
    wrong.optimizer.field = (value);                                                                         \
    REFUSED(CHAINRULE_INVALID_ARGUMENT, culprit, chainrule_trainer_create(network, &wrong, &trainer, e));    \
  } while (0)
  NUMBER(SGD, learning_rate, -0.1, "learning rate");
  NUMBER(SGD, learning_rate, NAN, "learning rate");
  NUMBER(ADAM, learning_rate, INFINITY, "learning rate");
  NUMBER(SGD, weight_decay, -1, "weight decay");
  NUMBER(ADAMW, weight_decay, NAN, "weight decay");
  NUMBER(SGD, momentum, -0.5, "momentum");
  NUMBER(RMSPROP, momentum, NAN, "momentum");
  NUMBER(SGD, nesterov, true, "Nesterov");
  NUMBER(RMSPROP, alpha, 1, "alpha");
  NUMBER(RMSPROP, alpha, -0.1, "alpha");
  NUMBER(ADAM, beta1, 1, "beta1");
  NUMBER(ADAM, beta2, NAN, "beta2");
  NUMBER(ADAMW, beta2, 1.5, "beta2");
  NUMBER(ADAM, epsilon, 0, "epsilon");
  NUMBER(ADAGRAD, epsilon, -1, "epsilon");
  NUMBER(RMSPROP, epsilon, NAN, "epsilon");
  NUMBER(SGD, l1, -0.1, "l1");
  NUMBER(LION, l1, INFINITY, "l1");
  NUMBER(ADADELTA, alpha, 1, "rho");
  NUMBER(ADAMAX, beta2, -0.1, "beta2");
  NUMBER(NADAM, momentum_decay, -1, "momentum decay");
  NUMBER(NADAM, momentum_decay, NAN, "momentum decay");
  NUMBER(RPROP, eta_minus, 0, "eta minus");
  NUMBER(RPROP, eta_minus, 1, "eta minus");
  NUMBER(RPROP, eta_plus, 1, "eta plus");
  NUMBER(RPROP, eta_plus, INFINITY, "eta plus");
  NUMBER(RPROP, step_min, -1, "step min");
  NUMBER(RPROP, step_max, 0, "step max");
  NUMBER(RPROP, step_max, NAN, "step max");
#undef NUMBER
  training = good;
  training.schedule.kind = (chainrule_schedule_kind)nobody;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "schedule", chainrule_trainer_create(network, &training, &trainer, e));
  training.schedule = chainrule_schedule_default(CHAINRULE_SCHEDULE_COSINE);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "cosine: length",
          chainrule_trainer_create(network, &training, &trainer, e));

  /* The learning rate of a trainer. */
  ACCEPTED(chainrule_trainer_create(network, &good, &trainer, e));
  if (!trainer) exit(1);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_set_learning_rate(NULL, 1, e));
  const double bad[] = {-1, NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 4; i++)
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "sgd: learning rate must be a finite number, 0 or more; got ",
            chainrule_trainer_set_learning_rate(trainer, bad[i], e));
  HOLDS(chainrule_trainer_learning_rate(trainer) == good.optimizer.learning_rate);
  ACCEPTED(chainrule_trainer_set_learning_rate(trainer, 0, e));
  HOLDS(chainrule_trainer_learning_rate(trainer) == 0);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_observe(NULL, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_on_step(NULL, NULL, NULL, e));
  REFUSED(CHAINRULE_NOT_FINITE, "the loss observed", chainrule_trainer_observe(trainer, NAN, e));
  ACCEPTED(chainrule_trainer_observe(trainer, 1, e));

  /* An epoch in parts. */
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_begin_epoch(NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_end_epoch(NULL, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "no epoch", chainrule_trainer_end_epoch(trainer, NULL, e));
  ACCEPTED(chainrule_trainer_begin_epoch(trainer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows is 0", chainrule_trainer_end_epoch(trainer, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_flush(NULL, e));
  ACCEPTED(chainrule_trainer_flush(trainer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "rows is 0", chainrule_trainer_end_epoch(trainer, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_abandon_epoch(NULL, e));
  ACCEPTED(chainrule_trainer_abandon_epoch(trainer, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "no epoch", chainrule_trainer_end_epoch(trainer, NULL, e));
  HOLDS(chainrule_trainer_epochs(trainer) == 0);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

static void steps_are_checked(chainrule_scalar scalar)
{
  const bool single = scalar == CHAINRULE_FLOAT32;
  chainrule_network *network = small(scalar, CHAINRULE_ACTIVATION_SIGMOID);
  const chainrule_trainer_options training = plan(CHAINRULE_LOSS_BINARY_CROSS_ENTROPY);
  chainrule_trainer *trainer = NULL;
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  if (!trainer) exit(1);

  double loss, before[6], after[6];
  float before32[6], after32[6];
  if (single)
    ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, before32, 6, e));
  else
    ACCEPTED(chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, before, 6, e));

    /* step, gradients and epoch refuse the same, in the trainer's precision. */
#define EACH_OF(verb, wanted, culprit, x, y, weights, rows)                                                  \
  do {                                                                                                       \
    if (single)                                                                                              \
      REFUSED(wanted, culprit,                                                                               \
              chainrule_trainer_##verb##_f32(trainer, x##32, y##32, weights##32, rows, &loss, e));           \
    else                                                                                                     \
      REFUSED(wanted, culprit,                                                                               \
              chainrule_trainer_##verb##_f64(trainer, x##64, y##64, weights##64, rows, &loss, e));           \
  } while (0)
#define EACH(wanted, culprit, x, y, weights, rows)                                                           \
  do {                                                                                                       \
    EACH_OF(step, wanted, culprit, x, y, weights, rows);                                                     \
    EACH_OF(gradients, wanted, culprit, x, y, weights, rows);                                                \
    EACH_OF(epoch, wanted, culprit, x, y, weights, rows);                                                    \
  } while (0)

  const float *const null32 = NULL;
  const double *const null64 = NULL;
  EACH(CHAINRULE_INVALID_ARGUMENT, "x", null, *y, null, ROWS);
  EACH(CHAINRULE_INVALID_ARGUMENT, "y", *x, null, null, ROWS);
  const size_t impossible[] = {0, ROWS + 1, SIZE_MAX};
  for (size_t i = 0; i < 3; i++) {
    EACH_OF(step, CHAINRULE_SHAPE_MISMATCH, "rows", *x, *y, null, impossible[i]);
    EACH_OF(gradients, CHAINRULE_SHAPE_MISMATCH, "rows", *x, *y, null, impossible[i]);
  }
  EACH_OF(epoch, CHAINRULE_INVALID_ARGUMENT, "rows", *x, *y, null, 0);
  EACH_OF(epoch, CHAINRULE_INVALID_ARGUMENT, "rows", *x, *y, null, SIZE_MAX);

  const double bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < 3; i++) {
    const double broken64[] = {0, 0, 0, 1, 1, 0, bad[i], 1}, targets64[] = {0, bad[i], 1, 0};
    const double weights64[] = {1, 1, bad[i], 1};
    const float broken32[] = {0, 0, 0, 1, 1, 0, (float)bad[i], 1}, targets32[] = {0, (float)bad[i], 1, 0};
    const float weights32[] = {1, 1, (float)bad[i], 1};
    EACH(CHAINRULE_NOT_FINITE, "inputs, row 4, column 1", broken, *y, null, ROWS);
    EACH(CHAINRULE_NOT_FINITE, "targets, row 2, column 1", *x, targets, null, ROWS);
    EACH(CHAINRULE_NOT_FINITE, "sample weights, row 3", *x, *y, weights, ROWS);
  }
  const double beyond64[] = {0, 1, 2, 0}, negative64[] = {1, 1, -1, 1};
  const float beyond32[] = {0, 1, 2, 0}, negative32[] = {1, 1, -1, 1};
  EACH(CHAINRULE_INVALID_ARGUMENT, "targets, row 3, column 1", *x, beyond, null, ROWS);
  EACH(CHAINRULE_INVALID_ARGUMENT, "sample weights, row 3", *x, *y, negative, ROWS);
#undef EACH
#undef EACH_OF

  /* The other precision, and no trainer at all. */
  if (single) {
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
            chainrule_trainer_step_f64(trainer, *x64, *y64, NULL, ROWS, &loss, e));
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
            chainrule_trainer_gradients_f64(trainer, *x64, *y64, NULL, ROWS, &loss, e));
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32",
            chainrule_trainer_epoch_f64(trainer, *x64, *y64, NULL, ROWS, &loss, e));
  } else {
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
            chainrule_trainer_step_f32(trainer, *x32, *y32, NULL, ROWS, &loss, e));
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
            chainrule_trainer_gradients_f32(trainer, *x32, *y32, NULL, ROWS, &loss, e));
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "float64",
            chainrule_trainer_epoch_f32(trainer, *x32, *y32, NULL, ROWS, &loss, e));
  }
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_step_f32(NULL, *x32, *y32, NULL, ROWS, &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_step_f64(NULL, *x64, *y64, NULL, ROWS, &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_gradients_f32(NULL, *x32, *y32, NULL, ROWS, &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_gradients_f64(NULL, *x64, *y64, NULL, ROWS, &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_epoch_f32(NULL, *x32, *y32, NULL, ROWS, &loss, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer",
          chainrule_trainer_epoch_f64(NULL, *x64, *y64, NULL, ROWS, &loss, e));
  chainrule_trainer_free(NULL);
  chainrule_trainer_stop(NULL);
  chainrule_minimizer_free(NULL);
  chainrule_minimizer_stop(NULL);

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_set_batch_size(NULL, 1, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "batch size", chainrule_trainer_set_batch_size(trainer, 0, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "batch size", chainrule_trainer_set_batch_size(trainer, SIZE_MAX, e));

  /* The refused calls have changed nothing, and a batch with all sample weights 0 changes nothing. */
  const float none32[ROWS] = {0};
  const double none64[ROWS] = {0};
  HOLDS(chainrule_trainer_steps(trainer) == 0 && chainrule_trainer_epochs(trainer) == 0);
  if (single) {
    ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, after32, 6, e));
    HOLDS(memcmp(before32, after32, sizeof after32) == 0);
    ACCEPTED(chainrule_trainer_step_f32(trainer, *x32, *y32, none32, ROWS, &loss, e));
    ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, after32, 6, e));
    HOLDS(loss == 0 && memcmp(before32, after32, sizeof after32) == 0);
    ACCEPTED(chainrule_trainer_step_f32(trainer, *x32, *y32, NULL, ROWS, NULL, e));
    ACCEPTED(chainrule_network_get_parameter_f32(network, 0, CHAINRULE_WEIGHTS, after32, 6, e));
    HOLDS(memcmp(before32, after32, sizeof after32) != 0);
  } else {
    ACCEPTED(chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, after, 6, e));
    HOLDS(memcmp(before, after, sizeof after) == 0);
    ACCEPTED(chainrule_trainer_step_f64(trainer, *x64, *y64, none64, ROWS, &loss, e));
    ACCEPTED(chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, after, 6, e));
    HOLDS(loss == 0 && memcmp(before, after, sizeof after) == 0);
    ACCEPTED(chainrule_trainer_step_f64(trainer, *x64, *y64, NULL, ROWS, NULL, e));
    ACCEPTED(chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, after, 6, e));
    HOLDS(memcmp(before, after, sizeof after) != 0);
  }
  HOLDS(chainrule_trainer_steps(trainer) == 2);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

static void views_are_checked(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32, CHAINRULE_ACTIVATION_SIGMOID);
  chainrule_trainer_options training = plan(CHAINRULE_LOSS_BINARY_CROSS_ENTROPY);
  chainrule_trainer *shared = NULL, *kept = NULL;
  ACCEPTED(chainrule_trainer_create(network, &training, &shared, e));
  training.keep = true;
  ACCEPTED(chainrule_trainer_create(network, &training, &kept, e));
  if (!shared || !kept) exit(1);
  float z[ROWS * 3];
  double z64[ROWS * 3];
  const chainrule_view view = CHAINRULE_VIEW_Z;

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_view_f32(NULL, 0, view, z, ROWS * 3, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "trainer", chainrule_trainer_view_f64(NULL, 0, view, z64, ROWS * 3, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "step", chainrule_trainer_view_f32(kept, 0, view, z, ROWS * 3, e));

  /* Counts follow the rows of the last batch, not those planned. */
  ACCEPTED(chainrule_trainer_step_f32(shared, *x32, *y32, NULL, 3, NULL, e));
  ACCEPTED(chainrule_trainer_step_f32(kept, *x32, *y32, NULL, 3, NULL, e));
  ACCEPTED(chainrule_trainer_view_f32(kept, 0, view, z, 3 * 3, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 1, "9", chainrule_trainer_view_f32(kept, 0, view, z, ROWS * 3, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 2, "3",
             chainrule_trainer_view_f32(kept, 1, CHAINRULE_VIEW_WEIGHTS_GRADIENT, z, 6, e));
  REFUSED_AT(CHAINRULE_SHAPE_MISMATCH, 2, "1",
             chainrule_trainer_view_f32(kept, 1, CHAINRULE_VIEW_BIAS_GRADIENT, z, 3, e));

  REFUSED(CHAINRULE_INVALID_ARGUMENT, "keep", chainrule_trainer_view_f32(shared, 0, view, z, 9, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "layer", chainrule_trainer_view_f32(kept, 2, view, z, 9, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "view",
          chainrule_trainer_view_f32(kept, 0, (chainrule_view)nobody, z, 9, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "values", chainrule_trainer_view_f32(kept, 0, view, NULL, 9, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "float32", chainrule_trainer_view_f64(kept, 0, view, z64, 9, e));
  chainrule_trainer_free(kept);
  chainrule_trainer_free(shared);
  chainrule_network_free(network);
}

/* ---- Divergence ------------------------------------------------------------------------------- */

static chainrule_status step(chainrule_scalar scalar, chainrule_trainer *trainer, double *loss,
                             chainrule_error *error)
{
  const float targets32[ROWS][2] = {{-1, -2}, {-1, -2}, {-1, -2}, {-1, -2}};
  const double targets64[ROWS][2] = {{-1, -2}, {-1, -2}, {-1, -2}, {-1, -2}};
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_trainer_step_f32(trainer, *x32, *targets32, NULL, ROWS, loss, error)
             : chainrule_trainer_step_f64(trainer, *x64, *targets64, NULL, ROWS, loss, error);
}

/* Steps until one fails; two layers, 2 × 3 × 2, both linear, all weights 10, no bias. */
static chainrule_error diverge(chainrule_scalar scalar, chainrule_loss loss, double learning_rate,
                               uint64_t *steps)
{
  const chainrule_initializer ten = {CHAINRULE_INITIALIZER_CONSTANT, 10};
  const chainrule_layer layers[] = {{.units = 3, .no_bias = true, .weights = ten},
                                    {.units = 2, .no_bias = true, .weights = ten}};
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_trainer_options training = plan(loss);
  training.optimizer.learning_rate = learning_rate;
  ACCEPTED(create(scalar, 2, 2, layers, &network, e));
  ACCEPTED(chainrule_network_initialize(network, 1, e));
  ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
  if (!trainer) exit(1);

  chainrule_error error = blank;
  double value = 0;
  for (int i = 0; i < 5000 && step(scalar, trainer, &value, &error) == CHAINRULE_OK; i++)
    expect(isfinite(value), __LINE__, "a step that succeeds has a finite loss", &error);
  *steps = chainrule_trainer_steps(trainer);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return error;
}

/* The error for an update that overflows names the layer and the step. */
static void an_overflowing_update_names_the_parameter(chainrule_scalar scalar, double largest)
{
  uint64_t steps;
  const chainrule_error error = diverge(scalar, CHAINRULE_LOSS_MEAN_ABSOLUTE_ERROR, largest, &steps);
  expect(error.status == CHAINRULE_NOT_FINITE, __LINE__, "divergence is NOT_FINITE", &error);
  expect(error.layer == 1, __LINE__, "divergence tells the layer", &error);
  expect(error.step == 1 && steps == 1, __LINE__, "divergence tells the step", &error);
  expect(strncmp(error.message, "layer 1, weights: -infinity after step 1; the learning rate, ", 60) == 0,
         __LINE__, "divergence names the parameter", &error);
}

/* With a learning rate that is too large, the loss grows until it, or a z or a, overflows. */
static void a_growing_loss_says_when_it_overflowed(chainrule_scalar scalar)
{
  uint64_t steps;
  const chainrule_error error = diverge(scalar, CHAINRULE_LOSS_HALF_SQUARED_ERROR, 0.1, &steps);
  char after[48], at[48];
  snprintf(after, sizeof after, "after step %" PRIu64, steps);
  snprintf(at, sizeof at, "at step %" PRIu64, steps + 1);
  expect(error.status == CHAINRULE_NOT_FINITE, __LINE__, "divergence is NOT_FINITE", &error);
  expect(error.step == steps && steps > 1, __LINE__, "divergence tells the updates done", &error);
  expect(strstr(error.message, after) || strstr(error.message, at), __LINE__, "divergence names the step",
         &error);
}

int main(void)
{
  descriptions_are_checked();
  the_catalogue_knows_its_names();
  schedules_are_checked();
  null_networks_are_refused_or_empty();
  parameters_are_checked();
  names_are_checked();
  predictions_are_checked();
  losses_must_fit_the_output();
  plans_are_checked();
  steps_are_checked(CHAINRULE_FLOAT32);
  steps_are_checked(CHAINRULE_FLOAT64);
  views_are_checked();
  an_overflowing_update_names_the_parameter(CHAINRULE_FLOAT32, FLT_MAX);
  an_overflowing_update_names_the_parameter(CHAINRULE_FLOAT64, DBL_MAX);
  a_growing_loss_says_when_it_overflowed(CHAINRULE_FLOAT32);
  a_growing_loss_says_when_it_overflowed(CHAINRULE_FLOAT64);
  printf("%zu checks, %zu failures\n", checks, failures);
  return failures > 0;
}
