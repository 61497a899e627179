/* The scalar type of an instantiation: float.  It is included again before each template; see real_f64.h. */
#undef R
#undef SCALAR
#undef CR
#undef SHARED
#undef M
#undef REAL_BITS
#undef INTEGER
#undef REAL_MAX
#define R float
#define SCALAR f32
#define CR(name) cr_##name##_f32
#define SHARED(name) cr_##name##_f32 /* of a definition that all instruction sets share */
#define M(function) function##f /* of math.h: M(exp) is expf */
#define REAL_BITS 32
#define INTEGER int32_t /* of the same size */
#define REAL_MAX FLT_MAX
