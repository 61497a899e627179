/* Learning-rate schedules: how η changes during training.
 *
 * A rate is a pure function of the schedule, η and t, and is not stored.  So a run that resumes at t has the
 * rates of an uninterrupted run.  Only the plateau has a state, in a struct that the caller owns. */
#ifndef CHAINRULE_SCHEDULE_H
#define CHAINRULE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The unit of t, lengths and the warm-up: completed epochs or updates. */
typedef enum CHAINRULE_CLOSED_ENUM chainrule_schedule_unit {
  CHAINRULE_PER_EPOCH CHAINRULE_SWIFT_NAME(epoch) = 0,
  CHAINRULE_PER_STEP CHAINRULE_SWIFT_NAME(step) = 1
} chainrule_schedule_unit;

/* A schedule and its parameters.  Start from chainrule_schedule_default, which has PyTorch's defaults.  A
 * kind ignores fields that it doesn't use; all zeros are the constant schedule.  Counts are signed so that −1
 * is refused instead of read as 2⁶⁴ − 1. */
typedef struct chainrule_schedule {
  size_t struct_size; /* sizeof(chainrule_schedule) */
  chainrule_schedule_kind kind;
  chainrule_schedule_unit unit;
  int64_t warm_up;       /* any schedule: units of linear rise to its first rate, ≥ 0; 0: none */
  double warm_up_factor; /* the start of the rise relative to its end: 0 < f ≤ 1 */
  int64_t length; /* step: between two steps; cosine: to the minimum; cosineRestarts: the first; oneCycle: all of it.
                   * At least 1; oneCycle: 2 */
  int64_t growth;       /* cosineRestarts: ratio of a length to the previous one, ≥ 1 */
  double factor;        /* γ > 0 of step, exponential and plateau; plateau: < 1 */
  double minimum;       /* cosine, cosineRestarts, plateau: the lowest rate, ≥ 0 */
  double rise;          /* oneCycle: fraction of the length in which the rate rises, 0 … 1 */
  double divisor;       /* oneCycle: ratio of η to the first rate, > 0 */
  double final_divisor; /* oneCycle: ratio of the first rate to the last, > 0 */
  int64_t patience;     /* plateau: number of losses in a row without improvement, ≥ 0 */
  int64_t cooldown;     /* plateau: number of losses that don't count after a reduction, ≥ 0 */
  double threshold;     /* plateau, τ: a loss below b (1 − τ) improves the best loss b, 0 ≤ τ < 1; */
  bool absolute;        /* plateau: or below b − τ, τ ≥ 0 */
} chainrule_schedule;

/* PyTorch's defaults.  The length and the factor of exponential have none; they are 0 and must be set. */
CHAINRULE_API void chainrule_schedule_set_defaults(chainrule_schedule *schedule, size_t struct_size,
                                                   chainrule_schedule_kind kind);
static inline chainrule_schedule chainrule_schedule_default(chainrule_schedule_kind kind)
{
  chainrule_schedule schedule;
  chainrule_schedule_set_defaults(&schedule, sizeof schedule, kind);
  return schedule;
}

/* The message of CHAINRULE_INVALID_ARGUMENT names the field: "cosine: length must be at least 1". */
CHAINRULE_API chainrule_status chainrule_schedule_check(const chainrule_schedule *schedule,
                                                        chainrule_error *error);

/* The state of a plateau; all zeros: the initial state. */
typedef struct chainrule_plateau {
  bool observed;   /* whether there is a loss; then `best` is valid */
  double best;     /* the lowest loss, with respect to the threshold */
  int64_t stale;   /* number of losses since then without improvement */
  int64_t cooling; /* number of further losses that don't count */
  int64_t reductions;
} chainrule_plateau;

/* The rate of the update or epoch after t others.  `plateau` may be NULL, which means the initial state;
 * other kinds ignore it.  NaN for a schedule that chainrule_schedule_check refuses.
 *
 * After its length oneCycle keeps its last rate, and cosine rises again, as in PyTorch. */
CHAINRULE_API double chainrule_schedule_rate(const chainrule_schedule *schedule, double learning_rate,
                                             uint64_t t, const chainrule_plateau *plateau);

/* Updates a plateau with the loss after t units.  Losses of the warm-up, t ≤ warm_up, don't count.  Other
 * kinds ignore it. */
CHAINRULE_API chainrule_status chainrule_schedule_observe(const chainrule_schedule *schedule, uint64_t t,
                                                          double loss, chainrule_plateau *plateau,
                                                          chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
