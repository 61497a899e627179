/* Model files.  docs/file-format.md has the format.  In brief, it is a safetensors file:
 *
 *   8 bytes   N, little-endian
 *   N bytes   {"__metadata__": {"format": "chainrule", "chainrule": TEXT, "checksum": "fnv1a64:…"},
 *              "layers.0.weights": {"dtype": "F32", "shape": [out, in], "data_offsets": [begin, end]}, …}
 *   the rest  the tensors, little-endian, without gaps
 *
 * TEXT is the architecture: JSON in a string, because safetensors allows only strings there.  A checkpoint
 * has another such text in "training", and arrays shaped as the parameters.  Their tensors have the name of
 * the array before "layers.": "optimizer.m.layers.0.weights".  "userMetadata" is the caller's text, which is
 * not interpreted.  The checksum covers the texts and every value.  It does not cover the tensors' names,
 * types, shapes and offsets, because these follow from the texts and are compared with them.
 *
 * save.c and load.c use the same plan, cr_model: a description and the tensors that it implies.  load.c
 * checks that the file has all parameters before it makes a network, so that a small file cannot allocate
 * much memory.
 */
#ifndef CR_MODEL_H
#define CR_MODEL_H

#include "file.h"

#if defined __BYTE_ORDER__ && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian: swap their bytes in hash_tensor, write_model and read_tensor"
#endif

enum {
  CR_FORMAT_VERSION = 1,
  CR_LENGTH_BYTES = 8,
  CR_LARGEST_HEADER = CR_LARGEST_TEXT /* the limit of the safetensors library */
};

typedef struct cr_tensor {
  const cr_array *array; /* NULL: the network itself */
  size_t layer;          /* from 0 */
  chainrule_parameter parameter;
  char name[80];  /* "layers.1.weights" */
  char place[80]; /* the same in a message: "layer 2, weights" */
  size_t rank, shape[2], count, bytes;
  uint64_t begin; /* offset in the data */
  size_t offset;  /* in the values of its array, in bytes */
} cr_tensor;

typedef struct cr_model {
  chainrule_network_description description;
  chainrule_layer *layers;
  cr_state *state;    /* of a checkpoint; if its text is NULL, the file is a model */
  cr_tensor *tensors; /* the network's, then those of each array: layer by layer, weights before bias */
  size_t tensor_count, tensor_room;
  void *values;         /* room for the largest tensor */
  json_t *architecture; /* TEXT, parsed */
  json_t *header;
} cr_model;

void cr_model_free(cr_model *model);

/* By chainrule_scalar: its name in TEXT, and as the dtype of a tensor.  By chainrule_names: its key in
 * TEXT. */
extern const char *const cr_scalar_names[2], *const cr_dtypes[2], *const cr_names_keys[3];

/* ---- plan.c --------------------------------------------------------------------------------------- */

/* Plans the shapes and offsets of the tensors that the description implies, in the order in which they are
 * written; at most `most` tensors. */
chainrule_status cr_plan_tensors(cr_model *model, size_t most, chainrule_error *error);
/* Allocates room for the values of the largest tensor. */
chainrule_status cr_allocate_values(cr_model *model, chainrule_error *error);

#define CR_FNV1A64_START UINT64_C(0xcbf29ce484222325)
uint64_t cr_fnv1a64(uint64_t hash, const void *bytes, size_t size);
/* The hash of TEXT, the checkpoint's text and the caller's text; the last two may be NULL. */
uint64_t cr_hash_texts(const char *text, size_t length, const cr_state *state, const char *metadata);
enum { CR_CHECKSUM_SIZE = sizeof "fnv1a64:0123456789abcdef" };
void cr_print_checksum(uint64_t hash, char checksum[CR_CHECKSUM_SIZE]);

/* ---- safetensors.c -------------------------------------------------------------------------------- */

/* Fails because memory ran out in jansson, which does not report the number of bytes. */
chainrule_status cr_no_memory(chainrule_error *error, const char *what);
/* Opens a file, which must be regular, because reading a pipe could block. */
chainrule_status cr_open_file(const char *path, int *file, uint64_t *size, chainrule_error *error);
chainrule_status cr_read_at(int file, void *bytes, size_t size, uint64_t offset, chainrule_error *error);
/* Parses a JSON object without duplicate keys. */
chainrule_status cr_parse(const char *bytes, size_t size, const char *where, json_t **object,
                          chainrule_error *error);
/* Reads the header, an object, and the offset of the data. */
chainrule_status cr_read_header(int file, uint64_t file_size, json_t **header, uint64_t *data,
                                chainrule_error *error);

#endif
