/* A team of threads that do one job together, and then the next.
 *
 * A job has parts, which are the same whoever does them.  The caller announces it and begins; the others take what parts are
 * left as they come.  So nobody waits for a thread that has no CPU, unless it lost it in the middle of a part.  Who waits does
 * so a short while awake, for the next job of a step is never far, then asleep.  Where there are more threads than CPUs
 * nobody waits awake, since it would keep another from its work.
 *
 * On a busy machine two threads can take longer than one: each is stopped in turn, and the other waits for it.  So the team
 * keeps an account of what its threads save the caller and of what they cost it, and where they cost, it rests.
 */
#if !defined __linux__
#define _POSIX_C_SOURCE 200809L /* sigset_t */
#define _DARWIN_C_SOURCE
#elif !defined _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity, syscall, sigset_t */
#endif
#include "team.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* In nanoseconds. */
enum {
  AWAKE = 50000,      /* that a thread waits before it sleeps: as long as waking it would take */
  SAVED = 1000000,    /* the most that an account holds: an old gain pays for no new loss */
  OVERDRAWN = 200000, /* where it ends: the threads have had time to wake up */
};
enum { REST = 30 }; /* times the loss: what the threads lose stays within a thirtieth of the time */

enum { GLANCES = 32 }; /* between two looks at the clock */

/* The word that a job is announced with: its number, and how many parts it has. */
enum { PARTS_BITS = 16 };

/* What sleepers are woken by: a count of rings. */
typedef struct bell {
  _Atomic uint32_t rings, sleepers;
#ifndef __linux__
  pthread_mutex_t mutex;
  pthread_cond_t rung;
#endif
} bell;

typedef struct part {
  _Atomic uint64_t job; /* the last one that someone took it in */
  int64_t time;         /* that a thread other than the caller took for it; 0: the caller did it */
} part;

struct cr_team {
  size_t size;
  bool patient;  /* waits awake at first */
  pid_t process; /* that the threads live in: a fork has none of them */
  cr_job *job;
  void *context;
  _Atomic uint64_t announced;
  _Atomic size_t undone; /* parts of this job */
  atomic_bool dismissed;
  bell called, done; /* for the threads; for the caller */
  part *parts;
  int64_t account, rests_until;
  pthread_t *threads;
};

typedef struct recruit {
  cr_team *team;
  size_t member;
} recruit;

