/* Data above CR_KEPT are scanned by several threads.  With several bad values the error names the first in the
 * order of the rows, whichever thread finds its own first.
 *
 * checks.c is compiled into this program, so that a case can set the number of parts and the order in which they
 * run. */
#include "team.h"

static size_t thread_count; /* of the scan under test */
static cr_team *team;
static void run_parts(size_t parts, cr_job *job, void *scan);
#define cr_team_ready(team) ((void)(team), thread_count)
#define cr_team_run(team, parts, job, scan) run_parts(parts, job, scan)
#include "../../../Sources/CChainrule/network/checks.c"
#undef cr_team_ready
#undef cr_team_run

#include "../expect.h"

/* AMIDST: each part is interrupted after its first values, until all parts before it are done. */
static enum order { FIRST_TO_LAST, LAST_TO_FIRST, AMIDST, AT_ONCE, ORDERS } order;
static struct {
  cr_job *job;
  void *scan;
  size_t left; /* parts that have not begun */
} interrupted;

static void run_part_before(void)
{
  if (interrupted.left > 0) interrupted.job(interrupted.scan, --interrupted.left);
}

static void run_parts(size_t parts, cr_job *job, void *scan)
{
  if (order == AT_ONCE) {
    cr_team_run(team, parts, job, scan);
    return;
  }
  interrupted.job = job, interrupted.scan = scan, interrupted.left = order == AMIDST ? parts : 0;
  while (interrupted.left > 0) run_part_before();
  for (size_t i = 0; i < parts && order != AMIDST; i++) job(scan, order == FIRST_TO_LAST ? i : parts - 1 - i);
}

/* The kernels of a network, with a `within` that is interrupted. */
static const cr_kernel_set *kernels;
static bool within_f32(size_t count, const float *values, float low, float high)
{
  const bool result = kernels->f32->within(count, values, low, high);
  run_part_before();
  return result;
}
static bool within_f64(size_t count, const double *values, double low, double high)
{
  const bool result = kernels->f64->within(count, values, low, high);
  run_part_before();
  return result;
}

enum { ROWS = 300001, INPUTS = 2, KINDS = 3, MOST = 4 };
_Static_assert(ROWS * sizeof(float) > CR_KEPT, "every array is worth a team");

/* An array of the data, and three bad values of it. */
static const struct array {
  const char *name;
  size_t columns;
  double bad[KINDS];
  const char *said[KINDS];
} arrays[] = {
    {"inputs", INPUTS, {NAN, INFINITY, -INFINITY},
     {", column %zu: NaN", ", column %zu: infinity", ", column %zu: -infinity"}},
    {"targets", 1, {NAN, INFINITY, -1},
     {", column %zu: NaN", ", column %zu: infinity", ", column %zu: poisson needs targets 0 or more; got -1"}},
    {"sample weights", 1, {NAN, INFINITY, -1}, {", column %zu: NaN", ", column %zu: infinity", ": negative"}},
};

/* The indices of the bad values: a share of all values, plus an offset. */
static const struct places {
  size_t count;
  struct { double share; ptrdiff_t after; } at[MOST];
} cases[] = {
    {1, {{0, 0}}},
    {1, {{1, -1}}},
    {2, {{0, 0}, {1, -1}}},
    {2, {{0, 100}, {0, 101}}},                         /* in one call of the kernel */
    {2, {{0.5, -1}, {0.5, 0}}},                        /* the end of a part, the start of the next */
    {2, {{0.5, -2}, {0.5, 2}}},
    {3, {{1 / 3.0, -3}, {1 / 3.0, 3}, {2 / 3.0, 0}}},
    {4, {{0.125, -3}, {0.25, -3}, {0.5, 3}, {1, -1}}}, /* late in a part, and early in another */
    {4, {{0.25, 9000}, {0.5, 0}, {0.75, 0}, {0.875, 0}}},
};

static void set(chainrule_scalar scalar, void *values, size_t i, double value)
{
  if (scalar == CHAINRULE_FLOAT32)
    ((float *)values)[i] = (float)value;
  else
    ((double *)values)[i] = value;
}

/* The bad values of a case, of every kind in every place in turn. */
static void try_case(const chainrule_network *network, void *const data[3], const struct places *places,
                     size_t which)
{
  const struct array *array = &arrays[which];
  const size_t count = ROWS * array->columns;
  for (size_t turn = 0; turn < KINDS; turn++) {
    size_t at[MOST];
    for (size_t k = 0; k < places->count; k++) {
      at[k] = (size_t)((double)count * places->at[k].share) + (size_t)places->at[k].after;
      set(network->scalar, data[which], at[k], array->bad[(k + turn) % KINDS]);
    }
    char expected[120], end[80];
    snprintf(end, sizeof end, array->said[turn], at[0] % array->columns + 1);
    snprintf(expected, sizeof expected, "%s, row %zu%s", array->name, at[0] / array->columns + 1, end);
    snprintf(context, sizeof context, "%zu threads, order %d: %.100s", thread_count, (int)order, expected);
    HOLDS(cr_check_data(network, team, CHAINRULE_LOSS_POISSON, data[0], data[1], data[2], ROWS, e));
    HOLDS(strcmp(e->message, expected) == 0);
    for (size_t k = 0; k < places->count; k++) set(network->scalar, data[which], at[k], 0);
  }
}

int main(void)
{
  static double x[ROWS * INPUTS], y[ROWS], weights[ROWS]; /* zeros, of either scalar type */
  void *const data[] = {x, y, weights};
  static const size_t counts[] = {1, 2, 3, 8};
  const chainrule_layer layer = {.units = 1};
  for (int scalar = CHAINRULE_FLOAT32; scalar <= CHAINRULE_FLOAT64; scalar++) {
    const chainrule_network_description description = {
        CHAINRULE_NETWORK_DESCRIPTION_SIZES, (chainrule_scalar)scalar, INPUTS, 1, &layer, NULL};
    chainrule_network *network = NULL;
    ACCEPTED(chainrule_network_create(&description, &network, e));
    if (!network) return summary();
    kernels = network->kernels;
    cr_kernels_f32 f32 = *kernels->f32;
    cr_kernels_f64 f64 = *kernels->f64;
    f32.within = within_f32, f64.within = within_f64;
    cr_kernel_set set = *kernels;
    set.f32 = &f32, set.f64 = &f64;
    network->kernels = &set;
    for (size_t i = 0; i < CR_COUNT(counts); i++) {
      thread_count = counts[i];
      ACCEPTED(cr_team_create(thread_count, &team, e));
      for (order = 0; order < ORDERS; order++) {
        ACCEPTED(cr_check_data(network, team, CHAINRULE_LOSS_POISSON, x, y, weights, ROWS, e));
        for (size_t c = 0; c < CR_COUNT(cases); c++)
          for (size_t which = 0; which < CR_COUNT(arrays); which++) try_case(network, data, &cases[c], which);
      }
      cr_team_free(team);
    }
    chainrule_network_free(network);
  }
  return summary();
}
