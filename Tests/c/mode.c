/* The host's floating-point mode has no effect: with any mode of the calling thread, set before a network is
 * made, after it or between two epochs, every result has the bits of the default mode, on any number of
 * threads.  Every call returns in the mode in which it was called.  Callbacks run in the default mode. */
#define _XOPEN_SOURCE 700

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chainrule.h>

#include "expect.h"

/* ---- Modes ------------------------------------------------------------------------------------------ */

typedef struct host_mode {
  const char *name;
  int rounding;
  bool flushes, traps;
} host_mode;

static const host_mode modes[] = {
    {"the default", FE_TONEAREST, false, false},
#if defined __x86_64__ || defined __aarch64__
    {"flush", FE_TONEAREST, true, false},          {"flush, upward", FE_UPWARD, true, false},
#endif
#if defined __x86_64__
    {"traps", FE_TONEAREST, false, true},
#endif
    {"upward", FE_UPWARD, false, false},           {"downward", FE_DOWNWARD, false, false},
    {"towards zero", FE_TOWARDZERO, false, false},
};
enum { MODES = sizeof modes / sizeof *modes };

/* The thread's mode, without exception flags. */
static uint64_t mode_now(void)
{
#if defined __x86_64__
  unsigned short x87;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  return (__builtin_ia32_stmxcsr() & ~0x3fu) | (uint64_t)x87 << 32;
#elif defined __aarch64__
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#else
  return (uint64_t)fegetround();
#endif
}

static void set_mode(const host_mode *mode)
{
  fesetround(mode->rounding);
#if defined __x86_64__
  const unsigned rest = __builtin_ia32_stmxcsr() & ~0x9fffu;
  __builtin_ia32_ldmxcsr(rest | (mode->flushes ? 0x8040 : 0) | (mode->traps ? 0 : 0x1f80));
#elif defined __aarch64__
  const uint64_t fpcr = mode_now() & ~(1ull << 24);
  __asm__ volatile("msr fpcr, %0" ::"r"(mode->flushes ? fpcr | 1ull << 24 : fpcr));
#endif
}

static uint64_t default_mode;

/* The call succeeds, and does not change the mode. */
#define KEEPS_MODE(call)                                                                                     \
  do {                                                                                                       \
    const uint64_t mode_before = mode_now();                                                                 \
    ACCEPTED(call);                                                                                          \
    HOLDS(mode_now() == mode_before);                                                                        \
  } while (0)

/* ---- Networks --------------------------------------------------------------------------------------- */

enum { INPUTS = 8, OUTPUTS = 2, ROWS = 200, BATCH = 96, EPOCHS = 3, FEW = 10 };

