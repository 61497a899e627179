/* Learning-rate schedules: how η changes as training goes on.
 *
 * A rate is a pure function of the schedule, η and t, so that nothing of it is stored: a run that is resumed at t has
 * the rates of one that never stopped.  The plateau alone remembers something, in a struct that its caller owns. */
#ifndef CHAINRULE_SCHEDULE_H
#define CHAINRULE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What t, a length and the warm-up count: epochs done, or updates. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_schedule_unit {
  CHAINRULE_PER_EPOCH CHAINRULE_SWIFT_NAME(epoch) = 0,
  CHAINRULE_PER_STEP CHAINRULE_SWIFT_NAME(step) = 1
} chainrule_schedule_unit;

/* A schedule and its numbers; start from chainrule_schedule_default, which has PyTorch's.  What a kind does not use is
 * not looked at, so that zeros are the constant schedule.  Counts are signed: −1 is refused, not taken for 2⁶⁴ − 1. */
typedef struct chainrule_schedule {
  size_t struct_size; /* sizeof(chainrule_schedule) */
  chainrule_schedule_kind kind;
  chainrule_schedule_unit unit;
  int64_t warm_up;       /* before any schedule: units of linear rise to its first rate, ≥ 0; 0: none */
  double warm_up_factor; /* where the rise starts, as a part of where it ends: 0 < f ≤ 1 */
  int64_t length; /* step: between two steps; cosine: to the minimum; cosineRestarts: the first; oneCycle: all of it.
                   * At least 1; oneCycle: 2 */
  int64_t growth; /* cosineRestarts: a length over the one before, ≥ 1 */
  double factor;  /* γ > 0 of step, exponential and plateau; plateau: < 1 */
  double minimum; /* cosine, cosineRestarts, plateau: the lowest rate, ≥ 0 */
  double rise;          /* oneCycle: the part of the length in which the rate rises, 0 … 1 */
  double divisor;       /* oneCycle: η over the first rate, > 0 */
  double final_divisor; /* oneCycle: the first rate over the last, > 0 */
  int64_t patience;     /* plateau: as many losses in a row may be no better than the best, ≥ 0 */
  int64_t cooldown;     /* plateau: losses that are not counted after a reduction, ≥ 0 */
  double threshold;     /* plateau, τ: better than the best b is a loss below b (1 − τ), 0 ≤ τ < 1, */
  bool absolute;        /* or, with this, below b − τ, τ ≥ 0 */
} chainrule_schedule;

/* What has no default in PyTorch is 0, and so has to be set: the length, and the factor of exponential. */
CHAINRULE_API void chainrule_schedule_set_defaults(chainrule_schedule *schedule, size_t struct_size,
                                                   chainrule_schedule_kind kind);
static inline chainrule_schedule chainrule_schedule_default(chainrule_schedule_kind kind)
{
  chainrule_schedule schedule;
  chainrule_schedule_set_defaults(&schedule, sizeof schedule, kind);
  return schedule;
}

/* CHAINRULE_INVALID_ARGUMENT names the number that is out of its range: "cosine: length must be at least 1". */
CHAINRULE_API chainrule_status chainrule_schedule_check(const chainrule_schedule *schedule, chainrule_error *error);

/* What a plateau has seen of the losses; all zeros: nothing yet. */
typedef struct chainrule_plateau {
  bool observed;   /* a loss, which is then `best` */
  double best;     /* the lowest loss, as the threshold has it */
  int64_t stale;   /* losses since, that were no better */
  int64_t cooling; /* losses still not to be counted */
  int64_t reductions;
} chainrule_plateau;

/* The rate of the update or of the epoch behind t others.  `plateau` may be NULL: nothing observed; other kinds do not
 * look at it.  NaN for a schedule that chainrule_schedule_check refuses.
 *
 * oneCycle stays at its last rate; cosine goes up again behind its length, as PyTorch's does. */
CHAINRULE_API double chainrule_schedule_rate(const chainrule_schedule *schedule, double learning_rate, uint64_t t,
                                             const chainrule_plateau *plateau);

/* Tells a plateau the loss after t units; one of the warm-up, t ≤ warm_up, does not count.  Other kinds learn nothing. */
CHAINRULE_API chainrule_status chainrule_schedule_observe(const chainrule_schedule *schedule, uint64_t t, double loss,
                                                          chainrule_plateau *plateau, chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
