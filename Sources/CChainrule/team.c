/* A team of threads that run one job after the other.
 *
 * A job is divided into parts.  The result of a part is the same whichever thread runs it.  The caller
 * announces a job and starts on its parts; the workers take the parts that are left.  So no thread waits for
 * one without a CPU, unless that one lost its CPU in the middle of a part.  A waiting thread first spins,
 * because the next job of a step comes soon, and then sleeps.  With more threads than CPUs no thread spins,
 * because it would take the CPU from one that works.
 *
 * On a busy machine two threads can be slower than one: each is preempted in turn, and the other waits for
 * it.  So the team measures how much time the workers save the caller and how much they cost it, and when
 * they cost more it pauses them.
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
  SPIN_TIME = 50000,   /* a thread spins this long before it sleeps: about as long as waking it takes */
  MOST_GAIN = 1000000, /* limit of the balance: an old gain must not hide a new loss */
  MOST_LOSS = 200000,  /* with this loss the workers are paused; they have had time to wake up */
};
enum { PAUSE_FACTOR = 30 }; /* pause ÷ loss: the workers lose at most 1/30 of the time */

enum { SPINS = 32 }; /* between two readings of the clock */

/* A job is announced as one word: its number, shifted left by PARTS_BITS, and the number of its parts. */
enum { PARTS_BITS = 16 };

/* An event wakes the threads that sleep on it.  `count` counts how often it was signalled. */
typedef struct event {
  _Atomic uint32_t count, sleepers;
#ifndef __linux__
  pthread_mutex_t mutex;
  pthread_cond_t condition;
#endif
} event;

typedef struct part {
  _Atomic uint64_t job; /* the last job in which a thread has taken this part */
  int64_t time;         /* that a worker needed for it; 0: the caller ran it */
} part;

struct cr_team {
  size_t size;
  bool spins;    /* waiting threads spin before they sleep */
  pid_t process; /* of the workers: after a fork, the child has none of them */
  cr_job *job;
  void *context;
  _Atomic uint64_t announced;
  _Atomic size_t unfinished; /* parts of this job */
  atomic_bool quits;
  event called, done; /* for the workers; for the caller */
  part *parts;
  int64_t balance, paused_until; /* time that the workers have saved, less what they have cost */
  pthread_t *threads;
};

typedef struct worker {
  cr_team *team;
  size_t member; /* 1 … size − 1; the caller is 0 */
} worker;

