/* Threads that share a step. */
#ifndef CR_TEAM_H
#define CR_TEAM_H

#include "base.h"

enum { CR_THREADS = 256 }; /* the most of a team */

typedef struct cr_team cr_team;
typedef void cr_job(void *context, size_t part);

/* CPUs that this process may use. */
size_t cr_cpu_count(void);
/* The caller and size − 1 threads; NULL where size is 1. */
chainrule_status cr_team_create(size_t size, cr_team **team, chainrule_error *error);
/* Does each of the job's parts once, as many as the team's size at most; returns when all are done.  Any thread may do any
 * part; the caller is alone where the process has forked since. */
void cr_team_run(cr_team *team, size_t parts, cr_job *job, void *context);
/* Its size, or 1 for as long as its threads would hold the caller up, since others want the CPUs. */
size_t cr_team_ready(cr_team *team);
void cr_team_free(cr_team *team);

#endif
