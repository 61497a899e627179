/* Every kernel of an instruction set, for float and for double: what an isa_*.c includes once it has set
 * its target and named its SIMD header, and said with HAS_LANES and HAS_ROWS whether the kernels of narrow networks are to be
 * compiled here, those of a batch and those of a single row.
 * Products are fused only where fma says so: the compiler may not contract on its own. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#define TABLE CR(table)
#define PRODUCT(name) CR(name)

#include "real_f32.h"
#include SIMD
#include "math_tmpl.h"
#include "gemm_tmpl.h"
#include "activation_tmpl.h"
#include "loss_tmpl.h"
#include "norm_tmpl.h"
#include "update_tmpl.h"
#if HAS_LANES
#include "lanes_tmpl.h"
#endif
#if HAS_ROWS
#include "row_tmpl.h"
#endif
#include "table_tmpl.h"

#include "real_f64.h"
#include SIMD
#include "math_tmpl.h"
#include "gemm_tmpl.h"
#include "activation_tmpl.h"
#include "loss_tmpl.h"
#include "norm_tmpl.h"
#include "update_tmpl.h"
#if HAS_LANES
#include "lanes_tmpl.h"
#endif
#if HAS_ROWS
#include "row_tmpl.h"
#endif
#include "table_tmpl.h"
