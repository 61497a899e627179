/* Levenberg-Marquardt for L = ½ |f|²: steps v with (JᵀJ + μ D²) v = −Jᵀ f (Moré 1978), μ by Nielsen (1999),
 * and geodesic acceleration (Transtrum & Sethna 2012).
 *
 * J [residuals][p] is never in memory as a whole.  Its rows are folded, one row block at a time, into the
 * triangle T of the QR decomposition J = Q T.  Jᵀf = Tᵀ (Qᵀf) and |J v| = |T v| follow from T.  The step
 * follows from a second triangle, that of [T; √μ D].
 */
#include "fullbatch.h"
#include "vectors.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS = 10, MOST_REFUSALS = 40 };
static const double least_mu =
    DBL_EPSILON * DBL_EPSILON; /* below it, √μ D is smaller than the rounding errors of T */

/* The linear model of f around x, and a step.  Vectors have p numbers, except those of residuals. */
typedef struct model {
  cr_problem *problem;
  size_t p, residuals;
  double *T, *damped;                   /* [p][p], the triangles of J and of [J; √μ D] */
  double *block;                        /* a row block of J, or √μ D [p][p] */
  double *x, *trial, *step, *v, *curve; /* x, x + Δ, Δ = v + ½ curve */
  double *Qf, *rest;                    /* the right sides of T, which is Qᵀf, and of the row block */
  double *gradient, *columns, *D; /* Jᵀf, the norm of each column of J, the largest such norm so far */
  double *work;
  double *f, *ahead; /* f(x), f at another point [residuals] */
} model;

/* ---- Triangles --------------------------------------------------------------------------------- */

/* [T r; S s] → [T′ r′; 0 s′] by a Householder reflection for each column, where T [p][p] is upper triangular
 * and S is [rows][p].  If S is diagonal, it fills up from the left: column k as far as row k. */
static void fold(const model *m, double *T, double *r, size_t rows, double *S, double *s, bool is_diagonal)
{
  const size_t p = m->p;
  for (size_t k = 0; k < p; k++) {
    const size_t n = is_diagonal ? k + 1 : rows, after = p - k - 1;
    double *Tk = T + k * p + k, most = fabs(*Tk), sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(S[i * p + k]));
    if (most == 0) continue;
    for (size_t i = 0; i < n; i++) sum += (S[i * p + k] / most) * (S[i * p + k] / most);
    /* I − τ u uᵀ, u = (1, S_k / head), takes (T_kk, S_k) to (−length, 0). */
    const double a = *Tk / most, length = copysign(sqrt(a * a + sum), a), head = a + length,
                 tau = head / length;
    *Tk = -length * most;
    double *w = m->work, w_right = r[k];
    memcpy(w, Tk + 1, after * sizeof *w);
    for (size_t i = 0; i < n; i++) {
      double *u = S + i * p + k;
      *u = *u / most / head;
      cr_add_scaled(after, *u, u + 1, w);
      w_right += *u * s[i];
    }
    for (size_t j = 0; j < after; j++) Tk[1 + j] -= w[j] *= tau;
    r[k] -= w_right *= tau;
    for (size_t i = 0; i < n; i++) {
      double *u = S + i * p + k;
      cr_add_scaled(after, -*u, w, u + 1);
      s[i] -= *u * w_right;
    }
  }
}

/* T v */
static void multiply(const model *m, const double *T, const double *v, double *result)
{
  for (size_t k = 0; k < m->p; k++) result[k] = cr_dot(m->p - k, T + k * m->p + k, v + k);
}

/* Tᵀ v */
static void multiply_transposed(const model *m, const double *T, const double *v, double *result)
{
  memset(result, 0, m->p * sizeof *result);
  for (size_t k = 0; k < m->p; k++) cr_add_scaled(m->p - k, v[k], T + k * m->p + k, result + k);
}

/* v ← T⁻¹ v */
static void solve(const model *m, const double *T, double *v)
{
  for (size_t k = m->p; k-- > 0;)
    v[k] = (v[k] - cr_dot(m->p - k - 1, T + k * m->p + k + 1, v + k + 1)) / T[k * m->p + k];
}

/* v ← T⁻ᵀ v */
static void solve_transposed(const model *m, const double *T, double *v)
{
  for (size_t k = 0; k < m->p; k++) {
    v[k] /= T[k * m->p + k];
    cr_add_scaled(m->p - k - 1, -v[k], T + k * m->p + k + 1, v + k + 1);
  }
}

/* |D v| */
static double scaled_norm(const model *m, const double *v)
{
  for (size_t k = 0; k < m->p; k++) m->work[k] = m->D[k] * v[k];
  return cr_norm(m->p, m->work);
}

