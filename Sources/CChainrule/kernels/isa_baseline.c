/* Any CPU: fma() of the C library where the CPU has none. */
#include <math.h>

#include "kernels.h"
#include "all_tmpl.h"

static bool supported(void) { return true; }

const cr_kernel_set cr_isa_baseline = {"baseline", supported, &cr_table_f32, &cr_table_f64};
