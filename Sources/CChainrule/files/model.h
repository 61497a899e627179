/* Model files.  docs/file-format.md has the format; in brief, a safetensors file:
 *
 *   8 bytes   N, little-endian
 *   N bytes   {"__metadata__": {"format": "chainrule", "chainrule": TEXT, "checksum": "fnv1a64:…"},
 *              "layers.0.weights": {"dtype": "F32", "shape": [out, in], "data_offsets": [begin, end]}, …}
 *   the rest  the tensors, little-endian, without holes
 *
 * TEXT is the architecture, as JSON in a string, since safetensors has only strings there.  A checkpoint has in
 * "training" such a text of its own, and arrays shaped as the parameters, whose tensors have the array's name before
 * "layers.": "optimizer.m.layers.0.weights".  "userMetadata" is the caller's text, which nothing here interprets.
 * The checksum covers the texts and every value; what it does not cover, the
 * tensors' names, types, shapes and places, follows from the texts and is compared with them.
 *
 * save.c and load.c go through the same plan, cr_model: a description and the tensors it implies.  The
 * order of the checks bounds memory: a network is made only when the file has all of its parameters.
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
  CR_LARGEST_HEADER = CR_LARGEST_TEXT /* the safetensors library's limit */
};

typedef struct cr_tensor {
  const cr_array *array; /* NULL: the network itself */
  size_t layer;          /* from 0 */
  chainrule_parameter parameter;
  char name[80];  /* "layers.1.weights" */
  char place[80]; /* the same in a message: "layer 2, weights" */
  size_t rank, shape[2], count, bytes;
  uint64_t begin; /* in the data */
  size_t offset;  /* in the values of its array, bytes */
} cr_tensor;

typedef struct cr_model {
  chainrule_network_description description;
  chainrule_layer *layers;
  cr_state *state;    /* of a checkpoint; where its text is NULL, the file is a model */
  cr_tensor *tensors; /* the network's, then those of each array: layer by layer, weights before bias */
  size_t tensor_count, tensor_room;
  void *values;         /* room for the largest tensor */
  json_t *architecture; /* TEXT, parsed */
  json_t *header;
} cr_model;

void cr_model_free(cr_model *model);

/* By chainrule_scalar, as TEXT and as tensors spell them; by chainrule_names. */
extern const char *const cr_scalar_names[2], *const cr_dtypes[2], *const cr_names_keys[3];

/* ---- plan.c: what a description implies ------------------------------------------------------------ */

/* From the description: the tensors' shapes, and their places in the order in which they are written; of a file, at most
 * `most` of them. */
chainrule_status cr_plan_tensors(cr_model *model, size_t most, chainrule_error *error);
/* Room for the values of the largest tensor. */
chainrule_status cr_allocate_values(cr_model *model, chainrule_error *error);

#define CR_FNV1A64_START UINT64_C(0xcbf29ce484222325)
uint64_t cr_fnv1a64(uint64_t hash, const void *bytes, size_t size);
/* Of TEXT, of a checkpoint's, and of the caller's; NULL if the file has no such text. */
uint64_t cr_hash_texts(const char *text, size_t length, const cr_state *state, const char *metadata);
enum { CR_CHECKSUM_SIZE = sizeof "fnv1a64:0123456789abcdef" };
void cr_print_checksum(uint64_t hash, char checksum[CR_CHECKSUM_SIZE]);

/* ---- safetensors.c: any such file, and JSON --------------------------------------------------------- */

/* Memory ran out in jansson, which does not say at how many bytes. */
chainrule_status cr_no_memory(chainrule_error *error, const char *what);
/* A regular file, so that no pipe can make the call wait. */
chainrule_status cr_open_file(const char *path, int *file, uint64_t *size, chainrule_error *error);
chainrule_status cr_read_at(int file, void *bytes, size_t size, uint64_t offset, chainrule_error *error);
/* A JSON object without double keys. */
chainrule_status cr_parse(const char *bytes, size_t size, const char *where, json_t **object,
                          chainrule_error *error);
/* The header, an object, and where the data begin. */
chainrule_status cr_read_header(int file, uint64_t file_size, json_t **header, uint64_t *data,
                                chainrule_error *error);

#endif
