/* Model files: safetensors, with the architecture as JSON in __metadata__.  docs/file-format.md specifies the
 * format.  Messages don't contain the path, which the caller knows. */
#ifndef CHAINRULE_FILE_H
#define CHAINRULE_FILE_H

#include "network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the network to a temporary file next to `path` (UTF-8), syncs it, and renames it to `path`.  After a
 * crash there is the old file or the complete new one.  Refuses parameters that are not finite. */
CHAINRULE_API chainrule_status chainrule_network_save(const chainrule_network *network, const char *path,
                                                      chainrule_error *error);

/* Reads a model file and checks everything in it.  The message of CHAINRULE_INVALID_FILE names the
 * contradiction. */
CHAINRULE_API chainrule_status chainrule_network_load(const char *path, chainrule_network **network,
                                                      chainrule_error *error);

/* Makes a network from the tensors of a multilayer perceptron with PyTorch's names: `weight` [units, inputs]
 * and optionally `bias` [units] of a dense layer; `weight` [units] and `bias` of a layerNorm; the same with
 * `running_mean` and `running_var` of a batchNorm; each after a prefix such as "net.0.".  `layers` [count]
 * lists the prefixes, such as "fc1" or "net.0", in the order of the layers; NULL: the prefixes differ only in
 * their numbers, which give the order.  `activations` [count] has the activation after each of these layers.
 * F64 makes a FLOAT64 network; F32, F16 and BF16 make a FLOAT32 one, without rounding.  docs/files.md has the
 * details. */
CHAINRULE_API chainrule_status chainrule_network_import_safetensors(const char *path, const char *const *layers,
                                                                    const chainrule_activation *activations,
                                                                    size_t count, chainrule_network **network,
                                                                    chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
