/* Learning-rate schedules.  Sums, products and quotients alone, so that a rate has the same bits on every CPU: cosines
 * and powers of the C library's would not. */
#include "options.h"

#include <math.h>

void chainrule_schedule_set_defaults(chainrule_schedule *schedule, size_t struct_size,
                                     chainrule_schedule_kind kind)
{
  chainrule_schedule s = {.kind = kind,
                          .warm_up_factor = 1.0 / 3,
                          .growth = 1,
                          .rise = 0.3,
                          .divisor = 25,
                          .final_divisor = 1e4,
                          .patience = 10,
                          .threshold = 1e-4};
  switch (kind) {
  case CHAINRULE_SCHEDULE_STEP:
  case CHAINRULE_SCHEDULE_PLATEAU: s.factor = 0.1; break;
  case CHAINRULE_SCHEDULE_CONSTANT:
  case CHAINRULE_SCHEDULE_EXPONENTIAL:
  case CHAINRULE_SCHEDULE_COSINE:
  case CHAINRULE_SCHEDULE_COSINE_RESTARTS:
  case CHAINRULE_SCHEDULE_ONE_CYCLE: break;
  }
  cr_write_sized(schedule, struct_size, &s, sizeof s);
}

chainrule_status cr_read_schedule(const chainrule_schedule *given, chainrule_schedule *schedule,
                                  chainrule_error *error)
{
  const size_t least = offsetof(chainrule_schedule, warm_up);
  if (given && given->struct_size >= least) *schedule = chainrule_schedule_default(given->kind);
  return cr_read_sized("schedule", schedule, sizeof *schedule, least, given, error);
}

