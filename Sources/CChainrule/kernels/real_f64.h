/* The scalar type of an instantiation: double.  It is included again before each template; see real_f32.h. */
#undef R
#undef SCALAR
#undef CR
#undef SHARED
#undef M
#undef REAL_BITS
#undef INTEGER
#undef REAL_MAX
#define R double
#define SCALAR f64
#define CR(name) cr_##name##_f64
#define SHARED(name) cr_##name##_f64 /* of a definition that all instruction sets share */
#define M(function) function /* of math.h: M(exp) is exp */
#define REAL_BITS 64
#define INTEGER int64_t /* of the same size */
#define REAL_MAX DBL_MAX
