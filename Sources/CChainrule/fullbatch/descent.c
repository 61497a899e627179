/* Line search methods: conjugate gradients, BFGS and L-BFGS, with one line search for the strong Wolfe
 * conditions. */
#include "fullbatch.h"
#include "vectors.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* ---- The line search ----------------------------------------------------------------------------- */

/* φ(α) = L(x + α d), and the last point at which it was evaluated. */
typedef struct line {
  cr_problem *problem;
  size_t p;
  const double *x, *direction;
  double *at, *gradient; /* x + α d, and ∂L/∂p there */
  double curvature;      /* the constant of the second Wolfe condition, between 0 and 1 */
} line;

typedef struct point {
  double rate, loss, slope; /* α, φ(α), φ′(α); an infinite φ has no slope */
} point;

/* Evaluates φ and φ′ at α = rate. */
static point evaluate(const line *l, double rate)
{
  point found = {.rate = rate, .loss = INFINITY};
  memcpy(l->at, l->x, l->p * sizeof *l->at);
  cr_add_scaled(l->p, rate, l->direction, l->at);
  if (cr_problem_value(l->problem, l->at, &found.loss, l->gradient))
    found.slope = cr_dot(l->p, l->gradient, l->direction);
  else
    found.loss = INFINITY;
  return found;
}

/* The strong Wolfe conditions (Nocedal & Wright 2006, 3.7). */
static const double sufficient = 1e-4;

static bool is_low(const point *p, const point *start)
{
  return p->loss <= start->loss + sufficient * p->rate * start->slope;
}
static bool is_flat(const line *l, const point *p, const point *start)
{
  return fabs(p->slope) <= -l->curvature * start->slope;
}

/* The minimum of the cubic through two points with their slopes, as a fraction of the way from a to b
 * (Nocedal & Wright 2006, 3.59); NAN if it has none. */
static double cubic(const point *a, const point *b)
{
  const double width = b->rate - a->rate;
  const double d1 = a->slope + b->slope - 3 * (b->loss - a->loss) / width;
  /* The squares of steep slopes overflow, so they are scaled. */
  const double scale = fmax(fabs(d1), fmax(fabs(a->slope), fabs(b->slope)));
  const double square = (d1 / scale) * (d1 / scale) - (a->slope / scale) * (b->slope / scale);
  if (!(square >= 0)) return NAN;
  const double d2 = copysign(scale * sqrt(square), width);
  return 1 - (b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2);
}

/* The next α between two points: the minimum of the cubic, at least a tenth of the way from either; half way
 * if there is no minimum. */
static double between(const point *low, const point *high)
{
  double part = isfinite(high->loss) ? cubic(low, high) : NAN;
  part = isfinite(part) ? fmin(fmax(part, 0.1), 0.9) : 0.5;
  return low->rate + part * (high->rate - low->rate);
}

/* The next α beyond the second of two points: the minimum of the cubic, limited to 2 to 10 times the second
 * α. */
static double beyond(const point *before, const point *last)
{
  double part = cubic(before, last);
  part = isfinite(part) && part > 1 ? part : 10;
  return fmin(fmax(before->rate + part * (last->rate - before->rate), 2 * last->rate), 10 * last->rate);
}

/* Algorithm 3.6: `low` has the smallest φ so far that satisfies the first condition, and φ decreases from it
 * towards `high`. */
static point zoom(const line *l, const point *start, point low, point high)
{
  for (int i = 0; i < 30; i++) {
    const point trial = evaluate(l, between(&low, &high));
    if (!is_low(&trial, start) || trial.loss >= low.loss) {
      high = trial;
      continue;
    }
    if (is_flat(l, &trial, start)) return trial;
    if (trial.slope * (high.rate - low.rate) >= 0) high = low;
    low = trial;
  }
  return low.rate > 0 ? evaluate(l, low.rate) : low; /* φ is smaller, though still too steep */
}

/* Algorithm 3.5: an α that satisfies the strong Wolfe conditions, or at least decreases φ; 0 if there is
 * none. */
