/* Model files: what is saved comes back bit by bit; a damaged file is an error that names the damage, and
 * never a crash; a save that fails leaves the file that was there. */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chainrule.h>

static size_t passed, failed;

#if defined __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
static void check(bool holds, int line, const char *format, ...)
{
  if (holds) {
    ++passed;
    return;
  }
  ++failed;
  va_list arguments;
  va_start(arguments, format);
  printf("FAILED  line %d: ", line);
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
}

#define HOLDS(condition) check(condition, __LINE__, "%s", #condition)

static chainrule_error error_of_call, *const e = &error_of_call;

/* The call, written with `e` for its error, succeeds. */
#define ACCEPTED(call) check((call) == CHAINRULE_OK, __LINE__, "%s: \"%s\"", #call, e->message)
/* … returns `wanted`, and a message that begins with `beginning`. */
#define REFUSED(wanted, beginning, call) refused(wanted, 0, beginning, (call), e, __LINE__, #call)

static void refused(chainrule_status wanted, size_t layer, const char *beginning, chainrule_status status,
                    const chainrule_error *error, int line, const char *what)
{
  check(status == wanted && error->status == wanted && error->layer == layer &&
            strncmp(error->message, beginning, strlen(beginning)) == 0,
        line, "%s: expected status %d, layer %zu, \"%s…\"; got %d, layer %zu, \"%s\"", what, (int)wanted,
        layer, beginning, (int)status, error->layer, error->message);
}

static void skipped(const char *what, const char *why) { printf("skipped: %s: %s\n", what, why); }

/* ---- A folder to work in ------------------------------------------------------------------------ */

static char folder[] = "files-XXXXXX";

/* One of four strings that take turns. */
static const char *in_folder(const char *name)
{
  static char paths[4][sizeof folder + 260];
  static size_t turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static size_t entries(void)
{
  size_t count = 0;
  DIR *stream = opendir(folder);
  while (stream && readdir(stream)) ++count;
  if (stream) closedir(stream);
  return count - 2; /* . and .. */
}

static void remove_folder(void)
{
  DIR *stream = opendir(folder);
  for (struct dirent *entry; stream && (entry = readdir(stream));)
    if (unlink(in_folder(entry->d_name)) != 0) rmdir(in_folder(entry->d_name));
  if (stream) closedir(stream);
  rmdir(folder);
}

typedef struct contents {
  size_t size;
  unsigned char bytes[8192];
} contents;

static contents read_file(const char *path)
{
  contents file = {0};
  FILE *stream = fopen(path, "rb");
  if (!stream) return file;
  file.size = fread(file.bytes, 1, sizeof file.bytes, stream);
  fclose(stream);
  return file;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
  FILE *stream = fopen(path, "wb");
  bool written = stream && fwrite(bytes, 1, size, stream) == size;
  if (stream) written = fclose(stream) == 0 && written;
  if (written) return;
  printf("FAILED  cannot write %s: %s\n", path, strerror(errno));
  exit(1);
}

static bool same_contents(const contents *a, const contents *b)
{
  return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* ---- Networks to save --------------------------------------------------------------------------- */

/* 2 → 2 tanh → 1 identity: layers.0.bias and layers.1.weights have the same size. */
static chainrule_network *small(chainrule_scalar scalar)
{
  const chainrule_layer layers[] = {{.units = 2, .activation = CHAINRULE_ACTIVATION_TANH},
                                    {.units = 1, .activation = CHAINRULE_ACTIVATION_IDENTITY}};
  const chainrule_description description = {
      .scalar = scalar, .inputs = 2, .layer_count = 2, .layers = layers};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 7, e));
  return network;
}

/* Names in several scripts, a layer without bias, initialisers with values, a softmax. */
static chainrule_network *rich(chainrule_scalar scalar)
{
  static const char *const features[] = {"größe", "Δx \"quoted\"", "back\\slash\n", "", "日本語"};
  static const char *const classes[] = {"yes", "no", "yes"};
  const chainrule_layer layers[] = {{.units = 7,
                                     .activation = CHAINRULE_ACTIVATION_LEAKY_RELU,
                                     .no_bias = true,
                                     .weights = {CHAINRULE_INITIALIZER_UNIFORM, 0.1}},
                                    {.units = 4,
                                     .activation = CHAINRULE_ACTIVATION_GELU_TANH,
                                     .bias = {CHAINRULE_INITIALIZER_CONSTANT, -1.0 / 3}},
                                    {.units = 3, .activation = CHAINRULE_ACTIVATION_SOFTMAX}};
  const chainrule_description description = {
      .scalar = scalar, .inputs = 5, .layer_count = 3, .layers = layers};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 11, e));
  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, features, 5, e));
  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_CLASS_LABELS, classes, 3, e));
  return network;
}

