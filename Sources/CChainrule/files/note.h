/* Reads a checkpoint's note without a trainer.  Private, as replace.h: for the Swift module. */
#ifndef CR_NOTE_H
#define CR_NOTE_H

#include <chainrule/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads and checks a whole checkpoint.  *note: the text that its training loop gave, to be freed with free(); NULL where
 * it gave none. */
chainrule_status cr_checkpoint_note(const char *path, char **note, chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
