/* Failing, the version, and the names in the catalogue. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *chainrule_version(void)
{
  return TEXT(CHAINRULE_VERSION_MAJOR) "." TEXT(CHAINRULE_VERSION_MINOR) "." TEXT(CHAINRULE_VERSION_PATCH);
}

chainrule_status cr_fail(chainrule_error *error, chainrule_status status, size_t layer, const char *format,
                         ...)
{
  if (!error) return status;
  va_list arguments;
  va_start(arguments, format);
  *error = (chainrule_error){.status = status, .layer = layer};
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

chainrule_status cr_null(chainrule_error *error, const char *argument)
{
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s is NULL", argument);
}

chainrule_status cr_out_of_memory(chainrule_error *error, const char *what, size_t bytes)
{
  return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "no memory for %s: %zu bytes", what, bytes);
}

typedef struct cr_entry {
  const char *name, *formula;
} cr_entry;

static const char *name_at(const cr_entry *list, size_t count, size_t index)
{
  return index < count ? list[index].name : NULL;
}

static const char *formula_at(const cr_entry *list, size_t count, size_t index)
{
  return index < count ? list[index].formula : NULL;
}

/* The index of `name`, or `count` and an error that lists all names. */
static size_t find(const char *what, const cr_entry *list, size_t count, const char *name,
                   chainrule_error *error)
{
  if (!name) return cr_null(error, "name"), count;
  for (size_t i = 0; i < count; i++)
    if (!strcmp(list[i].name, name)) return i;
  cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "no %s is named \"%.40s\"; there are:", what, name);
  for (size_t i = 0; error && i < count; i++) {
    size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, "%s %s", i ? "," : "", list[i].name);
  }
  return count;
}

/* The four public functions of a list: `kind` is its enum, `what` its word in a message. */
#define ACTIVATION(ID, name, from, range, initializer, formula) {#name, formula},
#define LOSS(ID, name, output, target, formula) {#name, formula},
#define SIMPLE(ID, name, formula) {#name, formula},
static const cr_entry activations[] = {CHAINRULE_ACTIVATIONS(ACTIVATION)};
static const cr_entry losses[] = {CHAINRULE_LOSSES(LOSS)};
static const cr_entry layers[] = {CHAINRULE_LAYERS(SIMPLE)};
static const cr_entry optimizers[] = {CHAINRULE_OPTIMIZERS(SIMPLE)};
static const cr_entry schedules[] = {CHAINRULE_SCHEDULES(SIMPLE)};
static const cr_entry initializers[] = {CHAINRULE_INITIALIZERS(SIMPLE)};
static const cr_entry methods[] = {CHAINRULE_METHODS(SIMPLE)};

#define LIST(list, type, what)                                                                               \
  const char *chainrule_##what##_name(type value) { return name_at(list, CR_COUNT(list), (size_t)value); }   \
  const char *chainrule_##what##_formula(type value)                                                         \
  {                                                                                                          \
    return formula_at(list, CR_COUNT(list), (size_t)value);                                                  \
  }                                                                                                          \
  chainrule_status chainrule_##what##_named(const char *name, type *value, chainrule_error *error)           \
  {                                                                                                          \
    if (!value) return cr_null(error, "value");                                                              \
    size_t index = find(#what, list, CR_COUNT(list), name, error);                                           \
    if (index == CR_COUNT(list)) return CHAINRULE_INVALID_ARGUMENT;                                          \
    *value = (type)index;                                                                                    \
    return CHAINRULE_OK;                                                                                     \
  }
LIST(activations, chainrule_activation, activation)
LIST(losses, chainrule_loss, loss)
LIST(layers, chainrule_layer_kind, layer)
LIST(optimizers, chainrule_optimizer_kind, optimizer)
LIST(schedules, chainrule_schedule_kind, schedule)
LIST(initializers, chainrule_initializer_kind, initializer)
LIST(methods, chainrule_method, method)
