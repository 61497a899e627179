/* A team of threads that do one job together, and then the next.
 *
 * The caller is member 0.  The others wait for a job: a short while awake, for the next one of a step is never far,
 * then asleep.  Where there are more members than CPUs nobody waits awake, since it would keep another from its work.
 */
#define _POSIX_C_SOURCE 200809L /* sigset_t */
#define _DARWIN_C_SOURCE
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE = 4000 }; /* glances, of some ten nanoseconds each, before a member sleeps */

/* The word that a job is announced with: its number, and how many members it takes. */
enum { MEMBERS_BITS = 16 };

struct cr_team {
  size_t size;
  unsigned patience;
  pid_t process; /* that the threads live in: a fork has none of them */
  cr_job *job;
  void *context;
  _Atomic uint64_t announced;
  _Atomic size_t working, asleep; /* members at this job; members that sleep, and the caller if it does */
  atomic_bool dismissed;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t *threads;
};

typedef struct recruit {
  cr_team *team;
  size_t member;
} recruit;

static void glance(void)
{
#if defined __x86_64__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

static bool announcement(cr_team *team, void *seen) { return team->announced != *(uint64_t *)seen; }
static bool idle(cr_team *team, void *nothing) { return (void)nothing, team->working == 0; }

/* Until `ready`, awake at first. */
static void wait_for(cr_team *team, bool ready(cr_team *, void *), void *what)
{
  for (unsigned i = 0; i < team->patience; i++) {
    if (ready(team, what)) return;
    glance();
  }
  pthread_mutex_lock(&team->mutex);
  team->asleep++;
  while (!ready(team, what)) pthread_cond_wait(&team->changed, &team->mutex);
  team->asleep--;
  pthread_mutex_unlock(&team->mutex);
}

/* After a change that someone may wait for.  A sleeper counts itself before it looks a last time, so that either it
 * sees the change or this sees the sleeper. */
static void tell(cr_team *team)
{
  if (team->asleep == 0) return;
  pthread_mutex_lock(&team->mutex);
  pthread_cond_broadcast(&team->changed);
  pthread_mutex_unlock(&team->mutex);
}

static void *work(void *argument)
{
  const recruit me = *(recruit *)argument;
  cr_team *team = me.team;
  free(argument);
  cr_float_mode_enter(false); /* a thread is born in the mode of its creator, the host's */
  for (uint64_t seen = 0;;) {
    wait_for(team, announcement, &seen);
    seen = team->announced;
    if (team->dismissed) return NULL;
    if (me.member >= (seen & ((1 << MEMBERS_BITS) - 1))) continue;
    team->job(team->context, me.member);
    if (atomic_fetch_sub(&team->working, 1) == 1) tell(team);
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

/* Announces the next job, for this many members. */
static void announce(cr_team *team, size_t members)
{
  const uint64_t number = (team->announced >> MEMBERS_BITS) + 1;
  team->announced = number << MEMBERS_BITS | members;
  tell(team);
}

void cr_team_run(cr_team *team, size_t members, cr_job *job, void *context)
{
  if (!team || members <= 1 || team->process != getpid()) {
    for (size_t member = 0; member < (members ? members : 1); member++) job(context, member);
    return;
  }
  team->job = job;
  team->context = context;
  team->working = members - 1;
  announce(team, members);
  job(context, 0);
  wait_for(team, idle, NULL);
}

size_t cr_team_size(const cr_team *team) { return team ? team->size : 1; }

void cr_team_free(cr_team *team)
{
  if (!team) return;
  if (team->process == getpid()) {
    team->dismissed = true;
    announce(team, team->size);
    for (size_t i = 1; i < team->size; i++) pthread_join(team->threads[i], NULL);
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
  }
  free(team->threads);
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
  if (!team || !threads) {
    free(team), free(threads);
    return cr_out_of_memory(error, "threads", sizeof *team + size * sizeof *threads);
  }
  *team = (cr_team){
      .size = 1, .patience = size > cr_cpu_count() ? 0 : PATIENCE, .process = getpid(), .threads = threads};
  pthread_mutex_init(&team->mutex, NULL);
  pthread_cond_init(&team->changed, NULL);
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
