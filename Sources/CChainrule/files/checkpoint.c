/* Saves and restores checkpoints.  docs/file-format.md has the format: a model file with the trainer's
 * numbers as JSON in another text, and with the trainer's arrays as further tensors:
 *
 *   optimizer.m.layers.0.weights   an array of the optimizer's state, by its letter in update_tmpl.h
 *   sum.layers.0.weights           accumulated gradients before their update
 *   epoch.layers.0.weights         the parameters at the beginning of the current epoch
 *   best.layers.0.weights          the best network so far of a training loop
 */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "note.h"
#include "../training/trainer.h"

enum { FORMAT_VERSION = 1 };
/* The limit of steps and epochs: more than any training reaches, and far from overflow. */
#define MOST ((json_int_t)1 << 53)

/* Whether an epoch has begun and not ended. */
static bool in_epoch(const chainrule_trainer *t) { return t->position > 0 || t->in_parts; }

static void print_seed(uint64_t seed, char text[24]) { snprintf(text, 24, "%" PRIu64, seed); }

/* ---- Comparing networks ------------------------------------------------------------------------ */

static bool is_same_layer(const chainrule_layer *a, const chainrule_layer *b)
{
  return a->kind == b->kind && a->units == b->units && a->activation == b->activation &&
         a->no_bias == b->no_bias && a->rate == b->rate && a->momentum == b->momentum &&
         a->epsilon == b->epsilon && a->span == b->span;
}

/* Checks that a network differs from the trainer's only in its parameters.  `whose` is its name in a
 * message. */
static chainrule_status check_same(const char *whose, const chainrule_network *network,
                                   const chainrule_network *trained, chainrule_error *error)
{
  if (network->scalar != trained->scalar)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s is %s; expected %s, as the trainer's network",
                   whose, network->scalar == CHAINRULE_FLOAT32 ? "float32" : "float64",
                   trained->scalar == CHAINRULE_FLOAT32 ? "float32" : "float64");
  if (network->inputs != trained->inputs)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "%s has %zu inputs; expected %zu, as the trainer's network", whose, network->inputs,
                   trained->inputs);
  if (network->layer_count != trained->layer_count)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "%s has %zu layers; expected %zu, as the trainer's network", whose, network->layer_count,
                   trained->layer_count);
  for (size_t l = 0; l < network->layer_count; l++) {
    chainrule_layer own, other;
    chainrule_network_layer(network, l, &own, sizeof(chainrule_layer), NULL);
    chainrule_network_layer(trained, l, &other, sizeof(chainrule_layer), NULL);
    if (is_same_layer(&own, &other)) continue;
    if (own.kind == other.kind && own.units != other.units)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                     "layer %zu: %s has %zu units; expected %zu, as the trainer's network", l + 1, whose,
                     own.units, other.units);
    if (own.kind == other.kind)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                     "layer %zu: %s has a %s with other options; expected those of the trainer's network",
                     l + 1, whose, chainrule_layer_name(own.kind));
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, l + 1,
                   "layer %zu: %s has %s; expected %s, as the trainer's network", l + 1, whose,
                   chainrule_layer_name(own.kind), chainrule_layer_name(other.kind));
  }
  return CHAINRULE_OK;
}

/* ---- Saving ------------------------------------------------------------------------------------ */

static void add_array(cr_state *state, const char *name, const chainrule_network *network, const void *arena)
{
  cr_array *array = &state->arrays[state->count++];
  *array = (cr_array){.network = network, .arena = arena};
  snprintf(array->name, sizeof array->name, "%s", name);
}

static void add_arrays(const chainrule_trainer *t, const chainrule_network *best, cr_state *state)
{
  const char *letters[CR_STATES];
  const size_t states = cr_optimizer_states(&t->training.optimizer, letters);
  for (size_t k = 0; k < states; k++) {
    char name[24];
    snprintf(name, sizeof name, "optimizer.%s", letters[k]);
    add_array(state, name, t->whole, cr_at(t->whole->scalar, t->state, k * t->whole->arena_size));
  }
  if (t->sum_batches > 0) add_array(state, "sum", t->whole, t->sum);
  if (in_epoch(t)) add_array(state, "epoch", t->whole, t->good);
  if (best) add_array(state, "best", best, best->parameters);
}