static int64_t now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void cpu_relax(void)
{
#if defined __x86_64__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/* ---- Sleep -------------------------------------------------------------------------------------- */

#ifdef __linux__
static void event_init(event *e) { (void)e; }
static void event_destroy(event *e) { (void)e; }

static void event_wait(event *e, uint32_t seen)
{
  syscall(SYS_futex, &e->count, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void wake_all(event *e)
{
  e->count++;
  syscall(SYS_futex, &e->count, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
#else
static void event_init(event *e)
{
  pthread_mutex_init(&e->mutex, NULL);
  pthread_cond_init(&e->condition, NULL);
}

static void event_destroy(event *e)
{
  pthread_cond_destroy(&e->condition);
  pthread_mutex_destroy(&e->mutex);
}

static void event_wait(event *e, uint32_t seen)
{
  pthread_mutex_lock(&e->mutex);
  while (e->count == seen) pthread_cond_wait(&e->condition, &e->mutex);
  pthread_mutex_unlock(&e->mutex);
}

static void wake_all(event *e)
{
  pthread_mutex_lock(&e->mutex);
  e->count++;
  pthread_cond_broadcast(&e->condition);
  pthread_mutex_unlock(&e->mutex);
}
#endif

/* Wakes the sleepers after a change that they wait for.  A sleeper counts itself before it checks its
 * condition for the last time.  So either it sees the change, or this function sees the sleeper. */
static void signal_event(event *e)
{
  if (e->sleepers > 0) wake_all(e);
}

/* Conditions to wait for: a job other than the last one seen; the end of all parts. */
static bool has_new_job(cr_team *team, uint64_t seen) { return team->announced != seen; }
static bool is_finished(cr_team *team, uint64_t unused) { return (void)unused, team->unfinished == 0; }

/* Waits until `ready(team, seen)`: spins first, then sleeps on the event. */
static void wait_for(cr_team *team, event *event, bool ready(cr_team *, uint64_t), uint64_t seen)
{
  for (int64_t time = 0, end = INT64_MAX; team->spins && time < end;) {
    for (int i = 0; i < SPINS; i++) {
      if (ready(team, seen)) return;
      cpu_relax();
    }
    time = now();
    if (end == INT64_MAX) end = time + SPIN_TIME;
  }
  event->sleepers++;
  for (uint32_t count; count = event->count, !ready(team, seen);) event_wait(event, count);
  event->sleepers--;
}

/* ---- Work --------------------------------------------------------------------------------------- */

/* Takes a part for this thread; false if another thread has it.  No thread can take a part of a job that is
 * over: all of its parts have the number of that job, or of a later one. */
static bool take(part *part, uint64_t job)
{
  uint64_t last = part->job;
  return last < job && atomic_compare_exchange_strong(&part->job, &last, job);
}

/* Runs the parts of the announced job that no other thread has taken, beginning with part `member`. */
static void do_parts(cr_team *team, uint64_t announced, size_t member)
{
  const uint64_t job = announced >> PARTS_BITS;
  const size_t parts = announced & ((1 << PARTS_BITS) - 1);
  for (size_t i = 0; i < parts; i++) {
    const size_t index = (member + i) % parts;
    part *part = &team->parts[index];
    if (!take(part, job)) continue;
    const int64_t begun = member > 0 ? now() : 0;
    team->job(team->context, index);
    part->time = member > 0 ? now() - begun : 0;
    if (atomic_fetch_sub(&team->unfinished, 1) == 1 && member > 0) signal_event(&team->done);
  }
}

static void *work(void *argument)
{
  const worker me = *(worker *)argument;
  cr_team *team = me.team;
  free(argument);
  cr_float_mode_enter(false); /* a thread starts in the mode of its creator, the host's */
  for (uint64_t seen = 0;;) {
    wait_for(team, &team->called, has_new_job, seen);
    seen = team->announced;
    if (team->quits) return NULL;
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

/* Announces the next job; returns the word that announces it. */
static uint64_t announce(cr_team *team, size_t parts)
{
  const uint64_t number = (team->announced >> PARTS_BITS) + 1, announced = number << PARTS_BITS | parts;
  team->announced = announced;
  signal_event(&team->called);
  return announced;
}

/* Adds to the balance the time that the workers' parts would have taken the caller, and subtracts `cost`, the
 * time in which the caller woke the workers and waited for them.  The caller worked for `own`; a part counts
 * for at most that, since its worker may have lost its CPU.  `time` is now. */
static void update_balance(cr_team *team, size_t parts, int64_t own, int64_t cost, int64_t time)
{
  for (size_t i = 0; i < parts; i++) team->balance += team->parts[i].time < own ? team->parts[i].time : own;
  team->balance -= cost;
  if (team->balance > MOST_GAIN) team->balance = MOST_GAIN;
  if (team->balance > -MOST_LOSS) return;
  team->paused_until = time - PAUSE_FACTOR * team->balance;
  team->balance = 0;
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
  team->unfinished = parts;
  const uint64_t announced = announce(team, parts);
  const int64_t begun = now();
  do_parts(team, announced, 0);
  const int64_t finished = now();
  wait_for(team, &team->done, is_finished, 0);
  const int64_t end = now();
  update_balance(team, parts, finished - begun, begun - start + end - finished, end);
}

size_t cr_team_ready(cr_team *team)
{
  if (!team) return 1;
  if (team->paused_until > 0 && now() < team->paused_until) return 1;
  team->paused_until = 0;
  return team->size;
}

void cr_team_free(cr_team *team)
{
  if (!team) return;
  if (team->process == getpid()) {
    team->quits = true;
    announce(team, team->size);
    for (size_t i = 1; i < team->size; i++) pthread_join(team->threads[i], NULL);
    event_destroy(&team->called);
    event_destroy(&team->done);
  }
  free(team->threads);
  free(team->parts);
  free(team);
}

/* Blocks signals in the calling thread and returns its old mask.  A worker must not take the host's signals:
 * it would run a handler in the middle of a step, and a host that blocks a signal in its own threads, to wait
 * for it, would not get it.  Signals that an instruction raises stay unblocked, for the host's crash
 * handler. */
static sigset_t block_signals(void)
{
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  sigset_t all, before;
  sigfillset(&all);
  for (size_t i = 0; i < CR_COUNT(own); i++) sigdelset(&all, own[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}

/* Starts a worker with signals blocked: a thread inherits the mask of its creator.  Returns an errno, or
 * 0. */
static int start(pthread_t *thread, worker *me)
{
  const sigset_t before = block_signals();
  const int failure = pthread_create(thread, NULL, work, me);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failure;
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
      .size = 1, .spins = size <= cr_cpu_count(), .process = getpid(), .parts = parts, .threads = threads};
  event_init(&team->called);
  event_init(&team->done);
  for (; team->size < size; team->size++) {
    worker *me = malloc(sizeof *me);
    int failure = me ? 0 : ENOMEM;
    if (me) {
      *me = (worker){team, team->size};
      failure = start(&threads[team->size], me);
    }
    if (!failure) continue;
    const size_t started = team->size;
    free(me);
    cr_team_free(team);
    return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "cannot start thread %zu of %zu: %s", started + 1, size,
                   strerror(failure));
  }
  *result = team;
  return CHAINRULE_OK;
}
