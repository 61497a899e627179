/* Files of networks and checkpoints, in the safetensors format.
 *
 * This header is what the files of this folder offer one another: a network and the arrays of a checkpoint,
 * saved and loaded, and safetensors files of other programs.  Every file is read as untrusted input: nothing
 * in it can cause more than an error.  The folder uses training/ (for checkpoints), network/ and jansson. */
#ifndef CR_FILE_H
#define CR_FILE_H

#include <jansson.h>

#include "../network/network.h"

/* An array of a checkpoint, shaped as the parameters of a network. */
typedef struct cr_array {
  char name[24];                    /* "optimizer.m" */
  const chainrule_network *network; /* saving: the network whose layout it has */
  const void *arena;                /* saving: the array */
  void *values;                     /* loading: its tensors, one after the other */
  size_t size;                      /* loading: their bytes */
} cr_array;

enum { CR_ARRAYS = 6 }; /* the limit of a file: three of an optimizer, sum, epoch, best */

/* What a checkpoint has in addition to the network. */
typedef struct cr_state {
  char *text;   /* JSON, which names the arrays in "arrays"; NULL: the file is a model */
  json_t *json; /* loading: the text, parsed */
  cr_array arrays[CR_ARRAYS];
  size_t count;
} cr_state;

/* Whether an array includes statistics, so that a network can be made of it. */
bool cr_has_statistics(const cr_array *array);

/* Frees what cr_load made. */
void cr_state_free(cr_state *state);

/* Saves a network, and a checkpoint's state, which is empty for a model. */
chainrule_status cr_save(const chainrule_network *network, cr_state *state, const char *path,
                         chainrule_error *error);
/* Loads a network with that kernel set; NULL: the default.  `state` may be NULL: the checkpoint's arrays are
 * not loaded. */
chainrule_status cr_load(const char *path, const char *kernel_set, chainrule_network **network,
                         cr_state *state, chainrule_error *error);

/* ---- Safetensors files of other programs ---------------------------------------------------------- */

typedef struct cr_safetensors {
  int file;
  uint64_t data, data_size; /* the offset of the tensors' data, and its bytes */
  json_t *header;           /* an object without duplicate keys */
} cr_safetensors;

/* Opens a file and reads its header.  The caller closes it, also after an error. */
chainrule_status cr_safetensors_open(const char *path, cr_safetensors *source, chainrule_error *error);
void cr_safetensors_close(cr_safetensors *source);
/* Reads `size` bytes of the data from `begin`; the caller has checked that the file has them. */
chainrule_status cr_safetensors_read(const cr_safetensors *source, void *bytes, size_t size, uint64_t begin,
                                     chainrule_error *error);

/* The bytes of a tensor in the data, and its name in a message. */
typedef struct cr_extent {
  uint64_t begin, end;
  const char *sort, *name; /* "tensor ", "net.0.weight" */
  size_t layer;            /* of the error; 0: none */
  size_t index;            /* for the caller's use */
} cr_extent;
/* Sorts extents by their offsets, and refuses gaps, overlaps, and data after the last. */
chainrule_status cr_check_layout(cr_extent *extents, size_t count, uint64_t data_size, chainrule_error *error);
/* Reads the members of a tensor's entry in the header, and checks begin ≤ end ≤ data_size. */
chainrule_status cr_read_entry(json_t *entry, const char *where, uint64_t data_size, const char **dtype,
                               json_t **shape, cr_extent *extent, chainrule_error *error);

/* ---- Messages, JSON ------------------------------------------------------------------------------ */

/* Fails with CHAINRULE_INVALID_FILE.  Text that is quoted from the file becomes printable. */
#if defined __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
chainrule_status
cr_invalid(chainrule_error *error, size_t layer, const char *format, ...);

/* Fails because a JSON value is missing or has the wrong type. */
chainrule_status cr_unexpected(chainrule_error *error, size_t layer, const char *where,
                               const json_error_t *problem);

/* The JSON text, with `before` zero bytes before it and at least 8 after it; NULL if memory runs out. */
char *cr_json_text(const json_t *json, size_t before, size_t *length);

#endif
