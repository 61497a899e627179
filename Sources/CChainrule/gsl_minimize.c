/* The methods of full-batch training: Levenberg-Marquardt by gsl_multifit_nlinear or gsl_multilarge_nlinear, conjugate
 * gradients and BFGS by gsl_multimin, and L-BFGS of our own on gsl_blas.
 *
 * GSL's error handler belongs to the host and by default aborts.  Sizes and arguments are such that GSL can only fail for
 * want of memory: allocations are tried first, and made while the handler is off, one thread at a time, so that
 * each puts back what the host had.
 */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <gsl/gsl_multilarge_nlinear.h>
#include <gsl/gsl_multimin.h>

/* ---- Memory ------------------------------------------------------------------------------------- */

static pthread_mutex_t hushed = PTHREAD_MUTEX_INITIALIZER;

static gsl_error_handler_t *hush(void)
{
  pthread_mutex_lock(&hushed);
  return gsl_set_error_handler_off();
}

static void restore(gsl_error_handler_t *handler)
{
  gsl_set_error_handler(handler);
  pthread_mutex_unlock(&hushed);
}

/* Bytes of a × b + c doubles; SIZE_MAX where the number overflows. */
static size_t bytes_of(size_t a, size_t b, size_t c)
{
  size_t product, sum, bytes;
  const bool counts =
      cr_multiply(a, b, &product) && cr_add(product, c, &sum) && cr_multiply(sum, sizeof(double), &bytes);
  return counts ? bytes : SIZE_MAX;
}

/* So much memory is to be had at this moment: what GSL allocates in parts, it does not free where a later part fails. */
static bool is_to_be_had(size_t bytes)
{
  if (bytes > PTRDIFF_MAX) return false;
  void *memory = malloc(bytes);
  free(memory);
  return memory != NULL;
}

/* ---- Levenberg-Marquardt ------------------------------------------------------------------------- */

/* Beyond any norm of residuals that are finite and worth keeping, so that the step is refused. */
static const double wall = 1e150;

typedef struct squares {
  cr_problem *problem;
  size_t residuals; /* that there are; behind them zeros, since GSL wants as many as parameters */
  double *strip;    /* rows of J, where J is not kept */
} squares;

static int residuals(const gsl_vector *x, void *context, gsl_vector *f)
{
  const squares *s = context;
  gsl_vector_set_zero(f);
  if (cr_problem_residuals(s->problem, x->data, f->data)) return GSL_SUCCESS;
  if (s->problem->stopped) return GSL_EFAILED;
  gsl_vector_set_zero(f);
  gsl_vector_set(f, 0, wall);
  return GSL_SUCCESS;
}

/* J, a strip of rows after the other. */
static int jacobian(const gsl_vector *x, void *context, gsl_matrix *J)
{
  const squares *s = context;
  const cr_objective *o = &s->problem->objective;
  const size_t width = chainrule_network_outputs(o->network) * s->problem->parameters;
  size_t start = 0;
  cr_batch batch = {0};
  cr_problem_move(s->problem, x->data);
  while (cr_objective_next(o, &start, &batch))
    cr_problem_jacobian(s->problem, &batch, J->data + start * width);
  memset(J->data + o->batch.rows * width, 0, (J->size1 * J->size2 - o->batch.rows * width) * sizeof(double));
  return GSL_SUCCESS;
}

