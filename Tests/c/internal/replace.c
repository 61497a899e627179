/* Replacing files: which file is written, which permissions it has, and which temporary files remain. */
#undef _GNU_SOURCE
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files/replace.h"
#include "files/writing.h"

static int failures;
static chainrule_error error;

#define HOLDS(condition) holds(condition, __LINE__, #condition)

static void holds(bool condition, int line, const char *text)
{
  if (condition) return;
  fprintf(stderr, "line %d: %s (%s)\n", line, text, error.message);
  failures++;
}

/* The test runs in a folder of its own. */
static void make(const char *path, const char *text, mode_t mode)
{
  FILE *file = fopen(path, "w");
  if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0) abort();
}

static bool has(const char *path, const char *expected)
{
  char text[256] = {0};
  FILE *file = fopen(path, "r");
  if (!file) return false;
  const size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  return size == strlen(expected) && memcmp(text, expected, size) == 0;
}

static size_t temporaries(void)
{
  DIR *entries = opendir(".");
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(entries));) count += strncmp(entry->d_name, ".chainrule-", 11) == 0;
  closedir(entries);
  return count;
}

static chainrule_status put(const char *path, const char *text)
{
  cr_replacement *replacement;
  chainrule_status status = cr_replacement_begin(path, &replacement, &error);
  if (status) return status;
  status = cr_replacement_write(replacement, text, strlen(text), &error);
  if (!status) return cr_replacement_commit(replacement, &error);
  cr_replacement_abandon(replacement);
  return status;
}

static bool refuses(const char *path, const char *message)
{
  cr_replacement *replacement;
  const bool checked = cr_replacement_check(path, &error) && strstr(error.message, message);
  return cr_replacement_begin(path, &replacement, &error) && strstr(error.message, message) && !replacement && checked;
}

static mode_t mode_of(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

static void keeps_permissions_and_links(void)
{
  const mode_t modes[] = {0600, 0640, 0666, 0777, 0200};
  for (size_t i = 0; i < CR_COUNT(modes); i++) {
    make("file", "old", 0600);
    HOLDS(chmod("file", modes[i]) == 0 && put("file", "new") == CHAINRULE_OK && mode_of("file") == modes[i]);
    HOLDS(chmod("file", 0600) == 0 && has("file", "new") && unlink("file") == 0);
  }
  umask(027);
  HOLDS(put("created", "new") == CHAINRULE_OK && mode_of("created") == 0640);
  umask(022);

  make("target", "old", 0600);
  HOLDS(mkdir("folder", 0755) == 0 && symlink("target", "link") == 0 && symlink("../link", "folder/link") == 0);
  HOLDS(put("folder/link", "through two links") == CHAINRULE_OK && has("target", "through two links"));
  struct stat info;
  HOLDS(lstat("folder/link", &info) == 0 && S_ISLNK(info.st_mode) && lstat("link", &info) == 0 && S_ISLNK(info.st_mode));
  HOLDS(symlink("../absent", "folder/dangling") == 0 && put("folder/dangling", "created") == CHAINRULE_OK);
  HOLDS(has("absent", "created") && lstat("folder/dangling", &info) == 0 && S_ISLNK(info.st_mode));
  HOLDS(temporaries() == 0);
}

static void refuses_what_cannot_be_replaced(void)
{
  make("read-only", "old", 0444);
  HOLDS(refuses("read-only", "cannot write: the file is read-only") && has("read-only", "old"));
  HOLDS(symlink("read-only", "to-read-only") == 0 && refuses("to-read-only", "the file is read-only"));
  HOLDS(refuses("folder", "cannot write: Is a directory") && refuses("folder/", "Is a directory"));
  HOLDS(refuses("none/file", "cannot open the folder: No such file"));
  HOLDS(refuses("target/file", "cannot open the folder: Not a directory"));
  HOLDS(refuses("", "path is empty"));
  HOLDS(symlink("loop", "loop") == 0 && refuses("loop", "cannot write: Too many levels"));
  HOLDS(temporaries() == 0);
}

static void writes_through_what_is_no_file(void)
{
  struct stat before, after;
  HOLDS(stat("/dev/null", &before) == 0 && put("/dev/null", "lost") == CHAINRULE_OK);
  HOLDS(stat("/dev/null", &after) == 0 && before.st_ino == after.st_ino);

  HOLDS(mkfifo("pipe", 0600) == 0 && put("pipe", "x") == CHAINRULE_FILE_FAILED);
  HOLDS(strstr(error.message, "no process reads from this pipe") != NULL);
  const int reader = open("pipe", O_RDONLY | O_NONBLOCK);
  char text[16] = {0};
  HOLDS(put("pipe", "piped") == CHAINRULE_OK && read(reader, text, sizeof text - 1) == 5 && strcmp(text, "piped") == 0);
  HOLDS(stat("pipe", &after) == 0 && S_ISFIFO(after.st_mode));
  close(reader);

  /* The file of standard output is written through, under any name. */
  make("output", "before ", 0600);
  fflush(stdout);
  const int kept = dup(STDOUT_FILENO), appended = open("output", O_WRONLY | O_APPEND);
  HOLDS(dup2(appended, STDOUT_FILENO) == STDOUT_FILENO);
  HOLDS(put("/dev/stdout", "stdout ") == CHAINRULE_OK && put("/dev/fd/1", "fd ") == CHAINRULE_OK);
  HOLDS(put("output", "name") == CHAINRULE_OK);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  close(appended);
  HOLDS(has("output", "before stdout fd name"));
  HOLDS(temporaries() == 0);
}

/* A process that is killed while it writes leaves its temporary file, which the next replacement in the
 * folder removes, whatever the process's number was.  The temporary file of a running process stays. */
static void removes_what_the_killed_left(void)
{
  cr_replacement *replacement;
  for (int way = 0; way < 2; way++) {
    int ready[2];
    HOLDS(pipe(ready) == 0);
    pid_t children[2];
    for (int i = 0; i < 2; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        if (cr_replacement_begin(i ? "b" : "a", &replacement, &error) != CHAINRULE_OK) _exit(1);
        if (cr_replacement_write(replacement, "part", 4, &error) != CHAINRULE_OK || write(ready[1], "r", 1) != 1)
          _exit(1);
        pause();
      }
      char byte;
      HOLDS(read(ready[0], &byte, 1) == 1);
    }
    HOLDS(temporaries() == 2 && put("c", "new") == CHAINRULE_OK && temporaries() == 2);
    kill(children[0], SIGKILL);
    waitpid(children[0], NULL, 0);
    HOLDS(temporaries() == 2);
    if (way == 0)
      HOLDS(put("c", "newer") == CHAINRULE_OK && has("c", "newer"));
    else
      cr_replacement_clean(".");
    HOLDS(temporaries() == 1);
    kill(children[1], SIGKILL);
    waitpid(children[1], NULL, 0);
    cr_replacement_clean(".");
    HOLDS(temporaries() == 0 && access("a", F_OK) != 0);
    close(ready[0]);
    close(ready[1]);
  }
  make(".chainrule-notes", "a user's", 0600);
  cr_replacement_clean(".");
  HOLDS(has(".chainrule-notes", "a user's") && unlink(".chainrule-notes") == 0);
}

