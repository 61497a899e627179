/* Replaces a file so that a crash leaves the old file or the new one, never a part of it: a temporary file in the same
 * folder is written, synced and renamed over the old one, and then the folder is synced.
 *
 * The process that writes a temporary file holds a lock (flock) on it.  A temporary file without a lock is left over
 * from a process that was killed, and the next replacement in its folder removes it.  Process numbers would not do:
 * in a container every run may be process 1. */
#undef _GNU_SOURCE /* under it, strerror_r is another function */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE /* F_FULLFSYNC */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writing.h"
#include "replace.h"

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

enum { TEMPORARY_SIZE = 32, LINK_LIMIT = 40, TEMPORARY_LIMIT = 10000 };
static const char prefix[] = ".chainrule-";

struct cr_replacement {
  int file;
  int folder; /* −1: the target is written through */
  char *path; /* without symbolic links in its last component */
  const char *name;
  char temporary[TEMPORARY_SIZE];
  cr_replacement *next; /* in the list of those under way */
};

/* Replacements under way; the lock also covers the renaming, so that cr_replacement_abandon_all removes no file of
 * another process that took the same temporary name after it. */
static pthread_mutex_t under_way_lock = PTHREAD_MUTEX_INITIALIZER;
static cr_replacement *under_way;

/* ---- The target -------------------------------------------------------------------------------- */

/* Follows the symbolic links of the last component; the result need not exist.  NULL and errno on an error. */
static char *follow_links(const char *path)
{
  char *target = strdup(path);
  for (int links = 0; target; links++) {
    struct stat info;
    if (lstat(target, &info) != 0 || !S_ISLNK(info.st_mode)) return target;
    char to[PATH_MAX];
    const ssize_t length = links < LINK_LIMIT ? readlink(target, to, sizeof to - 1) : -1;
    if (length < 0) {
      if (links >= LINK_LIMIT) errno = ELOOP;
      free(target);
      return NULL;
    }
    to[length] = '\0';
    const char *slash = strrchr(target, '/');
    const size_t folder = slash && *to != '/' ? (size_t)(slash - target) + 1 : 0;
    char *joined = malloc(folder + (size_t)length + 1);
    if (joined) {
      memcpy(joined, target, folder);
      memcpy(joined + folder, to, (size_t)length + 1);
    }
    free(target);
    target = joined;
  }
  return NULL;
}

/* The descriptor of this process that `path` stands for; −1 where there is none. */
static int own_descriptor(const char *path, const struct stat *info)
{
  static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
  if (strcmp(path, "/dev/stdout") == 0) return STDOUT_FILENO;
  if (strcmp(path, "/dev/stderr") == 0) return STDERR_FILENO;
  for (size_t i = 0; i < CR_COUNT(folders); i++) {
    const size_t length = strlen(folders[i]);
    if (strncmp(path, folders[i], length) != 0) continue;
    char *end;
    const long number = strtol(path + length, &end, 10);
    if (end > path + length && !*end && number >= 0 && number <= INT_MAX) return (int)number;
  }
  for (int number = STDOUT_FILENO; number <= STDERR_FILENO; number++) {
    struct stat own;
    if (fstat(number, &own) == 0 && own.st_dev == info->st_dev && own.st_ino == info->st_ino) return number;
  }
  return -1;
}

typedef struct cr_destination {
  bool exists, through; /* through: it is written in place, as a device or a pipe */
  int descriptor;       /* of a target that is written through: this process's open descriptor, or −1 */
  struct stat info;
} cr_destination;

/* Examines what `path` is, and refuses what cannot be written. */
static chainrule_status examine(const char *path, cr_destination *target, chainrule_error *error)
{
  *target = (cr_destination){.descriptor = -1};
  if (!*path) return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "path is empty");
  if (stat(path, &target->info) != 0)
    return errno == ENOENT || errno == ENOTDIR ? CHAINRULE_OK : cr_refused(error, "cannot write", errno);
  target->exists = true;
  const mode_t mode = target->info.st_mode;
  if (S_ISDIR(mode)) return cr_refused(error, "cannot write", EISDIR);
  if (S_ISBLK(mode)) return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot write: it is a block device");
  target->descriptor = own_descriptor(path, &target->info);
  target->through = !S_ISREG(mode) || target->descriptor >= 0;
  if (target->descriptor >= 0) return CHAINRULE_OK;
  if ((mode & 0222) == 0)
    return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot write: the file is read-only");
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0) return cr_refused(error, "cannot write", errno);
  return CHAINRULE_OK;
}

