/* Model files: a network that is saved and loaded is the same bit by bit.  A damaged file gives an error that
 * names the damage, never a crash, a leak, or an allocation out of proportion to the file.  A save that fails
 * leaves the old file. */
#define _DARWIN_C_SOURCE
#include "allocator.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif
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

/* One of four buffers, used in rotation. */
static const char *in_folder(const char *name)
{
  static char paths[4][sizeof folder + 260];
  static size_t turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static size_t entries_of(const char *path)
{
  size_t count = 0;
  DIR *stream = opendir(path);
  while (stream && readdir(stream)) ++count;
  if (stream) closedir(stream);
  return count - 2; /* . and .. */
}

static size_t entries(void) { return entries_of(folder); }

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

/* ---- Loading, measured --------------------------------------------------------------------------- */

#if ALLOCATIONS_ARE_COUNTED
static double most_taken; /* the largest ratio of a load's memory to the file's size, for files of 1000 bytes or more */

/* jansson needs about 330 bytes for the 3 of "{},"; the weights of a single neuron fill a panel of 32. */
static size_t bound(size_t file_size) { return 128 * file_size + 16384; }
#endif

/* Calls chainrule_network_load, and checks that its memory is proportional to the file, and freed after an
 * error. */
static chainrule_status load(const char *path, chainrule_network **network, chainrule_error *error)
{
#if ALLOCATIONS_ARE_COUNTED
  struct stat info = {0};
  stat(path, &info);
  const size_t size = (size_t)info.st_size, before = in_use;
  peak = before;
  const chainrule_status status = chainrule_network_load(path, network, error);
  const size_t taken = peak - before;
  check(taken <= bound(size), __LINE__, "a file of %zu bytes took %zu bytes of memory", size, taken);
  check(!status || in_use == before, __LINE__, "loading failed, and keeps %zu bytes", in_use - before);
  if (size >= 1000 && (double)taken / (double)size > most_taken) most_taken = (double)taken / (double)size;
  return status;
#else
  return chainrule_network_load(path, network, error);
#endif
}

/* ---- Networks to save --------------------------------------------------------------------------- */

/* 2 → 2 tanh → 1 identity: layers.0.bias and layers.1.weights have the same size. */
static chainrule_network *small(chainrule_scalar scalar)
{
  const chainrule_layer layers[] = {{.units = 2, .activation = CHAINRULE_ACTIVATION_TANH},
                                    {.units = 1, .activation = CHAINRULE_ACTIVATION_IDENTITY}};
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES,
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
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES,
      .scalar = scalar, .inputs = 5, .layer_count = 3, .layers = layers};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 11, e));
  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_FEATURE_NAMES, features, 5, e));
  ACCEPTED(chainrule_network_set_names(network, CHAINRULE_CLASS_LABELS, classes, 3, e));
  static const char metadata[] = "{\"größe\": \"Δx\\n\", \"日本\": [1, 2]}\x01 \xf0\x9f\x98\x80";
  ACCEPTED(chainrule_network_set_metadata(network, metadata, sizeof metadata - 1, e));
  return network;
}

/* Every kind of layer that a file can hold, with a different number in every parameter. */
static chainrule_network *varied(chainrule_scalar scalar)
{
  const chainrule_layer layers[] = {
      {.kind = CHAINRULE_LAYER_SCALING},
      {.units = 3, .activation = CHAINRULE_ACTIVATION_SILU},
      {.kind = CHAINRULE_LAYER_BATCH_NORM, .momentum = 0.25, .epsilon = 0.125},
      {.kind = CHAINRULE_LAYER_ACTIVATION, .activation = CHAINRULE_ACTIVATION_RELU},
      {.kind = CHAINRULE_LAYER_DROPOUT, .rate = 0.75},
      {.units = 3, .activation = CHAINRULE_ACTIVATION_TANH, .no_bias = true},
      {.kind = CHAINRULE_LAYER_LAYER_NORM, .epsilon = 0.0625},
      {.kind = CHAINRULE_LAYER_RESIDUAL, .span = 2},
      {.units = 2},
  };
  const chainrule_network_description description = {
      CHAINRULE_NETWORK_DESCRIPTION_SIZES,
      .scalar = scalar, .inputs = 2, .layer_count = sizeof layers / sizeof *layers, .layers = layers};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (!network) exit(1);
  ACCEPTED(chainrule_network_initialize(network, 3, e));
  for (size_t l = 0; l < description.layer_count; l++)
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      const size_t count = chainrule_network_parameter_size(network, l, (chainrule_parameter)p);
      float values[16];
      double wide[16];
      for (size_t k = 0; k < count; k++) wide[k] = values[k] = (float)((double)(100 * l + 10 * (size_t)p + k + 1) / 16);
      if (count && scalar == CHAINRULE_FLOAT32)
        ACCEPTED(chainrule_network_set_parameter_f32(network, l, (chainrule_parameter)p, values, count, e));
      if (count && scalar == CHAINRULE_FLOAT64)
        ACCEPTED(chainrule_network_set_parameter_f64(network, l, (chainrule_parameter)p, wide, count, e));
    }
  return network;
}

typedef chainrule_network *maker(chainrule_scalar scalar);
static maker *const makers[] = {small, rich, varied};
static const char *const maker_names[] = {"small", "rich", "varied"};
enum { MAKERS = sizeof makers / sizeof *makers };

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
            ? chainrule_network_get_parameter_f32(networks[i], layer, parameter, (float *)(void *)values[i], count,
                                        NULL)
            : chainrule_network_get_parameter_f64(networks[i], layer, parameter, values[i], count, NULL);
    if (status) return false;
  }
  return memcmp(values[0], values[1], count * size) == 0;
}

static bool same_metadata(const chainrule_network *a, const chainrule_network *b)
{
  const char *of_a = chainrule_network_metadata(a), *of_b = chainrule_network_metadata(b);
  return of_a && of_b ? strcmp(of_a, of_b) == 0 : of_a == of_b;
}