static int64_t now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void glance(void)
{
#if defined __x86_64__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/* ---- Sleep -------------------------------------------------------------------------------------- */

#ifdef __linux__
static void bell_init(bell *b) { (void)b; }
static void bell_destroy(bell *b) { (void)b; }

static void sleep_since(bell *b, uint32_t heard)
{
  syscall(SYS_futex, &b->rings, FUTEX_WAIT_PRIVATE, heard, NULL, NULL, 0);
}

static void wake_all(bell *b)
{
  b->rings++;
  syscall(SYS_futex, &b->rings, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
#else
static void bell_init(bell *b)
{
  pthread_mutex_init(&b->mutex, NULL);
  pthread_cond_init(&b->rung, NULL);
}

static void bell_destroy(bell *b)
{
  pthread_cond_destroy(&b->rung);
  pthread_mutex_destroy(&b->mutex);
}

static void sleep_since(bell *b, uint32_t heard)
{
  pthread_mutex_lock(&b->mutex);
  while (b->rings == heard) pthread_cond_wait(&b->rung, &b->mutex);
  pthread_mutex_unlock(&b->mutex);
}

static void wake_all(bell *b)
{
  pthread_mutex_lock(&b->mutex);
  b->rings++;
  pthread_cond_broadcast(&b->rung);
  pthread_mutex_unlock(&b->mutex);
}
#endif

/* After a change that someone may wait for.  A sleeper counts itself before it looks a last time, so that either it
 * sees the change or this sees the sleeper. */
static void ring(bell *b)
{
  if (b->sleepers > 0) wake_all(b);
}

static bool announcement(cr_team *team, uint64_t seen) { return team->announced != seen; }
static bool idle(cr_team *team, uint64_t nothing) { return (void)nothing, team->undone == 0; }

/* Until `ready`, awake at first. */
static void wait_for(cr_team *team, bell *bell, bool ready(cr_team *, uint64_t), uint64_t what)
{
  for (int64_t time = 0, end = INT64_MAX; team->patient && time < end;) {
    for (int i = 0; i < GLANCES; i++) {
      if (ready(team, what)) return;
      glance();
    }
    time = now();
    if (end == INT64_MAX) end = time + AWAKE;
  }
  bell->sleepers++;
  for (uint32_t heard; heard = bell->rings, !ready(team, what);) sleep_since(bell, heard);
  bell->sleepers--;
}

/* ---- Work --------------------------------------------------------------------------------------- */

/* Whether the part is this thread's.  Nobody takes a part of a job that is over: all of its parts have its number, or a
 * later one's. */
static bool take(part *part, uint64_t job)
{
  uint64_t last = part->job;
  return last < job && atomic_compare_exchange_strong(&part->job, &last, job);
}

/* One's own part of what has been announced, then those that others have not come to. */
static void do_parts(cr_team *team, uint64_t announced, size_t member)
{
  const uint64_t job = announced >> PARTS_BITS;
  const size_t parts = announced & ((1 << PARTS_BITS) - 1);
  for (size_t i = 0; i < parts; i++) {
    const size_t mine = (member + i) % parts;
    part *part = &team->parts[mine];
    if (!take(part, job)) continue;
    const int64_t begun = member > 0 ? now() : 0;
    team->job(team->context, mine);
    part->time = member > 0 ? now() - begun : 0;
    if (atomic_fetch_sub(&team->undone, 1) == 1 && member > 0) ring(&team->done);
  }
}

static void *work(void *argument)
{
  const recruit me = *(recruit *)argument;
  cr_team *team = me.team;
  free(argument);
  cr_float_mode_enter(false); /* a thread is born in the mode of its creator, the host's */
  for (uint64_t seen = 0;;) {
    wait_for(team, &team->called, announcement, seen);
    seen = team->announced;
    if (team->dismissed) return NULL;
    do_parts(team, seen, me.member);
  }
}

size_t cr_cpu_count(void)
{
#if defined __linux__ && defined CPU_COUNT
  cpu_set_t set;
  if (!sched_getaffinity(0, sizeof set, &set)) return (size_t)CPU_COUNT(&set);
#endif
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : (size_t)count;
}

/* Announces the next job; returns its word. */
static uint64_t announce(cr_team *team, size_t parts)
{
  const uint64_t number = (team->announced >> PARTS_BITS) + 1, announced = number << PARTS_BITS | parts;
  team->announced = announced;
  ring(&team->called);
  return announced;
}

/* Enters into the account what the job's parts would have taken the caller, which worked for `own`, less what calling the
 * others and waiting for them has cost it.  A part counts no more than `own`, as its thread may have been without a CPU. */
static void settle(cr_team *team, size_t parts, int64_t own, int64_t cost, int64_t time)
{
  for (size_t i = 0; i < parts; i++) team->account += team->parts[i].time < own ? team->parts[i].time : own;
  team->account -= cost;
  if (team->account > SAVED) team->account = SAVED;
  if (team->account > -OVERDRAWN) return;
  team->rests_until = time - REST * team->account;
  team->account = 0;
}

void cr_team_run(cr_team *team, size_t parts, cr_job *job, void *context)
{
  if (!team || parts <= 1 || team->process != getpid()) {
    for (size_t part = 0; part < (parts ? parts : 1); part++) job(context, part);
    return;
  }
  const int64_t start = now();
  team->job = job;
  team->context = context;
  team->undone = parts;
  const uint64_t announced = announce(team, parts);
  const int64_t begun = now();
  do_parts(team, announced, 0);
  const int64_t finished = now();
  wait_for(team, &team->done, idle, 0);
  const int64_t end = now();
  settle(team, parts, finished - begun, begun - start + end - finished, end);
}

size_t cr_team_ready(cr_team *team)
{
  if (!team) return 1;
  if (team->rests_until > 0 && now() < team->rests_until) return 1;
  team->rests_until = 0;
  return team->size;
}

void cr_team_free(cr_team *team)
{
  if (!team) return;
  if (team->process == getpid()) {
    team->dismissed = true;
    announce(team, team->size);
    for (size_t i = 1; i < team->size; i++) pthread_join(team->threads[i], NULL);
    bell_destroy(&team->called);
    bell_destroy(&team->done);
  }
  free(team->threads);
  free(team->parts);
  free(team);
}

/* The host's signals are for its own threads: one of a team would run a handler in the midst of a step, and a host that
 * blocks a signal, to wait for it, blocks it in its own threads alone.  What a thread's own instructions raise stays, for
 * the host's crash handler.  Returns what the calling thread had. */
static sigset_t block_signals(void)
{
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < CR_COUNT(own); i++) sigdelset(&all, own[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}

/* A thread is born with the mask of its creator. */
static int start(pthread_t *thread, recruit *me)
{
  const sigset_t before = block_signals();
  const int refused = pthread_create(thread, NULL, work, me);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return refused;
}

chainrule_status cr_team_create(size_t size, cr_team **result, chainrule_error *error)
{
  *result = NULL;
  if (size <= 1) return CHAINRULE_OK;
  cr_team *team = calloc(1, sizeof *team);
  pthread_t *threads = calloc(size, sizeof *threads);
  part *parts = calloc(size, sizeof *parts);
  if (!team || !threads || !parts) {
    free(team), free(threads), free(parts);
    return cr_out_of_memory(error, "threads", sizeof *team + size * (sizeof *threads + sizeof *parts));
  }
  *team = (cr_team){
      .size = 1, .patient = size <= cr_cpu_count(), .process = getpid(), .parts = parts, .threads = threads};
  bell_init(&team->called);
  bell_init(&team->done);
  for (; team->size < size; team->size++) {
    recruit *me = malloc(sizeof *me);
    int refused = me ? 0 : ENOMEM;
    if (me) {
      *me = (recruit){team, team->size};
      refused = start(&threads[team->size], me);
    }
    if (!refused) continue;
    const size_t started = team->size;
    free(me);
    cr_team_free(team);
    return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "cannot start thread %zu of %zu: %s", started + 1, size,
                   strerror(refused));
  }
  *result = team;
  return CHAINRULE_OK;
}