/* Opens the folder of the target.  *path is the target without symbolic links, which the caller frees. */
static chainrule_status open_folder(const char *given, char **path, const char **name, int *folder,
                                    chainrule_error *error)
{
  *path = follow_links(given);
  if (!*path) return cr_refused(error, "cannot follow the symbolic link", errno);
  char *slash = strrchr(*path, '/');
  *name = slash ? slash + 1 : *path;
  chainrule_status status = CHAINRULE_OK;
  if (!**name) status = cr_refused(error, "cannot write", EISDIR);
  if (!status) {
    if (slash) *slash = '\0';
    const char *parent = !slash ? "." : slash == *path ? "/" : *path;
    *folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*folder < 0) status = cr_refused(error, "cannot open the folder", errno);
  }
  struct stat info;
  if (!status && fstatat(*folder, *name, &info, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
    status = cr_refused(error, "cannot write", errno); /* such as a name that is too long */
    close(*folder);
  }
  if (status) {
    free(*path);
    *path = NULL;
  }
  return status;
}

chainrule_status cr_replacement_check(const char *path, chainrule_error *error)
{
  cr_destination target;
  chainrule_status status = examine(path, &target, error);
  if (status || target.through) return status;
  char *resolved;
  const char *name;
  int folder;
  status = open_folder(path, &resolved, &name, &folder, error);
  if (status) return status;
  if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0)
    status = cr_refused(error, "cannot write into the folder", errno);
  close(folder);
  free(resolved);
  return status;
}

/* ---- Temporary files ---------------------------------------------------------------------------- */

/* Removes a temporary file that no process holds a lock on.  Only the holder of the lock renames or removes the file,
 * so that the name cannot have passed to another file in between. */
static bool remove_leftover(int folder, const char *name)
{
  const int file = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return false;
  struct stat held, named;
  const bool removed = flock(file, LOCK_EX | LOCK_NB) == 0 && fstat(file, &held) == 0 &&
                       S_ISREG(held.st_mode) && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                       held.st_dev == named.st_dev && held.st_ino == named.st_ino &&
                       unlinkat(folder, name, 0) == 0;
  close(file);
  return removed;
}

/* Creates a temporary file and locks it; −1 and errno on an error.  Its permissions are those that the umask leaves:
 * mkstemp would give 0600, and a process cannot read its umask without changing it for its other threads. */
static int create_temporary(int folder, char name[TEMPORARY_SIZE])
{
  for (int number = 0; number < TEMPORARY_LIMIT; number++) {
    snprintf(name, TEMPORARY_SIZE, "%s%d", prefix, number);
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0 && errno == EEXIST) {
      if (!remove_leftover(folder, name)) continue;
      file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (file < 0) {
      if (errno == EEXIST || errno == EINTR) continue;
      return -1;
    }
    /* Another process may have taken it for a leftover before it was locked.  A file system without locks refuses
     * both calls, and there nothing is removed. */
    struct stat info;
    const bool locked = flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (locked && fstat(file, &info) == 0 && info.st_nlink > 0) {
      char next[TEMPORARY_SIZE];
      do snprintf(next, sizeof next, "%s%d", prefix, ++number);
      while (remove_leftover(folder, next));
      return file;
    }
    close(file);
  }
  errno = EEXIST;
  return -1;
}

void cr_replacement_clean(const char *folder)
{
  DIR *entries = opendir(folder);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    const char *number = entry->d_name + sizeof prefix - 1;
    if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0 || !*number) continue;
    if (strspn(number, "0123456789") == strlen(number)) remove_leftover(dirfd(entries), entry->d_name);
  }
  closedir(entries);
}

static void remove_temporary(const cr_replacement *replacement)
{
  unlinkat(replacement->folder, replacement->temporary, 0);
}

/* Removes a replacement from the list, whose lock the caller holds. */
static void leave(const cr_replacement *replacement)
{
  cr_replacement **link = &under_way;
  while (*link && *link != replacement) link = &(*link)->next;
  if (*link) *link = replacement->next;
}

void cr_replacement_abandon_all(void)
{
  pthread_mutex_lock(&under_way_lock); /* never unlocked */
  for (const cr_replacement *one = under_way; one; one = one->next) remove_temporary(one);
}

/* ---- One replacement ---------------------------------------------------------------------------- */

