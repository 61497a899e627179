/* Importing networks from tensors of other programs: names, order, shapes and types; errors name the
 * culprit. */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chainrule.h>

static size_t passed, failed;

static void check(bool holds, int line, const char *what, const char *got)
{
  if (holds)
    ++passed;
  else
    ++failed, printf("FAILED  line %d: %s; got \"%s\"\n", line, what, got);
}
#define HOLDS(condition) check(condition, __LINE__, #condition, "")

static chainrule_error error_of_call, *e = &error_of_call;
static char path[] = "import-XXXXXX";

/* ---- Files to read ------------------------------------------------------------------------------ */

static unsigned char data[512];
static size_t data_size;

/* A file of this header and the data. */
static void write_file(const char *header)
{
  FILE *stream = fopen(path, "wb");
  const uint64_t length = strlen(header);
  bool written = stream != NULL;
  for (int i = 0; i < 8 && written; i++) written = fputc((int)(length >> 8 * i & 255), stream) != EOF;
  written = written && fwrite(header, 1, length, stream) == length &&
            fwrite(data, 1, data_size, stream) == data_size;
  if (stream) written = fclose(stream) == 0 && written;
  if (written) return;
  printf("FAILED  cannot write %s\n", path);
  exit(1);
}

/* A tensor of a header. */
#define T(name, type, shape, begin, end)                                                                     \
  "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

/* A file of these tensors, up to NULL, and the data. */
static void write_tensors(const char *const *tensors)
{
  char header[2048] = "{", *end = header + 1;
  for (size_t t = 0; tensors[t]; t++)
    end += snprintf(end, sizeof header - (size_t)(end - header), "%s%s", t ? "," : "", tensors[t]);
  strcpy(end, "}");
  write_file(header);
}
#define TENSORS(...) write_tensors((const char *const[]){__VA_ARGS__, NULL})

/* The data: floats 1, 2, 3, … */
static void count_floats(size_t count)
{
  data_size = count * sizeof(float);
  for (size_t k = 0; k < count; k++)
    memcpy(&data[k * sizeof(float)], &(float){(float)(k + 1)}, sizeof(float));
}

static const chainrule_activation relu = CHAINRULE_ACTIVATION_RELU, tanh_ = CHAINRULE_ACTIVATION_TANH,
                                  softmax = CHAINRULE_ACTIVATION_SOFTMAX,
                                  identity = CHAINRULE_ACTIVATION_IDENTITY;

static chainrule_network *import(const chainrule_activation *activations, size_t count)
{
  chainrule_network *network = NULL;
  const chainrule_status status =
      chainrule_network_import_safetensors(path, NULL, activations, count, &network, e);
  check(status == CHAINRULE_OK, __LINE__, "the import succeeds", status ? e->message : "");
  if (!network) exit(1);
  return network;
}

static bool has(const chainrule_network *network, size_t layer, chainrule_parameter parameter, size_t count,
                const float *expected)
{
  float values[64];
  return chainrule_network_parameter_size(network, layer, parameter) == count &&
         (count == 0 || chainrule_network_get_parameter_f32(network, layer, parameter, values, count, NULL) ==
                            CHAINRULE_OK) &&
         memcmp(values, expected, count * sizeof *values) == 0;
}

static chainrule_layer layer(const chainrule_network *network, size_t l)
{
  chainrule_layer layer = {0};
  HOLDS(chainrule_network_layer(network, l, &layer, sizeof(chainrule_layer), NULL) == CHAINRULE_OK);
  return layer;
}

/* ---- What is imported --------------------------------------------------------------------------- */