static const chainrule_layer wide[] = {
    {.kind = CHAINRULE_LAYER_SCALING},
    {.units = 48},
    {.kind = CHAINRULE_LAYER_BATCH_NORM},
    {.kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_SILU},
    {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.25},
    {.units = 48, .activation = CHAINRULE_ACTIVATION_TANH},
    {.kind = CHAINRULE_LAYER_LAYER_NORM},
    {.kind = CHAINRULE_LAYER_RESIDUAL, .span = 2},
    {.units = OUTPUTS},
    {.kind = CHAINRULE_LAYER_SCALING},
};
static const chainrule_layer narrow[] = {
    {.units = 3, .activation = CHAINRULE_ACTIVATION_SIGMOID, .weights = {CHAINRULE_INITIALIZER_GLOROT_NORMAL, 0}},
    {.units = OUTPUTS},
};
static const struct kind {
  const char *name;
  const chainrule_layer *layers;
  size_t count, batch_size;
  chainrule_optimizer_kind optimizer;
  double clip_norm, noise;
} kinds[] = {
    /* lion uses the sign of a gradient, so that even a denormal gradient has an effect. */
    {"wide, lion", wide, sizeof wide / sizeof *wide, BATCH, CHAINRULE_OPTIMIZER_LION, 0, 0},
    {"wide, nadam, clipped", wide, sizeof wide / sizeof *wide, BATCH, CHAINRULE_OPTIMIZER_NADAM, 0.5, 0.05},
    {"narrow, rprop", narrow, sizeof narrow / sizeof *narrow, 7, CHAINRULE_OPTIMIZER_RPROP, 0, 0},
    {"narrow, sgd", narrow, sizeof narrow / sizeof *narrow, 1, CHAINRULE_OPTIMIZER_SGD, 0, 0},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The first input is denormal in both precisions. */
static double x64[ROWS][INPUTS], y64[ROWS][OUTPUTS], numbers64[2][INPUTS];
static float x32[ROWS][INPUTS], y32[ROWS][OUTPUTS], numbers32[2][INPUTS];

static void make_data(void)
{
  for (int r = 0; r < ROWS; r++) {
    for (int i = 0; i < INPUTS; i++) x32[r][i] = (float)(x64[r][i] = uniform());
    x32[r][0] = r % 2 ? 1e-38f : -1e-39f;
    x64[r][0] = r % 2 ? 1e-308 : -1e-309;
    for (int j = 0; j < OUTPUTS; j++)
      y32[r][j] = (float)(y64[r][j] = x64[r][1 + j] * x64[r][3] + 0.1 * uniform());
  }
  for (int i = 0; i < INPUTS; i++) {
    numbers32[0][i] = (float)(numbers64[0][i] = 0.1 * i);
    numbers32[1][i] = (float)(numbers64[1][i] = 1 + 0.1 * i);
  }
  numbers32[0][0] = (float)(numbers64[0][0] = 0);
}

/* ---- Computations ----------------------------------------------------------------------------------- */

enum stage { MADE, TRAINED, STEPPED, SAVED, PREDICTED, DERIVED, FOLDED, MINIMIZED, RATES, STAGES };
static const char *const stage_names[] = {"a new network", "training",    "steps",   "files",
                                          "predictions",   "derivatives", "folding", "full-batch training",
                                          "rates"};
typedef uint64_t results[STAGES];

static void add(uint64_t *hash, const void *bytes, size_t size)
{
  for (const unsigned char *byte = bytes; size > 0; byte++, size--) *hash = (*hash ^ *byte) * 0x100000001b3;
}

static void add_file(uint64_t *hash, const char *path)
{
  static char bytes[1 << 20];
  FILE *stream = fopen(path, "rb");
  HOLDS(stream);
  if (!stream) return;
  add(hash, bytes, fread(bytes, 1, sizeof bytes, stream));
  fclose(stream);
}

#define EITHER(name, ...)                                                                                    \
  (scalar == CHAINRULE_FLOAT32 ? chainrule_##name##_f32(__VA_ARGS__) : chainrule_##name##_f64(__VA_ARGS__))

static void add_parameters(uint64_t *hash, const chainrule_network *network)
{
  static double values[10000];
  const chainrule_scalar scalar = chainrule_network_scalar(network);
  for (size_t l = 0; l < chainrule_network_layer_count(network); l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      const size_t count = chainrule_network_parameter_size(network, l, (chainrule_parameter)p);
      if (count == 0) continue;
      KEEPS_MODE(EITHER(network_get_parameter, network, l, (chainrule_parameter)p, (void *)values, count, e));
      add(hash, values, count * (scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double)));
    }
}

static chainrule_network *make(chainrule_scalar scalar, const struct kind *kind, size_t layers)
{
  chainrule_network *network = NULL;
  KEEPS_MODE(
      chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, scalar,
                                                                INPUTS, layers, kind->layers, NULL},
                               &network, e));
  KEEPS_MODE(chainrule_network_initialize(network, 5, e));
  const void *numbers = scalar == CHAINRULE_FLOAT32 ? (void *)numbers32 : (void *)numbers64;
  for (size_t l = 0; l < layers; l++) {
    if (kind->layers[l].kind != CHAINRULE_LAYER_SCALING) continue;
    const size_t count = l == 0 ? INPUTS : OUTPUTS,
                 size = scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
    KEEPS_MODE(EITHER(network_set_parameter, network, l, CHAINRULE_MEAN, (void *)numbers, count, e));
    KEEPS_MODE(EITHER(network_set_parameter, network, l, CHAINRULE_DEVIATION,
                      (void *)((char *)numbers + INPUTS * size), count, e));
  }
  return network;
}

