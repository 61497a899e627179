/* Trains a network with two inputs, four hidden neurons and one output to compute exclusive or.
 *
 *   cc xor.c -o xor $(pkg-config --cflags --libs chainrule) && ./xor
 */
#include <stdio.h>
#include <stdlib.h>

#include <chainrule.h>

static chainrule_error error;

/* Every call that can fail returns a status. The error's message says what is wrong. */
static void check(chainrule_status status)
{
  if (status != CHAINRULE_OK) {
    fprintf(stderr, "xor: %s\n", error.message);
    exit(1);
  }
}

int main(void)
{
  const float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
  const float y[4][1] = {{0}, {1}, {1}, {0}};

  /* The architecture: a = tanh(W x + b), then a = sigmoid(W a + b). */
  const chainrule_layer layers[] = {
      {.units = 4, .activation = CHAINRULE_ACTIVATION_TANH},
      {.units = 1, .activation = CHAINRULE_ACTIVATION_SIGMOID},
  };
  chainrule_network *network;
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES,
      .scalar = CHAINRULE_FLOAT32,
      .inputs = 2,
      .layer_count = 2,
      .layers = layers,
  };
  check(chainrule_network_create(&description, &network, &error));
  check(chainrule_network_initialize(network, /* seed */ 1, &error));

  /* Training: Adam on batches of all four rows. */
  chainrule_trainer_options training = chainrule_trainer_options_default();
  training.loss = CHAINRULE_LOSS_BINARY_CROSS_ENTROPY;
  training.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM);
  training.optimizer.learning_rate = 0.05;
  training.batch_size = 4;
  chainrule_trainer *trainer;
  check(chainrule_trainer_create(network, &training, &trainer, &error));

  double loss = 1;
  while (loss > 0.01 && chainrule_trainer_epochs(trainer) < 2000)
    check(chainrule_trainer_epoch_f32(trainer, *x, *y, NULL, 4, &loss, &error));
  printf("loss %.4f after %d epochs\n", loss, (int)chainrule_trainer_epochs(trainer));

  /* Prediction uses the caller's memory and never allocates. */
  float a[4][1];
  size_t size = chainrule_network_scratch_size(network, 4);
  void *scratch = malloc(size);
  check(chainrule_network_predict_f32(network, *x, 4, *a, scratch, size, &error));

  int wrong = 0;
  for (int row = 0; row < 4; row++) {
    printf("%g xor %g = %.3f\n", x[row][0], x[row][1], a[row][0]);
    wrong += (a[row][0] > 0.5f) != (y[row][0] > 0.5f);
  }

  free(scratch);
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return wrong ? 1 : 0;
}
