/* The floating-point mode in which the library computes, whatever the host has set in its thread: to nearest, no traps,
 * denormals as IEEE 754 says unless a trainer flushes them.  Audio hosts, -ffast-math and fesetround set another, and in
 * the calling thread alone, so that the bits of a result would depend on which rows it took.
 *
 * Every public call that computes enters the mode, and leaves it for the caller's; a team's threads enter it for good.
 * Nothing is written where the mode is ours already.  Exception flags are raised as by any arithmetic. */
#ifndef CR_FLOAT_MODE_H
#define CR_FLOAT_MODE_H

#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>

#include <chainrule/status.h>

/* No access to memory, and so nothing that is computed of it, moves to the other side. */
#define CR_FLOAT_FENCE() __asm__ volatile("" ::: "memory")

#if defined __x86_64__ /* MXCSR */
enum { CR_FLOAT_OURS = 0x1f80, CR_FLOAT_FLUSH = 0x8040, CR_FLOAT_FLAGS = 0x3f };
static inline uint64_t cr_float_read(void) { return __builtin_ia32_stmxcsr(); }
static inline void cr_float_write(uint64_t mode) { __builtin_ia32_ldmxcsr((unsigned)mode); }

#elif defined __aarch64__ /* FPCR */
enum { CR_FLOAT_OURS = 0, CR_FLOAT_FLUSH = 1 << 24, CR_FLOAT_FLAGS = 0 };
static inline uint64_t cr_float_read(void)
{
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
static inline void cr_float_write(uint64_t mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }

#else /* what C has: a rounding */
enum { CR_FLOAT_OURS = FE_TONEAREST, CR_FLOAT_FLUSH = 0, CR_FLOAT_FLAGS = 0 };
static inline uint64_t cr_float_read(void) { return (uint64_t)fegetround(); }
static inline void cr_float_write(uint64_t mode) { fesetround((int)mode); }
#endif

/* What there was before cr_float_mode_enter, for cr_float_mode_leave. */
typedef struct cr_float_mode {
  uint64_t before;
  bool changed;
} cr_float_mode;

/* `flush`: denormals count as 0. */
static inline cr_float_mode cr_float_mode_enter(bool flush)
{
  const uint64_t flags = CR_FLOAT_FLAGS, ours = CR_FLOAT_OURS | (flush ? CR_FLOAT_FLUSH : 0),
                 before = cr_float_read();
  const bool changed = (before & ~flags) != ours;
  if (changed) cr_float_write(ours | (before & flags));
  CR_FLOAT_FENCE();
  return (cr_float_mode){before, changed};
}

static inline void cr_float_mode_leave(cr_float_mode mode)
{
  const uint64_t flags = CR_FLOAT_FLAGS;
  CR_FLOAT_FENCE();
  if (mode.changed) cr_float_write((mode.before & ~flags) | (cr_float_read() & flags));
}

/* Hands on the status of a call, so that it reads `return cr_left(mode, …)`. */
static inline chainrule_status cr_left(cr_float_mode mode, chainrule_status status)
{
  cr_float_mode_leave(mode);
  return status;
}

/* Numbers that become text, or come of it.  On x86-64 glibc's printf and strtod go by the rounding of the x87, which these
 * functions set, and nothing is computed with; within a cr_float_mode, which has the last word on the rest. */
static inline int cr_rounding_enter(void)
{
  const int rounding = fegetround();
  if (rounding != FE_TONEAREST) fesetround(FE_TONEAREST);
  return rounding;
}

static inline void cr_rounding_leave(int rounding)
{
  if (rounding != FE_TONEAREST && rounding >= 0) fesetround(rounding);
}

#endif
