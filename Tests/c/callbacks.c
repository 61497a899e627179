/* User-supplied functions that fail or return bad values: the call returns an error, and no parameter
 * changes. */
#include <chainrule.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { INPUTS = 3, OUTPUTS = 2, ROWS = 20, BATCH = 8, PARAMETERS = OUTPUTS * (INPUTS + 1) };

static float x[ROWS * INPUTS], y[ROWS * OUTPUTS];

typedef enum trouble { NONE, REFUSES, LEAVES_ALL, LEAVES_A_LOSS, LEAVES_A_GRADIENT } trouble;

typedef struct program {
  trouble trouble;
  size_t calls, at; /* at: the call that fails */
} program;

static int squared_error(void *context_, size_t rows, size_t outputs, const void *a, const void *y_,
                         double *losses, void *gradient)
{
  program *p = context_;
  const trouble trouble = ++p->calls == p->at ? p->trouble : NONE;
  if (trouble == REFUSES) return -7;
  if (trouble == LEAVES_ALL) return 0;
  for (size_t r = 0; r < rows; r++) {
    double sum = 0;
    for (size_t i = r * outputs; i < (r + 1) * outputs; i++) {
      const float d = ((const float *)a)[i] - ((const float *)y_)[i];
      sum += (double)d * d;
      if (trouble != LEAVES_A_GRADIENT || r != 2) ((float *)gradient)[i] = 2 * d;
    }
    if (trouble != LEAVES_A_LOSS || r != 3) losses[r] = sum;
  }
  return 0;
}

static int refuse(void *context_, const chainrule_trainer_step *step)
{
  return step->steps == *(const uint64_t *)context_ ? 3 : 0;
}

typedef struct run {
  chainrule_network *network;
  chainrule_trainer *trainer;
  float parameters[PARAMETERS];
} run;

static run begin(program *p)
{
  run r = {0};
  const chainrule_layer layer = {.units = OUTPUTS};
  const chainrule_trainer_options training = {
      CHAINRULE_TRAINER_OPTIONS_SIZES,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
      .batch_size = BATCH,
      .seed = 2,
      .loss_function = squared_error,
      .loss_context = p};
  chainrule_error error;
  if (chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                CHAINRULE_FLOAT32, INPUTS, 1, &layer, NULL},
                               &r.network, &error) ||
      chainrule_network_initialize(r.network, 1, &error) ||
      chainrule_trainer_create(r.network, &training, &r.trainer, &error))
    printf("%s\n", error.message), exit(1);
  return r;
}

static void end(run *r)
{
  chainrule_network_get_parameters_f32(r->network, r->parameters, PARAMETERS, NULL);
  chainrule_trainer_free(r->trainer);
  chainrule_network_free(r->network);
}

static chainrule_status epoch(run *r, chainrule_error *error)
{
  return chainrule_trainer_epoch_f32(r->trainer, x, y, NULL, ROWS, NULL, error);
}

/* Two epochs, one of which is interrupted and resumed, give the same result as without the interruption. */
static void a_loss_fails(trouble trouble, const char *message)
{
  chainrule_error error = {0};
  program calm = {0}, troubled = {.trouble = trouble, .at = 2};
  run whole = begin(&calm), interrupted = begin(&troubled);
  HOLDS(epoch(&whole, NULL) == CHAINRULE_OK && epoch(&whole, NULL) == CHAINRULE_OK);
  HOLDS(epoch(&interrupted, &error) == CHAINRULE_CALLBACK_FAILED && error.status == CHAINRULE_CALLBACK_FAILED);
  HOLDS(!strcmp(error.message, message));
  HOLDS(chainrule_trainer_steps(interrupted.trainer) == 1 &&
        chainrule_trainer_rows(interrupted.trainer) == BATCH);
  HOLDS(epoch(&interrupted, &error) == CHAINRULE_OK && epoch(&interrupted, &error) == CHAINRULE_OK);
  end(&whole), end(&interrupted);
  HOLDS(!memcmp(whole.parameters, interrupted.parameters, sizeof whole.parameters));

  program first = {.trouble = trouble, .at = 1};
  run single = begin(&first), untrained = begin(&calm);
  HOLDS(chainrule_trainer_step_f32(single.trainer, x, y, NULL, BATCH, NULL, &error) ==
        CHAINRULE_CALLBACK_FAILED);
  HOLDS(!strcmp(error.message, message) && chainrule_trainer_steps(single.trainer) == 0);
  end(&single), end(&untrained);
  HOLDS(!memcmp(single.parameters, untrained.parameters, sizeof single.parameters));
}

static void a_step_function_fails(bool in_parts)
{
  chainrule_error error = {0};
  program calm = {0};
  uint64_t at = 2;
  run whole = begin(&calm), interrupted = begin(&calm);
  HOLDS(chainrule_trainer_on_step(interrupted.trainer, refuse, &at, NULL) == CHAINRULE_OK);
  if (in_parts) {
    HOLDS(chainrule_trainer_begin_epoch(interrupted.trainer, NULL) == CHAINRULE_OK);
    HOLDS(chainrule_trainer_step_f32(interrupted.trainer, x, y, NULL, BATCH, NULL, &error) == CHAINRULE_OK);
    HOLDS(chainrule_trainer_step_f32(interrupted.trainer, x, y, NULL, BATCH, NULL, &error) ==
          CHAINRULE_CALLBACK_FAILED);
    HOLDS(chainrule_trainer_rows(interrupted.trainer) == 2 * BATCH);
  } else {
    HOLDS(epoch(&whole, NULL) == CHAINRULE_OK);
    HOLDS(epoch(&interrupted, &error) == CHAINRULE_CALLBACK_FAILED);
    HOLDS(chainrule_trainer_rows(interrupted.trainer) == 2 * BATCH &&
          chainrule_trainer_epochs(interrupted.trainer) == 0);
    HOLDS(epoch(&interrupted, &error) == CHAINRULE_OK && chainrule_trainer_epochs(interrupted.trainer) == 1);
  }
  HOLDS(!strcmp(error.message, "the step function failed after step 2: it returned 3"));
  end(&whole), end(&interrupted);
  HOLDS(in_parts || !memcmp(whole.parameters, interrupted.parameters, sizeof whole.parameters));
}

int main(void)
{
  for (size_t i = 0; i < ROWS * INPUTS; i++) x[i] = (float)uniform();
  for (size_t i = 0; i < ROWS * OUTPUTS; i++) y[i] = (float)uniform();
  a_loss_fails(REFUSES, "the loss function failed: it returned -7");
  a_loss_fails(LEAVES_ALL, "the loss function left the loss of row 1 as it was");
  a_loss_fails(LEAVES_A_LOSS, "the loss function left the loss of row 4 as it was");
  a_loss_fails(LEAVES_A_GRADIENT, "the loss function left the gradient of row 3 as it was");
  a_step_function_fails(false);
  a_step_function_fails(true);
  return summary();
}