static bool same_initializer(chainrule_initializer a, chainrule_initializer b)
{
  return a.kind == b.kind && memcmp(&a.value, &b.value, sizeof a.value) == 0;
}

static bool same_parameter(const chainrule_network *a, const chainrule_network *b, size_t layer,
                           chainrule_parameter parameter, size_t count)
{
  double values[2][64];
  size_t size = chainrule_network_scalar(a) == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
  const chainrule_network *networks[] = {a, b};
  for (int i = 0; i < 2; i++) {
    chainrule_status status =
        size == sizeof(float)
            ? chainrule_network_get_f32(networks[i], layer, parameter, (float *)(void *)values[i], count,
                                        NULL)
            : chainrule_network_get_f64(networks[i], layer, parameter, values[i], count, NULL);
    if (status) return false;
  }
  return memcmp(values[0], values[1], count * size) == 0;
}

/* The same architecture, names and parameters, bit by bit. */
static bool same_network(const chainrule_network *a, const chainrule_network *b)
{
  size_t inputs = chainrule_network_inputs(a), count = chainrule_network_layer_count(a);
  if (chainrule_network_scalar(b) != chainrule_network_scalar(a) || chainrule_network_inputs(b) != inputs ||
      chainrule_network_layer_count(b) != count)
    return false;
  for (size_t l = 0; l < count; l++) {
    chainrule_layer x, y;
    if (chainrule_network_layer(a, l, &x, NULL) || chainrule_network_layer(b, l, &y, NULL)) return false;
    if (x.units != y.units || x.activation != y.activation || x.no_bias != y.no_bias ||
        !same_initializer(x.weights, y.weights) || !same_initializer(x.bias, y.bias))
      return false;
    if (!same_parameter(a, b, l, CHAINRULE_WEIGHTS, x.units * inputs)) return false;
    if (!x.no_bias && !same_parameter(a, b, l, CHAINRULE_BIAS, x.units)) return false;
    inputs = x.units;
  }
  for (int which = CHAINRULE_FEATURE_NAMES; which <= CHAINRULE_CLASS_LABELS; which++) {
    size_t names = chainrule_network_name_count(a, (chainrule_names)which);
    if (chainrule_network_name_count(b, (chainrule_names)which) != names) return false;
    for (size_t i = 0; i < names; i++)
      if (strcmp(chainrule_network_name(a, (chainrule_names)which, i),
                 chainrule_network_name(b, (chainrule_names)which, i)) != 0)
        return false;
  }
  return true;
}

/* ---- What is saved comes back ------------------------------------------------------------------- */

static void round_trips(void)
{
  for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++)
    for (int named = 0; named < 2; named++) {
      chainrule_network *saved = named ? rich((chainrule_scalar)scalar) : small((chainrule_scalar)scalar);
      chainrule_network *loaded = NULL;
      ACCEPTED(chainrule_network_save(saved, in_folder("model"), e));
      ACCEPTED(chainrule_network_load(in_folder("model"), &loaded, e));
      check(loaded && same_network(saved, loaded), __LINE__, "round trip of the %s network, scalar %d",
            named ? "rich" : "small", scalar);

      contents first = read_file(in_folder("model"));
      if (loaded) ACCEPTED(chainrule_network_save(loaded, in_folder("model"), e));
      contents second = read_file(in_folder("model"));
      check(same_contents(&first, &second), __LINE__, "what was loaded is saved in the same bytes");
      uint64_t length = 0;
      for (int i = 0; i < 8; i++) length |= (uint64_t)first.bytes[i] << 8 * i;
      check(length % 8 == 0, __LINE__, "tensors begin at a multiple of 8");
      chainrule_network_free(loaded);
      chainrule_network_free(saved);
    }
}

