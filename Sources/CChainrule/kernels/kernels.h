/* The table of kernels: what an instruction set must provide, once for float and once for double.
 *
 * Matrices are row-major, a row `stride` scalars after the one before; what lies between the end of a row
 * and the next belongs to nobody: kernels neither depend on it nor write it, with one exception, stated
 * below.  Weights are held transposed, Wᵀ of [in][stride], so that one input's weights to neighbouring
 * neurons are neighbours in memory; cr_weight_offset is the only place that says so.
 *
 * Kernels return void, and trust their arguments: sizes are at least 1, buffers do not overlap unless it is
 * said that they may be the same.
 */
#ifndef CR_KERNELS_H
#define CR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "chainrule/catalog.h"

/* Rows of Wᵀ, z, a and δ start at multiples of 64 bytes: one cache line, one AVX-512 vector. */
enum { CR_ALIGNMENT = 64 };

/* Where W[j][i] lies from the start of a layer's weights. */
static inline size_t cr_weight_offset(size_t stride, size_t j, size_t i) { return i * stride + j; }

/* The optimizer's numbers for one update; t counts updates from 1. */
typedef struct cr_update {
  double rate, weight_decay, momentum, alpha, beta1, beta2, epsilon;
  double correction1, correction2; /* 1 − β₁ᵗ, 1 − β₂ᵗ */
  bool nesterov, centered;
} cr_update;

#include "real_f32.h"
#include "kernels_tmpl.h"
#include "real_f64.h"
#include "kernels_tmpl.h"

/* The kernels of an instruction set. */
typedef struct cr_kernel_set {
  const char *name; /* as CHAINRULE_ISA spells it */
  bool (*supported)(void);
  const cr_kernels_f32 *f32;
  const cr_kernels_f64 *f64;
} cr_kernel_set;

extern const cr_kernel_set cr_isa_baseline, cr_isa_gsl;
#if defined __x86_64__
extern const cr_kernel_set cr_isa_avx2, cr_isa_avx512;
#endif

#endif
