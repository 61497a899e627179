/* A trainer's threads never receive the host's signals: a handler runs in a thread of the host, or the signal
 * stays pending until one unblocks it.  Threads still receive the signals that their own instructions
 * raise. */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <chainrule.h>

#include "expect.h"

#ifndef __linux__

int main(void)
{
  puts("skipped: needs /proc");
  return 77;
}

#else

enum { MOST = 16 };

/* The signals that a thread blocks, bit n − 1 for signal n. */
static uint64_t blocked_by(const char *thread)
{
  char path[300], line[256];
  uint64_t mask = 0;
  snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
  FILE *status = fopen(path, "r");
  HOLDS(status);
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "SigBlk: %" SCNx64, &mask) == 1) break;
  if (status) fclose(status);
  return mask;
}

/* The masks of all threads except the main one; returns their number. */
static size_t masks_of_others(uint64_t masks[MOST])
{
  size_t count = 0;
  DIR *threads = opendir("/proc/self/task");
  HOLDS(threads);
  for (struct dirent *entry; threads && (entry = readdir(threads));)
    if (*entry->d_name != '.' && strtol(entry->d_name, NULL, 10) != (long)getpid() && count < MOST)
      masks[count++] = blocked_by(entry->d_name);
  if (threads) closedir(threads);
  return count;
}

/* The C library blocks all signals of a thread until it runs. */
static bool have_begun(const uint64_t *masks, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (masks[i] >> (SIGSEGV - 1) & 1) return false;
  return true;
}

static chainrule_network *make(void)
{
  const chainrule_layer layers[] = {{.units = 4}};
  chainrule_network *network = NULL;
  ACCEPTED(chainrule_network_create(&(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES,
                                                                     CHAINRULE_FLOAT32, 3, 1, layers, NULL},
                                    &network, e));
  return network;
}

static volatile sig_atomic_t handled;
static void handle(int number) { (void)number, handled = handled + 1; }

static void pause_for(long milliseconds)
{
  nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

/* While the main thread blocks a signal of the process, no thread receives it. */
static void waits_for_the_host(int number)
{
  sigset_t one, before, pending;
  sigemptyset(&one);
  sigaddset(&one, number);
  signal(number, handle);
  sigprocmask(SIG_BLOCK, &one, &before);
  handled = 0;
  kill(getpid(), number);
  pause_for(20);
  sigpending(&pending);
  HOLDS(handled == 0 && sigismember(&pending, number) == 1);
  sigprocmask(SIG_SETMASK, &before, NULL);
  HOLDS(handled == 1);
  signal(number, SIG_DFL);
}

int main(void)
{
  static const struct {
    int number;
    const char *name;
    bool blocked;
  } signals[] = {
      {SIGHUP, "SIGHUP", true},    {SIGINT, "SIGINT", true},   {SIGTERM, "SIGTERM", true},
      {SIGALRM, "SIGALRM", true},  {SIGUSR1, "SIGUSR1", true}, {SIGUSR2, "SIGUSR2", true},
      {SIGCHLD, "SIGCHLD", true},  {SIGPIPE, "SIGPIPE", true}, {SIGIO, "SIGIO", true},
      {SIGPROF, "SIGPROF", true},  {SIGQUIT, "SIGQUIT", true}, {SIGXFSZ, "SIGXFSZ", true},
      {SIGSEGV, "SIGSEGV", false}, {SIGBUS, "SIGBUS", false},  {SIGFPE, "SIGFPE", false},
      {SIGILL, "SIGILL", false},
  };
  sigset_t some, before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &some, &before);
  char self[24];
  snprintf(self, sizeof self, "%ld", (long)getpid());
  uint64_t masks[MOST];
  const uint64_t own = blocked_by(self);
  const size_t others = masks_of_others(masks);

  for (size_t threads = 1; threads <= 4; threads++) {
    snprintf(context, sizeof context, "%zu threads", threads);
    chainrule_network *network = make();
    chainrule_trainer *trainer = NULL;
    const chainrule_trainer_options training = {
        CHAINRULE_TRAINER_OPTIONS_SIZES, .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_SGD),
        .batch_size = 8, .threads = threads};
    ACCEPTED(chainrule_trainer_create(network, &training, &trainer, e));
    HOLDS(blocked_by(self) == own); /* the caller's mask is unchanged */
    size_t workers = masks_of_others(masks) - others;
    for (int i = 0; i < 2000 && !have_begun(masks + others, workers); i++) {
      pause_for(1);
      workers = masks_of_others(masks) - others;
    }
    HOLDS(workers < threads);
    for (size_t w = 0; w < workers; w++)
      for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        const bool blocked = masks[others + w] >> (signals[i].number - 1) & 1;
        expect(blocked == signals[i].blocked, __LINE__, signals[i].name);
      }
    waits_for_the_host(SIGUSR1);
    waits_for_the_host(SIGTERM);
    chainrule_trainer_free(trainer);
    chainrule_network_free(network);
    for (int i = 0; i < 1000 && masks_of_others(masks) > others; i++)
      pause_for(1); /* joined, but still in /proc */
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return summary();
}

#endif