/* The trainer's numbers; NULL if memory runs out. */
static json_t *training_json(const chainrule_trainer *t, const cr_state *state)
{
  char seed[24];
  print_seed(t->training.seed, seed);
  const chainrule_plateau *p = &t->plateau;
  /* clang-format off */
  json_t *json = json_pack(
      "{s:i, s:[], s:s, s:f, s:I, s:I, s:b, s:{s:f, s:f, s:f, s:f}, s:{s:b, s:f, s:I, s:I, s:I}, s:{s:I, s:f},"
      " s:{s:s, s:b, s:b, s:I, s:I, s:f, s:f}}",
      "formatVersion", FORMAT_VERSION, "arrays", "optimizer", chainrule_optimizer_name(t->training.optimizer.kind),
      "learningRate", t->training.optimizer.learning_rate, "steps", (json_int_t)t->steps, "epochs",
      (json_int_t)t->epochs, "fresh", (int)t->optimizer.fresh,
      "powers", "beta1", t->optimizer.beta1_power, "beta2", t->optimizer.beta2_power, "mu", t->optimizer.mu_product, "decay", t->optimizer.decay_power,
      "plateau", "observed", (int)p->observed, "best", p->best, "stale", (json_int_t)p->stale, "cooling",
      (json_int_t)p->cooling, "reductions", (json_int_t)p->reductions,
      "accumulated", "batches", (json_int_t)t->sum_batches, "weight", t->sum_weight,
      "epoch", "seed", seed, "inOrder", (int)t->training.in_order, "inParts", (int)t->in_parts, "position",
      (json_int_t)t->position, "rows", (json_int_t)(in_epoch(t) ? t->epoch_rows : 0), "loss",
      in_epoch(t) ? t->epoch_loss : 0.0, "weight", in_epoch(t) ? t->epoch_weight : 0.0);
  /* clang-format on */
  json_t *names = json_object_get(json, "arrays");
  for (size_t a = 0; a < state->count; a++)
    if (json_array_append_new(names, json_string(state->arrays[a].name)) != 0) {
      json_decref(json);
      return NULL;
    }
  return json;
}

static chainrule_status make_text(const chainrule_trainer *trainer, const char *note, cr_state *state,
                                  chainrule_error *error)
{
  json_error_t problem = {0}; /* jansson sets no code if memory runs out */
  json_t *json = training_json(trainer, state), *value = NULL;
  chainrule_status status = CHAINRULE_OK;
  if (json && note) {
    value = json_pack_ex(&problem, 0, "s", note);
    if (!value && json_error_code(&problem) == json_error_invalid_utf8)
      status = cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "note: not UTF-8");
    else if (json_object_set_new(json, "note", value) != 0)
      json_decref(json), json = NULL;
  }
  size_t length;
  if (json && !status) state->text = cr_json_text(json, 0, &length);
  json_decref(json);
  if (!status && !state->text) return cr_out_of_memory(error, "the training", 0);
  return status;
}

static chainrule_status save(const chainrule_trainer *trainer, const chainrule_network *best,
                             const char *note, const char *path, chainrule_error *error)
{
  if (!trainer) return cr_null(error, "trainer");
  cr_state state = {0};
  chainrule_status status = best ? check_same("best", best, trainer->whole, error) : CHAINRULE_OK;
  if (status) return status;
  add_arrays(trainer, best, &state);
  status = make_text(trainer, note, &state, error);
  if (!status) status = cr_save(trainer->whole, &state, path, error);
  cr_state_free(&state);
  return status;
}

chainrule_status chainrule_trainer_save(const chainrule_trainer *trainer, const chainrule_network *best,
                                        const char *note, const char *path, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  const int rounding = cr_rounding_enter();
  const chainrule_status status = save(trainer, best, note, path, error);
  cr_rounding_leave(rounding);
  return cr_left(mode, status);
}

/* ---- Restoring --------------------------------------------------------------------------------- */

/* The numbers of a checkpoint, before they are compared with the trainer. */
typedef struct numbers {
  const char *optimizer, *seed, *note;
  int fresh, observed, in_order, in_parts;
  json_int_t steps, epochs, stale, cooling, reductions, batches, position, rows;
  double learning_rate, beta1, beta2, mu, decay, best, sum_weight, loss, weight;
} numbers;