/* ---- The linear model --------------------------------------------------------------------------- */

/* Computes T and Qᵀf at x, and from them the gradient and the norms of the columns; false if a derivative is
 * not finite. */
static bool linearize(model *m)
{
  const cr_objective *o = &m->problem->objective;
  const size_t p = m->p, outputs = chainrule_network_outputs(o->network);
  size_t start = 0;
  cr_batch batch = {0};
  memset(m->T, 0, p * p * sizeof *m->T);
  memset(m->Qf, 0, p * sizeof *m->Qf);
  cr_problem_move(m->problem, m->x);
  while (cr_objective_next(o, &start, &batch)) {
    const size_t rows = batch.rows * outputs;
    if (!cr_problem_jacobian(m->problem, &batch, m->block) || isinf(cr_largest(rows * p, m->block)))
      return false;
    memcpy(m->rest, m->f + start * outputs, rows * sizeof *m->rest);
    fold(m, m->T, m->Qf, rows, m->block, m->rest, false);
  }
  multiply_transposed(m, m->T, m->Qf, m->gradient);
  for (size_t k = 0; k < p; k++) {
    for (size_t i = 0; i <= k; i++) m->work[i] = m->T[i * p + k];
    m->columns[k] = cr_norm(k + 1, m->work);
    m->D[k] = fmax(m->D[k], m->columns[k]);
  }
  return !isinf(cr_largest(p, m->gradient));
}

/* The largest cosine of the angles between f and the columns of J, which MINPACK's gtol bounds. */
static double cosine(const model *m)
{
  const double length = cr_norm(m->residuals, m->f);
  double most = 0;
  for (size_t k = 0; k < m->p && length > 0; k++)
    if (m->columns[k] > 0) most = fmax(most, fabs(m->gradient[k] / m->columns[k] / length));
  return most;
}

/* Computes v, and the triangle of [J; √μ D] in `damped`; false if v is not finite.  A parameter on which f
 * does not depend, whose column of J is 0, stays where it is, with D = 1. */
static bool propose(model *m, double mu)
{
  const size_t p = m->p;
  memcpy(m->damped, m->T, p * p * sizeof *m->T);
  memcpy(m->v, m->Qf, p * sizeof *m->v);
  memset(m->block, 0, p * p * sizeof *m->block);
  memset(m->rest, 0, p * sizeof *m->rest);
  for (size_t k = 0; k < p; k++) m->block[k * p + k] = sqrt(mu) * (m->D[k] > 0 ? m->D[k] : 1);
  fold(m, m->damped, m->v, p, m->block, m->rest, true);
  for (size_t k = 0; k < p; k++) {
    if (m->damped[k * p + k] == 0) return false;
    m->v[k] = -m->v[k];
  }
  solve(m, m->damped, m->v);
  return !isinf(cr_largest(p, m->v));
}

/* Computes the acceleration along v: (JᵀJ + μ D²) curve = −Jᵀ f″, where f″ = 2/h ((f(x + h v) − f) / h − J v)
 * is the second derivative of f along v.  False if it is not small compared to v: then v is too long. */
static bool accelerate(model *m)
{
  static const double h = 0.02, most = 0.1;
  cr_problem *problem = m->problem;
  const cr_objective *o = &problem->objective;
  const size_t p = m->p, outputs = chainrule_network_outputs(o->network);
  double loss;
  memcpy(m->trial, m->x, p * sizeof *m->x);
  cr_add_scaled(p, h, m->v, m->trial);
  if (!cr_problem_residuals(problem, m->trial, m->ahead, &loss)) return false;
  memset(m->curve, 0, p * sizeof *m->curve);
  size_t start = 0;
  cr_batch batch = {0};
  cr_problem_move(problem, m->x);
  while (cr_objective_next(o, &start, &batch)) {
    if (!cr_problem_jacobian(problem, &batch, m->block)) return false;
    for (size_t i = 0; i < batch.rows * outputs; i++) {
      const double *row = m->block + i * p;
      const size_t at = start * outputs + i;
      const double second = 2 / h * ((m->ahead[at] - m->f[at]) / h - cr_dot(p, row, m->v));
      cr_add_scaled(p, -second, row, m->curve);
    }
  }
  solve_transposed(m, m->damped, m->curve);
  solve(m, m->damped, m->curve);
  return scaled_norm(m, m->curve) <= most * scaled_norm(m, m->v);
}

/* ---- The method -------------------------------------------------------------------------------- */

