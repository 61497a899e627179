/* Checkpoints: a training that is under way, in one file, to go on from as if it had never been stopped.
 * docs/files.md has the format.  Messages of these calls do not name the path, which the caller knows. */
#ifndef CHAINRULE_CHECKPOINT_H
#define CHAINRULE_CHECKPOINT_H

#include "trainer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the trainer's network with its statistics, and all that the trainer knows: the optimizer's state, what has been
 * accumulated, the schedule, and where in which epoch training is.  A checkpoint is a model file, too, which
 * chainrule_network_load reads.  It takes the place of `path` as chainrule_network_save does.
 *
 * What a training loop knows of its own may go with it: a network of the same layers, as the best so far, and a text in
 * UTF-8; either may be NULL.  Refuses networks with parameters that are not finite, and with a layer of the program's own. */
CHAINRULE_API chainrule_status chainrule_trainer_save(const chainrule_trainer *trainer, const chainrule_network *best,
                                                      const char *note, const char *path, chainrule_error *error);

/* Takes the trainer and its network to where a checkpoint was written: with the data, batches and settings of then, what
 * follows has the same bits as if training had never been stopped, and an epoch that was stopped goes on behind its last
 * batch.  The learning rate is the saved one.
 *
 * The trainer has to be of a network with the same layers, and of the same optimizer; in the middle of an epoch the order
 * of the rows has to be the same too.  CHAINRULE_INVALID_ARGUMENT says what is not.  On an error the trainer and its
 * network are as they were.
 *
 * *best and *note may be NULL; they become NULL where nothing of theirs was saved.  The caller frees them, the network by
 * chainrule_network_free, the text by free. */
CHAINRULE_API chainrule_status chainrule_trainer_restore(chainrule_trainer *trainer, const char *path,
                                                         chainrule_network **best, char **note,
                                                         chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
