/* The speed of the CPU's multiply-adds.  Private, for the benchmarks in C and in Swift. */
#ifndef CR_PEAK_H
#define CR_PEAK_H

#include <chainrule/network.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs `rounds` rounds of fused multiply-adds on registers alone, which bounds the speed of any product.  Returns the number of
 * floating-point operations, two a multiply-add.  `name` is a kernel set; NULL: the best of this CPU.  0: the set has no such
 * measure (gsl), or the CPU cannot run it. */
double cr_kernel_set_peak(const char *name, chainrule_scalar scalar, uint64_t rounds);

#ifdef __cplusplus
}
#endif
#endif
