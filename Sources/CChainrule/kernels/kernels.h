/* The table of kernels: what an instruction set must provide, once for float and once for double.
 *
 * Matrices are row-major, a row `stride` scalars after the one before.  A layer's neurons come in panels, of two
 * vectors of neurons each; the last panel is padded with neurons whose W, b and δ are 0.  The weights of a
 * panel are [in][panel]: one input's weights to neighbouring neurons are neighbours in memory, and a product
 * walks through a panel from its first byte to its last.  cr_weight_offset is the only place that says so.
 *
 * Kernels return void, and trust their arguments: sizes are at least 1 (rows and n may be 0), buffers do not
 * overlap unless it is said that they may be the same.
 */
#ifndef CR_KERNELS_H
#define CR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base.h"
#include "shuffles.h"

/* Inputs of one call of affine_gradient, at most: a multiple of every TILE_ROWS.  Its rows lie as far apart. */
enum { CR_CHUNK = 48 };

/* Bytes that a second cache may keep from one use to the next; what is more is asked for ahead of time. */
enum { CR_KEPT = 1 << 20 };
/* Asks for so many lines of memory, `step` bytes apart. */
void cr_ask(const void *memory, size_t step, size_t lines);

/* The widest layer of a narrow network: a vector of floats on the widest instruction set. */
enum { CR_NARROW = 16 };
/* The rows of a strip of a narrow network's batch, at most, in vectors. */
enum { CR_STRIP_VECTORS = 4 };

/* Where W[j][i] lies from the start of the weights of a layer with `in` inputs. */
static inline size_t cr_weight_offset(size_t panel, size_t in, size_t j, size_t i)
{
  return j / panel * panel * in + i * panel + j % panel;
}

/* n things in parts of `most` at most, which differ by one at most, so that none is left with too few. */
typedef struct cr_parts {
  size_t count, size, larger; /* the first `larger` have one more */
} cr_parts;
static inline cr_parts cr_split(size_t n, size_t most)
{
  const size_t count = (n + most - 1) / most;
  return (cr_parts){count, count ? n / count : 0, count ? n % count : 0};
}
static inline size_t cr_part(cr_parts parts, size_t i) { return parts.size + (i < parts.larger); }

/* A number that looks drawn at random, another for each x (SplitMix64: Steele, Lea & Flood 2014). */
static inline uint64_t cr_mix(uint64_t x)
{
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* Inlined wherever it stands, so that its constants are constants there; never inlined, since it is long and stands in
 * many places; the loop that follows, unrolled, and left as it is. */
#define CR_INLINE inline __attribute__((always_inline))
#define CR_CALLED __attribute__((noinline, unused))
#if defined __clang__
#define CR_UNROLL _Pragma("clang loop unroll(full)")
#define CR_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define CR_UNROLL _Pragma("GCC unroll 16")
#define CR_ROLLED _Pragma("GCC unroll 1")
#endif

/* The optimizer's numbers for one update; t counts updates from 1. */
typedef struct cr_update {
  double rate, weight_decay, l1, momentum, alpha, beta1, beta2, epsilon;
  double step, scale;                 /* η / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ) */
  double mean_share, gradient_share;  /* nadam's of m and g: μₜ₊₁ / (1 − μ₁…μₜ₊₁), (1 − μₜ) / (1 − μ₁…μₜ) */
  double eta_minus, eta_plus, step_min, step_max;
  bool nesterov, centered, amsgrad, first; /* first: t = 1 */
} cr_update;

#include "real_f32.h"
#include "kernels_tmpl.h"
#include "real_f64.h"
#include "kernels_tmpl.h"

/* The kernels of an instruction set. */
typedef struct cr_kernel_set {
  const char *name; /* as CHAINRULE_ISA spells it */
  bool (*supported)(void);
  size_t vector; /* bytes; 0: one panel holds a whole layer */
  const cr_kernels_f32 *f32;
  const cr_kernels_f64 *f64;
} cr_kernel_set;

/* The kernel set of that name; NULL: of CHAINRULE_ISA, or the best of this CPU. */
chainrule_status cr_select_kernels(const char *name, const cr_kernel_set **kernels, chainrule_error *error);

extern const cr_kernel_set cr_isa_baseline, cr_isa_gsl;
#if defined __x86_64__
extern const cr_kernel_set cr_isa_avx2, cr_isa_avx512;
#endif

#endif
