/* The base of the core: errors, memory, versioned structs, and arrays of float or double.
 *
 * Every other folder includes this header.  It stands on the public header and the C library alone. */
#ifndef CR_BASE_H
#define CR_BASE_H

/* A product is rounded before it is added, except where a kernel says fma, so that every CPU gives the same
 * bits.  gcc does not know the pragma; -std=c11 has the same effect there. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#include <stdint.h>

#include "chainrule.h"
#include "float_mode.h"

#define CR_COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Errors -------------------------------------------------------------------------------------- */

/* Fills *error (unless NULL) and returns `status`, so that a check reads `return cr_fail(…)`.  The message is
 * valid UTF-8 without control characters, whatever it quotes and wherever it is truncated. */
#if defined __GNUC__
__attribute__((format(printf, 4, 5)))
#endif
chainrule_status
cr_fail(chainrule_error *error, chainrule_status status, size_t layer, const char *format, ...);
/* Appends to the message of *error (unless NULL). */
#if defined __GNUC__
__attribute__((format(printf, 2, 3)))
#endif
void cr_add_to_message(chainrule_error *error, const char *format, ...);
chainrule_status cr_null(chainrule_error *error, const char *argument);
/* A number for a message: at least 6 significant digits and as many as identify it, or "NaN", "infinity" or
 * "-infinity".  `text` is the buffer that it may use. */
enum { CR_NUMBER = 32 };
const char *cr_number(double value, char text[CR_NUMBER]);
chainrule_status cr_out_of_memory(chainrule_error *error, const char *what, size_t bytes);
/* The bytes of the UTF-8 character at `text`, where `left` bytes can be read; 0 if they are not a UTF-8
 * character. */
size_t cr_utf8_length(const char *text, size_t left);

/* ---- Structs that begin with their size ------------------------------------------------------------ */

/* Refuses a size below `least` or above `most`, the size in this version of the library.  `what` names the
 * field: "description.layer_size". */
chainrule_status cr_check_size(const char *what, size_t size, size_t least, size_t most,
                               chainrule_error *error);
/* Copies the caller's struct, which may be an older and shorter version, over `to`, a struct of `size` bytes
 * that is already filled with the defaults.  `what` names the argument: "options". */
chainrule_status cr_read_sized(const char *what, void *to, size_t size, size_t least, const void *from,
                               chainrule_error *error);
/* Copies a struct of `size` bytes to the caller's of `struct_size` bytes, truncated or padded with zeros, and
 * sets its struct_size. */
void cr_write_sized(void *to, size_t struct_size, const void *from, size_t size);

/* ---- Memory -------------------------------------------------------------------------------------- */

/* Arenas start at multiples of 64 bytes: one cache line, one AVX-512 vector. */
enum { CR_ALIGNMENT = 64 };
/* Zeroed memory with that alignment; NULL also if count × size overflows.  Free it with free(). */
void *cr_allocate(size_t count, size_t size);
/* a × b and a + b; false if the result overflows. */
bool cr_multiply(size_t a, size_t b, size_t *product);
bool cr_add(size_t a, size_t b, size_t *sum);

/* ---- Arrays of float or double ------------------------------------------------------------------- */

static inline size_t cr_scalar_size(chainrule_scalar scalar)
{
  return scalar == CHAINRULE_FLOAT32 ? sizeof(float) : sizeof(double);
}

/* values[i] as a double. */
static inline double cr_value(chainrule_scalar scalar, const void *values, size_t i)
{
  return scalar == CHAINRULE_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* Expands X(suffix, type, scalar) for float and for double. */
#define CR_EACH_SCALAR(X) X(f32, float, CHAINRULE_FLOAT32) X(f64, double, CHAINRULE_FLOAT64)

/* The address of values[index]. */
static inline void *cr_at(chainrule_scalar scalar, const void *values, size_t index)
{
  return (char *)values + index * cr_scalar_size(scalar);
}

#endif
