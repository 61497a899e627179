/* FANN: incremental training for batches of one row; otherwise each batch is one epoch of FANN's batch training.  FANN has no
 * relu, softmax, cross-entropy or Adam. Linear pieces, an identity output, the squared error and gradient descent replace them,
 * so its time is a lower bound for the same work.
 *
 *     fann WORKLOAD [THREADS] [SECONDS]
 */
#include <stdlib.h>
#include <string.h>

#if defined FANN_DOUBLE
#include <doublefann.h>
#else
#include <floatfann.h>
#endif

#include "../c/measure.h"

static workload w;
static workload_data data;
static struct fann *network;
static struct fann_train_data **batches;
static size_t batch_count;

static double loss(void) { return fann_get_MSE(network); }

static void epoch(void)
{
  for (size_t b = 0; b < batch_count; b++) fann_train_epoch(network, batches[b]);
}

static void predict(void)
{
  for (size_t r = 0; r < w.rows; r++) fann_run(network, (fann_type *)data.x + r * workload_inputs(&w));
}

static enum fann_activationfunc_enum activation(const char *name)
{
  if (strcmp(name, "relu") == 0) return FANN_LINEAR_PIECE;
  if (strcmp(name, "tanh") == 0) return FANN_SIGMOID_SYMMETRIC;
  if (strcmp(name, "sigmoid") == 0) return FANN_SIGMOID;
  return FANN_LINEAR;
}

static void create(void)
{
  unsigned widths[WORKLOAD_LAYERS + 1];
  for (size_t l = 0; l <= w.layer_count; l++) widths[l] = (unsigned)w.widths[l];
  network = fann_create_standard_array((unsigned)w.layer_count + 1, widths);
  if (!network) fail("fann: out of memory");
  fann_set_activation_function_hidden(network, activation(w.hidden));
  fann_set_activation_function_output(network, activation(w.output));
  fann_set_train_error_function(network, FANN_ERRORFUNC_LINEAR);
  fann_set_training_algorithm(network, w.batch == 1 ? FANN_TRAIN_INCREMENTAL : FANN_TRAIN_BATCH);
  fann_set_learning_rate(network, (float)w.learning_rate);
  fann_set_learning_momentum(network, (float)w.momentum);
  fann_randomize_weights(network, (fann_type)-0.05, (fann_type)0.05);
}

static void prepare_batches(void)
{
  size_t inputs = workload_inputs(&w), outputs = workload_outputs(&w),
         batch = w.batch == 1 ? w.samples : w.batch;
  batch_count = (w.samples + batch - 1) / batch;
  batches = calloc(batch_count, sizeof *batches);
  for (size_t r = 0; r < w.samples; r++) {
    size_t b = r / batch, row = r % batch, left = w.samples - r;
    if (row == 0)
      batches[b] =
          fann_create_train((unsigned)(left < batch ? left : batch), (unsigned)inputs, (unsigned)outputs);
    memcpy(batches[b]->input[row], (fann_type *)data.x + r * inputs, inputs * sizeof(fann_type));
    memcpy(batches[b]->output[row], (fann_type *)data.y + r * outputs, outputs * sizeof(fann_type));
  }
}

int main(int argc, char **argv)
{
  if (argc < 2) fail("usage: fann WORKLOAD [THREADS] [SECONDS]");
  if (argc > 2 && strcmp(argv[2], "1") != 0) fail("fann has one thread");
  w = workload_read(WORKLOADS, argv[1]);
#if defined FANN_DOUBLE
  w.float64 = true;
#else
  if (w.float64) fail("fann: %s is for fann-double", w.name);
#endif
  data = workload_make_data(&w);
  create();
  if (w.trains) prepare_batches();
  measurement m = {.peer = "fann",
                   .threads = 1,
                   .seconds = argc > 3 ? atof(argv[3]) : 2,
                   .data_bytes = data.bytes,
                   .loss = w.trains ? loss : NULL};
  measure(&w, &m, w.trains ? epoch : predict);
}