/* The same architecture, names, metadata and parameters, bit by bit. */
static bool same_network(const chainrule_network *a, const chainrule_network *b)
{
  if (!same_metadata(a, b)) return false;
  size_t inputs = chainrule_network_inputs(a), count = chainrule_network_layer_count(a);
  if (chainrule_network_scalar(b) != chainrule_network_scalar(a) || chainrule_network_inputs(b) != inputs ||
      chainrule_network_layer_count(b) != count)
    return false;
  for (size_t l = 0; l < count; l++) {
    chainrule_layer x, y;
    if (chainrule_network_layer(a, l, &x, sizeof(chainrule_layer), NULL) || chainrule_network_layer(b, l, &y, sizeof(chainrule_layer), NULL)) return false;
    if (x.kind != y.kind || x.units != y.units || x.activation != y.activation || x.no_bias != y.no_bias ||
        memcmp(&x.rate, &y.rate, sizeof x.rate) != 0 || memcmp(&x.epsilon, &y.epsilon, sizeof x.epsilon) != 0 ||
        memcmp(&x.momentum, &y.momentum, sizeof x.momentum) != 0 || x.span != y.span)
      return false;
    if (x.kind == CHAINRULE_LAYER_DENSE &&
        (!same_initializer(x.weights, y.weights) || !same_initializer(x.bias, y.bias)))
      return false;
    for (int p = 0; p < CHAINRULE_PARAMETER_COUNT; p++) {
      const chainrule_parameter parameter = (chainrule_parameter)p;
      const size_t size = chainrule_network_parameter_size(a, l, parameter);
      if (size && !same_parameter(a, b, l, parameter, size)) return false;
    }
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

/* ---- Saving and loading ------------------------------------------------------------------------- */

static void round_trips(void)
{
  for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++)
    for (size_t m = 0; m < MAKERS; m++) {
      chainrule_network *saved = makers[m]((chainrule_scalar)scalar);
      chainrule_network *loaded = NULL;
      ACCEPTED(chainrule_network_save(saved, in_folder("model"), e));
      ACCEPTED(load(in_folder("model"), &loaded, e));
      check(loaded && same_network(saved, loaded), __LINE__, "round trip of the %s network, scalar %d",
            maker_names[m], scalar);

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

/* Numbers in a file have a decimal point in any locale of the host. */
static void ignores_the_locale(void)
{
  if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "fr_FR.UTF-8")) {
    skipped("a locale with a decimal comma", "none is installed");
    return;
  }
  chainrule_network *saved = rich(CHAINRULE_FLOAT32), *loaded = NULL;
  ACCEPTED(chainrule_network_save(saved, in_folder("model"), e));
  setlocale(LC_ALL, "C");
  ACCEPTED(load(in_folder("model"), &loaded, e));
  HOLDS(loaded && same_network(saved, loaded));
  chainrule_network_free(loaded);
  chainrule_network_free(saved);
}

/* ---- Damage ------------------------------------------------------------------------------------- */

static void rejects_every_truncation(chainrule_network *network)
{
  const char *path = in_folder("truncated");
  ACCEPTED(chainrule_network_save(network, path, e));
  contents file = read_file(path);
  for (size_t size = file.size; size-- > 0;) {
    chainrule_network *loaded = network;
    HOLDS(truncate(path, (off_t)size) == 0);
    chainrule_status status = load(path, &loaded, e);
    check(status == CHAINRULE_INVALID_FILE && !loaded && e->message[0], __LINE__,
          "cut to %zu of %zu bytes: status %d, \"%s\"", size, file.size, (int)status, e->message);
    chainrule_network_free(loaded);
  }
}

static void notices_every_flipped_bit(chainrule_network *network)
{
  const char *path = in_folder("flipped");
  ACCEPTED(chainrule_network_save(network, path, e));
  contents file = read_file(path);
  int descriptor = open(path, O_WRONLY);
  size_t harmless = 0;
  for (size_t bit = 0; bit < 8 * file.size; bit++) {
    unsigned char byte = (unsigned char)(file.bytes[bit / 8] ^ 1u << bit % 8);
    HOLDS(pwrite(descriptor, &byte, 1, (off_t)(bit / 8)) == 1);
    chainrule_network *loaded = NULL;
    chainrule_status status = load(path, &loaded, e);
    bool same = !status && same_network(network, loaded);
    check(same || (status == CHAINRULE_INVALID_FILE && !loaded && e->message[0]), __LINE__,
          "bit %zu of byte %zu: status %d, \"%s\"", bit % 8, bit / 8, (int)status, e->message);
    harmless += same;
    chainrule_network_free(loaded);
    HOLDS(pwrite(descriptor, &file.bytes[bit / 8], 1, (off_t)(bit / 8)) == 1);
  }
  /* Nothing depends on the word "format" and its value. */
  check(harmless <= 8 * strlen("formatchainrule"), __LINE__, "%zu flips were harmless", harmless);
  close(descriptor);
}

static void survives_any_damage(void)
{
  maker *const damaged[] = {small, varied};
  for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
    chainrule_network *network = damaged[i](CHAINRULE_FLOAT32);
    rejects_every_truncation(network);
    notices_every_flipped_bit(network);
    chainrule_network_free(network);
  }
}

/* The file `original` with the first `from` in its header replaced by `to`, the length adjusted, and `more`
 * bytes of data added, or removed if negative. */