static void leaves_nothing_behind(void)
{
  cr_replacement *replacement;
  make("kept", "old", 0600);
  HOLDS(cr_replacement_begin("kept", &replacement, &error) == CHAINRULE_OK);
  HOLDS(cr_replacement_write(replacement, "new", 3, &error) == CHAINRULE_OK && temporaries() == 1);
  cr_replacement_abandon(replacement);
  HOLDS(has("kept", "old") && temporaries() == 0);

  /* The new file cannot be renamed, because a folder has its name. */
  HOLDS(cr_replacement_begin("taken", &replacement, &error) == CHAINRULE_OK && mkdir("taken", 0700) == 0);
  HOLDS(cr_replacement_commit(replacement, &error) == CHAINRULE_FILE_FAILED && temporaries() == 0);
  HOLDS(strstr(error.message, "cannot replace the file: ") != NULL);

  const pid_t child = fork();
  if (child == 0) {
    cr_replacement *others[3];
    for (int i = 0; i < 3; i++)
      if (cr_replacement_begin("kept", &others[i], &error) != CHAINRULE_OK) _exit(1);
    cr_replacement_abandon_all();
    _exit(temporaries() == 0 ? 0 : 1);
  }
  int status;
  HOLDS(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  HOLDS(has("kept", "old"));
}

int main(void)
{
  char folder[] = "replace-XXXXXX";
  if (!mkdtemp(folder) || chdir(folder) != 0) return 1;
  umask(022);
  alarm(60); /* if a child hangs */
  keeps_permissions_and_links();
  refuses_what_cannot_be_replaced();
  writes_through_what_is_no_file();
  removes_what_the_killed_left();
  leaves_nothing_behind();
  char command[sizeof folder + 10];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (chdir("..") != 0 || system(command) != 0) failures++;
  return failures ? 1 : 0;
}
