/* Times Chainrule through its C interface.
 *
 *     bench WORKLOAD [--threads N] [--seconds S] [--isa SET] [--flush-denormals]
 *           [--layers 784,128,10] [--batch N] [--samples N] [--file workloads.json]
 *
 * WORKLOAD is a name in workloads.json; --layers, --batch and --samples change it.  Prints one line of JSON. */
#define _POSIX_C_SOURCE 200809L

#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

#include "measure.h"
#include "team.h"

static chainrule_error error;

static void check(chainrule_status status)
{
  if (status != CHAINRULE_OK) fail("bench: %s", error.message);
}

/* ---- The workload ----------------------------------------------------------------------------- */

static workload w;
static workload_data data;
static chainrule_network *network;
static chainrule_trainer *trainer;
static double last_loss;
static void *outputs, *scratch;
static size_t scratch_size;
static size_t threads = 1;

static double loss(void) { return last_loss; }

static double peak(void) { return team_peak(chainrule_network_kernel_set(network), w.float64, threads); }

static void epoch(void)
{
  check(w.float64 ? chainrule_trainer_epoch_f64(trainer, data.x, data.y, NULL, w.samples, &last_loss, &error)
                  : chainrule_trainer_epoch_f32(trainer, data.x, data.y, NULL, w.samples, &last_loss, &error));
}

static void predict(void)
{
  check(chainrule_network_predict_f32(network, data.x, w.rows, outputs, scratch, scratch_size, &error));
}

static void create_network(const char *isa)
{
  chainrule_layer layers[WORKLOAD_LAYERS];
  memset(layers, 0, sizeof layers);
  for (size_t l = 0; l < w.layer_count; l++) {
    layers[l].units = w.widths[l + 1];
    check(chainrule_activation_named(l + 1 < w.layer_count ? w.hidden : w.output, &layers[l].activation,
                                     &error));
  }
  check(chainrule_network_create(
      &(chainrule_network_description){
          CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = w.float64 ? CHAINRULE_FLOAT64 : CHAINRULE_FLOAT32,
          .inputs = workload_inputs(&w), .layer_count = w.layer_count, .layers = layers, .kernel_set = isa},
      &network, &error));
  check(chainrule_network_initialize(network, /* seed */ 1, &error));
}

static void create_trainer(bool flush_denormals)
{
  chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .batch_size = w.batch,
                                        .in_order = true, .threads = threads,
                                        .flush_denormals = flush_denormals};
  check(chainrule_loss_named(w.loss, &training.loss, &error));
  chainrule_optimizer_kind kind;
  check(chainrule_optimizer_named(w.optimizer, &kind, &error));
  training.optimizer = chainrule_optimizer_default(kind);
  training.optimizer.learning_rate = w.learning_rate;
  training.optimizer.momentum = w.momentum;
  check(chainrule_trainer_create(network, &training, &trainer, &error));
}

/* ---- The command line ------------------------------------------------------------------------- */

static size_t count(const char *text)
{
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (end == text || *end || value == 0)
    fail("bench: '%s' is not a count; expected a whole number, at least 1", text);
  return value;
}

int main(int argc, char **argv)
{
  const char *file = WORKLOADS, *isa = NULL, *layers = NULL;
  size_t batch = 0, samples = 0;
  double seconds = 2;
  int flush_denormals = 0;
  const struct option options[] = {
      {"threads", required_argument, NULL, 't'},
      {"seconds", required_argument, NULL, 's'},
      {"isa", required_argument, NULL, 'i'},
      {"layers", required_argument, NULL, 'l'},
      {"batch", required_argument, NULL, 'b'},
      {"samples", required_argument, NULL, 'n'},
      {"file", required_argument, NULL, 'f'},
      {"flush-denormals", no_argument, &flush_denormals, 1},
      {0},
  };
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (option) {
    case 't': threads = count(optarg); break;
    case 's': seconds = atof(optarg); break;
    case 'i': isa = optarg; break;
    case 'l': layers = optarg; break;
    case 'b': batch = count(optarg); break;
    case 'n': samples = count(optarg); break;
    case 'f': file = optarg; break;
    case 0: break;
    default: return 64;
    }
  if (optind + 1 != argc || threads > TEAM_SIZE) fail("usage: bench WORKLOAD [--threads N] [--seconds S] …");

  w = workload_read(file, argv[optind]);
  if (layers) workload_set_layers(&w, layers);
  if (batch) w.batch = w.rows = batch;
  if (samples) w.samples = samples;
  data = workload_make_data(&w);
  create_network(isa);
  if (w.trains) {
    create_trainer(flush_denormals);
  } else {
    threads = 1;
    outputs = malloc(w.rows * workload_outputs(&w) * sizeof(float));
    scratch_size = chainrule_network_scratch_size(network, w.rows);
    scratch = malloc(scratch_size);
    if (!outputs || !scratch) fail("bench: out of memory");
  }

  measurement m = {.peer = "chainrule",
                   .isa = chainrule_network_kernel_set(network),
                   .threads = threads,
                   .seconds = seconds,
                   .peak = peak,
                   .data_bytes = data.bytes,
                   .loss = w.trains ? loss : NULL};
  measure(&w, &m, w.trains ? epoch : predict);

  free(scratch), free(outputs), free(data.x), free(data.y);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
}