static chainrule_status read_numbers(const cr_state *state, numbers *n, chainrule_error *error)
{
  json_int_t version;
  json_error_t problem;
  json_t *json = state->json;
  if (json_unpack_ex(json, &problem, 0, "{s:I}", "formatVersion", &version) != 0)
    return cr_unexpected(error, 0, "training", &problem);
  if (version != FORMAT_VERSION)
    return cr_invalid(error, 0, "training, formatVersion: %" JSON_INTEGER_FORMAT "; Chainrule %s reads %d",
                      version, chainrule_version(), FORMAT_VERSION);
  *n = (numbers){0};
  /* clang-format off */
  if (json_unpack_ex(
          json, &problem, 0,
          "{s:s, s:F, s:I, s:I, s:b, s:{s:F, s:F, s:F, s:F}, s:{s:b, s:F, s:I, s:I, s:I}, s:{s:I, s:F},"
          " s:{s:s, s:b, s:b, s:I, s:I, s:F, s:F}, s?s}",
          "optimizer", &n->optimizer, "learningRate", &n->learning_rate, "steps", &n->steps, "epochs", &n->epochs,
          "fresh", &n->fresh,
          "powers", "beta1", &n->beta1, "beta2", &n->beta2, "mu", &n->mu, "decay", &n->decay,
          "plateau", "observed", &n->observed, "best", &n->best, "stale", &n->stale, "cooling", &n->cooling,
          "reductions", &n->reductions,
          "accumulated", "batches", &n->batches, "weight", &n->sum_weight,
          "epoch", "seed", &n->seed, "inOrder", &n->in_order, "inParts", &n->in_parts, "position", &n->position,
          "rows", &n->rows, "loss", &n->loss, "weight", &n->weight, "note", &n->note) != 0)
    /* clang-format on */
    return cr_unexpected(error, 0, "training", &problem);
  const struct {
    const char *name;
    bool good;
  } checks[] = {
      {"learningRate", n->learning_rate >= 0},
      {"steps", n->steps >= 0 && n->steps <= MOST},
      {"epochs", n->epochs >= 0 && n->epochs <= MOST},
      {"powers", n->beta1 >= 0 && n->beta1 <= 1 && n->beta2 >= 0 && n->beta2 <= 1 && n->mu >= 0 &&
                     n->mu <= 1 && n->decay >= 0 && n->decay <= 1},
      {"plateau", n->stale >= 0 && n->stale <= MOST && n->cooling >= 0 && n->cooling <= MOST &&
                      n->reductions >= 0 && n->reductions <= MOST},
      {"accumulated", n->batches >= 0 && n->batches <= MOST && n->sum_weight >= 0},
      {"epoch", n->position >= 0 && n->rows >= n->position && n->rows <= MOST && n->weight >= 0 &&
                    !(n->in_parts && n->position > 0)},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_invalid(error, 0, "training, %s: a number is out of its range", checks[i].name);
  return CHAINRULE_OK;
}

static const cr_array *find(const cr_state *state, const char *name)
{
  for (size_t a = 0; a < state->count; a++)
    if (strcmp(state->arrays[a].name, name) == 0) return &state->arrays[a];
  return NULL;
}

/* Checks that the checkpoint has the arrays that its numbers and the optimizer require, and no others. */
static chainrule_status check_arrays(const chainrule_trainer *t, const cr_state *state, const numbers *n,
                                     chainrule_error *error)
{
  const char *letters[CR_STATES], *optimizer = chainrule_optimizer_name(t->training.optimizer.kind);
  const size_t states = cr_optimizer_states(&t->training.optimizer, letters);
  if (strcmp(n->optimizer, optimizer) != 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "the checkpoint's optimizer is %.20s; expected %s, the trainer's", n->optimizer, optimizer);
  size_t known = 0;
  for (size_t k = 0; k < states; k++) {
    char name[24];
    snprintf(name, sizeof name, "optimizer.%s", letters[k]);
    if (!find(state, name))
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                     "the checkpoint has no %s of %s: it was saved with other options of the optimizer",
                     letters[k], optimizer);
    known++;
  }
  const struct {
    const char *name;
    bool needed;
  } others[] = {
      {"sum", n->batches > 0}, {"epoch", n->position > 0 || n->in_parts}, {"best", find(state, "best")}};
  for (size_t i = 0; i < CR_COUNT(others); i++) {
    if (others[i].needed && !find(state, others[i].name))
      return cr_invalid(error, 0, "training, arrays: %s is missing", others[i].name);
    known += others[i].needed;
  }
  if (known < state->count)
    return cr_fail(
        error, CHAINRULE_INVALID_ARGUMENT, 0,
        "the checkpoint has arrays that %s does not have: it was saved with other options of the optimizer",
        optimizer);
  return CHAINRULE_OK;
}