static void edit(const char *original, const char *from, const char *to, int more)
{
  const char *path = in_folder("edited");
  contents file = read_file(in_folder(original)), edited = {0};
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

/* 2560 nested arrays; jansson accepts 2048. */
#define DEEP8 "[[[[[[[["
#define DEEP64 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8 DEEP8
#define DEEP512 DEEP64 DEEP64 DEEP64 DEEP64 DEEP64 DEEP64 DEEP64 DEEP64
#define DEEP DEEP512 DEEP512 DEEP512 DEEP512 DEEP512

typedef struct damage {
  const char *from, *to;
  int more;
  size_t layer;
  const char *message;
} damage;

static const damage damages_of_small[] = {
      {"{", "[", 0, 0, "header: "},
      {B1 "}", B1, 0, 0, "header: '}' expected near end of file (line 1, column "},
      {"\"__metadata__\":{", "\"__metadata__\":[],\"other\":{", 0, 0,
       "no __metadata__.chainrule: a safetensors file"},
      {"\"__metadata__\":{\"format\":\"chainrule\",\"chainrule\"", "\"__metadata__\":{\"model\"", 0, 0,
       "no __metadata__.chainrule: a safetensors file, but not a Chainrule model"},
      {"\"format\"", "\"checksum\"", 0, 0, "header: duplicate object key near '\"checksum\"'"},
      {"\"checksum\":\"fnv1a64:", "\"checksum\":\"md5:", 0, 0, "checksum: the contents have fnv1a64:"},
      {"\"checksum\"", "\"sum\"", 0, 0, "no __metadata__.checksum"},
      {"\"chainrule\":\"{", "\"chainrule\":\"", 0, 0, "architecture: "},
      {"\"chainrule\":\"{", "\"chainrule\":\"[0] {", 0, 0, "architecture: end of file expected near '{'"},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":2", 0, 0, "formatVersion: 2; Chainrule 0."},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":4294967297", 0, 0, "formatVersion: 4294967297; "},
      {Q "formatVersion" Q ":1", Q "formatVersion" Q ":1.0", 0, 0, "architecture: Expected integer, got real"},
      {Q "formatVersion" Q, Q "version" Q, 0, 0, "architecture: duplicate object key"},
      {Q "float32" Q, Q "float16" Q, 0, 0, "no scalar is named \"float16\"; there are: float32, float64"},
      {Q "inputs" Q ":2", Q "inputs" Q ":0", 0, 0, "inputs: 0; expected 1 to 2147483647"},
      {Q "inputs" Q ":2", Q "inputs" Q ":-2", 0, 0, "inputs: -2; expected 1 to 2147483647"},
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
      {Q "units" Q ":2", Q "units" Q ":0", 0, 1, "layer 1, units: 0; expected 1 to 2147483647"},
      {Q "units" Q ":1", Q "units" Q ":2147483648", 0, 2, "layer 2, units: 2147483648; expected 1 to 2147483647"},
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
      {"\"layers.1.bias\"", "\"layers.1.biases\"", 0, 2, "layer 2, bias: missing; expected a tensor layers.1.bias"},
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
      {"[0,16]", "[0,15]", 0, 1, "layer 1, weights: data_offsets [0, 15], but the tensor has 16 bytes"},
      {"[0,16]", "[16,0]", 0, 1, "layer 1, weights: data_offsets [16, 0], but the data has 36 bytes"},
      {"[0,16]", "[-16,0]", 0, 1, "layer 1, weights: data_offsets [-16, 0], but"},
      {"[0,16]", "[-9223372036854775808,9223372036854775807]", 0, 1, "layer 1, weights: data_offsets [-9223"},
      {"[0,16]", "[9223372036854775791,9223372036854775807]", 0, 1,
       "layer 1, weights: data_offsets [9223372036854775791, 9223372036854775807], but the data has 36 bytes"},
      {"[0,16]", "[0,16,16]", 0, 1, "layer 1, weights: 1 array item(s) left unpacked"},
      {"[0,16]", "[1,17]", 0, 1, "layer 1, weights: begins at 1, after a gap from 0"},
      {"[16,24]", "[8,16]", 0, 1, "layer 1, bias: begins at 8, but another tensor ends at 16"},
      {"[32,36]", "[36,40]", 4, 2, "layer 2, bias: begins at 36, after a gap from 32"},
      {"[32,36]", "[36,40]", 0, 2, "layer 2, bias: data_offsets [36, 40], but the data has 36 bytes"},
      {"{", "{", 1, 0, "data: 1 bytes after the last tensor"},
      {"{", "{", -1, 2, "layer 2, bias: data_offsets [32, 36], but the data has 35 bytes"},
      {W0 ",", "", 0, 1, "layer 1, weights: missing; expected a tensor layers.0.weights"},
      /* An architecture with a petabyte of parameters, in a small file. */
      {Q "inputs" Q ":2", Q "inputs" Q ":2147483647", 0, 1,
       "layer 1, weights: shape [2, 2], but the architecture says [2, 2147483647]"},
      {W0, W0 "," W0, 0, 0, "header: duplicate object key near '\"layers.0.weights\"'"},
      {"\"dtype\":\"F32\"", "\"dtype\":\"F32\",\"dtype\":\"F32\"", 0, 0, "header: duplicate object key near '\"dtype\"'"},
      /* Their product is 4 modulo 2^64. */
      {"\"shape\":[2,2]", "\"shape\":[4194305,4194305,211106198978564]", 0, 1,
       "layer 1, weights: shape [4194305, 4194305, 211106198978564], but the architecture says [2, 2]"},
      {"\"shape\":[2,2]", "\"shape\":[-2,-2]", 0, 1, "layer 1, weights: shape [-2, -2], but the"},
      {"[0,16]", "[0,1.6e1]", 0, 1, "layer 1, weights: Expected integer, got real"},
      {"[0,16]", "[0,18446744073709551616]", 0, 0, "header: too big integer"},
      {"[0,16]", "16", 0, 1, "layer 1, weights: Expected array, got integer"},
      {"{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}", "null", 0, 1,
       "layer 1, weights: Expected object, got null"},
      {Q "units" Q ":2", Q "units" Q ":1e300", 0, 1, "layer 1: Expected integer, got real"},
      {Q "units" Q ":2", Q "units" Q ":1e999", 0, 0, "architecture: real number overflow"},
      {Q "units" Q ":2", Q "units" Q ":1.5", 0, 1, "layer 1: Expected integer, got real"},
      {Q "units" Q ":2", Q "units" Q ":-2", 0, 1, "layer 1, units: -2; expected 1 to 2147483647"},
      {Q "units" Q ":2", Q "units" Q ":18446744073709551618", 0, 0, "architecture: too big integer"},
      {Q "units" Q ":2", Q "units" Q ":NaN", 0, 0, "architecture: invalid token near 'NaN'"},
      {Q "kind" Q ":" Q "glorotUniform" Q "," Q "value" Q ":0.0", Q "kind" Q ":" Q "uniform" Q "," Q "value" Q ":-1", 0, 1,
       "layer 1, weights: the value of initializer uniform must be finite and not negative"},
      {Q "inputs" Q, Q "features" Q ":[" Q "a" Q "," Q "b\\\\u0000c" Q "]," Q "inputs" Q, 0, 0,
       "architecture: \\u0000 is not allowed"},
      {Q "inputs" Q, Q "features" Q ":[" Q "a" Q "," Q "\\\\ud800" Q "]," Q "inputs" Q, 0, 0,
       "architecture: invalid Unicode '\\uD800'"},
      {Q "inputs" Q, Q "features" Q ":[" Q "a" Q "," Q "\xff" Q "]," Q "inputs" Q, 0, 0,
       "header: unable to decode byte 0xff"},
      {Q "inputs" Q, Q "features" Q ":[" Q "a" Q "," Q "\xc0\x80" Q "]," Q "inputs" Q, 0, 0,
       "header: unable to decode byte 0xc0"},
      {"\"layers.0.weights\"", "\"a\\u0000\":{},\"layers.0.weights\"", 0, 0, "header: NUL byte in object key not supported"},
      {Q "inputs" Q, Q "deep" Q ":" DEEP "," Q "inputs" Q, 0, 0, "architecture: maximum parsing depth reached"},
};

