/* A workload of workloads.json and its data, for the C programs. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>

enum { WORKLOAD_LAYERS = 32 };

typedef struct workload {
  char name[16];
  size_t layer_count, widths[WORKLOAD_LAYERS + 1]; /* the inputs, then the units of each layer */
  char hidden[16], output[16];                     /* activations, by the names of catalog.h */
  bool trains, float64;

  /* Training: */
  char loss[24], optimizer[16], data[16];
  double learning_rate, momentum;
  size_t batch, samples;

  /* Prediction: */
  size_t rows;
} workload;

/* Prints a message and ends the program with status 64. */
_Noreturn void fail(const char *format, ...);

/* The workload `name` of the JSON file at `path`. */
workload workload_read(const char *path, const char *name);
/* "784,128,10": the inputs, then the units of each layer. */
void workload_set_layers(workload *w, const char *text);

static inline size_t workload_inputs(const workload *w) { return w->widths[0]; }
static inline size_t workload_outputs(const workload *w) { return w->widths[w->layer_count]; }
static inline size_t workload_updates(const workload *w) { return (w->samples + w->batch - 1) / w->batch; }

/* Floating-point operations of the matrix products, two for each multiply-add.  An epoch has z = W a, ∂L/∂W and, except in the
 * first layer, ∂L/∂a; a prediction has z = W a. */
double workload_flops(const workload *w);

/* x [rows][inputs] and, for training, y [rows][outputs], in the workload's scalar type. */
typedef struct workload_data {
  void *x, *y;
  size_t bytes;
} workload_data;

workload_data workload_make_data(const workload *w);

#endif
