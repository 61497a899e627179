/* Checkpoints: the state of training in one file.  A resumed run gives the same bits as an uninterrupted one.
 * docs/file-format.md specifies the format.  Messages don't contain the path, which the caller knows. */
#ifndef CHAINRULE_CHECKPOINT_H
#define CHAINRULE_CHECKPOINT_H

#include "trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Saves the trainer's network with its statistics and the state of the trainer: the optimizer, accumulated
 * gradients, the schedule, and the position in the epoch.  A checkpoint is also a model file that
 * chainrule_network_load reads.  It replaces `path` as chainrule_network_save does.
 *
 * A training loop can add a network with the same layers, such as the best so far, and a UTF-8 text; either
 * may be NULL.  Refuses networks with parameters that are not finite, or with a custom layer. */
CHAINRULE_API chainrule_status chainrule_trainer_save(const chainrule_trainer *trainer,
                                                      const chainrule_network *best, const char *note,
                                                      const char *path, chainrule_error *error);

/* Restores the trainer and its network from a checkpoint.  With the same data, batches and settings, training
 * then gives the same bits as an uninterrupted run; an interrupted epoch resumes after its last batch.  The
 * learning rate is the saved one.
 *
 * The trainer must have a network with the same layers and the same optimizer; during an epoch also the same
 * order of rows.  Otherwise the message of CHAINRULE_INVALID_ARGUMENT names the difference.  An error leaves
 * the trainer and its network unchanged.
 *
 * `best` and `note` may be NULL.  *best and *note become NULL if they were not saved.  The caller frees them,
 * with chainrule_network_free and free. */
CHAINRULE_API chainrule_status chainrule_trainer_restore(chainrule_trainer *trainer, const char *path,
                                                         chainrule_network **best, char **note,
                                                         chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