static const damage damages_of_varied[] = {
      {Q "scaling" Q, Q "layerNorm" Q, 0, 1, "layer 1: Object item not found: epsilon"},
      {Q "scaling" Q, Q "activation" Q, 0, 1, "layer 1: Object item not found: activation"},
      {Q "scaling" Q, Q "custom" Q, 0, 1, "layer 1: custom, a user-supplied function, which a file cannot hold"},
      {Q "scaling" Q, Q "dropout" Q "," Q "rate" Q ":0", 0, 0, "header: the architecture has no tensor \"layers.0.mean\""},
      {Q "batchNorm" Q, Q "layerNorm" Q, 0, 0, "header: the architecture has no tensor \"layers.2.mean\""},
      {Q "momentum" Q ":0.25", Q "momentum" Q ":0", 0, 3, "layer 3, momentum: 0; expected a number above 0"},
      {Q "momentum" Q ":0.25", Q "momentum" Q ":1e-999", 0, 3, "layer 3, momentum: 0; expected a number above 0"},
      {Q "momentum" Q ":0.25", Q "momentum" Q ":-0.25", 0, 3, "layer 3, batchNorm: momentum must be above 0, and at most 1"},
      {Q "momentum" Q ":0.25", Q "momentum" Q ":1.25", 0, 3, "layer 3, batchNorm: momentum must be above 0, and at most 1"},
      {Q "momentum" Q ":0.25", Q "momentum" Q ":true", 0, 3, "layer 3: Expected real or integer, got true"},
      {Q "momentum" Q ":0.25,", "", 0, 3, "layer 3: Object item not found: momentum"},
      {Q "epsilon" Q ":0.125", Q "epsilon" Q ":0.0", 0, 3, "layer 3, epsilon: 0; expected a number above 0"},
      {Q "epsilon" Q ":0.125", Q "epsilon" Q ":-1e-5", 0, 3, "layer 3, batchNorm: epsilon must be a finite number above 0"},
      {Q "epsilon" Q ":0.0625", Q "epsilon" Q ":0", 0, 7, "layer 7, epsilon: 0; expected a number above 0"},
      {Q "epsilon" Q ":0.0625", Q "epsilon" Q ":-1", 0, 7, "layer 7, layerNorm: epsilon must be a finite number above 0"},
      {Q "relu" Q, Q "softmax" Q, 0, 4, "layer 4 is softmax, which only the last layer (9) may be"},
      {Q "relu" Q, Q "custom" Q, 0, 4, "layer 4: no activation is named \"custom\"; there are: identity, "},
      {Q "rate" Q ":0.75", Q "rate" Q ":1", 0, 5, "layer 5, dropout: rate must be 0 or more, and less than 1"},
      {Q "rate" Q ":0.75", Q "rate" Q ":-0.75", 0, 5, "layer 5, dropout: rate must be 0 or more, and less than 1"},
      {Q "rate" Q ":0.75", Q "rate" Q ":1e300", 0, 5, "layer 5, dropout: rate must be 0 or more, and less than 1"},
      {Q "rate" Q ":0.75", Q "rate" Q ":1e999", 0, 0, "architecture: real number overflow"},
      {Q "rate" Q ":0.75", Q "rate" Q ":null", 0, 5, "layer 5: Expected real or integer, got null"},
      {Q "span" Q ":2", Q "span" Q ":0", 0, 8, "layer 8, span: 0; expected 1 to 2147483647"},
      {Q "span" Q ":2", Q "span" Q ":-2", 0, 8, "layer 8, span: -2; expected 1 to 2147483647"},
      {Q "span" Q ":2", Q "span" Q ":4294967298", 0, 8, "layer 8, span: 4294967298; expected 1 to 2147483647"},
      {Q "span" Q ":2", Q "span" Q ":2.0", 0, 8, "layer 8: Expected integer, got real"},
      {Q "span" Q ":2", Q "span" Q ":8", 0, 8, "layer 8, residual: span is 8; expected 1 to 7, the layers before it"},
      {Q "span" Q ":2", Q "span" Q ":7", 0, 8,
       "layer 8, residual: its block of 7 layers has 2 inputs and 3 outputs; expected the same number"},
      {Q "span" Q ":2", Q "long" Q ":2", 0, 8, "layer 8: Object item not found: span"},
      {"\"layers.2.gamma\"", "\"layers.2.weights\"", 0, 3, "layer 3, gamma: missing; expected a tensor layers.2.gamma"},
      {"\"layers.0.mean\"", "\"layers.3.mean\"", 0, 1, "layer 1, mean: missing; expected a tensor layers.0.mean"},
      {"\"layers.0.mean\"", "\"layers.3.bias\":{},\"layers.0.mean\"", 0, 0,
       "header: the architecture has no tensor \"layers.3.bias\""},
      {"\"layers.2.gamma\":{\"dtype\":\"F32\",\"shape\":[3]", "\"layers.2.gamma\":{\"dtype\":\"F32\",\"shape\":[1,3]", 0, 3,
       "layer 3, gamma: shape [1, 3], but the architecture says [3]"},
      {"\"layers.6.beta\":{\"dtype\":\"F32\"", "\"layers.6.beta\":{\"dtype\":\"F64\"", 0, 7,
       "layer 7, beta: dtype F64, but the architecture says F32"},
      {"\"layers.0.deviation\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]",
       "\"layers.0.deviation\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]", 0, 1,
       "layer 1, deviation: begins at 0, but another tensor ends at 8"},
};
static void names_each_damage(const char *original, chainrule_network *network, const damage *damages, size_t count)
{
  ACCEPTED(chainrule_network_save(network, in_folder(original), e));
  for (size_t i = 0; i < count; i++) {
    const damage *d = &damages[i];
    char what[80];
    snprintf(what, sizeof what, "case %zu: %.50s", i, d->to);
    edit(original, d->from, d->to, d->more);
    chainrule_network *loaded = network;
    refused(CHAINRULE_INVALID_FILE, d->layer, d->message, load(in_folder("edited"), &loaded, e), e, __LINE__, what);
    HOLDS(!loaded);
    HOLDS(load(in_folder("edited"), &loaded, NULL) == CHAINRULE_INVALID_FILE);
  }
}

