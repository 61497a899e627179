/* An optimizer at work: its numbers, and those that change from one update to the next. */
#ifndef CR_OPTIMIZER_H
#define CR_OPTIMIZER_H

#include "../base.h"
#include "../kernels/kernels.h"

typedef struct cr_optimizer {
  chainrule_optimizer_kind kind;
  cr_update update;                 /* what the kernels read; `rate` is set before each */
  bool fresh;                       /* no update yet */
  double beta1_power, beta2_power;  /* β₁ᵗ, β₂ᵗ */
  double mu_product;                /* nadam: μ₁…μₜ */
  double decay_power, decay_factor; /* nadam: 0.96^(t ψ), 0.96^ψ */
} cr_optimizer;

enum { CR_STATES = 3 }; /* the most of an optimizer */

/* CHAINRULE_INVALID_ARGUMENT names the number that is out of its range: "adam: beta1 must be …". */
chainrule_status cr_optimizer_check(const chainrule_optimizer *given, chainrule_error *error);
/* The parameter-shaped arrays that the update rule keeps, by the letters of update_tmpl.h; returns how many. */
size_t cr_optimizer_states(const chainrule_optimizer *given, const char *names[CR_STATES]);
/* At its beginning. */
cr_optimizer cr_optimizer_start(const chainrule_optimizer *given);
/* It begins anew. */
void cr_optimizer_restart(cr_optimizer *optimizer);
/* Step t of the rule, at update.rate: its bias corrections. */
void cr_optimizer_advance(cr_optimizer *optimizer);

#endif