static point search(const line *l, const point *start, double rate)
{
  point before = *start;
  for (int i = 0; i < 20; i++) {
    const point trial = evaluate(l, rate);
    if (!is_low(&trial, start) || (i > 0 && trial.loss >= before.loss)) return zoom(l, start, before, trial);
    if (is_flat(l, &trial, start)) return trial;
    if (trial.slope >= 0) return zoom(l, start, trial, before);
    rate = beyond(&before, &trial);
    before = trial;
  }
  return before;
}

/* ---- Directions --------------------------------------------------------------------------------- */

/* The history: a ring of the last steps s and changes of the gradient y. */
typedef struct memory {
  size_t p, size, count, next; /* length of a vector; capacity and content of the ring; index of the next */
  double *steps, *changes;     /* s and y, [size][p] */
  double *inverse, *alpha;     /* 1 / sᵀy, and the α of the two loops, [size] */
} memory;

/* d = −H g by the two loops over the history, from the latest step to the oldest and back, with H₀ = sᵀy /
 * yᵀy of the latest (Nocedal & Wright 2006, 7.4 and 7.20). */
static void quasi_newton(const memory *m, const double *gradient, double *d)
{
  const size_t p = m->p;
  for (size_t i = 0; i < p; i++) d[i] = -gradient[i];
  for (size_t i = 0; i < m->count; i++) {
    const size_t k = (m->next + m->size - 1 - i) % m->size;
    m->alpha[k] = m->inverse[k] * cr_dot(p, m->steps + k * p, d);
    cr_add_scaled(p, -m->alpha[k], m->changes + k * p, d);
  }
  if (m->count > 0) {
    const size_t k = (m->next + m->size - 1) % m->size;
    const double norm = cr_norm(p, m->changes + k * p), scale = 1 / m->inverse[k] / norm / norm;
    for (size_t i = 0; i < p; i++) d[i] *= scale;
  }
  for (size_t i = m->count; i-- > 0;) {
    const size_t k = (m->next + m->size - 1 - i) % m->size;
    const double beta = m->inverse[k] * cr_dot(p, m->changes + k * p, d);
    cr_add_scaled(p, m->alpha[k] - beta, m->steps + k * p, d);
  }
}

/* Adds a step and its change of the gradient to the history, if their curvature sᵀy is positive beyond
 * rounding. */
static void remember(memory *m, const double *step, const double *change)
{
  const double product = cr_dot(m->p, step, change);
  if (!(product > DBL_EPSILON * cr_norm(m->p, step) * cr_norm(m->p, change))) return;
  memcpy(m->steps + m->next * m->p, step, m->p * sizeof *step);
  memcpy(m->changes + m->next * m->p, change, m->p * sizeof *change);
  m->inverse[m->next] = 1 / product;
  m->next = (m->next + 1) % m->size;
  if (m->count < m->size) m->count++;
}

/* d ← −g + β d, where `change` is g less the previous g.  β is Polak and Ribière's, if that is positive.
 * With `fletcher_reeves` it is Fletcher and Reeves', if g is nearly orthogonal to the previous g, as it is on
 * a quadratic (Powell 1977).  Otherwise β = 0: a restart. */
static void conjugate(size_t p, bool fletcher_reeves, const double *gradient, const double *change, double *d)
{
  double before = 0, now = 0, product = 0; /* |g before|², |g|², gᵀ(g − g before) */
  for (size_t i = 0; i < p; i++) {
    const double last = gradient[i] - change[i];
    before += last * last;
    now += gradient[i] * gradient[i];
    product += gradient[i] * change[i];
  }
  double beta = fletcher_reeves ? now / before : fmax(product / before, 0);
  if (!isfinite(beta) || (fletcher_reeves && fabs(now - product) > 0.1 * now)) beta = 0;
  for (size_t i = 0; i < p; i++) d[i] = beta * d[i] - gradient[i];
}

/* ---- The methods -------------------------------------------------------------------------------- */

enum { VECTORS = 7 };

/* max |∂L/∂p| / √L, the gradient of √L up to a factor.  The measure of the gradient is its value divided by
 * that at the start.  For L = ½ |f|² it is max |Jᵀf| / |f| up to a factor: the cosine of least_squares.c,
 * without the norms of J's columns. */