/* v = J u or Jᵀ u, and the lower half of JᵀJ, where they are wanted: J is made strip by strip, and not kept. */
static int products(CBLAS_TRANSPOSE_t transpose, const gsl_vector *x, const gsl_vector *u, void *context,
                    gsl_vector *v, gsl_matrix *JTJ)
{
  const squares *s = context;
  const cr_objective *o = &s->problem->objective;
  const size_t outputs = chainrule_network_outputs(o->network);
  size_t start = 0;
  cr_batch batch = {0};
  cr_problem_move(s->problem, x->data);
  if (v) gsl_vector_set_zero(v);
  if (JTJ) gsl_matrix_set_zero(JTJ);
  while (cr_objective_next(o, &start, &batch)) {
    const size_t n = batch.rows * outputs;
    cr_problem_jacobian(s->problem, &batch, s->strip);
    gsl_matrix_const_view J = gsl_matrix_const_view_array(s->strip, n, s->problem->parameters);
    if (v && transpose == CblasTrans) {
      gsl_vector_const_view part = gsl_vector_const_subvector(u, start * outputs, n);
      gsl_blas_dgemv(CblasTrans, 1, &J.matrix, &part.vector, 1, v);
    } else if (v) {
      gsl_vector_view part = gsl_vector_subvector(v, start * outputs, n);
      gsl_blas_dgemv(CblasNoTrans, 1, &J.matrix, u, 0, &part.vector);
    }
    if (JTJ) gsl_blas_dsyrk(CblasLower, CblasTrans, 1, &J.matrix, 1, JTJ);
  }
  return GSL_SUCCESS;
}

/* What GSL's two solvers have in common. */
typedef struct solver {
  int (*iterate)(void *workspace);
  void *workspace;
  const gsl_vector *x, *f, *g, *dx;
} solver;

static int iterate_dense(void *workspace) { return gsl_multifit_nlinear_iterate(workspace); }
static int iterate_large(void *workspace) { return gsl_multilarge_nlinear_iterate(workspace); }

/* L = ½ |f|², and so g = Jᵀ f = ∂L/∂p. */
static void solve(cr_problem *p, const solver *s)
{
  double norm = gsl_blas_dnrm2(s->f), loss = norm * norm / 2;
  if (cr_problem_starts_at_minimum(p, s->g->data)) return;
  for (;;) {
    const double before = loss;
    if (s->iterate(s->workspace) != GSL_SUCCESS) {
      cr_problem_gives_up(p);
      return;
    }
    norm = gsl_blas_dnrm2(s->f);
    loss = norm * norm / 2;
    if (cr_problem_ends(p, s->x->data, s->dx->data, s->g->data, before, loss)) return;
  }
}

static chainrule_status minimize_dense(squares *s, size_t n, size_t bytes, chainrule_error *error)
{
  cr_problem *p = s->problem;
  gsl_multifit_nlinear_parameters parameters = gsl_multifit_nlinear_default_parameters();
  parameters.trs =
      gsl_multifit_nlinear_trs_lmaccel; /* Transtrum & Sethna 2012: for valleys as long as a network's */
  parameters.avmax = 0.1;
  parameters.scale = gsl_multifit_nlinear_scale_more;
  parameters.solver = gsl_multifit_nlinear_solver_qr;
  gsl_multifit_nlinear_fdf fdf = {.f = residuals, .df = jacobian, .n = n, .p = p->parameters, .params = s};
  gsl_multifit_nlinear_workspace *w = NULL;
  if (is_to_be_had(bytes)) {
    gsl_error_handler_t *handler = hush();
    w = gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &parameters, n, p->parameters);
    restore(handler);
  }
  if (!w) return cr_out_of_memory(error, "levenbergMarquardt", bytes);
  gsl_vector_const_view x = gsl_vector_const_view_array(p->best, p->parameters);
  if (gsl_multifit_nlinear_init(&x.vector, &fdf, w) == GSL_SUCCESS)
    solve(p, &(solver){iterate_dense, w, w->x, w->f, w->g, w->dx});
  else
    cr_problem_gives_up(p);
  gsl_multifit_nlinear_free(w);
  return CHAINRULE_OK;
}