/* Opens a target that is written through. */
static chainrule_status open_through(const char *path, const cr_destination *target, int *file,
                                     chainrule_error *error)
{
  if (target->descriptor >= 0) {
    *file = fcntl(target->descriptor, F_DUPFD_CLOEXEC, 0);
    return *file < 0 ? cr_refused(error, "cannot write", errno) : CHAINRULE_OK;
  }
  /* Without O_NONBLOCK, opening a pipe waits for a reader. */
  do *file = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  while (*file < 0 && errno == EINTR);
  if (*file < 0 && errno == ENXIO && S_ISFIFO(target->info.st_mode))
    return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot write: no process reads from this pipe");
  if (*file < 0) return cr_refused(error, "cannot write", errno);
  const int flags = fcntl(*file, F_GETFL);
  if (flags >= 0) fcntl(*file, F_SETFL, flags & ~O_NONBLOCK);
  return CHAINRULE_OK;
}

/* Creates the temporary file, with the owner and permissions of the target. */
static chainrule_status open_beside(const char *path, const cr_destination *target, cr_replacement *r,
                                    chainrule_error *error)
{
  chainrule_status status = open_folder(path, &r->path, &r->name, &r->folder, error);
  if (status) {
    r->folder = -1;
    return status;
  }
  r->file = create_temporary(r->folder, r->temporary);
  if (r->file < 0) {
    status = cr_refused(error, "cannot write into the folder", errno);
    close(r->folder);
    r->folder = -1;
    return status;
  }
  pthread_mutex_lock(&under_way_lock);
  r->next = under_way;
  under_way = r;
  pthread_mutex_unlock(&under_way_lock);
  if (!target->exists) return CHAINRULE_OK;
  struct stat own;
  if (fstat(r->file, &own) == 0 && (own.st_uid != target->info.st_uid || own.st_gid != target->info.st_gid)) {
    /* Only root may give a file away; for others it becomes their own. */
    const int ignored = fchown(r->file, target->info.st_uid, target->info.st_gid);
    (void)ignored;
  }
  if (fchmod(r->file, target->info.st_mode & 0777) != 0)
    return cr_refused(error, "cannot set the permissions", errno);
  return CHAINRULE_OK;
}

chainrule_status cr_replacement_begin(const char *path, cr_replacement **replacement, chainrule_error *error)
{
  *replacement = NULL;
  cr_destination target;
  chainrule_status status = examine(path, &target, error);
  if (status) return status;
  cr_replacement *r = malloc(sizeof *r);
  if (!r) return cr_out_of_memory(error, "the file", sizeof *r);
  *r = (cr_replacement){.file = -1, .folder = -1};
  status = target.through ? open_through(path, &target, &r->file, error) : open_beside(path, &target, r, error);
  if (status)
    cr_replacement_abandon(r);
  else
    *replacement = r;
  return status;
}

chainrule_status cr_replacement_write(cr_replacement *replacement, const void *bytes, size_t size,
                                      chainrule_error *error)
{
  return cr_write_all(replacement->file, bytes, size, error);
}

chainrule_status cr_replacement_commit(cr_replacement *r, chainrule_error *error)
{
  chainrule_status status = CHAINRULE_OK;
  if (r->folder < 0) {
    const int file = r->file;
    r->file = -1;
    if (close(file) != 0) status = cr_refused(error, "cannot write", errno);
  } else if (!sync_file(r->file)) {
    status = cr_refused(error, "cannot write", errno);
  } else {
    /* The lock on the file is held until it has its new name. */
    pthread_mutex_lock(&under_way_lock);
    if (renameat(r->folder, r->temporary, r->folder, r->name) == 0)
      leave(r), *r->temporary = '\0';
    else
      status = cr_refused(error, "cannot replace the file", errno);
    pthread_mutex_unlock(&under_way_lock);
    /* EINVAL: a file system that cannot sync folders. */
    if (!status && !sync_file(r->folder) && errno != EINVAL)
      status = cr_refused(error, "saved, but cannot sync the folder", errno);
  }
  cr_replacement_abandon(r);
  return status;
}

int cr_replacement_is_through(const cr_replacement *replacement) { return replacement->folder < 0; }

void cr_replacement_abandon(cr_replacement *r)
{
  if (!r) return;
  if (r->folder >= 0) {
    pthread_mutex_lock(&under_way_lock);
    leave(r);
    pthread_mutex_unlock(&under_way_lock);
    if (*r->temporary) remove_temporary(r);
    close(r->folder);
  }
  if (r->file >= 0) close(r->file);
  free(r->path);
  free(r);
}

chainrule_status cr_replace_file(const char *path, cr_writer *write, const void *what, chainrule_error *error)
{
  cr_replacement *replacement;
  chainrule_status status = cr_replacement_begin(path, &replacement, error);
  if (status) return status;
  status = write(replacement->file, what, error);
  if (!status) return cr_replacement_commit(replacement, error);
  cr_replacement_abandon(replacement);
  return status;
}
