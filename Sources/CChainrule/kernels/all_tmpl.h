/* All kernels of an instruction set, for float and for double.  An isa_*.c includes this file after it has
 * set its target, the name of its SIMD header, and HAS_LANES and HAS_ROWS: whether it has the kernels of
 * narrow networks, for a batch and for a single row.  Products are fused only where the source says fma: the
 * compiler may not contract. */
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