/* Checks the mode in a callback, except the rounding of long double, which stays the host's. */
static bool is_default(void) { return (uint32_t)mode_now() == (uint32_t)default_mode; }

static int look(void *context, const chainrule_trainer_step *step)
{
  (void)context, (void)step;
  HOLDS(is_default());
  return 0;
}

static int look_at_minimum(void *context, const chainrule_minimizer_result *so_far)
{
  (void)context, (void)so_far;
  HOLDS(is_default());
  return 0;
}

static int own_loss(void *context, size_t rows, size_t outputs, const void *a, const void *y, double *losses,
                    void *gradient)
{
  HOLDS(is_default());
  for (size_t r = 0; r < rows; r++) losses[r] = 0;
  for (size_t i = 0; i < rows * outputs; i++) {
    if (*(const chainrule_scalar *)context == CHAINRULE_FLOAT32) {
      const float d = ((const float *)a)[i] - ((const float *)y)[i];
      ((float *)gradient)[i] = d / 3, losses[i / outputs] += d * d / 6;
    } else {
      const double d = ((const double *)a)[i] - ((const double *)y)[i];
      ((double *)gradient)[i] = d / 3, losses[i / outputs] += d * d / 6;
    }
  }
  return 0;
}

static void minimize(chainrule_scalar scalar, const void *x, const void *y, uint64_t *hash)
{
  for (int method = 0; method < CHAINRULE_METHOD_COUNT; method++) {
    chainrule_network *network = make(scalar, &kinds[2], kinds[2].count);
    chainrule_minimizer_options m = chainrule_minimizer_options_default((chainrule_method)method);
    m.iterations = 4;
    m.progress = look_at_minimum;
    chainrule_minimizer *minimizer = NULL;
    KEEPS_MODE(chainrule_minimizer_create(network, &m, &minimizer, e));
    KEEPS_MODE(EITHER(minimizer_run, minimizer, x, y, NULL, ROWS, NULL, e));
    add_parameters(hash, network);
    chainrule_minimizer_free(minimizer);
    chainrule_network_free(network);
  }
}

static void derive(chainrule_scalar scalar, const chainrule_network *network, const void *x, const void *y,
                   uint64_t *hash)
{
  static double values[FEW * OUTPUTS * 10000];
  const size_t parameters = chainrule_network_parameter_count(network);
  const size_t size = scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
  void *to = values;
  KEEPS_MODE(EITHER(network_input_jacobian, network, x, FEW, to, FEW * OUTPUTS * INPUTS, e));
  add(hash, values, FEW * OUTPUTS * INPUTS * size);
  KEEPS_MODE(EITHER(network_parameter_jacobian, network, x, FEW, to, FEW * OUTPUTS * parameters, e));
  add(hash, values, FEW * OUTPUTS * parameters * size);
  KEEPS_MODE(
      EITHER(network_sample_gradients, network, CHAINRULE_LOSS_LOG_COSH, x, y, FEW, to, FEW * parameters, e));
  add(hash, values, FEW * parameters * size);
  if (parameters > 100) return;
  chainrule_gradient_check check = {0};
  KEEPS_MODE(EITHER(network_check_gradient, network, CHAINRULE_LOSS_HUBER, x, y, NULL, FEW, &check, e));
  add(hash, &check.error, sizeof check.error);
}

static void predict(chainrule_scalar scalar, const chainrule_network *network, const void *x, const void *y,
                    uint64_t *hash)
{
  static double outputs[ROWS][OUTPUTS];
  const size_t size = chainrule_network_scratch_size(network, 20);
  void *scratch = malloc(size), *to = outputs;
  double loss = 0;
  KEEPS_MODE(EITHER(network_predict, network, x, ROWS, to, scratch, size, e));
  add(hash, outputs, ROWS * OUTPUTS * (scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double)));
  KEEPS_MODE(EITHER(network_loss, network, CHAINRULE_LOSS_HALF_SQUARED_ERROR, x, y, NULL, ROWS, scratch, size,
                    &loss, e));
  add(hash, &loss, sizeof loss);
  free(scratch);
}

