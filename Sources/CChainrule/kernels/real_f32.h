/* The scalar type of an instantiation: float.  Included anew before each; see real_f64.h. */
#undef R
#undef SCALAR
#undef CR
#undef M
#define R float
#define SCALAR f32
#define CR(name) cr_##name##_f32
#define M(function) function##f /* of math.h: M(exp) is expf */