/* Checks that the trainer can continue what the checkpoint has begun: an accumulation of gradients, an
 * epoch. */
static chainrule_status check_settings(const chainrule_trainer *t, const numbers *n, chainrule_error *error)
{
  char seed[24];
  print_seed(t->training.seed, seed);
  if (n->batches > 0 && (!t->sum || (size_t)n->batches >= t->training.accumulate))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "the checkpoint has accumulated %" JSON_INTEGER_FORMAT
                   " batches and needs more for an update; the trainer accumulates %zu",
                   n->batches, t->training.accumulate > 1 ? t->training.accumulate : 1);
  if (n->position == 0) return CHAINRULE_OK;
  if (!n->in_order != !t->training.in_order)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "the checkpoint is in the middle of an epoch with rows %s; the trainer takes rows %s",
                   n->in_order ? "in order" : "in random order", n->in_order ? "in random order" : "in order");
  if (!n->in_order && strcmp(n->seed, seed) != 0)
    return cr_fail(
        error, CHAINRULE_INVALID_ARGUMENT, 0,
        "the checkpoint is in the middle of an epoch with the row order of seed %.20s; the trainer's seed is %s",
        n->seed, seed);
  return CHAINRULE_OK;
}

/* Makes a network with the values of an array. */
static chainrule_status make_network(const chainrule_network *saved, const cr_array *array,
                                     chainrule_network **made, chainrule_error *error)
{
  chainrule_status status = chainrule_network_copy(saved, made, error);
  const char *values = array->values;
  for (size_t l = 0; l < saved->layer_count && !status; l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT && !status; p++) {
      const chainrule_parameter parameter = (chainrule_parameter)p;
      const size_t count = cr_parameter_size(&saved->layers[l], parameter);
      if (count == 0) continue;
      chainrule_error inner;
      status =
          saved->scalar == CHAINRULE_FLOAT32
              ? chainrule_network_set_parameter_f32(*made, l, parameter, (const float *)values, count, &inner)
              : chainrule_network_set_parameter_f64(*made, l, parameter, (const double *)values, count, &inner);
      if (status) status = cr_invalid(error, l + 1, "%s, %s", array->name, inner.message);
      values += count * cr_scalar_size(saved->scalar);
    }
  return status;
}

/* Copies an array without statistics into an arena of the trainer. */
static void take_array(const chainrule_trainer *t, const cr_array *array, void *arena)
{
  size_t done = 0;
  for (size_t l = 0; l < t->whole->layer_count; l++)
    for (int p = 0; p <= CHAINRULE_BETA; p++) {
      const chainrule_parameter parameter = (chainrule_parameter)p;
      cr_write(t->whole, arena, l, parameter, (const char *)array->values + done);
      done += cr_parameter_size(&t->whole->layers[l], parameter) * cr_scalar_size(t->whole->scalar);
    }
}