/* Layers are ordered by the numbers in their names, 9 before 10, in any order of the header and the data. */
static void layers_come_in_the_order_of_their_numbers(void)
{
  count_floats(6 + 2 + 2 + 1);
  TENSORS(T("net.10.weight", "F32", "[1,2]", 24, 32), T("net.9.bias", "F32", "[2]", 32, 40),
          T("net.10.bias", "F32", "[1]", 40, 44), T("net.9.weight", "F32", "[2,3]", 0, 24));
  chainrule_network *network = import((chainrule_activation[]){relu, tanh_}, 2);
  HOLDS(chainrule_network_scalar(network) == CHAINRULE_FLOAT32);
  HOLDS(chainrule_network_inputs(network) == 3 && chainrule_network_layer_count(network) == 2);
  HOLDS(layer(network, 0).kind == CHAINRULE_LAYER_DENSE && layer(network, 0).activation == relu);
  HOLDS(layer(network, 1).kind == CHAINRULE_LAYER_DENSE && layer(network, 1).activation == tanh_);
  HOLDS(has(network, 0, CHAINRULE_WEIGHTS, 6, (float[]){1, 2, 3, 4, 5, 6}));
  HOLDS(has(network, 0, CHAINRULE_BIAS, 2, (float[]){9, 10}));
  HOLDS(has(network, 1, CHAINRULE_WEIGHTS, 2, (float[]){7, 8}));
  HOLDS(has(network, 1, CHAINRULE_BIAS, 1, (float[]){11}));
  chainrule_network_free(network);
}

/* A name without a prefix, no bias, metadata of another program. */
static void a_single_layer_comes_in(void)
{
  count_floats(4);
  write_file("{\"__metadata__\":{\"format\":\"pt\"}," T("weight", "F32", "[2,2]", 0, 16) "}");
  chainrule_network *network = import(&softmax, 1);
  HOLDS(layer(network, 0).no_bias && layer(network, 0).activation == softmax);
  HOLDS(has(network, 0, CHAINRULE_WEIGHTS, 4, (float[]){1, 2, 3, 4}));
  chainrule_network_free(network);
}

static void normalisations_come_in(void)
{
  count_floats(4 + 8 + 2 + 4 + 4);
  TENSORS(T("0.weight", "F32", "[2,2]", 0, 16), T("1.weight", "F32", "[2]", 16, 24),
          T("1.bias", "F32", "[2]", 24, 32), T("1.running_mean", "F32", "[2]", 32, 40),
          T("1.running_var", "F32", "[2]", 40, 48), T("1.num_batches_tracked", "I64", "[]", 48, 56),
          T("3.weight", "F32", "[2]", 56, 64), T("3.bias", "F32", "[2]", 64, 72),
          T("4.weight", "F32", "[2]", 72, 80), T("4.bias", "F32", "[2]", 80, 88));
  chainrule_network *network = import((chainrule_activation[]){identity, relu, identity, identity}, 4);
  HOLDS(chainrule_network_layer_count(network) == 5);
  HOLDS(layer(network, 0).kind == CHAINRULE_LAYER_DENSE && layer(network, 0).activation == identity);
  HOLDS(layer(network, 1).kind == CHAINRULE_LAYER_BATCH_NORM && layer(network, 1).epsilon == 1e-5);
  HOLDS(layer(network, 2).kind == CHAINRULE_LAYER_ACTIVATION && layer(network, 2).activation == relu);
  HOLDS(layer(network, 3).kind == CHAINRULE_LAYER_LAYER_NORM && layer(network, 3).epsilon == 1e-5);
  HOLDS(has(network, 1, CHAINRULE_GAMMA, 2, (float[]){5, 6}));
  HOLDS(has(network, 1, CHAINRULE_BETA, 2, (float[]){7, 8}));
  HOLDS(has(network, 1, CHAINRULE_MEAN, 2, (float[]){9, 10}));
  HOLDS(has(network, 1, CHAINRULE_VARIANCE, 2, (float[]){11, 12}));
  HOLDS(has(network, 3, CHAINRULE_GAMMA, 2, (float[]){15, 16}));
  HOLDS(has(network, 3, CHAINRULE_BETA, 2, (float[]){17, 18}));
  HOLDS(has(network, 4, CHAINRULE_GAMMA, 2, (float[]){19, 20}));
  HOLDS(has(network, 4, CHAINRULE_BETA, 2, (float[]){21, 22}));
  chainrule_network_free(network);
}

/* A module with named layers, whose names give no order. */
#define FC T("fc1.weight", "F32", "[2,3]", 0, 24) "," T("fc1.bias", "F32", "[2]", 24, 32)
#define BN                                                                                                   \
  T("bn.weight", "F32", "[2]", 32, 40)                                                                       \
  "," T("bn.bias", "F32", "[2]", 40, 48) "," T("bn.running_mean", "F32", "[2]", 48, 56) "," T(               \
      "bn.running_var", "F32", "[2]", 56, 64)