static chainrule_status minimize_large(squares *s, size_t n, size_t bytes, chainrule_error *error)
{
  cr_problem *p = s->problem;
  gsl_multilarge_nlinear_parameters parameters = gsl_multilarge_nlinear_default_parameters();
  parameters.trs = gsl_multilarge_nlinear_trs_lm;
  parameters.scale = gsl_multilarge_nlinear_scale_more;
  parameters.solver = gsl_multilarge_nlinear_solver_cholesky;
  gsl_multilarge_nlinear_fdf fdf = {.f = residuals, .df = products, .n = n, .p = p->parameters, .params = s};
  gsl_multilarge_nlinear_workspace *w = NULL;
  const size_t strip = p->objective.work.capacity * chainrule_network_outputs(p->objective.network);
  s->strip = cr_allocate(strip * p->parameters, sizeof(double));
  if (s->strip && is_to_be_had(bytes)) {
    gsl_error_handler_t *handler = hush();
    w = gsl_multilarge_nlinear_alloc(gsl_multilarge_nlinear_trust, &parameters, n, p->parameters);
    restore(handler);
  }
  if (!w) return free(s->strip), cr_out_of_memory(error, "levenbergMarquardt", bytes);
  gsl_vector_const_view x = gsl_vector_const_view_array(p->best, p->parameters);
  if (gsl_multilarge_nlinear_init(&x.vector, &fdf, w) == GSL_SUCCESS)
    solve(p, &(solver){iterate_large, w, w->x, w->f, w->g, w->dx});
  else
    cr_problem_gives_up(p);
  gsl_multilarge_nlinear_free(w);
  free(s->strip);
  return CHAINRULE_OK;
}

static chainrule_status minimize_squares(cr_problem *p, chainrule_error *error)
{
  const size_t outputs = chainrule_network_outputs(p->objective.network), count = p->parameters;
  squares s = {.problem = p, .residuals = p->objective.batch.rows * outputs};
  const size_t n = s.residuals > count ? s.residuals : count;
  const size_t vectors = bytes_of(n, 10, 24 * count) / sizeof(double);
  const size_t strip = p->objective.work.capacity * outputs;
  const size_t dense = bytes_of(2 * n, count, vectors); /* J, and its QR */
  const size_t large =
      bytes_of(3 * count + strip, count, vectors); /* JᵀJ, a copy, its factor; some rows of J */
  if (dense <= p->settings->memory) return minimize_dense(&s, n, dense, error);
  if (large <= p->settings->memory) return minimize_large(&s, n, large, error);
  return cr_fail(
      error, CHAINRULE_OUT_OF_MEMORY, 0,
      "levenbergMarquardt takes %zu bytes for %zu residuals and %zu parameters; its memory is bound to %zu",
      dense < large ? dense : large, s.residuals, count, p->settings->memory);
}

/* ---- Conjugate gradients, BFGS -------------------------------------------------------------------- */

/* Where L is not finite it counts as larger than at the start, by so much that every line search turns back. */
typedef struct slope {
  cr_problem *problem;
  double wall;
} slope;

static double value(const gsl_vector *x, void *context)
{
  const slope *s = context;
  double loss;
  return cr_problem_value(s->problem, x->data, &loss, NULL) ? loss : s->wall;
}

static void value_and_gradient(const gsl_vector *x, void *context, double *loss, gsl_vector *gradient)
{
  const slope *s = context;
  if (cr_problem_value(s->problem, x->data, loss, gradient->data)) return;
  *loss = s->wall;
  gsl_vector_set_zero(gradient);
}

static void gradient_of(const gsl_vector *x, void *context, gsl_vector *gradient)
{
  double loss;
  value_and_gradient(x, context, &loss, gradient);
}

