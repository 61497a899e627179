/* Structs that begin with their size: a program compiled with an older header, whose structs are shorter,
 * gets the defaults of the missing fields.  A size of 0, or above the library's, is refused with the name of
 * the field. */
#include <chainrule.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

enum { ROWS = 24, INPUTS = 3, LAYERS = 3 };
static double x[ROWS * INPUTS], y[ROWS];

static const chainrule_layer layers[LAYERS] = {{.units = 5, .activation = CHAINRULE_ACTIVATION_TANH},
                                               {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.25},
                                               {.units = 1}};

static chainrule_network_description described(void)
{
  return (chainrule_network_description){
      CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT64, INPUTS, LAYERS, layers, NULL};
}

/* No field has its default. */
static chainrule_trainer_options chosen(void)
{
  chainrule_trainer_options options = chainrule_trainer_options_default();
  options.loss = CHAINRULE_LOSS_HUBER;
  options.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_RMSPROP);
  options.optimizer.learning_rate = 0.03;
  options.optimizer.momentum = 0.5;
  options.optimizer.alpha = 0.9;
  options.batch_size = 7;
  options.seed = 3;
  options.clip_norm = 0.8;
  options.schedule = chainrule_schedule_default(CHAINRULE_SCHEDULE_EXPONENTIAL);
  options.schedule.unit = CHAINRULE_PER_STEP;
  options.schedule.factor = 0.97;
  return options;
}

/* Two epochs' loss, which depends on every number of the options. */
static double trained(const void *description, const void *options)
{
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  double loss = -1;
  ACCEPTED(chainrule_network_create(description, &network, e));
  if (network) ACCEPTED(chainrule_network_initialize(network, 1, e));
  if (network) ACCEPTED(chainrule_trainer_create(network, options, &trainer, e));
  for (int epoch = 0; trainer && epoch < 2; epoch++)
    ACCEPTED(chainrule_trainer_epoch_f64(trainer, x, y, NULL, ROWS, &loss, e));
  chainrule_trainer_free(trainer);
  chainrule_network_free(network);
  return loss;
}

/* ---- An older header ---------------------------------------------------------------------------- */

/* A struct that contains others, with the layout of an older header: its parts one after the other. */
typedef struct older {
  _Alignas(max_align_t) char bytes[1024];
  size_t size;
} older;

static void append(older *o, const void *bytes, size_t count)
{
  memcpy(o->bytes + o->size, bytes, count);
  o->size += count;
}

static void append_sized(older *o, const void *bytes, size_t count)
{
  memcpy(o->bytes + o->size, &count, sizeof count);
  memcpy(o->bytes + o->size + sizeof count, (const char *)bytes + sizeof count, count - sizeof count);
  o->size += count;
}

static void set_size(older *o) { memcpy(o->bytes, &o->size, sizeof o->size); }

static void older_structs_have_the_defaults_of_what_they_lack(void)
{
  const chainrule_network_description description = described();
  const chainrule_trainer_options options = chosen();
  const double expected = trained(&description, &options);
  HOLDS(expected > 0);

  const struct {
    const char *what;
    size_t optimizer, schedule; /* bytes of each */
  } cases[] = {
      {"all fields", sizeof(chainrule_optimizer), sizeof(chainrule_schedule)},
      {"an optimizer without rprop's numbers", offsetof(chainrule_optimizer, eta_minus),
       sizeof(chainrule_schedule)},
      {"a schedule without a plateau", sizeof(chainrule_optimizer), offsetof(chainrule_schedule, patience)},
      {"neither", offsetof(chainrule_optimizer, eta_minus), offsetof(chainrule_schedule, patience)},
  };
  const size_t behind = offsetof(chainrule_trainer_options, optimizer) + sizeof options.optimizer;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snprintf(context, sizeof context, "options with %s", cases[i].what);
    older o = {.size = 0};
    append(&o, &options, offsetof(chainrule_trainer_options, optimizer));
    append_sized(&o, &options.optimizer, cases[i].optimizer);
    append(&o, (const char *)&options + behind, offsetof(chainrule_trainer_options, schedule) - behind);
    append_sized(&o, &options.schedule, cases[i].schedule);
    set_size(&o);
    HOLDS(trained(&description, o.bytes) == expected);
  }

  snprintf(context, sizeof context, "options that end before the schedule");
  chainrule_trainer_options constant = options;
  constant.schedule = chainrule_schedule_default(CHAINRULE_SCHEDULE_CONSTANT);
  older o = {.size = 0};
  append(&o, &options, offsetof(chainrule_trainer_options, schedule));
  set_size(&o);
  HOLDS(trained(&description, o.bytes) == trained(&description, &constant));
  HOLDS(trained(&description, &constant) != expected);

  snprintf(context, sizeof context, "options that end within the schedule");
  chainrule_trainer *trainer = NULL;
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&description, &network, e));
  append(&o, &options.schedule, offsetof(chainrule_schedule, rise));
  set_size(&o);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "training.struct_size is ",
          chainrule_trainer_create(network, (const chainrule_trainer_options *)o.bytes, &trainer, e));
  HOLDS(strstr(e->message, "the schedule's"));
  chainrule_network_free(network);

  snprintf(context, sizeof context, "a description without the kernel set, of layers without functions");
  older shorter = {.size = 0}, narrow = {.size = 0};
  for (size_t l = 0; l < LAYERS; l++) append(&narrow, &layers[l], offsetof(chainrule_layer, function));
  chainrule_network_description old = description;
  old.layer_size = offsetof(chainrule_layer, function);
  old.layers = (const chainrule_layer *)narrow.bytes;
  append(&shorter, &old, offsetof(chainrule_network_description, kernel_set));
  set_size(&shorter);
  HOLDS(trained(shorter.bytes, &options) == expected);

  snprintf(context, sizeof context, "a schedule alone");
  older schedule = {.size = 0};
  append_sized(&schedule, &options.schedule, offsetof(chainrule_schedule, rise));
  const chainrule_schedule *s = (const chainrule_schedule *)schedule.bytes;
  ACCEPTED(chainrule_schedule_check(s, e));
  HOLDS(chainrule_schedule_rate(s, 0.5, 9, NULL) == chainrule_schedule_rate(&options.schedule, 0.5, 9, NULL));
}

