/* The scalar type of an instantiation: double.  Included anew before each; see real_f32.h. */
#undef R
#undef SCALAR
#undef CR
#undef M
#define R double
#define SCALAR f64
#define CR(name) cr_##name##_f64
#define M(function) function /* of math.h: M(exp) is exp */