/* A search that finds nothing is begun anew from the gradient; twice, and there is nothing to find. */
static void descend(cr_problem *p, double beyond, gsl_multimin_fdfminimizer *m)
{
  if (cr_problem_stopped(p) || m->f >= beyond) {
    cr_problem_gives_up(p);
    return;
  }
  if (cr_problem_starts_at_minimum(p, m->gradient->data)) return;
  for (bool restarted = false;;) {
    const double before = m->f;
    const int status = gsl_multimin_fdfminimizer_iterate(m);
    if (cr_problem_stopped(p) || (status != GSL_SUCCESS && restarted)) {
      cr_problem_gives_up(p);
      return;
    }
    restarted = status != GSL_SUCCESS;
    if (restarted)
      gsl_multimin_fdfminimizer_restart(m);
    else if (cr_problem_ends(p, m->x->data, m->dx->data, m->gradient->data, before, m->f))
      return;
  }
}

static chainrule_status minimize_gradient(cr_problem *p, const gsl_multimin_fdfminimizer_type *type,
                                          double accuracy, chainrule_error *error)
{
  slope s = {p, 1e6 * (1 + fabs(p->so_far.loss))};
  gsl_multimin_function_fdf fdf = {value, gradient_of, value_and_gradient, p->parameters, &s};
  gsl_multimin_fdfminimizer *m = NULL;
  const size_t bytes = bytes_of(16, p->parameters, 0);
  if (is_to_be_had(bytes)) {
    gsl_error_handler_t *handler = hush();
    m = gsl_multimin_fdfminimizer_alloc(type, p->parameters);
    restore(handler);
  }
  if (!m) return cr_out_of_memory(error, chainrule_method_name(p->settings->method), bytes);
  gsl_vector_const_view x = gsl_vector_const_view_array(p->best, p->parameters);
  gsl_multimin_fdfminimizer_set(m, &fdf, &x.vector, 0.1, accuracy);
  descend(p, s.wall, m);
  gsl_multimin_fdfminimizer_free(m);
  return CHAINRULE_OK;
}

/* ---- L-BFGS --------------------------------------------------------------------------------------- */

/* φ(α) = L(x + α d), and where the search for α is. */
typedef struct line {
  cr_problem *problem;
  const gsl_vector *x, *direction;
  gsl_vector *at, *gradient; /* x + α d, and ∂L/∂p there */
} line;

typedef struct point {
  double rate, loss, slope; /* α, φ(α), φ′(α); an infinite φ has no slope */
} point;

static point probe(const line *l, double rate)
{
  point found = {.rate = rate, .loss = INFINITY};
  gsl_vector_memcpy(l->at, l->x);
  gsl_blas_daxpy(rate, l->direction, l->at);
  if (!cr_problem_value(l->problem, l->at->data, &found.loss, l->gradient->data)) found.loss = INFINITY;
  gsl_blas_ddot(l->gradient, l->direction, &found.slope);
  return found;
}

/* The strong Wolfe conditions (Nocedal & Wright 2006, 3.7). */
static const double sufficient = 1e-4, curvature = 0.9;

static bool is_low(const point *p, const point *start)
{
  return p->loss <= start->loss + sufficient * p->rate * start->slope;
}
static bool is_flat(const point *p, const point *start)
{
  return fabs(p->slope) <= -curvature * start->slope;
}

/* Where the cubic through two points with their slopes is least (Nocedal & Wright 2006, 3.59), a tenth of the way or more
 * from either; half way where there is none. */
static double between(const point *low, const point *high)
{
  const double width = high->rate - low->rate;
  double part = 0.5;
  if (isfinite(high->loss)) {
    const double d1 = low->slope + high->slope - 3 * (high->loss - low->loss) / width;
    const double square = d1 * d1 - low->slope * high->slope;
    const double d2 = copysign(sqrt(fmax(square, 0)), width);
    const double to = 1 - (high->slope + d2 - d1) / (high->slope - low->slope + 2 * d2);
    if (square >= 0 && isfinite(to)) part = fmin(fmax(to, 0.1), 0.9);
  }
  return low->rate + part * width;
}

