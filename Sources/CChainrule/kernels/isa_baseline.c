/* Any CPU: fma() of the C library where the CPU has none. */
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "kernels.h"
#define SIMD "simd_baseline.h"
#include "all_tmpl.h"

static bool supported(void) { return true; }

const cr_kernel_set cr_isa_baseline = {"baseline", supported, VECTOR_BYTES, &cr_table_f32, &cr_table_f64};
