/* Reads a checkpoint's note without a trainer.  Private, as replace.h: for the Swift module. */
#ifndef CR_NOTE_H
#define CR_NOTE_H

#include <chainrule/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads and checks a whole checkpoint.  *note is the text of the training loop, which the caller frees with
 * free(); NULL if there is none. */
chainrule_status cr_checkpoint_note(const char *path, char **note, chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