/* Algorithm 3.6: `low` has the least φ that is low enough, and φ falls from it towards `high`. */
static point zoom(const line *l, const point *start, point low, point high)
{
  for (int i = 0; i < 30; i++) {
    const point trial = probe(l, between(&low, &high));
    if (!is_low(&trial, start) || trial.loss >= low.loss) {
      high = trial;
      continue;
    }
    if (is_flat(&trial, start)) return trial;
    if (trial.slope * (high.rate - low.rate) >= 0) high = low;
    low = trial;
  }
  return low.rate > 0 ? probe(l, low.rate) : low; /* lower at least */
}

/* Algorithm 3.5: an α that meets the strong Wolfe conditions, or makes φ smaller at least; 0: there is none. */
static point search(const line *l, const point *start, double rate)
{
  point before = *start;
  for (int i = 0; i < 20; i++, rate *= 2) {
    const point trial = probe(l, rate);
    if (!is_low(&trial, start) || (i > 0 && trial.loss >= before.loss)) return zoom(l, start, before, trial);
    if (is_flat(&trial, start)) return trial;
    if (trial.slope >= 0) return zoom(l, start, trial, before);
    before = trial;
  }
  return before;
}

/* The last steps s and changes of the gradient y, in a ring. */
typedef struct memory {
  size_t size, count, next; /* of the ring, in it, the place of the next */
  gsl_matrix_view steps, changes;
  double *inverse; /* 1 / sᵀy */
  double *alpha;
} memory;

/* d = −H g by two loops over the history, latest to oldest and back; H₀ = sᵀy / yᵀy of the latest (Nocedal & Wright 2006,
 * 7.4 and 7.20). */
static void direction(memory *m, const gsl_vector *gradient, gsl_vector *d)
{
  gsl_vector_memcpy(d, gradient);
  for (size_t i = 0; i < m->count; i++) {
    const size_t k = (m->next + m->size - 1 - i) % m->size;
    gsl_vector_const_view s = gsl_matrix_const_row(&m->steps.matrix, k),
                          y = gsl_matrix_const_row(&m->changes.matrix, k);
    gsl_blas_ddot(&s.vector, d, &m->alpha[k]);
    m->alpha[k] *= m->inverse[k];
    gsl_blas_daxpy(-m->alpha[k], &y.vector, d);
  }
  if (m->count > 0) {
    const size_t k = (m->next + m->size - 1) % m->size;
    gsl_vector_const_view y = gsl_matrix_const_row(&m->changes.matrix, k);
    const double norm = gsl_blas_dnrm2(&y.vector);
    gsl_blas_dscal(1 / (m->inverse[k] * norm * norm), d);
  }
  for (size_t i = m->count; i-- > 0;) {
    const size_t k = (m->next + m->size - 1 - i) % m->size;
    gsl_vector_const_view s = gsl_matrix_const_row(&m->steps.matrix, k),
                          y = gsl_matrix_const_row(&m->changes.matrix, k);
    double beta;
    gsl_blas_ddot(&y.vector, d, &beta);
    gsl_blas_daxpy(m->alpha[k] - beta * m->inverse[k], &s.vector, d);
  }
  gsl_blas_dscal(-1, d);
}

/* A step and the change of the gradient, where they show a curvature above 0. */
static void remember(memory *m, const gsl_vector *step, const gsl_vector *change)
{
  double product;
  gsl_blas_ddot(step, change, &product);
  if (!(product > DBL_EPSILON * gsl_blas_dnrm2(step) * gsl_blas_dnrm2(change))) return;
  gsl_vector_view s = gsl_matrix_row(&m->steps.matrix, m->next),
                  y = gsl_matrix_row(&m->changes.matrix, m->next);
  gsl_vector_memcpy(&s.vector, step);
  gsl_vector_memcpy(&y.vector, change);
  m->inverse[m->next] = 1 / product;
  m->next = (m->next + 1) % m->size;
  if (m->count < m->size) m->count++;
}

enum { LBFGS_VECTORS = 7 };

