/* Chooses a network's kernel set: the one that its description or CHAINRULE_ISA names, or the fastest that
 * the CPU can run. */
#include <stdlib.h>
#include <string.h>

#include "../base.h"
#include "kernels.h"
#include "peak.h"

/* Fastest first.  gsl is for comparison and never the default, because baseline comes before it and runs on
 * every CPU. */
static const cr_kernel_set *const sets[] = {
#if defined __x86_64__
    &cr_isa_avx512,
    &cr_isa_avx2,
#endif
    &cr_isa_baseline,
    &cr_isa_gsl,
};

const char *chainrule_kernel_set_name(size_t index)
{
  for (size_t i = 0; i < CR_COUNT(sets); i++)
    if (sets[i]->supported() && index-- == 0) return sets[i]->name;
  return NULL;
}

static double peak(const char *name, chainrule_scalar scalar, uint64_t rounds)
{
  const cr_kernel_set *kernels;
  if (cr_select_kernels(name, &kernels, NULL)) return 0;
  if (scalar == CHAINRULE_FLOAT32) {
    float sink[CR_ALIGNMENT / sizeof(float)];
    return kernels->f32->peak ? kernels->f32->peak(rounds, sink) : 0;
  }
  double sink[CR_ALIGNMENT / sizeof(double)];
  return kernels->f64->peak ? kernels->f64->peak(rounds, sink) : 0;
}

double cr_kernel_set_peak(const char *name, chainrule_scalar scalar, uint64_t rounds)
{
  const cr_float_mode mode = cr_float_mode_enter(false);
  const double result = peak(name, scalar, rounds);
  cr_float_mode_leave(mode);
  return result;
}

chainrule_status cr_select_kernels(const char *name, const cr_kernel_set **kernels, chainrule_error *error)
{
  const char *source = name ? "kernel set " : "CHAINRULE_ISA=";
  if (!name) name = getenv("CHAINRULE_ISA");
  const bool any = !name || !*name;
  for (size_t i = 0; i < CR_COUNT(sets); i++) {
    if (!any && strcmp(name, sets[i]->name) != 0) continue;
    if (sets[i]->supported()) return *kernels = sets[i], CHAINRULE_OK;
    if (!any)
      return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                     "%s%s: this CPU does not have these instructions; baseline runs on every CPU", source, name);
  }
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "%s%.40s: no such kernel set; expected avx512, avx2, baseline or gsl", source, any ? "" : name);
}