/* Sets the trainer to the checkpoint's state, after all checks: nothing here can fail. */
static void take(chainrule_trainer *t, const cr_state *state, const numbers *n,
                 const chainrule_network *saved, const chainrule_network *good)
{
  const size_t size = cr_scalar_size(t->whole->scalar), bytes = t->whole->arena_size * size;
  const size_t all = cr_arena_end(t->whole) * size;
  memcpy(t->whole->parameters, saved->parameters, all);
  if (good) memcpy(t->good, good->parameters, all);
  const char *letters[CR_STATES];
  const size_t states = cr_optimizer_states(&t->training.optimizer, letters);
  for (size_t k = 0; k < states; k++) {
    char name[24];
    snprintf(name, sizeof name, "optimizer.%s", letters[k]);
    take_array(t, find(state, name), (char *)t->state + k * bytes);
  }
  if (t->sum) memset(t->sum, 0, bytes);
  if (n->batches > 0) take_array(t, find(state, "sum"), t->sum);
  t->sum_batches = (size_t)n->batches;
  t->sum_weight = n->sum_weight;
  t->optimizer.fresh = n->fresh;
  t->optimizer.beta1_power = n->beta1;
  t->optimizer.beta2_power = n->beta2;
  t->optimizer.mu_product = n->mu;
  t->optimizer.decay_power = n->decay;
  t->plateau = (chainrule_plateau){n->observed, n->best, n->stale, n->cooling, n->reductions};
  t->steps = (uint64_t)n->steps;
  t->epochs = (uint64_t)n->epochs;
  t->in_parts = n->in_parts;
  t->position = (size_t)n->position;
  t->epoch_rows = (size_t)n->rows;
  t->epoch_loss = n->loss;
  t->epoch_weight = n->weight;
  t->restored = true;
  t->rows_in_view = 0;
  t->training.optimizer.learning_rate = n->learning_rate;
  cr_update_rate(t);
}

static chainrule_status check_checkpoint(const cr_state *state, numbers *n, chainrule_error *error)
{
  if (!state->text) return cr_invalid(error, 0, "no __metadata__.training: a model, but not a checkpoint");
  return read_numbers(state, n, error);
}

static chainrule_status copy_note(const numbers *n, char **note, chainrule_error *error)
{
  if (n->note && !(*note = strdup(n->note))) return cr_out_of_memory(error, "the note", strlen(n->note) + 1);
  return CHAINRULE_OK;
}

chainrule_status cr_checkpoint_note(const char *path, char **note, chainrule_error *error)
{
  *note = NULL;
  cr_state state = {0};
  chainrule_network *saved = NULL;
  chainrule_status status = cr_load(path, NULL, &saved, &state, error);
  if (status) return status;
  numbers n;
  status = check_checkpoint(&state, &n, error);
  if (!status) status = copy_note(&n, note, error);
  chainrule_network_free(saved);
  cr_state_free(&state);
  return status;
}

static chainrule_status restore(chainrule_trainer *t, const cr_state *state, const chainrule_network *saved,
                                chainrule_network **best, char **note, chainrule_error *error)
{
  numbers n;
  chainrule_status status = check_checkpoint(state, &n, error);
  if (!status) status = check_same("the checkpoint", saved, t->whole, error);
  if (!status) status = check_arrays(t, state, &n, error);
  if (!status) status = check_settings(t, &n, error);
  chainrule_network *good = NULL, *kept = NULL;
  char *text = NULL;
  const cr_array *epoch = find(state, "epoch"), *array = find(state, "best");
  if (!status && epoch) status = make_network(saved, epoch, &good, error);
  if (!status && best && array) status = make_network(saved, array, &kept, error);
  if (!status && note) status = copy_note(&n, &text, error);
  if (!status) {
    take(t, state, &n, saved, good);
    if (best) *best = kept;
    if (note) *note = text;
  } else {
    chainrule_network_free(kept);
  }
  chainrule_network_free(good);
  return status;
}

static chainrule_status restore_file(chainrule_trainer *trainer, const char *path, chainrule_network **best,
                                     char **note, chainrule_error *error)
{
  if (best) *best = NULL;
  if (note) *note = NULL;
  if (!trainer) return cr_null(error, "trainer");
  cr_state state = {0};
  chainrule_network *saved = NULL;
  chainrule_status status = cr_load(path, trainer->whole->kernels->name, &saved, &state, error);
  if (status) return status;
  status = restore(trainer, &state, saved, best, note, error);
  chainrule_network_free(saved);
  cr_state_free(&state);
  return status;
}

chainrule_status chainrule_trainer_restore(chainrule_trainer *trainer, const char *path,
                                           chainrule_network **best, char **note, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, restore_file(trainer, path, best, note, error));
}