/* Numbers in a file have a point, whatever the host's locale writes. */
static void ignores_the_locale(void)
{
  if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) {
    skipped("a locale with a decimal comma", "none is installed");
    return;
  }
  chainrule_network *saved = rich(CHAINRULE_FLOAT32), *loaded = NULL;
  ACCEPTED(chainrule_network_save(saved, in_folder("model"), e));
  setlocale(LC_ALL, "C");
  ACCEPTED(chainrule_network_load(in_folder("model"), &loaded, e));
  HOLDS(loaded && same_network(saved, loaded));
  chainrule_network_free(loaded);
  chainrule_network_free(saved);
}

/* ---- Damage ------------------------------------------------------------------------------------- */

static void rejects_every_truncation(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  const char *path = in_folder("truncated");
  ACCEPTED(chainrule_network_save(network, path, e));
  contents file = read_file(path);
  for (size_t size = file.size; size-- > 0;) {
    chainrule_network *loaded = network;
    HOLDS(truncate(path, (off_t)size) == 0);
    chainrule_status status = chainrule_network_load(path, &loaded, e);
    check(status == CHAINRULE_INVALID_FILE && !loaded && e->message[0], __LINE__,
          "cut to %zu of %zu bytes: status %d, \"%s\"", size, file.size, (int)status, e->message);
    chainrule_network_free(loaded);
  }
  chainrule_network_free(network);
}

static void notices_every_flipped_bit(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  const char *path = in_folder("flipped");
  ACCEPTED(chainrule_network_save(network, path, e));
  contents file = read_file(path);
  int descriptor = open(path, O_WRONLY);
  size_t harmless = 0;
  for (size_t bit = 0; bit < 8 * file.size; bit++) {
    unsigned char byte = (unsigned char)(file.bytes[bit / 8] ^ 1u << bit % 8);
    HOLDS(pwrite(descriptor, &byte, 1, (off_t)(bit / 8)) == 1);
    chainrule_network *loaded = NULL;
    chainrule_status status = chainrule_network_load(path, &loaded, e);
    bool same = !status && same_network(network, loaded);
    check(same || (status == CHAINRULE_INVALID_FILE && !loaded && e->message[0]), __LINE__,
          "bit %zu of byte %zu: status %d, \"%s\"", bit % 8, bit / 8, (int)status, e->message);
    harmless += same;
    chainrule_network_free(loaded);
    HOLDS(pwrite(descriptor, &file.bytes[bit / 8], 1, (off_t)(bit / 8)) == 1);
  }
  /* Only the word "format" and its value say nothing that anything else depends on. */
  check(harmless <= 8 * strlen("formatchainrule"), __LINE__, "%zu flips were harmless", harmless);
  close(descriptor);
  chainrule_network_free(network);
}

/* The small network's file with the first `from` of its header replaced by `to`, a new length, and
 * `more` bytes of data (cut off where negative). */
static void edit(const char *path, const char *from, const char *to, int more)
{
  contents file = read_file(in_folder("small")), edited = {0};
  size_t length = 0;
  for (int i = 0; i < 8; i++) length |= (size_t)file.bytes[i] << 8 * i;
  const size_t data = file.size - 8 - length;
  char header[4096];
  memcpy(header, file.bytes + 8, length);
  header[length] = '\0';
  char *found = strstr(header, from);
  if (!found) {
    check(false, __LINE__, "the header has no %s: %s", from, header);
    return;
  }
  edited.size = 8 + (size_t)snprintf((char *)edited.bytes + 8, sizeof edited.bytes - 8, "%.*s%s%s",
                                     (int)(found - header), header, to, found + strlen(from));
  for (int i = 0; i < 8; i++) edited.bytes[i] = (unsigned char)((edited.size - 8) >> 8 * i);
  memcpy(edited.bytes + edited.size, file.bytes + 8 + length, data);
  edited.size = (size_t)((long)(edited.size + data) + more);
  write_file(path, edited.bytes, edited.size);
}

/* As it is in the header, where TEXT is a string. */
#define Q "\\\""
#define FIRST_LAYER "{" Q "type" Q ":" Q "dense" Q "," Q "units" Q ":2"
#define W0 "\"layers.0.weights\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}"
#define B0 "\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}"
#define W1 "\"layers.1.weights\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[24,32]}"
#define B1 "\"layers.1.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}"

