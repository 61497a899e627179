/* Full-batch training: the public calls, the evaluation of L for the methods, and the end of a run. */
#include "fullbatch.h"
#include "vectors.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct chainrule_minimizer {
  chainrule_network *network;
  chainrule_minimizer_options settings;
  atomic_bool stop;
};

/* ---- Settings ---------------------------------------------------------------------------------- */

void chainrule_minimizer_options_set_defaults(chainrule_minimizer_options *options, size_t struct_size,
                                              chainrule_method method)
{
  const chainrule_minimizer_options defaults = {
      .loss = CHAINRULE_LOSS_HALF_SQUARED_ERROR,
      .method = method,
      .iterations = 1000,
      .gradient_tolerance = 1e-10,
      .step_tolerance = 1e-10,
      .loss_tolerance = 1e-12,
      .memory = (size_t)1 << 30,
      .history = 10,
  };
  cr_write_sized(options, struct_size, &defaults, sizeof defaults);
}

static bool is_sum_of_squares(chainrule_loss loss)
{
  return loss == CHAINRULE_LOSS_HALF_SQUARED_ERROR || loss == CHAINRULE_LOSS_MEAN_SQUARED_ERROR;
}

static chainrule_status check_settings(const chainrule_network *network, const chainrule_minimizer_options *m,
                                       chainrule_error *error)
{
  if ((size_t)m->method >= CHAINRULE_METHOD_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "method %d is not in the catalogue", (int)m->method);
  const char *name = chainrule_method_name(m->method);
  const struct {
    const char *name, *expected;
    double value;
    bool good;
  } checks[] = {
      {"iterations", "at least 1", (double)m->iterations, m->iterations >= 1},
      {"gradient tolerance", "a finite number, 0 or more", m->gradient_tolerance,
       m->gradient_tolerance >= 0 && isfinite(m->gradient_tolerance)},
      {"step tolerance", "a finite number, 0 or more", m->step_tolerance,
       m->step_tolerance >= 0 && isfinite(m->step_tolerance)},
      {"loss tolerance", "a finite number, 0 or more", m->loss_tolerance,
       m->loss_tolerance >= 0 && isfinite(m->loss_tolerance)},
      {"history", "at least 1", (double)m->history, m->method != CHAINRULE_METHOD_LBFGS || m->history >= 1},
  };
  for (size_t i = 0; i < CR_COUNT(checks); i++)
    if (!checks[i].good)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: %s must be %s; got %s", name, checks[i].name,
                     checks[i].expected, cr_number(checks[i].value, (char[CR_NUMBER]){0}));
  chainrule_status status = cr_check_loss(network, m->loss, error);
  if (status) return status;
  if (m->method == CHAINRULE_METHOD_LEVENBERG_MARQUARDT && !is_sum_of_squares(m->loss))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "%s needs a loss that is a sum of squares, halfSquaredError or meanSquaredError; got %s",
                   name, chainrule_loss_name(m->loss));
  if (network->parameter_count == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "the network has no parameters to train");
  return CHAINRULE_OK;
}

static chainrule_status create(chainrule_network *network, const chainrule_minimizer_options *minimization,
                               chainrule_minimizer **minimizer, chainrule_error *error)
{
  if (!minimizer) return cr_null(error, "minimizer");
  *minimizer = NULL;
  if (!network) return cr_null(error, "network");
  const size_t least = offsetof(chainrule_minimizer_options, iterations);
  chainrule_minimizer_options settings;
  if (minimization && minimization->struct_size >= least)
    settings = chainrule_minimizer_options_default(minimization->method);
  chainrule_status status =
      cr_read_sized("minimization", &settings, sizeof settings, least, minimization, error);
  if (!status) status = check_settings(network, &settings, error);
  if (status) return status;
  chainrule_minimizer *m = calloc(1, sizeof *m);
  if (!m) return cr_out_of_memory(error, "a minimizer", sizeof *m);
  m->network = network;
  m->settings = settings;
  *minimizer = m;
  return CHAINRULE_OK;
}

chainrule_status chainrule_minimizer_create(chainrule_network *network,
                                            const chainrule_minimizer_options *minimization,
                                            chainrule_minimizer **minimizer, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode, create(network, minimization, minimizer, error));
}

void chainrule_minimizer_free(chainrule_minimizer *minimizer) { free(minimizer); }
void chainrule_minimizer_stop(chainrule_minimizer *minimizer)
{
  if (minimizer) atomic_store(&minimizer->stop, true);
}

/* ---- L and its residuals ------------------------------------------------------------------------- */

bool cr_problem_stopped(cr_problem *p)
{
  if (atomic_load_explicit(p->stop, memory_order_relaxed) && atomic_exchange(p->stop, false))
    p->stopped = true;
  return p->stopped;
}

