/* The floating-point mode of the library: round to nearest, no traps, and denormals as in IEEE 754 unless a
 * trainer flushes them to 0.  Audio hosts, -ffast-math and fesetround set other modes, and only in the
 * calling thread.  Without a mode of our own, the bits of a row's result would depend on the thread that
 * computes it.
 *
 * Every public call that computes enters the mode and restores the caller's mode before it returns.  The
 * threads of a team enter it once, for good.  If the caller's mode is the library's already, nothing is
 * written.  Exception flags are raised as by any other arithmetic. */
#ifndef CR_FLOAT_MODE_H
#define CR_FLOAT_MODE_H

#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>

#include <chainrule/status.h>

/* The compiler moves no access to memory across this line, and so no computation on loaded values. */
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

#else /* standard C: the rounding mode only */
enum { CR_FLOAT_OURS = FE_TONEAREST, CR_FLOAT_FLUSH = 0, CR_FLOAT_FLAGS = 0 };
static inline uint64_t cr_float_read(void) { return (uint64_t)fegetround(); }
static inline void cr_float_write(uint64_t mode) { fesetround((int)mode); }
#endif

/* The mode before cr_float_mode_enter, for cr_float_mode_leave. */
typedef struct cr_float_mode {
  uint64_t before;
  bool changed;
} cr_float_mode;

/* With `flush`, denormals count as 0. */
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

/* Leaves the mode and passes the status of a call through, so that a call reads `return cr_left(mode, …)`. */
static inline chainrule_status cr_left(cr_float_mode mode, chainrule_status status)
{
  cr_float_mode_leave(mode);
  return status;
}

/* Between these two calls, conversions of numbers to and from text round to nearest.  On x86-64 glibc's
 * printf and strtod use the rounding mode of the x87, which cr_float_mode does not set.  Call them inside a
 * cr_float_mode, which restores the rest of the mode. */
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
