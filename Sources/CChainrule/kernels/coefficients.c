/* The coefficients of math_tmpl.h's polynomials, scripts/minimax.py's, each in every lane of the widest vector.
 *
 * They stand in a file of their own so that no kernel knows their values: it then takes one out of memory as it multiplies,
 * where a constant would first be spread over a vector by an instruction more, in every round of a loop. */
#include "kernels.h"

#define EVERY(c) {c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c}
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_exp_f32[] = {
    EVERY(0x1.fffffep-2f), EVERY(0x1.5554bp-3f), EVERY(0x1.5556c2p-5f), EVERY(0x1.12287ap-7f), EVERY(0x1.6bed32p-10f),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_log_f32[] = {
    EVERY(0x1.55557ap-1f), EVERY(0x1.995edp-2f), EVERY(0x1.31e1ap-2f),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_mills_f32[] = {
    EVERY(0x1.7d8ba6p-1f), EVERY(-0x1.231b34p-1f), EVERY(0x1.47fd24p-2f), EVERY(-0x1.ed81ecp-4f),
    EVERY(0x1.433f58p-6f), EVERY(0x1.89b6e2p-8f), EVERY(-0x1.b9887p-9f), EVERY(-0x1.623694p-12f),
    EVERY(0x1.ddb66ap-12f), EVERY(0x1.9786b8p-15f), EVERY(-0x1.135552p-15f),
};

#undef EVERY
#define EVERY(c) {c, c, c, c, c, c, c, c}
_Alignas(CR_ALIGNMENT) const cr_coefficient_f64 cr_c_exp_f64[] = {
    EVERY(0x1.0000000000005p-1), EVERY(0x1.555555555553ap-3), EVERY(0x1.555555555228p-5), EVERY(0x1.1111111118f39p-7),
    EVERY(0x1.6c16c17edb74dp-10), EVERY(0x1.a01a017521e9cp-13), EVERY(0x1.a019a76fd4bf7p-16),
    EVERY(0x1.71de87e793489p-19), EVERY(0x1.28a1df5cadae3p-22), EVERY(0x1.ae6bd9d920e0fp-26),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f64 cr_c_log_f64[] = {
    EVERY(0x1.5555555555592p-1), EVERY(0x1.999999997fe7dp-2), EVERY(0x1.24924941e8454p-2),
    EVERY(0x1.c71c520fbde5fp-3), EVERY(0x1.74663dc22e709p-3), EVERY(0x1.39a1d48a6a907p-3),
    EVERY(0x1.2f04839682504p-3),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f64 cr_c_mills_f64[] = {
    EVERY(0x1.89d3abe1f95aep-1), EVERY(-0x1.54ad03f27ca16p-1), EVERY(0x1.fb31653876f99p-2),
    EVERY(-0x1.410ed5f875b43p-2), EVERY(0x1.51f6329f01537p-3), EVERY(-0x1.1b1c254c93e15p-4),
    EVERY(0x1.54b4d4f4cfc13p-6), EVERY(-0x1.88590eb662573p-9), EVERY(-0x1.a25037e311a27p-11),
    EVERY(0x1.1daf1eb6ee1bap-11), EVERY(-0x1.f2145e747c09dp-15), EVERY(-0x1.a17140311f62ep-15),
    EVERY(0x1.17dcf88a8f826p-16), EVERY(0x1.0b317f8357beep-18), EVERY(-0x1.73a8006202b0ap-19),
    EVERY(-0x1.6aa619725f417p-22), EVERY(0x1.d097d467122e5p-22), EVERY(0x1.76a038525c9a9p-25),
    EVERY(-0x1.188b98c7a5e84p-24), EVERY(-0x1.5ed6ce20676a8p-27), EVERY(0x1.ed88fd18b06dp-28),
    EVERY(0x1.14c8a301cb3ecp-29),
};
