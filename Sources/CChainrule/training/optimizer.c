/* Optimizers: what is known of each rule but its formula, which is in kernels/update_tmpl.h. */
#include "optimizer.h"

#include <math.h>
#include <stddef.h>

/* ---- The rules ------------------------------------------------------------------------------------ */

/* What takes the bias out of both moments: η / (1 − β₁ᵗ) and 1 / √(1 − β₂ᵗ). */
static void correct_moments(cr_optimizer *o)
{
  cr_update *u = &o->update;
  u->step = u->rate / (1 - (o->beta1_power *= u->beta1));
  u->scale = 1 / sqrt(1 - (o->beta2_power *= u->beta2));
}

/* 0.96^ψ = eˣ, x = ψ log 0.96 ≤ 0, by the series of eˣ, of an x halved until it is above −½, squared as often: the
 * same bits with any C library. */
static double momentum_factor(double decay)
{
  double x = decay * -0x1.4e69ed6d80eb3p-5, sum = 1; /* log 0.96 */
  int squarings = 0;
  for (; x < -0.5; squarings++) x /= 2;
  for (int k = 16; k > 0; k--) sum = 1 + x * sum / k;
  for (; squarings > 0; squarings--) sum *= sum;
  return sum;
}

/* nadam's shares of m and g in step t, and the corrections of both moments. */
static void correct_nesterov(cr_optimizer *o)
{
  cr_update *u = &o->update;
  o->decay_power *= o->decay_factor;
  const double mu = u->beta1 * (1 - o->decay_power / 2);
  const double next = u->beta1 * (1 - o->decay_power * o->decay_factor / 2);
  o->mu_product *= mu;
  u->gradient_share = (1 - mu) / (1 - o->mu_product);
  u->mean_share = next / (1 - o->mu_product * next);
  correct_moments(o);
}

static void correct_nothing(cr_optimizer *o) { (void)o; }

enum when { NEVER, ALWAYS, WITH_MOMENTUM, CENTERED, AMSGRAD };

typedef struct rule {
  chainrule_optimizer defaults; /* all but its kind */
  struct {
    const char *name; /* the letter of update_tmpl.h, and of checkpoints */
    enum when when;
  } states[CR_STATES];
  void (*advance)(cr_optimizer *optimizer);
} rule;

/* clang-format off */
/* PyTorch's defaults, where a rule has no other; lion's are its authors'. */
#define DEFAULTS(rate, decay, alpha_, beta2_, epsilon_)                                                              \
  {.learning_rate = rate, .weight_decay = decay, .alpha = alpha_, .beta1 = 0.9, .beta2 = beta2_,                     \
   .epsilon = epsilon_, .momentum_decay = 0.004, .eta_minus = 0.5, .eta_plus = 1.2, .step_min = 1e-6, .step_max = 50}

/*                            rate    λ     α or ρ β₂     ε        what it keeps                         each step */
#define RULE_SGD      DEFAULTS(0.001,  0,    0.99, 0.999, 1e-8),  {{"v", WITH_MOMENTUM}},               correct_nothing
#define RULE_ADAGRAD  DEFAULTS(0.01,   0,    0.99, 0.999, 1e-10), {{"s", ALWAYS}},                      correct_nothing
#define RULE_RMSPROP  DEFAULTS(0.01,   0,    0.99, 0.999, 1e-8),                                                     \
  {{"s", ALWAYS}, {"m", CENTERED}, {"v", WITH_MOMENTUM}},                                               correct_nothing
#define RULE_ADAM     DEFAULTS(0.001,  0,    0.99, 0.999, 1e-8),                                                     \
  {{"m", ALWAYS}, {"v", ALWAYS}, {"w", AMSGRAD}},                                                       correct_moments
#define RULE_ADAMW    DEFAULTS(0.001,  0.01, 0.99, 0.999, 1e-8),                                                     \
  {{"m", ALWAYS}, {"v", ALWAYS}, {"w", AMSGRAD}},                                                       correct_moments
#define RULE_ADADELTA DEFAULTS(1,      0,    0.9,  0.999, 1e-6),  {{"s", ALWAYS}, {"w", ALWAYS}},       correct_nothing
#define RULE_ADAMAX   DEFAULTS(0.002,  0,    0.99, 0.999, 1e-8),  {{"m", ALWAYS}, {"s", ALWAYS}},       correct_moments
#define RULE_NADAM    DEFAULTS(0.002,  0,    0.99, 0.999, 1e-8),  {{"m", ALWAYS}, {"v", ALWAYS}},       correct_nesterov
#define RULE_RPROP    DEFAULTS(0.01,   0,    0.99, 0.999, 1e-8),  {{"g", ALWAYS}, {"step", ALWAYS}},    correct_nothing
#define RULE_LION     DEFAULTS(0.0001, 0,    0.99, 0.99,  1e-8),  {{"m", ALWAYS}},                      correct_nothing
/* clang-format on */

/* One of each row of the catalogue: an optimizer without a rule does not compile. */
static const rule rules[] = {
#define ROW(ID, ...) [CHAINRULE_OPTIMIZER_##ID] = {RULE_##ID},
    CHAINRULE_OPTIMIZERS(ROW)
#undef ROW
};