static chainrule_status check(const chainrule_schedule *given, chainrule_error *error)
{
  chainrule_schedule read, *const s = &read;
  chainrule_status status = cr_read_schedule(given, s, error);
  if (status) return status;
  if ((size_t)s->kind >= CHAINRULE_SCHEDULE_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "schedule %d is not in the catalogue", (int)s->kind);
  const char *name = chainrule_schedule_name(s->kind);
  if ((size_t)s->unit > CHAINRULE_PER_STEP)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: unit %d does not exist", name, (int)s->unit);

  enum {
    STEP = 1 << CHAINRULE_SCHEDULE_STEP,
    EXPONENTIAL = 1 << CHAINRULE_SCHEDULE_EXPONENTIAL,
    COSINE = 1 << CHAINRULE_SCHEDULE_COSINE,
    COSINE_RESTARTS = 1 << CHAINRULE_SCHEDULE_COSINE_RESTARTS,
    ONE_CYCLE = 1 << CHAINRULE_SCHEDULE_ONE_CYCLE,
    PLATEAU = 1 << CHAINRULE_SCHEDULE_PLATEAU,
    ANY = (1 << CHAINRULE_SCHEDULE_COUNT) - 1
  };
  const struct {
    int kinds; /* that have this number */
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {ANY, "warm-up", "0 or more", (double)s->warm_up, s->warm_up >= 0},
      {s->warm_up > 0 ? ANY : 0, "warm-up factor", "above 0, and at most 1", s->warm_up_factor,
       s->warm_up_factor > 0 && s->warm_up_factor <= 1},
      {STEP | COSINE | COSINE_RESTARTS, "length", "at least 1", (double)s->length, s->length >= 1},
      {ONE_CYCLE, "length", "at least 2", (double)s->length, s->length >= 2},
      {COSINE_RESTARTS, "growth", "at least 1", (double)s->growth, s->growth >= 1},
      {STEP | EXPONENTIAL, "factor", "a finite number above 0", s->factor, s->factor > 0 && isfinite(s->factor)},
      {PLATEAU, "factor", "above 0, and less than 1", s->factor, s->factor > 0 && s->factor < 1},
      {COSINE | COSINE_RESTARTS | PLATEAU, "minimum", "a finite number, 0 or more", s->minimum,
       s->minimum >= 0 && isfinite(s->minimum)},
      {ONE_CYCLE, "rise", "0 to 1", s->rise, s->rise >= 0 && s->rise <= 1},
      {ONE_CYCLE, "divisor", "a finite number above 0", s->divisor, s->divisor > 0 && isfinite(s->divisor)},
      {ONE_CYCLE, "final divisor", "a finite number above 0", s->final_divisor,
       s->final_divisor > 0 && isfinite(s->final_divisor)},
      {PLATEAU, "patience", "0 or more", (double)s->patience, s->patience >= 0},
      {PLATEAU, "cooldown", "0 or more", (double)s->cooldown, s->cooldown >= 0},
      {s->absolute ? 0 : PLATEAU, "threshold", "0 or more, and less than 1", s->threshold,
       s->threshold >= 0 && s->threshold < 1},
      {s->absolute ? PLATEAU : 0, "threshold", "a finite number, 0 or more", s->threshold,
       s->threshold >= 0 && isfinite(s->threshold)},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if ((checks[i].kinds & (1 << s->kind)) && !checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: %s must be %s; got %s", name, checks[i].name,
                     checks[i].expected, cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  return CHAINRULE_OK;
}

chainrule_status chainrule_schedule_check(const chainrule_schedule *s, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, check(s, error));
}

/* ---- Rates ------------------------------------------------------------------------------------- */

/* xⁿ, by squaring */
static double power(double x, uint64_t n)
{
  double result = 1;
  for (; n; n >>= 1) {
    if (n & 1) result *= x;
    x *= x;
  }
  return result;
}

/* sin(πv/2), 0 ≤ v ≤ ½: Taylor's series, cut off below 2⁻⁶² of it */
static double sine(double v)
{
  static const double c[] = {/* ± (π/2)ᵏ / k!, k = 1, 3, … 17 */
                             0x1.921fb54442d18p+0,  -0x1.4abbce625be53p-1,  0x1.466bc6775aae2p-4,
                             -0x1.32d2cce62bd86p-8, 0x1.50783487ee782p-13,  -0x1.e3074fde8871fp-19,
                             0x1.e8f434d018d63p-25, -0x1.6fadb9f155744p-31, 0x1.aaec32af93359p-38};
  double sum = 0;
  for (size_t k = CR_COUNT(c); k-- > 0;) sum = sum * (v * v) + c[k];
  return sum * v;
}

/* b + (a − b) (1 + cos(πx/n)) / 2, 0 ≤ x ≤ n: from a to b.  With (1 + cos πu) / 2 = 1 − sin²(πu/2) = sin²(π(1 − u)/2)
 * nothing cancels at either end, and both are exact. */
static double half_cosine(double a, double b, double x, double n)
{
  const bool early = x <= n - x;
  const double s = sine((early ? x : n - x) / n), far = s * s;
  return early ? a * (1 - far) + b * far : b * (1 - far) + a * far;
}

static double cosine_restarts(const chainrule_schedule *s, double rate, uint64_t t)
{
  uint64_t length = (uint64_t)s->length;
  const uint64_t growth = (uint64_t)s->growth;
  if (growth == 1) t %= length;
  while (t >= length) {
    t -= length;
    length = length > UINT64_MAX / growth ? UINT64_MAX : length * growth;
  }
  return half_cosine(rate, s->minimum, (double)t, (double)length);
}

/* The last update of the rise is `peak`, which need not be whole; the last of all is length − 1. */
static double one_cycle(const chainrule_schedule *s, double rate, uint64_t t)
{
  const double first = rate / s->divisor, last = first / s->final_divisor;
  const double end = (double)s->length - 1, peak = s->rise * (double)s->length - 1;
  const double x = (double)t < end ? (double)t : end;
  if (x <= peak) return peak > 0 ? half_cosine(first, rate, x, peak) : rate;
  return half_cosine(rate, last, x - peak, end - peak);
}

/* Behind the warm-up. */
static double scheduled(const chainrule_schedule *s, double rate, uint64_t t, int64_t reductions)
{
  switch (s->kind) {
  case CHAINRULE_SCHEDULE_CONSTANT: return rate;
  case CHAINRULE_SCHEDULE_STEP: return rate * power(s->factor, t / (uint64_t)s->length);
  case CHAINRULE_SCHEDULE_EXPONENTIAL: return rate * power(s->factor, t);
  case CHAINRULE_SCHEDULE_COSINE: {
    const uint64_t length = (uint64_t)s->length, x = t % (2 * length);
    return half_cosine(rate, s->minimum, (double)(x < length ? x : 2 * length - x), (double)length);
  }
  case CHAINRULE_SCHEDULE_COSINE_RESTARTS: return cosine_restarts(s, rate, t);
  case CHAINRULE_SCHEDULE_ONE_CYCLE: return one_cycle(s, rate, t);
  case CHAINRULE_SCHEDULE_PLATEAU:
    return fmax(rate * power(s->factor, (uint64_t)reductions), fmin(s->minimum, rate));
  }
  return NAN;
}

static double rate_of(const chainrule_schedule *given, double learning_rate, uint64_t t,
                      const chainrule_plateau *plateau)
{
  chainrule_schedule read, *const s = &read;
  if (cr_read_schedule(given, s, NULL) || check(s, NULL)) return NAN;
  const uint64_t warm_up = (uint64_t)s->warm_up;
  if (t >= warm_up)
    return scheduled(s, learning_rate, t - warm_up,
                     plateau && plateau->reductions > 0 ? plateau->reductions : 0);
  const double f = s->warm_up_factor, first = scheduled(s, learning_rate, 0, 0);
  return first * (f + (1 - f) * ((double)t / (double)warm_up));
}

double chainrule_schedule_rate(const chainrule_schedule *s, double learning_rate, uint64_t t,
                               const chainrule_plateau *plateau)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  const double result = rate_of(s, learning_rate, t, plateau);
  cr_float_mode_leave(mode);
  return result;
}

/* ---- The plateau ------------------------------------------------------------------------------- */

static chainrule_status observe(const chainrule_schedule *given, uint64_t t, double loss,
                                chainrule_plateau *plateau, chainrule_error *error)
{
  chainrule_schedule read, *const s = &read;
  chainrule_status status = cr_read_schedule(given, s, error);
  if (!status) status = check(s, error);
  if (status) return status;
  if (!plateau) return cr_null(error, "plateau");
  if (!isfinite(loss))
    return cr_fail(error, CHAINRULE_NOT_FINITE, 0, "the loss observed: %s", isnan(loss) ? "NaN" : "infinity");
  if (s->kind != CHAINRULE_SCHEDULE_PLATEAU || (s->warm_up > 0 && t <= (uint64_t)s->warm_up))
    return CHAINRULE_OK;

  const double best = plateau->best, bound = s->absolute ? best - s->threshold : best * (1 - s->threshold);
  if (!plateau->observed || loss < bound) {
    plateau->observed = true;
    plateau->best = loss;
    plateau->stale = 0;
  } else {
    plateau->stale++;
  }
  if (plateau->cooling > 0) {
    plateau->cooling--;
    plateau->stale = 0;
  }
  if (plateau->stale > s->patience) {
    plateau->reductions++;
    plateau->cooling = s->cooldown;
    plateau->stale = 0;
  }
  return CHAINRULE_OK;
}

chainrule_status chainrule_schedule_observe(const chainrule_schedule *s, uint64_t t, double loss,
                                            chainrule_plateau *plateau, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, observe(s, t, loss, plateau, error));
}
