/* Measures the CPU's peak of multiply-adds.  Private, for the benchmarks in C and in Swift. */
#ifndef CR_PEAK_H
#define CR_PEAK_H

#include <chainrule/network.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs `rounds` rounds of fused multiply-adds on registers only: no product can be faster.  Returns the
 * number of floating-point operations, two for each multiply-add.  `name` is a kernel set; NULL: the fastest
 * of this CPU.  Returns 0 if the set has no such kernel (gsl), or the CPU cannot run it. */
double cr_kernel_set_peak(const char *name, chainrule_scalar scalar, uint64_t rounds);

#ifdef __cplusplus
}
#endif
#endif
