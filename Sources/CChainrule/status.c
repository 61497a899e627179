/* Errors, the version, the names in the catalogue, versioned structs, and memory. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *chainrule_version(void)
{
  return TEXT(CHAINRULE_VERSION_MAJOR) "." TEXT(CHAINRULE_VERSION_MINOR) "." TEXT(CHAINRULE_VERSION_PATCH);
}

/* The Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t cr_utf8_length(const char *text, size_t left)
{
  const unsigned char *byte = (const unsigned char *)text, first = byte[0];
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length < 2 || length > left) return length > left ? 0 : length;
  const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte[1] < low || byte[1] > high) return 0;
  for (size_t i = 2; i < length; i++)
    if ((byte[i] & 0xc0) != 0x80) return 0;
  return length;
}

/* C0, DEL and C1 control characters, which a terminal would interpret. */
static bool is_control(const char *character)
{
  const unsigned char first = (unsigned char)character[0], second = (unsigned char)character[1];
  return first < ' ' || first == 0x7f || (first == 0xc2 && second < 0xa0);
}

/* Removes a character that %.40s or the end of the message has truncated.  Replaces control characters and
 * other bytes that are not UTF-8 by question marks.  The text never grows. */
static void make_showable(char *text)
{
  char *to = text;
  for (const char *from = text, *end = text + strlen(text); from < end;) {
    size_t length = cr_utf8_length(from, (size_t)(end - from));
    const bool lead = (unsigned char)*from >= 0xc2 && (unsigned char)*from < 0xf5;
    if (length > 0 && !is_control(from)) {
      memmove(to, from, length);
      to += length;
    } else if (length > 0 || !lead) {
      *to++ = '?';
    }
    if (length == 0) do
        length++;
      while (lead && ((unsigned char)from[length] & 0xc0) == 0x80);
    from += length;
  }
  *to = 0;
}

static void append(chainrule_error *error, const char *format, va_list arguments)
{
  const size_t used = strlen(error->message);
  vsnprintf(error->message + used, sizeof error->message - used, format, arguments);
  make_showable(error->message + used);
}

void cr_add_to_message(chainrule_error *error, const char *format, ...)
{
  if (!error) return;
  va_list arguments;
  va_start(arguments, format);
  append(error, format, arguments);
  va_end(arguments);
}

chainrule_status cr_fail(chainrule_error *error, chainrule_status status, size_t layer, const char *format, ...)
{
  if (!error) return status;
  va_list arguments;
  va_start(arguments, format);
  *error = (chainrule_error){.status = status, .layer = layer};
  append(error, format, arguments);
  va_end(arguments);
  return status;
}

chainrule_status cr_null(chainrule_error *error, const char *argument)
{
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s is NULL", argument);
}

const char *cr_number(double value, char text[CR_NUMBER])
{
  if (!isfinite(value)) return isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, CR_NUMBER, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  return text;
}

chainrule_status cr_out_of_memory(chainrule_error *error, const char *what, size_t bytes)
{
  return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "no memory for %s: %zu bytes", what, bytes);
}

/* ---- The catalogue ------------------------------------------------------------------------------- */

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

/* The index of `name`; `count` and an error that lists all names if there is no such name. */
static size_t find(const char *what, const cr_entry *list, size_t count, const char *name,
                   chainrule_error *error)
{
  if (!name) return cr_null(error, "name"), count;
  for (size_t i = 0; i < count; i++)
    if (!strcmp(list[i].name, name)) return i;
  cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "no %s is named \"%.40s\"; there are:", what, name);
  for (size_t i = 0; i < count; i++) cr_add_to_message(error, "%s %s", i ? "," : "", list[i].name);
  return count;
}

/* The public functions of a list: `type` is its enum, `what` its name in functions and messages. */
#define ACTIVATION(ID, name, value, from, range, initializer, formula) [value] = {#name, formula},
#define LOSS(ID, name, value, output, target, formula) [value] = {#name, formula},
#define SIMPLE(ID, name, value, formula) [value] = {#name, formula},
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

/* ---- Structs that begin with their size ---------------------------------------------------------- */

chainrule_status cr_check_size(const char *what, size_t size, size_t least, size_t most, chainrule_error *error)
{
  if (size >= least && size <= most) return CHAINRULE_OK;
  if (size > most)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "%s is %zu; expected at most %zu: the header is newer than the library, version %s, so install "
                   "the library of the header's version",
                   what, size, most, chainrule_version());
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "%s is %zu; expected at least %zu: set it to the sizeof of the struct", what, size, least);
}

chainrule_status cr_read_sized(const char *what, void *to, size_t size, size_t least, const void *from,
                               chainrule_error *error)
{
  if (!from) return cr_null(error, what);
  size_t given;
  memcpy(&given, from, sizeof given);
  char name[64];
  snprintf(name, sizeof name, "%s.struct_size", what);
  chainrule_status status = cr_check_size(name, given, least, size, error);
  if (status) return status;
  memcpy(to, from, given);
  memcpy(to, &size, sizeof size);
  return CHAINRULE_OK;
}

void cr_write_sized(void *to, size_t struct_size, const void *from, size_t size)
{
  if (!to || struct_size < sizeof struct_size) return;
  memset(to, 0, struct_size);
  memcpy(to, from, struct_size < size ? struct_size : size);
  memcpy(to, &struct_size, sizeof struct_size);
}

/* ---- Memory ------------------------------------------------------------------------------------- */

bool cr_multiply(size_t a, size_t b, size_t *product)
{
  *product = a * b;
  return a == 0 || b <= SIZE_MAX / a;
}

bool cr_add(size_t a, size_t b, size_t *sum)
{
  *sum = a + b;
  return a <= SIZE_MAX - b;
}

void *cr_allocate(size_t count, size_t size)
{
  size_t bytes;
  if (!cr_multiply(count ? count : 1, size, &bytes) || bytes > PTRDIFF_MAX - CR_ALIGNMENT) return NULL;
  bytes = (bytes + CR_ALIGNMENT - 1) / CR_ALIGNMENT * CR_ALIGNMENT;
  void *memory = aligned_alloc(CR_ALIGNMENT, bytes);
  return memory ? memset(memory, 0, bytes) : NULL;
}
