/* A team of threads, which runs the parts of a job in parallel.
 *
 * A training step and a scan of large data are jobs.  The work is divided by data, never by timing, so that
 * the bits of a result do not depend on the number of threads that were free. */
#ifndef CR_TEAM_H
#define CR_TEAM_H

#include "base.h"

enum { CR_THREADS = 256 }; /* the largest team */

typedef struct cr_team cr_team;
/* Computes one part of a job, counted from 0. */
typedef void cr_job(void *context, size_t part);

/* The number of CPUs that this process may use. */
size_t cr_cpu_count(void);
/* Makes a team of the caller and size − 1 workers; *team is NULL if size is 1. */
chainrule_status cr_team_create(size_t size, cr_team **team, chainrule_error *error);
/* Runs each part of the job once, and returns when all are done.  `parts` is at most the size of the team.
 * Any thread may run any part.  In a child process after a fork there are no workers, and the caller runs all
 * parts. */
void cr_team_run(cr_team *team, size_t parts, cr_job *job, void *context);
/* The number of threads to divide a job for: the size of the team, or 1 while the workers would slow the
 * caller down, because other processes use the CPUs. */
size_t cr_team_ready(cr_team *team);
void cr_team_free(cr_team *team);

#endif
