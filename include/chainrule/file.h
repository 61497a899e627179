/* Model files: safetensors, with the architecture as JSON in __metadata__.  docs/files.md has the format.
 * Messages of these calls do not name the path, which the caller knows. */
#ifndef CHAINRULE_FILE_H
#define CHAINRULE_FILE_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the network beside `path` (UTF-8), syncs it, and renames it over `path`: after a crash there is
 * the old file or the new one, never a part.  Refuses parameters that are not finite. */
CHAINRULE_API chainrule_status chainrule_network_save(const chainrule_network *network, const char *path,
                                                      chainrule_error *error);

/* Reads a model file.  Trusts nothing: CHAINRULE_INVALID_FILE says what contradicts what. */
CHAINRULE_API chainrule_status chainrule_network_load(const char *path, chainrule_network **network,
                                                      chainrule_error *error);

/* Makes a network of the tensors of a multilayer perceptron, as PyTorch names them: `weight` [units, inputs]
 * and perhaps `bias` [units] of a dense layer, `weight` [units] and `bias` of a layerNorm, these with
 * `running_mean` and `running_var` of a batchNorm, after a prefix such as "net.0.".  `layers` [count] lists the
 * prefixes, "fc1" or "net.0", in the order of the layers; NULL: they differ in their numbers alone, which give
 * the order.  `activations` [count] is what follows each of these layers, which such a file does not have.  F64
 * makes a FLOAT64 network, F32, F16 and BF16 a FLOAT32 one, without rounding.  docs/files.md has more. */
CHAINRULE_API chainrule_status chainrule_network_import_safetensors(const char *path, const char *const *layers,
                                                                    const chainrule_activation *activations,
                                                                    size_t count, chainrule_network **network,
                                                                    chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
