/* Files that are replaced whole, for the parts of the core that write them. */
#ifndef CR_WRITING_H
#define CR_WRITING_H

#include "../base.h"

/* "cannot write: No space left on device": what was refused, and the system's reason, an errno. */
chainrule_status cr_refused(chainrule_error *error, const char *what, int code);
/* All of the bytes, however often the system takes a part. */
chainrule_status cr_write_all(int file, const void *bytes, size_t size, chainrule_error *error);

/* Writes the contents `what` to a new file. */
typedef chainrule_status cr_writer(int file, const void *what, chainrule_error *error);
/* Replaces the file at `path` by what `write` writes; replace.h says how. */
chainrule_status cr_replace_file(const char *path, cr_writer *write, const void *what, chainrule_error *error);

#endif
