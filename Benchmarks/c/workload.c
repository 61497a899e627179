#include "workload.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

void fail(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(64);
}

/* ---- Reading workloads.json ------------------------------------------------------------------- */

static void copy_string(const json_t *object, const char *key, char *to, size_t size)
{
  const char *text = json_string_value(json_object_get(object, key));
  if (!text || strlen(text) >= size) fail("%s is missing or too long", key);
  strcpy(to, text);
}

workload workload_read(const char *path, const char *name)
{
  json_error_t error;
  json_t *file = json_load_file(path, 0, &error);
  if (!file) fail("%s: %s", path, error.text);

  workload w = {.trains = true};
  const json_t *object = json_object_get(json_object_get(file, "train"), name);
  if (!object) {
    w.trains = false;
    object = json_object_get(json_object_get(file, "predict"), name);
  }
  if (!object || strlen(name) >= sizeof w.name) fail("%s has no workload %s", path, name);
  strcpy(w.name, name);

  const json_t *layers = json_object_get(object, "layers");
  size_t count = json_array_size(layers);
  if (count < 2 || count > WORKLOAD_LAYERS + 1) fail("%s has %zu layers", name, count);
  for (size_t i = 0; i < count; i++) w.widths[i] = (size_t)json_integer_value(json_array_get(layers, i));
  w.layer_count = count - 1;
  copy_string(object, "hidden", w.hidden, sizeof w.hidden);
  copy_string(object, "output", w.output, sizeof w.output);
  w.rows = (size_t)json_integer_value(json_object_get(object, "rows"));

  if (w.trains) {
    char scalar[16];
    copy_string(object, "scalar", scalar, sizeof scalar);
    w.float64 = strcmp(scalar, "float64") == 0;
    copy_string(object, "loss", w.loss, sizeof w.loss);
    copy_string(object, "optimizer", w.optimizer, sizeof w.optimizer);
    copy_string(object, "data", w.data, sizeof w.data);
    w.learning_rate = json_number_value(json_object_get(object, "learningRate"));
    w.momentum = json_number_value(json_object_get(object, "momentum"));
    w.batch = (size_t)json_integer_value(json_object_get(object, "batch"));
    w.samples = (size_t)json_integer_value(json_object_get(object, "samples"));
  }
  json_decref(file);
  return w;
}

void workload_set_layers(workload *w, const char *text)
{
  size_t count = 0;
  for (char *end; *text; text = *end ? end + 1 : end) {
    unsigned long width = strtoul(text, &end, 10);
    if (end == text || width == 0 || (*end && *end != ',') || count > WORKLOAD_LAYERS)
      fail("layers are widths such as 784,128,10");
    w->widths[count++] = width;
  }
  if (count < 2) fail("layers are widths such as 784,128,10");
  w->layer_count = count - 1;
}

double workload_flops(const workload *w)
{
  double flops = 0;
  for (size_t l = 0; l < w->layer_count; l++) {
    double products = !w->trains ? 1 : l == 0 ? 2 : 3;
    flops += 2 * products * (double)w->widths[l] * (double)w->widths[l + 1];
  }
  return flops * (double)(w->trains ? w->samples : w->rows);
}

/* ---- Data ------------------------------------------------------------------------------------- */

/* xorshift64 (Marsaglia 2003). The sum of three uniform numbers in ±1 has variance 1. */
static double draw(uint64_t *state)
{
  double sum = 0;
  for (int i = 0; i < 3; i++) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    sum += (double)(int64_t)*state / 9223372036854775808.0;
  }
  return sum;
}

#define R float
#define CR(name) name##_f32
#include "workload_tmpl.h"
#define R double
#define CR(name) name##_f64
#include "workload_tmpl.h"

workload_data workload_make_data(const workload *w)
{
  return w->float64 ? make_data_f64(w) : make_data_f32(w);
}
