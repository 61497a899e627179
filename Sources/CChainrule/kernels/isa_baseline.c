/* Any CPU; fma() is the C library's, which emulates the instruction if the CPU lacks it. */
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "kernels.h"
#define SIMD "simd_baseline.h"
#if defined __x86_64__ /* no fma instruction: a product takes so long that saved calls do not count */
#define HAS_LANES 0
#define HAS_ROWS 0
#define NARROW_KERNEL(name) NULL
#define ROWS NULL
#define CR_ELEMENTARY CR_CALLED
#else
#define HAS_LANES 1
#define HAS_ROWS 1
#define NARROW_KERNEL(name) CR(name)
#define ROWS &CR(rows)
#endif
#include "all_tmpl.h"

static bool supported(void) { return true; }

const cr_kernel_set cr_isa_baseline = {"baseline", supported, VECTOR_BYTES, &cr_table_f32, &cr_table_f64};

/* ---- The set gsl: products and updates by GSL, all other kernels as above ------------------------ */

#undef TABLE
#undef PRODUCT
#undef NARROW_KERNEL
#undef ROWS
#undef PEAK
#define TABLE CR(gsl_table)
#define PRODUCT(name) CR(gsl_##name)
#define NARROW_KERNEL(name) NULL
#define ROWS NULL
#define PEAK NULL
#include "real_f32.h"
#include "table_tmpl.h"
#include "real_f64.h"
#include "table_tmpl.h"

const cr_kernel_set cr_isa_gsl = {"gsl", supported, 0, &cr_gsl_table_f32, &cr_gsl_table_f64};
