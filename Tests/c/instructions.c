/* Runs one of a few cases a number of times, whose instructions instructions.sh counts:
 *
 *     instructions CASE        steps of W1a, W1b, W2 or W3, in an epoch; or `gemm`: predictions of 64 rows by 784-512
 *     instructions --compiler  prints the compiler, as instructions.txt names it
 *
 * It uses the kernel set avx2, which valgrind can run, and exits with 77 if the CPU does not have it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chainrule.h>

#define TEXT(token) TEXT_EXPANDED(token)
#define TEXT_EXPANDED(token) #token
#if defined __clang__
#define COMPILER "clang-" TEXT(__clang_major__)
#elif defined __GNUC__
#define COMPILER "gcc-" TEXT(__GNUC__)
#else
#define COMPILER "unknown"
#endif

enum { X = 64 * 784, Y = 64 * 512, SCRATCH = 1 << 22 };

#define TWO_TWO_ONE                                                                                          \
  {                                                                                                          \
    {.units = 2, .activation = CHAINRULE_ACTIVATION_SIGMOID},                                                \
    {                                                                                                        \
      .units = 1, .activation = CHAINRULE_ACTIVATION_SIGMOID                                                 \
    }                                                                                                        \
  }

static const struct work {
  const char *name;
  size_t inputs, layer_count, batch, times;
  chainrule_layer layers[3];
  chainrule_loss loss;
  chainrule_optimizer_kind optimizer;
} works[] = {
    {"W1a", 2, 2, 1, 1000, TWO_TWO_ONE, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, CHAINRULE_OPTIMIZER_SGD},
    {"W1b", 2, 2, 32, 500, TWO_TWO_ONE, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, CHAINRULE_OPTIMIZER_SGD},
    {"W2",
     4,
     3,
     16,
     200,
     {{.units = 16, .activation = CHAINRULE_ACTIVATION_TANH},
      {.units = 16, .activation = CHAINRULE_ACTIVATION_TANH},
      {.units = 3, .activation = CHAINRULE_ACTIVATION_SOFTMAX}},
     CHAINRULE_LOSS_CROSS_ENTROPY,
     CHAINRULE_OPTIMIZER_ADAM},
    {"W3",
     64,
     3,
     32,
     20,
     {{.units = 128, .activation = CHAINRULE_ACTIVATION_RELU},
      {.units = 64, .activation = CHAINRULE_ACTIVATION_RELU},
      {.units = 10, .activation = CHAINRULE_ACTIVATION_SOFTMAX}},
     CHAINRULE_LOSS_CROSS_ENTROPY,
     CHAINRULE_OPTIMIZER_ADAM},
    {"gemm", 784, 1, 64, 5, {{.units = 512}}, CHAINRULE_LOSS_MEAN_SQUARED_ERROR, CHAINRULE_OPTIMIZER_SGD},
};

static float x[X], y[Y];
static unsigned char scratch[SCRATCH];

static void check(chainrule_status status, const chainrule_error *error)
{
  if (status == CHAINRULE_OK) return;
  printf("%s\n", error->message);
  exit(1);
}

/* Callgrind counts the instructions of this function only. */
#if defined __GNUC__
__attribute__((noinline))
#endif
void counted(const struct work *w, const chainrule_network *network, chainrule_trainer *trainer)
{
  chainrule_error error;
  if (trainer) {
    check(chainrule_trainer_epoch_f32(trainer, x, y, NULL, w->times * w->batch, NULL, &error), &error);
    return;
  }
  for (size_t i = 0; i < w->times; i++)
    check(chainrule_network_predict_f32(network, x, w->batch, y, scratch, SCRATCH, &error), &error);
}

int main(int argc, char **argv)
{
  if (argc != 2) return 64;
  if (strcmp(argv[1], "--compiler") == 0) return puts(COMPILER) < 0;
  const struct work *w = works;
  for (; strcmp(w->name, argv[1]) != 0; w++)
    if (w + 1 == works + sizeof works / sizeof *works) return 64;

  chainrule_error error;
  chainrule_network *network;
  chainrule_trainer *trainer = NULL;
  chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = w->inputs,
                                               .layer_count = w->layer_count, .layers = w->layers,
                                               .kernel_set = "avx2"};
  if (chainrule_network_create(&description, &network, &error)) {
    printf("skipped: %s\n", error.message);
    return 77;
  }
  check(chainrule_network_initialize(network, 1, &error), &error);

  for (size_t i = 0; i < X; i++) x[i] = (float)(i * 37 % 101) / 101;
  size_t outputs = chainrule_network_outputs(network);
  for (size_t r = 0; r < Y / outputs; r++) y[r * outputs + r % outputs] = 1;
  if (strcmp(w->name, "gemm") != 0) {
    chainrule_trainer_options training = {
        CHAINRULE_TRAINER_OPTIONS_SIZES,
        .loss = w->loss,
        .optimizer = chainrule_optimizer_default(w->optimizer),
        .batch_size = w->batch,
        .in_order = true,
    };
    check(chainrule_trainer_create(network, &training, &trainer, &error), &error);
  }
  counted(w, network, trainer);
  printf("%zu\n", w->times);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return 0;
}
