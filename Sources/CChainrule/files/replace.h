/* Replaces a file so that a crash leaves the old file or the new one.  Private: the Swift module imports this header
 * with chainrule.h, and it is not installed. */
#ifndef CR_REPLACE_H
#define CR_REPLACE_H

#include <chainrule/status.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A file that is being written to take the place of another. */
typedef struct cr_replacement cr_replacement;

/* Whether `path` can be replaced, as far as can be told without writing.  Refuses a directory, a block device, a file
 * without any write permission (also for root), and a folder that is missing or cannot be written. */
chainrule_status cr_replacement_check(const char *path, chainrule_error *error);

/* Begins to replace the file at `path`.  A symbolic link is followed: its target is replaced, or created.  Character
 * devices, pipes and the process's own descriptors (/dev/stdout, /dev/fd/N, or the file that standard output or error
 * goes to) are written through.  *replacement is NULL on an error. */
chainrule_status cr_replacement_begin(const char *path, cr_replacement **replacement, chainrule_error *error);
chainrule_status cr_replacement_write(cr_replacement *replacement, const void *bytes, size_t size,
                                      chainrule_error *error);
/* Syncs the new file, renames it over the old one, whose permissions it has, and syncs the folder.  Frees
 * `replacement`; on an error the old file is unchanged and the temporary file is removed. */
chainrule_status cr_replacement_commit(cr_replacement *replacement, chainrule_error *error);
/* Whether the target is written through, so that each write reaches it at once. */
int cr_replacement_is_through(const cr_replacement *replacement);
/* Removes the temporary file and frees `replacement`, which may be NULL. */
void cr_replacement_abandon(cr_replacement *replacement);

/* Removes the temporary files of replacements that are under way, for a process that is about to end.  Later
 * commits in this process wait forever. */
void cr_replacement_abandon_all(void);
/* Removes the temporary files in `folder` whose process has died. */
void cr_replacement_clean(const char *folder);

#ifdef __cplusplus
}
#endif
#endif
