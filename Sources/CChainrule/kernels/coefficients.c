/* The coefficients of the polynomials of math_tmpl.h, computed by scripts/minimax.py, each repeated for every
 * lane of the widest vector.
 *
 * They are in a file of their own so that the compiler does not know their values in a kernel.  It then uses
 * each as a memory operand of a multiplication.  A constant would take a broadcast first, one more
 * instruction in every iteration of a loop. */
#include "kernels.h"

#define EVERY(c) {c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c}
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_exp_f32[] = {
    EVERY(0x1.fffffep-2f), EVERY(0x1.5554bp-3f), EVERY(0x1.5556c2p-5f), EVERY(0x1.12287ap-7f), EVERY(0x1.6bed32p-10f),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_log_f32[] = {
    EVERY(0x1.55557ap-1f), EVERY(0x1.995edp-2f), EVERY(0x1.31e1ap-2f),
};
_Alignas(CR_ALIGNMENT) const cr_coefficient_f32 cr_c_mills_f32[] = {
    EVERY(0x1.ebdb94p-2f), EVERY(-0x1.900edap-4f), EVERY(-0x1.997606p-9f), EVERY(0x1.48ff98p-5f),
    EVERY(-0x1.da93c8p-6f), EVERY(0x1.0ab20ep-7f), EVERY(0x1.53ad78p-10f), EVERY(-0x1.5f286cp-10f),
    EVERY(-0x1.a06c8cp-14f), EVERY(0x1.929ff6p-13f), EVERY(0x1.7ccaa6p-15f),
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
    EVERY(0x1.d53ee12ad7f86p-2), EVERY(-0x1.6d3103bf471ebp-4), EVERY(0x1.1f32e8ec3b9afp-5),
    EVERY(0x1.09556ed8e5f79p-8), EVERY(-0x1.7412906320796p-6), EVERY(0x1.91d9d22a7777cp-6),
    EVERY(-0x1.209456a86713p-6), EVERY(0x1.3230ca14952a5p-7), EVERY(-0x1.d36a31da65557p-9),
    EVERY(0x1.a47baf4d04351p-11), EVERY(0x1.08d22cc3dc515p-15), EVERY(-0x1.9964f96080dap-14),
    EVERY(0x1.bbfe3352c7fdbp-16), EVERY(0x1.4168870732cc3p-18), EVERY(-0x1.2b3c75efec85dp-18),
    EVERY(0x1.c56f65bec817p-23), EVERY(0x1.3b74f1002aa87p-21), EVERY(-0x1.b70ad21ec6ba1p-24),
    EVERY(-0x1.4cef6c4e3257cp-24), EVERY(0x1.405b23009578fp-26), EVERY(0x1.680131c10d0fbp-27),
    EVERY(-0x1.039d5a8f93ea3p-29), EVERY(-0x1.1e3daa5fae2bap-30),
};
