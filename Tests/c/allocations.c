/* Memory is planned once: a step, a prediction, a loss and every epoch after the first allocate nothing, with
 * any network, optimizer and kernel set.  If any allocation fails, the call returns an error, leaks nothing
 * and leaves its arguments unchanged.  The same call afterwards succeeds. */
#include "allocator.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <chainrule.h>

#if !ALLOCATIONS_ARE_COUNTED

int main(void)
{
  puts("skipped: needs glibc's allocator");
  return 77;
}

#else

/* ---- Reporting -------------------------------------------------------------------------------- */

static size_t failures;
static char context[160]; /* which network, trainer and kernel set are under test */

static void expect(int holds, const char *what)
{
  if (holds) return;
  if (++failures <= 20) printf("FAILED  %s: %s\n", context, what);
}

/* The call succeeds without a single allocation. */
#define ALLOCATES_NOTHING(call)                                                                              \
  do {                                                                                                       \
    size_t before = allocations;                                                                             \
    expect((call) == CHAINRULE_OK, #call " succeeds");                                                       \
    expect(allocations == before, #call " allocates nothing");                                               \
  } while (0)

/* ---- One problem, in both precisions ---------------------------------------------------------- */

enum { INPUTS = 5, HIDDEN = 19, OUTPUTS = 3, ROWS = 37, BATCH = 8 };

typedef struct data {
  float x32[ROWS][INPUTS], y32[ROWS][OUTPUTS], weights32[ROWS], a32[ROWS][OUTPUTS];
  double x64[ROWS][INPUTS], y64[ROWS][OUTPUTS], weights64[ROWS], a64[ROWS][OUTPUTS];
} data;

/* Targets are one-hot rows, which every loss accepts. */
static void fill(data *d)
{
  for (size_t row = 0; row < ROWS; row++) {
    for (size_t i = 0; i < INPUTS; i++)
      d->x32[row][i] = (float)(d->x64[row][i] = (double)((row * 7 + i * 5) % 11) / 11 - 0.5);
    for (size_t j = 0; j < OUTPUTS; j++) d->y32[row][j] = (float)(d->y64[row][j] = row % OUTPUTS == j);
    d->weights32[row] = (float)(d->weights64[row] = 0.5 + (double)(row % 3));
  }
}

static chainrule_status step(chainrule_scalar scalar, chainrule_trainer *trainer, const data *d, int weighted)
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

static chainrule_network_description describe(chainrule_scalar scalar, chainrule_activation activation,
                                              chainrule_layer layers[3])
{
  layers[0] = (chainrule_layer){
      .units = HIDDEN,
      .activation = activation == CHAINRULE_ACTIVATION_SOFTMAX ? CHAINRULE_ACTIVATION_TANH : activation};
  layers[1] = (chainrule_layer){.units = OUTPUTS, .activation = activation};
  layers[2] = (chainrule_layer){.kind = CHAINRULE_LAYER_SCALING};
  return (chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = scalar,
                                         .inputs = INPUTS, .layer_count = 2, .layers = layers};
}

/* ---- Nothing is allocated --------------------------------------------------------------------- */

static size_t activation_runs[CHAINRULE_ACTIVATION_COUNT], loss_runs[CHAINRULE_LOSS_COUNT];
static size_t optimizer_runs[CHAINRULE_OPTIMIZER_COUNT];

/* False if the loss does not fit the network's output. */
static bool trains_without_allocating(chainrule_network *network, chainrule_scalar scalar,
                                      const chainrule_trainer_options *training, const data *d)
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

static void nothing_is_allocated(const char *kernel_set, chainrule_scalar scalar,
                                 chainrule_activation activation)
{
  chainrule_layer layers[3];
  chainrule_network_description description = describe(scalar, activation, layers);
  description.kernel_set = kernel_set;
  const bool probable =
      activation == CHAINRULE_ACTIVATION_SOFTMAX || activation == CHAINRULE_ACTIVATION_SIGMOID;
  for (int l = 0; l < CHAINRULE_LOSS_COUNT; l++) {
    chainrule_loss loss = (chainrule_loss)l;
    static data d;
    fill(&d);
    bool fits = true;
    for (int kind = 0; kind < CHAINRULE_OPTIMIZER_COUNT && fits; kind++)
      for (int variant = 0; variant < 4 && fits; variant++) {
        bool keep = variant & 1, momentum = variant & 2;
        snprintf(context, sizeof context, "%s, float%d, %s, %s, %s%s%s", kernel_set,
                 scalar == CHAINRULE_FLOAT32 ? 32 : 64, chainrule_activation_name(activation),
                 chainrule_loss_name(loss), chainrule_optimizer_name((chainrule_optimizer_kind)kind),
                 momentum ? " with every number" : "", keep ? ", kept" : "");
        description.layer_count = probable || kind % 2 ? 2 : 3; /* with target scaling by 0 and 1 */
        chainrule_network *network = NULL;
        expect(chainrule_network_create(&description, &network, NULL) == CHAINRULE_OK, "create succeeds");
        if (!network) return;
        expect(strcmp(chainrule_network_kernel_set(network), kernel_set) == 0, "is the kernel set in use");
        expect(chainrule_network_initialize(network, 1, NULL) == CHAINRULE_OK, "initialize succeeds");

        chainrule_trainer_options training = {
            CHAINRULE_TRAINER_OPTIONS_SIZES,
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

typedef struct subject {
  const char *name;
  size_t layer_count;
  bool scales; /* targets, by its last layer; the one before is dense */
  chainrule_layer layers[9];

  chainrule_network_description description;
  chainrule_trainer_options training;
  const void *x, *y, *weights; /* in the network's scalar type, as are the arrays below */
  chainrule_network *network, *made;
  chainrule_trainer *trainer;
  chainrule_minimizer *minimizer;
} subject;

/* 5 inputs, 3 classes: plain, with every kind of layer that a file can hold, and with few parameters. */
static const subject subjects[] = {
    {.name = "dense layers",
     .layer_count = 2,
     .layers = {{.units = HIDDEN, .activation = CHAINRULE_ACTIVATION_TANH},
                {.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTMAX}}},
    {.name = "every kind of layer",
     .layer_count = 9,
     .layers = {{.kind = CHAINRULE_LAYER_SCALING},
                {.units = 4, .activation = CHAINRULE_ACTIVATION_SILU},
                {.kind = CHAINRULE_LAYER_BATCH_NORM},
                {.kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_TANH},
                {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.2},
                {.units = 4, .activation = CHAINRULE_ACTIVATION_TANH, .no_bias = true},
                {.kind = CHAINRULE_LAYER_LAYER_NORM},
                {.kind = CHAINRULE_LAYER_RESIDUAL, .span = 2},
                {.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTMAX}}},
    {.name = "target scaling",
     .layer_count = 3,
     .scales = true,
     .layers = {{.units = HIDDEN, .activation = CHAINRULE_ACTIVATION_TANH},
                {.units = OUTPUTS},
                {.kind = CHAINRULE_LAYER_SCALING}}},
    {.name = "one layer",
     .layer_count = 1,
     .layers = {{.units = OUTPUTS, .activation = CHAINRULE_ACTIVATION_SOFTMAX}}},
};

enum { MOST_PARAMETERS = 200, MOST_VALUES = BATCH * OUTPUTS * MOST_PARAMETERS };
static double values[MOST_VALUES]; /* or floats */

static char folder[] = "allocations-XXXXXX", file[sizeof folder + 8];

/* The function for the subject's precision; a void * is either's. */
#define TYPED(function, ...)                                                                                 \
  (s->description.scalar == CHAINRULE_FLOAT32 ? function##_f32(__VA_ARGS__) : function##_f64(__VA_ARGS__))

typedef chainrule_status operation(subject *s, chainrule_error *error);

static chainrule_status create(subject *s, chainrule_error *error)
{
  return chainrule_network_create(&s->description, &s->made, error);
}

static chainrule_status copy(subject *s, chainrule_error *error)
{
  return chainrule_network_copy(s->network, &s->made, error);
}

static chainrule_status fold(subject *s, chainrule_error *error)
{
  return chainrule_network_fold(s->network, &s->made, error);
}

static chainrule_status initialize(subject *s, chainrule_error *error)
{
  return chainrule_network_initialize(s->network, 2, error);
}

static chainrule_status get_layer(subject *s, chainrule_error *error)
{
  chainrule_layer layer;
  return chainrule_network_layer(s->network, 0, &layer, sizeof(chainrule_layer), error);
}

static size_t last_bias(const subject *s, const void **bias)
{
  static float bias32[OUTPUTS] = {0.5f, 0.25f, -1};
  static double bias64[OUTPUTS] = {0.5, 0.25, -1};
  *bias = s->description.scalar == CHAINRULE_FLOAT32 ? (const void *)bias32 : bias64;
  return s->layer_count - 1 - s->scales;
}

static chainrule_status get(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_get_parameter, s->network, s->layer_count - 1 - s->scales, CHAINRULE_BIAS,
               all, OUTPUTS, error);
}

static chainrule_status set(subject *s, chainrule_error *error)
{
  const void *bias;
  const size_t layer = last_bias(s, &bias);
  return TYPED(chainrule_network_set_parameter, s->network, layer, CHAINRULE_BIAS, bias, OUTPUTS, error);
}

static chainrule_status get_parameters(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_get_parameters, s->network, all,
               chainrule_network_parameter_count(s->network), error);
}

/* The parameters from get_parameters. */
static chainrule_status set_parameters(subject *s, chainrule_error *error)
{
  const void *all = values;
  return TYPED(chainrule_network_set_parameters, s->network, all,
               chainrule_network_parameter_count(s->network), error);
}

static chainrule_status set_names(subject *s, chainrule_error *error)
{
  return chainrule_network_set_names(s->network, CHAINRULE_CLASS_LABELS,
                                     (const char *const[]){"naught", "one", "größer"}, OUTPUTS, error);
}

static chainrule_status set_metadata(subject *s, chainrule_error *error)
{
  return chainrule_network_set_metadata(s->network, "größer", strlen("größer"), error);
}

static chainrule_status save(subject *s, chainrule_error *error)
{
  return chainrule_network_save(s->network, file, error);
}

static chainrule_status load(subject *s, chainrule_error *error)
{
  return chainrule_network_load(file, &s->made, error);
}

static char tensors[sizeof folder + 8];

/* A dense layer [1][2] and its bias, all zeros, as other programs save them. */
static void write_tensors(void)
{
  static const char header[] = "{\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                               "\"0.bias\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[8,10]}}";
  unsigned char bytes[8 + sizeof header - 1 + 10] = {sizeof header - 1};
  memcpy(bytes + 8, header, sizeof header - 1);
  FILE *stream = fopen(tensors, "wb");
  expect(stream && fwrite(bytes, sizeof bytes, 1, stream) == 1, "writes a file of tensors");
  if (stream) fclose(stream);
}

static chainrule_status import(subject *s, chainrule_error *error)
{
  const chainrule_activation activation = CHAINRULE_ACTIVATION_RELU;
  return chainrule_network_import_safetensors(tensors, NULL, &activation, 1, &s->made, error);
}

static char scratch[1 << 17];

static chainrule_status predict_rows(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_predict, s->network, s->x, ROWS, all, scratch, sizeof scratch, error);
}

static chainrule_status loss_of_rows(subject *s, chainrule_error *error)
{
  double value;
  return TYPED(chainrule_network_loss, s->network, s->training.loss, s->x, s->y, s->weights, ROWS, scratch,
               sizeof scratch, &value, error);
}

static chainrule_status input_jacobian(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_input_jacobian, s->network, s->x, BATCH, all, BATCH * OUTPUTS * INPUTS, error);
}

static chainrule_status parameter_jacobian(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_parameter_jacobian, s->network, s->x, BATCH, all,
               BATCH * OUTPUTS * chainrule_network_parameter_count(s->network), error);
}

static chainrule_status sample_gradients(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_network_sample_gradients, s->network, s->training.loss, s->x, s->y, BATCH, all,
               BATCH * chainrule_network_parameter_count(s->network), error);
}

static chainrule_status check_gradient(subject *s, chainrule_error *error)
{
  chainrule_gradient_check check;
  return TYPED(chainrule_network_check_gradient, s->network, s->training.loss, s->x, s->y, s->weights, BATCH,
               &check, error);
}

static chainrule_status create_trainer(subject *s, chainrule_error *error)
{
  return chainrule_trainer_create(s->network, &s->training, &s->trainer, error);
}

static chainrule_status epoch_of_rows(subject *s, chainrule_error *error)
{
  return TYPED(chainrule_trainer_epoch, s->trainer, s->x, s->y, s->weights, ROWS, NULL, error);
}

static chainrule_status grow_batches(subject *s, chainrule_error *error)
{
  return chainrule_trainer_set_batch_size(s->trainer, 2 * BATCH, error);
}

static chainrule_status begin_epoch(subject *s, chainrule_error *error)
{
  return chainrule_trainer_begin_epoch(s->trainer, error);
}

static chainrule_status step_of_batch(subject *s, chainrule_error *error)
{
  return TYPED(chainrule_trainer_step, s->trainer, s->x, s->y, s->weights, BATCH, NULL, error);
}

static chainrule_status end_epoch(subject *s, chainrule_error *error)
{
  return chainrule_trainer_end_epoch(s->trainer, NULL, error);
}

static char checkpoint[sizeof folder + 12];

static chainrule_status save_training(subject *s, chainrule_error *error)
{
  return chainrule_trainer_save(s->trainer, s->network, "a note", checkpoint, error);
}

static chainrule_status restore_training(subject *s, chainrule_error *error)
{
  chainrule_network *best;
  char *note;
  const chainrule_status status = chainrule_trainer_restore(s->trainer, checkpoint, &best, &note, error);
  expect(status ? !best && !note : best && strcmp(note, "a note") == 0, "gives all back, or nothing");
  chainrule_network_free(best);
  free(note);
  return status;
}

static chainrule_status flush(subject *s, chainrule_error *error)
{
  return chainrule_trainer_flush(s->trainer, error);
}

static chainrule_status abandon_epoch(subject *s, chainrule_error *error)
{
  return chainrule_trainer_abandon_epoch(s->trainer, error);
}

static chainrule_status gradients_of_batch(subject *s, chainrule_error *error)
{
  return TYPED(chainrule_trainer_gradients, s->trainer, s->x, s->y, s->weights, BATCH, NULL, error);
}

static chainrule_status view(subject *s, chainrule_error *error)
{
  void *all = values;
  return TYPED(chainrule_trainer_view, s->trainer, s->layer_count - 1 - s->scales, CHAINRULE_VIEW_A, all,
               BATCH * OUTPUTS, error);
}

static chainrule_status forget_function(subject *s, chainrule_error *error)
{
  return chainrule_trainer_on_step(s->trainer, NULL, NULL, error);
}

static chainrule_status set_learning_rate(subject *s, chainrule_error *error)
{
  return chainrule_trainer_set_learning_rate(s->trainer, 0.01, error);
}

static chainrule_status observe(subject *s, chainrule_error *error)
{
  return chainrule_trainer_observe(s->trainer, 1, error);
}

static chainrule_method method; /* of the minimizer */

static chainrule_status create_minimizer(subject *s, chainrule_error *error)
{
  chainrule_minimizer_options m = chainrule_minimizer_options_default(method);
  if (method != CHAINRULE_METHOD_LEVENBERG_MARQUARDT) m.loss = s->training.loss;
  m.iterations = 3;
  return chainrule_minimizer_create(s->network, &m, &s->minimizer, error);
}

static chainrule_status run_minimizer(subject *s, chainrule_error *error)
{
  return TYPED(chainrule_minimizer_run, s->minimizer, s->x, s->y, s->weights, ROWS, NULL, error);
}

static const chainrule_schedule plateau = {.struct_size = sizeof plateau,
                                           .kind = CHAINRULE_SCHEDULE_PLATEAU,
                                           .factor = 0.5,
                                           .patience = 1,
                                           .threshold = 1e-4};

static chainrule_status schedules(subject *s, chainrule_error *error)
{
  (void)s;
  chainrule_plateau seen = {0};
  chainrule_status status = chainrule_schedule_check(&plateau, error);
  if (!status) status = chainrule_schedule_observe(&plateau, 1, 0.5, &seen, error);
  const double rate = chainrule_schedule_rate(&plateau, 0.1, 1, &seen);
  return status || chainrule_schedule_default(CHAINRULE_SCHEDULE_STEP).kind != CHAINRULE_SCHEDULE_STEP ||
         rate < 0;
}

static chainrule_status catalogue(subject *s, chainrule_error *error)
{
  (void)s;
  chainrule_activation activation = (chainrule_activation)0;
  chainrule_loss loss = (chainrule_loss)0;
  chainrule_layer_kind layer = (chainrule_layer_kind)0;
  chainrule_optimizer_kind optimizer = (chainrule_optimizer_kind)0;
  chainrule_schedule_kind schedule = (chainrule_schedule_kind)0;
  chainrule_initializer_kind initializer = (chainrule_initializer_kind)0;
  chainrule_method of_minimizer = (chainrule_method)0;
#define BY_NAME(what)                                                                                        \
  (!chainrule_##what##_formula(what) || chainrule_##what##_named(chainrule_##what##_name(what), &what, error))
  return BY_NAME(activation) || BY_NAME(loss) || BY_NAME(layer) || BY_NAME(optimizer) || BY_NAME(schedule) ||
         BY_NAME(initializer) || !chainrule_method_formula(of_minimizer) ||
         chainrule_method_named(chainrule_method_name(of_minimizer), &of_minimizer, error) ||
         !chainrule_parameter_name(CHAINRULE_WEIGHTS) || !chainrule_kernel_set_name(0) ||
         !chainrule_version() || chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM).learning_rate <= 0 ||
         chainrule_trainer_options_default().batch_size == 0 ||
         chainrule_minimizer_options_default(of_minimizer).iterations == 0;
}

static chainrule_status facts(subject *s, chainrule_error *error)
{
  (void)error;
  const chainrule_network *n = s->network;
  return chainrule_network_scalar(n) != s->description.scalar || chainrule_network_inputs(n) != INPUTS ||
         chainrule_network_outputs(n) != OUTPUTS || chainrule_network_layer_count(n) != s->layer_count ||
         chainrule_network_parameter_count(n) > MOST_PARAMETERS || !chainrule_network_kernel_set(n) ||
         chainrule_network_parameter_size(n, s->layer_count - 1 - s->scales, CHAINRULE_BIAS) != OUTPUTS ||
         chainrule_network_name_count(n, CHAINRULE_CLASS_LABELS) != OUTPUTS ||
         !chainrule_network_name(n, CHAINRULE_CLASS_LABELS, 0) || !chainrule_network_metadata(n) ||
         chainrule_network_scratch_size(n, ROWS) > sizeof scratch ||
         chainrule_trainer_steps(s->trainer) == 0 || chainrule_trainer_epochs(s->trainer) == 0 ||
         chainrule_trainer_rows(s->trainer) != 0 || chainrule_trainer_learning_rate(s->trainer) <= 0;
}

static chainrule_status frees(subject *s, chainrule_error *error)
{
  (void)error;
  chainrule_trainer_stop(s->trainer);
  chainrule_network_free(NULL);
  chainrule_trainer_free(NULL);
  return CHAINRULE_OK;
}

/* The operations, in an order in which each succeeds.  The name of a function lacks its precision. */
static const struct {
  const char *function;
  operation *run;
  bool allocates;
} calls[] = {
    {"network_create", create, true},
    {"network_copy", copy, true},
    {"network_initialize", initialize, false},
    {"network_layer", get_layer, false},
    {"network_get_parameter", get, false},
    {"network_set_parameter", set, false},
    {"network_get_parameters", get_parameters, false},
    {"network_set_parameters", set_parameters, false},
    {"network_set_names", set_names, true},
    {"network_set_metadata", set_metadata, true},
    {"network_copy, with names and metadata", copy, true},
    {"network_fold", fold, true},
    {"network_save", save, true},
    {"network_save, over a file", save, true},
    {"network_load", load, true},
    {"network_import_safetensors", import, true},
    {"network_predict", predict_rows, false},
    {"network_loss", loss_of_rows, false},
    {"network_input_jacobian", input_jacobian, true},
    {"network_parameter_jacobian", parameter_jacobian, true},
    {"network_sample_gradients", sample_gradients, true},
    {"network_check_gradient", check_gradient, true},
    {"trainer_create", create_trainer, true},
    {"trainer_epoch", epoch_of_rows, true},
    {"trainer_epoch, the second", epoch_of_rows, false},
    {"trainer_set_batch_size", grow_batches, true},
    {"trainer_set_batch_size, to what it is", grow_batches, false},
    {"trainer_epoch, in larger batches", epoch_of_rows, false},
    {"trainer_begin_epoch", begin_epoch, false},
    {"trainer_step", step_of_batch, false},
    {"trainer_save", save_training, true},
    {"trainer_restore", restore_training, true},
    {"trainer_end_epoch", end_epoch, false},
    {"trainer_flush", flush, false},
    {"trainer_abandon_epoch", abandon_epoch, false},
    {"trainer_gradients", gradients_of_batch, false},
    {"trainer_view", view, false},
    {"trainer_on_step", forget_function, false},
    {"trainer_set_learning_rate", set_learning_rate, false},
    {"trainer_observe", observe, false},
    {"trainer_steps", facts, false},
    {"trainer_epochs", facts, false},
    {"trainer_rows", facts, false},
    {"trainer_learning_rate", facts, false},
    {"network_scalar", facts, false},
    {"network_inputs", facts, false},
    {"network_outputs", facts, false},
    {"network_layer_count", facts, false},
    {"network_parameter_count", facts, false},
    {"network_parameter_size", facts, false},
    {"network_kernel_set", facts, false},
    {"network_name_count", facts, false},
    {"network_name", facts, false},
    {"network_metadata", facts, false},
    {"network_scratch_size", facts, false},
    {"schedule_check", schedules, false},
    {"schedule_observe", schedules, false},
    {"schedule_rate", schedules, false},
    {"schedule_set_defaults", schedules, false},
    {"activation_name", catalogue, false},
    {"activation_formula", catalogue, false},
    {"activation_named", catalogue, false},
    {"loss_name", catalogue, false},
    {"loss_formula", catalogue, false},
    {"loss_named", catalogue, false},
    {"layer_name", catalogue, false},
    {"layer_formula", catalogue, false},
    {"layer_named", catalogue, false},
    {"optimizer_name", catalogue, false},
    {"optimizer_formula", catalogue, false},
    {"optimizer_named", catalogue, false},
    {"schedule_name", catalogue, false},
    {"schedule_formula", catalogue, false},
    {"schedule_named", catalogue, false},
    {"initializer_name", catalogue, false},
    {"initializer_formula", catalogue, false},
    {"initializer_named", catalogue, false},
    {"method_name", catalogue, false},
    {"method_formula", catalogue, false},
    {"method_named", catalogue, false},
    {"parameter_name", catalogue, false},
    {"kernel_set_name", catalogue, false},
    {"version", catalogue, false},
    {"optimizer_set_defaults", catalogue, false},
    {"trainer_options_set_defaults", catalogue, false},
    {"minimizer_options_set_defaults", catalogue, false},
    {"trainer_stop", frees, false},
    {"network_free", frees, false},
    {"trainer_free", frees, false},
};

/* The operations of every_method_fails_cleanly. */
static const char *const of_methods[] = {"minimizer_create", "minimizer_run", "minimizer_stop",
                                         "minimizer_free"};

/* The functions of the public headers, from CMake: each must be called here. */
static void every_function_is_called(void)
{
#define FUNCTION(name) #name,
  static const char *const functions[] = {
#include "functions.h"
  };
#undef FUNCTION
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    const char *name = functions[i] + strlen("chainrule_");
    const size_t length = strlen(name);
    const char *end = name + length - (length > 4 ? 4 : length);
    const size_t stem = strcmp(end, "_f32") == 0 || strcmp(end, "_f64") == 0 ? length - 4 : length;
    bool called = false;
    for (size_t c = 0; c < sizeof calls / sizeof *calls && !called; c++)
      called = strlen(calls[c].function) == stem && strncmp(calls[c].function, name, stem) == 0;
    for (size_t c = 0; c < sizeof of_methods / sizeof *of_methods && !called; c++)
      called = strlen(of_methods[c]) == stem && strncmp(of_methods[c], name, stem) == 0;
    snprintf(context, sizeof context, "%s", functions[i]);
    expect(called, "is among the calls of which every allocation fails");
  }
}