void chainrule_optimizer_set_defaults(chainrule_optimizer *optimizer, size_t struct_size,
                                      chainrule_optimizer_kind kind)
{
  chainrule_optimizer defaults =
      rules[(size_t)kind < CR_COUNT(rules) ? kind : CHAINRULE_OPTIMIZER_SGD].defaults;
  defaults.kind = kind;
  cr_write_sized(optimizer, struct_size, &defaults, sizeof defaults);
}

size_t cr_optimizer_states(const chainrule_optimizer *o, const char *names[CR_STATES])
{
  const bool holds[] = {
      [ALWAYS] = true, [WITH_MOMENTUM] = o->momentum != 0, [CENTERED] = o->centered, [AMSGRAD] = o->amsgrad};
  const rule *rule = &rules[o->kind];
  size_t count = 0;
  for (size_t k = 0; k < CR_STATES; k++)
    if (holds[rule->states[k].when]) names[count++] = rule->states[k].name;
  return count;
}

/* ---- The numbers ---------------------------------------------------------------------------------- */

typedef struct range {
  const char *expected;
  double low, high; /* of finite numbers */
  bool low_is_in;
} range;

static const range not_negative = {"a finite number, 0 or more", 0, INFINITY, true};
static const range positive = {"a finite number above 0", 0, INFINITY, false};
static const range decay = {"0 or more, and less than 1", 0, 1, true};
static const range shrinking = {"above 0, and less than 1", 0, 1, false};
static const range step = {"a finite number, step min or more", 0, INFINITY, true};
static const range growing = {"a finite number above 1", 1, INFINITY, false};

static const struct {
  const char *name; /* in messages */
  size_t at;
  const range *range;
} numbers[] = {
#define NUMBER(field, name, range)                                                                           \
  {                                                                                                          \
    name, offsetof(chainrule_optimizer, field), &range                                                       \
  }
    NUMBER(learning_rate, "learning rate", not_negative),
    NUMBER(weight_decay, "weight decay", not_negative),
    NUMBER(l1, "l1", not_negative),
    NUMBER(momentum, "momentum", not_negative),
    NUMBER(alpha, "alpha", decay),
    NUMBER(beta1, "beta1", decay),
    NUMBER(beta2, "beta2", decay),
    NUMBER(epsilon, "epsilon", positive),
    NUMBER(momentum_decay, "momentum decay", not_negative),
    NUMBER(eta_minus, "eta minus", shrinking),
    NUMBER(eta_plus, "eta plus", growing),
    NUMBER(step_min, "step min", not_negative),
    NUMBER(step_max, "step max", step),
#undef NUMBER
};

static chainrule_status refuse(const chainrule_optimizer *o, const char *name, const char *expected,
                               double value, chainrule_error *error)
{
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "%s: %s must be %s; got %s",
                 chainrule_optimizer_name(o->kind), name, expected, cr_number(value, (char[CR_NUMBER]){0}));
}

chainrule_status cr_optimizer_check(const chainrule_optimizer *o, chainrule_error *error)
{
  if ((size_t)o->kind >= CHAINRULE_OPTIMIZER_COUNT)
    return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0, "optimizer %d is not in the catalogue", (int)o->kind);
  for (size_t i = 0; i < CR_COUNT(numbers); i++) {
    const double value = *(const double *)((const char *)o + numbers[i].at);
    const range *range = numbers[i].range;
    if (value < range->high && (value > range->low || (range->low_is_in && value == range->low))) continue;
    const bool is_rho =
        o->kind == CHAINRULE_OPTIMIZER_ADADELTA && numbers[i].at == offsetof(chainrule_optimizer, alpha);
    return refuse(o, is_rho ? "rho" : numbers[i].name, range->expected, value, error);
  }
  if (o->step_max < o->step_min) return refuse(o, "step max", step.expected, o->step_max, error);
  if (o->nesterov && o->momentum == 0)
    return refuse(o, "momentum", "above 0, as Nesterov's look ahead needs it", o->momentum, error);
  return CHAINRULE_OK;
}

/* ---- At work -------------------------------------------------------------------------------------- */

void cr_optimizer_restart(cr_optimizer *optimizer)
{
  optimizer->beta1_power = optimizer->beta2_power = optimizer->mu_product = optimizer->decay_power = 1;
  optimizer->fresh = true;
}

cr_optimizer cr_optimizer_start(const chainrule_optimizer *o)
{
  cr_optimizer optimizer = {.kind = o->kind,
                            .decay_factor = momentum_factor(o->momentum_decay),
                            .update = {.weight_decay = o->weight_decay,
                                       .l1 = o->l1,
                                       .momentum = o->momentum,
                                       .alpha = o->alpha,
                                       .beta1 = o->beta1,
                                       .beta2 = o->beta2,
                                       .epsilon = o->epsilon,
                                       .eta_minus = o->eta_minus,
                                       .eta_plus = o->eta_plus,
                                       .step_min = o->step_min,
                                       .step_max = o->step_max,
                                       .nesterov = o->nesterov,
                                       .centered = o->centered,
                                       .amsgrad = o->amsgrad}};
  cr_optimizer_restart(&optimizer);
  return optimizer;
}

void cr_optimizer_advance(cr_optimizer *optimizer)
{
  optimizer->update.first = optimizer->fresh;
  optimizer->fresh = false;
  rules[optimizer->kind].advance(optimizer);
}