#define HEAD T("a.head.weight", "F32", "[1,2]", 64, 72)

static void listed_layers_come_in_the_order_of_the_list(void)
{
  count_floats(6 + 2 + 8 + 2);
  write_file("{" FC "," BN "," HEAD "}");
  const chainrule_activation activations[] = {identity, relu, tanh_};
  chainrule_network *network = NULL;
  HOLDS(chainrule_network_import_safetensors(path, (const char *[]){"fc1", "bn", "a.head"}, activations, 3,
                                             &network, e) == CHAINRULE_OK);
  if (!network) return;
  HOLDS(chainrule_network_inputs(network) == 3 && chainrule_network_layer_count(network) == 4);
  HOLDS(layer(network, 1).kind == CHAINRULE_LAYER_BATCH_NORM);
  HOLDS(has(network, 3, CHAINRULE_WEIGHTS, 2, (float[]){17, 18}) && layer(network, 3).activation == tanh_);
  chainrule_network_free(network);
}

/* For F16 and BF16: 0, the smallest, a normal and the largest number. */
static void short_floats_are_widened_exactly(void)
{
  const uint16_t bits[] = {0x8000, 0x0001, 0xc001, 0x7bff, 0x8000, 0x0001, 0xc001, 0x7f7f};
  memcpy(data, bits, data_size = sizeof bits);
  TENSORS(T("0.weight", "F16", "[4,1]", 0, 8), T("0.bias", "BF16", "[4]", 8, 16));
  chainrule_network *network = import(&relu, 1);
  HOLDS(chainrule_network_scalar(network) == CHAINRULE_FLOAT32);
  HOLDS(has(network, 0, CHAINRULE_WEIGHTS, 4, (float[]){-0.0f, 0x1p-24f, -0x1.004p+1f, 65504}));
  HOLDS(has(network, 0, CHAINRULE_BIAS, 4, (float[]){-0.0f, 0x1p-133f, -0x1.02p+1f, 0x1.fep+127f}));
  chainrule_network_free(network);
}

static void one_double_makes_all_of_them(void)
{
  memcpy(data, &(double){0.1}, 8);
  memcpy(data + 8, &(float){0.1f}, 4);
  data_size = 12;
  TENSORS(T("0.weight", "F64", "[1,1]", 0, 8), T("0.bias", "F32", "[1]", 8, 12));
  chainrule_network *network = import(&relu, 1);
  double value = 0;
  HOLDS(chainrule_network_scalar(network) == CHAINRULE_FLOAT64);
  HOLDS(!chainrule_network_get_parameter_f64(network, 0, CHAINRULE_WEIGHTS, &value, 1, NULL) && value == 0.1);
  HOLDS(!chainrule_network_get_parameter_f64(network, 0, CHAINRULE_BIAS, &value, 1, NULL) &&
        value == (double)0.1f);
  chainrule_network_free(network);
}

/* ---- What is refused ---------------------------------------------------------------------------- */

#define W T("0.weight", "F32", "[2,3]", 0, 24)
#define B T("0.bias", "F32", "[2]", 24, 32)

