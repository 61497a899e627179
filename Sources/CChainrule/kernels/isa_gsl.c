/* The kernel set `gsl`: products and updates by GSL's BLAS, for comparison.
 *
 * GSL's error handler belongs to the host, and aborts by default.  No GSL call here can fail: sizes are at
 * least 1, and views fit their arrays.
 */
#include <math.h>
#include <string.h>

#include <gsl/gsl_blas.h>
#include <gsl/gsl_matrix.h>
#include <gsl/gsl_vector.h>

#include "../base.h"
#include "kernels.h"

#define GSL_VECTOR(name) gsl_vector_float_##name
#define GSL_MATRIX(name) gsl_matrix_float_##name
#define BLAS(name) gsl_blas_s##name
#include "real_f32.h"
#include "gsl_tmpl.h"

#undef GSL_VECTOR
#undef GSL_MATRIX
#undef BLAS
#define GSL_VECTOR(name) gsl_vector_##name
#define GSL_MATRIX(name) gsl_matrix_##name
#define BLAS(name) gsl_blas_d##name
#include "real_f64.h"
#include "gsl_tmpl.h"