/* Only the bytes of an older header's struct are written, and none after them. */
static void defaults_keep_to_the_room_there_is(void)
{
  const struct {
    const char *what;
    size_t size;
  } structs[] = {{"optimizer", sizeof(chainrule_optimizer)},
                 {"schedule", sizeof(chainrule_schedule)},
                 {"trainer options", sizeof(chainrule_trainer_options)},
                 {"minimizer options", sizeof(chainrule_minimizer_options)}};
  for (size_t i = 0; i < sizeof structs / sizeof *structs; i++)
    for (int change = -8; change <= 8; change += 8) {
      const size_t size = structs[i].size + (size_t)change;
      snprintf(context, sizeof context, "defaults of the %s in %zu bytes", structs[i].what, size);
      older o;
      memset(o.bytes, 0x5a, sizeof o.bytes);
      switch (i) {
      case 0:
        chainrule_optimizer_set_defaults((chainrule_optimizer *)o.bytes, size, CHAINRULE_OPTIMIZER_LION);
        break;
      case 1:
        chainrule_schedule_set_defaults((chainrule_schedule *)o.bytes, size, CHAINRULE_SCHEDULE_COSINE);
        break;
      case 2: chainrule_trainer_options_set_defaults((chainrule_trainer_options *)o.bytes, size); break;
      default:
        chainrule_minimizer_options_set_defaults((chainrule_minimizer_options *)o.bytes, size,
                                                 CHAINRULE_METHOD_BFGS);
      }
      size_t written;
      memcpy(&written, o.bytes, sizeof written);
      HOLDS(written == size);
      HOLDS(o.bytes[size - 1] != 0x5a);
      HOLDS(o.bytes[size] == 0x5a);
    }
}

/* ---- Invalid sizes --------------------------------------------------------------------------------- */

static void other_sizes_are_refused_by_name(void)
{
  chainrule_network *network = NULL;
  chainrule_trainer *trainer = NULL;
  chainrule_minimizer *minimizer = NULL;
  chainrule_network_description description = described();
  ACCEPTED(chainrule_network_create(&description, &network, e));
  const struct {
    size_t extra; /* beyond the library's size; SIZE_MAX: the size is 0 */
    const char *found;
  } sizes[] = {{SIZE_MAX, " is 0; expected at least"},
               {8, ": the header is newer than the library, version "},
               {SIZE_MAX / 2, ": the header is newer than the library, version "}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
#define WRONG(type) (sizes[i].extra == SIZE_MAX ? 0 : sizeof(type) + sizes[i].extra)
#define CASE(beginning, call)                                                                                \
  do {                                                                                                       \
    snprintf(context, sizeof context, "%s, case %zu", beginning, i);                                         \
    REFUSED(CHAINRULE_INVALID_ARGUMENT, beginning, call);                                                    \
    HOLDS(strstr(e->message, sizes[i].found) != NULL);                                                       \
  } while (0)
    chainrule_network *made = NULL;
    description = described();
    description.struct_size = WRONG(chainrule_network_description);
    CASE("description.struct_size is ", chainrule_network_create(&description, &made, e));
    description = described();
    description.layer_size = WRONG(chainrule_layer);
    CASE("description.layer_size is ", chainrule_network_create(&description, &made, e));
    HOLDS(!made);
    chainrule_layer layer;
    CASE("layer_size is ", chainrule_network_layer(network, 0, &layer, WRONG(chainrule_layer), e));

    chainrule_trainer_options options = chosen();
    options.struct_size = WRONG(chainrule_trainer_options);
    CASE("training.struct_size is ", chainrule_trainer_create(network, &options, &trainer, e));
    options = chosen();
    options.optimizer.struct_size = WRONG(chainrule_optimizer);
    CASE("optimizer.struct_size is ", chainrule_trainer_create(network, &options, &trainer, e));
    options = chosen();
    options.schedule.struct_size = WRONG(chainrule_schedule);
    CASE("schedule.struct_size is ", chainrule_trainer_create(network, &options, &trainer, e));
    HOLDS(!trainer);
    CASE("schedule.struct_size is ", chainrule_schedule_check(&options.schedule, e));

    chainrule_minimizer_options settings = chainrule_minimizer_options_default(CHAINRULE_METHOD_LBFGS);
    settings.struct_size = WRONG(chainrule_minimizer_options);
    CASE("minimization.struct_size is ", chainrule_minimizer_create(network, &settings, &minimizer, e));
    HOLDS(!minimizer);
  }
  chainrule_network_free(network);
}

int main(void)
{
  for (size_t i = 0; i < ROWS * INPUTS; i++) x[i] = uniform();
  for (size_t r = 0; r < ROWS; r++) y[r] = x[r * INPUTS] * x[r * INPUTS + 1] + 0.3 * uniform();
  older_structs_have_the_defaults_of_what_they_lack();
  defaults_keep_to_the_room_there_is();
  other_sizes_are_refused_by_name();
  return summary();
}