static void compute_rates(uint64_t *hash)
{
  for (int kind = 0; kind < CHAINRULE_SCHEDULE_COUNT; kind++) {
    chainrule_schedule s = chainrule_schedule_default((chainrule_schedule_kind)kind);
    s.length = 7, s.warm_up = 3;
    if (kind == CHAINRULE_SCHEDULE_EXPONENTIAL) s.factor = 0.9;
    chainrule_plateau plateau = {0};
    for (uint64_t t = 0; t < 20; t++) {
      const uint64_t before = mode_now();
      const double rate = chainrule_schedule_rate(&s, 0.3, t, &plateau);
      HOLDS(mode_now() == before);
      add(hash, &rate, sizeof rate);
      KEEPS_MODE(chainrule_schedule_observe(&s, t, 0.7, &plateau, e));
    }
  }
}

typedef struct setting {
  chainrule_scalar scalar;
  const struct kind *kind;
  size_t threads;
  const host_mode *mode;
  int moment; /* when the mode is set: before creation, after it, or between two epochs */
} setting;
enum { MOMENTS = 3 };
static const char *const moment_names[MOMENTS] = {"before creation", "after creation", "between epochs"};

static chainrule_trainer *train(const setting *s, chainrule_network *network, const void *x, const void *y,
                                results hashes)
{
  const chainrule_scalar scalar = s->scalar;
  chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES,
                                        .loss = CHAINRULE_LOSS_LOG_COSH,
                                        .optimizer = chainrule_optimizer_default(s->kind->optimizer),
                                        .batch_size = s->kind->batch_size,
                                        .seed = 3,
                                        .threads = s->threads,
                                        .clip_norm = s->kind->clip_norm,
                                        .input_noise = s->kind->noise,
                                        .max_norm = s->kind->clip_norm};
  chainrule_trainer *trainer = NULL;
  KEEPS_MODE(chainrule_trainer_create(network, &training, &trainer, e));
  KEEPS_MODE(chainrule_trainer_set_learning_rate(trainer, 0.01, e));
  if (s->kind->batch_size > 1) KEEPS_MODE(chainrule_trainer_on_step(trainer, look, NULL, e));
  if (s->moment == 1) set_mode(s->mode);
  for (int k = 0; k < EPOCHS; k++) {
    double loss = 0;
    if (s->moment == 2 && k == 1) set_mode(s->mode);
    KEEPS_MODE(EITHER(trainer_epoch, trainer, x, y, NULL, ROWS, &loss, e));
    add(&hashes[TRAINED], &loss, sizeof loss);
    KEEPS_MODE(chainrule_trainer_observe(trainer, 0.5, e));
  }
  add_parameters(&hashes[TRAINED], network);

  double loss = 0;
  KEEPS_MODE(chainrule_trainer_begin_epoch(trainer, e));
  KEEPS_MODE(EITHER(trainer_step, trainer, x, y, NULL, s->kind->batch_size, &loss, e));
  KEEPS_MODE(EITHER(trainer_gradients, trainer, x, y, NULL, s->kind->batch_size, &loss, e));
  add(&hashes[STEPPED], &loss, sizeof loss);
  KEEPS_MODE(chainrule_trainer_end_epoch(trainer, &loss, e));
  KEEPS_MODE(chainrule_trainer_flush(trainer, e));
  KEEPS_MODE(chainrule_trainer_abandon_epoch(trainer, e));
  add(&hashes[STEPPED], &loss, sizeof loss);
  add_parameters(&hashes[STEPPED], network);
  return trainer;
}