static void names_what_is_wrong(void)
{
  static const struct {
    const char *header;
    size_t floats;
    const char *message;
  } cases[] = {
      {"{" T("0.weight", "F32", "[2]", 0, 8) "}", 2,
       "tensor 0.weight: one dimension and no bias, as in an RMSNorm, a PReLU and a LayerNorm without bias; "
       "expected a bias"},
      {"{}", 0, "header: no tensors"},
      {"{\"__metadata__\":{}}", 0, "header: no tensors"},
      {"[]", 0, "header: not a JSON object"},
      {"{" W "," W "}", 6, "header: duplicate object key"},
      {"{\"__metadata__\":{\"chainrule\":\"{}\"}," W "}", 6,
       "__metadata__.chainrule: this is a Chainrule model already"},
      {"{\"0.weight\":[]}", 0, "tensor 0.weight: Expected object, got array"},
      {"{" T("0.weights", "F32", "[2,3]", 0, 24) "}", 6,
       "tensor 0.weights: expected a name that ends in weight, bias, running_mean, running_var or "
       "num_batches_tracked"},
      {"{" T("0.weight\\u001b", "F32", "[2,3]", 0, 24) "}", 6, "tensor 0.weight?: expected a name"},
      {"{" T("0.weight", "I32", "[2,3]", 0, 24) "}", 6,
       "tensor 0.weight: dtype I32; expected F64, F32, F16 or BF16"},
      {"{" T("0.weight", "F32", "[2,3,1]", 0, 24) "}", 6,
       "tensor 0.weight: shape [2, 3, 1]; expected [units, inputs] or [units]"},
      {"{" T("0.weight", "F32", "[]", 0, 4) "}", 1, "tensor 0.weight: shape []; expected"},
      {"{" T("0.weight", "F32", "[0,3]", 0, 0) "}", 0, "tensor 0.weight: shape [0, 3]; expected"},
      {"{" T("0.weight", "F32", "[-2,-3]", 0, 24) "}", 6, "tensor 0.weight: shape [-2, -3]; expected"},
      {"{" T("0.weight", "F32", "[2.0,3]", 0, 24) "}", 6, "tensor 0.weight: shape [2.0, 3]; expected"},
      {"{" W "," T("0.bias", "F32", "[1,2]", 24, 32) "}", 8, "tensor 0.bias: shape [1, 2]; expected [units]"},
      {"{" W "," T("0.bias", "F32", "[3]", 24, 36) "}", 9,
       "tensor 0.bias: shape [3]; expected [2], the units of 0.weight"},
      {"{" T("0.weight", "F32", "[4294967296,4294967296]", 0, 24) "}", 6,
       "tensor 0.weight: shape [4294967296, 4294967296] needs more bytes than can be addressed"},
      {"{" T("0.weight", "F32", "[2,3]", 0, 20) "}", 5,
       "tensor 0.weight: data_offsets [0, 20], but its 6 values of F32 have 24 bytes"},
      {"{" T("0.weight", "F32", "[2,3]", 8, 32) "}", 6,
       "tensor 0.weight: data_offsets [8, 32], but the data has 24 bytes"},
      {"{" T("0.weight", "F32", "[2,3]", -24, 0) "}", 6, "tensor 0.weight: data_offsets [-24, 0], but"},
      {"{" T("0.weight", "F32", "[2,3]", 24, 0) "}", 6, "tensor 0.weight: data_offsets [24, 0], but"},
      {"{" W "," T("0.bias", "F32", "[2]", 28, 36) "}", 9, "tensor 0.bias: begins at 28, after a gap from 24"},
      {"{" W "," T("0.bias", "F32", "[2]", 20, 28) "}", 7,
       "tensor 0.bias: begins at 20, but another tensor ends at 24"},
      {"{" W "}", 7, "data: 4 bytes after the last tensor"},
      {"{" T("0.bias", "F32", "[2]", 0, 8) "}", 2, "tensor 0.bias: its layer has no weight; expected one"},
      {"{" T("0.num_batches_tracked", "I64", "[]", 0, 8) "}", 2,
       "tensor 0.num_batches_tracked: its layer has no weight; expected one"},
      {"{" W "," T("0.running_mean", "F32", "[2]", 24, 32) "}", 8,
       "tensor 0.running_mean: 0.weight has two dimensions, as in a dense layer; expected one, as in a batchNorm"},
      {"{" T("0.weight", "F32", "[2]", 0, 8) "," T("0.running_mean", "F32", "[2]", 8, 16) "}", 4,
       "tensor 0.running_mean: its layer has no running_var; expected one"},
      {"{" T("0.weight", "F32", "[2]", 0, 8) "," T("0.running_var", "F32", "[2]", 8, 16) "}", 4,
       "tensor 0.running_var: its layer has no running_mean; expected one"},
      {"{" T("0.weight", "F32", "[2]", 0, 8) "," T("0.num_batches_tracked", "I64", "[]", 8, 16) "}", 4,
       "tensor 0.num_batches_tracked: its layer has no running_mean; expected one"},
      {"{" W "," T("2.weight", "F32", "[1,3]", 24, 36) "}", 9,
       "tensor 2.weight: 3 inputs; expected 2, the units of 0.weight before it"},
      {"{" T("in.weight", "F32", "[2,2]", 0, 16) "," T("out.weight", "F32", "[2,2]", 16, 32) "}", 8,
       "layers \"in\" and \"out\": their order is not known"},
      {"{" T("fc.1.weight", "F32", "[2,2]", 0, 16) "," T("fc.01.weight", "F32", "[2,2]", 16, 32) "}", 8,
       "layers \"fc.01\" and \"fc.1\": their order is not known"},
      {"{" T("fc.weight", "F32", "[2,2]", 0, 16) "," T("fc1.weight", "F32", "[2,2]", 16, 32) "}", 8,
       "layers \"fc\" and \"fc1\": their order is not known"},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    count_floats(cases[c].floats);
    write_file(cases[c].header);
    chainrule_network *network = NULL;
    const chainrule_status status =
        chainrule_network_import_safetensors(path, NULL, (chainrule_activation[]){relu, relu}, 2, &network, e);
    check(status == CHAINRULE_INVALID_FILE && e->status == status && !network &&
              strncmp(e->message, cases[c].message, strlen(cases[c].message)) == 0,
          __LINE__, cases[c].message, status ? e->message : "(no error)");
    check(chainrule_network_import_safetensors(path, NULL, (chainrule_activation[]){relu, relu}, 2, &network,
                                               NULL) == CHAINRULE_INVALID_FILE,
          __LINE__, "the same without an error to fill", "");
  }
}

