/* What every part of the core needs: how to fail, memory, and arrays of either scalar. */
#ifndef CR_BASE_H
#define CR_BASE_H

/* Products are rounded before they are added, except where a kernel says fma: the same bits on every CPU.  gcc, which does not
 * know the pragma, does so with -std=c11. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#include <stdint.h>

#include "chainrule.h"
#include "float_mode.h"

#define CR_COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Failing ------------------------------------------------------------------------------------- */

/* Fills *error (unless NULL) and returns `status`, so that a check reads `return cr_fail(…)`.  The message is UTF-8 that
 * can be shown, whatever is quoted in it and wherever it is cut. */
#if defined __GNUC__
__attribute__((format(printf, 4, 5)))
#endif
chainrule_status
cr_fail(chainrule_error *error, chainrule_status status, size_t layer, const char *format, ...);
/* The same, behind what the message says already. */
#if defined __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
void cr_add_to_message(chainrule_error *error, const char *format, ...);
chainrule_status cr_null(chainrule_error *error, const char *argument);
/* A number for a message, in as few digits as tell it, or "NaN" or "infinity"; written to `text`, which is returned. */
enum { CR_NUMBER = 32 };
const char *cr_number(double value, char text[CR_NUMBER]);
chainrule_status cr_out_of_memory(chainrule_error *error, const char *what, size_t bytes);
/* Bytes of the UTF-8 character at `text`, of which `left` bytes are there; 0: it is none. */
size_t cr_utf8_length(const char *text, size_t left);

/* ---- Structs that begin with their size ------------------------------------------------------------ */

/* Refuses a size below `least` or above `most`, the bytes that this library knows; `what` names it: "description.layer_size". */
chainrule_status cr_check_size(const char *what, size_t size, size_t least, size_t most,
                               chainrule_error *error);
/* Copies the fields that the caller's header has to `to`, a struct of `size` bytes that has the defaults of all.  `what`: "options". */
chainrule_status cr_read_sized(const char *what, void *to, size_t size, size_t least, const void *from,
                               chainrule_error *error);
/* Copies `size` bytes of a struct to the caller's of struct_size, as far as they go, and sets its size. */
void cr_write_sized(void *to, size_t struct_size, const void *from, size_t size);

/* ---- Memory -------------------------------------------------------------------------------------- */

/* Arenas start at multiples of 64 bytes: one cache line, one AVX-512 vector. */
enum { CR_ALIGNMENT = 64 };
/* Aligned so, zeroed; NULL also where count × size overflows.  Free with free(). */
void *cr_allocate(size_t count, size_t size);
bool cr_multiply(size_t a, size_t b, size_t *product);
bool cr_add(size_t a, size_t b, size_t *sum);

/* ---- Arrays of float or double ------------------------------------------------------------------- */

static inline size_t cr_scalar_size(chainrule_scalar scalar)
{
  return scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
}

static inline double cr_value(chainrule_scalar scalar, const void *values, size_t i)
{
  return scalar == CHAINRULE_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* What stands once for float and once for double: X(suffix, type, scalar). */
#define CR_EACH_SCALAR(X) X(f32, float, CHAINRULE_FLOAT32) X(f64, double, CHAINRULE_FLOAT64)

/* values + index, in scalars */
static inline void *cr_at(chainrule_scalar scalar, const void *values, size_t index)
{
  return (char *)values + index * cr_scalar_size(scalar);
}

#endif