/* What a failing call must not change. */
typedef struct state {
  double values[CHAINRULE_PARAMETER_COUNT * MOST_PARAMETERS];
  char names[OUTPUTS][16], metadata[16];
  uint64_t steps, epochs;
  size_t files;
} state;

static size_t files_in_folder(void)
{
  size_t count = 0;
  DIR *stream = opendir(folder);
  while (stream && readdir(stream)) ++count;
  if (stream) closedir(stream);
  return count;
}

static void take_state(const subject *s, const chainrule_network *network, state *now)
{
  memset(now, 0, sizeof *now);
  now->files = files_in_folder();
  double *next = now->values;
  for (size_t l = 0; network && l < s->layer_count; l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      const chainrule_parameter parameter = (chainrule_parameter)p;
      const size_t count = chainrule_network_parameter_size(network, l, parameter);
      void *here = next;
      if (count) TYPED(chainrule_network_get_parameter, network, l, parameter, here, count, NULL);
      next += count;
    }
  for (size_t i = 0; network && i < chainrule_network_name_count(network, CHAINRULE_CLASS_LABELS); i++)
    snprintf(now->names[i], sizeof now->names[i], "%s",
             chainrule_network_name(network, CHAINRULE_CLASS_LABELS, i));
  const char *metadata = network ? chainrule_network_metadata(network) : NULL;
  snprintf(now->metadata, sizeof now->metadata, "%s", metadata ? metadata : "");
  now->steps = s->trainer ? chainrule_trainer_steps(s->trainer) : 0;
  now->epochs = s->trainer ? chainrule_trainer_epochs(s->trainer) : 0;
}