static void names_what_is_wrong(void)
{
  chainrule_network *network = varied(CHAINRULE_FLOAT32);
  names_each_damage("varied", network, damages_of_varied,
                    sizeof damages_of_varied / sizeof *damages_of_varied);
  chainrule_network_free(network);
  network = small(CHAINRULE_FLOAT32);
  names_each_damage("small", network, damages_of_small,
                    sizeof damages_of_small / sizeof *damages_of_small);

  /* Harmless changes: to what no tensor depends on, and to the order of the tensors. */
  edit("small", "\"format\":\"chainrule\"", "\"format\":\"pt\",\"note\":\"mine\"", 0);
  chainrule_network *loaded = NULL;
  ACCEPTED(load(in_folder("edited"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);

  edit("small", B0 "," W1,
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
  ACCEPTED(load(in_folder("edited"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);
  chainrule_network_free(network);
}

/* A file with this TEXT, these entries of tensors, and `size` bytes of data, all 0. */
static void write_model(const char *text, const char *tensors, size_t size)
{
  static const char form[] = "{\"__metadata__\":{\"checksum\":\"\",\"chainrule\":\"%s\"}%s}";
  const size_t room = sizeof form + strlen(text) + strlen(tensors);
  unsigned char *file = calloc(8 + room + size, 1);
  if (!file) exit(1);
  const size_t length = (size_t)snprintf((char *)file + 8, room, form, text, tensors);
  for (int i = 0; i < 8; i++) file[i] = (unsigned char)(length >> 8 * i);
  memset(file + 8 + length, 0, room - length);
  write_file(in_folder("made"), file, 8 + length + size);
  free(file);
}

#define TEXT(scalar, inputs, layers)                                                                \
  "{" Q "formatVersion" Q ":1," Q "scalar" Q ":" Q scalar Q "," Q "inputs" Q ":" inputs "," Q "layers" Q ":[" layers "]}"
#define DENSE(units) "{" Q "type" Q ":" Q "dense" Q "," Q "units" Q ":" units "," Q "activation" Q ":" Q "relu" Q "," Q "bias" Q ":false}"

/* Shapes whose product overflows, the same in the architecture and the header. */
static void rejects_sizes_beyond_memory(void)
{
  chainrule_network *loaded = NULL;
  write_model(TEXT("float64", "2147483647", DENSE("2147483647")),
              ",\"layers.0.weights\":{\"dtype\":\"F64\",\"shape\":[2147483647,2147483647],\"data_offsets\":[0,16]}", 16);
  chainrule_status status = load(in_folder("made"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 1,
          "layer 1, weights: shape [2147483647, 2147483647] needs more bytes than can be addressed", status,
          e, __LINE__, "a network of 2^65 bytes");
  write_model(TEXT("float32", "2147483647", DENSE("2147483647") "," DENSE("2147483647")),
              ",\"layers.0.weights\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647],\"data_offsets\":[0,16]}", 16);
  status = load(in_folder("made"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 2,
          "layer 2, weights: shape [2147483647, 2147483647] needs more bytes than can be addressed", status,
          e, __LINE__, "two layers of 2^64 - 2^34 bytes each");
  write_model(TEXT("float32", "2147483647", DENSE("2147483647")),
              ",\"layers.0.weights\":{\"dtype\":\"F32\",\"shape\":[2147483647,2147483647],\"data_offsets\":[0,16]}", 16);
  status = load(in_folder("made"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 1,
          "layer 1, weights: data_offsets [0, 16], but the tensor has 18446744056529682436 bytes",
          status, e, __LINE__, "a network of 2^64 bytes, nearly");
}

/* The text `piece` repeated, with commas between. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after)
{
  const size_t length = strlen(piece);
  char *text = calloc(strlen(before) + (length + 1) * count + strlen(after) + 1, 1);
  if (!text) exit(1);
  char *next = text + sprintf(text, "%s", before);
  for (size_t i = 0; i < count; i++) next += sprintf(next, "%s%s", i ? "," : "", piece);
  strcpy(next, after);
  return text;
}

#define SCALING "{" Q "type" Q ":" Q "scaling" Q "}"
#define NORM "{" Q "type" Q ":" Q "batchNorm" Q "," Q "momentum" Q ":1," Q "epsilon" Q ":1}"
/* A checkpoint's text, which follows the architecture's. */
#define SIX_ARRAYS                                                                                  \
  "\",\"training\":\"{" Q "arrays" Q ":[" Q "a" Q "," Q "b" Q "," Q "c" Q "," Q "d" Q "," Q "epoch" Q "," Q "best" Q "]}"
#define DROPOUT "{" Q "type" Q ":" Q "dropout" Q "," Q "rate" Q ":0}"
#define BEFORE_LAYERS "{" Q "formatVersion" Q ":1," Q "scalar" Q ":" Q "float32" Q "," Q "inputs" Q ":1," Q "layers" Q ":["

/* Files that would need the most memory or time for their size. */
static void takes_memory_in_proportion(void)
{
  static const struct {
    const char *before, *piece, *after;
    size_t count, layer;
    const char *message;
  } cases[] = {
      {BEFORE_LAYERS, DROPOUT, "]}", 10001, 0, "the network has 10001 layers; expected 1 to 10000"},
      {BEFORE_LAYERS, DROPOUT, "]}", 10000, 0, "checksum: "},
      {BEFORE_LAYERS, "0", "]}", 10000, 1, "layer 1: Expected object"},
      {BEFORE_LAYERS, "{}", "]}", 10000, 1, "layer 1: Object item not found: type"},
      {BEFORE_LAYERS, "0", "]}", 200000, 0, "the network has 200000 layers; expected 1 to 10000"},
      {BEFORE_LAYERS, "{}", "]}", 100000, 0, "the network has 100000 layers; expected 1 to 10000"},
      {BEFORE_LAYERS, SCALING, "]}", 100000, 0, "the network has 100000 layers; expected 1 to 10000"},
      {BEFORE_LAYERS, SCALING, "]}" SIX_ARRAYS, 100000, 0, "the network has 100000 layers; expected 1 to 10000"},
      {BEFORE_LAYERS, SCALING, "]}" SIX_ARRAYS, 10000, 1, "layer 1, mean: missing; expected a tensor layers.0.mean"},
      {BEFORE_LAYERS, SCALING, "]}", 10000, 1, "layer 1, mean: missing; expected a tensor layers.0.mean"},
      {"{" Q "formatVersion" Q ":1," Q "features" Q ":[", "{}", "]}", 100000, 0,
       "architecture: Object item not found: scalar"},
      {"{" Q "formatVersion" Q ":1," Q "features" Q ":[", Q Q, "]}", 100000, 0,
       "architecture: Object item not found: scalar"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *text = repeated(cases[i].before, cases[i].piece, cases[i].count, cases[i].after);
    chainrule_network *loaded = NULL;
    write_model(text, "", 0);
    free(text);
    const chainrule_status status = load(in_folder("made"), &loaded, e);
    refused(CHAINRULE_INVALID_FILE, cases[i].layer, cases[i].message, status, e, __LINE__, cases[i].piece);
  }

  /* The header has as many entries as the layers have tensors, so the plan is allocated. */
  enum { ENTRIES = 200000 };
  char *entries = calloc(ENTRIES, 12), *end = entries, *text = repeated(BEFORE_LAYERS, NORM, 10000, "]}" SIX_ARRAYS);
  if (!entries) exit(1);
  for (int i = 0; i < ENTRIES; i++) end += sprintf(end, ",\"%x\":0", (unsigned)i);
  chainrule_network *loaded = NULL;
  write_model(text, entries, 0);
  free(text), free(entries);
  refused(CHAINRULE_INVALID_FILE, 1, "layer 1, gamma: missing; expected a tensor layers.0.gamma",
          load(in_folder("made"), &loaded, e), e, __LINE__, "entries of the header");

  char *zeros = repeated(",\"a\":[", "0", 200000, "]");
  write_model(TEXT("float32", "1", DROPOUT), zeros, 0);
  free(zeros);
  REFUSED(CHAINRULE_INVALID_FILE, "header: the architecture has no tensor \"a\"", load(in_folder("made"), &loaded, e));

  /* One neuron, in a panel of many. */
  write_model(TEXT("float32", "100000", DENSE("1")),
              ",\"layers.0.weights\":{\"dtype\":\"F32\",\"shape\":[1,100000],\"data_offsets\":[0,400000]}", 400000);
  REFUSED(CHAINRULE_INVALID_FILE, "checksum: ", load(in_folder("made"), &loaded, e));
}

static void rejects_what_is_no_model(void)
{
  chainrule_network *loaded = NULL;
  write_file(in_folder("not"), "", 0);
  REFUSED(CHAINRULE_INVALID_FILE, "file: 0 bytes; expected a safetensors file",
          load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "a,b,c\n1,2,3\n", 12);
  REFUSED(CHAINRULE_INVALID_FILE,
          "header: 3184337832590322785 bytes, but only 4 follow; the file is truncated",
          load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\0\0\0\0\0\0\0\0{}", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "header: ", load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\2\0\0\0\0\0\0\0{}", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "no __metadata__.chainrule",
          load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\2\0\0\0\0\0\0\0[]", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "header: not a JSON object",
          load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\4\0\0\0\0\0\0\0{\"\xff\"", 12);
  REFUSED(CHAINRULE_INVALID_FILE, "header: unable to decode byte 0xff",
          load(in_folder("not"), &loaded, e));

  write_file(in_folder("not"), "\6\0\0\0\0\0\0\0{\"\0\":", 14);
  REFUSED(CHAINRULE_INVALID_FILE, "header: control character 0x0", load(in_folder("not"), &loaded, e));
  write_file(in_folder("not"), "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
  REFUSED(CHAINRULE_INVALID_FILE, "header: 18446744073709551615 bytes, but only 2 follow; the file is truncated",
          load(in_folder("not"), &loaded, e));

  unsigned char nested[8 + 65535] = {0xff, 0xff};
  memset(nested + 8, '[', 65535);
  write_file(in_folder("not"), nested, sizeof nested);
  REFUSED(CHAINRULE_INVALID_FILE, "header: maximum parsing depth",
          load(in_folder("not"), &loaded, e));

  /* A header of 100 000 001 bytes, in a sparse file. */
  write_file(in_folder("not"), "\x01\xe1\xf5\x05\0\0\0\0", 8);
  HOLDS(truncate(in_folder("not"), 100000016) == 0);
  REFUSED(CHAINRULE_INVALID_FILE, "header: 100000001 bytes; expected at most 100000000",
          load(in_folder("not"), &loaded, e));
}

static void rejects_values_that_are_not_finite(void)
{
  chainrule_network *network = small(CHAINRULE_FLOAT32), *loaded = NULL;
  ACCEPTED(chainrule_network_save(network, in_folder("model"), e));
  contents file = read_file(in_folder("model"));
  memcpy(file.bytes + file.size - 8, "\0\0\xc0\x7f", 4); /* NaN */
  write_file(in_folder("model"), file.bytes, file.size);
  chainrule_status status = load(in_folder("model"), &loaded, e);
  refused(CHAINRULE_INVALID_FILE, 2, "layer 2, weights: value 2 is NaN", status, e, __LINE__,
          "a NaN in the data");
  chainrule_network_free(network);

  static const struct {
    size_t at;
    float value;
    size_t layer;
    const char *message;
  } values[] = {
      {8, 0, 1, "layer 1, deviation: value 1 is 0; expected above 0"},
      {12, -2, 1, "layer 1, deviation: value 2 is -2; expected above 0"},
      {88, -1, 3, "layer 3, variance: value 1 is -1; expected 0 or more"},
      {96, (float)INFINITY, 3, "layer 3, variance: value 3 is infinity"},
      {64, (float)-INFINITY, 3, "layer 3, beta: value 1 is -infinity"},
      {188, (float)NAN, 9, "layer 9, bias: value 2 is NaN"},
  };
  network = varied(CHAINRULE_FLOAT32);
  ACCEPTED(chainrule_network_save(network, in_folder("model"), e));
  file = read_file(in_folder("model"));
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    contents changed = file;
    memcpy(changed.bytes + changed.size - 192 + values[i].at, &values[i].value, sizeof(float));
    write_file(in_folder("model"), changed.bytes, changed.size);
    status = load(in_folder("model"), &loaded, e);
    refused(CHAINRULE_INVALID_FILE, values[i].layer, values[i].message, status, e, __LINE__, values[i].message);
  }
  chainrule_network_free(network);

  /* 1e300 as a float is infinity. */
  const chainrule_layer layers[] = {{.units = 1},
                                    {.units = 1, .bias = {CHAINRULE_INITIALIZER_CONSTANT, 1e300}}};
  const chainrule_network_description description = {CHAINRULE_NETWORK_DESCRIPTION_SIZES, .inputs = 1, .layer_count = 2, .layers = layers};
  ACCEPTED(chainrule_network_create(&description, &network, e));
  if (chainrule_network_initialize(network, 0, e) == CHAINRULE_OK) {
    size_t before = entries();
    status = chainrule_network_save(network, in_folder("infinite"), e);
    refused(CHAINRULE_NOT_FINITE, 2, "layer 2, bias: value 1 is infinite", status, e, __LINE__,
            "saving infinity");
    HOLDS(entries() == before);
  }
  chainrule_network_free(network);
}

/* ---- The operating system refuses --------------------------------------------------------------- */

static void reports_refused_reads(void)
{
  chainrule_network *loaded = NULL;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is empty", load("", &loaded, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is NULL", chainrule_network_load(NULL, &loaded, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network is NULL", load("x", NULL, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: No such file",
          load(in_folder("none"), &loaded, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: Is a directory", chainrule_network_load(folder, &loaded, e));
  HOLDS(mkfifo(in_folder("pipe"), 0600) == 0);
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: not a regular file",
          load(in_folder("pipe"), &loaded, e));
  HOLDS(unlink(in_folder("pipe")) == 0);
}

/* Saving over the file of another network must fail, and leave that file and no other. */
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
  REFUSED(CHAINRULE_FILE_FAILED, "cannot write: no process reads from this pipe",
          chainrule_network_save(network, in_folder("pipe"), e));
  struct stat info;
  HOLDS(stat(in_folder("pipe"), &info) == 0 && S_ISFIFO(info.st_mode));
  HOLDS(unlink(in_folder("pipe")) == 0);

  HOLDS(chmod(in_folder("old"), 0444) == 0);
  fails_and_leaves("a read-only file", in_folder("old"), "cannot write: the file is read-only");
  HOLDS(chmod(in_folder("old"), 0600) == 0);
  if (geteuid() == 0) {
    skipped("a folder that is read-only", "root may write into it");
  } else {
    HOLDS(chmod(folder, 0500) == 0);
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

  chainrule_network_free(network);
}

#ifdef __linux__

static void write_text(const char *path, const char *text)
{
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  const ssize_t written = write(file, text, strlen(text));
  (void)written;
  close(file);
}

/* Enters a mount namespace of this process: as root, or as the root of a user namespace. */
static bool has_own_mounts(void)
{
  if (unshare(CLONE_NEWNS) != 0) {
    char users[40], groups[40];
    snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", users);
    write_text("/proc/self/gid_map", groups);
  }
  return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A file system of 64 KiB, with a model and a file that fills it. */
static void reports_a_full_disk(chainrule_network *network)
{
  char path[sizeof folder + 20], other[sizeof folder + 20];
  HOLDS(mkdir(in_folder("disk"), 0700) == 0);
  if (mount("tmpfs", in_folder("disk"), "tmpfs", 0, "size=64k") != 0) {
    skipped("a full disk", strerror(errno));
    return;
  }
  snprintf(path, sizeof path, "%s/disk/model", folder);
  snprintf(other, sizeof other, "%s/disk/other", folder);
  ACCEPTED(chainrule_network_save(network, path, e));
  const int file = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  static const char page[4096];
  while (write(file, page, sizeof page) > 0) continue;
  fails_and_leaves("a full disk", path, "cannot write: No space left on device");
  fails_and_leaves("a new file on a full disk", in_folder("disk/new"), "cannot write: No space left on device");
  check(entries_of(in_folder("disk")) == 2, __LINE__, "a full disk: a file was left behind");

  close(file);
  HOLDS(unlink(other) == 0);
  ACCEPTED(chainrule_network_save(network, path, e));
  HOLDS(umount2(in_folder("disk"), MNT_DETACH) == 0);
}

static void reports_a_read_only_disk(chainrule_network *network)
{
  HOLDS(mkdir(in_folder("disk"), 0700) == 0 || errno == EEXIST);
  if (mount(in_folder("disk"), in_folder("disk"), NULL, MS_BIND, NULL) != 0) {
    skipped("a read-only disk", strerror(errno));
    return;
  }
  ACCEPTED(chainrule_network_save(network, in_folder("disk/model"), e));
  HOLDS(mount(NULL, in_folder("disk"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
  fails_and_leaves("a read-only disk", in_folder("disk/model"), "cannot write: Read-only file system");
  fails_and_leaves("a new file on a read-only disk", in_folder("disk/new"),
                   "cannot write into the folder: Read-only file system");
  check(entries_of(in_folder("disk")) == 1, __LINE__, "a read-only disk: a file was left behind");
  HOLDS(mount(NULL, in_folder("disk"), NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
  HOLDS(unlink(in_folder("disk/model")) == 0);
  HOLDS(umount2(in_folder("disk"), MNT_DETACH) == 0);
}

static void reports_what_disks_refuse(void)
{
  if (!has_own_mounts()) {
    skipped("a full disk, and a read-only one", "this process may not mount any");
    return;
  }
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  reports_a_full_disk(network);
  reports_a_read_only_disk(network);
  chainrule_network_free(network);
}

#else

static void reports_what_disks_refuse(void)
{
  skipped("a full disk, and a read-only one", "they take Linux's mount namespaces");
}

#endif

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

/* ---- Metadata ----------------------------------------------------------------------------------- */

static void metadata_is_text(void)
{
  static const struct {
    const char *text;
    size_t length;
    const char *message;
  } wrong[] = {
      {"a\xff", 2, "metadata: byte 2, 0xff, is not UTF-8"},
      {"ab\x80", 3, "metadata: byte 3, 0x80, is not UTF-8"},
      {"\xc0\xaf", 2, "metadata: byte 1, 0xc0, is not UTF-8"},         /* overlong */
      {"\xe0\x9f\xbf", 3, "metadata: byte 1, 0xe0, is not UTF-8"},     /* overlong */
      {"\xf0\x8f\xbf\xbf", 4, "metadata: byte 1, 0xf0, is not UTF-8"}, /* overlong */
      {"x\xed\xa0\x80", 4, "metadata: byte 2, 0xed, is not UTF-8"},    /* a surrogate */
      {"\xf4\x90\x80\x80", 4, "metadata: byte 1, 0xf4, is not UTF-8"}, /* above U+10FFFF */
      {"\xe2\x82\xac", 2, "metadata: byte 1, 0xe2, is not UTF-8"},     /* cut */
      {"\xe2\x82 ", 3, "metadata: byte 1, 0xe2, is not UTF-8"},
      {"a\0b", 3, "metadata: byte 2 is a null character"},
      {"", 100000001, "metadata: 100000001 bytes; expected at most 100000000"},
  };
  chainrule_network *network = small(CHAINRULE_FLOAT32), *copy = NULL;
  HOLDS(!chainrule_network_metadata(network));
  static const char right[] = "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
  ACCEPTED(chainrule_network_set_metadata(network, right, sizeof right - 1, e));
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char what[24];
    snprintf(what, sizeof what, "metadata, case %zu", i);
    refused(CHAINRULE_INVALID_ARGUMENT, 0, wrong[i].message,
            chainrule_network_set_metadata(network, wrong[i].text, wrong[i].length, e), e, __LINE__, what);
    HOLDS(strcmp(chainrule_network_metadata(network), right) == 0);
  }
  ACCEPTED(chainrule_network_copy(network, &copy, e));
  HOLDS(same_metadata(network, copy));
  chainrule_network_free(copy);
  ACCEPTED(chainrule_network_fold(network, &copy, e));
  HOLDS(same_metadata(network, copy));
  chainrule_network_free(copy);
  ACCEPTED(chainrule_network_save(network, in_folder("metadata"), e));
  ACCEPTED(load(in_folder("metadata"), &copy, e));
  HOLDS(copy && same_metadata(network, copy));
  chainrule_network_free(copy);
  ACCEPTED(chainrule_network_set_metadata(network, "x", 0, e));
  HOLDS(!chainrule_network_metadata(network));
  ACCEPTED(chainrule_network_set_metadata(network, "xy", 1, e));
  HOLDS(strcmp(chainrule_network_metadata(network), "x") == 0);
  ACCEPTED(chainrule_network_set_metadata(network, NULL, 7, e));
  HOLDS(!chainrule_network_metadata(network));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network", chainrule_network_set_metadata(NULL, "x", 1, e));
  chainrule_network_free(network);
}

/* A text that fits, but becomes too long when its control characters are escaped. */
static void metadata_fits_the_header(void)
{
  enum { LENGTH = 20000000 };
  char *text = malloc(LENGTH);
  if (!text) exit(1);
  memset(text, 1, LENGTH);
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  ACCEPTED(chainrule_network_set_metadata(network, text, LENGTH, e));
  free(text);
  const size_t count = entries();
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "header: 1200", chainrule_network_save(network, in_folder("large"), e));
  HOLDS(entries() == count);
  chainrule_network_free(network);
}

static void names_damaged_metadata(void)
{
  static const damage damages[] = {
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":7", 0, 0, "userMetadata: not a string"},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":null", 0, 0, "userMetadata: not a string"},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":{\"a\":\"b\"}", 0, 0, "userMetadata: not a string"},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":\"mi\\u0000e\"", 0, 0, "header: "},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":\"m\xff\"", 0, 0, "header: unable to decode byte 0xff"},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":\"m\\ud800\"", 0, 0, "header: "},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":\"mina\"", 0, 0, "checksum: "},
      {"\"userMetadata\":\"mine\"", "\"userMetadata\":\"\"", 0, 0, "checksum: "},
      {"\"userMetadata\"", "\"userMetadat\"", 0, 0, "checksum: "},
      {"\"userMetadata\"", "\"checksum\"", 0, 0, "header: duplicate object key"},
  };
  chainrule_network *network = small(CHAINRULE_FLOAT32);
  ACCEPTED(chainrule_network_set_metadata(network, "mine", 4, e));
  names_each_damage("small", network, damages, sizeof damages / sizeof *damages);
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
  ACCEPTED(load(in_folder("fresh"), &loaded, e));
  HOLDS(loaded && same_network(network, loaded));
  chainrule_network_free(loaded);

  HOLDS(symlink("nowhere", in_folder("dangling")) == 0);
  ACCEPTED(chainrule_network_save(network, in_folder("dangling"), e));
  HOLDS(lstat(in_folder("dangling"), &info) == 0 && S_ISLNK(info.st_mode));
  ACCEPTED(load(in_folder("nowhere"), &loaded, e));
  chainrule_network_free(loaded);
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
  survives_any_damage();
  names_what_is_wrong();
  rejects_sizes_beyond_memory();
  takes_memory_in_proportion();
  rejects_what_is_no_model();
  rejects_values_that_are_not_finite();
  reports_refused_reads();
  reports_refused_writes();
  refuses_names_that_are_not_text();
  metadata_is_text();
  metadata_fits_the_header();
  names_damaged_metadata();
  keeps_permissions_and_links();
  reports_what_disks_refuse();
  remove_folder();
#if ALLOCATIONS_ARE_COUNTED
  printf("loading took at most %.1f times the file\n", most_taken);
#endif
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