/* A user-supplied loss, and a call that fails. */
static void train_by_own_loss(const setting *s, const void *x, const void *y, uint64_t *hash)
{
  chainrule_scalar scalar = s->scalar;
  chainrule_network *network = make(scalar, s->kind, s->kind->count);
  chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES,
                                        .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
                                        .batch_size = BATCH,
                                        .threads = s->threads,
                                        .loss_function = own_loss,
                                        .loss_context = &scalar};
  chainrule_trainer *trainer = NULL;
  KEEPS_MODE(chainrule_trainer_create(network, &training, &trainer, e));
  KEEPS_MODE(EITHER(trainer_step, trainer, x, y, NULL, BATCH, NULL, e));
  const uint64_t before = mode_now();
  REFUSED(CHAINRULE_SHAPE_MISMATCH, "the batch has",
          EITHER(trainer_step, trainer, x, y, NULL, BATCH + 1, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "adam: learning rate",
          chainrule_trainer_set_learning_rate(trainer, -1, e));
  HOLDS(mode_now() == before);
  add_parameters(hash, network);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}

static void run(const setting *s, results hashes)
{
  const chainrule_scalar scalar = s->scalar;
  const void *x = scalar == CHAINRULE_FLOAT32 ? (void *)x32 : (void *)x64;
  const void *y = scalar == CHAINRULE_FLOAT32 ? (void *)y32 : (void *)y64;
  const bool is_narrow = s->kind->layers == narrow;
  snprintf(context, sizeof context, "float%d, %s, %zu threads, %s %s", scalar == CHAINRULE_FLOAT32 ? 32 : 64,
           s->kind->name, s->threads, s->mode->name, moment_names[s->moment]);
  char path[40];
  snprintf(path, sizeof path, "mode-%ld.safetensors", (long)getpid());
  for (int i = 0; i < STAGES; i++) hashes[i] = 0xcbf29ce484222325;

  set_mode(s->moment == 0 ? s->mode : &modes[0]);
  chainrule_network *network = make(scalar, s->kind, s->kind->count), *other = NULL;
  add_parameters(&hashes[MADE], network);
  chainrule_trainer *trainer = train(s, network, x, y, hashes);

  KEEPS_MODE(chainrule_trainer_save(trainer, network, NULL, path, e));
  add_file(&hashes[SAVED], path);
  KEEPS_MODE(chainrule_trainer_restore(trainer, path, NULL, NULL, e));
  KEEPS_MODE(chainrule_network_load(path, &other, e));
  KEEPS_MODE(chainrule_network_save(other, path, e));
  add_file(&hashes[SAVED], path);
  KEEPS_MODE(EITHER(trainer_epoch, trainer, x, y, NULL, ROWS, NULL, e));
  add_parameters(&hashes[SAVED], network);
  chainrule_trainer_free(trainer);
  chainrule_network_free(other), other = NULL;
  remove(path);

  predict(scalar, network, x, y, &hashes[PREDICTED]);
  derive(scalar, network, x, y, &hashes[DERIVED]);
  KEEPS_MODE(chainrule_network_fold(network, &other, e));
  add_parameters(&hashes[FOLDED], other);
  chainrule_network_free(other);
  KEEPS_MODE(chainrule_network_copy(network, &other, e));
  add_parameters(&hashes[FOLDED], other);
  chainrule_network_free(other);
  if (!is_narrow) train_by_own_loss(s, x, y, &hashes[STEPPED]);
  if (is_narrow && s->threads == 1 && s->moment == 0) minimize(scalar, x, y, &hashes[MINIMIZED]);
  if (is_narrow && s->moment == 0) compute_rates(&hashes[RATES]);
  chainrule_network_free(network);
  set_mode(&modes[0]);
}

int main(void)
{
  default_mode = mode_now();
  make_data();
  for (size_t k = 0; k < KINDS; k++)
    for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++)
      for (size_t threads = 1; threads <= 3; threads++)
        for (int moment = 0; moment < MOMENTS; moment++) {
          results expected = {0}, found;
          for (size_t m = 0; m < MODES; m++) {
            const setting s = {(chainrule_scalar)scalar, &kinds[k], threads, &modes[m], moment};
            run(&s, m == 0 ? expected : found);
            for (int i = 0; m > 0 && i < STAGES; i++)
              expect(found[i] == expected[i], __LINE__, stage_names[i]);
          }
        }
  return summary();
}