static void names_what_is_wrong(void)
{
  static const struct {
    const char *from, *to;
    int more;
    size_t layer;
    const char *message;
  } cases[] = {
      {"{", "[", 0, 0, "header: "},
      {B1 "}", B1, 0, 0, "header: '}' expected near end of file (line 1, column "},
      {"\"__metadata__\":{", "\"__metadata__\":[],\"other\":{", 0, 0,
       "no __metadata__.chainrule: a safetensors file"},
      {"\"__metadata__\":{\"format\":\"chainrule\",\"chainrule\"", "\"__metadata__\":{\"model\"", 0, 0,
       "no __metadata__.chainrule: a safetensors file, but not a Chainrule model"},
      {"\"format\"", "\"checksum\"", 0, 0, "header: duplicate object key near '\"checksum\"'"},
      {"\"checksum\":\"fnv1a64:", "\"checksum\":\"md5:", 0, 0, "checksum: the contents give fnv1a64:"},
      {"\"checksum\"", "\"sum\"", 0, 0, "no __metadata__.checksum"},
      {"\"chainrule\":\"{", "\"chainrule\":\"", 0, 0, "architecture: "},
      {"\"chainrule\":\"{", "\"chainrule\":\"[0] {", 0, 0, "architecture: end of file expected near '{'"},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":2", 0, 0, "formatVersion: 2; Chainrule 0."},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":4294967297", 0, 0, "formatVersion: 4294967297; "},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":1.0", 0, 0, "architecture: Expected integer, got real"},
      {Q "formatVersion" Q, Q "version" Q, 0, 0, "architecture: duplicate object key"},
      {Q "float32" Q, Q "float16" Q, 0, 0, "no scalar is named \"float16\"; there are: float32, float64"},
      {Q "inputs" Q ":2", Q "inputs" Q ":0", 0, 0, "inputs: 0 is not in 1 to 2147483647"},
      {Q "inputs" Q ":2", Q "inputs" Q ":-2", 0, 0, "inputs: -2 is not in 1 to 2147483647"},
      {Q "inputs" Q ":2", Q "inputs" Q ":99999999999999999999", 0, 0, "architecture: too big integer"},
      {Q "inputs" Q ":2", Q "inputs" Q ":" Q "2" Q, 0, 0, "architecture: Expected integer, got string"},
      {Q "layers" Q ":[", Q "layers" Q ":[], " Q "more" Q ":[", 0, 0, "layers: not an array, or an empty one"},
      {Q "layers" Q ":[", Q "layers" Q ":7, " Q "more" Q ":[", 0, 0, "layers: not an array, or an empty one"},
      {Q "layers" Q ":[", Q "layers" Q ":[7,", 0, 1, "layer 1: Expected object, got integer"},
      {Q "dense" Q, Q "conv" Q, 0, 1, "layer 1: no layer is named \"conv\"; there are: dense, activation, dropout, batchNorm, "
       "layerNorm, scaling, residual, custom"},
      {Q "tanh" Q, Q "tan" Q, 0, 1,
       "layer 1: no activation is named \"tan\"; there are: identity, sigmoid, tanh, "},
      {Q "tanh" Q, Q "softmax" Q, 0, 1, "layer 1 is softmax, which only the last layer (2) may be"},
      {Q "units" Q ":2", Q "units" Q ":0", 0, 1, "layer 1, units: 0 is not in 1 to 2147483647"},
      {Q "units" Q ":1", Q "units" Q ":2147483648", 0, 2, "layer 2, units: 2147483648 is not in 1 to 2147483647"},
      {Q "units" Q ":2", Q "units" Q ":3", 0, 1, "layer 1, weights: shape [2, 2], but the architecture says [3, 2]"},
      {Q "units" Q ":1", Q "units" Q ":4", 0, 2, "layer 2, weights: shape [1, 2], but the architecture says [4, 2]"},
      {Q "kind" Q ":" Q "glorotUniform", Q "kind" Q ":" Q "glorot", 0, 1,
       "layer 1: no initializer is named \"glorot\""},
      {Q "bias" Q ":true", Q "bias" Q ":false", 0, 0, "header: the architecture has no tensor \"layers.0.bias\""},
      {FIRST_LAYER, FIRST_LAYER "," Q "activation" Q ":" Q "relu" Q "," Q "bias" Q ":true}," FIRST_LAYER, 0, 2,
       "layer 2, weights: shape [1, 2], but the architecture says [2, 2]"},
      {Q "inputs" Q, Q "features" Q ":[" Q "a" Q "]," Q "inputs" Q, 0, 0, "names of features: expected 2, got 1"},
      {Q "inputs" Q, Q "classes" Q ":[1]," Q "inputs" Q, 0, 0, "classes: name 1 is not a string"},
      {Q "inputs" Q, Q "targets" Q ":{}," Q "inputs" Q, 0, 0, "targets: not an array, or an empty one"},
      {"\"layers.1.bias\"", "\"layers.1.biases\"", 0, 2, "layer 2, bias: missing, there is no tensor layers.1.bias"},
      {"\"layers.0.weights\"", "\"extra\":{},\"layers.0.weights\"", 0, 0,
       "header: the architecture has no tensor \"extra\""},
      {"\"layers.0.weights\"", "\"\\u001b[2J\":{},\"layers.0.weights\"", 0, 0,
       "header: the architecture has no tensor \"?[2J\""},
      {"\"F32\"", "\"F16\"", 0, 1, "layer 1, weights: dtype F16, but the architecture says F32"},
      {"\"F32\"", "32", 0, 1, "layer 1, weights: Expected string, got integer"},
      {"\"shape\":[2,2]", "\"shape\":[4]", 0, 1, "layer 1, weights: shape [4], but the architecture says [2, 2]"},
      {"\"shape\":[2,2]", "\"shape\":[2.0,2]", 0, 1, "layer 1, weights: shape [2.0, 2], but the"},
      {"\"shape\":[2]", "\"shape\":[2,1]", 0, 1, "layer 1, bias: shape [2, 1], but the architecture says [2]"},
      {"\"shape\":[2]", "\"shape\":2", 0, 1, "layer 1, bias: shape 2, but the architecture says [2]"},
      {"[0,16]", "[0,15]", 0, 1, "layer 1, weights: data_offsets [0, 15], but the tensor has 16 bytes, and the data 36"},
      {"[0,16]", "[16,0]", 0, 1, "layer 1, weights: data_offsets [16, 0], but the tensor has 16 bytes, and the data 36"},
      {"[0,16]", "[-16,0]", 0, 1, "layer 1, weights: data_offsets [-16, 0], but"},
      {"[0,16]", "[-9223372036854775808,9223372036854775807]", 0, 1, "layer 1, weights: data_offsets [-9223"},
      {"[0,16]", "[9223372036854775791,9223372036854775807]", 0, 1,
       "layer 1, weights: data_offsets [9223372036854775791, 9223372036854775807], but the tensor has"},
      {"[0,16]", "[0,16,16]", 0, 1, "layer 1, weights: 1 array item(s) left unpacked"},
      {"[0,16]", "[1,17]", 0, 1, "layer 1, weights: begins at 1, after a hole from 0"},
      {"[16,24]", "[8,16]", 0, 1, "layer 1, bias: begins at 8, but others end at 16"},
      {"[32,36]", "[36,40]", 4, 2, "layer 2, bias: begins at 36, after a hole from 32"},
      {"[32,36]", "[36,40]", 0, 2, "layer 2, bias: data_offsets [36, 40], but the tensor has"},
      {"{", "{", 1, 0, "data: 1 bytes after the last tensor"},
      {"{", "{", -1, 2, "layer 2, bias: data_offsets [32, 36], but the tensor has 4 bytes, and the data 35"},
      {W0 ",", "", 0, 1, "layer 1, weights: missing, there is no tensor layers.0.weights"},
      /* The architecture of a petabyte, without its petabyte. */
      {Q "inputs" Q ":2", Q "inputs" Q ":2147483647", 0, 1,
       "layer 1, weights: shape [2, 2], but the architecture says [2, 2147483647]"},
  };
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  ACCEPTED(chainrule_network_save(network, in_folder("small"), e));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char what[80];
    snprintf(what, sizeof what, "case %zu: %.50s", i, cases[i].to);
    edit(in_folder("edited"), cases[i].from, cases[i].to, cases[i].more);
    chainrule_network *loaded = network;
    refused(CHAINRULE_INVALID_FILE, cases[i].layer, cases[i].message,
            chainrule_network_load(in_folder("edited"), &loaded, e), e, __LINE__, what);
    HOLDS(!loaded);
    HOLDS(chainrule_network_load(in_folder("edited"), &loaded, NULL) == CHAINRULE_INVALID_FILE);
  }

  /* Harmless: what no tensor depends on, and another order of the same tensors. */
  edit(in_folder("edited"), "\"format\":\"chainrule\"", "\"format\":\"pt\",\"note\":\"mine\"", 0);
  chainrule_network *loaded = NULL;
  ACCEPTED(chainrule_network_load(in_folder("edited"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);

  edit(in_folder("edited"), B0 "," W1,
       "\"layers.0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
       "\"layers.1.weights\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[16,24]}",
       0);
  contents swapped = read_file(in_folder("edited"));
  for (size_t i = 0; i < 8; i++) {
    unsigned char *b0 = swapped.bytes + swapped.size - 20 + i, *w1 = b0 + 8, kept = *b0;
    *b0 = *w1;
    *w1 = kept;
  }
  write_file(in_folder("edited"), swapped.bytes, swapped.size);
  loaded = NULL;
  ACCEPTED(chainrule_network_load(in_folder("edited"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);
  chainrule_network_free(network);
}

/* Shapes whose product overflows, agreed on by architecture and header. */
static void rejects_sizes_beyond_memory(void)
{
  static const char header[] =
      "{\"__metadata__\":{\"checksum\":\"\",\"chainrule\":\"{" Q "formatVersion" Q ":1," Q "scalar" Q ":" Q
      "float64" Q "," Q "inputs" Q ":2147483647," Q "layers" Q ":[{" Q "type" Q ":" Q "dense" Q "," Q
      "units" Q ":2147483647," Q "activation" Q ":" Q "relu" Q "," Q "bias" Q ":false}]}\"},"
      "\"layers.0.weights\":{\"dtype\":\"F64\",\"shape\":[2147483647,2147483647],\"data_offsets\":[0,16]}}";
  unsigned char file[8 + sizeof header - 1] = {(sizeof header - 1) & 255, (sizeof header - 1) >> 8};
  memcpy(file + 8, header, sizeof header - 1);
  write_file(in_folder("huge"), file, sizeof file);
  chainrule_network *loaded = NULL;
  chainrule_status status = chainrule_network_load(in_folder("huge"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 1,
          "layer 1, weights: shape [2147483647, 2147483647] needs more bytes than a size can count", status,
          e, __LINE__, "a network of 2^65 bytes");
}

static void rejects_what_is_no_model(void)
{
  chainrule_network *loaded = NULL;
  write_file(in_folder("not"), "", 0);
  REFUSED(CHAINRULE_INVALID_FILE, "file: 0 bytes are too few",
          chainrule_network_load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "a,b,c\n1,2,3\n", 12);
  REFUSED(CHAINRULE_INVALID_FILE,
          "header: 3184337832590322785 bytes, of which the file has 4; it is cut short",
          chainrule_network_load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\0\0\0\0\0\0\0\0{}", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "header: ", chainrule_network_load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\2\0\0\0\0\0\0\0{}", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "no __metadata__.chainrule",
          chainrule_network_load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\2\0\0\0\0\0\0\0[]", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "header: not a JSON object",
          chainrule_network_load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\4\0\0\0\0\0\0\0{\"\xff\"", 12);
  REFUSED(CHAINRULE_INVALID_FILE, "header: unable to decode byte 0xff",
          chainrule_network_load(in_folder("not"), &loaded, e));

  unsigned char nested[8 + 65535] = {0xff, 0xff};
  memset(nested + 8, '[', 65535);
  write_file(in_folder("not"), nested, sizeof nested);
  REFUSED(CHAINRULE_INVALID_FILE, "header: maximum parsing depth",
          chainrule_network_load(in_folder("not"), &loaded, e));

  /* 100 000 001 bytes of header, of a file that is a hole on the disk. */
  write_file(in_folder("not"), "\x01\xe1\xf5\x05\0\0\0\0", 8);
  HOLDS(truncate(in_folder("not"), 100000016) == 0);
  REFUSED(CHAINRULE_INVALID_FILE, "header: 100000001 bytes; a safetensors file may have 100000000",
          chainrule_network_load(in_folder("not"), &loaded, e));
}

static void rejects_values_that_are_not_finite(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32), *loaded = NULL;
  ACCEPTED(chainrule_network_save(network, in_folder("model"), e));
  contents file = read_file(in_folder("model"));
  memcpy(file.bytes + file.size - 8, "\0\0\xc0\x7f", 4); /* NaN */
  write_file(in_folder("model"), file.bytes, file.size);
  chainrule_status status = chainrule_network_load(in_folder("model"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 2, "layer 2, weights: value 1 is NaN", status, e, __LINE__,
          "a NaN in the data");
  chainrule_network_free(network);

  /* 1e300 as a float is infinity. */
  const chainrule_layer layers[] = {{.units = 1},
                                    {.units = 1, .bias = {CHAINRULE_INITIALIZER_CONSTANT, 1e300}}};
  const chainrule_description description = {.inputs = 1, .layer_count = 2, .layers = layers};
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (chainrule_network_initialize(network, 0, e) == CHAINRULE_OK) {
    size_t before = entries();
    status = chainrule_network_save(network, in_folder("infinite"), e);
    refused(CHAINRULE_NOT_FINITE, 2, "layer 2, bias: value 0 is infinite", status, e, __LINE__,
            "saving infinity");
    HOLDS(entries() == before);
  }
  chainrule_network_free(network);
}

/* ---- The operating system refuses --------------------------------------------------------------- */

static void reports_refused_reads(void)
{
  chainrule_network *loaded = NULL;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is empty", chainrule_network_load("", &loaded, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is NULL", chainrule_network_load(NULL, &loaded, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network is NULL", chainrule_network_load("x", NULL, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: No such file",
          chainrule_network_load(in_folder("none"), &loaded, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: Is a directory", chainrule_network_load(folder, &loaded, e));
  HOLDS(mkfifo(in_folder("pipe"), 0600) == 0);
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: not a regular file",
          chainrule_network_load(in_folder("pipe"), &loaded, e));
  HOLDS(unlink(in_folder("pipe")) == 0);
}

/* Saves over the file of another network, which must fail and leave that file and nothing else. */
static void fails_and_leaves(const char *what, const char *path, const char *beginning)
{
  chainrule_network *network = rich(CHAINRULE_FLOAT64);
  contents before = read_file(path);
  size_t count = entries();
  chainrule_status status = chainrule_network_save(network, path, e);
  refused(CHAINRULE_FILE_FAILED, 0, beginning, status, e, __LINE__, what);
  contents after = read_file(path);
  check(same_contents(&before, &after), __LINE__, "%s: the file that was there is another", what);
  check(entries() == count, __LINE__, "%s: a file was left behind", what);
  chainrule_network_free(network);
}

static void reports_refused_writes(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is empty", chainrule_network_save(network, "", e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is NULL", chainrule_network_save(network, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network is NULL", chainrule_network_save(NULL, "x", e));
  ACCEPTED(chainrule_network_save(network, in_folder("old"), e));

  REFUSED(CHAINRULE_FILE_FAILED, "cannot open the folder: No such file",
          chainrule_network_save(network, in_folder("none/model"), e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot open the folder: Not a directory",
          chainrule_network_save(network, in_folder("old/model"), e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: Is a directory", chainrule_network_save(network, folder, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: Is a directory",
          chainrule_network_save(network, in_folder(""), e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: Is a directory",
          chainrule_network_save(network, in_folder("."), e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: Is a directory", chainrule_network_save(network, "/", e));
  char long_name[300] = {0};
  memset(long_name, 'x', sizeof long_name - 1);
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: File name too long",
          chainrule_network_save(network, long_name, e));

  /* A device or a pipe is not replaced by a file. */
  HOLDS(mkfifo(in_folder("pipe"), 0600) == 0);
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: not a regular file",
          chainrule_network_save(network, in_folder("pipe"), e));
  struct stat info;
  HOLDS(stat(in_folder("pipe"), &info) == 0 && S_ISFIFO(info.st_mode));
  HOLDS(unlink(in_folder("pipe")) == 0);

  if (geteuid() == 0) {
    skipped("a folder and a file that are read-only", "root may write them");
  } else {
    HOLDS(chmod(in_folder("old"), 0400) == 0);
    fails_and_leaves("a read-only file", in_folder("old"), "cannot write: Permission denied");
    HOLDS(chmod(in_folder("old"), 0600) == 0 && chmod(folder, 0500) == 0);
    fails_and_leaves("a read-only folder", in_folder("old"),
                     "cannot write into the folder: Permission denied");
    HOLDS(chmod(folder, 0700) == 0);
  }

  /* A limit on the size of files shortens a write, then refuses the next: at once, in the header, in the
   * last tensor. */
  chainrule_network *larger = rich(CHAINRULE_FLOAT64);
  ACCEPTED(chainrule_network_save(larger, in_folder("larger"), e));
  const size_t limits[] = {0, 300, read_file(in_folder("larger")).size - 1};
  chainrule_network_free(larger);
  struct rlimit unlimited;
  HOLDS(getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  fflush(stdout);
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit limited = {.rlim_cur = (rlim_t)limits[i], .rlim_max = unlimited.rlim_max};
    HOLDS(setrlimit(RLIMIT_FSIZE, &limited) == 0);
    fails_and_leaves("a file that may not grow", in_folder("old"), "cannot write: File too large");
    HOLDS(setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  }
  signal(SIGXFSZ, handler);

  const char *full = getenv("CHAINRULE_FULL_FOLDER");
  if (full) {
    char path[4096];
    snprintf(path, sizeof path, "%s/model", full);
    fails_and_leaves("a full disk", path, "cannot write: No space left on device");
  } else {
    skipped("a full disk", "CHAINRULE_FULL_FOLDER names none");
  }
  chainrule_network_free(network);
}

static void refuses_names_that_are_not_text(void)
{
  static const char *const features[] = {"a", "\xff"};
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  if (chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, features, 2, e) == CHAINRULE_OK) {
    size_t count = entries();
    REFUSED(CHAINRULE_INVALID_ARGUMENT, "features: name 2 is not UTF-8",
            chainrule_network_save(network, in_folder("names"), e));
    HOLDS(entries() == count);
  }
  chainrule_network_free(network);
}

/* ---- What the file system keeps ----------------------------------------------------------------- */

static mode_t mode_of(const char *path)
{
  struct stat info;
  return lstat(path, &info) == 0 ? info.st_mode & 0777 : 0;
}

static void keeps_permissions_and_links(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32), *loaded = NULL;
  mode_t mask = umask(027);
  ACCEPTED(chainrule_network_save(network, in_folder("fresh"), e));
  HOLDS(mode_of(in_folder("fresh")) == 0640);
  umask(mask);
  HOLDS(chmod(in_folder("fresh"), 0604) == 0);
  ACCEPTED(chainrule_network_save(network, in_folder("fresh"), e));
  HOLDS(mode_of(in_folder("fresh")) == 0604);

  HOLDS(symlink("fresh", in_folder("link")) == 0);
  HOLDS(truncate(in_folder("fresh"), 0) == 0);
  ACCEPTED(chainrule_network_save(network, in_folder("link"), e));
  struct stat info;
  HOLDS(lstat(in_folder("link"), &info) == 0 && S_ISLNK(info.st_mode));
  ACCEPTED(chainrule_network_load(in_folder("fresh"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);

  HOLDS(symlink("nowhere", in_folder("dangling")) == 0);
  REFUSED(CHAINRULE_FILE_FAILED, "cannot follow the symbolic link: No such file",
          chainrule_network_save(network, in_folder("dangling"), e));
  chainrule_network_free(network);
}

int main(void)
{
  if (!mkdtemp(folder)) {
    perror("FAILED  mkdtemp");
    return 1;
  }
  round_trips();
  ignores_the_locale();
  rejects_every_truncation();
  notices_every_flipped_bit();
  names_what_is_wrong();
  rejects_sizes_beyond_memory();
  rejects_what_is_no_model();
  rejects_values_that_are_not_finite();
  reports_refused_reads();
  reports_refused_writes();
  refuses_names_that_are_not_text();
  keeps_permissions_and_links();
  remove_folder();
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
