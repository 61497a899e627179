/* Safetensors files, read as if by an enemy: a network, and in a checkpoint beside it arrays that are shaped as its
 * parameters. */
#ifndef CR_FILE_H
#define CR_FILE_H

#include <jansson.h>

#include "../network/network.h"

/* An array of a file. */
typedef struct cr_array {
  char name[24];                    /* "optimizer.m" */
  const chainrule_network *network; /* saving: in whose layout */
  const void *arena;                /* it lies here */
  void *values;                     /* loading: its tensors, one after the other */
  size_t size;                      /* their bytes */
} cr_array;

enum { CR_ARRAYS = 6 }; /* the most of a file: three of an optimizer, sum, epoch, best */

/* What a checkpoint has besides the network. */
typedef struct cr_state {
  char *text;   /* JSON, whose "arrays" are the names of the arrays; NULL: the file is a model */
  json_t *json; /* the same, parsed; of a file that has been loaded */
  cr_array arrays[CR_ARRAYS];
  size_t count;
} cr_state;

/* Whether an array has values for the statistics too, and so is parameters that a network could have. */
bool cr_has_statistics(const cr_array *array);

/* Frees what cr_load made. */
void cr_state_free(cr_state *state);

chainrule_status cr_save(const chainrule_network *network, cr_state *state, const char *path,
                         chainrule_error *error);
/* The network by that kernel set, NULL: the best; `state` may be NULL: the network alone. */
chainrule_status cr_load(const char *path, const char *kernel_set, chainrule_network **network,
                         cr_state *state, chainrule_error *error);

/* ---- Files of others --------------------------------------------------------------------------- */

typedef struct cr_safetensors {
  int file;
  uint64_t data, data_size; /* where the tensors begin, and their bytes */
  json_t *header;           /* an object without double keys */
} cr_safetensors;

/* Opens a file and reads its header.  Close it, whatever this returns. */
chainrule_status cr_safetensors_open(const char *path, cr_safetensors *source, chainrule_error *error);
void cr_safetensors_close(cr_safetensors *source);
/* Bytes of the data; the caller knows that they are there. */
chainrule_status cr_safetensors_read(const cr_safetensors *source, void *bytes, size_t size, uint64_t begin,
                                     chainrule_error *error);

/* Where a tensor lies in the data, and what a message calls it. */
typedef struct cr_extent {
  uint64_t begin, end;
  const char *sort, *name; /* "tensor ", "net.0.weight" */
  size_t layer;            /* of the error; 0: none */
  size_t index;            /* the caller's */
} cr_extent;
/* Sorts extents by their place.  They fill the data: no holes, no overlaps, nothing after the last. */
chainrule_status cr_check_layout(cr_extent *extents, size_t count, uint64_t data_size, chainrule_error *error);
/* The members that every tensor's entry in the header has; begin ≤ end ≤ data_size. */
chainrule_status cr_read_entry(json_t *entry, const char *where, uint64_t data_size, const char **dtype,
                               json_t **shape, cr_extent *extent, chainrule_error *error);

/* ---- Messages, JSON ------------------------------------------------------------------------------ */

/* CHAINRULE_INVALID_FILE, with what is quoted from the file made printable. */
#if defined __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
chainrule_status
cr_invalid(chainrule_error *error, size_t layer, const char *format, ...);

/* A JSON value that is missing, or of another type than it has to be. */
chainrule_status cr_unexpected(chainrule_error *error, size_t layer, const char *where,
                               const json_error_t *problem);

/* The JSON text, behind `before` bytes and followed by at least 8, all 0; NULL where memory runs out. */
char *cr_json_text(const json_t *json, size_t before, size_t *length);

#endif
