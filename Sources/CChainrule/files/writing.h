/* Writing files, for the other parts of the core.  replace.h is the same for Swift. */
#ifndef CR_WRITING_H
#define CR_WRITING_H

#include "../base.h"

/* Fails with what was refused and the reason of an errno: "cannot write: No space left on device". */
chainrule_status cr_refused(chainrule_error *error, const char *what, int code);
/* Writes all bytes, also if the system accepts only some of them at a time. */
chainrule_status cr_write_all(int file, const void *bytes, size_t size, chainrule_error *error);

/* Writes the contents `what` to a new file. */
typedef chainrule_status cr_writer(int file, const void *what, chainrule_error *error);
/* Replaces the file at `path` by what `write` writes, as replace.h describes. */
chainrule_status cr_replace_file(const char *path, cr_writer *write, const void *what, chainrule_error *error);

#endif
