/* Memory is planned once: a step, a prediction, a loss and every epoch after the first allocate
 * nothing, whatever the network, the optimizer and the kernel set.  And where an allocation fails, the
 * call says so, leaks nothing and leaves what it was given as it was.
 *
 * The allocator's functions are defined here, in the executable, so that the library's calls and
 * those of GSL and jansson come through this file.  That takes glibc, and no sanitizer in between. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if !defined __GLIBC__ || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined SANITIZED

int main(void)
{
  puts("skipped: needs glibc's allocator");
  return 77;
}

#else

/* ---- The allocator, counted ------------------------------------------------------------------ */

static size_t allocations; /* calls that asked for memory */
static size_t live;        /* blocks handed out and not yet freed */
static size_t fail_at;     /* the allocation, counted from 1, that fails; 0: none */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static int fails(void)
{
  ++allocations;
  if (allocations != fail_at) return 0;
  errno = ENOMEM;
  return 1;
}

static void *handed_out(void *block)
{
  live += block != NULL;
  return block;
}

void *malloc(size_t size) { return fails() ? NULL : handed_out(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return fails() ? NULL : handed_out(__libc_calloc(count, size)); }

void *aligned_alloc(size_t alignment, size_t size)
{
  return fails() ? NULL : handed_out(__libc_memalign(alignment, size));
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
  if (fails()) return ENOMEM;
  *block = handed_out(__libc_memalign(alignment, size));
  return *block ? 0 : ENOMEM;
}

void *realloc(void *block, size_t size)
{
  if (fails()) return NULL;
  void *moved = __libc_realloc(block, size);
  if (!block) return handed_out(moved);
  live -= size == 0;
  return moved;
}

void free(void *block)
{
  live -= block != NULL;
  __libc_free(block);
}

/* ---- Reporting -------------------------------------------------------------------------------- */

static size_t failures;
static char context[160]; /* which network, trainer and kernel set are under test */

static void expect(int holds, const char *what)
{
  if (holds) return;
  if (++failures <= 20) printf("FAILED  %s: %s\n", context, what);
}

/* The call succeeds without a single allocation. */
#define ALLOCATES_NOTHING(call)                                                                     \
  do {                                                                                              \
    size_t before = allocations;                                                                    \
    expect((call) == CHAINRULE_OK, #call " succeeds");                                              \
    expect(allocations == before, #call " allocates nothing");                                      \
  } while (0)

/* ---- One problem, in both precisions ---------------------------------------------------------- */

enum { INPUTS = 5, HIDDEN = 19, OUTPUTS = 3, ROWS = 37, BATCH = 8 };

typedef struct data {
  float x32[ROWS][INPUTS], y32[ROWS][OUTPUTS], weights32[ROWS], a32[ROWS][OUTPUTS];
  double x64[ROWS][INPUTS], y64[ROWS][OUTPUTS], weights64[ROWS], a64[ROWS][OUTPUTS];
} data;

/* Targets are 0 and 1, of which every loss accepts one-hot rows; hinge wants −1 and 1. */
static void fill(data *d, chainrule_loss loss)
{
  double absent = loss == CHAINRULE_LOSS_HINGE ? -1 : 0;
  for (size_t row = 0; row < ROWS; row++) {
    for (size_t i = 0; i < INPUTS; i++)
      d->x32[row][i] = (float)(d->x64[row][i] = (double)((row * 7 + i * 5) % 11) / 11 - 0.5);
    for (size_t j = 0; j < OUTPUTS; j++)
      d->y32[row][j] = (float)(d->y64[row][j] = row % OUTPUTS == j ? 1 : absent);
    d->weights32[row] = (float)(d->weights64[row] = 0.5 + (double)(row % 3));
  }
}

static chainrule_status step(chainrule_scalar scalar, chainrule_trainer *trainer, const data *d,
                             int weighted)
{
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_trainer_step_f32(trainer, *d->x32, *d->y32, weighted ? d->weights32 : NULL, BATCH,
                                          NULL, NULL)
             : chainrule_trainer_step_f64(trainer, *d->x64, *d->y64, weighted ? d->weights64 : NULL, BATCH,
                                          NULL, NULL);
}

static chainrule_status gradients(chainrule_scalar scalar, chainrule_trainer *trainer, const data *d)
{
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_trainer_gradients_f32(trainer, *d->x32, *d->y32, NULL, BATCH, NULL, NULL)
             : chainrule_trainer_gradients_f64(trainer, *d->x64, *d->y64, NULL, BATCH, NULL, NULL);
}

static chainrule_status epoch(chainrule_scalar scalar, chainrule_trainer *trainer, const data *d,
                              chainrule_error *error)
{
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_trainer_epoch_f32(trainer, *d->x32, *d->y32, NULL, ROWS, NULL, error)
             : chainrule_trainer_epoch_f64(trainer, *d->x64, *d->y64, NULL, ROWS, NULL, error);
}

static chainrule_status predict(chainrule_scalar scalar, const chainrule_network *network, data *d,
                                void *scratch, size_t size)
{
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_network_predict_f32(network, *d->x32, ROWS, *d->a32, scratch, size, NULL)
             : chainrule_network_predict_f64(network, *d->x64, ROWS, *d->a64, scratch, size, NULL);
}

static chainrule_status loss_of(chainrule_scalar scalar, const chainrule_network *network,
                                chainrule_loss loss, const data *d, void *scratch, size_t size)
{
  double value;
  return scalar == CHAINRULE_FLOAT32
             ? chainrule_network_loss_f32(network, loss, *d->x32, *d->y32, d->weights32, ROWS, scratch, size,
                                          &value, NULL)
             : chainrule_network_loss_f64(network, loss, *d->x64, *d->y64, d->weights64, ROWS, scratch, size,
                                          &value, NULL);
}

static chainrule_description describe(chainrule_scalar scalar, chainrule_activation activation,
                                      chainrule_layer layers[2])
{
  layers[0] = (chainrule_layer){
      .units = HIDDEN,
      .activation = activation == CHAINRULE_ACTIVATION_SOFTMAX ? CHAINRULE_ACTIVATION_TANH : activation};
  layers[1] = (chainrule_layer){.units = OUTPUTS, .activation = activation};
  return (chainrule_description){.scalar = scalar, .inputs = INPUTS, .layer_count = 2, .layers = layers};
}

/* ---- Nothing is allocated --------------------------------------------------------------------- */

static size_t activation_runs[CHAINRULE_ACTIVATION_COUNT], loss_runs[CHAINRULE_LOSS_COUNT];
static size_t optimizer_runs[CHAINRULE_OPTIMIZER_COUNT];

/* False where the loss does not fit the network's output. */
static bool trains_without_allocating(chainrule_network *network, chainrule_scalar scalar,
                                      const chainrule_training *training, const data *d)
{
  chainrule_trainer *trainer = NULL;
  chainrule_error error = {.status = CHAINRULE_OK};
  if (chainrule_trainer_create(network, training, &trainer, &error) == CHAINRULE_INVALID_NETWORK)
    return false;
  expect(trainer != NULL, error.message);
  if (!trainer) return true;
  ALLOCATES_NOTHING(step(scalar, trainer, d, 0));
  ALLOCATES_NOTHING(step(scalar, trainer, d, 1));
  ALLOCATES_NOTHING(gradients(scalar, trainer, d));
  expect(epoch(scalar, trainer, d, &error) == CHAINRULE_OK, error.message);
  ALLOCATES_NOTHING(epoch(scalar, trainer, d, NULL));
  chainrule_trainer_free(trainer);
  return true;
}

static void nothing_is_allocated(const char *kernel_set, chainrule_scalar scalar, chainrule_activation activation)
{
  chainrule_layer layers[2];
  chainrule_description description = describe(scalar, activation, layers);
  description.kernel_set = kernel_set;
  for (int l = 0; l < CHAINRULE_LOSS_COUNT; l++) {
    chainrule_loss loss = (chainrule_loss)l;
    static data d;
    fill(&d, loss);
    bool fits = true;
    for (int kind = 0; kind < CHAINRULE_OPTIMIZER_COUNT && fits; kind++)
      for (int variant = 0; variant < 4 && fits; variant++) {
        bool keep = variant & 1, momentum = variant & 2;
        snprintf(context, sizeof context, "%s, float%d, %s, %s, %s%s%s", kernel_set,
                 scalar == CHAINRULE_FLOAT32 ? 32 : 64, chainrule_activation_name(activation),
                 chainrule_loss_name(loss), chainrule_optimizer_name((chainrule_optimizer_kind)kind),
                 momentum ? " with every number" : "", keep ? ", kept" : "");
        chainrule_network *network = NULL;
        expect(chainrule_network_create(&description, &network, NULL) == CHAINRULE_OK, "create succeeds");
        if (!network) return;
        expect(strcmp(chainrule_network_kernel_set(network), kernel_set) == 0, "is the kernel set in use");
        expect(chainrule_network_initialize(network, 1, NULL) == CHAINRULE_OK, "initialize succeeds");

        chainrule_training training = {
            .loss = loss,
            .optimizer = chainrule_optimizer_default((chainrule_optimizer_kind)kind),
            .batch_size = BATCH,
            .keep = keep,
        };
        training.optimizer.learning_rate = 0.001;
        if (momentum) {
          training.optimizer.momentum = 0.9;
          training.optimizer.weight_decay = 0.01;
          training.optimizer.l1 = 0.001;
          training.optimizer.amsgrad = true;
          training.optimizer.nesterov = kind == CHAINRULE_OPTIMIZER_SGD;
          training.optimizer.centered = kind == CHAINRULE_OPTIMIZER_RMSPROP;
        }
        fits = trains_without_allocating(network, scalar, &training, &d);

        size_t size = chainrule_network_scratch_size(network, BATCH);
        void *scratch = malloc(size);
        ALLOCATES_NOTHING(predict(scalar, network, &d, scratch, size));
        if (fits) {
          ALLOCATES_NOTHING(loss_of(scalar, network, loss, &d, scratch, size));
          ++activation_runs[activation], ++loss_runs[loss], ++optimizer_runs[kind];
        }
        free(scratch);
        chainrule_network_free(network);
      }
  }
}

/* ---- Every allocation fails in turn ----------------------------------------------------------- */

typedef struct attempt {
  chainrule_description description;
  const chainrule_training *training;
  const data *data;
  chainrule_network *network, *made;
  chainrule_trainer *trainer;
} attempt;

typedef chainrule_status operation(attempt *a, chainrule_error *error);

static chainrule_status create(attempt *a, chainrule_error *error)
{
  return chainrule_network_create(&a->description, &a->made, error);
}

static chainrule_status copy(attempt *a, chainrule_error *error)
{
  return chainrule_network_copy(a->network, &a->made, error);
}

static chainrule_status initialize(attempt *a, chainrule_error *error)
{
  return chainrule_network_initialize(a->network, 2, error);
}

static chainrule_status create_trainer(attempt *a, chainrule_error *error)
{
  return chainrule_trainer_create(a->network, a->training, &a->trainer, error);
}

static chainrule_status first_epoch(attempt *a, chainrule_error *error)
{
  return epoch(a->description.scalar, a->trainer, a->data, error);
}

static chainrule_status grow_batches(attempt *a, chainrule_error *error)
{
  return chainrule_trainer_set_batch_size(a->trainer, 2 * BATCH, error);
}

static chainrule_status rename_classes(attempt *a, chainrule_error *error)
{
  return chainrule_network_set_names(a->network, CHAINRULE_CLASS_LABELS,
                                     (const char *const[]){"naught", "one", "two"}, OUTPUTS, error);
}

static chainrule_status jacobian(attempt *a, chainrule_error *error)
{
  static float values32[BATCH * OUTPUTS * INPUTS];
  static double values64[BATCH * OUTPUTS * INPUTS];
  return a->description.scalar == CHAINRULE_FLOAT32
             ? chainrule_network_input_jacobian_f32(a->network, *a->data->x32, BATCH, values32,
                                                    BATCH * OUTPUTS * INPUTS, error)
             : chainrule_network_input_jacobian_f64(a->network, *a->data->x64, BATCH, values64,
                                                    BATCH * OUTPUTS * INPUTS, error);
}

static chainrule_status check_gradient(attempt *a, chainrule_error *error)
{
  chainrule_gradient_check check;
  const data *d = a->data;
  return a->description.scalar == CHAINRULE_FLOAT32
             ? chainrule_network_check_gradient_f32(a->network, a->training->loss, *d->x32, *d->y32, d->weights32,
                                                    BATCH, &check, error)
             : chainrule_network_check_gradient_f64(a->network, a->training->loss, *d->x64, *d->y64, d->weights64,
                                                    BATCH, &check, error);
}

static chainrule_method method; /* of minimize */

static chainrule_status minimize(attempt *a, chainrule_error *error)
{
  chainrule_minimization m = chainrule_minimization_default(method);
  if (method != CHAINRULE_METHOD_LEVENBERG_MARQUARDT) m.loss = a->training->loss;
  m.iterations = 3;
  chainrule_minimizer *minimizer = NULL;
  const data *d = a->data;
  chainrule_status status = chainrule_minimizer_create(a->network, &m, &minimizer, error);
  if (!status)
    status = a->description.scalar == CHAINRULE_FLOAT32
                 ? chainrule_minimizer_run_f32(minimizer, *d->x32, *d->y32, NULL, BATCH, NULL, error)
                 : chainrule_minimizer_run_f64(minimizer, *d->x64, *d->y64, NULL, BATCH, NULL, error);
  chainrule_minimizer_free(minimizer);
  return status;
}

/* N = 1, 2, …: the N-th allocation fails, until the operation succeeds.  Returns how often it failed. */
static size_t fails_cleanly(const char *name, operation *run, attempt *a)
{
  snprintf(context, sizeof context, "%s", name);
  for (size_t n = 1;; n++) {
    chainrule_error error;
    memset(&error, 0x5a, sizeof error);
    size_t before = live;
    allocations = 0;
    fail_at = n;
    chainrule_status status = run(a, &error);
    size_t attempted = allocations;
    fail_at = 0;
    if (attempted < n) {
      expect(status == CHAINRULE_OK, "succeeds where no allocation fails");
      return n - 1;
    }
    expect(status == CHAINRULE_OUT_OF_MEMORY, "returns CHAINRULE_OUT_OF_MEMORY");
    expect(error.status == status, "fills the error's status");
    expect(memchr(error.message, 0, sizeof error.message) && strstr(error.message, "memory"),
           "says that memory ran out");
    expect(live == before, "leaks nothing");
    if (status == CHAINRULE_OK || n > 1000) return n;
  }
}

static void every_allocation_fails_in_turn(chainrule_scalar scalar)
{
  static data d;
  fill(&d, CHAINRULE_LOSS_CROSS_ENTROPY);
  chainrule_layer layers[2];
  chainrule_training training = {
      .loss = CHAINRULE_LOSS_CROSS_ENTROPY,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
      .batch_size = BATCH,
  };
  attempt a = {.description = describe(scalar, CHAINRULE_ACTIVATION_SOFTMAX, layers),
               .training = &training,
               .data = &d};
  size_t at_start = live;

  expect(fails_cleanly("chainrule_network_create", create, &a) > 0, "allocates");
  a.network = a.made;
  a.made = NULL;
  expect(chainrule_network_set_names(a.network, CHAINRULE_CLASS_LABELS,
                                     (const char *const[]){"zero", "uno", "due"}, OUTPUTS,
                                     NULL) == CHAINRULE_OK,
         "set_names succeeds");

  expect(fails_cleanly("chainrule_network_copy", copy, &a) > 0, "allocates");
  expect(a.made && strcmp(chainrule_network_name(a.made, CHAINRULE_CLASS_LABELS, 2), "due") == 0,
         "copies the names");
  chainrule_network_free(a.made);

  fails_cleanly("chainrule_network_initialize", initialize, &a);

  /* Setting names is all or nothing: fail once, look, then fail in turn. */
  fail_at = 1;
  allocations = 0;
  expect(rename_classes(&a, NULL) == CHAINRULE_OUT_OF_MEMORY, "set_names fails without an error to fill");
  fail_at = 0;
  expect(strcmp(chainrule_network_name(a.network, CHAINRULE_CLASS_LABELS, 1), "uno") == 0,
         "names that could not be set leave the old ones");
  expect(fails_cleanly("chainrule_network_set_names", rename_classes, &a) > 0, "allocates");
  expect(strcmp(chainrule_network_name(a.network, CHAINRULE_CLASS_LABELS, 1), "one") == 0,
         "the new names are there");

  expect(fails_cleanly("chainrule_trainer_create", create_trainer, &a) > 0, "allocates");
  expect(fails_cleanly("the first epoch", first_epoch, &a) > 0, "allocates the order of the rows");
  expect(chainrule_trainer_epochs(a.trainer) == 1, "an epoch that failed is not counted");
  expect(fails_cleanly("the second epoch", first_epoch, &a) == 0, "allocates nothing");
  expect(fails_cleanly("chainrule_trainer_set_batch_size", grow_batches, &a) > 0, "allocates");
  expect(fails_cleanly("the same batch size again", grow_batches, &a) == 0, "allocates nothing");
  expect(fails_cleanly("an epoch in larger batches", first_epoch, &a) == 0, "allocates nothing");

  expect(fails_cleanly("chainrule_network_input_jacobian", jacobian, &a) > 0, "allocates");
  expect(fails_cleanly("chainrule_network_check_gradient", check_gradient, &a) > 0, "allocates");

  chainrule_trainer_free(a.trainer);
  method = CHAINRULE_METHOD_LBFGS;
  expect(fails_cleanly("L-BFGS", minimize, &a) > 0, "allocates");
  chainrule_network_free(a.network);
  snprintf(context, sizeof context, "float%d", scalar == CHAINRULE_FLOAT32 ? 32 : 64);
  expect(live == at_start, "freeing the network and the trainer frees everything");
}

/* What GSL has allocated in parts before a part fails, it leaks; nothing of ours does, and nothing aborts. */
static void every_method_survives(chainrule_scalar scalar)
{
  static data d;
  fill(&d, CHAINRULE_LOSS_CROSS_ENTROPY);
  chainrule_layer layers[2];
  const chainrule_training training = {.loss = CHAINRULE_LOSS_CROSS_ENTROPY};
  attempt a = {.description = describe(scalar, CHAINRULE_ACTIVATION_SOFTMAX, layers),
               .training = &training,
               .data = &d};
  expect(create(&a, NULL) == CHAINRULE_OK, "a network");
  a.network = a.made;
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    method = (chainrule_method)i;
    snprintf(context, sizeof context, "%s", chainrule_method_name(method));
    chainrule_status status = CHAINRULE_OUT_OF_MEMORY;
    for (size_t n = 1; status && n < 1000; n++) {
      allocations = 0;
      fail_at = n;
      status = minimize(&a, NULL);
      if (allocations < n) break;
      expect(status == CHAINRULE_OUT_OF_MEMORY, "returns CHAINRULE_OUT_OF_MEMORY");
      status = CHAINRULE_OUT_OF_MEMORY;
    }
    fail_at = 0;
    expect(status == CHAINRULE_OK, "succeeds where no allocation fails");
    const size_t before = live;
    expect(minimize(&a, NULL) == CHAINRULE_OK && live == before, "a run leaks nothing");
  }
  chainrule_network_free(a.network);
}

int main(void)
{
  static char output[1 << 16]; /* standard output buffers here, and does not allocate */
  setvbuf(stdout, output, _IOFBF, sizeof output);

  /* The hook itself: a call that does allocate is seen. */
  size_t before = allocations;
  void *volatile block = malloc(1);
  snprintf(context, sizeof context, "the hook");
  expect(allocations == before + 1, "sees an allocation");
  free(block);

  size_t sets = 0;
  for (const char *set; (set = chainrule_kernel_set_name(sets)); sets++)
    for (int activation = 0; activation < CHAINRULE_ACTIVATION_COUNT; activation++)
      for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++)
        nothing_is_allocated(set, (chainrule_scalar)scalar, (chainrule_activation)activation);
  snprintf(context, sizeof context, "this test");
  expect(sets >= 2, "runs the kernel sets baseline and gsl at least");
  for (int i = 0; i < CHAINRULE_ACTIVATION_COUNT; i++) expect(activation_runs[i] > 0, "runs every activation");
  for (int i = 0; i < CHAINRULE_LOSS_COUNT; i++) expect(loss_runs[i] > 0, "runs every loss");
  for (int i = 0; i < CHAINRULE_OPTIMIZER_COUNT; i++) expect(optimizer_runs[i] > 0, "runs every optimizer");

  every_allocation_fails_in_turn(CHAINRULE_FLOAT32);
  every_allocation_fails_in_turn(CHAINRULE_FLOAT64);
  every_method_survives(CHAINRULE_FLOAT32);
  every_method_survives(CHAINRULE_FLOAT64);

  printf("%zu kernel sets, %zu failures\n", sets, failures);
  return failures > 0;
}

#endif
