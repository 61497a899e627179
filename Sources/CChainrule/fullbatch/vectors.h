/* Sums of full-batch training, in double.  Each adds its terms in one fixed order, so that it has the same
 * bits on every CPU. */
#ifndef CR_VECTORS_H
#define CR_VECTORS_H

#include <math.h>
#include <stddef.h>

/* Σ a b: eight partial sums, each of every eighth product, then their sum. */
static inline double cr_dot(size_t n, const double *a, const double *b)
{
  double s[8] = {0};
  size_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (size_t k = 0; k < 8; k++) s[k] += a[i + k] * b[i + k];
  for (size_t k = 0; i < n; i++, k++) s[k] += a[i] * b[i];
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* y += s x */
static inline void cr_add_scaled(size_t n, double s, const double *x, double *y)
{
  for (size_t i = 0; i < n; i++) y[i] += s * x[i];
}

/* max |a|; infinity if an element is not finite. */
static inline double cr_largest(size_t n, const double *a)
{
  double most = 0;
  for (size_t i = 0; i < n; i++) most = isfinite(a[i]) ? fmax(most, fabs(a[i])) : INFINITY;
  return most;
}

/* |a| = √Σ a², without overflow or underflow of the squares. */
static inline double cr_norm(size_t n, const double *a)
{
  const double most = cr_largest(n, a);
  if (most == 0 || isinf(most)) return most;
  if (most > 0x1p-400 && most < 0x1p400) return sqrt(cr_dot(n, a, a));
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (a[i] / most) * (a[i] / most);
  return most * sqrt(sum);
}

#endif