static void refused(chainrule_status wanted, const char *begin, chainrule_status status,
                    const chainrule_network *network, int line)
{
  check(status == wanted && strncmp(e->message, begin, strlen(begin)) == 0, line, begin, e->message);
  check(!network, line, "no network is left", "");
}
/* The call, written with `e` for its error, is refused, also with NULL for its error. */
#define REFUSED(wanted, begin, call)                                                                         \
  do {                                                                                                       \
    e = NULL;                                                                                                \
    check((call) == (wanted), __LINE__, #call " without an error to fill", "");                              \
    e = &error_of_call;                                                                                      \
    const chainrule_status status = call;                                                                    \
    refused(wanted, begin, status, network, __LINE__);                                                       \
  } while (0)

static void values_are_checked(void)
{
  chainrule_network *network = NULL;
  const uint16_t bits[] = {0, 0, 0, 0, 0x3c00, 0x8001}; /* 1, and less than 0 */
  memcpy(data, bits, data_size = sizeof bits);
  TENSORS(T("0.weight", "F16", "[2]", 0, 4), T("0.running_mean", "F16", "[2]", 4, 8),
          T("0.running_var", "F16", "[2]", 8, 12));
  REFUSED(CHAINRULE_INVALID_FILE,
          "tensor 0.running_var: value 2 is -5.96046e-08; expected a finite number of at least 0",
          chainrule_network_import_safetensors(path, NULL, &relu, 1, &network, e));
  static const uint16_t not_finite[] = {0x7c00, 0xfc00, 0x7c01};
  for (size_t k = 0; k < 3; k++) {
    memcpy(data, (uint16_t[]){0x7bff, not_finite[k]}, data_size = 4);
    TENSORS(T("0.weight", "F16", "[1,2]", 0, 4));
    REFUSED(CHAINRULE_INVALID_FILE, "tensor 0.weight: value 2 is ",
            chainrule_network_import_safetensors(path, NULL, &relu, 1, &network, e));
  }
}

static void arguments_are_checked(void)
{
  count_floats(8);
  write_file("{" W "," B "}");
  chainrule_network *network = NULL;
  const chainrule_activation two[] = {softmax, relu}, unknown = (chainrule_activation)99;
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "network is NULL",
          chainrule_network_import_safetensors(path, NULL, two, 1, NULL, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is NULL",
          chainrule_network_import_safetensors(NULL, NULL, two, 1, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "path is empty",
          chainrule_network_import_safetensors("", NULL, two, 1, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "activations is NULL",
          chainrule_network_import_safetensors(path, NULL, NULL, 1, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "2 activations; expected 1, one for each layer with weights in the file",
          chainrule_network_import_safetensors(path, NULL, two, 2, &network, e));
  REFUSED(CHAINRULE_INVALID_ARGUMENT, "0 activations; expected 1",
          chainrule_network_import_safetensors(path, NULL, NULL, 0, &network, e));
  REFUSED(CHAINRULE_INVALID_NETWORK, "layer 1: activation 99 is not in the catalogue",
          chainrule_network_import_safetensors(path, NULL, &unknown, 1, &network, e));
  REFUSED(CHAINRULE_FILE_FAILED, "cannot read: No such file",
          chainrule_network_import_safetensors("none.safetensors", NULL, two, 1, &network, e));
  count_floats(4 + 4);
  TENSORS(T("0.weight", "F32", "[2,2]", 0, 16), T("1.weight", "F32", "[2,2]", 16, 32));
  REFUSED(CHAINRULE_INVALID_NETWORK, "layer 1",
          chainrule_network_import_safetensors(path, NULL, two, 2, &network, e));
}

static void lists_are_checked(void)
{
  static const struct {
    const char *layers[3], *message;
  } cases[] = {
      {{"fc1", "head", "bn"},
       "layer \"head\" has no tensor in the file; expected one such as head.weight; the file's first is "},
      {{"fc1", "bn", "fc1"}, "layer \"fc1\" is listed twice; expected each layer once"},
      {{"fc1", "bn"},
       "tensor a.head.weight belongs to layer \"a.head\", which is not listed; expected every layer of the file"},
      {{"a.head", "bn", "fc1"}, "tensor bn.weight: 2 inputs; expected 1, the units of a.head.weight before it"},
      {{"fc1", "", "bn"}, "layer \"\" has no tensor in the file"},
  };
  count_floats(6 + 2 + 8 + 2);
  write_file("{" FC "," BN "," HEAD "}");
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    chainrule_network *network = NULL;
    const chainrule_status status = chainrule_network_import_safetensors(
        path, cases[c].layers, (chainrule_activation[]){identity, relu, relu}, cases[c].layers[2] ? 3 : 2,
        &network, e);
    check((status == CHAINRULE_INVALID_ARGUMENT || status == CHAINRULE_INVALID_FILE) && !network &&
              strncmp(e->message, cases[c].message, strlen(cases[c].message)) == 0,
          __LINE__, cases[c].message, e->message);
  }
}

/* A file truncated anywhere, or with any bit of its header flipped, gives an error or a network, never a
 * crash. */
static void damaged_files_are_survived(void)
{
  char header[] = "{" T("0.weight", "F32", "[2,3]", 0, 24) "," T("0.bias", "F16", "[2]", 24, 28) "}";
  const size_t length = strlen(header);
  count_floats(7);
  for (size_t bit = 0; bit < 8 * length; bit++) {
    header[bit / 8] = (char)(header[bit / 8] ^ 1 << bit % 8);
    write_file(header);
    chainrule_network *network = NULL;
    const chainrule_status status = chainrule_network_import_safetensors(path, NULL, &relu, 1, &network, e);
    check((status == CHAINRULE_OK) == (network != NULL), __LINE__, "a network, or an error", e->message);
    chainrule_network_free(network);
    header[bit / 8] = (char)(header[bit / 8] ^ 1 << bit % 8);
  }
  write_file(header);
  for (size_t size = 8 + length + 28; size-- > 0;) {
    chainrule_network *network = NULL;
    HOLDS(truncate(path, (off_t)size) == 0);
    HOLDS(chainrule_network_import_safetensors(path, NULL, &relu, 1, &network, e) == CHAINRULE_INVALID_FILE &&
          !network);
  }
}

int main(void)
{
  const int file = mkstemp(path);
  if (file < 0) return 1;
  close(file);
  layers_come_in_the_order_of_their_numbers();
  a_single_layer_comes_in();
  normalisations_come_in();
  listed_layers_come_in_the_order_of_the_list();
  short_floats_are_widened_exactly();
  one_double_makes_all_of_them();
  names_what_is_wrong();
  values_are_checked();
  arguments_are_checked();
  lists_are_checked();
  damaged_files_are_survived();
  unlink(path);
  printf("%zu checks passed, %zu failed\n", passed, failed);
  return failed > 0;
}