static size_t refusals;

/* A copy and a loaded network are equal to the network. */
static void is_right(const subject *s, operation *run, const state *wanted)
{
  static state made;
  if (run != copy && run != load) return;
  take_state(s, s->made, &made);
  expect(memcmp(wanted, &made, sizeof made) == 0, "makes the same network");
}

/* A thread frees its argument; create does not wait for that. */
static void let_threads_begin(void)
{
  for (size_t seen = SIZE_MAX; seen != live;) {
    seen = live;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
}

/* Lets the N-th allocation fail, for N = 1, 2, … until the operation succeeds.  Returns the number of
 * failures. */
static size_t fails_cleanly(const char *function, operation *run, subject *s)
{
  static state before, after;
  take_state(s, s->network, &before);
  for (size_t n = 1;; n++) {
    snprintf(context, sizeof context, "chainrule_%s, %s, float%d, without allocation %zu", function, s->name,
             s->description.scalar == CHAINRULE_FLOAT32 ? 32 : 64, n);
    chainrule_error error;
    memset(&error, 0x5a, sizeof error);
    const size_t live_before = live;
    allocations = 0;
    fail_at = n;
    const chainrule_status status = run(s, &error);
    const size_t attempted = allocations;
    fail_at = 0;
    if (attempted < n || n > 10000) {
      expect(status == CHAINRULE_OK, "succeeds where no allocation fails");
      is_right(s, run, &before);
      if (run == create_trainer) let_threads_begin();
      return n - 1;
    }
    ++refusals;
    /* json_unpack notes the keys that it has met, for a strictness that nobody asks for, and does not mind a note
     * that it cannot make; and glibc's qsort does without the memory that it asks for. */
    const bool reads = run == load || run == import || run == restore_training;
    if (status == CHAINRULE_OK && reads && (failed_in_jansson || failed_in_libc)) {
      is_right(s, run, &before);
      if (run == load || run == import) chainrule_network_free(s->made);
    } else {
      expect(status == CHAINRULE_OUT_OF_MEMORY, "returns CHAINRULE_OUT_OF_MEMORY");
      expect(error.status == status, "fills the error's status");
      expect(memchr(error.message, 0, sizeof error.message) &&
                 (strstr(error.message, "memory") || strstr(error.message, "cannot start thread")),
             "says that memory ran out");
    }
    expect(live == live_before, "leaks nothing");
    take_state(s, s->network, &after);
    expect(memcmp(&before, &after, sizeof before) == 0,
           "leaves parameters, names, counts and files as they were");
  }
}

static void every_method_fails_cleanly(subject *s)
{
  for (int i = 0; i < CHAINRULE_METHOD_COUNT; i++) {
    method = (chainrule_method)i;
    char create[64], run[64];
    snprintf(create, sizeof create, "minimizer_create, %s", chainrule_method_name(method));
    snprintf(run, sizeof run, "minimizer_run, %s", chainrule_method_name(method));
    const size_t before = live;
    expect(fails_cleanly(create, create_minimizer, s) > 0, "allocates");
    expect(fails_cleanly(run, run_minimizer, s) > 0, "allocates");
    const size_t before_run = live;
    expect(run_minimizer(s, NULL) == CHAINRULE_OK && live == before_run, "leaks nothing where nothing fails");
    chainrule_minimizer_stop(s->minimizer);
    chainrule_minimizer_free(s->minimizer);
    s->minimizer = NULL;
    expect(live == before, "freed, leaves nothing");
  }
}

static void every_allocation_fails_in_turn(chainrule_scalar scalar, const subject *of)
{
  static data d;
  fill(&d);
  static const double rates[9] = {1, 1, 1, 1, 1, 1, 1, 1, 0.5};
  const bool wide = scalar == CHAINRULE_FLOAT64;
  subject subject = *of, *s = &subject;
  s->description =
      (chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = scalar, .inputs = INPUTS,
                                      .layer_count = s->layer_count, .layers = s->layers};
  s->training = (chainrule_trainer_options){
      .struct_size = sizeof(chainrule_trainer_options),
      .loss = s->scales ? CHAINRULE_LOSS_HALF_SQUARED_ERROR : CHAINRULE_LOSS_CROSS_ENTROPY,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
      .batch_size = BATCH,
      .keep = true,
      .threads = 2,
      .clip_norm = 1,
      .accumulate = 2,
      .rates = rates,
      .schedule = plateau,
  };
  s->x = wide ? (const void *)d.x64 : d.x32;
  s->y = wide ? (const void *)d.y64 : d.y32;
  s->weights = wide ? (const void *)d.weights64 : d.weights32;
  snprintf(file, sizeof file, "%s/model", folder);
  snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint", folder);
  snprintf(tensors, sizeof tensors, "%s/tensors", folder);
  write_tensors();
  /* Starts the first thread of the process, whose memory glibc keeps for later threads. */
  expect(create(s, NULL) == CHAINRULE_OK, "creates a network");
  s->network = s->made;
  fails_cleanly("trainer_create, the first", create_trainer, s);
  chainrule_trainer_free(s->trainer);
  chainrule_network_free(s->network);
  s->trainer = NULL, s->network = s->made = NULL;
  const size_t at_start = live;

  for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
    const size_t failed = fails_cleanly(calls[c].function, calls[c].run, s);
    expect((failed > 0) == calls[c].allocates, calls[c].allocates ? "allocates" : "allocates nothing");
    if (!s->network)
      s->network = s->made;
    else
      chainrule_network_free(s->made);
    s->made = NULL;
  }
  chainrule_trainer_free(s->trainer);
  s->trainer = NULL;
  every_method_fails_cleanly(s);
  chainrule_network_free(s->network);
  unlink(file);
  unlink(checkpoint);
  unlink(tensors);
  snprintf(context, sizeof context, "%s, float%d", s->name, wide ? 64 : 32);
  expect(live == at_start, "freeing everything frees everything");
}

int main(void)
{
  static char output[1 << 16]; /* standard output buffers here, and does not allocate */
  setvbuf(stdout, output, _IOFBF, sizeof output);

  /* The hook itself works: a call that allocates is counted. */
  find_libraries();
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
  for (int i = 0; i < CHAINRULE_ACTIVATION_COUNT; i++)
    expect(activation_runs[i] > 0, "runs every activation");
  for (int i = 0; i < CHAINRULE_LOSS_COUNT; i++) expect(loss_runs[i] > 0, "runs every loss");
  for (int i = 0; i < CHAINRULE_OPTIMIZER_COUNT; i++) expect(optimizer_runs[i] > 0, "runs every optimizer");

  every_function_is_called();
  if (!mkdtemp(folder)) {
    perror("FAILED  mkdtemp");
    return 1;
  }
  for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++)
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
      every_allocation_fails_in_turn((chainrule_scalar)scalar, &subjects[i]);
  rmdir(folder);

  printf("%zu kernel sets, %zu allocations refused, %zu failures\n", sets, refusals, failures);
  return failures > 0;
}

#endif