/* Moves x to a point with a smaller L, and updates f.  False if the run ends, whose reason it records. */
static bool improve(model *m, double *mu, double *nu, double *loss, cr_measure *measure)
{
  cr_problem *problem = m->problem;
  for (int refusals = 0; refusals < MOST_REFUSALS; refusals++) {
    /* The predicted and the actual decrease of L are relative to L, as is MINPACK's ftol. */
    double promised = 0, fall = -INFINITY, reached = INFINITY;
    if (propose(m, *mu)) {
      multiply(m, m->T, m->v, m->work);
      const double length = sqrt(2 * *loss), along = cr_norm(m->p, m->work) / length;
      const double across = scaled_norm(m, m->v) / length;
      promised = along * along + 2 * *mu * across * across;
      memset(m->curve, 0, m->p * sizeof *m->curve);
      /* For a very short step the difference quotient of f″ would be rounding errors only. */
      if (along < 1e-6 || accelerate(m)) {
        memcpy(m->step, m->v, m->p * sizeof *m->v);
        cr_add_scaled(m->p, 0.5, m->curve, m->step);
        memcpy(m->trial, m->x, m->p * sizeof *m->x);
        cr_add_scaled(m->p, 1, m->step, m->trial);
        if (cr_problem_residuals(problem, m->trial, m->ahead, &reached)) fall = (*loss - reached) / *loss;
      }
    }
    if (cr_problem_stopped(problem)) break;
    if (fall > -INFINITY) {
      const double size = scaled_norm(m, m->step);
      *measure = (cr_measure){INFINITY, size / scaled_norm(m, m->x), fmax(fabs(fall), promised)};
    }
    if (fall > 0) {
      const double quality = 2 * fall / promised - 1;
      *mu = fmax(*mu * fmax(1.0 / 3, 1 - quality * quality * quality), least_mu);
      *nu = 2;
      *loss = reached;
      memcpy(m->x, m->trial, m->p * sizeof *m->x);
      memcpy(m->f, m->ahead, m->residuals * sizeof *m->f);
      return true;
    }
    if (fall > -INFINITY && cr_problem_is_close(problem, *measure)) return false;
    *mu *= *nu;
    *nu *= 2;
  }
  cr_problem_gives_up(problem);
  return false;
}

static void run(model *m)
{
  cr_problem *problem = m->problem;
  double mu = 1e-3, nu = 2, loss;
  memcpy(m->x, problem->best, m->p * sizeof *m->x);
  if (!cr_problem_residuals(problem, m->x, m->f, &loss) || !linearize(m)) {
    cr_problem_gives_up(problem);
    return;
  }
  if (cr_problem_starts_at_minimum(problem, m->gradient, cosine(m))) return;
  cr_measure measure;
  while (improve(m, &mu, &nu, &loss, &measure)) {
    if (!linearize(m)) {
      cr_problem_gives_up(problem);
      return;
    }
    measure.gradient = cosine(m);
    if (cr_problem_ends(problem, m->gradient, measure)) return;
  }
}

chainrule_status cr_minimize_squares(cr_problem *problem, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(problem->objective.network), p = problem->parameters;
  model m = {.problem = problem, .p = p, .residuals = problem->objective.batch.rows * outputs};
  const size_t rows = problem->objective.work.capacity * outputs, block = rows > p ? rows : p;
  size_t matrices, vectors, count = SIZE_MAX, bytes = SIZE_MAX;
  const bool counts = cr_multiply(2 * p + block, p, &matrices) &&
                      cr_add(matrices, VECTORS * p + block, &vectors) &&
                      cr_add(vectors, 2 * m.residuals, &count) && cr_multiply(count, sizeof(double), &bytes);
  if (!counts || bytes > problem->settings->memory)
    return cr_fail(
        error, CHAINRULE_OUT_OF_MEMORY, 0,
        "levenbergMarquardt needs %zu bytes for %zu residuals and %zu parameters; its memory limit is %zu bytes",
        counts ? bytes : SIZE_MAX, m.residuals, p, problem->settings->memory);
  double *all = cr_allocate(count, sizeof *all), *next = all;
  if (!all) return cr_out_of_memory(error, "levenbergMarquardt", bytes);
  m.T = next, m.damped = next += p * p, m.block = next += p * p, next += block * p;
  double **const vector[VECTORS] = {&m.x,  &m.trial,    &m.step,    &m.v, &m.curve,
                                    &m.Qf, &m.gradient, &m.columns, &m.D, &m.work};
  for (size_t i = 0; i < VECTORS; i++, next += p) *vector[i] = next;
  m.rest = next, m.f = next += block, m.ahead = next += m.residuals;
  run(&m);
  free(all);
  return CHAINRULE_OK;
}