/* Sets the parameters; false if one is not finite. */
static bool move_to(cr_problem *p, const double *parameters)
{
  return chainrule_network_set_parameters_f64(p->objective.network, parameters, p->parameters, NULL) ==
         CHAINRULE_OK;
}

/* Keeps the parameters if their L is the smallest so far; false if L is not finite. */
static bool keep_best(cr_problem *p, const double *parameters, double loss)
{
  if (!isfinite(loss)) return false;
  if (loss < p->so_far.loss) {
    p->so_far.loss = loss;
    memcpy(p->best, parameters, p->parameters * sizeof *parameters);
  }
  return true;
}

/* Stops the run if a pass has failed, which only a custom layer's function can cause; true if it has not. */
static bool has_succeeded(cr_problem *p, chainrule_status status)
{
  if (status) p->status = status, p->stopped = true;
  return !status;
}

bool cr_problem_value(cr_problem *p, const double *parameters, double *loss, double *gradient)
{
  if (cr_problem_stopped(p) || !move_to(p, parameters)) return false;
  p->so_far.evaluations++;
  if (!has_succeeded(p, cr_objective_value(&p->objective, gradient, loss, p->error))) return false;
  if (gradient && !cr_all_finite(p->objective.network, gradient, p->parameters)) return false;
  return keep_best(p, parameters, *loss);
}

/* The factor of (a − y) in the residuals of row r, for which L = ½ Σ f²: √(wᵣ / Σ w), and √(2 / n) times that
 * for meanSquaredError with n outputs. */
static double factor(const cr_problem *p, const cr_batch *batch, size_t r)
{
  const cr_objective *o = &p->objective;
  const double w = batch->sample_weights ? ((const double *)batch->sample_weights)[r] : 1;
  const double n = (double)chainrule_network_outputs(o->network);
  return sqrt(w / o->total * (o->loss == CHAINRULE_LOSS_MEAN_SQUARED_ERROR ? 2 / n : 1));
}

bool cr_problem_residuals(cr_problem *p, const double *parameters, double *f, double *loss)
{
  if (cr_problem_stopped(p) || !move_to(p, parameters)) return false;
  p->so_far.evaluations++;
  const cr_objective *o = &p->objective;
  const cr_layer *last = &o->network->layers[o->network->layer_count - 1];
  const double *a =
      (const double *)o->work.buffers + o->work.places[o->network->layer_count].a * o->work.capacity;
  double sum = 0;
  size_t start = 0;
  cr_batch batch = {0};
  while (cr_objective_next(o, &start, &batch)) {
    if (!has_succeeded(p, cr_forward(o->network, &o->work, &batch, 0, o->network->layer_count, p->error)))
      return false;
    for (size_t r = 0; r < batch.rows; r++)
      for (size_t k = 0; k < last->out; k++) {
        const double d = a[r * last->stride + k] - ((const double *)batch.y)[r * last->out + k];
        const double value = factor(p, &batch, r) * d;
        f[(start + r) * last->out + k] = value;
        sum += value * value;
      }
  }
  *loss = sum / 2;
  return keep_best(p, parameters, *loss);
}

bool cr_problem_jacobian(cr_problem *p, const cr_batch *batch, double *jacobian)
{
  const cr_objective *o = &p->objective;
  const size_t width = chainrule_network_outputs(o->network) * p->parameters;
  if (!has_succeeded(p, cr_parameter_jacobian(o->network, &o->work, batch, jacobian, p->error))) return false;
  for (size_t r = 0; r < batch->rows; r++) {
    const double s = factor(p, batch, r);
    for (size_t i = 0; i < width; i++) jacobian[r * width + i] *= s;
  }
  return true;
}

bool cr_problem_move(cr_problem *p, const double *parameters) { return move_to(p, parameters); }

/* ---- The end of a run ---------------------------------------------------------------------------- */

static bool end(cr_problem *p, chainrule_ending ending)
{
  p->so_far.ending = ending;
  return true;
}

bool cr_problem_is_close(cr_problem *p, cr_measure measure)
{
  const chainrule_minimizer_options *m = p->settings;
  if (measure.gradient <= m->gradient_tolerance) return end(p, CHAINRULE_ENDED_BY_GRADIENT);
  if (measure.step <= m->step_tolerance) return end(p, CHAINRULE_ENDED_BY_STEP);
  return measure.fall >= 0 && measure.fall <= m->loss_tolerance && end(p, CHAINRULE_ENDED_BY_LOSS);
}

bool cr_problem_starts_at_minimum(cr_problem *p, const double *gradient, double measure)
{
  p->so_far.gradient = cr_largest(p->parameters, gradient);
  return cr_problem_is_close(p, (cr_measure){measure, INFINITY, INFINITY});
}

