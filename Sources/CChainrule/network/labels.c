/* Names and metadata, which a network's file keeps. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "network.h"

#include <stdlib.h>
#include <string.h>

static void free_names(char **names, size_t count)
{
  for (size_t i = 0; names && i < count; i++) free(names[i]);
  free(names);
}

static size_t name_slots(const chainrule_network *network, chainrule_names which)
{
  return which == CHAINRULE_FEATURE_NAMES ? network->inputs : chainrule_network_outputs(network);
}

/* ---- Names ------------------------------------------------------------------------------------- */

chainrule_status chainrule_network_set_names(chainrule_network *network, chainrule_names which,
                                             const char *const *names, size_t count, chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if ((size_t)which > CHAINRULE_CLASS_LABELS)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "names: kind %d is not in the catalogue; expected 0 (features), 1 (targets) or 2 (classes)",
                   (int)which);
  const size_t slots = name_slots(network, which);
  if (count != 0 && count != slots)
    return cr_fail(error, CHAINRULE_SHAPE_MISMATCH, 0, "names of %s: expected %zu, got %zu",
                   which == CHAINRULE_FEATURE_NAMES  ? "features"
                   : which == CHAINRULE_TARGET_NAMES ? "targets"
                                                     : "classes",
                   slots, count);
  if (count != 0 && !names) return cr_null(error, "names");

  char **copies = NULL;
  if (count != 0) {
    copies = calloc(count, sizeof *copies);
    if (!copies) return cr_out_of_memory(error, "names", count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
      if (names[i] && (copies[i] = strdup(names[i]))) continue;
      free_names(copies, count);
      return names[i] ? cr_out_of_memory(error, "a name", strlen(names[i]) + 1) : cr_null(error, "a name");
    }
  }
  free_names(network->names[which], slots);
  network->names[which] = copies;
  return CHAINRULE_OK;
}

size_t chainrule_network_name_count(const chainrule_network *network, chainrule_names which)
{
  return (size_t)which <= CHAINRULE_CLASS_LABELS && network->names[which] ? name_slots(network, which) : 0;
}

const char *chainrule_network_name(const chainrule_network *network, chainrule_names which, size_t index)
{
  return index < chainrule_network_name_count(network, which) ? network->names[which][index] : NULL;
}

/* ---- Metadata ---------------------------------------------------------------------------------- */

chainrule_status chainrule_network_set_metadata(chainrule_network *network, const char *text, size_t length,
                                                chainrule_error *error)
{
  if (!network) return cr_null(error, "network");
  if (!text) length = 0;
  if (length > CR_LARGEST_TEXT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "metadata: %zu bytes; expected at most %d", length,
                   CR_LARGEST_TEXT);
  for (size_t i = 0, bytes; i < length; i += bytes) {
    bytes = cr_utf8_length(text + i, length - i);
    if (bytes == 0)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "metadata: byte %zu, 0x%02x, is not UTF-8", i + 1,
                     (unsigned char)text[i]);
    if (text[i] == 0)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                     "metadata: byte %zu is a null character, which a text may not contain", i + 1);
  }
  char *copy = NULL;
  if (length > 0) {
    copy = malloc(length + 1);
    if (!copy) return cr_out_of_memory(error, "the metadata", length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
  }
  free(network->metadata);
  network->metadata = copy;
  return CHAINRULE_OK;
}

const char *chainrule_network_metadata(const chainrule_network *network) { return network->metadata; }

void cr_free_labels(chainrule_network *network)
{
  for (int which = 0; which < 3; which++) /* without names there may be no layers yet, so no number of slots */
    if (network->names[which]) free_names(network->names[which], name_slots(network, (chainrule_names)which));
  free(network->metadata);
}

chainrule_status cr_copy_labels(const chainrule_network *network, chainrule_network *to, chainrule_error *error)
{
  chainrule_status status = CHAINRULE_OK;
  for (int which = 0; which < 3 && !status; which++)
    status =
        chainrule_network_set_names(to, (chainrule_names)which, (const char *const *)network->names[which],
                                    chainrule_network_name_count(network, (chainrule_names)which), error);
  const char *text = network->metadata;
  return status ? status : chainrule_network_set_metadata(to, text, text ? strlen(text) : 0, error);
}
