/* Replacing a file so that after a crash there is the old one or the new one, never a part: the new one is
 * written beside it, synced, and renamed over it, and then the folder is synced. */
#undef _GNU_SOURCE /* under it, strerror_r is another function */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE /* F_FULLFSYNC */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

chainrule_status cr_refused(chainrule_error *error, const char *what, int code)
{
  char reason[128];
  if (strerror_r(code, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", code);
  return cr_fail(error, code == ENOMEM ? CHAINRULE_OUT_OF_MEMORY : CHAINRULE_FILE_FAILED, 0, "%s: %s", what,
                 reason);
}

chainrule_status cr_write_all(int file, const void *bytes, size_t size, chainrule_error *error)
{
  for (const char *next = bytes; size > 0;) {
    ssize_t written = write(file, next, size < SSIZE_MAX ? size : SSIZE_MAX);
    if (written < 0 && errno != EINTR) return cr_refused(error, "cannot write", errno);
    if (written < 0) continue;
    next += written;
    size -= (size_t)written;
  }
  return CHAINRULE_OK;
}

static bool sync_file(int file)
{
#ifdef F_FULLFSYNC /* macOS's fsync leaves the data in the drive's cache */
  if (fcntl(file, F_FULLFSYNC) == 0) return true;
#endif
  while (fsync(file) != 0)
    if (errno != EINTR) return false;
  return true;
}

/* What may be replaced: nothing, or a regular file that may be written.  *mode: its permissions. */
static chainrule_status check_target(int folder, const char *name, mode_t *mode, chainrule_error *error)
{
  struct stat target;
  if (!*name) return cr_refused(error, "cannot write", EISDIR);
  if (fstatat(folder, name, &target, 0) != 0)
    return errno == ENOENT ? CHAINRULE_OK : cr_refused(error, "cannot write", errno);
  if (S_ISDIR(target.st_mode)) return cr_refused(error, "cannot write", EISDIR);
  if (!S_ISREG(target.st_mode))
    return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot write: not a regular file");
  if (faccessat(folder, name, W_OK, AT_EACCESS) != 0) return cr_refused(error, "cannot write", errno);
  *mode = target.st_mode & 0777;
  return CHAINRULE_OK;
}

enum { TEMPORARY_SIZE = 64 };

/* A new file, with the permissions that the umask leaves.  mkstemp would make it 0600, and a process cannot
 * read its umask without changing it under its other threads. */
static int create_temporary(int folder, char name[TEMPORARY_SIZE])
{
  for (int attempt = 0; attempt < 10000; attempt++) {
    snprintf(name, TEMPORARY_SIZE, ".chainrule-%ld-%d", (long)getpid(), attempt);
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0 || (errno != EEXIST && errno != EINTR)) return file;
  }
  return -1;
}

static chainrule_status replace_in(int folder, const char *name, cr_writer *write, const void *what,
                                   chainrule_error *error)
{
  mode_t mode = 0;
  chainrule_status status = check_target(folder, name, &mode, error);
  if (status) return status;
  char temporary[TEMPORARY_SIZE];
  int file = create_temporary(folder, temporary);
  if (file < 0) return cr_refused(error, "cannot write into the folder", errno);

  if (mode && fchmod(file, mode) != 0) status = cr_refused(error, "cannot set the permissions", errno);
  if (!status) status = write(file, what, error);
  if (!status && !sync_file(file)) status = cr_refused(error, "cannot write", errno);
  if (close(file) != 0 && !status) status = cr_refused(error, "cannot write", errno);
  if (!status && renameat(folder, temporary, folder, name) != 0)
    status = cr_refused(error, "cannot replace the file", errno);
  if (status) {
    unlinkat(folder, temporary, 0);
    return status;
  }
  /* EINVAL: a file system that cannot sync folders. */
  if (!sync_file(folder) && errno != EINVAL)
    return cr_refused(error, "saved, but cannot sync the folder", errno);
  return CHAINRULE_OK;
}

chainrule_status cr_replace_file(const char *path, cr_writer *write, const void *what, chainrule_error *error)
{
  struct stat link;
  bool linked = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
  char *target = linked ? realpath(path, NULL) : strdup(path);
  if (!target) return cr_refused(error, linked ? "cannot follow the symbolic link" : "cannot write", errno);
  char *slash = strrchr(target, '/');
  const char *name = slash ? slash + 1 : target;
  if (slash) *slash = '\0';
  const char *parent = !slash ? "." : slash == target ? "/" : target;

  int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    chainrule_status status = cr_refused(error, "cannot open the folder", errno);
    free(target);
    return status;
  }
  chainrule_status status = replace_in(folder, name, write, what, error);
  close(folder);
  free(target);
  return status;
}
