/* A message is printable UTF-8, whatever it quotes and wherever that is truncated.  The names have characters
 * of every length, and are truncated at each byte by a precision such as %.40s or by the end of the
 * message. */
#define _XOPEN_SOURCE 700

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"

#include "../expect.h"

/* Checks with an independent decoder that the text is UTF-8 without control characters. */
static bool is_showable(const char *text)
{
  const unsigned char *byte = (const unsigned char *)text;
  while (*byte) {
    const int more = *byte < 0x80 ? 0 : *byte >> 5 == 6 ? 1 : *byte >> 4 == 14 ? 2 : *byte >> 3 == 30 ? 3 : -1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (more < 0) return false;
    uint32_t character = more == 0 ? *byte : *byte & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
      if (byte[i] >> 6 != 2) return false;
      character = character << 6 | (byte[i] & 0x3f);
    }
    if (character < least[more] || character > 0x10ffff || character >> 11 == 0x1b) return false;
    if (character < ' ' || (character >= 0x7f && character < 0xa0)) return false;
    byte += more + 1;
  }
  return true;
}

static const char *const characters[] = {"x", "\xc3\xb6", "\xe6\x97\xa5", "\xf0\x9f\x98\x80"}; /* x ö 日 😀 */

/* `shift` letters, then one character repeated. */
static const char *name_of(size_t shift, const char *character)
{
  static char name[400];
  memset(name, 'a', shift);
  char *end = name + shift;
  for (const size_t size = strlen(character); end + size < name + sizeof name; end += size) memcpy(end, character, size);
  *end = 0;
  return name;
}

/* The bytes of the complete characters in the first `most` bytes of a name. */
static int whole(size_t most, size_t shift, const char *character)
{
  const size_t size = strlen(character);
  return (int)(most < shift ? most : shift + (most - shift) / size * size);
}

/* ---- Messages of calls ------------------------------------------------------------------------------ */

static void cuts_names(size_t shift, const char *character)
{
  char expected[400];
  const char *name = name_of(shift, character);
  const int kept = whole(40, shift, character);
  chainrule_activation activation;
  HOLDS(chainrule_activation_named(name, &activation, e) == CHAINRULE_INVALID_ARGUMENT);
  snprintf(expected, sizeof expected, "no activation is named \"%.*s\"; there are: identity, ", kept, name);
  HOLDS(strncmp(e->message, expected, strlen(expected)) == 0 && is_showable(e->message));

  chainrule_network *network = NULL;
  const chainrule_layer layers[] = {{.units = 1}};
  const chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, CHAINRULE_FLOAT32, 1, 1, layers, name};
  HOLDS(chainrule_network_create(&description, &network, e) == CHAINRULE_INVALID_ARGUMENT);
  snprintf(expected, sizeof expected, "kernel set %.*s: no such kernel set; expected avx512, avx2, baseline or gsl", kept, name);
  HOLDS(strcmp(e->message, expected) == 0);
}

static void cuts_at_the_end(size_t shift, const char *character)
{
  const char *name = name_of(shift, character);
  const int kept = whole(CHAINRULE_MESSAGE_SIZE - 1, shift, character);
  cr_fail(e, CHAINRULE_INVALID_FILE, 3, "%s", name);
  HOLDS(e->layer == 3 && e->status == CHAINRULE_INVALID_FILE);
  HOLDS(strlen(e->message) == (size_t)kept && strncmp(e->message, name, (size_t)kept) == 0);
  cr_add_to_message(e, "; %s", name);
  HOLDS(strncmp(e->message, name, (size_t)kept) == 0 && is_showable(e->message));
  cr_fail(e, CHAINRULE_INVALID_FILE, 0, "%.*s|", (int)shift, name_of(1, character));
  const bool fits = shift < CHAINRULE_MESSAGE_SIZE - 1;
  const int part = whole(fits ? shift : CHAINRULE_MESSAGE_SIZE - 1, 1, character);
  HOLDS((int)strlen(e->message) == part + fits && is_showable(e->message));
}

/* ---- Messages of files ------------------------------------------------------------------------------ */

/* A safetensors file of this header and no data. */
static void write_header(const char *path, const char *header)
{
  FILE *stream = fopen(path, "wb");
  HOLDS(stream);
  if (!stream) return;
  const size_t size = strlen(header);
  for (int i = 0; i < 8; i++) putc((int)(size >> 8 * i & 0xff), stream);
  fwrite(header, 1, size, stream);
  fclose(stream);
}