/* Vectors: x, g, d, x + α d, ∂L/∂p there, the step, the change of the gradient. */
static void minimize_lbfgs_in(cr_problem *p, memory *m, double *buffers)
{
  gsl_vector_view views[LBFGS_VECTORS];
  for (size_t i = 0; i < LBFGS_VECTORS; i++)
    views[i] = gsl_vector_view_array(buffers + i * p->parameters, p->parameters);
  gsl_vector *x = &views[0].vector, *g = &views[1].vector, *d = &views[2].vector, *at = &views[3].vector;
  gsl_vector *gradient = &views[4].vector, *step = &views[5].vector, *change = &views[6].vector;
  const line l = {p, x, d, at, gradient};

  memcpy(x->data, p->best, p->parameters * sizeof(double));
  double loss;
  if (!cr_problem_value(p, x->data, &loss, g->data)) {
    cr_problem_gives_up(p);
    return;
  }
  if (cr_problem_starts_at_minimum(p, g->data)) return;
  for (;;) {
    direction(m, g, d);
    point start = {.loss = loss};
    gsl_blas_ddot(g, d, &start.slope);
    const double rate = m->count > 0 ? 1 : fmin(1, 1 / gsl_blas_dasum(g));
    const point found = start.slope < 0 ? search(&l, &start, rate) : start;
    if (cr_problem_stopped(p) || !(found.loss < loss)) {
      const bool anew = !p->stopped && m->count > 0; /* from the gradient alone */
      m->count = 0;
      if (anew) continue;
      cr_problem_gives_up(p);
      return;
    }
    gsl_vector_memcpy(step, at);
    gsl_vector_sub(step, x);
    gsl_vector_memcpy(change, gradient);
    gsl_vector_sub(change, g);
    remember(m, step, change);
    gsl_vector_memcpy(x, at);
    gsl_vector_memcpy(g, gradient);
    const double before = loss;
    loss = found.loss;
    if (cr_problem_ends(p, x->data, step->data, g->data, before, loss)) return;
  }
}

static chainrule_status minimize_lbfgs(cr_problem *p, chainrule_error *error)
{
  /* No more steps than there can be. */
  const size_t most = p->settings->iterations, asked = p->settings->history,
               size = asked < most ? asked : most;
  const size_t bytes = bytes_of(2 * size + LBFGS_VECTORS, p->parameters, 2 * size);
  double *all = bytes == SIZE_MAX || size > SIZE_MAX / 4 ? NULL : cr_allocate(bytes, 1);
  if (!all) return cr_out_of_memory(error, "the history", bytes);
  double *steps = all + LBFGS_VECTORS * p->parameters, *changes = steps + size * p->parameters;
  double *inverse = changes + size * p->parameters;
  memory m = {.size = size,
              .steps = gsl_matrix_view_array(steps, size, p->parameters),
              .changes = gsl_matrix_view_array(changes, size, p->parameters),
              .inverse = inverse,
              .alpha = inverse + size};
  minimize_lbfgs_in(p, &m, all);
  free(all);
  return CHAINRULE_OK;
}

/* ---- The choice ----------------------------------------------------------------------------------- */

chainrule_status cr_minimize(cr_problem *p, chainrule_error *error)
{
  switch (p->settings->method) {
  case CHAINRULE_METHOD_LEVENBERG_MARQUARDT: return minimize_squares(p, error);
  case CHAINRULE_METHOD_FLETCHER_REEVES:
    return minimize_gradient(p, gsl_multimin_fdfminimizer_conjugate_fr, 1e-4, error);
  case CHAINRULE_METHOD_POLAK_RIBIERE:
    return minimize_gradient(p, gsl_multimin_fdfminimizer_conjugate_pr, 1e-4, error);
  case CHAINRULE_METHOD_BFGS: return minimize_gradient(p, gsl_multimin_fdfminimizer_vector_bfgs2, 0.1, error);
  case CHAINRULE_METHOD_LBFGS: return minimize_lbfgs(p, error);
  }
  return CHAINRULE_OK;
}