bool cr_problem_ends(cr_problem *p, const double *gradient, cr_measure measure)
{
  const chainrule_minimizer_options *m = p->settings;
  p->so_far.iterations++;
  p->so_far.gradient = cr_largest(p->parameters, gradient);
  p->refused = m->progress && m->progress(m->context, &p->so_far) != 0;
  if (p->refused || cr_problem_stopped(p)) return end(p, CHAINRULE_ENDED_BY_STOP);
  if (cr_problem_is_close(p, measure)) return true;
  return p->so_far.iterations >= m->iterations && end(p, CHAINRULE_ENDED_BY_ITERATIONS);
}

void cr_problem_gives_up(cr_problem *p)
{
  end(p, cr_problem_stopped(p) ? CHAINRULE_ENDED_BY_STOP : CHAINRULE_ENDED_BY_NO_PROGRESS);
}

/* ---- A run --------------------------------------------------------------------------------------- */

/* Sets the network's parameters to the best ones, rounded if the network is float32. */
static chainrule_status set_best(chainrule_network *network, const cr_problem *p, chainrule_error *error)
{
  if (network->scalar == CHAINRULE_FLOAT64)
    return chainrule_network_set_parameters_f64(network, p->best, p->parameters, error);
  float *rounded = cr_allocate(p->parameters, sizeof *rounded);
  if (!rounded) return cr_out_of_memory(error, "the parameters", p->parameters * sizeof *rounded);
  for (size_t i = 0; i < p->parameters; i++) rounded[i] = (float)p->best[i];
  chainrule_status status = chainrule_network_set_parameters_f32(network, rounded, p->parameters, error);
  free(rounded);
  return status;
}

/* Computes the loss at the start, which must be finite. */
static chainrule_status begin(cr_problem *p, chainrule_error *error)
{
  chainrule_status status =
      chainrule_network_get_parameters_f64(p->objective.network, p->best, p->parameters, error);
  if (!status) status = cr_objective_value(&p->objective, NULL, &p->so_far.loss, error);
  if (status) return status;
  if (isfinite(p->so_far.loss)) return CHAINRULE_OK;
  return cr_fail(
      error, CHAINRULE_NOT_FINITE, 0,
      "the loss is %s at the start; expected a finite number: initialize the network, or scale the data",
      isnan(p->so_far.loss) ? "NaN" : "infinity");
}

static chainrule_status run(chainrule_minimizer *m, chainrule_scalar scalar, cr_batch all,
                            chainrule_minimizer_result *minimum, chainrule_error *error)
{
  if (!m) return cr_null(error, "minimizer");
  const chainrule_network *network = m->network;
  chainrule_status status = cr_check_scalar(network, scalar, error);
  if (status) return status;
  if (all.rows == 0)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "rows is 0; training needs at least 1");
  status = cr_check_data(network, NULL, m->settings.loss, all.x, all.y, all.sample_weights, all.rows, error);
  if (status) return status;
  if (!(cr_total_weight(network, &all) > 0))
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                   "every sample weight is 0; expected at least one above 0");

  cr_problem p = {
      .settings = &m->settings, .stop = &m->stop, .parameters = network->parameter_count, .error = error};
  status = cr_objective_create(network, m->settings.loss, all, &p.objective, error);
  if (status) return status;
  p.best = cr_allocate(p.parameters, sizeof *p.best);
  if (!p.best) status = cr_out_of_memory(error, "the parameters", p.parameters * sizeof *p.best);
  if (!status) status = begin(&p, error);
  if (!status)
    status = m->settings.method == CHAINRULE_METHOD_LEVENBERG_MARQUARDT ? cr_minimize_squares(&p, error)
                                                                        : cr_descend_lines(&p, error);
  if (!status) status = p.status;
  if (!status) status = set_best(m->network, &p, error);
  if (!status && minimum) *minimum = p.so_far;
  free(p.best);
  cr_objective_free(&p.objective);
  if (status || p.so_far.ending != CHAINRULE_ENDED_BY_STOP) return status;
  if (p.refused)
    return cr_fail(error, CHAINRULE_CALLBACK_FAILED, 0, "the progress function failed after %zu iterations",
                   p.so_far.iterations);
  return cr_fail(error, CHAINRULE_STOPPED, 0, "stopped after %zu iterations", p.so_far.iterations);
}

chainrule_status chainrule_minimizer_run_f32(chainrule_minimizer *minimizer, const float *x, const float *y,
                                             const float *sample_weights, size_t rows,
                                             chainrule_minimizer_result *minimum, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode,
                 run(minimizer, CHAINRULE_FLOAT32, (cr_batch){rows, x, y, sample_weights}, minimum, error));
}

chainrule_status chainrule_minimizer_run_f64(chainrule_minimizer *minimizer, const double *x, const double *y,
                                             const double *sample_weights, size_t rows,
                                             chainrule_minimizer_result *minimum, chainrule_error *error)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  return cr_left(mode,
                 run(minimizer, CHAINRULE_FLOAT64, (cr_batch){rows, x, y, sample_weights}, minimum, error));
}