#define Q "\\\""
#define MODEL(text) "{\"__metadata__\":{\"checksum\":\"\",\"chainrule\":\"{" text "\"}"
#define ARCHITECTURE(scalar, layer) \
  MODEL(Q "formatVersion" Q ":1," Q "scalar" Q ":" Q scalar Q "," Q "inputs" Q ":1," Q "layers" Q ":[{" Q "type" Q ":" layer "}]}")
#define TENSOR(name, dtype, shape) "{\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[0,0]}}"

static const struct {
  const char *header, *quoted; /* %s is the name; what the message begins with */
  bool imports;
} headers[] = {
    {"{%s", "header: ", false},
    {MODEL("%s") "}", "architecture: ", false},
    {ARCHITECTURE("%s", "1") "}", "no scalar is named \"", false},
    {ARCHITECTURE("float32", Q "%s" Q) "}", "layer 1: no layer is named \"", false},
    {ARCHITECTURE("float32", Q "dropout" Q "," Q "rate" Q ":0") ",\"%s\":0}", "header: the architecture has no tensor \"",
     false},
    {"{\"%s\":0}", "tensor ", true},
    {"{\"%s.weight\":0}", "tensor ", true},
    {TENSOR("0.weight", "%s", "[1,1]"), "tensor 0.weight: dtype ", true},
    {TENSOR("%s.weight", "F32", "[0,1]"), "tensor ", true},
};

static void quotes_files(const char *path, const char *name)
{
  for (size_t i = 0; i < CR_COUNT(headers); i++) {
    char header[1000];
    const char *gap = strstr(headers[i].header, "%s");
    snprintf(header, sizeof header, "%.*s%s%s", (int)(gap - headers[i].header), headers[i].header, name, gap + 2);
    write_header(path, header);
    chainrule_network *network = NULL;
    const chainrule_status status = headers[i].imports
                                        ? chainrule_network_import_safetensors(path, NULL, NULL, 0, &network, e)
                                        : chainrule_network_load(path, &network, e);
    const bool right = status == CHAINRULE_INVALID_FILE && !network && is_showable(e->message) &&
                       strncmp(e->message, headers[i].quoted, strlen(headers[i].quoted)) == 0;
    expect(right, __LINE__, e->message);
  }
}

/* ---- Bytes that are not UTF-8 ----------------------------------------------------------------------- */

static void replaces_what_is_no_text(void)
{
  static const struct {
    const char *name, *shown;
  } cases[] = {
      {"a\x1b[2Jb", "a?[2Jb"},          {"\x7f", "?"},
      {"\xc2\x9b[2J", "?[2J"},          {"\xc2\xa0", "\xc2\xa0"}, /* CSI; a space that does not break */
      {"\xff\xfe", "??"},               {"a\x80z", "a?z"},
      {"\xc0\xafz", "??z"},             {"gr\xf6\xdf" "e", "gr?e"}, /* Latin-1 */
      {"\xe2\x82z", "z"},               {"\xed\xa0\x80z", "z"}, /* cut; a surrogate */
      {"\xf0\x9f\x98\x80\n", "\xf0\x9f\x98\x80?"},
  };
  for (size_t i = 0; i < CR_COUNT(cases); i++) {
    snprintf(context, sizeof context, "case %zu", i);
    cr_fail(e, CHAINRULE_INVALID_FILE, 0, "%s", cases[i].name);
    expect(strcmp(e->message, cases[i].shown) == 0 && is_showable(e->message), __LINE__, e->message);
  }
  cr_fail(NULL, CHAINRULE_INVALID_FILE, 0, "x");
  cr_add_to_message(NULL, "x");
}

int main(void)
{
  char path[40];
  snprintf(path, sizeof path, "messages-%ld", (long)getpid());
  for (size_t c = 0; c < CR_COUNT(characters); c++)
    for (size_t shift = 0; shift < CHAINRULE_MESSAGE_SIZE + 8; shift++) {
      snprintf(context, sizeof context, "characters of %zu bytes behind %zu others", strlen(characters[c]), shift);
      cuts_names(shift, characters[c]);
      cuts_at_the_end(shift, characters[c]);
      if (shift < 12) quotes_files(path, name_of(shift, characters[c])); /* truncates the last character at each of its bytes */
    }
  remove(path);
  replaces_what_is_no_text();
  return summary();
}
