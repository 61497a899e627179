/* Random numbers for tests, which depend only on `state`. */
#include "kernels/kernels.h"

static uint64_t state;

/* 0 … below − 1 */
static size_t draw(size_t below)
{
  state += 0x9e3779b97f4a7c15u;
  return (size_t)(cr_mix(state) % below);
}

/* in −1 … 1 */
static double uniform(void) { return (double)draw(1u << 24) / (1 << 23) - 1; }
