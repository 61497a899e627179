/* The kernels: all computation on vectors, once for each instruction set and scalar type.
 *
 * kernels_tmpl.h is the table that each instruction set fills in; dispatch.c chooses a kernel set.  This
 * folder uses only base.h.
 *
 * Matrices are row-major, and a row begins `stride` scalars after the one before.  The neurons of a layer are
 * divided into micropanels, here called panels, of NR = two vectors of neurons.  The last panel is padded
 * with neurons whose W, b and δ are 0.  The weights of a panel are [in][NR], so that a product reads a panel
 * from its first byte to its last.  cr_weight_offset is the only function that depends on this layout.
 *
 * Kernels trust their arguments: sizes are at least 1, but rows and n may be 0.  Buffers do not overlap,
 * except where it says that they may be the same.
 */
#ifndef CR_KERNELS_H
#define CR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base.h"
#include "shuffles.h"

/* The largest number of inputs in one call of affine_gradient, and the stride of their rows.  A multiple of
 * every TILE_ROWS. */
enum { CR_CHUNK = 48 };

/* L2 size, in bytes: data that is larger does not stay in the cache until its next use, and is prefetched. */
enum { CR_KEPT = 1 << 20 };
/* Prefetches `lines` cache lines, `step` bytes apart. */
void cr_ask(const void *memory, size_t step, size_t lines);

/* The widest layer of a narrow network: one vector of floats on the widest instruction set. */
enum { CR_NARROW = 16 };
/* The largest row block of a narrow network's batch, in vectors of rows. */
enum { CR_STRIP_VECTORS = 4 };

/* The offset of W[j][i] from the start of the weights of a layer with `in` inputs. */
static inline size_t cr_weight_offset(size_t panel, size_t in, size_t j, size_t i)
{
  return j / panel * panel * in + i * panel + j % panel;
}

/* n divided into as few parts of at most `most` as possible, whose sizes differ by at most 1. */
typedef struct cr_parts {
  size_t count, size, larger; /* the first `larger` have one more */
} cr_parts;
static inline cr_parts cr_split(size_t n, size_t most)
{
  const size_t count = (n + most - 1) / most;
  return (cr_parts){count, count ? n / count : 0, count ? n % count : 0};
}
static inline size_t cr_part(cr_parts parts, size_t i) { return parts.size + (i < parts.larger); }

/* A pseudo-random number for each x (SplitMix64: Steele, Lea & Flood 2014). */
static inline uint64_t cr_mix(uint64_t x)
{
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* CR_INLINE: always inlined, so that constant arguments are constants in the copy.  CR_CALLED: never inlined,
 * because the function is long and has many callers.  CR_UNROLL, CR_ROLLED: the loop that follows is
 * unrolled, or is not. */
#define CR_INLINE inline __attribute__((always_inline))
#define CR_CALLED __attribute__((noinline, unused))
#if defined __clang__
#define CR_UNROLL _Pragma("clang loop unroll(full)")
#define CR_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define CR_UNROLL _Pragma("GCC unroll 16")
#define CR_ROLLED _Pragma("GCC unroll 1")
#endif

/* The numbers of the optimizer in one update.  t counts updates from 1. */
typedef struct cr_update {
  double rate, weight_decay, l1, momentum, alpha, beta1, beta2, epsilon;
  double step, scale;                 /* η / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ) */
  double mean_share, gradient_share;  /* nadam's factors of m and g: μₜ₊₁ / (1 − μ₁…μₜ₊₁), (1 − μₜ) / (1 − μ₁…μₜ) */
  double eta_minus, eta_plus, step_min, step_max;
  bool nesterov, centered, amsgrad, first; /* first: t = 1 */
} cr_update;

#include "real_f32.h"
#include "kernels_tmpl.h"
#include "real_f64.h"
#include "kernels_tmpl.h"

/* The kernels of one instruction set. */
typedef struct cr_kernel_set {
  const char *name; /* as CHAINRULE_ISA spells it */
  bool (*supported)(void);
  size_t vector; /* bytes; 0: one panel holds a whole layer */
  const cr_kernels_f32 *f32;
  const cr_kernels_f64 *f64;
} cr_kernel_set;

/* The kernel set of that name; NULL: the one that CHAINRULE_ISA names, or the fastest that this CPU can
 * run. */
chainrule_status cr_select_kernels(const char *name, const cr_kernel_set **kernels, chainrule_error *error);

extern const cr_kernel_set cr_isa_baseline, cr_isa_gsl;
#if defined __x86_64__
extern const cr_kernel_set cr_isa_avx2, cr_isa_avx512;
#endif

#endif