static double steepness(size_t p, const double *gradient, double loss)
{
  const double largest = cr_largest(p, gradient);
  return largest > 0 ? largest / sqrt(fabs(loss)) : 0;
}

static void run(cr_problem *problem, memory *m, double *buffers)
{
  const chainrule_method method = problem->settings->method;
  const size_t p = problem->parameters;
  double *x = buffers, *g = x + p, *d = g + p, *at = d + p, *gradient = at + p, *step = gradient + p,
         *change = step + p;
  const bool is_conjugate = m->size == 0;
  const line l = {problem, p, x, d, at, gradient, is_conjugate ? 0.4 : 0.9};

  memcpy(x, problem->best, p * sizeof *x);
  double loss;
  if (!cr_problem_value(problem, x, &loss, g)) {
    cr_problem_gives_up(problem);
    return;
  }
  const double first = steepness(p, g, loss);
  if (cr_problem_starts_at_minimum(problem, g, first > 0 ? INFINITY : 0)) return;
  double fallen = 0; /* the last decrease of L; 0: start, or restart, along the negative gradient */
  for (;;) {
    const bool is_fresh = fallen == 0;
    if (is_fresh) m->count = 0;
    if (!is_conjugate || is_fresh)
      quasi_newton(m, g, d);
    else
      conjugate(p, method == CHAINRULE_METHOD_FLETCHER_REEVES, g, change, d);
    const point start = {.loss = loss, .slope = cr_dot(p, g, d)};
    /* The first α: at a start a step of length 1; with H the whole step, α = 1; else for a decrease like the
     * last one. */
    const double rate = is_fresh ? 1 / cr_norm(p, g) : is_conjugate ? 2.02 * fallen / -start.slope : 1;
    const point found = start.slope < 0 ? search(&l, &start, rate) : start;
    if (cr_problem_stopped(problem) || !(found.loss < loss)) {
      fallen = 0;
      if (!is_fresh && !problem->stopped) continue;
      cr_problem_gives_up(problem);
      return;
    }
    cr_measure measure = {.fall = (loss - found.loss) / fabs(loss)};
    for (size_t i = 0; i < p; i++) {
      step[i] = at[i] - x[i];
      change[i] = gradient[i] - g[i];
      if (step[i] != 0) measure.step = fmax(measure.step, fabs(step[i]) / fabs(at[i]));
    }
    if (!is_conjugate) remember(m, step, change);
    memcpy(x, at, p * sizeof *x);
    memcpy(g, gradient, p * sizeof *g);
    fallen = loss - found.loss;
    loss = found.loss;
    measure.gradient = steepness(p, g, loss) / first;
    if (cr_problem_ends(problem, g, measure)) return;
  }
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* BFGS is L-BFGS with a history of as many steps as there are parameters, which determine H, or as many as
 * its memory limit allows. */
chainrule_status cr_descend_lines(cr_problem *problem, chainrule_error *error)
{
  const chainrule_minimizer_options *settings = problem->settings;
  const size_t p = problem->parameters;
  memory m = {.p = p};
  if (settings->method == CHAINRULE_METHOD_LBFGS) m.size = settings->history;
  if (settings->method == CHAINRULE_METHOD_BFGS)
    m.size = least(p, 1 + settings->memory / p / (2 * sizeof(double)));
  m.size = least(m.size, settings->iterations); /* a run has no more steps than this */
  size_t twice, rows, count;
  const bool counts = cr_multiply(2, m.size, &twice) && cr_add(twice, VECTORS, &rows) &&
                      cr_multiply(rows, p, &count) && cr_add(count, twice, &count);
  double *all = counts ? cr_allocate(count, sizeof *all) : NULL;
  if (!all)
    return cr_out_of_memory(error, "the history",
                            counts && count <= SIZE_MAX / sizeof *all ? count * sizeof *all : SIZE_MAX);
  m.steps = all + VECTORS * p, m.changes = m.steps + m.size * p;
  m.inverse = m.changes + m.size * p, m.alpha = m.inverse + m.size;
  run(problem, &m, all);
  free(all);
  return CHAINRULE_OK;
}
